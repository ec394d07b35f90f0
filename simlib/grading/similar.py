"""Answers that are alike: a list of pairs for a teacher to look at, never a mark.

Compared are runs of five words of code, with the student's own names, comments and spacing taken out, and with all that
the solution or the handed-out cell has in common with everybody taken off.
"""

import io
import keyword
import tokenize
from collections.abc import Mapping
from itertools import combinations

from simlib.grading.source import Source

RUN = 5
FEWEST = 20  # a shorter answer leaves no choice
ALIKE = 0.9


def similar_pairs(source: Source, codes: Mapping[str, Mapping[str, str]]) -> list[dict[str, object]]:
    """Pairs of students, by pseudonym, whose answers to a question share nine tenths of their runs."""
    found: list[dict[str, object]] = []
    for cell in source.cells:
        if cell.role == "answer" and cell.is_code:
            common = _runs(cell.text)
            runs = {student: _runs(code[cell.question]) for student, code in codes.items() if cell.question in code}
            own = {student: made - common for student, made in runs.items() if len(made - common) >= FEWEST}
            for one, other in combinations(sorted(own), 2):
                alike = len(own[one] & own[other]) / len(own[one] | own[other])
                if alike >= ALIKE:
                    found.append({"question": cell.question, "one": one, "other": other, "alike": f"{alike:.2f}"})
    return found


def _runs(text: str) -> set[tuple[str, ...]]:
    words = _words(text)
    return {tuple(words[k : k + RUN]) for k in range(len(words) - RUN + 1)}


def _words(text: str) -> list[str]:
    """The words of code; a name that is the writer's own choice counts as any other."""
    words = []
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.NAME:
                words.append(token.string if keyword.iskeyword(token.string) else "name")
            elif token.type in (tokenize.OP, tokenize.NUMBER, tokenize.STRING):
                words.append(token.string)
    except (tokenize.TokenError, SyntaxError, ValueError):
        pass  # what can be read of it is compared
    return words
