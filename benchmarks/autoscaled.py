"""A day with an autoscaler: simlib beside plain SimPy, which serves the same requests and comes to the same decisions.

    python benchmarks/autoscaled.py [--quick] [--rounds 3]

A daily wave of 20 requests/s on average meets one line in front of a fleet under target tracking; the fleet has 1 to 6
instances in the course of the day.  SimPy is a process a request, one an instance that comes up, and one that looks
each minute and follows the vendor's published rules (the tests' `PaperAutoscaler`).  It is told in two ways: "as a user
writes it" keeps the idle instances in a `simpy.Store`; "the leanest" does without, and wakes only who has to wait.
Before anything is measured all must agree: on when each request starts (to a microsecond: SimPy's clock adds up delays,
and so rounds) and on each capacity asked for.  What is measured is CPU time, drawing included on both sides; simlib
also has its percentiles and its bill ready.
"""

import argparse
import gc
import math
import statistics
import sys
import time
from collections import deque
from collections.abc import Callable, Generator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import simpy
from speed import machine  # beside this file

import simlib as sl
from simlib import serving, workload

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.reference.autoscaler import PaperAutoscaler

LOAD = workload.diurnal(mean_rate=20, peak_to_mean=1.8, peak_hour=14)
MODEL = sl.ModelProfile("tagger", service=sl.lognormal(mean=0.08, cv=0.4), size_mb=200, load_seconds=5)
POLICY = serving.TargetTracking(target=600, min_capacity=1, max_capacity=6)
LIFE = serving.InstanceLife(launch=sl.constant(150), container_start=sl.constant(23), download_mb_per_s=100)
COMES_UP_S = 150 + 23 + 200 / 100 + 5
DEPLOYMENT = serving.RealTime(
    MODEL,
    initial_instance_count=2,
    routing="SHARED_QUEUE",
    scaling=POLICY,
    instance_life=LIFE,
    invocation_timeout_s=1e6,
)
SEED = 1


def with_simlib(hours: float, log: sl.simulation.Log = "exact") -> sl.results.Run:
    run = sl.simulate(DEPLOYMENT, LOAD, hours=hours, seed=SEED, log=log, progress=False)
    run.summary()
    return run


def requests(end_s: float) -> tuple[list[float], list[float]]:
    """Arrivals and service times, drawn as simlib draws them."""
    sim = sl.Simulation(seed=SEED)
    stream, arrivals, services = sim.rng(LOAD.name, "service", MODEL.name), [], []
    for block in LOAD.blocks(sim.rng(LOAD.name, "arrivals")):
        arrivals.append(block.times)
        services.append(MODEL.service.durations(len(block.times), stream, block.work))
        if block.times[-1] >= end_s:
            break
    times = np.concatenate(arrivals)
    return times[times < end_s].tolist(), np.concatenate(services).tolist()


class Desk(NamedTuple):
    """How SimPy is told to hand requests to instances."""

    request: Callable[[int, float], Generator[simpy.Event, int, None]]  # (number, service): served, and its start noted
    is_free: Callable[[int], object]  # an instance can take a request
    leave: Callable[[int], None]  # an instance takes none any more


def leanest(env: simpy.Environment, starts: list[float], serving_now: set[int]) -> Desk:
    idle = deque(sorted(serving_now))  # the longest idle first
    waiting: deque[simpy.Event] = deque()

    def request(k: int, service: float):
        if idle and not waiting:
            instance = idle.popleft()
        else:
            turn = env.event()
            waiting.append(turn)
            instance = yield turn
        starts[k] = env.now
        yield env.timeout(service)
        if instance in serving_now:
            is_free(instance)

    def is_free(instance: int) -> None:
        if waiting:
            waiting.popleft().succeed(instance)
        else:
            idle.append(instance)

    def leave(instance: int) -> None:
        if instance in idle:
            idle.remove(instance)

    return Desk(request, is_free, leave)


def as_a_user_writes_it(env: simpy.Environment, starts: list[float], serving_now: set[int]) -> Desk:
    idle = simpy.Store(env)
    idle.items.extend(sorted(serving_now))

    def request(k: int, service: float):
        instance = yield idle.get()
        starts[k] = env.now
        yield env.timeout(service)
        if instance in serving_now:
            yield idle.put(instance)

    def leave(instance: int) -> None:
        if instance in idle.items:
            idle.items.remove(instance)

    return Desk(request, idle.put, leave)


