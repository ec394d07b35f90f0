"""The deployments that a command line names: fixed fleets, autoscaled ones, queues, serverless endpoints."""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from simlib.commands.arguments import (
    count,
    counts,
    non_negative,
    positive,
    positives,
    ranges,
    ranges_from_zero,
    speed_by_memory,
    whole,
)
from simlib.parameters import ParameterError

if TYPE_CHECKING:
    from simlib.model import Law, ModelProfile
    from simlib.serving import Asynchronous, RealTime, Serverless, TargetTracking

Kind = Literal["fixed", "autoscaled", "serverless", "asynchronous"]
USUAL_SIZES = (1, 2, 4)
USUAL_CONCURRENCY = 20
USUAL_MB = 100.0
USUAL_BACKLOG = 5.0  # per instance, in the example of AWS's guide
TYPICAL_LOAD = 0.5  # of what an instance can do: the safety factor of AWS's own guide


@dataclass(frozen=True)
class Option:
    """A way to serve the log, by the name that stands in its row."""

    name: str
    kind: Kind
    deployment: "RealTime | Serverless | Asynchronous"
    settings: Mapping[str, float]


SETTINGS = (
    *("fewest_instances", "most_instances", "target_calls_per_minute", "target_backlog"),
    *("memory_mb", "most_at_once", "speed"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The groups about what is compared."""
    each = parser.add_argument_group("the options, a row each; the first is what the others are compared with")
    each.add_argument("--instances", type=counts, metavar="N,N", help="fixed fleets (1,2,4 where no option is named)")
    each.add_argument("--autoscale", type=ranges, metavar="MIN-MAX", help="a fleet that follows the load, like 1-8")
    each.add_argument(
        "--target", type=positives, metavar="N,N", help="with --autoscale: calls a minute wanted for each instance"
    )
    each.add_argument(
        "--serverless",
        type=speed_by_memory,
        metavar="MB,MB",
        help="containers of these memory sizes; 2048=0.5 works at half the speed of an instance's worker (1)",
    )
    each.add_argument(
        "--max-concurrency", type=count, metavar="N", help=f"with --serverless: most at once ({USUAL_CONCURRENCY})"
    )
    each.add_argument(
        "--asynchronous",
        type=ranges_from_zero,
        metavar="MIN-MAX",
        help="a queue before a fleet that follows its backlog, like 0-4; answers are written, nobody waits on the line",
    )
    each.add_argument(
        "--backlog",
        type=positive,
        metavar="N",
        help=f"with --asynchronous: wanted for each instance ({USUAL_BACKLOG:g})",
    )
    fleet = parser.add_argument_group("what they have in common")
    fleet.add_argument("--instance-type", default="ml.m5.large", metavar="TYPE", help="decides the price (ml.m5.large)")
    fleet.add_argument(
        "--workers", type=count, default=1, metavar="N", help="requests an instance works on at once (1)"
    )
    fleet.add_argument("--routing", choices=("RANDOM", "LEAST_OUTSTANDING_REQUESTS", "SHARED_QUEUE"), default="RANDOM")
    fleet.add_argument("--queue-limit", type=whole, metavar="N", help="most that wait at one instance (no limit)")
    fleet.add_argument("--timeout", type=positive, default=60.0, metavar="S", help="a caller waits no longer [s] (60)")
    fleet.add_argument(
        "--model-mb", type=positive, metavar="MB", help="fetched by each new instance or container (100)"
    )
    fleet.add_argument("--load-s", type=non_negative, metavar="S", help="loading it once it is there [s] (0)")
    fleet.add_argument("--region", default="us-east-1", help="decides the price (us-east-1)")


def options(args: argparse.Namespace, service: "Law") -> Sequence[Option]:
    """What is to be compared, in the order of the rows."""
    from simlib.model import ModelProfile

    _check(args)
    loading = 0.0 if args.load_s is None else args.load_s
    model = ModelProfile("model", service, size_mb=args.model_mb or USUAL_MB, load_seconds=loading)
    fleets = [*_fixed(args, model), *_autoscaled(args, model)]
    return [*fleets, *_serverless(args, model), *_asynchronous(args, model)]


def assumptions(args: argparse.Namespace, option: Option) -> Iterator[str]:
    """What the command line did not say, and was taken for granted."""
    if option.kind == "fixed":
        yield "U  fixed fleet = True: instances are in service all the time, and none fails"
        return
    if option.kind in ("autoscaled", "asynchronous"):
        yield "U  autoscaled fleet at the start = its fewest instances, in service at once"
    if args.model_mb is None:
        yield f"U  model-mb = {USUAL_MB:g}: not given; a new instance or container fetches it"
    if args.load_s is None:
        yield "U  load-s = 0: not given; how long loading it takes then"
    if option.kind == "serverless" and "speed" not in option.settings:
        yield f"U  speed of {option.settings['memory_mb']} MB = 1: not given; that of an instance's worker"


def _check(args: argparse.Namespace) -> None:
    """Raise about what goes only with something that is missing."""
    if args.autoscale is not None and args.target is None:
        raise ParameterError(f"--autoscale needs --target, the calls a minute for each instance{_hint(args)}.")
    if args.target is not None and args.autoscale is None:
        raise ParameterError("--target goes with --autoscale, like --autoscale 1-8.")
    if args.max_concurrency is not None and args.serverless is None:
        raise ParameterError("--max-concurrency goes with --serverless, like --serverless 2048.")
    if args.backlog is not None and args.asynchronous is None:
        raise ParameterError("--backlog goes with --asynchronous, like --asynchronous 0-4.")
    for flag, given in (("--model-mb", args.model_mb), ("--load-s", args.load_s)):
        if given is not None and args.autoscale is None and args.serverless is None and args.asynchronous is None:
            raise ParameterError(
                f"{flag} goes with --autoscale or --serverless (or --asynchronous): "
                "a fixed fleet is there from the start."
            )


def _hint(args: argparse.Namespace) -> str:
    if args.service_mean is None:
        return ""
    calls = TYPICAL_LOAD * 60 * args.workers / args.service_mean
    return f"; {100 * TYPICAL_LOAD:g} % of what one can do would be --target {calls:.3g}"


def _fixed(args: argparse.Namespace, model: "ModelProfile") -> Iterator[Option]:
    alone = args.autoscale is None and args.serverless is None and args.asynchronous is None
    for n in USUAL_SIZES if args.instances is None and alone else args.instances or ():
        name = f"{n:,} {'instance' if n == 1 else 'instances'}"
        yield Option(name, "fixed", _fleet(args, model, n), {"fewest_instances": n, "most_instances": n})


def _autoscaled(args: argparse.Namespace, model: "ModelProfile") -> Iterator[Option]:
    from simlib.serving import TargetTracking

    for fewest, most in args.autoscale or ():
        for target in args.target:
            policy = TargetTracking(target, min_capacity=fewest, max_capacity=most)
            name = f"{fewest:,}-{most:,} instances, target {target:g}"
            settings = {"fewest_instances": fewest, "most_instances": most, "target_calls_per_minute": target}
            yield Option(name, "autoscaled", _fleet(args, model, fewest, policy), settings)


def _fleet(
    args: argparse.Namespace, model: "ModelProfile", instances: int, scaling: "TargetTracking | None" = None
) -> "RealTime":
    from simlib.serving import RealTime

    return RealTime(
        model,
        instance_type=args.instance_type,
        initial_instance_count=instances,
        workers=args.workers,
        routing=args.routing,
        queue_limit=args.queue_limit,
        invocation_timeout_s=args.timeout,
        scaling=scaling,
    )


def _serverless(args: argparse.Namespace, model: "ModelProfile") -> Iterator[Option]:
    from simlib.serving import Serverless

    for memory, speed in (args.serverless or {}).items():
        deployment = Serverless(
            model,
            memory_mb=memory,
            max_concurrency=args.max_concurrency or USUAL_CONCURRENCY,
            invocation_timeout_s=args.timeout,
            speed=speed or 1.0,
        )
        at = "" if speed is None else f", speed {speed:g}"
        settings = {"memory_mb": memory, "most_at_once": deployment.max_concurrency}
        settings |= {} if speed is None else {"speed": speed}
        yield Option(f"serverless {memory} MB{at}", "serverless", deployment, settings)


def _asynchronous(args: argparse.Namespace, model: "ModelProfile") -> Iterator[Option]:
    """Its own time limits hold, not --timeout: 15 minutes for the model, six hours in the queue."""
    from simlib.serving import Asynchronous, BacklogTracking, wake_from_zero

    target = args.backlog or USUAL_BACKLOG
    for fewest, most in args.asynchronous or ():
        bounds = {"min_capacity": fewest, "max_capacity": most}
        deployment = Asynchronous(
            model,
            instance_type=args.instance_type,
            initial_instance_count=fewest,
            max_concurrent_invocations_per_instance=args.workers,
            scaling=(BacklogTracking(target, **bounds), wake_from_zero(**bounds)),
        )
        name = f"async, {fewest:,}-{most:,} instances, backlog {target:g}"
        settings = {"fewest_instances": fewest, "most_instances": most, "target_backlog": target}
        yield Option(name, "asynchronous", deployment, settings)
