"""The learner's copy of every notebook in a real JupyterLab, in a real browser, by keyboard.

Each is opened and run once, and everything is tried on that one run; all that is wrong is listed.
"""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from in_jupyterlab import Desk, Notebook

playwright = pytest.importorskip("playwright.sync_api", reason="needs the browser extra: make test-browser")

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((path.name for path in (ROOT / "notebooks").glob("*.ipynb")), reverse=True)  # the longest first

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_learner_gets_through(
    desk: Desk, name: str, subtests: pytest.Subtests, record_property: Callable[[str, object], None]
) -> None:
    notebook = desk.open(name)
    began = time.monotonic()
    notebook.run_all()
    record_property("notebook", {"name": name, "run_s": time.monotonic() - began, **notebook.kernel_takes()})
    notebook.picture("run")
    for must in WHAT_A_LEARNER_MUST_MEET:
        with subtests.test(must.__name__):
            must(notebook)


# --- what a learner must meet ---------------------------------------------------------------------------------------


def no_error_or_warning(notebook: Notebook) -> None:
    assert notebook.complaints() == []


def outputs_that_can_be_seen_whole(notebook: Notebook) -> None:
    seen = notebook.measured(".jp-OutputArea-output", _SEEN)
    assert [each["cut"] for each in seen if each["cut"]] == [], "wider than the page"
    widths = [width for each in seen for width in each["pictures"]]
    stored = (ROOT / "notebooks" / notebook.name).read_text()
    has_some = '"image/png"' in stored or '"explorer"' in stored  # an explorer draws its own
    assert bool(widths) == has_some, "pictures where the stored notebook has some"
    assert min(widths, default=301) > 300


def a_prediction_saved_by_keyboard_is_set_against_the_result(notebook: Notebook) -> None:
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
        playwright.expect(waiting).to_have_count(left)
    notebook.wait_until_said("Your prediction: ", predictions)


def a_control_that_moves_by_keyboard(notebook: Notebook) -> None:
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
    notebook.page.wait_for_function(changed, arg=[element, before])
    assert cell.locator(_PICTURES).count() <= 1, "the new picture takes the old one's place"


def cells_that_ran_again_without_error_or_warning(notebook: Notebook) -> None:
    assert notebook.complaints() == []


def nothing_leaves_the_machine(notebook: Notebook) -> None:
    assert notebook.outside == []


WHAT_A_LEARNER_MUST_MEET = (
    no_error_or_warning,
    outputs_that_can_be_seen_whole,
    a_prediction_saved_by_keyboard_is_set_against_the_result,
    a_control_that_moves_by_keyboard,
    cells_that_ran_again_without_error_or_warning,
    nothing_leaves_the_machine,
)

_PICTURES = "img, svg[role=img]"  # an explorer draws its own

_SEEN = f"""async output => {{
    const pictures = [...output.querySelectorAll("{_PICTURES}")]
    await Promise.all(pictures.map(each => each.decode?.()))
    return {{
        cut: output.scrollWidth > output.clientWidth + 2 ? output.textContent.trim().slice(0, 80) : null,
        pictures: pictures.map(each => each.getBoundingClientRect().width),
    }}
}}"""

_ANSWER = f"""cell => [...cell.querySelectorAll(".jp-OutputArea-output :is(pre, table, {_PICTURES})")]
    .map(each => each.src ?? each.textContent).join()"""  # not the control's own number
