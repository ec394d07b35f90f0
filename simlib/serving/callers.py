"""A station told in plain SimPy: each request is a process of its own, for what does not fit the lanes.

It is slow beside the lanes (tens of thousands of requests a second) and can tell any story.  To whoever reads it, it
looks like a `Station`: the same counts, log and commands.
"""

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import simpy

from simlib.record import (
    ARRIVED,
    BINS,
    BUSY_NS,
    COLD_STARTS,
    COMPLETED,
    FAILED,
    INSIDE,
    LATENCY_NS,
    NOBODY,
    SETUP_NS,
    TALLIES,
    TIMED_OUT,
    Requests,
    counted,
    counted_by,
)
from simlib.serving.minutes import latency_bins
from simlib.serving.station import longer
from simlib.turns import ARRIVAL, LIFE, pause

if TYPE_CHECKING:
    from simlib.simulation import Simulation
    from simlib.workload import Workload
    from simlib.workload.blocks import Block

Story = Generator[simpy.Event, Any, None]


@dataclass(slots=True)
class Caller:
    """One request, seen by who sent it; times in seconds."""

    row: int
    arrival: float
    service_s: float
    variant: int = 0
    model: int = 0
    start: float = np.nan
    finish: float = np.nan
    status: int = INSIDE
    instance: int = NOBODY
    cold: bool = False  # whether a model had to be loaded first
    loading_s: float = 0.0

    @property
    def waits(self) -> bool:
        """Whether it has no answer yet."""
        return self.status == INSIDE


@dataclass(slots=True)
class Stretch:
    """Work on one request: what of it is counted, and when it ends [s]."""

    caller: Caller
    counted_until: float
    end: float


class Tables(NamedTuple):
    """What is counted, as the lanes count it: [v] variant, [m] minute, [h] hour, [b] bin."""

    tally: np.ndarray  # [v, m, TALLIES]
    per_instance: np.ndarray  # [v, m]
    histogram: np.ndarray  # [v, h, b]


class Draw(NamedTuple):
    """What is drawn for the requests of one block: shape (n,) each."""

    variant: np.ndarray
    model: np.ndarray
    service_s: np.ndarray


