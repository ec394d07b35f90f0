"""Asynchronous inference: a request is accepted at once and answered later, through a queue and files in S3."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from simlib.model import Law, ModelProfile, lognormal
from simlib.parameters import Count, Flag, NonNegative, Positive, Text, Whole, checked, config
from simlib.serving.fleet import InstanceLife
from simlib.serving.metrics import BACKLOG_METRICS, COMPONENT_METRICS, SERVERLESS_METRICS
from simlib.serving.scaling import (
    Scaling,
    Step,
    StepScaling,
    check_published,
    common_bounds,
    scaling_assumptions,
    watched,
)

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from simlib.record import Snapshot
    from simlib.serving.backlog import AsynchronousEndpoint
    from simlib.simulation import Simulation
    from simlib.workload import Workload

OnKill = Literal["requeue_front", "fail"]
Retries = Annotated[Whole, Field(le=100)]


@config
class Asynchronous:
    """An endpoint that accepts every request at once (202), queues it, and leaves the answer in S3.

    The input is in S3 already.  A request waits in one managed queue, first come, first served, until an instance has
    a free slot; there its input is fetched, the model works, and the result is written to S3.  Then success or error is
    told.  Nothing is refused; what waits too long expires.

    Parameters
    ----------
    model : ModelProfile
        Its service law is the time of the model alone.
    instance_type : str
        Machine of the price catalog.
    initial_instance_count : int
        Instances at the start, in service at once.
    max_concurrent_invocations_per_instance : int
        Slots of an instance: requests its model works on at once; 1 to 1000 on SageMaker, which chooses itself where
        nothing is given.
    request_ttl_s : float
        A request not started so long after its acceptance expires [s], with or without instances; 60 to 21600 on
        SageMaker (`RequestTTLSeconds`), there a field of each request.
    invocation_timeout_s : float
        A model that works longer is cut off with an error [s]; 1 to 3600 on SageMaker, and 900 unless asked otherwise
        (`InvocationTimeoutSeconds`).
    upload, download : Law
        Time to write the result to S3, and to fetch the input from it [s].  Assumption: small files, at the 100 to
        200 ms that are common for S3; give laws of your own for large ones.
    transfer_holds_slot : bool
        Whether fetching and writing keep the slot from the next request.  Assumption: they do not, and only add to a
        request's own time.
    notify : bool
        Whether success and error are published to SNS.
    max_retries : int
        How often the model is called again, at once and on the same slot, after it took too long.  The same input takes
        as long every time, and every call holds the instance.  Assumption: 0.  An attempt lost with its instance counts
        as one.
    on_kill : "requeue_front" | "fail"
        What becomes of work whose instance crashed or was taken away: back to the front of the queue, where the oldest
        stands first, or failed.  Assumption.
    scaling : BacklogTracking, StepScaling, ScheduledScaling, TargetTracking, or several of them
        How the number of instances follows the backlog; down to zero, where min_capacity=0.
    instance_life : InstanceLife
        How instances come and go.
    volume_size_in_gb : float
        Storage of each instance [GB].
    speed : float
        How much faster the hardware is than the one the model's service law was measured on.
    """

    model: ModelProfile
    instance_type: Text = field(default="ml.m5.large", kw_only=True)
    initial_instance_count: Whole = field(default=1, kw_only=True)
    max_concurrent_invocations_per_instance: Count = field(default=1, kw_only=True)
    request_ttl_s: Positive = field(default=21600.0, kw_only=True)
    invocation_timeout_s: Positive = field(default=900.0, kw_only=True)
    upload: Law = field(default=lognormal(mean=0.15, cv=0.5), kw_only=True)
    download: Law = field(default=lognormal(mean=0.15, cv=0.5), kw_only=True)
    transfer_holds_slot: Flag = field(default=False, kw_only=True)
    notify: Flag = field(default=True, kw_only=True)
    max_retries: Retries = field(default=0, kw_only=True)
    on_kill: OnKill = field(default="requeue_front", kw_only=True)
    scaling: Scaling | tuple[Scaling, ...] | None = field(default=None, kw_only=True)
    instance_life: InstanceLife = field(default=InstanceLife(), kw_only=True)
    volume_size_in_gb: NonNegative = field(default=30.0, kw_only=True)
    speed: Positive = field(default=1.0, kw_only=True)

    def __post_init__(self) -> None:
        common_bounds(self.policies)
        check_published(
            self.policies, "an asynchronous endpoint", "InvocationsPerInstance", *SERVERLESS_METRICS, *COMPONENT_METRICS
        )

    @property
    def policies(self) -> tuple[Scaling, ...]:
        """The scaling policies, none, one or several."""
        if self.scaling is None:
            return ()
        return self.scaling if isinstance(self.scaling, tuple) else (self.scaling,)

    @property
    def fleet(self) -> "Only":
        """Its one variant."""
        return Only(
            self.model, self.instance_type, self.initial_instance_count, self.max_concurrent_invocations_per_instance
        )

    def deploy(
        self, sim: "Simulation", workload: "Workload", name: str, *, log: bool, from_cold: bool
    ) -> "AsynchronousEndpoint":
        """The endpoint that `Simulation.deploy` asks for."""
        from simlib.serving.backlog import AsynchronousEndpoint  # here, because it loads the compiler

        return AsynchronousEndpoint(sim, self, workload, name, log=log, from_cold=from_cold)

    # --- what `Run` asks of a deployment of this kind ---

    def columns(self, snapshot: "Snapshot", frame: "pd.DataFrame", ends: "np.ndarray") -> "dict[str, np.ndarray]":
        """The columns of a run's timeline that only asynchronous endpoints have; *ends* of the periods [s]."""
        from simlib.serving import five_steps

        return five_steps.columns(snapshot, frame, ends)

    def story(self, snapshot: "Snapshot", request: int) -> "pd.DataFrame":
        """One request's five steps."""
        from simlib.serving import five_steps

        return five_steps.story(snapshot, request)

    def notifications(self, snapshot: "Snapshot") -> "pd.DataFrame":
        """The messages to SNS."""
        from simlib.serving import five_steps

        return five_steps.notifications(snapshot)

    def assumptions(self) -> Iterator[tuple[str, object, str, str]]:
        """(parameter, value, mark, source) of every value in use that the platform does not document."""
        yield "request overhead", "0 s", "U", "time to accept, to pass on and to notify is not modelled"
        yield "one request_ttl_s for all", self.request_ttl_s, "U", "simplified: on the platform each request's own"
        usual = Asynchronous(self.model)
        for name, source in _ASSUMPTIONS.items():
            if getattr(self, name) == getattr(usual, name):
                yield name, getattr(self, name), "U", source
        if any(metric in BACKLOG_METRICS for policy in self.policies for metric in watched(policy)):
            yield "backlog per instance at zero instances", "backlog / 1", "U", "undocumented"
            yield "backlog metrics", "as at the period's end", "U", "AWS averages samples within the period"
        yield from self.instance_life.assumptions()
        yield from scaling_assumptions(self.policies)


