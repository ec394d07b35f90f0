"""Who calls, and when: arrival processes, traces of real requests, and ways to combine them.

    >>> import numpy as np
    >>> chat = diurnal(mean_rate=20, peak_to_mean=1.8)            # requests/s, highest at 20 h
    >>> both = chat + poisson(rate=3)
    >>> both.expected(0, 24 * 3600)
    1987200.0
    >>> poisson(rate=0.5).arrivals(0, 10, np.random.default_rng(1)).round(2)
    array([2.15, 2.76])

Times are seconds since the start of the run, which is midnight.  A workload is a config: it prints, compares and goes
to JSON and back.  The simulator reads a workload as a stream of blocks; where a block ends and what it holds depend on
the workload and the generator alone, so an hour's run is the first hour of a day's run.
"""

import dataclasses
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import numpy as np
import pandas as pd
from pydantic import BeforeValidator, Field, GetCoreSchemaHandler, PlainValidator
from pydantic_core import CoreSchema, core_schema

from simlib import traces
from simlib.model import NumberColumn, Numbers
from simlib.parameters import Count, NonNegative, ParameterError, Positive, Real, Text, checked, config

__all__ = [
    "Block",
    "Workload",
    "bursty",
    "diurnal",
    "files",
    "from_counts",
    "from_trace",
    "nightly",
    "on_off",
    "poisson",
]

DAY_S = 86_400.0
BLOCK = 2**16
TARGET = "TargetVariant="
"""Begins the work column that says which requests ask for a variant by name: 1 those that do, 0 the others."""

PeakToMean = Annotated[Real, Field(ge=1, le=2)]
Hour = Annotated[Real, Field(ge=0, lt=24)]
WithinDay = Annotated[Real, Field(ge=0, le=DAY_S)]
# Below one in a million a thinned stream would have to be read for ages before anything could be said.
KeptShare = Annotated[Real, Field(ge=1e-6, le=1)]


class Block(NamedTuple):
    """A stretch of arrivals: at least one, sorted, not before those of the block before.

    Attributes
    ----------
    times : numpy.ndarray, shape (n,), float64
        Arrival times [s].
    work : mapping of column name to numpy.ndarray, shape (n,), float64
        What each request brings (tokens, MB …), in the units of the trace.
    """

    times: np.ndarray
    work: Mapping[str, np.ndarray]


