"""What the text of an argument may be; for argparse's `type=`, whose error then says what would be right."""

import argparse
import math
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def read(text: str, kind: Callable[[str], T], fits: Callable[[T], bool], wanted: str) -> T:
    """*text* as *kind* makes it, where it *fits*; else an error that says what is *wanted*."""
    try:
        value = kind(text)
        if fits(value):
            return value
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is not possible: it should be {wanted}")


def positive(text: str) -> float:
    """A number greater than 0."""
    return read(text, float, lambda x: 0 < x < math.inf, "a number greater than 0")


def non_negative(text: str) -> float:
    """A number of at least 0."""
    return read(text, float, lambda x: 0 <= x < math.inf, "a number of at least 0")


def count(text: str) -> int:
    """A whole number of at least 1."""
    return read(text, int, lambda n: n >= 1, "a whole number of at least 1")


def whole(text: str) -> int:
    """A whole number of at least 0."""
    return read(text, int, lambda n: n >= 0, "a whole number of at least 0")
