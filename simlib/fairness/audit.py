"""One audit of several facets: tables, Clarify's analysis.json, and a report in HTML with three views."""

import dataclasses
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from simlib.fairness.bootstrap import CONFIDENCE
from simlib.fairness.explanation import Explanation
from simlib.fairness.groups import Kind, Question, chosen, decisions
from simlib.fairness.labels import pretraining
from simlib.fairness.metrics import METRICS
from simlib.fairness.predictions import posttraining
from simlib.fairness.table import BiasTable
from simlib.parameters import ParameterError, Share, Text, Whole, checked, config, nearest


@config
class Facet:
    """A protected attribute and who is d in it: values, or a threshold with ``kind="continuous"``."""

    column: Text
    disadvantaged: Any
    kind: Kind = "categorical"


@dataclasses.dataclass(frozen=True)
class Audit:
    """What was measured, on whom, by which rule.

    Attributes
    ----------
    title : str
    questions : dict of facet → Question
        By the facet's column; where two facets share one column, by rule: "ethnicity = amber".
    before, after : dict of facet → table
        Pre-training and post-training metrics; *after* is empty without predictions.
    frame : DataFrame
        The data.
    explanation : Explanation or None
    features : tuple of str
    bootstrap, seed : int
    """

    title: str
    questions: dict[str, Question]
    before: dict[str, BiasTable]
    after: dict[str, BiasTable]
    frame: pd.DataFrame
    explanation: Explanation | None
    features: tuple[str, ...]
    bootstrap: int
    seed: int

    def is_d(self, facet: str) -> pd.Series:
        """Who is d, row by row."""
        question = self._question(facet)
        mask = chosen(self.frame[question.facet], question.disadvantaged, question.facet_kind, "audit", "disadvantaged")
        return pd.Series(mask, index=self.frame.index, name="is_d")

    def suspicious(self, facet: str, *, at_most: int = 10) -> pd.DataFrame:
        """Rows of d to look at first: refused, though their label is positive; the nearest to acceptance on top."""
        question = self._question(facet)
        if question.predicted is None:
            raise ParameterError("suspicious: the audit has no predictions.")
        refused = pd.Series(~decisions(self.frame, question, "audit"), index=self.frame.index)
        good = chosen(self.frame[question.label], question.positive, question.label_kind, "audit", "positive")
        rows = self.frame[self.is_d(facet) & good & refused]
        if question.probability_threshold is not None or question.label_kind == "continuous":
            rows = rows.sort_values(question.predicted, ascending=False, kind="stable")
        shown = list(dict.fromkeys([question.facet, *self.features, question.label, question.predicted]))
        return rows[shown].head(at_most)

    def _question(self, facet: str) -> Question:
        if facet not in self.questions:
            raise ParameterError(f"audit: facet={facet!r} was not audited; {nearest(facet, self.questions)}")
        return self.questions[facet]

    def analysis(self) -> dict[str, Any]:
        """In the shape of Clarify's analysis.json; infinities as text, undefined values null with the reason."""
        first = next(iter(self.questions.values()))
        found: dict[str, Any] = {"version": "1.0"}
        if self.explanation is not None:
            shap_values = {str(name): float(value) for name, value in self.explanation.importance().items()}
            of_label = {"global_shap_values": shap_values, "expected_value": self.explanation.base}
            found["explanations"] = {
                "kernel_shap": {first.label: of_label},
                "explainer": f"{self.explanation.method}, in {self.explanation.units}",
            }
        for name, tables in (("pre_training_bias_metrics", self.before), ("post_training_bias_metrics", self.after)):
            if tables:
                by_column: dict[str, list[dict[str, Any]]] = {}
                for facet, table in tables.items():
                    question = self.questions[facet]
                    by_column.setdefault(question.facet, []).append(_facet_entry(question, table))
                found[name] = {
                    "label": first.label,
                    "facets": by_column,
                    "label_value_or_threshold": _listed(first.positive),
                }
        return found

    def html(self) -> str:
        """The report: one page that needs nothing else, with views for regulator, stakeholder and debugging."""
        from simlib.fairness.report import page

        return page(self)

    @checked
    def save(self, folder: Path | str) -> list[Path]:
        """Write analysis.json and report.html into *folder*, SHAP values and baseline into its explanations_shap."""
        place = Path(folder)
        if place.is_file():
            raise ParameterError(
                f"save: folder={str(folder)!r} is a file; it should be a folder, or a name for a new one."
            )
        place.mkdir(parents=True, exist_ok=True)
        written = [place / "analysis.json", place / "report.html"]
        written[0].write_text(json.dumps(self.analysis(), indent=2, allow_nan=False) + "\n", encoding="utf-8")
        written[1].write_text(self.html(), encoding="utf-8")
        if self.explanation is not None:
            written.append(place / "explanations_shap" / "out.csv")
            written[-1].parent.mkdir(exist_ok=True)
            self.explanation.values.to_csv(written[-1], index=False)
            if self.explanation.baseline is not None:
                written.append(written[-1].with_name("baseline.csv"))
                self.explanation.baseline.to_csv(written[-1], index=False)
        return written