_S3 = "first byte of S3 in 100 to 200 ms (users' notes of AWS's guide); large files take longer"
_ASSUMPTIONS = {
    "upload": _S3,
    "download": _S3,
    "transfer_holds_slot": "undocumented",
    "max_retries": "undocumented",
    "on_kill": "undocumented",
}


@dataclass(frozen=True)
class Only:
    """An asynchronous endpoint has one variant."""

    model: ModelProfile
    instance_type: str
    initial_instance_count: int
    workers: int
    name: str = "AllTraffic"


@checked
def wake_from_zero(*, max_capacity: Count, min_capacity: Whole = 0) -> StepScaling:
    """The policy that starts one instance where requests wait and there is none.

    One more while HasBacklogWithoutCapacity is 1 for two minutes, with a cooldown of 300 s: the figures of the
    developer guide ("Autoscale an asynchronous endpoint").  Without it, `BacklogTracking` alone starts from zero only
    when the backlog is above its target.  Bounds should be those of the other policies.
    """
    return StepScaling(
        threshold=1.0,
        steps=(Step(1, lower=0.0),),
        metric="HasBacklogWithoutCapacity",
        comparison=">=",
        datapoints=2,
        cooldown_s=300.0,
        min_capacity=min_capacity,
        max_capacity=max_capacity,
    )
