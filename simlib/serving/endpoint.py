"""A running real-time endpoint: its station in the lanes, the lives of its instances, and the commands decisions give.

Whoever decides is a SimPy process and calls the methods here.  Whatever reads or changes the lane brings it to the
clock's instant first, so a decision never sees later than now, and what it changes counts from now on.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from simlib import pricing
from simlib.parameters import NonNegative, ParameterError, Text, Whole, checked, nearest
from simlib.record import Snapshot
from simlib.serving import lanes
from simlib.serving.autoscaler import Autoscaler
from simlib.serving.demand import chunks
from simlib.serving.fleet import Fleet, Instance, columns_of
from simlib.serving.realtime import RealTime, named
from simlib.serving.served import Served, check_on_offer, retry_rules
from simlib.serving.station import Rules, Station
from simlib.workload.stream import TARGET

if TYPE_CHECKING:
    from simlib.simulation import Simulation
    from simlib.workload import Workload


class Endpoint(Served):
    """A real-time deployment that is running.  `Simulation.deploy` makes one."""

    deployment: RealTime

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
        super().__init__(sim, deployment, workload, name, log=log)
        self.variants = deployment.fleets
        self.instances: list[Instance] = []
        self.shadow: Endpoint | None = None
        self.desired_log: list[tuple[float, int, int]] = []
        workers = [variant.workers for variant in self.variants]
        _check_targets(workload, [variant.name for variant in self.variants])
        everyone = (*self.variants, *([deployment.shadow] if deployment.shadow else []))
        for kind in {variant.instance_type: None for variant in everyone}:
            check_on_offer(sim, "sagemaker_hosting", kind, f"instance_type={kind!r}")
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
            copy, name = deployment.alone(deployment.shadow), f"{name}-shadow"
            self.shadow = Endpoint(sim, copy, workload, name, log=log, from_cold=from_cold, share=share)

    # --- commands ---

    def advance(self) -> None:
        """Bring the requests, and the copies that a shadow gets, to the clock's instant."""
        super().advance()
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
        fleet.let_go(leaving)

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

    def _serving(self, number: int) -> Instance:
        serving = {i.number: i for i in self.instances if i.serving}
        if number not in serving:
            raise ParameterError(f"{self.name} has no instance {number!r} in service; it has {list(serving)}.")
        return serving[number]

    # --- what came of it ---

    def snapshot(self, **of_its_kind: Any) -> Snapshot:
        """The record at the clock's instant, with the lives of the instances."""
        return super().snapshot(
            instances=columns_of(self.instances),
            desired=tuple(self.desired_log),
            shadow=None if self.shadow is None else self.shadow.snapshot(),
            **of_its_kind,
        )

    def meters(self) -> Iterator[pricing.Meter]:
        """Instances from their machine being up to their end, their storage, and the payloads that went through."""
        now = self.sim.env.now
        for v, variant in enumerate(self.variants):
            lives = [i for i in self.instances if i.variant == v and i.machine_up_s < now]
            lived = [min(i.gone_s, now) - i.machine_up_s for i in lives]
            hours = pricing.billed_seconds(lived, "sagemaker_hosting") / 3600
            of = f" ({variant.name})" if len(self.variants) > 1 else ""
            yield pricing.hosting_hours(variant.instance_type, hours, item=f"{variant.instance_type} instances{of}")
            yield pricing.endpoint_storage(self.deployment.volume_size_in_gb, hours, item=f"Storage{of}")
        yield from self.payloads()
        if self.shadow is not None:
            for meter in self.shadow.meters():
                yield replace(meter, item=f"{meter.item or meter.sku} (shadow)")


def _check_targets(workload: "Workload", names: list[str]) -> None:
    for column in workload.work_columns:
        if column.startswith(TARGET) and len(names) > 1 and column.removeprefix(TARGET) not in names:
            asked = column.removeprefix(TARGET)
            raise ParameterError(f"deploy: the workload asks for variant {asked!r}; {nearest(asked, names)}")


def _rules(deployment: RealTime, *, log: bool) -> Rules:
    return Rules(
        routing=getattr(lanes, deployment.routing),
        queue_limit=lanes.NO_LIMIT if deployment.queue_limit is None else deployment.queue_limit,
        timeout_s=deployment.invocation_timeout_s,
        cancel_on_timeout=deployment.cancel_on_timeout,
        log=log,
        fold=not log,
        **retry_rules(deployment.retry, 503),
    )
