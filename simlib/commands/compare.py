"""`simlib compare`: replay a log of requests through a few fixed fleets, and see latency, errors and dollars."""

import argparse
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from simlib.commands import Subparsers
from simlib.commands.arguments import count, non_negative, positive, read, whole
from simlib.parameters import ParameterError
from simlib.pricing import HOURS_PER_MONTH

if TYPE_CHECKING:
    from simlib.model import Law
    from simlib.results import Run
    from simlib.serving import RealTime
    from simlib.simulation import Simulation
    from simlib.workload import Workload

EXAMPLES = """examples:
  simlib compare --trace requests.csv --time TIMESTAMP --service-mean 0.08 --service-cv 0.4 --max-p99 0.5

  simlib compare --trace azure_llm_conversation_2023.csv --time TIMESTAMP \\
      --s-per-unit ContextTokens=0.0002,GeneratedTokens=0.02 --workers 16 --instances 1,2,4 --instance-type ml.g5.xlarge
"""
MOST_ERRORS = 0.01
CONFIDENCE = 0.95
USUAL_CV = 0.4


def add_parser(subparsers: Subparsers) -> None:
    """Describe the subcommand."""
    parser = subparsers.add_parser(
        "compare",
        help="replay a request log through a few fleet sizes: latency, errors, dollars",
        description="Replay a log of requests through fixed fleets of different size and print them side by side.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    log = parser.add_argument_group("the log")
    log.add_argument("--trace", required=True, metavar="FILE", help="CSV file with a header, one request a row")
    log.add_argument("--time", required=True, metavar="COLUMN", help="column of arrival times: seconds or ISO 8601")
    log.add_argument("--work", type=names, metavar="A,B", help="work columns; taken from --s-per-unit where not given")
    log.add_argument("--scale", type=positive, default=1.0, metavar="X", help="times as many requests (1.0)")
    service = parser.add_argument_group("how long a worker needs for one request")
    service.add_argument("--service-mean", type=positive, metavar="S", help="mean of a lognormal law [s]")
    cv_help = f"its standard deviation / mean ({USUAL_CV}); with --s-per-unit, that of a noise (0)"
    service.add_argument("--service-cv", type=non_negative, metavar="CV", help=cv_help)
    service.add_argument("--base-s", type=non_negative, metavar="S", help="with --s-per-unit, for each request [s] (0)")
    service.add_argument("--s-per-unit", type=seconds_by_name, metavar="A=S,B=S", help="seconds per unit of work")
    fleet = parser.add_argument_group("the fleets")
    fleet.add_argument("--instances", type=counts, default=(1, 2, 4), metavar="N,N", help="fleet sizes (1,2,4)")
    fleet.add_argument("--instance-type", default="ml.m5.large", metavar="TYPE", help="decides the price (ml.m5.large)")
    fleet.add_argument(
        "--workers", type=count, default=1, metavar="N", help="requests an instance works on at once (1)"
    )
    fleet.add_argument("--routing", choices=("RANDOM", "LEAST_OUTSTANDING_REQUESTS", "SHARED_QUEUE"), default="RANDOM")
    fleet.add_argument("--timeout", type=positive, default=60.0, metavar="S", help="a caller waits no longer [s] (60)")
    fleet.add_argument("--queue-limit", type=whole, metavar="N", help="most that wait at one instance (no limit)")
    fleet.add_argument("--region", default="us-east-1", help="decides the price (us-east-1)")
    answer = parser.add_argument_group("the answer")
    answer.add_argument("--max-p99", type=positive, metavar="S", help="say which fleet keeps this most cheaply [s]")
    answer.add_argument("--replications", type=count, default=5, metavar="N", help="draws of what is random (5)")
    answer.add_argument("--seed", type=whole, default=0, metavar="N", help="same seed, same table (0)")


def run(args: argparse.Namespace) -> int:
    """Print the table, the answer and what it rests on."""
    from simlib import workload

    service, columns = _service(args)
    trace = workload.from_trace(args.trace, time=args.time, work=columns)
    log = Log(trace.scaled(args.scale), _span(trace), args.seed, args.region)
    fleets = [_tried(log, _deployment(args, service, n), args.replications) for n in _progress(args.instances)]
    print(_heading(args, log, service, fleets))
    print()
    print("\n".join(_table(fleets)))
    print()
    if args.max_p99 is not None:
        print(_answer(args.max_p99, fleets), end="\n\n")
    print("\n".join(_fine_print(args, fleets)))
    return 0


# --- what was asked -------------------------------------------------------------------------------------------------


def counts(text: str) -> tuple[int, ...]:
    """Several of them, like 1,2,4."""

    def numbers(text: str) -> tuple[int, ...]:
        return tuple(dict.fromkeys(int(part) for part in text.split(",")))

    return read(text, numbers, lambda found: min(found) >= 1, "whole numbers of at least 1, like 1,2,4")


def names(text: str) -> tuple[str, ...]:
    """Several columns, like A,B."""
    return read(text, lambda text: tuple(part.strip() for part in text.split(",")), all, "columns, like A,B")


def seconds_by_name(text: str) -> dict[str, float]:
    """Seconds for each of several columns, like A=0.0002,B=0.02."""

    def pairs(text: str) -> dict[str, float]:
        cut = (part.rpartition("=") for part in text.split(","))
        return {name.strip(): float(value) for name, _, value in cut}

    return read(
        text,
        pairs,
        lambda found: all(found) and all(0 <= s < math.inf for s in found.values()),
        "columns with seconds of at least 0, like ContextTokens=0.0002,GeneratedTokens=0.02",
    )


def _service(args: argparse.Namespace) -> tuple["Law", Sequence[str]]:
    """The law of one request's duration, and the work columns that it needs."""
    from simlib.model import lognormal, per_unit

    if (args.service_mean is None) == (args.s_per_unit is None):
        raise ParameterError(
            "a service time is not in the log and is not guessed: give --service-mean in seconds (with --service-cv), "
            "or seconds for each unit of work with --s-per-unit, and not both."
        )
    if args.s_per_unit is None:
        for flag, given in (("--base-s", args.base_s), ("--work", args.work)):
            if given is not None:
                raise ParameterError(f"{flag} goes with --s-per-unit, not with --service-mean.")
        return lognormal(args.service_mean, USUAL_CV if args.service_cv is None else args.service_cv), ()
    columns = tuple(args.s_per_unit)
    if args.work is not None and set(args.work) != set(columns):
        raise ParameterError(
            f"--work {','.join(args.work)} should be the columns of --s-per-unit: {','.join(columns)}."
        )
    return per_unit(args.base_s or 0.0, args.s_per_unit, args.service_cv or 0.0), columns


def _deployment(args: argparse.Namespace, service: "Law", instances: int) -> "RealTime":
    from simlib.model import ModelProfile
    from simlib.serving import RealTime

    return RealTime(
        ModelProfile("model", service),
        instance_type=args.instance_type,
        initial_instance_count=instances,
        workers=args.workers,
        routing=args.routing,
        queue_limit=args.queue_limit,
        invocation_timeout_s=args.timeout,
    )


def _span(trace: "Workload") -> float:
    """From the log's first request to its last [s]."""
    *_, last = trace.blocks(np.random.default_rng(0))
    if not last.times[-1] > 0:
        raise ParameterError("the requests of the log all come at one instant; without a span they have no rate.")
    return float(last.times[-1])


# --- trying a fleet -------------------------------------------------------------------------------------------------


class Log(NamedTuple):
    """What is replayed, and where."""

    workload: "Workload"
    span_s: float
    seed: int
    region: str


class Tried(NamedTuple):
    """One fleet: its figures in each replication, and one of its runs."""

    instances: int
    figures: Mapping[str, np.ndarray]
    run: "Run"

    def mean(self, figure: str) -> float:
        """Over the replications."""
        return float(self.figures[figure].mean())

    def half_width(self, figure: str) -> float:
        """Of the mean's 95 % interval (Student t); NaN from one replication."""
        from scipy.stats import t

        values = self.figures[figure]
        n = len(values)
        if n == 1 or not np.ptp(values):  # nothing is random: the mean's last bits are no spread
            return math.nan if n == 1 else 0.0
        return float(t.ppf((1 + CONFIDENCE) / 2, n - 1) * values.std(ddof=1) / math.sqrt(n))

    def keeps(self, max_p99: float) -> bool:
        """Whether p99 stays below, its interval too, and errors are few."""
        doubt = self.half_width("p99_s")
        within = self.mean("p99_s") + (0.0 if math.isnan(doubt) else doubt) <= max_p99
        return within and self.mean("error_rate") <= MOST_ERRORS


def _progress(sizes: Sequence[int]) -> Iterator[int]:
    """The fleet sizes; a bar shows itself after two seconds where a person is looking."""
    from tqdm.auto import tqdm

    return iter(tqdm(sizes, desc="fleets", delay=2, leave=False, disable=None))


def _tried(log: Log, deployment: "RealTime", replications: int) -> Tried:
    figures: dict[str, list[float]] = {}
    for replication in range(replications):
        found, last = _replayed(log, deployment, replication)
        for name, value in found.items():
            figures.setdefault(name, []).append(value)
    return Tried(deployment.initial_instance_count, {name: np.array(x) for name, x in figures.items()}, last)


def _replayed(log: Log, deployment: "RealTime", replication: int) -> tuple[dict[str, float], "Run"]:
    """Bill and utilization over the log's span; then on, until the last request has its answer."""
    from simlib.simulation import EXACT_UP_TO, Simulation

    many = log.workload.expected(0.0, log.span_s) > EXACT_UP_TO
    sim = Simulation(log.seed, region=log.region, replication=replication, log="folded" if many else "exact")
    endpoint = sim.deploy(deployment, log.workload)
    _run(sim, log.span_s)
    span = endpoint.run
    figures = {"utilization": span.summary()["utilization"], "usd": span.summary()["usd"]}
    step = 60.0
    while True:  # in growing steps: a time-out may be long, and the last answer come soon
        _run(sim, min(sim.env.now + step, log.span_s + 2 * deployment.invocation_timeout_s))
        run = endpoint.run
        if not run.snapshot.inside.any():
            break
        step *= 2
    summary = run.summary()
    figures |= {name: float(summary[name]) for name in ("requests", "p50_s", "p95_s", "p99_s", "error_rate")}
    return figures, span


def _run(sim: "Simulation", until_s: float) -> None:
    sim.run(until_s=until_s, progress=False)
    if sim.interrupted:
        raise KeyboardInterrupt


# --- what is printed ------------------------------------------------------------------------------------------------


def _heading(args: argparse.Namespace, log: Log, service: "Law", fleets: Sequence[Tried]) -> str:
    """What was replayed, and how many workers its work keeps busy."""
    requests, busy = fleets[0].mean("requests"), _work_s(log, service) / log.span_s
    needed = math.floor(busy / args.workers) + 1
    return (
        f"{args.trace}: {requests:,.0f} requests in {_duration(log.span_s)}, {requests / log.span_s:.4g} a second.\n"
        f"{service!r}: their work keeps {busy:.4g} workers busy,\n"
        f"so at least {needed} {'instance' if needed == 1 else 'instances'} of {args.workers} "
        f"{'worker' if args.workers == 1 else 'workers'} must be there to keep up."
    )


def _work_s(log: Log, service: "Law") -> float:
    """What all requests take together [s], in one draw."""
    rng, total = np.random.default_rng(log.seed), 0.0
    for block in log.workload.blocks(np.random.default_rng(log.seed)):
        total += float(service.durations(len(block.times), rng, block.work).sum())
    return total


def _duration(seconds: float) -> str:
    for length, unit in ((86400.0, "days"), (3600.0, "h"), (60.0, "min")):
        if seconds >= 2 * length:
            return f"{seconds / length:.4g} {unit}"
    return f"{seconds:.4g} s"


def _table(fleets: Sequence[Tried]) -> list[str]:
    heads = ("instances", "requests", "p50 s", "p95 s", "p99 s", "±", "errors", "busy", "$ for the log", "$ a month")
    rows = [heads, *(_row(fleet) for fleet in fleets)]
    widths = [max(len(row[k]) for row in rows) for k in range(len(heads))]
    return ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]


