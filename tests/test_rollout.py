"""Updates of a live endpoint: what happens in which second, what is billed, what turns it back; and nobody is lost."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import simlib as sl
from simlib import platforms, record, serving, workload
from simlib.parameters import ParameterError, from_json, to_json
from simlib.serving.demand import Variants
from simlib.serving.rollout import steps
from simlib.serving.station import Chunk, Drawn
from tests.histories import ROUTINGS, Command, History, WatchedStation, first_difference, random_history, refer

ROLLOUTS = (serving.AllAtOnce, serving.Canary, serving.Linear, serving.Rolling)
READY_S = 180.0  # 120 s to the machine, 30 s to the container, 1 s to fetch 100 MB, 29 s to load the model
MACHINE_UP_S = 120.0
DRAIN_S = 30.0
LIFE = serving.InstanceLife(launch=sl.constant(MACHINE_UP_S), container_start=sl.constant(30.0))
OLD, NEW = (
    sl.ModelProfile(name, service=sl.constant(s), load_seconds=29.0) for name, s in (("old", 0.1), ("new", 0.2))
)
SLOW = sl.ModelProfile("slow", service=sl.constant(0.9), load_seconds=29.0)
TOO_SLOW = serving.Alarm("ModelLatency", 0.5)


def _deployment(model: sl.ModelProfile, instances: int = 4, **others: Any) -> serving.RealTime:
    return serving.RealTime(
        model, initial_instance_count=instances, routing="SHARED_QUEUE", instance_life=LIFE, **others
    )


class Update:
    """An endpoint that is updated at *at*, run to *until*, with whatever else happens on the way."""

    def __init__(
        self, new: serving.RealTime, rollout: Any, *, at: float = 600.0, until: float = 7200.0, old: Any = None,
        rate: float = 2.0, also: Any = None, **how: Any,
    ) -> None:  # fmt: skip
        self.sim = sl.Simulation(seed=5)
        self.endpoint = self.sim.deploy(old or _deployment(OLD), workload.poisson(rate))
        self.outcome: Any = None

        def story(_: sl.Simulation) -> Iterator[Any]:
            yield self.sim.env.timeout(at)
            self.process = self.endpoint.update(new, rollout, **how)
            self.outcome = yield self.process

        self.sim.start(story)
        if also is not None:
            self.sim.start(also(self))
        self.sim.run(until_s=until)
        self.run = self.endpoint.run
        self.run.check()

    def told(self, kind: str = "update") -> list[tuple[float, str]]:
        """What the event log says of the update, [(time, words)]."""
        events = self.run.events
        return [(e.time_s, e.detail) for e in events[events["kind"] == kind].itertuples()]

    def shares(self) -> list[tuple[float, float]]:
        """When the traffic moved, and how much of it the new fleet had from then on [%]."""
        return [(time, float(words.split(" %")[0])) for time, words in self.told() if "of the traffic" in words]

    def billed_s(self) -> list[float]:
        """Instance-seconds on the bill, of each fleet."""
        lines = self.run.invoice
        return [3600 * float(line.quantity) for line in lines.itertuples() if "instances" in line.item]


# --- the rules, second by second (deployment guardrails; facts: canary 10 %, bake 600 s) ------------------------------


def test_a_canary_bakes_takes_over_bakes_again_and_the_old_fleet_goes() -> None:
    done = Update(_deployment(NEW), serving.Canary(10, bake_s=600, alarms=[TOO_SLOW]))
    begin = 600 + READY_S
    assert done.shares() == [(begin, 10.0), (begin + 600, 100.0)]
    assert done.told()[-2:] == [(begin + 1200, "succeeded: no alarm went off"), (begin + 1200 + DRAIN_S, "ended")]
    assert done.outcome.succeeded
    assert (done.outcome.begun_s, done.outcome.decided_s) == (600, begin + 1200)
    old, new = done.billed_s()
    assert old == pytest.approx(4 * (begin + 1200 + DRAIN_S), abs=240)  # SageMaker bills whole minutes or seconds
    assert new == pytest.approx(4 * (7200 - 600 - MACHINE_UP_S), abs=240)


@pytest.mark.parametrize(
    ("rollout", "expected"),
    [
        (serving.AllAtOnce(bake_s=300), [(0, 100)]),
        (serving.Linear(25, bake_s=300), [(0, 25), (300, 50), (600, 75), (900, 100)]),
        (serving.Linear(40, bake_s=60), [(0, 40), (60, 80), (120, 100)]),
        (serving.Canary(50, bake_s=0), [(0, 50), (0, 100)]),
        (serving.Rolling(50, bake_s=300), [(0, 50), (300 + READY_S, 100)]),
        (serving.Rolling(25, bake_s=60), [(k * (60 + READY_S), 25.0 * (k + 1)) for k in range(4)]),
    ],
)
def test_traffic_moves_in_the_steps_of_the_rollout(rollout: Any, expected: list[tuple[float, float]]) -> None:
    done = Update(_deployment(NEW), rollout)
    assert done.shares() == [(600 + READY_S + after, share) for after, share in expected]
    assert done.outcome.decided_s == 600 + READY_S + expected[-1][0] + rollout.bake_s


def test_the_old_fleet_stays_for_the_termination_wait_and_is_billed_for_it() -> None:
    done = Update(_deployment(NEW), serving.Canary(10, bake_s=300, termination_wait_s=900))
    assert done.outcome.ended_s == done.outcome.decided_s + 900 + DRAIN_S
    assert done.billed_s()[0] == pytest.approx(4 * done.outcome.ended_s, abs=240)


def test_all_at_once_without_baking_has_one_fleet_on_the_bill_at_any_time() -> None:
    done = Update(_deployment(NEW), serving.AllAtOnce())
    assert done.billed_s() == pytest.approx([4 * 780.0, 4 * (7200 - 780.0)])
    baking = Update(_deployment(NEW), serving.AllAtOnce(bake_s=60))
    assert sum(baking.billed_s()) == pytest.approx(4 * (7200 + 60 + 60 + DRAIN_S), abs=240)  # both for 150 s


def test_a_rolling_update_needs_one_batch_more_than_the_fleet_never_two_fleets() -> None:
    done = Update(_deployment(NEW), serving.Rolling(25, bake_s=300))
    lives = done.run.instances
    moments = np.arange(0, 7200, 10.0)
    there = [int(((lives["launched_s"] <= t) & (lives["draining_s"] > t)).sum()) for t in moments]
    assert max(there) == 5
    assert min(there) == 4


def test_a_canary_is_a_part_of_the_new_fleet_and_the_rest_stands_by() -> None:
    done = Update(_deployment(NEW, 5), serving.Canary(30, bake_s=600))
    new = done.run.instances.query("variant == 'AllTraffic (2)'")
    assert (new["machine_up_s"] == 600 + MACHINE_UP_S).all()
    assert sorted(new["in_service_s"]) == [780, 780, 1380, 1380, 1380]  # 30 % of 5, rounded up


def test_the_measured_traffic_has_the_shares_that_were_set() -> None:
    """While 10 % bakes, the new fleet's part lies in the 99.9 % interval of a fair draw."""
    done = Update(_deployment(NEW), serving.Canary(10, bake_s=3600), rate=20.0)
    baking = done.run.requests.query("780 <= arrival_s < 4380")
    n, share = len(baking), float((baking["variant"] == "AllTraffic (2)").mean())
    assert abs(share - 0.1) < 3.29 * math.sqrt(0.09 / n)


