"""The simulated twin of a real server: the same arrivals through a lane, and a forecast with its honest doubt.

Four questions, from easy to hard:

- `replay`: with the arrivals and service times that were measured, does the station of the simulator make the same
  waits?  This tests the queue alone.
- `overhead`: how much longer does a caller wait than the station can know?  HTTP, threads and the caller's own program
  are not in the queue; measured in one run, they are added to the replay or the forecast of another.
- `moved`: are service times in the run those of the calibration?  Under load they often are not: neighbours on the
  machine, caches, frequency.
- `forecast`: what will latency be at another load?  Its interval holds the chance of a finite run, and the doubt about
  the mean service time; near full load 1 / (1 - utilization) makes much of little: at 80 % busy an error of 4 % in the
  service time is 29 % in the mean wait (Pollaczek and Khinchine).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import Field, SkipValidation

from simlib import serving, workload
from simlib.artifacts.logs import completed
from simlib.intervals import Confidence, Interval, interval
from simlib.model import ModelProfile, per_unit
from simlib.parameters import Count, ParameterError, Positive, Whole, as_row, checked, shortly
from simlib.simulation import simulate

FIGURES = ("mean_s", "p50_s", "p95_s")
BLOCKS = 10
MOST_AT_ONCE, LONGEST_S = 500_000, 1e7  # requests and seconds of one simulation, of forecasts
STRETCH = 20  # requests; the service times of a forest hang together over some five, measured
NEVER_S = 1e9
MOVES_BY = 0.1  # see `forecast`

Seconds = SkipValidation[Any]  # an array; checked by hand
Rate = Annotated[Positive, Field(ge=1e-6, le=1e6)]
Workers = Annotated[Count, Field(le=100_000)]
Moves = Annotated[float, Field(strict=True, ge=0, le=1)]


# --- the queue alone -------------------------------------------------------------------------------------------------


@checked
def replay(
    log: SkipValidation[pd.DataFrame],
    *,
    workers: Workers = 1,
    sent: SkipValidation[pd.DataFrame | None] = None,
    overhead: Seconds = None,
    seed: Whole = 0,
) -> pd.DataFrame:
    """Send the measured arrivals with their measured service times through the simulator's station.

    Parameters
    ----------
    log : DataFrame
        An access log: arrival_s, service_s, finish_s [s], status.  Only completed requests count.
    workers : int
        Of the server.
    sent : DataFrame or None
        What `drive` gave back.  With it, requests arrive when their callers intended, and latency is what the callers
        measured; without it, both are the server's own.
    overhead : array of float or None
        Seconds outside the station, as `overhead` measured them *in another run*; each simulated request gets one of
        them by chance.  Only with *sent*.
    seed : int
        Of that chance.

    Returns
    -------
    DataFrame
        Index mean_s p50_s p95_s; columns measured, simulated [s], and error: simulated / measured - 1.
    """
    if overhead is not None and sent is None:
        raise ParameterError("replay: overhead is what callers have on top: give their own record, sent=, too.")
    requests = _as_the_server_saw(log) if sent is None else _as_callers_saw(sent, log, "replay")
    outside = _seconds([0.0] if overhead is None else overhead, "replay")
    extra = np.random.default_rng(seed).choice(outside, size=len(requests))
    simulated = _through_the_lane(requests, workers) + extra
    found = pd.DataFrame({"measured": figures(requests["latency_s"]), "simulated": figures(simulated)})
    found["error"] = found["simulated"] / found["measured"] - 1
    return found


def _through_the_lane(requests: pd.DataFrame, workers: int) -> np.ndarray:
    """Latencies [s] of requests with arrival_s and service_s at the simulator's station."""
    if not len(requests):
        return np.zeros(0)
    frame = requests[["arrival_s", "service_s"]].sort_values("arrival_s", kind="stable", ignore_index=True)
    frame["arrival_s"] -= frame["arrival_s"].iloc[0]
    calls = workload.from_trace(frame, time="arrival_s", work=["service_s"], name="measured")
    model = ModelProfile("measured", service=per_unit(base_s=0.0, s_per_unit={"service_s": 1.0}))
    hours = (frame["arrival_s"].iloc[-1] + frame["service_s"].sum() + 60.0) / 3600
    return np.asarray(simulate(_station(model, workers), calls, hours=hours, progress=False).latencies())


