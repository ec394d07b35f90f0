"""Pictures: each draws a frame or an array, and returns in words what it shows.

Plots know nothing of the rest of the library.  One style for the whole course: colours that colour-blind readers can
tell apart (Okabe and Ito 2008), the finding as title, axes with units, lines labelled where they end.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ORANGE, SKY, GREEN, YELLOW, BLUE, RED, PURPLE, BLACK = (
    "#E69F00",
    "#56B4E9",
    "#009E73",
    "#F0E442",
    "#0072B2",
    "#D55E00",
    "#CC79A7",
    "#000000",
)
CYCLE = (BLUE, ORANGE, GREEN, RED, PURPLE, SKY, BLACK, YELLOW)
STYLE: dict[str, Any] = {
    "figure.dpi": 100,
    "figure.constrained_layout.use": True,
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
}


class Words(str):
    """A sentence about a picture; a notebook shows it as text, without quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


@contextmanager
def styled() -> Iterator[None]:
    """The course's style, for figures drawn inside."""
    import matplotlib as mpl

    with mpl.rc_context(STYLE | {"axes.prop_cycle": mpl.cycler(color=CYCLE)}):
        yield


def _figure(rows: int, columns: int, *, height: float) -> "tuple[Figure, np.ndarray]":
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(rows, columns, figsize=(9.0, height), squeeze=False)
    return figure, axes


def run(timeline: pd.DataFrame, *, latencies: np.ndarray | None, title: str) -> Words:
    """A run's traffic, instances and latency over time, and the distribution of its latency.

    Parameters
    ----------
    timeline : DataFrame
        As `Run.timeline` gives it; index time_s.
    latencies : array or None
        Latencies of the completed requests [s]; without them the distribution is left out.
    title : str
        The finding.
    """
    with styled():
        figure, axes = _figure(3 + (latencies is not None), 1, height=7.5 + 2.0 * (latencies is not None))
        top, middle, third = axes[:3, 0]
        hours, unit = _time_axis(timeline)
        period = float(timeline.index[1] - timeline.index[0]) if len(timeline) > 1 else 60.0
        figure.suptitle(title, x=0.01, ha="left", fontweight="bold")
        top.plot(hours, timeline["Invocations"] / period, color=BLUE)
        top.set(ylabel="requests/s", title="Traffic")
        middle.plot(hours, timeline["ModelLatency"], color=RED)
        middle.set(ylabel="mean latency [s]", title="Latency of the requests answered in each minute")
        third.step(hours, timeline["Instances"], where="post", color=GREEN)
        third.set(
            ylabel="instances in service", title="Instances, and how busy their workers are", xlabel=f"time [{unit}]"
        )
        busy = third.twinx()
        busy.fill_between(hours, 100 * timeline["Utilization"], color=SKY, alpha=0.35, step="post")
        busy.set(ylabel="busy [%]", ylim=(0, 105))
        busy.grid(visible=False)
        for axis in (top, middle, third):
            axis.set_ylim(bottom=0)
        if latencies is not None:
            tail(latencies, ax=axes[3, 0])
    return Words(
        f"{title}. Traffic {timeline['Invocations'].min() / period:.3g} to {timeline['Invocations'].max() / period:.3g} "
        f"requests/s, instances {timeline['Instances'].min()} to {timeline['Instances'].max()}, "
        f"workers busy {100 * timeline['Utilization'].mean():.3g} % of the time."
    )


def _time_axis(timeline: pd.DataFrame) -> tuple[np.ndarray, str]:
    """The index in the unit that keeps the numbers short."""
    seconds = timeline.index.to_numpy(dtype=float)
    last = seconds[-1] if len(seconds) else 0.0
    scale, unit = (60.0, "min") if last < 3 * 3600 else (3600.0, "h") if last < 4 * 86400 else (86400.0, "days")
    return seconds / scale, unit


def tail(latencies: "np.ndarray | Mapping[str, np.ndarray]", *, ax: "Axes | None" = None) -> Words:
    """How many requests take longer than x: the distribution of latency with its tail, on logarithmic axes.

    Parameters
    ----------
    latencies : array, or mapping of name to array
        Latencies [s].
    ax : Axes or None
        Where to draw; a new figure by default.
    """
    many = latencies if isinstance(latencies, Mapping) else {"": latencies}
    with styled():
        if ax is None:
            _, axes = _figure(1, 1, height=3.6)
            ax = axes[0, 0]
        sentences = [
            _one_tail(ax, name, np.asarray(values), color) for (name, values), color in zip(many.items(), CYCLE)
        ]
        ax.set(xscale="log", yscale="log", xlabel="latency [s]", ylabel="share that takes longer")
        ax.set_title("The tail of latency: one request in a hundred takes longer than p99")
        if len(many) > 1:
            ax.legend()
    return Words(" ".join(sentences))


def _one_tail(ax: "Axes", name: str, values: np.ndarray, color: str) -> str:
    if not len(values):
        return f"{name or 'Nothing'} was answered."
    # 400 points are as many as the eye can tell; the last one is the slowest request
    shares = np.unique(np.round(np.geomspace(1, 1 / len(values), 400), 12))[::-1]
    at = np.quantile(values, np.clip(1 - shares, 0, 1))
    ax.plot(at, shares, color=color, label=name)
    p50, p99 = np.quantile(values, [0.5, 0.99])
    for share, x, label in ((0.5, p50, "p50"), (0.01, p99, "p99")):
        ax.plot([x], [share], "o", color=color, ms=5)
        ax.annotate(
            f"{label} {x:.3g} s", (x, share), textcoords="offset points", xytext=(6, 4), fontsize=9, color=color
        )
    subject = f"{name}: half" if name else "Half"
    return f"{subject} are answered within {p50:.3g} s, 99 in 100 within {p99:.3g} s."
