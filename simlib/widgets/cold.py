"""Cold start and cost: pay per call, or keep a machine?"""

from typing import Any

import numpy as np

import simlib as sl
from simlib import serving, workload
from simlib.plots.style import BLUE, ORANGE
from simlib.widgets.drawing import Axis, Panel
from simlib.widgets.explorer import Answer, Explorer, Knob, shortly_told, summarised, value


def cold_start_and_cost(per_day: int, service_s: float, memory_mb: int, size_mb: int, warm: int) -> Answer:
    """Three runs of about 800 calls, by serverless and by one ml.c5.large with two workers."""
    model = sl.ModelProfile("model", service=sl.lognormal(mean=service_s, cv=0.3), size_mb=size_mb, load_seconds=2)
    serverless = serving.Serverless(model, memory_mb=memory_mb, max_concurrency=100, provisioned_concurrency=warm)
    machine = serving.RealTime(model, instance_type="ml.c5.large", workers=2)
    calls, hours = workload.poisson(rate=per_day / 86_400, name="calls"), min(800 / per_day, 30) * 24
    month = 30 * 24 / hours
    options: dict[str, Any] = {"pay per call": serverless, "one machine": machine}
    runs = {
        name: [sl.simulate(each, calls, hours=hours, seed=7, replication=k, progress=False) for k in range(3)]
        for name, each in options.items()
    }
    figures = {}
    for name, each in runs.items():
        summaries = [run.summary() for run in each]
        figures[f"{name}: dollars a month"] = [month * s["usd"] for s in summaries]
        figures[f"{name}: p50 [s]"] = [s["p50_s"] for s in summaries]
        figures[f"{name}: p99 [s]"] = [s["p99_s"] for s in summaries]
    figures["cold starts [share]"] = [run.summary()["cold_start_rate"] for run in runs["pay per call"]]
    numbers = summarised(figures)
    call, keep = (value(numbers, f"{name}: dollars a month") for name in options)
    cold = value(numbers, "cold starts [share]")
    cheaper = "pay per call" if call < keep else "the machine"
    dollars = f"{shortly_told(call)} or {shortly_told(keep)} dollars"
    finding = f"{shortly_told(100 * cold)} % meet a cold start; a month costs {dollars}: {cheaper} is cheaper"
    curves = {name: np.sort(np.concatenate([run.latencies() for run in each])) for name, each in runs.items()}
    return Answer(numbers, finding, curves)


def _draw(answer: Answer) -> Panel:
    longest = max([1.0, *(float(each[-1]) for each in answer.drawn.values() if len(each))])
    panel = Panel(
        Axis("time from call to answer [s]", 0.05, 12 * longest, log=True), Axis("calls that take longer [%]", 0, 105)
    )
    for (name, seconds), color, dash in zip(answer.drawn.items(), (BLUE, ORANGE), ("", "7 3"), strict=True):
        if not len(seconds):
            continue
        slower = 100 * (1 - np.arange(len(seconds)) / len(seconds))
        panel.line(seconds, slower, color, dash=dash)
        usd = shortly_told(value(answer.numbers, f"{name}: dollars a month"))
        spot = len(seconds) // (2 if name == "one machine" else 4)
        panel.label(f"{name}: {usd} dollars a month", float(seconds[spot]), float(slower[spot]), color)
    return panel


COLD_START_AND_COST = Explorer(
    "cold_start_and_cost",
    "Cold start and cost",
    "When is paying per call cheaper, and who waits?",
    (
        Knob("per_day", "calls a day", (10, 20, 50, 100, 200, 500, 1000, 5000, 20_000, 50_000, 100_000), 200),
        Knob("service_s", "work a call [s]", (0.1, 0.2, 0.5, 1.0, 2.0), 0.5),
        Knob("memory_mb", "memory [MB]", (1024, 2048, 3072, 4096, 5120, 6144), 4096),
        Knob("size_mb", "model to download [MB]", (50, 100, 300, 1000, 2000), 300),
        Knob("warm", "containers kept warm", (0, 1, 2, 5), 0),
    ),
    cold_start_and_cost,
    _draw,
)
