"""Cockpit: a month of the last mile, by how often somebody looks, what orders a retraining, and who approves."""

import functools
import json
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import numpy as np

from simlib import lastmile
from simlib.plots.style import BLUE, SKY
from simlib.widgets.drawing import Axis, Panel
from simlib.widgets.explorer import Answer, Explorer, Knob, summarised, value

SEED, REPLICATIONS = 7, 3
FIGURES = ("usd", "loss_usd", "unfair_days", "retrainings", "p99_s")
HOURS, RETRAIN, APPROVAL = (6, 24), ("never", "calendar", "on_alarm"), ("person", "automatic")


def policies() -> Iterator[lastmile.Policy]:
    """What the knobs can ask for.  Who approves does not matter where nothing is ever retrained."""
    for retrain in RETRAIN:
        for approval in APPROVAL[: 1 if retrain == "never" else 2]:
            for hours in HOURS:
                yield lastmile.Policy(monitor_every_hours=hours, retrain=retrain, approval=approval)  # type: ignore[arg-type]


def key(policy: lastmile.Policy) -> str:
    """Under which name the runs of *policy* are kept."""
    approval = "person" if policy.retrain == "never" else policy.approval
    return f"{policy.monitor_every_hours} {policy.retrain} {approval}"


@functools.cache
def _kept() -> dict[str, list[dict[str, Any]]]:
    """Runs of `lastmile.compute`, made beforehand by benchmarks/cockpit_runs.py: a month takes seconds to live."""
    text = files("simlib.widgets").joinpath("cockpit_runs.json").read_text(encoding="utf-8")
    found: dict[str, list[dict[str, Any]]] = json.loads(text)
    return found


def kept_runs(policy: lastmile.Policy) -> list[dict[str, Any]]:
    """The figures of the three runs of *policy* in `lastmile.team()`, seed 7; `loss_usd_by_day` has 30 values.

    `lastmile.compute(policy, lastmile.team(), seed=7, replication=k).figures` gives each anew.
    """
    return _kept()[key(policy)]


def cockpit(monitor_every_hours: int, retrain: Any, approval: Any) -> Answer:
    """Three months of the small team, lived beforehand by `lastmile.compute`: see `kept_runs`."""
    runs = kept_runs(
        lastmile.Policy(monitor_every_hours=monitor_every_hours, retrain=retrain, approval=approval),
    )
    numbers = summarised(
        {
            "dollars a month": [run["usd"] for run in runs],
            "dollars of wrong decisions a thousand requests": [1000 * run["loss_usd"] for run in runs],
            "unfair days": [run["unfair_days"] for run in runs],
            "retrainings": [run["retrainings"] for run in runs],
            "p99 [s]": [run["p99_s"] for run in runs],
        }
    )
    usd, unfair = value(numbers, "dollars a month"), value(numbers, "unfair days")
    fair = "fair enough" if unfair <= 10 else "NOT FAIR: at most 10 allowed"
    alone = ", and nobody said yes" if approval == "automatic" and value(numbers, "retrainings") > 0 else ""
    finding = f"{usd:,.0f} dollars a month, {unfair:.3g} unfair days ({fair}){alone}"
    return Answer(numbers, finding, 1000 * np.array([run["loss_usd_by_day"] for run in runs]))


def _draw(answer: Answer) -> Panel:
    days = np.arange(answer.drawn.shape[1])
    top = 1.15 * float(answer.drawn.max())
    panel = Panel(Axis("day", 0, days[-1]), Axis("wrong decisions [dollars/1,000]", 0, top))
    for run in answer.drawn:
        panel.line(days, run, SKY, width=1)
    panel.line(days, answer.drawn.mean(axis=0), BLUE, width=2.4)
    for day, words in ((6, "some customers stop paying"), (17, "the world turns")):
        panel.upright(day, dash="2 3")
        panel.label(words, day, 0.02 * top)
    panel.label("mean of three", float(days[-6]), float(answer.drawn[:, -8:].max()), BLUE)
    return panel


COCKPIT = Explorer(
    "cockpit",
    "The cockpit: a month of the last mile",
    "The world turns on days 6 and 17. Who notices, who decides, and what does it cost?",
    (
        Knob("monitor_every_hours", "somebody looks every [h]", HOURS, 6),
        Knob("retrain", "train again", RETRAIN, "on_alarm"),
        Knob("approval", "who approves", APPROVAL, "person"),
    ),
    cockpit,
    _draw,
)
