"""`simlib quiz`: the course's quiz, printed or written for Moodle."""

import argparse
from pathlib import Path

from simlib.commands import Subparsers

EXAMPLES = """examples:
  simlib quiz                                  print all items
  simlib quiz --gift quiz.gift                 for Moodle: Question bank, Import, GIFT format
  simlib quiz --gift quiz-es.gift --lang es
In a notebook: from simlib.course import quiz; quiz.ask("q04-cold").
"""


def add_parser(subparsers: Subparsers) -> None:
    """Describe the subcommand."""
    parser = subparsers.add_parser(
        "quiz",
        help="print the quiz, or write it for Moodle (GIFT)",
        description="Forty items in English and Spanish.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--gift", type=Path, metavar="FILE", help="write a GIFT file instead of printing")
    parser.add_argument("--lang", choices=("en", "es"), default="en", help="language (default: en)")


def run(args: argparse.Namespace) -> int:
    """Print or write."""
    from simlib.course.gift import gift
    from simlib.course.quiz import items, printed
    from simlib.files import in_one_step

    asked = list(items().values())
    if args.gift is None:
        print("\n\n".join(printed(each, args.lang) for each in asked))
        return 0
    with in_one_step(args.gift) as file:
        file.write(gift(asked, args.lang).encode())
    print(f"{args.gift}: {len(asked)} items.")
    return 0
