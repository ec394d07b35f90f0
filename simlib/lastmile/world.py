"""The world a policy has to live in: who calls, what changes, when labels come, what a wrong decision costs.

The business is invented: a shop asks a model, at each order, whether the customer may pay later.  Whom it declines
though they would have paid takes the order elsewhere; whom it accepts and should not have leaves a debt.  Amounts a
request are small, as for small orders, and are assumptions like all other fields that name no vendor's rule.
"""

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Annotated, Any

import numpy as np
from pydantic import PlainValidator

from simlib.model import Law, lognormal
from simlib.monitoring import ConceptDrift, DataDrift, LoanBook
from simlib.monitoring.streams import Stream
from simlib.parameters import Count, Flag, NonNegative, Positive, Share, Text, Whole, checked, config

OFFICE_HOURS_A_WEEK = 40.0


def _no_bias(value: object) -> object:
    drifts = tuple(value) if isinstance(value, list | tuple) else (value,)
    for drift in drifts:
        if not isinstance(drift, DataDrift | ConceptDrift):
            raise ValueError(f"drifts: {drift!r} should be a DataDrift or a ConceptDrift: those that change the world.")
    return drifts


@config
class World:
    """A world.  `team()` and `full()` make the two that the course uses.

    Parameters
    ----------
    mean_rate, peak_to_mean : float
        Requests/s over a day, and how much more at its peak.
    days : int
        How long the story is.
    start : str
        What the calendar says at its beginning.
    service : Law
        How long one request takes a worker [s].
    instance_type, workers, max_instances
        What serves, and the most of it that autoscaling may ask for.
    drifts : sequence of DataDrift or ConceptDrift
        What changes.
    label_delay_days, label_spread_days : float
        When the truth of a request is known: a fixed time, plus an exponential one of this mean [days].
    history_rows : int
        Labelled rows from before day 0 that the first version learned from.
    history_seed : int
        Which rows those were.
    facet, disadvantaged : str
        The column of groups, and the group for which decisions have to be as fair.
    declined_good_usd, accepted_bad_usd, unanswered_usd : float
        What it costs to decline who would have paid, to accept who will not, and to give no answer.
    review_usd : float
        A person's time for one approval.
    on_call_usd_per_hour : float
        Each hour a week of approval beyond an office's forty.
    timezone, holidays, response
        Of the person who approves: where, which days off, and working time until the answer [s].
    max_p99_s, max_error_rate : float
        The service level: the run's p99 [s], and its share of requests without an answer.
    fairness_bound, max_unfair_days : float, int
        On at most so many days may good customers of the disadvantaged group be declined more often than all others by
        more than this (the difference of false positive rates over the last seven days; one-sided, as it protects
        that group).
    needs_person : bool
        Whether no version may go out without a person's yes.
    thinning : int
        Each simulated request stands for so many; money counts them all.  1 but in the cockpit.
    """

    mean_rate: Positive = field(default=1.0, kw_only=True)
    peak_to_mean: Positive = field(default=1.8, kw_only=True)
    days: Count = field(default=60, kw_only=True)
    start: Text = field(default="2026-01-05T00:00Z", kw_only=True)
    service: Law = field(default=lognormal(mean=0.8, cv=0.4), kw_only=True)
    instance_type: Text = field(default="ml.m5.large", kw_only=True)
    workers: Count = field(default=2, kw_only=True)
    max_instances: Count = field(default=4, kw_only=True)
    drifts: Annotated[Any, PlainValidator(_no_bias)] = field(default=(), kw_only=True)
    label_delay_days: NonNegative = field(default=1.0, kw_only=True)
    label_spread_days: NonNegative = field(default=0.5, kw_only=True)
    history_rows: Count = field(default=30_000, kw_only=True)
    history_seed: Whole = field(default=5, kw_only=True)
    facet: Text = field(default="gender", kw_only=True)
    disadvantaged: Text = field(default="woman", kw_only=True)
    declined_good_usd: Positive = field(default=0.003, kw_only=True)
    accepted_bad_usd: Positive = field(default=0.009, kw_only=True)
    unanswered_usd: NonNegative = field(default=0.003, kw_only=True)
    review_usd: NonNegative = field(default=40.0, kw_only=True)
    on_call_usd_per_hour: NonNegative = field(default=2.0, kw_only=True)
    timezone: Text = field(default="Europe/Madrid", kw_only=True)
    holidays: tuple[Text, ...] = field(default=("2026-01-06",), kw_only=True)
    response: Law = field(default=lognormal(mean=7200, cv=0.5), kw_only=True)
    max_p99_s: Positive = field(default=4.0, kw_only=True)
    max_error_rate: Share = field(default=0.001, kw_only=True)
    fairness_bound: Share = field(default=0.05, kw_only=True)
    max_unfair_days: Whole = field(default=4, kw_only=True)
    needs_person: Flag = field(default=True, kw_only=True)
    thinning: Count = field(default=1, kw_only=True)

    def __post_init__(self) -> None:
        Stream(LoanBook(), self.drifts)  # says what is wrong with a drift

    def in_words(self) -> tuple[tuple[float, str], ...]:
        """(day, what changes then) of each drift."""
        return tuple((drift.at_day, _in_words(drift)) for drift in self.drifts)

    def broken(self, figures: Mapping[str, float]) -> tuple[str, ...]:
        """The limits that a run with these *figures* breaks, each in words."""
        limits = [
            (figures["p99_s"] > self.max_p99_s, f"p99 {figures['p99_s']:.3g} s, at most {self.max_p99_s:g} s"),
            (
                figures["error_rate"] > self.max_error_rate,
                f"{100 * figures['error_rate']:.3g} % without an answer, at most {100 * self.max_error_rate:g} %",
            ),
            (
                figures["unfair_days"] > self.max_unfair_days,
                f"{figures['unfair_days']:.0f} unfair days, at most {self.max_unfair_days}",
            ),
            (
                self.needs_person and figures["without_a_person"] > 0,
                f"{figures['without_a_person']:.0f} versions went out without a person's yes",
            ),
        ]
        return tuple(words for broken, words in limits if broken)

    @property
    def threshold(self) -> float:
        """The score above which declining is the cheaper mistake to risk: the cut that minimises expected cost."""
        return self.declined_good_usd / (self.declined_good_usd + self.accepted_bad_usd)

    def stream(self, *more: DataDrift | ConceptDrift) -> Stream:
        """The rows that requests carry, with *more* that changes."""
        return Stream(
            LoanBook(),
            (*self.drifts, *more),
            label_delay_days=self.label_delay_days,
            label_spread_days=self.label_spread_days,
        )


