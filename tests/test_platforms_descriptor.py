"""Descriptors of three clouds as configs that simulate; each wrong field is named in a sentence."""

import copy
import json
import random
from collections.abc import Iterator
from pathlib import Path

import botocore
import pytest

import simlib as sl
from simlib import platforms, serving, workload

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
STEPPING = {
    "PolicyName": "s",
    "PolicyType": "StepScaling",
    "StepScalingPolicyConfiguration": {
        "AdjustmentType": "ChangeInCapacity",
        "Cooldown": 120,
        "StepAdjustments": [{"MetricIntervalLowerBound": 0, "ScalingAdjustment": 2}],
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
    odd = BLUE | {"InstanceType": "ml.t3.medium", "ModelDataDownloadTimeoutInSeconds": 900, "Colour": "blue"}
    found = platforms.read_deployment(config(odd), model=MODEL)
    first, second = sorted(found.findings, key=lambda each: each.field)
    assert first.words == "ProductionVariants[0].Colour is no field of ProductionVariant."
    assert second.words.startswith("ProductionVariants[0].InstanceType='ml.t3.medium' is not one of the")
    assert botocore.__version__ in second.source
    assert set(found.unread) == {
        f"ProductionVariants[0].{name}" for name in ("ModelDataDownloadTimeoutInSeconds", "Colour")
    }


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (config(BLUE | {"InstanceType": "{{type}}"}), r"ProductionVariants\[0\].InstanceType='{{type}}' is a template"),
        (config(BLUE | {"InitialInstanceCount": "${N}"}), r"InitialInstanceCount='\${N}' is a template"),
        (config(BLUE | {"InitialInstanceCount": "two"}), "InitialInstanceCount='two' should be a whole number"),
        (config({"VariantName": "v"}), r"ProductionVariants\[0\].InstanceType is missing"),
        (config(BLUE, BLUE), r"ProductionVariants: RealTime: variants=\['blue', 'blue'\] is not possible"),
        (config("blue"), r"ProductionVariants\[0\]='blue' should be an object"),
        ({"ProductionVariants": []}, "should have at least one variant"),
        ({"kind": "x"}, "neither ProductionVariants, "),
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
    with pytest.raises(sl.ParameterError, match="PolicyType='StepScaling' acts on an alarm"):
        platforms.read_deployment(config(), STEPPING, TARGET, model=MODEL)


# --- SageMaker: what goes with an endpoint ----------------------------------------------------------------------------


def test_a_step_policy_finds_its_alarm_and_its_units() -> None:
    """CloudWatch counts latency in microseconds, simlib in seconds."""
    alarm = {
        "AlarmName": "slow",
        "MetricName": "ModelLatency",
        "Namespace": "AWS/SageMaker",
        "Threshold": 500_000,
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "EvaluationPeriods": 2,
        "Period": 60,
        "AlarmActions": ["arn:…:policyName/s"],
    }
    (policy,) = platforms.read_deployment(config(), STEPPING, TARGET, alarm, model=MODEL).deployment.policies
    assert (policy.threshold, policy.metric, policy.comparison, policy.datapoints) == (0.5, "ModelLatency", ">=", 2)
    assert [(step.adjustment, step.lower) for step in policy.steps] == [(2, 0)]
    assert policy.cooldown_s == 120


def test_routing_capture_volume_and_patience_are_read() -> None:
    odd = BLUE | {
        "RoutingConfig": {"RoutingStrategy": "LEAST_OUTSTANDING_REQUESTS"},
        "VolumeSizeInGB": 100,
        "ContainerStartupHealthCheckTimeoutInSeconds": 900,
    }
    capture = {
        "EnableCapture": True,
        "InitialSamplingPercentage": 30,
        "DestinationS3Uri": "s3://b/c",
        "CaptureOptions": [{"CaptureMode": "Input"}],
    }
    read = platforms.read_deployment(config(odd, DataCaptureConfig=capture), model=MODEL)
    made = read.deployment
    assert (made.routing, made.volume_size_in_gb) == ("LEAST_OUTSTANDING_REQUESTS", 100)
    assert made.instance_life.startup_health_check_timeout_s == 900
    assert (made.data_capture.percentage, made.data_capture.destination) == (30, "s3://b/c")
    assert (read.findings, read.unread) == ((), ())


def update(policy: dict) -> dict:
    return {"EndpointName": "e", "EndpointConfigName": "e", "DeploymentConfig": policy}


@pytest.mark.parametrize(
    ("policy", "rollout"),
    [
        (
            {
                "RollingUpdatePolicy": {
                    "MaximumBatchSize": {"Type": "CAPACITY_PERCENT", "Value": 33},
                    "WaitIntervalInSeconds": 180,
                }
            },
            serving.Rolling(33.0, bake_s=180.0),
        ),
        (
            {
                "BlueGreenUpdatePolicy": {
                    "TrafficRoutingConfiguration": {
                        "Type": "CANARY",
                        "CanarySize": {"Type": "INSTANCE_COUNT", "Value": 1},
                        "WaitIntervalInSeconds": 300,
                    },
                    "TerminationWaitInSeconds": 120,
                }
            },
            serving.Canary(50.0, bake_s=300.0, termination_wait_s=120.0),
        ),
        ({"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE"}}}, serving.AllAtOnce()),
    ],
)
def test_an_update_says_how_it_is_rolled_out(policy: dict, rollout: object) -> None:
    """One of the two instances of BLUE is half of the fleet."""
    assert platforms.read_deployment(update(policy), config(), model=MODEL).rollout == rollout


