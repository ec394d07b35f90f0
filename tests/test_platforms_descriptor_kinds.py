"""Descriptors that stand inside other files, batch jobs, and files that are no descriptors: each is read, or told."""

import json

import pytest

import simlib as sl
from simlib import platforms, workload

MODEL = sl.ModelProfile("tagger", service=sl.constant(0.05))
BLUE = {"VariantName": "blue", "ModelName": "m", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
GREEN = BLUE | {"VariantName": "green"}
CONFIG = {"EndpointConfigName": "e", "ProductionVariants": [BLUE, GREEN]}
JOB = {
    "TransformJobName": "night",
    "ModelName": "m",
    "MaxConcurrentTransforms": 4,
    "MaxPayloadInMB": 20,
    "BatchStrategy": "SingleRecord",
    "ModelClientConfig": {"InvocationsTimeoutInSeconds": 1200, "InvocationsMaxRetries": 1},
    "TransformInput": {
        "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://a"}},
        "SplitType": "Line",
    },
    "TransformOutput": {"S3OutputPath": "s3://b"},
    "TransformResources": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 2},
}


def said(*sources: object, **more: object) -> str:
    with pytest.raises(sl.ParameterError) as caught:
        platforms.read_deployment(*sources, model=MODEL, **more)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- batch jobs -------------------------------------------------------------------------------------------------------


def test_a_transform_job_is_a_batch_job() -> None:
    read = platforms.read_deployment(JOB, model=MODEL)
    made = read.deployment
    assert (made.instance_type, made.instance_count, made.max_concurrent_transforms) == ("ml.m5.xlarge", 2, 4)
    assert (made.batch_strategy, made.split_type, made.max_payload_in_mb) == ("SingleRecord", "Line", 20)
    assert (made.invocations_timeout_s, made.invocations_max_retries) == (1200, 1)
    assert (read.findings, read.unread, read.platform) == ((), (), "sagemaker")
    run = sl.simulate(made, workload.files(3, size_mb=1.0, records_per_file=2), progress=False)
    run.check()
    assert run.summary()["requests"] == 3


def test_what_a_transform_job_does_not_say_is_the_apis_default() -> None:
    """SageMaker API, CreateTransformJob: 6 MB, 1 transform where the container says nothing, whole files, 600 s, 3."""
    bare = {key: JOB[key] for key in ("TransformJobName", "ModelName", "TransformOutput", "TransformResources")}
    bare["TransformInput"] = {"DataSource": JOB["TransformInput"]["DataSource"]}
    made = platforms.read_deployment(bare, model=MODEL).deployment
    assert (made.max_payload_in_mb, made.max_concurrent_transforms, made.split_type) == (6, 1, None)
    assert (made.invocations_timeout_s, made.invocations_max_retries) == (600, 3)


def test_a_number_of_transforms_that_cannot_be_is_named() -> None:
    assert "max_concurrent_transforms=-2 is not possible" in said(JOB | {"MaxConcurrentTransforms": -2})
    assert "SplitType='Page' is not simulated" in said(JOB | {"TransformInput": {"SplitType": "Page"}})


def test_ack_writes_initialisms_in_capitals() -> None:
    config = """
apiVersion: sagemaker.services.k8s.aws/v1alpha1
kind: EndpointConfig
spec:
  endpointConfigName: e
  productionVariants: [{variantName: v, instanceType: ml.m5.xlarge, initialInstanceCount: 2}]
---
apiVersion: sagemaker.services.k8s.aws/v1alpha1
kind: InferenceComponent
spec:
  inferenceComponentName: c
  variantName: v
  specification: {computeResourceRequirements: {numberOfCPUCoresRequired: 3, minMemoryRequiredInMb: 2048}}
"""
    read = platforms.read_deployment(config, model=MODEL)
    assert read.deployment.components[0].cpus == 3
    assert read.unread == ()
    assert not any("no field" in each.words for each in read.findings)


# --- inside other files -----------------------------------------------------------------------------------------------


def task(parameters: dict) -> dict:
    return {
        "StartAt": "A",
        "States": {"A": {"Type": "Task", "Resource": "arn:…", "Parameters": parameters, "End": True}},
    }


def test_a_state_machines_tasks_are_read_and_what_it_fills_in_is_asked_for() -> None:
    open_ended = {key: value for key, value in BLUE.items() if key not in ("InstanceType", "ModelName")}
    machine = task({"ProductionVariants": [open_ended | {"InstanceType.$": "$.kind", "ModelName.$": "$.model"}]})
    words = said(machine)
    assert "States.A.Parameters.ProductionVariants[0].InstanceType is left open" in words
    assert "give parameters={'kind': …}" in words
    made = platforms.read_deployment(machine, model=MODEL, parameters={"kind": "ml.c5.large"}).deployment
    assert made.variants[0].instance_type == "ml.c5.large"
    assert platforms.read_deployment(task(JOB), model=MODEL).deployment.instance_count == 2


