"""What the quality and the bias monitor compare, with a rate of false alarms that is stated and kept.

SageMaker's suggested rules fire by chance in most windows (docs/guide/monitoring.md).  These fire only if the window is
*surely* worse: by a one-sided test whose level is the rate at which it fires while nothing is the matter.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtri

from simlib.monitoring.comparison import Findings, Violation, row_of, table_of
from simlib.parameters import NonNegative, ParameterError, Share, Text, config

FEWEST = 100
"""Labelled rows (of bias: good customers of each group) without which there is no comparison: the tests rest on the
normal law of a mean."""


@config
class LossWatch:
    """Are decisions dearer than when the version was evaluated?

    Parameters
    ----------
    label, predicted : str
        Columns of the truth and the decision, 0 or 1; 1 is to decline.
    declined_good, accepted_bad : float
        What the two mistakes cost.
    mean, error : float
        The mean cost of a decision at evaluation, and its standard error.
    margin : share
        How much dearer it may be.
    false_alarms : share
        The level of the test: so often a look it fires by chance, or more rarely.
    """

    label: Text
    predicted: Text
    declined_good: NonNegative
    accepted_bad: NonNegative
    mean: NonNegative
    error: NonNegative
    margin: NonNegative
    false_alarms: Share
    kind = "ModelQuality"
    needs_labels = True
    alarm_metric = "loss_surely_above"  # above 0 the window is surely dearer

    def needed(self, inputs: Sequence[str], outputs: Sequence[str], label: str | None) -> list[str]:
        """The columns to compare."""
        return [self.label, self.predicted]

    def compare(self, frame: pd.DataFrame) -> Findings:
        """The mean cost in *frame* against the evaluation's."""
        _enough(len(frame), "labelled rows")
        cost = cost_of(frame[self.label], frame[self.predicted], self.declined_good, self.accepted_bad)
        now, error = float(cost.mean()), float(cost.std(ddof=1)) / math.sqrt(len(cost))
        return _found("loss", now, self.limit, self.noise(error), len(frame), self.alarm_metric)

    @property
    def limit(self) -> float:
        """The mean cost of a decision beyond which the alarm rings, chance apart."""
        return self.mean * (1 + self.margin)

    def noise(self, error: float) -> float:
        """How far beyond the limit chance alone may carry a window's mean, whose standard error is *error*."""
        return _z(self.false_alarms) * math.hypot(error, self.error * (1 + self.margin))


@config
class GapWatch:
    """Are good customers of one group declined more often than those of the other?

    Parameters
    ----------
    label, predicted, facet : str
        Columns of the truth, the decision (1 is to decline) and the group.
    disadvantaged : str
        The group; the gap is its false positive rate less that of all others.
    threshold : share
        How large the gap may be.
    false_alarms : share
        The level of the test.
    """

    label: Text
    predicted: Text
    facet: Text
    disadvantaged: Text
    threshold: Share
    false_alarms: Share
    kind = "ModelBias"
    needs_labels = True
    alarm_metric = "gap_surely_above"  # above 0 the gap is surely too large

    def needed(self, inputs: Sequence[str], outputs: Sequence[str], label: str | None) -> list[str]:
        """The columns to compare."""
        return [self.facet, self.label, self.predicted]

    def compare(self, frame: pd.DataFrame) -> Findings:
        """The gap in *frame* against the threshold."""
        good = frame[frame[self.label] == 0]
        theirs = good[self.facet] == self.disadvantaged
        counts = [(int(good.loc[of, self.predicted].sum()), int(of.sum())) for of in (theirs, ~theirs)]
        _enough(min(n for _, n in counts), "good customers of each group")
        gap, error = gap_of(*counts[0], *counts[1])
        return _found("gap", gap, self.threshold, self.noise(error), len(frame), self.alarm_metric)

    def noise(self, error: float) -> float:
        """How far beyond the threshold chance alone may carry a window's gap, whose standard error is *error*."""
        return _z(self.false_alarms) * error


def cost_of(label: Any, predicted: Any, declined_good: float, accepted_bad: float) -> np.ndarray:
    """What each decision cost, shape (n,)."""
    y, said = np.asarray(label), np.asarray(predicted)
    return declined_good * ((y == 0) & (said == 1)) + accepted_bad * ((y == 1) & (said == 0))


def gap_of(declined: int, good: int, declined_others: int, good_others: int) -> tuple[float, float]:
    """The difference of two false positive rates, and its standard error; NaN where a group is empty."""
    if not good or not good_others:
        return math.nan, math.nan
    p, q = declined / good, declined_others / good_others
    return p - q, math.sqrt(p * (1 - p) / good + q * (1 - q) / good_others)


def _z(level: float) -> float:
    return float(ndtri(1 - level))


def _enough(n: int, what: str) -> None:
    if n < FEWEST:
        raise ParameterError(f"Only {n} {what} have come; at least {FEWEST} are needed.")


def _found(name: str, now: float, limit: float, noise: float, rows: int, alarm_metric: str) -> Findings:
    surely = now - limit - noise
    words = f"{name} {now:.4g} is above {limit:.4g} by more than chance ({noise:.2g})."
    check = "quality" if name == "loss" else "bias_drift_check"
    violations = (Violation("", check, words, metric_name=name),) if surely > 0 else ()
    table = table_of([row_of(name, check, now, limit + noise, surely > 0, rows)])
    return Findings(rows, violations, table, {name: now, alarm_metric: surely})
