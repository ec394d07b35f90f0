"""The choice of a platform: four factors, the weights you give them, and where another platform would win.

    >>> company = Company(cloud="aws", tools=("BigQuery",), needs=("TPU",))
    >>> found = decide(company, {"existing cloud": 3, "data and analysis tools": 2, "project's needs": 2})
    >>> found.best
    'vertex'

Every score is between 0 and 1 and says from what it was made; the total is their weighted mean.  Nothing is added by
the library: what a company does not answer scores 0 for all three platforms alike, so no platform wins by default.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import pandas as pd
from pydantic import AfterValidator

from simlib.parameters import Count, ParameterError, Text, Whole, checked, config, nearest, shortly
from simlib.platforms.features import UNVERIFIED, features, services
from simlib.platforms.fields import PLATFORMS, Platform
from simlib.platforms.stack import CLOUD_OF, Cloud, tools

if TYPE_CHECKING:
    from simlib.platforms.comparison import Comparison
    from simlib.platforms.record import Record

FACTORS = ("existing cloud", "data and analysis tools", "team's experience", "project's needs")
"""The session's four factors of the choice."""
COST = "cost"

OFFERED = {"GA": 1.0, "preview": 0.5, "partial": 0.5, "outside": 0.25, "ended": 0.0, "none": 0.0, "unknown": 0.0}
"""What a status of the feature matrix is worth (assumption)."""

NAMES: Mapping[Any, str] = {"sagemaker": "SageMaker", "vertex": "Vertex AI", "azureml": "Azure ML"}
_TIE = 1e-9


