"""The audit as one HTML page: no script, no outside file; readable without CSS, by a screen reader, and on paper.

Three views of the same numbers: the *regulator* asks what was measured, on whom, by which rule, how surely; the
*stakeholder* wants one page without jargon; whoever *debugs* wants rows and features.
"""

import html
import math
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from simlib.fairness.groups import tabulate
from simlib.fairness.metrics import METRICS
from simlib.fairness.predictions import rates
from simlib.fairness.table import BiasTable

if TYPE_CHECKING:
    from simlib.fairness.audit import Audit

_STYLE = (resources.files("simlib.fairness") / "report.css").read_text(encoding="utf-8")
_LIMITS = (
    "The metrics compare groups; a fair average can hide unfair decisions about individuals and about smaller groups.",
    "They trust the labels. If past decisions were biased, a model that repeats them exactly looks accurate and fair.",
    "Not all can be 0: where base rates differ, equal acceptance, equal recall and calibration exclude one another.",
    "The intervals say how far chance may have led; they know nothing of rows that never came, nor of tomorrow.",
    "With many metrics some intervals miss the truth by chance: of 20 at 95 %, about one.",
    "SHAP values describe the model, not the world: they are no causes.",
)


def page(audit: "Audit") -> str:
    """The whole report."""
    views = [("regulator", "For the regulator", _regulator(audit))]
    if audit.after:
        views.insert(0, ("stakeholder", "In one page, for everybody", _stakeholder(audit)))
        views.append(("debugging", "For debugging", _debugging(audit)))
    links = "".join(f'<li><a href="#{key}">{name}</a></li>' for key, name, _ in views)
    sections = "".join(
        f'<section id="{key}" aria-labelledby="{key}-title">'
        f'<h2 id="{key}-title"{" class=first" if not k else ""}>{name}</h2>{body}</section>'
        for k, (key, name, body) in enumerate(views)
    )
    title = _text(audit.title)
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head><body>'
        f'<header><h1>{title}</h1><nav aria-label="Views"><ul>{links}</ul></nav></header>'
        f"<main>{sections}</main></body></html>\n"
    )


# --- stakeholder ------------------------------------------------------------------------------------------------------


def _stakeholder(audit: "Audit") -> str:
    parts = [
        f"<p>{len(audit.frame):,} people and the decisions about them were examined. For each attribute below, "
        "one group is compared with everybody else.</p>"
    ]
    for facet, table in audit.after.items():
        question = audit.questions[facet]
        who = _text(question.who)
        cells = tabulate(audit.frame, question, "audit")
        parts.append(f"<h3>People with {who}</h3><ul class=big>")
        parts += [f"<li>{_text(line)}</li>" for line in _plain_lines(rates(cells), table)]
        parts.append("</ul>")
        parts.append(_bars(rates(cells), question.who))
    parts.append(
        "<p><strong>What this does not say:</strong> whether past decisions, which serve as the yardstick, were just; "
        "and why the groups differ. That needs people who know the case.</p>"
    )
    return "".join(parts)


_LINES = (
    ("DPPL", "accepted", "Accepted: {d} in 100 of them, {a} in 100 of the others."),
    ("RD", "recall", "Of those who deserve it, accepted: {d} in 100 of them, {a} in 100 of the others."),
    ("DFPR", "false_positive", "Of the undeserving, accepted: {d} in 100 of them, {a} in 100 of the others."),
)  # fmt: skip


def _plain_lines(by_rate: dict[str, Any], table: BiasTable) -> list[str]:
    lines = []
    for metric, rate, words in _LINES:
        above, below = by_rate[rate]
        if not all(below):
            lines.append(f"{words.split(':')[0]}: nothing can be said, one group has no such people.")
            continue
        a, d = 100 * above / below
        low, high = (float(table[end].loc[metric]) for end in ("low", "high"))
        verdict = (
            "" if math.isnan(low) else " This may be chance." if low <= 0 <= high else " This is hardly chance alone."
        )
        lines.append(words.format(a=_whole(a), d=_whole(d)) + verdict)
    return lines


def _whole(share: float) -> str:
    return f"{share:.0f}" if share >= 1 or share == 0 else "less than 1"


