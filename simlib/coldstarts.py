"""What a record tells of those who had to wait for a model: cold starts of containers in their parts, loads of models.

A cold start is the provision of a container, the download of the model's artifact and its load into memory.  Only the
first is random; the other two are the deployment's.
"""

import math
from typing import Any

import numpy as np
import pandas as pd

from simlib.record import (
    ARRIVED,
    BUSY_NS,
    COLD_STARTS,
    CONTAINER_NS,
    NO_CAPACITY,
    ON_DEMAND,
    SETUP_NS,
    Requests,
    Snapshot,
)

PARTS = ("provision_s", "download_s", "load_s")


def of_requests(snapshot: Snapshot, log: Requests) -> dict[str, Any]:
    """Columns of the request log that only some deployments have."""
    if snapshot.models:
        names = pd.Categorical.from_codes(log.model, categories=pd.Index(snapshot.models))
        return {"model": names, "loading_s": log.loading}
    return _parts(snapshot, log) if log.setup.size else {}


def _parts(snapshot: Snapshot, log: Requests) -> dict[str, np.ndarray]:
    """The parts of the cold start before each request [s], NaN where there was none."""
    setup = np.where(log.cold, log.setup, np.nan)
    known = ~np.isnan(setup)
    download, load = snapshot.deployment.download_s, snapshot.deployment.model.load_seconds
    provision = np.maximum(setup - (download + load), 0.0)  # a difference of sums may be a rounding below 0
    return {
        "provision_s": provision,
        "download_s": np.where(known, download, np.nan),
        "load_s": np.where(known, load, np.nan),
    }


def figures(snapshot: Snapshot, tally: np.ndarray) -> dict[str, float]:
    """Figures of the summary: the mean cold start and its parts [s], NaN where there was none; tally of shape (T,)."""
    begun = tally[COLD_STARTS]
    setup = float(tally[SETUP_NS] / begun / 1e9) if begun else math.nan
    download, load = snapshot.deployment.download_s, snapshot.deployment.model.load_seconds
    parts = (max(setup - download - load, 0.0), download, load) if begun else (math.nan,) * 3
    return {"model_setup_s": setup, **dict(zip(PARTS, parts, strict=True))}


def timeline(snapshot: Snapshot, tally: np.ndarray, edges: np.ndarray) -> dict[str, np.ndarray]:
    """Columns of the timeline for periods between neighbouring *edges* [s], shape (periods + 1,).

    CloudWatch's names where it has one; *tally* has shape (periods, T).
    """
    seconds, busy_s = np.diff(edges), tally[:, BUSY_NS] / 1e9
    columns = {
        "Containers": tally[:, CONTAINER_NS] / 1e9 / seconds,
        "ColdStarts": tally[:, COLD_STARTS],
        "ModelSetupTime": _ratio(tally[:, SETUP_NS] / 1e9, tally[:, COLD_STARTS]),
        "ServerlessConcurrentExecutionsUtilization": busy_s / seconds / snapshot.deployment.max_concurrency,
    }
    if any(containers for _, containers in snapshot.provisioned):
        columns |= {
            "ProvisionedConcurrency": kept_warm(snapshot, edges[1:]),
            "ServerlessProvisionedConcurrencyUtilization": _ratio(busy_s, np.diff(_seconds_warm(snapshot, edges))),
            "ServerlessProvisionedConcurrencySpilloverInvocations": tally[:, ON_DEMAND],
        }
    return columns


def of_models(tally: np.ndarray) -> dict[str, np.ndarray]:
    """Columns of the timeline of a multi-model endpoint: hits among the calls, and the mean wait for a load [s]."""
    misses = tally[:, COLD_STARTS]
    return {
        "ModelCacheHit": _ratio((tally[:, ARRIVED] - misses).clip(0), tally[:, ARRIVED]),
        "ModelLoadingWaitTime": _ratio(tally[:, SETUP_NS] / 1e9, misses),
    }


def of_copies(tally: np.ndarray, edges: np.ndarray) -> dict[str, np.ndarray]:
    """Columns of the timeline of inference components: mean workers of their copies, and calls that found none."""
    return {
        "CopyWorkers": tally[:, CONTAINER_NS] / 1e9 / np.diff(edges),
        "NoCapacityInvocationFailures": tally[:, NO_CAPACITY],
    }


def kept_warm(snapshot: Snapshot, moments: np.ndarray) -> np.ndarray:
    """Containers kept warm just before each moment [s]."""
    times, kept = zip(*snapshot.provisioned, strict=True)
    return np.array([0, *kept])[np.searchsorted(times, moments)]


def _seconds_warm(snapshot: Snapshot, moments: np.ndarray) -> np.ndarray:
    """Seconds that containers were kept warm up to each moment [s], all of them together."""
    times = np.array([time for time, _ in snapshot.provisioned])
    changes = np.diff([0, *(kept for _, kept in snapshot.provisioned)])
    return np.clip(moments[:, None] - times, 0.0, None) @ changes


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Above / below, NaN where there is nothing below."""
    return np.divide(above, below, out=np.full(len(above), np.nan), where=below > 0)
