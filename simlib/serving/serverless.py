"""Serverless inference: containers that come with the requests and go when nobody calls; paid by the millisecond."""

from collections.abc import Iterator
from dataclasses import field
from typing import TYPE_CHECKING, Literal

from simlib.model import Law, ModelProfile, lognormal
from simlib.parameters import Count, Positive, Whole, config
from simlib.serving.realtime import Retry
from simlib.serving.scaling import Scaling, common_bounds, scaling_assumptions, watched

if TYPE_CHECKING:
    from simlib.serving.containers import ServerlessEndpoint
    from simlib.simulation import Simulation
    from simlib.workload import Workload

UTILIZATION = "ServerlessProvisionedConcurrencyUtilization"
Reuse = Literal["newest_created", "most_recently_used", "random", "oldest_created"]


@config
class Serverless:
    """An endpoint without machines of its own: each request has a container to itself, for as long as it takes.

    A request takes an idle container, or, after a cold start, a new one; with `max_concurrency` of them in work it is
    throttled (429), never queued.  The defaults of cold start, keep-alive, age and reuse are those measured on AWS
    Lambda in 2020 (pacslab/serverless-performance-modeling); SageMaker publishes none.

    Parameters
    ----------
    model : ModelProfile
        Its service law is the time on a container of this memory (see `speed`).
    memory_mb : int
        Memory of a container: 1024 to 6144 in steps of 1024 on SageMaker; decides the price.
    service : "sagemaker" | "cloud_run" | "container_apps"
        Whose bill it is.  Vertex AI and Azure ML have no twin of SageMaker's serverless inference; Cloud Run and
        Container Apps are their nearest neighbours, priced by vCPU and memory.  Here too each request has a container
        to itself (a concurrency of 1; theirs may be more), and waking up is as on the defaults below (assumption).
    vcpus : float
        vCPUs of a container; counts on the bill of the two neighbours.
    max_concurrency : int
        Requests in work at once, cold starts and provisioned containers included; 1 to 200 on SageMaker.
    provisioned_concurrency : int
        Containers kept warm, paid for all the time at a lower price; requests beyond them run on demand.
    cold_start : Law
        Time to provide a container [s], before the model is fetched and loaded.  Assumption.
    cold_service : Law or None
        Time a request takes right after a cold start [s]; None: as any other.
    download_mb_per_s : float
        Speed at which the model artifact arrives [MB/s].  Assumption.
    keep_alive_s, max_age_s : float
        A container idle for so long, or created so long ago, is not used again [s]; None: never too old.  Assumption.
    reuse : "newest_created" | "most_recently_used" | "random" | "oldest_created"
        Which idle container a request takes.  Assumption.
    invocation_timeout_s : float
        A caller waits no longer than this [s], cold start included; 60 on SageMaker.  The container works on.
    speed : float
        How much faster a container is than the hardware the model's service law was measured on.
    provisioning_s : float
        From raising the provisioned concurrency until it is there and paid for [s].  Assumption.
    retry : Retry or None
        What callers do when throttled; None: they give up.
    scaling : TargetTracking, StepScaling, ScheduledScaling, or several of them
        How the provisioned concurrency follows the load (SageMaker: DesiredProvisionedConcurrency).  Policies watch
        "ServerlessProvisionedConcurrencyUtilization", which nobody publishes while nothing is kept warm; a schedule
        can begin at 0.
    """

    model: ModelProfile
    memory_mb: Count = field(default=2048, kw_only=True)
    service: Literal["sagemaker", "cloud_run", "container_apps"] = field(default="sagemaker", kw_only=True)
    vcpus: Positive = field(default=1.0, kw_only=True)
    max_concurrency: Count = field(default=20, kw_only=True)
    provisioned_concurrency: Whole = field(default=0, kw_only=True)
    cold_start: Law = field(default=lognormal(mean=0.4, cv=0.3), kw_only=True)
    cold_service: Law | None = field(default=None, kw_only=True)
    download_mb_per_s: Positive = field(default=100.0, kw_only=True)
    keep_alive_s: Positive = field(default=645.0, kw_only=True)
    max_age_s: Positive | None = field(default=7300.0, kw_only=True)
    reuse: Reuse = field(default="newest_created", kw_only=True)
    invocation_timeout_s: Positive = field(default=60.0, kw_only=True)
    speed: Positive = field(default=1.0, kw_only=True)
    provisioning_s: Positive = field(default=60.0, kw_only=True)
    retry: Retry | None = field(default=None, kw_only=True)
    scaling: Scaling | tuple[Scaling, ...] | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if self.provisioned_concurrency > self.max_concurrency:
            raise ValueError(
                f"provisioned_concurrency={self.provisioned_concurrency} is not possible: "
                f"it should be at most max_concurrency={self.max_concurrency}."
            )
        if self.service != "sagemaker" and (self.provisioned_concurrency or self.policies):
            raise ValueError(
                f"service={self.service!r} is not possible with provisioned_concurrency or scaling: containers kept "
                "warm have a price of their own there, which the catalog does not hold."
            )
        common_bounds(self.policies)
        for policy in self.policies:
            odd = [metric for metric in watched(policy) if metric != UTILIZATION]
            if odd:
                raise ValueError(
                    f"scaling: metric={odd[0]!r} is not published for serverless endpoints; "
                    f"it should be {UTILIZATION!r}."
                )
            if policy.max_capacity is not None and policy.max_capacity > self.max_concurrency:
                raise ValueError(
                    f"scaling: max_capacity={policy.max_capacity} is not possible: "
                    f"it should be at most max_concurrency={self.max_concurrency}."
                )

    @property
    def policies(self) -> tuple[Scaling, ...]:
        """The policies that scale the provisioned concurrency, none, one or several."""
        if self.scaling is None:
            return ()
        return self.scaling if isinstance(self.scaling, tuple) else (self.scaling,)

    @property
    def download_s(self) -> float:
        """Seconds of a cold start to download the model."""
        return self.model.size_mb / self.download_mb_per_s

    @property
    def fetch_s(self) -> float:
        """Seconds of a cold start to download and load the model."""
        return self.download_s + self.model.load_seconds

    def deploy(
        self, sim: "Simulation", workload: "Workload", name: str, *, log: bool, from_cold: bool
    ) -> "ServerlessEndpoint":
        """The endpoint that `Simulation.deploy` asks for."""
        from simlib.serving.containers import ServerlessEndpoint  # here, because it loads the compiler

        return ServerlessEndpoint(sim, self, workload, name, log=log, from_cold=from_cold)

    def assumptions(self) -> Iterator[tuple[str, object, str, str]]:
        """(parameter, value, mark, source) of every value in use that the platform does not document."""
        yield "request overhead", "0 s", "U", "network and routing time are not modelled"
        if self.service == "sagemaker":
            yield "cold start on the bill", "no", "U", "undocumented: setting a container up is not billed"
        else:
            yield "one request a container", True, "U", "both services let a container work on several at once"
            yield "billed", "the work of each request, to the ms", "U", "start-up and rounding to 100 ms are left out"
        usual = Serverless(self.model)
        for name, source in _ASSUMPTIONS.items():
            if getattr(self, name) == getattr(usual, name):
                yield name, getattr(self, name), *source
        yield from scaling_assumptions(self.policies)


_LAMBDA = ("S", "measured on AWS Lambda in 2020 (pacslab/serverless-performance-modeling); SageMaker publishes none")
_ASSUMPTIONS = {
    "cold_start": _LAMBDA,
    "keep_alive_s": _LAMBDA,
    "max_age_s": _LAMBDA,
    "reuse": _LAMBDA,
    "download_mb_per_s": ("U", "undocumented"),
    "provisioning_s": ("U", "undocumented"),
}