def _row(fleet: Tried) -> tuple[str, ...]:
    return (
        f"{fleet.instances:,}",
        f"{fleet.mean('requests'):,.0f}",
        *(_seconds(fleet.mean(name)) for name in ("p50_s", "p95_s", "p99_s")),
        _seconds(fleet.half_width("p99_s")),
        f"{100 * fleet.mean('error_rate'):.2f} %",
        f"{100 * fleet.mean('utilization'):.1f} %",
        f"{fleet.mean('usd'):,.4f}",
        f"{_a_month(fleet):,.2f}",
    )


def _seconds(seconds: float) -> str:
    return "–" if math.isnan(seconds) else f"{seconds:#.4g}".rstrip(".") if seconds else "0"


def _a_month(fleet: Tried) -> float:
    return fleet.mean("usd") * HOURS_PER_MONTH * 3600 / fleet.run.snapshot.end_s


def _answer(max_p99: float, fleets: Sequence[Tried]) -> str:
    """Which fleet is the cheapest that keeps the limit."""
    limit = f"p99 ≤ {max_p99:g} s with its interval, and at most {100 * MOST_ERRORS:g} % errors"
    good = [fleet for fleet in fleets if fleet.keeps(max_p99)]
    if not good:
        return f"None of these keeps {limit}; try more instances, or more workers on each."
    best = min(good, key=lambda fleet: fleet.mean("usd"))
    return (
        f"Cheapest that keeps {limit}: {best.instances} {'instance' if best.instances == 1 else 'instances'}, "
        f"{_a_month(best):,.2f} dollars a month."
    )


