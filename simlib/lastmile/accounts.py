"""What is counted of the captured decisions, day by day, and what all decisions cost by that.

A decision is counted with what it costs *on average for such a customer*: the world knows how likely each was to pay.
Whether this one did is chance, and chance is no merit of a policy; leaving it out makes the same captured requests tell
four times as exactly what a policy is worth (Rao and Blackwell's step).  Monitors see labels only, as in life.
"""

import math
from typing import NamedTuple

import numpy as np
import pandas as pd

from simlib.lastmile.world import World
from simlib.monitoring.streams import DAY_S

ROLLING_DAYS = 7
Z95 = 1.959964


class Decisions(NamedTuple):
    """Sums over the captured requests of each day, one entry a day.

    A customer is good by a weight, the chance that they pay; of groups there are two columns, the disadvantaged one and
    all others.
    """

    rows: np.ndarray
    right: np.ndarray
    cost: np.ndarray  # expected [USD]
    cost_squared: np.ndarray
    good: np.ndarray  # (days, 2): sums of weights
    declined: np.ndarray  # (days, 2): those of them who were declined
    good_squared: np.ndarray  # (days, 2): sums of squared weights
    declined_squared: np.ndarray

    @classmethod
    def none(cls, days: int) -> "Decisions":
        """Nothing counted yet."""
        return cls(*(np.zeros(days) for _ in range(4)), *(np.zeros((days, 2)) for _ in range(4)))


def expected_cost(chance: np.ndarray, declined: np.ndarray, world: World) -> np.ndarray:
    """What each decision costs on average [USD], shape (n,), by the *chance* that the customer does not pay."""
    return np.where(declined, world.declined_good_usd * (1 - chance), world.accepted_bad_usd * chance)


def count(
    days: int, time_s: np.ndarray, label: np.ndarray, chance: np.ndarray, declined: np.ndarray, theirs: np.ndarray,
    world: World,
) -> Decisions:  # fmt: skip
    """The sums of so many *days* over decisions; *theirs* says who belongs to the disadvantaged group.  All of shape
    (n,)."""
    day = (time_s // DAY_S).astype(np.intp)
    day_and_group = 2 * day + ~theirs
    cost = expected_cost(chance, declined, world)

    def summed(values: np.ndarray) -> np.ndarray:
        return np.bincount(day, values, minlength=days)[:days]

    def by_group(values: np.ndarray) -> np.ndarray:
        return np.bincount(day_and_group, values, minlength=2 * days)[: 2 * days].reshape(days, 2)

    good = 1 - chance
    return Decisions(
        summed(np.ones(len(day))), summed(label == declined), summed(cost), summed(cost**2),
        by_group(good), by_group(good * declined), by_group(good**2), by_group(good**2 * declined),
    )  # fmt: skip


class Accounts:
    """Counts the rows as they are made; what nobody in the story knows is known here: how likely each was to pay."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.found = Decisions.none(world.days + 1)
        self._label = str(world.stream().label)

    def take(self, rows: pd.DataFrame) -> None:
        """Count *rows*."""
        world = self.world
        more = count(
            world.days + 1, rows["inference_s"].to_numpy(), rows[self._label].to_numpy(), rows["chance"].to_numpy(),
            rows["prediction"].to_numpy() == 1, rows[world.facet].to_numpy() == world.disadvantaged, world,
        )  # fmt: skip
        for before, each in zip(self.found, more, strict=True):
            before += each

    def daily(self) -> pd.DataFrame:
        """captured, accuracy; loss_usd (mean cost of a decision) and loss_error; gap and gap_error, of seven days."""
        return by_days(self.found, self.world.days)


def by_days(found: Decisions, days: int) -> pd.DataFrame:
    """What the sums of the first so many *days* say, one row a day: see `Accounts.daily`."""
    rows = found.rows[:days]
    mean = _ratio(found.cost[:days], rows)
    variance = np.maximum(_ratio(found.cost_squared[:days], rows) - mean**2, 0.0)
    gap, gap_error = rolling_gap(found, days)
    return pd.DataFrame(
        {
            "captured": rows.astype(int),
            "accuracy": _ratio(found.right[:days], rows),
            "loss_usd": mean,
            "loss_error": np.sqrt(_ratio(variance, rows - 1)),
            "gap": gap,
            "gap_error": gap_error,
        },
        index=pd.RangeIndex(days, name="day"),
    )


def rolling_gap(found: Decisions, days: int) -> tuple[np.ndarray, np.ndarray]:
    """The gap of the groups' false positive rates over the seven days to each day, and its standard error."""
    good, declined, good2, declined2 = (
        _rolling(each[:days]) for each in (found.good, found.declined, found.good_squared, found.declined_squared)
    )
    rate = _ratio(declined, good)
    # a ratio of sums of weights: Σ w² (said − rate)² / (Σ w)²
    variance = _ratio(declined2 * (1 - rate) ** 2 + (good2 - declined2) * rate**2, good**2)
    return rate[:, 0] - rate[:, 1], np.sqrt(variance.sum(axis=1))


def _rolling(values: np.ndarray) -> np.ndarray:
    """Sums over the last seven days."""
    sums = np.cumsum(values, axis=0)
    sums[ROLLING_DAYS:] -= sums[:-ROLLING_DAYS].copy()
    return sums


def wrong_usd(daily: pd.DataFrame, answered: np.ndarray) -> tuple[np.ndarray, float]:
    """What wrong decisions cost on each day, and the standard error of their sum, estimated from captured ones.

    A day is a stratum: its mean cost times its answered requests.  The captured are a part of them, which makes the
    error smaller (finite population correction).  A day with fewer than two captured requests takes the mean of all.
    """
    rows = daily["captured"].to_numpy(dtype=float)
    known = rows >= 2
    if not known.any():
        return np.zeros(len(rows)), math.nan
    overall = float(np.average(daily["loss_usd"][known], weights=rows[known]))
    mean = np.where(known, daily["loss_usd"].fillna(overall), overall)
    error = np.where(known, daily["loss_error"].fillna(0.0), float(daily["loss_error"][known].max()))
    unseen = np.clip(1 - rows / np.maximum(answered, 1), 0.0, 1.0)
    return mean * answered, float(np.sqrt(np.sum((answered * error) ** 2 * unseen)))


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.divide(above, below, out=np.full(np.shape(above), np.nan), where=below > 0)
