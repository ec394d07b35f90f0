"""The autoscalers of Vertex AI and Azure Monitor, against their vendors' worked examples and by hand."""

import math

import pytest

import simlib as sl
from simlib import serving, workload
from simlib.results import Run
from simlib.serving import ReplicaTracking, Rule, RuleScaling

MODEL = sl.ModelProfile("tagger", service=sl.constant(0.1))
AT_ONCE = serving.InstanceLife(launch=sl.constant(0), container_start=sl.constant(0), drain_s=0)
BUSY = Rule("WorkerUtilization", ">", 70, change=2, cooldown_s=3600)
CALM = Rule("WorkerUtilization", "<", 30, change=-1, cooldown_s=2400)


def vertex(policy: ReplicaTracking, count: int = 1, *, routing: str = "SHARED_QUEUE") -> serving.RealTime:
    return serving.RealTime(
        MODEL,
        instance_type="n1-standard-4",
        initial_instance_count=count,
        routing=routing,
        refusal=429,
        instance_life=AT_ONCE,
        scaling=policy,
    )


def azure(policy: RuleScaling, count: int, **more: object) -> serving.RealTime:
    return serving.RealTime(
        MODEL,
        instance_type="Standard_DS3_v2",
        initial_instance_count=count,
        routing="SHARED_QUEUE",
        instance_life=AT_ONCE,
        scaling=policy,
        **more,
    )


def changes(run: Run) -> list[tuple[float, int]]:
    """(time, capacity asked for) at each change."""
    run.check()
    return [(time, wanted) for time, _, wanted in run.snapshot.desired]


def steady(rate: float) -> sl.workload.Workload:
    return workload.poisson(rate=rate)


# --- Vertex AI --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("replicas", "value", "wanted"), [(2, 100, 4), (10, 1, 1), (3, 60, 3), (3, 60.1, 4), (5, 0, 0)]
)
def test_vertex_asks_for_the_replicas_of_its_guide(replicas: int, value: float, wanted: int) -> None:
    """2 at 100 % want 4, 10 at 1 % want 1 (Vertex AI, scaling of inference nodes)."""
    assert ReplicaTracking(60, max_capacity=10).target_for(replicas, value) == wanted


def test_two_busy_replicas_are_four_after_one_cycle() -> None:
    made = vertex(ReplicaTracking(60, max_capacity=10), 2)
    run = sl.simulate(made, steady(400), hours=0.01, progress=False)
    assert changes(run)[:2] == [(0, 2), (15, 4)]


def test_ten_idle_replicas_are_one_after_the_window_and_not_before() -> None:
    """Each cycle takes the largest target of the five minutes before it; the first cycle saw ten busy replicas."""
    loud, quiet = steady(90).between(0, 15), steady(0.5).between(15, 1000)
    run = sl.simulate(vertex(ReplicaTracking(60, max_capacity=10), 10), loud + quiet, hours=0.2, seed=2, progress=False)
    (_, first), *rest = changes(run)
    assert first == 10
    at, wanted = rest[0]
    assert at == 315  # the target of 15 s is five minutes old, and the cycle no longer sees it
    assert wanted == 1


def test_the_larger_of_two_signals_wins() -> None:
    """CPU at 60 % of 100 asks for what there is; a request count above its target asks for more."""
    calls = ReplicaTracking(60, metric="RequestsPerMinutePerInstance", min_capacity=1, max_capacity=8)
    cpu = ReplicaTracking(60, min_capacity=1, max_capacity=8)
    run = sl.simulate(vertex((cpu, calls), 2), steady(4), hours=0.05, progress=False)
    assert max(wanted for _, wanted in changes(run)) >= 4  # 240 a minute at 60 each
    alone = sl.simulate(vertex(cpu, 2), steady(4), hours=0.05, progress=False)
    assert max(wanted for _, wanted in changes(alone)) == 2


