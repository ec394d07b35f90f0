"""The flow of requests through one instance of a batch job: how files are cut, how long it takes, who is next.

Nothing decides in here: all requests lie ready, so it is arithmetic from the first to the last.
"""

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from simlib.serving.batch import BatchTransform
from simlib.serving.lanes import compiled

if TYPE_CHECKING:
    from simlib.model import ModelProfile

MINUTE_NS = 60_000_000_000
ATTEMPTS, FURTHER, WORK_NS = range(3)
FATE = np.dtype(
    [
        ("too_large", "?"),  # nothing of it can be sent
        ("timed_out", "?"),  # it failed because a request took too long
        ("done", "f8"),  # when the last of its requests that were sent is done [s]
        ("given_up", "f8"),  # when it failed [s], infinite if it does not
    ],
    align=True,
)
"""What becomes of a file, by its columns."""

RECORDS_AT_ONCE = 1 << 20
"""Records whose durations are in memory at the same time."""


@dataclass(frozen=True)
class Cut:
    """The requests that files are cut into, in order of file; indices: f file, r request.

    Attributes
    ----------
    first : numpy.ndarray, shape (files + 1,)
        File f's requests are first[f] to first[f + 1].
    records : numpy.ndarray, shape (requests,)
        Records of each request.
    too_large : numpy.ndarray of bool, shape (files,)
        Whether one record of the file is more than a request may hold, so that nothing of it is sent.
    """

    first: np.ndarray
    records: np.ndarray
    too_large: np.ndarray


