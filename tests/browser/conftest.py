"""A real JupyterLab on the learner's copy, and a real browser.

Needs Debian's chromium and the `browser` extra: `make test-browser`, which runs two of each side by side.
SIMLIB_SCREENSHOTS=folder keeps pictures of what a learner sees.

Everything waits for what it needs and then goes on at once, so a busy machine makes these tests slower and not red:
`PATIENCE_S` only says when to give up.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from in_jupyterlab import PATIENCE_S, Desk

from simlib.student_copy import make_work_copy

playwright = pytest.importorskip("playwright.sync_api", reason="needs the browser extra: make test-browser")

ROOT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a JupyterLab on the learner's copy, with settings and predictions of its own."""
    home = tmp_path_factory.mktemp("home")
    work = home / "work"
    make_work_copy(ROOT, work)
    shutil.copy(ROOT / "docs" / "explorers.ipynb", work)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    own = {name: str(home / name) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR")}
    env = {name: value for name, value in os.environ.items() if name != "SIMLIB_HOME"}
    env |= own | {"PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])}
    command = [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", f"--port={port}", "--ip=127.0.0.1"),
        *("--allow-root", "--IdentityProvider.token=", "--expose-app-in-browser"),
    ]
    with (home / "lab.log").open("wb") as log:
        server = subprocess.Popen(command, cwd=work, env=env, stdout=log, stderr=log)
    try:
        address = f"http://127.0.0.1:{port}"
        _wait_for(f"{address}/api/status", server)
        yield address
    finally:
        server.terminate()
        server.wait(timeout=PATIENCE_S)


def _wait_for(url: str, server: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        assert server.poll() is None, "JupyterLab stopped at once"
        try:
            with urllib.request.urlopen(url, timeout=PATIENCE_S):
                return
        except urllib.error.URLError:
            time.sleep(0.3)
    raise TimeoutError(url)


@pytest.fixture(scope="session")
def browser() -> Iterator["playwright.BrowserContext"]:
    """A browser that finds no host but this one.  Its pages share what they have loaded, as a learner's do."""
    assert CHROMIUM, "these tests need chromium (Debian, Ubuntu: apt install chromium)"
    flags = [
        *("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"),
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    ]
    playwright.expect.set_options(timeout=1000 * PATIENCE_S)
    with playwright.sync_playwright() as tool:
        found = tool.chromium.launch(executable_path=CHROMIUM, args=flags, timeout=1000 * PATIENCE_S)
        context = found.new_context(viewport={"width": 1280, "height": 1000}, reduced_motion="reduce")
        context.set_default_timeout(1000 * PATIENCE_S)
        yield context
        found.close()


@pytest.fixture(scope="session")
def desk(browser: "playwright.BrowserContext", lab: str) -> Desk:
    """JupyterLab in the browser: loaded once, one notebook lies open on it at a time."""
    return Desk(browser.new_page(), lab)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What each notebook took, published with every run of CI: `docs/classroom.md` says what it may."""
    reports = [each for found in terminalreporter.stats.values() for each in found]
    rows = [each.user_properties for each in reports if isinstance(each, pytest.TestReport) and each.when == "call"]
    took = sorted((row for each in rows for key, row in each if key == "notebook"), key=lambda row: str(row["name"]))
    if took:
        terminalreporter.section("notebooks in JupyterLab: until all cells had run, and their kernel's memory then")
    for row in {str(each["name"]): each for each in took}.values():
        terminalreporter.write_line(
            f"{row['name']:42} {row['run_s']:6.1f} s {row['cpu_s']:6.1f} CPU s {row['rss_mb']:5.0f} MB"
        )
