"""A running endpoint of inference components: copies that start, serve and go, and the instances they are packed on."""

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import simpy

from simlib import pricing
from simlib.model import ModelProfile, constant
from simlib.parameters import ParameterError, Text, Whole, checked
from simlib.record import CONTAINER_NS, FAILED, NO_CAPACITY, Snapshot
from simlib.serving.autoscaler import Autoscaler
from simlib.serving.callers import Caller, Callers, Draw, Streams, picked, service_times
from simlib.serving.component import Component, InferenceComponent, needs
from simlib.serving.fleet import Fleet, Instance, columns_of
from simlib.serving.hardware import instance_types
from simlib.serving.realtime import named
from simlib.serving.served import Served, check_on_offer
from simlib.turns import LIFE, pause
from simlib.workload.stream import TARGET

if TYPE_CHECKING:
    from simlib.simulation import Simulation
    from simlib.workload import Workload
    from simlib.workload.blocks import Block

Story = Generator[simpy.Event, Any, None]


@dataclass(frozen=True)
class Part:
    """A component on the record, or the instances; the time of copies is counted by itself, so workers are 0."""

    name: str
    model: ModelProfile
    workers: int = 0


@dataclass(eq=False)
class Copy:
    """One copy of a component's model."""

    component: int
    number: int
    machine: "Machine"
    workers: simpy.Resource
    callers: dict[int, Caller] = field(default_factory=dict)
    serving: bool = False
    leaving: bool = False
    counted_until: float = 0.0  # its time is on the record up to here


class Machine:
    """An instance, and the copies on it."""

    def __init__(self, instance: int, room: tuple[float, ...]) -> None:
        self.instance, self.room = instance, np.array(room)
        self.copies: list[Copy] = []
        self.serving = True
        self.idle_since = 0.0

    def fits(self, need: tuple[float, ...]) -> bool:
        """Whether there is room for one copy more."""
        return self.serving and bool((np.array(need) <= self.room + 1e-9).all())


class CopyCallers(Callers):
    """The requests of such an endpoint, with the commands a fleet gives to its station."""

    endpoint: "ComponentsEndpoint"

    def advance(self, until: float) -> None:
        """Count the copies' time and their work up to *until* [s]."""
        super().advance(until)
        for copy in self.endpoint.copies:
            self.endpoint.count_time(copy)

    def open(self, variant: int, instance: int) -> None:
        """*instance* comes into service: copies that wait for room go there."""
        machine = self.endpoint.machines[instance] = Machine(instance, self.endpoint.deployment.room)
        self.endpoint.place_all()
        self.endpoint.watch_idle(machine)

    def drain(self, instance: int) -> None:
        """*instance* takes no new copies, and those on it no new calls."""
        machine = self.endpoint.machines[instance]
        machine.serving = False
        for copy in list(machine.copies):
            self.endpoint.retire(copy)
        self.endpoint.place_all()

    def kill(self, instance: int) -> None:
        """*instance* is gone, with its copies and whatever they had not answered."""
        machine = self.endpoint.machines.pop(instance)
        machine.serving = False
        for copy in list(machine.copies):
            for caller in list(copy.callers.values()):
                self.lose(caller)
            self.endpoint.remove(copy)

    def held(self, instance: int) -> int:
        """Calls that an instance has now."""
        return sum(len(copy.callers) for copy in self.endpoint.machines[instance].copies)


