"""Pipeline files as people write them, not as the manual does: they read and run, or say why not in one sentence."""

import copy
import json
import random
from pathlib import Path

import pytest
import yaml

from simlib import mlops
from simlib.parameters import ParameterError

DATA = Path(__file__).parent / "data" / "pipelines"


def sagemaker(*steps, **more):
    return {"Version": "2020-12-01", "Steps": list(steps), **more}


def step(name, kind="Processing", **more):
    return {"Name": name, "Type": kind, "Arguments": {}, **more}


def condition(*conditions, then):
    return step("c", "Condition") | {"Arguments": {"Conditions": list(conditions), "IfSteps": [then]}}


TEMPLATE = {"Type": "AWS::SageMaker::Pipeline"}
BODY = json.dumps(sagemaker(step("a"), step("b", DependsOn=["a"])))


@pytest.mark.parametrize(
    "body", [BODY, {"Fn::Sub": BODY}, {"Fn::Sub": [BODY, {}]}, {"Fn::Join": ["", [BODY[:9], BODY[9:]]]}]
)
def test_the_pipeline_of_a_cloudformation_template(body):
    resource = TEMPLATE | {"Properties": {"PipelineDefinition": {"PipelineDefinitionBody": body}}}
    template = {"Resources": {"bucket": {"Type": "AWS::S3::Bucket"}, "pipeline": resource}}
    assert mlops.read_definition(template).edges == (("a", "b"),)


def test_what_only_a_deployment_knows_is_a_word_in_the_text():
    before, after = BODY.split('"a"', 1)
    body = {"Fn::Join": ["", [before, '"', {"Ref": "Name"}, '"', after.replace('["a"]', '["unknown"]')]]}
    resource = TEMPLATE | {"Properties": {"PipelineDefinition": {"PipelineDefinitionBody": body}}}
    assert mlops.read_definition({"Resources": {"x": resource}}).edges == (("unknown", "b"),)


@pytest.mark.parametrize(
    ("found", "why"),
    [
        ({"Resources": {"bucket": {"Type": "AWS::S3::Bucket"}}}, "a CloudFormation template without a pipeline"),
        ({"StartAt": "a", "States": {}}, "a state machine of AWS Step Functions"),
        (sagemaker(step("a") | {"Arguments": "x"}), "the Arguments of step 'a'"),
        (sagemaker(step("a", "Condition") | {"Arguments": {"IfSteps": 3}}), "a step has no Name: 3"),
        ({"root": {"dag": {"tasks": {"a": {}}}}, "components": 3}, "something in it has another shape"),
    ],
)
def test_why_not(found, why):
    with pytest.raises(ParameterError, match=why):
        mlops.read_definition(found)


@pytest.mark.parametrize("needed", ["a", ["a"], ["Steps.a"], [{"Get": "Steps.a"}], {"Get": "Steps.a.Arn"}])
def test_depends_on_in_any_form(needed):
    assert mlops.read_definition(sagemaker(step("a"), step("b", DependsOn=needed))).edges == (("a", "b"),)


@pytest.mark.parametrize(
    "odd",
    [
        {"Type": "JsonGet", "JsonPath": "$.auc", "GreaterThan": 0.8},
        {"Type": "GreaterThan", "LeftValue": 1},
        {"Type": "Or", "Conditions": [{"Type": "Nearly"}]},
        {"Type": "Not"},
        "auc > 0.8",
    ],
)
def test_a_condition_in_another_form_is_assumed_and_listed(odd):
    pipeline = mlops.read_definition(sagemaker(condition(odd, then=step("a"))))
    assert pipeline.notes[0].startswith("condition c tests something in another form")
    execution = pipeline.run()
    assert execution.steps.loc["a", "status"] == "Succeeded"
    assert "outcome of c" in execution.assumptions["parameter"].tolist()


def test_numbers_in_texts_and_limits_that_are_none():
    resources = {"InstanceType": "ml.m5.xlarge", "InstanceCount": "2"}
    limits = [{"MaxRuntimeInSeconds": limit} for limit in ("60", 0, {"Get": "Parameters.Most"})]
    pipeline = mlops.read_definition(
        sagemaker(
            *(
                step(name, "Training") | {"Arguments": {"ResourceConfig": resources, "StoppingCondition": limit}}
                for name, limit in zip("abc", limits, strict=True)
            )
        )
    )
    assert [each.max_runtime_s for each in pipeline.steps] == [60.0, None, None]
    assert pipeline.run().attempts["instances"].tolist() == [2, 2, 2]


def test_retry_policies_in_any_form():
    policies = [{"ExceptionType": "X", "MaxAttempts": "3"}, {"ExceptionType": ["Y"], "MaxAttempts": 0}]
    pipeline = mlops.read_definition(sagemaker(step("a", RetryPolicies=policies)))
    assert [(each.exceptions, each.max_attempts) for each in pipeline.step("a").retries] == [(("X",), 3)]
    assert any("a retry policy that cannot be read" in note for note in pipeline.notes)


