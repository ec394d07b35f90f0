"""Looking at an A/B test while it runs: how often each rule is wrong, and that it is right about a true difference."""

import math
from typing import Any

import numpy as np
import pytest
from scipy.signal import lfilter

import simlib as sl
from simlib import sequential, serving, workload
from simlib.parameters import ParameterError

REPEATED = {2: 0.083, 5: 0.142, 10: 0.193, 20: 0.248, 50: 0.320}
"""Chance of a 5 % test to fire in so many looks (Armitage, McPherson and Rowe 1969, table 2)."""


@pytest.mark.parametrize("looks", list(REPEATED))
def test_peeking_costs_what_theory_says(looks: int) -> None:
    n = 20_000
    table = sequential.cost_of_peeking(looks, experiments=n, seed=3)
    once, often, valid = table["false_alarms"]
    for share, truth in ((once, 0.05), (often, REPEATED[looks])):
        assert abs(share - truth) < 3.9 * math.sqrt(truth * (1 - truth) / n) + 0.0005  # 99.99 %, and its rounding
    assert table.loc["always-valid interval", "high"] < 0.05 or valid < 0.05


@pytest.mark.parametrize("effect", [0.5, 3.0, 20.0])
def test_an_always_valid_interval_is_wrong_no_oftener_than_said_whatever_effect_is_hoped_for(effect: float) -> None:
    table = sequential.cost_of_peeking(1000, experiments=3000, effect_in_errors=effect, seed=5)
    assert table.loc["always-valid interval", "high"] < 0.05


def test_the_interval_is_the_one_at_which_the_mixture_likelihood_ratio_is_one_in_alpha() -> None:
    """Λ = √(V / (V + τ²)) exp(τ² d² / (2 V (V + τ²))) is 1/α at the interval's end (Johari et al. 2022, eq. 5)."""
    for v, tau, alpha in ((0.01, 0.3, 0.05), (2.0, 0.1, 0.01)):
        d = float(sequential.half_width(v, tau, 1 - alpha))
        ratio = math.sqrt(v / (v + tau**2)) * math.exp(tau**2 * d**2 / (2 * v * (v + tau**2)))
        assert ratio == pytest.approx(1 / alpha)


def _run(green_s: float, hours: float = 8.0, seed: int = 3, **how: Any) -> sl.Run:
    variants = [
        serving.Variant(name, sl.ModelProfile(name, service=sl.gamma(mean, 0.5)), initial_instance_count=2)
        for name, mean in (("blue", 0.100), ("green", green_s))
    ]
    deployment = serving.RealTime(variants=variants, routing="LEAST_OUTSTANDING_REQUESTS")
    return sl.simulate(deployment, workload.poisson(6), hours=hours, seed=seed, **how)


def test_a_true_difference_is_decided_early_and_the_estimate_is_of_those_answered_by_then() -> None:
    run = _run(0.120)
    table = sequential.during(run, "blue", "green", effect=0.01)
    assert table["decided"].iloc[-1]
    assert list(table.index) == [3600.0 * k for k in range(1, 9)]
    assert (table["low"] < table["naive_low"]).all()
    assert (table["high"] > table["naive_high"]).all()
    third = run.requests[run.requests["finish_s"] <= 3 * 3600]
    latency = (third["finish_s"] - third["arrival_s"]).groupby(third["variant"], observed=True).mean()
    assert table.loc[10800.0, "difference"] == pytest.approx(latency["green"] - latency["blue"])
    assert table.loc[10800.0, "requests_a"] == (third["variant"] == "blue").sum()


def test_equal_variants_behind_a_queue_are_seldom_told_apart() -> None:
    """30 tests of equal variants, 16 looks each: at 5 %, more than 5 false alarms have a chance below 1 in 200."""
    false, naive = 0, 0
    for seed in range(30):
        table = sequential.during(_run(0.100, 4.0, seed), "blue", "green", effect=0.005, every_s=900)
        false += bool(table["decided"].iloc[-1])
        naive += bool(((table["naive_low"] > 0) | (table["naive_high"] < 0)).any())
    assert false <= 5
    assert naive > false


@pytest.mark.parametrize(("law", "effect"), [("rare errors", 0.001), ("errors", 0.01), ("one queue", 0.2)])
def test_early_looks_at_rare_errors_or_at_one_queue_decide_no_oftener_than_said(law: str, effect: float) -> None:
    """150 tests of equal variants, 39 looks each, from 300 answers on; at 5 %, more than 15 come once in 250 times.

    Batch means alone decide wrongly in 83, 17 and 43 of 100: early, batches hold no error, or are all alike.
    """
    rng, n, false = np.random.default_rng(4), 6_000, 0
    for _ in range(150):
        if law == "one queue":  # an answer's slowness goes on for some twenty answers
            noise = rng.standard_normal((2, n)) * math.sqrt(1 - 0.9**2)
            a, b = np.exp(0.5 * lfilter([1.0], [1.0, -0.9], noise))
        else:
            a, b = (rng.random((2, n)) < effect).astype(float)
        for k in range(300, n + 1, 150):
            variance = sequential.variance_of_difference(a[:k], b[:k], shares=law != "one queue")
            if abs(b[:k].mean() - a[:k].mean()) > sequential.half_width(variance, effect, 0.95):
                false += 1
                break
    assert false <= 15


def test_error_rates_are_compared_too() -> None:
    variants = [
        serving.Variant("blue", sl.ModelProfile("b", service=sl.exponential(0.1))),
        serving.Variant("green", sl.ModelProfile("g", service=sl.exponential(0.2))),
    ]
    deployment = serving.RealTime(variants=variants, invocation_timeout_s=0.5, queue_limit=3)
    run = sl.simulate(deployment, workload.poisson(4), hours=2, seed=1)
    table = sequential.during(run, "blue", "green", effect=0.05, figure="error_rate", every_s=1800)
    assert table["decided"].iloc[-1]
    assert table["difference"].iloc[-1] > 0.05


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"a": "blue", "b": "blue"}, "both 'blue'"),
        ({"a": "blue", "b": "gren"}, "did you mean 'green'"),
        ({"effect": 0}, "effect=0"),
        ({"figure": "p99_s"}, "figure='p99_s'"),
        ({"every_s": -1}, "every_s=-1"),
        ({"every_s": 5.0, "batches": 100_000}, "let the run be longer"),
        ({"batches": 2}, "batches=2"),
        ({"run": 3}, "run=3 is not a run"),
    ],
)
def test_what_cannot_be_is_told_in_one_sentence(asked: dict[str, Any], words: str) -> None:
    given: dict[str, Any] = {"run": _run(0.1, 0.05), "a": "blue", "b": "green", "effect": 0.01} | asked
    with pytest.raises(ParameterError) as error:
        sequential.during(given.pop("run"), given.pop("a"), given.pop("b"), **given)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_the_same_seed_gives_the_same_table() -> None:
    one, other = (sequential.cost_of_peeking(7, seed=9) for _ in range(2))
    assert np.array_equal(one, other)
