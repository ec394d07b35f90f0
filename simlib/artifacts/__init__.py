"""Model artifacts and a real endpoint: pack, inspect, serve, load and measure; then simulate the same and compare.

Which room does what: `package` and `unpacking` (the `model.tar.gz`), `handlers` (its four functions), `server`,
`station` and `logs` (a container's contract on this machine, and what it notes), `callers` (who do not wait for
answers), `twin` (the simulation beside it).
"""

from simlib.artifacts.callers import drive
from simlib.artifacts.handlers import Answer, Handler, load
from simlib.artifacts.logs import read_log
from simlib.artifacts.package import INFERENCE, Artifact, inspect, pack
from simlib.artifacts.server import Server, serve
from simlib.artifacts.twin import Forecast, figures, forecast, moved, overhead, replay
from simlib.artifacts.unpacking import unpack

__all__ = [
    "INFERENCE",
    "Answer",
    "Artifact",
    "Forecast",
    "Handler",
    "Server",
    "drive",
    "figures",
    "forecast",
    "inspect",
    "load",
    "moved",
    "overhead",
    "pack",
    "read_log",
    "replay",
    "serve",
    "unpack",
]
