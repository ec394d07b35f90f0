"""The result table: value, interval, number of rows and a reading in plain words, under the convention."""

import functools
import html
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from simlib.fairness.metrics import METRICS, Metric

COLUMNS = ["value", "low", "high", "n", "reading"]
_SHOWN: list[Any] = ["display.max_colwidth", None, "display.width", 1000, "display.max_columns", None]


class BiasTable(pd.DataFrame):
    """A DataFrame that prints its convention above, its readings whole, and four significant digits."""

    @property
    def _constructor(self) -> Any:
        return functools.partial(BiasTable)

    def __repr__(self) -> str:
        with pd.option_context(*_SHOWN):
            return "\n".join(filter(None, [self._above(), self._plain().to_string(float_format=_digits)]))

    def _repr_html_(self) -> str:
        with pd.option_context(*_SHOWN):
            inner = self._plain().to_html(float_format=_digits, border=0)
        return f"<p>{html.escape(self._above())}</p>{inner}"

    def _above(self) -> str:
        return str(self.columns.name or self.attrs.get("convention", ""))

    def _plain(self) -> pd.DataFrame:
        plain = pd.DataFrame(self)
        plain.columns = plain.columns.rename(None)
        return plain


def _digits(value: float) -> str:
    return f"{value:.4g}"


def table(
    values: Mapping[str, float],
    intervals: Mapping[str, tuple[float, float]],
    rows: Mapping[str, int],
    readings: Mapping[str, str],
    *,
    convention: str,
) -> BiasTable:
    """One row a metric, in the order of *values*."""
    data = []
    for name, value in values.items():
        low, high = intervals.get(name, (np.nan, np.nan))
        fair = METRICS[name].fair
        chance = value != fair and low <= fair <= high
        said = f"{readings[name].removesuffix('.')}; this may be chance." if chance else readings[name]
        data.append((value, low, high, rows[name], said))
    made = BiasTable(data, columns=COLUMNS, index=pd.Index(list(values), name="metric"))
    made.columns.name = convention
    made.attrs["convention"] = convention
    return made


def reading(metric: Metric | str, value: float, details: str = "") -> str:
    """What a value says, in one sentence, with the two facets' figures behind it."""
    known = METRICS[metric] if isinstance(metric, str) else metric
    if np.isclose(value, known.fair, rtol=0, atol=1e-12):
        said = known.zero
    else:
        said = (
            known.more if value > known.fair else known.less or f"below {known.fair:g}: not possible for a {known.long}"
        )
    first = said[0] if said.startswith("d ") else said[0].upper()  # d is a symbol, not a word
    return f"{first}{said[1:]}{f' ({details})' if details else ''}."


def undefined(reason: str) -> str:
    """The reading of a metric that has no value."""
    return f"Undefined: {reason}."
