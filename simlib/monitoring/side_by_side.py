"""The same data by each platform's rules, side by side: they do not agree, and each has its trap."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import pandas as pd
from pydantic import SkipValidation

from simlib.monitoring import distances as d
from simlib.monitoring.profiles import check_frame
from simlib.parameters import checked


class Rule(NamedTuple):
    """One platform's rule for one kind of feature."""

    platform: str
    measure: str
    of: str  # "numbers" | "categories" | "both"
    distance: Callable[..., float]
    threshold: float
    below: bool  # alerts below the threshold: it is a p-value
    mark: str
    trap: str


RULES = (
    Rule("SageMaker", "L-inf Simple", "both", d.linf_simple, 0.1, False, "V", "fires without drift below 300 rows"),
    Rule("SageMaker", "L-inf Robust", "both", d.linf_robust, 0.1, False, "V", "hardly sees 0.3 standard deviations"),
    Rule(
        "Vertex AI",
        "JS divergence",
        "numbers",
        d.js_divergence,
        0.3,
        False,
        "V",
        "the square of Azure's distance",
    ),
    Rule("Vertex AI", "L-inf", "categories", d.linf_simple, 0.3, False, "V", "blind to many small shares"),
    Rule("Azure ML", "Wasserstein / sd", "numbers", d.wasserstein, 0.1, False, "V", "one outlier moves it"),
    Rule(
        "Azure ML",
        "JS distance",
        "both",
        d.js_distance,
        0.1,
        False,
        "V",
        "the root of Vertex's; grows with few rows",
    ),
    Rule("Azure ML", "PSI", "both", d.psi, 0.1, False, "U", "grows with few rows: 9 (1/n + 1/m) without drift"),
    Rule("Azure ML", "KS p-value", "numbers", d.ks_pvalue, 0.05, True, "U", "with enough rows it always rejects"),
    Rule(
        "Azure ML", "chi² p-value", "categories", d.chi2_pvalue, 0.05, True, "U", "with enough rows it always rejects"
    ),
)
"""Thresholds: the documented defaults of SageMaker and Vertex, and of Azure's SDK for Wasserstein and JS distance; for
the others the user has to say (assumption: 0.1, and 0.05 for p-values, which alert below)."""


@checked
def side_by_side(
    reference: SkipValidation[pd.DataFrame],
    current: SkipValidation[pd.DataFrame],
) -> pd.DataFrame:
    """Every platform's measure of every feature that both frames have.

    Each with the conventions of `distances`, so that a difference between rows is one of the rule and not of binning
    (the platforms bin by their own: TFDV by the union of both sides' edges, Azure by Sturges' number).

    Returns
    -------
    DataFrame
        feature platform measure value threshold alert trap mark (V documented, U assumption).
    """
    then = check_frame("side_by_side", reference, name="reference")
    now = check_frame("side_by_side", current, name="current")
    rows: list[tuple[Any, ...]] = []
    for name in (each for each in then.columns if each in now.columns):
        a, b = d.pair("side_by_side", then[name], now[name])
        kind = "numbers" if a.dtype.kind == "f" else "categories"
        for rule in RULES:
            if rule.of in (kind, "both"):
                value = rule.distance(a, b)
                alert = not math.isnan(value) and (value < rule.threshold if rule.below else value > rule.threshold)
                rows.append((name, rule.platform, rule.measure, value, rule.threshold, alert, rule.trap, rule.mark))
    columns = ["feature", "platform", "measure", "value", "threshold", "alert", "trap", "mark"]
    return pd.DataFrame(rows, columns=columns)
