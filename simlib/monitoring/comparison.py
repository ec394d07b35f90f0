"""Compare what comes now with the baseline: the six violations of SageMaker's data-quality monitor.

>>> import pandas as pd
>>> from simlib import monitoring
>>> baseline = monitoring.Baseline.fit(pd.DataFrame({"rooms": [1, 2, 3, 4] * 50}))
>>> found = monitoring.check(pd.DataFrame({"rooms": [2.5, 3.0, None, 4.0]}), baseline)
>>> [violation.constraint_check_type for violation in found.violations]
['data_type_check', 'completeness_check']
"""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from pydantic import InstanceOf, SkipValidation

from simlib.monitoring.baseline import Baseline
from simlib.monitoring.distances import allowance, goodness_of_fit
from simlib.monitoring.profiles import Profile, check_frame, profile
from simlib.monitoring.sketch import gap
from simlib.parameters import checked

CHECKS = (
    "data_type_check",
    "completeness_check",
    "baseline_drift_check",
    "missing_column_check",
    "extra_column_check",
    "categorical_values_check",
)


class Violation(NamedTuple):
    """Something that is not as the baseline has it; the fields of constraint_violations.json.

    Which of them are there depends on the monitor: feature_name of data quality; metric_name of model quality; facet,
    facet_value and metric_name of bias; label and metric_name of attributions.
    """

    feature_name: str
    constraint_check_type: str
    description: str
    facet: str = ""
    facet_value: str = ""
    metric_name: str = ""
    label: str = ""

    @property
    def subject(self) -> str:
        """What it is about: the feature or the metric."""
        return self.feature_name or self.metric_name

    def as_file(self) -> dict[str, str]:
        """The entry in constraint_violations.json: without what does not apply."""
        return {name: value for name, value in self._asdict().items() if value}


