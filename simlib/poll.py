"""The room's predictions beside the simulated answer, from many learners' files.

Each file is what `simlib.learning` keeps: questions, values, results, and nothing about who answered.  A file that
cannot be read is named and left out; an entry that makes no sense is counted and left out; nothing stops the others.
"""

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import numpy as np

from simlib.course.wordings import wording
from simlib.exercises.words import say
from simlib.languages import Language
from simlib.learning import Value, entry_of, told
from simlib.parameters import ParameterError

LARGEST_FILE = 1_000_000  # bytes; a learner's file has some tens of thousands at most
BINS = 8
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


def read(folder: Path) -> Poll:
    """Read every ``*.json`` below *folder*, hidden folders included.

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
            found.broken.append(f"{name}: {_why(error)}")
            continue
        found.files += 1
        for question, entry in kept.items():
            _add(found.questions.setdefault(question, Question(question)), entry)
        if bad:
            found.broken.append(f"{name}: {bad} of its entries make no sense; the others count")
    if not found.files and not found.broken:
        raise ParameterError(f"{str(folder)!r} holds no predictions: learners hand in .simlib/predictions.json.")
    for asked in found.questions.values():
        _keep_the_kind_of_most(asked)
    return found


def _entries(path: Path) -> tuple[dict[str, dict[str, Value | None]], int]:
    """The entries of one file that make sense, and how many do not."""
    if path.stat().st_size > LARGEST_FILE:
        raise ValueError("too large for predictions")
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ValueError("not a file of predictions")
    kept, bad = {}, 0
    for question, entry in content.items():
        try:
            kept[question] = entry_of(entry)
        except (KeyError, TypeError, ValueError, OverflowError):
            bad += 1
    if bad and not kept:
        raise ValueError("not a file of predictions")
    return kept, bad


def _why(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"cannot be read ({error.strerror})"
    if isinstance(error, json.JSONDecodeError | UnicodeDecodeError | RecursionError):
        return "damaged"
    return str(error)


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
    yield from (f"  {each}" for each in found.broken)


def _question_lines(question: Question, language: Language) -> Iterator[str]:
    said = wording(question.name, language).said
    yield f"{question.name}  {said}".rstrip()
    answer = question.answer
    bars = list(_bars(question, language))
    most = max((count for _, count, _ in bars), default=0)
    width = max((len(label) for label, _, _ in bars), default=0)
    simulated = "" if answer is None else told(question.name, answer, question.unit, language)
    for label, count, is_answer in bars:
        mark = f"  ◄ {say('poll answer', language, value=simulated)}" if is_answer else ""
        yield f"  {label:>{width}}  {'█' * round(_BAR * count / most) if most else ''} {count}{mark}"
    if answer is None:
        yield "  " + say("poll no answer", language)
    if question.left_out:
        yield "  " + say("poll left out", language, count=question.left_out)


def _bars(question: Question, language: Language) -> Iterator[tuple[str, int, bool]]:
    """Label, how many, and whether the simulated answer lies there."""
    answer = question.answer
    numbers = [float(each) for each in question.values if not isinstance(each, str)]
    if numbers:
        yield from _number_bars(numbers, answer if isinstance(answer, float) else None)
        return
    counts = Counter(str(each) for each in question.values)
    if isinstance(answer, str):
        counts.setdefault(answer, 0)
    for choice, count in counts.most_common():
        yield told(question.name, choice, question.unit, language), count, choice == answer


def _number_bars(numbers: list[float], answer: float | None) -> Iterator[tuple[str, int, bool]]:
    edges = bin_edges(numbers if answer is None else [*numbers, answer])
    counts = np.histogram(numbers, edges)[0]
    last = len(counts) - 1
    for k, count in enumerate(counts):
        low, high = edges[k], edges[k + 1]
        inside = answer is not None and (low <= answer < high or (k == last and answer == high))
        yield f"{low:.3g} – {high:.3g}", int(count), inside


def bin_edges(numbers: Sequence[float]) -> np.ndarray:
    """At most eight bins from the least to the greatest: of equal ratio where guesses differ by a factor over 30."""
    low, high = min(numbers), max(numbers)
    if low == high:
        return np.array([low - 0.5, high + 0.5])
    if low > 0 and high / low > 30:
        edges = np.geomspace(low, high, BINS + 1)
        edges[0], edges[-1] = low, high
        return edges
    return np.linspace(low, high, BINS + 1) if math.isfinite(high - low) else np.array([low, 0.0, high])
