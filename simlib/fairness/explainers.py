"""Which explainer of shap is right for a model, and the traps stepped around.

Tree and linear models have exact explainers; anything else is a function, for Kernel SHAP, which Clarify runs, or for
permutations.  Measured with shap 0.51: histogram gradient boosting is explained wrongly, without a word, with
categorical features or with a baseline.

Source: Lundberg and Lee, A Unified Approach to Interpreting Model Predictions (2017).
"""

import dataclasses
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import pandas as pd

from simlib.parameters import ParameterError, nearest

Method = Literal["auto", "tree", "linear", "kernel", "permutation", "exact"]
Score = Callable[[pd.DataFrame], np.ndarray]


# --- the model --------------------------------------------------------------------------------------------------------


def features_of(model: Any, frame: pd.DataFrame, features: Sequence[str] | None, owner: str) -> list[str]:
    """The model's features, all of them in *frame*; refuse what is no model of one answer."""
    own = getattr(model, "feature_names_in_", None)
    names = list(features) if features is not None else list(frame.columns if own is None else own)
    for name in names:
        if name not in frame.columns:
            raise ParameterError(f"{owner}: frame has no feature {name!r}; {nearest(name, map(str, frame.columns))}")
    if not len(frame):
        raise ParameterError(f"{owner}: frame has no rows.")
    if not callable(model) and not hasattr(model, "predict"):
        raise ParameterError(f"{owner}: model={type(model).__name__} should be a fitted estimator or a function.")
    if not _is_fitted(model):
        raise ParameterError(f"{owner}: the {type(model).__name__} is not fitted yet; call its fit first.")
    if (classes := len(getattr(model, "classes_", (0, 1)))) != 2:
        raise ParameterError(
            f"{owner}: the model has {classes} classes, not two; give a function that returns the answer to explain."
        )
    return names


def _is_fitted(model: Any) -> bool:
    if not hasattr(model, "get_params"):  # not an estimator of scikit-learn
        return True
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    try:
        check_is_fitted(model)
    except NotFittedError:
        return False
    return True


def _is_tree(model: Any) -> bool:
    module = type(model).__module__
    return module.startswith(("sklearn.tree", "sklearn.ensemble._forest", "sklearn.ensemble._gb")) or _is_hist(model)


def _is_hist(model: Any) -> bool:
    return "_hist_gradient_boosting" in type(model).__module__


def _is_linear(model: Any) -> bool:
    """Linear in its features; the generalised ones answer through a link function and are not."""
    module = type(model).__module__
    linear = module.startswith("sklearn.linear_model") and "_glm" not in module and hasattr(model, "coef_")
    return linear and np.size(model.coef_) == getattr(model, "n_features_in_", -1)


def chosen_method(
    model: Any, wanted: Method, data: pd.DataFrame, baseline: pd.DataFrame | None
) -> tuple[str, list[str]]:
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
        return "kernel", [f"Kernel SHAP in place of {'Tree' if _is_tree(model) else 'Linear'} SHAP: {trap}"]
    return ("tree" if _is_tree(model) else "linear" if _is_linear(model) else "kernel"), []


def _trap(model: Any, data: pd.DataFrame, baseline: pd.DataFrame | None) -> str:
    """Where shap 0.51 goes wrong without a word, or not at all."""
    if _is_hist(model) and getattr(model, "is_categorical_", None) is not None and np.any(model.is_categorical_):
        return (
            "histogram gradient boosting with categorical features is explained wrongly (errors to 0.9, no exception)"
        )
    if _is_hist(model) and baseline is not None:
        return "histogram gradient boosting with a baseline is explained wrongly (float32 rounding, errors to 1.4)"
    if _is_tree(model) and getattr(model, "init", None) not in (None, "zero"):
        return "boosting that starts from another model (init=) is more than its trees"
    if (_is_tree(model) or _is_linear(model)) and not all(map(pd.api.types.is_numeric_dtype, data.dtypes)):
        return "some features are not numbers"
    return ""


# --- its answers ------------------------------------------------------------------------------------------------------


