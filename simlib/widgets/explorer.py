"""What an explorer is: a question with knobs, the pure function that answers it, and the picture of the answer.

The function is the whole computation and nothing but library calls, so its source *is* the code that reproduces what
is seen: `Explorer.code` exports it with the present values.  The face with its sliders is `simlib.widgets.face`.
"""

import inspect
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from simlib.intervals import interval
from simlib.parameters import ParameterError, nearest, shortly
from simlib.plots.style import Words, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

IMPORTS = """\
from typing import Any

import numpy as np
import pandas as pd

import simlib as sl
from simlib import experiments, fairness, lastmile, mlops, monitoring, platforms, pricing, serving, workload
from simlib.platforms import sizing
from simlib.platforms.choice import NAMES
from simlib.serving import limits
from simlib.widgets import Answer, summarised, value
from simlib.widgets.month import kept_runs
"""
_SIZE_INCHES, _DPI = (9.0, 3.5), 100


@dataclass(frozen=True)
class Knob:
    """What the learner may turn.

    Parameters
    ----------
    name : str
        The parameter of the answering function.
    label : str
        In words, with the unit.
    options : sequence
        The values it may take, in order; words make a list to choose from, numbers a slider.
    start : one of the options
    """

    name: str
    label: str
    options: Sequence[Any]
    start: Any

    def check(self, explorer: str, value: Any) -> Any:
        if value not in self.options:
            known = ", ".join(map(str, self.options))
            raise ParameterError(
                f"{explorer}: {self.name}={shortly(value)} is not possible: it should be one of {known}."
            )
        return value


@dataclass(frozen=True)
class Answer:
    """What came out.

    Parameters
    ----------
    numbers : DataFrame
        Index figure, with its unit; columns mean low high: the estimate and its 95 % interval.
    finding : str
        One sentence: the title of the picture.
    drawn : any
        What the picture shows and the numbers do not hold: curves, frames.
    """

    numbers: pd.DataFrame
    finding: str
    drawn: Any = field(default=None, repr=False)


def summarised(values: Mapping[str, Any]) -> pd.DataFrame:
    """Mean and 95 % interval of each figure's values, one value a replication: a frame such as `Answer.numbers`."""
    found = {name: interval(list(each)) for name, each in values.items()}
    rows = {name: (each.mean, each.low, each.high) for name, each in found.items()}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["mean", "low", "high"]).rename_axis("figure")


def value(numbers: pd.DataFrame, figure: str, which: str = "mean") -> float:
    """One cell of `Answer.numbers`."""
    found: Any = numbers.loc[figure, which]
    return float(found)


@dataclass(frozen=True)
class Explorer:
    """A question that answers at once while its knobs are turned.

    In a notebook, write its name to see it; ``explorer.show(rate=30)`` starts elsewhere.

    Parameters
    ----------
    name, title, question : str
        How it is called; its heading; what it asks.
    knobs : tuple of Knob
    answer : function of the knobs' values → Answer
        Pure and seeded: the same values give the same answer.
    draw : function of the Axes and the Answer → None
    """

    name: str
    title: str
    question: str
    knobs: tuple[Knob, ...]
    answer: Callable[..., Answer]
    draw: Callable[["Axes", Answer], None]

    def settings(self, **values: Any) -> dict[str, Any]:
        """A value for each knob: the given ones, and where the others start.

        Raises
        ------
        ParameterError
            If there is no such knob, or it has no such position.
        """
        known = {knob.name: knob for knob in self.knobs}
        for name in values:
            if name not in known:
                raise ParameterError(f"{self.name} has no knob {name!r}; {nearest(name, known)}")
        return {name: knob.check(self.name, values.get(name, knob.start)) for name, knob in known.items()}

    def numbers(self, **values: Any) -> pd.DataFrame:
        """The same thing in numbers: `Answer.numbers` at these positions of the knobs."""
        return self.answer(**self.settings(**values)).numbers

    def code(self, **values: Any) -> str:
        """Python that gives the same numbers without any widget."""
        given = ", ".join(f"{name}={value!r}" for name, value in self.settings(**values).items())
        function = inspect.getsource(self.answer)
        asked = f"answer = {self.answer.__name__}({given})\nprint(answer.finding)\nprint(answer.numbers)\n"
        return f"{IMPORTS}\n\n{function}\n\n{asked}"

    def picture(self, answer: Answer) -> bytes:
        """The answer as a PNG."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from PIL import Image  # matplotlib's own way to a PNG, without drawing everything twice

        with styled():
            figure = Figure(figsize=_SIZE_INCHES, dpi=_DPI)
            figure.set_layout_engine("none")
            canvas = FigureCanvasAgg(figure)
            ax = figure.add_axes((0.09, 0.15, 0.85, 0.74))
            ax.set_title(answer.finding, y=1.02)  # where it is told to be: looking for room takes a tenth of the time
            self.draw(ax, answer)
            canvas.draw()
        png = io.BytesIO()
        Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB").save(png, "png", compress_level=1)
        return png.getvalue()

    def words(self, answer: Answer) -> Words:
        """The answer in words: the finding, and each figure with its interval."""
        return Words(f"{answer.finding}. " + "; ".join(_told(answer.numbers)) + ".")

    def show(self, **values: Any) -> Any:
        """The explorer with its knobs, as an ipywidgets box, starting from these positions."""
        from simlib.widgets.face import face

        return face(self, self.settings(**values))

    def _ipython_display_(self) -> None:
        from IPython.display import display

        display(self.show())


def shortly_told(number: float) -> str:
    """Three digits that matter, without powers of ten; what is only rounding is 0."""
    if abs(number) < 1e-12:
        return "0"
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.3g}"


def _told(numbers: pd.DataFrame) -> list[str]:
    def said(name: str, mean: float, low: float, high: float) -> str:
        doubt = f" ({shortly_told(low)} to {shortly_told(high)})" if low < high else ""
        return f"{name} {shortly_told(mean)}{doubt}"

    return [said(*row) for row in numbers[["mean", "low", "high"]].itertuples()]
