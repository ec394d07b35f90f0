"""AWS' own interface, emulated on this machine, beside the simulation: the same words, the same answers."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

import simlib as sl
from simlib import artifacts, mlops, platforms
from simlib.parameters import ParameterError

NOTEBOOK = Path(__file__).parents[1] / "notebooks" / "A1-can-i-trust-the-simulator.ipynb"
MODEL = sl.ModelProfile("gate", service=sl.gamma(0.012, 1 / 3))
WHERE = {"ServiceNamespace": "sagemaker", "ResourceId": "endpoint/gate/variant/blue"}
DIMENSION = "sagemaker:variant:DesiredInstanceCount"


def _client(service: str) -> Any:
    keys = {"aws_access_key_id": "none", "aws_secret_access_key": "none"}
    return boto3.client(service, region_name="us-east-1", **keys)


@pytest.fixture
def aws() -> Iterator[Any]:
    with mock_aws():
        yield _client("sagemaker")


def _package(aws: Any, status: str) -> str:
    where = {"Image": "ours", "ModelDataUrl": "s3://models/model.tar.gz"}
    formats = {"SupportedContentTypes": ["text/csv"], "SupportedResponseMIMETypes": ["text/csv"]}
    return aws.create_model_package(
        ModelPackageGroupName="gate",
        ModelApprovalStatus=status,
        InferenceSpecification={"Containers": [where]} | formats,
    )["ModelPackageArn"]


def test_versions_and_approvals_are_those_of_a_model_package_group(aws: Any) -> None:
    ours = mlops.Registry()
    aws.create_model_package_group(ModelPackageGroupName="gate")
    for number in (1, 2):
        arn = _package(aws, "PendingManualApproval")
        version = ours.register("gate", artifact=f"s3://models/{number}.tar.gz", sha256=f"{number:064x}")
        assert aws.describe_model_package(ModelPackageName=arn)["ModelPackageVersion"] == version.version == number
    for status, decide in (("Approved", ours.approve), ("Rejected", ours.reject)):
        aws.update_model_package(ModelPackageArn=arn, ModelApprovalStatus=status)
        decide("gate", 2, by="Bo")
        theirs = aws.describe_model_package(ModelPackageName=arn)["ModelApprovalStatus"]
        assert theirs == ours.status("gate", 2) == status
    assert ours.status("gate", 1) == "PendingManualApproval"


def test_an_unknown_version_is_refused_by_both(aws: Any) -> None:
    aws.create_model_package_group(ModelPackageGroupName="gate")
    with pytest.raises(ClientError):
        aws.describe_model_package(ModelPackageName="arn:aws:sagemaker:us-east-1:123456789012:model-package/gate/7")
    with pytest.raises(ParameterError):
        mlops.Registry().status("gate", 7)


@pytest.mark.parametrize(
    "variant",
    [
        {"InstanceType": "ml.m5.large", "InitialInstanceCount": 2},
        {"ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 20}},
    ],
    ids=["instances", "serverless"],
)
def test_what_aws_keeps_of_an_endpoint_is_the_deployment_that_was_sent(aws: Any, variant: dict[str, Any]) -> None:
    blue = {"VariantName": "blue", "ModelName": "gate-1", "InitialVariantWeight": 1.0} | variant
    config = {"EndpointConfigName": "gate", "ProductionVariants": [blue]}
    container = {"PrimaryContainer": {"Image": "ours"}}
    aws.create_model(ModelName="gate-1", ExecutionRoleArn="arn:aws:iam::123456789012:role/r", **container)
    aws.create_endpoint_config(**config)
    kept = aws.describe_endpoint_config(EndpointConfigName="gate")
    sent = platforms.read_deployment(config, model=MODEL).deployment
    assert platforms.read_deployment(kept, model=MODEL).deployment == sent


def test_what_aws_keeps_of_a_scaling_policy_is_the_one_that_was_sent(aws: Any) -> None:
    scaling, on = _client("application-autoscaling"), WHERE | {"ScalableDimension": DIMENSION}
    blue = {"VariantName": "blue", "ModelName": "gate-1", "InitialVariantWeight": 1.0}
    machine = {"InstanceType": "ml.m5.large", "InitialInstanceCount": 2}
    config = {"EndpointConfigName": "gate", "ProductionVariants": [blue | machine]}
    container = {"PrimaryContainer": {"Image": "ours"}}
    aws.create_model(ModelName="gate-1", ExecutionRoleArn="arn:aws:iam::123456789012:role/r", **container)
    aws.create_endpoint_config(**config)
    aws.create_endpoint(EndpointName="gate", EndpointConfigName="gate")
    limits = on | {"MinCapacity": 1, "MaxCapacity": 6}
    metric = {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"}
    tracking = {"TargetValue": 600.0, "PredefinedMetricSpecification": metric}
    tracking |= {"ScaleInCooldown": 120, "ScaleOutCooldown": 30}
    policy = on | {"PolicyName": "calls", "PolicyType": "TargetTrackingScaling"}
    policy["TargetTrackingScalingPolicyConfiguration"] = tracking  # type: ignore[assignment]
    scaling.register_scalable_target(**limits)
    scaling.put_scaling_policy(**policy)
    kept = (
        aws.describe_endpoint_config(EndpointConfigName="gate"),
        scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"][0],
        scaling.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"][0],
    )
    sent = platforms.read_deployment(config, limits, policy, model=MODEL).deployment
    found = platforms.read_deployment(*kept, model=MODEL).deployment
    assert found == sent
    assert isinstance(found, sl.serving.RealTime)
    assert found.scaling[0].target == 600  # type: ignore[index]


def test_where_they_are_not_installed_the_notebook_says_so_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "moto", None)  # as if it were not there
    cells = {cell["id"]: "".join(cell["source"]) for cell in json.loads(NOTEBOOK.read_text())["cells"]}
    code = "def model_fn(model_dir):\n    return 1\n"
    known = {"sl": sl, "workload": sl.workload, "profile": MODEL}
    known["packed"] = artifacts.pack(None, tmp_path / "m.tar.gz", inference=code, requirements=["x"])
    ours = [f"aws-{part}" for part in ("clients", "package", "approve", "requests", "endpoint", "kept", "simulate")]
    assert ours == [name for name in cells if name.startswith("aws-") and name not in _WORDS]
    for name in ours:
        exec(cells[name], known)
    said = capsys.readouterr().out
    assert "not installed here, so this part is skipped" in said
    assert said.count("\n") == 2, "that sentence, and what the simulation says alone"


_WORDS = ("aws-words", "aws-endpoint-words", "aws-answer")
