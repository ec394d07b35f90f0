"""From meters to a bill: one line per meter, each with its source and date, and a total."""

import dataclasses
import math
from collections.abc import Sequence
from datetime import date
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field, SkipValidation

from simlib.parameters import Count, NonNegative, ParameterError, Text, checked, config, nearest
from simlib.pricing.catalog import Allowance, Day, allowances, as_day, note, price, services
from simlib.pricing.meters import Meter

if TYPE_CHECKING:
    from pandas import DataFrame
else:
    DataFrame = object  # pandas is imported when a frame is built; `checked` needs a name to look at before

COLUMNS = ("item", "quantity", "unit", "unit_price", "subtotal", "source", "as_of", "mark", "note")
"""The columns of an invoice, in order; prices and subtotals in US dollars."""

_DTYPES = {"quantity": float, "unit_price": float, "subtotal": float}

Percent = Annotated[NonNegative, Field(le=100)]


@config
class FreeTier:
    """Assumption: the account is new enough, and uses nothing else, so the vendors' monthly free quantities are free.

    `months` is the number of calendar months the bill touches; SageMaker's quantities count for the first two only.
    """

    months: Count = 1


@config
class SavingsPlan:
    """Assumption: *percent* off these services, from a commitment that this bill uses up (the rest is not modelled).

    The default services are those AWS lists for SageMaker AI Savings Plans (up to 64 %, one or three years).  Whether
    serverless and asynchronous endpoints count differs by source; serverless is left out, asynchronous cannot be
    told from real-time here.
    """

    percent: Percent
    services: tuple[Text, ...] = (
        "sagemaker_hosting",
        "sagemaker_batch_transform",
        "sagemaker_processing",
        "sagemaker_training",
        "sagemaker_notebook",
        "sagemaker_studio",
    )
    name: Text = "Savings plan"

    def __post_init__(self) -> None:
        known = services()
        for service in self.services:
            if service not in known:
                raise ValueError(f"there is no service {service!r}; {nearest(service, known)}")


@dataclasses.dataclass(frozen=True)
class _Line:
    item: str
    quantity: float
    unit: str
    unit_price: float
    source: str
    as_of: str
    mark: str
    note: str
    meter: Meter

    @property
    def subtotal(self) -> float:
        return self.quantity * self.unit_price


@checked
def invoice(
    meters: Sequence[Meter],
    *,
    region: Text = "us-east-1",
    as_of: SkipValidation[Day] = None,
    assumptions: Sequence[FreeTier | SavingsPlan] = (),
) -> "DataFrame":
    """The bill for *meters* on the day *as_of*: quantity times unit price = subtotal, line by line.

    Quantities are billed quantities: `billed_seconds` has rounded each use up to its service's step (1 ms serverless,
    1 s instances, 1 min Marketplace), storage and alarms count months of 730 hours, and nothing is rounded again.
    Subtotals are not rounded to cents either; `attrs["total"]` is `math.fsum` of the subtotals as they stand.  A meter
    of zero keeps its line.  Columns: item quantity unit unit_price subtotal source as_of mark note.

    *assumptions* are off by default and appear as negative lines of their own: free quantities first, then plans on
    what is left.

    Raises
    ------
    ParameterError
        If a meter's platform, service, sku, region or unit is unknown, or its type was retired by that day.
    """
    import pandas as pd

    bill = _bill(meters, region, as_day(as_of), assumptions)
    columns = {
        name: np.array([getattr(line, name) for line in bill], dtype=_DTYPES.get(name, object)) for name in COLUMNS
    }
    frame = pd.DataFrame(columns)
    frame.attrs["total"] = math.fsum(line.subtotal for line in bill)
    return frame


@checked
def total(meters: Sequence[Meter], *, region: Text = "us-east-1", as_of: SkipValidation[Day] = None) -> float:
    """What `invoice` adds up to [US dollars], without making a frame of its lines: for curves of hundreds of bills.

    Raises
    ------
    ParameterError
        As `invoice`.
    """
    return math.fsum(line.subtotal for line in _bill(meters, region, as_day(as_of), ()))


def _bill(
    meters: Sequence[Meter], region: str, day: date, assumptions: Sequence[FreeTier | SavingsPlan]
) -> list[_Line]:
    if sum(isinstance(each, FreeTier) for each in assumptions) > 1:
        raise ParameterError("invoice: assumptions should hold at most one FreeTier; its `months` says how long.")
    bill = [_line(meter, region, day) for meter in meters]
    for assumption in sorted(assumptions, key=lambda each: isinstance(each, SavingsPlan)):
        bill += _free(bill, assumption, day) if isinstance(assumption, FreeTier) else _saved(bill, assumption, day)
    return bill


def _line(meter: Meter, region: str, day: date) -> _Line:
    item = meter.item or meter.sku
    if meter.unit_price is not None:
        return _Line(
            item, meter.quantity, meter.unit, meter.unit_price, "you", day.isoformat(), "A", "your assumption", meter
        )
    found = price(meter.service, meter.sku, region=meter.region or region, platform=meter.platform, as_of=day)
    if meter.unit != found.unit:
        raise ParameterError(f"invoice: {meter.sku} is priced per {found.unit}, not per {meter.unit}.")
    mark, source, note = found.mark, f"{found.publisher}: {found.source}", found.note
    if meter.pays < 1:  # as sure as the assumption, and no surer than the list price
        listed = f"list price {found.note or 'verified'}"
        mark, source, note = "A", f"you, off the list price of {source}", f"discount your assumption; {listed}"
    return _Line(item, meter.quantity, meter.unit, found.usd * meter.pays, source, found.as_of, mark, note, meter)


def _free(bill: Sequence[_Line], tier: FreeTier, day: date) -> list[_Line]:
    """A negative line for each line that a monthly allowance covers, in the order of the bill."""
    lines = []
    for allowance in allowances():
        left = allowance.quantity * min(tier.months, allowance.first_months or tier.months)
        for line in bill:
            if not _covers(allowance, line.meter):
                continue
            used = min(left, line.quantity)
            left -= used
            if used > 0:
                lines.append(_free_line(line, used, allowance, day))
    return lines


def _covers(allowance: Allowance, meter: Meter) -> bool:
    same = (meter.platform, meter.service, meter.unit) == (allowance.platform, allowance.service, allowance.unit)
    return same and meter.unit_price is None and fnmatchcase(meter.sku, allowance.sku)


def _free_line(line: _Line, used: float, allowance: Allowance, day: date) -> _Line:
    months = f"first {allowance.first_months} months only" if allowance.first_months else ""
    return dataclasses.replace(
        line,
        item=f"Free tier: {line.item}",
        quantity=-used,
        source=f"{allowance.publisher}: {allowance.source}",
        as_of=allowance.as_of,
        mark=allowance.mark,
        note="; ".join(filter(None, ("your assumption", months, note(allowance.mark, allowance.as_of, day)))),
    )


def _saved(bill: Sequence[_Line], plan: SavingsPlan, day: date) -> list[_Line]:
    """A negative line for each service of the plan, on what the lines so far add up to."""
    lines = []
    for service in plan.services:
        covered = [line for line in bill if line.meter.service == service and line.meter.unit_price is None]
        usd = math.fsum(line.subtotal for line in covered)
        if usd > 0:
            item = f"{plan.name}, {plan.percent:g} % off {service}"
            day_text = day.isoformat()
            lines.append(
                _Line(item, usd, "USD", -plan.percent / 100, "you", day_text, "A", "your assumption", covered[0].meter)
            )
    return lines
