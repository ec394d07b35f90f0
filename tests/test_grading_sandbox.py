"""A class of honest and hostile students, graded through the command line in one run; then one test a submission.

What they hand in: tests/handed_in.py.  For all of them holds: the run ends well with one row a submission, nobody
touches another's marks, nothing hidden is told, nothing is changed, and nothing is left behind.
"""

import html
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from simlib.grading import sandbox
from simlib.grading.answers import answers_in
from simlib.grading.grade import Order, grade
from simlib.grading.marking import Mark, Plan, make_plan, mark
from simlib.grading.records import read_table
from simlib.grading.running import Engine
from simlib.grading.source import read
from tests.handed_in import BAD_FILES, ENDLESS, GREEDY, HONEST, HOSTILE, ONLY_SHUT_IN, Work
from tests.small_exercise import NAME, POINTS, SOLUTIONS, content, handed_in, write_source

pytestmark = pytest.mark.skipif(os.name == "nt", reason="grading does not run on Windows")
SEED = "secret"
CELL_S = 60  # what no honest cell reaches, however busy the machine is
APART = ((ENDLESS, sandbox.Limits(cell_s=1)), (GREEDY, sandbox.Limits(cell_s=CELL_S, resident_mb=512, output_mb=1)))
SHUT_IN = sandbox.isolation().namespaces
NAMES = ("=cmd|'C calc'!A0", "@ana", "José Ángel (1) ñ", "a" * 200, "new\nline", 'quo"te', "<b>bold", "-name")


@dataclass(frozen=True)
class Class:
    """What the runs left: their folders, rows of `marks.csv` by student, what was printed, and what should be gone."""

    outs: list[Path]
    rows: dict[str, dict[str, str]]
    printed: str
    left: list[str]

    def pages(self) -> list[Path]:
        """Every student's feedback."""
        return [page for out in self.outs for page in (out / "feedback").iterdir()]

    def feedback(self, student: str) -> str:
        """The page of a student."""
        return next(page for page in self.pages() if page.stem == student).read_text()


def student(name: str) -> str:
    """The folder's name for an entry of the tables."""
    return "".join(letter if letter.isalnum() else "-" for letter in name)


