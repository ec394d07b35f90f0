"""Pictures of one run: its timeline, and the tail of its latency."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import pandas as pd
from pydantic import BeforeValidator

from simlib.parameters import Count, NonNegative, ParameterError, as_row, checked, shortly
from simlib.plots.checks import Title, frame_like
from simlib.plots.style import (
    BLACK,
    BLUE,
    GREEN,
    ORANGE,
    PURPLE,
    RED,
    SKY,
    Words,
    color_of,
    line_of,
    new_figure,
    show,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COUNTED = ("Invocations", "Invocation4XXErrors", "Invocation5XXErrors", "ModelLatency", "Utilization")


def _latencies(value: Any) -> "dict[str, np.ndarray]":
    """Arrays of seconds by name; a single one is called ''."""
    if not isinstance(value, Mapping):
        return {"": _seconds("latencies", value)}
    if not value:
        raise ValueError("latencies={} is not possible: it should have at least one array.")
    return {str(name): _seconds(f"latencies[{name!r}]", each) for name, each in value.items()}


def _seconds(name: str, value: object) -> np.ndarray:
    values = as_row(name, value, "an array of seconds, such as run.latencies()")
    wrong = np.flatnonzero(~(np.isfinite(values) & (values >= 0)))
    if len(wrong):
        raise ValueError(
            f"{name}[{wrong[0]}]={values[wrong[0]]} is not possible: it should be a finite number of seconds."
        )
    return values


def _axes(value: object) -> object:
    if value is not None and not hasattr(value, "set_xscale"):
        raise ValueError(f"ax={shortly(value)} is not possible: it should be the Axes of a figure, or None.")
    return value


Timeline = Annotated[pd.DataFrame, frame_like("timeline", "run.timeline()", numbers=COUNTED)]
STAGES = ("launched_s", "machine_up_s", "in_service_s", "draining_s", "gone_s")
Lives = Annotated[pd.DataFrame, frame_like("lives", "run.instances", numbers=STAGES, others=["ended"], empty=True)]
Alarms = Annotated[pd.DataFrame, frame_like("alarms", "run.events", numbers=["time_s"], others=["detail"], empty=True)]
Calls = Annotated[pd.DataFrame, frame_like("fleets", "run.fleets()")]
Latencies = Annotated[Any, BeforeValidator(_latencies)]
Picture = Annotated[Any, BeforeValidator(_axes)]  # matplotlib is loaded only where something is drawn


@checked
def run(
    timeline: Timeline,
    *,
    alarms: Alarms,
    latencies: Latencies | None,
    title: Title,
    end_s: NonNegative | None = None,
    lives: Lives | None = None,
    most: Count | None = None,
    fleets: Calls | None = None,
    updates: Alarms | None = None,
) -> Words:
    """A run's traffic, latency and instances over time, and the distribution of its latency.

    Parameters
    ----------
    timeline : DataFrame
        As `Run.timeline` gives it; index time_s.
    alarms : DataFrame
        The alarms' changes of state: time_s and detail; none where nothing scales.
    latencies : array or None
        Latencies of the completed requests [s]; without them the distribution is left out.
    title : str
        The finding.
    end_s : float or None
        When the run ended [s]; by default the last period is a whole one.  A period that is not whole counts neither
        in the rates nor in the words, unless there is no other.
    lives : DataFrame or None
        The stages of each instance's life, as `Run.instances` gives them; drawn where any came or went.
    most : int or None
        How many instances may be asked for; drawn where that many were.
    fleets : DataFrame or None
        Calls of each fleet, as `Run.fleets` gives them, by the rows of the timeline.
    updates : DataFrame or None
        What happened in updates of the endpoint: time_s and detail.
    """
    what = "Instances" if "Instances" in timeline else "Containers"
    if what not in timeline:
        raise ParameterError("run: timeline has no column 'Instances' or 'Containers', such as run.timeline() has.")
    time, unit, ticks = time_axis(timeline)
    scale = (time[1] - time[0]) / (timeline.index[1] - timeline.index[0]) if len(timeline) > 1 else 1 / 60
    lengths, whole = _periods(timeline, end_s)
    rates = (timeline["Invocations"] / lengths)[whole]
    errors = (timeline[["Invocation4XXErrors", "Invocation5XXErrors"]].sum(axis=1) / lengths)[whole]
    asked_for = timeline.get("DesiredInstances", pd.Series(dtype=int))
    most = most if (asked_for == most).any() else None
    if lives is not None and not _changing(lives):
        lives = None
    heights = (
        [2.0, 2.0, 2.0] + [2.0] * (fleets is not None) + [2.0] * (lives is not None) + [2.4] * (latencies is not None)
    )
    with styled():
        figure, axes = new_figure(len(heights), 1, height=0.95 * sum(heights), height_ratios=heights)
        top, middle, third = over_time = list(axes[:3, 0])
        figure.suptitle(title, x=0.01, ha="left", fontweight="bold")
        top.plot(time[whole], rates, color=BLUE, linewidth=0.9)
        top.set(ylabel="requests/s", title="Traffic")
        if errors.any():
            top.fill_between(time[whole], errors, color=RED, alpha=0.6, step="post", linewidth=0)
            top.set_title("Traffic (line), and requests that got an error (area)")
        middle.plot(time, timeline["ModelLatency"], color=RED, linewidth=0.9)
        middle.set(ylabel="mean [s]", title="Latency of the requests answered in each minute")
        _busy(third, time, timeline, what)
        if most is not None:
            third.axhline(most, color=GREEN, linewidth=1.1, linestyle=":")
            place: Any = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "xytext": (-4, 2)}
            third.annotate(f"at most {most}", (1, most), **place, ha="right", color=GREEN, fontsize=9)
        if len(alarms):
            _alarms(third, alarms, scale)
        if fleets is not None:
            over_time.append(axes[3, 0])
            _fleets(axes[3, 0], time[whole], (fleets.div(lengths, axis=0))[whole], updates, scale)
        if lives is not None:
            over_time.append(axes[len(over_time), 0])
            _lives(over_time[-1], lives, scale, float(timeline.index[-1] + lengths[-1]))
        for axis in over_time:
            axis.set(xticks=ticks, xlim=(ticks[0], ticks[-1]))
            axis.tick_params(labelbottom=axis is over_time[-1])
        for axis in (top, middle, third):
            axis.set_ylim(bottom=0)
        room = 1.25 if len(alarms) else 1.1  # the alarms' signs stand above the lines
        highest = timeline[timeline.columns.intersection([what, "DesiredInstances"])].max().max()
        third.set_ylim(top=room * max(highest, 1))
        over_time[-1].set_xlabel(f"time [{unit}]" + (f"      {over_time[-1].get_xlabel()}" if lives is None else ""))
        if latencies is not None:
            tail(latencies, ax=axes[-1, 0])
    show()
    told = timeline[whole]
    return Words(
        f"{title}. Traffic {rates.min():.3g} to {rates.max():.3g} requests/s, "
        f"{what.lower()} {told[what].min():.3g} to {told[what].max():.3g}, "
        f"workers busy {100 * told['Utilization'].mean():.3g} % of the time."
        + _said_of_scaling(asked_for, alarms, most)
        + _said_of_updates(updates)
    )


def _fleets(ax: "Axes", time: np.ndarray, rates: pd.DataFrame, updates: pd.DataFrame | None, scale: float) -> None:
    """How the traffic is shared: an area for each fleet, and a line where an update was decided."""
    base = np.zeros(len(rates))
    for k, name in enumerate(rates):
        top = base + rates[name].to_numpy()
        if rates[name].any():
            ax.fill_between(time, base, top, color=color_of(k), alpha=0.65, step="post", linewidth=0, label=str(name))
        base = top
    ax.set(ylabel="requests/s", title="Traffic of each fleet, and where an update was decided (line)")
    ax.set_ylim(0, 1.35 * max(float(base.max(initial=0.0)), 1e-9))  # the legend stands above
    for when, _ in _decided(updates):
        ax.axvline(when * scale, color=BLACK, linewidth=1.2, linestyle="--")
    ax.legend(loc="upper left", fontsize=8, ncols=4)


def _decided(updates: pd.DataFrame | None) -> list[tuple[float, str]]:
    """When updates were decided, and how."""
    if updates is None:
        return []
    told = zip(updates["time_s"], updates["detail"], strict=True)
    return [(when, detail) for when, detail in told if detail.startswith(("succeeded", "rolls back"))]


def _said_of_updates(updates: pd.DataFrame | None) -> str:
    return "".join(f" At {when / 60:.4g} min an update {detail}." for when, detail in _decided(updates))


def _said_of_scaling(asked_for: pd.Series, alarms: pd.DataFrame, most: int | None) -> str:
    """How often anything changed, and whether the fleet was as large as it may be."""
    changes, silent = int((asked_for.diff().fillna(0) != 0).sum()), sum(map(_silent, alarms["detail"]))
    said = f" The capacity asked for changed {_times(changes)}." if changes else ""
    if most is not None:
        said += f" It stood at the most allowed, {most}, for {100 * (asked_for == most).mean():.3g} % of the time."
    if len(alarms):
        said += f" Alarms changed state {_times(len(alarms))}{f', {silent} of them for want of data' * bool(silent)}."
    return said


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _periods(timeline: pd.DataFrame, end_s: float | None) -> tuple[np.ndarray, np.ndarray]:
    """The length of each row [s], and which rows are whole periods; where none is, all of them."""
    begins = timeline.index.to_numpy(dtype=float)
    period = 60.0 * np.ceil(np.diff(begins).max() / 60.0) if len(begins) > 1 else 60.0
    end = begins[-1] + period
    lengths = np.diff(begins, append=end if end_s is None else max(min(end, end_s), np.nextafter(begins[-1], np.inf)))
    whole = lengths >= period * (1 - 1e-9)
    return lengths, whole if whole.any() else np.ones(len(begins), dtype=bool)


def _busy(ax: "Axes", time: np.ndarray, timeline: pd.DataFrame, what: str) -> None:
    """Instances or containers as a line, and how busy they are as an area behind it."""
    from matplotlib.ticker import MaxNLocator

    asked_for = timeline.get("DesiredInstances")
    if asked_for is not None and (asked_for != timeline[what]).any():
        ax.step(time, asked_for, where="post", color=BLACK, linewidth=1.2, linestyle="--")
        ax.set_title("Instances in service (line), asked for (dashed), and how busy their workers are (area)")
    elif asked_for is not None:
        ax.set_title("Instances in service (line), and how busy their workers are (area)")
    else:
        ax.set_title("Containers (line), and how busy they are (area)")
    ax.step(time, timeline[what], where="post", color=GREEN, linewidth=2.4)
    ax.set_ylabel(what.lower(), color=GREEN)
    ax.yaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
    busy = ax.twinx()
    busy.fill_between(time, 100 * timeline["Utilization"], color=SKY, alpha=0.45, step="post", linewidth=0)
    busy.set_ylabel("busy [%]", color=BLUE)
    busy.set(ylim=(0, 105), yticks=(0, 50, 100))
    busy.grid(visible=False)
    ax.set_zorder(busy.get_zorder() + 1)  # the lines before the area
    ax.patch.set_visible(False)


def _alarms(ax: "Axes", alarms: pd.DataFrame, scale: float) -> None:
    """Where alarms changed state, on the upper edge: up and down for high and low ones, filled while they are on."""
    for when, detail in zip(alarms["time_s"], alarms["detail"], strict=True):
        marker = "D" if _silent(detail) else "v" if "Low" in detail else "^"
        ax.plot(
            [when * scale],
            [0.96],
            marker=marker,
            color=RED,
            markerfacecolor=RED if "→ ALARM" in detail else "white",
            markersize=5 if marker == "D" else 7,
            linestyle="none",
            transform=ax.get_xaxis_transform(),
            clip_on=False,
            zorder=5,
        )
    key = "▲ ▼ alarm high, low: on    △ ▽ off"
    ax.set_xlabel(f"{key}    ◇ no data" if any(map(_silent, alarms["detail"])) else key)


def _silent(detail: str) -> bool:
    """Whether an alarm's change of state is for want of data."""
    return "→ INSUFFICIENT_DATA" in detail


