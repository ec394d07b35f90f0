"""Ways to update a live endpoint, as data: how the traffic moves from the old fleet to the new, and what turns it back.

    AllAtOnce   launch ─▶ 100 % ─ bake ─▶ done
    Canary      launch ─▶ 10 % ─ bake ─▶ 100 % ─ bake ─▶ done
    Linear      launch ─▶ 20 % ─ bake ─▶ 40 % ─ bake ─▶ … 100 % ─ bake ─▶ done
    Rolling     a batch up ─▶ 25 % ─ bake ─▶ a batch down, a batch up ─▶ 50 % … 100 % ─ bake ─▶ done

The names follow SageMaker's deployment guardrails.  What it refuses is in `platforms.validate`; here it is only asked
whether a rollout makes sense.  `updating` has the process that follows these rules.
"""

import math
import operator
from collections.abc import Iterator
from dataclasses import field
from itertools import count
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from simlib.parameters import Count, NonNegative, Positive, Real, config

Percent = Annotated[NonNegative, Field(gt=0, le=100)]
Watched = Literal[
    "ModelLatency",
    "Invocation5XXErrors",
    "ErrorRate",
    "CPUUtilization",
    "InvocationsPerInstance",
    "ConcurrentRequestsPerModel",
]

COMPARISONS = {">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le}


@config
class Alarm:
    """What turns an update back: a metric beyond its threshold in each of so many periods in a row.

    Parameters
    ----------
    metric : str
        ModelLatency: mean of the answers in the period [s].  Invocation5XXErrors: rejected, timed out and failed
        requests.  ErrorRate: those as a share of all outcomes in the period, from 0 to 1 (CloudWatch's average of
        Invocation5XXErrors).  The others as in `serving.scaling.Metric`.
    threshold : float
        In the metric's unit.
    comparison : ">" | ">=" | "<" | "<="
        How the metric is compared with the threshold.
    fleet : "new" | "old" | "both"
        Whose metric it is.
    period_s : float
        Periods are [k p, (k + 1) p) of the clock; the first one begins with the first traffic on the new fleet.
    datapoints : int
        Periods in a row that must be beyond the threshold.
    missing_data : "missing" | "breaching" | "notBreaching"
        What a period without data counts as.
    metric_delay_s : float
        From the end of a period until its value is known [s].  Assumption.
    """

    json_kind: ClassVar[str] = "RolloutAlarm"  # monitoring has alarms of another kind

    metric: Watched
    threshold: Real
    comparison: Literal[">", ">=", "<", "<="] = field(default=">", kw_only=True)
    fleet: Literal["new", "old", "both"] = field(default="new", kw_only=True)
    period_s: Positive = field(default=60.0, kw_only=True)
    datapoints: Count = field(default=1, kw_only=True)
    missing_data: Literal["missing", "breaching", "notBreaching"] = field(default="missing", kw_only=True)
    metric_delay_s: NonNegative = field(default=0.0, kw_only=True)

    @property
    def name(self) -> str:
        """How the event log calls it."""
        return f"{self.metric} {self.comparison} {self.threshold:g}"

    @property
    def missing(self) -> bool | None:
        """Whether a period without data meets the condition; None: neither."""
        return {"missing": None, "breaching": True, "notBreaching": False}[self.missing_data]

    def met(self, value: float) -> bool:
        """Whether a period's value is beyond the threshold."""
        return COMPARISONS[self.comparison](value, self.threshold)


@config
class AllAtOnce:
    """All traffic moves in one step, once the new fleet is in service.

    Without a bake and a termination wait, one fleet only is on the bill at any time (V, developer guide).

    Parameters
    ----------
    bake_s : float
        For so long the alarms watch the new fleet before the old one goes [s] (`WaitIntervalInSeconds`).
    alarms : sequence of Alarm
        Any of them on while the new fleet bakes: all traffic goes back to the old fleet (`AutoRollbackConfiguration`).
    termination_wait_s : float
        The old fleet stays for so long after the update is done [s] (`TerminationWaitInSeconds`).
    maximum_execution_timeout_s : float
        An update that is not done by then is turned back [s].  Its default, the longest allowed, is an assumption.
    """

    bake_s: NonNegative = field(default=0.0, kw_only=True)
    alarms: tuple[Alarm, ...] = field(default=(), kw_only=True)
    termination_wait_s: NonNegative = field(default=0.0, kw_only=True)
    maximum_execution_timeout_s: Positive = field(default=28_800.0, kw_only=True)

    def __post_init__(self) -> None:
        _check_patience(self)

    def told(self) -> str:
        """The rollout in words."""
        return "all at once" + _and_then(self)

    def shares(self) -> Iterator[float]:
        """The part of the traffic that the new fleet has after each step, from 0 to 1."""
        yield 1.0


@config
class Canary:
    """A part of the traffic first, to a part of the new fleet; after the bake all of it, which bakes once more.

    Parameters
    ----------
    size_percent : float
        The canary: so much of the traffic goes to so much of the new fleet, whole instances, rounded up [%]
        (`CanarySize`; SageMaker allows up to 50).
    bake_s, alarms, termination_wait_s, maximum_execution_timeout_s
        As in `AllAtOnce`; each step bakes.
    """

    size_percent: Percent = 10.0
    bake_s: NonNegative = field(default=600.0, kw_only=True)
    alarms: tuple[Alarm, ...] = field(default=(), kw_only=True)
    termination_wait_s: NonNegative = field(default=0.0, kw_only=True)
    maximum_execution_timeout_s: Positive = field(default=28_800.0, kw_only=True)

    def __post_init__(self) -> None:
        _check_patience(self)

    def told(self) -> str:
        """The rollout in words."""
        return f"canary {self.size_percent:g} %" + _and_then(self)

    def shares(self) -> Iterator[float]:
        """The part of the traffic that the new fleet has after each step, from 0 to 1."""
        if self.size_percent < 100:
            yield self.size_percent / 100
        yield 1.0


@config
class Linear:
    """Equal steps, each with its bake, until all traffic is on the new fleet.

    Parameters
    ----------
    step_percent : float
        So much of the traffic, and of the new fleet, in each step [%] (`LinearStepSize`; SageMaker allows 10 to 50).
    bake_s, alarms, termination_wait_s, maximum_execution_timeout_s
        As in `AllAtOnce`; each step bakes.
    """

    step_percent: Percent = 20.0
    bake_s: NonNegative = field(default=600.0, kw_only=True)
    alarms: tuple[Alarm, ...] = field(default=(), kw_only=True)
    termination_wait_s: NonNegative = field(default=0.0, kw_only=True)
    maximum_execution_timeout_s: Positive = field(default=28_800.0, kw_only=True)

    def __post_init__(self) -> None:
        _check_patience(self)

    def told(self) -> str:
        """The rollout in words."""
        return f"linear, {self.step_percent:g} % a step" + _and_then(self)

    def shares(self) -> Iterator[float]:
        """The part of the traffic that the new fleet has after each step, from 0 to 1."""
        return steps(self.step_percent)


@config
class Rolling:
    """Batch by batch: new instances come, take their part of the traffic and bake; then as many old ones go.

    No double fleet is needed; but after an alarm, old instances must be launched again.

    Parameters
    ----------
    batch_percent : float
        How much of the fleet a batch is [%], whole instances, rounded up (`MaximumBatchSize`; SageMaker allows 5 to
        50).
    rollback_batch_percent : float
        The same for the way back [%] (`RollbackMaximumBatchSize`; all at once by default, as on SageMaker).
    bake_s, alarms, maximum_execution_timeout_s
        As in `AllAtOnce`; each batch bakes.
    """

    batch_percent: Percent = 25.0
    bake_s: NonNegative = field(default=600.0, kw_only=True)
    alarms: tuple[Alarm, ...] = field(default=(), kw_only=True)
    rollback_batch_percent: Percent = field(default=100.0, kw_only=True)
    maximum_execution_timeout_s: Positive = field(default=28_800.0, kw_only=True)
    termination_wait_s: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        _check_patience(self)

    def told(self) -> str:
        """The rollout in words."""
        return f"rolling, {self.batch_percent:g} % a batch" + _and_then(self)

    def shares(self) -> Iterator[float]:
        """The part of the traffic that the new fleet has after each step, from 0 to 1."""
        return steps(self.batch_percent)


Rollout = AllAtOnce | Canary | Linear | Rolling


def steps(percent: float) -> Iterator[float]:
    """Multiples of *percent* as shares, until all."""
    for k in count(1):
        if k * percent >= 100 * (1 - 1e-9):
            yield 1.0
            return
        yield k * percent / 100


def instances_for(share: float, instances: int) -> int:
    """How many of so many *instances* a *share* of the traffic needs, rounded up."""
    return math.ceil(round(share * instances, 9))


def _and_then(rollout: "Rollout") -> str:
    watched = ", ".join(alarm.name for alarm in rollout.alarms)
    return f", bake {rollout.bake_s:g} s" + (f", watching {watched}" if watched else "")


def _check_patience(rollout: "Rollout") -> None:
    waits = len(list(rollout.shares())) * rollout.bake_s + rollout.termination_wait_s
    if rollout.maximum_execution_timeout_s <= waits:
        raise ValueError(
            f"maximum_execution_timeout_s={rollout.maximum_execution_timeout_s!r} is not possible: "
            f"it should be longer than all bakes and the termination wait together, {waits:g} s."
        )
