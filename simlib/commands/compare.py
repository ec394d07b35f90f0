"""`simlib compare`: replay a log of requests through several deployments, and see latency, errors and dollars."""

import argparse
import io
import math
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from simlib.commands import Subparsers, tables
from simlib.commands.arguments import count, names, non_negative, png, positive, seconds_by_name, whole
from simlib.commands.options import SETTINGS, add_arguments, assumptions, options
from simlib.commands.replay import MOST_ERRORS, Log, Tried, all_tried, span_of
from simlib.intervals import Interval
from simlib.parameters import ParameterError
from simlib.pricing import HOURS_PER_MONTH

if TYPE_CHECKING:
    import pandas as pd

    from simlib.model import Law

EXAMPLES = """examples:
  simlib compare --trace requests.csv --time TIMESTAMP --service-mean 0.08 --service-cv 0.4 --max-p99 0.5

  simlib compare --trace requests.csv --time TIMESTAMP --service-mean 0.08 --instances 1,2 \\
      --autoscale 1-4 --target 375 --serverless 2048,4096=1.8 --format html --out options.html

  simlib compare --trace azure_llm_conversation_2023.csv --time TIMESTAMP \\
      --s-per-unit ContextTokens=0.0002,GeneratedTokens=0.02 --workers 16 --instances 1,2,4 --instance-type ml.g5.xlarge
"""
USUAL_CV = 0.4
PERCENTILES = ("p50_s", "p95_s", "p99_s")
Form = Callable[[float], str]
FORMATS = ("text", "markdown", "csv", "html")


