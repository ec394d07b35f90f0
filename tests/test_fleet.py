"""Lives of instances in fleets that policies, faults and people change: their stages, the timeline and the bill."""

import dataclasses
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

import simlib as sl
from simlib import pricing, serving, workload
from simlib.results import Run
from tests.test_autoscaling import hasten, meddle, random_endpoint

CALLS = workload.poisson(2)
MODEL = sl.ModelProfile("tagger", service=sl.constant(0.5), size_mb=300, load_seconds=7)
LIFE = serving.InstanceLife(launch=sl.constant(100), container_start=sl.constant(20))
READY_S = 100 + 20 + 300 / 100 + 7


def _random_run(seed: int) -> tuple[Run, Any]:
    """A few minutes of an endpoint in which much is decided, some containers come up too late, and some crash."""
    deployment, load, minutes, _ = random_endpoint(seed)
    deployment = hasten(deployment, 20)
    rng = np.random.default_rng([seed, 1])
    if rng.random() < 0.5:
        life = sl.serving.InstanceLife(
            **{name: getattr(deployment.instance_life, name) for name in ("launch", "crash_rate_per_day", "drain_s")},
            container_start=sl.lognormal(mean=3, cv=1),
            startup_health_check_timeout_s=6,
        )
        deployment = serving.RealTime(
            variants=deployment.variants, scaling=deployment.scaling, routing=deployment.routing, instance_life=life
        )
    # who gives up leaves a worker at work for as long as only the lane knows
    deployment = dataclasses.replace(deployment, invocation_timeout_s=3600.0)
    sim = sl.Simulation(seed)
    endpoint = sim.deploy(deployment, load, from_cold=bool(rng.integers(2)))
    sim.start(meddle(endpoint, rng, minutes * 3.0, []))
    sim.run(until_s=minutes * 3.0)
    run: Run = endpoint.run
    run.check()
    return run, deployment


@pytest.fixture(scope="module")
def runs() -> list[tuple[Run, Any]]:
    """Forty of them."""
    return [_random_run(seed) for seed in range(2000, 2040)]


def _lives(run: Run) -> pd.DataFrame:
    return run.instances


# --- each life --------------------------------------------------------------------------------------------------------


def test_each_life_goes_through_its_stages_and_takes_the_time_that_was_drawn(runs: list[tuple[Run, Any]]) -> None:
    ended: dict[str, int] = {}
    for run, deployment in runs:
        life, again = deployment.instance_life, sl.Simulation(run.snapshot.seed)
        for i in _lives(run).itertuples():
            ended[i.ended] = ended.get(i.ended, 0) + 1
            variant = next(v for v in deployment.fleets if v.name == i.variant)
            if i.in_service_s == i.launched_s == 0:
                assert i.machine_up_s == 0  # was there from the beginning
            else:
                rng = again.rng(run.snapshot.name, "instance", str(i.number))
                launch, start = (float(law.sample(1, rng)[0]) for law in (life.launch, life.container_start))
                ready = start + (variant.model.size_mb / life.download_mb_per_s + variant.model.load_seconds)
                if i.machine_up_s < math.inf:
                    assert i.machine_up_s == i.launched_s + launch
                if i.in_service_s < math.inf:
                    assert ready <= life.startup_health_check_timeout_s
                    assert i.in_service_s == pytest.approx(i.machine_up_s + ready, abs=1e-9)
                if i.ended == "not healthy":
                    assert ready > life.startup_health_check_timeout_s
                    assert i.gone_s == i.machine_up_s + life.startup_health_check_timeout_s
            if i.ended == "drained":
                assert i.gone_s == i.draining_s + life.drain_s
            if i.ended == "crashed":
                assert i.in_service_s <= i.draining_s <= i.gone_s <= i.draining_s + life.drain_s
            if i.ended == "cancelled":
                assert i.in_service_s == math.inf
                assert i.gone_s == i.draining_s
            assert (i.gone_s == math.inf) == (i.ended == "")
    assert min(ended[how] for how in ("drained", "crashed", "cancelled", "not healthy")) > 10, ended