# --- what turns it back -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("datapoints", "after_s"), [(1, 840), (2, 900), (3, 960)])
def test_an_alarm_in_the_bake_takes_all_traffic_back(datapoints: int, after_s: float) -> None:
    """Traffic begins at 780 s; the first whole minute's end is 840 s, and an alarm needs so many of them."""
    alarm = serving.Alarm("ModelLatency", 0.5, datapoints=datapoints)
    done = Update(_deployment(SLOW), serving.Canary(10, bake_s=600, alarms=[alarm]), rate=10.0)
    assert not done.outcome.succeeded
    assert done.outcome.decided_s == after_s
    assert done.shares() == [(780, 10), (after_s, 0)]
    assert "ModelLatency > 0.5" in done.outcome.why
    later = done.run.requests.query("arrival_s >= @after_s")
    assert (later["variant"] == "AllTraffic").all()
    assert done.endpoint.desired == [4, 0]
    assert done.endpoint.deployment.model == OLD
    assert (done.run.requests["status"].isin(["completed", "inside"])).all()


def test_a_metric_is_known_late_and_an_alarm_at_the_end_of_the_bake_still_counts() -> None:
    late = serving.Alarm("ModelLatency", 0.5, metric_delay_s=540)  # known at 840 + 540 = 1380 s: where the bake ends
    done = Update(_deployment(SLOW), serving.Canary(10, bake_s=600, alarms=[late]), rate=10.0)
    assert done.outcome.decided_s == 1380
    assert not done.outcome.succeeded


