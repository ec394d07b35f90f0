"""What people do without a notebook: one module for each subcommand of `simlib`.

Each has `add_parser(subparsers)`, which describes the subcommand with an example, and `run(args)`, which carries it
out and returns the exit status.
"""

import argparse
from typing import Protocol


class Subparsers(Protocol):
    """What `ArgumentParser.add_subparsers` returns, by the one method that a command needs."""

    def add_parser(
        self,
        name: str,
        *,
        help: str | None = ...,
        description: str | None = ...,
        epilog: str | None = ...,
        formatter_class: type[argparse.HelpFormatter] = ...,
    ) -> argparse.ArgumentParser:
        """A new subcommand's parser."""
