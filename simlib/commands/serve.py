"""`simlib serve`: a model artifact behind a local server with the contract of a SageMaker container."""

import argparse
from pathlib import Path

from simlib.commands import Subparsers
from simlib.commands.arguments import count, positive, whole

EXAMPLES = """examples:
  simlib serve model.tar.gz --workers 2 --log access.jsonl
  curl -X POST -H 'Content-Type: text/csv' -d '5.1,3.5,1.4,0.2' http://127.0.0.1:8080/invocations

The code in the artifact is run: serve only what you trust.
"""


def add_parser(subparsers: Subparsers) -> None:
    """Describe the subcommand."""
    parser = subparsers.add_parser(
        "serve",
        help="serve a model artifact on this machine, as a container would",
        description="Answer /ping, /invocations and /execution-parameters until SIGTERM or Ctrl-C, then finish what is "
        "inside, for 30 s at most.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("artifact", type=Path, metavar="FILE", help="a model.tar.gz")
    parser.add_argument("--port", type=whole, default=8080, metavar="N", help="where to listen; 0: a free one (8080)")
    parser.add_argument("--host", default="127.0.0.1", help="who is listened to (127.0.0.1: this machine only)")
    parser.add_argument("--workers", type=count, default=1, metavar="N", help="requests worked on at once (1)")
    parser.add_argument("--queue-limit", type=whole, default=100, metavar="N", help="requests that may wait (100)")
    parser.add_argument("--timeout-s", type=positive, default=60.0, metavar="S", help="from arrival to answer (60)")
    parser.add_argument("--max-body-mb", type=positive, default=25.0, metavar="MB", help="largest request (25)")
    parser.add_argument("--log", type=Path, metavar="FILE", help="note each request here, a line of JSON each")


def run(args: argparse.Namespace) -> int:
    """Serve until told to stop."""
    from simlib.artifacts import serve

    serve(
        args.artifact,
        port=args.port,
        host=args.host,
        workers=args.workers,
        queue_limit=args.queue_limit,
        timeout_s=args.timeout_s,
        max_body_mb=args.max_body_mb,
        log=args.log,
        ready=lambda port: print(f"{args.artifact.name} answers on http://{args.host}:{port}/invocations", flush=True),
    )
    return 0