def test_without_data_only_an_alarm_that_says_so_goes_off() -> None:
    for missing, succeeds in (("missing", True), ("notBreaching", True), ("breaching", False)):
        alarm = serving.Alarm("ModelLatency", 0.5, missing_data=missing)
        silent = Update(_deployment(SLOW), serving.Canary(10, bake_s=600, alarms=[alarm]), rate=1e-9)
        assert silent.outcome.succeeded is succeeds


def test_the_error_rate_is_that_of_the_new_fleet_unless_told_otherwise() -> None:
    """The new fleet answers nothing in time, and is a tenth of the traffic."""
    new, old = (_deployment(model, invocation_timeout_s=0.5) for model in (SLOW, OLD))
    for fleet, threshold, succeeds in (
        ("new", 0.5, False),
        ("old", 0.5, True),
        ("both", 0.5, True),
        ("both", 0.02, False),
    ):
        alarm = serving.Alarm("ErrorRate", threshold, fleet=fleet)
        rollout = serving.Canary(10, bake_s=600, alarms=[alarm])
        done = Update(new, rollout, old=old, rate=10.0, until=1379)
        assert any("rolls back" in words for _, words in done.told()) is not succeeds, (fleet, done.told())


def test_a_rolling_update_turned_back_launches_again_what_it_had_taken_away() -> None:
    def worse(update: Update) -> Iterator[Any]:
        yield update.sim.env.timeout(1500)
        update.process.interrupt("the product owner saw the answers")

    done = Update(_deployment(NEW), serving.Rolling(25, bake_s=600), also=worse)
    assert done.outcome.why == "the product owner saw the answers"
    assert done.outcome.decided_s == 1500
    old = done.run.instances.query("variant == 'AllTraffic'")
    assert len(old) == 5  # one batch had gone, and one came again
    assert done.endpoint.desired == [4, 0]
    assert done.shares() == [(780, 25), (1500 + READY_S, 0)]  # the second batch was on its way


def test_a_shortage_of_machines_holds_the_launch_and_the_time_limit_turns_the_update_back() -> None:
    def short(update: Update) -> Iterator[Any]:
        yield update.sim.env.timeout(550)
        update.endpoint.capacity_shortage(3000)

    waits = Update(_deployment(NEW), serving.Canary(10, bake_s=60), also=short)
    assert waits.shares()[0] == (3550 + READY_S - MACHINE_UP_S, 10)  # machines are there at 3550 s
    rollout = serving.Canary(10, bake_s=60, maximum_execution_timeout_s=1800)
    given_up = Update(_deployment(NEW), rollout, also=short)
    assert given_up.outcome.decided_s == 2400
    assert given_up.outcome.why == "maximum_execution_timeout_s is over"
    assert len(given_up.billed_s()) == 1 or given_up.billed_s()[1] == 0


def test_a_container_that_is_not_healthy_in_time_turns_the_update_back() -> None:
    life = serving.InstanceLife(
        launch=sl.constant(120), container_start=sl.constant(900), startup_health_check_timeout_s=480
    )
    new = serving.RealTime(NEW, initial_instance_count=4, routing="SHARED_QUEUE", instance_life=life)
    done = Update(new, serving.Canary())
    assert done.outcome.decided_s == 600 + 120 + 480
    assert "not healthy" in done.outcome.why


