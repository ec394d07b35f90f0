"""Configs and checked functions: what they take, the one sentence otherwise, and the way to JSON and back."""

import dataclasses
from typing import Annotated, Literal

import numpy as np
import pytest
from pydantic import Field

from simlib.parameters import (
    Count,
    Flag,
    NonNegative,
    ParameterError,
    Positive,
    Real,
    Share,
    Text,
    Whole,
    checked,
    config,
    from_json,
    nearest,
    to_json,
)


@config
class Pump:
    """A config with one parameter of each kind."""

    litres_per_s: Positive
    name: Text = dataclasses.field(default="pump", kw_only=True)
    count: Count = dataclasses.field(default=1, kw_only=True)
    spare: Whole = dataclasses.field(default=0, kw_only=True)
    loss: Share = dataclasses.field(default=0.0, kw_only=True)
    delay_s: NonNegative = dataclasses.field(default=0.0, kw_only=True)
    shift: Real = dataclasses.field(default=0.0, kw_only=True)
    runs: Flag = dataclasses.field(default=True, kw_only=True)
    kind: Literal["foot", "wheel"] = dataclasses.field(default="foot", kw_only=True)
    steps: tuple[Positive, ...] = dataclasses.field(default=(), kw_only=True)
    limit: Annotated[Positive, Field(le=10)] | None = dataclasses.field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if self.spare > self.count:
            raise ValueError(f"spare={self.spare} should be at most count={self.count}.")


@checked
def fill(litres: Positive, *, pumps: Count = 1) -> float:
    """Seconds."""
    return litres / pumps


class Tank:
    """A class with checked methods."""

    @checked
    def __init__(self, litres: Positive) -> None:
        self.litres = litres

    @checked
    def drain(self, litres: Positive, *, slowly: Flag = False) -> None:
        self.litres -= litres


def sentence(function, *args: object, **kwargs: object) -> str:
    with pytest.raises(ParameterError) as caught:
        function(*args, **kwargs)
    text = str(caught.value)
    assert "\n" not in text
    assert text.endswith((".", "?"))
    assert "pydantic" not in text
    return text


# --- what is taken --------------------------------------------------------------------------------------------------


def test_numbers_of_any_kind_become_pythons_own():
    pump = Pump(np.float32(2), count=np.int64(3), loss=1, runs=np.True_, steps=[1, np.float64(2)])
    assert pump == Pump(2.0, count=3, loss=1.0, runs=True, steps=(1.0, 2.0))
    assert [type(x) for x in (pump.litres_per_s, pump.count, pump.loss, pump.runs)] == [float, int, float, bool]
    assert all(type(step) is float for step in pump.steps)


def test_a_config_is_a_frozen_value():
    pump = Pump(2.0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        pump.count = 2
    assert hash(pump) == hash(Pump(2.0))
    assert pump != Pump(3.0)
    assert repr(pump).startswith("Pump(litres_per_s=2.0, name='pump', count=1")
    assert dataclasses.replace(pump, count=5).count == 5


# --- what is not ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"litres_per_s": 0}, "Pump: litres_per_s=0 is not possible: it should be greater than 0."),
        ({"litres_per_s": -1.5}, "Pump: litres_per_s=-1.5 is not possible: it should be greater than 0."),
        ({"litres_per_s": float("nan")}, "Pump: litres_per_s=nan is not possible"),
        ({"litres_per_s": float("inf")}, "Pump: litres_per_s=inf is not possible: it should be a finite number."),
        ({"litres_per_s": "3 l/s"}, "it should be a valid number without quotes or unit."),
        ({"litres_per_s": None}, "Pump: litres_per_s=None is not possible"),
        ({"litres_per_s": [1.0]}, "Pump: litres_per_s=[1.0] is not possible"),
        ({"litres_per_s": True}, "Pump: litres_per_s=True is not possible"),
        ({"litres_per_s": 10**400}, "Pump: litres_per_s=1000"),
        ({"litres_per_s": np.array([1.0, 2.0])}, "Pump: litres_per_s=array([1., 2.]) is not possible"),
        ({}, "Pump needs the parameter 'litres_per_s'."),
        ({"count": 0}, "Pump: count=0 is not possible: it should be greater than or equal to 1."),
        ({"count": 1.5}, "Pump: count=1.5 is not possible: it should be a valid integer."),
        ({"count": "2"}, "Pump: count='2' is not possible: it should be a valid integer."),
        ({"spare": -1}, "Pump: spare=-1 is not possible: it should be greater than or equal to 0."),
        ({"spare": 2}, "Pump: spare=2 should be at most count=1."),
        ({"loss": 1.01}, "Pump: loss=1.01 is not possible: it should be less than or equal to 1."),
        ({"delay_s": -0.001}, "Pump: delay_s=-0.001 is not possible"),
        ({"shift": float("-inf")}, "Pump: shift=-inf is not possible"),
        ({"runs": 1}, "Pump: runs=1 is not possible: it should be a valid boolean."),
        ({"runs": "yes"}, "Pump: runs='yes' is not possible"),
        ({"kind": "hand"}, "Pump: kind='hand' is not possible: it should be 'foot' or 'wheel'."),
        ({"name": ""}, "Pump: name='' is not possible: it should have at least 1 character."),
        ({"name": 3}, "Pump: name=3 is not possible: it should be a valid string."),
        ({"steps": [1.0, -2.0]}, "Pump: steps[1]=-2.0 is not possible: it should be greater than 0."),
        ({"steps": 3.0}, "Pump: steps=3.0 is not possible"),
        ({"limit": 11}, "Pump: limit=11 is not possible: it should be less than or equal to 10."),
        ({"litres": 3}, "Pump has no parameter 'litres'; did you mean 'litres_per_s'?"),
        ({"colour": 3}, "Pump has no parameter 'colour'; "),
    ],
)
def test_a_wrong_value_is_one_sentence(given, said):
    given = given if "litres_per_s" in given or given == {} else {"litres_per_s": 1.0, **given}
    assert said in sentence(Pump, **given)


