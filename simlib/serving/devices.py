"""How fast devices are: measured inference times, and how much slower than a server that makes each of them.

    >>> measured("rpi4")
    2.91
    >>> round(slowdown("rpi4"), 1)
    16.2

The rows of `data/devices.csv` are seconds of one inference, with their source and mark (S: measured by others).
"""

import csv
import functools
from importlib import resources
from typing import Literal, NamedTuple

import pandas as pd

from simlib.parameters import ParameterError, Text, checked, nearest

On = Literal["CPU", "GPU", "TPU"]
SERVER = "xeon"
"""The machine in the table that stands for a server's CPU; a model's service law is taken as its time there."""


class Measured(NamedTuple):
    """One row: seconds of one inference of a *network* on a *kind* of device."""

    kind: str
    on: str
    network: str
    seconds: float
    neo_target: str  # what Neo calls it; empty if it has no name for it
    mark: str
    source: str


@functools.cache
def table() -> tuple[Measured, ...]:
    """All measurements, in the order of the file."""
    text = resources.files("simlib.serving").joinpath("data/devices.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines())
    return tuple(Measured(**{**row, "seconds": float(row["seconds"])}) for row in rows)  # type: ignore[arg-type]


def measured_inference() -> pd.DataFrame:
    """The measurements as a frame: kind on network seconds neo_target mark source."""
    return pd.DataFrame(table())


@checked
def measured(kind: Text, *, on: On = "CPU", network: Literal["resnet50", "mobilenet"] = "resnet50") -> float:
    """Seconds of one inference of *network* on a *kind* of device.

    Raises
    ------
    ParameterError
        If nobody measured that.
    """
    found = [row.seconds for row in table() if (row.kind, row.on, row.network) == (kind, on, network)]
    if found:
        return found[0]
    kinds = [row.kind for row in table() if (row.on, row.network) == (on, network)]
    if kind in kinds or kind in {row.kind for row in table()}:
        raise ParameterError(
            f"measured: nobody measured {network} on the {on} of {kind!r}; only of {', '.join(kinds)}."
        )
    raise ParameterError(f"measured: there is no kind {kind!r}; {nearest(kind, kinds)}")


@checked
def slowdown(kind: Text, *, on: On = "CPU") -> float:
    """How many times longer than on a server's CPU one inference takes, from the same network on both.

    ResNet50 where it was measured, else MobileNet beside an rpi4 (derived: networks differ in what they need).

    Raises
    ------
    ParameterError
        If nobody measured that kind.
    """
    if any((row.kind, row.on, row.network) == (kind, on, "resnet50") for row in table()):
        return measured(kind, on=on) / measured(SERVER)
    return measured(kind, on=on, network="mobilenet") / measured("rpi4", network="mobilenet") * slowdown("rpi4")
