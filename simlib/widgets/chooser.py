"""Deployment chooser: who keeps the wait that callers accept, for the least money?"""

from typing import Any

import numpy as np

import simlib as sl
from simlib import serving, workload
from simlib.plots.style import BLUE, GREEN, ORANGE, PURPLE
from simlib.serving import limits
from simlib.widgets.drawing import Axis, Panel
from simlib.widgets.explorer import Answer, Explorer, Knob, shortly_told, summarised, value


def deployment_chooser(per_day: int, work_s: float, request_mb: float, wait_s: float) -> Answer:
    """Three runs of about 400 calls an option; what the platform refuses is not run.  `sl.advise` looks closer."""
    model = sl.ModelProfile(
        "model", sl.lognormal(mean=work_s, cv=0.3), size_mb=300, load_seconds=5, request_kb=1000 * request_mb
    )
    rate, hours = per_day / 86_400, min(400 / per_day, 30) * 24
    machines = int(np.ceil(max(1.0, rate * work_s / 2 / 0.6)))  # two workers each, at most 60 % busy
    calls, night = workload.poisson(rate=rate, name="calls"), workload.files(min(per_day, 400), size_mb=request_mb)
    fleet: dict[str, Any] = {"instance_type": "ml.m5.large", "initial_instance_count": machines}
    options: dict[Any, Any] = {
        "serverless": (serving.Serverless(model, memory_mb=4096, max_concurrency=200), calls, hours),
        "real-time": (serving.RealTime(model, workers=2, routing="LEAST_OUTSTANDING_REQUESTS", **fleet), calls, hours),
        "asynchronous": (
            serving.Asynchronous(model, max_concurrent_invocations_per_instance=2, invocation_timeout_s=3600, **fleet),
            calls,
            hours,
        ),
        "batch": (
            serving.BatchTransform(model, max_concurrent_transforms=2, max_payload_in_mb=0, invocations_timeout_s=3600),
            night,
            None,
        ),
    }
    facts = {"request_mb": request_mb, "processing_s": 2 * work_s}  # hardly a call takes twice the mean
    figures: dict[str, list[float]] = {}
    out: dict[str, str] = {}
    for name, (deployment, asked, length) in options.items():
        broken = [each.words for each in limits.broken(name, model, **facts)]
        if machines > 100 and name != "serverless":
            broken.append(f"{name}: more than 100 machines")
        if broken:
            out[name] = broken[0]
            continue
        runs = [
            sl.simulate(deployment, asked, hours=length, seed=7, replication=k, progress=False).summary()
            for k in range(3)
        ]
        nightly = name == "batch"  # whoever calls after one night's job waits for the next, and that takes its time
        days = max(1.0, per_day / 400) if nightly else 24 / hours
        figures[f"{name}: p99 [s]"] = [86_400 + days * s["p99_s"] if nightly else s["p99_s"] for s in runs]
        figures[f"{name}: dollars a month"] = [30 * days * s["usd"] for s in runs]
    numbers = summarised(figures)
    kept = {
        name: value(numbers, f"{name}: dollars a month")
        for name in options
        if name not in out and value(numbers, f"{name}: p99 [s]") <= wait_s
    }
    best = min(kept, key=lambda name: kept[name]) if kept else None
    finding = (
        f"{best.capitalize()}: {shortly_told(kept[best])} dollars a month keep p99 below {wait_s:,g} s"
        if best
        else f"Nothing keeps p99 below {wait_s:,g} s"
    )
    return Answer(numbers, finding, (wait_s, out, best))


def _draw(answer: Answer) -> Panel:
    wait_s, out, best = answer.drawn
    colors = {"serverless": BLUE, "real-time": ORANGE, "asynchronous": GREEN, "batch": PURPLE}
    shown = {name: color for name, color in colors.items() if name not in out}
    usd = {name: value(answer.numbers, f"{name}: dollars a month") for name in shown}
    least, most = min([0.03, *usd.values()]), max([1.0, *usd.values()])
    panel = Panel(
        Axis("99th percentile of the wait [s], with its 95 % interval (dashed: accepted)", 0.05, 2e6, log=True),
        Axis("dollars a month", least / 3, 30 * most, log=True),
    )
    panel.upright(wait_s)
    for name, color in shown.items():
        p99, low, high = (value(answer.numbers, f"{name}: p99 [s]", which) for which in ("mean", "low", "high"))
        panel.line([max(low, p99 / 3), high], [usd[name]] * 2, color, width=4)
        panel.mark(p99, usd[name], color, diamond=name == best)
        chosen = " (chosen)" if name == best else ""
        panel.label(name + chosen, p99, usd[name], color, below=name == "asynchronous")
    panel.remark([f"out: {words}" for words in out.values()])
    return panel


DEPLOYMENT_CHOOSER = Explorer(
    "deployment_chooser",
    "Choose the deployment",
    "Who keeps the wait that callers accept, for the least money? And what makes the answer flip?",
    (
        Knob("per_day", "calls a day", (10, 100, 500, 1000, 5000, 20_000, 100_000, 500_000, 2_000_000), 1000),
        Knob("work_s", "work a call [s]", (0.05, 0.1, 0.5, 2, 10, 45, 300, 900), 0.5),
        Knob("request_mb", "size of a request [MB]", (0.01, 1, 3, 5, 20, 80, 200), 3),
        Knob("wait_s", "accepted wait at p99 [s]", (0.5, 1, 2, 5, 15, 60, 600, 3600, 100_000), 15),
    ),
    deployment_chooser,
    _draw,
)
