"""Sending requests at times that do not wait for the answers: what real callers do.

A client that waits for an answer before it sends again slows down exactly when the server does, and so never sees the
queue (*coordinated omission*).  Here each request has its intended time beforehand, and its latency counts from there.
"""

import re
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any

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
    import urllib3

    intended, data = _ascending(times), _bytes(body)
    target, headers = _target(url), _headers(content_type, accept)
    pool = urllib3.PoolManager(maxsize=connections, block=True, retries=False, timeout=min(timeout_s, LONGEST_S))
    this = uuid.uuid4().hex[:8]  # who else drives the same server has other names
    rows: list[tuple[float, float, int]] = [(np.nan, np.nan, 0)] * len(intended)
    begin = time.perf_counter()

    def send(number: int) -> None:
        sent = time.perf_counter() - begin
        try:
            code = pool.request("POST", target, body=data, headers=headers | {INFERENCE_ID: f"{this}-{number}"}).status
        except urllib3.exceptions.HTTPError:
            code = 0
        rows[number] = (sent, time.perf_counter() - begin, code)

    with ThreadPoolExecutor(connections) as senders:
        asked = []
        for number, at in enumerate(intended):
            time.sleep(max(0.0, at - (time.perf_counter() - begin)))
            asked.append(senders.submit(send, number))
        for each in asked:
            each.result()
    pool.clear()
    frame = pd.DataFrame(rows, columns=["sent_s", "finish_s", "code"])
    frame.insert(0, "intended_s", intended)
    frame["latency_s"] = frame["finish_s"] - frame["intended_s"]
    frame["inference_id"] = [f"{this}-{number}" for number in range(len(frame))]
    return frame


def _ascending(times: Any) -> np.ndarray:
    try:
        found = np.asarray(times, dtype=float)
    except (TypeError, ValueError):
        found = np.array([np.nan])
    if found.ndim != 1 or not np.isfinite(found).all() or (found < 0).any() or (np.diff(found) < 0).any():
        raise ParameterError("drive: times should be seconds from now, finite, at least 0 and ascending.")
    if len(found) and found[-1] > LONGEST_S:
        raise ParameterError(f"drive: times should end within a day, {LONGEST_S:g} s; the last is {found[-1]:g}.")
    return found


def _bytes(body: bytes | str) -> bytes:
    try:
        return body.encode() if isinstance(body, str) else body
    except UnicodeEncodeError:
        raise ParameterError(f"drive: body={shortly(body)} cannot be written as UTF-8: send bytes.") from None


def _target(url: str) -> str:
    """Where requests go; raises about what is no address."""
    import urllib3

    try:
        parsed = urllib3.util.parse_url(url)
        host = parsed.host or ""
        host.encode("idna" if ":" not in host else "ascii")
        known = parsed.scheme in ("http", "https") and host and not re.search(r"[\s\0%]", host)
    except (urllib3.exceptions.HTTPError, UnicodeError):
        known = False
    if not known:
        raise ParameterError(f"drive: url={shortly(url)} is not possible: it should be like 'http://127.0.0.1:8080'.")
    return f"{url.rstrip('/')}/invocations"


def _headers(content_type: str, accept: str) -> dict[str, str]:
    for name, value in (("content_type", content_type), ("accept", accept)):
        if not re.fullmatch(r"[\x20-\x7e]+", value):
            raise ParameterError(f"drive: {name}={shortly(value)} is not possible: it should be like 'text/csv'.")
    return {"Content-Type": content_type, "Accept": accept}
