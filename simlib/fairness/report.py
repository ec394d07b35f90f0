"""The audit as one HTML page: no script, no outside file; readable without CSS, by a screen reader, and on paper.

Three views of the same numbers: the *regulator* asks what was measured, on whom, by which rule, how surely; the
*stakeholder* wants one page without jargon; whoever *debugs* wants rows and features.
"""

import math
from typing import TYPE_CHECKING

import pandas as pd

from simlib.fairness.groups import tabulate
from simlib.fairness.markup import cell, number, picture, skeleton, table, text
from simlib.fairness.metrics import METRICS
from simlib.fairness.plainly import stakeholder
from simlib.fairness.table import BiasTable

if TYPE_CHECKING:
    from simlib.fairness.audit import Audit

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
    views = [
        ("stakeholder", "In one page, for everybody", stakeholder(audit)),
        ("regulator", "For the regulator", _regulator(audit)),
    ]
    if audit.after:
        views.append(("debugging", "For debugging", _debugging(audit)))
    return skeleton(audit.title, views)


# --- regulator --------------------------------------------------------------------------------------------------------


def _regulator(audit: "Audit") -> str:
    from simlib import __version__ as version

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
        ("Computed by", f"simlib {version}"),
    ]
    parts = ["<h3>What was measured</h3>", table("Data, rules and method", ["item", "value"], facts)]
    for facet in audit.questions:
        parts.append(f"<h3>{text(facet)}</h3><p class=convention>{text(audit.questions[facet].convention)}</p>")
        parts.append(_sizes(audit, facet))
        for name, tables in (
            ("Before training: the data", audit.before),
            ("After training: the decisions", audit.after),
        ):
            if facet in tables:
                convention = tables[facet].attrs["convention"]
                parts.append(_metrics_table(f"{facet}. {name} ({convention})", tables[facet]))
        parts.append(_forest(facet, audit))
    parts.append("<h3>Limits</h3><ul>" + "".join(f"<li>{text(line)}</li>" for line in _LIMITS) + "</ul>")
    used = [metric for metric in METRICS.values() if audit.after or metric.stage == "pre-training"]
    rows = [
        (
            (m.name, m.long),
            (m.formula, f"range {m.range}"),
            (f"{m.fair:g}: {m.zero}", m.hurts),
            m.blind + (f". {m.note}" if m.note else ""),
        )
        for m in used
    ]
    header = ["metric", "formula and range", "fair value; whom a departure hurts", "what it cannot see"]
    definitions = table("d: the group named; a: all others", header, rows, kind="definitions")
    return "".join([*parts, "<h3>Definitions</h3>", definitions])


def _sizes(audit: "Audit", facet: str) -> str:
    by = tabulate(audit.frame, audit.questions[facet], "audit")
    n = by.by_label.sum(axis=-1)
    positive = by.by_label[..., by.positive].sum(axis=-1)
    rows = [(who, f"{n[k]:,}", f"{positive[k]:,}") for k, who in ((1, "d"), (0, "a"))]
    return table(f"{facet}. Rows", ["group", "rows", "with a positive label"], rows)


def _metrics_table(caption: str, found: BiasTable) -> str:
    rows = [
        ((name, METRICS[str(name)].long), number(row["value"]), _between(row), f"{row['n']:,}", row["reading"])
        for name, row in found.iterrows()
    ]
    header = ["metric", "value", "95 % interval", "n", "reading"]
    return table(caption, header, rows, numbers=(1, 2, 3), kind="metrics")


def _between(row: pd.Series) -> str:
    return "–" if math.isnan(row["low"]) else f"{number(row['low'])} to {number(row['high'])}"


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
    drawn = (
        f'<line x1="340" x2="340" y1="16" y2="{bottom}" stroke="#555"/>{lines}'
        f'<text x="{x(-reach):.0f}" y="{bottom + 18}">{number(-round(reach, 2))}</text>'
        f'<text x="318" y="{bottom + 18}">0: fair</text>'
        f'<text x="{x(reach) - 34:.0f}" y="{bottom + 18}">{reach:.2f}</text>'
    )
    caption = f"{facet}. Differences (dots) with their 95 % intervals (bars); a bar that holds 0 may be chance"
    return picture(words, drawn, height=bottom + 24, caption=caption)


# --- debugging --------------------------------------------------------------------------------------------------------


def _debugging(audit: "Audit") -> str:
    parts = []
    for facet in audit.after:
        rows = audit.suspicious(facet)
        who = audit.questions[facet].who
        parts.append(f"<h3>{text(facet)}</h3>")
        if len(rows):
            against = _against(audit, rows)
            body = [
                (index, *(cell(value) for value in row), *why)
                for index, row, why in zip(rows.index, rows.to_numpy(object), against, strict=True)
            ]
            header = ["row", *map(str, rows.columns), *(["most against it"] if any(against) else [])]
            caption = f"{facet}. Rows to look at first: {who}, refused, though the label is positive"
            parts.append(table(caption, header, body))
        else:
            parts.append(f"<p>No row with {text(who)} was refused against a positive label.</p>")
        parts.append(_feature_gap(audit, facet))
    return "".join(parts)


def _against(audit: "Audit", rows: pd.DataFrame) -> list[tuple[str, ...]]:
    """For each row the two features that most spoke against it, where all the rows were explained."""
    if audit.explanation is None or not audit.explanation.values.index.is_unique:
        return [()] * len(rows)
    values = audit.explanation.values
    if not rows.index.isin(values.index).all():
        return [()] * len(rows)
    worst = [values.loc[index].nsmallest(2) for index in rows.index]
    return [
        (", ".join(f"{name} {number(round(value, 2))}" for name, value in two.items() if value < 0),) for two in worst
    ]


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
    rows = [(name, number(round(importance[name], 4)), number(round(value, 4))) for name, value in gap.items()]
    rows.append(("all together", "", number(round(total, 4))))
    header = ["feature", "mean |SHAP|", "mean SHAP of d minus a"]
    notes = "".join(f"<p>Note: {text(note)}.</p>" for note in found.notes)
    return (
        table(
            f"{facet}. Which features move d's answers away from a's, in {found.units} ({found.method} SHAP)",
            header,
            rows,
            numbers=(1, 2),
        )
        + notes
    )