Told = Callable[[simpy.Environment, list[float], set[int]], Desk]


def with_simpy(hours: float, told: Told) -> tuple[list[float], list[tuple[float, int]]]:
    """Starts of the requests, in order of arrival; (moment, capacity asked for)."""
    env, end = simpy.Environment(), hours * 3600
    arrivals, services = requests(end)
    starts, asked = [math.nan] * len(arrivals), [(0.0, DEPLOYMENT.fleets[0].initial_instance_count)]
    serving_now, coming = set(range(asked[0][1])), dict[int, simpy.Process]()
    request, is_free, leave = told(env, starts, serving_now)
    calls = 0.0  # of this minute, by instance

    def source():
        nonlocal calls
        for k, (arrival, service) in enumerate(zip(arrivals, services, strict=False)):
            yield env.timeout(arrival - env.now)
            calls += 1 / len(serving_now)
            env.process(request(k, service))

    def come_up(instance: int):
        try:
            yield env.timeout(COMES_UP_S)
        except simpy.Interrupt:
            return
        del coming[instance]
        serving_now.add(instance)
        is_free(instance)

    def autoscaler():
        nonlocal calls
        paper, born = PaperAutoscaler([POLICY], asked[0][1]), asked[0][1]
        while True:
            yield env.timeout(60.0)
            value, calls = (round(calls, 9) or math.nan), 0.0
            paper.read(env.now, {0: value}, len(serving_now))
            if paper.asked == asked[-1][1]:
                continue
            asked.append((env.now, paper.asked))
            while len(serving_now) + len(coming) < paper.asked:
                coming[born] = env.process(come_up(born))
                born += 1
            while len(serving_now) + len(coming) > paper.asked:
                newest = max(serving_now | coming.keys())
                if newest in coming:
                    coming.pop(newest).interrupt()
                else:
                    serving_now.remove(newest)
                    leave(newest)

    env.process(autoscaler())
    env.process(source())
    env.run(until=end)
    return starts, asked


def agree(hours: float) -> str:
    """A sentence on what all found; leaves where they differ."""
    run = with_simlib(hours)
    log = run.snapshot.requests
    assert log is not None
    ours = [(time, wanted) for time, _, wanted in run.snapshot.desired]
    for told in (leanest, as_a_user_writes_it):
        starts, asked = with_simpy(hours, told)
        if ours != asked:
            sys.exit(f"Capacities differ: simlib {ours}, SimPy {asked}.")
        apart = np.flatnonzero(~np.isclose(log.start, starts, rtol=0, atol=1e-6, equal_nan=True))
        if len(apart):
            k = apart[0]
            sys.exit(f"Starts differ, first of request {k}: simlib {log.start[k]}, SimPy {starts[k]}.")
    return f"{len(log.start):,} requests and {len(ours) - 1} changes of capacity, and all agree on each."


def measure(rounds: int, hours: float) -> str:
    models = {"SimPy, the leanest": leanest, "SimPy, as a user writes it": as_a_user_writes_it}
    calls = {
        **{name: partial(with_simpy, hours, told) for name, told in models.items()},
        "simlib, every request logged": lambda: with_simlib(hours),
        "simlib, folded": lambda: with_simlib(hours, "folded"),
    }
    with_simlib(0.1, "folded")  # compile, unmeasured
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            gc.collect()
            begin = time.process_time()
            call()
            seconds[name].append(time.process_time() - begin)
    lines = ["| what | CPU s | to the leanest SimPy (lowest–highest) | to a user's |", "|---|---:|---:|---:|"]
    for name, took in seconds.items():
        told = []
        for model in models:
            ratios = [base / own for base, own in zip(seconds[model], took, strict=True)]
            told.append(f"{statistics.median(ratios):.3g} ({min(ratios):.3g}–{max(ratios):.3g})")
        lines.append(f"| {name} | {statistics.median(took):.3g} | {' | '.join(told)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="how often each takes its turn (3)")
    parser.add_argument("--quick", action="store_true", help="see that it runs: an hour, one round, no meaning")
    args = parser.parse_args()
    rounds, hours = (1, 1.0) if args.quick else (max(1, args.rounds), 24.0)
    print(f"A day with an autoscaler, CPU time, median of {rounds} interleaved rounds\n{machine()}\n")
    print(agree(hours), "\n", flush=True)
    print(measure(rounds, hours))


if __name__ == "__main__":
    main()
