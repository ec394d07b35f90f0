"""What a run says of itself, worked out again from its log by plain numpy and pandas."""

import dataclasses
import json
import math

import numpy as np
import pandas as pd
import pytest

import simlib as sl
from simlib import pricing, serving, workload
from simlib.invariants import InvariantError
from simlib.record import ARRIVED, BUSY_NS, COMPLETED, STATUSES
from simlib.results import Run, folded_quantile, quantiles

MODEL = sl.ModelProfile("tagger", service=sl.lognormal(mean=0.5, cv=0.8), request_kb=300, response_kb=2)
CALLS = workload.bursty(2.0, 12.0, 300.0, 60.0)


def simulate(*, hours: float = 2, calls: workload.Workload = CALLS, **options: object) -> Run:
    """A busy endpoint: some wait, some are refused, some give up."""
    serves = {"initial_instance_count": 3, "workers": 2, "queue_limit": 4, "invocation_timeout_s": 2.5}
    runs = {name: options.pop(name) for name in ("log", "warm_up_hours") if name in options}
    return sl.simulate(serving.RealTime(MODEL, **(serves | options)), calls, hours=hours, seed=3, **runs)


@pytest.fixture(scope="module")
def run() -> Run:
    return simulate()


@pytest.fixture(scope="module")
def log(run) -> pd.DataFrame:
    return run.requests


# --- the log --------------------------------------------------------------------------------------------------------


def test_the_log_is_worth_looking_at(log):
    assert {"completed", "rejected", "timed_out"} <= set(log["status"].unique())
    assert (log["start_s"] > log["arrival_s"]).any()


def test_the_columns_of_the_log(run, log):
    names = ["arrival_s", "start_s", "finish_s", "status", "cold", "instance", "variant", "attempts"]
    assert list(log.columns) == names
    assert list(log["status"].cat.categories) == list(STATUSES)
    assert set(log["variant"].unique()) == {"AllTraffic"}
    assert set(log["instance"][log["status"] == "completed"]) == set(run.instances["number"])
    assert (log["instance"][log["status"] == "rejected"] == -1).all()
    assert not log["cold"].any()


def test_latencies_are_those_of_the_completed(run, log):
    done = log[log["status"] == "completed"]
    assert np.array_equal(run.latencies(), done["finish_s"] - done["arrival_s"])


# --- the summary ----------------------------------------------------------------------------------------------------


def by_hand(log: pd.DataFrame, since_s: float = 0.0) -> dict[str, float]:
    log = log[log["arrival_s"] >= since_s]
    counts = log["status"].value_counts()
    done = log[log["status"] == "completed"]
    latency = done["finish_s"] - done["arrival_s"]
    return {
        "requests": len(log),
        "completed": counts["completed"],
        "error_rate": 1 - counts["completed"] / (len(log) - counts.get("inside", 0)),
        "mean_s": latency.mean(),
        "p50_s": latency.quantile(0.50),
        "p95_s": latency.quantile(0.95),
        "p99_s": latency.quantile(0.99),
    }


@pytest.mark.parametrize("warm_up_hours", [0.0, 0.5, 1.0, 1.234])
def test_the_summary_follows_from_the_log(run, log, warm_up_hours):
    found = run.summary(warm_up_hours=warm_up_hours)
    for name, value in by_hand(log, warm_up_hours * 3600).items():
        assert found[name] == pytest.approx(value, rel=1e-12), name


def busy_seconds(log: pd.DataFrame, begin_s: float, end_s: float) -> float:
    """Work done in a window; for logs without time-outs, where a worker is busy from start to finish."""
    start, finish = log["start_s"], log["finish_s"].fillna(math.inf)
    return float((np.minimum(finish, end_s) - np.maximum(start, begin_s)).clip(lower=0).sum())


def test_utilization_is_the_busy_share_of_the_workers():
    run = simulate(invocation_timeout_s=1e6)
    assert run.summary()["utilization"] == pytest.approx(busy_seconds(run.requests, 0, 7200) / (6 * 7200), rel=1e-9)
    warm = run.summary(warm_up_hours=0.5)["utilization"]
    assert warm == pytest.approx(busy_seconds(run.requests, 1800, 7200) / (6 * 5400), rel=1e-9)