def test_the_event_log_tells_each_stage_at_its_second(runs: list[tuple[Run, Any]]) -> None:
    for run, _ in runs:
        told = run.events[run.events["subject"].str.contains("/instance ")]
        for i in _lives(run).itertuples():
            own = told[told["subject"] == f"{run.snapshot.name}/instance {i.number}"]
            stages = {"launching": i.launched_s, "gone": i.gone_s}
            if i.machine_up_s > i.launched_s:
                stages["machine up"] = i.machine_up_s
            if i.in_service_s < math.inf:
                stages["in service"] = i.in_service_s
                if i.draining_s < i.gone_s:
                    stages["draining"] = i.draining_s
            expected = {kind: time for kind, time in stages.items() if time < math.inf}
            assert dict(zip(own["kind"], own["time_s"], strict=True)) == expected
            assert own["time_s"].is_monotonic_increasing
            assert list(own.loc[own["kind"] == "gone", "detail"]) == ([i.ended] if i.ended else [])


def test_as_many_stay_as_were_asked_for_at_any_time(runs: list[tuple[Run, Any]]) -> None:
    """Crashed and unhealthy ones are replaced at once; those taken away, cancelled or drained, are not."""
    for run, _ in runs:
        lives, names = _lives(run), run.snapshot.variants
        for v, name in enumerate(names):
            own = lives[lives["variant"] == name]
            begin = own["launched_s"].to_numpy()
            end = np.minimum(own["draining_s"], own["gone_s"]).to_numpy()
            asked = [(time, wanted) for time, w, wanted in run.snapshot.desired if w == v]
            times, wanted = np.array([t for t, _ in asked]), [w for _, w in asked]
            for moment in np.unique(np.r_[begin, end[np.isfinite(end)], times]):
                now = wanted[int(np.searchsorted(times, moment, "right")) - 1]
                assert ((begin <= moment) & (end > moment)).sum() == now, (name, moment)


def test_the_timeline_counts_instances_and_busy_workers(runs: list[tuple[Run, Any]]) -> None:
    for run, _ in runs:
        lives, line, end = _lives(run), run.timeline(), run.snapshot.end_s
        workers = dict(zip(run.snapshot.variants, run.snapshot.workers, strict=True))
        requests = run.requests
        stop = requests["finish_s"].fillna(end)
        for begin, row in line.iterrows():
            close = min(begin + 60, end)
            there = (lives["in_service_s"] < close) & (lives["draining_s"] >= close)
            assert row["Instances"] == there.sum()
            seconds = sum(
                max(0.0, min(i.gone_s, close) - max(i.in_service_s, begin)) * workers[i.variant]
                for i in lives.itertuples()
            )
            busy = (np.minimum(stop, close) - np.maximum(requests["start_s"], begin)).clip(lower=0).sum()
            if seconds > 0:
                assert row["Utilization"] == pytest.approx(busy / seconds, abs=1e-6)


def test_the_bill_added_up_by_hand(runs: list[tuple[Run, Any]]) -> None:
    """Each instance from its machine being up until it is gone, in whole seconds; 30 GB each; nothing else."""
    catalog = pricing.invoice(
        [pricing.hosting_hours("ml.m5.large", 1.0), pricing.endpoint_storage(30, 1.0)], region="us-east-1"
    )
    an_hour = catalog["quantity"] * catalog["unit_price"]
    for run, _ in runs:
        seconds = 0
        for i in _lives(run).itertuples():
            if i.machine_up_s < run.snapshot.end_s:
                seconds += math.ceil(round(min(i.gone_s, run.snapshot.end_s) - i.machine_up_s, 6))
        lines = run.invoice
        of_time = lines[~lines["item"].str.contains("data|Data")]
        assert of_time["subtotal"].sum() == pytest.approx(seconds / 3600 * an_hour.sum(), rel=1e-9, abs=1e-12)


