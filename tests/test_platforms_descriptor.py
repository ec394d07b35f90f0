"""SageMaker's request parameters as configs; each wrong field is named in a sentence."""

import json
from pathlib import Path

import pytest

import simlib as sl
from simlib import platforms, workload

MODEL = sl.ModelProfile("tagger", service=sl.constant(0.05))
BLUE = {"VariantName": "blue", "ModelName": "m", "InstanceType": "ml.m5.xlarge", "InitialInstanceCount": 2}
POLICY = {
    "PolicyName": "p",
    "PolicyType": "TargetTrackingScaling",
    "TargetTrackingScalingPolicyConfiguration": {
        "TargetValue": 70.0,
        "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
        "ScaleInCooldown": 600,
    },
}
TARGET = {"MinCapacity": 1, "MaxCapacity": 4, "RoleARN": "r"}


def config(*variants: dict, **more: object) -> dict:
    return {"EndpointConfigName": "e", "ProductionVariants": list(variants or (BLUE,)), **more}


def test_variants_a_shadow_and_their_shares() -> None:
    green = BLUE | {"VariantName": "green", "InitialVariantWeight": 3}
    shadow = BLUE | {"VariantName": "shadow", "InitialVariantWeight": 1}
    made = platforms.read_deployment(config(BLUE, green, ShadowProductionVariants=[shadow]), model=MODEL).deployment
    assert [(v.name, v.weight, v.initial_instance_count) for v in made.variants] == [("blue", 1, 2), ("green", 3, 2)]
    assert made.shadow_sampling_percentage == 25
    run = sl.simulate(made, workload.poisson(rate=2), hours=0.1, progress=False)
    run.check()
    assert len(run.requests) > 0


def test_serverless_and_asynchronous() -> None:
    small = {"VariantName": "v", "ModelName": "m", "ServerlessConfig": {"MemorySizeInMB": 4096, "MaxConcurrency": 3}}
    made = platforms.read_deployment(config(small), model=MODEL).deployment
    assert (made.memory_mb, made.max_concurrency, made.provisioned_concurrency) == (4096, 3, 0)
    queue = {"OutputConfig": {"S3OutputPath": "s3://x"}, "ClientConfig": {"MaxConcurrentInvocationsPerInstance": 4}}
    made = platforms.read_deployment(config(AsyncInferenceConfig=queue), model=MODEL).deployment
    assert (made.max_concurrent_invocations_per_instance, made.initial_instance_count) == (4, 2)


def test_a_policy_and_its_bounds_join_the_endpoint(tmp_path: Path) -> None:
    file = tmp_path / "policy.json"
    file.write_text(json.dumps({"operation": "put_scaling_policy", "params": POLICY}))
    (policy,) = platforms.read_deployment(json.dumps(config()), file, TARGET, model=MODEL).deployment.policies
    assert (policy.target, policy.metric) == (70, "InvocationsPerInstance")
    assert (policy.min_capacity, policy.max_capacity) == (1, 4)
    assert (policy.in_cooldown_s, policy.out_cooldown_s) == (600, 300)


def test_what_is_refused_and_what_is_not_read_is_told() -> None:
    odd = BLUE | {"InstanceType": "ml.t3.medium", "RoutingConfig": {"RoutingStrategy": "RANDOM"}}
    found = platforms.read_deployment(config(odd, DataCaptureConfig={}), model=MODEL)
    assert [each.words for each in found.findings] == ["ml.t3.medium is not offered for hosting."]
    assert set(found.unread) == {"ProductionVariants[0].RoutingConfig", "DataCaptureConfig"}


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (config(BLUE | {"InstanceType": "{{type}}"}), r"ProductionVariants\[0\].InstanceType='{{type}}' is a template"),
        (config(BLUE | {"InitialInstanceCount": "${N}"}), r"InitialInstanceCount='\${N}' is a template"),
        (config(BLUE | {"InitialInstanceCount": "two"}), "InitialInstanceCount='two' should be a whole number"),
        (config({"VariantName": "v"}), r"ProductionVariants\[0\].InstanceType is missing"),
        (config("blue"), r"ProductionVariants\[0\]='blue' should be an object"),
        ({"ProductionVariants": []}, "should have at least one variant"),
        ({"kind": "x"}, "neither ProductionVariants nor"),
        (POLICY, "0 objects with ProductionVariants"),
        ("{not json", "is not JSON"),
        ("nowhere.json", "cannot be read"),
    ],
)
def test_each_mistake_is_one_sentence_that_names_the_field(source: object, words: str) -> None:
    with pytest.raises(sl.ParameterError, match=words) as caught:
        platforms.read_deployment(source, model=MODEL)
    assert "\n" not in str(caught.value)


def test_a_policy_without_bounds_or_of_another_type_is_refused() -> None:
    with pytest.raises(sl.ParameterError, match="MaxCapacity is missing"):
        platforms.read_deployment(config(), POLICY, model=MODEL)
    with pytest.raises(sl.ParameterError, match="PolicyType='StepScaling' is not read"):
        platforms.read_deployment(config(), POLICY | {"PolicyType": "StepScaling"}, TARGET, model=MODEL)
