"""The answers in a student's notebook: found by the cell's mark, whatever else was done to the notebook."""

import ast
import json
import re
from dataclasses import dataclass, field
from typing import Any, Literal

from simlib.grading.release import OPEN_STUB, STUB, stub, without_solution
from simlib.grading.source import Cell, Source

State = Literal["answered", "untouched", "missing", "text"]

MOST_CELLS = 2_000
LONGEST_ANSWER = 200_000
IPYTHON_LINE = re.compile(r"^([ \t]*)[%!?].*$", re.M)


class Unreadable(Exception):
    """The file is no notebook; the message says what it is."""


class Mismatch(Exception):
    """The notebook belongs to something else; the message says to what."""


@dataclass(frozen=True)
class Answers:
    """What a student's notebook holds for an exercise."""

    code: dict[str, str] = field(default_factory=dict)  # by question, where something was written
    states: dict[str, State] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)  # of open questions
    own: list[str] = field(default_factory=list)  # the student's other code cells

    def cells_needed(self, question: str) -> list[str]:
        """The student's own cells that the answer to *question* needs, and those that these need, in order."""
        needed: set[int] = set()
        wanted = _used(self.code.get(question, ""))
        while more := {k for k, text in enumerate(self.own) if k not in needed and _defined(text) & (wanted | {"*"})}:
            needed |= more
            wanted |= {name for k in more for name in _used(self.own[k])}
        return [self.own[k] for k in sorted(needed)]


@dataclass(frozen=True)
class _Written:
    is_code: bool
    text: str
    id: str
    metadata: dict[str, Any]


def answers_in(content: bytes, source: Source) -> Answers:
    """Find the answers to *source*'s questions.

    Raises
    ------
    Unreadable, Mismatch
        If there is no notebook, or one of something else.
    """
    notebook = _parsed(content)
    cells = _cells(notebook)
    _require_match(notebook, cells, source)
    answers = Answers()
    used = set()
    for cell in source.cells:
        if cell.role == "answer":
            used |= {id(written) for written in cells if _belongs(written, cell.question)}
            left_over = _take(answers, cell, _find(cells, cell.question), source.questions[cell.question].answer)
            used -= {id(written) for written in left_over}
    if all(state == "missing" for state in answers.states.values()):
        raise Mismatch("no answer cell of this exercise")
    shown = {_normal(cell.text) for cell in source.cells if cell.is_code}
    for written in cells:
        is_ours = _normal(written.text) in shown or written.text.lstrip().startswith(
            ("check(", "# The public examples")
        )
        if written.is_code and id(written) not in used and not is_ours:
            answers.own.append(written.text)
    return answers


def exercise_of(content: bytes) -> str:
    """The name of the exercise that a notebook says it belongs to; "" if it does not say, or is none."""
    try:
        notebook = _parsed(content)
        return _named(notebook, _cells(notebook))
    except Unreadable:
        return ""


# --- reading --------------------------------------------------------------------------------------------------------


def _parsed(content: bytes) -> dict[str, Any]:
    if not content.strip():
        raise Unreadable("an empty file")
    try:
        notebook = json.loads(content.decode("utf-8-sig"))
    except RecursionError:
        raise Unreadable("a file nested too deeply") from None
    except UnicodeDecodeError:
        raise Unreadable("not a notebook: its text is not UTF-8") from None
    except ValueError:
        raise Unreadable("not a whole notebook: its JSON breaks off or is damaged") from None
    if not isinstance(notebook, dict):
        raise Unreadable("not a notebook")
    return notebook


def _cells(notebook: dict[str, Any]) -> list[_Written]:
    found = notebook.get("cells")
    if found is None and isinstance(notebook.get("worksheets"), list):  # notebooks of before 2015
        sheets = [sheet for sheet in notebook["worksheets"] if isinstance(sheet, dict)]
        found = [cell for sheet in sheets for cell in sheet.get("cells") or []]
    if not isinstance(found, list):
        raise Unreadable("not a notebook: it has no cells")
    return [_written(cell) for cell in found[:MOST_CELLS] if isinstance(cell, dict)]


