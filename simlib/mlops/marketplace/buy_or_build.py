"""Buy a model or build it: what each costs a month, at which volume."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import field

import numpy as np
import pandas as pd

from simlib import plots, pricing
from simlib.mlops.marketplace.listings import Listing
from simlib.parameters import Count, NonNegative, Positive, Share, Text, checked, config
from simlib.pricing.meters import HOURS_PER_MONTH


@config
class Serving:
    """The infrastructure both need: instances that answer so many requests a second each.

    `requests_per_s` is what one instance can do; real load comes in waves, so `peak_to_mean` of it is paid for.
    """

    instance_type: Text = "ml.m5.large"
    requests_per_s: Positive = field(default=10.0, kw_only=True)
    peak_to_mean: Positive = field(default=2.0, kw_only=True)
    success_share: Share = field(default=1.0, kw_only=True)

    def instances(self, requests_per_month: float) -> int:
        """Instances for that volume; at least one."""
        per_s = requests_per_month / (HOURS_PER_MONTH * 3600) * self.peak_to_mean
        return max(1, math.ceil(per_s / self.requests_per_s - 1e-9))

    def monthly_usd(self, requests_per_month: float, region: str) -> float:
        """What those instances cost in a month."""
        hours = self.instances(requests_per_month) * HOURS_PER_MONTH
        return pricing.total([pricing.hosting_hours(self.instance_type, hours)], region=region)


@config
class Build:
    """Making the model yourselves: people and machines once, and some of it again every month.

    Every figure is yours to give; the defaults are assumptions.
    """

    once_usd: NonNegative = 20_000.0
    monthly_usd: NonNegative = 1_000.0
    months: Count = 24

    @property
    def usd_per_month(self) -> float:
        """Per month over the months it will be used."""
        return self.once_usd / self.months + self.monthly_usd


@checked
def compare(
    options: Mapping[Text, Listing | Build],
    *,
    requests_per_month: Sequence[NonNegative],
    serving: Serving | None = None,
    region: Text = "us-east-1",
) -> pd.DataFrame:
    """US dollars a month of each option at each volume: software or own work, plus the same infrastructure."""
    place = serving or Serving()
    rows = []
    for volume in requests_per_month:
        infrastructure = place.monthly_usd(volume, region)
        rows.append({name: infrastructure + _own_usd(option, volume, place) for name, option in options.items()})
    return pd.DataFrame(rows, index=pd.Index(list(requests_per_month), name="requests_per_month"))


def _own_usd(option: Listing | Build, volume: float, place: Serving) -> float:
    if isinstance(option, Build):
        return option.usd_per_month
    return option.monthly_fee(
        requests=volume, instance_type=place.instance_type, instances=place.instances(volume),
        success_share=place.success_share,
    )  # fmt: skip


@checked
def break_even(buy: Listing, build: Build, *, serving: Serving | None = None, most: Positive = 1e12) -> float:
    """Requests a month from which building is cheaper; inf if it never is up to *most*.

    The infrastructure is the same for both, so it does not matter here.  Found by halving: the fee never falls with the
    volume.
    """
    place = serving or Serving()
    if _own_usd(buy, 0.0, place) >= build.usd_per_month:
        return 0.0
    if _own_usd(buy, most, place) < build.usd_per_month:
        return math.inf
    low, high = 0.0, float(most)
    while high - low > 0.5:
        middle = (low + high) / 2
        low, high = (low, middle) if _own_usd(buy, middle, place) >= build.usd_per_month else (middle, high)
    return float(math.ceil(high - 0.5 - 1e-6))


@checked
def draw(buy: Listing, build: Build, *, serving: Serving | None = None, region: Text = "us-east-1") -> plots.Words:
    """Buying and building over volume, the infrastructure of both included, and where they cost the same."""
    even = break_even(buy, build, serving=serving)
    crosses = 0.0 < even < math.inf
    middle = even if crosses else 1e6
    volumes = np.geomspace(middle / 100, middle * 10, 121).tolist()
    costs = compare({"buy": buy, "build": build}, requests_per_month=volumes, serving=serving, region=region)
    said = f"{float(f'{even:.4g}'):,.0f}"
    title = f"Building is cheaper from {said} requests a month" if crosses else "One is always cheaper"
    return plots.cost_by_volume(costs, crossing=even if crosses else None, title=title)
