"""An endpoint as plain SimPy processes: callers, workers and decisions, each written as the story it tells.

Slow and simple on purpose.  The only thing to know beyond SimPy is the order of things that fall on one instant, which
the priorities below fix: SimPy handles events of equal time by rising priority.
"""

from collections import defaultdict
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import simpy

from simlib import record
from simlib.record import Requests
from simlib.serving import lanes
from simlib.serving.station import Chunk, Rules

COMPLETION, CANCELLED, START, TIME_OUT, DECISION, END, ARRIVAL, RETRY = range(1, 9)

Story = Generator[simpy.Event, Any, None]


def after(env: simpy.Environment, delay: float, priority: float) -> simpy.Event:
    """An event *delay* from now, in its turn among those of its instant."""
    event = env.event()
    event._ok, event._value = True, None
    env.schedule(event, priority, delay)  # type: ignore[arg-type]
    return event


def another_uniform(u: float, attempt: int) -> float:
    """splitmix64 of a uniform number's 53 bits, *attempt* golden ratios further on, in plain whole numbers."""
    z = (int(u * 2**53) + attempt * 0x9E3779B97F4A7C15) % 2**64
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
    return ((z ^ (z >> 31)) >> 11) / 2**53


@dataclass
class Caller:
    """One request, seen by who sent it."""

    row: int
    arrival: float
    entered: float = 0.0  # this attempt
    start: float = np.nan
    finish: float = np.nan
    status: int = record.INSIDE
    variant: int = 0
    attempts: int = 1
    instance: int = record.NOBODY
    answered: simpy.Event | None = None
    work: simpy.Process | None = None


@dataclass
class Line:
    """Slots and those who wait for them, first come, first served.  The slot idle longest goes first, then the lowest.

    The slots are those of one instance, or of a whole fleet.
    """

    env: simpy.Environment
    station: "ReferenceStation"
    waiting: list[Caller] = field(default_factory=list)
    idle: list[tuple[float, int, int]] = field(default_factory=list)  # (idle since, instance, worker)
    closed: set[int] = field(default_factory=set)  # instances whose slots take nothing from this line
    running: dict[tuple[int, int], Caller] = field(default_factory=dict)

    def add(self, instance: int, workers: int) -> None:
        for worker in range(workers):
            self.give_back(instance, worker)

    def give_back(self, instance: int, worker: int) -> None:
        if instance in self.closed:
            return
        self.idle.append((self.env.now, instance, worker))
        self.idle.sort()
        self.call_next()

    def call_next(self) -> None:
        """Look at the line once all completions of this instant are in."""
        after(self.env, 0, START).callbacks.append(lambda _: self.start_first())

    def start_first(self) -> None:
        if self.waiting and self.idle:
            self.start(self.waiting.pop(0))
            self.call_next()

    def start(self, caller: Caller) -> None:
        _, instance, worker = self.idle.pop(0)
        caller.start, caller.instance = self.env.now, instance
        caller.work = self.env.process(self.serve(caller, instance, worker))
        self.running[instance, worker] = caller

    def serve(self, caller: Caller, instance: int, worker: int) -> Story:
        service = self.station.service(caller)
        try:
            if service > 0 and self.station.stops_at_once(caller):
                yield after(self.env, 0, COMPLETION)
            else:
                yield after(self.env, service, COMPLETION)
                if caller.status == record.INSIDE:
                    self.station.answer(caller, record.COMPLETED)
        except simpy.Interrupt:
            pass
        self.station.count_busy(caller, self.env.now)
        if self.running.get((instance, worker)) is caller:
            del self.running[instance, worker]
        self.give_back(instance, worker)

    def stop(self, instance: int) -> None:
        """The slots of *instance* take nothing new."""
        self.closed.add(instance)
        self.idle = [slot for slot in self.idle if slot[1] != instance]

    def kill(self, instance: int) -> None:
        """The work on *instance* is lost, and its callers told so."""
        self.stop(instance)
        for (at, _worker), caller in sorted(self.running.items()):
            if at == instance:
                if caller.status == record.INSIDE:
                    self.station.answer(caller, record.FAILED)
                assert caller.work is not None
                caller.work.interrupt()
        self.running = {slot: caller for slot, caller in self.running.items() if slot[0] != instance}


@dataclass
class Instance:
    number: int
    variant: int
    line: Line
    serving: bool = True
    outstanding: int = 0


