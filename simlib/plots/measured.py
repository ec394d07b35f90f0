"""What was measured, beside the band in which it was expected."""

from typing import TYPE_CHECKING, Annotated

import pandas as pd
from pydantic import AfterValidator

from simlib.parameters import Text, checked
from simlib.plots.checks import Title, check_numbers, frame_like
from simlib.plots.style import BLACK, BLUE, RED, SKY, Words, new_figure, show, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = ("low", "middle", "high", "measured")


def _in_order(frame: pd.DataFrame) -> pd.DataFrame:
    check_numbers("frame", frame.assign(load=frame.index), "load")
    if (frame["low"] > frame["high"]).any():
        raise ValueError("frame has a low above its high: low should be the lower end of each band.")
    return frame


Bands = Annotated[
    pd.DataFrame, AfterValidator(_in_order), frame_like("frame", "one row a busy share", numbers=list(COLUMNS))
]


@checked
def measured(frame: Bands, *, what: Text = "p95 latency", title: Title = "") -> Words:
    """At each load the forecast as a band, and what was measured as a dot: in the band, or a cross beside it.

    Parameters
    ----------
    frame : DataFrame
        Index: busy share of the workers, 0 to 1.  Columns low, middle, high (the forecast) and measured [s].
    what : str
        What was measured: the words beside the axis.
    title : str
        The finding.
    """
    inside = (frame["low"] <= frame["measured"]) & (frame["measured"] <= frame["high"])
    with styled():
        ax: Axes = new_figure(1, 1, height=3.6)[1][0, 0]
        busy = 100 * frame.index.to_numpy(dtype=float)
        heights = 1000 * (frame["high"] - frame["low"])
        ax.bar(busy, heights, bottom=1000 * frame["low"], width=4, color=SKY, alpha=0.5, label="forecast, 95 %")
        ax.hlines(1000 * frame["middle"], busy - 2, busy + 2, color=BLUE, label="its middle")
        for marker, color, which, name in (
            ("o", BLACK, inside, "measured, inside"),
            ("X", RED, ~inside, "measured, outside"),
        ):
            if which.any():
                ax.plot(busy[which], 1000 * frame["measured"][which], marker, color=color, ms=7, label=name)
        ax.set(xlabel="busy share of the workers [%]", ylabel=f"{what} [ms]", title=title, ylim=(0, None))
        ax.margins(x=0.15)
        ax.legend(loc="upper left")
        show()
    return Words(" ".join(_told(load, row) for load, row in frame.iterrows()))


def _told(load: object, row: pd.Series) -> str:
    where = "inside" if row["low"] <= row["measured"] <= row["high"] else "outside"
    low, high, found = (f"{1000 * row[name]:.3g}" for name in ("low", "high", "measured"))
    return f"At {100 * float(str(load)):.3g} % busy {found} ms, {where} {low} to {high} ms."
