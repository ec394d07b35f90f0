"""Passes through the steps of a group: once, or once for each item of a list."""

import json
import math
from collections import deque
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from simlib.mlops.execution.scopes import Record, Scope, Story, was
from simlib.mlops.references import UNKNOWN
from simlib.mlops.steps import ForEachStep

if TYPE_CHECKING:
    from simlib.mlops.execution.execution import Execution


ASSUMED_ITEMS = 3
"""Items of a loop over a list that only real code would make (assumption)."""


def passes_through(execution: "Execution", record: Record) -> Story:
    """A pass through the steps of a group, or one for each item, so many at a time as it allows."""
    step, level = record.step, record.scope.level.groups[record.step.name]
    record.start_s, record.status, record.origin = execution.env.now, "Executing", execution.id
    waiting, most = deque(_passes(execution, record)), math.inf
    if isinstance(step, ForEachStep):
        most = step.max_parallel or math.inf
    ended: Record | None = None
    running: list[Scope] = []
    scopes: list[Scope] = []
    while waiting or running:
        while waiting and len(running) < most:
            suffix, inputs = waiting.popleft()
            scope = Scope(execution, level, f"{record.path}{suffix}/", record, inputs)
            scope.after = ended
            scopes.append(scope)
            running.append(scope)
            scope.begin()
        yield (
            execution.env.any_of([scope.done for scope in running])
            if waiting
            else execution.env.all_of([scope.done for scope in running])
        )
        ended = next(scope.last for scope in running if scope.done.triggered)
        running = [scope for scope in running if not scope.done.triggered]
    inside = [each for scope in scopes for each in scope.records.values()]
    failed = [each for each in inside if each.status in ("Failed", "Stopped")]
    not_started = [each for each in inside if each.status == "NotStarted"]
    record.status = failed[0].status if failed else "NotStarted" if not_started else "Succeeded"
    record.reason = f"{(failed or not_started)[0].path} {was(record.status)}" if failed or not_started else ""
    record.end_s = execution.env.now
    record.scope.settle(record)


def _passes(execution: "Execution", record: Record) -> list[tuple[str, Mapping[str, Any]]]:
    """For each pass through a group: what its name ends in, and its inputs."""
    step = record.step
    if not isinstance(step, ForEachStep):
        return [("", step.inputs)]
    items = record.scope.fill(step.over, values=True)
    if isinstance(items, str):
        try:
            items = json.loads(items)
        except json.JSONDecodeError:
            items = UNKNOWN
    if not isinstance(items, Iterable) or isinstance(items, str | Mapping):
        execution.assume(f"items of {record.path}", ASSUMED_ITEMS, "U", "the list is made by code that is not here")
        items = range(ASSUMED_ITEMS)
    return [(f"[{k}]", {**step.inputs, step.item: each}) for k, each in enumerate(items)]
