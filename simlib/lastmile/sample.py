"""What the endpoint captured of a long run whose requests were counted and not kept.

A folded run knows of each minute how many requests came and how many were answered.  A captured request is drawn from
these counts: each request that came is kept by chance, falls somewhere in its minute, was answered by chance as the
others of its minute, and met the version that its share of the traffic sent it to.  So rows are made, and models
asked, for captured requests only; what all requests cost is estimated from them.

Random numbers go by the requests that came, so two policies under one seed see the same customers.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from simlib.monitoring.streams import DAY_S, Stream, scores
from simlib.record import ARRIVED, COMPLETED
from simlib.serving.endpoint import Endpoint

MINUTE_S = 60.0
_AT_ONCE = 1 << 18  # rows made at a time: it bounds memory and changes nothing


class Routing:
    """Which version each variant of the endpoint serves; an update adds variants for the version it brings."""

    def __init__(self, version: int) -> None:
        self._since = [0]
        self._versions = [version]

    def add(self, first_variant: int, version: int) -> None:
        """Variants from this number on serve *version*."""
        self._since.append(first_variant)
        self._versions.append(version)

    def of(self, variants: np.ndarray) -> np.ndarray:
        """The version of each variant, by their numbers."""
        found: np.ndarray = np.array(self._versions)[np.searchsorted(self._since, variants, side="right") - 1]
        return found


class Sample:
    """The captured requests, with their rows, the answers they got, and labels that come late.

    Parameters
    ----------
    endpoint : Endpoint
    percent : float
        Of the requests that are kept [%].
    stream : function of nothing
        Returns what requests carry now.
    routing : Routing
    threshold : float
        A request is declined if its score is at least this.
    facet : str
        The column of the groups.
    outages : sequence of (begin [s], end [s])
        Labels that would come in between come at the end.
    keep_days : float
        Rows older than this are forgotten once they are counted.
    """

    outputs = ("score", "prediction")

    def __init__(
        self,
        endpoint: Endpoint,
        percent: float,
        stream: Callable[[], Stream],
        routing: Routing,
        *,
        threshold: float,
        outages: Sequence[tuple[float, float]] = (),
        keep_days: float,
    ) -> None:
        self.endpoint, self.percent, self.routing = endpoint, percent, routing
        self.carried = self  # a monitor asks it for inputs, outputs and label
        self.models: dict[int, Any] = {}
        self.skewed: dict[int, Callable[[pd.DataFrame], pd.DataFrame]] = {}
        self.live = 1
        self._stream, self._threshold, self._outages = stream, threshold, tuple(outages)
        self._keep_s = keep_days * DAY_S
        first = stream()
        self.inputs, self.label = first.inputs, str(first.label)
        draw = endpoint.sim.rng
        self._marks, self._times = draw("sample", "marks"), draw("sample", "times")
        self._fates, self._choice = draw("sample", "fates"), draw("sample", "versions")
        self._groups = [draw("sample", "rows", str(k)) for k in range(1 + len(first.drifts))]
        self._minute = 0
        self._parts: list[pd.DataFrame] = []
        self._until: list[float] = []
        self._listeners: list[Callable[[pd.DataFrame], None]] = []
        self.kept = 0

    def listen(self, listener: Callable[[pd.DataFrame], None]) -> None:
        """Call *listener* with all rows, once, as they are made."""
        self._listeners.append(listener)

    # --- for whoever watches ---

    def frame(self, begin_s: float = 0.0, end_s: float | None = None) -> pd.DataFrame:
        """What the version that is live now answered in [begin_s, end_s), in order."""
        rows = self.rows(begin_s, np.inf if end_s is None else end_s)
        return rows[rows["version"] == self.live]

    def rows(self, begin_s: float, end_s: float) -> pd.DataFrame:
        """What was captured in [begin_s, end_s), whoever answered it."""
        self.advance(end_s)
        found = []
        for part in self._parts[int(np.searchsorted(self._until, begin_s)) :]:
            times = part["inference_s"].to_numpy()
            a, b = np.searchsorted(times, [begin_s, end_s])
            if a < b:
                found.append(part.iloc[a:b])
            if times[-1] >= end_s:
                break
        return pd.concat(found, ignore_index=True) if found else self._made(np.empty(0), np.empty(0, np.int64))

    def known(self, begin_s: float, now_s: float) -> pd.DataFrame:
        """Rows since *begin_s* whose label has come by *now_s*."""
        rows = self.rows(begin_s, np.inf)
        return rows[rows["label_s"] <= now_s].reset_index(drop=True)

    # --- how it is kept ---

    def advance(self, end_s: float = np.inf) -> None:
        """Take in the minutes that have passed, those before *end_s* [s]."""
        self.endpoint.advance()
        now = self.endpoint.sim.env.now
        end = int(min(now, end_s) // MINUTE_S)
        while self._minute < end:
            self._take(min(end, self._minute + 1440))
        while self._parts and self._until[0] < now - self._keep_s:
            del self._parts[0], self._until[0]

    def _take(self, end: int) -> None:
        tally = self.endpoint.station.lane.tally[:, self._minute : end]
        by_variant = tally[:, :, ARRIVED]
        came, answered = by_variant.sum(axis=0), tally[:, :, COMPLETED].sum(axis=0)
        marked = self._marks.binomial(came, self.percent / 100)
        minute = np.repeat(np.arange(self._minute, end), marked)
        times = MINUTE_S * (minute + self._times.random(len(minute)))
        share = np.divide(answered, came, out=np.ones(len(came)), where=came > 0)
        fate = self._fates.random(len(minute)) < np.repeat(np.minimum(share, 1.0), marked)
        variant = self._chosen(by_variant, minute - self._minute)
        self._minute = end
        order = np.argsort(times, kind="stable")
        times, fate, version = times[order], fate[order], self.routing.of(variant)[order]
        for first in range(0, len(times), _AT_ONCE):
            here = slice(first, first + _AT_ONCE)
            rows = self._made(times[here], version[here])
            rows = rows[fate[here]].reset_index(drop=True)
            if len(rows):
                self.kept += len(rows)
                for listener in self._listeners:
                    listener(rows)
                self._parts.append(rows)
                self._until.append(float(rows["inference_s"].iloc[-1]))

    def _chosen(self, by_variant: np.ndarray, minute: np.ndarray) -> np.ndarray:
        """The variant of each captured request: by chance, as the requests of its minute were shared out."""
        u = self._choice.random(len(minute))
        if len(by_variant) == 1:
            return np.zeros(len(minute), dtype=np.int64)
        edges = np.cumsum(by_variant, axis=0)[:, minute]
        return np.asarray((u * edges[-1] >= edges[:-1]).sum(axis=0))

    def _made(self, times: np.ndarray, version: np.ndarray) -> pd.DataFrame:
        stream = self._stream()
        u = [each.random((len(times), width)) for each, width in zip(self._groups, stream.draws, strict=True)]
        rows = stream.rows(times, u, chance=True)  # the chance is for the accounts; no monitor and no model sees it
        score = np.zeros(len(times))
        for number in np.unique(version):
            mine = version == number
            score[mine] = self.score(int(number), rows.loc[mine, list(self.inputs)])
        rows["label_s"] = self._delayed(rows["label_s"].to_numpy())
        return rows.assign(
            inference_s=times, version=version, score=score, prediction=(score >= self._threshold).astype(int)
        )

    def score(self, version: int, inputs: pd.DataFrame) -> np.ndarray:
        """What a version says once it serves; a skewed one sees other inputs than it learned from."""
        skew = self.skewed.get(version)
        return scores(self.models[version], skew(inputs) if skew else inputs)

    def _delayed(self, label_s: np.ndarray) -> np.ndarray:
        for begin, end in self._outages:
            label_s = np.where((label_s >= begin) & (label_s < end), end, label_s)
        return label_s
