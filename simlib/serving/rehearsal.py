"""Every compiled lane once: compiled where that is new, loaded where its machine code lies on disk."""

from collections.abc import Sequence
from typing import Any

from simlib import workload
from simlib.model import ModelProfile, exponential
from simlib.serving import Asynchronous, BatchTransform, Devices, Edge, RealTime, Serverless
from simlib.simulation import simulate

ROUTINGS = ("SHARED_QUEUE", "RANDOM", "LEAST_OUTSTANDING_REQUESTS")


def rehearse(routings: Sequence[str] = ROUTINGS) -> None:
    """Simulate a little with each of *routings*; with all of them, also with every other deployment."""
    model = ModelProfile("probe", service=exponential(mean=0.05))
    few = workload.poisson(rate=5)
    for routing in routings:
        endpoint = RealTime(model, initial_instance_count=2, routing=routing)  # type: ignore[arg-type]
        simulate(endpoint, few, hours=0.05, seed=1).summary()
    if len(routings) == len(ROUTINGS):
        others: tuple[Any, ...] = (Serverless(model), Asynchronous(model), Edge(model, fleet=(Devices("rpi4", 1),)))
        for deployment in others:
            simulate(deployment, few, hours=0.05, seed=1)
        simulate(BatchTransform(model), workload.files(1, size_mb=1), seed=1)
