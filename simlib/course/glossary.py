"""The glossary: each word of the trade in one sentence, in English and Spanish.

    >>> from simlib.course import glossary
    >>> print(glossary.entry("cold start").spanish)
    arranque en frío

`docs/glossary.md` is made from it (``make pages``), and the `glossary.ipynb` of a learner's copy.
"""

import tomllib
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from simlib.course.marks import remark
from simlib.languages import Language, mark
from simlib.parameters import ParameterError, nearest

__all__ = ["Entry", "entries", "entry", "page"]
PATH = Path(__file__).with_name("glossary.toml")


@dataclass(frozen=True)
class Entry:
    """One word.

    Attributes
    ----------
    term, means : str
        In English.
    spanish, significa : str
        In Spanish.
    of : str
        The mark of the English that the Spanish was made from.
    """

    term: str
    means: str
    spanish: str
    significa: str
    of: str

    @property
    def english(self) -> str:
        """What the mark is made from."""
        return f"{self.term}\n{self.means}"

    def fault(self) -> str:
        """What is wrong with the Spanish: "" or "stale"."""
        return "" if self.of == mark(self.english) else "stale"


@cache
def entries() -> Mapping[str, Entry]:
    """All of them by the English term, in alphabetical order."""
    return {term: Entry(term, **words) for term, words in tomllib.loads(PATH.read_text(encoding="utf-8")).items()}


def entry(term: str) -> Entry:
    """One of them.

    Raises
    ------
    ParameterError
        If the word is not in the glossary.
    """
    if term not in entries():
        raise ParameterError(f"glossary: there is no {term!r}; {nearest(term, entries())}")
    return entries()[term]


def page(language: Language) -> str:
    """All of it in Markdown, in the alphabet of *language*, each word with its name in the other one."""
    if language == "es":
        head = "# Glosario\n\n| palabra | significa | en inglés |"
        rows = [(each.spanish, each.significa, each.term) for each in entries().values()]
    else:
        head = "# Glossary\n\n| word | means | in Spanish |"
        rows = [(each.term, each.means, each.spanish) for each in entries().values()]
    rows.sort(key=lambda row: _without_accents(row[0]))
    return "\n".join([head, "|:---|:---|:---|", *(f"| **{word}** | {says} | {other} |" for word, says, other in rows)])


def _without_accents(word: str) -> str:
    return "".join(letter for letter in unicodedata.normalize("NFD", word.lower()) if letter.isascii())


def mark_twins() -> int:
    """Take the Spanish of every entry as made from today's English; how many changed their mark."""
    changed = remark(PATH, {each.term: mark(each.english) for each in entries().values()})
    entries.cache_clear()
    return changed
