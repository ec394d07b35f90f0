"""A running asynchronous endpoint: its queue in the lanes, its instances, and its bill."""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from simlib import pricing
from simlib.record import ARRIVED, COMPLETED, EXPIRED, FAILED, RETRIED, TIMED_OUT, Snapshot
from simlib.serving import lanes, limits
from simlib.serving.asynchronous import Asynchronous
from simlib.serving.demand import asynchronous_chunks
from simlib.serving.hosted import Hosted
from simlib.serving.served import check_on_offer
from simlib.serving.station import Rules, Station
from simlib.simulation import Event

if TYPE_CHECKING:
    from simlib.simulation import Simulation
    from simlib.workload import Workload


LIMITED = ("invocation_timeout_s", "request_ttl_s", "max_concurrent_invocations_per_instance")
LOST = {TIMED_OUT: "timed out", EXPIRED: "expired", FAILED: "failed"}


class AsynchronousEndpoint(Hosted):
    """An asynchronous deployment that is running.  `Simulation.deploy` makes one."""

    deployment: Asynchronous

    def __init__(
        self,
        sim: "Simulation",
        deployment: Asynchronous,
        workload: "Workload",
        name: str,
        *,
        log: bool,
        from_cold: bool,
    ) -> None:
        super().__init__(sim, deployment, workload, name, log=log)
        self.variants = [deployment.fleet]
        kind = deployment.instance_type
        check_on_offer(sim, "sagemaker_hosting", kind, f"instance_type={kind!r}")
        requests = asynchronous_chunks(sim, workload, deployment, begin_s=sim.env.now)
        self.station = Station(
            _rules(deployment, log=log), [deployment.max_concurrent_invocations_per_instance], requests
        )
        self.station.advance(sim.env.now)
        self._warn()
        self.staff(from_cold=from_cold)

    def _warn(self) -> None:
        """Tell as events which limits of the platform this breaks, and that a model takes longer than it may."""
        deployment, facts = self.deployment, limits.facts_of(self.deployment.model)
        if "processing_s" in facts:
            mean, most = facts["processing_s"] / deployment.speed, deployment.invocation_timeout_s
            facts["processing_s"] = mean
            if mean >= most:
                self.tell("time limit", f"the model takes {mean:.4g} s on average, and is cut off at {most:g} s")
        for name in LIMITED:
            facts[name] = getattr(deployment, name)
        about = {limit.fact for limit in limits.table() if limit.deployment == "asynchronous"}
        for found in limits.broken("asynchronous", None, **{name: facts[name] for name in about & set(facts)}):
            self.tell("limit", f"SageMaker refuses this: {found.words}")

    def snapshot(self, **of_its_kind: Any) -> Snapshot:
        """The record at the clock's instant, with an event for the first request lost in each way."""
        found = super().snapshot(**of_its_kind)
        return replace(
            found, events=tuple(sorted((*found.events, *self._first_lost()), key=lambda event: event.time_s))
        )

    def _first_lost(self) -> Iterator[Event]:
        """At the end of the minute in which the first was, as a metric would show it."""
        counts, now = self.station.lane.tally[0], self.sim.env.now
        for status, kind in LOST.items():
            minutes = np.flatnonzero(counts[:, status])
            if len(minutes):
                told = f"the first of {counts[:, status].sum():,} so far"
                yield Event(min(60.0 * (minutes[0] + 1), now), kind, self.name, told)

    def meters(self) -> Iterator[pricing.Meter]:
        """Instances, storage and payloads as on any endpoint; files put into S3 and fetched; messages to SNS.

        Each request's input is put by its caller, each result or error by the endpoint; each attempt fetches the input.
        """
        yield from super().meters()
        counts = self.station.lane.tally.sum(axis=(0, 1))
        worked = counts[[COMPLETED, TIMED_OUT, FAILED]].sum()
        yield from pricing.s3_requests(float(counts[ARRIVED] + worked), float(worked + counts[RETRIED]))
        if self.deployment.notify:
            yield pricing.sns_requests(float(worked + counts[EXPIRED]))


def _rules(deployment: Asynchronous, *, log: bool) -> Rules:
    return Rules(
        routing=lanes.ASYNCHRONOUS,
        timeout_s=deployment.invocation_timeout_s,
        max_attempts=1 + deployment.max_retries,
        ttl_s=deployment.request_ttl_s,
        transfer_holds_slot=deployment.transfer_holds_slot,
        requeues=deployment.on_kill == "requeue_front",
        log=log,
        fold=not log,
    )