def test_what_the_command_line_answers_is_read() -> None:
    resource = {"ResourceId": "endpoint/e/variant/blue", "ServiceNamespace": "sagemaker"}
    policy = {
        "PolicyARN": "arn",
        "PolicyName": "p",
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": {
            "TargetValue": 70,
            "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
        },
        "Alarms": [],
    }
    target = {"MinCapacity": 1, "MaxCapacity": 4, **resource}
    read = platforms.read_deployment(
        CONFIG | {"EndpointConfigArn": "arn", "CreationTime": "2026-09-25"},
        {"ScalingPolicies": [policy | resource]},
        {"ScalableTargets": [target]},
        model=MODEL,
    )
    (made,) = read.deployment.policies
    assert (made.target, made.min_capacity, made.max_capacity) == (70, 1, 4)
    assert not any("is no field" in each.words for each in read.findings)
    assert "EndpointConfigArn" in read.unread


def test_new_weights_and_counts_hold() -> None:
    change = {"VariantName": "green", "DesiredWeight": 0.25, "DesiredInstanceCount": 3}
    new = {"EndpointName": "e", "DesiredWeightsAndCapacities": [change]}
    made = platforms.read_deployment(CONFIG, new, model=MODEL).deployment
    assert [(v.name, v.weight, v.initial_instance_count) for v in made.variants] == [("blue", 1, 1), ("green", 0.25, 3)]
    odd = {"EndpointName": "e", "DesiredWeightsAndCapacities": [change | {"VariantName": "red"}]}
    assert "DesiredWeightsAndCapacities[0].VariantName='red' names no variant of the source: blue, green" in said(
        CONFIG, odd
    )
    assert "source has DesiredWeightsAndCapacities, but 0 objects with ProductionVariants" in said(new)


def test_what_documentation_shows_of_a_template_is_read() -> None:
    part = {"Config": {"Type": "AWS::SageMaker::EndpointConfig", "Properties": CONFIG}}
    assert len(platforms.read_deployment(part, model=MODEL).deployment.variants) == 2


def test_a_condition_asks_for_the_parameters_it_waits_for() -> None:
    variants = {"Fn::If": ["IsProd", [BLUE], [GREEN]]}
    template = {
        "Parameters": {"Stage": {"Type": "String"}},
        "Conditions": {
            "IsProd": {"Fn::Not": [{"Condition": "IsDev"}]},
            "IsDev": {"Fn::Equals": [{"Ref": "Stage"}, "dev"]},
        },
        "Resources": {
            "Config": {"Type": "AWS::SageMaker::EndpointConfig", "Properties": {"ProductionVariants": variants}},
            "Night": {"Type": "AWS::SageMaker::Pipeline", "Properties": {}},
        },
    }
    assert "ProductionVariants is left open: whether the condition IsProd holds" in said(template)
    assert "give parameters={'Stage': …}" in said(template)
    read = platforms.read_deployment(template, model=MODEL, parameters={"Stage": "dev"})
    assert [each.name for each in read.deployment.variants] == ["green"]
    assert read.unread == ("Resources.Night: AWS::SageMaker::Pipeline",)
    properties = template["Resources"]["Config"]
    properties["Properties"] = {"Fn::If": ["IsProd", {"ProductionVariants": [BLUE]}, {}]}
    assert "Resources.Config.Properties is left open" in said(template)


def test_a_model_of_several_models_is_told() -> None:
    model = {"ModelName": "m", "PrimaryContainer": {"Mode": "MultiModel", "Image": "i"}}
    read = platforms.read_deployment(CONFIG, model, model=MODEL)
    assert read.unread == ("PrimaryContainer.Mode=MultiModel: one model is read; serving.MultiModel has several",)
    series = {"ModelName": "m", "Containers": [{"Image": "i"}, {"Image": "j"}]}
    read = platforms.read_deployment(CONFIG, series, model=MODEL)
    assert "Containers: the service time is that of all 2 together" in read.assumed


def test_a_variable_of_the_documentation_is_filled_in_where_it_is_given() -> None:
    text = json.dumps(JOB).replace('"ml.m5.xlarge"', "INSTANCE_TYPE")
    assert "TransformResources.InstanceType='INSTANCE_TYPE' should be an instance type" in said(text)
    read = platforms.read_deployment(text, model=MODEL, parameters={"INSTANCE_TYPE": "ml.c5.xlarge"})
    assert (read.deployment.instance_type, read.findings) == ("ml.c5.xlarge", ())


