"""One workload on three platforms: each sized by its own autoscaler to the same wait, simulated, and priced.

    >>> import simlib as sl
    >>> from simlib import platforms
    >>> chat = sl.scenarios.chat_translation(rate=20)
    >>> found = platforms.compare(chat.workload, chat.model, max_p99_s=0.5, replications=2)
    >>> sorted(found.table.index)
    ['azureml', 'sagemaker', 'vertex']

The three see the same requests (common random numbers), so what differs is what they do.  Prices are the catalog's,
each with its source, date and mark on the bill.
"""

import dataclasses
import functools
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import field
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import AfterValidator, Field

from simlib.intervals import interval
from simlib.model import ModelProfile, empirical
from simlib.parameters import Count, Flag, ParameterError, Positive, Share, Text, Whole, checked, config
from simlib.platforms.choice import NAMES
from simlib.platforms.features import UNVERIFIED
from simlib.platforms.fields import PLATFORMS, Platform
from simlib.platforms.sizing import Hardware, enough, machines, sized
from simlib.pricing import CATALOG_DATE, machine, price, region_of
from simlib.replications import Bar, Jobs, run_each
from simlib.results import Run
from simlib.serving import RealTime
from simlib.workload import Workload
from simlib.workload.counted import Files

UTILIZATIONS = (0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2)
"""Busy shares an autoscaler is set to keep, tried from the cheapest on."""

BESIDE: Mapping[Platform, str] = {
    "sagemaker": "artifacts in S3, images in ECR, logs and metrics in CloudWatch",
    "vertex": "data in and out, artifacts in Cloud Storage, images in Artifact Registry, logs",
    "azureml": "data in and out, disks, container registry, storage, key vault, logs in Monitor",
}
"""What else the vendors bill for an endpoint, without a price in the catalog (Azure: its guide to planning cost, V; the
others from own knowledge, U)."""

