"""The life of one step, from its place to its end: attempts, what may befall them, and who is asked."""

import heapq
import math
import re
from collections.abc import Callable, Generator, Sequence
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np
import simpy

from simlib.mlops import retries
from simlib.mlops.cache import Earlier, key_of
from simlib.mlops.durations import NOTHING
from simlib.mlops.execution.costs import at_once, instance_type_of, note_attempt, number_of
from simlib.mlops.execution.effects import take_effect
from simlib.mlops.execution.scopes import Record, Story
from simlib.mlops.steps import ApprovalStep, CallbackStep, FailStep, PipelineStep, TuningStep
from simlib.model import Constant, Law

if TYPE_CHECKING:
    from simlib.mlops.execution.execution import Execution


def live(execution: "Execution", record: Record) -> Story:
    """The life of a step from its place to its end."""
    record.start_s, record.status = execution.env.now, "Executing"
    try:
        record.arguments = record.scope.fill(record.step.full_arguments)
        key = _key(execution, record)
        if key and (earlier := execution.cache.find(key, record.step.cache, execution.sim.date())):  # type: ignore[arg-type]
            record.cached, record.origin, record.made = True, earlier.execution, earlier.made
            record.arguments = earlier.arguments
            record.status = "Succeeded"
        else:
            record.origin = execution.id
            yield from _try(execution, record)
            if key and record.status == "Succeeded":
                execution.cache.keep(key, Earlier(execution.sim.date(), execution.id, record.made, record.arguments))
    except simpy.Interrupt:
        record.status, record.reason = "Stopped", "the execution was stopped"
    execution.end(record)


def _try(execution: "Execution", record: Record) -> Story:
    """Attempt after attempt, until one succeeds or nobody tries again."""
    for number in count(1):
        record.attempts = number
        exception = yield from _attempt(execution, record, number)
        if not exception:
            record.status = "Succeeded"
            return
        wait = _wait_s(execution, record, exception, number)
        if wait is None:
            record.status, record.reason = "Failed", record.reason or exception
            return
        execution.tell("step retried", record, f"{exception}, again in {wait:g} s")
        yield execution.env.timeout(wait)


def _wait_s(execution: "Execution", record: Record, exception: str, number: int) -> float | None:
    """Seconds until the next attempt by the first policy that covers *exception*; the service's own comes last."""
    if isinstance(record.step, FailStep):
        return None
    policies = record.step.retries
    if not any({exception, "*"} & set(policy.exceptions) for policy in policies):
        policies = (*policies, retries.SERVICE_RETRIES)
    waits = [policy.wait_s(exception, number, execution.env.now - record.start_s) for policy in policies]
    return next((wait for wait in waits if wait is not None), None)


def _attempt(execution: "Execution", record: Record, number: int) -> Generator[simpy.Event, Any, str]:
    """One attempt; returns the exception it ended with, or nothing."""
    step, begin = record.step, execution.env.now
    draw = _draw(execution, record, number, "duration")
    launch_s, trials = _times(execution, record, draw)
    busy_s = _makespan(trials, at_once(execution, record))
    longest_s = max(work for _, work in trials) if isinstance(step, TuningStep) else busy_s
    exception, share = _fate(execution, record, number, longest_s)
    running = begin + launch_s
    try:
        if launch_s:
            yield execution.env.timeout(launch_s)
        running = execution.env.now
        if isinstance(step, CallbackStep) and step.wait_for_answer:
            exception = yield from _answer(execution, record)
        elif isinstance(step, ApprovalStep) and not execution.durations.is_said(step):
            exception = yield from _ask(execution, record, draw)
        else:
            yield execution.env.timeout(busy_s * share)
        exception = exception or take_effect(execution, record)
    except simpy.Interrupt:
        busy = min(1.0, (execution.env.now - running) / busy_s) if busy_s else 0.0
        note_attempt(execution, record, number, begin, running, "Stopped", "", [run * busy for _, run in trials])
        raise
    status = "Failed" if exception else "Succeeded"
    note_attempt(execution, record, number, begin, running, status, exception, [run * share for _, run in trials])
    return exception


