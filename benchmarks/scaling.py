"""What an autoscaler that looks at the requests costs: a day of 43 million, fixed and with target tracking.

    python benchmarks/scaling.py [--quick] [--rounds 5]

The day is 500 requests/s on average, in a daily wave.  The fixed fleet has about as many instances as the scaling one
has at its most.  All take turns in one process; each round gives one ratio to the fixed fleet, and the table shows
their median and range.  What is measured is CPU time, end to end: draw, simulate, summary and bill, folded.
"""

import argparse
import gc
import statistics
import time
from typing import NamedTuple

import simlib as sl
from simlib import serving, workload
from simlib.results import Run

MEAN_RATE = 43e6 / 86400
MODEL = sl.ModelProfile("tagger", service=sl.exponential(0.02), size_mb=450, load_seconds=8)
TARGET_PER_MINUTE, WORKERS, MOST = 3600, 2, 20
ALLOWED = 1.3  # at a period of 60 s


class Contestant(NamedTuple):
    name: str
    period_s: float | None
    routing: str = "RANDOM"

    def deployment(self) -> serving.RealTime:
        fleet = {"instance_type": "ml.m5.large", "workers": WORKERS, "routing": self.routing}
        if self.period_s is None:
            return serving.RealTime(MODEL, initial_instance_count=15, **fleet)
        target = TARGET_PER_MINUTE * self.period_s / 60
        policy = serving.TargetTracking(target, min_capacity=2, max_capacity=MOST, period_s=self.period_s)
        return serving.RealTime(MODEL, initial_instance_count=4, scaling=policy, **fleet)


CONTESTANTS = [
    Contestant(f"{routing}, {how}", period, routing)
    for routing in ("RANDOM", "LEAST_OUTSTANDING_REQUESTS")
    for how, period in [
        ("fixed fleet", None),
        ("target tracking, 60 s", 60.0),
        ("target tracking, 10 s", 10.0),
        ("target tracking, 1 s", 1.0),
    ]
]


def day(contestant: Contestant, hours: float) -> Run:
    """The day, as a user runs it."""
    load = workload.diurnal(mean_rate=MEAN_RATE, peak_to_mean=1.7, peak_hour=12)
    run = sl.simulate(contestant.deployment(), load, hours=hours, seed=1, log="folded", progress=False)
    run.summary()
    return run


def measure(rounds: int, hours: float) -> tuple[dict[str, list[float]], dict[str, Run]]:
    """CPU seconds of each round, by contestant, and what came of the last one."""
    runs = {c.name: day(c, min(hours, 0.5)) for c in CONTESTANTS}  # compiles, and fills caches
    found: dict[str, list[float]] = {c.name: [] for c in CONTESTANTS}
    for _ in range(rounds):
        for contestant in CONTESTANTS:
            gc.collect()
            begin = time.process_time()
            runs[contestant.name] = day(contestant, hours)
            found[contestant.name].append(time.process_time() - begin)
    return found, runs


def table(found: dict[str, list[float]], runs: dict[str, Run]) -> str:
    lines = [
        "| what | requests | CPU s | ratio to the fixed fleet (lowest–highest) | allowed | changes | errors |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for contestant in CONTESTANTS:
        seconds = found[contestant.name]
        fixed = found[f"{contestant.routing}, fixed fleet"]
        ratios = [own / base for own, base in zip(seconds, fixed, strict=True)]
        run = runs[contestant.name]
        summary = run.summary()
        lines.append(
            f"| {contestant.name} | {summary['requests'] / 1e6:.1f} million | {statistics.median(seconds):.2f} "
            f"| {statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f}) "
            f"| {ALLOWED if contestant.period_s == 60 else ''} | {len(run.snapshot.desired) - 1} "
            f"| {summary['error_rate']:.2%} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="how often each takes its turn (5)")
    parser.add_argument("--quick", action="store_true", help="see that it runs: half an hour, one round, no meaning")
    args = parser.parse_args()
    rounds, hours = (1, 0.2) if args.quick else (max(1, args.rounds), 24.0)
    print(f"A day of 43 million requests, CPU time, median of {rounds} interleaved rounds")
    print(f"{machine()}\n")
    print(table(*measure(rounds, hours)))


def machine() -> str:
    """As the speed comparison tells it."""
    from speed import machine as told

    return told()


if __name__ == "__main__":
    main()
