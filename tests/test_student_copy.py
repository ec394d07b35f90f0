"""The learner's copy: no answers in it, brought up to date, and never a word of the learner's lost."""

import json
import os
import re
from pathlib import Path

import pytest

from simlib.__main__ import main
from simlib.parameters import ParameterError
from simlib.student_copy import STATE, fingerprint, make_student_copy, make_work_copy, spoken_in


def notebook(*sources: str, outputs: bool = True) -> str:
    cells = [
        {
            "cell_type": "code",
            "execution_count": 3 if outputs else None,
            "id": f"cell-{number}",
            "metadata": {"jupyter": {"outputs_hidden": True}, "tags": ["predict"]},
            "outputs": [{"output_type": "stream", "name": "stdout", "text": ["the answer\n"]}] if outputs else [],
            "source": [source],
        }
        for number, source in enumerate(sources)
    ]
    text = {"cell_type": "markdown", "id": "text", "metadata": {}, "source": ["# Title – título\n", "and more"]}
    return json.dumps({"cells": [text, *cells], "metadata": {"widgets": {"a": 1}}, "nbformat": 4, "nbformat_minor": 5})


def linked(link: str) -> str:
    return notebook("1 + 1").replace("and more", f"and [more]({link})")


@pytest.fixture
def course(tmp_path: Path) -> Path:
    folder = tmp_path / "course"
    files = {
        "notebooks/00-start-here.ipynb": notebook("1 + 1"),
        "notebooks/02-real-time.ipynb": notebook("2 + 2"),
        "notebooks/data/log.csv": "t\n1\n",
        "notebooks/generated-log.csv": "t\n1\n",
        "notebooks/generated-options.md": "| option |\n",
        "notebooks/.ipynb_checkpoints/00-start-here.ipynb": notebook("1 + 1"),
        "exercises/ex02.ipynb": notebook("3 + 3"),
        "solutions/ex02.ipynb": notebook("secret"),
        "tests/test_it.py": "",
        "simlib/__init__.py": "",
        "simlib/pricing/prices.csv": "usd\n1\n",
        "simlib/grading/grade.py": "secret",
        "simlib/__pycache__/x.pyc": "",
        "Makefile": "lab:\n",
        "README.md": "read me\n",
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def work(course: Path) -> Path:
    return course / "work"


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def change(path: Path, **of_first_code_cell: object) -> None:
    content = json.loads(path.read_text())
    content["cells"][1].update(of_first_code_cell)
    path.write_text(json.dumps(content))


RESULT = [{"output_type": "execute_result", "data": {"text/plain": ["2"]}, "execution_count": 1, "metadata": {}}]


# --- the first time -------------------------------------------------------------------------------------------------


def test_the_copy_holds_notebooks_exercises_and_data(course, work):
    report = make_work_copy(course, work)
    expected = {"00-start-here.ipynb", "02-real-time.ipynb", "data/log.csv", "exercises/ex02.ipynb", "glossary.ipynb"}
    assert names(work) == expected | {STATE.as_posix()}
    assert set(report.added) == expected
    assert report.sentences() == [f"{work}: 5 new."]


def test_the_copy_gives_no_answer_away_and_hides_nothing(course, work):
    make_work_copy(course, work)
    text = (work / "00-start-here.ipynb").read_text()
    cell = json.loads(text)["cells"][1]
    assert "the answer" not in text
    assert cell["outputs"] == []
    assert cell["execution_count"] is None
    assert cell["metadata"] == {"jupyter": {}, "tags": ["predict"]}
    assert "título" in text


def links_that_lead_nowhere(folder: Path) -> list[str]:
    lost = []
    for path in folder.rglob("*.ipynb"):
        cells = json.loads(path.read_text())["cells"]
        text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
        links = re.findall(r"\]\(([^):#]+)\)", text)
        lost += [f"{path.name}: {link}" for link in links if not (path.parent / link).exists()]
    return lost


def test_links_between_notebooks_and_exercises_lead_there_in_both_copies(course, work, tmp_path):
    (course / "notebooks/00-start-here.ipynb").write_text(linked("../exercises/ex02.ipynb"))
    (course / "notebooks/02-real-time.ipynb").write_text(linked("../docs/glossary.md"))
    (course / "exercises/ex02.ipynb").write_text(linked("../notebooks/00-start-here.ipynb"))
    make_work_copy(course, work)
    make_student_copy(course, tmp_path / "handed out")
    assert "](exercises/ex02.ipynb)" in (work / "00-start-here.ipynb").read_text()
    assert "](glossary.ipynb)" in (work / "02-real-time.ipynb").read_text()
    assert links_that_lead_nowhere(work) == []
    assert links_that_lead_nowhere(tmp_path / "handed out") == []


def test_links_of_this_course_lead_there_in_a_learners_copy(tmp_path):
    make_work_copy(Path(__file__).parents[1], tmp_path)
    assert len(list((tmp_path / "exercises").iterdir())) > 5
    assert links_that_lead_nowhere(tmp_path) == []


def test_a_copy_keeps_its_language_and_takes_that_of_what_was_handed_out(tmp_path, monkeypatch):
    """`make lab` names no language: what was Spanish, a teacher's folder or one's own copy, stays so."""
    course, handed_out, work = Path(__file__).parents[1], tmp_path / "clase", tmp_path / "work"
    monkeypatch.setattr("simlib.course.place.course_folder", lambda: course)
    assert main(["student-copy", str(handed_out), "--lang", "es"]) == 0
    monkeypatch.setattr("simlib.course.place.course_folder", lambda: handed_out)
    monkeypatch.setattr("simlib.course.place.work_folder", lambda: work)
    for _ in range(2):
        assert main(["student-copy", "--work"]) == 0
        assert spoken_in(work) == "es"
        assert "# Glosario" in (work / "glossary.ipynb").read_text()
    assert "# clase" in (work / "class-session.ipynb").read_text()
    assert main(["student-copy", "--work", "--lang", "en"]) == 0
    assert spoken_in(work) is None


def test_a_changed_hint_reaches_an_untouched_exercise(course, work):
    for hint in ("look", "look twice"):
        content = json.loads(notebook("3 + 3"))
        content["metadata"]["simlib"] = {"exercise": "ex02", "check": {"hints": [hint]}}
        (course / "exercises/ex02.ipynb").write_text(json.dumps(content))
        make_work_copy(course, work)
    assert "look twice" in (work / "exercises/ex02.ipynb").read_text()


def test_a_course_without_exercises_is_fine(course, work):
    (course / "exercises/ex02.ipynb").unlink()
    (course / "exercises").rmdir()
    assert "00-start-here.ipynb" in make_work_copy(course, work).added


def test_a_second_run_changes_nothing(course, work):
    make_work_copy(course, work)
    before = {name: (work / name).stat().st_mtime_ns for name in names(work) - {STATE.as_posix()}}
    assert make_work_copy(course, work).sentences() == [f"{work}: up to date."]
    assert before == {name: (work / name).stat().st_mtime_ns for name in before}


# --- what the learner did is his ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "learners_change",
    [
        pytest.param({"source": "my own code"}, id="code"),
        pytest.param({"outputs": RESULT}, id="a result"),
        pytest.param({"cell_type": "markdown"}, id="kind of cell"),
    ],
)
def test_what_the_learner_touched_is_never_overwritten(course, work, learners_change):
    make_work_copy(course, work)
    mine = work / "00-start-here.ipynb"
    change(mine, **learners_change)
    before = mine.read_bytes()
    assert make_work_copy(course, work).kept == [], "nothing newer, so nothing to say"
    (course / "notebooks/00-start-here.ipynb").write_text(notebook("new text"))
    report = make_work_copy(course, work)
    assert mine.read_bytes() == before
    assert report.kept == ["00-start-here.ipynb"]
    assert "stays as you left it" in report.sentences()[-1]


