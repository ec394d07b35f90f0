"""How simlib grows: with requests, instances, workers and endpoints; and how far it is from what cannot be beaten.

    python benchmarks/scale.py [--quick] [--days 30] [--rounds 3] [--most 1e9] [--chart FILE.png]
    python benchmarks/scale.py --guard

The *limit* of a run is drawing its random numbers (Poisson arrivals, lognormal service, and what its routing draws) and
the bare recursion of its routing, compiled, which keeps nothing but a sum.  Limit and run take turns in one process; a
ratio is of CPU time in one round, and the table shows their median and range.  Runs are end to end and folded: draw,
simulate with target tracking, summary, bill.
"""

import argparse
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numba
import numpy as np
from speed import draw, end_to_end, machine, simpy_processes  # beside this file

import simlib as sl
from simlib import serving, workload
from simlib.serving import lanes

RATE, SERVICE = 100.0, sl.lognormal(mean=0.08, cv=0.4)
MODEL = sl.ModelProfile("tagger", service=SERVICE)
INSTANCES, BLOCK = 12, 1 << 16  # 100 requests/s at a target of 600 a minute are ten; the scaled fleet has 9 to 12
COLD, KEEP_S = sl.lognormal(mean=0.4, cv=0.3), 645.0

# --- the limit: the same random numbers, and the bare recursion -------------------------------------------------------


@numba.njit(error_model="numpy")
def random_choice(arrivals, services, u, free):
    total = 0.0
    for i in range(len(arrivals)):
        k = int(u[i] * len(free))
        free[k] = max(free[k], arrivals[i]) + services[i]
        total += free[k] - arrivals[i]
    return total


@numba.njit(error_model="numpy")
def first_free(arrivals, services, free, winners):
    total = 0.0
    for i in range(len(arrivals)):
        k = winners[1]
        free[k] = max(free[k], arrivals[i]) + services[i]
        total += free[k] - arrivals[i]
        lanes.play(winners, free, k, 1)
    return total


@numba.njit(error_model="numpy")
def least_outstanding(arrivals, services, free, inside, winners, at, of, n):
    total = 0.0
    for i in range(len(arrivals)):
        while n > 0 and at[0] <= arrivals[i]:
            k = of[0]
            lanes.heap_pop(at, of, n)
            n -= 1
            inside[k] -= 1.0
            lanes.play(winners, inside, k, 1)
        k = winners[1]
        free[k] = max(free[k], arrivals[i]) + services[i]
        total += free[k] - arrivals[i]
        lanes.heap_push(at, of, n, free[k], k)
        n += 1
        inside[k] += 1.0
        lanes.play(winners, inside, k, 1)
    return n


@numba.njit(error_model="numpy")
def newest_container(arrivals, services, setups, free, n):
    """*free*: when each of *n* containers is, oldest first."""
    for i in range(len(arrivals)):
        t, found, k = arrivals[i], -1, n - 1
        while k >= 0 and found < 0:
            if free[k] <= t < free[k] + KEEP_S:
                found = k
            elif free[k] <= t:
                for after in range(k, n - 1):
                    free[after] = free[after + 1]
                n -= 1
            k -= 1
        if found >= 0:
            free[found] = t + services[i]
        else:
            free[n] = t + setups[i] + services[i]
            n += 1
    return n


def winner_tree(leaves: int, there: int) -> tuple[np.ndarray, np.ndarray]:
    """Keys, of which the first ones are there, and the tree over them."""
    keys, winners = np.full(leaves, np.inf), np.zeros(2 * leaves, np.int64)
    keys[:there] = 0.0
    winners[leaves:] = np.arange(leaves)
    for node in range(leaves - 1, 0, -1):
        winners[node] = winners[2 * node]  # of equal keys the lowest number wins
    return keys, winners


def limit(routing: str, days: float) -> None:
    """Draw, and let the bare recursion pass over it, block by block."""
    streams = [np.random.default_rng([k, 1]) for k in range(4)]
    keys, winners = winner_tree(16, INSTANCES)
    free, at, of = np.zeros(16), np.empty(1 << 16), np.empty(1 << 16, np.int64)
    last, end, inside, containers, there = 0.0, days * 86400.0, 0, np.empty(1 << 16), 0
    while last < end:
        arrivals = streams[0].standard_exponential(BLOCK)
        arrivals *= 1 / RATE
        arrivals[0] += last
        np.cumsum(arrivals, out=arrivals)
        last = arrivals[-1]
        services = SERVICE.sample(BLOCK, streams[1])
        if routing == "RANDOM":
            random_choice(arrivals, services, streams[2].random(BLOCK), free[:INSTANCES])
        elif routing == "SHARED_QUEUE":
            first_free(arrivals, services, keys, winners)
        elif routing == "LEAST_OUTSTANDING_REQUESTS":
            inside = least_outstanding(arrivals, services, free, keys, winners, at, of, inside)
        elif routing == "serverless":
            setups = COLD.sample(BLOCK, streams[3])
            there = newest_container(arrivals, services, setups, containers, there)


