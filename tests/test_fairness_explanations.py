"""SHAP explanations: they add up, agree with exact values, step around the traps, and say in words what went wrong."""

import time
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import make_classification
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression, PoissonRegressor
from sklearn.metrics import ndcg_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier
from threadpoolctl import threadpool_limits

from simlib import fairness
from simlib.fairness import Loans, explain
from simlib.parameters import ParameterError

X, Y = make_classification(1500, 20, n_informative=8, random_state=0)
FRAME = pd.DataFrame(X, columns=[f"x{k}" for k in range(20)])


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """Small models crawl when many threads share few cores."""
    with threadpool_limits(1):
        yield


@pytest.fixture(autouse=True)
def _no_windows():
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    mpl.use("Agg")
    yield
    plt.close("all")


MODELS = {
    "histogram boosting": HistGradientBoostingClassifier(random_state=0),
    "boosting": GradientBoostingClassifier(n_estimators=40, random_state=0),
    "forest": RandomForestClassifier(40, max_depth=6, random_state=0),
    "logistic": LogisticRegression(max_iter=1000),
    "linear": LinearRegression(),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_thousand_rows_of_twenty_features_add_up_by_an_exact_method(name: str) -> None:
    model = MODELS[name].fit(FRAME, Y)
    found = explain(model, FRAME.iloc[:1000])
    assert found.values.shape == (1000, 20)
    assert found.additivity_error < 1e-6
    assert found.method in ("tree", "linear")


@pytest.mark.slow
def test_so_does_any_function() -> None:
    model = HistGradientBoostingClassifier(random_state=0).fit(FRAME, Y)
    found = explain(lambda rows: model.predict_proba(rows)[:, 1], FRAME.iloc[:200], progress=False)
    assert found.additivity_error < 1e-6
    assert found.method == "kernel"


def test_kernel_and_exact_agree_on_a_linear_model() -> None:
    weights = np.arange(8.0)
    data, baseline = FRAME.iloc[:15, :8], FRAME.iloc[20:50, :8]

    def model(rows: pd.DataFrame) -> np.ndarray:
        return rows.to_numpy() @ weights

    exact = weights * (data - baseline.mean())
    for method in ("kernel", "exact", "permutation"):
        found = explain(model, data, method=method, baseline=baseline)
        assert np.allclose(found.values, exact, atol=1e-6), method
    fitted = LinearRegression().fit(FRAME.iloc[:, :8], FRAME.iloc[:, :8] @ weights)
    assert np.allclose(explain(fitted, data, baseline=baseline).values, exact, atol=1e-6)


def test_the_traps_of_histogram_boosting_are_stepped_around() -> None:
    data = FRAME.iloc[:, :3].assign(c=pd.Categorical(np.where(X[:, 5] > 0, "u", "v")))
    model = HistGradientBoostingClassifier(random_state=0, categorical_features="from_dtype").fit(data, Y)
    found = explain(model, data.iloc[:20])
    assert found.method == "kernel"
    assert found.additivity_error < 1e-6
    assert "categorical features" in found.notes[0]
    with pytest.raises(ParameterError, match="would be wrong here"):
        explain(model, data, method="tree")
    plain = HistGradientBoostingClassifier(random_state=0).fit(FRAME, Y)
    with_baseline = explain(plain, FRAME.iloc[:10], baseline=FRAME.iloc[:20])
    assert with_baseline.method == "kernel"
    assert with_baseline.additivity_error < 1e-6


def test_a_pipeline_with_words_in_it() -> None:
    frame = Loans(label_bias=0.3).sample(400, seed=1)
    model = make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression()).fit(
        frame[["gender", "purpose"]], frame["approved"]
    )
    found = explain(model, frame.iloc[:20])
    assert list(found.values.columns) == ["gender", "purpose"]
    assert found.additivity_error < 1e-6
    women = frame["gender"].iloc[:20] == "woman"
    assert found.values.loc[women, "gender"].max() < found.values.loc[~women, "gender"].min()


