"""Labels as files, and the merge job that joins them with what was captured.

SageMaker's records: a label is uploaded under the event's id, into the folder of the hour in which it was *collected*;
the merge job joins captured records and labels of one event.  What has no label yet stays out.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import PlainValidator

from simlib.parameters import NonNegative, ParameterError, checked
from simlib.serving.capture import Captured, event_id


def _endpoint(value: object) -> object:
    if not isinstance(getattr(value, "capture", None), Captured):
        raise ValueError("endpoint captures nothing, so there is nothing to label.")
    return value


@checked
def save_ground_truth(
    endpoint: Annotated[Any, PlainValidator(_endpoint)], folder: Path, *, by_s: NonNegative | None = None
) -> list[Path]:
    """Write the labels that have come by *by_s* [s] (None: now) below *folder*, one file an hour of their coming.

    Raises
    ------
    ParameterError
        If the rows have no label.
    """
    label = getattr(endpoint.capture.carried, "label", None)
    if label is None:
        raise ParameterError("save_ground_truth: the rows have no label.")
    rows = endpoint.capture.frame()
    known = rows[rows["label_s"] <= (endpoint.sim.env.now if by_s is None else by_s)].sort_values("label_s")
    lines: dict[Path, list[str]] = {}
    for event, value, time_s in zip(*(known[name].tolist() for name in ("event", label, "label_s")), strict=True):
        file = folder / f"{endpoint.sim.date(time_s):%Y/%m/%d/%H}" / "labels.jsonl"
        lines.setdefault(file, []).append(json.dumps(_record(event_id(endpoint.name, event), value)))
    for file, content in lines.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("\n".join(content) + "\n", encoding="utf-8")
    return list(lines)


def _record(event: str, label: Any) -> dict[str, Any]:
    return {
        "groundTruthData": {"data": str(label), "encoding": "CSV"},
        "eventMetadata": {"eventId": event},
        "eventVersion": "0",
    }


@checked
def merge(captured: Path, ground_truth: Path) -> list[dict[str, Any]]:
    """The records below *captured* whose event has a label below *ground_truth*, with it: the merge job's output.

    They are joined on `inferenceId` where a captured record has one, else on `eventId`; of two labels of one event the
    last one read counts.

    Raises
    ------
    ParameterError
        If a folder is not there, or a line is no record.
    """
    labels = {each["eventMetadata"]["eventId"]: each["groundTruthData"] for each in _records(ground_truth)}
    merged = []
    for record in _records(captured):
        about = record["eventMetadata"]
        label = labels.get(about.get("inferenceId", about["eventId"]))
        if label is not None:
            merged.append(record | {"groundTruthData": label})
    return merged


def _records(folder: Path) -> Iterator[dict[str, Any]]:
    if not folder.is_dir():
        raise ParameterError(f"merge: there is no folder {str(folder)!r}.")
    for file in sorted(folder.rglob("*.jsonl")):
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
            try:
                record = json.loads(line)
                record["eventMetadata"]["eventId"]
            except (ValueError, KeyError, TypeError):
                raise ParameterError(f"merge: line {number} of {file.name!r} is no record with an eventId.") from None
            yield record
