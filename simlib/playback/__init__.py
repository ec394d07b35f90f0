"""A run to watch again: callers, the queue, instances starting and draining, and money ticking, inline in a notebook.

    >>> import simlib as sl
    >>> from simlib import serving, workload
    >>> endpoint = serving.RealTime(sl.ModelProfile("tagger", sl.constant(0.05)), initial_instance_count=2)
    >>> run = sl.simulate(endpoint, workload.poisson(rate=10), hours=2, seed=7)
    >>> sl.replay(run)
    120 steps of 1 min: at most 11.1 requests/s, 2 instances, no errors, 0.4853 dollars.

The page stands by itself: it loads nothing, its size does not grow with the run, and without JavaScript it is a strip
of the whole run.  It begins when somebody presses Play; Space and the arrow keys work.
"""

import html
import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import pandas as pd
from pydantic import InstanceOf

from simlib.parameters import checked
from simlib.playback.strip import strip
from simlib.plots.style import Words
from simlib.record import COMPLETED
from simlib.results import Run

MOST_STEPS = 240
HEIGHT_PX = 470


@dataclass(frozen=True)
class Replay:
    """What `replay` made; a notebook shows it, `html()` is the page.

    Attributes
    ----------
    frames : DataFrame
        One row a step, by the time at its end [s]: requests, answers, errors (in the step), waiting and running
        (callers at its end; running is NaN where the run is folded, and waiting counts both), starting, serving,
        draining (machines at its end), usd (up to then: machines by their time, everything else by answers; it ends
        at the bill).
    step_s : float
        How long a step is; the last may be shorter.
    machines : str
        What works: "instances" or "containers".
    """

    frames: pd.DataFrame
    step_s: float
    machines: str

    def html(self) -> str:
        """The page, complete in itself."""
        # "<" would end the script that holds the data; numbers and our own words have none
        data = {
            "step_s": self.step_s,
            "machines": self.machines,
            "time_s": list(self.frames.index),
            **_lists(self.frames),
        }
        page = (
            _part("player.html")
            .replace("STRIP", strip(self.frames, self.machines))
            .replace("WORDS", html.escape(str(self.words)))
        )
        return page.replace("DATA", json.dumps(data, separators=(",", ":"))).replace("SCRIPT", script())

    @property
    def words(self) -> Words:
        """The run in a sentence."""
        frames, ends = self.frames, self.frames.index.to_numpy(dtype=float)
        lengths = ends - np.concatenate([[max(0.0, ends[0] - self.step_s)], ends[:-1]])
        fastest = (frames["requests"] / lengths).max()
        fewest, most = int(frames["serving"].min()), int(frames["serving"].max())
        machines = f"{most}" if fewest == most else f"{fewest} to {most}"
        what = self.machines.removesuffix("s") if fewest == most == 1 else self.machines
        step = f"{self.step_s / 60:g} min" if self.step_s < 7200 else f"{self.step_s / 3600:.3g} h"
        steps = "One step" if len(frames) == 1 else f"{len(frames)} steps"
        errors = int(frames["errors"].sum())
        return Words(
            f"{steps} of {step}: at most {fastest:.3g} requests/s, {machines} {what}, "
            f"{f'{errors:,} errors' if errors else 'no errors'}, {frames['usd'].iloc[-1]:.4g} dollars."
        )

    def __repr__(self) -> str:
        return str(self.words)

    def _repr_html_(self) -> str:
        page = html.escape(self.html(), quote=True)
        style = f"width:100%;max-width:900px;height:{HEIGHT_PX}px;border:0"
        return f'<iframe title="Replay of the run" style="{style}" srcdoc="{page}"></iframe>'