def test_a_fail_step_tells_how_the_condition_came_out():
    always = {"Type": "Equals", "LeftValue": 1, "RightValue": 1}
    fail = step("f", "Fail") | {"Arguments": {"ErrorMessage": {"Get": "Steps.c.Outcome"}}}
    execution = mlops.read_definition(sagemaker(condition(always, then=step("a")), fail)).run()
    assert execution.steps.loc["f", "reason"] == "True"


def test_conditions_inside_conditions():
    def nested(depth):
        inner = step("last") if depth == 0 else nested(depth - 1)
        return condition({"Type": "Equals", "LeftValue": 1, "RightValue": 1}, then=inner) | {"Name": f"c{depth}"}

    pipeline = mlops.read_definition(sagemaker(nested(29)))
    assert len(pipeline) == 31
    assert pipeline.run().status == "Succeeded"
    with pytest.raises(ParameterError, match="nested too deeply"):
        mlops.read_definition(sagemaker(nested(400)))


def test_kfps_lists_and_structs_are_parameters():
    task = {"componentRef": {"name": "comp-a"}, "inputs": {"parameters": {"x": {"componentInputParameter": "items"}}}}
    loop = task | {"parameterIterator": {"itemInput": "x-item", "items": {"inputParameter": "x"}}}
    inputs = {
        "items": {"parameterType": "LIST", "defaultValue": [1.0, 2.0]},
        "table": {"parameterType": "STRUCT", "defaultValue": {"k": 1.0}},
    }
    spec = {
        "root": {"dag": {"tasks": {"loop": loop}}, "inputDefinitions": {"parameters": inputs}},
        "components": {"comp-a": {"executorLabel": "exec-a"}},
    }
    pipeline = mlops.read_definition(spec)
    assert [each.kind for each in pipeline.parameters] == ["List", "Struct"]
    assert len(pipeline.run(parameters={"items": [1, 2, 3, 4]}).attempts) == 4
    with pytest.raises(ParameterError, match=r"'items'.*not of type List"):
        pipeline.run(parameters={"items": 3})
    with pytest.raises(ParameterError, match="'items' is a List; SageMaker knows"):
        pipeline.replace(steps=[mlops.TimedStep("a")]).to_definition()


def test_a_second_document_is_named():
    text = (DATA / "kfp.yaml").read_text().split("\n---")[0]
    noted = mlops.read_definition(f"{text}\n---\nplatforms: {{kubernetes: {{}}}}\n").notes
    assert noted[-1] == "a further document sets how tasks run on kubernetes: it changes no edge"
    assert mlops.read_definition(text).notes == noted[:-1]


def test_azures_control_flow_and_limits():
    jobs = {
        "test": {"type": "command", "command": "echo"},
        "branch": {
            "type": "if_else",
            "condition": "${{parent.jobs.test.outputs.good}}",
            "true_block": "${{parent.jobs.after}}",
        },
        "after": {"type": "command", "command": "echo"},
        "search": {"type": "automl", "limits": {"timeout_minutes": 5}},
        "sweep": {"type": "sweep", "limits": {"max_total_trials": "${{parent.inputs.trials}}", "trial_timeout": 90}},
        "bare": None,
    }
    pipeline = mlops.read_definition({"type": "pipeline", "inputs": {"trials": 4}, "jobs": jobs | {"bare": {}}})
    assert pipeline.edges == (("test", "branch"),)
    assert any(note.startswith("job branch is of type if_else") for note in pipeline.notes)
    assert pipeline.step("search").max_runtime_s == 300.0
    assert pipeline.step("sweep").max_runtime_s == 90.0
    execution = pipeline.run()
    assert execution.attempts.set_index("step").loc["search", "status"] == "Succeeded"  # an assumption keeps the limit


def spots(found, path=()):
    inside = found.items() if isinstance(found, dict) else enumerate(found) if isinstance(found, list) else ()
    for key, each in list(inside):
        yield (*path, key)
        yield from spots(each, (*path, key))


@pytest.mark.parametrize("name", ["sagemaker.json", "kfp.yaml", "azure.yml"])
def test_damaged_files_never_end_in_a_traceback(name):
    odd = [None, "", 0, -1, 2.5, True, "x", [], {}, ["a"], {"a": 1}, {"Get": "Steps.x.y"}, [None]]
    whole = next(yaml.safe_load_all((DATA / name).read_text()))
    luck, ran, refused = random.Random(5), 0, 0
    for _ in range(150):
        found = copy.deepcopy(whole)
        path = luck.choice(list(spots(found)))
        holder = found
        for key in path[:-1]:
            holder = holder[key]
        holder[path[-1]] = luck.choice(odd)
        try:
            mlops.read_definition(found).run().report()
            ran += 1
        except ParameterError:
            refused += 1
    assert ran > 50
    assert refused > 5
