"""The instances of an endpoint: each is launched, becomes ready, serves, drains and is gone; lost ones are replaced.

    launched ──launch──▶ machine up ──container start, download, load──▶ in service ──drain──▶ draining ──30 s──▶ gone
                         └ billed from here …                                                     … to here ┘

Each instance is one SimPy process.  What is not documented by the platform is a parameter of `InstanceLife`.
"""

import math
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal

import simpy

from simlib.model import Law, ModelProfile, lognormal
from simlib.parameters import NonNegative, Positive, config
from simlib.serving.interruptible import Interruptible
from simlib.turns import FAULT, LIFE, pause

if TYPE_CHECKING:
    from simlib.serving.hosted import Hosted

Story = Generator[simpy.Event, Any, None]
LOOK_S = 1.0  # how often it is looked whether an instance that leaves still has work


@config
class InstanceLife:
    """How long each stage of an instance's life takes.

    Parameters
    ----------
    launch : Law
        From the decision until the machine is up [s].  Assumption: with `container_start`, the 3–5 minutes that
        users of SageMaker report in all.
    container_start : Law
        From the machine being up until the container asks for the model [s].  Assumption.
    download_mb_per_s : float
        Speed at which the model artifact arrives [MB/s].  Assumption.
    startup_health_check_timeout_s : float
        A container that is not ready so long after its start is given up, and the instance replaced [s]; 480 on
        SageMaker (`ContainerStartupHealthCheckTimeoutInSeconds`, 60 to 3600).
    drain_s : float
        From SIGTERM to SIGKILL [s]; 30 on SageMaker (developer guide, "your own inference code").
    crash_rate_per_day : float
        Crashes of one instance in service per day, as a Poisson process.
    scale_in_takes : "newest" | "oldest" | "idlest"
        Which instance a scale-in takes away.  Assumption.
    """

    launch: Law = field(default=lognormal(mean=150, cv=0.25), kw_only=True)
    container_start: Law = field(default=lognormal(mean=45, cv=0.25), kw_only=True)
    download_mb_per_s: Positive = field(default=100.0, kw_only=True)
    startup_health_check_timeout_s: Positive = field(default=480.0, kw_only=True)
    drain_s: NonNegative = field(default=30.0, kw_only=True)
    crash_rate_per_day: NonNegative = field(default=0.0, kw_only=True)
    scale_in_takes: Literal["newest", "oldest", "idlest"] = field(default="newest", kw_only=True)

    def getting_ready_s(self, model: ModelProfile) -> float:
        """Seconds to fetch the model's artifact and load it, once the container runs."""
        return model.size_mb / self.download_mb_per_s + model.load_seconds

    def assumptions(self) -> Iterator[tuple[str, object, str, str]]:
        """(parameter, value, mark, source) of every stage left as it is that the platform does not document."""
        usual = InstanceLife()
        for name, source in _ASSUMPTIONS.items():
            if getattr(self, name) == getattr(usual, name):
                yield f"instance_life.{name}", getattr(self, name), "U", source


_ASSUMPTIONS = {
    "launch": "3–5 minutes until in service are typical (users' reports)",
    "container_start": "3–5 minutes until in service are typical (users' reports)",
    "download_mb_per_s": "undocumented",
    "scale_in_takes": "undocumented",
}


@dataclass
class Instance:
    """What is known of one instance so far; times in seconds, infinite while they are still to come."""

    number: int
    variant: int
    launched_s: float
    machine_up_s: float = math.inf
    in_service_s: float = math.inf
    draining_s: float = math.inf
    gone_s: float = math.inf
    free_before_s: float = -math.inf  # not on the bill until then, nor after
    free_after_s: float = math.inf
    ended: str = ""  # "drained", "crashed", "taken back", "cancelled", "not healthy" or, while it lives, nothing

    def billed_s(self, now: float) -> float:
        """Seconds on the bill up to *now*."""
        begin, end = max(self.machine_up_s, self.free_before_s), min(self.gone_s, self.free_after_s, now)
        return max(0.0, end - begin)

    @property
    def serving(self) -> bool:
        """Whether it takes requests."""
        return self.in_service_s < math.inf and self.draining_s == math.inf

    @property
    def staying(self) -> bool:
        """Whether it serves or is on its way to."""
        return self.draining_s == math.inf and self.gone_s == math.inf


