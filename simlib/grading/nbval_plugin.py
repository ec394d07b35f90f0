"""The pytest plugin with which nbval runs one submission: values are compared here, never in the student's kernel.

In a process of its own for each submission, so that what it changes in nbval holds for that run only:

- the kernel is started in the sandbox, and its sockets are files in a private folder;
- the notebook, which holds the reference values, is deleted once it has been collected;
- of a grader's cell only the output of our own type counts, and its values are compared with tolerance;
- comments and tags that change how nbval treats a cell are without effect;
- a kernel that has died, holds too much memory or prints too much is noticed within a second.

What happened is written to a file, as data.
"""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbval.kernel
import nbval.plugin
import pytest

from simlib.grading.comparing import compare, without_paths
from simlib.grading.kernel import KernelEnded, SandboxedKernel, start_kernel
from simlib.grading.launcher import fork_waiting
from simlib.grading.sandbox import (
    Limits,
    Place,
    adopt_orphans,
    descendants,
    end_all,
    settings,
)

PATIENCE_S = 60
# Parts of pytest that a notebook's cells need not, left out because each costs every submission a while.
NEEDLESS = (
    *("cacheprovider", "capture", "debugging", "doctest", "faulthandler", "junitxml", "logging"),
    *("monkeypatch", "pastebin", "recwarn", "setuponly", "setupplan", "skipping", "stepwise", "subtests"),
    *("threadexception", "tmpdir", "unittest", "unraisableexception", "warnings", "assertion", "python"),
)
FATAL = ("timeout", "died", "memory", "output", "broken")  # what follows would say nothing


def run(order: dict[str, Any]) -> None:
    """Run one composed notebook in this process; write what became of each cell.

    Parameters
    ----------
    order : dict
        `notebook` and `results` (paths in a private folder), `slot`, `limits`, `namespaces` (whether to shut the kernel
        in), `record` (whether to keep all values).
    """
    adopt_orphans()
    waiting = fork_waiting()  # before the notebook, which holds the references, is read
    folder = Path(order["results"]).parent
    limits = Limits(**order["limits"])
    told = settings(Place.make(folder), limits, order["slot"], order["namespaces"])
    plugin = Plugin(Path(order["results"]), limits, order["record"], lambda: start_kernel(waiting, told, limits))
    os.environ.clear()
    os.environ.update(PATH=os.defpath, HOME=str(folder), LANG="C.UTF-8", PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    os.chdir(folder)
    options = ["-q", "--tb=no", "--noconftest", "-c", os.devnull, "-p", "nbval.plugin"]
    options += [word for name in NEEDLESS for word in ("-p", f"no:{name}")]
    options += [f"--rootdir={folder}", f"--confcutdir={folder}"]  # nothing above it is looked at
    options += ["--nbval", "--nbval-cell-timeout", str(limits.cell_s)]
    pytest.main([*options, order["notebook"]], plugins=[plugin])


@dataclass
class Plugin:
    """What pytest calls while it runs one notebook; it changes nbval for this process."""

    results: Path
    limits: Limits
    is_recording: bool
    start_kernel: Callable[[], SandboxedKernel]
    outcomes: list[dict[str, Any]] = field(default_factory=list)

    def pytest_configure(self) -> None:
        """Put our parts in the place of nbval's."""
        nbval.plugin.RunningKernel = lambda *_, **__: self.start_kernel()
        nbval.plugin.find_comment_markers = lambda source: ()
        nbval.plugin.IPyNbCell.compare_outputs = compare

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """What is collected is in memory; no file with a reference stays where anybody could read it."""
        items: list[Any] = session.items
        for item in items:
            item.output_timeout = PATIENCE_S  # a busy machine is no fault of the student's
            item.path.unlink(missing_ok=True)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
        """Keep what became of each cell, as data."""
        report = yield
        if call.when == "setup" and call.excinfo is not None:
            broken = {"part": "kernel", "question": "", "outcome": "broken", "error": str(call.excinfo.value)[:300]}
            self.outcomes.append(broken)
        if call.when == "call":
            self.outcomes.append(self._outcome(item, call))
        if self.outcomes and self.outcomes[-1]["outcome"] in FATAL:
            item.session.shouldstop = "the kernel is gone"
        return report

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """End whatever is left, then write what happened."""
        end_all(descendants(os.getpid()))
        self.results.write_text(json.dumps(self.outcomes))

    def _outcome(self, item: Any, call: pytest.CallInfo[None]) -> dict[str, Any]:
        about = item.cell.metadata["simlib"]
        error = call.excinfo.value if call.excinfo else None
        outcome = {"part": about["part"], "question": about["question"], "again": about.get("again", False)}
        outcome["outcome"] = ended_as(item, error)
        if outcome["outcome"] == "raised" and about["part"] in ("answer", "own") and not about.get("again"):
            raised = [output for output in item.test_outputs or () if output.output_type == "error"]
            if raised:
                outcome["error"] = without_paths(f"{raised[-1].ename}: {raised[-1].evalue}")[:160]
        if about.get("hands_in"):
            outcome["verdicts"] = getattr(item, "verdicts", [])
            if about["part"] == "public" or self.is_recording:
                outcome["results"] = getattr(item, "handed_out", None)
        return outcome


def ended_as(item: Any, error: BaseException | None) -> str:
    """passed, differs, raised, timeout, died, memory or output."""
    if error is None:
        return "passed"
    if isinstance(error, KernelEnded):
        return str(error)
    if item.parent.timed_out:
        return "timeout"
    if str(error).startswith("Kernel dead"):
        return "died"
    return "differs" if "differ" in str(error) else "raised"
