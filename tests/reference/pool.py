"""A serverless endpoint as plain SimPy processes: callers and containers, one request at a time."""

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import simpy

from simlib import record
from simlib.record import Requests
from simlib.serving import lanes
from simlib.serving.station import Chunk, Rules
from tests.reference.station import ARRIVAL, COMPLETION, DECISION, END, RETRY, TIME_OUT, after, another_uniform

Story = Generator[simpy.Event, Any, None]


def whole_ns(seconds: float) -> int:
    return math.floor(seconds * 1e9 + 0.5)


@dataclass
class Container:
    """One container: when it was created, and since when it is idle."""

    number: int
    created: float
    provisioned: bool = False
    idle_from: float = math.nan
    ends: float = math.nan
    born: float = math.nan
    gone: float = math.nan  # of one that was kept warm and is not any more


@dataclass
class Caller:
    """One request, seen by who sent it."""

    row: int
    arrival: float
    start: float = math.nan
    finish: float = math.nan
    status: int = record.INSIDE
    attempts: int = 1
    container: int = record.NOBODY
    cold: bool = False
    setup: float = 0.0


class ReferencePool:
    """The endpoint of a `Station` whose routing is SERVERLESS, told by SimPy."""

    def __init__(self, rules: Rules, requests: Chunk) -> None:
        self.env = simpy.Environment(initial_time=0.0)
        self.rules, self.requests = rules, requests
        self.callers = [Caller(row, arrival) for row, arrival in enumerate(requests.arrivals.tolist())]
        self.busy = 0
        self.idle: list[Container] = []
        self.warm: list[Container] = []
        self.working: list[Container] = []
        self.containers: list[Container] = []
        self.counted: list[tuple[int, float, int]] = []  # (column of the tally, moment, how many)
        self.busy_spans: list[tuple[float, float]] = []
        self.looks: list[tuple[float, int, int, int]] = []

    # --- a request ---

    def call(self, caller: Caller) -> Story:
        """A caller tries, again if throttled, and waits for the answer until its patience ends."""
        yield after(self.env, caller.arrival, ARRIVAL)
        self.count(record.ARRIVED)
        while self.busy >= self.rules.max_concurrency:
            if caller.attempts >= self.rules.max_attempts:
                caller.status, caller.finish = record.THROTTLED, self.env.now
                self.count(record.THROTTLED)
                return
            wait = self.rules.backoff_base_s * self.rules.backoff_factor ** (caller.attempts - 1.0)
            if self.rules.backoff_jitter:
                wait *= another_uniform(float(self.requests.u_backoff[caller.row]), caller.attempts)
            yield after(self.env, wait, RETRY + caller.row / 1e9)
            caller.attempts += 1
            self.count(record.RETRIED)
        work = self.env.process(self.work(caller))
        yield work | after(self.env, self.rules.timeout_s, TIME_OUT)
        if caller.status == record.INSIDE:
            caller.status, caller.finish = record.TIMED_OUT, self.env.now
            self.count(record.TIMED_OUT)

    def work(self, caller: Caller) -> Story:
        """A container takes the request, after a cold start if it is new, and is idle afterwards."""
        self.busy += 1
        container = self.find(caller)
        caller.cold = container is None
        service = lanes.WARM_SERVICE
        entered = self.env.now
        if container is None:
            self.count(record.COLD_STARTS)
            container, service = self.create(), lanes.COLD_SERVICE
        caller.container = container.number
        self.count(record.ON_DEMAND, int(not container.provisioned))
        self.working.append(container)
        setup = self.drawn(lanes.SETUP, caller) + self.rules.fetch_s if caller.cold else 0.0
        caller.setup = setup
        self.count(record.SETUP_NS, whole_ns(setup))
        start = self.env.now + setup
        if start <= entered + self.rules.timeout_s:
            caller.start = start
        container.ends = start + self.drawn(service, caller)
        self.busy_spans.append((entered, container.ends))
        yield self.at(container.ends, COMPLETION)
        milliseconds = math.ceil((self.env.now - start) * 1000.0 - 1e-6)
        self.count(record.PROVISIONED_MS if container.provisioned else record.BILLED_MS, milliseconds)
        if caller.status == record.INSIDE and self.env.now <= entered + self.rules.timeout_s:
            caller.status, caller.finish = record.COMPLETED, self.env.now
            self.count(record.COMPLETED)
            self.count(record.LATENCY_NS, whole_ns(self.env.now) - whole_ns(caller.arrival))
        self.busy -= 1
        self.working.remove(container)
        container.idle_from = self.env.now
        (self.warm if container.provisioned else self.idle).append(container)

    # --- counting ---

    def count(self, column: int, many: int = 1) -> None:
        """So many more in a column of the tally, in this minute."""
        self.counted.append((column, self.env.now, many))

    def tally(self, minutes: int, end: float) -> np.ndarray:
        """What was counted, minute by minute; shape (minutes, columns)."""
        table = np.zeros((minutes, record.TALLIES), np.int64)
        for column, when, many in self.counted:
            table[int(when // 60), column] += many
        lives = [(each.born, self.last_of(each, end)) for each in self.containers]
        for column, spans in ((record.BUSY_NS, self.busy_spans), (record.CONTAINER_NS, lives)):
            for begin, stop in spans:
                for minute in range(minutes):
                    first, last = max(begin, 60.0 * minute), min(stop, end, 60.0 * minute + 60)
                    if first < last:
                        table[minute, column] += whole_ns(last) - whole_ns(first)
        return table

    def last_of(self, container: Container, end: float) -> float:
        """Until when a container existed."""
        if not math.isnan(container.gone):
            return container.gone
        if container.provisioned or container in self.working:
            return end
        too_old = max(container.idle_from, container.created + self.rules.max_age_s)
        return min(container.idle_from + self.rules.keep_alive_s, too_old)

    def at(self, moment: float, priority: float) -> simpy.Event:
        """An event at an absolute time: a sum of two delays would round differently."""
        event = self.env.event()
        event._ok, event._value = True, None
        simpy.core.heappush(self.env._queue, (moment, priority, next(self.env._eid), event))  # type: ignore[attr-defined]
        return event

    def drawn(self, row: int, caller: Caller) -> float:
        return float(self.requests.services[row, caller.row])

    # --- containers ---

    def create(self) -> Container:
        container = Container(len(self.containers), self.env.now, born=self.env.now)
        self.containers.append(container)
        return container

    def usable(self, container: Container) -> bool:
        idle = self.env.now < container.idle_from + self.rules.keep_alive_s
        young = self.env.now < container.created + self.rules.max_age_s
        return idle and young

    def find(self, caller: Caller) -> Container | None:
        if self.warm:
            return self.warm.pop()
        if self.rules.reuse == lanes.ANY_ONE:
            return self.draw(caller)
        self.idle = [container for container in self.idle if self.usable(container)]
        if not self.idle:
            return None
        keys = {
            lanes.NEWEST_CREATED: lambda c: -c.number,
            lanes.OLDEST_CREATED: lambda c: c.number,
            lanes.MOST_RECENTLY_USED: lambda c: -c.idle_from,
        }
        chosen = min(self.idle, key=keys[self.rules.reuse])
        self.idle.remove(chosen)
        return chosen

    def draw(self, caller: Caller) -> Container | None:
        """Any idle one by lot; a lot that falls on one that is gone is drawn again among the others."""
        u = float(self.requests.u_instance[caller.row])
        if caller.attempts > 1:
            u = another_uniform(u, caller.attempts - 1)
        while self.idle:
            number = min(int(u * len(self.idle)), len(self.idle) - 1)
            u_next = another_uniform(u, len(self.idle))
            chosen = self.idle[number]
            self.idle[number] = self.idle[-1]
            self.idle.pop()
            if self.usable(chosen):
                return chosen
            u = u_next
        return None

    # --- decisions ---

    def provision(self, change: int) -> None:
        for _ in range(change):
            self.idle = [container for container in self.idle if self.usable(container)]
            container = self.create()
            container.provisioned, container.idle_from = True, self.env.now
            self.warm.append(container)
        for _ in range(-change):
            busy = [container for container in self.working if container.provisioned]
            if self.warm:
                self.warm.pop().gone = self.env.now
            elif busy:
                first = min(busy, key=lambda c: c.ends)
                first.provisioned, first.created = False, -math.inf

    def decide(self, at: float, change: int) -> Story:
        yield after(self.env, at, DECISION)
        self.looks.append(self.look())
        self.provision(change)

    def look(self) -> tuple[float, int, int, int]:
        """Now: callers that wait for an answer, containers in work, and containers that are kept warm."""
        inside = sum(c.arrival < self.env.now and c.status == record.INSIDE for c in self.callers)
        return self.env.now, inside, self.busy, len(self.warm) + sum(each.provisioned for each in self.working)

    def known(self, caller: Caller, end: float) -> float:
        """The length of a caller's cold start, unless it is still going on and the caller waits for it."""
        still = caller.status == record.INSIDE and caller.container != record.NOBODY and not caller.start <= end
        return math.nan if still else caller.setup

    # --- running it ---

    def run(self, commands: Sequence[tuple[float, int]], end: float) -> Requests:
        """Play the *commands*, (time, change of provisioned containers), until *end*, and return the log."""
        for at, change in commands:
            self.env.process(self.decide(at, change))
        for caller in self.callers:
            self.env.process(self.call(caller))
        self.env.run(until=after(self.env, end, END))
        came = [c for c in self.callers if c.arrival < end]
        begun = [c.start <= end and c.container != record.NOBODY for c in came]
        return Requests(
            arrival=np.array([c.arrival for c in came]),
            start=np.array([c.start if b else math.nan for c, b in zip(came, begun, strict=True)]),
            finish=np.array([c.finish for c in came]),
            status=np.array([c.status for c in came], np.int8),
            variant=np.zeros(len(came), np.int8),
            attempts=np.array([c.attempts for c in came], np.int8),
            instance=np.array([c.container for c in came], np.int32),
            cold=np.array([c.cold for c in came]),
            setup=np.array([self.known(c, end) for c in came]),
        )