def _station(model: ModelProfile, workers: int) -> serving.RealTime:
    return serving.RealTime(model, workers=workers, routing="SHARED_QUEUE", invocation_timeout_s=NEVER_S)


def _as_the_server_saw(log: Any) -> pd.DataFrame:
    done = completed(log, "replay")
    return done[["arrival_s", "service_s"]].assign(latency_s=done["finish_s"] - done["arrival_s"])


# --- what callers have on top ----------------------------------------------------------------------------------------


@checked
def overhead(sent: SkipValidation[pd.DataFrame], log: SkipValidation[pd.DataFrame]) -> np.ndarray:
    """How long each answered request was under way outside the server's station [s].

    A caller's latency minus `finish_s - arrival_s` of the same request at the server: being sent late, HTTP on both
    sides, and threads that wait for each other.  Only durations are compared, so the two clocks may differ.

    Parameters
    ----------
    sent : DataFrame
        What `drive` gave back.
    log : DataFrame
        The access log of the server; requests of others in it do not matter.
    """
    requests = _as_callers_saw(sent, log, "overhead")
    return (requests["latency_s"] - requests["inside_s"]).to_numpy()


def _as_callers_saw(sent: Any, log: Any, owner: str) -> pd.DataFrame:
    """One row a request that was answered: arrival_s as intended, service_s, inside_s the station, latency_s."""
    done = completed(log, owner)
    wanted = ("intended_s", "latency_s", "code", "inference_id")
    if not isinstance(sent, pd.DataFrame):
        raise ParameterError(f"{owner}: sent={shortly(sent)} is not possible: it should be as drive() gives it.")
    missing = [name for name in wanted if name not in sent.columns]
    if missing:
        raise ParameterError(f"{owner}: sent has no column {missing[0]!r}: it should be as drive() gives it.")
    if "inference_id" not in done:
        raise ParameterError(f"{owner}: the log has no column 'inference_id': it should be as Server.log() gives it.")
    inside = pd.DataFrame({"inside_s": done["finish_s"] - done["arrival_s"], "service_s": done["service_s"]})
    inside.index = pd.Index(done["inference_id"])
    answered = sent[sent["code"] == 200]
    found = answered.join(inside[~inside.index.duplicated()], on="inference_id", how="inner")
    if not len(answered):
        raise ParameterError(f"{owner}: sent has no request that was answered: its code should be 200.")
    if len(found) < 0.99 * len(answered):
        raise ParameterError(
            f"{owner}: sent and log do not belong together: {len(found)} of {len(answered)} are in both."
        )
    return found.rename(columns={"intended_s": "arrival_s"})


def _seconds(overhead: Any, owner: str) -> np.ndarray:
    values = _numbers("overhead", overhead, owner)
    if not len(values) or not np.isfinite(values).all():
        raise ParameterError(f"{owner}: overhead={shortly(overhead)} is not possible: it should be a row of seconds.")
    return values


# --- what moves ------------------------------------------------------------------------------------------------------


@checked
def moved(
    calibration: SkipValidation[pd.DataFrame], run: SkipValidation[pd.DataFrame], *, confidence: Confidence = 0.95
) -> Interval:
    """By what factor the mean service time of *run* differs from that of *calibration*; 1 where nothing moved.

    Both are access logs.  The interval is Student's over the means of ten blocks of each log in the order of time, for
    service times that follow each other are alike (Law, Simulation Modeling and Analysis, batch means).
    """
    now, before = np.log(_block_means(run, "run")), np.log(_block_means(calibration, "calibration"))
    both = interval(now - now.mean(), confidence), interval(before - before.mean(), confidence)
    middle = float(now.mean() - before.mean())
    half = math.hypot(*(each.half_width for each in both))
    return Interval(math.exp(middle), math.exp(middle - half), math.exp(middle + half), len(now) + len(before))


