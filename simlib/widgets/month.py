"""Cockpit: a month of the last mile under a policy, lived anew at every turn of a knob."""

from typing import Any

import numpy as np

from simlib import lastmile
from simlib.plots.style import BLUE, GREEN, SKY
from simlib.widgets.drawing import Axis, Panel
from simlib.widgets.explorer import Answer, Explorer, Knob, summarised, value


def cockpit(
    monitor_every_hours: int, loss_margin: float, bias_threshold: float, retrain: Any, approval: str,
    canary_percent: int, target: int,
) -> Answer:  # fmt: skip
    """The small team's month, three times, beside a team that forgets its model, with the same customers."""
    people = {
        "nobody": {"approval": "automatic"},
        "mornings": {"approval_to_hour": 12.0},
        "office hours": {},
        "long days": {"approval_to_hour": 22.0},
        "weekends too": {"approval_weekends": True},
    }
    policy = lastmile.Policy(
        monitor_every_hours=monitor_every_hours, loss_margin=loss_margin / 100, bias_threshold=bias_threshold / 100,
        retrain=retrain, canary_percent=float(canary_percent), target=float(target), **people[approval],  # type: ignore[arg-type]
    )  # fmt: skip
    forget = lastmile.Policy(monitor_every_hours=None, retrain="never")
    world = lastmile.team()
    months = [lastmile.glance(policy, world, seed=7, replication=k) for k in range(3)]
    beside = [lastmile.glance(forget, world, seed=7, replication=k) for k in range(3)]
    found = [month.figures for month in months]
    first_bake_s = 60 * policy.bake_minutes
    numbers = summarised(
        {
            "dollars a month": [each["usd"] for each in found],
            "dollars saved beside a team that forgets": [
                none.figures["usd"] - each["usd"] for each, none in zip(found, beside, strict=True)
            ],
            "dollars of wrong decisions a thousand requests": [1000 * each["loss_usd"] for each in found],
            "unfair days": [each["unfair_days"] for each in found],
            "versions that served": [each["versions"] for each in found],
            "p99 [s]": [each["p99_s"] for each in found],
            "callers who meet a new version first": [world.mean_rate * first_bake_s * canary_percent / 100] * 3,
        }
    )
    saved = value(numbers, "dollars saved beside a team that forgets")
    broken = list(dict.fromkeys(words for month in months for words in month.broken))
    limits = f"BROKEN: {broken[0]}" if broken else "every limit kept"
    finding = f"{value(numbers, 'dollars a month'):,.0f} dollars a month, {saved:,.0f} saved; {limits}"
    return Answer(numbers, finding, months)


def _draw(answer: Answer) -> Panel:
    curves = 1000 * np.array([month.loss_usd for month in answer.drawn])
    days, mean = np.arange(curves.shape[1]) + 0.5, curves.mean(axis=0)
    top = 1.15 * float(curves.max())
    panel = Panel(Axis("day", 0, len(days)), Axis("wrong decisions [dollars/1,000]", 0, top))
    panel.key({"mean of three months": BLUE, "a new version serves": GREEN})
    for run in curves:
        panel.line(days, run, SKY, width=1)
    panel.line(days, mean, BLUE, width=2.4)
    for day, words in ((6, "some customers stop paying"), (17, "the world turns")):
        panel.upright(day, dash="2 3")
        panel.label(words, day, 0.02 * top)
    for month in answer.drawn:
        for told in month.story:
            if told.kind == "live" and told.day > 0:
                panel.mark(told.day, float(np.interp(told.day, days, mean)), GREEN, diamond=True)
    return panel


COCKPIT = Explorer(
    "cockpit",
    "The cockpit: a month of the last mile",
    "The world turns on days 6 and 17. Who notices, who decides, and what does it cost?",
    (
        Knob("monitor_every_hours", "somebody looks every [h]", (24, 12, 6), 24),
        Knob("loss_margin", "ring if dearer by [%]", (0, 5, 20, 40), 5),
        Knob("bias_threshold", "ring if less fair by [points]", (0, 2, 5), 2),
        Knob("retrain", "train again", ("never", "calendar", "on_alarm", "both"), "on_alarm"),
        Knob(
            "approval", "who approves",
            ("nobody", "mornings", "office hours", "long days", "weekends too"), "office hours",
        ),
        Knob("canary_percent", "canary [% of the traffic]", (1, 5, 10, 25, 50), 10),
        Knob("target", "target [calls/min]", (50, 70, 100), 70),
    ),
    cockpit,
    _draw,
)  # fmt: skip
