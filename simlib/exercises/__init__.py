"""The student's side of an exercise: `check("q1")` compares an answer with public examples and gives hints.

What an exercise is, and how one is written: docs/guide/exercises.md.  Marks are made elsewhere, from hidden cases, by
`simlib grade`; nothing that is needed for marks is here.
"""

from simlib.exercises.checking import Exercise
from simlib.languages import choose

__all__ = ["Exercise", "choose"]
