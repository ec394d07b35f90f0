"""A fleet of devices that is running: requests on each, who is connected, what is sent home, which version is where.

A device answers its requests one after the other, so between two decisions the flow is arithmetic (`answer`, compiled).
Who decides is the update (`edge_update.py`): it advances the fleet to its own instant before it changes a version.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from simlib import pricing
from simlib.model import ModelProfile
from simlib.record import BUSY_NS, COMPLETED, INSIDE, Requests, Snapshot
from simlib.serving.devices import slowdown
from simlib.serving.edge import Devices, Edge
from simlib.serving.edge_update import Outcome, UpdateStory
from simlib.serving.lanes import compiled
from simlib.serving.links import Links
from simlib.serving.minutes import histogram_of, tally_of
from simlib.serving.served import Served

if TYPE_CHECKING:
    from simlib.simulation import Simulation
    from simlib.workload import Workload

MINUTE_NS = 60_000_000_000


class Chunk(NamedTuple):
    """Requests in order of arrival, with every random number they may need; indices: r request, w version."""

    arrival: np.ndarray  # [r] seconds
    device: np.ndarray  # [r]
    kept: np.ndarray  # [r] whether it is a sample
    takes: np.ndarray  # [w, r] seconds on its device
    start: np.ndarray  # [r] written by `answer`
    finish: np.ndarray  # [r]


@dataclass(frozen=True)
class Kind:
    """The devices of one kind are one variant of the record, each with one worker."""

    name: str
    model: ModelProfile
    workers: int = 1


class Sent(NamedTuple):
    """Samples so far, by what became of them."""

    captured: int
    uploaded: int
    dropped: int
    waiting: int


class EdgeFleet(Served):
    """The devices of an `Edge` deployment.  `Simulation.deploy` makes them.

    Attributes
    ----------
    links : Links
        Who is connected when.
    version : numpy.ndarray, shape (devices,)
        0 at the start, 1 with the update.
    """

    deployment: Edge

    def __init__(self, sim: "Simulation", deployment: Edge, workload: "Workload", name: str, *, log: bool) -> None:
        super().__init__(sim, deployment, workload, name, log=log)
        kinds, count = deployment.fleet, deployment.count
        self.variants = [Kind(devices.name, deployment.model) for devices in kinds]
        self.kind = np.repeat(np.arange(len(kinds)), [devices.count for devices in kinds])
        self.links = links_of(sim, deployment, workload)
        self.version = np.zeros(count, dtype=np.int64)
        self._free = np.full(count, -np.inf)
        self._to_come = _chunks(sim, workload, deployment, self.kind, sim.env.now)
        self._chunks: list[Chunk] = []
        self._place = (0, 0)  # the next request: its chunk, and its row there
        self._now = sim.env.now
        self._sent = Sent(0, 0, 0, 0)
        self.update: UpdateStory | None = None
        if deployment.update is not None:
            self.update = UpdateStory(self, deployment.update)
            sim.env.process(self.update.run())

    def advance(self) -> None:
        """Let the requests before the clock's instant come; each meets the version that its device has by then."""
        now = self.sim.env.now
        while self._now < now:
            chunk, row = self._place
            if chunk == len(self._chunks):
                more = next(self._to_come, None)
                if more is None:
                    self._now = now
                    return
                self._chunks.append(more)
            those = self._chunks[chunk]
            end = int(np.searchsorted(those.arrival, now))
            some = slice(row, end)
            device = those.device[some]
            takes = those.takes[self.version[device], np.arange(row, end)]
            answer(device, those.arrival[some], takes, self._free, those.start[some], those.finish[some])
            self._place = (chunk, end)
            if end < len(those.arrival):
                self._now = now
            else:
                self._place = (chunk + 1, 0)

    # --- what came of it ---

    def snapshot(self, **of_its_kind: Any) -> Snapshot:
        """The record at the clock's instant; each kind of device is a variant, each device an instance."""
        now, variants = self.sim.env.now, len(self.variants)
        log = self._log(now)
        self._sent = self.samples(log, now)
        tally = tally_of(log, variants, now)
        work = np.zeros((variants, tally.shape[1] + 1), dtype=np.int64)
        work_by_minute(log.variant, log.start, log.finish, now, work)
        tally[:, :, BUSY_NS] = work[:, :-1]
        counts = np.array([devices.count for devices in self.deployment.fleet])
        return self.record(
            requests=log if self._logs else None,
            tally=tally,
            per_instance=tally[:, :, 0] / counts[:, None],
            histogram=histogram_of(log, variants, now),
            inside=np.bincount(log.variant[log.status == INSIDE], minlength=variants),
            instances=self._devices(),
            desired=tuple((self.deployed_s, v, int(count)) for v, count in enumerate(counts)),
            figures=self._figures(now),
            **of_its_kind,
        )

    def _log(self, now: float) -> Requests:
        seen = [self._seen(chunk, end) for chunk, end in self._ends()]
        arrival, device, start, finish, _ = (np.concatenate(column) for column in zip(*seen, strict=True))
        begun, done = start <= now, finish <= now
        return Requests(
            arrival=arrival,
            start=np.where(begun, start, np.nan),
            finish=np.where(done, finish, np.nan),
            status=np.where(done, COMPLETED, INSIDE).astype(np.int8),
            variant=self.kind[device].astype(np.int8),
            attempts=np.ones(len(arrival), dtype=np.int32),
            instance=device.astype(np.int32),
            cold=np.zeros(len(arrival), dtype=bool),
        )

    def _ends(self) -> list[tuple[Chunk, int]]:
        """The chunks that have begun, each with how many of its requests have come; at least one."""
        at, row = self._place
        ends = [(chunk, len(chunk.arrival)) for chunk in self._chunks[:at]]
        ends += [(self._chunks[at], row)] if at < len(self._chunks) else []
        return ends or [(_NO_REQUESTS, 0)]

    @staticmethod
    def _seen(chunk: Chunk, end: int) -> tuple[np.ndarray, ...]:
        return tuple(column[:end] for column in (chunk.arrival, chunk.device, chunk.start, chunk.finish, chunk.kept))

    def _devices(self) -> dict[str, list[Any]]:
        """One entry a device: its kind, the version it has, when it got it, and what became of the update there."""
        count = len(self.kind)
        told = self.update
        return {
            "number": list(range(count)),
            "variant": self.kind.tolist(),
            "launched_s": [self.deployed_s] * count,
            "machine_up_s": [math.inf] * count,  # nobody rents it out
            "in_service_s": [self.deployed_s] * count,
            "draining_s": [math.inf] * count,
            "gone_s": [math.inf] * count,
            "ended": [""] * count,
            "version": self.version.tolist(),
            "updated_s": told.updated_s.tolist() if told else [math.inf] * count,
            "update": [Outcome(each).name.lower() for each in told.outcome] if told else ["none"] * count,
        }

    def samples(self, log: Requests, now: float) -> Sent:
        """What became of the samples by *now*: sent at once, or when back, as far as the buffer held them."""
        chosen = self.deployment.samples
        kept = np.concatenate([self._seen(chunk, end)[-1] for chunk, end in self._ends()])
        taken = np.flatnonzero(kept & (log.status == COMPLETED))
        device, when = log.instance[taken].astype(np.int64), log.finish[taken]
        order = np.lexsort((when, device))
        device, when = device[order], when[order]
        stay = self.links.stays(device, when)
        on = self.links.connected(device, when)
        fresh = np.r_[True, (np.diff(device) != 0) | (np.diff(stay) != 0)] if len(device) else np.zeros(0, dtype=bool)
        begins = np.flatnonzero(fresh)
        rank = np.arange(len(device)) - np.repeat(begins, np.diff(np.r_[begins, len(device)]))
        room = 0 if chosen is None else int(1000 * chosen.buffer_mb / self._sample_kb + 1e-9)
        held = ~on & (rank < room)
        back = np.full(len(device), np.inf)
        if self.deployment.link is not None:
            back[held] = self.links.turns[device[held], stay[held]]
        uploaded = int(on.sum() + (back[held] <= now).sum())
        dropped = int((~on & ~held).sum())
        return Sent(len(device), uploaded, dropped, len(device) - uploaded - dropped)

    @property
    def _sample_kb(self) -> float:
        samples = self.deployment.samples
        return (samples.sample_kb if samples and samples.sample_kb else self.deployment.model.request_kb) or 1e-9

    def _figures(self, now: float) -> dict[str, float]:
        """What the summary adds: the devices' connected share, their samples, GB that left them, the updated share."""
        sent, passed = self._sent, now - self.deployed_s
        return {
            "availability": float(self.links.seconds_on(now).mean() / passed) if passed > 0 else math.nan,
            "samples_captured": sent.captured,
            "samples_uploaded": sent.uploaded,
            "samples_dropped": sent.dropped,
            "gb_left": sent.uploaded * self._sample_kb / pricing.KB_PER_GB,
            "updated_share": float((self.version > 0).mean()),
        }

    def meters(self) -> Iterator[pricing.Meter]:
        """Devices by the month, what they sent, and the requests that stored it."""
        chosen, now = self.deployment, self.sim.env.now
        months = chosen.count * (now - self.deployed_s) / 3600 / pricing.HOURS_PER_MONTH
        price = chosen.usd_per_device_month
        yield pricing.Meter("edge", "device", months, "device-month", "Devices", unit_price=price)
        if chosen.samples is not None:
            gb = self._sent.uploaded * self._sample_kb / pricing.KB_PER_GB
            yield pricing.Meter("edge", "uplink", gb, "GB", "Sent by devices", unit_price=chosen.usd_per_gb)
            yield pricing.s3_requests(self._sent.uploaded, 0)[0]


