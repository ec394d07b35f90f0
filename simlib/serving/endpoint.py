"""A running real-time endpoint: its station in the lanes, the lives of its instances, and the commands decisions give.

Whoever decides is a SimPy process and calls the methods here.  Each brings the lane to the clock's instant first, so a
decision never sees later than now, and what it changes counts from now on.
"""

import math
from collections.abc import Callable, Generator, Iterator, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import numpy as np
import simpy

from simlib import pricing
from simlib.parameters import ParameterError
from simlib.record import COMPLETED, FAILED, TIMED_OUT, Snapshot
from simlib.results import Run
from simlib.serving import lanes
from simlib.serving.demand import chunks
from simlib.serving.fleet import Instance
from simlib.serving.realtime import RealTime, named
from simlib.serving.station import Rules, Station

if TYPE_CHECKING:
    from simlib.simulation import Simulation
    from simlib.workload import Workload

P = ParamSpec("P")
R = TypeVar("R")
Story = Generator[simpy.Event, Any, None]


def at_the_clock(command: Callable[Concatenate["Endpoint", P], R]) -> Callable[Concatenate["Endpoint", P], R]:
    """A command that first brings the lane to the clock's instant."""

    @wraps(command)
    def call(self: "Endpoint", *args: P.args, **kwargs: P.kwargs) -> R:
        self.advance()
        return command(self, *args, **kwargs)

    return call


