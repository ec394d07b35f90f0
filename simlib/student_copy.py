"""The learner's copy of the course, and the copy that a teacher hands out.

The repository's notebooks hold their outputs, which would give every answer away before the prediction, and running
them in place would dirty the checkout.  So the learner works in a copy without outputs, `work/`, and may make that
copy again at any time: what he has not touched is brought up to date, what he has touched is never overwritten.

What "touched" means: each copy remembers the *fingerprint* of every file it handed out.  A notebook's fingerprint is
what a learner sees of it, in order: each cell's kind, text, attachments and outputs, and an exercise's hints.  So a
notebook that he only opened, and that JupyterLab saved in its own way (other metadata, ids, key order, run counts), is
not touched; one in which he wrote anything, or that shows a result of his, is.  Of any other file the fingerprint is
its bytes.  A file that he deleted is handed out anew: deleting it is how to start it afresh.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simlib.course import glossary
from simlib.course.editions import edition, read
from simlib.languages import LANGUAGES, Language
from simlib.parameters import ParameterError

STATE = Path(".simlib", "handed-out.json")
FORMAT = 1

# What a teacher hands out besides notebooks and exercises: enough for `make lab`, conda and Binder.
SET_UP_FILES = (
    "README.md",
    "LICENSE",
    "CITATION.cff",
    "Makefile",
    "pyproject.toml",
    "constraints.txt",
    "environment.yml",
    ".gitignore",
)
TEACHERS_ONLY = ("grading",)
NEVER_COPIED = ("__pycache__", ".ipynb_checkpoints", ".simlib")
WRITTEN_BY_NOTEBOOKS = "generated-"  # begins their names
SPOKEN = Path(".simlib", "language")
GLOSSARY = "glossary.ipynb"  # JupyterLab shows a notebook's table, but only the source of a Markdown file
GLOSSARY_LINK = (b"](../docs/glossary.md)", b"](glossary.ipynb)")
LINKS_IN_WORK = {  # where notebooks lie one folder higher than in the course
    "notebooks": (GLOSSARY_LINK, (b"](../exercises/", b"](exercises/")),
    "exercises": ((b"](../notebooks/", b"](../"),),
}


@dataclass(frozen=True)
class Report:
    """What one copying did, as file names relative to the copy."""

    target: Path
    added: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def sentences(self) -> list[str]:
        """The report for a person: one line for what was done, one for each file that stayed the learner's."""
        done = [
            f"{len(names)} {what}"
            for what, names in (("new", self.added), ("updated", self.updated), ("removed", self.removed))
            if names
        ]
        first = f"{self.target}: {', '.join(done) or 'up to date'}."
        kept = [
            f"{name} stays as you left it; for the course's newer version, rename yours and run this again."
            for name in self.kept
        ]
        return [*self.warnings, first, *kept]


def make_work_copy(source: Path, target: Path, language: Language = "en") -> Report:
    """Make or refresh the learner's copy of the notebooks and exercises, with the glossary beside them.

    Parameters
    ----------
    source
        The course's folder, with `notebooks/` and perhaps `exercises/`.
    target
        The learner's folder, `work/`: the notebooks lie in it, the exercises in its `exercises/`.
    language
        Of texts and messages; code is the same in each.

    Raises
    ------
    FileNotFoundError
        If *source* has no `notebooks/`.
    ParameterError
        If a notebook of the course is not one.
    """
    _require_notebooks(source)
    files: dict[str, bytes] = {}
    for folder, under in (("notebooks", Path()), ("exercises", Path("exercises"))):
        for name, content in _course_files(source / folder, under, language).items():
            files[name] = _linked(content, folder) if name.endswith(".ipynb") else content
    files[GLOSSARY] = _glossary_notebook(language)
    return _hand_out(files | _spoken(files, language), target)


