"""A running asynchronous endpoint: its queue in the lanes, its instances, and its bill."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from simlib import pricing
from simlib.record import ARRIVED, COMPLETED, EXPIRED, FAILED, RETRIED, TIMED_OUT
from simlib.serving import lanes
from simlib.serving.asynchronous import Asynchronous
from simlib.serving.demand import asynchronous_chunks
from simlib.serving.hosted import Hosted
from simlib.serving.served import check_on_offer
from simlib.serving.station import Rules, Station

if TYPE_CHECKING:
    from simlib.simulation import Simulation
    from simlib.workload import Workload


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
        self.staff(from_cold=from_cold)

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
