"""Is one variant better than another?  Figures of each, the difference with its doubt, and how long to wait for it.

>>> import simlib as sl
>>> from simlib import abtest, serving, workload
>>> blue, green = (
...     serving.Variant(name, sl.ModelProfile(name, service=sl.exponential(s)), initial_instance_count=2)
...     for name, s in [("blue", 0.10), ("green", 0.09)]
... )
>>> run = sl.simulate(serving.RealTime(variants=[blue, green]), workload.poisson(10), hours=1, seed=7)
>>> found = abtest.difference(run, "blue", "green")
>>> bool(found["low"] < found["difference"] < found["high"])
True

Latencies of one queue are no independent draws: a request that waited long is followed by others that wait long.  A
test that takes them for independent finds differences where there are none (`docs/guide/variants.md` has figures).
So each variant's answers are cut, in order of arrival, into *batches* of equal size, and the scatter between batch
means says how sure their mean is (batch means: Law, Simulation Modeling and Analysis, 5th ed., 9.5.3).
"""

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import numpy as np
import pandas as pd
from pydantic import Field, PlainValidator

from simlib.intervals import Confidence
from simlib.parameters import Count, ParameterError, Positive, Real, Share, Text, Whole, checked, nearest
from simlib.record import COMPLETED, INSIDE
from simlib.results import QUANTILES, Run

__all__ = ["by_variant", "difference", "requests_needed"]

FIGURES = ("mean_s", "error_rate", "p50_s", "p95_s", "p99_s")
RESAMPLES, GRID = 500, 500


def _a_run(value: object) -> object:
    if not isinstance(value, Run):
        raise ValueError(f"run={value!r:.60} is not a run; simulate(…) returns one.")
    return value


if TYPE_CHECKING:
    ARun = Run
else:
    ARun = Annotated[Any, PlainValidator(_a_run)]
Batches = Annotated[Count, Field(ge=5)]
Power = Annotated[Share, Field(gt=0, lt=1)]


@checked
def by_variant(run: ARun) -> pd.DataFrame:
    """One row a variant: requests completed error_rate mean_s p50_s p95_s p99_s, as `Run.summary` defines them.

    Requests of the run's warm-up are left out.
    """
    begin = run.measured_from(run.warm_up_hours)
    rows = {name: run.figures(begin, variant) for variant, name in enumerate(run.snapshot.variants)}
    frame = pd.DataFrame.from_dict(rows, orient="index").astype({"requests": int, "completed": int})
    return frame.rename_axis("variant")


@checked
def difference(
    run: ARun,
    a: Text,
    b: Text,
    *,
    figure: Text = "mean_s",
    confidence: Confidence = 0.95,
    batches: Batches | None = 30,
    seed: Whole = 0,
) -> pd.Series:
    """How much larger a figure is in variant *b* than in variant *a*, and how sure that is.

    - mean_s: Welch's t on batch means (Welch 1947, Biometrika 34).
    - error_rate: the score interval for a difference of proportions (Newcombe 1998, Statistics in Medicine 17, method
      10) and the pooled z test, both with the number of requests divided by the *inflation* below.
    - p50_s, p95_s, p99_s: whole batches drawn anew with replacement (block bootstrap: Künsch 1989, Annals of Statistics
      17), the interval from their standard error and Student's t.  No test is standard: p_value is NaN, and an
      interval without 0 says as much.

    Parameters
    ----------
    run : Run
        With every request kept.
    a, b : str
        Names of variants.
    figure : str
        One of mean_s, error_rate, p50_s, p95_s, p99_s.
    batches : int or None
        Batches of each variant.  A batch should be much longer than the longest stretch of crowding; `lag1` says
        whether it is.  None takes requests for independent: right without queueing only.
    seed : int
        Of the bootstrap.

    Returns
    -------
    Series
        figure, a, b (the figure in each variant), difference (b - a), low, high, p_value (of "no difference"),
        requests_a, requests_b (answered; for latencies, completed), inflation (by how much neighbours' likeness
        multiplies the variance; 1 where they are independent), lag1 (how like neighbouring batches are, from -1 to 1;
        above about 0.4 batches are too short and the interval too narrow), method.
    """
    if figure not in FIGURES:
        raise ParameterError(f"difference: there is no figure {figure!r}; {nearest(figure, FIGURES)}")
    if a == b:
        raise ParameterError(f"difference: a and b are both {a!r}: give two variants.")
    of_a, of_b = (answers(run, name, figure) for name in (a, b))
    for name, values in ((a, of_a), (b, of_b)):
        least = 2 * (batches or 1)
        if len(values) < least:
            raise ParameterError(f"difference: {name!r} has {len(values)} answers; {least} are needed.")
    found = compare(of_a, of_b, figure=figure, confidence=confidence, batches=batches, seed=seed)
    return pd.Series({"figure": figure} | found, name=f"{b} - {a}", dtype=object)


