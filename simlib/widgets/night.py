"""Batch Gantt: how many machines for one night's work?"""

import numpy as np

import simlib as sl
from simlib import serving, workload
from simlib.plots.style import BLUE, RED, SKY, YELLOW
from simlib.widgets.drawing import Axis, Panel
from simlib.widgets.explorer import Answer, Explorer, Knob, summarised, value

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
    typical = min(range(6), key=lambda k: abs(figures["ready after [h]"][k] - ready))
    return Answer(numbers, finding, (runs[typical].instances, runs[typical].requests))


def _draw(answer: Answer) -> Panel:
    lives, files = answer.drawn
    shown = np.unique(np.linspace(0, len(lives) - 1, min(DRAWN, len(lives))).astype(int))
    spots = {int(lives.index[number]): spot for spot, number in enumerate(shown)}
    stages, y = lives.iloc[shown], np.arange(len(shown))
    hours = {name: stages[name].to_numpy(dtype=float) / 3600 for name in ("machine_up_s", "in_service_s", "gone_s")}
    names = {float(spot): str(machine) for machine, spot in spots.items()}
    panel = Panel(
        Axis(
            "hours since the start, on the night that is closest to the mean", 0, 1.04 * max(8, hours["gone_s"].max())
        ),
        Axis("machine", len(y) - 0.5, -0.5, names=names),
    )
    panel.bars(y, hours["machine_up_s"], hours["in_service_s"], SKY, height=0.8)
    panel.bars(y, hours["in_service_s"], hours["gone_s"], YELLOW, height=0.8)
    seen = files[files["instance"].isin(list(spots)) & files["start_s"].notna()]
    for done, color in ((True, BLUE), (False, RED)):
        each = seen[(seen["status"] == "completed") == done]
        begin, end = (each[name].to_numpy() / 3600 for name in ("start_s", "finish_s"))
        panel.bars(each["instance"].map(spots), begin, end - 0.01, color, height=0.6)
    panel.upright(8)
    panel.label("due", 8, len(y) - 0.6)
    panel.key({"getting ready": SKY, "a file": BLUE, "a file without a result": RED, "idle, and billed": YELLOW})
    return panel


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
