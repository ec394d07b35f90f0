"""Batch Gantt: how many machines for one night's work?"""

from typing import TYPE_CHECKING

import numpy as np

import simlib as sl
from simlib import serving, workload
from simlib.plots.style import BLUE, RED, SKY, YELLOW
from simlib.widgets.explorer import Answer, Explorer, Knob, summarised, value

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DRAWN = 16


def batch_gantt(files: int, work_min: float, cv: float, instances: int) -> Answer:
    """Six nights of *files*, one at a time on each machine; due after eight hours."""
    model = sl.ModelProfile("model", sl.lognormal(mean=60 * work_min, cv=cv), size_mb=1200, load_seconds=20)
    job = serving.BatchTransform(
        model, instance_type="ml.m5.large", instance_count=instances, max_payload_in_mb=0, invocations_timeout_s=3600
    )
    night = workload.files(files, size_mb=50, name="night")
    runs = [sl.simulate(job, night, seed=7, replication=k, progress=False) for k in range(6)]
    summaries = [run.summary() for run in runs]
    figures = {
        "ready after [h]": [s["makespan_s"] / 3600 for s in summaries],
        "machines at work [share]": [s["utilization"] for s in summaries],
        "dollars": [s["usd"] for s in summaries],
        "files without a result [share]": [s["error_rate"] for s in summaries],
    }
    numbers = summarised(figures)
    ready, busy, usd = (value(numbers, name) for name in ("ready after [h]", "machines at work [share]", "dollars"))
    kept = "in time" if value(numbers, "ready after [h]", "high") <= 8 else "not surely in time"
    kept = "TOO LATE" if ready > 8 else kept
    finding = f"Ready after {ready:.3g} h ({kept} for 8 h), machines {100 * busy:.0f} % at work, {usd:.3g} dollars"
    return Answer(numbers, finding, (runs[0].instances, runs[0].requests))


def _draw(ax: "Axes", answer: Answer) -> None:
    lives, files = answer.drawn
    shown = np.unique(np.linspace(0, len(lives) - 1, min(DRAWN, len(lives))).astype(int))
    spots = {int(lives.index[number]): spot for spot, number in enumerate(shown)}
    stages = lives.iloc[shown]
    y = np.arange(len(shown))
    for begin, end, color in (("machine_up_s", "in_service_s", SKY), ("in_service_s", "gone_s", YELLOW)):
        start = stages[begin].to_numpy(dtype=float) / 3600
        ax.barh(y, stages[end].to_numpy(dtype=float) / 3600 - start, left=start, height=0.8, color=color)
    seen = files[files["instance"].isin(list(spots)) & files["start_s"].notna()]
    start = seen["start_s"].to_numpy() / 3600
    color = np.where(seen["status"] == "completed", BLUE, RED).tolist()
    where = seen["instance"].map(spots).to_numpy()
    ax.hlines(where, start, seen["finish_s"].to_numpy() / 3600 - 0.01, colors=color, linewidth=max(3, 110 / len(shown)))
    ax.axvline(8, color="black", linestyle="--", linewidth=1)
    ax.annotate(" due", (8, 0), fontsize=9)
    ax.set(xlabel="time since the start [h]; blue: a file, yellow: idle and billed, light blue: getting ready")
    ax.set(ylabel="machine", yticks=y[:: 1 + len(y) // 8], ylim=(len(y) - 0.5, -0.5), xlim=(0, None))


BATCH_GANTT = Explorer(
    "batch_gantt",
    "Batch: one night's work",
    "How many machines until the work is ready in the morning, and what does it cost?",
    (
        Knob("files", "files", (1, 20, 50, 100, 200, 500), 200),
        Knob("work_min", "work a file [min]", (1, 5, 10, 15, 30), 15),
        Knob("cv", "variation of the work (CV)", (0.0, 0.2, 0.5, 1.0, 2.0), 0.5),
        Knob("instances", "machines", (1, 2, 4, 6, 8, 10, 16, 32, 50), 8),
    ),
    batch_gantt,
    _draw,
)
