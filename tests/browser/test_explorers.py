"""Every explorer in a real JupyterLab, and as an app by Voilà: by keyboard, as a learner turns its knobs."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from in_jupyterlab import PATIENCE_S, Desk, Notebook

from simlib import widgets

playwright = pytest.importorskip("playwright.sync_api", reason="needs the browser extra: make test-browser")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs the browser extra: make test-browser")

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("explorers")]


@pytest.fixture(scope="module")
def opened(desk: Desk) -> Notebook:
    """The page of all explorers, run once from top to bottom."""
    notebook = desk.open("explorers.ipynb")
    notebook.run_all()
    notebook.picture("run")
    return notebook


@pytest.fixture(scope="module")
def app(browser: "playwright.BrowserContext") -> Iterator["playwright.Page"]:
    """The same page served by Voilà."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "voila", "docs/explorers.ipynb", "--no-browser", f"--port={port}"]
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end and server.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.3)
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{port}/")
        page.locator(".simlib-explorer svg[role=img]").nth(len(widgets.EXPLORERS) - 1).wait_for()
        yield page
        page.close()
    finally:
        server.terminate()
        server.wait(timeout=PATIENCE_S)


def _box(name: str) -> str:
    return f".simlib-{name.replace('_', '-')}"


def _turned(page: "playwright.Page", name: str) -> None:
    """Move the first knob by one key press: another picture takes the old one's place, and other words stand below."""
    box = page.locator(_box(name))
    box.scroll_into_view_if_needed()
    words, picture = box.get_by_role("status"), box.locator("svg[role=img]")
    playwright.expect(picture).to_have_count(1)
    before = words.text_content()
    playwright.expect(picture).to_have_accessible_name(before)
    same = words.element_handle()
    box.get_by_role("slider").first.focus()
    page.keyboard.press("ArrowRight")
    playwright.expect(words).not_to_have_text(before)
    playwright.expect(picture).to_have_accessible_name(words.text_content())
    assert same.evaluate("region => region.isConnected"), "only what changes inside a live region is announced"


@pytest.mark.xdist_group("explorers in JupyterLab")
@pytest.mark.parametrize("name", widgets.EXPLORERS)
def test_a_key_press_in_jupyterlab_gives_another_answer(opened: Notebook, name: str) -> None:
    _turned(opened.page, name)


@pytest.mark.xdist_group("explorers in JupyterLab")
@pytest.mark.parametrize("name", widgets.EXPLORERS)
def test_its_knobs_are_named_and_say_their_value(opened: Notebook, name: str) -> None:
    box, explorer = opened.page.locator(_box(name)), widgets.EXPLORERS[name]
    for knob in explorer.knobs:
        if isinstance(knob.start, str):
            continue  # a list to choose from
        slider = box.get_by_role("slider", name=knob.label, exact=True)
        assert slider.get_attribute("aria-valuetext") in map(str, knob.options)
    found = axe.Axe().run(opened.page, context=_box(name)).response["violations"]
    assert [each["id"] for each in found if each["impact"] in ("serious", "critical")] == []


@pytest.mark.xdist_group("explorers in JupyterLab")
def test_numbers_and_code_are_opened_by_keyboard(opened: Notebook) -> None:
    box = opened.page.locator(_box("queue_and_latency"))
    for button, holds in (("The same in numbers", "table"), ("The code that gives these numbers", "pre")):
        inside = box.locator(holds)
        playwright.expect(inside).to_be_hidden()
        box.get_by_role("button", name=button).focus()
        opened.page.keyboard.press("Enter")
        playwright.expect(inside).to_be_visible()


@pytest.mark.xdist_group("explorers in JupyterLab")
def test_it_ran_without_error_or_warning_and_nothing_left_the_machine(opened: Notebook) -> None:
    assert opened.complaints() == []
    assert opened.outside == []


@pytest.mark.xdist_group("explorers by Voilà")
@pytest.mark.parametrize("name", widgets.EXPLORERS)
def test_a_key_press_in_voila_gives_another_answer(app: "playwright.Page", name: str) -> None:
    _turned(app, name)
