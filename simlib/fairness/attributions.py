"""Why this decision: SHAP values of any model, with the traps of the explainers stepped around, and their drift.

>>> import numpy as np
>>> people = pd.DataFrame({"income": [20.0, 30.0, 40.0], "debt": [5.0, 0.0, 1.0]})
>>> why = explain(lambda rows: 0.1 * rows["income"] - 0.5 * rows["debt"], people, baseline=people.mean().to_frame().T)
>>> why.values.loc[0].round(6).tolist()  # 0.1 · (20 − 30), −0.5 · (5 − 2)
[-1.0, -1.5]
>>> why.importance().index[0]
'debt'

A SHAP value says how far a feature moved *this model's* answer away from its answer to the baseline.  It is about the
model, not about the world: another baseline gives other values, and a feature that is not in the model (the facet!)
gets none, though a proxy may carry it.  Source: Lundberg and Lee (2017); for what Clarify does, its developer guide.
"""

import dataclasses
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import pandas as pd

from simlib.parameters import Count, Flag, ParameterError, Positive, Text, Whole, checked, nearest
from simlib.plots.style import BLACK, BLUE, RED, Words, styled

Method = Literal["auto", "tree", "linear", "kernel", "permutation", "exact"]
Aggregation = Literal["mean_abs", "mean_sq", "median"]
Score = Callable[[pd.DataFrame], np.ndarray]
_CHUNK = 10  # rows between two looks at the clock
_TOLERANCE = 1e-6


class AdditivityError(RuntimeError):
    """Base value and SHAP values do not add up to the model's answer: the values are wrong and are not handed out."""


