"""Is the model still right?  Its quality on rows whose label has come, beside its baseline's.

    >>> import pandas as pd
    >>> from simlib import monitoring
    >>> past = pd.DataFrame({"late": [0, 0, 1, 1] * 25, "prediction": [0, 0, 1, 1] * 24 + [0, 1, 1, 1]})
    >>> baseline = monitoring.QualityBaseline.fit(past, label="late", predicted="prediction")
    >>> found = baseline.compare(pd.DataFrame({"late": [0, 1, 0, 1], "prediction": [0, 0, 1, 1]}))
    >>> round(baseline.thresholds["accuracy"], 3), found.metrics["accuracy"]
    (0.99, 0.5)

The metrics are those of SageMaker's model-quality monitor, each also for the best constant classifier, and with a
standard deviation where at least 200 rows are there (of five random 80 % subsamples, as documented).  The suggested
constraint is the baseline's own value, which chance alone crosses about every second time; `margin` leaves room.
"""

import math
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from pydantic import SkipValidation

from simlib.monitoring.comparison import Findings, Violation, row_of, table_of
from simlib.monitoring.distances import as_text
from simlib.monitoring.profiles import LARGEST, check_frame
from simlib.parameters import NonNegative, ParameterError, Text, checked, config, nearest

Problem = Literal["BinaryClassification", "MulticlassClassification", "Regression"]
ENOUGH_FOR_DEVIATION, SUBSAMPLES, SUBSAMPLE = 200, 5, 0.8
BETTER_LOW = frozenset({"false_positive_rate", "false_negative_rate", "mae", "mse", "rmse"})
_BLOCKS = {
    "BinaryClassification": "binary_classification_constraints",
    "MulticlassClassification": "multiclass_classification_constraints",
    "Regression": "regression_constraints",
}


@config
class QualityBaseline:
    """A model's quality when it was made; made by `QualityBaseline.fit`.

    Parameters
    ----------
    label, predicted : str
        Columns of the truth and of the model's answer.
    score : str or None
        Column of the probability of label 1, for `auc`.
    problem : "BinaryClassification" | "MulticlassClassification" | "Regression"
    values : dict
        The baseline's metrics.
    margin : float
        How much worse than the baseline a metric may be, in its own units, before it is a violation.
    """

    label: Text
    predicted: Text
    score: Text | None
    problem: Problem
    values: dict[str, float]
    margin: NonNegative = 0.0
    kind = "ModelQuality"
    needs_labels = True

    @classmethod
    @checked
    def fit(
        cls,
        frame: SkipValidation[pd.DataFrame],
        *,
        label: Text,
        predicted: Text,
        score: Text | None = None,
        problem: Problem = "BinaryClassification",
        margin: NonNegative = 0.0,
    ) -> Self:
        """The quality of the answers in *frame*, which the model should not have been trained on.

        Raises
        ------
        ParameterError
            If a column is missing, or does not hold what the problem needs (0 and 1; numbers).
        """
        found = _quality(check_frame("fit", frame), label, predicted, score, problem)
        return cls(label, predicted, score, problem, found, margin)

    @property
    def thresholds(self) -> dict[str, float]:
        """The values beyond which a metric violates."""
        own = {name: value for name, value in self.values.items() if not name.endswith(("_constant_classifier", "_sd"))}
        return {name: value + self.margin * (1 if name in BETTER_LOW else -1) for name, value in own.items()}

    @property
    def constraints(self) -> dict[str, Any]:
        """constraints.json of a model-quality monitor."""
        block = {
            name: {"threshold": value, "comparison_operator": _operator(name)}
            for name, value in self.thresholds.items()
            if not math.isnan(value)
        }
        return {"version": 0, _BLOCKS[self.problem]: block}

    def needed(self, inputs: Any, outputs: Any, label: str | None) -> list[str]:
        """The columns to compare, of captured rows merged with their labels."""
        known = [*inputs, *outputs, *([label] if label else [])]
        for column in (self.label, self.predicted, *([self.score] if self.score else [])):
            if column not in known:
                raise ParameterError(f"ModelMonitor: the rows have no column {column!r}; {nearest(column, known)}")
        return list(dict.fromkeys(filter(None, (self.label, self.predicted, self.score))))

    @checked
    def compare(self, frame: SkipValidation[pd.DataFrame]) -> Findings:
        """The quality in *frame* against the baseline's."""
        rows = check_frame("compare", frame)
        metrics = _quality(rows, self.label, self.predicted, self.score, self.problem)
        violations, table = [], []
        for name, threshold in self.thresholds.items():
            value = metrics.get(name, math.nan)
            worse = value > threshold if name in BETTER_LOW else value < threshold
            table.append(row_of(name, "quality", value, threshold, bool(worse), len(rows)))
            if worse:
                spread = f" +/- {metrics[name + '_sd']:.4g}" if f"{name}_sd" in metrics else ""
                words = f"Metric {name} with {value:.6g}{spread} was {_operator(name)} '{threshold:.6g}'"
                violations.append(Violation("", _operator(name), words, metric_name=name))
        return Findings(len(rows), tuple(violations), table_of(table), metrics)


