"""How far apart two samples are, by the measures that monitors use; each with the convention it goes by.

    >>> import numpy as np
    >>> from simlib.monitoring import distances
    >>> before, after = np.arange(100.0), np.arange(100.0) + 50
    >>> round(distances.ks(before, after), 4), round(distances.linf_robust(before, after), 4)
    (0.5, 0.2454)
    >>> distances.tvd(np.array(["a", "a", "b", "b"]), np.array(["a", "b", "b", "c"]))
    0.25

The reference comes first.  Numbers are compared as numbers; where either sample holds anything else (text, booleans),
both are compared as categories, by their text.  Missing values are left out (how many there are is a question of its
own); a distance to or from an empty sample is NaN: it is not known, and not 0.
"""

import math
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import Field, SkipValidation

from simlib.monitoring.profiles import LARGEST
from simlib.parameters import Count, Flag, ParameterError, Positive, Real, checked, shortly

__all__ = [
    "chi2",
    "chi2_pvalue",
    "js_distance",
    "js_divergence",
    "ks",
    "ks_pvalue",
    "linf_robust",
    "linf_simple",
    "psi",
    "tvd",
    "wasserstein",
]

ROBUST = 1.8
"""Deequ's factor: √(−ln(α/2)/2) for α = 0.003, by which a Kolmogorov–Smirnov test of that level would reject."""

Sample = SkipValidation[Any]
Base = Annotated[Real, Field(gt=1)]
Bins = Annotated[Count, Field(ge=2)]
Floor = Annotated[Positive, Field(lt=1)]


# --- of numbers -----------------------------------------------------------------------------------------------------


@checked
def ks(reference: Sample, current: Sample) -> float:
    """Kolmogorov–Smirnov: the largest gap max |F(x) − G(x)| between the two cumulative shares; 0 to 1."""
    return _of_numbers("ks", reference, current, largest_gap)


@checked
def ks_pvalue(reference: Sample, current: Sample) -> float:
    """How often a gap as large as `ks` comes by chance if nothing has changed (two-sided test, scipy)."""

    def pvalue(a: np.ndarray, b: np.ndarray) -> float:
        from scipy.stats import ks_2samp

        many = max(len(a), len(b)) > 2_000  # exact counting of paths would take seconds, and differs by nothing
        return float(ks_2samp(a, b, method="asymp" if many else "auto").pvalue)

    return _of_numbers("ks_pvalue", reference, current, pvalue)


@checked
def wasserstein(reference: Sample, current: Sample, *, normalized: Flag = True) -> float:
    """Wasserstein-1: the area between the two cumulative shares, in units of the feature; *normalized*, in standard
    deviations of the reference (ddof = 0).  A constant reference gives 0 if nothing has moved, else ∞.
    """

    def area(a: np.ndarray, b: np.ndarray) -> float:
        from scipy.stats import wasserstein_distance

        _check_finite("wasserstein", a, b)
        moved = float(wasserstein_distance(a, b))
        if not normalized or moved == 0:
            return moved
        spread = float(a.std()) if a.min() < a.max() else 0.0  # rounding must not make a constant vary
        return moved / spread if spread else math.inf

    return _of_numbers("wasserstein", reference, current, area)


# --- of numbers or categories ---------------------------------------------------------------------------------------


@checked
def linf_simple(reference: Sample, current: Sample) -> float:
    """L-infinity as Deequ's *Simple*: of numbers `ks`, of categories max |p − q| over the shares; 0 to 1."""
    a, b = pair("linf_simple", reference, current)
    return linf(a, b)


@checked
def linf_robust(reference: Sample, current: Sample) -> float:
    """L-infinity as Deequ's *Robust*: max(0, simple − 1.8 √((n + m)/(n m))); what chance may do is taken off.

    Deequ's own parameter name is inverted: `correctForLowNumberOfSamples=true` gives the simple one.
    """
    a, b = pair("linf_robust", reference, current)
    return max(0.0, linf(a, b) - allowance(len(a), len(b))) if len(a) and len(b) else math.nan


@checked
def psi(reference: Sample, current: Sample, *, bins: Bins = 10, floor: Floor = 1e-4) -> float:
    """Population stability index Σ (p − q) ln(p / q), never below 0.

    Numbers are binned at the reference's quantiles (deciles), closed on the left, with open ends; equal quantiles make
    one edge.  Categories are taken as they are.  Shares below *floor* count as *floor*, without which one empty bin
    would make it ∞.  With no change at all its mean is about (bins − 1)(1/n + 1/m).
    """
    a, b = pair("psi", reference, current)
    if not len(a) or not len(b):
        return math.nan
    if a.dtype.kind == "f":
        _check_finite("psi", a, b)
        inner = np.unique(_quantiles(a, bins))
        p, q = (np.bincount(np.searchsorted(inner, x, side="right"), minlength=len(inner) + 1) / len(x) for x in (a, b))
    else:
        p, q = shares(a, b)
    p, q = np.maximum(p, floor), np.maximum(q, floor)
    return float(((p - q) * np.log(p / q)).sum())


