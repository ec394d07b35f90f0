"""Pipelines: what is refused, and in which sentence; edges; texts, pictures and definitions."""

import json

import matplotlib.pyplot as plt
import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import simlib as sl
from simlib import mlops
from simlib.mlops import GroupStep, Pipeline, ProcessingStep, TimedStep, TrainingStep
from simlib.parameters import ParameterError


@pytest.fixture(autouse=True)
def no_windows():
    plt.switch_backend("Agg")
    yield
    plt.close("all")


def task(name, needs=(), **more):
    return TimedStep(name, depends_on=needs, **{"duration": 1.0, **more})


def whole():
    """Every kind of step in one pipeline."""
    auc = mlops.Parameter("MinimumAUC", 0.8)
    machine = mlops.Parameter("Machine", "ml.m5.xlarge", enum_values=("ml.m5.xlarge", "ml.m5.2xlarge"))
    prepare = ProcessingStep("prepare", inputs={"raw": "s3://raw"}, outputs=("train", "test"), instance_type=machine)
    check = mlops.QualityCheckStep("check", depends_on=prepare)
    bias = mlops.ClarifyCheckStep("bias", depends_on=prepare)
    tune = mlops.TuningStep("tune", inputs={"train": prepare.output("train")}, max_trials=4, max_parallel_trials=2)
    train = TrainingStep(
        "train",
        inputs={"train": prepare.output("train")},
        hyperparameters={"depth": 5},
        cache=mlops.CacheConfig(expire_after="P30D"),
        retries=[mlops.RetryPolicy(("SageMaker.CAPACITY_ERROR",), interval_s=60, max_attempts=3)],
        depends_on=[check, bias, tune],
    )
    evaluate = mlops.EvaluationStep("evaluate", inputs={"model": train.output(), "test": prepare.output("test")})
    register = mlops.RegisterModelStep("register", group="churn", inputs={"model": train.output()})
    approve = mlops.ApprovalStep("approve", register=register)
    model = mlops.ModelStep("model", inputs={"model": train.output()}, depends_on=approve)
    deploy = mlops.EndpointStep("deploy", endpoint="live", group="churn", depends_on=model)
    score = mlops.TransformStep("score", inputs={"model": model.output(), "data": "s3://new"})
    tell = mlops.LambdaStep("tell", inputs={"to": mlops.join("-", ["team", auc])}, depends_on=score)
    ask = mlops.CallbackStep("ask", depends_on=deploy)
    good = mlops.ConditionStep(
        "good",
        conditions=[mlops.compare(evaluate.metric("auc"), ">=", auc)],
        if_steps=[register, approve, model, deploy, score, tell, ask],
        else_steps=[mlops.FailStep("fail", message="not good enough")],
    )
    steps = [prepare, check, bias, tune, train, evaluate, good]
    return Pipeline("whole", steps=steps, parameters=(auc, machine))


# --- what is refused -------------------------------------------------------------------------------------------------

CONDITION = mlops.ConditionStep("c", if_steps=[task("a")], else_steps=[task("a")])
WRONG = {
    "step 'b' depends on 'aa', but there is no such step": [task("a"), task("b", "aa")],
    "step 'b' reads what 'x' makes, but there is no such step": [task("b", inputs={"i": {"Get": "Steps.x.out"}})],
    "there are two steps called 'a'": [task("a"), task("a")],
    "step 'a' is in both branches of condition 'c'": [CONDITION],
    "steps a → b → a wait for each other in a circle": [task("a", "b"), task("b", "a")],
    "steps a → a wait for each other": [task("a", "a")],
    "step 'b' depends on 'f', but nothing may depend on a FailStep": [mlops.FailStep("f"), task("b", "f")],
    "step 'b' reads parameter 'P', which does not exist": [task("b", inputs={"i": {"Get": "Parameters.P"}})],
    "step 'i' depends on 'x'": [GroupStep("g", steps=[task("i", "x")])],
}