def _fine_print(args: argparse.Namespace, fleets: Sequence[Tried]) -> Iterator[str]:
    yield "Percentiles are those of answered requests, from arrival to answer; busy is the workers' share of time."
    yield f"Each figure is the mean of {args.replications} draws of service times and routing; ± is half the 95 %"
    yield "interval of p99.  The log itself is one sample of your traffic: its own luck is not in the interval."
    yield f"A month is {HOURS_PER_MONTH} hours like those of the log."
    yield ""
    yield "Assumptions (V verified, S second-hand, D derived, U undocumented):"
    if args.s_per_unit is None and args.service_cv is None:
        yield f"  U  service-cv = {USUAL_CV}: not given"
    yield "  U  payload = 1 kB in, 1 kB out: not in the log"
    yield "  U  fixed fleet = True: instances are in service all the time, and none fails"
    for row in fleets[0].run.snapshot.assumptions:
        if not row[0].startswith("instance_life."):  # in a fixed fleet no instance comes or goes
            yield f"  {row[2]}  {row[0]} = {row[1]}: {row[3]}"
    yield f"Prices ({args.region}):"
    for line in fleets[0].run.invoice.to_dict("records"):
        price = f"{line['unit_price']:g} $/{line['unit']}"
        yield f"  {line['mark']}  {line['item']}: {price}, {line['as_of']},"
        yield f"     {line['source']}"
