"""How fast simlib is beside plain SimPy, Ciw and salabim, on one station and the same requests.

    make bench                                    # in an environment of its own, with Ciw and salabim
    python benchmarks/speed.py [--quick] [--rounds 7]

The station is M/M/8 at 80 % load: eight workers, one line, first come, first served.  Everybody is handed the same
arrivals and service times ready-made, as many as take it a good part of a second, except for the rows that draw them.
All take turns in one process; each round gives one ratio to plain SimPy, and the table shows their median and range.
What is measured is CPU time.  Before that each one runs once unmeasured, and where it serves the very same requests,
its mean wait is held against that of the recursion in plain Python.
"""

import argparse
import gc
import heapq
import platform
import statistics
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
import simpy

import simlib as sl
from simlib import serving, workload
from simlib.serving import lanes
from simlib.serving.station import Chunk, Rules, Station

WORKERS, RATE, MEAN_SERVICE_S = 8, 6.4, 1.0
BASELINE = "SimPy, processes with a `Resource`"


class Load(NamedTuple):
    """The requests, and what serving them takes."""

    arrivals: np.ndarray
    services: np.ndarray

    def first(self, n: int) -> "Load":
        return Load(self.arrivals[:n], self.services[:n])


def draw(n: int, seed: int = 1) -> Load:
    rng = np.random.default_rng(seed)
    return Load(np.cumsum(rng.exponential(1 / RATE, n)), rng.exponential(MEAN_SERVICE_S, n))


# --- others -----------------------------------------------------------------------------------------------------------
# Each takes a Load and returns the instants at which the requests start, in order of arrival.

Starts = Sequence[float] | np.ndarray


def simpy_processes(load: Load) -> Starts:
    """As SimPy's own examples are written."""
    env, starts = simpy.Environment(), []
    desk = simpy.Resource(env, WORKERS)

    def caller(service):
        with desk.request() as turn:
            yield turn
            starts.append(env.now)
            yield env.timeout(service)

    def source():
        for arrival, service in zip(load.arrivals.tolist(), load.services.tolist(), strict=True):
            yield env.timeout(arrival - env.now)
            env.process(caller(service))

    env.process(source())
    env.run()
    return starts


def simpy_callbacks(load: Load) -> Starts:
    """SimPy as a bare event list: no process, no resource."""
    env, starts = simpy.Environment(), []
    arrivals, services = iter(load.arrivals.tolist()), load.services.tolist()
    idle, waiting = WORKERS, deque()

    def expect_next():
        arrival = next(arrivals, None)
        if arrival is not None:
            env.timeout(arrival - env.now).callbacks.append(arrive)

    def arrive(_event):
        nonlocal idle
        if idle:
            idle -= 1
            start()
        else:
            waiting.append(None)
        expect_next()

    def start():
        env.timeout(services[len(starts)]).callbacks.append(finish)
        starts.append(env.now)

    def finish(_event):
        nonlocal idle
        if waiting:
            waiting.popleft()
            start()
        else:
            idle += 1

    expect_next()
    env.run()
    return starts


def recursion(load: Load) -> Starts:
    """No event list: a request starts when it arrives or when the first worker is free."""
    free, starts = [0.0] * WORKERS, []
    for arrival, service in zip(load.arrivals.tolist(), load.services.tolist(), strict=True):
        start = free[0] if free[0] > arrival else arrival
        heapq.heapreplace(free, start + service)
        starts.append(start)
    return starts


def with_ciw(load: Load) -> Starts:
    import ciw

    gaps = np.diff(load.arrivals, prepend=0.0).tolist()
    network = ciw.create_network(
        arrival_distributions=[ciw.dists.Sequential([*gaps, float("inf")])],
        service_distributions=[ciw.dists.Sequential(load.services.tolist())],
        number_of_servers=[WORKERS],
    )
    simulation = ciw.Simulation(network)
    simulation.simulate_until_max_time(float(load.arrivals[-1] + load.services.sum()))
    records = sorted(simulation.get_all_records(), key=lambda r: r.arrival_date)
    return [record.service_start_date for record in records]


