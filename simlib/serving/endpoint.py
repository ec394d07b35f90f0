"""A running real-time endpoint: its station in the lanes, the lives of its instances, and the commands decisions give.

Whoever decides is a SimPy process and calls the methods here.  Whatever reads or changes the lane brings it to the
clock's instant first, so a decision never sees later than now, and what it changes counts from now on.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from simlib import pricing
from simlib.parameters import Flag, NonNegative, ParameterError, Text, Whole, checked, nearest, shortly
from simlib.record import REJECTED, THROTTLED, Snapshot
from simlib.serving import lanes
from simlib.serving.capture import Captured, check_rows
from simlib.serving.demand import Variants
from simlib.serving.fleet import Fleet
from simlib.serving.hosted import Hosted
from simlib.serving.realtime import OF_EACH_VARIANT, RealTime, Variant, named
from simlib.serving.rollout import AllAtOnce, Rollout
from simlib.serving.served import check_machine, retry_rules
from simlib.serving.station import Rules, Station
from simlib.serving.updating import Updating
from simlib.workload.stream import TARGET

if TYPE_CHECKING:
    from simlib.simulation import Simulation
    from simlib.workload import Workload


DEFAULT_ROLLOUT = AllAtOnce()
CHANGED_BY_AN_UPDATE = (
    *("model", "variants", *OF_EACH_VARIANT),
    *("volume_size_in_gb", "speed", "instance_life", "scaling"),
)


class Endpoint(Hosted):
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
        self.variants: Sequence[Variant] = deployment.fleets  # all there ever were; an update adds to them
        self.live: list[int] = list(range(len(self.variants)))  # the numbers of those that serve now
        self._plain_names = [variant.name for variant in self.variants]
        self._updating: Updating | None = None
        self.shadow: Endpoint | None = None
        self.capture: Captured | None = None
        workers = [variant.workers for variant in self.variants]
        _check_targets(workload, [variant.name for variant in self.variants])
        everyone = (*self.variants, *([deployment.shadow] if deployment.shadow else []))
        for kind in {variant.instance_type: None for variant in everyone}:
            check_machine(sim, kind)
        self._demand = Variants(sim, workload, deployment, share=share)
        self.station = Station(_rules(deployment, log=log), workers, self._demand)
        self.station.advance(sim.env.now)
        self.station.weigh([variant.weight for variant in self.variants])
        self.staff(from_cold=from_cold)
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

    @property
    def stations(self) -> list[Station]:
        """Its own, and that of the shadow."""
        return super().stations + (self.shadow.stations if self.shadow is not None else [])

    @checked
    def set_weights(self, weights: Mapping[Text, NonNegative]) -> None:
        """From now on requests go to variants in proportion to these weights; those not named keep theirs."""
        self._check_settled("set_weights")
        self.advance()
        now = self.station.lane.variants["weight"].tolist()
        for name, weight in weights.items():
            now[self.number_of(name)] = weight
        if sum(now) <= 0:
            raise ParameterError("set_weights: at least one variant should keep a weight greater than 0.")
        self.station.weigh(now)
        self.tell("weights", ", ".join(f"{self.variants[v].name}={now[v]:g}" for v in self.live))

    @checked
    def scale_to(self, instances: Whole, *, variant: Text | None = None) -> None:
        """Ask for so many instances: missing ones are launched, surplus ones drained (or cancelled on their way)."""
        self._check_settled("scale_to")
        super().scale_to(instances, variant=variant)

    @checked
    def update(
        self,
        deployment: RealTime,
        rollout: Rollout = DEFAULT_ROLLOUT,
        *,
        retain_all_variant_properties: Flag = False,
    ) -> Any:
        """Replace what serves by *deployment*, in the manner of *rollout*, while requests go on.

        Parameters
        ----------
        deployment : RealTime
            What should serve.  Models, variants, machines, counts, workers, storage, speed, the life of instances and
            scaling may change; the rest is the endpoint's own.
        rollout : AllAtOnce | Canary | Linear | Rolling
        retain_all_variant_properties : bool
            Whether variants keep the number of instances and the weight they have now.  If not, as by default on
            SageMaker, both are set back to those of *deployment*, whatever a policy had made of them.

        Returns
        -------
        simpy.Process
            Whoever needs the outcome yields it; its value has `succeeded`, `why`, `begun_s`, `decided_s`, `ended_s`.
            `interrupt("why")` turns the update back, as long as it is not decided.

        Raises
        ------
        ParameterError
            If an update is going on, or *deployment* changes what an update cannot.
        """
        self._check_settled("update")
        self._check_update(deployment)
        self.advance()
        self._updating = Updating(self, deployment, rollout, retain=retain_all_variant_properties)
        return self.sim.env.process(self._updating.story())

    def carry(self, rows: Any) -> None:
        """From now on requests carry *rows*; those that `data_capture` keeps are in `capture`."""
        carried = check_rows(rows)
        if self.deployment.data_capture is None:
            return
        if not self._logs:
            raise ParameterError("deploy: rows is not possible in a folded run; make it Simulation(…, log='exact').")
        self.capture = Captured(self, self.deployment.data_capture, carried)

    # --- for an update ---

    def number_of(self, name: str | None) -> int:
        """The number of the variant called *name*: of those that serve, else of those that did; None: the only one."""
        if name is None and len(self.live) == 1:
            return self.live[0]
        serving = [v for v in self.live if self._plain_names[v] == name]
        return serving[0] if serving else named(self.variants, name)

    def plain_name(self, number: int) -> str:
        """A variant's name in its own deployment."""
        return self._plain_names[number]

    def join(self, variant: Variant, deployment: RealTime) -> int:
        """A variant more, without traffic or instances yet.  Returns its number."""
        self.advance()
        inside = self.station.inside()["row"]
        number = self.station.join(variant.workers, self._demand.join(variant, deployment.speed, inside))
        taken = {each.name for each in self.variants}
        names = (variant.name, *(f"{variant.name} ({k})" for k in range(2, len(taken) + 2)))
        name = next(name for name in names if name not in taken)
        self.variants = (*self.variants, replace(variant, name=name))
        self._plain_names.append(variant.name)
        self.fleets.append(Fleet(self, number, deployment))
        return number

    def leave(self, number: int) -> None:
        """A variant without traffic or instances needs no more random numbers, and nobody scales it."""
        self._demand.leave(number)
        if number in self.scalers:
            self.scalers.pop(number).end()

    def settle(self, live: Sequence[int], update: Updating) -> None:
        """The update is over, and these variants serve."""
        succeeded, self.live, self._updating = list(live) == list(update.new.numbers), list(live), None
        for number in self.live:
            self.fleets[number].patience_s = 0.0
            if succeeded:
                self.scale(number)
            elif number in self.scalers:
                self.scalers[number].resume()
        if succeeded:
            self.deployment = update.deployment

    def _check_settled(self, command: str) -> None:
        if self._updating is not None:
            raise ParameterError(f"{command}: {self.name} is being updated; wait until that is over.")

    def _check_update(self, new: RealTime) -> None:
        kept = (each.name for each in fields(RealTime) if each.name not in CHANGED_BY_AN_UPDATE)
        for name in kept:
            if getattr(new, name) != getattr(self.deployment, name):
                raise ParameterError(
                    f"update: {name}={shortly(getattr(new, name))} is not possible: an update keeps it, and it is "
                    f"{shortly(getattr(self.deployment, name))}."
                )
        if any(column.startswith(TARGET) for column in self.workload.work_columns):
            raise ParameterError(
                "update: callers ask for variants by name (targeting), and an update would rename them."
            )
        for kind in {variant.instance_type: None for variant in new.fleets}:
            check_machine(self.sim, kind)

    # --- what came of it ---

    def snapshot(self, **of_its_kind: Any) -> Snapshot:
        """The record at the clock's instant, and that of the copies."""
        shadow = None if self.shadow is None else self.shadow.snapshot()
        return replace(super().snapshot(shadow=shadow, **of_its_kind), deployment=self._ever())

    def _ever(self) -> RealTime:
        """The deployment with all variants there ever were, in the order of their numbers."""
        if len(self.variants) == len(self.live):
            return self.deployment
        its_own = {name: RealTime.__dataclass_fields__[name].default for name in OF_EACH_VARIANT}
        return replace(self.deployment, model=None, variants=tuple(self.variants), **its_own)

    def meters(self) -> Iterator[pricing.Meter]:
        """What its instances, their storage and its payloads cost, and those of the copies."""
        yield from super().meters()
        if self.shadow is not None:
            for meter in self.shadow.meters():
                yield replace(meter, item=f"{meter.item or meter.sku} (shadow)")


def _check_targets(workload: "Workload", names: list[str]) -> None:
    for column in workload.work_columns:
        if column.startswith(TARGET) and len(names) > 1 and column.removeprefix(TARGET) not in names:
            asked = column.removeprefix(TARGET)
            raise ParameterError(f"deploy: the workload asks for variant {asked!r}; {nearest(asked, names)}")


def _limit_grows(deployment: RealTime) -> bool:
    """A line at each instance is of that instance anyway."""
    shared, bounded = deployment.routing == "SHARED_QUEUE", deployment.queue_limit is not None
    return shared and bounded and deployment.queue_limit_of == "instance"


def _rules(deployment: RealTime, *, log: bool) -> Rules:
    return Rules(
        routing=getattr(lanes, deployment.routing),
        queue_limit=lanes.NO_LIMIT if deployment.queue_limit is None else deployment.queue_limit,
        limit_grows=_limit_grows(deployment),
        refusal=REJECTED if deployment.refusal == 503 else THROTTLED,
        timeout_s=deployment.invocation_timeout_s,
        cancel_on_timeout=deployment.cancel_on_timeout,
        log=log,
        fold=not log,
        **retry_rules(deployment.retry, deployment.refusal),
    )
