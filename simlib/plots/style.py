"""One style for the whole course, and the sentences that a picture returns.

Colours that colour-blind readers can tell apart (Okabe and Ito 2008), the finding as title, axes with units, lines
labelled where they end.
"""

import io
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
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


def new_figure(rows: int, columns: int, *, height: float, **more: Any) -> "tuple[Figure, np.ndarray]":
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(rows, columns, figsize=(9.0, height), squeeze=False, **more)
    return figure, axes


def color_of(k: int) -> str:
    return CYCLE[k % len(CYCLE)]


def line_of(k: int) -> str:
    return LINES[k // len(CYCLE) % len(LINES)]


def show() -> None:
    """In a notebook, show the picture now, so that the words about it stand below and not above.

    Drawn here, once: IPython draws it twice, to trim margins that the layout has trimmed already.
    """
    import matplotlib as mpl

    if "inline" not in mpl.get_backend().lower():
        return
    import matplotlib.pyplot as plt
    from IPython.display import display

    figure = plt.gcf()
    display({"image/png": _png(figure), "text/plain": repr(figure)}, raw=True)
    plt.close(figure)


def _png(figure: "Figure") -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image  # matplotlib's own way to a PNG

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    png = io.BytesIO()
    Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB").save(png, "png", compress_level=1)
    return png.getvalue()
