"""What runs in the place of the services the session names: each small, each held against what it must be."""

import importlib
import math

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.linear_model import LinearRegression

import simlib as sl
from simlib import platforms, pricing, serving
from simlib.platforms.fields import PLATFORMS, Platform
from simlib.platforms.sizing import machines, sized

MODEL = sl.ModelProfile("churn", service=sl.constant(0.05))


def test_whatever_a_row_says_that_runs_is_there() -> None:
    """Every name in a column `runs` is a function or class of the package it names."""
    for table in (platforms.services(), platforms.since_the_slides()):
        for cell in table["runs"]:
            for name in cell.split("; "):
                package, _, function = name.partition(".")
                assert callable(getattr(importlib.import_module(f"simlib.{package}"), function)), name


# --- BigQuery ML ------------------------------------------------------------------------------------------------------


@pytest.fixture
def house() -> platforms.Warehouse:
    rng = np.random.default_rng(1)
    x, kind = rng.normal(size=400), rng.choice(["a", "b"], 400)
    loans = pd.DataFrame({"x": x, "kind": kind, "unused": x, "y": 3 * x + (kind == "b") + 1, "good": x > 0.2})
    return platforms.Warehouse(loans=loans.astype({"good": int}))


def test_sql_trains_what_scikit_learn_trains(house: platforms.Warehouse) -> None:
    """y = 3 x + 1 (+ 1 for kind b) without noise: least squares finds it, from numbers and texts."""
    options = "OPTIONS(model_type='linear_reg', input_label_cols=['y'])"
    made = house.query(f"CREATE MODEL line {options} AS SELECT x, kind, y FROM loans WHERE x < 1")
    assert made.loc[0, "rows"] == len(house.query("SELECT 1 FROM loans WHERE x < 1"))
    asked = "SELECT predicted_y FROM ML.PREDICT(MODEL line, (SELECT 2.0 AS x, 'b' AS kind))"
    assert house.query(asked).iloc[0, 0] == pytest.approx(3 * 2 + 1 + 1)
    assert house.query("SELECT r2_score FROM ML.EVALUATE(MODEL line)").iloc[0, 0] == pytest.approx(1.0)
    frame = house.query("SELECT x, y FROM loans WHERE kind = 'a'")
    plain = LinearRegression().fit(frame[["x"]], frame["y"])
    assert plain.coef_[0] == pytest.approx(3.0)


def test_classes_are_learned_and_counted_in_one_statement(house: platforms.Warehouse) -> None:
    options = "OPTIONS(model_type='logistic_reg', input_label_cols=['good'])"
    house.query(f"CREATE OR REPLACE MODEL risk {options} AS SELECT x, good FROM loans")
    counted = house.query(
        "SELECT predicted_good, COUNT(*) AS n FROM ML.PREDICT(MODEL risk, TABLE loans) GROUP BY 1 ORDER BY 1"
    )
    assert counted["n"].sum() == 400
    assert house.query("SELECT accuracy FROM ML.EVALUATE(MODEL risk)").iloc[0, 0] > 0.95


def test_a_statement_is_billed_by_the_columns_it_reads() -> None:
    """Neither WHERE nor LIMIT makes it cheaper; fewer columns do.  8 bytes a number, 10 MB a table at least."""
    many = pd.DataFrame(np.zeros((1_300_000, 2)), columns=["a", "b"])
    house = platforms.Warehouse(many=many)
    for sql in ("SELECT a, b FROM many LIMIT 1", "SELECT a FROM many WHERE a > 1", "SELECT 1"):
        house.query(sql)
    assert house.jobs["mb"].tolist() == pytest.approx([20.8, 10.4, 0.0])
    per_tib = pricing.price("bigquery", "on-demand-query", region="us", platform="gcp").usd
    assert house.jobs["usd"][0] == pytest.approx(20.8e6 / 2**40 * per_tib)
    assert house.jobs["note"].str.contains("unverified").all()


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("SELECT z FROM loans", "no such column: z"),
        ("CREATE MODEL m OPTIONS(model_type='dnn') AS SELECT x, y FROM loans", "model_type='dnn'"),
        (
            "CREATE MODEL m OPTIONS(model_type='linear_reg', input_label_cols=['q']) AS SELECT x, y FROM loans",
            "input_label_cols=['q']",
        ),
        ("SELECT * FROM ML.PREDICT(MODEL nobody, (SELECT 1))", "there is no model 'nobody'"),
        ("SELECT * FROM ML.PREDICT(MODEL nobody, (SELECT 1)", "no closing parenthesis"),
    ],
)
def test_wrong_sql_is_one_sentence(house: platforms.Warehouse, sql: str, words: str) -> None:
    with pytest.raises(sl.ParameterError) as caught:
        house.query(sql)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


