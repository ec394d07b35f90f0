"""Detectors, many features, the platforms' rules: false alarms beside what they promise, and power beside it."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from river import drift
from scipy import stats

import simlib as sl
from simlib import monitoring
from simlib.monitoring import Detector, detect, distances, judge

SEEDS = 1000


def errors(before: float, after: float, *, change_at: int = 2000, length: int = 5000) -> Any:
    """Streams of wrong (1) and right (0) answers whose rate changes."""

    def draw(rng: np.random.Generator) -> np.ndarray:
        rate = np.where(np.arange(length) < change_at, before, after)
        return (rng.random(length) < rate).astype(float)

    return draw


def stable(length: int) -> Any:
    return errors(0.2, 0.2, length=length)


# --- river, index for index -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ADWIN", "PageHinkley", "DDM", "EDDM", "KSWIN"])
@pytest.mark.parametrize("seed", range(3))
def test_alarms_are_rivers_own(name: Any, seed: int) -> None:
    values = errors(0.2, 0.6, change_at=300, length=600)(np.random.default_rng(seed))
    own = getattr(drift.binary if name in ("DDM", "EDDM") else drift, name)
    detector = own(seed=7) if name == "KSWIN" else own()
    wanted = []
    for k, value in enumerate(values):
        detector.update(value)
        if detector.drift_detected:
            wanted.append(k)
    assert detect(values, name, seed=7).tolist() == wanted
    assert Detector(name).alarms(values, seed=7, first=True).tolist() == wanted[:1]


def test_settings_are_rivers() -> None:
    values = errors(0.2, 0.5, change_at=500, length=1000)(np.random.default_rng(1))
    eager = Detector("PageHinkley", {"threshold": 5.0}).alarms(values)
    assert len(eager) > len(detect(values, "PageHinkley"))
    assert detect(values, "Every", settings={"n": 300}).tolist() == [299, 599, 899]


# --- false alarms ---------------------------------------------------------------------------------------------------


def test_false_alarms_in_a_thousand_stable_streams() -> None:
    """Measured: ADWIN keeps its bound; the others promise nothing, and are what the literature of traps says."""
    found = judge(stable(2000), detectors=["ADWIN", "PageHinkley", "DDM", "EDDM", "Every"], runs=SEEDS, seed=1)
    rate = found["false_alarm"]
    assert found.loc["ADWIN", "false_alarm_high"] < 0.01
    assert found.loc["PageHinkley", "false_alarm_high"] < 0.05
    assert 0.15 < found.loc["DDM", "false_alarm_low"] < found.loc["DDM", "false_alarm_high"] < 0.40
    assert found.loc["EDDM", "false_alarm_low"] > 0.85
    assert rate["Every"] == 1


def test_false_alarms_of_kswin() -> None:
    """On numbers, 50 streams: α = 0.005 a look, at each of 200 looks that overlap."""
    found = judge(lambda rng: rng.standard_normal(300), detectors=["KSWIN"], runs=50, seed=2)
    assert found.loc["KSWIN", "false_alarm_low"] > 0.005
    assert found.loc["KSWIN", "false_alarm_high"] < 1


def rejections(p: np.ndarray, alpha: float) -> tuple[float, float]:
    low, high = stats.binomtest(int((p < alpha).sum()), len(p)).proportion_ci(0.999)
    return float(low), float(high)


@pytest.mark.parametrize(("n", "m"), [(2000, 500), (400, 100)])
def test_calibrated_tests_hold_their_level(n: int, m: int) -> None:
    ks, chi2 = np.empty(SEEDS), np.empty(SEEDS)
    for seed in range(SEEDS):
        rng = np.random.default_rng([3, seed])
        ks[seed] = distances.ks_pvalue(rng.standard_normal(n), rng.standard_normal(m))
        chi2[seed] = distances.chi2_pvalue(rng.integers(0, 5, n), rng.integers(0, 5, m))
    for name, p in (("ks", ks), ("chi2", chi2)):
        low, high = rejections(p, 0.05)
        assert low < 0.05 < high + 0.01, name  # KS of few rows is a little shy: it has steps


def test_thresholds_on_distances_are_no_levels() -> None:
    """Without any change: what the rules of the platforms do in 250 windows (1,000: benchmarks/false_alarms.py)."""
    base = np.random.default_rng(4).standard_normal(10_000)
    rules = {
        "simple": lambda x: distances.linf_simple(base, x) > 0.1,
        "robust": lambda x: distances.linf_robust(base, x) > 0.1,
        "psi": lambda x: distances.psi(base, x) > 0.1,
        "wasserstein": lambda x: distances.wasserstein(base, x) > 0.1,
        "js": lambda x: distances.js_distance(base, x) > 0.1,
    }
    found = {}
    for m in (30, 100, 1000):
        windows = [np.random.default_rng([5, m, seed]).standard_normal(m) for seed in range(250)]
        found[m] = {name: np.mean([rule(window) for window in windows]) for name, rule in rules.items()}
        theory = stats.kstwo.sf(0.1, m)  # of a window against the law itself; the base is nearly that
        spread = 3.3 * math.sqrt(theory * (1 - theory) / 250) + 0.03
        assert found[m]["simple"] == pytest.approx(theory, abs=spread), m
    assert [found[m]["robust"] for m in found] == [0, 0, 0]
    assert found[30]["psi"] > 0.95
    assert found[30]["wasserstein"] > 0.95
    assert found[30]["js"] > 0.95
    assert found[1000]["wasserstein"] < 0.05


# --- power ----------------------------------------------------------------------------------------------------------


def test_delays_are_those_measured_elsewhere() -> None:
    """Medians of 200 runs of river 0.23 beside ours of 0.26: .2 → .5 at 2000."""
    elsewhere = {"ADWIN": 79, "PageHinkley": 150, "DDM": 156, "Every": 199}
    found = judge(errors(0.2, 0.5, length=3500), change_at=2000, detectors=list(elsewhere), runs=150, seed=6)
    for name, median in elsewhere.items():
        low, high = found.loc[name, "delay_low"], found.loc[name, "delay_high"]
        assert low * 0.8 <= median <= high * 1.2, name  # their median scatters as well
    assert found.loc["ADWIN", "missed_high"] < 0.05


def test_a_larger_change_is_found_sooner_and_a_small_one_may_be_missed() -> None:
    delays = [
        judge(errors(0.2, after, length=4000), change_at=2000, detectors=["ADWIN"], runs=40, seed=7).loc["ADWIN"]
        for after in (0.25, 0.3, 0.5)
    ]
    assert delays[0]["missed"] > delays[2]["missed"]
    assert delays[1]["delay"] > delays[2]["delay"]


def test_judging_without_a_change_tells_only_false_alarms() -> None:
    found = judge(stable(300), detectors=["Every"], runs=3)
    assert list(found) == ["runs", "false_alarm", "false_alarm_low", "false_alarm_high"]
    never = judge(errors(0.2, 0.2, change_at=250, length=300), change_at=250, detectors=["ADWIN"], runs=3)
    assert math.isnan(never.loc["ADWIN", "delay"])
    assert never.loc["ADWIN", "missed"] == 1


# --- many features --------------------------------------------------------------------------------------------------


def test_forty_features_give_two_false_alarms_and_a_correction_none() -> None:
    counts: dict[str, list[int]] = {"none": [], "bonferroni": [], "benjamini-hochberg": []}
    for seed in range(200):
        p = pd.Series(np.random.default_rng([8, seed]).random(40))
        for method, found in counts.items():
            found.append(int((monitoring.corrected(p, method=method) < 0.05).sum()))  # type: ignore[arg-type]
    mean, error = np.mean(counts["none"]), np.std(counts["none"]) / math.sqrt(200)
    assert abs(mean - 2) < 3.3 * error
    for method in ("bonferroni", "benjamini-hochberg"):
        low, _ = stats.binomtest(int(np.count_nonzero(counts[method])), 200).proportion_ci(0.999)
        assert low < 0.05, method


def test_corrections_are_scipys_and_by_hand() -> None:
    p = pd.Series([0.001, 0.02, np.nan, 0.03, 0.5], index=list("abcde"))
    by = monitoring.corrected(p)
    assert by[["a", "b", "d", "e"]].tolist() == pytest.approx([0.004, 0.04, 0.04, 0.5])
    assert math.isnan(by["c"])
    assert monitoring.corrected(p, method="bonferroni").tolist()[:2] == [0.004, 0.08]
    assert monitoring.corrected(p, method="none").equals(p)


def test_of_many_features_those_that_moved_are_found() -> None:
    rng = np.random.default_rng(9)
    then = pd.DataFrame(rng.standard_normal((2000, 20)), columns=[f"x{k}" for k in range(20)])
    then["c"] = rng.choice(["a", "b"], 2000)
    now = pd.DataFrame(rng.standard_normal((1000, 20)), columns=then.columns[:20]).assign(
        c="a", x3=lambda f: f["x3"] + 0.5
    )
    changed = now.drop(columns="x7").assign(x8=np.nan)
    found = monitoring.drifted_features(then, changed, alpha=0.001)
    assert found.index[found["drifted"]].tolist() == ["x3", "c"]
    assert found.loc["c", "test"] == "chi2"
    assert found.loc["x3", "p"] == distances.ks_pvalue(then["x3"], now["x3"])
    assert found.loc[["x7", "x8"], "p"].isna().all()


# --- the platforms' rules -------------------------------------------------------------------------------------------


def test_side_by_side_every_rule_says_its_own() -> None:
    rng = np.random.default_rng(10)
    then = pd.DataFrame({"x": rng.standard_normal(3000), "c": rng.choice(list("abcd"), 3000)})
    now = pd.DataFrame({"x": rng.standard_normal(3000) + 0.3, "c": rng.choice(list("abcd"), 3000)})
    found = monitoring.side_by_side(then, now).set_index(["feature", "platform", "measure"])
    x = found.loc["x"]
    assert x.loc[("Vertex AI", "JS divergence"), "value"] == pytest.approx(
        x.loc[("Azure ML", "JS distance"), "value"] ** 2
    )
    assert x.loc[("SageMaker", "L-inf Simple"), "alert"]
    assert not x.loc[("SageMaker", "L-inf Robust"), "alert"]
    assert not x.loc[("Vertex AI", "JS divergence"), "alert"]
    assert x.loc[("Azure ML", "KS p-value"), "alert"]
    assert x.loc[("Azure ML", "KS p-value"), "value"] < 0.05
    assert set(found.loc["c"].index.get_level_values("measure")) == {
        "L-inf Simple", "L-inf Robust", "L-inf", "JS distance", "PSI", "chi² p-value",
    }  # fmt: skip


def test_reversed_shares_of_forty_categories_escape_l_infinity() -> None:
    weights = np.arange(1, 41) / 820
    names = np.array([f"v{k}" for k in range(40)], dtype=object)
    then, now = (
        np.repeat(names, np.round(weights * 8200).astype(int)),
        np.repeat(names, np.round(weights[::-1] * 8200).astype(int)),
    )
    found = monitoring.side_by_side(pd.DataFrame({"c": then}), pd.DataFrame({"c": now})).set_index("measure")
    assert found.loc["L-inf Simple", "value"] == pytest.approx(0.0476, abs=1e-3)
    assert not found.loc["L-inf Simple", "alert"]
    assert found.loc["chi² p-value", "alert"]
    assert found.loc["JS distance", "value"] == pytest.approx(0.50, abs=0.02)


# --- mistakes -------------------------------------------------------------------------------------------------------

FRAME = pd.DataFrame({"x": [1.0, 2.0]})
MISTAKES = {
    "no such detector": (lambda: detect([0.0], "ADVIN"), "detector='ADVIN'"),
    "no such setting": (lambda: Detector("ADWIN", {"detla": 0.1}), "did you mean 'delta'"),
    "no errors": (lambda: detect([0.5], "DDM"), "0 (right) or 1 (wrong)"),
    "words": (lambda: detect(["a"], "ADWIN"), "finite numbers"),
    "a hole": (lambda: detect([math.nan], "ADWIN"), "finite numbers"),
    "p-values beyond 1": (lambda: monitoring.corrected(pd.Series([1.5])), "from 0 to 1"),
    "p-values in a list": (lambda: monitoring.corrected([0.5]), "should be a Series"),
    "no frame": (lambda: monitoring.drifted_features(FRAME, [1]), "current=[1]"),
    "no rows": (lambda: monitoring.side_by_side(FRAME[:0], FRAME), "reference has no rows"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_one_sentence(name: str) -> None:
    call, said = MISTAKES[name]
    with pytest.raises(sl.ParameterError) as caught:
        call()
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
