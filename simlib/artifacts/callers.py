"""Sending requests at times that do not wait for the answers: what real callers do.

A client that waits for an answer before it sends again slows down exactly when the server does, and so never sees the
queue (*coordinated omission*).  Here each request has its intended time beforehand, and its latency counts from there.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pandas as pd
from pydantic import SkipValidation

from simlib.parameters import Count, ParameterError, Positive, Text, checked


@checked
def drive(
    url: Text,
    times: SkipValidation[Any],
    *,
    body: bytes | str,
    content_type: Text = "application/json",
    accept: Text = "application/json",
    connections: Count = 64,
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
        Kept open at once; more requests than that at once wait here, and the wait counts as latency.
    timeout_s : float
        When a caller gives up [s].

    Returns
    -------
    DataFrame
        One row a request: intended_s sent_s finish_s [s from now], latency_s from the intended time, and code (0 where
        no answer came).
    """
    import urllib3

    intended = _ascending(times)
    data = body.encode() if isinstance(body, str) else body
    headers = {"Content-Type": content_type, "Accept": accept}
    pool = urllib3.PoolManager(maxsize=connections, block=True, retries=False, timeout=timeout_s)
    rows: list[tuple[float, float, int]] = [(np.nan, np.nan, 0)] * len(intended)
    begin = time.perf_counter()

    def send(number: int) -> None:
        sent = time.perf_counter() - begin
        try:
            code = pool.request("POST", f"{url}/invocations", body=data, headers=headers).status
        except urllib3.exceptions.HTTPError:
            code = 0
        rows[number] = (sent, time.perf_counter() - begin, code)

    with ThreadPoolExecutor(connections) as senders:
        for number, at in enumerate(intended):
            time.sleep(max(0.0, at - (time.perf_counter() - begin)))
            senders.submit(send, number)
    frame = pd.DataFrame(rows, columns=["sent_s", "finish_s", "code"])
    frame.insert(0, "intended_s", intended)
    frame["latency_s"] = frame["finish_s"] - frame["intended_s"]
    return frame


def _ascending(times: Any) -> np.ndarray:
    try:
        found = np.asarray(times, dtype=float)
    except (TypeError, ValueError):
        found = np.array([np.nan])
    if found.ndim != 1 or not np.isfinite(found).all() or (found < 0).any() or (np.diff(found) < 0).any():
        raise ParameterError("drive: times should be seconds from now, finite, at least 0 and ascending.")
    return found
