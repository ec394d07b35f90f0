"""Deployments as people keep them: SageMaker's request parameters (JSON), as configs that simulate.

Read: `create_endpoint_config`, `register_scalable_target` and `put_scaling_policy` of boto3, bare or as
{"operation": …, "params": …}.  Not read yet: CloudFormation, ACK, Azure ML, Vertex AI.
"""

import dataclasses
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from simlib.model import ModelProfile
from simlib.parameters import ParameterError, checked, shortly
from simlib.platforms.limits import Finding, validate
from simlib.serving import Asynchronous, RealTime, Serverless, TargetTracking, Variant

Source = str | Path | Mapping[str, Any]
_PLACEHOLDER = re.compile(r"\{\{.*?\}\}|\$\{.*?\}|<[^<>]+>|^\$\w+$|^\{\w+\}$")
_METRICS = {
    "SageMakerVariantInvocationsPerInstance": "InvocationsPerInstance",
    "SageMakerVariantConcurrentRequestsPerModelHighResolution": "ConcurrentRequestsPerModel",
    "SageMakerVariantProvisionedConcurrencyUtilization": "ServerlessProvisionedConcurrencyUtilization",
    "ApproximateBacklogSizePerInstance": "ApproximateBacklogSizePerInstance",
    "CPUUtilization": "CPUUtilization",
}


@dataclasses.dataclass(frozen=True)
class Descriptor:
    """What the files said: the config, what SageMaker would refuse of it, what was not read, what was assumed."""

    deployment: RealTime | Serverless | Asynchronous
    findings: tuple[Finding, ...]
    unread: tuple[str, ...]
    assumed: tuple[str, ...]


class _Fields:
    """The fields of one JSON object: what is taken is checked, and what is never taken can be told."""

    def __init__(self, found: Any, where: str, unread: list[str]) -> None:
        if not isinstance(found, Mapping):
            raise ParameterError(f"read_deployment: {where}={shortly(found)} should be an object with fields.")
        self.found, self.where, self.unread, self.taken = found, where, unread, set[str]()

    def name(self, key: str) -> str:
        return f"{self.where}.{key}" if self.where else key

    def text(self, key: str, default: str | None = None) -> str:
        return str(self._take(key, default, str, "a text"))

    def number(self, key: str, default: float | None = None) -> float:
        return float(self._take(key, default, (int, float), "a number"))

    def whole(self, key: str, default: int | None = None) -> int:
        return int(self._take(key, default, int, "a whole number"))

    def _take(self, key: str, default: Any, kind: Any, wanted: str) -> Any:
        self.taken.add(key)
        value = self.found.get(key, default)
        if value is None:
            raise ParameterError(f"read_deployment: {self.name(key)} is missing; it should be {wanted}.")
        if isinstance(value, str) and _PLACEHOLDER.search(value):
            raise ParameterError(
                f"read_deployment: {self.name(key)}={shortly(value)} is a template's placeholder; put {wanted} there."
            )
        if not isinstance(value, kind) or isinstance(value, bool):
            raise ParameterError(f"read_deployment: {self.name(key)}={shortly(value)} should be {wanted}.")
        return value

    def inside(self, key: str) -> "_Fields | None":
        """The object under *key*, None where there is none."""
        self.taken.add(key)
        found = self.found.get(key)
        return None if found is None else _Fields(found, self.name(key), self.unread)

    def several(self, key: str) -> "list[_Fields]":
        """The objects in the list under *key*."""
        self.taken.add(key)
        found = self.found.get(key) or []
        if not isinstance(found, list):
            raise ParameterError(f"read_deployment: {self.name(key)}={shortly(found)} should be a list.")
        return [_Fields(each, f"{self.name(key)}[{k}]", self.unread) for k, each in enumerate(found)]

    def ignoring(self, *keys: str) -> None:
        """Fields that change nothing here are known; every other one that was not taken is told."""
        self.unread += [self.name(key) for key in self.found if key not in self.taken | set(keys)]


