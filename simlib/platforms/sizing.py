"""One model on three platforms: on comparable machines, each with its own autoscaler, limits and time-outs.

What the three have in common is set alike, so that nothing is won by a default: requests are spread by the fewest
outstanding, instances take as long to come, and a worker is a vCPU (or the GPU) that the platform leaves to the model.
"""

import functools
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from simlib.model import ModelProfile
from simlib.platforms.fields import PLATFORMS, Platform, read_table
from simlib.platforms.quota import instances_needed
from simlib.serving import RealTime, ReplicaTracking, Rule, RuleScaling, TargetTracking

Hardware = Literal["2 vCPUs", "4 vCPUs", "8 vCPUs", "T4 GPU"]

KEPT_BACK: Mapping[Platform, int] = {"sagemaker": 0, "vertex": 1, "azureml": 0}
"""vCPUs of a machine that the platform keeps for itself: about one of a replica on Vertex AI (Vertex AI docs, V); of
the other two nothing is known (assumption: none)."""

TIMEOUT_S: Mapping[Platform, float] = {"sagemaker": 60.0, "vertex": 600.0, "azureml": 5.0}
"""How long a caller waits: 60 s on SageMaker, 600 s on dedicated endpoints of Vertex AI, 5 s on Azure ML unless told
otherwise (V)."""


class Machine(NamedTuple):
    """A machine of a hardware class on one platform, and the requests it works on at once."""

    name: str
    workers: int


@functools.cache
def machines(hardware: Hardware) -> dict[Platform, Machine]:
    """The machine of that class on each platform (`data/machines.csv`)."""
    table = read_table("machines.csv")
    found: dict[Platform, Machine] = {}
    for row in table[table["hardware"] == hardware].to_dict("records"):
        cores = max(1, int(row["vcpus"]) - KEPT_BACK[row["platform"]])
        found[row["platform"]] = Machine(row["machine"], 1 if row["accelerator"] else cores)
    return {platform: found[platform] for platform in PLATFORMS}


def sized(
    platform: Platform, model: ModelProfile, machine: Machine, *, utilization: float, most: int, first: int
) -> RealTime:
    """The model on one platform, scaled by its own engine so that workers are busy for *utilization* of the time.

    SageMaker tracks invocations per instance and minute: utilization * workers / mean service time * 60.  Vertex AI
    tracks utilization itself.  Azure Monitor has no target but rules: half as many instances more above it (mean of
    the last five minutes), one less below half of it (assumption: its guide gives an example, not a recommendation).
    """
    scaling: TargetTracking | ReplicaTracking | RuleScaling
    more: dict[str, Any] = {}
    if platform == "sagemaker":
        scaling = TargetTracking(60 * utilization * machine.workers / model.service.mean, max_capacity=most)
    elif platform == "vertex":
        scaling, more = ReplicaTracking(100 * utilization, max_capacity=most), {"refusal": 429}
    else:
        rules = (
            Rule("WorkerUtilization", ">", 100 * utilization, change=50, type="PercentChangeCount"),
            Rule("WorkerUtilization", "<", 50 * utilization, change=-1),
        )
        # as many wait as are worked on: 2 * concurrency * instances in all
        scaling, more = RuleScaling(rules, max_capacity=most), {"refusal": 429, "queue_limit": machine.workers}
    return RealTime(
        model,
        instance_type=machine.name,
        initial_instance_count=first,
        workers=machine.workers,
        routing="LEAST_OUTSTANDING_REQUESTS",
        invocation_timeout_s=TIMEOUT_S[platform],
        scaling=scaling,
        **more,
    )


def enough(rate: float, model: ModelProfile, machine: Machine, utilization: float, most: int) -> int:
    """Instances that keep workers busy for *utilization* of the time at *rate* requests/s, and one at least."""
    if rate <= 0:
        return 1
    seconds, concurrency = model.service.mean, machine.workers
    return min(most, instances_needed(rate=rate, seconds=seconds, utilization=utilization, concurrency=concurrency))
