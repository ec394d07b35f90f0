"""What decisions read of the requests, in the order in which they read it: enough to make the same decisions again.

A SimPy process cannot be written to a file, but it can be run once more: it does the same as long as it reads the same.
So a station whose run keeps checkpoints has each reading taped.  When the run goes on later, its processes first live
through their past on the tape, in a moment, while the requests of that time are not touched; see `simlib.checkpoint`.
"""

from array import array
from collections.abc import Callable

import numpy as np


class Tape:
    """Readings of one station: numbers, as many a time as were read together.

    Parameters
    ----------
    taped : (numbers, lengths) or None
        A tape to play, as another's `arrays`; None to record on an empty one.
    """

    def __init__(self, taped: tuple[np.ndarray, np.ndarray] | None = None) -> None:
        numbers, lengths = taped or ((), ())
        self._numbers, self._lengths = array("d", numbers), array("q", lengths)
        self._played = self._turn = 0
        self.plays = taped is not None

    def read(self, look: Callable[[], list[float]]) -> list[float]:
        """What a look finds, taped; or, while the tape plays, what that look found then."""
        if self.plays:
            begin, self._turn = self._played, self._turn + 1
            self._played += self._lengths[self._turn - 1]
            return self._numbers[begin : self._played].tolist()
        found = [float(number) for number in look()]
        self._numbers.extend(found)
        self._lengths.append(len(found))
        return found

    def record(self) -> None:
        """All is played: from now on readings are taped behind it.

        Raises
        ------
        ValueError
            If something is left to be played: then the processes have read something else than they once did.
        """
        if self._turn < len(self._lengths):
            raise ValueError(f"{len(self._lengths) - self._turn} readings were not asked for again.")
        self.plays = False

    @property
    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """All numbers, and how many belong together."""
        return np.array(self._numbers, float), np.array(self._lengths, np.int64)
