"""A running real-time endpoint: its station in the lanes, the lives of its instances, and the commands decisions give.

Whoever decides is a SimPy process and calls the methods here.  Whatever reads or changes the lane brings it to the
clock's instant first, so a decision never sees later than now, and what it changes counts from now on.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from simlib import pricing
from simlib.parameters import NonNegative, ParameterError, Text, Whole, checked, nearest
from simlib.record import COMPLETED, FAILED, TIMED_OUT, Snapshot
from simlib.results import Run
from simlib.serving import lanes
from simlib.serving.autoscaler import Autoscaler
from simlib.serving.demand import chunks
from simlib.serving.fleet import Fleet, Instance
from simlib.serving.realtime import RealTime, Variant, named
from simlib.serving.station import Rules, Station
from simlib.workload import TARGET

if TYPE_CHECKING:
    from simlib.simulation import Simulation
    from simlib.workload import Workload


class Endpoint:
    """A deployment that is running.  `Simulation.deploy` makes one."""

    def __init__(
        self,
        sim: "Simulation",
        deployment: RealTime,
        workload: "Workload",
        name: str,
        *,
        log: bool,
        from_cold: bool,
        share: float = 1.0,
    ) -> None:
        self.sim, self.deployment, self.workload, self.name = sim, deployment, workload, name
        self.variants = deployment.fleets
        self.instances: list[Instance] = []
        self.shadow: Endpoint | None = None
        self.desired_log: list[tuple[float, int, int]] = []
        self.deployed_s = sim.env.now
        self._logs = log
        workers = [variant.workers for variant in self.variants]
        _check_targets(workload, [variant.name for variant in self.variants])
        _check_prices(self.variants, sim)
        self.station = Station(_rules(deployment, log=log), workers, chunks(sim, workload, deployment, share=share))
        self.station.advance(sim.env.now)
        self.station.weigh([variant.weight for variant in self.variants])
        self.fleets = [Fleet(self, v) for v in range(len(self.variants))]
        for v, (variant, fleet) in enumerate(zip(self.variants, self.fleets, strict=True)):
            if from_cold:
                fleet.set_desired(variant.initial_instance_count, "deployed")
            else:
                for _ in range(variant.initial_instance_count):
                    fleet.appear()
                self.desired_log.append((sim.env.now, v, fleet.desired))
            if deployment.policies:
                Autoscaler(self, v, deployment.policies)

        if deployment.shadow is not None:
            share = deployment.shadow_sampling_percentage / 100
            copy, name = deployment.alone(deployment.shadow), f"{name}/shadow"
            self.shadow = Endpoint(sim, copy, workload, name, log=log, from_cold=from_cold, share=share)

    # --- commands ---

    def advance(self) -> None:
        """Bring the requests to the clock's instant."""
        if self.station.now < self.sim.env.now:
            self.station.advance(self.sim.env.now)
        if self.shadow is not None:
            self.shadow.advance()

    @checked
    def scale_to(self, instances: Whole, *, variant: Text | None = None) -> None:
        """Ask for so many instances: missing ones are launched, surplus ones drained (or cancelled on their way)."""
        self.set_desired(named(self.variants, variant), instances, "asked for")

    @checked
    def drain(self, instance: Whole) -> None:
        """Take an instance out of service for good; it has `drain_s` seconds to finish what it has."""
        leaving = self._serving(instance)
        fleet = self.fleets[leaving.variant]
        fleet.desired -= 1
        self.desired_log.append((self.sim.env.now, leaving.variant, fleet.desired))
        fleet.take_away(leaving)

    @checked
    def crash(self, instance: Whole) -> None:
        """An instance dies at once, and everything it had not answered fails.  The platform launches another."""
        dying = self._serving(instance)
        self.fleets[dying.variant].crash(dying)

    @checked
    def set_weights(self, weights: Mapping[Text, NonNegative]) -> None:
        """From now on requests go to variants in proportion to these weights; those not named keep theirs."""
        self.advance()
        now = self.station.lane.variants["weight"].tolist()
        for name, weight in weights.items():
            now[named(self.variants, name)] = weight
        if sum(now) <= 0:
            raise ParameterError("set_weights: at least one variant should keep a weight greater than 0.")
        self.station.weigh(now)
        self.tell("weights", ", ".join(f"{v.name}={w:g}" for v, w in zip(self.variants, now, strict=True)))

    # --- for whoever decides ---

    def in_service(self, variant: int) -> int:
        """Instances of a variant that take requests now."""
        return self.fleets[variant].in_service

    @property
    def desired(self) -> list[int]:
        """Instances asked for, for each variant."""
        return [fleet.desired for fleet in self.fleets]

    def set_desired(self, variant: int, wanted: int, why: str) -> None:
        """Ask for *wanted* instances of a variant, and note why."""
        self.fleets[variant].set_desired(wanted, why)

    def tell(self, kind: str, detail: str, variant: int | None = None) -> None:
        """Note an event about this endpoint or one of its variants."""
        part = f"/{self.variants[variant].name}" if variant is not None and len(self.variants) > 1 else ""
        self.sim.tell(kind, self.name + part, detail)

    def _serving(self, number: int) -> Instance:
        serving = {i.number: i for i in self.instances if i.serving}
        if number not in serving:
            raise ParameterError(f"{self.name} has no instance {number!r} in service; it has {list(serving)}.")
        return serving[number]

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
            instances=_columns_of(self.instances),
            desired=tuple(self.desired_log),
            requests=self.station.log() if self._logs else None,
            tally=lane.tally[:, :minutes].copy(),
            per_instance=lane.per_instance[:, :minutes].copy(),
            shadow=None if self.shadow is None else self.shadow._snapshot(),
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
        if self.shadow is not None:
            for meter in self.shadow._meters(self.shadow.station.lane.tally):
                yield replace(meter, item=f"{meter.item or meter.sku} (shadow)")


def _check_targets(workload: "Workload", names: list[str]) -> None:
    for column in workload.work_columns:
        if column.startswith(TARGET) and len(names) > 1 and column.removeprefix(TARGET) not in names:
            asked = column.removeprefix(TARGET)
            raise ParameterError(f"deploy: the workload asks for variant {asked!r}; {nearest(asked, names)}")


def _check_prices(variants: Sequence[Variant], sim: "Simulation") -> None:
    """A machine that is not on offer is told before the work begins, not with the bill."""
    day = max(sim.started_at.date(), pricing.CATALOG_DATE)
    for kind in {variant.instance_type: None for variant in variants}:
        try:
            pricing.price("sagemaker_hosting", kind, region=sim.region, as_of=day)
        except ParameterError as error:
            reason = str(error).removeprefix("price: ")
            raise ParameterError(f"deploy: instance_type={kind!r}, region={sim.region!r}: {reason}") from None


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


def _columns_of(instances: list[Instance]) -> dict[str, list[Any]]:
    """The lives as columns."""
    names = ("number", "variant", "launched_s", "machine_up_s", "in_service_s", "draining_s", "gone_s", "ended")
    return {name: [getattr(instance, name) for instance in instances] for name in names}