class Workload:
    """A stream of requests; make one with `poisson`, `diurnal`, `from_trace` … and combine them.

    Attributes
    ----------
    name : str
        Names the random stream: two endpoints given workloads of one name and seed see the same requests.
    work_columns : tuple of str
        Work columns that every request carries.
    """

    if TYPE_CHECKING:  # a field of most kinds, worked out by the combined ones

        @property
        def name(self) -> str: ...

    @property
    def work_columns(self) -> tuple[str, ...]:
        return ()

    def blocks(self, rng: np.random.Generator) -> Iterator[Block]:
        """The arrivals from t = 0 on, block after block, without end or until the workload ends."""
        raise NotImplementedError

    def arrivals(self, start_s: float, end_s: float, rng: np.random.Generator) -> np.ndarray:
        """Arrival times in [start_s, end_s), sorted, shape (n,) [s].

        The stream is read from t = 0, so a generator in the same state gives the same requests whatever the window.
        """
        _check_window(start_s, end_s)
        found = [block.times for block in _window(self.blocks(rng), start_s, end_s)]
        return np.concatenate(found) if found else np.empty(0)

    def expected(self, start_s: float, end_s: float) -> float:
        """Expected number of arrivals in [start_s, end_s): the integral of the rate, or the count of a trace."""
        _check_window(start_s, end_s)
        return self._expected_until(end_s) - self._expected_until(start_s)

    def __add__(self, other: "Workload") -> "Workload":
        """Both at once, independent of each other.

        The requests of the sum carry the work columns that all its parts carry.
        """
        if not isinstance(other, Workload):
            return NotImplemented
        return Sum((*_parts(self), *_parts(other)))

    def scaled(self, factor: Positive) -> "Workload":
        """The same with *factor* times as many requests.

        Rates are multiplied; items, files and counts are multiplied and rounded to whole numbers (the total of
        counts to the nearest).  The requests of a trace are kept with probability *factor* below 1; above 1, each is
        joined by *factor* - 1 copies on average, placed uniformly between it and the next, with the same work.
        """
        return self._scaled(factor)

    def repeated(self, *, days: Positive) -> "Workload":
        """For *days* days in all, over and over.

        A trace is repeated back to back.  Its period is its span plus one mean gap, in whole seconds rounded up; where
        that misses whole days by less than 4 hours, whole days, so that the time of day is kept.  Counts have their own
        length as span, files a day, and what `between` cut out the whole days it touches: 8 to 18 h comes every day.
        Kinds without an end just end after *days* days.  A random kind is drawn anew each time.
        """
        return self._repeated(days)

    def between(self, start_s: NonNegative, end_s: Positive) -> "Workload":
        """Only the arrivals in [start_s, end_s) [s]; their times stay as they are, so nothing comes before start_s."""
        return Between(self, start_s, end_s)

    def thinned(self, share: KeptShare) -> "Workload":
        """Each request kept with probability *share*, independently: a sample, such as one in ten users."""
        return Thinned(self, share)

    def targeting(self, variant: Text) -> "Workload":
        """The same requests, each asking for *variant* by name, past the weights (SageMaker's `TargetVariant`)."""
        return Targeting(self, variant)

    # What a kind answers:

    def _expected_until(self, time_s: float) -> float:
        """Expected number of arrivals in [0, time_s)."""
        raise NotImplementedError

    def _scaled(self, factor: float) -> "Workload":
        raise NotImplementedError

    def _repeated(self, days: float) -> "Workload":
        if self._period_s is None:
            return Between(self, 0.0, days * DAY_S)
        return Repeated(self, self._period_s, days)

    @property
    def _period_s(self) -> float | None:
        """After how long a repetition starts anew [s]; None for a kind that has no end."""
        return None

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Let a parameter that wants a workload say so in our words; each kind checks itself as usual."""
        if cls is Workload:
            return core_schema.with_info_plain_validator_function(_workload)
        return handler(source)


for _method in (Workload.scaled, Workload.repeated, Workload.between, Workload.thinned, Workload.targeting):
    setattr(Workload, _method.__name__, checked(_method))  # only now can pydantic look up what "Workload" means


def _workload(value: object, info: core_schema.ValidationInfo) -> Workload:
    if isinstance(value, Workload):
        return value
    name = f"{info.field_name}={value!r}" if info.field_name else repr(value)
    raise ValueError(f"{name} is not a workload; write for instance workload.poisson(rate=20).")


def _check_window(start_s: float, end_s: float) -> None:
    if not 0 <= start_s <= end_s < math.inf:
        raise ParameterError(f"start_s={start_s:g} and end_s={end_s:g} are not a window: 0 <= start_s <= end_s.")


# --- pieces that several kinds share --------------------------------------------------------------------------------


def _sizes(largest: int = BLOCK) -> Iterator[int]:
    """Block sizes: small first, since many runs are short, then four times as large each time."""
    size = min(256, largest)
    while True:
        yield size
        size = min(4 * size, largest)


def _child(rng: np.random.Generator) -> np.random.Generator:
    """A generator of its own for one part of a workload."""
    return np.random.default_rng(rng.integers(2**32, size=4))


def _sums(rng: np.random.Generator, mean: float, largest: int = BLOCK) -> Iterator[np.ndarray]:
    """Running sums of exponential gaps of *mean*, block after block.

    The carry goes into a block's first gap, so the sums round as if there were no blocks.
    """
    carry = 0.0
    for size in _sizes(largest):
        sums = rng.standard_exponential(size)
        sums *= mean
        sums[0] += carry
        np.cumsum(sums, out=sums)
        carry = sums[-1]
        yield sums


def _in_order(times: np.ndarray, not_before: float) -> Block:
    """A block of *times* that interpolation may have put out of order by a rounding error."""
    times[0] = max(times[0], not_before)
    return Block(np.maximum.accumulate(times, out=times), {})


def _slices(times: np.ndarray, work: Mapping[str, np.ndarray]) -> Iterator[Block]:
    """Sorted arrivals as blocks of growing size."""
    start = 0
    for size in _sizes():
        if start >= len(times):
            return
        yield _part(Block(times, work), start, start + size)
        start += size


def _part(block: Block, start: int, end: int) -> Block:
    return Block(block.times[start:end], {name: column[start:end] for name, column in block.work.items()})


def _window(blocks: Iterable[Block], start_s: float, end_s: float) -> Iterator[Block]:
    """What of *blocks* lies in [start_s, end_s)."""
    for block in blocks:
        if block.times[-1] >= start_s:
            first, last = np.searchsorted(block.times, (start_s, end_s))
            if first < last:
                yield _part(block, int(first), int(last))
        if block.times[-1] >= end_s:
            return


def _whole(value: float, what: str) -> int:
    """*value* rounded to a whole number of at least 1."""
    if value < 0.5:
        raise ParameterError(f"scaled: the factor leaves {value:g} {what}; at least 1 should be left.")
    return round(value)


# --- kinds with a rate ----------------------------------------------------------------------------------------------


@config
class Poisson(Workload):
    """Independent requests at a constant rate: exponential gaps of mean 1/rate."""

    rate: Positive
    name: Text = field(default="poisson", kw_only=True)

    def blocks(self, rng: np.random.Generator) -> Iterator[Block]:
        for times in _sums(rng, 1 / self.rate):
            yield Block(times, {})

    def _expected_until(self, time_s: float) -> float:
        return self.rate * time_s

    def _scaled(self, factor: float) -> Workload:
        return dataclasses.replace(self, rate=self.rate * factor)


@config
class Diurnal(Workload):
    """A Poisson process whose rate follows the hour of the day; see `diurnal`."""

    mean_rate: Positive
    peak_to_mean: PeakToMean = field(default=1.8, kw_only=True)
    peak_hour: Hour = field(default=20.0, kw_only=True)
    name: Text = field(default="diurnal", kw_only=True)

    @cached_property
    def _day(self) -> tuple[np.ndarray, np.ndarray]:
        """Each minute's edge [s], and the expected number of arrivals since midnight there; shape (1441,) each."""
        edges = np.arange(0, DAY_S + 60, 60)
        angle = 2 * np.pi * ((edges[:-1] + 30) / DAY_S - self.peak_hour / 24)
        minutes = 60 * self.mean_rate * (1 + (self.peak_to_mean - 1) * np.cos(angle))
        since_midnight = np.concatenate(([0.0], np.cumsum(minutes)))
        since_midnight[-1] = self.mean_rate * DAY_S
        return edges, since_midnight

    def blocks(self, rng: np.random.Generator) -> Iterator[Block]:
        # Operational time (Çinlar 1975): a rate-1 Poisson process read through the inverse of the cumulative rate.
        edges, since_midnight = self._day
        last = 0.0
        for units in _sums(rng, 1.0):
            days = np.floor(units / since_midnight[-1])
            units -= days * since_midnight[-1]
            times = np.interp(units, since_midnight, edges)
            times += days * DAY_S
            yield _in_order(times, last)
            last = times[-1]

    def _expected_until(self, time_s: float) -> float:
        days, rest = divmod(time_s, DAY_S)
        edges, since_midnight = self._day
        return float(days * since_midnight[-1] + np.interp(rest, edges, since_midnight))

    def _scaled(self, factor: float) -> Workload:
        return dataclasses.replace(self, mean_rate=self.mean_rate * factor)


