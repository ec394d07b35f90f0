"""What a student can do afterwards, and where each of it is taught, predicted and asked.

>>> from simlib.course import outcomes
>>> outcomes.outcomes()["serverless"].notebook
'04'
"""

import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from simlib.course.marks import remark
from simlib.languages import mark

__all__ = ["Outcome", "orphans", "outcomes"]
PATH = Path(__file__).with_name("outcomes.toml")


@dataclass(frozen=True)
class Outcome:
    """One outcome.

    Attributes
    ----------
    name : str
    english, spanish : str
        After "afterwards you can".
    of : str
        The mark of the English that the Spanish was made from.
    notebook : str
        Its number: "04".
    questions : tuple of str
        The predictions of notebooks that lead to it.
    quiz : tuple of str
        The quiz items that ask for it.
    """

    name: str
    english: str
    spanish: str
    of: str
    notebook: str
    questions: tuple[str, ...]
    quiz: tuple[str, ...]

    def fault(self) -> str:
        """What is wrong with the Spanish: "" or "stale"."""
        return "" if self.of == mark(self.english) else "stale"


@cache
def outcomes() -> Mapping[str, Outcome]:
    """All of them by name, in the order of the notebooks."""
    found = tomllib.loads(PATH.read_text(encoding="utf-8"))
    return {
        name: Outcome(name, **words | {"questions": tuple(words["questions"]), "quiz": tuple(words["quiz"])})
        for name, words in found.items()
    }


def mark_twins() -> int:
    """Take the Spanish of every outcome as made from today's English; how many changed their mark."""
    changed = remark(PATH, {each.name: mark(each.english) for each in outcomes().values()})
    outcomes.cache_clear()
    return changed


def orphans(notebooks: Iterable[str], questions: Iterable[str], quiz: Iterable[str]) -> Iterator[str]:
    """One sentence for whatever belongs to no outcome, to two, or is named by one and does not exist."""
    for kind, there, named in (
        ("notebook", set(notebooks), [each.notebook for each in outcomes().values()]),
        ("prediction", set(questions), [name for each in outcomes().values() for name in each.questions]),
        ("quiz item", set(quiz), [name for each in outcomes().values() for name in each.quiz]),
    ):
        counts = Counter(named)
        yield from (f"The {kind} {name} belongs to no outcome." for name in sorted(there - set(counts)))
        yield from (f"An outcome names the {kind} {name}, which is not there." for name in sorted(set(counts) - there))
        yield from (f"The {kind} {name} belongs to two outcomes." for name in sorted(counts) if counts[name] > 1)
    for each in outcomes().values():
        if not each.questions or not each.quiz:
            yield f"The outcome {each.name} is never asked for."