def with_salabim(load: Load) -> Starts:
    import salabim

    salabim.yieldless(False)
    env, starts = salabim.Environment(trace=False), []
    desk = salabim.Resource("desk", WORKERS, env=env, monitor=False)

    class Caller(salabim.Component):
        def setup(self, service):
            self.service = service

        def process(self):
            yield self.request(desk)
            starts.append(env.now())
            yield self.hold(self.service)
            self.release(desk)

    class Source(salabim.Component):
        def process(self):
            for arrival, service in zip(load.arrivals.tolist(), load.services.tolist(), strict=True):
                yield self.hold(till=arrival)
                Caller(service=service, env=env)

    Source(env=env)
    env.run(till=float(load.arrivals[-1] + load.services.sum()))
    return starts


# --- simlib -----------------------------------------------------------------------------------------------------------


def end_to_end(log: sl.simulation.Log) -> Callable[[Load], None]:
    """What a user calls: draw, simulate, percentiles, bill."""
    model = sl.ModelProfile("unit", service=sl.exponential(MEAN_SERVICE_S))
    endpoint = serving.RealTime(model, initial_instance_count=WORKERS, routing="SHARED_QUEUE")

    def run(load: Load) -> None:
        hours = len(load.arrivals) / RATE / 3600
        sl.simulate(endpoint, workload.poisson(RATE), hours=hours, progress=False, log=log).summary()

    return run


def kernel(rules: Rules, *, look_every_s: float = np.inf) -> Callable[[Load], Starts | None]:
    """The lane alone, handed the requests.  Starts are given back where it logs them and serves all from one line."""
    compares = rules == LOGGED
    rng = np.random.default_rng(2)
    uniform: list[np.ndarray] = []  # for routing; drawn once, before anything is measured

    def run(load: Load) -> Starts | None:
        n = len(load.arrivals)
        if not uniform or len(uniform[0]) != n:
            uniform[:] = [rng.random(n)]
        station = Station(rules, [1], [Chunk(load.arrivals, load.services[None], u_instance=uniform[0])])
        for instance in range(WORKERS):
            station.open(0, instance)
        end = float(load.arrivals[-1]) + 1000.0
        for look in np.arange(look_every_s, end, look_every_s) if look_every_s < end else []:
            station.advance(look)
        station.advance(end)
        return station.lane.log_times[lanes.START, :n] if compares else None

    return run


# --- limits that no simulator of this station beats -------------------------------------------------------------------


def drawing(load: Load) -> None:
    draw(len(load.arrivals))


def percentiles(load: Load) -> None:
    np.quantile(load.services, (0.5, 0.95, 0.99))


# --- taking turns -----------------------------------------------------------------------------------------------------


class Contestant(NamedTuple):
    name: str
    run: Callable[[Load], Starts | None]
    requests: int
    required: float | None = None  # ratio to BASELINE
    needs: str = "simpy"  # the package it needs


BARE = Rules(lanes.SHARED_QUEUE, log=False)
LOGGED = Rules(lanes.SHARED_QUEUE)
FULL = Rules(lanes.SHARED_QUEUE, queue_limit=20, timeout_s=3.0, log=False, fold=True)
RANDOM, LEAST = Rules(lanes.RANDOM), Rules(lanes.LEAST_OUTSTANDING_REQUESTS)
MANY = 3_000_000

# A lane always counts per minute (arrivals, outcomes, latency, busy time); "bare" is that and no more.
CONTESTANTS = [
    Contestant(BASELINE, simpy_processes, 20_000),
    Contestant("SimPy, bare callbacks", simpy_callbacks, 100_000),
    Contestant("Ciw", with_ciw, 10_000, needs="ciw"),
    Contestant("salabim", with_salabim, 5_000, needs="salabim"),
    Contestant("recursion in plain Python", recursion, 500_000),
    Contestant("simlib, end to end: draw, simulate, percentiles, bill", end_to_end("exact"), MANY, 80),
    Contestant("simlib, end to end, folded", end_to_end("folded"), MANY),
    Contestant("lane: SHARED_QUEUE, bare", kernel(BARE), MANY, 300),
    Contestant("lane: SHARED_QUEUE, every request logged", kernel(LOGGED), MANY),
    Contestant("lane: SHARED_QUEUE, queue limit, time-out, folded", kernel(FULL), MANY, 150),
    Contestant("lane: RANDOM, every request logged", kernel(RANDOM), MANY),
    Contestant("lane: LEAST_OUTSTANDING_REQUESTS, every request logged", kernel(LEAST), MANY, 100),
    Contestant("lane: SHARED_QUEUE, every request logged, a look a minute", kernel(LOGGED, look_every_s=60.0), MANY),
    Contestant("limit: drawing the random numbers alone (numpy)", drawing, MANY),
    Contestant("limit: three percentiles alone (numpy)", percentiles, MANY),
]