def compare(
    a: np.ndarray, b: np.ndarray, *, figure: str, confidence: float = 0.95, batches: int | None = 30, seed: int = 0
) -> dict[str, Any]:
    """`difference` for values in order of arrival: latencies [s], or for error_rate 1 where the answer was an error."""
    parts = [Parts.of(values, batches or len(values)) for values in (a, b)]
    inflation = [part.inflation if batches else 1.0 for part in parts]
    if figure == "error_rate":
        estimates = [float(values.mean()) for values in (a, b)]
        low, high, p_value = _rates(estimates, [len(a) / inflation[0], len(b) / inflation[1]], confidence, batches)
        method = "Newcombe's score interval, pooled z"
    elif figure == "mean_s":
        estimates = [float(values.mean()) for values in (a, b)]
        low, high, p_value = _welch(parts, estimates, confidence)
        method = "Welch's t"
    else:
        share, rng = QUANTILES[figure], np.random.default_rng(seed)
        estimates = [float(np.quantile(values, share)) for values in (a, b)]
        errors = [_quantile_error(values, share, batches, rng) for values in (a, b)]
        half = _half_width(errors, [len(part.means) for part in parts], confidence)
        low, high, p_value = (*(estimates[1] - estimates[0] + half * side for side in (-1, 1)), math.nan)
        method = "bootstrap"
    return {
        "a": estimates[0],
        "b": estimates[1],
        "difference": estimates[1] - estimates[0],
        "low": low,
        "high": high,
        "p_value": p_value,
        "requests_a": len(a),
        "requests_b": len(b),
        "inflation": max(inflation),
        "lag1": max(part.lag1 for part in parts) if batches else math.nan,
        "method": f"{method}, {batches} batches" if batches else f"{method}, independent requests",
    }


