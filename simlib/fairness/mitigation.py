"""Two honest strokes against bias, and why no third one gives everything.

*Reweighing* changes the data: it weighs rows so that in the weighted data facet and label are independent.
*Thresholds per group* change the decision: the model stays, and d's bar is set where acceptance, or recall, equals
a's. Both cost something, and the second treats people differently by facet, which the law may forbid. `tradeoff`
shows that parity, equal opportunity and calibration cannot all hold when base rates differ (Kleinberg,
Mullainathan and Raghavan 2016).
"""

from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from simlib.fairness.groups import Kind, Question, check, chosen, numbers
from simlib.parameters import ParameterError, Positive, Real, Share, Text, checked
from simlib.plots.style import BLACK, LINES, Words, color_of, new_figure, show, styled


@checked
def reweigh(
    frame: pd.DataFrame,
    *,
    label: Text,
    facet: Text,
    disadvantaged: Any,
    positive: Any = (1,),
    facet_kind: Kind = "categorical",
    label_kind: Kind = "categorical",
) -> pd.Series:
    """Weights P(facet) · P(label) / P(facet, label) of the rows: with them DPL is 0 (Kamiran and Calders 2012).

    Give them to the model as ``sample_weight``.  They repair labels that differ by facet for no good reason; where the
    reason is good (a real difference in merit), they hide it.

    >>> people = pd.DataFrame({"sex": ["f", "f", "f", "m", "m", "m"], "paid": [1, 0, 0, 1, 1, 0]})
    >>> reweigh(people, label="paid", facet="sex", disadvantaged=["f"]).tolist()
    [1.5, 0.75, 0.75, 0.75, 0.75, 1.5]
    """
    question = Question(label, facet, disadvantaged, positive, None, facet_kind, label_kind)
    check(frame, question, "reweigh")
    is_d = chosen(frame[facet], disadvantaged, facet_kind, "reweigh", "disadvantaged")
    yes = chosen(frame[label], positive, label_kind, "reweigh", "positive")
    joint = np.bincount(2 * is_d + yes, minlength=4).reshape(2, 2) / len(frame)
    if not joint.all():
        raise ParameterError(
            "reweigh: a facet has only one kind of label; no weights make facet and label independent."
        )
    weights = joint.sum(axis=1)[:, None] * joint.sum(axis=0)[None, :] / joint
    return pd.Series(weights[is_d.astype(int), yes.astype(int)], index=frame.index, name="weight")


class Thresholds(NamedTuple):
    """Who is accepted: score > a for people of a, score > d for people of d."""

    a: float
    d: float


@checked
def thresholds(
    frame: pd.DataFrame,
    *,
    label: Text,
    score: Text,
    facet: Text,
    disadvantaged: Any,
    goal: Literal["parity", "opportunity"],
    threshold: Share = 0.5,
    positive: Any = (1,),
    facet_kind: Kind = "categorical",
    label_kind: Kind = "categorical",
) -> Thresholds:
    """a keeps its *threshold*; d's is set so that d's acceptance ("parity") or recall ("opportunity") is a's.

    Exact up to one row of d, and up to ties in the score.
    """
    question = Question(label, facet, disadvantaged, positive, None, facet_kind, label_kind, score)
    check(frame, question, "thresholds")
    is_d = chosen(frame[facet], disadvantaged, facet_kind, "thresholds", "disadvantaged")
    yes = chosen(frame[label], positive, label_kind, "thresholds", "positive")
    scores = numbers(frame[score], "thresholds")
    counted = yes if goal == "opportunity" else np.ones(len(frame), dtype=bool)
    of_a, of_d = scores[~is_d & counted], np.sort(scores[is_d & counted])[::-1]
    if not len(of_a) or not len(of_d):
        raise ParameterError("thresholds: a facet has nobody to compare.")
    wanted = round(float((of_a > threshold).mean()) * len(of_d))  # so many of d are to be accepted
    if wanted == 0:
        return Thresholds(threshold, float(of_d[0]))
    below = of_d[wanted] if wanted < len(of_d) else of_d[-1] - 1e-9
    return Thresholds(threshold, float((of_d[wanted - 1] + below) / 2))


