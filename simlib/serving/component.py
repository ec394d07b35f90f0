"""Inference components: copies of several models packed on the instances of one endpoint, each scaled by itself."""

from collections.abc import Iterator, Sequence
from dataclasses import field
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from simlib.model import ModelProfile
from simlib.parameters import Count, NonNegative, Positive, Text, Whole, config
from simlib.serving.fleet import InstanceLife
from simlib.serving.hardware import instance_types
from simlib.serving.metrics import COMPONENT_METRICS
from simlib.serving.scaling import Scaling, common_bounds, scaling_assumptions, watched

if TYPE_CHECKING:
    from simlib.serving.copies import ComponentsEndpoint
    from simlib.simulation import Simulation
    from simlib.workload import Workload

Cpus = Annotated[Positive, Field(ge=0.25)]
Memory = Annotated[Positive, Field(ge=128)]


@config
class Component:
    """A model, what one copy of it needs of an instance, and how many copies there are.

    Parameters
    ----------
    name : str
    model : ModelProfile
    weight : float
        Its share of the requests that name no component is its weight divided by the sum of the weights.
    cpus, accelerators, memory_mb : float, int, float
        What one copy takes of its instance: at least 0.25 vCPUs and 128 MB (SageMaker API).
    copy_count : int
        Copies at the start.
    workers : int
        Requests one copy works on at once.
    scaling : TargetTracking, StepScaling, ScheduledScaling, or several of them
        How the number of copies follows the load, down to 0 where `min_capacity` is 0; then a StepScaling on
        "NoCapacityInvocationFailures" wakes it.
    """

    name: Text
    model: ModelProfile
    weight: NonNegative = field(default=1.0, kw_only=True)
    cpus: Cpus = field(default=1.0, kw_only=True)
    accelerators: Whole = field(default=0, kw_only=True)
    memory_mb: Memory = field(default=1024.0, kw_only=True)
    copy_count: Whole = field(default=1, kw_only=True)
    workers: Count = field(default=1, kw_only=True)
    scaling: Scaling | tuple[Scaling, ...] | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        common_bounds(self.policies)
        for policy in self.policies:
            odd = [metric for metric in watched(policy) if metric not in COMPONENT_METRICS]
            if odd:
                raise ValueError(
                    f"scaling: metric={odd[0]!r} is not one of inference components; "
                    f"it should be one of {', '.join(COMPONENT_METRICS)}."
                )

    @property
    def policies(self) -> tuple[Scaling, ...]:
        """The scaling policies, none, one or several."""
        if self.scaling is None:
            return ()
        return self.scaling if isinstance(self.scaling, tuple) else (self.scaling,)