@checked
def read_deployment(source: Source, *more: Source, model: ModelProfile) -> Descriptor:
    """The deployment that a SageMaker descriptor describes, with its scaling, ready to be simulated.

    Parameters
    ----------
    source, *more : path, JSON text, or dict
        One `create_endpoint_config`, and the `register_scalable_target` and `put_scaling_policy` that go with it.
    model : ModelProfile
        What no such file holds: how long one request takes.  Every variant gets it.

    Raises
    ------
    ParameterError
        One sentence that names the field: missing, of a wrong kind, still a template's placeholder, or not simulated.
    """
    documents = [_document(each) for each in (source, *more)]
    configs = [each for each in documents if "ProductionVariants" in each]
    targets = [each for each in documents if "MinCapacity" in each or "MaxCapacity" in each]
    policies = [each for each in documents if "PolicyType" in each or "PolicyName" in each]
    for each in documents:
        if not any(each is known for known in (*configs, *targets, *policies)):
            keys = ", ".join(list(map(str, each))[:5]) or "nothing"
            raise ParameterError(
                f"read_deployment: source has neither ProductionVariants nor MinCapacity nor PolicyType, but {keys}."
            )
    if len(configs) != 1 or len(targets) > 1:
        raise ParameterError(
            f"read_deployment: source holds {len(configs)} objects with ProductionVariants and {len(targets)} with "
            "MinCapacity; give one create_endpoint_config, and at most one register_scalable_target."
        )
    unread: list[str] = []
    assumed = ["the service time of every variant is that of model="]
    scaling = tuple(_scaling(policies, targets, unread, assumed))
    deployment = _endpoint(_Fields(configs[0], "", unread), model, scaling, assumed)
    return Descriptor(deployment, validate(deployment), tuple(unread), tuple(assumed))


def _document(source: Source) -> Mapping[str, Any]:
    """The parameters in a file, a text or a dict."""
    if isinstance(source, Mapping):
        found: Any = source
    else:
        try:
            is_text = isinstance(source, str) and source.lstrip().startswith("{")
            text = str(source) if is_text else Path(source).read_text(encoding="utf-8-sig")
            found = json.loads(text)
        except OSError as error:
            raise ParameterError(f"read_deployment: source={str(source)!r} cannot be read: {error.strerror}.") from None
        except ValueError as error:
            what = " ".join(str(error).split())
            raise ParameterError(f"read_deployment: source={shortly(str(source))} is not JSON: {what}.") from None
    found = found.get("params", found) if isinstance(found, Mapping) else found
    if not isinstance(found, Mapping):
        raise ParameterError(f"read_deployment: source={shortly(found)} should hold an object with fields.")
    return found


def _endpoint(
    config: _Fields, model: ModelProfile, scaling: tuple[TargetTracking, ...], assumed: list[str]
) -> RealTime | Serverless | Asynchronous:
    variants, shadows = config.several("ProductionVariants"), config.several("ShadowProductionVariants")
    queue = config.inside("AsyncInferenceConfig")
    config.ignoring("EndpointConfigName", "Tags")
    if not variants:
        raise ParameterError("read_deployment: ProductionVariants=[] should have at least one variant.")
    serverless = variants[0].inside("ServerlessConfig")
    if (queue or serverless) and len(variants) > 1:
        kind = "AsyncInferenceConfig" if queue else "ServerlessConfig"
        raise ParameterError(f"read_deployment: ProductionVariants has {len(variants)} variants; {kind} allows one.")
    policies = scaling or None
    if serverless:
        variants[0].ignoring("VariantName", "ModelName", "InitialVariantWeight")
        return _serverless(serverless, model, policies)
    if queue:
        slots = queue.inside("ClientConfig")
        queue.ignoring("OutputConfig")
        usual = _variant(variants[0], model)
        if slots is None or "MaxConcurrentInvocationsPerInstance" not in slots.found:
            assumed.append("MaxConcurrentInvocationsPerInstance is not given, and SageMaker chooses: 1")
        return Asynchronous(
            model,
            instance_type=usual.instance_type,
            initial_instance_count=usual.initial_instance_count,
            max_concurrent_invocations_per_instance=slots.whole("MaxConcurrentInvocationsPerInstance", 1)
            if slots
            else 1,
            scaling=policies,
        )
    if len(shadows) > 1:
        raise ParameterError(f"read_deployment: ShadowProductionVariants has {len(shadows)} variants; one is allowed.")
    made, copy = tuple(_variant(each, model) for each in variants), [_variant(each, model) for each in shadows]
    extra: dict[str, Any] = {"shadow": copy[0], "shadow_sampling_percentage": _copied(copy[0], made)} if copy else {}
    return RealTime(variants=made, scaling=policies, **extra)


