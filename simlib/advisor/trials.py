"""Trying a candidate: its figures over independent runs, and what of the question does not hold with them."""

import functools
import math
from typing import Any, NamedTuple

import pandas as pd

from simlib.advisor.question import Question
from simlib.intervals import Interval, interval
from simlib.replications import Bar, run_each
from simlib.results import Run
from simlib.workload import Workload

FIGURES = ("usd", "p50_s", "p99_s", "slowest_h", "error_rate", "cold_start_rate")
USUAL = 5  # runs of an option
FEW = 3  # runs of an option that fails in the first of them: it has its interval, and nobody needs it narrow
LONG = 500_000  # requests of a run from which on few runs do, and a run is folded: percentiles from its histogram


class Candidate(NamedTuple):
    """A deployment that may answer, what it serves, how long its work waits before it may begin [s], and how many days
    of the horizon what it serves stands for; None: the sample.
    """

    name: str
    kind: str
    deployment: Any
    workload: Workload
    waits_s: float = 0.0
    days: float | None = None


class Trials:
    """All that is tried for one question; nothing is run twice."""

    def __init__(self, question: Question, *, replications: int | None, n_jobs: int | None, bar: Bar) -> None:
        self.question, self.n_jobs, self.bar = question, n_jobs, bar
        self.replications = replications or (FEW if question.requests > LONG else USUAL)
        self._known: dict[str, pd.DataFrame] = {}

    def outcomes(self, candidate: Candidate) -> pd.DataFrame:
        """One row a replication, one column a figure; what does not hold in the first run is run a few times only."""
        return self._first(candidate, self.replications if self.holds_once(candidate) else min(FEW, self.replications))

    def _first(self, candidate: Candidate, many: int) -> pd.DataFrame:
        known = self._known.get(candidate.name, pd.DataFrame(columns=list(FIGURES), dtype=float))
        if len(known) < many:
            more = self._run(candidate, range(len(known), many))
            self._known[candidate.name] = known = pd.concat([known, more], ignore_index=True) if len(known) else more
        return known.iloc[:many]

    def _run(self, candidate: Candidate, replications: range) -> pd.DataFrame:
        # a job runs to its end; everything else for as long as the sample is
        ends = getattr(candidate.deployment, "ends_by_itself", False)
        folded = self.question.requests > LONG and self.question.deadline_h is None and not ends
        found = run_each(
            "advise",
            functools.partial(measure, self.question, candidate),
            {candidate.name: candidate.deployment},
            candidate.workload,
            replications,
            n_jobs=self.n_jobs,
            options={
                **({} if ends else {"days": self.question.sample_days}),
                "seed": self.question.seed,
                "log": "folded" if folded else "auto",
                "region": self.question.region,
                "progress": self.bar.shown,
            },
            bar=self.bar,
        )
        return pd.DataFrame(found[candidate.name], columns=list(FIGURES))

    def known(self, candidate: Candidate) -> dict[str, Interval]:
        """Mean and 95 % interval of each figure."""
        outcomes = self.outcomes(candidate)
        return {name: interval(outcomes[name].to_numpy()) for name in FIGURES}

    def broken(self, candidate: Candidate) -> list[str]:
        """What of the question does not hold, or not with its interval, in words."""
        known = self.known(candidate)
        return broken_by(
            self.question, {name: each.mean if math.isnan(each.high) else each.high for name, each in known.items()}
        )

    def holds_once(self, candidate: Candidate) -> bool:
        """Whether everything holds in the first of the runs."""
        first = self._first(candidate, 1).iloc[0]
        return not broken_by(self.question, {name: float(first[name]) for name in FIGURES})


def measure(question: Question, candidate: Candidate, run: Run) -> dict[str, float]:
    """The figures of a run that the question is about; dollars over the horizon."""
    figures = run.summary()
    errors = float(figures["error_rate"])
    horizons = question.horizon_days / (candidate.days or question.sample_days)
    slowest = run.latencies().max(initial=0.0) if question.deadline_h is not None else math.nan
    return {
        "usd": float(figures["usd"]) * horizons,
        "p50_s": float(figures["p50_s"]),
        "p99_s": float(figures["p99_s"]),
        "slowest_h": (candidate.waits_s + float(slowest)) / 3600,
        "error_rate": errors if candidate.kind == "edge" else 1 - (1 - errors) * (1 - question.offline_share),
        "cold_start_rate": float(figures.get("cold_start_rate", math.nan)),
    }


def broken_by(question: Question, figures: dict[str, float]) -> list[str]:
    """What of the question does not hold with these *figures*, in words."""
    if math.isnan(figures["p50_s"]):
        return ["no request was answered"]
    asked = [
        ("p99_s", question.max_p99_s, "p99 {:.3g} s > {:g} s"),
        ("slowest_h", question.deadline_h, "the last answer after {:.3g} h > {:g} h"),
    ]
    found = [
        words.format(figures[name], most)
        for name, most, words in asked
        if most is not None and not figures[name] <= most
    ]
    if not figures["error_rate"] <= question.errors_allowed:
        found.append(f"errors {100 * figures['error_rate']:.3g} % > {100 * question.errors_allowed:.3g} %")
    return found
