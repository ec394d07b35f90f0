"""The learner's copy of every notebook in a real JupyterLab, in a real browser, by keyboard."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from in_jupyterlab import Notebook

playwright = pytest.importorskip("playwright.sync_api", reason="needs the browser extra: make test-browser")

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted(path.name for path in (ROOT / "notebooks").glob("*.ipynb"))

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=[pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in NOTEBOOKS])
def notebook(request: pytest.FixtureRequest, browser: "playwright.BrowserContext", lab: str) -> Iterator[Notebook]:
    """Each notebook in turn, run once from top to bottom; everything is tried on that one page."""
    opened = Notebook(browser, lab, request.param)
    opened.run_all()
    opened.picture("run")
    yield opened
    opened.close()


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
    has_some = '"image/png"' in stored or '"explorer"' in stored  # an explorer draws its own
    assert bool(widths) == has_some, "pictures where the stored notebook has some"
    assert min(widths, default=301) > 300


def test_outputs_fit_the_page(notebook: Notebook) -> None:
    cut = "one => one.scrollWidth > one.clientWidth + 2 ? one.textContent.trim().slice(0, 80) : null"
    assert set(notebook.measured(".jp-OutputArea-output", cut)) == {None}


def test_a_prediction_saved_by_keyboard_is_set_against_the_result(notebook: Notebook) -> None:
    numbers = notebook.outputs_with("input[type=number]")
    for asked in numbers.all():
        asked.locator("input[type=number]").focus()
        for key in ("Control+a", "1", "2", "Tab", "Enter"):
            notebook.page.keyboard.press(key)
        playwright.expect(asked.get_by_text("Saved: 12")).to_be_visible()
    quiz = notebook.page.locator(".simlib-quiz")  # has choices, too
    choices = notebook.outputs_with(".widget-radio-box").filter(has_not=quiz)
    for asked in choices.all():
        options = asked.locator("input[type=radio]")
        options.first.focus()
        for key in ("Space", *["Tab"] * options.count(), "Enter"):
            notebook.page.keyboard.press(key)
        playwright.expect(asked.get_by_text("Saved:")).to_be_visible()
    predictions = numbers.count() + choices.count()
    assert predictions, "every notebook asks for a prediction"
    waiting = notebook.cells.filter(has_text="No prediction for")
    for left in reversed(range(waiting.count())):  # only these cells run again, not the whole notebook
        notebook.run(waiting.first)
        playwright.expect(waiting).to_have_count(left, timeout=60_000)
    notebook.wait_until_said("Your prediction: ", predictions)
    notebook.picture("predicted")


def test_the_control_moves_by_keyboard(notebook: Notebook) -> None:
    cell = notebook.cell_with(".noUi-handle, .widget-dropdown select")
    if notebook.name == "class-session.ipynb":
        cell = cell.first  # an explorer a section
    assert cell.count() == 1, "every notebook has one control to vary"
    element = cell.element_handle()
    before = element.evaluate(_ANSWER)
    assert before, "an answer stands below the control"
    cell.locator(".noUi-handle, .widget-dropdown select").first.focus()  # where there are two, the first
    notebook.page.keyboard.press("ArrowRight")
    changed = f"([cell, before]) => ![before, ''].includes(({_ANSWER})(cell))"
    notebook.page.wait_for_function(changed, arg=[element, before], timeout=20_000)
    assert cell.locator("img").count() <= 1, "the new picture takes the old one's place"
    notebook.picture("varied")


def test_nothing_leaves_the_machine(notebook: Notebook) -> None:
    assert notebook.outside == []


_ANSWER = """cell => [...cell.querySelectorAll(".jp-OutputArea-output :is(pre, table, img)")]
    .map(each => each.src ?? each.textContent).join()"""  # not the control's own number