@config
class Bursty(Workload):
    """Calm and burst in turn, each lasting an exponential time, a Poisson process in each; see `bursty`."""

    calm_rate: NonNegative
    burst_rate: Positive
    mean_calm_s: Positive
    mean_burst_s: Positive
    name: Text = field(default="bursty", kw_only=True)

    def __post_init__(self) -> None:
        if self.burst_rate < self.calm_rate:
            raise ValueError(f"burst_rate={self.burst_rate:g} should be at least calm_rate={self.calm_rate:g}.")

    def blocks(self, rng: np.random.Generator) -> Iterator[Block]:
        return _alternating(rng, (self.calm_rate, self.burst_rate), (self.mean_calm_s, self.mean_burst_s))

    def _expected_until(self, time_s: float) -> float:
        arrivals = self.calm_rate * self.mean_calm_s + self.burst_rate * self.mean_burst_s
        return time_s * arrivals / (self.mean_calm_s + self.mean_burst_s)

    def _scaled(self, factor: float) -> Workload:
        return dataclasses.replace(self, calm_rate=self.calm_rate * factor, burst_rate=self.burst_rate * factor)


@config
class OnOff(Workload):
    """A Poisson process that is switched on and off, each for an exponential time; see `on_off`."""

    rate: Positive
    mean_on_s: Positive
    mean_off_s: Positive
    name: Text = field(default="on_off", kw_only=True)

    def blocks(self, rng: np.random.Generator) -> Iterator[Block]:
        return _alternating(rng, (0.0, self.rate), (self.mean_off_s, self.mean_on_s))

    def _expected_until(self, time_s: float) -> float:
        return time_s * self.rate * self.mean_on_s / (self.mean_on_s + self.mean_off_s)

    def _scaled(self, factor: float) -> Workload:
        return dataclasses.replace(self, rate=self.rate * factor)


