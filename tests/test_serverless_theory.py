"""Serverless against what is known: an independent steady state, measured containers, published bills."""

import importlib.util
import math
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

import simlib as sl
from simlib import record, serving, workload

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def cold_starts() -> ModuleType:
    spec = importlib.util.spec_from_file_location("cold_starts", BENCHMARKS / "cold_starts.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# --- the steady state that somebody else worked out ------------------------------------------------------------------


def test_the_known_steady_state() -> None:
    """λ 0.9, service 1.991 s, cold 2.244 s, keep-alive 600 s: p .001332, containers 7.699, in work 1.792.

    Batch means over 50 parts of ten million requests, Student interval of error rate 1e-3 (t = 3.50), widened by the
    known figures' own rounding.
    """
    model = sl.ModelProfile("m", service=sl.exponential(1.991), size_mb=1e-9)
    endpoint = serving.Serverless(
        model,
        cold_start=sl.constant(0),
        cold_service=sl.exponential(2.244),
        keep_alive_s=600.0,
        max_age_s=None,
        max_concurrency=200,
        invocation_timeout_s=1e6,
    )
    run = sl.simulate(endpoint, workload.poisson(0.9), hours=1e7 / 0.9 / 3600, seed=2, log="folded", progress=False)
    tally = run.snapshot.tally[0]
    minutes = len(tally) // 50 * 50
    part = tally[:minutes].reshape(50, -1, record.TALLIES).sum(axis=1)
    seconds = minutes / 50 * 60
    for found, known, rounding in (
        (part[:, record.COLD_STARTS] / part[:, record.ARRIVED], 0.001332, 0.00001),
        (part[:, record.CONTAINER_NS] / 1e9 / seconds, 7.699, 0.005),
        (part[:, record.BUSY_NS] / 1e9 / seconds, 1.792, 0.0005),
    ):
        half = 3.50 * found.std(ddof=1) / math.sqrt(50)
        assert abs(found.mean() - known) < half + rounding
        assert half < 0.05 * known  # or the test says little


# --- containers as they were measured --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gaps", "cold", "of"),
    [((600.0, 620.0), 0, 17), ((640.0, 660.0), 14, 16), ((660.0, 900.0), 213, 213)],
)
def test_idle_gaps_that_were_measured(gaps: tuple[float, float], cold: int, of: int) -> None:
    """Calls one by one with idle gaps in a measured class: the measured count is likely (two-sided 1 %)."""
    model = sl.ModelProfile("m", service=sl.constant(0.0), size_mb=1e-9)
    endpoint = serving.Serverless(model, cold_start=sl.constant(0), max_age_s=None)
    times = np.cumsum(np.random.default_rng(1).uniform(*gaps, 3000))
    calls = workload.from_trace(pd.DataFrame({"t": times}), time="t")
    share = sl.simulate(endpoint, calls, days=40, seed=1).requests["cold"].iloc[1:].mean()
    from scipy.stats import binom

    assert binom.cdf(cold, of, share) > 0.005
    assert 1 - binom.cdf(cold - 1, of, share) > 0.005


def test_no_container_is_used_after_its_age_limit() -> None:
    """Calls every minute: a container serves for 7,300 s, as measured (2.05 h at most), then a new one."""
    model = sl.ModelProfile("m", service=sl.constant(0.0), size_mb=1e-9)
    calls = workload.from_trace(pd.DataFrame({"t": np.arange(0.0, 86400.0, 60.0)}), time="t")
    requests = sl.simulate(serving.Serverless(model, cold_start=sl.constant(0)), calls, hours=24).requests
    begins = requests.query("cold")["arrival_s"].to_numpy()
    assert (np.diff(begins) == 7320.0).all()  # the first whole minute at which it is too old


def test_the_comparison_with_measurements_accepts_the_model_and_rejects_others() -> None:
    """Measurements made up: drawn from the model itself, and from keep-alives that are 45 s and 200 s shorter.

    Both sides simulate some 20,000 calls a rate, beside n measured: so differences scatter √(1 + 2 n / 20,000) times as
    far as χ² has it, and its 99.9 % quantile for three rates, 16.3, is widened as much.
    """
    bench, calls = cold_starts(), 20_000
    rates = [1 / 400, 1 / 300, 1 / 200]
    rng = np.random.default_rng(1)
    own = [bench.simulated(r, service_s=1.97, cold_start_s=0.4, seed=9, least=calls) for r in rates]
    n = 2000
    measured = pd.DataFrame({"rate": rates, "requests": n, "cold": [rng.binomial(n, p) / n for p in own]})
    found = bench.compared(measured, least=calls)
    assert found["chi2"].sum() < 16.3 * (1 + 2 * n / calls)
    assert found["error"].mean() < 0.10
    for keep_s in (600.0, 445.0):
        wrong = measured.assign(cold=np.exp(-np.array(rates) * keep_s), requests=10_000)
        assert bench.compared(wrong, least=calls)["chi2"].sum() > 16.3 * (1 + 10_000 / calls)
    with pytest.raises(SystemExit, match="there is no requests"):
        bench.compared(measured.drop(columns="requests"))


