"""Stretches of arrivals: what a workload is read as, and what its kinds make them with."""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

BLOCK = 2**16


class Block(NamedTuple):
    """A stretch of arrivals: at least one, sorted, not before those of the block before.

    Attributes
    ----------
    times : numpy.ndarray, shape (n,), float64
        Arrival times [s].
    work : mapping of column name to numpy.ndarray, shape (n,), float64
        What each request brings (tokens, MB …), in the units of the trace.
    """

    times: np.ndarray
    work: Mapping[str, np.ndarray]


def sizes(largest: int = BLOCK) -> Iterator[int]:
    """Block sizes: small first, since many runs are short, then four times as large each time."""
    size = min(256, largest)
    while True:
        yield size
        size = min(4 * size, largest)


def child(rng: np.random.Generator) -> np.random.Generator:
    """A generator of its own for one part of a workload."""
    return np.random.default_rng(rng.integers(2**32, size=4))


def sums_of_gaps(rng: np.random.Generator, mean: float, largest: int = BLOCK) -> Iterator[np.ndarray]:
    """Running sums of exponential gaps of *mean*, block after block.

    The carry goes into a block's first gap, so the sums round as if there were no blocks.
    """
    carry = 0.0
    for size in sizes(largest):
        sums = rng.standard_exponential(size)
        sums *= mean
        sums[0] += carry
        np.cumsum(sums, out=sums)
        carry = sums[-1]
        yield sums


def in_order(times: np.ndarray, not_before: float) -> Block:
    """A block of *times* that interpolation may have put out of order by a rounding error."""
    times[0] = max(times[0], not_before)
    if (times[1:] < times[:-1]).any():  # seldom, and looking is a tenth of mending
        np.maximum.accumulate(times, out=times)
    return Block(times, {})


def slices(times: np.ndarray, work: Mapping[str, np.ndarray]) -> Iterator[Block]:
    """Sorted arrivals as blocks of growing size."""
    start = 0
    for size in sizes():
        if start >= len(times):
            return
        yield part(Block(times, work), start, start + size)
        start += size


def part(block: Block, start: int, end: int) -> Block:
    return Block(block.times[start:end], {name: column[start:end] for name, column in block.work.items()})


def window(blocks: Iterable[Block], start_s: float, end_s: float) -> Iterator[Block]:
    """What of *blocks* lies in [start_s, end_s)."""
    for block in blocks:
        if block.times[-1] >= start_s:
            first, last = np.searchsorted(block.times, (start_s, end_s))
            if first < last:
                yield part(block, int(first), int(last))
        if block.times[-1] >= end_s:
            return
