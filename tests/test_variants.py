"""Variants: who gets which share, who is asked for by name, shadows, and callers who do not give up."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats

import simlib as sl
from simlib import abtest, serving, workload
from simlib.results import Run

# Error rate: each comparison with chance below would fail once in 10,000 fresh seeds; the seeds are fixed.
ERROR = 1e-4

FAST = sl.ModelProfile("fast", service=sl.exponential(0.02))
SLOW = sl.ModelProfile("slow", service=sl.exponential(0.05))


def _variants(*weights: float, **options: Any) -> list[serving.Variant]:
    names = ["blue", "green", "grey", "gold"]
    return [
        serving.Variant(name, [FAST, SLOW][v % 2], weight=weight, initial_instance_count=2, **options)
        for v, (name, weight) in enumerate(zip(names, weights, strict=False))
    ]


def _run(deployment: serving.RealTime, load: workload.Workload, *, hours: float = 0.5, seed: int = 1) -> Run:
    run = sl.simulate(deployment, load, hours=hours, seed=seed)
    run.check()
    return run


# --- weights ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weights", [(9, 1), (1, 1, 1), (0.2, 0.5, 0.3), (5, 0, 5), (1e-3, 1e3), (3, 1, 2, 4)])
def test_shares_of_the_requests_are_the_weights(weights: tuple[float, ...]) -> None:
    run = _run(serving.RealTime(variants=_variants(*weights)), workload.poisson(20))
    counts = run.requests["variant"].value_counts().reindex([v.name for v in _variants(*weights)]).to_numpy()
    expected = counts.sum() * np.array(weights) / sum(weights)
    assert (counts[expected == 0] == 0).all()
    likely = expected > 5
    if likely.sum() > 1:
        scale = counts[likely].sum() / expected[likely].sum()
        assert stats.chisquare(counts[likely], expected[likely] * scale).pvalue > ERROR


def test_choices_are_independent_of_each_other_and_of_the_requests() -> None:
    run = _run(serving.RealTime(variants=_variants(1, 1)), workload.poisson(30))
    green = (run.requests["variant"] == "green").to_numpy()
    gaps = np.diff(run.requests["arrival_s"], prepend=0.0)
    n = len(green)
    pairs = np.bincount(2 * green[:-1] + green[1:], minlength=4)
    assert stats.chisquare(pairs).pvalue > ERROR
    assert abs(np.corrcoef(green, gaps)[0, 1]) * np.sqrt(n) < stats.norm.isf(ERROR / 2)


def test_weights_may_change_at_any_instant() -> None:
    """Twenty changes, some at the very second of an arrival: each request goes by the weights in force."""
    sim = sl.Simulation(4)
    endpoint = sim.deploy(serving.RealTime(variants=_variants(1, 1, 1)), workload.poisson(20))
    rng = np.random.default_rng(4)
    weights: list[tuple[float, np.ndarray]] = [(0.0, np.ones(3))]

    def story(_: sl.Simulation) -> Any:
        for _k in range(20):
            yield sim.env.timeout(float(rng.uniform(1, 60)))
            now = rng.random(3) * (rng.random(3) < 0.8) + [0.01, 0, 0]
            endpoint.set_weights(dict(zip(["blue", "green", "grey"], now.tolist(), strict=True)))
            weights.append((sim.env.now, now))

    sim.start(story)
    sim.run(hours=0.3)
    run = endpoint.run
    begins = np.array([time for time, _ in weights])
    which = np.searchsorted(begins, run.requests["arrival_s"], "right") - 1
    numbers = (
        sl.Simulation(4).rng("poisson", "variant").random(len(which))
    )  # one for each request, whatever the weights
    shares = np.array([np.cumsum(now) for _, now in weights])[which]
    expected = (numbers[:, None] * shares[:, -1:] >= shares).sum(axis=1)
    assert np.array_equal(run.snapshot.requests.variant, expected)  # type: ignore[union-attr]
    assert run.events["kind"].eq("weights").sum() == 20


# --- asked for by name ------------------------------------------------------------------------------------------------


def test_a_caller_who_asks_for_a_variant_gets_it_past_the_weights() -> None:
    testers = workload.poisson(2, name="testers").targeting("green")
    run = _run(serving.RealTime(variants=_variants(1, 0)), workload.poisson(10, name="users") + testers)
    alone = _run(serving.RealTime(variants=_variants(1, 0)), workload.poisson(10, name="users"))
    green = run.requests["variant"] == "green"
    rate = green.sum() / 1800
    assert abs(rate - 2) < stats.norm.isf(ERROR / 2) * np.sqrt(2 / 1800)
    assert not (alone.requests["variant"] == "green").any()


def test_who_is_refused_asks_for_the_same_variant_again() -> None:
    """Two callers' programs, each asking for its own variant; one variant has no room for most."""
    variants = [replace(v, initial_instance_count=1) for v in _variants(1, 1)]
    load = workload.poisson(40, name="a").targeting("green") + workload.poisson(1, name="b").targeting("blue")
    retry = serving.Retry(5, base_s=0.05)
    run = _run(serving.RealTime(variants=variants, queue_limit=0, retry=retry), load, hours=0.1)
    tried_again = run.requests[run.requests["attempts"] > 1]
    assert len(tried_again) > 500
    a_second = run.requests["variant"].value_counts() / 360
    assert a_second["blue"] < 2
    assert (tried_again["variant"] == "green").mean() > 0.95  # blue, at 2 % load, refuses hardly anybody


