"""From one student's answers to points: run, run again without what crashed, judge policies, count.

Only what *passed* scores.  A question that ends the kernel, or never ends, costs its own points: the others run again
in a fresh kernel without it.  One that raised is tried once more on its own, so that nobody loses marks because an
earlier cell took something away from it.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from simlib.exercises import policies
from simlib.exercises.values import Plain, plain
from simlib.grading import judge
from simlib.grading.answers import Answers
from simlib.grading.compose import Cases, Key, Results, cases, compose
from simlib.grading.question import Question
from simlib.grading.running import Engine, Outcomes
from simlib.grading.source import Source
from simlib.parameters import ParameterError

FATAL = ("timeout", "died", "memory", "output")
WORDS = {
    "timeout": "did not end in time",
    "died": "ended the kernel",
    "memory": "needed too much memory",
    "output": "printed too much",
}


@dataclass(frozen=True)
class Plan:
    """All that marks are made with: an exercise, its hidden cases, and what its solution hands out for them."""

    source: Source
    hidden: Cases
    references: Mapping[Key, Results]
    best: Mapping[str, list[dict[str, Plain]]]  # figures of the solution's policies, by question
    is_individual: bool = False


@dataclass
class Mark:
    """What one question earned, and what its student may be told."""

    question: str
    maximum: float
    points: float = 0.0
    passed: int = 0
    cases: int = 0
    reason: str = ""  # "" where every case passed
    ended: str = ""  # timeout, died, memory or output
    error: str = ""  # the student's own exception, of public input
    public: list[dict[str, Any]] = field(default_factory=list)  # of each public case: verdict, value or error
    is_open: bool = False


def make_plan(source: Source, seed: str, engine: Engine, *, is_individual: bool = False, slot: int = 0) -> Plan:
    """Run the solution as if it had been handed in; what it hands out is the reference.

    Raises
    ------
    ParameterError
        If the solution does not hand out everything, here and now.
    """
    hidden = cases(source, seed)
    answers = {cell.question: cell.text for cell in source.cells if cell.role == "answer" and cell.is_code}
    outcomes = engine.run(compose(source, hidden, answers, {}), slot, record=True)
    references = {
        (each["question"], each["part"]): each["results"] for each in outcomes if each.get("results") is not None
    }
    for each in outcomes:
        broken = each["outcome"] not in ("passed", "differs") or (each["part"], each.get("results")) == ("hidden", None)
        if broken or any("error" in result for result in each.get("results") or ()):
            what = each.get("error") or each["outcome"]
            place = f"{each['question'] or 'its own cells'}, {each['part'].split()[0]}"
            raise ParameterError(f"{source.name}: its solution does not run in the sandbox ({place}: {what}).")
    if not outcomes:
        raise ParameterError(f"{source.name}: its solution did not come to its end within {engine.limits.wall_s:g} s.")
    best = {}
    for question in source.questions.values():
        if question.kind == "policy":
            policy = references[question.name, "public"][0]["value"]
            best[question.name] = _require_kept(source, question, policy, hidden, engine)
    return Plan(source, hidden, references, best, is_individual)


def _require_kept(
    source: Source, question: Question, policy: Plain, hidden: Cases, engine: Engine
) -> list[dict[str, Plain]]:
    """The figures of the solution's policy, which has to keep its own limits in every hidden case."""
    found = judge.figures(source, question.trial, policy, hidden.calls[question.name], engine)
    if found is None or not all(all(policies.kept(each, question.limits, each).values()) for each in found):
        raise ParameterError(f"{source.name}: the solution's policy of {question.name} does not keep its own limits.")
    return found


# --- marks ----------------------------------------------------------------------------------------------------------


def mark(plan: Plan, answers: Answers, engine: Engine, slot: int = 0) -> list[Mark]:
    """What each question earned, in order."""
    questions = plan.source.questions
    marks = {name: Mark(name, question.points, is_open=question.kind == "open") for name, question in questions.items()}
    asked = [name for name, question in questions.items() if question.kind != "open"]
    to_run = [name for name in asked if answers.states.get(name) not in ("untouched", "text")]
    if answers.code:
        _run_all(plan, answers, engine, slot, to_run, marks)
    for name in asked:
        if questions[name].kind == "policy" and name in to_run:
            _judge(plan, questions[name], marks[name], engine)
        _say_why(marks[name], answers.states.get(name, "missing"))
    for name, each in marks.items():
        if each.is_open and answers.states.get(name) != "answered":
            each.reason = "not attempted"
    return list(marks.values())


def _run_all(
    plan: Plan, answers: Answers, engine: Engine, slot: int, to_run: list[str], marks: dict[str, Mark]
) -> None:
    """Round after round without the question that ended the kernel, then once more alone those that raised."""
    remaining, alone = list(to_run), set[str]()
    while remaining:
        outcomes = engine.run(compose(plan.source, plan.hidden, answers.code, plan.references, remaining), slot)
        culprit = next((each for each in outcomes if each["outcome"] in FATAL), None)
        if outcomes and culprit is None:
            _take(plan, outcomes, remaining, marks)
            alone = {name for name in remaining if _may_be_anothers_fault(plan, marks[name], outcomes)}
            break
        if culprit is None or culprit["question"] not in remaining:  # nobody to blame
            alone = set(remaining)
            break
        marks[culprit["question"]].ended = culprit["outcome"]
        remaining.remove(culprit["question"])
    for name in to_run:
        # a kernel may have ended a moment after the cell that ended it, so the wrong question is blamed
        if name in alone or marks[name].ended not in ("", "timeout"):
            _run_alone(plan, answers, engine, slot, marks[name])