def test_a_gpu_that_one_of_two_workers_keeps_busy_is_busy() -> None:
    policy = ReplicaTracking(60, metric="DutyCycle", max_capacity=4)
    made = serving.RealTime(
        MODEL,
        instance_type="n1-standard-4+1xNVIDIA_TESLA_T4",
        workers=2,
        routing="SHARED_QUEUE",
        instance_life=AT_ONCE,
        scaling=policy,
    )
    run = sl.simulate(made, steady(10), hours=0.01, progress=False)
    assert changes(run)[1][1] == 2  # about 100 % of the time; by workers it would be 50 %, and no more replicas


def test_an_idle_endpoint_sleeps_drops_who_calls_with_429_and_wakes() -> None:
    policy = ReplicaTracking(60, min_capacity=0, max_capacity=1, idle_scaledown_s=300, min_scaleup_s=600)
    calls = steady(1).between(0, 10)
    later = steady(2).between(2000, 2100)
    run = sl.simulate(vertex(policy, routing="RANDOM"), calls + later, hours=1, seed=5, progress=False)
    seen = changes(run)
    assert [wanted for _, wanted in seen[:3]] == [1, 0, 1]
    down, up = seen[1][0], seen[2][0]
    assert down == 600  # idle since 10 s, but awake for 600 s only now
    assert 2000 < up <= 2015  # the first cycle after the first call
    log = run.requests
    awake = run.snapshot.instances["in_service_s"][1]
    asleep = (log["arrival_s"] > down) & (log["arrival_s"] < awake)
    assert (log["status"][asleep] == "throttled").all()
    assert (log["status"][~asleep] == "completed").all()
    assert seen[3][1] == 0
    assert seen[3][0] >= up + 600
    hours = run.invoice["quantity"][0]
    assert hours == pytest.approx((down + seen[3][0] - up) / 3600, abs=30 / 3600)  # nothing is billed at zero


# --- Azure Monitor ----------------------------------------------------------------------------------------------------


def test_the_cooldown_example_of_azures_guide() -> None:
    """Out at 10:00 with cooldowns of 60 (out) and 40 minutes (in): in from 10:40, out again from 11:00."""
    policy = RuleScaling((BUSY, CALM), min_capacity=1, max_capacity=10)
    ten = 10 * 60
    calm = [minute for minute in range(ten, ten + 90) if policy.wanted(4, (5, 5), 60.0 * (minute - ten)) < 4]
    busy = [minute for minute in range(ten, ten + 90) if policy.wanted(4, (95, 95), 60.0 * (minute - ten)) > 4]
    assert (calm[0], busy[0]) == (10 * 60 + 40, 11 * 60)


def test_the_cooldown_example_on_the_clock() -> None:
    """The engine acts at the first look with five calm minutes behind it, 40 minutes after it scaled out."""
    policy = RuleScaling((BUSY, CALM), min_capacity=1, max_capacity=3)
    load = steady(50).between(0, 120) + steady(1).between(120, 7200)
    seen = changes(sl.simulate(azure(policy, 1), load, hours=2, seed=1, progress=False))
    assert seen[:3] == [(0, 1), (60, 3), (60 + 2400, 2)]
    assert seen[3] == (60 + 2 * 2400, 1)  # the cooldown counts from the last action of any rule


def test_any_rule_scales_out_to_the_highest_and_all_must_agree_to_scale_in() -> None:
    slow = Rule("ModelLatency", ">", 1.0, change=4)
    quick = Rule("ModelLatency", "<", 0.2, change=-2)
    policy = RuleScaling((BUSY, slow, CALM, quick), min_capacity=1, max_capacity=20)
    long_ago = 1e6
    assert policy.wanted(3, (90, 0.5, 90, 0.5), long_ago) == 5
    assert policy.wanted(3, (90, 2.0, 90, 2.0), long_ago) == 7  # the highest
    assert policy.wanted(3, (10, 2.0, 10, 2.0), long_ago) == 7  # any
    assert policy.wanted(6, (10, 0.5, 10, 0.5), long_ago) == 6  # not all
    assert policy.wanted(6, (10, 0.1, 10, 0.1), long_ago) == 5  # all, and the fewest


