"""Asynchronous endpoints: the five steps, the queue's theory, scaling to zero and back, the bill, and wrong input."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import simlib as sl
from simlib import experiments, record, serving, workload

NOTHING = sl.constant(0.0)
AT_ONCE = {"upload": NOTHING, "download": NOTHING}
LIFE = serving.InstanceLife(launch=sl.constant(100.0), container_start=sl.constant(20.0), drain_s=30.0)
MODEL = sl.ModelProfile("segmenter", service=sl.constant(300.0), size_mb=300, load_seconds=7)
READY_S = 100 + 20 + 300 / 100 + 7  # launch, container, download, load


def calls_at(*times: float) -> workload.Workload:
    """Calls at these seconds; the first should be 0."""
    return workload.from_trace(pd.DataFrame({"time": times}), time="time", name="calls")


def deployed(calls: workload.Workload, **options: object):
    """A simulation and an asynchronous endpoint on it."""
    sim = sl.Simulation(seed=5)
    options = {"model": MODEL, "instance_life": LIFE, **AT_ONCE, **options}
    return sim, sim.deploy(serving.Asynchronous(**options), calls)


def at(sim: sl.Simulation, *orders) -> None:
    """Give each order (seconds, what to do) on the clock."""

    def story(_):
        for time_s, order in orders:
            yield sim.env.timeout(time_s - sim.env.now)
            order()

    sim.start(story)


def interval(values: list[float]) -> tuple[float, float]:
    """Student's 99 % interval of a mean."""
    half = stats.t.ppf(0.995, len(values) - 1) * np.std(values, ddof=1) / math.sqrt(len(values))
    return float(np.mean(values) - half), float(np.mean(values) + half)


# --- five steps -------------------------------------------------------------------------------------------------------


def test_one_request_is_followed_through_five_steps():
    sim, endpoint = deployed(calls_at(0.0, 10.0), download=sl.constant(4.0), upload=sl.constant(2.5))
    sim.run(hours=1)
    run = endpoint.run
    run.check()
    story = run.story(1)
    assert story["step"].tolist() == [
        "accepted (202)",
        "in the queue",
        "processing on instance 0",
        "result in S3",
        "notification",
    ]
    # the slot is free after the model's 300 s; transfers only add to a request's own time
    assert story["from_s"].tolist() == [10, 10, 300, 604, 606.5]
    assert story["to_s"].tolist() == [10, 300, 604, 606.5, 606.5]
    assert "s3://endpoint-1/output/endpoint-1-1.out" in story["what"][0]
    assert story["what"][4] == "SNS, success topic"
    assert run.notifications["time_s"].tolist() == [306.5, 606.5]
    assert run.notifications["location"][1] == "s3://endpoint-1/output/endpoint-1-1.out"


def test_the_story_s_times_are_the_ones_that_were_simulated():
    """Of every request, of a deployment that begins in mid-run, with laws for everything."""
    model = sl.ModelProfile("m", service=sl.gamma(20.0, 0.7))
    deployment = serving.Asynchronous(model, initial_instance_count=2, transfer_holds_slot=True, speed=2.0)
    sim = sl.Simulation(seed=3, replication=2)
    sim.run(hours=1)
    endpoint = sim.deploy(deployment, workload.poisson(rate=0.15))
    sim.run(hours=1)
    run = endpoint.run
    log = run.requests
    assert log["arrival_s"].min() >= 3600
    assert (log["status"] == "completed").sum() > 400
    for row in [*range(0, len(log), 40), len(log) - 1]:
        story = run.story(row).set_index("step")
        assert story.loc["accepted (202)", "from_s"] == log["arrival_s"][row]
        if log["status"][row] == "completed":
            written = story.loc["result in S3"]
            uploaded = written["to_s"] - written["from_s"]
            assert written["to_s"] == log["finish_s"][row]
            assert 0.01 < uploaded < 2  # what is left of the finish is the time to write: a lognormal of mean 0.15 s


def test_transfers_hold_the_slot_where_told_to():
    sim, endpoint = deployed(
        calls_at(0.0, 10.0), download=sl.constant(4.0), upload=sl.constant(2.5), transfer_holds_slot=True
    )
    sim.run(hours=1)
    assert endpoint.run.requests["start_s"].tolist() == [0, 306.5]
    assert endpoint.run.requests["finish_s"].tolist() == [306.5, 613]


def test_an_instance_works_on_as_many_as_it_has_slots():
    sim, endpoint = deployed(calls_at(*range(5)), max_concurrent_invocations_per_instance=2)
    sim.run(hours=1)
    assert endpoint.run.requests["start_s"].tolist() == [0, 1, 300, 301, 600]