def add_parser(subparsers: Subparsers) -> None:
    """Describe the subcommand."""
    parser = subparsers.add_parser(
        "compare",
        help="replay a request log through several deployments: latency, errors, dollars",
        description="Replay a log of requests through fixed fleets, fleets that scale themselves, queues and "
        "serverless endpoints, all under the same requests, and print them side by side.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    log = parser.add_argument_group("the log")
    log.add_argument("--trace", required=True, metavar="FILE", help="CSV file with a header, one request a row")
    log.add_argument(
        "--time",
        required=True,
        metavar="COLUMN",
        help="arrival times: seconds, ISO 8601, or ms since 1970",
    )
    log.add_argument("--work", type=names, metavar="A,B", help="work columns; taken from --s-per-unit where not given")
    log.add_argument("--scale", type=positive, default=1.0, metavar="X", help="times as many requests (1.0)")
    service = parser.add_argument_group("how long a worker needs for one request")
    service.add_argument("--service-mean", type=positive, metavar="S", help="mean of a lognormal law [s]")
    cv_help = f"its standard deviation / mean ({USUAL_CV}); with --s-per-unit, that of a noise (0)"
    service.add_argument("--service-cv", type=non_negative, metavar="CV", help=cv_help)
    service.add_argument("--base-s", type=non_negative, metavar="S", help="with --s-per-unit, for each request [s] (0)")
    service.add_argument("--s-per-unit", type=seconds_by_name, metavar="A=S,B=S", help="seconds per unit of work")
    add_arguments(parser)
    answer = parser.add_argument_group("the answer")
    answer.add_argument("--max-p99", type=positive, metavar="S", help="say which option keeps this most cheaply [s]")
    answer.add_argument("--replications", type=count, default=5, metavar="N", help="draws of what is random (5)")
    answer.add_argument("--seed", type=whole, default=0, metavar="N", help="same seed, same table (0)")
    answer.add_argument("--format", choices=FORMATS, help="form of the table (by the ending of --out, else text)")
    answer.add_argument("--out", type=Path, metavar="FILE", help="write the table to this file, not to the screen")
    answer.add_argument("--picture", type=png, metavar="FILE.png", help="draw the bill against p99, with the frontier")
    answer.add_argument("--force", action="store_true", help="let --out and --picture replace files that exist")


def run(args: argparse.Namespace) -> int:
    """Print or write the tables, the answer and what it rests on."""
    from simlib import workload

    service, columns = _service(args)
    asked = options(args, service)
    _check_files(args)
    trace = workload.from_trace(args.trace, time=args.time, work=columns)
    log = Log(trace.scaled(args.scale), span_of(trace), args.seed, args.region)
    tried = all_tried(log, asked, args.replications)
    form = args.format or _form(args.out)
    drawn = _picture(tried, args.max_p99) if args.picture is not None or form == "html" else None
    content = tables.records(list(_records(args, tried))) if form == "csv" else ""
    if form != "csv":
        content = _formed(form, args, _report(args, log, service, tried, drawn))
    if args.picture is not None and drawn is not None:
        tables.write(Path(args.picture), drawn.png)
    if args.out is None:
        print(content, end="")
        return 0
    tables.write(args.out, content.encode("utf-8"))
    if args.max_p99 is not None:
        print(_answer(args.max_p99, tried))
    print(f"Written: {', '.join(str(path) for path in (args.out, args.picture) if path is not None)}.")
    return 0


# --- what was asked -------------------------------------------------------------------------------------------------


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


def _check_files(args: argparse.Namespace) -> None:
    """Raise now about a file that could not be written after the work."""
    targets = [("--out", args.out), ("--picture", None if args.picture is None else Path(args.picture))]
    given = [(flag, path) for flag, path in targets if path is not None]
    for flag, path in given:
        tables.check_target(flag, path, force=args.force, log=Path(args.trace))
    if len(given) == 2 and given[0][1].resolve() == given[1][1].resolve():
        raise ParameterError(f"--out and --picture are both {args.picture}: they should be two files.")


def _form(out: Path | None) -> str:
    return "text" if out is None else tables.SUFFIXES.get(out.suffix.lower(), "text")


# --- what is told ---------------------------------------------------------------------------------------------------


def _report(
    args: argparse.Namespace, log: Log, service: "Law", tried: Sequence[Tried], drawn: tables.Picture | None
) -> tables.Report:
    found = [] if args.max_p99 is None else [_answer(args.max_p99, tried)]
    return tables.Report(
        title=f"simlib compare: {Path(args.trace).name}",
        lead=list(_heading(args, log, service, tried)),
        tables=[_figures(tried), *([_differences(tried)] if len(tried) > 1 else [])],
        found=found,
        notes=list(_fine_print(args, tried)),
        picture=drawn,
    )


def _formed(form: str, args: argparse.Namespace, report: tables.Report) -> str:
    if form == "html":
        return tables.page(report)
    if form == "text":
        return tables.text(report)
    if args.picture is None:
        return tables.markdown(report)
    folder = Path.cwd() if args.out is None else args.out.resolve().parent
    try:
        link = Path(os.path.relpath(Path(args.picture).resolve(), folder)).as_posix()
    except ValueError:  # on Windows, another drive
        link = Path(args.picture).resolve().as_uri()
    return tables.markdown(report, link)


def _heading(args: argparse.Namespace, log: Log, service: "Law", tried: Sequence[Tried]) -> Iterator[str]:
    """What was replayed, and how many workers its work keeps busy."""
    requests, busy = tried[0].mean("requests"), _work_s(log, service) / log.span_s
    yield f"{args.trace}: {requests:,.0f} requests in {_duration(log.span_s)}, {requests / log.span_s:.4g} a second."
    sentence = f"{service!r}: their work keeps {busy:.4g} workers busy"
    if any(each.option.kind != "serverless" for each in tried):
        needed = math.floor(busy / args.workers) + 1
        sentence += (
            f", so at least {needed} {'instance' if needed == 1 else 'instances'} of {args.workers} "
            f"{'worker' if args.workers == 1 else 'workers'} must be there to keep up"
        )
    yield f"{sentence}."


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


def _figures(tried: Sequence[Tried]) -> tables.Table:
    cold = any(each.option.kind == "serverless" for each in tried)
    heads = ["option", "p50 s", "p95 s", "p99 s", "errors %", *(["cold starts %"] if cold else [])]
    heads += ["busy %", "$ for the log", "$ a month"]
    rows = []
    for each in tried:
        row = [each.option.name, *(_told(each.known(name), _seconds) for name in PERCENTILES)]
        shares = ("error_share", *(["cold_start_share"] if cold else []), "busy_share")
        row += [_told(_percent(each.known(name)), _fixed(2)) for name in shares]
        rows.append([*row, _told(each.known("usd_for_log"), _fixed(4)), _told(each.known("usd_a_month"), _fixed(2))])
    return tables.Table(f"Latency, errors and bill{_of_interval(tried)}", heads, rows)


def _of_interval(tried: Sequence[Tried]) -> str:
    return ", ± half the 95 % interval" if tried[0].known("requests").n > 1 else ", from one draw"


def _differences(tried: Sequence[Tried]) -> tables.Table:
    """Of each option from the first."""
    first, *others = tried
    rows = []
    for each in others:
        row = [each.option.name]
        row += [_told(each.beside(first, name), _signed(_seconds)) for name in ("p50_s", "p95_s", "p99_s")]
        row.append(_told(_percent(each.beside(first, "error_share")), _signed(_fixed(2))))
        rows.append([*row, _told(each.beside(first, "usd_a_month"), _signed(_fixed(2)))])
    caption = f"Difference from {first.option.name}, under the same requests run by run{_of_interval(tried)}"
    return tables.Table(caption, ["option", "p50 s", "p95 s", "p99 s", "errors, points", "$ a month"], rows)


def _percent(share: Interval) -> Interval:
    return Interval(100 * share.mean, 100 * share.low, 100 * share.high, share.n)


def _told(known: Interval, form: Form) -> str:
    """A mean with half its interval, where there is one, to the same place after the point."""
    if math.isnan(known.mean):
        return "–"
    mean, half = form(known.mean), known.half_width
    if math.isnan(half):
        return mean
    if half <= 1e-12 * max(1.0, abs(known.mean)):  # the last bits of a mean: nothing scatters
        return f"{mean} ± 0"
    places = max(0, 1 - math.floor(math.log10(half))) if mean == "0" else len(mean.partition(".")[2])
    return f"{mean} ± {half:,.{places}f}"


def _answer(max_p99: float, tried: Sequence[Tried]) -> str:
    """Which option is the cheapest that keeps the limit."""
    limit = f"p99 ≤ {max_p99:g} s with its interval, and at most {100 * MOST_ERRORS:g} % errors"
    good = [each for each in tried if each.keeps(max_p99)]
    if not good:
        return f"None of these keeps {limit}; try more instances, or more workers on each."
    best = min(good, key=lambda each: each.mean("usd_a_month"))
    return f"Cheapest that keeps {limit}: {best.option.name}, {best.mean('usd_a_month'):,.2f} dollars a month."


def _seconds(seconds: float) -> str:
    """Four digits, or all those before the point."""
    return f"{seconds:,.{max(0, 3 - math.floor(math.log10(seconds)))}f}" if seconds else "0"


def _fixed(digits: int) -> Form:
    return lambda value: f"{value:,.{digits}f}"


def _signed(form: Form) -> Form:
    """With a sign; what is only the last bits of a difference is nothing."""
    return lambda value: "0" if abs(value) < 1e-12 else f"{'+' if value > 0 else '-'}{form(abs(value))}"


def _fine_print(args: argparse.Namespace, tried: Sequence[Tried]) -> Iterator[tuple[str, Sequence[str]]]:
    yield "How to read it", list(_reading(args, tried))
    taken = dict.fromkeys(each for one in tried for each in _assumed(args, one))
    yield "Assumptions (V verified, S second-hand, D derived, U undocumented)", list(taken)
    priced = dict.fromkeys(each for one in tried for each in _priced(one))
    yield f"Prices ({args.region})", list(priced)


def _reading(args: argparse.Namespace, tried: Sequence[Tried]) -> Iterator[str]:
    kinds = {each.option.kind for each in tried}
    yield "Percentiles are those of answered requests, from arrival to answer; busy is the workers' share of time."
    if args.replications == 1:
        yield f"Each figure is one draw of service times and routing (seed {args.seed}), so it has no interval."
    else:
        yield (
            f"Each figure is the mean of {args.replications} draws of service times and routing (seed {args.seed}), "
            "with half of Student's 95 % interval; all options meet the same draws. A difference smaller than its ± "
            "may be chance; ± 0 says that no draw differed, not that none could."
        )
    yield "The log itself is one sample of your traffic: its own luck is not in the interval."
    if "serverless" in kinds:
        yield (
            "A fleet is paid for from the log's first request to its last, serverless for the time its requests take; "
            "cold starts are those per request that got a container, and errors count who was throttled."
        )
    if "asynchronous" in kinds:
        yield (
            "An asynchronous request is accepted at once; its latency is the time until its result is written, and its "
            "fleet is paid for until the last one is."
        )
    yield f"A month is {HOURS_PER_MONTH} hours like those of the log."


def _assumed(args: argparse.Namespace, one: Tried) -> Iterator[str]:
    if args.s_per_unit is None and args.service_cv is None:
        yield f"U  service-cv = {USUAL_CV}: not given"
    yield "U  payload = 1 kB in, 1 kB out: not in the log"
    yield from assumptions(args, one.option)
    for row in one.run.snapshot.assumptions:
        if one.option.kind != "fixed" or not row[0].startswith("instance_life."):  # there no instance comes or goes
            yield f"{row[2]}  {row[0]} = {row[1]}: {row[3]}"


def _priced(one: Tried) -> Iterator[str]:
    for line in one.run.invoice.to_dict("records"):
        price = f"{np.format_float_positional(line['unit_price'], trim='-')} $/{line['unit']}"
        doubt = f" ({line['note']})" if line["note"] else ""
        yield f"{line['mark']}  {line['item']}: {price}, {line['as_of']}, {line['source']}{doubt}"


def _records(args: argparse.Namespace, tried: Sequence[Tried]) -> Iterator[dict[str, object]]:
    """A row an option, for programs: all digits, units in the names, nothing where there is no such figure."""
    for each in tried:
        row: dict[str, object] = {"option": each.option.name, "kind": each.option.kind}
        row |= {name: each.option.settings.get(name, "") for name in SETTINGS}
        for name in each.figures:
            row |= _bounds(name, each.known(name))
        for name in (*PERCENTILES, "error_share", "usd_a_month"):
            row |= _bounds(f"{name}_difference", each.beside(tried[0], name) if each is not tried[0] else None)
        row |= {"replications": args.replications, "seed": args.seed, "region": args.region}
        row |= {"prices": "; ".join(_priced(each)), "assumptions": "; ".join(_assumed(args, each))}
        yield row


def _bounds(name: str, known: Interval | None) -> dict[str, object]:
    values = (math.nan,) * 3 if known is None else known[:3]
    return {
        f"{name}{end}": "" if math.isnan(value) else f"{value:.12g}"
        for end, value in zip(("", "_low", "_high"), values, strict=True)
    }


# --- the picture ----------------------------------------------------------------------------------------------------


def _picture(tried: Sequence[Tried], max_p99: float | None) -> tables.Picture:
    """The bill of a month against p99.  Who refuses many is no bargain: too many errors, and it is not drawn."""
    import matplotlib as mpl

    mpl.use("agg")  # a file, and no window
    import matplotlib.pyplot as plt

    from simlib import plots
    from simlib.plots.style import GREEN

    drawn = [each for each in tried if each.answers and not math.isnan(each.mean("p99_s"))]
    left_out = [each.option.name for each in tried if each not in drawn]
    title = "" if drawn else f"No option keeps errors at or below {100 * MOST_ERRORS:g} %"
    words = str.__str__(plots.frontier(_plane(drawn), cost="usd", latency="p99_s", title=title))
    plt.gca().set_xlabel("bill of a month [dollars]")
    if max_p99 is not None:  # by ourselves: who keeps the limit is decided by the interval and not by the mean
        plt.axhline(max_p99, color=GREEN, linewidth=1.1)
        plt.text(
            0.01,
            max_p99,
            f"limit {max_p99:g} s",
            color=GREEN,
            va="bottom",
            transform=plt.gca().get_yaxis_transform(),
        )
        plt.ylim(top=max(plt.ylim()[1], 1.08 * max_p99))
    held = io.BytesIO()
    plt.savefig(held, format="png", dpi=150)
    plt.close()
    if not drawn:
        words = f"{title}, so none is drawn."
    elif left_out:
        words += f" Not drawn, for more than {100 * MOST_ERRORS:g} % errors: {'; '.join(left_out)}."
    return tables.Picture(held.getvalue(), "Bill of a month against p99 latency, with 95 % intervals.", words)


def _plane(drawn: Sequence[Tried]) -> "pd.DataFrame":
    """As `plots.frontier` takes it."""
    import pandas as pd

    rows = {each.option.name: [*each.known("usd_a_month")[:3], *each.known("p99_s")[:3]] for each in drawn}
    columns = ["usd", "usd_low", "usd_high", "p99_s", "p99_s_low", "p99_s_high"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns, dtype=float)