def _bars(by_rate: dict[str, Any], who: str) -> str:
    """Acceptance as two bars; the numbers stand beside them, so colour says nothing alone."""
    above, below = by_rate["accepted"]
    if not all(below):
        return ""
    a, d = (float(x) for x in 100 * above / below)
    words = f"Bar chart: accepted are {d:.0f} of 100 people with {who}, and {a:.0f} of 100 others."
    both = (("they", d, "#b34700"), ("the others", a, "#0b4a6f"))
    rows = "".join(
        f'<text x="0" y="{22 + 34 * k}">{name}</text>'
        f'<rect x="90" y="{6 + 34 * k}" width="{4.2 * share:.1f}" height="22" fill="{colour}"/>'
        f'<text x="{98 + 4.2 * share:.1f}" y="{22 + 34 * k}">{share:.0f} in 100</text>'
        for k, (name, share, colour) in enumerate(both)
    )
    return (
        f'<svg role="img" aria-label="{_text(words)}" viewBox="0 0 620 72" width="620" height="72" font-size="15">'
        f"<title>{_text(words)}</title>{rows}</svg>"
    )


# --- regulator --------------------------------------------------------------------------------------------------------


def _regulator(audit: "Audit") -> str:
    first = next(iter(audit.questions.values()))
    how = (
        f"95 % percentile bootstrap, {audit.bootstrap:,} resamples of the rows, seed {audit.seed}"
        if audit.bootstrap
        else "none were asked for"
    )
    facts = [
        ("Rows", f"{len(audit.frame):,}"),
        ("Label (what was true)", f"{first.label}; positive: {first.what}"),
        ("Decision", f"positive: {first.decided}" if first.predicted else "none: only the data were audited"),
        ("Groups of the conditional metrics", first.group or "none"),
        ("Features of the flip test", ", ".join(audit.features) or "none"),
        ("Intervals", how),
        ("Formulas", "Amazon SageMaker Clarify's 21 bias metrics; 0/0 is undefined, never 0"),
    ]
    parts = ["<h3>What was measured</h3>", _table("Data, rules and method", ["item", "value"], facts)]
    for facet in audit.questions:
        parts.append(f"<h3>{_text(facet)}</h3><p class=convention>{_text(audit.questions[facet].convention)}</p>")
        parts.append(_sizes(audit, facet))
        for name, tables in (
            ("Before training: the data", audit.before),
            ("After training: the decisions", audit.after),
        ):
            if facet in tables:
                parts.append(_metrics_table(f"{facet}. {name} ({audit.questions[facet].convention})", tables[facet]))
        parts.append(_forest(facet, audit))
    parts.append("<h3>Limits</h3><ul>" + "".join(f"<li>{_text(line)}</li>" for line in _LIMITS) + "</ul>")
    used = [metric for metric in METRICS.values() if audit.after or metric.stage == "pre-training"]
    rows = [
        (
            m.name,
            m.long,
            m.formula,
            m.range,
            f"{m.fair:g}: {m.zero}",
            m.hurts,
            m.blind + (f". {m.note}" if m.note else ""),
        )
        for m in used
    ]
    header = ["metric", "name", "formula", "range", "fair value", "whom a departure hurts", "what it cannot see"]
    return "".join([*parts, "<h3>Definitions</h3>", _table("d: the group named; a: all others", header, rows)])


def _sizes(audit: "Audit", facet: str) -> str:
    by = tabulate(audit.frame, audit.questions[facet], "audit")
    n = by.by_label.sum(axis=-1)
    positive = by.by_label[..., by.positive].sum(axis=-1)
    rows = [(who, f"{n[k]:,}", f"{positive[k]:,}") for k, who in ((1, "d"), (0, "a"))]
    return _table(f"{facet}. Rows", ["group", "rows", "with a positive label"], rows)


def _metrics_table(caption: str, table: BiasTable) -> str:
    rows = [
        (name, METRICS[str(name)].long, _number(row["value"]), _between(row), f"{row['n']:,}", row["reading"])
        for name, row in table.iterrows()
    ]
    return _table(caption, ["metric", "name", "value", "95 % interval", "n", "reading"], rows, numbers=(2, 3, 4))


def _between(row: pd.Series) -> str:
    return "–" if math.isnan(row["low"]) else f"{_number(row['low'])} to {_number(row['high'])}"


