"""How fast a serverless endpoint is beside plain SimPy processes, and at two hundred times the traffic.

    python benchmarks/serverless.py [--quick] [--rounds 5]

The endpoint is the one of the steady state that is known (docs/validation.md): service exponential 1.991 s, cold
2.244 s, containers kept for 600 s.  All take turns in one process; each round gives ratios to plain SimPy at the same
traffic, and the table shows their median and range.  What is measured is CPU time, drawing included on both sides.

SimPy is told in four ways: "the leanest" keeps its idle containers in a sorted list, looks for dead ones only when it
needs one, and answers nothing but how many were cold; "the same answers" is that one with what simlib's rows include:
the log's columns, percentiles and the bill; "as a user writes it" gives each idle spell a process that ends the
container; "with every rule" is the reference of the tests.

SimFaaS, where `make bench` has made an environment for it, takes its turns at 20 requests/s in a process of its own.
"""

import argparse
import gc
import json
import math
import statistics
import subprocess
import sys
import time
from bisect import insort
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import simpy
from speed import machine  # beside this file

import simlib as sl
from simlib import serving, workload
from simlib.serving import lanes
from simlib.serving.station import Chunk, Rules

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.reference.pool import ReferencePool

WARM_S, COLD_S, KEEP_S, MOST = 1.991, 2.244, 600.0, 1000


Log = list[tuple[float, float, float, int, bool, bool]]  # arrival, start, finish, container, cold, throttled


def simpy_leanest(rate: float, n: int) -> float:
    """As SimPy's own examples are written: a process a request, with its times kept.  Returns the share cold."""
    rng, env = np.random.default_rng(1), simpy.Environment()
    idle: list[tuple[int, float]] = []  # (number, idle since), newest created last
    created = busy = 0
    log: list[tuple[float, float, bool, bool]] = []  # arrival, finish, cold, throttled

    def request(warm_s: float, cold_s: float):
        nonlocal created, busy
        arrival = env.now
        if busy >= MOST:
            log.append((arrival, arrival, False, True))
            return
        busy += 1
        while idle and arrival - idle[-1][1] >= KEEP_S:
            idle.pop()
        cold = not idle
        if idle:
            number, _ = idle.pop()
            yield env.timeout(warm_s)
        else:
            created, number = created + 1, created
            yield env.timeout(cold_s)
        busy -= 1
        log.append((arrival, env.now, cold, False))
        insort(idle, (number, env.now))

    env.process(_source(env, rng, rate, n, request))
    env.run()
    return sum(cold for _, _, cold, _ in log) / n


def simpy_same_answers(rate: float, n: int) -> float:
    """The leanest one with the columns of simlib's log, its percentiles and its bill."""
    rng, env = np.random.default_rng(1), simpy.Environment()
    idle: list[tuple[int, float]] = []
    created = busy = 0
    log: Log = []

    def request(warm_s: float, cold_s: float):
        nonlocal created, busy
        arrival = env.now
        if busy >= MOST:
            log.append((arrival, math.nan, arrival, -1, False, True))
            return
        busy += 1
        while idle and arrival - idle[-1][1] >= KEEP_S:
            idle.pop()
        cold = not idle
        if idle:
            number, _ = idle.pop()
            yield env.timeout(warm_s)
        else:
            created, number = created + 1, created
            yield env.timeout(cold_s)
        busy -= 1
        log.append((arrival, arrival, env.now, number, cold, False))
        insort(idle, (number, env.now))

    env.process(_source(env, rng, rate, n, request))
    env.run()
    return _answers(log)


