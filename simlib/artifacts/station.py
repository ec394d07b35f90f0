"""What stands behind the local server: workers, one line of bounded length, a time-out, draining, and the log.

It is the station that the simulator knows, `SHARED_QUEUE` with a `queue_limit` and an `invocation_timeout_s`; only that
here real code works on real requests.
"""

import json
import math
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from simlib.artifacts.handlers import Answer, Handler

REFUSED = {503: "rejected", 504: "timed_out"}  # by the station itself


@dataclass
class Visit:
    """One request at the station: times in seconds since it opened, NaN for what has not happened."""

    arrival_s: float
    start_s: float = math.nan
    finish_s: float = math.nan
    code: int = 0
    status: str = "failed"
    inference_id: str | None = None

    def line(self) -> dict[str, float | int | str | None]:
        """What the access log keeps: times, waiting and working time [s], what came of it, the caller's name for it."""
        times = {
            "arrival_s": self.arrival_s,
            "start_s": self.start_s,
            "finish_s": self.finish_s,
            "queue_s": self.start_s - self.arrival_s,
            "service_s": self.finish_s - self.start_s,
        }
        line: dict[str, float | int | str | None] = {k: None if math.isnan(v) else v for k, v in times.items()}
        line.update(status=self.status, code=self.code, inference_id=self.inference_id)
        return line


@dataclass
class _Job:
    """A request in the line or at a worker; whoever takes it out of *open* is the one who answers and notes it."""

    body: bytes
    content_type: str | None
    accept: str | None
    visit: Visit
    answered: threading.Event = field(default_factory=threading.Event)
    answer: Answer | None = None
    open: bool = True


class Station:
    """So many *workers*, a line for *queue_limit* more, and *timeout_s* for each request; *note* gets every visit."""

    def __init__(
        self, handler: Handler, note: Callable[[Visit], None], *, workers: int, queue_limit: int, timeout_s: float
    ) -> None:
        self.handler, self.note, self.timeout_s = handler, note, min(timeout_s, threading.TIMEOUT_MAX)
        self.room = workers + queue_limit
        self.opened = time.perf_counter()
        self._inside, self._draining = 0, False
        self._changed = threading.Condition()
        self._line: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._workers = [threading.Thread(target=self._work, daemon=True) for _ in range(workers)]
        for worker in self._workers:
            worker.start()

    def serve(
        self, body: bytes, content_type: str | None, accept: str | None, inference_id: str | None = None
    ) -> Answer:
        """Wait for a worker and answer; 503 if there is no room or it drains, 504 if it takes too long."""
        job = _Job(body, content_type, accept, Visit(self._now(), inference_id=inference_id))
        with self._changed:
            if self._draining or self._inside >= self.room:
                reason = "the server is going down" if self._draining else "all workers are busy and the line is full"
                return self._refused(job.visit, 503, reason)
            self._inside += 1
        self._line.put(job)
        if job.answered.wait(self.timeout_s) or not self._takes(job):
            job.answered.wait()  # a moment, where the worker was just about to hand it over
            assert job.answer is not None
            return job.answer
        return self._refused(job.visit, 504, f"no answer within {self.timeout_s:g} s")

    def drain(self, seconds: float) -> bool:
        """Take nothing new and finish what is inside; whether that took no longer than *seconds*."""
        with self._changed:
            self._draining = True
            finished = self._changed.wait_for(lambda: self._inside == 0, seconds)
        for _ in self._workers:
            self._line.put(None)
        for worker in self._workers if finished else ():
            worker.join()  # the last of them may still be noting
        return finished

    def _work(self) -> None:
        """A worker's life: take the first of the line, answer, hand over.  A call that runs out of time runs on.

        Who waits for a worker starts when it falls free: the moments that its thread needs to turn to the next request
        keep it as busy as the work does, so they are part of the service time.
        """
        free_s = 0.0
        while (job := self._line.get()) is not None:
            answers = False
            if job.open:
                visit = job.visit
                visit.start_s = free_s if visit.arrival_s < free_s else self._now()
                answer = self.handler.answer(job.body, job.content_type, job.accept)
                answers = self._takes(job)
                if answers:
                    job.answer = answer
                    job.answered.set()
            with self._changed:
                self._inside -= 1
                self._changed.notify_all()
            free_s = self._now()  # handing over keeps the worker, too
            if answers:
                visit.finish_s, visit.code = free_s, answer.status
                visit.status = "completed" if answer.status == 200 else "failed"
                self.note(visit)

    def _takes(self, job: _Job) -> bool:
        """Whether the job is still open, and so now the asker's to close."""
        with self._changed:
            was_open, job.open = job.open, False
        return was_open

    def _refused(self, visit: Visit, code: int, reason: str) -> Answer:
        self.note(Visit(visit.arrival_s, visit.start_s, self._now(), code, REFUSED[code], visit.inference_id))
        return Answer(code, json.dumps({"message": reason}).encode(), "application/json")

    def _now(self) -> float:
        return time.perf_counter() - self.opened
