"""One notebook in JupyterLab, as a learner handles it: opened, run, read, pictured."""

import os
import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="needs the browser extra: make test-browser")

RUN_ALL_S = 180


class Notebook:
    """One notebook in JupyterLab, as a learner handles it."""

    def __init__(self, browser: "playwright.BrowserContext", lab: str, name: str) -> None:
        self.lab, self.name = lab, name
        self.outside: list[str] = []
        self.page = browser.new_page()
        self.page.on("request", self._note_outside)
        self.page.goto(f"{lab}/lab/workspaces/{Path(name).stem}/tree/{name}")  # alone: not beside the others
        self.cells = self.page.locator(".jp-Notebook .jp-Cell")
        self.cells.first.wait_for(timeout=60_000)
        self.wait_until_idle()  # until a kernel is there, Run asks which one

    def _note_outside(self, request: "playwright.Request") -> None:
        url = urlsplit(request.url)
        if url.scheme in ("http", "https", "ws", "wss") and url.hostname != "127.0.0.1":
            self.outside.append(request.url)

    def close(self) -> None:
        """Ends its kernel too: one of these after another would fill the machine."""
        self.page.evaluate(_SHUT_DOWN, self.name)
        self.page.close()

    def wait_until_idle(self) -> None:
        idle = self.page.locator("#jp-main-statusbar").get_by_text(re.compile(r"\| Idle$"))
        idle.wait_for(timeout=60_000)

    def run_all(self) -> None:
        """Menu Run → Run All Cells, and wait until every cell has its number and the kernel is idle."""
        self.page.locator(".lm-MenuBar-item", has_text=re.compile("^Run$")).click()
        self.page.locator('.lm-Menu-item[data-command="runmenu:run-all"]').click()
        self.page.wait_for_function(_ALL_STARTED, timeout=30_000)
        self.page.wait_for_function(_ALL_RAN, timeout=1000 * RUN_ALL_S)

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

    def wait_until_said(self, words: str, times: int) -> None:
        """Wait until the outputs say *words* so many times; a cell that runs again is empty for a moment."""
        self.page.wait_for_function(_SAID, arg=[words, times], timeout=60_000)

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

_SAID = """([words, times]) => [...document.querySelectorAll(".jp-OutputArea-output")]
    .map(output => output.textContent).join().split(words).length - 1 === times"""

_SHUT_DOWN = """async name => {
    const headers = {"X-XSRFToken": document.cookie.match(/_xsrf=([^;]+)/)?.[1] ?? ""}
    for (const each of await (await fetch("/api/sessions")).json())
        if (each.path === name) await fetch(`/api/sessions/${each.id}`, {method: "DELETE", headers})
}"""

_SEEN = """async all => {
    const found = []
    for (const one of all) {
        one.scrollIntoView({block: "center"})
        await new Promise(drawn => requestAnimationFrame(() => requestAnimationFrame(drawn)))
        found.push((MEASURE)(one))
    }
    return found
}"""
