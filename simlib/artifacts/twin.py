"""The simulated twin of a real server: the same arrivals through a lane, and a forecast with its honest doubt.

Three questions, from easy to hard:

- `replay`: with the arrivals and service times that were measured, does the station of the simulator make the same
  waits?  This tests the queue alone.
- `moved`: are service times in the run those of the calibration?  Under load they often are not: neighbours on the
  machine, caches, frequency.
- `forecast`: what will latency be at another load?  Its interval holds the chance of a finite run, and the doubt about
  the mean service time; near full load 1 / (1 - utilization) makes much of little: at 80 % busy an error of 4 % in the
  service time is 20 % in the wait.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pydantic import SkipValidation

from simlib import serving, workload
from simlib.intervals import Confidence, Interval, interval
from simlib.model import ModelProfile, empirical, per_unit
from simlib.parameters import Count, NonNegative, ParameterError, Positive, Whole, checked
from simlib.simulation import simulate

FIGURES = ("mean_s", "p50_s", "p95_s")
BLOCKS = 10
NEVER_S = 1e9


@checked
def replay(log: SkipValidation[pd.DataFrame], *, workers: Count = 1) -> pd.DataFrame:
    """Send the measured arrivals with their measured service times through the simulator's station.

    Parameters
    ----------
    log : DataFrame
        An access log: arrival_s, service_s, finish_s [s], status.  Only completed requests count.
    workers : int
        Of the server.

    Returns
    -------
    DataFrame
        Index mean_s p50_s p95_s; columns measured, simulated [s], and error: simulated / measured - 1.
    """
    done = _completed(log, "replay")
    frame = done[["arrival_s", "service_s"]].assign(arrival_s=done["arrival_s"] - done["arrival_s"].iloc[0])
    calls = workload.from_trace(frame, time="arrival_s", work=["service_s"], name="measured")
    model = ModelProfile("measured", service=per_unit(base_s=0.0, s_per_unit={"service_s": 1.0}))
    station = serving.RealTime(model, workers=workers, routing="SHARED_QUEUE", invocation_timeout_s=NEVER_S)
    hours = (frame["arrival_s"].iloc[-1] + done["service_s"].sum() + 60.0) / 3600
    simulated = simulate(station, calls, hours=hours, progress=False).latencies()
    measured = (done["finish_s"] - done["arrival_s"]).to_numpy()
    found = pd.DataFrame({"measured": figures(measured), "simulated": figures(simulated)})
    found["error"] = found["simulated"] / found["measured"] - 1
    return found


@checked
def moved(
    calibration: SkipValidation[pd.DataFrame], run: SkipValidation[pd.DataFrame], *, confidence: Confidence = 0.95
) -> Interval:
    """By what factor the mean service time of *run* differs from that of *calibration*; 1 where nothing moved.

    Both are access logs.  The interval is Student's over the means of ten blocks of each log in the order of time, for
    service times that follow each other are alike (Law, Simulation Modeling and Analysis, batch means).
    """
    now, before = (np.log(_block_means(log)) for log in (run, calibration))
    both = interval(now - now.mean(), confidence), interval(before - before.mean(), confidence)
    middle = float(now.mean() - before.mean())
    half = math.hypot(*(each.half_width for each in both))
    return Interval(math.exp(middle), math.exp(middle - half), math.exp(middle + half), len(now) + len(before))


@dataclass(frozen=True)
class Forecast:
    """What latency will be at another load: `figures` has low, middle and high [s] for mean_s, p50_s and p95_s."""

    rate: float
    utilization: float
    figures: pd.DataFrame

    def holds(self, measured: pd.Series) -> pd.Series:
        """Whether each measured figure lies in its interval."""
        return (self.figures["low"] <= measured) & (measured <= self.figures["high"])


@checked
def forecast(
    calibration: SkipValidation[pd.DataFrame],
    *,
    rate: Positive,
    requests: Count,
    workers: Count = 1,
    moves_by: NonNegative = 0.1,
    confidence: Confidence = 0.95,
    replications: Count = 200,
    seed: Whole = 0,
) -> Forecast:
    """Forecast a run of so many *requests* at *rate*, with the interval that a measurement should fall into.

    Parameters
    ----------
    calibration : DataFrame
        An access log, measured on the server under load.
    rate : float
        Poisson arrivals [requests/s].
    requests : int
        How many the measured run has: few scatter more.
    workers : int
        Of the server.
    moves_by : float
        Standard deviation of the factor by which the mean service time moves from one run to the next [share];
        assumption: measured on a shared machine of two cores it was 5 to 50 %, idle machines do better.
    confidence : float
        Share of such intervals that should hold the measurement.
    replications, seed : int
        Simulated runs, each with its own luck and its own mean service time.
    """
    service = _completed(calibration, "forecast")["service_s"].to_numpy()
    own = _block_means(calibration)
    spread = math.hypot(moves_by, float(own.std(ddof=1) / own.mean() / math.sqrt(len(own))))
    rng = np.random.default_rng(seed)
    factors = np.exp(spread * rng.standard_normal(replications) - spread**2 / 2)
    rows = [
        _one(service, float(factor), rate, requests, workers, seed, number) for number, factor in enumerate(factors)
    ]
    found = pd.DataFrame(rows, columns=list(FIGURES))
    tails = [(1 - confidence) / 2, 0.5, (1 + confidence) / 2]
    table = found.quantile(tails).T
    table.columns = pd.Index(["low", "middle", "high"])
    return Forecast(rate, rate * float(service.mean()) / workers, table)


def _one(
    service: np.ndarray, factor: float, rate: float, requests: int, workers: int, seed: int, number: int
) -> list[float]:
    """The figures of one simulated run of the station."""
    model = ModelProfile("calibrated", service=empirical(service * factor))
    station = serving.RealTime(model, workers=workers, routing="SHARED_QUEUE", invocation_timeout_s=NEVER_S)
    hours = requests / rate / 3600
    run = simulate(station, workload.poisson(rate), hours=hours, seed=seed, replication=number, progress=False)
    return figures(run.latencies()).to_list()


@checked
def figures(latencies: SkipValidation[np.ndarray]) -> pd.Series:
    """The mean, the median and the 95th percentile of latencies [s]."""
    if not len(latencies):
        return pd.Series(math.nan, index=list(FIGURES))
    return pd.Series([latencies.mean(), *np.quantile(latencies, [0.5, 0.95])], index=list(FIGURES))


# --- logs ------------------------------------------------------------------------------------------------------------


def _completed(log: Any, owner: str) -> pd.DataFrame:
    wanted = ("arrival_s", "finish_s", "service_s", "status")
    missing = [name for name in wanted if not isinstance(log, pd.DataFrame) or name not in log.columns]
    if missing:
        raise ParameterError(f"{owner}: the log has no column {missing[0]!r}: it should be as Server.log() gives it.")
    done = log[log["status"] == "completed"].sort_values("arrival_s", ignore_index=True)
    if len(done) < BLOCKS * 3:
        raise ParameterError(
            f"{owner}: the log has {len(done)} completed requests: it should have at least {BLOCKS * 3}."
        )
    return done


def _block_means(log: Any) -> np.ndarray:
    """Mean service times [s] of ten blocks, in the order of time."""
    service = _completed(log, "moved")["service_s"].to_numpy()
    return np.array([block.mean() for block in np.array_split(service, BLOCKS)])