def _alternating(rng: np.random.Generator, rates: tuple[float, float], means: tuple[float, float]) -> Iterator[Block]:
    """A Poisson process whose rate alternates between two states of exponential length, in its stationary law.

    In operational time, as `Diurnal`: here the cumulative rate is a random path, drawn from a generator of its own.
    """
    path, points = _child(rng), _child(rng)
    # Stationary: in a state with the share of time spent there; what is left of an exponential stay is exponential.
    order = [1, 0] if path.random() < means[1] / sum(means) else [0, 1]
    stay_means, stay_rates = np.array(means)[order], np.array(rates)[order]
    arrivals_per_round = float(stay_means @ stay_rates)
    # A block is so small that its path stays small too when the states change much faster than requests come.
    largest = int(np.clip(arrivals_per_round * BLOCK, 1, BLOCK))
    edges, done, last = np.zeros(1), np.zeros(1), 0.0
    for units in _sums(points, 1.0, largest):
        while done[-1] <= units[-1]:
            rounds = 16 + int(len(units) / arrivals_per_round)
            stays = path.standard_exponential((rounds, 2)) * stay_means
            edges = np.append(edges, edges[-1] + np.cumsum(stays))
            done = np.append(done, done[-1] + np.cumsum(stays * stay_rates))
        times = np.interp(units, done, edges)
        passed = np.searchsorted(done, units[-1], side="right") - 1
        edges, done = edges[passed:], done[passed:]
        yield _in_order(times, last)
        last = times[-1]