def make_student_copy(source: Path, target: Path, language: Language = "en") -> Report:
    """Make or refresh what a teacher hands out: the course and simlib, without solutions, tests or grading.

    Parameters
    ----------
    source
        The repository's folder.
    target
        A new or empty folder, or one that this function made before.
    language
        Of texts and messages; code is the same in each.

    Raises
    ------
    FileNotFoundError
        If *source* has no `notebooks/`.
    FileExistsError
        If *target* holds files and was not made by this function.
    ParameterError
        If a notebook of the course is not one.
    """
    _require_notebooks(source)
    if target.is_file() or (target.is_dir() and any(target.iterdir()) and not (target / STATE).exists()):
        raise FileExistsError(f"{target} exists and is no student copy; name a new or an empty folder.")
    files = {name: (source / name).read_bytes() for name in SET_UP_FILES if (source / name).is_file()}
    for folder in ("notebooks", "exercises", "simlib"):
        files |= _course_files(source / folder, Path(folder), language)
    for name in [name for name in files if name.startswith("notebooks/") and name.endswith(".ipynb")]:
        files[name] = files[name].replace(*GLOSSARY_LINK)
    files[f"notebooks/{GLOSSARY}"] = _glossary_notebook(language)
    return _hand_out(files | _spoken(files, language), target)


def spoken_in(folder: Path) -> Language | None:
    """The language in which notebooks were handed out to *folder*; None if it is English, or there are none."""
    try:
        kept = (folder / SPOKEN).read_text(encoding="utf-8").strip()
    except OSError:
        return None
    return next((each for each in LANGUAGES if each == kept), None)


# --- what is handed out ---------------------------------------------------------------------------------------------


def _require_notebooks(source: Path) -> None:
    if not (source / "notebooks").is_dir():
        raise FileNotFoundError(f"{source} has no folder notebooks/, so there is nothing to copy.")


def _spoken(files: Mapping[str, bytes], language: Language) -> dict[str, bytes]:
    """Beside notebooks in another language than English, which one the library speaks there (`simlib.languages`)."""
    if language == "en":
        return {}
    folders = {Path(name).parent for name in files if name.endswith(".ipynb")}
    return {(folder / SPOKEN).as_posix(): f"{language}\n".encode() for folder in folders}


def _course_files(folder: Path, under: Path, language: Language) -> dict[str, bytes]:
    """The files below *folder* by the name they get, notebooks without outputs."""
    return {
        (under / path.relative_to(folder)).as_posix(): without_outputs(path, language)
        if path.suffix == ".ipynb"
        else path.read_bytes()
        for path in _walk(folder)
    }


def _linked(content: bytes, folder: str) -> bytes:
    for there, here in LINKS_IN_WORK[folder]:
        content = content.replace(there, here)
    return content


def _glossary_notebook(language: Language) -> bytes:
    text = glossary.page(language).splitlines(keepends=True)
    cell = {"cell_type": "markdown", "id": "glossary", "metadata": {}, "source": text}
    about = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    return _as_file({"cells": [cell], "metadata": about, "nbformat": 4, "nbformat_minor": 5})