def test_a_variant_that_is_not_there_is_one_sentence() -> None:
    with pytest.raises(sl.ParameterError, match="gren") as caught:
        _run(serving.RealTime(variants=_variants(1, 1)), workload.poisson(1).targeting("gren"))
    assert "green" in str(caught.value)
    assert "\n" not in str(caught.value)


# --- shadows ----------------------------------------------------------------------------------------------------------

NEXT = serving.Variant("next", SLOW, initial_instance_count=3, instance_type="ml.c5.xlarge")


def test_a_shadow_changes_no_byte_of_the_run_and_its_answers_reach_nobody() -> None:
    load = workload.poisson(20)
    plain = serving.RealTime(FAST, initial_instance_count=2, queue_limit=3, retry=serving.Retry())
    with_shadow = replace(plain, shadow=NEXT, shadow_sampling_percentage=40)
    alone, shadowed = _run(plain, load), _run(with_shadow, load)
    for column, other in zip(alone.snapshot.requests, shadowed.snapshot.requests, strict=True):  # type: ignore[arg-type]
        assert column.tobytes() == other.tobytes()
    assert alone.snapshot.tally.tobytes() == shadowed.snapshot.tally.tobytes()
    for figure in ("requests", "completed", "error_rate", "mean_s", "p99_s", "utilization"):
        assert alone.summary()[figure] == shadowed.summary()[figure]
    assert alone.shadow is None


@pytest.mark.parametrize("percentage", [100, 40, 1])
def test_a_shadow_gets_a_random_sample_of_the_requests(percentage: float) -> None:
    deployment = serving.RealTime(FAST, initial_instance_count=2, shadow=NEXT, shadow_sampling_percentage=percentage)
    run = _run(deployment, workload.poisson(20))
    shadow = run.shadow
    assert shadow is not None
    shadow.check()
    mine, copies = run.requests["arrival_s"].to_numpy(), shadow.requests["arrival_s"].to_numpy()
    assert np.isin(copies, mine).all()
    chosen = np.isin(mine, copies)
    if percentage == 100:
        assert chosen.all()
        return
    assert stats.binomtest(int(chosen.sum()), len(mine), percentage / 100).pvalue > ERROR
    halves = [[int(half.sum()), int((~half).sum())] for half in np.array_split(chosen, 2)]
    assert stats.chi2_contingency(halves).pvalue > ERROR
    assert (shadow.requests["variant"] == "next").all()