# --- kinds with a number of requests --------------------------------------------------------------------------------


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
            yield from _slices(times, {})

    def _expected_until(self, time_s: float) -> float:
        nights, into = divmod(time_s - self.at_hour * 3600, DAY_S)
        if nights < 0:
            return 0.0
        tonight = min(1.0, into / self.within_s) if self.within_s else float(into > 0)
        return self.items * (nights + tonight)

    def _scaled(self, factor: float) -> Workload:
        return dataclasses.replace(self, items=_whole(self.items * factor, "items"))


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
        for size in _sizes():
            if self._before[start] == self._before[-1]:
                return
            end = min(intervals, int(np.searchsorted(self._before, self._before[start] + size)))
            times = np.repeat(np.arange(start, end, dtype=np.float64), np.diff(self._before[start : end + 1]))
            times += rng.random(len(times))
            times *= self.every_s
            times.sort()
            yield from _slices(times, {})
            start = end

    def _expected_until(self, time_s: float) -> float:
        return float(np.interp(time_s / self.every_s, np.arange(len(self.counts) + 1), self._before))

    def _scaled(self, factor: float) -> Workload:
        totals = np.rint(self._before * factor)
        _whole(totals[-1], "requests")
        return dataclasses.replace(self, counts=Numbers(np.diff(totals)))

    @property
    def _period_s(self) -> float:
        return _period(len(self.counts) * self.every_s)


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
        return _slices(np.zeros(self.count), work)

    def _expected_until(self, time_s: float) -> float:
        return float(self.count) if time_s > 0 else 0.0

    def _scaled(self, factor: float) -> Workload:
        return dataclasses.replace(self, count=_whole(self.count * factor, "files"))

    @property
    def _period_s(self) -> float:
        return DAY_S


# --- traces ---------------------------------------------------------------------------------------------------------


def _period(span_s: float) -> float:
    """After how long something that spans *span_s* starts anew [s]: see `Workload.repeated`."""
    days = math.ceil(span_s / DAY_S) * DAY_S
    return days if days - span_s < 4 * 3600 else float(math.ceil(span_s))


class Recorded(Workload):
    """Requests that were recorded: the same at every reading."""

    if TYPE_CHECKING:

        @property
        def rows(self) -> "Trace": ...

    def blocks(self, rng: np.random.Generator) -> Iterator[Block]:
        work = {name: column.values for name, column in self.rows.work.items()}
        return _slices(self.rows.times.values, work)

    def _expected_until(self, time_s: float) -> float:
        return float(np.searchsorted(self.rows.times.values, time_s))

    def _scaled(self, factor: float) -> Workload:
        if factor == 1:
            return self
        return Thinned(self, factor) if factor < 1 else Copied(self, factor)

    @property
    def _period_s(self) -> float:
        times = self.rows.times.values
        return _period(times[-1] * len(times) / (len(times) - 1)) if times[-1] else DAY_S


@config
class Trace(Recorded):
    """Recorded requests, kept as numbers; see `from_trace`."""

    times: NumberColumn
    work: Mapping[Text, NumberColumn] = field(default_factory=dict)
    name: Text = field(default="trace", kw_only=True)

    def __post_init__(self) -> None:
        if (np.diff(self.times.values) < 0).any():
            raise ValueError("times should be sorted.")
        for name, column in self.work.items():
            if len(column) != len(self.times):
                raise ValueError(f"work[{name!r}] should have {len(self.times)} numbers, as times, not {len(column)}.")

    @property
    def rows(self) -> "Trace":
        return self

    @property
    def work_columns(self) -> tuple[str, ...]:
        return tuple(self.work)


@config
class TraceFile(Recorded):
    """Recorded requests in a CSV file, read when first needed; see `from_trace`."""

    path: Text
    time: Text = field(kw_only=True)
    work: tuple[Text, ...] = field(default=(), kw_only=True)
    name: Text = field(default="trace", kw_only=True)

    @cached_property
    def rows(self) -> Trace:
        return _trace(self.path, self.time, self.work, self.name)

    @property
    def work_columns(self) -> tuple[str, ...]:
        return self.work


def _trace(source: str | pd.DataFrame, time: str, work: Sequence[str], name: str) -> Trace:
    times, columns = traces.read(source, time, work)
    return Trace(Numbers(times), {column: Numbers(values) for column, values in columns.items()}, name=name)


# --- combined -------------------------------------------------------------------------------------------------------


def _parts(workload: Workload) -> tuple[Workload, ...]:
    return workload.parts if isinstance(workload, Sum) else (workload,)


