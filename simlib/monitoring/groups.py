"""Is the model still as fair, and does it still decide for the same reasons?  Bias drift and attribution drift."""

import math
from typing import Any, Literal, Self

import pandas as pd
from pydantic import SkipValidation

from simlib.monitoring.comparison import Findings, Violation, row_of, table_of
from simlib.monitoring.profiles import check_frame
from simlib.parameters import Count, ParameterError, Share, Text, Whole, checked, config, nearest

RATIOS = frozenset({"DI", "DFPR_ratio"})
"""Metrics whose fair value is 1; of all others it is 0."""

CLARIFY = "1.0"
"""The version in the violation files of Clarify's monitors (developer guide, bias drift violations)."""

NDCG = 0.90
"""SageMaker alerts below (developer guide, feature attribution drift)."""

_RESAMPLES = 200


@config
class BiasBaseline:
    """The bias of a model's answers when it was made; made by `BiasBaseline.fit`.

    Parameters
    ----------
    facet, disadvantaged, label, predicted
        As of `fairness.posttraining`.
    values : dict
        The baseline's metrics.
    rule : "documented" | "interval"
        documented: a metric farther from its fair value than the baseline's violates (for ratios, whose fair value is
        1, that is an assumption).  Chance alone makes it fire nearly always.  interval: only if the 95 % bootstrap
        interval lies wholly farther away than the baseline's.
    farthest : dict
        How far the baseline's own 95 % interval reaches from the fair value.
    """

    facet: Text
    disadvantaged: Any
    label: Text
    predicted: Text
    values: dict[str, float]
    farthest: dict[str, float]
    rule: Literal["documented", "interval"] = "documented"
    kind = "ModelBias"
    needs_labels = True

    @classmethod
    @checked
    def fit(
        cls,
        frame: SkipValidation[pd.DataFrame],
        *,
        facet: Text,
        disadvantaged: Any,
        label: Text,
        predicted: Text,
        metrics: tuple[Text, ...] = ("DPPL", "DI", "AD", "RD", "SD"),
        rule: Literal["documented", "interval"] = "documented",
    ) -> Self:
        """Clarify's *metrics* of the answers in *frame*; 1 is the positive label."""
        found = _bias(check_frame("fit", frame), facet, disadvantaged, label, predicted, _RESAMPLES)
        for name in metrics:
            if name not in found:
                raise ParameterError(f"fit: there is no metric {name!r}; {nearest(name, found)}")
        values = {name: found[name]["value"] for name in metrics}
        farthest = {name: max(abs(found[name][end] - _fair(name)) for end in ("low", "high")) for name in metrics}
        return cls(facet, disadvantaged, label, predicted, values, farthest, rule)

    @property
    def constraints(self) -> dict[str, Any]:
        """The baseline's values in the shape of Clarify's analysis.json."""
        metrics = [{"name": name, "value": None if math.isnan(v) else v} for name, v in self.values.items()]
        of_facet = [{"value_or_threshold": str(self._value), "metrics": metrics}]
        return {"version": "1.0", "post_training_bias_metrics": {"label": self.label, "facets": {self.facet: of_facet}}}

    @property
    def _value(self) -> Any:
        values = self.disadvantaged
        return ", ".join(map(str, values)) if isinstance(values, list | tuple) else values

    def needed(self, inputs: Any, outputs: Any, label: str | None) -> list[str]:
        """The columns to compare, of captured rows merged with their labels."""
        wanted = [self.facet, self.label, self.predicted]
        _check_known(wanted, [*inputs, *outputs, *([label] if label else [])])
        return wanted

    @checked
    def compare(self, frame: SkipValidation[pd.DataFrame]) -> Findings:
        """The bias in *frame* against the baseline's."""
        rows = check_frame("compare", frame)
        resamples = _RESAMPLES if self.rule == "interval" else 0
        now = _bias(rows, self.facet, self.disadvantaged, self.label, self.predicted, resamples)
        table, violations, metrics = [], [], {}
        for name, before in self.values.items():
            value, fair = now[name]["value"], _fair(name)
            metrics[f"bias_metric_{name}"] = value
            worse = abs(value - fair) > abs(before - fair)
            if worse and self.rule == "interval":
                low, high = now[name]["low"] - fair, now[name]["high"] - fair
                worse = low > self.farthest[name] or high < -self.farthest[name]
            table.append(row_of(name, "bias", value, before, bool(worse), len(rows)))
            if worse:
                words = f"Value {value:.4g} does not meet the constraint requirement: it is farther from {fair:g} "
                words += f"than {before:.4g}"
                violations.append(Violation("", "bias_drift_check", words, self.facet, str(self._value), name))
        return Findings(len(rows), tuple(violations), table_of(table), metrics, CLARIFY)


