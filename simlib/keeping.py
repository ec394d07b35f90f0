"""A run in one file: a zip of arrays and one JSON text, without pickle."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from simlib.files import in_one_step, why
from simlib.parameters import ParameterError, from_json, to_json
from simlib.record import Requests, Snapshot

FORMAT = 1


def write(path: Path, snapshot: Snapshot, warm_up_hours: float) -> None:
    """Write a run, replacing what is there in one step.

    Raises
    ------
    ParameterError
        If the file cannot be written.
    """
    story, arrays = _told(snapshot)
    story |= {"format": FORMAT, "warm_up_hours": warm_up_hours}
    try:
        with in_one_step(path) as file:
            np.savez_compressed(file, allow_pickle=False, story=np.array(json.dumps(story)), **arrays)
    except OSError as error:
        raise ParameterError(f"save: {str(path)!r} cannot be written: {why(error)}.") from None


def read(path: Path) -> tuple[Snapshot, float]:
    """The run that `write` wrote, and its hours of warm-up.

    Raises
    ------
    ParameterError
        If the file is not such a run.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
            arrays = {name: content[name] for name in content.files}
        story = json.loads(str(arrays.pop("story")))
        if story.pop("format") != FORMAT:
            raise KeyError("format")
        warm_up_hours, snapshot = float(story.pop("warm_up_hours")), _retold(story, arrays)
    except OSError as error:
        raise ParameterError(f"load: {str(path)!r} cannot be read: {why(error)}.") from None
    except ParameterError:  # a config that this version cannot make; its words say which
        raise
    except Exception:  # whatever a damaged zip makes its readers raise
        raise ParameterError(f"load: {str(path)!r} is not a run that this version of simlib saved.") from None
    return snapshot, warm_up_hours


def same(one: Snapshot, other: Snapshot) -> bool:
    """Whether two runs would be written alike, to the last bit."""
    (story, arrays), (other_story, other_arrays) = _told(one), _told(other)
    return (
        json.dumps(story) == json.dumps(other_story)
        and arrays.keys() == other_arrays.keys()
        and all(_alike(array, other_arrays[name]) for name, array in arrays.items())
    )


def _alike(one: np.ndarray, other: np.ndarray) -> bool:
    return np.array_equal(one, other, equal_nan=one.dtype.kind == "f")


# --- a record as text and arrays --------------------------------------------------------------------------------------

_ARRAYS = ("tally", "per_instance", "histogram", "inside")
_PLAIN = (
    *("name", "seed", "replication", "region", "begin_s", "end_s", "partial"),
    *("variants", "workers", "instances", "desired", "provisioned", "models", "figures"),
)
_ROWS = ("events", "assumptions")
_OF_SHADOW = "shadow."


def _told(snapshot: Snapshot) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """A snapshot as JSON and arrays."""
    story: dict[str, Any] = {name: getattr(snapshot, name) for name in _PLAIN}
    story |= {name: [[_plain(x) for x in row] for row in getattr(snapshot, name)] for name in _ROWS}
    story |= {
        "deployment": to_json(snapshot.deployment),
        "workload": to_json(snapshot.workload),
        "meters": [to_json(meter) for meter in snapshot.meters],
        "started_at": snapshot.started_at.isoformat(),
    }
    arrays = {name: getattr(snapshot, name) for name in _ARRAYS}
    if snapshot.requests is not None:
        arrays |= {f"requests.{name}": column for name, column in snapshot.requests._asdict().items()}
    if snapshot.shadow is not None:
        story["shadow"], of_shadow = _told(snapshot.shadow)
        arrays |= {f"{_OF_SHADOW}{name}": array for name, array in of_shadow.items()}
    return story, arrays


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool) else str(value)


def _retold(story: dict[str, Any], arrays: dict[str, np.ndarray]) -> Snapshot:
    from simlib.simulation import Event

    start = len(_OF_SHADOW)
    of_shadow = {name[start:]: array for name, array in arrays.items() if name.startswith(_OF_SHADOW)}
    columns = {name.removeprefix("requests."): a for name, a in arrays.items() if name.startswith("requests.")}
    as_they_are: dict[str, Any] = {name: story[name] for name in _PLAIN} | {name: arrays[name] for name in _ARRAYS}
    return Snapshot(
        **as_they_are,
        deployment=from_json(story["deployment"]),
        workload=from_json(story["workload"]),
        started_at=datetime.fromisoformat(story["started_at"]),
        requests=Requests(**columns) if columns else None,
        events=[Event(*row) for row in story["events"]],
        assumptions=[tuple(row) for row in story["assumptions"]],
        meters=[from_json(meter) for meter in story["meters"]],
        shadow=_retold(story["shadow"], of_shadow) if "shadow" in story else None,
    )
