"""Autoscaler: why is scale-out always late, and what does it cost to be early?"""

import simlib as sl
from simlib import serving, workload
from simlib.plots.style import BLUE, GREEN, RED
from simlib.widgets.drawing import Axis, Panel
from simlib.widgets.explorer import Answer, Explorer, Knob, shortly_told, summarised, value


def autoscaler(target: int, at_least: int, crowd: int, launch_min: float) -> Answer:
    """Three runs of an hour; a crowd comes at minute 15 and leaves at minute 40."""
    model = sl.ModelProfile("model", service=sl.lognormal(mean=0.1, cv=0.4), size_mb=500, load_seconds=10)
    flow = workload.poisson(rate=3, name="quiet") + workload.poisson(rate=crowd, name="crowd").between(900, 2400)
    policy = serving.TargetTracking(target=target, min_capacity=at_least, max_capacity=20)
    life = serving.InstanceLife(launch=sl.lognormal(mean=60 * launch_min, cv=0.2), container_start=sl.constant(15))
    endpoint = serving.RealTime(
        model,
        initial_instance_count=at_least,
        workers=1,
        queue_limit=20,
        routing="LEAST_OUTSTANDING_REQUESTS",
        scaling=policy,
        instance_life=life,
    )
    runs = [sl.simulate(endpoint, flow, hours=1, seed=7, replication=k, progress=False) for k in range(3)]
    summaries = [run.summary() for run in runs]
    figures = {
        "errors [share]": [s["error_rate"] for s in summaries],
        "p99 [s]": [s["p99_s"] for s in summaries],
        "dollars": [s["usd"] for s in summaries],
        "most instances": [run.timeline()["Instances"].max() for run in runs],
    }
    numbers = summarised(figures)
    lost, wait, usd = (value(numbers, name) for name in ("errors [share]", "p99 [s]", "dollars"))
    finding = f"{shortly_told(100 * lost)} % get an error, p99 {shortly_told(wait)} s, {usd:.2g} dollars"
    return Answer(numbers, finding, runs[0].timeline())


def _draw(answer: Answer) -> Panel:
    timeline = answer.drawn
    minutes = timeline.index.to_numpy() / 60
    needed = timeline["Invocations"].to_numpy() / 60 * 0.1
    errors = timeline[["Invocation4XXErrors", "Invocation5XXErrors"]].sum(axis=1).to_numpy() / 60 * 0.1
    served, asked = timeline["Instances"].to_numpy(), timeline["DesiredInstances"].to_numpy()
    top = 1.25 * max(float(each.max()) for each in (served, asked, needed))
    panel = Panel(Axis("time [min], in one of the three runs", 0, 60), Axis("instances", 0, top, whole=True))
    panel.area(minutes, errors, RED, opacity=0.6)
    panel.line(minutes, needed, BLUE, width=1.4)
    panel.stairs(minutes, asked, GREEN, width=1.2, dash="5 3")
    panel.stairs(minutes, served, GREEN, width=2.6)
    panel.label("in service (asked for: dashed)", float(minutes[served.argmax()]), float(served.max()), GREEN)
    panel.label("work that comes", 1, max(float(needed[2]), float(served[0])), BLUE)
    if errors.any():
        panel.label("refused", float(minutes[errors.argmax()]), float(errors.max()), RED)
    return panel


AUTOSCALER = Explorer(
    "autoscaler",
    "Autoscaler",
    "A crowd comes at minute 15. Which target, and how long a launch, can its callers bear?",
    (
        Knob("target", "target [calls/min each]", (60, 120, 180, 240, 300, 360, 420, 480, 540), 300),
        Knob("at_least", "instances at least", (1, 2, 3, 4, 6, 8), 1),
        Knob("crowd", "crowd [requests/s]", (5, 10, 20, 30, 40), 20),
        Knob("launch_min", "launch of a machine [min]", (0.5, 1, 2, 3, 5, 8), 3),
    ),
    autoscaler,
    _draw,
)
