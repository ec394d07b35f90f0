"""A day with an autoscaler: simlib beside plain SimPy, which serves the same requests and comes to the same decisions.

    python benchmarks/autoscaled.py [--quick] [--rounds 3]

A daily wave of 20 requests/s on average meets one line in front of a fleet under target tracking; the fleet has 1 to 6
instances in the course of the day.  SimPy is a process a request, one an instance that comes up, and one that looks
each minute and follows the vendor's published rules (the tests' `PaperAutoscaler`).  Before anything is measured the
two must agree: on when each request starts (to a microsecond: SimPy's clock adds up delays, and so rounds) and on each
capacity asked for.  What is measured is CPU time, drawing included on both sides; simlib also has its percentiles and
its bill ready.
"""

import argparse
import gc
import math
import statistics
import sys
import time
from bisect import insort
from collections import deque
from pathlib import Path

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


def with_simpy(hours: float) -> tuple[list[float], list[tuple[float, int]]]:
    """Starts of the requests, in order of arrival; (moment, capacity asked for)."""
    env, end = simpy.Environment(), hours * 3600
    arrivals, services = requests(end)
    starts, asked = [math.nan] * len(arrivals), [(0.0, DEPLOYMENT.fleets[0].initial_instance_count)]
    serving_now, coming = set(range(asked[0][1])), dict[int, simpy.Process]()
    idle = [(0.0, instance) for instance in sorted(serving_now)]  # (since, instance)
    waiting: deque[simpy.Event] = deque()
    calls = 0.0  # of this minute, by instance

    def request(k: int, service: float):
        if idle and not waiting:
            _, instance = idle.pop(0)
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
            insort(idle, (env.now, instance))

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
        nonlocal calls, idle
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
                    idle = [each for each in idle if each[1] != newest]

    env.process(autoscaler())
    env.process(source())
    env.run(until=end)
    return starts, asked


def agree(hours: float) -> str:
    """A sentence on what both found; leaves where they differ."""
    run, (starts, asked) = with_simlib(hours), with_simpy(hours)
    log = run.snapshot.requests
    assert log is not None
    ours = [(time, wanted) for time, _, wanted in run.snapshot.desired]
    if ours != asked:
        sys.exit(f"Capacities differ: simlib {ours}, SimPy {asked}.")
    apart = np.flatnonzero(~np.isclose(log.start, starts, rtol=0, atol=1e-6, equal_nan=True))
    if len(apart):
        sys.exit(f"Starts differ, first of request {apart[0]}: simlib {log.start[apart[0]]}, SimPy {starts[apart[0]]}.")
    return f"{len(starts):,} requests and {len(asked) - 1} changes of capacity, and both agree on each."


def measure(rounds: int, hours: float) -> str:
    calls = {
        "SimPy, a process a request": lambda: with_simpy(hours),
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
    lines = ["| what | CPU s | ratio to SimPy (lowest–highest) |", "|---|---:|---:|"]
    for name, took in seconds.items():
        ratios = [base / own for base, own in zip(seconds["SimPy, a process a request"], took, strict=True)]
        ratio = f"{statistics.median(ratios):.3g} ({min(ratios):.3g}–{max(ratios):.3g})"
        lines.append(f"| {name} | {statistics.median(took):.3g} | {ratio} |")
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
