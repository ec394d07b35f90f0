"""What SageMaker would refuse about an update: the limits of its deployment guardrails."""

from collections.abc import Iterator
from typing import NamedTuple

from simlib.serving.rollout import AllAtOnce, Canary, Linear, Rolling, Rollout

KINDS = (AllAtOnce, Canary, Linear, Rolling)
SOURCE = "SageMaker developer guide, deployment guardrails; API reference, DeploymentConfig"


class Bound(NamedTuple):
    """From *low* to *high*, for a parameter and the platform's field."""

    parameter: str
    field: str
    low: float
    high: float
    unit: str


BOUNDS = (
    Bound("size_percent", "CanarySize", 0, 50, "%"),
    Bound("step_percent", "LinearStepSize", 10, 50, "%"),
    Bound("batch_percent", "MaximumBatchSize", 5, 50, "%"),
    Bound("bake_s", "WaitIntervalInSeconds", 0, 3600, "s"),
    Bound("termination_wait_s", "TerminationWaitInSeconds", 0, 3600, "s"),
    Bound("maximum_execution_timeout_s", "MaximumExecutionTimeoutInSeconds", 600, 28_800, "s"),
)
MOST_ALARMS = 10


def refused(rollout: Rollout) -> Iterator[tuple[str, str, object, str, str, str]]:
    """(parameter, field, value, sentence, mark, source) of each limit that a rollout breaks."""
    for bound in BOUNDS:
        value = getattr(rollout, bound.parameter, None)
        if value is not None and not bound.low <= value <= bound.high:
            words = (
                f"{bound.field} – {value:g} {bound.unit} is not within {bound.low:g} to {bound.high:g} {bound.unit}."
            )
            yield bound.parameter, bound.field, value, words, "V", SOURCE
    if len(rollout.alarms) > MOST_ALARMS:
        words = f"Alarms – {len(rollout.alarms)} alarms are more than {MOST_ALARMS}."
        yield "alarms", "AutoRollbackConfiguration.Alarms", len(rollout.alarms), words, "V", SOURCE
