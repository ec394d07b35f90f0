"""What a team decides: how it watches its model, when it trains again, who approves, how a version goes out.

>>> from simlib import lastmile
>>> lastmile.Policy(monitor_every_hours=6, canary_percent=5.0).rollout
'canary'
>>> lastmile.Policy(rollout="canari")
Traceback (most recent call last):
simlib.parameters.ParameterError: Policy: rollout='canari' is not possible: it should be 'all_at_once', 'canary' ...
"""

import math
from collections.abc import Sequence
from dataclasses import field
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import Field

from simlib.mlops.people import Hour, WorkingHours
from simlib.parameters import Count, Flag, NonNegative, Positive, Share, config

Percent = Annotated[NonNegative, Field(gt=0, le=20)]
CanaryPercent = Annotated[NonNegative, Field(gt=0, le=50)]
Rate = Annotated[Share, Field(gt=0, le=0.5)]
Hours = Annotated[Count, Field(le=24)]
Watch = Literal["data", "quality", "bias"]


LONGEST_ROLLOUT_MINUTES = 480.0
"""SageMaker turns an update back that takes longer (`MaximumExecutionTimeoutInSeconds`, at most 28,800)."""


@config
class Policy:
    """A policy, as data: it prints, compares, and goes to JSON and back.

    Parameters
    ----------
    capture_percent : float
        Of the answered requests that are kept, with their rows [%]; at most 20.
    monitor_every_hours : int or None
        Hours between two looks of each monitor, 1 to 24; None: nobody watches.
    window_hours : float
        How much captured traffic a look compares.
    drift_threshold : share
        The data alarm rings if a feature's distribution is farther from the baseline's (robust L-infinity).
    loss_margin : share
        The quality alarm rings if decisions are surely more than so much dearer than when the version was evaluated.
    bias_threshold : share
        The bias alarm rings if good customers of the disadvantaged group are surely declined more often by more.
    false_alarms : share
        What "surely" means: an alarm on quality or bias rings at most so often a look while nothing is the matter.
    retrain : "never" | "calendar" | "on_alarm" | "both"
    retrain_on : sequence of "data", "quality", "bias"
        The alarms that order a retraining.
    retrain_every_days : int
        Of the calendar.
    wait_days : float
        No retraining begins sooner than this after the one before.
    training_days : float
        A new version learns from the labelled rows of the last so many days.
    min_gain : share
        A new version goes on only if it makes decisions on the newest labelled rows cheaper by so much.
    approval : "person" | "automatic"
    approval_from_hour, approval_to_hour : float
        When the person who approves works, in the world's time zone.
    approval_weekends : bool
        Whether they also work on Saturdays and Sundays.
    rollout : "all_at_once" | "canary" | "linear"
    canary_percent : float
        Of the traffic that the canary gets, and of each step of a linear rollout [%].
    bake_minutes : float
        How long each step of a rollout watches its alarms before it goes on.  While an endpoint is updated nobody
        scales it, so a long bake in a growing morning makes a good version slow.
    target : float
        Requests a minute that autoscaling wants each instance to have.
    min_instances : int
        Autoscaling goes no lower.
    """

    capture_percent: Percent = field(default=2.0, kw_only=True)
    monitor_every_hours: Hours | None = field(default=24, kw_only=True)
    window_hours: Positive = field(default=72.0, kw_only=True)
    drift_threshold: Share = field(default=0.1, kw_only=True)
    loss_margin: Share = field(default=0.05, kw_only=True)
    bias_threshold: Share = field(default=0.02, kw_only=True)
    false_alarms: Rate = field(default=0.001, kw_only=True)
    retrain: Literal["never", "calendar", "on_alarm", "both"] = field(default="on_alarm", kw_only=True)
    retrain_on: tuple[Watch, ...] = field(default=("quality", "bias"), kw_only=True)
    retrain_every_days: Count = field(default=14, kw_only=True)
    wait_days: NonNegative = field(default=2.0, kw_only=True)
    training_days: Positive = field(default=5.0, kw_only=True)
    min_gain: Share = field(default=0.01, kw_only=True)
    approval: Literal["person", "automatic"] = field(default="person", kw_only=True)
    approval_from_hour: Hour = field(default=9.0, kw_only=True)
    approval_to_hour: Hour = field(default=17.0, kw_only=True)
    approval_weekends: Flag = field(default=False, kw_only=True)
    rollout: Literal["all_at_once", "canary", "linear"] = field(default="canary", kw_only=True)
    canary_percent: CanaryPercent = field(default=10.0, kw_only=True)
    bake_minutes: NonNegative = field(default=20.0, kw_only=True)
    target: Positive = field(default=70.0, kw_only=True)
    min_instances: Count = field(default=1, kw_only=True)

    def __post_init__(self) -> None:
        if self.approval_to_hour <= self.approval_from_hour:
            raise ValueError(
                f"approval_to_hour={self.approval_to_hour:g} should be after "
                f"approval_from_hour={self.approval_from_hour:g}."
            )
        steps = {"all_at_once": 1, "canary": 2, "linear": math.ceil(100 / self.canary_percent)}[self.rollout]
        if steps * self.bake_minutes >= LONGEST_ROLLOUT_MINUTES:
            raise ValueError(
                f"bake_minutes={self.bake_minutes:g} is not possible: all {steps} bakes of the rollout together should "
                f"be shorter than {LONGEST_ROLLOUT_MINUTES:g} minutes."
            )

    @property
    def on_alarm(self) -> bool:
        """Whether an alarm orders a retraining."""
        return self.retrain in ("on_alarm", "both")

    @property
    def by_calendar(self) -> bool:
        """Whether the calendar does."""
        return self.retrain in ("calendar", "both")

    @property
    def hours_a_week(self) -> float:
        """Hours a week in which somebody is there to approve."""
        days = 7 if self.approval_weekends else 5
        return 0.0 if self.approval == "automatic" else days * (self.approval_to_hour - self.approval_from_hour)


def working_hours(
    begin: float, end: float, timezone: str, holidays: Sequence[str], weekends: bool = False
) -> WorkingHours:
    """From *begin* to *end* o'clock on weekdays, and at weekends where told so, but not on *holidays* (ISO dates)."""
    week: tuple[Any, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
    off = tuple(date.fromisoformat(day) for day in holidays)
    return WorkingHours(begin, end, days=week if weekends else week[:5], timezone=timezone, holidays=off)
