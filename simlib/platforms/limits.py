"""What SageMaker would refuse about a deployment that simlib would simulate: hard limits and rules across fields."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from simlib.model import ModelProfile
from simlib.parameters import ParameterError, checked
from simlib.platforms.fields import cloud_field
from simlib.serving import limits
from simlib.serving.hardware import instance_types
from simlib.serving.scaling import Watching


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
    """What SageMaker would refuse of a deployment, in one sentence each; empty if nothing is known to be wrong.

    Constructors check sense only, so that theory can be tried beyond a vendor's limits.  Here the rows of
    `serving.limits` are asked, which machines may host, which may be scaled, and how few may be kept.

    Raises
    ------
    ParameterError
        If it is no deployment that a platform sets limits for.
    """
    kind = limits.kind_of(deployment)
    if kind is None:
        raise ParameterError(
            f"validate: deployment is a {type(deployment).__name__}, and should be a RealTime, MultiModel, "
            "InferenceComponent, Serverless, Asynchronous or BatchTransform."
        )
    return tuple([*_limits(deployment, kind), *_machines(deployment, kind)])


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


def _machines(deployment: Any, kind: limits.Kind) -> Iterator[Finding]:
    """Machines that cannot do this, and machines that cannot be scaled."""
    if kind == "serverless":
        return
    use = "batch_transform" if kind == "batch" else "hosting"
    shadow = getattr(deployment, "shadow", None)
    fleets = (*getattr(deployment, "fleets", (deployment,)), *((shadow,) if shadow else ()))
    scaled = any(isinstance(policy, Watching) for policy in getattr(deployment, "policies", ()))
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
