"""Axes that draw quickly: plain numbers on logarithmic scales, direct labels instead of legends."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plain_log(ax: "Axes", which: str) -> None:
    """Make axis "x" or "y" logarithmic, labelled 0.01, 0.1, 1: powers of ten take longer to set than all the rest."""
    from matplotlib.ticker import FuncFormatter, NullLocator

    axis = ax.xaxis if which == "x" else ax.yaxis
    (ax.set_xscale if which == "x" else ax.set_yscale)("log")
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.15g}"))


def label(ax: "Axes", words: str, x: float, y: float, color: str, *, above: bool = True) -> None:
    """A direct label just above, or just below, the point (x, y)."""
    ax.annotate(words, (x, y), (5, 5 if above else -13), textcoords="offset points", color=color, fontsize=9)
