"""`simlib grade`: a class's submissions in, marks, feedback and an overview out; restartable at any moment."""

import hashlib
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import simlib
from simlib.grading import feedback, overview, sandbox
from simlib.grading.answers import Mismatch, Unreadable, answers_in, exercise_of
from simlib.grading.byhand import HandWork, read_handwork, write_manual_sheet, write_oral_sheet
from simlib.grading.marking import Mark, Plan, make_plan, mark
from simlib.grading.records import Records, feedback_name, write, write_table
from simlib.grading.running import Engine
from simlib.grading.similar import similar_pairs
from simlib.grading.source import Source, read
from simlib.grading.submissions import Attempt, Submission, collect
from simlib.languages import Language
from simlib.parameters import ParameterError
from simlib.workers import all_done

Rule = Literal["latest", "first", "best"]
PINS = ("numpy", "pandas", "scipy", "simpy", "numba", "nbval", "pytest", "ipykernel")
STATUSES = ("timeout", "crash")


@dataclass(frozen=True)
class Order:
    """What is to be graded, and how."""

    submissions: Path
    out: Path
    source: Path
    seed: str | None = None
    jobs: int = 2
    rule: Rule = "latest"
    is_individual: bool = False
    only: tuple[str, ...] = ()
    language: Language = "en"
    limits: sandbox.Limits = field(default_factory=sandbox.Limits)


@dataclass(frozen=True)
class Graded:
    """What one run did."""

    results: list[dict[str, Any]]
    new: int
    changed: list[str]  # one sentence for each mark that is not what it was
    notes: list[str]


# --- the run --------------------------------------------------------------------------------------------------------


def grade(order: Order, progress: bool | None = None) -> Graded:
    """Grade what has not been graded yet, then write everything anew.

    Raises
    ------
    ParameterError
        If the submissions, the source or the teacher's own files are not what they should be.
    """
    require_platform()
    source = read(order.source)
    handed_in = collect(order.submissions)
    unknown = set(order.only) - {submission.student for submission in handed_in}
    if unknown:
        raise ParameterError(f"--only: no submission of {', '.join(sorted(unknown))} in {order.submissions}.")
    records = Records(order.out)
    records.require_exercise(source.name)
    seed = records.seed(order.seed)
    by_hand = read_handwork(order.out, source, [submission.student for submission in handed_in])
    before = {each.student: records.result(records.pseudonym(each.student)) for each in handed_in}
    to_do = [each for each in handed_in if _is_to_do(each, before[each.student], order, source, seed)]
    if to_do:
        _grade_all(to_do, order, source, seed, records, progress)
    results = _results(handed_in, records, by_hand)
    notes = _notes(order, source, seed)
    changed = _changes(records, before, results)
    _write_all(order, source, records, handed_in, results, notes)
    return Graded(results, len(to_do), changed, notes)


def find_source(submissions: Path, folder: Path) -> Path:
    """The source in *folder* that most of the submissions say they belong to.

    Raises
    ------
    ParameterError
        If they name none, or none that is there.
    """
    counts: dict[str, int] = {}
    for submission in collect(submissions):
        for attempt in submission.attempts[-1:]:
            if attempt.content is not None and (name := exercise_of(attempt.content)):
                counts[name] = counts.get(name, 0) + 1
    for name in sorted(counts, key=lambda name: (-counts[name], name)):
        if Path(name).name == name and (folder / f"{name}.ipynb").exists():
            return folder / f"{name}.ipynb"
    raise ParameterError("the submissions do not say which exercise they belong to: name its source with --source.")


def require_platform() -> None:
    """Grading needs process limits, which Windows does not have.

    Raises
    ------
    ParameterError
        On Windows.
    """
    if sys.platform == "win32":
        raise ParameterError("grading does not run on Windows: use WSL 2, or the container of docs/grading.md.")


def _is_to_do(submission: Submission, kept: dict[str, Any] | None, order: Order, source: Source, seed: str) -> bool:
    if order.only:
        return submission.student in order.only or kept is None
    return kept is None or kept["made_from"] != made_from(submission, order, source, seed)


