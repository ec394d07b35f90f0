"""What each metric is: formula, range, fair value, which direction hurts whom, and what it cannot see.

>>> definitions().loc["DI", "formula"]
"q'_d / q'_a"

Notation: n rows, n¹ positive labels, n'¹ positive predictions (n⁰, n'⁰ negative ones), q = n¹/n, q' = n'¹/n, each of
the facet in the index; P the shares of the label's values.  TP, FP, FN, TN compare prediction with label.

Source of formulas and ranges: Amazon SageMaker Developer Guide, pages "clarify-data-bias-metric-…" and
"clarify-post-training-bias-metric-…" (text of 2023), checked against smclarify 0.5.  Where the two differ or are wrong,
``note`` says so.  The words are in ``metrics.toml``.
"""

import dataclasses
import tomllib
from importlib import resources
from typing import Literal

import pandas as pd

GUIDE = "SageMaker Developer Guide, Clarify bias metrics"


@dataclasses.dataclass(frozen=True)
class Metric:
    """One metric in words.  `more` and `less` say what a value above or below the fair one means."""

    name: str
    long: str
    stage: Literal["pre-training", "post-training"]
    formula: str
    range: str
    fair: float
    zero: str
    more: str
    less: str
    hurts: str
    blind: str
    note: str = ""
    source: str = GUIDE


def _read() -> dict[str, Metric]:
    text = (resources.files("simlib.fairness") / "metrics.toml").read_text(encoding="utf-8")
    return {name: Metric(name=name, **words) for name, words in tomllib.loads(text).items()}


METRICS = _read()
PRETRAINING = {name: metric for name, metric in METRICS.items() if metric.stage == "pre-training"}
POSTTRAINING = {name: metric for name, metric in METRICS.items() if metric.stage == "post-training"}


def definitions() -> pd.DataFrame:
    """All metrics, one a row: formula, range, fair value, what it means, whom a departure hurts, what it cannot see."""
    from simlib.fairness.table import BiasTable

    columns = ["long", "stage", "formula", "range", "fair", "zero", "hurts", "blind", "note", "source"]
    rows = [[getattr(metric, column) for column in columns] for metric in METRICS.values()]
    table = BiasTable(rows, columns=columns, index=pd.Index(METRICS, name="metric"))
    table.columns.name = "d: the facet you name; a: all others"
    return table
