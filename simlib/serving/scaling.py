"""Scaling policies, as data: what is watched, when it is too much or too little, and by how much the fleet changes.

The names are Application Auto Scaling's.  `autoscaler` has the processes that follow these policies.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import field
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field

from simlib.parameters import Count, Flag, NonNegative, Positive, Real, Share, Text, Whole, config
from simlib.serving.bounds import check_bounds
from simlib.serving.metrics import CALLS, Metric, NoCalls
from simlib.serving.replica_tracking import ReplicaTracking
from simlib.serving.rule_scaling import RuleScaling
from simlib.serving.schedules import Schedule, schedule


@config
class TargetTracking:
    """Keep a metric near a target.

    Out: the metric is above `target` for `out_datapoints` periods in a row.  In: it is below `in_factor * target` for
    `in_datapoints` periods in a row.  In both cases the wanted capacity is ceil(instances in service * metric /
    target), within the bounds; a scale-out happens only if that is more than the capacity already asked for, so
    instances on their way count.  AWS documents neither the formula nor the alarms' exact form; 3, 15 and 0.9 are what
    users see in the alarms it makes.

    Parameters
    ----------
    target : float
        In the metric's unit; InvocationsPerInstance counts per minute at a period of 60 s.
    metric : str
        See `Metric`.
    min_capacity, max_capacity : int
        Bounds of the number of instances.
    out_datapoints, in_datapoints : int
        Periods in a row.
    in_factor : float
        What part of the target the metric must fall below.
    in_cooldown_s : float
        After a scale-in, none follows within this time, but a scale-out does, and ends it [s].
    out_cooldown_s : float
        After a scale-out, what `out_cooldown_lets` says is all that follows within this time [s].
    out_cooldown_lets : "larger" | "nothing"
        The vendor's two guides differ.  Application Auto Scaling's: a larger scale-out still follows; the formula above
        never asks for another, so `out_cooldown_s` then changes nothing.  SageMaker's: no scale-out follows.
    no_calls : "missing" | "zero"
        What InvocationsPerInstance is for a period in which nobody calls.  SageMaker's guide first said that no metric
        of zero is published, so a fleet without traffic does not scale in; a later text says that it is, and that the
        fleet scales in to its minimum.  Assumption: missing.
    period_s : float
        Length of a metric's period [s].
    metric_delay_s : float
        How long after its end a period's value is known [s].  Assumption: at once.
    disable_scale_in : bool
        Only ever scale out.
    """

    target: Positive
    metric: Metric = field(default="InvocationsPerInstance", kw_only=True)
    min_capacity: Whole = field(default=1, kw_only=True)
    max_capacity: Count = field(default=1, kw_only=True)
    out_datapoints: Count = field(default=3, kw_only=True)
    in_datapoints: Count = field(default=15, kw_only=True)
    in_factor: Share = field(default=0.9, kw_only=True)
    out_cooldown_s: NonNegative = field(default=300.0, kw_only=True)
    out_cooldown_lets: Literal["larger", "nothing"] = field(default="larger", kw_only=True)
    in_cooldown_s: NonNegative = field(default=300.0, kw_only=True)
    period_s: Positive = field(default=60.0, kw_only=True)
    metric_delay_s: NonNegative = field(default=0.0, kw_only=True)
    no_calls: NoCalls = field(default="missing", kw_only=True)
    disable_scale_in: Flag = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        check_bounds(self.min_capacity, self.max_capacity)


@config
class BacklogTracking(TargetTracking):
    """Keep the backlog per instance of an asynchronous endpoint near a target, with no instance where nobody waits.

    `TargetTracking` on ApproximateBacklogSizePerInstance, so the wanted capacity is ceil(backlog / target).  From zero
    it starts only when the backlog is above the target; `wake_from_zero` starts for less.  AWS's example has a target
    of 5, min_capacity=0 and max_capacity=5.
    """

    metric: Literal["ApproximateBacklogSizePerInstance"] = field(
        default="ApproximateBacklogSizePerInstance", kw_only=True
    )
    min_capacity: Whole = field(default=0, kw_only=True)


NO_BOUND = 1 << 30

AdjustmentType = Literal["ChangeInCapacity", "PercentChangeInCapacity", "ExactCapacity"]


@config
class Step:
    """What to do while the metric is so far from the threshold: `adjustment` between the bounds `lower` and `upper`.

    Bounds are relative to the threshold; None is infinite.  Above the threshold the lower bound belongs to the step and
    the upper does not; below, the other way round (Application Auto Scaling user guide).
    """

    adjustment: Annotated[int, Field(strict=True)]
    lower: Real | None = field(default=None, kw_only=True)
    upper: Real | None = field(default=None, kw_only=True)

    def holds(self, distance: float, *, above: bool) -> bool:
        """Whether the metric's distance from the threshold lies in this step."""
        lower = -math.inf if self.lower is None else self.lower
        upper = math.inf if self.upper is None else self.upper
        return lower <= distance < upper if above else lower < distance <= upper


