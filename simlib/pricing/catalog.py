"""What one unit of a cloud service costs, who says so, and since when.

The prices are rows of `data/prices.csv`, each with its publisher, source, date and mark:

- V, read in a text of the vendor or resolved from its price list;
- S, second-hand: a third party quotes the vendor;
- D, derived from other prices by a rule that was checked;
- U, uncertain: assumed, recalled, or of an unsure date.

Several rows of one service, region, sku and unit are the history of that price.  The catalog was last checked on
`CATALOG_DATE`, which is also the date a price is asked for where none is given: results never depend on today's date.

    >>> price("sagemaker_hosting", "ml.m5.large").usd
    0.115
    >>> price("sagemaker_hosting", "ml.m5.lrge")
    Traceback (most recent call last):
    simlib.parameters.ParameterError: price: sagemaker_hosting has no 'ml.m5.lrge'; the nearest are 'ml.m5.large', ...
"""

import csv
import dataclasses
import difflib
import functools
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from fnmatch import fnmatchcase
from importlib import resources
from typing import Any, Literal, NamedTuple

from pydantic import SkipValidation

from simlib.parameters import Count, NonNegative, ParameterError, Positive, Text, checked, config, nearest

CATALOG_DATE = date(2026, 11, 22)
"""The day the catalog was last checked, and the default date of a price and of a bill."""

Mark = Literal["V", "S", "D", "U", "A"]
"""How well a figure is known: verified, second-hand, derived, uncertain; A is an assumption you gave yourself."""

Day = date | str | None
"""A date, its ISO text ("2026-11-22", or "2026-11" and "2026" for the first day), or None for `CATALOG_DATE`."""

_STALE = timedelta(days=365)
_DOUBTS = {
    "V": "",
    "S": "unverified (second-hand)",
    "D": "unverified (derived by a rule)",
    "U": "unverified (uncertain)",
    "A": "your assumption",
}
_ANYWHERE = ("any", "global")
_PRICED_AS_HOSTING = ("sagemaker_batch_transform", "sagemaker_processing", "sagemaker_training")


@config
class Price:
    """What one unit costs in US dollars.

    `as_of` is an ISO date as precise as it is known (2026-06-10, 2025-11, 2026); `note` says in words what a bill
    should say beside the price: that it is not verified, older than a year, or not yet known on the date asked for.
    """

    platform: Text
    service: Text
    region: Text
    sku: Text
    unit: Text
    usd: NonNegative
    publisher: Text
    source: Text
    as_of: Text
    mark: Mark
    note: str = ""


@config
class Allowance:
    """A quantity a vendor gives away every month, for the first months of an account (None: for ever)."""

    platform: Text
    service: Text
    sku: Text  # a pattern, as in ml.m[45].xlarge
    unit: Text
    quantity: Positive
    first_months: Count | None
    publisher: Text
    source: Text
    as_of: Text
    mark: Mark


@checked
def priced_on(day: date) -> date:
    """The day whose prices a run that starts on *day* pays: that day, but none before the catalog's own."""
    return max(day, CATALOG_DATE)


@checked
def price(
    service: Text,
    sku: Text,
    *,
    region: Text = "us-east-1",
    platform: Text = "aws",
    as_of: SkipValidation[Day] = None,
) -> Price:
    """The price of one unit of *sku*: the newest known at or before *as_of*, or the oldest known if all are later.

    A batch, processing or training job on an instance type without a price of its own costs what hosting costs on
    that type (mark D; a real bill of December 2023 shows one price for all four).

    Raises
    ------
    ParameterError
        If the platform, service, sku or region is unknown, the sku has no price in that region, or it was retired.
    """
    return _price(platform, service, sku, region, as_day(as_of))


@functools.lru_cache(maxsize=4096)
def _price(platform: str, service: str, sku: str, region: str, day: date) -> Price:
    history = _history(platform, service, sku, region)
    if not history or _retirement(platform, sku, day):
        raise ParameterError(f"price: {_why_not(platform, service, sku, region, day)}")
    known = [row for row in history if as_day(row.as_of) <= day]
    row = known[-1] if known else history[0]
    return dataclasses.replace(row, note=note(row.mark, row.as_of, day))


def _history(platform: str, service: str, sku: str, region: str) -> list[Price]:
    """The rows of one price, oldest first."""
    prices = _prices()
    for place in (region, *_ANYWHERE):
        if rows := prices.get((platform, service, place, sku)):
            return rows
    if platform == "aws" and service in _PRICED_AS_HOSTING:
        return [_as_hosting(row, service) for row in prices.get((platform, "sagemaker_hosting", region, sku), [])]
    return []


def _as_hosting(row: Price, service: str) -> Price:
    mark: Mark = "U" if row.mark == "U" else "D"
    source = f"price of hosting on the same type: {row.publisher}, {row.source}"
    return dataclasses.replace(row, service=service, publisher="simlib", source=source, mark=mark)


