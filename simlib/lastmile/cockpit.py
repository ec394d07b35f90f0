"""The cockpit's computation: a policy in, what comes of it out, fast enough for sliders.

It is the loop itself with two short cuts, both exact in the mean:

- traffic is thinned: each simulated request stands for five, and five times the share is captured, so monitors, tests
  and training see as many rows as in a run without short cuts;
- autoscaling does not depend on what the model says, so instances and latency of a target are simulated once, over
  two days, and kept; the bill of the thinned run's instances is scaled by them.

There is no fault in the cockpit: crowds, shortages and slow versions need the run without short cuts.
"""

from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

from pydantic import InstanceOf

from simlib import serving
from simlib import workload as workloads
from simlib.lastmile.ledger import Ledger, Line
from simlib.lastmile.loop import run
from simlib.lastmile.outcome import Outcome
from simlib.lastmile.policy import Policy
from simlib.lastmile.world import World, team
from simlib.model import Law, ModelProfile
from simlib.parameters import Whole, checked
from simlib.simulation import simulate

THINNING = 5
TYPICAL_DAYS = 2


class Served(NamedTuple):
    """What autoscaling does with a target on a usual day."""

    instances: float  # mean, on the bill
    usd_an_hour: float  # of one instance, with its storage
    usd_a_request: float  # for its data, in and out
    p95_s: float
    p99_s: float
    error_rate: float


@checked
def compute(
    policy: InstanceOf[Policy], world: InstanceOf[World] | None = None, *, seed: Whole = 0, replication: Whole = 0
) -> Outcome:
    """What comes of *policy* in *world* (default: `team()`), by the two short cuts above.

    Pure: the same arguments give the same bytes.  The first call for a target takes a little longer.
    """
    asked = team() if world is None else world
    found = run(policy, replace(asked, thinning=THINNING * asked.thinning), seed=seed, replication=replication)
    return _with_serving(found, asked, usual_of(policy, asked))


def usual_of(policy: Policy, world: World) -> Served:
    """What serving *world* with the target of *policy* is like."""
    return _usual(
        policy.target, policy.min_instances, world.max_instances, world.mean_rate, world.peak_to_mean, world.service,
        world.workers, world.instance_type,
    )  # fmt: skip


@lru_cache(maxsize=256)
def _usual(
    target: float, low: int, high: int, rate: float, peak: float, service: Law, workers: int, instance_type: str
) -> Served:
    scaling = serving.TargetTracking(target=target, min_capacity=low, max_capacity=max(low, high))
    deployment = serving.RealTime(
        ModelProfile("usual", service=service, size_mb=50, load_seconds=8, request_kb=1, response_kb=1),
        instance_type=instance_type,
        initial_instance_count=low,
        workers=workers,
        scaling=scaling,
    )
    traffic = workloads.diurnal(mean_rate=rate, peak_to_mean=peak)
    found = simulate(deployment, traffic, days=TYPICAL_DAYS, log="folded", progress=False)
    figures = found.summary()
    lives = found.instances
    hours = (lives["gone_s"].clip(upper=TYPICAL_DAYS * 86_400.0) - lives["machine_up_s"]).clip(lower=0).sum() / 3600
    bill = found.invoice
    of_data = bill["unit"] == "GB"
    return Served(
        float(hours) / (24 * TYPICAL_DAYS), float(bill.loc[~of_data, "subtotal"].sum() / hours),
        float(bill.loc[of_data, "subtotal"].sum() / found.summary()["completed"]), float(figures["p95_s"]),
        float(figures["p99_s"]), float(figures["error_rate"]),
    )  # fmt: skip


def _with_serving(found: Outcome, asked: World, usual: Served) -> Outcome:
    """The outcome with the instances, and their bill, that the whole traffic needs."""
    more = usual.instances / found.policy.min_instances
    ledger = Ledger([_scaled(line, more) for line in found.ledger.lines], found.days)
    change = ledger.total - found.ledger.total
    served = {"p99_s": usual.p99_s, "error_rate": usual.error_rate}
    money = {name: found.figures[name] + change for name in ("usd", "usd_low", "usd_high")}
    money |= {f"{name} usd": float(usd) for name, usd in ledger.by_category.items()}
    timeline = found.timeline.assign(
        instances=found.timeline["instances"] * more, p95_s=usual.p95_s, p99_s=usual.p99_s,
        **ledger.daily.add_suffix(" usd"),
    )  # fmt: skip
    return replace(found, world=asked, ledger=ledger, timeline=timeline, figures={**found.figures, **money, **served})


def _scaled(line: Line, more: float) -> Line:
    if line.category != "serving" or line.unit == "GB":
        return line
    usd = line.subtotal * more
    return replace(line, quantity=line.quantity * more, subtotal=usd, low=usd, high=usd, daily=line.daily * more)