# --- simlib -----------------------------------------------------------------------------------------------------------


def deployment(routing: str):
    if routing == "serverless":
        return serving.Serverless(MODEL, max_concurrency=100, cold_start=COLD, keep_alive_s=KEEP_S)
    policy = serving.TargetTracking(target=600, min_capacity=4, max_capacity=16)
    return serving.RealTime(MODEL, initial_instance_count=INSTANCES, routing=routing, scaling=policy)


def run(served, days: float, rate: float = RATE) -> sl.results.Run:
    found = sl.simulate(served, workload.poisson(rate), days=days, log="folded", progress=False)
    found.summary()
    return found


def fleet(routing: str, instances: int, workers: int = 1):
    return serving.RealTime(
        MODEL, initial_instance_count=instances, workers=workers, routing=routing, invocation_timeout_s=1e6
    )


def cpu_s(call: Callable[..., object], *given: object) -> float:
    begin = time.process_time()
    call(*given)
    return time.process_time() - begin


def best_s(requests: float, call: Callable[..., object], *given: object) -> float:
    """The best of several where they are short: a busy machine disturbs these most."""
    return min(cpu_s(call, *given) for _ in range(5 if requests <= 1e6 else 3 if requests <= 1e7 else 1))


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def exponent(sizes: list[float], times: list[float]) -> float:
    """Of the power of the size that the time grows with, by least squares on logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(times), 1)[0])


# --- what is shown ----------------------------------------------------------------------------------------------------

ROUTINGS = {"RANDOM": 2.0, "SHARED_QUEUE": 2.0, "LEAST_OUTSTANDING_REQUESTS": 2.0, "serverless": 3.0}  # allowed


def months(days: float, rounds: int) -> str:
    lines = [
        f"{days:g} days at {RATE:g} requests/s ({days * 86400 * RATE / 1e6:,.0f} million), target tracking, one core",
        "",
        "| routing | limit [ns/request] | simlib [ns/request] | ratio (lowest–highest) | allowed | peak memory [MB] |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for routing, allowed in ROUTINGS.items():
        limit(routing, 0.01), run(deployment(routing), 0.01)  # compile, unmeasured
        pairs = [(cpu_s(limit, routing, days), cpu_s(run, deployment(routing), days)) for _ in range(rounds)]
        ratios = [ours / least for least, ours in pairs]
        per = [1e9 * statistics.median(side) / (days * 86400 * RATE) for side in zip(*pairs, strict=True)]
        lines.append(
            f"| {routing} | {per[0]:.0f} | {per[1]:.0f} | {statistics.median(ratios):.2f} "
            f"({min(ratios):.2f}–{max(ratios):.2f}) | {allowed:g} | {peak_mb():.0f} |"
        )
    return "\n".join(lines)


def guard(rounds: int = 12, days: float = 0.4) -> str:
    """A sentence about each routing that has become slower beside its limit; nothing where none has.

    A neighbour on the machine disturbs one side of a pair now and then, so who seems slow is measured again, up to
    `rounds` times, and the best of each side are compared.  Half more than is allowed passes: in a short run what is
    done once (tables, bill) is not yet nothing.
    """
    slower = []
    for routing, allowed in ROUTINGS.items():
        limit(routing, 0.01), run(deployment(routing), 0.01)  # compile, unmeasured
        least = ours = ratio = np.inf
        for _ in range(rounds):
            least, ours = min(least, cpu_s(limit, routing, days)), min(ours, cpu_s(run, deployment(routing), days))
            ratio = ours / least
            if ratio <= 1.5 * allowed:
                break
        print(f"{routing}: {ratio:.2f} times its limit, {allowed:g} allowed")
        if ratio > 1.5 * allowed:
            slower.append(f"{routing} takes {ratio:.2f} times its limit; {allowed:g} are allowed.")
    return "\n".join(slower)


def copying_s() -> float:
    """Seconds to read and write one number, out of the processor's caches."""
    block = np.ones(1 << 24)
    there = block.copy()
    return statistics.median(cpu_s(np.copyto, there, block) for _ in range(5)) / len(block)


