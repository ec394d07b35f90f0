"""Pictures: each draws a frame or an array, and returns in words what it shows.

Plots know nothing of the rest of the library.  Which room draws what: `one_run`, `many_runs`, `backlog`, `batch`,
`curves`, `edge`, `measured`, `money`, `decisions`, `ideas`, `lastmile`, `pipelines`; they share `style` and, for
what they are given, `checks`.
"""

from simlib.plots.backlog import backlog
from simlib.plots.batch import batch
from simlib.plots.curves import lines
from simlib.plots.decisions import break_even, ranking, scores, tornado, winners
from simlib.plots.edge import update
from simlib.plots.ideas import cycle, stages
from simlib.plots.lastmile import timeline
from simlib.plots.many_runs import against_load, comparison, frontier, welch
from simlib.plots.measured import measured
from simlib.plots.money import cost_breakdown, cost_by_volume
from simlib.plots.one_run import run, tail
from simlib.plots.pipelines import dag, gantt
from simlib.plots.style import Words

__all__ = [
    "Words",
    "against_load",
    "backlog",
    "batch",
    "break_even",
    "comparison",
    "cost_breakdown",
    "cost_by_volume",
    "cycle",
    "dag",
    "frontier",
    "gantt",
    "lines",
    "measured",
    "ranking",
    "run",
    "scores",
    "stages",
    "tail",
    "timeline",
    "tornado",
    "update",
    "welch",
    "winners",
]
