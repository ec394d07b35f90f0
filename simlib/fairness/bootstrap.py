"""How sure a metric is: the bootstrap, by counts.

Drawing n rows with replacement draws a new table of counts from the multinomial law of the old one, so a million rows
cost no more than a thousand.  The interval is the 95 % *percentile* interval, from the 2.5 % to the 97.5 % quantile of
the resampled values, with one exception.  Distances (KL, JS, LP, TVD, KS) cannot fall below 0, and a resample of two
equal facets is never quite equal: the percentile interval would never hold the value 0.  Their low end is therefore the
upper end reflected at the estimate, and not below 0 (Davison and Hinkley 1997, section 5.2: the *basic* interval).

Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapters 6 and 13.
"""

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from simlib.fairness.groups import Cells

CONFIDENCE = 0.95
DISTANCES = frozenset({"KL", "JS", "LP", "TVD", "KS"})
_AT_ONCE = 4_000_000  # counts held in memory at once
_ENOUGH = 0.9  # share of the resamples in which a metric has to be defined

Formulas = Callable[[Cells], Mapping[str, np.ndarray]]


def stream(seed: int) -> np.random.Generator:
    """The bootstrap's own random numbers: data drawn under the same seed must not be resampled with its own draws."""
    return np.random.default_rng([seed, 0xB007])


def resampled(cells: Cells, times: int, rng: np.random.Generator) -> Iterator[Cells]:
    """*times* tables of as many rows, drawn from the rows of *cells* with replacement; some at a time."""
    counts = cells.counts.ravel()
    seen = np.flatnonzero(counts)
    n = int(counts.sum())
    block = max(1, _AT_ONCE // counts.size)
    for begin in range(0, times, block):
        some = min(block, times - begin)
        drawn = np.zeros((some, counts.size), dtype=np.int64)
        drawn[:, seen] = rng.multinomial(n, counts[seen] / n, size=some)
        yield Cells(drawn.reshape(some, *cells.counts.shape), cells.positive, cells.groups)


def values_of(cells: Cells, formulas: Formulas, times: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """The metrics of *times* resamples, by name."""
    parts = [formulas(some) for some in resampled(cells, times, rng)]
    return {name: np.concatenate([np.atleast_1d(part[name]) for part in parts]) for name in parts[0]}


def interval(name: str, value: float, values: np.ndarray) -> tuple[float, float]:
    """The 95 % interval of one metric from its resampled values; NaN where too many of them are undefined."""
    values = np.sort(values[~np.isnan(values)]) if len(values) else values
    if np.isnan(value) or not len(values):
        return np.nan, np.nan
    # order statistics, not interpolated: values may be infinite
    tail = max(0, int((1 - CONFIDENCE) / 2 * (len(values) + 1)) - 1)
    low, high = float(values[tail]), float(values[len(values) - 1 - tail])
    if name in DISTANCES:
        low = max(0.0, 2 * value - high) if np.isfinite(high) else 0.0
    return low, high


def defined(values: np.ndarray) -> bool:
    """Is the metric defined in enough of the resamples for its interval to mean anything?"""
    return len(values) > 0 and float(np.mean(~np.isnan(values))) >= _ENOUGH