class Fleet:
    """The instances of one variant, and how many of them are wanted.

    Attributes
    ----------
    deployment
        What it was made by: the life of its instances, and their storage.
    on_bill : bool
        Whether instances that come up are paid for from then on.
    patience_s : float
        How long an instance that is taken away may go on with what it holds before it is told to stop [s].
    """

    def __init__(self, endpoint: "Hosted", variant: int, deployment: Any) -> None:
        self.endpoint, self.variant, self.deployment = endpoint, variant, deployment
        self.env, self.life = endpoint.sim.env, deployment.instance_life
        self.model = endpoint.variants[variant].model
        self.desired = 0
        self.in_service = 0
        self.on_bill = True
        self.patience_s = 0.0
        self.gave_up = self.env.event()  # an instance that was not healthy in time
        self._coming: dict[int, simpy.Process] = {}
        self._may_stay: list[Instance] = []  # all who stay, and some who have stopped since somebody looked
        self._turned_on = math.inf  # how many may take requests; those beyond stand by
        self._standby: list[Instance] = []
        self._awaited: list[tuple[int, simpy.Event]] = []

    # --- how many ---

    def set_desired(self, wanted: int, why: str) -> None:
        """Launch or take away instances until *wanted* serve or are on their way."""
        self._ask_for(wanted, why)
        self._launch_missing()
        for instance in self._leaving(len(self._staying()) - wanted):
            self.take_away(instance)

    def let_go(self, instance: Instance) -> None:
        """Take this instance away, and ask for one less."""
        self._ask_for(self.desired - 1, f"instance {instance.number} drained")
        self.take_away(instance)

    def _ask_for(self, wanted: int, why: str) -> None:
        self.endpoint.tell("capacity", f"{self.desired} → {wanted}: {why}", self.variant)
        self.desired = wanted
        self.endpoint.desired_log.append((self.env.now, self.variant, wanted))

    def _all(self) -> list[Instance]:
        return [i for i in self.endpoint.instances if i.variant == self.variant]

    def _staying(self) -> list[Instance]:
        self._may_stay = [i for i in self._may_stay if i.staying]  # who has left never comes back
        return self._may_stay.copy()

    def _launch_missing(self) -> None:
        for _ in range(self.desired - len(self._staying())):
            instance = self._new()
            self._coming[instance.number] = self.env.process(self._come_up(instance))

    def _leaving(self, count: int) -> list[Instance]:
        """The *count* instances that a scale-in takes."""
        staying = self._staying()
        if self.life.scale_in_takes == "newest":
            staying.reverse()
        elif self.life.scale_in_takes == "idlest":
            self.endpoint.advance()
            staying.sort(key=lambda i: (self.endpoint.station.held(i.number) if i.serving else -1, -i.number))
        return staying[: max(0, count)]

    # --- while a new fleet takes over ---

    @property
    def alive(self) -> bool:
        """Whether any instance of it is still there."""
        return any(instance.gone_s == math.inf for instance in self._all())

    def turn_on(self, most: float) -> None:
        """From now on so many instances take requests at *most*; those beyond are up, and stand by."""
        self._turned_on = most
        while self._standby and self.in_service < self._turned_on:
            self._open(self._standby.pop(0))

    def ready(self, instances: int) -> simpy.Event:
        """An event that happens once so many *instances* are up, in service or standing by."""
        event = self.env.event()
        self._awaited.append((instances, event))
        self._tell_who_waits()
        return event

    def _tell_who_waits(self) -> None:
        up = self.in_service + len(self._standby)
        for _, event in [each for each in self._awaited if each[0] <= up]:
            event.succeed()
        self._awaited = [each for each in self._awaited if each[0] > up]

    def put_on_bill(self) -> None:
        """Those that are up, and those that come, are paid for from now on."""
        self.on_bill = True
        for instance in self._all():
            instance.free_before_s = min(instance.free_before_s, self.env.now)

    def take_off_bill(self) -> None:
        """No instance is paid for any more."""
        self.on_bill = False
        for instance in self._all():
            instance.free_after_s = min(instance.free_after_s, self.env.now)

    # --- one life ---

    def appear(self) -> None:
        """An instance that was in service before the story begins."""
        self.desired += 1
        instance = self._new()
        instance.machine_up_s = self.env.now
        self._enter_service(instance)

    def _new(self) -> Instance:
        instance = Instance(len(self.endpoint.instances), self.variant, self.env.now)
        instance.free_before_s = -math.inf if self.on_bill else math.inf
        self.endpoint.instances.append(instance)
        self._may_stay.append(instance)
        self._tell("launching", instance)
        return instance

    def _come_up(self, instance: Instance) -> Story:
        """Machine, container, model; then in service.  A scale-in may cancel it on the way."""
        rng = self.endpoint.sim.rng(self.endpoint.name, "instance", str(instance.number))
        launch, container = (float(law.sample(1, rng)[0]) for law in (self.life.launch, self.life.container_start))
        ready = container + self.life.getting_ready_s(self.model)
        patience = self.life.startup_health_check_timeout_s
        try:
            yield pause(self.env, launch, LIFE)
            while self.endpoint.no_machines_before_s > self.env.now:
                yield pause(self.env, self.endpoint.no_machines_before_s - self.env.now, LIFE)
            instance.machine_up_s = self.env.now
            self._tell("machine up", instance)
            yield pause(self.env, min(ready, patience), LIFE)
        except simpy.Interrupt:
            self._end(instance, "cancelled")
            return
        del self._coming[instance.number]
        if ready <= patience:
            self._enter_service(instance)
        else:
            self._end(instance, "not healthy")
            if not self.gave_up.triggered:
                self.gave_up.succeed(f"instance {instance.number} was not healthy after {patience:g} s")
            self._launch_missing()

    def _enter_service(self, instance: Instance) -> None:
        if self.in_service < self._turned_on:
            self._open(instance)
        else:
            self._standby.append(instance)
            self._tell("standing by", instance)
        self._tell_who_waits()

    def _open(self, instance: Instance) -> None:
        self.endpoint.advance()
        self.endpoint.station.open(self.variant, instance.number)
        instance.in_service_s = self.env.now
        self.in_service += 1
        self._tell("in service", instance)
        if self.life.crash_rate_per_day > 0:
            self.env.process(self._crash_one_day(instance))
        if (less := getattr(self.deployment, "interruptible", None)) is not None:
            self.env.process(self._taken_one_day(instance, less))

    def _crash_one_day(self, instance: Instance) -> Story:
        rng = self.endpoint.sim.rng(self.endpoint.name, "crash", str(instance.number))
        yield pause(self.env, rng.exponential(86400 / self.life.crash_rate_per_day), FAULT)
        if instance.gone_s == math.inf:
            self.crash(instance)

    def _taken_one_day(self, instance: Instance, less: Interruptible) -> Story:
        """The cloud takes the machine back; unlike a crash, that is what was agreed."""
        stays_s = less.until_taken_s(self.endpoint.sim.rng(self.endpoint.name, "taken back", str(instance.number)))
        if stays_s < math.inf:
            yield pause(self.env, stays_s, FAULT)
            if instance.gone_s == math.inf:
                self.crash(instance, "taken back")

    def crash(self, instance: Instance, how: str = "crashed") -> None:
        """The instance dies with everything it had not answered; the platform replaces it."""
        self._end(instance, how)
        self.turn_on(self._turned_on)  # who stood by takes its place
        self._launch_missing()

    def take_away(self, instance: Instance) -> None:
        """Drain an instance in service; cancel one that is on its way or stands by."""
        if instance in self._standby:
            self._standby.remove(instance)
            self._end(instance, "cancelled")
            return
        if instance.number in self._coming:
            self._coming.pop(instance.number).interrupt()
            instance.draining_s = self.env.now
            return
        self.endpoint.advance()
        self.endpoint.station.drain(instance.number)
        instance.draining_s = self.env.now
        self.in_service -= 1
        self._tell("draining", instance)
        self.env.process(self._drain(instance))

    def _drain(self, instance: Instance) -> Story:
        lost = self.env.now + self.patience_s
        while self.env.now < lost and instance.gone_s == math.inf and self._holds(instance):
            yield pause(self.env, LOOK_S, LIFE)
        yield pause(self.env, self.life.drain_s, LIFE)
        if instance.gone_s == math.inf:  # it may have crashed meanwhile
            self._end(instance, "drained")

    def _holds(self, instance: Instance) -> int:
        self.endpoint.advance()
        return self.endpoint.station.held(instance.number)

    def _end(self, instance: Instance, how: str) -> None:
        if instance.in_service_s < math.inf:
            self.endpoint.advance()
            self.endpoint.station.kill(instance.number)
            self.in_service -= instance.serving
        instance.draining_s = min(instance.draining_s, self.env.now)
        instance.gone_s, instance.ended = self.env.now, how
        self._tell("gone", instance, how)

    def _tell(self, kind: str, instance: Instance, detail: str = "") -> None:
        self.endpoint.sim.tell(kind, f"{self.endpoint.name}/instance {instance.number}", detail)


def columns_of(instances: list[Instance]) -> dict[str, list[Any]]:
    """The lives as columns."""
    return {column.name: [getattr(instance, column.name) for instance in instances] for column in fields(Instance)}
