"""Inference components and the alarms of an update, read from SageMaker's files."""

from typing import Any

import pytest

import simlib as sl
from simlib import platforms, serving, workload

MODEL = sl.ModelProfile("tagger", service=sl.constant(0.05))
CONFIG = {
    "EndpointConfigName": "e",
    "ExecutionRoleArn": "arn:aws:iam::000000000000:role/x",
    "ProductionVariants": [
        {
            "VariantName": "all",
            "InstanceType": "ml.g5.12xlarge",
            "InitialInstanceCount": 1,
            "ManagedInstanceScaling": {"Status": "ENABLED", "MinInstanceCount": 1, "MaxInstanceCount": 3},
        }
    ],
}


def component(name: str, accelerators: int = 1, copies: int = 2) -> dict[str, Any]:
    needs = {"NumberOfAcceleratorDevicesRequired": accelerators, "MinMemoryRequiredInMb": 2048}
    return {
        "InferenceComponentName": name,
        "EndpointName": "e",
        "VariantName": "all",
        "Specification": {"ModelName": "m", "ComputeResourceRequirements": needs},
        "RuntimeConfig": {"CopyCount": copies},
    }


def scaled(name: str, target: float, most: int) -> list[dict[str, Any]]:
    of = {"ServiceNamespace": "sagemaker", "ResourceId": f"inference-component/{name}"}
    of["ScalableDimension"] = "sagemaker:inference-component:DesiredCopyCount"
    metric = {"PredefinedMetricType": "SageMakerInferenceComponentInvocationsPerCopy"}
    tracking = {"TargetValue": target, "PredefinedMetricSpecification": metric}
    policy = {"PolicyName": name, "PolicyType": "TargetTrackingScaling"}
    return [
        {**of, "MinCapacity": 1, "MaxCapacity": most},
        {**of, **policy, "TargetTrackingScalingPolicyConfiguration": tracking},
    ]


def test_components_with_a_policy_each() -> None:
    sources = [component("a"), component("b", accelerators=2, copies=1), *scaled("a", 60, 4), *scaled("b", 30, 2)]
    found = platforms.read_deployment(CONFIG, *sources, model=MODEL)
    made = found.deployment
    assert isinstance(made, serving.InferenceComponent)
    assert [(c.name, c.accelerators, c.memory_mb, c.copy_count) for c in made.components] == [
        ("a", 1, 2048, 2),
        ("b", 2, 2048, 1),
    ]
    assert [(c.policies[0].target, c.policies[0].max_capacity) for c in made.components] == [(60, 4), (30, 2)]
    assert made.bounds == (1, 3)
    assert not found.findings
    assert any("4 accelerators" in each for each in found.assumed)
    run = sl.simulate(made, workload.poisson(rate=2), hours=0.1, progress=False)
    run.check()
    assert len(run.requests) > 0


def test_a_component_of_a_template_and_one_without_needs() -> None:
    properties = {key: each for key, each in component("a").items() if key != "InferenceComponentName"}
    resources = {
        "Config": {"Type": "AWS::SageMaker::EndpointConfig", "Properties": CONFIG},
        "Tagger": {"Type": "AWS::SageMaker::InferenceComponent", "Properties": properties},
    }
    (only,) = platforms.read_deployment({"Resources": resources}, model=MODEL).deployment.components
    assert only.name == "Tagger"
    adapter = component("a") | {"Specification": {"BaseInferenceComponentName": "base"}}
    with pytest.raises(sl.ParameterError, match=r"Specification\.ComputeResourceRequirements is missing"):
        platforms.read_deployment(CONFIG, adapter, model=MODEL)


VARIANT = {"VariantName": "v", "ModelName": "m", "InstanceType": "ml.m5.large", "InitialInstanceCount": 4}
PLAIN = {"EndpointConfigName": "e", "ProductionVariants": [VARIANT]}


def alarm(name: str, metric: str, **more: Any) -> dict[str, Any]:
    return {
        "AlarmName": name,
        "MetricName": metric,
        "Threshold": 200_000,
        "ComparisonOperator": "GreaterThanThreshold",
        "EvaluationPeriods": 3,
        "Period": 60,
        **more,
    }


def test_the_alarms_of_an_update_whose_definitions_are_given() -> None:
    """CloudWatch counts latency in microseconds, and the average of 5XX errors is their share."""
    named = [{"AlarmName": name} for name in ("slow", "wrong", "hot", "elsewhere")]
    canary = {"Type": "CANARY", "CanarySize": {"Type": "INSTANCE_COUNT", "Value": 1}, "WaitIntervalInSeconds": 300}
    update = {
        "EndpointName": "e",
        "EndpointConfigName": "e",
        "DeploymentConfig": {
            "BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": canary},
            "AutoRollbackConfiguration": {"Alarms": named},
        },
    }
    alarms = [
        alarm("slow", "ModelLatency", DatapointsToAlarm=2),
        alarm("wrong", "Invocation5XXErrors", Statistic="Average", Threshold=0.05, TreatMissingData="notBreaching"),
        alarm("hot", "DiskUtilization"),
        alarm("another", "CPUUtilization"),
    ]
    found = platforms.read_deployment(PLAIN, update, *alarms, model=MODEL)
    slow, wrong = found.rollout.alarms
    assert (slow.metric, slow.threshold, slow.datapoints) == ("ModelLatency", pytest.approx(0.2), 2)
    assert (wrong.metric, wrong.threshold, wrong.missing_data) == ("ErrorRate", 0.05, "notBreaching")
    assert found.rollout.size_percent == 25
    assert any("elsewhere: only its name" in each for each in found.unread)
    assert any("DiskUtilization is not watched" in each for each in found.unread)
    assert any("starts nothing here" in each for each in found.unread)
    assert any("2 of 3 is simulated as 2 in a row" in each for each in found.assumed)


def test_machines_that_may_be_taken_back_are_not_on_every_platform() -> None:
    less = serving.Interruptible()
    for kind, refused in (("ml.m5.large", True), ("Standard_DS3_v2", True), ("n1-standard-4", False)):
        found = platforms.validate(serving.RealTime(MODEL, instance_type=kind, interruptible=less))
        assert any(each.parameter == "interruptible" for each in found) is refused
    batch = serving.BatchTransform(MODEL, instance_type="Standard_DS3_v2", interruptible=less)
    assert not any(each.parameter == "interruptible" for each in platforms.validate(batch))
