"""A decision on one page that answers alone: what was asked and compared, what won, by how much, and what changes it.

    >>> from simlib.platforms.choice import Company, decide
    >>> page = decide(Company(cloud="azure"), {"existing cloud": 1}).record("Where do we host the churn model?")
    >>> print(page.markdown.splitlines()[0])
    # Decision: Azure ML

The page holds its prices with their dates and marks, its weights, and its doubts, so that whoever finds it in a year
needs neither this program nor whoever ran it.
"""

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from simlib.parameters import ParameterError
from simlib.platforms.choice import NAMES, OFFERED, Decision
from simlib.platforms.features import UNVERIFIED, features, services
from simlib.platforms.stack import tools
from simlib.pricing import CATALOG_DATE

if TYPE_CHECKING:
    import pandas as pd

    from simlib.platforms.comparison import Comparison


class Piece(NamedTuple):
    """A part of the page: a heading, a paragraph, a list or a table (its first row the head)."""

    kind: Literal["title", "heading", "text", "list", "table"]
    rows: Sequence[Sequence[str]]


def _text(kind: Literal["title", "heading", "text"], words: str) -> Piece:
    return Piece(kind, [[words]])


def _list(lines: Sequence[str]) -> Piece:
    return Piece("list", [[line] for line in lines])


@dataclass(frozen=True)
class Record:
    """The page; prints as Markdown, shows as HTML in a notebook."""

    pieces: tuple[Piece, ...]

    @property
    def markdown(self) -> str:
        """The page as Markdown."""
        return "\n\n".join(map(_markdown, self.pieces)) + "\n"

    @property
    def html(self) -> str:
        """The page as HTML, complete, without script or anything from elsewhere."""
        title = html.escape(self.pieces[0].rows[0][0])
        return (
            f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
            f"<style>{_STYLE}</style></head><body>\n{self._repr_html_()}\n</body></html>\n"
        )

    def save(self, path: str | Path) -> Path:
        """Write the page to *path*; the ending, .md or .html, says as what.

        Raises
        ------
        ParameterError
            If it ends in anything else, or cannot be written.
        """
        target = Path(path)
        if target.suffix not in (".md", ".html"):
            raise ParameterError(f"save: path={str(path)!r} should end in .md or .html.")
        try:
            target.write_text(self.html if target.suffix == ".html" else self.markdown, encoding="utf-8")
        except OSError as error:
            raise ParameterError(f"save: path={str(path)!r} cannot be written: {error.strerror}.") from None
        return target

    def __str__(self) -> str:
        return self.markdown

    def _repr_html_(self) -> str:
        return "\n".join(map(_html, self.pieces))


# --- what stands on it -----------------------------------------------------------------------------------------------


def record(decision: Decision, asked: str = "", changes: "pd.DataFrame | None" = None) -> Record:
    """The page of a decision; *asked* is the question in the team's own words, *changes* is `comparison.tornado()`."""
    pieces = [
        *_opening(decision),
        *_asked(decision, asked),
        *_compared(decision),
        *_won(decision),
        *_would_change(decision, changes),
        *_doubts(decision),
    ]
    return Record(tuple(pieces))


def _opening(decision: Decision) -> Iterator[Piece]:
    first, second = (NAMES[name] for name in decision.totals.index[:2])
    if decision.best is None:
        yield _text("title", f"Decision: none, {first} and {second} share the lead")
        yield _text("text", "Two platforms have the same score. Another weight, or another question, has to decide.")
        return
    yield _text("title", f"Decision: {first}")
    total, next_total = decision.totals.iloc[:2]
    ahead = f"{first} scores {total:.2f} of 1, {second} {next_total:.2f}: ahead by {decision.margin:.2f}."
    yield _text("text", f"{ahead} Prices and features as known on {CATALOG_DATE}.")


def _asked(decision: Decision, asked: str) -> Iterator[Piece]:
    yield _text("heading", "What was asked")
    company = decision.company
    lines = [asked] if asked else []
    answers = {
        "cloud": company.cloud or "none",
        "tools": ", ".join(company.tools) or "none ticked",
        "the team knows": ", ".join(company.knows) or "nothing named",
        "the project needs": ", ".join(company.needs) or "nothing named",
    }
    lines.append(f"Who: {company.name}. " + "; ".join(f"{name}: {answer}" for name, answer in answers.items()) + ".")
    if decision.comparison is not None:
        lines.append(_workload(decision.comparison))
    yield _list(lines)


def _workload(comparison: "Comparison") -> str:
    a = comparison.asked
    return (
        f"Workload {a.workload.name!r}, {a.per_day:,.0f} requests a day; model {a.model.name!r}, "
        f"{1000 * a.model.service.mean:.4g} ms of work each on average; 99 of 100 answers within {a.max_p99_s:g} s, "
        f"errors at most {100 * a.max_error_rate:g} %; {a.hardware} a machine; bill for {a.horizon_days:g} days."
    )


