"""A policy's points on hidden seeds: what the grader of notebook 15 calls, and what a class compares.

    >>> from simlib import lastmile
    >>> lastmile.policy_from({"retrain": "calendar", "retrain_every_days": 7}).retrain_every_days
    7

Zero points are what watching nothing and doing nothing earns, a hundred what the reference policy does, each on the
same seeds; in between points go by money.  A seed moves the days on which the world changes, so no calendar fits
them all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from pydantic import SkipValidation

from simlib.lastmile.cockpit import compute
from simlib.lastmile.policy import Policy
from simlib.lastmile.world import team
from simlib.parameters import ParameterError, checked, shortly

NEGLECT = Policy(monitor_every_hours=None, retrain="never")
"""Nobody watches, nothing is retrained: what zero points cost."""

REFERENCE = Policy(capture_percent=5.0, loss_margin=0.1, bias_threshold=0.0, training_days=3.0)
"""A sound policy: what a hundred points cost.  It sees more, hears unfairness early, and trains on few days."""

LOST_A_LIMIT = 20.0
"""Points lost for each run's share of broken limits: a run that breaks one loses so many."""

MOST = 120.0
"""Nobody gets more points than this."""


@dataclass(frozen=True)
class Score:
    """The points of a policy, and where they come from: one row a seed."""

    points: float
    runs: pd.DataFrame  # seed usd neglect_usd reference_usd points broken

    def __repr__(self) -> str:
        return f"<Score {self.points:.1f} points over {len(self.runs)} seeds>"


@checked
def policy_from(data: SkipValidation[Any]) -> Policy:
    """The policy that *data* describe: a dict of its fields, as a learner hands it in.

    Raises
    ------
    ParameterError
        If it is no dict of a policy's fields, or a value is not possible.
    """
    if isinstance(data, Policy):
        return data
    if not isinstance(data, Mapping) or not all(isinstance(name, str) for name in data):
        raise ParameterError(f"policy_from: data={shortly(data)} should be a dict of a Policy's fields.")
    fields: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in data.items()}
    return Policy(**fields)


@checked
def score(policy: SkipValidation[Any], *, seeds: Sequence[int] = (1, 2, 3)) -> Score:
    """The points of *policy* (a Policy, or a dict of its fields) on the team's month, by the cockpit.

    Pure: the same policy and seeds give the same points.

    Parameters
    ----------
    seeds : sequence of int
        Each decides who comes, and on which days the world changes.
    """
    if not len(seeds):
        raise ParameterError("score: seeds=() is not possible: it should hold at least one seed.")
    chosen = policy_from(policy)
    rows = [_row(chosen, int(seed)) for seed in seeds]
    table = pd.DataFrame(rows).set_index("seed")
    return Score(float(np.round(table["points"].mean(), 6)), table)


def _row(policy: Policy, seed: int) -> dict[str, Any]:
    nothing, sound = _anchor(NEGLECT, seed), _anchor(REFERENCE, seed)
    found = compute(policy, team(changes=seed), seed=seed)
    by_money = 100 * (nothing - found.usd) / (nothing - sound)
    points = float(np.clip(by_money - LOST_A_LIMIT * len(found.broken), 0.0, MOST))
    return {
        "seed": seed, "usd": found.usd, "neglect_usd": nothing, "reference_usd": sound, "points": points,
        "broken": "; ".join(found.broken),
    }  # fmt: skip


@lru_cache(maxsize=64)
def _anchor(policy: Policy, seed: int) -> float:
    return compute(policy, team(changes=seed), seed=seed).usd
