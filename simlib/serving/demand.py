"""From a workload to the lane's chunks: each request with every random number it may need.

Each purpose has a stream of its own, named by the workload, so two deployments given one workload under one seed see
the same requests, whatever else differs between them.  A request's service time comes from the stream of its model: it
is the same whichever endpoint, or variant, the request goes to.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

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


def chunks(sim: "Simulation", workload: "Workload", deployment: RealTime, *, share: float = 1.0) -> Iterator[Chunk]:
    """The requests of *workload* from now on, as they will come to *deployment*; of a *share* < 1 a random part."""
    begin, variants, retry = sim.env.now, deployment.fleets, deployment.retry
    streams = [sim.rng(workload.name, "service", variant.model.name) for variant in variants]
    to_variant = sim.rng(workload.name, "variant") if len(variants) > 1 else None
    to_instance = sim.rng(workload.name, "routing") if deployment.routing == "RANDOM" else None
    backoff = sim.rng(workload.name, "backoff") if retry is not None and retry.jitter else None
    sampling = sim.rng(workload.name, "sampling") if share < 1 else None

    for block in workload.blocks(sim.rng(workload.name, "arrivals")):
        n = len(block.times)
        drawn = [v.model.service.durations(n, s, block.work) for v, s in zip(variants, streams, strict=True)]
        services = drawn[0][None] if len(drawn) == 1 else np.stack(drawn)
        if deployment.speed != 1.0:
            services /= deployment.speed
        picks = _asked_for(block, variants, _numbers(to_variant, n))
        chunk = Chunk(block.times, services, picks, _numbers(to_instance, n), _numbers(backoff, n))
        kept = block.times >= begin if sampling is None else (block.times >= begin) & (sampling.random(n) < share)
        if kept.any():
            yield chunk if kept.all() else chunk.of(kept)


def _asked_for(block: "Block", variants: Sequence[Variant], picks: np.ndarray) -> np.ndarray:
    """The numbers by which a variant is picked; where a caller asks for one by name, that one's number plus one."""
    for v, variant in enumerate(variants):
        asks = block.work.get(TARGET + variant.name)
        if asks is not None and len(picks):
            picks = np.where(asks > 0, v + 1.0, picks)
    return picks


def serverless_chunks(sim: "Simulation", workload: "Workload", deployment: Serverless) -> Iterator[Chunk]:
    """The requests of *workload* from now on, each with its time warm, its time cold, and its cold start."""
    begin, model, retry = sim.env.now, deployment.model, deployment.retry
    warm, cold = sim.rng(workload.name, "service", model.name), sim.rng(workload.name, "cold service", model.name)
    setup = sim.rng(workload.name, "cold start")
    any_one = sim.rng(workload.name, "routing") if deployment.reuse == "random" else None
    backoff = sim.rng(workload.name, "backoff") if retry is not None and retry.jitter else None
    for block in workload.blocks(sim.rng(workload.name, "arrivals")):
        n = len(block.times)
        services = np.empty((3, n))
        services[lanes.WARM_SERVICE] = model.service.durations(n, warm, block.work)
        if deployment.cold_service is None:
            services[lanes.COLD_SERVICE] = services[lanes.WARM_SERVICE]
        else:
            services[lanes.COLD_SERVICE] = deployment.cold_service.durations(n, cold, block.work)
        services[: lanes.SETUP] /= deployment.speed
        services[lanes.SETUP] = deployment.cold_start.sample(n, setup)
        chunk = Chunk(block.times, services, EMPTY, _numbers(any_one, n), _numbers(backoff, n))
        kept = block.times >= begin
        if kept.any():
            yield chunk if kept.all() else chunk.of(kept)


def asynchronous_chunks(
    sim: "Simulation", workload: "Workload", deployment: Asynchronous, *, begin_s: float
) -> Iterator[Chunk]:
    """The requests of *workload* from *begin_s* on, each with its time to fetch, to work and to write."""
    model = deployment.model
    download, upload = sim.rng(workload.name, "download"), sim.rng(workload.name, "upload")
    service = sim.rng(workload.name, "service", model.name)
    for block in workload.blocks(sim.rng(workload.name, "arrivals")):
        n = len(block.times)
        services = np.empty((3, n))
        services[lanes.DOWNLOAD] = deployment.download.sample(n, download)
        services[lanes.MODEL] = model.service.durations(n, service, block.work) / deployment.speed
        services[lanes.UPLOAD] = deployment.upload.sample(n, upload)
        chunk, kept = Chunk(block.times, services), block.times >= begin_s
        if kept.any():
            yield chunk if kept.all() else chunk.of(kept)


def _numbers(stream: np.random.Generator | None, n: int) -> np.ndarray:
    """Uniform numbers, or none where nothing needs them."""
    return EMPTY if stream is None else stream.random(n)