@config
class Sum(Workload):
    """Several workloads at once; see `Workload.__add__`."""

    parts: tuple[Workload, ...]

    def __post_init__(self) -> None:
        if not self.parts:
            raise ValueError("parts should hold at least one workload.")

    @cached_property
    def name(self) -> str:
        return "+".join(part.name for part in self.parts)

    @cached_property
    def work_columns(self) -> tuple[str, ...]:
        first, *others = (part.work_columns for part in self.parts)
        common = tuple(column for column in first if all(column in other for other in others))
        targets = {column for part in self.parts for column in part.work_columns if column.startswith(TARGET)}
        return (*(column for column in common if column not in targets), *sorted(targets))

    def blocks(self, rng: np.random.Generator) -> Iterator[Block]:
        streams = [part.blocks(_child(rng)) for part in self.parts]
        waiting = [next(stream, None) for stream in streams]
        while any(waiting):
            # Up to where every part has been read, nothing more can come.
            known_s = min(block.times[-1] for block in waiting if block)
            ready = []
            for number, block in enumerate(waiting):
                if block:
                    cut = int(np.searchsorted(block.times, known_s, side="right"))
                    ready.append(_part(block, 0, cut))
                    rest = _part(block, cut, len(block.times))
                    waiting[number] = rest if len(rest.times) else next(streams[number], None)
            yield self._merged([block for block in ready if len(block.times)])

    def _merged(self, ready: list[Block]) -> Block:
        """The blocks as one, in order of time; those of one time in order of part."""
        times = np.concatenate([block.times for block in ready])
        if not self.work_columns:
            times.sort(kind="stable")
            return Block(times, {})
        order = np.argsort(times, kind="stable")
        work = {name: np.concatenate([_column(block, name) for block in ready])[order] for name in self.work_columns}
        return Block(times[order], work)

    def _expected_until(self, time_s: float) -> float:
        return sum(part._expected_until(time_s) for part in self.parts)

    def _scaled(self, factor: float) -> Workload:
        return Sum(tuple(part.scaled(factor) for part in self.parts))

    def _repeated(self, days: float) -> Workload:
        return Sum(tuple(part.repeated(days=days) for part in self.parts))


def _column(block: Block, name: str) -> np.ndarray:
    """A work column; nobody in a part without it asks for that variant."""
    return block.work[name] if name in block.work else np.zeros(len(block.times))


class Derived(Workload):
    """A workload made from one other, of which it keeps name, work columns and period."""

    if TYPE_CHECKING:

        @property
        def base(self) -> Workload: ...

    @property
    def name(self) -> str:
        return self.base.name

    @property
    def work_columns(self) -> tuple[str, ...]:
        return self.base.work_columns

    @property
    def _period_s(self) -> float | None:
        return self.base._period_s

    def _scaled(self, factor: float) -> Workload:
        changed: Any = self
        return dataclasses.replace(changed, base=self.base.scaled(factor))


@config
class Copied(Derived):
    """A trace with more requests than were recorded; see `Workload.scaled`."""

    base: Recorded
    factor: Annotated[Real, Field(gt=1)]

    @cached_property
    def _gaps(self) -> np.ndarray:
        """From each request to the next [s]; 0 after the last, whose copies come with it."""
        times = self.base.rows.times.values
        return np.diff(times, append=times[-1])

    def blocks(self, rng: np.random.Generator) -> Iterator[Block]:
        extra, share = divmod(self.factor - 1, 1.0)
        start = 0
        for block in self.base.blocks(rng):
            gaps = self._gaps[start : start + len(block.times)]
            start += len(block.times)
            copies = int(extra) + (rng.random(len(gaps)) < share)
            source = np.concatenate((np.arange(len(gaps)), np.repeat(np.arange(len(gaps)), copies)))
            times = block.times[source]
            times[len(gaps) :] += rng.random(len(times) - len(gaps)) * gaps[source[len(gaps) :]]
            order = np.argsort(times, kind="stable")
            yield Block(times[order], {name: column[source[order]] for name, column in block.work.items()})

    def _expected_until(self, time_s: float) -> float:
        times = self.base.rows.times.values
        seen = int(np.searchsorted(times, time_s))
        if seen == 0:
            return 0.0
        gap = self._gaps[seen - 1]
        copied = seen - 1 + (min(1.0, (time_s - times[seen - 1]) / gap) if gap else 1.0)
        return float(seen + (self.factor - 1) * copied)

    def _scaled(self, factor: float) -> Workload:
        return self.base.scaled(self.factor * factor)


