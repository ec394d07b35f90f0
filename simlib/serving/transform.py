"""Batch jobs that are running.

    created ──launch──▶ machines up ──container start, download, load──▶ in service ──files──▶ done or idle ──▶ gone
                        └ the job starts: all machines are billed from here …          … to the end of the last file ┘

The job and each of its instances are SimPy processes.  Which file goes where is decided once, at the start; after that
nobody decides, so an instance's work is arithmetic (`flow.py`) that the process walks through, telling what failed.
"""

import math
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import simpy

from simlib import pricing
from simlib.model import ModelProfile
from simlib.record import BUSY_NS, COMPLETED, FAILED, INSIDE, NOBODY, RETRIED, TIMED_OUT, Requests, Snapshot
from simlib.serving import limits
from simlib.serving.batch import BatchTransform
from simlib.serving.fleet import Instance, columns_of
from simlib.serving.flow import (
    ATTEMPTS,
    FATE,
    FURTHER,
    WORK_NS,
    Cut,
    bad_requests,
    count,
    count_lost,
    cut,
    durations,
    send,
)
from simlib.serving.interruptible import priced
from simlib.serving.minutes import histogram_of, tally_of
from simlib.serving.served import Served, check_machine
from simlib.turns import LIFE, pause

if TYPE_CHECKING:
    from simlib.simulation import Simulation
    from simlib.workload import Workload

Story = Generator[simpy.Event, Any, None]


@dataclass(frozen=True)
class Files:
    """Files, one entry each: when they were ready [s], their size [MB] and their records."""

    ready: np.ndarray
    size_mb: np.ndarray
    records: np.ndarray

    def __len__(self) -> int:
        return len(self.ready)

    def part(self, which: slice) -> "Files":
        return Files(self.ready[which], self.size_mb[which], self.records[which])

    def and_then(self, others: "Files") -> "Files":
        mine, more = (self.ready, self.size_mb, self.records), (others.ready, others.size_mb, others.records)
        return Files(*(np.concatenate(pair) for pair in zip(mine, more, strict=True)))

    def together(self, count: int) -> "Files":
        """Mini-batches of so many files, in order: one is ready with its last file, and each file is a record of it."""
        if count == 1:
            return self
        first = np.arange(0, len(self), count)
        last = np.minimum(first + count, len(self)) - 1
        return Files(self.ready[last], np.add.reduceat(self.size_mb, first), last - first + 1)


@dataclass
class Job:
    """One job: its files, the requests they are cut into, and what is known of their fate.

    Indices: f file of the job, r request; times in seconds.  The fate of a request is worked out when its instance
    comes into service; what lies beyond the clock is nobody's business before.
    """

    number: int
    files: Files
    parts: Cut
    takes: np.ndarray  # [r] seconds of an attempt if nothing stops it
    bad: np.ndarray  # [r] whether it holds a bad record; shape (0,) if none does
    instance: np.ndarray  # [f]
    begin: np.ndarray  # [r] when it is sent, NaN if never; anything while its file's fate is unknown
    fate: np.ndarray  # [f] of FATE
    machines: list[Instance]
    created_s: float
    over: simpy.Event  # happens where the job is ended before its last file
    started_s: float = math.inf
    ended_s: float = math.inf
    failed_files: int = 0
    lost: list[tuple[int, float, float]] = field(default_factory=list)  # (f, begun, taken back) of attempts cut short

    def finishes(self) -> np.ndarray:
        """When each file is done, or given up; infinite while unknown, shape (files,)."""
        done = np.where(np.isneginf(self.fate["done"]), np.inf, self.fate["done"])
        return np.minimum(done, self.fate["given_up"])

    def statuses(self) -> np.ndarray:
        """What becomes of each file: completed, timed_out where a request took too long each time, else failed."""
        failed = np.where(self.fate["timed_out"], TIMED_OUT, FAILED)
        return np.where(np.isfinite(self.fate["given_up"]), failed, COMPLETED)


@dataclass(frozen=True)
class OnlyVariant:
    """A job has one model, and as many workers an instance as it sends requests at once."""

    model: ModelProfile
    workers: int
    name: str = "AllTraffic"