def simpy_as_a_user_writes_it(rate: float, n: int) -> float:
    """A process a request, and one for each idle spell, which ends the container unless it was taken before."""
    rng, env = np.random.default_rng(1), simpy.Environment()
    idle: list[int] = []  # containers, newest created last
    spells: dict[int, int] = {}  # container → how often it has been idle
    created = busy = 0
    log: Log = []

    def request(warm_s: float, cold_s: float):
        nonlocal created, busy
        arrival = env.now
        if busy >= MOST:
            log.append((arrival, math.nan, arrival, -1, False, True))
            return
        busy += 1
        cold = not idle
        if idle:
            number = idle.pop()
            yield env.timeout(warm_s)
        else:
            created, number = created + 1, created
            yield env.timeout(cold_s)
        busy -= 1
        log.append((arrival, arrival, env.now, number, cold, False))
        insort(idle, number)
        spells[number] = spells.get(number, 0) + 1
        env.process(end_of_life(number, spells[number]))

    def end_of_life(number: int, spell: int):
        yield env.timeout(KEEP_S)
        if number in idle and spells[number] == spell:
            idle.remove(number)

    env.process(_source(env, rng, rate, n, request))
    env.run()
    return _answers(log)


def _source(env: simpy.Environment, rng: np.random.Generator, rate: float, n: int, request: Callable):
    gaps, warm, cold = (rng.exponential(mean, n).tolist() for mean in (1 / rate, WARM_S, COLD_S))
    for gap, warm_s, cold_s in zip(gaps, warm, cold, strict=True):
        yield env.timeout(gap)
        env.process(request(warm_s, cold_s))


def _answers(log: Log) -> float:
    """Percentiles and the billed milliseconds too; returns the share cold."""
    arrival, start, finish, _, cold, throttled = map(np.array, zip(*log, strict=True))
    np.quantile((finish - arrival)[~throttled], (0.5, 0.95, 0.99))
    np.ceil((finish - start)[~throttled] * 1000).sum()
    return float(cold.mean())


def simpy_with_every_rule(rate: float, n: int) -> float:
    """The reference of the tests: time-outs, age, retries and provisioned containers besides, one process a request."""
    rng = np.random.default_rng(1)
    services = np.stack([rng.exponential(WARM_S, n), rng.exponential(COLD_S, n), np.zeros(n)])
    requests = Chunk(np.cumsum(rng.exponential(1 / rate, n)), services)
    rules = Rules(lanes.SERVERLESS, timeout_s=60.0, max_concurrency=MOST, keep_alive_s=KEEP_S)
    return float(ReferencePool(rules, requests).run([], float(requests.arrivals[-1]) + 1.0).cold.mean())


def end_to_end(log: sl.simulation.Log) -> Callable[[float, int], float]:
    """What a user calls: draw, simulate, percentiles, bill."""
    model = sl.ModelProfile("m", service=sl.exponential(WARM_S), size_mb=1e-9)
    endpoint = serving.Serverless(
        model,
        cold_start=sl.constant(0),
        cold_service=sl.exponential(COLD_S),
        keep_alive_s=KEEP_S,
        max_age_s=None,
        max_concurrency=MOST,
    )

    def run(rate: float, n: int) -> float:
        hours = n / rate / 3600
        summary = sl.simulate(endpoint, workload.poisson(rate), hours=hours, progress=False, log=log).summary()
        return float(summary["cold_start_rate"])

    return run


SIMFAAS = Path(__file__).parents[1] / ".venv-simfaas" / "bin" / "python"


def beside_simfaas(rounds: int, share: float, rate: float = 20.0) -> str:
    """simlib's speed over that of SimFaaS, which the known steady state is from, in a sentence."""
    if not SIMFAAS.exists():
        return "SimFaaS: skipped, there is no environment for it (`make bench` makes one)."
    ours, theirs, script = end_to_end("exact"), [], Path(__file__).with_name("peer_simfaas.py")
    speeds, n = [], int(3e6 * share)
    for _ in range(rounds):
        command = [str(SIMFAAS), str(script), str(rate), str(int(20_000 * share)), "1"]
        told = subprocess.run(command, check=True, capture_output=True, text=True)
        theirs.append(json.loads(told.stdout)["requests_per_s"][0])
        begin = time.process_time()
        ours(rate, n)
        speeds.append(n / (time.process_time() - begin))
    ratios = [a / b for a, b in zip(speeds, theirs, strict=True)]
    return (
        f"At {rate:g} requests/s, simlib with every request logged is {statistics.median(ratios):.3g} "
        f"({min(ratios):.3g}–{max(ratios):.3g}) times as fast as SimFaaS, which does "
        f"{statistics.median(theirs):,.0f} requests a CPU second."
    )