def links_of(sim: "Simulation", deployment: Edge, workload: "Workload") -> Links:
    """The fleet's connections; the same whatever the devices are told to do."""
    return Links(deployment.link, deployment.count, sim.rng(workload.name, "links"), sim.env.now)


def _chunks(
    sim: "Simulation", workload: "Workload", deployment: Edge, kind: np.ndarray, begin: float
) -> Iterator[Chunk]:
    """The requests of *workload* from *begin* [s] on, each with its device, and its time there with each version."""
    samples = deployment.samples
    to_device, around = sim.rng(workload.name, "device"), sim.rng(workload.name, "around")
    keep = sim.rng(workload.name, "samples")
    services = [sim.rng(workload.name, "service", model.name) for model, _ in deployment.versions]
    if len({model.name for model, _ in deployment.versions}) < len(services):
        services = services[:1] * len(services)
    own = [sim.rng(workload.name, "inference", devices.name) for devices in deployment.fleet]
    for block in workload.blocks(sim.rng(workload.name, "arrivals")):
        n = len(block.times)
        device = to_device.integers(deployment.count, size=n)
        extra = deployment.around.durations(n, around, block.work)
        takes = _on_devices(deployment, services, own, n, block.work, kind[device]) + extra
        kept = keep.random(n) < (samples.percentage / 100 if samples else 0.0)
        first = int(np.searchsorted(block.times, begin))
        if first < n:
            rest = slice(first, None)
            blank = np.empty(n - first)
            yield Chunk(block.times[rest], device[rest], kept[rest], takes[:, rest], blank, blank.copy())


