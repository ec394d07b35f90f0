"""SageMaker's descriptors as deployments: boto3 parameters, CloudFormation and ACK, with their scaling.

Read: create_endpoint_config, create_endpoint and update_endpoint, update_endpoint_weights_and_capacities,
create_inference_component, create_transform_job, register_scalable_target, put_scaling_policy (target tracking and
step), put_metric_alarm (what a step policy acts on, and what turns an update back), put_scheduled_action; the
CloudFormation resources and Kubernetes objects (ACK) of the same; and where they stand inside other objects.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from simlib.model import ModelProfile
from simlib.parameters import ParameterError, shortly
from simlib.platforms.descriptors import shapes
from simlib.platforms.descriptors.autoscaling import Named, Scaling, unused
from simlib.platforms.descriptors.cloudformation import Template, is_part_of_one, is_template
from simlib.platforms.descriptors.components import packed, shared_out
from simlib.platforms.descriptors.jobs import transform_job
from simlib.platforms.descriptors.reading import Fields, Notes, Unset, built, deep, pascal, snake
from simlib.platforms.descriptors.rollouts import Rollout, rollout_of
from simlib.platforms.descriptors.within import objects_within
from simlib.platforms.limits import Finding
from simlib.serving import (
    Asynchronous,
    BatchTransform,
    InferenceComponent,
    InstanceLife,
    RealTime,
    Serverless,
    Variant,
)
from simlib.serving.capture import Capture

_OPERATIONS = {
    "create_endpoint_config": "config",
    "create_endpoint": "endpoint",
    "update_endpoint": "endpoint",
    "register_scalable_target": "target",
    "put_scaling_policy": "policy",
    "put_metric_alarm": "alarm",
    "put_scheduled_action": "schedule",
    "create_inference_component": "component",
    "create_transform_job": "transform",
    "update_endpoint_weights_and_capacities": "weights",
    "create_model": "model",
}
_RESOURCES = {
    "AWS::SageMaker::EndpointConfig": "config",
    "AWS::SageMaker::Endpoint": "endpoint",
    "AWS::ApplicationAutoScaling::ScalableTarget": "target",
    "AWS::ApplicationAutoScaling::ScalingPolicy": "policy",
    "AWS::CloudWatch::Alarm": "alarm",
    "AWS::SageMaker::InferenceComponent": "component",
    "AWS::SageMaker::Model": "model",
}
_OBJECTS = {
    "EndpointConfig": "config",
    "HostingDeployment": "config",
    "Endpoint": "endpoint",
    "InferenceComponent": "component",
    "ScalableTarget": "target",
    "ScalingPolicy": "policy",
    "HostingAutoscalingPolicy": "policy",
    "TransformJob": "transform",
    "BatchTransformJob": "transform",
    "Model": "model",
}
_API = {
    "config": ("sagemaker", "CreateEndpointConfig"),
    "component": ("sagemaker", "CreateInferenceComponent"),
    "target": ("application-autoscaling", "RegisterScalableTarget"),
    "policy": ("application-autoscaling", "PutScalingPolicy"),
    "transform": ("sagemaker", "CreateTransformJob"),
    "weights": ("sagemaker", "UpdateEndpointWeightsAndCapacities"),
}
_SAYS = {  # what an object of a kind has, for those that need another beside them
    "endpoint": "EndpointConfigName",
    "component": "InferenceComponentName",
    "target": "MaxCapacity",
    "policy": "PolicyName",
    "weights": "DesiredWeightsAndCapacities",
    "model": "a model",
}
Endpoint = RealTime | Serverless | Asynchronous | InferenceComponent
_TOLD_BY_OTHERS = ("EndpointConfigName", "EndpointName", "Tags", "KmsKeyId", "EnableNetworkIsolation", "VpcConfig")


class Part(NamedTuple):
    """One object of a known kind: what it is called in its file, where it stands, and its fields by the API's names."""

    kind: str
    name: str
    where: str
    found: Any


