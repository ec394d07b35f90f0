"""Who is d and who is a, what counts as positive, and how many rows fall into each cell.

One convention holds everywhere and is printed over every table: **d**, the disadvantaged facet, is the values or the
range that you name; **a** is all other rows.  Kinds are declared, never guessed from the data:

- ``"categorical"``: a list of values, such as ``disadvantaged=["woman"]``;
- ``"continuous"``: a threshold, exclusive: ``disadvantaged=60`` is everybody above 60.

Every metric but the flip test depends on the rows only through their counts, so the counts are all that is kept.
"""

import dataclasses
import difflib
import re
from typing import Any, Literal

import numpy as np
import pandas as pd

from simlib.parameters import ParameterError, nearest, shortly

Kind = Literal["categorical", "continuous"]


@dataclasses.dataclass(frozen=True)
class Cells:
    """Numbers of rows by facet, group, label and prediction.

    Attributes
    ----------
    counts : array of shape (..., 2, groups, labels, predictions)
        Facet 0 is a, facet 1 is d; prediction 1 is positive (one column only where there is no prediction).  A leading
        axis holds many tables at once: the resamples of the bootstrap.
    positive : array of bool, shape (labels,)
        Which labels are positive.
    groups : tuple
        Names of the groups; empty where no group was asked for.
    """

    counts: np.ndarray
    positive: np.ndarray
    groups: tuple[Any, ...] = ()

    @property
    def by_label(self) -> np.ndarray:
        """Rows by facet and label."""
        return self.counts.sum(axis=(-3, -1))

    def outcomes(self, *, predicted: bool) -> np.ndarray:
        """Rows by facet, group and outcome (0 negative, 1 positive), as labelled or as predicted."""
        if predicted:
            return self.counts.sum(axis=-2)
        by_label = self.counts.sum(axis=-1)
        return np.stack(
            [by_label[..., ~self.positive].sum(axis=-1), by_label[..., self.positive].sum(axis=-1)], axis=-1
        )

    @property
    def confusion(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """True positives, false positives, false negatives, true negatives; each by facet."""
        table = self.counts.sum(axis=-3)
        yes, no = table[..., self.positive, :].sum(axis=-2), table[..., ~self.positive, :].sum(axis=-2)
        return yes[..., 1], no[..., 1], yes[..., 0], no[..., 0]


@dataclasses.dataclass(frozen=True)
class Question:
    """What was asked: the columns, the kinds and the rules; it says its convention in words."""

    label: str
    facet: str
    disadvantaged: Any
    positive: Any
    group: str | None
    facet_kind: Kind
    label_kind: Kind
    predicted: str | None = None
    probability_threshold: float | None = None

    @property
    def who(self) -> str:
        return rule(self.facet, self.disadvantaged, self.facet_kind)

    @property
    def what(self) -> str:
        """Which label is positive."""
        return rule(self.label, self.positive, self.label_kind)

    @property
    def decided(self) -> str:
        """Which prediction is positive."""
        if self.predicted is None:
            return ""
        if self.probability_threshold is not None:
            return f"{self.predicted} > {self.probability_threshold:g}"
        return rule(self.predicted, self.positive, self.label_kind)

    @property
    def convention(self) -> str:
        """The sentence printed over every table."""
        sentence = f"d: {self.who}; a: all others; positive: {self.what}"
        return f"{sentence}, predicted {self.decided}" if self.predicted else sentence


def rule(column: str, values: Any, kind: Kind) -> str:
    """Which rows are meant, in words."""
    if kind == "continuous":
        return f"{column} > {values:g}"
    listed = [str(value) for value in values]
    return f"{column} = {listed[0]}" if len(listed) == 1 else f"{column} in {{{', '.join(listed)}}}"


def check(frame: pd.DataFrame, question: Question, owner: str, *, missing: bool = False) -> None:
    """Refuse what cannot be meant: unknown columns, missing values, a value where a list belongs."""
    if not len(frame):
        raise ParameterError(f"{owner}: frame has no rows.")
    if not frame.columns.is_unique:
        double = frame.columns[frame.columns.duplicated()][0]
        raise ParameterError(f"{owner}: frame has two columns called {double!r}.")
    columns = {
        "label": question.label, "facet": question.facet, "group": question.group, "predicted": question.predicted,
    }  # fmt: skip
    for parameter, column in columns.items():
        if column is None:
            continue
        if column not in frame.columns:
            raise ParameterError(
                f"{owner}: frame has no column {parameter}={column!r}; {nearest(column, map(str, frame.columns))}"
            )
        if not missing and (holes := int(frame[column].isna().sum())):
            raise ParameterError(
                f"{owner}: {holes} rows have no {parameter} {column!r}; drop them or call them 'unknown'."
            )
    same = [column for column in (question.label, question.facet, question.predicted) if column is not None]
    if len(set(same)) < len(same):
        raise ParameterError(f"{owner}: label, facet and predicted should be different columns, not {', '.join(same)}.")
    _check_values(owner, "disadvantaged", question.disadvantaged, question.facet_kind, "facet_kind")
    _check_values(owner, "positive", question.positive, question.label_kind, "label_kind")


def _check_values(owner: str, parameter: str, values: Any, kind: Kind, name: str) -> None:
    number = isinstance(values, int | float | np.number) and not isinstance(values, bool)
    if kind == "continuous":
        if not number or not np.isfinite(values):
            raise ParameterError(
                f"{owner}: {parameter}={values!r} is not possible: with {name}='continuous' it should be a threshold, "
                "one number."
            )
    elif not pd.api.types.is_list_like(values) or isinstance(values, dict):
        raise ParameterError(
            f"{owner}: {parameter}={values!r} is not possible: it should be a list of values, such as [{values!r}]"
            + (f"; a threshold needs {name}='continuous'." if number else ".")
        )
    elif not len(values):
        raise ParameterError(f"{owner}: {parameter}=[] is not possible: it should name at least one value.")


def chosen(column: pd.Series, values: Any, kind: Kind, owner: str, parameter: str) -> np.ndarray:
    """Which rows the values or the threshold mean."""
    if kind == "continuous":
        return numbers(column, owner) > float(values)
    codes, _, hit = listed(column, values, owner, parameter)
    return hit[codes]


def listed(column: pd.Series, values: Any, owner: str, parameter: str) -> tuple[np.ndarray, list[Any], np.ndarray]:
    """The column's codes, the value that each stands for, and which of these are among *values*."""
    codes, uniques = factorized(column, owner)
    hit = np.array([any(_same(unique, value) for value in values) for unique in uniques], dtype=bool)
    if not hit.any():
        _refuse_impossible(column, uniques, list(values), owner, parameter)
    return codes, uniques, hit


def numbers(column: pd.Series, owner: str) -> np.ndarray:
    """A column as floats."""
    if not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        raise ParameterError(
            f"{owner}: column {column.name!r} holds {column.dtype}, but 'continuous' needs numbers in it."
        )
    return column.to_numpy(dtype=float, na_value=np.nan)


def factorized(column: pd.Series, owner: str) -> tuple[np.ndarray, list[Any]]:
    """Codes 0, 1, … and the value each stands for."""
    try:
        codes, uniques = pd.factorize(column, use_na_sentinel=False)
    except TypeError:
        kind = type(column.iloc[0]).__name__
        raise ParameterError(
            f"{owner}: column {column.name!r} holds a {kind} in each row; it should hold single values."
        ) from None
    return codes, list(uniques)


def _same(one: Any, other: Any) -> bool:
    return bool(one == other) and isinstance(one, str) == isinstance(other, str)


def _refuse_impossible(column: pd.Series, uniques: list[Any], values: list[Any], owner: str, parameter: str) -> None:
    """A value that nobody has may be right (nobody has it *today*), but not a typo, nor one that nobody can have."""
    nobody = f"{owner}: no row has {parameter}={values[0]!r} in {column.name!r}"
    for value in values:
        if near := [unique for unique in uniques if _misspelt(str(value), str(unique))]:
            raise ParameterError(
                f"{owner}: no row has {parameter}={value!r} in {column.name!r}; did you mean {near[0]!r}?"
            )
    if pd.api.types.is_float_dtype(column) and any(unique % 1 for unique in uniques):
        raise ParameterError(
            f"{nobody}, whose values are fractions such as {next(u for u in uniques if u % 1):.4g}; a threshold needs "
            "its kind 'continuous', a probability in predicted probability_threshold=0.5."
        )
    if {isinstance(unique, str) for unique in uniques}.isdisjoint({isinstance(value, str) for value in values}):
        shown = ", ".join(shortly(unique) for unique in uniques[:4])
        raise ParameterError(f"{nobody}, which holds {shown}{', …' if len(uniques) > 4 else ''}.")


def _misspelt(value: str, known: str) -> bool:
    """'women' for 'woman'; but not 'woman' for 'man', nor 'group b' for 'group a', nor '20-30' for '30-40'."""
    one, other = value.strip().casefold(), known.strip().casefold()
    if one == other:
        return True
    opposites = one.endswith(other) or other.endswith(one)
    of_a_series = one[:-1] == other[:-1] or re.sub(r"\d", "", one) == re.sub(r"\d", "", other)
    return not opposites and not of_a_series and difflib.SequenceMatcher(None, one, other).ratio() >= 0.8


def tabulate(frame: pd.DataFrame, question: Question, owner: str) -> Cells:
    """Count the rows of each cell."""
    check(frame, question, owner)
    is_d = chosen(frame[question.facet], question.disadvantaged, question.facet_kind, owner, "disadvantaged")
    labels, positive = _labels(frame[question.label], question, owner)
    predicted = None if question.predicted is None else decisions(frame, question, owner)
    group, names = (None, []) if question.group is None else factorized(frame[question.group], owner)
    return count(is_d, labels, positive, predicted, group, tuple(names))


def _labels(column: pd.Series, question: Question, owner: str) -> tuple[np.ndarray, np.ndarray]:
    """Codes of the labels, and which codes are positive; a continuous label is cut at its threshold."""
    if question.label_kind == "continuous":
        return chosen(column, question.positive, "continuous", owner, "positive").astype(int), np.array([False, True])
    codes, _, hit = listed(column, question.positive, owner, "positive")
    return codes, hit


def decisions(frame: pd.DataFrame, question: Question, owner: str) -> np.ndarray:
    """Which rows are predicted positive."""
    column = frame[question.predicted]
    if question.probability_threshold is None:
        return chosen(column, question.positive, question.label_kind, owner, "positive")
    scores = numbers(column, owner)
    if scores.min() < 0 or scores.max() > 1:
        raise ParameterError(
            f"{owner}: column {question.predicted!r} holds {scores.min():.4g} to {scores.max():.4g}, but with "
            "probability_threshold it should hold probabilities, 0 to 1."
        )
    return scores > question.probability_threshold


def count(
    is_d: np.ndarray,
    labels: np.ndarray,
    positive: np.ndarray,
    predicted: np.ndarray | None = None,
    group: np.ndarray | None = None,
    names: tuple[Any, ...] = (),
) -> Cells:
    """Cells from codes."""
    shape = (2, max(len(names), 1), len(positive), 1 if predicted is None else 2)
    place = is_d.astype(np.int64)
    if group is not None:
        place = place * shape[1] + group
    place = place * shape[2] + labels
    if predicted is not None:
        place = place * 2 + predicted
    return Cells(np.bincount(place, minlength=int(np.prod(shape))).reshape(shape), positive, names)
