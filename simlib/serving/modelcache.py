"""A running multi-model endpoint: which instance a call goes to, what that instance holds, and who waits for a load."""

from collections import Counter, OrderedDict
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import simpy

from simlib import pricing
from simlib.model import ModelProfile
from simlib.parameters import ParameterError
from simlib.record import ARRIVED, COLD_STARTS, COMPLETED, REJECTED, Snapshot
from simlib.serving.callers import Caller, Callers, Draw, Streams, picked, service_times
from simlib.serving.hosted import Hosted
from simlib.serving.multimodel import MultiModel
from simlib.serving.served import check_on_offer

if TYPE_CHECKING:
    from simlib.simulation import Simulation
    from simlib.workload import Workload
    from simlib.workload.blocks import Block

Story = Generator[simpy.Event, Any, None]


@dataclass(frozen=True)
class OnlyVariant:
    """All models are one variant, on instances that start without any of them."""

    model: ModelProfile
    workers: int
    instance_type: str
    initial_instance_count: int
    name: str = "AllTraffic"


class Store:
    """So many MB, least recently used first; what is pinned stays."""

    def __init__(self, limit_mb: float) -> None:
        self.limit_mb = limit_mb
        self.held: OrderedDict[int, float] = OrderedDict()
        self.promised_mb = 0.0  # to what is on its way in

    @property
    def free_mb(self) -> float:
        return self.limit_mb - sum(self.held.values()) - self.promised_mb

    def touch(self, model: int) -> None:
        self.held.move_to_end(model)

    def make_room(self, need_mb: float, pinned: set[int]) -> list[int] | None:
        """Drop the least recently used until *need_mb* are free, and say which; None, and nothing done, if they cannot.

        A millionth of a MB is forgiven: sums of sizes are rounded.
        """
        free, going = self.free_mb, []
        for model, mb in self.held.items():
            if free >= need_mb - 1e-6:
                break
            if model not in pinned:
                going.append(model)
                free += mb
        if free < need_mb - 1e-6:
            return None
        for model in going:
            del self.held[model]
        return going


class Machine:
    """An instance: its memory and disk, what it loads, whom it serves."""

    def __init__(self, env: simpy.Environment, number: int, deployment: MultiModel) -> None:
        self.number = number
        self.memory, self.disk = Store(deployment.memory_mb), Store(1000 * deployment.volume_size_in_gb)
        self.loading: dict[int, simpy.Event] = {}
        self.callers: dict[int, Caller] = {}
        self.users: Counter[int] = Counter()  # callers of each model
        self.workers = simpy.Resource(env, deployment.workers)
        self.somebody_left = env.event()
        self.serving = True

    def holds(self, model: int) -> bool:
        """Whether the model is loaded, or on its way."""
        return model in self.memory.held or model in self.loading

    def pinned(self) -> set[int]:
        """Models that somebody uses or waits for."""
        return {model for model, users in self.users.items() if users}


class ModelCallers(Callers):
    """The requests of a multi-model endpoint, with the commands a fleet gives to its station."""

    endpoint: "MultiModelEndpoint"

    def open(self, variant: int, instance: int) -> None:
        """*instance* comes into service, empty."""
        self.endpoint.machines[instance] = Machine(self.env, instance, self.endpoint.deployment)

    def drain(self, instance: int) -> None:
        """*instance* takes no new calls."""
        self.endpoint.machines[instance].serving = False

    def kill(self, instance: int) -> None:
        """*instance* is gone, and with it whatever it had not answered."""
        for caller in list(self.endpoint.machines.pop(instance).callers.values()):
            self.lose(caller)

    def held(self, instance: int) -> int:
        """Calls that an instance has now."""
        return len(self.endpoint.machines[instance].callers)


