"""A report as one HTML page, without script: its skeleton, tables, pictures with words, and text that is no markup."""

import html
import math
from collections.abc import Iterable, Sequence
from importlib import resources
from typing import Any

import numpy as np


def skeleton(title: str, views: Sequence[tuple[str, str, str]]) -> str:
    """A whole page: its title, links to its views, and of each view (key, heading, body)."""
    links = "".join(f'<li><a href="#{key}">{name}</a></li>' for key, name, _ in views)
    sections = "".join(
        f'<section id="{key}" aria-labelledby="{key}-title"><h2 id="{key}-title">{name}</h2>{body}</section>'
        for key, name, body in views
    )
    style = (resources.files("simlib.fairness") / "report.css").read_text(encoding="utf-8")
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{text(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{style}</style></head><body>'
        f'<header><h1>{text(title)}</h1><nav aria-label="Views"><ul>{links}</ul></nav></header>'
        f"<main>{sections}</main></body></html>\n"
    )


def text(value: Any) -> str:
    """Whatever comes from outside is text, never markup."""
    return html.escape(str(value), quote=True)


def number(value: float) -> str:
    """Four significant digits, with a true minus sign."""
    if math.isnan(value):
        return "undefined"
    shown = f"{abs(value):.4g}" if math.isfinite(value) else "∞"
    return f"−{shown}" if value < 0 and float(f"{value:.4g}") else shown


def cell(value: Any) -> str:
    """A value of the user's data, shortened if it is a fraction."""
    return number(float(value)) if isinstance(value, float | np.floating) else str(value)


def table(
    caption: str,
    header: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    numbers: Sequence[int] = (),
    kind: str = "",
) -> str:
    """A table whose first column heads its rows; a tuple in a cell is a name above its explanation.

    It scrolls by itself on a narrow screen.  *kind* is a class of the style sheet, which knows the columns' widths.
    """
    rows = list(rows)
    classes = " ".join(filter(None, [kind, "short" if len(rows) <= 16 else ""]))
    head = "".join(f'<th scope="col">{text(name)}</th>' for name in header)
    body = "".join(
        f'<tr><th scope="row">{_content(first)}</th>'
        + "".join(
            f"<td{' class=number' if k in numbers else ''}>{_content(rest)}</td>" for k, rest in enumerate(others, 1)
        )
        + "</tr>"
        for first, *others in rows
    )
    return (
        f'<div class=scroll role="region" aria-label="{text(caption)}" tabindex="0">'
        f'<table class="{classes}"><caption>{text(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _content(value: Any) -> str:
    if isinstance(value, tuple):
        name, *more = value
        return text(name) + "".join(f"<br><span class=small>{text(each)}</span>" for each in more)
    return text(value)


def picture(words: str, drawn: str, *, height: float, caption: str) -> str:
    """An SVG of 620 units' width that also says itself in words, under a caption that everybody sees."""
    return (
        f"<figure><figcaption>{text(caption)}</figcaption>"
        f'<svg role="img" aria-label="{text(words)}" viewBox="0 0 620 {height:.0f}" width="620" height="{height:.0f}" '
        f'font-size="14"><title>{text(words)}</title>{drawn}</svg></figure>'
    )