def test_a_time_budget_stops_and_says_so() -> None:
    def slow(rows: pd.DataFrame) -> np.ndarray:
        time.sleep(0.005)
        return rows.to_numpy().sum(axis=1)

    found = explain(slow, FRAME.iloc[:500, :4], time_budget_s=0.2, progress=False)
    assert 0 < len(found.values) < 500
    assert "of 500 rows, drawn at random: 0.2 s were up" in found.notes[0]
    trees = RandomForestClassifier(20, random_state=0).fit(FRAME, Y)
    some, all_of_them = explain(trees, FRAME, time_budget_s=1e-9), explain(trees, FRAME)
    assert len(some.values) == 100
    assert some.values.index.is_monotonic_increasing
    pd.testing.assert_frame_equal(some.values, all_of_them.values.loc[some.values.index])


def test_same_seed_same_values_and_numpys_stream_is_left_alone() -> None:
    def model(rows: pd.DataFrame) -> np.ndarray:
        return np.sin(rows.to_numpy()).prod(axis=1)

    np.random.seed(5)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    one, other = (explain(model, FRAME.iloc[:4, :12], seed=3).values for _ in range(2))
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002
    pd.testing.assert_frame_equal(one, other)


def test_the_gap_adds_up_to_the_difference_of_the_answers() -> None:
    model = LogisticRegression(max_iter=1000).fit(FRAME, Y)
    found = explain(model, FRAME)
    is_d = FRAME["x3"] > 0.5
    gap = found.gap(is_d)
    assert gap.sum() == pytest.approx(found.predictions[is_d].mean() - found.predictions[~is_d].mean())


def test_aggregations_and_pictures() -> None:
    found = explain(LogisticRegression(max_iter=1000).fit(FRAME, Y), FRAME.iloc[:100])
    assert found.importance("mean_sq").equals((found.values**2).mean().sort_values(ascending=False).rename("mean_sq"))
    assert (found.importance("median") < 0).any()
    assert "log-odds" in found.plot_importance()
    assert "answer" in found.plot_beeswarm(at_most=5)
    assert found.plot_waterfall(0).startswith("Base ")
    with pytest.raises(ParameterError, match="row=999"):
        found.plot_waterfall(999)


def test_partial_dependence_of_a_line_is_the_line() -> None:
    found = fairness.partial_dependence(lambda rows: 2 * rows["x0"] + rows["x1"], FRAME, "x0")
    slope = np.diff(found["mean"]) / np.diff(found.index)
    assert np.allclose(slope, 2)
    assert (found["low"] <= found["mean"]).all()


