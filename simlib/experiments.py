"""Experiments: one question asked of many runs, and how sure the answer is.

    >>> import simlib as sl
    >>> from simlib import experiments, serving, workload
    >>> tagger = sl.ModelProfile("tagger", service=sl.exponential(mean=0.1))
    >>> calls = workload.poisson(rate=24)
    >>> two, three = (serving.RealTime(tagger, workers=c, routing="SHARED_QUEUE") for c in (3, 4))
    >>> found = experiments.replicate(two, calls, hours=1, replications=10, seed=7)
    >>> found.loc["mean_s"].round(3).to_dict()
    {'mean': 0.205, 'low': 0.202, 'high': 0.209, 'n': 10.0}

Replication k is `simulate(…, replication=k)`: random streams of its own under the same seed.  Different deployments see
the same replications (*common random numbers*), so what differs between them is what they do, and less luck.
"""

import inspect
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import SkipValidation

from simlib.intervals import Confidence, Interval, interval
from simlib.ledger import Ledger, read
from simlib.parameters import Count, ParameterError, Positive, Text, checked, nearest, shortly
from simlib.plots.many_runs import Compared
from simlib.replications import (
    AtLeastTwo,
    Bar,
    Deployments,
    Jobs,
    Options,
    check_options,
    run_each,
)
from simlib.results import Run
from simlib.simulation import AnyDeployment
from simlib.warmup import WarmUp, moving_average, mser5, warm_up, welch
from simlib.workload import Workload

Results = str | Path | None

__all__ = [
    "Interval",
    "WarmUp",
    "compare",
    "interval",
    "moving_average",
    "mser5",
    "outcomes",
    "read_results",
    "replicate",
    "sweep",
    "until_precise",
    "warm_up",
    "welch",
    "wide",
]


# --- experiments -----------------------------------------------------------------------------------------------------


@checked
def outcomes(
    deployments: Deployments,
    workload: Workload,
    *,
    replications: Count = 10,
    n_jobs: Jobs = None,
    results: Results = None,
    **simulate_options: Any,
) -> pd.DataFrame:
    """Every run's summary as it is: what the other experiments make their means and intervals of.

    Returns
    -------
    DataFrame
        Index (deployment, replication), one column a summary figure; NaN where a run has no such figure.
    """
    return _outcomes(outcomes, deployments, workload, replications, n_jobs, simulate_options, results)


@checked
def replicate(
    deployment: AnyDeployment,
    workload: Workload,
    *,
    replications: Count = 10,
    confidence: Confidence = 0.95,
    n_jobs: Jobs = None,
    results: Results = None,
    **simulate_options: Any,
) -> pd.DataFrame:
    """Mean and confidence interval of every summary figure over independent runs.

    Parameters
    ----------
    replications : int
        How many runs; with 1 there is no interval (NaN).
    confidence : float
        Share of such intervals that hold the true mean, such as 0.95.
    n_jobs : int or None
        Processes; -1 is one a core.  None is 1, unless `joblib.parallel_config` says otherwise.  The result is the
        same; a process takes a second or two to start, so it pays from some ten seconds on.
    results : path or None
        A file in which each run's figures are written as it finishes.  Runs that are in it are not made again: after a
        kill, the same call goes on where it was and gives the same bytes.  `read_results` reads it.
    simulate_options
        For `simulate`: hours or days, seed, warm_up_hours, log, region; `progress` is about the bar over all runs.

    Returns
    -------
    DataFrame
        Index figure; columns mean low high n, where n counts the runs in which the figure was a finite number.
    """
    runs = _outcomes(replicate, {"": deployment}, workload, replications, n_jobs, simulate_options, results)
    return _intervals(runs, confidence)


@checked
def compare(
    deployments: Deployments,
    workload: Workload,
    *,
    replications: Count = 10,
    confidence: Confidence = 0.95,
    n_jobs: Jobs = None,
    results: Results = None,
    **simulate_options: Any,
) -> pd.DataFrame:
    """Several deployments under the same requests, each beside the first.

    Replication k is the same for all of them, so differences are taken run by run: the luck they share cancels.

    Parameters
    ----------
    deployments : mapping of name to deployment
        The first is the one that the others are compared with.
    replications, confidence, n_jobs, results, simulate_options
        As for `replicate`.

    Returns
    -------
    DataFrame
        Index (figure, deployment), so `frame.loc["p95_s"]` is one figure of all of them.  Columns: mean low high n, as
        `replicate` gives them; difference difference_low difference_high: deployment minus the first, with the interval
        of paired values, NaN for the first itself; pairs: in how many runs both had the figure.
        `attrs["against"]` is the name of the first.
    """
    runs = _outcomes(compare, deployments, workload, replications, n_jobs, simulate_options, results)
    first = next(iter(deployments))
    rows: dict[tuple[str, str], tuple[float, ...]] = {}
    for figure, name in itertools.product(runs.columns, deployments):
        values = runs.loc[name, figure].to_numpy()
        apart = interval(values - runs.loc[first, figure].to_numpy() if name != first else [], confidence)
        rows[figure, name] = (*interval(values, confidence), *apart)
    frame = pd.DataFrame.from_dict(
        rows,
        orient="index",
        columns=["mean", "low", "high", "n", "difference", "difference_low", "difference_high", "pairs"],
    ).astype({"n": int, "pairs": int})
    frame.index = pd.MultiIndex.from_tuples(list(rows), names=["figure", "deployment"])
    frame.attrs = {"confidence": confidence, "against": first}
    return frame