def test_a_scale_in_that_would_flap_is_reduced_or_put_off() -> None:
    """Azure's example: at 1 of 2 left the load per instance doubles, and the rule for more would fire at once."""
    out, inward = Rule("WorkerUtilization", ">", 80, change=1), Rule("WorkerUtilization", "<", 60, change=-1)
    assert RuleScaling((out, inward), max_capacity=9).wanted(2, (50, 50), math.inf) == 2
    assert RuleScaling((out, inward), max_capacity=9).wanted(3, (50, 50), math.inf) == 2  # 75 % each
    many = Rule("WorkerUtilization", "<", 60, change=-3)
    assert RuleScaling((out, many), max_capacity=9).wanted(5, (50, 50), math.inf) == 4
    # at 4 there are 62.5 % each; at 3 there would be 83 %, at 2 125 %


def test_percentages_exact_counts_and_bounds() -> None:
    half = Rule("WorkerUtilization", ">", 70, change=50, type="PercentChangeCount")
    exact = Rule("WorkerUtilization", ">", 70, change=7, type="ExactCount", direction="Increase")
    assert RuleScaling((half,), max_capacity=20).wanted(5, (90,), math.inf) == 8
    assert RuleScaling((exact,), max_capacity=20).wanted(5, (90,), math.inf) == 7
    assert RuleScaling((exact,), max_capacity=6).wanted(5, (90,), math.inf) == 6
    assert RuleScaling((CALM,), min_capacity=2, max_capacity=6).wanted(2, (1,), math.inf) == 2
    assert RuleScaling((BUSY,), max_capacity=6).wanted(2, (math.nan,), math.inf) == 2  # no data, no action


@pytest.mark.parametrize(
    ("aggregation", "value"),
    [("Average", 4.0), ("Minimum", 1.0), ("Maximum", 9.0), ("Total", 12.0), ("Count", 3), ("Last", 2)],
)
def test_a_window_becomes_one_value(aggregation: str, value: float) -> None:
    rule = Rule("ModelLatency", ">", 1, change=1, aggregation=aggregation)
    assert rule.aggregate([1.0, 9.0, 2.0]) == value
    assert math.isnan(rule.aggregate([]))


@pytest.mark.parametrize(
    ("what", "words"),
    [
        (lambda: Rule("CPU", ">", 1, change=1), "metric='CPU' is not possible"),
        (lambda: Rule("ModelLatency", ">", 1, change=0), "change=0 is not possible"),
        (lambda: RuleScaling((), max_capacity=2), "should be at least one Rule"),
        (lambda: RuleScaling((BUSY,), min_capacity=3, max_capacity=2), "min_capacity=3 is not possible"),
        (lambda: ReplicaTracking(60, max_capacity=2, initial_capacity=3), "should be at most max_capacity=2"),
        (lambda: serving.Serverless(MODEL, scaling=RuleScaling((BUSY,))), "not published for serverless"),
    ],
)
def test_what_cannot_be_is_told(what: object, words: str) -> None:
    with pytest.raises(sl.ParameterError, match=words):
        what()


# --- Azure's limit on what is in flight -------------------------------------------------------------------------------


def test_two_requests_for_each_slot_are_let_in_and_the_next_gets_429() -> None:
    """10 callers in one instant, 2 instances of 1: 2 work, 2 wait, 6 are refused (2 x concurrency x instances)."""
    calls = workload.files(10, size_mb=1.0)
    made = serving.RealTime(
        MODEL,
        instance_type="Standard_DS3_v2",
        initial_instance_count=2,
        routing="SHARED_QUEUE",
        queue_limit=1,
        queue_limit_of="instance",
        refusal=429,
        invocation_timeout_s=5,
    )
    run = sl.simulate(made, calls, hours=0.1, progress=False)
    run.check()
    assert run.requests["status"].value_counts()[["completed", "throttled"]].tolist() == [4, 6]


def test_a_caller_of_azure_waits_five_seconds_and_no_longer() -> None:
    slow = sl.ModelProfile("slow", service=sl.constant(8))
    made = serving.RealTime(slow, instance_type="Standard_DS3_v2", invocation_timeout_s=5)
    run = sl.simulate(made, steady(0.01), hours=1, progress=False)
    assert set(run.requests["status"]) == {"timed_out"}
    assert (run.requests["finish_s"] - run.requests["arrival_s"]).to_numpy() == pytest.approx(5)
