"""Azure Monitor's autoscaler, as data: any rule scales out, all must agree to scale in, and never back and forth.

The engine's steps are those of "Understand autoscale settings" and "Best practices for autoscale" (Azure Monitor):
out if any rule for it fires, to the highest capacity asked for; else in if all rules for it fire, by the fewest; no
scale-in after which a rule for more would fire.  Each rule waits out its own cooldown, counted from the last action
of any rule.

    >>> busy = Rule("WorkerUtilization", ">", 70, change=2, cooldown_s=3600)
    >>> calm = Rule("WorkerUtilization", "<", 30, change=-1, cooldown_s=2400)
    >>> policy = RuleScaling((busy, calm), min_capacity=2, max_capacity=5)
    >>> policy.wanted(2, (90, 90), since_action_s=5000), policy.wanted(4, (10, 10), since_action_s=2300)
    (4, 4)
    >>> policy.wanted(4, (10, 10), since_action_s=2400), policy.wanted(4, (90, 90), since_action_s=2400)
    (3, 4)
"""

import math
import operator as compare
from collections.abc import Callable, Iterator, Sequence
from dataclasses import field
from statistics import fmean
from typing import Annotated, Literal

from pydantic import Field

from simlib.parameters import Count, NonNegative, Positive, Real, Whole, config
from simlib.serving.bounds import check_bounds
from simlib.serving.metrics import PER_INSTANCE, Metric

Operator = Literal[">", ">=", "<", "<=", "==", "!="]
Aggregation = Literal["Average", "Minimum", "Maximum", "Total", "Count", "Last"]
Change = Literal["ChangeCount", "PercentChangeCount", "ExactCount"]

_COMPARE = {
    ">": compare.gt,
    ">=": compare.ge,
    "<": compare.lt,
    "<=": compare.le,
    "==": compare.eq,
    "!=": compare.ne,
}
_AGGREGATE: dict[str, Callable[[Sequence[float]], float]] = {
    "Average": fmean,
    "Minimum": min,
    "Maximum": max,
    "Total": math.fsum,
    "Count": len,
    "Last": lambda values: values[-1],
}


@config
class Rule:
    """One condition and what to do where it holds.

    Parameters
    ----------
    metric : str
        See `serving.metrics`.
    operator, threshold : str, float
        The rule fires where the metric, aggregated over the window, compares so with the threshold.
    change : int
        More than 0: how many instances (or percent) more; less than 0: fewer; with type="ExactCount": how many, and
        `direction` says for which way it is meant.
    type : "ChangeCount" | "PercentChangeCount" | "ExactCount"
    direction : "Increase" | "Decrease" | None
        None: the sign of `change` says it.
    window_s : float
        How far the rule looks back [s] (`timeWindow`).
    aggregation : str
        How the values of the window become one (`timeAggregation`).
    cooldown_s : float
        How long after the last action of any rule this one may act [s].
    """

    metric: Metric
    operator: Operator
    threshold: Real
    change: Annotated[int, Field(strict=True)] = field(kw_only=True)
    type: Change = field(default="ChangeCount", kw_only=True)
    direction: Literal["Increase", "Decrease"] | None = field(default=None, kw_only=True)
    window_s: Positive = field(default=300.0, kw_only=True)
    aggregation: Aggregation = field(default="Average", kw_only=True)
    cooldown_s: NonNegative = field(default=300.0, kw_only=True)

    def __post_init__(self) -> None:
        if self.change == 0 and self.type != "ExactCount":
            raise ValueError("change=0 is not possible: a rule should change something.")
        if self.type == "ExactCount" and (self.change < 0 or self.direction is None):
            raise ValueError('type="ExactCount" needs change= of at least 0 and direction=.')

    @property
    def outward(self) -> bool:
        """Whether it is a rule for more."""
        return self.direction == "Increase" if self.direction else self.change > 0

    def fires(self, value: float) -> bool:
        """Whether the condition holds; never without data."""
        return not math.isnan(value) and bool(_COMPARE[self.operator](value, self.threshold))

    def aggregate(self, values: Sequence[float]) -> float:
        """One value from those of the window; NaN where there is none."""
        return float(_AGGREGATE[self.aggregation](values)) if values else math.nan

    def applied(self, capacity: int) -> int:
        """The capacity it asks for.  Assumption: a percentage is rounded away from zero, so it changes something."""
        if self.type == "ExactCount":
            return self.change
        step = abs(self.change)
        if self.type == "PercentChangeCount":
            step = math.ceil(capacity * step / 100)
        return capacity + step if self.outward else capacity - step