def scorer(model: Any, names: Sequence[str], method: str, *, use_logit: bool, owner: str) -> tuple[Score, str]:
    """The function that is explained, checked at each call, and the units of its answers."""
    if not hasattr(model, "predict"):
        return _careful(model, owner, use_logit), "log-odds" if use_logit else "prediction"
    fitted_with_names = getattr(model, "feature_names_in_", None) is not None

    def known(rows: pd.DataFrame) -> Any:
        return rows if fitted_with_names else rows.to_numpy()

    exact, has_odds = method in ("tree", "linear"), hasattr(model, "decision_function")
    if hasattr(model, "predict_proba") and not (exact and has_odds):
        units = "log-odds" if use_logit else "probability"
        return _careful(lambda rows: model.predict_proba(known(rows))[:, 1], owner, use_logit), units
    if has_odds:
        units = "log-odds" if hasattr(model, "predict_proba") else "decision score"
        return _careful(lambda rows: model.decision_function(known(rows)), owner, use_logit), units
    return _careful(lambda rows: model.predict(known(rows)), owner, use_logit), "prediction"


def _careful(answer: Callable[[pd.DataFrame], Any], owner: str, use_logit: bool) -> Score:
    """One finite number a row, or one sentence about what came instead."""

    def score(rows: pd.DataFrame) -> np.ndarray:
        try:
            found = np.asarray(answer(rows), dtype=float)
        except Exception as error:
            told = str(error).strip().split("\n")[0]
            raise ParameterError(f"{owner}: the model fails at these rows: {type(error).__name__}: {told}") from error
        if found.shape not in ((len(rows),), (len(rows), 1)):
            raise ParameterError(
                f"{owner}: the model should return one number a row, {len(rows)} of them, not an array of shape "
                f"{found.shape}."
            )
        if not np.isfinite(found).all():
            raise ParameterError(f"{owner}: the model answers {(~np.isfinite(found)).sum()} rows with NaN or infinity.")
        if use_logit and not ((found > 0) & (found < 1)).all():
            raise ParameterError(
                f"{owner}: use_logit needs probabilities between 0 and 1; the model's answers go from "
                f"{found.min():.4g} to {found.max():.4g}."
            )
        return found.reshape(len(rows))

    return score


def logit(p: np.ndarray) -> np.ndarray:
    return np.asarray(np.log(p / (1 - p)))


# --- what stands for "no information" ---------------------------------------------------------------------------------


def checked_baseline(data: pd.DataFrame, baseline: pd.DataFrame) -> pd.DataFrame:
    """The features of rows that were given as baseline."""
    for name in data.columns:
        if name not in baseline.columns:
            raise ParameterError(f"explain: baseline has no column {name!r}.")
    if not len(baseline):
        raise ParameterError("explain: baseline has no rows.")
    return baseline[list(data.columns)]


def clustered_baseline(data: pd.DataFrame, clusters: int, seed: int) -> pd.DataFrame:
    """Centres of clusters; where features are words or missing, which have no centre, some of the rows."""
    different = data.drop_duplicates()
    clusters = min(clusters, len(different))
    if not all(map(pd.api.types.is_numeric_dtype, data.dtypes)) or data.isna().any(axis=None):
        return different.sample(clusters, random_state=seed)
    from sklearn.cluster import KMeans

    x = data.to_numpy(dtype=float)
    centres = KMeans(clusters, n_init=10, random_state=seed).fit(x).cluster_centers_
    for k, centre in enumerate(centres):  # as shap.kmeans: values that occur, so that a 0/1 feature stays 0 or 1
        centres[k] = [x[np.abs(x[:, j] - value).argmin(), j] for j, value in enumerate(centre)]
    return pd.DataFrame(centres, columns=data.columns)


# --- the explainers ---------------------------------------------------------------------------------------------------


def of_trees(
    model: Any, data: pd.DataFrame, baseline: pd.DataFrame | None, watch: "Watch"
) -> tuple[np.ndarray, float, np.ndarray]:
    """Tree SHAP, some rows at a time: values, base value, and which rows were explained."""
    background, x = None if baseline is None else baseline.to_numpy(dtype=float), data.to_numpy(dtype=float)
    with quiet(0):
        explainer = imported().TreeExplainer(model, background)

        def of(rows: np.ndarray) -> np.ndarray:
            return _second_class(np.asarray(explainer.shap_values(rows, check_additivity=False)))

        rows, values = _gathered((rows, of(x[rows])) for rows in watch)
    return values, float(np.ravel(explainer.expected_value)[-1]), rows


def of_a_line(model: Any, data: pd.DataFrame, baseline: pd.DataFrame | None) -> tuple[np.ndarray, float]:
    """Linear SHAP: values and base value, against the mean of the baseline or of *data*."""
    shap = imported()
    rows = (data if baseline is None else baseline).to_numpy(dtype=float)
    with quiet(0):
        explainer = shap.LinearExplainer(model, shap.maskers.Independent(rows, max_samples=len(rows)))
        values = np.asarray(explainer.shap_values(data.to_numpy(dtype=float)))
    return _second_class(values), float(np.ravel(explainer.expected_value)[-1])