def test_attribution_drift_is_ndcg() -> None:
    rng = np.random.default_rng(1)
    old, new = (pd.Series(rng.random(9), index=list("abcdefghi")) for _ in range(2))
    assert fairness.attribution_drift(old, old) == 1
    assert fairness.attribution_drift(old, 100 * old) == 1  # magnitudes are invisible
    assert fairness.attribution_drift(old, new) == pytest.approx(ndcg_score([old], [new]))
    equal = pd.Series(np.linspace(1.0, 0.9, 10))
    assert fairness.attribution_drift(equal, -equal + 2) > 0.95  # reversed, and no alarm


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown method": ({"method": "deep"}, "method='deep'"),
    "a tree explainer for a line": ({"method": "tree"}, "is not possible for a LogisticRegression"),
    "both baselines": ({"baseline": FRAME.iloc[:5], "num_clusters": 3}, "exclude each other"),
    "exact with twenty": ({"method": "exact"}, "12 features, not 20"),
    "an unknown feature": ({"features": ["x0", "x99"]}, "no feature 'x99'"),
    "logit where there is none": ({"use_logit": True}, "use_logit belongs to method='kernel'"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_is_one_sentence(name: str) -> None:
    changed, words = WRONG[name]
    with pytest.raises(ParameterError) as caught:
        explain(LogisticRegression(max_iter=1000).fit(FRAME, Y), FRAME, **changed)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_models_that_only_look_exact_go_to_kernel_shap() -> None:
    """A link function, or another model to start from, is more than the line or the trees."""
    counts, few = PoissonRegressor().fit(FRAME, np.exp(X[:, 1] / 3)), FRAME.iloc[:10]
    started = GradientBoostingClassifier(n_estimators=5, init=LogisticRegression(max_iter=1000)).fit(FRAME, Y)
    for model in (counts, started):
        found = explain(model, few)
        assert found.method == "kernel"
        assert found.additivity_error < 1e-6
    assert "init=" in explain(started, few).notes[0]


def test_units_are_log_odds_only_where_they_are() -> None:
    few = FRAME.iloc[:5]
    without = explain(SVC().fit(FRAME, Y), few)
    assert without.units == "decision score"
    assert without.predictions.nunique() == 5  # not the class, 0 or 1
    assert explain(LogisticRegression(max_iter=1000).fit(FRAME, Y), few).units == "log-odds"
    assert explain(LogisticRegression(max_iter=1000).fit(FRAME, Y), few, method="kernel").units == "probability"


def test_missing_features_need_no_baseline() -> None:
    holes = FRAME.where(FRAME < 2)
    model = HistGradientBoostingClassifier(random_state=0).fit(holes, Y)
    found = explain(model, holes.iloc[:5], method="kernel")
    assert found.additivity_error < 1e-6
    assert len(found.baseline) == 5


def test_too_few_samples_are_said() -> None:
    found = explain(lambda rows: rows["x0"] * rows["x1"], FRAME.iloc[:5], num_samples=30)
    assert "num_samples=30 is less than twice the features" in found.notes[0]


def line(rows: pd.DataFrame) -> np.ndarray:
    return rows.to_numpy() @ np.arange(20.0)


FAULTS: dict[str, tuple[Any, dict[str, Any], str]] = {
    "not fitted": (LogisticRegression(), {}, "the LogisticRegression is not fitted yet"),
    "three classes": (DecisionTreeClassifier().fit(X, np.arange(1500) % 3), {}, "3 classes, not two"),
    "one class": (DecisionTreeClassifier().fit(X, np.ones(1500)), {}, "1 classes, not two"),
    "no model": ("model", {}, "model=str should be a fitted estimator"),
    "it fails": (lambda rows: rows["x99"], {}, "the model fails at these rows: KeyError: 'x99'"),
    "two numbers a row": (lambda rows: rows.to_numpy()[:, :2], {}, "one number a row, 1500 of them"),
    "no number": (lambda rows: rows["x0"] * np.nan, {}, "the model answers 1500 rows with NaN or infinity"),
    "logit of no share": (line, {"use_logit": True}, "use_logit needs probabilities between 0 and 1"),
    "an empty baseline": (line, {"baseline": FRAME.iloc[:0]}, "baseline has no rows"),
    "a baseline without a feature": (line, {"baseline": FRAME.iloc[:, 1:]}, "baseline has no column 'x0'"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_the_model_is_one_sentence(name: str) -> None:
    model, more, words = FAULTS[name]
    with pytest.raises(ParameterError) as caught:
        explain(model, FRAME, **more)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_gap_needs_everybody_and_both_groups() -> None:
    found = explain(LinearRegression().fit(FRAME, Y), FRAME.iloc[100:140])
    half = np.arange(40) % 2 == 0
    by_order, by_index = found.gap(half), found.gap(pd.Series(half, index=found.values.index)[::-1])
    pd.testing.assert_series_equal(by_order, by_index)
    for wrong, words in (
        (half[:30], "each of the 40"), (pd.Series(half), "each of the 40"), (half & False, "no row of d"),
    ):  # fmt: skip
        with pytest.raises(ParameterError, match=words):
            found.gap(wrong)
    twice = explain(LinearRegression().fit(FRAME, Y), FRAME.iloc[:2].set_index(pd.Index([7, 7])))
    with pytest.raises(ParameterError, match="row=7 names 2 rows"):
        twice.plot_waterfall(7)


@pytest.mark.parametrize("wrong", [{"a": 1.0, "b": np.nan}, {"a": "x", "b": "y"}])
def test_drift_of_what_is_no_number_is_refused(wrong: dict[str, Any]) -> None:
    good = pd.Series({"a": 1.0, "b": 0.5})
    for reference, live, name in ((pd.Series(wrong), good, "reference"), (good, pd.Series(wrong), "live")):
        with pytest.raises(ParameterError, match=f"{name} should hold one finite number"):
            fairness.attribution_drift(reference, live)
    with pytest.raises(ParameterError, match="one finite number for each"):
        fairness.attribution_drift(pd.Series([1.0, 2.0], index=["a", "a"]), good)
