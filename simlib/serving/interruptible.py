"""Machines that cost less because the cloud may take them back: Azure's low priority, Google's spot and flex-start."""

from collections.abc import Iterator
from dataclasses import field, replace
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field

from simlib import pricing
from simlib.parameters import NonNegative, config

if TYPE_CHECKING:
    from simlib.simulation import Simulation

Percent = Annotated[NonNegative, Field(le=100)]


@config
class Interruptible:
    """What is off the price, and how often a machine is taken back.  Every value is an assumption.

    No vendor promises either: discounts move with the region and the day, and so does what is left over for others.

    Parameters
    ----------
    discount_percent : float
        Off the machine's price [%].  Assumption: 80 for low priority on Azure is quoted, and on no page that was read.
    fee_percent : float
        The part of the list price on top of the machine's own that has no discount [% of the machine's own]: 15 on
        Vertex AI, which bills spot machines and its management fee as two items; that the fee stays whole is an
        assumption.
    taken_per_day : float
        How often one machine is taken back, as a Poisson process [1/day]; 0 for flex-start, which keeps what it gave.
        Assumption.
    """

    discount_percent: Percent = field(default=80.0, kw_only=True)
    fee_percent: NonNegative = field(default=0.0, kw_only=True)
    taken_per_day: NonNegative = field(default=1.0, kw_only=True)

    @property
    def pays(self) -> float:
        """The share of the list price that is left."""
        return 1 - self.discount_percent / (100 + self.fee_percent)

    def until_taken_s(self, rng: np.random.Generator) -> float:
        """How long one machine stays from now on [s]."""
        return float(rng.exponential(86400 / self.taken_per_day)) if self.taken_per_day > 0 else np.inf

    def assumptions(self) -> Iterator[tuple[str, object, str, str]]:
        """(parameter, value, mark, source) of all of it."""
        yield "interruptible.discount_percent", self.discount_percent, "U", "moves with region and day"
        yield "interruptible.taken_per_day", self.taken_per_day, "U", "no vendor says how often"
        if self.fee_percent:
            yield "interruptible.fee_percent", self.fee_percent, "U", "that it has no discount"


def priced(meter: pricing.Meter, sim: "Simulation", less: Interruptible | None) -> pricing.Meter:
    """What is used of a machine, at its lower price; the line names the list price, with its source and mark."""
    if less is None:
        return meter
    usual = pricing.price(meter.service, meter.sku, region=meter.region or sim.region, platform=meter.platform)
    words = f"{meter.item}, may be taken back: {100 * (1 - less.pays):.3g} % off {usual.usd:g}"
    return replace(meter, item=words, pays=less.pays)
