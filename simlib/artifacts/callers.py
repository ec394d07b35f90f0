"""Sending requests at times that do not wait for the answers: what real callers do.

A client that waits for an answer before it sends again slows down exactly when the server does, and so never sees the
queue (*coordinated omission*).  Here each request has its intended time beforehand, and its latency counts from there.
"""

import http.client
import re
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any
from urllib.parse import SplitResult, urlsplit

import numpy as np
import pandas as pd
from pydantic import Field, SkipValidation

from simlib.parameters import Count, ParameterError, Positive, Text, checked, shortly

INFERENCE_ID = "X-Amzn-SageMaker-Inference-Id"  # a caller's own name for a request, as SageMaker knows it
LONGEST_S = 86_400.0
Connections = Annotated[Count, Field(le=1000)]  # each is a thread


@checked
def drive(
    url: Text,
    times: SkipValidation[Any],
    *,
    body: bytes | str,
    content_type: Text = "application/json",
    accept: Text = "application/json",
    connections: Connections = 64,
    timeout_s: Positive = 70.0,
) -> pd.DataFrame:
    """Send one request at each of *times*, whatever the answers do.

    Parameters
    ----------
    url : str
        Of the server, such as `server.url`; requests go to `/invocations`.
    times : array of float
        Seconds from now, ascending: `workload.poisson(rate=5).arrivals(0, 60, rng)`.
    body : bytes or str
        What each request holds.
    connections : int
        Kept open at once, 1,000 at most; more requests than that at once wait here, and the wait counts as latency.
    timeout_s : float
        When a caller gives up [s].

    Returns
    -------
    DataFrame
        One row a request: intended_s sent_s finish_s [s from now], latency_s from the intended time, code (0 where no
        answer came), and the inference_id that it carried, by which it is found in the server's log.
    """
    intended, data = _ascending(times), _bytes(body)
    address, headers = _address(url), _headers(content_type, accept)
    patience_s, mine = min(timeout_s, LONGEST_S), threading.local()  # each sender keeps a connection of its own
    opened: list[_Connection] = []
    this = uuid.uuid4().hex[:8]  # who else drives the same server has other names
    rows: list[tuple[float, float, int]] = [(np.nan, np.nan, 0)] * len(intended)
    begin = time.perf_counter()

    def send(number: int) -> None:
        sent = time.perf_counter() - begin
        if not hasattr(mine, "connection"):
            mine.connection = _Connection(address, patience_s)
            opened.append(mine.connection)
        code = mine.connection.ask(data, headers | {INFERENCE_ID: f"{this}-{number}"})
        rows[number] = (sent, time.perf_counter() - begin, code)

    with ThreadPoolExecutor(connections) as senders:
        asked = []
        for number, at in enumerate(intended):
            time.sleep(max(0.0, at - (time.perf_counter() - begin)))
            asked.append(senders.submit(send, number))
        for each in asked:
            each.result()
    for connection in opened:
        connection.close()
    frame = pd.DataFrame(rows, columns=["sent_s", "finish_s", "code"])
    frame.insert(0, "intended_s", intended)
    frame["latency_s"] = frame["finish_s"] - frame["intended_s"]
    frame["inference_id"] = [f"{this}-{number}" for number in range(len(frame))]
    return frame


class _Connection:
    """One connection to *address*, opened when it is needed and kept from request to request.

    By the standard library alone: what a caller's own program takes is part of the latency that it measures.
    """

    def __init__(self, address: SplitResult, patience_s: float) -> None:
        kind = http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection
        self._http = kind(str(address.hostname), address.port, timeout=patience_s)
        self._path = f"{address.path.rstrip('/')}/invocations"

    def ask(self, body: bytes, headers: dict[str, str]) -> int:
        """The status of the answer; 0 where none comes."""
        from urllib3.util import wait_for_read

        if self._http.sock is not None and wait_for_read(self._http.sock, timeout=0.0):
            self.close()  # the server has hung up meanwhile
        try:
            self._http.request("POST", self._path, body, headers)
            answer = self._http.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            self.close()
            return 0
        return answer.status

    def close(self) -> None:
        """Hang up."""
        self._http.close()


def _ascending(times: Any) -> np.ndarray:
    try:
        found = np.asarray(times, dtype=float)
    except (TypeError, ValueError, OverflowError):
        found = np.array([np.nan])
    if found.ndim != 1 or not np.isfinite(found).all() or (found < 0).any() or (np.diff(found) < 0).any():
        raise ParameterError(
            f"drive: times={shortly(times)} is not possible: times should be seconds from now, finite, at least 0 and "
            "ascending."
        )
    if len(found) and found[-1] > LONGEST_S:
        raise ParameterError(f"drive: times should end within a day, {LONGEST_S:g} s; the last is {found[-1]:g}.")
    return found


def _bytes(body: bytes | str) -> bytes:
    try:
        return body.encode() if isinstance(body, str) else body
    except UnicodeEncodeError:
        raise ParameterError(f"drive: body={shortly(body)} cannot be written as UTF-8: send bytes.") from None


def _address(url: str) -> SplitResult:
    """Where requests go; raises about what is no address."""
    try:
        address = urlsplit(url)
        host = address.hostname or ""
        host.encode("idna" if ":" not in host else "ascii")
        known = address.scheme in ("http", "https") and host and address.port != 0
        known = known and url.isascii() and not re.search(r"[\s\0%]", url)
    except ValueError:  # UnicodeError is one, too
        known = False
    if not known:
        raise ParameterError(f"drive: url={shortly(url)} is not possible: it should be like 'http://127.0.0.1:8080'.")
    return address


def _headers(content_type: str, accept: str) -> dict[str, str]:
    for name, value in (("content_type", content_type), ("accept", accept)):
        if not re.fullmatch(r"[\x20-\x7e]+", value):
            raise ParameterError(f"drive: {name}={shortly(value)} is not possible: it should be like 'text/csv'.")
    return {"Content-Type": content_type, "Accept": accept}
