"""What a monitor found, as one HTML page for people: which feature, how far, since when, and what it may mean."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from simlib.fairness.markup import number, picture, skeleton, table, text

if TYPE_CHECKING:
    from simlib.monitoring.monitor import ModelMonitor

_DRIFT = "feature_baseline_drift_"
_MEANING = {
    "data_type_check": "the program before the model writes something else than before",
    "completeness_check": "values stopped coming: a source is down, or a field is no longer asked for",
    "missing_column_check": "a column was dropped or renamed on the way to the model",
    "extra_column_check": "a column was added or renamed on the way to the model",
    "categorical_values_check": "there is a new product or a new code, or the spelling has changed",
    "bias_drift_check": "one group is treated otherwise than before",
    "feature_attribution_drift_check": "the model decides by other features than before: the inputs have moved",
}
_LIMITS = (
    "A distance says that data differ, not that the model is worse: compare the labels as soon as they come.",
    "No violation is no proof: what is true of a customer may change while the customer looks the same.",
    "With many features and many executions some violations are chance; see how often each returned.",
    "A season, a campaign or a holiday is drift too. The baseline knows only the days it was made from.",
)


def page(monitor: "ModelMonitor") -> str:
    """The whole report."""
    views = [
        ("found", "What has changed", _found(monitor)),
        ("executions", "Every execution", _executions(monitor)),
        ("limits", "How to read it", _limits(monitor)),
    ]
    return skeleton(f"{monitor.name} on {monitor.endpoint.name}: {monitor.baseline.kind}", views)


# --- what has changed -------------------------------------------------------------------------------------------------


def _found(monitor: "ModelMonitor") -> str:
    runs, violations = monitor.executions, monitor.violations
    if not len(runs):
        return "<p>The monitor has not run yet.</p>"
    failed = int((runs["status"] == "Failed").sum())
    parts = [
        f"<p>{len(runs)} executions looked at {int(runs['rows'].sum()):,} captured requests; "
        f"{int((runs['status'] == 'CompletedWithViolations').sum())} found a violation"
        + (f", {failed} could not compare" if failed else "")
        + ".</p>"
    ]
    if not len(violations):
        return "".join([*parts, "<p><strong>Nothing differs from the baseline by its rules.</strong></p>"])
    rows = [_row(monitor, subject, kind, group) for (subject, kind), group in _subjects(violations)]
    header = ["what", "violation", "since", "found in", "how far", "what it may mean"]
    parts.append(table("What differs from the baseline, the most frequent first", header, rows))
    parts += [_course(monitor, feature) for feature in _drifted(violations)[:4]]
    return "".join(parts)


def _subjects(violations: pd.DataFrame) -> list[tuple[tuple[str, str], pd.DataFrame]]:
    subjects = [_subject(each) for each in violations.to_dict("records")]
    grouped = violations.assign(subject=subjects).groupby(["subject", "constraint_check_type"], sort=False)
    found = [((str(key[0]), str(key[1])), group) for key, group in grouped]
    return sorted(found, key=lambda each: -len(each[1]))


def _subject(violation: Mapping[Any, Any]) -> str:
    """The feature, or the metric, and of which group or label."""
    if "feature_name" in violation:
        return str(violation["feature_name"])
    metric = str(violation["metric_name"])
    if "facet" in violation:
        return f"{metric}, {violation['facet']} {violation['facet_value']}"
    return f"{metric}, {violation['label']}" if "label" in violation else metric


def _row(monitor: "ModelMonitor", subject: str, kind: str, group: pd.DataFrame) -> tuple[Any, ...]:
    compared = monitor.executions[monitor.executions["status"] != "Failed"]
    often = f"{len(group)} of {len(compared)}"
    last = str(group["description"].iloc[-1])
    meaning = _meaning(monitor, subject, kind, float(group["time_s"].iloc[-1]))
    return subject, kind, _since(monitor, compared, group), often, last, meaning


def _since(monitor: "ModelMonitor", compared: pd.DataFrame, group: pd.DataFrame) -> str:
    """The first of the executions in a row, up to the last, that found it."""
    ends = compared["to_s"].to_numpy()
    found = np.isin(ends, group["to_s"].to_numpy())
    if not found[-1]:
        return f"not now; last {_date(monitor, float(group['to_s'].iloc[-1]))}"
    quiet = np.flatnonzero(~found)
    first = ends[0 if not len(quiet) else quiet[-1] + 1]
    return _date(monitor, float(first))


def _meaning(monitor: "ModelMonitor", subject: str, kind: str, at_s: float) -> str:
    if kind == "baseline_drift_check":
        return _moved(monitor, subject, at_s) or "customers have changed, or what is recorded of them has"
    if kind == "bias_drift_check" and getattr(monitor.baseline, "rule", "") == "documented":
        return f"{_MEANING[kind]}; chance alone does this often"
    return _MEANING.get(kind, "the model's answers are right less often than when it was made")


def _moved(monitor: "ModelMonitor", feature: str, at_s: float) -> str:
    """What had become of a feature's numbers when its drift was found at *at_s* [s], and what that looks like."""
    by_name = {each["name"]: each for each in monitor.baseline.statistics["features"]}
    before = by_name.get(feature, {}).get("numerical_statistics")
    published = monitor.metrics[monitor.metrics["time_s"] == at_s].set_index("metric")["value"]
    names = [f"feature_data_{feature} {statistic}" for statistic in ("Average", "Min", "Max")]
    if before is None or not set(names) <= set(published.index):
        return ""
    now, least, most = (float(published[name]) for name in names)
    mean = before["mean"]
    said = f"its mean went from {number(mean)} to {number(now)}"
    if least == most and before["min"] < before["max"]:
        return f"it always reports {number(least)}: a broken sensor, or a default filled in"
    times = now / mean if mean else math.nan
    power = math.log10(times) if times > 0 else math.nan
    if abs(power) > 0.9 and abs(power - round(power)) < 0.1:
        return f"{said}, about {number(10.0 ** round(power))} times: recorded in another unit?"
    return f"{said}: customers have changed, or what is recorded of them has"