def _on_devices(
    deployment: Edge, services: list[Any], own: list[Any], n: int, work: Any, kind: np.ndarray
) -> np.ndarray:
    """Seconds of the model alone for each version and request, shape (versions, n)."""
    takes = np.empty((len(deployment.versions), n))
    drawn: dict[str, np.ndarray] = {}
    for w, (model, factor) in enumerate(deployment.versions):
        if model.name not in drawn:
            drawn[model.name] = model.service.durations(n, services[w], work)
        takes[w] = drawn[model.name] * np.array([_slowdown(devices) for devices in deployment.fleet])[kind] / factor
    for k, (devices, stream) in enumerate(zip(deployment.fleet, own, strict=True)):
        if devices.inference is not None:
            here = kind == k
            measured = devices.inference.durations(n, stream, work)
            for w, (model, factor) in enumerate(deployment.versions):
                grown = 1.0 if model is deployment.model else model.service.mean / deployment.model.service.mean
                takes[w, here] = measured[here] * grown / factor
    return takes


def _slowdown(devices: Devices) -> float:
    return 1.0 if devices.inference is not None else slowdown(devices.kind, on=devices.on)


_NONE = np.empty(0)
_NO_REQUESTS = Chunk(_NONE, _NONE.astype(np.int64), _NONE.astype(bool), _NONE[None], _NONE, _NONE)


@compiled
def answer(
    device: np.ndarray,
    arrival: np.ndarray,
    takes: np.ndarray,
    free: np.ndarray,
    start: np.ndarray,
    finish: np.ndarray,
) -> None:
    """Each request waits until its device has answered those before it; *free* [s] per device is carried on."""
    for r in range(len(device)):
        begin = max(arrival[r], free[device[r]])
        start[r] = begin
        finish[r] = begin + takes[r]
        free[device[r]] = finish[r]


@compiled
def work_by_minute(variant: np.ndarray, start: np.ndarray, finish: np.ndarray, now: float, work: np.ndarray) -> None:
    """Add to each variant and minute the nanoseconds of work by *now*; what has not begun or ended is NaN."""
    for r in range(len(variant)):
        if not start[r] <= now:
            continue
        until = now if np.isnan(finish[r]) else finish[r]
        begun, ends = np.int64(start[r] * 1e9 + 0.5), np.int64(until * 1e9 + 0.5)
        minute = begun // MINUTE_NS
        while begun < ends:
            edge = min(ends, (minute + 1) * MINUTE_NS)
            work[variant[r], minute] += edge - begun
            begun = edge
            minute += 1
