"""What came of an execution: the critical path, the picture, and the report in words."""

import math
from typing import TYPE_CHECKING

from simlib.mlops.execution.scopes import Record, was
from simlib.mlops.steps import GroupStep
from simlib.plots.pipelines import ends
from simlib.plots.style import Words

if TYPE_CHECKING:
    from simlib.mlops.execution.execution import Execution


def critical_path_of(execution: "Execution") -> tuple[str, ...]:
    """The chain of steps that made it take as long as it did: each began when the one before it ended."""
    now = execution.env.now
    done = [record for record in execution.records if not math.isnan(record.start_s) and record.end_s <= now]
    last = max(done, key=lambda record: (record.end_s, record.order), default=None)
    chain: list[str] = []
    while last is not None:
        if not isinstance(last.step, GroupStep) and not math.isnan(last.start_s):
            chain.append(last.path)
        last = _just_before(execution, last)
    return tuple(reversed(chain))


def _just_before(execution: "Execution", record: Record) -> Record | None:
    """What *record* waited for last: for a group, the last step inside it."""
    before = record.before
    while before is None and record.scope.owner is not None:  # the first steps of a group begin when it may
        before, record = record.scope.after, record.scope.owner
        before = before or record.before
    while before is not None and isinstance(before.step, GroupStep):
        inside = [
            each for each in execution.records
            if each.path.startswith((f"{before.path}/", f"{before.path}[")) and each.end_s == before.end_s
            and not math.isnan(each.start_s) and not isinstance(each.step, GroupStep)
        ]  # fmt: skip
        before = max(inside, key=lambda each: each.order, default=before.before)
    return before


def gantt_of(execution: "Execution", *, at_most: int = 40, title: str = "") -> Words:
    """When each step ran: the critical path, cache hits and failed attempts stand out."""
    from simlib import plots

    frame = execution.steps[["type", "status", "start_s", "end_s", "cached", "usd"]].dropna(subset="start_s").copy()
    groups = [record.path for record in execution.records if isinstance(record.step, GroupStep)]
    frame = frame.drop(index=[path for path in groups if path in frame.index])
    frame["critical"] = frame.index.isin(execution.critical_path)
    attempts = execution.attempts[["step", "begin_s", "end_s", "status"]].copy()
    for each, columns in ((frame, ("start_s", "end_s")), (attempts, ("begin_s", "end_s"))):
        each[list(columns)] -= execution.start_s
    ended = f"{execution.status} after {span(execution.makespan_s)}, {execution.usd:.4g} dollars"
    return plots.gantt(frame, attempts, at_most=at_most, title=title or f"{ends(execution.id, 24)}: {ended}")


def report_of(execution: "Execution") -> str:
    """The execution in words: how it ended, what it took and cost, and what was assumed."""
    counts = execution.steps["status"].value_counts()
    hits = sum(record.cached for record in execution.records)
    lines = [
        f"{execution.id}: {execution.status} after {span(execution.makespan_s)} for {execution.usd:.4g} dollars.",
        f"Steps: {', '.join(f'{n} {was(str(status))}' for status, n in counts.items())}; {hits} cache hits.",
    ]
    lines += [f"  {r.path} {was(r.status)}: {r.reason}" for r in execution.records if r.status == "Failed"]
    assumed = execution.assumptions
    if len(assumed):
        lines.append(f"Assumed ({len(assumed)}):")
        lines += [f"  {row.parameter}: {row.value} ({row.source})" for row in assumed.itertuples()]
    return "\n".join(lines)


def span(seconds: float) -> str:
    """A length of time in the unit that suits it."""
    for size, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.4g} {unit}"
    return f"{seconds:.4g} s"
