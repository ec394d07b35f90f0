"""Batch jobs: the flow is plain SimPy's file by file, the makespan is theory's, and the bill is of the whole job."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import simlib as sl
from simlib import experiments, plots, scenarios, serving, workload
from simlib.invariants import InvariantError
from simlib.serving import lanes
from simlib.serving.flow import cut
from simlib.serving.minutes import latency_bins
from tests.reference.batch import File, ReferenceJob, told
from tests.test_bad_input import sentence

AT_ONCE: dict[str, Any] = {"launch": sl.constant(0), "container_start": sl.constant(0)}
"""Machines that are there at once; with a tiny model, nothing but files takes time."""


def model(law: sl.Law, **more: Any) -> sl.ModelProfile:
    return sl.ModelProfile("m", law, size_mb=1e-300, **more)


def run(law: sl.Law, files: workload.Workload, seed: int = 0, hours: float | None = None, **chosen: Any) -> sl.Run:
    made = sl.simulate(serving.BatchTransform(model(law), **(AT_ONCE | chosen)), files, seed=seed, hours=hours)
    made.check()
    return made


# --- against plain SimPy ------------------------------------------------------------------------------------------

GRID = sl.empirical([0.25, 0.5, 0.5, 1.0, 2.0, 4.0])  # sums of these are exact in any order, and ties are common


def history(rng: np.random.Generator) -> tuple[serving.BatchTransform, workload.Workload]:
    """A random job, small enough that every kind of trouble happens often."""
    split = rng.choice([None, "Line"])
    chosen = serving.BatchTransform(
        model(GRID if rng.random() < 0.7 else sl.lognormal(mean=1.0, cv=0.8)),
        instance_count=int(rng.integers(1, 5)),
        max_concurrent_transforms=int(rng.integers(1, 5)),
        max_payload_in_mb=float(rng.choice([0.0, 0.9, 2.0, 6.0])),
        batch_strategy=str(rng.choice(["SingleRecord", "MultiRecord"])),
        split_type=split,
        invocations_timeout_s=float(rng.choice([0.75, 2.0, 5.0, 600.0])),
        invocations_max_retries=int(rng.integers(0, 4)),
        request_overhead_s=float(rng.choice([0.0, 0.25])),
        bad_records=float(rng.choice([0.0, 0.05, 0.4])),
        launch=sl.constant(0) if rng.random() < 0.5 else sl.exponential(10.0),
        container_start=sl.constant(float(rng.choice([0.0, 0.5]))),
        speed=float(rng.choice([1.0, 2.0])),
    )
    count, records = int(rng.integers(1, 9)), int(rng.integers(1, 8))
    return chosen, workload.files(count, size_mb=float(rng.choice([0.5, 1.0, 7.0])), records_per_file=records)


def reference(chosen: serving.BatchTransform, files: Any, seed: int) -> ReferenceJob:
    """The same job by plain SimPy: the same random numbers, and nothing else in common."""
    sim = sl.Simulation(seed)
    records, split = files.records_per_file, chosen.split_type == "Line"
    each = records if split else 1
    takes = chosen.model.service.sample(files.count * each, sim.rng("files", "service", "m")).reshape(files.count, each)
    bad = sim.rng("files", "bad records").random((files.count, records)) < chosen.bad_records
    made = [File(k, files.size_mb, takes[k].tolist(), bad[k].tolist()) for k in range(files.count)]

    def startup(machine: int, stage: str) -> float:
        law = getattr(chosen, stage)
        return float(law.sample(1, sim.rng("endpoint-1", "instance", str(machine), stage))[0])

    fetch = chosen.model.size_mb / chosen.download_mb_per_s
    machines = range(chosen.instance_count)
    return ReferenceJob(chosen, made, [(startup(k, "launch"), startup(k, "container_start") + fetch) for k in machines])


def same(seen: np.ndarray, wanted: np.ndarray, exactly: bool) -> None:
    if exactly or seen.dtype.kind != "f":
        np.testing.assert_array_equal(seen, wanted)
    else:  # sums of a record's seconds may be grouped otherwise
        np.testing.assert_allclose(seen, wanted, rtol=1e-12, equal_nan=True)


@pytest.mark.parametrize("block", range(10))
def test_random_jobs_equal_plain_simpy(block: int) -> None:
    rng, seen = np.random.default_rng(500 + block), set()
    for seed in range(60):
        chosen, files = history(rng)
        plain = reference(chosen, files, seed).run()
        run = sl.simulate(chosen, files, seed=seed)
        run.check()
        exactly = chosen.model.service == GRID
        wanted = told(plain)
        for name in ("start", "finish"):
            same(run.requests[f"{name}_s"].to_numpy(), wanted[name], exactly)
        assert run.requests["status"].tolist() == wanted["status"].tolist()
        same(run.requests["attempts"].to_numpy(), wanted["attempts"], True)
        same(run.requests["instance"].to_numpy(), wanted["instance"], True)
        same(np.array([run.summary()["finish_s"]]), np.array([plain.ended]), exactly)
        busy = run.snapshot.tally[0, :, 9].sum() / 1e9
        assert busy == pytest.approx(plain.busy, abs=1e-6)
        billed = chosen.instance_count * math.ceil(plain.ended - plain.started - 1e-6) / 3600
        assert run.invoice["quantity"].iloc[0] == pytest.approx(billed, rel=1e-9)
        assert run.snapshot.per_instance.sum() == pytest.approx(wanted["attempts"].sum() / chosen.instance_count)
        seen |= set(wanted["status"])
    assert seen == {"completed", "failed", "timed_out"}  # every kind of end has been compared


def test_looks_change_nothing_and_see_no_later_than_now() -> None:
    rng = np.random.default_rng(7)
    for seed in range(40):
        chosen, files = history(rng)
        whole = sl.simulate(chosen, files, seed=seed)
        end = whole.snapshot.end_s
        sim = sl.Simulation(seed)
        jobs = sim.deploy(chosen, files)
        for look in np.sort(rng.uniform(0.01, 1.0, 4)) * max(end, 1.0):
            sim.run(until_s=float(look))
            seen = jobs.run
            seen.check()
            sure = whole.requests["finish_s"].to_numpy() <= look
            columns = ["arrival_s", "start_s", "finish_s", "status", "instance", "attempts"]
            pd.testing.assert_frame_equal(seen.requests[columns][sure], whole.requests[columns][sure])
            assert (seen.requests["status"][~sure] == "inside").all()
            assert seen.requests["finish_s"][~sure].isna().all()
            begun = (whole.requests["start_s"] <= look).to_numpy()
            assert (seen.requests["start_s"].notna().to_numpy() == begun).all()
            assert (seen.requests["attempts"] <= whole.requests["attempts"]).all()
        sim.run(until_s=max(end, float(look)) + 120)
        pd.testing.assert_frame_equal(jobs.run.requests, whole.requests)
        assert jobs.run.invoice.attrs["total"] == whole.invoice.attrs["total"]


@pytest.mark.parametrize(("look", "attempts"), [(100, 1), (601, 2), (700, 2), (1801, 4), (2400, 4), (2500, 4)])
def test_a_look_counts_the_attempts_that_have_begun(look: float, attempts: int) -> None:
    sim = sl.Simulation(0)
    jobs = sim.deploy(serving.BatchTransform(model(sl.constant(900)), **AT_ONCE), workload.files(1, size_mb=1))
    sim.run(until_s=look)
    assert jobs.run.requests["attempts"].tolist() == [attempts]
    assert jobs.run.timeline()["Invocations"].sum() == attempts


def test_a_folded_run_counts_what_the_log_holds() -> None:
    chosen = serving.BatchTransform(model(sl.lognormal(30, 1)), instance_count=3, invocations_timeout_s=60)
    kept, folded = (sl.simulate(chosen, workload.files(300, size_mb=1), log=log) for log in ("exact", "folded"))
    folded.check()
    exact, counted = kept.summary(), folded.summary()
    for name in ("requests", "completed", "error_rate", "usd", "makespan_s"):
        assert counted[name] == exact[name]
    ordered = np.sort(kept.latencies())
    for name, share in (("p50_s", 0.5), ("p95_s", 0.95)):
        assert counted[name] == pytest.approx(ordered[math.ceil(share * len(ordered)) - 1], rel=0.01)
    assert counted["mean_s"] == pytest.approx(exact["mean_s"], rel=1e-9)


def test_latencies_fall_in_the_bins_that_the_lanes_use() -> None:
    seconds = np.r_[0.0, np.geomspace(1e-7, 1e7, 2000), 2.0 ** np.arange(-20, 20)]
    wanted = [int(lanes.latency_bin.py_func(value)) for value in seconds]
    assert latency_bins(seconds).tolist() == wanted


# --- theory -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("files", "instances", "places"), [(1, 1, 1), (10, 3, 1), (500, 16, 1), (17, 4, 3), (5, 8, 2)])
def test_equal_files_take_whole_rounds(files: int, instances: int, places: int) -> None:
    made = run(
        sl.constant(900),
        workload.files(files, size_mb=1),
        instance_count=instances,
        max_concurrent_transforms=places,
        invocations_timeout_s=3600,
    )
    rounds = math.ceil(math.ceil(files / instances) / places)
    assert made.summary()["makespan_s"] == pytest.approx(900 * rounds, abs=1e-6)


def test_makespans_keep_grahams_bounds() -> None:
    for seed in range(60):
        rng = np.random.default_rng(seed)
        instances, places = int(rng.integers(1, 6)), int(rng.integers(1, 6))
        made = run(
            sl.lognormal(mean=60, cv=1.5),
            workload.files(int(rng.integers(1, 60)), size_mb=1),
            seed=seed,
            instance_count=instances,
            max_concurrent_transforms=places,
            invocations_timeout_s=1e9,
        )
        work = (made.requests["finish_s"] - made.requests["start_s"]).groupby(made.requests["instance"])
        lower = np.maximum(work.max(), work.sum() / places).max()
        upper = (work.sum() / places + (1 - 1 / places) * work.max()).max()  # Graham 1969
        assert lower * (1 - 1e-9) <= made.summary()["makespan_s"] <= upper * (1 + 1e-9)


def test_one_file_on_many_instances_leaves_the_others_idle_and_billed() -> None:
    chosen = {"instance_count": 8, "invocations_timeout_s": 3600.0}
    made = run(sl.constant(900), workload.files(1, size_mb=1), **chosen)
    alone = run(sl.constant(900), workload.files(1, size_mb=1), **(chosen | {"instance_count": 1}))
    assert made.summary()["makespan_s"] == alone.summary()["makespan_s"]
    assert made.invoice.attrs["total"] == pytest.approx(8 * alone.invoice.attrs["total"])
    assert made.summary()["utilization"] == pytest.approx(1 / 8)
    assert "idle machines" in set(made.events["kind"])
    assert (made.instances["gone_s"] == made.summary()["finish_s"]).all()


def test_a_job_does_not_wait_for_machines_without_files() -> None:
    made = run(
        sl.constant(1), workload.files(1, size_mb=1), instance_count=30, container_start=sl.exponential(1000), seed=4
    )
    assert made.summary()["finish_s"] == made.requests["finish_s"].iloc[0]
    ready = made.instances["in_service_s"]
    assert ready.max() == math.inf  # some never were ready


def test_files_go_to_instances_by_key() -> None:
    made = run(sl.exponential(1), workload.files(11, size_mb=1), instance_count=4)
    assert made.requests["instance"].tolist() == [k % 4 for k in range(11)]


@pytest.mark.parametrize("records", [1, 40])
def test_a_file_fails_with_the_chance_of_a_bad_record(records: int) -> None:
    files, share = 4000, 0.02
    made = run(sl.constant(0.001), workload.files(files, size_mb=1, records_per_file=records), bad_records=share)
    failed = int((made.requests["status"] == "failed").sum())
    low, high = stats.binom.interval(0.999, files, 1 - (1 - share) ** records)
    assert low <= failed <= high
    assert made.requests["attempts"].sum() == files + 3 * failed  # each failure is tried three times more


def test_a_file_takes_as_long_as_the_same_request_elsewhere() -> None:
    files, law = workload.files(50, size_mb=1), sl.lognormal(mean=3, cv=1)
    batch = run(law, files)
    endpoint = sl.simulate(serving.RealTime(model(law), invocation_timeout_s=1e6), files, hours=1)
    taken = [(each.requests["finish_s"] - each.requests["start_s"]).to_numpy() for each in (batch, endpoint)]
    np.testing.assert_allclose(*taken, rtol=1e-9)


# --- mini-batches -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("split", "strategy", "payload", "wanted"),
    [
        (None, "MultiRecord", 0.0, [10_000]),
        ("Line", "MultiRecord", 1.0, [2000] * 5),
        ("Line", "MultiRecord", 1.5, [3000, 3000, 3000, 1000]),
        ("Line", "MultiRecord", 0.0, [10_000]),
        ("Line", "MultiRecord", 0.0004, [1] * 10_000),
        ("Line", "SingleRecord", 6.0, [1] * 10_000),
    ],
)
def test_how_a_file_is_cut(split: str | None, strategy: str, payload: float, wanted: list[int]) -> None:
    chosen = serving.BatchTransform(
        model(sl.constant(1)), split_type=split, batch_strategy=strategy, max_payload_in_mb=payload
    )
    parts = cut(np.array([5.0, 5.0]), np.array([10_000, 10_000]), chosen)
    assert parts.records.tolist() == 2 * wanted
    assert parts.first.tolist() == [0, len(wanted), 2 * len(wanted)]
    assert parts.too_large.tolist() == [payload == 0.0004] * 2


def test_tenths_of_a_megabyte_fit_as_they_should() -> None:
    chosen = serving.BatchTransform(model(sl.constant(1)), split_type="Line", max_payload_in_mb=0.3)
    assert 0.3 / (1.0 / 10) < 3  # in floating point
    assert cut(np.array([1.0]), np.array([10]), chosen).records.tolist() == [3, 3, 3, 1]


def test_fewer_larger_requests_pay_the_overhead_less_often() -> None:
    files = workload.files(10, size_mb=1, records_per_file=1000)
    chosen = {"split_type": "Line", "request_overhead_s": 0.039, "max_payload_in_mb": 0.1}
    many = run(sl.constant(0.001), files, batch_strategy="SingleRecord", **chosen)
    few = run(sl.constant(0.001), files, batch_strategy="MultiRecord", **chosen)
    assert many.summary()["makespan_s"] == pytest.approx(10 * (1 + 1000 * 0.039))
    assert few.summary()["makespan_s"] == pytest.approx(10 * (1 + 10 * 0.039))
    assert many.timeline()["Invocations"].sum() == 10_000
    assert few.timeline()["Invocations"].sum() == 100


def test_records_take_the_same_however_they_are_cut() -> None:
    files = workload.files(20, size_mb=1, records_per_file=500)
    ends = [
        run(sl.lognormal(0.1, 1), files, split_type="Line", batch_strategy=strategy).summary()["makespan_s"]
        for strategy in ("SingleRecord", "MultiRecord")
    ]
    assert ends[0] == pytest.approx(ends[1])


def test_more_records_than_fit_at_once_are_drawn_in_order() -> None:
    files = workload.files(5, size_mb=1, records_per_file=400_000)  # two million: in stretches
    made = run(sl.exponential(0.01), files, split_type="Line", invocations_timeout_s=1e6)
    drawn = sl.exponential(0.01).sample(2_000_000, sl.Simulation(0).rng("files", "service", "m"))
    taken = (made.requests["finish_s"] - made.requests["start_s"]).to_numpy()
    np.testing.assert_allclose(taken, drawn.reshape(5, -1).sum(axis=1), rtol=1e-9)


def test_work_columns_of_a_trace_are_sizes_and_records() -> None:
    log = pd.DataFrame({"t": [0.0] * 3, "size_mb": [1.0, 2.0, 50.0], "records": [10, 20, 30]})
    trace = workload.from_trace(log, time="t", work=["size_mb", "records"])
    law = sl.per_unit(0, {"records": 1.0, "size_mb": 100.0})
    made = run(law, trace, invocations_timeout_s=3600)
    assert made.requests["status"].tolist() == ["completed", "completed", "failed"]  # 50 MB > 6
    taken = made.requests["finish_s"] - made.requests["start_s"]
    assert taken[:2].tolist() == pytest.approx([110, 220])
    split = run(law, trace, split_type="Line", invocations_timeout_s=1e5)
    assert split.summary()["makespan_s"] == pytest.approx(5300 + 60)  # a record counts as one, and as its share of MB


# --- scenario S2 --------------------------------------------------------------------------------------------------

NIGHT = scenarios.night_models()
FIFTEEN = sl.ModelProfile("renderer", sl.constant(900), size_mb=1200, load_seconds=20)
LONG_ENOUGH: dict[str, Any] = {"max_payload_in_mb": 0.0, "invocations_timeout_s": 3600.0}


def night(law: sl.ModelProfile = FIFTEEN, **chosen: Any) -> sl.Run:
    made = sl.simulate(serving.BatchTransform(law, **chosen), NIGHT.workload, seed=3)
    made.check()
    return made


def test_sixteen_instances_need_eight_hours_and_no_slack_is_left() -> None:
    made = night(instance_count=16, **LONG_ENOUGH)
    work = made.requests["finish_s"].max() - made.requests["start_s"].min()
    assert work / 3600 == pytest.approx(8.0, abs=0.01)
    assert made.summary()["makespan_s"] > 8 * 3600  # machines and containers start first
    assert night(instance_count=17, **LONG_ENOUGH).summary()["makespan_s"] < 8 * 3600


def test_four_jobs_of_a_quarter_of_an_hour_on_three_machines() -> None:
    made = run(
        sl.constant(900),
        workload.files(3, size_mb=1).repeated(days=4),
        instance_type="ml.m4.4xlarge",
        instance_count=3,
        invocations_timeout_s=3600,
    )
    assert made.invoice.attrs["total"] == pytest.approx(2.88, abs=0.005)  # the example of AWS's price page, as recalled


@pytest.mark.parametrize("instances", [1, 2, 5, 10, 16, 25, 32, 50])
def test_the_night_costs_the_same_from_one_to_fifty_instances(instances: int) -> None:
    usd = night(instance_count=instances, **LONG_ENOUGH).invoice.attrs["total"]
    assert 28.75 <= usd < 30.0


def test_the_default_time_out_fails_every_file_three_times_more_billed() -> None:
    made = night(instance_count=16, max_payload_in_mb=0)
    assert (made.requests["status"] == "timed_out").all()
    assert (made.requests["attempts"] == 4).all()
    events = made.events["kind"].value_counts()
    assert (events["time-out"], events["file failed"]) == (2000, 500)
    assert made.events["detail"].iloc[-1] == "Failed: 500 of 500 files have no output"
    assert made.invoice.attrs["total"] == pytest.approx(16 * (32 * 2400 + 100) / 3600 * 0.23, rel=0.01)


def test_two_hundred_megabytes_are_too_large_for_a_request() -> None:
    made = night(instance_count=16, invocations_timeout_s=3600)
    assert (made.requests["status"] == "failed").all()
    assert made.requests["start_s"].isna().all()
    assert (made.requests["attempts"] == 0).all()
    said = made.events.query("kind == 'payload'")["detail"]
    assert len(said) == 500
    assert "200 MB" in said.iloc[0]


# --- trouble ------------------------------------------------------------------------------------------------------


def test_a_failed_file_takes_nothing_from_the_others() -> None:
    law = sl.empirical([10.0, 10.0, 10.0, 1000.0])
    made = run(law, workload.files(200, size_mb=1), invocations_timeout_s=600, invocations_max_retries=0)
    late = made.requests["status"] == "timed_out"
    assert 20 < late.sum() < 80
    assert (made.requests["status"][~late] == "completed").all()
    taken = made.requests["finish_s"] - made.requests["start_s"]
    assert taken[late].tolist() == pytest.approx([600] * late.sum())


def test_the_rest_of_a_failed_file_is_not_sent() -> None:
    made = run(
        sl.constant(1),
        workload.files(1, size_mb=1, records_per_file=1000),
        split_type="Line",
        batch_strategy="SingleRecord",
        bad_records=1.0,
        max_concurrent_transforms=2,
    )
    assert made.requests["attempts"].iloc[0] == 8  # both requests on their way are tried four times
    assert made.summary()["makespan_s"] == pytest.approx(4)


def test_events_come_in_order_of_time_and_name_the_attempt() -> None:
    made = run(sl.lognormal(5, 1), workload.files(60, size_mb=1), instance_count=3, invocations_timeout_s=8)
    assert (np.diff(made.events["time_s"]) >= 0).all()
    tries = made.events.query("kind == 'time-out'")["detail"]
    assert (
        tries.str.contains("attempt 4 of 4: no answer within 8 s").sum()
        == (made.requests["status"] == "timed_out").sum()
    )
    for _, failed in made.events.query("kind == 'file failed'").iterrows():
        number = int(failed["detail"].split()[1].rstrip(":"))
        assert made.requests["finish_s"][number] == pytest.approx(failed["time_s"])


# --- more than one job --------------------------------------------------------------------------------------------


def test_a_job_each_night() -> None:
    made = run(sl.constant(60), workload.files(20, size_mb=1).repeated(days=3), instance_count=2)
    assert (made.events["kind"] == "created").sum() == 3
    assert len(made.instances) == 6
    ends = made.requests["finish_s"].to_numpy().reshape(3, 20)
    np.testing.assert_allclose(ends.max(axis=1), [600, 86_400 + 600, 2 * 86_400 + 600])
    assert made.invoice["quantity"].iloc[0] == pytest.approx(3 * 2 * 600 / 3600)
    assert made.summary()["makespan_s"] == pytest.approx(600)
    assert made.summary()["finish_s"] == pytest.approx(2 * 86_400 + 600)


def test_the_makespan_is_that_of_the_longest_job() -> None:
    trace = workload.from_trace(pd.DataFrame({"t": [0.0, 0.0, 0.0, 5000.0]}), time="t")
    told = run(sl.constant(100), trace).summary()
    assert told["makespan_s"] == pytest.approx(300)
    assert told["finish_s"] == pytest.approx(5100)


def test_what_comes_while_a_job_runs_waits_for_the_next() -> None:
    made = run(sl.constant(50), workload.from_counts([1, 1, 1, 0, 1], every_s=60), seed=4)
    arrival, start = made.requests["arrival_s"].to_numpy(), made.requests["start_s"].to_numpy()
    assert (start >= arrival).all()
    assert (np.diff(start) >= 50 - 1e-9).all()
    assert (made.events["kind"] == "created").sum() >= 2


def test_an_unending_stream_is_served_job_after_job() -> None:
    chosen = serving.BatchTransform(model(sl.constant(5)), instance_count=2)
    made = sl.simulate(chosen, workload.poisson(rate=0.01), hours=24, seed=2)
    made.check()
    assert made.summary()["completed"] > 700
    assert (made.events["kind"] == "created").sum() > 50


# --- the usual surface --------------------------------------------------------------------------------------------


def test_without_a_length_it_runs_to_its_end() -> None:
    made = run(sl.constant(60), workload.files(10, size_mb=1))
    assert made.snapshot.end_s == made.summary()["finish_s"] == pytest.approx(600)
    longer = run(sl.constant(60), workload.files(10, size_mb=1), hours=5)
    assert longer.invoice.attrs["total"] == made.invoice.attrs["total"]
    shorter = run(sl.constant(60), workload.files(10, size_mb=1), hours=0.1)
    assert shorter.summary()["completed"] == 6
    assert math.isnan(shorter.summary()["makespan_s"])


def test_several_things_run_to_the_end_of_a_job() -> None:
    sim = sl.Simulation(1)
    jobs = sim.deploy(serving.BatchTransform(model(sl.constant(60)), **AT_ONCE), workload.files(10, size_mb=1))
    endpoint = sim.deploy(serving.RealTime(model(sl.constant(0.1))), workload.poisson(rate=1))
    sim.run_to(jobs.done)
    assert sim.env.now == 600
    assert endpoint.run.snapshot.end_s == 600
    assert jobs.run.summary()["completed"] == 10


def test_a_run_is_saved_and_loaded(tmp_path: Path) -> None:
    made = run(sl.lognormal(9, 1), workload.files(40, size_mb=1), instance_count=3, invocations_timeout_s=20)
    made.save(tmp_path / "night.run")
    again = sl.Run.load(tmp_path / "night.run")
    again.check()
    pd.testing.assert_series_equal(again.summary(), made.summary())
    pd.testing.assert_frame_equal(again.requests, made.requests)
    pd.testing.assert_frame_equal(again.instances, made.instances)
    assert again.snapshot.deployment == made.snapshot.deployment


def test_timeline_counts_instances_and_work() -> None:
    made = run(sl.constant(60), workload.files(10, size_mb=1), instance_count=2, launch=sl.constant(120))
    lines = made.timeline()
    assert lines["Instances"].tolist() == [0, 0, 2, 2, 2, 2, 2]
    assert lines["DesiredInstances"].tolist() == [2] * 7
    assert lines["Concurrency"].tolist() == [10, 10, 10, 8, 6, 4, 2]
    assert lines["Utilization"].iloc[2:].tolist() == pytest.approx([1] * 5)


def test_experiments_run() -> None:
    files = workload.files(40, size_mb=1)

    def make(instance_count: int) -> serving.BatchTransform:
        return serving.BatchTransform(model(sl.lognormal(30, 0.5)), instance_count=instance_count)

    found = experiments.replicate(make(2), files, replications=5, seed=1)
    assert found.loc["makespan_s", "n"] == 5
    assert found.loc["makespan_s", "low"] < found.loc["makespan_s", "mean"] < found.loc["makespan_s", "high"]
    swept = experiments.sweep({"instance_count": [1, 2, 4]}, make, files, seed=1)
    assert swept["makespan_s"].is_monotonic_decreasing
    between = experiments.compare({"two": make(2), "four": make(4)}, files, replications=5, seed=1)
    assert between.loc[("makespan_s", "four"), "difference_high"] < 0


def test_same_seed_same_bytes() -> None:
    chosen = serving.BatchTransform(model(sl.lognormal(30, 0.5)), instance_count=3, max_concurrent_transforms=2)
    one, two = (sl.simulate(chosen, workload.files(40, size_mb=1), seed=5) for _ in range(2))
    pd.testing.assert_frame_equal(one.requests, two.requests)
    other = sl.simulate(chosen, workload.files(40, size_mb=1), seed=6)
    assert not one.requests["finish_s"].equals(other.requests["finish_s"])


def test_check_finds_a_bill_of_another_run() -> None:
    made = run(sl.constant(60), workload.files(4, size_mb=1), instance_count=2)
    made.snapshot.instances["machine_up_s"][1] -= 100
    with pytest.raises(InvariantError, match="I5 bill"):
        made.check()


def test_assumptions_name_the_rules_that_no_page_states() -> None:
    told = night(instance_count=2, **LONG_ENOUGH).assumptions.set_index("parameter")["mark"]
    assert told["files to instances"] == "D"
    assert told["launch"] == "U"
    chosen = run(sl.constant(1), workload.files(1, size_mb=1)).assumptions["parameter"]
    assert "launch" not in set(chosen)  # it was given


def test_what_the_platform_refuses_is_said() -> None:
    made = run(sl.constant(1), workload.files(2, size_mb=1), max_concurrent_transforms=20, invocations_timeout_s=7200)
    said = made.events.query("kind == 'limit'")["detail"].tolist()
    assert said[0] == "SageMaker refuses this: 120 MB of concurrent payloads > 100 MB batch limit"
    assert "7200 s time-out" in said[1]
    allowed = run(sl.constant(1), workload.files(2, size_mb=1), max_concurrent_transforms=20, max_payload_in_mb=5)
    assert "limit" not in set(allowed.events["kind"])


def test_the_picture_says_who_was_idle() -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    made = run(sl.constant(60), workload.files(3, size_mb=1), instance_count=4, invocations_timeout_s=50)
    words = plots.batch(made.instances, made.requests, title="Nobody finishes")
    assert words.startswith("Nobody finishes. 4 instances, 0.2222 billed hours: 75 % at work")
    assert words.endswith("1 of them never had a file. 3 files failed.")
    several = run(sl.constant(60), workload.files(6, size_mb=1), max_concurrent_transforms=2)
    assert "100 % at work" in plots.batch(several.instances, several.requests)


# --- mistakes -----------------------------------------------------------------------------------------------------

FILES = workload.files(1, size_mb=1)
TINY = model(sl.constant(1))
BATCH = serving.BatchTransform(TINY)
WRONG = {
    "no instances": (lambda: serving.BatchTransform(TINY, instance_count=0), "instance_count=0"),
    "half an instance": (lambda: serving.BatchTransform(TINY, instance_count=1.5), "instance_count=1.5"),
    "no places": (lambda: serving.BatchTransform(TINY, max_concurrent_transforms=0), "max_concurrent_transforms=0"),
    "a negative payload": (lambda: serving.BatchTransform(TINY, max_payload_in_mb=-1), "max_payload_in_mb=-1"),
    "an unknown split": (lambda: serving.BatchTransform(TINY, split_type="Lines"), "split_type='Lines'"),
    "an unknown strategy": (lambda: serving.BatchTransform(TINY, batch_strategy="Multi"), "batch_strategy='Multi'"),
    "a time-out of 0": (lambda: serving.BatchTransform(TINY, invocations_timeout_s=0), "invocations_timeout_s=0"),
    "a time-out with a unit": (lambda: serving.BatchTransform(TINY, invocations_timeout_s="600 s"), "quotes or unit"),
    "negative retries": (
        lambda: serving.BatchTransform(TINY, invocations_max_retries=-1),
        "invocations_max_retries=-1",
    ),
    "a share of 2": (lambda: serving.BatchTransform(TINY, bad_records=2), "bad_records=2"),
    "negative overhead": (lambda: serving.BatchTransform(TINY, request_overhead_s=-1), "request_overhead_s=-1"),
    "a launch in seconds": (lambda: serving.BatchTransform(TINY, launch=150), "launch=150 is not a law"),
    "no speed": (lambda: serving.BatchTransform(TINY, speed=0), "speed=0"),
    "no model": (lambda: serving.BatchTransform(), "needs the parameter 'model'"),
    "a law as a model": (lambda: serving.BatchTransform(sl.constant(1)), "model=Constant"),
    "a type nobody offers": (
        lambda: sl.simulate(serving.BatchTransform(TINY, instance_type="ml.m5.xlrge"), FILES),
        "instance_type='ml.m5.xlrge'",
    ),
    "no end to run to": (lambda: sl.simulate(BATCH, workload.poisson(rate=1)), "this workload has no end"),
    "running to a number": (lambda: sl.Simulation().run_to(3), "event=3"),
    "running to what never is": (lambda: never(), "event never happens"),
    "a typo in running to": (lambda: sl.Simulation().run_to(evnt=3), "did you mean 'event'"),
    "both lengths": (lambda: sl.simulate(BATCH, FILES, hours=1, days=1), "exactly one of them"),
    "negative hours": (lambda: sl.simulate(BATCH, FILES, hours=-1), "hours=-1"),
    "a warm-up longer than the job": (lambda: run(sl.constant(1), FILES).summary(warm_up_hours=1), "warm_up_hours=1"),
    "work that no file brings": (lambda: run(sl.per_unit(0, {"tokens": 1}), FILES), "needs the work column 'tokens'"),
    "a picture of a run": (lambda: plots.batch(run(sl.constant(1), FILES), 3), "instances=<Run"),
    "a picture without instances": (
        lambda: plots.batch(pd.DataFrame({"gone_s": [1.0]}), pd.DataFrame()),
        "no column 'launched_s'",
    ),
}


def never() -> None:
    sim = sl.Simulation()
    sim.run_to(sim.env.event())


@pytest.mark.parametrize("mistake", WRONG)
def test_a_mistake_is_one_sentence(mistake: str) -> None:
    call, named = WRONG[mistake]
    assert named in sentence(call)


# --- mini-batches of files, and records by the number -----------------------------------------------------------------


def test_mini_batches_of_files_take_the_sum_of_their_files() -> None:
    """23 files of 2 s in mini-batches of 5 on one node, one at a time: four of 10 s and one of 6 s."""
    model = sl.ModelProfile("digits", service=sl.constant(2.0), size_mb=1e-9)
    job = serving.BatchTransform(
        model,
        instance_type="Standard_DS3_v2",
        files_per_request=5,
        max_payload_in_mb=0.0,
        invocations_timeout_s=30.0,
        launch=sl.constant(0),
        container_start=sl.constant(0),
    )
    run = sl.simulate(job, workload.files(23, size_mb=1.0), progress=False)
    run.check()
    took = run.requests["finish_s"] - run.requests["start_s"]
    assert took.to_numpy() == pytest.approx([10, 10, 10, 10, 6])
    assert run.invoice.attrs["total"] == pytest.approx(46 / 3600 * 0.293, rel=0.03)


def test_a_mini_batch_that_takes_too_long_is_tried_again_and_fails() -> None:
    """10 files of 4 s are more than the 30 s that Azure ML gives a mini-batch; 3 retries make it four times that."""
    model = sl.ModelProfile("digits", service=sl.constant(4.0))
    job = serving.BatchTransform(
        model, files_per_request=10, max_payload_in_mb=0.0, invocations_timeout_s=30.0, invocations_max_retries=3
    )
    run = sl.simulate(job, workload.files(10, size_mb=1.0), progress=False)
    run.check()
    (row,) = run.requests.to_dict("records")
    assert row["status"] == "timed_out"
    assert row["attempts"] == 4
    assert row["finish_s"] - row["start_s"] == pytest.approx(120)


def test_a_request_holds_so_many_records_at_most() -> None:
    """40 records of 1 s in requests of 16 at most: 16, 16 and 8, one after the other on one replica."""
    model = sl.ModelProfile("rows", service=sl.constant(1.0))
    job = serving.BatchTransform(model, split_type="Line", records_per_request=16, instance_type="n1-standard-4")
    run = sl.simulate(job, workload.files(1, size_mb=1.0, records_per_file=40), progress=False)
    run.check()
    assert any("3 requests" in event.detail for event in run.snapshot.events)
    with pytest.raises(sl.ParameterError, match="files_per_request=2 is not possible with split_type='Line'"):
        serving.BatchTransform(model, split_type="Line", files_per_request=2)
