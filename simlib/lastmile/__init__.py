"""The last mile on one clock: everything the course taught, running together, with money.

>>> from simlib import lastmile
>>> outcome = lastmile.run(lastmile.Policy(), lastmile.team(days=2), seed=7)
>>> outcome.story[0].words
'version 1 serves'
"""

from simlib.lastmile.cockpit import compute
from simlib.lastmile.comparing import cheapest, compare, outcomes, sensitivity
from simlib.lastmile.faults import (
    BadVersion,
    BrokenFeature,
    CapacityShortage,
    Fault,
    FlashCrowd,
    LabelOutage,
    SlowApproval,
)
from simlib.lastmile.loop import run
from simlib.lastmile.outcome import Outcome
from simlib.lastmile.policy import Policy
from simlib.lastmile.quick import Glance, glance
from simlib.lastmile.scoreboard import Score, policy_from, score
from simlib.lastmile.world import World, full, team

__all__ = [
    "BadVersion",
    "BrokenFeature",
    "CapacityShortage",
    "Fault",
    "FlashCrowd",
    "Glance",
    "LabelOutage",
    "Outcome",
    "Policy",
    "Score",
    "SlowApproval",
    "World",
    "cheapest",
    "compare",
    "compute",
    "full",
    "glance",
    "outcomes",
    "policy_from",
    "run",
    "score",
    "sensitivity",
    "team",
]
