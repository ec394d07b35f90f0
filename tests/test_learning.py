"""Predictions: kept, changed until revealed, set against the result; in Jupyter and out of it."""

import json
from pathlib import Path

import ipywidgets
import pytest

from simlib import learning
from simlib.languages import number_in
from simlib.learning import predict, predictions, reveal
from simlib.parameters import ParameterError

CHOICES = ["serverless", "real-time", "batch"]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    monkeypatch.setenv("SIMLIB_HOME", str(folder))
    monkeypatch.setenv("SIMLIB_LANG", "en")
    return folder


def _kept(home: Path) -> dict:
    return json.loads((home / "predictions.json").read_text())


# --- committing -----------------------------------------------------------------------------------------------------


def test_a_value_is_kept_and_may_be_changed_until_revealed(home: Path, capsys: pytest.CaptureFixture) -> None:
    predict("02.p99", 120, unit="ms")
    predict("02.p99", 150.0, unit="ms")
    assert capsys.readouterr().out == "Saved: 120 ms\nSaved: 150 ms\n"
    assert _kept(home) == {"02.p99": {"value": 150.0, "unit": "ms", "answer": None, "revealed": False}}
    reveal("02.p99", 286)
    capsys.readouterr()
    predict("02.p99", 286, unit="ms")
    assert capsys.readouterr().out == "Revealed already; your prediction stays: 150 ms\n"
    assert _kept(home)["02.p99"] == {"value": 150.0, "unit": "ms", "answer": 286, "revealed": True}


def test_without_a_value_and_without_jupyter_it_says_how_to_commit(home: Path, capsys: pytest.CaptureFixture) -> None:
    predict("08.s1", choices=CHOICES, prompt="Which one?")
    assert capsys.readouterr().out == (
        "Which one?\nChoose one of: serverless, real-time, batch.\n"
        'Commit your prediction before you go on: sl.predict("08.s1", "serverless")\n'
    )
    assert not home.exists()
    predict("08.s1", "batch")
    predict("08.s1", choices=CHOICES)
    assert capsys.readouterr().out.endswith("Saved: batch\n")
    predict("02.p99", unit="ms")
    assert "in ms before you go on: sl.predict(" in capsys.readouterr().out


def test_the_current_folder_keeps_them_when_no_home_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SIMLIB_HOME")
    monkeypatch.chdir(tmp_path)
    predict("a", 1)
    assert (tmp_path / ".simlib" / "predictions.json").exists()
    assert [path.name for path in (tmp_path / ".simlib").iterdir()] == ["predictions.json"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "", True, [1], {"a": 1}])
def test_a_value_is_text_or_a_finite_number(value: object) -> None:
    with pytest.raises(ParameterError, match="should be text or a finite number"):
        predict("a", value)


def test_a_value_that_is_no_choice_is_one_sentence(home: Path) -> None:
    with pytest.raises(ParameterError, match=r"'serverles' is not among the choices; did you mean 'serverless'\?"):
        predict("08.s1", "serverles", choices=CHOICES)
    with pytest.raises(ParameterError, match="3 is not among the choices; it knows 1, 2"):
        predict("n", 3, choices=[1, 2])
    with pytest.raises(ParameterError, match="question_id=''"):
        predict("", 3)
    with pytest.raises(ParameterError, match="did you mean 'choices'"):
        predict("a", 3, choises=[3])
    assert not home.exists()


# --- revealing ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "answer", "words"),
    [
        (120, 286.0285, "Your prediction: 120 ms.  The result: 286 ms.\nA surprise: the result is 2.384 times"),
        (300, 286.0285, "Well judged: your prediction is 1.049 times the result."),
        (200, 286.0285, "Not far: the result is 1.43 times"),
        (286, 286.0285, "Right on the spot!"),
        (1e308, 1e-9, "A surprise: your prediction is inf times the result."),
        (0, 12.5, "The result is 12.5 ms higher than you thought."),
        (5, -1, "The result is 6 ms lower than you thought."),
        (1, 1234567.8, "The result: 1,235,000 ms."),
        (1, 0.00012345678, "The result: 0.0001235 ms."),
        (1, 1.2346e-9, "The result: 1.235e-09 ms."),
    ],
)
def test_numbers_are_compared_by_ratio_or_difference(value, answer, words, capsys) -> None:
    predict("q", value, unit="ms")
    capsys.readouterr()
    reveal("q", answer)
    assert words in capsys.readouterr().out


