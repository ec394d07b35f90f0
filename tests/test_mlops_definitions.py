"""Real pipeline files: small ones of the same shapes; edges equal an independent count, and each draws and runs."""

import json
import re
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
import yaml

import simlib as sl
from simlib import mlops
from simlib.parameters import ParameterError

DATA = Path(__file__).parent / "data" / "pipelines"


def sagemaker_edges(steps, under=None):
    """Counted from the text of each step, with no part of the library."""
    found = set()
    for step in steps:
        own = json.loads(json.dumps(step))
        branches = [own.get("Arguments", {}).pop(side, []) for side in ("IfSteps", "ElseSteps")]
        text = json.dumps(own)
        found |= {(name, step["Name"]) for name in re.findall(r'"Get": "Steps\.([^."\[]+)', text)}
        found |= {(name, step["Name"]) for name in step.get("DependsOn", [])}
        found |= {(under, step["Name"])} - {(None, step["Name"])}
        for branch in branches:
            found |= sagemaker_edges(branch, step["Name"])
    return found


def kfp_edges(spec):
    """Per DAG and by names without their group."""
    dags = [spec["root"]["dag"]] + [c["dag"] for c in spec["components"].values() if "dag" in c]
    found = []
    for dag in dags:
        for name, each in dag["tasks"].items():
            producers = set(re.findall(r"'producerTask': '([^']+)'", str(each)))
            found += [(needed, name) for needed in producers | set(each.get("dependentTasks", []))]
    return sorted(found)


def azure_edges(jobs):
    return {(a, name) for name, job in jobs.items() for a in re.findall(r"parent\.jobs\.([^.]+)\.outputs", str(job))}


def test_sagemaker():
    definition = json.loads((DATA / "sagemaker.json").read_text())
    pipeline = mlops.read_definition(DATA / "sagemaker.json")
    assert set(pipeline.edges) == sagemaker_edges(definition["Steps"])
    assert len(pipeline) == 10
    assert len(pipeline.edges) == 11
    assert pipeline.step("New").type == "SomethingNew"
    assert pipeline.step("Train").max_runtime_s == 86400
    assert pipeline.step("Train").retries[0].expire_after_min == 120
    assert any("parameter InputData has no default" in note for note in pipeline.notes)
    execution = pipeline.run(sl.Simulation(seed=1))
    assert execution.steps["status"].to_dict()["New"] == "Skipped"  # Status is not Approved, so Hot holds
    assert execution.steps["status"].to_dict()["Stop"] == "Skipped"
    assumed = execution.assumptions["parameter"].tolist()
    assert "outcome of Good" in assumed
    assert "outcome of Hot" not in assumed
    written = pipeline.to_definition()
    assert mlops.read_definition(written).edges == pipeline.edges
    assert written["Steps"][0]["CacheConfig"] == definition["Steps"][0]["CacheConfig"]


def test_static_addresses_are_used_as_they_are_so_a_new_run_upstream_is_still_a_hit_downstream():
    execution = mlops.read_definition(DATA / "sagemaker.json").run()
    channel = execution.records[1].arguments["InputDataConfig"][0]
    assert channel["DataSource"]["S3DataSource"]["S3Uri"] == "s3://b/train"


def test_kfp():
    spec = next(yaml.safe_load_all((DATA / "kfp.yaml").read_text()))
    pipeline = mlops.read_definition(DATA / "kfp.yaml")
    short = sorted(tuple(name.rpartition("/")[2] for name in edge) for edge in pipeline.edges)
    assert short == kfp_edges(spec)
    execution = pipeline.run(sl.Simulation(seed=1), durations={"inside": 10})
    status = execution.steps["status"]
    assert status["condition-branches-1/condition-2/leaf"] == "Succeeded"
    assert status["condition-branches-1/condition-3"] == "Skipped"  # an If with Else goes one way
    loop = execution.steps.loc["for-loop-1"]
    assert loop["end_s"] - loop["start_s"] == 30  # five items, two at a time
    assert [name for name in execution.steps.index if re.fullmatch(r"unknown-loop\[\d\]/inside", name)] == [
        f"unknown-loop[{k}]/inside" for k in range(3)
    ]
    policy = pipeline.step("exit-handler-1/fragile").retries[0]
    assert (policy.max_attempts, policy.wait_s("any", 2, 0.0)) == (3, 20.0)
    other = pipeline.run(sl.Simulation(seed=1), outcomes={"condition-branches-1/condition-2": False})
    assert other.steps.loc["condition-branches-1/condition-2", "status"] == "Skipped"