@checked
def sweep(
    grid: SkipValidation[Mapping[str, Sequence[Any]]],
    make_deployment: SkipValidation[Callable[..., Any]],
    workload: Workload,
    *,
    replications: Count = 1,
    confidence: Confidence = 0.95,
    n_jobs: Jobs = None,
    results: Results = None,
    **simulate_options: Any,
) -> pd.DataFrame:
    """A deployment for each point of a grid, all under the same requests.

    Parameters
    ----------
    grid : mapping of name to values
        Points are all combinations, the last name changing fastest.
    make_deployment : function
        Called as make_deployment(**point); it may be a lambda, and it stays in this process.
    replications, confidence, n_jobs, results, simulate_options
        As for `replicate`, but one run a point unless told otherwise.

    Returns
    -------
    DataFrame
        One row a point: the columns of the grid, then each figure's mean under its own name and, with more than one
        replication, its interval as figure_low and figure_high.
    """
    points = _points(grid)
    made = {f"{k} ({_told(point)})": _made(make_deployment, point) for k, point in enumerate(points, 1)}
    runs = _outcomes(sweep, made, workload, replications, n_jobs, simulate_options, results)
    taken = [name for name in grid if name in runs.columns]
    if taken:
        raise ParameterError(f"sweep: grid has the name {taken[0]!r}, which is a figure of every run: call it another.")
    rows = [
        point | _row(_intervals(runs.loc[[name]], confidence), bounds=replications > 1)
        for name, point in zip(made, points, strict=True)
    ]
    frame = pd.DataFrame(rows)
    frame.attrs = {"confidence": confidence}
    return frame


@checked
def until_precise(
    deployment: AnyDeployment,
    workload: Workload,
    *,
    figure: Text = "p95_s",
    relative_width: Positive = 0.05,
    min_replications: AtLeastTwo = 10,
    max_replications: AtLeastTwo = 200,
    batch: Count = 10,
    confidence: Confidence = 0.95,
    n_jobs: Jobs = None,
    results: Results = None,
    **simulate_options: Any,
) -> pd.DataFrame:
    """Replications until the interval of one figure is narrow enough.

    After *min_replications* and then after each further *batch* it stops if the half-width of the interval is at most
    `relative_width * abs(mean)`: 0.05 means "to ± 5 %".  At *max_replications* it gives up and prints a sentence.

    Looking and stopping when it looks narrow costs a little coverage: runs whose scatter happened to be small stop
    earlier.  With the default floor of 10 the 95 % intervals held the truth in 93 to 95 % of trials (see the guide);
    with a floor of 2 or 3 it would be far fewer.

    Returns
    -------
    DataFrame
        As from `replicate`, over all replications made; `attrs["reached"]` says whether the width was reached and
        `attrs["relative_width"]` the one that was.
    """
    if max_replications < min_replications:
        raise ParameterError(
            f"until_precise: max_replications={max_replications} is not possible: "
            f"it should be at least min_replications={min_replications}."
        )

    with closing(Bar(max_replications, simulate_options.get("progress"))) as bar:

        def more(numbers: range) -> pd.DataFrame:
            return _outcomes(until_precise, {"": deployment}, workload, numbers, n_jobs, simulate_options, results, bar)

        runs = more(range(1))  # one run tells which figures there are
        if figure not in runs.columns:
            raise ParameterError(f"until_precise: there is no figure {figure!r}; {nearest(figure, runs.columns)}")
        wanted = min_replications
        while True:
            runs = pd.concat([runs, more(range(len(runs), wanted))])
            found = interval(runs[figure].to_numpy(), confidence)
            reached = found.relative_half_width <= relative_width  # never without an interval
            if reached or wanted == max_replications:
                break
            wanted = min(wanted + batch, max_replications)
    width = found.relative_half_width
    if not reached:
        print(
            f"until_precise gave up after {len(runs)} replications (max_replications): {figure} is known to "
            f"± {100 * width:.2g} %, not to ± {100 * relative_width:.2g} %."
        )
    frame = _intervals(runs, confidence)
    frame.attrs |= {"reached": reached, "relative_width": width}
    return frame


