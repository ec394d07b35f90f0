"""Grading without a kernel: whose a file is, which answers are in it, what is kept, what goes back to the platform."""

import io
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest

from simlib.grading import marking
from simlib.grading.answers import Mismatch, Unreadable, answers_in, exercise_of
from simlib.grading.byhand import read_handwork, write_manual_sheet
from simlib.grading.compose import cases, compose
from simlib.grading.platforms import Sheet, fill
from simlib.grading.records import Records, feedback_name, neutral, read_table, write_table
from simlib.grading.similar import similar_pairs
from simlib.grading.source import Source, read
from simlib.grading.submissions import LARGEST_MB, collect
from simlib.parameters import ParameterError
from tests.small_exercise import NAME, SOLUTIONS, content, handed_in, write_source


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_source(tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="module")
def source(path: Path) -> Source:
    return read(path)


# --- whose it is ----------------------------------------------------------------------------------------------------


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


def test_a_plain_folder(tmp_path):
    for name in ("ana.ipynb", "Ben Ñ 2/any name.ipynb", "=cmd/x.ipynb", "list.csv", ".hidden/x.ipynb"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{}")
    (tmp_path / "empty").mkdir()
    found = {each.student: len(each.attempts) for each in collect(tmp_path)}
    assert found == {"ana": 1, "Ben Ñ 2": 1, "=cmd": 1, "empty": 0}


def test_moodles_zip(tmp_path):
    files = {
        "Ana López_12345_assignsubmission_file_/02.ipynb": b"{}",
        "Ben_67_assignsubmission_file/mine.ipynb": b"{}",
        "Ben_67_assignsubmission_file/photo.png": b"x",
        "Cy_8_assignsubmission_onlinetext_/text.html": b"x",
        "Di_9_assignsubmission_file_02.ipynb": b"{}",
    }
    found = collect(zipped(tmp_path / "moodle.zip", files))
    assert [(each.student, each.name, len(each.attempts)) for each in found] == [
        ("12345", "Ana López", 1),
        ("67", "Ben", 1),
        ("8", "Cy", 0),
        ("9", "Di", 1),
    ]
    assert found[0].folder == "Ana López_12345_assignsubmission_file_"


def test_canvas_numbers_attempts_and_says_who_was_late(tmp_path):
    files = {
        "lopezana_101_5001_02-1.ipynb": b"{1}",
        "lopezana_101_5000_02.ipynb": b"{0}",
        "lopezana_101_5002_02-2.ipynb": b"{2}",
        "roeben_LATE_102_5003_02.ipynb": b"{}",
    }
    ana, ben = collect(zipped(tmp_path / "canvas.zip", files))
    assert [attempt.content for attempt in ana.attempts] == [b"{0}", b"{1}", b"{2}"]
    assert (ana.is_late, ben.is_late) == (False, True)


def test_a_zip_of_ones_own_inside_a_folder(tmp_path):
    zipped(tmp_path / "ana.zip", {"deep/folder/02.ipynb": b"{}"})
    (tmp_path / "ben.zip").write_bytes(b"PK no zip")
    ana, ben = collect(tmp_path)
    assert (ana.student, ana.attempts[0].content) == ("ana", b"{}")
    assert ben.attempts[0].fault == "a zip that cannot be read"


def test_bombs_links_and_names_that_lead_outside_are_refused(tmp_path):
    bomb = {"bob/x.ipynb": b"0" * (LARGEST_MB * 2**20 + 1), "../../evil.ipynb": b"{}"}
    found = {each.student: each.attempts[0].fault for each in collect(zipped(tmp_path / "a.zip", bomb))}
    assert found == {"bob": f"larger than {LARGEST_MB} MB", "evil": "a link, or a name that leads outside the zip"} or (
        found["bob"].startswith("larger") and len(found) == 2
    )
    folder = tmp_path / "folder"
    folder.mkdir()
    os.symlink("/etc/passwd", folder / "cy.ipynb")
    os.symlink("/etc", folder / "dir")
    with open(folder / "big.ipynb", "wb") as file:
        file.truncate(300 * 2**20)
    faults = {each.student: each.attempts[0].fault for each in collect(folder)}
    assert faults == {"cy": "a link instead of a file", "big": f"larger than {LARGEST_MB} MB"}


def test_a_link_inside_a_zip_is_refused(tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        info = zipfile.ZipInfo("ana/02.ipynb")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    (tmp_path / "x.zip").write_bytes(buffer.getvalue())
    assert collect(tmp_path / "x.zip")[0].attempts[0].content is None


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pipes among files")
def test_a_pipe_is_refused_and_nobody_waits_for_it(tmp_path):
    os.mkfifo(tmp_path / "ana.ipynb")
    assert [each.fault for submission in collect(tmp_path) for each in submission.attempts] == ["not a file"]


def test_what_is_no_place_of_submissions_is_one_sentence(tmp_path):
    with pytest.raises(FileNotFoundError):
        collect(tmp_path / "nowhere")
    with pytest.raises(ParameterError, match="holds no submissions"):
        collect(tmp_path)
    (tmp_path / "x.txt").write_text("x")
    with pytest.raises(ParameterError, match="neither a folder"):
        collect(tmp_path / "x.txt")


# --- which answers --------------------------------------------------------------------------------------------------


def edited(path: Path, how: str) -> bytes:
    """The solution, saved or changed in one of the ways that happen."""
    notebook = handed_in(path, **SOLUTIONS)
    cells = notebook["cells"]
    if how == "no ids":
        cells = [{key: value for key, value in cell.items() if key != "id"} for cell in cells]
    elif how == "no ids and no metadata, marks only":
        notebook["metadata"] = {}
        cells = [dict(cell, id="x", metadata={}) for cell in cells]
        for cell, question in ((cell, q) for q in SOLUTIONS for cell in cells if cell["source"] == SOLUTIONS[q]):
            cell["source"] = f"# {question}: your answer\n{SOLUTIONS[question]}"
    elif how == "CRLF and BOM":
        cells = [dict(cell, source="".join(cell["source"]).replace("\n", "\r\n")) for cell in cells]
        return b"\xef\xbb\xbf" + content(notebook | {"cells": cells}).replace(b"\n", b"\r\n")
    elif how == "own cells, and moved":
        cells = [{"cell_type": "code", "metadata": {}, "source": "%timeit 1"}, *cells[::-1]]
    elif how == "an answer copied":
        first = next(cell for cell in handed_in(path)["cells"] if cell["id"] == "q2-answer")
        cells = [first, *cells, first]
    elif how == "nbformat 3":
        sheet = [dict(cell, input=cell["source"], language="python") for cell in cells]
        return content({"nbformat": 3, "worksheets": [{"cells": sheet}], "metadata": notebook["metadata"]})
    elif how == "odd cells":
        cells = [None, 3, {"cell_type": "code"}, {"cell_type": "code", "source": 5, "metadata": 7}, *cells]
    return content(notebook | {"cells": cells})


WAYS = (
    "no ids",
    "no ids and no metadata, marks only",
    "CRLF and BOM",
    "own cells, and moved",
    "an answer copied",
    "nbformat 3",
    "odd cells",
)


@pytest.mark.parametrize("how", WAYS)
def test_answers_are_found_however_the_notebook_was_saved(how, path, source):
    answers = answers_in(edited(path, how), source)
    found = {question: text.removeprefix(f"# {question}: your answer\n") for question, text in answers.code.items()}
    assert found == SOLUTIONS


def test_an_untouched_exercise_has_no_answers(path, source):
    answers = answers_in(content(handed_in(path)), source)
    assert answers.code == {}
    assert set(answers.states.values()) == {"untouched"}


def test_a_missing_answer_one_made_text_and_an_open_one(path, source):
    notebook = handed_in(path, **SOLUTIONS)
    notebook["cells"] = [cell for cell in notebook["cells"] if cell["id"] != "q1-answer"]
    by_id = {cell["id"]: cell for cell in notebook["cells"]}
    by_id["q2-answer"]["cell_type"] = "markdown"
    by_id["q5-answer"]["source"] = "Because <script>alert(1)</script>"
    answers = answers_in(content(notebook), source)
    assert answers.states == {"q1": "missing", "q2": "text", "q3": "answered", "q4": "answered", "q5": "answered"}
    assert answers.texts["q5"].startswith("Because")


@pytest.mark.parametrize("second", ["print(root(9))", "'hello'", "", "%timeit root(9)"])
def test_of_an_answer_split_in_two_the_half_that_defines_it_counts(second, path, source):
    notebook = handed_in(path, q2="def root(x): return half(x)")
    first = next(cell for cell in notebook["cells"] if cell["id"] == "q2-answer")
    notebook["cells"].append({**first, "id": "new", "source": second})
    notebook["cells"].insert(0, {**first, "id": "newer", "source": "%matplotlib inline\nimport numpy as np"})
    answers = answers_in(content(notebook), source)
    assert answers.code["q2"] == "def root(x): return half(x)"
    assert answers.cells_needed("q2") == []


def test_what_an_answer_needs_of_ones_own_cells_is_found_to_the_end(path, source):
    own = [
        "if True:\n    def half(x): return np.sqrt(y(x)) / 2",
        "half_a_thing = 3",
        "%matplotlib inline\nimport numpy as np",
        "1 / 0",
        "def y(x): return x",
        "from math import *",
    ]
    notebook = handed_in(path, q2="def root(x): return 2 * half(x)")
    cells = [{"cell_type": "code", "metadata": {}, "source": text} for text in own]
    notebook["cells"] = [*cells, *notebook["cells"]]
    needed = answers_in(content(notebook), source).cells_needed("q2")
    assert needed == [own[0], own[2], own[4], own[5]]


def test_all_in_one_cell(path, source):
    text = "\n\n".join(f"# {question}: your answer\n{text}" for question, text in SOLUTIONS.items())
    notebook = handed_in(path)
    notebook["cells"] = [{"cell_type": "code", "metadata": {}, "source": text}]
    answers = answers_in(content(notebook), source)
    assert set(answers.code) == set(SOLUTIONS)


BAD_FILES = {
    "empty": (b"", "empty"),
    "truncated": (b'{"cells": [{"cell_type": "co', "breaks off"),
    "ten thousand deep": (b"[" * 10_000 + b"]" * 10_000, "not a notebook|too deeply"),
    "deep in a cell": (b'{"cells": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "deep"),
    "no notebook": (b"[1, 2]", "not a notebook"),
    "no cells": (b'{"cells": 3}', "no cells"),
    "a picture": (b"\x89PNG\r\n\xff\xfe", "UTF-8"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_said_in_words(name, source):
    text, words = BAD_FILES[name]
    with pytest.raises(Unreadable, match=words):
        answers_in(text, source)
    assert exercise_of(text) == ""


def test_another_exercise_is_a_mismatch(path, source):
    notebook = handed_in(path, **SOLUTIONS)
    notebook["metadata"]["simlib"]["exercise"] = "03-other"
    with pytest.raises(Mismatch, match="03-other"):
        answers_in(content(notebook), source)
    with pytest.raises(Mismatch, match="no answer cell"):
        answers_in(b'{"cells": []}', source)


def test_only_answers_are_composed(path, source):
    notebook = handed_in(path, **SOLUTIONS)
    for cell in notebook["cells"]:
        cell["metadata"].setdefault("tags", []).extend(["raises-exception", "nbval-skip"])
        if cell["id"] in ("q2-check", "set-up", "examples-and-hints"):
            cell["source"] = "forged = 1"
    answers = answers_in(content(notebook), source)
    hidden = cases(source, "secret")
    composed = compose(source, hidden, answers.code, {})
    text = composed.text()
    assert "forged" not in text
    assert "raises-exception" not in text
    parts = [cell["metadata"]["simlib"]["part"] for cell in composed.cells]
    assert max(k for k, part in enumerate(parts) if part == "public") < parts.index("hidden")


def test_another_seed_makes_other_cases(source):
    assert cases(source, "a") == cases(source, "a")
    assert cases(source, "a").calls["q2"] != cases(source, "b").calls["q2"]
    assert cases(source, "a").givens != cases(source, "b").givens


@pytest.mark.parametrize(
    ("passed", "expected", "share"),
    [
        (4, [1.0, 2.0, 3.0, 4.0], 1.0),
        (2, [1.0, 2.0, 3.0, 4.0], 0.5),
        (3, ["plus", "plus", "plus", "minus", "minus", "minus"], 0.0),
        (6, ["plus", "plus", "plus", "minus", "minus", "minus"], 1.0),
        (2, ["plus", "plus", "plus", "minus", "minus", "minus"], 0.0),
        (0, [], 0.0),
    ],
)
def test_what_one_answer_for_all_would_earn_is_taken_off(passed, expected, share):
    assert marking._share(passed, expected) == share


# --- what is kept ---------------------------------------------------------------------------------------------------


def test_cells_that_a_spreadsheet_would_run_are_made_harmless(tmp_path):
    assert neutral('=HYPERLINK("x")') == '\'=HYPERLINK("x")'
    write_table(tmp_path / "x.csv", ["student"], [{"student": name} for name in ("=a", "+b", "-c", "@d", "ñ;,\n")])
    assert [row["student"] for row in read_table(tmp_path / "x.csv")[1]][:4] == ["'=a", "'+b", "'-c", "'@d"]


def test_feedback_files_have_names_that_are_files():
    names = [feedback_name(name) for name in ("ana", "../ana", "a/b", "=cmd|x", "ñandú@uni.es", "a\x00b", "." * 300)]
    assert names[0] == "ana.html"
    assert len(set(names)) == len(names)
    assert not any("/" in name or name.startswith(".") or len(name) > 100 for name in names)


def test_secrets_are_kept_once_and_for_their_owner_only(tmp_path):
    records = Records(tmp_path / "out")
    seed = records.seed(None)
    assert records.seed(None) == seed
    with pytest.raises(ParameterError, match="another seed"):
        records.seed("other")
    assert (records.private / "seed").stat().st_mode & 0o077 == 0
    assert records.pseudonym("ana") == records.pseudonym("ana") != records.pseudonym("ben")
    assert records.pseudonym("ana") != Records(tmp_path / "other").pseudonym("ana")


def result(student: str, **more: Any) -> dict[str, Any]:
    questions = [
        {"question": q, "points": p, "maximum": p, "reason": "", "is_marked": q != "q5", "passed": 1, "cases": 1}
        for q, p in (("q1", 2.0), ("q2", 4.0), ("q3", 2.0), ("q4", 2.0), ("q5", 1.0))
    ]
    questions[-1]["points"] = 0.0
    return {"student": student, "status": "ok", "reason": "", "questions": questions, "open": {"q5": "why"}} | more


def test_open_questions_wait_for_points_and_keep_them(tmp_path, source):
    work = read_handwork(tmp_path, source, ["ana", "=ben"])
    assert work.applied(result("ana"), "ana", "ana")["status"] == "pending"
    write_manual_sheet(tmp_path, source, [result("ana"), result("=ben")])
    text = (tmp_path / "manual.csv").read_text()
    assert text.splitlines()[1:] == ["ana,q5,,,why", "'=ben,q5,,,why"]
    (tmp_path / "manual.csv").write_text(text.replace(",", ";").replace("ana;q5;;;", "ana;q5;0,5;well put;"))
    work = read_handwork(tmp_path, source, ["ana", "=ben"])
    ana = work.applied(result("ana"), "ana", "ana")
    assert (ana["status"], ana["total"]) == ("ok", 10.5)
    assert ana["questions"][-1]["comment"] == "well put"
    write_manual_sheet(tmp_path, source, [result("ana"), result("=ben")])
    assert read_handwork(tmp_path, source, ["ana", "=ben"]).manual == work.manual


def test_an_override_stands_whatever_was_computed(tmp_path, source):
    (tmp_path / "overrides.csv").write_text("student,points,reason,who,date\nana,9,ill,Eva,2026-11-28\n")
    work = read_handwork(tmp_path, source, ["ana"])
    assert work.applied(result("ana"), "ana", "ana")["total"] == 9
    assert "override: ill" in work.applied(result("ana"), "ana", "ana")["reason"]


def test_a_group_shares_its_marks(tmp_path, source):
    (tmp_path / "groups.csv").write_text("submitted,student\nana,ben\nana,cy\n")
    assert read_handwork(tmp_path, source, ["ana"]).members("ana") == ["ana", "ben", "cy"]


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("manual.csv", "student,question\nana,q5\n", "lacks points"),
        ("manual.csv", "student,question,points\nzoe,q5,1\n", "'zoe' handed nothing in"),
        ("manual.csv", "student,question,points\nana,q9,1\n", "no question 'q9'"),
        ("manual.csv", "student,question,points\nana,q5,7\n", "from 0 to 1"),
        ("manual.csv", "student,question,points\nana,q5,much\n", "is not a number"),
        ("overrides.csv", "student,points,reason,who,date\nana,9,,Eva,today\n", "needs a reason"),
        ("groups.csv", "submitted,student\nzoe,ana\n", "'zoe' handed nothing in"),
    ],
)
def test_a_teachers_file_that_cannot_be_is_one_sentence(name, text, sentence, tmp_path, source):
    (tmp_path / name).write_text(text)
    with pytest.raises(ParameterError, match=sentence):
        read_handwork(tmp_path, source, ["ana"])


def test_forgetting_leaves_nothing(tmp_path):
    records = Records(tmp_path)
    ana, ben = records.pseudonym("ana"), records.pseudonym("ben")
    for student, pseudonym in (("ana", ana), ("ben", ben)):
        records.keep("results", pseudonym, {"who": student})
        records.keep("receipts", pseudonym, {"who": pseudonym})
        (tmp_path / "feedback").mkdir(exist_ok=True)
        (tmp_path / "feedback" / feedback_name(student)).write_text(student)
    write_table(tmp_path / "marks.csv", ["student"], [{"student": "ana"}, {"student": "ben"}])
    write_table(tmp_path / "similar.csv", ["question", "one", "other"], [{"one": ana, "other": ben}])
    write_table(records.private / "names.csv", ["student", "pseudonym"], [{"student": "ana", "pseudonym": ana}])
    (tmp_path / "platform").mkdir()
    (tmp_path / "platform" / "Grades.csv").write_text("ana;8,5")
    records.keep_totals({ana: 8.5, ben: 7})
    records.forget("ana")
    assert records.last_totals() == {ben: 7}
    for path in tmp_path.rglob("*"):
        assert "ana" not in path.name
        if path.is_file() and path.name != "key":
            assert "ana" not in path.read_text()
            assert ana not in path.read_text()
    assert records.result(ben) == {"who": "ben"}


def test_answers_that_are_alike_are_paired_and_others_not(source):
    text = "def root(x):\n    low, high = 0.0, x + 1\n    for k in range(99):\n        m = (low + high) / 2\n"
    text += "        low, high = (m, high) if m * m < x else (low, m)\n    return low"
    renamed = text.replace("low", "a").replace("high", "b").replace("m ", "c ") + "  # my own"
    other = "def root(x):\n    y = x\n    while abs(y * y - x) > 1e-12 * x:\n"
    other += "        y = y - (y * y - x) / (2 * y)\n    return y"
    found = similar_pairs(source, {"s1": {"q2": text}, "s2": {"q2": renamed}, "s3": {"q2": other}})
    assert [(pair["one"], pair["other"]) for pair in found] == [("s1", "s2")]
    assert similar_pairs(source, {"s1": {"q2": SOLUTIONS["q2"]}, "s2": {"q2": SOLUTIONS["q2"]}}) == []


# --- back to the platform -------------------------------------------------------------------------------------------

MOODLE = (
    '"Identificador","Nombre completo","Dirección de correo","Estado","Calificación","Calificación máxima",'
    '"Última modificación","Comentarios de retroalimentación"\r\n'
    '"Participante 12","Ana López","ana@x.es","Enviado","","10,00","-",""\r\n'
    '"Participante 13","Ben ""B"" Roe","ben@x.es","Sin entrega","","10,00","-",""\r\n'
)


def total(student: str, points: float, **more: Any) -> dict[str, Any]:
    return result(student, total=points, max=11.0) | more


def test_a_spanish_moodle_sheet_with_semicolons_and_decimal_commas(tmp_path):
    (tmp_path / "s.csv").write_bytes(b"\xef\xbb\xbf" + MOODLE.replace('","', '";"').encode())
    count, missing, filled = fill(Sheet.read(tmp_path / "s.csv"), [total("12", 5.5), total("99", 1)])
    assert (count, missing) == (1, ["99"])
    before = (tmp_path / "s.csv").read_bytes().decode("utf-8-sig").split("\r\n")
    after = filled.decode("utf-8-sig").split("\r\n")
    assert filled.startswith(b"\xef\xbb\xbf")
    assert after[0] == before[0]
    assert after[2] == before[2]
    assert after[1].split(";")[4] == '"5,00"'  # 5.5 of 11, out of 10
    assert "q1: 2/2" in after[1].split(";", 7)[7]


def test_a_mark_that_waits_is_not_filled_in(tmp_path):
    (tmp_path / "s.csv").write_text(MOODLE)
    count, missing, _ = fill(Sheet.read(tmp_path / "s.csv"), [total("12", 5, status="pending")])
    assert (count, missing) == (0, ["12"])


CANVAS = (
    "Student,ID,SIS User ID,SIS Login ID,Section,Exercise 02 (555),Other (556)\n"
    "    Points Possible,,,,,10.00,5.00\n"
    '"López, Ana",101,u101,ana@x.es,A,,3.00\n'
    '"Roe, Ben",102,u102,ben@x.es,A,7.00,\n'
)


def test_a_canvas_sheet(tmp_path):
    (tmp_path / "c.csv").write_text(CANVAS)
    sheet = Sheet.read(tmp_path / "c.csv")
    with pytest.raises(ParameterError, match="--column"):
        fill(sheet, [total("101", 11)])
    count, _, filled = fill(sheet, [total("101", 11)], column="Exercise 02")
    assert count == 1
    assert filled.decode() == CANVAS.replace("A,,3.00", "A,10.00,3.00")


def test_a_sheet_of_neither_platform_is_one_sentence(tmp_path):
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ParameterError, match="neither Moodle's"):
        fill(Sheet.read(tmp_path / "x.csv"), [])
    (tmp_path / "x.csv").write_text("a\n")
    with pytest.raises(ParameterError, match="not a sheet"):
        Sheet.read(tmp_path / "x.csv")


def test_names_of_exercises_are_read_from_the_notebook(path):
    assert exercise_of(content(handed_in(path))) == NAME
    notebook = handed_in(path)
    del notebook["metadata"]["simlib"]
    assert exercise_of(content(notebook)) == NAME
    assert json.loads(content(notebook))["cells"]