FIGURES = ("usd", "p99_s", "error_rate", "instances", "utilization")
Percent = Annotated[float, Field(ge=0, lt=100)]


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


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What `compare` found.

    Attributes
    ----------
    asked : Asked
    table : DataFrame
        Index platform, the cheapest that keeps what is asked first.  Columns: machine, workers, region, utilization_set
        (what its autoscaler keeps), usd over the horizon with usd_low and usd_high (95 %), p99_s with p99_low and
        p99_high [s], error_rate, instances (mean), utilization (mean), keeps, and broken: what does not hold, in words.
    bills : DataFrame
        The lines of each platform's bill over the horizon, of the first run: platform, item, quantity, unit,
        unit_price, subtotal, source, as_of, mark, note (what is not verified, derived or old).
    deployments : mapping of platform to RealTime
        The configs that were simulated.
    assumptions : DataFrame
        What is not documented: platform, parameter, value, mark, source.
    """

    asked: Asked
    table: pd.DataFrame
    bills: pd.DataFrame
    deployments: Mapping[Platform, RealTime]
    assumptions: pd.DataFrame
    _known: dict[float, pd.DataFrame] = dataclasses.field(default_factory=dict, repr=False, compare=False)

    @property
    def best(self) -> Platform | None:
        """The cheapest that keeps what is asked; None if none does."""
        kept = self.table.index[self.table["keeps"]]
        return kept[0] if len(kept) else None

    @property
    def sure(self) -> bool:
        """Whether the cheapest is so by more than chance: no interval of another that keeps reaches down to its own.

        False where one run left no interval.
        """
        kept = self.table[self.table["keeps"]]
        return len(kept) > 0 and bool((kept["usd_low"].iloc[1:] > kept["usd_high"].iloc[0]).all())

    @checked
    def sensitivity(self, *, change: Share = 0.2, progress: Flag | None = None) -> pd.DataFrame:
        """Each bill when one input is smaller or larger by *change*, with the same machines and autoscalers.

        Index (platform, input, times); columns usd, p99_s, and keeps: whether what was asked still holds.  One run a
        point, under the same random numbers.
        """
        if change not in self._known:
            self._known[change] = _sensitivity(self, change, progress)
        return self._known[change].copy()

    @checked
    def spread(self, *, change: Share = 0.2, progress: Flag | None = None) -> pd.DataFrame:
        """How hard each bill is to predict: its meters, and its range when traffic, work and sizes are each off.

        Index platform; columns meters (priced lines with a quantity), beside (what else the vendor bills, without a
        price in the catalog), usd, low, high, and spread: (high - low) / usd.
        """
        changed = self.sensitivity(change=change, progress=progress)
        usd_of = changed[changed.index.get_level_values("input") != "prices"]["usd"].groupby(
            level="platform", sort=False
        )
        rows = {}
        for name in self.deployments:
            usd, bill = _number(self.table, name, "usd"), self.bills[self.bills["platform"] == name]
            meters = int(((bill["quantity"] > 0) & (bill["mark"] != "A")).sum())
            low, high = min(usd, usd_of.min()[name]), max(usd, usd_of.max()[name])
            rows[name] = (meters, BESIDE[name], usd, low, high, (high - low) / usd)
        columns = ["meters", "beside", "usd", "low", "high", "spread"]
        return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("platform")

    @checked
    def tornado(self, *, change: Share = 0.2, progress: Flag | None = None) -> pd.DataFrame:
        """The cheapest bill when one input of all three platforms changes: (changed, times), usd, best, flips.

        `plots.tornado` draws it.  A price changes for the cheapest platform alone.
        """
        return _tornado(self, change, progress)

    @checked
    def break_even(
        self,
        per_day: Sequence[float] = (1e4, 1e5, 1e6, 1e7),
        *,
        within: Positive | None = None,
        progress: Flag | None = None,
    ) -> pd.DataFrame:
        """Dollars over the horizon on each platform, by requests a day; NaN where it does not keep what is asked.

        Each point is sized anew, from one run.  `attrs["flips"]` lists (requests a day, platform below, platform
        above), between two points at their geometric middle; `attrs["brackets"]` those two points of each.  With
        *within*, such as 0.1, points are added by halving until the two are no more than that share apart; bills jump
        with every machine, so two platforms may change places several times, and one of these is found.
        `plots.break_even` draws it.
        """
        return _break_even(self.asked, per_day, within, progress)

    def discount_map(self, costs: pd.DataFrame, platform: Platform, percents: Sequence[float]) -> pd.DataFrame:
        """Which platform is the cheapest, by requests a day (columns) and percent off *platform*'s prices (rows).

        *costs* is what `break_even` gave; nothing is simulated again.  "" where none keeps what is asked.
        """
        if platform not in costs.columns:
            raise ParameterError(f"discount_map: platform={platform!r} is not in costs: {', '.join(costs.columns)}.")
        rows = {}
        for percent in percents:
            reduced = costs.assign(**{platform: costs[platform] * (1 - percent / 100)})
            rows[float(percent)] = reduced.apply(lambda usd: usd.idxmin() if usd.notna().any() else "", axis=1)
        found = pd.DataFrame(rows).T.rename_axis(index=f"percent off {platform}", columns="requests_per_day")
        found.attrs["doubt"] = costs.attrs.get("doubt", "")
        return found

    def __str__(self) -> str:
        """The comparison in words."""
        return "\n".join(self._words())

    def _repr_html_(self) -> str:
        import html

        told = "".join(f"<p>{html.escape(line)}</p>" for line in self._words())
        shown = self.table[["machine", "usd", "usd_low", "usd_high", "p99_s", "error_rate", "instances", "keeps"]]
        return told + shown.to_html(float_format=lambda number: f"{number:.4g}")

    def _words(self) -> Iterator[str]:
        days = f"{self.asked.horizon_days:g} days"
        if self.best is None:
            yield f"No platform keeps p99 ≤ {self.asked.max_p99_s:g} s over {days}."
        for name, row in self.table.iterrows():
            said = f"{NAMES[name]}, {row['machine']}: "
            if row["keeps"]:
                yield said + f"{row['usd']:,.4g} dollars for {days}, p99 {row['p99_s']:.3g} s."
            else:
                yield said + f"{row['broken']}."
        kept = self.table[self.table["keeps"]]
        if len(kept) > 1 and not self.sure:
            yield "The difference between the first two may be chance."
        doubted = self.bills[self.bills["note"] != ""]
        if len(doubted):
            yield f"{len(doubted)} of {len(self.bills)} prices are not verified or old: see bills['note']."


@checked
def compare(
    workload: Workload,
    model: ModelProfile,
    *,
    max_p99_s: Positive,
    max_error_rate: Share = 0.01,
    hardware: Hardware = "4 vCPUs",
    region: Text = "us-east-1",
    max_instances: Count = 50,
    horizon_days: Positive = 30.0,
    sample_hours: Positive = 24.0,
    discounts: Discounts | None = None,
    seed: Whole = 0,
    replications: Count = 5,
    n_jobs: Jobs = None,
    progress: Flag | None = None,
) -> Comparison:
    """The same workload on SageMaker, Vertex AI and Azure ML, at the same wait.

    Parameters
    ----------
    workload, model : Workload, ModelProfile
        Who calls, and what a request costs; the service law is taken to hold on one vCPU (or GPU) of all three
        (assumption: the machines are of the same class, not the same chip).
    max_p99_s, max_error_rate : float
        What each has to keep [s; share of requests].  Its autoscaler is set to the highest utilization that does.
    hardware : "2 vCPUs" | "4 vCPUs" | "8 vCPUs" | "T4 GPU"
        The class of machine.
    region : str
        A region of any of the three; the others' counterparts are taken (`pricing.region_of`).
    max_instances : int
    horizon_days, sample_hours : float
        For how long the bill is added up, and how much of it is simulated; the rest is taken to be like it.
    discounts : mapping of platform to percent, or None
        Assumption: so much off the machines, by a savings plan, committed use or spot; the commitment itself is not
        modelled.  Low-priority machines serve batch jobs only on Azure ML, spot serves online only on Vertex AI.
    seed, replications, n_jobs, progress
        As for `experiments.compare`.

    Returns
    -------
    Comparison
        A platform without a price in that region is in `table` with the reason, and not in `deployments`.

    Raises
    ------
    ParameterError
        If the workload is of files that lie ready: `compare_batch` takes these.
    """
    if isinstance(workload, Files):
        raise ParameterError(
            f"compare: workload={workload.name!r} is of files that lie ready; compare_batch prices a job over them."
        )
    asked = Asked(
        workload,
        model,
        max_p99_s=max_p99_s,
        max_error_rate=max_error_rate,
        hardware=hardware,
        region=region,
        max_instances=max_instances,
        horizon_days=horizon_days,
        sample_hours=sample_hours,
        discounts=discounts or {},
        seed=seed,
    )
    with closing(Bar(None, progress)) as bar:
        return _compared(asked, replications, n_jobs, bar)


# --- sizing and running ----------------------------------------------------------------------------------------------


def _compared(asked: Asked, replications: int, n_jobs: int | None, bar: Bar) -> Comparison:
    rows, bills, deployments, assumed = {}, [], {}, []
    for platform, machine_of in machines(asked.hardware).items():
        known = {"machine": machine_of.name, "workers": machine_of.workers}
        try:
            share, deployment, first = _sized_to_keep(asked, platform, bar)
        except ParameterError as error:
            reason = str(error).removeprefix("deploy: ").removeprefix("price: ").rstrip(".")
            rows[platform] = {**known, "keeps": False, "broken": reason}
            continue
        runs = [first, *_runs(asked, platform, deployment, range(1, replications), n_jobs, bar)]
        frame = pd.DataFrame([figures for figures, _, _ in runs], columns=list(FIGURES))
        rows[platform] = {**known, "utilization_set": share, **_row(asked, frame)}
        deployments[platform] = deployment
        bills.append(runs[0][1].assign(platform=platform))
        assumed.append(runs[0][2].assign(platform=platform))
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("platform")
    table.insert(2, "region", [region_of(machine(name).platform, asked.region) for name in table["machine"]])
    for name in ("utilization_set", "usd", "usd_low", "usd_high", "p99_s", "p99_low", "p99_high", "error_rate"):
        table[name] = table[name].astype(float) if name in table else math.nan
    order = table.assign(out=~table["keeps"].astype(bool)).sort_values(["out", "usd"], kind="stable").index
    table = table.loc[order].astype({"keeps": bool})
    return Comparison(asked, table, _stacked(bills), deployments, _stacked(assumed))


def _stacked(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    if not frames:
        return pd.DataFrame({"platform": [], "item": [], "quantity": [], "subtotal": [], "note": []})
    found = pd.concat(frames, ignore_index=True)
    return found[["platform", *(name for name in found.columns if name != "platform")]]


def _sized_to_keep(asked: Asked, platform: Platform, bar: Bar) -> "tuple[float, RealTime, Outcome]":
    """The highest utilization that keeps what is asked in the first run, the deployment, and what came of that run.

    The lowest, if none keeps it.
    """
    for share in UTILIZATIONS:
        deployment = _deployment(asked, platform, share)
        (outcome,) = _runs(asked, platform, deployment, [0], 1, bar)
        if not _broken(asked, dict(zip(FIGURES, outcome[0], strict=True))):
            break
    return share, deployment, outcome


def _deployment(asked: Asked, platform: Platform, share: float) -> RealTime:
    one = machines(asked.hardware)[platform]
    first = enough(asked.workload.expected(0.0, 3600.0) / 3600, asked.model, one, share, asked.max_instances)
    return sized(platform, asked.model, one, utilization=share, most=asked.max_instances, first=first)


Outcome = tuple[list[float], pd.DataFrame, pd.DataFrame]


def _runs(
    asked: Asked, platform: Platform, deployment: RealTime, replications: Sequence[int], n_jobs: int | None, bar: Bar
) -> list[Outcome]:
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
    broken = _broken(
        asked, {"p99_s": p99.mean if math.isnan(p99.high) else p99.high, "error_rate": means["error_rate"]}
    )
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
        "keeps": not broken,
        "broken": "; ".join(broken),
    }


def _broken(asked: Asked, figures: Mapping[str, float]) -> list[str]:
    found = []
    if not figures["p99_s"] <= asked.max_p99_s:
        found.append(f"p99 {figures['p99_s']:.3g} s > {asked.max_p99_s:g} s")
    if not figures["error_rate"] <= asked.max_error_rate:
        found.append(f"errors {100 * figures['error_rate']:.3g} % > {100 * asked.max_error_rate:g} %")
    return found


def _number(table: pd.DataFrame, platform: str, column: str) -> float:
    cell: Any = table.at[platform, column]
    return float(cell)


# --- what would change it --------------------------------------------------------------------------------------------


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


def _sensitivity(found: Comparison, change: float, progress: bool | None) -> pd.DataFrame:
    rows = []
    with closing(Bar(None, progress)) as bar:
        for platform, deployment in found.deployments.items():
            for (name, changed), times in itertools.product(_INPUTS.items(), (1 - change, 1 + change)):
                asked = changed(found.asked, times)
                other = dataclasses.replace(deployment, model=asked.model)
                (figures, _, _), *_ = _runs(asked, platform, other, [0], 1, bar)
                seen = dict(zip(FIGURES, figures, strict=True))
                rows.append((platform, name, times, seen["usd"], seen["p99_s"], not _broken(found.asked, seen)))
            for times in (1 - change, 1 + change):
                usd, p99 = (_number(found.table, platform, name) for name in ("usd", "p99_s"))
                rows.append((platform, "prices", times, usd * times, p99, bool(found.table.loc[platform, "keeps"])))
    frame = pd.DataFrame(rows, columns=["platform", "input", "times", "usd", "p99_s", "keeps"])
    return frame.set_index(["platform", "input", "times"])


def _tornado(found: Comparison, change: float, progress: bool | None) -> pd.DataFrame:
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


def _break_even(asked: Asked, per_day: Sequence[float], within: float | None, progress: bool | None) -> pd.DataFrame:
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
    table = _compared(here, 1, 1, bar).table
    kept = table[table["keeps"]].index
    return {name: _number(table, name, "usd") if name in kept else math.nan for name in PLATFORMS}


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
