"""Pictures of many runs: a figure against load, several deployments beside each other, and the end of the warm-up."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import pandas as pd
from pydantic import AfterValidator, BeforeValidator

from simlib.parameters import NonNegative, Positive, Text, checked, shortly
from simlib.plots.checks import Title, check_known, check_numbers, frame_like
from simlib.plots.style import (
    BLACK,
    BLUE,
    GREEN,
    ORANGE,
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
    from matplotlib.text import Annotation
    from matplotlib.transforms import Bbox

COMPARED = ("mean", "low", "high", "difference", "difference_low", "difference_high")
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

BESIDE: Any = {"textcoords": "offset points", "xytext": (6, 5)}
PLACES = [
    (x, y) for y in (5, -12, 17, -24, 29, -36, 41, -48, -60, -72, -84) for x in (6, -6, 0)
]  # of a label beside its dot [points]


def _compared(frame: pd.DataFrame) -> pd.DataFrame:
    if list(frame.index.names) != ["figure", "deployment"]:
        names = ", ".join(map(str, frame.index.names))
        raise ValueError(f"frame has the index {names}: it should be figure, deployment, as compare gives it.")
    return frame


def _figures(frame: pd.DataFrame) -> pd.DataFrame:
    """Figures by load: numbers, and at least one in the last column, which the words are about."""
    for column in frame.columns:
        check_numbers("figures", frame, column)
    if not pd.api.types.is_numeric_dtype(frame.index):
        raise ValueError(f"figures should have the busy share as its index; its first is {shortly(frame.index[0])}.")
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
            f"exact={shortly(value)} is not possible: it should be a Series of numbers by busy share, or None."
        )
    return value


Figures = Annotated[
    pd.DataFrame,
    AfterValidator(_figures),
    frame_like("figures", "one row a busy share, one column a figure of latency"),
]
Theory = Annotated[Any, BeforeValidator(_theory)]
Compared = Annotated[
    pd.DataFrame, AfterValidator(_compared), frame_like("frame", "the result of compare", numbers=COMPARED)
]
Options = Annotated[pd.DataFrame, frame_like("frame", "the result of sweep", empty=True)]
Averages = Annotated[pd.DataFrame, frame_like("averages", "the result of welch", numbers=["mean", "smooth"])]


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
        ax = new_figure(1, 1, height=4.0)[1][0, 0]
        busy = 100 * figures.index.to_numpy(dtype=float)
        for k, (name, values) in enumerate(figures.items()):
            color = (SKY, BLUE, RED)[k] if len(figures.columns) <= 3 else color_of(k)
            ax.plot(busy, values, marker="o", linestyle=line_of(k), color=color, ms=4, clip_on=False)
            _label(ax, str(name), busy[-1], float(values.iloc[-1]), color)
        if exact is not None:
            ax.plot(100 * exact.index.to_numpy(dtype=float), exact, "--", color=BLACK, linewidth=1.1, label=exact.name)
            ax.legend(loc="upper left")
        if limit is not None:
            ax.axhline(limit, color=GREEN, linewidth=1.1)
            ax.annotate(f"limit {limit:g} s", (busy[0], limit), textcoords="offset points", xytext=(0, 4), color=GREEN)
        ax.set(xlabel="busy share of the workers [%]", ylabel="latency [s]", title=title, ylim=(0, None))
    show()
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


def _figure_and_unit(figure: str) -> tuple[str, str]:
    return FIGURES.get(figure, (figure.removesuffix("_s"), "s" if figure.endswith("_s") else "count"))


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
    known = frame.index.get_level_values("figure")
    check_known("comparison", "figure", figure, known.unique())
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
        axes = new_figure(1, 1 + several, height=1.4 + 0.45 * len(rows), sharey=True)[1][0]
        axes[0].figure.suptitle(title or found, x=0.01, ha="left", fontweight="bold")
        _dots(axes[0], rows, ("mean", "low", "high"))
        axes[0].set(xlabel=f"{name} [{unit}]", yticks=range(len(rows)), yticklabels=list(rows.index))
        axes[0].set_ylim(len(rows) - 0.5, -0.5)
        if several:
            _dots(axes[1], rows, ("difference", "difference_low", "difference_high"))
            axes[1].axvline(0.0, color=BLACK, linewidth=1.1)
            axes[1].set(xlabel=f"difference from {first} [{unit}]")
    show()
    others = [f"{other} − {first}: {_difference(row, unit)}." for other, row in row_of.items() if other != first]
    return Words(" ".join([f"{found}.", *others]))


def _dots(ax: "Axes", rows: pd.DataFrame, columns: tuple[str, str, str]) -> None:
    """A dot with whiskers for each row, the first row on top."""
    middle, low, high = (rows[column].to_numpy(dtype=float) for column in columns)
    colors = [color_of(k) for k in range(len(rows))]
    ax.hlines(np.arange(len(rows)), low, high, colors=colors, linewidth=2.5)
    ax.scatter(middle, np.arange(len(rows)), c=colors, zorder=3)


def _estimate(row: pd.Series, unit: str) -> str:
    if np.isnan(row["low"]):
        return f"{row['mean']:.3g} {unit}, from one run, so with no interval"
    if row["low"] == row["high"]:  # no certainty: an error that no run met would also be 0 (0 to 0)
        return f"{row['mean']:.3g} {unit} in every run"
    return f"{row['mean']:.3g} {unit} ({row['low']:.3g} to {row['high']:.3g})"


def _difference(row: pd.Series, unit: str) -> str:
    middle, low, high = (float(row[column]) for column in ("difference", "difference_low", "difference_high"))
    if np.isnan(low):
        return f"{middle:+.3g} {unit}, from one run, so with no interval"
    if low == high:
        return f"{middle:+.3g} {unit} in every run" if middle else "the same in every run"
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
        check_known("frontier", "column", column, frame.columns)
        check_numbers("frontier: frame", frame, column)
    known = frame[frame[[cost, latency]].notna().all(axis="columns")]
    price = np.array([float(f"{usd:.3g}") for usd in known[cost]])
    known = known.iloc[np.lexsort((known[latency], price))]
    best = known[latency].cummin()
    worth = (known[latency] == best) & (best != best.shift())
    (cost_name, cost_unit), (latency_name, latency_unit) = _figure_and_unit(cost), _figure_and_unit(latency)
    are = "is worth its price" if worth.sum() == 1 else "are worth their price"
    found = f"{worth.sum()} of {len(frame)} options {are}: nothing is both cheaper and faster"
    with styled():
        ax = new_figure(1, 1, height=4.2)[1][0, 0]
        labels: list[Annotation] = []
        ax.step(known.loc[worth, cost], known.loc[worth, latency], where="post", color=BLUE, linewidth=1.1)
        for (name, row), chosen in zip(known.iterrows(), worth, strict=True):
            color = BLUE if chosen else "#888888"
            _cross(ax, row, cost, latency, color)
            labels.append(ax.annotate(str(name), (row[cost], row[latency]), **BESIDE, color=color, fontsize=9))
        if limit is not None:
            ax.axhline(limit, color=GREEN, linewidth=1.1)
            ax.annotate(
                f"limit {limit:g} {latency_unit}", (0, limit), xycoords=("axes fraction", "data"),
                textcoords="offset points", xytext=(4, 4), color=GREEN,
            )  # fmt: skip
        ax.set(xlabel=f"{cost_name} [{cost_unit}]", ylabel=f"{latency_name} [{latency_unit}]", title=title or found)
        ax.set_xlim(left=0)
        ax.set_ylim(0, 1.08 * ax.get_ylim()[1])
        _part(ax, labels)
    show()
    row_of = known.loc[worth].iterrows()
    if not len(known):
        return Words(f"{found}. None has both figures.")
    told = [f"{name} ({row[cost]:.3g} {cost_unit}, {row[latency]:.3g} {latency_unit})" for name, row in row_of]
    return Words(f"{found}. From cheap to fast: {'; '.join(told)}.{_cheapest(known, latency, limit, latency_unit)}")


def _part(ax: "Axes", labels: "Sequence[Annotation]") -> None:
    """Each label at the first place beside its dot where it covers neither a dot nor a label before it."""
    if not labels:
        return
    from matplotlib.transforms import Bbox

    ax.figure.draw_without_rendering()  # type: ignore[union-attr]  # or nobody would know where the axes lie
    dots = ax.transData.transform([label.xy for label in labels])
    taken = [Bbox.from_bounds(x - 4, y - 4, 8, 8) for x, y in dots]
    inside = ax.get_window_extent()
    for label in labels:
        free = (place for place in PLACES if _fits(label, place, inside, taken))
        place = next(free, PLACES[0])
        _move(label, place)
        taken.append(label.get_window_extent())
        if place != PLACES[0]:  # a line tells whose it is
            line = {"arrowstyle": "-", "linewidth": 0.6, "color": label.get_color(), "shrinkA": 0, "shrinkB": 3}
            ax.annotate("", label.xy, xytext=place, textcoords="offset points", arrowprops=line)


def _move(label: "Annotation", place: tuple[float, float]) -> None:
    label.set_position(place)
    label.set_horizontalalignment("left" if place[0] > 0 else "right" if place[0] < 0 else "center")


def _fits(label: "Annotation", place: tuple[float, float], inside: "Bbox", taken: "Sequence[Bbox]") -> bool:
    _move(label, place)
    box = label.get_window_extent()
    within = inside.x0 <= box.x0 and box.x1 <= inside.x1 and inside.y0 <= box.y0 and box.y1 <= inside.y1
    return within and not any(box.overlaps(other) for other in taken)


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
        ax = new_figure(1, 1, height=3.6)[1][0, 0]
        ax.plot(averages.index, averages["mean"], color=SKY, linewidth=1.0, label="mean of the runs")
        ax.plot(averages.index, averages["smooth"], color=BLUE, label="moving average")
        if cut_h > 0:
            ax.axvspan(0.0, cut_h, color=ORANGE, alpha=0.2)
            ax.axvline(cut_h, color=ORANGE)
        ax.set(xlabel="time [h]", ylabel=label, title=title, ylim=(0, None))
        ax.legend(loc="lower right")
    show()
    before = averages.loc[averages.index < cut_h, "mean"].mean()
    after = averages.loc[averages.index >= cut_h, "mean"].mean()
    if not cut_h > 0:
        return Words(f"{title}. The mean {label} is {after:.3g}.")
    return Words(f"{title}. The mean {label} is {before:.3g} before the cut and {after:.3g} after it.")