def parts_of(found: Any, given: Mapping[str, Any]) -> list[Part] | None:
    """The objects of SageMaker's kinds in a document; None if it is not of SageMaker's at all."""
    if not isinstance(found, Mapping):
        return None
    if is_template(found) or is_part_of_one(found):
        whole = found if is_template(found) else {"Resources": found}
        made = Template(whole, given).resources()
        return [
            Part(_RESOURCES[kind], name, f"Resources.{name}.Properties", properties)
            if kind in _RESOURCES
            else Part("other", kind, f"Resources.{name}", {})
            for name, (kind, properties) in made.items()
            if _of_sagemaker(kind, properties, made)
        ]
    if "apiVersion" in found and "kind" in found:
        return _of_kubernetes(found, given)
    if isinstance(found.get("operation"), str) and "params" in found:
        kind = _OPERATIONS.get(snake(found["operation"]))
        return [] if kind is None else [Part(kind, found["operation"], "", found["params"])]
    kind = _by_its_fields(found)
    if kind is not None:
        return [Part(kind, kind, "", found)]
    return [Part(kind, where, where, inside) for kind, where, inside in objects_within(found, given)] or None


def _of_sagemaker(kind: str, properties: Any, others: Mapping[str, tuple[str, Any]]) -> bool:
    """Targets and policies of other services live in the same template."""
    if "AutoScaling" not in kind or not isinstance(properties, Mapping):
        return True
    target = others.get(str(properties.get("ScalingTargetId", "")))
    both = {**(target[1] if target and isinstance(target[1], Mapping) else {}), **properties}
    says = str(both.get("ServiceNamespace") or both.get("ScalableDimension") or "sagemaker")
    return says.startswith("sagemaker") or "{" in says


def _of_kubernetes(found: Mapping[str, Any], given: Mapping[str, Any]) -> list[Part] | None:
    if found.get("kind") == "List" and isinstance(found.get("items"), list):
        return [part for each in found["items"] for part in (parts_of(each, given) or ())]
    group = str(found["apiVersion"]).split("/", maxsplit=1)[0]
    if not group.startswith(("sagemaker.", "applicationautoscaling.")):
        return None
    kind, spec = str(found["kind"]), deep(found.get("spec") or {}, pascal)
    if kind == "HostingAutoscalingPolicy":
        return [Part("target", kind, "spec", spec), Part("policy", kind, "spec", spec)]
    return [Part(_OBJECTS[kind], kind, "spec", spec)] if kind in _OBJECTS else []


def _by_its_fields(found: Mapping[str, Any]) -> str | None:
    if "ProductionVariants" in found:
        return "config"
    if "TransformResources" in found or "TransformJobName" in found:
        return "transform"
    if "DesiredWeightsAndCapacities" in found:
        return "weights"
    if "ModelName" in found and {"PrimaryContainer", "Containers"} & set(found):
        return "model"
    if "PolicyType" in found or "PolicyName" in found or "TargetTrackingScalingPolicyConfiguration" in found:
        return "policy"
    if "InferenceComponentName" in found and "Specification" in found:
        return "component"
    if "ScheduledActionName" in found:
        return "schedule"
    if "MinCapacity" in found or "MaxCapacity" in found:
        return "target"
    if "AlarmName" in found and "Threshold" in found:
        return "alarm"
    return "endpoint" if "EndpointName" in found and "EndpointConfigName" in found else None


