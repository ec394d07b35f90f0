"""Looking at an A/B test while it runs, as often as one likes, and still being wrong no oftener than was said.

A fixed-size test is right once, at the end.  Whoever looks every hour and stops at the first p < 0.05 finds differences
where there are none (Armitage, McPherson and Rowe 1969, JRSS A 132).  An *always-valid* interval is wider, and holds at
all looks together: the mixture sequential probability ratio test (mSPRT; Johari, Koomen, Pekelis and Walsh 2022,
Operations Research 70).

>>> from simlib import sequential
>>> table = sequential.cost_of_peeking(looks=20, seed=1)
>>> bool(table.loc["stop at the first p < 0.05", "false_alarms"] > 0.2)
True
>>> bool(table.loc["always-valid interval", "high"] < 0.05)
True
"""

import math
from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import Field

from simlib import abtest
from simlib.intervals import Confidence
from simlib.parameters import Count, ParameterError, Positive, Text, Whole, checked

FIGURES = ("mean_s", "error_rate")
Looks = Annotated[Count, Field(le=10_000)]
Batches = Annotated[Count, Field(ge=5)]
FEWEST_A_BATCH = 10
"""Answers a batch without which there is no look.  Assumption: with shorter ones the variance is a guess."""

MOST_ALIKE = 0.9
"""Neighbouring batches are taken to be no more alike than this."""


def half_width(variance: "float | np.ndarray", effect: float, confidence: float) -> "float | np.ndarray":
    """Half the always-valid interval of an estimate with this *variance*, for a prior effect ~ N(0, *effect*²).

    With V the variance, τ the effect and α = 1 - confidence: √(2 V (V + τ²) / τ² · ln(√((V + τ²) / V) / α)).
    """
    prior = effect**2
    found: np.ndarray = np.sqrt(
        2 * variance * (variance + prior) / prior
        * (0.5 * np.log((variance + prior) / variance) - math.log(1 - confidence))
    )  # fmt: skip
    return found


@checked
def during(
    run: abtest.ARun,
    a: Text,
    b: Text,
    *,
    effect: Positive,
    figure: Text = "mean_s",
    every_s: Positive = 3600.0,
    confidence: Confidence = 0.95,
    batches: Batches = 30,
) -> pd.DataFrame:
    """An A/B test as whoever looked at it every so often saw it: one row a look, from the beginning to the end.

    At each look the requests that had been answered by then are compared.  The variance is that of batch means, as in
    `abtest.difference`, and larger where neighbouring batches are alike: a look comes early, when batches are short and
    answers behind one queue still go together.  An error rate has at least the variance of independent errors, with
    one error more than was seen, so that a handful of rare errors decides nothing.

    Parameters
    ----------
    run : Run
        With every request kept.
    a, b : str
        Names of variants.
    effect : float
        About how large a difference one hopes to see, in the figure's unit: there the interval is narrowest.  It
        changes how long the test takes, never how often it is wrong.
    figure : "mean_s" | "error_rate"
    every_s : float
        Between two looks [s].
    batches : int
        Batches of each variant.  Looks at less than ten answers a batch are left out.

    Returns
    -------
    DataFrame
        Index time_s; requests_a, requests_b, difference (b - a), naive_low, naive_high (of a test of fixed size), low,
        high (always valid), decided: whether 0 has been outside the always-valid interval by then.

    Raises
    ------
    ParameterError
        If there is no such variant or figure, the run is folded, or no look has enough answers.
    """
    from scipy.special import stdtrit

    if figure not in FIGURES:
        raise ParameterError(f"during: figure={figure!r} is not possible: it should be one of {', '.join(FIGURES)}.")
    if a == b:
        raise ParameterError(f"during: a and b are both {a!r}: give two variants.")
    times = [abtest.answered_at(run, name, figure) for name in (a, b)]
    order = [np.argsort(each, kind="stable") for each in times]
    times = [each[by] for each, by in zip(times, order, strict=True)]
    values = [abtest.answers(run, name, figure)[by] for name, by in zip((a, b), order, strict=True)]
    begin, end = run.snapshot.begin_s + run.warm_up_hours * 3600, run.snapshot.end_s
    rows = {}
    for look in np.arange(begin + every_s, end + 1e-9, every_s):
        sizes = [int(np.searchsorted(t, look, side="right")) for t in times]
        if min(sizes) < FEWEST_A_BATCH * batches:
            continue
        seen = [v[:n] for v, n in zip(values, sizes, strict=True)]
        found = float(seen[1].mean() - seen[0].mean())
        variance = variance_of_difference(*seen, batches=batches, shares=figure == "error_rate")
        naive = float(stdtrit(2 * batches - 2, (1 + confidence) / 2)) * math.sqrt(variance)
        wide = float(half_width(variance, effect, confidence)) if variance > 0 else 0.0
        rows[float(look)] = (*sizes, found, found - naive, found + naive, found - wide, found + wide)
    if not rows:
        fewest = FEWEST_A_BATCH * batches
        raise ParameterError(f"during: no look has {fewest} answers of both variants; let the run be longer.")
    columns = ["requests_a", "requests_b", "difference", "naive_low", "naive_high", "low", "high"]
    table = pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("time_s")
    decided = ((table["low"] > 0) | (table["high"] < 0)).cummax()
    return table.astype({"requests_a": int, "requests_b": int}).assign(decided=decided)


