"""A running real-time endpoint: its station in the lanes, the lives of its instances, and the commands decisions give.

Whoever decides is a SimPy process and calls the methods here.  Whatever reads or changes the lane brings it to the
clock's instant first, so a decision never sees later than now, and what it changes counts from now on.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from simlib import pricing
from simlib.parameters import NonNegative, ParameterError, Text, checked, nearest
from simlib.record import REJECTED, THROTTLED, Snapshot
from simlib.serving import lanes
from simlib.serving.capture import Captured, check_rows
from simlib.serving.demand import chunks
from simlib.serving.hosted import Hosted
from simlib.serving.realtime import RealTime, named
from simlib.serving.served import check_machine, retry_rules
from simlib.serving.station import Rules, Station
from simlib.workload.stream import TARGET

if TYPE_CHECKING:
    from simlib.simulation import Simulation
    from simlib.workload import Workload


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
        self.variants = deployment.fleets
        self.shadow: Endpoint | None = None
        self.capture: Captured | None = None
        workers = [variant.workers for variant in self.variants]
        _check_targets(workload, [variant.name for variant in self.variants])
        everyone = (*self.variants, *([deployment.shadow] if deployment.shadow else []))
        for kind in {variant.instance_type: None for variant in everyone}:
            check_machine(sim, kind)
        self.station = Station(_rules(deployment, log=log), workers, chunks(sim, workload, deployment, share=share))
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
        self.advance()
        now = self.station.lane.variants["weight"].tolist()
        for name, weight in weights.items():
            now[named(self.variants, name)] = weight
        if sum(now) <= 0:
            raise ParameterError("set_weights: at least one variant should keep a weight greater than 0.")
        self.station.weigh(now)
        self.tell("weights", ", ".join(f"{v.name}={w:g}" for v, w in zip(self.variants, now, strict=True)))

    def carry(self, rows: Any) -> None:
        """From now on requests carry *rows*; those that `data_capture` keeps are in `capture`."""
        carried = check_rows(rows)
        if self.deployment.data_capture is None:
            return
        if not self._logs:
            raise ParameterError("deploy: rows is not possible in a folded run; make it Simulation(…, log='exact').")
        self.capture = Captured(self, self.deployment.data_capture, carried)

    # --- what came of it ---

    def snapshot(self, **of_its_kind: Any) -> Snapshot:
        """The record at the clock's instant, and that of the copies."""
        shadow = None if self.shadow is None else self.shadow.snapshot()
        return super().snapshot(shadow=shadow, **of_its_kind)

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