@checked
def js_divergence(reference: Sample, current: Sample, *, bins: Bins = 10, base: Base = 2.0) -> float:
    """Jensen–Shannon *divergence* ½ KL(P‖M) + ½ KL(Q‖M), M = (P + Q)/2; 0 to 1 in base 2.

    Numbers are binned in *bins* bins of equal width over both samples.  Vertex AI alerts on the divergence.
    """
    a, b = pair("js_divergence", reference, current)
    return _jensen_shannon(a, b, bins, base)


@checked
def js_distance(reference: Sample, current: Sample, *, bins: Bins = 10, base: Base = 2.0) -> float:
    """Jensen–Shannon *distance*: the square root of the divergence; 0 to 1 in base 2.  Azure ML alerts on it."""
    a, b = pair("js_distance", reference, current)
    return math.sqrt(_jensen_shannon(a, b, bins, base))


# --- of categories --------------------------------------------------------------------------------------------------


@checked
def tvd(reference: Sample, current: Sample) -> float:
    """Total variation ½ Σ |p − q| over the shares of all values of both samples; 0 to 1."""
    a, b = (as_text(_present("tvd", x)) for x in (reference, current))
    if not len(a) or not len(b):
        return math.nan
    p, q = shares(a, b)
    return float(np.abs(p - q).sum() / 2)


@checked
def chi2(reference: Sample, current: Sample) -> float:
    """The χ² statistic of homogeneity: two samples, both by chance, over all values of both; no continuity correction.

    With a single value in both samples nothing can differ: 0.
    """
    return _homogeneity("chi2", reference, current)[0]


@checked
def chi2_pvalue(reference: Sample, current: Sample) -> float:
    """How often a `chi2` as large comes by chance if nothing has changed (scipy)."""
    return _homogeneity("chi2_pvalue", reference, current)[1]


def _homogeneity(owner: str, reference: Any, current: Any) -> tuple[float, float]:
    a, b = (as_text(_present(owner, x)) for x in (reference, current))
    if not len(a) or not len(b):
        return math.nan, math.nan
    counts = _counts(a, b)
    if counts.shape[1] < 2:
        return 0.0, 1.0
    from scipy.stats import chi2_contingency

    found = chi2_contingency(counts, correction=False)
    return float(found.statistic), float(found.pvalue)


def goodness_of_fit(expected: dict[str, float], observed: dict[str, float]) -> float:
    """Deequ's χ² test of *observed* counts, taking the shares of *expected* counts as exact: its p-value.

    Categories that the baseline does not know are left out of the expected total.  The rarest categories are put
    together until at most 20 % of the expected counts are below 5 (two left: both at least 10).  NaN where fewer than
    two are left.  That the baseline is a sample too is ignored, so small baselines alarm too often.
    """
    known = sorted(expected, key=lambda value: expected[value])
    total, seen = sum(expected.values()), sum(observed.values())
    if not total or not seen:
        return math.nan
    wanted = [expected[value] * seen / total for value in known]
    found = [observed.get(value, 0.0) for value in known]
    while len(wanted) > 1 and not _enough(wanted):
        wanted[:2], found[:2] = [wanted[0] + wanted[1]], [found[0] + found[1]]
        order = np.argsort(wanted, kind="stable")
        wanted, found = [wanted[k] for k in order], [found[k] for k in order]
    if len(wanted) < 2:
        return math.nan
    from scipy.special import chdtrc

    statistic = sum((o - e) ** 2 / e for o, e in zip(found, wanted, strict=True))
    return float(chdtrc(len(wanted) - 1, statistic))


def _enough(wanted: list[float]) -> bool:
    if len(wanted) == 2:
        return min(wanted) >= 10
    return sum(e < 5 for e in wanted) <= 0.2 * len(wanted)


# --- samples --------------------------------------------------------------------------------------------------------


