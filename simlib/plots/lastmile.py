"""The picture of a team's story: decisions, fairness, latency and money over the days, and what happened when."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
import pandas as pd

from simlib.parameters import checked
from simlib.plots.checks import Title, frame_like
from simlib.plots.style import BLACK, BLUE, CYCLE, GREEN, ORANGE, RED, Words, new_figure, show, styled

Timeline = Annotated[
    pd.DataFrame, frame_like("timeline", "outcome.timeline", numbers=["loss_usd", "gap", "p99_s", "instances"])
]
_COLORS = {"world": RED, "fault": ORANGE, "repaired": GREEN, "live": BLUE, "rollout": BLUE, "rolled back": BLACK}
_NAMES = {"world": "the world changes", "fault": "a fault", "repaired": "repaired", "live": "a version serves",
          "rolled back": "rolled back"}  # fmt: skip
MONEY = " usd"


@checked
def timeline(
    timeline: Timeline,
    *,
    marks: Sequence[tuple[float, str, str]] = (),
    limits: Mapping[str, float | None] | None = None,
    title: Title = "",
) -> Words:
    """A run of the last mile as one picture, with one axis of days.

    Parameters
    ----------
    timeline : DataFrame
        One row a day: loss_usd (with loss_low and loss_high), gap, p99_s, instances, and dollars in columns that end
        in " usd".
    marks : sequence of (day, kind, words)
        Vertical lines; their kinds are world, fault, repaired, rollout, live, rolled back.
    limits : mapping of a column to its limit
        Horizontal lines.
    title : str
        The finding.
    """
    bounds = {name: value for name, value in (limits or {}).items() if value is not None}
    days = np.arange(len(timeline))
    drawn = [(day, kind, words) for day, kind, words in marks if kind in _NAMES and day > 0]
    with styled():
        figure, axes = new_figure(4, 1, height=8.6, sharex=True)
        decisions, fairness, latency, money = axes[:, 0]
        _step(decisions, days, 1000 * timeline["loss_usd"], BLUE)
        if "loss_low" in timeline:
            low, high = 1000 * timeline["loss_low"], 1000 * timeline["loss_high"]
            decisions.fill_between(days + 0.5, low, high, color=BLUE, alpha=0.2, linewidth=0)
        decisions.set(ylabel="wrong decisions\n[$ / 1000 answers]")
        _step(fairness, days, 100 * timeline["gap"], BLUE)
        fairness.axhline(0.0, color=BLACK, linewidth=0.6)
        fairness.set(ylabel="gap of false\npositives [points]")
        _step(latency, days, timeline["p99_s"], BLUE)
        top = max(float(timeline["p99_s"].max()), bounds.get("p99_s", 0.0))
        latency.set(ylabel="p99 latency [s]", ylim=(0, 1.15 * top))
        for axis, name, factor in ((fairness, "gap", 100.0), (latency, "p99_s", 1.0)):
            if name in bounds:
                axis.axhline(factor * bounds[name], color=RED, linestyle=":", label="limit")
                axis.legend(loc="upper right", fontsize=8)
        _stack(money, days, timeline)
        money.set(ylabel="US dollars a day", xlabel="day", xlim=(0, len(timeline)))
        for axis in axes[:, 0]:
            for day, kind, _ in drawn:
                axis.axvline(day, color=_COLORS[kind], linewidth=1.2, linestyle="--" if kind != "live" else "-")
        _legend(decisions, drawn)
        figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
    show()
    return _words(timeline, drawn, title)


def _step(axis: Any, days: np.ndarray, values: pd.Series, color: str) -> None:
    axis.plot(days + 0.5, values, color=color, drawstyle="steps-mid")


def _stack(axis: Any, days: np.ndarray, timeline: pd.DataFrame) -> None:
    names = [name for name in timeline.columns if name.endswith(MONEY)]
    names = sorted((name for name in names if timeline[name].sum() > 0), key=lambda name: -timeline[name].sum())
    base = np.zeros(len(days))
    for k, name in enumerate(names):
        axis.bar(days + 0.5, timeline[name], bottom=base, width=0.9, color=CYCLE[k], label=name.removesuffix(MONEY))
        base += timeline[name].to_numpy()
    axis.margins(y=0.35)
    axis.legend(loc="upper left", ncols=3, fontsize=8)


def _legend(axis: Any, marks: Sequence[tuple[float, str, str]]) -> None:
    from matplotlib.lines import Line2D

    kinds = [kind for kind in _NAMES if any(each == kind for _, each, _ in marks)]
    lines = [Line2D([], [], color=_COLORS[k], linestyle="--" if k != "live" else "-", label=_NAMES[k]) for k in kinds]
    if lines:
        axis.legend(handles=lines, loc="lower left", bbox_to_anchor=(0, 1.0), ncols=len(lines), fontsize=8)


def _words(timeline: pd.DataFrame, marks: Sequence[tuple[float, str, str]], title: str) -> Words:
    worst = int(timeline["loss_usd"].argmax())
    told = "; ".join(f"day {day:.3g}, {words}" for day, _, words in marks)
    sentences = [
        f"{title}." if title else "",
        f"Decisions were dearest on day {worst}, {1000 * timeline['loss_usd'].iloc[worst]:.3g} dollars a thousand "
        f"answers, and cheapest at {1000 * timeline['loss_usd'].min():.3g};",
        f"the gap was at most {100 * timeline['gap'].max():.3g} points, p99 at most {timeline['p99_s'].max():.3g} s.",
        f"Marked: {told}." if told else "",
    ]
    return Words(" ".join(filter(None, sentences)))