def test_choices_are_right_or_not_yet(capsys: pytest.CaptureFixture) -> None:
    predict("q", "serverless", choices=CHOICES)
    predict("r", "batch", choices=CHOICES)
    capsys.readouterr()
    reveal("q", "serverless", explain="Nobody calls at night.")
    assert capsys.readouterr().out == (
        "Your prediction: serverless.  The result: serverless.\nRight!\nNobody calls at night.\n"
    )
    reveal("r", "serverless")
    assert "Not yet" in capsys.readouterr().out


def test_with_no_prediction_the_reveal_says_so_and_goes_on(home: Path, capsys: pytest.CaptureFixture) -> None:
    reveal("q", 286.0285, unit="ms", explain="Waiting grows.")
    assert capsys.readouterr().out == (
        "No prediction for q this time; next time commit one before you look.\nThe result: 286 ms.\nWaiting grows.\n"
    )
    assert not home.exists()
    predict("q", 5)  # Run All came first: a prediction is still possible
    assert _kept(home)["q"]["value"] == 5


def test_the_same_reveal_twice_prints_the_same(capsys: pytest.CaptureFixture) -> None:
    predict("q", 3)
    capsys.readouterr()
    reveal("q", 4)
    first = capsys.readouterr().out
    reveal("q", 4)
    assert capsys.readouterr().out == first


def test_an_answer_is_text_or_a_finite_number() -> None:
    with pytest.raises(ParameterError, match="answer=nan is not possible"):
        reveal("q", float("nan"))


def test_predictions_are_a_table() -> None:
    assert predictions().empty
    predict("b", 3, unit="s")
    predict("a", "batch")
    reveal("b", 4)
    table = predictions()
    assert list(table.columns) == ["question", "prediction", "unit", "answer", "revealed"]
    assert table["question"].tolist() == ["b", "a"]
    assert table["prediction"].tolist() == [3, "batch"]
    assert table["revealed"].tolist() == [True, False]


# --- keeping --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["", "{", "[1, 2]", '{"a": 5}', '{"a": {"value": 1}}', '{"a": {"value": [], "unit": "", "answer": null}}']
)
def test_a_damaged_file_is_kept_aside(home: Path, text: str, capsys: pytest.CaptureFixture) -> None:
    home.mkdir()
    (home / "predictions.json").write_text(text)
    predict("q", 3)
    out = capsys.readouterr().out
    assert "are damaged; they are kept aside as" in out
    assert (home / "predictions-damaged-1.json").read_text() == text
    assert list(_kept(home)) == ["q"]
    (home / "predictions.json").write_text(text)
    assert predictions().empty
    assert (home / "predictions-damaged-2.json").exists()


def test_a_folder_that_cannot_be_written_is_one_sentence(home: Path) -> None:
    home.write_text("a file, not a folder")
    with pytest.raises(ParameterError, match="predictions cannot be read from"):
        predict("q", 3)


def test_nothing_but_question_value_and_result_is_kept(home: Path) -> None:
    predict("q", 3, unit="s")
    reveal("q", 4)
    assert set(_kept(home)["q"]) == {"value", "unit", "answer", "revealed"}


# --- Jupyter --------------------------------------------------------------------------------------------------------


def _parts(control: ipywidgets.VBox) -> tuple:
    field, save, line = control.children[-3:]
    return field, save, line