def test_a_shadow_is_billed_like_any_other() -> None:
    run = _run(serving.RealTime(FAST, shadow=NEXT, shadow_sampling_percentage=50), workload.poisson(20))
    lines = run.invoice.set_index("item")
    alone = _run(serving.RealTime(variants=[NEXT]), workload.poisson(20)).invoice.set_index("item")
    of_shadow = lines[lines.index.str.endswith("(shadow)")]
    assert (
        of_shadow.loc["ml.c5.xlarge instances (shadow)", "subtotal"] == alone.loc["ml.c5.xlarge instances", "subtotal"]
    )
    hours = of_shadow.loc["ml.c5.xlarge instances (shadow)", "quantity"]
    assert hours == 3 * 0.5
    without = _run(serving.RealTime(FAST), workload.poisson(20)).invoice.attrs["total"]
    assert run.invoice.attrs["total"] == pytest.approx(without + of_shadow["subtotal"].sum(), rel=1e-12)


# --- the retry that doubles an outage ---------------------------------------------------------------------------------


def _outage(retry: serving.Retry | None, *, seed: int = 1) -> tuple[Run, Any]:
    """Three instances at 77 % load; from minute 10 to 15 only one of them is there."""
    model = sl.ModelProfile("m", service=sl.exponential(0.1))
    life = serving.InstanceLife(launch=sl.constant(290), container_start=sl.constant(9))
    deployment = serving.RealTime(
        model, initial_instance_count=3, queue_limit=4, retry=retry, instance_life=life, routing="SHARED_QUEUE"
    )
    sim = sl.Simulation(seed)
    endpoint = sim.deploy(deployment, workload.poisson(23))

    def story(_: sl.Simulation) -> Any:
        yield sim.env.timeout(600)
        endpoint.crash(0)
        endpoint.crash(1)

    sim.start(story)
    sim.run(hours=0.5)
    run: Run = endpoint.run
    run.check()
    return run, endpoint


def test_the_retry_multiplies_the_load_of_an_outage() -> None:
    """One instance serves 10 a second; 23 come.  Of each attempt more than half are refused, so callers who try up to
    four times make it nearly three times the calls, and the instance serves no more of them than before."""
    (without, _), (with_retries, _) = _outage(None), _outage(serving.Retry(4, base_s=0.2, factor=1, jitter=False))
    calls = [run.timeline()["Invocations"].loc[660:840].mean() / 60 for run in (without, with_retries)]
    assert calls[0] == pytest.approx(23, rel=0.05)
    assert calls[1] / calls[0] > 2
    done = [run.snapshot.tally[0, 11:15, 1].mean() / 60 for run in (without, with_retries)]
    assert done[0] == pytest.approx(10, rel=0.1)
    assert done[1] == pytest.approx(10, rel=0.1)  # not one more is served
    log = with_retries.requests
    assert log["attempts"].max() == 4
    assert (log["attempts"] - 1).sum() == with_retries.snapshot.tally[:, :, 7:].sum(axis=(0, 1))[0]
    refused = log[log["status"] == "rejected"]
    assert (refused["attempts"] == 4).all()
    waited = (refused["finish_s"] - refused["arrival_s"]).to_numpy()
    assert waited == pytest.approx(np.full(len(refused), 3 * 0.2), abs=1e-9)


def test_in_calm_weather_retries_hide_what_they_cost_in_an_outage() -> None:
    (without, _), (with_retries, _) = _outage(None), _outage(serving.Retry(4, base_s=0.2))

    def refused(run: Run, begin: float, end: float) -> float:
        log = run.requests[run.requests["arrival_s"].between(begin, end)]
        return float((log["status"] == "rejected").mean())

    assert refused(with_retries, 0, 600) < refused(without, 0, 600) / 5
    assert refused(with_retries, 660, 840) > 0.4  # 13 of 23 in any case: nobody serves them
    assert refused(without, 660, 840) == pytest.approx(13 / 23, abs=0.05)


