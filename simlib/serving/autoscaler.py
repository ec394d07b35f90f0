"""The autoscaler: alarms watch metrics, policies watch alarms, and the fleet follows.

Each policy is a SimPy process: at the end of each period it reads its metric, its alarms take in the value, and an
alarm that is on asks for a capacity.  Once all policies with a value at this instant have spoken, the fleet follows:
any of them may scale out, all must agree to scale in, and the largest capacity wins (Application Auto Scaling user
guide).
"""

import math
from collections import deque
from collections.abc import Callable, Generator, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import simpy

from simlib.serving.metrics import BACKLOG_METRICS, CALLS, Metric
from simlib.serving.readings import Readings
from simlib.serving.replica_tracking import ReplicaTracking
from simlib.serving.rule_scaling import Rule, RuleScaling
from simlib.serving.scaling import (
    Deciding,
    Scaling,
    ScheduledScaling,
    StepScaling,
    TargetTracking,
    common_bounds,
    watched,
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


class Ask(NamedTuple):
    """What a policy asks for, from one value of its metric to the next."""

    at: float = -math.inf
    more: bool = False  # its alarm for more is on; while it is, nobody scales in
    wanted: int | None = None  # None: stay
    why: str = ""


class Autoscaler:
    """Follows the policies of one variant's fleet."""

    def __init__(self, endpoint: "Scalable", variant: int, policies: Sequence[Scaling]) -> None:
        self.endpoint, self.variant, self.policies = endpoint, variant, policies
        self.env = endpoint.sim.env
        self.lowest, self.highest = common_bounds(policies)
        self.in_cooldown_until = -math.inf
        self.watchers: list[_Watcher] = []
        self.paused = self.ended = False
        self._settling_at = -math.inf
        for policy in policies:
            self.env.process(self._story(policy))

    def _story(self, policy: Scaling) -> Story:
        if isinstance(policy, ScheduledScaling):
            return self._keep_schedule(policy)
        watcher = _watcher(self, policy)
        self.watchers.append(watcher)
        return watcher.watch()

    # --- while the endpoint is updated ---

    def pause(self) -> None:
        """Watch on, but change nothing."""
        self.paused = True

    def resume(self) -> None:
        """Follow again; the bounds may have changed meanwhile."""
        self.paused = False
        if any(isinstance(policy, ScheduledScaling) for policy in self.policies):
            self._keep_bounds("the update is over")

    def end(self) -> None:
        """The fleet goes: watch no more."""
        self.paused = self.ended = True

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
        if self.paused:
            return
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
            largest.scaled_in()

    # --- schedules ---

    def _keep_schedule(self, policy: ScheduledScaling) -> Story:
        for moment in policy.schedule.moments(self.endpoint.sim.date()):
            yield pause(self.env, self._until(moment), SCHEDULE)
            self.lowest = self.lowest if policy.min_capacity is None else policy.min_capacity
            self.highest = self.highest if policy.max_capacity is None else policy.max_capacity
            if self.ended:
                return
            bounds = f"{policy.when}: capacity {self.lowest} to {self.highest}"
            self.endpoint.tell("schedule", bounds, self.variant)
            if not self.paused:
                self._keep_bounds(policy.when)

    def _keep_bounds(self, why: str) -> None:
        within = min(max(self.desired, self.lowest), self.highest)
        if within != self.desired:
            self.endpoint.set_desired(self.variant, within, why)

    def _until(self, moment: datetime) -> float:
        return max(0.0, (moment - self.endpoint.sim.date()).total_seconds())


def _watcher(scaler: Autoscaler, policy: Deciding) -> "_Watcher":
    if isinstance(policy, TargetTracking):
        return Tracking(scaler, policy)
    if isinstance(policy, ReplicaTracking):
        return Windowed(scaler, policy)
    return Ruled(scaler, policy) if isinstance(policy, RuleScaling) else Stepping(scaler, policy)


class _Watcher:
    """What the watching policies share: metrics, read at the end of each period."""

    must_agree = False  # whether nothing scales in without it
    in_cooldown_s = 0.0

    def __init__(self, scaler: Autoscaler, policy: Deciding) -> None:
        self.scaler, self.policy, self.ask = scaler, policy, Ask()

    def watch(self) -> Story:
        """At the end of each period [t, t + p) of the clock: read, and decide when the value is known."""
        env, period, delay = self.scaler.env, self.policy.period_s, self.policy.metric_delay_s
        readings = [Readings(self.scaler.endpoint, self.scaler.variant, metric) for metric in self.metrics]
        yield pause(env, period - env.now % period, METRIC)
        while not self.scaler.ended:
            values = tuple(self.without_gaps(reading.take()) for reading in readings)
            pause(env, delay, ALARMS).callbacks.append(partial(self._known, values))
            yield pause(env, period, METRIC)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """What is read."""
        return watched(self.policy)

    def without_gaps(self, value: float) -> float:
        """What a value read counts as; NaN where there is none."""
        return value

    def _known(self, values: tuple[float, ...], _: simpy.Event) -> None:
        self.ask = self.decide(*values)
        if self.ask.wanted is not None:
            self.scaler.settle_soon()

    def decide(self, *values: float) -> Ask:
        """What to ask for now that a new value of each metric is known; NaN where there is none."""
        raise NotImplementedError

    def scaled_in(self) -> None:
        """The fleet follows this policy's ask for less."""

    def scaled_out(self, before: int) -> None:
        """The fleet follows this policy's ask for more; it was *before*."""


class _Alarmed(_Watcher):
    """A watcher whose one metric is told to alarms, as CloudWatch does."""

    policy: TargetTracking | StepScaling

    def without_gaps(self, value: float) -> float:
        """Zero for a period without calls, where the policy says so."""
        silent = math.isnan(value) and (self.policy.metric, self.policy.no_calls) == (CALLS, "zero")
        return 0.0 if silent else value

    def tell(self, alarm: Alarm, value: float) -> bool:
        """The alarm takes in the value; a change of state goes to the event log.  Returns whether it is on."""
        before = alarm.state
        if alarm.take(value):
            known = "no data" if math.isnan(value) else f"{value:.4g}"
            detail = f"{alarm.name}: {before} → {alarm.state} ({self.policy.metric} {known})"
            self.scaler.endpoint.tell("alarm", detail, self.scaler.variant)
        return alarm.on


class Tracking(_Alarmed):
    """Follows a `TargetTracking` policy: AlarmHigh and AlarmLow."""

    policy: TargetTracking

    def __init__(self, scaler: Autoscaler, policy: TargetTracking) -> None:
        super().__init__(scaler, policy)
        floor = policy.in_factor * policy.target
        self.high = Alarm("AlarmHigh", lambda x: x > policy.target, policy.out_datapoints)
        self.low = Alarm("AlarmLow", lambda x: x < floor, policy.in_datapoints)
        self.must_agree, self.in_cooldown_s = not policy.disable_scale_in, policy.in_cooldown_s
        self.out_cooldown_until = -math.inf

    def decide(self, *values: float) -> Ask:
        """Out while AlarmHigh is on, in while AlarmLow is."""
        (value,) = values
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


class Stepping(_Alarmed):
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

    def decide(self, *values: float) -> Ask:
        """While the alarm is on, ask for the step in which the metric lies.

        A period without data that counts as breaching is taken for the value nearest to the threshold.
        """
        (value,) = values
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


class Windowed(_Watcher):
    """Follows a `ReplicaTracking` policy: the largest target of the last minutes."""

    policy: ReplicaTracking
    must_agree = True

    def __init__(self, scaler: Autoscaler, policy: ReplicaTracking) -> None:
        super().__init__(scaler, policy)
        self.targets: deque[tuple[float, int]] = deque()  # (when, target), oldest first
        self.called_s = self.woke_s = scaler.env.now

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """What is watched, and whether anybody calls."""
        return self.policy.metric, "RequestsPerMinute"

    def decide(self, *values: float) -> Ask:
        """Follow the largest target that is not too old; at zero, wake where somebody called."""
        value, calls = values
        now, desired = self.scaler.env.now, self.scaler.desired
        self.called_s = now if calls else self.called_s
        if desired == 0 and self.policy.min_capacity == 0:
            return self._at_zero(now, calls)
        if not math.isnan(value):
            replicas = self.scaler.endpoint.in_service(self.scaler.variant)
            self.targets.append((now, self.policy.target_for(replicas, value)))
        while self.targets and self.targets[0][0] <= now - self.policy.window_s:
            self.targets.popleft()
        wanted = max((target for _, target in self.targets), default=desired)
        wanted = min(max(wanted, self.policy.min_capacity, 1), self.scaler.highest)
        why = f"{self.policy.metric} {value:.4g}, target {self.policy.target:g}"
        if self._idle(now):
            return Ask(now, False, 0, f"no request for {now - self.called_s:g} s")
        return Ask(now, wanted > desired, wanted, why)

    def _at_zero(self, now: float, calls: float) -> Ask:
        if not calls:
            return Ask(now, False, 0)
        self.woke_s = now
        self.targets.clear()
        return Ask(now, True, self.policy.initial_capacity, "called while at zero")

    def _idle(self, now: float) -> bool:
        policy = self.policy
        silent, awake = now - self.called_s >= policy.idle_scaledown_s, now - self.woke_s >= policy.min_scaleup_s
        return policy.min_capacity == 0 and silent and awake


class Ruled(_Watcher):
    """Follows a `RuleScaling` policy: rules over windows of their own, and the time of the last action."""

    policy: RuleScaling

    def __init__(self, scaler: Autoscaler, policy: RuleScaling) -> None:
        super().__init__(scaler, policy)
        longest = max(rule.window_s for rule in policy.rules)
        self.seen: deque[tuple[float, dict[Metric, float]]] = deque(maxlen=max(1, math.ceil(longest / policy.period_s)))
        self.acted_s = -math.inf

    def decide(self, *values: float) -> Ask:
        """What the rules ask for together."""
        now, desired = self.scaler.env.now, self.scaler.desired
        self.seen.append((now, dict(zip(self.metrics, values, strict=True))))
        aggregated = [self._aggregate(rule) for rule in self.policy.rules]
        wanted = self.policy.wanted(desired, aggregated, now - self.acted_s)
        fired = [rule for rule, value in zip(self.policy.rules, aggregated, strict=True) if rule.fires(value)]
        why = "; ".join(f"{rule.metric} {rule.operator} {rule.threshold:g}" for rule in fired)
        more = any(rule.outward for rule in fired)
        return Ask(now, more, wanted if wanted != desired else None, why)

    def _aggregate(self, rule: Rule) -> float:
        since = self.scaler.env.now - rule.window_s
        values = [values[rule.metric] for at, values in self.seen if at > since]
        return rule.aggregate([value for value in values if not math.isnan(value)])

    def scaled_out(self, before: int) -> None:
        """The cooldowns of all rules count from here."""
        self.acted_s = self.scaler.env.now

    def scaled_in(self) -> None:
        """The cooldowns of all rules count from here."""
        self.acted_s = self.scaler.env.now