def test_the_bill_covers_the_warm_up_too(run):
    assert run.summary(warm_up_hours=1)["usd"] == run.summary()["usd"] == run.invoice.attrs["total"]
    assert run.summary(warm_up_hours=1)["usd_per_1000"] == run.summary()["usd_per_1000"]


def test_a_run_remembers_its_warm_up():
    run = simulate(warm_up_hours=0.5)
    assert run.summary().equals(run.summary(warm_up_hours=0.5))
    assert run.summary(warm_up_hours=0)["requests"] == len(run.requests)


def test_nobody_calls():
    run = simulate(calls=workload.poisson(rate=4).between(7000, 7100), hours=1)
    found = run.summary()
    assert found["requests"] == found["completed"] == 0
    assert all(math.isnan(found[name]) for name in ("error_rate", "p50_s", "p99_s", "mean_s", "usd_per_1000"))
    assert found["utilization"] == 0
    assert found["usd"] > 0
    run.check()
    assert "0 answers" in repr(run)


def test_no_instance_answers():
    run = simulate(initial_instance_count=0)
    run.check()
    assert run.summary()["completed"] == 0
    assert run.summary()["error_rate"] == 1
    assert math.isnan(run.summary()["utilization"])


# --- folded ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("warm_up_hours", [0, 1])
@pytest.mark.parametrize("routing", ["RANDOM", "LEAST_OUTSTANDING_REQUESTS", "SHARED_QUEUE"])
def test_a_folded_run_says_the_same(routing, warm_up_hours):
    exact, folded = (simulate(routing=routing, hours=3, log=log) for log in ("exact", "folded"))
    one, other = (run.summary(warm_up_hours=warm_up_hours) for run in (exact, folded))
    if not warm_up_hours:
        for name in ("requests", "completed", "error_rate"):
            assert other[name] == one[name]
        assert other["mean_s"] == pytest.approx(one["mean_s"], abs=1e-9)
    for name in ("p50_s", "p95_s", "p99_s"):
        # the warm-up of a folded run is cut by finish, not by arrival: at most a few requests of 10,000 differ
        assert other[name] == pytest.approx(one[name], rel=0.01 if not warm_up_hours else 0.015)
    for name in ("utilization", "usd", "usd_per_1000"):
        assert other[name] == pytest.approx(one[name], rel=1e-12)
    pd.testing.assert_frame_equal(exact.timeline(), folded.timeline())
    folded.check()


@pytest.mark.parametrize(
    "law",
    [
        sl.lognormal(mean=0.1, cv=10),
        sl.gamma(mean=0.1, cv=5),
        sl.mixture([sl.constant(0.02), sl.lognormal(mean=5, cv=3)], [0.98, 0.02]),
    ],
)
def test_folding_keeps_its_percent_where_tails_are_heavy(law):
    heavy = serving.RealTime(sl.ModelProfile("m", service=law), initial_instance_count=40, invocation_timeout_s=1e5)
    asked = dict(deployment=heavy, workload=workload.poisson(50), hours=3, progress=False)
    exact, folded = sl.simulate(log="exact", **asked).summary(), sl.simulate(log="folded", **asked).summary()
    for figure in ("p50_s", "p95_s", "p99_s"):
        assert folded[figure] == pytest.approx(exact[figure], rel=0.01)
    assert folded["mean_s"] == pytest.approx(exact["mean_s"], rel=1e-6)


def test_quantiles_are_numpys_to_the_last_bit():
    rng, shares = np.random.default_rng(3), (0.5, 0.95, 0.99)
    for n in [*range(1, 250), 10_007]:
        values = rng.exponential(1, n).round(1 if n % 3 else 17)  # with ties, and without
        assert quantiles(values.copy(), shares) == np.quantile(values, shares).tolist()


def test_a_folded_quantile_is_within_one_percent():
    rng = np.random.default_rng(5)
    for scale in (1e-3, 0.1, 300.0):
        latencies = rng.lognormal(0, 1.5, 50_001) * scale
        exponents, parts = np.frexp(latencies)[1], np.frexp(latencies)[0]
        codes = ((exponents - 1 + 20) * 64 + np.floor((2 * parts - 1) * 64)).astype(int) + 1
        bins = np.bincount(codes, minlength=2561)
        for share in (0.01, 0.5, 0.95, 0.99, 0.999):
            assert folded_quantile(bins, share) == pytest.approx(np.quantile(latencies, share), rel=0.01)


