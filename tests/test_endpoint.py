"""The public Endpoint on one clock: instances that come and go, weights, retries, and what is billed for them."""

import math

import numpy as np
import pytest

import simlib as sl
from simlib import serving, workload

LIFE = serving.InstanceLife(launch=sl.constant(100.0), container_start=sl.constant(20.0), drain_s=30.0)
MODEL = sl.ModelProfile("tagger", service=sl.constant(0.5), size_mb=300, load_seconds=7)
READY_S = 20 + 300 / 100 + 7  # container, download, load
CALLS = workload.poisson(rate=3, name="calls")


def deployed(
    *, model: sl.ModelProfile = MODEL, calls: workload.Workload = CALLS, cold: bool = False, **options: object
):
    """A simulation and the endpoint on it."""
    sim = sl.Simulation(seed=5)
    if "variants" not in options:
        options = {"model": model, "initial_instance_count": 2, **options}
    options = {"instance_life": LIFE, **options}
    return sim, sim.deploy(serving.RealTime(**options), calls, from_cold=cold)


def at(sim: sl.Simulation, *orders) -> None:
    """Give each order (seconds, what to do) on the clock."""

    def story(_):
        for time_s, order in orders:
            yield sim.env.timeout(time_s - sim.env.now)
            order()

    sim.start(story)


def life(run: sl.Run, number: int) -> dict[str, float]:
    return run.instances.set_index("number").loc[number].to_dict()


# --- coming and going -----------------------------------------------------------------------------------------------


def test_initial_instances_serve_at_once():
    sim, endpoint = deployed()
    sim.run(until_s=60)
    for number in (0, 1):
        found = life(endpoint.run, number)
        assert found["launched_s"] == found["machine_up_s"] == found["in_service_s"] == 0
        assert found["gone_s"] == math.inf


@pytest.mark.parametrize("routing", ["RANDOM", "LEAST_OUTSTANDING_REQUESTS", "SHARED_QUEUE"])
def test_a_launched_instance_serves_when_it_is_ready(routing):
    sim, endpoint = deployed(routing=routing)
    at(sim, (600.0, lambda: endpoint.scale_to(3)))
    sim.run(hours=0.5)
    run = endpoint.run
    run.check()
    found = life(run, 2)
    assert (found["launched_s"], found["machine_up_s"], found["in_service_s"]) == (600, 700, 700 + READY_S)
    starts = run.requests["start_s"][run.requests["instance"] == 2]
    assert starts.min() >= 700 + READY_S
    assert starts.min() < 700 + READY_S + 10
    assert run.timeline()["Instances"].tolist() == [2] * 12 + [3] * 18
    assert run.timeline()["DesiredInstances"].tolist() == [2] * 10 + [3] * 20
    assert run.events["kind"].tolist()[-4:] == ["capacity", "launching", "machine up", "in service"]


def test_a_draining_instance_finishes_what_it_has():
    slow = sl.ModelProfile("slow", service=sl.constant(4.0))
    sim, endpoint = deployed(model=slow, calls=workload.poisson(rate=0.4), routing="LEAST_OUTSTANDING_REQUESTS")
    at(sim, (600.0, lambda: endpoint.drain(1)))
    sim.run(hours=0.5)
    run = endpoint.run
    run.check()
    found = life(run, 1)
    assert (found["draining_s"], found["gone_s"], found["ended"]) == (600, 630, "drained")
    mine = run.requests[run.requests["instance"] == 1]
    assert mine["arrival_s"].max() < 600
    assert (mine["status"] == "completed").all()
    assert mine["finish_s"].max() > 600  # it was at work when it was told to go
    assert endpoint.desired == [1]


def test_what_is_not_done_in_thirty_seconds_fails():
    slow = sl.ModelProfile("slow", service=sl.constant(20.0))
    sim, endpoint = deployed(model=slow, calls=workload.poisson(rate=0.4), routing="LEAST_OUTSTANDING_REQUESTS")
    at(sim, (600.0, lambda: endpoint.drain(1)))
    sim.run(hours=0.5)
    run = endpoint.run
    run.check()
    failed = run.requests[run.requests["status"] == "failed"]
    assert len(failed) > 0
    assert (failed["finish_s"] == 630).all()
    assert (failed["instance"] == 1).all()


