"""The compiled queue of asynchronous endpoints against plain SimPy, bit for bit; looks and chunks; nobody is lost.

Every test here also runs with NUMBA_BOUNDSCHECK=1 (`make test`).
"""

# Do these tests see anything?  Each of these damages, a line each, was done to a copy of lanes.py or station.py
# (2026-11-25), and each made a test fail:
#   order and ties: a slot free at the very end of the time to live does not start; who is due at this instant does not
#     expire; an answer due at this instant is held back; a model just in time is late
#   the line: lost work before or behind everybody, not where its age belongs; it starts when the slot fell free, not
#     when it came back; it expires in the past; it keeps its place on the dead instance
#   rules: one call too many; a result written after an error; transfers never hold the slot; the input not fetched
#     anew; a draining instance takes work; lost work does not start before the instant is over
#   counting: calls not counted when work is lost, nor when it comes back, or counted in the minute of the start; a call
#     that begins now not shown; further calls not shown in the log; busy time beyond the next decision; an answer
#     settled when its slot is free
#   room: departures sized for new arrivals only (NUMBA_BOUNDSCHECK=1 sees it)

import math
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simlib import record
from simlib.serving import lanes
from simlib.serving.station import Chunk, Rules, Station
from tests.histories import COUNTED, Command, Decision, first_difference, life
from tests.reference.queue import ReferenceQueue

HISTORIES = 1500  # of each way to lose work
CHUNKS = (1, 7, 1 << 16)

each_way_to_lose_work = pytest.mark.parametrize("requeues", [True, False], ids=["requeue_front", "fail"])


class History(NamedTuple):
    """All that the lane and its reference are given."""

    rules: Rules
    slots: int
    requests: Chunk
    commands: list[Command]
    end: float

    def with_looks(self, moments: np.ndarray) -> "History":
        looks: list[Command] = [(float(at), "look") for at in moments]
        return self._replace(commands=sorted([*self.commands, *looks], key=lambda c: c[0]))


def random_history(seed: int, *, requeues: bool, log: bool = True, fold: bool = False) -> History:
    """20 to 120 requests and a fleet that comes, goes and dies; half of them on a grid of eighths, so that many things
    fall on one instant.  Some begin without an instance, and some never have one."""
    rng = np.random.default_rng([seed, requeues])
    on_grid = bool(rng.integers(2))
    scale = float(rng.choice([1, 16, 512]))
    n, slots, instances = int(rng.integers(20, 121)), int(rng.integers(1, 4)), int(rng.integers(0, 4))
    arrivals = np.cumsum(rng.exponential(1 / (max(1, instances) * slots * rng.uniform(0.3, 1.5)), n))
    share = rng.choice([0.0, 0.3])  # of a request's time that is transfers
    services = rng.lognormal(-0.3, 0.8, (3, n)) * np.array([[share], [1.0], [share]])
    patience, ttl = float(rng.uniform(0.3, 3.0)), float(rng.uniform(0.5, 6.0))
    if on_grid:
        arrivals, services, patience, ttl = (np.round(x * 8) / 8 for x in (arrivals, services, patience, ttl))
    rules = Rules(
        lanes.ASYNCHRONOUS,
        timeout_s=max(0.125, float(patience)) * scale if rng.random() < 0.7 else math.inf,
        max_attempts=int(rng.integers(1, 5)),
        ttl_s=max(0.125, float(ttl)) * scale if rng.random() < 0.7 else math.inf,
        transfer_holds_slot=bool(rng.integers(2)),
        requeues=requeues,
        log=log,
        fold=fold,
    )
    end = (float(arrivals[-1]) * 1.02 + 0.125) * scale
    decisions = []
    for at in rng.uniform(0, arrivals[-1], rng.integers(0, 14)):
        lasting = float(rng.uniform(0, 2.0))
        at, lasting = (round(at * 8) / 8, round(lasting * 8) / 8) if on_grid else (float(at), lasting)
        what = str(rng.choice(["open", "open", "kill", "drain"]))
        decisions.append(Decision(at * scale, what, float(rng.random()), lasting * scale, ()))
    requests = Chunk(np.sort(arrivals) * scale, services * scale)
    return History(rules, slots, requests, life(decisions, instances, 1, end), end)


def growing_history(seed: int, *, requeues: bool) -> History:
    """Thousands inside at once, and instances that come and die by the dozen: every table grows in mid-run."""
    rng = np.random.default_rng([seed, requeues, 2])
    n, end = 4000, 600.0
    services = rng.lognormal(-0.3, 0.8, (3, n)) * np.array([[0.2], [1.0], [0.2]])
    decisions = [
        Decision(float(at), str(rng.choice(["open", "open", "kill", "drain"])), float(rng.random()), 5.0, ())
        for at in rng.uniform(0, end, 150)
    ]
    rules = Rules(
        lanes.ASYNCHRONOUS, timeout_s=4.0, max_attempts=2, ttl_s=150.0, requeues=requeues, transfer_holds_slot=True
    )
    requests = Chunk(np.cumsum(rng.exponential(0.02, n)), services)
    return History(rules, 2, requests, life(decisions, 2, 1, end), end)


