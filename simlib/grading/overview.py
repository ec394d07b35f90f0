"""The class at a glance: how the marks lie, which questions were hard, which mistakes many made; no names."""

import builtins
import html
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from simlib.grading.feedback import REASONS_ES, STYLE
from simlib.grading.source import Source

FEWEST = 5  # what fewer share could point at a person
BARS = 10


def page(source: Source, results: Sequence[Mapping[str, Any]], notes: Sequence[str]) -> str:
    """The overview as a whole page; *notes* are sentences on how marks were made."""
    parts = [
        f"<h1>{_e(source.name)}: {len(results)} submissions, {source.points:g} points</h1>",
        *_distribution(source, results),
        *_questions(source, results),
        *_mistakes(source, results),
        "<h2>How these marks were made</h2><ul>" + "".join(f"<li>{_e(note)}</li>" for note in notes) + "</ul>",
    ]
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{_e(source.name)}: overview</title>'
        f"<style>{STYLE}</style></head><body>\n" + "\n".join(parts) + "\n</body></html>\n"
    )


def _distribution(source: Source, results: Sequence[Mapping[str, Any]]) -> list[str]:
    if len(results) < FEWEST:
        return [f"<p>The distribution of fewer than {FEWEST} students is not shown.</p>"]
    counts = [0] * BARS
    for result in results:
        counts[min(BARS - 1, int(BARS * result["total"] / source.points))] += 1
    top, bars = max(counts), []
    for k, count in enumerate(counts):
        height = round(100 * count / top)
        bars.append(
            f'<rect x="{10 + 40 * k}" y="{120 - height}" width="34" height="{height}" fill="#0072b2"/>'
            f'<text x="{27 + 40 * k}" y="{114 - height}" text-anchor="middle" font-size="11">{count or ""}</text>'
            f'<text x="{10 + 40 * k}" y="135" text-anchor="middle" font-size="11">{source.points * k / BARS:g}</text>'
        )
    totals = sorted(result["total"] for result in results)
    middle = totals[len(totals) // 2] if len(totals) % 2 else sum(totals[len(totals) // 2 - 1 :][:2]) / 2
    words = f"Median {middle:g} of {source.points:g} points, lowest {totals[0]:g}, highest {totals[-1]:g}."
    picture = (
        f'<svg viewBox="0 0 430 155" width="100%" role="img" aria-label="{_e(words)}">{"".join(bars)}'
        '<text x="215" y="152" text-anchor="middle" font-size="11">points</text></svg>'
    )
    statuses = Counter(result["status"] for result in results)
    shown = ", ".join(f"{status} {count}" for status, count in sorted(statuses.items()))
    return ["<h2>How the marks lie</h2>", picture, f"<p>{_e(words)}</p>", f"<p>Status: {_e(shown)}.</p>"]


def _questions(source: Source, results: Sequence[Mapping[str, Any]]) -> list[str]:
    if len(results) < FEWEST:
        return []
    rows = []
    for name, question in source.questions.items():
        earned = [each["points"] for result in results for each in result["questions"] if each["question"] == name]
        share = sum(earned) / (question.points * len(results))
        full = sum(points == question.points for points in earned)
        rows.append((share, f"<tr><td>{name}</td><td>{question.kind}</td><td>{share:.0%}</td><td>{full}</td></tr>"))
    rows.sort(key=lambda row: row[0])
    head = "<tr><th>question</th><th>kind</th><th>points earned</th><th>full marks</th></tr>"
    return ["<h2>Hardest first</h2>", f"<table>{head}{''.join(row for _, row in rows)}</table>"]


def _mistakes(source: Source, results: Sequence[Mapping[str, Any]]) -> list[str]:
    """Reasons that several share; an exception by its kind alone, since its words may be anybody's."""
    counts = Counter(
        (each["question"], _kind(each["reason"]))
        for result in results
        for each in result["questions"]
        if each["reason"]
    )
    common = [(count, *key) for key, count in counts.items() if count >= FEWEST]
    if not common:
        return [f"<h2>Common mistakes</h2><p>None that {FEWEST} or more share.</p>"]
    lines = [f"<li>{name}: {_e(what)} ({count} students)</li>" for count, name, what in sorted(common, reverse=True)]
    return ["<h2>Common mistakes</h2><ul>", *lines, "</ul>"]


def _kind(reason: str) -> str:
    head = reason.split(":")[0]
    if head.startswith("right in"):
        return "wrong in some or all hidden cases"
    own_words = head in REASONS_ES or head == "not kept"
    return head if own_words or hasattr(builtins, head) else "another mistake"


def _e(text: str) -> str:
    return html.escape(text)
