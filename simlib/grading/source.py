"""The one source of an exercise, read: its cells by what they are for, and its questions.

A source is a notebook.  What a cell is for is said by its tag; a cell without one is shown to students as it stands.

- ``given``: one code cell ``given = {…}``, the numbers of the exercise, which differ in other variants.
- ``answer``: the solution.  What lies between ``# BEGIN SOLUTION`` and ``# END SOLUTION`` is taken out at release; the
  rest of the first of these two lines is what stands there instead.  An open question's answer is a text cell.
- ``question``: describes the question whose answer stands above it; becomes the student's ``check("q1")``.
- ``teacher``: code for the teacher alone; the first becomes the student's examples and hints.
"""

import contextlib
import hashlib
import io
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from simlib.exercises.values import Plain, plain
from simlib.grading.question import Described, Question, generator, listening
from simlib.parameters import ParameterError

Role = Literal["shown", "given", "answer", "question", "teacher"]
ROLES: tuple[Role, ...] = ("given", "answer", "question", "teacher")
BEGIN, END = "BEGIN SOLUTION", "END SOLUTION"
SIGNIFICANT = 8  # digits of a public expected value: other processors may differ in the last ones


@dataclass(frozen=True)
class Cell:
    """One cell of a source; *question* is the name of the one it belongs to."""

    role: Role
    is_code: bool
    id: str
    text: str
    metadata: Mapping[str, Any]
    question: str = ""


@dataclass(frozen=True)
class Source:
    """One exercise: its cells in order, its questions by name, and where it was read from."""

    name: str
    path: Path
    cells: tuple[Cell, ...]
    questions: Mapping[str, Question]
    described: Described
    given: Plain  # None where the exercise has none
    expected: Mapping[str, list[Plain]]  # of the public examples, by question
    names: Mapping[str, Any]  # what its cells have defined

    @property
    def points(self) -> float:
        """All points of the exercise."""
        return sum(question.points for question in self.questions.values())

    def variant(self, *purpose: str, seed: str = "individual") -> Plain:
        """Other values of `given`: the same purpose and seed give the same.

        Raises
        ------
        ParameterError
            If the source has no `variants(…)`.
        """
        if self.described.variants is None:
            raise ParameterError(f"{self.name} has no individual variants: its teacher's cell says no variants(…).")
        return plain(self.described.variants(generator(seed, self.name, "given", *purpose)))

    def imports(self) -> str:
        """What the cells that students see import: statements, one a line."""
        lines = [
            line for cell in self.cells if cell.is_code and cell.role == "shown" for line in cell.text.splitlines()
        ]
        return "\n".join(dict.fromkeys(line for line in lines if re.match(r"(from|import) ", line)))

    def digest(self) -> str:
        """The sha256 of the source file, for receipts."""
        return hashlib.sha256(self.path.read_bytes()).hexdigest()


def read(path: Path, given: Plain = None) -> Source:
    """Read a source and run its cells, with another *given* if one is named.

    Raises
    ------
    ParameterError
        If it is no source: the sentence says which cell, and what would be right.
    """
    cells = _cells(path)
    if given is not None:
        cells = [_with_given(cell, given) for cell in cells]
    with listening() as described:
        names, expected, asked = _run(path, cells, described)
    questions = {question.name: question for question in described.questions}
    wanted = [f"q{number}" for number in range(1, len(questions) + 1)]
    if not questions or list(questions) != wanted or len(described.questions) != len(questions):
        raise _fault(path, f"its questions should be q1, q2, … in order; it has {', '.join(questions) or 'none'}")
    owned = tuple(_owned(cell, asked) for cell in cells)
    return Source(path.stem, path, owned, questions, described, plain(names.get("given")), expected, names)


# --- cells ----------------------------------------------------------------------------------------------------------


def _cells(path: Path) -> list[Cell]:
    try:
        found = [_cell(cell) for cell in json.loads(path.read_bytes())["cells"]]
    except FileNotFoundError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ParameterError(f"{path} is not a notebook that can be read.") from None
    if not any(cell.role == "teacher" for cell in found):
        raise _fault(path, "a code cell with the tag `teacher` should import `question` from simlib.grading")
    return found