class TransformJobs(Served):
    """The jobs that a workload's files need, one after the other.  `Simulation.deploy` makes them.

    Attributes
    ----------
    done : simpy.Event
        Happens when the last file of the workload has been worked on; never, if files never end.
    jobs : list of Job
    """

    deployment: BatchTransform

    def __init__(
        self, sim: "Simulation", deployment: BatchTransform, workload: "Workload", name: str, *, log: bool
    ) -> None:
        super().__init__(sim, deployment, workload, name, log=log)
        self.variants = [OnlyVariant(deployment.model, deployment.max_concurrent_transforms)]
        check_machine(sim, deployment.instance_type, "batch_transform")
        self.instances: list[Instance] = []
        self.jobs: list[Job] = []
        self.desired_log: list[tuple[float, int, int]] = [(sim.env.now, 0, 0)]
        self.done = sim.env.event()
        self._services = sim.rng(workload.name, "service", deployment.model.name)
        self._bad = sim.rng(workload.name, "bad records")
        self._to_come = _files_of(workload, deployment, sim, sim.env.now)
        self._waiting = _NO_FILES
        if deployment.instance_count > 1 and workload.expected(0.0, 1e-9) == 1:
            self.tell("idle machines", f"one file on {deployment.instance_count} instances: all but one wait, billed")
        for found in limits.broken("batch", **{name: getattr(deployment, name) for name in _LIMITED}):
            self.tell("limit", f"SageMaker refuses this: {found.words}")
        sim.env.process(self._jobs())

    # --- stories ---

    def _jobs(self) -> Story:
        """A job whenever files are ready and no job runs."""
        env = self.sim.env
        while (ready_s := self._look_ahead(env.now)) < math.inf:
            if ready_s > env.now:
                yield pause(env, ready_s - env.now, LIFE)
            yield from self._job(self._take(max(env.now, ready_s)))
        self.done.succeed()

    def _job(self, files: Files) -> Story:
        env, count = self.sim.env, self.deployment.instance_count
        job = self._new_job(files.together(self.deployment.files_per_request))
        files = job.files
        part = f"job {job.number}"
        asked = _many(len(files), "file"), _many(len(job.takes), "request"), _many(count, "instance")
        self._tell("created", part, f"{', '.join(asked)} asked for")
        self.desired_log.append((env.now, 0, count))
        yield simpy.AllOf(env, [env.process(self._launch(machine)) for machine in job.machines])
        job.started_s = env.now
        for machine in job.machines:
            machine.machine_up_s = env.now
        fewest, most = len(files) // count, -(-len(files) // count)
        self._tell("started", part, f"billed from here; {fewest} to {most} files an instance, by key")
        working = [env.process(self._work(job, machine)) for machine in job.machines]
        yield simpy.AnyOf(env, [simpy.AllOf(env, working[: len(files)]), job.over])
        self._end(job)

    def _launch(self, machine: Instance) -> Story:
        yield pause(self.sim.env, self._draw(machine, "launch"), LIFE)
        self._tell("machine up", f"instance {machine.number}")

    def _work(self, job: Job, machine: Instance) -> Story:
        """A machine, and those that come after it where it is taken back."""
        following: Instance | None = machine
        while following is not None:
            following = yield from self._serve(job, following)

    def _serve(self, job: Job, machine: Instance) -> Generator[simpy.Event, Any, Instance | None]:
        """The container starts, the model is fetched and loaded, and the instance's files are worked through.

        Returns the machine that comes after it, None where none does.
        """
        env, part = self.sim.env, f"instance {machine.number}"
        taken_s = self._taken_s(machine)
        ready_s = env.now + self._draw(machine, "container_start") + self.deployment.getting_ready_s
        yield self._until(min(ready_s, taken_s))
        if job.ended_s < math.inf:  # the others were done before this one was ready
            return None
        if taken_s < ready_s:
            return (yield from self._replace(job, machine))
        machine.in_service_s = env.now
        mine = np.flatnonzero(job.instance == machine.number)
        self._tell("in service", part, _many(len(mine), "file"))
        if len(mine):
            last_s = self._send(job, mine)
            for when, kind, detail, f in self._troubles(job, mine):
                yield self._until(min(when, taken_s))
                if when > taken_s or job.ended_s < math.inf:
                    break
                self._tell(kind, part, detail)
                if kind in ("file failed", "payload"):
                    self._count_failed(job, f)
            yield self._until(min(last_s, taken_s))
            if job.ended_s < math.inf:
                return None
            if taken_s < last_s:
                return (yield from self._replace(job, machine))
            self._tell("out of files", part)
        return None

    def _replace(self, job: Job, machine: Instance) -> Generator[simpy.Event, Any, Instance | None]:
        """The machine is taken back; another one comes, and begins again with what this one had in hand."""
        now = self.sim.env.now
        machine.draining_s = machine.gone_s = now
        machine.ended = "taken back"
        mine = np.flatnonzero(job.instance == machine.number)
        left = mine[job.finishes()[mine] > now]
        if machine.in_service_s < math.inf:
            in_hand = left[job.begin[left] < now]  # a file is one request here
            job.lost += [(int(f), float(job.begin[f]), now) for f in in_hand]
            job.fate["done"][left], job.fate["given_up"][left], job.fate["timed_out"][left] = -np.inf, np.inf, False
        self._tell("taken back", f"instance {machine.number}", f"{_many(len(left), 'file')} left")
        if not any(other.machine_up_s <= now < other.gone_s for other in reversed(job.machines)):
            self._stop(job, "every machine was taken back at once: the job is cancelled")
            return None
        fresh = Instance(len(self.instances), 0, now)
        self.instances.append(fresh)
        job.machines.append(fresh)
        job.instance[left] = fresh.number
        yield from self._launch(fresh)
        if job.ended_s < math.inf:
            return None
        fresh.machine_up_s = self.sim.env.now
        return fresh

    def _count_failed(self, job: Job, f: int) -> None:
        """Azure ML counts files, and a request may hold several."""
        job.failed_files += int(job.files.records[f]) if self.deployment.files_per_request > 1 else 1
        most = self.deployment.error_threshold
        if 0 <= most < job.failed_files and job.ended_s == math.inf:
            self._stop(job, f"{job.failed_files} files failed, error_threshold={most}: the job is ended")

    def _stop(self, job: Job, why: str) -> None:
        """The job is over now; what is not done fails."""
        now = job.ended_s = self.sim.env.now
        self._tell("stopped", f"job {job.number}", why)
        unfinished = job.finishes() > now
        job.fate["given_up"][unfinished], job.fate["timed_out"][unfinished] = now, False
        job.over.succeed()

    def _end(self, job: Job) -> None:
        job.ended_s = self.sim.env.now
        for machine in job.machines:
            if machine.gone_s == math.inf:
                machine.draining_s = machine.gone_s = job.ended_s
                machine.ended = "job ended"
        self.desired_log.append((job.ended_s, 0, 0))
        failed = int(np.isfinite(job.fate["given_up"]).sum())
        outcome = f"Failed: {failed} of {len(job.files)} files have no output" if failed else "Completed"
        self._tell("ended", f"job {job.number}", outcome)

    # --- parts of the stories ---

    def _look_ahead(self, now: float) -> float:
        """Let all files that are ready by *now* wait for a job; returns when the first of those waiting was ready."""
        while not len(self._waiting) or self._waiting.ready[-1] <= now:
            more = next(self._to_come, None)
            if more is None:
                break
            self._waiting = self._waiting.and_then(more)
        return float(self._waiting.ready[0]) if len(self._waiting) else math.inf

    def _take(self, now: float) -> Files:
        """All files that are ready by *now*."""
        self._look_ahead(now)
        n = int(np.searchsorted(self._waiting.ready, now, side="right"))
        taken, self._waiting = self._waiting.part(slice(0, n)), self._waiting.part(slice(n, None))
        return taken

    def _new_job(self, files: Files) -> Job:
        chosen, rows = self.deployment, len(files)
        parts = cut(files.size_mb, files.records, chosen)
        whole = chosen.split_type is None and chosen.files_per_request == 1
        takes = durations(chosen.model, files.size_mb, files.records, parts, self._services, whole)
        if chosen.speed != 1 or chosen.request_overhead_s:
            takes = takes / chosen.speed + chosen.request_overhead_s
        fate = np.zeros(rows, dtype=FATE)
        fate["too_large"], fate["done"], fate["given_up"] = parts.too_large, -np.inf, np.inf
        first = len(self.instances)
        machines = [Instance(first + k, 0, self.sim.env.now) for k in range(chosen.instance_count)]
        self.instances += machines
        job = Job(
            number=len(self.jobs),
            files=files,
            parts=parts,
            takes=takes,
            bad=bad_requests(chosen.bad_records, files.records, parts, self._bad),
            instance=first + np.arange(rows) % chosen.instance_count,  # by key: dealt out like cards
            begin=np.empty(len(takes)),
            fate=fate,
            machines=machines,
            created_s=self.sim.env.now,
            over=self.sim.env.event(),
        )
        self.jobs.append(job)
        return job

    @property
    def _tries(self) -> int:
        """Attempts at a request that fails."""
        return 1 + self.deployment.invocations_max_retries

    def _send(self, job: Job, mine: np.ndarray) -> float:
        """Work out when each request of these files is sent and done, from now on; returns when the last one is."""
        free = np.full(self.deployment.max_concurrent_transforms, self.sim.env.now)
        limit_s = self.deployment.invocations_timeout_s
        send(free, mine, job.parts.first, job.takes, job.bad, limit_s, self._tries, job.fate, job.begin)
        return float(free.max())

    def _troubles(self, job: Job, mine: np.ndarray) -> list[tuple[float, str, str, int]]:
        """What goes wrong with an instance's files, in the order of time: (when, what, in words, file of the job)."""
        found: list[tuple[float, str, str, int]] = []
        limit_s = self.deployment.invocations_timeout_s
        before = sum(len(each.files) for each in self.jobs[: job.number])
        for f in mine[np.isfinite(job.fate["given_up"][mine])].tolist():
            name, given_up = f"file {before + f}", float(job.fate["given_up"][f])
            if job.parts.too_large[f]:
                found.append((given_up, "payload", self._too_large(name, job, f), f))
                continue
            ours = slice(job.parts.first[f], job.parts.first[f + 1])
            late = job.takes[ours] > limit_s
            fails = late | job.bad[ours] if len(job.bad) else late
            for r in np.flatnonzero(fails & ~np.isnan(job.begin[ours])):
                why = ("time-out", f"no answer within {limit_s:g} s") if late[r] else ("error", "a bad record")
                when = float(job.begin[ours][r])
                for attempt in range(1, self._tries + 1):
                    when += min(float(job.takes[ours][r]), limit_s)
                    found.append((when, why[0], f"{name}: attempt {attempt} of {self._tries}: {why[1]}", f))
            found.append((given_up, "file failed", f"{name}: no output; the others go on", f))
        return sorted(found, key=lambda each: each[0])

    def _too_large(self, name: str, job: Job, f: int) -> str:
        what, mb = "the file", float(job.files.size_mb[f])
        if self.deployment.split_type is not None:
            what, mb = "a line", mb / float(job.files.records[f])
        most = self.deployment.max_payload_in_mb
        return f"{name}: {what} has {mb:g} MB, a request holds {most:g} (max_payload_in_mb; 0 streams): no output"

    def _taken_s(self, machine: Instance) -> float:
        """When the cloud takes the machine back [s]."""
        less = self.deployment.interruptible
        if less is None:
            return math.inf
        return self.sim.env.now + less.until_taken_s(self.sim.rng(self.name, "taken back", str(machine.number)))

    def _until(self, when: float) -> simpy.Event:
        return pause(self.sim.env, max(0.0, when - self.sim.env.now), LIFE)

    def _draw(self, machine: Instance, stage: str) -> float:
        rng = self.sim.rng(self.name, "instance", str(machine.number), stage)
        return float(getattr(self.deployment, stage).sample(1, rng)[0])

    def _tell(self, kind: str, part: str, detail: str = "") -> None:
        self.sim.tell(kind, f"{self.name}/{part}", detail)

    # --- what came of it ---

    def advance(self) -> None:
        """Nothing to do: the fate of a request is known, and read only up to the clock's instant."""

    def snapshot(self, **of_its_kind: Any) -> Snapshot:
        """The record at the clock's instant; one row a file."""
        now = self.sim.env.now
        minutes = int(now // 60) + 1
        counted = np.zeros((minutes + 1, 3), dtype=np.int64)  # one more, for what is rounded up to the next minute
        per_instance = np.zeros(minutes)
        sent = [np.zeros(len(job.files), dtype=np.int32) for job in self.jobs]
        for job, of_file in zip(self.jobs, sent, strict=True):
            before, limit_s = counted[:, ATTEMPTS].copy(), self.deployment.invocations_timeout_s
            count_lost(job.lost, of_file, counted)
            until = min(now, job.ended_s)
            count(
                job.parts.first, job.takes, job.bad, limit_s, self._tries, job.fate, job.begin, until, of_file, counted
            )
            per_instance += (counted[:, ATTEMPTS] - before)[:minutes] / self.deployment.instance_count
        log = self._log(now, sent)
        tally = tally_of(log, 1, now)
        tally[0, :, BUSY_NS], tally[0, :, RETRIED] = counted[:minutes, WORK_NS], counted[:minutes, FURTHER]
        return self.record(
            requests=log if self._logs else None,
            tally=tally,
            per_instance=per_instance[None],
            histogram=histogram_of(log, 1, now),
            inside=np.array([(log.status == INSIDE).sum()]),
            instances=columns_of(self.instances),
            desired=tuple(self.desired_log),
            figures=self._figures(),
            **of_its_kind,
        )

    def _log(self, now: float, sent: list[np.ndarray]) -> Requests:
        """One row a file, in order of key: those of the jobs, and those that wait for the next one."""
        self._look_ahead(now)
        waiting = self._waiting.ready[: int(np.searchsorted(self._waiting.ready, now))]
        nothing = np.full(len(waiting), np.nan)
        rows = [_rows(job, now, of_file) for job, of_file in zip(self.jobs, sent, strict=True)]
        rows.append((waiting, nothing, nothing, *(np.full(len(waiting), code) for code in (INSIDE, 0, NOBODY))))
        ready, start, finish, status, attempts, instance = (
            np.concatenate(column) for column in zip(*rows, strict=True)
        )
        return Requests(
            arrival=ready,
            start=start,
            finish=finish,
            status=status.astype(np.int8),
            variant=np.zeros(len(ready), dtype=np.int8),
            attempts=attempts.astype(np.int32),
            instance=instance.astype(np.int32),
            cold=np.zeros(len(ready), dtype=bool),
        )

    def _figures(self) -> dict[str, float]:
        """makespan_s: from creating the longest job to its end; finish_s: the end of the last one; NaN until then."""
        if not self.jobs or not math.isfinite(self.jobs[-1].ended_s):
            return {"makespan_s": math.nan, "finish_s": math.nan}
        longest = max(job.ended_s - job.created_s for job in self.jobs)
        return {"makespan_s": longest, "finish_s": self.jobs[-1].ended_s}

    def meters(self) -> Iterator[pricing.Meter]:
        """All machines of a job, from its start to its end."""
        kind, now = self.deployment.instance_type, self.sim.env.now
        machines = [machine for job in self.jobs for machine in job.machines if machine.machine_up_s < now]
        what = pricing.machine(kind, "batch_transform")
        hours = what.billed_hours([machine.billed_s(now) for machine in machines])
        for meter in what.meters(hours, item=f"{kind} batch transform", region=self.sim.region):
            yield priced(meter, self.sim, self.deployment.interruptible)


def _many(count: int, thing: str) -> str:
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def _rows(job: Job, now: float, sent: np.ndarray) -> tuple[np.ndarray, ...]:
    """What is known by *now* of a job's files: ready, start, finish, status, attempts, instance."""
    finish, begun = job.finishes(), sent > 0
    done = finish <= now
    return (
        job.files.ready,
        np.where(begun, job.begin[job.parts.first[:-1]], np.nan),
        np.where(done, finish, np.nan),
        np.where(done, job.statuses(), INSIDE),
        sent,
        np.where(begun | done, job.instance, NOBODY),
    )


_LIMITED = (
    "max_payload_in_mb",
    "max_concurrent_transforms",
    "invocations_timeout_s",
    "invocations_max_retries",
    "instance_count",
)
_NO_FILES = Files(np.empty(0), np.empty(0), np.empty(0, dtype=np.int64))


def _files_of(workload: "Workload", deployment: BatchTransform, sim: "Simulation", begin: float) -> Iterator[Files]:
    """The files of *workload* from *begin* [s] on, in order; one without a size has that of the model's request."""
    usual_mb = deployment.model.request_kb / 1000
    for block in workload.blocks(sim.rng(workload.name, "arrivals")):
        n = len(block.times)
        size_mb = np.maximum(block.work.get("size_mb", np.full(n, usual_mb)), 1e-9)
        records = np.maximum(block.work.get("records", np.ones(n)), 1).astype(np.int64)
        files = Files(block.times, size_mb, records)
        first = int(np.searchsorted(block.times, begin))
        if first < n:
            yield files.part(slice(first, None))
