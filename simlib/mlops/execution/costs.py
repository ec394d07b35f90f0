"""Machines that a step takes, and what each attempt costs."""

from typing import TYPE_CHECKING, Any

from simlib import pricing
from simlib.mlops.execution.scopes import Attempt, Record
from simlib.mlops.steps import JobStep, TuningStep
from simlib.parameters import ParameterError

if TYPE_CHECKING:
    from simlib.mlops.execution.execution import Execution


def machines(execution: "Execution", record: Record) -> tuple[str, int]:
    """The instance type a step needs, and how many at once."""
    step = record.step
    if not isinstance(step, JobStep) or step.job is None:
        return "", 0
    of_one_job = number_of(execution, record, step.instance_count)
    return instance_type_of(record), of_one_job * at_once(execution, record)


def instance_type_of(record: Record) -> str:
    """The instance type of a step's jobs, or nothing."""
    step = record.step
    return str(record.scope.fill(step.instance_type) or "") if isinstance(step, JobStep) else ""


def at_once(execution: "Execution", record: Record) -> int:
    """Jobs of a step that run at the same time: several in a tuning."""
    step = record.step
    if not isinstance(step, TuningStep):
        return 1
    return min(number_of(execution, record, step.max_parallel_trials), number_of(execution, record, step.max_trials))


def number_of(execution: "Execution", record: Record, value: Any) -> int:
    """A whole number, or what a reference to one stands for."""
    try:
        return max(1, int(record.scope.fill(value)))
    except (TypeError, ValueError):
        execution.assume(f"a number in {record.path}", 1, "U", f"{value} has no value here")
        return 1


def note_attempt(
    execution: "Execution",
    record: Record,
    number: int,
    begin: float,
    running: float,
    status: str,
    exception: str,
    runs: list[float],
) -> None:
    """Write the attempt down, and what it costs: each job's seconds rounded up, times its machines."""
    step = record.step
    instance_type, instances, billed_s, usd = "", 0, 0.0, 0.0
    if isinstance(step, JobStep) and step.job is not None:
        instance_type, instances = instance_type_of(record), number_of(execution, record, step.instance_count)
        service = f"sagemaker_{step.job}"
        billed_s = pricing.billed_seconds(runs, service) * instances
        usd = billed_s / 3600 * _usd_per_hour(execution, service, instance_type)
        if instance_type:
            meter = (step.job, instance_type)
            execution.meters[meter] = execution.meters.get(meter, 0.0) + billed_s
    record.usd += usd
    execution.attempt_rows.append(
        Attempt(
            record.path, number, begin, running, execution.env.now, status, exception, instance_type, instances,
            billed_s, usd,
        )
    )  # fmt: skip


def _usd_per_hour(execution: "Execution", service: str, instance_type: str) -> float:
    if not instance_type:
        return 0.0
    try:
        return pricing.price(service, instance_type, region=execution.sim.region).usd
    except ParameterError:
        words = f"no price for it in {execution.sim.region}: its jobs are not on the bill"
        execution.assume(f"price of {instance_type}", 0.0, "U", words)
        return 0.0
