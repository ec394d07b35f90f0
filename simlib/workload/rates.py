"""Workloads with a rate: independent requests, the wave of a day, calm and bursts in turn."""

import dataclasses
from collections.abc import Iterator
from dataclasses import field
from functools import cached_property
from typing import Annotated

import numpy as np
from pydantic import Field

from simlib.parameters import NonNegative, Positive, Real, Text, checked, config
from simlib.workload.blocks import BLOCK, Block, child, in_order, sums_of_gaps
from simlib.workload.stream import DAY_S, Workload

PeakToMean = Annotated[Real, Field(ge=1, le=2)]
Hour = Annotated[Real, Field(ge=0, lt=24)]


@config
class Poisson(Workload):
    """Independent requests at a constant rate: exponential gaps of mean 1/rate."""

    rate: Positive
    name: Text = field(default="poisson", kw_only=True)

    def blocks(self, rng: np.random.Generator) -> Iterator[Block]:
        for times in sums_of_gaps(rng, 1 / self.rate):
            yield Block(times, {})

    def _expected_until(self, time_s: float) -> float:
        return self.rate * time_s

    def _scaled(self, factor: float) -> Workload:
        return dataclasses.replace(self, rate=self.rate * factor)


@checked
def poisson(rate: Positive, *, name: Text = "poisson") -> Workload:
    """Independent requests, *rate* a second on average: what many users who know nothing of each other make.

    Gaps are exponential of mean 1/rate; the index of dispersion (variance / mean of counts) is 1 in any window.
    """
    return Poisson(rate, name=name)


@config
class Diurnal(Workload):
    """A Poisson process whose rate follows the hour of the day; see `diurnal`."""

    mean_rate: Positive
    peak_to_mean: PeakToMean = field(default=1.8, kw_only=True)
    peak_hour: Hour = field(default=20.0, kw_only=True)
    name: Text = field(default="diurnal", kw_only=True)

    @cached_property
    def _day(self) -> tuple[np.ndarray, np.ndarray]:
        """Each minute's edge [s], and the expected number of arrivals since midnight there; shape (1441,) each."""
        edges = np.arange(0, DAY_S + 60, 60)
        angle = 2 * np.pi * ((edges[:-1] + 30) / DAY_S - self.peak_hour / 24)
        minutes = 60 * self.mean_rate * (1 + (self.peak_to_mean - 1) * np.cos(angle))
        since_midnight = np.concatenate(([0.0], np.cumsum(minutes)))
        since_midnight[-1] = self.mean_rate * DAY_S
        return edges, since_midnight

    def blocks(self, rng: np.random.Generator) -> Iterator[Block]:
        # Operational time (Çinlar 1975): a rate-1 Poisson process read through the inverse of the cumulative rate.
        edges, since_midnight = self._day
        last, of_a_day = 0.0, since_midnight[-1]
        for units in sums_of_gaps(rng, 1.0):
            days = np.floor(units[[0, -1]] / of_a_day)  # of the first and the last: most blocks lie within a day
            days = days[0] if days[0] == days[1] else np.floor(units / of_a_day)
            units -= days * of_a_day
            times = np.interp(units, since_midnight, edges)
            times += days * DAY_S
            yield in_order(times, last)
            last = times[-1]

    def _expected_until(self, time_s: float) -> float:
        days, rest = divmod(time_s, DAY_S)
        edges, since_midnight = self._day
        return float(days * since_midnight[-1] + np.interp(rest, edges, since_midnight))

    def _scaled(self, factor: float) -> Workload:
        return dataclasses.replace(self, mean_rate=self.mean_rate * factor)


@checked
def diurnal(
    mean_rate: Positive, *, peak_to_mean: PeakToMean = 1.8, peak_hour: Hour = 20.0, name: Text = "diurnal"
) -> Workload:
    """A day's wave: a Poisson process whose rate is a cosine of the hour, the same every day.

    rate(h) = mean_rate · (1 + (peak_to_mean - 1) · cos(2π (h - peak_hour) / 24)), constant within each minute, at the
    value of its middle.  The run starts at midnight.

    Parameters
    ----------
    mean_rate : float
        Mean over the day [requests/s].
    peak_to_mean : float
        Highest rate / mean rate, from 1 (flat) to 2 (nobody calls at the lowest point).
    peak_hour : float
        When the rate is highest [h, 0 to 24].
    """
    return Diurnal(mean_rate, peak_to_mean=peak_to_mean, peak_hour=peak_hour, name=name)


