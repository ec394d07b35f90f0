"""Quiz items: asked in a notebook, exported for Moodle; forty of them, each in English and Spanish.

    >>> from simlib.course import quiz
    >>> len(quiz.items())
    40
    >>> quiz.item("q07-amdahl").judged("2.8")
    True

In a notebook, ``quiz.ask("q04-cold", "q09-silent")`` shows them with a control and a button; elsewhere it prints them.
"""

import math
import random
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from simlib.course.marks import remark
from simlib.languages import Language, current, mark, number_in
from simlib.learning import in_jupyter
from simlib.parameters import ParameterError, nearest
from simlib.words import say

__all__ = ["Item", "Text", "ask", "item", "items"]
PATH = Path(__file__).with_name("quiz.toml")


@dataclass(frozen=True)
class Text:
    """An item's words in one language; *right* is "" and *wrong* empty where a number is asked for."""

    ask: str
    why: str
    right: str = ""
    wrong: tuple[str, ...] = ()

    def everything(self) -> str:
        """All of it, one part a line: what a twin's mark is made from."""
        return "\n".join([self.ask, self.right, *self.wrong, self.why])


@dataclass(frozen=True)
class Item:
    """One quiz item.

    Attributes
    ----------
    name : str
    english, spanish : Text
    of : str
        The mark of the English text that the Spanish was made from.
    answer, tolerance : float
        Of a number that is asked for; NaN where one of several texts is to be chosen.
    """

    name: str
    english: Text
    spanish: Text
    of: str
    answer: float = math.nan
    tolerance: float = 0.0

    @property
    def notebook(self) -> str:
        """The number of the notebook that it asks about: "04", "A1"."""
        return self.name[1:3].upper()

    @property
    def is_number(self) -> bool:
        """Whether a number is asked for."""
        return not math.isnan(self.answer)

    def text(self, language: Language) -> Text:
        """Its words in *language*."""
        return self.spanish if language == "es" else self.english

    def choices(self, language: Language) -> tuple[str, ...]:
        """What may be chosen, in an order that is the same in every language and each time."""
        text = self.text(language)
        all_of_them = [text.right, *text.wrong]
        random.Random(self.name).shuffle(all_of_them)
        return () if self.is_number else tuple(all_of_them)

    def judged(self, given: str | float, language: Language = "en") -> bool:
        """Whether an answer is right; a number may be off by the tolerance, and may have a decimal comma."""
        if not self.is_number:
            return given == self.text(language).right
        try:
            number = float(str(given).replace(",", "."))
        except ValueError:
            return False
        return abs(number - self.answer) <= self.tolerance + 1e-9

    def fault(self) -> str:
        """What is wrong with the Spanish: "" or "stale"."""
        return "" if self.of == mark(self.english.everything()) else "stale"


def mark_twins() -> int:
    """Take the Spanish of every item as made from today's English; how many changed their mark."""
    changed = remark(PATH, {each.name: mark(each.english.everything()) for each in items().values()})
    items.cache_clear()
    return changed


@cache
def items() -> Mapping[str, Item]:
    """All items by name, in the order of the notebooks."""
    return {name: _item(name, words) for name, words in tomllib.loads(PATH.read_text(encoding="utf-8")).items()}


def _item(name: str, words: Mapping[str, Any]) -> Item:
    english, spanish = (
        Text(each["ask"], each["why"], each.get("right", ""), tuple(each.get("wrong", ())))
        for each in (words["en"], words["es"])
    )
    answer, tolerance = float(words.get("answer", math.nan)), float(words.get("tolerance", 0))
    return Item(name, english, spanish, words["of"], answer, tolerance)


def item(name: str) -> Item:
    """The item of that name.

    Raises
    ------
    ParameterError
        If there is none.
    """
    if name not in items():
        raise ParameterError(f"quiz: there is no item {name!r}; {nearest(name, items())}")
    return items()[name]


def ask(*names: str) -> None:
    """Ask these items (all of them without a name), in the current language, and say why after each answer."""
    asked = [item(name) for name in names or items()]
    language = current()
    if in_jupyter():
        from IPython.display import display

        from simlib.widgets.quiz import sheet

        display(sheet(asked, language))
    else:
        print("\n\n".join(printed(each, language) for each in asked))


def said(item: Item, given: str | float, language: Language) -> str:
    """What is said after an answer: whether it is right, the right one if not, and why."""
    text = item.text(language)
    if item.judged(given, language):
        return f"{say('quiz right', language)} {text.why}"
    right = text.right or number_in(language, f"{item.answer:g}")
    return f"{say('quiz wrong', language, right=right.removesuffix('.'))} {text.why}"


def printed(item: Item, language: Language) -> str:
    """An item as plain text."""
    lines = [item.text(language).ask, *(f"  - {choice}" for choice in item.choices(language))]
    return "\n".join(lines)
