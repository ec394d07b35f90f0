"""Picture of a queue: who is in it over time, and who works it off."""

from typing import Annotated

import pandas as pd

from simlib.parameters import checked
from simlib.plots.checks import Title, frame_like
from simlib.plots.one_run import time_axis
from simlib.plots.style import BLACK, BLUE, GREEN, RED, YELLOW, Words, new_figure, show, styled

COLUMNS = ("ApproximateBacklogSize", "HasBacklogWithoutCapacity", "ExpiredRequests", "Instances", "DesiredInstances")
Timeline = Annotated[pd.DataFrame, frame_like("timeline", "the timeline of an asynchronous endpoint", numbers=COLUMNS)]


@checked
def backlog(timeline: Timeline, *, title: Title = "") -> Words:
    """The backlog of an asynchronous endpoint over time, above its instances.

    Parameters
    ----------
    timeline : DataFrame
        As `Run.timeline` gives it for `serving.Asynchronous`; index time_s.
    title : str
        The finding.
    """
    time, unit, ticks = time_axis(timeline)
    waits, alone = timeline["ApproximateBacklogSize"], timeline["HasBacklogWithoutCapacity"] > 0
    with styled():
        figure, axes = new_figure(2, 1, height=4.4, height_ratios=[3, 2], sharex=True)
        top, bottom = axes[:, 0]
        figure.suptitle(title, x=0.01, ha="left", fontweight="bold")
        top.fill_between(time, waits, color=BLUE, alpha=0.35, step="post", linewidth=0)
        top.step(time, waits, where="post", color=BLUE, linewidth=1.4)
        top.set(ylabel="requests", title="Backlog: waiting or in process")
        if alone.any():
            most = max(1.0, 1.05 * float(waits.max()))
            top.fill_between(time, most * alone, color=YELLOW, alpha=0.5, step="post", linewidth=0, zorder=0)
            top.set_title("Backlog: waiting or in process (shaded: while there is no instance)")
        expired = timeline["ExpiredRequests"]
        if expired.any():
            top.plot(time[expired > 0], expired[expired > 0], "x", color=RED, label="expired in the period")
            top.legend(loc="upper right")
        bottom.step(time, timeline["DesiredInstances"], where="post", color=BLACK, linewidth=1.2, linestyle="--")
        bottom.step(time, timeline["Instances"], where="post", color=GREEN, linewidth=2.4)
        highest = int(timeline[["Instances", "DesiredInstances"]].max().max())
        bottom.set(ylabel="instances", xlabel=f"time [{unit}]", title="Instances in service (line), asked for (dashed)")
        bottom.set(yticks=range(0, highest + 1, 1 + highest // 6), ylim=(0, 1.15 * max(1, highest)))
        for axis in (top, bottom):
            axis.set(xticks=ticks, xlim=(ticks[0], ticks[-1]))
        top.set_ylim(bottom=0)
    show()
    hours = float(time[1] - time[0]) * {"min": 1 / 60, "h": 1, "days": 24}[unit] if len(time) > 1 else 1 / 60
    instances = timeline["Instances"]
    return Words(
        f"{title}. The backlog goes up to {waits.max():,.0f}, instances from {instances.min():.0f} to "
        f"{instances.max():.0f}. For {hours * (instances == 0).sum():.3g} h there is none, and in "
        f"{60 * hours * alone.sum():.3g} min of these somebody waits."
        + (f" {expired.sum():,.0f} requests expire." if expired.any() else "")
    )
