"""Data with known bias: loans whose bias is set by dials and whose metrics are known exactly, and one real data set.

`Loans` tells a story with one wrong in it.  People deserve a loan (they would repay it) or not.  A clerk decided in the
past; the clerk's decision is the label from which a model learns.  Each dial adds one kind of bias against one facet:

- ``label_bias``: the clerk refused this share of the deserving people of d;
- ``selection_bias``: this share of the deserving people of d never came, so they are missing from the data;
- ``proxy_strength``: how well the postcode tells the facet, 0 (not at all) to 1 (always);
- ``share_d``: how many of the rows are d;
- ``base_rate_d`` against ``base_rate_a``: a real difference in merit.

>>> market = Loans(label_bias=0.3)
>>> round(market.truth()["DPL"], 3)  # 0.6 − 0.6 · (1 − 0.3)
0.18
>>> market.sample(3, seed=1)[["gender", "deserves", "approved"]].values.tolist()
[['man', 1, 1], ['woman', 1, 1], ['man', 1, 1]]
"""

from typing import Literal

import numpy as np
import pandas as pd

from simlib.fairness.groups import Cells
from simlib.parameters import Count, ParameterError, Positive, Real, Share, Whole, checked, config

Wronged = Literal["gender", "ethnicity", "age"]
OLD = 60.0
DISADVANTAGED: dict[str, list[str] | float] = {"gender": ["woman"], "ethnicity": ["amber"], "age": OLD}
"""Who is d in each facet; age is continuous, so its d is everybody above."""
_SHARE_ELSEWHERE = {"gender": 0.5, "ethnicity": 0.2, "age": 0.25}
_INCOME, _SPREAD = 30.0, 10.0  # of people who do not deserve a loan, thousands a year


