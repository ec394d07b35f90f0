"""A class graded from end to end: one row a submission, the same bytes twice, restartable, and nothing hidden told."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from simlib.__main__ import main
from simlib.grading import sandbox
from simlib.grading.assignment import make_assignment
from simlib.grading.grade import Order, find_source, grade
from simlib.grading.records import Records, read_table
from simlib.grading.release import exercise_bytes
from simlib.grading.source import read
from simlib.parameters import ParameterError
from tests.small_exercise import NAME, SOLUTIONS, content, handed_in, write_source


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_source(tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="module")
def submissions(path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("submissions")
    honest = handed_in(path, **SOLUTIONS)
    wrong = handed_in(
        path, **{**SOLUTIONS, "q2": "def root(x):\n    if x > 100: raise ValueError(x)\n    return x / 2"}
    )
    for cell in wrong["cells"]:
        if cell["id"] == "q5-answer":
            cell["source"] = "Because <script>alert(1)</script>"
    (folder / "ana.ipynb").write_bytes(content(honest))
    (folder / "=ben").mkdir()
    (folder / "=ben" / "mi solución (1).ipynb").write_bytes(content(wrong))
    (folder / "untouched.ipynb").write_bytes(content(handed_in(path)))
    (folder / "truncated.ipynb").write_bytes(content(honest)[:500])
    (folder / "other.ipynb").write_bytes(content(honest | {"metadata": {"simlib": {"exercise": "03-other"}}}))
    return folder


def order(path: Path, submissions: Path, out: Path, **more: object) -> Order:
    return Order(submissions=submissions, out=out, source=path, **{"seed": "secret", "jobs": 1, **more})


@pytest.fixture(scope="module")
def out(path: Path, submissions: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("marks") / "out"
    before = {each: each.read_bytes() for each in submissions.rglob("*") if each.is_file()}
    grade(order(path, submissions, folder), progress=False)
    assert before == {each: each.read_bytes() for each in submissions.rglob("*") if each.is_file()}
    return folder


def bytes_of(out: Path) -> dict[str, bytes]:
    """Everything that a run wrote, but secrets and compiled code."""
    left_out = ("private/key", "private/engine")
    return {
        str(each.relative_to(out)): each.read_bytes()
        for each in sorted(out.rglob("*"))
        if each.is_file() and not str(each.relative_to(out)).startswith(left_out)
    }


def test_one_row_a_submission_and_only_what_passed_scores(out):
    header, rows = read_table(out / "marks.csv")
    assert header == ["student", "q1", "q2", "q3", "q4", "q5", "total", "max", "status", "reason"]
    found = {row["student"]: (row["total"], row["max"], row["status"]) for row in rows}
    assert found == {
        "ana": ("10", "11", "ok"),
        "'=ben": ("6", "11", "pending"),
        "untouched": ("0", "11", "ok"),
        "truncated": ("0", "11", "unreadable"),
        "other": ("0", "11", "mismatch"),
    }
    reasons = {row["student"]: row["reason"] for row in rows}
    assert reasons["untouched"].startswith("q1: not attempted; q2: not attempted")
    assert "breaks off" in reasons["truncated"]
    assert "03-other" in reasons["other"]


def test_nothing_hidden_is_told(out, path):
    results = [json.loads(each.read_text()) for each in (out / "private" / "results").iterdir()]
    assert len(results) == 5
    source = read(path)
    hidden = [str(case["x"]) for case in source.questions["q2"].hidden_cases("secret", NAME)]
    pages = "".join(each.read_text() for each in [*(out / "feedback").iterdir(), out / "overview.html"])
    pages += (out / "marks.csv").read_text()
    for text in (*hidden, "math.sqrt", "assert x", "SOLUTION", str(out), str(path.parent), "<script>"):
        assert text not in pages
    assert "x=9" in pages  # the public example is
    assert "got" in pages


def test_no_name_where_none_belongs(out):
    for name in ("overview.html", "private/receipts", "private/results", "private/last.json"):
        place = out / name
        for each in [place] if place.is_file() else place.iterdir():
            assert "=ben" not in each.read_text() + each.name


def test_a_second_run_grades_nothing_and_changes_nothing(out, path, submissions):
    before = bytes_of(out)
    again = grade(order(path, submissions, out), progress=False)
    assert again.new == 0
    assert again.changed == []
    assert bytes_of(out) == before


def test_another_seed_gives_the_same_marks(out, path, submissions, tmp_path):
    found = grade(order(path, submissions, tmp_path / "out", seed="other"), progress=False)
    assert {each["student"]: each["total"] for each in found.results} == {
        "ana": 10.0,
        "=ben": 6.0,
        "untouched": 0.0,
        "truncated": 0.0,
        "other": 0.0,
    }


def test_manual_marks_and_an_override_survive_a_regrade(out, path, submissions):
    manual, overrides = out / "manual.csv", out / "overrides.csv"
    kept = manual.read_text()
    manual.write_text(kept.replace("q5,,,", "q5,1,clear,", 1))
    overrides.write_text("student,points,reason,who,date\nuntouched,3,oral,Eva,2026-11-28\n")
    found = grade(order(path, submissions, out, only=("=ben",)), progress=False)
    totals = {each["student"]: (each["total"], each["status"]) for each in found.results}
    assert found.new == 1
    assert totals["=ben"] == (7.0, "ok")
    assert totals["untouched"] == (3.0, "ok")
    assert sorted(sentence.split(": ")[1] for sentence in found.changed) == ["0 → 3 points", "6 → 7 points"]
    manual.write_text(kept)
    overrides.unlink()
    grade(order(path, submissions, out), progress=False)


def test_what_cannot_be_graded_is_one_sentence(out, path, submissions, tmp_path):
    with pytest.raises(ParameterError, match="no submission of zoe"):
        grade(order(path, submissions, out, only=("zoe",)), progress=False)
    with pytest.raises(ParameterError, match="another seed"):
        grade(order(path, submissions, out, seed="x"), progress=False)
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(ParameterError, match="holds other files"):
        grade(order(path, submissions, tmp_path), progress=False)


def test_the_source_is_found_by_what_most_say(path, submissions):
    assert find_source(submissions, path.parent) == path
    with pytest.raises(ParameterError, match="--source"):
        find_source(submissions, submissions)


DIES = """
import os, signal, sys
from simlib.__main__ import main
from simlib.grading.records import Records
keep, kept = Records.keep, []