def _compared(decision: Decision) -> Iterator[Piece]:
    yield _text("heading", "What was compared")
    weights, scores, reasons = decision.weights, decision.scores, decision.reasons
    names = list(decision.totals.index)
    head = ["criterion (weight)", *(NAMES[name] for name in names)]
    rows = [
        [f"{criterion} ({100 * weights[criterion]:.0f} %)"]
        + [f"{scores.loc[criterion, name]:.2f}: {reasons.loc[criterion, name]}" for name in names]
        for criterion in weights.index
    ]
    rows.append(["total", *(f"{decision.totals[name]:.2f}" for name in names)])
    yield Piece("table", [head, *rows])
    if decision.comparison is not None:
        yield from _bills(decision.comparison)


def _bills(comparison: "Comparison") -> Iterator[Piece]:
    rows = [["platform", "machines", "autoscaler keeps", "bill [USD]", "p99 [s]", "errors", "keeps what is asked"]]
    for name, row in comparison.table.iterrows():
        if name not in comparison.deployments:
            rows.append([NAMES[name], row["machine"], "–", "–", "–", "–", f"no: {row['broken']}"])
            continue
        rows.append(
            [
                NAMES[name],
                f"{row['instances']:.3g} × {row['machine']} in {row['region']}",
                f"{100 * row['utilization_set']:.0f} % busy",
                _with_interval(row["usd"], row["usd_low"], row["usd_high"]),
                _with_interval(row["p99_s"], row["p99_low"], row["p99_high"]),
                f"{100 * row['error_rate']:.2g} %",
                "yes" if row["keeps"] else f"no: {row['broken']}",
            ]
        )
    yield Piece("table", rows)
    bills = comparison.bills
    prices = [["price", "USD", "per", "source, date and mark", "doubt"]]
    for line in bills.itertuples():
        who = NAMES[line.platform]
        source = f"{line.source}, {line.as_of}, {line.mark}"
        prices.append([f"{who}: {line.item}", f"{line.unit_price:.6g}", str(line.unit), source, str(line.note)])
    yield Piece("table", prices)


def _with_interval(mean: float, low: float, high: float) -> str:
    return f"{mean:,.4g}" if not low < high else f"{mean:,.4g} ({low:,.4g} to {high:,.4g})"


def _won(decision: Decision) -> Iterator[Piece]:
    yield _text("heading", "What won, and by how much")
    lines = [
        f"{NAMES[name]}: {parts.sum():.2f} = "
        + " + ".join(f"{part:.2f} {criterion}" for criterion, part in parts.items())
        for name, parts in decision.contributions.iterrows()
    ]
    share = decision.stability()
    told = ", ".join(f"{NAMES[name]} {100 * row['share']:.0f} %" for name, row in share.iterrows())
    lines.append(f"Of all possible weightings of these scores: {told} (within 1 %; shared leads count for none).")
    if decision.comparison is not None:
        lines += _cheapest(decision.comparison)
    yield _list(lines)


def _cheapest(comparison: "Comparison") -> Iterator[str]:
    """Whose bill is the smallest, and by how much."""
    kept = comparison.table[comparison.table["keeps"]]
    if len(kept) == 0:
        yield "No platform keeps what was asked of it."
        return
    usd, name = kept["usd"], NAMES[kept.index[0]]
    if len(kept) == 1:
        yield f"Only {name} keeps what was asked, for {usd.iloc[0]:,.4g} dollars."
        return
    more = usd.iloc[1] - usd.iloc[0]
    chance = "" if comparison.sure else ", which may be chance"
    rival = NAMES[kept.index[1]]
    yield (
        f"The cheapest that keeps what was asked is {name}; {rival} costs {more:,.4g} dollars more "
        f"({100 * more / usd.iloc[0]:.0f} %){chance}."
    )


def _would_change(decision: Decision, changes: "pd.DataFrame | None") -> Iterator[Piece]:
    yield _text("heading", "What would change it")
    lines = list(decision.what_would_change_it()) if decision.best else ["Any weight that breaks the tie."]
    if decision.comparison is not None:
        lines += _prices_that_flip(decision)
    if changes is not None:
        lines += _inputs_that_flip(changes)
    yield _list(lines)


def _prices_that_flip(decision: Decision) -> Iterator[str]:
    """How much cheaper each other platform must become before it is the cheapest."""
    comparison = decision.comparison
    if comparison is None or comparison.best is None:
        return
    usd = comparison.table.loc[comparison.table["keeps"], "usd"]
    for name in usd.index.drop(comparison.best):
        off = 100 * (1 - usd.min() / usd[name])
        yield f"{NAMES[name]} is the cheapest from {off:.0f} % off its bill on; today that is {NAMES[comparison.best]}."
    for name, row in comparison.table[~comparison.table["keeps"]].iterrows():
        yield f"{NAMES[name]} is out because: {row['broken']}."