class MultiModelEndpoint(Hosted):
    """A multi-model deployment that is running.  `Simulation.deploy` makes one."""

    deployment: MultiModel
    station: Any

    def __init__(
        self,
        sim: "Simulation",
        deployment: MultiModel,
        workload: "Workload",
        name: str,
        *,
        log: bool,
        from_cold: bool,
    ) -> None:
        super().__init__(sim, deployment, workload, name, log=log)
        kind = deployment.instance_type
        check_on_offer(sim, "sagemaker_hosting", kind, f"instance_type={kind!r}")
        if deployment.model_column is not None and deployment.model_column not in workload.work_columns:
            raise ParameterError(
                f"deploy: model_column={deployment.model_column!r} is not a work column of the workload; "
                f"it carries {list(workload.work_columns)}."
            )
        empty = replace(deployment.models[0], size_mb=1e-9, load_seconds=0.0)
        self.variants = [OnlyVariant(empty, deployment.workers, kind, deployment.initial_instance_count)]
        self.machines: dict[int, Machine] = {}
        self._reached = np.zeros((len(deployment.models), 2), np.int64)  # calls that a model got, and answered
        self._picks = sim.rng(workload.name, "model")
        self._streams = Streams(sim, workload, [model.name for model in deployment.models])
        patience_s = deployment.invocation_timeout_s
        self.station = ModelCallers(sim, workload, 1, self._draw, self._call, timeout_s=patience_s, log=log)
        self.station.endpoint = self
        self.staff(from_cold=from_cold)

    def _draw(self, block: "Block") -> Draw:
        """Which model each request of a block wants, and for how long."""
        n, models = len(block.times), self.deployment.models
        if self.deployment.model_column is None:
            chosen = picked(self.deployment.shares, self._picks, n)
        else:
            chosen = _numbers(block.work[self.deployment.model_column], len(models), self.deployment.model_column)
        seconds = service_times(block, chosen, models, self._streams) / self.deployment.speed
        return Draw(np.zeros(n, np.int64), chosen, seconds)

    # --- the story of a call ---

    def _call(self, caller: Caller) -> Story:
        """Find an instance, wait for the model to be there, wait for a worker, be served."""
        machine = self._route(caller.model)
        if machine is None:
            self.station.settle(caller, REJECTED)
            return
        self.station.share(0, sum(m.serving for m in self.machines.values()))
        caller.instance = machine.number
        machine.callers[caller.row] = caller
        machine.users[caller.model] += 1
        if caller.model in machine.memory.held:
            machine.memory.touch(caller.model)
        else:
            yield from self.station.wait_for_model(caller, self._fetch(machine, caller.model))
        with machine.workers.request() as turn:
            yield turn
            if caller.waits:
                self._reached[caller.model, 0] += 1
                yield from self.station.work_on(caller)
                self._reached[caller.model, 1] += caller.status == COMPLETED
        machine.callers.pop(caller.row, None)
        machine.users[caller.model] -= 1
        left, machine.somebody_left = machine.somebody_left, self.sim.env.event()
        left.succeed()

    def _fetch(self, machine: Machine, model: int) -> Story:
        """Load the model, or wait for a load that is going on."""
        if model in machine.loading:
            yield machine.loading[model]
            return
        machine.loading[model] = self.sim.env.event()
        yield from self._load(machine, model)
        machine.loading.pop(model).succeed()

    def _load(self, machine: Machine, number: int) -> Story:
        """Make room, fetch the model unless it is on the disk, load it."""
        env, model = self.sim.env, self.deployment.models[number]
        while (gone := machine.memory.make_room(model.memory_mb, machine.pinned())) is None:
            yield machine.somebody_left
        part = f"on instance {machine.number}"
        for other in gone:
            self.tell("model unloaded", f"{self.deployment.models[other].name} {part}")
        machine.memory.promised_mb += model.memory_mb
        seconds = model.load_seconds
        if number in machine.disk.held:
            machine.disk.touch(number)
        else:
            seconds += model.size_mb / self.deployment.instance_life.download_mb_per_s
            if machine.disk.make_room(model.size_mb, set(machine.memory.held)) is None:
                machine.disk.make_room(model.size_mb, set())
            machine.disk.held[number] = model.size_mb
        yield env.timeout(seconds)
        machine.memory.promised_mb -= model.memory_mb
        machine.memory.held[number] = model.memory_mb
        self.tell("model loaded", f"{model.name} {part} in {seconds:.4g} s")

    def _route(self, model: int) -> Machine | None:
        """An instance that holds the model and has a worker free; else one with a free worker, to load it there too.

        Of several, the one with the fewest calls, then the lowest number; for a load, the one with most free memory.
        Assumption: the guide says only that further instances load a model under load.
        """
        serving = [machine for machine in self.machines.values() if machine.serving]
        holding = [machine for machine in serving if machine.holds(model)]
        idle = [machine for machine in serving if len(machine.callers) < self.deployment.workers]
        if holding and (set(holding) & set(idle) or not idle):
            return min(holding, key=lambda m: (len(m.callers), m.number))
        roomy = (idle if holding else serving) or serving
        return min(roomy, key=lambda m: (-m.memory.free_mb, len(m.callers), m.number), default=None)

    # --- what came of it ---

    def snapshot(self, **of_its_kind: Any) -> Snapshot:
        """The record at the clock's instant, with the share of calls that found their model loaded."""
        tally = self.station.lane.tally.sum(axis=(0, 1))
        called = int(tally[ARRIVED] - tally[REJECTED])
        hits = 1 - float(tally[COLD_STARTS]) / called if called else np.nan
        loaded = float(sum(len(machine.memory.held) for machine in self.machines.values()))
        return super().snapshot(
            figures={"cache_hit_ratio": hits, "loaded_models": loaded},
            models=[model.name for model in self.deployment.models],
            **of_its_kind,
        )

    def payloads(self) -> Iterator[pricing.Meter]:
        """What went in with each call that reached its model, and out with each answer."""
        gb_in, gb_out = 0.0, 0.0
        for model, (came, answered) in zip(self.deployment.models, self._reached.tolist(), strict=True):
            gb_in += model.request_kb * came / pricing.KB_PER_GB
            gb_out += model.response_kb * answered / pricing.KB_PER_GB
        yield from pricing.data_processed(gb_in, gb_out)


def _numbers(column: np.ndarray, models: int, name: str) -> np.ndarray:
    """The models that a work column asks for."""
    asked = column.astype(np.int64)
    if (asked != column).any() or (asked < 0).any() or (asked >= models).any():
        wrong = column[(asked != column) | (asked < 0) | (asked >= models)][0]
        raise ParameterError(f"deploy: the column {name!r} asks for model {wrong:g}; it should be 0 to {models - 1}.")
    return asked