def _written(cell: dict[str, Any]) -> _Written:
    text = cell.get("source", cell.get("input", ""))
    if isinstance(text, list):
        text = "".join(part for part in text if isinstance(part, str))
    text = text if isinstance(text, str) else ""
    metadata = cell.get("metadata")
    return _Written(
        cell.get("cell_type") == "code",
        _whole(text.replace("\r\n", "\n").replace("\r", "\n").replace("\ufeff", "")),
        str(cell.get("id", "")),
        metadata if isinstance(metadata, dict) else {},
    )


def _whole(text: str) -> str:
    """Without halves of letters, which JSON allows and no file does."""
    return text.encode("utf-8", "replace").decode()


def _require_match(notebook: dict[str, Any], cells: list[_Written], source: Source) -> None:
    named = _named(notebook, cells)
    if named and named != source.name:
        raise Mismatch(f"a notebook of {_whole(named)[:60]!r}")


def _named(notebook: dict[str, Any], cells: list[_Written]) -> str:
    metadata = notebook.get("metadata")
    about = metadata.get("simlib") if isinstance(metadata, dict) else None
    if isinstance(about, dict) and isinstance(about.get("exercise"), str):
        return about["exercise"]
    for written in cells:
        if named := re.search(r'Exercise\("([^"]+)"', written.text):
            return named[1]
    return ""


# --- finding --------------------------------------------------------------------------------------------------------


def _mark(question: str) -> re.Pattern[str]:
    return re.compile(rf"^\s*#\s*{question}: your answer", re.M)


def _belongs(written: _Written, question: str) -> bool:
    about = written.metadata.get("simlib")
    if isinstance(about, dict) and about.get("question"):
        return about["question"] == question
    return written.id == f"{question}-answer" or bool(_mark(question).search(written.text))


def _find(cells: list[_Written], question: str) -> list[_Written]:
    """By the cell's metadata or id; where neither is left, by the mark in its text, in whatever cell that stands."""
    found = [written for written in cells if _belongs(written, question)]
    return found or [written for written in cells if written.is_code and _mark(question).search(written.text)]


def _take(answers: Answers, cell: Cell, found: list[_Written], name: str) -> list[_Written]:
    """Note the answer, and give back what was written besides.

    Of several cells (one was copied, or split) the last counts that defines *name*, what the question asks for.
    """
    question = cell.question
    if not cell.is_code:
        gaps = {_normal(without_solution(cell.text, gap)) for gap in OPEN_STUB.values()}
        texts = [written.text for written in found if _normal(written.text) not in gaps]
        answers.states[question] = "answered" if texts else "untouched" if found else "missing"
        answers.texts[question] = "\n\n".join(texts)[:LONGEST_ANSWER]
        return []
    code = [written for written in found if written.is_code and len(written.text) <= LONGEST_ANSWER]
    written = [each for each in code if not _is_untouched(each.text, cell)]
    answers.states[question] = "answered" if written else "untouched" if code else "text" if found else "missing"
    if not written:
        return []
    chosen = next((each for each in reversed(written) if name in _defined(each.text)), written[-1])
    answers.code[question] = chosen.text
    return [each for each in written if each is not chosen]


def _is_untouched(text: str, cell: Cell) -> bool:
    """Nothing but what was handed out, or less than that."""
    lines = [line for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]
    return _normal(text) in (_normal(stub(cell)), _normal(without_solution(cell.text, STUB))) or not lines


def _normal(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip().splitlines() if line.strip())


def _defined(text: str) -> set[str]:
    """The names that a cell defines, but not inside its functions; "*" where it imports all of something."""
    names: set[str] = set()
    waiting: list[ast.AST] = [*_parsed_code(text).body]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif not isinstance(node, ast.Lambda):
            waiting += ast.iter_child_nodes(node)
    return names


def _used(text: str) -> set[str]:
    """The names that a cell reads, anywhere in it."""
    nodes = ast.walk(_parsed_code(text))
    return {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}


def _parsed_code(text: str) -> ast.Module:
    """A cell's code without the lines that are IPython's alone; nothing where it is no Python."""
    try:
        return ast.parse(IPYTHON_LINE.sub(r"\1pass", text))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ast.Module([], [])
