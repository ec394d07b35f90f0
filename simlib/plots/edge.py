"""The picture of an update: how much of a fleet has it, and how much does not want it."""

from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import BeforeValidator

from simlib.parameters import checked, shortly
from simlib.plots.checks import Title, frame_like
from simlib.plots.style import BLACK, BLUE, RED, Words, new_figure, show, styled

KINDS = ("updated", "rolled back", "failed", "refused")
Events = Annotated[
    pd.DataFrame, frame_like("events", "run.events", numbers=["time_s"], others=["kind", "detail"], empty=True)
]
Devices = Annotated[pd.DataFrame, frame_like("instances", "run.instances of an edge fleet", others=["update"])]


def _expected(value: object) -> object:
    if value is not None and not callable(value):
        raise ValueError(f"expected={shortly(value)} is not possible: it should be a function of seconds, or None.")
    return value


@checked
def update(
    events: Events,
    instances: Devices,
    *,
    title: Title = "",
    expected: Annotated[Any, BeforeValidator(_expected)] = None,
) -> Words:
    """How much of a fleet has the new version, over time; what was decided stands as a line.

    Parameters
    ----------
    events, instances : DataFrame
        As `Run.events` and `Run.instances` of an edge fleet give them.
    title : str
        The finding.
    expected : function or None
        Seconds since the first offer → share that theory expects to have it [0 to 1]; dashed.
    """
    count = len(instances)
    offers = events[(events["kind"] == "update") & events["detail"].str.contains("offered to")]
    stops = events[events["kind"] == "update stopped"]
    offered = offers["detail"].str.extract(r"offered to (\d+)")[0].astype(float)
    begin = offers["time_s"].min() if len(offers) else 0.0
    times = [*events.loc[events["kind"].isin(KINDS), "time_s"].tail(1), *offers["time_s"].tail(1), *stops["time_s"]]
    latest = begin + 1.05 * max(60.0, *(time - begin for time in times), 0.0)
    unit, size = next((u, s) for u, s, least in (("h", 3600, 7200), ("min", 60, 0)) if latest - begin >= least)
    lines = {
        "offered": ("#888888", ":", pd.Series(offered.to_numpy(), index=offers["time_s"].to_numpy())),
        "has the new version": (BLUE, "-", _steps(events, ("updated", 1), ("rolled back", -1))),
        "failed or refused": (RED, "-", _steps(events, ("failed", 1), ("refused", 1))),
    }
    with styled():
        ax = new_figure(1, 1, height=3.4)[1][0, 0]
        for label, (color, style, steps) in lines.items():
            if len(steps):
                at = np.r_[begin, steps.index.to_numpy(), latest]
                share = np.r_[0, steps.to_numpy(), steps.iloc[-1]]
                ax.step((at - begin) / size, 100 * share / count, style, where="post", color=color, label=label)
        if expected is not None:
            grid = np.linspace(0, latest - begin, 400)
            told = [100 * expected(float(t)) for t in grid]
            ax.plot(grid / size, told, color=BLACK, linestyle="--", linewidth=1.2, label="expected")
        for when in stops["time_s"]:
            ax.axvline((when - begin) / size, color=RED, linestyle="-.", linewidth=1.2, label="stopped")
        ax.set(xlabel=f"time since the first offer [{unit}]", ylabel="devices [%]", title=title)
        ax.set(xlim=(0, (latest - begin) / size), ylim=(0, 1.05 * max(10.0, ax.get_ylim()[1] / 1.05)))
        if ax.get_legend_handles_labels()[0]:
            ax.legend(loc="best")
    show()
    became = instances["update"].value_counts()
    words = {"none": "never offered it", "rolled_back": "rolled back"}
    told_of = ", ".join(f"{number} {words.get(str(name), name)}" for name, number in became.items() if number)
    stopped = f" Stopped: {stops['detail'].iloc[0]}." if len(stops) else ""
    return Words(f"{title}. Of {count} devices: {told_of}.{stopped}")


def _steps(events: pd.DataFrame, *kinds: tuple[str, int]) -> pd.Series:
    """The running count of some kinds of events, each adding or taking away; index time_s."""
    change = dict(kinds)
    some = events[events["kind"].isin(change)]
    return pd.Series(some["kind"].map(change).to_numpy(), index=some["time_s"].to_numpy(), dtype=float).cumsum()
