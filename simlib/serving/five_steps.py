"""What an asynchronous endpoint's record tells: one request's five steps, who was notified, and the backlog over time.

    accepted (202) → in the queue → processing → result in S3 → notification

Backlog, as CloudWatch counts it, is whoever is inside: waiting and being processed (AWS developer guide, "Alarms and
logs for tracking metrics from asynchronous endpoints").
"""

from typing import Any

import numpy as np
import pandas as pd

from simlib.parameters import ParameterError
from simlib.record import COMPLETED, EXPIRED, FAILED, INSIDE, STATUSES, TIMED_OUT, Requests, Snapshot

# --- one request ------------------------------------------------------------------------------------------------------


def story(snapshot: Snapshot, request: int) -> pd.DataFrame:
    """What became of one request, a row a step: step, from_s, to_s (NaN: not yet), what.

    Raises
    ------
    ParameterError
        If the run is folded, or has no such request.
    """
    log = _log(snapshot)
    if request >= len(log.arrival):
        raise ParameterError(f"story: request={request} is not possible: this run has {len(log.arrival):,} of them.")
    arrival, start, finish = (float(times[request]) for times in (log.arrival, log.start, log.finish))
    status, attempts = int(log.status[request]), int(log.attempts[request])
    begun = not np.isnan(start)
    steps: list[tuple[str, float, float, str]] = []
    steps.append(("accepted (202)", arrival, arrival, f"the result will be at {_place(snapshot, request, COMPLETED)}"))
    waited = (start if begun else finish) - arrival
    steps.append(
        ("in the queue", arrival, arrival + waited, _waiting(snapshot, waited, begun=begun, attempts=attempts))
    )
    if begun:
        steps.append(_processing(snapshot, request, start, finish))
    if status != INSIDE:
        written = steps[-1][2] if status == COMPLETED else finish
        word = "result" if status == COMPLETED else f"error ({STATUSES[status]})"
        steps.append((f"{word} in S3", written, finish, _place(snapshot, request, status)))
        steps.append(("notification", finish, finish, _told(snapshot, status)))
    return pd.DataFrame(steps, columns=["step", "from_s", "to_s", "what"])


def _waiting(snapshot: Snapshot, waited: float, *, begun: bool, attempts: int) -> str:
    if np.isnan(waited):
        told = "still waiting"
    else:
        told = f"waited {_seconds(waited)}" if begun else f"expired after {_seconds(waited)}"
    lost = attempts - 1 if not begun or snapshot.deployment.max_retries == 0 else 0
    return told + (f"; attempts lost with their instance: {lost}" if lost else "")


def _processing(snapshot: Snapshot, request: int, start: float, finish: float) -> tuple[str, float, float, str]:
    """The last attempts, on one instance: the input is fetched and the model works."""
    log, deployment = _log(snapshot), snapshot.deployment
    fetched, worked, _ = _durations(snapshot, request)
    status, attempts = int(log.status[request]), int(log.attempts[request])
    told = f"input fetched in {_seconds(fetched)}; "
    if worked > deployment.invocation_timeout_s:
        told += f"the model needs {_seconds(worked)} and is cut off at {deployment.invocation_timeout_s:g}"
    else:
        told += f"the model works for {_seconds(worked)}"
    done = start + fetched + worked
    end = done if status == COMPLETED or (status == INSIDE and done <= snapshot.end_s) else finish
    counted = f" (attempt {attempts})" if attempts > 1 else ""
    return f"processing on instance {log.instance[request]}{counted}", start, end, told


def _seconds(value: float) -> str:
    """Four digits, or all those before the point."""
    return f"{value:.4g} s" if value < 10_000 else f"{value:,.0f} s"


def _durations(snapshot: Snapshot, request: int) -> np.ndarray:
    """Seconds to fetch, to work and to write for one request: drawn again, from the same streams."""
    from simlib.serving.demand import asynchronous_chunks
    from simlib.simulation import Simulation

    sim, row = Simulation(snapshot.seed, replication=snapshot.replication), request
    for chunk in asynchronous_chunks(sim, snapshot.workload, snapshot.deployment, begin_s=snapshot.begin_s):
        if row < len(chunk.arrivals):
            return chunk.services[:, row]
        row -= len(chunk.arrivals)
    raise AssertionError("a request of the log is one of the workload")


def _place(snapshot: Snapshot, request: int, status: int) -> str:
    """Where in S3 the answer of a request is: S3OutputPath or S3FailurePath."""
    folder = "output" if status == COMPLETED else "failure"
    return f"s3://{snapshot.name}/{folder}/{snapshot.name}-{request}.out"