def test_nothing_is_refused():
    run = sl.simulate(serving.Asynchronous(MODEL), workload.poisson(rate=1), hours=5, seed=1)
    run.check()
    assert run.summary()["requests"] > 17_000
    assert set(run.requests["status"].astype(str)) == {"inside", "completed"}


# --- time limits ------------------------------------------------------------------------------------------------------


def test_a_model_slower_than_the_default_time_out_never_answers():
    """The default is 900 s; the same input takes as long every time, so trying again only holds the instance."""
    slow = sl.ModelProfile("slow", service=sl.constant(1000.0))
    for retries in (0, 2):
        sim, endpoint = deployed(calls_at(0.0, 1.0), model=slow, max_retries=retries)
        sim.run(hours=3)
        run = endpoint.run
        run.check()
        held = 900.0 * (1 + retries)
        assert run.requests["status"].tolist() == ["timed_out"] * 2
        assert run.requests["attempts"].tolist() == [1 + retries] * 2
        assert run.requests["finish_s"].tolist() == [held, 2 * held]
        busy = run.snapshot.tally[0, :, record.BUSY_NS].sum() / 1e9
        assert busy == pytest.approx(2 * held)
        story = run.story(1)
        assert "needs 1000 s and is cut off at 900" in story["what"][2]
        assert story["what"][3] == "s3://endpoint-1/failure/endpoint-1-1.out"
        assert run.notifications["topic"].tolist() == ["error", "error"]
    assert sl.simulate(serving.Asynchronous(slow, invocation_timeout_s=1000), calls_at(0.0), hours=1).summary()[
        "completed"
    ]


def test_attempts_are_counted_as_they_begin():
    slow = sl.ModelProfile("slow", service=sl.constant(1000.0))
    sim, endpoint = deployed(calls_at(0.0), model=slow, max_retries=3, invocation_timeout_s=100)
    for hundreds in range(1, 4):
        sim.run(until_s=100.0 * hundreds + 50)
        assert endpoint.run.requests["attempts"].tolist() == [hundreds + 1]
    sim.run(until_s=1000)
    assert endpoint.run.requests[["attempts", "finish_s"]].to_numpy().tolist() == [[4, 400]]


def test_what_waits_too_long_expires_even_without_an_instance():
    sim, endpoint = deployed(calls_at(0.0, 100.0, 5000.0), initial_instance_count=0, request_ttl_s=3600)
    sim.run(hours=2)
    run = endpoint.run
    run.check()
    assert run.requests["status"].tolist() == ["expired", "expired", "inside"]
    assert run.requests["finish_s"].tolist()[:2] == [3600, 3700]
    assert run.timeline()["ExpiredRequests"].sum() == 2
    assert run.notifications["topic"].tolist() == ["error", "error"]
    assert "expired after 3600 s" in run.story(0)["what"][1]
    assert run.story(2)["step"].tolist() == ["accepted (202)", "in the queue"]
    assert run.summary()["error_rate"] == 1
    # six hours, unless told otherwise
    sim, endpoint = deployed(calls_at(0.0), initial_instance_count=0)
    sim.run(hours=7)
    assert "expired after 21,600 s" in endpoint.run.story(0)["what"][1]


def test_time_to_live_ends_with_the_start():
    sim, endpoint = deployed(calls_at(0.0, 1.0), request_ttl_s=299.5)
    sim.run(hours=1)
    assert endpoint.run.requests["status"].tolist() == ["completed", "completed"]
    sim, endpoint = deployed(calls_at(0.0, 1.0), request_ttl_s=298.5)
    sim.run(hours=1)
    assert endpoint.run.requests["status"].tolist() == ["completed", "expired"]