# --- AutoML -----------------------------------------------------------------------------------------------------------


def test_a_search_keeps_its_budget_and_its_best() -> None:
    found = platforms.automl(load_iris(as_frame=True).frame, label="target", node_hours=0.65, seed=2)
    assert len(found.tried) == 6
    assert found.node_hours == pytest.approx(0.6)
    hourly = pricing.price("automl", "tabular-training", platform="vertex").usd
    assert found.usd == pytest.approx(0.6 * hourly)
    assert (found.tried["best"] == found.tried["score"].cummax()).all()
    assert found.searched_score == found.tried["score"].max()
    assert found.held_out_score > 0.8
    again = platforms.automl(load_iris(as_frame=True).frame, label="target", node_hours=0.35, seed=2)
    pd.testing.assert_frame_equal(again.tried, found.tried.head(3))


def test_the_best_of_many_looks_better_than_it_is() -> None:
    """Labels that nothing predicts: the true accuracy of any model is one half; the best score of a search is more."""
    searched, held_out = [], []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        noise = pd.DataFrame(rng.normal(size=(120, 3)), columns=list("abc")).assign(y=rng.integers(0, 2, 120))
        found = platforms.automl(noise, label="y", node_hours=0.5, seed=seed)
        searched.append(found.searched_score)
        held_out.append(found.held_out_score)
    assert np.mean(searched) > 0.53
    spread = 4 * math.sqrt(0.25 / (6 * 24))  # four standard errors of 144 coin flips
    assert abs(np.mean(held_out) - 0.5) < spread


def test_what_a_search_cannot_use_is_told() -> None:
    frame = load_breast_cancer(as_frame=True).frame
    for label, hours, words in (("nothing", 1.0, "label='nothing'"), ("target", 0.01, "less than the 0.1")):
        with pytest.raises(sl.ParameterError, match=words):
            platforms.automl(frame, label=label, node_hours=hours)
    with pytest.raises(sl.ParameterError, match="column 'name'"):
        platforms.automl(frame.assign(name="x"), label="target")
    bill = platforms.automl_usd(2.0, machines_a_node=3)
    assert bill.loc["vertex", "usd"] == pytest.approx(2 * 21.252)
    assert bill.loc["azureml", "usd"] == pytest.approx(6 * 0.192)
    assert bill.loc["vertex", "note"].startswith("unverified")


# --- vectors ----------------------------------------------------------------------------------------------------------


def test_all_lists_find_what_brute_force_finds_and_more_lists_never_less() -> None:
    rng = np.random.default_rng(3)
    vectors, queries = rng.normal(size=(3000, 24)), rng.normal(size=(40, 24))
    index = platforms.VectorIndex(vectors, lists=30, seed=1)
    curve = index.curve(queries, 10, probes=(1, 5, 15, 30))
    assert curve["recall"].is_monotonic_increasing
    assert curve["latency_ms"].is_monotonic_increasing
    assert curve.loc[30, "recall"] == 1.0
    assert curve.loc[30, "looked_at"] == pytest.approx(1.01)  # all vectors, and the 30 centres
    ids, _ = index.search(queries[0], 5, probes=30)
    truth = np.argsort(((vectors - queries[0]) ** 2).sum(axis=1))[:5]
    assert ids.tolist() == truth.tolist()
    with pytest.raises(sl.ParameterError, match="24"):
        index.search(np.zeros(3))
    with pytest.raises(sl.ParameterError, match="lists=50"):
        platforms.VectorIndex(vectors[:10], lists=50)


def test_vector_search_pays_for_nodes_and_builds() -> None:
    bill = platforms.vector_search_usd(10_000_000, dimension=768, queries_per_s=50, rebuilds_per_month=2)
    gib = 1e7 * 768 * 4 / 2**30
    nodes = math.ceil(gib / 6)
    assert (bill["nodes"] == nodes).all()
    assert bill.loc["Vertex AI Vector Search", "usd"] == pytest.approx(nodes * 730 * 0.0938084 + 2 * gib * 3)
    assert bill.loc["own index on SageMaker", "usd"] == pytest.approx(nodes * 730 * 0.115)


# --- chips, notebooks -------------------------------------------------------------------------------------------------