def test_scaling_in_takes_the_newest_and_cancels_who_is_on_the_way():
    sim, endpoint = deployed()
    at(sim, (60.0, lambda: endpoint.scale_to(5)), (90.0, lambda: endpoint.scale_to(1)))
    sim.run(hours=0.25)
    run = endpoint.run
    run.check()
    assert [life(run, n)["ended"] for n in range(5)] == ["", "drained", "cancelled", "cancelled", "cancelled"]
    assert run.timeline()["Instances"].tolist() == [2] + [1] * 14
    assert run.invoice["quantity"].iloc[0] == (900 + 120) / 3600  # no machine of the cancelled was ever up


def test_a_machine_that_was_up_is_billed_though_it_never_served():
    sim, endpoint = deployed()
    at(sim, (60.0, lambda: endpoint.scale_to(3)), (170.0, lambda: endpoint.scale_to(2)))
    sim.run(hours=0.25)
    assert life(endpoint.run, 2)["machine_up_s"] == 160
    assert endpoint.run.invoice["quantity"].iloc[0] == (2 * 900 + 10) / 3600


@pytest.mark.parametrize(("takes", "gone"), [("newest", 2), ("oldest", 0)])
def test_which_instance_a_scale_in_takes(takes, gone):
    of = serving.InstanceLife(launch=sl.constant(1.0), container_start=sl.constant(1.0), scale_in_takes=takes)
    sim, endpoint = deployed(initial_instance_count=3, instance_life=of)
    at(sim, (60.0, lambda: endpoint.scale_to(2)))
    sim.run(until_s=120)
    assert endpoint.run.instances.set_index("number")["ended"][lambda ended: ended != ""].index.tolist() == [gone]


def test_a_crash_fails_what_is_on_it_and_another_comes():
    slow = sl.ModelProfile("slow", service=sl.constant(3.0))
    sim, endpoint = deployed(model=slow, calls=workload.poisson(rate=0.8), routing="LEAST_OUTSTANDING_REQUESTS")
    at(sim, (600.0, lambda: endpoint.crash(0)))
    sim.run(hours=0.5)
    run = endpoint.run
    run.check()
    failed = run.requests[run.requests["status"] == "failed"]
    assert len(failed) >= 1
    assert (failed["finish_s"] == 600).all()
    assert (failed["instance"] == 0).all()
    assert life(run, 0)["ended"] == "crashed"
    assert life(run, 2)["launched_s"] == 600
    assert (endpoint.desired, endpoint.in_service(0)) == ([2], 2)


def test_crashes_come_as_a_poisson_process():
    """Two instances that crash 48 times a day for 10 days: 1 crash each half hour in service."""
    of = serving.InstanceLife(launch=sl.constant(1.0), container_start=sl.constant(1.0), crash_rate_per_day=48)
    quiet = workload.poisson(rate=0.001)
    sim, endpoint = deployed(instance_life=of, calls=quiet, model=sl.ModelProfile("m", sl.constant(0.1), size_mb=1))
    sim.run(days=10)
    run = endpoint.run
    run.check()
    lived = run.instances["gone_s"].clip(upper=run.snapshot.end_s) - run.instances["in_service_s"]
    crashes, expected = (run.instances["ended"] == "crashed").sum(), lived.clip(lower=0).sum() * 48 / 86400
    assert abs(crashes - expected) < 3.3 * math.sqrt(expected)  # 1 in 1000, and seeded


def test_an_unhealthy_container_is_replaced_again_and_again():
    of = serving.InstanceLife(
        launch=sl.constant(10.0), container_start=sl.constant(100.0), startup_health_check_timeout_s=60.0
    )
    sim, endpoint = deployed(instance_life=of, initial_instance_count=1, cold=True)
    sim.run(until_s=300)
    run = endpoint.run
    run.check()
    assert run.instances["ended"].tolist() == ["not healthy"] * 4 + [""]
    assert (run.timeline()["Instances"] == 0).all()
    assert (run.requests["status"] == "rejected").mean() > 0.9