def test_a_rollout_that_cannot_be_is_named() -> None:
    odd = {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": {"Type": "CANARY"}}}
    with pytest.raises(sl.ParameterError, match=r"TrafficRoutingConfiguration\.CanarySize is missing"):
        platforms.read_deployment(update(odd), config(), model=MODEL)


CLOUDFORMATION = """
Parameters:
  Kind: {Type: String, Default: ml.m5.xlarge}
  Most: {Type: Number, Default: 4}
  Stage: {Type: String, Default: prod}
  Name: {Type: String}
Conditions:
  IsProd: !Equals [!Ref Stage, prod]
Mappings:
  Sizes: {prod: {count: 2}, dev: {count: 1}}
Resources:
  Config:
    Type: AWS::SageMaker::EndpointConfig
    Properties:
      EndpointConfigName: !Sub "${Name}-config"
      ProductionVariants:
        - VariantName: AllTraffic
          ModelName: !GetAtt Model.ModelName
          InitialInstanceCount: !FindInMap [Sizes, !Ref Stage, count]
          InstanceType: !Ref Kind
          InitialVariantWeight: !If [IsProd, 1.0, !Ref AWS::NoValue]
  Target:
    Type: AWS::ApplicationAutoScaling::ScalableTarget
    Properties:
      MinCapacity: 1
      MaxCapacity: !Ref Most
      ServiceNamespace: sagemaker
      ResourceId: !Join ["/", [endpoint, !Ref Name, variant, AllTraffic]]
  Policy:
    Type: AWS::ApplicationAutoScaling::ScalingPolicy
    Properties:
      PolicyName: calls
      PolicyType: TargetTrackingScaling
      ScalingTargetId: !Ref Target
      TargetTrackingScalingPolicyConfiguration:
        TargetValue: 70
        PredefinedMetricSpecification: {PredefinedMetricType: SageMakerVariantInvocationsPerInstance}
  Table:
    Type: AWS::ApplicationAutoScaling::ScalableTarget
    Properties: {MinCapacity: 5, MaxCapacity: 50, ServiceNamespace: dynamodb, ResourceId: table/x}
"""


def test_cloudformation_is_worked_out() -> None:
    made = platforms.read_deployment(CLOUDFORMATION, model=MODEL).deployment
    (variant,) = made.variants
    assert (variant.instance_type, variant.initial_instance_count) == ("ml.m5.xlarge", 2)
    assert [(p.min_capacity, p.max_capacity, p.target) for p in made.policies] == [(1, 4, 70)]
    given = {"Stage": "dev", "Kind": "ml.m5.large"}
    (variant,) = platforms.read_deployment(CLOUDFORMATION, model=MODEL, parameters=given).deployment.variants
    assert (variant.instance_type, variant.initial_instance_count) == ("ml.m5.large", 1)


def test_a_parameter_without_a_default_is_asked_for_only_where_it_matters() -> None:
    assert platforms.read_deployment(CLOUDFORMATION, model=MODEL).deployment.variants  # Name has none
    open_ended = CLOUDFORMATION.replace(", Default: ml.m5.xlarge", "")
    with pytest.raises(
        sl.ParameterError, match=r"InstanceType is left open: the template's parameter Kind has no default"
    ):
        platforms.read_deployment(open_ended, model=MODEL)


def test_the_file_of_a_templates_parameters_fills_it_in() -> None:
    open_ended = CLOUDFORMATION.replace(", Default: ml.m5.xlarge", "")
    for beside in (
        {"Parameters": {"Kind": "ml.c5.large", "Stage": "dev"}, "Tags": {"a": "b"}},
        '[{"ParameterKey": "Kind", "ParameterValue": "ml.c5.large"},'
        ' {"ParameterKey": "Stage", "ParameterValue": "dev"}]',
    ):
        (variant,) = platforms.read_deployment(beside, open_ended, model=MODEL).deployment.variants
        assert (variant.instance_type, variant.initial_instance_count) == ("ml.c5.large", 1)


ACK = """
{{- if .Values.enabled }}
apiVersion: sagemaker.services.k8s.aws/v1alpha1
kind: EndpointConfig
metadata:
  name: {{ .Values.name }}
spec:
  endpointConfigName: {{ .Values.name }}
  productionVariants:
  - modelName: {{ .Values.model }}
    variantName: AllTraffic
    instanceType: {{ .Values.kind | default "ml.c5.large" }}
    initialInstanceCount: {{ .Values.count }}
{{- end }}
---
apiVersion: applicationautoscaling.services.k8s.aws/v1alpha1
kind: ScalableTarget
spec: {maxCapacity: 2, minCapacity: 1, resourceID: endpoint/x/variant/AllTraffic, serviceNamespace: sagemaker}
"""


def test_ack_in_a_chart_is_read_where_its_values_are_given() -> None:
    with pytest.raises(
        sl.ParameterError, match=r"productionVariants\[0\].initialInstanceCount='{{ .Values.count }}' is a"
    ):
        platforms.read_deployment(ACK, model=MODEL)
    read = platforms.read_deployment(ACK, model=MODEL, parameters={"count": 3})
    (variant,) = read.deployment.variants
    assert (variant.instance_type, variant.initial_instance_count) == ("ml.c5.large", 3)
    assert "the template's line '{{- end }}'" in read.unread


@pytest.mark.parametrize(
    "holder", ["${{{{ parameters.{} }}}}", "{{{{ {} }}}}", "${{{}}}", "<{}>", "@{}@", "__{}__", "${}"]
)
def test_placeholders_of_many_kinds_are_filled_in(holder: str) -> None:
    text = f"name: b\nendpoint_name: e\ninstance_type: {holder.format('size')}\n"
    with pytest.raises(sl.ParameterError, match=r"instance_type='.*' is a template's placeholder"):
        platforms.read_deployment(text, model=MODEL)
    read = platforms.read_deployment(text, model=MODEL, parameters={"size": "Standard_DS3_v2"})
    assert read.deployment.variants[0].instance_type == "Standard_DS3_v2"


def test_several_configs_are_told_apart_by_name() -> None:
    green = config(BLUE | {"InstanceType": "ml.c5.large"}) | {"EndpointConfigName": "green"}
    with pytest.raises(
        sl.ParameterError, match=r"2 objects with ProductionVariants \(e, green\); say which with name="
    ):
        platforms.read_deployment(config(), green, model=MODEL)
    made = platforms.read_deployment(config(), green, model=MODEL, name="green").deployment
    assert made.variants[0].instance_type == "ml.c5.large"


# --- Azure ML ---------------------------------------------------------------------------------------------------------

AZURE = """
$schema: https://azuremlschemas.azureedge.net/latest/managedOnlineEndpoint.schema.json
name: photos
traffic: {blue: 90, green: 10}
mirror_traffic: {red: 60}
---
$schema: https://azuremlschemas.azureedge.net/latest/managedOnlineDeployment.schema.json
name: blue
endpoint_name: photos
instance_type: Standard_DS3_v2
instance_count: 2
request_settings: {request_timeout_ms: 90000, max_concurrent_requests_per_instance: 4}
---
{name: green, endpoint_name: photos, instance_type: STANDARD_DS3_V2, instance_count: 1}
---
{name: red, endpoint_name: photos, instance_type: Standard_F4s_v2, instance_count: 1}
"""
AUTOSCALE = {
    "properties": {
        "profiles": [
            {
                "capacity": {"minimum": "2", "maximum": "5", "default": "2"},
                "rules": [
                    {
                        "metricTrigger": {
                            "metricName": "CpuUtilizationPercentage",
                            "operator": "GreaterThan",
                            "threshold": 70,
                            "timeGrain": "PT1M",
                            "timeWindow": "PT5M",
                            "timeAggregation": "Average",
                        },
                        "scaleAction": {
                            "direction": "Increase",
                            "type": "ChangeCount",
                            "value": "2",
                            "cooldown": "PT1H",
                        },
                    },
                    {
                        "metricTrigger": {
                            "metricName": "RequestLatency",
                            "operator": "LessThan",
                            "threshold": 200,
                            "timeWindow": "PT10M",
                            "timeAggregation": "Average",
                        },
                        "scaleAction": {
                            "direction": "Decrease",
                            "type": "ChangeCount",
                            "value": "1",
                            "cooldown": "PT40M",
                        },
                    },
                ],
            }
        ]
    }
}


def test_an_online_endpoint_with_traffic_a_mirror_and_autoscale_rules() -> None:
    read = platforms.read_deployment(AZURE, AUTOSCALE, model=MODEL)
    made = read.deployment
    assert [(v.name, v.weight, v.instance_type) for v in made.variants] == [
        ("blue", 90, "Standard_DS3_v2"),
        ("green", 10, "Standard_DS3_v2"),
    ]
    assert (made.shadow.name, made.shadow_sampling_percentage) == ("red", 60)
    assert (made.invocation_timeout_s, made.variants[0].workers, made.queue_limit, made.refusal) == (90, 4, 4, 429)
    (policy,) = made.policies
    assert (policy.min_capacity, policy.max_capacity) == (2, 5)
    assert [(r.metric, r.threshold, r.change, r.window_s, r.cooldown_s) for r in policy.rules] == [
        ("WorkerUtilization", 70, 2, 300, 3600),
        ("ModelLatency", 0.2, -1, 600, 2400),
    ]
    assert [each.words for each in read.findings] == ["60 > 50 % of the requests mirrored."]
    run = sl.simulate(made, workload.poisson(rate=2), hours=0.1, progress=False)
    run.check()


def test_azures_defaults_are_one_request_at_a_time_and_five_seconds() -> None:
    read = platforms.read_deployment(
        {"name": "b", "endpoint_name": "e", "instance_type": "Standard_DS2_v2"}, model=MODEL
    )
    made = read.deployment
    assert (made.variants[0].workers, made.queue_limit, made.queue_limit_of) == (1, 1, "instance")
    assert made.invocation_timeout_s == 5
    assert "instance_count is not given: 1" in read.assumed


ARM = {
    "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
    "parameters": {"size": {"type": "string", "defaultValue": "Standard_DS3_v2"}, "count": {"type": "int"}},
    "resources": [
        {
            "type": "Microsoft.MachineLearningServices/workspaces/onlineEndpoints/deployments",
            "name": "[concat(parameters('workspace'), '/blue')]",
            "sku": {"name": "Default", "capacity": "[parameters('count')]"},
            "properties": {
                "endpointComputeType": "Managed",
                "instanceType": "[parameters('size')]",
                "requestSettings": {"requestTimeout": "PT1M30S", "maxConcurrentRequestsPerInstance": 2},
            },
        }
    ],
}


def test_an_arm_template_is_filled_in() -> None:
    with pytest.raises(sl.ParameterError, match="instance_count is left open: the template's parameter count has no"):
        platforms.read_deployment(ARM, model=MODEL)
    made = platforms.read_deployment(ARM, model=MODEL, parameters={"count": 3}).deployment
    (variant,) = made.variants
    assert (variant.instance_type, variant.initial_instance_count, variant.workers) == ("Standard_DS3_v2", 3, 2)
    assert made.invocation_timeout_s == 90
    beside = {"parameters": {"count": {"value": 2}}}
    assert platforms.read_deployment(ARM, beside, model=MODEL).deployment.variants[0].initial_instance_count == 2


BATCH = """
$schema: https://azuremlschemas.azureedge.net/latest/batchDeployment.schema.json
name: torch
endpoint_name: digits
compute: azureml:cpu-cluster
resources: {instance_count: 2}
settings: {mini_batch_size: 5, max_concurrency_per_instance: 2, retry_settings: {max_retries: 1, timeout: 300}}
"""


def test_a_batch_deployment_needs_its_clusters_vm_size() -> None:
    with pytest.raises(sl.ParameterError, match=r"compute='azureml:cpu-cluster' names a cluster, and not its VM size"):
        platforms.read_deployment(BATCH, model=MODEL)
    cluster = "$schema: …/amlCompute.schema.json\nname: cpu-cluster\ntype: amlcompute\nsize: STANDARD_DS3_V2\n"
    made = platforms.read_deployment(BATCH, cluster, model=MODEL).deployment
    assert (made.instance_type, made.instance_count, made.max_concurrent_transforms) == ("Standard_DS3_v2", 2, 2)
    assert (made.files_per_request, made.invocations_timeout_s, made.invocations_max_retries) == (5, 300, 1)
    assert platforms.read_deployment(BATCH, model=MODEL, instance_type="Standard_DS3_v2").deployment == made
    run = sl.simulate(made, workload.files(23, size_mb=1.0), progress=False)
    run.check()
    assert run.summary()["requests"] == 5  # 23 files in mini-batches of five


# --- Vertex AI --------------------------------------------------------------------------------------------------------

REST = {
    "deployedModel": {
        "displayName": "d",
        "dedicatedResources": {
            "machineSpec": {
                "machineType": "n1-standard-4",
                "acceleratorType": "NVIDIA_TESLA_T4",
                "acceleratorCount": 1,
            },
            "minReplicaCount": 1,
            "maxReplicaCount": 3,
        },
    },
    "trafficSplit": {"0": 100},
}
SDK = {
    "machine_type": "n1-standard-4",
    "accelerator_type": "NVIDIA_TESLA_T4",
    "accelerator_count": 1,
    "min_replica_count": 1,
    "max_replica_count": 3,
    "deployed_model_display_name": "d",
}
GCLOUD = {
    "--display-name": "d",
    "--machine-type": "n1-standard-4",
    "--accelerator": "type=nvidia-tesla-t4,count=1",
    "--min-replica-count": "1",
    "--max-replica-count": "3",
}
PIPELINE = {
    "deployed_model_display_name": "d",
    "dedicated_resources_machine_type": "n1-standard-4",
    "dedicated_resources_accelerator_type": "NVIDIA_TESLA_T4",
    "dedicated_resources_accelerator_count": 1,
    "dedicated_resources_min_replica_count": 1,
    "dedicated_resources_max_replica_count": 3,
}


def test_four_ways_to_write_a_deployed_model_are_one() -> None:
    """CPU and GPU are both watched at 60 % where nothing is said (Vertex AI, scaling of inference nodes)."""
    made = platforms.read_deployment(REST, model=MODEL).deployment
    assert made.variants[0].instance_type == "n1-standard-4+1xNVIDIA_TESLA_T4"
    assert [(p.metric, p.target, p.max_capacity) for p in made.policies] == [
        ("WorkerUtilization", 60, 3),
        ("DutyCycle", 60, 3),
    ]
    for other in (SDK, GCLOUD, PIPELINE, {"payload": json.dumps(REST)}):
        assert platforms.read_deployment(other, model=MODEL).deployment == made


def test_an_endpoint_with_two_deployed_models_splits_its_traffic() -> None:
    def deployed(number: str, kind: str) -> dict:
        return {"id": number, "dedicatedResources": {"machineSpec": {"machineType": kind}, "minReplicaCount": 2}}

    both = [deployed("11", "n1-standard-2"), deployed("22", "g2-standard-8")]
    read = platforms.read_deployment({"deployedModels": both, "trafficSplit": {"11": 80, "22": 10}}, model=MODEL)
    assert [(v.name, v.weight, v.instance_type) for v in read.deployment.variants] == [
        ("11", 80, "n1-standard-2"),
        ("22", 10, "g2-standard-8"),
    ]
    assert read.deployment.policies == ()
    assert [each.words for each in read.findings] == [
        "trafficSplit={'11': 80, '22': 10} adds up to 90; it should be 100."
    ]


def test_scale_to_zero_is_a_preview() -> None:
    zero = {**SDK, "min_replica_count": 0, "accelerator_type": None, "autoscaling_target_cpu_utilization": 50}
    read = platforms.read_deployment(zero, model=MODEL)
    (policy,) = read.deployment.policies
    assert (policy.target, policy.min_capacity, policy.initial_capacity) == (50, 0, 1)
    assert "preview" in read.findings[0].words


def test_batch_prediction_does_not_autoscale() -> None:
    job = {
        "displayName": "b",
        "inputConfig": {"instancesFormat": "jsonl"},
        "dedicatedResources": {
            "machineSpec": {"machineType": "n1-standard-2"},
            "startingReplicaCount": 3,
            "maxReplicaCount": 10,
        },
        "manualBatchTuningParameters": {"batchSize": 16},
    }
    read = platforms.read_deployment(job, model=MODEL)
    assert (read.deployment.instance_count, read.deployment.records_per_request) == (3, 16)
    assert read.unread == ("dedicatedResources.maxReplicaCount: batch prediction does not autoscale",)
    run = sl.simulate(read.deployment, workload.files(3, size_mb=1.0, records_per_file=40), progress=False)
    run.check()


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (
            {**REST["deployedModel"], "dedicatedResources": {"minReplicaCount": 1}},
            "dedicatedResources.machine_type is missing",
        ),
        (
            {"deployedModel": {"automaticResources": {"minReplicaCount": 1}}},
            "deployedModel.automaticResources is not simulated",
        ),
        ({**SDK, "machine_type": "MACHINE_TYPE"}, "machine_type='MACHINE_TYPE' should be a machine type"),
        ({**SDK, "machine_type": "${MACHINE}"}, r"machine_type='\${MACHINE}' is a template's placeholder"),
        ({**SDK, "max_replica_count": "many"}, "max_replica_count='many' should be a whole number"),
        ({**GCLOUD, "--accelerator": "t4"}, "--accelerator='t4' should be such as"),
        (
            {"name": "b", "endpoint_name": "e", "type": "kubernetes", "instance_count": 1},
            "type=kubernetes is not simulated",
        ),
        ({"name": "b", "endpoint_name": "e", "instance_count": 1}, "instance_type is missing"),
        ({"name": "e", "auth_mode": "key"}, "source holds only Azure ML's endpoint"),
        ([REST, config()], "source mixes vertex and sagemaker"),
        ('{"ProductionVariants": [{"InstanceType" "ml.m5.large"}]}', "is not JSON: .* beside 'ProductionVariants'"),
        ("Resources:\n  A: [1, 2\n  B: 3\n", "is not YAML: line 3, .* beside 'B'"),
    ],
)
def test_what_the_others_files_lack_is_one_sentence_too(source: object, words: str) -> None:
    sources = source if isinstance(source, list) else [source]
    with pytest.raises(sl.ParameterError, match=words) as caught:
        platforms.read_deployment(*sources, model=MODEL)
    assert "\n" not in str(caught.value)