def test_load_amplification_is_that_of_a_geometric_number_of_attempts() -> None:
    """Refused with probability p each time, up to k attempts: (1 - p^k) / (1 - p) calls for each request.

    With a wait long enough to forget the state of the queue, p is the blocked share of all calls.
    """
    model = sl.ModelProfile("m", service=sl.exponential(0.1))
    deployment = serving.RealTime(
        model, queue_limit=0, routing="SHARED_QUEUE", retry=serving.Retry(3, base_s=30, factor=1)
    )
    run = sl.simulate(deployment, workload.poisson(10), hours=2, seed=2)
    log = run.requests[run.requests["arrival_s"].between(200, 7000)]
    calls = run.timeline()["Invocations"].loc[240:6900].sum()
    done = run.snapshot.tally[0, 4:116, 1].sum()
    p = 1 - done / calls
    assert log["attempts"].mean() == pytest.approx((1 - p**3) / (1 - p), rel=0.01)
    erlang = calls / 6720 * 0.1
    assert p == pytest.approx(erlang / (1 + erlang), rel=0.02)  # Erlang B with one server


# --- is the difference more than chance? ------------------------------------------------------------------------------


def _ab_run(*, log: str = "exact", warm_up_hours: float = 0, rate: float = 24) -> Run:
    deployment = serving.RealTime(variants=_variants(2, 1), queue_limit=1)
    return sl.simulate(
        deployment,
        workload.poisson(rate),
        hours=2,
        seed=3,
        log=log,  # type: ignore[arg-type]
        warm_up_hours=warm_up_hours,
    )


def _latencies(run: Run, variant: str) -> np.ndarray:
    own = run.requests[(run.requests["variant"] == variant) & (run.requests["status"] == "completed")]
    return (own["finish_s"] - own["arrival_s"]).to_numpy()


def test_the_figures_of_each_variant_are_those_of_its_requests() -> None:
    run = _ab_run(warm_up_hours=1)
    found = abtest.by_variant(run)
    log = run.requests[run.requests["arrival_s"] >= 3600]
    assert found["requests"].sum() == len(log)
    for name, own in log.groupby("variant", observed=False):
        done = own[own["status"] == "completed"]
        latency = done["finish_s"] - done["arrival_s"]
        answered = own[own["status"] != "inside"]
        row = found.loc[str(name)]
        assert (row["requests"], row["completed"]) == (len(own), len(done))
        assert row["error_rate"] == pytest.approx((answered["status"] != "completed").mean(), abs=1e-12)
        assert row["mean_s"] == pytest.approx(latency.mean(), rel=1e-12)
        assert row[["p50_s", "p95_s", "p99_s"]].tolist() == pytest.approx(latency.quantile([0.5, 0.95, 0.99]).tolist())


def test_the_figures_of_a_folded_run_are_those_of_the_exact_one() -> None:
    exact, folded = abtest.by_variant(_ab_run()), abtest.by_variant(_ab_run(log="folded"))
    assert exact[["requests", "completed"]].equals(folded[["requests", "completed"]])
    assert folded[["error_rate", "mean_s"]].to_numpy() == pytest.approx(exact[["error_rate", "mean_s"]].to_numpy())
    quantiles = ["p50_s", "p95_s", "p99_s"]
    assert folded[quantiles].to_numpy() == pytest.approx(exact[quantiles].to_numpy(), rel=0.02)


def test_a_variant_without_requests_has_no_figures() -> None:
    found = abtest.by_variant(_run(serving.RealTime(variants=_variants(1, 0)), workload.poisson(5)))
    assert found.loc["green", "requests"] == 0
    assert found.loc["green", ["error_rate", "mean_s", "p99_s"]].isna().all()


