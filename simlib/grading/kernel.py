"""The kernel of one submission: in the sandbox, its output counted, its end noticed within a second."""

import contextlib
import json
import os
import signal
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from queue import Empty
from typing import Any

import nbval.kernel
import zmq
from jupyter_client.blocking.client import BlockingKernelClient

from simlib.grading.sandbox import Limits, activity, descendants, end_all, holds_more, peak_mb

LOOK_EVERY_S = 0.3
STARTUP_S = 120
NO_MESSAGE = 1000  # bytes that one counts for


class KernelEnded(Exception):
    """The kernel is gone, or was ended: why, in one word."""


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
