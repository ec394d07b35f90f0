"""A running deployment on instances: fleets that policies and people scale, lives on the record, hours on the bill."""

from collections.abc import Iterator
from typing import Any

from simlib import pricing
from simlib.parameters import NonNegative, ParameterError, Text, Whole, checked
from simlib.record import Snapshot
from simlib.serving.autoscaler import Autoscaler
from simlib.serving.fleet import Fleet, Instance, columns_of
from simlib.serving.interruptible import priced
from simlib.serving.realtime import named
from simlib.serving.served import Served


class Hosted(Served):
    """What deployments on instances share; each adds its station, its requests and its metrics.

    Whoever decides is a SimPy process and calls the methods here.  Whatever reads or changes the lane brings it to the
    clock's instant first, so a decision never sees later than now, and what it changes counts from now on.
    """

    instances: list[Instance]
    desired_log: list[tuple[float, int, int]]
    fleets: list[Fleet]
    no_machines_before_s = 0.0  # the region is short of capacity until then

    def staff(self, *, from_cold: bool) -> None:
        """Give each variant its first instances, and whoever scales it; the station is there."""
        self.instances, self.desired_log = [], []
        self.fleets = [Fleet(self, v, self.deployment) for v in range(len(self.variants))]
        self.scalers: dict[int, Autoscaler] = {}
        for v, (variant, fleet) in enumerate(zip(self.variants, self.fleets, strict=True)):
            if from_cold:
                fleet.set_desired(variant.initial_instance_count, "deployed")
            else:
                for _ in range(variant.initial_instance_count):
                    fleet.appear()
                self.desired_log.append((self.sim.env.now, v, fleet.desired))
            self.scale(v)

    def scale(self, variant: int) -> None:
        """From now on the policies of its deployment scale a variant, where it has any."""
        if policies := self.fleets[variant].deployment.policies:
            self.scalers[variant] = Autoscaler(self, variant, policies)

    # --- commands ---

    @checked
    def scale_to(self, instances: Whole, *, variant: Text | None = None) -> None:
        """Ask for so many instances: missing ones are launched, surplus ones drained (or cancelled on their way)."""
        self.set_desired(self.number_of(variant), instances, "asked for")

    @checked
    def drain(self, instance: Whole) -> None:
        """Take an instance out of service for good; it has `drain_s` seconds to finish what it has."""
        leaving = self._serving(instance)
        fleet = self.fleets[leaving.variant]
        fleet.let_go(leaving)

    @checked
    def crash(self, instance: Whole) -> None:
        """An instance dies at once with everything it had not answered.  The platform launches another."""
        dying = self._serving(instance)
        self.fleets[dying.variant].crash(dying)

    @checked
    def capacity_shortage(self, seconds: NonNegative) -> None:
        """For so many *seconds* the region has no machine to spare: who is launched waits for one.

        Assumption: launches are not refused, but wait; those on their way whose machine is up go on.
        """
        self.no_machines_before_s = self.sim.env.now + seconds
        self.tell("shortage", f"no new machines for {seconds:g} s")

    # --- for whoever decides ---

    def number_of(self, name: str | None) -> int:
        """The number of the variant called *name*; None means the only one."""
        return named(self.variants, name)

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
        return super().snapshot(instances=columns_of(self.instances), desired=tuple(self.desired_log), **of_its_kind)

    def meters(self) -> Iterator[pricing.Meter]:
        """Instances from their machine being up to their end, their storage, and the payloads that went through."""
        now = self.sim.env.now
        for v, variant in enumerate(self.variants):
            lives = [i for i in self.instances if i.variant == v and i.machine_up_s < now]
            lived = [i.billed_s(now) for i in lives]
            what = pricing.machine(variant.instance_type)
            hours = what.billed_hours(lived)
            of = f" ({variant.name})" if len(self.variants) > 1 else ""
            less = getattr(self.fleets[v].deployment, "interruptible", None)
            for meter in what.meters(hours, item=f"{variant.instance_type} instances{of}", region=self.sim.region):
                yield priced(meter, self.sim, less)
            if what.platform == "aws":  # the other two price neither the disk of a node nor what goes through it
                yield pricing.endpoint_storage(self.fleets[v].deployment.volume_size_in_gb, hours, item=f"Storage{of}")
        yield from self.payloads()
