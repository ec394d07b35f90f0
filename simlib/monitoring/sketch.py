"""A feature's distribution in little room: the KLL sketch, and, keeping everything, the exact distribution.

Level h holds values that stand for 2^h rows each.  A level that is too long is sorted and every other value goes up, so
n rows are described by a few thousand values, and the error of a rank stays below about 1/k of the rows.

Source: Karnin, Lang and Liberty, Optimal quantile approximation in streams (FOCS 2016).
"""

import math
from typing import NamedTuple

import numpy as np

Levels = list[np.ndarray]


class Distribution(NamedTuple):
    """A step function: the values in order, and the share of rows below the first, up to it, up to the second …"""

    values: np.ndarray
    shares: np.ndarray  # one longer than values
    rows: float

    def at(self, x: np.ndarray) -> np.ndarray:
        """The share of rows at or below each of *x*."""
        found: np.ndarray = self.shares[np.searchsorted(self.values, x, side="right")]
        return found

    def before(self, x: np.ndarray) -> np.ndarray:
        """The share of rows below each of *x*."""
        found: np.ndarray = self.shares[np.searchsorted(self.values, x, side="left")]
        return found


def kll(values: np.ndarray, *, k: int, c: float, rng: np.random.Generator) -> Levels:
    """The sketch of *values*: levels whose capacity falls by the factor *c* from the top one, which holds *k*."""
    levels = [np.sort(values)]
    while (h := next((h for h, level in enumerate(levels) if len(level) > _room(k, c, len(levels) - 1 - h)), -1)) >= 0:
        level = np.sort(levels[h])
        stays = level[: len(level) % 2]  # an odd one out, so that no row is lost
        rises = level[len(stays) + int(rng.integers(2)) :: 2]
        levels[h] = stays
        if h + 1 == len(levels):
            levels.append(rises)
        else:
            levels[h + 1] = np.concatenate([levels[h + 1], rises])
    return levels


def _room(k: int, c: float, below_top: int) -> int:
    return max(2, math.ceil(k * c**below_top))


def distribution(levels: Levels) -> Distribution:
    """What the sketch says of the distribution."""
    weights = np.concatenate([np.full(len(level), 2.0**h) for h, level in enumerate(levels)])
    values = np.concatenate(levels)
    order = np.argsort(values, kind="stable")
    total = float(weights.sum())
    return Distribution(values[order], np.concatenate([[0.0], np.cumsum(weights[order]) / total]), total)


def gap(reference: Distribution, current: np.ndarray) -> float:
    """max |F − G|: a remembered distribution against a sample of numbers.

    Between two values of the sample G stands still and F only grows, so the largest gap is at a value or just before.
    """
    values, counts = np.unique(current, return_counts=True)
    at, before = reference.at(values), reference.before(values)
    now = np.cumsum(counts) / len(current)
    just_before = np.concatenate([[0.0], now[:-1]])
    return float(max(np.abs(at - now).max(), np.abs(before - just_before).max()))