@config
class StepScaling:
    """Change capacity by steps, the more the further a metric is beyond a threshold.

    Parameters
    ----------
    threshold : float
        In the metric's unit.
    steps : sequence of Step
        Without gaps or overlaps.
    metric : str
        See `Metric`.
    comparison : ">" | ">=" | "<" | "<="
        How the metric is compared with the threshold; the two "less" ones are for scaling in.
    adjustment_type : "ChangeInCapacity" | "PercentChangeInCapacity" | "ExactCapacity"
        What `adjustment` means.  Percentages are rounded away from zero below 1, else towards zero.
    min_adjustment_magnitude : int
        Instances a percentage changes at least.
    datapoints : int
        Periods in a row that must be beyond the threshold.
    cooldown_s : float
        After a scale-out, a further one counts from the capacity before it, so only a larger one adds more; after a
        scale-in, none follows within this time [s].
    missing_data : "missing" | "breaching" | "notBreaching"
        What a period without data counts as.
    no_calls : "missing" | "zero"
        As for `TargetTracking`.
    """

    threshold: Real
    steps: tuple[Step, ...]
    metric: Metric = field(default="InvocationsPerInstance", kw_only=True)
    comparison: Literal[">", ">=", "<", "<="] = field(default=">", kw_only=True)
    adjustment_type: AdjustmentType = field(default="ChangeInCapacity", kw_only=True)
    min_adjustment_magnitude: Count = field(default=1, kw_only=True)
    min_capacity: Whole = field(default=1, kw_only=True)
    max_capacity: Count = field(default=1, kw_only=True)
    datapoints: Count = field(default=3, kw_only=True)
    cooldown_s: NonNegative = field(default=300.0, kw_only=True)
    missing_data: Literal["missing", "breaching", "notBreaching"] = field(default="missing", kw_only=True)
    period_s: Positive = field(default=60.0, kw_only=True)
    metric_delay_s: NonNegative = field(default=0.0, kw_only=True)
    no_calls: NoCalls = field(default="missing", kw_only=True)

    def __post_init__(self) -> None:
        check_bounds(self.min_capacity, self.max_capacity)
        if not self.steps:
            raise ValueError("steps=() is not possible: there should be at least one Step.")
        ordered = sorted(self.steps, key=lambda s: -math.inf if s.lower is None else s.lower)
        for step in ordered:
            if (step.upper if step.upper is not None else math.inf) <= (
                -math.inf if step.lower is None else step.lower
            ):
                raise ValueError(f"steps: {step!r} is empty: its upper bound should be above its lower.")
        for one, other in pairwise(ordered):
            if one.upper is None or one.upper != other.lower:
                raise ValueError(f"steps: {one!r} and {other!r} should meet, without a gap or an overlap.")

    @property
    def above(self) -> bool:
        """Whether the policy acts above its threshold."""
        return self.comparison in (">", ">=")

    def wanted(self, capacity: int, value: float) -> int:
        """The capacity this policy asks for at a metric's *value*, counting from *capacity*; no step, no change."""
        for step in self.steps:
            if step.holds(value - self.threshold, above=self.above):
                return max(0, self._adjusted(capacity, step.adjustment))
        return capacity

    def _adjusted(self, capacity: int, adjustment: int) -> int:
        if self.adjustment_type == "ExactCapacity":
            return adjustment
        if self.adjustment_type == "ChangeInCapacity":
            return capacity + adjustment
        change = capacity * adjustment / 100
        size = 1 if 0 < abs(change) < 1 else math.floor(abs(change))
        return (
            capacity + int(math.copysign(max(size, self.min_adjustment_magnitude), adjustment))
            if adjustment
            else capacity
        )


