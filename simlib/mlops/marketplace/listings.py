"""Listings of the marketplace: what they are, where they deploy, and what their software costs."""

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Literal

import pandas as pd
from pydantic import InstanceOf

from simlib import pricing
from simlib.parameters import Count, Flag, NonNegative, ParameterError, Share, Text, checked, config, nearest
from simlib.pricing.meters import HOURS_PER_MONTH, Meter
from simlib.record import COMPLETED
from simlib.results import Run

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

    @checked
    def bill(self, run: InstanceOf[Run], *, trial: Flag = False) -> pd.DataFrame:
        """The bill of a *run* whose endpoint serves this listing: the infrastructure, and the software fee on top.

        By the hour: each instance on its own, prorated to the minute.  By inference: the answers with a status of 2XX,
        which are those completed.  By contract: the run's share of a month.

        Raises
        ------
        ParameterError
            If it cannot be deployed so, or is not sold on one of the instance types.
        """
        what = run.snapshot
        self.check(what.deployment)
        if trial and self.trial_days:
            fees: list[Meter] = []
        elif self.usd_per_hour is not None:
            fees = [
                pricing.marketplace_hours(self.name, hours, self.fee_per_hour(instance_type))
                for instance_type, hours in _hours_by_type(what).items()
            ]
        else:
            months = (what.end_s - what.begin_s) / 3600 / HOURS_PER_MONTH
            fees = list(self.meters(answers_2xx=float(what.tally[:, :, COMPLETED].sum()), months=months))
        return pricing.invoice([*what.meters, *fees], region=what.region)

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
        return pricing.total(meters)

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


def _hours_by_type(what: Any) -> dict[str, float]:
    """Instance-hours of a run by instance type, each instance's time rounded up to the minute."""
    places = what.deployment.variants or [what.deployment]
    lives, hours = what.instances, dict[str, float]()
    for variant, up, gone in zip(lives["variant"], lives["machine_up_s"], lives["gone_s"], strict=True):
        if up < what.end_s:
            lived = pricing.billed_seconds([min(gone, what.end_s) - up], "marketplace") / 3600
            instance_type = places[min(variant, len(places) - 1)].instance_type
            hours[instance_type] = hours.get(instance_type, 0.0) + lived
    return hours


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