def test_nobody_starts_on_an_instance_that_does_not_serve(runs: list[tuple[Run, Any]]) -> None:
    for run, _ in runs:
        started = run.requests[run.requests["start_s"].notna()]
        life = _lives(run).set_index("number").loc[started["instance"]].reset_index()
        start, finish = started["start_s"].to_numpy(), started["finish_s"].fillna(0).to_numpy()
        assert (start >= life["in_service_s"]).all()
        assert (finish <= life["gone_s"]).all()
        if run.snapshot.deployment.routing == "SHARED_QUEUE":  # type: ignore[attr-defined]
            assert (start <= life["draining_s"]).all()
        else:  # a draining instance still works off its own queue
            assert (started["arrival_s"].to_numpy() <= life["draining_s"]).all()


# --- special moments --------------------------------------------------------------------------------------------------


def _deploy(**options: Any) -> tuple[sl.Simulation, Any]:
    sim = sl.Simulation(3)
    cold = bool(options.pop("cold", False))
    options = {"instance_life": LIFE, "initial_instance_count": 2} | options
    return sim, sim.deploy(serving.RealTime(MODEL, **options), CALLS, from_cold=cold)


def test_from_cold_nobody_is_served_before_the_first_instance_is_there() -> None:
    sim, endpoint = _deploy(cold=True)
    sim.run(until_s=600)
    run = endpoint.run
    assert (run.instances["in_service_s"] == READY_S).all()
    early = run.requests[run.requests["arrival_s"] < READY_S]
    assert (early["status"] == "rejected").all()
    assert (run.requests["status"][run.requests["arrival_s"] >= READY_S] != "rejected").all()
    assert run.timeline()["DesiredInstances"].eq(2).all()
    assert run.timeline()["Instances"].tolist() == [0, 0] + [2] * 8


def test_launched_and_cancelled_in_one_instant_costs_nothing() -> None:
    sim, endpoint = _deploy()

    def story(_: sl.Simulation) -> Any:
        yield sim.env.timeout(50)
        endpoint.scale_to(5)
        endpoint.scale_to(2)

    sim.start(story)
    sim.run(until_s=600)
    run = endpoint.run
    assert run.instances["ended"].tolist() == ["", ""] + ["cancelled"] * 3
    assert run.instances["gone_s"].tolist()[2:] == [50.0] * 3
    alone, left = _deploy()
    alone.run(until_s=600)
    assert run.invoice.attrs["total"] == left.run.invoice.attrs["total"]


def test_a_draining_instance_that_crashes_is_not_replaced() -> None:
    life = serving.InstanceLife(launch=sl.constant(1), container_start=sl.constant(1), crash_rate_per_day=8000)
    sim, endpoint = _deploy(instance_life=life)
    for second in range(5, 400, 5):
        sim.run(until_s=second)
        if sum(i.serving for i in endpoint.instances) > 1:
            endpoint.drain(next(i.number for i in endpoint.instances if i.serving))
            endpoint.scale_to(2)
    lives = endpoint.run.instances
    both = lives[(lives["ended"] == "crashed") & (lives["draining_s"] < lives["gone_s"])]
    assert len(both) > 5
    assert endpoint.desired == [2]
    assert sum(i.staying for i in endpoint.instances) == 2


def test_what_a_second_of_download_speed_costs() -> None:
    """A model of 45 GB comes in 450 s at 100 MB/s: with the container's 20 s, 10 s less than the patience of 480 s."""
    for size_mb, healthy in [(45_000, True), (46_001, False)]:
        model = sl.ModelProfile("large", service=sl.constant(0.5), size_mb=size_mb)
        sim = sl.Simulation(1)
        endpoint = sim.deploy(serving.RealTime(model, instance_life=LIFE), CALLS, from_cold=True)
        sim.run(until_s=1000)
        first = endpoint.run.instances.iloc[0]
        assert first["ended"] == ("" if healthy else "not healthy")
        assert first["in_service_s"] == (570 if healthy else math.inf)