def as_day(value: Day) -> date:
    """The day a date-like value stands for; a month or a year stands for its first day.

    Raises
    ------
    ParameterError
        If the value is no date.
    """
    if value is None:
        return CATALOG_DATE
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    try:
        return _parse(value)
    except (TypeError, ValueError):
        raise ParameterError(f"as_of={value!r} is not a date; write it as '2026-11-22', '2026-11' or '2026'.") from None


@functools.lru_cache(maxsize=1024)
def _parse(text: str) -> date:
    return date.fromisoformat(text + "-01-01"[len(text) - 4 :] if len(text) in (4, 7) else text)


def note(mark: Mark, as_of: str, day: date) -> str:
    """What a bill of that day says of a figure with this mark and date; nothing if verified within the last year."""
    known, doubts = as_day(as_of), [_DOUBTS[mark]]
    if known < day - _STALE:
        doubts.append(f"of {as_of}, over a year old")
    if known > day:
        doubts.append(f"of {as_of}, none earlier is known")
    return "; ".join(filter(None, doubts))


# --- why there is no price --------------------------------------------------------------------------------------------


def _why_not(platform: str, service: str, sku: str, region: str, day: date) -> str:
    """The end of the sentence: the first of the names asked for that is not known, and the nearest ones."""
    rows = [row for history in _prices().values() for row in history]
    if platform not in (platforms := _names(row.platform for row in rows)):
        return f"there is no platform {platform!r}; {nearest(platform, platforms)}"
    rows = [row for row in rows if row.platform == platform]
    if service not in services(platform):
        return f"{platform} has no service {service!r}; {nearest(service, services(platform))}"
    if gone := _retirement(platform, sku, day):
        return f"{sku} was retired on {gone.on}."
    if region not in (regions := _names(row.region for row in rows)):
        return f"{platform} has no prices for a region {region!r}; {nearest(region, regions)}"
    like = [service, "sagemaker_hosting"] if service in _PRICED_AS_HOSTING else [service]
    rows = [row for row in rows if row.service in like]
    if sku in (skus := _names(row.sku for row in rows)):
        elsewhere = ", ".join(_names(row.region for row in rows if row.sku == sku))
        return f"{sku} of {service} is not offered or not priced in {region}; there is a price in {elsewhere}."
    near = difflib.get_close_matches(sku, skus, n=3, cutoff=0)
    return f"{service} has no {sku!r}; the nearest are {', '.join(map(repr, near))}."


def _names(names: Iterable[str]) -> list[str]:
    return sorted(set(names))


@functools.cache
def services(platform: str | None = None) -> list[str]:
    """The names of the services with a price on that platform, or on any."""
    return _names(name for owner, name, _, _ in _prices() if platform in (None, owner))


@checked
def skus(platform: str, service: str) -> list[str]:
    """The names of what has a price in a service."""
    return _skus(platform, service)


@functools.cache
def _skus(platform: str, service: str) -> list[str]:
    return _names(sku for owner, name, _, sku in _prices() if (owner, name) == (platform, service))


class Retired(NamedTuple):
    """When something was retired, who says so, and the mark of that."""

    on: str
    source: str
    mark: str


@checked
def retired(platform: str, sku: str) -> Retired | None:
    """When *sku* was retired, if that was before the catalog's date; None while it can be had."""
    return _retirement(platform, sku, CATALOG_DATE)


def _retirement(platform: str, sku: str, day: date) -> Retired | None:
    """When *sku* was retired, if that was at or before *day*."""
    for row in _rows("retired.csv"):
        if fnmatchcase(sku, row["sku"]) and fnmatchcase(platform, row["platform"]) and as_day(row["retired"]) <= day:
            return Retired(row["retired"], f"{row['publisher']}: {row['source']}", row["mark"])
    return None


# --- the data files ---------------------------------------------------------------------------------------------------


@functools.cache
def _rows(name: str) -> list[dict[str, str]]:
    with (resources.files("simlib.pricing") / "data" / name).open(encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


@functools.cache
def _prices() -> dict[tuple[str, str, str, str], list[Price]]:
    """Every price, by platform, service, region and sku; each history oldest first."""
    prices: dict[tuple[str, str, str, str], list[Price]] = {}
    for row in _rows("prices.csv"):
        fields: dict[str, Any] = {**row, "usd": float(row["usd"])}
        made = Price(**fields)
        prices.setdefault((made.platform, made.service, made.region, made.sku), []).append(made)
    for history in prices.values():
        history.sort(key=lambda row: as_day(row.as_of))
    return prices


@functools.cache
def allowances() -> list[Allowance]:
    """The quantities the vendors give away each month (`data/free_tiers.csv`)."""
    made = []
    for row in _rows("free_tiers.csv"):
        months = int(row["first_months"]) if row["first_months"] else None
        fields: dict[str, Any] = {**row, "quantity": float(row["quantity"]), "first_months": months}
        made.append(Allowance(**fields))
    return made
