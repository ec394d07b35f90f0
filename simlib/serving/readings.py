"""What a decision may read of an endpoint: metrics of one variant over the period since it last read.

A reading looks at the lane's counts for the minutes since the one before, so it costs the same however long the run.
"""

import math
from typing import TYPE_CHECKING

from simlib.record import (
    ARRIVED,
    BUSY_NS,
    COMPLETED,
    EXPIRED,
    FAILED,
    LATENCY_NS,
    NO_CAPACITY,
    REJECTED,
    RETRIED,
    SHARES,
    TIMED_OUT,
)

if TYPE_CHECKING:
    from simlib.serving.served import Scalable

ERRORS = (REJECTED, EXPIRED, TIMED_OUT, FAILED)


class Readings:
    """One reader of one metric of one variant."""

    def __init__(self, endpoint: "Scalable", variant: int, metric: str) -> None:
        self.endpoint, self.variant, self._value = endpoint, variant, getattr(self, f"_{metric}")
        self._at = endpoint.sim.env.now
        self._before: dict[int, float] = {}  # what was counted, by the last reading, in its minute

    def take(self) -> float:
        """The metric's value for the period since the last reading, until now; NaN where there is no data."""
        self.endpoint.advance()
        value: float = self._value()
        self._at = self.endpoint.sim.env.now
        return value

    # --- metrics, named as `metrics.Metric` names them ---

    def _InvocationsPerInstance(self) -> float:
        return round(self._since(SHARES), 9) or math.nan  # 600 thirds are 200, and no more

    def _ModelLatency(self) -> float:
        completed, nanoseconds = self._since(COMPLETED), self._since(LATENCY_NS)
        return nanoseconds / completed / 1e9 if completed else math.nan

    def _Invocation5XXErrors(self) -> float:
        return sum(self._since(status) for status in ERRORS)

    def _CPUUtilization(self) -> float:
        busy, seconds = self._since(BUSY_NS) / 1e9, self.endpoint.sim.env.now - self._at
        instances = self.endpoint.in_service(self.variant)
        return 100 * busy / seconds / instances if instances else math.nan

    def _WorkerUtilization(self) -> float:
        return self._CPUUtilization() / self.endpoint.station.workers[self.variant]

    def _DutyCycle(self) -> float:
        busy = self._CPUUtilization()
        return busy if math.isnan(busy) else min(100.0, busy)

    def _RequestsPerMinutePerInstance(self) -> float:
        if not self.endpoint.in_service(self.variant):
            return math.nan
        return self._since(SHARES) * 60.0 / (self.endpoint.sim.env.now - self._at)

    def _RequestsPerMinute(self) -> float:
        attempts = self._since(ARRIVED) + self._since(RETRIED)
        return attempts * 60.0 / (self.endpoint.sim.env.now - self._at)

    def _ConcurrentRequestsPerModel(self) -> float:
        instances = self.endpoint.in_service(self.variant)
        inside = self.endpoint.station.waiting_and_running()[self.variant].sum()
        return float(inside / instances) if instances else math.nan

    def _ServerlessProvisionedConcurrencyUtilization(self) -> float:
        busy, seconds = self._since(BUSY_NS) / 1e9, self.endpoint.sim.env.now - self._at
        warm = self.endpoint.in_service(self.variant)
        return busy / seconds / warm if warm else math.nan

    def _InvocationsPerCopy(self) -> float:
        return self._InvocationsPerInstance()

    def _ConcurrentRequestsPerCopy(self) -> float:
        running, seconds = self._since(BUSY_NS) / 1e9, self.endpoint.sim.env.now - self._at
        waiting, _ = self.endpoint.station.waiting_and_running()[self.variant]
        copies = self.endpoint.in_service(self.variant)
        return float((running / seconds + waiting) / copies) if copies else math.nan

    def _NoCapacityInvocationFailures(self) -> float:
        return self._since(NO_CAPACITY)

    def _ApproximateBacklogSize(self) -> float:
        return float(self.endpoint.station.backlog)

    def _ApproximateBacklogSizePerInstance(self) -> float:
        return self.endpoint.station.backlog / max(1, self.endpoint.in_service(self.variant))

    def _HasBacklogWithoutCapacity(self) -> float:
        return float(self.endpoint.station.backlog > 0 and self.endpoint.in_service(self.variant) == 0)

    def _ApproximateAgeOfOldestRequest(self) -> float:
        now = self.endpoint.sim.env.now
        return now - min(now, self.endpoint.station.oldest_s())

    def _since(self, column: int) -> float:
        """What was counted in a column of the tally since the last reading."""
        first, last = int(self._at / 60.0), int(self.endpoint.sim.env.now / 60.0)
        then, since, now = self.endpoint.station.counted(self.variant, column, first, last).tolist()
        before, self._before[column] = self._before.get(column, 0.0), now
        if first == last:
            return now - before
        return then - before + since
