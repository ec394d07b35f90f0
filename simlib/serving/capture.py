"""What an endpoint keeps of its requests for whoever watches the model: a sample of what went in and what came out."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol, runtime_checkable

import numpy as np
import pandas as pd
from pydantic import Field

from simlib.parameters import NonNegative, ParameterError, Positive, Text, checked, config, shortly
from simlib.record import COMPLETED, INSIDE

if TYPE_CHECKING:
    from simlib.serving.endpoint import Endpoint

Percentage = Annotated[NonNegative, Field(gt=0, le=100)]
_AT_ONCE = 1 << 17  # rows made at a time: it bounds memory and changes nothing


@config
class Capture:
    """Data capture of a real-time endpoint (SageMaker: `DataCaptureConfig`).

    Parameters
    ----------
    percentage : float
        Of the answered requests that are kept [%], each by chance (`InitialSamplingPercentage`; 20 in the SDK).
    modes : "InputAndOutput" | "Input" | "Output"
        What of a request is written into its record.
    destination : str
        Begins the path of the records (`DestinationS3Uri`).
    """

    percentage: Percentage = 20.0
    modes: Literal["InputAndOutput", "Input", "Output"] = field(default="InputAndOutput", kw_only=True)
    destination: Text = field(default="s3://captured", kw_only=True)


@runtime_checkable
class Rows(Protocol):
    """What requests carry; `monitoring.Stream` is one.

    `rows(times_s, u)` gives one row for each of the arrival times, from groups of uniform numbers u, each of shape
    (n, its entry in `draws`).  Rows have the columns `inputs` and `outputs`, and others that only the world knows.
    """

    @property
    def inputs(self) -> Sequence[str]: ...
    @property
    def outputs(self) -> Sequence[str]: ...
    @property
    def draws(self) -> Sequence[int]: ...
    def rows(self, times_s: np.ndarray, u: Sequence[np.ndarray]) -> pd.DataFrame: ...


@runtime_checkable
class Keeps(Protocol):
    """What a monitor asks for captured requests: those answered in [begin_s, end_s), with the columns of the rows."""

    @property
    def carried(self) -> Any: ...
    def frame(self, begin_s: float = 0.0, end_s: float | None = None) -> pd.DataFrame: ...


class Captured:
    """The captured requests of one running endpoint.

    Which requests are kept, and what they carry, depends on the seed and on a request's number alone; rows are made
    only for those that are kept, so most requests cost nothing.
    """

    def __init__(self, endpoint: "Endpoint", config: Capture, carried: Rows) -> None:
        self.config, self.carried = config, carried
        self._endpoint = endpoint
        sim, name = endpoint.sim, endpoint.workload.name
        self._kept = sim.rng(name, "capture")
        self._numbers = [sim.rng(name, "rows", str(k)) for k in range(len(carried.draws))]
        self._seen = 0  # requests for which it is decided whether they are kept
        self._waiting = np.empty(0, dtype=np.int64)  # rows of the log that are kept and have no answer yet
        self._their_numbers = [np.empty((0, width)) for width in carried.draws]
        self._parts: list[pd.DataFrame] = []  # in order of their answers
        self._until: list[float] = []  # the last answer of each part

    # --- for whoever watches ---

    @checked
    def frame(self, begin_s: NonNegative = 0.0, end_s: Positive | None = None) -> pd.DataFrame:
        """What was captured of requests answered in [begin_s, end_s), in the order of the answers.

        Columns: event (the request's number), inference_s (its answer [s]), variant, and all columns that the rows
        have; what only the world knows (the label, say) is among them.
        """
        self.advance()
        end = np.inf if end_s is None else end_s
        first = int(np.searchsorted(self._until, begin_s))
        found = []
        for part in self._parts[first:]:
            times = part["inference_s"].to_numpy()
            a, b = np.searchsorted(times, [begin_s, end])
            if a < b:
                found.append(part.iloc[a:b])
            if len(times) and times[-1] >= end:
                break
        return pd.concat(found, ignore_index=True) if found else self._nothing()

    @checked
    def records(
        self, begin_s: NonNegative = 0.0, end_s: Positive | None = None
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """(path of its file, record) of each captured request, in the shape that SageMaker writes."""
        frame = self.frame(begin_s, end_s)
        inputs, outputs = (frame[list(columns)] for columns in (self.carried.inputs, self.carried.outputs))
        sides = {"endpointInput": ("INPUT", inputs, "Output"), "endpointOutput": ("OUTPUT", outputs, "Input")}
        written = {
            side: (mode, _lines(columns))
            for side, (mode, columns, unwanted) in sides.items()
            if columns.shape[1] and self.config.modes != unwanted
        }
        every = zip(frame["event"].tolist(), frame["inference_s"].tolist(), frame["variant"].tolist(), strict=True)
        for k, (event, time_s, variant) in enumerate(every):
            at = self._endpoint.sim.date(time_s)
            captured = {
                side: {"observedContentType": "text/csv", "mode": mode, "data": lines[k], "encoding": "CSV"}
                for side, (mode, lines) in written.items()
            }
            about = {"eventId": event_id(self._endpoint.name, event), "inferenceTime": f"{at:%Y-%m-%dT%H:%M:%SZ}"}
            folder = f"{self.config.destination}/{self._endpoint.name}/{variant}/{at:%Y/%m/%d/%H}"
            yield f"{folder}/captured.jsonl", {"captureData": captured, "eventMetadata": about, "eventVersion": "0"}

    @checked
    def save(self, folder: Path, begin_s: NonNegative = 0.0, end_s: Positive | None = None) -> list[Path]:
        """Write the records as JSON lines into files below *folder*, laid out as below the destination."""
        lines: dict[Path, list[str]] = {}
        for path, record in self.records(begin_s, end_s):
            below = path.removeprefix(self.config.destination).lstrip("/")
            lines.setdefault(folder / below, []).append(json.dumps(record))
        for file, content in lines.items():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("\n".join(content) + "\n", encoding="utf-8")
        return list(lines)

    # --- how it is kept ---

    def advance(self) -> None:
        """Take in what has been answered since the last look."""
        self._endpoint.advance()
        station = self._endpoint.station
        parts: list[pd.DataFrame] = []
        for first in range(self._seen, station.arrived, _AT_ONCE):
            n = min(_AT_ONCE, station.arrived - first)
            kept = first + np.flatnonzero(self._kept.random(n) < self.config.percentage / 100)
            self._waiting = np.concatenate([self._waiting, kept])
            for k, numbers in enumerate(self._numbers):
                drawn = numbers.random((len(kept), self.carried.draws[k]))
                self._their_numbers[k] = np.concatenate([self._their_numbers[k], drawn])
            parts += self._answered()
        self._seen = station.arrived
        parts += self._answered()
        if parts:
            part = pd.concat(parts, ignore_index=True) if len(parts) > 1 else parts[0]
            self._parts.append(part.sort_values("inference_s", kind="stable", ignore_index=True))
            self._until.append(float(self._parts[-1]["inference_s"].iloc[-1]))

    def _answered(self) -> Iterator[pd.DataFrame]:
        """The rows of those who have their answer by now; those who never get one are forgotten."""
        log = self._endpoint.station.outcomes(self._waiting)
        answered, over = log.status == COMPLETED, log.status != INSIDE
        if answered.any():
            u = [numbers[answered] for numbers in self._their_numbers]
            names = np.array([variant.name for variant in self._endpoint.variants], dtype=object)
            yield self._made(self._waiting[answered], log.arrival[answered], u).assign(
                inference_s=log.finish[answered],
                variant=pd.Categorical.from_codes(log.variant[answered], categories=pd.Index(names)),
            )
        self._waiting = self._waiting[~over]
        self._their_numbers = [numbers[~over] for numbers in self._their_numbers]

    def _made(self, events: np.ndarray, times: np.ndarray, u: Sequence[np.ndarray]) -> pd.DataFrame:
        rows = self.carried.rows(times, u)
        rows.insert(0, "event", events)
        rows.insert(1, "inference_s", np.nan)
        rows.insert(2, "variant", "")
        return rows

    def _nothing(self) -> pd.DataFrame:
        return self._made(np.empty(0, np.int64), np.empty(0), [np.empty((0, width)) for width in self.carried.draws])


def _lines(columns: pd.DataFrame) -> list[str]:
    """Each row as CSV, without its line end."""
    lines = []
    for values in zip(*(columns[name].tolist() for name in columns.columns), strict=True):
        line = io.StringIO()
        csv.writer(line, lineterminator="").writerow(["" if value != value else value for value in values])
        lines.append(line.getvalue())
    return lines


def event_id(endpoint: str, event: int) -> str:
    """The id of a captured request's record."""
    return f"{endpoint}-{event:012d}"


def check_rows(carried: object) -> Rows:
    """*carried* if it is something that requests can carry.

    Raises
    ------
    ParameterError
        If it is not.
    """
    if isinstance(carried, type) or not isinstance(carried, Rows):
        raise ParameterError(
            f"deploy: rows={shortly(carried)} is not possible: it should be for instance "
            "monitoring.Stream(monitoring.LoanBook()), or monitoring.Stream(monitoring.Table(frame))."
        )
    return carried
