"""What a decision may read of an endpoint: metrics of one variant over the period since it last read.

A reading looks at the lane's counts for the minutes since the one before, so it costs the same however long the run.
"""

import math
from collections.abc import Sequence
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
    """One reader of one metric of one variant, or of several together."""

    def __init__(self, endpoint: "Scalable", variants: int | Sequence[int], metric: str) -> None:
        self.endpoint, self._value = endpoint, getattr(self, f"_{metric}")
        self.variants = [variants] if isinstance(variants, int) else list(variants)
        self._at = endpoint.sim.env.now
        self._before: dict[int, float] = {}  # what was counted, by the last reading, in its minute

    def take(self) -> float:
        """The metric's value for the period since the last reading, until now; NaN where there is no data."""
        self.endpoint.advance()
        value: float = self._value()
        self._at = self.endpoint.sim.env.now
        return value

    @property
    def _in_service(self) -> int:
        return sum(self.endpoint.in_service(variant) for variant in self.variants)

    # --- metrics, named as `metrics.Metric` names them ---

    def _InvocationsPerInstance(self) -> float:
        return round(self._since(SHARES), 9) or math.nan  # 600 thirds are 200, and no more

    def _ModelLatency(self) -> float:
        completed, nanoseconds = self._since(COMPLETED), self._since(LATENCY_NS)
        return nanoseconds / completed / 1e9 if completed else math.nan

    def _Invocation5XXErrors(self) -> float:
        return sum(self._since(status) for status in ERRORS)

    def _ErrorRate(self) -> float:
        errors = sum(self._since(status) for status in ERRORS)
        outcomes = errors + self._since(COMPLETED)
        return errors / outcomes if outcomes else math.nan

    def _CPUUtilization(self) -> float:
        busy, seconds = self._since(BUSY_NS) / 1e9, self.endpoint.sim.env.now - self._at
        instances = self._in_service
        return 100 * busy / seconds / instances if instances else math.nan

    def _WorkerUtilization(self) -> float:
        return self._CPUUtilization() / self.endpoint.station.workers[self.variants[0]]

    def _DutyCycle(self) -> float:
        busy = self._CPUUtilization()
        return busy if math.isnan(busy) else min(100.0, busy)

    def _RequestsPerMinutePerInstance(self) -> float:
        if not self._in_service:
            return math.nan
        return self._since(SHARES) * 60.0 / (self.endpoint.sim.env.now - self._at)

    def _RequestsPerMinute(self) -> float:
        attempts = self._since(ARRIVED) + self._since(RETRIED)
        return attempts * 60.0 / (self.endpoint.sim.env.now - self._at)

    def _ConcurrentRequestsPerModel(self) -> float:
        instances = self._in_service
        inside = self.endpoint.station.waiting_and_running()[self.variants].sum()
        return float(inside / instances) if instances else math.nan

    def _ServerlessProvisionedConcurrencyUtilization(self) -> float:
        busy, seconds = self._since(BUSY_NS) / 1e9, self.endpoint.sim.env.now - self._at
        warm = self._in_service
        return busy / seconds / warm if warm else math.nan

    def _InvocationsPerCopy(self) -> float:
        return self._InvocationsPerInstance()

    def _ConcurrentRequestsPerCopy(self) -> float:
        running, seconds = self._since(BUSY_NS) / 1e9, self.endpoint.sim.env.now - self._at
        waiting = self.endpoint.station.waiting_and_running()[self.variants, 0].sum()
        copies = self._in_service
        return float((running / seconds + waiting) / copies) if copies else math.nan

    def _NoCapacityInvocationFailures(self) -> float:
        return self._since(NO_CAPACITY)

    def _ApproximateBacklogSize(self) -> float:
        return float(self.endpoint.station.backlog)

    def _ApproximateBacklogSizePerInstance(self) -> float:
        return self.endpoint.station.backlog / max(1, self._in_service)

    def _HasBacklogWithoutCapacity(self) -> float:
        return float(self.endpoint.station.backlog > 0 and self._in_service == 0)

    def _ApproximateAgeOfOldestRequest(self) -> float:
        now = self.endpoint.sim.env.now
        return now - min(now, self.endpoint.station.oldest_s())

    def _since(self, column: int) -> float:
        """What was counted in a column of the tally since the last reading."""
        first, last = int(self._at / 60.0), int(self.endpoint.sim.env.now / 60.0)
        then = since = now = 0.0
        for variant in self.variants:
            at_first, between, at_last = self.endpoint.station.counted(variant, column, first, last)
            then, since, now = then + at_first, since + between, now + at_last
        before, self._before[column] = self._before.get(column, 0.0), now
        if first == last:
            return now - before
        return then - before + since
