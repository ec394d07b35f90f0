"""Inference components: packing, copies that come and go, zero copies and waking up, instances that follow."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import simlib as sl
from simlib import serving, theory, workload

MODEL = sl.ModelProfile("m", service=sl.constant(1.0), size_mb=200, load_seconds=3)
FAST = serving.InstanceLife(launch=sl.constant(100.0), container_start=sl.constant(10.0))  # a copy: 10 + 2 + 3 s
WAKE = serving.StepScaling(
    1.0,
    (serving.Step(1, lower=0.0),),
    metric="NoCapacityInvocationFailures",
    comparison=">=",
    datapoints=1,
    min_capacity=0,
    max_capacity=4,
)
FOLLOW = serving.TargetTracking(1.0, metric="ConcurrentRequestsPerCopy", min_capacity=0, max_capacity=4)


def calls(*times: float) -> workload.Workload:
    """Calls at these times; one at 0 is put first, since a trace begins with its first call."""
    return workload.from_trace(pd.DataFrame({"t": [0.0, *times]}), time="t")


def one(**options: object) -> serving.Component:
    return serving.Component("a", MODEL, **options)  # type: ignore[arg-type]


def deploy(*components: serving.Component, **options: object) -> serving.InferenceComponent:
    return serving.InferenceComponent(components, **({"instance_life": FAST} | options))  # type: ignore[arg-type]


def run(
    deployment: serving.InferenceComponent,
    called: workload.Workload,
    until_s: float,
    act: "Callable[[object, sl.Simulation], object] | None" = None,
) -> "sl.Run":
    sim = sl.Simulation(seed=1)
    endpoint = sim.deploy(deployment, called)
    if act is not None:
        sim.start(lambda sim: act(endpoint, sim))
    sim.run(until_s=until_s)
    endpoint.run.check()
    return endpoint.run


def told(run: "sl.Run", kind: str) -> list[tuple[float, str]]:
    chosen = run.events[run.events["kind"] == kind]
    return list(zip(chosen["time_s"], chosen["detail"], strict=True))


# --- packing ----------------------------------------------------------------------------------------------------------


def test_spread_evens_out_and_binpack_fills_up() -> None:
    for placement, expected in (("SPREAD", [0, 1, 0, 1]), ("BINPACK", [0, 0, 0, 0])):
        found = run(
            deploy(one(copy_count=4), initial_instance_count=2, placement=placement, instance_memory_mb=8192.0),
            calls(),
            10.0,
        )
        assert [int(detail.split()[-1]) for _, detail in told(found, "copy starting")] == expected


@pytest.mark.parametrize(
    ("component", "fit"),
    [({"cpus": 1.5}, 2), ({"memory_mb": 3000.0}, 2), ({"accelerators": 1}, 1), ({"cpus": 0.25, "memory_mb": 128.0}, 9)],
)
def test_no_more_copies_than_each_resource_allows(component: dict[str, float], fit: int) -> None:
    found = run(
        deploy(one(copy_count=9, **component), instance_memory_mb=8192.0, instance_accelerators=1), calls(), 10.0
    )
    assert len(told(found, "copy in service")) == fit


def test_two_models_share_an_instance_and_one_bill() -> None:
    other = serving.Component("b", sl.ModelProfile("n", sl.constant(0.5)), weight=3.0)
    found = run(deploy(one(), other), workload.poisson(rate=0.5), 7200.0)
    shares = found.requests["variant"].value_counts(normalize=True)
    n = len(found.requests)
    assert abs(shares["b"] - 0.75) < 3.29 * np.sqrt(0.75 * 0.25 / n)  # error rate 1e-3
    assert found.invoice.set_index("item")["quantity"]["ml.m5.xlarge instances"] == 2.0
    assert (found.requests["instance"] == 0).all()


def test_a_call_may_name_its_component() -> None:
    other = serving.Component("b", sl.ModelProfile("n", sl.constant(0.5)))
    found = run(deploy(one(), other), workload.poisson(rate=0.5).targeting("b"), 600.0)
    assert (found.requests["variant"] == "b").all()


# --- copies serve -----------------------------------------------------------------------------------------------------


def test_a_copy_with_two_workers_is_the_station_of_theory() -> None:
    """M/M/2 at 60 %: mean wait; Student interval over 8 runs, error rate 1 %."""
    model = sl.ModelProfile("m", service=sl.exponential(1.0))
    deployment = deploy(serving.Component("a", model, workers=2), invocation_timeout_s=1e6)
    waits = []
    for seed in range(8):
        found = sl.simulate(deployment, workload.poisson(rate=1.2), hours=0.6, seed=seed).requests.query("start_s > 0")
        waits.append((found["start_s"] - found["arrival_s"]).mean())
    exact = theory.mmc_mean_wait(1.2, 1.0, servers=2)
    half = 3.499 * np.std(waits, ddof=1) / np.sqrt(8)
    assert abs(np.mean(waits) - exact) < half < 0.25 * exact


def test_calls_go_to_the_copy_with_the_fewest() -> None:
    found = run(deploy(one(copy_count=2), initial_instance_count=2), calls(0.1, 0.2, 0.3), 60.0)
    assert found.requests["instance"].tolist() == [0, 1, 0, 1]
    assert (found.requests["finish_s"] - found.requests["arrival_s"]).round(6).tolist() == [1, 1, 1.8, 1.8]


# --- zero -------------------------------------------------------------------------------------------------------------


def test_at_zero_copies_calls_fail_at_once_and_nothing_is_queued() -> None:
    found = run(deploy(one(copy_count=0)), calls(5.0, 6.0), 60.0)
    assert (found.requests["status"] == "failed").all()
    assert (found.requests["finish_s"] == found.requests["arrival_s"]).all()
    assert found.summary()["no_capacity_failures"] == 3
    assert found.timeline()["NoCapacityInvocationFailures"].sum() == 3


def test_the_first_failure_wakes_it_and_calls_fail_until_it_is_up() -> None:
    """Alarm at the end of the minute, 15 s for the copy: in service at 75 s."""
    found = run(deploy(one(copy_count=0, scaling=(WAKE, FOLLOW))), calls(30.0, 70.0, 80.0, 90.0), 300.0)
    assert told(found, "copy in service")[0][0] == pytest.approx(75.0)
    assert found.requests["status"].tolist() == ["failed", "failed", "failed", "completed", "completed"]


def test_asleep_with_no_instance_either_it_wakes_through_both() -> None:
    """60 s to the alarm, 100 s the machine, 10 s the container (an empty one is ready), 15 s the copy."""
    asleep = deploy(
        one(copy_count=0, scaling=(WAKE, FOLLOW)),
        initial_instance_count=0,
        min_instance_count=0,
        max_instance_count=2,
        idle_release_s=300.0,
    )
    found = run(asleep, calls(100.0, 200.0, 500.0), 7200.0)
    assert told(found, "copy in service")[0][0] == pytest.approx(60 + 100 + 10 + 15, abs=0.01)
    assert found.requests["status"].tolist() == ["failed", "failed", "completed", "completed"]
    assert found.timeline()["Instances"].iloc[-1] == 0  # asleep again
    lived = found.instances.iloc[0]
    assert found.invoice.set_index("item")["quantity"]["ml.m5.xlarge instances"] == pytest.approx(
        np.ceil(lived["gone_s"] - lived["machine_up_s"]) / 3600
    )
    gone = told(found, "copy gone")[-1][0]
    assert lived["draining_s"] == pytest.approx(gone + 300.0)


def test_idle_for_thirty_days_at_zero_costs_nothing() -> None:
    nobody = workload.poisson(rate=1e-3).between(1e7, 2e7)
    asleep = deploy(one(copy_count=0), initial_instance_count=0, min_instance_count=0, max_instance_count=1)
    assert sl.simulate(asleep, nobody, days=30).summary()["usd"] == 0.0
    assert sl.simulate(deploy(one()), nobody, days=30).summary()["usd"] > 100


# --- instances follow -------------------------------------------------------------------------------------------------


def test_copies_without_room_bring_as_many_instances_as_they_need_and_no_more() -> None:
    big = one(copy_count=5, cpus=2.0)  # two fit on an ml.m5.xlarge
    found = run(deploy(big, max_instance_count=10), calls(), 600.0)
    assert len(found.instances) == 3
    assert len(told(found, "copy in service")) == 5
    bounded = run(deploy(big, max_instance_count=2), calls(), 600.0)
    assert len(bounded.instances) == 2
    assert len(told(bounded, "copy in service")) == 4


def test_a_machine_on_its_way_is_not_sent_back_when_fewer_copies_wait() -> None:
    def fewer(endpoint, sim):
        yield sim.env.timeout(10.0)
        endpoint.scale_to(4)

    found = run(deploy(one(copy_count=5, cpus=2.0), max_instance_count=10), calls(), 600.0, fewer)
    assert len(found.instances) == 3
    assert (found.instances["ended"] == "").all()


def test_a_copy_that_waits_gets_the_room_of_one_that_goes() -> None:
    """Two copies of a fill the instance; one goes once it has answered, at 51 s, and b's copy starts in its place."""
    other = serving.Component("b", MODEL, weight=0.0, cpus=2.0)

    def make_room(endpoint, sim):
        yield sim.env.timeout(50.5)
        endpoint.scale_to(1, component="a")

    found = run(deploy(one(copy_count=2, cpus=2.0), other), calls(50.0, 50.0), 200.0, make_room)
    assert told(found, "copy gone")[0][0] == pytest.approx(51.0)
    assert told(found, "copy starting")[-1][0] == pytest.approx(51.0)
    assert told(found, "copy in service")[-1][0] == pytest.approx(51.0 + 15.0)


