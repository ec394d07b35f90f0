"""How fast an asynchronous endpoint is beside plain SimPy processes.

    python benchmarks/asynchronous.py [--quick] [--rounds 5]

Four instances with two slots each at 80 % load: exponential work of 10 s, the input fetched and the result written
beside it, and a time to live of a minute, which some do not meet.  All take turns in one process; each round gives one
ratio to plain SimPy, and the table shows their median and range.  What is measured is CPU time, drawing included on
both sides; and all must agree on the mean latency and the share expired.
"""

import argparse
import gc
import math
import statistics
import time
from collections.abc import Callable, Generator
from typing import Any, NamedTuple

import numpy as np
import simpy
from speed import machine  # beside this file

import simlib as sl
from simlib import serving, workload

INSTANCES, SLOTS, RATE, WORK_S, TTL_S = 4, 2, 0.64, 10.0, 60.0
TRANSFER = sl.lognormal(mean=0.15, cv=0.5)

Story = Generator[simpy.Event, Any, None]


class Outcome(NamedTuple):
    """What all must agree on."""

    mean_s: float  # from acceptance to the result
    expired: float  # share


def simpy_processes(n: int) -> Outcome:
    """As SimPy's own examples are written: a process a request, slots as a `Resource`, patience as "either … or"."""
    rng, env = np.random.default_rng(1), simpy.Environment()
    slots = simpy.Resource(env, INSTANCES * SLOTS)
    log: list[tuple[float, float, float]] = []  # accepted, started (NaN: expired), finished

    def request(download: float, work: float, upload: float) -> Story:
        accepted = env.now
        with slots.request() as turn:
            yield turn | env.timeout(TTL_S)
            if not turn.triggered:
                log.append((accepted, math.nan, env.now))
                return
            started = env.now
            yield env.timeout(work)
        yield env.timeout(download + upload)
        log.append((accepted, started, env.now))

    def source() -> Story:
        gaps, works = rng.exponential(1 / RATE, n).tolist(), rng.exponential(WORK_S, n).tolist()
        transfers = [TRANSFER.sample(n, rng).tolist() for _ in range(2)]
        for gap, work, download, upload in zip(gaps, works, *transfers, strict=True):
            yield env.timeout(gap)
            env.process(request(download, work, upload))

    env.process(source())
    env.run()
    accepted, started, finished = np.array(log).T
    done = ~np.isnan(started)
    return Outcome(float((finished - accepted)[done].mean()), float(1 - done.mean()))


def end_to_end(log: sl.simulation.Log, *policies: serving.scaling.Scaling) -> Callable[[int], Outcome]:
    """What a user calls: draw, simulate, percentiles, bill."""
    endpoint = serving.Asynchronous(
        sl.ModelProfile("m", service=sl.exponential(WORK_S)),
        initial_instance_count=INSTANCES,
        max_concurrent_invocations_per_instance=SLOTS,
        request_ttl_s=TTL_S,
        upload=TRANSFER,
        download=TRANSFER,
        scaling=policies or None,
    )

    def run(n: int) -> Outcome:
        hours = n / RATE / 3600
        found = sl.simulate(endpoint, workload.poisson(RATE), hours=hours, progress=False, log=log).summary()
        return Outcome(found["mean_s"], found["error_rate"])

    return run


class Contestant(NamedTuple):
    name: str
    run: Callable[[int], Outcome]
    requests: int


BACKLOG = serving.BacklogTracking(5, min_capacity=INSTANCES, max_capacity=INSTANCES)
CONTESTANTS = [
    Contestant("SimPy, a process a request", simpy_processes, 40_000),
    Contestant("simlib, every request logged", end_to_end("exact"), 2_000_000),
    Contestant("simlib, folded", end_to_end("folded"), 2_000_000),
    Contestant("simlib, every request logged, its backlog read each minute", end_to_end("exact", BACKLOG), 200_000),
]
REQUIRED = {"simlib, every request logged": 50, "simlib, folded": 50}


def measure(rounds: int, share: float) -> list[list[float]]:
    """Requests per CPU second of each contestant in each round."""
    found: list[list[float]] = [[] for _ in CONTESTANTS]
    for contestant in CONTESTANTS:
        contestant.run(1000)  # compile, unmeasured
    for _ in range(rounds):
        outcomes = []
        for times, contestant in zip(found, CONTESTANTS, strict=True):
            n = max(2000, int(contestant.requests * share))
            gc.collect()
            begin = time.process_time()
            outcomes.append(contestant.run(n))
            times.append(n / (time.process_time() - begin))
        if share == 1.0:
            check(outcomes)
    return found


def check(outcomes: list[Outcome]) -> None:
    """All simulate the same endpoint: within what 40,000 requests scatter."""
    for outcome in outcomes[1:]:
        if abs(outcome.mean_s / outcomes[0].mean_s - 1) > 0.05 or abs(outcome.expired - outcomes[0].expired) > 0.005:
            raise SystemExit(f"They do not agree: {outcomes}")


def table(found: list[list[float]]) -> str:
    lines = ["| what | requests a CPU second | ratio to SimPy (lowest–highest) | required |", "|---|---:|---:|---:|"]
    for times, contestant in zip(found, CONTESTANTS, strict=True):
        ratios = [a / b for a, b in zip(times, found[0], strict=True)]
        ratio = f"{statistics.median(ratios):.3g} ({min(ratios):.3g}–{max(ratios):.3g})"
        rate = float(f"{statistics.median(times):.3g}")
        lines.append(
            f"| {contestant.name} | {rate / 1000:,.6g} thousand | {ratio} | {REQUIRED.get(contestant.name, '')} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="how often each takes its turn (5)")
    parser.add_argument("--quick", action="store_true", help="see that it runs: few requests, one round, no meaning")
    args = parser.parse_args()
    rounds, share = (1, 0.02) if args.quick else (max(1, args.rounds), 1.0)
    print(f"An asynchronous endpoint, CPU time, median of {rounds} interleaved rounds")
    print(f"{machine()}\n")
    print(table(measure(rounds, share)))


if __name__ == "__main__":
    main()
