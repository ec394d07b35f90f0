"""What the requests carry: rows of data drawn by time, with their truth, a model's answers, and labels that come late.

    >>> from simlib import monitoring
    >>> stream = monitoring.Stream(monitoring.LoanBook(), label_delay_days=30)
    >>> rows = stream.sample(2, at_day=5, seed=1)
    >>> rows[["income", "purpose", "defaulted"]].values.tolist()
    [[39.18, 'education', 0], [50.7, 'car', 0]]

A row is a pure function of its time and of a few uniform random numbers.  So the same customers come whether or not
anything drifts, and looking at a stream more often never changes it.

The order of things: customers come (and their world may have changed: `shift`, `scale`, `new_category`), the truth is
decided on what they are like, then their data are recorded (and may be recorded wrongly: `unit_factor`, `missing`,
`stuck_at`), and the model answers on what was recorded.
"""

from collections.abc import Callable, Sequence
from dataclasses import field
from functools import cached_property
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import PlainValidator

from simlib.monitoring.drift import BiasDrift, ConceptDrift, DataDrift, Drift
from simlib.monitoring.sources import Source
from simlib.parameters import (
    Count,
    NonNegative,
    ParameterError,
    Positive,
    Share,
    Whole,
    checked,
    config,
    nearest,
    shortly,
)

DAY_S = 86_400.0
_REFERENCE_ROWS = 4_096


def _source(value: object) -> object:
    if not isinstance(value, Source):
        raise ValueError(
            f"source={shortly(value)} is not possible: it should be LoanBook(), FashionShop(), Fraud() or Table(…)."
        )
    return value


def _model(value: object) -> object:
    if value is not None and not callable(value) and not hasattr(value, "predict"):
        raise ValueError(f"model={shortly(value)} should be a fitted estimator, or a function of a frame.")
    return value


