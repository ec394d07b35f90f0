"""Nearest vectors at once: an index that looks into a few lists instead of all, and what that costs in recall.

    >>> import numpy as np
    >>> vectors = np.random.default_rng(0).normal(size=(2000, 16))
    >>> index = VectorIndex(vectors, lists=20)
    >>> index.recall(vectors[:50], k=5, probes=20)
    1.0

An inverted file (IVF; Jégou, Douze and Schmid 2011): k-means divides the vectors into lists, and a query looks into the
lists whose centres are the nearest.  Vertex AI's Vector Search uses another index (ScaNN); the trade is the same.
"""

import math

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from pydantic import SkipValidation

from simlib.parameters import Count, NonNegative, ParameterError, Positive, Whole, checked
from simlib.pricing import HOURS_PER_MONTH, price

BYTES_OF_A_FLOAT = 4


class VectorIndex:
    """Vectors in lists around the centres that k-means finds.

    Parameters
    ----------
    vectors : array of shape (n, dimension)
    lists : int
        How many; the square root of n is a usual choice.
    seed : int
    """

    @checked
    def __init__(self, vectors: SkipValidation[ArrayLike], *, lists: Count = 100, seed: Whole = 0) -> None:
        from sklearn.cluster import MiniBatchKMeans

        self.vectors = _matrix("vectors", vectors)
        if lists > len(self.vectors):
            raise ParameterError(f"VectorIndex: lists={lists} should be at most the {len(self.vectors)} vectors.")
        means = MiniBatchKMeans(lists, random_state=seed, n_init=1, batch_size=4096).fit(self.vectors)
        self.centres = means.cluster_centers_.astype(np.float32)
        self._lists = [np.flatnonzero(means.labels_ == k) for k in range(lists)]

    @checked
    def search(self, query: SkipValidation[ArrayLike], k: Count = 10, *, probes: Count = 1) -> tuple[np.ndarray, int]:
        """The numbers of the *k* nearest vectors found in *probes* lists, nearest first, and how many were looked at.

        Ties go to the lower number.  Fewer than *k* where the lists hold fewer.
        """
        point = _matrix("query", np.atleast_2d(np.asarray(query)), len(self.vectors.T))[0]
        near = np.argsort(_distances(self.centres, point), kind="stable")[:probes]
        inside = np.sort(np.concatenate([self._lists[each] for each in near]))
        order = np.argsort(_distances(self.vectors[inside], point), kind="stable")[:k]
        return inside[order], len(inside) + len(self.centres)

    @checked
    def recall(self, queries: SkipValidation[ArrayLike], k: Count = 10, *, probes: Count = 1) -> float:
        """The share of the true *k* nearest that is found, over all queries."""
        return float(self.curve(queries, k, probes=(probes,))["recall"].iloc[0])

    @checked
    def curve(
        self,
        queries: SkipValidation[ArrayLike],
        k: Count = 10,
        *,
        probes: tuple[Count, ...] = (1, 2, 4, 8, 16, 32, 64),
        giga_multiplications_per_s: Positive = 1.0,
    ) -> pd.DataFrame:
        """Recall against latency, by how many lists are looked into.

        Latency is counted, not timed, so that it is the same everywhere: vectors looked at * dimension, at so many
        multiplications a second (assumption).

        Returns
        -------
        DataFrame
            Index probes; recall, looked_at (share of the vectors), and latency_ms.
        """
        asked = _matrix("queries", queries, self.vectors.shape[1])
        truth = [set(np.argsort(_distances(self.vectors, each), kind="stable")[:k].tolist()) for each in asked]
        rows = {}
        for many in probes:
            found = [self.search(each, k, probes=many) for each in asked]
            hits = sum(len(true & set(ids.tolist())) for true, (ids, _) in zip(truth, found, strict=True))
            seen = float(np.mean([count for _, count in found]))
            work_s = seen * self.vectors.shape[1] / (giga_multiplications_per_s * 1e9)
            rows[many] = (hits / sum(map(len, truth)), seen / len(self.vectors), 1000 * work_s)
        frame = pd.DataFrame.from_dict(rows, orient="index", columns=["recall", "looked_at", "latency_ms"])
        return frame.rename_axis("probes")


def _distances(vectors: np.ndarray, point: np.ndarray) -> np.ndarray:
    return ((vectors - point) ** 2).sum(axis=1)


def _matrix(name: str, values: ArrayLike, dimension: int | None = None) -> np.ndarray:
    try:
        found = np.asarray(values, dtype=np.float32)
    except (TypeError, ValueError):
        found = np.empty(0, dtype=np.float32)
    if found.ndim != 2 or not found.size or not np.isfinite(found).all():
        raise ParameterError(f"VectorIndex: {name} should be rows of finite numbers, one a vector.")
    if dimension is not None and found.shape[1] != dimension:
        raise ParameterError(f"VectorIndex: {name} has {found.shape[1]} numbers a vector, and should have {dimension}.")
    return found


@checked
def vector_search_usd(
    vectors: Positive,
    *,
    dimension: Count = 768,
    queries_per_s: NonNegative = 10.0,
    rebuilds_per_month: NonNegative = 1.0,
    node_gib: Positive = 6.0,
    queries_per_s_of_a_node: Positive = 100.0,
) -> pd.DataFrame:
    """A month of vector search: Vertex AI's service, and the same index in a container on an endpoint of each platform.

    Parameters
    ----------
    vectors, dimension : float, int
        How many, of how many 4-byte numbers.
    queries_per_s, rebuilds_per_month : float
    node_gib, queries_per_s_of_a_node : float
        What one node of 2 vCPUs holds, and answers (assumptions; the vendor names no such figures).

    Returns
    -------
    DataFrame
        Index where; nodes, usd_nodes, usd_build, usd, and note on the price.
    """
    gib = vectors * dimension * BYTES_OF_A_FLOAT / 2**30
    nodes = max(1, math.ceil(gib / node_gib), math.ceil(queries_per_s / queries_per_s_of_a_node))
    build = price("vector_search", "index-build", platform="vertex", region="us-central1")
    options = {
        "Vertex AI Vector Search": price("vector_search", "e2-standard-2", platform="vertex", region="us-central1"),
        "own index on Vertex AI": price("online_prediction", "n1-standard-2", platform="vertex", region="us-central1"),
        "own index on SageMaker": price("sagemaker_hosting", "ml.m5.large"),
        "own index on Azure ML": price("compute", "Standard_D2s_v3", platform="azureml", region="eastus"),
    }
    rows = {}
    for name, hourly in options.items():
        builds = rebuilds_per_month * gib * build.usd if name.startswith("Vertex") else 0.0
        running = nodes * HOURS_PER_MONTH * hourly.usd
        rows[name] = (nodes, running, builds, running + builds, hourly.note)
    columns = ["nodes", "usd_nodes", "usd_build", "usd", "note"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("where")
