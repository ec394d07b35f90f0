"""The files of words in this room, and which of their Spanish texts are stale."""

from collections.abc import Callable, Mapping
from pathlib import Path

from simlib.course import glossary, outcomes, quiz
from simlib.parameters import ParameterError

_MARK: Mapping[str, Callable[[], int]] = {
    glossary.PATH.name: glossary.mark_twins,
    outcomes.PATH.name: outcomes.mark_twins,
    quiz.PATH.name: quiz.mark_twins,
}


def mark_twins(path: Path) -> int:
    """Take the Spanish of a file of words as made from today's English; how many changed their mark.

    Raises
    ------
    ParameterError
        If it is none of the course's.
    """
    if path.name not in _MARK:
        raise ParameterError(f"{path.name} holds no words of the course: it should be one of {', '.join(_MARK)}.")
    return _MARK[path.name]()