@checked
def team(*, changes: Whole | None = None, days: Count = 30, faultless: bool = False) -> World:
    """A small team's month: a request a second, a scheme that helps one group, and then a world that turns.

    Parameters
    ----------
    changes : int or None
        A seed for the days on which the world changes, so that nobody can learn them by heart; None: days 6 and 17.
    days : int
    faultless : bool
        Whether nothing changes at all.
    """
    first, second = 6.0, 17.0
    if changes is not None:
        rng = np.random.default_rng([changes, 0xC4A6E])
        first, second = (round(float(day), 2) for day in (rng.uniform(4, 8), rng.uniform(15, 19)))
    return World(days=days, drifts=() if faultless else _changes(first, second))


@checked
def full(*, days: Count = 60, mean_rate: Positive = 9.65) -> World:
    """Sixty days of fifty million requests, on the instances they need."""
    return World(days=days, mean_rate=mean_rate, max_instances=20, drifts=_changes(12.0, 36.0))


def _changes(first: float, second: float) -> tuple[ConceptDrift, ...]:
    newly_employed: Any = {"gender": ["woman"], "years_employed": (0.0, 3.0)}
    return (
        ConceptDrift(pattern=newly_employed, positive=0.1, at_day=first),
        ConceptDrift(rotate_degrees=60.0, at_day=second),
    )


def _in_words(drift: DataDrift | ConceptDrift) -> str:
    if not isinstance(drift, ConceptDrift) or drift.pattern is None:
        return f"the world changes: {drift.what}"
    where = " and ".join(f"{name} is {_such(values)}" for name, values in drift.pattern.items())
    return f"where {where}, {100 * drift.positive:g} % do not pay"


def _such(values: Sequence[object]) -> str:
    return f"{values[0]:g} to {values[1]:g}" if isinstance(values, tuple) else " or ".join(map(str, values))