def test_an_interrupt_after_the_decision_changes_nothing() -> None:
    def late(update: Update) -> Iterator[Any]:
        yield update.sim.env.timeout(1100)
        update.process.interrupt("too late")

    done = Update(_deployment(NEW), serving.AllAtOnce(bake_s=60, termination_wait_s=600), also=late)
    assert done.outcome.succeeded
    assert (1100, "an interrupt came too late") in done.told()


# --- counts, weights, scaling -----------------------------------------------------------------------------------------


def test_an_update_sets_capacity_back_unless_told_to_retain_it() -> None:
    """SageMaker's RetainAllVariantProperties, false by default: what a policy had made of the fleet is forgotten."""

    def grown(update: Update) -> Iterator[Any]:
        yield update.sim.env.timeout(60)
        update.endpoint.scale_to(9)

    for retain, instances in ((False, 4), (True, 9)):
        done = Update(_deployment(NEW), serving.AllAtOnce(), also=grown, retain_all_variant_properties=retain)
        assert done.endpoint.desired == [0, instances]


def test_nobody_scales_an_endpoint_that_is_updated_and_the_new_policy_does_afterwards() -> None:
    old = _deployment(OLD, 2, scaling=serving.TargetTracking(10, min_capacity=2, max_capacity=9))
    new = _deployment(NEW, 2, scaling=serving.TargetTracking(10, min_capacity=1, max_capacity=7))
    done = Update(new, serving.Canary(50, bake_s=900), old=old, rate=2.0, at=30)  # 60 a minute on each: far too many
    desired = [(time, v, n) for time, v, n in done.run.snapshot.desired if 30 < time < done.outcome.decided_s]
    assert desired == []
    assert done.endpoint.desired == [0, 7]


def test_weights_and_counts_are_refused_while_an_update_goes_on() -> None:
    sim = sl.Simulation(seed=1)
    endpoint = sim.deploy(_deployment(OLD), workload.poisson(2))
    endpoint.update(_deployment(NEW), serving.Canary())
    sim.run(hours=0.1)
    for command in (
        lambda: endpoint.scale_to(3),
        lambda: endpoint.set_weights({"AllTraffic": 1.0}),
        lambda: endpoint.update(_deployment(NEW)),
    ):
        with pytest.raises(ParameterError, match="is being updated"):
            command()


def test_variants_with_weights_split_the_part_of_their_side() -> None:
    old = serving.RealTime(
        variants=[serving.Variant("a", OLD, weight=3.0), serving.Variant("b", NEW, weight=1.0)], instance_life=LIFE
    )
    new = serving.RealTime(variants=[serving.Variant("a", NEW, weight=1.0)], instance_life=LIFE)
    sim = sl.Simulation(seed=1)
    endpoint = sim.deploy(old, workload.poisson(1))
    endpoint.update(new, serving.Linear(20, bake_s=600))
    sim.run(until_s=READY_S + 300)
    assert endpoint.station.lane.variants["weight"].tolist() == pytest.approx([0.6, 0.2, 0.2])
    sim.run(hours=2)
    assert endpoint.run.snapshot.variants == ["a", "b", "a (2)"]
    endpoint.scale_to(2, variant="a")  # the one that serves
    assert endpoint.desired == [0, 0, 2]


def test_update_after_update() -> None:
    sim = sl.Simulation(seed=1)
    endpoint = sim.deploy(_deployment(OLD), workload.poisson(2))

    def story(_: sl.Simulation) -> Iterator[Any]:
        for model in (NEW, OLD, SLOW, NEW):
            outcome = yield endpoint.update(_deployment(model), serving.Canary(25, bake_s=120, alarms=[TOO_SLOW]))
            outcomes.append(outcome.succeeded)

    outcomes: list[bool] = []
    sim.start(story)
    sim.run(hours=2)
    assert outcomes == [True, True, False, True]
    assert endpoint.run.snapshot.variants == ["AllTraffic", *(f"AllTraffic ({k})" for k in (2, 3, 4, 5))]
    assert endpoint.desired == [0, 0, 0, 0, 4]
    endpoint.run.check()


