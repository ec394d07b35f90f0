"""Where things meet: ends on the minute, looks and commands at one instant, fresh sessions, fleets of nothing."""

import dataclasses
import json
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
import simpy

import simlib as sl
from simlib import serving, workload

SECOND = sl.ModelProfile("second", service=sl.constant(1.0))
HALF = sl.ModelProfile("half", service=sl.exponential(0.5))


def every(times: list[float]) -> workload.Workload:
    return workload.from_trace(pd.DataFrame({"t": times}), time="t")


@pytest.mark.parametrize("log", ["exact", "folded"])
@pytest.mark.parametrize("last", [59.0, 3599.0])
def test_what_ends_with_the_run_on_the_minute_is_counted(log: str, last: float) -> None:
    run = sl.simulate(serving.RealTime(SECOND), every([0.0, 10.0, last]), hours=(last + 1) / 3600, log=log)
    run.check()
    assert run.summary()["completed"] == 3
    assert len(run.timeline()) == (last + 1) // 60
    quick = sl.simulate(serving.Serverless(SECOND, max_concurrency=2), every([0.0, 10.0, last]), hours=1.5, log=log)
    quick.check()


def test_a_look_stays_as_it_was_when_a_command_follows_at_its_instant() -> None:
    sim = sl.Simulation(seed=1)
    endpoint = sim.deploy(serving.RealTime(HALF, initial_instance_count=3), workload.poisson(rate=5))
    sim.run(hours=1)
    before = endpoint.run
    told = before.requests.copy()
    endpoint.crash(0)
    before.check()
    pd.testing.assert_frame_equal(before.requests, told)
    endpoint.run.check()


def test_looking_does_not_decide_who_is_idlest() -> None:
    life = serving.InstanceLife(scale_in_takes="idlest")

    def taken(look: bool) -> list[str]:
        sim = sl.Simulation(seed=3)
        deployment = serving.RealTime(HALF, initial_instance_count=2, instance_life=life)
        endpoint = sim.deploy(deployment, workload.poisson(rate=3))

        def story(sim: sl.Simulation) -> Iterator[simpy.Event]:
            yield sim.env.timeout(100.3)
            if look:
                _ = endpoint.run
            endpoint.scale_to(1)

        sim.start(story)
        sim.run(until_s=300.0)
        return endpoint.run.instances["ended"].tolist()

    assert taken(look=True) == taken(look=False)


def test_a_run_and_its_config_are_read_in_a_fresh_session(tmp_path) -> None:
    run = sl.simulate(serving.RealTime(HALF), workload.poisson(rate=1), hours=0.1)
    run.save(tmp_path / "a.run")
    (tmp_path / "a.json").write_text(sl.to_json(serving.RealTime(HALF)), encoding="utf-8")
    code = (
        "import json, pathlib, sys, simlib as sl; folder = pathlib.Path(sys.argv[1]); "
        "config = sl.from_json((folder / 'a.json').read_text(encoding='utf-8')); "
        "print(json.dumps([sl.Run.load(folder / 'a.run').summary()['completed'], type(config).__name__]))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [run.summary()["completed"], "RealTime"]


def test_provisioned_containers_come_as_last_asked_for() -> None:
    def kept(*asked: tuple[float, int]) -> list[tuple[float, int]]:
        sim = sl.Simulation(seed=1)
        endpoint = sim.deploy(serving.Serverless(HALF, provisioning_s=60.0), workload.poisson(rate=1))

        def story(sim: sl.Simulation) -> Iterator[simpy.Event]:
            for at, containers in asked:
                yield sim.env.timeout(at - sim.env.now)
                endpoint.provision(containers)

        sim.start(story)
        sim.run(until_s=400.0)
        return endpoint.provisioned[1:]

    assert kept((100, 3), (130, 1)) == [(160.0, 1)]  # less while it comes up
    assert kept((100, 3), (110, 0), (150, 3)) == [(210.0, 3)]  # given up, then asked for anew
    assert kept((100, 2), (120, 5), (300, 1)) == [(160.0, 2), (180.0, 5), (300.0, 1)]


def test_a_warm_up_that_cannot_be_left_out_is_told_before_the_work() -> None:
    with pytest.raises(sl.ParameterError, match="whole hours"):
        sl.simulate(serving.RealTime(HALF), workload.poisson(rate=1), hours=2, warm_up_hours=0.25, log="folded")


def test_the_first_minute_of_a_deployment_in_mid_minute_counts() -> None:
    sim = sl.Simulation(seed=1)
    sim.run(until_s=90.0)
    endpoint = sim.deploy(serving.Serverless(SECOND), every([0.0, 92.0, 95.0, 130.0]))
    sim.run(until_s=150.0)
    assert endpoint.run.summary()["cold_start_rate"] == pytest.approx(1 / 3)
    assert endpoint.run.summary()["utilization"] > 0
    assert endpoint.run.timeline().index[0] == 60.0


def test_an_endpoint_without_instances_is_still_one_of_instances() -> None:
    run = sl.simulate(serving.RealTime(HALF, initial_instance_count=0), workload.poisson(rate=1), hours=0.1)
    run.check()
    assert run.timeline()["Instances"].tolist() == [0] * 6
    assert run.summary()["error_rate"] == 1.0


def test_a_shadow_s_events_are_its_own() -> None:
    deployment = serving.RealTime(HALF, shadow=serving.Variant("dark", HALF, initial_instance_count=2))
    run = sl.simulate(deployment, workload.poisson(rate=1), hours=0.1)
    assert run.shadow is not None
    assert (run.events["kind"] == "in service").sum() == 1
    assert (run.shadow.events["kind"] == "in service").sum() == 2


def test_a_deployment_that_is_refused_leaves_nothing_behind() -> None:
    sim = sl.Simulation()
    dark = serving.Variant("dark", HALF, instance_type="ml.no.such")
    with pytest.raises(sl.ParameterError, match=r"ml\.no\.such"):
        sim.deploy(serving.RealTime(HALF, shadow=dark), workload.poisson(rate=1))
    assert sim.deploy(serving.RealTime(HALF), workload.poisson(rate=1)).run.events["kind"].tolist() == [
        "launching",
        "in service",
    ]


def test_what_belongs_to_variants_is_not_taken_from_elsewhere() -> None:
    blue = serving.Variant("blue", HALF)
    with pytest.raises(sl.ParameterError, match="workers=4 is each Variant's own"):
        serving.RealTime(variants=[blue], workers=4)


def test_a_tampered_causality_is_seen() -> None:
    run = sl.simulate(serving.RealTime(HALF), workload.poisson(rate=1), hours=0.1)
    log = run.snapshot.requests
    assert log is not None
    late, missing = log.finish.copy(), log.start.copy()
    late[0], missing[0] = 1e9, np.nan
    for changed, words in (
        (log._replace(finish=late), "after the end"),
        (log._replace(start=missing), "never started"),
    ):
        with pytest.raises(AssertionError, match=words):
            sl.Run(dataclasses.replace(run.snapshot, requests=changed)).check()