@dataclasses.dataclass(frozen=True)
class Explanation:
    """SHAP values of some rows.

    Attributes
    ----------
    values : DataFrame
        One row a person, one column a feature, in *units*; base + sum of a row = the model's answer.
    base : float
        The model's answer to the baseline.
    predictions : Series
        The model's answers, in *units*.
    data : DataFrame
        The features themselves.
    units : str
        "log-odds", "probability" or "prediction".
    method : str
        Which explainer.
    notes : tuple of str
        What was done otherwise than one might think: another explainer, fewer rows.
    """

    values: pd.DataFrame
    base: float
    predictions: pd.Series
    data: pd.DataFrame
    units: str
    method: str
    notes: tuple[str, ...] = ()

    @property
    def additivity_error(self) -> float:
        """The largest |base + Σ values − prediction| of any row."""
        return float((self.base + self.values.sum(axis=1) - self.predictions).abs().max())

    @checked
    def importance(self, agg_method: Aggregation = "mean_abs") -> pd.Series:
        """Global: mean |SHAP| by feature, or mean of squares, or the median (signed, as in Clarify); largest first."""
        by = {"mean_abs": self.values.abs().mean(), "mean_sq": (self.values**2).mean(), "median": self.values.median()}
        found = by[agg_method]
        return found.loc[found.abs().sort_values(ascending=False).index].rename(agg_method)

    def gap(self, is_d: Any) -> pd.Series:
        """Mean SHAP value of d minus that of a, by feature: they add up to the difference of the mean predictions.

        Parameters
        ----------
        is_d : Series of bool
            Who is d, by the index of the explained rows.
        """
        mask = pd.Series(is_d).reindex(self.values.index).astype(bool)
        found = self.values[mask].mean() - self.values[~mask].mean()
        return found.loc[found.abs().sort_values(ascending=False).index].rename("d − a")

    def plot_importance(self, *, at_most: int = 10, title: str = "") -> Words:
        """Bars of mean |SHAP|."""
        found = self.importance().head(at_most)
        with styled():
            figure, ax = _new(height=0.9 + 0.32 * len(found))
            ax.barh(list(found.index.map(str)), found.to_numpy(), color=BLUE)
            ax.invert_yaxis()
            ax.set(xlabel=f"mean |SHAP value| [{self.units}]")
            ax.set_title(title or f"{found.index[0]} moves the decisions most")
        _show(figure)
        told = ", ".join(f"{name} {value:.3g}" for name, value in found.items())
        return Words(f"Mean |SHAP| in {self.units}: {told}.")

    def plot_beeswarm(self, *, at_most: int = 10, title: str = "") -> Words:
        """Each person a dot: how far, and in which direction, each feature moved the answer."""
        shap = _imported()
        with styled(), _quiet(0):
            figure, ax = _new(height=1.2 + 0.38 * min(at_most, self.values.shape[1]))
            shap.plots.beeswarm(self._shap(), max_display=at_most, show=False, ax=ax, plot_size=None)
            ax.set_xlabel(f"SHAP value [{self.units}]", fontsize=10)
            ax.set_title(title or "Each dot is one person")
        _show(figure)
        return Words(self._in_words(at_most=min(3, at_most)))

    def plot_waterfall(self, row: Any, *, at_most: int = 10, title: str = "") -> Words:
        """Local: from the base value to one person's answer, feature by feature."""
        self._check_row(row)
        values = self.values.loc[row]
        kept = values.loc[values.abs().sort_values(ascending=False).index].head(at_most)
        rest = values.sum() - kept.sum()
        steps = {f"{name} = {_shown(self.data.loc[row, name])}": float(value) for name, value in kept.items()}
        if len(kept) < len(values):
            steps[f"{len(values) - len(kept)} others"] = float(rest)
        begins = self.base + np.concatenate([[0.0], np.cumsum(list(steps.values()))[:-1]])
        with styled():
            figure, ax = _new(height=1.2 + 0.34 * len(steps))
            colors = [BLUE if value > 0 else RED for value in steps.values()]
            ax.barh(list(steps), list(steps.values()), left=begins, color=colors)
            for place, (begin, value) in enumerate(zip(begins, steps.values(), strict=True)):
                ax.annotate(f"{value:+.3g}", (max(begin, begin + value), place), xytext=(4, 0), va="center",
                            textcoords="offset points", fontsize=9)  # fmt: skip
            ax.axvline(self.base, color="#888888", linewidth=1.2)
            ax.axvline(float(self.predictions.loc[row]), color=BLACK, linewidth=1.2, linestyle="--")
            ax.invert_yaxis()
            ax.use_sticky_edges = False
            ax.margins(x=0.14)
            ax.set(xlabel=f"the model's answer [{self.units}]: from the base value (grey) to hers or his (dashed)")
            ax.set_title(title or f"Why row {row} gets {self.predictions.loc[row]:.3g}")
        _show(figure)
        told = ", ".join(f"{name}: {value:+.3g}" for name, value in steps.items())
        return Words(f"Base {self.base:.3g}, then {told}; together {self.predictions.loc[row]:.3g} {self.units}.")

    def _check_row(self, row: Any) -> None:
        if row not in self.values.index:
            raise ParameterError(f"plot_waterfall: row={row!r} was not explained; rows are named by the frame's index.")

    def _in_words(self, at_most: int) -> str:
        sentences = []
        for name in self.importance().index[:at_most]:
            column = self.data[name]
            if pd.api.types.is_numeric_dtype(column) and column.nunique() > 1 and self.values[name].std() > 0:
                up = np.corrcoef(column.astype(float), self.values[name])[0, 1] > 0
                sentences.append(f"a higher {name} {'raises' if up else 'lowers'} the answer")
        return f"On the whole, {', '.join(sentences)}." if sentences else "Each dot is one person."

    def _shap(self) -> Any:
        return _imported().Explanation(
            values=self.values.to_numpy(),
            base_values=np.full(len(self.values), self.base),
            data=_coded(self.data)[0],
            feature_names=list(self.values.columns.map(str)),
        )


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
        Rows that stand for "no information"; by default the centres of *num_clusters* clusters of *frame*.
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
    names = _features(model, frame, features)
    data = frame[names]
    if baseline is not None and num_clusters is not None:
        raise ParameterError("explain: baseline and num_clusters exclude each other; give one of them.")
    chosen, notes = _method(model, method, data, baseline)
    if use_logit and chosen != "kernel":
        raise ParameterError(f"explain: use_logit belongs to method='kernel', not to {chosen!r}.")
    score, units = scorer(model, names, chosen, use_logit)
    if chosen in ("tree", "linear"):
        run: Any = _tree if chosen == "tree" else _linear
        values, base = run(model, data, baseline)
        rows = np.arange(len(data))
    else:
        rows_of_baseline = _baseline(data, baseline, num_clusters or 5, seed)
        watch = _Watch(len(data), seed, time_budget_s, progress)
        values, base, rows = _any(score, data, rows_of_baseline, chosen, num_samples, use_logit, seed, watch)
        if len(rows) < len(data):
            notes.append(
                f"stopped after {len(rows):,} of {len(data):,} rows, drawn at random: {time_budget_s:g} s were up"
            )
    explained = data.iloc[rows]
    answers = _logit(score(explained)) if use_logit else score(explained)
    found = Explanation(
        pd.DataFrame(values, index=explained.index, columns=names), base, pd.Series(answers, index=explained.index),
        explained, units, chosen, tuple(notes),
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
    names = _features(model, frame, features)
    if feature not in names:
        raise ParameterError(f"partial_dependence: there is no feature {feature!r}; {nearest(feature, names)}")
    score = scorer(model, names, "kernel", False)[0]
    column = frame[feature]
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
    if set(reference.index) != set(live.index):
        raise ParameterError("attribution_drift: reference and live should name the same features.")
    if (reference < 0).any() or not (reference > 0).any():
        raise ParameterError("attribution_drift: reference should be at least 0, and above it somewhere; try mean_abs.")
    discount = np.log2(np.arange(2, len(reference) + 2))
    ideal = reference.sort_values(ascending=False, kind="stable").to_numpy(dtype=float)
    today = reference[live.sort_values(ascending=False, kind="stable").index].to_numpy(dtype=float)
    return float((today / discount).sum() / (ideal / discount).sum())


# --- which explainer --------------------------------------------------------------------------------------------------


def _features(model: Any, frame: pd.DataFrame, features: Sequence[str] | None) -> list[str]:
    own = getattr(model, "feature_names_in_", None)
    names = list(features) if features is not None else list(frame.columns if own is None else own)
    for name in names:
        if name not in frame.columns:
            raise ParameterError(f"explain: frame has no feature {name!r}; {nearest(name, map(str, frame.columns))}")
    if not len(frame):
        raise ParameterError("explain: frame has no rows.")
    if not callable(model) and not hasattr(model, "predict"):
        raise ParameterError(f"explain: model={type(model).__name__} should be a fitted estimator or a function.")
    if len(getattr(model, "classes_", ())) > 2:
        raise ParameterError("explain: the model has more than two classes; give a function that returns one of them.")
    return names


def _is_tree(model: Any) -> bool:
    module = type(model).__module__
    return module.startswith(("sklearn.tree", "sklearn.ensemble._forest", "sklearn.ensemble._gb")) or _is_hist(model)


def _is_hist(model: Any) -> bool:
    return "_hist_gradient_boosting" in type(model).__module__


def _is_linear(model: Any) -> bool:
    linear = type(model).__module__.startswith("sklearn.linear_model") and hasattr(model, "coef_")
    return linear and np.size(model.coef_) == getattr(model, "n_features_in_", -1)


def _method(model: Any, wanted: Method, data: pd.DataFrame, baseline: pd.DataFrame | None) -> tuple[str, list[str]]:
    """The explainer to take, and why it is another one than the model suggests."""
    trap = _trap(model, data, baseline)
    if wanted in ("tree", "linear"):
        if not (_is_tree(model) if wanted == "tree" else _is_linear(model)):
            raise ParameterError(
                f"explain: method={wanted!r} is not possible for a {type(model).__name__}; try 'kernel'."
            )
        if trap:
            raise ParameterError(f"explain: method={wanted!r} would be wrong here: {trap}; try 'kernel'.")
        return wanted, []
    if wanted == "exact" and data.shape[1] > 12:
        raise ParameterError(f"explain: method='exact' is for 12 features, not {data.shape[1]}; try 'permutation'.")
    if wanted != "auto":
        return wanted, []
    if trap:
        return "kernel", [f"Kernel SHAP in place of Tree SHAP: {trap}"]
    return ("tree" if _is_tree(model) else "linear" if _is_linear(model) else "kernel"), []


def _trap(model: Any, data: pd.DataFrame, baseline: pd.DataFrame | None) -> str:
    """Where shap 0.51 goes wrong without a word, or not at all."""
    if _is_hist(model) and getattr(model, "is_categorical_", None) is not None and np.any(model.is_categorical_):
        return (
            "histogram gradient boosting with categorical features is explained wrongly (errors to 0.9, no exception)"
        )
    if _is_hist(model) and baseline is not None:
        return "histogram gradient boosting with a baseline is explained wrongly (float32 rounding, errors to 1.4)"
    if (_is_tree(model) or _is_linear(model)) and not all(map(pd.api.types.is_numeric_dtype, data.dtypes)):
        return "some features are not numbers"
    return ""


def scorer(model: Any, names: Sequence[str], method: str, use_logit: bool) -> tuple[Score, str]:
    """The function that is explained, and the units of its answers."""
    if not hasattr(model, "predict"):
        return lambda rows: np.asarray(model(rows), dtype=float).reshape(
            len(rows)
        ), "log-odds" if use_logit else "prediction"
    fit = _as_fitted(model)
    if method in ("tree", "linear") and hasattr(model, "decision_function"):
        return lambda rows: np.asarray(model.decision_function(fit(rows)), dtype=float), "log-odds"
    if hasattr(model, "predict_proba"):
        units = "log-odds" if use_logit else "probability"
        return lambda rows: np.asarray(model.predict_proba(fit(rows))[:, 1], dtype=float), units
    return lambda rows: np.asarray(model.predict(fit(rows)), dtype=float), "prediction"


def _as_fitted(model: Any) -> Callable[[pd.DataFrame], Any]:
    """Rows as the model knows them: with names if it was fitted with names."""
    named = getattr(model, "feature_names_in_", None) is not None
    return lambda rows: rows if named else rows.to_numpy()


# --- the explainers ---------------------------------------------------------------------------------------------------


def _tree(model: Any, data: pd.DataFrame, baseline: pd.DataFrame | None) -> tuple[np.ndarray, float]:
    shap = _imported()
    background = None if baseline is None else baseline[list(data.columns)].to_numpy(dtype=float)
    with _quiet(0):
        explainer = shap.TreeExplainer(model, background)
        values = np.asarray(explainer.shap_values(data.to_numpy(dtype=float), check_additivity=False))
    base = np.ravel(explainer.expected_value)
    return (values[..., -1] if values.ndim == 3 else values), float(base[-1])


def _linear(model: Any, data: pd.DataFrame, baseline: pd.DataFrame | None) -> tuple[np.ndarray, float]:
    shap = _imported()
    rows = (data if baseline is None else baseline[list(data.columns)]).to_numpy(dtype=float)
    with _quiet(0):
        masker = shap.maskers.Independent(rows, max_samples=len(rows))
        explainer = shap.LinearExplainer(model, masker)
        values = np.asarray(explainer.shap_values(data.to_numpy(dtype=float)))
    return (values[..., -1] if values.ndim == 3 else values), float(np.ravel(explainer.expected_value)[-1])


def _any(
    score: Score,
    data: pd.DataFrame,
    baseline: pd.DataFrame,
    method: str,
    num_samples: "int | Literal['auto']",
    use_logit: bool,
    seed: int,
    watch: "_Watch",
) -> tuple[np.ndarray, float, np.ndarray]:
    """Kernel, Permutation or Exact SHAP, some rows at a time; categories travel as their codes."""
    shap = _imported()
    both = pd.concat([data, baseline[list(data.columns)]])
    codes, decode = _coded(both)
    x, background = codes[: len(data)], codes[len(data) :]

    def answer(rows: np.ndarray) -> np.ndarray:
        return score(decode(np.atleast_2d(rows)))

    with _quiet(seed):
        if method == "kernel":
            explainer = shap.KernelExplainer(answer, background, link="logit" if use_logit else "identity", seed=seed)

            def of(rows: np.ndarray) -> np.ndarray:
                return np.asarray(explainer.shap_values(rows, nsamples=num_samples, l1_reg=False, silent=True))
        else:
            masker = shap.maskers.Independent(background, max_samples=len(background))
            kind = shap.explainers.Permutation if method == "permutation" else shap.explainers.Exact
            explainer = kind(answer, masker, **({"seed": seed} if method == "permutation" else {}))

            def of(rows: np.ndarray) -> np.ndarray:
                more = (
                    {"max_evals": 10 * x.shape[1] + 1, "silent": True} if method == "permutation" else {"silent": True}
                )
                return np.asarray(explainer(rows, **more).values)

        done = [(rows, of(x[rows])) for rows in watch]
    rows = np.concatenate([each for each, _ in done])
    values = np.concatenate([each for _, each in done])
    order = np.argsort(rows)
    mean = float(answer(background).mean())
    return values[order], float(_logit(np.array(mean))) if use_logit else mean, rows[order]


@dataclasses.dataclass(frozen=True)
class _Watch:
    """Deals out rows in random order until all are done or the time is up."""

    rows: int
    seed: int
    budget_s: float | None
    progress: bool | None

    def __iter__(self) -> Iterator[np.ndarray]:
        from tqdm.auto import tqdm

        order = np.random.default_rng(self.seed).permutation(self.rows)
        begin = time.perf_counter()
        off, delay = self.progress is False, 0.0 if self.progress else 3.0
        with tqdm(total=self.rows, desc="explaining", unit="row", disable=off, delay=delay, leave=False) as bar:
            for first in range(0, self.rows, _CHUNK):
                yield order[first : first + _CHUNK]
                bar.update(min(_CHUNK, self.rows - first))
                if self.budget_s is not None and time.perf_counter() - begin > self.budget_s:
                    return


def _baseline(data: pd.DataFrame, baseline: pd.DataFrame | None, clusters: int, seed: int) -> pd.DataFrame:
    """The rows that stand for no information: given, or centres of clusters, or with features in words some rows."""
    if baseline is not None:
        for name in data.columns:
            if name not in baseline.columns:
                raise ParameterError(f"explain: baseline has no column {name!r}.")
        return baseline
    clusters = min(clusters, len(data.drop_duplicates()))
    if not all(map(pd.api.types.is_numeric_dtype, data.dtypes)):
        return data.drop_duplicates().sample(clusters, random_state=seed)
    from sklearn.cluster import KMeans

    centres = KMeans(clusters, n_init=10, random_state=seed).fit(data.to_numpy(dtype=float)).cluster_centers_
    x = data.to_numpy(dtype=float)
    for k, centre in enumerate(centres):  # as shap.kmeans: values that occur, so that a 0/1 feature stays 0 or 1
        centres[k] = [x[np.abs(x[:, j] - value).argmin(), j] for j, value in enumerate(centre)]
    return pd.DataFrame(centres, columns=data.columns)


def _coded(frame: pd.DataFrame) -> tuple[np.ndarray, Callable[[np.ndarray], pd.DataFrame]]:
    """A frame as numbers, and the way back."""
    tables = {name: pd.factorize(column) for name, column in frame.items() if not pd.api.types.is_numeric_dtype(column)}
    columns = [tables[name][0] if name in tables else frame[name].to_numpy(dtype=float) for name in frame.columns]

    def decode(rows: np.ndarray) -> pd.DataFrame:
        made = pd.DataFrame(rows, columns=frame.columns)
        for name, (_, uniques) in tables.items():
            made[name] = uniques.take(made[name].to_numpy().astype(int))
        return made

    return np.column_stack(columns).astype(float), decode


def _logit(p: np.ndarray) -> np.ndarray:
    return np.asarray(np.log(p / (1 - p)))


def _imported() -> Any:
    """shap, whose import takes seconds and warns about matplotlib."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import shap

    return shap


@contextmanager
def _quiet(seed: int) -> Iterator[None]:
    """shap draws from numpy's global stream, and small batches crawl on many threads: neither leaks out of here."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # comes with scikit-learn

    state = np.random.get_state()  # noqa: NPY002
    try:
        with threadpool_limits(1), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            np.random.seed(seed)  # noqa: NPY002
            yield
    finally:
        np.random.set_state(state)  # noqa: NPY002


# --- pictures ---------------------------------------------------------------------------------------------------------


def _new(height: float) -> tuple[Any, Any]:
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=(9.0, height))


def _show(figure: Any) -> None:
    """In a notebook, show the picture above the words about it."""
    import matplotlib as mpl

    if "inline" in mpl.get_backend().lower():
        import matplotlib.pyplot as plt

        plt.show()


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float | int | np.number) else str(value)
