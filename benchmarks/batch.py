"""How fast a batch job is simulated beside plain SimPy, with a request a record and with mini-batches.

    python benchmarks/batch.py [--quick] [--rounds 5]

The job: files of 10,000 lines on four instances with four places each.  SimPy gets the records' seconds ready-made, as
many as take it a good part of a second; simlib draws them, sends them, and makes summary and bill.  All take turns in
one process; each round gives one ratio, and the table shows their median and range.  What is measured is CPU time;
that both end at the same instant is checked first.
"""

import argparse
import gc
import statistics
import time
from collections import deque
from collections.abc import Generator
from typing import NamedTuple

import numpy as np
import simpy

import simlib as sl
from simlib import serving, workload

INSTANCES, PLACES, RECORDS, LINES_OF_A_BATCH = 4, 4, 10_000, 20
LAW = sl.lognormal(mean=0.001, cv=0.5)
REQUIRED = 50


class Contestant(NamedTuple):
    name: str
    strategy: str
    records: int = RECORDS  # of a file

    def files(self, count: int) -> workload.Workload:
        return workload.files(count, size_mb=5, records_per_file=self.records)

    def deployment(self) -> serving.BatchTransform:
        return serving.BatchTransform(
            sl.ModelProfile("scorer", LAW, size_mb=1e-300),
            instance_count=INSTANCES,
            max_concurrent_transforms=PLACES,
            split_type="Line",
            batch_strategy=self.strategy,
            max_payload_in_mb=5 * LINES_OF_A_BATCH / self.records,
            launch=sl.constant(0),
            container_start=sl.constant(0),
        )

    def queues(self, takes: np.ndarray) -> list[list[list[float]]]:
        """For each instance its requests, each a list of its records' seconds."""
        lines = 1 if self.strategy == "SingleRecord" else LINES_OF_A_BATCH
        return [takes[instance::INSTANCES].reshape(-1, lines).tolist() for instance in range(INSTANCES)]


CONTESTANTS = [
    Contestant("a request a record", "SingleRecord"),
    Contestant(f"mini-batches of {LINES_OF_A_BATCH} records", "MultiRecord"),
]


def simlib_seconds(contestant: Contestant, count: int) -> float:
    """The makespan [s], as a user gets it."""
    run = sl.simulate(contestant.deployment(), contestant.files(count), seed=1, progress=False)
    return float(run.summary()["makespan_s"])


def simpy_with_resources(contestant: Contestant, takes: np.ndarray) -> float:
    """The makespan [s] of the same job by plain SimPy, from each record's seconds, shape (files, records)."""
    env = simpy.Environment()

    def request(places: simpy.Resource, seconds: list[float]) -> Generator[simpy.Event, None, None]:
        with places.request() as turn:
            yield turn
            yield env.timeout(sum(seconds))

    for queue in contestant.queues(takes):
        places = simpy.Resource(env, PLACES)
        for seconds in queue:
            env.process(request(places, seconds))
    env.run()
    return float(env.now)


def simpy_with_places(contestant: Contestant, takes: np.ndarray) -> float:
    """The same with a process a place, which takes one request after the other: as lean as SimPy gets."""
    env = simpy.Environment()

    def place(queue: deque[list[float]]) -> Generator[simpy.Event, None, None]:
        while queue:
            yield env.timeout(sum(queue.popleft()))

    for queue in contestant.queues(takes):
        waiting = deque(queue)
        for _ in range(PLACES):
            env.process(place(waiting))
    env.run()
    return float(env.now)


WAYS = {"processes with a `Resource`": simpy_with_resources, "a process a place": simpy_with_places}


def measure(
    contestants: list[Contestant], rounds: int, count: int, small: int
) -> dict[tuple[str, str], list[tuple[float, float]]]:
    """CPU seconds a million records of (SimPy, simlib), round by round, for each way and contestant."""
    records = contestants[0].records
    drawn = LAW.sample(small * records, sl.Simulation(1).rng("files", "service", "scorer")).reshape(small, records)
    for contestant in contestants:  # compiles, fills caches, and holds one against the other
        ends = [way(contestant, drawn) for way in WAYS.values()]
        ours = simlib_seconds(contestant, small)
        if not np.allclose(ends, ours, rtol=1e-9):
            raise SystemExit(f"{contestant.name}: SimPy ends at {ends} s, simlib at {ours} s.")
    found: dict[tuple[str, str], list[tuple[float, float]]] = {(c.name, way): [] for c in contestants for way in WAYS}
    for _ in range(rounds):
        for contestant in contestants:
            mine = _cpu(lambda c=contestant: simlib_seconds(c, count)) / count
            for name, way in WAYS.items():
                theirs = _cpu(lambda c=contestant, w=way: w(c, drawn)) / small
                found[contestant.name, name].append((1e6 / records * theirs, 1e6 / records * mine))
    return found


def _cpu(work) -> float:  # type: ignore[no-untyped-def]
    gc.collect()
    begin = time.process_time()
    work()
    return time.process_time() - begin


def table(found: dict[tuple[str, str], list[tuple[float, float]]]) -> str:
    lines = [
        "| job | SimPy | its CPU s a million records | simlib, end to end | ratio (lowest–highest) | required |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for (job, way), rows in found.items():
        ratios = [slow / fast for slow, fast in rows]
        required = REQUIRED if (job, way) == next(iter(found)) else ""
        lines.append(
            f"| {job} | {way} | {statistics.median(r[0] for r in rows):.3g} "
            f"| {statistics.median(r[1] for r in rows):.3g} "
            f"| {statistics.median(ratios):.0f} ({min(ratios):.0f}–{max(ratios):.0f}) | {required} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="one round of a small job: does it run?")
    args = parser.parse_args()
    if args.quick:
        print(table(measure([each._replace(records=1000) for each in CONTESTANTS], 1, 8, 4)))
    else:
        print(table(measure(CONTESTANTS, args.rounds, 1000, 40)))


if __name__ == "__main__":
    main()
