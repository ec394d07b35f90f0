"""Platform cost map: the same model on three clouds, what it costs and how long callers wait."""

from typing import Any

import simlib as sl
from simlib import pricing, workload
from simlib.platforms import sizing
from simlib.platforms.choice import NAMES
from simlib.plots.style import BLACK, BLUE, GREEN, ORANGE
from simlib.widgets.drawing import Axis, Panel
from simlib.widgets.explorer import Answer, Explorer, Knob, summarised, value


def platform_cost_map(per_day: int, work_s: float, hardware: Any, busy: float, off: int) -> Answer:
    """Three runs of twenty minutes a platform, each scaled by its own engine; `platforms.compare` looks closer.

    *off* is the percent off the prices of Vertex AI, an assumption such as a commitment would give.
    """
    model = sl.ModelProfile("model", sl.lognormal(mean=work_s, cv=0.4), size_mb=300, load_seconds=5)
    calls, hours = workload.poisson(rate=per_day / 86_400, name="calls"), 1 / 3
    figures: dict[str, list[float]] = {}
    for platform, machine in sizing.machines(hardware).items():
        first = sizing.enough(per_day / 86_400, model, machine, busy, 100)
        deployment = sizing.sized(platform, model, machine, utilization=busy, most=100, first=first)
        region = pricing.region_of(pricing.machine(machine.name).platform, "us-east-1")
        runs = [
            sl.simulate(deployment, calls, hours=hours, seed=7, replication=k, region=region, progress=False).summary()
            for k in range(3)
        ]
        month = 30 * 24 / hours * (1 - off / 100 if platform == "vertex" else 1)
        figures[f"{NAMES[platform]}: dollars a month"] = [month * s["usd"] for s in runs]
        figures[f"{NAMES[platform]}: p99 [s]"] = [s["p99_s"] for s in runs]
        figures[f"{NAMES[platform]}: errors [share]"] = [s["error_rate"] for s in runs]
    numbers = summarised(figures)
    kept = [name for name in NAMES.values() if value(numbers, f"{name}: errors [share]") <= 0.01]
    usd = {name: value(numbers, f"{name}: dollars a month") for name in kept}
    best = min(usd, key=lambda name: usd[name]) if usd else None
    finding = (
        f"{best}: {usd[best]:,.4g} dollars a month, p99 {value(numbers, f'{best}: p99 [s]'):.3g} s"
        if best
        else "More than one call in a hundred fails everywhere"
    )
    return Answer(numbers, finding, best)


def _draw(answer: Answer) -> Panel:
    names = list(NAMES.values())
    usd = [value(answer.numbers, f"{name}: dollars a month") for name in names]
    panel = Panel(
        Axis("dollars a month (line: 95 % interval), and how long the slowest hundredth waits", 0, 1.7 * max(usd)),
        Axis("", len(names) - 0.4, -0.6, names={}),
    )
    for k, (name, color) in enumerate(zip(names, (BLUE, ORANGE, GREEN), strict=True)):
        less, more = (value(answer.numbers, f"{name}: dollars a month", which) for which in ("low", "high"))
        panel.bars([k], [0], [usd[k]], color, height=0.55)
        panel.line([max(0, less), more], [k, k], BLACK, width=2)
        p99, low, high = (value(answer.numbers, f"{name}: p99 [s]", which) for which in ("mean", "low", "high"))
        errors = value(answer.numbers, f"{name}: errors [share]")
        told = f"{name}: p99 {p99:.3g} s ({low:.3g} to {high:.3g})" if p99 > 0 else f"{name}: no answers"
        told += f", {100 * errors:.2g} % fail" if errors > 0 else ""
        panel.beside(told, max(usd[k], more), k)
    return panel


PLATFORM_COST_MAP = Explorer(
    "platform_cost_map",
    "Three platforms: cost and wait",
    "The same model and the same calls on three clouds, each with its own autoscaler and prices: who is cheaper?",
    (
        Knob("per_day", "calls a day", (1000, 10_000, 50_000, 100_000, 200_000, 500_000, 1_000_000), 100_000),
        Knob("work_s", "work a call [s]", (0.05, 0.1, 0.2, 0.5, 1.0, 2.0), 0.5),
        Knob("hardware", "machines", ("2 vCPUs", "4 vCPUs", "8 vCPUs"), "4 vCPUs"),
        Knob("busy", "busy share aimed at", (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8), 0.5),
        Knob("off", "Vertex AI's discount [%]", (0, 10, 20, 30, 40, 50), 0),
    ),
    platform_cost_map,
    _draw,
)