# --- whatever stands in a file ----------------------------------------------------------------------------------------

ODD = (None, [], {}, "", "x", -1, 0, 1e300, 1.5, float("nan"), True, ["a"], {"a": 1}, "${X}", [[1]], {"Ref": "X"}, "1")


def places(found: object, path: tuple = ()) -> Iterator[tuple]:
    yield path
    pairs = found.items() if isinstance(found, dict) else enumerate(found) if isinstance(found, list) else ()
    for key, each in pairs:
        yield from places(each, (*path, key))


def reads(*sources: object) -> bool:
    """Whether the sources make a deployment; if not, that a sentence says why."""
    try:
        return platforms.read_deployment(*sources, model=MODEL).deployment is not None
    except sl.ParameterError as said:
        told = str(said)
    assert "\n" not in told
    return False


def test_no_value_anywhere_in_a_file_makes_more_than_a_sentence() -> None:
    """Each place of each sample, with odd values in it: a deployment, or one sentence."""
    whole = [
        config(BLUE, DataCaptureConfig={"EnableCapture": True, "InitialSamplingPercentage": 5}),
        POLICY,
        STEPPING,
        TARGET,
    ]
    samples = [
        [each, *others] for each, others in ((whole[0], whole[1:2] + whole[3:]), (whole[1], [whole[0], whole[3]]))
    ]
    samples += [[whole[3], whole[0], whole[1]], [AUTOSCALE, AZURE], [REST], [SDK], [GCLOUD]]
    drawn, read = random.Random(4), 0
    for first, *others in samples:
        for path in places(first):
            if not path:
                continue
            for odd in drawn.sample(ODD, 5):
                changed = copy.deepcopy(first)
                inner = changed
                for step in path[:-1]:
                    inner = inner[step]
                inner[path[-1]] = odd
                read += reads(changed, *others)
    assert read > 80