@config
class Between(Derived):
    """The part of a workload in a window of time; see `Workload.between`."""

    base: Workload
    start_s: NonNegative
    end_s: Positive

    def __post_init__(self) -> None:
        if self.end_s <= self.start_s:
            raise ValueError(f"end_s={self.end_s:g} should be greater than start_s={self.start_s:g}.")

    def blocks(self, rng: np.random.Generator) -> Iterator[Block]:
        return _window(self.base.blocks(rng), self.start_s, self.end_s)

    def _expected_until(self, time_s: float) -> float:
        if time_s <= self.start_s:
            return 0.0
        return self.base.expected(self.start_s, min(time_s, self.end_s))

    @property
    def _period_s(self) -> float:
        return math.ceil(self.end_s / DAY_S) * DAY_S


@config
class Thinned(Derived):
    """A random share of the requests of a workload; see `Workload.thinned`."""

    base: Workload
    share: KeptShare

    def blocks(self, rng: np.random.Generator) -> Iterator[Block]:
        requests, coin = self.base.blocks(_child(rng)), _child(rng)
        for block in requests:
            kept = coin.random(len(block.times)) < self.share
            if kept.any():
                yield Block(block.times[kept], {name: column[kept] for name, column in block.work.items()})

    def _expected_until(self, time_s: float) -> float:
        return self.share * self.base._expected_until(time_s)


@config
class Targeting(Derived):
    """Requests that ask for a variant by name; see `Workload.targeting`."""

    base: Workload
    variant: Text

    @property
    def work_columns(self) -> tuple[str, ...]:
        return (*self.base.work_columns, TARGET + self.variant)

    def blocks(self, rng: np.random.Generator) -> Iterator[Block]:
        for block in self.base.blocks(rng):
            yield Block(block.times, {**block.work, TARGET + self.variant: np.ones(len(block.times))})

    def _expected_until(self, time_s: float) -> float:
        return self.base._expected_until(time_s)


@config
class Repeated(Derived):
    """A workload over and over; see `Workload.repeated`."""

    base: Workload
    every_s: Positive
    days: Positive

    def blocks(self, rng: np.random.Generator) -> Iterator[Block]:
        end_s = self.days * DAY_S
        for turn in range(math.ceil(end_s / self.every_s)):
            start_s = turn * self.every_s
            length_s = min(self.every_s, end_s - start_s)
            for block in _window(self.base.blocks(_child(rng)), 0.0, length_s):
                yield Block(block.times + start_s, block.work)

    def _expected_until(self, time_s: float) -> float:
        turns, rest = divmod(min(time_s, self.days * DAY_S), self.every_s)
        return turns * self.base._expected_until(self.every_s) + self.base._expected_until(rest)

    @property
    def _period_s(self) -> float:
        return math.ceil(self.days) * DAY_S


# --- the public way to make them ------------------------------------------------------------------------------------


@checked
def poisson(rate: Positive, *, name: Text = "poisson") -> Workload:
    """Independent requests, *rate* a second on average: what many users who know nothing of each other make.

    Gaps are exponential of mean 1/rate; the index of dispersion (variance / mean of counts) is 1 in any window.
    """
    return Poisson(rate, name=name)


