"""Requests that were recorded, replayed from a file or a frame."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import pandas as pd
from pydantic import BeforeValidator, Field, PlainValidator

from simlib.columns import NumberColumn, Numbers
from simlib.parameters import Real, Text, checked, config
from simlib.workload import reading
from simlib.workload.blocks import Block, slices
from simlib.workload.stream import DAY_S, Derived, Thinned, Workload, period_of


class Recorded(Workload):
    """Requests that were recorded: the same at every reading."""

    if TYPE_CHECKING:

        @property
        def rows(self) -> "Trace": ...

    def blocks(self, rng: np.random.Generator) -> Iterator[Block]:
        work = {name: column.values for name, column in self.rows.work.items()}
        return slices(self.rows.times.values, work)

    def _expected_until(self, time_s: float) -> float:
        return float(np.searchsorted(self.rows.times.values, time_s))

    def _scaled(self, factor: float) -> Workload:
        if factor == 1:
            return self
        return Thinned(self, factor) if factor < 1 else Copied(self, factor)

    @property
    def period_s(self) -> float:
        times = self.rows.times.values
        return period_of(times[-1] * len(times) / (len(times) - 1)) if times[-1] else DAY_S


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
    times, columns = reading.read(source, time, work)
    return Trace(Numbers(times), {column: Numbers(values) for column, values in columns.items()}, name=name)


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
        A CSV file with a header (also .gz, .zip …), or a frame.  Columns are separated by commas, semicolons, tabs or
        bars, whichever finds most names in the header.
    time : str
        The column of arrival times: seconds, datetimes, ISO 8601 texts with any number of decimals (read to the
        nanosecond), or milli-, micro- or nanoseconds since 1970, where all numbers are of this century.  Time zones may
        differ from row to row, but either all rows have one or none.  Rows need not be sorted.
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