@config
class AttributionBaseline:
    """Which features a model decided by when it was made; made by `AttributionBaseline.fit`.

    Parameters
    ----------
    model : fitted estimator or function
    features : sequence of str
        The columns it takes.
    values : dict
        Mean |SHAP| of each feature.
    background : DataFrame
        The rows that stand for no information.
    max_rows : int
        Rows explained of a window, the first ones: SHAP takes its time.
    threshold : share
        NDCG below it violates; 0.9 on SageMaker.
    """

    model: SkipValidation[Any]
    features: tuple[Text, ...]
    values: dict[str, float]
    background: SkipValidation[Any]
    max_rows: Count = 200
    threshold: Share = NDCG
    seed: Whole = 0
    kind = "ModelExplainability"
    needs_labels = False

    def __repr__(self) -> str:
        return f"<AttributionBaseline: {', '.join(f'{name} {value:.3g}' for name, value in self.values.items())}>"

    @classmethod
    @checked
    def fit(
        cls,
        model: SkipValidation[Any],
        frame: SkipValidation[pd.DataFrame],
        *,
        features: tuple[Text, ...] | None = None,
        max_rows: Count = 200,
        threshold: Share = NDCG,
        seed: Whole = 0,
    ) -> Self:
        """The attributions of *model* in *frame*, by `fairness.explain`."""
        rows = check_frame("fit", frame)
        names = features or tuple(map(str, getattr(model, "feature_names_in_", rows.columns)))
        background = rows[list(names)][:100]
        values = _attributions(model, rows[list(names)][:max_rows], background, seed)
        return cls(model, names, values, background, max_rows, threshold, seed)

    def needed(self, inputs: Any, outputs: Any, label: str | None) -> list[str]:
        """The columns to compare."""
        _check_known(list(self.features), list(inputs))
        return list(self.features)

    @checked
    def compare(self, frame: SkipValidation[pd.DataFrame]) -> Findings:
        """The order of the features' attributions in *frame* against the baseline's."""
        from simlib import fairness

        rows = check_frame("compare", frame)[list(self.features)][: self.max_rows]
        live = _attributions(self.model, rows, self.background, self.seed)
        ndcg = fairness.attribution_drift(pd.Series(self.values), pd.Series(live))
        drifted = ndcg < self.threshold
        violations = []
        if drifted:
            first, now = (max(each, key=each.__getitem__) for each in (self.values, live))
            words = f"Feature attribution drift: NDCG {ndcg:.4g} falls below threshold {self.threshold:g}"
            words += f": most important was {first}, now it is {now}" if first != now else ""
            check = "feature_attribution_drift_check"
            violations = [Violation("", check, words, metric_name="shap", label="label0")]
        table = table_of([row_of("all features", "NDCG", ndcg, self.threshold, drifted, len(rows))])
        metrics = {f"feature_{name}": value for name, value in live.items()} | {"ndcg": ndcg}
        return Findings(len(rows), tuple(violations), table, metrics, CLARIFY)


def _fair(metric: str) -> float:
    return 1.0 if metric in RATIOS else 0.0


def _bias(
    frame: pd.DataFrame, facet: str, disadvantaged: Any, label: str, predicted: str, resamples: int
) -> dict[str, dict[str, float]]:
    """value, low and high of each metric."""
    from simlib import fairness

    numeric = not isinstance(disadvantaged, list | tuple)
    found = fairness.posttraining(
        frame,
        label=label,
        predicted=predicted,
        facet=facet,
        disadvantaged=disadvantaged,
        facet_kind="continuous" if numeric else "categorical",
        bootstrap=resamples,
    )
    ends = {end: found[end].to_dict() for end in ("value", "low", "high")}
    return {str(name): {end: float(values[name]) for end, values in ends.items()} for name in found.index}


def _attributions(model: Any, rows: pd.DataFrame, background: pd.DataFrame, seed: int) -> dict[str, float]:
    from simlib import fairness

    names = list(rows.columns)
    explained = fairness.explain(model, rows, features=names, baseline=background, seed=seed, progress=False)
    return {str(name): float(value) for name, value in explained.importance().items()}


def _check_known(wanted: list[str], known: list[str]) -> None:
    for column in wanted:
        if column not in known:
            raise ParameterError(f"ModelMonitor: the rows have no column {column!r}; {nearest(column, known)}")
