"""The learner's copy of every notebook in a real JupyterLab, in a real browser, by keyboard.

Needs Debian's chromium and the `browser` extra: `make test-browser`.  SIMLIB_SCREENSHOTS=folder keeps pictures of what
a learner sees.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from simlib.student_copy import make_work_copy

playwright = pytest.importorskip("playwright.sync_api", reason="needs the browser extra: make test-browser")

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted(path.name for path in (ROOT / "notebooks").glob("*.ipynb"))
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
RUN_ALL_S = 180

pytestmark = pytest.mark.slow


# --- JupyterLab and a browser ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a JupyterLab on the learner's copy, with settings and predictions of its own."""
    home = tmp_path_factory.mktemp("home")
    work = home / "work"
    make_work_copy(ROOT, work)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    own = {name: str(home / name) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR")}
    env = {name: value for name, value in os.environ.items() if name != "SIMLIB_HOME"}
    env |= own | {"PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])}
    command = [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", f"--port={port}", "--ip=127.0.0.1"),
        *(
            "--allow-root",
            "--IdentityProvider.token=",
        ),
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]
    with (home / "lab.log").open("wb") as log:
        server = subprocess.Popen(command, cwd=work, env=env, stdout=log, stderr=log)
    try:
        address = f"http://127.0.0.1:{port}"
        _wait_for(f"{address}/api/status", server)
        yield address
    finally:
        server.terminate()
        server.wait(timeout=20)


def _wait_for(url: str, server: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        assert server.poll() is None, "JupyterLab stopped at once"
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except urllib.error.URLError:
            time.sleep(0.3)
    raise TimeoutError(url)


@pytest.fixture(scope="module")
def browser() -> Iterator["playwright.Browser"]:
    assert CHROMIUM, "these tests need chromium (Debian, Ubuntu: apt install chromium)"
    with playwright.sync_playwright() as tool:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
        found = tool.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield found
        found.close()


class Notebook:
    """One notebook in JupyterLab, as a learner handles it."""

    def __init__(self, browser: "playwright.Browser", lab: str, name: str) -> None:
        self.name, self.outside = name, []
        self.page = browser.new_page(viewport={"width": 1280, "height": 1000})
        self.page.route("**/*", self._only_inside)
        self.page.goto(f"{lab}/lab/workspaces/{Path(name).stem}/tree/{name}")  # alone: not beside the others
        self.cells = self.page.locator(".jp-Notebook .jp-Cell")
        self.cells.first.wait_for(timeout=60_000)
        idle = self.page.locator("#jp-main-statusbar").get_by_text(re.compile(r"\| Idle$"))
        idle.wait_for(timeout=60_000)  # until a kernel is there, Run asks which one
        news = self.page.get_by_role("button", name="No", exact=True)
        if news.is_visible():
            news.click()

    def _only_inside(self, route: "playwright.Route") -> None:
        url = urlsplit(route.request.url)
        if url.hostname in ("127.0.0.1", None):
            route.continue_()
        else:
            self.outside.append(route.request.url)
            route.abort()

    def run_all(self) -> None:
        """Menu Run → Run All Cells, and wait until every cell has its number and the kernel is idle."""
        self.page.locator(".lm-MenuBar-item", has_text=re.compile("^Run$")).click()
        self.page.locator('.lm-Menu-item[data-command="runmenu:run-all"]').click()
        self.page.wait_for_function(_ALL_STARTED, timeout=30_000)
        self.page.wait_for_function(_ALL_RAN, timeout=1000 * RUN_ALL_S)

    def cell_with(self, selector: str) -> "playwright.Locator":
        return self.cells.filter(has=self.page.locator(selector))

    def measured(self, selector: str, measure: str) -> list[object]:
        """What the JavaScript function *measure* says of each element, brought into view first as it would be read."""
        return self.page.locator(selector).evaluate_all(_SEEN.replace("MEASURE", measure))

    def text(self) -> str:
        return "\n".join(self.page.locator(".jp-OutputArea-output:not(.jp-RenderedImage)").all_text_contents())

    def picture(self, label: str) -> None:
        """A long picture of the whole notebook, where SIMLIB_SCREENSHOTS asks for it."""
        folder = os.environ.get("SIMLIB_SCREENSHOTS")
        if not folder:
            return
        Path(folder).mkdir(parents=True, exist_ok=True)
        steps = self.page.locator(".jp-WindowedPanel-outer")
        height = int(steps.evaluate("panel => panel.scrollHeight"))
        for number, top in enumerate(range(0, height, 850)):
            steps.evaluate("(panel, top) => panel.scrollTo(0, top)", top)
            self.page.wait_for_timeout(150)
            self.page.screenshot(path=Path(folder) / f"{Path(self.name).stem}-{label}-{number:02}.png")


_PROMPTS = "[...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')].map(p => p.textContent.trim())"
_ALL_STARTED = f"() => {_PROMPTS}.some(text => text.includes('*'))"
_ALL_RAN = f"() => {_PROMPTS}.every(text => /^\\[\\d+\\]:?$/.test(text))"

_SEEN = """async all => {
    const found = []
    for (const one of all) {
        one.scrollIntoView({block: "center"})
        await new Promise(drawn => requestAnimationFrame(() => requestAnimationFrame(drawn)))
        found.push((MEASURE)(one))
    }
    return found
}"""


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
