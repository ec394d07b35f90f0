"""From the one source to the student's notebook: no solution, no hidden case, the same bytes each time."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from simlib.course.editions import edition
from simlib.exercises.kept import KEY
from simlib.grading.source import BEGIN, END, Cell, Source, read
from simlib.languages import LANGUAGES, Language, fault, mark
from simlib.parameters import ParameterError

STUB = "...  # your answer"
OPEN_STUB: dict[Language, str] = {"en": "*Write your answer here.*", "es": "*Escribe aquí tu respuesta.*"}

_BLOCK = re.compile(
    rf"^(?P<indent>[ \t]*)(?:#|<!--)\s*{BEGIN}(?P<stub>[^\n]*)\n(?:.*?\n)?[ \t]*(?:#|<!--)\s*{END}[^\n]*$", re.M | re.S
)


def exercise_bytes(source: Source, language: Language = "en", student: str = "") -> bytes:
    """The student's notebook as a file's content.

    Parameters
    ----------
    source
        The source as `read` gives it; with another `given` for a student's own variant.
    language
        Of texts; code cells are the same in each.  The English one keeps its Spanish twins, so that a student's copy
        can be made from it in either language.
    student
        Whose variant it is, kept in the notebook's metadata.
    """
    cells = list(_cells(source, student))
    about: dict[str, Any] = {"exercise": source.name, "language": "en"}
    if student:
        about["student"] = student
    about[KEY] = public_examples(source)
    notebook: dict[str, Any] = {
        "cells": cells,
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
            "simlib": about,
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    if language != "en":
        notebook = edition(notebook, language)
    return (json.dumps(notebook, indent=1, ensure_ascii=False) + "\n").encode()


def release(path: Path, folder: Path, language: Language = "en") -> Path:
    """Write the student's notebook of the source *path* into *folder*; its path."""
    return _write(folder / path.name, exercise_bytes(read(path), language))


def release_individually(path: Path, folder: Path, students: list[str], language: Language = "en") -> list[Path]:
    """Write each student's own variant, `folder/STUDENT/NN-….ipynb`.

    Raises
    ------
    ParameterError
        If a student's name cannot name a folder, or the source has no variants.
    """
    for student in students:
        if not re.fullmatch(r"[^/\\\x00-\x1f]{1,100}", student) or student in (".", ".."):
            raise ParameterError(f"the student {student!r} cannot name a folder: use the platform's id or e-mail.")
    common = read(path)
    written = []
    for student in students:
        own = read(path, given=common.variant(student))
        written.append(_write(folder / student / path.name, exercise_bytes(own, language, student)))
    return written


def twins_at_fault(source: Source) -> list[str]:
    """The cells whose Spanish twin is missing or stale, one sentence each."""
    found = [
        (cell, fault(english_of(cell, source), cell.metadata)) for cell in source.cells if _has_words(cell, source)
    ]
    return [f"{source.name}: the Spanish twin of cell {cell.id!r} is {what}." for cell, what in found if what]


def mark_twins(path: Path) -> int:
    """Take every Spanish twin of a source as made from today's English text; how many changed their mark."""
    source = read(path)
    english = {cell.id: english_of(cell, source) for cell in source.cells if _has_words(cell, source)}
    notebook = json.loads(path.read_bytes())
    changed = 0
    for cell in notebook["cells"]:
        kept = cell["metadata"].get("es")
        if kept and cell["id"] in english and kept.get("of") != mark(english[cell["id"]]):
            kept["of"] = mark(english[cell["id"]])
            changed += 1
    if changed:
        _write(path, (json.dumps(notebook, indent=1, ensure_ascii=False) + "\n").encode())
    return changed


# --- cells ----------------------------------------------------------------------------------------------------------


def _cells(source: Source, student: str) -> Iterator[dict[str, Any]]:
    is_first = True
    for cell in source.cells:
        if cell.role == "teacher":
            if is_first:
                yield _code("examples-and-hints", _check_text(source, student), {})
            is_first = False
        elif cell.role == "question":
            if source.questions[cell.question].kind != "open":
                yield _code(f"{cell.question}-check", f'check("{cell.question}")', {"editable": False})
        elif cell.role == "answer":
            yield _answer(cell)
        elif cell.is_code:
            yield _code(cell.id, cell.text, {})
        else:
            yield _text(cell.id, cell.text, _spanish(cell.metadata))