@config
class InferenceComponent:
    """An endpoint whose instances hold copies of several models.

    A call goes to the copy of its component with the fewest calls.  Where there is none, it fails at once: neither at
    zero copies nor while the first one starts is anything queued (AWS, December 2024).  A copy that fits on no instance
    waits for one; instances come and go between `min_instance_count` and `max_instance_count` as copies need them
    (managed instance scaling).  Runs as plain SimPy processes, not in the lanes.

    Parameters
    ----------
    components : sequence of Component
    instance_type : str
        Its vCPUs are the catalog's; its memory and accelerators are given below.
    instance_memory_mb, instance_accelerators : float, int
        What one instance has for copies.
    initial_instance_count : int
        Instances at the start.
    min_instance_count, max_instance_count : int or None
        Bounds of their number; None: as many as at the start, always.
    placement : "SPREAD" | "BINPACK"
        A copy goes to the instance with the fewest copies, or to the fullest one where it fits.
    idle_release_s : float
        An instance without copies is given back after this [s] (SageMaker: IDLE_RELEASE, 20 minutes unless told
        otherwise, 5 minutes at least).
    volume_size_in_gb, speed, invocation_timeout_s, instance_life
        As in `RealTime`; a copy starts in `container_start`, download and load.
    """

    components: tuple[Component, ...]
    instance_type: Text = field(default="ml.m5.xlarge", kw_only=True)
    instance_memory_mb: Positive = field(default=8192.0, kw_only=True)
    instance_accelerators: Whole = field(default=0, kw_only=True)
    initial_instance_count: Whole = field(default=1, kw_only=True)
    min_instance_count: Whole | None = field(default=None, kw_only=True)
    max_instance_count: Count | None = field(default=None, kw_only=True)
    placement: Literal["SPREAD", "BINPACK"] = field(default="SPREAD", kw_only=True)
    idle_release_s: NonNegative = field(default=1200.0, kw_only=True)
    volume_size_in_gb: NonNegative = field(default=30.0, kw_only=True)
    speed: Positive = field(default=1.0, kw_only=True)
    invocation_timeout_s: Positive = field(default=60.0, kw_only=True)
    instance_life: InstanceLife = field(default=InstanceLife(), kw_only=True)

    def __post_init__(self) -> None:
        names = [component.name for component in self.components]
        if not names or len(names) != len(set(names)):
            raise ValueError(f"components={names} is not possible: one or more are needed, each with its own name.")
        if not any(component.weight > 0 for component in self.components):
            raise ValueError("components is not possible: at least one should have a weight greater than 0.")
        lowest, highest = self.bounds
        if lowest > highest:
            raise ValueError(f"min_instance_count={lowest} is not possible: it should be at most {highest}.")
        if not lowest <= self.initial_instance_count <= highest:
            raise ValueError(
                f"initial_instance_count={self.initial_instance_count} is not possible: "
                f"it should be from {lowest} to {highest}."
            )
        if self.instance_type in instance_types():
            for component in self.components:
                self._check_fits(component)

    def _check_fits(self, component: Component) -> None:
        for asked, there, what in zip(needs(component), self.room, ("cpus", "memory_mb", "accelerators"), strict=True):
            if asked > there:
                raise ValueError(
                    f"components: a copy of {component.name!r} needs {what}={asked:g}, and an instance has {there:g}."
                )

    @property
    def bounds(self) -> tuple[int, int]:
        """The least and the most instances."""
        usual, least, most = self.initial_instance_count, self.min_instance_count, self.max_instance_count
        lowest = min(usual, most or usual) if least is None else least
        return lowest, max(usual, lowest) if most is None else most

    @property
    def room(self) -> tuple[float, float, float]:
        """vCPUs, memory [MB] and accelerators of one instance."""
        vcpus = float(instance_types()[self.instance_type].vcpus)
        return vcpus, self.instance_memory_mb, float(self.instance_accelerators)

    def deploy(
        self, sim: "Simulation", workload: "Workload", name: str, *, log: bool, from_cold: bool
    ) -> "ComponentsEndpoint":
        """The endpoint that `Simulation.deploy` asks for."""
        from simlib.serving.copies import ComponentsEndpoint  # here, because it loads the compiler

        return ComponentsEndpoint(sim, self, workload, name, log=log, from_cold=from_cold)

    def assumptions(self) -> Iterator[tuple[str, object, str, str]]:
        """(parameter, value, mark, source) of every value in use that the platform does not document."""
        yield "request overhead", "0 s", "U", "network and routing time are not modelled"
        yield "instance_life.container_start", self.instance_life.container_start, "U", "how long a copy takes to start"
        yield "instance_life.launch", self.instance_life.launch, "U", "3-5 minutes in service are typical (users)"
        yield "which copy goes", "the newest, when it has answered", "U", "undocumented"
        policies: Sequence[Scaling] = [policy for component in self.components for policy in component.policies]
        yield from scaling_assumptions(policies)


def needs(component: Component) -> tuple[float, float, float]:
    """vCPUs, memory [MB] and accelerators of one copy."""
    return component.cpus, component.memory_mb, float(component.accelerators)
