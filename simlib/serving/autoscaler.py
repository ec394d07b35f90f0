"""The autoscaler: alarms watch metrics, policies watch alarms, and the fleet follows.

Each policy is a SimPy process: at the end of each period it reads its metric, its alarms take in the value, and an
alarm that is on asks for a capacity.  Once all policies with a value at this instant have spoken, the fleet follows:
any of them may scale out, all must agree to scale in, and the largest capacity wins (Application Auto Scaling user
guide).
"""

import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import simpy

from simlib.serving.readings import Readings
from simlib.serving.scaling import (
    BACKLOG_METRICS,
    CALLS,
    Scaling,
    ScheduledScaling,
    StepScaling,
    TargetTracking,
    Watching,
    common_bounds,
)
from simlib.turns import ALARM as ALARMS
from simlib.turns import METRIC, POLICY, SCHEDULE, pause

if TYPE_CHECKING:
    from simlib.serving.served import Scalable

Story = Generator[simpy.Event, Any, None]
OK, ALARM, INSUFFICIENT_DATA = "OK", "ALARM", "INSUFFICIENT_DATA"


class Alarm:
    """Is a condition met in each of the last *datapoints* periods?

    ALARM if in all of them; INSUFFICIENT_DATA if none has data; OK if one with data does not meet it; else (some met,
    the others without data) it stays as it was.  A simplification of CloudWatch, which looks a little further back.
    *missing* is what a period without data counts as: met, not met, or (None) neither.
    """

    def __init__(self, name: str, met: Callable[[float], bool], datapoints: int, missing: bool | None = None) -> None:
        self.name, self.met, self.missing, self.state = name, met, missing, INSUFFICIENT_DATA
        self.datapoints = datapoints
        self._met_in_a_row, self._missing_in_a_row, self._since_unmet = 0, datapoints, datapoints

    def take(self, value: float) -> bool:
        """Take in a period's value, NaN for none.  Returns whether the state changed."""
        point = self.missing if math.isnan(value) else self.met(value)
        self._met_in_a_row = self._met_in_a_row + 1 if point else 0
        self._missing_in_a_row = self._missing_in_a_row + 1 if point is None else 0
        self._since_unmet = 0 if point is False else self._since_unmet + 1
        before = self.state
        if self._met_in_a_row >= self.datapoints:
            self.state = ALARM
        elif self._missing_in_a_row >= self.datapoints:
            self.state = INSUFFICIENT_DATA
        elif self._since_unmet < self.datapoints:
            self.state = OK
        return self.state != before

    @property
    def on(self) -> bool:
        return self.state == ALARM


@dataclass(frozen=True)
class Ask:
    """What a policy asks for, from one value of its metric to the next."""

    at: float = -math.inf
    more: bool = False  # its alarm for more is on; while it is, nobody scales in
    wanted: int | None = None  # None: stay
    why: str = ""


