"""The autoscaler: alarms watch metrics, policies watch alarms, and the fleet follows.

Each policy is a SimPy process: at the end of each period it reads its metric, its alarms take in the value, and an
alarm that is on proposes a capacity.  Several policies on one fleet: any of them may scale out, all must agree to scale
in, and the largest capacity wins (Application Auto Scaling user guide).
"""

import math
from collections.abc import Callable, Generator, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import simpy

from simlib.serving.readings import Readings
from simlib.serving.scaling import Scaling, ScheduledScaling, StepScaling, TargetTracking, Watching, common_bounds
from simlib.turns import METRIC, POLICY, SCHEDULE, pause

if TYPE_CHECKING:
    from simlib.serving.endpoint import Endpoint

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


class Autoscaler:
    """Follows the policies of one variant's fleet."""

    def __init__(self, endpoint: "Endpoint", variant: int, policies: Sequence[Scaling]) -> None:
        self.endpoint, self.variant = endpoint, variant
        self.env = endpoint.sim.env
        self.lowest, self.highest = common_bounds(policies)
        self.in_cooldown_until = -math.inf
        self.wants_in: dict[int, int | None] = {}  # policy → the capacity it would scale in to, None for "stay"
        for number, policy in enumerate(policies):
            self.env.process(self._story(number, policy))

    def _story(self, number: int, policy: Scaling) -> Story:
        if isinstance(policy, TargetTracking):
            return Tracking(self, number, policy).watch()
        if isinstance(policy, StepScaling):
            return Stepping(self, number, policy).watch()
        return self._keep_schedule(policy)

    # --- proposals ---

    @property
    def desired(self) -> int:
        """The capacity last asked for."""
        return self.endpoint.desired[self.variant]

    def scale_out(self, wanted: int, why: str) -> bool:
        """Go up to *wanted*, within the bounds; never down.  A scale-out ends the cooldown of a scale-in."""
        wanted = min(wanted, self.highest)
        if wanted <= self.desired:
            return False
        self.in_cooldown_until = -math.inf
        self.endpoint.set_desired(self.variant, wanted, why)
        return True

    def scale_in(self, number: int, wanted: int, cooldown_s: float, why: str) -> None:
        """Policy *number* would go down to *wanted*; it happens if all policies that may agree, to the largest."""
        self.wants_in[number] = max(wanted, self.lowest)
        proposals = list(self.wants_in.values())
        if None in proposals or self.env.now < self.in_cooldown_until:
            return
        agreed = max(p for p in proposals if p is not None)
        if agreed < self.desired:
            self.in_cooldown_until = self.env.now + cooldown_s
            self.endpoint.set_desired(self.variant, agreed, why)

    # --- schedules ---

    def _keep_schedule(self, policy: ScheduledScaling) -> Story:
        for moment in policy.schedule.moments(self.endpoint.sim.date()):
            yield pause(self.env, self._until(moment), SCHEDULE)
            self.lowest = self.lowest if policy.min_capacity is None else policy.min_capacity
            self.highest = self.highest if policy.max_capacity is None else policy.max_capacity
            within = min(max(self.desired, self.lowest), self.highest)
            self.endpoint.tell("schedule", f"{policy.when}: capacity {self.lowest} to {self.highest}")
            if within != self.desired:
                self.endpoint.set_desired(self.variant, within, policy.when)

    def _until(self, moment: datetime) -> float:
        return max(0.0, (moment - self.endpoint.sim.date()).total_seconds())