class Contestant(NamedTuple):
    name: str
    run: Callable[[float, int], float]
    rate: float
    requests: int


CONTESTANTS = [
    Contestant("SimPy, the leanest", simpy_leanest, 0.9, 50_000),
    Contestant("SimPy, the same answers", simpy_same_answers, 0.9, 50_000),
    Contestant("SimPy, as a user writes it", simpy_as_a_user_writes_it, 0.9, 50_000),
    Contestant("SimPy, with every rule", simpy_with_every_rule, 0.9, 20_000),
    Contestant("simlib, every request logged", end_to_end("exact"), 0.9, 3_000_000),
    Contestant("simlib, folded", end_to_end("folded"), 0.9, 3_000_000),
    Contestant("SimPy, the leanest", simpy_leanest, 200.0, 50_000),
    Contestant("SimPy, the same answers", simpy_same_answers, 200.0, 50_000),
    Contestant("SimPy, as a user writes it", simpy_as_a_user_writes_it, 200.0, 50_000),
    Contestant("simlib, every request logged", end_to_end("exact"), 200.0, 3_000_000),
    Contestant("simlib, folded", end_to_end("folded"), 200.0, 3_000_000),
]


def measure(rounds: int, share: float) -> list[list[float]]:
    """Requests per CPU second of each contestant in each round."""
    found: list[list[float]] = [[] for _ in CONTESTANTS]
    for contestant in CONTESTANTS:
        contestant.run(contestant.rate, 1000)  # compile, unmeasured
    for _ in range(rounds):
        for times, contestant in zip(found, CONTESTANTS, strict=True):
            n = max(1000, int(contestant.requests * share))
            gc.collect()
            begin = time.process_time()
            contestant.run(contestant.rate, n)
            times.append(n / (time.process_time() - begin))
    return found


def table(found: list[list[float]]) -> str:
    """One row a contestant; ratios are to the SimPy models at the same traffic."""
    models = ["SimPy, the leanest", "SimPy, the same answers", "SimPy, as a user writes it"]
    lines = [
        "| what | requests/s of traffic | requests a CPU second | to the leanest SimPy (lowest–highest) "
        "| to the same answers | to a user's |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    by_name = {(each.name, each.rate): times for times, each in zip(found, CONTESTANTS, strict=True)}
    for (name, traffic), times in by_name.items():
        ratios = []
        for model in models:
            pairs = [a / b for a, b in zip(times, by_name[model, traffic], strict=True)]
            ratios.append(f"{statistics.median(pairs):.3g} ({min(pairs):.3g}–{max(pairs):.3g})")
        rate = float(f"{statistics.median(times):.3g}")
        lines.append(f"| {name} | {traffic:g} | {rate / 1000:,.6g} thousand | {' | '.join(ratios)} |")
    for log in ("every request logged", "folded"):
        slow, fast = by_name[f"simlib, {log}", 200.0], by_name[f"simlib, {log}", 0.9]
        ratio = statistics.median(a / b for a, b in zip(slow, fast, strict=True))
        lines += ["", f"simlib, {log}: at 200 requests/s {ratio:.2f} of its speed at 0.9."]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="how often each takes its turn (5)")
    parser.add_argument("--quick", action="store_true", help="see that it runs: few requests, one round, no meaning")
    args = parser.parse_args()
    rounds, share = (1, 0.02) if args.quick else (max(1, args.rounds), 1.0)
    print(f"A serverless endpoint, CPU time, median of {rounds} interleaved rounds")
    print(f"{machine()}\n")
    print(table(measure(rounds, share)), "\n")
    print(beside_simfaas(rounds, share))


if __name__ == "__main__":
    main()