@config
class RuleScaling:
    """Scale by rules as Azure Monitor does.

    Parameters
    ----------
    rules : sequence of Rule
    min_capacity, max_capacity : int
        Bounds of the number of instances (`capacity.minimum`, `capacity.maximum`).
    period_s : float
        How often the engine looks [s]; every 30 to 60 s on Azure.  Assumption: 60.
    metric_delay_s : float
        How long after its end a period's value is known [s].  Assumption: at once.
    """

    rules: tuple[Rule, ...]
    min_capacity: Whole = field(default=1, kw_only=True)
    max_capacity: Count = field(default=1, kw_only=True)
    period_s: Positive = field(default=60.0, kw_only=True)
    metric_delay_s: NonNegative = field(default=0.0, kw_only=True)

    def __post_init__(self) -> None:
        check_bounds(self.min_capacity, self.max_capacity)
        if not self.rules:
            raise ValueError("rules=() is not possible: there should be at least one Rule.")

    def wanted(self, capacity: int, values: Sequence[float], since_action_s: float) -> int:
        """The capacity the rules ask for, within the bounds; *values* are the rules' aggregated metrics, in order."""
        seen = list(zip(self.rules, values, strict=True))
        outward = [rule for rule, value in seen if rule.outward and rule.fires(value)]
        if outward:
            asked = [rule.applied(capacity) for rule in outward if since_action_s >= rule.cooldown_s]
            return max(capacity, self._within(max(asked, default=capacity)))
        inward = [(rule, value) for rule, value in seen if not rule.outward]
        if not inward or not all(rule.fires(value) for rule, value in inward):
            return capacity
        fewest = max((rule for rule, _ in inward), key=lambda rule: rule.applied(capacity))
        if since_action_s < fewest.cooldown_s:
            return capacity
        return self._without_flapping(capacity, min(capacity, self._within(fewest.applied(capacity))), values)

    def _without_flapping(self, capacity: int, wanted: int, values: Sequence[float]) -> int:
        """The least capacity from *wanted* up at which no rule for more would fire at the load of now."""
        for fewer in range(max(wanted, 0), capacity):
            if not any(
                rule.outward and rule.fires(_at(rule.metric, value, capacity, fewer))
                for rule, value in zip(self.rules, values, strict=True)
            ):
                return fewer
        return capacity

    def _within(self, capacity: int) -> int:
        return max(self.min_capacity, min(capacity, self.max_capacity))

    def assumptions(self) -> Iterator[tuple[str, object, str, str]]:
        """(parameter, value, mark, source) of what is not documented."""
        yield "scaling: period_s", self.period_s, "U", "the engine runs every 30 to 60 s"
        yield "scaling: anti-flapping", "metrics per instance rise as n / (n - k)", "D", "Azure: estimated final state"
        if any(rule.metric in ("WorkerUtilization", "DutyCycle") for rule in self.rules):
            yield "scaling: utilization", "from busy workers", "U", "how a machine's load follows from its requests"


def _at(metric: Metric, value: float, capacity: int, fewer: int) -> float:
    """What the metric would be on *fewer* instances, at the same load."""
    if metric not in PER_INSTANCE:
        return value
    return value * capacity / fewer if fewer else math.inf
