"""What a parameter may be, and the one sentence that says when it is not.

Every deployment, policy, workload and price is a *config*: a frozen value that checks itself when it is made, prints,
compares, and goes to JSON and back.  Checking happens at the border, by pydantic; behind it the code trusts its values.

    >>> from simlib.parameters import Positive, config
    >>> @config
    ... class Tank:
    ...     litres: Positive
    >>> Tank(litres=40.0)
    Tank(litres=40.0)
    >>> Tank(litres=-3)
    Traceback (most recent call last):
    simlib.parameters.ParameterError: Tank: litres=-3 is not possible: it should be greater than 0.
    >>> Tank(liters=40)
    Traceback (most recent call last):
    simlib.parameters.ParameterError: Tank has no parameter 'liters'; did you mean 'litres'?
"""

import dataclasses
import difflib
import functools
import inspect
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from typing import Annotated, Any, ParamSpec, TypeVar, dataclass_transform

import numpy as np
from pydantic import BeforeValidator, ConfigDict, Field, ValidationError, validate_call
from pydantic.dataclasses import dataclass as pydantic_dataclass

P = ParamSpec("P")
R = TypeVar("R")
C = TypeVar("C")


class ParameterError(ValueError, TypeError):
    """A parameter that cannot be: its message is one sentence with the name, the value and what would be right."""

    def _render_traceback_(self) -> list[str]:
        """What Jupyter shows: the sentence alone.  The lines of the library would not help whoever made a typo."""
        return [f"{type(self).__name__}: {self}"]


# --- kinds of values ------------------------------------------------------------------------------------------------


def _plain(value: object) -> object:
    """A numpy scalar as the Python number it stands for."""
    return value.item() if isinstance(value, np.generic) else value


