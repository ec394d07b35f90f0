"""The twin of a real server: exact where the queue is exact, honest where service times move."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

import simlib as sl
from simlib import artifacts, workload
from simlib.parameters import ParameterError

# An accelerator of 10 ms or so, as far as the processor can tell.
SLEEPS = """
import random
import time


def model_fn(model_dir):
    return random.Random(7)


def transform_fn(model, data, content_type, accept):
    time.sleep(model.gammavariate(9, 0.012 / 9))
    return "done"
"""


def _log(arrivals: np.ndarray, service: np.ndarray, workers: int = 1) -> pd.DataFrame:
    """The access log of an ideal server: first come, first served."""
    free, rows = [0.0] * workers, []
    for arrival, needs in zip(arrivals, service, strict=True):
        worker = int(np.argmin(free))
        start = max(arrival, free[worker])
        free[worker] = start + needs
        rows.append((arrival, start, start + needs, start - arrival, needs, "completed", 200))
    return pd.DataFrame(rows, columns=["arrival_s", "start_s", "finish_s", "queue_s", "service_s", "status", "code"])


def _measured(seed: int, *, rate: float, n: int, factor: float = 1.0, workers: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return _log(rng.exponential(1 / rate, n).cumsum(), factor * rng.gamma(4, 0.02 / 4, n), workers)


@pytest.mark.parametrize("workers", [1, 3])
def test_with_what_was_measured_the_lane_makes_the_same_waits(workers: int) -> None:
    found = artifacts.replay(_measured(1, rate=40 * workers, n=3000, workers=workers), workers=workers)
    assert np.abs(found["error"]).max() < 1e-9


def test_refusals_and_failures_are_left_out() -> None:
    log = _measured(2, rate=20, n=500)
    refused = log.iloc[:100].assign(status="rejected", start_s=math.nan, service_s=math.nan)
    both = pd.concat([log, refused], ignore_index=True)
    pd.testing.assert_frame_equal(artifacts.replay(log), artifacts.replay(both))


def test_a_factor_between_two_logs_is_found_at_the_stated_rate() -> None:
    """95 % intervals over 200 pairs of logs: between 183 and 197 of them hold, unless chance is 1 in 1,000."""
    hits = 0
    for seed in range(200):
        before, now = (_measured(2 * seed + k, rate=20, n=400, factor=(1.0, 1.3)[k]) for k in (0, 1))
        found = artifacts.moved(before, now)
        hits += found.low <= 1.3 <= found.high
    assert binomtest(hits, 200, 0.95).pvalue > 0.001


def test_a_forecast_holds_the_measurement_at_the_stated_rate_up_to_60_percent_load() -> None:
    """Each real run has a mean service time of its own; forecasts with `moves_by` cover mean and p95 of 60 runs."""
    moves_by, hits = 0.15, {"mean_s": 0, "p95_s": 0}
    for seed in range(60):
        factors = np.random.default_rng([9, seed]).lognormal(0.0, moves_by / math.sqrt(2), 2)
        calibration = _measured(1000 + seed, rate=20, n=600, factor=factors[0])
        found = artifacts.forecast(
            calibration, rate=30, requests=600, moves_by=moves_by, replications=60, seed=seed, confidence=0.9
        )
        run = _measured(5000 + seed, rate=30, n=600, factor=factors[1])
        measured = (run["finish_s"] - run["arrival_s"]).to_numpy()
        holds = found.holds(artifacts.figures(measured))
        hits = {name: hits[name] + bool(holds[name]) for name in hits}
    assert found.utilization == pytest.approx(0.6, rel=0.4)
    for each in hits.values():
        assert binomtest(each, 60, 0.9).pvalue > 0.001


def test_near_full_load_little_doubt_becomes_much() -> None:
    calibration = _measured(3, rate=20, n=2000)
    widths = []
    for rate in (15, 30, 42):
        figures = artifacts.forecast(calibration, rate=rate, requests=3000, moves_by=0.05, replications=60).figures
        widths.append((figures.loc["mean_s", "high"] - figures.loc["mean_s", "low"]) / figures.loc["mean_s", "middle"])
    assert widths[0] < widths[1] < widths[2]
    certain = artifacts.forecast(calibration, rate=30, requests=3000, moves_by=0.0, replications=60).figures
    assert certain.loc["mean_s", "high"] - certain.loc["mean_s", "low"] < widths[1] * certain.loc["mean_s", "middle"]


def test_a_forecast_without_doubt_is_pollaczek_khinchine() -> None:
    log = _measured(4, rate=20, n=4000)
    service = log["service_s"].to_numpy()
    found = artifacts.forecast(log, rate=25, requests=4000, moves_by=0.0, replications=100)
    busy = 25 * service.mean()
    exact = service.mean() + 25 * (service**2).mean() / (2 * (1 - busy))
    assert found.figures.loc["mean_s", "low"] < exact < found.figures.loc["mean_s", "high"]
    assert found.figures.loc["mean_s", "middle"] == pytest.approx(exact, rel=0.05)


def test_a_real_server_and_its_twin(tmp_path: Path) -> None:
    """Loosely, for this machine has other things to do: within 20 % of the mean, from 300 requests."""
    packed = artifacts.pack(None, tmp_path / "m.tar.gz", inference=SLEEPS, requirements=["nothing"])
    times = workload.poisson(rate=45).arrivals(0.0, 8.0, np.random.default_rng(5))
    with artifacts.Server(packed.path) as server:
        sent = artifacts.drive(server.url, times, body="[1]")
        server.stop()
        log = server.log()
    assert len(sent) == len(times) == len(log) >= 300
    assert (sent["code"] == 200).all()
    assert (sent["sent_s"] >= sent["intended_s"]).all()
    assert (sent["latency_s"] >= sent["finish_s"] - sent["sent_s"]).all()
    assert log["service_s"].min() > 0.001
    assert abs(artifacts.replay(log).loc["mean_s", "error"]) < 0.2
    profile = sl.ModelProfile.calibrate(log, "sleeper")
    assert profile.service.mean == pytest.approx(log["service_s"].mean())


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: artifacts.replay(pd.DataFrame({"arrival_s": [1.0]})), "replay: the log has no column 'finish_s'"),
        (lambda: artifacts.replay("log"), "replay: the log has no column 'arrival_s'"),
        (lambda: artifacts.replay(_measured(1, rate=1, n=5)), "5 completed requests: it should have at least 30"),
        (lambda: artifacts.forecast(_measured(1, rate=1, n=50), rate=-1, requests=10), "rate=-1 is not possible"),
        (lambda: artifacts.drive("http://127.0.0.1:1", [3.0, 1.0], body="x"), "times should be seconds from now"),
        (lambda: artifacts.drive("http://127.0.0.1:1", [math.nan], body="x"), "times should be seconds from now"),
        (lambda: artifacts.drive("http://127.0.0.1:1", "soon", body="x"), "times should be seconds from now"),
    ],
)
def test_bad_input_gets_one_sentence(call: Any, sentence: str) -> None:
    with pytest.raises(ParameterError) as error:
        call()
    assert sentence in str(error.value)


def test_a_server_that_is_not_there_is_told_as_no_answer() -> None:
    assert list(artifacts.drive("http://127.0.0.1:9", [0.0, 0.01], body="x")["code"]) == [0, 0]