def build(
    parts: list[Part], model: ModelProfile, notes: Notes, given: Mapping[str, Any], name: str | None
) -> tuple[Endpoint | BatchTransform, list[Finding], Rollout | None]:
    """The deployment that the parts describe together, what the API's model has against them, and how it is updated."""
    parts = _known(parts, notes)
    for part in parts:
        Fields(part.found, part.where or part.name, notes, given)  # says so where it is no object
    jobs = [part for part in parts if part.kind == "transform"]
    if jobs and not any(part.kind == "config" for part in parts):
        job = _one_of(jobs, name, "TransformJobName")
        wrong = _shape_findings(job, given)
        _say_without_botocore(notes)
        return transform_job(Fields(job.found, job.where, notes, given), model), wrong, None
    notes.unread += [f"{job.where or job.name}: a batch job beside the endpoint" for job in jobs]
    config = _with_new_weights(_one_config(parts, name), parts, notes, given)
    _tell_of_models(parts, notes, given)
    wrong = [
        finding
        for part in (config, *(part for part in parts if part.kind not in ("config", "transform")))
        if part.kind in _API and not part.name.startswith("Hosting")
        for finding in _shape_findings(part, given)
    ]
    _say_without_botocore(notes)

    def of(kind: str) -> Named:
        return [(part.name, Fields(part.found, part.where, notes, given)) for part in parts if part.kind == kind]

    targets, rules, alarms, schedules = (of(kind) for kind in ("target", "policy", "alarm", "schedule"))
    read, components = Fields(config.found, config.where, notes, given), of("component")
    deployment: Endpoint
    if components:
        scaled = {
            name: tuple(Scaling(*of_one, alarms, [], notes).policies())
            for name, of_one in shared_out(components, targets, rules).items()
        }
        if schedules:
            notes.unread.append("ScheduledActionName: schedules of inference components")
        deployment = packed(read, components, scaled, model)
    else:
        scaling = tuple(Scaling(targets, rules, alarms, schedules, notes).policies()) or None
        deployment = _endpoint(read, model, scaling)
    rollout = None
    for part in parts:
        if part.kind == "endpoint":
            endpoint = Fields(part.found, part.where, notes, given)
            instances = sum(variant.initial_instance_count for variant in getattr(deployment, "fleets", ()))
            rollout = rollout_of(endpoint, instances, alarms) or rollout
            endpoint.ignoring(*_TOLD_BY_OTHERS)
    notes.unread += unused(alarms)
    return deployment, wrong, rollout


def _shape_findings(part: Part, given: Mapping[str, Any]) -> list[Finding]:
    """What the API's model has against a part, but not against what `parameters=` fills in."""
    found = list(shapes.check(part.found, *_API[part.kind], part.where))
    filled_in = [each for each in found if isinstance(each.value, str) and each.value in given]
    return [each for each in found if each not in filled_in and not _only_of_a_template(part, each)]


def _say_without_botocore(notes: Notes) -> None:
    if shapes.version() is None:
        notes.assume("botocore is not installed, so the shapes of SageMaker's API were not checked")


def _known(parts: list[Part], notes: Notes) -> list[Part]:
    """Without what is of no use here, or left open and not needed; where nothing else is there, all of them."""
    kept = []
    for part in parts:
        if part.kind == "other":
            notes.unread.append(f"{part.where}: {part.name}")
        elif isinstance(part.found, Unset) and part.kind not in ("config", "transform"):
            notes.unread.append(f"{part.where} is left open: {part.found.why}")
        else:
            kept.append(part)
    return kept or parts


def _tell_of_models(parts: list[Part], notes: Notes, given: Mapping[str, Any]) -> None:
    """What a model is made of changes nothing here, unless it is several."""
    for part in (part for part in parts if part.kind == "model"):
        found = Fields(part.found, part.where, notes, given)
        primary = found.inside("PrimaryContainer")
        containers = [*([primary] if primary is not None else []), *found.several("Containers")]
        for each in containers:
            if str(each.found.get("Mode")) == "MultiModel":
                notes.unread.append(
                    f"{each.name('Mode')}=MultiModel: one model is read; serving.MultiModel has several"
                )
        if len(containers) > 1:
            notes.assume(f"{found.name('Containers')}: the service time is that of all {len(containers)} together")


def _with_new_weights(config: Part, parts: list[Part], notes: Notes, given: Mapping[str, Any]) -> Part:
    """The configuration with the weights and counts of update_endpoint_weights_and_capacities in it."""
    for part in (part for part in parts if part.kind == "weights"):
        variants = config.found.get("ProductionVariants")
        known = {str(v.get("VariantName")): dict(v) for v in variants or () if isinstance(v, Mapping)}
        for each in Fields(part.found, part.where, notes, given).several("DesiredWeightsAndCapacities"):
            called = each.text("VariantName")
            if called not in known:
                raise ParameterError(
                    f"read_deployment: {each.name('VariantName')}={called!r} names no variant of the source: "
                    f"{', '.join(known)}."
                )
            if "DesiredWeight" in each:
                known[called]["InitialVariantWeight"] = each.number("DesiredWeight")
            if "DesiredInstanceCount" in each:
                known[called]["InitialInstanceCount"] = each.whole("DesiredInstanceCount")
            each.ignoring()
        config = config._replace(found={**config.found, "ProductionVariants": list(known.values())})
        notes.assume("DesiredWeightsAndCapacities hold from the beginning")
    return config