def made_from(submission: Submission, order: Order, source: Source, seed: str) -> dict[str, Any]:
    """Everything that the marks of a submission depend on; the same gives the same marks."""
    return {
        "submission": [attempt.sha256 for attempt in submission.attempts],
        "source": source.digest(),
        "seed": hashlib.sha256(seed.encode()).hexdigest()[:16],  # a fingerprint, not the seed
        "simlib": simlib.__version__,
        "python": sys.version.split()[0],
        "pins": {name: metadata.version(name) for name in PINS},
        "rule": order.rule,
        "individual": order.is_individual,
        "limits": asdict(order.limits),
        "namespaces": sandbox.isolation().namespaces,
    }


def _grade_all(
    to_do: Sequence[Submission],
    order: Order,
    source: Source,
    seed: str,
    records: Records,
    progress: bool | None,
) -> None:
    from tqdm.auto import tqdm

    engine = Engine(records.engine.resolve(), order.limits, source.imports())
    plan = plan_parts(make_plan(source, seed, engine))
    tasks = {
        slot: (each, order, plan, made_from(each, order, source, seed), seed, slot)
        for slot, each in enumerate(to_do, start=1)
    }
    done = all_done("grade", _grade_one, tasks, order.jobs)
    for _ in tqdm(done, total=len(to_do), desc="grading", disable=None if progress is None else not progress):
        pass


PlanParts = tuple[str, Any, Any, Any]


def plan_parts(plan: Plan) -> PlanParts:
    """A plan as data that travels to another process, where the source is read again."""
    return str(plan.source.path), plan.hidden, plan.references, plan.best


_plans: dict[str, Plan] = {}  # of this process: reading a source takes seconds


def _plan(parts: PlanParts) -> Plan:
    key = hashlib.sha256(repr(parts).encode()).hexdigest()
    if key not in _plans:
        path, hidden, references, best = parts
        _plans[key] = Plan(read(Path(path)), hidden, references, best)
    return _plans[key]


def _grade_one(
    submission: Submission, order: Order, parts: PlanParts, origin: Mapping[str, Any], seed: str, slot: int
) -> None:
    """Grade one student's submission and keep result and receipt; whatever happens, there is one."""
    records = Records(order.out)
    pseudonym = records.pseudonym(submission.student)
    try:
        plan = _plan(parts)
        engine = Engine(records.engine.resolve(), order.limits, plan.source.imports())
        if order.is_individual:
            own = read(plan.source.path, given=plan.source.variant(submission.student))
            plan = make_plan(own, seed, engine, is_individual=True, slot=slot)
        result = grade_submission(submission, plan, engine, order.rule, slot)
    except Exception as error:  # a fault of the grader's own must not stop the class
        result = _empty(_plan(parts).source, "crash", f"the grader itself failed ({type(error).__name__}): grade again")
        origin = {**origin, "failed": True}
    receipt = {"student": pseudonym, **origin, "status": result["status"], "questions": result["questions"]}
    records.keep("receipts", pseudonym, receipt)
    records.keep("results", pseudonym, {**result, "made_from": origin})  # last: who has a result is not graded again


# --- one submission -------------------------------------------------------------------------------------------------


def grade_submission(
    submission: Submission, plan: Plan, engine: Engine, rule: Rule = "latest", slot: int = 0
) -> dict[str, Any]:
    """The marks of one student as data: status, reason, questions; and the open answers for a person to read."""
    attempts = submission.attempts
    if not attempts:
        return _empty(plan.source, "unreadable", "no notebook was handed in")
    if rule == "best":
        return max((_attempt(each, plan, engine, slot) for each in attempts), key=lambda result: _closed(result))
    readable = attempts if rule == "first" else attempts[::-1]
    fits = next((each for each in readable if _fits(each, plan.source)), readable[0])
    return _attempt(fits, plan, engine, slot)


def _closed(result: Mapping[str, Any]) -> float:
    return sum(each["points"] for each in result["questions"])


def _fits(attempt: Attempt, source: Source) -> bool:
    """Whether it could be graded: beside his answers a student may have handed in the course's own notebook."""
    try:
        return attempt.content is not None and bool(answers_in(attempt.content, source))
    except (Unreadable, Mismatch):
        return False


def _attempt(attempt: Attempt, plan: Plan, engine: Engine, slot: int) -> dict[str, Any]:
    if attempt.content is None:
        return _empty(plan.source, "refused", attempt.fault)
    try:
        answers = answers_in(attempt.content, plan.source)
    except Unreadable as fault:
        return _empty(plan.source, "unreadable", str(fault))
    except Mismatch as fault:
        return _empty(plan.source, "mismatch", str(fault))
    marks = mark(plan, answers, engine, slot)
    return {
        "status": _status(marks),
        "reason": "; ".join(f"{each.question}: {each.reason}" for each in marks if each.reason),
        "file": attempt.file,
        "questions": [_question(each) for each in marks],
        "open": answers.texts,
        "code": answers.code,
    }


