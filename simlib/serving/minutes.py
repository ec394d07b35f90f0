"""From a log to what a run counts each minute: for deployments whose requests do not travel in the lanes."""

from typing import Any

import numpy as np

from simlib.record import (
    ARRIVED,
    BINS,
    BINS_PER_OCTAVE,
    COMPLETED,
    FIRST_OCTAVE,
    INSIDE,
    LATENCY_NS,
    TALLIES,
    Requests,
)

_MANTISSA, _BIAS = 52, 1023
_BIN_BITS = BINS_PER_OCTAVE.bit_length() - 1


def tally_of(log: Requests, variants: int, end_s: float) -> np.ndarray:
    """Arrivals, outcomes and latency by minute, shape (variants, minutes, TALLIES); the rest is still 0."""
    minutes = int(end_s // 60) + 1
    tally = np.zeros((variants, minutes, TALLIES), dtype=np.int64)
    arrived: Any = (log.variant, _minute(log.arrival), ARRIVED)
    np.add.at(tally, arrived, 1)
    ended = log.status != INSIDE
    of, minute, status = log.variant[ended], _minute(log.finish[ended]), log.status[ended]
    np.add.at(tally, (of, minute, status), 1)
    done = status == COMPLETED
    latency = nanoseconds(log.finish[ended] - log.arrival[ended])
    np.add.at(tally, (of[done], minute[done], LATENCY_NS), latency[done])
    return tally


def histogram_of(log: Requests, variants: int, end_s: float) -> np.ndarray:
    """Completed requests by variant, hour of their finish and bin of their latency."""
    histogram = np.zeros((variants, int(end_s // 3600) + 1, BINS), dtype=np.int64)
    done = log.status == COMPLETED
    bins = latency_bins(log.finish[done] - log.arrival[done])
    np.add.at(histogram, (log.variant[done], (log.finish[done] // 3600).astype(np.int64), bins), 1)
    return histogram


def latency_bins(seconds: np.ndarray) -> np.ndarray:
    """The log-scaled bins of latencies, as `lanes.latency_bin` has them, shape (n,)."""
    code = np.ascontiguousarray(seconds, dtype=np.float64).view(np.int64) >> (_MANTISSA - _BIN_BITS)
    bins: np.ndarray = np.clip(code - ((_BIAS + FIRST_OCTAVE) << _BIN_BITS) + 1, 0, BINS - 1)
    return bins


def nanoseconds(seconds: np.ndarray) -> np.ndarray:
    """Whole nanoseconds."""
    whole: np.ndarray = (seconds * 1e9 + 0.5).astype(np.int64)
    return whole


def _minute(seconds: np.ndarray) -> np.ndarray:
    minute: np.ndarray = (seconds // 60.0).astype(np.int64)
    return minute
