"""The pytest plugin with which nbval runs one submission: values are compared here, never in the student's kernel.

In a process of its own for each submission, so that what it changes in nbval holds for that run only:

- the kernel is started in the sandbox, and its sockets are files in a private folder;
- the notebook, which holds the reference values, is deleted once it has been collected;
- of a grader's cell only the output of our own type counts, and its values are compared with tolerance;
- comments and tags that change how nbval treats a cell are without effect;
- a kernel that has died, holds too much memory or prints too much is noticed within a second.

What happened is written to a file, as data.
"""

import contextlib
import json
import os
import re
import signal
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty
from typing import Any

import nbval.kernel
import nbval.plugin
import pytest
import zmq
from jupyter_client.blocking.client import BlockingKernelClient

from simlib.exercises.handing_in import MIME
from simlib.exercises.values import Plain, is_nothing, plain, same
from simlib.grading.launcher import fork_waiting
from simlib.grading.sandbox import (
    Limits,
    Place,
    activity,
    adopt_orphans,
    descendants,
    end_all,
    holds_more,
    peak_mb,
    settings,
)

LOOK_EVERY_S = 0.3
PATIENCE_S = 60
STARTUP_S = 120
NO_MESSAGE = 1000  # bytes that one counts for
ERRORS = ("error", "value")
PATH = re.compile(r"(?<![\w:/.])(?:/[\w.+@-]+)+/")
# Parts of pytest that a notebook's cells need not, left out because each costs every submission a while.
NEEDLESS = (
    *("cacheprovider", "capture", "debugging", "doctest", "faulthandler", "junitxml", "logging"),
    *("monkeypatch", "pastebin", "recwarn", "setuponly", "setupplan", "skipping", "stepwise", "subtests"),
    *("threadexception", "tmpdir", "unittest", "unraisableexception", "warnings", "assertion", "python"),
)
FATAL = ("timeout", "died", "memory", "output", "broken")  # what follows would say nothing


class KernelEnded(Exception):
    """The kernel is gone, or was ended: why, in one word."""


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


# --- the kernel -----------------------------------------------------------------------------------------------------


@dataclass
class KernelProcess:
    """The process of a kernel, as far as nbval asks for it."""

    pid: int

    def is_alive(self) -> bool:
        """Whether it has not ended."""
        try:
            return os.waitpid(self.pid, os.WNOHANG)[0] == 0
        except ChildProcessError:
            return False

    def interrupt_kernel(self) -> None:
        """What Ctrl-C does, to it and what it started."""
        with contextlib.suppress(ProcessLookupError):  # it has ended
            os.killpg(self.pid, signal.SIGINT)

    def shutdown_kernel(self, now: bool = True) -> None:
        """End it and everything else that was started here."""
        end_all(descendants(os.getpid()))


