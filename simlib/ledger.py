"""What came of many runs, written down one by one as they finish: a sweep that is killed loses none of them.

A ledger is one SQLite file.  A run is found in it by all that makes it the run it is (deployment, workload,
replication, options, versions), so whatever experiment asks for it later has it at once, and the order in which runs
came does not matter.  Figures are written with all their digits: an experiment that goes on gives the same bytes as one
that was never stopped.
"""

import hashlib
import inspect
import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from simlib import __version__
from simlib.parameters import ParameterError, to_json
from simlib.simulation import simulate

FORMAT = 1
_NOT_ITS_OWN = ("replication", "progress", "checkpoint")  # the key has it, or nothing comes of it
_TABLE = (
    "CREATE TABLE IF NOT EXISTS runs (key TEXT PRIMARY KEY, deployment TEXT NOT NULL, replication INTEGER NOT NULL, "
    "options TEXT NOT NULL, figures TEXT NOT NULL) WITHOUT ROWID"
)


class Ledger:
    """The file of an experiment's runs.  Only the process that asked for the runs writes it.

    Parameters
    ----------
    owner : str
        Whom error messages speak of.
    path : path
        Made where it does not exist; several experiments may share one, not at the same time.

    Raises
    ------
    ParameterError
        If it cannot be written, or is something else.
    """

    def __init__(self, owner: str, path: Path) -> None:
        self.owner, self.path = owner, path
        self._unwritten: list[tuple[str, str, int, str, str]] = []
        self._told = False
        try:
            self._file = sqlite3.connect(path)
            with self._file:
                self._file.execute(_TABLE)
                self._file.execute("SELECT key, deployment, replication, options, figures FROM runs LIMIT 1")
        except sqlite3.Error as error:
            raise ParameterError(f"{owner}: results={str(path)!r} cannot be used: {error}.") from None

    def digest(self, config: Any) -> str:
        """A config in short, the same for equal ones."""
        try:
            return hashlib.sha256(to_json(config).encode()).hexdigest()
        except ParameterError as error:
            raise ParameterError(f"{self.owner}: results is not possible here: {error}") from None

    def key(self, deployment: str, workload: str, replication: int, options: Mapping[str, Any]) -> str:
        """What a run is found by; the configs as their digests."""
        made_of = [FORMAT, __version__, np.__version__, deployment, workload, replication, _own(options)]
        return hashlib.sha256(json.dumps(made_of).encode()).hexdigest()

    def found(self, key: str) -> dict[str, float] | None:
        """The figures of a run that is in it."""
        row = self._file.execute("SELECT figures FROM runs WHERE key = ?", (key,)).fetchone()
        return None if row is None else json.loads(row[0])

    def add(
        self, key: str, name: str, replication: int, options: Mapping[str, Any], figures: Mapping[str, float]
    ) -> None:
        """Write down what came of a run.  What cannot be written now is tried again with the next, and at the end."""
        self._unwritten.append((key, name, replication, json.dumps(_own(options)), json.dumps(figures)))
        self._write()

    def _write(self) -> None:
        try:
            with self._file:
                self._file.executemany("INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?, ?)", self._unwritten)
            self._unwritten.clear()
        except sqlite3.Error as error:
            if not self._told:
                print(
                    f"{str(self.path)!r} cannot be written now ({error}); the runs go on, and what is in it is whole."
                )
            self._told = True

    def close(self) -> None:
        """All runs are finished, or one failed."""
        if self._unwritten:
            self._write()
        if self._unwritten:
            print(f"{len(self._unwritten)} runs are not in {str(self.path)!r}; the same call would make them again.")
        self._file.close()


def _own(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of `simulate` that decide what comes of a run, given or not."""
    named = inspect.signature(simulate).parameters.values()
    usual = {each.name: each.default for each in named if each.default is not each.empty}
    return {name: value for name, value in sorted({**usual, **options}.items()) if name not in _NOT_ITS_OWN}


def read(path: Path) -> pd.DataFrame:
    """All runs of a ledger; see `experiments.read_results`."""
    if not path.exists():
        raise ParameterError(f"read_results: there is no file {str(path)!r}.")
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as file:
            rows = file.execute("SELECT deployment, replication, options, figures FROM runs").fetchall()
    except sqlite3.Error as error:
        raise ParameterError(f"read_results: {str(path)!r} cannot be read: {error}.") from None
    told = [
        {"deployment": name, "replication": k, **json.loads(options), **json.loads(figures)}
        for name, k, options, figures in rows
    ]
    frame = pd.DataFrame(told)
    return frame.sort_values(["deployment", "replication"], ignore_index=True) if told else frame
