"""Explorers: questions that answer at once while you turn their knobs.

    >>> from simlib import widgets
    >>> found = widgets.queue_and_latency.numbers(rate=36)
    >>> bool(found.loc["p99 [s]", "mean"] > 3 * found.loc["p50 [s]", "mean"])
    True

In a notebook, write an explorer's name as the last line of a cell and its knobs appear.  `explorer.numbers(…)` is the
same thing in numbers, each with its interval; `explorer.code(…)` the code that gives them without any widget.
"""

from simlib.widgets.backlog import ASYNC_BACKLOG as async_backlog
from simlib.widgets.chooser import DEPLOYMENT_CHOOSER as deployment_chooser
from simlib.widgets.clouds import PLATFORM_COST_MAP as platform_cost_map
from simlib.widgets.cold import COLD_START_AND_COST as cold_start_and_cost
from simlib.widgets.drift import DRIFT_INJECTOR as drift_injector
from simlib.widgets.explorer import Answer, Explorer, Knob, shortly_told, summarised, value
from simlib.widgets.fair import FAIRNESS_TRADE_OFF as fairness_trade_off
from simlib.widgets.month import COCKPIT as cockpit
from simlib.widgets.night import BATCH_GANTT as batch_gantt
from simlib.widgets.pipeline import PIPELINE_GANTT as pipeline_gantt
from simlib.widgets.platform import PLATFORM_CHOICE as platform_choice
from simlib.widgets.queue import QUEUE_AND_LATENCY as queue_and_latency
from simlib.widgets.scaling import AUTOSCALER as autoscaler

__all__ = [
    "EXPLORERS",
    "Answer",
    "Explorer",
    "Knob",
    "async_backlog",
    "autoscaler",
    "batch_gantt",
    "cockpit",
    "cold_start_and_cost",
    "deployment_chooser",
    "drift_injector",
    "fairness_trade_off",
    "pipeline_gantt",
    "platform_choice",
    "platform_cost_map",
    "queue_and_latency",
    "shortly_told",
    "summarised",
    "value",
]

EXPLORERS = {
    each.name: each
    for each in (
        deployment_chooser,
        queue_and_latency,
        cold_start_and_cost,
        drift_injector,
        fairness_trade_off,
        autoscaler,
        platform_cost_map,
        pipeline_gantt,
        async_backlog,
        batch_gantt,
        platform_choice,
        cockpit,
    )
}
"""All of them by name, in the order of the course's needs."""
