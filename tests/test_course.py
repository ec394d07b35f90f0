"""The course as data: no orphan, no stale Spanish, pages as made, a quiz that Moodle reads, a poll of forty files."""

import json
import re
from functools import cache
from pathlib import Path

import pytest

from simlib import poll, widgets
from simlib.__main__ import main
from simlib.course import glossary, quiz, words
from simlib.course.editions import predictions, read
from simlib.course.gift import gift
from simlib.course.outcomes import orphans, outcomes
from simlib.course.pacing import MOST_MIN, core
from simlib.course.pages import lessons, pages
from simlib.languages import LANGUAGES, Language
from simlib.learning import predict
from simlib.parameters import ParameterError

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


# --- words ----------------------------------------------------------------------------------------------------------


def test_no_spanish_is_stale_or_missing() -> None:
    for each in (*quiz.items().values(), *glossary.entries().values(), *outcomes().values()):
        assert each.fault() == "", each
    for entry in glossary.entries().values():
        assert entry.spanish
        assert entry.significa


def test_a_changed_english_word_makes_its_spanish_stale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "glossary.toml"
    changed = glossary.PATH.read_text(encoding="utf-8").replace("One input of a model", "An input of a model")
    copy.write_text(changed, encoding="utf-8")
    monkeypatch.setattr(glossary, "PATH", copy)
    glossary.entries.cache_clear()
    try:
        assert [each.term for each in glossary.entries().values() if each.fault()] == ["feature"]
        assert words.mark_twins(copy) == 1
        assert not any(each.fault() for each in glossary.entries().values())
    finally:
        glossary.entries.cache_clear()


def test_only_files_of_words_are_marked() -> None:
    with pytest.raises(ParameterError, match="holds no words of the course"):
        words.mark_twins(Path("metrics.toml"))


def test_the_glossary_is_in_order() -> None:
    terms = list(glossary.entries())
    assert terms == sorted(terms, key=str.lower)


@cache
def texts() -> dict[str, str]:
    """What a student reads in each notebook and exercise: its text cells, and what its predictions ask."""
    found = {}
    for path in (*NOTEBOOKS, *sorted((ROOT / "exercises").glob("*.ipynb"))):
        notebook = read(path)
        cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "markdown"]
        asked = [each.prompt for each in predictions(notebook)]
        found[f"{path.parent.name}/{path.stem}"] = "\n".join([*cells, *asked])
    return found


def names_in_the_glossary() -> set[str]:
    """Each term as a whole, its parts between commas, and what stands in its brackets, in small letters."""
    found = set()
    for term in glossary.entries():
        found |= {term, *re.split(r", ", term), re.sub(r" \(.*", "", term), *re.findall(r"\(([^)]+)\)", term)}
    return {name.lower() for name in found}


def test_a_word_in_bold_with_its_spanish_stands_in_the_glossary() -> None:
    """It is explained where it stands; the glossary has it too, so that it can be found again."""
    known, met = names_in_the_glossary(), set()
    for where, text in texts().items():
        for word in re.findall(r"\*\*([^*\n]+?)\*\*,? \(\*", text):
            met.add(word.lower())
            name = SAID_OTHERWISE.get(word.lower(), word.lower())
            assert {name, name.removesuffix("s")} & (known | EVERYDAY), f"{where}: {word}"
    assert len(met) > 100
    assert {*SAID_OTHERWISE, *EVERYDAY} <= met


EVERYDAY = {"continuous", "model's quality", "no data", "rejected", "rule of thumb", "staircase", "zero"}
SAID_OTHERWISE = {  # words in bold that stand in the glossary under another name
    "99th percentile": "percentile",
    "p99": "percentile",
    "95 % confidence interval": "confidence interval",
    "interval": "confidence interval",
    "a warm spare": "warm spare",
    "approves": "approval",
    "model registry": "registry",
    "asynchronous": "asynchronous inference",
    "five steps": "asynchronous inference",
    "autoscaler": "autoscaling",
    "flaps": "flapping",
    "provided": "cold start",
    "downloaded": "cold start",
    "expire": "time to live",
    "lead scoring": "scoring leads",
    "real-time": "real-time inference",
    "detector": "detector of change",
    "calibrated": "calibration",
    "from the cache": "cache",
    "model artifact": "artifact",
}


