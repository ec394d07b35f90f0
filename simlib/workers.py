"""Work spread over processes, of this machine or of a cluster: the one door for experiments and for grading.

joblib does it, so its own switch, `joblib.parallel_config`, also sends the work to a Dask cluster.
"""

import warnings
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from typing import Any, TypeVar

from simlib.parameters import ParameterError

Result = TypeVar("Result")

GIVE_UP_AFTER = 3
"""How often in a row workers may be killed without a task finished in between."""

# by name: neither loky's nor Dask's need be imported
_WORKER_GONE = {"BrokenProcessPool", "KilledWorker", "FutureCancelledError", "CancelledError"}


def how_many(n_jobs: int | None) -> int:
    """Processes that *n_jobs* means here; None is 1 unless `joblib.parallel_config` says otherwise."""
    from joblib import effective_n_jobs

    return int(effective_n_jobs(n_jobs))


def all_done(
    owner: str, work: Callable[..., Result], tasks: Mapping[int, tuple[Any, ...]], n_jobs: int | None
) -> Generator[tuple[int, Result], None, None]:
    """Each task's number and what *work* made of it, as they come.

    What a worker that is killed had in hand is done by another.

    Raises
    ------
    ParameterError
        In the words of *owner*, where workers are killed again and again.
    """
    from joblib import Parallel, delayed

    left, in_vain = dict(tasks), 0
    while left:
        before = len(left)
        pool: Any = Parallel(n_jobs=n_jobs, return_as="generator_unordered")
        finished = pool(delayed(_numbered)(number, work, task) for number, task in list(left.items()))
        try:
            with warnings.catch_warnings(), closing(finished):
                # a worker that has grown by a big run is replaced; joblib carries on, and so nothing need be said
                warnings.filterwarnings("ignore", message="A worker stopped while some jobs were given to the executor")
                for number, result in finished:
                    del left[number]
                    yield number, result
        except Exception as error:
            if not _killed(error):
                raise
            in_vain = in_vain + 1 if len(left) == before else 0
            if in_vain == GIVE_UP_AFTER:
                raise ParameterError(
                    f"{owner}: workers were killed {in_vain} times before one run was finished; "
                    f"is there memory for n_jobs={n_jobs}?"
                ) from None


def _numbered(number: int, work: Callable[..., Result], task: tuple[Any, ...]) -> tuple[int, Result]:
    return number, work(*task)


def _killed(error: Exception) -> bool:
    """Whether it tells of a worker that is gone, and not of a fault in the work."""
    return {kind.__name__ for kind in type(error).__mro__} & _WORKER_GONE != set()