def _known(what: str, names: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    for name in names:
        if name not in known:
            raise ValueError(f"{what} has {name!r}; {nearest(name, known)}")
    return tuple(dict.fromkeys(names))


def _tools(names: tuple[str, ...]) -> tuple[str, ...]:
    return _known("tools", names, tools()["tool"].tolist())


def _offers(names: tuple[str, ...]) -> tuple[str, ...]:
    known = [*features()["feature"].drop_duplicates(), *services()["service"]]
    return _known("knows or needs", names, known)


Tools = Annotated[tuple[Text, ...], AfterValidator(_tools)]
Offers = Annotated[tuple[Text, ...], AfterValidator(_offers)]


@config
class Company:
    """What a company answers to the session's four factors; what it leaves out speaks for nobody.

    Parameters
    ----------
    cloud : "aws" | "google" | "azure" | None
        Where it is already.
    tools : tuple of str
        Its data and analysis tools, of `platforms.tools()`.
    knows : tuple of str
        What its team can work with: services of `platforms.services()`, or features such as "visual designer".
    needs : tuple of str
        What the project needs: features of `platforms.features()`, or services.
    name : str
    """

    cloud: Cloud | None = None
    tools: Tools = field(default=(), kw_only=True)
    knows: Offers = field(default=(), kw_only=True)
    needs: Offers = field(default=(), kw_only=True)
    name: Text = field(default="the company", kw_only=True)


@dataclass(frozen=True)
class Decision:
    """What `decide` found.

    Attributes
    ----------
    company : Company
    weights : Series
        By criterion; they sum to 1.
    scores : DataFrame
        Index criterion, a column a platform, each score between 0 and 1.
    reasons : DataFrame
        The same cells in words: from what the score was made, "unverified" where a source is not a vendor's own text.
    comparison : Comparison or None
        The bills behind the criterion "cost".
    """

    company: Company
    weights: pd.Series
    scores: pd.DataFrame
    reasons: pd.DataFrame
    comparison: "Comparison | None" = None

    @property
    def totals(self) -> pd.Series:
        """The weighted mean of each platform's scores, the highest first."""
        found = self.weights @ self.scores
        return found.sort_values(ascending=False, kind="stable").rename("score")

    @property
    def best(self) -> Platform | None:
        """The platform with the highest total; None where two share it."""
        return _first(self.totals)

    @property
    def margin(self) -> float:
        """How far the first is ahead of the second."""
        first, second = self.totals.iloc[:2]
        return float(first - second)

    @property
    def contributions(self) -> pd.DataFrame:
        """Weight times score: index platform, the first on top; a column a criterion."""
        return self.scores.mul(self.weights, axis="index").T.loc[self.totals.index]

    def flips(self) -> pd.DataFrame:
        """For each criterion the nearest weights, lower and higher, at which another platform takes the lead.

        The other weights keep their proportions, or share alike if all are 0.  Index criterion; columns weight (now),
        lower and to_lower, higher and to_higher; NaN and "" where no weight changes the winner.  Exact: totals are
        linear in a weight.
        """
        rows = [
            (self.weights[name], *self._flip(name, up=False), *self._flip(name, up=True)) for name in self.weights.index
        ]
        columns = ["weight", "lower", "to_lower", "higher", "to_higher"]
        return pd.DataFrame(rows, columns=columns, index=self.weights.index)

    def _flip(self, criterion: str, *, up: bool) -> tuple[float, str]:
        """The first weight of *criterion* on that side of now at which a rival draws level, and which rival."""
        now, best = float(self.weights[criterion]), self.best
        others = self.weights.drop(criterion)
        if best is None:
            return math.nan, ""
        own = self.scores.loc[criterion]
        rest = _shared_out(others) @ self.scores.drop(criterion)
        found = []
        for rival in self.scores.columns.drop(best):
            ahead_own, ahead_rest = own[best] - own[rival], rest[best] - rest[rival]
            if abs(ahead_rest - ahead_own) < _TIE:
                continue
            at = ahead_rest / (ahead_rest - ahead_own)
            if _TIE < at < 1 - _TIE and (at > now) == up and abs(at - now) > _TIE:
                found.append((abs(at - now), float(at), str(rival)))
        return min(found)[1:] if found else (math.nan, "")

    def with_weight(self, criterion: str, weight: float) -> "Decision":
        """The same decision with one weight (of a sum of 1) changed and the others in proportion."""
        if criterion not in self.weights.index:
            raise ParameterError(f"with_weight: criterion={criterion!r}; {nearest(criterion, self.weights.index)}")
        others = self.weights.drop(criterion)
        weights = pd.concat([_shared_out(others) * (1 - weight), pd.Series({criterion: weight})]).loc[
            self.weights.index
        ]
        return Decision(self.company, weights, self.scores, self.reasons, self.comparison)

    @checked
    def stability(self, *, draws: Count = 20_000, seed: Whole = 0) -> pd.DataFrame:
        """How much of all possible weightings each platform wins.

        Weights are drawn evenly over all that sum to 1 (a flat Dirichlet).  Index platform; share, with the 95 %
        interval of so many draws low and high; a draw that two platforms share counts for neither.
        """
        weights = np.random.default_rng(seed).dirichlet(np.ones(len(self.weights)), size=draws)
        totals = weights @ self.scores.to_numpy()
        top = totals.max(axis=1, keepdims=True)
        leads = totals > top - _TIE
        alone = leads & (leads.sum(axis=1, keepdims=True) == 1)
        share = alone.mean(axis=0)
        half = 1.96 * np.sqrt(share * (1 - share) / draws)
        frame = {"share": share, "low": np.maximum(share - half, 0), "high": np.minimum(share + half, 1)}
        return pd.DataFrame(frame, index=pd.Index(self.scores.columns, name="platform"))

    def record(self, asked: str = "", *, changes: pd.DataFrame | None = None) -> "Record":
        """The decision on one page that answers alone: `print` it, or `.save("decision.html")` or `.md`.

        *asked* is the question in the team's own words, *changes* what `comparison.tornado()` gave, where it was asked.
        """
        from simlib.platforms.record import record  # here, because a record knows decisions

        return record(self, asked, changes)

    def __str__(self) -> str:
        """The decision in words."""
        return "\n".join(self._words())

    def _words(self) -> Iterator[str]:
        totals = [f"{NAMES[name]} {total:.2f}" for name, total in self.totals.items()]
        if self.best is None:
            yield f"No platform is ahead for {self.company.name}: {', '.join(totals)}."
            return
        yield f"{NAMES[self.best]} for {self.company.name}: {', '.join(totals)}."
        yield from self.what_would_change_it()

    def what_would_change_it(self) -> Iterator[str]:
        """Each weight at which another platform takes the lead, in words."""
        flips, told = self.flips(), False
        for name, row in flips.iterrows():
            for at, to, word in ((row["lower"], row["to_lower"], "below"), (row["higher"], row["to_higher"], "above")):
                if to:
                    told = True
                    yield f"{NAMES[to]} if {name} weighs {word} {100 * at:.0f} % (now {100 * row['weight']:.0f} %)."
        if not told:
            yield "No single weight changes that."


def _shared_out(weights: pd.Series) -> pd.Series:
    """The same proportions with a sum of 1; all alike if there are none."""
    return weights / weights.sum() if weights.sum() else weights + 1 / len(weights)


def _first(totals: pd.Series) -> Platform | None:
    ahead = totals.iloc[0] - totals.iloc[1] > _TIE
    return totals.index[0] if ahead else None


# --- deciding --------------------------------------------------------------------------------------------------------


@checked
def decide(company: Company, weights: Mapping[Text, float] | None = None, *, comparison: Any = None) -> Decision:
    """Which platform for this company, with these weights.

    Parameters
    ----------
    company : Company
    weights : mapping of factor to number, or None
        Of the four `FACTORS`, and of "cost" where there is a comparison; they are brought to a sum of 1.  A factor left
        out weighs nothing; None: all alike.
    comparison : Comparison or None
        What `platforms.compare` found; its bills score as cheapest / bill, and 0 where what was asked is not kept.

    Raises
    ------
    ParameterError
        If a weight is of no factor, negative or not finite, if none is above 0, or if the comparison is none.
    """
    from simlib.platforms.comparison import Comparison  # here: comparisons know this room

    if comparison is not None and not isinstance(comparison, Comparison):
        raise ParameterError(f"decide: comparison={shortly(comparison)} should be what platforms.compare gave.")
    criteria = (*FACTORS, *((COST,) if comparison is not None else ()))
    shares = _shares(weights, criteria)
    cells = {name: _CELLS[name](company) for name in FACTORS}
    if comparison is not None:
        cells[COST] = _cost(comparison)
    scores = pd.DataFrame({name: {p: cells[name][p][0] for p in PLATFORMS} for name in criteria}).T
    reasons = pd.DataFrame({name: {p: cells[name][p][1] for p in PLATFORMS} for name in criteria}).T
    for frame in (scores, reasons):
        frame.index.name = "criterion"
    return Decision(company, shares, scores, reasons, comparison)


def _shares(weights: Mapping[str, float] | None, criteria: Sequence[str]) -> pd.Series:
    given = dict.fromkeys(criteria, 1.0) if weights is None else dict(weights)
    for name, weight in given.items():
        if name not in criteria:
            hint = " there is no comparison to take it from." if name == COST else f" {nearest(name, criteria)}"
            raise ParameterError(f"decide: weights has {name!r};{hint}")
        if not (math.isfinite(weight) and weight >= 0):
            raise ParameterError(f"decide: weights[{name!r}]={weight!r} is not possible: it should be at least 0.")
    if not sum(given.values()) > 0:
        raise ParameterError("decide: weights are all 0; at least one should be greater.")
    found = pd.Series({name: float(given.get(name, 0.0)) for name in criteria}, name="weight")
    found.index.name = "criterion"
    return found / found.sum()


Cells = dict[Platform, tuple[float, str]]


def _existing_cloud(company: Company) -> Cells:
    if company.cloud is None:
        return dict.fromkeys(PLATFORMS, (0.0, "no cloud named"))
    here = {p: CLOUD_OF[p] == company.cloud for p in PLATFORMS}
    return {p: (float(here[p]), f"{'is' if here[p] else 'is not'} on {company.cloud}") for p in PLATFORMS}


def _tools_at_home(company: Company) -> Cells:
    if not company.tools:
        return dict.fromkeys(PLATFORMS, (0.0, "no tool ticked"))
    home, doubt = (tools().set_index("tool")[name] for name in ("home", "note"))
    cells: Cells = {}
    for p in PLATFORMS:
        inside = [name for name in company.tools if home[name] == CLOUD_OF[p]]
        share = len(inside) / len(company.tools)
        told = ", ".join(f"{name}{f' ({doubt[name]})' if doubt[name] else ''}" for name in inside)
        cells[p] = (share, f"{len(inside)} of {len(company.tools)} at home{': ' if inside else ''}{told}")
    return cells


def _team(company: Company) -> Cells:
    return _mean_offer(company.knows, "nothing named")


def _needs(company: Company) -> Cells:
    return _mean_offer(company.needs, "no need named")


def _mean_offer(names: tuple[str, ...], nothing: str) -> Cells:
    if not names:
        return dict.fromkeys(PLATFORMS, (0.0, nothing))
    cells: Cells = {}
    for p in PLATFORMS:
        found = [_offer(name, p) for name in names]
        cells[p] = (sum(score for score, _ in found) / len(names), "; ".join(words for _, words in found))
    return cells


def _offer(name: str, platform: Platform) -> tuple[float, str]:
    """What a platform offers of a feature, by its status; of a service, whether it is its own."""
    table = features()
    row = table[(table["feature"] == name) & (table["platform"] == platform)]
    if len(row):
        status, note = row["status"].item(), row["note"].item()
        return OFFERED[status], f"{name}: {status}{f' ({note})' if note else ''}"
    owner: Any = services().set_index("service").loc[name]
    doubt = f" ({UNVERIFIED})" if owner["note"] else ""
    own = owner["platform"] == platform
    return (OFFERED[owner["status"]] if own else 0.0), f"{name}: {'its own' if own else 'not here'}{doubt}"


def _cost(comparison: "Comparison") -> Cells:
    """Cheapest / bill among those that keep what is asked; 0 for the others."""
    table = comparison.table
    kept = table.loc[table["keeps"], "usd"]
    cells: Cells = {}
    for p in PLATFORMS:
        row: Any = table.loc[p]
        usd, keeps = float(row["usd"]), bool(row["keeps"])
        bill = comparison.bills[comparison.bills["platform"] == p]
        doubt = f" (prices {UNVERIFIED})" if bill["note"].str.contains(UNVERIFIED).any() else ""
        words = f"{usd:,.4g} dollars{doubt}" if keeps else f"does not keep what is asked: {row['broken']}"
        cells[p] = (float(kept.min() / usd) if keeps else 0.0, words)
    return cells


_CELLS = {
    "existing cloud": _existing_cloud,
    "data and analysis tools": _tools_at_home,
    "team's experience": _team,
    "project's needs": _needs,
}
