"""Random histories of an endpoint: requests, rules, and a life of instances opened, drained, killed and re-weighted.

Half of them keep every time on a grid of eighths, so that many things fall on one instant and ties are tried too.
"""

from typing import Any, NamedTuple

import numpy as np

from simlib.serving import lanes
from simlib.serving.station import Chunk, Requests, Rules, Station


class History(NamedTuple):
    """All that a lane and its reference are given."""

    rules: Rules
    workers: tuple[int, ...]
    requests: Chunk
    commands: list[tuple[Any, ...]]  # (time, command, arguments …), in order of time
    end: float


def random_history(seed: int, routing: int, *, fold: bool = False) -> History:
    """One history of 20 to 120 requests; the same seed gives the same one."""
    rng = np.random.default_rng([seed, routing])
    on_grid = bool(rng.integers(2))
    variants = int(rng.integers(1, 3))
    workers = tuple(int(w) for w in rng.integers(1, 4, variants))
    n = int(rng.integers(20, 121))
    instances = int(rng.integers(1, 4))
    rate = instances * float(np.mean(workers)) * rng.uniform(0.4, 1.8)
    arrivals, services = np.cumsum(rng.exponential(1 / rate, n)), rng.lognormal(-0.3, 0.8, (variants, n))
    patience, base = float(rng.uniform(0.8, 6.0)), float(rng.uniform(0.05, 1.0))
    if on_grid:
        arrivals, services = np.sort(_eighths(arrivals)), _eighths(services)
        patience, base = float(_eighths(np.array(patience))), 0.25
    rules = Rules(
        routing,
        queue_limit=int(rng.integers(0, 9)) if rng.random() < 0.6 else lanes.NO_LIMIT,
        timeout_s=patience if rng.random() < 0.8 else np.inf,
        cancel_on_timeout=bool(rng.integers(2)),
        max_attempts=int(rng.integers(1, 5)),
        backoff_base_s=base,
        backoff_factor=2.0,
        backoff_jitter=not on_grid and bool(rng.integers(2)),
        fold=fold,
    )
    requests = Chunk(arrivals, services, rng.random(n), rng.random(n), rng.random(n))
    end = float(arrivals[-1]) * 1.02 + 0.125
    commands = _life(rng, float(arrivals[-1]), instances, variants, on_grid)
    return History(rules, workers, requests, [c for c in commands if c[0] <= end], end)


def play(history: History, *, chunk: int = 1 << 16, looks: int = 0, seed: int = 0) -> Station:
    """The history through the lane, looked at now and then."""
    station = Station(history.rules, history.workers, [history.requests], chunk=chunk)
    for at, what, *arguments in _with_looks(history, looks, seed):
        station.advance(at)
        if what != "look":
            getattr(station, what)(*arguments)
    station.advance(history.end)
    return station


def same(a: Requests, b: Requests) -> bool:
    """Bit for bit."""
    return all(x.dtype == y.dtype and np.array_equal(x, y, equal_nan=x.dtype.kind == "f") for x, y in zip(a, b, strict=True))


def _eighths(times: np.ndarray) -> np.ndarray:
    return np.round(times * 8) / 8


def _life(rng: np.random.Generator, last: float, instances: int, variants: int, on_grid: bool) -> list[tuple[Any, ...]]:
    commands: list[tuple[Any, ...]] = [(0.0, "open", j % variants, j) for j in range(instances)]
    serving, opened = list(range(instances)), instances
    for at in np.sort(rng.uniform(0, last, rng.integers(0, 14))):
        at = float(_eighths(at)) if on_grid else float(at)
        what = rng.integers(4)
        if what == 0:
            commands.append((at, "open", int(rng.integers(variants)), opened))
            serving.append(opened)
            opened += 1
        elif what == 1:
            commands.append((at, "weigh", rng.random(variants).tolist()))
        elif serving:
            gone = serving.pop(int(rng.integers(len(serving))))
            if what == 2:  # a crash
                commands.append((at, "kill", gone))
            else:
                later = at + float(rng.uniform(0, 2.0))
                commands += [(at, "drain", gone), (float(_eighths(np.array(later))) if on_grid else later, "kill", gone)]
    return sorted(commands, key=lambda c: c[0])


def _with_looks(history: History, looks: int, seed: int) -> list[tuple[Any, ...]]:
    moments = np.random.default_rng(seed).uniform(0, history.end, looks)
    return sorted([*history.commands, *[(float(at), "look") for at in moments]], key=lambda c: c[0])
