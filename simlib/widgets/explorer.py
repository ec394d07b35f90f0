"""What an explorer is: a question with knobs, the pure function that answers it, and the picture of the answer.

The function is the whole computation and nothing but library calls, so its source *is* the code that reproduces what
is seen: `Explorer.code` exports it with the present values.  The face with its sliders is `simlib.widgets.face`.
"""

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from simlib.intervals import interval
from simlib.parameters import ParameterError, nearest, shortly
from simlib.plots.style import Words
from simlib.widgets.drawing import Panel

_MODULES = {"np": "numpy", "sl": "simlib"}
_NAMES = {
    "typing": ("Any",),
    "simlib": (
        *("experiments", "fairness", "lastmile", "mlops", "monitoring"),
        *("platforms", "pricing", "serving", "workload"),
    ),
    "simlib.platforms": ("sizing",),
    "simlib.platforms.choice": ("NAMES",),
    "simlib.serving": ("limits",),
    "simlib.widgets": ("Answer", "shortly_told", "summarised", "value"),
}
"""What an answering function may use, and where it is found."""


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
    draw : function of the Answer → Panel
    """

    name: str
    title: str
    question: str
    knobs: tuple[Knob, ...]
    answer: Callable[..., Answer]
    draw: Callable[[Answer], Panel]

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
        return f"{_imports(function)}\n\n{function}\n\n{asked}"

    def picture(self, answer: Answer) -> str:
        """The answer as SVG."""
        return self.draw(answer).svg(answer.finding)

    def words(self, answer: Answer) -> Words:
        """The answer in words: the finding, and each figure with its interval."""
        return Words(f"{answer.finding}. {figures_told(answer.numbers)}")

    def show(self, **values: Any) -> Any:
        """The explorer with its knobs, as an ipywidgets box, starting from these positions."""
        from simlib.widgets.face import face

        return face(self, self.settings(**values))

    def _ipython_display_(self) -> None:
        from IPython.display import display

        display(self.show())


def _imports(function: str) -> str:
    """The lines that import what the source of *function* uses."""
    words = set(re.findall(r"\w+", function))
    whole = [f"import {module} as {name}\n" for name, module in _MODULES.items() if name in words]
    used = {module: ", ".join(sorted(words & set(names))) for module, names in _NAMES.items()}
    return "".join([*whole, *(f"from {module} import {names}\n" for module, names in used.items() if names)])


def shortly_told(number: float) -> str:
    """Three digits that matter, without powers of ten; what is only rounding is 0."""
    if abs(number) < 1e-12:
        return "0"
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.3g}"


def figures_told(numbers: pd.DataFrame) -> str:
    """Each figure with its interval, where it has one."""

    def said(name: str, mean: float, low: float, high: float) -> str:
        if mean != mean:
            return f"{name}: none"
        doubt = f" ({shortly_told(low)} to {shortly_told(high)})" if low < high else ""
        return f"{name} {shortly_told(mean)}{doubt}"

    return "; ".join(said(*row) for row in numbers[["mean", "low", "high"]].itertuples()) + "."
