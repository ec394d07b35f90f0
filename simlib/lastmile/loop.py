"""The loop on one clock: traffic, capture, monitors, alarms, retraining, approval, rollout, and a new version serving.

    >>> from simlib import lastmile
    >>> outcome = lastmile.run(lastmile.Policy(retrain="never"), lastmile.team(days=3), seed=7)
    >>> outcome.days, outcome.versions
    (3, [1])

Everything that decides is a SimPy process on one `Simulation`; the requests go through the lanes, counted and not kept
(folded); rows are made for captured requests only.
"""

import gc
import math
from collections.abc import Generator, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Annotated, Any, TypeVar

import pandas as pd
import simpy
from pydantic import InstanceOf, PlainValidator

from simlib import mlops, serving
from simlib import workload as workloads
from simlib.lastmile import faults as kinds
from simlib.lastmile.accounts import Accounts
from simlib.lastmile.faults import Fault
from simlib.lastmile.outcome import Outcome
from simlib.lastmile.policy import LONGEST_ROLLOUT_MINUTES, Policy, working_hours
from simlib.lastmile.sample import MINUTE_S, Routing, Sample
from simlib.lastmile.training import GROUP, Version, first_version, loss, pipeline
from simlib.lastmile.watch import GapWatch, LossWatch
from simlib.lastmile.world import World
from simlib.model import ModelProfile
from simlib.monitoring import Alarm, Baseline, DataDrift, ModelMonitor, Rules
from simlib.monitoring.streams import DAY_S, Stream
from simlib.parameters import Whole, checked, shortly
from simlib.record import ARRIVED
from simlib.serving.station import hand_back
from simlib.simulation import Simulation

F = TypeVar("F")
Story = Generator[simpy.Event, Any, Any]
SUBJECT = "loop"
SLOW_TIMES = 2.5
"""A rollout's alarm rings if the new fleet's mean latency is so many times the usual time of service.  Assumption."""

GROWN = 1.15
"""Where so many times as many requests come as when a rollout began, the story says so if it is turned back."""

PATIENCE_S = 60 * LONGEST_ROLLOUT_MINUTES
"""An update that is not done by then is turned back [s]."""


def _faults(value: object) -> tuple[Fault, ...]:
    given = tuple(value) if isinstance(value, list | tuple) else (value,)
    for each in given:
        if not isinstance(each, Fault):
            raise ValueError(f"faults: {shortly(each)} is no fault; write for instance [lastmile.LabelOutage()].")
    if len({type(each) for each in given}) < len(given):
        raise ValueError("faults: each kind of fault can be there once.")
    return given


Faults = Annotated[Any, PlainValidator(_faults)]


@checked
def run(
    policy: InstanceOf[Policy],
    world: InstanceOf[World],
    *,
    faults: Faults = (),
    seed: Whole = 0,
    replication: Whole = 0,
) -> Outcome:
    """Live through the world's days with *policy*.

    Parameters
    ----------
    faults : sequence of faults
        What goes wrong beside; see `lastmile.faults`.
    seed, replication : int
        Same seed, same bytes; two policies under one seed meet the same customers.
    """
    outcome = lived(policy, world, faults, seed, replication).outcome()
    gc.collect()  # a loop refers to itself all over: its rows would stay until Python looks for such rings
    hand_back()
    return outcome


def lived(policy: Policy, world: World, faults: Sequence[Fault], seed: int, replication: int) -> "Loop":
    """The loop at the end of its world's days."""
    chosen = tuple(faults)
    for crowd in [each for each in chosen if isinstance(each, kinds.FlashCrowd) and each.at_day is None]:
        others = tuple(each for each in chosen if each is not crowd)
        day = _first_rollout(policy, world, others, seed, replication)
        chosen = (*others, replace(crowd, at_day=day))
    loop = Loop(policy, world, chosen, seed, replication)
    loop.sim.run(days=world.days, progress=False)
    return loop