# --- what is no descriptor --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("param size string\n\nresource d 'Microsoft.X/y@2024-04-01' = {\n  name: 'd'\n}\n", "is Bicep; give the ARM"),
        ('resource "aws_sagemaker_endpoint_configuration" "c" {\n  name = "c"\n}\n', "is Terraform, which is not read"),
        ('import boto3\nc = boto3.client("sagemaker")\nc.create(A=[{"B": "c", "D": 1}])\n', "is Python; give the"),
        ("#!/bin/bash\ngcloud ai endpoints deploy-model 1 \\\n  --machine-type=n1-standard-2\n", "is a shell script"),
        ({"resource": {"aws_sagemaker_model": {}}}, "source is Terraform"),
        (
            {"pipelineSpec": {}, "runtimeConfig": {}},
            "pipelineSpec is a pipeline, .*; read it with mlops.read_definition",
        ),
        ({"Version": "2020-12-01", "Steps": []}, "Steps is a pipeline"),
        (
            {"StartAt": "A", "States": {"A": {"Type": "Pass", "End": True}}},
            "States has no task of createEndpointConfig",
        ),
        (
            {"apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService"},
            "kind=InferenceService runs on your own",
        ),
    ],
)
def test_files_of_another_kind_are_called_by_their_name(source: object, words: str) -> None:
    with pytest.raises(sl.ParameterError, match=words):
        platforms.read_deployment(source, model=MODEL)


def test_a_script_inside_a_template_does_not_make_it_one() -> None:
    text = f"""
Resources:
  Machine: {{Type: AWS::EC2::Instance, Properties: {{UserData: "x"}}}}
  Config:
    Type: AWS::SageMaker::EndpointConfig
    Metadata:
      Note: |
        #!/bin/bash
        aws s3 cp a b
    Properties: {json.dumps(CONFIG)}
"""
    assert len(platforms.read_deployment(text, model=MODEL).deployment.variants) == 2


# --- traffic ----------------------------------------------------------------------------------------------------------


def sdk(name: str, **more: object) -> dict:
    return {"deployed_model_display_name": name, "machine_type": "n1-standard-2", "min_replica_count": 1, **more}


def test_a_percentage_scales_down_what_was_there() -> None:
    """SDK: traffic of models deployed before is scaled down to make room for the new one's."""
    sources = [sdk("a"), sdk("b", traffic_percentage=20), sdk("c", traffic_percentage=50)]
    made = platforms.read_deployment(*sources, model=MODEL).deployment
    assert [each.weight for each in made.variants] == pytest.approx([40, 10, 50])


def test_the_last_split_holds_and_zero_is_the_model_of_the_request() -> None:
    request = {
        "deployedModel": {"displayName": "b", "dedicatedResources": {"machineSpec": {"machineType": "n1-standard-2"}}}
    }
    read = platforms.read_deployment(
        sdk("a", traffic_split={"0": 100}), request | {"trafficSplit": {"0": 30, "a": 60, "z": 10}}, model=MODEL
    )
    assert [(each.name, each.weight) for each in read.deployment.variants] == [("a", 60), ("b", 30)]
    assert "trafficSplit.z: no deployed model of the source is called that" in read.unread


def test_a_percentage_that_cannot_be_is_named() -> None:
    assert "traffic_percentage=120 should be from 0 to 100" in said(sdk("a", traffic_percentage=120))
    read = platforms.read_deployment(sdk("a", traffic_percentage=50, traffic_split={"0": 100}), model=MODEL)
    assert [each.parameter for each in read.findings] == ["weight"]


def test_a_retired_size_is_found_when_it_is_read() -> None:
    old = {"name": "b", "endpoint_name": "e", "instance_type": "Standard_NC6s_v3", "instance_count": 1}
    (found,) = platforms.read_deployment(old, model=MODEL).findings
    assert (found.words, found.mark) == ("Standard_NC6s_v3 was retired on 2025-09-30.", "V")


def test_deployments_by_name_inside_their_endpoint_are_read() -> None:
    """So did the CLI's first versions keep them in batch endpoints."""
    compute = {"target": "azureml:cpu-cluster", "instance_count": 2}
    endpoint = {
        "$schema": "https://azuremlschemas.azureedge.net/latest/batchEndpoint.schema.json",
        "name": "e",
        "traffic": {"night": 100},
        "deployments": {"night": {"model": "azureml:m:1", "compute": compute}},
    }
    assert "names a cluster, and not its VM size" in said(endpoint)
    made = platforms.read_deployment(endpoint, model=MODEL, instance_type="Standard_DS3_v2").deployment
    assert (made.instance_count, made.files_per_request) == (2, 10)


def test_a_count_that_is_read_is_not_told_as_unread() -> None:
    """The CLI's first versions kept it in scale_settings."""
    old = {
        "name": "b",
        "endpoint_name": "e",
        "instance_type": "Standard_DS3_v2",
        "scale_settings": {"instance_count": 3},
    }
    read = platforms.read_deployment(old, model=MODEL)
    assert (read.deployment.variants[0].initial_instance_count, read.unread) == (3, ())