@checked
def diurnal(
    mean_rate: Positive, *, peak_to_mean: PeakToMean = 1.8, peak_hour: Hour = 20.0, name: Text = "diurnal"
) -> Workload:
    """A day's wave: a Poisson process whose rate is a cosine of the hour, the same every day.

    rate(h) = mean_rate · (1 + (peak_to_mean - 1) · cos(2π (h - peak_hour) / 24)), constant within each minute, at the
    value of its middle.  The run starts at midnight.

    Parameters
    ----------
    mean_rate : float
        Mean over the day [requests/s].
    peak_to_mean : float
        Highest rate / mean rate, from 1 (flat) to 2 (nobody calls at the lowest point).
    peak_hour : float
        When the rate is highest [h, 0 to 24].
    """
    return Diurnal(mean_rate, peak_to_mean=peak_to_mean, peak_hour=peak_hour, name=name)


@checked
def bursty(
    calm_rate: NonNegative,
    burst_rate: Positive,
    mean_calm_s: Positive,
    mean_burst_s: Positive,
    *,
    name: Text = "bursty",
) -> Workload:
    """Calm and bursts in turn: a Markov-modulated Poisson process of two states, started in its stationary law.

    With p the share of time in bursts, m the mean rate and s = 1/mean_calm_s + 1/mean_burst_s, the index of dispersion
    of counts over a window of t seconds is
    1 + 2 p (1-p) (burst_rate - calm_rate)² / (m s) · (1 - (1 - exp(-s t)) / (s t))
    (Fischer and Meier-Hellstern, "The Markov-modulated Poisson process cookbook", 1993).

    Parameters
    ----------
    calm_rate, burst_rate : float
        Rate in each state [requests/s].
    mean_calm_s, mean_burst_s : float
        Mean length of a stay in each state [s], exponential.
    """
    return Bursty(calm_rate, burst_rate, mean_calm_s, mean_burst_s, name=name)


@checked
def on_off(rate: Positive, mean_on_s: Positive, mean_off_s: Positive, *, name: Text = "on_off") -> Workload:
    """Requests at *rate* a second while on, none while off; stays are exponential of the given means [s]."""
    return OnOff(rate, mean_on_s, mean_off_s, name=name)


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


def _source(value: object) -> object:
    if isinstance(value, str | Path | pd.DataFrame):
        return value
    raise ValueError(f"source should be the path of a CSV file or a DataFrame, not a {type(value).__name__}.")


def _columns(value: object) -> object:
    return (value,) if isinstance(value, str) else value


Source = Annotated[str | Path | pd.DataFrame, PlainValidator(_source)]
Columns = Annotated[Sequence[Text], BeforeValidator(_columns)]


@checked
def from_trace(source: Source, *, time: Text, work: Columns = (), name: Text = "trace") -> Workload:
    """The requests of a log, one a row; the first comes at 0 s.

    Parameters
    ----------
    source : path or pandas.DataFrame
        A CSV file with a header (also .gz, .zip …), or a frame.
    time : str
        The column of arrival times: numbers of seconds, datetimes, or ISO 8601 texts with any number of decimals (read
        to the nanosecond).  Time zones may differ from row to row, but either all rows have one or none.  Rows need
        not be sorted.
    work : sequence of str
        Columns that say how much work a request brings, numbers of at least 0; see `per_unit`.

    Raises
    ------
    ParameterError
        If the file cannot be read, has no such column or no rows, or a value is not a time or not a number.
    """
    if isinstance(source, pd.DataFrame):
        return _trace(source, time, work, name)
    trace = TraceFile(str(source), time=time, work=tuple(work), name=name)
    _ = trace.rows  # what is wrong with the file should be said here, not in the middle of a run
    return trace


@checked
def files(count: Count, *, size_mb: Positive, records_per_file: Count = 1, name: Text = "files") -> Workload:
    """*count* files that all lie ready at 0 s, for a batch job; work columns ``size_mb`` [MB] and ``records``."""
    return Files(count, size_mb=size_mb, records_per_file=records_per_file, name=name)
