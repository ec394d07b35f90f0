"""A monitor on the simulated clock: it wakes by its schedule, compares what was captured, publishes, alarms, and costs.

    >>> import simlib as sl
    >>> from simlib import monitoring, serving, workload
    >>> stream = monitoring.Stream(monitoring.LoanBook(), [monitoring.DataDrift("income", shift=1.0, at_day=0.5)])
    >>> baseline = monitoring.Baseline.fit(stream.sample(5_000, days=0.5, seed=1)[list(stream.inputs)])
    >>> sim = sl.Simulation(seed=7)
    >>> model = sl.ModelProfile("lender", service=sl.constant(0.02))
    >>> deployment = serving.RealTime(model, data_capture=monitoring.Capture(50))
    >>> endpoint = sim.deploy(deployment, workload.poisson(rate=1), rows=stream)
    >>> monitor = monitoring.ModelMonitor(endpoint, baseline, every_hours=6)
    >>> sim.run(days=1.1)
    >>> monitor.executions["status"].tolist()
    ['Completed', 'Completed', 'CompletedWithViolations', 'CompletedWithViolations']

What is compared depends on the baseline: data quality (`Baseline`), model quality, bias, or attributions.  A monitor
that needs labels runs a merge job first, on the labels that have come by then.
"""

import math
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol, runtime_checkable

import pandas as pd
import simpy
from pydantic import Field, PlainValidator, SkipValidation

from simlib import pricing
from simlib.model import Law, lognormal
from simlib.monitoring.comparison import Findings, Violation, used_columns
from simlib.parameters import (
    Count,
    NonNegative,
    ParameterError,
    Positive,
    Real,
    Text,
    checked,
    config,
    shortly,
)
from simlib.serving.capture import Keeps
from simlib.turns import ALARM, SCHEDULE, pause

Story = Generator[simpy.Event, Any, None]
Hours = Annotated[int, Field(strict=True, ge=1, le=24)]
JOB = lognormal(mean=346.0, cv=0.1)
START_JITTER_S = 1200.0
LARGEST = 2.348543e108
"""What CloudWatch gets for ∞ (SageMaker developer guide, bias metrics)."""


@runtime_checkable
class Watched(Protocol):
    """What a monitor compares with: a baseline of any kind."""

    kind: str
    needs_labels: bool

    def needed(self, inputs: Sequence[str], outputs: Sequence[str], label: str | None) -> list[str]:
        """The columns of the captured rows to compare."""
        ...

    def compare(self, frame: pd.DataFrame) -> Findings: ...


@config
class Alarm:
    """A CloudWatch alarm on one of the monitor's metrics.

    Parameters
    ----------
    metric : str
        Its name, "feature_baseline_drift_income" for instance, or "violations", their number.
    threshold : float
        In the metric's own unit.
    comparison : "GreaterThanThreshold" | "LessThanThreshold"
    datapoints_to_alarm, evaluation_periods : int
        So many of the last so many values have to be beyond the threshold (M of N).  An execution that failed gives no
        value; the ones before it still count.
    """

    metric: Text
    threshold: Real
    comparison: Literal["GreaterThanThreshold", "LessThanThreshold"] = "GreaterThanThreshold"
    datapoints_to_alarm: Count = 1
    evaluation_periods: Count = 1

    def __post_init__(self) -> None:
        if self.datapoints_to_alarm > self.evaluation_periods:
            raise ValueError(
                f"datapoints_to_alarm={self.datapoints_to_alarm} is not possible: it should be at most "
                f"evaluation_periods={self.evaluation_periods}."
            )

    def beyond(self, values: Sequence[float]) -> bool:
        """Whether the alarm rings, given the metric's values so far."""
        sign = 1 if self.comparison == "GreaterThanThreshold" else -1
        last = values[-self.evaluation_periods :]
        return sum(sign * (value - self.threshold) > 0 for value in last) >= self.datapoints_to_alarm


def _endpoint(value: object) -> object:
    if not isinstance(getattr(value, "capture", None), Keeps):
        raise ValueError("endpoint captures nothing: deploy it with data_capture=Capture(20) and rows=Stream(…).")
    return value


def _baseline(value: object) -> object:
    if isinstance(value, type) or not isinstance(value, Watched):
        raise ValueError(f"baseline={shortly(value)} is not a baseline; write for instance Baseline.fit(frame).")
    return value


