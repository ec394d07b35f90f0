"""A running serverless endpoint: its containers in the lanes, the ones kept warm, and its bill."""

import math
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import simpy

from simlib import pricing
from simlib.model import ModelProfile
from simlib.parameters import ParameterError, Whole, checked
from simlib.record import ARRIVED, BILLED_MS, PROVISIONED_MS, RETRIED, THROTTLED, Snapshot
from simlib.serving import lanes
from simlib.serving.autoscaler import Autoscaler
from simlib.serving.demand import serverless_chunks
from simlib.serving.fleet import columns_of
from simlib.serving.served import Served, check_on_offer, retry_rules
from simlib.serving.serverless import Serverless
from simlib.serving.station import Rules, Station
from simlib.turns import LIFE, pause

if TYPE_CHECKING:
    from simlib.simulation import Simulation
    from simlib.workload import Workload

Story = Generator[simpy.Event, Any, None]
REUSE = {
    "newest_created": lanes.NEWEST_CREATED,
    "most_recently_used": lanes.MOST_RECENTLY_USED,
    "oldest_created": lanes.OLDEST_CREATED,
    "random": lanes.ANY_ONE,
}


@dataclass(frozen=True)
class OnlyVariant:
    """A serverless endpoint has one variant."""

    model: ModelProfile
    name: str = "AllTraffic"
    workers: int = 1


class ServerlessEndpoint(Served):
    """A serverless deployment that is running.  `Simulation.deploy` makes one."""

    deployment: Serverless

    def __init__(
        self,
        sim: "Simulation",
        deployment: Serverless,
        workload: "Workload",
        name: str,
        *,
        log: bool,
        from_cold: bool,
    ) -> None:
        super().__init__(sim, deployment, workload, name, log=log)
        self.variants = [OnlyVariant(deployment.model)]
        for meter in self._on_demand(0.0, 0.0):
            asked = "memory_mb" if deployment.service == "sagemaker" else "service"
            named = f"{asked}={getattr(deployment, asked)!r}"
            check_on_offer(sim, meter.service, meter.sku, named, platform=meter.platform)  # type: ignore[arg-type]
        self.station = Station(_rules(deployment, log=log), [1], serverless_chunks(sim, workload, deployment))
        self.station.advance(sim.env.now)
        self.provisioned: list[tuple[float, int]] = [(sim.env.now, 0)]  # (time, containers kept warm from then on)
        self._asked_for = deployment.provisioned_concurrency
        self._coming: list[int] = []  # how many will be warm, for each raise that is on its way
        if from_cold:
            self._keep(deployment.provisioned_concurrency)
        else:
            self._keep_warm(deployment.provisioned_concurrency)
        if deployment.policies:
            Autoscaler(self, 0, deployment.policies)

    # --- commands ---

    @checked
    def provision(self, containers: Whole) -> None:
        """Keep so many containers warm: more of them after `provisioning_s`, fewer at once (busy ones finish first)."""
        if containers > self.deployment.max_concurrency:
            raise ParameterError(
                f"provision: containers={containers} is not possible: "
                f"it should be at most max_concurrency={self.deployment.max_concurrency}."
            )
        self.set_desired(0, containers, "asked for")

    def set_desired(self, variant: int, wanted: int, why: str) -> None:
        """Ask for so many containers kept warm, and note why."""
        self.tell("provisioned concurrency", f"{self._asked_for} → {wanted}: {why}")
        self._asked_for = wanted
        self._keep(wanted)

    def _keep(self, containers: int) -> None:
        # asking for less holds for those on their way too; asking for more begins anew only for what is beyond them
        self._coming = [min(each, containers) for each in self._coming]
        if containers > max(self._coming, default=self._warm):
            self._coming.append(containers)
            self.sim.env.process(self._come_up())
        if containers < self._warm:
            self._keep_warm(containers)

    # --- for whoever decides ---

    @property
    def desired(self) -> list[int]:
        """Containers asked to be kept warm."""
        return [self._asked_for]

    def in_service(self, variant: int) -> int:
        """Containers kept warm now."""
        return self._warm

    @property
    def _warm(self) -> int:
        return self.provisioned[-1][1]

    # --- how they come and go ---

    def _come_up(self) -> Story:
        yield pause(self.sim.env, self.deployment.provisioning_s, LIFE)
        there = self._coming.pop(0)  # all take equally long: the first to be asked for is the first to come
        if there > self._warm:
            self._keep_warm(there)

    def _keep_warm(self, containers: int) -> None:
        self.advance()
        change = containers - self._warm
        if change:
            self.station.provision(change)
            self.provisioned.append((self.sim.env.now, containers))
            self.tell("provisioned concurrency", f"{containers} containers warm")

    # --- what came of it ---

    def snapshot(self, **of_its_kind: Any) -> Snapshot:
        """The record at the clock's instant; there are no instances."""
        return super().snapshot(
            instances=columns_of([]), desired=(), provisioned=tuple(self.provisioned), **of_its_kind
        )

    def meters(self) -> Iterator[pricing.Meter]:
        """Milliseconds on demand; those on provisioned containers, and these for existing; payloads."""
        memory, worked = self.deployment.memory_mb, self.station.lane.tally.sum(axis=(0, 1))
        yield from self._on_demand(
            worked[BILLED_MS] / 1000, float(worked[ARRIVED] + worked[RETRIED] - worked[THROTTLED])
        )
        if self.deployment.service != "sagemaker":
            return
        if len(self.provisioned) > 1:
            yield from pricing.provisioned_concurrency(
                memory,
                enabled_seconds=self._seconds_warm(),
                busy_seconds=worked[PROVISIONED_MS] / 1000,
            )
        yield from self.payloads()

    def _on_demand(self, seconds: float, requests: float) -> Iterator[pricing.Meter]:
        """So many seconds of work on containers that came with the requests."""
        deployment, memory = self.deployment, self.deployment.memory_mb
        if deployment.service == "sagemaker":
            yield pricing.serverless_seconds(memory, seconds, item=f"{memory} MB on demand")
            return
        yield from pricing.container_seconds(
            deployment.service,
            vcpus=deployment.vcpus,
            memory_mb=memory,
            seconds=seconds,
            requests=requests,
            region=self.sim.region,
        )

    def _seconds_warm(self) -> float:
        times = [time for time, _ in self.provisioned] + [self.sim.env.now]
        return math.fsum(n * (times[i + 1] - times[i]) for i, (_, n) in enumerate(self.provisioned))


def _rules(deployment: Serverless, *, log: bool) -> Rules:
    return Rules(
        routing=lanes.SERVERLESS,
        timeout_s=deployment.invocation_timeout_s,
        max_concurrency=deployment.max_concurrency,
        keep_alive_s=deployment.keep_alive_s,
        max_age_s=math.inf if deployment.max_age_s is None else deployment.max_age_s,
        reuse=REUSE[deployment.reuse],
        fetch_s=deployment.fetch_s,
        log=log,
        fold=not log,
        **retry_rules(deployment.retry, 429),
    )
