"""Pictures: each draws a frame or an array, and returns in words what it shows.

Plots know nothing of the rest of the library.  One style for the whole course: colours that colour-blind readers can
tell apart (Okabe and Ito 2008), the finding as title, axes with units, lines labelled where they end.
"""

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import pandas as pd
from pydantic import AfterValidator, BeforeValidator, Field

from simlib.parameters import Count, NonNegative, ParameterError, Positive, Text, checked, nearest

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "against_load",
    "comparison",
    "cost_breakdown",
    "cycle",
    "dag",
    "frontier",
    "gantt",
    "run",
    "stages",
    "tail",
    "welch",
]  # those that a user calls

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
LINES = ("-", "--", ":", "-.")  # when the colours begin anew
HATCHES = (None, "//", "..", "xx")
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
    """Sentences about a picture; a notebook shows them as text, without quotes, in lines that fit the page."""

    __slots__ = ()

    def __str__(self) -> str:
        return textwrap.fill(str.__str__(self), 90)

    __repr__ = __str__


@contextmanager
def styled() -> Iterator[None]:
    """The course's style, for figures drawn inside."""
    import matplotlib as mpl
    from cycler import cycler

    style: Any = STYLE | {"axes.prop_cycle": cycler(color=CYCLE)}
    with mpl.rc_context(style):
        yield


def _figure(rows: int, columns: int, *, height: float, **more: Any) -> "tuple[Figure, np.ndarray]":
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(rows, columns, figsize=(9.0, height), squeeze=False, **more)
    return figure, axes


def _color(k: int) -> str:
    return CYCLE[k % len(CYCLE)]