@config
class ScheduledScaling:
    """Change the bounds of capacity at set times, whatever the cooldowns.

    Parameters
    ----------
    when : str
        "at(2026-01-05T08:00:00)", "rate(1 hour)" or "cron(0 8 ? * MON-FRI *)", in the syntax of AWS.
    min_capacity, max_capacity : int or None
        The new bounds; None leaves one as it is.  Capacity outside them moves to the nearer one.
    timezone : str
        Of at() and cron(), e.g. "Europe/Madrid".
    """

    when: Text
    min_capacity: Whole | None = field(default=None, kw_only=True)
    max_capacity: Whole | None = field(default=None, kw_only=True)
    timezone: Text = field(default="UTC", kw_only=True)

    def __post_init__(self) -> None:
        if self.min_capacity is None and self.max_capacity is None:
            raise ValueError("give min_capacity=, max_capacity= or both.")
        if self.min_capacity is not None and self.max_capacity is not None:
            check_bounds(self.min_capacity, self.max_capacity)
        _ = self.schedule  # says what is wrong with it

    @property
    def schedule(self) -> Schedule:
        """The moments at which it acts."""
        return schedule(self.when, self.timezone)


Watching = TargetTracking | StepScaling | ReplicaTracking
Deciding = TargetTracking | StepScaling | ReplicaTracking | RuleScaling
Scaling = TargetTracking | StepScaling | ReplicaTracking | RuleScaling | ScheduledScaling


def watched(policy: Scaling) -> tuple[Metric, ...]:
    """The metrics that a policy watches; none for a schedule."""
    if isinstance(policy, RuleScaling):
        return tuple(dict.fromkeys(rule.metric for rule in policy.rules))
    return (policy.metric,) if isinstance(policy, Watching) else ()


def common_bounds(policies: Sequence[Scaling]) -> tuple[int, int]:
    """The bounds that all policies of one fleet share: it is one scalable target, with one pair of bounds.

    Raises
    ------
    ValueError
        If they do not agree.
    """
    bounds = {(policy.min_capacity, policy.max_capacity) for policy in policies if isinstance(policy, Deciding)}
    if len(bounds) > 1:
        raise ValueError(
            f"scaling: all policies should have the same min_capacity and max_capacity, not {sorted(bounds)}."
        )
    return bounds.pop() if bounds else (0, NO_BOUND)


def check_published(policies: Sequence[Scaling], endpoint: str, *missing: str) -> None:
    """Raise where a policy watches a metric that such an endpoint does not publish: it would never act."""
    for policy in policies:
        for metric in watched(policy):
            if metric in missing:
                raise ValueError(f"scaling: metric={metric!r} is not possible: {endpoint} does not publish it.")


def scaling_assumptions(policies: Sequence[Scaling]) -> Iterator[tuple[str, object, str, str]]:
    """(parameter, value, mark, source) of what these policies do that the platform does not document."""
    tracking = [policy for policy in policies if isinstance(policy, TargetTracking)]
    if tracking:
        source = "AWS says only: out in proportion, in with caution"
        yield "scaling: wanted", "ceil(instances * metric / target)", "U", source
    if any((policy.out_datapoints, policy.in_datapoints, policy.in_factor) == (3, 15, 0.9) for policy in tracking):
        yield "scaling: alarms", "3 above target, 15 below 0.9 of it", "S", "seen by users in the alarms AWS makes"
    if any(
        isinstance(p, TargetTracking | StepScaling) and (p.metric, p.no_calls) == (CALLS, "missing") for p in policies
    ):
        yield "scaling: no_calls", "missing", "U", "AWS said so once, and later that a metric of zero is published"
    for policy in policies:
        if isinstance(policy, ReplicaTracking | RuleScaling):
            yield from policy.assumptions()
    if any(isinstance(policy, Deciding) and policy.metric_delay_s == 0 for policy in policies):
        yield "scaling: metric_delay_s", 0.0, "U", "undocumented: how long a period's value takes to be known"
