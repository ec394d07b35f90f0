"""A notebook in a language: each text cell by its twin, the code as it is.

The Spanish twin of a cell lies in its metadata (`simlib.languages`); the first cell also keeps the notebook's abstract,
one paragraph with a twin of its own.  A notebook whose texts have no twins yet gets its abstract in Spanish, and stays
English below it: a whole edition needs only more text.
"""

import ast
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simlib.course.marks import remark
from simlib.course.wordings import PATH as WORDINGS
from simlib.course.wordings import asked, wordings
from simlib.files import in_one_step
from simlib.languages import Language, fault, mark, twin
from simlib.parameters import ParameterError

Notebook = dict[str, Any]


@dataclass(frozen=True)
class Prediction:
    """What one `sl.predict(…)` of a notebook asks; *choices* is None where they are not written out in the code."""

    question: str
    prompt: str
    unit: str
    choices: tuple[str, ...] | None


def edition(notebook: Notebook, language: Language) -> Notebook:
    """The notebook in *language*, without the twins of the other; its code cells are the same in each."""
    cells = [dict(cell) for cell in notebook["cells"]]
    translated = any(_has_twin(cell) for cell in cells)
    for cell in cells:
        metadata = dict(cell.get("metadata", {}))
        if cell["cell_type"] == "markdown":
            text = twin(source(cell), metadata, language)
            if language == "es" and not translated and "abstract" in metadata:
                text += f"\n\n> **Resumen en español.** {abstract(notebook, language)}"
            cell["source"] = text.splitlines(keepends=True)
        cell["metadata"] = {name: value for name, value in metadata.items() if name not in ("es", "abstract")}
    about = dict(notebook.get("metadata", {}))
    if "simlib" in about:  # an exercise
        about["simlib"] = about["simlib"] | {"language": language}
    return notebook | {"cells": cells, "metadata": about}


def abstract(notebook: Notebook, language: Language) -> str:
    """The notebook in one paragraph; "" where its first cell keeps none."""
    kept = notebook["cells"][0]["metadata"].get("abstract")
    return twin(kept["text"], kept, language) if kept else ""


def source(cell: Mapping[str, Any]) -> str:
    """The text of a cell, however the file keeps it."""
    return cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])


# --- what is missing or stale ---------------------------------------------------------------------------------------


def faults(path: Path, *, whole: bool = False) -> list[str]:
    """What is missing or stale in a notebook's Spanish, one sentence each.

    Parameters
    ----------
    path : Path
    whole : bool
        Whether every text cell must have a twin; otherwise only if one has.
    """
    notebook = read(path)
    found = [f"its abstract is {what}" for what in [_abstract_fault(notebook)] if what]
    if whole or any(_has_twin(cell) for cell in notebook["cells"]):
        texts = [cell for cell in notebook["cells"] if cell["cell_type"] == "markdown"]
        told = [(cell, fault(source(cell), cell["metadata"])) for cell in texts]
        found += [f"the Spanish twin of cell {cell['id']!r} is {what}" for cell, what in told if what]
    found += [f"the Spanish of prediction {name} is {what}" for name, what in _predictions_at_fault(notebook)]
    return [f"{path.name}: {sentence}." for sentence in found]


def mark_twins(path: Path) -> int:
    """Take every Spanish text of a notebook as made from today's English; how many changed their mark."""
    notebook, changed = read(path), 0
    kept = [(cell["metadata"].get("es"), source(cell)) for cell in notebook["cells"] if cell["cell_type"] == "markdown"]
    about = notebook["cells"][0]["metadata"].get("abstract")
    kept += [(about.get("es"), about["text"])] if about else []
    for spanish, english in kept:
        if spanish and spanish.get("of") != mark(english):
            spanish["of"] = mark(english)
            changed += 1
    if changed:
        with in_one_step(path) as file:
            file.write((json.dumps(notebook, indent=1, ensure_ascii=False) + "\n").encode())
    return changed + _mark_wordings(predictions(notebook))


def _has_twin(cell: Mapping[str, Any]) -> bool:
    return cell["cell_type"] == "markdown" and "es" in cell.get("metadata", {})


def _abstract_fault(notebook: Notebook) -> str:
    kept = notebook["cells"][0]["metadata"].get("abstract")
    return fault(kept["text"], kept) if kept and kept.get("text", "").strip() else "missing"


def _predictions_at_fault(notebook: Notebook) -> Iterator[tuple[str, str]]:
    for prediction in predictions(notebook):
        kept = wordings().get(prediction.question)
        if kept is None or not kept.said:
            yield prediction.question, "missing"
        elif kept.of != asked(prediction.prompt, prediction.unit):
            yield prediction.question, "stale"
        elif prediction.choices is not None and set(prediction.choices) != set(kept.choices):
            yield prediction.question, "stale: its choices are others"


def _mark_wordings(found: list[Prediction]) -> int:
    changed = remark(WORDINGS, {each.question: asked(each.prompt, each.unit) for each in found})
    wordings.cache_clear()
    return changed


# --- the predictions in the code ------------------------------------------------------------------------------------


def predictions(notebook: Notebook) -> list[Prediction]:
    """What the notebook's `sl.predict(…)` calls ask, in order."""
    known: dict[str, Any] = {}
    found = []
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code" and "sl.predict(" in source(cell):
            for statement in ast.parse(source(cell)).body:
                _remember(statement, known)
                found += [_prediction(call, known) for call in _calls(statement)]
    return found


def _calls(statement: ast.stmt) -> Iterator[ast.Call]:
    for node in ast.walk(statement):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "sl.predict":
            yield node


def _remember(statement: ast.stmt, known: dict[str, Any]) -> None:
    """Keep what a name stands for, where it is written out."""
    if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
        known[statement.targets[0].id] = _worth(statement.value, known)


def _worth(node: ast.expr, known: Mapping[str, Any]) -> Any:
    """What an expression is where it is written out or named before; None elsewhere."""
    if isinstance(node, ast.Name):
        return known.get(node.id)
    if isinstance(node, ast.List):
        return [_worth(each, known) for each in node.elts]
    return node.value if isinstance(node, ast.Constant) else None


def _prediction(call: ast.Call, known: Mapping[str, Any]) -> Prediction:
    given = {each.arg: _worth(each.value, known) for each in call.keywords if each.arg}
    choices = given.get("choices")
    if choices is None and not any(each.arg == "choices" for each in call.keywords):
        choices = []
    written = None if choices is None or None in choices else tuple(str(each) for each in choices)
    return Prediction(_worth(call.args[0], known), given.get("prompt") or "", given.get("unit") or "", written)


def read(path: Path) -> Notebook:
    """A notebook's content.

    Raises
    ------
    ParameterError
        If it is none.
    """
    try:
        notebook: Notebook = json.loads(path.read_bytes())
        notebook["cells"][0]["metadata"]
    except (ValueError, KeyError, TypeError, IndexError):
        raise ParameterError(f"{path} is not a notebook that can be read.") from None
    return notebook