def test_a_folded_run_says_what_it_lacks():
    folded = simulate(log="folded")
    assert "folded" in repr(folded)
    for ask in (lambda: folded.requests, folded.latencies):
        with pytest.raises(sl.ParameterError, match="folded"):
            ask()
    with pytest.raises(sl.ParameterError, match=r"warm_up_hours=0\.5 should be whole hours"):
        folded.summary(warm_up_hours=0.5)


# --- the timeline ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("every_s", [60, 300, 3600])
def test_the_timeline_follows_from_the_log(run, log, every_s):
    found = run.timeline(every_s)
    periods = 7200 // every_s
    assert found.index.tolist() == [every_s * k for k in range(periods)]

    def count(times: pd.Series) -> np.ndarray:
        return np.bincount((times // every_s).astype(int), minlength=periods)

    done = log[log["status"] == "completed"]
    wrong = log[log["status"].isin(["rejected", "timed_out", "failed"])]
    assert np.array_equal(found["Invocations"], count(log["arrival_s"]))
    assert np.array_equal(found["Invocation5XXErrors"], count(wrong["finish_s"]))
    assert (found["Invocation4XXErrors"] == 0).all()
    np.testing.assert_allclose(found["InvocationsPerInstance"], count(log["arrival_s"]) / 3)
    latency = (done["finish_s"] - done["arrival_s"]).groupby(done["finish_s"] // every_s).mean()
    np.testing.assert_allclose(found["ModelLatency"], latency, atol=1e-9)
    assert (found["Instances"] == 3).all()
    ends = found.index.to_numpy()[:, None] + every_s
    inside = (log["arrival_s"].to_numpy() < ends) & ~(log["finish_s"].to_numpy() < ends)
    assert np.array_equal(found["Concurrency"], inside.sum(axis=1))


def test_the_timelines_busy_share_follows_from_the_log():
    run = simulate(invocation_timeout_s=1e6)
    busy = [busy_seconds(run.requests, t, t + 60) / (6 * 60) for t in range(0, 7200, 60)]
    np.testing.assert_allclose(run.timeline()["Utilization"], busy, atol=1e-9)


def test_the_last_period_is_as_long_as_it_is():
    run = simulate(hours=0.51, invocation_timeout_s=1e6)  # 30 minutes and 36 s
    timeline = run.timeline()
    assert len(timeline) == 31
    assert timeline["Invocations"].sum() == len(run.requests)
    assert timeline["Utilization"].iloc[-1] == pytest.approx(busy_seconds(run.requests, 1800, 1836) / (6 * 36))
    assert run.timeline(3600)["Invocations"].tolist() == [len(run.requests)]


# --- the bill -------------------------------------------------------------------------------------------------------


def test_the_bill_re_added_by_hand(run, log):
    """From the log and the lives of the instances, with the catalog's unit prices."""
    hours = 3 * 2.0
    sent = log["status"].isin(["completed", "timed_out", "failed"]).sum() * 300 / 1e6  # GB that reached a worker's line
    back = (log["status"] == "completed").sum() * 2 / 1e6
    expected = {
        "ml.m5.large instances": hours * pricing.price("sagemaker_hosting", "ml.m5.large").usd,
        "Storage": 30 * hours / 730 * pricing.price("sagemaker_storage", "endpoint-gp2").usd,
        "Data in": sent * pricing.price("sagemaker_data_processing", "endpoint-data-in").usd,
        "Data out": back * pricing.price("sagemaker_data_processing", "endpoint-data-out").usd,
    }
    found = run.invoice.set_index("item")["subtotal"]
    assert list(found.index) == list(expected)
    for item, subtotal in expected.items():
        assert found[item] == pytest.approx(subtotal, rel=1e-12), item
    assert run.invoice.attrs["total"] == pytest.approx(sum(expected.values()), rel=1e-12)
    assert run.summary()["usd_per_1000"] == pytest.approx(
        1000 * sum(expected.values()) / (log["status"] == "completed").sum()
    )


def test_each_line_says_who_says_so(run):
    for column in ("source", "as_of", "mark"):
        assert run.invoice[column].str.len().gt(0).all()
    assert (run.invoice["subtotal"] == run.invoice["quantity"] * run.invoice["unit_price"]).all()


def test_seconds_are_billed_whole():
    run = simulate(hours=100.5 / 3600)
    assert run.invoice["quantity"].iloc[0] == 3 * 101 / 3600


def test_every_doubtful_value_is_listed(run):
    found = run.assumptions
    assert list(found.columns) == ["parameter", "value", "mark", "source"]
    assert {"cancel_on_timeout", "bound on arrival"} <= set(found["parameter"])
    assert set(found["mark"]) <= {"V", "S", "D", "U", "A"}
    doubtful = run.invoice["item"][run.invoice["mark"] != "V"]
    assert {f"price of {item}" for item in doubtful} <= set(found["parameter"])


# --- pictures -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kept", ["exact", "folded"])
def test_a_run_draws_itself(kept):
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    words = simulate(hours=0.5, log=kept).plot()
    assert "requests" in words
    plt.close("all")


# --- invariants -----------------------------------------------------------------------------------------------------


def tampered(run: Run, **changes: object) -> Run:
    return Run(dataclasses.replace(run.snapshot, **changes))


def with_log(run: Run, **columns: np.ndarray) -> Run:
    return tampered(run, requests=run.snapshot.requests._replace(**columns))


def changed(array: np.ndarray, where: object, value: float) -> np.ndarray:
    copy = array.copy()
    copy[where] = value
    return copy


def test_a_true_record_passes(run):
    run.check()


def test_a_lost_request_is_found(run):
    tally = run.snapshot.tally
    for column in (ARRIVED, COMPLETED):
        with pytest.raises(InvariantError, match="I1 conservation"):
            tampered(run, tally=changed(tally, (0, 5, column), tally[0, 5, column] + 1))
    with pytest.raises(InvariantError, match="I1 conservation"):
        tampered(run, inside=run.snapshot.inside + 1)


def test_a_changed_status_is_found(run):
    log = run.snapshot.requests
    refused = int(np.flatnonzero(log.status == STATUSES.index("rejected"))[0])
    with pytest.raises(InvariantError, match="I1 conservation"):
        with_log(run, status=changed(log.status, refused, COMPLETED)).check()


def test_an_effect_before_its_cause_is_found(run):
    log = run.snapshot.requests
    some = int(np.flatnonzero(log.status == COMPLETED)[100])
    early, late = log.arrival[some] - 1, log.finish[some] + 1
    for columns in (
        {"start": changed(log.start, some, early)},
        {"finish": changed(log.finish, some, early)},
        {"start": changed(log.start, some, late)},
        {"finish": changed(log.finish, some, np.nan)},
    ):
        with pytest.raises(InvariantError, match="I2 causality"):
            with_log(run, **columns).check()


def test_a_clock_that_runs_backwards_is_found(run):
    log = run.snapshot.requests
    with pytest.raises(InvariantError, match="I3 clock"):
        with_log(run, arrival=changed(log.arrival, 200, log.arrival[150])).check()


def test_too_much_work_is_found(run):
    tally = run.snapshot.tally
    with pytest.raises(InvariantError, match=r"I4 capacity: .* in minute 7"):
        tampered(run, tally=changed(tally, (0, 7, BUSY_NS), 6 * 61e9)).check()
    lives = run.snapshot.instances | {"gone_s": [60.0] * 3}  # the instances were there for the first minute only
    with pytest.raises(InvariantError, match="I4 capacity"):
        tampered(run, instances=lives).check()


def test_a_bill_that_is_not_of_this_run_is_seen(run):
    first, *others = run.snapshot.meters
    with pytest.raises(InvariantError, match="I5 bill: instances"):
        tampered(run, meters=(dataclasses.replace(first, quantity=first.quantity + 1), *others)).check()
    light = sl.ModelProfile("light", service=sl.constant(0.1))
    quick = sl.simulate(serving.Serverless(light), CALLS, hours=0.2)
    first, *others = quick.snapshot.meters
    with pytest.raises(InvariantError, match="I5 bill: sagemaker_serverless"):
        tampered(quick, meters=(dataclasses.replace(first, quantity=0.0), *others)).check()


def test_a_changed_total_is_found(run):
    copy = Run(run.snapshot)
    copy.invoice.attrs["total"] += 0.01
    with pytest.raises(InvariantError, match="I5 bill"):
        copy.check()


@pytest.mark.parametrize("options", [{}, {"retry": serving.Retry()}, {"routing": "SHARED_QUEUE"}, {"log": "folded"}])
def test_runs_pass_their_checks(options):
    simulate(hours=1, **options).check()


# --- keeping it -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"log": "folded"}, {"warm_up_hours": 0.5}])
def test_a_saved_run_comes_back_whole(options, tmp_path):
    run = simulate(hours=1, **options)
    run.save(tmp_path / "a.run")
    back = Run.load(str(tmp_path / "a.run"))
    back.check()
    assert repr(back) == repr(run)
    assert back == run
    assert back.summary().equals(run.summary())
    assert back.invoice.equals(run.invoice)
    assert back.assumptions.astype(str).equals(run.assumptions.astype(str))
    assert back.instances.equals(run.instances)
    assert back.events.equals(run.events)
    pd.testing.assert_frame_equal(back.timeline(), run.timeline())
    assert back.snapshot.deployment == run.snapshot.deployment
    assert back.snapshot.workload == run.snapshot.workload
    assert back.snapshot.started_at == run.snapshot.started_at
    if not run.folded:
        assert back.requests.equals(run.requests)
    assert [path.name for path in tmp_path.iterdir()] == ["a.run"]


def test_runs_are_equal_to_the_last_bit_or_not_at_all(run):
    assert run == tampered(run)
    finish = run.snapshot.requests.finish
    some = int(np.flatnonzero(~np.isnan(finish))[7])
    assert run != with_log(run, finish=changed(finish, some, np.nextafter(finish[some], 0)))
    assert run != tampered(run, seed=run.snapshot.seed + 1)
    assert run != Run(run.snapshot, warm_up_hours=0.5)
    assert run != "a run"


def test_saving_replaces_in_one_step(tmp_path, monkeypatch):
    path = tmp_path / "a.run"
    run = simulate(hours=0.2)
    run.save(path)
    before = path.read_bytes()

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", fail)
    with pytest.raises(sl.ParameterError, match="No space left"):
        run.save(path)
    assert path.read_bytes() == before
    assert [found.name for found in tmp_path.iterdir()] == ["a.run"]


def test_a_damaged_file_is_refused_in_one_sentence(tmp_path):
    run = simulate(hours=0.2)
    path = tmp_path / "a.run"
    run.save(path)
    whole = path.read_bytes()
    rng = np.random.default_rng(2)
    damaged = [b"", b"not a run", whole[: len(whole) // 2], whole[100:]]
    for _ in range(20):
        at = int(rng.integers(len(whole) - 200))
        damaged.append(whole[:at] + rng.bytes(100) + whole[at + 100 :])
    for content in damaged:
        path.write_bytes(content)
        with pytest.raises(sl.ParameterError, match=r"^load: .*\.$"):
            Run.load(path)


def test_a_file_of_something_else_is_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(3))
    np.savez(tmp_path / "b.npz", a=np.arange(3))
    np.savez(tmp_path / "c.npz", story=np.array(json.dumps({"format": 0})))
    np.savez(tmp_path / "d.npz", story=np.array(json.dumps({"format": 1})))
    np.savez(tmp_path / "e.npz", story=np.array("[]"))
    for name in ("a.npy", "b.npz", "c.npz", "d.npz", "e.npz"):
        with pytest.raises(sl.ParameterError, match="is not a run that this version of simlib saved"):
            Run.load(tmp_path / name)


def test_a_trace_from_a_frame_and_variants_come_back(tmp_path):
    frame = pd.DataFrame({"t": [0.0, 1.0, 1.0, 5.0], "tokens": [3.0, 2.0, 9.0, 1.0]})
    calls = workload.from_trace(frame, time="t", work=["tokens"])
    model = sl.ModelProfile("llm", sl.per_unit(0.1, {"tokens": 0.5}))
    variants = [serving.Variant("blue", model, weight=9), serving.Variant("green", model)]
    run = sl.simulate(serving.RealTime(variants=variants, retry=serving.Retry()), calls, hours=0.1)
    run.save(tmp_path / "a.run")
    assert Run.load(tmp_path / "a.run").snapshot.workload == calls
    assert Run.load(tmp_path / "a.run").requests.equals(run.requests)


def test_a_shadow_comes_back_too(tmp_path):
    shadow = serving.Variant("next", sl.ModelProfile("next", sl.constant(0.2)))
    run = simulate(hours=0.2, shadow=shadow)
    run.check()
    run.save(tmp_path / "a.run")
    back = Run.load(tmp_path / "a.run")
    assert back.shadow.requests.equals(run.shadow.requests)
    assert back.invoice.equals(run.invoice)