def _second_class(values: np.ndarray) -> np.ndarray:
    return np.asarray(values[..., -1] if values.ndim == 3 else values)


def of_any_function(
    score: Score,
    data: pd.DataFrame,
    baseline: pd.DataFrame,
    method: str,
    *,
    num_samples: int | Literal["auto"],
    use_logit: bool,
    seed: int,
    watch: "Watch",
) -> tuple[np.ndarray, float, np.ndarray]:
    """Kernel, Permutation or Exact SHAP, some rows at a time: values, base value, and which rows were explained."""
    codes, decode = coded(pd.concat([data, baseline]))
    x, background = codes[: len(data)], codes[len(data) :]

    def answer(rows: np.ndarray) -> np.ndarray:
        return score(decode(np.atleast_2d(rows)))

    with quiet(seed):
        if method == "kernel":
            of = _kernel(answer, background, num_samples, use_logit, seed)
        else:
            of = _masking(answer, background, method, seed)
        rows, values = _gathered((rows, of(x[rows])) for rows in watch)
    base = answer(background).mean()
    return values, float(logit(base) if use_logit else base), rows


def _gathered(done: Iterable[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """What was explained bit by bit, in the order of the rows."""
    parts = list(done)
    rows, values = np.concatenate([rows for rows, _ in parts]), np.concatenate([values for _, values in parts])
    order = np.argsort(rows)
    return rows[order], values[order]


def _kernel(
    answer: Callable[[np.ndarray], np.ndarray], background: np.ndarray, num_samples: Any, use_logit: bool, seed: int
) -> Callable[[np.ndarray], np.ndarray]:
    explainer = imported().KernelExplainer(answer, background, link="logit" if use_logit else "identity", seed=seed)
    return lambda rows: np.asarray(explainer.shap_values(rows, nsamples=num_samples, l1_reg=False, silent=True))


def _masking(
    answer: Callable[[np.ndarray], np.ndarray], background: np.ndarray, method: str, seed: int
) -> Callable[[np.ndarray], np.ndarray]:
    shap = imported()
    masker = shap.maskers.Independent(background, max_samples=len(background))
    if method == "exact":
        exact = shap.explainers.Exact(answer, masker)
        return lambda rows: np.asarray(exact(rows, silent=True).values)
    permutation, evaluations = shap.explainers.Permutation(answer, masker, seed=seed), 10 * background.shape[1] + 1
    return lambda rows: np.asarray(permutation(rows, max_evals=evaluations, silent=True).values)


@dataclasses.dataclass(frozen=True)
class Watch:
    """Deals out rows in random order until all are done or the time is up."""

    rows: int
    seed: int
    budget_s: float | None
    progress: bool | None
    at_once: int  # rows between two looks at the clock

    def __iter__(self) -> Iterator[np.ndarray]:
        from tqdm.auto import tqdm

        order = np.random.default_rng(self.seed).permutation(self.rows)
        begin = time.perf_counter()
        off, delay = self.progress is False, 0.0 if self.progress else 3.0
        with tqdm(total=self.rows, desc="explaining", unit="row", disable=off, delay=delay, leave=False) as bar:
            for first in range(0, self.rows, self.at_once):
                some = order[first : first + self.at_once]
                yield some
                bar.update(len(some))
                if self.budget_s is not None and time.perf_counter() - begin > self.budget_s:
                    return


def coded(frame: pd.DataFrame) -> tuple[np.ndarray, Callable[[np.ndarray], pd.DataFrame]]:
    """A frame as numbers, categories as their codes, and the way back."""
    tables = {name: pd.factorize(column) for name, column in frame.items() if not pd.api.types.is_numeric_dtype(column)}
    columns = [tables[name][0] if name in tables else frame[name].to_numpy(dtype=float) for name in frame.columns]

    def decode(rows: np.ndarray) -> pd.DataFrame:
        made = pd.DataFrame(rows, columns=frame.columns)
        for name, (_, uniques) in tables.items():
            made[name] = uniques.take(made[name].to_numpy().astype(int))
        return made

    return np.column_stack(columns).astype(float), decode


def imported() -> Any:
    """shap, whose import takes seconds and warns about matplotlib."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import shap

    return shap


@contextmanager
def quiet(seed: int) -> Iterator[None]:
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
