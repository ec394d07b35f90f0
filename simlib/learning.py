"""The learner's predictions: committed before the run, kept on this machine, set against the result.

    predict("02.p99", 120, unit="ms")          # or without a value: a small control in Jupyter
    reveal("02.p99", 286, unit="ms")           # Your prediction: 120 ms.  The result: 286 ms. …

Predictions lie in ``.simlib/predictions.json`` in the current folder, or in the folder that the environment variable
``SIMLIB_HOME`` names: the questions, the values and the results, and nothing about who answered.  What is kept is the
same in every language; what is shown is in the current one (`simlib.languages`).
"""

import html
import json
import math
import os
import sys
import tempfile
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from simlib.course.wordings import Wording, wording
from simlib.languages import Language, current, number_in
from simlib.parameters import ParameterError, Text, checked, nearest
from simlib.words import say

__all__ = ["predict", "predictions", "reveal"]

Value = str | float


# --- what the learner calls -----------------------------------------------------------------------------------------


@checked
def predict(
    question_id: Text, value: Any = None, *, choices: Sequence[Any] | None = None, unit: str = "", prompt: str = ""
) -> None:
    """Commit a prediction before the result is known.

    With a *value* it is kept at once.  Without one, Jupyter shows a control with a button "Save", and anything else
    prints how to commit.  A prediction may be changed until `reveal` shows the result; then it stays as it was.

    Parameters
    ----------
    question_id : str
        The notebook and the question, such as ``"08.s1"``.
    value : str or number, optional
        The prediction.
    choices : sequence of str or number, optional
        What may be chosen; without it a number is asked for.
    unit : str
        The unit of a number, for display.
    prompt : str
        The question in words.

    Raises
    ------
    ParameterError
        If the value is not among the choices or is neither text nor a finite number, or cannot be kept here.
    """
    allowed = None if choices is None else _choices(choices)
    if value is not None:
        print(_commit(question_id, _chosen(_value(value, "value"), allowed), unit))
    elif in_jupyter():
        from IPython.display import display

        display(_control(question_id, allowed, unit, prompt))
    else:
        print(_how_to_commit(question_id, allowed, unit, prompt))


@checked
def reveal(question_id: Text, answer: Any, *, unit: str = "", explain: str = "") -> None:
    """Print the learner's prediction beside the result; from now on the prediction stays as it was.

    With no prediction it says so and goes on.  Numbers are printed with at most four significant digits.

    Parameters
    ----------
    question_id : str
        As in `predict`.
    answer : str or number
        The result.
    unit : str
        The unit of a number; the prediction's own where none is given.
    explain : str
        A sentence or two on why, printed below.
    """
    result, language = _value(answer, "answer"), current()
    kept = _read()
    entry = kept.get(question_id)
    if entry is None:
        print(say("no prediction", language, question=question_id))
        print(say("result", language, result=told(question_id, result, unit)))
    else:
        unit = unit or entry["unit"]
        value, shown = (told(question_id, each, unit) for each in (entry["value"], result))
        print(say("both", language, value=value, result=shown))
        print(_comparison(question_id, entry["value"], result, unit))
        kept[question_id] = entry | {"answer": result, "revealed": True}
        _write(kept)
    if explain:
        print(textwrap.fill(explain, 90))


def predictions() -> pd.DataFrame:
    """All predictions kept here, one a row: question, prediction, unit, answer (None until revealed), revealed."""
    rows = [
        (question, entry["value"], entry["unit"], entry["answer"], entry["revealed"])
        for question, entry in _read().items()
    ]
    return pd.DataFrame(rows, columns=["question", "prediction", "unit", "answer", "revealed"])


# --- values and words -----------------------------------------------------------------------------------------------


def _value(value: object, name: str) -> Value:
    """*value* as JSON can keep it: text or a finite number."""
    plain = value.item() if isinstance(value, np.generic) else value
    if isinstance(plain, str) and plain:
        return plain
    if isinstance(plain, int | float) and not isinstance(plain, bool) and math.isfinite(plain):
        return plain
    raise ParameterError(f"{name}={value!r} is not possible: it should be text or a finite number.")


def _choices(choices: Sequence[Any]) -> list[Value]:
    """*choices* as a list of at least two different values."""
    found = [] if isinstance(choices, str) else [_value(choice, "choices") for choice in choices]
    if len(found) < 2 or len(set(found)) < len(found):
        raise ParameterError(
            f"choices={choices!r} is not possible: it should be a list of at least two, all different."
        )
    return found


def _chosen(value: Value, choices: list[Value] | None) -> Value:
    if choices is None or value in choices:
        return value
    raise ParameterError(
        f"predict: {value!r} is not among the choices; {nearest(str(value), [str(choice) for choice in choices])}"
    )


def _number(value: float, language: Language) -> str:
    """At most four significant digits, with thousands set apart as *language* does."""
    rounded = float(f"{value:.4g}")
    if rounded == 0 or 1e-4 <= abs(rounded) < 1e15:
        text = f"{rounded:,.8f}".rstrip("0").rstrip(".")
        return number_in(language, text if text != "-0" else "0")
    return number_in(language, f"{value:.4g}")


def _shown(value: Value, unit: str, language: Language) -> str:
    text = value if isinstance(value, str) else _number(value, language)
    return f"{text} {unit}" if unit else text


def told(question_id: str, value: Value, unit: str, language: Language | None = None) -> str:
    """A value with its unit, in *language* or in the current one."""
    spoken = language or current()
    words = wording(question_id, spoken)
    return _shown(words.choice(value) if isinstance(value, str) else value, words.unit(unit), spoken)


