"""What a platform would refuse about a deployment that simlib would simulate: hard limits and rules across fields."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from simlib import pricing
from simlib.model import ModelProfile
from simlib.parameters import ParameterError, checked
from simlib.platforms import rollouts
from simlib.platforms.fields import Platform, cloud_field, read_table
from simlib.serving import limits
from simlib.serving.hardware import instance_types
from simlib.serving.scaling import Deciding


class Finding(NamedTuple):
    """Something a platform refuses: the parameter, the platform's field, the value, the sentence, and who says so."""

    parameter: str
    field: str
    value: object
    words: str
    mark: str
    source: str


@checked
def validate(deployment: Any) -> tuple[Finding, ...]:
    """What its platform would refuse of a deployment, in one sentence each; empty if nothing is known to be wrong.

    The platform is that of its machines (see `simlib.pricing.machine`).

    Constructors check sense only, so that theory can be tried beyond a vendor's limits.  Here the rows of
    `serving.limits` are asked, which machines may host, which may be scaled, and how few may be kept; for Vertex AI and
    Azure ML the rows of `data/cloud_limits.csv`, and which machines have a price.

    Raises
    ------
    ParameterError
        If it is no deployment that a platform sets limits for.
    """
    if isinstance(deployment, rollouts.KINDS):
        return tuple(Finding(*found) for found in rollouts.refused(deployment))
    kind = limits.kind_of(deployment)
    if kind is None:
        raise ParameterError(
            f"validate: deployment is a {type(deployment).__name__}, and should be a RealTime, MultiModel, "
            "InferenceComponent, Serverless, Asynchronous or BatchTransform, or a rollout."
        )
    if getattr(deployment, "service", "sagemaker") != "sagemaker":
        return ()  # Cloud Run and Container Apps: no limits of theirs are known here
    platforms = {pricing.machine(each.instance_type).platform for each in _fleets(deployment)} or {"aws"}
    (platform,) = platforms if len(platforms) == 1 else (min(platforms),)
    found = _interruptible(deployment, kind, platform)
    if platforms == {"aws"}:
        return (*found, *_limits(deployment, kind), *_machines(deployment, kind))
    return (*found, *_of_cloud(deployment, "vertex" if platform == "vertex" else "azureml"))


def _interruptible(deployment: Any, kind: limits.Kind, platform: str) -> Iterator[Finding]:
    """Azure ML has low-priority machines for batch jobs, Vertex AI spot machines for endpoints, SageMaker neither."""
    if getattr(deployment, "interruptible", None) is None or (platform, kind) in _MAY_BE_TAKEN:
        return
    words = "machines that may be taken back: Azure ML has them for batch jobs, Vertex AI for endpoints, no other."
    yield Finding("interruptible", "interruptible", deployment.interruptible, words, "V", "documentation of all three")


_MAY_BE_TAKEN = {("azureml", "batch"), ("vertex", "real-time"), ("vertex", "batch")}


def _limits(deployment: Any, kind: limits.Kind) -> Iterator[Finding]:
    known = _facts(deployment, kind)
    for model in _models(deployment) or (None,):
        for found in limits.broken(kind, model, **known):
            row = found.limit
            name = row.fact if row.fact != "payload_in_flight_mb" else "max_payload_in_mb"
            field = cloud_field(name, "sagemaker")
            yield Finding(name, field, found.value, f"{found.words}.", row.mark, row.source)
        known = {}  # the deployment's own are said once


def _facts(deployment: Any, kind: limits.Kind) -> dict[str, float]:
    """What the limits ask, as far as the config itself says it."""
    asked = [row.fact for row in limits.table() if row.deployment == kind] + ["max_concurrent_transforms"]
    known = {name: getattr(deployment, name, None) for name in asked}
    facts = {name: float(value) for name, value in known.items() if isinstance(value, int | float)}
    if kind == "real-time":
        facts["variants"] = float(len(getattr(deployment, "fleets", ())))
        lowest = [p.min_capacity for p in getattr(deployment, "policies", ()) if p.min_capacity is not None]
        if lowest:
            facts["min_capacity"] = float(min(lowest))
    return facts


