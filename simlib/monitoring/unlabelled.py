"""How good is the model today, before any label has come?  Estimated from its own calibrated scores.

    >>> import numpy as np
    >>> from simlib import monitoring
    >>> rng = np.random.default_rng(1)
    >>> p = rng.random(20_000)
    >>> estimator = monitoring.QualityEstimator.fit(rng.random(20_000) < p, p)
    >>> found = estimator.estimate(p[:5_000])
    >>> round(found["accuracy"], 2), round(found["accuracy_high"] - found["accuracy_low"], 2)
    (0.75, 0.02)

A score that is calibrated says how often it is right: of the rows at 0.8, four in five are positive.  So the expected
counts of the confusion table are sums of scores (confidence-based performance estimation, CBPE).  It holds as long as
the score stays calibrated: other customers of the same kind change nothing, but when what is *true* of a customer
changes (concept drift), the estimate does not move, and is wrong.
"""

import math
from typing import Any, Self

import numpy as np
from pydantic import SkipValidation

from simlib.parameters import ParameterError, Share, checked, config

_ENOUGH_TO_CALIBRATE = 100


@config
class QualityEstimator:
    """The estimate, and the calibration it rests on; made by `QualityEstimator.fit`.

    Parameters
    ----------
    threshold : share
        A row is predicted positive if its score is at least so much.
    scores, chances : sequence of float
        The calibration: the chance of a positive label at a score, by steps; empty, the score itself.
    """

    threshold: Share = 0.5
    scores: tuple[float, ...] = ()
    chances: tuple[float, ...] = ()

    def __repr__(self) -> str:
        how = f"calibrated in {len(self.scores)} steps" if self.scores else "the scores as they are"
        return f"<QualityEstimator at {self.threshold:g}, {how}>"

    @classmethod
    @checked
    def fit(cls, labels: SkipValidation[Any], scores: SkipValidation[Any], *, threshold: Share = 0.5) -> Self:
        """Calibrate on *labels* (0 or 1) and *scores* of rows the model was not trained on.

        Isotonic regression, kept only if it helps: if on the second half of the rows, having learned on the first, its
        squared error is smaller than that of the scores as they are.
        """
        y, p = _scores(labels, "labels"), _scores(scores, "scores")
        if len(y) != len(p) or not np.isin(y, (0.0, 1.0)).all():
            raise ParameterError("fit: labels should be 0 or 1, one for each score.")
        from sklearn.isotonic import IsotonicRegression

        half = len(y) // 2
        if half >= _ENOUGH_TO_CALIBRATE:
            order = np.random.default_rng(0xCA1).permutation(len(y))
            first, second = order[:half], order[half:]
            learned = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(p[first], y[first])
            if ((learned.predict(p[second]) - y[second]) ** 2).mean() < ((p[second] - y[second]) ** 2).mean():
                final = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(p, y)
                steps = (tuple(map(float, part)) for part in (final.X_thresholds_, final.y_thresholds_))
                return cls(threshold, *steps)
        return cls(threshold)

    @checked
    def estimate(self, scores: SkipValidation[Any]) -> dict[str, float]:
        """Expected accuracy, precision, recall and f1 of rows with *scores*; of the accuracy, a 95 % interval too.

        The interval says how far the labels of these rows may scatter, if the calibration holds; it knows nothing of a
        changed world.
        """
        raw = _scores(scores, "scores")
        if not len(raw):
            raise ParameterError("estimate: there are no scores.")
        chance = np.interp(raw, self.scores, self.chances) if self.scores else raw
        said = raw >= self.threshold
        right = np.where(said, chance, 1 - chance)
        tp, fp = float(chance[said].sum()), float((1 - chance)[said].sum())
        fn = float(chance[~said].sum())
        accuracy, n = float(right.mean()), len(raw)
        half = 1.96 * math.sqrt(float((right * (1 - right)).sum())) / n
        return {
            "accuracy": accuracy,
            "accuracy_low": max(0.0, accuracy - half),
            "accuracy_high": min(1.0, accuracy + half),
            "precision": _ratio(tp, tp + fp),
            "recall": _ratio(tp, tp + fn),
            "f1": _ratio(2 * tp, 2 * tp + fp + fn),
        }


def _scores(values: Any, name: str) -> np.ndarray:
    try:
        found = np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        found = np.array([math.nan])
    if found.ndim != 1 or not ((found >= 0) & (found <= 1)).all():
        raise ParameterError(f"{name} should be numbers from 0 to 1, one after the other.")
    return found


def _ratio(part: float, of: float) -> float:
    return part / of if of else math.nan
