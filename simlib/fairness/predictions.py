"""Bias in a model's decisions: Clarify's thirteen post-training metrics, and the disparate false positive rate."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from simlib.fairness import smclarify
from simlib.fairness.bootstrap import defined, interval, stream, values_of
from simlib.fairness.fliptest import AT_MOST, FlipTest, feature_columns, fitted, sample
from simlib.fairness.groups import Cells, Kind, Question, chosen, decisions, tabulate
from simlib.fairness.labels import conditional_disparity, empty_facet, why_no_disparity
from simlib.fairness.metrics import POSTTRAINING
from simlib.fairness.table import BiasTable, reading, table, undefined
from simlib.parameters import Share, Text, Whole, checked

Rate = tuple[np.ndarray, np.ndarray]  # numerator and denominator, each by facet


class RateWords(NamedTuple):
    """A rate in words: what it is, what is above and what below the line, and how it is printed."""

    what: str
    above: str
    below: str
    unit: Literal["%", ""] = "%"


RATES = {
    "accepted": RateWords("accepted", "positive predictions", "rows"),
    "recall": RateWords("of the deserving accepted", "true positives", "positive labels"),
    "specificity": RateWords("of the undeserving refused", "true negatives", "negative labels"),
    "false_positive": RateWords("false positives", "false positives", "negative labels"),
    "precision": RateWords("of the accepted rightly so", "true positives", "positive predictions"),
    "rejection_precision": RateWords("of the refused rightly so", "true negatives", "negative predictions"),
    "accuracy": RateWords("right", "right predictions", "rows"),
    "label_per_acceptance": RateWords("positive labels per acceptance", "positive labels", "positive predictions", ""),
    "label_per_rejection": RateWords("negative labels per refusal", "negative labels", "negative predictions", ""),
    "missed_per_false": RateWords("false negatives per false positive", "false negatives", "false positives", ""),
}
SHAPES: dict[str, tuple[str, Literal["a − d", "d − a", "d / a"]]] = {
    "DPPL": ("accepted", "a − d"),
    "DI": ("accepted", "d / a"),
    "DCA": ("label_per_acceptance", "a − d"),
    "DCR": ("label_per_rejection", "d − a"),
    "SD": ("specificity", "d − a"),
    "RD": ("recall", "a − d"),
    "DAR": ("precision", "a − d"),
    "DRR": ("rejection_precision", "d − a"),
    "AD": ("accuracy", "a − d"),
    "TE": ("missed_per_false", "d − a"),
    "DFPR": ("false_positive", "d − a"),
    "DFPR_ratio": ("false_positive", "d / a"),
}
"""Each metric compares one rate of a with that of d."""


@checked
def posttraining(
    frame: pd.DataFrame,
    *,
    label: Text,
    predicted: Text,
    facet: Text,
    disadvantaged: Any,
    positive: Any = (1,),
    group: Text | None = None,
    features: Sequence[str] | None = None,
    facet_kind: Kind = "categorical",
    label_kind: Kind = "categorical",
    probability_threshold: Share | None = None,
    compat: Literal["smclarify"] | None = None,
    bootstrap: Whole = 0,
    seed: Whole = 0,
) -> BiasTable:
    """Clarify's thirteen post-training metrics of one facet, and the disparate false positive rate beside them.

    Parameters
    ----------
    frame : DataFrame
        One row a person.
    label, predicted, facet : str
        The columns of what was true, of what the model said, and of the protected attribute.
    disadvantaged, positive, group, facet_kind, label_kind, compat, bootstrap, seed
        As in `pretraining`; the rule of positive labels holds for predictions too.
    features : list of str or None
        Numeric columns in which the flip test looks for neighbours; without them FT is undefined.
    probability_threshold : float or None
        If given, *predicted* holds the probability of a positive label, and a row is predicted positive if it is
        above the threshold (exclusive, as in Clarify, whose default is 0.5).

    Returns
    -------
    DataFrame
        Index metric (DPPL DI DCA DCR SD RD DAR DRR AD TE CDDPL FT GE DFPR DFPR_ratio); columns value, low, high, n,
        reading.  n counts the rows that a metric rests on, such as the positive labels for RD; FT looks at no more
        than 10,000.

    >>> people = pd.DataFrame({"sex": ["f"] * 5 + ["m"] * 5, "paid": [1, 1, 0, 0, 1, 1, 1, 1, 0, 1]})
    >>> people["lent"] = [1, 0, 0, 0, 1, 1, 1, 1, 1, 1]
    >>> found = posttraining(people, label="paid", predicted="lent", facet="sex", disadvantaged=["f"])
    >>> float(found.loc["DFPR", "value"]), found.loc["RD", "reading"]
    (-1.0, 'Of those who deserve it, the model accepts d less often (of the deserving accepted: a 100.0 %, d 66.7 %).')
    """
    question = Question(
        label, facet, disadvantaged, positive, group, facet_kind, label_kind, predicted, probability_threshold
    )
    if compat is not None:
        return smclarify.posttraining(frame, question, features, bootstrap=bootstrap, seed=seed)
    cells = tabulate(frame, question, "posttraining")
    values = {name: float(value) for name, value in formulas(cells).items()}
    rng = stream(seed)
    drawn = values_of(cells, formulas, bootstrap, rng) if bootstrap else {}
    flip = None if features is None else _flip_test(frame, question, features, seed)
    if flip is not None:
        values["FT"] = flip.value
        if bootstrap:
            drawn["FT"] = flip.resampled(bootstrap, rng)
    return _assembled(cells, values, drawn, question, flip)


def rates(cells: Cells) -> dict[str, Rate]:
    """Numerator and denominator of each rate, by facet."""
    tp, fp, fn, tn = cells.confusion
    n = tp + fp + fn + tn
    return {
        "accepted": (tp + fp, n),
        "recall": (tp, tp + fn),
        "specificity": (tn, tn + fp),
        "false_positive": (fp, tn + fp),
        "precision": (tp, tp + fp),
        "rejection_precision": (tn, tn + fn),
        "accuracy": (tp + tn, n),
        "label_per_acceptance": (tp + fn, tp + fp),
        "label_per_rejection": (tn + fp, tn + fn),
        "missed_per_false": (fn, fp),
    }


def formulas(cells: Cells, divide: Callable[[np.ndarray, np.ndarray], np.ndarray] = np.divide) -> dict[str, np.ndarray]:
    """All metrics that depend on counts, of each table of counts; 0/0 is NaN.  FT is a place to be filled."""
    with np.errstate(divide="ignore", invalid="ignore"):
        by_facet = {name: divide(*rate) for name, rate in rates(cells).items()}
        found = {name: _compared(by_facet[rate], shape, divide) for name, (rate, shape) in SHAPES.items()}
    found["CDDPL"] = conditional_disparity(cells, predicted=True)
    found["GE"] = generalized_entropy(cells)
    found["FT"] = np.full_like(found["GE"], np.nan)
    return {name: found[name] for name in POSTTRAINING}


def _compared(by_facet: np.ndarray, shape: str, divide: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
    a, d = by_facet[..., 0], by_facet[..., 1]
    if shape == "d / a":
        return np.asarray(divide(d, a))
    return np.asarray(a - d if shape == "a − d" else d - a)


def generalized_entropy(cells: Cells) -> np.ndarray:
    """1/(2n) Σ [(b_i / b̄)² − 1]: benefit b is 0 for a false negative, 2 for a false positive, 1 for the rest."""
    tp, fp, fn, tn = (count.sum(axis=-1) for count in cells.confusion)
    n = tp + fp + fn + tn
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = (tp + tn + 2 * fp) / n
        return np.asarray(((tp + tn + 4 * fp) / n / mean**2 - 1) / 2)


def _flip_test(frame: pd.DataFrame, question: Question, features: Sequence[str], seed: int) -> FlipTest:
    owner = "posttraining"
    rows = sample(len(frame), seed)
    is_d = chosen(frame[question.facet], question.disadvantaged, question.facet_kind, owner, "disadvantaged")[rows]
    accepted = decisions(frame, question, owner)[rows]
    return fitted(feature_columns(frame, features, owner)[rows], is_d, accepted, standardised=True)


def _assembled(
    cells: Cells,
    values: Mapping[str, float],
    drawn: Mapping[str, np.ndarray],
    question: Question,
    flip: FlipTest | None,
) -> BiasTable:
    n = int(cells.counts.sum())
    of_rate = {name: int(below.sum()) for name, (_, below) in rates(cells).items()}
    rests_on = {name: of_rate[SHAPES[name][0]] if name in SHAPES else n for name in values}
    rests_on["TE"] = n
    rests_on["FT"] = 0 if flip is None else flip.rows
    readings = {name: _reading(name, value, cells, question, flip) for name, value in values.items()}
    intervals = {name: interval(name, values[name], found) for name, found in drawn.items() if defined(found)}
    return table(values, intervals, rests_on, readings, convention=question.convention)


def _reading(name: str, value: float, cells: Cells, question: Question, flip: FlipTest | None) -> str:
    if np.isnan(value):
        return undefined(_why(name, cells, question, flip))
    metric = POSTTRAINING[name]
    if name in SHAPES:
        return reading(metric, value, _both(SHAPES[name][0], cells))
    if name == "FT" and flip is not None:
        up, down = int((flip.flips > 0).sum()), int((flip.flips < 0).sum())
        sampled = f", in a sample of {AT_MOST:,} rows" if cells.counts.sum() > AT_MOST else ""
        return reading(metric, value, f"of {len(flip.flips):,} of d, {up:,} flip up and {down:,} down{sampled}")
    return reading(metric, value, f"{len(cells.groups)} groups of {question.group}" if name == "CDDPL" else "")


def _both(rate: str, cells: Cells) -> str:
    above, below = rates(cells)[rate]
    words = RATES[rate]
    with np.errstate(divide="ignore", invalid="ignore"):
        a, d = above / below
    shown = (f"{100 * x:.1f} %" if words.unit == "%" else f"{x:.3g}".replace("inf", "∞") for x in (a, d))
    return f"{words.what}: a {next(shown)}, d {next(shown)}"


def _why(name: str, cells: Cells, question: Question, flip: FlipTest | None) -> str:
    if not cells.by_label.sum(axis=-1).all() and name not in ("CDDPL", "GE"):
        return empty_facet(cells, question)
    if name == "FT" and flip is None:
        return "it compares with neighbours; name the feature columns in features="
    if name == "FT":
        return f"the sample of {AT_MOST:,} rows holds none of one facet"
    if name == "CDDPL":
        return why_no_disparity(cells, question, predicted=True)
    if name == "GE":
        return "all predictions are false negatives, so nobody has any benefit to compare (0/0)"
    rate, shape = SHAPES[name]
    above, below = rates(cells)[rate]
    words = RATES[rate]
    lacking = [facet for facet, x, y in zip("ad", above, below, strict=True) if x == y == 0]
    if lacking:
        nothing = words.below if words.unit == "%" else f"{words.above} and no {words.below}"
        return f"no {nothing} in {' and '.join(lacking)} (0/0)"
    return f"no {words.above} in a and d (0/0)" if shape == "d / a" else f"no {words.below} in a and d (∞ − ∞)"
