"""What one inference costs: a law of its duration, and the model's size, memory and load time.

A law is given by its mean and its coefficient of variation (CV = standard deviation / mean), never by a sigma on some
other scale, so what is written is what is drawn:

    >>> import numpy as np
    >>> translator = ModelProfile("translator", lognormal(mean=0.080, cv=0.4), size_mb=450, load_seconds=8)
    >>> draws = translator.service.sample(100_000, np.random.default_rng(1))
    >>> round(float(draws.mean()), 3), round(float(draws.std() / draws.mean()), 2)
    (0.08, 0.4)

Every law takes its randomness from the generator it is handed and from nowhere else.  The simple laws draw number by
number: drawing n and then m numbers gives the same bytes as drawing n + m at once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from simlib.columns import NumberColumn
from simlib.parameters import (
    Flag,
    NonNegative,
    ParameterError,
    Positive,
    Text,
    checked,
    config,
    nearest,
)

__all__ = [
    "Law",
    "ModelProfile",
    "constant",
    "empirical",
    "exponential",
    "gamma",
    "lognormal",
    "mixture",
    "per_unit",
    "uniform",
]

Work = Mapping[str, np.ndarray]


# --- laws -----------------------------------------------------------------------------------------------------------


class Law:
    """The law of a duration in seconds, never negative.

    Attributes
    ----------
    mean : float
        Expected duration [s].
    cv : float
        Coefficient of variation, standard deviation / mean [1].
    """

    if TYPE_CHECKING:  # a law has these as fields where it is given by them, and works them out where it is not

        @property
        def mean(self) -> float: ...
        @property
        def cv(self) -> float: ...

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """*n* independent durations [s], shape (n,), float64."""
        raise NotImplementedError

    def durations(self, n: int, rng: np.random.Generator, work: Work | None = None) -> np.ndarray:
        """Durations [s] of *n* requests whose work columns are *work*, each of shape (n,).

        Only `per_unit` (and a mixture that holds one) looks at the work.
        """
        return self.sample(n, rng)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Let a parameter that wants a law say so in our words; each kind of law checks itself as usual."""
        if cls is Law:
            return core_schema.with_info_plain_validator_function(_law)
        return handler(source)


def _law(value: object, info: core_schema.ValidationInfo) -> Law:
    if isinstance(value, Law):
        return value
    name = f"{info.field_name}={value!r}" if info.field_name else repr(value)
    raise ValueError(f"{name} is not a law of a duration; write for instance sl.lognormal(mean=0.08, cv=0.4).")


@config
class Constant(Law):
    """Always the same duration."""

    value: NonNegative

    @cached_property
    def mean(self) -> float:
        return self.value

    @cached_property
    def cv(self) -> float:
        return 0.0

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        return np.full(n, self.value)


@config
class Exponential(Law):
    """Memoryless: density exp(-x / mean) / mean."""

    mean: Positive

    @cached_property
    def cv(self) -> float:
        return 1.0

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        drawn = rng.standard_exponential(n)
        drawn *= self.mean
        return drawn


@config
class Lognormal(Law):
    """exp(m + s·Z) with s² = ln(1 + cv²), m = ln(mean) - s²/2 and Z standard normal."""

    mean: Positive
    cv: NonNegative

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        variance = np.log1p(self.cv**2)
        drawn = rng.standard_normal(n)
        drawn *= np.sqrt(variance)
        drawn += np.log(self.mean) - variance / 2
        return np.exp(drawn, out=drawn)


@config
class Gamma(Law):
    """Gamma of shape 1/cv² and scale mean·cv²."""

    mean: Positive
    cv: Positive

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        drawn = rng.standard_gamma(self.cv**-2, n)
        drawn *= self.mean * self.cv**2
        return drawn


@config
class Uniform(Law):
    """Equally likely anywhere between low and high."""

    low: NonNegative
    high: Positive

    def __post_init__(self) -> None:
        if self.high <= self.low:
            raise ValueError(f"high={self.high:g} should be greater than low={self.low:g}.")

    @cached_property
    def mean(self) -> float:
        return (self.low + self.high) / 2

    @cached_property
    def cv(self) -> float:
        return (self.high - self.low) / np.sqrt(12) / self.mean

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        drawn = rng.random(n)
        drawn *= self.high - self.low
        drawn += self.low
        return drawn


