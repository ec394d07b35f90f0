"""An asynchronous endpoint as plain SimPy processes: the line, the slots, and each request's way through them."""

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
from tests.reference.station import ARRIVAL, COMPLETION, DECISION, END, START, TIME_OUT, after

Story = Generator[simpy.Event, Any, None]
Slot = tuple[float, int, int]  # (idle since, instance, number): idle longest first, then the lowest


@dataclass
class Message:
    """One request, from its acceptance to the note of its end."""

    row: int
    accepted: float
    start: float = np.nan
    finish: float = np.nan
    status: int = record.INSIDE
    attempts: int = 1
    instance: int = record.NOBODY
    uncounted: int = 0  # further attempts not yet counted
    slot: Slot | None = None
    work: list[simpy.Process] = field(default_factory=list)


class ReferenceQueue:
    """The endpoint of a `Station` whose routing is ASYNCHRONOUS, told by SimPy."""

    def __init__(self, rules: Rules, slots: int, requests: Chunk) -> None:
        self.env = simpy.Environment()
        self.rules, self.slots, self.requests = rules, slots, requests
        self.messages = [Message(row, arrival) for row, arrival in enumerate(requests.arrivals.tolist())]
        self.line: list[Message] = []
        self.idle: list[Slot] = []
        self.closed: set[int] = set()
        self.serving: set[int] = set()
        self.counted: defaultdict[tuple[int, str], float] = defaultdict(float)  # (minute, what)
        self.readings: list[list[int]] = []  # at each look: waiting, busy slots, backlog

    # --- a request ---

    def come(self, message: Message) -> Story:
        """It is accepted at once, and waits for its turn no longer than its time to live."""
        yield after(self.env, message.accepted, ARRIVAL)
        self.count("arrived")
        self.count("per_instance", 1 / len(self.serving) if self.serving else 0)
        self.line.append(message)
        if len(self.line) == 1 and self.idle:
            self.start(self.line.pop(0))
        yield after(self.env, self.rules.ttl_s, TIME_OUT)
        self.expire(message)

    def expire(self, message: Message) -> None:
        if message in self.line:
            self.line.remove(message)
            self.end(message, record.EXPIRED)

    def call_next(self) -> None:
        after(self.env, 0, START).callbacks.append(lambda _: self.start_first())

    def start_first(self) -> None:
        """Once the completions of this instant are in: the first of the line takes the slot that is idle longest."""
        if self.line and self.idle:
            message = self.line.pop(0)
            if self.env.now > message.accepted + self.rules.ttl_s:  # it came back too late
                self.end(message, record.EXPIRED)
            else:
                self.start(message)
            self.call_next()

    def start(self, message: Message) -> None:
        message.slot = slot = self.idle.pop(0)
        message.start, message.instance = self.env.now, slot[1]
        message.work = [self.env.process(self.process(message)), self.env.process(self.hold(message, slot))]

    def process(self, message: Message) -> Story:
        """Fetch the input, call the model, write the result; call again when the model takes too long."""
        download, model, upload = (float(seconds) for seconds in self.requests.services[:, message.row])
        try:
            while True:
                yield after(self.env, download, COMPLETION)
                yield after(self.env, min(model, self.rules.timeout_s), COMPLETION)
                if model <= self.rules.timeout_s or message.attempts >= self.rules.max_attempts:
                    break
                message.attempts += 1
                message.uncounted += 1
            if model <= self.rules.timeout_s:
                yield after(self.env, upload, COMPLETION)
        except simpy.Interrupt:
            return
        if self.rules.transfer_holds_slot:
            self.release(message)
        self.end(message, record.COMPLETED if model <= self.rules.timeout_s else record.TIMED_OUT)

    def hold(self, message: Message, slot: Slot) -> Story:
        """Where transfers do not hold the slot, the model's calls do, back to back from the start."""
        if self.rules.transfer_holds_slot:
            return
        model = float(self.requests.services[lanes.MODEL, message.row])
        calls = 1 if model <= self.rules.timeout_s else max(1, self.rules.max_attempts - message.attempts + 1)
        try:
            for _ in range(calls):
                yield after(self.env, min(model, self.rules.timeout_s), COMPLETION)
        except simpy.Interrupt:
            return
        self.release(message)

    def release(self, message: Message) -> None:
        """The slot is free for the next."""
        assert message.slot is not None
        _, instance, number = message.slot
        self.count_busy(message)
        message.slot = None
        if instance not in self.closed:
            self.idle.append((self.env.now, instance, number))
            self.idle.sort()
            self.call_next()

    def end(self, message: Message, status: int) -> None:
        message.status, message.finish = status, self.env.now
        self.count("retried", message.uncounted)
        self.count(record.STATUSES[status])
        if status == record.COMPLETED:
            self.count("latency_s", message.finish - message.accepted)

    # --- what is counted ---

    def count(self, what: str, amount: float = 1, at: float | None = None) -> None:
        self.counted[int((self.env.now if at is None else at) / 60), what] += amount

    def count_busy(self, message: Message) -> None:
        begin = message.start
        while begin < self.env.now:
            stop = min(self.env.now, (int(begin / 60) + 1) * 60)
            self.count("busy_s", stop - begin, at=begin)
            begin = stop

    # --- decisions ---

    def open(self, _variant: int, number: int) -> None:
        self.serving.add(number)
        self.idle += [(self.env.now, number, slot) for slot in range(self.slots)]
        self.idle.sort()
        self.call_next()

    def drain(self, number: int) -> None:
        self.serving.discard(number)
        self.closed.add(number)
        self.idle = [slot for slot in self.idle if slot[1] != number]

    def kill(self, number: int) -> None:
        """What the instance was at, transfers included, is lost: it fails, or goes back to its place in the line."""
        self.drain(number)
        for message in self.messages:
            if message.instance == number and message.status == record.INSIDE:
                for each in message.work:
                    if each.is_alive:
                        each.interrupt()
                if message.slot is not None:
                    self.count_busy(message)
                    message.slot = None
                if self.rules.requeues:
                    self.put_back(message)
                else:
                    self.end(message, record.FAILED)
        self.call_next()

    def put_back(self, message: Message) -> None:
        message.attempts += 1
        self.count("retried", message.uncounted + 1)
        message.uncounted = 0
        message.start, message.instance = np.nan, record.NOBODY
        self.line.append(message)
        self.line.sort(key=lambda m: m.row)
        overdue = self.env.now >= message.accepted + self.rules.ttl_s
        if overdue:
            after(self.env, 0, TIME_OUT).callbacks.append(lambda _: self.expire(message))

    def look(self) -> None:
        """Write down who waits, how many slots are busy, and the backlog."""
        inside = [m for m in self.messages if m.accepted < self.env.now and m.status == record.INSIDE]
        self.readings.append([len(self.line), sum(m.slot is not None for m in inside), len(inside)])

    # --- running it ---

    def decide(self, at: float, what: str, *arguments: Any) -> Story:
        yield after(self.env, at, DECISION)
        getattr(self, what)(*arguments)

    def run(self, commands: Sequence[tuple[Any, ...]], end: float) -> None:
        """Play *commands*, (time, command, arguments …) in order of time, until *end*."""
        for at, what, *arguments in commands:
            self.env.process(self.decide(at, what, *arguments))
        for message in self.messages:
            self.env.process(self.come(message))
        self.env.run(until=after(self.env, end, END))
        for message in self.messages:
            if message.slot is not None:
                self.count_busy(message)

    def log(self) -> Requests:
        """The log of those who have arrived."""
        came = [m for m in self.messages if m.accepted < self.env.now]
        return Requests(
            arrival=np.array([m.accepted for m in came]),
            start=np.array([m.start for m in came]),
            finish=np.array([m.finish for m in came]),
            status=np.array([m.status for m in came], np.int8),
            variant=np.zeros(len(came), np.int8),
            attempts=np.array([m.attempts for m in came], np.int8),
            instance=np.array([m.instance for m in came], np.int32),
            cold=np.zeros(len(came), bool),
        )
