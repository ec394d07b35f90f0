"""From a workload to the lane's chunks: each request with every random number it may need.

Each purpose has a stream of its own, named by the workload, so two deployments given one workload under one seed see
the same requests, whatever else differs between them.  A request's service time comes from the stream of its model: it
is the same whichever endpoint, or variant, the request goes to.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from simlib.serving import lanes
from simlib.serving.asynchronous import Asynchronous
from simlib.serving.realtime import RealTime, Variant
from simlib.serving.serverless import Serverless
from simlib.serving.station import EMPTY, Chunk, Drawn
from simlib.workload.stream import TARGET

if TYPE_CHECKING:
    from simlib.simulation import Simulation
    from simlib.workload import Block, Workload

Stream = np.random.Generator | None  # None where nothing needs its numbers


class Demand(Iterator[Chunk]):
    """The requests that come to one endpoint, chunk after chunk, from a place that can be found again.

    Parameters
    ----------
    blocks : iterator of Block
        The workload's arrivals, from t = 0 on.
    streams : mapping of purpose to generator
        All the randomness there is in what *draw* makes of a block.
    draw : function of a Block
    begin_s : float
        Requests before it [s] are left out, after their numbers were drawn.
    share : float
        Of a share < 1 only a random part comes, by the stream "sampling".
    """

    def __init__(
        self,
        blocks: "Iterator[Block]",
        streams: Mapping[str, Stream],
        draw: "Callable[[Block], Chunk]",
        *,
        begin_s: float,
        share: float = 1.0,
    ) -> None:
        self._blocks, self._draw, self._begin, self._share = blocks, draw, begin_s, share
        self._streams = {name: stream for name, stream in streams.items() if stream is not None}
        self._read = 0  # blocks so far

    def __next__(self) -> Chunk:
        while True:
            block = next(self._blocks)
            self._read += 1
            chunk, kept = self._draw(block), self._kept(block)
            if kept.any():
                return chunk if kept.all() else chunk.of(kept)

    def _kept(self, block: "Block") -> np.ndarray:
        """Which requests of a block come."""
        kept: np.ndarray = block.times >= self._begin
        if self._share < 1:
            kept &= self._streams["sampling"].random(len(kept)) < self._share
        return kept

    @property
    def place(self) -> dict[str, Any]:
        """Where reading has come to, as JSON."""
        states = {name: stream.bit_generator.state for name, stream in self._streams.items()}
        return {"blocks": self._read, "streams": states}

    def seek(self, place: Mapping[str, Any]) -> None:
        """Go on to a *place* that lies ahead: of all random numbers in between only the arrivals are drawn."""
        for _ in range(place["blocks"] - self._read):
            next(self._blocks)
        self._read = place["blocks"]
        for name, state in place["streams"].items():
            self._streams[name].bit_generator.state = state


class Variants(Demand):
    """The requests of *workload* from now on, as they will come to *deployment*; of a *share* < 1 a random part.

    A variant may `join` while they come, and `leave` again.
    """

    def __init__(self, sim: "Simulation", workload: "Workload", deployment: RealTime, *, share: float = 1.0) -> None:
        self._sim, self._workload = sim, workload
        self._variants: list[Variant | None] = []  # None: nobody goes there any more
        self._speeds: list[float] = []
        self._past: list[tuple[int, np.ndarray | None]] = []  # of each block: its size, who came (None: all)
        retry = deployment.retry
        streams: dict[str, Stream] = {
            "variant": self._rng("variant") if len(deployment.fleets) > 1 else None,
            "routing": self._rng("routing") if deployment.routing == "RANDOM" else None,
            "backoff": self._rng("backoff") if retry is not None and retry.jitter else None,
            "sampling": self._rng("sampling") if share < 1 else None,
        }
        super().__init__(self._all_blocks(), streams, self._drawn, begin_s=sim.env.now, share=share)
        for variant in deployment.fleets:
            self._take_in(variant, deployment.speed)

    def join(self, variant: Variant, speed: float, inside: np.ndarray) -> Drawn:
        """From the next chunk on requests can go to *variant* too.

        Each request gets what it would have got had the variant been there from the beginning: its stream is drawn
        anew from there.

        Parameters
        ----------
        inside : array of int, shape (k,)
            The rows of the requests that are inside.
        """
        stream, to_variant = self._take_in(variant, speed), self._rng("variant")
        self._streams["variant"] = to_variant
        works: Iterator[Mapping[str, np.ndarray]] = (
            (block.work for block in self._all_blocks()) if self._workload.work_columns else itertools.repeat({})
        )
        found, first = np.zeros((2, len(inside))), 0
        numbers = np.empty((2, 0))
        for (n, came), work in zip(self._past, works, strict=False):
            services = _at_speed(speed, variant.model.service.durations(n, stream, work))
            numbers = np.stack([services, to_variant.random(n)])
            numbers = numbers if came is None else numbers[:, came]
            here = (inside >= first) & (inside < first + numbers.shape[1])
            found[:, here] = numbers[:, inside[here] - first]
            first += numbers.shape[1]
        return Drawn(numbers[0], numbers[1], found[0], found[1])

    def leave(self, number: int) -> None:
        """From the next chunk on nobody goes to this variant any more."""
        self._variants[number] = None

    def _take_in(self, variant: Variant, speed: float) -> np.random.Generator:
        stream = self._rng("service", variant.model.name)
        self._streams[f"service {len(self._variants)}"] = stream
        self._variants.append(variant)
        self._speeds.append(speed)
        return stream

    def _rng(self, *purpose: str) -> np.random.Generator:
        return self._sim.rng(self._workload.name, *purpose)

    def _all_blocks(self) -> Iterator["Block"]:
        return self._workload.blocks(self._rng("arrivals"))

    def _kept(self, block: "Block") -> np.ndarray:
        kept = super()._kept(block)
        self._past.append((len(kept), None if kept.all() else kept))
        return kept

    def _drawn(self, block: "Block") -> Chunk:
        n, of = len(block.times), self._streams
        services = [self._services(v, block) for v in range(len(self._variants))]
        names = [None if variant is None else variant.name for variant in self._variants]
        picks = _asked_for(block, names, _numbers(of.get("variant"), n))
        stacked = services[0][None] if len(services) == 1 else np.stack(services)
        return Chunk(block.times, stacked, picks, _numbers(of.get("routing"), n), _numbers(of.get("backoff"), n))

    def _services(self, v: int, block: "Block") -> np.ndarray:
        """How long each request of a block would take at a variant [s]."""
        n, variant = len(block.times), self._variants[v]
        if variant is None:
            return np.zeros(n)
        stream = self._streams[f"service {v}"]
        return _at_speed(self._speeds[v], variant.model.service.durations(n, stream, block.work))


def _asked_for(block: "Block", names: Sequence[str | None], picks: np.ndarray) -> np.ndarray:
    """The numbers by which a variant is picked; where a caller asks for one by name, that one's number plus one."""
    for v, name in enumerate(names):
        asks = None if name is None else block.work.get(TARGET + name)
        if asks is not None and len(picks):
            picks = np.where(asks > 0, v + 1.0, picks)
    return picks


