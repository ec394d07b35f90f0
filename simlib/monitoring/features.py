"""Many features at once: one test each, and what so many tests do to the false alarms."""

import math
from typing import Literal

import numpy as np
import pandas as pd
from pydantic import SkipValidation

from simlib.monitoring.distances import chi2_pvalue, ks_pvalue, pair
from simlib.monitoring.profiles import check_frame
from simlib.parameters import ParameterError, Share, checked

Correction = Literal["none", "bonferroni", "benjamini-hochberg"]


@checked
def corrected(pvalues: SkipValidation[pd.Series], *, method: Correction = "benjamini-hochberg") -> pd.Series:
    """p-values adjusted for their number; below α they reject.  NaN, where nothing could be tested, stays.

    none: each is judged alone, and of k true null hypotheses 1 − (1 − α)^k have a false alarm somewhere.
    bonferroni: the chance of any false alarm is at most α.  benjamini-hochberg: of the alarms, on average at most the
    share α is false (independent or positively dependent features; scipy).
    """
    if not isinstance(pvalues, pd.Series) or not pvalues.dropna().between(0, 1).all():
        raise ParameterError("corrected: pvalues should be a Series of numbers from 0 to 1.")
    tested = pvalues.dropna()
    if method == "bonferroni":
        tested = (tested * len(tested)).clip(upper=1.0)
    elif method == "benjamini-hochberg" and len(tested):
        from scipy.stats import false_discovery_control

        tested = pd.Series(false_discovery_control(tested.to_numpy(dtype=float)), index=tested.index)
    return tested.reindex(pvalues.index)


@checked
def drifted_features(
    reference: SkipValidation[pd.DataFrame],
    current: SkipValidation[pd.DataFrame],
    *,
    alpha: Share = 0.05,
    method: Correction = "benjamini-hochberg",
) -> pd.DataFrame:
    """Has any feature's distribution changed?  Kolmogorov–Smirnov of numbers, χ² of homogeneity of categories.

    Returns
    -------
    DataFrame
        One row a feature of the reference: test, p, adjusted (for the number of features), drifted (adjusted < alpha).
        A feature that is missing or empty has no p.
    """
    then = check_frame("drifted_features", reference, name="reference")
    now = check_frame("drifted_features", current, name="current")
    rows = [(name, *_tested(then[name], now[name] if name in now.columns else None)) for name in then.columns]
    found = pd.DataFrame(rows, columns=["feature", "test", "p"]).set_index("feature")
    found["adjusted"] = corrected(found["p"], method=method)
    found["drifted"] = found["adjusted"] < alpha
    return found


def _tested(then: pd.Series, now: pd.Series | None) -> tuple[str, float]:
    if now is None:
        return "none: missing", math.nan
    a, b = pair("drifted_features", then, now)
    if not len(a) or not len(b):
        return "none: empty", math.nan
    return ("KS", ks_pvalue(a, b)) if a.dtype == np.float64 else ("chi2", chi2_pvalue(a, b))