def _block_means(log: Any, parameter: str) -> np.ndarray:
    """Mean service times [s] of ten blocks, in the order of time."""
    service = completed(log, "moved", parameter)["service_s"].to_numpy()
    return np.array([block.mean() for block in np.array_split(service, BLOCKS)])


# --- another load ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Forecast:
    """What latency will be at another load: `figures` has low, middle and high [s] for mean_s, p50_s and p95_s."""

    rate: float
    utilization: float
    moves_by: float
    figures: pd.DataFrame

    def holds(self, measured: pd.Series) -> pd.Series:
        """Whether each measured figure lies in its interval; *measured* as `figures` gives it."""
        if not isinstance(measured, pd.Series) or set(measured.index) != set(FIGURES):
            raise ParameterError("holds: measured should be as artifacts.figures(latencies) gives it.")
        values = measured[list(FIGURES)]
        return (self.figures["low"] <= values) & (values <= self.figures["high"])


@checked
def forecast(
    calibration: SkipValidation[Any],
    *,
    rate: Rate,
    requests: Annotated[Count, Field(le=1_000_000)],
    workers: Workers = 1,
    moves_by: Moves | None = None,
    overhead: Seconds = None,
    confidence: Confidence = 0.95,
    replications: Annotated[Count, Field(ge=20, le=100_000)] = 200,
    seed: Whole = 0,
) -> Forecast:
    """Forecast a run of so many *requests* at *rate*, with the interval that a measurement should fall into.

    Parameters
    ----------
    calibration : DataFrame or list of DataFrame
        An access log, measured on the server under load; better three or more, of runs in this place at loads around
        the one to come, for only they show how service times move with load and from run to run.
    rate : float
        Poisson arrivals [requests/s].
    requests : int
        How many the measured run has: few scatter more.
    workers : int
        Of the server.
    moves_by : float or None
        Standard deviation of the factor by which the mean service time moves from one run to the next [share].  None:
        what three or more logs show, with Student's t for their small number; for one log 0.1, an assumption
        (measured on a shared machine of two cores it was 5 to 50 %, idle machines do better).
    overhead : array of float, list of arrays, or None
        Seconds outside the station, as `overhead` measured them: then the forecast is of the callers' latency.  Better
        a list with those of three or more runs: they move from run to run, too.
    confidence : float
        Share of such intervals that should hold the measurement.
    replications, seed : int
        Simulated runs, each with its own luck and its own mean service time.
    """
    services = [completed(log, "forecast", "calibration")["service_s"].to_numpy() for log in _logs(calibration)]
    center = math.exp(float(np.mean([math.log(service.mean()) for service in services])))
    spread, factors = _factors(services, moves_by, replications)
    rng = np.random.default_rng(seed)
    outside = _outside(overhead, replications, rng)
    calls, rows = workload.poisson(rate), []
    at_once = max(1, int(min(MOST_AT_ONCE, LONGEST_S * rate) / requests))
    numbered = list(enumerate(rng.permutation(factors)))
    for first in range(0, replications, at_once):
        batch, runs = numbered[first : first + at_once], []
        for number, factor in batch:
            like = services[number % len(services)]  # the shape moves from run to run, too
            arrivals = calls.arrivals(0.0, requests / rate, rng)
            service = _as_they_followed(like * (factor * center / like.mean()), len(arrivals), rng)
            runs.append(pd.DataFrame({"arrival_s": arrivals, "service_s": service}))
        for (number, _), latencies in zip(batch, _one_after_another(runs, workers), strict=True):
            rows.append(figures(latencies + _as_they_followed(outside[number], len(latencies), rng)))
    tails = [(1 - confidence) / 2, 0.5, (1 + confidence) / 2]
    table = pd.DataFrame(rows).quantile(tails).T
    table.columns = pd.Index(["low", "middle", "high"])
    return Forecast(rate, rate * center / workers, spread, table)


def _logs(calibration: Any) -> list[Any]:
    if isinstance(calibration, pd.DataFrame) or not isinstance(calibration, Sequence):
        return [calibration]
    if len(calibration) in (0, 2):
        raise ParameterError(
            f"forecast: calibration has {len(calibration)} logs: it should be one log, or three or more, for from two "
            "nobody can tell how much runs differ."
        )
    return list(calibration)