def test_the_bill_of_a_life_is_the_time_its_machine_was_up():
    sim, endpoint = deployed()
    at(
        sim,
        (600.0, lambda: endpoint.scale_to(3)),
        (1200.0, lambda: endpoint.crash(0)),
        (1500.0, lambda: endpoint.drain(1)),
    )
    sim.run(hours=0.5)
    run = endpoint.run
    run.check()
    lives = run.instances
    up = np.minimum(lives["gone_s"], 1800) - lives["machine_up_s"]
    assert up.tolist() == [1200, 1530, 1100, 500]
    hours = run.invoice.set_index("item")["quantity"]
    assert hours["ml.m5.large instances"] == pytest.approx(up.sum() / 3600)
    assert hours["Storage"] == pytest.approx(30 * up.sum() / 3600 / 730)
    assert run.summary()["usd"] == run.invoice["subtotal"].sum()


def test_an_endpoint_may_lose_all_its_instances_and_come_back():
    sim, endpoint = deployed()
    at(sim, (300.0, lambda: endpoint.scale_to(0)), (900.0, lambda: endpoint.scale_to(2)))
    sim.run(hours=0.5)
    run = endpoint.run
    run.check()
    between = run.requests[(run.requests["arrival_s"] >= 300) & (run.requests["arrival_s"] < 1000 + READY_S)]
    assert not (between["status"] == "completed").any()
    assert (run.requests["status"][run.requests["arrival_s"] > 1100] == "completed").mean() > 0.9


@pytest.mark.parametrize("order", ["drain", "crash"])
def test_only_who_serves_can_be_sent_away(order):
    sim, endpoint = deployed()
    at(sim, (60.0, lambda: endpoint.drain(1)))
    sim.run(until_s=120)
    for number in (1, 7):
        with pytest.raises(sl.ParameterError, match=rf"no instance {number} in service; it has \[0\]"):
            getattr(endpoint, order)(number)


def test_a_decision_sees_nothing_later_than_now():
    """Two stories up to the same instant: what happens after cannot change what was seen."""
    seen = []
    for later in (3, 1):
        sim, endpoint = deployed()
        at(sim, (300.0, lambda e=endpoint: seen.append(e.run)), (301.0, lambda e=endpoint, n=later: e.scale_to(n)))
        sim.run(until_s=600)
    one, other = (run.requests for run in seen)
    assert one.equals(other)
    assert not (one["finish_s"] > 300).any()
    assert not (one["start_s"] > 300).any()


# --- variants -------------------------------------------------------------------------------------------------------

BLUE = serving.Variant("blue", MODEL, weight=9, initial_instance_count=2)
GREEN = serving.Variant("green", sl.ModelProfile("tagger 2", service=sl.constant(0.3)), workers=2)


def shares(run: sl.Run, begin_s: float, end_s: float) -> float:
    """Share of the requests of a window that went to green, and how far off it may be by chance (3.3 deviations)."""
    window = run.requests[(run.requests["arrival_s"] >= begin_s) & (run.requests["arrival_s"] < end_s)]
    return float((window["variant"] == "green").mean())


def test_requests_go_by_weight():
    sim, endpoint = deployed(variants=[BLUE, GREEN])
    sim.run(hours=1)
    run = endpoint.run
    run.check()
    assert abs(shares(run, 0, 3600) - 0.1) < 3.3 * math.sqrt(0.1 * 0.9 / len(run.requests))
    assert run.instances["variant"].tolist() == ["blue", "blue", "green"]
    worked = run.requests[run.requests["status"] == "completed"]
    took = (worked["finish_s"] - worked["start_s"]).groupby(worked["variant"], observed=True).mean()
    assert took["blue"] == pytest.approx(0.5)
    assert took["green"] == pytest.approx(0.3)


def test_weights_change_on_the_clock():
    sim, endpoint = deployed(variants=[BLUE, GREEN])
    at(
        sim,
        (1200.0, lambda: endpoint.set_weights({"green": 9})),
        (2400.0, lambda: endpoint.set_weights({"blue": 0, "green": 1})),
    )
    sim.run(hours=1)
    run = endpoint.run
    run.check()
    for begin, share in ((0, 0.1), (1200, 0.5), (2400, 1.0)):
        assert abs(shares(run, begin, begin + 1200) - share) <= 3.3 * math.sqrt(share * (1 - share) / 3600)
    assert "blue=9, green=9" in run.events["detail"].tolist()