def _times(
    execution: "Execution", record: Record, draw: Callable[[Law], float]
) -> tuple[float, list[tuple[float, float]]]:
    """Seconds before anything runs; and for each trial (one, but in a tuning) its launch and its running time."""
    step, model = record.step, execution.durations
    before = draw(step.start_up) if step.start_up is not None else 0.0
    law = model.says(step)
    if not model.is_said(step) and law != NOTHING and not _answered(step):
        execution.assume(f"duration of {record.path}", law, "U", "duration model")
    instance_type = instance_type_of(record)
    speed = 1.0 if model.is_said(step) else model.speed_of(instance_type)
    trials = []
    for _ in range(number_of(execution, record, step.max_trials) if isinstance(step, TuningStep) else 1):
        work = draw(law) / speed
        if model.starts_machines(step):
            execution.assume("launch of machines", model.launch, "U", "duration model")
            execution.assume("loading image and data", model.load, "U", "duration model")
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


def _fate(execution: "Execution", record: Record, number: int, longest_s: float) -> tuple[str, float]:
    """The exception this attempt will end with, or nothing, and the share of its time it takes until then.

    A limit holds for *longest_s*: the attempt, or the longest of a tuning's trials.
    """
    step = record.step
    if isinstance(step, FailStep):
        return str(record.scope.fill(step.message)) or "FailStep", 1.0
    exception, share = "", 1.0
    if step.failures:
        luck = _luck(execution, record, number, "failure").random()
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


def _ask(execution: "Execution", record: Record, draw: Callable[[Law], float]) -> Generator[simpy.Event, Any, str]:
    """Ask the person, and wait for the answer."""
    step = record.step
    assert isinstance(step, ApprovalStep)
    execution.assume(f"response of {step.person.name}", step.person.response, "U", "working time until an answer")
    answer = step.person.answers_at(execution.sim.date(), draw)
    wait = (answer - execution.sim.date()).total_seconds()
    if step.max_runtime_s is not None and wait > step.max_runtime_s:
        yield execution.env.timeout(step.max_runtime_s)
        return retries.TIMED_OUT
    yield execution.env.timeout(wait)
    yes = _luck(execution, record, record.attempts, "answer").random() < step.person.says_yes
    execution.tell("approved" if yes else "rejected", record, step.person.name)
    if step.register is not None and execution.registry is not None:
        name = str(execution.record_of(step.register).made["ModelPackageArn"])  # type: ignore[index]
        group, _, version = name.rpartition("/")
        decide = execution.registry.approve if yes else execution.registry.reject
        decide(group, int(version), by=step.person.name, comment=f"asked by {execution.id}", at=execution.sim.date())
    return "" if yes else f"{step.person.name} said no"


def _answer(execution: "Execution", record: Record) -> Generator[simpy.Event, Any, str]:
    """Wait for `send_success` or `send_failure`."""
    token = execution.tokens[record.path] = execution.env.event()
    patience = [execution.env.timeout(record.step.max_runtime_s)] if record.step.max_runtime_s else []
    yield execution.env.any_of([token, *patience])
    del execution.tokens[record.path]
    if not token.triggered:
        return retries.TIMED_OUT
    answer: Any = token.value
    ok, found = answer
    if ok:
        record.made = found
    return "" if ok else str(found)


def _key(execution: "Execution", record: Record) -> tuple[str, str, str] | None:
    """What an earlier run must share, or None where the step is not cached."""
    step = record.step
    if step.cache is None or not step.cache.enabled:
        return None
    key = key_of(step.type, {**step.more, **(record.arguments or {})})
    return None if key is None else (execution.pipeline.name, re.sub(r"\[\d+\]", "", record.path), key)


def _luck(execution: "Execution", record: Record, number: int, purpose: str) -> np.random.Generator:
    """The random stream of one attempt for one purpose."""
    return execution.sim.rng("pipeline", execution.id, record.path, str(number), purpose)


def _draw(execution: "Execution", record: Record, number: int, purpose: str) -> Callable[[Law], float]:
    """Draws from laws with the stream of this attempt, which is made only if something is random."""
    stream: list[np.random.Generator] = []

    def draw(law: Law) -> float:
        if isinstance(law, Constant):
            return law.value
        if not stream:
            stream.append(_luck(execution, record, number, purpose))
        return float(law.sample(1, stream[0])[0])

    return draw


def _answered(step: PipelineStep) -> bool:
    """Whether somebody's answer ends the step, and not a duration."""
    return isinstance(step, ApprovalStep) or (isinstance(step, CallbackStep) and step.wait_for_answer)


def _makespan(trials: Sequence[tuple[float, float]], at_once: int) -> float:
    """Seconds until all trials are over, so many at once, each taken by whoever is free first."""
    free = [0.0] * at_once
    for launch, run in trials:
        heapq.heapreplace(free, free[0] + launch + run)
    return max(free)
