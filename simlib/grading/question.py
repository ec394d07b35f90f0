"""What a teacher says about a question, in a cell of the source that no student sees.

question(
    "q1",
    "function",
    answer="mean_wait",
    points=2,
    unit="s",
    examples=[{"rate": 20.0, "workers": 4}],
    hidden=lambda rng: [{"rate": rng.uniform(5, 45), "workers": 4} for _ in range(6)],
    hints=["Which formula holds for one line?", "Write ρ first.", "`theory.mmc_mean_wait`"],
    wrong=["def mean_wait(rate, workers): return 0.08", "def mean_wait(rate, workers): return rate / workers"],
)
"""

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from simlib.exercises import policies
from simlib.exercises.values import RTOL, Plain, plain
from simlib.parameters import ParameterError

Kind = Literal["value", "function", "policy", "open"]
KINDS: tuple[Kind, ...] = ("value", "function", "policy", "open")
Case = dict[str, Plain]
Cases = Callable[[np.random.Generator], Sequence[Mapping[str, Any]]]

HINTS = 3
VARIANTS = 4  # how many other givens a value is computed from when marks are made


@dataclass(frozen=True)
class Question:
    """One question as its teacher described it; `question` makes it, and says what each entry means."""

    name: str
    kind: Kind
    answer: str
    points: float
    unit: str
    rtol: float
    examples: tuple[Case, ...]
    hidden: Cases | None = field(compare=False)
    hints: tuple[str, ...]
    wrong: tuple[str, ...]
    bounds: policies.Bounds
    limits: policies.Limits
    trial: str
    rubric: tuple[str, ...]

    def __repr__(self) -> str:
        what = f" {self.answer}" if self.answer else ""
        unit = f" [{self.unit}]" if self.unit else ""
        return f"{self.name}: {self.kind}{what}{unit}, {self.points:g} points, {len(self.examples)} public examples"

    def hidden_cases(self, seed: str, exercise: str) -> list[Case]:
        """The cases that marks come from; the same seed gives the same cases."""
        assert self.hidden is not None
        return _cases(self.hidden(generator(seed, exercise, self.name)), f"{self.name}: hidden")


@dataclass
class Described:
    """What the cells of one source have said so far."""

    questions: list[Question] = field(default_factory=list)
    variants: Callable[[np.random.Generator], Mapping[str, Any]] | None = None


_described: ContextVar[Described | None] = ContextVar("described", default=None)


@contextlib.contextmanager
def listening() -> Iterator[Described]:
    """Collect what `question` and `variants` say while a source's cells run."""
    token = _described.set(Described())
    try:
        described = _described.get()
        assert described is not None
        yield described
    finally:
        _described.reset(token)


def generator(seed: str, *purpose: str) -> np.random.Generator:
    """The random numbers for one purpose: every question, and every student's variant, has its own."""
    digest = hashlib.sha256("\x1f".join((seed, *purpose)).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest, "big"))


def variants(make: Callable[[np.random.Generator], Mapping[str, Any]]) -> None:
    """Say how other values of `given` are made from a random generator.

    A value is marked by running its cell anew with four of them, and with `--individual` every student gets one.
    """
    described = _described.get()
    if described is not None:
        described.variants = make


def question(
    name: str,
    kind: Kind,
    *,
    points: float,
    answer: str = "",
    unit: str = "",
    examples: Sequence[Mapping[str, Any]] = (),
    hidden: Cases | None = None,
    hints: Sequence[str] = (),
    wrong: Sequence[str] = (),
    rtol: float = RTOL,
    bounds: policies.Bounds | None = None,
    limits: policies.Limits | None = None,
    trial: str = "",
    rubric: Sequence[str] = (),
) -> Question:
    """Describe the question whose answer stands in the cell above.

    Parameters
    ----------
    name : str
        "q1", "q2", …: in order.
    kind : "value", "function", "policy" or "open"
        A *value* is a variable computed from `given`; it is marked under other givens.  A *function* is called with the
        hidden cases.  A *policy* is a dictionary that the grader simulates.  An *open* answer is read by a person.
    points : float
        What a right answer is worth.
    answer : str
        The name of the variable or function that holds the answer.
    unit : str
        The unit of the number, for messages.
    examples : sequence of mappings
        Public cases: the arguments of the function, or of *trial* beside the policy.  At least one (none for a value,
        whose example is the `given` that was handed out).
    hidden : function
        From a random generator to a list of cases of the same form; marks come from these.
    hints : three str
        From a nudge to nearly the answer.
    wrong : at least two str
        Code of known wrong answers; a test sees that each loses this question and no other.
    rtol : float
        How far a number may be off, as a share of itself.
    bounds, limits
        Of a policy: what may be handed in, and what its figures must keep (see `simlib.exercises.policies`).
    trial : str
        Of a policy: the name of a function in a cell that students see, `trial(policy, **case)` → figures.
    rubric : sequence of str
        Of an open question: what the teacher gives points for.

    Raises
    ------
    ParameterError
        If something is missing or cannot be; the sentence says what.
    """
    asked = Question(
        name,
        kind,
        answer,
        points,
        unit,
        rtol,
        tuple(_cases(examples, f"{name}: examples")) if kind != "value" else ({},),
        hidden,
        tuple(hints),
        tuple(wrong),
        dict(bounds or {}),
        dict(limits or {}),
        trial,
        tuple(rubric),
    )
    _require_whole(asked, examples)
    described = _described.get()
    if described is not None:
        described.questions.append(asked)
    return asked


def _require_whole(asked: Question, examples: Sequence[Mapping[str, Any]]) -> None:
    """Everything that this kind of question needs is there, and nothing that it does not know."""
    needs = {
        "an answer's name": asked.kind == "open" or asked.answer.isidentifier(),
        "one of the kinds " + ", ".join(KINDS): asked.kind in KINDS,
        "points greater than 0": asked.points > 0,
        f"{HINTS} hints": asked.kind == "open" or len(asked.hints) == HINTS,
        "two known wrong answers": asked.kind == "open" or len(asked.wrong) >= 2,
        "a rubric": asked.kind != "open" or bool(asked.rubric),
        "examples": asked.kind in ("open", "value") or bool(examples),
        "hidden cases": asked.kind in ("open", "value") or asked.hidden is not None,
        "bounds, limits and a trial": asked.kind != "policy" or bool(asked.bounds and asked.limits and asked.trial),
        "limits of the kinds " + ", ".join(policies.LIMIT_KINDS): all(
            kind in policies.LIMIT_KINDS for wanted in asked.limits.values() for kind in wanted
        ),
    }
    for what, is_there in needs.items():
        if not is_there:
            raise ParameterError(f"question {asked.name!r} needs {what}.")


def _cases(cases: Sequence[Mapping[str, Any]], name: str) -> list[Case]:
    made = [plain(case) for case in cases]
    text = json.dumps(made)
    if '"$"' in text or not all(isinstance(case, dict) for case in made):
        raise ParameterError(f"{name} should be dictionaries of numbers, texts, lists and the like.")
    return made