@pytest.mark.parametrize("sentence", WRONG)
def test_what_cannot_run_is_refused_in_one_sentence_that_names_the_step(sentence):
    with pytest.raises(ParameterError) as caught:
        Pipeline("p", steps=WRONG[sentence])
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: task("a/b"), "name='a/b'"),
        (lambda: TimedStep("a", duration=-1), "value=-1.0"),
        (lambda: TimedStep("a", durations=1), "did you mean 'duration'"),
        (lambda: TimedStep("a", depends_on=3), "depends_on=3"),
        (lambda: mlops.RetryPolicy(max_attempts=2, expire_after_min=3), "not both"),
        (lambda: mlops.CacheConfig(expire_after="soon"), "expire_after='soon'"),
        (lambda: mlops.Failure(1.5), "probability=1.5"),
        (lambda: mlops.Parameter("n", "x", "Integer"), "not of type Integer"),
        (lambda: mlops.Parameter("n", "x", enum_values=("y",)), "should be one of 'y'"),
        (lambda: Pipeline("p", steps=["a"]), "'a' is not a step"),
        (lambda: mlops.WorkingHours(17, 9), "end_hour=9"),
        (lambda: mlops.WorkingHours(timezone="Mars/Base"), "timezone='Mars/Base'"),
        (lambda: mlops.WorkingHours(holidays=["soon"]), "holidays"),
        (lambda: mlops.ForEachStep("f", over="abc"), "over='abc'"),
        (lambda: whole().step("trian"), "did you mean 'train'"),
    ],
)
def test_wrong_values_are_told_in_one_sentence(make, sentence):
    with pytest.raises(ParameterError) as caught:
        make()
    assert sentence in str(caught.value)


# --- edges -----------------------------------------------------------------------------------------------------------


def test_edges_come_from_references_from_saying_so_and_from_branches():
    graph = whole().graph
    assert graph.edges["prepare", "train"]["why"] == "data"
    assert graph.edges["check", "train"]["why"] == "explicit"
    assert graph.edges["good", "register"]["why"] == "branch"
    assert graph.edges["register", "approve"]["why"] == "data"
    assert graph.edges["evaluate", "good"]["why"] == "data"
    assert ("good", "fail") in whole().edges


def test_a_reference_from_inside_a_group_is_an_edge_to_the_group():
    inner = TimedStep("inner", inputs={"x": task("a").output("x")}, duration=1)
    pipeline = Pipeline("p", steps=[task("a"), GroupStep("g", steps=[inner, task("second", "inner")])])
    assert set(pipeline.edges) == {("a", "g"), ("g/inner", "g/second")}
    assert pipeline.run().steps.loc["g/inner", "start_s"] == 1.0


graphs = st.integers(2, 12).flatmap(
    lambda n: st.tuples(
        st.lists(st.integers(1, 20), min_size=n, max_size=n),
        st.sets(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)).filter(lambda e: e[0] < e[1]), max_size=3 * n),
    )
)


def made_of(drawn, **more):
    durations, edges = drawn
    steps = [
        task(f"s{k}", [f"s{a}" for a, b in sorted(edges) if b == k], duration=float(seconds))
        for k, seconds in enumerate(durations)
    ]
    return Pipeline("p", steps=steps, **more)


@given(graphs)
@settings(max_examples=60, deadline=None)
def test_networkx_agrees_on_order_layers_and_the_longest_chain(drawn):
    pipeline = made_of(drawn)
    graph = nx.DiGraph()
    graph.add_nodes_from(f"s{k}" for k in range(len(drawn[0])))
    graph.add_weighted_edges_from((f"s{a}", f"s{b}", drawn[0][a]) for a, b in drawn[1])
    assert set(pipeline.edges) == set(graph.edges)
    graph.add_weighted_edges_from((f"s{k}", "end", seconds) for k, seconds in enumerate(drawn[0]))
    assert pipeline.critical_path()[1] == nx.dag_longest_path_length(graph)
    placed = [line.split()[0] for line in pipeline.text().splitlines()[1:]]
    assert all(placed.index(a) < placed.index(b) for a, b in pipeline.edges)


# --- texts, pictures, definitions ------------------------------------------------------------------------------------


def test_the_text_says_what_each_step_needs():
    text = whole().text()
    assert text.startswith("whole: 15 steps, 26 edges (9 data, 9 explicit, 8 branch)")
    assert "  fail (Fail) unless good" in text
    assert "  evaluate (Processing) after" in text


def test_a_picture_and_a_summarised_picture():
    assert "15 steps" in whole().draw()
    assert "10 layers" in Pipeline("long", steps=[task(f"s{k}", f"s{k - 1}" if k else ()) for k in range(10)]).draw()
    many = Pipeline("many", steps=[task(f"s{k}") for k in range(100)])
    assert "1 layer; at most 100" in many.draw()


