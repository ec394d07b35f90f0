"""The room's predictions beside the simulated answer, from many learners' files.

Each file is what `simlib.learning` keeps: questions, values, results, and nothing about who answered.  A file that
cannot be read is named and left out; an entry that makes no sense is counted and left out; nothing stops the others.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import numpy as np

from simlib.course.wordings import wording
from simlib.languages import Language, number_in
from simlib.learning import Value, entry_of, told
from simlib.parameters import ParameterError
from simlib.words import say

LARGEST_FILE = 1_000_000  # bytes; a learner's file has some tens of thousands at most
BINS = 8
FAR_OFF = 1000.0  # times the middle guess or the answer: counted, but the bins are not stretched to it
LONGEST = 80  # letters of what a file says
_BAR = 40


@dataclass
class Question:
    """What a room predicted for one question.

    Attributes
    ----------
    name : str
    values : list of str or number
        One a learner.
    answers : list of str or number
        The results that their runs gave, of those who have seen one.
    unit : str
    left_out : int
        Entries of another kind than most: a word where numbers are asked for.
    """

    name: str
    values: list[Value] = field(default_factory=list)
    answers: list[Value] = field(default_factory=list)
    unit: str = ""
    left_out: int = 0

    @property
    def answer(self) -> Value | None:
        """The simulated answer: the middle one of what learners' runs gave, or the most frequent word."""
        numbers = [each for each in self.answers if not isinstance(each, str)]
        if len(numbers) > len(self.answers) / 2:
            return float(median(numbers))
        words = Counter(each for each in self.answers if isinstance(each, str))
        return words.most_common(1)[0][0] if words else None


@dataclass
class Poll:
    """All questions of a room, how many files were read, and what was wrong with the others."""

    questions: dict[str, Question] = field(default_factory=dict)
    files: int = 0
    broken: list[str] = field(default_factory=list)


def read(folder: Path, language: Language = "en") -> Poll:
    """Read every ``*.json`` below *folder*, hidden folders included; say what is wrong with some in *language*.

    Raises
    ------
    ParameterError
        If *folder* is none, or holds no such file.
    """
    if not folder.is_dir():
        raise ParameterError(f"{str(folder)!r} is not a folder: name the one with the learners' predictions in it.")
    found = Poll()
    for path in sorted(path for path in folder.rglob("*.json") if "handed-out" not in path.name):
        name = path.relative_to(folder).as_posix()
        try:
            kept, bad = _entries(path)
        except (OSError, ValueError, RecursionError) as error:
            found.broken.append(f"{name}: {_why(error, language)}")
            continue
        found.files += 1
        for question, entry in kept.items():
            _add(found.questions.setdefault(question, Question(question)), entry)
        if bad:
            found.broken.append(f"{name}: {say('poll some entries', language, count=bad)}")
    if not found.files and not found.broken:
        raise ParameterError(f"{str(folder)!r} holds no predictions: learners hand in .simlib/predictions.json.")
    for asked in found.questions.values():
        _keep_the_kind_of_most(asked)
    return found


class _RefusedError(ValueError):
    """Why a file that could be read holds no predictions: the name of a sentence."""


def _entries(path: Path) -> tuple[dict[str, dict[str, Value | None]], int]:
    """The entries of one file that make sense, and how many do not."""
    if path.stat().st_size > LARGEST_FILE:
        raise _RefusedError("poll too large")
    content = json.loads(path.read_text(encoding="utf-8-sig"))  # an editor may have put a mark in front
    if not isinstance(content, dict):
        raise _RefusedError("poll no predictions")
    kept, bad = {}, 0
    for question, entry in content.items():
        try:
            kept[question] = entry_of(entry)
        except (KeyError, TypeError, ValueError, OverflowError):
            bad += 1
    if bad and not kept:
        raise _RefusedError("poll no predictions")
    return kept, bad


def _why(error: Exception, language: Language) -> str:
    if isinstance(error, OSError):
        return say("poll unreadable", language, why=error.strerror)
    return say(str(error) if isinstance(error, _RefusedError) else "poll damaged", language)


def _add(question: Question, entry: Mapping[str, Value | None]) -> None:
    value, answer = entry["value"], entry["answer"]
    if value is not None:
        question.values.append(value)
    if answer is not None:
        question.answers.append(answer)
    question.unit = question.unit or str(entry["unit"])


