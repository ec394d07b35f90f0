"""Pages that are made from the course's data, so that they cannot grow stale: ``make pages`` writes them."""

from collections.abc import Iterator
from pathlib import Path

from simlib.course.editions import abstract, predictions, read
from simlib.course.glossary import entries
from simlib.course.outcomes import outcomes
from simlib.course.pacing import CODE_MIN, PREDICT_MIN, VARY_MIN, WORDS_A_MINUTE, core
from simlib.course.place import REPOSITORY

_MADE = "<!-- Made by `make pages`; do not edit by hand. -->"


def pages(repository: Path = REPOSITORY) -> dict[Path, str]:
    """The pages by their path."""
    docs = repository / "docs"
    made = {
        docs / "glossary.md": _glossary(),
        docs / "teaching" / "outcomes.md": _outcomes(),
        docs / "teaching" / "core-time.md": _core_time(repository / "notebooks"),
        docs / "teaching" / "abstracts.md": _abstracts(repository / "notebooks"),
    }
    return {path: "\n".join(lines) + "\n" for path, lines in made.items()}


def _glossary() -> Iterator[str]:
    yield from (_MADE, "", "# Glossary · Glosario", "")
    yield "Each word of the trade in one sentence, in English and Spanish. In Python: `simlib.course.glossary`."
    yield from ("", "| English | means | español | significa |", "|---|---|---|---|")
    for each in entries().values():
        yield f"| **{each.term}** | {each.means} | **{each.spanish}** | {each.significa} |"


def _outcomes() -> Iterator[str]:
    yield from (_MADE, "", "# Outcomes: what a student can do afterwards", "")
    yield "Each has its notebook, the predictions that lead to it, the quiz items that ask for it."
    yield from ("", "| notebook | afterwards you can | después sabes | predictions | quiz |", "|---|---|---|---|---|")
    for each in outcomes().values():
        asked, quiz = ", ".join(each.questions), ", ".join(each.quiz)
        yield f"| {each.notebook} | {each.english} | {each.spanish} | {asked} | {quiz} |"


def _core_time(folder: Path) -> Iterator[str]:
    yield from (_MADE, "", "# How long the core of each notebook takes", "")
    yield (
        f"The core is everything before *Go deeper*. Assumed: {WORDS_A_MINUTE:g} words a minute; {CODE_MIN:g} minutes "
        f"for a code cell, {PREDICT_MIN:g} for a prediction, {VARY_MIN:g} for a control to vary. Words to 100."
    )
    yield from ("", "| notebook | words | code cells | predictions | controls | minutes |", "|---|---|---|---|---|---|")
    for path in lessons(folder):
        pace = core(read(path))
        counts = f"{round(pace.words, -2)} | {pace.code_cells} | {pace.predictions} | {pace.controls}"
        yield f"| {path.stem} | {counts} | {pace.minutes:.0f} |"


def _abstracts(folder: Path) -> Iterator[str]:
    yield from (_MADE, "", "# The notebooks in a paragraph each · Los cuadernos, en un párrafo cada uno")
    for path in sorted(folder.glob("*.ipynb")):
        notebook = read(path)
        count = len(predictions(notebook))
        yield from ("", f"## [{path.stem}](../../notebooks/{path.name})", "")
        yield f"{abstract(notebook, 'en')} *({count} predictions)*"
        yield from ("", abstract(notebook, "es"))


def lessons(folder: Path) -> list[Path]:
    """The numbered notebooks and the appendix."""
    return sorted(path for path in folder.glob("*.ipynb") if path.stem != "class-session")


if __name__ == "__main__":
    for path, text in pages().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(path.relative_to(REPOSITORY))
