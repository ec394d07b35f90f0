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
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing

import pandas as pd

from simlib.model import ModelProfile
from simlib.parameters import Count, Flag, ParameterError, Positive, Share, Text, Whole, checked
from simlib.platforms import changes
from simlib.platforms.changes import number
from simlib.platforms.choice import NAMES
from simlib.platforms.fields import Platform
from simlib.platforms.sizing import Hardware
from simlib.platforms.trials import Asked, Discounts, compared
from simlib.replications import Bar, Jobs
from simlib.serving import RealTime
from simlib.workload import Workload
from simlib.workload.counted import Files

BESIDE: Mapping[Platform, str] = {
    "sagemaker": "artifacts in S3, images in ECR, logs and metrics in CloudWatch",
    "vertex": "data in and out, artifacts in Cloud Storage, images in Artifact Registry, logs",
    "azureml": "data in and out, disks, container registry, storage, key vault, logs in Monitor",
}
"""What else the vendors bill for an endpoint, without a price in the catalog (Azure: its guide to planning cost, V; the
others from own knowledge, U)."""


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
            self._known[change] = changes.sensitivity(self, change, progress)
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
            usd, bill = number(self.table, name, "usd"), self.bills[self.bills["platform"] == name]
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
        return changes.tornado(self, change, progress)

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
        return changes.break_even(self.asked, per_day, within, progress)

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
        return Comparison(asked, *compared(asked, replications, n_jobs, bar))
