"""Pictures: each draws a frame or an array, and returns in words what it shows.

Plots know nothing of the rest of the library.  One style for the whole course: colours that colour-blind readers can
tell apart (Okabe and Ito 2008), the finding as title, axes with units, lines labelled where they end.
"""

from collections.abc import Iterator, Mapping, Sequence
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


def _figure(rows: int, columns: int, *, height: float, **more: Any) -> "tuple[Figure, np.ndarray]":
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(rows, columns, figsize=(9.0, height), squeeze=False, **more)
    return figure, axes


def _show() -> None:
    """In a notebook, show the picture now, so that the words about it stand below and not above."""
    import matplotlib as mpl

    if "inline" in mpl.get_backend().lower():
        import matplotlib.pyplot as plt

        plt.show()


# --- one run ---------------------------------------------------------------------------------------------------------


def run(timeline: pd.DataFrame, *, latencies: np.ndarray | None, title: str) -> Words:
    """A run's traffic, latency and instances over time, and the distribution of its latency.

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
        heights = [2, 2, 2] + [2.4] * (latencies is not None)
        figure, axes = _figure(len(heights), 1, height=0.95 * sum(heights), height_ratios=heights)
        top, middle, third = axes[:3, 0]
        time, unit, ticks = _time_axis(timeline)
        period = float(timeline.index[1] - timeline.index[0]) if len(timeline) > 1 else 60.0
        figure.suptitle(title, x=0.01, ha="left", fontweight="bold")
        rates = timeline["Invocations"] / period
        top.plot(time, rates, color=BLUE, linewidth=0.9)
        top.set(ylabel="requests/s", title="Traffic")
        middle.plot(time, timeline["ModelLatency"], color=RED, linewidth=0.9)
        middle.set(ylabel="mean [s]", title="Latency of the requests answered in each minute")
        _busy(third, time, timeline)
        third.set_xlabel(f"time [{unit}]")
        for axis in (top, middle, third):
            axis.set(xticks=ticks, xlim=(ticks[0], ticks[-1]), ylim=(0, None))
        top.tick_params(labelbottom=False)
        middle.tick_params(labelbottom=False)
        if latencies is not None:
            tail(latencies, ax=axes[3, 0])
    _show()
    return Words(
        f"{title}. Traffic {rates.min():.3g} to {rates.max():.3g} requests/s, "
        f"instances {timeline['Instances'].min()} to {timeline['Instances'].max()}, "
        f"workers busy {100 * timeline['Utilization'].mean():.3g} % of the time."
    )


def _busy(ax: "Axes", time: np.ndarray, timeline: pd.DataFrame) -> None:
    """Instances as a line, and how busy their workers are as an area behind it."""
    from matplotlib.ticker import MaxNLocator

    ax.step(time, timeline["Instances"], where="post", color=GREEN, linewidth=2.4)
    ax.set_title("Instances in service (line), and how busy their workers are (area)")
    ax.set_ylabel("instances", color=GREEN)
    ax.yaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
    busy = ax.twinx()
    busy.fill_between(time, 100 * timeline["Utilization"], color=SKY, alpha=0.45, step="post", linewidth=0)
    busy.set_ylabel("busy [%]", color=BLUE)
    busy.set(ylim=(0, 105), yticks=(0, 50, 100))
    busy.grid(visible=False)


def _time_axis(timeline: pd.DataFrame) -> tuple[np.ndarray, str, np.ndarray]:
    """The index in the unit that keeps the numbers short, the unit, and ticks from the beginning to the end."""
    seconds = timeline.index.to_numpy(dtype=float)
    period = float(seconds[1] - seconds[0]) if len(seconds) > 1 else 60.0
    begin, end = (float(seconds[0]), float(seconds[-1]) + period) if len(seconds) else (0.0, 60.0)
    long = end - begin
    scale, unit = (60.0, "min") if long <= 3 * 3600 else (3600.0, "h") if long <= 4 * 86400 else (86400.0, "days")
    steps = {"min": (1, 2, 5, 10, 15, 30), "h": (1, 2, 3, 6, 12, 24), "days": (1, 2, 5, 7, 14, 30, 60, 90, 365)}[unit]
    step = next((step for step in steps if long / scale / step <= 12), steps[-1])
    ticks = step * np.arange(np.floor(begin / scale / step), np.ceil(end / scale / step) + 1)
    return seconds / scale, unit, ticks


def tail(latencies: "np.ndarray | Mapping[str, np.ndarray]", *, title: str = "", ax: "Axes | None" = None) -> Words:
    """How many requests take longer than x: the distribution of latency with its tail, on logarithmic axes.

    Parameters
    ----------
    latencies : array, or mapping of name to array
        Latencies [s].
    title : str
        The finding; by default, how to read the picture.
    ax : Axes or None
        Where to draw; a new figure by default.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator

    many = latencies if isinstance(latencies, Mapping) else {"": latencies}
    alone = ax is None
    with styled():
        if ax is None:
            ax = _figure(1, 1, height=3.6)[1][0, 0]
        sentences = [
            _one_tail(ax, name, np.asarray(values), color)
            for (name, values), color in zip(many.items(), CYCLE, strict=False)
        ]
        ax.set(xscale="log", yscale="log", xlabel="latency [s]", ylabel="share that takes longer")
        ax.set_title(title or "The tail of latency: one request in a hundred takes longer than p99")
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
        ax.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{100 * y:g} %"))
        ax.minorticks_off()
        if len(many) > 1:
            ax.legend(loc="lower left")
    if alone:
        _show()
    return Words(" ".join(sentences))