@checked
def replay(run: InstanceOf[Run]) -> Replay:
    """*run* as a small film of at most 240 steps, each of whole minutes."""
    span = run.snapshot.end_s - run.snapshot.begin_s
    step_s = 60.0 * max(1, int(np.ceil(span / 60 / MOST_STEPS)))
    table = run.timeline(step_s)
    ends = np.minimum(table.index.to_numpy() + step_s, run.snapshot.end_s)
    errors = table["Invocation4XXErrors"] + table["Invocation5XXErrors"]
    frames = pd.DataFrame({"requests": table["Invocations"], "errors": errors}).astype(int)
    frames["answers"] = _answers(run, step_s, len(ends))
    inside = table["Concurrency"].to_numpy()
    running = _running(run, ends)
    frames["waiting"] = np.maximum(0, inside - np.nan_to_num(running)).astype(int)
    frames = frames.assign(running=running, **_instances(run, table, ends), usd=_usd(run, frames, ends))
    machines = "containers" if "Containers" in table else "instances"
    return Replay(frames.set_index(pd.Index(ends, name="time_s")), step_s, machines)


def _answers(run: Run, step_s: float, steps: int) -> np.ndarray:
    minutes = int(np.ceil(run.snapshot.end_s / 60))
    completed = run.snapshot.tally[:, :minutes, COMPLETED].sum(axis=0)
    found: np.ndarray = np.add.reduceat(completed, np.arange(0, minutes, int(step_s // 60)))[-steps:]
    return found


def _running(run: Run, ends: np.ndarray) -> np.ndarray:
    """Requests that are being worked on at each instant; NaN if the run is folded."""
    if run.folded:
        return np.full(len(ends), np.nan)
    log = run.requests
    start = log["start_s"].to_numpy()
    begun = np.isfinite(start)
    end = log["finish_s"].to_numpy()[begun]
    begin = np.sort(start[begun])
    over = np.sort(np.where(np.isfinite(end), end, np.inf))
    return np.searchsorted(begin, ends, side="right") - np.searchsorted(over, ends, side="right").astype(float)


def _instances(run: Run, table: pd.DataFrame, ends: np.ndarray) -> dict[str, np.ndarray]:
    if "Containers" in table:
        none = np.zeros(len(ends), dtype=int)
        return {"starting": none, "serving": np.ceil(table["Containers"]).to_numpy().astype(int), "draining": none}
    lives = {name: np.asarray(run.snapshot.instances[name], dtype=float) for name in _LIFE}

    def between(first: str, then: str) -> np.ndarray:
        begin, end = lives[first][:, None], lives[then][:, None]
        found: np.ndarray = ((begin <= ends) & ~(np.minimum(end, lives["gone_s"][:, None]) <= ends)).sum(axis=0)
        return found

    return {
        "starting": between("launched_s", "in_service_s"),
        "serving": between("in_service_s", "draining_s"),
        "draining": between("draining_s", "gone_s"),
    }


_LIFE = ("launched_s", "in_service_s", "draining_s", "gone_s")


def _usd(run: Run, frames: pd.DataFrame, ends: np.ndarray) -> np.ndarray:
    """What the bill has come to at each instant."""
    bill = run.invoice
    hourly = bill["unit"].str.endswith("-hour")
    up = np.asarray(run.snapshot.instances["machine_up_s"], dtype=float)[:, None]
    gone = np.asarray(run.snapshot.instances["gone_s"], dtype=float)[:, None]
    worked = np.clip(np.minimum(ends, gone) - up, 0, None).sum(axis=0)
    answered = frames["answers"].cumsum().to_numpy().astype(float)
    machines, rest = bill.loc[hourly, "subtotal"].sum(), bill.loc[~hourly, "subtotal"].sum()
    found: np.ndarray = machines * _share(worked, ends) + rest * _share(answered, ends)
    return found


def _share(done: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Of the whole; by the clock where nothing was done."""
    found: np.ndarray = done / done[-1] if len(done) and done[-1] > 0 else ends / ends[-1]
    return found


def _lists(frames: pd.DataFrame) -> dict[str, Any]:
    found: dict[str, Any] = {str(name): frames[name].tolist() for name in frames if name not in ("usd", "running")}
    running = [None if np.isnan(each) else int(each) for each in frames["running"]]
    return found | {"running": running, "usd": [float(f"{usd:.5g}") for usd in frames["usd"]]}


@cache
def _part(name: str) -> str:
    return files("simlib.playback").joinpath(name).read_text(encoding="utf-8")


def script() -> str:
    """The player, always the same: a page may name it in its policy."""
    return _part("player.js")