def keep_and_die(self, *what):
    keep(self, *what)
    kept.append(what)
    if len(kept) == 3:
        os.killpg(0, signal.SIGKILL)

Records.keep = keep_and_die
main(sys.argv[1:])
"""


def test_killed_in_the_middle_it_goes_on_side_by_side_to_the_same_bytes(out, path, submissions, tmp_path):
    """Another folder, another process, another number of jobs, an end between a student's receipt and result."""
    other = tmp_path / "killed"
    (other / "private").mkdir(parents=True)
    (other / "private" / "key").write_bytes((out / "private" / "key").read_bytes())
    words = ["grade", submissions, "--out", other, "--source", path, "--seed", "secret", "--jobs", 1]
    process = subprocess.Popen([sys.executable, "-c", DIES, *map(str, words)], start_new_session=True)
    assert process.wait() == -signal.SIGKILL
    assert len(list((other / "private").glob("results/s*"))) == 1
    assert not (other / "marks.csv").exists()
    grade(order(path, submissions, other, jobs=2), progress=False)
    assert bytes_of(other) == bytes_of(out)


def test_individual_numbers(path, tmp_path):
    folder = tmp_path / "submissions"
    folder.mkdir()
    common = read(path)
    for student, text in (("ana", SOLUTIONS["q1"]), ("ben", "total = 5.0")):
        own = read(path, given=common.variant(student))
        notebook = json.loads(exercise_bytes(own, student=student))
        for cell in notebook["cells"]:
            if cell["id"] == "q1-answer":
                cell["source"] = text
        (folder / f"{student}.ipynb").write_bytes(content(notebook))
    found = grade(order(path, folder, tmp_path / "out", is_individual=True), progress=False)
    assert [each["questions"][0]["points"] for each in found.results] == [2.0, 0.0]


def test_a_private_source_is_whole_and_outside_the_repository(tmp_path, capsys):
    target = tmp_path / "private" / "midterm.ipynb"
    assert main(["new-assignment", str(target)]) == 0
    source = read(target)
    assert {question.kind for question in source.questions.values()} == {"open", "value", "policy"}
    assert source.points == 10
    assert main(["release", str(target), "--out", str(tmp_path / "handout")]) == 0
    assert main(["new-assignment", str(target)]) == 2
    with pytest.raises(ParameterError, match="which is public"):
        make_assignment(sandbox.PACKAGE.parent / "solutions" / "x.ipynb", sandbox.PACKAGE.parent)
    capsys.readouterr()


def test_doctor_and_forget_from_the_command_line(out, capsys):
    assert main(["doctor", "--grading"]) == 0
    assert "limits on memory" in capsys.readouterr().out
    assert main(["forget", "zoe", "--out", str(out)]) == 0
    assert "nothing was kept" in capsys.readouterr().out
    assert main(["forget", "zoe", "--out", str(out.parent)]) == 2
    assert Records(out).result(Records(out).pseudonym("ana")) is not None