def _changing(lives: pd.DataFrame) -> bool:
    """Whether any instance came or went."""
    return bool((lives["in_service_s"] > lives["launched_s"]).any() or np.isfinite(lives["draining_s"]).any())


def _lives(ax: "Axes", lives: pd.DataFrame, scale: float, end: float) -> None:
    """A row for each instance, from the bottom: the stages of its life, and how it was lost."""
    edges = lives[list(STAGES)].to_numpy(dtype=float).clip(max=end)
    edges = np.minimum(edges, edges[:, -1:]) * scale  # what never came ends with the life
    rows = np.arange(len(lives))
    width = float(np.clip(70 / max(len(lives), 1), 0.8, 7))
    stages = {"launching": ORANGE, "starting": SKY, "in service": GREEN, "draining": PURPLE}
    for stage, (name, color) in enumerate(stages.items()):
        ax.hlines(rows, edges[:, stage], edges[:, stage + 1], colors=color, linewidth=width, label=name)
    for how, color in (("crashed", RED), ("not healthy", BLACK)):
        lost = (lives["ended"] == how).to_numpy()
        if lost.any():
            ax.plot(edges[lost, -1], rows[lost], "X", color=color, markersize=7, label=how, linestyle="none")
    ax.set(yticks=[], ylim=(-0.8, len(lives) - 0.2), ylabel=f"{len(lives)} instances")
    ax.set_title("Each instance's life")
    ax.grid(visible=False, axis="y")
    ax.legend(
        loc="lower right",
        bbox_to_anchor=(1, 1),
        ncols=6,
        fontsize=8,
        borderaxespad=0.2,
        handlelength=1,
        columnspacing=1,
    )


