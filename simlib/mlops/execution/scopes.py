"""What is known of each step so far, in one pass through the steps of a pipeline, a group or a loop."""

import math
from collections import deque
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import simpy

from simlib.mlops.execution.lookups import made_by, variable
from simlib.mlops.pipeline import Level
from simlib.mlops.references import UNKNOWN, at_path, filled, head
from simlib.mlops.steps import PipelineStep

if TYPE_CHECKING:
    from simlib.mlops.execution.execution import Execution


Story = Generator[simpy.Event, Any, Any]


@dataclass
class Record:
    """What is known of one step of one execution so far."""

    path: str
    step: PipelineStep
    order: int
    scope: "Scope" = field(repr=False)
    status: str = "Waiting"
    reason: str = ""
    ready_s: float = math.nan
    start_s: float = math.nan
    end_s: float = math.nan
    attempts: int = 0
    cached: bool = False
    reused: bool = False
    usd: float = 0.0
    taken: bool = True  # of a condition: which branch
    made: Mapping[str, Any] | None = None
    origin: str = ""  # the execution that really ran it
    arguments: Mapping[str, Any] | None = None  # resolved
    before: "Record | None" = field(default=None, repr=False)
    process: simpy.Process | None = field(default=None, repr=False)

    def __lt__(self, other: "Record") -> bool:
        return self.order < other.order


class Attempt(NamedTuple):
    """One attempt at a step: when it began, when its machines ran, when it ended and how, and what it cost."""

    step: str
    attempt: int
    begin_s: float
    running_s: float
    end_s: float
    status: str
    exception: str
    instance_type: str
    instances: int
    billed_s: float
    usd: float


class Scope:
    """One pass through the steps of a level: the pipeline itself, a group, or one iteration of a loop."""

    def __init__(
        self, execution: "Execution", level: Level, prefix: str, owner: Record | None, inputs: Mapping[str, Any]
    ) -> None:
        self.execution, self.level, self.owner, self.inputs = execution, level, owner, inputs
        self.outer: Scope | None = owner.scope if owner is not None else None
        self.after: Record | None = None  # what ended when this pass of a loop could begin
        self.records = {
            name: Record(prefix + name, step, execution.next_order(), self) for name, step in level.steps.items()
        }
        self.waiting_for = {name: len(needs) for name, needs in level.needs.items()}
        self.left = len(self.records)
        self.done = execution.env.event()
        self.last: Record | None = None
        self.assumed_branch = False
        execution.records += self.records.values()

    def begin(self) -> None:
        """Everything that needs nothing."""
        for name in [name for name, number in self.waiting_for.items() if number == 0]:
            self.execution.decide(self.records[name])
        self._finish_if_done()

    def settle(self, record: Record) -> None:
        """*record* is over: whatever waited for it alone is decided, and so on down the line."""
        over = deque([record])
        while over:
            now = over.popleft()
            self.left -= 1
            self.last = now
            for name in self.level.needed_by[now.step.name]:
                self.waiting_for[name] -= 1
                if self.waiting_for[name] == 0 and self.execution.decide(self.records[name], cascade=True):
                    over.append(self.records[name])
        self._finish_if_done()

    def _finish_if_done(self) -> None:
        if self.left == 0 and not self.done.triggered:
            self.done.succeed()

    def look(self, target: str, *, values: bool) -> Any:
        """What a reference's *target* stands for; with *values* the Python objects that steps made, where there are."""
        root, name, path = head(target)
        if root == "Parameters":
            return self.execution.parameters.get(name, UNKNOWN)
        if root == "Execution":
            return variable(self.execution, name)
        if root == "Inputs":
            return self._input(name, path, values)
        if root == "Steps":
            scope: Scope | None = self
            while scope is not None and name not in scope.records:
                scope = scope.outer
            if scope is not None:
                return made_by(self.execution, scope.records[name], path, values)
        return UNKNOWN

    def _input(self, name: str, path: str, values: bool) -> Any:
        if name not in self.inputs:
            return UNKNOWN if self.outer is None else self.outer._input(name, path, values)
        found = self.inputs[name]
        if self.outer is not None:
            outer = self.outer
            found = filled(found, lambda target: outer.look(target, values=values))
        return at_path(found, path) if path else found

    def fill(self, value: Any, *, values: bool = False) -> Any:
        """*value* with every reference in it replaced."""
        return filled(value, lambda target: self.look(target, values=values))


def was(status: str) -> str:
    """A status in the middle of a sentence."""
    return {"NotStarted": "not started", "Waiting": "waiting"}.get(status, status.lower())
