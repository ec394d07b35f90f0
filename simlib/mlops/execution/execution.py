"""One execution of a pipeline: it begins with the steps that need nothing, and ends when every step is over."""

import math
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

import pandas as pd
import simpy

from simlib import pricing
from simlib.mlops.cache import StepCache, cache_of
from simlib.mlops.execution.dispatcher import Dispatcher
from simlib.mlops.execution.effects import condition_holds
from simlib.mlops.execution.groups import passes_through
from simlib.mlops.execution.life import live
from simlib.mlops.execution.options import check_names, durations_of, parameters_of, selection
from simlib.mlops.execution.report import critical_path_of, gantt_of, report_of, span
from simlib.mlops.execution.scopes import Attempt, Record, Scope, Story, was
from simlib.mlops.pipeline import Pipeline
from simlib.mlops.quota import Quota
from simlib.mlops.registry import Registry
from simlib.mlops.retries import OnFailure
from simlib.mlops.steps import FailStep, GroupStep
from simlib.parameters import Count, ParameterError, Text, checked, nearest
from simlib.plots.style import Words
from simlib.simulation import Simulation

_OVER = ("Succeeded", "Failed", "Stopped", "Skipped", "NotStarted")


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
        self.durations = durations_of(durations)
        self.quota = quota if isinstance(quota, Quota) else Quota(quota or {})
        self.outcomes = dict(outcomes or {})
        self.cache = cache if cache is not None else cache_of(sim)
        self.registry = registry
        self.on_failure = on_failure or pipeline.on_failure
        self.parameters = parameters_of(pipeline, parameters or {})
        self.number = self.cache.number(pipeline.name)
        self.id = f"{pipeline.name}-{self.number}"
        self.status = "Executing"
        self.start_s = self.env.now
        self.end_s = math.nan
        self.records: list[Record] = []
        self.attempt_rows: list[Attempt] = []
        self.meters: dict[tuple[str, str], float] = {}
        self.assumed: dict[str, tuple[str, str, str]] = {}
        self.tokens: dict[str, simpy.Event] = {}
        self._orders = count()
        self.last_ended: Record | None = None
        self.failing = False
        self.stopping = False
        check_names(self)
        self.selected, self.reuse = selection(self, only, reuse)
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
        elif record.path in self.reuse:
            self._take_over(record)
        elif isinstance(record.step, GroupStep):
            record.process = self.env.process(passes_through(self, record))
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
                    return f"needs {name}, which {was(each.status)}"
        if self.selected is not None and record.path not in self.selected | self.reuse.keys():
            return "not selected"
        if self.gives_up(record):
            return self.why_nothing_starts
        if record.step.condition is not None and not condition_holds(self, record, record.step.condition):
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
        if record.ready_s < self.env.now and self.last_ended is not None and self.last_ended.end_s == self.env.now:
            record.before = self.last_ended
        record.process = self.env.process(live(self, record))

    def end(self, record: Record) -> None:
        """*record* is over: note it, give its place back, and let those that waited be decided."""
        record.end_s = self.env.now
        self.last_ended = record
        how = f"{record.status}{', from the cache' * record.cached}{': ' * bool(record.reason)}{record.reason}"
        self.tell("step ended", record, how)
        if record.status == "Failed" and (self.on_failure != "continue" or isinstance(record.step, FailStep)):
            self._fail()
        self.dispatcher.release(record)
        record.scope.settle(record)

    def _fail(self) -> None:
        self.failing = True
        if self.on_failure == "stop":
            self._interrupt_all()

    def _take_over(self, record: Record) -> None:
        """Take what an earlier execution made of this step."""
        earlier = self.reuse[record.path]
        record.status, record.reused, record.end_s = "Succeeded", True, self.env.now
        record.made, record.origin, record.arguments = earlier.made, earlier.origin, earlier.arguments
        record.taken = earlier.taken

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
            waiting = ", ".join(self.tokens) or "; ".join(
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
        if step not in self.tokens:
            waiting = nearest(step, self.tokens) if self.tokens else "nobody waits now."
            raise ParameterError(f"send: {step!r} does not wait for an answer; {waiting}")
        return self.tokens[step]

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

    def record_of(self, name: str) -> Record:
        """What is known of the step called *name*."""
        return next(record for record in self.records if record.path == name)

    def tell(self, kind: str, record: Record, detail: str) -> None:
        """Write into the simulation's log what happened to *record*'s step."""
        self.sim.tell(kind, f"{self.pipeline.name}/{record.path}", detail)

    def assume(self, what: str, value: Any, mark: str, source: str) -> None:
        """Note that *what* was not said and is taken as *value*; the first time counts."""
        self.assumed.setdefault(what, (str(value), mark, source))

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
        return pd.DataFrame(self.attempt_rows, columns=Attempt._fields)

    @property
    def invoice(self) -> pd.DataFrame:
        """The bill: a line for each kind of job and instance type; `attrs["total"]`."""
        meters = [
            pricing.job_hours(job, instance_type, seconds / 3600, item=f"{instance_type} {job}")
            for (job, instance_type), seconds in self.meters.items()
            if f"price of {instance_type}" not in self.assumed
        ]
        return pricing.invoice(meters, region=self.sim.region)

    @property
    def assumptions(self) -> pd.DataFrame:
        """What was not said and had to be assumed: parameter value mark source."""
        notes = [("the file", note, "U", "reader") for note in self.pipeline.notes]
        rows = [*notes, *((what, *rest) for what, rest in self.assumed.items())]
        return pd.DataFrame(rows, columns=["parameter", "value", "mark", "source"])

    @property
    def critical_path(self) -> tuple[str, ...]:
        """The chain of steps that made it take as long as it did: each began when the one before it ended."""
        return critical_path_of(self)

    def gantt(self, *, at_most: int = 40, title: str = "") -> Words:
        """When each step ran: the critical path, cache hits and failed attempts stand out."""
        return gantt_of(self, at_most=at_most, title=title)

    def report(self) -> str:
        """The execution in words: how it ended, what it took and cost, and what was assumed."""
        return report_of(self)

    def __repr__(self) -> str:
        return f"<Execution {self.id}: {self.status}, {span(self.makespan_s)}, {self.usd:.4g} dollars>"