@checked
def tradeoff(*, base_rate_a: Share, base_rate_d: Share, bonus: Real, separation: Positive = 1.5) -> pd.Series:
    """What a bonus for d does to three kinds of fairness at once; exact, for a perfectly calibrated score.

    One feature x is normal with standard deviation 1, its mean higher by *separation* for the deserving, in both facets
    alike.  The score is the true probability given x and the facet; whoever is above 0.5 is accepted.  The *bonus* is
    added to d's log-odds.

    Returns
    -------
    Series
        parity: acceptance of a minus that of d (DPPL); opportunity: recall of a minus that of d (RD); calibration: the
        mean probability that is stated for d, minus the share of d that deserves it.  Each is fair at 0.
    """
    from scipy.special import expit, logit, ndtr

    for name, rate in (("base_rate_a", base_rate_a), ("base_rate_d", base_rate_d)):
        if rate in (0, 1):
            raise ParameterError(f"tradeoff: {name}={rate:g} is not possible: it should lie between 0 and 1.")

    def accepted(rate: float, extra: float) -> tuple[float, float]:
        """Shares accepted of all and of the deserving: x above the point where the stated log-odds are 0."""
        cut = separation / 2 - (float(logit(rate)) + extra) / separation
        of_others, of_deserving = 1 - float(ndtr(cut)), 1 - float(ndtr(cut - separation))
        return rate * of_deserving + (1 - rate) * of_others, of_deserving

    all_a, recall_a = accepted(base_rate_a, 0.0)
    all_d, recall_d = accepted(base_rate_d, bonus)
    x = np.linspace(-9, 9 + separation, 4001)
    density = base_rate_d * np.exp(-((x - separation) ** 2) / 2) + (1 - base_rate_d) * np.exp(-(x**2) / 2)
    stated = expit(float(logit(base_rate_d)) + bonus + separation * (x - separation / 2))
    mean_stated = float((stated * density).sum() / density.sum())
    return pd.Series(
        {"parity": all_a - all_d, "opportunity": recall_a - recall_d, "calibration": mean_stated - base_rate_d},
        name=bonus,
    )


@checked
def plot_tradeoff(*, base_rate_a: Share, base_rate_d: Share, bonus: Real = 0.0, separation: Positive = 1.5) -> Words:
    """Draw the three kinds of fairness of `tradeoff` over the bonus, with a mark at yours."""
    rates = {"base_rate_a": base_rate_a, "base_rate_d": base_rate_d, "separation": separation}
    grid = np.linspace(min(-0.5, bonus), max(2.0, bonus), 101)
    curves = pd.DataFrame([tradeoff(bonus=float(at), **rates) for at in grid], index=grid)
    here = {str(name): float(value) for name, value in tradeoff(bonus=bonus, **rates).items()}
    fair_at = {name: _zero(grid, curve.to_numpy()) for name, curve in curves.items()}
    equal = base_rate_a == base_rate_d
    with styled():
        ax = new_figure(1, 1, height=3.4)[1][0, 0]
        ax.axhline(0, color=BLACK, linewidth=0.8)
        ax.axvline(bonus, color=BLACK, linewidth=1.2, linestyle="--")
        for k, (name, value) in enumerate(here.items()):
            ax.plot(grid, curves[name], color=color_of(k), linestyle=LINES[k], label=name)
            ax.plot(bonus, value, "o", color=color_of(k))
        ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
        ax.set(xlabel="bonus for d [log-odds]", ylabel="difference; 0 is fair")
        ax.set_title("Equal base rates: one bonus is fair in all three ways" if equal
                     else "Unequal base rates: no bonus is fair in all three ways")  # fmt: skip
    show()
    now = ", ".join(f"{name} {round(value, 3) + 0:+.3f}" for name, value in here.items())
    zeros = ", ".join(f"{name} {'nowhere' if np.isnan(at) else f'{at + 0:.2f}'}" for name, at in fair_at.items())
    return Words(f"With a bonus of {bonus:g}: {now}. The bonus that is fair: {zeros}.")


def _zero(grid: np.ndarray, curve: np.ndarray) -> float:
    """Where a curve crosses 0, by a straight line between two points; NaN if it does not."""
    if (curve == 0).any():
        return float(grid[np.argmax(curve == 0)])
    crossings = np.flatnonzero(np.diff(np.sign(curve)))
    if not len(crossings):
        return float("nan")
    k = int(crossings[0])
    return float(grid[k] + (grid[k + 1] - grid[k]) * curve[k] / (curve[k] - curve[k + 1]))