def _walk(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        if path.name in NEVER_COPIED or path.name.startswith(WRITTEN_BY_NOTEBOOKS):
            continue
        if folder.name == "simlib" and path.name in TEACHERS_ONLY:
            continue
        if path.is_dir():
            yield from _walk(path)
        else:
            yield path


def without_outputs(path: Path, language: Language = "en") -> bytes:
    """The notebook as a learner gets it: in *language*, no outputs, no counts, nothing folded away.

    Raises
    ------
    ParameterError
        If it is not a notebook.
    """
    try:
        notebook = edition(read(path), language)
        for cell in notebook["cells"]:
            _clear(cell)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ParameterError(f"{path} is not a notebook that can be read.") from None
    notebook.get("metadata", {}).pop("widgets", None)
    return _as_file(notebook)


def _as_file(notebook: Mapping[str, Any]) -> bytes:
    return (json.dumps(notebook, indent=1, ensure_ascii=False) + "\n").encode()


def _clear(cell: dict[str, Any]) -> None:
    if cell["cell_type"] != "code":
        return
    cell["outputs"], cell["execution_count"] = [], None
    metadata = cell.get("metadata", {})
    for name in ("execution", "collapsed", "scrolled"):
        metadata.pop(name, None)
    metadata.get("jupyter", {}).pop("outputs_hidden", None)


# --- what the learner did with it -----------------------------------------------------------------------------------


def fingerprint(name: str, content: bytes) -> str:
    """The sha256 of what a learner sees of a file (see this module's docstring)."""
    seen = _seen(content) if name.endswith(".ipynb") else content
    return hashlib.sha256(seen).hexdigest()


def _seen(content: bytes) -> bytes:
    try:
        notebook = json.loads(content)
        seen = [
            [cell["cell_type"], "".join(cell["source"]), cell.get("attachments") or {}, cell.get("outputs", [])]
            for cell in notebook["cells"]
        ]
        hints = notebook.get("metadata", {}).get("simlib", {}).get("check")
    except (ValueError, KeyError, TypeError, AttributeError):
        return content  # no notebook any more: whatever it is, it is the learner's
    return json.dumps([*seen, hints] if hints else seen, sort_keys=True).encode()


# --- handing out ----------------------------------------------------------------------------------------------------


def _hand_out(files: Mapping[str, bytes], target: Path) -> Report:
    report = Report(target)
    handed_out = _read_state(target, report)
    target.mkdir(parents=True, exist_ok=True)
    remembered = {}
    for name, content in files.items():
        remembered[name] = _place(target / name, name, content, handed_out.get(name), report)
    for name in sorted(handed_out.keys() - files.keys()):
        _retire(target / name, name, handed_out[name], report)
    state = {"format": FORMAT, "fingerprints": {name: mark for name, mark in remembered.items() if mark}}
    write(target / STATE, (json.dumps(state, indent=1, sort_keys=True) + "\n").encode())
    return report


def _place(path: Path, name: str, content: bytes, handed_out: str | None, report: Report) -> str | None:
    """Write one file unless it is the learner's; its fingerprint to remember, None if it was never handed out."""
    new = fingerprint(name, content)
    if not os.path.lexists(path):
        write(path, content)
        report.added.append(name)
        return new
    current = fingerprint(name, path.read_bytes()) if path.is_file() else None
    if current == new:
        return new
    if current is None or current != handed_out:
        if new != handed_out:
            report.kept.append(name)
        return handed_out
    write(path, content)
    report.updated.append(name)
    return new


def _retire(path: Path, name: str, handed_out: str, report: Report) -> None:
    """Take away a file that left the course, if the learner has not touched it."""
    if path.is_file() and fingerprint(name, path.read_bytes()) == handed_out:
        path.unlink()
        report.removed.append(name)


def _read_state(target: Path, report: Report) -> dict[str, str]:
    """The fingerprints of what was handed out; with a damaged memory every file counts as the learner's."""
    path = target / STATE
    if not path.exists():
        return {}
    try:
        state = json.loads(path.read_bytes())
        marks = state["fingerprints"]
        if state["format"] != FORMAT or not all(isinstance(mark, str) for mark in marks.values()):
            raise ValueError
        return dict(marks)
    except (ValueError, KeyError, TypeError, AttributeError):
        aside = path.with_suffix(".damaged.json")
        shutil.copyfile(path, aside)
        report.warnings.append(
            f"{path} was damaged (see {aside.name} beside it), so every file in {target} is taken as yours and kept."
        )
        return {}


def write(path: Path, content: bytes) -> None:
    """Write whole or not at all: a copy that is interrupted leaves no half notebook."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(temporary, 0o666 & ~_umask())  # mkstemp's own mode would hide the file from a teacher
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
