"""The notebook that is run for marks: the source's own cells, and of the submission only the answers.

Everything public comes first; only when all of it has run do the cells with hidden cases follow.  So no message of the
public part, which students are shown, can carry a hidden number.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from simlib.exercises.handing_in import MIME
from simlib.exercises.values import Plain
from simlib.grading.question import VARIANTS, Case, Question
from simlib.grading.source import Cell, Source, given_text

Results = list[dict[str, Plain]]
Key = tuple[str, str]  # question, part: "public", "hidden" or "given 0", "given 1", …


@dataclass(frozen=True)
class Cases:
    """What marks come from: made from the teacher's secret seed, the same for every student."""

    calls: Mapping[str, list[Case]]  # of functions and policies, by question
    givens: tuple[Plain, ...]  # for values


@dataclass(frozen=True)
class Composed:
    """One notebook to run: code cells in order, each with what it is for."""

    cells: list[dict[str, Any]] = field(default_factory=list)

    def add(self, text: str, part: str, question: str = "", reference: Results | None = None, **more: Any) -> None:
        """Append a cell; with a *reference*, what it hands out is compared with that."""
        if part == "shown" and not more and self._takes_in(text):
            return
        outputs = []
        if reference is not None:
            data = {MIME: {"question": question, "part": part, "results": reference}}
            outputs = [{"output_type": "display_data", "metadata": {}, "data": data}]
        about = {"part": part, "question": question, **more}
        self.cells.append(
            {
                "cell_type": "code",
                "execution_count": 1 if "hands_in" in more else None,  # nbval compares nothing without a count
                "id": f"cell-{len(self.cells)}",
                "metadata": {"simlib": about},
                "outputs": outputs,
                "source": text,
            }
        )

    def add_answer(self, text: str, question: str, before: Sequence[str], **more: Any) -> None:
        """Append an answer, behind the cells that it needs."""
        for own in before:
            self.add(own, "own", **more)
        self.add(text, "answer", question, **more)

    def _takes_in(self, text: str) -> bool:
        """Put *text* to the cell before, if that is nobody's either: each cell takes its while."""
        last = self.cells[-1] if self.cells else None
        fits = last and last["metadata"]["simlib"]["part"] in ("given", "shown")
        if not last or not fits or text.startswith("%%") or last["source"].startswith("%%"):
            return False
        last["source"] += f"\n{text}"
        return True

    def text(self) -> str:
        """The notebook as a file's content."""
        metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        return json.dumps({"cells": self.cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5})


def cases(source: Source, seed: str) -> Cases:
    """The hidden cases and givens of a seed."""
    calls = {
        name: asked.hidden_cases(seed, source.name)
        for name, asked in source.questions.items()
        if asked.kind in ("function", "policy")
    }
    has_values = any(asked.kind == "value" for asked in source.questions.values())
    givens = [source.variant(f"hidden {k}", seed=seed) for k in range(VARIANTS)] if has_values else []
    return Cases(calls, tuple(givens))


def compose(
    source: Source,
    hidden: Cases,
    answers: Mapping[str, str],
    references: Mapping[Key, Results],
    only: Iterable[str] | None = None,
    before: Sequence[str] = (),
) -> Composed:
    """The notebook that runs *answers* (code by question; a missing one is left out) on the public and hidden cases.

    Parameters
    ----------
    source
        The exercise, with the student's own `given` where there are variants.
    hidden
        What marks come from.
    references
        What the solution handed out; empty while the solution itself is run.
    only
        The questions to ask; all without it.  The answers of others are left out.
    before
        The student's other cells that the answers need, to run ahead of each.
    """
    asked = {name: source.questions[name] for name in (only if only is not None else source.questions)}
    composed = Composed()
    for cell in source.cells:
        if cell.role in ("shown", "given") and cell.is_code:
            composed.add(cell.text, cell.role)
        elif cell.role == "answer" and cell.question in asked and cell.question in answers and cell.is_code:
            composed.add_answer(answers[cell.question], cell.question, before)
        elif cell.role == "question" and cell.question in asked:
            _add_public(composed, asked[cell.question], references)
    _add_calls(composed, source, asked, hidden, references)
    _add_givens(composed, source, asked, hidden, answers, references, before)
    return composed


def _add_public(composed: Composed, asked: Question, references: Mapping[Key, Results]) -> None:
    if asked.kind == "function":
        _add_call(composed, asked, "public", list(asked.examples), references)
    elif asked.kind in ("value", "policy"):
        _add_value(composed, asked, "public", references)


def _add_calls(
    composed: Composed,
    source: Source,
    asked: Mapping[str, Question],
    hidden: Cases,
    references: Mapping[Key, Results],
) -> None:
    if source.given is not None:
        composed.add(given_text(source.given), "given")
    for question in asked.values():
        if question.kind == "function":
            _add_call(composed, question, "hidden", hidden.calls[question.name], references)


def _add_givens(
    composed: Composed,
    source: Source,
    asked: Mapping[str, Question],
    hidden: Cases,
    answers: Mapping[str, str],
    references: Mapping[Key, Results],
    before: Sequence[str],
) -> None:
    values = [name for name, question in asked.items() if question.kind == "value"]
    for number, given in enumerate(hidden.givens if values else ()):
        composed.add(given_text(given), "given")
        for cell in _after_given(source.cells, values):
            if cell.role == "shown":
                composed.add(cell.text, "shown")
            elif cell.question in values and cell.question in answers:
                composed.add_answer(answers[cell.question], cell.question, before, again=True)
        for name in values:
            _add_value(composed, asked[name], f"given {number}", references)


def _after_given(cells: tuple[Cell, ...], values: list[str]) -> Iterator[Cell]:
    """What has to run again when `given` has changed, up to the last value: the code that students see, the answers."""
    first = next((k for k, cell in enumerate(cells) if cell.role == "given"), -1)
    last = max((k for k, cell in enumerate(cells) if cell.role == "answer" and cell.question in values), default=first)
    return (cell for cell in cells[first + 1 : last + 1] if cell.is_code and cell.role in ("shown", "answer"))


def _add_call(
    composed: Composed, asked: Question, part: str, calls: list[Case], references: Mapping[Key, Results]
) -> None:
    text = (
        "from simlib.exercises.handing_in import hand_in_calls\n"
        f"hand_in_calls({asked.name!r}, {part!r}, {asked.answer!r}, {calls!r})"
    )
    _add_check(composed, text, asked, part, references)


def _add_value(composed: Composed, asked: Question, part: str, references: Mapping[Key, Results]) -> None:
    text = (
        "from simlib.exercises.handing_in import hand_in_value\n"
        f"hand_in_value({asked.name!r}, {part!r}, {asked.answer!r})"
    )
    _add_check(composed, text, asked, part, references)


def _add_check(composed: Composed, text: str, asked: Question, part: str, references: Mapping[Key, Results]) -> None:
    reference = references.get((asked.name, part))
    composed.add(text, part, asked.name, reference or [], hands_in=True, rtol=asked.rtol, kind=asked.kind)
