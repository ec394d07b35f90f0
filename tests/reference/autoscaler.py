"""What the published rules say an autoscaler does, followed with pencil and paper.

Written from the vendor's pages (Application Auto Scaling user guide: target tracking, step scaling, scheduled
scaling; SageMaker developer guide), not from simlib's code.  It has no clock, no fleet and no requests: it is told
in order of time what was seen, and answers with the states of the alarms and the capacity asked for.

A1  An alarm looks at the last N periods.  Each of them breaches: ALARM.  None has data: INSUFFICIENT_DATA.  One with
    data does not breach: OK.  Otherwise (fewer than N, or some without data, the others breaching) it stays as it was.
A2  Target tracking has two: metric > target in 3 of 3, metric < 0.9 × target in 15 of 15.
A3  An alarm that stays on asks again at each value ("as fast as it can"), and not at a period without one.
T1  Target tracking asks for ceil(instances in service × metric / target).
T2  Out if that is more than was asked for already, in if it is less: launches under way count.
S1  Steps are bounds on metric - threshold.  Above: lower inclusive, upper exclusive; below: the reverse.
S2  ChangeInCapacity adds.  PercentChangeInCapacity adds a percentage: towards zero, but at least 1, and at least the
    least adjustment.  ExactCapacity sets.
C1  What a step policy asks for in the cooldown of its scale-out counts from the capacity before it: "only 1 is added".
C2  In the cooldown of a scale-in nothing scales in.  A scale-out happens at once and ends it.
C4  The SageMaker guide on target tracking: in the cooldown of a scale-out no other scale-out happens.  Application Auto
    Scaling's: a larger one does, which is T2 at any time.
C3  Scheduled actions know no cooldown: they move the bounds, and capacity outside goes to the nearer one.
P1  Several policies: out if any asks for it, the largest wins.  While one has an alarm for more, nothing goes in.
P2  In only if all agree that may scale in, the largest wins; a step policy has a say only at values of its own.
B1  What is asked for is brought within the least and the most capacity.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

OK, ALARM, UNKNOWN = "OK", "ALARM", "INSUFFICIENT_DATA"


@dataclass
class PaperAlarm:
    """*datapoints* periods in a row on the wrong side of a threshold."""

    name: str
    comparison: str
    threshold: float
    datapoints: int
    missing: str = "missing"
    state: str = UNKNOWN
    window: list[bool | None] = field(default_factory=list)  # breaches, does not, no data

    def look(self, value: float) -> None:
        """A1."""
        breaches: bool | None = {
            ">": value > self.threshold,
            ">=": value >= self.threshold,
            "<": value < self.threshold,
            "<=": value <= self.threshold,
        }[self.comparison]
        if math.isnan(value):
            breaches = {"missing": None, "breaching": True, "notBreaching": False}[self.missing]
        self.window = [*self.window, breaches][-self.datapoints :]
        if self.window == [True] * self.datapoints:
            self.state = ALARM
        elif set(self.window) == {None}:
            self.state = UNKNOWN
        elif False in self.window:
            self.state = OK


@dataclass
class Wish:
    """What one policy says of its latest value."""

    fresh: bool = False
    alarm_for_more: bool = False
    capacity: int | None = None


class PaperTracking:
    """A2, A3, T1, T2, C4."""

    def __init__(self, policy: Any) -> None:
        self.policy, self.wish, self.cooldown_s = policy, Wish(), policy.in_cooldown_s
        self.high = PaperAlarm("AlarmHigh", ">", policy.target, policy.out_datapoints)
        self.low = PaperAlarm("AlarmLow", "<", policy.in_factor * policy.target, policy.in_datapoints)
        self.alarms = [self.high, self.low]
        self.has_a_say = not policy.disable_scale_in
        self.until = -math.inf

    def read(self, time: float, value: float, in_service: int, asked: int) -> None:
        for alarm in self.alarms:
            alarm.look(value)
        high, low = self.high.state == ALARM, self.low.state == ALARM
        self.wish = Wish(True, high)
        blocked = high and time < self.until
        if not math.isnan(value) and not blocked and (high or (low and self.has_a_say)):
            exact = Fraction(value).limit_denominator(10**7)  # a sum of 1/n is a fraction
            self.wish.capacity = math.ceil(in_service * exact / Fraction(self.policy.target))

    def won(self, time: float, before: int) -> None:
        """C4."""
        if self.policy.out_cooldown_lets == "nothing":
            self.until = time + self.policy.out_cooldown_s


class PaperSteps:
    """A3, S1, S2, C1."""

    has_a_say = False

    def __init__(self, policy: Any) -> None:
        self.policy, self.wish, self.cooldown_s = policy, Wish(), policy.cooldown_s
        alarm = PaperAlarm("StepAlarm", policy.comparison, policy.threshold, policy.datapoints, policy.missing_data)
        self.alarms = [alarm]
        self.before, self.until = 0, -math.inf

    def read(self, time: float, value: float, in_service: int, asked: int) -> None:
        alarm, policy = self.alarms[0], self.policy
        alarm.look(value)
        self.wish = Wish(True)
        if alarm.state != ALARM or (math.isnan(value) and policy.missing_data != "breaching"):
            return
        step = self.step(policy.threshold if math.isnan(value) else value)
        if step is None:
            return
        if self.adjusted(asked, step) > asked:
            self.wish = Wish(True, True, self.adjusted(self.before if time < self.until else asked, step))
        elif self.adjusted(asked, step) < asked:
            self.wish.capacity = self.adjusted(asked, step)

    def step(self, value: float) -> int | None:
        """S1."""
        distance = value - self.policy.threshold
        for step in self.policy.steps:
            lower = -math.inf if step.lower is None else step.lower
            upper = math.inf if step.upper is None else step.upper
            if self.policy.comparison in (">", ">=") and lower <= distance < upper:
                return step.adjustment
            if self.policy.comparison in ("<", "<=") and lower < distance <= upper:
                return step.adjustment
        return None

    def adjusted(self, capacity: int, adjustment: int) -> int:
        """S2."""
        kind = self.policy.adjustment_type
        if kind == "ExactCapacity":
            return adjustment
        if kind == "ChangeInCapacity":
            return max(0, capacity + adjustment)
        exact = Fraction(capacity * adjustment, 100)
        if exact == 0 and adjustment == 0:
            return capacity
        size = max(1 if 0 < abs(exact) < 1 else math.floor(abs(exact)), self.policy.min_adjustment_magnitude)
        return max(0, capacity + size if adjustment > 0 else capacity - size)

    def won(self, time: float, before: int) -> None:
        if time >= self.until:
            self.before, self.until = before, time + self.policy.cooldown_s


class PaperAutoscaler:
    """The policies of one fleet."""

    def __init__(self, policies: Sequence[Any], asked: int) -> None:
        """*policies* that watch a metric, and the instances asked for at the beginning."""
        self.policies = [PaperTracking(p) if hasattr(p, "target") else PaperSteps(p) for p in policies]
        self.asked = asked
        self.least = policies[0].min_capacity if policies else 0
        self.most = policies[0].max_capacity if policies else math.inf
        self.no_scale_in_until = -math.inf

    def schedule(self, least: int | None, most: int | None) -> None:
        """C3."""
        self.least = self.least if least is None else least
        self.most = self.most if most is None else most
        self.asked = int(min(max(self.asked, self.least), self.most))

    def read(self, time: float, values: dict[int, float], in_service: int) -> None:
        """The values of some policies' metrics have become known, all at one instant."""
        for number, policy in enumerate(self.policies):
            policy.wish.fresh = False
            if number in values:
                policy.read(time, values[number], in_service, self.asked)
        self._go(time)

    def _go(self, time: float) -> None:
        """P1, P2, C2, B1."""
        asking = [p for p in self.policies if p.wish.fresh and p.wish.capacity is not None]
        outward = [p for p in asking if p.wish.alarm_for_more]
        if outward:
            first = max(outward, key=lambda p: p.wish.capacity)
            wanted = int(max(self.least, min(first.wish.capacity, self.most)))
            if wanted > self.asked:
                first.won(time, self.asked)
                self.asked, self.no_scale_in_until = wanted, -math.inf
            return
        if not asking or any(p.wish.alarm_for_more for p in self.policies) or time < self.no_scale_in_until:
            return
        say = [p for p in self.policies if p.has_a_say or p in asking]
        if all(p.wish.capacity is not None for p in say):
            first = max(say, key=lambda p: p.wish.capacity)
            wanted = max(self.least, first.wish.capacity)
            if wanted < self.asked:
                self.asked, self.no_scale_in_until = wanted, time + first.cooldown_s

    def states(self) -> list[tuple[int, str, str]]:
        """(policy, alarm, state) of every alarm."""
        return [(n, a.name, a.state) for n, p in enumerate(self.policies) for a in p.alarms]