@checked
def read_results(path: str | Path) -> pd.DataFrame:
    """The runs that are in a file of results so far: deployment, replication, the options, and every figure.

    It may be read while an experiment writes it, and handed on, say by `frame.to_parquet`.

    Raises
    ------
    ParameterError
        If there is no such file.
    """
    return read(Path(path))


@checked
def wide(frame: Compared) -> pd.DataFrame:
    """A comparison as a sweep would give it: one row a deployment, columns figure, figure_low and figure_high.

    This is the form that `plots.frontier` draws.
    """
    names = frame.index.get_level_values("deployment").unique()
    rows = [_row(frame[frame.index.get_level_values("deployment") == name].droplevel(1)) for name in names]
    return pd.DataFrame(rows, index=names)


# --- parts -----------------------------------------------------------------------------------------------------------


def figures(run: Run) -> dict[str, float]:
    """The numbers of a run's summary."""
    return {
        str(name): float(value) for name, value in run.summary().items() if isinstance(value, int | float | np.number)
    }


def _outcomes(
    asked: Callable[..., Any],
    deployments: Mapping[str, Any],
    workload: Workload,
    replications: int | range,
    n_jobs: int | None,
    options: Options,
    results: Results,
    bar: Bar | None = None,
) -> pd.DataFrame:
    """The summaries as a frame with index (deployment, replication), for the function that was *asked*."""
    check_options(asked, options)
    numbers = range(replications) if isinstance(replications, int) else replications
    owner = asked.__name__
    with nullcontext() if results is None else closing(Ledger(owner, Path(results))) as ledger:
        found = run_each(
            owner, figures, deployments, workload, numbers, n_jobs=n_jobs, options=options, bar=bar, ledger=ledger
        )
    rows = {(name, k): row for name, rows in found.items() for k, row in zip(numbers, rows, strict=True)}
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    index = pd.MultiIndex.from_tuples(list(rows), names=["deployment", "replication"]) if rows else None
    return pd.DataFrame(list(rows.values()), columns=columns, index=index, dtype=float)


def _intervals(runs: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """One row a column of *runs*: mean low high n."""
    rows = {str(figure): interval(runs[figure].to_numpy(), confidence) for figure in runs.columns}
    frame = pd.DataFrame.from_dict(rows, orient="index", columns=list(Interval._fields)).astype({"n": int})
    frame.index.name = "figure"
    frame.attrs = {"confidence": confidence}
    return frame


def _row(found: pd.DataFrame, *, bounds: bool = True) -> dict[str, float]:
    """A frame of intervals laid flat."""
    row: dict[str, float] = {}
    for figure, mean, low, high in zip(found.index, found["mean"], found["low"], found["high"], strict=True):
        row |= {figure: mean, f"{figure}_low": low, f"{figure}_high": high} if bounds else {figure: mean}
    return row


def _points(grid: Any) -> list[dict[str, Any]]:
    """All combinations of the grid's values."""
    if not isinstance(grid, Mapping) or not grid:
        raise ParameterError(
            f"sweep: grid={shortly(grid)} is not possible: it should be a dictionary of name to values, "
            "such as {'memory_mb': [1024, 2048]}."
        )
    axes: dict[str, list[Any]] = {}
    for name, values in grid.items():
        if isinstance(values, str) or not isinstance(values, Iterable):
            raise ParameterError(f"sweep: grid[{name!r}]={shortly(values)} is not possible: it should be a list.")
        axes[name] = list(values)
        if not axes[name]:
            raise ParameterError(f"sweep: grid[{name!r}] is empty: it should hold at least one value.")
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


def _made(make: Any, point: Mapping[str, Any]) -> Any:
    """The deployment of one point, or a sentence about what *make* does not take or give."""
    if not callable(make):
        raise ParameterError(
            f"sweep: make_deployment={shortly(make)} is not possible: it should be a function that makes a deployment."
        )
    _check_takes(make, point)
    made = make(**point)
    if not callable(getattr(made, "deploy", None)):
        raise ParameterError(
            f"sweep: make_deployment({_told(point)}) gave {shortly(made)}: it should return a deployment."
        )
    return made


def _told(point: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={shortly(value)}" for name, value in point.items())


def _check_takes(make: Callable[..., Any], point: Mapping[str, Any]) -> None:
    try:
        parameters = inspect.signature(make).parameters
    except ValueError:  # some compiled functions keep it to themselves
        return
    takes_all = any(each.kind is each.VAR_KEYWORD for each in parameters.values())
    named = {n: p for n, p in parameters.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    for name in point:
        if name not in named and not takes_all:
            hint = nearest(name, named) if named else "it takes none."
            raise ParameterError(f"sweep: make_deployment has no parameter {name!r}; {hint}")
    for name, each in named.items():
        if each.default is each.empty and name not in point:
            raise ParameterError(f"sweep: make_deployment needs the parameter {name!r}, which is not in the grid.")