def test_a_changed_machine_has_lines_of_its_own_on_the_bill() -> None:
    done = Update(_deployment(NEW, instance_type="ml.c5.large", volume_size_in_gb=10.0), serving.AllAtOnce(bake_s=60))
    assert [item for item in done.run.invoice["item"] if "instances" in item] == [
        "ml.m5.large instances (AllTraffic)",
        "ml.c5.large instances (AllTraffic (2))",
    ]


def test_a_run_with_an_update_is_the_same_after_saving(tmp_path: Any) -> None:
    done = Update(_deployment(NEW), serving.AllAtOnce(), until=1500)
    done.run.save(tmp_path / "run.npz")
    again = sl.Run.load(tmp_path / "run.npz")
    again.check()
    assert again.summary().equals(done.run.summary())


def test_the_same_seed_gives_the_same_bytes() -> None:
    from simlib.keeping import same

    one, other = (Update(_deployment(NEW), serving.Linear(25, bake_s=100), until=2000) for _ in range(2))
    assert same(one.run.snapshot, other.run.snapshot)


# --- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: serving.Canary(0), "size_percent=0 is not possible"),
        (lambda: serving.Canary(101), "size_percent=101"),
        (lambda: serving.Canary("10"), "size_percent='10'"),
        (lambda: serving.Canary(bake=3), "did you mean 'bake_s'"),
        (lambda: serving.Canary(bake_s=-1), "bake_s=-1"),
        (lambda: serving.Canary(bake_s=math.inf), "bake_s=inf"),
        (lambda: serving.Canary(alarms=TOO_SLOW), "alarms="),
        (lambda: serving.Canary(alarms=["5xx"]), "alarms"),
        (lambda: serving.Linear(bake_s=3600, step_percent=10), "maximum_execution_timeout_s"),
        (lambda: serving.Linear(step_percent=0), "step_percent=0"),
        (lambda: serving.Rolling(batch_percent=None), "batch_percent=None"),
        (lambda: serving.Rolling(termination_wait_s=3), "termination_wait_s"),
        (lambda: serving.AllAtOnce(600), "AllAtOnce"),
        (lambda: serving.Alarm("Latency", 1), "metric='Latency'"),
        (lambda: serving.Alarm("ModelLatency"), "needs the parameter 'threshold'"),
        (lambda: serving.Alarm("ModelLatency", math.nan), "threshold=nan"),
        (lambda: serving.Alarm("ModelLatency", 1, datapoints=0), "datapoints=0"),
        (lambda: serving.Alarm("ModelLatency", 1, fleet="green"), "fleet='green'"),
        (lambda: serving.Alarm("ModelLatency", 1, comparison="="), "comparison='='"),
    ],
)
def test_what_cannot_be_is_told_in_one_sentence(make: Any, words: str) -> None:
    with pytest.raises(ParameterError) as error:
        make()
    assert words in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("new", "words"),
    [
        (_deployment(NEW, queue_limit=3), "queue_limit=3 is not possible: an update keeps it"),
        (serving.RealTime(NEW), "routing='RANDOM' is not possible"),
        (_deployment(NEW, data_capture=serving.capture.Capture(20)), "data_capture"),
        (_deployment(NEW, instance_type="ml.nothing"), "ml.nothing"),
        ("new", "deployment='new'"),
        (serving.Serverless(NEW), "deployment="),
    ],
)
def test_what_an_update_cannot_change_is_told_and_nothing_has_begun(new: Any, words: str) -> None:
    sim = sl.Simulation(seed=1)
    endpoint = sim.deploy(_deployment(OLD), workload.poisson(2))
    with pytest.raises(ParameterError) as error:
        endpoint.update(new, serving.Canary())
    assert words in str(error.value)
    with pytest.raises(ParameterError, match="rollout="):
        endpoint.update(_deployment(NEW), "canary")
    endpoint.scale_to(5)  # it is not being updated
    assert len(endpoint.variants) == 1


