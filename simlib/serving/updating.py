"""The update of a live endpoint, as one process: a new fleet comes up, takes over step by step, and the old one goes.

    launch ─▶ traffic ─ bake ─▶ … all traffic ─ bake ─▶ wait ─▶ the old fleet answers what it has, and goes
                          └ alarm, time-out or interrupt: all traffic back ─▶ the new fleet goes

Both fleets stand behind the same door, so a step is a change of weights, and nobody in flight notices it: a request
stays where it was sent.  A fleet without traffic is not stopped before it has answered what it holds, or nobody waits
for it any more.  While the endpoint is updated, nobody scales it.
"""

import math
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import simpy

from simlib.serving import autoscaler
from simlib.serving.fleet import LOOK_S, Fleet
from simlib.serving.readings import Readings
from simlib.serving.realtime import RealTime, Variant
from simlib.serving.rollout import Alarm, AllAtOnce, Rolling, Rollout, instances_for, steps
from simlib.turns import ALARM, LIFE, METRIC, POLICY, pause

if TYPE_CHECKING:
    from simlib.serving.endpoint import Endpoint

Story = Generator[simpy.Event, Any, None]


@dataclass(frozen=True)
class Outcome:
    """What came of an update: whether the new fleet serves, why, and when it was begun, decided and over [s]."""

    succeeded: bool
    why: str
    begun_s: float
    decided_s: float
    ended_s: float

    def __str__(self) -> str:
        """The outcome in words."""
        what = "succeeded" if self.succeeded else "rolled back"
        return f"{what} after {(self.decided_s - self.begun_s) / 60:.4g} min: {self.why}"


class _TurnBackError(Exception):
    """The update is given up, for the reason it carries."""


@dataclass
class _Side:
    """The fleets before, or after, the update: variants, their numbers, instances, and parts of the side's traffic."""

    numbers: Sequence[int]
    fleets: Sequence[Fleet]
    instances: Sequence[int]
    weights: Sequence[float]

    def weigh(self, share: float) -> dict[int, float]:
        """Weights by number, where the whole side gets a *share* of the traffic."""
        total = math.fsum(self.weights)
        return {number: share * weight / total for number, weight in zip(self.numbers, self.weights, strict=True)}