class Autoscaler:
    """Follows the policies of one variant's fleet."""

    def __init__(self, endpoint: "Scalable", variant: int, policies: Sequence[Scaling]) -> None:
        self.endpoint, self.variant = endpoint, variant
        self.env = endpoint.sim.env
        self.lowest, self.highest = common_bounds(policies)
        self.in_cooldown_until = -math.inf
        self.watchers: list[_Watcher] = []
        self._settling_at = -math.inf
        for policy in policies:
            self.env.process(self._story(policy))

    def _story(self, policy: Scaling) -> Story:
        if isinstance(policy, ScheduledScaling):
            return self._keep_schedule(policy)
        watcher = Tracking(self, policy) if isinstance(policy, TargetTracking) else Stepping(self, policy)
        self.watchers.append(watcher)
        return watcher.watch()

    # --- what the policies ask for ---

    @property
    def desired(self) -> int:
        """The capacity last asked for."""
        return self.endpoint.desired[self.variant]

    def settle_soon(self) -> None:
        """A policy has spoken: follow, once all that speak at this instant have."""
        if self._settling_at < self.env.now:
            self._settling_at = self.env.now
            pause(self.env, 0, POLICY).callbacks.append(lambda _: self._settle())

    def _settle(self) -> None:
        """Out if anybody asks for it; else in if all agree.  The largest capacity wins, the first policy at a tie."""
        asking = [w for w in self.watchers if w.ask.at == self.env.now and w.ask.wanted is not None]
        outward = [w for w in asking if w.ask.more]
        if outward:
            self._scale_out(max(outward, key=lambda w: w.ask.wanted or 0))
        elif asking and not any(w.ask.more for w in self.watchers):
            self._scale_in([w for w in self.watchers if w in asking or w.must_agree])

    def _scale_out(self, watcher: "_Watcher") -> None:
        """Up to what it asks for, within the bounds; never down.  This ends the cooldown of a scale-in."""
        before = self.desired
        wanted = max(self.lowest, min(watcher.ask.wanted or 0, self.highest))
        if wanted > before:
            self.in_cooldown_until = -math.inf
            self.endpoint.set_desired(self.variant, wanted, watcher.ask.why)
            watcher.scaled_out(before)

    def _scale_in(self, watchers: "Sequence[_Watcher]") -> None:
        """Down to the largest capacity asked for, within the bounds, unless one of these asks for none."""
        if any(w.ask.wanted is None for w in watchers) or self.env.now < self.in_cooldown_until:
            return
        largest = max(watchers, key=lambda w: w.ask.wanted or 0)
        wanted = max(self.lowest, largest.ask.wanted or 0)
        if wanted < self.desired:
            self.in_cooldown_until = self.env.now + largest.in_cooldown_s
            self.endpoint.set_desired(self.variant, wanted, largest.ask.why)

    # --- schedules ---

    def _keep_schedule(self, policy: ScheduledScaling) -> Story:
        for moment in policy.schedule.moments(self.endpoint.sim.date()):
            yield pause(self.env, self._until(moment), SCHEDULE)
            self.lowest = self.lowest if policy.min_capacity is None else policy.min_capacity
            self.highest = self.highest if policy.max_capacity is None else policy.max_capacity
            within = min(max(self.desired, self.lowest), self.highest)
            bounds = f"{policy.when}: capacity {self.lowest} to {self.highest}"
            self.endpoint.tell("schedule", bounds, self.variant)
            if within != self.desired:
                self.endpoint.set_desired(self.variant, within, policy.when)

    def _until(self, moment: datetime) -> float:
        return max(0.0, (moment - self.endpoint.sim.date()).total_seconds())


class _Watcher:
    """What the two watching policies share: a metric, read at the end of each period, and told to alarms."""

    must_agree = False  # whether nothing scales in without it
    in_cooldown_s = 0.0

    def __init__(self, scaler: Autoscaler, policy: Watching) -> None:
        self.scaler, self.policy, self.ask = scaler, policy, Ask()

    def watch(self) -> Story:
        """At the end of each period [t, t + p) of the clock: read, and decide when the value is known."""
        env, period, delay = self.scaler.env, self.policy.period_s, self.policy.metric_delay_s
        readings = Readings(self.scaler.endpoint, self.scaler.variant, self.policy.metric)
        yield pause(env, period - env.now % period, METRIC)
        while True:
            value = readings.take()
            if math.isnan(value) and (self.policy.metric, self.policy.no_calls) == (CALLS, "zero"):
                value = 0.0
            pause(env, delay, ALARMS).callbacks.append(partial(self._known, value))
            yield pause(env, period, METRIC)

    def _known(self, value: float, _: simpy.Event) -> None:
        self.ask = self.decide(value)
        if self.ask.wanted is not None:
            self.scaler.settle_soon()

    def decide(self, value: float) -> Ask:
        """What to ask for now that a new value of the metric is known; NaN where there is none."""
        raise NotImplementedError

    def scaled_out(self, before: int) -> None:
        """The fleet follows this policy's ask for more; it was *before*."""

    def tell(self, alarm: Alarm, value: float) -> bool:
        """The alarm takes in the value; a change of state goes to the event log.  Returns whether it is on."""
        before = alarm.state
        if alarm.take(value):
            known = "no data" if math.isnan(value) else f"{value:.4g}"
            detail = f"{alarm.name}: {before} → {alarm.state} ({self.policy.metric} {known})"
            self.scaler.endpoint.tell("alarm", detail, self.scaler.variant)
        return alarm.on


