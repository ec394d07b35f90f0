"""Random histories of an endpoint: requests, rules, and a life of instances opened, drained, killed and re-weighted.

Half of the random ones, and all that hypothesis draws, keep every time on a grid of eighths, so that many things fall
on one instant and ties are tried too.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from simlib import record
from simlib.record import Requests
from simlib.serving import lanes
from simlib.serving.station import Chunk, Rules, Station
from tests.reference.station import ReferenceStation

ROUTINGS = {
    "RANDOM": lanes.RANDOM,
    "LEAST_OUTSTANDING_REQUESTS": lanes.LEAST_OUTSTANDING_REQUESTS,
    "SHARED_QUEUE": lanes.SHARED_QUEUE,
}

COUNTED = ("arrived", *record.STATUSES[1:], "retried", "latency_s", "busy_s")  # the columns of a lane's tally

Command = tuple[Any, ...]  # (time, command, arguments …)


class History(NamedTuple):
    """All that a lane and its reference are given."""

    rules: Rules
    workers: tuple[int, ...]
    requests: Chunk
    commands: list[Command]  # in order of time
    end: float

    def with_looks(self, moments: Iterable[float]) -> "History":
        """The same, looked at at these *moments* too."""
        looks: list[Command] = [(float(at), "look") for at in moments]
        return self._replace(commands=sorted([*self.commands, *looks], key=lambda c: c[0]))


class Decision(NamedTuple):
    """One thing that happens to the fleet, before it is known whom it strikes."""

    at: float
    what: str  # "open" | "kill" | "drain" | "weigh"
    whom: float  # from 0 to 1: which variant, or which of the instances in service
    lasting: float  # drain: seconds until it is killed
    weights: tuple[float, ...]


# --- the lane, the reference, and whether they agree ------------------------------------------------------------------


class WatchedStation(Station):
    """A station that at each look writes down who is inside, and checks that nobody is lost."""

    def look(self) -> None:
        self.readings = [*getattr(self, "readings", []), self.waiting_and_running().tolist()]
        settled = int(self.lane.tally[:, :, record.COMPLETED : record.FAILED + 1].sum())
        assert self.arrived == settled + len(self.inside()), f"arrived is not settled + inside at {self.now} s"
        assert self.arrived == self.lane.tally[:, :, record.ARRIVED].sum()


def play(history: History, *, chunk: int = 1 << 16) -> WatchedStation:
    """The history through the lane, with a look at the end."""
    station = WatchedStation(history.rules, history.workers, [history.requests], chunk=chunk)
    for at, what, *arguments in [*history.commands, (history.end, "look")]:
        station.advance(at)
        getattr(station, what)(*arguments)
    return station


def refer(history: History) -> ReferenceStation:
    """The history through plain SimPy, with a look at the end."""
    reference = ReferenceStation(history.rules, history.workers, history.requests)
    reference.run([*history.commands, (history.end, "look")], history.end)
    return reference


def difference(history: History, *, chunk: int = 1 << 16) -> str:
    """Where the lane differs from the reference, in a sentence; empty if nowhere."""
    station, reference = play(history, chunk=chunk), refer(history)
    if station.readings != reference.readings:
        return f"[waiting, busy] at the looks: lane {station.readings}, reference {reference.readings}"
    return first_difference(station.log(), reference.log()) or _difference_of_counts(station, reference)


def first_difference(lane: Requests, reference: Requests) -> str:
    """The first request whose log is not the same bit for bit, in a sentence; empty if there is none."""
    if len(lane.arrival) != len(reference.arrival):
        return f"lane has {len(lane.arrival)} requests, reference {len(reference.arrival)}"
    apart = np.zeros(len(lane.arrival), bool)
    for ours, theirs in zip(lane, reference, strict=True):
        if ours.dtype != theirs.dtype:
            return f"lane's {ours.dtype} is the reference's {theirs.dtype}"
        if ours.shape != theirs.shape:
            return f"lane's {ours.shape} is the reference's {theirs.shape}"
        if ours.size:  # a column that this kind of endpoint has
            apart |= (ours != theirs) & ~((ours != ours) & (theirs != theirs))
    if not apart.any():
        return ""
    row = int(np.argmax(apart))
    return f"{apart.sum()} requests differ, first {row}: lane {_told(lane, row)}; reference {_told(reference, row)}"


def _told(log: Requests, row: int) -> str:
    values = {name: column[row].item() for name, column in log._asdict().items() if column.size}
    values["status"] = record.STATUSES[values["status"]]
    return " ".join(f"{name}={value!r}" for name, value in values.items())


def _difference_of_counts(station: Station, reference: ReferenceStation) -> str:
    """Where the tables differ.  Sums of seconds may by 1 ns for each request and slot, since lanes count whole ns."""
    requests, slots = station.arrived, station.lane.slots.size
    for v, minutes in enumerate(station.lane.tally):
        for m, tally in enumerate(minutes):
            found = dict(zip(COUNTED, tally.tolist(), strict=False))  # the rest is of serverless endpoints
            found["per_instance"] = station.lane.per_instance[v, m]
            for what, ours in found.items():
                theirs = reference.counted.get((v, m, what), 0.0)
                if what in ("latency_s", "busy_s"):
                    ours, allowed = ours / 1e9, 1e-9 * (requests + slots)
                else:
                    allowed = 1e-9 if what == "per_instance" else 0.0
                if abs(ours - theirs) > allowed:
                    return f"variant {v}, minute {m}, {what}: lane {ours!r}, reference {theirs!r}"
    return ""


# --- drawing a history ------------------------------------------------------------------------------------------------


def random_history(seed: int, routing: int, *, log: bool = True, fold: bool = False) -> History:
    """One history of 20 to 120 requests; the same seed gives the same one."""
    rng = np.random.default_rng([seed, routing])
    on_grid = bool(rng.integers(2))
    scale = float(rng.choice([1, 16, 512]))  # within a minute or two, over many minutes, over hours
    variants = int(rng.integers(1, 4))
    workers = tuple(int(w) for w in rng.integers(1, 4, variants))
    n = int(rng.integers(20, 121))
    instances = int(rng.integers(1, 5))
    rate = instances * float(np.mean(workers)) * rng.uniform(0.4, 1.8)
    arrivals, services = np.cumsum(rng.exponential(1 / rate, n)), rng.lognormal(-0.3, 0.8, (variants, n))
    patience, base = float(rng.uniform(0.8, 6.0)), float(rng.uniform(0.05, 1.0))
    if on_grid:
        arrivals, services, patience, base = np.sort(_eighths(arrivals)), _eighths(services), _eighth(patience), 0.25
    rules = Rules(
        routing,
        queue_limit=int(rng.integers(0, 9)) if rng.random() < 0.6 else lanes.NO_LIMIT,
        refusal=record.THROTTLED if seed % 3 == 0 else record.REJECTED,
        timeout_s=patience * scale if rng.random() < 0.8 else np.inf,
        cancel_on_timeout=bool(rng.integers(2)),
        max_attempts=int(rng.integers(1, 5)),
        backoff_base_s=base * scale,
        backoff_factor=float(rng.choice([1.0, 1.5, 2.0])),
        backoff_jitter=not on_grid and bool(rng.integers(2)),
        log=log,
        fold=fold,
    )
    rules = rules._replace(limit_grows=routing == lanes.SHARED_QUEUE and bounded(rules) and seed % 2 == 0)
    requests = Chunk(arrivals * scale, services * scale, rng.random(n), rng.random(n), rng.random(n))
    end = (float(arrivals[-1]) * 1.02 + 0.125) * scale
    decisions = []
    for at in rng.uniform(0, arrivals[-1], rng.integers(0, 14)):
        lasting, weights = float(rng.uniform(0, 2.0)), rng.random(variants) * (rng.random(variants) < 0.8) + 1e-9
        at, lasting = (_eighth(at), _eighth(lasting)) if on_grid else (float(at), lasting)
        what = str(rng.choice(["open", "weigh", "kill", "drain"]))
        decisions.append(Decision(at * scale, what, rng.random(), lasting * scale, tuple(weights.tolist())))
    return History(rules, workers, requests, life(decisions, instances, variants, end), end)


def bounded(rules: Rules) -> bool:
    """Whether a line has a limit."""
    return rules.queue_limit != lanes.NO_LIMIT


def life(decisions: Iterable[Decision], instances: int, variants: int, end: float) -> list[Command]:
    """A fleet that starts with so many *instances*, dealt out to the variants, and what is decided until *end*."""
    commands: list[Command] = [(0.0, "open", j % variants, j) for j in range(instances)]
    serving, opened = list(range(instances)), instances
    for at, what, whom, lasting, weights in sorted(decisions):
        if what == "open":
            commands.append((at, "open", int(whom * variants), opened))
            serving.append(opened)
            opened += 1
        elif what == "weigh":
            commands.append((at, "weigh", list(weights)))
        elif serving:
            gone = serving.pop(int(whom * len(serving)))
            commands += [(at, "drain", gone), (at + lasting, "kill", gone)] if what == "drain" else [(at, "kill", gone)]
    return sorted((c for c in commands if c[0] <= end), key=lambda c: c[0])


def growing_history(seed: int, routing: int) -> History:
    """Thousands of requests inside at once, long lines, and instances that come by the dozen and go again."""
    rng = np.random.default_rng([seed, routing])
    n, variants, instances, end = 5000, 2, 3, 600.0
    arrivals = np.cumsum(rng.exponential(0.02, n))  # in 100 s, to a fleet that can do this in 200 s
    requests = Chunk(arrivals, rng.lognormal(-0.3, 0.8, (variants, n)), rng.random(n), rng.random(n), rng.random(n))
    decisions = [
        Decision(float(at), str(what), rng.random(), 5.0, (1.0, float(rng.random())))
        for kinds, at in [
            *((["open", "open", "drain", "weigh"], at) for at in rng.uniform(0, 60, 60)),
            *((["open", "kill", "drain", "weigh"], at) for at in rng.uniform(60, end, 100)),
        ]
        for what in [rng.choice(kinds)]
    ]
    rules = Rules(routing, timeout_s=200.0, max_attempts=3, backoff_base_s=2.0, backoff_jitter=True, fold=True)
    return History(rules, (1, 2), requests, life(decisions, instances, variants, end), end)


@st.composite
def small_histories(draw: st.DrawFn, routing: int) -> History:
    """A history of a few requests and decisions at eighths of a second, which shrinks to a readable one."""

    def eighths(low: float, high: float) -> st.SearchStrategy[float]:
        return st.integers(int(low * 8), int(high * 8)).map(lambda n: n / 8)

    shares = st.integers(0, 7).map(lambda n: n / 8)
    variants, n, instances = draw(st.integers(1, 2)), draw(st.integers(1, 12)), draw(st.integers(0, 3))
    end = 8.0

    def numbers(values: st.SearchStrategy[float]) -> np.ndarray:
        return np.array(draw(st.lists(values, min_size=n, max_size=n)))

    rules = Rules(
        routing,
        queue_limit=draw(st.one_of(st.just(lanes.NO_LIMIT), st.integers(0, 3))),
        timeout_s=draw(st.one_of(st.just(np.inf), eighths(0.125, 4))),
        cancel_on_timeout=draw(st.booleans()),
        max_attempts=draw(st.integers(1, 3)),
        backoff_base_s=draw(eighths(0, 1)),
        backoff_factor=draw(st.sampled_from([1.0, 2.0])),
        refusal=draw(st.sampled_from([record.REJECTED, record.THROTTLED])),
    )
    rules = rules._replace(limit_grows=routing == lanes.SHARED_QUEUE and bounded(rules) and draw(st.booleans()))
    workers = draw(st.tuples(*[st.integers(1, 2)] * variants))
    arrivals = np.sort(numbers(eighths(0, end)))
    services = np.stack([numbers(eighths(0, 3)) for _ in range(variants)])
    requests = Chunk(arrivals, services, numbers(shares), numbers(shares), numbers(shares))
    decision = st.builds(
        Decision,
        at=eighths(0, end),
        what=st.sampled_from(["open", "kill", "drain", "weigh"]),
        whom=shares,
        lasting=eighths(0, 2),
        weights=st.tuples(*[eighths(0.125, 1)] * variants),
    )
    commands = life(draw(st.lists(decision, max_size=6)), instances, variants, end)
    return History(rules, workers, requests, commands, end)


def _eighths(times: np.ndarray) -> np.ndarray:
    return np.round(times * 8) / 8


def _eighth(time: float) -> float:
    return round(float(time) * 8) / 8