class ComponentsEndpoint(Served):
    """A deployment of inference components that is running.  `Simulation.deploy` makes one."""

    deployment: InferenceComponent
    station: Any

    no_machines_before_s = 0.0

    def __init__(
        self,
        sim: "Simulation",
        deployment: InferenceComponent,
        workload: "Workload",
        name: str,
        *,
        log: bool,
        from_cold: bool,
    ) -> None:
        super().__init__(sim, deployment, workload, name, log=log)
        check_on_offer(
            sim, "sagemaker_hosting", deployment.instance_type, f"instance_type={deployment.instance_type!r}"
        )
        if deployment.instance_type not in instance_types():
            raise ParameterError(f"deploy: the vCPUs of instance_type={deployment.instance_type!r} are not known.")
        self.components: tuple[Component, ...] = deployment.components
        empty = ModelProfile("none", constant(0), size_mb=1e-9)
        self.variants = [*(Part(c.name, c.model) for c in self.components), Part("instances", empty)]
        self.machines: dict[int, Machine] = {}
        self.copies: list[Copy] = []
        self.desired = [0] * len(self.components)
        self._born = 0
        self.instances: list[Instance] = []
        self.desired_log: list[tuple[float, int, int]] = []
        self._picks = sim.rng(workload.name, "variant")
        self._streams = Streams(sim, workload, [c.model.name for c in self.components])
        patience_s = deployment.invocation_timeout_s
        self.station = CopyCallers(
            sim, workload, len(self.variants), self._draw, self._call, timeout_s=patience_s, log=log
        )
        self.station.endpoint = self
        self._at_once = not from_cold  # the first copies serve at once
        self.fleet = Fleet(self, len(self.components), deployment)  # type: ignore[arg-type]
        if from_cold:
            self.fleet.set_desired(deployment.initial_instance_count, "deployed")
        else:
            for _ in range(deployment.initial_instance_count):
                self.fleet.appear()
            self.desired_log.append((sim.env.now, self.fleet.variant, self.fleet.desired))
        for v, component in enumerate(self.components):
            self.set_desired(v, component.copy_count, "deployed")
        self._at_once = False
        for v, component in enumerate(self.components):
            if component.policies:
                Autoscaler(self, v, component.policies)

    def _draw(self, block: "Block") -> Draw:
        """Which component each request of a block goes to, and for how long."""
        n = len(block.times)
        chosen = picked(np.array([c.weight for c in self.components]), self._picks, n)
        for v, component in enumerate(self.components):
            asks = block.work.get(TARGET + component.name)
            if asks is not None:
                chosen = np.where(asks > 0, v, chosen)
        seconds = service_times(block, chosen, [c.model for c in self.components], self._streams)
        return Draw(chosen, np.zeros(n, np.int64), seconds / self.deployment.speed)

    # --- the story of a call ---

    def _call(self, caller: Caller) -> Story:
        """To the copy with the fewest calls; where there is none, it fails."""
        serving = [c for c in self.copies if c.component == caller.variant and c.serving and not c.leaving]
        if not serving:
            self.station.count(caller.variant, NO_CAPACITY)
            self.station.settle(caller, FAILED)
            return
        self.station.share(caller.variant, len(serving))
        copy = min(serving, key=lambda c: (len(c.callers), c.number))
        copy.callers[caller.row], caller.instance = caller, copy.machine.instance
        with copy.workers.request() as turn:
            yield turn
            if caller.waits:
                yield from self.station.work_on(caller)
        copy.callers.pop(caller.row, None)
        if copy.leaving and not copy.callers and copy in self.copies:
            self.remove(copy)

    # --- copies: how many ---

    @checked
    def scale_to(self, copies: Whole, *, component: Text | None = None) -> None:
        """Ask for so many copies of a component: missing ones are placed and started, surplus ones go."""
        self.set_desired(named(self.components, component), copies, "asked for")  # type: ignore[arg-type]

    def in_service(self, variant: int) -> int:
        """Copies of a component that take calls now."""
        return sum(c.component == variant and c.serving and not c.leaving for c in self.copies)

    def set_desired(self, variant: int, wanted: int, why: str) -> None:
        """Ask for *wanted* copies of a component, and note why."""
        self.tell("copies", f"{self.desired[variant]} → {wanted}: {why}", variant)
        self.desired[variant] = wanted
        staying = [c for c in self.copies if c.component == variant and not c.leaving]
        for copy in sorted(staying, key=lambda c: (c.serving, -c.number))[: max(0, len(staying) - wanted)]:
            self.retire(copy)
        self.place_all()

    def place_all(self) -> None:
        """Place every copy that is missing; ask for instances where there is no room."""
        waiting: list[int] = []
        for v, component in enumerate(self.components):
            missing = self.desired[v] - sum(c.component == v and not c.leaving for c in self.copies)
            for _ in range(missing):
                machine = self._place_for(component, v)
                if machine is None:
                    waiting.append(v)
                else:
                    self._start(v, machine)
        if waiting:
            self._ask_for_instances(waiting)

    def _place_for(self, component: Component, v: int) -> Machine | None:
        roomy = [m for m in self.machines.values() if m.fits(needs(component))]
        if self.deployment.placement == "BINPACK":
            return min(roomy, key=lambda m: (tuple(m.room), m.instance), default=None)
        return min(
            roomy, key=lambda m: (sum(c.component == v for c in m.copies), len(m.copies), m.instance), default=None
        )

    def _ask_for_instances(self, waiting: list[int]) -> None:
        """Enough new instances for the copies that wait, within the bounds; those on their way count."""
        free: list[np.ndarray] = []
        for v in waiting:
            need = np.array(needs(self.components[v]))
            fitting = next((room for room in free if (need <= room + 1e-9).all()), None)
            if fitting is None:
                fitting = np.array(self.deployment.room)
                free.append(fitting)
            fitting -= need
        wanted = min(self.deployment.bounds[1], sum(m.serving for m in self.machines.values()) + len(free))
        if wanted > self.fleet.desired:
            self.fleet.set_desired(wanted, f"{len(waiting)} copies without room")

    # --- one copy's life ---

    def _start(self, component: int, machine: Machine) -> None:
        chosen = self.components[component]
        machine.room -= np.array(needs(chosen))
        copy = Copy(component, self._born, machine, simpy.Resource(self.sim.env, chosen.workers))
        self._born += 1
        machine.copies.append(copy)
        self.copies.append(copy)
        self._tell(copy, "copy starting")
        if self._at_once:
            self._serve(copy)
        else:
            self.sim.env.process(self._come_up(copy))

    def _come_up(self, copy: Copy) -> Story:
        """Container, download and load; then it takes calls, unless it was given up meanwhile."""
        life, rng = self.deployment.instance_life, self.sim.rng(self.name, "copy", str(copy.number))
        ready = life.getting_ready_s(self.components[copy.component].model)
        yield pause(self.sim.env, float(life.container_start.sample(1, rng)[0]) + ready, LIFE)
        if copy in self.copies and not copy.leaving:
            self._serve(copy)

    def _serve(self, copy: Copy) -> None:
        copy.serving, copy.counted_until = True, self.sim.env.now
        self._tell(copy, "copy in service")

    def retire(self, copy: Copy) -> None:
        """It takes no more calls, and goes when it has answered those it has."""
        copy.leaving = True
        if not copy.callers:
            self.remove(copy)

    def remove(self, copy: Copy) -> None:
        """It is gone, and its room is free."""
        self.count_time(copy)
        self.copies.remove(copy)
        copy.machine.copies.remove(copy)
        copy.machine.room += np.array(needs(self.components[copy.component]))
        self._tell(copy, "copy gone")
        self.place_all()  # somebody may have waited for this room
        self.watch_idle(copy.machine)

    def watch_idle(self, machine: Machine) -> None:
        """From now on, if it has no copies, an instance has `idle_release_s` to get one."""
        if machine.serving and not machine.copies:
            machine.idle_since = self.sim.env.now
            self.sim.env.process(self._release_when_idle(machine, self.sim.env.now))

    def _release_when_idle(self, machine: Machine, since: float) -> Story:
        """An instance that stays without copies is given back, unless it is one of the least."""
        yield pause(self.sim.env, self.deployment.idle_release_s, LIFE)
        idle = machine.serving and not machine.copies and machine.idle_since == since
        if idle and self.fleet.desired > self.deployment.bounds[0]:
            self.fleet.let_go(self.instances[machine.instance])

    def count_time(self, copy: Copy) -> None:
        """Count the time its workers have been there, up to now."""
        if copy.serving:
            workers, now = self.components[copy.component].workers, self.sim.env.now
            self.station.count_between(copy.component, CONTAINER_NS, copy.counted_until, now, workers)
            copy.counted_until = now

    def _tell(self, copy: Copy, kind: str) -> None:
        self.tell(kind, f"copy {copy.number} on instance {copy.machine.instance}", copy.component)

    # --- what came of it ---

    def snapshot(self, **of_its_kind: Any) -> Snapshot:
        """The record at the clock's instant, with the lives of the instances."""
        refused = float(self.station.lane.tally[:, :, NO_CAPACITY].sum())
        return super().snapshot(
            instances=columns_of(self.instances),
            desired=tuple(self.desired_log),
            figures={"no_capacity_failures": refused},
            **of_its_kind,
        )

    def meters(self) -> Any:
        """The instances, busy or not, their storage, and the payloads."""
        now, kind = self.sim.env.now, self.deployment.instance_type
        lived = [min(i.gone_s, now) - i.machine_up_s for i in self.instances if i.machine_up_s < now]
        hours = pricing.billed_seconds(lived, "sagemaker_hosting") / 3600
        yield pricing.hosting_hours(kind, hours, item=f"{kind} instances")
        yield pricing.endpoint_storage(self.deployment.volume_size_in_gb, hours, item="Storage")
        yield from self.payloads()
