"""Drift injector: how soon does an alarm notice, and how often does it cry wolf?"""

from typing import TYPE_CHECKING, Any

import numpy as np

from simlib import monitoring
from simlib.plots.style import BLUE, ORANGE, RED
from simlib.widgets.axes import label
from simlib.widgets.explorer import Answer, Explorer, Knob, summarised, value

if TYPE_CHECKING:
    from matplotlib.axes import Axes


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
    found = f"noticed after {delay:.2g} days in {100 * share:.0f} % of histories" if noticed.any() else "never noticed"
    finding = f"Drift of {shift:g} sd: {found}; false alarms on {100 * false:.2g} % of quiet days"
    return Answer(numbers, finding, (seen, level, threshold))


def _draw(ax: "Axes", answer: Answer) -> None:
    seen, level, threshold = answer.drawn
    days = np.arange(seen.shape[1]) + 1
    low, middle, high = np.quantile(seen, [0.1, 0.5, 0.9], axis=0)
    ax.fill_between(days, low, high, color=BLUE, alpha=0.25, linewidth=0)
    ax.plot(days, middle, color=BLUE)
    ax.axhline(threshold, color=RED, linestyle="--", linewidth=1.2)
    top = max(1.3 * threshold, 1.25 * float(high.max()))
    ax.fill_between(days, 0, 0.06 * top * level, color=ORANGE, step="mid", linewidth=0)
    label(ax, "distance to the baseline (band: 8 in 10 histories)", 1, float(high[:13].max()), BLUE)
    label(ax, "alarm above", 26.5, threshold, RED)
    ax.set(xlabel="day (orange: how far the drift has come)", ylabel="KS distance", xlim=(1, 30), ylim=(0, top))


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
