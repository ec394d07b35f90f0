"""What came of a run: one record of it, and everything else derived from that record.

    >>> import simlib as sl
    >>> from simlib import serving, workload
    >>> run = sl.simulate(
    ...     serving.RealTime(sl.ModelProfile("tagger", service=sl.constant(0.05))), workload.poisson(rate=4), hours=1
    ... )
    >>> run.check()
    >>> print(f"{run.summary()['p50_s']:.4g} s")
    0.05 s

A run of up to 20 million requests keeps them all (`Run.requests`).  A longer one is *folded*: for each minute it keeps
counts, and for each hour a histogram of latencies on a logarithmic scale, whose quantiles are within 1 % of exact ones.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from simlib import coldstarts, invariants, keeping, pricing
from simlib.capacity import capacity_s, desired_at, in_service_at
from simlib.parameters import NonNegative, ParameterError, Positive, Whole, checked
from simlib.plots.style import Words
from simlib.record import (
    ARRIVED,
    BINS_PER_OCTAVE,
    BUSY_NS,
    COLD_STARTS,
    COMPLETED,
    CONTAINER_NS,
    EXPIRED,
    FAILED,
    FIRST_OCTAVE,
    LATENCY_NS,
    NO_CAPACITY,
    REJECTED,
    RETRIED,
    STATUSES,
    THROTTLED,
    TIMED_OUT,
    Requests,
    Snapshot,
)

QUANTILES = {"p50_s": 0.50, "p95_s": 0.95, "p99_s": 0.99}


@dataclass(eq=False)
class Run:
    """The result of a simulation.

    Attributes
    ----------
    snapshot : Snapshot
    warm_up_hours : float
        Hours at the beginning that `summary` leaves out unless told otherwise.
    """

    snapshot: Snapshot
    warm_up_hours: float = field(default=0.0)

    def __post_init__(self) -> None:
        invariants.conserves(self.snapshot)

    # --- the record ---

    @property
    def partial(self) -> bool:
        """Whether the run was interrupted before its end."""
        return self.snapshot.partial

    @property
    def shadow(self) -> "Run | None":
        """The run of the shadow variant on its copies of the requests, where there is one; its bill is part of this."""
        return None if self.snapshot.shadow is None else Run(self.snapshot.shadow, self.warm_up_hours)

    @property
    def folded(self) -> bool:
        """Whether requests were counted instead of kept."""
        return self.snapshot.requests is None

    @property
    def _log(self) -> Requests:
        if self.snapshot.requests is None:
            raise ParameterError("this run is folded: it kept no requests; simulate(…, log='exact') keeps them.")
        return self.snapshot.requests

    @cached_property
    def requests(self) -> pd.DataFrame:
        """One row a request in order of arrival: arrival_s start_s finish_s [s, NaN if never] status cold instance
        variant attempts.  `instance` is -1 where none took it.  Serverless: provision_s download_s load_s, the parts of
        the cold start before it, NaN where there was none.  Multi-model: model, and loading_s, the wait for it to be
        loaded; cold says that there was one.

        Raises
        ------
        ParameterError
            If the run is folded.
        """
        log = self._log
        frame = pd.DataFrame(
            {
                "arrival_s": log.arrival,
                "start_s": log.start,
                "finish_s": log.finish,
                "status": pd.Categorical.from_codes(log.status, categories=pd.Index(STATUSES)),
                "cold": log.cold,
                "instance": log.instance,
                "variant": pd.Categorical.from_codes(log.variant, categories=pd.Index(self.snapshot.variants)),
                "attempts": log.attempts,
            },
            copy=False,
        )
        return frame.assign(**coldstarts.of_requests(self.snapshot, log))

    @cached_property
    def instances(self) -> pd.DataFrame:
        """One row an instance: its variant, and when it was launched, up, in service, draining and gone [s]."""
        frame = pd.DataFrame(self.snapshot.instances).drop(columns=["free_before_s", "free_after_s"], errors="ignore")
        frame["variant"] = [self.snapshot.variants[v] for v in frame["variant"]]
        return frame

    @cached_property
    def events(self) -> pd.DataFrame:
        """What was decided and what happened: time_s kind subject detail."""
        return pd.DataFrame(list(self.snapshot.events), columns=["time_s", "kind", "subject", "detail"])

    @cached_property
    def invoice(self) -> pd.DataFrame:
        """The bill for the whole run, line by line; `attrs["total"]` in US dollars."""
        day = pricing.priced_on(self.snapshot.started_at.date())
        return pricing.invoice(list(self.snapshot.meters), region=self.snapshot.region, as_of=day)

    @cached_property
    def assumptions(self) -> pd.DataFrame:
        """Every value in use that is not documented or not verified: parameter value mark source.

        Marks: V verified in a vendor's text, S secondary source, D derived, U undocumented, A yours.
        """
        rows = list(self.snapshot.assumptions)
        for line in self.invoice.to_dict("records"):
            if line["mark"] != "V":
                price = f"{np.format_float_positional(line['unit_price'], trim='-')} $/{line['unit']}"
                rows.append((f"price of {line['item']}", price, line["mark"], line["source"]))
        return pd.DataFrame(rows, columns=["parameter", "value", "mark", "source"])

    # --- what follows from it ---

    @checked
    def summary(self, *, warm_up_hours: NonNegative | None = None) -> pd.Series:
        """The run in a dozen figures.

        requests, completed (counts); error_rate (share of the answered that got an error); mean_s p50_s p95_s p99_s
        (latency of completed requests, from arrival to answer [s]); cold_start_rate; utilization (busy share of the
        workers in service); of serverless endpoints model_setup_s, the mean cold start [s], and its parts provision_s
        download_s load_s; usd (the whole run's bill), usd_per_1000 (per thousand completed requests of the whole
        run); then what only this kind of deployment has, about the whole run.  Requests that arrived in the first
        *warm_up_hours* are left out of all but the bill; in a folded run those counted in these hours, which should be
        whole.

        Raises
        ------
        ParameterError
            If the warm-up is not shorter than the run, or not whole hours in a folded run.
        """
        begin = self.measured_from(self.warm_up_hours if warm_up_hours is None else warm_up_hours)
        usd = self.invoice.attrs["total"]
        completed = int(self.snapshot.tally[:, :, COMPLETED].sum())
        return pd.Series(
            {
                **self.figures(begin),
                "cold_start_rate": self._cold_start_rate(begin),
                "utilization": self._utilization(begin),
                **self._cold_start_figures(begin),
                "usd": usd,
                "usd_per_1000": 1000 * usd / completed if completed else math.nan,
                **self.snapshot.figures,
            },
            name=self.snapshot.name,
            dtype=object,
        )

    def latencies(self) -> np.ndarray:
        """Latencies of the completed requests [s], in order of arrival; shape (completed,)."""
        log = self._log
        done = log.status == COMPLETED
        latencies: np.ndarray = log.finish[done] - log.arrival[done]
        return latencies

    @checked
    def timeline(self, every_s: Positive = 60.0) -> pd.DataFrame:
        """The run over time, one row a period [t, t + every_s), by CloudWatch's metric names.

        Invocations (attempts), InvocationsPerInstance (sum over attempts of 1 / instances in service), ModelLatency
        (mean of the requests completed in the period [s]), Invocation4XXErrors (throttled), Invocation5XXErrors
        (rejected, timed out, failed), Concurrency (callers waiting for an answer at the end of the period), Utilization
        (busy share of the workers in service, or of the containers that exist).  With instances: Instances (in service
        at the end of the period), DesiredInstances (asked for by then).  Serverless: Containers (mean number that
        exist), ColdStarts, ModelSetupTime (mean time of a cold start [s]), ServerlessConcurrentExecutionsUtilization
        (mean containers in work / max_concurrency); where containers were kept warm: ProvisionedConcurrency (at the end
        of the period), ServerlessProvisionedConcurrencyUtilization (mean containers in work / kept warm, above 1 while
        work spills over), ServerlessProvisionedConcurrencySpilloverInvocations (attempts taken on demand).
        Asynchronous: the backlog's columns (simlib.serving.five_steps).

        Parameters
        ----------
        every_s : float
            Length of a period [s], a multiple of 60 (CloudWatch's own period).
        """
        if every_s % 60:
            raise ParameterError(
                f"timeline: every_s={every_s!r} is not possible: it should be a multiple of 60 seconds."
            )
        group = int(every_s // 60)
        minutes = math.ceil(self.snapshot.end_s / 60)
        tally = _summed(self.snapshot.tally[:, :minutes].sum(axis=0), group)
        shares = _summed(self.snapshot.per_instance[:, :minutes].sum(axis=0)[:, None], group)[:, 0]
        ends = np.minimum(np.arange(1, len(tally) + 1) * every_s, self.snapshot.end_s)
        columns = {
            "Invocations": tally[:, ARRIVED] + tally[:, RETRIED],
            "InvocationsPerInstance": shares,
            "ModelLatency": _ratio(tally[:, LATENCY_NS] / 1e9, tally[:, COMPLETED]),
            "Invocation4XXErrors": tally[:, THROTTLED],
            "Invocation5XXErrors": tally[:, [REJECTED, EXPIRED, TIMED_OUT, FAILED]].sum(axis=1),
            "Concurrency": np.cumsum(tally[:, ARRIVED] - tally[:, 1:7].sum(axis=1)),
            "Utilization": _ratio(tally[:, BUSY_NS] / 1e9, capacity_s(self.snapshot, tally, np.r_[0.0, ends])),
        }
        if not self.snapshot.provisioned:
            columns |= {
                "Instances": in_service_at(self.snapshot, ends),
                "DesiredInstances": desired_at(self.snapshot, ends),
            }
            if self.snapshot.models:
                columns |= coldstarts.of_models(tally)
            if tally[:, CONTAINER_NS].any() or tally[:, NO_CAPACITY].any():
                columns |= coldstarts.of_copies(tally, np.r_[0.0, ends])
        else:
            columns |= coldstarts.timeline(self.snapshot, tally, np.r_[0.0, ends])
        frame = pd.DataFrame(columns, index=pd.Index(np.arange(len(tally)) * float(every_s), name="time_s"))
        of_its_kind = getattr(self.snapshot.deployment, "columns", None)
        if of_its_kind is not None:
            frame = frame.assign(**of_its_kind(self.snapshot, frame, ends))
        return frame.iloc[int(self.snapshot.begin_s // every_s) :]

    @checked
    def fleets(self, every_s: Positive = 60.0) -> pd.DataFrame:
        """Calls of each variant over time, one row a period [t, t + every_s), one column a variant.

        Parameters
        ----------
        every_s : float
            Length of a period [s], a multiple of 60.
        """
        if every_s % 60:
            raise ParameterError(f"fleets: every_s={every_s!r} is not possible: it should be a multiple of 60 seconds.")
        minutes = math.ceil(self.snapshot.end_s / 60)
        calls = self.snapshot.tally[:, :minutes, [ARRIVED, RETRIED]].sum(axis=2).T
        summed = _summed(calls, int(every_s // 60))
        index = pd.Index(np.arange(len(summed)) * float(every_s), name="time_s")
        frame = pd.DataFrame(summed, index=index, columns=list(self.snapshot.variants))
        return frame.iloc[int(self.snapshot.begin_s // every_s) :]

    @checked
    def story(self, request: Whole) -> pd.DataFrame:
        """One request of an asynchronous endpoint, followed through its five steps: step, from_s, to_s, what.

        Parameters
        ----------
        request : int
            Its row in `requests`.

        Raises
        ------
        ParameterError
            If the endpoint is not asynchronous, the run is folded, or there is no such request.
        """
        return self._told("story", request)

    @property
    def notifications(self) -> pd.DataFrame:
        """What an asynchronous endpoint published to SNS: time_s topic invocationStatus inferenceId location.

        Raises
        ------
        ParameterError
            If the endpoint is not asynchronous, or the run is folded.
        """
        return self._told("notifications")

    def _told(self, what: str, *about: int) -> pd.DataFrame:
        """What only asynchronous endpoints can tell of their record."""
        tell = getattr(self.snapshot.deployment, what, None)
        if tell is None:
            raise ParameterError(f"{what}: only a run of serving.Asynchronous can tell it.")
        found: pd.DataFrame = tell(self.snapshot, *about)
        return found

    def plot(self) -> Words:
        """The run in pictures: traffic, latency and instances over time, each instance's life, the tail of latency.

        Draws on a new matplotlib figure and returns what it shows in words.
        """
        from simlib import plots

        latencies = None if self.folded else self.latencies()
        alarms = self.events[self.events["kind"] == "alarm"]
        updates = self.events[self.events["kind"] == "update"]
        return plots.run(
            self.timeline(),
            alarms=alarms,
            latencies=latencies,
            title=self._title(),
            end_s=self.snapshot.end_s,
            lives=self.instances,
            most=self._most(),
            fleets=self.fleets() if len(updates) else None,
            updates=updates,
        )

    def _most(self) -> int | None:
        """The most instances that policies may ask for; None where they do not say, it changes, or there are none."""
        policies = () if self.snapshot.provisioned else getattr(self.snapshot.deployment, "policies", ())
        found = {getattr(policy, "max_capacity", None) for policy in policies} - {None}
        return found.pop() if len(found) == 1 and len(self.snapshot.variants) == 1 else None

    def _title(self) -> str:
        figures = self.summary()
        errors = f"{100 * figures['error_rate']:.3g} % errors, " if figures["error_rate"] > 0 else ""
        p99 = f"p99 {figures['p99_s']:.4g} s, " if figures["completed"] else ""
        return f"{figures['completed']:,} answers, {errors}{p99}{figures['usd']:.4g} dollars"

    def __repr__(self) -> str:
        hours = (self.snapshot.end_s - self.snapshot.begin_s) / 3600
        kept = "folded" if self.folded else "every request kept"
        return f"<Run {hours:.4g} h{', partial' if self.partial else ''}: {self._title()}; {kept}>"

    # --- parts of the summary ---

    def measured_from(self, warm_up_hours: float) -> float:
        """When measuring begins [s], after a warm-up that the run can leave out."""
        begin, end = self.snapshot.begin_s, self.snapshot.end_s
        if not warm_up_hours * 3600 < max(end - begin, 1e-9):
            raise ParameterError(
                f"summary: warm_up_hours={warm_up_hours!r} is not possible: it should be less than "
                f"{(end - begin) / 3600:g}."
            )
        if self.folded and (warm_up_hours % 1 or (warm_up_hours and begin % 3600)):
            raise ParameterError(f"summary: warm_up_hours={warm_up_hours!r} should be whole hours: this run is folded.")
        return begin + warm_up_hours * 3600

    def figures(self, begin: float, variant: int | None = None) -> dict[str, float]:
        """Requests, completed, error_rate, mean_s and percentiles of those measured from *begin* [s] on.

        Of one variant, by its number, or of all; NaN where there is nothing to say.
        """
        counts, quantiles, mean = self._exact(begin, variant) if not self.folded else self._folded(begin, variant)
        completed, answered = int(counts[COMPLETED]), int(counts[1:7].sum())
        return {
            "requests": int(counts[ARRIVED]),
            "completed": completed,
            "error_rate": 1 - completed / answered if answered else math.nan,
            "mean_s": mean,
            **dict(zip(QUANTILES, quantiles, strict=True)),
        }

    def _exact(self, begin: float, variant: int | None) -> tuple[np.ndarray, list[float], float]:
        """From the log: arrivals and final statuses, shape (7,); the quantiles; the mean."""
        log = self._log
        measured: Any = slice(int(np.searchsorted(log.arrival, begin)), None)
        if variant is not None:
            measured = np.flatnonzero((log.arrival >= begin) & (log.variant == variant))
        status = log.status[measured]
        counts = np.array([np.count_nonzero(status == number) for number in range(len(STATUSES))])
        latencies = log.finish[measured] - log.arrival[measured]
        if counts[COMPLETED] < len(status):  # often only because the last ones are still inside: look from there on
            first = int(np.argmin(status == COMPLETED))
            later = latencies[first:][status[first:] == COMPLETED]
            latencies[first : first + len(later)] = later
            latencies = latencies[: first + len(later)]
        counts[ARRIVED] = len(status)
        if not len(latencies):
            return counts, [math.nan] * len(QUANTILES), math.nan
        mean = float(latencies.mean())
        return counts, quantiles(latencies, tuple(QUANTILES.values())), mean

    def _folded(self, begin: float, variant: int | None) -> tuple[np.ndarray, list[float], float]:
        """The same from the tally and the histogram."""
        which = slice(None) if variant is None else slice(variant, variant + 1)
        counts = self.snapshot.tally[which, int(begin // 60) :].sum(axis=(0, 1))
        bins = self.snapshot.histogram[which, int(begin // 3600) :].sum(axis=(0, 1))
        mean = float(counts[LATENCY_NS] / counts[COMPLETED] / 1e9) if counts[COMPLETED] else math.nan
        return counts, [folded_quantile(bins, share) for share in QUANTILES.values()], mean

    def _cold_start_rate(self, begin: float) -> float:
        """Cold starts per request that was given a container, over the whole minutes from *begin* on."""
        tally = self.snapshot.tally[:, self._first_minute(begin) :].sum(axis=(0, 1))
        taken = tally[ARRIVED] - tally[THROTTLED]
        return float(tally[COLD_STARTS] / taken) if taken else 0.0

    def _cold_start_figures(self, begin: float) -> dict[str, float]:
        """Of a serverless endpoint, over the whole minutes from *begin* on; of others none."""
        if not self.snapshot.provisioned:
            return {}
        return coldstarts.figures(self.snapshot, self.snapshot.tally[:, self._first_minute(begin) :].sum(axis=(0, 1)))

    def _utilization(self, begin: float) -> float:
        """Over the whole minutes from *begin* on."""
        first = self._first_minute(begin)
        tally = self.snapshot.tally[:, first:].sum(axis=(0, 1))
        busy = tally[BUSY_NS] / 1e9
        there = capacity_s(self.snapshot, tally[None], np.array([first * 60.0, self.snapshot.end_s])).sum()
        return float(busy / there) if there > 0 else math.nan

    def _first_minute(self, begin: float) -> int:
        """The first minute to count: where nothing is left out, also one that began before the deployment."""
        return int(begin // 60) if begin == self.snapshot.begin_s else math.ceil(begin / 60)

    # --- can it be? ---

    def check(self) -> None:
        """Check every invariant that can be seen in the record (`docs/invariants.md`).

        Raises
        ------
        InvariantError
            Naming the invariant that does not hold.
        """
        invariants.check(self.snapshot, self.invoice)
        if self.shadow is not None:
            self.shadow.check()

    # --- keeping it ---

    def __eq__(self, other: object) -> bool:
        """Whether the other is a run with the very same record."""
        if not isinstance(other, Run):
            return NotImplemented
        return self.warm_up_hours == other.warm_up_hours and keeping.same(self.snapshot, other.snapshot)

    @checked
    def save(self, path: str | Path) -> None:
        """Write the run to one file (a zip of arrays and JSON; no pickle), replacing it in one step.

        Raises
        ------
        ParameterError
            If the file cannot be written.
        """
        keeping.write(Path(path), self.snapshot, self.warm_up_hours)

    @classmethod
    @checked
    def load(cls, path: str | Path) -> Self:
        """The run that `save` wrote; it equals that one.

        Raises
        ------
        ParameterError
            If the file is not such a run.
        """
        return cls(*keeping.read(Path(path)))


def quantiles(values: np.ndarray, shares: Sequence[float]) -> list[float]:
    """`numpy.quantile` of *values*, which come back in another order, at ascending *shares*: the same bytes, sooner.

    numpy looks for one order statistic at a time four times as fast as for several at once.
    """
    found, done = [], 0  # of the values before number *done* none is greater than one behind them
    for share in shares:
        place = share * (len(values) - 1)
        below = int(place)
        values[done:].partition(below - done)
        low, part, done = values[below], place - below, below
        high = values[below + 1 :].min() if part else low
        found.append(float(low + (high - low) * part if part < 0.5 else high - (high - low) * (1 - part)))
    return found


def folded_quantile(bins: np.ndarray, share: float) -> float:
    """The latency [s] below which *share* of a folded histogram lies: the middle of its bin, within 0.8 %."""
    if not bins.sum():
        return math.nan
    code = int(np.searchsorted(np.cumsum(bins), share * bins.sum(), side="left"))
    if code == 0:
        return 0.0
    octave, part = divmod(code - 1, BINS_PER_OCTAVE)
    return float(2.0 ** (octave + FIRST_OCTAVE) * (1 + (part + 0.5) / BINS_PER_OCTAVE))


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Above / below, NaN where there is nothing below."""
    return np.divide(above, below, out=np.full(len(above), np.nan), where=below > 0)


def _summed(rows: np.ndarray, group: int) -> np.ndarray:
    """Sums over groups of *group* neighbouring rows, the last one as long as it is."""
    return np.add.reduceat(rows, np.arange(0, len(rows), group), axis=0) if len(rows) else rows