def _spanish(metadata: Mapping[str, Any]) -> dict[str, Any]:
    return {"es": metadata["es"]} if "es" in metadata else {}


def _answer(cell: Cell) -> dict[str, Any]:
    metadata = {"simlib": {"question": cell.question}, "deletable": False}
    identity = f"{cell.question}-answer"
    if cell.is_code:
        return _code(identity, stub(cell), metadata)
    english, spanish = (without_solution(cell.text, OPEN_STUB[language]) for language in LANGUAGES)
    return _text(identity, english, metadata | {"es": {"text": spanish, "of": mark(english)}})


def stub(cell: Cell) -> str:
    """What a student finds in the cell of an answer: its question's mark, and a gap where the solution was."""
    return f"# {cell.question}: your answer\n" + without_solution(cell.text, STUB)


def without_solution(text: str, gap: str) -> str:
    """The text with every solution block replaced by what its first line says, or by *gap*.

    Raises
    ------
    ParameterError
        If there is no such block, or one has no end.
    """

    def replaced(block: re.Match[str]) -> str:
        return block["indent"] + (block["stub"].replace("-->", "").strip() or gap)

    made, count = _BLOCK.subn(replaced, text)
    if not count or BEGIN in made or END in made:
        raise ParameterError(f"an answer needs its solution between the lines `# {BEGIN}` and `# {END}`.")
    return made


def public_examples(source: Source) -> dict[str, Any]:
    """What `check` needs, kept in the notebook's metadata: examples and hints of every question, in clear."""
    content: dict[str, Any] = {"exercise": source.name}
    if source.given is not None:
        content["given"] = source.given
    content["questions"] = {cell.question: _public(source, cell) for cell in source.cells if cell.role == "question"}
    return content


def _check_text(source: Source, student: str) -> str:
    """The code of the cell that makes `check`."""
    whose = json.dumps(source.name) + (f", student={json.dumps(student)}" if student else "")
    note = "# The public examples and hints of check() are kept in this notebook's metadata. Run as it is."
    return f"{note}\nfrom simlib.exercises import Exercise\n\ncheck = Exercise({whose})"


def _public(source: Source, cell: Cell) -> dict[str, Any]:
    asked = source.questions[cell.question]
    if asked.kind == "open":
        return {"kind": "open", "points": asked.points}
    english = list(asked.hints)
    spanish = [line for line in str(cell.metadata.get("es", {}).get("text", "")).splitlines() if line.strip()]
    if spanish and len(spanish) != len(english):
        raise ParameterError(f"{source.name}, {asked.name}: its Spanish twin should have {len(english)} hints.")
    content: dict[str, Any] = {
        "kind": asked.kind,
        "answer": asked.answer,
        "points": asked.points,
        "unit": asked.unit,
        "rtol": asked.rtol,
        "examples": list(asked.examples),
        "expected": source.expected[asked.name],
        "hints": {"en": english, "es": spanish or english},
    }
    if asked.kind == "policy":
        content |= {"bounds": asked.bounds, "limits": asked.limits, "trial": asked.trial}
    return content


def _has_words(cell: Cell, source: Source) -> bool:
    """Whether students read the cell as text: prose, and hints; the answer to an open question is its teacher's."""
    if cell.role == "question":
        return bool(source.questions[cell.question].hints)
    return not cell.is_code and cell.role == "shown"


def english_of(cell: Cell, source: Source) -> str:
    """The English text that a cell's twin is made from: its own, or its question's hints, one a line."""
    return "\n".join(source.questions[cell.question].hints) if cell.role == "question" else cell.text


def _code(identity: str, text: str, metadata: dict[str, Any]) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "execution_count": None,
        "id": identity,
        "metadata": metadata,
        "outputs": [],
        "source": text.splitlines(keepends=True),
    }


def _text(identity: str, text: str, metadata: dict[str, Any]) -> dict[str, Any]:
    return {"cell_type": "markdown", "id": identity, "metadata": metadata, "source": text.splitlines(keepends=True)}


def _write(path: Path, content: bytes) -> Path:
    """Write whole or not at all, and not at all where nothing changes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_bytes() != content:
        temporary = path.with_name(f".{path.name}.new")
        temporary.write_bytes(content)
        temporary.replace(path)
    return path