@dataclass(frozen=True)
class Findings:
    """What one comparison found.

    Attributes
    ----------
    rows : int
        How many were looked at.
    violations : tuple of Violation
    distances : DataFrame
        One row a feature that could be compared: measure, distance, threshold, drifted, rows.
    metrics : dict
        What goes to CloudWatch, by metric name.
    version : str
        Of the violations file, where it has one: "1.0" in Clarify's (bias, attributions).
    """

    rows: int
    violations: tuple[Violation, ...]
    distances: pd.DataFrame
    metrics: dict[str, float]
    version: str = ""

    def __bool__(self) -> bool:
        return bool(self.violations)

    def __repr__(self) -> str:
        found = ", ".join(f"{each.subject}: {each.constraint_check_type}" for each in self.violations)
        return f"<Findings in {self.rows:,} rows: {found or 'no violation'}>"

    @property
    def table(self) -> pd.DataFrame:
        """The violations, one a row; fields that none of them has are left out."""
        return used_columns(pd.DataFrame([each.as_file() for each in self.violations], columns=list(Violation._fields)))

    def to_json(self) -> str:
        """constraint_violations.json."""
        head = {"version": self.version} if self.version else {}
        return json.dumps(head | {"violations": [each.as_file() for each in self.violations]}, indent=2) + "\n"

    @checked
    def save(self, folder: Path) -> Path:
        """Write constraint_violations.json into *folder*; returns its path."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "constraint_violations.json"
        path.write_text(self.to_json(), encoding="utf-8")
        return path


@checked
def check(frame: SkipValidation[pd.DataFrame], baseline: InstanceOf[Baseline]) -> Findings:
    """Compare *frame* with *baseline*, by the baseline's rules.

    Columns go by their names.  (The platform is documented to compare their number; then a renamed column would be no
    violation.)

    Raises
    ------
    ParameterError
        If frame is no DataFrame, has no rows or columns, or two columns of one name.  Whatever else is odd about it is
        a violation.
    """
    return compared(check_frame("check", frame), baseline)


def compared(frame: pd.DataFrame, baseline: Baseline) -> Findings:
    """`check`, of a frame that is one."""
    found: list[Violation] = list(_columns(frame, baseline)) if baseline.rules.evaluate_constraints else []
    distances: list[dict[str, Any]] = []
    metrics: dict[str, float] = {}
    for constraint in baseline.constraints["features"]:
        name = constraint["name"]
        if name not in frame.columns:
            continue
        column = profile(frame[name])
        rules = baseline.rules_of(name)
        if rules.emit_metrics:
            metrics |= _metrics(name, column)
        if rules.evaluate_constraints:
            found += _of_type(constraint, column, baseline)
            found += _of_completeness(constraint, column)
            found += _of_domain(constraint, column, baseline)
        distance = _distance(constraint, column, baseline) if rules.perform_comparison else None
        if distance is not None:
            distances.append(distance)
            metrics |= {f"feature_baseline_drift_{name}": distance["distance"]} if rules.emit_metrics else {}
            found += _of_drift(distance) if rules.evaluate_constraints else []
    return Findings(len(frame), tuple(found), table_of(distances), metrics)


def used_columns(table: pd.DataFrame) -> pd.DataFrame:
    """*table* without the columns that are empty; an empty table keeps all, so that it can be asked for any."""
    return table.dropna(axis="columns", how="all") if len(table) else table


def table_of(distances: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """The distances of `Findings`."""
    columns = ["feature", "measure", "distance", "threshold", "drifted", "rows"]
    return pd.DataFrame(list(distances), columns=columns).set_index("feature")


# --- the six ----------------------------------------------------------------------------------------------------------


def _columns(frame: pd.DataFrame, baseline: Baseline) -> Iterator[Violation]:
    then, now = len(baseline.features), frame.shape[1]
    counts = f"There are {now} columns in the current data, and {then} in the baseline"
    for name in baseline.features:
        if name not in frame.columns:
            yield Violation(name, "missing_column_check", f"{counts}: {name} is missing.")
    for name in frame.columns:
        if name not in baseline.features:
            yield Violation(name, "extra_column_check", f"{counts}: {name} is new.")


def _of_type(constraint: dict[str, Any], column: Profile, baseline: Baseline) -> Iterator[Violation]:
    expected = constraint["inferred_type"]
    if not column.present or expected == "Unknown":
        return
    if expected == "String":  # numbers that the baseline knows as categories are text too
        known = {*baseline.categories(constraint["name"]), *_domain(constraint)}
        strange = sum(count for value, count in column.numbers_as_text().items() if value not in known)
        right = column.present - strange
    else:
        right = column.whole if expected == "Integral" else len(column.numbers)
    allowed = baseline.rules_of(constraint["name"]).datatype_check_threshold
    if 1 - right / column.present > allowed:
        yield Violation(
            constraint["name"],
            "data_type_check",
            f"Data type match requirement is not met. Expected data type: {expected}, Expected match: "
            f"{_percent(1 - allowed)}. Observed: Only {_percent(right / column.present)} of data is {expected}.",
        )


def _of_completeness(constraint: dict[str, Any], column: Profile) -> Iterator[Violation]:
    share, expected = column.present / column.rows, constraint.get("completeness", 0.0)
    if share < expected:
        yield Violation(
            constraint["name"],
            "completeness_check",
            f"Data completeness requirement is not met. Expected: at least {_percent(expected)} of the values are "
            f"there. Observed: {_percent(share)}.",
        )


def _of_domain(constraint: dict[str, Any], column: Profile, baseline: Baseline) -> Iterator[Violation]:
    domain = _domain(constraint)
    if not domain or not column.present:
        return
    unknown = {value: count for value, count in column.categories().items() if value not in domain}
    share = sum(unknown.values()) / column.present
    allowed = baseline.rules_of(constraint["name"]).domain_content_threshold
    if share > allowed:
        most = max(unknown, key=lambda value: (unknown[value], value))
        yield Violation(
            constraint["name"],
            "categorical_values_check",
            f"Domain content requirement is not met. Expected match: {_percent(1 - allowed)}. Observed: Only "
            f"{_percent(1 - share)} of data is in the domain; most often outside it: {most[:40]!r}.",
        )


def _domain(constraint: dict[str, Any]) -> set[str]:
    return set(constraint.get("string_constraints", {}).get("domains") or ())


def _distance(constraint: dict[str, Any], column: Profile, baseline: Baseline) -> dict[str, Any] | None:
    """The distance of a feature from its baseline; None where there is nothing to compare."""
    name, method = constraint["name"], baseline.rules_of(constraint["name"]).comparison_method
    before, threshold = baseline.present(name), baseline.threshold(name)
    if baseline.is_of_numbers(name):
        remembered = baseline.numbers(name)
        if remembered is None or not len(column.numbers):
            return None
        distance, rows = gap(remembered, column.numbers), len(column.numbers)
    else:
        then, now, rows = baseline.categories(name), dict(column.categories()), column.present
        if not then or not now:
            return None
        if baseline.goes_by_p(name):
            p = goodness_of_fit(then, {value: float(count) for value, count in now.items()})
            return None if math.isnan(p) else row_of(name, "ChiSquared p", p, threshold, p < threshold, rows)
        of_then = sum(then.values())
        distance = max(abs(then.get(value, 0) / of_then - now.get(value, 0) / rows) for value in then | now)
    if method == "Robust":
        distance = max(0.0, distance - allowance(before, rows))
    return row_of(name, f"LInfinity {method}", distance, threshold, distance > threshold, rows)


def row_of(name: str, measure: str, distance: float, threshold: float, drifted: bool, rows: int) -> dict[str, Any]:
    return {
        "feature": name,
        "measure": measure,
        "distance": distance,
        "threshold": threshold,
        "drifted": drifted,
        "rows": rows,
    }


def _of_drift(found: dict[str, Any]) -> Iterator[Violation]:
    if found["drifted"]:
        p = found["measure"].startswith("Chi")
        said, beyond = ("Chi-squared p-value", "falls below") if p else ("Baseline drift distance", "exceeds")
        yield Violation(
            found["feature"],
            "baseline_drift_check",
            f"{said}: {found['distance']:.6g} {beyond} threshold: {found['threshold']:g}",
        )


def _metrics(name: str, column: Profile) -> dict[str, float]:
    """CloudWatch's metrics of a feature: how many values are there, and of numbers what they are like."""
    found = {f"feature_non_null_{name}": float(column.present)}
    if len(column.numbers) and not column.text:
        of = column.numbers
        statistics = {"Average": of.mean(), "Min": of.min(), "Max": of.max(), "Sum": of.sum(), "SampleCount": len(of)}
        found |= {f"feature_data_{name} {statistic}": float(value) for statistic, value in statistics.items()}
    return found


def _percent(share: float) -> str:
    text = f"{100 * share:.6g}"
    return f"{text}%" if "." in text else f"{text}.0%"
