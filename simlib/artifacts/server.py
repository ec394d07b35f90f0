"""A local server with the contract of a SageMaker container: real requests, real answers, every one measured.

`GET /ping`, `POST /invocations`, `GET /execution-parameters`, and `POST /endpoints/<name>/invocations`, so that a
`boto3` client of `sagemaker-runtime` with `endpoint_url` works as it is.  waitress carries HTTP: it reads a request
whole before a worker sees it, so a slow sender keeps nobody waiting.  Only this machine is listened to, unless told
otherwise, and no code from a request is run.
"""

import http
import json
import os
import queue
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
from pydantic import AfterValidator, Field

from simlib.artifacts.handlers import Answer, importable, load
from simlib.artifacts.logs import LOG_COLUMNS, read_log
from simlib.artifacts.station import Station, Visit
from simlib.artifacts.unpacking import unpack
from simlib.parameters import Count, ParameterError, Positive, Text, Whole, checked, shortly


def _within_reach(value: int) -> int:
    if value > MOST_THREADS:
        raise ValueError(
            f"{shortly(value)} threads are too many: workers and queue_limit should be {MOST_THREADS} at most."
        )
    return value


INVOCATIONS = re.compile(r"/(?:endpoints/[A-Za-z0-9-]+/)?invocations")
PORT = 8080  # that of a container
MOST_THREADS = 1000  # each request that works or waits holds one
Port = Annotated[Whole, Field(le=65_535)]
Workers = Annotated[Count, AfterValidator(_within_reach)]
Waiting = Annotated[Whole, AfterValidator(_within_reach)]
_DRAIN_S = 30.0  # SIGTERM, then 30 s: AWS, your own inference code (V)
_READY_S = 60.0


# --- in this process, until told to stop -----------------------------------------------------------------------------


@checked
def serve(
    artifact: str | Path,
    *,
    port: Port = PORT,
    host: Text = "127.0.0.1",
    workers: Workers = 1,
    queue_limit: Waiting = 100,
    timeout_s: Positive = 60.0,
    max_body_mb: Positive = 25.0,
    log: str | Path | None = None,
    ready: Callable[[int], object] | None = None,
) -> None:
    """Serve an artifact until SIGTERM or Ctrl-C; then finish what is inside, for 30 s at most.

    Parameters
    ----------
    artifact : str or Path
        A `model.tar.gz`; its code is run, so only serve what you trust.
    port : int
        0 takes a free one.
    host : str
        Who is listened to; 127.0.0.1 is this machine only.
    workers : int
        Requests that are worked on at once, by threads.
    queue_limit : int
        Requests that may wait; further ones get 503.
    timeout_s : float
        From arrival to answer; 504 after that [s].
    max_body_mb : float
        A larger body gets 413 [MB].
    log : str or Path or None
        Where each request is noted, a line of JSON each.
    ready : callable or None
        Called with the port when requests are taken.

    Raises
    ------
    ParameterError
        If the artifact cannot be loaded, the host and port cannot be listened on, or the log cannot be written.
    """
    from waitress import create_server

    # threads of Python wait for each other 5 ms unless told otherwise: as long as many a model takes
    sys.setswitchinterval(0.0005)
    stop = threading.Event()
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda *_: stop.set())
    with tempfile.TemporaryDirectory() as folder:
        model = unpack(artifact, Path(folder) / "model")
        with importable(model), closing(_listening(host, port)) as listening, _noting(log) as note:
            handler = load(model)
            station = Station(handler, note, workers=workers, queue_limit=queue_limit, timeout_s=timeout_s)
            server = create_server(
                _application(station, workers=workers, max_body_mb=max_body_mb),
                sockets=[listening],
                threads=station.room + 4,  # those that wait hold a thread each; the rest say that there is no room
                connection_limit=_most_connections(station.room),
                asyncore_use_poll=True,  # select() would fail for ever at the 1,024th
                max_request_body_size=int(max_body_mb * 1e6) + 1,  # the first size that waitress refuses
                ident="simlib",
            )
            threading.Thread(target=server.run, daemon=True, name="http").start()
            if ready is not None:
                ready(int(server.effective_port))
            try:
                while not stop.wait(0.5):  # in short steps, for a signal interrupts no endless wait on some systems
                    pass
            except KeyboardInterrupt:
                pass
            station.drain(_DRAIN_S)
            _send_the_rest(server)
            server.close()


def _most_connections(room: int) -> int:
    """For all who find room and a thousand more, as far as this process may open files; further ones wait outside."""
    if not hasattr(select, "poll"):
        return 400  # Windows: select() knows 512 sockets
    import resource

    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    wanted = room + 1000
    return wanted if allowed == resource.RLIM_INFINITY else max(10, min(wanted, allowed - 100))


def _listening(host: str, port: int) -> socket.socket:
    """A socket on which requests may come in."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address[:2], family=family, backlog=1024)
    except (OSError, ValueError) as error:  # ValueError: a host that no name can be
        reason = error.strerror.split(" (")[0] if isinstance(error, OSError) and error.strerror else "it is no host"
        raise ParameterError(f"serve: host={host!r} and port={port} cannot be listened on: {reason}.") from None


def _send_the_rest(server: Any, seconds: float = 5.0) -> None:
    """Let the answers that are ready reach their callers."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        channels = list(server.active_channels.values())
        if not any(channel.total_outbufs_len or channel.requests for channel in channels):
            return
        time.sleep(0.01)