def test_kfps_exit_task_runs_whatever_happened():
    text = (DATA / "kfp.yaml").read_text()
    pipeline = mlops.read_definition(text)
    broken = mlops.TimedStep("fragile", duration=1, failures=[mlops.Failure(1.0)])
    steps = [
        mlops.GroupStep(step.name, steps=[broken], depends_on=step.depends_on)
        if step.name == "exit-handler-1"
        else step
        for step in pipeline.steps
    ]
    execution = pipeline.replace(steps=steps).run(sl.Simulation(seed=1))
    assert execution.status == "Failed"
    assert execution.steps.loc["exit-handler-1", "status"] == "Failed"
    assert execution.steps.loc["clean-up", "status"] == "Succeeded"


@pytest.mark.parametrize("wrap", [lambda s: {"pipelineSpec": s}, lambda s: {"kind": "X", "spec": {"pipelineSpec": s}}])
def test_kfp_inside_a_vertex_job_or_a_resource(wrap):
    spec = next(yaml.safe_load_all((DATA / "kfp.yaml").read_text()))
    assert mlops.read_definition(json.dumps(wrap(spec))).edges == mlops.read_definition(spec).edges


def test_azure():
    found = yaml.safe_load((DATA / "azure.yml").read_text())
    pipeline = mlops.read_definition(DATA / "azure.yml")
    expected = azure_edges(found["jobs"]) | {("inner/first", "inner/second")}
    assert set(pipeline.edges) == expected
    assert isinstance(pipeline.step("sweep"), mlops.TuningStep)
    assert pipeline.step("inner/first").inputs == {"d": {"Get": "Inputs.data"}}
    assert pipeline.step("score").retries[0].max_attempts == 3
    assert pipeline.run(sl.Simulation(seed=1)).status == "Succeeded"
    assert pipeline.on_failure == "finish_running"


def test_azure_without_the_file_of_a_nested_pipeline(tmp_path):
    (tmp_path / "p.yml").write_text((DATA / "azure.yml").read_text())
    pipeline = mlops.read_definition(tmp_path / "p.yml")
    assert any("job inner is a pipeline in a file that is not here" in note for note in pipeline.notes)
    assert pipeline.run().status == "Succeeded"


@pytest.mark.parametrize("name", ["sagemaker.json", "kfp.yaml", "azure.yml", "azure_inner.yml"])
def test_each_draws_and_tells(name):
    plt.switch_backend("Agg")
    pipeline = mlops.read_definition(DATA / name)
    assert f"{len(pipeline)} steps" in pipeline.draw()
    assert pipeline.run(sl.Simulation(seed=2)).gantt()
    plt.close("all")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("type: pipeline\noutputs: {}\n", "there are no jobs here"),
        ("name: CI\non: push\njobs: {a: {runs-on: x, steps: []}}\n", "its jobs are not those of an Azure ML pipeline"),
        ("apiVersion: argoproj.io/v1alpha1\nkind: Workflow\n", "KFP v1"),
        ("a: 1\nb: 2\n", "has neither Steps"),
        ("- 1\n- 2\n", "it holds no keys"),
        ('{"Steps": []}', "its list of Steps is empty"),
        ('{"Steps": [{"Type": "Training"}]}', "a step has no Name"),
        ("a: [1\nb: 2\n", "neither JSON nor YAML at line 2"),
        ("root: {dag: {tasks: {a: {componentRef: {name: comp-a}}}}}\ncomponents: {}\n", "'comp-a', which is not there"),
        ("$schema: https://x/commandComponent.schema.json\ntype: command\n", "commandComponent.schema.json"),
    ],
)
def test_what_is_no_pipeline_says_why_in_one_sentence(text, why, tmp_path):
    path = tmp_path / "file.yml"
    path.write_text(text)
    with pytest.raises(ParameterError) as caught:
        mlops.read_definition(path)
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there():
    with pytest.raises(ParameterError, match="cannot be read: No such file"):
        mlops.read_definition("nowhere.json")


def test_a_definition_inside_what_create_pipeline_takes():
    body = {"PipelineName": "x", "PipelineDefinition": (DATA / "sagemaker.json").read_text()}
    assert len(mlops.read_definition(body)) == 10
