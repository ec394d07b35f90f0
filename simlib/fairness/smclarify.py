"""What the reference package answers, defects and all: ``compat="smclarify"``.

Reproduced is `bias_report` of smclarify 0.5 (April 2023, the last release), rewritten from its behaviour.  Where it
differs from the exact values:

1. **Types are guessed** and your declared kinds ignored: float is continuous; whole numbers are continuous if at least
   5 % of the rows are different values; several listed values always mean categories.  So ``[40]`` means *age > 40* in
   200 rows and *age = 40* in 2,000, and labels 0/1 in 40 rows or fewer are "continuous": positive is then y > 1, which
   nobody has.
2. **0/0 is 0**, which in a ratio looks like total bias and in a difference like perfect fairness; ∞ − ∞ is 0.
3. **KL, JS, LP, TVD and KS see two labels only** (positive and not), so that with both in both facets TVD = KS = |DPL|
   and LP = √2 |DPL|; and of these only the ones that *both* facets have, without renormalising, so that KL may be
   negative, and facets that share nothing give an error where TVD is 1.
4. **CDDL and CDDPL** take an empty class of a group for 0, and need one positive and one negative row overall.
5. **FT** does not standardise features, takes every column but facet, label and prediction for a feature, and has the
   reverse of the documented sign.
6. **Errors**: an empty facet stops every metric but CDDL, CDDPL and GE; no positive prediction, or predictions of
   type than the labels, stop the whole post-training report.  Here they are NaN, and the reading says why.
7. **Missing** facet values join a; missing labels are negative.
8. With a continuous label, predictions are cast to its type first: 1.7 becomes 1 if labels are whole numbers.

Intervals are those of the package's own values, by the same bootstrap of counts.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from simlib.fairness.bootstrap import defined, interval, stream, values_of
from simlib.fairness.fliptest import FlipTest, fitted, sample
from simlib.fairness.groups import Cells, Kind, Question, check, count, factorized
from simlib.fairness.metrics import PRETRAINING
from simlib.fairness.table import BiasTable, reading, table, undefined

UNIQUE_SHARE = 0.05
_ERROR = "smclarify stops with an error"


class Stopped(Exception):
    """The package would have stopped here; the message is why."""


def pretraining(frame: pd.DataFrame, question: Question, *, bootstrap: int, seed: int) -> BiasTable:
    """The package's eight pre-training metrics."""
    check(frame, question, "pretraining", missing=True)
    try:
        cells = _cells(frame, question)
    except Stopped as why:
        return _stopped(PRETRAINING, len(frame), question, str(why))
    values = {name: float(value) for name, value in label_formulas(cells).items()}
    reasons = {name: _why(name, cells) for name, value in values.items() if np.isnan(value)}
    drawn = values_of(cells, label_formulas, bootstrap, stream(seed)) if bootstrap else {}
    return _table(values, reasons, drawn, len(frame), question)


def posttraining(
    frame: pd.DataFrame, question: Question, features: Sequence[str] | None, *, bootstrap: int, seed: int
) -> BiasTable:
    """The package's thirteen post-training metrics; the two false positive rates, which it lacks, by its arithmetic."""
    from simlib.fairness.metrics import POSTTRAINING

    check(frame, question, "posttraining", missing=True)
    try:
        cells = _cells(frame, question)
    except Stopped as why:
        return _stopped(POSTTRAINING, len(frame), question, str(why))
    values = {name: float(value) for name, value in prediction_formulas(cells).items()}
    reasons = {name: _why(name, cells) for name, value in values.items() if np.isnan(value)}
    rng = stream(seed)
    drawn = values_of(cells, prediction_formulas, bootstrap, rng) if bootstrap else {}
    try:
        flip = _flip_test(frame, question, features, seed)
        values["FT"] = -flip.value
        drawn |= {"FT": -flip.resampled(bootstrap, rng)} if bootstrap else {}
    except Stopped as why:
        reasons["FT"] = str(why)
    return _table(values, reasons, drawn, len(frame), question)


# --- its arithmetic ---------------------------------------------------------------------------------------------------


