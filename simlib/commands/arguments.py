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


# --- one value ------------------------------------------------------------------------------------------------------


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


def several(text: str) -> int:
    """A whole number of at least 2: an interval needs them."""
    return read(text, int, lambda n: n >= 2, "a whole number of at least 2")


def png(text: str) -> str:
    """A file's name that ends as pictures do."""
    return read(text, str, lambda name: name.lower().endswith(".png"), "the name of a PNG file, like cost.png")


# --- lists with commas ----------------------------------------------------------------------------------------------


def counts(text: str) -> tuple[int, ...]:
    """Several of them, like 1,2,4."""
    return read(text, lambda text: _each(int, text), lambda n: min(n) >= 1, "whole numbers of at least 1, like 1,2,4")


def positives(text: str) -> tuple[float, ...]:
    """Several numbers greater than 0, like 300,600."""
    wanted = "numbers greater than 0, like 300,600"
    return read(text, lambda text: _each(float, text), lambda found: all(0 < x < math.inf for x in found), wanted)


def names(text: str) -> tuple[str, ...]:
    """Several columns, like A,B."""
    return read(text, lambda text: _each(str.strip, text), all, "columns, like A,B")


def ranges(text: str) -> tuple[tuple[int, int], ...]:
    """Lowest and highest of one or more ranges, like 1-8."""
    return _ranges(text, fewest=1)


def ranges_from_zero(text: str) -> tuple[tuple[int, int], ...]:
    """Lowest and highest of one or more ranges, like 0-8."""
    return _ranges(text, fewest=0)


def _ranges(text: str, fewest: int) -> tuple[tuple[int, int], ...]:
    def bounds(part: str) -> tuple[int, int]:
        low, _, high = part.partition("-")
        return int(low), int(high)

    wanted = f"the fewest and the most instances, like {fewest}-8"
    return read(text, lambda text: _each(bounds, text), lambda found: all(fewest <= a < b for a, b in found), wanted)


def seconds_by_name(text: str) -> dict[str, float]:
    """Seconds for each of several columns, like A=0.0002,B=0.02."""

    def pairs(text: str) -> dict[str, float]:
        cut = (part.rpartition("=") for part in text.split(","))
        return {name.strip(): float(value) for name, _, value in cut}

    return read(
        text,
        pairs,
        lambda found: all(found) and all(0 <= s < math.inf for s in found.values()),
        "columns with seconds of at least 0, like ContextTokens=0.0002,GeneratedTokens=0.02",
    )


def speed_by_memory(text: str) -> dict[int, float | None]:
    """Memory sizes [MB], each with a speed where one is given, like 2048,4096=1.8."""

    def pair(part: str) -> tuple[int, float | None]:
        memory, given, speed = part.partition("=")
        return int(memory), float(speed) if given else None

    return read(
        text,
        lambda text: dict(_each(pair, text)),
        lambda found: min(found) >= 1 and all(x is None or 0 < x < math.inf for x in found.values()),
        "memory sizes in MB, like 2048,4096, or with a speed beside an instance's worker, like 2048=0.5,4096=1",
    )


def _each(kind: Callable[[str], T], text: str) -> tuple[T, ...]:
    """The parts between commas, each once."""
    return tuple(dict.fromkeys(kind(part) for part in text.split(",")))
