"""Queue and latency: how close to full may a fleet run?"""

from typing import Any

import numpy as np

import simlib as sl
from simlib import experiments, serving, workload
from simlib.plots.style import BLUE, GREEN, ORANGE, RED
from simlib.widgets.drawing import Axis, Panel
from simlib.widgets.explorer import Answer, Explorer, Knob, shortly_told, value


def queue_and_latency(rate: float, instances: int, cv: float, routing: Any) -> Answer:
    """Six runs of about 4,000 requests of 100 ms each, two workers an instance."""
    model = sl.ModelProfile("model", service=sl.lognormal(mean=0.1, cv=cv))
    endpoint = serving.RealTime(model, initial_instance_count=instances, workers=2, routing=routing)
    calls, hours = workload.poisson(rate=rate), 4000 / rate / 3600
    found = experiments.replicate(endpoint, calls, hours=hours, replications=6, seed=7, progress=False)
    one = sl.simulate(endpoint, calls, hours=hours, seed=7, progress=False)
    figures = {"mean_s": "mean [s]", "p50_s": "p50 [s]", "p95_s": "p95 [s]", "p99_s": "p99 [s]"}
    figures |= {"error_rate": "errors [share]", "utilization": "utilization [share]"}
    numbers = found.loc[list(figures), ["mean", "low", "high"]].rename(index=figures)
    p50, p99, busy = (value(numbers, name) for name in ("p50 [s]", "p99 [s]", "utilization [share]"))
    times = f"{p99 / p50:.2g} times the typical {shortly_told(p50)} s"
    finding = f"{100 * busy:.0f} % busy: one in a hundred waits over {shortly_told(p99)} s, {times}"
    return Answer(numbers, finding, np.sort(one.latencies()))


def _draw(answer: Answer) -> Panel:
    seconds = answer.drawn
    panel = Panel(
        Axis(
            "latency [s]; line: one run, points: six runs with 95 % intervals",
            0.02,
            max(2.0, 1.3 * seconds[-1]),
            log=True,
        ),
        Axis("share that takes longer", 0.001, 1.3, log=True),
    )
    panel.line(seconds, 1 - np.arange(len(seconds)) / len(seconds), BLUE)
    for name, share, color in (("p50", 0.5, GREEN), ("p95", 0.05, ORANGE), ("p99", 0.01, RED)):
        mean, low, high = (value(answer.numbers, f"{name} [s]", which) for which in ("mean", "low", "high"))
        panel.line([low, high], [share, share], color, width=4)
        panel.mark(mean, share, color)
        panel.label(name, mean, share, color)
    return panel


QUEUE_AND_LATENCY = Explorer(
    "queue_and_latency",
    "Queue and latency",
    "How close to full may a fleet run before its callers notice?",
    (
        Knob("rate", "arrival rate [requests/s]", (5, 10, 15, 20, 25, 30, 34, 36, 38, 40, 50, 60, 80), 30),
        Knob("instances", "instances (2 workers each)", (1, 2, 3, 4, 6, 8), 2),
        Knob("cv", "variation of service (CV)", (0.0, 0.25, 0.5, 1.0, 2.0, 3.0), 0.5),
        Knob("routing", "routing", ("RANDOM", "LEAST_OUTSTANDING_REQUESTS", "SHARED_QUEUE"), "RANDOM"),
    ),
    queue_and_latency,
    _draw,
)
