"""A column of numbers inside a config: measured durations, counts, the times of a trace."""

from typing import Annotated

import numpy as np
from pydantic import BeforeValidator, ValidationInfo

from simlib.parameters import config


def _as_array(values: object) -> np.ndarray:
    array = np.array(values, dtype=np.float64)  # a copy: whoever made the config may change their own array
    array.flags.writeable = False
    return array


@config
class Numbers:
    """A read-only column of numbers, shape (n,) float64, that compares, hashes and prints shortly."""

    values: Annotated[np.ndarray, BeforeValidator(_as_array)]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Numbers) and np.array_equal(self.values, other.values)

    def __hash__(self) -> int:
        return hash(self.values.tobytes())

    def __repr__(self) -> str:
        shown = ", ".join(f"{value:g}" for value in self.values[:3])
        return f"Numbers([{shown}])" if len(self.values) <= 3 else f"Numbers([{shown}, … {len(self.values):,} in all])"

    def __len__(self) -> int:
        return len(self.values)


def _column(value: object, info: ValidationInfo) -> Numbers:
    """*value* as `Numbers`: at least one, each finite and at least 0."""
    if isinstance(value, Numbers):
        return value
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{info.field_name} should be a sequence of numbers, not {str(value)[:40]!r}.") from None
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"{info.field_name} should be a flat sequence of at least one number.")
    wrong = np.flatnonzero(~((array >= 0) & np.isfinite(array)))
    if wrong.size:
        where = int(wrong[0])
        raise ValueError(f"{info.field_name}[{where}]={array[where]:g} should be a finite number of at least 0.")
    return Numbers(array)


NumberColumn = Annotated[Numbers, BeforeValidator(_column)]
"""A config's field of numbers, each finite and at least 0; lists and arrays are taken, `Numbers` are kept."""