# --- bills, through a whole run --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("memory_mb", "requests", "ms", "gb_in", "gb_out", "usd"),
    [
        (1024, 1_000_000, 50, 1.0, 1.0, 1.032),  # constructed from verified unit prices
        (2048, 500_000, 1000, 10.0, 20.0, 20.48),  # a golden test bill of a cost tool
        (2048, 10_000_000, 100, 5.0, 5.0, 40.16),  # recalled from the vendor's page, not confirmed
    ],
)
def test_known_bills_come_out_of_runs(
    memory_mb: int, requests: int, ms: int, gb_in: float, gb_out: float, usd: float
) -> None:
    model = sl.ModelProfile(
        "m",
        service=sl.constant(ms / 1000),
        size_mb=1e-9,
        request_kb=1e6 * gb_in / requests,
        response_kb=1e6 * gb_out / requests,
    )
    month = workload.from_counts([requests // 1000] * 1000, every_s=2592.0)
    endpoint = serving.Serverless(model, memory_mb=memory_mb, max_concurrency=200)
    run = sl.simulate(endpoint, month, days=31, log="folded", progress=False)
    assert run.summary()["completed"] == requests
    assert run.summary()["usd"] == pytest.approx(usd, abs=0.005)


def test_the_known_bill_of_a_container_kept_warm() -> None:
    """400,000 s warm and always at work, 500,000 s on demand beside it, 20 GB out: 33.64 dollars (verified)."""
    model = sl.ModelProfile("m", service=sl.constant(1.0), size_mb=1e-9, request_kb=0, response_kb=20e6 / 900_000)
    seconds = np.arange(400_000.0)
    times = np.sort(np.r_[seconds, seconds, seconds[:100_000]])  # the first of each second is on the warm one
    calls = workload.from_trace(pd.DataFrame({"t": times}), time="t")
    endpoint = serving.Serverless(model, memory_mb=2048, provisioned_concurrency=1, cold_start=sl.constant(0))
    run = sl.simulate(endpoint, calls, hours=400_000 / 3600, log="folded", progress=False)
    bill = run.invoice.set_index("item")["subtotal"]
    assert bill["Provisioned concurrency, warm"] == pytest.approx(4.0)
    assert bill["Provisioned concurrency, running"] == pytest.approx(9.32)
    assert bill["2048 MB on demand"] == pytest.approx(20.0)
    assert run.invoice.attrs["total"] == pytest.approx(33.64, abs=0.005)


def test_the_bill_of_two_kept_warm_for_ten_hours() -> None:
    """Two warm for ten hours, 18,000 s of work on them, 1,000 s of overflow: 1.1794 dollars (constructed)."""
    model = sl.ModelProfile("m", service=sl.constant(1.0), size_mb=1e-9, request_kb=0, response_kb=0)
    pairs = np.arange(0.0, 36_000.0, 4.0)  # every 4 s two at once: 9,000 pairs on the warm ones
    thirds = pairs[:1000]  # and a third of them, a thousand times, that spills over
    times = np.sort(np.r_[pairs, pairs, thirds])
    calls = workload.from_trace(pd.DataFrame({"t": times}), time="t")
    endpoint = serving.Serverless(
        model, memory_mb=2048, provisioned_concurrency=2, cold_start=sl.constant(0), keep_alive_s=600.0
    )
    run = sl.simulate(endpoint, calls, hours=10)
    bill = run.invoice.set_index("item")["subtotal"]
    assert bill["Provisioned concurrency, warm"] == pytest.approx(0.72)
    assert bill["Provisioned concurrency, running"] == pytest.approx(0.4194)
    assert bill["2048 MB on demand"] == pytest.approx(0.04)
    assert run.invoice.attrs["total"] == pytest.approx(1.1794)