def test_what_jupyter_saved_in_its_own_way_is_not_touched(course, work):
    make_work_copy(course, work)
    mine = work / "00-start-here.ipynb"
    content = json.loads(mine.read_text())
    content["metadata"]["kernelspec"] = {"name": "python3"}
    content["cells"][1] |= {"id": "other", "source": "1 + 1", "execution_count": 7, "metadata": {"trusted": True}}
    mine.write_text(json.dumps(content, sort_keys=True, indent=4))
    (course / "notebooks/00-start-here.ipynb").write_text(notebook("new text"))
    assert make_work_copy(course, work).updated == ["00-start-here.ipynb"]
    assert "new text" in mine.read_text()


def test_a_change_of_the_course_reaches_untouched_files(course, work):
    make_work_copy(course, work)
    (course / "notebooks/data/log.csv").write_text("t\n2\n")
    assert make_work_copy(course, work).updated == ["data/log.csv"]
    assert (work / "data/log.csv").read_text() == "t\n2\n"


def test_a_deleted_file_is_handed_out_anew(course, work):
    make_work_copy(course, work)
    (work / "00-start-here.ipynb").unlink()
    assert make_work_copy(course, work).added == ["00-start-here.ipynb"]


def test_files_of_the_learners_own_stay(course, work):
    make_work_copy(course, work)
    (work / "mine.ipynb").write_text("mine")
    (course / "notebooks/mine.ipynb").write_text(notebook("the course's"))
    assert make_work_copy(course, work).kept == ["mine.ipynb"]
    assert (work / "mine.ipynb").read_text() == "mine"


