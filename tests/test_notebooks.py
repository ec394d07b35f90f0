"""The rules that every notebook of the course keeps; nbval runs them and compares what they print."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellTimeoutError

from simlib import widgets
from simlib.course import editions
from simlib.course.wordings import wordings
from simlib.languages import LANGUAGES

FOLDER = Path(__file__).parents[1] / "notebooks"
PATHS = sorted(FOLDER.glob("*.ipynb"))
CLASS = FOLDER / "class-session.ipynb"  # one two-hour route through the others, with rules of its own
LESSONS = [path for path in PATHS if path != CLASS]
HEADINGS = ("Predict", "Explain", "Vary", "Check yourself", "Go deeper", "Exercise", "Summary")  # in this order
BOX = ("**Simplified here.**", "**In the real service.**", "**Since the slides (2026).**")
TAGS = {"predict", "reveal", "vary", "explorer", "quiz", "measured", "nbval-ignore-output"}
CHANGES_EVERY_TIME = {
    "predict",
    "vary",
    "explorer",
    "quiz",
    "measured",
}  # widgets' models have random names; a machine is never the same

PREDICTS = re.compile(r'sl\.predict\(\s*"([^"]+)"')
REVEALS = re.compile(r'sl\.reveal\(\s*"([^"]+)"')

Cell = dict[str, Any]


def cells(path: Path) -> list[Cell]:
    return [cell | {"source": "".join(cell["source"])} for cell in json.loads(path.read_text())["cells"]]


def code(path: Path) -> list[Cell]:
    return [cell for cell in cells(path) if cell["cell_type"] == "code"]


def text(path: Path) -> str:
    return "\n\n".join(cell["source"] for cell in cells(path) if cell["cell_type"] == "markdown")


def tags(cell: Cell) -> set[str]:
    return set(cell["metadata"].get("tags", []))


def printed(cell: Cell) -> str:
    """Everything a reader sees below a cell, but pictures."""
    parts = []
    for output in cell["outputs"]:
        parts += output.get("text", [])
        for kind, content in output.get("data", {}).items():
            if kind.startswith("text/"):
                parts += content
    return "".join(parts)


@pytest.fixture(params=PATHS, ids=lambda path: path.stem)
def path(request: pytest.FixtureRequest) -> Path:
    return request.param


@pytest.fixture(params=LESSONS, ids=lambda path: path.stem)
def lesson(request: pytest.FixtureRequest) -> Path:
    return request.param


def test_there_are_notebooks() -> None:
    assert PATHS, f"no notebooks in {FOLDER}"


# --- what a learner finds where -------------------------------------------------------------------------------------


def test_it_opens_with_title_time_and_needs(lesson: Path) -> None:
    first = cells(lesson)[0]["source"]
    assert re.match(rf"# {lesson.stem.split('-')[0]} · \S", first)
    assert re.search(r"\*\*\d+ minutes\*\*", first)
    assert int(re.search(r"\*\*(\d+) minutes", first)[1]) <= 25
    assert "You need" in first


def test_it_has_three_to_five_objectives_that_begin_with_a_verb(lesson: Path) -> None:
    second = cells(lesson)[1]["source"]
    assert second.startswith("**You will**")
    objectives = re.findall(r"^- (.*)$", second, re.M)
    assert 3 <= len(objectives) <= 5
    assert all(re.match(r"\*\*[a-z]+\b[^*]*\*\* ", objective) for objective in objectives)


def test_its_parts_come_in_order(lesson: Path) -> None:
    found = re.findall(r"^## (.+)$", text(lesson), re.M)
    assert [heading for heading in found if heading in HEADINGS] == list(HEADINGS)
    last = cells(lesson)[-1]["source"]
    assert all(line.startswith(">") for line in last.splitlines())
    assert [words for words in BOX if words in last] == list(BOX)


def test_it_asks_two_or_three_questions_and_folds_the_answers(lesson: Path) -> None:
    check = next(cell["source"] for cell in cells(lesson) if cell["source"].startswith("## Check yourself"))
    questions, answers = check.split("<details><summary>Answers</summary>")
    assert answers.rstrip().endswith("</details>")
    count = len(re.findall(r"^\d\. ", questions, re.M))
    assert 2 <= count <= 3
    assert len(re.findall(r"^\d\. ", answers, re.M)) == count


def test_it_says_what_was_seen(lesson: Path) -> None:
    summary = next(cell["source"] for cell in cells(lesson) if cell["source"].startswith("## Summary"))
    assert "In this notebook you saw" in summary


def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", text(path)):
        assert target.startswith("https://") or (path.parent / target).exists(), target
    for name in re.findall(r"`([\w./-]+\.ipynb)`", text(path)):
        assert (path.parent / name).exists(), name


# --- how much of it -------------------------------------------------------------------------------------------------


def test_it_is_short(path: Path) -> None:
    words = re.sub(r"[|#*`>-]+", " ", text(path)).split()
    assert len(words) <= (2000 if path == CLASS else 1700)
    assert len(cells(path)) <= 60
    assert path.stat().st_size < 600_000


def test_code_cells_are_short(path: Path) -> None:
    for cell in code(path):
        lines = cell["source"].splitlines()
        assert len([line for line in lines if line.strip()]) <= 15, cell["id"]
        assert max(map(len, lines)) <= 95, f"{cell['id']}: wider than the page"


def test_paragraphs_are_no_walls(path: Path) -> None:
    for cell in cells(path):
        if cell["cell_type"] == "markdown":
            for paragraph in re.split(r"\n[>\s]*\n|\n- |\n\d\. ", cell["source"]):
                assert len(paragraph.split()) <= 95, f"{cell['id']}: {paragraph[:60]}"


# --- predictions ----------------------------------------------------------------------------------------------------


def test_a_prediction_comes_before_its_result(path: Path) -> None:
    asked, told = [], []
    for cell in code(path):
        asked += PREDICTS.findall(cell["source"])
        told += REVEALS.findall(cell["source"])
        assert told == asked[: len(told)], f"{cell['id']}: a result without its prediction"
    assert asked, "a notebook asks for a prediction"
    assert told == asked
    assert len(set(asked)) == len(asked)
    assert all(question.startswith(f"{path.stem.split('-')[0]}.") for question in asked)


def test_outputs_between_prediction_and_result_are_folded(path: Path) -> None:
    open_questions: set[str] = set()
    for cell in code(path):
        open_questions -= set(REVEALS.findall(cell["source"]))
        hidden = cell["metadata"].get("jupyter", {}).get("outputs_hidden", False)
        assert hidden == bool(open_questions), cell["id"]
        open_questions |= set(PREDICTS.findall(cell["source"]))


def test_tags_say_what_a_cell_is(path: Path) -> None:
    vary = 0
    for cell in code(path):
        assert tags(cell) <= TAGS, cell["id"]
        assert ("predict" in tags(cell)) == bool(PREDICTS.search(cell["source"])), cell["id"]
        assert ("reveal" in tags(cell)) == bool(REVEALS.search(cell["source"])), cell["id"]
        assert ("vary" in tags(cell)) == ("ipywidgets." in cell["source"]), cell["id"]
        assert ("nbval-ignore-output" in tags(cell)) == bool(tags(cell) & CHANGES_EVERY_TIME), cell["id"]
        vary += "vary" in tags(cell)
    assert vary == (path != CLASS), "one control to vary"


def test_a_control_is_followed_by_the_same_in_numbers(lesson: Path) -> None:
    all_code = code(lesson)
    place = next(k for k, cell in enumerate(all_code) if "vary" in tags(cell))
    control = all_code[place]["source"]
    assert "continuous_update" in control
    assert "clear_output(wait=True)" in control
    assert 'names="value"' in control
    assert printed(all_code[place + 1]), "the next cell says it in numbers"


# --- the class session ----------------------------------------------------------------------------------------------


def test_the_class_session_fits_two_hours() -> None:
    assert len(cells(CLASS)) <= 40
    minutes = [sum(map(int, found.split("+"))) for found in re.findall(r"\*\((\d[\d +]*) minutes\)\*", text(CLASS))]
    assert sum(minutes) == 120
    last = text(CLASS)[-1500:]
    assert [words for words in BOX if words in last] == list(BOX)


def test_each_section_of_the_class_session_asks_tells_and_explores() -> None:
    """Heading, prediction, result, explorer; and what was seen, with links to the full notebooks, before the next."""
    title, _imports, *rest = cells(CLASS)
    *sections, farewell, ticket = rest
    assert title["source"].startswith("# class · ")
    assert "quiz" in tags(ticket)
    linked: set[str] = set()
    for number, first in enumerate(range(0, len(sections), 4), 1):
        heading, predict, reveal, explore = sections[first : first + 4]
        assert re.search(rf"^## {number} · ", heading["source"], re.M)
        assert ["predict" in tags(predict), "reveal" in tags(reveal), "explorer" in tags(explore)] == [True] * 3
        assert explore["source"].removeprefix("widgets.") in widgets.EXPLORERS
        after = sections[first + 4]["source"] if first + 4 < len(sections) else farewell["source"]
        links = re.findall(r"\]\((\d\d-[^)]+\.ipynb)\)", after.partition("\n---\n")[0])
        assert links, f"section {number} names its full notebook"
        linked |= set(links)
    assert linked == {path.name for path in LESSONS if path.name[0].isdigit()}
    assert len({cell["source"] for cell in code(CLASS) if "explorer" in tags(cell)}) == len(sections) / 4


# --- Spanish --------------------------------------------------------------------------------------------------------


def test_its_spanish_is_there_and_fresh(path: Path) -> None:
    assert editions.faults(path, whole=path == CLASS) == []


def test_the_editions_differ_in_texts_only() -> None:
    english, spanish = (editions.edition(editions.read(CLASS), language) for language in LANGUAGES)
    for here, there in zip(english["cells"], spanish["cells"], strict=True):
        assert (here == there) == (here["cell_type"] == "code")
        assert re.findall(r"\]\(([^)]+)\)", "".join(here["source"])) == re.findall(
            r"\]\(([^)]+)\)", "".join(there["source"])
        )


def test_a_stale_twin_is_found_and_marked_again(tmp_path: Path) -> None:
    copy = tmp_path / CLASS.name
    changed = CLASS.read_text(encoding="utf-8").replace("A machine-learning project is a loop", "It is a loop")
    copy.write_text(changed, encoding="utf-8")
    assert editions.faults(copy) == ["class-session.ipynb: the Spanish twin of cell 'recap' is stale."]
    assert editions.mark_twins(copy) == 1
    assert editions.faults(copy) == []
    renamed = changed.replace("p99 of latency, the machine 51", "p99 of the latency, the machine 51")
    copy.write_text(renamed, encoding="utf-8")
    assert "class-session.ipynb: the Spanish of prediction class.s1 is stale." in editions.faults(copy)


def test_no_wording_belongs_to_nobody() -> None:
    asked = {each.question for path in PATHS for each in editions.predictions(editions.read(path))}
    assert set(wordings()) == asked


# --- what is stored -------------------------------------------------------------------------------------------------


def test_every_cell_ran_once_in_order_without_error_or_warning(path: Path) -> None:
    assert [cell["execution_count"] for cell in code(path)] == list(range(1, len(code(path)) + 1))
    for cell in code(path):
        for output in cell["outputs"]:
            assert output["output_type"] != "error", cell["id"]
            assert output.get("name") != "stderr", cell["id"]


def test_metadata_is_small_and_says_python(path: Path) -> None:
    metadata = json.loads(path.read_text())["metadata"]
    assert metadata["kernelspec"]["name"] == "python3"
    assert metadata["language_info"]["name"] == "python"
    assert "widgets" not in metadata


def test_cells_have_names_that_last(path: Path) -> None:
    names = [cell["id"] for cell in cells(path)]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name) and re.search("[a-z]{3}", name) for name in names)
    assert not any(re.fullmatch("[0-9a-f]{8}", name) for name in names), "an id that a tool made up"


def test_outputs_name_no_place_and_no_time_of_this_machine(path: Path) -> None:
    for cell in code(path):
        seen = printed(cell) + cell["source"]
        assert not re.search(r"(?<![\w/.:])/(?:home|root|tmp|Users|usr|opt|work|mnt)/|[A-Z]:\\", seen), cell["id"]
        assert not re.search(r"%%?time|perf_counter|time\.time", cell["source"]), cell["id"]


def test_every_picture_is_followed_by_words(path: Path) -> None:
    for cell in code(path):
        kinds = ["image/png" in output.get("data", {}) for output in cell["outputs"]]
        if any(kinds):
            assert not kinds[-1], f"{cell['id']}: the words stand under the picture"
            assert len(printed(cell).split()) > 8, cell["id"]


# --- notebook 00 and a log of one's own -----------------------------------------------------------------------------

OTHER_LOGS = {
    "seconds, no work column": (
        pd.DataFrame({"seconds": [3599.0, 0.0, 17.25, 17.25, 1800.5]}),
        ("seconds", "{}", "sl.lognormal(mean=0.8, cv=0.5)"),
    ),
    "semicolons, decimal commas": (
        pd.DataFrame({"when": [f"2026-03-02 08:{minute:02}:05,250" for minute in range(60)], "words": [40.5] * 60}),
        ("when", '{"words": 0.03}', "sl.per_unit(base_s=0.2, s_per_unit=WORK)"),
    ),
    "ISO 8601, two work columns": (
        pd.DataFrame(
            {
                "TIMESTAMP": [f"2023-11-16 18:{minute:02}:46.6805900" for minute in range(60)],
                "ContextTokens": range(60),
                "GeneratedTokens": range(100, 160),
            }
        ),
        ("TIMESTAMP", '{"ContextTokens": 0.0002, "GeneratedTokens": 0.02}', "sl.per_unit(base_s=0.2, s_per_unit=WORK)"),
    ),
}


def run_through(notebook: nbformat.NotebookNode, folder: Path) -> None:
    """Run all cells; with a second kernel where the first falls silent, as ipykernel 7 does now and then."""
    resources = {"metadata": {"path": str(folder)}}
    try:
        NotebookClient(notebook, timeout=240, resources=resources).execute()
    except CellTimeoutError:
        NotebookClient(notebook, timeout=240, resources=resources).execute()


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHER_LOGS)
def test_notebook_00_replays_another_log(name: str, tmp_path: Path) -> None:
    frame, (time, work, service) = OTHER_LOGS[name]
    separate = {"sep": ";", "decimal": ","} if "semicolons" in name else {}
    frame.to_csv(tmp_path / "mine.csv", index=False, **separate)
    shutil.copy(FOLDER / "00-start-here.ipynb", tmp_path)
    notebook = nbformat.read(tmp_path / "00-start-here.ipynb", as_version=4)
    cell = next(cell for cell in notebook.cells if cell.id == "choose-log")
    for variable, value in (("LOG", '"mine.csv"'), ("TIME", f'"{time}"'), ("WORK", work)):
        cell.source, changed = re.subn(rf"^{variable} = .*$", f"{variable} = {value}", cell.source, flags=re.M)
        assert changed == 1, variable
    cell.source, changed = re.subn(r"^service = .*$", f"service = {service}", cell.source, flags=re.M)
    assert changed == 1
    run_through(notebook, tmp_path)
    look = next(cell for cell in notebook.cells if cell.id == "look-at-log")
    assert f"{len(frame)} requests in " in look.outputs[0].text