def _one_tail(ax: "Axes", name: str, values: np.ndarray, color: str) -> str:
    if not len(values):
        return f"{name or 'Nothing'} was answered."
    # 400 points are as many as the eye can tell; the last one is the slowest request
    shares = np.unique(np.round(np.geomspace(1, 1 / len(values), 400), 12))[::-1]
    at = np.quantile(values, np.clip(1 - shares, 0, 1))
    ax.plot(at, shares, color=color, label=name)
    p50, p99 = np.quantile(values, [0.5, 0.99])
    for share, x, label in ((0.5, p50, "p50 "), (0.01, p99, "p99 ")):
        ax.plot([x], [share], "o", color=color, ms=5)
        if not name:  # the legend tells several apart, and their labels would overlap
            ax.annotate(f"{label}{x:.3g} s", (x, share), textcoords="offset points", xytext=(6, 4), fontsize=9)
    subject = f"{name}: half" if name else "Half"
    return f"{subject} are answered within {p50:.3g} s, 99 in 100 within {p99:.3g} s."


# --- many runs -------------------------------------------------------------------------------------------------------


def against_load(
    figures: pd.DataFrame, *, title: str, limit: float | None = None, exact: "pd.Series | None" = None
) -> Words:
    """Latency against how busy the workers are: flat for long, then a wall.

    Parameters
    ----------
    figures : DataFrame
        Index: busy share of the workers, 0 to 1.  One column a figure of latency [s]; its name labels the line.
    title : str
        The finding.
    limit : float or None
        What the slowest figure, the last column, has to keep [s].
    exact : Series or None
        What theory says of one of the figures, by busy share; its name says of which.
    """
    with styled():
        ax = _figure(1, 1, height=4.0)[1][0, 0]
        busy = 100 * figures.index.to_numpy(dtype=float)
        for (name, values), color in zip(figures.items(), (SKY, BLUE, RED), strict=False):
            ax.plot(busy, values, "o-", color=color, ms=4, clip_on=False)
            _label(ax, str(name), busy[-1], float(values.iloc[-1]), color)
        if exact is not None:
            ax.plot(100 * exact.index.to_numpy(dtype=float), exact, "--", color=BLACK, linewidth=1.1)
            at = len(exact) // 3
            spot = (100 * float(exact.index[at]), float(exact.iloc[at]))
            ax.annotate(f"{exact.name}", spot, textcoords="offset points", xytext=(0, 12), fontsize=9)
        if limit is not None:
            ax.axhline(limit, color=GREEN, linewidth=1.1)
            ax.annotate(f"limit {limit:g} s", (busy[0], limit), textcoords="offset points", xytext=(0, 4), color=GREEN)
        ax.set(xlabel="busy share of the workers [%]", ylabel="latency [s]", title=title, ylim=(0, None))
    _show()
    return Words(_said_of_load(figures, limit))


def _label(ax: "Axes", text: str, x: float, y: float, color: str) -> None:
    """A line's name, where the line ends."""
    ax.annotate(
        text, (x, y), textcoords="offset points", xytext=(8, 0), va="center", color=color, annotation_clip=False
    )


def _said_of_load(figures: pd.DataFrame, limit: float | None) -> str:
    worst = figures.iloc[:, -1]
    first, last = float(worst.iloc[0]), float(worst.iloc[-1])
    sentence = (
        f"{worst.name} is {first:.3g} s at {100 * worst.index[0]:.3g} % busy and {last:.3g} s at "
        f"{100 * worst.index[-1]:.3g} %: {last / first:.3g} times as long."
    )
    if limit is None:
        return sentence
    kept = worst.index[worst.to_numpy() <= limit]
    if not len(kept):
        return f"{sentence} It never keeps {limit:g} s."
    return f"{sentence} It keeps {limit:g} s up to {100 * kept.max():.3g} % busy."


# --- ideas -----------------------------------------------------------------------------------------------------------


def cycle(stages: Mapping[str, str], *, now: Sequence[str], title: str) -> Words:
    """Stages that follow each other and begin anew, drawn as a ring.

    Parameters
    ----------
    stages : mapping of name to what it answers
        In their order, clockwise from the top.
    now : sequence of str
        The stages to bring out.
    title : str
        What the ring says.
    """
    with styled():
        ax = _figure(1, 1, height=3.4)[1][0, 0]
        angles = np.pi / 2 - 2 * np.pi * (np.arange(len(stages)) + 0.5) / len(stages)
        x, y = 3.0 * np.cos(angles), 1.25 * np.sin(angles)
        for k, (name, question) in enumerate(stages.items()):
            bold = name in now
            box = {"boxstyle": "round,pad=0.55", "fc": BLUE if bold else "white", "ec": BLUE if bold else "#888888"}
            ax.text(
                x[k], y[k], f"{name}\n{question}", ha="center", va="center", bbox=box, zorder=3,
                color="white" if bold else "#444444",
            )  # fmt: skip
        ring = np.linspace(0, 2 * np.pi, 200)
        ax.plot(3.0 * np.cos(ring), 1.25 * np.sin(ring), color="#AAAAAA", zorder=1)
        for middle in angles - np.pi / len(stages):
            behind, ahead = ((3.0 * np.cos(at), 1.25 * np.sin(at)) for at in (middle + 0.02, middle - 0.02))
            ax.annotate("", ahead, behind, arrowprops={"arrowstyle": "-|>", "color": "#888888", "mutation_scale": 22})
        ax.set(xlim=(-4.3, 4.3), ylim=(-1.9, 1.9), title=title)
        ax.axis("off")
    _show()
    return Words(f"{title}: {' → '.join(stages)} → {next(iter(stages))} again.")
