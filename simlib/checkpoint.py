"""A long run that survives its process: what it was at the end of its last day, in one file.

A checkpoint holds the memory of the lanes, the states of the random streams, and the tape of what decisions read.  A
SimPy process cannot be written to a file; so `run_with_checkpoints` starts the processes of the run anew and lets them
live through their past on the tape (a month takes a second or two), then gives the lanes their memory back.  From there
on everything happens as it would have: the run ends with the same bytes.

Of the past's random numbers only the arrivals are drawn once more, since any workload may be what draws them.
"""

import hashlib
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from simlib.files import in_one_step, why
from simlib.parameters import ParameterError, to_json
from simlib.serving.tape import Tape

if TYPE_CHECKING:
    from simlib.simulation import Deployed, Simulation

FORMAT = 1
EVERY_S = 86_400.0


def run_with_checkpoints(
    sim: "Simulation", endpoint: "Deployed", end_s: float, path: Path, *, progress: bool | None = None
) -> None:
    """Run to *end_s* [s] from where the checkpoint at *path* is, or from the beginning; write one at each day's end.

    A checkpoint that cannot be written later on is told, and the run goes on without.

    Parameters
    ----------
    sim : Simulation
        At t = 0, with *endpoint* just deployed on it and nothing else.

    Raises
    ------
    ParameterError
        If the deployment has no lanes, *path* cannot be written, or what is there belongs to another run.
    """
    if not endpoint.stations:
        kind = type(sim.endpoints[0].deployment).__name__  # type: ignore[attr-defined]
        raise ParameterError(f"simulate: checkpoint is not possible for {kind}: its requests do not travel in lanes.")
    if path.exists():
        _go_on(sim, endpoint, end_s, path)
    else:
        try:
            with in_one_step(path):
                pass
            path.unlink()
        except OSError as error:
            raise ParameterError(f"simulate: checkpoint={str(path)!r} cannot be written: {why(error)}.") from None
        for station in endpoint.stations:
            station.tape = Tape()
    if sim.env.now < end_s:
        first = math.floor(sim.env.now / EVERY_S) + 1
        days = [EVERY_S * day for day in range(first, math.ceil(end_s / EVERY_S))]
        sim.run_in_parts([*days, end_s], lambda: _keep(sim, endpoint, path), progress=progress)


def _asked(sim: "Simulation", endpoint: "Deployed") -> dict[str, Any]:
    """What makes a run this run and no other; also the numpy that drew its numbers."""
    config: Any = endpoint
    digest = {
        name: hashlib.sha256(json.dumps(to_json(part)).encode()).hexdigest()
        for name, part in (("deployment", config.deployment), ("workload", config.workload))
    }
    plain = {"seed": sim.seed, "replication": sim.replication, "region": sim.region, "log": sim.log}
    return {**digest, **plain, "format": FORMAT, "numpy": np.__version__}


def _keep(sim: "Simulation", endpoint: "Deployed", path: Path) -> None:
    """Write the checkpoint of this instant."""
    stories: list[dict[str, Any]] = []
    arrays: dict[str, np.ndarray] = {}
    for number, station in enumerate(endpoint.stations):
        story, of_station = station.memory()
        stories.append(story)
        arrays |= {f"{number}.{name}": array for name, array in of_station.items()}
    story = {"asked": _asked(sim, endpoint), "now_s": sim.env.now, "stations": stories}
    try:
        with in_one_step(path) as file:
            np.savez(file, allow_pickle=False, story=np.array(json.dumps(story)), **arrays)
    except OSError as error:
        earlier = "and an earlier one is still whole" if path.exists() else "and there is no earlier one"
        print(
            f"The checkpoint of day {sim.env.now / EVERY_S:.4g} could not be written ({why(error)}); the run goes on, "
            f"{earlier}."
        )


def _read(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
            arrays = {name: content[name] for name in content.files}
        story: dict[str, Any] = json.loads(str(arrays.pop("story")))
        if story["asked"]["format"] != FORMAT:
            raise KeyError("format")
    except OSError as error:
        raise ParameterError(f"simulate: checkpoint={str(path)!r} cannot be read: {why(error)}.") from None
    except Exception:  # whatever a damaged zip makes its readers raise
        raise ParameterError(
            f"simulate: checkpoint={str(path)!r} is not a checkpoint that this version of simlib wrote; name another "
            "path, or delete it."
        ) from None
    return story, arrays


def _go_on(sim: "Simulation", endpoint: "Deployed", end_s: float, path: Path) -> None:
    """Bring a run that has just begun to where the checkpoint is."""
    story, arrays = _read(path)
    now, asked = story["now_s"], _asked(sim, endpoint)
    for name, ours in asked.items():
        if story["asked"][name] != ours:
            told = "" if name in ("deployment", "workload") else f" ({story['asked'][name]!r}, not {ours!r})"
            raise ParameterError(
                f"simulate: checkpoint={str(path)!r} belongs to a run with another {name}{told}; name another path, "
                "or delete it."
            )
    if now > end_s:
        raise ParameterError(
            f"simulate: checkpoint={str(path)!r} is {now / EVERY_S:.4g} days into the run, which should end after "
            f"{end_s / EVERY_S:.4g}; ask for a longer one, or name another path."
        )
    of_stations = [
        {name.partition(".")[2]: array for name, array in arrays.items() if name.startswith(f"{number}.")}
        for number in range(len(endpoint.stations))
    ]
    for station, own in zip(endpoint.stations, of_stations, strict=True):
        station.tape = Tape((own["tape.numbers"], own["tape.lengths"]))
    sim.env.run(until=now)
    for station, own, of_station in zip(endpoint.stations, of_stations, story["stations"], strict=True):
        station.tape.record()
        station.remember(of_station, own)
