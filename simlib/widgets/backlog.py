"""Async backlog: how long does a pile of work wait for machines that were asleep?"""

from typing import TYPE_CHECKING

import simlib as sl
from simlib import serving, workload
from simlib.plots.style import BLUE, GREEN
from simlib.widgets.axes import label
from simlib.widgets.explorer import Answer, Explorer, Knob, summarised, value

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def async_backlog(files: int, work_min: float, target: int, most: int) -> Answer:
    """Three evenings: *files* arrive within an hour, at a fleet that goes down to zero."""
    minutes = sl.lognormal(mean=60 * work_min, cv=0.4)
    model = sl.ModelProfile("model", minutes, size_mb=2000, load_seconds=30, request_kb=50_000, needs_gpu=True)
    policies = (
        serving.BacklogTracking(target=target, min_capacity=0, max_capacity=most),
        serving.wake_from_zero(max_capacity=most),
    )
    endpoint = serving.Asynchronous(
        model, instance_type="ml.g5.xlarge", initial_instance_count=0, invocation_timeout_s=3600, scaling=policies
    )
    evening = workload.nightly(files, at_hour=0, within_s=3600)
    runs = [sl.simulate(endpoint, evening, hours=8, seed=7, replication=k, progress=False) for k in range(3)]
    summaries = [run.summary() for run in runs]
    figures = {
        "last answer [h after the first call]": [float(run.requests["finish_s"].max()) / 3600 for run in runs],
        "p50 [min]": [s["p50_s"] / 60 for s in summaries],
        "expired or unanswered [share]": [1 - s["completed"] / s["requests"] for s in summaries],
        "dollars": [s["usd"] for s in summaries],
    }
    numbers = summarised(figures)
    last, half = value(numbers, "last answer [h after the first call]"), value(numbers, "p50 [min]")
    usd = value(numbers, "dollars")
    finding = f"The last of {files} answers comes after {last:.2g} h, half within {half:.2g} min, for {usd:.2g} dollars"
    return Answer(numbers, finding, runs[0].timeline(300))


def _draw(ax: "Axes", answer: Answer) -> None:
    timeline = answer.drawn
    hours = timeline.index.to_numpy() / 3600
    waits, machines = timeline["ApproximateBacklogSize"].to_numpy(), timeline["Instances"].to_numpy()
    ax.fill_between(hours, waits, color=BLUE, alpha=0.35, step="post", linewidth=0)
    other = ax.twinx()
    other.step(hours, machines, where="post", color=GREEN, linewidth=2.2)
    other.set(ylabel="instances in service", ylim=(0, 1.3 * max(1, machines.max())))
    other.grid(visible=False)
    label(ax, "waiting or in process", float(hours[waits.argmax()]), float(waits.max()), BLUE)
    label(other, "instances", float(hours[machines.argmax()]), float(machines.max()), GREEN)
    ax.set(xlabel="hours since the first file", ylabel="files", xlim=(0, 8), ylim=(0, 1.2 * max(1, waits.max())))


ASYNC_BACKLOG = Explorer(
    "async_backlog",
    "Async backlog",
    "Machines asleep cost nothing. How long does a pile of work wait for them?",
    (
        Knob("files", "files in an hour", (10, 20, 40, 80, 160, 320), 80),
        Knob("work_min", "work a file [min]", (1, 2, 5, 10, 15), 5),
        Knob("target", "target [backlog each]", (1, 2, 5, 10, 20, 40), 5),
        Knob("most", "instances at most", (1, 2, 3, 5, 8, 12), 5),
    ),
    async_backlog,
    _draw,
)
