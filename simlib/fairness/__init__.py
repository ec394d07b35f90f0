"""Fair to whom, and why this decision: bias metrics, reports, data with known bias, mitigation, explanations.

>>> from simlib import fairness
>>> loans = fairness.Loans(label_bias=0.3).sample(5_000, seed=1)
>>> found = fairness.pretraining(loans, label="approved", facet="gender", disadvantaged=["woman"])
>>> print(found.loc["DPL", "reading"])
D is labelled positive less often than a (a 59.5 %, d 42.1 %).
"""

from simlib.fairness.datasets import DISADVANTAGED, Loans, diabetes, lends
from simlib.fairness.labels import pretraining
from simlib.fairness.metrics import definitions
from simlib.fairness.predictions import posttraining

__all__ = [
    "DISADVANTAGED",
    "Loans",
    "definitions",
    "diabetes",
    "lends",
    "posttraining",
    "pretraining",
]
