"""What is asked of the three platforms; each sized until its first run keeps it, then run again and again."""

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Annotated, Any, NamedTuple

import pandas as pd
from pydantic import AfterValidator, Field

from simlib.intervals import interval
from simlib.model import ModelProfile
from simlib.parameters import Count, ParameterError, Positive, Share, Text, Whole, config
from simlib.platforms.choice import NAMES
from simlib.platforms.fields import PLATFORMS, Platform
from simlib.platforms.sizing import Hardware, enough, machines, sized
from simlib.pricing import CATALOG_DATE, machine, region_of
from simlib.replications import Bar, run_each
from simlib.results import Run
from simlib.serving import RealTime
from simlib.workload import Workload

UTILIZATIONS = (0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2)
"""Busy shares an autoscaler is set to keep, tried from the cheapest on."""

FIGURES = ("usd", "p99_s", "error_rate", "instances", "utilization")
Percent = Annotated[float, Field(ge=0, lt=100)]

Outcome = tuple[list[float], pd.DataFrame, pd.DataFrame]
"""Of one run: FIGURES, the bill over the horizon, what was assumed."""


def _discounts(value: Any) -> dict[Platform, float]:
    for name in value:
        if name not in PLATFORMS:
            raise ValueError(f"discounts has {name!r}; the platforms are {', '.join(PLATFORMS)}.")
    return dict(value)


Discounts = Annotated[Mapping[str, Percent], AfterValidator(_discounts)]


@config
class Asked:
    """What was asked of the three platforms; see `compare` for the parameters."""

    workload: Workload
    model: ModelProfile
    max_p99_s: Positive = field(kw_only=True)
    max_error_rate: Share = field(default=0.01, kw_only=True)
    hardware: Hardware = field(default="4 vCPUs", kw_only=True)
    region: Text = field(default="us-east-1", kw_only=True)
    max_instances: Count = field(default=50, kw_only=True)
    horizon_days: Positive = field(default=30.0, kw_only=True)
    sample_hours: Positive = field(default=24.0, kw_only=True)
    discounts: Discounts = field(default_factory=dict, kw_only=True)
    seed: Whole = field(default=0, kw_only=True)

    @property
    def horizons_per_sample(self) -> float:
        """What a figure that adds up over the sample is to be multiplied by."""
        return self.horizon_days * 24 / self.sample_hours

    @property
    def per_day(self) -> float:
        """Requests a day."""
        return self.workload.expected(0.0, self.sample_hours * 3600) * 24 / self.sample_hours

    def pays(self, platform: Platform) -> float:
        """The share of list prices that is paid, after the assumed discount."""
        return 1 - self.discounts.get(platform, 0.0) / 100


class Compared(NamedTuple):
    """What `Comparison` tells."""

    table: pd.DataFrame
    bills: pd.DataFrame
    deployments: dict[Platform, RealTime]
    assumptions: pd.DataFrame


def compared(asked: Asked, replications: int, n_jobs: int | None, bar: Bar) -> Compared:
    """Each platform sized to keep what is asked, then run *replications* times."""
    rows, bills, deployments, assumed = {}, [], {}, []
    for platform, machine_of in machines(asked.hardware).items():
        known = {"machine": machine_of.name, "workers": machine_of.workers}
        try:
            share, deployment, first = _sized_to_keep(asked, platform, bar)
        except ParameterError as error:
            reason = str(error).removeprefix("deploy: ").removeprefix("price: ").rstrip(".")
            rows[platform] = {**known, "keeps": False, "broken": reason}
            continue
        found = [first, *runs(asked, platform, deployment, range(1, replications), n_jobs, bar)]
        frame = pd.DataFrame([figures for figures, _, _ in found], columns=list(FIGURES))
        rows[platform] = {**known, "utilization_set": share, **_row(asked, frame)}
        deployments[platform] = deployment
        bills.append(found[0][1].assign(platform=platform))
        assumed.append(found[0][2].assign(platform=platform))
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("platform")
    table.insert(2, "region", [region_of(machine(name).platform, asked.region) for name in table["machine"]])
    for name in ("utilization_set", "usd", "usd_low", "usd_high", "p99_s", "p99_low", "p99_high", "error_rate"):
        table[name] = table[name].astype(float) if name in table else math.nan
    order = table.assign(out=~table["keeps"].astype(bool)).sort_values(["out", "usd"], kind="stable").index
    table = table.loc[order].astype({"keeps": bool})
    return Compared(table, _stacked(bills), deployments, _stacked(assumed))


