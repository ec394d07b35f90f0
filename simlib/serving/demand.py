"""From a workload to the lane's chunks: each request with every random number it may need.

Each purpose has a stream of its own, named by the workload, so two deployments given one workload under one seed see
the same requests, whatever else differs between them.  A request's service time comes from the stream of its model: it
is the same whichever endpoint, or variant, the request goes to.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from simlib.serving import lanes
from simlib.serving.asynchronous import Asynchronous
from simlib.serving.realtime import RealTime, Variant
from simlib.serving.serverless import Serverless
from simlib.serving.station import EMPTY, Chunk
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
            chunk, kept = self._draw(block), block.times >= self._begin
            if self._share < 1:
                kept &= self._streams["sampling"].random(len(kept)) < self._share
            if kept.any():
                return chunk if kept.all() else chunk.of(kept)

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


def chunks(sim: "Simulation", workload: "Workload", deployment: RealTime, *, share: float = 1.0) -> Demand:
    """The requests of *workload* from now on, as they will come to *deployment*; of a *share* < 1 a random part."""
    variants, retry = deployment.fleets, deployment.retry
    service = [sim.rng(workload.name, "service", variant.model.name) for variant in variants]
    streams: dict[str, Stream] = {
        **{f"service {v}": stream for v, stream in enumerate(service)},
        "variant": sim.rng(workload.name, "variant") if len(variants) > 1 else None,
        "routing": sim.rng(workload.name, "routing") if deployment.routing == "RANDOM" else None,
        "backoff": sim.rng(workload.name, "backoff") if retry is not None and retry.jitter else None,
        "sampling": sim.rng(workload.name, "sampling") if share < 1 else None,
    }

    def draw(block: "Block") -> Chunk:
        n = len(block.times)
        drawn = [v.model.service.durations(n, s, block.work) for v, s in zip(variants, service, strict=True)]
        services = drawn[0][None] if len(drawn) == 1 else np.stack(drawn)
        if deployment.speed != 1.0:
            services /= deployment.speed
        picks = _asked_for(block, variants, _numbers(streams["variant"], n))
        return Chunk(block.times, services, picks, _numbers(streams["routing"], n), _numbers(streams["backoff"], n))

    blocks = workload.blocks(sim.rng(workload.name, "arrivals"))
    return Demand(blocks, streams, draw, begin_s=sim.env.now, share=share)


def _asked_for(block: "Block", variants: Sequence[Variant], picks: np.ndarray) -> np.ndarray:
    """The numbers by which a variant is picked; where a caller asks for one by name, that one's number plus one."""
    for v, variant in enumerate(variants):
        asks = block.work.get(TARGET + variant.name)
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


def _numbers(stream: Stream, n: int) -> np.ndarray:
    """Uniform numbers, or none where nothing needs them."""
    return EMPTY if stream is None else stream.random(n)