@checked
def audit(
    frame: pd.DataFrame,
    *,
    label: Text,
    facets: Sequence[Facet],
    predicted: Text | None = None,
    positive: Any = (1,),
    label_kind: Kind = "categorical",
    probability_threshold: Share | None = None,
    group: Text | None = None,
    features: Sequence[str] | None = None,
    explanation: Explanation | None = None,
    title: Text = "Bias audit",
    bootstrap: Whole = 1000,
    seed: Whole = 0,
) -> Audit:
    """All metrics of several facets at once, ready to be reported.

    Parameters
    ----------
    facets : list of Facet
        The protected attributes, each with its d.
    explanation : Explanation or None
        What `explain` found about the model on (some of) these rows; the debugging view shows which features tell
        the facets apart.
    title : str
        Heading of the report.
    frame, label, predicted, positive, label_kind, probability_threshold, group, features, bootstrap, seed
        As in `posttraining`.  Without *predicted* only the data are audited.
    """
    if not facets:
        raise ParameterError("audit: facets=[] is not possible: it should name at least one Facet.")
    common: dict[str, Any] = {
        "label": label, "positive": positive, "label_kind": label_kind, "group": group, "bootstrap": bootstrap,
        "seed": seed,
    }  # fmt: skip
    model: dict[str, Any] = {
        "predicted": predicted, "features": features, "probability_threshold": probability_threshold,
    }  # fmt: skip
    questions, before, after = {}, {}, {}
    columns = [facet.column for facet in facets]
    for facet in facets:
        who = {"facet": facet.column, "disadvantaged": facet.disadvantaged, "facet_kind": facet.kind}
        question = Question(
            label, facet.column, facet.disadvantaged, positive, group, facet.kind, label_kind, predicted,
            probability_threshold,
        )  # fmt: skip
        labels = pretraining(frame, **common, **who)
        name = facet.column if columns.count(facet.column) == 1 else question.who
        if name in questions:
            raise ParameterError(f"audit: facets name {name!r} twice.")
        questions[name], before[name] = question, labels
        if predicted is not None:
            after[name] = posttraining(frame, **common, **model, **who)
    return Audit(title, questions, before, after, frame, explanation, tuple(features or ()), bootstrap, seed)


def _listed(values: Any) -> str:
    return f"{values:g}" if isinstance(values, int | float) else ",".join(str(value) for value in values)


def _facet_entry(question: Question, table: BiasTable) -> dict[str, Any]:
    return {
        "value_or_threshold": _listed(question.disadvantaged),
        "metrics": [_metric_entry(str(name), row) for name, row in table.iterrows()],
    }


def _metric_entry(name: str, row: pd.Series) -> dict[str, Any]:
    value = float(row["value"])
    entry: dict[str, Any] = {"name": name, "description": f"{METRICS[name].long} ({name})", "value": _as_json(value)}
    if math.isnan(value):
        entry["error"] = row["reading"]
    elif not math.isnan(row["low"]):
        entry["interval"] = {"confidence": CONFIDENCE, "low": _as_json(row["low"]), "high": _as_json(row["high"])}
    return entry


def _as_json(value: float) -> float | str | None:
    if math.isnan(value):
        return None
    return float(value) if math.isfinite(value) else "Infinity" if value > 0 else "-Infinity"