def _inputs_that_flip(changes: "pd.DataFrame") -> Iterator[str]:
    """Which inputs make another platform the cheapest, and which do not."""
    calm = []
    for row in changes.reset_index().itertuples():
        what = f"{row.changed} × {row.times:g}"
        if row.flips:
            yield f"With {what}, {NAMES[row.best] if row.best else 'none'} is the cheapest that keeps it."
        else:
            calm.append(what)
    if calm:
        told = ", ".join(calm)
        yield f"The cheapest stays the cheapest with {told}."


def _doubts(decision: Decision) -> Iterator[Piece]:
    yield _text("heading", "What this rests on")
    worth = ", ".join(f"{status} {value:g}" for status, value in OFFERED.items())
    lines = [f"Assumption: what a feature is worth by its status: {worth}. The weights are the team's own."]
    doubted = decision.reasons.apply(lambda column: column.str.contains(UNVERIFIED)).to_numpy().sum()
    if doubted:
        lines.append(f"{doubted} of {decision.reasons.size} cells rest on facts that are unverified; they say so.")
    if facts := list(_facts(decision)):
        lines.append(f"Where the facts are from: {'; '.join(facts)}.")
    if decision.comparison is not None:
        asked, assumed = decision.comparison.asked, decision.comparison.assumptions
        for name, percent in asked.discounts.items():
            lines.append(f"Assumption: {percent:g} % off the machines of {NAMES[name]}.")
        lines.append(
            f"Simulated: {asked.sample_hours:g} h with seed {asked.seed}, the same requests on each platform. "
            "Assumptions: instances take as long to come on all three, and one vCPU is as fast as another."
        )
        named = "; ".join(dict.fromkeys(f"{row.parameter}" for row in assumed.itertuples()))
        lines.append(f"Not documented by the platforms, so assumed: {named}.")
    lines.append("Marks: V read in the vendor's text, S second-hand, D derived, U uncertain, A the team's assumption.")
    yield _list(lines)


def _facts(decision: Decision) -> Iterator[str]:
    """The source, date and mark of each feature and service that was asked for, and of each tool."""
    company, offered, owned = decision.company, features(), services()
    for name in dict.fromkeys((*company.needs, *company.knows)):
        rows = offered[offered["feature"] == name]
        rows = rows if len(rows) else owned[owned["service"] == name]
        told = [f"{NAMES[row.platform]}: {row.source}, {row.as_of}, {row.mark}" for row in rows.itertuples()]
        yield f"{name} ({' | '.join(told)})"
    homes = tools()
    for tool in homes[homes["tool"].isin(company.tools)].itertuples():
        yield f"{tool.tool} ({tool.publisher}: {tool.source}, {tool.as_of}, {tool.mark})"


# --- two ways to write it --------------------------------------------------------------------------------------------

_STYLE = (
    "body{font:14px/1.4 system-ui,sans-serif;max-width:60rem;margin:1.5rem auto;padding:0 1rem;color:#111}"
    "h1{font-size:1.5rem;margin:0 0 .3rem}h2{font-size:1.05rem;margin:1rem 0 .3rem}"
    "table{border-collapse:collapse;width:100%;margin:.4rem 0;font-size:12px}"
    "th,td{border:1px solid #bbb;padding:.2rem .4rem;text-align:left;vertical-align:top;overflow-wrap:break-word}"
    "th{background:#eee}ul{margin:.2rem 0;padding-left:1.2rem}"
    "@media print{@page{size:A4;margin:9mm}body{font-size:8pt;line-height:1.22;margin:0;padding:0;max-width:none}"
    "table{font-size:7pt;margin:.2rem 0}th,td{padding:.05rem .25rem}h1{font-size:13pt}"
    "h2{font-size:9.5pt;margin:.4rem 0 .1rem}}"
)


def _markdown(piece: Piece) -> str:
    if piece.kind == "table":
        head, *body = ([cell.replace("|", "\\|") for cell in row] for row in piece.rows)
        lines = [head, ["---"] * len(head), *body]
        return "\n".join("| " + " | ".join(row) + " |" for row in lines)
    if piece.kind == "list":
        return "\n".join(f"- {row[0]}" for row in piece.rows)
    return {"title": "# ", "heading": "## ", "text": ""}[piece.kind] + piece.rows[0][0]


def _html(piece: Piece) -> str:
    if piece.kind == "table":
        head, *body = piece.rows
        cells = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
        rows = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in body)
        return f"<table><thead><tr>{cells}</tr></thead><tbody>{rows}</tbody></table>"
    if piece.kind == "list":
        return "<ul>" + "".join(f"<li>{html.escape(row[0])}</li>" for row in piece.rows) + "</ul>"
    tag = {"title": "h1", "heading": "h2", "text": "p"}[piece.kind]
    return f"<{tag}>{html.escape(piece.rows[0][0])}</{tag}>"
