"""Quality without labels, and when to train again."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import simlib as sl
from simlib import monitoring
from simlib.monitoring import (
    Calendar,
    ConceptDrift,
    DataDrift,
    LoanBook,
    Never,
    OnDataAlarm,
    OnEstimatedLoss,
    OnMeasuredLoss,
    QualityEstimator,
    Stream,
)

INPUTS = list(LoanBook().inputs)
PAST = Stream(LoanBook()).sample(8000, days=5, seed=1)
MODEL = monitoring.logistic(PAST[INPUTS], PAST["defaulted"])


def answered(*drifts: Any, n: int = 8000, seed: int = 2) -> pd.DataFrame:
    return Stream(LoanBook(), drifts, model=MODEL).sample(n, seed=seed)


def accuracy(rows: pd.DataFrame) -> float:
    return float((rows["prediction"] == rows["defaulted"]).mean())


# --- without labels -------------------------------------------------------------------------------------------------

HELD_OUT = answered(seed=3)
ESTIMATOR = QualityEstimator.fit(HELD_OUT["defaulted"], HELD_OUT["score"])


@pytest.mark.parametrize("drifts", [(), (DataDrift("income", shift=1.2),), (DataDrift("years_employed", shift=1.0),)])
def test_other_customers_leave_the_estimate_right(drifts: Any) -> None:
    rows = answered(*drifts)
    found = ESTIMATOR.estimate(rows["score"])
    assert found["accuracy"] == pytest.approx(accuracy(rows), abs=0.02)


def test_a_changed_truth_leaves_it_blind() -> None:
    rows = answered(ConceptDrift(flip=0.3))
    found = ESTIMATOR.estimate(rows["score"])
    assert found["accuracy"] > accuracy(rows) + 0.15
    assert found["accuracy"] == ESTIMATOR.estimate(answered()["score"])["accuracy"]


def test_expected_counts_of_calibrated_scores() -> None:
    score = np.array([0.9, 0.7, 0.4, 0.2])
    found = QualityEstimator().estimate(score)
    assert found["accuracy"] == pytest.approx((0.9 + 0.7 + 0.6 + 0.8) / 4)
    assert found["precision"] == pytest.approx(1.6 / 2)
    assert found["recall"] == pytest.approx(1.6 / 2.2)
    assert found["f1"] == pytest.approx(2 * 1.6 / (2 * 1.6 + 0.4 + 0.6))
    assert math.isnan(QualityEstimator().estimate([0.1])["precision"])


def test_the_interval_covers_as_often_as_it_says() -> None:
    covered = 0
    for seed in range(1000):
        rng = np.random.default_rng([4, seed])
        p = rng.random(400)
        found = QualityEstimator().estimate(p)
        real = ((p >= 0.5) == (rng.random(400) < p)).mean()
        covered += found["accuracy_low"] <= real <= found["accuracy_high"]
    low, high = stats.binomtest(covered, 1000).proportion_ci(0.999)
    assert low < 0.95 < high


def test_calibration_is_learned_where_it_helps_and_only_there() -> None:
    rng = np.random.default_rng(5)
    p = rng.random(4000)
    labels = rng.random(4000) < p
    assert QualityEstimator.fit(labels, p**3).scores, "crooked scores are straightened"
    crooked = QualityEstimator.fit(labels, p**3).estimate(p**3)["accuracy"]
    assert crooked == pytest.approx(((p**3 >= 0.5) == labels).mean(), abs=0.02)
    assert not QualityEstimator.fit(labels[:100], p[:100]).scores, "too few rows to learn from"


# --- policies -------------------------------------------------------------------------------------------------------

SMALL: dict[str, Any] = {"rows_per_day": 150, "training_rows": 1500}


def test_costs_add_up_and_customers_are_the_same() -> None:
    stream = Stream(LoanBook(), [ConceptDrift(rotate_degrees=70, at_day=10)], label_delay_days=2)
    costs = monitoring.Costs(wrong_usd=2.0, retraining_usd=100.0, monitoring_usd_per_day=3.0)
    policies = {"never": Never(), "ten": Calendar(10), "measured": OnMeasuredLoss()}
    found = monitoring.compare_policies(stream, policies, days=30, costs=costs, **SMALL)
    assert found["usd"].tolist() == pytest.approx(
        (found["wrong_usd"] + found["retraining_usd"] + found["monitoring_usd"]).tolist()
    )
    assert found["wrong_usd"].tolist() == (2.0 * found["wrong"]).tolist()
    assert found.loc["ten", "retrainings"] == 2
    assert found.attrs["trainings"]["ten"] == [9, 20]
    assert found.loc[["never", "ten"], "monitoring_usd"].tolist() == [0, 0]
    assert found.loc["measured", "monitoring_usd"] == 90
    daily = found.attrs["daily"]
    assert daily.shape == (30, 3)
    assert (daily[:10].nunique(axis=1) == 1).all(), "until the first retraining all have the same model and customers"
    assert daily.mean().tolist() == pytest.approx(found["accuracy"].tolist())
    alone = monitoring.compare_policies(stream, {"ten": policies["ten"]}, days=30, costs=costs, **SMALL)
    assert alone.loc["ten"].equals(found.loc["ten"]), "the same again, whoever else is compared"


def test_each_policy_sees_what_it_can_see() -> None:
    policies = {
        "never": Never(),
        "data": OnDataAlarm(),
        "estimate": OnEstimatedLoss(),
        "measured": OnMeasuredLoss(),
    }
    concept = Stream(LoanBook(), [ConceptDrift(rotate_degrees=80, at_day=5)], label_delay_days=3)
    found = monitoring.compare_policies(concept, policies, days=20, **SMALL)["retrainings"]
    assert found[["never", "data", "estimate"]].tolist() == [0, 0, 0], "the inputs are as ever"
    assert found["measured"] >= 1
    harmless = Stream(LoanBook(), [DataDrift("form_minutes", shift=1.5, at_day=5)], label_delay_days=3)
    found = monitoring.compare_policies(harmless, policies, days=20, **SMALL)["retrainings"]
    assert found["data"] >= 1, "for nothing"
    assert found[["never", "estimate", "measured"]].tolist() == [0, 0, 0]


def test_no_policy_reacts_before_a_label_could_have_come() -> None:
    stream = Stream(LoanBook(), [ConceptDrift(flip=0.45, at_day=5)], label_delay_days=6)
    found = monitoring.compare_policies(stream, {"measured": OnMeasuredLoss()}, days=20, **SMALL)
    first = found.attrs["trainings"]["measured"][0]
    assert first >= 5 + 6
    never = Stream(LoanBook(), [ConceptDrift(flip=0.45, at_day=5)], label_delay_days=100)
    blind = monitoring.compare_policies(never, {"measured": OnMeasuredLoss()}, days=20, **SMALL)
    assert blind.loc["measured", "retrainings"] == 0


# --- thresholds -----------------------------------------------------------------------------------------------------


def test_delay_against_false_alarms_is_a_trade() -> None:
    rng = np.random.default_rng(6)
    quiet, drifting = rng.standard_normal((200, 50)), rng.standard_normal((200, 50)) + 1
    found = monitoring.alarm_curve(quiet, drifting, every_hours=24)
    assert found["false_alarms_per_week"].is_monotonic_decreasing
    assert found["missed"].is_monotonic_increasing
    at = monitoring.alarm_curve(quiet, drifting, thresholds=[1.645], every_hours=24).iloc[0]
    assert at["false_alarms_per_week"] == pytest.approx(0.05 * 7, abs=0.05)
    power = stats.norm.sf(0.645)
    assert at["delay_days"] == pytest.approx(1 / power, rel=0.15), "geometric"


MISTAKES = {
    "no labels": (lambda: monitoring.compare_policies(Stream(monitoring.Table(PAST)), {"n": Never()}), "labels"),
    "a model already": (
        lambda: monitoring.compare_policies(Stream(LoanBook(), model=MODEL), {"n": Never()}),
        "no model",
    ),
    "no policies": (lambda: monitoring.compare_policies(Stream(LoanBook()), {}), "{'never': Never()}"),
    "too few rows to learn from": (
        lambda: monitoring.compare_policies(Stream(LoanBook()), {"n": Never()}, training_rows=1),
        "take more training_rows",
    ),
    "a training without a model": (
        lambda: monitoring.compare_policies(Stream(LoanBook()), {"n": Never()}, train=lambda inputs, labels: None),
        "should return the fitted model",
    ),
    "the class of a policy": (lambda: monitoring.compare_policies(Stream(LoanBook()), {"n": Never}), "Calendar(30)"),
    "every 0 days": (lambda: Calendar(0), "every_days=0"),
    "scores beyond 1": (lambda: QualityEstimator().estimate([1.5]), "from 0 to 1"),
    "no scores": (lambda: QualityEstimator().estimate([]), "no scores"),
    "labels of words": (lambda: QualityEstimator.fit(["a"], [0.5]), "labels"),
    "more labels than scores": (lambda: QualityEstimator.fit([0, 1], [0.5]), "one for each score"),
    "a curve of one run": (lambda: monitoring.alarm_curve([1.0], [[1.0]]), "quiet"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_one_sentence(name: str) -> None:
    call, said = MISTAKES[name]
    with pytest.raises(sl.ParameterError) as caught:
        call()
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