def test_weights_move_only_who_must_move():
    """One number a request chooses its variant: at 10 % more for green nobody leaves green."""
    runs = []
    for weight in (1, 3):
        sim, endpoint = deployed(variants=[BLUE, serving.Variant("green", GREEN.model, weight=weight)])
        sim.run(hours=0.5)
        runs.append(endpoint.run.requests)
    green = [run["variant"] == "green" for run in runs]
    assert np.array_equal(runs[0]["arrival_s"], runs[1]["arrival_s"])
    assert (green[1] | ~green[0]).all()


def test_each_variant_has_its_own_line_on_the_bill():
    sim, endpoint = deployed(variants=[BLUE, GREEN])
    sim.run(hours=1)
    hours = endpoint.run.invoice.set_index("item")["quantity"]
    assert hours["ml.m5.large instances (blue)"] == 2
    assert hours["ml.m5.large instances (green)"] == 1


def test_wrong_weights_are_refused():
    sim, endpoint = deployed(variants=[BLUE, GREEN])
    for weights, said in (
        ({"grene": 1}, "did you mean 'green'"),
        ({"green": -1}, "greater than or equal to 0"),
        ({"green": "1"}, "number"),
        ({"green": math.nan}, "0|finite"),
        ({"green": 0, "blue": 0}, "at least one variant"),
    ):
        with pytest.raises(sl.ParameterError, match=said):
            endpoint.set_weights(weights)
    assert sim.env.now == 0


# --- retries --------------------------------------------------------------------------------------------------------


def test_a_refused_caller_tries_again_later():
    retry = serving.Retry(3, base_s=2.0, factor=3.0, jitter=False)
    slow = sl.ModelProfile("slow", service=sl.constant(1.0))
    refused = {"initial_instance_count": 1, "queue_limit": 0, "model": slow}
    sim, endpoint = deployed(retry=retry, **refused)
    sim.run(hours=0.5)
    run = endpoint.run
    run.check()
    log = run.requests
    rejected = log[log["status"] == "rejected"]
    assert (rejected["attempts"] == 3).all()
    np.testing.assert_allclose(rejected["finish_s"] - rejected["arrival_s"], 2 + 6, atol=1e-9)
    second = log[(log["status"] == "completed") & (log["attempts"] == 2)]
    np.testing.assert_allclose(second["start_s"] - second["arrival_s"], 2, atol=1e-9)
    # attempts that came: each request's, and none of who still waits to try again
    inside = log["status"] == "inside"
    assert (
        run.timeline()["Invocations"].sum()
        == log["attempts"][~inside].sum() + inside.sum() + (log["attempts"][inside] - 1).sum()
    )


def test_jitter_shortens_the_wait_at_random():
    retry = serving.Retry(2, base_s=10.0)
    slow = sl.ModelProfile("slow", service=sl.constant(1.0))
    sim, endpoint = deployed(retry=retry, initial_instance_count=1, queue_limit=0, model=slow)
    sim.run(hours=0.5)
    log = endpoint.run.requests
    waits = (log["finish_s"] - log["arrival_s"])[(log["status"] == "rejected") & (log["attempts"] == 2)]
    assert len(waits) > 500
    assert waits.min() >= 0
    assert waits.max() < 10
    # full jitter is uniform; those who got through are missing, and time of their try does not matter for it
    assert waits.mean() == pytest.approx(5, abs=3.3 * 10 / math.sqrt(12 * len(waits)))


def test_only_the_statuses_named_are_retried():
    slow = sl.ModelProfile("slow", service=sl.constant(1.0))
    sim, endpoint = deployed(
        retry=serving.Retry(5, statuses=(429,)), initial_instance_count=1, queue_limit=0, model=slow
    )
    sim.run(hours=0.2)
    assert (endpoint.run.requests["attempts"] == 1).all()


def test_what_scaling_takes_for_granted_is_listed():
    policy = serving.TargetTracking(target=600, max_capacity=3)
    endpoint = serving.RealTime(MODEL, scaling=policy)
    run = sl.simulate(endpoint, workload.poisson(rate=1), hours=0.1)
    listed = {"scaling: wanted", "scaling: alarms", "scaling: metric_delay_s", "scaling: no_calls"}
    assert listed <= set(run.assumptions["parameter"])
    endpoint = serving.RealTime(MODEL, scaling=serving.ScheduledScaling("rate(1 hour)", min_capacity=1))
    run = sl.simulate(endpoint, workload.poisson(rate=1), hours=0.1)
    assert not listed & set(run.assumptions["parameter"])