def _line(k: int) -> str:
    return LINES[k // len(CYCLE) % len(LINES)]


def _show() -> None:
    """In a notebook, show the picture now, so that the words about it stand below and not above."""
    import matplotlib as mpl

    if "inline" in mpl.get_backend().lower():
        import matplotlib.pyplot as plt

        plt.show()


# --- what may be drawn -----------------------------------------------------------------------------------------------


def _frame(
    name: str, like: str, *, numbers: Iterable[str] = (), others: Iterable[str] = (), empty: bool = False
) -> Any:
    """The check of the parameter *name*: a frame such as *like* with these columns, and rows unless it may be empty."""

    def check(value: object) -> object:
        if not isinstance(value, pd.DataFrame):
            raise ValueError(f"{name}={_told(value)} is not possible: it should be a DataFrame such as {like}.")
        for column in (*numbers, *others):
            if column not in value.columns:
                has = ", ".join(map(str, value.columns[:8])) or "none"
                raise ValueError(f"{name} has no column {column!r}, only {has}: it should be such as {like}.")
        if not empty and not value.size:
            raise ValueError(f"{name} is empty: it should have at least one row and one column, such as {like}.")
        for column in numbers:
            _check_numbers(name, value, column)
        return value

    return BeforeValidator(check)


def _check_numbers(name: str, frame: pd.DataFrame, column: Any) -> None:
    if len(frame) and not pd.api.types.is_numeric_dtype(frame[column]):
        found = _told(frame[column].iloc[0])
        raise ParameterError(f"{name}[{column!r}] should be numbers; its first value is {found}.")


def _told(value: object) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."


def _latencies(value: Any) -> "dict[str, np.ndarray]":
    """Arrays of seconds by name; a single one is called ''."""
    if not isinstance(value, Mapping):
        return {"": _seconds("latencies", value)}
    if not value:
        raise ValueError("latencies={} is not possible: it should have at least one array.")
    return {str(name): _seconds(f"latencies[{name!r}]", each) for name, each in value.items()}


def _seconds(name: str, value: object) -> np.ndarray:
    found = value if isinstance(value, np.ndarray | pd.Series | list | tuple) else None
    try:
        values = None if found is None else np.asarray(found)
    except ValueError:  # lists of different lengths
        values = None
    if values is None or values.ndim != 1 or (len(values) and values.dtype.kind not in "iuf"):
        raise ValueError(
            f"{name}={_told(value)} is not possible: it should be an array of seconds, such as run.latencies()."
        )
    wrong = np.flatnonzero(~(np.isfinite(values.astype(float)) & (values >= 0)))
    if len(wrong):
        raise ValueError(
            f"{name}[{wrong[0]}]={values[wrong[0]]} is not possible: it should be a finite number of seconds."
        )
    return values.astype(float)


def _axes(value: object) -> object:
    if value is not None and not hasattr(value, "set_xscale"):
        raise ValueError(f"ax={_told(value)} is not possible: it should be the Axes of a figure, or None.")
    return value


def _figures(frame: pd.DataFrame) -> pd.DataFrame:
    """Figures by load: numbers, and at least one in the last column, which the words are about."""
    for column in frame.columns:
        _check_numbers("figures", frame, column)
    if not pd.api.types.is_numeric_dtype(frame.index):
        raise ValueError(f"figures should have the busy share as its index; its first is {_told(frame.index[0])}.")
    if frame.iloc[:, -1].isna().all():
        raise ValueError(f"figures[{frame.columns[-1]!r}] has no value: it should have at least one.")
    return frame


def _theory(value: object) -> object:
    if value is not None and not (
        isinstance(value, pd.Series)
        and pd.api.types.is_numeric_dtype(value)
        and pd.api.types.is_numeric_dtype(value.index)
    ):
        raise ValueError(
            f"exact={_told(value)} is not possible: it should be a Series of numbers by busy share, or None."
        )
    return value


def _durations(frame: pd.DataFrame) -> pd.DataFrame:
    for column in frame.columns:
        _check_numbers("durations", frame, column)
        wrong = ~(np.isfinite(frame[column].to_numpy(dtype=float)) & (frame[column].to_numpy() >= 0))
        if wrong.any():
            found, row = frame[column].iloc[int(wrong.argmax())], frame.index[int(wrong.argmax())]
            raise ValueError(f"durations[{column!r}][{row!r}]={found} is not possible: it should be at least 0.")
    return frame


COMPARED = ("mean", "low", "high", "difference", "difference_low", "difference_high")
COUNTED = ("Invocations", "Invocation4XXErrors", "Invocation5XXErrors", "ModelLatency", "Utilization")

Title = Annotated[str, Field(strict=True)]
Timeline = Annotated[pd.DataFrame, _frame("timeline", "run.timeline()", numbers=COUNTED)]
Alarms = Annotated[pd.DataFrame, _frame("alarms", "run.events", numbers=["time_s"], others=["detail"], empty=True)]
Latencies = Annotated[Any, BeforeValidator(_latencies)]
Picture = Annotated[Any, BeforeValidator(_axes)]  # matplotlib is loaded only where something is drawn
Figures = Annotated[
    pd.DataFrame, AfterValidator(_figures), _frame("figures", "one row a busy share, one column a figure of latency")
]
Theory = Annotated[Any, BeforeValidator(_theory)]
Compared = Annotated[pd.DataFrame, _frame("frame", "the result of compare", numbers=COMPARED)]
Options = Annotated[pd.DataFrame, _frame("frame", "the result of sweep", empty=True)]
Averages = Annotated[pd.DataFrame, _frame("averages", "the result of welch", numbers=["mean", "smooth"])]
Invoice = Annotated[pd.DataFrame, _frame("invoice", "run.invoice", numbers=["subtotal"], others=["item"], empty=True)]
Durations = Annotated[
    pd.DataFrame, AfterValidator(_durations), _frame("durations", "one row a bar, one column a stage")
]
Steps = Annotated[pd.DataFrame, _frame("steps", "one row a step", numbers=["layer"], others=["type"], empty=True)]
Edges = Annotated[pd.DataFrame, _frame("edges", "one row an edge", others=["source", "target", "why"], empty=True)]
Ran = Annotated[
    pd.DataFrame,
    _frame("steps", "one row a step", numbers=["start_s", "end_s"], others=["cached", "critical"], empty=True),
]
Attempts = Annotated[
    pd.DataFrame,
    _frame("attempts", "one row an attempt", numbers=["begin_s", "end_s"], others=["step", "status"], empty=True),
]


# --- one run ---------------------------------------------------------------------------------------------------------


@checked
def run(
    timeline: Timeline,
    *,
    alarms: Alarms,
    latencies: Latencies | None,
    title: Title,
    end_s: NonNegative | None = None,
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
    """
    what = "Instances" if "Instances" in timeline else "Containers"
    if what not in timeline:
        raise ParameterError("run: timeline has no column 'Instances' or 'Containers', such as run.timeline() has.")
    with styled():
        heights = [2, 2, 2] + [2.4] * (latencies is not None)
        figure, axes = _figure(len(heights), 1, height=0.95 * sum(heights), height_ratios=heights)
        top, middle, third = axes[:3, 0]
        time, unit, ticks = _time_axis(timeline)
        lengths, whole = _periods(timeline, end_s)
        figure.suptitle(title, x=0.01, ha="left", fontweight="bold")
        rates = (timeline["Invocations"] / lengths)[whole]
        errors = (timeline[["Invocation4XXErrors", "Invocation5XXErrors"]].sum(axis=1) / lengths)[whole]
        top.plot(time[whole], rates, color=BLUE, linewidth=0.9)
        top.set(ylabel="requests/s", title="Traffic")
        if errors.any():
            top.fill_between(time[whole], errors, color=RED, alpha=0.6, step="post", linewidth=0)
            top.set_title("Traffic (line), and requests that got an error (area)")
        middle.plot(time, timeline["ModelLatency"], color=RED, linewidth=0.9)
        middle.set(ylabel="mean [s]", title="Latency of the requests answered in each minute")
        _busy(third, time, timeline, what)
        third.set_xlabel(f"time [{unit}]")
        if len(alarms):
            _alarms(third, alarms, time[-1] / timeline.index[-1] if len(timeline) > 1 else 1.0)
        for axis in (top, middle, third):
            axis.set(xticks=ticks, xlim=(ticks[0], ticks[-1]), ylim=(0, None))
        if len(alarms):  # their signs stand above the lines
            third.set_ylim(top=1.25 * timeline[timeline.columns.intersection([what, "DesiredInstances"])].max().max())
        top.tick_params(labelbottom=False)
        middle.tick_params(labelbottom=False)
        if latencies is not None:
            tail(latencies, ax=axes[3, 0])
    _show()
    told = timeline[whole]
    return Words(
        f"{title}. Traffic {rates.min():.3g} to {rates.max():.3g} requests/s, "
        f"{what.lower()} {told[what].min():.3g} to {told[what].max():.3g}, "
        f"workers busy {100 * told['Utilization'].mean():.3g} % of the time."
        + (f" Alarms changed state {len(alarms)} times." if len(alarms) else "")
    )


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
        on = "→ ALARM" in detail
        marker = "v" if "Low" in detail else "^"
        ax.plot(
            [when * scale],
            [0.96],
            marker=marker,
            color=RED,
            markerfacecolor=RED if on else "white",
            markersize=7,
            linestyle="none",
            transform=ax.get_xaxis_transform(),
            clip_on=False,
            zorder=5,
        )
    ax.set_xlabel(f"{ax.get_xlabel()}      ▲ ▼ alarm high, low: on    △ ▽ off")


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
            ax = _figure(1, 1, height=3.6)[1][0, 0]
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
        _show()
    return Words(" ".join(sentences))


def _span(many: Iterable[np.ndarray]) -> tuple[float, float]:
    """From what nearly all requests take at least, to the slowest [s]; both greater than 0."""
    found = [values[values > 0] for values in many]
    found = [values for values in found if len(values)]
    if not found:
        return 0.1, 1.0
    return min(float(np.quantile(values, 0.02)) for values in found), max(float(values.max()) for values in found)


def _one_tail(ax: "Axes", name: str, values: np.ndarray, k: int) -> str:
    color = _color(k)
    if not len(values):
        return f"{name or 'Nothing'} was answered."
    # 400 points are as many as the eye can tell; the last one is the slowest request
    shares = np.unique(np.round(np.geomspace(1, 1 / len(values), 400), 12))[::-1]
    at = np.quantile(values, np.clip(1 - shares, 0, 1))
    ax.plot(at, shares, color=color, linestyle=_line(k), label=name)
    p50, p99 = np.quantile(values, [0.5, 0.99])
    for share, x, label in ((0.5, p50, "p50 "), (0.01, p99, "p99 ")):
        ax.plot([x], [share], "o", color=color, ms=5)
        if not name:  # the legend tells several apart, and their labels would overlap
            ax.annotate(f"{label}{x:.3g} s", (x, share), textcoords="offset points", xytext=(6, 4), fontsize=9)
    subject = f"{name}: half" if name else "Half"
    return f"{subject} are answered within {p50:.3g} s, 99 in 100 within {p99:.3g} s."


# --- many runs -------------------------------------------------------------------------------------------------------


@checked
def against_load(figures: Figures, *, title: Title, limit: Positive | None = None, exact: Theory = None) -> Words:
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
        for k, (name, values) in enumerate(figures.items()):
            color = (SKY, BLUE, RED)[k] if len(figures.columns) <= 3 else _color(k)
            ax.plot(busy, values, marker="o", linestyle=_line(k), color=color, ms=4, clip_on=False)
            _label(ax, str(name), busy[-1], float(values.iloc[-1]), color)
        if exact is not None:
            ax.plot(100 * exact.index.to_numpy(dtype=float), exact, "--", color=BLACK, linewidth=1.1, label=exact.name)
            ax.legend(loc="upper left")
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
    worst = figures.iloc[:, -1].dropna()
    first, last = float(worst.iloc[0]), float(worst.iloc[-1])
    sentence = (
        f"{worst.name} is {first:.3g} s at {100 * worst.index[0]:.3g} % busy and {last:.3g} s at "
        f"{100 * worst.index[-1]:.3g} %" + (f": {last / first:.3g} times as long." if first else ".")
    )
    if limit is None:
        return sentence
    kept = worst.index[worst.to_numpy() <= limit]
    if not len(kept):
        return f"{sentence} It never keeps {limit:g} s."
    return f"{sentence} It keeps {limit:g} s up to {100 * kept.max():.3g} % busy."


# --- ideas -----------------------------------------------------------------------------------------------------------


@checked
def cycle(stages: Mapping[str, str], *, now: Sequence[str], title: Title) -> Words:
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
    if not stages:
        raise ParameterError("cycle: stages={} is not possible: it should have at least one stage.")
    for name in now:
        _check_known("cycle", "stage", name, stages)
    with styled():
        ax = _figure(1, 1, height=3.0)[1][0, 0]
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
        ax.set(xlim=(-4.3, 4.3), ylim=(-1.6, 1.6), title=title)
        ax.axis("off")
    _show()
    return Words(f"{title}: {' → '.join(stages)} → {next(iter(stages))} again.")


# --- experiments -----------------------------------------------------------------------------------------------------

FIGURES = {
    "mean_s": ("mean latency", "s"),
    "p50_s": ("median latency", "s"),
    "p95_s": ("p95 latency", "s"),
    "p99_s": ("p99 latency", "s"),
    "usd": ("bill", "dollars"),
    "usd_per_1000": ("cost of 1,000 answers", "dollars"),
    "error_rate": ("error rate", "share"),
    "cold_start_rate": ("cold-start rate", "share"),
    "utilization": ("utilization", "share"),
}


def _figure_and_unit(figure: str) -> tuple[str, str]:
    return FIGURES.get(figure, (figure.removesuffix("_s"), "s" if figure.endswith("_s") else "count"))


def _check_known(plot: str, what: str, name: str, known: Iterable[Any]) -> None:
    if name not in known:
        raise ParameterError(f"{plot}: there is no {what} {name!r}; {nearest(str(name), map(str, known))}")


@checked
def comparison(frame: Compared, *, figure: Text = "p95_s", title: Title = "") -> Words:
    """One figure of several deployments with its interval, and their differences from the first.

    Parameters
    ----------
    frame : DataFrame
        Index (figure, deployment); columns mean low high difference difference_low difference_high.
    figure : str
        Which figure.
    title : str
        The finding; by default, whose figure is lowest.
    """
    if list(frame.index.names) != ["figure", "deployment"]:
        raise ParameterError(
            f"comparison: frame has the index {', '.join(map(str, frame.index.names))}: "
            "it should be figure, deployment, as compare gives it."
        )
    known = frame.index.get_level_values("figure")
    _check_known("comparison", "figure", figure, known.unique())
    rows = frame[known == figure].droplevel("figure")
    name, unit = _figure_and_unit(figure)
    first = str(rows.index[0])
    lowest = str(rows["mean"].idxmin()) if rows["mean"].notna().any() else first
    row_of = {str(name): row for name, row in rows.iterrows()}
    found = f"{lowest} has the lowest {name}: {_estimate(row_of[lowest], unit)}"
    if rows["mean"].isna().all():
        found = f"None has a {name}"
    several = len(rows) > 1
    with styled():
        axes = _figure(1, 1 + several, height=1.4 + 0.45 * len(rows), sharey=True)[1][0]
        axes[0].figure.suptitle(title or found, x=0.01, ha="left", fontweight="bold")
        _dots(axes[0], rows, ("mean", "low", "high"))
        axes[0].set(xlabel=f"{name} [{unit}]", yticks=range(len(rows)), yticklabels=list(rows.index))
        axes[0].set_ylim(len(rows) - 0.5, -0.5)
        if several:
            _dots(axes[1], rows, ("difference", "difference_low", "difference_high"))
            axes[1].axvline(0.0, color=BLACK, linewidth=1.1)
            axes[1].set(xlabel=f"difference from {first} [{unit}]")
    _show()
    others = [f"{other} − {first}: {_difference(row, unit)}." for other, row in row_of.items() if other != first]
    return Words(" ".join([f"{found}.", *others]))


def _dots(ax: "Axes", rows: pd.DataFrame, columns: tuple[str, str, str]) -> None:
    """A dot with whiskers for each row, the first row on top."""
    middle, low, high = (rows[column].to_numpy(dtype=float) for column in columns)
    colors = [_color(k) for k in range(len(rows))]
    ax.hlines(np.arange(len(rows)), low, high, colors=colors, linewidth=2.5)
    ax.scatter(middle, np.arange(len(rows)), c=colors, zorder=3)


def _estimate(row: pd.Series, unit: str) -> str:
    if np.isnan(row["low"]):
        return f"{row['mean']:.3g} {unit}, from one run, so with no interval"
    return f"{row['mean']:.3g} {unit} ({row['low']:.3g} to {row['high']:.3g})"


def _difference(row: pd.Series, unit: str) -> str:
    middle, low, high = (float(row[column]) for column in ("difference", "difference_low", "difference_high"))
    if np.isnan(low):
        return f"{middle:+.3g} {unit}, from one run, so with no interval"
    chance = ", which may be chance" if low <= 0 <= high else ""
    return f"{middle:+.3g} {unit} ({low:+.3g} to {high:+.3g}){chance}"


@checked
def frontier(
    frame: Options,
    *,
    cost: Text = "usd_per_1000",
    latency: Text = "p95_s",
    limit: Positive | None = None,
    title: Title = "",
) -> Words:
    """Cost against latency: which options are worth their price, for nothing else is both cheaper and faster.

    Costs are told apart to three significant digits, as they are printed.

    Parameters
    ----------
    frame : DataFrame
        One row an option, named by the index; the two columns, and their _low and _high where known.
    cost, latency : str
        Columns, both better when lower.
    limit : float or None
        What latency has to keep.
    title : str
        The finding; by default, how many are worth their price.
    """
    for column in (cost, latency):
        _check_known("frontier", "column", column, frame.columns)
        _check_numbers("frontier: frame", frame, column)
    known = frame[frame[[cost, latency]].notna().all(axis="columns")]
    price = np.array([float(f"{usd:.3g}") for usd in known[cost]])
    known = known.iloc[np.lexsort((known[latency], price))]
    best = known[latency].cummin()
    worth = (known[latency] == best) & (best != best.shift())
    (cost_name, cost_unit), (latency_name, latency_unit) = _figure_and_unit(cost), _figure_and_unit(latency)
    found = f"{worth.sum()} of {len(frame)} options are worth their price: nothing is both cheaper and faster"
    with styled():
        ax = _figure(1, 1, height=4.2)[1][0, 0]
        ax.step(known.loc[worth, cost], known.loc[worth, latency], where="post", color=BLUE, linewidth=1.1)
        for (name, row), chosen in zip(known.iterrows(), worth, strict=True):
            color = BLUE if chosen else "#888888"
            _cross(ax, row, cost, latency, color)
            ax.annotate(
                str(name), (row[cost], row[latency]), textcoords="offset points", xytext=(6, 5), color=color, fontsize=9
            )
        if limit is not None:
            ax.axhline(limit, color=GREEN, linewidth=1.1)
            ax.annotate(
                f"limit {limit:g} {latency_unit}", (0, limit), xycoords=("axes fraction", "data"),
                textcoords="offset points", xytext=(4, 4), color=GREEN,
            )  # fmt: skip
        ax.set(xlabel=f"{cost_name} [{cost_unit}]", ylabel=f"{latency_name} [{latency_unit}]", title=title or found)
        ax.set_xlim(left=0)
        ax.set_ylim(bottom=0)
    _show()
    row_of = known.loc[worth].iterrows()
    if not len(known):
        return Words(f"{found}. None has both figures.")
    told = [f"{name} ({row[cost]:.3g} {cost_unit}, {row[latency]:.3g} {latency_unit})" for name, row in row_of]
    return Words(f"{found}. From cheap to fast: {'; '.join(told)}.{_cheapest(known, latency, limit, latency_unit)}")


def _cheapest(known: pd.DataFrame, latency: str, limit: float | None, unit: str) -> str:
    if limit is None:
        return ""
    kept = known.index[known[latency] <= limit]
    return f" Cheapest within {limit:g} {unit}: {kept[0]}." if len(kept) else f" None keeps {limit:g} {unit}."


def _cross(ax: "Axes", row: pd.Series, x: str, y: str, color: str) -> None:
    """A dot, with an arm for each interval that the row has."""
    ax.plot([row[x]], [row[y]], "o", color=color, ms=5)
    if f"{x}_low" in row.index:
        ax.hlines([row[y]], row[f"{x}_low"], row[f"{x}_high"], colors=color)
    if f"{y}_low" in row.index:
        ax.vlines([row[x]], row[f"{y}_low"], row[f"{y}_high"], colors=color)


@checked
def welch(averages: Averages, *, cut_h: NonNegative, label: Title, title: Title) -> Words:
    """A metric over time, averaged over runs, with its moving average: where does the beginning end?

    Parameters
    ----------
    averages : DataFrame
        Index time_h [h]; columns mean and smooth.
    cut_h : float
        What is to be left out [h].
    label : str
        The metric, with its unit.
    title : str
        The finding.
    """
    with styled():
        ax = _figure(1, 1, height=3.6)[1][0, 0]
        ax.plot(averages.index, averages["mean"], color=SKY, linewidth=1.0, label="mean of the runs")
        ax.plot(averages.index, averages["smooth"], color=BLUE, label="moving average")
        if cut_h > 0:
            ax.axvspan(0.0, cut_h, color=ORANGE, alpha=0.2)
            ax.axvline(cut_h, color=ORANGE)
        ax.set(xlabel="time [h]", ylabel=label, title=title, ylim=(0, None))
        ax.legend(loc="lower right")
    _show()
    before = averages.loc[averages.index < cut_h, "mean"].mean()
    after = averages.loc[averages.index >= cut_h, "mean"].mean()
    if not cut_h > 0:
        return Words(f"{title}. The mean {label} is {after:.3g}.")
    return Words(f"{title}. The mean {label} is {before:.3g} before the cut and {after:.3g} after it.")


# --- money -----------------------------------------------------------------------------------------------------------


@checked
def cost_breakdown(invoice: Invoice, *, at_most: Count = 8, title: Title = "") -> Words:
    """A bill from line to line: each begins where the one before ended, and the last one is what is to be paid.

    Parameters
    ----------
    invoice : DataFrame
        Columns item and subtotal [US dollars]; credits are negative.
    at_most : int
        The largest items that get a bar of their own; the others share one.
    title : str
        The finding; by default, the largest item's share.
    """
    by_item = invoice.groupby("item", sort=False)["subtotal"].sum()
    by_item = by_item[by_item != 0]
    large = by_item.abs().nlargest(at_most).index
    bars = by_item[by_item.index.isin(large)]
    rest = by_item.drop(bars.index)
    if len(rest):
        bars = pd.concat([bars, pd.Series({f"{len(rest)} others": rest.sum()})])
    total = float(invoice["subtotal"].sum())
    found = _largest_share(by_item, total)
    with styled():
        ax = _figure(1, 1, height=1.3 + 0.38 * (len(bars) + 1))[1][0, 0]
        ends = bars.to_numpy(dtype=float).cumsum()
        begins = ends - bars.to_numpy(dtype=float)
        colors = [*(GREEN if usd < 0 else BLUE for usd in bars), BLACK]
        spots = np.arange(len(bars) + 1)
        ax.barh(spots, [*bars, total], left=[*begins, 0.0], color=colors, height=0.6)
        for spot, at, usd in zip(spots, [*np.maximum(begins, ends), total], [*bars, total], strict=True):
            ax.annotate(f"{usd:,.4g}", (at, spot), textcoords="offset points", xytext=(4, 0), va="center", fontsize=9)
        ax.set(yticks=spots, yticklabels=[*bars.index, "to pay"], xlabel="US dollars", title=title or found)
        ax.invert_yaxis()
        ax.margins(x=0.12)
        ax.grid(visible=False, axis="y")
    _show()
    told = ", ".join(f"{item} {usd:,.4g}" for item, usd in bars.items())
    return Words(f"{found}: {told}." if len(bars) else f"{found}.")


def _largest_share(by_item: pd.Series, total: float) -> str:
    bill = f"the bill of {total:,.4g} dollars"
    if not len(by_item) or total <= 0:
        return f"{bill[0].upper()}{bill[1:]}"
    return f"{by_item.idxmax()}: {100 * by_item.max() / total:.3g} % of {bill}"


# --- stages ----------------------------------------------------------------------------------------------------------


@checked
def stages(durations: Durations, *, unit: Text, title: Title) -> Words:
    """What has to happen before something is done: one bar a row, its stages end to end.

    Parameters
    ----------
    durations : DataFrame
        Index: the bars, from the top.  Columns: the stages, in their order.
    unit : str
        Of the durations.
    title : str
        The finding.
    """
    with styled():
        ax = _figure(1, 1, height=1.6 + 0.42 * len(durations))[1][0, 0]
        spots, ends = np.arange(len(durations)), durations.cumsum(axis=1)
        for k, (name, length) in enumerate(durations.items()):
            hatch = HATCHES[k // len(CYCLE) % len(HATCHES)]
            ax.barh(spots, length, left=ends[name] - length, color=_color(k), hatch=hatch, height=0.6, label=str(name))
        totals = durations.sum(axis=1)
        for spot, total in zip(spots, totals, strict=True):
            ax.annotate(f"{total:.3g}", (total, spot), textcoords="offset points", xytext=(4, 0), va="center")
        ax.set(yticks=spots, yticklabels=list(durations.index), xlabel=f"time [{unit}]")
        ax.set_title(title, pad=24)
        ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=len(durations.columns), borderaxespad=0.2)
        ax.invert_yaxis()
        ax.margins(x=0.08)
        ax.grid(visible=False, axis="y")
    _show()
    told = ", ".join(f"{name} {total:.3g}" for name, total in totals.items())
    parts = ", ".join(f"{name} {mean:.3g}" for name, mean in durations.mean().items())
    return Words(f"{title}: {told} {unit}. On average: {parts} {unit}.")


# --- pipelines -------------------------------------------------------------------------------------------------------

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
        _check_known("dag", "why", why, _EDGES)
    for name in pd.unique(edges[["source", "target"]].to_numpy().ravel()):
        _check_known("dag", "step", name, steps.index)
    layers = int(steps["layer"].max()) + 1 if len(steps) else 0
    widest = int(steps["layer"].value_counts().max()) if len(steps) else 0
    with styled():
        if len(steps) > at_most:
            _layer_counts(steps, title)
        else:
            ax = _figure(1, 1, height=min(14.0, 0.9 + 0.62 * layers))[1][0, 0]
            spots = _spots(steps, edges)
            _arrows(ax, spots, edges)
            size = 9.0 if widest <= 4 else 7.5 if widest <= 6 else 6.0
            for name, (x, y) in spots.items():
                words = f"{_ends(name.rpartition('/')[2], round(800 / (size * widest)))}\n{steps['type'][name]}"
                style = {"boxstyle": "round,pad=0.35", "facecolor": "#EAF3FA", "edgecolor": BLUE, "linewidth": 0.9}
                ax.annotate(words, (x, y), ha="center", va="center", fontsize=size, bbox=style)
            ax.set(xlim=(-0.05, 1.05), ylim=(layers - 0.4, -0.6), title=title)
            ax.axis("off")
    _show()
    return Words(f"{title}. {layers} layers; at most {widest} steps side by side.")


def _spots(steps: pd.DataFrame, edges: pd.DataFrame) -> dict[str, tuple[float, float]]:
    """Where each step stands: side by side within its layer, near the steps it follows."""
    before: dict[str, list[str]] = {}
    for source, target in zip(edges["source"], edges["target"], strict=True):
        before.setdefault(target, []).append(source)
    spots: dict[str, tuple[float, float]] = {}
    for layer, group in steps.groupby("layer"):
        wish = {name: [spots[each][0] for each in before.get(str(name), []) if each in spots] for name in group.index}
        order = sorted(group.index, key=lambda name: np.mean(wish[name]) if wish[name] else 0.5)
        for place, name in enumerate(order):
            spots[str(name)] = ((place + 0.5) / len(order), float(str(layer)))
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
        ax.legend(loc="upper right", fontsize=8)


def _ends(name: str, room: int) -> str:
    """*name*, or its beginning and its end where it is too long."""
    return name if len(name) <= room else f"{name[: room // 2]}…{name[-(room // 2) :]}"


def _layer_counts(steps: pd.DataFrame, title: str) -> None:
    ax = _figure(1, 1, height=3.8)[1][0, 0]
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
        ax = _figure(1, 1, height=3.8 if len(steps) > at_most else 1.4 + 0.28 * len(steps))[1][0, 0]
        if len(steps) > at_most:
            _running(ax, steps, size)
        else:
            _bars(ax, steps, attempts, size)
        ax.set(xlabel=f"time since the start [{unit}]", title=title, xlim=(0, None))
    _show()
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
    ax.set(yticks=range(len(steps)), yticklabels=[_ends(str(name), 40) for name in steps.index])
    ax.set_ylim(len(steps) - 0.4, -0.6)
    ax.grid(visible=False, axis="y")
    if labelled:
        ax.legend(loc="upper right", fontsize=8)


def _running(ax: "Axes", steps: pd.DataFrame, size: float) -> None:
    """How many steps run at each moment."""
    moments = np.concatenate([steps["start_s"], steps["end_s"]]) / size
    change = np.repeat([1, -1], len(steps))
    order = np.argsort(moments, kind="stable")
    ax.step(moments[order], np.cumsum(change[order]), where="post", color=BLUE)
    ax.set(ylabel="steps at the same time", ylim=(0, None))
