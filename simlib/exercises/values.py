"""What an answer may be as data, and when two of them are the same.

An answer travels as *plain* data: None, true or false, numbers, text, lists, and tables (dictionaries by text).  numpy
and pandas values become the plain data they stand for.  Whatever has no plain form becomes a `{"$": …}` that says so
and equals nothing; so nothing an answer brings along (an `__eq__`, a pickle) ever runs where it is compared.
"""

import datetime
import itertools
import math
from collections.abc import Iterable, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np

Plain = Any  # None | bool | int | float | str | list[Plain] | dict[str, Plain]

RTOL = 1e-3  # another correct method may differ by five in ten thousand
ATOL = 1e-9
MOST_ITEMS = 20_000
MOST_DEPTH = 8
LONGEST_TEXT = 20_000
LARGEST_INT = 2**63


# --- from Python to plain data --------------------------------------------------------------------------------------


def plain(value: object) -> Plain:
    """*value* as plain data; at most 20,000 items, 8 levels and 20,000 letters, or `{"$": "too large"}`."""
    return _Converter().convert(value, 0)


class _Converter:
    """Counts what it has converted, so that an endless or a huge value ends early."""

    def __init__(self) -> None:
        self.items = 0

    def convert(self, value: Any, depth: int) -> Plain:
        self.items += 1
        if self.items > MOST_ITEMS or depth > MOST_DEPTH:
            return {"$": "too large"}
        if value is None or value is True or value is False:
            return value
        if value is Ellipsis:
            return {"$": "nothing yet"}
        if isinstance(value, np.floating | Fraction | Decimal):
            return _float(float(value))
        if isinstance(value, np.generic):
            value = value.item()
        if isinstance(value, bool):
            return bool(value)
        if isinstance(value, int):
            number = int.__add__(value, 0)
            return number if -LARGEST_INT <= number < LARGEST_INT else {"$": "too large"}
        if isinstance(value, float):
            return _float(float.__add__(value, 0.0))
        if isinstance(value, str):
            return str.__str__(value) if str.__len__(value) <= LONGEST_TEXT else {"$": "too large"}
        if isinstance(value, datetime.date):
            return value.isoformat()
        return self._container(value, depth)

    def _container(self, value: Any, depth: int) -> Plain:
        if isinstance(value, list | tuple):
            return self._list(value, depth)
        if isinstance(value, set | frozenset):
            return self._list(sorted(value, key=repr), depth) if len(value) <= MOST_ITEMS else {"$": "too large"}
        if isinstance(value, Mapping):
            return self._table(value, depth)
        if hasattr(value, "to_dict") and hasattr(value, "columns"):
            return self._table({name: value[name] for name in value.columns}, depth)
        if isinstance(value, np.ndarray) or hasattr(value, "to_numpy"):
            array = value if isinstance(value, np.ndarray) else value.to_numpy()
            return self._list(array.tolist(), depth) if array.size <= MOST_ITEMS else {"$": "too large"}
        if isinstance(value, Iterable) and not isinstance(value, bytes | bytearray | memoryview):
            return self._list(list(itertools.islice(value, MOST_ITEMS + 1)), depth)  # a range, a generator, values()
        return {"$": "no data", "type": type(value).__name__[:40]}

    def _list(self, value: Any, depth: int) -> Plain:
        if not isinstance(value, list | tuple):  # an array without a dimension
            return self.convert(value, depth)
        items = self._few(value)
        return [self.convert(item, depth + 1) for item in items] if items is not None else {"$": "too large"}

    def _table(self, value: Mapping[Any, Any], depth: int) -> Plain:
        items = self._few(value.items())
        if items is None:
            return {"$": "too large"}
        return {str(key)[:LONGEST_TEXT]: self.convert(item, depth + 1) for key, item in items}

    def _few(self, values: Iterable[Any]) -> list[Any] | None:
        """All of them, None if they are too many; what a length says is not believed."""
        room = max(0, MOST_ITEMS - self.items)
        found = list(itertools.islice(values, room + 1))
        return found if len(found) <= room else None


def _float(number: float) -> Plain:
    return number if math.isfinite(number) else {"$": "not finite", "text": repr(number)}


# --- the same? ------------------------------------------------------------------------------------------------------


def same(got: Plain, expected: Plain, rtol: float = RTOL) -> bool:
    """Whether two plain answers are the same: numbers within *rtol*, all else exactly, true never equal to 1."""
    if is_number(expected):
        return is_number(got) and math.isclose(got, expected, rel_tol=rtol, abs_tol=ATOL)
    if isinstance(expected, str):
        return isinstance(got, str) and got.strip() == expected.strip()
    if isinstance(expected, list):
        return (
            isinstance(got, list)
            and len(got) == len(expected)
            and all(same(g, e, rtol) for g, e in zip(got, expected, strict=True))
        )
    if isinstance(expected, dict):
        if "$" in expected or not isinstance(got, dict) or got.keys() != expected.keys():
            return False
        return all(same(got[key], expected[key], rtol) for key in expected)
    return got is expected  # None, true, false


def is_number(value: Plain) -> bool:
    """A finite number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def is_nothing(value: Plain) -> bool:
    """What an answer is before anybody has written it."""
    return value is None or (isinstance(value, dict) and value.get("$") == "nothing yet")


# --- in words -------------------------------------------------------------------------------------------------------


def kind(value: Plain) -> tuple[str, str]:
    """What a plain value is, as a key of `words` and a detail: ("list", "3"), ("table", "p50, p99"), ("number", "")."""
    if is_nothing(value):
        return "nothing", ""
    if isinstance(value, bool):
        return "truth", ""
    if is_number(value):
        return "number", ""
    if isinstance(value, str):
        return "text", ""
    if isinstance(value, list):
        return "list", " × ".join(map(str, shape(value)))
    if "$" in value:
        return "other", str(value.get("text") or value.get("type") or value["$"])
    names = ", ".join(sorted(value)[:6])
    return "table", names + (", …" if len(value) > 6 else "")


def shape(value: Plain) -> tuple[int, ...]:
    """The shape of nested lists: (3,) or (3, 2); only as deep as all of them are equally long."""
    if not isinstance(value, list):
        return ()
    inner = {shape(item) for item in value}
    return (len(value), *inner.pop()) if len(inner) == 1 else (len(value),)


def shown(value: Plain, unit: str = "") -> str:
    """A plain value as a person reads it: at most four significant digits, at most 200 letters."""
    text = _shown(value)
    text = text if len(text) <= 200 else text[:197] + "..."
    return f"{text} {unit}" if unit and is_number(value) else text


def _shown(value: Plain) -> str:
    if is_number(value):
        return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
    if isinstance(value, list):
        more = ", …" if len(value) > 12 else ""
        return "[" + ", ".join(_shown(item) for item in value[:12]) + more + "]"
    if isinstance(value, dict) and "$" in value:
        return str(value.get("text") or value.get("type") or value["$"])
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {_shown(value[key])}" for key in list(value)[:12]) + "}"
    return repr(value)
