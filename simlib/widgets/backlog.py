"""Async backlog: how long does a pile of work wait for machines that were asleep?"""

import simlib as sl
from simlib import serving, workload
from simlib.plots.style import BLUE, GREEN
from simlib.widgets.drawing import Axis, Panel
from simlib.widgets.explorer import Answer, Explorer, Knob, shortly_told, summarised, value


def async_backlog(files: int, work_min: float, target: int, most: int) -> Answer:
    """Three evenings of six hours: *files* arrive within one, at a fleet that goes down to zero."""
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
    runs = [sl.simulate(endpoint, evening, hours=6, seed=7, replication=k, progress=False) for k in range(3)]
    summaries = [run.summary() for run in runs]
    figures = {
        "last answer [h after the first call]": [float(run.requests["finish_s"].max()) / 3600 for run in runs],
        "p50 [min]": [s["p50_s"] / 60 for s in summaries],
        "expired or unanswered [share]": [1 - s["completed"] / s["requests"] for s in summaries],
        "dollars": [s["usd"] for s in summaries],
    }
    numbers = summarised(figures)
    last, half = value(numbers, "last answer [h after the first call]"), value(numbers, "p50 [min]")
    none, usd = value(numbers, "expired or unanswered [share]"), value(numbers, "dollars")
    all_done = f"The last of {files} answers comes after {last:.2g} h"
    told = f"{shortly_told(100 * none)} % of {files} files have no answer in 6 h" if none else all_done
    finding = f"{told}; half the answers within {shortly_told(half)} min; {usd:.3g} dollars"
    return Answer(numbers, finding, runs[0].timeline(300))


def _draw(answer: Answer) -> Panel:
    timeline = answer.drawn
    hours = timeline.index.to_numpy() / 3600
    waits, machines = timeline["ApproximateBacklogSize"].to_numpy(), timeline["Instances"].to_numpy()
    panel = Panel(
        Axis("hours since the first file, on one of the three evenings", 0, 6),
        Axis("files", 0, 1.2 * max(1, waits.max()), whole=True),
    )
    panel.area(hours, waits, BLUE)
    panel.label("waiting or in process", float(hours[waits.argmax()]), float(waits.max()), BLUE)
    other = panel.on_the_right(Axis("instances in service", 0, 1.4 * max(1, machines.max()), whole=True))
    other.stairs(hours, machines, GREEN, width=2.4)
    other.label("instances", float(hours[machines.argmax()]), float(machines.max()), GREEN)
    return panel


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