class Callers:
    """The requests of one endpoint, told by SimPy.

    Parameters
    ----------
    sim, workload : Simulation, Workload
    variants : int
    draw : function of a block
        Everything that is random about its requests.
    story : function of a caller
        What happens to it, as a SimPy process; it ends with `settle`.
    timeout_s : float
        A caller waits no longer than this for an answer [s].
    """

    def __init__(
        self,
        sim: "Simulation",
        workload: "Workload",
        variants: int,
        draw: "Callable[[Block], Draw]",
        story: Callable[[Caller], Story],
        *,
        timeout_s: float,
        log: bool,
    ) -> None:
        self.env, self.timeout_s = sim.env, timeout_s
        self.now = sim.env.now
        self._story, self._logs = story, log
        self._everyone: list[Caller] = []
        self._inside: dict[int, Caller] = {}
        self._working: dict[int, Stretch] = {}
        self.lane = Tables(
            np.zeros((variants, 1, TALLIES), np.int64), np.zeros((variants, 1)), np.zeros((variants, 1, BINS), np.int64)
        )
        sim.env.process(self._arrive(workload, sim.rng(workload.name, "arrivals"), draw))

    # --- stories ---

    def _arrive(self, workload: "Workload", rng: np.random.Generator, draw: "Callable[[Block], Draw]") -> Story:
        begin, row = self.env.now, 0
        for block in workload.blocks(rng):
            drawn = draw(block)
            for time, variant, model, service_s in zip(block.times.tolist(), *(c.tolist() for c in drawn), strict=True):
                if time < begin:
                    continue
                yield pause(self.env, max(0.0, time - self.env.now), ARRIVAL)
                caller = Caller(row, self.env.now, service_s, variant, model)
                row += 1
                self._enter(caller)
                self.env.process(self._story(caller))
                self.env.process(self._lose_patience(caller))

    def _enter(self, caller: Caller) -> None:
        self._inside[caller.row] = caller
        if self._logs:
            self._everyone.append(caller)
        self.count(caller.variant, ARRIVED)

    def _lose_patience(self, caller: Caller) -> Story:
        """At its deadline a caller who still waits gets an error; work in hand goes on."""
        yield pause(self.env, self.timeout_s, LIFE)
        if caller.waits:
            self.settle(caller, TIMED_OUT)

    # --- what happens to a caller ---

    def work_on(self, caller: Caller) -> Story:
        """A worker takes the request, now, for its time; a caller who still waits then has an answer."""
        caller.start = self.env.now
        stretch = self._working[caller.row] = Stretch(caller, self.env.now, self.env.now + caller.service_s)
        yield self.env.timeout(caller.service_s)
        self._count_work(stretch, stretch.end)
        self._working.pop(caller.row, None)
        if caller.waits:
            self.settle(caller, COMPLETED)

    def settle(self, caller: Caller, status: int) -> None:
        """Its outcome is final: counted in this minute, and logged."""
        caller.status, caller.finish = status, self.env.now
        self._inside.pop(caller.row)
        self.count(caller.variant, status)
        if status == COMPLETED:
            self.count(caller.variant, LATENCY_NS, _ns(caller.finish) - _ns(caller.arrival))
            bin_ = int(latency_bins(np.array([caller.finish - caller.arrival]))[0])
            self.lane.histogram[caller.variant, int(caller.finish // 3600), bin_] += 1

    def wait_for_model(self, caller: Caller, load: Story) -> Story:
        """Its model is not there: it waits for *load*, its own or another's."""
        begin, caller.cold = self.env.now, True
        self.count(caller.variant, COLD_STARTS)
        yield from load
        caller.loading_s = self.env.now - begin
        self.count(caller.variant, SETUP_NS, _ns(caller.loading_s))

    def lose(self, caller: Caller) -> None:
        """What it is served by is gone: work on it stops, and it fails unless it has its answer."""
        stretch = self._working.pop(caller.row, None)
        if stretch is not None:
            stretch.end = self.env.now  # what was worked is counted: a command comes after `advance`
        if caller.waits:
            self.settle(caller, FAILED)

    # --- counting ---

    def count(self, variant: int, column: int, amount: int = 1) -> None:
        """Add to a column of the tally in this minute."""
        self._make_room(self.env.now)
        self.lane.tally[variant, int(self.env.now // 60), column] += amount

    def share(self, variant: int, servers: int) -> None:
        """An invocation comes to one of so many servers."""
        self._make_room(self.env.now)
        self.lane.per_instance[variant, int(self.env.now // 60)] += 1 / servers

    def count_between(self, variant: int, column: int, begin: float, end: float, times: int = 1) -> None:
        """Add the nanoseconds between two instants to the minutes they lie in."""
        self._make_room(end)
        while begin < end:
            minute = int(begin // 60)
            stop = min(end, (minute + 1) * 60.0)
            self.lane.tally[variant, minute, column] += times * (_ns(stop) - _ns(begin))
            begin = stop

    def _count_work(self, stretch: Stretch, until: float) -> None:
        until = min(stretch.end, until)
        self.count_between(stretch.caller.variant, BUSY_NS, stretch.counted_until, until)
        stretch.counted_until = max(stretch.counted_until, until)

    def _make_room(self, until: float) -> None:
        minutes = self.lane.tally.shape[1]
        if until >= minutes * 60.0:
            more = max(2 * minutes, int(until // 60) + 2)
            self.lane = Tables(
                longer(self.lane.tally, more, axis=1),
                longer(self.lane.per_instance, more, axis=1),
                longer(self.lane.histogram, more // 60 + 1, axis=1),
            )

    # --- as a `Station` is read ---

    def advance(self, until: float) -> None:
        """Count work up to *until* [s]; the requests themselves are there already."""
        self._make_room(until)
        for stretch in self._working.values():
            self._count_work(stretch, until)
        self.now = until

    def counted(self, variant: int, column: int, first: int, last: int) -> list[float]:
        """What stands in a column of the tally in minute *first*, in those after it up to *last*, and in *last*."""
        return counted(self.lane, variant, column, first, last)

    def tables(self, end_s: float) -> dict[str, np.ndarray]:
        """What was counted up to *end_s*, as in a snapshot."""
        return {name: table.copy() for name, table in counted_by(self.lane, end_s).items()}

    def waiting_and_running(self) -> np.ndarray:
        """Requests waiting and in work now, for each variant: shape (variants, 2)."""
        found = np.zeros((len(self.lane.tally), 2), np.int64)
        for caller in self._inside.values():
            found[caller.variant, int(caller.row in self._working)] += 1
        return found

    def inside(self) -> np.ndarray:
        """Who is inside now; the field "variant"."""
        return np.array([(c.variant,) for c in self._inside.values()], dtype=[("variant", "i4")])

    def log(self) -> Requests:
        """The log up to now."""
        return Requests(
            **{name: self._column(name, float) for name in ("arrival", "start", "finish")},
            **{name: self._column(name, np.int8) for name in ("status", "variant")},
            attempts=np.ones(len(self._everyone), np.int8),
            instance=self._column("instance", np.int32),
            cold=self._column("cold", bool),
            loading=self._column("loading_s", float),
            model=self._column("model", np.int32),
        )

    def _column(self, name: str, kind: type) -> np.ndarray:
        return np.array([getattr(caller, name) for caller in self._everyone], dtype=kind)


def picked(shares: np.ndarray, rng: np.random.Generator, n: int) -> np.ndarray:
    """*n* independent choices by *shares*, which need not sum to 1; shape (n,)."""
    edges = np.cumsum(shares / shares.sum())[:-1]
    return np.searchsorted(edges, rng.random(n), side="right")


def service_times(block: "Block", chosen: np.ndarray, models: Any, streams: Any) -> np.ndarray:
    """Service times [s] of a block's requests, each from the stream of its model; shape (n,)."""
    found = np.empty(len(block.times))
    for number in np.unique(chosen).tolist():
        mine = np.flatnonzero(chosen == number)
        work = {name: column[mine] for name, column in block.work.items()}
        found[mine] = models[number].service.durations(len(mine), streams[number], work)
    return found


class Streams:
    """The random streams of many models, each made when it is first used."""

    def __init__(self, sim: "Simulation", workload: "Workload", names: Any) -> None:
        self._made: dict[int, np.random.Generator] = {}
        self._make = lambda number: sim.rng(workload.name, "service", names[number])

    def __getitem__(self, number: int) -> np.random.Generator:
        if number not in self._made:
            self._made[number] = self._make(number)
        return self._made[number]

    def __iter__(self) -> Iterator[int]:
        return iter(self._made)


def _ns(seconds: float) -> int:
    return int(seconds * 1e9 + 0.5)