def _run_alone(plan: Plan, answers: Answers, engine: Engine, slot: int, its: Mark) -> None:
    """A question by itself, with those of the student's other cells that define what it lacks; keeps what is better."""
    before = answers.cells_needed(its.question) if its.error.startswith("NameError") else []
    composed = compose(plan.source, plan.hidden, answers.code, plan.references, [its.question], before)
    outcomes = engine.run(composed, slot)
    alone = Mark(its.question, its.maximum)
    culprit = next((each for each in outcomes if each["outcome"] in FATAL), None)
    if culprit is not None or not outcomes:
        its.ended = culprit["outcome"] if culprit is not None else "died"
        return
    its.ended = ""
    _take(plan, outcomes, [its.question], {its.question: alone})
    if alone.passed > its.passed or (alone.public and not its.public) or _first_value(alone) is not None:
        its.passed, its.cases, its.points = alone.passed, alone.cases, alone.points
        its.error, its.public = alone.error, alone.public


def _first_value(its: Mark) -> Plain:
    return its.public[0].get("value") if its.public else None


def _may_be_anothers_fault(plan: Plan, its: Mark, outcomes: Outcomes) -> bool:
    """Not all passed, and something was raised, or nothing came: an earlier cell may have taken something away."""
    if plan.source.questions[its.question].kind == "policy":
        return not its.public or _first_value(its) is None
    own = [each for each in outcomes if each["question"] == its.question and "verdicts" in each]
    verdicts = [verdict for each in own for verdict in each["verdicts"]]
    hidden = sum(len(each["verdicts"]) for each in own if each["part"] != "public")
    came = bool(its.public) and hidden >= its.cases and {"nothing", "unusable"}.isdisjoint(verdicts)
    return (bool(its.error) or not came) and its.passed < its.cases


def _take(plan: Plan, outcomes: Outcomes, names: list[str], marks: Mapping[str, Mark]) -> None:
    """Read what one whole run says about these questions."""
    for name in names:
        question, its = plan.source.questions[name], marks[name]
        own = [each for each in outcomes if each["question"] == name]
        its.error = next((each["error"] for each in own if each.get("error")), "")
        public = next((each for each in own if each["part"] == "public"), None)
        its.public = _public(public) if public else []
        its.error = its.error or next((str(each["error"]) for each in its.public if each.get("error")), "")
        if question.kind == "policy":
            continue
        parts = {each["part"]: each.get("verdicts", []) for each in own if each["part"] not in ("answer", "public")}
        verdicts = [verdict for part in parts.values() for verdict in part]
        expected = _expected(plan, question)
        its.cases, its.passed = len(expected), sum(verdict == "right" for verdict in verdicts)
        share = _share(its.passed, expected)
        if plan.is_individual and question.kind == "value" and (public or {}).get("verdicts") != ["right"]:
            share = 0.0  # wrong for the student's own numbers
        its.points = round(question.points * share, 2)


def _public(outcome: dict[str, Any]) -> list[dict[str, Any]]:
    """Verdict and value or error of each public case."""
    results = outcome.get("results") or [{}] * len(outcome.get("verdicts", []))
    return [
        {"verdict": verdict.split()[0], **{key: result[key] for key in ("value", "error") if key in result}}
        for verdict, result in zip(outcome.get("verdicts", []), results, strict=False)
    ]


def _expected(plan: Plan, question: Question) -> list[Plain]:
    """What each hidden case should give."""
    hidden = [part for name, part in plan.references if name == question.name and part != "public"]
    return [result["value"] for part in hidden for result in plan.references[question.name, part]]


def _share(passed: int, expected: list[Plain]) -> float:
    """The share that was earned: what one constant answer would be right for is taken off."""
    most = max(Counter(repr(value) for value in expected).values(), default=0)
    by_luck = most if most > 1 and most < len(expected) else 0
    return max(0.0, (passed - by_luck) / (len(expected) - by_luck)) if expected else 0.0


def _judge(plan: Plan, question: Question, its: Mark, engine: Engine) -> None:
    """Simulate the policy that was handed in, here and not in the student's kernel."""
    its.cases = len(plan.hidden.calls[question.name])
    policy = plain(_first_value(its))
    if policy is None:
        return
    if fault := policies.fault_of(policy, question.bounds, question.name, "en"):
        its.error = fault
        return
    meant = policies.as_meant(policy, question.bounds)
    found = judge.figures(plan.source, question.trial, meant, plan.hidden.calls[question.name], engine)
    if found is None:
        its.error = "the simulation of this policy did not come to its end"
        return
    kept = [
        policies.kept(each, question.limits, best) for each, best in zip(found, plan.best[question.name], strict=True)
    ]
    its.passed = sum(all(each.values()) for each in kept)
    its.points = round(question.points * its.passed / its.cases, 2)
    broken = [name for name in question.limits if not all(each[name] for each in kept)]
    its.error = f"not kept: {', '.join(broken)}" if broken else ""


def _say_why(its: Mark, state: str) -> None:
    """The reason in a few words, none of them hidden."""
    if its.ended:
        its.points, its.passed, its.reason = 0.0, 0, WORDS[its.ended]
    elif state in ("untouched", "text"):
        its.reason = "not attempted" if state == "untouched" else "its cell is text, not code"
    elif its.cases and its.passed == its.cases and its.points == its.maximum:
        its.reason = ""
    elif state == "missing" and not its.passed:
        its.reason = "answer cell missing"
    elif its.error:
        its.reason = its.error.split("\n")[0]
    elif all(each["verdict"] in ("nothing", "unusable") for each in its.public) and not its.passed:
        its.reason = "nothing handed out"
    else:
        its.reason = f"right in {its.passed} of {its.cases} hidden cases"