def _only_of_a_template(part: Part, finding: Finding) -> bool:
    """A template fills in names and ids that the API asks for, and has fields of its own."""
    invented = (
        "EndpointConfigName",
        "TransformJobName",
        "PolicyName",
        "ServiceNamespace",
        "ResourceId",
        "ScalableDimension",
        "ModelName",
    )
    own = ("ScalingTargetId", "ScheduledActions", "Tags", "RoleARN", "MinCapacity", "MaxCapacity", "Region")
    field = finding.field.rsplit(".", maxsplit=1)[-1]
    return part.where != "" and field in (*invented, *own)


def _one_config(parts: list[Part], name: str | None) -> Part:
    configs = [part for part in parts if part.kind == "config"]
    if not (configs if name is None else _called(configs, name, "EndpointConfigName")):
        alone = sorted({part.name if part.kind == "other" else _SAYS.get(part.kind, part.kind) for part in parts})
        called = f" called {name!r}" if name else ""
        raise ParameterError(
            f"read_deployment: source has {' and '.join(alone)}, but 0 objects with ProductionVariants{called};"
            " give the create_endpoint_config that goes with it too."
        )
    return _one_of(configs, name, "EndpointConfigName")


def _called(parts: list[Part], name: str, key: str) -> list[Part]:
    return [part for part in parts if name in (part.name, str(part.found.get(key)))]


def _one_of(parts: list[Part], name: str | None, key: str) -> Part:
    """The one, or the one of that name."""
    found = parts if name is None else _called(parts, name, key)
    if len(found) == 1:
        return found[0]
    what = "ProductionVariants" if key == "EndpointConfigName" else "TransformResources"
    names = ", ".join(str(part.found.get(key) or part.name) for part in parts)
    raise ParameterError(
        f"read_deployment: source holds {len(parts)} objects with {what} ({names}); say which with name=."
    )


# --- endpoints --------------------------------------------------------------------------------------------------------


def _endpoint(config: Fields, model: ModelProfile, scaling: Any) -> RealTime | Serverless | Asynchronous:
    variants, shadows = config.several("ProductionVariants"), config.several("ShadowProductionVariants")
    queue = config.inside("AsyncInferenceConfig")
    capture = _capture(config)
    config.ignoring(*_TOLD_BY_OTHERS)
    if not variants:
        raise ParameterError(
            f"read_deployment: {config.name('ProductionVariants')}=[] should have at least one variant."
        )
    serverless = variants[0].inside("ServerlessConfig")
    if (queue or serverless) and len(variants) > 1:
        kind = "AsyncInferenceConfig" if queue else "ServerlessConfig"
        raise ParameterError(
            f"read_deployment: {config.name('ProductionVariants')} has {len(variants)} variants; {kind} allows one."
        )
    if (queue or serverless) and capture is not None:
        config.notes.unread.append(f"{config.name('DataCaptureConfig')}: capture is simulated on real-time endpoints")
    if (queue or serverless) and shadows:
        raise ParameterError(
            f"read_deployment: {config.name('ShadowProductionVariants')} is for real-time endpoints, not with "
            f"{'AsyncInferenceConfig' if queue else 'ServerlessConfig'}."
        )
    if serverless:
        variants[0].ignoring("VariantName", "ModelName", "InitialVariantWeight")
        return _serverless(serverless, model, scaling)
    settings = _settings(variants)
    made = tuple(_variant(each, model) for each in variants)
    if queue:
        return _asynchronous(queue, made[0], settings, scaling)
    if len(shadows) > 1:
        raise ParameterError(
            f"read_deployment: {config.name('ShadowProductionVariants')} has {len(shadows)} variants; one is allowed."
        )
    if shadows:
        copy = _variant(shadows[0], model)
        settings |= {"shadow": copy, "shadow_sampling_percentage": _copied(copy, made)}
    where = config.name("ProductionVariants")
    return built(where, lambda: RealTime(variants=made, scaling=scaling, data_capture=capture, **settings))


def _copied(shadow: Variant, production: tuple[Variant, ...]) -> float:
    """A shadow's weight beside the production variants' is the share of the requests it gets [%]."""
    total = sum(variant.weight for variant in production)
    return min(100.0, 100 * shadow.weight / total) if total and shadow.weight else 100.0


