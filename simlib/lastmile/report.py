"""The one-page operations report: every number in it is one of the run's, by the name it has there.

`numbers_in` gives them back from the page, so that a reader (or a test) can find each again in the run.
"""

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from simlib.fairness.markup import picture, skeleton, table, text

if TYPE_CHECKING:
    from simlib.lastmile.outcome import Outcome

_ONE_PAGE = """
body { max-width: 76rem; font-size: 13px; line-height: 1.3; } nav { display: none; }
main { columns: 2; column-gap: 2rem; } section { break-inside: avoid; } #money, #story { break-inside: auto; }
h2 { margin-top: .6rem; padding-top: .3rem; font-size: 1.15rem; } table { margin: .2rem 0 .6rem; font-size: .8rem; }
th, td { padding: .1rem .35rem; } td { white-space: normal; } #story td.number { text-align: left; }
@media print { @page { size: A4 landscape; margin: 8mm; } body { font-size: 7.5pt; } h2 { break-before: auto; } }
"""
_NUMBER = re.compile(r'<data value="([^"]*)" title="([^"]*)">')


def page(outcome: "Outcome") -> str:
    """The whole report as HTML, without script."""
    views = [
        ("kept", "What was promised, and what was kept", _kept(outcome)),
        ("money", "Where the money went", _money(outcome)),
        ("days", "The days", _days(outcome)),
        ("story", "What happened", _story(outcome)),
        ("limits", "How to read it", _limits(outcome)),
    ]
    title = f"Operations report: {outcome.days} days from {outcome.world.start[:10]}"
    return skeleton(title, views).replace("</style>", f"{_ONE_PAGE}</style>", 1)


def numbers_in(html: str) -> Iterator[tuple[str, float]]:
    """(where it stands in the run, value) of each number on a page.

    Where: "figures/accuracy", "ledger/3/subtotal", "timeline/12/gap", or "story/5/day".
    """
    for value, where in _NUMBER.findall(html):
        yield where, float(value)


def found_in(outcome: "Outcome", where: str) -> float:
    """The run's own number at *where*."""
    room, *rest = where.split("/")
    if room == "figures":
        return float(outcome.figures[rest[0]])
    if room == "ledger":
        return float(getattr(outcome.ledger.lines[int(rest[0])], rest[1]))
    if room == "timeline":
        return float(outcome.timeline[rest[1]].iloc[int(rest[0])])
    if room == "story":
        return float(outcome.story[int(rest[0])].day)
    return float(getattr(outcome.world, rest[0]))


def _number(outcome: "Outcome", where: str, form: str = ",.2f", factor: float = 1.0) -> str:
    value = found_in(outcome, where)
    return f'<data value="{value!r}" title="{where}">{value * factor:{form}}</data>'


# --- the parts --------------------------------------------------------------------------------------------------------


def _kept(outcome: "Outcome") -> str:
    def number(where: str, form: str = ",.2f", factor: float = 1.0) -> str:
        return _number(outcome, where, form, factor)

    verdict = "Every limit was kept." if outcome.keeps else f"Broken: {text('; '.join(outcome.broken))}."
    rows = [
        ("p99 latency [s]", number("figures/p99_s"), number("world/max_p99_s")),
        ("requests without an answer [%]", number("figures/error_rate", ".3g", 100.0),
         number("world/max_error_rate", ".3g", 100.0)),
        ("unfair days", number("figures/unfair_days", ".0f"), number("world/max_unfair_days", ".0f")),
    ]  # fmt: skip
    answered = (
        f"<p>{number('figures/requests', ',.0f')} requests; {number('figures/captured', ',.0f')} were captured, and "
        f"{number('figures/accuracy', '.1f', 100.0)} % of their decisions were right. "
        f"{number('figures/retrainings', '.0f')} retrainings, {number('figures/versions', '.0f')} versions served, "
        f"{number('figures/rollbacks', '.0f')} rolled back.</p>"
    )
    return f"<p class=big><strong>{verdict}</strong></p>{answered}" + _table(
        "The limits", ("limit", "measured", "at most"), rows
    )


