"""The generator of exercises on its own: what is taken out, what stays, what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from simlib.__main__ import main
from simlib.exercises import Exercise
from simlib.grading.release import (
    exercise_bytes,
    mark_twins,
    release,
    release_individually,
    twins_at_fault,
    without_solution,
)
from simlib.grading.source import read
from simlib.languages import choose, current, mark
from simlib.parameters import ParameterError

QUESTION = 'question("q1", "function", answer="twice", points=2, unit="s", examples=[{"x": 2}], {more})'
MORE = 'hidden=lambda rng: [{"x": int(rng.integers(3, 99))}], hints=["one", "two", "three"], wrong=["a", "b"]'


def cell(text: str, tag: str = "", kind: str = "code", **metadata: Any) -> dict[str, Any]:
    metadata |= {"tags": [tag]} if tag else {}
    content = {"cell_type": kind, "id": f"{tag or kind}-{mark(text)[:4]}", "metadata": metadata, "source": text}
    return content | ({"execution_count": 1, "outputs": []} if kind == "code" else {})


def write(path: Path, cells: list[dict[str, Any]]) -> Path:
    path.write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    return path


def small(**instead: str) -> list[dict[str, Any]]:
    return [
        cell("# Title", kind="markdown", es={"text": "# Título", "of": mark("# Title")}),
        cell('given = {"a": 1}', "given"),
        cell(
            instead.get(
                "teacher",
                "from simlib.grading import question, variants\n"
                'variants(lambda rng: {"a": int(rng.integers(2, 10**6))})',
            ),
            "teacher",
        ),
        cell(
            instead.get("answer", "def twice(x):\n    # BEGIN SOLUTION\n    return 2 * x\n    # END SOLUTION"), "answer"
        ),
        cell(
            instead.get("question", QUESTION.replace("{more}", MORE)),
            "question",
            es={"text": "uno\ndos\ntres", "of": mark("one\ntwo\nthree")},
        ),
    ]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path / "01-small.ipynb", small())


def texts(content: bytes) -> list[str]:
    return ["".join(cell["source"]) for cell in json.loads(content)["cells"]]


# --- taken out ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (
            "def f(x):\n    # BEGIN SOLUTION\n    return x\n    # END SOLUTION",
            "def f(x):\n    ...  # your answer",
        ),
        ("# BEGIN SOLUTION y = ...\ny = 1\nz = 2\n# END SOLUTION\nshow(y)", "y = ...\nshow(y)"),
        ("# BEGIN SOLUTION\n# END SOLUTION", "...  # your answer"),
        ("a\n# BEGIN SOLUTION\nb\n# END SOLUTION\nc\n#BEGIN SOLUTION\nd\n#END SOLUTION", None),
        ("<!-- BEGIN SOLUTION -->\nbecause\n<!-- END SOLUTION -->", "...  # your answer"),
    ],
)
def test_the_gap_where_a_solution_was(text, left):
    expected = left or "a\n...  # your answer\nc\n...  # your answer"
    assert without_solution(text, "...  # your answer") == expected


@pytest.mark.parametrize("text", ["y = 1", "# BEGIN SOLUTION\ny = 1", "# END SOLUTION\n# BEGIN SOLUTION"])
def test_an_answer_without_whole_markers_is_refused(text):
    with pytest.raises(ParameterError, match="between the lines"):
        without_solution(text, "...")


def test_the_students_notebook(path):
    found = texts(exercise_bytes(read(path)))
    assert found[0] == "# Title"
    assert found[1] == 'given = {"a": 1}'
    assert found[2].startswith("# The public examples")
    assert found[2].endswith('check = Exercise("01-small")')
    assert found[3:] == ["# q1: your answer\ndef twice(x):\n    ...  # your answer", 'check("q1")']
    kept = json.loads(exercise_bytes(read(path)))["metadata"]["simlib"]["check"]
    assert kept["questions"]["q1"]["expected"] == [4]
    assert "rng" not in exercise_bytes(read(path)).decode()


def test_the_same_bytes_each_time_and_nothing_written_twice(path, tmp_path):
    assert exercise_bytes(read(path)) == exercise_bytes(read(path))
    written = release(path, tmp_path / "out")
    before = written.stat().st_mtime_ns
    assert release(path, tmp_path / "out").stat().st_mtime_ns == before


def test_in_spanish_only_texts_differ(path):
    assert texts(exercise_bytes(read(path), "es"))[0] == "# Título"
    assert texts(exercise_bytes(read(path), "es"))[1:] == texts(exercise_bytes(read(path)))[1:]
    for language in ("en", "es"):
        kept = json.loads(exercise_bytes(read(path), language))["metadata"]["simlib"]["check"]
        assert kept["questions"]["q1"]["hints"] == {"en": ["one", "two", "three"], "es": ["uno", "dos", "tres"]}


# --- what check finds -----------------------------------------------------------------------------------------------


def test_check_finds_its_hints_in_the_notebook_under_any_name(path, tmp_path, monkeypatch):
    release(path, tmp_path / "out").rename(tmp_path / "out" / "Ejercicio de Ana (1).ipynb")
    (tmp_path / "out" / "broken.ipynb").write_text("{")
    (tmp_path / "out" / "other.ipynb").write_text('{"metadata": {"simlib": 1}}')
    monkeypatch.chdir(tmp_path / "out")
    monkeypatch.setenv("SIMLIB_LANG", "en")
    check = Exercise("01-small")
    assert check.report("q1", {"twice": lambda x: 2 * x})[0].startswith("q1: right on 1 of 1.")
    assert check.report("q1", {"twice": lambda x: x})[-1] == "Hint 1 of 3: one"


def test_check_takes_no_other_students_numbers(path, tmp_path, monkeypatch):
    for written in release_individually(path, tmp_path / "out", ["ana", "ben"]):
        monkeypatch.chdir(written.parent)
        student = written.parent.name
        assert texts(written.read_bytes())[2].endswith(f'check = Exercise("01-small", student="{student}")')
        assert f'"a": {Exercise("01-small", student=student).given["a"]},' in texts(written.read_bytes())[1]
    with pytest.raises(ParameterError, match="no notebook in the working folder holds"):
        Exercise("01-small", student="ana")


def test_without_its_notebook_the_courses_copy_serves(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Exercise("02-real-time-endpoints").name == "02-real-time-endpoints"
    with pytest.raises(ParameterError, match="no notebook in the working folder holds"):
        Exercise("99-none")


# --- twins ----------------------------------------------------------------------------------------------------------


def test_a_changed_text_makes_its_twin_stale_until_it_is_marked(tmp_path):
    cells = small(question=QUESTION.replace("{more}", MORE.replace('"three"', '"four"')))
    cells[0]["source"] = "# Another title"
    cells.insert(1, cell("No twin.", kind="markdown"))
    path = write(tmp_path / "01-small.ipynb", cells)
    faults = twins_at_fault(read(path))
    assert [fault.split()[-1] for fault in faults] == ["stale.", "missing.", "stale."]
    assert mark_twins(path) == 2
    assert [fault.split()[-1] for fault in twins_at_fault(read(path))] == ["missing."]


def test_the_language_of_messages(tmp_path, monkeypatch):
    monkeypatch.setenv("SIMLIB_HOME", str(tmp_path / "home"))
    for name in ("SIMLIB_LANG", "LC_ALL", "LANG"):
        monkeypatch.delenv(name, raising=False)
    assert current() == "en"
    choose("es")
    assert current() == "es"
    monkeypatch.setenv("SIMLIB_LANG", "en_GB.UTF-8")
    assert current() == "en"
    with pytest.raises(ParameterError, match="'fr' is not possible"):
        choose("fr")


# --- variants -------------------------------------------------------------------------------------------------------


def test_each_student_gets_numbers_of_his_own(path, tmp_path):
    ana, ben = release_individually(path, tmp_path / "out", ["ana", "ben"])
    assert texts(ana.read_bytes())[1] != texts(ben.read_bytes())[1]
    assert json.loads(ana.read_bytes())["metadata"]["simlib"]["student"] == "ana"
    again = release_individually(path, tmp_path / "again", ["ana"])[0]
    assert again.read_bytes() == ana.read_bytes()


@pytest.mark.parametrize("student", ["../ana", "", ".", "a\nb"])
def test_a_student_who_cannot_name_a_folder_is_refused(path, tmp_path, student):
    with pytest.raises(ParameterError, match="cannot name a folder"):
        release_individually(path, tmp_path / "out", ["ben", student])
    assert not (tmp_path / "out").exists()


# --- a source that is none ------------------------------------------------------------------------------------------

NAMED_Q2 = QUESTION.replace('"q1"', '"q2"').replace("{more}", MORE)


@pytest.mark.parametrize(
    ("instead", "sentence"),
    [
        ({"question": QUESTION.replace("{more}", "hints=[]")}, "question 'q1' needs 3 hints"),
        ({"question": QUESTION.replace("{more}", MORE).replace("2, unit", "0, unit")}, "needs points greater than 0"),
        ({"question": QUESTION.replace("{more}", MORE).replace(', wrong=["a", "b"]', "")}, "two known wrong answers"),
        ({"question": NAMED_Q2}, "q1, q2, … in order"),
        ({"question": "1 + 1"}, "should describe one question"),
        ({"answer": "1 / 0"}, "ZeroDivisionError"),
        ({"answer": "x = 1"}, "defines no 'twice'"),
    ],
)
def test_what_is_missing_is_said_in_a_sentence(tmp_path, instead, sentence):
    path = write(tmp_path / "01-small.ipynb", small(**instead))
    with pytest.raises(ParameterError, match=sentence):
        read(path)


def test_an_answer_without_a_question_is_named(tmp_path):
    cells = small()
    path = write(tmp_path / "01-small.ipynb", [*cells[:3], cells[3], *cells[3:]])
    with pytest.raises(ParameterError, match="has no question below it"):
        read(path)


# --- the command ----------------------------------------------------------------------------------------------------


def test_release_and_check_from_the_command_line(path, tmp_path, capsys):
    arguments = ["release", str(path), "--out", str(tmp_path / "out")]
    assert main([*arguments, "--check"]) == 1
    assert "is not what its source says" in capsys.readouterr().out
    assert main(arguments) == 0
    assert main([*arguments, "--check"]) == 0
    (tmp_path / "students.csv").write_text("student,name\nana,Ana\nben,Ben\n")
    assert main([*arguments, "--individual", str(tmp_path / "students.csv")]) == 0
    assert (tmp_path / "out" / "ben" / "01-small.ipynb").exists()


def test_a_file_that_is_no_notebook_is_one_sentence(tmp_path, capsys):
    (tmp_path / "x.ipynb").write_text("{")
    assert main(["release", str(tmp_path / "x.ipynb")]) == 2
    assert "is not a notebook that can be read" in capsys.readouterr().err