@checked
def requests_needed(
    difference: Positive,
    *,
    sd: Positive | None = None,
    error_rate: Share | None = None,
    power: Power = 0.8,
    confidence: Confidence = 0.95,
    share_b: Power = 0.5,
    inflation: Annotated[Real, Field(ge=1)] = 1.0,
) -> pd.Series:
    """How many requests until a true difference is seen with probability *power*.

    Give either `sd`, the standard deviation of the latency [s], for a difference of means [s], or `error_rate`, the
    rate in variant a, for a rise of the error rate by *difference*.  With z = z(1 - (1 - confidence) / 2),
    y = z(power), r = share_b / (1 - share_b) and mean rate p:

    - means: n_a = inflation · (z + y)² sd² (1 + 1/r) / difference²
    - rates: n_a = inflation · (z √((1 + 1/r) p (1-p)) + y √(p_a (1-p_a) + p_b (1-p_b) / r))² / difference²
      (Fleiss, Levin and Paik, Statistical Methods for Rates and Proportions, 3rd ed., 4.3, without its correction)

    Parameters
    ----------
    share_b : float
        The part of the requests that variant b gets: 0.1 takes far longer than 0.5.
    inflation : float
        From a pilot run's `difference`, on the same figure and under the same load: neighbours' likeness in a queue.

    Returns
    -------
    Series
        a, b, total: requests, rounded up.
    """
    if (sd is None) == (error_rate is None):
        raise ParameterError("requests_needed: give either sd= or error_rate=, and not both.")
    from scipy.special import ndtri

    z, y = float(ndtri((1 + confidence) / 2)), float(ndtri(power))
    ratio = share_b / (1 - share_b)
    if sd is not None:
        wanted = (z + y) ** 2 * sd**2 * (1 + 1 / ratio)
    else:
        first = error_rate or 0.0
        second = first + difference
        if second > 1:
            raise ParameterError(
                f"requests_needed: difference={difference!r} is not possible: error_rate + difference is at most 1."
            )
        mean = (first + ratio * second) / (1 + ratio)
        spread = first * (1 - first) + second * (1 - second) / ratio
        wanted = (z * math.sqrt((1 + 1 / ratio) * mean * (1 - mean)) + y * math.sqrt(spread)) ** 2
    n_a = inflation * wanted / difference**2
    counts = {"a": math.ceil(round(n_a, 9)), "b": math.ceil(round(n_a * ratio, 9))}
    return pd.Series(counts | {"total": sum(counts.values())}, name="requests")


# --- reading a run ----------------------------------------------------------------------------------------------------


def answers(run: Run, name: str, figure: str) -> np.ndarray:
    """Latencies of one variant's completed requests, or whether its answers were errors, in order of arrival."""
    log, own = run.snapshot.requests, _answered(run, name, figure)
    assert log is not None
    if figure == "error_rate":
        return (log.status[own] != COMPLETED).astype(float)
    latencies: np.ndarray = log.finish[own] - log.arrival[own]
    return latencies


def answered_at(run: Run, name: str, figure: str) -> np.ndarray:
    """When the requests of `answers` got their answer [s]."""
    log, own = run.snapshot.requests, _answered(run, name, figure)
    assert log is not None
    times: np.ndarray = log.finish[own]
    return times


def _answered(run: Run, name: str, figure: str) -> np.ndarray:
    """Which requests of the log count for a figure of one variant."""
    names, log = run.snapshot.variants, run.snapshot.requests
    if name not in names:
        raise ParameterError(f"difference: there is no variant {name!r}; {nearest(name, names)}")
    if log is None:
        raise ParameterError(
            "difference: this run is folded: it kept no requests; simulate(…, log='exact') keeps them."
        )
    own: np.ndarray = (log.variant == names.index(name)) & (
        log.arrival >= run.snapshot.begin_s + run.warm_up_hours * 3600
    )
    return own & ((log.status != INSIDE) if figure == "error_rate" else (log.status == COMPLETED))


# --- scatter ----------------------------------------------------------------------------------------------------------


class Parts(NamedTuple):
    """Values in order, cut into batches of nearly equal size."""

    means: np.ndarray
    variance: float  # of one value
    size: int  # values in all

    @classmethod
    def of(cls, values: np.ndarray, batches: int) -> "Parts":
        edges = _edges(len(values), batches)
        means = np.add.reduceat(values, edges[:-1]) / np.diff(edges)
        return cls(means, float(values.var(ddof=1)), len(values))

    @property
    def variance_of_mean(self) -> float:
        return float(self.means.var(ddof=1) / len(self.means))

    @property
    def inflation(self) -> float:
        """How much larger the variance of the mean is than of independent values; at least 1."""
        return max(1.0, self.variance_of_mean * self.size / self.variance) if self.variance > 0 else 1.0

    @property
    def lag1(self) -> float:
        """How like neighbouring batches are."""
        apart = self.means - self.means.mean()
        total = float(apart @ apart)
        return float(apart[1:] @ apart[:-1]) / total if total > 0 else 0.0