def test_callers_who_ask_by_name_cannot_be_updated_under() -> None:
    variants = [serving.Variant("a", OLD), serving.Variant("b", NEW)]
    sim = sl.Simulation(seed=1)
    endpoint = sim.deploy(serving.RealTime(variants=variants), workload.poisson(2).targeting("a"))
    with pytest.raises(ParameterError, match="by name"):
        endpoint.update(serving.RealTime(variants=variants))


def test_rollouts_go_to_json_and_back() -> None:
    for kind in ROLLOUTS:
        rollout = kind(bake_s=60, alarms=[TOO_SLOW])
        assert from_json(to_json(rollout)) == rollout


@given(st.floats(0.5, 100))
def test_steps_grow_and_end_with_all(percent: float) -> None:
    shares = list(steps(percent))
    assert shares[-1] == 1
    assert (np.diff(shares) > 0).all()
    assert len(shares) == math.ceil(round(100 / percent, 9))


@pytest.mark.parametrize(
    ("rollout", "fields"),
    [
        (serving.Canary(50, bake_s=3600, termination_wait_s=3600), []),
        (serving.Canary(51), ["CanarySize"]),
        (serving.Linear(9, bake_s=60), ["LinearStepSize"]),
        (serving.Linear(60), ["LinearStepSize"]),
        (serving.Rolling(4), ["MaximumBatchSize"]),
        (serving.Rolling(5, bake_s=60), []),
        (serving.AllAtOnce(bake_s=3601), ["WaitIntervalInSeconds"]),
        (serving.AllAtOnce(termination_wait_s=3601), ["TerminationWaitInSeconds"]),
        (serving.AllAtOnce(maximum_execution_timeout_s=599), ["MaximumExecutionTimeoutInSeconds"]),
        (serving.AllAtOnce(maximum_execution_timeout_s=28_801), ["MaximumExecutionTimeoutInSeconds"]),
        (serving.AllAtOnce(alarms=[TOO_SLOW] * 10), []),
        (serving.AllAtOnce(alarms=[TOO_SLOW] * 11), ["AutoRollbackConfiguration.Alarms"]),
    ],
)
def test_what_sagemaker_would_refuse_of_a_rollout(rollout: Any, fields: list[str]) -> None:
    found = platforms.validate(rollout)
    assert [each.field for each in found] == fields
    assert all(each.mark == "V" for each in found)


# --- requests: drawn as if the variant had always been there, and none lost -------------------------------------------


@pytest.mark.parametrize("taken", [1, 2, 5])
def test_a_late_variant_draws_what_it_would_have_drawn_from_the_beginning(taken: int) -> None:
    laws = [sl.lognormal(0.1, 0.5), sl.gamma(0.2, 0.7), sl.exponential(0.3)]
    variants = [serving.Variant(f"v{k}", sl.ModelProfile(f"m{k}", service=law)) for k, law in enumerate(laws)]
    load = workload.poisson(20)
    always = Variants(sl.Simulation(3), load, serving.RealTime(variants=variants))
    late = Variants(sl.Simulation(3), load, serving.RealTime(variants=variants[:1]))
    whole = [next(always) for _ in range(taken + 2)]
    parts = [next(late) for _ in range(taken)]
    inside = np.array([0, 100, 255, *([300] if taken > 1 else [])])
    drawn = [late.join(variant, 1.0, inside) for variant in variants[1:]]
    rows = np.concatenate([chunk.services for chunk in whole], axis=1)
    picks = np.concatenate([chunk.u_variant for chunk in whole])
    assert np.array_equal(parts[-1].services[0], whole[taken - 1].services[0])
    for number, found in enumerate(drawn, start=1):
        assert np.array_equal(found.services, whole[taken - 1].services[number])
        assert np.array_equal(found.services_inside, rows[number, inside])
        assert np.array_equal(found.u_variant, whole[taken - 1].u_variant)
        assert np.array_equal(found.u_variant_inside, picks[inside])
    for chunk in whole[taken:]:
        for ours, theirs in zip(next(late), chunk, strict=True):
            assert np.array_equal(ours, theirs)