def serverless_chunks(sim: "Simulation", workload: "Workload", deployment: Serverless) -> Demand:
    """The requests of *workload* from now on, each with its time warm, its time cold, and its cold start."""
    model, retry = deployment.model, deployment.retry
    warm, cold = sim.rng(workload.name, "service", model.name), sim.rng(workload.name, "cold service", model.name)
    setup = sim.rng(workload.name, "cold start")
    streams: dict[str, Stream] = {
        "service": warm,
        "cold service": cold,
        "cold start": setup,
        "routing": sim.rng(workload.name, "routing") if deployment.reuse == "random" else None,
        "backoff": sim.rng(workload.name, "backoff") if retry is not None and retry.jitter else None,
    }

    def draw(block: "Block") -> Chunk:
        n = len(block.times)
        services = np.empty((3, n))
        services[lanes.WARM_SERVICE] = model.service.durations(n, warm, block.work)
        if deployment.cold_service is None:
            services[lanes.COLD_SERVICE] = services[lanes.WARM_SERVICE]
        else:
            services[lanes.COLD_SERVICE] = deployment.cold_service.durations(n, cold, block.work)
        if deployment.speed != 1.0:
            services[: lanes.SETUP] /= deployment.speed
        services[lanes.SETUP] = deployment.cold_start.sample(n, setup)
        return Chunk(block.times, services, EMPTY, _numbers(streams["routing"], n), _numbers(streams["backoff"], n))

    return Demand(workload.blocks(sim.rng(workload.name, "arrivals")), streams, draw, begin_s=sim.env.now)


def asynchronous_chunks(sim: "Simulation", workload: "Workload", deployment: Asynchronous, *, begin_s: float) -> Demand:
    """The requests of *workload* from *begin_s* on, each with its time to fetch, to work and to write."""
    model = deployment.model
    download, upload = sim.rng(workload.name, "download"), sim.rng(workload.name, "upload")
    service = sim.rng(workload.name, "service", model.name)

    def draw(block: "Block") -> Chunk:
        n = len(block.times)
        services = np.empty((3, n))
        services[lanes.DOWNLOAD] = deployment.download.sample(n, download)
        services[lanes.MODEL] = model.service.durations(n, service, block.work) / deployment.speed
        services[lanes.UPLOAD] = deployment.upload.sample(n, upload)
        return Chunk(block.times, services)

    streams = {"download": download, "service": service, "upload": upload}
    return Demand(workload.blocks(sim.rng(workload.name, "arrivals")), streams, draw, begin_s=begin_s)


def _at_speed(speed: float, services: np.ndarray) -> np.ndarray:
    """Durations on hardware so much faster."""
    return services if speed == 1.0 else services / speed


def _numbers(stream: Stream, n: int) -> np.ndarray:
    """Uniform numbers, or none where nothing needs them."""
    return EMPTY if stream is None else stream.random(n)