def _copied(shadow: Variant, production: tuple[Variant, ...]) -> float:
    """A shadow's weight beside the production variants' is the share of the requests it gets [%]."""
    return min(100.0, 100 * shadow.weight / sum(variant.weight for variant in production))


def _serverless(found: _Fields, model: ModelProfile, scaling: tuple[TargetTracking, ...] | None) -> Serverless:
    made = Serverless(
        model,
        memory_mb=found.whole("MemorySizeInMB"),
        max_concurrency=found.whole("MaxConcurrency"),
        provisioned_concurrency=found.whole("ProvisionedConcurrency", 0),
        scaling=scaling,
    )
    found.ignoring()
    return made


def _variant(found: _Fields, model: ModelProfile) -> Variant:
    made = Variant(
        found.text("VariantName"),
        model,
        weight=found.number("InitialVariantWeight", 1.0),
        instance_type=found.text("InstanceType"),
        initial_instance_count=found.whole("InitialInstanceCount"),
    )
    found.ignoring("ModelName")
    return made


def _scaling(
    policies: list[Mapping[str, Any]], targets: list[Mapping[str, Any]], unread: list[str], assumed: list[str]
) -> Iterator[TargetTracking]:
    bounds = _Fields(targets[0], "", unread) if targets else None
    for each in policies:
        policy = _Fields(each, "", unread)
        if policy.text("PolicyType", "TargetTrackingScaling") != "TargetTrackingScaling":
            raise ParameterError(
                f"read_deployment: PolicyType={policy.text('PolicyType')!r} is not read: its threshold stands in an "
                "alarm elsewhere; give serving.StepScaling yourself."
            )
        if bounds is None:
            raise ParameterError(
                "read_deployment: MaxCapacity is missing; it stands in register_scalable_target: give that file too."
            )
        tracking = policy.inside("TargetTrackingScalingPolicyConfiguration")
        if tracking is None:
            raise ParameterError("read_deployment: TargetTrackingScalingPolicyConfiguration is missing.")
        yield TargetTracking(
            tracking.number("TargetValue"),
            metric=_metric(tracking),  # type: ignore[arg-type]
            min_capacity=bounds.whole("MinCapacity"),
            max_capacity=bounds.whole("MaxCapacity"),
            out_cooldown_s=tracking.number("ScaleOutCooldown", 300.0),
            in_cooldown_s=tracking.number("ScaleInCooldown", 300.0),
            disable_scale_in=tracking.found.get("DisableScaleIn") is True,
        )
        tracking.ignoring("DisableScaleIn")
        policy.ignoring("PolicyName", "ServiceNamespace", "ResourceId", "ScalableDimension")
        assumed.append("every variant follows the policy, whichever its ResourceId names")
    if bounds:
        bounds.ignoring("MinCapacity", "MaxCapacity", "ServiceNamespace", "ResourceId", "ScalableDimension", "RoleARN")


def _metric(tracking: _Fields) -> str:
    ready, own = tracking.inside("PredefinedMetricSpecification"), tracking.inside("CustomizedMetricSpecification")
    named = ready or own
    if named is None:
        raise ParameterError(f"read_deployment: {tracking.name('PredefinedMetricSpecification')} is missing.")
    key = "PredefinedMetricType" if ready else "MetricName"
    name = named.text(key)
    if name not in _METRICS:
        raise ParameterError(
            f"read_deployment: {named.name(key)}={name!r} is not simulated; it should be one of {', '.join(_METRICS)}."
        )
    return _METRICS[name]