@config
class Bursty(Workload):
    """Calm and burst in turn, each lasting an exponential time, a Poisson process in each; see `bursty`."""

    calm_rate: NonNegative
    burst_rate: Positive
    mean_calm_s: Positive
    mean_burst_s: Positive
    name: Text = field(default="bursty", kw_only=True)

    def __post_init__(self) -> None:
        if self.burst_rate < self.calm_rate:
            raise ValueError(f"burst_rate={self.burst_rate:g} should be at least calm_rate={self.calm_rate:g}.")

    def blocks(self, rng: np.random.Generator) -> Iterator[Block]:
        return _alternating(rng, (self.calm_rate, self.burst_rate), (self.mean_calm_s, self.mean_burst_s))

    def _expected_until(self, time_s: float) -> float:
        arrivals = self.calm_rate * self.mean_calm_s + self.burst_rate * self.mean_burst_s
        return time_s * arrivals / (self.mean_calm_s + self.mean_burst_s)

    def _scaled(self, factor: float) -> Workload:
        return dataclasses.replace(self, calm_rate=self.calm_rate * factor, burst_rate=self.burst_rate * factor)


@checked
def bursty(
    calm_rate: NonNegative,
    burst_rate: Positive,
    mean_calm_s: Positive,
    mean_burst_s: Positive,
    *,
    name: Text = "bursty",
) -> Workload:
    """Calm and bursts in turn: a Markov-modulated Poisson process of two states, started in its stationary law.

    With p the share of time in bursts, m the mean rate and s = 1/mean_calm_s + 1/mean_burst_s, the index of dispersion
    of counts over a window of t seconds is
    1 + 2 p (1-p) (burst_rate - calm_rate)² / (m s) · (1 - (1 - exp(-s t)) / (s t))
    (Fischer and Meier-Hellstern, "The Markov-modulated Poisson process cookbook", 1993).

    Parameters
    ----------
    calm_rate, burst_rate : float
        Rate in each state [requests/s].
    mean_calm_s, mean_burst_s : float
        Mean length of a stay in each state [s], exponential.
    """
    return Bursty(calm_rate, burst_rate, mean_calm_s, mean_burst_s, name=name)


@config
class OnOff(Workload):
    """A Poisson process that is switched on and off, each for an exponential time; see `on_off`."""

    rate: Positive
    mean_on_s: Positive
    mean_off_s: Positive
    name: Text = field(default="on_off", kw_only=True)

    def blocks(self, rng: np.random.Generator) -> Iterator[Block]:
        return _alternating(rng, (0.0, self.rate), (self.mean_off_s, self.mean_on_s))

    def _expected_until(self, time_s: float) -> float:
        return time_s * self.rate * self.mean_on_s / (self.mean_on_s + self.mean_off_s)

    def _scaled(self, factor: float) -> Workload:
        return dataclasses.replace(self, rate=self.rate * factor)


@checked
def on_off(rate: Positive, mean_on_s: Positive, mean_off_s: Positive, *, name: Text = "on_off") -> Workload:
    """Requests at *rate* a second while on, none while off; stays are exponential of the given means [s]."""
    return OnOff(rate, mean_on_s, mean_off_s, name=name)


def _alternating(rng: np.random.Generator, rates: tuple[float, float], means: tuple[float, float]) -> Iterator[Block]:
    """A Poisson process whose rate alternates between two states of exponential length, in its stationary law.

    In operational time, as `Diurnal`: here the cumulative rate is a random path, drawn from a generator of its own.
    """
    path, points = child(rng), child(rng)
    # Stationary: in a state with the share of time spent there; what is left of an exponential stay is exponential.
    order = [1, 0] if path.random() < means[1] / sum(means) else [0, 1]
    stay_means, stay_rates = np.array(means)[order], np.array(rates)[order]
    arrivals_per_round = float(stay_means @ stay_rates)
    # A block is so small that its path stays small too when the states change much faster than requests come.
    largest = int(np.clip(arrivals_per_round * BLOCK, 1, BLOCK))
    edges, done, last = np.zeros(1), np.zeros(1), 0.0
    for units in sums_of_gaps(points, 1.0, largest):
        while done[-1] <= units[-1]:
            rounds = 16 + int(len(units) / arrivals_per_round)
            stays = path.standard_exponential((rounds, 2)) * stay_means
            edges = np.append(edges, edges[-1] + np.cumsum(stays))
            done = np.append(done, done[-1] + np.cumsum(stays * stay_rates))
        times = np.interp(units, done, edges)
        passed = np.searchsorted(done, units[-1], side="right") - 1
        edges, done = edges[passed:], done[passed:]
        yield in_order(times, last)
        last = times[-1]
