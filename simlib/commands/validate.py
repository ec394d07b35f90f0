"""`simlib validate`: simulate what theory knows exactly, and see whether the exact value lies in the interval.

Each figure of each case is estimated in independent replications, and its interval is Student's, at 99 %.  Three things
keep it honest:

- *The empty start.*  A station that starts empty waits too little at first.  What is left of that after t seconds
  falls like exp(-t / τ), with the relaxation time τ of heavy traffic (reflected Brownian motion; for M/M/1 it is the
  limit of 1 / (μ (1 - √ρ)²), Cohen 1982), which `Case.relaxation_s` takes a little too long.  The first 20 τ are left
  out: a bias of e⁻²⁰ = 2·10⁻⁹ of the mean, where the intervals are some 10⁻² wide.
- *The end.*  Who is inside at the end has waited longer than others, so leaving them out would bias the mean.  The run
  goes on for 20 τ more, and those measured are a fixed number of requests: a mean over them is unbiased, which a mean
  over a fixed time (a ratio of two random numbers) is not.
- *The tail.*  A sample percentile is biased; the share of requests above the exact percentile is not.

Replications are so long (hundreds of τ; at stations of finite room, where τ is a generous bound, thousands of service
times) that their means are close to normal, as Student's interval supposes.
"""

import argparse
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from simlib import theory
from simlib.commands import Subparsers
from simlib.commands.arguments import several, whole
from simlib.intervals import interval
from simlib.model import Law, ModelProfile, constant, exponential, gamma, lognormal

if TYPE_CHECKING:
    from simlib.results import Run

EXAMPLES = """examples:
  simlib validate                      every case, under a minute; status 1 if theory is missed too often
  simlib validate --replications 60    the same with narrower intervals
"""
CONFIDENCE = 0.99
RELAXATIONS = 20
CHANCE = 0.001
NEVER_S = 1e9  # as a time-out


@dataclass(frozen=True)
class Window:
    """The measured part of one replication: waits and latencies [s] of the requests in it, and the whole run."""

    arrival: np.ndarray
    wait: np.ndarray
    latency: np.ndarray
    refused: np.ndarray
    run: "Run"


Estimate = Callable[[Window], float]


@dataclass(frozen=True)
class Case:
    """A station that theory knows, and figures of it: (exact value, how to estimate it) by name."""

    name: str
    rate: float
    service: Law
    servers: int
    figures: Mapping[str, tuple[float, Estimate]]
    requests: int = 400_000
    routing: str = "SHARED_QUEUE"
    queue_limit: int | None = None
    lines: int = field(default=1)  # the servers are shared out to so many lines

    @property
    def relaxation_s(self) -> float:
        """How long the station remembers how it began [s]."""
        if self.queue_limit is not None:  # lines this short are forgotten sooner than a full one is worked off
            return self.service.mean * (1 + self.queue_limit + self.servers)
        servers = self.servers // self.lines
        load = self.rate * self.service.mean / self.servers
        return self.service.mean * (1 + 2 * (1 + self.service.cv**2) / (servers * (1 - load) ** 2))

    @property
    def end_s(self) -> float:
        """When by far the most runs have all the requests that are measured, and the next 20 τ [s]."""
        needed = self._first + self.requests
        return (needed + 8 * math.sqrt(needed)) / self.rate + RELAXATIONS * self.relaxation_s

    @property
    def _first(self) -> int:
        return math.ceil(RELAXATIONS * self.relaxation_s * self.rate)

    def replicate(self, seed: int, replication: int) -> list[float]:
        """Each figure, estimated from one run."""
        from simlib import serving, simulate, workload

        deployment = serving.RealTime(
            ModelProfile("model", self.service),
            initial_instance_count=self.servers,
            routing=self.routing,  # type: ignore[arg-type]
            queue_limit=self.queue_limit,
            invocation_timeout_s=NEVER_S,
        )
        calls = workload.poisson(rate=self.rate, name=self.name)
        hours = self.end_s / 3600
        run = simulate(deployment, calls, hours=hours, seed=seed, replication=replication, log="exact", progress=False)
        if run.partial:
            raise KeyboardInterrupt
        window = self._window(run)
        return [float(estimate(window)) for _, estimate in self.figures.values()]

    def _window(self, run: "Run") -> Window:
        log = run.snapshot.requests
        assert log is not None
        part = slice(self._first, self._first + self.requests)
        arrival, start, finish = log.arrival[part], log.start[part], log.finish[part]
        assert len(arrival) == self.requests
        assert not np.isnan(finish).any()
        refused = np.isnan(start)
        wait, latency = start - arrival, finish - arrival
        if refused.any():
            wait, latency = wait[~refused], latency[~refused]
        return Window(arrival, wait, latency, refused, run)