class ModelMonitor:
    """A monitoring schedule on an endpoint.  It begins when it is made, and runs as long as the clock does.

    Parameters
    ----------
    endpoint : Endpoint
        What `Simulation.deploy` returned; it has to capture (`data_capture=`) and its requests to carry `rows`.
    baseline : Baseline, QualityBaseline, BiasBaseline or AttributionBaseline
        What to compare with, and by which rules.
    every_hours : int
        Hours between two executions, 1 to 24, counted from the monitor's start (`ScheduleExpression`).
    window_hours : float or None
        How much captured time an execution looks at; None: since the one before.
    delay_hours : float
        How long before the execution its window ends: the time labels are given to come (`EndTimeOffset`).
    start_jitter_s : float
        An execution starts up to so much after its schedule [s]; 20 minutes on SageMaker.
    job_s : Law
        How long a job takes, whatever the data [s].  Assumption: one measured baseline job took 346 billed seconds.
    s_per_1000_rows : float
        And for each thousand rows [s].  Assumption.
    instance_type : str
        Machine of the processing jobs; decides the price.
    alarms : sequence of Alarm
        Evaluated whenever an execution has published its metrics.
    on_alarm : function or None
        Called with the alarm when it begins to ring.
    name : str

    Raises
    ------
    ParameterError
        If the endpoint captures nothing, the baseline needs columns or labels that its rows do not have, or the
        machine is not on offer.
    """

    @checked
    def __init__(
        self,
        endpoint: Annotated[Any, PlainValidator(_endpoint)],
        baseline: Annotated[Any, PlainValidator(_baseline)],
        *,
        every_hours: Hours = 1,
        window_hours: Positive | None = None,
        delay_hours: NonNegative = 0.0,
        start_jitter_s: Annotated[NonNegative, Field(le=3600)] = START_JITTER_S,
        job_s: Law = JOB,
        s_per_1000_rows: NonNegative = 1.0,
        instance_type: Text = "ml.m5.xlarge",
        alarms: Sequence[Alarm] = (),
        on_alarm: SkipValidation[Callable[[Alarm], object] | None] = None,
        name: Text = "monitor",
    ) -> None:
        self.endpoint, self.baseline, self.name = endpoint, baseline, name
        self.sim = endpoint.sim
        self.every_hours = every_hours
        self.window_s = 3600.0 * (every_hours if window_hours is None else window_hours)
        self.delay_s = 3600.0 * delay_hours
        self.start_jitter_s, self.job_s, self.s_per_1000_rows = start_jitter_s, job_s, s_per_1000_rows
        self.instance_type, self.alarms, self.on_alarm = instance_type, tuple(alarms), on_alarm
        carried = endpoint.capture.carried
        self._label = getattr(carried, "label", None)
        if baseline.needs_labels and self._label is None:
            raise ParameterError(f"ModelMonitor: a {baseline.kind} monitor needs labels, and the rows have none.")
        self._columns = baseline.needed(carried.inputs, carried.outputs, self._label)
        self._check_price()
        self._chance = self.sim.rng(endpoint.workload.name, "monitor", name)
        self._began_s = self.sim.env.now
        self._executions: list[dict[str, Any]] = []
        self._violations: list[dict[str, Any]] = []
        self._metrics: list[tuple[float, str, float]] = []
        self._series: dict[str, list[float]] = {}
        self._ringing: dict[int, bool] = {k: False for k in range(len(alarms))}
        self._alarm_log: list[tuple[float, str, str]] = []
        self._worked_s: list[float] = []
        self.last: Findings | None = None
        endpoint.companions.append(self)
        self.sim.env.process(self._keep_schedule())

    def __repr__(self) -> str:
        runs = self.executions["status"].value_counts().to_dict()
        return f"<ModelMonitor {self.name!r} of {self.endpoint.name}, {self.baseline.kind}: {runs or 'not run yet'}>"

    def _check_price(self) -> None:
        day = pricing.priced_on(self.sim.started_at.date())
        try:
            pricing.price("sagemaker_processing", self.instance_type, region=self.sim.region, as_of=day)
        except ParameterError as error:
            reason = str(error).removeprefix("price: ")
            raise ParameterError(f"ModelMonitor: instance_type={self.instance_type!r}: {reason}") from None

    @checked
    def compare_with(self, baseline: Annotated[Any, PlainValidator(_baseline)]) -> None:
        """From now on compare with another baseline, as when another version goes live; its alarms begin anew.

        Raises
        ------
        ParameterError
            If it is of another kind than the one before.
        """
        if baseline.kind != self.baseline.kind:
            raise ParameterError(
                f"compare_with: baseline is for {baseline.kind}, and should be for {self.baseline.kind} as before."
            )
        self.baseline, self._series = baseline, {}
        for k, alarm in enumerate(self.alarms):
            if self._ringing[k]:
                self._ring(k, alarm, False)

    # --- the story ---

    def _keep_schedule(self) -> Story:
        while True:
            yield pause(self.sim.env, 3600.0 * self.every_hours, SCHEDULE)
            self.sim.env.process(self._execute(self.sim.env.now))

    def _execute(self, scheduled_s: float) -> Story:
        yield self.sim.env.timeout(self.start_jitter_s * float(self._chance.random()))
        started_s = self.sim.env.now
        end = scheduled_s - self.delay_s
        rows = self._window(max(0.0, end - self.window_s), end)
        run = {"scheduled_s": scheduled_s, "started_s": started_s, "from_s": end - self.window_s, "to_s": end}
        if not len(rows):
            missing = "labelled rows" if self.baseline.needs_labels else "data"
            self._executions.append(run | self._ended("Failed", 0, 0, f"Job inputs had no {missing} in the window."))
            return
        for _ in range(2 if self.baseline.needs_labels else 1):  # the merge job, and the comparison
            length = float(self.job_s.sample(1, self._chance)[0]) + self.s_per_1000_rows * len(rows) / 1000
            self._worked_s.append(length)
            yield self.sim.env.timeout(length)
        try:
            found: Findings = self.baseline.compare(rows)
        except ParameterError as error:
            self._executions.append(run | self._ended("Failed", len(rows), 0, str(error)))
            return
        self.last = found
        status = "CompletedWithViolations" if found else "Completed"
        self._executions.append(run | self._ended(status, len(rows), len(found.violations), ""))
        for each in found.violations:
            self._violations.append({"time_s": self.sim.env.now, "to_s": end, **each.as_file()})
        if found:
            self.sim.tell("violations", self._subject, f"{len(found.violations)} in {len(rows):,} rows")
        yield pause(self.sim.env, 0.0, ALARM)
        self._publish(found)

    def _window(self, begin_s: float, end_s: float) -> pd.DataFrame:
        """The captured rows to compare; of those that need labels, the ones whose label has come."""
        if end_s <= 0:
            return pd.DataFrame(columns=self._columns)
        rows = self.endpoint.capture.frame(begin_s, end_s)
        if self.baseline.needs_labels:
            rows = rows[rows["label_s"] <= self.sim.env.now]
        found: pd.DataFrame = rows[self._columns]
        return found

    def _ended(self, status: str, rows: int, violations: int, reason: str) -> dict[str, Any]:
        return {
            "ended_s": self.sim.env.now,
            "status": status,
            "rows": rows,
            "violations": violations,
            "failure_reason": reason,
        }

    @property
    def _subject(self) -> str:
        return f"{self.endpoint.name}/{self.name}"

    def _publish(self, found: Findings) -> None:
        """Send the metrics, then let each alarm look at its own."""
        for metric, value in {**found.metrics, "violations": float(len(found.violations))}.items():
            if not math.isnan(value):  # what is not known is not sent
                sent = math.copysign(LARGEST, value) if math.isinf(value) else value
                self._metrics.append((self.sim.env.now, metric, sent))
                self._series.setdefault(metric, []).append(sent)
        for k, alarm in enumerate(self.alarms):
            rings = alarm.beyond(self._series.get(alarm.metric, []))
            if rings != self._ringing[k]:
                self._ring(k, alarm, rings)

    def _ring(self, k: int, alarm: Alarm, rings: bool) -> None:
        self._ringing[k] = rings
        state = "ALARM" if rings else "OK"
        self._alarm_log.append((self.sim.env.now, alarm.metric, state))
        self.sim.tell("alarm", self._subject, f"{alarm.metric}: {state}")
        if rings and self.on_alarm is not None:
            self.on_alarm(alarm)

    # --- what came of it ---

    @property
    def ringing(self) -> bool:
        """Whether any of its alarms is on now."""
        return any(self._ringing.values())

    @property
    def executions(self) -> pd.DataFrame:
        """One row an execution: scheduled_s started_s from_s to_s (its window) ended_s status rows violations
        failure_reason."""
        columns = ["scheduled_s", "started_s", "from_s", "to_s", "ended_s", "status", "rows", "violations"]
        return pd.DataFrame(self._executions, columns=[*columns, "failure_reason"])

    @property
    def violations(self) -> pd.DataFrame:
        """One row a violation: time_s (when it was found), to_s (the end of its window), and the fields of its file."""
        columns = ["time_s", "to_s", *Violation._fields]
        return used_columns(pd.DataFrame(self._violations, columns=columns))

    @property
    def metrics(self) -> pd.DataFrame:
        """What was published: time_s metric value."""
        return pd.DataFrame(self._metrics, columns=["time_s", "metric", "value"])

    @property
    def alarm_log(self) -> pd.DataFrame:
        """When an alarm changed its state: time_s metric state."""
        return pd.DataFrame(self._alarm_log, columns=["time_s", "metric", "state"])

    def meters(self) -> Iterator[pricing.Meter]:
        """What the endpoint's bill shows of the monitor: its jobs, and its alarms."""
        hours = pricing.billed_seconds(self._worked_s, "sagemaker_processing") / 3600
        yield pricing.job_hours("processing", self.instance_type, hours, item=f"{self.name}: processing jobs")
        if self.alarms:
            lived = (self.sim.env.now - self._began_s) / 3600
            yield pricing.cloudwatch_alarms(len(self.alarms), lived)

    @checked
    def save_report(self, path: Path) -> Path:
        """Write the report for people, one HTML page without script: which feature, how far, since when, what it may
        mean.  Returns its path."""
        from simlib.monitoring.report import page

        path.write_text(page(self), encoding="utf-8")
        return path