class Updating:
    """One update of one endpoint: `story` is its process."""

    def __init__(self, endpoint: "Endpoint", deployment: RealTime, rollout: Rollout, *, retain: bool) -> None:
        self.endpoint, self.deployment, self.rollout = endpoint, deployment, rollout
        self.env = endpoint.sim.env
        self.begun_s = self.env.now
        weights = endpoint.station.lane.variants["weight"]
        live = endpoint.live
        fleets = [endpoint.fleets[v] for v in live]
        self.old = _Side(live, fleets, [fleet.desired for fleet in fleets], [float(weights[v]) for v in live])
        self.variants = self._retained() if retain else deployment.fleets
        self.share, self.left_s = 0.0, self.begun_s  # of the new fleet; since when one of both has no traffic
        self.watching = False
        self._turned_back = self.env.event()
        self._alarms_begun = False
        self._gives_up_at = self.begun_s + rollout.maximum_execution_timeout_s

    def _retained(self) -> tuple[Variant, ...]:
        """The new variants, with the instances and the weights that those of the same name have now."""
        before = {self.endpoint.plain_name(v): k for k, v in enumerate(self.old.numbers)}
        return tuple(
            variant
            if variant.name not in before
            else replace(
                variant,
                initial_instance_count=self.old.instances[before[variant.name]],
                weight=self.old.weights[before[variant.name]],
            )
            for variant in self.deployment.fleets
        )

    # --- the story ---

    def story(self) -> Generator[simpy.Event, Any, Outcome]:
        """From the first launch to the last instance that goes; its value is the outcome."""
        self._tell(f"started: {self.rollout.told()}")
        for number in self.old.numbers:
            if number in self.endpoint.scalers:
                self.endpoint.scalers[number].pause()
        self.new = self._side_of_new()
        patience = pause(self.env, self.rollout.maximum_execution_timeout_s, POLICY)
        patience.callbacks.append(lambda _: self._turn_back("maximum_execution_timeout_s is over"))
        try:
            yield from self._forward()
            outcome = True, "no alarm went off" if self.rollout.alarms else "nothing was watched"
        except _TurnBackError as reason:
            outcome = False, str(reason)
        except simpy.Interrupt as interrupt:
            outcome = False, str(interrupt.cause or "interrupted")
        self.watching = False
        decided_s = self.env.now
        self._tell(f"{'succeeded' if outcome[0] else 'rolls back'}: {outcome[1]}")
        ending = self.env.process(self._finish() if outcome[0] else self._roll_back())
        while not ending.triggered:
            try:
                yield ending
            except simpy.Interrupt:
                self._tell("an interrupt came too late")
        self.endpoint.settle(self.new.numbers if outcome[0] else self.old.numbers, self)
        self._tell("ended")
        return Outcome(*outcome, self.begun_s, decided_s, self.env.now)

    def _side_of_new(self) -> _Side:
        numbers = [self.endpoint.join(variant, self.deployment) for variant in self.variants]
        fleets = [self.endpoint.fleets[v] for v in numbers]
        for fleet in (*fleets, *self.old.fleets):
            fleet.patience_s = self.deployment.invocation_timeout_s
            fleet.on_bill = fleet.on_bill and (fleet in self.old.fleets or not self._one_fleet_on_bill)
        for fleet in fleets:
            fleet.gave_up.callbacks.append(lambda event: self._turn_back(event.value))
        instances = [variant.initial_instance_count for variant in self.variants]
        return _Side(numbers, fleets, instances, [variant.weight for variant in self.variants])

    @property
    def _one_fleet_on_bill(self) -> bool:
        """All at once without baking: one fleet is on the bill at any time, though both exist."""
        return isinstance(self.rollout, AllAtOnce) and self.rollout.bake_s + self.rollout.termination_wait_s == 0

    def _forward(self) -> Story:
        """Step by step, until all traffic is on the new fleet and it has baked."""
        rolling = isinstance(self.rollout, Rolling)
        if not rolling:
            for fleet in self.new.fleets:
                fleet.turn_on(0)
            yield from self._launch(self.new, 1.0)
        for share in self.rollout.shares():
            if rolling:
                yield from self._launch(self.new, share)
            else:
                for fleet, instances in zip(self.new.fleets, self.new.instances, strict=True):
                    fleet.turn_on(instances_for(share, instances) if share < 1 else math.inf)
            self._shift(share)
            self._watch()
            yield from self._await(pause(self.env, self.rollout.bake_s, POLICY))
            if rolling and share < 1:
                self._shrink(self.old, 1 - share)

    def _finish(self) -> Story:
        """The old fleet goes, after the termination wait."""
        yield pause(self.env, self.rollout.termination_wait_s, POLICY)
        yield from self._dissolve(self.old)

    def _roll_back(self) -> Story:
        """All traffic goes back to the old fleet, where need be as its instances come up again; the new fleet goes."""
        if isinstance(self.rollout, Rolling):
            before, there = self.share, [fleet.desired for fleet in self.old.fleets]
            for back in steps(self.rollout.rollback_batch_percent):
                wanted = [n + instances_for(back, full - n) for n, full in zip(there, self.old.instances, strict=True)]
                yield from self._bring_up(self.old.fleets, wanted, "the update is turned back")
                self._shift(before * (1 - back))
                if back < 1:
                    self._shrink(self.new, self.share)
        else:
            self._shift(0.0)
        yield from self._dissolve(self.new)

    # --- its steps ---

    def _launch(self, side: _Side, share: float) -> Story:
        """Instances for a *share* of a side's fleets, up and ready."""
        wanted = [instances_for(share, n) for n in side.instances]
        for fleet, n in zip(side.fleets, wanted, strict=True):
            fleet.set_desired(n, "update")
        yield from self._await(
            simpy.AllOf(self.env, [fleet.ready(n) for fleet, n in zip(side.fleets, wanted, strict=True)])
        )

    def _bring_up(self, fleets: Iterable[Fleet], wanted: Sequence[int], why: str) -> Story:
        fleets = list(fleets)
        for fleet, n in zip(fleets, wanted, strict=True):
            if fleet.desired != n:
                fleet.set_desired(n, why)
        yield simpy.AllOf(self.env, [fleet.ready(n) for fleet, n in zip(fleets, wanted, strict=True)])

    def _shift(self, share: float) -> None:
        """From now on the new fleet gets this share of the traffic."""
        weights = self.old.weigh(1 - share) | self.new.weigh(share)
        self.endpoint.advance()
        self.endpoint.station.weigh([weights.get(v, 0.0) for v in range(len(self.endpoint.variants))])
        self.share, self.left_s = share, self.env.now
        self._tell(f"{100 * share:.4g} % of the traffic to the new fleet")
        if share == 1 and self._one_fleet_on_bill:
            for fleet in self.new.fleets:
                fleet.put_on_bill()
            for fleet in self.old.fleets:
                fleet.take_off_bill()

    def _shrink(self, side: _Side, share: float) -> None:
        """Keep so many instances as a *share* of a side's fleets needs."""
        for fleet, n in zip(side.fleets, side.instances, strict=True):
            kept = instances_for(share, n)
            if kept < fleet.desired:
                fleet.set_desired(kept, "update")

    def _dissolve(self, side: _Side) -> Story:
        """A side without traffic answers what it has, as long as anybody waits for it, and goes."""
        numbers = list(side.numbers)
        while self.env.now < self.left_s + self.deployment.invocation_timeout_s:
            self.endpoint.advance()
            if not self.endpoint.station.waiting_and_running()[numbers].any():
                break
            yield pause(self.env, LOOK_S, LIFE)
        for fleet in side.fleets:
            fleet.set_desired(0, "update")
        while any(fleet.alive for fleet in side.fleets):
            yield pause(self.env, LOOK_S, LIFE)
        for number in numbers:
            self.endpoint.leave(number)

    # --- what turns it back ---

    def _await(self, event: simpy.Event) -> Story:
        """Until *event*; unless something turns the update back before."""
        yield simpy.AnyOf(self.env, [event, self._turned_back])
        if self._turned_back.triggered:
            raise _TurnBackError(self._turned_back.value)

    def _turn_back(self, why: str) -> None:
        if not self._turned_back.triggered:
            self._turned_back.succeed(why)

    def _watch(self) -> None:
        """The alarms watch, from the first traffic on the new fleet on."""
        if not self.watching:
            self.watching = True
            for alarm in self.rollout.alarms:
                self.env.process(self._watch_for(alarm))

    def _watch_for(self, alarm: Alarm) -> Story:
        """At the end of each period of the clock: read, and tell the alarm when the value is known."""
        sides = {"new": [*self.new.numbers], "old": [*self.old.numbers]}
        sides["both"] = sides["old"] + sides["new"]
        readings = Readings(self.endpoint, sides[alarm.fleet], alarm.metric)
        state = autoscaler.Alarm(alarm.name, alarm.met, alarm.datapoints, alarm.missing)
        yield pause(self.env, alarm.period_s - self.env.now % alarm.period_s, METRIC)
        while self.watching:
            pause(self.env, alarm.metric_delay_s, ALARM).callbacks.append(partial(self._known, state, readings.take()))
            yield pause(self.env, alarm.period_s, METRIC)

    def _known(self, state: autoscaler.Alarm, value: float, _: simpy.Event) -> None:
        before = state.state
        if not self.watching or not state.take(value):
            return
        known = "no data" if math.isnan(value) else f"{value:.4g}"
        self.endpoint.tell("alarm", f"{state.name}: {before} → {state.state} ({known})")
        if state.on:
            self._turn_back(f"alarm {state.name} ({known})")

    def _tell(self, detail: str) -> None:
        self.endpoint.tell("update", detail)
