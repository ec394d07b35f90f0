"""How sure a mean is: Student's confidence interval of independent values.

>>> found = interval([4.0, 5.0, 6.0])
>>> f"{found.mean:.3f}, from {found.low:.3f} to {found.high:.3f}, of {found.n} values"
'5.000, from 2.516 to 7.484, of 3 values'
"""

import math
from collections.abc import Iterator
from typing import Annotated, Any, NamedTuple

import numpy as np
from pydantic import AfterValidator, BeforeValidator

from simlib.parameters import Real, as_row, checked


def _level(value: float) -> float:
    if not 0 < value < 1:
        raise ValueError(f"confidence={value:g} is not possible: it should be between 0 and 1, such as 0.95 for 95 %.")
    return value


Confidence = Annotated[Real, AfterValidator(_level)]


class Interval(NamedTuple):
    """A mean, its confidence interval, and the number of values it rests on."""

    mean: float
    low: float
    high: float
    n: int

    @property
    def half_width(self) -> float:
        return (self.high - self.low) / 2

    @property
    def relative_half_width(self) -> float:
        """Half-width / size of the mean; 0 where nothing scatters."""
        if self.half_width == 0:
            return 0.0
        return self.half_width / abs(self.mean) if self.mean else math.inf


def _values(value: object) -> object:
    return as_row("values", list(value) if isinstance(value, Iterator) else value)


@checked
def interval(values: Annotated[Any, BeforeValidator(_values)], confidence: Confidence = 0.95) -> Interval:
    """The mean of independent *values* with its Student t interval: mean ± t(n-1) · s / √n.

    Values that are not finite are left out, and n does not count them; with n < 2 the interval is NaN.
    Where all values are the same, the mean is that value and the half-width exactly 0.  That is what these values say,
    not that nothing can scatter: of a rare error that no run met it says 0 to 0.
    """
    found = values[np.isfinite(values)]
    n = len(found)
    mean = float(found.mean()) if n else math.nan
    if n < 2:
        return Interval(mean, math.nan, math.nan, n)
    if np.ptp(found) == 0:  # the mean of equal values may round to another one, and so seem to scatter
        same = float(found[0])
        return Interval(same, same, same, n)
    from scipy.special import stdtrit  # the t quantile; all of scipy.stats takes a second to load

    half = float(stdtrit(n - 1, (1 + confidence) / 2) * found.std(ddof=1) / math.sqrt(n))
    return Interval(mean, mean - half, mean + half, n)
