"""What is counted of the captured decisions, day by day, and what all decisions cost by that."""

import math
from typing import NamedTuple

import numpy as np
import pandas as pd

from simlib.lastmile.watch import cost_of, gap_of
from simlib.lastmile.world import World
from simlib.monitoring.streams import DAY_S

ROLLING_DAYS = 7
Z95 = 1.959964


class Decisions(NamedTuple):
    """Of the captured requests of each day, one entry a day."""

    rows: np.ndarray
    right: np.ndarray
    cost: np.ndarray  # sums [USD]
    cost_squared: np.ndarray
    good: np.ndarray  # (days, 2): good customers, of the disadvantaged group and of all others
    declined: np.ndarray  # (days, 2): those of them who were declined


class Accounts:
    """Counts the rows as they are made; what nobody in the story knows yet is known here: the truth of each."""

    def __init__(self, world: World) -> None:
        self.world, n = world, world.days + 1
        self.found = Decisions(np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n), np.zeros((n, 2)), np.zeros((n, 2)))

    def take(self, rows: pd.DataFrame) -> None:
        """Count *rows*."""
        world, found = self.world, self.found
        day = (rows["inference_s"].to_numpy() // DAY_S).astype(int)
        y, said = rows[str(world.stream().label)].to_numpy(), rows["prediction"].to_numpy()
        cost = cost_of(y, said, world.declined_good_usd, world.accepted_bad_usd)
        theirs = rows[world.facet].to_numpy() == world.disadvantaged
        for column, values in ((found.rows, 1.0), (found.right, y == said), (found.cost, cost)):
            np.add.at(column, day, values)
        np.add.at(found.cost_squared, day, cost**2)
        for k, group in enumerate((theirs, ~theirs)):
            np.add.at(found.good[:, k], day, group & (y == 0))
            np.add.at(found.declined[:, k], day, group & (y == 0) & (said == 1))

    def daily(self) -> pd.DataFrame:
        """accuracy; loss_usd (mean cost of a decision) and loss_error; gap and gap_error over the last seven days."""
        found, n = self.found, self.world.days
        rows, mean = found.rows[:n], _ratio(found.cost[:n], found.rows[:n])
        variance = np.maximum(_ratio(found.cost_squared[:n], rows) - mean**2, 0.0)
        gaps = [self._gap(max(0, day - ROLLING_DAYS + 1), day + 1) for day in range(n)]
        return pd.DataFrame(
            {
                "captured": rows.astype(int),
                "accuracy": _ratio(found.right[:n], rows),
                "loss_usd": mean,
                "loss_error": np.sqrt(_ratio(variance, rows - 1)),
                "gap": [gap for gap, _ in gaps],
                "gap_error": [error for _, error in gaps],
            },
            index=pd.RangeIndex(n, name="day"),
        )

    def _gap(self, begin: int, end: int) -> tuple[float, float]:
        good, declined = self.found.good[begin:end].sum(axis=0), self.found.declined[begin:end].sum(axis=0)
        return gap_of(int(declined[0]), int(good[0]), int(declined[1]), int(good[1]))


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
    return np.divide(above, below, out=np.full(len(above), np.nan), where=below > 0)
