"""A batch job as plain SimPy processes: machines, senders and requests, one at a time."""

import math
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import simpy

from simlib.serving.batch import BatchTransform
from tests.reference.station import ARRIVAL, COMPLETION, after

Story = Generator[simpy.Event, Any, None]


@dataclass
class File:
    """One file: what it holds, and what becomes of it."""

    number: int
    size_mb: float
    records: list[float]  # how long each takes; of a file that is not split only the first counts
    bad: list[bool]
    start: float = math.nan
    finish: float = math.nan
    status: str = "inside"
    attempts: int = 0
    instance: int = -1
    open_requests: int = 0


@dataclass
class Request:
    """A part of a file that is sent as one."""

    file: File
    takes: float
    bad: bool
    too_large: bool


@dataclass
class ReferenceJob:
    """All of it: `run` plays the story; *startups* are each machine's launch, and its time from there to ready."""

    deployment: BatchTransform
    files: list[File]
    startups: list[tuple[float, float]]
    env: simpy.Environment = field(default_factory=simpy.Environment)
    busy: float = 0.0
    started: float = math.nan
    ended: float = math.nan

    def run(self) -> "ReferenceJob":
        self.env.process(self._job())
        self.env.run()
        return self

    def _job(self) -> Story:
        yield self.env.timeout(max(launch for launch, _ in self.startups))
        self.started = self.env.now
        senders = []
        for number, (_, ready) in enumerate(self.startups):
            mine = [file for file in self.files if file.number % len(self.startups) == number]
            queue = [request for file in mine for request in self._requests(file, number)]
            if queue:
                senders += [
                    self.env.process(self._sender(queue, ready))
                    for _ in range(self.deployment.max_concurrent_transforms)
                ]
        yield self.env.all_of(senders)
        self.ended = self.env.now

    def _requests(self, file: File, instance: int) -> list[Request]:
        """The file in parts, filled line by line."""
        chosen, limit = self.deployment, self.deployment.max_payload_in_mb or math.inf
        file.instance = instance
        if chosen.split_type is None:
            parts, line_mb = [list(range(len(file.bad)))], file.size_mb
        else:
            line_mb = file.size_mb / len(file.records)
            parts = []
            for line in range(len(file.records)):
                fits = parts and line_mb * (len(parts[-1]) + 1) <= limit * (1 + 1e-9)
                if chosen.batch_strategy == "MultiRecord" and fits:
                    parts[-1].append(line)
                else:
                    parts.append([line])
        file.open_requests = len(parts)
        made = []
        for part in parts:
            seconds = file.records[0] if chosen.split_type is None else sum(file.records[line] for line in part)
            takes = seconds / chosen.speed + chosen.request_overhead_s
            made.append(Request(file, takes, any(file.bad[line] for line in part), line_mb > limit))
        return made

    def _sender(self, queue: list[Request], ready: float) -> Story:
        """One of the places of an instance: takes the next request, and stays with it until it is done or given up."""
        yield after(self.env, ready, ARRIVAL)
        while queue:
            request = queue.pop(0)
            file = request.file
            if file.status in ("failed", "timed_out"):
                continue
            if request.too_large:
                self._fail(file, "failed")
                continue
            if math.isnan(file.start):
                file.start = self.env.now
            yield from self._send(request)
            yield after(self.env, 0.0, ARRIVAL)  # first all that ends now, then what starts now

    def _send(self, request: Request) -> Story:
        limit = self.deployment.invocations_timeout_s
        for _ in range(1 + self.deployment.invocations_max_retries):
            request.file.attempts += 1
            took = min(request.takes, limit)
            self.busy += took
            yield after(self.env, took, COMPLETION)
            if request.takes <= limit and not request.bad:
                self._done(request.file)
                return
        self._fail(request.file, "timed_out" if request.takes > limit else "failed")

    def _done(self, file: File) -> None:
        file.open_requests -= 1
        if file.open_requests == 0:
            file.status, file.finish = "completed", self.env.now

    def _fail(self, file: File, status: str) -> None:
        first = file.status == "inside"
        at_once = file.finish == self.env.now and status == "timed_out"  # of two failures at once, a time-out counts
        if first or at_once:
            file.status, file.finish = status, self.env.now


def told(job: ReferenceJob) -> dict[str, np.ndarray]:
    """What became of the files, column by column."""
    names = ("start", "finish", "status", "attempts", "instance")
    return {name: np.array([getattr(file, name) for file in job.files]) for name in names}
