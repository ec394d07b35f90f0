"""Answers as plain data: what becomes what, what equals what, and nothing of the answer's own code runs."""

import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest

from simlib.exercises.values import kind, plain, same, shape, shown


class Liar(float):
    def __eq__(self, other):
        return True

    def __float__(self):
        return 42.0

    def __repr__(self):
        return "42.0"

    __hash__ = float.__hash__


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float64(0.5), 0.5),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (np.array(2.5), 2.5),
        (pd.Series([1.0, 2.0]), [1.0, 2.0]),
        (pd.DataFrame({"a": [1, 2]}), {"a": [1, 2]}),
        ((1, "x", None), [1, "x", None]),
        (np.longdouble(0.5), 0.5),
        (Decimal("0.5"), 0.5),
        (Fraction(1, 2), 0.5),
        (range(3), [0, 1, 2]),
        ({"a": 1}.values(), [1]),
        ((k for k in (1, 2)), [1, 2]),
        (b"plus", {"$": "no data", "type": "bytes"}),
        ({1: True}, {"1": True}),
        (pd.Timestamp("2026-03-02"), "2026-03-02T00:00:00"),
        (Liar(1.5), 1.5),
        (math.nan, {"$": "not finite", "text": "nan"}),
        (-math.inf, {"$": "not finite", "text": "-inf"}),
        (..., {"$": "nothing yet"}),
        (10**40, {"$": "too large"}),
        (np.zeros(10**6), {"$": "too large"}),
        ("x" * 10**6, {"$": "too large"}),
        (object(), {"$": "no data", "type": "object"}),
    ],
)
def test_what_becomes_plain(value, expected):
    found = plain(value)
    assert found == expected
    assert type(found) is type(expected)


def test_endless_and_deep_values_end():
    deep = [1]
    deep.append(deep)
    assert '"too large"' in repr(plain(deep)).replace("'", '"')
    assert plain(iter(int, 1)) == {"$": "too large"}


@pytest.mark.parametrize(
    ("got", "expected", "is_same"),
    [
        (1.0004, 1.0, True),
        (1.002, 1.0, False),
        (1, 1.0, True),
        (True, 1, False),
        (1, True, False),
        ("1", 1, False),
        (1, "1", False),
        (" real-time\n", "real-time", True),
        ([1, 2], [1, 2.0001], True),
        ([1, 2], [1, 2, 3], False),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        ({"a": 1, "b": 2}, {"a": 1}, False),
        (None, None, True),
        (None, 0, False),
        (1e-12, 0.0, True),
        ({"$": "not finite", "text": "nan"}, {"$": "not finite", "text": "nan"}, False),
        ({"$": "not finite", "text": "nan"}, 1.0, False),
    ],
)
def test_what_is_the_same(got, expected, is_same):
    assert same(got, expected) is is_same


def test_words_for_a_value():
    assert kind([[1, 2], [3, 4], [5, 6]]) == ("list", "3 × 2")
    assert kind({"b": 1, "a": 2}) == ("table", "a, b")
    assert kind(None)[0] == kind(plain(...))[0] == "nothing"
    assert shape([[1], [1, 2]]) == (2,)
    assert shown(1234.5678, "ms") == "1235 ms"
    assert shown("x", "ms") == "'x'"
    assert len(shown(list(range(100)))) <= 200