def _stacked(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    if not frames:
        return pd.DataFrame({"platform": [], "item": [], "quantity": [], "subtotal": [], "note": []})
    found = pd.concat(frames, ignore_index=True)
    return found[["platform", *(name for name in found.columns if name != "platform")]]


def _sized_to_keep(asked: Asked, platform: Platform, bar: Bar) -> tuple[float, RealTime, Outcome]:
    """The highest utilization that keeps what is asked in the first run, the deployment, and what came of that run.

    The lowest, if none keeps it.
    """
    for share in UTILIZATIONS:
        deployment = _deployment(asked, platform, share)
        (outcome,) = runs(asked, platform, deployment, [0], 1, bar)
        if not broken(asked, dict(zip(FIGURES, outcome[0], strict=True))):
            break
    return share, deployment, outcome


def _deployment(asked: Asked, platform: Platform, share: float) -> RealTime:
    one = machines(asked.hardware)[platform]
    first = enough(asked.workload.expected(0.0, 3600.0) / 3600, asked.model, one, share, asked.max_instances)
    return sized(platform, asked.model, one, utilization=share, most=asked.max_instances, first=first)


def runs(
    asked: Asked, platform: Platform, deployment: RealTime, replications: Sequence[int], n_jobs: int | None, bar: Bar
) -> list[Outcome]:
    """What came of some replications on one platform."""
    if not replications:
        return []
    found = run_each(
        "compare",
        functools.partial(_measured, asked, platform),
        {platform: deployment},
        asked.workload,
        replications,
        n_jobs=n_jobs,
        options={
            "hours": asked.sample_hours,
            "seed": asked.seed,
            "region": region_of(machine(deployment.instance_type).platform, asked.region),
            "progress": bar.shown,
        },
        bar=bar,
    )
    return found[platform]


def _measured(asked: Asked, platform: Platform, run: Run) -> Outcome:
    """The figures, the bill over the horizon, and what was assumed."""
    figures, pays = run.summary(), asked.pays(platform)
    bill = run.invoice
    bill = bill.assign(
        quantity=bill["quantity"] * asked.horizons_per_sample, subtotal=bill["subtotal"] * asked.horizons_per_sample
    )
    if pays < 1:
        bill = _with_discount(bill, platform, 1 - pays)
    hours = run.instances["gone_s"].clip(upper=run.snapshot.end_s) - run.instances["machine_up_s"]
    instances = float(hours.clip(lower=0).sum() / run.snapshot.end_s)
    found = [float(bill["subtotal"].sum()), float(figures["p99_s"]), float(figures["error_rate"]), instances]
    return [*found, float(figures["utilization"])], bill, run.assumptions


def _with_discount(bill: pd.DataFrame, platform: Platform, off: float) -> pd.DataFrame:
    """A negative line for the machines of the bill."""
    hourly = bill["unit"].str.endswith("-hour")
    usd = float(bill.loc[hourly, "subtotal"].sum())
    line = {
        "item": f"{100 * off:g} % off the machines of {NAMES[platform]}",
        "quantity": usd,
        "unit": "USD",
        "unit_price": -off,
        "subtotal": -off * usd,
        "source": "you",
        "as_of": CATALOG_DATE.isoformat(),
        "mark": "A",
        "note": "your assumption",
    }
    return pd.concat([bill, pd.DataFrame([line])], ignore_index=True)


def _row(asked: Asked, frame: pd.DataFrame) -> dict[str, Any]:
    usd, p99 = interval(frame["usd"].to_numpy()), interval(frame["p99_s"].to_numpy())
    means = frame.mean()
    breaks = broken(asked, {"p99_s": p99.mean if math.isnan(p99.high) else p99.high, "error_rate": means["error_rate"]})
    return {
        "usd": usd.mean,
        "usd_low": usd.low,
        "usd_high": usd.high,
        "p99_s": p99.mean,
        "p99_low": p99.low,
        "p99_high": p99.high,
        "error_rate": float(means["error_rate"]),
        "instances": float(means["instances"]),
        "utilization": float(means["utilization"]),
        "keeps": not breaks,
        "broken": "; ".join(breaks),
    }


def broken(asked: Asked, figures: Mapping[str, float]) -> list[str]:
    """What does not hold of what is asked, in words."""
    found = []
    if not figures["p99_s"] <= asked.max_p99_s:
        found.append(f"p99 {figures['p99_s']:.3g} s > {asked.max_p99_s:g} s")
    if not figures["error_rate"] <= asked.max_error_rate:
        found.append(f"errors {100 * figures['error_rate']:.3g} % > {100 * asked.max_error_rate:g} %")
    return found