class Tracking(_Watcher):
    """Follows a `TargetTracking` policy: AlarmHigh and AlarmLow."""

    policy: TargetTracking

    def __init__(self, scaler: Autoscaler, policy: TargetTracking) -> None:
        super().__init__(scaler, policy)
        floor = policy.in_factor * policy.target
        self.high = Alarm("AlarmHigh", lambda x: x > policy.target, policy.out_datapoints)
        self.low = Alarm("AlarmLow", lambda x: x < floor, policy.in_datapoints)
        self.must_agree, self.in_cooldown_s = not policy.disable_scale_in, policy.in_cooldown_s
        self.out_cooldown_until = -math.inf

    def decide(self, value: float) -> Ask:
        """Out while AlarmHigh is on, in while AlarmLow is."""
        high, low = self.tell(self.high, value), self.tell(self.low, value)
        now = self.scaler.env.now
        if math.isnan(value) or not (high or (low and self.must_agree)) or (high and now < self.out_cooldown_until):
            return Ask(now, more=high)
        instances = self.scaler.endpoint.in_service(self.scaler.variant)
        if self.policy.metric in BACKLOG_METRICS:
            instances = max(1, instances)  # a backlog at zero instances counts as that of one
        wanted = math.ceil(round(instances * value / self.policy.target, 9))  # 3 * 66.666… is 200, and no more
        return Ask(now, high, wanted, f"{self.policy.metric} {value:.4g}, target {self.policy.target:g}")

    def scaled_out(self, before: int) -> None:
        """Where the cooldown that begins now lets nothing through, no scale-out follows until it is over."""
        if self.policy.out_cooldown_lets == "nothing":
            self.out_cooldown_until = self.scaler.env.now + self.policy.out_cooldown_s


class Stepping(_Watcher):
    """Follows a `StepScaling` policy: one alarm, and a step for how far beyond the threshold the metric is."""

    policy: StepScaling

    def __init__(self, scaler: Autoscaler, policy: StepScaling) -> None:
        super().__init__(scaler, policy)
        compare = {
            ">": lambda x: x > policy.threshold,
            ">=": lambda x: x >= policy.threshold,
            "<": lambda x: x < policy.threshold,
            "<=": lambda x: x <= policy.threshold,
        }
        missing = {"missing": None, "breaching": True, "notBreaching": False}[policy.missing_data]
        self.alarm = Alarm("StepAlarm", compare[policy.comparison], policy.datapoints, missing)
        self.in_cooldown_s = policy.cooldown_s
        self.base, self.out_cooldown_until = 0, -math.inf

    def decide(self, value: float) -> Ask:
        """While the alarm is on, ask for the step in which the metric lies.

        A period without data that counts as breaching is taken for the value nearest to the threshold.
        """
        on, now, desired = self.tell(self.alarm, value), self.scaler.env.now, self.scaler.desired
        if not on or (math.isnan(value) and self.policy.missing_data != "breaching"):
            return Ask(now)
        shown, value = value, self.policy.threshold if math.isnan(value) else value
        why = f"{self.policy.metric} {shown:.4g}, threshold {self.policy.threshold:g}"
        wanted = self.policy.wanted(desired, value)
        if wanted <= desired:
            return Ask(now, False, wanted if wanted < desired else None, why)
        return Ask(now, True, self.policy.wanted(self.base, value) if self._cooling else wanted, why)

    @property
    def _cooling(self) -> bool:
        return self.scaler.env.now < self.out_cooldown_until

    def scaled_out(self, before: int) -> None:
        """In the cooldown that begins now, steps count from the capacity there was before it."""
        if not self._cooling:
            self.base, self.out_cooldown_until = before, self.scaler.env.now + self.policy.cooldown_s