def test_the_time_to_give_an_instance_back_begins_anew_with_each_idleness() -> None:
    """Empty from 10 s on, used again from 200 to 250 s: with 300 s to wait it goes at 550 s, not at 310 s."""

    def use(endpoint, sim):
        for moment, copies in ((10.0, 0), (200.0, 1), (250.0, 0)):
            yield sim.env.timeout(moment - sim.env.now)
            endpoint.scale_to(copies)

    found = run(deploy(one(), min_instance_count=0, idle_release_s=300.0), calls(), 900.0, use)
    assert found.instances["draining_s"].iloc[0] == pytest.approx(550.0)


def test_scaling_follows_the_load_and_an_empty_instance_is_given_back() -> None:
    busy = workload.from_trace(pd.DataFrame({"t": np.arange(0.0, 900.0, 0.25)}), time="t")  # four in work
    scaled = deploy(one(cpus=2.0, scaling=FOLLOW), min_instance_count=1, max_instance_count=4, idle_release_s=300.0)
    found = run(scaled, busy, 5400.0)
    timeline = found.timeline()
    assert timeline["CopyWorkers"].max() == 4
    assert timeline["Instances"].max() == 2
    assert timeline["CopyWorkers"].iloc[-1] == 0
    assert timeline["Instances"].iloc[-1] == 1
    assert timeline["DesiredInstances"].iloc[-1] == 1