def time_axis(timeline: pd.DataFrame) -> tuple[np.ndarray, str, np.ndarray]:
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


@checked
def tail(latencies: Latencies, *, title: Title = "", ax: Picture = None) -> Words:
    """How many requests take longer than x: the distribution of latency with its tail, on logarithmic axes.

    Parameters
    ----------
    latencies : array, or mapping of name to array
        Latencies [s], finite.
    title : str
        The finding; by default, how to read the picture.
    ax : Axes or None
        Where to draw; a new figure by default.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator

    many, alone = latencies, ax is None
    with styled():
        if ax is None:
            ax = new_figure(1, 1, height=3.6)[1][0, 0]
        sentences = [_one_tail(ax, name, values, k) for k, (name, values) in enumerate(many.items())]
        fastest, slowest = _span(many.values())
        ax.set_xlim(fastest, 1.3 * slowest)  # the few that are quicker still would push the tail aside
        ax.set(xscale="log", yscale="log", xlabel="latency [s]", ylabel="share that takes longer")
        ax.set_title(title or "The tail of latency: one request in a hundred takes longer than p99")
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if slowest < 1000 * fastest else (1,)))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
        ax.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{100 * y:g} %"))
        ax.minorticks_off()
        if len(many) > 1:
            ax.legend(loc="lower left")
    if alone:
        show()
    return Words(" ".join(sentences))


def _span(many: Iterable[np.ndarray]) -> tuple[float, float]:
    """From what nearly all requests take at least, to the slowest [s]; both greater than 0."""
    found = [values[values > 0] for values in many]
    found = [values for values in found if len(values)]
    if not found:
        return 0.1, 1.0
    return min(float(np.quantile(values, 0.02)) for values in found), max(float(values.max()) for values in found)


def _one_tail(ax: "Axes", name: str, values: np.ndarray, k: int) -> str:
    color = color_of(k)
    if not len(values):
        return f"{name or 'Nothing'} was answered."
    # 400 points are as many as the eye can tell; the last one is the slowest request
    shares = np.unique(np.round(np.geomspace(1, 1 / len(values), 400), 12))[::-1]
    at = np.quantile(values, np.clip(1 - shares, 0, 1))
    ax.plot(at, shares, color=color, linestyle=line_of(k), label=name)
    p50, p99 = np.quantile(values, [0.5, 0.99])
    for share, x, label in ((0.5, p50, "p50 "), (0.01, p99, "p99 ")):
        ax.plot([x], [share], "o", color=color, ms=5)
        if not name:  # the legend tells several apart, and their labels would overlap
            ax.annotate(f"{label}{x:.3g} s", (x, share), textcoords="offset points", xytext=(6, 4), fontsize=9)
    subject = f"{name}: half" if name else "Half"
    return f"{subject} are answered within {p50:.3g} s, 99 in 100 within {p99:.3g} s."