class Endpoint:
    """A deployment that is running.  `Simulation.deploy` makes one."""

    def __init__(
        self, sim: "Simulation", deployment: RealTime, workload: "Workload", name: str, *, log: bool, from_cold: bool
    ) -> None:
        self.sim, self.deployment, self.workload, self.name = sim, deployment, workload, name
        self.variants = deployment.fleets
        self.instances: list[Instance] = []
        self.deployed_s = sim.env.now
        self._logs = log
        self.station = Station(
            _rules(deployment, log=log),
            [variant.workers for variant in self.variants],
            chunks(sim, workload, deployment),
        )
        self.station.advance(sim.env.now)
        self.station.weigh([variant.weight for variant in self.variants])
        for v, variant in enumerate(self.variants):
            for _ in range(variant.initial_instance_count):
                self._launch(v) if from_cold else self._appear(v)

    # --- commands ---

    def advance(self) -> None:
        """Bring the requests to the clock's instant."""
        if self.station.now < self.sim.env.now:
            self.station.advance(self.sim.env.now)

    def launch(self, variant: str | None = None) -> int:
        """Launch one more instance; it serves once it is up and ready.  Returns its number."""
        return self._launch(named(self.variants, variant)).number

    @at_the_clock
    def drain(self, instance: int) -> None:
        """Take an instance out of service; it has `drain_s` seconds to finish what it has."""
        leaving = self._serving(instance)
        self.station.drain(instance)
        leaving.draining_s = self.sim.env.now
        self._tell("draining", "", leaving)
        self.sim.env.process(self._drain(leaving))

    def crash(self, instance: int) -> None:
        """An instance dies at once, and everything it had not answered fails."""
        self._end(self._serving(instance), "crashed")

    @at_the_clock
    def set_weights(self, weights: Mapping[str, float]) -> None:
        """From now on requests go to variants in proportion to these weights; those not named keep theirs."""
        now = self.station.lane.variants["weight"].tolist()
        for name, weight in weights.items():
            if not (isinstance(weight, int | float) and 0 <= weight < math.inf):
                raise ParameterError(
                    f"set_weights: {name}={weight!r} is not possible: it should be a number of at least 0."
                )
            now[named(self.variants, name)] = float(weight)
        if sum(now) <= 0:
            raise ParameterError("set_weights: at least one variant should keep a weight greater than 0.")
        self.station.weigh(now)
        self._tell("weights", ", ".join(f"{v.name}={w:g}" for v, w in zip(self.variants, now, strict=True)))

    # --- lives of instances ---

    def _appear(self, variant: int) -> None:
        """An instance that was in service before the story begins."""
        instance = self._new(variant)
        instance.machine_up_s = self.sim.env.now
        self._in_service(instance)

    def _launch(self, variant: int) -> Instance:
        instance = self._new(variant)
        self.sim.env.process(self._come_up(instance))
        return instance

    def _new(self, variant: int) -> Instance:
        instance = Instance(len(self.instances), variant, self.sim.env.now)
        self.instances.append(instance)
        self._tell("launching", "", instance)
        return instance

    def _come_up(self, instance: Instance) -> Story:
        life, env = self.deployment.instance_life, self.sim.env
        rng = self.sim.rng(self.name, "instance", str(instance.number))
        yield env.timeout(float(life.launch.sample(1, rng)[0]))
        instance.machine_up_s = env.now
        self._tell("machine up", "", instance)
        yield env.timeout(float(life.container_start.sample(1, rng)[0]))
        yield env.timeout(life.getting_ready_s(self.variants[instance.variant].model))
        self._in_service(instance)

    @at_the_clock
    def _in_service(self, instance: Instance) -> None:
        self.station.open(instance.variant, instance.number)
        instance.in_service_s = self.sim.env.now
        self._tell("in service", "", instance)

    def _drain(self, instance: Instance) -> Story:
        yield self.sim.env.timeout(self.deployment.instance_life.drain_s)
        if instance.gone_s == math.inf:  # it may have crashed meanwhile
            self._end(instance, "drained")

    @at_the_clock
    def _end(self, instance: Instance, how: str) -> None:
        self.station.kill(instance.number)
        instance.draining_s = min(instance.draining_s, self.sim.env.now)
        instance.gone_s, instance.ended = self.sim.env.now, how
        self._tell("gone", how, instance)

    def _serving(self, number: int) -> Instance:
        serving = {i.number: i for i in self.instances if i.serving}
        if number not in serving:
            raise ParameterError(f"{self.name} has no instance {number!r} in service; it has {list(serving)}.")
        return serving[number]

    def _tell(self, kind: str, detail: str, instance: Instance | None = None) -> None:
        subject = self.name if instance is None else f"{self.name}/instance {instance.number}"
        self.sim.tell(kind, subject, detail)

    # --- what came of it ---

    @property
    def run(self) -> Run:
        """Everything up to the clock's instant."""
        self.advance()
        return Run(self._snapshot())

    def _snapshot(self) -> Snapshot:
        lane = self.station.lane
        minutes = math.ceil(self.sim.env.now / 60)
        inside = self.station.inside()
        return Snapshot(
            name=self.name,
            deployment=self.deployment,
            workload=self.workload,
            seed=self.sim.seed,
            replication=self.sim.replication,
            region=self.sim.region,
            started_at=self.sim.started_at,
            begin_s=self.deployed_s,
            end_s=self.sim.env.now,
            partial=self.sim.interrupted,
            variants=[variant.name for variant in self.variants],
            workers=[variant.workers for variant in self.variants],
            instances=_frame_of(self.instances),
            requests=self.station.log() if self._logs else None,
            tally=lane.tally[:, :minutes].copy(),
            per_instance=lane.per_instance[:, :minutes].copy(),
            histogram=lane.histogram[:, : math.ceil(minutes / 60)].copy(),
            inside=np.bincount(inside["variant"], minlength=len(self.variants)),
            waiting=self.station.waiting_and_running()[:, 0],
            events=self.sim.events_of(self.name),
            meters=tuple(self._meters(lane.tally)),
            assumptions=tuple(self.deployment.assumptions()),
        )

    def _meters(self, tally: np.ndarray) -> Iterator[pricing.Meter]:
        """Instances from their machine being up to their end, their storage, and the payloads that went through."""
        now, gb_in, gb_out = self.sim.env.now, 0.0, 0.0
        for v, variant in enumerate(self.variants):
            lives = [i for i in self.instances if i.variant == v and i.machine_up_s < now]
            lived = [min(i.gone_s, now) - i.machine_up_s for i in lives]
            hours = pricing.billed_seconds(lived, "sagemaker_hosting") / 3600
            of = f" ({variant.name})" if len(self.variants) > 1 else ""
            yield pricing.hosting_hours(variant.instance_type, hours, item=f"{variant.instance_type} instances{of}")
            yield pricing.endpoint_storage(self.deployment.volume_size_in_gb, hours, item=f"Storage{of}")
            sent = tally[v].sum(axis=0)
            reached = sent[[COMPLETED, TIMED_OUT, FAILED]].sum()
            gb_in += variant.model.request_kb * float(reached) / pricing.KB_PER_GB
            gb_out += variant.model.response_kb * float(sent[COMPLETED]) / pricing.KB_PER_GB
        yield from pricing.data_processed(gb_in, gb_out)


def _rules(deployment: RealTime, *, log: bool) -> Rules:
    retry = deployment.retry
    tries_again = retry is not None and 503 in retry.statuses
    return Rules(
        routing=getattr(lanes, deployment.routing),
        queue_limit=lanes.NO_LIMIT if deployment.queue_limit is None else deployment.queue_limit,
        timeout_s=deployment.invocation_timeout_s,
        cancel_on_timeout=deployment.cancel_on_timeout,
        max_attempts=retry.max_attempts if retry is not None and tries_again else 1,
        backoff_base_s=retry.base_s if retry is not None else 0.0,
        backoff_factor=retry.factor if retry is not None else 1.0,
        backoff_jitter=retry.jitter if retry is not None else False,
        log=log,
        fold=not log,
    )


def _frame_of(instances: list[Instance]) -> dict[str, list[Any]]:
    """The lives as columns."""
    names = ("number", "variant", "launched_s", "machine_up_s", "in_service_s", "draining_s", "gone_s", "ended")
    return {name: [getattr(instance, name) for instance in instances] for name in names}