def test_training_takes_work_over_speed_at_the_machines_price() -> None:
    table = platforms.training_cost(1e20, utilization=0.5)
    hours = 1e20 / (197e12 * 0.5) / 3600
    assert table.loc[("TPU v5e", "vertex"), "hours"] == pytest.approx(hours)
    assert table.loc[("TPU v5e", "vertex"), "usd"] == pytest.approx(hours * 1.2)
    assert table.loc[("Trainium", "sagemaker"), "peak_tflops"] == 16 * 190
    assert table.loc[[("FPGA", "azureml"), ("Inferentia2", "sagemaker")], "usd"].isna().all()
    assert table["usd"].dropna().is_monotonic_increasing
    assert table.loc[("NVIDIA A100", "vertex"), "note"] == "speed unverified"
    half = platforms.training_cost(1e20, utilization=0.5, of_a_chip={"TPU v5e": 0.25})
    assert half.loc[("TPU v5e", "vertex"), "usd"] == pytest.approx(2 * hours * 1.2)
    with pytest.raises(sl.ParameterError, match="did you mean 'TPU v5e'"):
        platforms.training_cost(1e20, of_a_chip={"TPU v5": 0.2})


def test_a_notebook_left_on_costs_a_month() -> None:
    bill = platforms.notebook_month(hours_a_day=8, days=20)
    assert set(bill.index) == set(PLATFORMS)
    assert (bill["usd_left_on"] / bill["usd_stopped"]).to_numpy() == pytest.approx(730 / 160)


# --- descriptors, releases, Designer ----------------------------------------------------------------------------------


def test_one_model_as_the_smallest_descriptors() -> None:
    table = platforms.effort()
    assert table["objects"].tolist() == [3, 3, 2]
    for platform in PLATFORMS:
        listed = platforms.effort(platform)
        assert len(listed) == table.loc[platform, "fields"]
        assert (listed["value"].astype(str) != "").all()
    assert {"ModelName", "ProductionVariants[0].InstanceType"} <= set(platforms.effort("sagemaker")["field"])


def test_boto_accepts_what_is_written_for_sagemaker() -> None:
    import botocore.session
    from botocore.validate import ParamValidator

    one = machines("4 vCPUs")["sagemaker"]
    files = platforms.write_deployment(sized("sagemaker", MODEL, one, utilization=0.6, most=5, first=2))
    assert len(files) == 5
    session = botocore.session.get_session()
    for name, document in files.items():
        scaling = name in ("register_scalable_target", "put_scaling_policy")
        service = session.get_service_model("application-autoscaling" if scaling else "sagemaker")
        operation = "".join(part.title() for part in name.split("_"))
        report = ParamValidator().validate(document, service.operation_model(operation).input_shape)
        assert not report.has_errors(), report.generate_report()


@pytest.mark.parametrize("platform", PLATFORMS)
def test_what_is_written_is_read_back(platform: Platform) -> None:
    """One model, three platforms: the same machine, count and scaling come back from the files."""
    one = machines("4 vCPUs")[platform]
    deployment = sized(platform, MODEL, one, utilization=0.6, most=5, first=1)
    read = platforms.read_deployment(*platforms.write_deployment(deployment).values(), model=MODEL)
    assert read.platform == platform
    assert read.findings == ()
    assert read.deployment.policies == deployment.policies
    (again,), (first,) = read.deployment.fleets, deployment.fleets
    assert (again.instance_type, again.initial_instance_count) == (first.instance_type, first.initial_instance_count)
    if platform == "azureml":  # the others' files do not say how many requests a container takes at once
        assert again.workers == first.workers


def test_a_scaling_of_another_platform_is_refused() -> None:
    wrong = serving.RealTime(MODEL, instance_type="n1-standard-4", scaling=serving.TargetTracking(60, max_capacity=2))
    with pytest.raises(sl.ParameterError, match="TargetTracking is not what Vertex AI has"):
        platforms.write_deployment(wrong)


def test_only_a_gate_keeps_a_release_until_monday() -> None:
    plain, gated = platforms.release(), platforms.release(gates_added=True)
    assert plain["approved_by"].tolist() == ["Ana", "nobody", "nobody"]
    assert plain.loc["sagemaker", "live_at"].startswith("Mon")
    assert plain.loc[["vertex", "azureml"], "live_at"].str.startswith("Fri").all()
    assert plain.loc["vertex", "hours"] < 2 < plain.loc["sagemaker", "hours"]
    assert gated["hours"].nunique() == 1
    assert plain["note"].tolist() == ["", "unverified", "unverified"]


def test_blocks_become_a_pipeline_that_runs() -> None:
    blocks = ["Import data", "Clean missing data", "Split data", "Train model", "Score model", "Evaluate model"]
    made = platforms.compose(blocks)
    assert set(made.edges) >= {("Import data", "Clean missing data"), ("Clean missing data", "Split data")}
    assert ("Split data", "Score model") in made.edges
    assert made.run().makespan_s == pytest.approx(60 + 40 + 20 + 600 + 60 + 30)
    for wrong, words in ((["Train model"], "needs training data: put 'Split data'"), (["Import dat"], "did you mean")):
        with pytest.raises(sl.ParameterError, match=words):
            platforms.compose(wrong)