def _keep_the_kind_of_most(question: Question) -> None:
    words = [each for each in question.values if isinstance(each, str)]
    numbers = [each for each in question.values if not isinstance(each, str)]
    kept: Sequence[Value] = words if len(words) > len(numbers) else numbers
    question.left_out = len(question.values) - len(kept)
    question.values = list(kept)


# --- in words -------------------------------------------------------------------------------------------------------


def lines(found: Poll, language: Language, only: str | None = None) -> Iterator[str]:
    """The poll for a terminal: a histogram a question, the simulated answer beside it.

    Raises
    ------
    ParameterError
        If nobody predicted the question *only*.
    """
    if only is not None and only not in found.questions:
        known = ", ".join(sorted(found.questions)) or "none"
        raise ParameterError(f"poll: nobody predicted {only!r}; predicted were {known}.")
    for name in [only] if only else sorted(found.questions):
        yield from _question_lines(found.questions[name], language)
        yield ""
    yield say("poll files", language, files=found.files, broken=len(found.broken))
    yield from (f"  {_on_a_line(each)}" for each in found.broken)


def _question_lines(question: Question, language: Language) -> Iterator[str]:
    said = wording(question.name, language).said
    yield f"{_on_a_line(question.name)}  {said}".rstrip()
    answer = question.answer
    bars = list(_bars(question, language))
    most = max((count for _, count, _ in bars), default=0)
    width = max((len(label) for label, _, _ in bars), default=0)
    simulated = "" if answer is None else told(question.name, answer, question.unit, language)
    for label, count, is_answer in bars:
        mark = f"  ◄ {say('poll answer', language, value=_on_a_line(simulated))}" if is_answer else ""
        yield f"  {label:>{width}}  {'█' * round(_BAR * count / most) if most else ''} {count}{mark}"
    if answer is None:
        yield "  " + say("poll no answer", language)
    if question.left_out:
        yield "  " + say("poll left out", language, count=question.left_out)


def _on_a_line(text: str) -> str:
    """What came in a file, fit for a terminal: nothing that moves its cursor or colours it, and not too long."""
    plain = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    return plain if len(plain) <= LONGEST else plain[: LONGEST - 1] + "…"


def _bars(question: Question, language: Language) -> Iterator[tuple[str, int, bool]]:
    """Label, how many, and whether the simulated answer lies there."""
    answer = question.answer
    numbers = [float(each) for each in question.values if not isinstance(each, str)]
    if numbers:
        yield from _number_bars(numbers, answer if isinstance(answer, float) else None, language)
        return
    counts = Counter(str(each) for each in question.values)
    if isinstance(answer, str):
        counts.setdefault(answer, 0)
    for choice, count in counts.most_common():
        yield _on_a_line(told(question.name, choice, question.unit, language)), count, choice == answer


def _number_bars(numbers: list[float], answer: float | None, language: Language) -> Iterator[tuple[str, int, bool]]:
    scale = max(abs(median(numbers)), abs(answer or 0.0)) or 1.0
    near = [each for each in numbers if abs(each) <= FAR_OFF * scale]
    edges = bin_edges(near if answer is None else [*near, answer])
    counts = np.histogram(near, edges)[0]
    last = len(counts) - 1
    for k, count in enumerate(counts):
        low, high = edges[k], edges[k + 1]
        inside = answer is not None and (low <= answer < high or (k == last and answer == high))
        ends = (number_in(language, f"{float(f'{end:.3g}'):,.15g}") for end in (low, high))
        yield " – ".join(ends), int(count), inside
    if len(near) < len(numbers):
        yield say("poll far off", language), len(numbers) - len(near), False


def bin_edges(numbers: Sequence[float]) -> np.ndarray:
    """At most eight bins from the least to the greatest: of equal ratio where guesses differ by a factor over 30.

    Guesses of zero get a bin of their own below those.
    """
    low, high = min(numbers), max(numbers)
    if low == high:
        return np.array([low - 0.5, high + 0.5])
    least = min((each for each in numbers if each > 0), default=high)
    if low >= 0 and high / least > 30:
        below = [0.0] if low == 0 else []
        edges = np.geomspace(least, high, BINS + 1 - len(below))
        edges[0], edges[-1] = least, high
        return np.array([*below, *edges])
    return np.linspace(low, high, BINS + 1)
