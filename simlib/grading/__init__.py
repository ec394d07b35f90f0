"""The teacher's side of exercises: one source, what is released from it, and marks that a class can rely on.

A source, `solutions/NN-….ipynb`, holds text, solutions, public examples, hidden cases and points.  `simlib release`
writes the student's notebook from it, `simlib grade` marks what came back.  How to write one: docs/guide/exercises.md;
how to grade: docs/grading.md.
"""

from simlib.grading.question import question, variants

__all__ = ["question", "variants"]