@st.composite
def small_histories(draw: st.DrawFn) -> History:
    """A few requests and decisions at eighths of a second, which shrink to a readable history."""

    def eighths(low: float, high: float) -> st.SearchStrategy[float]:
        return st.integers(int(low * 8), int(high * 8)).map(lambda n: n / 8)

    n, end = draw(st.integers(1, 10)), 8.0
    rules = Rules(
        lanes.ASYNCHRONOUS,
        timeout_s=draw(st.one_of(st.just(math.inf), eighths(0.125, 2))),
        max_attempts=draw(st.integers(1, 3)),
        ttl_s=draw(st.one_of(st.just(math.inf), eighths(0.125, 4))),
        transfer_holds_slot=draw(st.booleans()),
        requeues=draw(st.booleans()),
    )
    services = np.array([draw(st.lists(eighths(0, 2), min_size=n, max_size=n)) for _ in range(3)])
    arrivals = np.sort(np.array(draw(st.lists(eighths(0, end), min_size=n, max_size=n))))
    decision = st.builds(
        Decision,
        at=eighths(0, end),
        what=st.sampled_from(["open", "kill", "drain"]),
        whom=st.integers(0, 7).map(lambda n: n / 8),
        lasting=eighths(0, 2),
        weights=st.just(()),
    )
    commands = life(draw(st.lists(decision, max_size=6)), draw(st.integers(0, 3)), 1, end)
    return History(rules, draw(st.integers(1, 2)), Chunk(arrivals, services), commands, end)


class WatchedStation(Station):
    """A station that at each look writes down who is inside, and checks that nobody is lost."""

    readings: list[list[int]]

    def look(self) -> None:
        waiting, busy = self.waiting_and_running()[0].tolist()
        self.readings = [*getattr(self, "readings", []), [waiting, busy, self.backlog]]
        settled = int(self.lane.tally[0, :, record.COMPLETED : record.FAILED + 1].sum())
        assert self.arrived == settled + self.backlog == settled + len(self.inside())
        assert self.arrived == self.lane.tally[0, :, record.ARRIVED].sum()


def play(history: History, *, chunk: int = 1 << 16) -> WatchedStation:
    """The history through the lane, with a look at the end."""
    station = WatchedStation(history.rules, [history.slots], [history.requests], chunk=chunk)
    for at, what, *arguments in [*history.commands, (history.end, "look")]:
        station.advance(at)
        getattr(station, what)(*arguments)
    return station


def difference(history: History, *, chunk: int = 1 << 16) -> str:
    """Where the lane differs from plain SimPy, in a sentence; empty if nowhere."""
    station, reference = play(history, chunk=chunk), ReferenceQueue(history.rules, history.slots, history.requests)
    reference.run([*history.commands, (history.end, "look")], history.end)
    if station.readings != reference.readings:
        return f"[waiting, busy, backlog] at the looks: lane {station.readings}, SimPy {reference.readings}"
    return first_difference(station.log(), reference.log()) or _difference_of_counts(station, reference)


def _difference_of_counts(station: Station, reference: ReferenceQueue) -> str:
    """Counts are the same; sums of seconds may differ by 1 ns for each request and slot."""
    for minute, tally in enumerate(station.lane.tally[0]):
        found: dict[str, Any] = dict(zip(COUNTED, tally.tolist(), strict=False))
        found["per_instance"] = station.lane.per_instance[0, minute]
        for what, ours in found.items():
            theirs, allowed = reference.counted.get((minute, what), 0.0), 0.0
            if what in ("latency_s", "busy_s"):
                ours, allowed = ours / 1e9, 1e-9 * (station.arrived + station.lane.slots.size)
            elif what == "per_instance":
                allowed = 1e-9
            if abs(ours - theirs) > allowed:
                return f"minute {minute}, {what}: lane {ours!r}, SimPy {theirs!r}"
    return ""