def _models(deployment: Any) -> tuple[ModelProfile, ...]:
    if hasattr(deployment, "models"):
        return tuple(deployment.models)
    if hasattr(deployment, "components"):
        return tuple(component.model for component in deployment.components)
    shadow = getattr(deployment, "shadow", None)
    if hasattr(deployment, "fleets"):
        return tuple(variant.model for variant in (*deployment.fleets, *((shadow,) if shadow else ())))
    return (deployment.model,)


def _fleets(deployment: Any) -> list[Any]:
    """Whatever of a deployment is on machines."""
    shadow = getattr(deployment, "shadow", None)
    fleets = (*getattr(deployment, "fleets", (deployment,)), *((shadow,) if shadow else ()))
    return [each for each in fleets if hasattr(each, "instance_type")]


def _of_cloud(deployment: Any, platform: Platform) -> Iterator[Finding]:
    """What Vertex AI and Azure ML refuse: counts, times, and machines that nobody has a price for."""
    facts = _cloud_facts(deployment)
    rows: list[dict[str, str]] = read_table("cloud_limits.csv").to_dict("records")  # type: ignore[assignment]
    for row in rows:
        name, at_most = row["parameter"], row["rule"] == "at most"
        if row["platform"] != platform or name not in facts:
            continue
        value, limit = facts[name], float(row["value"])
        if value > limit if at_most else value < limit:
            words = f"{value:g} {'>' if at_most else '<'} {limit:g} {row['words']}."
            source = f"{row['publisher']}: {row['source']}, {row['as_of']}"
            yield Finding(name, cloud_field(name, platform), value, words, row["mark"], source)
    for name in dict.fromkeys(each.instance_type for each in _fleets(deployment)):
        what, field = pricing.machine(name), cloud_field("instance_type", platform)
        for sku, _, _ in what.parts:
            if gone := pricing.retired(what.platform, sku):
                words = f"{sku} was retired on {gone.on}."
                yield Finding("instance_type", field, name, words, gone.mark, gone.source)
            if what.platform == platform and sku not in pricing.skus(platform, what.service):
                words = f"{sku} has no price in the catalog, so it cannot be simulated with a bill."
                yield Finding("instance_type", field, name, words, "U", "simlib's catalog")


def _cloud_facts(deployment: Any) -> dict[str, float]:
    fleets, policies = _fleets(deployment), getattr(deployment, "policies", ())
    facts = {"deployments": float(len(fleets))}
    counts = [each.initial_instance_count for each in fleets if hasattr(each, "initial_instance_count")]
    if counts and hasattr(deployment, "routing"):
        facts["initial_instance_count"] = float(max(counts) if min(counts) > 0 else 0)
        facts["invocation_timeout_s"] = deployment.invocation_timeout_s
    if getattr(deployment, "shadow", None) is not None:
        facts["shadow_sampling_percentage"] = deployment.shadow_sampling_percentage
    bounds = [(p.min_capacity, p.max_capacity) for p in policies if isinstance(p, Deciding)]
    if bounds:
        facts |= {
            "min_capacity": float(min(low for low, _ in bounds)),
            "max_capacity": float(max(b for _, b in bounds)),
        }
    return facts


def _machines(deployment: Any, kind: limits.Kind) -> Iterator[Finding]:
    """Machines that cannot do this, and machines that cannot be scaled."""
    if kind == "serverless":
        return
    use = "batch_transform" if kind == "batch" else "hosting"
    fleets = _fleets(deployment)
    scaled = any(isinstance(policy, Deciding) for policy in getattr(deployment, "policies", ()))
    field, api = cloud_field("instance_type", "sagemaker"), "SageMaker API, instance types (botocore 1.43.11)"
    for name in dict.fromkeys(each.instance_type for each in fleets):
        known = instance_types().get(name)
        if known is None:
            words = f"{name} is no instance type of SageMaker."
            yield Finding("instance_type", field, name, words, "V", api)
        elif use not in known.uses:
            words = f"{name} is not offered for {use.replace('_', ' ')}."
            yield Finding("instance_type", field, name, words, "V", api)
        elif scaled and name.startswith("ml.t2."):
            guide = "SageMaker developer guide, endpoint-auto-scaling-prerequisites"
            words = f"{name} is burstable, and a variant on it cannot be scaled automatically."
            yield Finding("instance_type", field, name, words, "V", guide)
