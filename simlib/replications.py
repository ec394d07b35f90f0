"""Independent runs, one after another or side by side: what every experiment is made of.

A run is named by its deployment and the number of its replication, and these two alone decide its random numbers.  So
it does not matter where or in which order runs are done: serial, parallel and on a cluster they give the same bytes.
`workers` does the parallel part.
"""

import inspect
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, nullcontext
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import AfterValidator, Field

from simlib.parameters import ParameterError, nearest, shortly
from simlib.results import Run
from simlib.simulation import SHOW_PROGRESS_AFTER_S, is_deployment, simulate
from simlib.workers import all_done, how_many
from simlib.workload import Workload

if TYPE_CHECKING:
    from simlib.ledger import Ledger

Measured = TypeVar("Measured")
Options = Mapping[str, Any]

# --- at the border ---------------------------------------------------------------------------------------------------


def _named_and_serving(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping) or not value:
        raise ValueError(
            f"deployments={shortly(value)} is not possible: it should be a dictionary of name to deployment, "
            "such as {'two': …, 'three': …}."
        )
    for name, deployment in value.items():
        if not isinstance(name, str) or not name:
            raise ValueError(f"deployments has the name {name!r}: it should be a text.")
        if not is_deployment(deployment):
            raise ValueError(
                f"deployments[{name!r}]={shortly(deployment)} is not possible: it should be one of serving's."
            )
    return dict(value)


def _processes(value: Any) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value != 0):
        return value
    raise ValueError(f"n_jobs={value!r} is not possible: it should be a number of processes, or -1 for all cores.")


Deployments = Annotated[Any, AfterValidator(_named_and_serving)]
Jobs = Annotated[Any, AfterValidator(_processes)]
AtLeastTwo = Annotated[int, Field(strict=True, ge=2)]

_OURS = ("deployment", "workload", "replication", "checkpoint")


def check_options(asked: Callable[..., Any], options: Options) -> None:
    """Raise about the first of *options* that neither `simulate` nor *asked*, the function that got them, has."""
    named = inspect.Parameter.KEYWORD_ONLY
    own = [name for name, each in inspect.signature(asked).parameters.items() if each.kind is named]
    known = [name for name in inspect.signature(simulate).parameters if name not in _OURS]
    for name in options:
        if name not in known:
            raise ParameterError(f"{asked.__name__} has no parameter {name!r}; {nearest(name, [*own, *known])}")


# --- running ---------------------------------------------------------------------------------------------------------


def run_each(
    owner: str,
    measure: Callable[[Run], Measured],
    deployments: Mapping[str, Any],
    workload: Workload,
    replications: Sequence[int],
    *,
    n_jobs: int | None,
    options: Options,
    bar: "Bar | None" = None,
    ledger: "Ledger | None" = None,
) -> dict[str, list[Measured]]:
    """What *measure* finds in each run: one list a deployment, in the order of *replications*.

    Parameters
    ----------
    owner : str
        Whom error messages speak of.
    deployments : mapping of name to deployment
        A name is for error messages; it may be empty.
    measure : function of a Run
        Its result travels between processes, so it should be small.
    replications : sequence of int
        Numbers of the replications, the same for each deployment.
    n_jobs : int or None
        Processes; None is 1 unless `joblib.parallel_config` says otherwise.
    options : mapping
        For `simulate`; its `progress` is about the bar over all runs.
    bar : Bar or None
        The bar to move, where these runs are only a part of all.
    ledger : Ledger or None
        Where the runs are written down as they come; those that are in it are not made again.
    """
    count, shown = len(deployments) * len(replications), options.get("progress")
    spread = count > 1 and how_many(n_jobs) > 1
    # a single long run may show its own bar, if it is the only one at work
    settings = {**options, "progress": False if spread or shown is False else None}
    if spread:
        named = {f"deployment {name}".strip(): each for name, each in deployments.items()}
        _check_can_travel(owner, {"workload": workload, **named, **options})
    runs = [(name, each, k) for name, each in deployments.items() for k in replications]
    found, keys = _known(ledger, deployments, workload, runs, options)
    tasks = {
        number: (measure, each, workload, k, settings)
        for number, (_, each, k) in enumerate(runs)
        if number not in found
    }
    with closing(Bar(count, shown)) if bar is None else nullcontext(bar) as moving:
        if found:
            moving.step(len(found))
        with closing(all_done(owner, _one, tasks, n_jobs if spread else 1)) as arriving:
            for number, measured in arriving:
                found[number] = measured
                if ledger is not None:
                    name, _, k = runs[number]
                    figures: Any = measured
                    ledger.add(keys[number], name, k, options, figures)
                moving.step()
    n = len(replications)
    return {name: [found[i] for i in range(k * n, (k + 1) * n)] for k, name in enumerate(deployments)}


def _known(
    ledger: "Ledger | None",
    deployments: Mapping[str, Any],
    workload: Workload,
    runs: Sequence[tuple[str, Any, int]],
    options: Options,
) -> tuple[dict[int, Any], list[str]]:
    """Which runs are in the ledger, by their numbers; and the keys of all."""
    if ledger is None:
        return {}, []
    digests, calls = {name: ledger.digest(each) for name, each in deployments.items()}, ledger.digest(workload)
    keys = [ledger.key(digests[name], calls, k, options) for name, _, k in runs]
    there = {number: ledger.found(key) for number, key in enumerate(keys)}
    return {number: figures for number, figures in there.items() if figures is not None}, keys


def _one(
    measure: Callable[[Run], Measured], deployment: Any, workload: Workload, replication: int, settings: Options
) -> Measured:
    run = simulate(deployment, workload, replication=replication, **settings)
    if run.partial:  # Ctrl-C: half a run is no replication
        raise KeyboardInterrupt
    return measure(run)


def _check_can_travel(owner: str, parts: Mapping[str, object]) -> None:
    """Raise about what cannot be sent to another process: some pools would wait for it forever."""
    import cloudpickle  # which joblib itself needs and uses

    for name, part in parts.items():
        try:
            cloudpickle.dumps(part)
        except Exception as error:  # whatever a foreign __reduce__ raises
            why = str(error).partition("\n")[0] or type(error).__name__
            raise ParameterError(
                f"{owner}: {name} cannot be sent to another process ({why}); with n_jobs=1 it runs in this one."
            ) from None


class Bar:
    """A progress bar over runs that appears once they have taken two seconds; *shown* forces it on or off.

    Without a *total* it counts.
    """

    def __init__(self, total: int | None, shown: bool | None) -> None:
        self.total, self.shown, self.done, self.begun = total, shown, 0, time.monotonic()
        self.bar: Any = None
        if shown:
            self._show()

    def step(self, runs: int = 1) -> None:
        """So many more runs are finished."""
        self.done += runs
        late = time.monotonic() - self.begun > SHOW_PROGRESS_AFTER_S
        if self.bar is None and self.shown is None and late and self.done != self.total:
            self._show()
        elif self.bar is not None:
            self.bar.update(runs)

    def _show(self) -> None:
        from tqdm.auto import tqdm

        self.bar = tqdm(total=self.total, initial=self.done, unit="run", leave=False)

    def close(self) -> None:
        """All runs are finished, or one failed."""
        if self.bar is not None:
            self.bar.close()