def hand_in(folder: Path, source: Path, names: Iterable[str]) -> None:
    """Write these entries' submissions."""
    for name in names:
        if name in ONLY_SHUT_IN and not SHUT_IN:
            continue
        (folder / student(name)).mkdir()
        (folder / student(name) / "my solution é (2).ipynb").write_bytes((HONEST | HOSTILE)[name].file(source))


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_source(tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="module")
def submissions(path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("handed-in")
    hand_in(folder, path, [name for name in HONEST | HOSTILE if name not in ENDLESS | GREEDY])
    for name, (_, make) in BAD_FILES.items():
        (folder / f"{student(name)}.ipynb").write_bytes(make(handed_in(path, **SOLUTIONS)))
    right = content(handed_in(path, **SOLUTIONS))
    for name in NAMES:
        (folder / f"{name}.ipynb").write_bytes(right)
    Path(os.fsencode(folder).decode() + "/" + os.fsdecode(b"\xff\xfe.ipynb")).write_bytes(right)
    (folder / "beside").mkdir()
    (folder / "beside" / "mine.ipynb").write_bytes(right)
    (folder / "beside" / "conftest.py").write_text("raise SystemExit('pwned')")
    (folder / "beside" / "pytest.ini").write_text("[pytest]\naddopts = --pdb")
    (folder / "beside" / "simlib").mkdir()
    (folder / "beside" / "simlib" / "__init__.py").write_text("raise SystemExit('pwned')")
    (folder / "link.ipynb").symlink_to(path)
    with zipfile.ZipFile(folder / "zipped.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../../pwned.ipynb", right)
        archive.writestr("bomb.ipynb", bytes(300 * 2**20))
    (folder / "untouched.ipynb").write_bytes(content(handed_in(path)))
    os.mkfifo(folder / "pipe.ipynb")
    return folder


@pytest.fixture(scope="module")
def graded(path: Path, submissions: Path, plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Class]:
    """The whole class, graded once by the command that a teacher uses; a few of it apart, under limits of their own."""
    outs = [tmp_path_factory.mktemp("marks") / "out" for _ in range(3)]
    place = tempfile.mkdtemp(prefix="t")  # short, as sockets need it, and ours: what is left in it is the run's
    before = contents(submissions, path.parent, sandbox.PACKAGE)
    others = set(sandbox.descendants(os.getpid()))
    sandbox.adopt_orphans()  # so that what the run leaves is found below this process
    words = ["grade", submissions, "--out", outs[0], "--source", path, "--seed", SEED, "--cell-seconds", CELL_S]
    done = subprocess.run(
        [sys.executable, "-m", "simlib", *map(str, words)],
        env=os.environ | {"TMPDIR": place},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", place)
        for out, (names, limits) in zip(outs[1:], APART, strict=True):
            folder = tmp_path_factory.mktemp("apart")
            hand_in(folder, path, sorted(names))
            grade(Order(folder, out, path, seed=SEED, jobs=1, limits=limits), progress=False)
    left = [name for pid in set(sandbox.descendants(os.getpid())) - others for name in [name_of(pid)] if name]
    left += [name for name in os.listdir(place) if name.startswith("sg")]
    assert contents(submissions, path.parent, sandbox.PACKAGE) == before
    rows = {row["student"]: row for out in outs for row in read_table(out / "marks.csv")[1]}
    yield Class(outs, rows, done.stdout + done.stderr, left)
    shutil.rmtree(place)


def contents(*folders: Path) -> dict[Path, bytes]:
    """Every file below, but compiled code."""
    files = [each for folder in folders for each in folder.rglob("*") if each.is_file() and not each.is_symlink()]
    return {each: each.read_bytes() for each in files if "__pycache__" not in each.parts}


def name_of(pid: int) -> str:
    """What a process was started with; "" if it has ended, even if nobody has asked how."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def hidden(path: Path) -> list[str]:
    """Every hidden number, input or expected, as it would be written."""
    source = read(path)
    inputs = [case["x"] for name in ("q2", "q3") for case in source.questions[name].hidden_cases(SEED, NAME)]
    givens = [source.variant(f"hidden {k}", seed=SEED) for k in range(4)]
    values = [abs(x) ** 0.5 for x in inputs] + [given["a"] + given["b"] for given in givens]
    return [f"{number:.8g}" for number in (*inputs, *values, *(x for given in givens for x in given.values()))]


# --- each submission ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", HONEST)
def test_honest_work_loses_nothing(name, graded):
    row = graded.rows[student(name)]
    assert {question: float(row[question]) for question in POINTS} == POINTS, row["reason"]
    assert row["status"] == "ok"


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_work_loses_its_own_points_only(name, graded, path):
    if not SHUT_IN and name in ONLY_SHUT_IN:
        pytest.skip("no namespaces on this machine: only limits hold, and the report says so")
    work: Work = HOSTILE[name]
    row = graded.rows[student(name)]
    scored = {question: float(row[question]) for question in POINTS}
    assert all(scored[question] == 0 for question in work.answers), row
    others = POINTS.keys() - work.answers.keys() - work.spoils
    assert {question: scored[question] for question in others} == {q: POINTS[q] for q in others}, row
    assert row["status"] == work.status or work.status == "?", row
    told = row["reason"] + graded.feedback(student(name))
    assert "LEAK" not in told
    assert not any(number in told for number in hidden(path))


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_scores_nothing_and_says_why(name, graded):
    row = graded.rows[student(name)]
    assert (row["status"], row["total"]) == (BAD_FILES[name][0], "0")
    assert row["reason"]


@pytest.mark.parametrize("name", NAMES)
def test_whatever_a_student_is_called(name, graded):
    called = name if not name.startswith(("=", "@", "-")) else "'" + name
    assert graded.rows[called]["total"] == "10"


# --- the class ------------------------------------------------------------------------------------------------------


def test_one_row_a_submission(graded, submissions):
    handed_in = len(list(submissions.iterdir())) + sum(SHUT_IN or name not in ONLY_SHUT_IN for name in ENDLESS | GREEDY)
    assert len(graded.rows) == handed_in == len(graded.pages())
    assert sum(row["total"] == "10" for row in graded.rows.values()) == len(HONEST) + len(NAMES) + 2


def test_links_pipes_zips_and_files_beside_the_notebook(graded):
    assert graded.rows["beside"]["total"] == "10"
    assert graded.rows["link"]["status"] == "refused"
    assert graded.rows["zipped"]["status"] == "refused"
    assert graded.rows["pipe"]["status"] == "refused"
    assert graded.rows["untouched"]["reason"].startswith("q1: not attempted; q2: not attempted")


def test_nothing_is_left(graded, submissions):
    assert graded.left == []
    assert not list(submissions.parent.rglob("*pwned*"))
    assert not Path("/tmp/pwned").exists()


def test_no_report_tells_what_is_hidden(graded, path):
    pages = [each.read_text() for each in (*graded.pages(), *(out / "overview.html" for out in graded.outs))]
    assert "<script" not in "".join(pages)
    text = "".join(html.unescape(page) for page in pages) + graded.printed
    text += "".join((out / "marks.csv").read_text() for out in graded.outs)
    for secret in (*hidden(path), "math.sqrt(x)", "assert x", "SOLUTION", SEED, str(path.parent), sys.prefix, "/sg"):
        assert secret not in text, secret


# --- one by one -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return Engine(tmp_path_factory.mktemp("engine"), sandbox.Limits(cell_s=20, wall_s=120), "import math")


@pytest.fixture(scope="module")
def plan(path: Path, engine: Engine) -> Plan:
    return make_plan(read(path), SEED, engine)


def marked(plan: Plan, engine: Engine, notebook: dict) -> dict[str, Mark]:
    return {each.question: each for each in mark(plan, answers_in(content(notebook), plan.source), engine)}


@pytest.mark.skipif(not SHUT_IN, reason="no namespaces on this machine: only limits hold, and the report says so")
def test_a_kernel_sees_itself_only(plan, engine, path):
    look = (
        "import os\nseen = [sum(p.isdigit() for p in os.listdir('/proc')), os.access('/', os.W_OK)]\n"
        "seen += [name for name in os.environ if 'SIMLIB' in name or 'HOME' in name]\nraise ValueError(seen)"
    )
    told = marked(plan, engine, handed_in(path, **{**SOLUTIONS, "q2": look}))["q2"].reason
    assert told == "ValueError: [1, False, 'HOME', 'SIMLIB_HOME', 'SIMLIB_LANG']"


def test_without_namespaces_answers_are_graded_too(plan, engine, path, monkeypatch):
    monkeypatch.setattr(sandbox, "isolation", lambda: sandbox.Isolation(False, "forbidden here"))
    found = marked(plan, engine, handed_in(path, **{**SOLUTIONS, "q2": "import os\nos._exit(0)"}))
    assert [found[q].points for q in POINTS] == [2, 0, 2, 2]
    assert "forbidden here" in sandbox.isolation().sentences()[0]


def test_parts_of_a_function_earn_parts_of_its_points(plan, engine, path):
    middle = sorted(case["x"] for case in plan.hidden.calls["q2"])[2]
    answer = f"def root(x): return math.sqrt(x) if x < {middle} else 0.0"
    found = marked(plan, engine, handed_in(path, **{**SOLUTIONS, "q2": answer}))
    assert (found["q2"].passed, found["q2"].cases, found["q2"].points) == (2, 4, 2.0)


def test_one_right_one_missing_one_raising(plan, engine, path):
    notebook = handed_in(path, q1=SOLUTIONS["q1"], q3="def sign(x): return 1 / 0")
    notebook["cells"] = [cell for cell in notebook["cells"] if cell["id"] != "q2-answer"]
    found = marked(plan, engine, notebook)
    assert found["q1"].points == 2
    assert [found[q].reason for q in ("q2", "q3", "q4")] == [
        "answer cell missing",
        "ZeroDivisionError: division by zero",
        "not attempted",
    ]


def test_a_helper_in_a_cell_of_ones_own_is_found(plan, engine, path):
    notebook = handed_in(path, q2="def root(x): return helper(x)")
    cell = {"cell_type": "code", "metadata": {}, "source": "%matplotlib inline"}
    helper = cell | {"source": "import cmath\ndef helper(x): return math.sqrt(x)"}
    notebook["cells"] = [cell, helper, *notebook["cells"]]
    assert marked(plan, engine, notebook)["q2"].points == 4
