"""A log of requests, replayed through each option under the same requests: its figures, and how sure they are."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from simlib.commands.options import Option
from simlib.intervals import Interval, interval
from simlib.parameters import ParameterError
from simlib.pricing import HOURS_PER_MONTH

if TYPE_CHECKING:
    from simlib.results import Run
    from simlib.simulation import Simulation
    from simlib.workload import Workload

MOST_ERRORS = 0.01


class Log(NamedTuple):
    """What is replayed, and where."""

    workload: "Workload"
    span_s: float
    seed: int
    region: str


@dataclass(frozen=True)
class Tried:
    """One option: its figures in each replication, and one of its runs."""

    option: Option
    figures: Mapping[str, np.ndarray]
    run: "Run"

    def known(self, figure: str) -> Interval:
        """Its mean over the replications, with the 95 % interval."""
        return interval(self.figures[figure])

    def mean(self, figure: str) -> float:
        """Over the replications."""
        return self.known(figure).mean

    def beside(self, first: "Tried", figure: str) -> Interval:
        """How much more than *first*, taken run by run: the luck they share cancels."""
        return interval(self.figures[figure] - first.figures[figure])

    @property
    def answers(self) -> bool:
        """Whether errors are few enough for percentiles of the answers to mean something."""
        return self.mean("error_share") <= MOST_ERRORS

    def keeps(self, max_p99: float) -> bool:
        """Whether p99 stays below, its interval too, and errors are few."""
        p99 = self.known("p99_s")
        return (p99.mean if math.isnan(p99.high) else p99.high) <= max_p99 and self.answers


def all_tried(log: Log, asked: Sequence[Option], replications: int) -> list[Tried]:
    """Each option in each replication; a bar shows itself after two seconds where a person is looking."""
    from tqdm.auto import tqdm

    with tqdm(total=len(asked) * replications, desc="runs", delay=2, leave=False, disable=None) as bar:
        return [_tried(log, option, replications, bar) for option in asked]


def _tried(log: Log, option: Option, replications: int, bar: Any) -> Tried:
    figures: dict[str, list[float]] = {}
    for replication in range(replications):
        found, last = _replayed(log, option, replication)
        for name, value in found.items():
            figures.setdefault(name, []).append(value)
        bar.update()
    return Tried(option, {name: np.array(x) for name, x in figures.items()}, last)


def _replayed(log: Log, option: Option, replication: int) -> tuple[dict[str, float], "Run"]:
    """A fleet's bill and utilization over the log's span; then on, until the last request has its answer.

    Serverless is paid for by the request, and a queue is worked off after the log, so their bill is the one after the
    last answer.
    """
    from simlib.simulation import EXACT_UP_TO, Simulation

    many = log.workload.expected(0.0, log.span_s) > EXACT_UP_TO
    sim = Simulation(log.seed, region=log.region, replication=replication, log="folded" if many else "exact")
    endpoint = sim.deploy(option.deployment, log.workload)
    _run(sim, log.span_s)
    span = endpoint.run
    step, longest = 60.0, _longest_s(option)
    while True:  # in growing steps: a time-out may be long, and the last answer come soon
        _run(sim, min(sim.env.now + step, log.span_s + longest))
        run = endpoint.run
        if not run.snapshot.inside.any():
            break
        step *= 2
    summary, serverless = run.summary(), option.kind == "serverless"
    paid = run if option.kind in ("serverless", "asynchronous") else span
    usd = float(paid.summary()["usd"])
    figures = {name: float(summary[name]) for name in ("requests", "p50_s", "p95_s", "p99_s")} | {
        "error_share": float(summary["error_rate"]),
        "cold_start_share": float(summary["cold_start_rate"]) if serverless else math.nan,
        "busy_share": math.nan if serverless else float(span.summary()["utilization"]),
        "usd_for_log": usd,
        "usd_a_month": usd * HOURS_PER_MONTH * 3600 / log.span_s,
    }
    return figures, paid


def _longest_s(option: Option) -> float:
    """The time in which every request has an answer, or an error [s]."""
    deployment = option.deployment
    in_the_queue: float = getattr(deployment, "request_ttl_s", 0.0)
    return in_the_queue + 2 * deployment.invocation_timeout_s


def _run(sim: "Simulation", until_s: float) -> None:
    sim.run(until_s=until_s, progress=False)
    if sim.interrupted:
        raise KeyboardInterrupt


def span_of(trace: "Workload") -> float:
    """From the log's first request to its last [s]."""
    *_, last = trace.blocks(np.random.default_rng(0))
    if not last.times[-1] > 0:
        raise ParameterError("the requests of the log all come at one instant; without a span they have no rate.")
    return float(last.times[-1])
