"""When to train again?  Policies on the simulated clock, turned into money.

Every day customers come, the model of that day decides, and each wrong decision costs.  Labels come late.  In the
evening the policy looks at what is known by then and may order a retraining, which costs, takes its time, and learns
from the labels that have come.  All policies meet the same customers.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pandas as pd
from pydantic import InstanceOf, SkipValidation

from simlib.monitoring.distances import linf_robust
from simlib.monitoring.streams import DAY_S, Stream, scores
from simlib.monitoring.unlabelled import QualityEstimator
from simlib.parameters import Count, NonNegative, ParameterError, Positive, Share, Whole, checked, config, shortly
from simlib.simulation import Simulation

Train = Callable[[pd.DataFrame, pd.Series], Any]


@config
class Costs:
    """What things cost, in US dollars.

    Parameters
    ----------
    wrong_usd : float
        A wrong decision.
    retraining_usd : float
        A retraining, people's time included.
    monitoring_usd_per_day : float
        A day of the monitor a policy needs; `Never` and `Calendar` need none.
    """

    wrong_usd: NonNegative = 1.0
    retraining_usd: NonNegative = 150.0
    monitoring_usd_per_day: NonNegative = 2.0


@dataclass(frozen=True)
class Evening:
    """What a policy may know at the end of a day: no label that has not come yet."""

    day: int
    since_training: int  # days
    reference: pd.DataFrame  # the rows the current model was trained on
    today: pd.DataFrame  # the rows of the last `window` days, without labels
    promised: float  # accuracy when the model was made
    estimated: float  # accuracy estimated without labels
    labelled: pd.DataFrame  # the latest rows whose labels have come


@runtime_checkable
class Policy(Protocol):
    """When to train again."""

    monitors: bool

    def wants(self, evening: Evening) -> bool: ...


@config
class Never:
    """Train once, and hope."""

    monitors = False

    def wants(self, evening: Evening) -> bool:
        """Never."""
        return False


@config
class Calendar:
    """Train every so many days."""

    every_days: Count = 30
    monitors = False

    def wants(self, evening: Evening) -> bool:
        """Whether the day has come."""
        return evening.since_training >= self.every_days


@config
class OnDataAlarm:
    """Train when the inputs drift: when the robust L-infinity of any feature is above *threshold*."""

    threshold: Share = 0.1
    monitors = True

    def wants(self, evening: Evening) -> bool:
        """Whether any feature is too far from what the model was trained on."""
        return any(
            linf_robust(evening.reference[name], evening.today[name]) > self.threshold for name in evening.today.columns
        )


@config
class OnEstimatedLoss:
    """Train when the accuracy estimated without labels has fallen by more than *drop*."""

    drop: Share = 0.03
    monitors = True

    def wants(self, evening: Evening) -> bool:
        """Whether the estimate is too low."""
        return evening.estimated < evening.promised - self.drop


@config
class OnMeasuredLoss:
    """Train when the accuracy on the latest labels has fallen by more than *drop* and *errors* standard errors."""

    drop: Share = 0.0
    errors: NonNegative = 3.0
    monitors = True

    def wants(self, evening: Evening) -> bool:
        """Whether the measured accuracy is too low."""
        n = len(evening.labelled)
        if n < 30:
            return False
        error = np.sqrt(evening.promised * (1 - evening.promised) / n)
        measured = float((evening.labelled["prediction"] == evening.labelled["label"]).mean())
        return bool(measured < evening.promised - self.drop - self.errors * error)


@dataclass
class _Run:
    """One policy at work."""

    stream: Stream
    policy: Policy
    train: Train
    rows_per_day: int
    training_rows: int
    retraining_days: int
    window_days: int
    seed: int
    answered: Stream = field(init=False)  # by the model of the day
    estimator: QualityEstimator = field(default_factory=QualityEstimator)
    reference: pd.DataFrame = field(default_factory=pd.DataFrame)
    promised: float = 0.0
    trained_day: int = 0
    wrong: list[int] = field(default_factory=list)
    trainings: list[int] = field(default_factory=list)
    seen: list[pd.DataFrame] = field(default_factory=list)

    def begin(self, history: pd.DataFrame) -> None:
        self._learn(history)
        self.seen = [history.assign(prediction=np.nan)]

    def story(self, sim: Simulation, days: int) -> Any:
        """Serve a day, look, perhaps retrain; day after day."""
        ready: int | None = None
        for day in range(days):
            if ready == day:
                self._learn(self._known(day * DAY_S))
                self.trained_day, ready = day, None
            yield sim.env.timeout(DAY_S)
            self._serve(day)
            if ready is None and day + 1 < days and self.policy.wants(self._evening(day)):
                self.trainings.append(day)
                ready = day + 1 + self.retraining_days

    def _serve(self, day: int) -> None:
        rows = self.answered.sample(self.rows_per_day, at_day=day, seed=self.seed + day)
        self.wrong.append(int((rows["prediction"] != rows[self.stream.label]).sum()))
        self.seen.append(rows)

    def _learn(self, rows: pd.DataFrame) -> None:
        """Fit on four fifths, and measure on the rest what the model promises."""
        inputs, label = list(self.stream.inputs), str(self.stream.label)
        test = np.arange(len(rows)) % 5 == 0
        if rows.loc[~test, label].nunique() < 2:
            raise ParameterError(
                f"compare_policies: the {len(rows)} rows to learn from have one label only; take more training_rows."
            )
        model = self.train(rows.loc[~test, inputs], rows.loc[~test, label])
        if model is None:
            raise ParameterError("compare_policies: train returned None, and should return the fitted model.")
        self.answered = replace(self.stream, model=model)
        told = scores(self.answered.model, rows.loc[test, inputs])
        y = rows.loc[test, label].to_numpy(dtype=float)
        self.promised = float(((told >= self.stream.threshold) == (y == 1)).mean())
        self.estimator = QualityEstimator.fit(y, np.clip(told, 0, 1), threshold=self.stream.threshold)
        self.reference = rows[inputs]

    def _known(self, now_s: float) -> pd.DataFrame:
        """The latest rows whose labels have come."""
        rows = pd.concat(self.seen, ignore_index=True)
        return rows[rows["label_s"] <= now_s].tail(self.training_rows).reset_index(drop=True)

    def _evening(self, day: int) -> Evening:
        now = (day + 1) * DAY_S
        recent = pd.concat(self.seen[1:][-self.window_days :], ignore_index=True)
        # answers of the model before say nothing of this one
        own = pd.concat(self.seen[1 + self.trained_day :], ignore_index=True)
        labelled = own[own["label_s"] <= now].tail(self.window_days * self.rows_per_day)
        return Evening(
            day=day,
            since_training=day + 1 - self.trained_day,
            reference=self.reference,
            today=recent[list(self.stream.inputs)],
            promised=self.promised,
            estimated=self.estimator.estimate(np.clip(recent["score"], 0, 1))["accuracy"],
            labelled=labelled.assign(label=labelled[self.stream.label])[["prediction", "label"]],
        )


@checked
def compare_policies(
    stream: InstanceOf[Stream],
    policies: SkipValidation[dict[str, Policy]],
    *,
    train: SkipValidation[Train] | None = None,
    days: Count = 60,
    rows_per_day: Count = 200,
    training_rows: Count = 2000,
    retraining_days: Whole = 1,
    window_days: Count = 3,
    costs: Costs | None = None,
    seed: Whole = 0,
) -> pd.DataFrame:
    """What each policy costs on the same customers.

    Parameters
    ----------
    stream : Stream
        Without a model; its drifts are what the policies have to cope with, its label delay what they suffer from.
    policies : dict of name to Never, Calendar, OnDataAlarm, OnEstimatedLoss or OnMeasuredLoss
    train : function of inputs and labels
        Returns a fitted model; None: `logistic`.
    days, rows_per_day : int
        How long, and how many customers a day.
    training_rows : int
        A model learns from so many of the latest labelled rows (the first from as many before day 0, without drift).
    retraining_days : int
        From the order to the new model.
    window_days : int
        What a policy looks at in the evening.

    Returns
    -------
    DataFrame
        One row a policy: wrong (decisions), accuracy, retrainings, wrong_usd, retraining_usd, monitoring_usd, usd.
        `attrs["daily"]`: a frame of the accuracy a day, one column a policy.
    """
    _check_compared(stream, policies)
    prices = costs or Costs()
    sim = Simulation(seed)
    history = replace(stream, drifts=(), label_delay_days=0.0, label_spread_days=0.0, label_share=1.0).sample(
        training_rows, seed=seed + 1_000_003
    )
    history["time_s"] = history["label_s"] = -1.0
    runs = {}
    for name, policy in policies.items():
        run = _Run(stream, policy, train or logistic, rows_per_day, training_rows, retraining_days, window_days, seed)
        run.begin(history)
        runs[name] = run
        sim.start(run.story(sim, days))
    sim.run(days=days + 1, progress=False)
    table = pd.DataFrame.from_dict(
        {name: _priced(run, prices, days, rows_per_day) for name, run in runs.items()}, orient="index"
    )
    table.index.name = "policy"
    table.attrs["daily"] = pd.DataFrame({name: 1 - np.array(run.wrong) / rows_per_day for name, run in runs.items()})
    table.attrs["trainings"] = {name: run.trainings for name, run in runs.items()}
    return table


def _check_compared(stream: Stream, policies: object) -> None:
    if stream.label is None or stream.model is not None:
        raise ParameterError("compare_policies: stream should have labels and no model; the policies make theirs.")
    if not isinstance(policies, dict) or not policies:
        raise ParameterError(
            "compare_policies: policies should be a dict of names to policies, such as {'never': Never()}."
        )
    for policy in policies.values():
        if isinstance(policy, type) or not isinstance(policy, Policy):
            raise ParameterError(
                f"compare_policies: policies holds {shortly(policy)}; write for instance Calendar(30)."
            )


def _priced(run: _Run, costs: Costs, days: int, rows_per_day: int) -> dict[str, float]:
    wrong, times = sum(run.wrong), len(run.trainings)
    parts = {
        "wrong_usd": costs.wrong_usd * wrong,
        "retraining_usd": costs.retraining_usd * times,
        "monitoring_usd": costs.monitoring_usd_per_day * days * run.policy.monitors,
    }
    rest = {"wrong": wrong, "accuracy": 1 - wrong / (days * rows_per_day), "retrainings": times}
    return rest | parts | {"usd": sum(parts.values())}


@checked
def logistic(inputs: SkipValidation[pd.DataFrame], labels: SkipValidation[Any]) -> Any:
    """A logistic regression on standardised numbers and one-hot categories; missing numbers become the median."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = [name for name in inputs.columns if pd.api.types.is_numeric_dtype(inputs[name])]
    words = [name for name in inputs.columns if name not in numbers]
    columns = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numbers),
            ("words", OneHotEncoder(handle_unknown="ignore"), words),
        ]
    )
    return make_pipeline(columns, LogisticRegression(max_iter=1000)).fit(inputs, np.asarray(labels, dtype=int))


