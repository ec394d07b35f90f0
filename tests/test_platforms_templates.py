"""Files as people keep them: comments, placeholders, encodings, templates within templates; read, or told why not."""

import json
from pathlib import Path

import pytest

import simlib as sl
from simlib import platforms

MODEL = sl.ModelProfile("tagger", service=sl.constant(0.05))
VARIANT = '{"VariantName":"b","ModelName":"http://m","InstanceType":"ml.m5.large","InitialInstanceCount":2}'
AZURE = """$schema: https://azuremlschemas.azureedge.net/latest/managedOnlineDeployment.schema.json
name: blue-2
endpoint_name: photos
instance_type: Standard_DS3_v2
instance_count: 2
"""


def read(*sources: object, **more: object) -> platforms.Descriptor:
    return platforms.read_deployment(*sources, model=MODEL, **more)


@pytest.mark.parametrize(
    "text",
    [
        f'\ufeff{{"EndpointConfigName":"e","ProductionVariants":[{VARIANT}]}}',
        f'{{\n"EndpointConfigName": "e", // it\n/* all of\nthem */ "ProductionVariants": [{VARIANT},],\n# end\n}}',
        f"{{'EndpointConfigName': 'e', 'ProductionVariants': [{VARIANT}], 'Tags': None, 'X': True}}",
        f'{{"EndpointConfigName": {{{{ name }}}}, "ProductionVariants": [{VARIANT}]}}',
        f'{{\n{{% if x %}}\n"EndpointConfigName": "e",\n{{% endif %}}\n"ProductionVariants": [{VARIANT}]}}',
        f'{{"ParameterKey":"a","ParameterValue":"b"}}\n{{"EndpointConfigName":"e","ProductionVariants":[{VARIANT}]}}\n',
    ],
    ids=["byte order mark", "comments", "python", "placeholder", "statements", "one after another"],
)
def test_json_as_people_keep_it(text: str) -> None:
    (variant,) = read(text).deployment.variants
    assert (variant.instance_type, variant.initial_instance_count) == ("ml.m5.large", 2)