def _told(snapshot: Snapshot, status: int) -> str:
    topic = "success" if status == COMPLETED else "error"
    return f"SNS, {topic} topic" if snapshot.deployment.notify else "nobody is told (notify=False)"


# --- who was notified -------------------------------------------------------------------------------------------------


def notifications(snapshot: Snapshot) -> pd.DataFrame:
    """The messages to SNS in order of time: time_s, topic, invocationStatus, inferenceId, location.

    Raises
    ------
    ParameterError
        If the run is folded.
    """
    log = _log(snapshot)
    rows = np.flatnonzero(log.status != INSIDE) if snapshot.deployment.notify else np.zeros(0, dtype=int)
    rows = rows[np.argsort(log.finish[rows], kind="stable")]
    good = log.status[rows] == COMPLETED
    places = [_place(snapshot, row, int(log.status[row])) for row in rows.tolist()]
    return pd.DataFrame(
        {
            "time_s": log.finish[rows],
            "topic": np.where(good, "success", "error"),
            "invocationStatus": np.where(good, "Completed", "Failed"),
            "inferenceId": [f"{snapshot.name}-{row}" for row in rows],
            "location": places,
        }
    )


# --- over time --------------------------------------------------------------------------------------------------------


def columns(snapshot: Snapshot, frame: pd.DataFrame, ends: np.ndarray) -> dict[str, np.ndarray]:
    """The timeline's columns of an asynchronous endpoint, by their names in CloudWatch.

    At the end of the period: ApproximateBacklogSize (waiting and in process), ApproximateBacklogSizePerInstance (at
    zero instances: / 1), HasBacklogWithoutCapacity, and, where every request was kept, ApproximateAgeOfOldestRequest
    [s].  In the period: ExpiredRequests, InvocationFailures, and, where every request was kept, TimeInBacklog (mean
    wait of those started [s]).  Backlog is ApproximateBacklogSize by its short name.
    """
    backlog, instances = frame["Concurrency"].to_numpy(), frame["Instances"].to_numpy()
    counts = _counts(snapshot, ends)
    found: dict[str, Any] = {
        "Backlog": backlog,
        "ApproximateBacklogSize": backlog,
        "ApproximateBacklogSizePerInstance": backlog / np.maximum(1, instances),
        "HasBacklogWithoutCapacity": ((backlog > 0) & (instances == 0)).astype(int),
        "ExpiredRequests": counts[:, EXPIRED],
        "InvocationFailures": counts[:, [TIMED_OUT, FAILED]].sum(axis=1),
    }
    if snapshot.requests is not None:
        found["ApproximateAgeOfOldestRequest"] = _age_of_oldest(snapshot.requests, ends)
        found["TimeInBacklog"] = _mean_wait(snapshot.requests, ends)
    return found


def _counts(snapshot: Snapshot, ends: np.ndarray) -> np.ndarray:
    """Final statuses in each period: shape (periods, 7)."""
    minutes = np.ceil(np.r_[0.0, ends] / 60).astype(int)
    summed = np.cumsum(snapshot.tally[0, :, :7], axis=0)
    summed = np.vstack([np.zeros(7, dtype=summed.dtype), summed])
    return np.diff(summed[np.minimum(minutes, len(summed) - 1)], axis=0)


def _age_of_oldest(log: Requests, moments: np.ndarray) -> np.ndarray:
    """Age [s] of the oldest request inside just before each moment; 0 where nobody is.

    The first of the log to leave then or later is also the first at which the latest leaving so far is then or later.
    """
    leaves = np.maximum.accumulate(np.where(np.isnan(log.finish), np.inf, log.finish))
    first = np.searchsorted(leaves, moments, side="left")
    arrived = np.append(log.arrival, np.inf)[first]
    return np.where(arrived < moments, moments - np.minimum(arrived, moments), 0.0)


def _mean_wait(log: Requests, ends: np.ndarray) -> np.ndarray:
    """Mean time in the queue [s] of the requests started in each period; NaN where there are none."""
    begun = ~np.isnan(log.start)
    period = np.searchsorted(ends, log.start[begun], side="right")
    inside = period < len(ends)
    waits = (log.start - log.arrival)[begun][inside]
    count = np.bincount(period[inside], minlength=len(ends))
    total = np.bincount(period[inside], weights=waits, minlength=len(ends))
    return np.divide(total, count, out=np.full(len(ends), np.nan), where=count > 0)


def _log(snapshot: Snapshot) -> Requests:
    if snapshot.requests is None:
        raise ParameterError("this run is folded: it kept no requests; simulate(…, log='exact') keeps them.")
    return snapshot.requests
