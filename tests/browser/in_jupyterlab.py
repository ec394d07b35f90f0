"""JupyterLab as a learner handles it: one notebook after another opened, run, read, pictured."""

import os
import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="needs the browser extra: make test-browser")

PATIENCE_S = 240  # for anything at all to happen, however busy the machine is
RUN_ALL_S = 900
_LOOK_EVERY_MS = 500  # the default is each frame, drawn for that: a third of the time of all these tests


class Desk:
    """A page of JupyterLab, loaded once: a new page for each notebook would take longer than the notebooks do."""

    def __init__(self, page: "playwright.Page", lab: str) -> None:
        self.page = page
        self.outside: list[str] = []
        page.on("request", self._note_outside)
        page.goto(f"{lab}/lab")
        page.wait_for_function("() => window.jupyterapp")
        page.evaluate("() => window.jupyterapp.restored")

    def _note_outside(self, request: "playwright.Request") -> None:
        url = urlsplit(request.url)
        if url.scheme in ("http", "https", "ws", "wss") and url.hostname != "127.0.0.1":
            self.outside.append(request.url)

    def open(self, name: str) -> "Notebook":
        """Puts away what lies on the desk, ends its kernel, and opens the notebook *name*, its kernel ready."""
        self.outside.clear()
        self.page.evaluate(_OPEN, name)
        return Notebook(self, name)


class Notebook:
    """The notebook that lies open on the desk."""

    def __init__(self, desk: Desk, name: str) -> None:
        self.page, self.outside, self.name = desk.page, desk.outside, name
        self.cells = self.page.locator(".jp-Notebook .jp-Cell")
        self.cells.first.wait_for()

    def run_all(self) -> None:
        """Menu Run → Run All Cells, and wait until every cell has its number, or one has failed."""
        self.page.locator(".lm-MenuBar-item", has_text=re.compile("^Run$")).click()
        self.page.locator('.lm-Menu-item[data-command="runmenu:run-all"]').click()
        self.page.wait_for_function(_ALL_RAN, timeout=1000 * RUN_ALL_S, polling=_LOOK_EVERY_MS)

    def run(self, cell: "playwright.Locator") -> None:
        """Put the cursor into one cell and press Control+Enter."""
        cell.locator(".jp-InputArea .cm-content").focus()
        self.page.keyboard.press("Control+Enter")

    def cell_with(self, selector: str) -> "playwright.Locator":
        return self.cells.filter(has=self.page.locator(selector))

    def outputs_with(self, selector: str) -> "playwright.Locator":
        """Outputs, several in a cell that asks more than one thing."""
        return self.cells.locator(".jp-OutputArea-child").filter(has=self.page.locator(selector))

    def measured(self, selector: str, measure: str) -> list[object]:
        """What the JavaScript function *measure* says of each element, brought into view first as it would be read."""
        return self.page.locator(selector).evaluate_all(_SEEN.replace("MEASURE", measure))

    def text(self) -> str:
        return "\n".join(self.page.locator(".jp-OutputArea-output:not(.jp-RenderedImage)").all_text_contents())

    def complaints(self) -> list[str]:
        """Errors and warnings: whatever a cell said that it was not meant to say."""
        kinds = ("application/vnd.jupyter.error", "application/vnd.jupyter.stderr")
        said = ",".join(f'.jp-OutputArea-output[data-mime-type="{kind}"]' for kind in kinds)
        broken = [line for line in self.text().splitlines() if "Error displaying widget" in line]
        return self.page.locator(said).all_text_contents() + broken

    def wait_until_said(self, words: str, times: int) -> None:
        """Wait until the outputs say *words* so many times; a cell that runs again is empty for a moment."""
        self.page.wait_for_function(_SAID, arg=[words, times], polling=_LOOK_EVERY_MS)

    def kernel_takes(self) -> dict[str, float]:
        """What its kernel has taken so far: CPU seconds, and memory now [MB]."""
        return {name: float(value) for name, value in self.page.evaluate(_IN_THE_KERNEL, _TAKES).items()}

    def picture(self, label: str) -> None:
        """A long picture of the whole notebook, where SIMLIB_SCREENSHOTS asks for it."""
        folder = os.environ.get("SIMLIB_SCREENSHOTS")
        if not folder:
            return
        Path(folder).mkdir(parents=True, exist_ok=True)
        steps = self.page.locator(".jp-WindowedPanel-outer")
        height = int(steps.evaluate("panel => panel.scrollHeight"))
        for number, top in enumerate(range(0, height, 850)):
            steps.evaluate(_SCROLL, top)
            name = f"{Path(self.name).stem}-{label}-{number:02}.jpg"
            self.page.screenshot(path=Path(folder) / name, type="jpeg", quality=70)


_OPEN = """async path => {
    const app = window.jupyterapp
    for (const old of [...app.shell.widgets("main")]) old.dispose() // asks nothing about changes
    await app.serviceManager.sessions.shutdownAll()
    const opened = await app.commands.execute("docmanager:open", {path})
    await opened.context.ready
    await opened.sessionContext.ready
    await opened.sessionContext.session.kernel.info
}"""

_TAKES = {
    "cpu_s": "__import__('time').process_time()",
    "rss_mb": "__import__('psutil').Process().memory_info().rss / 2**20",
}

_IN_THE_KERNEL = """async expressions => {
    const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel
    const {content} = await kernel.requestExecute({code: "", silent: true, user_expressions: expressions}).done
    return Object.fromEntries(
        Object.entries(content.user_expressions).map(([name, found]) => [name, found.data["text/plain"]]))
}"""

_ALL_RAN = """() => document.querySelector('[data-mime-type="application/vnd.jupyter.error"]') ||
    [...document.querySelectorAll(".jp-CodeCell .jp-InputPrompt")]
        .every(prompt => /^\\[\\d+\\]:?$/.test(prompt.textContent.trim()))"""

_SAID = """([words, times]) => [...document.querySelectorAll(".jp-OutputArea-output")]
    .map(output => output.textContent).join().split(words).length - 1 === times"""

_DRAWN = "await new Promise(drawn => requestAnimationFrame(() => requestAnimationFrame(drawn)))"

_SCROLL = f"""async (panel, top) => {{
    panel.scrollTo(0, top)
    {_DRAWN}
}}"""

_SEEN = f"""async all => {{
    const found = []
    for (const one of all) {{
        one.scrollIntoView({{block: "center"}})
        {_DRAWN}
        found.push(await (MEASURE)(one))
    }}
    return found
}}"""