def boxes():
    """The rectangles of the picture's boxes, in pixels."""
    figure = plt.gcf()
    figure.canvas.draw()
    return [each.get_bbox_patch().get_window_extent() for each in figure.axes[0].texts if each.get_text()]


@pytest.mark.parametrize("beside", [3, 6, 7, 30])
def test_no_box_of_a_wide_layer_covers_another(beside):
    Pipeline(
        "wide", steps=[task("first"), *(task(f"a-step-with-a-long-name-{k}", "first") for k in range(beside))]
    ).draw()
    found = boxes()
    assert len(found) == beside + 1
    assert not any(a.overlaps(b) for k, a in enumerate(found) for b in found[:k])


def test_titles_fit_whatever_the_pipeline_is_called():
    pipeline = Pipeline("a-name-" * 30, steps=[task("one"), task("two", "one")])
    pictures = (pipeline.draw, pipeline.run().gantt)
    for picture in pictures:
        picture()
        figure = plt.gcf()
        figure.canvas.draw()
        title = figure.axes[0]._left_title.get_window_extent()
        assert title.x1 <= figure.bbox.x1
        legend = figure.axes[0].get_legend().get_window_extent()
        assert legend.x0 >= figure.axes[0].get_window_extent().x1  # beside the picture, where it hides nothing


@pytest.mark.parametrize("number", [0, -1, 2.5, "two", None, True])
@pytest.mark.parametrize("name", ["instance_count", "max_trials", "max_parallel_trials"])
def test_how_many_is_a_number_from_1_or_a_reference(name, number):
    with pytest.raises(ParameterError, match=f"^TuningStep: {name}={number!r} is not possible"):
        mlops.TuningStep("t", **{name: number})
    assert getattr(mlops.TuningStep("t", **{name: mlops.Parameter("N")}), name) == {"Get": "Parameters.N"}


@pytest.mark.parametrize(
    ("do", "sentence"),
    [
        (lambda: Pipeline("p", steps=[]), "steps=() of 'p' should hold at least one step"),
        (lambda: Pipeline("p", steps=[task("a")]).run(3), "sim=3 is not possible"),
        (lambda: mlops.read_definition(None), "source='None' should be a path"),
        (lambda: mlops.read_definition(""), "source='' should be a path"),
    ],
)
def test_wrong_from_the_start(do, sentence):
    with pytest.raises(ParameterError) as caught:
        do()
    assert sentence in str(caught.value)


def test_a_definition_is_read_back_as_the_same_pipeline():
    written = json.loads(json.dumps(whole().to_definition()))
    again = mlops.read_definition(written)
    assert set(again.edges) == set(whole().edges)
    assert again.to_definition() == written
    assert [type(step).__name__ for step in again.steps[:2]] == ["ProcessingStep", "QualityCheckStep"]
    assert isinstance(again.step("evaluate"), mlops.EvaluationStep)
    assert written["Steps"][0]["Arguments"]["ProcessingResources"]["ClusterConfig"]["InstanceType"] == {
        "Get": "Parameters.Machine"
    }


def test_a_written_loop_becomes_single_steps():
    loop = mlops.ForEachStep(
        "each",
        over=["es", "fr"],
        steps=[ProcessingStep("clean", inputs={"raw": mlops.item()}), task("next", "clean")],
        depends_on="first",
    )
    pipeline = Pipeline("p", steps=[task("first"), loop, task("last", "each")])
    again = mlops.read_definition(pipeline.to_definition())
    assert set(again.edges) == {
        *(("first", f"each-{k}-clean") for k in range(2)),
        *((f"each-{k}-clean", f"each-{k}-next") for k in range(2)),
        *((f"each-{k}-next", "last") for k in range(2)),
    }
    assert again.step("each-1-clean").arguments["ProcessingInputs"][0]["S3Input"]["S3Uri"] == "fr"


def test_what_sagemaker_cannot_say_is_refused():
    with pytest.raises(ParameterError, match="step 'exit' runs whether others succeed or not"):
        Pipeline("p", steps=[task("exit", trigger="completed")]).to_definition()
    dynamic = mlops.ForEachStep("f", over=task("a").output("list"), steps=[task("b")])
    with pytest.raises(ParameterError, match="loop 'f' goes over a list that only a run makes"):
        Pipeline("p", steps=[task("a"), dynamic]).to_definition()


def test_a_pipeline_goes_to_json_and_back():
    pipeline = whole()
    assert sl.from_json(sl.to_json(pipeline)).edges == pipeline.edges
