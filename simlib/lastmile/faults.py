"""What can go wrong beside the world's own changes: six faults to switch on, alone or together."""

from typing import Literal

from simlib.parameters import Count, NonNegative, Positive, Text, config


@config
class BadVersion:
    """A version that passed its evaluation is bad once it serves.

    Parameters
    ----------
    number : int
        Which one; 2 is the first that the pipeline trains.
    flaw : "slow" | "wrong"
        slow: it takes *times* as long to answer.  wrong: the program before it feeds it one feature in another unit
        (training–serving skew), so its answers come in time and are worth nothing.
    times : float
        How many times as slow.
    """

    number: Count = 2
    flaw: Literal["slow", "wrong"] = "slow"
    times: Positive = 6.0


@config
class BrokenFeature:
    """A program upstream begins to record a feature in another unit.

    Its owners repair it within working hours once a data alarm has told them, else *unnoticed_days* later, when
    customers complain.

    Parameters
    ----------
    at_day : float
    column : str
    factor : float
        What is recorded is so many times the truth.
    repair_hours : float
        Working hours that the repair takes.
    unnoticed_days : float
    """

    at_day: NonNegative = 12.0
    column: Text = "debt_ratio"
    factor: Positive = 100.0
    repair_hours: Positive = 4.0
    unnoticed_days: Positive = 10.0


@config
class SlowApproval:
    """Whoever approves is away from *at_day* for *days* days."""

    at_day: NonNegative = 10.0
    days: Count = 7


@config
class CapacityShortage:
    """From *at_day* for *days* days the region has no machine of the kind: what is asked for comes only then."""

    at_day: NonNegative = 10.0
    days: Positive = 3.0


@config
class FlashCrowd:
    """For some hours *times* as many requests as usual come on top.

    Parameters
    ----------
    at_day : float or None
        When.  None: as soon as the first rollout has begun, if there is one before the end; else on day 10.
    """

    at_day: NonNegative | None = None
    times: Positive = 3.0
    hours: Positive = 2.0


@config
class LabelOutage:
    """Labels that would come between *at_day* and *days* days later come only at its end."""

    at_day: NonNegative = 8.0
    days: Positive = 8.0


Fault = BadVersion | BrokenFeature | SlowApproval | CapacityShortage | FlashCrowd | LabelOutage
