"""A report of a command, and its forms: text for a terminal, Markdown, HTML in one file; and CSV of plain records."""

import base64
import csv
import html
import io
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from simlib.parameters import ParameterError

WIDTH = 118
SUFFIXES = {".md": "markdown", ".markdown": "markdown", ".csv": "csv", ".html": "html", ".htm": "html"}


@dataclass(frozen=True)
class Table:
    """Cells as they are printed; the first column names the rows."""

    caption: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Picture:
    """A picture as PNG, what it is about, and what it shows in words."""

    png: bytes
    caption: str
    words: str


@dataclass(frozen=True)
class Report:
    """What a command found: `lead` comes before the tables, `found` after them, then `notes`, each with a heading."""

    title: str
    lead: Sequence[str]
    tables: Sequence[Table]
    found: Sequence[str]
    notes: Sequence[tuple[str, Sequence[str]]]
    picture: Picture | None = field(default=None)


# --- forms ----------------------------------------------------------------------------------------------------------


def text(report: Report) -> str:
    """For a terminal."""
    blocks = ["\n".join(map(_filled, report.lead))]
    blocks += [f"{table.caption}:\n{_aligned(table)}" for table in report.tables]
    blocks += [_filled(sentence) for sentence in [*report.found, *([report.picture.words] if report.picture else [])]]
    for heading, lines in report.notes:
        blocks.append("\n".join([f"{heading}:", *(_filled(line, "  ", "     ") for line in lines)]))
    return "\n\n".join(blocks) + "\n"


def _filled(sentence: str, first: str = "", rest: str = "") -> str:
    return textwrap.fill(
        sentence, WIDTH, initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False
    )


def _aligned(table: Table) -> str:
    rows = [table.heads, *table.rows]
    widths = [max(len(row[k]) for row in rows) for k in range(len(table.heads))]
    lines = (
        "  ".join([row[0].ljust(widths[0]), *(row[k].rjust(widths[k]) for k in range(1, len(widths)))]) for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)


def markdown(report: Report, picture: str | None = None) -> str:
    """For a repository or a wiki; *picture* is where its PNG file lies, seen from the text."""
    blocks = [f"# {_plain(report.title)}", *map(_plain, report.lead)]
    for table in report.tables:
        rule = ["---", *["---:"] * (len(table.heads) - 1)]
        heads, *rows = [[_plain(cell) for cell in cells] for cells in (table.heads, *table.rows)]
        grid = [f"| {' | '.join(cells)} |" for cells in (heads, rule, *rows)]
        blocks += [f"{_plain(table.caption)}:", "\n".join(grid)]
    blocks += map(_plain, report.found)
    if report.picture is not None:
        words = _plain(report.picture.words)
        blocks.append(words if picture is None else f"![{words}](<{_link(picture)}>)")
    for heading, lines in report.notes:
        blocks += [f"## {_plain(heading)}", "\n".join(f"- {_plain(line)}" for line in lines)]
    return "\n\n".join(blocks) + "\n"


def _plain(words: str) -> str:
    """Without anything that Markdown would read as a sign."""
    return re.sub(r"([\\`*_{}\[\]<>|~#&$])", r"\\\1", " ".join(words.split()))


def _link(path: str) -> str:
    return re.sub(r"([<>\\])", r"\\\1", path)


STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #111; background: #fff; max-width: 84rem; margin: 2rem auto;
  padding: 0 1rem; }
.scroll { overflow-x: auto; margin: 1.5rem 0; }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: bold; padding-bottom: .4rem; }
th, td { padding: .3rem .45rem; text-align: right; white-space: nowrap; border-bottom: 1px solid #ccc; }
thead th { border-bottom: 2px solid #111; vertical-align: bottom; }
th:first-child { text-align: left; padding-left: 0; }
.found { font-weight: bold; }
figure { margin: 1.5rem 0; }
img { max-width: 100%; height: auto; }
.notes { font-size: .875rem; overflow-wrap: anywhere; }
h2 { font-size: 1rem; margin-bottom: 0; }
ul { margin-top: .3rem; }
"""


def page(report: Report) -> str:
    """One HTML file that needs no other: styles and picture are inside."""
    parts = [
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{_safe(report.title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>",
        f"<h1>{_safe(report.title)}</h1>",
        *(f"<p>{_safe(sentence)}</p>" for sentence in report.lead),
        *map(_table, report.tables),
        *(f'<p class="found">{_safe(sentence)}</p>' for sentence in report.found),
    ]
    if report.picture is not None:
        data = base64.b64encode(report.picture.png).decode("ascii")
        image = f'<img src="data:image/png;base64,{data}" alt="{_safe(report.picture.words)}">'
        caption = f"<figcaption>{_safe(report.picture.caption)}</figcaption>"
        parts.append(f"<figure>\n{image}\n{caption}\n</figure>")
    parts.append('<section class="notes">')
    for heading, lines in report.notes:
        items = "\n".join(f"<li>{_safe(line)}</li>" for line in lines)
        parts.append(f"<h2>{_safe(heading)}</h2>\n<ul>\n{items}\n</ul>")
    parts.append("</section>\n</main>\n</body>\n</html>")
    return "\n".join(parts) + "\n"


def _table(table: Table) -> str:
    """With a caption, and headers that say whether they are a column's or a row's."""
    heads = "".join(f'<th scope="col">{_safe(head)}</th>' for head in table.heads)
    rows = "\n".join(
        f'<tr><th scope="row">{_safe(row[0])}</th>{"".join(f"<td>{_safe(cell)}</td>" for cell in row[1:])}</tr>'
        for row in table.rows
    )
    caption = _safe(table.caption)
    inside = f"<caption>{caption}</caption>\n<thead>\n<tr>{heads}</tr>\n</thead>\n<tbody>\n{rows}\n</tbody>"
    reached = f'class="scroll" role="region" aria-label="{caption}" tabindex="0"'  # by keyboard, where it is too wide
    return f"<div {reached}>\n<table>\n{inside}\n</table>\n</div>"


def _safe(words: str) -> str:
    return html.escape(words, quote=True)


def records(rows: Sequence[Mapping[str, object]]) -> str:
    """CSV with a header; nothing for what is None."""
    lines = io.StringIO()
    writer = csv.DictWriter(lines, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return lines.getvalue()


# --- files ----------------------------------------------------------------------------------------------------------


def check_target(flag: str, path: Path, *, force: bool, log: Path | None = None) -> None:
    """Raise before the work begins where *path* cannot or should not be written."""
    if log is not None and path.exists() and log.exists() and path.samefile(log):
        raise ParameterError(f"{flag} {path}: that is the log itself; name another file.")
    if path.exists() and not path.is_file():
        raise ParameterError(f"{flag} {path}: that is not a file; name a file.")
    if path.exists() and not force:
        raise ParameterError(f"{flag} {path}: that file exists; name another, or add --force to replace it.")
    if not path.parent.is_dir():
        raise ParameterError(f"{flag} {path}: there is no folder {str(path.parent)!r}.")


def write(path: Path, content: bytes) -> None:
    """All of it or nothing: whoever reads meanwhile sees the old file or the new one."""
    path = path.resolve()  # a link stays one
    draft = path.with_name(f"{path.name}.part")
    try:
        draft.write_bytes(content)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
