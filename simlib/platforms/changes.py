"""What would change a comparison: other traffic, work, sizes, prices; and where two platforms change places."""

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from simlib.model import empirical
from simlib.parameters import ParameterError
from simlib.platforms.choice import NAMES
from simlib.platforms.features import UNVERIFIED
from simlib.platforms.fields import PLATFORMS, Platform
from simlib.platforms.sizing import machines
from simlib.platforms.trials import FIGURES, Asked, broken, compared, runs
from simlib.pricing import machine, price, region_of
from simlib.replications import Bar

if TYPE_CHECKING:
    from simlib.platforms.comparison import Comparison


def _traffic(asked: Asked, times: float) -> Asked:
    return dataclasses.replace(asked, workload=asked.workload.scaled(times))


def _service(asked: Asked, times: float) -> Asked:
    draws = asked.model.service.sample(20_000, np.random.default_rng(asked.seed))
    slower = dataclasses.replace(asked.model, service=empirical(times * np.asarray(draws)))
    return dataclasses.replace(asked, model=slower)


def _payload(asked: Asked, times: float) -> Asked:
    model = asked.model
    larger = dataclasses.replace(model, request_kb=times * model.request_kb, response_kb=times * model.response_kb)
    return dataclasses.replace(asked, model=larger)


_INPUTS = {"traffic": _traffic, "service time": _service, "request and answer size": _payload}


def sensitivity(found: "Comparison", change: float, progress: bool | None) -> pd.DataFrame:
    rows = []
    with closing(Bar(None, progress)) as bar:
        for platform, deployment in found.deployments.items():
            for (name, changed), times in itertools.product(_INPUTS.items(), (1 - change, 1 + change)):
                asked = changed(found.asked, times)
                other = dataclasses.replace(deployment, model=asked.model)
                (figures, _, _), *_ = runs(asked, platform, other, [0], 1, bar)
                seen = dict(zip(FIGURES, figures, strict=True))
                rows.append((platform, name, times, seen["usd"], seen["p99_s"], not broken(found.asked, seen)))
            for times in (1 - change, 1 + change):
                usd, p99 = (number(found.table, platform, name) for name in ("usd", "p99_s"))
                rows.append((platform, "prices", times, usd * times, p99, bool(found.table.loc[platform, "keeps"])))
    frame = pd.DataFrame(rows, columns=["platform", "input", "times", "usd", "p99_s", "keeps"])
    return frame.set_index(["platform", "input", "times"])


def tornado(found: "Comparison", change: float, progress: bool | None) -> pd.DataFrame:
    if found.best is None:
        raise ParameterError("tornado: no platform keeps what is asked, so there is no cheapest to change.")
    changed, rows = found.sensitivity(change=change, progress=progress), []
    usd_now = found.table.loc[found.table["keeps"], "usd"]
    for name, times in itertools.product(_INPUTS, (1 - change, 1 + change)):
        here = changed.xs((name, times), level=("input", "times"))
        kept = here.loc[here["keeps"], "usd"]
        best = str(kept.idxmin()) if len(kept) else None
        rows.append((name, times, kept.min() if len(kept) else math.nan, best, best != found.best))
    for times in (1 - change, 1 + change):
        bills = usd_now.copy()
        bills[found.best] *= times
        rows.append(
            (f"prices of {NAMES[found.best]}", times, bills.min(), str(bills.idxmin()), bills.idxmin() != found.best)
        )
    frame = pd.DataFrame(rows, columns=["changed", "times", "usd", "best", "flips"]).set_index(["changed", "times"])
    frame.attrs["doubt"] = _doubt(found.asked)
    return frame


def break_even(asked: Asked, per_day: Sequence[float], within: float | None, progress: bool | None) -> pd.DataFrame:
    rows: dict[float, dict[Platform, float]] = {}
    with closing(Bar(None, progress)) as bar:
        new = sorted(float(each) for each in per_day)
        while new:
            for rate in new:
                rows[rate] = _usd_at(asked, rate, bar)
            apart = [(low, high) for low, high, _, _ in _flips(rows) if within and high > low * (1 + within)]
            new = [math.sqrt(low * high) for low, high in apart]
    flips = _flips(rows)
    frame = pd.DataFrame.from_dict(rows, orient="index").sort_index().dropna(axis="columns", how="all")
    frame.index.name = "requests_per_day"
    frame.attrs["flips"] = [(math.sqrt(low * high), one, other) for low, high, one, other in flips]
    frame.attrs["doubt"] = _doubt(asked)
    frame.attrs["brackets"] = [(low, high) for low, high, _, _ in flips]
    return frame


def _doubt(asked: Asked) -> str:
    """What a picture of the bills has to say of their prices; "" where all are verified."""
    for one in machines(asked.hardware).values():
        what = machine(one.name)
        for sku, _, _ in what.parts:
            place = region_of(what.platform, asked.region)
            try:
                found = price(what.service, sku, region=place, platform=what.platform)
            except ParameterError:  # no price in that region: not in the picture
                continue
            if UNVERIFIED in found.note:
                return f"some prices are {UNVERIFIED}"
    return ""


def _usd_at(asked: Asked, rate: float, bar: Bar) -> dict[Platform, float]:
    """What each platform costs at so many requests a day; NaN where it does not keep what is asked."""
    here = dataclasses.replace(asked, workload=asked.workload.scaled(rate / asked.per_day))
    table = compared(here, 1, 1, bar).table
    kept = table[table["keeps"]].index
    return {name: number(table, name, "usd") if name in kept else math.nan for name in PLATFORMS}


def _flips(
    rows: Mapping[float, Mapping[Platform, float]],
) -> list[tuple[float, float, Platform | None, Platform | None]]:
    """Neighbouring points whose cheapest platforms differ: below, above, and the cheapest of each."""
    best: dict[float, Platform | None] = {}
    for rate in sorted(rows):
        kept = sorted((usd, name) for name, usd in rows[rate].items() if not math.isnan(usd))
        best[rate] = kept[0][1] if kept else None
    pairs = itertools.pairwise(best)
    return [(low, high, best[low], best[high]) for low, high in pairs if best[low] != best[high]]


def number(table: pd.DataFrame, platform: str, column: str) -> float:
    """One cell of a table, as a number."""
    cell: Any = table.at[platform, column]
    return float(cell)
