"""`simlib forget`: delete everything that a grading run has kept of one student."""

import argparse
from pathlib import Path

from simlib.commands import Subparsers

EXAMPLES = """example:
  simlib forget ana --out marks/02
"""


def add_parser(subparsers: Subparsers) -> None:
    """Describe the subcommand."""
    parser = subparsers.add_parser(
        "forget",
        help="delete everything that a grading run has kept of one student",
        description="Marks, feedback, receipt, manual marks and name; what was handed in lies elsewhere and stays.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("student", metavar="STUDENT", help="as in marks.csv")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the folder that `simlib grade` wrote")


def run(args: argparse.Namespace) -> int:
    """Delete, and say what."""
    from simlib.grading.records import Records
    from simlib.parameters import ParameterError

    if not (args.out / "private").is_dir():
        raise ParameterError(f"{args.out} is not a folder that `simlib grade` wrote.")
    changed = Records(args.out).forget(args.student)
    for path in changed:
        print(path)
    print("forgotten; delete the submission itself, too." if changed else "nothing was kept of this student.")
    return 0