_Plain = BeforeValidator(_plain)
Real = Annotated[float, _Plain, Field(strict=True, allow_inf_nan=False)]
Positive = Annotated[float, _Plain, Field(strict=True, gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, _Plain, Field(strict=True, ge=0, allow_inf_nan=False)]
Share = Annotated[float, _Plain, Field(strict=True, ge=0, le=1, allow_inf_nan=False)]
Whole = Annotated[int, _Plain, Field(strict=True, ge=0)]
Count = Annotated[int, _Plain, Field(strict=True, ge=1)]
Flag = Annotated[bool, _Plain, Field(strict=True)]
Text = Annotated[str, Field(strict=True, min_length=1)]


def as_row(name: str, value: object, wanted: str = "a row of numbers") -> np.ndarray:
    """*value*, of the parameter *name*, as a row of floats; NaN and infinity are let through.

    Raises
    ------
    ValueError
        If it is anything else; the sentence says what was *wanted*.
    """
    found = value if isinstance(value, np.ndarray | Sequence) or hasattr(value, "to_numpy") else None
    try:
        numbers = None if found is None or isinstance(found, str) else np.asarray(found)
    except ValueError:  # lists of different lengths
        numbers = None
    if numbers is None or numbers.ndim != 1 or (len(numbers) and numbers.dtype.kind not in "iuf"):
        raise ValueError(f"{name}={shortly(value)} is not possible: it should be {wanted}.")
    return numbers.astype(float)


Series = Annotated[Any, BeforeValidator(functools.partial(as_row, "series"))]

_SETTINGS = ConfigDict(extra="forbid", arbitrary_types_allowed=True)


# --- configs --------------------------------------------------------------------------------------------------------

_KINDS: dict[str, type] = {}
_KIND = "$kind"  # in JSON; no parameter or column of a user is likely to be called so


@dataclass_transform(frozen_default=True, field_specifiers=(dataclasses.field,))
def config(cls: type[C]) -> type[C]:
    """Make a frozen, checked dataclass of *cls* with one-sentence errors, known to `to_json`."""
    made: Any = pydantic_dataclass(frozen=True, config=_SETTINGS)(cls)
    checked_init = made.__init__

    @functools.wraps(checked_init)
    def init(self: object, *args: object, **kwargs: object) -> None:
        with one_sentence(made.__name__, inspect.signature(made)):
            checked_init(self, *args, **kwargs)

    made.__init__ = init
    _KINDS[_kind_of(made)] = made
    return made


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """Check a public function's arguments against its annotations; an error is one sentence."""
    validating = validate_call(config=_SETTINGS)(function)
    signature = inspect.signature(function)
    owner = function.__name__ if function.__name__ != "__init__" else function.__qualname__.split(".")[-2]

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        with one_sentence(owner, signature):
            return validating(*args, **kwargs)

    return call


@checked
def to_json(value: Any) -> str:
    """A config as JSON text; `from_json` gives back an equal config."""
    return json.dumps(_to_plain(value), indent=2)


@checked
def from_json(text: Text) -> Any:
    """The config that `to_json` wrote.

    Raises
    ------
    ParameterError
        If the text is not JSON or names an unknown kind of config.
    """
    try:
        plain = json.loads(text)
    except json.JSONDecodeError as error:
        raise ParameterError(f"from_json: the text is not JSON: {error}.") from None
    return _from_plain(plain)


def _to_plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: _to_plain(getattr(value, f.name)) for f in dataclasses.fields(value) if f.init}
        return {_KIND: _kind_of(type(value)), **fields}
    if isinstance(value, Mapping):
        return {key: _to_plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_to_plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return value.tolist()
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise ParameterError(f"to_json: a {type(value).__name__} cannot be written as JSON.")


def _kind_of(cls: type) -> str:
    """A config's name in JSON: its class's, or its `json_kind` where two rooms have a class of that name."""
    return str(getattr(cls, "json_kind", cls.__name__))


def _open_all_rooms() -> None:
    """A kind is known once its room has been imported; a fresh session may not have done so."""
    simlib = import_module("simlib")
    for room in simlib.__all__:
        getattr(simlib, room)


def _from_plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_from_plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    fields = {key: _from_plain(item) for key, item in value.items() if key != _KIND}
    if _KIND not in value:
        return fields
    kind = str(value[_KIND])
    if kind not in _KINDS:
        _open_all_rooms()
    if kind not in _KINDS:
        raise ParameterError(f"from_json: there is no kind {kind!r}; {nearest(kind, _KINDS)}")
    return _KINDS[kind](**fields)


# --- the sentence ---------------------------------------------------------------------------------------------------


class one_sentence:
    """Turn pydantic's report into one `ParameterError` sentence about *owner*'s first wrong parameter."""

    def __init__(self, owner: str, signature: inspect.Signature) -> None:
        self.owner, self.signature = owner, signature

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: type | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ValidationError):
            raise ParameterError(self._sentence(error)) from None

    def _sentence(self, error: ValidationError) -> str:
        # a misspelt name is also a missing one: the spelling is the better news
        report: list[Any] = sorted(error.errors(include_url=False), key=lambda e: "unexpected" not in e["type"])
        first = report[0]
        if first["type"] == "value_error":  # our own words, from a __post_init__
            return f"{self.owner}: {first['ctx']['error']}"
        name, value = self._name(first["loc"]), first["input"]
        known = [each for each in self.signature.parameters if each not in ("self", "cls")]
        if first["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
            return f"{self.owner} has no parameter {name!r}; {nearest(name, known)}"
        if first["type"] in ("missing", "missing_argument", "missing_keyword_only_argument"):
            given = set(getattr(value, "kwargs", None) or ()) - set(known)  # where **options take any name
            if near := difflib.get_close_matches(name, given, n=1, cutoff=0.5):
                return f"{self.owner} has no parameter {near[0]!r}; did you mean {name!r}?"
            return f"{self.owner} needs the parameter {name!r}."
        if first["type"] == "unexpected_positional_argument":
            names = ", ".join(known)
            return f"{self.owner}: {shortly(value)} has no name; write parameter=value, one of {names}."
        wanted = first["msg"].removeprefix("Input ").removeprefix("String ")
        wanted = wanted.replace("a dictionary or an instance of", "a")
        if first["type"] == "too_short":
            least = first["ctx"]["min_length"]
            wanted = f"should have at least {least} item{'' if least == 1 else 's'}"
        if first["type"] in ("sequence_str", "tuple_type"):
            wanted = f"should be a list, such as [{value!r}]"
        return f"{self.owner}: {name}={shortly(value)} is not possible: it {wanted}{_hint(value, wanted)}."

    def _name(self, place: Iterable[str | int]) -> str:
        """The parameter's name; pydantic counts a positional argument instead of naming it."""
        steps = [s for s in place if not (isinstance(s, str) and ("[" in s or s in ("is-instance", "none")))]
        head, names = steps[0], list(self.signature.parameters)
        first = names[head] if isinstance(head, int) and head < len(names) else str(head)
        return first + "".join(f"[{step}]" for step in steps[1:] if isinstance(step, int))


def shortly(value: object) -> str:
    """*value* as a sentence can hold it."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."


def _hint(value: object, wanted: str) -> str:
    if isinstance(value, str) and "number" in wanted:
        return " without quotes or unit"
    return ""


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of a sentence about an unknown *name*: the nearest of the known ones, or all of them."""
    known = list(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else f"it knows {', '.join(known)}."
