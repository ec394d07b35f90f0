"""The course as pages, opened from the disk without a network: on a phone, on a desk, light, dark, by keyboard."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="needs the browser extra: make test-browser")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs the browser extra: make test-browser")

ROOT = Path(__file__).parents[2]
KINDS = ("index", "notebooks/03-autoscaling", "notebooks/10-bias-and-explanations", "docs/glossary")

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("site")]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    spec = importlib.util.spec_from_file_location("site_builder", ROOT / "docs" / "site" / "build.py")
    builder = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = builder  # where dataclasses look for its annotations
    spec.loader.exec_module(builder)
    target = tmp_path_factory.mktemp("site")
    builder.build(ROOT, target)
    return target


@pytest.fixture(params=[("light", 1280), ("dark", 360)], ids=["desk, light", "phone, dark"])
def page(request: pytest.FixtureRequest, browser: "playwright.BrowserContext") -> Iterator["playwright.Page"]:
    scheme, width = request.param
    context = browser.browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 800}, offline=True)
    found = context.new_page()
    found.wrong = []
    found.on("console", lambda message: found.wrong.append(message.text))
    found.on("request", lambda asked: asked.url.startswith(("file:", "data:")) or found.wrong.append(asked.url))
    yield found
    context.close()


@pytest.mark.parametrize("name", KINDS)
def test_a_page_is_accessible_and_asks_for_nothing(page: "playwright.Page", site: Path, name: str) -> None:
    page.goto((site / f"{name}.html").as_uri())
    assert page.wrong == []  # before the checker asks for the style sheets itself
    page.locator("main details").evaluate_all("all => all.forEach(one => one.open = true)")
    found = [each for each in axe.Axe().run(page).response["violations"] if each["impact"] in ("serious", "critical")]
    assert [(each["id"], each["nodes"][0]["html"]) for each in found] == []


@pytest.mark.parametrize("page", [("dark", 360)], indirect=True, ids=["phone, dark"])
def test_every_page_fits_a_phone(page: "playwright.Page", site: Path) -> None:
    too_wide = []
    for path in sorted(site.rglob("*.html")):
        page.goto(path.as_uri())
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            too_wide.append(path.name)
    assert too_wide == []


def test_the_search_is_used_by_keyboard(page: "playwright.Page", site: Path) -> None:
    page.goto((site / "index.html").as_uri())
    page.locator("#search").focus()
    page.keyboard.type("arranque en frio")  # without its accent
    first = page.locator("#found a").first
    playwright.expect(first).to_be_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    playwright.expect(page.locator("main")).to_contain_text("arranque en frío")
    assert page.wrong == []


def test_a_replay_plays_by_keyboard(page: "playwright.Page", site: Path) -> None:
    page.goto((site / "notebooks" / "03-autoscaling.html").as_uri())
    element = page.locator("iframe[title='Replay of the run']")
    element.scroll_into_view_if_needed()
    inside = element.content_frame
    playwright.expect(inside.locator("#strip polygon").first).to_be_visible()
    at = inside.locator("#at")
    at.focus()
    page.keyboard.press("ArrowRight")
    assert at.input_value() == "1"
    assert "requests" in at.get_attribute("aria-valuetext")
    inside.locator("#play").focus()
    page.keyboard.press("Space")
    playwright.expect(inside.locator("#play")).to_have_text("Pause")
    playwright.expect(at).not_to_have_value("1")
    page.keyboard.press("Space")
    playwright.expect(inside.locator("#play")).to_have_text("Play")