def _money(outcome: "Outcome") -> str:
    rows = [
        (
            text(f"{line.category}: {line.item}"),
            _number(outcome, f"ledger/{k}/quantity", ",.4g"),
            text(line.unit),
            _number(outcome, f"ledger/{k}/unit_price", ".4g"),
            _number(outcome, f"ledger/{k}/subtotal"),
        )
        for k, line in enumerate(outcome.ledger.lines)
        if line.subtotal
    ]
    total = (
        f"<p class=big>Total: {_number(outcome, 'figures/usd')} dollars; wrong decisions are estimated, so with 95 % "
        f"confidence between {_number(outcome, 'figures/usd_low')} and {_number(outcome, 'figures/usd_high')}.</p>"
    )
    return total + _table("Line by line", ("line", "quantity", "unit", "unit price $", "subtotal $"), rows)


def _days(outcome: "Outcome") -> str:
    frame = outcome.timeline
    weeks = range(6, outcome.days, 7)
    rows = [
        (
            f"day {day}",
            _number(outcome, f"timeline/{day}/requests", ",.0f"),
            _number(outcome, f"timeline/{day}/accuracy", ".1f", 100.0),
            _number(outcome, f"timeline/{day}/loss_usd", ".3f", 1000.0),
            _number(outcome, f"timeline/{day}/gap", ".1f", 100.0),
            _number(outcome, f"timeline/{day}/p99_s", ".2f"),
            _number(outcome, f"timeline/{day}/version", ".0f"),
        )
        for day in weeks
    ]
    heads = ("day", "requests", "right [%]", "loss [$ / 1000]", "gap [points]", "p99 [s]", "version")
    words = (
        f"Cost of wrong decisions a day: from {1000 * frame['loss_usd'].min():.3g} to "
        f"{1000 * frame['loss_usd'].max():.3g} dollars a thousand answers"
    )
    drawn = picture(words, _line(outcome), height=150, caption="Cost of a thousand decisions, day by day, and versions")
    return drawn + _table("The last day of each week", heads, rows)


def _line(outcome: "Outcome") -> str:
    """The loss a day as one line, with a tick for each version that begins to serve."""
    loss = 1000 * outcome.timeline["loss_usd"].to_numpy(dtype=float)
    days, top = outcome.days, float(np.nanmax(loss)) * 1.1
    x = [40 + 570 * (day + 0.5) / days for day in range(days)]
    points = " ".join(f"{a:.1f},{120 - 100 * b / top:.1f}" for a, b in zip(x, loss, strict=True) if np.isfinite(b))
    lines = [f'<polyline points="{points}" fill="none" stroke="#0072B2" stroke-width="2"/>']
    lines.append('<line x1="40" y1="120" x2="610" y2="120" stroke="#555"/>')
    for each in outcome.story:
        if each.kind in ("live", "world"):
            at, color = 40 + 570 * each.day / days, "#009E73" if each.kind == "live" else "#D55E00"
            lines.append(
                f'<line x1="{at:.1f}" y1="15" x2="{at:.1f}" y2="120" stroke="{color}" stroke-dasharray="4 3"/>'
            )
    lines.append(f'<text x="0" y="24">{top / 1.1:.2f}</text><text x="0" y="124">0</text>')
    lines.append(f'<text x="40" y="140">day 0</text><text x="610" y="140" text-anchor="end">day {days}; ')
    lines.append("green: a version serves, orange: the world changes</text>")
    return "".join(lines)


def _story(outcome: "Outcome") -> str:
    rows = [
        (_number(outcome, f"story/{k}/day"), text(each.when), text(each.kind), text(each.words))
        for k, each in enumerate(outcome.story)
    ]
    return _table("The log", ("day", "when (UTC)", "what", "in words"), rows)


def _limits(outcome: "Outcome") -> str:
    sentences = [
        "Wrong decisions are estimated from the captured requests, day by day; their interval is of this sampling.",
        "A decision counts with its mean cost for such a customer: the world knows how likely each was to pay.",
        "The gap is the false positive rate of the protected group less that of all others, over the last seven days.",
        "Amounts a decision, a review or an hour on call costs are assumptions of this invented business.",
    ]
    return "<ul>" + "".join(f"<li>{text(each)}</li>" for each in sentences) + "</ul>"


def _table(caption: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose cells are markup made here."""
    plain = table(caption, heads, [("\0",) * len(heads)])
    head, _, tail = plain.partition("<tbody>")
    body = "".join(
        f'<tr><th scope="row">{first}</th>' + "".join(f"<td class=number>{cell}</td>" for cell in rest) + "</tr>"
        for first, *rest in rows
    )
    return f"{head}<tbody>{body}</tbody>{tail.partition('</tbody>')[2]}"