def _present(owner: str, values: Any) -> np.ndarray:
    """The values that are there: float64 if all are numbers, else objects."""
    try:
        if values is None or np.isscalar(values) or isinstance(values, dict) or getattr(values, "ndim", 1) != 1:
            raise TypeError
        series = values if isinstance(values, pd.Series) else pd.Series(values)
    except (ValueError, TypeError):
        raise ParameterError(
            f"{owner}: a sample should be a list of values, one after the other, and not {shortly(values)}."
        ) from None
    series = series[series.notna().to_numpy()]
    if pd.api.types.is_bool_dtype(series.dtype) or isinstance(series.dtype, pd.CategoricalDtype):
        return series.to_numpy(object)
    if pd.api.types.is_numeric_dtype(series.dtype) and series.dtype.kind != "c":
        return series.to_numpy(np.float64)
    found = series.to_numpy(object)
    if all(isinstance(x, int | float | np.number) and not isinstance(x, bool | complex) for x in found):
        try:
            return found.astype(np.float64)
        except OverflowError:  # a whole number too large for a float is a category
            return found
    return found


def as_text(values: np.ndarray) -> np.ndarray:
    """Categories: whole numbers without a point, everything else as it prints."""
    if values.dtype.kind == "f":
        return np.array([str(int(x)) if x.is_integer() else str(x) for x in values.tolist()], dtype=object)
    return np.array([str(x) for x in values], dtype=object)


def pair(owner: str, reference: Any, current: Any) -> tuple[np.ndarray, np.ndarray]:
    """Both samples as numbers, or both as text."""
    a, b = _present(owner, reference), _present(owner, current)
    if (a.dtype.kind == "f" or not len(a)) and (b.dtype.kind == "f" or not len(b)):
        return a.astype(np.float64), b.astype(np.float64)
    return as_text(a), as_text(b)


def _of_numbers(owner: str, reference: Any, current: Any, measure: Any) -> float:
    a, b = pair(owner, reference, current)
    if a.dtype.kind != "f":
        raise ParameterError(f"{owner} is for numbers, and a sample holds text; try linf_simple, psi or tvd.")
    return float(measure(a, b)) if len(a) and len(b) else math.nan


def _check_finite(owner: str, *samples: np.ndarray) -> None:
    if any(len(x) and np.abs(x).max() > LARGEST for x in samples):
        raise ParameterError(f"{owner}: a sample holds an infinite value or one beyond {LARGEST:g}.")


# --- measures -------------------------------------------------------------------------------------------------------


def largest_gap(a: np.ndarray, b: np.ndarray) -> float:
    """max |F − G| of two samples of numbers."""
    a, b = np.sort(a), np.sort(b)
    at = np.concatenate([a, b])
    gaps = np.searchsorted(a, at, side="right") / len(a) - np.searchsorted(b, at, side="right") / len(b)
    return float(np.abs(gaps).max())


def linf(a: np.ndarray, b: np.ndarray) -> float:
    """Deequ's simple L-infinity of two samples as `pair` makes them."""
    if not len(a) or not len(b):
        return math.nan
    if a.dtype.kind == "f":
        return largest_gap(a, b)
    p, q = shares(a, b)
    return float(np.abs(p - q).max())


def allowance(n: float, m: float) -> float:
    """What the robust L-infinity takes off for samples of *n* and *m*."""
    return ROBUST * math.sqrt((n + m) / (n * m))


def _quantiles(values: np.ndarray, parts: int) -> np.ndarray:
    """The inner edges of *parts* parts of equal share, linear between two values as numpy's quantiles.

    Positions are counted in whole numbers: 0.7 × 10 in floats may miss the value that stands there by one digit, and
    then it falls into the bin before.
    """
    place, rest = np.divmod(np.arange(1, parts) * (len(values) - 1), parts)
    ordered = np.sort(values)
    low, high = ordered[place], ordered[np.minimum(place + 1, len(values) - 1)]
    return np.asarray(low + (rest / parts) * (high - low))


def _counts(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """How often each value occurs in either, shape (2, values)."""
    codes, values = pd.factorize(np.concatenate([a, b]))
    return np.stack([np.bincount(x, minlength=len(values)) for x in (codes[: len(a)], codes[len(a) :])])


def shares(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The shares of all values of both samples, in one order."""
    p, q = _counts(a, b)
    return p / len(a), q / len(b)


def _jensen_shannon(a: np.ndarray, b: np.ndarray, bins: int, base: float) -> float:
    if not len(a) or not len(b):
        return math.nan
    if a.dtype.kind == "f":
        _check_finite("Jensen–Shannon", a, b)
        edges = np.histogram_bin_edges(np.concatenate([a, b]), bins=bins)
        p, q = (np.histogram(x, bins=edges)[0] / len(x) for x in (a, b))
    else:
        p, q = shares(a, b)
    from scipy.special import rel_entr

    middle = (p + q) / 2
    divergence = (rel_entr(p, middle).sum() + rel_entr(q, middle).sum()) / 2 / math.log(base)
    return max(0.0, float(divergence))
