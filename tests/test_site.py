"""The course as static pages: everything is on them, every link leads somewhere, and nothing comes from elsewhere."""

import importlib.util
import json
import re
import sys
from html import escape
from pathlib import Path
from types import ModuleType

import pytest

from simlib.course import glossary

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def builder() -> ModuleType:
    spec = importlib.util.spec_from_file_location("site_builder", ROOT / "docs" / "site" / "build.py")
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = found  # where dataclasses look for its annotations
    spec.loader.exec_module(found)
    return found


@pytest.fixture(scope="module")
def site(builder: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("site")
    builder.build(ROOT, target)
    return target


def test_every_notebook_exercise_and_guide_has_its_page(site: Path) -> None:
    for folder in ("notebooks", "exercises", "docs/guide", "docs/teaching"):
        files = [path for path in (ROOT / folder).iterdir() if not path.name.startswith("generated-")]
        sources = {path.stem for path in files if path.suffix in (".md", ".ipynb")}
        assert sources
        assert sources - {path.stem for path in (site / folder).glob("*.html")} == set()


def test_every_link_leads_somewhere_and_nothing_is_loaded_from_elsewhere(builder: ModuleType, site: Path) -> None:
    assert builder.broken_links(site) == []


def test_the_link_check_finds_what_is_wrong(builder: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "here.html").write_text(
        '<a href="gone.html"></a><a href="#nowhere"></a><a href="#there"></a><p id="there"></p>'
        '<script src="https://elsewhere.example/a.js"></script><a href="https://elsewhere.example/"></a>'
    )
    assert sorted(builder.broken_links(tmp_path)) == [
        "here.html links to #nowhere, which has no such heading.",
        "here.html links to gone.html, which is not there.",
        "here.html loads https://elsewhere.example/a.js.",
    ]


def test_every_page_has_a_title_one_main_heading_and_says_where_it_is(site: Path) -> None:
    for path in site.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert "<title>Untitled" not in text
        assert text.count("<h1") == 1, path
        assert text.count('aria-current="page"') == 1, path


def test_pictures_are_told_in_words(site: Path) -> None:
    text = (site / "notebooks" / "03-autoscaling.html").read_text(encoding="utf-8")
    told = re.findall(r'<img loading="lazy" alt="([^"]+)"', text)
    assert len(told) == (ROOT / "notebooks" / "03-autoscaling.ipynb").read_text(encoding="utf-8").count(
        '"image/png": "'
    )
    assert all(len(words) > 40 for words in told)


def test_what_a_prediction_would_give_away_is_folded(site: Path) -> None:
    stored = (ROOT / "notebooks" / "03-autoscaling.ipynb").read_text(encoding="utf-8")
    folded = (site / "notebooks" / "03-autoscaling.html").read_text(encoding="utf-8").count("predict first")
    assert 0 < folded <= stored.count('"outputs_hidden": true')


def test_no_formula_needs_a_program_to_be_read(site: Path) -> None:
    assert [path.name for path in site.rglob("*.html") if re.search(r"\$[^$<\n]*\\\w+", path.read_text("utf-8"))] == []


def test_the_glossary_has_both_languages(site: Path) -> None:
    text = (site / "docs" / "glossary.html").read_text(encoding="utf-8")
    for entry in glossary.entries().values():
        assert escape(entry.means) in text
        assert f'<th scope="row" lang="es">{escape(entry.spanish)}</th>' in text


def test_the_search_knows_every_page(site: Path) -> None:
    index = (site / "search-index.js").read_text(encoding="utf-8")
    rows = json.loads(index.removeprefix("window.SEARCH = "))
    pages = {path.relative_to(site).as_posix() for path in site.rglob("*.html")}
    assert {path for path, *_ in rows} == pages
    assert any("cold start" in text for *_, text in rows)
