"""`check("q1")`: the student's answer beside the public examples, at once, with a ladder of hints.

Works without a teacher and without a network: all it needs stands in the exercise's own notebook (kept.py).  It gives
no marks and keeps nothing.
"""

import sys
from collections.abc import Mapping
from typing import Any

from simlib.exercises import policies
from simlib.exercises.kept import examples_of
from simlib.exercises.values import Plain, is_nothing, kind, plain, same, shown
from simlib.words import say
from simlib.languages import Language, current
from simlib.parameters import ParameterError

__all__ = ["Exercise"]


class Exercise:
    """The public examples and hints of one exercise; call it with a question's name to check an answer.

    Parameters
    ----------
    name : str
        Of the exercise, such as "02-real-time-endpoints".
    student : str
        Whose own variant it is; "" for the one that all have.

    Raises
    ------
    ParameterError
        If its examples are not found, or damaged.
    """

    def __init__(self, name: str, student: str = "") -> None:
        content = examples_of(name, student)
        try:
            self.name, self.given = str(content["exercise"]), content.get("given")
            self.questions: dict[str, dict[str, Any]] = content["questions"]
        except (KeyError, TypeError):
            raise ParameterError("the examples of this exercise are damaged: take its notebook anew.") from None
        self._failed: dict[str, int] = {}

    def __call__(self, question: str) -> None:
        """Check the answer to *question* in the notebook that calls, and print what was found."""
        print("\n".join(self.report(question, sys._getframe(1).f_globals)))

    def __repr__(self) -> str:
        return f'check("{next(iter(self.questions), "q1")}") … of exercise {self.name}'

    def report(self, question: str, names: Mapping[str, Any], language: Language | None = None) -> list[str]:
        """The lines that `check` prints, for an answer among *names*; in the current language if none is given."""
        language = language or current()
        if question not in self.questions:
            return [say("unknown question", language, question=question, known=", ".join(self.questions))]
        asked = self.questions[question]
        if asked["kind"] == "open":
            return [say("open", language, question=question, points=asked["points"])]
        passed, lines = _CHECKS[asked["kind"]](question, asked, names, language)
        count = len(asked["examples"])
        if passed == count:
            self._failed.pop(question, None)
            note = say("note hidden", language)
            return [say("right", language, question=question, passed=passed, count=count, note=note), *lines]
        if self.given is not None and plain(names.get("given")) != self.given:
            lines = [*lines, say("given changed", language)]
        if passed is None:
            return lines
        head = say("wrong", language, question=question, passed=passed, count=count)
        return [head, *lines, *self._next_hint(question, asked, language)]

    def _next_hint(self, question: str, asked: dict[str, Any], language: Language) -> list[str]:
        """One step further up the ladder each time the answer is not right."""
        hints = asked["hints"][language]
        if not hints:
            return []
        number = min(self._failed.get(question, 0) + 1, len(hints))
        self._failed[question] = number
        return [say("hint", language, number=number, count=len(hints), hint=hints[number - 1])]


Found = tuple[int | None, list[str]]  # how many examples are right (None: not attempted), and what to say


def _check_function(question: str, asked: dict[str, Any], names: Mapping[str, Any], language: Language) -> Found:
    function = names.get(asked["answer"])
    if not callable(function):
        if is_nothing(plain(function)):
            return None, [_not_attempted(question, asked, language)]
        got = kind_in_words(plain(function), "", language)
        return 0, [say("wrong kind", language, got=got, expected=say("function", language))]
    passed, first, nothing = 0, list[str](), True
    for case, expected in zip(asked["examples"], asked["expected"], strict=True):
        try:
            got = plain(function(**case))
        except Exception as error:
            nothing = False
            lines = [say("raised", language, error=shortened(error))]
        else:
            nothing = nothing and is_nothing(got)
            if same(got, expected, asked["rtol"]):
                passed += 1
                continue
            lines = difference(got, expected, asked["unit"], language)
        first = first or [say("case", language, case=in_call(case)), *lines]
    return (None, [_not_attempted(question, asked, language)]) if nothing else (passed, first)


def _check_value(question: str, asked: dict[str, Any], names: Mapping[str, Any], language: Language) -> Found:
    got, expected = plain(names.get(asked["answer"])), asked["expected"][0]
    if is_nothing(got):
        return None, [_not_attempted(question, asked, language)]
    if same(got, expected, asked["rtol"]):
        return 1, []
    return 0, difference(got, expected, asked["unit"], language)


def _check_policy(question: str, asked: dict[str, Any], names: Mapping[str, Any], language: Language) -> Found:
    policy = plain(names.get(asked["answer"]))
    if is_nothing(policy):
        return None, [_not_attempted(question, asked, language)]
    if fault := policies.fault_of(policy, asked["bounds"], question, language):
        return 0, [fault]
    passed, lines = 0, list[str]()
    for case, best in zip(asked["examples"], asked["expected"], strict=True):
        figures = plain(names[asked["trial"]](policies.as_meant(policy, asked["bounds"]), **case))
        passed += all(policies.kept(figures, asked["limits"], best).values())
        lines += [say("case", language, case=in_call(case)), *policies.lines(figures, asked["limits"], best, language)]
    return passed, lines


_CHECKS = {"function": _check_function, "value": _check_value, "policy": _check_policy}


# --- in words -------------------------------------------------------------------------------------------------------


def difference(got: Plain, expected: Plain, unit: str, language: Language) -> list[str]:
    """What came and what should have come; the kinds of both where these differ already."""
    if kind(got) == kind(expected):
        return [
            say("got", language, got=shown(got, unit)),
            say("expected", language, expected=shown(expected, unit)),
        ]
    return [
        say("got", language, got=kind_in_words(got, "", language)),
        say("expected", language, expected=kind_in_words(expected, unit, language)),
    ]


def kind_in_words(value: Plain, unit: str, language: Language) -> str:
    """What kind of value this is: "a number, in s"."""
    key, detail = kind(value)
    words = say(key, language, detail=detail)
    return say("in unit", language, kind=words, unit=unit) if unit else words


def in_call(case: Mapping[str, Plain]) -> str:
    """A case as one would write it in a call."""
    return ", ".join(f"{name}={shown(value)}" for name, value in case.items())


def shortened(error: BaseException) -> str:
    """An exception in one line of at most 160 letters."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return text if len(text) <= 160 else text[:157] + "..."


def _not_attempted(question: str, asked: dict[str, Any], language: Language) -> str:
    return say("not attempted", language, question=question, answer=f"`{asked['answer']}`")
