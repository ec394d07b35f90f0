"""Policies against each other under common random numbers: differences, what each knob is worth, the cheapest one.

Replication k of every policy meets the same customers, so what differs is what the policies do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from pydantic import InstanceOf, SkipValidation

from simlib.experiments import interval
from simlib.lastmile import cockpit
from simlib.lastmile.loop import Faults, run
from simlib.lastmile.outcome import Outcome
from simlib.lastmile.policy import Policy
from simlib.lastmile.quick import glance
from simlib.lastmile.world import World
from simlib.parameters import Count, ParameterError, Whole, checked, nearest
from simlib.replications import Jobs

How = Literal["whole", "cockpit", "glance"]

KNOBS: dict[str, tuple[Any, ...]] = {
    "capture_percent": (0.5, 1.0, 2.0, 5.0),
    "monitor_every_hours": (6, 12, 24, None),
    "window_hours": (24.0, 48.0, 96.0),
    "loss_margin": (0.0, 0.05, 0.2),
    "bias_threshold": (0.0, 0.02, 0.05),
    "false_alarms": (0.0001, 0.001, 0.05),
    "retrain": ("never", "calendar", "on_alarm", "both"),
    "retrain_every_days": (3, 7, 14),
    "training_days": (5.0, 7.0, 14.0),
    "approval_to_hour": (12.0, 17.0, 22.0),
    "approval_weekends": (False, True),
    "approval": ("person", "automatic"),
    "canary_percent": (5.0, 10.0, 50.0),
    "bake_minutes": (10.0, 60.0),
    "target": (50.0, 70.0, 100.0),
}
"""The values that `sensitivity` tries, one knob at a time."""


@checked
def outcomes(
    policies: SkipValidation[Mapping[str, Policy]],
    world: InstanceOf[World],
    *,
    replications: Count = 3,
    seed: Whole = 0,
    faults: Faults = (),
    how: How = "whole",
    n_jobs: Jobs = None,
) -> pd.DataFrame:
    """The figures of every run, and whether it keeps the limits: index (policy, replication).

    Parameters
    ----------
    how : "whole" | "cockpit" | "glance"
        Runs without short cuts; those of `cockpit.compute`, or of `quick.glance`, which know no faults.
    n_jobs : int or None
        Processes, as in `experiments`; the result is the same.
    """
    _check(policies, how, faults)
    tasks = [(name, policy, k) for name, policy in policies.items() for k in range(replications)]
    from joblib import Parallel, delayed

    figures = Parallel(n_jobs=n_jobs or 1)(delayed(_one)(policy, world, seed, k, faults, how) for _, policy, k in tasks)
    index = pd.MultiIndex.from_tuples([(name, k) for name, _, k in tasks], names=["policy", "replication"])
    return pd.DataFrame(list(figures), index=index)


def _one(policy: Policy, world: World, seed: int, replication: int, faults: Any, how: How) -> dict[str, Any]:
    if how == "glance":
        seen = glance(policy, world, seed=seed, replication=replication)
        return {**seen.figures, "keeps": not seen.broken}
    if how == "cockpit":
        found: Outcome = cockpit.compute(policy, world, seed=seed, replication=replication)
    else:
        found = run(policy, world, faults=faults, seed=seed, replication=replication)
    return {**found.figures, "keeps": found.keeps}


def _check(policies: object, how: str, faults: object) -> None:
    if not isinstance(policies, Mapping) or not policies:
        raise ParameterError("policies should be a dict of names to policies, such as {'ours': Policy()}.")
    for name, policy in policies.items():
        if not isinstance(policy, Policy):
            raise ParameterError(f"policies[{name!r}]={policy!r} is not possible: it should be a lastmile.Policy.")
    if how != "whole" and faults:
        raise ParameterError(f"faults are not possible with how={how!r}: they need how='whole'.")


@checked
def compare(policies: SkipValidation[Mapping[str, Policy]], world: InstanceOf[World], **options: Any) -> pd.DataFrame:
    """What each policy costs, and how much more than the first, with 95 % intervals over the replications.

    Parameters
    ----------
    options
        As of `outcomes`; at least two replications for an interval.

    Returns
    -------
    DataFrame
        By policy: usd; more_usd with more_low and more_high (paired differences from the first); accuracy,
        unfair_days, p99_s (means); keeps (share of the runs that keep every limit).
    """
    found = outcomes(policies, world, **options)
    groups = {str(name): group for name, group in found.groupby(level="policy", sort=False)}
    first = groups[next(iter(policies))]["usd"].to_numpy(dtype=float)
    rows = {}
    for name, mine in groups.items():
        more = interval((mine["usd"].to_numpy(dtype=float) - first).tolist())
        rows[name] = {
            "usd": float(mine["usd"].mean()),
            "more_usd": more.mean,
            "more_low": more.low,
            "more_high": more.high,
            "accuracy": float(mine["accuracy"].mean()),
            "unfair_days": float(mine["unfair_days"].mean()),
            "p99_s": float(mine["p99_s"].mean()),
            "keeps": float(mine["keeps"].mean()),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("policy")


@checked
def sensitivity(
    policy: InstanceOf[Policy],
    world: InstanceOf[World],
    *,
    knobs: SkipValidation[Mapping[str, Sequence[Any]] | None] = None,
    **options: Any,
) -> pd.DataFrame:
    """What each knob is worth, alone: the table of `compare` for every value, beside *policy* as it is.

    Parameters
    ----------
    knobs : mapping of a field of Policy to values
        None: `KNOBS`.
    options
        As of `outcomes`; *how* is "glance" unless told otherwise.

    Returns
    -------
    DataFrame
        Index (knob, value), with the columns of `compare`.
    """
    chosen = KNOBS if knobs is None else knobs
    names = [field for field in Policy.__dataclass_fields__]
    for name in chosen:
        if name not in names:
            raise ParameterError(f"sensitivity: there is no knob {name!r}; {nearest(name, names)}")
    others = {
        (name, value): replace(policy, **{name: value})
        for name, values in chosen.items()
        for value in values
        if getattr(policy, name) != value
    }
    table = compare(
        {"as it is": policy, **{f"{name}={value}": each for (name, value), each in others.items()}},
        world,
        **{"how": "glance", **options},
    )
    rows = table.iloc[1:]
    index = pd.MultiIndex.from_tuples([(name, str(value)) for name, value in others], names=["knob", "value"])
    return rows.set_axis(index, axis=0)


@checked
def cheapest(table: SkipValidation[pd.DataFrame], *, keeps: Annotated[float, SkipValidation] = 1.0) -> str | None:
    """The name of the cheapest policy in a table of `compare` whose runs keep every limit, at least so large a share
    of them; None if there is none."""
    good = table[table["keeps"] >= keeps]
    return None if good.empty else str(good.index[int(np.argmin(good["usd"].to_numpy()))])
