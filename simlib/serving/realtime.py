"""Real-time inference: instances behind an HTTPS endpoint that are there whether anybody calls or not."""

from collections.abc import Iterator, Sequence
from dataclasses import field, replace
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from simlib import pricing
from simlib.model import ModelProfile
from simlib.parameters import Count, Flag, NonNegative, ParameterError, Positive, Text, Whole, config, nearest
from simlib.serving.capture import Capture
from simlib.serving.fleet import InstanceLife
from simlib.serving.interruptible import Interruptible
from simlib.serving.metrics import BACKLOG_METRICS, COMPONENT_METRICS, SERVERLESS_METRICS
from simlib.serving.scaling import Scaling, check_published, common_bounds, scaling_assumptions

if TYPE_CHECKING:
    from simlib.serving.endpoint import Endpoint
    from simlib.simulation import Simulation
    from simlib.workload import Workload

Routing = Literal["RANDOM", "LEAST_OUTSTANDING_REQUESTS", "SHARED_QUEUE"]
Refusal = Literal[429, 503]
OF_EACH_VARIANT = ("instance_type", "initial_instance_count", "workers")
"""What an endpoint with one model says of it, and one with variants leaves to each."""
Percentage = Annotated[NonNegative, Field(gt=0, le=100)]
BackoffFactor = Annotated[NonNegative, Field(ge=1)]


@config
class Retry:
    """What a caller does when refused: wait, longer each time, and try again.

    The wait after attempt k is ``base_s * factor ** (k - 1)`` seconds, times a uniform number in [0, 1) with `jitter`
    ("full jitter", AWS Architecture Blog 2015).  Only refusals are retried, not time-outs or failures.

    Parameters
    ----------
    max_attempts : int
        Attempts in all, the first one included.
    base_s, factor : float
        First wait [s], and by how much each wait is longer than the one before.
    jitter : bool
        Whether waits are random.
    statuses : sequence of int
        HTTP statuses that are tried again: 429 (throttled), 503 (no room in the queue).
    """

    max_attempts: Annotated[Count, Field(le=100)] = 3
    base_s: NonNegative = field(default=0.1, kw_only=True)
    factor: BackoffFactor = field(default=2.0, kw_only=True)
    jitter: Flag = field(default=True, kw_only=True)
    statuses: tuple[Refusal, ...] = field(default=(429, 503), kw_only=True)


@config
class Variant:
    """A production variant: a model on instances of its own, with a share of the traffic.

    Parameters
    ----------
    name : str
    model : ModelProfile
    weight : float
        Its share of the requests is its weight divided by the sum of the weights (SageMaker: `InitialVariantWeight`).
    instance_type : str
        Machine of the catalog: "ml.m5.large" is SageMaker's, "n1-standard-4" or "n1-standard-4+1xNVIDIA_TESLA_T4" is
        Vertex AI's, "Standard_DS3_v2" Azure ML's.  Decides the price, not the speed.
    initial_instance_count, workers : int
        Instances at the start, and requests one instance works on at once.
    """

    name: Text
    model: ModelProfile
    weight: NonNegative = field(default=1.0, kw_only=True)
    instance_type: Text = field(default="ml.m5.large", kw_only=True)
    initial_instance_count: Whole = field(default=1, kw_only=True)
    workers: Count = field(default=1, kw_only=True)


