"""The picture of a batch job: which instance did what, and which ones only cost."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import pandas as pd

from simlib.parameters import Count, checked
from simlib.plots.checks import Title, frame_like
from simlib.plots.style import BLUE, RED, SKY, YELLOW, Words, new_figure, show, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Instances = Annotated[
    pd.DataFrame,
    frame_like("instances", "run.instances", numbers=["launched_s", "machine_up_s", "in_service_s", "gone_s"]),
]
Files = Annotated[
    pd.DataFrame,
    frame_like("requests", "run.requests", numbers=["start_s", "finish_s", "instance"], others=["status"], empty=True),
]
_GREY = "#BBBBBB"


@checked
def batch(instances: Instances, requests: Files, *, at_most: Count = 40, title: Title = "") -> Words:
    """A job's instances over time: launching, getting ready, at work on each file, and idle but billed.

    Parameters
    ----------
    instances : DataFrame
        As `Run.instances` of a batch job gives it; times in seconds.
    requests : DataFrame
        As `Run.requests` gives it: one row a file.
    at_most : int
        Instances that are drawn; of more, evenly spaced ones.
    title : str
        The finding.
    """
    ends = instances[["launched_s", "machine_up_s", "in_service_s", "gone_s"]].replace(np.inf, np.nan)
    latest = np.nanmax([ends.max().max(), requests["finish_s"].max(), 1.0])
    stages = ends.fillna({"machine_up_s": latest, "gone_s": latest})
    stages["in_service_s"] = stages["in_service_s"].fillna(stages["gone_s"])
    unit, size = next((u, s) for u, s, least in (("h", 3600, 7200), ("min", 60, 120), ("s", 1, 0)) if latest >= least)
    begun = requests[requests["start_s"].notna()].assign(finish_s=lambda frame: frame["finish_s"].fillna(latest))
    work = {number: _without_overlap(files) for number, files in begun.groupby("instance")}
    shown = np.unique(np.linspace(0, len(stages) - 1, min(at_most, len(stages))).astype(int))
    with styled():
        ax = new_figure(1, 1, height=1.6 + 0.24 * max(3, len(shown)))[1][0, 0]
        _stages(ax, stages.iloc[shown] / size)
        for spot, number in enumerate(shown):
            if number in begun["instance"].to_numpy():
                _files(ax, spot, begun[begun["instance"] == number], size)
        for label, color in (
            ("launching", _GREY),
            ("getting ready", SKY),
            ("a file", BLUE),
            ("a file that fails", RED),
            ("idle, billed", YELLOW),
        ):
            ax.barh(0, 0, color=color, label=label)
        ax.set(xlabel=f"time since the start [{unit}]", xlim=(0, 1.01 * latest / size), ylabel="instance")
        ax.set(yticks=range(len(shown)), yticklabels=[str(instances.index[k]) for k in shown])
        ax.set_ylim(len(shown) - 0.4, -0.6)
        ax.set_title(title, pad=24)
        ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=5, borderaxespad=0.2, fontsize=8)
        ax.grid(visible=False, axis="y")
    show()
    return Words(f"{title}. {_said(stages, work, int((begun['status'].isin(['failed', 'timed_out'])).sum()))}")


def _stages(ax: "Axes", lives: pd.DataFrame) -> None:
    """Each instance's stages as one line of bars; what is not covered by a file later stays idle."""
    spots = np.arange(len(lives))
    for begin, end, color in (
        ("launched_s", "machine_up_s", _GREY),
        ("machine_up_s", "in_service_s", SKY),
        ("in_service_s", "gone_s", YELLOW),
    ):
        _blocks(ax, lives[begin], lives[end], spots, 0.7, color)


def _blocks(
    ax: "Axes", begin: pd.Series, end: pd.Series, spots: np.ndarray, height: float, color: Any, edge: float = 0.0
) -> None:
    """Horizontal bars as one shape: hundreds of bars of their own take a second to draw."""
    from matplotlib.collections import PolyCollection

    x, y = np.stack([begin, begin, end, end], axis=1), np.add.outer(spots, height * np.array([-0.5, 0.5, 0.5, -0.5]))
    corners = list(np.stack([x, y], axis=2))
    ax.add_collection(PolyCollection(corners, facecolors=color, edgecolors="white", linewidths=edge))


def _files(ax: "Axes", spot: int, files: pd.DataFrame, size: float) -> None:
    """The files of an instance, those at the same time below each other, with thin gaps while they can be seen."""
    free: list[float] = []
    places = []
    for begin, end in zip(files["start_s"], files["finish_s"], strict=True):
        place = next((k for k, until in enumerate(free) if until <= begin), len(free))
        free[place : place + 1] = [end]
        places.append(place)
    height = 0.7 / len(free)
    colors = np.where(files["status"].isin(["failed", "timed_out"]), RED, BLUE).tolist()
    spots = spot - 0.35 + height * (np.array(places) + 0.5)
    edge = 0.4 if len(files) <= 120 else 0.0
    _blocks(ax, files["start_s"] / size, files["finish_s"] / size, spots, height, colors, edge)


def _without_overlap(files: pd.DataFrame) -> float:
    """Seconds during which an instance had at least one file in work."""
    ordered = files.sort_values("start_s")
    begin, end = ordered["start_s"].to_numpy(), np.maximum.accumulate(ordered["finish_s"].to_numpy())
    return float(np.maximum(0.0, end - np.maximum(begin, np.r_[-np.inf, end[:-1]])).sum())


def _said(stages: pd.DataFrame, work: Mapping[Any, float], failed: int) -> str:
    billed = (stages["gone_s"] - stages["machine_up_s"]).clip(lower=0).sum()
    ready = (stages["in_service_s"] - stages["machine_up_s"]).clip(lower=0).sum()
    busy = sum(work.values())
    count = f"{len(stages)} instances" if len(stages) > 1 else "One instance"
    empty = len(stages) - len(work)
    return (
        f"{count}, {billed / 3600:.4g} billed hours: {100 * busy / max(billed, 1e-9):.3g} % at work, "
        f"{100 * ready / max(billed, 1e-9):.2g} % getting ready, "
        f"{100 * max(0.0, billed - ready - busy) / max(billed, 1e-9):.2g} % idle."
        + (f" {empty} of them never had a file." if empty else "")
        + (f" {failed} files failed." if failed else "")
    )