def test_independent_means_are_compared_as_scipy_does() -> None:
    run = _ab_run()
    found = abtest.difference(run, "blue", "green", batches=None, confidence=0.9)
    right = stats.ttest_ind(_latencies(run, "green"), _latencies(run, "blue"), equal_var=False)
    low, high = right.confidence_interval(0.9)
    assert (found["low"], found["high"]) == (pytest.approx(low), pytest.approx(high))
    assert found["p_value"] == pytest.approx(right.pvalue, rel=1e-6, abs=1e-300)
    rows = abtest.by_variant(run)["mean_s"]
    assert found["difference"] == pytest.approx(rows["green"] - rows["blue"])


def test_batch_means_are_compared_as_scipy_does() -> None:
    run = _ab_run()
    found = abtest.difference(run, "blue", "green", batches=25)
    means = []
    for name in ("green", "blue"):
        values = _latencies(run, name)
        means.append([values[len(values) * k // 25 : len(values) * (k + 1) // 25].mean() for k in range(25)])
    right = stats.ttest_ind(*means, equal_var=False)
    assert found["p_value"] == pytest.approx(right.pvalue, rel=1e-2)
    half = (found["high"] - found["low"]) / 2
    low, high = right.confidence_interval()
    assert half == pytest.approx((high - low) / 2, rel=1e-9)


@pytest.mark.parametrize(
    ("first", "second", "low", "high"),
    [
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((6, 7), (2, 7), 0.0582, 0.8062),
        ((5, 56), (0, 29), -0.0381, 0.1926),
        ((0, 10), (0, 20), -0.1611, 0.2775),
        ((0, 10), (0, 10), -0.2775, 0.2775),
        ((10, 10), (0, 20), 0.6791, 1.0000),
        ((10, 10), (0, 10), 0.6075, 1.0000),
    ],
)
def test_rates_have_the_intervals_of_newcombe_1998(
    first: tuple[int, int], second: tuple[int, int], low: float, high: float
) -> None:
    """Table II of the paper, method 10: the first rate minus the second."""
    b, a = (np.repeat([1.0, 0.0], [errors, n - errors]) for errors, n in (first, second))
    found = abtest.compare(a, b, figure="error_rate", batches=None)
    assert (found["low"], found["high"]) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


def test_rates_are_tested_by_the_pooled_z() -> None:
    b, a = np.repeat([1.0, 0.0], [56, 14]), np.repeat([1.0, 0.0], [48, 32])
    found = abtest.compare(a, b, figure="error_rate", batches=None)
    chi2 = stats.chi2_contingency([[56, 14], [48, 32]], correction=False)
    assert found["p_value"] == pytest.approx(chi2.pvalue)


# Pairs of queues with the same law: 0 lies in a 95 % interval in 95 of 100 pairs.  With N pairs the share found may
# differ from that by 3.9 √(0.95 · 0.05 / N) (error rate 1e-4); batch means are approximate, so 2 points more below.


def _queues(pairs: int, n: int, load: float, seed: int) -> np.ndarray:
    """Times in system of so many M/M/1 queues, service 1 s on average, after a warm-up: shape (2 × pairs, n)."""
    rng = np.random.default_rng(seed)
    wait, found = rng.exponential(load / (1 - load), 2 * pairs), np.empty((n, 2 * pairs))
    for k in range(-500, n):
        service, gap = rng.exponential(1, 2 * pairs), rng.exponential(1 / load, 2 * pairs)
        if k >= 0:
            found[k] = wait + service
        wait = np.maximum(0, wait + service - gap)
    return found.T


def _coverage(pairs: np.ndarray, **how: Any) -> float:
    found = [abtest.compare(a, b, **how) for a, b in zip(pairs[::2], pairs[1::2], strict=True)]
    return float(np.mean([f["low"] <= 0 <= f["high"] for f in found]))


def _bounds(n: int) -> tuple[float, float]:
    spread = stats.norm.isf(ERROR / 2) * np.sqrt(0.95 * 0.05 / n)
    return 0.95 - 0.02 - spread, 0.95 + 0.015 + spread


def test_means_of_queues_differ_by_chance_as_often_as_said() -> None:
    queues = _queues(400, 15_000, 0.7, seed=1)
    low, high = _bounds(400)
    assert low < _coverage(queues, figure="mean_s") < high
    assert _coverage(queues, figure="mean_s", batches=None) < 0.6, "independent they are not"


def test_quantiles_of_queues_differ_by_chance_as_often_as_said() -> None:
    queues = _queues(80, 8000, 0.6, seed=2)
    low, high = _bounds(80)
    assert low < _coverage(queues, figure="p95_s") < high


def test_quantiles_of_independent_values_have_the_error_that_theory_says() -> None:
    """√(q (1-q) / n) / density: for an exponential law at 95 %, √(0.95 / 0.05 / n); 500 resamples say it to 15 %."""
    n, rng = 20_000, np.random.default_rng(6)
    a, b = rng.exponential(1.0, (2, n))
    half = stats.norm.isf(0.025) * np.sqrt(2 * 0.95 / 0.05 / n)
    for batches in (None, 30, 200):
        found = abtest.compare(a, b, figure="p95_s", batches=batches)
        assert (found["high"] - found["low"]) / 2 == pytest.approx(half, rel=0.25)
        assert found["difference"] == np.quantile(b, 0.95) - np.quantile(a, 0.95)


def test_error_rates_that_come_in_spells_differ_by_chance_as_often_as_said() -> None:
    """Errors in spells of about 40 requests, as when a queue is full."""
    rng, pairs, n = np.random.default_rng(3), 400, 12_000
    bad, errors = np.zeros(2 * pairs, bool), np.empty((n, 2 * pairs))
    for k in range(-500, n):
        bad = np.where(rng.random(2 * pairs) < np.where(bad, 1 / 40, 1 / 400), ~bad, bad)
        if k >= 0:
            errors[k] = bad & (rng.random(2 * pairs) < 0.5)
    low, high = _bounds(pairs)
    assert low < _coverage(errors.T, figure="error_rate") < high
    assert _coverage(errors.T, figure="error_rate", batches=None) < 0.6


def test_false_alarms_of_the_whole_way_are_as_rare_as_said() -> None:
    """200 runs of two equal variants, at 5 %: 0.0001 of fresh seeds would find more than 25 or fewer than 1."""
    model = sl.ModelProfile("m", service=sl.exponential(0.1))
    variants = [serving.Variant(name, model, workers=1) for name in ("blue", "green")]
    deployment = serving.RealTime(variants=variants)
    p_values = [
        abtest.difference(sl.simulate(deployment, workload.poisson(8), hours=0.4, seed=s), "blue", "green")["p_value"]
        for s in range(200)
    ]
    assert 0 < sum(p < 0.05 for p in p_values) <= 25
    assert stats.kstest(p_values, "uniform").pvalue > ERROR


@pytest.mark.parametrize(
    ("options", "a"),
    [
        ({"difference": 0.5, "sd": 1}, 63),  # 2 (1.96 + 0.8416)² / 0.25 = 62.8
        ({"difference": 0.1, "error_rate": 0.5}, 388),  # R: power.prop.test(p1=.5, p2=.6, power=.8): 387.3
        ({"difference": 0.1, "error_rate": 0.5, "power": 0.9}, 519),  # R: 518.2
        ({"difference": 0.25, "error_rate": 0.5, "power": 0.9}, 77),  # R: power.prop.test(p1=.50, p2=.75): 76.7
    ],
)
def test_requests_needed_of_the_textbooks(options: dict[str, float], a: int) -> None:
    found = abtest.requests_needed(**options)
    assert (found["a"], found["b"], found["total"]) == (a, a, 2 * a)


def test_a_small_share_takes_longer_and_likeness_multiplies() -> None:
    even = abtest.requests_needed(0.01, sd=0.1)["total"]
    assert abtest.requests_needed(0.01, sd=0.1, share_b=0.1)["total"] == pytest.approx(even / (4 * 0.1 * 0.9), rel=1e-3)
    assert abtest.requests_needed(0.01, sd=0.1, inflation=7)["total"] == pytest.approx(7 * even, rel=1e-3)


def test_with_the_requests_needed_the_difference_is_seen_as_often_as_said() -> None:
    """Seen in 80 of 100: with 1,000 trials from 75.1 to 84.9 % (error rate 1e-4); the formulas round up."""
    rng, trials = np.random.default_rng(8), 1000
    need = abtest.requests_needed(0.15, sd=1.0, share_b=0.3)
    seen = 0
    for _ in range(trials):
        a, b = rng.exponential(1.0, need["a"]), rng.exponential(1.0, need["b"]) + 0.15
        seen += abtest.compare(a, b, figure="mean_s", batches=None)["p_value"] < 0.05
    assert 0.751 < seen / trials < 0.849
    need = abtest.requests_needed(0.02, error_rate=0.03, share_b=0.3)
    seen = 0
    for _ in range(trials):
        a, b = (rng.random(need["a"]) < 0.03).astype(float), (rng.random(need["b"]) < 0.05).astype(float)
        seen += abtest.compare(a, b, figure="error_rate", batches=None)["p_value"] < 0.05
    assert 0.751 < seen / trials < 0.849


def test_a_pilot_says_how_many_requests_queues_need() -> None:
    """b is 0.4 s slower; by the pilot's inflation, and in batches, it is seen in about 80 of 100."""
    queues = _queues(300, 4000, 0.5, seed=4)
    pilot = abtest.compare(queues[0], queues[1], figure="mean_s")
    need = abtest.requests_needed(0.4, sd=float(queues[:2].std()), inflation=pilot["inflation"])["a"]
    assert 500 < need < 4000
    pairs = zip(queues[::2], queues[1::2], strict=True)
    seen = np.mean(
        [abtest.compare(a[:need], b[:need] + 0.4, figure="mean_s", batches=20)["p_value"] < 0.05 for a, b in pairs]
    )
    assert 0.6 < seen < 0.95  # the pilot's inflation is itself an estimate


@pytest.mark.parametrize(
    ("call", "about"),
    [
        (lambda run: abtest.difference(run, "blue", "gren"), "green"),
        (lambda run: abtest.difference(run, "blue", "blue"), "two variants"),
        (lambda run: abtest.difference(run, "blue", "green", figure="p96_s"), "p99_s"),
        (lambda run: abtest.difference(run, "blue", "green", confidence=95), "confidence"),
        (lambda run: abtest.difference(run, "blue", "green", batches=2), "batches"),
        (lambda run: abtest.difference(run, "blue", "green", batches=10**7), "are needed"),
        (lambda run: abtest.difference(3, "blue", "green"), "is not a run"),
        (lambda run: abtest.by_variant("run"), "is not a run"),
        (lambda run: abtest.requests_needed(0.1), "sd= or error_rate="),
        (lambda run: abtest.requests_needed(0.1, sd=1, error_rate=0.1), "sd= or error_rate="),
        (lambda run: abtest.requests_needed(0.6, error_rate=0.5), "at most 1"),
        (lambda run: abtest.requests_needed(0, sd=1), "difference"),
        (lambda run: abtest.requests_needed(1, sd=1, share_b=1), "share_b"),
    ],
)
def test_a_mistake_is_one_sentence(call: Any, about: str) -> None:
    run = _run(serving.RealTime(variants=_variants(1, 1)), workload.poisson(5), hours=0.1)
    with pytest.raises(sl.ParameterError, match=about) as caught:
        call(run)
    assert "\n" not in str(caught.value)


def test_a_folded_run_has_no_answers_to_compare() -> None:
    with pytest.raises(sl.ParameterError, match="folded"):
        abtest.difference(_ab_run(log="folded"), "blue", "green")


def test_the_same_seed_gives_the_same_interval() -> None:
    run = _ab_run(rate=5)
    first, again, other = (abtest.difference(run, "blue", "green", figure="p95_s", seed=s) for s in (1, 1, 2))
    assert first.equals(again)
    assert first["low"] != other["low"]
