"""The whole course as static pages: notebooks, exercises, guides, glossary, and a search that needs no server.

    python docs/site/build.py [FOLDER]         # build/site unless told otherwise

The pages mirror the repository (`notebooks/02-….ipynb` becomes `notebooks/02-….html`), so its links hold.  Everything a
page shows lies beside it: a browser with the network off shows the same, and a policy in each page forbids it to load
anything from elsewhere.  Ends with an error if a link leads nowhere.
"""

import base64
import hashlib
import json
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape, unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import jinja2
import nbformat
from nbconvert.filters import Highlight2HTML, strip_ansi
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from pygments.formatters import HtmlFormatter

from simlib.course import glossary
from simlib.playback import script

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PARTS = ("Course", "Exercises", "Guide", "Teaching", "Glossary", "Behind the course")
LIVE = "Here stands a control that answers while you turn it: in JupyterLab, by <code>make lab</code>."
RAW = ("LICENSE", "CITATION.cff")
_HEADING = re.compile(r"<h([1-6])(?: id=\"([^\"]*)\")?>(.*?)</h\1>", re.S)


@dataclass
class Page:
    """One page: where it lies in the site, in which part of the navigation, its title, and its body as HTML."""

    path: str
    part: str
    title: str
    body: str
    kind: str = "text"
    sections: list[tuple[str, str, str]] = field(default_factory=list)  # (anchor, heading, text) for the search

    def __post_init__(self) -> None:
        self.sections = list(_sections(self.body, self.title))

    def up(self) -> str:
        """From this page to the top of the site."""
        return "../" * self.path.count("/")


def build(root: Path, target: Path) -> list[Page]:
    """Writes the site of the repository at *root* into *target*, anew, and returns its pages."""
    found = pages(root)
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(HERE), autoescape=False, trim_blocks=True)
    template = environment.get_template("page.html")
    player = base64.b64encode(hashlib.sha256(script().encode()).digest()).decode()  # the one script inside a page
    course = [page for page in found if page.part == "Course"]
    for page in found:
        beside = _beside(course, page) if page in course else (None, None)
        text = template.render(
            page=page, pages=found, parts=PARTS, before=beside[0], after=beside[1], escape=escape, player=player
        )
        _write(target / page.path, text)
    for name in ("site.css", "search.js"):
        shutil.copy(HERE / name, target)
    _write(target / "code.css", _code_colors())
    rows = [[page.path, page.title, *section] for page in found for section in page.sections]
    _write(target / "search-index.js", f"window.SEARCH = {json.dumps(rows, ensure_ascii=False)}\n")
    shutil.copytree(root / "docs" / "pictures", target / "docs" / "pictures", ignore=shutil.ignore_patterns("*.md"))
    for name in RAW:
        shutil.copy(root / name, target / f"{name}.txt")
    return found


def pages(root: Path) -> list[Page]:
    """Every page of the site, in the order of its navigation."""
    notebooks = sorted((root / "notebooks").glob("*.ipynb"))
    exercises = [notebook_page(root, path, "Exercises") for path in sorted((root / "exercises").glob("*.ipynb"))]
    guides = [text_page(root, path, "Guide") for path in sorted((root / "docs" / "guide").glob("*.md"))]
    teaching = [text_page(root, path, "Teaching") for path in sorted((root / "docs" / "teaching").glob("*.md"))]
    words = root / "docs" / "glossary.md"  # has a page of its own
    behind = [*sorted({*(root / "docs").glob("*.md")} - {words}), root / "benchmarks" / "README.md"]
    behind += [root / name for name in ("CONTRIBUTING.md", "CHANGELOG.md")]
    return [
        text_page(root, root / "README.md", "Course", path="index.html"),
        *(notebook_page(root, path, "Course") for path in notebooks),
        _list_page("exercises/index.html", "Exercises", "All exercises", exercises),
        *exercises,
        _list_page("docs/guide/index.html", "Guide", "All guides", guides),
        *guides,
        *teaching,
        glossary_page(),
        *(text_page(root, path, "Behind the course") for path in behind),
    ]


# --- kinds of pages --------------------------------------------------------------------------------------------------


def text_page(root: Path, source: Path, part: str, path: str | None = None) -> Page:
    """A page of a Markdown file."""
    text = re.sub(r"\A<!--.*?-->\s*", "", source.read_text(encoding="utf-8"), flags=re.S)
    body = _linked(markdown(text))
    return Page(path or _page_of(str(source.relative_to(root))), part, _title(body), body)


