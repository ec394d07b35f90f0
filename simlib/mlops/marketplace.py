"""The marketplace: buy a model instead of building it, and what that costs at which volume.

A listing is either an *algorithm* (you train it on your data) or a *model* (somebody trained it; you deploy it).  Both
deploy like your own on real-time endpoints and in batch; not on serverless endpoints, and not with deployment
guardrails (AWS Marketplace seller guide).  The software fee comes on top of the infrastructure: by the hour of each
instance, prorated to the minute; by inference, charged only for answers with a status of 2XX, on real-time endpoints
only; or by contract.

    >>> from simlib.mlops import marketplace
    >>> listing = marketplace.listing("vision-tags")
    >>> round(listing.monthly_fee(requests=100_000, hours=730.0), 2)
    120.0

The listings here are invented, and say so.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any, Literal

import pandas as pd

from simlib import pricing
from simlib.parameters import Count, Flag, NonNegative, ParameterError, Positive, Share, Text, checked, config, nearest
from simlib.pricing.meters import HOURS_PER_MONTH, Meter

WHERE = ("real-time", "batch", "training", "serverless", "asynchronous", "edge")
_REFUSED = {
    "serverless": "Marketplace model packages are not supported on serverless endpoints",
    "edge": "a Marketplace container does not leave the cloud",
}
_KIND_OF = {"RealTime": "real-time", "Serverless": "serverless", "Asynchronous": "asynchronous", "Edge": "edge",
            "BatchTransform": "batch"}  # fmt: skip


@config
class Listing:
    """An offer: what it is, and what its software costs.

    Parameters
    ----------
    kind : "algorithm" | "model"
        You train an algorithm; a model is trained already.
    usd_per_hour : mapping of instance type to price, optional
        By the hour of each instance, on endpoints, in batch and in training.
    usd_per_inference : float, optional
        For each answer with a status of 2XX, on real-time endpoints; batch and training are always by the hour.
    usd_per_month : float, optional
        A contract: the same every month.
    trial_days : int
        Days without software fee, 5 to 120 on AWS and only for prices by the hour; infrastructure is billed.
    quality : float, optional
        What a test on your own data said, for comparing.
    """

    name: Text
    seller: Text = field(kw_only=True)
    kind: Literal["algorithm", "model"] = field(default="model", kw_only=True)
    usd_per_hour: Mapping[Text, NonNegative] | None = field(default=None, kw_only=True)
    usd_per_inference: NonNegative | None = field(default=None, kw_only=True)
    usd_per_month: NonNegative | None = field(default=None, kw_only=True)
    trial_days: int = field(default=0, kw_only=True)
    quality: Share | None = field(default=None, kw_only=True)
    invented: Flag = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        ways = [self.usd_per_hour, self.usd_per_inference, self.usd_per_month]
        if sum(way is not None for way in ways) > 1:
            raise ValueError("give usd_per_hour, usd_per_inference or usd_per_month, not several.")
        if self.trial_days and self.usd_per_hour is None:
            raise ValueError(f"trial_days={self.trial_days} is only possible with usd_per_hour.")
        if self.trial_days and not 5 <= self.trial_days <= 120:
            raise ValueError(f"trial_days={self.trial_days} should be 0 or between 5 and 120.")

    def fee_per_hour(self, instance_type: str) -> float:
        """The software fee of one instance for an hour [US dollars].

        Raises
        ------
        ParameterError
            If the listing is not sold on that type.
        """
        prices = self.usd_per_hour or {}
        if prices and instance_type not in prices:
            raise ParameterError(f"{self.name} is not sold on {instance_type}; {nearest(instance_type, prices)}")
        return prices.get(instance_type, 0.0)

    @checked
    def meters(
        self,
        *,
        hours: NonNegative = 0.0,
        instance_type: Text = "ml.m5.large",
        instances: Count = 1,
        answers_2xx: NonNegative = 0.0,
        months: NonNegative = 0.0,
        trial: Flag = False,
    ) -> tuple[Meter, ...]:
        """What the software costs, as meters for `pricing.invoice`; in a *trial* nothing."""
        if trial and self.trial_days:
            return ()
        found: list[Meter] = []
        if self.usd_per_hour is not None:
            minutes = pricing.billed_seconds(hours * 3600, "marketplace") * instances
            found.append(pricing.marketplace_hours(self.name, minutes / 3600, self.fee_per_hour(instance_type)))
        if self.usd_per_inference is not None:
            found.append(self._meter(answers_2xx, "request", self.usd_per_inference))
        if self.usd_per_month is not None:
            found.append(self._meter(months, "month", self.usd_per_month))
        return tuple(found)

    def _meter(self, quantity: float, unit: str, usd: float) -> Meter:
        return Meter("marketplace", self.name, quantity, unit, f"Software {self.name}", unit_price=usd)

    @checked
    def monthly_fee(
        self, *, requests: NonNegative, hours: NonNegative = HOURS_PER_MONTH, instance_type: Text = "ml.m5.large",
        instances: Count = 1, success_share: Share = 1.0,
    ) -> float:  # fmt: skip
        """The software fee of a month with so many *requests*, on instances that run *hours* each [US dollars]."""
        meters = self.meters(
            hours=hours,
            instance_type=instance_type,
            instances=instances,
            answers_2xx=requests * success_share,
            months=1.0,
        )
        return float(pricing.invoice(meters).attrs["total"]) if meters else 0.0

    def why_not(self, deployment: Any, *, rollout: Any = None) -> str:
        """Why not, or nothing; *deployment* is a config of `serving`, or a word such as "batch"."""
        kind = _KIND_OF.get(type(deployment).__name__, str(deployment))
        if kind not in WHERE:
            raise ParameterError(f"why_not: deployment={deployment!r} is not known; {nearest(kind, WHERE)}")
        if kind in _REFUSED:
            return f"{self.name} cannot be deployed there: {_REFUSED[kind]}."
        if rollout is not None and type(rollout).__name__ != "AllAtOnce" and rollout != "AllAtOnce":
            return f"{self.name} cannot be rolled out so: guardrails do not support Marketplace."
        if self.kind == "algorithm" and kind == "training":
            return ""
        if kind == "training":
            return f"{self.name} is a trained model: there is nothing to train."
        return ""

    def check(self, deployment: Any, *, rollout: Any = None) -> None:
        """Nothing, if it can be deployed so.

        Raises
        ------
        ParameterError
            With the reason, if it cannot.
        """
        if reason := self.why_not(deployment, rollout=rollout):
            raise ParameterError(reason)


CATALOGUE = (
    Listing("vision-tags", seller="Invented Vision Ltd", usd_per_inference=0.0012, quality=0.91),
    Listing("receipt-reader", seller="Fictional Documents", usd_per_inference=0.01, quality=0.94),
    Listing(
        "churn-gbm", seller="Made-up Models", kind="algorithm", trial_days=14, quality=0.88,
        usd_per_hour={"ml.m5.large": 0.30, "ml.m5.xlarge": 0.55, "ml.c5.xlarge": 0.50},
    ),
    Listing(
        "speech-to-text", seller="Imaginary Audio", trial_days=30, quality=0.90,
        usd_per_hour={"ml.g4dn.xlarge": 2.0, "ml.g5.xlarge": 3.5},
    ),
    Listing("translate-es-en", seller="Nowhere Languages", usd_per_month=900.0, quality=0.93),
    Listing("open-sentiment", seller="Free Examples", usd_per_hour={"ml.m5.large": 0.0}, quality=0.84),
)  # fmt: skip
"""Listings for the course.  Every one is invented: names, sellers, prices and quality."""


def catalogue() -> pd.DataFrame:
    """The invented listings, one a row."""
    columns = (
        "seller",
        "kind",
        "usd_per_hour",
        "usd_per_inference",
        "usd_per_month",
        "trial_days",
        "quality",
        "invented",
    )
    return pd.DataFrame(
        [[getattr(each, name) for name in columns] for each in CATALOGUE],
        columns=columns,
        index=pd.Index([each.name for each in CATALOGUE], name="listing"),
    )


@checked
def listing(name: Text) -> Listing:
    """The listing called *name*.

    Raises
    ------
    ParameterError
        If there is none.
    """
    found = {each.name: each for each in CATALOGUE}
    if name not in found:
        raise ParameterError(f"listing: there is no {name!r}; {nearest(name, found)}")
    return found[name]


# --- buy or build ---------------------------------------------------------------------------------------------------


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
        return float(pricing.invoice([pricing.hosting_hours(self.instance_type, hours)], region=region).attrs["total"])


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
