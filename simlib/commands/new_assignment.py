"""`simlib new-assignment`: a private source to begin with, for marks that count."""

import argparse
from pathlib import Path

from simlib.commands import Subparsers

EXAMPLES = """example:
  simlib new-assignment ../private/midterm.ipynb       then edit it, and `simlib release ../private/midterm.ipynb`
"""
COURSE = Path(__file__).resolve().parents[2]


def add_parser(subparsers: Subparsers) -> None:
    """Describe the subcommand."""
    parser = subparsers.add_parser(
        "new-assignment",
        help="begin a private source of questions, outside the repository",
        description="The course's own solutions are public; for marks, begin a source of your own.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="a new .ipynb, outside the course's folder")


def run(args: argparse.Namespace) -> int:
    """Write it, and say what comes next."""
    from simlib.grading.assignment import make_assignment

    path = make_assignment(args.file, COURSE)
    print(f"{path}: edit it (docs/guide/exercises.md), then")
    print(f"  simlib release {path} --out handout")
    return 0
