"""The learner's copy of every notebook in a real JupyterLab, in a real browser, by keyboard."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from in_jupyterlab import Notebook

playwright = pytest.importorskip("playwright.sync_api", reason="needs the browser extra: make test-browser")

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted(path.name for path in (ROOT / "notebooks").glob("*.ipynb"))

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=NOTEBOOKS)
def notebook(request: pytest.FixtureRequest, browser: "playwright.Browser", lab: str) -> Iterator[Notebook]:
    """Each notebook in turn, run once from top to bottom."""
    opened = Notebook(browser, lab, request.param)
    opened.run_all()
    opened.picture("run")
    yield opened
    opened.page.close()


# --- what a learner must meet ---------------------------------------------------------------------------------------


def test_it_runs_without_error_or_warning(notebook: Notebook) -> None:
    wrong = notebook.page.locator(
        '.jp-OutputArea-output[data-mime-type="application/vnd.jupyter.error"],'
        '.jp-OutputArea-output[data-mime-type="application/vnd.jupyter.stderr"]'
    )
    assert wrong.all_text_contents() == []
    assert "Error displaying widget" not in notebook.text()


def test_pictures_can_be_seen(notebook: Notebook) -> None:
    widths = notebook.measured(".jp-OutputArea-output img", "img => img.complete && img.getBoundingClientRect().width")
    stored = (ROOT / "notebooks" / notebook.name).read_text()
    assert bool(widths) == ('"image/png"' in stored), "pictures where the stored notebook has some"
    assert min(widths, default=301) > 300


def test_outputs_fit_the_page(notebook: Notebook) -> None:
    cut = "one => one.scrollWidth > one.clientWidth + 2 ? one.textContent.trim().slice(0, 80) : null"
    assert set(notebook.measured(".jp-OutputArea-output", cut)) == {None}


def test_a_prediction_saved_by_keyboard_is_set_against_the_result(notebook: Notebook) -> None:
    numbers = notebook.cell_with("input[type=number]")
    for cell in numbers.all():
        cell.locator("input[type=number]").focus()
        for key in ("Control+a", "1", "2", "Tab", "Enter"):
            notebook.page.keyboard.press(key)
        playwright.expect(cell.get_by_text("Saved: 12")).to_be_visible()
    choices = notebook.cell_with(".widget-radio-box")
    for cell in choices.all():
        options = cell.locator("input[type=radio]")
        options.first.focus()
        for key in ("Space", *["Tab"] * options.count(), "Enter"):
            notebook.page.keyboard.press(key)
        playwright.expect(cell.get_by_text("Saved:")).to_be_visible()
    predictions = numbers.count() + choices.count()
    assert predictions, "every notebook asks for a prediction"
    notebook.run_all()
    assert notebook.text().count("Your prediction: ") == predictions
    assert "No prediction for" not in notebook.text()
    notebook.picture("predicted")


def test_the_control_moves_by_keyboard(notebook: Notebook) -> None:
    cell = notebook.cell_with(".noUi-handle, .widget-dropdown select")
    assert cell.count() == 1, "every notebook has one control to vary"
    before = cell.text_content()
    cell.locator(".noUi-handle, .widget-dropdown select").first.focus()  # where there are two, the first
    notebook.page.keyboard.press("ArrowRight")
    words = cell.locator(".jp-OutputArea-output :is(pre, table)")
    notebook.page.wait_for_timeout(100)
    playwright.expect(words.first).to_be_visible(timeout=20_000)
    end = time.monotonic() + 20
    while cell.text_content() == before and time.monotonic() < end:
        notebook.page.wait_for_timeout(100)
    assert cell.text_content() != before
    assert cell.locator("img").count() <= 1, "the new picture takes the old one's place"
    notebook.picture("varied")


def test_nothing_leaves_the_machine(notebook: Notebook) -> None:
    assert notebook.outside == []