class _Watcher:
    """What the two watching policies share: a metric, read at the end of each period, and told to alarms."""

    def __init__(self, scaler: Autoscaler, number: int, policy: Watching) -> None:
        self.scaler, self.number, self.policy = scaler, number, policy
        self.name = f"{type(policy).__name__} {policy.metric}"

    def watch(self) -> Story:
        """At the end of each period [t, t + p) of the clock: read, and decide when the value is known."""
        env, period, delay = self.scaler.env, self.policy.period_s, self.policy.metric_delay_s
        readings = Readings(self.scaler.endpoint, self.scaler.variant, self.policy.metric)
        yield pause(env, period - env.now % period, METRIC)
        while True:
            pause(env, delay, POLICY).callbacks.append(partial(self._known, readings.take()))
            yield pause(env, period, METRIC)

    def _known(self, value: float, _: simpy.Event) -> None:
        self.decide(value)

    def decide(self, value: float) -> None:
        """A new value of the metric is known; NaN where there is none."""
        raise NotImplementedError

    def tell(self, alarm: Alarm, value: float) -> bool:
        """The alarm takes in the value; a change of state goes to the event log.  Returns whether it is on."""
        before = alarm.state
        if alarm.take(value):
            known = "no data" if math.isnan(value) else f"{value:.4g}"
            self.scaler.endpoint.tell("alarm", f"{alarm.name}: {before} → {alarm.state} ({self.policy.metric} {known})")
        return alarm.on


class Tracking(_Watcher):
    """Follows a `TargetTracking` policy: AlarmHigh and AlarmLow."""

    policy: TargetTracking

    def __init__(self, scaler: Autoscaler, number: int, policy: TargetTracking) -> None:
        super().__init__(scaler, number, policy)
        floor = policy.in_factor * policy.target
        self.high = Alarm("AlarmHigh", lambda x: x > policy.target, policy.out_datapoints)
        self.low = Alarm("AlarmLow", lambda x: x < floor, policy.in_datapoints)
        if not policy.disable_scale_in:
            scaler.wants_in[number] = None

    def decide(self, value: float) -> None:
        """Out while AlarmHigh is on, in while AlarmLow is."""
        high, low = self.tell(self.high, value), self.tell(self.low, value)
        if not self.policy.disable_scale_in:
            self.scaler.wants_in[self.number] = None
        if math.isnan(value) or not (high or low):
            return
        instances = self.scaler.endpoint.in_service(self.scaler.variant)
        wanted = math.ceil(instances * value / self.policy.target)
        why = f"{self.policy.metric} {value:.4g}, target {self.policy.target:g}"
        if high:
            self.scaler.scale_out(wanted, why)
        elif not self.policy.disable_scale_in:
            self.scaler.scale_in(self.number, wanted, self.policy.in_cooldown_s, why)


class Stepping(_Watcher):
    """Follows a `StepScaling` policy: one alarm, and a step for how far beyond the threshold the metric is."""

    policy: StepScaling

    def __init__(self, scaler: Autoscaler, number: int, policy: StepScaling) -> None:
        super().__init__(scaler, number, policy)
        compare = {
            ">": lambda x: x > policy.threshold,
            ">=": lambda x: x >= policy.threshold,
            "<": lambda x: x < policy.threshold,
            "<=": lambda x: x <= policy.threshold,
        }
        missing = {"missing": None, "breaching": True, "notBreaching": False}[policy.missing_data]
        self.alarm = Alarm("StepAlarm", compare[policy.comparison], policy.datapoints, missing)
        self.base, self.out_cooldown_until = 0, -math.inf

    def decide(self, value: float) -> None:
        """While the alarm is on, change capacity by the step in which the metric lies (without data, the nearest)."""
        if not self.tell(self.alarm, value):
            return
        value = self.policy.threshold if math.isnan(value) else value
        desired, now = self.scaler.desired, self.scaler.env.now
        cooling = now < self.out_cooldown_until
        base = self.base if cooling else desired
        wanted = self.policy.wanted(base, value)
        why = f"{self.policy.metric} {value:.4g}, threshold {self.policy.threshold:g}"
        if wanted > base:
            if self.scaler.scale_out(wanted, why) and not cooling:
                self.base, self.out_cooldown_until = desired, now + self.policy.cooldown_s
        elif wanted < base:
            self.scaler.scale_in(self.number, wanted, self.policy.cooldown_s, why)
            self.scaler.wants_in.pop(self.number)
