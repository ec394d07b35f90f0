"""What changes, when, and how much: drift put into a stream on purpose, so that who looks for it can be judged.

    >>> from simlib import monitoring
    >>> drift = monitoring.DataDrift("income", shift=1.0, at_day=10, kind="gradual", over_days=5)
    >>> [round(float(share), 2) for share in drift.level([9, 10, 12.5, 15, 40])]
    [0.0, 0.0, 0.5, 1.0, 1.0]

Four ways of coming (Gama et al., A survey on concept drift adaptation, 2014):

- *sudden*: all at once, at `at_day`;
- *gradual*: over `over_days` ever more rows are of the new kind, the others of the old one;
- *incremental*: over `over_days` every row changes ever more;
- *recurring*: on and off, half of each `period_days`.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from pydantic import Field

from simlib.parameters import NonNegative, Positive, Real, Share, Text, config

Kind = Literal["sudden", "gradual", "incremental", "recurring"]
Degrees = Annotated[Real, Field(ge=-180, le=180)]
Scale = Annotated[Real, Field(gt=0)]


class _Coming:
    """How a change comes and goes; the fields are those of each kind of drift."""

    at_day: float
    kind: Kind
    over_days: float
    period_days: float
    until_day: float | None

    def _check_times(self) -> None:
        if self.until_day is not None and self.until_day <= self.at_day:
            raise ValueError(f"until_day={self.until_day:g} should be greater than at_day={self.at_day:g}.")

    def level(self, days: ArrayLike) -> np.ndarray:
        """How far the change has come at each of *days*: 0 not begun, 1 in full."""
        since = np.asarray(days, dtype=float) - self.at_day
        if self.kind == "sudden":
            come = np.ones_like(since)
        elif self.kind == "recurring":
            come = (np.mod(since, self.period_days) < self.period_days / 2).astype(float)
        else:
            come = np.clip(since / self.over_days, 0.0, 1.0)
        over = np.inf if self.until_day is None else self.until_day - self.at_day
        return np.where((since >= 0) & (since < over), come, 0.0)

    def strength(self, days: np.ndarray, u: np.ndarray, share: float) -> np.ndarray:
        """How much of the change each row has, if *share* of the rows is concerned; *u* are uniform numbers."""
        level = self.level(days)
        if self.kind == "incremental":
            return np.where(u < share, level, 0.0)
        return (u < share * level).astype(float)

    def changes(self, days: float) -> Iterator[tuple[float, float, float]]:
        """(starts, is full, ends) [days] of each time it comes within *days*."""
        end = math.inf if self.until_day is None else self.until_day
        if self.kind != "recurring":
            if self.at_day < days:
                yield self.at_day, self.at_day + (0.0 if self.kind == "sudden" else self.over_days), end
            return
        start = self.at_day
        while start < min(days, end):
            yield start, start, min(start + self.period_days / 2, end)
            start += self.period_days


def _exactly_one(kind: str, effects: Mapping[str, Any]) -> None:
    given = [name for name, value in effects.items() if value is not None]
    if len(given) != 1:
        raise ValueError(f"give exactly one of {', '.join(effects)}; this {kind} gives {len(given)}.")


def _possible(changed: np.ndarray, before: pd.Series) -> np.ndarray:
    """The values as such a column can hold them."""
    if pd.api.types.is_integer_dtype(before.dtype):
        changed = np.rint(changed)
        changed = changed.astype(int) if np.isfinite(changed).all() else changed  # none may be missing
    return np.maximum(changed, 0) if before.min() >= 0 else changed


@config
class DataDrift(_Coming):
    """A column of the data changes.  Give one effect.

    Changed customers (`shift`, `scale`) stay possible ones: whole numbers stay whole, and what was never below zero
    stops at zero.

    Parameters
    ----------
    column : str
        Which one.
    shift : float
        Values move by so many standard deviations (of the first day).
    scale : float
        Values spread so many times as far about their mean.
    new_category : str
        A value never seen before, in *share* of the rows; of a column of text.
    unit_factor : float
        Values are recorded in another unit: times this (thousands for ones: 0.001).
    missing : share
        So many rows lose their value.
    stuck_at : float
        A broken sensor: it reports this number whatever is true.
    share : share
        Of the rows concerned.
    at_day, until_day : float
        When it begins, and when all is as before (None: never) [days since the start].
    kind : "sudden" | "gradual" | "incremental" | "recurring"
        How it comes.
    over_days, period_days : float
        How long a gradual or incremental change takes; how often a recurring one comes [days].
    """

    column: Text
    shift: Real | None = field(default=None, kw_only=True)
    scale: Scale | None = field(default=None, kw_only=True)
    new_category: Text | None = field(default=None, kw_only=True)
    unit_factor: Scale | None = field(default=None, kw_only=True)
    missing: Share | None = field(default=None, kw_only=True)
    stuck_at: Real | None = field(default=None, kw_only=True)
    share: Share = field(default=1.0, kw_only=True)
    at_day: NonNegative = field(default=0.0, kw_only=True)
    until_day: Positive | None = field(default=None, kw_only=True)
    kind: Kind = field(default="sudden", kw_only=True)
    over_days: Positive = field(default=7.0, kw_only=True)
    period_days: Positive = field(default=7.0, kw_only=True)

    def __post_init__(self) -> None:
        names = ("shift", "scale", "new_category", "unit_factor", "missing", "stuck_at")
        _exactly_one("drift", {name: getattr(self, name) for name in names})
        self._check_times()

    @property
    def in_the_world(self) -> bool:
        """Whether customers have changed, and not only what is recorded of them."""
        return self.unit_factor is None and self.missing is None and self.stuck_at is None

    @property
    def of_numbers(self) -> bool:
        """Whether only a column of numbers can change so."""
        return self.new_category is None and self.missing is None

    @property
    def of_text(self) -> bool:
        """Whether only a column of text can change so."""
        return self.new_category is not None

    @property
    def what(self) -> str:
        """The change in a few words."""
        if self.shift is not None:
            return f"{self.column}: {self.shift:+g} standard deviations"
        if self.scale is not None:
            return f"{self.column}: spread × {self.scale:g}"
        if self.new_category is not None:
            return f"{self.column}: new value {self.new_category!r} in {100 * self.share:g} %"
        if self.unit_factor is not None:
            return f"{self.column}: recorded × {self.unit_factor:g}"
        if self.missing is not None:
            return f"{self.column}: {100 * self.missing:g} % missing"
        return f"{self.column}: stuck at {self.stuck_at:g}"

    def applied(self, frame: pd.DataFrame, days: np.ndarray, u: np.ndarray, reference: pd.DataFrame) -> pd.DataFrame:
        """*frame* with the change; *u* are uniform numbers of shape (n, 2)."""
        values = frame[self.column]
        if self.missing is not None:
            lost = u[:, 1] < self.missing * self.strength(days, u[:, 0], self.share)
            return frame.assign(**{self.column: values.where(~lost)})
        strength = self.strength(days, u[:, 0], self.share)
        if self.new_category is not None:
            new = u[:, 1] < strength
            return frame.assign(**{self.column: np.where(new, self.new_category, values.to_numpy(object))})
        x = values.to_numpy(dtype=float)
        before = reference[self.column]
        if self.shift is not None:
            changed = _possible(x + self.shift * float(before.std(ddof=0)) * strength, before)
        elif self.scale is not None:
            changed = _possible(x + (self.scale - 1) * strength * (x - float(before.mean())), before)
        elif self.unit_factor is not None:
            changed = np.where(strength > 0, x * (1 + (self.unit_factor - 1) * strength), x)
        else:
            changed = np.where(strength > 0, x + strength * (float(self.stuck_at or 0.0) - x), x)
        return frame.assign(**{self.column: changed})


@config
class ConceptDrift(_Coming):
    """What is true of the same customer changes.  Give one effect; in full it holds for all rows.

    Parameters
    ----------
    rotate_degrees : float
        The boundary between the classes turns by this angle in the plane of the source's two main features.
    flip : share
        The chance p of a positive label becomes p + flip (1 − 2 p): as if so many labels were the other way round.
    pattern : dict of column to (low, high) or to a list of values, with *positive*
        Rows that are so in all columns are positive with the chance *positive* from then on: a new fraud, say.
    positive : share
        See pattern.
    at_day, until_day, kind, over_days, period_days
        As of `DataDrift`.
    """

    rotate_degrees: Degrees | None = field(default=None, kw_only=True)
    flip: Share | None = field(default=None, kw_only=True)
    pattern: dict[str, tuple[Real, Real] | list[str]] | None = field(default=None, kw_only=True)
    positive: Share = field(default=0.9, kw_only=True)
    at_day: NonNegative = field(default=0.0, kw_only=True)
    until_day: Positive | None = field(default=None, kw_only=True)
    kind: Kind = field(default="sudden", kw_only=True)
    over_days: Positive = field(default=7.0, kw_only=True)
    period_days: Positive = field(default=7.0, kw_only=True)

    def __post_init__(self) -> None:
        _exactly_one("drift", {name: getattr(self, name) for name in ("rotate_degrees", "flip", "pattern")})
        if self.pattern == {}:
            raise ValueError("pattern is empty, so it would be every row; name a column, or use flip=.")
        self._check_times()

    @property
    def what(self) -> str:
        """The change in a few words."""
        if self.rotate_degrees is not None:
            return f"boundary turns by {self.rotate_degrees:g}°"
        if self.flip is not None:
            return f"{100 * self.flip:g} % of the labels the other way round"
        return f"{100 * self.positive:g} % positive where {self.pattern}"

    def turned(self, days: np.ndarray) -> np.ndarray:
        """By how many degrees the boundary has turned."""
        return (self.rotate_degrees or 0.0) * self.level(days)

    def applied(self, chance: np.ndarray, frame: pd.DataFrame, days: np.ndarray) -> np.ndarray:
        """The chances of a positive label after the change (of a rotation they are changed already)."""
        level = self.level(days)
        if self.flip is not None:
            return chance + self.flip * level * (1 - 2 * chance)
        if self.pattern is not None:
            level = level * self._such(frame)
            return chance + level * (self.positive - chance)
        return chance

    def check_pattern(self, known: pd.DataFrame) -> None:
        """Whether the columns of *known* rows can be as the pattern wants them.

        Raises
        ------
        ValueError
            If one cannot.
        """
        for column, wanted in (self.pattern or {}).items():
            numbers = pd.api.types.is_numeric_dtype(known[column].dtype)
            if isinstance(wanted, tuple) and not numbers:
                raise ValueError(f"drifts: {column!r} holds no numbers; its pattern should be a list of values.")
            if isinstance(wanted, tuple) and wanted[0] > wanted[1]:
                raise ValueError(
                    f"drifts: the pattern of {column!r} should be (low, high), and {wanted[0]:g} is higher."
                )
            if isinstance(wanted, list) and numbers:
                raise ValueError(f"drifts: {column!r} holds numbers; its pattern should be (low, high).")

    def _such(self, frame: pd.DataFrame) -> np.ndarray:
        such = np.ones(len(frame), dtype=bool)
        for column, wanted in (self.pattern or {}).items():
            values = frame[column]
            such &= (values.between(*wanted) if isinstance(wanted, tuple) else values.isin(wanted)).to_numpy(dtype=bool)
        return such


@config
class BiasDrift(_Coming):
    """What the model says of one group changes: its quality, or how many are selected.  Give one effect.

    Parameters
    ----------
    facet, value : str
        The group: rows whose column *facet* is *value*.
    quality : share
        So many of the group's answers are the wrong way round (its accuracy A becomes A + quality (1 − 2 A)).
    selection : share
        So many of the group's positive answers become negative (its share of positives falls to 1 − selection of it).
    at_day, until_day, kind, over_days, period_days
        As of `DataDrift`.
    """

    facet: Text
    value: Text
    quality: Share | None = field(default=None, kw_only=True)
    selection: Share | None = field(default=None, kw_only=True)
    at_day: NonNegative = field(default=0.0, kw_only=True)
    until_day: Positive | None = field(default=None, kw_only=True)
    kind: Kind = field(default="sudden", kw_only=True)
    over_days: Positive = field(default=7.0, kw_only=True)
    period_days: Positive = field(default=7.0, kw_only=True)

    def __post_init__(self) -> None:
        _exactly_one("drift", {"quality": self.quality, "selection": self.selection})
        self._check_times()

    @property
    def what(self) -> str:
        """The change in a few words."""
        if self.quality is not None:
            return f"{self.facet}={self.value}: {100 * self.quality:g} % of the answers the wrong way round"
        return f"{self.facet}={self.value}: {100 * (self.selection or 0):g} % fewer positive answers"

    def applied(
        self, score: np.ndarray, threshold: float, frame: pd.DataFrame, days: np.ndarray, u: np.ndarray
    ) -> np.ndarray:
        """The scores after the change: a changed answer's score lies on the other side of the threshold."""
        share = self.quality if self.quality is not None else self.selection
        of_group = (frame[self.facet] == self.value).to_numpy(dtype=bool)
        concerned = of_group & (u[:, 0] < (share or 0.0) * self.level(days))
        if self.selection is not None:
            concerned &= score >= threshold
        accepted = score >= threshold
        below = threshold * (1 - score) / max(1 - threshold, 1e-9)  # mirrored about the threshold, 1 to 0
        above = 1 - (1 - threshold) * score / max(threshold, 1e-9)
        return np.where(concerned, np.where(accepted, np.minimum(below, np.nextafter(threshold, 0)), above), score)


Drift = DataDrift | ConceptDrift | BiasDrift
