"""What was explained: SHAP values of some rows, their sums and averages, and their pictures.

A SHAP value says how far a feature moved *this model's* answer away from its answer to the baseline.  It is about the
model, not about the world: another baseline gives other values, and a feature that is not in the model (the facet!)
gets none, though a proxy may carry it.
"""

import dataclasses
from typing import Any, Literal

import numpy as np
import pandas as pd

from simlib.fairness.explainers import coded, imported, quiet
from simlib.parameters import ParameterError, checked
from simlib.plots.style import BLACK, BLUE, RED, Words, new_figure, show, styled

Aggregation = Literal["mean_abs", "mean_sq", "median"]


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
        "log-odds", "probability", "prediction", or "decision score" of a classifier without probabilities.
    method : str
        Which explainer.
    notes : tuple of str
        What was done otherwise than one might think: another explainer, fewer rows.
    baseline : DataFrame or None
        The rows that stood for "no information"; None where the explainer took its own.
    """

    values: pd.DataFrame
    base: float
    predictions: pd.Series
    data: pd.DataFrame
    units: str
    method: str
    notes: tuple[str, ...] = ()
    baseline: pd.DataFrame | None = None

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
        is_d : Series or array of bool
            Who is d: a series by the index of the explained rows, an array in their order.
        """
        mask = self._mask(is_d)
        found = self.values[mask].mean() - self.values[~mask].mean()
        return found.loc[found.abs().sort_values(ascending=False).index].rename("d − a")

    def _mask(self, is_d: Any) -> np.ndarray:
        index = self.values.index
        if isinstance(is_d, pd.Series) and is_d.index.is_unique:
            is_d = is_d.reindex(index)
        mask = pd.array(is_d, dtype="boolean") if len(is_d) == len(index) else None
        if mask is None or mask.isna().any():
            raise ParameterError(f"gap: is_d should say of each of the {len(index):,} explained rows if it is d.")
        if mask.all() or not mask.any():
            raise ParameterError(f"gap: is_d has {'no row of a' if mask.all() else 'no row of d'} to compare.")
        return mask.to_numpy(dtype=bool)

    def plot_importance(self, *, at_most: int = 10, title: str = "") -> Words:
        """Bars of mean |SHAP|."""
        found = self.importance().head(at_most)
        with styled():
            ax = new_figure(1, 1, height=0.9 + 0.32 * len(found))[1][0, 0]
            ax.barh(list(found.index.map(str)), found.to_numpy(), color=BLUE)
            ax.invert_yaxis()
            ax.set(xlabel=f"mean |SHAP value| [{self.units}]")
            ax.set_title(title or f"{found.index[0]} moves the decisions most")
        show()
        told = ", ".join(f"{name} {value:.3g}" for name, value in found.items())
        return Words(f"Mean |SHAP| in {self.units}: {told}.")

    def plot_beeswarm(self, *, at_most: int = 10, title: str = "") -> Words:
        """Each person a dot: how far, and in which direction, each feature moved the answer."""
        shap = imported()
        with styled(), quiet(0):
            lines = min(at_most + 1, self.values.shape[1])  # the last one is the sum of the others
            ax = new_figure(1, 1, height=1.2 + 0.38 * lines)[1][0, 0]
            shap.plots.beeswarm(self._shap(), max_display=lines, show=False, ax=ax, plot_size=None)
            ax.set_xlabel(f"SHAP value [{self.units}]", fontsize=10)
            ax.set_title(title or "Each dot is one person")
        show()
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
            ax = new_figure(1, 1, height=1.2 + 0.34 * len(steps))[1][0, 0]
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
        show()
        told = ", ".join(f"{name}: {value:+.3g}" for name, value in steps.items())
        return Words(f"Base {self.base:.3g}, then {told}; together {self.predictions.loc[row]:.3g} {self.units}.")

    def _check_row(self, row: Any) -> None:
        if row not in self.values.index:
            raise ParameterError(f"plot_waterfall: row={row!r} was not explained; rows are named by the frame's index.")
        if (same := int(np.sum(self.values.index == row))) > 1:
            raise ParameterError(f"plot_waterfall: row={row!r} names {same} rows; give the frame an index of its own.")

    def _in_words(self, at_most: int) -> str:
        sentences = []
        for name in self.importance().index[:at_most]:
            column = self.data[name]
            if pd.api.types.is_numeric_dtype(column) and column.nunique() > 1 and self.values[name].std() > 0:
                up = np.corrcoef(column.astype(float), self.values[name])[0, 1] > 0
                sentences.append(f"a higher {name} {'raises' if up else 'lowers'} the answer")
        return f"On the whole, {', '.join(sentences)}." if sentences else "Each dot is one person."

    def _shap(self) -> Any:
        return imported().Explanation(
            values=self.values.to_numpy(),
            base_values=np.full(len(self.values), self.base),
            data=coded(self.data)[0],
            feature_names=list(self.values.columns.map(str)),
        )


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float | int | np.number) else str(value)
