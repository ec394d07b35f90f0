"""The pipeline that makes a new version: prepare, train, evaluate, condition, register, and a person's yes.

Steps run real Python: the model is scikit-learn's, trained on the rows whose labels have come when *prepare* ends.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from simlib import mlops
from simlib.lastmile.policy import Policy
from simlib.lastmile.watch import cost_of, gap_of
from simlib.lastmile.world import World
from simlib.model import constant
from simlib.monitoring import logistic
from simlib.monitoring.streams import scores
from simlib.parameters import ParameterError

GROUP = "pay-later"
FEWEST_ROWS = 1_000
"""Labelled rows without which nothing is trained.  Assumption."""

PREPARE_S, TRAIN_S, EVALUATE_S = 600.0, 1800.0, 300.0
"""How long the three jobs run on ml.m5.xlarge [s].  Assumptions: invented, of the length of jobs on small tables."""


@dataclass(frozen=True)
class Version:
    """A model, and what its evaluation found on rows it had not seen."""

    number: int
    model: Any
    trained_on: pd.DataFrame
    tested_on: pd.DataFrame  # with label, score, prediction
    trained_at_s: float


@dataclass
class Trained:
    """What one execution of the pipeline leaves behind, step by step."""

    train: pd.DataFrame
    test: pd.DataFrame
    model: Any = None


def fit(rows: pd.DataFrame, world: World) -> Any:
    """A logistic regression on the rows' inputs."""
    stream = world.stream()
    return logistic(rows[list(stream.inputs)], rows[str(stream.label)])


def split(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows to learn from, and rows to evaluate on: every other one of the newer half."""
    test = tests(len(rows))
    return rows[~test], rows[test]


def tests(n: int) -> np.ndarray:
    """Which of *n* rows, in order of time, are for the evaluation."""
    k = np.arange(n)
    return (k >= n // 2) & (k % 2 == 0)


def judged(rows: pd.DataFrame, score: np.ndarray, threshold: float) -> pd.DataFrame:
    """*rows* with a version's score and decision."""
    return rows.assign(score=score, prediction=(score >= threshold).astype(int))


def loss(rows: pd.DataFrame, world: World) -> tuple[float, float]:
    """The mean cost of a decision in judged rows, and its standard error."""
    label = str(world.stream().label)
    cost = cost_of(rows[label], rows["prediction"], world.declined_good_usd, world.accepted_bad_usd)
    return float(cost.mean()), float(cost.std(ddof=1) / np.sqrt(len(cost)))


def gap(rows: pd.DataFrame, world: World) -> float:
    """The gap between the groups' false positive rates in judged rows."""
    good = rows[rows[str(world.stream().label)] == 0]
    theirs = good[world.facet] == world.disadvantaged
    declined = good["prediction"]
    return gap_of(int(declined[theirs].sum()), int(theirs.sum()), int(declined[~theirs].sum()), int((~theirs).sum()))[0]


def first_version(world: World) -> Version:
    """The version that serves at the beginning: it learned from rows of before day 0, when nothing had changed."""
    return _first_version(replace(world, drifts=(), days=1, start="2026-01-05T00:00Z", holidays=(), thinning=1))


@lru_cache(maxsize=8)
def _first_version(world: World) -> Version:
    """It depends on nothing that happens later, so it is made once."""
    past = replace(world.stream(), label_delay_days=0.0, label_spread_days=0.0)
    rows = past.sample(world.history_rows, seed=world.history_seed + 1_000_003)
    train, test = split(rows)
    model = fit(train, world)
    tested = judged(test, scores(model, test[list(past.inputs)]), world.threshold)
    return Version(1, model, train, tested, 0.0)


def pipeline(
    policy: Policy,
    world: World,
    known: Callable[[], pd.DataFrame],
    live_scores: Callable[[pd.DataFrame], np.ndarray],
    approver: mlops.Person,
) -> tuple[mlops.Pipeline, Trained]:
    """The pipeline of one retraining, and where its steps leave what they make.

    Parameters
    ----------
    known : function of nothing
        The labelled rows that may be used, called when *prepare* ends.
    live_scores : function of inputs
        What the version that is live now says of them.
    """
    made = Trained(pd.DataFrame(), pd.DataFrame())
    inputs = list(world.stream().inputs)

    def prepare() -> dict[str, Any]:
        rows = known()
        if len(rows) < FEWEST_ROWS:
            raise ParameterError(f"only {len(rows)} labelled rows are known, fewer than {FEWEST_ROWS}")
        made.train, made.test = split(rows)
        return {"train": len(made.train), "test": len(made.test)}

    def train(**_: Any) -> dict[str, Any]:
        made.model = fit(made.train, world)
        return {"model": made.model}

    def evaluate(**_: Any) -> dict[str, Any]:
        live = judged(made.test, live_scores(made.test[inputs]), world.threshold)
        made.test = judged(made.test, scores(made.model, made.test[inputs]), world.threshold)
        before, after = loss(live, world)[0], loss(made.test, world)[0]
        found = {"loss": after, "live_loss": before, "gain": 1 - after / before if before else 0.0}
        found |= {"live_gap": gap(live, world), "gap": gap(made.test, world)}
        unfair = found["live_gap"] > policy.bias_threshold
        found["fairer"] = found["live_gap"] - found["gap"] if unfair else 0.0
        return {"evaluation": found}

    prepared = mlops.ProcessingStep("prepare", outputs=("train", "test"), duration=constant(PREPARE_S), run=prepare)
    trained = mlops.TrainingStep(
        "train",
        inputs={"train": prepared.output("train")},
        instance_type="ml.m5.xlarge",
        duration=constant(TRAIN_S),
        run=train,
    )
    tested = mlops.EvaluationStep(
        "evaluate",
        inputs={"model": trained.output(), "test": prepared.output("test")},
        duration=constant(EVALUATE_S),
        run=evaluate,
    )
    register = mlops.RegisterModelStep(
        "register",
        group=GROUP,
        inputs={"model": trained.output()},
        metrics={name: tested.metric(name) for name in ("loss", "gain", "gap")},
        duration=constant(0.0),
        approval_status="Approved" if policy.approval == "automatic" else "PendingManualApproval",
    )
    after: list[Any] = [register]
    if policy.approval == "person":
        after.append(mlops.ApprovalStep("approve", person=approver, register=register, depends_on=[register]))
    better = mlops.compare(tested.metric("gain"), ">=", policy.min_gain)
    fairer = mlops.compare(tested.metric("fairer"), ">", 0.0)
    stop = mlops.FailStep("stop", message="no better than the live version")
    good = mlops.ConditionStep(
        "good enough", conditions=(mlops.any_of([better, fairer]),), if_steps=after, else_steps=[stop]
    )
    return mlops.Pipeline("retraining", steps=[prepared, trained, tested, good]), made
