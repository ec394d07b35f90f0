"""Variants: who gets which share, who is asked for by name, shadows, and callers who do not give up."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats

import simlib as sl
from simlib import serving, workload
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