def test_traps_happen_as_events():
    """An architecture firm's models take 15 minutes each, and the default time-out is 15 minutes."""
    mean = sl.ModelProfile("3d", service=sl.lognormal(900, 0.3), request_kb=200_000)
    sim, endpoint = deployed(workload.nightly(50, at_hour=0, within_s=60), model=mean, request_ttl_s=7200)
    sim.run(hours=12)
    events = endpoint.run.events.set_index("kind")
    assert events.loc["time limit", "detail"] == "the model takes 900 s on average, and is cut off at 900 s"
    counts = endpoint.run.requests["status"].value_counts()
    for kind, status in (("timed out", "timed_out"), ("expired", "expired")):
        first = endpoint.run.requests.query("status == @status")["finish_s"].min()
        assert events.loc[kind, "time_s"] == 60 * (first // 60 + 1)
        assert events.loc[kind, "detail"] == f"the first of {counts[status]} so far"
    assert "limit" not in events.index
    assert endpoint.run.events["time_s"].is_monotonic_increasing


def test_limits_of_the_platform_are_told_and_not_enforced():
    huge = sl.ModelProfile("huge", service=sl.constant(7200.0), request_kb=2e6)
    _, endpoint = deployed(calls_at(0.0), model=huge, request_ttl_s=1e5, invocation_timeout_s=8000)
    told = endpoint.run.events.query("kind == 'limit'")["detail"].tolist()
    assert told == [
        "SageMaker refuses this: 2000 MB request > 1000 MB asynchronous limit",
        "SageMaker refuses this: 7200 s of processing > 3600 s asynchronous limit",
        "SageMaker refuses this: 8000 s time-out > 3600 s asynchronous limit",
        "SageMaker refuses this: 100000 s time to live > 21600 s asynchronous limit",
    ]
    by_tokens = sl.ModelProfile("t", service=sl.per_unit(1, {"tokens": 1}))  # a law without a mean of its own
    frame = pd.DataFrame({"time": [0.0], "tokens": [3.0]})
    calls = workload.from_trace(frame, time="time", work=["tokens"])
    run = sl.simulate(serving.Asynchronous(by_tokens, **AT_ONCE), calls, hours=1)
    assert run.requests["finish_s"].tolist() == [4.0]
    assert run.events.query("kind in ('limit', 'time limit')").empty


# --- theory -----------------------------------------------------------------------------------------------------------


def served(rate: float, service: sl.Law, seed: int, *, hours: float = 60, **options: object) -> sl.Run:
    """A run without transfers."""
    deployment = serving.Asynchronous(sl.ModelProfile("m", service=service), **AT_ONCE, **options)
    return sl.simulate(deployment, workload.poisson(rate), hours=hours, seed=seed)


@pytest.mark.parametrize(("instances", "slots"), [(1, 1), (2, 3), (6, 1)])
def test_the_mean_wait_is_that_of_the_m_m_c_queue(instances, slots):
    """All slots of all instances are the servers of one line; 99 % interval of 20 runs."""
    servers = instances * slots
    rate, waits = 0.75 * servers / 10, []
    for seed in range(20):
        run = served(
            rate,
            sl.exponential(10.0),
            seed,
            initial_instance_count=instances,
            max_concurrent_invocations_per_instance=slots,
        )
        log = run.requests.query("arrival_s > 7200")
        waits.append(float((log["start_s"] - log["arrival_s"]).mean()))
    low, high = interval(waits)
    assert low < sl.theory.mmc_mean_wait(rate, 10.0, servers) < high


def expired_share(rate: float, mean: float, servers: int, ttl: float) -> float:
    """P(expired) in M/M/c + D: who has not started ttl after arrival leaves (Barrer 1957; level crossing).

    The offered wait has density f(x) = λ p(c-1) exp(-(cμ-λ)x) below ttl, and falls with rate cμ beyond it.
    """
    mu, offered = 1 / mean, rate * mean
    idle = [offered**n / math.factorial(n) for n in range(servers)]  # relative to p0
    drift = servers * mu - rate
    late = math.exp(-drift * ttl) / (servers * mu)
    below = ttl if drift == 0 else (1 - math.exp(-drift * ttl)) / drift
    return rate * idle[-1] * late / (sum(idle) + rate * idle[-1] * (below + late))


def test_the_formula_of_expiry_has_the_right_ends():
    assert expired_share(0.5, 10, 7, 0.0) == pytest.approx(sl.theory.erlang_b(5.0, 7))
    assert expired_share(0.5, 10, 7, 1e4) == pytest.approx(0, abs=1e-12)
    assert expired_share(2.0, 10, 7, 300.0) == pytest.approx(
        1 - 7 / 20
    )  # overload: the rest is what the servers can do


@pytest.mark.parametrize(("load", "servers", "ttl"), [(0.9, 1, 30.0), (0.8, 4, 5.0), (1.5, 3, 60.0)])
def test_the_share_that_expires_is_that_of_m_m_c_with_deadlines(load, servers, ttl):
    """99 % interval of 20 runs."""
    rate, shares = load * servers / 10, []
    for seed in range(20):
        run = served(
            rate, sl.exponential(10.0), seed, max_concurrent_invocations_per_instance=servers, request_ttl_s=ttl
        )
        log = run.requests.query("arrival_s > 7200 and status != 'inside'")
        shares.append(float((log["status"] == "expired").mean()))
    low, high = interval(shares)
    assert low < expired_share(rate, 10.0, servers, ttl) < high


def test_backlog_is_little_s_law_and_the_age_of_the_oldest_is_the_mean_wait():
    """M/G/1: L = λ(Wq + S); and those behind the oldest came during its age, so its mean age is (L - ρ)/λ = Wq."""
    rate, law = 0.07, sl.gamma(10.0, 0.6)
    backlogs, ages = [], []
    for seed in range(20):
        timeline = served(rate, law, seed, hours=150).timeline().iloc[120:]
        backlogs.append(float(timeline["ApproximateBacklogSize"].mean()))
        ages.append(float(timeline["ApproximateAgeOfOldestRequest"].mean()))
    wait = sl.theory.mg1_mean_wait(rate, 10.0, 0.6)
    low, high = interval(backlogs)
    assert low < rate * (wait + 10.0) < high
    low, high = interval(ages)
    assert low < wait < high


# --- metrics ----------------------------------------------------------------------------------------------------------


def test_metrics_have_aws_s_definitions():
    model = sl.ModelProfile("m", service=sl.constant(310.0))
    sim, endpoint = deployed(calls_at(0.0, 60.5, 70.0), model=model)
    at(sim, (400.0, lambda: endpoint.scale_to(0)))
    sim.run(until_s=600)
    frame = endpoint.run.timeline()
    # waiting and in process alike; at 400 s the instance goes, and what it did goes back to the front
    assert frame["ApproximateBacklogSize"].tolist() == [1, 3, 3, 3, 3, 2, 2, 2, 2, 2]
    assert frame["Backlog"].tolist() == frame["ApproximateBacklogSize"].tolist()
    assert frame["Instances"].tolist() == [1, 1, 1, 1, 1, 1, 0, 0, 0, 0]
    assert frame["ApproximateBacklogSizePerInstance"].tolist() == [1, 3, 3, 3, 3, 2, 2, 2, 2, 2]
    assert frame["HasBacklogWithoutCapacity"].tolist() == [0, 0, 0, 0, 0, 0, 1, 1, 1, 1]
    assert frame["ApproximateAgeOfOldestRequest"].tolist() == [
        60,
        120,
        180,
        240,
        300,
        299.5,
        359.5,
        419.5,
        479.5,
        539.5,
    ]
    assert frame["TimeInBacklog"].dropna().to_dict() == {0.0: 0.0}  # the second start was lost
    assert endpoint.run.requests["attempts"].tolist() == [1, 2, 1]


def test_who_ends_with_the_period_is_in_its_backlog():
    """Periods are [t, t + 60), in every column."""
    sim, endpoint = deployed(calls_at(0.0, 60.5), initial_instance_count=2)
    sim.run(until_s=600)
    frame = endpoint.run.timeline().iloc[4:7]
    assert frame["ApproximateBacklogSize"].tolist() == [2, 1, 0]
    assert frame["ApproximateAgeOfOldestRequest"].tolist() == [300, 299.5, 0]


def test_each_law_has_a_stream_of_its_own():
    """A change of one leaves the others' times as they were, and so the requests that two deployments share."""
    from simlib.serving.demand import asynchronous_chunks

    def drawn(**laws: sl.Law) -> np.ndarray:
        deployment = serving.Asynchronous(sl.ModelProfile("m", service=sl.exponential(9)), **laws)
        chunks = asynchronous_chunks(sl.Simulation(3), workload.poisson(rate=5), deployment, begin_s=0.0)
        return next(chunks).services

    usual, others = drawn(), drawn(download=NOTHING)
    assert (others[0] == 0).all()
    np.testing.assert_array_equal(usual[1:], others[1:])
    np.testing.assert_array_equal(usual[:2], drawn(upload=NOTHING)[:2])
    assert abs(np.corrcoef(usual)[~np.eye(3, dtype=bool)]).max() < 0.05


def test_a_policy_reads_what_the_timeline_shows():
    """At each minute's end, for a fleet that comes and goes."""
    from simlib.serving.readings import Readings

    scaling = serving.BacklogTracking(3, max_capacity=4)
    model = sl.ModelProfile("m", service=sl.lognormal(80.0, 0.5))
    sim, endpoint = deployed(workload.poisson(rate=0.02), model=model, scaling=scaling)
    names = [
        "ApproximateBacklogSize",
        "ApproximateBacklogSizePerInstance",
        "HasBacklogWithoutCapacity",
        "ApproximateAgeOfOldestRequest",
    ]
    read = []

    def look(sim):
        readers = [Readings(endpoint, 0, name) for name in names]
        while True:
            yield sim.env.timeout(60)
            read.append([reader.take() for reader in readers])

    sim.start(look)
    sim.run(hours=12.01)
    shown = endpoint.run.timeline()[names].iloc[: len(read)]
    assert endpoint.run.timeline()["Instances"].nunique() > 2
    np.testing.assert_allclose(np.array(read), shown.to_numpy(), atol=1e-9)


# --- to zero and back -------------------------------------------------------------------------------------------------

TRACKING = serving.BacklogTracking(5, max_capacity=5)
WAKING = serving.wake_from_zero(max_capacity=5)


def test_backlog_tracking_alone_does_not_wake_for_few():
    """From zero it starts only when the backlog is above the target (AWS developer guide)."""
    sim, endpoint = deployed(calls_at(*range(5)), initial_instance_count=0, scaling=TRACKING)
    sim.run(hours=7)
    run = endpoint.run
    assert run.requests["status"].tolist() == ["expired"] * 5
    assert run.instances.empty
    sim, endpoint = deployed(calls_at(*range(6)), initial_instance_count=0, scaling=TRACKING)
    sim.run(hours=7)
    run = endpoint.run
    assert run.requests["status"].tolist() == ["completed"] * 6
    out = run.events.query("kind == 'capacity'").iloc[0]
    assert (out["time_s"], out["detail"]) == (180, "0 → 2: ApproximateBacklogSizePerInstance 6, target 5")


def test_waking_from_zero_and_going_back():
    sim, endpoint = deployed(calls_at(0.0, 1.0), initial_instance_count=0, scaling=(TRACKING, WAKING))
    sim.run(hours=1)
    run = endpoint.run
    run.check()
    asked = run.events.query("kind == 'capacity'")
    # out after two datapoints of HasBacklogWithoutCapacity, in after fifteen below 0.9 of the target
    assert asked[["time_s", "detail"]].to_numpy().tolist() == [
        [120, "0 → 1: HasBacklogWithoutCapacity 1, threshold 1"],
        [900, "1 → 0: ApproximateBacklogSizePerInstance 0, target 5"],
    ]
    ready = 120 + READY_S
    assert run.requests["start_s"].tolist() == [ready, ready + 300]
    assert run.requests["finish_s"].tolist() == [ready + 300, ready + 600]
    # nothing is paid for but the time from the machine being up to its end
    life = run.instances.iloc[0]
    assert (life["machine_up_s"], life["gone_s"]) == (220, 930)
    assert run.invoice.set_index("item").loc["ml.m5.large instances", "quantity"] == pytest.approx(710 / 3600)
    timeline = run.timeline()
    assert timeline["Instances"].tolist() == [0] * 4 + [1] * 11 + [0] * 45
    assert timeline["HasBacklogWithoutCapacity"].tolist() == [1] * 4 + [0] * 56


@pytest.mark.parametrize("on_kill", ["requeue_front", "fail"])
def test_work_of_an_instance_that_goes(on_kill):
    """A scale-in gives 30 s; ten minutes of work do not fit, and begin again or fail."""
    sim, endpoint = deployed(calls_at(0.0, 1.0, 2.0), initial_instance_count=2, on_kill=on_kill)
    at(sim, (100.0, lambda: endpoint.scale_to(1)))
    sim.run(hours=1)
    run = endpoint.run
    run.check()
    assert run.instances["ended"].tolist() == ["", "drained"]
    if on_kill == "fail":
        assert run.requests["status"].tolist() == ["completed", "failed", "completed"]
        assert run.requests["finish_s"].tolist() == [300, 130, 600]
        assert run.story(1)["what"][3] == "s3://endpoint-1/failure/endpoint-1-1.out"
    else:  # before the one that came later
        assert run.requests["status"].tolist() == ["completed"] * 3
        assert run.requests["start_s"].tolist() == [0, 300, 600]
        assert run.requests["attempts"].tolist() == [1, 2, 1]
        assert "lost with their instance: 1" in run.story(1)["what"][1]


def test_a_crash_loses_no_request():
    life = serving.InstanceLife(launch=sl.constant(60.0), container_start=sl.constant(10.0), crash_rate_per_day=40)
    sim, endpoint = deployed(workload.poisson(rate=1 / 400), instance_life=life, initial_instance_count=2)
    sim.run(days=3)
    run = endpoint.run
    run.check()
    assert (run.instances["ended"] == "crashed").sum() > 100
    assert set(run.requests["status"].astype(str)) <= {"completed", "inside"}
    assert (run.requests["attempts"] > 1).sum() > 50


# --- the bill ---------------------------------------------------------------------------------------------------------


def test_an_hour_and_a_half_a_day_of_a_gpu():
    """45 instance-hours of ml.g4dn.xlarge at 0.7364: 33.138 dollars; always on it would be 530.208."""
    at_once = serving.InstanceLife(launch=NOTHING, container_start=NOTHING, drain_s=0, download_mb_per_s=1e9)
    model = sl.ModelProfile("m", service=sl.constant(60.0), size_mb=1e-9)
    evening = (
        serving.ScheduledScaling("cron(0 20 * * ? *)", min_capacity=1, max_capacity=1),
        serving.ScheduledScaling("cron(30 21 * * ? *)", min_capacity=0, max_capacity=0),
    )
    deployment = serving.Asynchronous(
        model, instance_type="ml.g4dn.xlarge", initial_instance_count=0, scaling=evening, instance_life=at_once
    )
    run = sl.simulate(deployment, workload.poisson(rate=1 / 3600), days=30, seed=1)
    run.check()
    line = run.invoice.set_index("item").loc["ml.g4dn.xlarge instances"]
    assert line["quantity"] == pytest.approx(45, abs=1e-3)
    assert line["subtotal"] == pytest.approx(33.138, abs=0.005)
    always = serving.Asynchronous(model, instance_type="ml.g4dn.xlarge")
    line = sl.simulate(always, workload.poisson(rate=1 / 3600), days=30, seed=1).invoice.set_index("item")
    assert line.loc["ml.g4dn.xlarge instances", "subtotal"] == pytest.approx(530.208)


def test_the_bill_is_the_log_s():
    model = sl.ModelProfile("m", service=sl.lognormal(200.0, 0.8), request_kb=50_000, response_kb=2_000)
    life = serving.InstanceLife(crash_rate_per_day=20)
    deployment = serving.Asynchronous(
        model, initial_instance_count=2, invocation_timeout_s=400, max_retries=1, request_ttl_s=3000, instance_life=life
    )
    run = sl.simulate(deployment, workload.poisson(rate=0.009), days=2, seed=4)
    run.check()
    log, bill = run.requests, run.invoice.set_index("item")["quantity"]
    count = log["status"].value_counts()
    worked = count["completed"] + count["timed_out"]
    assert min(count["completed"], count["timed_out"], count["expired"], count["inside"]) > 0
    assert bill["S3 PUT"] == len(log) + worked
    ended = log[log["status"].isin(["completed", "timed_out"])]
    assert ended["attempts"].sum() <= bill["S3 GET"] <= log["attempts"].sum()
    assert bill["SNS publish"] == worked + count["expired"]
    assert bill["Data in"] == pytest.approx(worked * 0.05)
    assert bill["Data out"] == pytest.approx(count["completed"] * 0.002)
    lived = run.instances.query("machine_up_s < @run.snapshot.end_s")
    seconds = np.ceil(np.minimum(lived["gone_s"], run.snapshot.end_s) - lived["machine_up_s"] - 1e-6).sum()
    assert bill["ml.m5.large instances"] == pytest.approx(seconds / 3600)


def test_who_is_not_notified_pays_nobody_for_it():
    run = sl.simulate(serving.Asynchronous(MODEL, notify=False), calls_at(0.0), hours=1)
    assert "SNS publish" not in set(run.invoice["item"])
    assert run.notifications.empty
    assert run.story(0)["what"].iloc[-1] == "nobody is told (notify=False)"


def test_nobody_calls_and_nothing_is_paid_at_zero():
    nobody = workload.poisson(rate=1e-3).between(1e7, 2e7)
    idle = serving.Asynchronous(MODEL, initial_instance_count=0, scaling=(TRACKING, WAKING))
    run = sl.simulate(idle, nobody, days=30)
    run.check()
    assert run.summary()["usd"] == 0


# --- the library's other rooms ----------------------------------------------------------------------------------------

VARIED = serving.Asynchronous(
    sl.ModelProfile("m", service=sl.lognormal(120.0, 0.6), size_mb=500),
    max_concurrent_invocations_per_instance=2,
    invocation_timeout_s=300,
    max_retries=1,
    request_ttl_s=1800,
    scaling=(serving.BacklogTracking(3, max_capacity=4), serving.wake_from_zero(max_capacity=4)),
)
CALLS = workload.on_off(0.05, mean_on_s=1800, mean_off_s=5400)


def test_a_run_is_kept_in_a_file(tmp_path):
    run = sl.simulate(VARIED, CALLS, hours=12, seed=2)
    run.save(tmp_path / "a.run")
    again = sl.Run.load(tmp_path / "a.run")
    again.check()
    pd.testing.assert_frame_equal(again.timeline(), run.timeline())
    pd.testing.assert_frame_equal(again.story(7), run.story(7))
    pd.testing.assert_frame_equal(again.notifications, run.notifications)
    pd.testing.assert_frame_equal(again.invoice, run.invoice)
    assert sl.from_json(sl.to_json(VARIED)) == VARIED


def test_folding_counts_the_same():
    exact, folded = (sl.simulate(VARIED, CALLS, hours=30, seed=2, log=log) for log in ("exact", "folded"))
    folded.check()
    shared = folded.timeline()
    pd.testing.assert_frame_equal(shared, exact.timeline()[shared.columns])
    assert shared.columns.symmetric_difference(exact.timeline().columns).tolist() == [
        "ApproximateAgeOfOldestRequest",
        "TimeInBacklog",
    ]
    pd.testing.assert_frame_equal(folded.invoice, exact.invoice)
    assert exact.figures(0.0)["p95_s"] == pytest.approx(folded.figures(0.0)["p95_s"], rel=0.02)
    with pytest.raises(sl.ParameterError, match="this run is folded"):
        folded.story(0)


def test_replications_and_comparisons():
    options = {"hours": 4, "replications": 4, "seed": 1, "n_jobs": 1}
    table = experiments.replicate(VARIED, CALLS, **options)
    assert table.loc["completed", "mean"] > 0
    real_time = serving.RealTime(VARIED.model, workers=2, routing="SHARED_QUEUE", invocation_timeout_s=3600)
    compared = experiments.compare({"real-time": real_time, "asynchronous": VARIED}, CALLS, **options)
    assert {"real-time", "asynchronous"} <= set(compared.reset_index().astype(str).to_numpy().ravel())


def test_with_everything_alike_it_is_a_real_time_endpoint_with_one_line():
    """No transfers, no time limits that bite: request by request the same as RealTime's SHARED_QUEUE."""
    model = sl.ModelProfile("m", service=sl.gamma(30.0, 0.8))
    one_line = serving.RealTime(
        model, initial_instance_count=3, workers=2, routing="SHARED_QUEUE", invocation_timeout_s=1e6
    )
    queue = serving.Asynchronous(
        model, initial_instance_count=3, max_concurrent_invocations_per_instance=2, request_ttl_s=1e6, **AT_ONCE
    )
    a, b = (sl.simulate(each, workload.poisson(rate=0.18), hours=20, seed=9) for each in (one_line, queue))
    pd.testing.assert_frame_equal(a.requests, b.requests)


@pytest.mark.parametrize("seed", range(60))
def test_random_configurations_conserve_requests_and_money(seed):
    """Run.check after random orders to a random deployment; the six final statuses, and those inside, add up."""
    rng = np.random.default_rng(seed)
    model = sl.ModelProfile(
        "m", service=sl.lognormal(float(rng.uniform(5, 400)), 0.9), size_mb=float(rng.uniform(1, 900))
    )
    bounds = {"min_capacity": int(rng.integers(0, 2)), "max_capacity": int(rng.integers(2, 6))}
    life = serving.InstanceLife(
        crash_rate_per_day=float(rng.choice([0, 30])), scale_in_takes=str(rng.choice(["newest", "oldest", "idlest"]))
    )
    deployment = serving.Asynchronous(
        model,
        initial_instance_count=int(rng.integers(0, 3)),
        max_concurrent_invocations_per_instance=int(rng.integers(1, 5)),
        request_ttl_s=float(rng.uniform(60, 4000)),
        invocation_timeout_s=float(rng.uniform(30, 900)),
        transfer_holds_slot=bool(rng.integers(2)),
        notify=bool(rng.integers(2)),
        max_retries=int(rng.integers(0, 3)),
        on_kill=str(rng.choice(["requeue_front", "fail"])),
        scaling=(
            serving.BacklogTracking(float(rng.uniform(1, 8)), in_datapoints=3, **bounds),
            serving.wake_from_zero(**bounds),
        ),
        instance_life=life,
    )
    calls = workload.on_off(float(rng.uniform(0.01, 0.2)), mean_on_s=1200, mean_off_s=2400)
    sim = sl.Simulation(seed=seed)
    endpoint = sim.deploy(deployment, calls, from_cold=bool(rng.integers(2)))
    for hours in (1.3, 2.1, 4.6):
        sim.run(hours=hours)
        endpoint.run.check()
    counts = endpoint.run.requests["status"].value_counts()
    assert counts.sum() == endpoint.run.summary()["requests"]
    assert counts[["throttled", "rejected"]].sum() == 0


# --- wrong input ------------------------------------------------------------------------------------------------------

WRONG = {
    "no model": (lambda: serving.Asynchronous(), "needs the parameter 'model'"),
    "a law as a model": (lambda: serving.Asynchronous(sl.constant(1)), "model=Constant"),
    "no slot": (lambda: asynchronous(max_concurrent_invocations_per_instance=0), "per_instance=0"),
    "half a slot": (lambda: asynchronous(max_concurrent_invocations_per_instance=1.5), "per_instance=1.5"),
    "no time to live": (lambda: asynchronous(request_ttl_s=0), "request_ttl_s=0"),
    "an endless time to live": (lambda: asynchronous(request_ttl_s=math.inf), "request_ttl_s=inf"),
    "a time to live with a unit": (lambda: asynchronous(request_ttl_s="6 h"), "without quotes or unit"),
    "no time for the model": (lambda: asynchronous(invocation_timeout_s=0), "invocation_timeout_s=0"),
    "a time-out of nan": (lambda: asynchronous(invocation_timeout_s=math.nan), "invocation_timeout_s=nan"),
    "seconds as a law": (lambda: asynchronous(upload=0.2), "upload=0.2 is not a law"),
    "none as a law": (lambda: asynchronous(download=None), "download=None"),
    "a slot held by text": (lambda: asynchronous(transfer_holds_slot="yes"), "transfer_holds_slot='yes'"),
    "notifying 1": (lambda: asynchronous(notify=1), "notify=1"),
    "a topic": (lambda: asynchronous(notify="arn:aws:sns:x"), "notify='arn:aws:sns:x'"),
    "fewer retries than none": (lambda: asynchronous(max_retries=-1), "max_retries=-1"),
    "retries without end": (lambda: asynchronous(max_retries=1000), "max_retries=1000"),
    "another way to lose work": (lambda: asynchronous(on_kill="requeue"), "'requeue_front' or 'fail'"),
    "fewer than no instances": (lambda: asynchronous(initial_instance_count=-1), "initial_instance_count=-1"),
    "a speed of 0": (lambda: asynchronous(speed=0), "speed=0"),
    "a metric that is not published": (
        lambda: asynchronous(scaling=serving.TargetTracking(100)),
        "metric='InvocationsPerInstance' is not possible: an asynchronous endpoint does not publish it",
    ),
    "a backlog where there is none": (
        lambda: serving.RealTime(MODEL, scaling=TRACKING),
        "metric='ApproximateBacklogSizePerInstance' is not possible: a real-time endpoint does not publish it",
    ),
    "a backlog of containers": (
        lambda: serving.Serverless(MODEL, scaling=TRACKING),
        "ApproximateBacklogSizePerInstance",
    ),
    "bounds that differ": (
        lambda: asynchronous(scaling=(TRACKING, serving.wake_from_zero(max_capacity=4))),
        "the same min_capacity and max_capacity",
    ),
    "a policy as a number": (lambda: asynchronous(scaling=5), "scaling"),
    "another metric of the backlog": (
        lambda: serving.BacklogTracking(5, metric="ApproximateBacklogSize"),
        "metric='ApproximateBacklogSize'",
    ),
    "a target of 0": (lambda: serving.BacklogTracking(0), "target=0"),
    "no target": (lambda: serving.BacklogTracking(), "needs the parameter 'target'"),
    "more at least than at most": (lambda: serving.BacklogTracking(5, min_capacity=2), "min_capacity=2"),
    "waking up to nothing": (lambda: serving.wake_from_zero(max_capacity=0), "max_capacity=0"),
    "waking without a bound": (lambda: serving.wake_from_zero(), "needs the parameter 'max_capacity'"),
    "routing": (lambda: asynchronous(routing="RANDOM"), "has no parameter 'routing'"),
    "workers": (lambda: asynchronous(workers=2), "has no parameter 'workers'"),
    "an unknown machine": (
        lambda: sl.simulate(asynchronous(instance_type="ml.m5.lrge"), calls_at(0.0), hours=1),
        "instance_type='ml.m5.lrge'",
    ),
    "a request that is not there": (lambda: a_run().story(1), "request=1 is not possible: this run has 1 of them"),
    "a negative request": (lambda: a_run().story(-1), "request=-1"),
    "a request by name": (lambda: a_run().story("first"), "request='first'"),
    "the story of another kind of endpoint": (
        lambda: sl.simulate(serving.RealTime(MODEL), calls_at(0.0), hours=1).story(0),
        "story: only a run of serving.Asynchronous can tell it",
    ),
    "its notifications": (
        lambda: sl.simulate(serving.RealTime(MODEL), calls_at(0.0), hours=1).notifications,
        "notifications: only a run of serving.Asynchronous can tell it",
    ),
}


def asynchronous(**options: object) -> serving.Asynchronous:
    return serving.Asynchronous(MODEL, **options)  # type: ignore[arg-type]


def a_run() -> sl.Run:
    return sl.simulate(asynchronous(), calls_at(0.0), hours=1)


@pytest.mark.parametrize("mistake", WRONG)
def test_what_cannot_be_is_one_sentence(mistake):
    call, named = WRONG[mistake]
    with pytest.raises(sl.ParameterError) as caught:
        call()
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)


def test_assumptions_in_use_are_listed():
    told = sl.simulate(VARIED, CALLS, hours=1).assumptions.set_index("parameter")["mark"]
    assert {"upload", "download", "transfer_holds_slot", "on_kill", "instance_life.launch"} <= set(told.index)
    assert "max_retries" not in told.index
    assert told["backlog per instance at zero instances"] == "U"
