"""Every exercise of the course: what is handed out is what its source says, and a solution is right."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from simlib.exercises import handing_in, policies
from simlib.exercises.values import same
from simlib.grading.compose import cases, compose
from simlib.grading.marking import _share
from simlib.grading.question import Question
from simlib.grading.release import exercise_bytes, twins_at_fault
from simlib.grading.source import Source, read, run_cell

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "solutions").glob("*.ipynb"))


@pytest.fixture(params=SOURCES, ids=lambda path: path.stem, scope="module")
def source(request: pytest.FixtureRequest) -> Source:
    return read(request.param)


@pytest.fixture
def cells(source: Source) -> list[dict[str, Any]]:
    return json.loads((ROOT / "exercises" / source.path.name).read_text())["cells"]


def code(cells: list[dict[str, Any]]) -> list[str]:
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def kept_for_check(source: Source) -> Any:
    """What lies in the exercise's metadata for `check`."""
    return json.loads((ROOT / "exercises" / source.path.name).read_text())["metadata"]["simlib"]["check"]


def strings(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [*value, *strings(list(value.values()))]
    return [text for item in value for text in strings(item)] if isinstance(value, list) else [str(value)]


def test_there_are_sources() -> None:
    assert SOURCES


# --- one source -----------------------------------------------------------------------------------------------------


def test_the_exercise_is_what_its_source_says(source):
    assert (ROOT / "exercises" / source.path.name).read_bytes() == exercise_bytes(source)


def test_every_twin_is_there_and_fits_the_english(source):
    assert twins_at_fault(source) == []


def test_code_is_the_same_in_both_languages(source, cells):
    spanish = json.loads(exercise_bytes(source, "es"))["cells"]
    assert code(spanish) == code(cells)
    assert [cell["id"] for cell in spanish] == [cell["id"] for cell in cells]
    texts = [pair for pair in zip(spanish, cells, strict=True) if pair[0]["cell_type"] == "markdown"]
    assert all(there["source"] != here["source"] for there, here in texts)


def test_the_exercise_belongs_to_a_notebook(source):
    assert (ROOT / "notebooks" / source.path.name).exists()


# --- its questions --------------------------------------------------------------------------------------------------


def test_three_to_five_questions_and_the_last_is_open(source):
    kinds = [question.kind for question in source.questions.values()]
    assert 3 <= len(kinds) <= 5
    assert kinds.count("open") == 1
    assert kinds[-1] == "open"
    assert "function" in kinds


def test_texts_say_what_each_question_is_worth(source, cells):
    text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    worth = [float(found) for found in re.findall(r"^## Question \d · .*\(([\d.]+) points?\)$", text, re.M)]
    assert worth == [question.points for question in source.questions.values()]
    assert f"{source.points:g} points" in text


def test_hidden_cases_come_from_the_seed(source):
    for question in source.questions.values():
        if question.hidden is not None:
            cases = question.hidden_cases("a", source.name)
            assert len(cases) >= 3
            assert cases == question.hidden_cases("a", source.name)
            assert cases != question.hidden_cases("b", source.name)
            assert not any(case in question.examples for case in cases)


def test_values_have_variants(source):
    if any(question.kind == "value" for question in source.questions.values()):
        assert source.variant("ana") == source.variant("ana")
        assert source.variant("ana") != source.variant("ben")
        assert source.variant("ana").keys() == source.given.keys()


# --- what students get ----------------------------------------------------------------------------------------------


def test_no_line_of_a_solution_and_nothing_of_the_teacher(source, cells):
    handed_out = "\n".join("".join(cell["source"]) for cell in cells) + "\n".join(strings(kept_for_check(source)))
    for cell in source.cells:
        if cell.role == "answer":
            block = re.search(r"BEGIN SOLUTION[^\n]*\n(.*?)[^\n]*END SOLUTION", cell.text, re.S)
            for line in block[1].splitlines():
                assert len(line.strip()) < 12 or line.strip() not in handed_out, line
    for word in ("SOLUTION", "hidden=", "wrong=", "rubric", "simlib.grading"):
        assert word not in handed_out


def test_code_cells_are_readable(cells):
    for cell in cells:
        if cell["cell_type"] == "code":
            lines = "".join(cell["source"]).splitlines()
            assert max(map(len, lines)) <= 95, cell["id"]
            assert len(lines) <= 15, cell["id"]


def test_untouched_it_runs_through_and_the_solution_is_right(source, cells, capsys, monkeypatch):
    monkeypatch.setenv("SIMLIB_LANG", "en")
    monkeypatch.chdir(ROOT / "exercises")
    names: dict[str, Any] = {"__name__": "__exercise__"}
    for text in code(cells):
        exec(text, names)  # not one of them raises
    assert "right on" not in re.sub("right on 0", "", capsys.readouterr().out)
    for cell in source.cells:
        if cell.role == "answer" and cell.is_code:
            run_cell(cell.text, cell.id, names)
    for question in source.questions.values():
        if question.kind != "open":
            count = len(question.examples)
            first = names["check"].report(question.name, names)[0]
            assert first.startswith(f"{question.name}: right on {count} of {count}. "), first


# --- marks, without a kernel ----------------------------------------------------------------------------------------


class Marking:
    """Marks of one source without a kernel: composed cells are run right here."""

    def __init__(self, source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
        self.source, self.monkeypatch, self.hidden = source, monkeypatch, cases(source, "a seed of the tests")
        self.solution = {cell.question: cell.text for cell in source.cells if cell.role == "answer" and cell.is_code}
        self.expected = {question: self.handed_out(question, text) for question, text in self.solution.items()}

    def handed_out(self, question: str, answer: str) -> dict[tuple[str, str], list[Any]]:
        """What comes of an answer, in place of the solution's, by part."""
        answers = {**self.solution, question: answer}
        return handed_out(compose(self.source, self.hidden, answers, {}, [question]).cells, self.monkeypatch)

    def earned(self, question: str, answer: str) -> float:
        """The share of a question's points that an answer earns."""
        asked, expected, found = (
            self.source.questions[question],
            self.expected[question],
            self.handed_out(question, answer),
        )
        if asked.kind == "policy":
            policy, best = (each[question, "public"][0]["value"] for each in (found, expected))
            return kept_share(self.source, asked, policy, best, self.hidden.calls[question])
        parts = [part for part in expected if part[1] != "public"]
        pairs = [pair for part in parts for pair in zip(found[part], expected[part], strict=True)]
        right = sum("value" in got and same(got["value"], wanted["value"], asked.rtol) for got, wanted in pairs)
        return _share(right, [wanted["value"] for _, wanted in pairs])


def handed_out(cells: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> dict[tuple[str, str], list[Any]]:
    found: dict[tuple[str, str], list[Any]] = {}
    monkeypatch.setattr(handing_in, "_publish", lambda question, part, each: found.update({(question, part): each}))
    names: dict[str, Any] = {"__name__": "__exercise__"}
    for cell in cells:
        run_cell(cell["source"], cell["id"], names)
    return found


def kept_share(source: Source, asked: Question, policy: Any, best: Any, hidden: list[dict[str, Any]]) -> float:
    assert policies.fault_of(policy, asked.bounds, asked.name, "en") == ""
    trial = source.names[asked.trial]
    kept = [policies.kept(trial(policy, **case), asked.limits, trial(best, **case)).values() for case in hidden]
    return sum(map(all, kept)) / len(kept)


def test_the_solution_earns_all_and_known_wrong_answers_nothing(source, monkeypatch):
    marking = Marking(source, monkeypatch)
    for question, solution in marking.solution.items():
        assert marking.earned(question, solution) == 1
        for wrong in source.questions[question].wrong:
            assert marking.earned(question, wrong) == 0, f"{question}: {wrong}"
