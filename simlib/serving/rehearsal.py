"""Every compiled lane once: compiled where that is new, loaded where its machine code lies on disk."""

from collections.abc import Sequence
from typing import Any

from simlib import workload
from simlib.model import ModelProfile, exponential
from simlib.serving import Asynchronous, BatchTransform, Devices, Edge, RealTime, Serverless
from simlib.simulation import simulate

MODEL = ModelProfile("probe", service=exponential(mean=0.05))
FEW = workload.poisson(rate=5)
ROUTINGS: Any = ("SHARED_QUEUE", "RANDOM", "LEAST_OUTSTANDING_REQUESTS")
KINDS: dict[str, tuple[Any, workload.Workload]] = {
    **{routing: (RealTime(MODEL, initial_instance_count=2, routing=routing), FEW) for routing in ROUTINGS},
    "serverless": (Serverless(MODEL), FEW),
    "asynchronous": (Asynchronous(MODEL), FEW),
    "edge": (Edge(MODEL, fleet=(Devices("rpi4", 1),)), FEW),
    "batch": (BatchTransform(MODEL), workload.files(1, size_mb=1)),
}
"""A deployment and its work that use a lane each; endpoints by their routing."""


def rehearse(kinds: Sequence[str] = tuple(KINDS)) -> None:
    """Simulate a little with each of *kinds*."""
    for kind in kinds:
        deployment, work = KINDS[kind]
        length: dict[str, Any] = {} if kind == "batch" else {"hours": 0.05}  # a job ends by itself
        simulate(deployment, work, seed=1, **length).summary()
