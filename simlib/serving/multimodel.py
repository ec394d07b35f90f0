"""Multi-model endpoints: many models behind one endpoint, each loaded when it is first called."""

from collections.abc import Iterator
from dataclasses import field
from typing import TYPE_CHECKING

import numpy as np

from simlib.model import ModelProfile
from simlib.parameters import Count, NonNegative, Positive, Text, Whole, config
from simlib.serving.fleet import InstanceLife
from simlib.serving.scaling import Scaling

if TYPE_CHECKING:
    from simlib.serving.modelcache import MultiModelEndpoint
    from simlib.simulation import Simulation
    from simlib.workload import Workload


@config
class MultiModel:
    """Many models share the instances of one endpoint, and their memory.

    A call for a model that its instance does not hold waits until the model is downloaded and loaded; calls that come
    meanwhile wait for the same load.  Where memory is full, the models not used for longest go (LRU), but not from the
    disk, so they come back without a download; the disk drops them the same way when it is full (SageMaker developer
    guide, multi-model endpoints: loads on first call, unloads unused models from memory, deletes from disk when full;
    that "unused" means least recently used is an assumption).  Runs as plain SimPy processes, not in the lanes.

    Parameters
    ----------
    models : sequence of ModelProfile
        Each with a name of its own; `memory_mb` is what it takes when loaded.
    memory_mb : float
        Memory of one instance for loaded models [MB].
    popularity : float
        Calls choose a model by Zipf's law: the k-th of the list is called in proportion to 1 / k**popularity; 0 calls
        all alike.
    weights : sequence of float or None
        The shares of the models' calls instead, not necessarily of sum 1.
    model_column : str or None
        Work column of the workload that says which model each call wants, by its number in the list from 0 on.
    instance_type, initial_instance_count, workers, volume_size_in_gb, speed, invocation_timeout_s
        As in `RealTime`.
    instance_life : InstanceLife
        How instances come and go, and how fast artifacts arrive (`download_mb_per_s`).
    """

    models: tuple[ModelProfile, ...]
    memory_mb: Positive = field(default=4000.0, kw_only=True)
    popularity: NonNegative = field(default=1.0, kw_only=True)
    weights: tuple[NonNegative, ...] | None = field(default=None, kw_only=True)
    model_column: Text | None = field(default=None, kw_only=True)
    instance_type: Text = field(default="ml.m5.large", kw_only=True)
    initial_instance_count: Whole = field(default=1, kw_only=True)
    workers: Count = field(default=1, kw_only=True)
    volume_size_in_gb: Positive = field(default=30.0, kw_only=True)
    speed: Positive = field(default=1.0, kw_only=True)
    invocation_timeout_s: Positive = field(default=60.0, kw_only=True)
    instance_life: InstanceLife = field(default=InstanceLife(), kw_only=True)

    def __post_init__(self) -> None:
        names = [model.name for model in self.models]
        if not names or len(names) != len(set(names)):
            raise ValueError(f"models={names} is not possible: there should be one or more, each with its own name.")
        for model in self.models:
            if model.memory_mb > self.memory_mb:
                raise ValueError(
                    f"memory_mb={self.memory_mb:g} is not possible: {model.name} alone needs {model.memory_mb:g} MB."
                )
            if model.size_mb > 1000 * self.volume_size_in_gb:
                raise ValueError(
                    f"volume_size_in_gb={self.volume_size_in_gb:g} is not possible: "
                    f"{model.name} alone has {model.size_mb / 1000:g} GB."
                )
        if self.weights is not None and (len(self.weights) != len(names) or not sum(self.weights) > 0):
            raise ValueError(f"weights={list(self.weights)} should be {len(names)}, one a model, not all of them 0.")

    @property
    def shares(self) -> np.ndarray:
        """The share of each model in the calls, shape (models,)."""
        ranks = np.arange(1, len(self.models) + 1)
        weights = ranks**-self.popularity if self.weights is None else np.array(self.weights)
        shares: np.ndarray = weights / weights.sum()
        return shares

    @property
    def policies(self) -> tuple[Scaling, ...]:
        """None: the number of instances is changed by command only (not modelled)."""
        return ()

    def deploy(
        self, sim: "Simulation", workload: "Workload", name: str, *, log: bool, from_cold: bool
    ) -> "MultiModelEndpoint":
        """The endpoint that `Simulation.deploy` asks for."""
        from simlib.serving.modelcache import MultiModelEndpoint  # here, because it loads the compiler

        return MultiModelEndpoint(sim, self, workload, name, log=log, from_cold=from_cold)

    def assumptions(self) -> Iterator[tuple[str, object, str, str]]:
        """(parameter, value, mark, source) of every value in use that the platform does not document."""
        yield "request overhead", "0 s", "U", "network and routing time are not modelled"
        yield "eviction", "least recently used, never one in use", "U", "the guide says only: unloads unused models"
        yield "loading", "beside the workers", "U", "undocumented: whether a load slows other calls down"
        yield "instance_life.download_mb_per_s", self.instance_life.download_mb_per_s, "U", "undocumented"