def _edges(n: int, batches: int) -> np.ndarray:
    return np.arange(batches + 1) * n // batches


def _welch(parts: list[Parts], estimates: list[float], confidence: float) -> tuple[float, float, float]:
    """Low, high and p-value of the difference of two means."""
    from scipy.special import stdtr

    found = estimates[1] - estimates[0]
    errors = [math.sqrt(part.variance_of_mean) for part in parts]
    sizes = [len(part.means) for part in parts]
    half, error = _half_width(errors, sizes, confidence), math.hypot(*errors)
    if error == 0:
        return found, found, 1.0 if found == 0 else 0.0
    return found - half, found + half, float(2 * stdtr(_degrees(errors, sizes), -abs(found) / error))


def _degrees(errors: list[float], sizes: list[int]) -> float:
    """Welch and Satterthwaite's degrees of freedom."""
    parts = [error**4 / (n - 1) for error, n in zip(errors, sizes, strict=True)]
    return math.hypot(*errors) ** 4 / sum(parts) if sum(parts) > 0 else math.inf


def _half_width(errors: list[float], sizes: list[int], confidence: float) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(min(_degrees(errors, sizes), 1e9), (1 + confidence) / 2)) * math.hypot(*errors)


def _rates(
    rates: list[float], sizes: list[float], confidence: float, batches: int | None
) -> tuple[float, float, float]:
    """Low, high and p-value of the difference of two rates; with batches, Student's quantile for the normal one."""
    from scipy.special import ndtr, ndtri, stdtr, stdtrit

    z = float(stdtrit(2 * batches - 2, (1 + confidence) / 2) if batches else ndtri((1 + confidence) / 2))
    (first, second), (n, m) = rates, sizes
    (l1, u1), (l2, u2) = wilson(first, n, z), wilson(second, m, z)
    found = second - first
    low = found - math.hypot(second - l2, u1 - first)
    high = found + math.hypot(u2 - second, first - l1)
    pooled = (n * first + m * second) / (n + m)
    error = math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    if error == 0:
        return low, high, 1.0
    far = -abs(found) / error
    return low, high, float(2 * (stdtr(2 * batches - 2, far) if batches else ndtr(far)))


def wilson(rate: float, n: float, z: float) -> tuple[float, float]:
    """Wilson's score interval of one rate (Wilson 1927, JASA 22)."""
    middle = (rate + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(rate * (1 - rate) / n + z**2 / (4 * n**2))
    return max(0.0, middle - half), min(1.0, middle + half)


def _quantile_error(values: np.ndarray, share: float, batches: int | None, rng: np.random.Generator) -> float:
    """Standard error of a quantile over RESAMPLES samples drawn with replacement: of batches, or of single values."""
    n, ordered = len(values), np.sort(values)
    if batches is None:  # the k-th smallest of n uniform numbers is a beta number
        k = max(1, math.ceil(share * n))
        return float(ordered[(n * rng.beta(k, n - k + 1, RESAMPLES)).astype(int)].std(ddof=1))
    edges = _edges(n, batches)
    sorted_batches = [np.sort(values[begin:end]) for begin, end in pairwise(edges)]
    drawn = rng.multinomial(batches, np.full(batches, 1 / batches), RESAMPLES).astype(float)
    wanted = share * (drawn @ np.diff(edges))
    first, last = 0, n - 1
    for _ in range(2):  # over all values, coarsely; then where the quantiles were found
        places = np.unique(np.linspace(first, last, GRID).astype(int))
        below = np.array([np.searchsorted(batch, ordered[places], "right") for batch in sorted_batches], float)
        at = np.minimum((drawn @ below < wanted[:, None]).sum(axis=1), len(places) - 1)
        first, last = int(places[max(at.min() - 1, 0)]), int(places[at.max()])
    return float(ordered[places[at]].std(ddof=1) * math.sqrt(batches / (batches - 1)))
