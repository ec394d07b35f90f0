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


def _measured(
    seed: int, *, rate: float, n: int, factor: float = 1.0, workers: int = 1, alike: float = 0.0
) -> pd.DataFrame:
    """A run; with *alike*, five requests one after another share a factor of that standard deviation and mean 1."""
    rng = np.random.default_rng(seed)
    service = factor * rng.gamma(4, 0.02 / 4, n)
    if alike:
        service *= rng.gamma(alike**-2, alike**2, n // 5 + 1).repeat(5)[:n]
    return _log(rng.exponential(1 / rate, n).cumsum(), service, workers)


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
            calibration, rate=30, requests=600, moves_by=moves_by, replications=30, seed=seed, confidence=0.9
        )
        run = _measured(5000 + seed, rate=30, n=600, factor=factors[1])
        measured = (run["finish_s"] - run["arrival_s"]).to_numpy()
        holds = found.holds(artifacts.figures(measured))
        hits = {name: hits[name] + bool(holds[name]) for name in hits}
    assert found.utilization == pytest.approx(0.6, rel=0.4)
    for each in hits.values():
        assert binomtest(each, 60, 0.9).pvalue > 0.001


def test_a_forecast_from_several_runs_takes_how_much_they_move_from_them() -> None:
    """Service times move from run to run, and fall by a tenth from 30 to 60 % load; nobody tells the forecast.

    60 forecasts, each from four runs of its own at 30, 45 and 60 % load, hold mean and p95 of the next at the stated
    90 %, unless chance is 1 in 1,000; and they are not so wide that they would hold anything.
    """
    hits, widths = {"mean_s": 0, "p95_s": 0}, []
    for seed in range(60):
        factors = np.random.default_rng([7, seed]).lognormal(0.0, 0.04, 5)
        loads = (0.3, 0.45, 0.6, 0.45, (0.3, 0.45, 0.6)[seed % 3])
        *before, (run, load) = [
            (_measured(5 * seed + k, rate=load / 0.02, n=400, factor=factor * (1.1 - load / 3), alike=0.3), load)
            for k, (load, factor) in enumerate(zip(loads, factors, strict=True))
        ]
        logs = [log for log, _ in before]
        found = artifacts.forecast(logs, rate=load / 0.02, requests=400, replications=25, seed=seed, confidence=0.9)
        holds = found.holds(artifacts.figures(run["finish_s"] - run["arrival_s"]))
        hits = {name: hits[name] + bool(holds[name]) for name in hits}
        widths.append(found.figures.loc["mean_s", "high"] / found.figures.loc["mean_s", "low"])
    assert found.moves_by < 0.2
    assert np.median(widths) < 2
    for each in hits.values():
        assert binomtest(each, 60, 0.9).pvalue > 0.001


def test_service_times_that_hang_together_make_longer_waits() -> None:
    """100 runs of a server whose slow moments last five requests, and the forecast from one long log of it."""
    options: Any = {"rate": 30, "n": 2000, "alike": 0.7}
    runs = [_measured(seed, **options) for seed in range(100)]
    latency = [(run["finish_s"] - run["arrival_s"]).mean() for run in runs]
    log = _measured(999, rate=30, n=20_000, alike=0.7)
    found = artifacts.forecast(log, rate=30, requests=2000, moves_by=0.0, replications=200).figures.loc["mean_s"]
    shuffled = log.assign(service_s=np.random.default_rng(1).permutation(log["service_s"]), finish_s=1e9)
    alone = artifacts.forecast(shuffled, rate=30, requests=2000, moves_by=0.0, replications=200).figures.loc["mean_s"]
    assert alone["middle"] < 0.85 * found["middle"]
    assert found["middle"] == pytest.approx(np.median(latency), rel=0.1)


def test_three_runs_that_differ_make_a_forecast_less_sure_than_three_alike() -> None:
    def width(factors: tuple[float, ...]) -> float:
        logs = [_measured(k, rate=20, n=400, factor=factor) for k, factor in enumerate(factors)]
        figures = artifacts.forecast(logs, rate=25, requests=400, replications=100).figures
        return float(figures.loc["mean_s", "high"] / figures.loc["mean_s", "low"])

    assert width((1.0, 1.0, 1.0)) < width((0.9, 1.0, 1.1)) < width((0.8, 1.0, 1.25))