def test_a_copy_that_goes_answers_what_it_has() -> None:
    def shrink(endpoint, sim):
        yield sim.env.timeout(0.5)
        endpoint.scale_to(0)

    found = run(deploy(one()), calls(0.2, 0.7), 60.0, shrink)
    assert found.requests["status"].tolist() == ["completed", "completed", "failed"]
    assert told(found, "copy gone")[0][0] == pytest.approx(2.0)


def test_an_instance_that_dies_fails_its_calls_and_its_copies_start_elsewhere() -> None:
    def crash(endpoint, sim):
        yield sim.env.timeout(50.5)
        endpoint.fleet.crash(endpoint.instances[0])

    found = run(deploy(one(copy_count=1)), calls(50.0, 400.0), 600.0, crash)
    assert found.requests["status"].tolist() == ["completed", "failed", "completed"]
    assert told(found, "copy in service")[-1][0] == pytest.approx(50.5 + 100 + 10 + 15, abs=0.01)


def test_record_and_streams(tmp_path: Path) -> None:
    deployment = deploy(one(copy_count=2), serving.Component("b", MODEL, copy_count=1))
    first, again = (sl.simulate(deployment, workload.poisson(rate=1), hours=0.5, seed=3) for _ in range(2))
    pd.testing.assert_frame_equal(first.requests, again.requests)
    first.check()
    first.save(tmp_path / "a.run")
    pd.testing.assert_frame_equal(sl.Run.load(tmp_path / "a.run").timeline(), first.timeline())
    assert 0 < first.summary()["utilization"] < 1
    assert sl.from_json(sl.to_json(deployment)) == deployment
    named = set(first.assumptions["parameter"])
    assert "which copy goes" in named


