"""How long steps take that do not say so: a model per type of step and type of machine, all of it assumption.

No definition of any platform holds a duration, so whoever reads real pipelines must assume them.  What was assumed is
listed in `Execution.assumptions`.
"""

import re
from collections.abc import Mapping
from dataclasses import field
from functools import lru_cache
from typing import Annotated, Any

from pydantic import BeforeValidator

from simlib.mlops.steps import PipelineStep, TuningStep
from simlib.model import Law, constant, lognormal
from simlib.parameters import NonNegative, Positive, Text, config

NOTHING = constant(0.0)

WORK: dict[str, Law] = {
    "Processing": lognormal(mean=300, cv=0.3),
    "Training": lognormal(mean=900, cv=0.3),
    "Tuning": lognormal(mean=900, cv=0.3),
    "Transform": lognormal(mean=600, cv=0.3),
    "QualityCheck": lognormal(mean=300, cv=0.3),
    "ClarifyCheck": lognormal(mean=300, cv=0.3),
    "AutoML": lognormal(mean=3600, cv=0.3),
    "EMR": lognormal(mean=900, cv=0.3),
    "EMRServerless": lognormal(mean=900, cv=0.3),
    "Condition": NOTHING,
    "Fail": NOTHING,
    "Group": NOTHING,
    "ForEach": NOTHING,
    "RegisterModel": lognormal(mean=3, cv=0.3),
    "Model": lognormal(mean=3, cv=0.3),
    "EndpointConfig": lognormal(mean=3, cv=0.3),
    "Endpoint": lognormal(mean=300, cv=0.3),
    "Lambda": lognormal(mean=3, cv=0.5),
    "Callback": lognormal(mean=600, cv=1.0),
    "Task": lognormal(mean=60, cv=0.5),
    "Job": lognormal(mean=600, cv=0.5),
}
"""Seconds of work on ml.m5.xlarge by type of step; every one an assumption."""

OTHER = lognormal(mean=300, cv=0.5)
_SIZES = {"medium": 0.5, "large": 0.5, "xlarge": 1.0}
_NEEDS_A_MACHINE = ("AutoML", "EMR", "EMRServerless", "Job")


def _laws(value: object) -> object:
    if not isinstance(value, Mapping):
        return value
    return {
        key: constant(float(each)) if isinstance(each, int | float) and not isinstance(each, bool) else each
        for key, each in value.items()
    }


Laws = Annotated[Mapping[Text, Law], BeforeValidator(_laws)]


@config
class DurationModel:
    """The durations of steps that have none of their own.

    Parameters
    ----------
    work : mapping
        Seconds of work on ml.m5.xlarge by type of step, instead of `WORK`.
    steps : mapping
        Seconds an attempt takes in all, by name of step: said for this run, and therefore no assumption of ours.
    launch : Law
        Until a job's machines are there [s]; not billed.  Assumption.
    load : Law
        Fetching image and data on them [s]; billed.  Assumption.
    speed : mapping
        How fast a machine is, by instance type; ml.m5.xlarge is 1.
    size_exponent : float
        Without an entry in `speed`, a machine n times as large as an xlarge is n to this power times as fast.
        Assumption.  Several instances in one job multiply the bill, not the speed (assumption).
    """

    work: Laws = field(default_factory=dict, kw_only=True)
    steps: Laws = field(default_factory=dict, kw_only=True)
    launch: Law = field(default=lognormal(mean=120, cv=0.3), kw_only=True)
    load: Law = field(default=lognormal(mean=60, cv=0.3), kw_only=True)
    speed: Mapping[Text, Positive] = field(default_factory=dict, kw_only=True)
    size_exponent: NonNegative = field(default=0.6, kw_only=True)

    def is_said(self, step: PipelineStep) -> bool:
        """Whether the step, or this run for it, says how long it takes."""
        return step.duration is not None or step.name in self.steps

    def says(self, step: PipelineStep) -> Law:
        """The law that was said, or the model's law of the work on ml.m5.xlarge."""
        said = self.steps.get(step.name, step.duration)
        return said if said is not None else self.work.get(step.type, WORK.get(step.type, OTHER))

    def starts_machines(self, step: PipelineStep) -> bool:
        """Whether launching and loading machines come before the work of this step."""
        return not self.is_said(step) and (step.job is not None or step.type in _NEEDS_A_MACHINE)

    def expected_s(self, step: PipelineStep) -> float:
        """Seconds that an attempt at *step* is expected to take, start-up included; all trials of a tuning."""
        seconds = self.says(step).mean
        if not self.is_said(step):
            seconds /= self.speed_of(getattr(step, "instance_type", None))
        if isinstance(step, TuningStep) and isinstance(step.max_trials, int):
            at_once = step.max_parallel_trials if isinstance(step.max_parallel_trials, int) else 1
            seconds *= -(-step.max_trials // at_once)
        if self.starts_machines(step):
            seconds += self.launch.mean + self.load.mean
        return seconds + (step.start_up.mean if step.start_up is not None else 0.0)

    def speed_of(self, instance_type: Any) -> float:
        """How fast that machine is, beside ml.m5.xlarge."""
        name = str(instance_type)
        return self.speed.get(name) or _size(name) ** self.size_exponent


@lru_cache(maxsize=1024)
def _size(instance_type: str) -> float:
    size = instance_type.rpartition(".")[2]
    several = re.fullmatch(r"(\d+)xlarge", size)
    return float(several[1]) if several else _SIZES.get(size, 1.0)
