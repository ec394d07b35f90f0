"""One execution of a pipeline: each step that runs is a SimPy process, and this is its story.

    needs met ─▶ ready ──dispatcher: a place and machines──▶ executing ─▶ attempt ─▶ attempt ─▶ succeeded | failed
                                                               └ cache hit: over at once, for nothing

Steps that become ready at one instant wait until everything else of that instant has happened; then the dispatcher
starts them in the order of the pipeline.  A plain priority resource would give a freed place to a waiting step before
another end at the same instant has made a more urgent one ready, and gets two of Graham's four anomalies wrong.
"""

import heapq
import json
import math
import re
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import simpy

from simlib import pricing
from simlib.mlops import retries
from simlib.mlops.cache import Earlier, StepCache, cache_of, key_of
from simlib.mlops.durations import NOTHING, DurationModel
from simlib.mlops.pipeline import Level, Pipeline
from simlib.mlops.quota import Quota
from simlib.mlops.references import UNKNOWN, all_hold, at_path, cel_holds, filled, head
from simlib.mlops.registry import Registry
from simlib.mlops.retries import OnFailure
from simlib.mlops.steps import (
    ApprovalStep,
    CallbackStep,
    ConditionStep,
    EndpointStep,
    FailStep,
    ForEachStep,
    GroupStep,
    JobStep,
    PipelineStep,
    RegisterModelStep,
    TrainingStep,
    TuningStep,
    dig,
)
from simlib.model import Constant, Law
from simlib.parameters import Count, ParameterError, Text, checked, nearest
from simlib.plots.pipelines import ends
from simlib.plots.style import Words
from simlib.simulation import Simulation
from simlib.turns import POLICY, pause

Story = Generator[simpy.Event, Any, Any]

LAST = POLICY + 1
"""The dispatcher's turn: after every other event of an instant."""

ASSUMED_ITEMS = 3
"""Items of a loop over a list that only real code would make (assumption)."""

_OVER = ("Succeeded", "Failed", "Stopped", "Skipped", "NotStarted")


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
            return self.execution.variable(name)
        if root == "Inputs":
            return self._input(name, path, values)
        if root == "Steps":
            scope: Scope | None = self
            while scope is not None and name not in scope.records:
                scope = scope.outer
            if scope is not None:
                return self.execution.made_by(scope.records[name], path, values)
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


class Dispatcher:
    """Who starts when there is a place and there are machines: the first of the pipeline's order that fits."""

    def __init__(self, execution: "Execution", places: float) -> None:
        self.execution, self.env = execution, execution.env
        self.places, self.busy = places, 0
        self.ready: list[Record] = []
        self._scheduled = False
        execution.quota.dispatchers.append(self)

    def add(self, record: Record) -> None:
        """*record* has all it needs, but for a place and machines."""
        heapq.heappush(self.ready, record)
        self.wake()

    def wake(self) -> None:
        """Look again at the end of this instant."""
        if not self._scheduled:
            self._scheduled = True
            pause(self.env, 0.0, LAST).callbacks.append(lambda _: self._dispatch())

    def _dispatch(self) -> None:
        self._scheduled = False
        without_machines = []
        while self.ready and (self.busy < self.places or self.execution.failing):
            record = heapq.heappop(self.ready)
            if self.execution.gives_up(record):
                self.execution.leave_out(record, self.execution.why_nothing_starts)
            elif self.execution.quota.take(*self.execution.machines(record)):
                self.busy += 1
                self.execution.launch(record)
            else:
                without_machines.append(record)
        for record in without_machines:
            heapq.heappush(self.ready, record)

    def release(self, record: Record) -> None:
        """*record* is over."""
        self.busy -= 1
        self.execution.quota.give_back(*self.execution.machines(record))
        self.wake()


