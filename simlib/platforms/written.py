"""One model written as the descriptors of three platforms, and counted: what has to be made, and with which fields.

    >>> import simlib as sl
    >>> from simlib import serving
    >>> model = sl.ModelProfile("churn", service=sl.constant(0.05))
    >>> files = write_deployment(serving.RealTime(model, instance_type="Standard_DS3_v2"))
    >>> list(files)
    ['endpoint', 'deployment']

The documents are the smallest that deploy: every field in them is one that somebody has to fill in.  They are JSON for
SageMaker (boto3) and Vertex AI (REST), and what Azure ML's YAML files hold; `read_deployment` reads them back.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from simlib.model import ModelProfile, constant
from simlib.parameters import ParameterError, Text, checked
from simlib.platforms.fields import PLATFORMS, Platform
from simlib.platforms.sizing import TIMEOUT_S, machines
from simlib.pricing import machine
from simlib.serving import RealTime, ReplicaTracking, Rule, RuleScaling, TargetTracking

Documents = dict[str, dict[str, Any]]
_OF: Mapping[str, Platform] = {"aws": "sagemaker", "vertex": "vertex", "azureml": "azureml"}


@checked
def write_deployment(
    deployment: RealTime,
    *,
    name: Text = "churn",
    artifact: Text = "models/churn/model.tar.gz",
    image: Text = "registry/inference:1",
) -> Documents:
    """The documents that deploy one model on the platform whose machine it names, by what they are called.

    Parameters
    ----------
    deployment : RealTime
        With one model, and no scaling or that platform's own: `TargetTracking` on invocations per instance (SageMaker),
        `ReplicaTracking` (Vertex AI), `RuleScaling` (Azure ML).
    name, artifact, image : str
        Of the model, its package and its container.

    Raises
    ------
    ParameterError
        If there are several variants, or a scaling that the platform does not have.
    """
    if len(deployment.fleets) != 1 or len(deployment.policies) > 1:
        raise ParameterError("write_deployment: deployment should have one model and at most one scaling policy.")
    kind = _OF[machine(deployment.fleets[0].instance_type).platform]
    return _WRITERS[kind](deployment, name, artifact, image)


def _of_sagemaker(deployment: RealTime, name: str, artifact: str, image: str) -> Documents:
    fleet, documents = deployment.fleets[0], dict[str, dict[str, Any]]()
    container = {"Image": image, "ModelDataUrl": artifact}
    documents["create_model"] = {"ModelName": name, "PrimaryContainer": container, "ExecutionRoleArn": _ROLE}
    variant = {
        "VariantName": fleet.name,
        "ModelName": name,
        "InstanceType": fleet.instance_type,
        "InitialInstanceCount": fleet.initial_instance_count,
    }
    documents["create_endpoint_config"] = {"EndpointConfigName": name, "ProductionVariants": [variant]}
    documents["create_endpoint"] = {"EndpointName": name, "EndpointConfigName": name}
    for policy in deployment.policies:
        if not isinstance(policy, TargetTracking) or policy.metric != "InvocationsPerInstance":
            raise _no_scaling(policy, "SageMaker", "TargetTracking on InvocationsPerInstance")
        target = {
            "ServiceNamespace": "sagemaker",
            "ResourceId": f"endpoint/{name}/variant/{fleet.name}",
            "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
        }
        bounds = {"MinCapacity": policy.min_capacity, "MaxCapacity": policy.max_capacity}
        documents["register_scalable_target"] = {**target, **bounds}
        metric = {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"}
        documents["put_scaling_policy"] = {
            "PolicyName": name,
            **target,
            "PolicyType": "TargetTrackingScaling",
            "TargetTrackingScalingPolicyConfiguration": {
                "TargetValue": policy.target,
                "PredefinedMetricSpecification": metric,
            },
        }
    return documents


def _of_vertex(deployment: RealTime, name: str, artifact: str, image: str) -> Documents:
    fleet = deployment.fleets[0]
    container = {"imageUri": image}
    model = {"displayName": name, "artifactUri": artifact.rpartition("/")[0], "containerSpec": container}
    spec: dict[str, Any] = {}
    for k, (sku, count, _) in enumerate(machine(fleet.instance_type).parts):
        spec |= {"machineType": sku} if k == 0 else {"acceleratorType": sku, "acceleratorCount": count}
    resources: dict[str, Any] = {"machineSpec": spec, "minReplicaCount": fleet.initial_instance_count}
    for policy in deployment.policies:
        if not isinstance(policy, ReplicaTracking) or policy.metric not in _VERTEX_METRICS:
            raise _no_scaling(policy, "Vertex AI", "ReplicaTracking")
        resources |= {"minReplicaCount": policy.min_capacity, "maxReplicaCount": policy.max_capacity}
        asked = {"metricName": _VERTEX_METRICS[policy.metric], "target": round(policy.target)}
        resources["autoscalingMetricSpecs"] = [asked]
    deployed = {"model": name, "displayName": name, "dedicatedResources": resources}
    return {
        "upload_model": {"model": model},
        "create_endpoint": {"displayName": name},
        "deploy_model": {"deployedModel": deployed, "trafficSplit": {"0": 100}},
    }


_VERTEX_METRICS = {
    "WorkerUtilization": "aiplatform.googleapis.com/prediction/online/cpu/utilization",
    "DutyCycle": "aiplatform.googleapis.com/prediction/online/accelerator/duty_cycle",
}


def _of_azure(deployment: RealTime, name: str, artifact: str, image: str) -> Documents:
    fleet = deployment.fleets[0]
    routes = {f"{what}_route": {"port": 8080, "path": path} for what, path in _ROUTES.items()}
    deployed: dict[str, Any] = {
        "name": fleet.name.lower(),
        "endpoint_name": name,
        "model": {"path": artifact},
        "environment": {"image": image, "inference_config": routes},
        "instance_type": fleet.instance_type,
        "instance_count": fleet.initial_instance_count,
    }
    settings: dict[str, Any] = {}
    if fleet.workers > 1:
        settings["max_concurrent_requests_per_instance"] = fleet.workers
    if deployment.invocation_timeout_s != 5.0:
        settings["request_timeout_ms"] = round(1000 * deployment.invocation_timeout_s)
    if settings:
        deployed["request_settings"] = settings
    documents = {
        "endpoint": {"name": name, "auth_mode": "key"},
        "deployment": deployed,  # made with --all-traffic, so that the endpoint sends it everything
    }
    for policy in deployment.policies:
        if not isinstance(policy, RuleScaling) or {rule.metric for rule in policy.rules} != {"WorkerUtilization"}:
            raise _no_scaling(policy, "Azure ML", "RuleScaling on WorkerUtilization")
        capacity = {"minimum": str(policy.min_capacity), "maximum": str(policy.max_capacity)}
        capacity["default"] = str(fleet.initial_instance_count)
        profile = {"name": "default", "capacity": capacity, "rules": [_rule(rule) for rule in policy.rules]}
        documents["autoscale_settings"] = {"properties": {"enabled": True, "profiles": [profile]}}
    return documents


def _rule(rule: Rule) -> dict[str, Any]:
    trigger = {
        "metricName": "CpuUtilizationPercentage",
        "operator": {">": "GreaterThan", "<": "LessThan"}[rule.operator],
        "threshold": rule.threshold,
        "timeAggregation": rule.aggregation,
        "timeWindow": f"PT{rule.window_s / 60:g}M",
        "timeGrain": "PT1M",
        "statistic": "Average",
    }
    action = {
        "direction": "Increase" if rule.outward else "Decrease",
        "type": rule.type,
        "value": str(abs(rule.change)),
        "cooldown": f"PT{rule.cooldown_s / 60:g}M",
    }
    return {"metricTrigger": trigger, "scaleAction": action}


_ROLE = "arn:aws:iam::123456789012:role/inference"
_ROUTES = {"liveness": "/ping", "readiness": "/ping", "scoring": "/invocations"}
_WRITERS = {"sagemaker": _of_sagemaker, "vertex": _of_vertex, "azureml": _of_azure}


def _no_scaling(policy: Any, platform: str, wanted: str) -> ParameterError:
    return ParameterError(
        f"write_deployment: scaling={type(policy).__name__} is not what {platform} has; it should be {wanted}."
    )


# --- counting --------------------------------------------------------------------------------------------------------


@checked
def effort(platform: Platform | None = None) -> pd.DataFrame:
    """What has to be made to deploy one model on one machine: objects, and the fields somebody fills in.

    Returns
    -------
    DataFrame
        Without a platform: index platform; objects, fields, and documents (their names).  With one: a row a field, with
        its document and value.
    """
    if platform is not None:
        rows = [(name, *field) for name, made in _smallest(platform).items() for field in _leaves(made, "")]
        return pd.DataFrame(rows, columns=["document", "field", "value"])
    found = {}
    for each in PLATFORMS:
        documents = _smallest(each)
        fields = sum(1 for made in documents.values() for _ in _leaves(made, ""))
        found[each] = (len(documents), fields, ", ".join(documents))
    columns = ["objects", "fields", "documents"]
    return pd.DataFrame.from_dict(found, orient="index", columns=columns).rename_axis("platform")


def _smallest(platform: Platform) -> Documents:
    model = ModelProfile("churn", service=constant(0.05))
    kind, timeout_s = machines("4 vCPUs")[platform].name, TIMEOUT_S[platform]
    return write_deployment(RealTime(model, instance_type=kind, invocation_timeout_s=timeout_s))


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Every value in nested objects and lists, with its path."""
    if isinstance(value, Mapping):
        for name, inside in value.items():
            yield from _leaves(inside, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list):
        for k, inside in enumerate(value):
            yield from _leaves(inside, f"{path}[{k}]")
    else:
        yield path, value