@config
class Stream:
    """Rows that requests carry; give it to `Simulation.deploy(…, rows=stream)`.

    Parameters
    ----------
    source : LoanBook, FashionShop, Fraud or Table
        Who comes, and what is true of them.
    drifts : sequence of DataDrift, ConceptDrift, BiasDrift
        What changes, when; they are applied in this order, and `truth` tells of all of them.
    model : fitted classifier, function, or None
        Answers each row: a function gets the frame of inputs and returns scores, shape (n,).  Adds the columns score
        (probability of a positive label) and prediction (1 where the score is at least `threshold`).
    threshold : share
        The cut of the score.
    label_delay_days, label_spread_days : float
        A label comes so long after its row: a fixed time, plus an exponential one of this mean [days].
    label_share : share
        Of the rows whose label ever comes.
    """

    source: Annotated[Any, PlainValidator(_source)]
    drifts: tuple[Drift, ...] = ()
    model: Annotated[Any, PlainValidator(_model)] = field(default=None, kw_only=True)
    threshold: Share = field(default=0.5, kw_only=True)
    label_delay_days: NonNegative = field(default=0.0, kw_only=True)
    label_spread_days: NonNegative = field(default=0.0, kw_only=True)
    label_share: Share = field(default=1.0, kw_only=True)

    def __post_init__(self) -> None:
        for drift in self.drifts:
            self._check(drift)

    def _check(self, drift: Drift) -> None:
        inputs = list(self.source.inputs)
        named = {
            DataDrift: lambda d: [d.column],
            ConceptDrift: lambda d: list(d.pattern or ()),
            BiasDrift: lambda d: [d.facet],
        }[type(drift)](drift)
        for column in named:
            if column not in inputs:
                raise ValueError(f"drifts: {self._name} has no column {column!r}; {nearest(column, inputs)}")
        if isinstance(drift, ConceptDrift) and self.label is None:
            raise ValueError("drifts: a ConceptDrift changes labels, and this source has none; name its target=.")
        if isinstance(drift, BiasDrift) and self.model is None:
            raise ValueError("drifts: a BiasDrift changes a model's answers; give model= too.")
        if isinstance(drift, ConceptDrift) and drift.rotate_degrees is not None and not self.source.rotates:
            raise ValueError(f"drifts: {self._name} has no boundary to rotate; use flip= or pattern=.")
        if isinstance(drift, DataDrift) and drift.of_numbers and not self._is_number(drift.column):
            raise ValueError(f"drifts: {drift.column!r} is no column of numbers; use new_category= or missing=.")
        if isinstance(drift, DataDrift) and drift.of_text and self._is_number(drift.column):
            raise ValueError(f"drifts: {drift.column!r} is a column of numbers; use shift= or another effect.")
        if isinstance(drift, ConceptDrift):
            drift.check_pattern(self._reference)
        if isinstance(drift, BiasDrift):
            self._check_group(drift)

    def _check_group(self, drift: BiasDrift) -> None:
        values = getattr(self.source, "frame", self._reference)[drift.facet].dropna()
        own = [each.new_category for each in self.drifts if isinstance(each, DataDrift) and each.column == drift.facet]
        known = {*values.unique(), *own}
        if drift.value not in known:
            others = sorted(map(str, known - {None}))
            raise ValueError(f"drifts: nobody has {drift.facet}={drift.value!r}; {nearest(drift.value, others[:20])}")

    @property
    def _name(self) -> str:
        return type(self.source).__name__

    def _is_number(self, column: str) -> bool:
        return bool(pd.api.types.is_numeric_dtype(self._reference[column].dtype))

    # --- what it consists of ---

    @property
    def inputs(self) -> tuple[str, ...]:
        """What the model sees."""
        return tuple(self.source.inputs)

    @property
    def outputs(self) -> tuple[str, ...]:
        """What the model says."""
        return ("score", "prediction") if self.model is not None else ()

    @property
    def label(self) -> str | None:
        """The column of the truth, where there is one."""
        label: str | None = self.source.label
        return label

    @property
    def draws(self) -> tuple[int, ...]:
        """Uniform random numbers a row needs: for who comes and their label, and for each drift.

        Each group is to come from a generator of its own, so that one drift more changes nothing else.
        """
        return (self.source.draws + 3, *(2 for _ in self.drifts))

    @cached_property
    def _reference(self) -> pd.DataFrame:
        """Some rows of the first day, before any drift: what "a standard deviation" of a column is."""
        rng = np.random.default_rng(0x5EED)
        days = np.sort(rng.random(_REFERENCE_ROWS))
        frame: pd.DataFrame = self.source.people(days, rng.random((_REFERENCE_ROWS, self.source.draws)), None)
        return frame

    # --- rows ---

    @checked
    def sample(self, n: Count, *, at_day: NonNegative = 0.0, days: Positive = 1.0, seed: Whole = 0) -> pd.DataFrame:
        """*n* rows at random times of [at_day, at_day + days), in order.

        Returns
        -------
        DataFrame
            time_s; the inputs; the label; label_s, when it is known [s], NaN never; with a model score and prediction.
        """
        times = np.sort(at_day + days * np.random.default_rng([seed, 0x71]).random(n)) * DAY_S
        groups = [np.random.default_rng([seed, 0xDA7A, k]).random((n, width)) for k, width in enumerate(self.draws)]
        return self.rows(times, groups)

    def rows(self, times_s: np.ndarray, u: Sequence[np.ndarray], *, chance: bool = False) -> pd.DataFrame:
        """One row for each of *times_s* [s], from groups *u* of uniform numbers, each of shape (n, its draws).

        With *chance*, also a column of that name, which nobody in the story can see: how likely the positive label was.
        """
        days, own = times_s / DAY_S, self.source.draws
        of_drift, of_truth, of_label = u[1:], u[0][:, own], u[0][:, own + 1 :]
        frame = self.source.people(days, u[0][:, :own], self._score if self.model is not None else None)
        for k, drift in enumerate(self.drifts):
            if isinstance(drift, DataDrift) and drift.in_the_world:
                frame = drift.applied(frame, days, of_drift[k], self._reference)
        if self.label is not None:
            likely = self._chance(frame, days)
            frame = frame.assign(**{self.label: (of_truth < likely).astype(int)})
            if chance:
                frame = frame.assign(chance=likely)
        for k, drift in enumerate(self.drifts):
            if isinstance(drift, DataDrift) and not drift.in_the_world:
                frame = drift.applied(frame, days, of_drift[k], self._reference)
        if self.model is not None:
            score = self._score(frame[list(self.inputs)])
            for k, drift in enumerate(self.drifts):
                if isinstance(drift, BiasDrift):
                    score = drift.applied(score, self.threshold, frame, days, of_drift[k])
            frame = frame.assign(score=score, prediction=(score >= self.threshold).astype(int))
        known = times_s + DAY_S * (self.label_delay_days - self.label_spread_days * np.log1p(-of_label[:, 0]))
        known[of_label[:, 1] >= (self.label_share if self.label is not None else 0.0)] = np.nan
        frame.insert(0, "time_s", times_s)
        return frame.assign(label_s=known)

    def _chance(self, frame: pd.DataFrame, days: np.ndarray) -> np.ndarray:
        """How likely a positive label is, as things are on that day."""
        concepts = [drift for drift in self.drifts if isinstance(drift, ConceptDrift)]
        turned = sum((drift.turned(days) for drift in concepts), np.zeros(len(days)))
        chance = self.source.chance(frame, days, turned)
        for drift in concepts:
            chance = drift.applied(chance, frame, days)
        return chance

    def _score(self, inputs: pd.DataFrame) -> np.ndarray:
        return scores(self.model, inputs)

    # --- what is known of it ---

    @checked
    def truth(self, *, days: Positive) -> pd.DataFrame:
        """What changes within *days*: one row a change, in order of its start.

        Columns: drift, what, kind, starts_day, full_day (when it has its whole strength), ends_day (∞: never).
        """
        rows = [
            (type(drift).__name__, drift.what, drift.kind, *when)
            for drift in self.drifts
            for when in drift.changes(days)
        ]
        columns = ["drift", "what", "kind", "starts_day", "full_day", "ends_day"]
        found = pd.DataFrame(rows, columns=columns)
        return found.sort_values("starts_day", kind="stable", ignore_index=True)


def scores(model: Any, inputs: pd.DataFrame) -> np.ndarray:
    """A model's scores of inputs: the probability of a classifier's second class, or what a function says."""
    if not len(inputs):
        return np.empty(0)
    if hasattr(model, "predict_proba"):
        found: Any = model.predict_proba(inputs)[:, 1]
    else:
        answer: Callable[[pd.DataFrame], Any] = model.predict if hasattr(model, "predict") else model
        found = answer(inputs)
    found = np.asarray(found, dtype=float)
    if found.shape != (len(inputs),):
        raise ParameterError(f"model: its answer has shape {found.shape}, and should have one score a row.")
    return np.array(found)