def _operator(metric: str) -> str:
    return "GreaterThanThreshold" if metric in BETTER_LOW else "LessThanThreshold"


# --- metrics ----------------------------------------------------------------------------------------------------------


def _quality(frame: pd.DataFrame, label: str, predicted: str, score: str | None, problem: Problem) -> dict[str, float]:
    for column in filter(None, (label, predicted, score)):
        if column not in frame.columns:
            raise ParameterError(f"the frame has no column {column!r}; {nearest(column, frame.columns)}")
        if frame[column].isna().any():
            raise ParameterError(f"column {column!r} has missing values; leave those rows out.")
    read = {"Regression": _as_numbers, "MulticlassClassification": _as_classes, "BinaryClassification": _as_zero_or_one}
    y, said = (read[problem](frame[column]) for column in (label, predicted))
    of = _as_numbers(frame[score]) if score else None
    found = _metrics(y, said, of, problem)
    if len(y) >= ENOUGH_FOR_DEVIATION:
        found |= _deviations(y, said, of, problem, list(found))
    if problem != "Regression":
        found |= {f"{name}_best_constant_classifier": value for name, value in _constant(y, problem).items()}
    return found


def _as_numbers(column: pd.Series) -> np.ndarray:
    try:
        found = column.to_numpy(dtype=object).astype(np.float64)
    except (TypeError, ValueError, OverflowError):
        found = np.array([math.inf])
    if not (np.abs(found) <= LARGEST).all():
        raise ParameterError(f"column {column.name!r} should hold numbers, and none beyond {LARGEST:g}.")
    return found


def _as_classes(column: pd.Series) -> np.ndarray:
    """Their names; a class is the same whether its number came as 1, as 1.0 or as true."""
    if pd.api.types.is_any_real_numeric_dtype(column.dtype) or pd.api.types.is_bool_dtype(column.dtype):
        return as_text(column.to_numpy(dtype=np.float64))
    return as_text(column.to_numpy(dtype=object))


def _as_zero_or_one(column: pd.Series) -> np.ndarray:
    values = column.to_numpy(dtype=object)
    if not all(isinstance(value, int | float | np.generic) and value in (0, 1) for value in values):
        raise ParameterError("labels and predictions should be 0 or 1; or give problem='MulticlassClassification'.")
    return values.astype(int)


def _metrics(y: np.ndarray, said: np.ndarray, score: np.ndarray | None, problem: Problem) -> dict[str, float]:
    if problem == "Regression":
        return _of_numbers(y, said)
    if problem == "MulticlassClassification":
        return _of_classes(y, said)
    return _of_two(y, said, score)