def variance_of_difference(a: np.ndarray, b: np.ndarray, *, batches: int = 30, shares: bool = False) -> float:
    """Of the difference of two means, of answers in their order, shape (n,) each; *shares*: they are 0 or 1."""
    variance = sum(_variance_of_mean(each, batches) for each in (a, b))
    return max(variance, _of_rare(a, b)) if shares else variance


def _variance_of_mean(values: np.ndarray, batches: int) -> float:
    """Of the mean of values in their order: by batch means, as if these were autoregressive of order one.

    Then the variance is that of independent batches times (1 + r) / (1 - r), r the correlation of neighbours.
    """
    parts = abtest.Parts.of(values, batches)
    alike = min(max(parts.lag1, 0.0), MOST_ALIKE)
    return parts.variance_of_mean * (1 + alike) / (1 - alike)


def _of_rare(a: np.ndarray, b: np.ndarray) -> float:
    """The variance of the difference of two shares of independent errors that are equally likely on both sides."""
    share = (a.sum() + b.sum() + 1) / (len(a) + len(b) + 1)
    return float(share * (1 - min(share, 1.0)) * (1 / len(a) + 1 / len(b)))


@checked
def cost_of_peeking(
    looks: Looks = 20,
    *,
    experiments: Count = 4000,
    confidence: Confidence = 0.95,
    effect_in_errors: Positive = 3.0,
    seed: Whole = 0,
) -> pd.DataFrame:
    """How often each rule finds a difference between two variants that are equal.

    Experiments are drawn: at look k the difference of two means is normal with variance V/k, and the looks of one
    experiment share their data.

    Parameters
    ----------
    looks : int
        Looks at each experiment, evenly spaced.
    effect_in_errors : float
        The prior effect of the always-valid interval, in standard errors at the last look.  Assumption.

    Returns
    -------
    DataFrame
        One row a rule: false_alarms (share of experiments), and its 95 % interval low, high (Wilson's score).
    """
    from scipy.special import ndtri

    rng = np.random.default_rng(seed)
    k = np.arange(1, looks + 1)
    means = np.cumsum(rng.standard_normal((experiments, looks)), axis=1) / k
    critical = float(ndtri((1 + confidence) / 2))
    alpha = f"{1 - confidence:.2g}"
    outside = np.abs(means) > critical / np.sqrt(k)
    wide = half_width(1 / k, effect_in_errors / math.sqrt(looks), confidence)
    rules = {
        "look once, at the end": outside[:, -1],
        f"stop at the first p < {alpha}": outside.any(axis=1),
        "always-valid interval": (np.abs(means) > wide).any(axis=1),
    }
    rows = {name: _share(np.asarray(found)) for name, found in rules.items()}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["false_alarms", "low", "high"]).rename_axis("rule")


def _share(found: np.ndarray) -> tuple[float, float, float]:
    share = float(found.mean())
    return share, *abtest.wilson(share, len(found), 1.959964)