def installed(contestant: Contestant) -> bool:
    return find_spec(contestant.needs) is not None


def check(contestant: Contestant, load: Load, waits: np.ndarray) -> None:
    """Run it once, unmeasured; what it computes must be the station everybody simulates."""
    starts = contestant.run(load)
    if starts is None:
        return
    found, right = float(np.mean(np.asarray(starts) - load.arrivals)), float(waits[: len(load.arrivals)].mean())
    if not np.isclose(found, right, rtol=1e-6):
        sys.exit(f"{contestant.name} finds a mean wait of {found} s where the recursion finds {right} s.")


def requests_per_s(contestant: Contestant, load: Load) -> float:
    gc.collect()
    begin = time.process_time()
    contestant.run(load)
    return len(load.arrivals) / (time.process_time() - begin)


def measure(rounds: int, share: float) -> dict[str, list[float]]:
    """Requests per CPU second in each round, by contestant; all take turns, round by round."""
    here = [c._replace(requests=max(500, int(c.requests * share))) for c in CONTESTANTS if installed(c)]
    load = draw(max(c.requests for c in here))
    waits = np.asarray(recursion(load)) - load.arrivals
    for contestant in here:
        check(contestant, load.first(contestant.requests), waits)
    found: dict[str, list[float]] = {c.name: [] for c in here}
    for _ in range(rounds):
        for contestant in here:
            found[contestant.name].append(requests_per_s(contestant, load.first(contestant.requests)))
    return found


# --- telling ----------------------------------------------------------------------------------------------------------


def table(found: dict[str, list[float]]) -> str:
    lines = [
        "| what | requests/s | ratio to SimPy (lowest–highest) | required |",
        "|---|---:|---:|---:|",
    ]
    for contestant in CONTESTANTS:
        if contestant.name not in found:
            lines.append(f"| {contestant.name} | skipped: not installed | | |")
            continue
        rates = found[contestant.name]
        ratios = [rate / base for rate, base in zip(rates, found[BASELINE], strict=True)]
        ratio = f"{_short(statistics.median(ratios))} ({_short(min(ratios))}–{_short(max(ratios))})"
        required = f"{contestant.required:g}" if contestant.required else ""
        lines.append(f"| {contestant.name} | {_thousands(statistics.median(rates))} | {ratio} | {required} |")
    return "\n".join(lines)


def _short(ratio: float) -> str:
    return f"{ratio:.0f}" if ratio >= 10 else f"{ratio:.2g}"


def _thousands(rate: float) -> str:
    """Three significant digits."""
    return f"{float(f'{rate:.3g}') / 1000:,.6g} thousand"


def machine() -> str:
    """Processor, Python, versions and date, in a line."""
    cpu = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        cpu = f"{names[0]}, {len(names)} processors" if names else cpu
    versions = []
    for package in ("numpy", "numba", "simpy", "ciw", "salabim"):
        try:
            versions.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return f"{cpu}; Python {platform.python_version()}; {', '.join(versions)}; {datetime.now(UTC):%Y-%m-%d}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="how often each takes its turn (7)")
    parser.add_argument("--quick", action="store_true", help="see that it runs: few requests, one round, no meaning")
    args = parser.parse_args()
    rounds, share = (1, 0.01) if args.quick else (max(1, args.rounds), 1.0)
    print(
        f"M/M/{WORKERS} at {RATE * MEAN_SERVICE_S / WORKERS:.0%} load, CPU time, median of {rounds} interleaved rounds"
    )
    print(f"{machine()}\n")
    print(table(measure(rounds, share)))


if __name__ == "__main__":
    main()
