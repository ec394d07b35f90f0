"""Pipeline Gantt: what do more machines, a cache and a person's hours do to a release?"""

import numpy as np

import simlib as sl
from simlib import mlops
from simlib.plots.style import BLUE, RED
from simlib.widgets.drawing import Axis, Panel
from simlib.widgets.explorer import Answer, Explorer, Knob, summarised, value


def pipeline_gantt(trainings: int, parallel: int, spread: float, start: str) -> Answer:
    """Eight releases: prepare, train a model a country, evaluate, a person approves (9 to 17 h), deploy."""
    prepare = mlops.ProcessingStep("prepare", duration=sl.lognormal(mean=600, cv=0.3))
    fits = [
        mlops.TrainingStep(f"train {k + 1}", duration=sl.lognormal(mean=1800, cv=spread), depends_on="prepare")
        for k in range(trainings)
    ]
    evaluate = mlops.EvaluationStep("evaluate", duration=sl.constant(300), depends_on=[each.name for each in fits])
    register = mlops.RegisterModelStep("register", group="countries", depends_on="evaluate")
    ana = mlops.Person("Ana", hours=mlops.WorkingHours(9, 17), response=sl.exponential(1800))
    approve = mlops.ApprovalStep("approve", register=register, person=ana)
    release = mlops.Pipeline("release", steps=[prepare, *fits, evaluate, register, approve])
    when = {"Monday 10:00": "2026-03-02T10:00Z", "Friday 18:00": "2026-03-06T18:00Z"}[start]
    runs = [
        release.run(sl.Simulation(seed=7, replication=k, start=when), max_parallel_steps=parallel) for k in range(8)
    ]
    machines = [value(run.steps, "evaluate", "end_s") for run in runs]
    numbers = summarised(
        {
            "from start to approved [h]": [run.makespan_s / 3600 for run in runs],
            "of these, machines at work [h]": [each / 3600 for each in machines],
            "waiting for a person [h]": [(r.makespan_s - m) / 3600 for r, m in zip(runs, machines, strict=True)],
            "dollars": [run.usd for run in runs],
        }
    )
    total, work, wait, _ = numbers["mean"]
    finding = f"{total:.3g} h until approved: machines work {work:.2g} h, then {wait:.3g} h wait for a person"
    typical = min(runs, key=lambda run: abs(run.makespan_s / 3600 - total))
    return Answer(numbers, finding, typical.steps.assign(critical=typical.steps.index.isin(typical.critical_path)))


def _draw(answer: Answer) -> Panel:
    steps = answer.drawn.dropna(subset=["start_s", "end_s"])
    start, end = (steps[name].to_numpy(dtype=float) / 3600 for name in ("start_s", "end_s"))
    y = np.arange(len(steps))
    panel = Panel(
        Axis("hours since the start, of the release that is closest to the mean", 0, 1.04 * end.max()),
        Axis("", len(y) - 0.5, -0.5, names=dict(enumerate(map(str, steps.index)))),
    )
    critical = steps["critical"].to_numpy(dtype=bool)
    for which, color in ((critical, RED), (~critical, BLUE)):
        panel.bars(y[which], start[which], end[which], color, height=0.7)
    panel.key({"on the critical path": RED, "could take longer": BLUE})
    return panel


PIPELINE_GANTT = Explorer(
    "pipeline_gantt",
    "Pipeline: a release",
    "Machines, or people: what does a release wait for?",
    (
        Knob("trainings", "models to train", (1, 2, 4, 6, 8), 4),
        Knob("parallel", "steps at the same time", (1, 2, 3, 4, 8), 2),
        Knob("spread", "variation of a training (CV)", (0.0, 0.25, 0.5, 1.0), 0.5),
        Knob("start", "starts on", ("Monday 10:00", "Friday 18:00"), "Monday 10:00"),
    ),
    pipeline_gantt,
    _draw,
)
