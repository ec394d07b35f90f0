"""What every running deployment is: a name, a workload, a station in the lanes, and the record it leaves."""

import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from simlib import pricing
from simlib.parameters import ParameterError
from simlib.record import COMPLETED, FAILED, TIMED_OUT, Snapshot
from simlib.results import Run
from simlib.serving.realtime import Retry
from simlib.serving.station import Station

if TYPE_CHECKING:
    from simlib.model import ModelProfile
    from simlib.simulation import Simulation
    from simlib.workload import Workload


class Scalable(Protocol):
    """What an autoscaler needs of a running deployment: capacity by variant, asked for and there."""

    sim: "Simulation"
    station: Station

    @property
    def desired(self) -> list[int]: ...
    def in_service(self, variant: int) -> int: ...
    def set_desired(self, variant: int, wanted: int, why: str) -> None: ...
    def advance(self) -> None: ...
    def tell(self, kind: str, detail: str, variant: int | None = None) -> None: ...


class Companion(Protocol):
    """What works for a deployment from outside, and is paid for with it: a monitor, say."""

    def meters(self) -> Iterator[pricing.Meter]: ...


class Served:
    """A deployment on a simulation's clock.  Each kind adds its commands, its meters, and who decides in it."""

    variants: Sequence[Any]  # each with a name, a model and workers
    station: Station

    def __init__(self, sim: "Simulation", deployment: Any, workload: "Workload", name: str, *, log: bool) -> None:
        self.sim, self.deployment, self.workload, self.name = sim, deployment, workload, name
        self.deployed_s = sim.env.now
        self.companions: list[Companion] = []
        self._logs = log

    def advance(self) -> None:
        """Bring the requests to the clock's instant."""
        if self.station.now < self.sim.env.now:
            self.station.advance(self.sim.env.now)

    @property
    def stations(self) -> list[Station]:
        """Whose memory holds all its requests; none where they do not travel in the lanes."""
        station = getattr(self, "station", None)
        return [station] if isinstance(station, Station) else []

    def expect(self, until_s: float) -> None:
        """Requests will be served until *until_s*: what they need is made at once, not piece by piece."""
        for station in self.stations:
            station.expect(self.workload.expected(self.sim.env.now, until_s))

    def tell(self, kind: str, detail: str, variant: int | None = None) -> None:
        """Note an event about this endpoint or one of its variants."""
        part = f"/{self.variants[variant].name}" if variant is not None and len(self.variants) > 1 else ""
        self.sim.tell(kind, self.name + part, detail)

    def carry(self, rows: Any) -> None:
        """From now on requests carry *rows*; only a deployment with data capture keeps any."""
        kind = type(self.deployment).__name__
        raise ParameterError(f"deploy: rows is not possible: a {kind} captures no data; a RealTime endpoint can.")

    # --- what came of it ---

    @property
    def run(self) -> Run:
        """Everything up to the clock's instant."""
        self.advance()
        return Run(self.snapshot())

    def snapshot(self, **of_its_kind: Any) -> Snapshot:
        """The record at the clock's instant; the lane has been brought there."""
        inside = self.station.inside()
        return self.record(
            requests=self.station.log() if self._logs else None,
            **self.station.tables(self.sim.env.now),
            inside=np.bincount(inside["variant"], minlength=len(self.variants)),
            **of_its_kind,
        )

    def record(self, **of_its_kind: Any) -> Snapshot:
        """A snapshot of what every deployment has, joined with what only this one knows."""
        sim = self.sim
        return Snapshot(
            name=self.name,
            deployment=self.deployment,
            workload=self.workload,
            seed=sim.seed,
            replication=sim.replication,
            region=sim.region,
            started_at=sim.started_at,
            begin_s=self.deployed_s,
            end_s=sim.env.now,
            partial=sim.interrupted,
            variants=[variant.name for variant in self.variants],
            workers=[variant.workers for variant in self.variants],
            events=sim.events_of(self.name),
            meters=(*self.meters(), *(meter for each in self.companions for meter in each.meters())),
            assumptions=tuple(self.deployment.assumptions()),
            **of_its_kind,
        )

    def meters(self) -> Iterator[pricing.Meter]:
        """What is paid for."""
        raise NotImplementedError

    def payloads(self) -> Iterator[pricing.Meter]:
        """What went in with each request that reached the model, and out with each answer, where that has a price."""
        gb_in, gb_out = 0.0, 0.0
        priced = [pricing.machine(getattr(variant, "instance_type", "")).platform == "aws" for variant in self.variants]
        for variant, sent in itertools.compress(
            zip(self.variants, self.station.lane.tally.sum(axis=1), strict=True), priced
        ):
            model: ModelProfile = variant.model
            reached = sent[[COMPLETED, TIMED_OUT, FAILED]].sum()
            gb_in += model.request_kb * float(reached) / pricing.KB_PER_GB
            gb_out += model.response_kb * float(sent[COMPLETED]) / pricing.KB_PER_GB
        if any(priced):
            yield from pricing.data_processed(gb_in, gb_out)


def retry_rules(retry: Retry | None, status: int) -> dict[str, Any]:
    """The fields of `station.Rules` that say what callers do when refused with *status*."""
    if retry is None or status not in retry.statuses:
        return {}
    return {
        "max_attempts": retry.max_attempts,
        "backoff_base_s": retry.base_s,
        "backoff_factor": retry.factor,
        "backoff_jitter": retry.jitter,
    }


def check_machine(sim: "Simulation", instance_type: str, use: pricing.Use = "hosting") -> None:
    """A machine without a price in the region is told before the work begins, not with the bill.

    Raises
    ------
    ParameterError
        Naming the instance type and what is on offer.
    """
    what = pricing.machine(instance_type, use)
    for sku, _, _ in what.parts:
        check_on_offer(sim, what.service, sku, f"instance_type={instance_type!r}", platform=what.platform)


def check_on_offer(
    sim: "Simulation", service: str, sku: str, parameter: str, *, platform: pricing.Owner = "aws"
) -> None:
    """What has no price in the region is told before the work begins, not with the bill.

    Raises
    ------
    ParameterError
        Naming *parameter* and what is on offer.
    """
    day, region = pricing.priced_on(sim.started_at.date()), pricing.region_of(platform, sim.region)
    try:
        pricing.price(service, sku, region=region, platform=platform, as_of=day)
    except ParameterError as error:
        reason = str(error).removeprefix("price: ")
        raise ParameterError(f"deploy: {parameter}, region={region!r}: {reason}") from None