def notebook_page(root: Path, source: Path, part: str) -> Page:
    """A page of a notebook with what it stores."""
    notebook = nbformat.read(source, as_version=4)
    body = _linked("\n".join(_cell(cell) for cell in notebook.cells))
    return Page(_page_of(str(source.relative_to(root))), part, _title(body), body, "notebook")


def glossary_page() -> Page:
    """The words of the course, each in one sentence, in both languages."""
    rows = "".join(
        f'<tr id="{_anchor(each.term)}"><th scope="row">{escape(each.term)}</th><td>{escape(each.means)}</td>'
        f'<th scope="row" lang="es">{escape(each.spanish)}</th><td lang="es">{escape(each.significa)}</td></tr>'
        for each in glossary.entries().values()
    )
    named = '<th scope="col">Word</th><th scope="col">Means</th>'
    head = f'<tr>{named}<th scope="col" lang="es">Palabra</th><th scope="col" lang="es">Significa</th></tr>'
    table = f'<table class="words"><thead>{head}</thead><tbody>{rows}</tbody></table>'
    body = f'<h1 id="glossary">Glossary · <span lang="es">Glosario</span></h1>{_scrolled("The glossary", table)}'
    return Page("docs/glossary.html", "Glossary", "Glossary · Glosario", body)


def _list_page(path: str, part: str, title: str, of: list[Page]) -> Page:
    rows = "".join(f'<li><a href="{page.path.split("/")[-1]}">{escape(page.title)}</a></li>' for page in of)
    return Page(path, part, title, f'<h1 id="all">{title}</h1><ul>{rows}</ul>')


# --- a notebook's cells ----------------------------------------------------------------------------------------------


def _cell(cell: Any) -> str:
    if cell.cell_type == "markdown":
        return f'<div class="text">{markdown(cell.source)}</div>'
    if cell.cell_type != "code" or not cell.source.strip():
        return ""
    code = _scrolled("Code", Highlight2HTML(pygments_lexer="python")(cell.source), "code")
    outputs = "".join(_output(cell, k) for k in range(len(cell.outputs)))
    if outputs and cell.metadata.get("jupyter", {}).get("outputs_hidden"):
        outputs = f"<details><summary>The result (predict first)</summary>{outputs}</details>"
    return f'<div class="cell">{code}{outputs}</div>'


def _output(cell: Any, k: int) -> str:
    output = cell.outputs[k]
    if output.output_type == "stream":
        return _scrolled("Printed", f"<pre>{escape(strip_ansi(output.text))}</pre>", "printed")
    if output.output_type == "error":
        return _scrolled("Error", f"<pre>{escape(strip_ansi(chr(10).join(output.traceback)))}</pre>", "printed")
    data = output.data
    if "application/vnd.jupyter.widget-view+json" in data:
        return f'<p class="live">{LIVE}</p>'
    if "image/png" in data:
        alt = escape(_said_after(cell, k), quote=True)
        return f'<img loading="lazy" alt="{alt}" src="data:image/png;base64,{data["image/png"].strip()}">'
    if "text/html" in data:
        return _scrolled("Result", data["text/html"], "table")
    if "text/markdown" in data:
        below = re.sub(r"<(/?)h([1-4])\b", lambda h: f"<{h[1]}h{int(h[2]) + 2}", markdown(data["text/markdown"]))
        return f'<div class="text">{below}</div>'
    return _scrolled("Result", f"<pre>{escape(data.get('text/plain', ''))}</pre>", "printed")


def _said_after(cell: Any, k: int) -> str:
    """The sentence in words that stands below a picture: what a reader who does not see it hears instead."""
    for output in cell.outputs[k + 1 :]:
        words = output.get("text") or output.get("data", {}).get("text/plain", "")
        if words.strip():
            return " ".join(words.split())
    return "The picture that the code above draws; the text around it says what it shows."


def _scrolled(label: str, inside: str, kind: str = "table") -> str:
    """Something that may be wider than a phone: it scrolls by itself, also by keyboard."""
    return f'<div class="scroll {kind}" tabindex="0" role="group" aria-label="{label}">{inside}</div>'


# --- text ------------------------------------------------------------------------------------------------------------