def growth(most: float) -> tuple[str, dict[str, list[tuple[float, float]]]]:
    """CPU seconds by requests, of simlib, of SimPy, and of the limits."""
    decades = [10.0**k for k in range(4, round(np.log10(most)) + 1)]
    end_to_end("exact")(draw(1000)), run(deployment("RANDOM"), 0.01), limit("RANDOM", 0.01)  # compile, unmeasured
    curves: dict[str, list[tuple[float, float]]] = {
        "SimPy, processes": [(n, cpu_s(simpy_processes, draw(int(n)))) for n in decades if n <= 1e5],
        "simlib, every request logged": [
            (n, best_s(n, end_to_end("exact"), draw(int(n)))) for n in decades if n <= 1e7
        ],
    }
    days = {n: n / RATE / 86400 for n in decades}
    curves["simlib, folded"] = [(n, best_s(n, run, deployment("RANDOM"), days[n])) for n in decades]
    short = [n for n in decades if n <= 1e8]  # a straight line; the longest would only take long
    curves["limit: drawing and the bare recursion"] = [(n, best_s(n, limit, "RANDOM", days[n])) for n in short]
    curves["limit: drawing alone"] = [(n, best_s(n, limit, "none", days[n])) for n in short]
    curves["limit: memory, three numbers a request copied"] = [(n, 3 * n * copying_s()) for n in decades]
    long = [point for point in curves["simlib, folded"] if point[0] >= 1e6]
    lines = ["| requests | " + " | ".join(curves) + " |", "|---:|" + "---:|" * len(curves)]
    for n in decades:
        row = [dict(points).get(n) for points in curves.values()]
        lines.append(f"| {n:.0e} | " + " | ".join("" if t is None else f"{t:.3g} s" for t in row) + " |")
    if len(long) > 1:
        lines += ["", f"Exponent of simlib, folded, from 1e6 on: {exponent(*map(list, zip(*long, strict=True))):.3f}"]
    return "\n".join(lines), curves


def fleets(requests: float) -> str:
    sizes = [8, 16, 32, 64, 128, 256, 512, 1000]
    lines = ["| routing | " + " | ".join(map(str, sizes)) + " | exponent |", "|---|" + "---:|" * (len(sizes) + 1)]
    for routing in list(ROUTINGS)[:3]:
        per = []
        for n in sizes:
            rate = 0.8 * n / SERVICE.mean
            run(fleet(routing, n), 1e4 / rate / 86400, rate)
            took = [cpu_s(run, fleet(routing, n), requests / rate / 86400, rate) for _ in range(3)]
            per.append(1e9 * min(took) / requests)
        lines.append(f"| {routing} | " + " | ".join(f"{x:.0f}" for x in per) + f" | {exponent(sizes, per):.2f} |")
    return "\n".join(lines)


def several(endpoints: int, requests: float) -> None:
    """So many endpoints on one clock, all scaling."""
    sim = sl.Simulation(log="folded")
    for k in range(endpoints):
        sim.deploy(deployment("RANDOM"), workload.poisson(RATE, name=f"calls {k}"))
    sim.run(until_s=requests / endpoints / RATE, progress=False)


def others(requests: float) -> str:
    """Workers of an instance, and endpoints on one clock: nanoseconds a request."""
    rates = {workers: 0.8 * 8 * workers / SERVICE.mean for workers in (1, 4, 16)}
    by_workers = [cpu_s(run, fleet("RANDOM", 8, w), requests / rate / 86400, rate) for w, rate in rates.items()]
    by_endpoints = [cpu_s(several, n, requests) for n in (1, 4, 16)]
    lines = ["| what | 1 | 4 | 16 |", "|---|---:|---:|---:|"]
    for name, times in (("workers an instance", by_workers), ("scaling endpoints on one clock", by_endpoints)):
        lines.append(f"| {name} | " + " | ".join(f"{1e9 * took / requests:.0f}" for took in times) + " |")
    return "\n".join(lines)


def chart(curves: dict[str, list[tuple[float, float]]], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    colours = matplotlib.color_sequences["okabe_ito"]
    figure, axes = plt.subplots(figsize=(8, 5.6), layout="constrained")
    for colour, (name, points) in zip(colours, curves.items(), strict=False):
        style = "--" if name.startswith("limit") else "-"
        axes.loglog(*zip(*points, strict=True), style, marker="o", markersize=3, color=colour, label=name)
    axes.set(xlabel="requests", ylabel="CPU time [s]", title="Time grows as the requests do, close to its limit")
    axes.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=2, fontsize="small")  # beside the lines, over none
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=float, default=30.0, help="how long the month is (30)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each takes its turn (3)")
    parser.add_argument("--most", type=float, default=1e9, help="the most requests of the curve (1e9)")
    parser.add_argument("--chart", type=Path, help="where to draw the curve")
    parser.add_argument("--quick", action="store_true", help="see that it runs: few requests, one round, no meaning")
    parser.add_argument("--guard", action="store_true", help="only see whether anything has become slower: exit 1")
    args = parser.parse_args()
    if args.guard:
        sys.exit(guard() or None)
    days, rounds, most, requests = (0.01, 1, 1e5, 1e4) if args.quick else (args.days, args.rounds, args.most, 2e6)
    print(f"{machine()}\n")
    print(months(days, rounds), "\n", flush=True)
    print("Nanoseconds a request by instances, at 80 % load:\n\n" + fleets(requests), "\n", flush=True)
    print("Nanoseconds a request by other sizes:\n\n" + others(requests), "\n", flush=True)
    told, curves = growth(most)
    print("CPU time by requests:\n\n" + told)
    if args.chart:
        chart(curves, args.chart)


if __name__ == "__main__":
    main()
