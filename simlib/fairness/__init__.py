"""Fair to whom, and why this decision: bias metrics, reports, data with known bias, mitigation, explanations.

>>> from simlib import fairness
>>> loans = fairness.Loans(label_bias=0.3).sample(5_000, seed=1)
>>> found = fairness.pretraining(loans, label="approved", facet="gender", disadvantaged=["woman"])
>>> print(found.loc["DPL", "reading"])
d is labelled positive less often than a (a 59.5 %, d 42.1 %).
"""

from simlib.fairness.attributions import (
    AdditivityError,
    attribution_drift,
    explain,
    partial_dependence,
)
from simlib.fairness.audit import Audit, Facet, audit
from simlib.fairness.datasets import DISADVANTAGED, Loans, diabetes, lends
from simlib.fairness.explanation import Explanation
from simlib.fairness.labels import pretraining
from simlib.fairness.metrics import definitions
from simlib.fairness.mitigation import Thresholds, plot_tradeoff, reweigh, thresholds, tradeoff
from simlib.fairness.predictions import posttraining

__all__ = [
    "DISADVANTAGED",
    "AdditivityError",
    "Audit",
    "Explanation",
    "Facet",
    "Loans",
    "Thresholds",
    "attribution_drift",
    "audit",
    "definitions",
    "diabetes",
    "explain",
    "lends",
    "partial_dependence",
    "plot_tradeoff",
    "posttraining",
    "pretraining",
    "reweigh",
    "thresholds",
    "tradeoff",
]
