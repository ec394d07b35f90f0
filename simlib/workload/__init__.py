"""Who calls, and when: arrival processes, traces of real requests, and ways to combine them.

    >>> import numpy as np
    >>> chat = diurnal(mean_rate=20, peak_to_mean=1.8)            # requests/s, highest at 20 h
    >>> both = chat + poisson(rate=3)
    >>> both.expected(0, 24 * 3600)
    1987200.0
    >>> poisson(rate=0.5).arrivals(0, 10, np.random.default_rng(1)).round(2)
    array([2.15, 2.76])

Times are seconds since the start of the run, which is midnight.  A workload is a config: it prints, compares and goes
to JSON and back.  The simulator reads a workload as a stream of blocks; where a block ends and what it holds depend on
the workload and the generator alone, so an hour's run is the first hour of a day's run.
"""

from simlib.workload.blocks import Block
from simlib.workload.counted import files, from_counts, nightly
from simlib.workload.rates import bursty, diurnal, on_off, poisson
from simlib.workload.recorded import from_trace
from simlib.workload.stream import Workload

__all__ = [
    "Block",
    "Workload",
    "bursty",
    "diurnal",
    "files",
    "from_counts",
    "from_trace",
    "nightly",
    "on_off",
    "poisson",
]