# --- thresholds -------------------------------------------------------------------------------------------------------


@checked
def alarm_curve(
    quiet: SkipValidation[Any],
    drifting: SkipValidation[Any],
    *,
    thresholds: Sequence[float] | None = None,
    every_hours: Positive = 24.0,
) -> pd.DataFrame:
    """Detection delay against false alarms, for each threshold on a monitor's metric.

    Parameters
    ----------
    quiet : array, shape (runs, looks)
        The metric at each look, without drift.
    drifting : array, shape (runs, looks)
        The same from the drift's beginning on.
    thresholds : sequence of float or None
        An alarm is a value above; None: thirty quantiles of all values.
    every_hours : float
        Between two looks [h].

    Returns
    -------
    DataFrame
        By threshold: false_alarms_per_week; delay_days, the mean time to the first alarm among the runs that had one
        (NaN if none had); missed, the share of runs without.
    """
    still, moved = (_looks(values, name) for values, name in ((quiet, "quiet"), (drifting, "drifting")))
    if thresholds is None:
        thresholds = np.unique(np.quantile(np.r_[still.ravel(), moved.ravel()], np.linspace(0.01, 0.99, 30))).tolist()
    rows = []
    for threshold in thresholds:
        rings = moved > threshold
        found = rings.any(axis=1)
        delay = (rings.argmax(axis=1)[found] + 1).mean() * every_hours / 24 if found.any() else np.nan
        rows.append((threshold, float((still > threshold).mean()) * 168 / every_hours, delay, 1 - found.mean()))
    return pd.DataFrame(rows, columns=["threshold", "false_alarms_per_week", "delay_days", "missed"]).set_index(
        "threshold"
    )


def _looks(values: Any, name: str) -> np.ndarray:
    found = np.asarray(values, dtype=float)
    if found.ndim != 2 or not found.size or not np.isfinite(found).all():
        raise ParameterError(f"alarm_curve: {name} should be finite numbers of shape (runs, looks).")
    return found
