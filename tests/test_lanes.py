"""The gate of the foundation: the compiled lanes against plain SimPy, bit for bit, and what must hold on the way.

Every test here also runs with NUMBA_BOUNDSCHECK=1 (`make test`).
"""

# Do these tests see anything?  Each of these damages, a line each, was done to a copy of lanes.py or station.py
# (2026-11-22), and each made a test fail:
#   order and ties: of equal slots the highest; a slot free at the very deadline does not start; work done at the very
#     deadline is late; departures, or those who leave a line, `<` for `<=`; retries before arrivals of one instant;
#     arrivals at a decision's instant handled before it; equal entries of a heap in the order of falling numbers
#   counting: further attempts as arrivals; the minute of the arrival for that of the finish; a busy stretch again at
#     each look; busy time of a worker that is dead; the share of a drained instance; a histogram's bins one too low
#   rules: a worker not told to stop; one attempt too many; a line one longer than its limit; the first slot promised
#     although the limit must know who waits; an outcome of this very instant held back; all retries with one number;
#     who was on a dead instance not failed
#   room: departures sized for new arrivals only (NUMBA_BOUNDSCHECK=1 sees it); the ring of those waiting grown but its
#     head kept; winner trees not rebuilt when places move

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simlib import record
from simlib.results import folded_quantile
from simlib.serving import lanes
from simlib.serving.station import Chunk, Rules, Station
from tests.histories import (
    ROUTINGS,
    History,
    difference,
    growing_history,
    play,
    random_history,
    small_histories,
)

HISTORIES = 1200  # of each routing
CHUNKS = (1, 7, 1 << 16)

each_routing = pytest.mark.parametrize("routing", ROUTINGS.values(), ids=ROUTINGS.keys())


