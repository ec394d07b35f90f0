"""The pytest plugin with which nbval runs one submission: values are compared here, never in the student's kernel.

Loaded with `-p simlib.grading.nbval_plugin` in a process of its own for each submission, so that what it changes in
nbval holds for that run only:

- the kernel is started in the sandbox, and its sockets are files in a private folder;
- the notebook, which holds the reference values, is deleted once it has been collected;
- of a grader's cell only the output of our own type counts, and its values are compared with tolerance;
- comments and tags that change how nbval treats a cell are without effect;
- a kernel that has died, holds too much memory or prints too much is noticed within a second.

What happened is written as data to the file that the environment variable SIMLIB_RESULTS names.
"""

import json
import os
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from queue import Empty
from subprocess import DEVNULL
from typing import Any

import nbval.kernel
import nbval.plugin
import pytest
import zmq

from simlib.exercises.handing_in import MIME
from simlib.exercises.values import is_nothing, plain, same
from simlib.grading.sandbox import (
    Limits,
    Place,
    adopt_orphans,
    descendants,
    dies_with_parent,
    end_all,
    resident_mb,
    settings,
)

LOOK_EVERY_S = 0.3
PATIENCE_S = 60
ERRORS = ("error", "value")

_limits = Limits(**json.loads(os.environ.get("SIMLIB_LIMITS", "{}")))
_outcomes: list[dict[str, Any]] = []


class KernelEnded(Exception):
    """The kernel is gone, or was ended: why, in one word."""


# --- the kernel -----------------------------------------------------------------------------------------------------


class SandboxedKernel(nbval.kernel.RunningKernel):
    """A kernel in the sandbox, whose output is read while it works and counted."""

    def __init__(self, kernel_name: str, cwd: str | None = None, startup_timeout: float = 60) -> None:
        self.place = Place.make(Path(os.environ["SIMLIB_RESULTS"]).parent)
        self.waiting: deque[Any] = deque()
        self.read_bytes = 0
        self.ended = ""
        self.km, self.kc = start_in_sandbox(self.place, kernel_name, startup_timeout)
        self._ensure_iopub_up()

    def get_message(self, stream: str, timeout: float | None = None) -> Any:
        """The next message; of output, first what was read while waiting for a reply."""
        if stream != "iopub":
            return super().get_message(stream, timeout=timeout)
        if self.waiting:
            return self.waiting.popleft()
        end = time.monotonic() + (timeout or 0)
        while True:
            try:
                return super().get_message(stream, timeout=LOOK_EVERY_S)
            except Empty:
                self._require_alive()
                if time.monotonic() > end:
                    raise

    def await_reply(self, msg_id: str, timeout: float | None = None) -> None:
        """Wait for the reply, and look after the kernel meanwhile."""
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            self._read_output(LOOK_EVERY_S)
            try:
                message = super().get_message("shell", timeout=0)
            except Empty:
                self._require_alive()
                if end is not None and time.monotonic() > end:
                    raise
                continue
            if message["parent_header"].get("msg_id") == msg_id:
                self.read_bytes = 0
                return

    def interrupt(self) -> None:
        """Ask it to stop, and do not wait for one that does not."""
        super().interrupt()
        self._end_within(2.0)

    def stop(self) -> None:
        """End the kernel and everything below it."""
        if hasattr(self, "km"):
            end_all(descendants(os.getpid()))
            super().stop()

    def _read_output(self, patience_s: float = 0) -> None:
        """All output there is; a quiet kernel is waited for until *patience_s*, or until it says that it is idle."""
        while True:
            try:
                message = super().get_message("iopub", timeout=patience_s)
            except Empty:
                return
            self.read_bytes += _size(message["content"])
            if self.read_bytes > _limits.output_mb * 2**20:
                self._end("output")
            self.waiting.append(message)
            if message["msg_type"] == "status":
                patience_s = 0

    def _require_alive(self) -> None:
        if not self.km.is_alive():
            raise KernelEnded(self.ended or "died")
        if resident_mb(descendants(os.getpid())) > _limits.resident_mb:
            self._end("memory")

    def _end(self, why: str) -> None:
        self.ended = why
        self.waiting.clear()
        end_all(descendants(os.getpid()))
        raise KernelEnded(why)

    def _end_within(self, seconds: float) -> None:
        """After an interrupt: keep what comes; a kernel still busy then is ended."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._read_output()
            if any(m["msg_type"] == "status" and m["content"]["execution_state"] == "idle" for m in self.waiting):
                return
            time.sleep(0.1)
        self._end("timeout")


def _size(content: Any) -> int:
    """About how many bytes a message holds."""
    if isinstance(content, str | bytes):
        return len(content)
    if isinstance(content, Mapping):
        return 64 + sum(_size(item) for item in content.values())
    if isinstance(content, list):
        return 8 * len(content) + sum(_size(item) for item in content)
    return 8


def start_in_sandbox(place: Place, kernel_name: str, startup_timeout: float) -> tuple[Any, Any]:
    """What `nbval.kernel.start_new_kernel` does, in the sandbox and over sockets that are files."""
    manager = nbval.kernel.KernelManager(kernel_name=kernel_name, transport="ipc")
    manager.context.setsockopt(zmq.RCVHWM, 0)  # a cell may print thousands of lines, and not one may be lost
    manager.ip = str(place.folder / "s" / "k")
    manager.connection_file = str(place.folder / "s" / "c.json")
    environment = settings(place, _limits, Path(os.environ["SIMLIB_CACHES"]), int(os.environ["SIMLIB_SLOT"]))
    manager.start_kernel(env=environment, cwd=str(place.folder), preexec_fn=dies_with_parent, stderr=DEVNULL)
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=startup_timeout)
    except RuntimeError:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        raise
    return manager, client


# --- comparing ------------------------------------------------------------------------------------------------------


def compare(item: Any, outputs: list[Any], references: list[Any], skip_compare: Any = None) -> bool:
    """Whether a grader's cell handed out the values of the reference; notes the outcome of each case."""
    about = item.cell.metadata["simlib"]
    item.comparison_traceback = ["the values differ"]  # and not a word more
    found = _results(outputs, about)
    expected = _results(references, about) or []
    item.handed_out = found
    if found is None:
        item.verdicts = ["unusable"] * len(expected)
        return False
    item.verdicts = [
        _verdict(found[k] if k < len(found) else {}, each, about["rtol"]) for k, each in enumerate(expected)
    ]
    return len(found) == len(expected) and all(verdict == "right" for verdict in item.verdicts)