@pytest.mark.parametrize("seed", range(25))
def test_room_is_never_exceeded_whatever_happens(seed: int) -> None:
    """Random components, commands and crashes; at each minute the copies on an instance fit it, and the run checks."""
    rng = np.random.default_rng(seed)
    parts = [
        serving.Component(
            f"c{k}",
            sl.ModelProfile(f"m{k}", sl.exponential(0.5), load_seconds=1),
            cpus=float(rng.choice([0.25, 0.5, 1.0, 2.0])),
            memory_mb=float(rng.integers(128, 3000)),
            copy_count=int(rng.integers(0, 4)),
            workers=int(rng.integers(1, 3)),
            scaling=(WAKE, FOLLOW) if rng.random() < 0.5 else None,
        )
        for k in range(3)
    ]
    deployment = deploy(*parts, min_instance_count=0, max_instance_count=4, idle_release_s=300.0)
    sim = sl.Simulation(seed=seed)
    endpoint = sim.deploy(deployment, workload.bursty(0.2, 3.0, 300.0, 120.0))

    def meddle(sim: sl.Simulation):
        while True:
            yield sim.env.timeout(float(rng.exponential(120.0)))
            endpoint.scale_to(int(rng.integers(0, 5)), component=f"c{rng.integers(3)}")
            alive = [i for i in endpoint.instances if i.serving]
            if alive and rng.random() < 0.2:
                endpoint.fleet.crash(alive[0])
            for machine in endpoint.machines.values():
                used = np.sum([(parts[c.component].cpus, parts[c.component].memory_mb) for c in machine.copies], axis=0)
                assert not machine.copies or (used <= np.array([4.0, 8192.0]) + 1e-9).all()

    sim.start(meddle)
    sim.run(until_s=2400.0)
    endpoint.run.check()
    assert len([i for i in endpoint.instances if i.staying]) <= 4


# --- what cannot be ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: serving.InferenceComponent([]), "one or more are needed"),
        (lambda: deploy(one(), one()), "each with its own name"),
        (lambda: deploy(one(weight=0)), "weight greater than 0"),
        (lambda: deploy(one(cpus=8.0)), "needs cpus=8, and an instance has 4"),
        (lambda: deploy(one(memory_mb=9000.0)), "needs memory_mb=9000"),
        (lambda: deploy(one(accelerators=1)), "needs accelerators=1"),
        (lambda: one(cpus=0.1), "cpus=0.1"),
        (lambda: one(memory_mb=100.0), "memory_mb=100"),
        (lambda: one(copy_count=-1), "copy_count=-1"),
        (lambda: one(workers=0), "workers=0"),
        (lambda: one(scaling=serving.TargetTracking(100)), "metric='InvocationsPerInstance' is not one of inference"),
        (lambda: serving.RealTime(MODEL, scaling=FOLLOW), "ConcurrentRequestsPerCopy"),
        (lambda: deploy(one(), placement="PACK"), "placement='PACK'"),
        (lambda: deploy(one(), initial_instance_count=3, max_instance_count=2), "initial_instance_count=3"),
        (lambda: deploy(one(), min_instance_count=2), "initial_instance_count=1"),
        (lambda: deploy(one(), min_instance_count=3, max_instance_count=2), "min_instance_count=3"),
        (lambda: deploy(MODEL), "components[0]"),
        (lambda: run(deploy(one(), instance_type="ml.m5.lrge"), calls(), 10.0), "instance_type='ml.m5.lrge'"),
        (lambda: serving.Component("", MODEL), "name=''"),
    ],
)
def test_what_cannot_be_is_one_sentence(call: Callable[[], object], named: str) -> None:
    with pytest.raises(sl.ParameterError) as caught:
        call()
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)
