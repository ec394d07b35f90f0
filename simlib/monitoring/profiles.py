"""What a column holds: how many values are there, of which type, which numbers, which categories.

Types are those of SageMaker's files.  A value is *Integral* if it is a whole number, *Fractional* if another finite
number, else *String*; text that reads as a number is one, since captured data travel as CSV.  Infinities are no numbers
there, so they count as text, and so does what is beyond `LARGEST`.
"""

import re
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pandas as pd

from simlib.parameters import ParameterError, shortly

LARGEST = 1e150
"""Of larger numbers not even a standard deviation can be computed: their squares overflow."""

_WHOLE = re.compile(r"[-+]?\d+")
_FRACTION = re.compile(r"[-+]?(\d+\.\d*|\.\d+|\d+(\.\d*)?[eE][-+]?\d+)")


@dataclass(frozen=True)
class Profile:
    """One column of one frame.

    Attributes
    ----------
    missing : int
        Rows without a value.
    numbers : ndarray
        The numbers among the values.
    whole : int
        How many of them are whole.
    text : Counter
        How often each other value occurs.
    written : bool
        Whether whole numbers were written as such (1, not 1.0).
    """

    rows: int
    missing: int
    numbers: np.ndarray
    whole: int
    text: Counter[str]
    written: bool

    @property
    def present(self) -> int:
        """Rows with a value."""
        return self.rows - self.missing

    @property
    def inferred_type(self) -> str:
        """Integral, Fractional, String, or Unknown where nothing is there."""
        if not self.present:
            return "Unknown"
        if self.text:
            return "String"
        return "Integral" if self.written and self.whole == len(self.numbers) else "Fractional"

    def numbers_as_text(self) -> Counter[str]:
        """The numbers as categories: whole ones without a point."""
        values, counts = np.unique(self.numbers, return_counts=True)
        names = (str(int(value)) if value.is_integer() else str(value) for value in values.tolist())
        return Counter(dict(zip(names, counts.tolist(), strict=True)))

    def categories(self) -> Counter[str]:
        """All values as categories."""
        return self.text + self.numbers_as_text()


def profile(column: pd.Series) -> Profile:
    """What *column* holds."""
    kind = column.dtype
    if (
        pd.api.types.is_numeric_dtype(kind)
        and not pd.api.types.is_bool_dtype(kind)
        and not pd.api.types.is_complex_dtype(kind)
    ):
        return _of_numbers(column)
    return _of_anything(column)


def _of_numbers(column: pd.Series) -> Profile:
    values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    there = values[~np.isnan(values)]
    finite = np.abs(there) <= LARGEST
    numbers = there[finite]
    missing = len(values) - len(there)
    # pandas turns whole numbers into floats where some are missing
    written = not pd.api.types.is_float_dtype(column.dtype) or missing > 0
    text = Counter({} if finite.all() else Counter(map(str, there[~finite].tolist())))
    return Profile(len(values), missing, numbers, int((numbers == np.floor(numbers)).sum()), text, written)


def _of_anything(column: pd.Series) -> Profile:
    missing = int(column.isna().sum())
    text: Counter[str] = Counter()
    numbers, whole, written = [], 0, True
    for value, count in _counted(column.dropna()).items():
        as_text = str(value).strip()
        number = _number(as_text)
        if number is not None and _WHOLE.fullmatch(as_text):
            numbers += [number] * count
            whole += count
        elif number is not None:
            numbers += [number] * count
            whole += count * number.is_integer()
            written = False
        else:
            text[as_text] += count
    return Profile(len(column), missing, np.array(numbers, dtype=np.float64), whole, text, written)


def _number(text: str) -> float | None:
    """The finite number that *text* is, if it is one."""
    if not (_WHOLE.fullmatch(text) or _FRACTION.fullmatch(text)):
        return None
    number = float(text)
    return number if abs(number) <= LARGEST else None


def _counted(column: pd.Series) -> Counter[str]:
    if isinstance(column.dtype, pd.CategoricalDtype | pd.StringDtype):
        codes, values = pd.factorize(column)
        return Counter(dict(zip(map(str, values), np.bincount(codes, minlength=len(values)).tolist(), strict=True)))
    return Counter(str(value) for value in column)


def check_frame(owner: str, frame: object, *, name: str = "frame") -> pd.DataFrame:
    """A frame with rows, and columns told apart by their names.

    Raises
    ------
    ParameterError
        Naming the parameter and what would be right.
    """
    if not isinstance(frame, pd.DataFrame):
        raise ParameterError(f"{owner}: {name}={shortly(frame)} is not possible: it should be a pandas DataFrame.")
    names = [str(column) for column in frame.columns]
    if not names or not len(frame):
        wanting = "columns" if not names else "rows"
        raise ParameterError(f"{owner}: {name} has no {wanting}, so there is nothing to look at.")
    twice = sorted({each for each in names if names.count(each) > 1})
    if twice:
        raise ParameterError(f"{owner}: {name} has two columns {twice[0]!r}; each should have its own name.")
    return frame.set_axis(names, axis="columns")