def test_the_wrong_name_is_told_before_the_missing_one():
    assert sentence(Pump, litre_per_s=3) == "Pump has no parameter 'litre_per_s'; did you mean 'litres_per_s'?"


def test_a_value_without_a_name():
    assert sentence(Pump, 1.0, "big").startswith("Pump: 'big' has no name; write parameter=value, one of litres_per_s,")
    assert sentence(fill, 1.0, 2) == "fill: 2 has no name; write parameter=value, one of litres, pumps."


def test_long_values_are_shortened():
    assert len(sentence(Pump, "x" * 10_000)) < 200


def test_checked_functions_and_methods():
    assert fill(3, pumps=2) == 1.5
    assert sentence(fill, pums=2) == "fill has no parameter 'pums'; did you mean 'pumps'?"
    tank = Tank(3)
    tank.drain(1, slowly=True)
    assert tank.litres == 2
    assert sentence(Tank, -3) == "Tank: litres=-3 is not possible: it should be greater than 0."
    assert sentence(Tank, liters=3) == "Tank has no parameter 'liters'; did you mean 'litres'?"
    assert sentence(tank.drain, slowly=True) == "drain needs the parameter 'litres'."
    assert sentence(tank.drain, 1, fast=True) == "drain has no parameter 'fast'; it knows litres, slowly."
    assert sentence(tank.drain, "1").startswith("drain: litres='1' is not possible")


def test_errors_of_the_function_itself_are_left_alone():
    @checked
    def divide(a: Real, b: Real) -> float:
        return a / b

    with pytest.raises(ZeroDivisionError):
        divide(1, 0)


def test_a_parameter_error_is_both_kinds_that_python_knows():
    assert issubclass(ParameterError, ValueError)
    assert issubclass(ParameterError, TypeError)


def test_the_nearest_name():
    assert nearest("cout", ["count", "name"]) == "did you mean 'count'?"
    assert nearest("zzz", ["count", "name"]) == "it knows count, name."


# --- JSON -----------------------------------------------------------------------------------------------------------


def test_to_json_and_back():
    pump = Pump(2.0, steps=(1.0, 2.0), limit=3)
    assert from_json(to_json(pump)) == pump
    assert from_json(to_json([pump, {"a": 1}])) == [pump, {"a": 1}]
    assert from_json(to_json({"kind": 3})) == {"kind": 3}  # a column may be called anything


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "from_json: the text is not JSON"),
        ('{"$kind": "Pumpe"}', "from_json: there is no kind 'Pumpe'; did you mean 'Pump'?"),
        ('{"$kind": "Pump", "litres_per_s": -1}', "Pump: litres_per_s=-1 is not possible"),
        ("", "from_json: text='' is not possible"),
        (3, "from_json: text=3 is not possible: it should be a valid string."),
    ],
)
def test_wrong_json_is_one_sentence(text, said):
    assert said in sentence(from_json, text)


def test_what_json_cannot_hold():
    assert "a set cannot be written as JSON" in sentence(to_json, {1, 2})