def _of_two(y: np.ndarray, said: np.ndarray, score: np.ndarray | None) -> dict[str, float]:
    tp, fp = int((y & said).sum()), int(((1 - y) & said).sum())
    fn, tn = int((y & (1 - said)).sum()), int(((1 - y) & (1 - said)).sum())
    precision, recall = _share(tp, tp + fp), _share(tp, tp + fn)
    found = {
        "accuracy": (tp + tn) / len(y),
        "precision": precision,
        "recall": recall,
        "true_positive_rate": recall,
        "true_negative_rate": _share(tn, tn + fp),
        "false_positive_rate": _share(fp, tn + fp),
        "false_negative_rate": _share(fn, tp + fn),
        "f0_5": _f(0.5, tp, fp, fn),
        "f1": _f(1.0, tp, fp, fn),
        "f2": _f(2.0, tp, fp, fn),
    }
    if score is not None:
        found["auc"] = auc(y, score)
    return found


def auc(y: np.ndarray, score: np.ndarray) -> float:
    """The chance that a positive row scores above a negative one, ties half; NaN where one class is missing."""
    positives = int(y.sum())
    if not 0 < positives < len(y):
        return math.nan
    from scipy.stats import rankdata

    ranks = rankdata(score)
    below = ranks[y == 1].sum() - positives * (positives + 1) / 2
    return float(below / (positives * (len(y) - positives)))


def _of_classes(y: np.ndarray, said: np.ndarray) -> dict[str, float]:
    """Weighted by how often a class is true; a rate that is 0/0 counts 0, as there."""
    names, counts = np.unique(y, return_counts=True)
    found = {"accuracy": float((y == said).mean())}
    weights = counts / counts.sum()
    table = []
    for name in names:
        is_so, said_so = y == name, said == name
        tp, fp, fn = int((is_so & said_so).sum()), int((~is_so & said_so).sum()), int((is_so & ~said_so).sum())
        rates = (_share(tp, tp + fn), _share(tp, tp + fp), *(_f(beta, tp, fp, fn) for beta in (0.5, 1.0, 2.0)))
        table.append(np.nan_to_num(rates))
    averages = weights @ np.array(table)
    of = ("recall", "precision", "f0_5", "f1", "f2")
    return found | {f"weighted_{name}": float(average) for name, average in zip(of, averages, strict=True)}


def _of_numbers(y: np.ndarray, said: np.ndarray) -> dict[str, float]:
    error = said - y
    total = float(((y - y.mean()) ** 2).sum())
    mse = float((error**2).mean())
    return {
        "mae": float(np.abs(error).mean()),
        "mse": mse,
        "rmse": math.sqrt(mse),
        "r2": 1 - float((error**2).sum()) / total if total else math.nan,
    }


def _constant(y: np.ndarray, problem: Problem) -> dict[str, float]:
    """The metrics of whoever always says the most frequent label."""
    values, counts = np.unique(y, return_counts=True)
    always = np.full(len(y), values[counts.argmax()], dtype=y.dtype)
    score = np.full(len(y), 0.5) if problem == "BinaryClassification" else None
    return _metrics(y, always, score, problem)


def _deviations(
    y: np.ndarray, said: np.ndarray, score: np.ndarray | None, problem: Problem, names: list[str]
) -> dict[str, float]:
    rng = np.random.default_rng(0x5D)
    size = int(SUBSAMPLE * len(y))
    drawn = []
    for _ in range(SUBSAMPLES):
        rows = rng.choice(len(y), size, replace=False)
        drawn.append(_metrics(y[rows], said[rows], None if score is None else score[rows], problem))
    return {f"{name}_sd": float(np.std([each[name] for each in drawn], ddof=1)) for name in names}


def _share(part: float, of: float) -> float:
    return part / of if of else math.nan


def _f(beta: float, tp: int, fp: int, fn: int) -> float:
    return _share((1 + beta**2) * tp, (1 + beta**2) * tp + beta**2 * fn + fp)
