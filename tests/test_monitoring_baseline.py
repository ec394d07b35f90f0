"""Baselines and violations: shapes, suggested constraints, each of the six checks, and frames as they should not be."""

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import simlib as sl
from simlib import monitoring
from simlib.monitoring import distances

RNG = np.random.default_rng(11)
N = 2000
FRAME = pd.DataFrame(
    {
        "income": RNG.lognormal(3.5, 0.4, N),
        "rooms": RNG.integers(1, 7, N),
        "purpose": RNG.choice(["car", "home", "other"], N),
        "balance": RNG.normal(0, 5, N),
        "phone": [f"+34 6{k:08d}" for k in range(N)],
    }
)
FRAME.loc[: N // 10 - 1, "balance"] = np.nan
BASELINE = monitoring.Baseline.fit(FRAME)
STRICT = monitoring.Rules(comparison_method="Simple")


def now(**columns: Any) -> pd.DataFrame:
    """The baseline's own rows in another order, with some columns replaced."""
    return FRAME.sample(frac=1, random_state=1).reset_index(drop=True).assign(**columns)


def kinds(found: monitoring.Findings) -> list[tuple[str, str]]:
    return [(each.feature_name, each.constraint_check_type) for each in found.violations]


# --- shapes ---------------------------------------------------------------------------------------------------------


def test_statistics_have_the_documented_shape() -> None:
    plain = json.loads(json.dumps(BASELINE.statistics, allow_nan=False))
    assert set(plain) == {"version", "dataset", "features"}
    assert plain["dataset"] == {"item_count": N}
    by_name = {each["name"]: each for each in plain["features"]}
    assert list(by_name) == list(FRAME.columns)
    income = by_name["income"]
    assert set(income) == {"name", "inferred_type", "numerical_statistics"}
    numeric = income["numerical_statistics"]
    assert set(numeric) == {"common", "mean", "sum", "std_dev", "min", "max", "distribution"}
    assert numeric["common"] == {"num_present": N, "num_missing": 0}
    assert numeric["mean"] == pytest.approx(FRAME["income"].mean(), rel=1e-12)
    assert numeric["std_dev"] == pytest.approx(FRAME["income"].std(ddof=0), rel=1e-12)
    kll = numeric["distribution"]["kll"]
    assert set(kll) == {"buckets", "sketch"}
    assert [set(bucket) for bucket in kll["buckets"]] == [{"lower_bound", "upper_bound", "count"}] * 10
    assert sum(bucket["count"] for bucket in kll["buckets"]) == N
    assert kll["buckets"][0]["lower_bound"] == numeric["min"]
    assert kll["buckets"][-1]["upper_bound"] == numeric["max"]
    counts, _ = np.histogram(FRAME["income"], 10)
    assert [bucket["count"] for bucket in kll["buckets"]] == counts.tolist()
    assert set(kll["sketch"]) == {"parameters", "data"}
    assert set(kll["sketch"]["parameters"]) == {"c", "k"}
    text = by_name["purpose"]["string_statistics"]
    assert set(text) == {"common", "distinct_count", "distribution"}
    assert text["distinct_count"] == 3
    values = FRAME["purpose"].value_counts()
    assert {each["value"]: each["count"] for each in text["distribution"]["categorical"]["buckets"]} == values.to_dict()


def test_constraints_have_the_documented_shape() -> None:
    plain = BASELINE.constraints
    assert set(plain) == {"version", "features", "monitoring_config"}
    by_name = {each["name"]: each for each in plain["features"]}
    assert by_name["income"] == {
        "name": "income",
        "inferred_type": "Fractional",
        "completeness": 1.0,
        "num_constraints": {"is_non_negative": True},
    }
    assert by_name["rooms"]["inferred_type"] == "Integral"
    assert by_name["balance"]["num_constraints"] == {"is_non_negative": False}
    assert by_name["balance"]["completeness"] == pytest.approx(0.9 - 1.96 * math.sqrt(0.9 * 0.1 / N), rel=1e-12)
    assert by_name["purpose"]["string_constraints"] == {"domains": ["car", "home", "other"]}
    assert "string_constraints" not in by_name["phone"]
    config = plain["monitoring_config"]
    assert config["evaluate_constraints"] == config["emit_metrics"] == "Enabled"
    assert config["distribution_constraints"] == {
        "perform_comparison": "Enabled",
        "comparison_threshold": 0.1,
        "comparison_method": "Robust",
        "categorical_comparison_threshold": 0.1,
        "categorical_drift_method": "LInfinity",
    }


def test_files_go_to_disk_and_back(tmp_path: Path) -> None:
    paths = BASELINE.save(tmp_path / "baseline")
    assert [path.name for path in paths] == ["statistics.json", "constraints.json"]
    again = monitoring.Baseline.load(tmp_path / "baseline")
    assert again == BASELINE
    drifted = now(income=FRAME["income"] * 1.5, purpose="car")
    assert monitoring.check(drifted, again).violations == monitoring.check(drifted, BASELINE).violations
    path = monitoring.check(drifted, again).save(tmp_path)
    violations = pd.DataFrame(json.loads(path.read_text())["violations"])  # as any other tool would read it
    assert list(violations.columns) == ["feature_name", "constraint_check_type", "description"]
    assert set(violations["feature_name"]) == {"income", "purpose"}


def test_a_file_of_the_older_schema_means_that_all_must_match() -> None:
    older = {"datatype_check_threshold": 1.0, "domain_content_threshold": 1.0}
    rules = monitoring.Rules.of_file(older)
    assert (rules.datatype_check_threshold, rules.domain_content_threshold) == (0.0, 0.0)
    assert monitoring.Rules.of_file(STRICT.as_file()) == monitoring.Rules(
        comparison_method="Simple", categorical_comparison_threshold=0.1
    )


def test_a_sketch_answers_nearly_as_the_exact_baseline() -> None:
    large = pd.DataFrame({"x": np.random.default_rng(3).standard_normal(50_000)})
    window = pd.DataFrame({"x": np.random.default_rng(4).standard_normal(3000) + 0.2})
    exact = monitoring.check(window, monitoring.Baseline.fit(large, rules=STRICT)).distances["distance"]["x"]
    sketched = monitoring.Baseline.fit(large, quantiles="kll", rules=STRICT)
    assert monitoring.check(window, sketched).distances["distance"]["x"] == pytest.approx(exact, abs=1e-3)
    kept = sketched.statistics["features"][0]["numerical_statistics"]["distribution"]["kll"]["sketch"]["data"]
    assert sum(map(len, kept)) < 8_000


# --- the six --------------------------------------------------------------------------------------------------------


def test_the_same_data_violate_nothing() -> None:
    found = monitoring.check(now(), BASELINE)
    assert not found
    assert found.rows == N
    assert found.table["feature_name"].tolist() == [], "an empty table can be asked as a full one"
    assert found.distances["distance"].max() == 0


BROKEN = {
    "data_type_check": (now(rooms=FRAME["rooms"] + 0.5), "rooms"),
    "completeness_check": (now(income=FRAME["income"].where(FRAME.index % 2 == 0)), "income"),
    "baseline_drift_check": (now(income=FRAME["income"] * 2), "income"),
    "missing_column_check": (now().drop(columns="purpose"), "purpose"),
    "extra_column_check": (now(shoe_size=42), "shoe_size"),
    "categorical_values_check": (now(purpose=np.where(RNG.random(N) < 0.12, "boat", now()["purpose"])), "purpose"),
}


def test_there_are_six() -> None:
    from simlib.monitoring import comparison

    assert set(BROKEN) == set(comparison.CHECKS)


@pytest.mark.parametrize("kind", BROKEN)
def test_each_violation_on_its_own(kind: str) -> None:
    frame, feature = BROKEN[kind]
    found = monitoring.check(frame, BASELINE)
    assert (feature, kind) in kinds(found)
    if kind != "data_type_check":  # rooms + 0.5 are far from the baseline too
        assert kinds(found) == [(feature, kind)]


@pytest.mark.parametrize(("share", "violated"), [(0.0999, False), (0.1001, True)])
def test_thresholds_are_shares_of_the_values_there(share: float, violated: bool) -> None:
    n = 10_000
    frame = pd.DataFrame({"c": np.where(np.arange(n) % 2 == 0, "a", "b"), "k": np.arange(n) % 5})
    baseline = monitoring.Baseline.fit(frame)
    odd = np.arange(n) < round(share * n)
    unknown = monitoring.check(frame.assign(c=np.where(odd, "z", frame["c"])), baseline)
    assert (("c", "categorical_values_check") in kinds(unknown)) is violated
    mistyped = monitoring.check(frame.assign(k=np.where(odd, "x", frame["k"].astype(str))), baseline)
    assert (("k", "data_type_check") in kinds(mistyped)) is violated


def test_distances_are_those_of_the_room_of_distances() -> None:
    current = now(income=FRAME["income"] ** 1.1, purpose=np.where(FRAME["rooms"] > 3, "car", "yacht"))[:500]
    robust = monitoring.check(current, BASELINE).distances["distance"]
    simple = monitoring.check(current, monitoring.Baseline.fit(FRAME, rules=STRICT)).distances["distance"]
    for name in FRAME.columns:
        assert simple[name] == pytest.approx(distances.linf_simple(FRAME[name], current[name]), abs=1e-12)
        assert robust[name] == pytest.approx(distances.linf_robust(FRAME[name], current[name]), abs=1e-12)


def test_chi_squared_alarms_below_its_threshold() -> None:
    rules = monitoring.Rules(categorical_drift_method="ChiSquared", categorical_comparison_threshold=0.01)
    baseline = monitoring.Baseline.fit(FRAME[["purpose"]], rules=rules)
    assert not monitoring.check(now()[["purpose"]], baseline)
    shifted = monitoring.check(FRAME[["purpose"]].assign(purpose=np.where(FRAME.index < 900, "car", "home")), baseline)
    assert kinds(shifted) == [("purpose", "baseline_drift_check")]
    assert "falls below" in shifted.violations[0].description


def test_texts_of_violations_can_be_read_by_programs() -> None:
    """As the platform's: programs in public repositories read the numbers out of these sentences."""
    drifted = monitoring.check(BROKEN["baseline_drift_check"][0], BASELINE)
    said = re.search("distance: (.+) exceeds threshold: (.+)", drifted.violations[0].description)
    assert said
    assert float(said[1]) == pytest.approx(drifted.distances["distance"]["income"], rel=1e-5)
    assert float(said[2]) == 0.1
    mistyped = monitoring.check(now(rooms=FRAME["rooms"] + 0.5), BASELINE).violations[0].description
    assert mistyped == (
        "Data type match requirement is not met. Expected data type: Integral, Expected match: 90.0%. "
        "Observed: Only 0.0% of data is Integral."
    )


def test_what_is_switched_off_stays_silent() -> None:
    frame = BROKEN["baseline_drift_check"][0]
    off = monitoring.Baseline.fit(FRAME, rules=monitoring.Rules(evaluate_constraints=False, emit_metrics=False))
    found = monitoring.check(frame, off)
    assert not found.violations
    assert not found.metrics
    assert found.distances["drifted"]["income"]
    blind = monitoring.check(frame, monitoring.Baseline.fit(FRAME, rules=monitoring.Rules(perform_comparison=False)))
    assert not blind
    assert blind.distances.empty


def test_metrics_have_cloudwatchs_names() -> None:
    metrics = monitoring.check(now(), BASELINE).metrics
    assert metrics["feature_non_null_balance"] == N - N // 10
    assert metrics["feature_data_income Average"] == pytest.approx(FRAME["income"].mean())
    assert metrics["feature_baseline_drift_purpose"] == 0
    assert "feature_data_purpose Average" not in metrics


# --- frames as they come --------------------------------------------------------------------------------------------

ODD = {
    "one row": FRAME[-1:],
    "no column known": pd.DataFrame({"x": [1, 2]}),
    "missing columns": FRAME[["income"]],
    "all missing": FRAME.assign(income=np.nan, purpose=None, rooms=pd.NA),
    "numbers as text": FRAME.assign(income=FRAME["income"].astype(str), rooms=FRAME["rooms"].astype(str)),
    "text for numbers": FRAME.assign(income="a lot", rooms="many"),
    "numbers for text": FRAME.assign(purpose=np.arange(N), phone=1.5),
    "mixed types": FRAME.assign(income=[1, "two", 3.0, None, True] * (N // 5)),
    "lists and dicts": FRAME.assign(income=[[1], {"a": 2}] * (N // 2), purpose=[[None]] * N),
    "dates": FRAME.assign(income=pd.Timestamp("2026-01-01"), purpose=pd.Timedelta("1h")),
    "infinities": FRAME.assign(income=np.inf, balance=-np.inf),
    "booleans": FRAME.assign(rooms=True, purpose=False),
    "complex": FRAME.assign(income=1j),
    "categories": FRAME.assign(purpose=FRAME["purpose"].astype("category"), rooms=FRAME["rooms"].astype("category")),
    "nullable": FRAME.convert_dtypes(),
    "huge numbers": FRAME.assign(income=10**30, rooms=["9" * 400] * N),
    "names that are numbers": FRAME.rename(columns={"income": 7}),
    "a strange index": FRAME.set_index(pd.Index([3] * N)),
    "sparse": FRAME.assign(rooms=pd.arrays.SparseArray(FRAME["rooms"])),
    "unusual characters": FRAME.assign(purpose="\x00 ünïcode 🚀 " + "x" * 300),
}
WRONG = {
    "empty": (FRAME[:0], "no rows"),
    "no columns": (pd.DataFrame(index=range(3)), "no columns"),
    "twice the same name": (FRAME.set_axis(["a", "a", "b", "c", "d"], axis=1), "two columns 'a'"),
    "the same as text": (pd.DataFrame([[1, 2]], columns=[1, "1"]), "two columns '1'"),
    "a list": ([1, 2], "should be a pandas DataFrame"),
    "None": (None, "should be a pandas DataFrame"),
    "a series": (FRAME["income"], "should be a pandas DataFrame"),
}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_frame_is_answered(name: str) -> None:
    found = monitoring.check(ODD[name], BASELINE)
    json.loads(found.to_json())
    if name not in ("one row", "numbers as text", "categories", "nullable", "a strange index", "sparse"):
        assert found, "a violation says what is wrong"
    else:
        assert not [kind for _, kind in kinds(found) if kind != "baseline_drift_check"]


@pytest.mark.parametrize("name", ODD)
def test_an_odd_frame_makes_a_baseline(name: str, tmp_path: Path) -> None:
    baseline = monitoring.Baseline.fit(ODD[name])
    baseline.save(tmp_path)
    assert monitoring.Baseline.load(tmp_path) == baseline
    found = monitoring.check(ODD[name], baseline)
    assert not [each for each in found.violations if each.constraint_check_type != "baseline_drift_check"]
    assert len(baseline.suggested) == ODD[name].shape[1]
    monitoring.check(FRAME, baseline)


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_data_is_refused_in_one_sentence(name: str) -> None:
    frame, said = WRONG[name]
    for call in (lambda: monitoring.check(frame, BASELINE), lambda: monitoring.Baseline.fit(frame)):
        with pytest.raises(sl.ParameterError, match=said) as caught:
            call()
        assert "\n" not in str(caught.value)


def test_files_of_another_program_need_no_more_than_is_compared(tmp_path: Path) -> None:
    common = {"num_present": 3, "num_missing": 0}
    statistics = {"features": [{"name": "x", "inferred_type": "Integral", "numerical_statistics": {"common": common}}]}
    constraints = {"features": [{"name": "x", "inferred_type": "Integral", "completeness": 1.0}]}
    for name, content in (("statistics.json", statistics), ("constraints.json", constraints)):
        (tmp_path / name).write_text(json.dumps(content))
    baseline = monitoring.Baseline.load(tmp_path)
    found = monitoring.check(pd.DataFrame({"x": [1, None]}), baseline)
    assert kinds(found) == [("x", "completeness_check")]
    assert found.distances.empty, "there is nothing to compare with"
    nothing_known = {"features": [{"name": "x", "inferred_type": "Integral"}]}
    (tmp_path / "statistics.json").write_text(json.dumps(nothing_known))
    with pytest.raises(sl.ParameterError, match="the feature 'x' lacks one of"):
        monitoring.Baseline.load(tmp_path)


def test_files_as_they_are_found_in_the_wild(tmp_path: Path) -> None:
    """What public files hold: versions as 0.0, constraints without statistics, overrides in three places."""
    common = {"num_present": 400, "num_missing": 0}
    buckets = [{"value": "cash", "count": 300}, {"value": "card", "count": 100}]
    text = {"common": common, "distinct_count": 2.0, "distribution": {"categorical": {"buckets": buckets}}}
    sketch = {"parameters": {"c": 0.64, "k": 2048.0}, "data": [[0.0, 1.0], [0.25, 0.75] * 99 + [0.5]]}
    kll = {"buckets": [{"lower_bound": 0.0, "upper_bound": 1.0, "count": 400.0}], "sketch": sketch}
    numeric = {"common": common, "mean": 0.5, "sum": 200.0, "std_dev": 0.25, "min": 0.0, "max": 1.0}
    numeric["distribution"] = {"kll": kll}
    statistics = {
        "version": 0.0,
        "dataset": {"item_count": 400},
        "features": [
            {"name": "payment", "inferred_type": "String", "string_statistics": text},
            {"name": "score", "inferred_type": "Fractional", "numerical_statistics": numeric},
        ],
    }  # fmt: skip
    lenient = {"evaluate_constraints": "Disabled", "emit_metrics": "Disabled"}
    domains = {"domains": ["yes", "no"]}
    constraints = {
        "version": 0.0,
        "features": [
            {"name": "payment", "inferred_type": "String", "completeness": 1.0, "monitoringConfigOverrides": {},
             "string_constraints": {"domains": ["cash", "card"], "monitoring_config_overrides": lenient}},
            {"name": "score", "inferred_type": "Fractional", "completeness": 1.0,
             "num_constraints": {"is_non_negative": True},
             "monitoring_config_overrides": {"distribution_constraints": {"comparison_threshold": 0.9}}},
            {"name": "unseen", "inferred_type": "String", "completeness": 1.0, "string_constraints": domains},
        ],
        "monitoring_config": {
            "evaluate_constraints": "Enabled", "emit_metrics": "Enabled", "datatype_check_threshold": 1.0,
            "domain_content_threshold": 1.0,
            "distribution_constraints": {"perform_comparison": True, "comparison_threshold": 0.1,
                                         "comparion_method": "linf_simple"},
        },
    }  # fmt: skip
    for name, content in (("statistics.json", statistics), ("constraints.json", constraints)):
        (tmp_path / name).write_text(json.dumps(content))
    baseline = monitoring.Baseline.load(tmp_path)
    assert baseline.rules == monitoring.Rules(0.0, 0.0, comparison_method="Simple")
    assert baseline.suggested["why"]["unseen"].startswith("there are no statistics of it")
    window = pd.DataFrame({"payment": ["cheque"] * 50, "score": [0.5] * 50, "unseen": ["yes"] * 49 + ["perhaps"]})
    found = monitoring.check(window, baseline)
    assert kinds(found) == [("unseen", "categorical_values_check")], "one feature is let off, another judged mildly"
    assert found.distances["distance"]["score"] == pytest.approx(199 / 400)  # a value of the second level weighs two
    assert [name for name in found.metrics if "payment" in name] == []


@pytest.mark.parametrize("content", ["", "[]", '{"features": 3}'])
def test_a_file_that_is_no_baseline(content: str, tmp_path: Path) -> None:
    for name in ("statistics.json", "constraints.json"):
        (tmp_path / name).write_text(content)
    with pytest.raises(sl.ParameterError, match=r"statistics\.json"):
        monitoring.Baseline.load(tmp_path)
    with pytest.raises(sl.ParameterError, match="cannot be read"):
        monitoring.Baseline.load(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2, 3], "Integral"),
        ([1.0, 2.0, None], "Integral"),  # pandas makes floats of whole numbers where one is missing
        ([1.0, 2.0], "Fractional"),
        ([1, 2.5], "Fractional"),
        (["1", "-2", "+3"], "Integral"),
        (["1.0", "2"], "Fractional"),
        (["1e3", ".5", "7."], "Fractional"),
        (["1", "two"], "String"),
        ([True, False], "String"),
        ([math.inf, 1.0], "String"),
        ([None, None], "Unknown"),
    ],
)
def test_types_are_inferred_as_captured_text_shows_them(values: list[Any], kind: str) -> None:
    baseline = monitoring.Baseline.fit(pd.DataFrame({"x": values}))
    assert baseline.constraints["features"][0]["inferred_type"] == kind