def _forest(facet: str, audit: "Audit") -> str:
    """Differences with their intervals, on one axis; the same numbers stand in the tables."""
    both = pd.concat([tables[facet] for tables in (audit.before, audit.after) if facet in tables])
    names = [
        name for name in ("DPL", "CDDL", "DPPL", "CDDPL", "RD", "SD", "DAR", "DRR", "AD", "FT") if name in both.index
    ]
    value, low, high = (both[end].astype(float).to_dict() for end in ("value", "low", "high"))
    names = [name for name in names if math.isfinite(low[name])]
    if not names:
        return ""
    reach = max(0.1, *(abs(end[name]) for name in names for end in (low, high)))

    def x(at: float) -> float:
        return 340 + 230 * at / reach

    lines = "".join(
        f'<text x="0" y="{38 + 24 * k}">{name}</text>'
        f'<line x1="{x(low[name]):.1f}" x2="{x(high[name]):.1f}" y1="{33 + 24 * k}" y2="{33 + 24 * k}" '
        'stroke="#0b4a6f" stroke-width="4"/>'
        f'<circle cx="{x(value[name]):.1f}" cy="{33 + 24 * k}" r="5" fill="#b34700"/>'
        for k, name in enumerate(names)
    )
    bottom = 30 + 24 * len(names)
    clear = [name for name in names if not low[name] <= 0 <= high[name]]
    told = ", ".join(clear) or "none"
    words = f"{facet}: intervals of {len(names)} differences; not holding 0: {told}. The figures are in the tables."
    return (
        f'<svg role="img" aria-label="{_text(words)}" viewBox="0 0 620 {bottom + 24}" width="620" '
        f'height="{bottom + 24}" font-size="14"><title>{_text(words)}</title>'
        f'<line x1="340" x2="340" y1="16" y2="{bottom}" stroke="#555"/>{lines}'
        f'<text x="{x(-reach):.0f}" y="{bottom + 18}">{-reach:.2f}</text><text x="318" y="{bottom + 18}">0: fair</text>'
        f'<text x="{x(reach) - 34:.0f}" y="{bottom + 18}">{reach:.2f}</text></svg>'
    )


# --- debugging --------------------------------------------------------------------------------------------------------


def _debugging(audit: "Audit") -> str:
    parts = []
    for facet in audit.after:
        rows = audit.suspicious(facet)
        who = audit.questions[facet].who
        parts.append(f"<h3>{_text(facet)}</h3>")
        if len(rows):
            body = [
                (index, *(_cell(value) for value in row))
                for index, row in zip(rows.index, rows.to_numpy(object), strict=True)
            ]
            header = ["row", *map(str, rows.columns)]
            parts.append(_table(f"Rows to look at first: {who}, refused, though the label is positive", header, body))
        else:
            parts.append(f"<p>No row with {_text(who)} was refused against a positive label.</p>")
        parts.append(_feature_gap(audit, facet))
    return "".join(parts)


def _feature_gap(audit: "Audit", facet: str) -> str:
    """Which features make the model answer d differently."""
    if audit.explanation is None:
        return "<p>No explanation was given, so features cannot be told apart; pass explanation= to the audit.</p>"
    found = audit.explanation
    is_d = audit.is_d(facet).reindex(found.values.index)
    if is_d.isna().any() or not 0 < is_d.sum() < len(is_d):
        return "<p>The explained rows are not rows of both groups of this audit.</p>"
    gap = found.gap(is_d)
    importance = found.importance().to_dict()
    total = float(gap.sum())
    rows = [(name, f"{importance[name]:.4f}", f"{value:+.4f}") for name, value in gap.items()]
    rows.append(("all together", "", f"{total:+.4f}"))
    header = ["feature", "mean |SHAP|", "mean SHAP of d minus a"]
    notes = "".join(f"<p>Note: {_text(note)}.</p>" for note in found.notes)
    return (
        _table(
            f"Which features move d's answers away from a's, in {found.units} ({found.method} SHAP)",
            header,
            rows,
            numbers=(1, 2),
        )
        + notes
    )


# --- pieces -----------------------------------------------------------------------------------------------------------


def _table(caption: str, header: list[str], rows: Any, *, numbers: tuple[int, ...] = ()) -> str:
    head = "".join(f'<th scope="col">{_text(name)}</th>' for name in header)
    body = "".join(
        f'<tr><th scope="row">{_text(first)}</th>'
        + "".join(
            f"<td{' class=number' if k in numbers else ''}>{_text(cell)}</td>" for k, cell in enumerate(rest, start=1)
        )
        + "</tr>"
        for first, *rest in rows
    )
    return (
        f'<div class=scroll role="region" aria-label="{_text(caption)}" tabindex="0">'
        f"<table><caption>{_text(caption)}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _text(value: Any) -> str:
    """Whatever comes from outside is text, never markup."""
    return html.escape(str(value), quote=True)


def _number(value: float) -> str:
    if math.isnan(value):
        return "undefined"
    return f"{value:.4g}" if math.isfinite(value) else "∞" if value > 0 else "−∞"


def _cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float | np.floating) else str(value)