def test_a_file_of_powershell_and_one_that_is_no_text(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_bytes(f'{{"ProductionVariants":[{VARIANT}]}}'.encode("utf-16"))
    assert read(file).platform == "sagemaker"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(sl.ParameterError, match="is no text"):
        read(file)


def test_helm_and_jinja_beside_the_fields() -> None:
    chart = """{#- what this is,
in words -#}
apiVersion: sagemaker.services.k8s.aws/v1alpha1
kind: EndpointConfig
metadata:
  labels:
    {{- toYaml .Values.labels | nindent 4 }}
spec:
  productionVariants:
  {{- range .Values.variants }}
  -   variantName: {{ .name | quote }}
      initialInstanceCount: {{ .count | default 3 }}
      "instanceType": {{ .type | default "ml.m5.large" }}
  {{- end }}
"""
    found = read(chart)
    assert found.deployment.variants[0].initial_instance_count == 3
    assert any("toYaml" in line for line in found.unread)


@pytest.mark.parametrize("token", ["#{COUNT}#", "{{ count }}", "${{ variables.count }}", "@COUNT@", "__COUNT__"])
def test_a_token_is_no_comment_and_no_default(token: str) -> None:
    text = AZURE.replace("instance_count: 2", f"instance_count: {token}")
    with pytest.raises(sl.ParameterError, match=r"instance_count='.*' is a template's placeholder"):
        read(text)


def test_a_field_that_stands_twice_is_told() -> None:
    found = read(AZURE + "instance_count: 3\n")
    assert found.deployment.variants[0].initial_instance_count == 3
    assert "instance_count stands twice in one object: the last is read" in found.unread
    merged = "base: &b {instance_count: 5}\n<<: *b\n" + AZURE
    assert not any("twice" in each for each in read(merged).unread)
    assert any("twice" in each for each in read(f'{{"ProductionVariants":[{VARIANT}],"Tags":1,"Tags":2}}').unread)


@pytest.mark.parametrize("text", ["&a\n- *a\n", "[" * 5000 + "]" * 5000], ids=["of itself", "deep"])
def test_objects_without_end(text: str) -> None:
    with pytest.raises(sl.ParameterError, match="without end"):
        read(text)


def test_names_in_the_traffic_keep_their_spelling() -> None:
    endpoint = "name: photos\nauth_mode: key\ntraffic:\n  blue-2: 90\n  {{ other }}: 10\n"
    other = AZURE.replace("blue-2", "{{ other }}")
    weights = {each.name: each.weight for each in read(endpoint, AZURE, other).deployment.variants}
    assert weights == {"blue-2": 90, "{{ other }}": 10}


# --- ARM and what Bicep compiles to -----------------------------------------------------------------------------------

ENDPOINT = {
    "type": "Microsoft.MachineLearningServices/workspaces/onlineEndpoints",
    "name": "[concat(parameters('workspace'), '/', parameters('endpoint'))]",
    "properties": {"authMode": "Key", "traffic": {"[variables('deployment')]": 100}},
}
DEPLOYMENT = {
    "type": "Microsoft.MachineLearningServices/workspaces/onlineEndpoints/deployments",
    "name": "[format('{0}/{1}/{2}', parameters('workspace'), parameters('endpoint'), variables('deployment'))]",
    "sku": {"name": "Default", "capacity": "[add(parameters('count'), 1)]"},
    "properties": {
        "endpointComputeType": "Managed",
        "instanceType": "[if(equals(parameters('size'), 'small'), 'Standard_DS2_v2', variables('sizes').large[0])]",
        "requestSettings": {"maxConcurrentRequestsPerInstance": 4, "requestTimeout": "PT1M30S"},
    },
}
TEMPLATE = {
    "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
    "parameters": {
        "workspace": {"type": "string"},
        "endpoint": {"type": "string", "defaultValue": "photos"},
        "size": {"type": "string", "defaultValue": "large"},
        "count": {"type": "int"},
    },
    "variables": {
        "deployment": "[format('{0}-blue', parameters('endpoint'))]",
        "sizes": {"large": ["Standard_DS4_v2"]},
    },
    "resources": [ENDPOINT, DEPLOYMENT],
}


def module(**passed: object) -> dict:
    properties = {"template": TEMPLATE, "parameters": {name: {"value": value} for name, value in passed.items()}}
    resource = {"type": "Microsoft.Resources/deployments", "name": "inner", "properties": properties}
    return {"$schema": TEMPLATE["$schema"], "parameters": {"n": {"defaultValue": 4}}, "resources": {"inner": resource}}


def test_the_expressions_of_a_template_are_worked_out() -> None:
    made = read(json.dumps(TEMPLATE), parameters={"count": 1}).deployment
    (only,) = made.variants
    assert (only.name, only.instance_type, only.initial_instance_count) == ("photos-blue", "Standard_DS4_v2", 2)
    assert (only.workers, made.invocation_timeout_s) == (4, 90)


def test_a_module_gets_its_parameters_from_outside() -> None:
    (only,) = read(module(count="[parameters('n')]", endpoint="tags")).deployment.variants
    assert (only.name, only.initial_instance_count) == ("tags-blue", 5)


def test_what_an_expression_leaves_open_is_asked_for() -> None:
    with pytest.raises(sl.ParameterError, match="instance_count is left open: the template's parameter count has no"):
        read(TEMPLATE)
    odd = {**DEPLOYMENT, "properties": {"instanceType": "[reference('x').y]"}}
    with pytest.raises(sl.ParameterError, match="instanceType is left open: it is an expression"):
        read({**TEMPLATE, "resources": [odd]}, parameters={"count": 1})


def test_the_condition_of_a_resource_and_resources_inside_one() -> None:
    inner = {**DEPLOYMENT, "type": "deployments", "name": "[variables('deployment')]"}
    off = {**DEPLOYMENT, "name": "w/photos/green", "condition": "[equals(parameters('size'), 'small')]"}
    nested = {**TEMPLATE, "resources": [{**ENDPOINT, "resources": [inner]}, off]}
    (only,) = read(nested, parameters={"count": 1}).deployment.variants
    assert only.name == "photos-blue"


def test_the_cluster_that_a_batch_deployment_names() -> None:
    batch = "$schema: modelBatchDeployment.schema.json\nendpoint_name: e\ncompute: azureml:gpu\nmini_batch_size: 5\n"
    cluster = "name: {}\ntype: amlcompute\nsize: {}\n"
    clusters = cluster.format("cpu", "Standard_DS3_v2"), cluster.format("gpu", "Standard_NC4as_T4_v3")
    assert read(batch, *clusters).deployment.instance_type == "Standard_NC4as_T4_v3"
    with pytest.raises(sl.ParameterError, match="compute='azureml:tpu' is none of the clusters: cpu, gpu"):
        read(batch.replace("gpu", "tpu"), *clusters)


# --- nothing that matters is passed over ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (AZURE + "scale_settings: {type: default, max_instances: 3}\n", "scale_settings.max_instances"),
        ({"machine_type": "n1-standard-4", "starting_replica_count": 2, "generate_explanation": True}, "explanation"),
    ],
)
def test_a_field_that_changes_nothing_is_told(source: object, told: str) -> None:
    assert any(told in each for each in read(source).unread)


def test_collections_that_are_switched_off_are_not_captured() -> None:
    collections = "data_collector:\n  collections:\n    model_inputs: {{enabled: '{}', sampling_rate: 0.2}}\n"
    assert read(AZURE + collections.format("False")).deployment.data_capture is None
    assert read(AZURE + collections.format("True")).deployment.data_capture.percentage == 20


def test_a_split_of_one_model_adds_up_too() -> None:
    dedicated = {"machineSpec": {"machineType": "n1-standard-4"}, "minReplicaCount": 1}
    (finding,) = read({"deployedModel": {"dedicatedResources": dedicated}, "trafficSplit": {"0": 50}}).findings
    assert "adds up to 50" in finding.words
    with pytest.raises(sl.ParameterError, match=r"trafficSplit\.0=-5 should be from 0 to 100"):
        read({"deployedModel": {"dedicatedResources": dedicated}, "trafficSplit": {"0": -5}})