def _outside(overhead: Any, n: int, rng: np.random.Generator) -> list[np.ndarray]:
    """What each of *n* runs takes its seconds outside the station from: as long as the next run's may be."""
    several = isinstance(overhead, Sequence) and len(overhead) > 0 and not np.isscalar(overhead[0])
    given = list(overhead) if several else [[0.0] if overhead is None else overhead]
    measured = [_seconds(each, "forecast") for each in given]
    if len(measured) == 1:
        return measured * n
    if len(measured) == 2 or any(each.mean() <= 0 for each in measured):
        raise ParameterError("forecast: overhead should be one row of seconds, or three or more with means above 0.")
    center = math.exp(float(np.mean([math.log(each.mean()) for each in measured])))
    _, factors = _factors(measured, None, n)
    rows = (measured[number % len(measured)] for number in range(n))
    return [row * (factor * center / row.mean()) for row, factor in zip(rows, rng.permutation(factors), strict=True)]


def _factors(services: list[np.ndarray], moves_by: float | None, n: int) -> tuple[float, np.ndarray]:
    """How much the mean of some durations moves from run to run, and its factor in *n* runs, from low to high.

    With k logs and no `moves_by`, the log of the next run's mean lies around that of theirs like Student's t with
    k - 1 degrees of freedom times s √(1 + 1/k): the prediction interval of one more value of the same kind.
    """
    from scipy.special import ndtri, stdtrit

    shares = (np.arange(n) + 0.5) / n
    k = len(services)
    if moves_by is None and k > 1:
        spread = float(np.std([math.log(service.mean()) for service in services], ddof=1))
        return spread, np.exp(np.clip(spread * math.sqrt(1 + 1 / k) * stdtrit(k - 1, shares), -2.0, 2.0))
    spread = MOVES_BY if moves_by is None else moves_by
    return spread, np.exp(math.hypot(spread, _own_doubt(services)) * ndtri(shares))


def _own_doubt(services: list[np.ndarray]) -> float:
    """Standard error of the mean of all service times, relative to it, from ten blocks a log."""
    means = np.array([[part.mean() for part in np.array_split(each, BLOCKS)] for each in services])
    return float(np.sqrt(means.var(axis=1, ddof=1).mean() / means.size) / means.mean())


def _one_after_another(runs: list[pd.DataFrame], workers: int) -> list[np.ndarray]:
    """The latencies [s] of each run; all are one simulation, in which each finds the station empty."""
    begin, moved_on = 0.0, []
    for run in runs:
        moved_on.append(run.assign(arrival_s=run["arrival_s"] + begin))
        begin += run["arrival_s"].max() + run["service_s"].sum() + 1.0 if len(run) else 0.0
    latencies = _through_the_lane(pd.concat(moved_on), workers)
    return np.split(latencies, np.cumsum([len(run) for run in runs])[:-1])


def _as_they_followed(measured: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """*n* durations in stretches of those measured one after another, for a slow one is seldom alone.

    The circular block bootstrap (Politis and Romano, 1992).  Drawn one by one, durations that hang together would make
    waits too short, and runs too much alike.
    """
    starts = rng.integers(len(measured), size=-(-n // STRETCH))
    return measured[(starts[:, None] + np.arange(STRETCH)).ravel()[:n] % len(measured)]


# --- figures ---------------------------------------------------------------------------------------------------------


@checked
def figures(latencies: SkipValidation[Any]) -> pd.Series:
    """The mean, the median and the 95th percentile of latencies [s]; NaN where there are none."""
    values = _numbers("latencies", latencies, "figures")
    if not len(values):
        return pd.Series(math.nan, index=list(FIGURES))
    return pd.Series([values.mean(), *np.quantile(values, [0.5, 0.95])], index=list(FIGURES))


def _numbers(name: str, values: Any, owner: str) -> np.ndarray:
    try:
        return as_row(name, values)
    except ValueError as error:
        raise ParameterError(f"{owner}: {error}") from None