def _first_rollout(policy: Policy, world: World, faults: Sequence[Fault], seed: int, replication: int) -> float:
    """The day on which the first rollout begins [days], found by living up to it: what comes later changes nothing."""
    rehearsal = Loop(policy, world, faults, seed, replication)
    rehearsal.sim.run_to(rehearsal.first_rollout | rehearsal.sim.env.timeout(world.days * DAY_S))
    return rehearsal.sim.env.now / DAY_S if rehearsal.first_rollout.triggered else 10.0


class Loop:
    """One team's story, while it goes on."""

    def __init__(self, policy: Policy, world: World, faults: Sequence[Fault], seed: int, replication: int) -> None:
        self.policy, self.world, self.faults = policy, world, tuple(faults)
        self.sim = Simulation(seed, start=world.start, replication=replication, log="folded")
        self.first_rollout = self.sim.env.event()
        self.broken = self._broken_feature()
        self.registry = mlops.Registry()
        self.versions: dict[int, Version] = {}
        self.executions: list[mlops.Execution] = []
        self.reviews: list[float] = []  # when somebody was asked [s]
        self.began_s = 0.0  # the retraining before
        self._wake = self.sim.env.event()
        self.endpoint = self.sim.deploy(self.deployment(1), self._workload())
        self.routing = Routing(1)
        self.sample = Sample(
            self.endpoint,
            min(100.0, policy.capture_percent * world.thinning),
            lambda: self.stream,
            self.routing,
            threshold=world.threshold,
            outages=self._outages(),
            keep_days=policy.training_days + policy.window_hours / 24 + 4 * self._labels_late_days() + 8,
        )
        self.accounts = Accounts(world)
        self.sample.listen(self.accounts.take)
        self.endpoint.capture = self.sample
        self._begin()

    # --- the world, with its faults ---

    def _fault(self, kind: type[F]) -> F | None:
        return next((each for each in self.faults if isinstance(each, kind)), None)

    @property
    def stream(self) -> Stream:
        """What requests carry, as things are now."""
        return self.world.stream(*([self.broken] if self.broken is not None else []))

    def _broken_feature(self) -> DataDrift | None:
        fault = self._fault(kinds.BrokenFeature)
        if fault is None:
            return None
        self.sim.start(self._break_feature(fault))
        return DataDrift(fault.column, unit_factor=fault.factor, at_day=fault.at_day)

    def _break_feature(self, fault: kinds.BrokenFeature) -> Story:
        yield self.sim.env.timeout(fault.at_day * DAY_S)
        self.tell("fault", f"{fault.column} is recorded {fault.factor:g} times too large")
        yield self.sim.env.timeout(fault.unnoticed_days * DAY_S)
        if self.broken is not None and self.broken.until_day is None:
            self.tell("noticed", f"customers complain about {fault.column}")
            yield from self._repair(fault)

    def _repair(self, fault: kinds.BrokenFeature) -> Story:
        owners = working_hours(9, 17, self.world.timezone, self.world.holidays)
        done = owners.after(self.sim.date(), fault.repair_hours * 3600)
        yield self.sim.env.timeout((done - self.sim.date()).total_seconds())
        if self.broken is not None and self.broken.until_day is None:
            self.sample.advance()  # what came before now was recorded as it was
            self.broken = replace(self.broken, until_day=max(self.sim.env.now / DAY_S, fault.at_day + 1e-6))
            self.tell("repaired", f"{fault.column} is recorded as before")

    def _outages(self) -> list[tuple[float, float]]:
        fault = self._fault(kinds.LabelOutage)
        if fault is None:
            return []
        self.sim.start(self._say(fault.at_day, "fault", "labels stop coming"))
        self.sim.start(self._say(fault.at_day + fault.days, "repaired", "the labels that were missing have come"))
        return [(fault.at_day * DAY_S, (fault.at_day + fault.days) * DAY_S)]

    def _say(self, day: float, kind: str, detail: str) -> Story:
        yield self.sim.env.timeout(day * DAY_S)
        self.tell(kind, detail)

    def _workload(self) -> workloads.Workload:
        world = self.world
        usual = workloads.diurnal(mean_rate=world.mean_rate / world.thinning, peak_to_mean=world.peak_to_mean)
        crowd = self._fault(kinds.FlashCrowd)
        if crowd is None:
            return usual
        day = crowd.at_day or 0.0  # `lived` has found the day
        begin, end = day * DAY_S, day * DAY_S + crowd.hours * 3600
        self.sim.start(self._say(day, "fault", f"a flash crowd: {crowd.times:g} times as many requests on top"))
        self.sim.start(self._say(end / DAY_S, "repaired", "the flash crowd is gone"))
        more = workloads.poisson(rate=crowd.times * world.mean_rate / world.thinning)
        return usual + more.between(begin, end)

    def _labels_late_days(self) -> float:
        return self.world.label_delay_days + self.world.label_spread_days

    def _approver(self) -> mlops.Person:
        world, holidays = self.world, self.world.holidays
        fault = self._fault(kinds.SlowApproval)
        if fault is not None:
            away = [self.sim.date(fault.at_day * DAY_S).date() + timedelta(days=k) for k in range(fault.days)]
            holidays = (*holidays, *(day.isoformat() for day in away))
        policy = self.policy
        hours = working_hours(
            policy.approval_from_hour, policy.approval_to_hour, world.timezone, holidays, policy.approval_weekends
        )
        return mlops.Person("Ana", hours=hours, response=world.response)

    # --- the deployment ---

    def deployment(self, version: int) -> serving.RealTime:
        """What serves a version."""
        world, policy = self.world, self.policy
        fault = self._fault(kinds.BadVersion)
        service: Any = world.service
        if fault is not None and fault.number == version and fault.flaw == "slow":
            service = replace(service, mean=service.mean * fault.times)
        scaling = serving.TargetTracking(
            target=policy.target, min_capacity=policy.min_instances, max_capacity=world.max_instances
        )
        return serving.RealTime(
            ModelProfile(
                f"{GROUP}-{version}", service=service, size_mb=50, load_seconds=8, request_kb=1, response_kb=1
            ),
            instance_type=world.instance_type,
            initial_instance_count=policy.min_instances,
            workers=world.workers,
            scaling=None if world.thinning > 1 else scaling,
        )

    # --- the beginning ---

    def _begin(self) -> None:
        first = first_version(self.world)
        self.versions[1] = first
        self.sample.models[1] = first.model
        self.registry.register(GROUP, artifact=f"s3://models/{GROUP}-1.tar.gz", status="Approved", at=self.sim.date())
        self.registry.deploy(GROUP, 1, endpoint=self.endpoint.name, why="launch", at=self.sim.date())
        self.tell("live", "version 1 serves")
        for fault in self.faults:
            self._announce(fault)
        for day, words in self.world.in_words():
            self.sim.start(self._say(day, "world", words))
        self.monitors = self._watch(first)
        self.sim.start(self._decide())

    def _announce(self, fault: Fault) -> None:
        """Start what tells of a fault whose times are known."""
        if isinstance(fault, kinds.SlowApproval):
            self.sim.start(self._say(fault.at_day, "fault", f"who approves is away for {fault.days} days"))
            self.sim.start(self._say(fault.at_day + fault.days, "repaired", "who approves is back"))
        if isinstance(fault, kinds.CapacityShortage):
            self.sim.start(self._run_short(fault))

    def _run_short(self, fault: kinds.CapacityShortage) -> Story:
        yield self.sim.env.timeout(fault.at_day * DAY_S)
        self.endpoint.capacity_shortage(fault.days * DAY_S)
        self.tell("fault", "the region has no machine of the kind")
        yield self.sim.env.timeout(fault.days * DAY_S)
        self.tell("repaired", "the region has machines again")

    def _watch(self, version: Version) -> dict[str, ModelMonitor]:
        policy = self.policy
        if policy.monitor_every_hours is None:
            return {}
        baselines = self._baselines(version)
        late = 24 * self._labels_late_days()
        metrics = {"data": "violations", "quality": LossWatch.alarm_metric, "bias": GapWatch.alarm_metric}
        found = {}
        for name, baseline in baselines.items():
            found[name] = ModelMonitor(
                self.endpoint,
                baseline,
                every_hours=policy.monitor_every_hours,
                window_hours=policy.window_hours if name != "data" else min(policy.window_hours, 24.0),
                delay_hours=0.0 if name == "data" else late,
                alarms=[Alarm(metrics[name], 0.0)],
                on_alarm=partial(self._alarmed, name),
                name=name,
            )
        return found

    def _baselines(self, version: Version) -> dict[str, Any]:
        """What a version's monitors compare with: what it was trained and tested on."""
        policy, world = self.policy, self.world
        label, inputs = self.sample.label, list(self.sample.inputs)
        mean, error = loss(version.tested_on, world)
        rules = Rules(comparison_threshold=policy.drift_threshold)
        return {
            "data": Baseline.fit(version.trained_on[inputs], rules=rules),
            "quality": LossWatch(
                label, "prediction", world.declined_good_usd, world.accepted_bad_usd, mean, error,
                policy.loss_margin, policy.false_alarms,
            ),
            "bias": GapWatch(
                label, "prediction", world.facet, world.disadvantaged, policy.bias_threshold, policy.false_alarms
            ),
        }  # fmt: skip

    # --- alarms, and what follows ---

    def _alarmed(self, name: str, _: Alarm) -> None:
        self.tell("alarm", f"the {name} monitor rings")
        fault = self._fault(kinds.BrokenFeature)
        if name == "data" and fault is not None and self.sim.env.now >= fault.at_day * DAY_S:
            self.sim.start(self._repair(fault))
        if not self._wake.triggered:
            self._wake.succeed()

    def _due_s(self) -> float:
        """When the next retraining is to begin [s]."""
        policy, due = self.policy, math.inf
        if policy.by_calendar:
            due = self.began_s + policy.retrain_every_days * DAY_S
        if policy.on_alarm and self._ringing():
            waited = self.began_s + policy.wait_days * DAY_S if self.executions else 0.0
            due = min(due, max(self.sim.env.now, waited))
        return due

    def _decide(self) -> Story:
        """Retrain when it is due, one release at a time."""
        env = self.sim.env
        while True:
            due = self._due_s()
            if due <= env.now:
                self.began_s = env.now
                yield from self._release()
                continue
            self._wake = env.event()
            yield self._wake if due == math.inf else self._wake | env.timeout(due - env.now)

    def _why(self) -> str:
        names = self._ringing() if self.policy.on_alarm else []
        return f"the {' and '.join(names)} alarm" if names else "the calendar"

    def _ringing(self) -> list[str]:
        """The alarms that are on now, of those that order a retraining."""
        return [name for name in self.policy.retrain_on if name in self.monitors and self.monitors[name].ringing]

    def _release(self) -> Story:
        """Train a version, and bring it out if it is good enough and somebody says yes."""
        self.tell("retraining", f"ordered by {self._why()}")
        known = self._known
        retraining, made = pipeline(self.policy, self.world, known, self._live_scores, self._approver())
        execution = retraining.start(self.sim, registry=self.registry)
        self.executions.append(execution)
        yield execution.process
        if any(event.kind == "approved" for event in self._asked(execution)):
            self.reviews.append(self.sim.env.now)
        if execution.status != "Succeeded":
            self.tell("stopped", self._why_stopped(execution))
            return
        number = int(self.registry.versions(GROUP).index[-1])
        version = Version(number, made.model, made.train, made.test, self.sim.env.now)
        self.versions[number] = version
        yield from self._roll_out(version)

    def _asked(self, execution: mlops.Execution) -> list[Any]:
        events = self.sim.events_of(execution.pipeline.name)
        return [event for event in events if event.time_s >= execution.start_s and event.subject.endswith("/approve")]

    def _why_stopped(self, execution: mlops.Execution) -> str:
        failed = [record for record in execution.records if record.status == "Failed"]
        return failed[0].reason if failed else execution.status

    def _known(self) -> pd.DataFrame:
        now = self.sim.env.now
        return self.sample.known(max(0.0, now - self.policy.training_days * DAY_S), now)

    def _live_scores(self, inputs: pd.DataFrame) -> Any:
        return self.sample.score(self.sample.live, inputs)

    # --- a version goes out ---

    def _roll_out(self, version: Version) -> Story:
        """Update the endpoint; the version serves, or it is rolled back."""
        number = version.number
        self._spoil(number)
        self.sample.advance()
        self.sample.models[number] = version.model
        self.tell("rollout", f"version {number} goes out: {self.policy.rollout.replace('_', ' ')}")
        if not self.first_rollout.triggered:
            self.first_rollout.succeed()
        self.routing.add(len(self.endpoint.variants), number)
        found = yield self.endpoint.update(self.deployment(number), self._rollout(), retain_all_variant_properties=True)
        self._settle(version, found)

    def _spoil(self, number: int) -> None:
        """A bad version looks like any other until it serves."""
        fault = self._fault(kinds.BadVersion)
        if fault is None or fault.number != number:
            return
        if fault.flaw == "slow":
            self.tell("fault", f"version {number} takes {fault.times:g} times as long once it serves")
        else:
            self.sample.skewed[number] = _skewed
            self.tell("fault", f"version {number} is fed debt_ratio in percent, and learned from shares")

    def _rollout(self) -> serving.AllAtOnce | serving.Canary | serving.Linear:
        """The policy's way, with alarms on latency and errors of the new fleet."""
        slow = self.world.service.mean * SLOW_TIMES
        alarms = (
            serving.Alarm("ModelLatency", slow, datapoints=3),
            serving.Alarm("ErrorRate", max(0.01, 2 * self.world.max_error_rate), datapoints=3),
        )
        return rollout_of(self.policy, alarms)

    def _settle(self, version: Version, found: Any) -> None:
        number, now = version.number, self.sim.date()
        self.sample.advance()
        if not found.succeeded:
            self.registry.reject(GROUP, number, by="rollout", comment=found.why, at=now)
            why = f"{found.why}{self._grown_meanwhile(found)}"
            self.tell("rolled back", f"version {number}: {why}; version {self.sample.live} serves")
            return
        self.sample.live = number
        self.registry.deploy(GROUP, number, endpoint=self.endpoint.name, why="rolled out", at=now)
        for name, baseline in self._baselines(version).items():
            if name in self.monitors:
                self.monitors[name].compare_with(baseline)
        self.tell("live", f"version {number} serves")

    def _grown_meanwhile(self, found: Any) -> str:
        """In words, where more requests than at the beginning met a fleet that nobody scaled."""
        begun, decided = int(found.begun_s // MINUTE_S), int(found.decided_s // MINUTE_S)
        came = self.endpoint.station.lane.tally[:, :, ARRIVED].sum(axis=0)
        before, after = came[max(0, begun - 10) : begun].sum(), came[decided - 10 : decided].sum()
        if "alarm" not in found.why or decided - begun < 10 or after <= GROWN * before:
            return ""
        more = f"{100 * (after / before - 1):.0f} % more requests" if before else "requests"
        return f" ({more} than at its beginning, and nobody scales an endpoint that is being updated)"

    # --- telling ---

    def tell(self, kind: str, detail: str) -> None:
        """Note what happened in the story."""
        self.sim.tell(kind, SUBJECT, detail)

    def outcome(self) -> Outcome:
        """What came of it, up to now."""
        self.sample.advance()
        return Outcome.of(self)


def rollout_of(
    policy: Policy, alarms: tuple[serving.Alarm, ...] = ()
) -> serving.AllAtOnce | serving.Canary | serving.Linear:
    """How *policy* lets a version out, watched by *alarms*."""
    bake_s = 60 * policy.bake_minutes
    if policy.rollout == "all_at_once":
        return serving.AllAtOnce(bake_s=bake_s, alarms=alarms, maximum_execution_timeout_s=PATIENCE_S)
    kind = serving.Linear if policy.rollout == "linear" else serving.Canary
    return kind(policy.canary_percent, bake_s=bake_s, alarms=alarms, maximum_execution_timeout_s=PATIENCE_S)


def _skewed(inputs: pd.DataFrame) -> pd.DataFrame:
    """What a version with training–serving skew is fed: the debt ratio in percent."""
    return inputs.assign(debt_ratio=inputs["debt_ratio"] * 100.0)
