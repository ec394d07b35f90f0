"""The flip test: would this person of d have been decided otherwise among people of a who resemble them?

For each row of d, the k nearest rows of a vote on the decision.  F⁺ counts refused rows of d whose neighbours were
accepted, F⁻ accepted ones whose neighbours were refused; FT = (F⁺ − F⁻) / n_d, so above 0 hurts d.

More than 10,000 rows are sampled, without replacement, and the result says so.  The bootstrap resamples rows, which
needs no new search: a neighbour drawn twice votes twice, one not drawn is passed over for the next nearest.

Source: Black, Yeom and Fredrikson, FlipTest (2020), in the k-nearest-neighbour form of smclarify 0.5.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import pandas as pd

from simlib.parameters import ParameterError, nearest

AT_MOST = 10_000  # rows
NEIGHBOURS = 5
FEW = 9  # with so many rows of a or fewer, one neighbour decides
_REACH = 32  # so many of the nearest are known; that fewer than 5 draws fall on 32 rows has probability 1e-9


@dataclasses.dataclass(frozen=True)
class FlipTest:
    """The flip test of one data set, ready to be resampled."""

    accepted_d: np.ndarray
    accepted_a: np.ndarray
    neighbours: np.ndarray  # for each row of d its nearest rows of a, nearest first
    among_a: np.ndarray  # what the k nearest of a say of each row of d

    @property
    def rows(self) -> int:
        return len(self.accepted_d) + len(self.accepted_a)

    @property
    def flips(self) -> np.ndarray:
        """+1: refused, though its neighbours in a are accepted; −1: the reverse; 0: no flip."""
        return self.among_a.astype(int) - self.accepted_d.astype(int)

    @property
    def value(self) -> float:
        return float(self.flips.mean()) if len(self.accepted_d) and len(self.accepted_a) else float("nan")

    def resampled(self, times: int, rng: np.random.Generator) -> np.ndarray:
        """The value in *times* resamples of the rows."""
        n_d, n = len(self.accepted_d), self.rows
        found = np.full(times, np.nan)
        if not n_d or n_d == n:
            return found
        k = neighbours_for(n - n_d)
        yes = self.accepted_a[self.neighbours]
        for b in range(times):
            weights = np.bincount(rng.integers(0, n, size=n), minlength=n)
            w_d, reach = weights[:n_d], weights[n_d:][self.neighbours]
            before = np.cumsum(reach, axis=1) - reach
            votes = np.clip(k - before, 0, reach)
            says = 2 * (votes * yes).sum(axis=1) > votes.sum(axis=1)
            if w_d.sum() and weights[n_d:].any():
                found[b] = (w_d * (says.astype(int) - self.accepted_d)).sum() / w_d.sum()
        return found


def neighbours_for(n_a: int) -> int:
    return NEIGHBOURS if n_a > FEW else 1


def sample(n: int, seed: int) -> np.ndarray:
    """Rows to look at: all, or 10,000 of them."""
    return np.arange(n) if n <= AT_MOST else np.sort(np.random.default_rng(seed).choice(n, AT_MOST, replace=False))


def fitted(features: np.ndarray, is_d: np.ndarray, accepted: np.ndarray, *, standardised: bool) -> FlipTest:
    """Search the neighbours."""
    if standardised:
        spread = features.std(axis=0)
        features = (features - features.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    a, d = features[~is_d], features[is_d]
    if not len(a) or not len(d):
        return FlipTest(accepted[is_d], accepted[~is_d], np.zeros((len(d), 0), dtype=int), np.zeros(len(d), dtype=bool))
    from sklearn.neighbors import KNeighborsClassifier

    knn = KNeighborsClassifier(n_neighbors=neighbours_for(len(a))).fit(a, accepted[~is_d])
    near = knn.kneighbors(d, n_neighbors=min(_REACH, len(a)), return_distance=False)
    return FlipTest(accepted[is_d], accepted[~is_d], near, knn.predict(d))


def feature_columns(frame: pd.DataFrame, features: Sequence[str], owner: str) -> np.ndarray:
    """The named columns as floats."""
    if not len(features):
        raise ParameterError(f"{owner}: features=[] is not possible: it should name at least one column.")
    for name in features:
        if name not in frame.columns:
            known = nearest(name, map(str, frame.columns))
            raise ParameterError(f"{owner}: frame has no column features={name!r}; {known}")
        if not pd.api.types.is_numeric_dtype(frame[name]):
            raise ParameterError(
                f"{owner}: features={name!r} is not possible: the flip test measures distances, so it needs numbers; "
                "code its values as 0 and 1 first."
            )
        if frame[name].isna().any():
            raise ParameterError(f"{owner}: {int(frame[name].isna().sum())} rows have no feature {name!r}; drop them.")
    found = frame[list(features)].to_numpy(dtype=float)
    if not np.isfinite(found).all():
        name = features[int(np.argmin(np.isfinite(found).all(axis=0)))]
        raise ParameterError(f"{owner}: feature {name!r} is infinite in some rows; drop them.")
    return found
