"""`simlib student-copy`: the learner's own copy, or the folder that a teacher hands out."""

import argparse
from pathlib import Path

from simlib.commands import Subparsers

EXAMPLES = """examples:
  simlib student-copy --work             make or refresh work/, your own copy of the notebooks
  simlib student-copy ../course-2026     what a teacher hands out: no outputs, solutions, tests or grading
  simlib student-copy --work --lang es   the same in Spanish: texts where they are translated, messages; never the code
"""


def add_parser(subparsers: Subparsers) -> None:
    """Describe the subcommand."""
    parser = subparsers.add_parser(
        "student-copy",
        help="make the learner's copy of the notebooks, or the one a teacher hands out",
        description="Copy the course without outputs.  Run again, it updates what was not touched and keeps the rest.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("folder", nargs="?", type=Path, metavar="DIR", help="a new or empty folder, or an earlier copy")
    where.add_argument("--work", action="store_true", help="the learner's copy, in the folder work/")
    parser.add_argument("--lang", choices=("en", "es"), help="language of texts and messages (as before, else en)")


def run(args: argparse.Namespace) -> int:
    """Make the copy and say what was done."""
    from simlib.course.place import course_folder, work_folder
    from simlib.student_copy import make_student_copy, make_work_copy, spoken_in

    course, work = course_folder(), work_folder()
    there = work if args.work else args.folder / "notebooks"
    language = args.lang or spoken_in(there) or spoken_in(course / "notebooks") or "en"
    report = make_work_copy(course, work, language) if args.work else make_student_copy(course, args.folder, language)
    print("\n".join(report.sentences()))
    return 0
