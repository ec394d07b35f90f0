"""Why this decision: SHAP values of any model, with the traps of the explainers stepped around, and their drift.

>>> import numpy as np
>>> people = pd.DataFrame({"income": [20.0, 30.0, 40.0], "debt": [5.0, 0.0, 1.0]})
>>> why = explain(lambda rows: 0.1 * rows["income"] - 0.5 * rows["debt"], people, baseline=people.mean().to_frame().T)
>>> why.values.loc[0].round(6).tolist()  # 0.1 · (20 − 30), −0.5 · (5 − 2)
[-1.0, -1.5]
>>> why.importance().index[0]
'debt'
"""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from simlib.fairness.explainers import (
    Method,
    Watch,
    checked_baseline,
    chosen_method,
    clustered_baseline,
    features_of,
    logit,
    of_a_line,
    of_any_function,
    of_trees,
    scorer,
)
from simlib.fairness.explanation import Explanation
from simlib.parameters import Count, Flag, ParameterError, Positive, Text, Whole, checked, nearest

_TOLERANCE = 1e-6


class AdditivityError(RuntimeError):
    """Base value and SHAP values do not add up to the model's answer: the values are wrong and are not handed out."""


@checked
def explain(
    model: Any,
    frame: pd.DataFrame,
    *,
    features: Sequence[str] | None = None,
    method: Method = "auto",
    baseline: pd.DataFrame | None = None,
    num_clusters: Count | None = None,
    num_samples: Count | Literal["auto"] = 100,
    use_logit: Flag = False,
    seed: Whole = 0,
    time_budget_s: Positive | None = None,
    progress: Flag | None = None,
) -> Explanation:
    """SHAP values of the rows of *frame*: which feature moved the model's answer, and how far.

    Parameters
    ----------
    model : fitted estimator or callable
        A scikit-learn classifier of two classes, regressor or pipeline; or a function from a DataFrame of the features
        to one number a row.
    frame : DataFrame
        The rows to explain.
    features : list of str or None
        The model's features, in its order; by default its own ``feature_names_in_``, or else all columns.
    method : str
        "auto" takes "tree" for tree ensembles and "linear" for linear models, both exact and in log-odds for a
        classifier (random forests: probability), and "kernel", as Clarify does, for anything else.  "permutation"
        and "exact" (at most 12 features) work for any model.
    baseline : DataFrame or None
        Rows that stand for "no information".  By default "kernel", "permutation" and "exact" take the centres of
        *num_clusters* clusters of *frame*, "linear" the mean of *frame*, and "tree" what its trees saw in training.
    num_clusters : int or None
        5 by default (Clarify: 1 to 12); not together with *baseline*.
    num_samples : int or "auto"
        Coalitions that Kernel SHAP tries for a row; "auto" is 2 · features + 2048, about twenty times as slow.
    use_logit : bool
        Kernel SHAP in log-odds instead of probability.
    seed : int
        Of Kernel and Permutation SHAP, and of the clusters.
    time_budget_s : number or None
        Stop after so many seconds, and say how many rows, drawn at random, were explained.
    progress : bool or None
        A progress bar; by default from the third second on.

    Raises
    ------
    AdditivityError
        If the values do not add up to the model's answers within 1e-6; wrong values are never handed out.
    """
    names = features_of(model, frame, features, "explain")
    data = frame[names]
    if baseline is not None and num_clusters is not None:
        raise ParameterError("explain: baseline and num_clusters exclude each other; give one of them.")
    rows_of_baseline = None if baseline is None else checked_baseline(data, baseline)
    chosen, notes = chosen_method(model, method, data, rows_of_baseline)
    if use_logit and chosen != "kernel":
        raise ParameterError(f"explain: use_logit belongs to method='kernel', not to {chosen!r}.")
    score, units = scorer(model, names, chosen, use_logit=use_logit, owner="explain")
    answers, rows = score(data), np.arange(len(data))
    watch = Watch(len(data), seed, time_budget_s, progress, at_once=100 if chosen == "tree" else 10)
    if chosen == "tree":
        values, base, rows = of_trees(model, data, rows_of_baseline, watch)
    elif chosen == "linear":
        values, base = of_a_line(model, data, rows_of_baseline)
    else:
        if rows_of_baseline is None:
            rows_of_baseline = clustered_baseline(data, num_clusters or 5, seed)
        values, base, rows = of_any_function(
            score, data, rows_of_baseline, chosen, num_samples=num_samples, use_logit=use_logit, seed=seed, watch=watch
        )
        if chosen == "kernel" and num_samples != "auto" and num_samples < 2 * len(names):
            notes.append(
                f"num_samples={num_samples} is less than twice the features: how they share the answer is arbitrary"
            )
    if len(rows) < len(data):
        notes.append(f"stopped after {len(rows):,} of {len(data):,} rows, drawn at random: {time_budget_s:g} s were up")
    explained = data.iloc[rows]
    answers = logit(answers[rows]) if use_logit else answers[rows]
    found = Explanation(
        pd.DataFrame(values, index=explained.index, columns=names), base, pd.Series(answers, index=explained.index),
        explained, units, chosen, tuple(notes), rows_of_baseline,
    )  # fmt: skip
    if not found.additivity_error <= _TOLERANCE * max(1.0, float(np.abs(answers).max(initial=0.0))):
        raise AdditivityError(
            f"explain: with method={chosen!r} base and SHAP values miss the model's answer by "
            f"{found.additivity_error:.3g}; take method='kernel' or 'permutation'."
        )
    return found