class Execution:
    """A running or finished execution.

    Parameters
    ----------
    max_parallel_steps : int, optional
        Steps that may execute at once; without it all that are ready (SageMaker's default).  Every executing step
        takes a place, also one that waits for a person (assumption).
    parameters : mapping
        Values for the pipeline's parameters.
    durations : DurationModel, or mapping of a step's name to a law or seconds
        For steps that do not say how long they take.
    quota : Quota, or mapping of instance type to number
        Machines that the account may use at once; jobs queue for them.
    outcomes : mapping
        Of a condition, by its step's name: whether it holds, whatever its values.
    cache : StepCache
        What earlier executions made; by default the simulation's own.
    only, reuse : names of steps, and an earlier Execution
        Selective execution: run *only* these and take what they need from *reuse*.  With `reuse` alone: what did not
        succeed there, and what comes after.
    registry : Registry
        Where RegisterModelStep, ApprovalStep and EndpointStep read and write.
    on_failure
        Instead of the pipeline's.
    """

    @checked
    def __init__(
        self,
        pipeline: Pipeline,
        sim: Simulation,
        *,
        max_parallel_steps: Count | None = None,
        parameters: Mapping[str, Any] | None = None,
        durations: Any = None,
        quota: Any = None,
        outcomes: Mapping[str, bool] | None = None,
        cache: StepCache | None = None,
        only: Sequence[Text] | None = None,
        reuse: Any = None,
        registry: Registry | None = None,
        on_failure: OnFailure | None = None,
    ) -> None:
        self.pipeline, self.sim = pipeline, sim
        self.env = sim.env
        self.durations = _durations(durations)
        self.quota = quota if isinstance(quota, Quota) else Quota(quota or {})
        self.outcomes = dict(outcomes or {})
        self.cache = cache if cache is not None else cache_of(sim)
        self.registry = registry
        self.on_failure = on_failure or pipeline.on_failure
        self.parameters = _parameters(pipeline, parameters or {})
        self.number = self.cache.number(pipeline.name)
        self.id = f"{pipeline.name}-{self.number}"
        self.status = "Executing"
        self.start_s = self.env.now
        self.end_s = math.nan
        self.records: list[Record] = []
        self._attempts: list[Attempt] = []
        self._meters: dict[tuple[str, str], float] = {}
        self._assumed: dict[str, tuple[str, str, str]] = {}
        self._tokens: dict[str, simpy.Event] = {}
        self._orders = count()
        self._last_ended: Record | None = None
        self.failing = False
        self.stopping = False
        self._check_names()
        self._selected, self._reuse = self._selection(only, reuse)
        self.dispatcher = Dispatcher(self, max_parallel_steps or math.inf)
        self.process = self.env.process(self._story())

    # --- the story ---

    def _story(self) -> Story:
        """Begin with the steps that need nothing, and wait until every step is over."""
        self.sim.tell("pipeline started", self.pipeline.name, self.id)
        root = Scope(self, self.pipeline.level, "", None, {})
        root.begin()
        yield root.done
        self.end_s = self.env.now
        self.status = self._final_status()
        self.quota.dispatchers.remove(self.dispatcher)
        self.sim.tell("pipeline ended", self.pipeline.name, f"{self.id}: {self.status}")
        return self

    def decide(self, record: Record, *, cascade: bool = False) -> bool:
        """All that *record* needs is over: run it, or leave it out; whether it is over already."""
        record.ready_s = self.env.now
        reason = self._why_not(record)
        if reason:
            self._leave(record, reason)
        elif record.path in self._reuse:
            self._take_over(record)
        elif isinstance(record.step, GroupStep):
            record.process = self.env.process(self._group(record))
            return False
        else:
            self.dispatcher.add(record)
            return False
        if not cascade:
            record.scope.settle(record)
        return True

    def _why_not(self, record: Record) -> str:
        """Why *record* is not run, or nothing."""
        needed = {name: record.scope.records[name] for name in record.scope.level.needs[record.step.name]}
        record.before = max(needed.values(), key=lambda each: (each.end_s, each.order), default=None)
        side = record.scope.level.branch.get(record.step.name)
        if record.step.trigger == "succeeded":
            if side and needed[side[0]].status == "Succeeded" and needed[side[0]].taken != side[1]:
                return f"the other branch of {side[0]} was taken"
            for name, each in needed.items():
                if each.status != "Succeeded":
                    return f"needs {name}, which {_was(each.status)}"
        if self._selected is not None and record.path not in self._selected | self._reuse.keys():
            return "not selected"
        if self.gives_up(record):
            return self.why_nothing_starts
        if record.step.condition is not None and not self._condition(record, record.step.condition):
            return f"its condition does not hold: {record.step.condition}"
        return ""

    def gives_up(self, record: Record) -> bool:
        """Whether nothing new starts any more, but for steps that only wait for others to be over."""
        return self.stopping or (self.failing and record.step.trigger == "succeeded")

    @property
    def why_nothing_starts(self) -> str:
        """Why steps are left out after a failure or a stop."""
        return "the execution was stopped" if self.stopping else "another step failed"

    def _leave(self, record: Record, reason: str) -> None:
        record.status = "Skipped" if reason.startswith(("the other branch", "needs", "its cond")) else "NotStarted"
        record.reason, record.end_s = reason, self.env.now

    def leave_out(self, record: Record, reason: str) -> None:
        """*record* was ready and will not run after all."""
        self._leave(record, reason)
        record.scope.settle(record)

    # --- one step ---

    def launch(self, record: Record) -> None:
        """*record* has its place and its machines."""
        if record.ready_s < self.env.now and self._last_ended is not None and self._last_ended.end_s == self.env.now:
            record.before = self._last_ended
        record.process = self.env.process(self._live(record))

    def _live(self, record: Record) -> Story:
        """The life of a step from its place to its end."""
        record.start_s, record.status = self.env.now, "Executing"
        try:
            record.arguments = record.scope.fill(record.step.full_arguments)
            key = self._key(record)
            if key and (earlier := self.cache.find(key, record.step.cache, self.sim.date())):  # type: ignore[arg-type]
                record.cached, record.origin, record.made = True, earlier.execution, earlier.made
                record.arguments = earlier.arguments
                record.status = "Succeeded"
            else:
                record.origin = self.id
                yield from self._try(record)
                if key and record.status == "Succeeded":
                    self.cache.keep(key, Earlier(self.sim.date(), self.id, record.made, record.arguments))
        except simpy.Interrupt:
            record.status, record.reason = "Stopped", "the execution was stopped"
        self._end(record)

    def _try(self, record: Record) -> Story:
        """Attempt after attempt, until one succeeds or nobody tries again."""
        for number in count(1):
            record.attempts = number
            exception = yield from self._attempt(record, number)
            if not exception:
                record.status = "Succeeded"
                return
            wait = self._wait_s(record, exception, number)
            if wait is None:
                record.status, record.reason = "Failed", record.reason or exception
                return
            self.sim.tell("step retried", f"{self.pipeline.name}/{record.path}", f"{exception}, again in {wait:g} s")
            yield self.env.timeout(wait)

    def _wait_s(self, record: Record, exception: str, number: int) -> float | None:
        """Seconds until the next attempt by the first policy that covers *exception*; the service's own comes last."""
        if isinstance(record.step, FailStep):
            return None
        policies = record.step.retries
        if not any({exception, "*"} & set(policy.exceptions) for policy in policies):
            policies = (*policies, retries.SERVICE_RETRIES)
        waits = [policy.wait_s(exception, number, self.env.now - record.start_s) for policy in policies]
        return next((wait for wait in waits if wait is not None), None)

    def _attempt(self, record: Record, number: int) -> Generator[simpy.Event, Any, str]:
        """One attempt; returns the exception it ended with, or nothing."""
        step, begin = record.step, self.env.now
        draw = self._draw(record, number, "duration")
        launch_s, trials = self._times(record, draw)
        busy_s = _makespan(trials, self._at_once(record))
        longest_s = max(work for _, work in trials) if isinstance(step, TuningStep) else busy_s
        exception, share = self._fate(record, number, longest_s)
        running = begin + launch_s
        try:
            if launch_s:
                yield self.env.timeout(launch_s)
            running = self.env.now
            if isinstance(step, CallbackStep) and step.wait_for_answer:
                exception = yield from self._answer(record)
            elif isinstance(step, ApprovalStep) and not self.durations.is_said(step):
                exception = yield from self._ask(record, draw)
            else:
                yield self.env.timeout(busy_s * share)
            exception = exception or self._take_effect(record)
        except simpy.Interrupt:
            busy = min(1.0, (self.env.now - running) / busy_s) if busy_s else 0.0
            self._note(record, number, begin, running, "Stopped", "", [run * busy for _, run in trials])
            raise
        status = "Failed" if exception else "Succeeded"
        self._note(record, number, begin, running, status, exception, [run * share for _, run in trials])
        return exception

    def _times(self, record: Record, draw: Callable[[Law], float]) -> tuple[float, list[tuple[float, float]]]:
        """Seconds before anything runs; and for each trial (one, but in a tuning) its launch and its running time."""
        step, model = record.step, self.durations
        before = draw(step.start_up) if step.start_up is not None else 0.0
        law = model.says(step)
        if not model.is_said(step) and law != NOTHING and not _answered(step):
            self._assume(f"duration of {record.path}", law, "U", "duration model")
        instance_type = self._instance_type(record)
        speed = 1.0 if model.is_said(step) else model.speed_of(instance_type)
        trials = []
        for _ in range(self._number(record, step.max_trials) if isinstance(step, TuningStep) else 1):
            work = draw(law) / speed
            if model.starts_machines(step):
                self._assume("launch of machines", model.launch, "U", "duration model")
                self._assume("loading image and data", model.load, "U", "duration model")
                launch = draw(model.launch)
                work += draw(model.load)
            else:
                launch = 0.0
            if not model.is_said(step):
                work = min(work, step.max_runtime_s or math.inf)  # what we assume keeps the limit of the file
            trials.append((launch, work))
        if len(trials) == 1:
            return before + trials[0][0], [(0.0, trials[0][1])]
        return before, trials

    def _fate(self, record: Record, number: int, longest_s: float) -> tuple[str, float]:
        """The exception this attempt will end with, or nothing, and the share of its time it takes until then.

        A limit holds for *longest_s*: the attempt, or the longest of a tuning's trials.
        """
        step = record.step
        if isinstance(step, FailStep):
            return str(record.scope.fill(step.message)) or "FailStep", 1.0
        exception, share = "", 1.0
        if step.failures:
            luck = self._rng(record, number, "failure").random()
            for failure in step.failures:
                if luck < failure.probability:
                    exception = failure.exception
                    share = 0.0 if exception in retries.BEFORE_IT_RUNS else failure.after
                    break
                luck -= failure.probability
        limit = step.max_runtime_s
        if limit is not None and longest_s * share > limit:
            return retries.TIMED_OUT, limit / longest_s
        return exception, share

    def _ask(self, record: Record, draw: Callable[[Law], float]) -> Generator[simpy.Event, Any, str]:
        """Ask the person, and wait for the answer."""
        step = record.step
        assert isinstance(step, ApprovalStep)
        self._assume(f"response of {step.person.name}", step.person.response, "U", "working time until an answer")
        answer = step.person.answers_at(self.sim.date(), draw)
        wait = (answer - self.sim.date()).total_seconds()
        if step.max_runtime_s is not None and wait > step.max_runtime_s:
            yield self.env.timeout(step.max_runtime_s)
            return retries.TIMED_OUT
        yield self.env.timeout(wait)
        yes = self._rng(record, record.attempts, "answer").random() < step.person.says_yes
        self.sim.tell("approved" if yes else "rejected", f"{self.pipeline.name}/{record.path}", step.person.name)
        if step.register is not None and self.registry is not None:
            name = str(self._record(step.register).made["ModelPackageArn"])  # type: ignore[index]
            group, _, version = name.rpartition("/")
            decide = self.registry.approve if yes else self.registry.reject
            decide(group, int(version), by=step.person.name, comment=f"asked by {self.id}", at=self.sim.date())
        return "" if yes else f"{step.person.name} said no"

    def _answer(self, record: Record) -> Generator[simpy.Event, Any, str]:
        """Wait for `send_success` or `send_failure`."""
        token = self._tokens[record.path] = self.env.event()
        patience = [self.env.timeout(record.step.max_runtime_s)] if record.step.max_runtime_s else []
        yield self.env.any_of([token, *patience])
        del self._tokens[record.path]
        if not token.triggered:
            return retries.TIMED_OUT
        answer: Any = token.value
        ok, found = answer
        if ok:
            record.made = found
        return "" if ok else str(found)

    def _take_effect(self, record: Record) -> str:
        """What a successful attempt does: real code, registry, a condition's outcome; returns an exception's name."""
        step = record.step
        try:
            if isinstance(step, ConditionStep):
                record.taken = self._outcome(record, step)
                record.made = {"Outcome": str(record.taken)}
            elif isinstance(step, RegisterModelStep):
                record.made = {"ModelPackageArn": self._register(record, step)}
            elif isinstance(step, EndpointStep) and self.registry is not None and step.group is not None:
                self.registry.deploy(
                    step.group, endpoint=step.endpoint or step.group, by=f"pipeline {self.id}", at=self.sim.date()
                )
            if step.run is not None:
                record.made = _outputs(step.run(**self._given(record)))
            elif step.result is not None:
                record.made = step.result
        except Exception as error:  # whatever a step's own code raises is that step's failure, not the simulation's
            record.reason = f"{type(error).__name__}: {error}"
            return retries.RAISED
        return ""

    def _given(self, record: Record) -> dict[str, Any]:
        """What a step's own code is called with: what other steps' code made, or else the addresses."""
        fill, inputs = record.scope.fill, record.step.inputs
        known = {name: fill(value, values=True) for name, value in inputs.items()}
        return {name: fill(inputs[name]) if value is UNKNOWN else value for name, value in known.items()}

    def _outcome(self, record: Record, step: ConditionStep) -> bool:
        if record.path in self.outcomes:
            return self.outcomes[record.path]
        known = all_hold(step.conditions, lambda value: record.scope.fill(value, values=True))
        if known is UNKNOWN:
            self._assume(f"outcome of {record.path}", "it holds", "U", "its values are made by code that is not here")
            return True
        return bool(known)

    def _condition(self, record: Record, text: str) -> bool:
        """Whether KFP's condition holds; of an If with Else whose values nobody knows, the first branch is taken."""
        if record.path in self.outcomes:
            return self.outcomes[record.path]
        inputs = record.step.inputs
        known = cel_holds(text, lambda name: record.scope.fill(inputs.get(name, UNKNOWN), values=True))
        if known is not UNKNOWN:
            return bool(known)
        one_of_several = record.scope.level.path.rstrip("/").rpartition("/")[2].startswith("condition-branches")
        taken = not (one_of_several and record.scope.assumed_branch)
        record.scope.assumed_branch = True
        words = "it holds" if taken else "it does not hold"
        self._assume(f"outcome of {record.path}", words, "U", "its values are made by code that is not here")
        return taken

    def _register(self, record: Record, step: RegisterModelStep) -> str:
        """Write the version into the registry, with all that is known of where it comes from; its name."""
        fill = record.scope.fill
        arguments = fill(step.full_arguments)
        group = str(arguments.get("ModelPackageGroupName") or self.pipeline.name)
        if self.registry is None:
            return f"{group}/0"
        trained = [each for each in self.records if isinstance(each.step, TrainingStep) and each.status == "Succeeded"]
        version = self.registry.register(
            group,
            artifact=str(dig((dig(arguments, ("InferenceSpecification", "Containers")) or [{}])[0], ("ModelDataUrl",))),
            metrics={name: value for name, value in fill(step.metrics, values=True).items() if value is not UNKNOWN},
            training_parameters={
                each.path: (each.arguments or {}).get("HyperParameters", {}) for each in trained
            },
            containers=dig(arguments, ("InferenceSpecification", "Containers")) or [],
            lineage={
                "pipeline": self.pipeline.name,
                "execution": self.id,
                "step": record.path,
                "steps": {each.path: each.origin for each in self.records if each.status == "Succeeded"},
            },
            status=arguments["ModelApprovalStatus"],
            by=f"pipeline {self.id}",
            at=self.sim.date(),
        )  # fmt: skip
        return f"{group}/{version.version}"

    def _end(self, record: Record) -> None:
        """*record* is over: note it, give its place back, and let those that waited be decided."""
        record.end_s = self.env.now
        self._last_ended = record
        how = f"{record.status}{', from the cache' * record.cached}{': ' * bool(record.reason)}{record.reason}"
        self.sim.tell("step ended", f"{self.pipeline.name}/{record.path}", how)
        if record.status == "Failed" and (self.on_failure != "continue" or isinstance(record.step, FailStep)):
            self._fail()
        self.dispatcher.release(record)
        record.scope.settle(record)

    def _fail(self) -> None:
        self.failing = True
        if self.on_failure == "stop":
            self._interrupt_all()

    # --- groups and loops ---

    def _group(self, record: Record) -> Story:
        """A pass through the steps of a group, or one for each item, so many at a time as it allows."""
        step, level = record.step, record.scope.level.groups[record.step.name]
        record.start_s, record.status, record.origin = self.env.now, "Executing", self.id
        waiting, most = deque(self._passes(record)), math.inf
        if isinstance(step, ForEachStep):
            most = step.max_parallel or math.inf
        ended: Record | None = None
        running: list[Scope] = []
        scopes: list[Scope] = []
        while waiting or running:
            while waiting and len(running) < most:
                suffix, inputs = waiting.popleft()
                scope = Scope(self, level, f"{record.path}{suffix}/", record, inputs)
                scope.after = ended
                scopes.append(scope)
                running.append(scope)
                scope.begin()
            yield (
                self.env.any_of([scope.done for scope in running])
                if waiting
                else self.env.all_of([scope.done for scope in running])
            )
            ended = next(scope.last for scope in running if scope.done.triggered)
            running = [scope for scope in running if not scope.done.triggered]
        inside = [each for scope in scopes for each in scope.records.values()]
        failed = [each for each in inside if each.status in ("Failed", "Stopped")]
        not_started = [each for each in inside if each.status == "NotStarted"]
        record.status = failed[0].status if failed else "NotStarted" if not_started else "Succeeded"
        record.reason = f"{(failed or not_started)[0].path} {_was(record.status)}" if failed or not_started else ""
        record.end_s = self.env.now
        record.scope.settle(record)

    def _passes(self, record: Record) -> list[tuple[str, Mapping[str, Any]]]:
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
            self._assume(f"items of {record.path}", ASSUMED_ITEMS, "U", "the list is made by code that is not here")
            items = range(ASSUMED_ITEMS)
        return [(f"[{k}]", {**step.inputs, step.item: each}) for k, each in enumerate(items)]

    # --- machines and money ---

    def machines(self, record: Record) -> tuple[str, int]:
        """The instance type a step needs, and how many at once."""
        step = record.step
        if not isinstance(step, JobStep) or step.job is None:
            return "", 0
        return self._instance_type(record), self._number(record, step.instance_count) * self._at_once(record)

    def _instance_type(self, record: Record) -> str:
        step = record.step
        return str(record.scope.fill(step.instance_type) or "") if isinstance(step, JobStep) else ""

    def _at_once(self, record: Record) -> int:
        step = record.step
        if not isinstance(step, TuningStep):
            return 1
        return min(self._number(record, step.max_parallel_trials), self._number(record, step.max_trials))

    def _number(self, record: Record, value: Any) -> int:
        try:
            return max(1, int(record.scope.fill(value)))
        except (TypeError, ValueError):
            self._assume(f"a number in {record.path}", 1, "U", f"{value} has no value here")
            return 1

    def _note(
        self, record: Record, number: int, begin: float, running: float, status: str, exception: str, runs: list[float]
    ) -> None:
        """Write the attempt down, and what it costs: each job's seconds rounded up, times its machines."""
        step = record.step
        instance_type, instances, billed_s, usd = "", 0, 0.0, 0.0
        if isinstance(step, JobStep) and step.job is not None:
            instance_type, instances = self._instance_type(record), self._number(record, step.instance_count)
            service = f"sagemaker_{step.job}"
            billed_s = pricing.billed_seconds(runs, service) * instances
            usd = billed_s / 3600 * self._usd_per_hour(service, instance_type)
            if instance_type:
                meter = (step.job, instance_type)
                self._meters[meter] = self._meters.get(meter, 0.0) + billed_s
        record.usd += usd
        self._attempts.append(
            Attempt(
                record.path, number, begin, running, self.env.now, status, exception, instance_type, instances,
                billed_s, usd,
            )
        )  # fmt: skip

    def _usd_per_hour(self, service: str, instance_type: str) -> float:
        if not instance_type:
            return 0.0
        try:
            return pricing.price(service, instance_type, region=self.sim.region).usd
        except ParameterError:
            words = f"no price for it in {self.sim.region}: its jobs are not on the bill"
            self._assume(f"price of {instance_type}", 0.0, "U", words)
            return 0.0

    # --- cache and selection ---

    def _key(self, record: Record) -> tuple[str, str, str] | None:
        """What an earlier run must share, or None where the step is not cached."""
        step = record.step
        if step.cache is None or not step.cache.enabled:
            return None
        key = key_of(step.type, {**step.more, **(record.arguments or {})})
        return None if key is None else (self.pipeline.name, re.sub(r"\[\d+\]", "", record.path), key)

    def _selection(
        self, only: Sequence[str] | None, reuse: "Execution | None"
    ) -> tuple[set[str] | None, dict[str, Record]]:
        """The paths to run (None: all), and the records of *reuse* to take over."""
        if only is None and reuse is None:
            return None, {}
        if not isinstance(reuse, Execution):
            raise ParameterError("run: only= needs reuse=, an earlier execution to take the other steps' outputs from.")
        earlier = {record.path: record for record in reuse.records if record.status == "Succeeded"}
        level = self.pipeline.level
        if only is None:
            import networkx as nx

            again = [name for name in level.steps if name not in earlier]
            selected = set(again).union(*(nx.descendants(level.graph, name) for name in again))
        else:
            selected = set(only)
            for name in selected:
                self.pipeline.step(name)
                for needed in level.needs.get(name, {}):
                    if needed not in selected | earlier.keys():
                        raise ParameterError(
                            f"run: step {name!r} needs {needed!r}, neither selected nor succeeded in {reuse.id}."
                        )
        taken = {path: record for path, record in earlier.items() if path.split("/")[0] not in selected}
        inside = {
            path for name in selected for path in self.pipeline.graph if path == name or path.startswith(f"{name}/")
        }
        return inside, taken

    def _take_over(self, record: Record) -> None:
        """Take what an earlier execution made of this step."""
        earlier = self._reuse[record.path]
        record.status, record.reused, record.end_s = "Succeeded", True, self.env.now
        record.made, record.origin, record.arguments = earlier.made, earlier.origin, earlier.arguments
        record.taken = earlier.taken

    def made_by(self, record: Record, path: str, values: bool) -> Any:
        """What *record*'s step made under *path*: a known value, an address in its arguments, or a made-up address."""
        found = _named(record.made, path) if record.made is not None else UNKNOWN
        if found is not UNKNOWN and (values or isinstance(found, str | int | float | bool)):
            return found
        if path.startswith("PropertyFiles"):
            return UNKNOWN
        written = at_path(record.arguments or {}, path) if path else UNKNOWN
        if isinstance(written, str | int | float):
            return written
        if values:
            return UNKNOWN
        return f"s3://{self.pipeline.name}/{record.origin}/{record.path}/{path}"

    def variable(self, name: str) -> str:
        """An execution variable, such as PipelineName."""
        known = {
            "PipelineName": self.pipeline.name,
            "PipelineExecutionId": self.id,
            "PipelineArn": f"arn:aws:sagemaker:{self.sim.region}:000000000000:pipeline/{self.pipeline.name}",
            "PipelineExecutionArn": f"arn:aws:sagemaker:{self.sim.region}:000000000000:pipeline/{self.id}",
            "StartDateTime": self.sim.date(self.start_s).isoformat(),
            "CurrentDateTime": self.sim.date().isoformat(),
        }
        return known.get(name, name)

    # --- from outside ---

    def finish(self) -> None:
        """Let the clock run until this execution is over.

        Raises
        ------
        ParameterError
            If it waits for an answer that nobody will give.
        """
        try:
            if not self.process.triggered:
                self.env.run(until=self.process)
        except RuntimeError as error:
            if "No scheduled events" not in str(error):
                raise
            waiting = ", ".join(self._tokens) or "; ".join(
                record.path for record in self.records if record.status not in _OVER
            )
            raise ParameterError(
                f"run: {waiting} waits for an answer that does not come; use pipeline.start(sim), then "
                "execution.send_success(…)."
            ) from None
        for endpoint in self.sim.endpoints:
            endpoint.advance()

    def send_success(self, step: str, **outputs: Any) -> None:
        """Answer the callback step *step* with yes, and with its outputs."""
        self._token(step).succeed((True, outputs))

    def send_failure(self, step: str, reason: str) -> None:
        """Answer the callback step *step* with no."""
        self._token(step).succeed((False, reason))

    def _token(self, step: str) -> simpy.Event:
        if step not in self._tokens:
            waiting = nearest(step, self._tokens) if self._tokens else "nobody waits now."
            raise ParameterError(f"send: {step!r} does not wait for an answer; {waiting}")
        return self._tokens[step]

    def stop(self) -> None:
        """Stop: what runs is killed and paid for until now, and nothing new starts."""
        self.stopping = True
        self.status = "Stopping"
        self._interrupt_all()
        for record in list(self.dispatcher.ready):
            self.leave_out(record, self.why_nothing_starts)
        self.dispatcher.ready.clear()

    def _interrupt_all(self) -> None:
        for record in self.records:
            alive = record.status == "Executing" and record.process is not None and record.process.is_alive
            if alive and not isinstance(record.step, GroupStep) and record.process is not self.env.active_process:
                record.process.interrupt()  # type: ignore[union-attr]

    # --- small helpers ---

    def next_order(self) -> int:
        """The place in the pipeline's order of the next step to be listed."""
        return next(self._orders)

    def _record(self, name: str) -> Record:
        return next(record for record in self.records if record.path == name)

    def _check_names(self) -> None:
        known = self.pipeline.graph.nodes
        for name in (*self.outcomes, *self.durations.steps):
            if re.sub(r"\[\d+\]", "", name) not in known and name not in {each.rpartition("/")[2] for each in known}:
                raise ParameterError(f"run: {self.pipeline.name} has no step {name!r}; {nearest(name, known)}")

    def _rng(self, record: Record, number: int, purpose: str) -> np.random.Generator:
        return self.sim.rng("pipeline", self.id, record.path, str(number), purpose)

    def _draw(self, record: Record, number: int, purpose: str) -> Callable[[Law], float]:
        """Draws from laws with the stream of this attempt, which is made only if something is random."""
        stream: list[np.random.Generator] = []

        def draw(law: Law) -> float:
            if isinstance(law, Constant):
                return law.value
            if not stream:
                stream.append(self._rng(record, number, purpose))
            return float(law.sample(1, stream[0])[0])

        return draw

    def _assume(self, what: str, value: Any, mark: str, source: str) -> None:
        self._assumed.setdefault(what, (str(value), mark, source))

    def _final_status(self) -> str:
        if self.stopping:
            return "Stopped"
        failed = [record for record in self.records if record.status == "Failed"]
        if not failed:
            return "Succeeded"
        return "Failed" if self.failing else "CompletedWithFailures"

    # --- what came of it ---

    @property
    def makespan_s(self) -> float:
        """Seconds from the start to the end, or to now."""
        return (self.env.now if math.isnan(self.end_s) else self.end_s) - self.start_s

    @property
    def usd(self) -> float:
        """What its machines cost [US dollars]."""
        return math.fsum(record.usd for record in self.records)

    @property
    def steps(self) -> pd.DataFrame:
        """One row a step: type status start_s end_s attempts cached reused usd reason; index step."""
        columns = ("status", "ready_s", "start_s", "end_s", "attempts", "cached", "reused", "usd", "reason")
        frame = pd.DataFrame(
            [[record.step.type, *(getattr(record, column) for column in columns)] for record in self.records],
            columns=["type", *columns],
            index=pd.Index([record.path for record in self.records], name="step"),
        )
        return frame

    @property
    def attempts(self) -> pd.DataFrame:
        """One row an attempt, with its machines, its billed seconds (times machines) and its cost."""
        return pd.DataFrame(self._attempts, columns=Attempt._fields)

    @property
    def invoice(self) -> pd.DataFrame:
        """The bill: a line for each kind of job and instance type; `attrs["total"]`."""
        meters = [
            pricing.job_hours(job, instance_type, seconds / 3600, item=f"{instance_type} {job}")
            for (job, instance_type), seconds in self._meters.items()
            if f"price of {instance_type}" not in self._assumed
        ]
        return pricing.invoice(meters, region=self.sim.region)

    @property
    def assumptions(self) -> pd.DataFrame:
        """What was not said and had to be assumed: parameter value mark source."""
        notes = [("the file", note, "U", "reader") for note in self.pipeline.notes]
        rows = [*notes, *((what, *rest) for what, rest in self._assumed.items())]
        return pd.DataFrame(rows, columns=["parameter", "value", "mark", "source"])

    @property
    def critical_path(self) -> tuple[str, ...]:
        """The chain of steps that made it take as long as it did: each began when the one before it ended."""
        done = [record for record in self.records if record.start_s == record.start_s and record.end_s <= self.env.now]
        last = max(done, key=lambda record: (record.end_s, record.order), default=None)
        chain: list[str] = []
        while last is not None:
            if not isinstance(last.step, GroupStep) and last.start_s == last.start_s:
                chain.append(last.path)
            last = self._just_before(last)
        return tuple(reversed(chain))

    def _just_before(self, record: Record) -> Record | None:
        """What *record* waited for last: for a group, the last step inside it."""
        before = record.before
        while before is None and record.scope.owner is not None:  # the first steps of a group begin when it may
            before, record = record.scope.after, record.scope.owner
            before = before or record.before
        while before is not None and isinstance(before.step, GroupStep):
            inside = [
                each for each in self.records
                if each.path.startswith((f"{before.path}/", f"{before.path}[")) and each.end_s == before.end_s
                and each.start_s == each.start_s and not isinstance(each.step, GroupStep)
            ]  # fmt: skip
            before = max(inside, key=lambda each: each.order, default=before.before)
        return before

    def gantt(self, *, at_most: int = 40, title: str = "") -> Words:
        """When each step ran: the critical path, cache hits and failed attempts stand out."""
        from simlib import plots

        frame = self.steps[["type", "status", "start_s", "end_s", "cached", "usd"]].dropna(subset="start_s").copy()
        groups = [record.path for record in self.records if isinstance(record.step, GroupStep)]
        frame = frame.drop(index=[path for path in groups if path in frame.index])
        frame["critical"] = frame.index.isin(self.critical_path)
        attempts = self.attempts[["step", "begin_s", "end_s", "status"]].copy()
        for each, columns in ((frame, ("start_s", "end_s")), (attempts, ("begin_s", "end_s"))):
            each[list(columns)] -= self.start_s
        words = f"{ends(self.id, 24)}: {self.status} after {_span(self.makespan_s)}, {self.usd:.4g} dollars"
        return plots.gantt(frame, attempts, at_most=at_most, title=title or words)

    def report(self) -> str:
        """The execution in words: how it ended, what it took and cost, and what was assumed."""
        counts = self.steps["status"].value_counts()
        hits = sum(record.cached for record in self.records)
        lines = [
            f"{self.id}: {self.status} after {_span(self.makespan_s)} for {self.usd:.4g} dollars.",
            f"Steps: {', '.join(f'{n} {_was(str(status))}' for status, n in counts.items())}; {hits} cache hits.",
        ]
        lines += [f"  {r.path} {_was(r.status)}: {r.reason}" for r in self.records if r.status == "Failed"]
        assumed = self.assumptions
        if len(assumed):
            lines.append(f"Assumed ({len(assumed)}):")
            lines += [f"  {row.parameter}: {row.value} ({row.source})" for row in assumed.itertuples()]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<Execution {self.id}: {self.status}, {_span(self.makespan_s)}, {self.usd:.4g} dollars>"


