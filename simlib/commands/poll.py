"""`simlib poll`: the room's predictions as histograms, beside the simulated answers."""

import argparse
from pathlib import Path

from simlib.commands import Subparsers

EXAMPLES = """examples:
  simlib poll collected                        every question that somebody predicted
  simlib poll collected --question class.s1    one of them, to show it in class
  simlib poll collected --lang es
Collect each learner's .simlib/predictions.json under any name that ends in .json: it does not say who answered.
"""


def add_parser(subparsers: Subparsers) -> None:
    """Describe the subcommand."""
    parser = subparsers.add_parser(
        "poll",
        help="show what a class predicted beside the simulated answers",
        description="Read many learners' predictions; a broken file is named and left out.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where the learners' files lie, at any depth")
    parser.add_argument("--question", metavar="ID", help="one question only, such as class.s1")
    parser.add_argument("--lang", choices=("en", "es"), help="language (default: that of your messages)")


def run(args: argparse.Namespace) -> int:
    """Print the poll."""
    from simlib import poll
    from simlib.languages import current

    language = args.lang or current()
    print("\n".join(poll.lines(poll.read(args.folder, language), language, args.question)))
    return 0
