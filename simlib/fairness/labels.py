"""Bias in the data, before a model is trained: Clarify's eight pre-training metrics."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd

from simlib.fairness import smclarify
from simlib.fairness.bootstrap import defined, interval, stream, values_of
from simlib.fairness.groups import Cells, Kind, Question, tabulate
from simlib.fairness.metrics import PRETRAINING
from simlib.fairness.table import BiasTable, reading, table, undefined
from simlib.parameters import Text, Whole, checked


@checked
def pretraining(
    frame: pd.DataFrame,
    *,
    label: Text,
    facet: Text,
    disadvantaged: Any,
    positive: Any = (1,),
    group: Text | None = None,
    facet_kind: Kind = "categorical",
    label_kind: Kind = "categorical",
    compat: Literal["smclarify"] | None = None,
    bootstrap: Whole = 0,
    seed: Whole = 0,
) -> BiasTable:
    """Clarify's eight pre-training metrics of one facet; `definitions` says what each is and what it cannot see.

    Parameters
    ----------
    frame : DataFrame
        One row a person.
    label, facet : str
        The columns of the label and of the protected attribute.
    disadvantaged : list or number
        Who is d: values of the facet, or with ``facet_kind="continuous"`` a threshold (x > threshold is d).  All other
        rows are a.
    positive : list or number
        Which label is the good one: values, or with ``label_kind="continuous"`` a threshold (y > threshold).
    group : str or None
        The column of groups within which CDDL compares; without it CDDL is undefined.
    facet_kind, label_kind : "categorical" or "continuous"
        Declared, never guessed.
    compat : None or "smclarify"
        Reproduce the reference package with its defects, instead of the exact values; `simlib.fairness.smclarify`
        explains each.
    bootstrap : int
        Resamples behind the 95 % intervals; 0 for none, 1000 for a report.
    seed : int
        Seed of the bootstrap.

    Returns
    -------
    DataFrame
        Index metric (CI DPL KL JS LP TVD KS CDDL); columns value, low, high, n (the rows it rests on), reading.  0/0 is
        NaN and the reading says why; x/0 is ±inf.  KL, JS, LP, TVD and KS compare the shares of all the label's values;
        a continuous label is cut at its threshold first.

    >>> people = pd.DataFrame({"sex": ["f"] * 5 + ["m"] * 5, "paid": [1, 0, 0, 0, 1, 1, 1, 1, 0, 1]})
    >>> found = pretraining(people, label="paid", facet="sex", disadvantaged=["f"])
    >>> print(f"{found.loc['DPL', 'value']:.2f}", found.loc["DPL", "reading"])
    0.40 d is labelled positive less often than a (a 80.0 %, d 40.0 %).
    """
    question = Question(label, facet, disadvantaged, positive, group, facet_kind, label_kind)
    if compat is not None:
        return smclarify.pretraining(frame, question, bootstrap=bootstrap, seed=seed)
    cells = tabulate(frame, question, "pretraining")
    values = {name: float(value) for name, value in formulas(cells).items()}
    drawn = values_of(cells, formulas, bootstrap, stream(seed)) if bootstrap else {}
    return assembled(cells, values, drawn, question)


def formulas(cells: Cells) -> dict[str, np.ndarray]:
    """The eight metrics of each table of counts; 0/0 is NaN."""
    from scipy.special import rel_entr

    by = cells.by_label
    n = by.sum(axis=-1)
    n_a, n_d = n[..., 0], n[..., 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = by / n[..., None]
        p_a, p_d = shares[..., 0, :], shares[..., 1, :]
        q = by[..., cells.positive].sum(axis=-1) / n
        middle, gap = (p_a + p_d) / 2, np.abs(p_a - p_d)
        return {
            "CI": (n_a - n_d) / (n_a + n_d),
            "DPL": q[..., 0] - q[..., 1],
            "KL": rel_entr(p_a, p_d).sum(axis=-1),
            "JS": (rel_entr(p_a, middle) + rel_entr(p_d, middle)).sum(axis=-1) / 2,
            "LP": np.sqrt((gap**2).sum(axis=-1)),
            "TVD": gap.sum(axis=-1) / 2,
            "KS": gap.max(axis=-1),
            "CDDL": conditional_disparity(cells, predicted=False),
        }


def conditional_disparity(cells: Cells, *, predicted: bool) -> np.ndarray:
    """Σ_i n_i (n⁰_{d,i} / n⁰_i − n¹_{d,i} / n¹_i) / n over groups i; NaN where one of them has 0/0."""
    outcomes = cells.outcomes(predicted=predicted)
    if not cells.groups:
        return np.full(outcomes.shape[:-3], np.nan)
    both = outcomes.sum(axis=-3)
    rows = both.sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        d_share = outcomes[..., 1, :, :] / both
    disparity = np.where(rows > 0, d_share[..., 0] - d_share[..., 1], 0.0)  # a group without rows has no say
    return np.asarray((rows * disparity).sum(axis=-1) / rows.sum(axis=-1))


def assembled(
    cells: Cells, values: Mapping[str, float], drawn: Mapping[str, np.ndarray], question: Question
) -> BiasTable:
    """The table of the eight."""
    by = cells.by_label
    n = int(by.sum())
    readings = {name: _reading(name, value, cells, question) for name, value in values.items()}
    intervals = {name: interval(name, values[name], found) for name, found in drawn.items() if defined(found)}
    return table(values, intervals, dict.fromkeys(values, n), readings, convention=question.convention)


def _reading(name: str, value: float, cells: Cells, question: Question) -> str:
    if np.isnan(value):
        return undefined(_why(name, cells, question))
    by = cells.by_label
    n, positive = by.sum(axis=-1), by[..., cells.positive].sum(axis=-1)
    details = {
        "CI": f"a {n[0]:,} rows, d {n[1]:,}",
        "DPL": "" if not n.all() else f"a {100 * positive[0] / n[0]:.1f} %, d {100 * positive[1] / n[1]:.1f} %",
        "CDDL": f"{len(cells.groups)} groups of {question.group}",
    }
    if name in details:
        return reading(PRETRAINING[name], value, details[name])
    lacking = by[1][by[0] > 0] == 0
    return reading(PRETRAINING[name], value, "d lacks a label that a has" if np.isinf(value) and lacking.any() else "")


def _why(name: str, cells: Cells, question: Question) -> str:
    if name == "CDDL":
        return why_no_disparity(cells, question, predicted=False)
    return empty_facet(cells, question)


def empty_facet(cells: Cells, question: Question) -> str:
    """Which facet has no rows."""
    n_a, n_d = cells.by_label.sum(axis=-1)
    return (
        f"no row is d, {question.who} (0/0)"
        if not n_d
        else f"no row is a, all have {question.who} (0/0)"
        if not n_a
        else "0/0"
    )


def why_no_disparity(cells: Cells, question: Question, *, predicted: bool) -> str:
    """Why a conditional disparity has no value."""
    if not cells.groups:
        return "it compares within groups; name their column in group="
    both = cells.outcomes(predicted=predicted).sum(axis=0)
    what = "prediction" if predicted else "label"
    lacking = [
        f"{question.group} = {name} has no {sign} {what}"
        for name, counts in zip(cells.groups, both, strict=True)
        for sign, number in zip(("negative", "positive"), counts, strict=True)
        if not number
    ]
    more = f", and {len(lacking) - 1} more" if len(lacking) > 1 else ""
    return f"{lacking[0]}{more} (0/0)"