def _joined_late(seed: int, routing: int) -> tuple[History, float] | None:
    """A random history in which nobody goes to the last variant before some moment; None if it has one variant."""
    history = random_history(seed, routing, fold=bool(seed % 2))
    last = len(history.workers) - 1
    if last == 0:
        return None
    moment = float(np.random.default_rng(seed).uniform(0, history.end))
    unborn, commands = set(), [(0.0, "weigh", [1.0] * last + [0.0])]
    for at, what, *arguments in history.commands:
        if what == "open" and arguments[0] == last and at < moment:
            unborn.add(arguments[1])
        elif what in ("drain", "kill") and arguments[0] in unborn:
            continue
        elif what == "weigh" and at < moment:
            commands.append((at, what, [*arguments[0][:-1], 0.0]))
        else:
            commands.append((at, what, *arguments))
    later: list[Command] = [(moment, "weigh", [0.5] * last + [1.0]), (moment, "open", last, 1000)]
    ordered = sorted([*commands, *later], key=lambda command: command[0])
    return history._replace(commands=ordered), moment


def _play_with_join(history: History, moment: float, chunk: int) -> WatchedStation:
    """The same through a lane whose last variant joins at *moment*."""
    r, last = history.requests, len(history.workers) - 1
    given_first = Chunk(r.arrivals, r.services[:-1], r.u_variant if last > 1 else np.empty(0), *r[3:])
    station = WatchedStation(history.rules, history.workers[:-1], [given_first], chunk=chunk)
    joined = False
    for at, what, *arguments in [*history.commands, (history.end, "look")]:
        if not joined and at >= moment:
            station.advance(moment)
            rows = station.inside()["row"]
            station.join(
                history.workers[-1], Drawn(r.services[-1], r.u_variant, r.services[-1][rows], r.u_variant[rows])
            )
            joined = True
        station.advance(at)
        getattr(station, what)(*([arguments[0][:-1]] if what == "weigh" and not joined else arguments))
    return station


@pytest.mark.parametrize("routing", list(ROUTINGS))
@pytest.mark.parametrize("chunk", [7, 1 << 16])
def test_a_variant_that_joins_a_running_lane_is_as_if_it_had_always_been_there(routing: str, chunk: int) -> None:
    """Against plain SimPy that knew of it from the beginning: every request's log, bit for bit."""
    tried = 0
    for seed in range(300):
        found = _joined_late(seed, ROUTINGS[routing])
        if found is None:
            continue
        station, reference = _play_with_join(*found, chunk), refer(found[0])
        assert station.readings == reference.readings, f"seed {seed}"
        assert not (told := first_difference(station.log(), reference.log())), f"seed {seed}: {told}"
        tried += 1
    assert tried > 100


@st.composite
def stories(draw: st.DrawFn) -> dict[str, Any]:
    """An endpoint, one or two updates of any kind, and what goes wrong meanwhile."""
    percent = st.sampled_from([5, 10, 25, 50, 100])
    alarms = st.lists(
        st.builds(
            serving.Alarm,
            st.sampled_from(["ModelLatency", "ErrorRate", "Invocation5XXErrors", "CPUUtilization"]),
            st.sampled_from([0.0, 0.3, 5.0]),
            fleet=st.sampled_from(["new", "old", "both"]),
            datapoints=st.integers(1, 2),
            missing_data=st.sampled_from(["missing", "breaching", "notBreaching"]),
        ),
        max_size=2,
    ).map(tuple)
    bake = st.sampled_from([0, 20, 90])
    rollout = st.one_of(
        st.builds(serving.AllAtOnce, bake_s=bake, alarms=alarms, termination_wait_s=bake),
        st.builds(serving.Canary, percent, bake_s=bake, alarms=alarms, termination_wait_s=bake),
        st.builds(serving.Linear, st.sampled_from([10, 40]), bake_s=bake, alarms=alarms,
                  maximum_execution_timeout_s=st.sampled_from([1000, 5000])),
        st.builds(serving.Rolling, percent, bake_s=bake, alarms=alarms, rollback_batch_percent=percent),
    )  # fmt: skip
    moments = st.integers(0, 600)
    fault = st.tuples(moments, st.sampled_from(["crash", "drain", "shortage", "interrupt"]), st.floats(0, 0.999))
    return {
        "routing": draw(st.sampled_from(list(ROUTINGS))),
        "queue_limit": draw(st.sampled_from([None, 2])),
        "retry": draw(st.sampled_from([None, serving.Retry(3, base_s=1.0)])),
        "timeout_s": draw(st.sampled_from([1.0, 20.0])),
        "cancel": draw(st.booleans()),
        "counts": draw(st.tuples(*[st.integers(1, 4)] * 3)),
        "workers": draw(st.tuples(*[st.integers(1, 3)] * 3)),
        "service_s": draw(st.tuples(*[st.sampled_from([0.1, 0.5, 3.0])] * 3)),
        "updates": draw(st.lists(st.tuples(moments, rollout, st.booleans()), min_size=1, max_size=2)),
        "faults": draw(st.lists(fault, max_size=4)),
        "seed": draw(st.integers(0, 1000)),
    }