@config
class RealTime:
    """An endpoint that answers at once, on instances that are always there.

    Give either one `model`, or several `variants`.  Initial instances are in service at once.

    Parameters
    ----------
    model : ModelProfile
        What one request costs; its service law is the time on this deployment's own hardware.
    instance_type : str
        Machine of the price catalog, of SageMaker, Vertex AI or Azure ML (see `Variant`).
    initial_instance_count, workers : int
        Instances at the start, and requests one instance works on at once.
    routing : "RANDOM" | "LEAST_OUTSTANDING_REQUESTS" | "SHARED_QUEUE"
        How a request finds its instance.  The first two are SageMaker's (RANDOM its default): a request is bound on
        arrival and waits there.  SHARED_QUEUE is the one line of queueing theory (M/G/c).
    queue_limit : int or None
        How many may wait at one instance (SHARED_QUEUE: in the one line, see `queue_limit_of`) before a request is
        refused.
    queue_limit_of : "line" | "instance"
        With SHARED_QUEUE, whether `queue_limit` is of the whole line, or of each instance in service and so grows with
        the fleet.  Azure ML lets 2 * workers * instances requests in: "instance" with queue_limit=workers.
    refusal : 503 | 429
        HTTP status of a refused request: 503 on SageMaker, 429 on Azure ML and Vertex AI.
    invocation_timeout_s : float
        A caller waits no longer than this for an answer [s]; 60 on SageMaker.
    cancel_on_timeout : bool
        Whether a worker stops when its caller has given up.  Assumption: it goes on.
    variants : sequence of Variant
        Several models behind one endpoint, with weights.
    volume_size_in_gb : float
        Storage of each instance [GB].
    speed : float
        How much faster the hardware is than the one the model's service law was measured on.
    instance_life : InstanceLife
        How instances come and go.
    interruptible : Interruptible or None
        Machines that cost less and may be taken back (Vertex AI: `spot`, `flexStart`): one in service dies with what it
        had not answered, and is replaced.
    shadow : Variant or None
        A variant that gets a copy of the requests on instances of its own; billed as any other, its answers discarded.
    shadow_sampling_percentage : float
        How many of the requests are copied [%].
    retry : Retry or None
        What callers do when refused; None: they give up.
    scaling : TargetTracking, StepScaling, ScheduledScaling, ReplicaTracking, RuleScaling, or several of them
        How the number of instances follows the load; each variant follows them on its own.
    data_capture : Capture or None
        Which requests are kept for monitoring, with the rows they carry (`Simulation.deploy(…, rows=)`).
    """

    model: ModelProfile | None = None
    instance_type: Text = field(default="ml.m5.large", kw_only=True)
    initial_instance_count: Whole = field(default=1, kw_only=True)
    workers: Count = field(default=1, kw_only=True)
    routing: Routing = field(default="RANDOM", kw_only=True)
    queue_limit: Whole | None = field(default=None, kw_only=True)
    queue_limit_of: Literal["line", "instance"] = field(default="line", kw_only=True)
    refusal: Refusal = field(default=503, kw_only=True)
    invocation_timeout_s: Positive = field(default=60.0, kw_only=True)
    cancel_on_timeout: Flag = field(default=False, kw_only=True)
    variants: tuple[Variant, ...] | None = field(default=None, kw_only=True)
    volume_size_in_gb: NonNegative = field(default=30.0, kw_only=True)
    speed: Positive = field(default=1.0, kw_only=True)
    instance_life: InstanceLife = field(default=InstanceLife(), kw_only=True)
    interruptible: Interruptible | None = field(default=None, kw_only=True)
    shadow: Variant | None = field(default=None, kw_only=True)
    shadow_sampling_percentage: Percentage = field(default=100.0, kw_only=True)
    retry: Retry | None = field(default=None, kw_only=True)
    scaling: Scaling | tuple[Scaling, ...] | None = field(default=None, kw_only=True)
    data_capture: Capture | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if (self.model is None) == (self.variants is None):
            raise ValueError("give either model= or variants=, and not both.")
        if self.variants is not None:
            for name in OF_EACH_VARIANT:
                if getattr(self, name) != RealTime.__dataclass_fields__[name].default:
                    raise ValueError(f"{name}={getattr(self, name)!r} is each Variant's own: give it to the variants.")
        names = [variant.name for variant in (*self.fleets, *((self.shadow,) if self.shadow else ()))]
        if len(names) != len(set(names)):
            raise ValueError(f"variants={names} is not possible: each should have a name of its own.")
        if not names or not any(variant.weight > 0 for variant in self.fleets):
            raise ValueError("variants is not possible: at least one should have a weight greater than 0.")
        common_bounds(self.policies)
        check_published(
            self.policies, "a real-time endpoint", *BACKLOG_METRICS, *SERVERLESS_METRICS, *COMPONENT_METRICS
        )

    @property
    def policies(self) -> tuple[Scaling, ...]:
        """The scaling policies, none, one or several."""
        if self.scaling is None:
            return ()
        return self.scaling if isinstance(self.scaling, tuple) else (self.scaling,)

    @property
    def fleets(self) -> tuple[Variant, ...]:
        """The variants; one called "AllTraffic", as SageMaker's SDK does, where only a model was given."""
        if self.model is None:
            return self.variants or ()
        return (
            Variant(
                "AllTraffic",
                self.model,
                instance_type=self.instance_type,
                initial_instance_count=self.initial_instance_count,
                workers=self.workers,
            ),
        )

    def alone(self, variant: Variant) -> "RealTime":
        """The deployment of one variant with a fixed number of instances: on it the copies for a shadow run."""
        its_own = {name: RealTime.__dataclass_fields__[name].default for name in OF_EACH_VARIANT}
        return replace(self, model=None, variants=(variant,), shadow=None, scaling=None, retry=None, **its_own)

    def deploy(self, sim: "Simulation", workload: "Workload", name: str, *, log: bool, from_cold: bool) -> "Endpoint":
        """The endpoint that `Simulation.deploy` asks for."""
        from simlib.serving.endpoint import Endpoint  # here, because it loads the compiler

        return Endpoint(sim, self, workload, name, log=log, from_cold=from_cold)

    def assumptions(self) -> Iterator[tuple[str, object, str, str]]:
        """(parameter, value, mark, source) of every value in use that the platform does not document."""
        yield "request overhead", "0 s", "U", "network and routing time are not modelled"
        if not self.cancel_on_timeout:
            yield "cancel_on_timeout", False, "U", "undocumented: a worker goes on after its caller has given up"
        if self.routing != "SHARED_QUEUE":
            yield "bound on arrival", True, "U", "undocumented: a request waits at the instance it was routed to"
        yield from self.instance_life.assumptions()
        if self.interruptible is not None:
            yield from self.interruptible.assumptions()
            yield (
                "a machine taken back",
                "without notice",
                "U",
                "Google gives 30 s; what an endpoint does with them: no word",
            )
        yield from scaling_assumptions(self.policies)
        machines = [pricing.machine(fleet.instance_type) for fleet in self.fleets]
        for one in {each.platform: each for each in machines}.values():
            yield from one.assumptions()


def named(variants: Sequence[Variant], name: str | None) -> int:
    """The number of the variant called *name*; None means the only one."""
    names = [variant.name for variant in variants]
    if name is None and len(names) == 1:
        return 0
    if name not in names:
        raise ParameterError(f"there is no variant {name!r}; {nearest(str(name), names)}")
    return names.index(name)