class SandboxedKernel(nbval.kernel.RunningKernel):
    """A kernel in the sandbox, whose output is read while it works and counted."""

    def __init__(self, limits: Limits, process: KernelProcess, client: BlockingKernelClient) -> None:
        self.limits = limits
        self.waiting: deque[Any] = deque()
        self.read_bytes = 0
        self.ended = ""
        self.looked_at = time.monotonic()
        self.km, self.kc = process, client
        client.start_channels(stdin=False, hb=False, control=False)
        try:
            self.await_reply(client.kernel_info(), STARTUP_S)
            self._ensure_iopub_up()
        except BaseException:
            client.stop_channels()  # sockets left open would keep this process from ending
            raise

    def execute_cell_input(self, cell_input: str, allow_stdin: bool | None = None) -> str:
        """Start a cell; the id of what will be replied to."""
        self.read_bytes = 0
        return super().execute_cell_input(cell_input, allow_stdin)

    def get_message(self, stream: str, timeout: float | None = None) -> Any:
        """The next message; of output, first what was read while waiting for a reply."""
        if stream != "iopub":
            return self._received(self.kc.shell_channel, timeout)
        if self.waiting:
            return self.waiting.popleft()
        end = time.monotonic() + (timeout or 0)
        while True:
            try:
                return self._counted(self._received(self.kc.iopub_channel, LOOK_EVERY_S))
            except Empty:
                self._require_alive()
                if time.monotonic() > end:
                    raise

    def await_reply(self, msg_id: str, timeout: float | None = None) -> None:
        """Wait for the reply, and look after the kernel meanwhile.

        What counts is the time that the kernel worked or slept, not that in which a busy machine kept it waiting: so
        that marks do not depend on what else runs.
        """
        counted, then, used = 0.0, time.monotonic(), -1.0
        while True:
            self._read_output(LOOK_EVERY_S)
            try:
                message = self._received(self.kc.shell_channel, 0)
            except Empty:
                if timeout is not None and counted > timeout:
                    raise
                self._require_alive()
                now, (used_now, is_busy) = time.monotonic(), activity(descendants(os.getpid()))
                if used >= 0:  # not at the first look
                    slept = min(now - then, 2 * LOOK_EVERY_S)  # this process, too, may have been kept waiting
                    counted += max(0.0, used_now - used) if is_busy else slept
                then, used = now, used_now
                continue
            if message["parent_header"].get("msg_id") == msg_id:
                self._require_room()
                if _asks_to_end(message["content"]):
                    self._end("died")  # it would end in a moment, while another question is asked
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

    def _received(self, channel: Any, timeout: float | None) -> Any:
        """The next message that is one: a student's code can send others, too."""
        while True:
            if not channel.socket.poll(None if timeout is None else int(1000 * timeout)):
                raise Empty
            try:
                return channel.session.deserialize(channel.session.feed_identities(channel.socket.recv_multipart())[1])
            except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError, UnicodeError):
                self._count(NO_MESSAGE)

    def _counted(self, message: Any) -> Any:
        self._count(_size(message["content"]))
        return message

    def _count(self, size: int) -> None:
        """End the kernel when a cell has sent too much."""
        self.read_bytes += size
        if self.read_bytes > self.limits.output_mb * 2**20:
            self._end("output")

    def _read_output(self, patience_s: float = 0) -> None:
        """All output there is; a quiet kernel is waited for until *patience_s*, or until it says that it is idle."""
        while True:
            try:
                message = self._received(self.kc.iopub_channel, patience_s)
            except Empty:
                return
            self.waiting.append(self._counted(message))
            if message["msg_type"] == "status":
                patience_s = 0

    def _require_alive(self) -> None:
        if not self.km.is_alive():
            raise KernelEnded(self.ended or "died")
        if time.monotonic() > self.looked_at + LOOK_EVERY_S:
            if holds_more(list(descendants(os.getpid())), self.limits.resident_mb):
                self._end("memory")
            self.looked_at = time.monotonic()

    def _require_room(self) -> None:
        """What a cell held for a moment counts as well: whether somebody looked just then must not decide a mark."""
        if any(peak_mb(pid) > self.limits.resident_mb for pid in (self.km.pid, *descendants(self.km.pid))):
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


def _asks_to_end(reply: Any) -> bool:
    """Whether a cell called `exit()` or `quit()`."""
    payload = reply.get("payload") if isinstance(reply, Mapping) else None
    asked = payload if isinstance(payload, list) else []
    return any(isinstance(each, Mapping) and each.get("source") == "ask_exit" for each in asked)


def _size(content: Any) -> int:
    """About how many bytes a message holds."""
    if isinstance(content, str | bytes):
        return len(content)
    if isinstance(content, Mapping):
        return 64 + sum(_size(item) for item in content.values())
    if isinstance(content, list):
        return 8 * len(content) + sum(_size(item) for item in content)
    return 8


def start_kernel(waiting: tuple[int, int], told: dict[str, Any], limits: Limits) -> SandboxedKernel:
    """Tell the process that waits what it needs to be a kernel, and wait until it is."""
    pid, pipe = waiting
    with open(pipe, "w") as file:
        json.dump(told, file)
    client = BlockingKernelClient()
    client.load_connection_info(told["connection"])
    client.context.setsockopt(zmq.RCVHWM, 0)  # a cell may print thousands of lines, and not one may be lost
    return SandboxedKernel(limits, KernelProcess(pid), client)


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
    return [{key: _told(plain(result[key])) for key in (*ERRORS, "callable") if key in result} for result in results]


def _told(value: Plain) -> Plain:
    return without_paths(value) if isinstance(value, str) else value


def without_paths(text: str) -> str:
    """Of a path its last name: where the grader keeps things is nobody's business."""
    return PATH.sub("…/", text)


def _verdict(result: Mapping[str, Any], expected: Mapping[str, Any], rtol: float) -> str:
    if "error" in result:
        return f"error {str(result['error'])[:160]}"
    if "value" not in result or result.get("callable") is False or is_nothing(result["value"]):
        return "right" if "value" in result and expected == result else "nothing"
    return "right" if same(result["value"], expected.get("value"), rtol) else "wrong"


# --- what pytest calls ----------------------------------------------------------------------------------------------


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