def _drifted(violations: pd.DataFrame) -> list[str]:
    of = violations.loc[violations["constraint_check_type"] == "baseline_drift_check"]
    return [str(name) for name in of["feature_name"].value_counts().index] if len(of) else []


def _course(monitor: "ModelMonitor", feature: str) -> str:
    """The distance of a feature over time, against its threshold."""
    metrics = monitor.metrics
    of = metrics[metrics["metric"] == _DRIFT + feature]
    if len(of) < 2:
        return ""
    days, values = of["time_s"].to_numpy() / 86_400, of["value"].to_numpy()
    threshold, by_p = monitor.baseline.threshold(feature), monitor.baseline.goes_by_p(feature)
    top, last = max(float(values.max()), threshold) * 1.1, float(days[-1])
    at = " ".join(
        f"{50 + 560 * day / last:.1f},{140 - 120 * value / top:.1f}" for day, value in zip(days, values, strict=True)
    )
    line = 140 - 120 * threshold / top
    drawn = (
        f'<line x1="50" x2="610" y1="{line:.1f}" y2="{line:.1f}" stroke="#b34700" stroke-dasharray="6 4"/>'
        f'<text x="50" y="{line - 5:.1f}">threshold {number(threshold)}</text>'
        f'<polyline points="{at}" fill="none" stroke="#0b4a6f" stroke-width="2"/>'
        f'<line x1="50" x2="610" y1="140" y2="140" stroke="#555"/><text x="0" y="140">0</text>'
        f'<text x="0" y="26">{number(float(values.max()))}</text><text x="50" y="160">day 0</text>'
        f'<text x="540" y="160">day {number(round(last, 1))}</text>'
    )
    beyond = int((values < threshold if by_p else values > threshold).sum())
    what, side = ("p-value", "below") if by_p else ("distance from the baseline", "above")
    words = f"Line chart of {feature}: the {what} was {side} its threshold in {beyond} of {len(values)} executions."
    return picture(words, drawn, height=170, caption=f"{feature}: {what}, execution by execution")


# --- the rest ---------------------------------------------------------------------------------------------------------


def _executions(monitor: "ModelMonitor") -> str:
    rows = [
        (
            _date(monitor, each["scheduled_s"]),
            f"{(each['started_s'] - each['scheduled_s']) / 60:.0f} min later",
            each["status"],
            f"{each['rows']:,}",
            each["violations"],
            each["failure_reason"],
        )
        for each in monitor.executions.tail(100).to_dict("records")
    ]
    header = ["scheduled", "started", "status", "rows", "violations", "why it failed"]
    alarms = monitor.alarm_log
    rung = [(_date(monitor, each["time_s"]), each["metric"], each["state"]) for each in alarms.to_dict("records")]
    parts = [table("The last hundred executions", header, rows, numbers=(3, 4))]
    if rung:
        parts.append(table("Alarms", ["when", "metric", "state"], rung))
    return "".join(parts)


def _limits(monitor: "ModelMonitor") -> str:
    cost = sum(meter.quantity for meter in monitor.meters() if meter.service == "sagemaker_processing")
    paid = f"<p>The jobs took {cost:.4g} hours of a {text(monitor.instance_type)}; they are on the endpoint's bill.</p>"
    return "<ul>" + "".join(f"<li>{text(line)}</li>" for line in _LIMITS) + "</ul>" + paid


def _date(monitor: "ModelMonitor", time_s: float) -> str:
    return f"{monitor.sim.date(time_s):%Y-%m-%d %H:%M}"