@config
class Loans:
    """A market of loans with known bias against one facet; the other two facets are fair by construction.

    Parameters
    ----------
    wronged : "gender", "ethnicity" or "age"
        Which facet the dials act on: d is a woman, of the (invented) ethnicity amber, or older than 60.
    share_d : share
        Of the applicants, before selection.
    base_rate_a, base_rate_d : share
        Of the applicants who deserve a loan.
    label_bias : share
        Of the deserving d whom the clerk refused.
    selection_bias : share
        Of the deserving d who are missing from the data.
    proxy_strength : share
        The postcode is 1 for (1 + strength)/2 of d and for (1 − strength)/2 of a.
    purpose_mix, purpose_effect : share
        (1 + mix)/2 of d and (1 − mix)/2 of a want a car, the others a home; who wants a car deserves it with a
        probability lower by the effect, who wants a home with one higher by it.
    signal : number
        How many standard deviations the incomes of the deserving lie above those of the others.
    """

    wronged: Wronged = "gender"
    share_d: Share = 0.3
    base_rate_a: Share = 0.6
    base_rate_d: Share = 0.6
    label_bias: Share = 0.0
    selection_bias: Share = 0.0
    proxy_strength: Share = 0.0
    purpose_mix: Share = 0.0
    purpose_effect: Share = 0.0
    signal: Positive = 1.5

    def __post_init__(self) -> None:
        for name in ("base_rate_a", "base_rate_d"):
            rate = getattr(self, name)
            if not self.purpose_effect <= rate <= 1 - self.purpose_effect:
                raise ValueError(
                    f"{name}={rate:g} and purpose_effect={self.purpose_effect:g} are not possible together: "
                    "the rates within a purpose should lie between 0 and 1."
                )

    @checked
    def sample(self, n: Count, *, seed: Whole = 0) -> pd.DataFrame:
        """*n* people of the data set.

        Returns
        -------
        DataFrame
            gender, ethnicity, age [years]; purpose; income [thousands a year], debt [thousands], postcode (0 or 1);
            approved (0 or 1: the clerk's decision, the label); deserves (0 or 1: what nobody at the bank can see).
        """
        rng = np.random.default_rng(seed)
        law = self._applicants()
        cell = rng.choice(law.size, size=n, p=law.ravel())
        is_d, car, deserves = np.unravel_index(cell, law.shape)
        lost = (is_d == 1) & (deserves == 1) & (rng.random(n) < self.label_bias)
        postcode = rng.random(n) < self._postcode()[is_d]
        others = {name: rng.random(n) < share for name, share in _SHARE_ELSEWHERE.items()}
        who = others | {self.wronged: is_d == 1}
        rest = rng.random(n)
        return pd.DataFrame(
            {
                "gender": np.where(who["gender"], "woman", "man"),
                "ethnicity": np.where(who["ethnicity"], "amber", np.where(rest < 0.6, "blue", "green")),
                "age": np.where(who["age"], rng.uniform(OLD + 0.1, 80, n), rng.uniform(18, OLD, n)).round(1),
                "purpose": np.where(car == 1, "car", "home"),
                "income": (_INCOME + _SPREAD * (self.signal * deserves + rng.standard_normal(n))).round(2),
                "debt": rng.gamma(2.0, 5.0, n).round(2),
                "postcode": postcode.astype(int),
                "approved": deserves * ~lost,
                "deserves": deserves,
            }
        )

    @checked
    def truth(
        self, facet: Wronged | None = None, *, cutoff: Real | None = None, penalty: Real = 0.0
    ) -> dict[str, float]:
        """The exact metrics of the population that `sample` draws from; label approved, group purpose.

        Parameters
        ----------
        facet : str or None
            Which facet; the wronged one by default.  The others are independent of everything.
        cutoff : number or None
            If given, the post-training metrics of the rule that `lends` applies are there too.  FT has no closed form
            and is left out.
        penalty : number
            As in `lends`.
        """
        from simlib.fairness.labels import formulas as of_labels
        from simlib.fairness.predictions import formulas as of_predictions

        cells = self._cells(facet or self.wronged, cutoff, penalty)
        found = {name: float(value) for name, value in of_labels(cells).items()}
        if cutoff is not None:
            found |= {name: float(value) for name, value in of_predictions(cells).items() if name != "FT"}
        return found

    def _applicants(self) -> np.ndarray:
        """P(facet, car, deserves) of the data, after selection."""
        facet = np.array([1 - self.share_d, self.share_d])
        car = np.array([1 - self.purpose_mix, 1 + self.purpose_mix]) / 2
        purpose = np.stack([1 - car, car], axis=1)
        effect = np.array([self.purpose_effect, -self.purpose_effect])
        deserving = np.array([self.base_rate_a, self.base_rate_d])[:, None] + effect[None, :]
        law = np.stack([1 - deserving, deserving], axis=-1) * (facet[:, None] * purpose)[..., None]
        law[1, :, 1] *= 1 - self.selection_bias
        return np.asarray(law / law.sum())

    def _postcode(self) -> np.ndarray:
        """P(postcode = 1) by facet."""
        return np.array([1 - self.proxy_strength, 1 + self.proxy_strength]) / 2

    def _cells(self, facet: Wronged, cutoff: float | None, penalty: float) -> Cells:
        """Probabilities in place of counts: by facet, purpose, label and decision."""
        law = self._applicants()
        yes = self._accepted(0.0 if cutoff is None else cutoff, penalty)  # by facet and deserves
        decided = np.stack([1 - yes, yes], axis=-1)
        joint = law[..., None] * decided[:, None, :, :]
        refused = joint[1, :, 1] * self.label_bias  # deserving d whom the clerk refused
        joint[1, :, 1] -= refused
        joint[1, :, 0] += refused
        if facet != self.wronged:
            share = _SHARE_ELSEWHERE[facet]
            joint = np.stack([(1 - share) * joint.sum(axis=0), share * joint.sum(axis=0)])
        counts = joint if cutoff is not None else joint.sum(axis=-1, keepdims=True)
        return Cells(counts, np.array([False, True]), ("home", "car"))

    def _accepted(self, cutoff: float, penalty: float) -> np.ndarray:
        """P(the rule accepts) by facet and deserves."""
        from scipy.special import ndtr

        above = _INCOME + _SPREAD * self.signal * np.array([0.0, 1.0]) - cutoff
        with_and_without = np.stack([ndtr(above / _SPREAD), ndtr((above - penalty) / _SPREAD)])
        postcode = np.stack([1 - self._postcode(), self._postcode()], axis=1)
        return np.asarray(postcode @ with_and_without)


@checked
def lends(frame: pd.DataFrame, *, cutoff: Real, penalty: Real = 0.0) -> pd.Series:
    """A rule that is known exactly: 1 if income − penalty · postcode > cutoff [thousands], else 0."""
    for column in ("income", "postcode"):
        if column not in frame.columns:
            raise ParameterError(f"lends: frame has no column {column!r}; it should come from Loans(...).sample(n).")
    return (frame["income"] - penalty * frame["postcode"] > cutoff).astype(int).rename("accepted")


def diabetes() -> pd.DataFrame:
    """Real data: 442 patients, and how far their diabetes had progressed a year later.

    Ships inside scikit-learn (BSD 3-Clause); from Efron, Hastie, Johnstone and Tibshirani, Least Angle Regression
    (2004).  Columns age [years], sex ("1" or "2"; the source does not say which is which), bmi, blood pressure bp, six
    blood values s1 to s6, and progression, a continuous label.  A programme that takes whoever is expected above some
    progression is audited with ``label_kind="continuous"``.
    """
    from sklearn.datasets import load_diabetes

    frame = load_diabetes(as_frame=True, scaled=False).frame.rename(columns={"target": "progression"})
    frame["sex"] = frame["sex"].astype(int).astype(str)
    return pd.DataFrame(frame)
