"""The access log of a server, one row a request: read from its file, and checked before anything rests on it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from simlib.parameters import ParameterError, checked, shortly

LOG_COLUMNS = ("arrival_s", "start_s", "finish_s", "queue_s", "service_s", "status", "code", "inference_id")
TIMES = tuple(name for name in LOG_COLUMNS if name.endswith("_s"))
LEAST = 30  # completed requests; of fewer nothing can be told


@checked
def read_log(path: str | Path) -> pd.DataFrame:
    """An access log in the order of arrival.

    Columns arrival_s start_s finish_s [s since the server opened] queue_s service_s [s] status code inference_id;
    NaN for what has not happened.

    Raises
    ------
    ParameterError
        If the file cannot be read, or a line of it is not what the server writes.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:  # ValueError: bytes that are no text, or a name that no file can have
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ParameterError(f"read_log: {str(path)!r} cannot be read: {reason}.") from None
    frame = pd.DataFrame([_visit(line, number) for number, line in enumerate(lines, 1)], columns=list(LOG_COLUMNS))
    frame[list(TIMES)] = frame[list(TIMES)].astype(float)
    return frame.sort_values("arrival_s", ignore_index=True)


def _visit(line: str, number: int) -> dict[str, Any]:
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict) or not {"arrival_s", "status"} <= set(said) or not all(map(_time, _times(said))):
        raise ParameterError(f"read_log: line {number}, {shortly(line)}, is not what a server notes about a request.")
    return said


def _times(said: dict[str, Any]) -> list[Any]:
    return [said.get(name) for name in TIMES]


def _time(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def completed(log: Any, owner: str, parameter: str = "log") -> pd.DataFrame:
    """The completed requests of *log* in the order of arrival, for *owner*, who names what is wrong with them."""
    if not isinstance(log, pd.DataFrame):
        raise ParameterError(
            f"{owner}: {parameter}={shortly(log)} is not possible: it should be a log as Server.log() gives it."
        )
    wanted = ("arrival_s", "finish_s", "service_s", "status")
    missing = [name for name in wanted if list(log.columns).count(name) != 1]
    if missing:
        raise ParameterError(
            f"{owner}: {parameter} has no column {missing[0]!r}: it should be as Server.log() gives it."
        )
    done = log[log["status"] == "completed"]
    if len(done) < LEAST:
        raise ParameterError(
            f"{owner}: {parameter} has {len(done)} completed requests: it should have at least {LEAST}."
        )
    for name in wanted[:3]:
        numbers = pd.to_numeric(done[name], errors="coerce")
        if not np.isfinite(numbers).all():
            odd = done.loc[~np.isfinite(numbers), [name]].iloc[0].tolist()[0]  # a Python value, as a sentence shows it
            raise ParameterError(
                f"{owner}: {name}={shortly(odd)} in {parameter} is not possible: it should be seconds."
            )
        done = done.assign(**{name: numbers.astype(float)})
    taken = done["finish_s"] - done["arrival_s"]
    if (done["service_s"] <= 0).any() or (taken < 0.999 * done["service_s"] - 1e-6).any():
        raise ParameterError(
            f"{owner}: a request in {parameter} took no time, or less than it was worked on: times should be seconds, "
            "service_s > 0 and finish_s - arrival_s at least service_s."
        )
    return done.sort_values("arrival_s", ignore_index=True)
