"""`simlib release`: the student's notebooks, in English or Spanish, from the one source of each."""

import argparse
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from simlib.commands import Subparsers
from simlib.parameters import ParameterError

if TYPE_CHECKING:
    from simlib.languages import Language

EXAMPLES = """examples:
  simlib release                                 every solutions/NN-….ipynb → exercises/NN-….ipynb
  simlib release solutions/02*.ipynb --lang es --out espanol
  simlib release notebooks/*.ipynb --lang es --out espanol       the course's notebooks, without outputs
  simlib release solutions/02*.ipynb --individual students.txt --out handout    one folder a student
  simlib release --check                         write nothing; status 1 if an exercise is not what its source says
  simlib release solutions/02*.ipynb --translated    the Spanish twins fit today's English: mark them so; notebooks and
                                                 the words in simlib/course/*.toml may be named as well
"""
COURSE = Path(__file__).resolve().parents[2]


def add_parser(subparsers: Subparsers) -> None:
    """Describe the subcommand."""
    parser = subparsers.add_parser(
        "release",
        help="write the student's notebooks from the one source of each exercise or notebook",
        description="Take solutions, hidden cases, rubrics and outputs out; the same source gives the same bytes.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("sources", nargs="*", type=Path, metavar="SOURCE", help="sources; without any, all solutions/")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where to write (default: exercises/)")
    parser.add_argument("--lang", choices=("en", "es"), default="en", help="language of the texts (default: en)")
    parser.add_argument("--individual", type=Path, metavar="FILE", help="a variant for each student, one id a line")
    parser.add_argument("--check", action="store_true", help="compare with what is there instead of writing")
    parser.add_argument("--translated", action="store_true", help="mark the sources' Spanish twins as up to date")


def run(args: argparse.Namespace) -> int:
    """Write, compare or mark; one line for each notebook."""
    sources = args.sources or sorted((COURSE / "solutions").glob("*.ipynb"))
    out = args.out or COURSE / "exercises"
    if not sources:
        raise ParameterError("there are no sources in solutions/: name one.")
    if args.translated:
        for path in sources:
            print(f"{path.name}: {_mark_twins(path)} twins marked.")
        return 0
    if args.check:
        return _compare([path for path in sources if _is_exercise(path)], out, args.lang)
    for path in sources:
        _release(path, out, args)
    return 0


def _release(path: Path, out: Path, args: argparse.Namespace) -> None:
    if not _is_exercise(path):
        if args.individual or not args.out:
            raise ParameterError(f"{path.name} is no exercise: name a folder for it with --out, and no --individual.")
        print(_release_notebook(path, out, args.lang))
        return
    grading = _grading()
    if args.individual:
        written = grading.release_individually(path, out, _students(args.individual), args.lang)
        print(f"{path.name}: {len(written)} variants in {out}.")
    else:
        print(grading.release(path, out, args.lang))


def _release_notebook(path: Path, out: Path, language: "Language") -> Path:
    from simlib.student_copy import without_outputs, write

    write(out / path.name, without_outputs(path, language))
    return out / path.name


def _mark_twins(path: Path) -> int:
    from simlib.course import editions, words

    if path.suffix == ".toml":
        return words.mark_twins(path)
    return _grading().mark_twins(path) if _is_exercise(path) else editions.mark_twins(path)


def _is_exercise(path: Path) -> bool:
    """Whether a source is one of `simlib.grading.source`: it has a cell for its teacher."""
    from simlib.course import editions

    return any("teacher" in cell["metadata"].get("tags", ()) for cell in editions.read(path)["cells"])


def _grading() -> ModuleType:
    try:
        return import_module("simlib.grading.release")
    except ImportError:
        raise ParameterError("this is a student's copy: exercises are released from the full repository.") from None


def _compare(sources: list[Path], out: Path, language: str) -> int:
    from simlib.grading.release import exercise_bytes, twins_at_fault
    from simlib.grading.source import read
    from simlib.languages import LANGUAGES

    wrong = 0
    for path in sources:
        source = read(path)
        faults = twins_at_fault(source)
        wanted = exercise_bytes(source, next(each for each in LANGUAGES if each == language))
        found = out / path.name
        if not found.exists() or found.read_bytes() != wanted:
            faults.append(f"{found} is not what its source says: run `simlib release`.")
        wrong += len(faults)
        print("\n".join(faults) or f"{found.name}: as its source says.")
    return int(wrong > 0)


def _students(path: Path) -> list[str]:
    """The students' ids: the first column of each line, without the header if it says "student"."""
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    ids = [line.replace(";", ",").split(",")[0].strip() for line in lines]
    return [student for student in ids if student and student.lower() != "student"]