def _answered(step: PipelineStep) -> bool:
    """Whether somebody's answer ends the step, and not a duration."""
    return isinstance(step, ApprovalStep) or (isinstance(step, CallbackStep) and step.wait_for_answer)


def _makespan(trials: Sequence[tuple[float, float]], at_once: int) -> float:
    """Seconds until all trials are over, so many at once, each taken by whoever is free first."""
    free = [0.0] * at_once
    for launch, run in trials:
        heapq.heapreplace(free, free[0] + launch + run)
    return max(free)


def _durations(value: Any) -> DurationModel:
    if value is None:
        return DurationModel()
    return value if isinstance(value, DurationModel) else DurationModel(steps=value)


def _parameters(pipeline: Pipeline, given: Mapping[str, Any]) -> dict[str, Any]:
    """The values of the pipeline's parameters.

    Raises
    ------
    ParameterError
        If one is unknown, of a wrong type, not among its values, or missing.
    """
    known = {parameter.name: parameter for parameter in pipeline.parameters}
    for name, value in given.items():
        if name not in known:
            hint = nearest(name, known) if known else "it has none."
            raise ParameterError(f"run: {pipeline.name} has no parameter {name!r}; {hint}")
        if problem := known[name].problem(value):
            raise ParameterError(f"run: parameter {name!r}: {problem}")
    for name, parameter in known.items():
        if parameter.default is None and name not in given:
            raise ParameterError(f"run: parameter {name!r} has no default; give parameters={{{name!r}: …}}.")
    return {name: given.get(name, parameter.default) for name, parameter in known.items()}


def _outputs(found: Any) -> Mapping[str, Any]:
    return found if isinstance(found, Mapping) else {} if found is None else {"output": found, "model": found}


def _named(made: Mapping[str, Any], path: str) -> Any:
    """The output that *path* means, by its last word that names one."""
    if path.startswith("PropertyFiles."):
        inside = path.removeprefix("PropertyFiles.")
        found = at_path(made, inside)
        return found if found is not UNKNOWN else at_path(made, inside.partition(".")[2])
    words = re.findall(r"[^.\[\]'\"]+", path)
    words += ["model"] * ("S3ModelArtifacts" in words)
    return next((made[word] for word in reversed(words) if word in made), UNKNOWN)


def _was(status: str) -> str:
    return {"NotStarted": "not started", "Waiting": "waiting"}.get(status, status.lower())


def _span(seconds: float) -> str:
    for size, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.4g} {unit}"
    return f"{seconds:.4g} s"