@config
class Empirical(Law):
    """One of the measured durations, each as likely as another."""

    samples: NumberColumn

    @cached_property
    def mean(self) -> float:
        return float(self.samples.values.mean())

    @cached_property
    def cv(self) -> float:
        return float(self.samples.values.std()) / self.mean if self.mean else 0.0

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        return self.samples.values[rng.integers(len(self.samples), size=n)]


@config
class Mixture(Law):
    """Each duration follows one of several laws, law k with probability weights[k] / Σ weights."""

    laws: tuple[Law, ...]
    weights: tuple[NonNegative, ...]

    def __post_init__(self) -> None:
        if len(self.laws) != len(self.weights):
            raise ValueError(f"there should be one weight for each law, not {len(self.weights)} for {len(self.laws)}.")
        if not sum(self.weights) > 0:
            raise ValueError(f"weights={list(self.weights)} should hold a number greater than 0.")

    @cached_property
    def _shares(self) -> np.ndarray:
        return np.array(self.weights) / sum(self.weights)

    @cached_property
    def mean(self) -> float:
        return float(sum(share * law.mean for share, law in zip(self._shares, self.laws, strict=True)))

    @cached_property
    def cv(self) -> float:
        parts = zip(self._shares, self.laws, strict=True)
        square = float(sum(share * law.mean**2 * (1 + law.cv**2) for share, law in parts))
        return float(np.sqrt(max(0.0, square - self.mean**2))) / self.mean if self.mean else 0.0

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        return self.durations(n, rng)

    def durations(self, n: int, rng: np.random.Generator, work: Work | None = None) -> np.ndarray:
        chosen = np.searchsorted(np.cumsum(self._shares[:-1]), rng.random(n), side="right")
        drawn = np.empty(n)
        for number, law in enumerate(self.laws):
            places = np.flatnonzero(chosen == number)
            part = None if work is None else {name: column[places] for name, column in work.items()}
            drawn[places] = law.durations(len(places), rng, part)
        return drawn


@config
class PerUnit(Law):
    """base_s + Σ s_per_unit[c]·work[c], times a lognormal noise of mean 1."""

    base_s: NonNegative
    s_per_unit: Mapping[Text, NonNegative]
    noise_cv: NonNegative = 0.0

    def __post_init__(self) -> None:
        if not self.s_per_unit:
            raise ValueError("s_per_unit={} should name at least one work column.")

    @cached_property
    def mean(self) -> float:
        raise ParameterError("per_unit has no mean of its own: its durations follow the workload's work columns.")

    @cached_property
    def cv(self) -> float:
        raise ParameterError("per_unit has no cv of its own: its durations follow the workload's work columns.")

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        return self.durations(n, rng)

    def durations(self, n: int, rng: np.random.Generator, work: Work | None = None) -> np.ndarray:
        total = np.full(n, self.base_s)
        for name, seconds in self.s_per_unit.items():
            if name not in (work or {}):
                raise ParameterError(_no_column(name, list(work or {})))
            total += seconds * (work or {})[name]
        if self.noise_cv:
            total *= Lognormal(1.0, self.noise_cv).sample(n, rng)
        return total


def _no_column(name: str, carried: list[str]) -> str:
    if not carried:
        return f"per_unit needs the work column {name!r}, and this workload carries none; see from_trace(…, work=[…])."
    return f"per_unit needs the work column {name!r}, which this workload does not carry; {nearest(name, carried)}"


# --- the public way to make them ------------------------------------------------------------------------------------


@checked
def constant(value: NonNegative) -> Law:
    """Always *value* seconds (at least 0)."""
    return Constant(value)


@checked
def exponential(mean: Positive) -> Law:
    """Exponential law of *mean* seconds; its CV is 1."""
    return Exponential(mean)


@checked
def lognormal(mean: Positive, cv: NonNegative) -> Law:
    """Lognormal law of *mean* seconds and coefficient of variation *cv*: right-skewed, as most service times are."""
    return Lognormal(mean, cv)


@checked
def gamma(mean: Positive, cv: Positive) -> Law:
    """Gamma law of *mean* seconds and coefficient of variation *cv*; cv = 1/√k is the sum of k exponentials."""
    return Gamma(mean, cv)


@checked
def uniform(low: NonNegative, high: Positive) -> Law:
    """Uniform law between *low* and *high* seconds; its CV is (high - low) / (√12 · mean)."""
    return Uniform(low, high)