def _cell(cell: Mapping[str, Any]) -> Cell:
    tags = cell["metadata"].get("tags", [])
    role: Role = next((role for role in ROLES if role in tags), "shown")
    text = cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])
    return Cell(role, cell["cell_type"] == "code", str(cell.get("id", "")), text, cell["metadata"])


def _with_given(cell: Cell, given: Plain) -> Cell:
    return cell if cell.role != "given" else Cell("given", True, cell.id, given_text(given), cell.metadata)


def given_text(given: Mapping[str, Plain]) -> str:
    """The code of a cell that sets `given`."""
    lines = [f"    {json.dumps(name)}: {value!r}," for name, value in given.items()]
    return "\n".join(["given = {", *lines, "}"])


def _owned(cell: Cell, asked: Mapping[str, str]) -> Cell:
    return Cell(cell.role, cell.is_code, cell.id, cell.text, cell.metadata, asked.get(cell.id, ""))


# --- running --------------------------------------------------------------------------------------------------------


def _run(path: Path, cells: list[Cell], described: Described) -> tuple[dict[str, Any], dict[str, list[Plain]], dict]:
    """Run every code cell in order; what was defined, expected values by question, question by cell id."""
    os.environ.setdefault("MPLBACKEND", "agg")
    names: dict[str, Any] = {"__name__": "__exercise__"}
    expected: dict[str, list[Plain]] = {}
    asked: dict[str, str] = {}
    answer: Cell | None = None
    for cell in cells:
        if cell.is_code:
            run_cell(cell.text, f"{path.name}, cell {cell.id}", names)
        if cell.role == "answer":
            if answer is not None:
                raise _fault(path, f"the answer {answer.id!r} has no question below it")
            answer = cell
        if cell.role == "question":
            new = described.questions[len(expected) :]
            if answer is None or len(new) != 1:
                raise _fault(path, f"cell {cell.id!r} should describe one question, below the cell of its answer")
            expected[new[0].name] = _expected(path, new[0], names)
            asked |= {answer.id: new[0].name, cell.id: new[0].name}
            answer = None
    return names, expected, asked


def run_cell(text: str, where: str, names: dict[str, Any]) -> None:
    """Run the code of one cell among *names*; what it prints is not shown.

    Raises
    ------
    ParameterError
        If it raises: the sentence names the cell and the exception.
    """
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(text, f"<{where}>", "exec"), names)
    except Exception as error:
        raise ParameterError(f"{where} stops with {type(error).__name__}: {error}") from error


def shown_names(path: Path, given: Plain = None) -> dict[str, Any]:
    """What the cells that students see define, without any answer: for simulating a policy."""
    os.environ.setdefault("MPLBACKEND", "agg")
    names: dict[str, Any] = {"__name__": "__exercise__"}
    for cell in _cells(path):
        if cell.is_code and cell.role in ("shown", "given"):
            text = given_text(given) if cell.role == "given" and given is not None else cell.text
            run_cell(text, f"{path.name}, cell {cell.id}", names)
    return names


def _expected(path: Path, question: Question, names: Mapping[str, Any]) -> list[Plain]:
    """What the solution gives for the public examples."""
    if question.kind == "open":
        return []
    if question.answer not in names:
        raise _fault(path, f"{question.name}: the solution defines no {question.answer!r}")
    found = names[question.answer]
    if question.kind == "value":
        return [_rounded(plain(found))]
    if question.kind == "policy":
        trial, policy = names[question.trial], plain(found)
        return [_rounded(plain(trial(policy, **case))) for case in question.examples]
    return [_rounded(plain(found(**case))) for case in question.examples]


def _rounded(value: Plain) -> Plain:
    if isinstance(value, float):
        return float(f"{value:.{SIGNIFICANT}g}")
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return value


def _fault(path: Path, what: str) -> ParameterError:
    return ParameterError(f"{path.name} is not a whole source: {what}.")