def divide(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Its division: 0/0 is 0, x/0 is infinite."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where((above == 0) & (below == 0), 0.0, np.divide(above, below))


def label_formulas(cells: Cells) -> dict[str, np.ndarray]:
    """Its eight metrics of labels; an error is NaN."""
    by = cells.outcomes(predicted=False).sum(axis=-2)
    n = by.sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = by / n[..., None]
        shared = (by > 0).all(axis=-2)
        p_a, p_d = (np.where(shared, shares[..., facet, :], np.nan) for facet in (0, 1))
        none = np.where(shared.any(axis=-1), 0.0, np.nan)  # no common label: an error
        middle, gap = (p_a + p_d) / 2, np.abs(p_a - p_d)
        both = np.where(n.all(axis=-1), 0.0, np.nan)
        return {
            "CI": (n[..., 0] - n[..., 1]) / n.sum(axis=-1) + both,
            "DPL": shares[..., 0, 1] - shares[..., 1, 1],
            "KL": np.nansum(p_a * np.log(p_a / p_d), axis=-1) + none,
            "JS": np.nansum(p_a * np.log(p_a / middle) + p_d * np.log(p_d / middle), axis=-1) / 2 + none,
            "LP": np.sqrt(np.nansum(gap**2, axis=-1)) + none,
            "TVD": np.nansum(gap, axis=-1) / 2 + none,
            "KS": np.max(np.nan_to_num(gap), axis=-1) + none,
            "CDDL": _disparity(cells, predicted=False),
        }


def prediction_formulas(cells: Cells) -> dict[str, np.ndarray]:
    """Its metrics of predictions but FT; an error is NaN."""
    from simlib.fairness.predictions import formulas

    with np.errstate(invalid="ignore"):
        found = formulas(cells, divide)
    stop = np.where(cells.by_label.sum(axis=-1).all(axis=-1), 0.0, np.nan)
    for name, value in found.items():
        found[name] = np.where(np.isnan(value), 0.0, value) + stop if name not in ("CDDPL", "GE", "FT") else value
    found["CDDPL"] = _disparity(cells, predicted=True)
    return found


def _disparity(cells: Cells, *, predicted: bool) -> np.ndarray:
    outcomes = cells.outcomes(predicted=predicted)
    both = outcomes.sum(axis=-3)
    needed = both.sum(axis=-2).all(axis=-1)  # one positive and one negative row
    if not cells.groups:
        return np.full(needed.shape, np.nan)
    d_share = divide(outcomes[..., 1, :, :], both)
    rows = both.sum(axis=-1)
    value = (rows * (d_share[..., 0] - d_share[..., 1])).sum(axis=-1) / rows.sum(axis=-1)
    return np.where(needed, value, np.nan)


# --- its guesses ------------------------------------------------------------------------------------------------------


def guessed(column: pd.Series, values: Sequence[Any]) -> Kind:
    """The kind it takes a column for."""
    if isinstance(column.dtype, pd.CategoricalDtype) or len(values) > 1 or pd.api.types.is_bool_dtype(column):
        return "categorical"
    if pd.api.types.is_float_dtype(column):
        return "continuous"
    many = column.nunique() >= UNIQUE_SHARE * column.count() and column.count() > 0
    if pd.api.types.is_integer_dtype(column):
        return "continuous" if many else "categorical"
    try:
        column.astype(str).astype("int64")
    except (ValueError, OverflowError):
        return "categorical"
    return "continuous" if many and not column.isna().any() else "categorical"


def _hits(column: pd.Series, values: Sequence[Any], kind: Kind) -> np.ndarray:
    if kind == "continuous":
        try:
            threshold = float(values[0])
        except ValueError:
            raise Stopped(f"it takes {column.name!r} for continuous, and {values[0]!r} is no threshold") from None
        return pd.to_numeric(column).to_numpy(dtype=float, na_value=np.nan) > threshold
    codes, uniques = factorized(column, "smclarify")
    hit = np.array([any(unique == value for value in values) for unique in uniques], dtype=bool)
    if not hit.any():  # it then tries the values in the type of the column's first row
        kind_of = type(column.iloc[0])
        try:
            turned = [kind_of(value) for value in values]
        except (TypeError, ValueError):
            return np.zeros(len(column), dtype=bool)
        hit = np.array([any(unique == value for value in turned) for unique in uniques], dtype=bool)
    return hit[codes]


def _listed(values: Any) -> list[Any]:
    return [values] if isinstance(values, int | float | np.number) else list(values)


def _cells(frame: pd.DataFrame, question: Question) -> Cells:
    disadvantaged, positive = _listed(question.disadvantaged), _listed(question.positive)
    column, label = frame[question.facet], frame[question.label]
    is_d = _hits(column, disadvantaged, guessed(column, disadvantaged))
    kind = guessed(label, positive)
    codes = _hits(label, positive, kind).astype(int)
    predicted = None if question.predicted is None else accepted(frame, question)
    group, names = (None, ()) if question.group is None else factorized(frame[question.group], "smclarify")
    return count(is_d, codes, np.array([False, True]), predicted, group, tuple(names))


def accepted(frame: pd.DataFrame, question: Question) -> np.ndarray:
    """Which rows it takes for predicted positive."""
    column, label, positive = frame[question.predicted], frame[question.label], _listed(question.positive)
    if question.probability_threshold is not None:
        found = column.to_numpy(dtype=float) > question.probability_threshold
    else:
        kind = guessed(label, positive)
        if guessed(column, positive) != kind:
            raise Stopped(f"it takes {column.name!r} and {label.name!r} for different types")
        if kind == "continuous":
            column = pd.to_numeric(column).astype(pd.to_numeric(label).dtype)
        found = _hits(column, positive, kind)
    if not found.any():
        raise Stopped("no prediction is positive, as it understands them")
    return found


def _flip_test(frame: pd.DataFrame, question: Question, features: Sequence[str] | None, seed: int) -> FlipTest:
    used = {question.facet, question.label, question.predicted}
    names = [column for column in frame.columns if column not in used] if features is None else list(features)
    if not names or not all(pd.api.types.is_numeric_dtype(frame[name]) for name in names):
        raise Stopped("the flip test needs features, all of them numbers")
    disadvantaged = _listed(question.disadvantaged)
    column = frame[question.facet]
    rows = sample(len(frame), seed)
    is_d = _hits(column, disadvantaged, guessed(column, disadvantaged))[rows]
    if is_d.all() or not is_d.any():
        raise Stopped("one facet is empty")
    decided = accepted(frame, question)[rows]
    return fitted(frame[names].to_numpy(dtype=float)[rows], is_d, decided, standardised=False)


# --- the table --------------------------------------------------------------------------------------------------------


def _why(name: str, cells: Cells) -> str:
    if name in ("CDDL", "CDDPL"):
        return "it needs a group column, and a positive and a negative row"
    if name == "GE":
        return "all predictions are false negatives"
    n = cells.by_label.sum(axis=-1)
    return "one facet is empty" if not n.all() else "the facets have no label in common"


def _convention(question: Question) -> str:
    return f"as smclarify 0.5 computes it; {question.convention}"


def _stopped(names: Mapping[str, Any], rows: int, question: Question, why: str) -> BiasTable:
    values = dict.fromkeys(names, np.nan)
    return _table(values, dict.fromkeys(names, why), {}, rows, question)


def _table(
    values: Mapping[str, float],
    reasons: Mapping[str, str],
    drawn: Mapping[str, np.ndarray],
    rows: int,
    question: Question,
) -> BiasTable:
    readings = {
        name: undefined(f"{_ERROR}: {reasons.get(name, 'unknown')}") if np.isnan(value) else _read(name, value)
        for name, value in values.items()
    }
    intervals = {name: interval(name, values[name], found) for name, found in drawn.items() if defined(found)}
    return table(values, intervals, dict.fromkeys(values, rows), readings, convention=_convention(question))


def _read(name: str, value: float) -> str:
    return reading(name, -value if name == "FT" else value, "with smclarify's rules")