class ReferenceStation:
    """The endpoint of `simlib.serving.station.Station`, told by SimPy."""

    def __init__(self, rules: Rules, workers: Sequence[int], requests: Chunk) -> None:
        self.env = simpy.Environment()
        self.rules, self.workers, self.requests = rules, workers, requests
        self.weights = [1.0] * len(workers)
        self.instances: list[Instance] = []
        self.shared = [Line(self.env, self) for _ in workers]
        self.callers = [Caller(row, arrival) for row, arrival in enumerate(requests.arrivals.tolist())]
        # (variant, minute, what) → number or seconds; what: "arrived", "retried", a status, "latency_s", "busy_s", …
        self.counted: defaultdict[tuple[int, int, str], float] = defaultdict(float)
        self.readings: list[list[list[int]]] = []  # at each look, for each variant: [waiting, busy workers]

    # --- callers ---

    def call(self, caller: Caller) -> Story:
        """A caller tries, waits for the answer until its patience ends, and tries again if refused."""
        rules = self.rules
        yield after(self.env, caller.arrival, ARRIVAL)
        while True:
            caller.variant = self.pick_variant(caller)
            caller.entered = self.env.now
            self.count_attempt(caller)
            if self.join(caller):
                break
            caller.instance = record.NOBODY
            if caller.attempts >= rules.max_attempts:
                self.note(caller, rules.refusal)
                return
            wait = rules.backoff_base_s * rules.backoff_factor ** (caller.attempts - 1.0)
            if rules.backoff_jitter:
                wait *= self.uniform(self.requests.u_backoff, caller.row, caller.attempts)
            yield after(self.env, wait, RETRY + caller.row / 1e9)
            caller.attempts += 1
        if rules.cancel_on_timeout:
            after(self.env, rules.timeout_s, CANCELLED).callbacks.append(lambda _: self.cancel(caller))
        assert caller.answered is not None
        yield caller.answered | after(self.env, rules.timeout_s, TIME_OUT)
        if caller.status == record.INSIDE:
            self.give_up(caller)

    def give_up(self, caller: Caller) -> None:
        if np.isnan(caller.start):
            self.line_of(caller).waiting.remove(caller)
        self.answer(caller, record.TIMED_OUT)

    def stops_at_once(self, caller: Caller) -> bool:
        """A worker that comes at the very deadline of a caller whose work stops there."""
        return self.rules.cancel_on_timeout and self.env.now >= caller.entered + self.rules.timeout_s

    def cancel(self, caller: Caller) -> None:
        """The worker is told to stop, and is free like one that has finished."""
        if caller.work is not None and caller.work.is_alive:
            caller.work.interrupt()

    def answer(self, caller: Caller, status: int) -> None:
        self.note(caller, status)
        if self.rules.routing != lanes.SHARED_QUEUE:
            self.instance_of(caller).outstanding -= 1
        assert caller.answered is not None
        if not caller.answered.triggered:
            caller.answered._ok, caller.answered._value = True, None
            self.env.schedule(caller.answered, TIME_OUT)  # type: ignore[arg-type]

    def note(self, caller: Caller, status: int) -> None:
        """The outcome of a request."""
        caller.status, caller.finish = status, self.env.now
        self.count(caller.variant, record.STATUSES[status])
        if status == record.COMPLETED:
            self.count(caller.variant, "latency_s", caller.finish - caller.arrival)

    # --- the door ---

    def uniform(self, numbers: np.ndarray, row: int, retry: int) -> float:
        return another_uniform(float(numbers[row]), retry) if retry > 0 else float(numbers[row])

    def pick_variant(self, caller: Caller) -> int:
        if len(self.weights) == 1:
            return 0
        x = sum(self.weights) * self.uniform(self.requests.u_variant, caller.row, caller.attempts - 1)
        reached = 0.0
        for v, weight in enumerate(self.weights):
            reached += weight
            if x < reached:
                return v
        return len(self.weights) - 1

    def pick_instance(self, caller: Caller) -> Instance | None:
        fleet = self.fleet(caller.variant)
        if not fleet:
            return None
        if self.rules.routing == lanes.LEAST_OUTSTANDING_REQUESTS:
            return min(fleet, key=lambda i: (i.outstanding, i.number))
        u = self.uniform(self.requests.u_instance, caller.row, caller.attempts - 1)
        return fleet[min(int(u * len(fleet)), len(fleet) - 1)]

    def join(self, caller: Caller) -> bool:
        """Start, wait, or be refused."""
        if self.rules.routing == lanes.SHARED_QUEUE:
            line = self.shared[caller.variant]
        else:
            instance = self.pick_instance(caller)
            if instance is None:
                return False
            line, caller.instance = instance.line, instance.number
        must_wait = not line.idle or bool(line.waiting)
        instances = len(self.fleet(caller.variant)) if self.rules.limit_grows else 1
        if must_wait and len(line.waiting) >= self.rules.queue_limit * instances:
            return False
        if self.rules.routing != lanes.SHARED_QUEUE:
            self.instance_of(caller).outstanding += 1
        caller.answered = self.env.event()
        if must_wait:
            line.waiting.append(caller)
        else:
            line.start(caller)
        return True

    def service(self, caller: Caller) -> float:
        return float(self.requests.services[caller.variant, caller.row])

    def fleet(self, variant: int) -> list[Instance]:
        """Who takes requests, in the order of their numbers."""
        fleet = [i for i in self.instances if i.serving and i.variant == variant]
        return sorted(fleet, key=lambda i: i.number)

    def instance_of(self, caller: Caller) -> Instance:
        return self.instance(caller.instance)

    def instance(self, number: int) -> Instance:
        return next(i for i in self.instances if i.number == number)

    def line_of(self, caller: Caller) -> Line:
        if self.rules.routing == lanes.SHARED_QUEUE:
            return self.shared[caller.variant]
        return self.instance_of(caller).line

    def lines(self, variant: int) -> list[Line]:
        """All lines of a variant."""
        if self.rules.routing == lanes.SHARED_QUEUE:
            return [self.shared[variant]]
        return [i.line for i in self.instances if i.variant == variant]

    # --- what is counted ---

    def count(self, variant: int, what: str, amount: float = 1, at: float | None = None) -> None:
        self.counted[variant, int((self.env.now if at is None else at) / 60), what] += amount

    def count_attempt(self, caller: Caller) -> None:
        self.count(caller.variant, "arrived" if caller.attempts == 1 else "retried")
        fleet = len(self.fleet(caller.variant))
        self.count(caller.variant, "per_instance", 1 / fleet if fleet else 0)

    def count_busy(self, caller: Caller, end: float) -> None:
        """The worker of *caller* was busy from its start to *end*, counted minute by minute."""
        begin = caller.start
        while begin < end:
            stop = min(end, (int(begin / 60) + 1) * 60)
            self.count(caller.variant, "busy_s", stop - begin, at=begin)
            begin = stop

    # --- decisions ---

    def open(self, variant: int, number: int) -> None:
        shared = self.rules.routing == lanes.SHARED_QUEUE
        line = self.shared[variant] if shared else Line(self.env, self)
        self.instances.append(Instance(number, variant, line))
        line.add(number, self.workers[variant])

    def drain(self, number: int) -> None:
        instance = self.instance(number)
        instance.serving = False
        if self.rules.routing == lanes.SHARED_QUEUE:
            instance.line.stop(number)

    def kill(self, number: int) -> None:
        instance = self.instance(number)
        instance.serving = False
        instance.line.kill(number)
        if self.rules.routing != lanes.SHARED_QUEUE:
            for caller in instance.line.waiting:
                self.answer(caller, record.FAILED)
            instance.line.waiting.clear()

    def weigh(self, weights: Sequence[float]) -> None:
        self.weights = list(weights)

    def look(self) -> None:
        """Write down who waits and how many workers are busy."""
        lines = [self.lines(v) for v in range(len(self.workers))]
        self.readings.append([[sum(len(i.waiting) for i in each), sum(len(i.running) for i in each)] for each in lines])

    # --- running it ---

    def decide(self, at: float, what: str, *arguments: Any) -> Story:
        yield after(self.env, at, DECISION)
        getattr(self, what)(*arguments)

    def run(self, commands: Sequence[tuple[Any, ...]], end: float) -> None:
        """Play *commands*, (time, command, arguments …) in order of time, until *end*."""
        for at, what, *arguments in commands:
            self.env.process(self.decide(at, what, *arguments))
        for caller in self.callers:
            self.env.process(self.call(caller))
        self.env.run(until=after(self.env, end, END))
        for line in (line for v in range(len(self.workers)) for line in self.lines(v)):
            for caller in line.running.values():
                self.count_busy(caller, end)

    def log(self) -> Requests:
        """The log of those who have arrived."""
        came = [c for c in self.callers if c.arrival < self.env.now]
        return Requests(
            arrival=np.array([c.arrival for c in came]),
            start=np.array([c.start for c in came]),
            finish=np.array([c.finish for c in came]),
            status=np.array([c.status for c in came], np.int8),
            variant=np.array([c.variant for c in came], np.int8),
            attempts=np.array([c.attempts for c in came], np.int8),
            instance=np.array([c.instance for c in came], np.int32),
            cold=np.zeros(len(came), bool),
        )