def some_moments(history: History, seed: int, n: int = 8) -> np.ndarray:
    """Random instants of a history, some of them the very instants of arrivals."""
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.uniform(0, history.end, n), rng.choice(history.requests.arrivals, n // 4)])


# --- the lanes are the plain SimPy station ----------------------------------------------------------------------------


@each_routing
def test_random_histories_equal_plain_simpy(routing: int) -> None:
    """The log bit for bit; what is counted for each variant and minute; who waits and works at random looks."""
    for seed in range(HISTORIES):
        history = random_history(seed, routing)
        found = difference(history.with_looks(some_moments(history, seed)))
        assert not found, f"random_history({seed}, {routing}): {found}"


@each_routing
@settings(max_examples=300, derandomize=True, deadline=None, database=None)
@given(data=st.data())
def test_small_histories_equal_plain_simpy(routing: int, data: st.DataObject) -> None:
    """As above, with histories that hypothesis draws on a grid of eighths and shrinks to a readable one."""
    history = data.draw(small_histories(routing))
    found = difference(history.with_looks(np.arange(0, history.end, 0.5)), chunk=data.draw(st.sampled_from(CHUNKS)))
    assert not found, found


@each_routing
@pytest.mark.parametrize("seed", range(4))
def test_growing_tables_equal_plain_simpy(routing: int, seed: int) -> None:
    """Thousands inside at once and dozens of instances: every table grows in mid-run, and nothing changes."""
    history = growing_history(seed, routing)
    history = history.with_looks(some_moments(history, seed, 40))
    found = difference(history, chunk=64)
    assert not found, f"growing_history({seed}, {routing}): {found}"

    station = play(history, chunk=64)
    most_waiting = max(sum(waiting for waiting, _busy in look) for look in station.readings)
    assert most_waiting > 1000
    assert len(station.lane.requests) > 1000
    assert station.lane.places.shape[1] >= 16
    assert station.lane.tally.shape[1] >= 10


# --- when one looks, and how requests are dealt out, changes nothing --------------------------------------------------


def bytes_of(station: Station, end: float) -> list[bytes]:
    """All that came of a run: the log, and what was folded.  Tables end with the run, however far they reach."""
    minutes = int(end // 60) + 1
    hours = minutes // 60 + 1
    lane = station.lane
    folded = [lane.tally[:, :minutes], lane.per_instance[:, :minutes], lane.histogram[:, :hours]]
    assert not lane.tally[:, minutes:].any()
    assert not lane.histogram[:, hours:].any()
    return [table.tobytes() for table in [*station.log(), *folded]]


def looked_at_and_dealt_out(history: History, seed: int) -> list[list[bytes]]:
    """The bytes with and without looks, for each size of chunk."""
    histories = [history, history.with_looks(some_moments(history, seed, 24))]
    return [bytes_of(play(h, chunk=chunk), h.end) for h in histories for chunk in CHUNKS]


@each_routing
def test_looks_and_chunks_change_no_byte(routing: int) -> None:
    for seed in range(100):
        first, *others = looked_at_and_dealt_out(random_history(seed, routing, fold=True), seed)
        assert all(other == first for other in others), f"random_history({seed}, {routing}, fold=True)"


@each_routing
def test_looks_and_chunks_change_no_byte_while_tables_grow(routing: int) -> None:
    first, *others = looked_at_and_dealt_out(growing_history(9, routing), 9)
    assert all(other == first for other in others)


@each_routing
def test_folding_without_a_log_counts_the_same(routing: int) -> None:
    for seed in range(100):
        logged = play(random_history(seed, routing, fold=True)).lane
        folded = play(random_history(seed, routing, log=False, fold=True)).lane
        assert len(folded.log_instance) == 0
        assert logged.tally.tobytes() == folded.tally.tobytes()
        assert logged.per_instance.tobytes() == folded.per_instance.tobytes()
        assert logged.histogram.tobytes() == folded.histogram.tobytes()


def test_lanes_are_compiled_once() -> None:
    """Whatever arrays are given: a second compilation would keep a learner waiting for a quarter of a minute."""
    rng = np.random.default_rng(1)
    arrivals, services = np.arange(50), np.asfortranarray(rng.random((2, 50)))
    services.flags.writeable = False
    station = Station(Rules(lanes.SHARED_QUEUE), (1, 1), [Chunk(arrivals, services, rng.random(100)[::2])], chunk=7)
    station.open(0, 0)
    station.advance(60.0)
    commands: list[Any] = [lanes.advance, lanes.open_place, lanes.drain_place, lanes.kill_place, lanes.count_inside]
    for command in commands:
        assert len(command.signatures) <= 1, command


# --- folding ----------------------------------------------------------------------------------------------------------


@each_routing
def test_folded_counts_are_those_of_the_log(routing: int) -> None:
    """The tables count exactly what the log lists, by variant and by the minute or hour of its finish."""
    for seed in range(200):
        station = play(random_history(seed, routing, fold=True))
        log, lane = station.log(), station.lane
        for v, status in itertools.product(range(len(station.workers)), range(1, len(record.STATUSES))):
            those = (log.variant == v) & (log.status == status)
            by_minute = np.bincount((log.finish[those] / 60).astype(int), minlength=lane.tally.shape[1])
            assert np.array_equal(lane.tally[v, :, status], by_minute)
            if status == record.COMPLETED:
                by_hour = np.bincount((log.finish[those] / 3600).astype(int), minlength=lane.histogram.shape[1])
                assert np.array_equal(lane.histogram[v].sum(axis=1), by_hour)


def one_instance(arrivals: np.ndarray, services: np.ndarray, workers: int) -> Station:
    """A logged and folded run of one instance that refuses nobody, to its end."""
    station = Station(Rules(lanes.SHARED_QUEUE, fold=True), (workers,), [Chunk(arrivals, services[None])])
    station.open(0, 0)
    station.advance(float(arrivals[-1] + services.sum()) + 1.0)
    return station


LAWS: dict[str, Callable[[np.random.Generator, float, int], np.ndarray]] = {
    "exponential": lambda rng, mean, n: rng.exponential(mean, n),
    "lognormal": lambda rng, mean, n: mean * rng.lognormal(0.0, rng.uniform(0.1, 2.0), n),
    "gamma": lambda rng, mean, n: mean * rng.gamma(rng.uniform(0.3, 5.0), size=n),
    "uniform": lambda rng, mean, n: rng.uniform(0.5 * mean, 1.5 * mean, n),
    "constant": lambda rng, mean, n: np.full(n, mean),
}


@pytest.mark.parametrize("law", LAWS)
def test_folded_quantiles_are_within_one_percent(law: str) -> None:
    """Of the order statistic of the log, for laws of random shape from milliseconds to minutes."""
    for seed in range(20):
        rng = np.random.default_rng([seed, 3])
        n, mean, workers = 3000, float(10 ** rng.uniform(-3, 2)), int(rng.integers(1, 9))
        services = LAWS[law](rng, mean, n)
        arrivals = np.cumsum(rng.exponential(services.mean() / workers / rng.uniform(0.3, 1.1), n))
        station = one_instance(arrivals, services, workers)
        log = station.log()
        latencies, bins = np.sort(log.finish - log.arrival), station.lane.histogram.sum(axis=(0, 1))
        assert bins.sum() == n
        for share in (0.01, 0.5, 0.9, 0.95, 0.99, 0.999):
            exact = np.quantile(latencies, share, method="inverted_cdf")
            assert abs(folded_quantile(bins, share) / exact - 1) < 0.01, f"seed {seed}, quantile {share}"


def test_each_latency_falls_in_a_bin_whose_middle_is_within_a_hundredth() -> None:
    """From a microsecond to twelve days; what is shorter or longer falls in the first or the last bin."""
    rng = np.random.default_rng(5)
    latencies = np.concatenate([2.0 ** rng.uniform(-20, 20, 2000), 2.0 ** np.arange(-20.0, 20.0)])
    for latency in latencies:
        bins = np.bincount([lanes.latency_bin(float(latency))], minlength=record.BINS)
        assert abs(folded_quantile(bins, 0.5) / latency - 1) < 0.008
    assert [lanes.latency_bin(x) for x in (0.0, 0.9e-6, 2.0**20, 1e9)] == [0, 0, record.BINS - 1, record.BINS - 1]


# --- what must hold ---------------------------------------------------------------------------------------------------


def capacity_s(history: History) -> np.ndarray:
    """Seconds of workers of each variant and minute, from an instance's opening until it is killed: [v, m]."""
    begun: dict[int, tuple[int, float]] = {}
    lives = []
    for at, what, *arguments in history.commands:
        if what == "open":
            variant, instance = arguments
            begun[instance] = (variant, at)
        elif what == "kill":
            lives.append((*begun.pop(arguments[0]), at))
    lives += [(variant, at, history.end) for variant, at in begun.values()]
    minutes = np.arange(int(history.end // 60) + 1) * 60.0
    capacity = np.zeros((len(history.workers), len(minutes)))
    for variant, begin, end in lives:
        capacity[variant] += history.workers[variant] * np.clip(
            np.minimum(end, minutes + 60) - np.maximum(begin, minutes), 0, None
        )
    return capacity


@each_routing
def test_busy_time_never_exceeds_capacity(routing: int) -> None:
    for history in [random_history(seed, routing) for seed in range(200)] + [growing_history(0, routing)]:
        station, capacity = play(history), capacity_s(history)
        busy = station.lane.tally[:, : capacity.shape[1], record.BUSY_NS] / 1e9
        assert (busy <= capacity + 1e-9 * station.arrived).all()


@each_routing
def test_nobody_is_lost_and_causes_come_first(routing: int) -> None:
    """At every look arrived = settled + inside (`look` asserts it); arrival <= start <= finish <= now."""
    for seed in range(200):
        history = random_history(seed, routing)
        station = play(history.with_looks(some_moments(history, seed, 40)), chunk=7)
        log = station.log()
        assert np.array_equal(np.isnan(log.finish), log.status == record.INSIDE)
        finish = np.where(np.isnan(log.finish), station.now, log.finish)
        start = np.where(np.isnan(log.start), log.arrival, log.start)
        assert (log.arrival <= start).all()
        assert (start <= finish).all()
        assert (finish <= station.now).all()
        assert not np.isnan(log.start[log.status == record.COMPLETED]).any()
        assert (log.instance[~np.isnan(log.start)] != record.NOBODY).all()