@checked
def empirical(samples: Any) -> Law:
    """Draw again from measured durations.

    Parameters
    ----------
    samples : sequence of float, shape (n,)
        Measured durations [s], each at least 0.
    """
    return Empirical(samples)


@checked
def mixture(laws: Sequence[Law], weights: Sequence[NonNegative]) -> Law:
    """Follow law k with probability weights[k] / Σ weights; for instance a fast path and a slow one.

    The bytes drawn depend on how many are drawn at once, unlike those of the simple laws.
    """
    return Mixture(tuple(laws), tuple(weights))


@checked
def per_unit(base_s: NonNegative, s_per_unit: Mapping[Text, NonNegative], noise_cv: NonNegative = 0.0) -> Law:
    """Durations that follow the work each request brings, from a trace's work columns.

    A request takes base_s + Σ s_per_unit[c]·work[c] seconds, times a lognormal noise of mean 1.

    Parameters
    ----------
    base_s : float
        Seconds that every request takes.
    s_per_unit : mapping of column name to float
        Seconds for each unit of a work column, e.g. ``{"ContextTokens": 0.0002, "GeneratedTokens": 0.02}``.
    noise_cv : float
        Coefficient of variation of the noise [1]; 0 means none.

    Raises
    ------
    ParameterError
        When durations are drawn for a workload that does not carry a column named here.
    """
    return PerUnit(base_s, s_per_unit, noise_cv)


# --- the model ------------------------------------------------------------------------------------------------------


@config
class ModelProfile:
    """A model as a deployment sees it: how long it works on a request, and how heavy it is.

    Parameters
    ----------
    name : str
        What to call it.
    service : Law
        Time one request keeps a worker busy, on the deployment's own hardware [s].
    size_mb : float
        Size of the model artifact, downloaded when an instance or container starts [MB].
    load_seconds : float
        Time to load the artifact into memory once it is there [s].
    memory_mb : float
        Memory the loaded model needs [MB].
    request_kb, response_kb : float
        Size of one request and of one answer [kB].
    needs_gpu : bool
        Whether it runs only on an accelerator.
    """

    name: Text
    service: Law
    size_mb: Positive = field(default=100.0, kw_only=True)
    load_seconds: NonNegative = field(default=0.0, kw_only=True)
    memory_mb: Positive = field(default=500.0, kw_only=True)
    request_kb: NonNegative = field(default=1.0, kw_only=True)
    response_kb: NonNegative = field(default=1.0, kw_only=True)
    needs_gpu: Flag = field(default=False, kw_only=True)

    @classmethod
    @checked
    def calibrate(cls, log: pd.DataFrame, name: Text) -> Self:
        """The profile whose service law is what a log of real requests measured.

        Parameters
        ----------
        log : pandas.DataFrame
            One row a request, with ``service_s``, or with ``start_s`` and ``finish_s`` [s].  Where it has a column
            ``status`` only the rows that say "completed" count; rows without a duration (NaN) never do.
        name : str
            What to call the model.

        Raises
        ------
        ParameterError
            If the columns are missing or not numbers, no request was completed, or one finished before it started.
        """
        return cls(name, Empirical(_measured(log)))


def _measured(log: pd.DataFrame) -> Any:
    """The durations [s] of the completed requests of *log*."""
    if "status" in log:
        log = log[log["status"] == "completed"]
    if "service_s" in log:
        durations = _seconds(log, "service_s")
    else:
        durations = _seconds(log, "finish_s") - _seconds(log, "start_s")
    durations = durations[~np.isnan(durations)]
    if not durations.size:
        raise ParameterError("calibrate: log holds no completed request; it needs at least one row with a duration.")
    if (durations < 0).any():
        worst = float(durations.min())
        raise ParameterError(f"calibrate: a request in log took {worst:g} s; none should finish before it started.")
    return durations


def _seconds(log: pd.DataFrame, column: str) -> np.ndarray:
    if column not in log:
        known = nearest(column, [str(name) for name in log.columns])
        raise ParameterError(f"calibrate: log has neither 'service_s' nor {column!r}; {known}")
    try:
        return log[column].to_numpy(dtype=np.float64)
    except (TypeError, ValueError):
        raise ParameterError(f"calibrate: the column {column!r} of log should hold seconds as numbers.") from None