def _comparison(question_id: str, predicted: Value, result: Value, unit: str) -> str:
    language = current()
    if isinstance(predicted, str) or isinstance(result, str):
        return say("right choice" if str(predicted) == str(result) else "other choice", language)
    if _number(predicted, language) == _number(result, language):
        return say("same number", language)
    if predicted > 0 and result > 0:
        return _by_ratio(predicted, result, language)
    difference = told(question_id, abs(result - predicted), unit)
    return say("higher" if result > predicted else "lower", language, difference=difference)


def _by_ratio(predicted: float, result: float, language: Language) -> str:
    times = max(predicted, result) / min(predicted, result)
    near = "well judged" if times <= 1.1 else "not far" if times <= 2 else "surprise"
    which = "times prediction" if result >= predicted else "times result"
    return say(near, language, ratio=say(which, language, ratio=_number(times, language)))


def _how_to_commit(question_id: str, choices: list[Value] | None, unit: str, prompt: str) -> str:
    language, words = current(), wording(question_id, current())
    example = f"sl.predict({question_id!r}, {choices[0] if choices else 1.5!r})".replace("'", '"')
    lines = [words.prompt(prompt, unit)] if prompt else []
    if choices:
        lines.append(say("one of these", language, choices=", ".join(_both(words, choice) for choice in choices)))
    in_unit = say("in", language, unit=words.unit(unit)) if unit else ""
    lines.append(say("commit", language, unit=in_unit, example=example))
    entry = _read().get(question_id)
    return "\n".join([*lines, _saved(question_id, entry)] if entry else lines)


def _both(words: Wording, choice: Value) -> str:
    """A choice as it is kept, and as it is said where that differs: outside Jupyter it has to be typed."""
    said = words.choice(choice) if isinstance(choice, str) else str(choice)
    return str(choice) if said == str(choice) else f"{choice} ({said})"


# --- the control in Jupyter -----------------------------------------------------------------------------------------


def in_jupyter() -> bool:
    """Whether a notebook's kernel runs this; asking must not import IPython where it is not used."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell is not None and hasattr(shell, "kernel")


def _control(question_id: str, choices: list[Value] | None, unit: str, prompt: str) -> Any:
    """Radio buttons or a number field, a button and a line that says what is saved; all reached by keyboard."""
    import ipywidgets  # type: ignore[import-untyped]

    language, shown = current(), wording(question_id, current())
    entry = _read().get(question_id)
    before = entry["value"] if entry else None
    if choices:
        options = [(told(question_id, choice, unit), choice) for choice in choices]
        field = ipywidgets.RadioButtons(options=options, value=before if before in choices else None)
    else:
        number = before if isinstance(before, int | float) else 0.0
        field = ipywidgets.FloatText(value=number, description=shown.unit(unit), layout={"width": "16em"})
    save = ipywidgets.Button(description=say("save", language), tooltip=say("save tip", language))
    line = ipywidgets.HTML(html.escape(_saved(question_id, entry) if entry else say("not saved", language)))
    field.disabled = save.disabled = bool(entry and entry["revealed"])

    def on_click(_: object) -> None:
        nothing = field.value is None
        line.value = html.escape(say("choose first", language) if nothing else _commit(question_id, field.value, unit))

    save.on_click(on_click)
    words = [ipywidgets.HTML(html.escape(shown.prompt(prompt, unit)))] if prompt else []
    return ipywidgets.VBox([*words, field, save, line])


# --- keeping them ---------------------------------------------------------------------------------------------------


def _commit(question_id: str, value: Value, unit: str) -> str:
    """Keep a prediction, and say so; one that was revealed stays as it was."""
    kept = _read()
    entry = kept.get(question_id)
    if entry is None or not entry["revealed"]:
        entry = kept[question_id] = {"value": value, "unit": unit, "answer": None, "revealed": False}
        _write(kept)
    return _saved(question_id, entry)


def _saved(question_id: str, entry: dict[str, Any]) -> str:
    value = told(question_id, entry["value"], entry["unit"])
    return say("stays" if entry["revealed"] else "saved", current(), value=value)


def _path() -> Path:
    return Path(os.environ.get("SIMLIB_HOME") or ".simlib") / "predictions.json"


def _read() -> dict[str, dict[str, Any]]:
    """Question → value, unit, answer, revealed."""
    path = _path()
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return {str(question): entry_of(entry) for question, entry in kept.items()}
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, AttributeError, KeyError):
        print(f"The predictions in {path} are damaged; they are kept aside as {_set_aside(path)} and begin anew.")
        return {}
    except OSError as error:
        raise ParameterError(f"predictions cannot be read from {str(path)!r} ({error.strerror}).") from None


def entry_of(entry: dict[str, Any]) -> dict[str, Any]:
    """One kept prediction, checked: value, unit, answer, revealed; any fault raises as the checks do."""
    answer = None if entry["answer"] is None else _value(entry["answer"], "answer")
    value = _value(entry["value"], "value")
    return {"value": value, "unit": str(entry["unit"]), "answer": answer, "revealed": bool(entry["revealed"])}


def _set_aside(path: Path) -> Path:
    number = 1
    while (aside := path.with_name(f"predictions-damaged-{number}.json")).exists():
        number += 1
    return path.rename(aside)


def _write(kept: dict[str, dict[str, Any]]) -> None:
    """Write all or nothing: a reader sees the old file or the new one, never half of one."""
    path = _path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, suffix=".tmp", delete=False) as file:
            json.dump(kept, file, indent=2)
        os.replace(file.name, path)
    except OSError as error:
        raise ParameterError(
            f"predictions cannot be kept in {str(path.parent)!r} ({error.strerror}); "
            "name another folder in the environment variable SIMLIB_HOME."
        ) from None
