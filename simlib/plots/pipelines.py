"""Pictures of pipelines: what depends on what, and when each step ran."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import numpy as np
import pandas as pd

from simlib.parameters import Count, checked
from simlib.plots.checks import Title, check_known, frame_like
from simlib.plots.style import BLACK, BLUE, GREEN, RED, Words, new_figure, show, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Steps = Annotated[pd.DataFrame, frame_like("steps", "one row a step", numbers=["layer"], others=["type"], empty=True)]
Edges = Annotated[pd.DataFrame, frame_like("edges", "one row an edge", others=["source", "target", "why"], empty=True)]
Ran = Annotated[
    pd.DataFrame,
    frame_like("steps", "one row a step", numbers=["start_s", "end_s"], others=["cached", "critical"], empty=True),
]
Attempts = Annotated[
    pd.DataFrame,
    frame_like("attempts", "one row an attempt", numbers=["begin_s", "end_s"], others=["step", "status"], empty=True),
]
_PER_ROW = 6
"""Boxes side by side that can still be read; a wider layer takes several rows."""
_EDGES = {"data": (BLACK, "-"), "explicit": (BLUE, "--"), "branch": (RED, ":"), "inside": ("#999999", "-.")}


@checked
def dag(steps: Steps, edges: Edges, *, at_most: Count = 60, title: Title = "") -> Words:
    """A pipeline in layers, from top to bottom; above *at_most* steps, how many of each type every layer has.

    Parameters
    ----------
    steps : DataFrame
        Index step; columns type and layer (0, 1, …).
    edges : DataFrame
        Columns source, target and why: "data", "explicit", "branch", or "inside" (a group and what is in it).
    at_most : int
        Steps that are still drawn one by one.
    title : str
        The finding.
    """
    for why in edges["why"].unique():
        check_known("dag", "why", why, _EDGES)
    for name in pd.unique(edges[["source", "target"]].to_numpy().ravel()):
        check_known("dag", "step", name, steps.index)
    layers = int(steps["layer"].max()) + 1 if len(steps) else 0
    widest = int(steps["layer"].value_counts().max()) if len(steps) else 0
    with styled():
        if len(steps) > at_most:
            _layer_counts(steps, title)
        else:
            spots = _spots(steps, edges)
            rows = int(max((y for _, y in spots.values()), default=0.0)) + 1
            ax = new_figure(1, 1, height=min(14.0, 0.9 + 0.62 * rows))[1][0, 0]
            _arrows(ax, spots, edges)
            beside = min(widest, _PER_ROW)
            size = 9.0 if beside <= 4 else 7.5
            for name, (x, y) in spots.items():
                words = f"{ends(name.rpartition('/')[2], round(650 / (size * beside)))}\n{steps['type'][name]}"
                style = {"boxstyle": "round,pad=0.35", "facecolor": "#EAF3FA", "edgecolor": BLUE, "linewidth": 0.9}
                ax.annotate(words, (x, y), ha="center", va="center", fontsize=size, bbox=style)
            ax.set(xlim=(-0.05, 1.05), ylim=(rows - 0.4, -0.6), title=title)
            ax.axis("off")
    show()
    side = f"at most {widest} steps side by side" if widest > 1 else "one step after another"
    return Words(f"{title}. {layers} layer{'s' * (layers != 1)}; {side}.")


def _spots(steps: pd.DataFrame, edges: pd.DataFrame) -> dict[str, tuple[float, float]]:
    """Where each step stands: side by side within its layer, near the steps it follows."""
    before: dict[str, list[str]] = {}
    for source, target in zip(edges["source"], edges["target"], strict=True):
        before.setdefault(target, []).append(source)
    spots: dict[str, tuple[float, float]] = {}
    row = 0
    for _, group in steps.groupby("layer"):
        wish = {name: [spots[each][0] for each in before.get(str(name), []) if each in spots] for name in group.index}
        order = sorted(group.index, key=lambda name: np.mean(wish[name]) if wish[name] else 0.5)
        for first in range(0, len(order), _PER_ROW):
            beside = order[first : first + _PER_ROW]
            spots |= {str(name): ((place + 0.5) / len(beside), float(row)) for place, name in enumerate(beside)}
            row += 1
    return spots


def _arrows(ax: "Axes", spots: Mapping[str, tuple[float, float]], edges: pd.DataFrame) -> None:
    """The edges; one that passes over a layer bends around what stands there."""
    for source, target, why in edges[["source", "target", "why"]].itertuples(index=False):
        color, line = _EDGES[why]
        (x0, y0), (x1, y1) = spots[source], spots[target]
        bend = 0.0 if y1 - y0 <= 1 else 0.25
        style = {
            "arrowstyle": "-|>", "color": color, "linestyle": line, "linewidth": 1.0, "shrinkA": 0, "shrinkB": 0,
            "connectionstyle": f"arc3,rad={bend}", "alpha": 0.75,
        }  # fmt: skip
        ax.annotate("", (x1, y1 - 0.3), (x0, y0 + 0.3), arrowprops=style)
    for why in edges["why"].unique():
        color, line = _EDGES[why]
        ax.plot([], [], color=color, linestyle=line, label=why)
    if len(edges):
        _legend_beside(ax)


def _legend_beside(ax: "Axes") -> None:
    """The legend to the right of the picture, where it hides nothing."""
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8)


def ends(name: str, room: int) -> str:
    """*name*, or its beginning and its end where it has more than *room* letters."""
    return name if len(name) <= room else f"{name[: room // 2]}…{name[-(room // 2) :]}"


def _layer_counts(steps: pd.DataFrame, title: str) -> None:
    ax = new_figure(1, 1, height=3.8)[1][0, 0]
    counts = steps.groupby(["layer", "type"]).size().unstack(fill_value=0)
    ax.stackplot(counts.index, counts.T.to_numpy(), labels=list(counts.columns), step="mid", linewidth=0)
    ax.set(xlabel="layer (steps that must come before)", ylabel="steps", title=title, ylim=(0, None))
    ax.legend(loc="upper right", fontsize=8)


@checked
def gantt(steps: Ran, attempts: Attempts, *, at_most: Count = 40, title: Title = "") -> Words:
    """When each step ran; above *at_most* steps, how many ran at the same time.

    Parameters
    ----------
    steps : DataFrame
        Index step; columns start_s, end_s, cached, critical.
    attempts : DataFrame
        Columns step, begin_s, end_s and status ("Succeeded", "Failed", …).
    at_most : int
        Steps that still get a line of their own.
    title : str
        The finding.
    """
    steps = steps.sort_values("start_s", kind="stable")
    latest = steps["end_s"].max() if len(steps) else 0.0
    unit, size = next((u, s) for u, s, least in (("h", 3600, 7200), ("min", 60, 120), ("s", 1, 0)) if latest >= least)
    with styled():
        ax = new_figure(1, 1, height=3.8 if len(steps) > at_most else 1.4 + 0.28 * len(steps))[1][0, 0]
        if len(steps) > at_most:
            _running(ax, steps, size)
        else:
            _bars(ax, steps, attempts, size)
        ax.set(xlabel=f"time since the start [{unit}]", title=title, xlim=(0, None))
    show()
    critical = [str(name) for name in steps.index[steps["critical"]]]
    chain = " → ".join(critical) if len(critical) <= 12 else f"{len(critical)} steps"
    failed = int((attempts["status"] == "Failed").sum())
    return Words(
        f"{title}. Critical path: {chain or 'none'}."
        + f" Cache hits: {int(steps['cached'].sum())}; failed attempts: {failed}."
    )


def _bars(ax: "Axes", steps: pd.DataFrame, attempts: pd.DataFrame, size: float) -> None:
    """A thin line for a step's whole life, a bar for each attempt; hits of the cache as diamonds."""
    labelled: set[str] = set()

    def once(label: str) -> str:
        fresh = label not in labelled
        labelled.add(label)
        return label if fresh else "_"

    attempts_of = {str(name): group for name, group in attempts.groupby("step")}
    for spot, (name, row) in enumerate(steps.iterrows()):
        ax.hlines(spot, row["start_s"] / size, row["end_s"] / size, colors="#888888", linewidth=1.0, zorder=1)
        if row["cached"]:
            ax.plot([row["start_s"] / size], [spot], "D", color=GREEN, ms=7, label=once("from the cache"))
        mine = attempts_of.get(str(name), attempts[:0])
        for begin, end, status in zip(mine["begin_s"], mine["end_s"], mine["status"], strict=True):
            kind, color = ("critical path", RED) if row["critical"] else ("other steps", BLUE)
            if status != "Succeeded":
                kind, color = "failed or stopped", BLACK
            length = (float(end) - float(begin)) / size
            ax.barh(spot, length, left=float(begin) / size, height=0.6, color=color, label=once(kind))
            ax.vlines(
                float(begin) / size, spot - 0.3, spot + 0.3, colors=color, linewidth=1.5
            )  # also if it took no time
    ax.set(yticks=range(len(steps)), yticklabels=[ends(str(name), 40) for name in steps.index])
    ax.set_ylim(len(steps) - 0.4, -0.6)
    ax.grid(visible=False, axis="y")
    if labelled:
        _legend_beside(ax)


def _running(ax: "Axes", steps: pd.DataFrame, size: float) -> None:
    """How many steps run at each moment."""
    moments, which = np.unique(np.concatenate([steps["start_s"], steps["end_s"]]) / size, return_inverse=True)
    change = np.bincount(which.ravel(), weights=np.repeat([1, -1], len(steps)))  # one step's end and another's start
    ax.step(moments, np.cumsum(change), where="post", color=BLUE)
    ax.set(ylabel="steps at the same time", ylim=(0, None))
