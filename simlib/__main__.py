"""The command line: `simlib COMMAND …`, or `python -m simlib COMMAND …`.

Nothing heavy is imported until a command runs, so that `doctor` still speaks where a package is missing.
"""

import argparse
import difflib
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType
from typing import NoReturn

COMMANDS = (
    *("compare", "validate", "serve", "last_mile", "release", "grade", "new_assignment", "forget"),
    *("student_copy", "poll", "quiz", "doctor"),
)


class _Parser(argparse.ArgumentParser):
    """Says what is wrong with the arguments in one sentence, without the usage of all others."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see `{self.prog} --help`.\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; a user's mistake is one sentence on stderr and exit status 2."""
    try:
        args = _arguments(argv)
        command = import_module(f"simlib.commands.{args.command.replace('-', '_')}")
        return _run(command, args)
    except KeyboardInterrupt:
        return 130


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = _Parser(
        prog="simlib",
        description="The last mile of machine learning on one simulated clock.",
        epilog="example: simlib doctor.  Each command's --help shows an example of its own.",
    )
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name in COMMANDS:
        import_module(f"simlib.commands.{name}").add_parser(subparsers)
    args, left = parser.parse_known_args(argv)
    if left:
        subparsers.choices[args.command].error(f"there is no option {left[0]!r}{_nearest(left[0], args)}")
    return args


def _nearest(option: str, args: argparse.Namespace) -> str:
    known = [f"--{name.replace('_', '-')}" for name in vars(args) if name != "command"]
    near = difflib.get_close_matches(option.partition("=")[0], known, n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _run(command: ModuleType, args: argparse.Namespace) -> int:
    try:
        status = int(command.run(args))
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # the reader, `head` say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (OSError, ValueError) as error:
        if not _can_be_put_right(error):
            raise
        print(f"simlib {args.command}: {_sentence(error)}", file=sys.stderr)
        return 2


def _can_be_put_right(error: Exception) -> bool:
    """Whether the user can; any other ValueError is a fault of ours, and its traceback is wanted."""
    from simlib.parameters import ParameterError

    return isinstance(error, OSError | ParameterError)


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}."
    return str(error)


if __name__ == "__main__":
    sys.exit(main())