@checked
def partial_dependence(
    model: Any,
    frame: pd.DataFrame,
    feature: Text,
    *,
    features: Sequence[str] | None = None,
    grid_resolution: Count = 15,
) -> pd.DataFrame:
    """The model's mean answer if everybody had the same value of one feature, all else as it is.

    Beware of values that nobody could have together with the rest: the mean then runs over impossible people.

    Returns
    -------
    DataFrame
        Index the feature's values: quantiles of a numeric feature (no more than *grid_resolution*), or each category;
        columns mean, and low and high (80 % of the single curves lie between them).
    """
    names = features_of(model, frame, features, "partial_dependence")
    if feature not in names:
        raise ParameterError(f"partial_dependence: there is no feature {feature!r}; {nearest(feature, names)}")
    score = scorer(model, names, "kernel", use_logit=False, owner="partial_dependence")[0]
    column = frame[feature].dropna()
    if not len(column):
        raise ParameterError(f"partial_dependence: feature {feature!r} is missing in all rows.")
    numeric = pd.api.types.is_numeric_dtype(column) and column.nunique() > grid_resolution
    shares = np.linspace(0.02, 0.98, grid_resolution)
    grid = np.unique(column.quantile(shares)) if numeric else sorted(column.unique())
    answers = [score(frame[names].assign(**{feature: value})) for value in grid]
    rows = [(found.mean(), *np.quantile(found, [0.1, 0.9])) for found in answers]
    return pd.DataFrame(rows, columns=["mean", "low", "high"], index=pd.Index(grid, name=feature))


@checked
def attribution_drift(reference: pd.Series, live: pd.Series) -> float:
    """NDCG of today's ranking of features against the reference's attributions; SageMaker alerts below 0.9.

    Σ a(f'_i) / log2(i + 1) over Σ a(f_i) / log2(i + 1): a is the reference's attribution, f its order, f' the order of
    today.  1 means the same ranking.  It sees ranks only: a hundredfold magnitude leaves it at 1, and features of
    nearly equal weight may change places unnoticed (reversing ten of them gives 0.95).
    """
    for name, series in (("reference", reference), ("live", live)):
        if not series.index.is_unique or not pd.api.types.is_numeric_dtype(series) or not np.isfinite(series).all():
            raise ParameterError(f"attribution_drift: {name} should hold one finite number for each feature.")
    if set(reference.index) != set(live.index):
        raise ParameterError("attribution_drift: reference and live should name the same features.")
    if (reference < 0).any() or not (reference > 0).any():
        raise ParameterError("attribution_drift: reference should be at least 0, and above it somewhere; try mean_abs.")
    discount = np.log2(np.arange(2, len(reference) + 2))
    ideal = reference.sort_values(ascending=False, kind="stable").to_numpy(dtype=float)
    today = reference[live.sort_values(ascending=False, kind="stable").index].to_numpy(dtype=float)
    return float((today / discount).sum() / (ideal / discount).sum())
