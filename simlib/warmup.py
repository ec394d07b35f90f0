"""The warm-up: how much of the beginning of a run to leave out, because it shows the empty start and not the system.

A run starts empty, so its first requests find no queue.  `simulate` leaves nothing out by default (warm_up_hours=0):
the first day of a new endpoint really is like that.  Who asks about the long run leaves the beginning out, and
`warm_up` suggests how much, by MSER-5 (White 1997; White, Cobb and Spratt 2000) on the mean of several runs.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from simlib.parameters import Count, ParameterError, Positive, Series, Text, checked, nearest
from simlib.plots.style import Words
from simlib.replications import Jobs, Options, check_options, run_each
from simlib.results import Run
from simlib.simulation import AnyDeployment
from simlib.workload import Workload

BATCH = 5
MOST_DELETED = 0.5


@checked
def mser5(series: Series) -> int:
    """How many values to leave out at the beginning of *series*: the truncation point of MSER-5.

    The series is cut into means Z of 5 neighbours (what is left over at the end is not looked at).  Of all cuts d in
    the first half it takes the one that makes the squared standard error of what is left smallest,
    Σ_{j > d} (Z_j - mean)² / (m - d)²: leaving out a biased beginning lowers the sum, leaving out good data the count.

    On one short run of a very busy queue it takes chance for warm-up; give it the mean of several runs, as `warm_up`
    does.  A result of half the series means that the series is too short to tell.

    Parameters
    ----------
    series : array, shape (n,)
        At least 10 numbers, equally far apart.

    References
    ----------
    White, "An effective truncation heuristic for bias reduction in simulation output", Simulation 69 (1997).

    >>> mser5([0.0] * 20 + [9.0, 11.0] * 100)
    20
    """
    if len(series) < 2 * BATCH:
        raise ParameterError(f"mser5: series has {len(series)} numbers: it should have at least {2 * BATCH}.")
    if not np.isfinite(series).all():
        where = int(np.argmin(np.isfinite(series)))
        raise ParameterError(f"mser5: series[{where}]={series[where]} is not possible: it should be a finite number.")
    batches = len(series) // BATCH
    means = series[: batches * BATCH].reshape(batches, BATCH).mean(axis=1)
    means -= means.mean()  # or sums of squares would lose the digits that matter
    left = np.arange(batches, 0, -1)
    sums, squares = (np.cumsum(part[::-1])[::-1] for part in (means, means**2))
    error = (squares - sums**2 / left) / left**2
    return BATCH * int(np.argmin(error[: int(batches * MOST_DELETED) + 1]))


@checked
def moving_average(series: Series, window: Count) -> np.ndarray:
    """Welch's moving average: the mean of each value and *window* neighbours on either side, shape (n,).

    Near the beginning the window shrinks to what lies there on either side; the last *window* values are NaN.
    Values that are not finite, such as the mean latency of a minute without an answer, are left out of the means.
    """
    n, finite = len(series), np.isfinite(series)
    sums, counts = (np.concatenate(([0], np.cumsum(part))) for part in (np.where(finite, series, 0.0), finite))
    middle = np.arange(n)
    reach = np.minimum(middle, window)
    smooth = np.full(n, np.nan)
    inside = middle + reach < n
    middle, reach = middle[inside], reach[inside]
    first, last = middle - reach, middle + reach + 1
    n_finite = counts[last] - counts[first]
    smooth[inside] = np.where(n_finite > 0, (sums[last] - sums[first]) / np.maximum(n_finite, 1), np.nan)
    return smooth


class WarmUp(float):
    """Hours to leave out at the beginning: a number that also knows where it comes from.

    Attributes
    ----------
    metric : str
    replications : int
    enough : bool
        Whether the run was long enough to tell: MSER-5 found its minimum before the middle.
    averages : DataFrame
        As `welch` gives it.
    """

    metric: str
    replications: int
    enough: bool
    averages: pd.DataFrame

    def __new__(cls, hours: float, **known: Any) -> "WarmUp":
        made = super().__new__(cls, hours)
        made.__dict__.update(known)
        return made

    def _found(self) -> str:
        if not self.enough:
            return "The runs are too short to tell when the warm-up ends: make them longer"
        return f"Leave out the first {float(self):.3g} h" if self else "Nothing need be left out"

    def __repr__(self) -> str:
        return (
            f"{self._found()} (MSER-5 on the mean {self.metric} of {self.replications} runs). "
            "By default nothing is left out: warm_up_hours=0."
        )

    def __str__(self) -> str:
        return float.__repr__(self)

    def plot(self) -> Words:
        """The Welch plot, with the cut."""
        from simlib import plots

        label = f"{self.metric} [s]" if "Latency" in self.metric else self.metric
        return plots.welch(self.averages, cut_h=float(self), label=label, title=self._found())


@checked
def welch(
    deployment: AnyDeployment,
    workload: Workload,
    *,
    metric: Text = "ModelLatency",
    replications: Count = 20,
    window: Count | None = None,
    every_s: Positive = 60.0,
    n_jobs: Jobs = None,
    **simulate_options: Any,
) -> pd.DataFrame:
    """The mean over several runs of a metric over time, and Welch's moving average of it.

    Parameters
    ----------
    metric : str
        A column of `Run.timeline`, such as ModelLatency, Concurrency or Utilization.
    window : int or None
        Periods on either side that the moving average takes in; a twentieth of the run by default.
    every_s : float
        Length of a period [s], a multiple of 60.
    replications, n_jobs, simulate_options
        As for `replicate`.

    Returns
    -------
    DataFrame
        Index time_h, the beginning of each whole period [h]; columns mean and smooth.

    References
    ----------
    Welch, "The statistical analysis of simulation results", in Lavenberg (ed.), Computer Performance Modeling
    Handbook (1983).
    """
    mean = _mean_over_runs(
        welch, deployment, workload, metric, replications, every_s, n_jobs=n_jobs, options=simulate_options
    )
    return _smoothed(mean, window)


@checked
def warm_up(
    deployment: AnyDeployment,
    workload: Workload,
    *,
    metric: Text = "ModelLatency",
    replications: Count = 20,
    every_s: Positive = 60.0,
    n_jobs: Jobs = None,
    **simulate_options: Any,
) -> WarmUp:
    """How many hours to leave out at the beginning: MSER-5 on the mean over several runs.

    The result is a number of hours for `simulate(…, warm_up_hours=…)`, whose own default is to leave nothing out.
    `result.plot()` is the Welch plot to judge it by.

    A workload with a daily wave never becomes steady: there leave out whole days.

    Parameters
    ----------
    metric, every_s, replications, n_jobs, simulate_options
        As for `welch`.  The run should be many times longer than its warm-up, at least 10 periods.
    """
    mean = _mean_over_runs(
        warm_up, deployment, workload, metric, replications, every_s, n_jobs=n_jobs, options=simulate_options
    )
    if len(mean) < 2 * BATCH:
        raise ParameterError(f"warm_up: the run has {len(mean)} periods of {every_s:g} s: it should have at least 10.")
    if mean.isna().any():
        raise ParameterError(
            f"warm_up: {metric} has no value in the period from {mean.index[int(mean.isna().argmax())]:.4g} h on: "
            f"every_s={every_s:g} should be longer."
        )
    cut = mser5(mean.to_numpy())
    enough = cut < BATCH * int(len(mean) // BATCH * MOST_DELETED)
    return WarmUp(
        cut * every_s / 3600, metric=metric, replications=replications, enough=enough, averages=_smoothed(mean, None)
    )


# --- parts -----------------------------------------------------------------------------------------------------------


def _mean_over_runs(
    asked: Callable[..., Any],
    deployment: Any,
    workload: Workload,
    metric: str,
    replications: int,
    every_s: float,
    *,
    n_jobs: int | None,
    options: Options,
) -> pd.Series:
    """Mean of a timeline's column over the runs that have a value, indexed by time [h]."""
    check_options(asked, options)
    owner, numbers = asked.__name__, range(replications)
    reading = _Reading(owner, metric, every_s)
    found = run_each(owner, reading, {"": deployment}, workload, numbers, n_jobs=n_jobs, options=options)
    mean = pd.concat(found[""], axis="columns").mean(axis="columns")
    return mean.set_axis(pd.Index(mean.index / 3600, name="time_h"))


class _Reading:
    """One column of a run's timeline, its whole periods only."""

    def __init__(self, owner: str, metric: str, every_s: float) -> None:
        self.owner, self.metric, self.every_s = owner, metric, every_s

    def __call__(self, run: Run) -> pd.Series:
        timeline = run.timeline(self.every_s)
        if self.metric not in timeline.columns:
            raise ParameterError(
                f"{self.owner}: there is no metric {self.metric!r}; {nearest(self.metric, timeline.columns)}"
            )
        whole = int(run.snapshot.end_s // self.every_s)
        column: pd.Series = timeline[self.metric].iloc[:whole]
        return column


def _smoothed(mean: pd.Series, window: int | None) -> pd.DataFrame:
    window = window or max(1, len(mean) // 20)
    return pd.DataFrame({"mean": mean, "smooth": moving_average(mean.to_numpy(), window)})