def some_moments(history: History, seed: int, n: int = 8) -> np.ndarray:
    """Random instants, some of them the very instants of arrivals."""
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.uniform(0, history.end, n), rng.choice(history.requests.arrivals, n // 4)])


@each_way_to_lose_work
def test_random_histories_equal_plain_simpy(requeues: bool) -> None:
    """The log bit for bit; what each minute counts; who waits, works and is inside at random looks."""
    for seed in range(HISTORIES):
        history = random_history(seed, requeues=requeues)
        found = difference(history.with_looks(some_moments(history, seed)))
        assert not found, f"random_history({seed}, requeues={requeues}): {found}"


@settings(max_examples=400, derandomize=True, deadline=None, database=None)
@given(history=small_histories(), chunk=st.sampled_from(CHUNKS))
def test_small_histories_equal_plain_simpy(history: History, chunk: int) -> None:
    """As above, with histories that hypothesis draws on a grid of eighths and shrinks to a readable one."""
    found = difference(history.with_looks(np.arange(0, history.end, 0.5)), chunk=chunk)
    assert not found, found


@each_way_to_lose_work
@pytest.mark.parametrize("seed", range(3))
def test_growing_tables_equal_plain_simpy(seed: int, requeues: bool) -> None:
    history = growing_history(seed, requeues=requeues)
    history = history.with_looks(some_moments(history, seed, 40))
    found = difference(history, chunk=64)
    assert not found, f"growing_history({seed}, requeues={requeues}): {found}"
    station = play(history, chunk=64)
    assert max(waiting for waiting, _, _ in station.readings) > 1000
    assert station.lane.places.shape[1] >= 8


def bytes_of(station: Station, end: float) -> list[bytes]:
    """All that came of a run; tables end with it, however far they reach."""
    lane, minutes = station.lane, int(end // 60) + 1
    assert not lane.tally[:, minutes:].any()
    folded = [lane.tally[:, :minutes], lane.per_instance[:, :minutes], lane.histogram[:, : minutes // 60 + 1]]
    return [table.tobytes() for table in [*station.log(), *folded]]


@each_way_to_lose_work
def test_looks_and_chunks_change_no_byte(requeues: bool) -> None:
    for seed in range(150):
        history = random_history(seed, requeues=requeues, fold=True)
        histories = [history, history.with_looks(some_moments(history, seed, 24))]
        first, *others = [bytes_of(play(h, chunk=chunk), h.end) for h in histories for chunk in CHUNKS]
        assert all(other == first for other in others), f"random_history({seed}, requeues={requeues})"


@each_way_to_lose_work
def test_folding_without_a_log_counts_the_same(requeues: bool) -> None:
    for seed in range(100):
        logged = play(random_history(seed, requeues=requeues, fold=True)).lane
        folded = play(random_history(seed, requeues=requeues, fold=True, log=False)).lane
        assert len(folded.log_instance) == 0
        assert logged.tally.tobytes() == folded.tally.tobytes()
        assert logged.histogram.tobytes() == folded.histogram.tobytes()


def test_the_histories_hold_what_they_are_to_prove() -> None:
    """Every status an asynchronous endpoint knows, work that came back, calls repeated, slots given back early."""
    seen, back, repeated = set(), 0, 0
    for seed in range(200):
        log = play(random_history(seed, requeues=True)).log()
        seen |= {record.STATUSES[status] for status in log.status}
        back += int((log.attempts[log.status == record.COMPLETED] > 1).sum())
        repeated += int((log.attempts[log.status == record.TIMED_OUT] > 1).sum())
        seen |= {record.STATUSES[status] for status in play(random_history(seed, requeues=False)).log().status}
    assert seen == {"inside", "completed", "expired", "timed_out", "failed"}
    assert back > 100
    assert repeated > 100


def test_lost_work_starts_elsewhere_at_once() -> None:
    """Whoever looks, or kills again, at the same instant finds it there."""
    requests = Chunk(np.array([0.0, 1.0]), np.array([[0.0, 0.0], [9.0, 9.0], [0.0, 0.0]]))
    station = Station(Rules(lanes.ASYNCHRONOUS, requeues=True), [1], [requests])
    for instance in range(4):
        station.open(0, instance)
    station.advance(5.0)
    station.kill(1)
    assert station.waiting_and_running().tolist() == [[0, 2]]
    station.kill(2)
    station.advance(20.0)
    log = station.log()
    assert log.start.tolist() == [0.0, 5.0]
    assert log.instance.tolist() == [0, 3]
    assert log.attempts.tolist() == [1, 3]


def test_the_queue_is_compiled_once() -> None:
    rng = np.random.default_rng(1)
    services = np.asfortranarray(rng.random((3, 50)))
    services.flags.writeable = False
    station = Station(Rules(lanes.ASYNCHRONOUS, requeues=True), (2,), [Chunk(np.arange(50), services)], chunk=7)
    station.open(0, 0)
    station.advance(20.0)
    station.kill(0)
    station.advance(60.0)
    assert len(station.inside()) > 0
    commands: list[Any] = [lanes.advance_queue, lanes.kill_place, lanes.count_calls_now]
    for command in commands:
        assert len(command.signatures) <= 1, command