def cut(size_mb: np.ndarray, records: np.ndarray, deployment: BatchTransform) -> Cut:
    """Cut files of *size_mb* [MB] and so many *records* into requests; a request never spans files."""
    most_mb = deployment.max_payload_in_mb or math.inf
    if deployment.split_type is None:
        return Cut(np.arange(len(records) + 1), records, size_mb > most_mb)
    record_mb = size_mb / records
    if deployment.batch_strategy == "SingleRecord":
        most = np.ones_like(records)
    else:
        fitting = np.minimum(most_mb / record_mb * (1 + 1e-12), records)  # 0.3 / 0.1 is three
        most = np.maximum(1, fitting.astype(np.int64))
        if deployment.records_per_request is not None:
            most = np.minimum(most, deployment.records_per_request)
    requests = -(-records // most)
    first = np.concatenate([[0], np.cumsum(requests)])
    of_each = np.repeat(most, requests)
    of_each[first[1:] - 1] = records - (requests - 1) * most
    return Cut(first, of_each, record_mb > most_mb)


def durations(
    model: "ModelProfile", size_mb: np.ndarray, records: np.ndarray, parts: Cut, rng: np.random.Generator, whole: bool
) -> np.ndarray:
    """What the records of each request take together [s], shape (requests,); of a *whole* file one draw."""
    if whole:
        return model.service.durations(len(records), rng, {"size_mb": size_mb, "records": records.astype(float)})
    taken = np.empty(len(parts.records))
    for begin, end in _stretches(records):
        ours = slice(parts.first[begin], parts.first[end])
        n = int(records[begin:end].sum())
        work = {
            "size_mb": _of_each_record(size_mb[begin:end] / records[begin:end], records[begin:end]),
            "records": np.broadcast_to(1.0, n),
        }
        drawn = model.service.durations(n, rng, work)
        of_each = parts.records[ours]
        taken[ours] = drawn if n == len(of_each) else np.add.reduceat(drawn, np.cumsum(of_each) - of_each)
    return taken


def bad_requests(share: float, records: np.ndarray, parts: Cut, rng: np.random.Generator) -> np.ndarray:
    """Whether each request holds a bad record, shape (requests,); shape (0,) if none can."""
    bad = np.zeros(len(parts.records) if share > 0 else 0, dtype=bool)
    for begin, end in _stretches(records) if share > 0 else []:
        ours = slice(parts.first[begin], parts.first[end])
        of_each = parts.records[ours]
        wrong = rng.random(int(of_each.sum())) < share
        bad[ours] = np.logical_or.reduceat(wrong, np.cumsum(of_each) - of_each)
    return bad


def _stretches(records: np.ndarray) -> list[tuple[int, int]]:
    """Files first to last, in stretches of about RECORDS_AT_ONCE records."""
    marks = np.cumsum(records) // RECORDS_AT_ONCE
    edges = [0, *(np.flatnonzero(np.diff(marks)) + 1).tolist(), len(records)]
    return list(itertools.pairwise(edges))


def _of_each_record(values: np.ndarray, records: np.ndarray) -> np.ndarray:
    if (values == values[0]).all():
        return np.broadcast_to(values[0], int(records.sum()))
    return np.repeat(values, records)


@compiled
def send(
    free: np.ndarray,
    mine: np.ndarray,
    first: np.ndarray,
    takes: np.ndarray,
    bad: np.ndarray,
    limit: float,
    tries: int,
    fate: np.ndarray,
    begin: np.ndarray,
) -> None:
    """Send the requests of files in order, each as soon as a place is free (list scheduling, Graham 1969).

    Indices: f file of the job, r request.

    Parameters
    ----------
    free : array, shape (places,)
        When each place is free [s]; changed.
    mine : array
        The files, in the order of their keys.
    first : array, shape (files + 1,)
        File f's requests are first[f] to first[f + 1].
    takes, bad : arrays, shape (requests,)
        Seconds of an attempt if nothing stops it; whether it fails in the end (shape (0,): none does).
    limit, tries : float, int
        An attempt that takes longer than *limit* [s] is stopped there; a failing request is tried so often.
    fate : array of FATE, shape (files,)
        Changed, but for `too_large`.
    begin : array, shape (requests,)
        When it is sent [s], NaN if never; written.
    """
    for f in mine:
        file = fate[f]
        for r in range(first[f], first[f + 1]):
            place = 0
            for other in range(1, len(free)):
                if free[other] < free[place]:
                    place = other
            now = free[place]
            if file.too_large and file.given_up > now:
                file.given_up = now
            if file.given_up <= now:
                begin[r] = np.nan
                continue
            begin[r] = now
            late = takes[r] > limit
            if late or (len(bad) > 0 and bad[r]):
                for _ in range(tries):
                    now += min(takes[r], limit)
                if now < file.given_up:
                    file.given_up = now
                    file.timed_out = False
                if now == file.given_up:
                    file.timed_out = file.timed_out or late
            else:
                now += takes[r]
            free[place] = now
            file.done = max(file.done, now)


@compiled
def count(
    first: np.ndarray,
    takes: np.ndarray,
    bad: np.ndarray,
    limit: float,
    tries: int,
    fate: np.ndarray,
    begin: np.ndarray,
    now: float,
    sent: np.ndarray,
    by_minute: np.ndarray,
) -> None:
    """Count what was sent by *now*: attempts of each file, and of each minute attempts, those beyond a file's first,
    and nanoseconds of work.

    Parameters
    ----------
    sent : array, shape (files,)
    by_minute : array, shape (minutes, 3)
        Columns ATTEMPTS, FURTHER and WORK_NS; both are added to.
    """
    for f in range(len(first) - 1):
        if fate[f].done == -np.inf:  # nothing of it has been sent
            continue
        for r in range(first[f], first[f + 1]):
            start = begin[r]
            if not start <= now:  # never sent, or later
                continue
            length = min(takes[r], limit)
            fails = takes[r] > limit or (len(bad) > 0 and bad[r])
            for _ in range(tries if fails else 1):
                if start > now:
                    break
                begun_ns = np.int64(start * 1e9 + 0.5)
                minute = begun_ns // MINUTE_NS
                by_minute[minute, ATTEMPTS] += 1
                by_minute[minute, FURTHER] += sent[f] > 0
                sent[f] += 1
                start += length
                ends_ns = np.int64(min(start, now) * 1e9 + 0.5)
                while begun_ns < ends_ns:
                    until = min(ends_ns, (minute + 1) * MINUTE_NS)
                    by_minute[minute, WORK_NS] += until - begun_ns
                    begun_ns = until
                    minute += 1


def count_lost(lost: list[tuple[int, float, float]], sent: np.ndarray, by_minute: np.ndarray) -> None:
    """Count attempts that were cut short, (file, begun, ended) [s] each, as `count` does the others."""
    for f, begun, ended in lost:
        by_minute[int(begun // 60), ATTEMPTS] += 1
        by_minute[int(begun // 60), FURTHER] += sent[f] > 0
        sent[f] += 1
        for minute in range(int(begun // 60), int(ended // 60) + 1):
            worked_s = min(ended, 60 * (minute + 1)) - max(begun, 60 * minute)
            by_minute[minute, WORK_NS] += round(1e9 * max(0.0, worked_s))