def _capture(config: Fields) -> Capture | None:
    found = config.inside("DataCaptureConfig")
    if found is None:
        return None
    if not found.flag("EnableCapture", False) or "InitialSamplingPercentage" not in found:
        found.ignoring()
        return None
    share, path = found.number("InitialSamplingPercentage"), found.found.get("DestinationS3Uri") or "s3://captured"
    found.ignoring("DestinationS3Uri", "CaptureOptions", "KmsKeyId", "CaptureContentTypeHeader")
    if share == 0:
        return None
    return built(found.where, lambda: Capture(share, destination=str(path)))


def _settings(variants: list[Fields]) -> dict[str, Any]:
    """What simlib has of the endpoint and SageMaker of each variant: the first's."""
    first, settings = variants[0], dict[str, Any]()
    strategies = {"RANDOM": "RANDOM", "LEAST_OUTSTANDING_REQUESTS": "LEAST_OUTSTANDING_REQUESTS"}
    for each in variants:
        if (found := each.inside("RoutingConfig")) is not None:
            strategy = found.choice("RoutingStrategy", strategies, "RANDOM")
            if settings.setdefault("routing", strategy) != strategy:
                first.notes.assume("every variant is routed as the first, though their RoutingConfig differ")
    if "VolumeSizeInGB" in first:
        settings["volume_size_in_gb"] = first.number("VolumeSizeInGB")
    if "ContainerStartupHealthCheckTimeoutInSeconds" in first:
        patience = first.number("ContainerStartupHealthCheckTimeoutInSeconds")
        settings["instance_life"] = built(first.where, lambda: InstanceLife(startup_health_check_timeout_s=patience))
    for each in variants[1:]:
        each.taken |= first.taken & {"VolumeSizeInGB", "ContainerStartupHealthCheckTimeoutInSeconds"}
    return settings


def _asynchronous(queue: Fields, usual: Variant, settings: dict[str, Any], scaling: Any) -> Asynchronous:
    slots = queue.inside("ClientConfig")
    queue.ignoring("OutputConfig")
    at_once = 1
    if slots is not None and "MaxConcurrentInvocationsPerInstance" in slots:
        at_once = slots.whole("MaxConcurrentInvocationsPerInstance")
    else:
        queue.notes.assume("MaxConcurrentInvocationsPerInstance is not given, and SageMaker chooses: 1")
    kept = {name: settings[name] for name in ("volume_size_in_gb", "instance_life") if name in settings}
    return built(
        queue.where,
        lambda: Asynchronous(
            usual.model,
            instance_type=usual.instance_type,
            initial_instance_count=usual.initial_instance_count,
            max_concurrent_invocations_per_instance=at_once,
            scaling=scaling,
            **kept,
        ),
    )


def _serverless(found: Fields, model: ModelProfile, scaling: Any) -> Serverless:
    memory, most = found.whole("MemorySizeInMB"), found.whole("MaxConcurrency")
    warm = found.whole("ProvisionedConcurrency", 0)
    found.ignoring()
    return built(
        found.where,
        lambda: Serverless(
            model, memory_mb=memory, max_concurrency=most, provisioned_concurrency=warm, scaling=scaling
        ),
    )


def _variant(found: Fields, model: ModelProfile) -> Variant:
    name = str(found.found.get("VariantName") or "AllTraffic")
    if "InitialInstanceCount" not in found:
        found.notes.assume(f"{found.name('InitialInstanceCount')} is not given: 1")
    weight, kind = found.number("InitialVariantWeight", 1.0), _instance_type(found)
    if not kind.startswith("ml."):
        raise ParameterError(
            f"read_deployment: {found.name('InstanceType')}={shortly(kind)} should be an instance type such as "
            "'ml.m5.large'."
        )
    count = found.whole("InitialInstanceCount", 1)
    found.ignoring("ModelName", "VariantName")
    return built(
        found.where,
        lambda: Variant(name, model, weight=weight, instance_type=kind, initial_instance_count=count),
    )


def _instance_type(found: Fields) -> str:
    """The variant's own, or the first of its pools."""
    pools = found.several("InstancePools")
    if "InstanceType" in found or not pools:
        return found.text("InstanceType")
    first = min(pools, key=lambda pool: pool.number("Priority", 1.0))
    found.notes.assume(f"{found.name('InstancePools')}: all instances are of the pool that comes first")
    return first.text("InstanceType")
