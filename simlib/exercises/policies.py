"""A policy handed in as data: whether it is one, and whether what it leads to keeps what was asked.

*bounds* says what a policy may be: the name of each entry, and lowest and highest (whole numbers if both are) or a list
of texts to choose from.  *limits* says what its figures must keep: `{"p95_s": {"max": 0.3}, "usd":
{"max_times_best": 1.1}}`, where the best is what the teacher's own policy reaches in the same case.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from simlib.exercises.values import Plain, is_number, shown
from simlib.words import say
from simlib.languages import Language

Bounds = Mapping[str, Sequence[Any]]
Limits = Mapping[str, Mapping[str, float]]

LIMIT_KINDS = ("max", "min", "max_times_best", "min_times_best")


def fault_of(policy: Plain, bounds: Bounds, question: str, language: Language) -> str:
    """What keeps *policy* from being one, as a sentence; "" if nothing does."""
    if not isinstance(policy, dict) or policy.keys() != bounds.keys():
        got = ", ".join(sorted(policy)) if isinstance(policy, dict) else shown(policy)
        return say("policy keys", language, question=question, known=", ".join(bounds), got=got or "{}")
    for name, allowed in bounds.items():
        if not _is_within(policy[name], allowed):
            wanted = _wanted(allowed, language)
            value = shown(policy[name])
            return say("policy bound", language, question=question, name=name, value=value, wanted=wanted)
    return ""


def _is_within(value: Plain, allowed: Sequence[Any]) -> bool:
    if isinstance(allowed[0], str):
        return value in allowed
    low, high = allowed
    whole = isinstance(low, int) and isinstance(high, int)
    return is_number(value) and low <= value <= high and not (whole and value != int(value))


def as_meant(policy: dict[str, Plain], bounds: Bounds) -> dict[str, Plain]:
    """A policy without fault, with 4.0 as 4 where a whole number is meant."""
    return {
        name: int(policy[name]) if all(isinstance(bound, int) for bound in allowed) else policy[name]
        for name, allowed in bounds.items()
    }


def _wanted(allowed: Sequence[Any], language: Language) -> str:
    if isinstance(allowed[0], str):
        return say("one of", language, choices=", ".join(map(repr, allowed)))
    low, high = allowed
    whole = isinstance(low, int) and isinstance(high, int)
    return say("whole between" if whole else "between", language, low=low, high=high)


def kept(figures: Mapping[str, Plain], limits: Limits, best: Mapping[str, Plain]) -> dict[str, bool]:
    """For each limited figure, whether it keeps every limit on it; a figure that is no number keeps none."""
    return {
        name: all(_keeps(figures.get(name), kind, bound, best.get(name)) for kind, bound in wanted.items())
        for name, wanted in limits.items()
    }


def _keeps(value: Plain, kind: str, bound: float, best: Plain) -> bool:
    if not is_number(value):
        return False
    if kind.endswith("_times_best"):
        bound = bound * float(best)
    slack = 1e-9 * max(1.0, abs(bound))
    return bool(value <= bound + slack if kind.startswith("max") else value >= bound - slack)


def lines(figures: Mapping[str, Plain], limits: Limits, best: Mapping[str, Plain], language: Language) -> list[str]:
    """One line a limited figure: what it is, what was asked, whether that is kept."""
    verdicts = kept(figures, limits, best)
    return [
        say(
            "figure",
            language,
            name=name,
            value=shown(figures.get(name)),
            wanted=", ".join(_asked(kind, bound, best.get(name), language) for kind, bound in wanted.items()),
            verdict=say("kept" if verdicts[name] else "broken", language),
        )
        for name, wanted in limits.items()
    ]


def _asked(kind: str, bound: float, best: Plain, language: Language) -> str:
    if kind.endswith("_times_best"):
        bound = bound * float(best)
    return say("at most" if kind.startswith("max") else "at least", language, bound=shown(float(bound)))