def test_an_abbreviation_is_explained_in_the_glossary() -> None:
    abbreviation = re.compile(r"\b[A-Z][A-Z0-9]+\b|\b[A-Z][a-z]?[A-Z]+\b")
    explained = set(abbreviation.findall(" ".join(f"{each.term} {each.means}" for each in glossary.entries().values())))
    for where, text in texts().items():
        shown = re.sub(r"`[^`]*`|\]\([^)]*\)", "", text)  # code and links are read as such
        lost = set(abbreviation.findall(shown)) - explained - PLAIN
        assert not lost, f"{where}: {sorted(lost)}"


PLAIN = {  # what a first-year student knows, our own names of things, and what its own sentence explains
    *("AI", "CSV", "HTML", "IT", "KB", "ML", "PDF", "UTF"),
    *("A1", "S1", "S2", "V2", "CP", "CT", "FPR", "ISO", "RANDOM", "SIGTERM"),
}


def test_the_glossary_as_a_page_is_in_the_alphabet_of_its_language() -> None:
    for language, first in (("en", "A/B test"), ("es", "abandono de clientes")):
        rows = [line.split(" | ") for line in glossary.page(language).splitlines() if line.startswith("| **")]
        assert len(rows) == len(glossary.entries())
        assert {len(row) for row in rows} == {3}
        assert rows[0][0] == f"| **{first}**"
    spanish = [row[0].strip("|* ") for row in rows]
    assert spanish.index("límite, límite estricto") < spanish.index("linaje (trazabilidad)")


