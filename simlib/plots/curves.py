"""One quantity over another, several lines in one picture: what a monitor saw day by day, what a test does with n."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import pandas as pd

from simlib.parameters import Flag, ParameterError, Real, Text, checked
from simlib.plots.checks import Title, check_numbers, frame_like
from simlib.plots.style import LINES, Words, color_of, new_figure, show, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Lines = Annotated[pd.DataFrame, frame_like("frame", "one row a day and one column a line")]


@checked
def lines(
    frame: Lines,
    *,
    x: Text,
    y: Text,
    title: Title = "",
    limit: Real | None = None,
    marks: Mapping[Text, Real] | None = None,
    log_x: Flag = False,
) -> Words:
    """One line for each column of *frame*, over its index; missing values leave gaps.

    Parameters
    ----------
    frame : DataFrame
        Numbers; the index is what is on the x axis, in increasing order.
    x, y : str
        Words under and beside the axes, with units.
    limit : float or None
        A dashed line across: a threshold.
    marks : dict of name to a value of x, or None
        Vertical lines with names: when something changed.
    log_x : bool
        Whether x is on a logarithmic scale.
    """
    for column in frame.columns:
        check_numbers("frame", frame, column)
    at = np.asarray(frame.index)
    if at.dtype.kind not in "iuf" or (np.diff(at) < 0).any() or (log_x and (at <= 0).any()):
        wanted = "numbers above 0" if log_x else "numbers"
        raise ParameterError(f"lines: the index of frame should be {wanted} in increasing order.")
    with styled():
        _, axes = new_figure(1, 1, height=3.6)
        ax: Axes = axes[0, 0]
        for k, name in enumerate(frame.columns):
            marker = "o" if len(frame) <= 15 else None
            drawn = LINES[k % len(LINES)]  # lines that lie upon one another can be told apart
            style: dict[str, Any] = {"color": color_of(k), "linestyle": drawn, "marker": marker, "markersize": 4}
            ax.plot(at, frame[name].to_numpy(dtype=float), label=str(name), **style)
        if limit is not None:
            ax.axhline(limit, color="black", linewidth=1, linestyle="--", label=f"threshold {limit:g}")
        if marks:  # room for their names above the lines
            low, high = ax.get_ylim()
            ax.set_ylim(low, high + 0.15 * (high - low))
        for k, (name, place) in enumerate((marks or {}).items()):
            ax.axvline(place, color="black", linewidth=1, linestyle=":")
            height = 0.99 - 0.08 * (k % 2)
            ground = {"facecolor": "white", "alpha": 0.85, "edgecolor": "none", "pad": 1.5}
            spot: dict[str, Any] = {"transform": ax.get_xaxis_transform(), "va": "top", "fontsize": 9}
            ax.text(place, height, f" {name}", bbox=ground, **spot)
        if log_x:
            ax.set_xscale("log")
        elif at.dtype.kind in "iu":
            from matplotlib.ticker import MaxNLocator

            ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.set(xlabel=x, ylabel=y, title=title)
        if frame.shape[1] + (limit is not None) > 1:
            ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
        show()
    return Words(" ".join(_told(frame[name], x, limit) for name in frame.columns))


def _told(line: pd.Series, x: str, limit: float | None) -> str:
    """A line in words: where it begins and ends, its extremes, and how often it is above the limit."""
    there = line.dropna()
    if not len(there):
        return f"{line.name}: nothing to draw."
    of = there.to_numpy(dtype=float)
    first, last = there.index[0], there.index[-1]
    said = f"{line.name}: {_short(of[0])} at {x} {_short(first)}, {_short(of[-1])} at {_short(last)}"
    low, high = of.min(), of.max()
    if low < min(of[0], of[-1]) or high > max(of[0], of[-1]):
        said += f", between {_short(low)} and {_short(high)}"
    if limit is not None:
        said += f"; above {_short(limit)} in {int((of > limit).sum())} of {len(of)}"
    return said + "."


def _short(value: Any) -> str:
    number = float(value)
    return f"{number:,.0f}" if math.isfinite(number) and abs(number) >= 10_000 else f"{number:.3g}"