def markdown(text: str) -> str:
    """Markdown as HTML, as nbconvert makes it; wide pieces scroll."""
    made = MarkdownWithMath(renderer=IPythonRenderer(escape=False, exclude_anchor_links=True)).render(text)
    made = re.sub(r"<table>.*?</table>", lambda found: _scrolled("Table", found[0]), made, flags=re.S)
    made = re.sub(r"<pre>.*?</pre>", lambda found: _scrolled("Code", found[0], "code"), made, flags=re.S)
    return _HEADING.sub(lambda h: f'<h{h[1]} id="{_anchor(h[3])}">{h[3]}</h{h[1]}>', made)


def _anchor(heading: str) -> str:
    """What GitHub makes of a heading, so that the repository's links hold."""
    words = re.sub(r"<[^>]+>", "", unescape(heading)).lower()
    return re.sub(r"[^\w\- ]", "", words).strip().replace(" ", "-") or "section"


def _title(body: str) -> str:
    return next((_plain(h[3]) for h in _HEADING.finditer(body) if h[1] == "1"), "Untitled")


def _plain(html: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


def _page_of(path: str) -> str:
    return re.sub(r"\.(md|ipynb)$", ".html", path)


def _linked(body: str) -> str:
    """Links to the repository's files as links to their pages."""

    def page_of(found: re.Match[str]) -> str:
        path, anchor = found[1], found[2] or ""
        if re.match(r"[a-z]+:", path):
            return found[0]
        path = re.sub(r"(^|/)README\.md$", r"\1index.html", path) if path.count("/") < 1 else path
        if path.endswith("/"):
            path += "index.html"
        if path.split("/")[-1] in RAW:
            path += ".txt"
        return f'href="{_page_of(path)}{anchor}"'

    return re.sub(r'href="([^"#]+)(#[^"]*)?"', page_of, body)


def _sections(body: str, title: str) -> Iterator[tuple[str, str, str]]:
    """(anchor, heading, text) of each stretch between two headings; code is left out."""
    shown = re.sub(r'<div class="scroll (code|printed)".*?</div>', " ", body, flags=re.S)
    shown = re.sub(r"<(style|script)[^>]*>.*?</\1>", " ", shown, flags=re.S)
    heads = list(_HEADING.finditer(shown))
    ends = [head.start() for head in heads[1:]] + [len(shown)]
    for head, end in zip(heads, ends, strict=False):
        text = _plain(shown[head.end() : end])
        yield head[2], _plain(head[3]) if head[1] != "1" else title, text if head[2] == "glossary" else text[:1500]


def _beside(course: list[Page], page: Page) -> tuple[Page | None, Page | None]:
    k = course.index(page)
    return (course[k - 1] if k else None), (course[k + 1] if k + 1 < len(course) else None)


def _code_colors() -> str:
    """Colours of code, for light and for dark."""
    light = HtmlFormatter(style="xcode").get_style_defs(".highlight")
    dark = HtmlFormatter(style="github-dark").get_style_defs(".highlight")
    return f"{light}\n@media (prefers-color-scheme: dark) {{\n{dark}\n}}\n"


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


# --- links -----------------------------------------------------------------------------------------------------------


class _Links(HTMLParser):
    """What a page links to and loads, and which anchors it has."""

    def __init__(self) -> None:
        super().__init__()
        self.leads_to: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.anchors.add(value)
            elif name == "href" and value:
                (self.leads_to if tag == "a" else self.loads).append(value)
            elif name in ("src", "srcset", "data", "poster") and value:
                self.loads.append(value)


def broken_links(site: Path) -> list[str]:
    """Links that lead nowhere, and anything a page would load from elsewhere; each as a sentence."""
    read: dict[Path, _Links] = {}
    for path in site.rglob("*.html"):
        read[path] = _Links()
        read[path].feed(re.sub(r"data:[^\"]+", "data:", path.read_text(encoding="utf-8")))  # pictures are long
    found = []
    for path, links in read.items():
        name = path.relative_to(site)
        found += [f"{name} loads {each}." for each in links.loads if urlsplit(each).scheme not in ("", "data")]
        for each in links.leads_to + links.loads:
            url = urlsplit(each)
            if url.scheme or url.netloc:
                continue
            target = (path.parent / unquote(url.path)).resolve() if url.path else path
            if not target.is_file():
                found.append(f"{name} links to {each}, which is not there.")
            elif url.fragment and target in read and unquote(url.fragment) not in read[target].anchors:
                found.append(f"{name} links to {each}, which has no such heading.")
    return found


def main() -> None:
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build" / "site"
    found = build(ROOT, target)
    if broken := broken_links(target):
        sys.exit("\n".join(broken))
    print(f"{len(found)} pages: open {target / 'index.html'}")


if __name__ == "__main__":
    main()