# --- figures --------------------------------------------------------------------------------------------------------


def mean_wait(window: Window) -> float:
    """Seconds in line."""
    return float(window.wait.mean())


def share_waiting(window: Window) -> float:
    """Of the requests that were taken."""
    return float((window.wait > 0).mean())


def share_above(seconds: float, window: Window) -> float:
    """Of the requests, how many waited longer than so many seconds."""
    return float((window.wait > seconds).mean())


def share_refused(window: Window) -> float:
    """Answered with 503."""
    return float(window.refused.mean())


def mean_inside(window: Window) -> float:
    """Callers waiting for an answer, as the timeline shows them at each minute's end."""
    concurrency = window.run.timeline()["Concurrency"]
    begin, end = window.arrival[0] / 60, window.arrival[-1] / 60
    return float(concurrency.iloc[math.ceil(begin) : math.floor(end)].mean())


def busy_share(window: Window) -> float:
    """Of the workers, as the timeline shows it."""
    busy = window.run.timeline()["Utilization"]
    return float(busy.iloc[math.ceil(window.arrival[0] / 60) : math.floor(window.arrival[-1] / 60)].mean())


# --- cases ----------------------------------------------------------------------------------------------------------


def cases() -> Iterator[Case]:
    """Every case, from one server to fifty."""
    for load in (0.5, 0.8, 0.95):
        yield mmc(1, load, requests=1_000_000 if load > 0.9 else 400_000)
    yield littles_law()
    for servers in (2, 8, 50):
        yield mmc(servers, 0.95, requests=1_000_000)
    yield Case("RANDOM over 4 instances", 2.8, exponential(1.0), 4, _waits(0.7, 1.0, 1), routing="RANDOM", lines=4)
    for law in (constant(1.0), gamma(1.0, 0.25), lognormal(1.0, 0.5), lognormal(1.0, 1.0), gamma(1.0, 2.0)):
        yield mg1(0.7, law)
    yield mg1(0.7, gamma(1.0, 4.0), requests=1_500_000)
    for servers, rate, limit in ((1, 0.9, 5), (8, 7.6, 12), (20, 30.0, 10)):
        exact = theory.mmck(rate, 1.0, servers, limit)
        figures = {"share refused": (exact.refused, share_refused), "mean wait s": (exact.mean_wait, mean_wait)}
        yield Case(
            f"M/M/{servers}/{servers + limit} λ {rate:g}", rate, exponential(1.0), servers, figures, queue_limit=limit
        )
    for servers, rate, law in ((5, 4.0, exponential(1.0)), (50, 45.0, gamma(1.0, 2.0)), (200, 210.0, constant(1.0))):
        blocked = theory.erlang_b(rate, servers)
        name = f"Erlang B, {servers} servers, CV {law.cv:g}"
        yield Case(name, rate, law, servers, {"share refused": (blocked, share_refused)}, queue_limit=0)


def mmc(servers: int, load: float, requests: int = 400_000) -> Case:
    """M/M/c at a mean service time of 1 s."""
    rate = servers * load
    return Case(f"M/M/{servers} at {load:.0%}", rate, exponential(1.0), servers, _waits(rate, 1.0, servers), requests)


def _waits(rate: float, service_mean: float, servers: int) -> dict[str, tuple[float, Estimate]]:
    # Near full load the longest waits come in a few long jams, too few in one replication for its share to be close to
    # normal: there p95 stands for p99.
    tail = 0.01 if rate * service_mean < 0.9 * servers else 0.05
    wait = theory.mmc_wait_quantile(1 - tail, rate, service_mean, servers)
    return {
        "share waiting": (theory.erlang_c(rate * service_mean, servers), share_waiting),
        "mean wait s": (theory.mmc_mean_wait(rate, service_mean, servers), mean_wait),
        f"share waiting over {wait:.4g} s": (tail, partial(share_above, wait)),
    }


def littles_law() -> Case:
    """M/M/8 at λ 6.4 with what is seen from outside: L = λ W, and the busy share of the workers."""
    figures: dict[str, tuple[float, Estimate]] = {
        "mean wait s": (theory.mmc_mean_wait(6.4, 1.0, 8), mean_wait),
        "callers inside = λ·W (Little)": (6.4 * (theory.mmc_mean_wait(6.4, 1.0, 8) + 1.0), mean_inside),
        "busy share of workers": (0.8, busy_share),
    }
    return Case("M/M/8 λ 6.4", 6.4, exponential(1.0), 8, figures)