@pytest.mark.parametrize("path", pages(), ids=lambda path: path.stem)
def test_a_page_is_what_its_data_say(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == pages()[path], "make pages"


def test_links_of_the_teachers_pages_lead_somewhere() -> None:
    for page in (ROOT / "docs" / "teaching").glob("*.md"):
        for link in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_the_minute_plan_fills_two_hours_and_names_cells_that_exist() -> None:
    plan = (ROOT / "docs" / "teaching" / "minute-plan.md").read_text(encoding="utf-8")
    blocks = [(int(low), int(high)) for low, high in re.findall(r"^\| (\d+)–(\d+) ", plan, re.M)]
    assert [high - low for low, high in blocks] == [10, 10, 30, 10, 5, 15, 10, 15, 10, 5]
    assert [low for low, _ in blocks] == [0, *[high for _, high in blocks][:-1]]
    session = (ROOT / "notebooks" / "class-session.ipynb").read_text(encoding="utf-8")
    for number in range(1, 11):
        assert re.search(rf"\*{number}[ ,·*]", plan)
        assert f"## {number} · " in session


def test_the_explorers_answer_what_the_minute_plan_says() -> None:
    def told(explorer: widgets.Explorer, figure: str, **knobs: object) -> float:
        return float(explorer.numbers(**knobs)["mean"][figure])

    errors = [told(widgets.autoscaler, "errors [share]", target=target) for target in (60, 120)]
    assert errors[0] < 0.01 < errors[1]
    assert told(widgets.queue_and_latency, "p99 [s]", rate=34) < 1 < told(widgets.queue_and_latency, "p99 [s]", rate=36)
    assert told(widgets.batch_gantt, "ready after [h]", instances=10) < 8
    assert told(widgets.batch_gantt, "ready after [h]", instances=8) > 8
    parity = [told(widgets.fairness_trade_off, "parity: acceptance of a minus d", bonus=bonus) for bonus in (1.3, 1.4)]
    assert parity[0] > 0 > parity[1]
    for knobs in ({"existing": 0}, {"tools": 2}):
        scores = widgets.platform_choice.numbers(**knobs)["mean"]
        assert scores.idxmax() == "Vertex AI: score"


@pytest.mark.parametrize("path", lessons(ROOT / "notebooks"), ids=lambda path: path.stem)
def test_the_core_of_a_notebook_takes_25_minutes_at_most(path: Path) -> None:
    assert 5 < core(read(path)).minutes <= MOST_MIN


# --- outcomes -------------------------------------------------------------------------------------------------------


def everything() -> tuple[list[str], list[str], list[str]]:
    names = [path.stem.split("-")[0] for path in lessons(ROOT / "notebooks")]
    asked = [each.question for path in NOTEBOOKS for each in predictions(read(path))]
    return names, asked, list(quiz.items())


def test_the_outcome_map_has_no_orphans() -> None:
    assert list(orphans(*everything())) == []


def test_orphans_are_found() -> None:
    names, asked, items = everything()
    assert list(orphans([*names, "16"], asked, items)) == ["The notebook 16 belongs to no outcome."]
    assert list(orphans(names, asked[1:], items)) == [
        f"An outcome names the prediction {asked[0]}, which is not there."
    ]
    assert list(orphans(names, asked, [*items, "q16-new"])) == ["The quiz item q16-new belongs to no outcome."]


# --- the quiz -------------------------------------------------------------------------------------------------------


def test_forty_items_each_with_one_right_answer() -> None:
    assert len(quiz.items()) == 40
    for item in quiz.items().values():
        for language in LANGUAGES:
            choices = item.choices(language)
            assert len(set(choices)) == len(choices)
            assert sum(item.judged(choice, language) for choice in choices) == (0 if item.is_number else 1)
            assert len(item.text("es").wrong) == len(item.text("en").wrong)
        if item.is_number:
            assert item.judged(f"{item.answer}".replace(".", ","))
            assert not item.judged(item.answer * 1.2 + 1)
            assert not item.judged("many")


def test_the_right_choice_stands_everywhere() -> None:
    """Not always first: with 33 items of three or four choices, each place should come up."""
    chosen = [item for item in quiz.items().values() if not item.is_number]
    places = [item.choices("en").index(item.english.right) for item in chosen]
    assert {0, 1, 2} <= set(places)
    assert max(places.count(place) for place in set(places)) < len(places) / 2


QUESTION = re.compile(
    r"::(?P<name>[^:]+):: (?P<ask>(?:\\.|[^{\\])*) \{\n(?P<answers>.*?)\n####(?P<why>[^\n]*)\n\}", re.S
)


def plain(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


@pytest.mark.parametrize("language", LANGUAGES)
def test_gift_says_what_the_items_say(language: Language) -> None:
    """Read with the documented grammar, not with the writer's code; PyPI's pygiftparser reads both files as well."""
    written = gift(quiz.items().values(), language)
    found = {each["name"]: each for each in QUESTION.finditer(written)}
    assert list(found) == list(quiz.items())
    for name, item in quiz.items().items():
        text, lines = item.text(language), found[name]["answers"].splitlines()
        assert plain(found[name]["ask"]) == text.ask
        assert plain(found[name]["why"]) == text.why
        if item.is_number:
            answer, tolerance = map(float, lines[0].removeprefix("#").split(":"))
            assert (answer, tolerance, len(lines)) == (item.answer, item.tolerance, 1)
        else:
            assert [plain(line[1:]) for line in lines if line[0] == "="] == [text.right]
            assert sorted(plain(line[1:]) for line in lines if line[0] == "~") == sorted(text.wrong)
    assert not re.search(r"(?<!\\)[{}]", re.sub(r" \{\n|\n\}", "", written))
    assert len(re.findall(r"^\$CATEGORY: simlib/\w\w$", written, re.M)) == 17


def test_the_quiz_is_written_and_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["quiz", "--gift", str(tmp_path / "quiz.gift"), "--lang", "es"]) == 0
    assert "¿Qué fases del ciclo de vida" in (tmp_path / "quiz.gift").read_text(encoding="utf-8")
    with pytest.raises(ParameterError, match="did you mean 'q04-cold'"):
        quiz.ask("q04-cald")
    assert "40 items" in capsys.readouterr().out


def test_the_sheet_answers_by_click() -> None:
    from simlib.widgets.quiz import sheet

    choice, number = sheet([quiz.item("q04-cold"), quiz.item("q07-amdahl")], "es").children
    _, field, button, line = choice.children
    button.click()
    assert line.value == "Elige una primero."
    field.value = "la mayoría de quienes llaman"
    button.click()
    assert line.value.startswith("Correcto.")
    _, field, button, line = number.children
    field.value = "25"
    button.click()
    assert line.value.startswith("No del todo: 2,78. 120 / (80")


# --- the poll -------------------------------------------------------------------------------------------------------


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Forty students and one: 33 in order, one with half of his entries broken, seven whose file is none."""
    folder = tmp_path / "room"
    for number in range(33):
        home = folder / f"student-{number}" / ".simlib"
        monkeypatch.setenv("SIMLIB_HOME", str(home))
        predict("class.s1", 2.0 if number < 20 else 30.0, unit="s")
        predict("class.s2", "when it is loaded" if number % 3 else "never: weights are only numbers")
        content = json.loads((home / "predictions.json").read_text())
        content["class.s1"] |= {"answer": 32.32, "revealed": True}
        content["class.s2"] |= {"answer": "when it is loaded", "revealed": True}
        (home / "predictions.json").write_text(json.dumps(content))
    content["class.s1"]["value"] = "soon"  # a word where numbers are asked for
    content["class.s3"] = {"value": None}
    broken = {
        "half.json": b'{"class.s1": {"val',
        "bytes.json": b"\xff\xfe\x00\x01",
        "list.json": b"[1, 2]",
        "nan.json": b'{"class.s1": {"value": NaN, "unit": "s", "answer": null, "revealed": false}}',
        "deep.json": b"[" * 100_000,
        "large.json": b" " * (poll.LARGEST_FILE + 1),
        "mixed.json": json.dumps(content).encode(),
        "digits.json": b'{"class.s1": {"value": ' + b"9" * 5000 + b"}}",
    }
    for name, text in broken.items():
        (folder / name).write_bytes(text)
    return folder


def test_a_poll_counts_what_it_can_read_and_names_the_rest(room: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["poll", str(room), "--lang", "en"]) == 0
    told = capsys.readouterr().out
    assert "34 files read, 8 with something wrong." in told
    for name in ("half", "bytes", "list", "nan", "deep", "large", "mixed", "digits"):
        assert re.search(rf"^  {name}\.json: ", told, re.M)
    assert re.search(r"█ 20$", told, re.M)
    assert re.search(r"█ 13  ◄ simulated: 32.32 s$|█ 13$", told, re.M)
    assert "1 of another kind than most are left out." in told
    assert re.search(r"when it is loaded  █+ 23  ◄ simulated: when it is loaded$", told, re.M)


def test_a_poll_speaks_spanish_and_asks_for_one(room: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["poll", str(room), "--lang", "es", "--question", "class.s2"]) == 0
    told = capsys.readouterr().out
    assert re.search(r"al cargarlo  █+ 23  ◄ simulado: al cargarlo$", told, re.M)
    assert "  half.json: dañado" in told
    assert "class.s1" not in told


def test_a_jokers_file_harms_nobody(room: Path, capsys: pytest.CaptureFixture[str]) -> None:
    entry = {"unit": "s", "answer": None, "revealed": False}
    joke = {"class.s1": entry | {"value": 1e300}, "class.s2": entry | {"value": "\x1b[2Jgone\n" + "x" * 500}}
    marked = json.dumps(joke | {"\x1b[31m": entry | {"value": 1.0}}).encode("utf-8-sig")
    (room / "joker.json").write_bytes(marked)
    assert main(["poll", str(room), "--lang", "en"]) == 0
    told = capsys.readouterr().out
    assert "35 files read" in told, "an editor's mark in front does no harm"
    assert re.search(r"farther off  █+ 1$", told, re.M)
    assert re.search(r"█ 20$", told, re.M), "the other bins are as before"
    assert "\x1b" not in told
    assert "[2Jgone xxx" in told
    assert max(map(len, told.splitlines())) < 200


def test_polls_that_cannot_be_are_one_sentence(room: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["poll", str(room), "--question", "class.s9"]) == 2
    assert main(["poll", str(room / "nowhere")]) == 2
    assert main(["poll", str(room / "student-0" / ".simlib" / "predictions.json")]) == 2
    told = capsys.readouterr().err.splitlines()
    assert "nobody predicted 'class.s9'" in told[0]
    assert len(told) == 3


def test_bins_hold_every_number_once() -> None:
    for numbers in ([1.0], [3.0, 3.0], [0.5, 900.0, 20.0], [-5.0, 0.0, 5.0], [1e-9, 1e9], [0.0, 0.0, 2.0, 900.0]):
        edges = poll.bin_edges(numbers)
        assert edges[0] <= min(numbers)
        assert max(numbers) <= edges[-1]
        assert (edges[1:] > edges[:-1]).all()
        assert len(edges) <= poll.BINS + 1
