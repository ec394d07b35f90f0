"""`simlib grade`: marks, feedback and an overview from what a class handed in."""

import argparse
from pathlib import Path

from simlib.commands import Subparsers
from simlib.commands.arguments import count, positive

EXAMPLES = """examples:
  simlib grade submissions/ --out marks/02                  a folder or a platform's zip; again: only what is new
  simlib grade moodle.zip --out marks/02 --source solutions/02-real-time-endpoints.ipynb --jobs 4
  simlib grade moodle.zip --out marks/02 --sheet Grades.csv  fill a Moodle or Canvas sheet, write what to give back
  simlib grade submissions/ --out marks/02 --only ana        one student anew
"""
COURSE = Path(__file__).resolve().parents[2]


def add_parser(subparsers: Subparsers) -> None:
    """Describe the subcommand."""
    parser = subparsers.add_parser(
        "grade",
        help="marks, feedback and an overview from what a class handed in",
        description="Run every answer in a sandbox on hidden cases; interrupted, it goes on where it was.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("submissions", type=Path, metavar="SUBMISSIONS", help="a folder, or the platform's zip")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the folder of this exercise's marks")
    parser.add_argument("--source", type=Path, metavar="FILE", help="the exercise's source (default: as they say)")
    parser.add_argument("--seed", metavar="SECRET", help="of the hidden cases (default: made once and kept in DIR)")
    parser.add_argument("--jobs", type=count, default=2, metavar="N", help="submissions at a time (default: 2)")
    parser.add_argument(
        "--attempt", choices=("latest", "first", "best"), default="latest", help="which of several counts"
    )
    parser.add_argument("--individual", action="store_true", help="each student had numbers of his own")
    parser.add_argument("--only", action="append", default=[], metavar="STUDENT", help="grade this student anew")
    parser.add_argument("--lang", choices=("en", "es"), default="en", help="language of the feedback (default: en)")
    parser.add_argument("--cell-seconds", type=positive, default=60, metavar="S", help="limit of a cell (default: 60)")
    parser.add_argument("--sheet", type=Path, metavar="CSV", help="the platform's own sheet, filled into DIR/platform/")
    parser.add_argument("--column", metavar="NAME", help="of that sheet: the column of this exercise's mark")
    parser.add_argument("--scale", type=positive, metavar="MAX", help="marks in the sheet from 0 to MAX")


def run(args: argparse.Namespace) -> int:
    """Grade, and say in a few lines what was done."""
    from simlib.parameters import ParameterError

    try:
        from simlib.grading.grade import Order, find_source, grade
        from simlib.grading.platforms import give_back
        from simlib.grading.sandbox import Limits
    except ImportError:
        raise ParameterError("this is a student's copy: grading needs the full repository.") from None
    source = args.source or find_source(args.submissions, COURSE / "solutions")
    order = Order(
        submissions=args.submissions,
        out=args.out,
        source=source,
        seed=args.seed,
        jobs=args.jobs,
        rule=args.attempt,
        is_individual=args.individual,
        only=tuple(args.only),
        language=args.lang,
        limits=Limits(cell_s=args.cell_seconds),
    )
    graded = grade(order)
    print(f"{len(graded.results)} students, {graded.new} graded now: {args.out / 'marks.csv'}")
    print(f"{args.out / 'overview.html'}, {args.out / 'feedback'}/")
    waiting = sum(result["status"] == "pending" for result in graded.results)
    if waiting:
        print(f"{waiting} wait for marks by hand: fill the points in {args.out / 'manual.csv'}, then run this again.")
    for sentence in graded.changed:
        print(f"changed: {sentence}")
    for path in give_back(order.out, graded.results, args.sheet, args.column, args.scale):
        print(path)
    return 0
