"""What a run records: the statuses of a request, what is counted each minute, the log, and the record as a whole.

The compiled lanes write it and `results` reads it; both take the numbers from here.  They are part of the file format.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from simlib.pricing import Meter

# --- statuses of a request -------------------------------------------------------------------------------------------
INSIDE, COMPLETED, THROTTLED, REJECTED, EXPIRED, TIMED_OUT, FAILED = range(7)
COLD = 8  # added to a status in the lanes where a cold start came before it
STATUSES = ("inside", "completed", "throttled", "rejected", "expired", "timed_out", "failed")

# --- columns of the tally: arrivals, then one for each final status, then further attempts and whole nanoseconds -----
ARRIVED, RETRIED, LATENCY_NS, BUSY_NS = 0, 7, 8, 9
# and of serverless endpoints: cold starts and their length, existence of containers, milliseconds on the bill, and
# attempts that a container on demand took
COLD_STARTS, SETUP_NS, CONTAINER_NS, BILLED_MS, PROVISIONED_MS, ON_DEMAND = range(10, 16)
NO_CAPACITY = 16  # of inference components: calls that found no copy
TALLIES = 17

# --- folded latencies: 64 bins an octave from 2^-20 s (1 us) to 2^20 s: a bin's middle is within 0.8 % of its members
BINS_PER_OCTAVE, FIRST_OCTAVE, OCTAVES = 64, -20, 40
BINS = OCTAVES * BINS_PER_OCTAVE + 1  # bin 0 holds what is shorter than 1 us

NOBODY = -1

SHARES = -1  # not a column of the tally: the sum of 1 / instances in service over the attempts


def counted(tables: Any, variant: int, column: int, first: int, last: int) -> list[float]:
    """What stands in a column in minute *first*, in those after it up to *last*, and in *last*.

    *tables* have a tally and per_instance.  Decisions read it each minute, so it is kept cheap: most often only one
    minute lies between.
    """
    counts = tables.per_instance[variant] if column == SHARES else tables.tally[variant, :, column]
    then, now = counts.item(first), counts.item(last)
    since = now if last == first + 1 else counts[first + 1 : last + 1].sum()
    return [float(then), float(since), float(now)]


def counted_by(tables: Any, end_s: float) -> dict[str, np.ndarray]:
    """What was counted up to *end_s*, by the names of a `Snapshot`; no copies.

    *tables* have a tally, per_instance and a histogram.
    """
    minutes, hours = int(end_s // 60) + 1, int(end_s // 3600) + 1  # the last one holds what ended at this very instant
    return {
        "tally": tables.tally[:, :minutes],
        "per_instance": tables.per_instance[:, :minutes],
        "histogram": tables.histogram[:, :hours],
    }


class Requests(NamedTuple):
    """The log: one entry for each request that has arrived, in arrival order; times in seconds, NaN if it never was."""

    arrival: np.ndarray
    start: np.ndarray
    finish: np.ndarray
    status: np.ndarray  # numbers of STATUSES
    variant: np.ndarray
    attempts: np.ndarray
    instance: np.ndarray  # NOBODY where none took it
    cold: np.ndarray  # whether a cold start came before it
    setup: np.ndarray = np.empty(0)  # serverless: length of that cold start [s], 0 where there was none
    loading: np.ndarray = np.empty(0)  # many models: how long it waited for its model to be loaded [s]
    model: np.ndarray = np.empty(0)  # many models: which one it wanted


@dataclass(frozen=True)
class Snapshot:
    """All that is known of an endpoint at one instant; `results.Run` derives the rest.

    Indices: v variant, m minute since the start of the run, h hour, b bin.
    """

    name: str
    deployment: Any
    workload: Any
    seed: int
    replication: int
    region: str
    started_at: datetime
    begin_s: float
    end_s: float
    partial: bool
    variants: Sequence[str]
    workers: Sequence[int]  # of one instance, for each variant
    instances: dict[str, list[Any]]  # columns: number variant launched_s … gone_s ended
    desired: Sequence[tuple[float, int, int]]  # (time [s], variant, instances asked for from then on)
    requests: Requests | None  # None where the run is folded
    tally: np.ndarray  # [v, m, column]
    per_instance: np.ndarray  # [v, m] sum over attempts of 1 / instances in service
    histogram: np.ndarray  # [v, h, b] completed requests by the hour of their finish and their latency
    inside: np.ndarray  # [v] requests without an answer yet
    events: Sequence[Any]
    meters: Sequence["Meter"]
    assumptions: Sequence[tuple[str, Any, str, str]]
    provisioned: Sequence[tuple[float, int]] = ()  # serverless: (time [s], containers kept warm from then on)
    shadow: "Snapshot | None" = None  # of the copies that a shadow variant got
    models: Sequence[str] = ()  # names of the models behind a multi-model endpoint
    figures: Mapping[str, float] = field(default_factory=dict)  # what only this kind of deployment has, for the summary
