"""Workloads with a number of requests: every night, in each interval of a metric, files that lie ready."""

import dataclasses
import itertools
from collections.abc import Iterator
from dataclasses import field
from functools import cached_property
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from simlib.columns import NumberColumn, Numbers
from simlib.parameters import Count, ParameterError, Positive, Real, Text, checked, config
from simlib.workload.blocks import Block, sizes, slices
from simlib.workload.rates import Hour
from simlib.workload.stream import DAY_S, Workload, period_of

WithinDay = Annotated[Real, Field(ge=0, le=DAY_S)]


def whole(value: float, what: str) -> int:
    """*value* rounded to a whole number of at least 1."""
    if value < 0.5:
        raise ParameterError(f"scaled: the factor leaves {value:g} {what}; at least 1 should be left.")
    return round(value)


@config
class Nightly(Workload):
    """The same number of items every day at the same hour; see `nightly`."""

    items: Count
    at_hour: Hour = field(kw_only=True)
    within_s: WithinDay = field(default=0.0, kw_only=True)
    name: Text = field(default="nightly", kw_only=True)

    def blocks(self, rng: np.random.Generator) -> Iterator[Block]:
        for day in itertools.count():
            times = np.full(self.items, day * DAY_S + self.at_hour * 3600)
            if self.within_s:
                times += np.sort(rng.random(self.items)) * self.within_s
            yield from slices(times, {})

    def _expected_until(self, time_s: float) -> float:
        nights, into = divmod(time_s - self.at_hour * 3600, DAY_S)
        if nights < 0:
            return 0.0
        tonight = min(1.0, into / self.within_s) if self.within_s else float(into > 0)
        return self.items * (nights + tonight)

    def _scaled(self, factor: float) -> Workload:
        return dataclasses.replace(self, items=whole(self.items * factor, "items"))


@checked
def nightly(items: Count, *, at_hour: Hour, within_s: WithinDay = 0.0, name: Text = "nightly") -> Workload:
    """*items* requests every day from *at_hour* on.

    Parameters
    ----------
    items : int
        Requests a day.
    at_hour : float
        When they begin [h, 0 to 24].
    within_s : float
        0: all at once; otherwise uniform in a window of so many seconds, up to a day.
    """
    return Nightly(items, at_hour=at_hour, within_s=within_s, name=name)


@config
class Counts(Workload):
    """Exactly so many requests in each interval, uniform within it; see `from_counts`."""

    counts: NumberColumn
    every_s: Positive = field(default=60.0, kw_only=True)
    name: Text = field(default="counts", kw_only=True)

    def __post_init__(self) -> None:
        broken = np.flatnonzero(self.counts.values % 1)
        if broken.size:
            where = int(broken[0])
            raise ValueError(f"counts[{where}]={self.counts.values[where]:g} should be a whole number.")
        if not self.counts.values.any():
            raise ValueError("counts should hold at least one request.")

    @cached_property
    def _before(self) -> np.ndarray:
        """How many requests come before each interval, and in all; shape (intervals + 1,), int64."""
        return np.concatenate(([0], np.cumsum(self.counts.values))).astype(np.int64)

    def blocks(self, rng: np.random.Generator) -> Iterator[Block]:
        intervals, start = len(self.counts), 0
        for size in sizes():
            if self._before[start] == self._before[-1]:
                return
            end = min(intervals, int(np.searchsorted(self._before, self._before[start] + size)))
            times = np.repeat(np.arange(start, end, dtype=np.float64), np.diff(self._before[start : end + 1]))
            times += rng.random(len(times))
            times *= self.every_s
            times.sort()
            yield from slices(times, {})
            start = end

    def _expected_until(self, time_s: float) -> float:
        return float(np.interp(time_s / self.every_s, np.arange(len(self.counts) + 1), self._before))

    def _scaled(self, factor: float) -> Workload:
        totals = np.rint(self._before * factor)
        whole(totals[-1], "requests")
        return dataclasses.replace(self, counts=Numbers(np.diff(totals)))

    @property
    def period_s(self) -> float:
        return period_of(len(self.counts) * self.every_s)


@checked
def from_counts(counts: Any, *, every_s: Positive = 60.0, name: Text = "counts") -> Workload:
    """Exactly counts[k] requests in the k-th interval, at uniform instants; ends after the last.

    Parameters
    ----------
    counts : sequence of int, shape (n,)
        Requests in each interval, at least 0.
    every_s : float
        Length of an interval [s]; a minute, as CloudWatch counts.
    """
    return Counts(counts, every_s=every_s, name=name)


@config
class Files(Workload):
    """Files that all lie ready at the start; see `files`."""

    count: Count
    size_mb: Positive = field(kw_only=True)
    records_per_file: Count = field(default=1, kw_only=True)
    name: Text = field(default="files", kw_only=True)

    @property
    def work_columns(self) -> tuple[str, ...]:
        return ("size_mb", "records")

    def blocks(self, rng: np.random.Generator) -> Iterator[Block]:
        work = {
            "size_mb": np.full(self.count, self.size_mb),
            "records": np.full(self.count, float(self.records_per_file)),
        }
        return slices(np.zeros(self.count), work)

    def _expected_until(self, time_s: float) -> float:
        return float(self.count) if time_s > 0 else 0.0

    def _scaled(self, factor: float) -> Workload:
        return dataclasses.replace(self, count=whole(self.count * factor, "files"))

    @property
    def period_s(self) -> float:
        return DAY_S


@checked
def files(count: Count, *, size_mb: Positive, records_per_file: Count = 1, name: Text = "files") -> Workload:
    """*count* files that all lie ready at 0 s, for a batch job; work columns ``size_mb`` [MB] and ``records``."""
    return Files(count, size_mb=size_mb, records_per_file=records_per_file, name=name)