def mg1(load: float, law: Law, requests: int = 400_000) -> Case:
    """M/G/1 at a mean service time of 1 s."""
    exact = theory.mg1_mean_wait(load, law.mean, law.cv)
    name = f"M/G/1 at {load:.0%}, {type(law).__name__.lower()}, CV {law.cv:g}"
    return Case(name, load, law, 1, {"mean wait s": (exact, mean_wait)}, requests)


def deterministic() -> "Judged":
    """Gaps of 1 s, services of 1.25 s, one server: request i waits exactly i/4 s.  No chance, and no interval."""
    import pandas as pd

    from simlib import serving, simulate, workload

    n = 1001
    calls = workload.from_trace(pd.DataFrame({"t": np.arange(n, dtype=float)}), time="t", name="deterministic")
    deployment = serving.RealTime(
        ModelProfile("model", constant(1.25)), routing="SHARED_QUEUE", invocation_timeout_s=NEVER_S
    )
    run = simulate(deployment, calls, hours=1, progress=False)
    found = float((run.requests["start_s"] - run.requests["arrival_s"]).mean())
    return Judged("Deterministic, overloaded", "mean wait s", 0.25 * (n - 1) / 2, found, 0.0)


# --- judgement ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Judged:
    """One figure of one case: what is exact, what was found, and half the width of its interval."""

    case: str
    figure: str
    exact: float
    estimate: float
    half_width: float

    @property
    def inside(self) -> bool:
        """Whether the exact value lies in the interval."""
        return abs(self.estimate - self.exact) <= self.half_width


def judge(case: Case, *, seed: int, replications: int) -> list[Judged]:
    """Estimate each figure of *case* in independent replications, with Student's interval at 99 %."""
    found = np.array([case.replicate(seed, k) for k in range(replications)])
    judged = []
    for (figure, (exact, _)), values in zip(case.figures.items(), found.T, strict=True):
        known = interval(values, CONFIDENCE)
        judged.append(Judged(case.name, figure, exact, known.mean, known.half_width))
    return judged


def allowed(figures: int) -> int:
    """How many may lie outside: more would happen by chance in fewer than 1 of 1000 honest validations."""
    from scipy.stats import binom

    return int(binom.isf(CHANCE, figures, 1 - CONFIDENCE))


# --- the command ----------------------------------------------------------------------------------------------------


def add_parser(subparsers: Subparsers) -> None:
    """Describe the subcommand."""
    parser = subparsers.add_parser(
        "validate",
        help="set the simulation against queueing theory",
        description="Simulate stations that theory knows exactly: estimate, 99 % interval and exact value.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--replications", type=several, default=20, metavar="N", help="runs of each case (20)")
    parser.add_argument("--seed", type=whole, default=0, metavar="N", help="same seed, same table (0)")


def run(args: argparse.Namespace) -> int:
    """Print the table as it comes; 1 if theory is missed more often than chance allows."""
    judged: list[Judged] = []
    print(_line("case", "figure", "exact", "estimate", "99 % interval", "inside?"))
    for lines in _all(args.seed, args.replications):
        for line in lines:
            print(_told(line), flush=True)
        judged += lines
    outside, most = sum(not line.inside for line in judged), allowed(len(judged))
    print()
    print(
        f"{outside} of {len(judged)} exact values lie outside their 99 % interval; about {0.01 * len(judged):.1f} are"
    )
    print(f"expected, and more than {most} would be seen by chance in fewer than 1 of 1000 validations.")
    return int(outside > most)


def _all(seed: int, replications: int) -> Iterator[Sequence[Judged]]:
    for case in cases():
        yield judge(case, seed=seed, replications=replications)
    yield [deterministic()]


def _told(line: Judged) -> str:
    low, high = line.estimate - line.half_width, line.estimate + line.half_width
    interval = f"{low:.5g} – {high:.5g}"
    return _line(
        line.case, line.figure, f"{line.exact:.6g}", f"{line.estimate:.5g}", interval, "yes" if line.inside else "NO"
    )


def _line(case: str, figure: str, exact: str, estimate: str, interval: str, inside: str) -> str:
    return f"{case:<33}  {figure:<30}  {exact:>9}  {estimate:>9}  {interval:>21}  {inside}"
