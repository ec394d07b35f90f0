"""A workload: a stream of requests that can be read, scaled, cut, repeated and added to others."""

import dataclasses
import math
from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from simlib.parameters import NonNegative, ParameterError, Positive, Real, Text, checked, config, shortly
from simlib.workload.blocks import Block, child, part, window

DAY_S = 86_400.0
TARGET = "TargetVariant="
"""Begins the work column that says which requests ask for a variant by name: 1 those that do, 0 the others."""

# Below one in a million a thinned stream would have to be read for ages before anything could be said.
KeptShare = Annotated[Real, Field(ge=1e-6, le=1)]


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

    def arrivals(self, start_s: NonNegative, end_s: NonNegative, rng: np.random.Generator) -> np.ndarray:
        """Arrival times in [start_s, end_s), sorted, shape (n,) [s].

        The stream is read from t = 0, so a generator in the same state gives the same requests whatever the window.
        """
        _check_window("arrivals", start_s, end_s)
        found = [block.times for block in window(self.blocks(rng), start_s, end_s)]
        return np.concatenate(found) if found else np.empty(0)

    def expected(self, start_s: NonNegative, end_s: NonNegative) -> float:
        """Expected number of arrivals in [start_s, end_s): the integral of the rate, or the count of a trace."""
        _check_window("expected", start_s, end_s)
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
        if self.period_s is None:
            return Between(self, 0.0, days * DAY_S)
        return Repeated(self, self.period_s, days)

    @property
    def period_s(self) -> float | None:
        """After how long a repetition starts anew [s]; None for a kind that has no end."""
        return None

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Let a parameter that wants a workload say so in our words; each kind checks itself as usual."""
        if cls is Workload:
            return core_schema.with_info_plain_validator_function(_workload)
        return handler(source)


for _name in ("arrivals", "expected", "scaled", "repeated", "between", "thinned", "targeting"):
    setattr(Workload, _name, checked(getattr(Workload, _name)))  # only now can pydantic look up what "Workload" means


def _workload(value: object, info: core_schema.ValidationInfo) -> Workload:
    if isinstance(value, Workload):
        return value
    name = f"{info.field_name}={shortly(value)}" if info.field_name else shortly(value)
    raise ValueError(f"{name} is not a workload; write for instance workload.poisson(rate=20).")


def _check_window(owner: str, start_s: float, end_s: float) -> None:
    if start_s > end_s:
        raise ParameterError(f"{owner}: end_s={end_s:g} should be at least start_s={start_s:g}.")


def period_of(span_s: float) -> float:
    """After how long something that spans *span_s* starts anew [s]: see `Workload.repeated`."""
    days = math.ceil(span_s / DAY_S) * DAY_S
    return days if days - span_s < 4 * 3600 else float(math.ceil(span_s))


# --- several at once --------------------------------------------------------------------------------------------------


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
        streams = [part.blocks(child(rng)) for part in self.parts]
        waiting = [next(stream, None) for stream in streams]
        while any(waiting):
            # Up to where every part has been read, nothing more can come.
            known_s = min(block.times[-1] for block in waiting if block)
            ready = []
            for number, block in enumerate(waiting):
                if block:
                    cut = int(np.searchsorted(block.times, known_s, side="right"))
                    ready.append(part(block, 0, cut))
                    rest = part(block, cut, len(block.times))
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


# --- made from one other ----------------------------------------------------------------------------------------------


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
    def period_s(self) -> float | None:
        return self.base.period_s

    def _scaled(self, factor: float) -> Workload:
        changed: Any = self
        return dataclasses.replace(changed, base=self.base.scaled(factor))


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
        return window(self.base.blocks(rng), self.start_s, self.end_s)

    def _expected_until(self, time_s: float) -> float:
        if time_s <= self.start_s:
            return 0.0
        return self.base.expected(self.start_s, min(time_s, self.end_s))

    @property
    def period_s(self) -> float:
        return math.ceil(self.end_s / DAY_S) * DAY_S


@config
class Thinned(Derived):
    """A random share of the requests of a workload; see `Workload.thinned`."""

    base: Workload
    share: KeptShare

    def blocks(self, rng: np.random.Generator) -> Iterator[Block]:
        requests, coin = self.base.blocks(child(rng)), child(rng)
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
            for block in window(self.base.blocks(child(rng)), 0.0, length_s):
                yield Block(block.times + start_s, block.work)

    def _expected_until(self, time_s: float) -> float:
        turns, rest = divmod(min(time_s, self.days * DAY_S), self.every_s)
        return turns * self.base._expected_until(self.every_s) + self.base._expected_until(rest)

    @property
    def period_s(self) -> float:
        return math.ceil(self.days) * DAY_S
