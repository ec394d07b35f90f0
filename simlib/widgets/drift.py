"""Drift injector: how soon does an alarm notice, and how often does it cry wolf?"""

from typing import Any

import numpy as np

from simlib import monitoring
from simlib.plots.style import BLUE, ORANGE, RED
from simlib.widgets.drawing import Axis, Panel
from simlib.widgets.explorer import Answer, Explorer, Knob, shortly_told, summarised, value


def drift_injector(shift: float, kind: Any, rows: int, threshold: float) -> Answer:
    """Eight histories of 30 days; a normal feature drifts from day 10 on; the alarm is the KS distance to day 0."""
    drift = monitoring.DataDrift("feature", shift=shift or 1e-9, at_day=10, kind=kind, over_days=10, period_days=8)
    days, histories, rng = np.arange(30), 8, np.random.default_rng(7)
    baseline = rng.normal(size=1000)
    level = drift.level(days + 0.5)
    seen = np.empty((histories, len(days)))
    for history in range(histories):
        for day in days:
            moved = shift * drift.strength(np.full(rows, day + 0.5), rng.random(rows), 1.0)
            seen[history, day] = monitoring.distances.largest_gap(baseline, rng.normal(size=rows) + moved)
    alarms = seen > threshold
    after = alarms[:, 10:]
    noticed = after.any(axis=1)
    numbers = summarised(
        {
            "days until noticed (where it was)": np.where(noticed, after.argmax(axis=1) + 1.0, np.nan),
            "histories in which it was noticed [share]": noticed.astype(float),
            "days with a false alarm, before [share]": alarms[:, :10].mean(axis=1),
        }
    )
    delay, share, false = (value(numbers, str(name)) for name in numbers.index)
    days_told = "a day" if delay == 1 else f"{shortly_told(delay)} days"
    found = f"noticed after {days_told} in {100 * share:.0f} % of histories" if noticed.any() else "never noticed"
    finding = f"Drift of {shift:g} sd: {found}; false alarms on {shortly_told(100 * false)} % of quiet days"
    return Answer(numbers, finding, (seen, level, threshold))


def _draw(answer: Answer) -> Panel:
    seen, level, threshold = answer.drawn
    days = np.arange(seen.shape[1]) + 1
    low, middle, high = np.quantile(seen, [0.1, 0.5, 0.9], axis=0)
    top = max(1.3 * threshold, 1.25 * float(high.max()))
    panel = Panel(Axis("day", 1, 30), Axis("KS distance to the baseline", 0, top))
    panel.band(days, low, high, BLUE, opacity=0.25)
    panel.line(days, middle, BLUE)
    panel.level(threshold, RED, dash="6 4")
    panel.area(days - 0.5, 0.06 * top * level, ORANGE, opacity=1)
    panel.label("alarm above", 26, threshold, RED)
    panel.label("median; band: 8 in 10 histories", 1, float(high[:13].max()), BLUE)
    panel.label("how far the drift has come", 11, 0.06 * top, ORANGE)
    return panel


DRIFT_INJECTOR = Explorer(
    "drift_injector",
    "Drift injector",
    "How soon does an alarm notice a drift, and how often does it cry wolf?",
    (
        Knob("shift", "drift [standard deviations]", (0.0, 0.1, 0.2, 0.3, 0.5, 0.8, 1.2, 2.0), 0.5),
        Knob("kind", "how it comes", ("sudden", "gradual", "incremental", "recurring"), "gradual"),
        Knob("rows", "rows a day", (20, 50, 100, 200, 500, 1000), 200),
        Knob("threshold", "alarm above KS distance", (0.03, 0.05, 0.08, 0.1, 0.15, 0.2, 0.3), 0.1),
    ),
    drift_injector,
    _draw,
)