def test_a_broken_notebook_of_the_learners_stays(course, work):
    make_work_copy(course, work)
    (work / "00-start-here.ipynb").write_text("{ half")
    (course / "notebooks/00-start-here.ipynb").write_text(notebook("new text"))
    assert make_work_copy(course, work).kept == ["00-start-here.ipynb"]


def test_what_left_the_course_leaves_the_copy_unless_touched(course, work):
    make_work_copy(course, work)
    change(work / "02-real-time.ipynb", source="mine")
    for name in ("00-start-here", "02-real-time"):
        (course / f"notebooks/{name}.ipynb").unlink()
    assert make_work_copy(course, work).removed == ["00-start-here.ipynb"]
    assert not (work / "00-start-here.ipynb").exists()
    assert (work / "02-real-time.ipynb").exists()


# --- when things go wrong -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"format": 99, "fingerprints": {}}', '{"format": 1}', "\x00\xff"])
def test_with_a_damaged_memory_nothing_is_lost(course, work, damage):
    make_work_copy(course, work)
    change(work / "00-start-here.ipynb", source="mine")
    (work / STATE).write_text(damage)
    (course / "notebooks/00-start-here.ipynb").write_text(notebook("new text"))
    report = make_work_copy(course, work)
    assert len(report.warnings) == 1
    assert "taken as yours" in report.sentences()[0]
    assert "mine" in (work / "00-start-here.ipynb").read_text()
    assert (work / ".simlib/handed-out.damaged.json").read_text() == damage
    assert make_work_copy(course, work).warnings == [], "said once"


def test_an_interrupted_write_leaves_the_old_file(course, work, monkeypatch):
    make_work_copy(course, work)
    before = (work / "00-start-here.ipynb").read_bytes()
    (course / "notebooks/00-start-here.ipynb").write_text(notebook("new text"))

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", interrupted)
        with pytest.raises(KeyboardInterrupt):
            make_work_copy(course, work)
    assert (work / "00-start-here.ipynb").read_bytes() == before
    assert not [name for name in names(work) if name.startswith(".00")]
    assert make_work_copy(course, work).updated == ["00-start-here.ipynb"]


def test_no_notebooks_is_one_sentence(tmp_path):
    with pytest.raises(FileNotFoundError, match="has no folder notebooks/"):
        make_work_copy(tmp_path, tmp_path / "work")


def test_a_damaged_notebook_of_the_course_is_named(course, work):
    (course / "notebooks/02-real-time.ipynb").write_text("{")
    with pytest.raises(ParameterError, match="02-real-time"):
        make_work_copy(course, work)


def test_fingerprint_of_other_files_is_their_bytes():
    assert fingerprint("a.csv", b"1") != fingerprint("a.csv", b"1\n")


# --- what a teacher hands out ---------------------------------------------------------------------------------------


def test_the_handed_out_folder_has_no_solutions_tests_or_grading(course, tmp_path):
    make_student_copy(course, tmp_path / "out")
    assert names(tmp_path / "out") == {
        "README.md",
        "Makefile",
        "notebooks/00-start-here.ipynb",
        "notebooks/02-real-time.ipynb",
        "notebooks/glossary.ipynb",
        "notebooks/data/log.csv",
        "exercises/ex02.ipynb",
        "simlib/__init__.py",
        "simlib/pricing/prices.csv",
        STATE.as_posix(),
    }
    assert "the answer" not in (tmp_path / "out/notebooks/00-start-here.ipynb").read_text()


def test_an_empty_folder_and_an_earlier_copy_are_accepted(course, tmp_path):
    (tmp_path / "out").mkdir()
    make_student_copy(course, tmp_path / "out")
    (course / "simlib/__init__.py").write_text("x = 1\n")
    assert make_student_copy(course, tmp_path / "out").updated == ["simlib/__init__.py"]


def test_another_folder_is_refused(course, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/thesis.tex").write_text("years of work")
    with pytest.raises(FileExistsError, match="is no student copy"):
        make_student_copy(course, tmp_path / "out")
    assert names(tmp_path / "out") == {"thesis.tex"}