def _deployed(told: dict[str, Any], k: int) -> serving.RealTime:
    model = sl.ModelProfile(f"m{k}", service=sl.exponential(told["service_s"][k]), load_seconds=3.0)
    life = serving.InstanceLife(launch=sl.exponential(20), container_start=sl.constant(5), drain_s=4)
    return serving.RealTime(
        model,
        routing=told["routing"],
        queue_limit=told["queue_limit"],
        retry=told["retry"],
        invocation_timeout_s=told["timeout_s"],
        cancel_on_timeout=told["cancel"],
        initial_instance_count=told["counts"][k],
        workers=told["workers"][k],
        instance_life=life,
    )


@settings(max_examples=1000, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(stories())
def test_nobody_is_lost_in_a_thousand_random_stories(told: dict[str, Any]) -> None:
    """Conservation and all other invariants through switches, crashes, rollbacks; who fails was on what crashed."""
    sim = sl.Simulation(seed=told["seed"])
    endpoint = sim.deploy(_deployed(told, 0), workload.poisson(1.0))
    outcomes: list[Any] = []

    def updates(_: sl.Simulation) -> Iterator[Any]:
        for k, (wait, rollout, retain) in enumerate(told["updates"], start=1):
            yield sim.env.timeout(wait)
            processes.append(endpoint.update(_deployed(told, k), rollout, retain_all_variant_properties=retain))
            outcomes.append((yield processes[-1]))

    def fault(at: float, what: str, whom: float) -> Iterator[Any]:
        yield sim.env.timeout(at)
        serves = [i.number for i in endpoint.instances if i.serving]
        if what == "interrupt" and processes and processes[-1].is_alive:
            processes[-1].interrupt("told to")
        elif what == "shortage":
            endpoint.capacity_shortage(200)
        elif serves and what in ("crash", "drain"):
            getattr(endpoint, what)(serves[int(whom * len(serves))])
        endpoint.run.check()

    processes: list[Any] = []
    sim.start(updates)
    for one in told["faults"]:
        sim.start(fault(*one))
    for end in (300.0, 3600.0):
        sim.run(until_s=end)
        endpoint.run.check()
    assert len(outcomes) == len(told["updates"]) or endpoint._updating is not None
    run = endpoint.run
    crashed = run.instances.query("ended == 'crashed'")["number"]
    log = run.requests
    failed = log[log["status"] == "failed"]
    drained = {what for _, what, _ in told["faults"]} & {"drain"}  # by hand, with SageMaker's 30 s, here 4 s
    assert drained or failed["instance"].isin(crashed).all()
    if endpoint._updating is None:
        alive = {i.variant for i in endpoint.instances if i.gone_s == math.inf}
        assert alive <= set(endpoint.live)
        weights = endpoint.station.lane.variants["weight"]
        assert weights[endpoint.live].sum() == pytest.approx(1.0)
        assert weights.sum() == pytest.approx(1.0)
        last = log[log["arrival_s"] > 3500]
        assert last["variant"].isin([run.snapshot.variants[v] for v in endpoint.live]).all()
    counts = log["status"].value_counts()
    assert counts.sum() == len(log) == int(run.snapshot.tally[:, :, record.ARRIVED].sum())