def test_the_control_saves_a_choice(home: Path) -> None:
    control = learning._control("08.s1", list(CHOICES), "", "Which one, 2 < 3?")
    field, save, line = _parts(control)
    assert control.children[0].value == "Which one, 2 &lt; 3?"
    assert isinstance(field, ipywidgets.RadioButtons)
    assert field.value is None
    save.click()
    assert line.value == "Choose one first."
    assert not home.exists()
    field.value = "real-time"
    save.click()
    assert line.value == "Saved: real-time"
    assert _kept(home)["08.s1"]["value"] == "real-time"


def test_the_control_saves_a_number_and_opens_with_the_one_before(home: Path) -> None:
    field, save, line = _parts(learning._control("02.p99", None, "ms", ""))
    assert isinstance(field, ipywidgets.FloatText)
    assert line.value == "Not saved yet."
    field.value = 120
    save.click()
    assert line.value == "Saved: 120 ms"
    field, save, line = _parts(learning._control("02.p99", None, "ms", ""))
    assert (field.value, line.value, save.disabled) == (120, "Saved: 120 ms", False)


def test_after_the_reveal_the_control_is_closed(home: Path) -> None:
    predict("08.s1", "batch")
    open_one = learning._control("08.s1", list(CHOICES), "", "")
    reveal("08.s1", "serverless")
    field, save, line = _parts(learning._control("08.s1", list(CHOICES), "", ""))
    assert field.disabled
    assert save.disabled
    assert line.value == "Revealed already; your prediction stays: batch"
    field, save, line = _parts(open_one)  # left open since before
    field.value = "serverless"
    save.click()
    assert line.value == "Revealed already; your prediction stays: batch"
    assert _kept(home)["08.s1"]["value"] == "batch"


def test_in_a_notebook_the_control_is_displayed(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[object] = []
    monkeypatch.setattr(learning, "in_jupyter", lambda: True)
    monkeypatch.setattr("IPython.display.display", shown.append)
    predict("08.s1", choices=CHOICES)
    assert isinstance(shown[0], ipywidgets.VBox)
    assert len(shown) == 1


def test_outside_a_notebook_nothing_of_jupyter_is_needed() -> None:
    assert not learning.in_jupyter()


# --- in Spanish -----------------------------------------------------------------------------------------------------


def test_what_is_shown_is_spanish_and_what_is_kept_is_the_same(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("SIMLIB_LANG", "es")
    choices = ["as often as men", "about twice as often", "less often than men"]
    predict("10.s1", choices=choices, prompt="Deserving women are refused")
    assert "A las mujeres que merecen el préstamo se les niega" in capsys.readouterr().out
    predict("10.s1", choices[1], choices=choices)
    reveal("10.s1", choices[1])
    assert capsys.readouterr().out == (
        "Guardado: cerca del doble\nTu predicción: cerca del doble.  El resultado: cerca del doble.\n¡Correcto!\n"
    )
    assert _kept(home)["10.s1"]["value"] == choices[1]


def test_a_number_is_written_as_the_language_writes_it() -> None:
    assert number_in("en", "12,345.6") == "12,345.6"
    for english, spanish in (
        ("32.32", "32,32"),
        ("1,234.5", "1234,5"),
        ("-0.5", "-0,5"),
        ("2", "2"),
        ("1e+20", "1e+20"),
    ):
        assert number_in("es", english) == spanish
    assert number_in("es", "12,345,678.9") == "12\N{NO-BREAK SPACE}345\N{NO-BREAK SPACE}678,9"


def test_a_reveal_in_spanish_has_decimal_commas(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setenv("SIMLIB_LANG", "es")
    predict("x.s1", 12.5, unit="s")
    reveal("x.s1", 1234.5, unit="s")
    assert "Tu predicción: 12,5 s.  El resultado: 1234 s." in capsys.readouterr().out


def test_a_question_that_has_changed_is_asked_in_english(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("SIMLIB_LANG", "es")
    predict("10.s1", prompt="Deserving women are refused a loan")
    assert "Deserving women are refused a loan" in capsys.readouterr().out