# --- what callers have on top ----------------------------------------------------------------------------------------


def _seen_by_callers(log: pd.DataFrame, outside: np.ndarray) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The record of callers whose requests are *outside* [s] longer under way, and the log that knows them."""
    names = [f"a-{number}" for number in range(len(log))]
    latency = log["finish_s"] - log["arrival_s"] + outside
    sent = pd.DataFrame({"intended_s": log["arrival_s"] - 1000.0, "latency_s": latency, "code": 200})
    return sent.assign(inference_id=names), log.assign(inference_id=names)


def test_what_is_outside_the_station_is_measured_request_by_request() -> None:
    outside = np.random.default_rng(1).gamma(4, 0.0005, 600)
    sent, log = _seen_by_callers(_measured(1, rate=20, n=600), outside)
    shuffled = log.sample(frac=1, random_state=1)
    found = artifacts.overhead(sent, pd.concat([shuffled, _measured(2, rate=20, n=50)]))
    assert found == pytest.approx(outside)
    unanswered = sent.assign(code=[0] + [200] * 599)
    assert artifacts.overhead(unanswered, log) == pytest.approx(outside[1:])


def test_a_replay_with_overhead_of_another_run_is_what_callers_saw() -> None:
    """Without it the mean is short by just that much; with it, by what 3,000 draws leave to chance."""
    outside = np.random.default_rng(1).gamma(4, 0.0005, 3000)
    sent, log = _seen_by_callers(_measured(1, rate=20, n=3000), outside)
    without = artifacts.replay(log, sent=sent).loc["mean_s"]
    assert without["measured"] - without["simulated"] == pytest.approx(outside.mean())
    others = np.random.default_rng(2).gamma(4, 0.0005, 500)  # the same law, measured elsewhere
    found = artifacts.replay(log, sent=sent, overhead=others)
    assert found.loc["mean_s", "measured"] == pytest.approx(sent["latency_s"].mean())
    chance = 4 * outside.std() * math.sqrt(1 / 3000 + 1 / 3000 + 1 / 500)
    assert found.loc["mean_s", "simulated"] == pytest.approx(found.loc["mean_s", "measured"], abs=chance)
    assert abs(found["error"]).max() < 0.02


def test_a_forecast_for_callers_is_longer_by_what_is_outside() -> None:
    log = _measured(4, rate=20, n=2000)
    options: Any = {"rate": 10, "requests": 500, "moves_by": 0.0, "replications": 40}
    inside = artifacts.forecast(log, **options).figures
    callers = artifacts.forecast(log, overhead=[0.003], **options).figures
    assert (callers - inside).to_numpy() == pytest.approx(np.full((3, 3), 0.003))


def test_what_is_outside_moves_too() -> None:
    log = _measured(4, rate=20, n=2000)
    options: Any = {"rate": 10, "requests": 500, "moves_by": 0.0, "replications": 100}
    widths = []
    for outside in ([0.004, 0.004, 0.004], [0.003, 0.004, 0.006]):
        figures = artifacts.forecast(log, overhead=[[each] for each in outside], **options).figures
        widths.append(figures.loc["p50_s", "high"] - figures.loc["p50_s", "low"])
    assert widths[1] > widths[0] + 0.004, "from 2 to 9 ms by Student's t with two degrees of freedom"


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
    assert set(sent["inference_id"]) == set(log["inference_id"])
    outside = artifacts.overhead(sent, log)
    assert len(outside) == len(log)
    assert outside.mean() == pytest.approx(sent["latency_s"].mean() - (log["finish_s"] - log["arrival_s"]).mean())
    assert outside.min() > 0, "no caller has the answer before the station gives it"
    assert abs(artifacts.replay(log).loc["mean_s", "error"]) < 0.2
    profile = sl.ModelProfile.calibrate(log, "sleeper")
    assert profile.service.mean == pytest.approx(log["service_s"].mean())


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: artifacts.replay(pd.DataFrame({"arrival_s": [1.0]})), "replay: log has no column 'finish_s'"),
        (lambda: artifacts.replay("log"), "replay: log='log' is not possible"),
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