def _results(outputs: list[Any], about: Mapping[str, Any]) -> list[Any] | None:
    """What one cell handed out; None unless it did so exactly once, for the right question, and in the right form."""
    ours = [output["data"][MIME] for output in outputs if MIME in output.get("data", {})]
    if len(ours) != 1 or not isinstance(ours[0], Mapping):
        return None
    content = ours[0]
    if content.get("question") != about["question"] or content.get("part") != about["part"]:
        return None
    results = content.get("results")
    if not isinstance(results, list) or not all(isinstance(result, Mapping) for result in results):
        return None
    return [{key: plain(result[key]) for key in (*ERRORS, "callable") if key in result} for result in results]


def _verdict(result: Mapping[str, Any], expected: Mapping[str, Any], rtol: float) -> str:
    if "error" in result:
        return f"error {str(result['error'])[:160]}"
    if "value" not in result or result.get("callable") is False or is_nothing(result["value"]):
        return "right" if "value" in result and expected == result else "nothing"
    return "right" if same(result["value"], expected.get("value"), rtol) else "wrong"


# --- what pytest calls ----------------------------------------------------------------------------------------------


def pytest_configure() -> None:
    """Change nbval, for this process."""
    adopt_orphans()
    nbval.plugin.RunningKernel = SandboxedKernel
    nbval.plugin.find_comment_markers = lambda source: ()
    nbval.plugin.IPyNbCell.compare_outputs = compare


def pytest_collection_finish(session: pytest.Session) -> None:
    """What is collected is in memory; no file with a reference stays where anybody could read it."""
    items: list[Any] = session.items
    for item in items:
        item.output_timeout = PATIENCE_S  # a busy machine is no fault of the student's
        item.path.unlink(missing_ok=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Keep what became of each cell, as data."""
    report = yield
    if call.when == "setup" and call.excinfo is not None:
        item.session.shouldstop = "no kernel"
        _outcomes.append(
            {"part": "kernel", "question": "", "outcome": "broken", "error": str(call.excinfo.value)[:300]}
        )
    if call.when == "call":
        _outcomes.append(_outcome(item, call, is_expected_to_fail=hasattr(report, "wasxfail")))
    return report


def _outcome(item: Any, call: pytest.CallInfo[None], is_expected_to_fail: bool) -> dict[str, Any]:
    about = item.cell.metadata["simlib"]
    error = call.excinfo.value if call.excinfo else None
    outcome = {"part": about["part"], "question": about["question"], "again": about.get("again", False)}
    outcome["outcome"] = _ended_as(item, error, is_expected_to_fail)
    if outcome["outcome"] == "raised" and about["part"] in ("answer", "own") and not about.get("again"):
        raised = [output for output in item.test_outputs or () if output.output_type == "error"]
        if raised:
            outcome["error"] = f"{raised[-1].ename}: {raised[-1].evalue}"[:160]
    if about.get("hands_in"):
        outcome["verdicts"] = getattr(item, "verdicts", [])
        if about["part"] == "public" or os.environ.get("SIMLIB_RECORD"):
            outcome["results"] = getattr(item, "handed_out", None)
    return outcome


def _ended_as(item: Any, error: BaseException | None, is_expected_to_fail: bool) -> str:
    """passed, differs, raised, timeout, died, memory, output or unrun."""
    if is_expected_to_fail or item.parent.kernel is None:
        return "unrun"
    if error is None:
        return "passed"
    if isinstance(error, KernelEnded):
        return str(error)
    if item.parent.timed_out:
        return "timeout"
    if str(error).startswith("Kernel dead"):
        return "unrun" if any(each["outcome"] not in ("passed", "differs", "raised") for each in _outcomes) else "died"
    return "differs" if "differ" in str(error) else "raised"


def pytest_sessionfinish(session: pytest.Session) -> None:
    """End whatever is left, then write what happened."""
    end_all(descendants(os.getpid()))
    Path(os.environ["SIMLIB_RESULTS"]).write_text(json.dumps(_outcomes))