def _question(each: Mark) -> dict[str, Any]:
    content = asdict(each)
    content["is_marked"] = not each.is_open or bool(each.reason)
    return content


def _status(marks: Iterable[Mark]) -> str:
    ended = [each.ended for each in marks if each.ended]
    if any(why != "timeout" for why in ended):
        return "crash"
    return "timeout" if ended else "ok"


def _empty(source: Source, status: str, reason: str) -> dict[str, Any]:
    marks = [Mark(name, asked.points, reason=reason) for name, asked in source.questions.items()]
    questions = [_question(each) | {"is_marked": True} for each in marks]
    return {"status": status, "reason": reason, "file": "", "questions": questions, "open": {}, "code": {}}


# --- the class ------------------------------------------------------------------------------------------------------


def _results(handed_in: Sequence[Submission], records: Records, by_hand: HandWork) -> list[dict[str, Any]]:
    """One result a student, groups spread over their members, with the teacher's own marks applied."""
    results = []
    for submission in handed_in:
        kept = records.result(records.pseudonym(submission.student))
        if kept is None:
            raise ParameterError(f"the result of {submission.student!r} is missing: grade again.")
        for student in by_hand.members(submission.student):
            results.append(by_hand.applied(kept, student, submission.student))
    return sorted(results, key=lambda result: result["student"])


def _changes(
    records: Records, before: Mapping[str, dict[str, Any] | None], results: Sequence[Mapping[str, Any]]
) -> list[str]:
    """The marks of this run beside those of the last, where they differ."""
    totals = {records.pseudonym(result["student"]): result["total"] for result in results}
    last = records.last_totals()
    records.keep_totals(totals)
    return [
        f"{pseudonym}: {last[pseudonym]:g} → {total:g} points"
        for pseudonym, total in totals.items()
        if pseudonym in last and last[pseudonym] != total
    ]


def _notes(order: Order, source: Source, seed: str) -> list[str]:
    fingerprint = hashlib.sha256(seed.encode()).hexdigest()[:16]
    return [
        f"Source {source.path.name}, sha256 {source.digest()[:16]}; seed fingerprint {fingerprint}; "
        f"simlib {simlib.__version__}.",
        f"Of several attempts, the {order.rule} counts.",
        *(sentence[0].upper() + sentence[1:] + "." for sentence in sandbox.isolation().sentences()),
    ]


def _write_all(
    order: Order,
    source: Source,
    records: Records,
    handed_in: Sequence[Submission],
    results: Sequence[dict[str, Any]],
    notes: Sequence[str],
) -> None:
    header = ["student", *source.questions, "total", "max", "status", "reason"]
    write_table(order.out / "marks.csv", header, [_row(result) for result in results])
    for result in results:
        text = feedback.page(source, result, result["student"], order.language)
        write(order.out / "feedback" / feedback_name(result["student"]), text)
    write(order.out / "overview.html", overview.page(source, results, notes))
    names = [
        {
            "student": each.student,
            "pseudonym": records.pseudonym(each.student),
            "name": each.name,
            "folder": each.folder,
            "late": "yes" if each.is_late else "",
            "attempts": len(each.attempts),
        }
        for each in handed_in
    ]
    write_table(records.private / "names.csv", ["student", "pseudonym", "name", "folder", "late", "attempts"], names)
    results_by_name = {name: records.result(name) or {} for name in (str(row["pseudonym"]) for row in names)}
    pairs = similar_pairs(source, {name: kept.get("code", {}) for name, kept in results_by_name.items()})
    write_table(order.out / "similar.csv", ["question", "one", "other", "alike"], pairs)
    write_manual_sheet(order.out, source, results)
    write_oral_sheet(order.out, source, results)


def _row(result: Mapping[str, Any]) -> dict[str, object]:
    points = {each["question"]: f"{each['points']:g}" for each in result["questions"]}
    return {
        "student": result["student"],
        **points,
        "total": f"{result['total']:g}",
        "max": f"{result['max']:g}",
        "status": result["status"],
        "reason": result["reason"],
    }
