"""AutoML, small: a search over models within a budget of node hours, its bill, and the honest score at its end.

>>> from sklearn.datasets import load_iris
>>> found = automl(load_iris(as_frame=True).frame, label="target", node_hours=1.0)
>>> found.node_hours <= 1.0
True
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pydantic import SkipValidation

from simlib.parameters import Count, ParameterError, Positive, Share, Text, Whole, checked
from simlib.pricing import price

FOLDS = 3
Frame = SkipValidation[pd.DataFrame]


@dataclass(frozen=True)
class Search:
    """What a search found.

    Attributes
    ----------
    tried : DataFrame
        A row a candidate, in the order of the search: model, settings, node_hours so far, usd so far, score (mean over
        folds), and best so far.
    best : estimator
        The candidate with the best score, trained on all that was searched with.
    searched_score, held_out_score : float
        Its score in the search, and on rows that no candidate saw.  The first is the best of many, and so too good on
        average; the second is what to expect.
    """

    tried: pd.DataFrame
    best: Any
    searched_score: float
    held_out_score: float

    @property
    def node_hours(self) -> float:
        """Node hours that were used."""
        return float(self.tried["node_hours"].iloc[-1])

    @property
    def usd(self) -> float:
        """What they cost at Vertex AI's price of AutoML for tables."""
        return float(self.tried["usd"].iloc[-1])


@checked
def automl(
    frame: Frame,
    *,
    label: Text,
    node_hours: Positive = 1.0,
    node_hours_per_candidate: Positive = 0.1,
    held_out: Share = 0.2,
    seed: Whole = 0,
) -> Search:
    """Look for the model with the best accuracy (R² for a number with many values), until the budget is used up.

    Parameters
    ----------
    frame, label : DataFrame, str
        Numbers in columns, and the one to be predicted.
    node_hours, node_hours_per_candidate : float
        The budget, and what one candidate uses of it: booked, not timed, so that a search is the same everywhere
        (assumption).
    held_out : float
        Share of the rows that no candidate sees.
    seed : int

    Raises
    ------
    ParameterError
        If the label is no column, a column holds no numbers, or the budget is too small for one candidate.
    """
    from sklearn.model_selection import cross_val_score, train_test_split

    features, target, classes = _checked(frame, label)
    count = int(node_hours / node_hours_per_candidate + 1e-9)
    if not count:
        raise ParameterError(
            f"automl: node_hours={node_hours:g} is less than the {node_hours_per_candidate:g} of one candidate."
        )
    strata = target if classes and target.value_counts().min() >= 2 else None
    seen_x, new_x, seen_y, new_y = train_test_split(
        features, target, test_size=held_out, random_state=seed, stratify=strata
    )
    rng, rows, best, best_score = np.random.default_rng(seed), [], None, -np.inf
    hourly = price("automl", "tabular-training", platform="vertex", region="us-central1").usd
    for k in range(1, count + 1):
        name, settings, candidate = _candidate(rng, k, classes)
        score = float(cross_val_score(candidate, seen_x, seen_y, cv=FOLDS).mean())
        if score > best_score:
            best, best_score = candidate, score
        used = k * node_hours_per_candidate
        rows.append((name, settings, used, used * hourly, score, best_score))
    tried = pd.DataFrame(rows, columns=["model", "settings", "node_hours", "usd", "score", "best"])
    assert best is not None
    best.fit(seen_x, seen_y)
    return Search(tried, best, best_score, float(best.score(new_x, new_y)))


def _checked(frame: pd.DataFrame, label: str) -> tuple[pd.DataFrame, pd.Series, bool]:
    if not isinstance(frame, pd.DataFrame) or label not in frame.columns:
        raise ParameterError(f"automl: label={label!r} should be a column of the frame.")
    features = frame.drop(columns=label)
    for name in features.columns:
        if features[name].dtype.kind not in "iufb" or features[name].isna().any():
            raise ParameterError(f"automl: column {name!r} should hold numbers only, without gaps.")
    target = frame[label]
    classes = target.dtype.kind not in "f" and target.nunique() <= 20
    return features, target, classes


def _candidate(rng: np.random.Generator, number: int, classes: bool) -> tuple[str, str, Any]:
    """The next candidate: the plain linear model first, then trees and forests with settings drawn at random."""
    from sklearn import ensemble, linear_model, tree
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if number == 1:
        linear: Any = linear_model.LogisticRegression(max_iter=2000) if classes else linear_model.Ridge()
        return "linear", "", make_pipeline(StandardScaler(), linear)
    kind = ("tree", "forest", "boosting")[int(rng.integers(3))]
    depth, leaf, state = int(rng.integers(2, 9)), int(rng.integers(1, 21)), int(rng.integers(2**31))
    if kind == "tree":
        make: Any = tree.DecisionTreeClassifier if classes else tree.DecisionTreeRegressor
        return kind, f"depth {depth}, leaf {leaf}", make(max_depth=depth, min_samples_leaf=leaf, random_state=state)
    if kind == "forest":
        make = ensemble.RandomForestClassifier if classes else ensemble.RandomForestRegressor
        made = make(30, max_depth=depth, min_samples_leaf=leaf, random_state=state)
        return kind, f"depth {depth}, leaf {leaf}", made
    rate = float(np.exp(rng.uniform(np.log(0.02), np.log(0.5))))
    make = ensemble.GradientBoostingClassifier if classes else ensemble.GradientBoostingRegressor
    made = make(n_estimators=30, max_depth=min(depth, 4), learning_rate=rate, random_state=state)
    return kind, f"depth {min(depth, 4)}, rate {rate:.2g}", made


@checked
def automl_usd(node_hours: Positive, *, machines_a_node: Count = 1) -> pd.DataFrame:
    """What a search of so many node hours costs: Vertex AI's own price, and machines elsewhere at their own.

    On SageMaker and Azure ML AutoML is billed as the machines it runs on.  A node of Vertex AI is more than one
    machine, and no text that was read says how many: *machines_a_node* of 4 vCPUs do its work (assumption).

    Returns
    -------
    DataFrame
        Index platform; what, usd, note on the price.
    """
    hours = node_hours * machines_a_node
    options: Mapping[str, tuple[str, Any, float]] = {
        "vertex": (
            "AutoML for tables, node hour",
            price("automl", "tabular-training", platform="vertex", region="us-central1"),
            node_hours,
        ),
        "sagemaker": ("training on ml.m5.xlarge", price("sagemaker_training", "ml.m5.xlarge"), hours),
        "azureml": (
            "Standard_D4s_v3",
            price("compute", "Standard_D4s_v3", platform="azureml", region="eastus"),
            hours,
        ),
    }
    rows = {name: (what, used * hourly.usd, hourly.note) for name, (what, hourly, used) in options.items()}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["what", "usd", "note"]).rename_axis("platform")
