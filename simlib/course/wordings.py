"""The texts of predictions in Spanish: what a notebook asks in English, told in the learner's language.

The English text stands in the notebook's code, which is the same in every edition.  ``predictions.toml`` holds the
Spanish one by the question's name, with the mark (`simlib.languages.mark`) of the English it was made from; where the
English has changed since, the question is asked in English.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from simlib.languages import Language, mark

PATH = Path(__file__).with_name("predictions.toml")


@dataclass(frozen=True)
class Wording:
    """How one question is said.

    Attributes
    ----------
    of : str
        The mark of the English prompt and unit.
    said : str
        The prompt; "" to leave it in English.
    unit_said : str
        The unit; "" to leave it.
    choices : mapping
        From an English choice to what is said for it; what is not in it stays as it is.
    """

    of: str = ""
    said: str = ""
    unit_said: str = ""
    choices: Mapping[str, str] = field(default_factory=dict)

    def prompt(self, english: str, unit: str) -> str:
        """The question, for this English prompt and unit."""
        return self.said if self.said and self.of == asked(english, unit) else english

    def unit(self, english: str) -> str:
        """The unit."""
        return self.unit_said or english

    def choice(self, english: str) -> str:
        """One of the choices."""
        return self.choices.get(english, english)


def asked(prompt: str, unit: str) -> str:
    """The mark of what a question asks in English."""
    return mark(f"{prompt}\n{unit}")


def wording(question_id: str, language: Language) -> Wording:
    """How the question is said in *language*; in English, and where there is no twin, as it stands in the code."""
    return _AS_IT_STANDS if language == "en" else wordings().get(question_id, _AS_IT_STANDS)


@cache
def wordings() -> Mapping[str, Wording]:
    """The Spanish texts by question."""
    return {question: _wording(words) for question, words in tomllib.loads(PATH.read_text(encoding="utf-8")).items()}


def _wording(words: Mapping[str, Any]) -> Wording:
    return Wording(words["of"], words["prompt"], words.get("unit", ""), words.get("choices", {}))


_AS_IT_STANDS = Wording()