@contextmanager
def _noting(path: str | Path | None) -> Iterator[Callable[[Visit], None]]:
    """The access log: a line of JSON for each visit, in the order in which they leave."""
    if path is None:
        yield lambda visit: None
        return
    try:
        opened = Path(path).open("w", encoding="utf-8", buffering=1)  # noqa: SIM115 - closed below
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        reason = error.strerror if isinstance(error, OSError) else error
        raise ParameterError(f"serve: log={str(path)!r} cannot be written: {reason}.") from None
    visits: queue.SimpleQueue[Visit | None] = queue.SimpleQueue()
    with opened as file:

        def write() -> None:  # a thread of its own, so that no worker waits for the disk
            while (visit := visits.get()) is not None:
                file.write(json.dumps(visit.line()) + "\n")

        writer = threading.Thread(target=write, daemon=True, name="log")
        writer.start()
        try:
            yield visits.put
        finally:
            visits.put(None)
            writer.join()


def _application(station: Station, *, workers: int, max_body_mb: float) -> Callable[..., Iterable[bytes]]:
    """The container's contract as a WSGI application."""
    parameters = {
        "MaxConcurrentTransforms": workers,
        "BatchStrategy": "MultiRecord",
        "MaxPayloadInMB": int(max_body_mb),
    }

    def answer(path: str, environ: dict[str, Any]) -> Answer:
        if path == "/ping":
            return Answer(200, b"", "text/plain")
        if path == "/execution-parameters":
            return Answer(200, json.dumps(parameters).encode(), "application/json")
        body = environ["wsgi.input"].read()
        inference_id = environ.get("HTTP_X_AMZN_SAGEMAKER_INFERENCE_ID")
        return station.serve(body, environ.get("CONTENT_TYPE"), environ.get("HTTP_ACCEPT"), inference_id)

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        allowed = _methods(path)
        if not allowed:
            found = Answer(404, b"there is /ping, /invocations and /execution-parameters\n", "text/plain")
        elif method not in allowed:
            found = Answer(405, f"send {allowed[0]} to {path}\n".encode(), "text/plain")
        else:
            found = answer(path, environ)
        body = b"" if method == "HEAD" else found.body  # HTTP lets nothing follow the head then
        headers = [("Content-Type", found.content_type), ("Content-Length", str(len(body)))]
        if found.status == 405:
            headers.append(("Allow", ", ".join(allowed)))
        start_response(f"{found.status} {_reason(found.status)}", headers)
        return [body]

    return application


def _methods(path: str) -> tuple[str, ...]:
    """What *path* may be asked with; nothing where there is no such path."""
    if path in ("/ping", "/execution-parameters"):
        return ("GET", "HEAD")
    return ("POST",) if INVOCATIONS.fullmatch(path) else ()


def _reason(status: int) -> str:
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:  # a number of the artifact's own
        return "Error"


# --- in a process of its own -----------------------------------------------------------------------------------------


class Server:
    """`serve` in a process of its own, on a free port; a context manager.

        with artifacts.Server("model.tar.gz", workers=2) as server:
            …  # send requests to server.url
        server.log()

    Attributes
    ----------
    url : str
        Where requests go: `url + "/invocations"`.
    """

    @checked
    def __init__(
        self,
        artifact: str | Path,
        *,
        port: Port = 0,
        workers: Workers = 1,
        queue_limit: Waiting = 100,
        timeout_s: Positive = 60.0,
        max_body_mb: Positive = 25.0,
    ) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._log, self._said = (Path(self._folder.name) / name for name in ("access.jsonl", "said.txt"))
        self._kept: pd.DataFrame | None = None  # the log, once the server has stopped
        self._printed = ""
        port = port or _free_port()
        self.url = f"http://127.0.0.1:{port}"
        options = {"workers": workers, "queue-limit": queue_limit, "timeout-s": timeout_s, "max-body-mb": max_body_mb}
        settings = [f"--{name}={value}" for name, value in options.items()]
        command = [sys.executable, "-m", "simlib", "serve", str(artifact), f"--port={port}", f"--log={self._log}"]
        at_once = os.environ | {"PYTHONUNBUFFERED": "1"}
        with self._said.open("wb") as said:  # a file, for who writes into a pipe that nobody reads stands still
            try:
                self._process = subprocess.Popen([*command, *settings], stdout=said, stderr=said, env=at_once)
            except ValueError:  # a name that no file can have
                self._folder.cleanup()
                raise ParameterError(f"Server: there is no file {shortly(str(artifact))}.") from None
        weakref.finalize(self, _end, self._process)  # whoever forgets to stop it leaves nothing behind
        self._wait_until_ready()

    def _wait_until_ready(self) -> None:
        import urllib3

        until, pool = time.monotonic() + _READY_S, urllib3.PoolManager(retries=False, timeout=2.0)
        while time.monotonic() < until:
            if self._process.poll() is not None:
                self.stop()
                said = self.printed().strip()
                raise ParameterError(said.splitlines()[-1] if said else "Server: it did not start.")
            try:
                if pool.request("GET", f"{self.url}/ping").status == 200:
                    return
            except urllib3.exceptions.HTTPError:
                time.sleep(0.05)
        self.stop()
        raise ParameterError(f"Server: it was not ready within {_READY_S:g} s: model_fn should take less.")

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> int:
        """Ask it to stop (SIGTERM) and wait until everybody inside has been answered; its exit code."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_DRAIN_S + 10)
            except subprocess.TimeoutExpired:
                self._process.kill()
        if self._kept is None:
            self._kept = read_log(self._log) if self._log.exists() else pd.DataFrame(columns=list(LOG_COLUMNS))
            self._printed = self.printed()
            self._folder.cleanup()
        return self._process.wait()

    def log(self) -> pd.DataFrame:
        """The access log so far: one row a request, in the order of arrival."""
        return read_log(self._log) if self._kept is None else self._kept.copy()

    def printed(self) -> str:
        """What the artifact's code has printed so far, warnings and errors too."""
        return self._said.read_text(errors="replace") if self._said.exists() else self._printed


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
