"""Queue and latency: how close to full may a fleet run?"""

from typing import TYPE_CHECKING, Any

import numpy as np

import simlib as sl
from simlib import experiments, serving, workload
from simlib.plots.style import BLUE, GREEN, ORANGE, RED
from simlib.widgets.axes import label, plain_log
from simlib.widgets.explorer import Answer, Explorer, Knob, value

if TYPE_CHECKING:
    from matplotlib.axes import Axes


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
    times = f"{p99 / p50:.2g} times the typical {p50:.2g} s"
    finding = f"{100 * busy:.0f} % busy: one in a hundred waits over {p99:.2g} s, {times}"
    return Answer(numbers, finding, np.sort(one.latencies()))


def _draw(ax: "Axes", answer: Answer) -> None:
    seconds = answer.drawn
    slower = 1 - np.arange(len(seconds)) / len(seconds)
    ax.plot(seconds, slower, color=BLUE)
    plain_log(ax, "x")
    plain_log(ax, "y")
    for name, share, color in (("p50", 0.5, GREEN), ("p95", 0.05, ORANGE), ("p99", 0.01, RED)):
        mean, low, high = (value(answer.numbers, f"{name} [s]", which) for which in ("mean", "low", "high"))
        ax.plot([low, high], [share, share], color=color, linewidth=3, alpha=0.5)
        ax.plot(mean, share, "o", color=color)
        label(ax, name, mean, share, color)
    ax.set(xlabel="latency [s]; line: one run, points: six runs with 95 % intervals", ylabel="share that takes longer")
    ax.set(ylim=(0.001, 1.3), xlim=(0.02, max(2.0, 1.3 * float(seconds[-1]))))


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
