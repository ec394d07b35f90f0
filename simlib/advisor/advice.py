"""The answer: who is out and why, who keeps what is asked, what it costs, and how sure that is."""

import html
import math
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import Field

from simlib.advisor.candidates import candidates
from simlib.advisor.question import Question
from simlib.advisor.ruled_out import Out
from simlib.advisor.trials import FIGURES, Candidate, Trials
from simlib.intervals import interval
from simlib.parameters import ParameterError, Positive, checked
from simlib.replications import Bar

Grid = Annotated[tuple[Positive, ...], Field(min_length=1)]
Factor = Annotated[Positive, Field(gt=1)]
WITH_INTERVAL = {"usd": "usd", "p99_s": "p99"}
PER_DAY = tuple(10.0**k for k in range(1, 7))
SHOWN = ("usd", "usd_low", "usd_high", "p99_s", "error_rate", "keeps", "broken")


@dataclass(frozen=True)
class Advice:
    """What `advise` found.

    Attributes
    ----------
    question : Question
        What was asked.
    ranking : DataFrame
        One row an option, the cheapest that keeps what is asked first, those that do not keep it last.  Columns: kind;
        usd over the horizon with usd_low and usd_high; p50_s; p99_s with p99_low and p99_high [s]; slowest_h [h], where
        there is a deadline; error_rate and cold_start_rate [share]; keeps [bool], and broken: what does not hold, in
        words; more_usd with more_low and more_high: dollars more than the first, run by run under the same requests.
    eliminated : DataFrame
        One row a reason: option limit value allowed reason source mark.
    deployments : mapping of name to deployment
        The configs that were simulated, ready to be used.
    """

    question: Question
    ranking: pd.DataFrame
    eliminated: pd.DataFrame
    deployments: Mapping[str, Any]

    @property
    def best(self) -> str | None:
        """The option that keeps everything for the least money; None if none does."""
        kept = self.ranking.index[self.ranking["keeps"]]
        return str(kept[0]) if len(kept) else None

    @property
    def sure(self) -> bool:
        """Whether the best is cheaper than every other that keeps, by more than chance would do."""
        others = self.ranking[self.ranking["keeps"]].iloc[1:]
        return self.best is not None and bool((others["more_low"] > 0).all())

    @checked
    def break_even(self, requests_per_day: Grid = PER_DAY) -> pd.DataFrame:
        """Dollars over the horizon of the cheapest of each kind that keeps, by requests a day; NaN where none does.

        `attrs["flips"]` lists where another kind becomes the cheapest: (requests a day, kind below, kind above), to
        about 1 % of the requests.  One draw a point; `plots.break_even` draws it.
        """
        from simlib.advisor.flips import over_traffic  # here, because it asks for advice itself

        return over_traffic(self.question, requests_per_day)

    @checked
    def sensitivity(self, factor: Factor = 2.0) -> pd.DataFrame:
        """The decision when one thing is smaller or larger by *factor*: traffic, work, sizes, wanted wait, keep-alive.

        Index (changed, times); columns best, usd, kind, and flips: whether the best is of another kind than now.
        """
        from simlib.advisor.flips import sensitivity  # here, because it asks for advice itself

        return sensitivity(self, factor)

    def __str__(self) -> str:
        """The answer in words."""
        return "\n".join(self._words())

    def _repr_html_(self) -> str:
        """The answer in words, and the two tables."""
        told = "".join(f"<p>{html.escape(line)}</p>" for line in self._words())
        shown = self.ranking[list(SHOWN)].to_html(float_format=lambda number: f"{number:.4g}")
        out = self.eliminated[["option", "reason", "source", "mark"]]
        return told + shown + (out.to_html(index=False) if len(out) else "")

    def _words(self) -> Iterator[str]:
        days = f"{self.question.horizon_days:g} day{'' if self.question.horizon_days == 1 else 's'}"
        if self.best is None:
            yield f"Nothing that was tried keeps what is asked over {days}."
        else:
            yield f"{self.best}: {_dollars(self.ranking.iloc[0])} for {days}."
            yield from self._beside(self.ranking[self.ranking["keeps"]].iloc[1:])
        for name, row in self.ranking[~self.ranking["keeps"]].iterrows():
            yield f"Not {name} ({row['usd']:,.4g} dollars): {row['broken']}."
        for option, reasons in self.eliminated.groupby("option", sort=False)["reason"]:
            yield f"Out, {option}: {'; '.join(reasons)}."

    def _beside(self, others: pd.DataFrame) -> Iterator[str]:
        for name, row in others.iterrows():
            chance = "" if row["more_low"] > 0 else ", which may be chance"
            if math.isnan(row["more_low"]):
                chance = ", from one run, so with no interval"
            yield f"Next, {name}: {_dollars(row)}; {row['more_usd']:,.4g} dollars more{chance}."


def _dollars(row: pd.Series) -> str:
    if math.isnan(row["usd_low"]):
        return f"{row['usd']:,.4g} dollars"
    return f"{row['usd']:,.4g} dollars ({row['usd_low']:,.4g} to {row['usd_high']:,.4g})"


# --- finding it ------------------------------------------------------------------------------------------------------


def answer(question: Question, *, replications: int | None, n_jobs: int | None, progress: bool | None) -> Advice:
    """Who is out, and the rest simulated under the same requests."""
    if not question.requests:
        raise ParameterError(
            f"advise: workload={question.workload.name!r} brings no request in the first {question.sample_days:g} "
            f"day{'' if question.sample_days == 1 else 's'}, which are simulated: there is nothing to decide."
        )
    with closing(Bar(None, progress)) as bar:
        trials = Trials(question, replications=replications, n_jobs=n_jobs, bar=bar)
        kept, out = candidates(trials)
        return Advice(
            question,
            _ranking(trials, kept),
            pd.DataFrame(out, columns=list(Out._fields)),
            {each.name: each.deployment for each in kept},
        )


def _ranking(trials: Trials, kept: list[Candidate]) -> pd.DataFrame:
    rows = {each.name: _row(trials, each) for each in kept}
    columns = ["kind", *FIGURES, *(f"{name}_{end}" for name in WITH_INTERVAL.values() for end in ("low", "high"))]
    frame = pd.DataFrame.from_dict(rows, orient="index", columns=[*columns, "keeps", "broken"])
    frame = frame.sort_values(["keeps", "usd"], ascending=[False, True], kind="stable").astype({"keeps": bool})
    frame.index.name = "option"
    usd = {each.name: trials.outcomes(each)["usd"].to_numpy() for each in kept}
    more = [interval(_difference(usd[name], usd[frame.index[0]])) for name in frame.index]
    frame[["more_usd", "more_low", "more_high"]] = np.array([each[:3] for each in more]).reshape(len(frame), 3)
    return frame


def _difference(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Run by run, as far as both were run: shared luck cancels."""
    runs = min(len(one), len(other))
    return one[:runs] - other[:runs]


def _row(trials: Trials, candidate: Candidate) -> dict[str, Any]:
    known, broken = trials.known(candidate), trials.broken(candidate)
    row: dict[str, Any] = {"kind": candidate.kind} | {name: each.mean for name, each in known.items()}
    for figure, name in WITH_INTERVAL.items():
        row |= {f"{name}_low": known[figure].low, f"{name}_high": known[figure].high}
    return row | {"keeps": not broken, "broken": "; ".join(broken)}
