"""Read a log of requests: when each came, in seconds since the first, and how much work it brought.

Logs come in many shapes: rows out of order, columns separated by commas, semicolons or tabs, times as seconds, counts
since 1970, datetimes or texts, with time zones or without.  What is ambiguous is refused in one sentence that names the
row, rather than guessed.
"""

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from simlib.parameters import ParameterError, nearest

SEPARATORS = ",;\t|"

LARGEST_S = 1e11
"""Larger numbers are no seconds of this age."""

LONGEST_S_OF_A_LOG = 10 * 366 * 86400.0
"""A request so long after the first is a wrong time."""

OF_THIS_CENTURY_S = (978_307_200.0, 4_102_444_800.0)
"""From 2001 to 2100, since 1970: large numbers that all lie there, by their unit, count that unit."""

UNITS: tuple[tuple[Literal["ms", "us", "ns"], float], ...] = (("ms", 1e3), ("us", 1e6), ("ns", 1e9))


def read(source: str | pd.DataFrame, time: str, work: Sequence[str]) -> tuple[np.ndarray, Mapping[str, np.ndarray]]:
    """The requests of a CSV file or a frame in order of time; those of one time in order of row.

    Returns
    -------
    times : numpy.ndarray, shape (n,), float64
        Seconds since the first request.
    work : mapping of column name to numpy.ndarray, shape (n,), float64
        The columns *work*, in the same order.

    Raises
    ------
    ParameterError
        If the file cannot be read, a column is missing, there are no rows, or a value is no time or no number.
    """
    columns = (time, *work)
    where = f"the file {source!r}" if isinstance(source, str) else "source"
    frame = _frame(source, columns) if isinstance(source, str) else source
    if frame.empty:
        raise _wrong(f"{where} has no rows; it needs at least one request.")
    _check_columns([str(name) for name in frame.columns], columns, where)
    times = _times(frame[time], time)
    _refuse(frame[time], times > LONGEST_S_OF_A_LOG, time, "within ten years of the earliest request")
    order = np.argsort(times, kind="stable")
    return times[order], {column: _work(frame[column], column)[order] for column in work}


def _wrong(sentence: str) -> ParameterError:
    return ParameterError(f"from_trace: {sentence}")


# --- files ----------------------------------------------------------------------------------------------------------


def _frame(path: str, columns: Sequence[str]) -> pd.DataFrame:
    """The *columns* of a CSV file."""
    if Path(path).is_dir():
        raise _wrong(f"{path!r} is a folder; it should be a CSV file.")
    if not Path(path).exists():  # also keeps pandas from fetching an address
        raise _wrong(f"there is no file {path!r} (looked for it in {str(Path.cwd())!r}).")
    try:
        sign = _separator(path, columns)
        decimal = "," if sign == ";" else "."  # where commas are decimal, columns are separated by semicolons
        wanted = set(columns)
        frame = pd.read_csv(
            path,
            sep=sign,
            decimal=decimal,
            usecols=lambda name: name.strip() in wanted,
            index_col=False,  # a separator at the end of each row is no further column
            skipinitialspace=True,
            low_memory=False,
        )
        return frame.rename(columns=str.strip)
    except ParameterError:
        raise
    except pd.errors.EmptyDataError:
        raise _wrong(f"the file {path!r} is empty; it needs a header and at least one request.") from None
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        reason = str(error).splitlines()[0][:90].rstrip(".")
        raise _wrong(f"the file {path!r} cannot be read as CSV ({reason}).") from None


def _separator(path: str, columns: Sequence[str]) -> str:
    """The sign that separates the columns of a file whose header has *columns*: the one that finds most names."""
    headers = {
        sign: pd.read_csv(path, sep=sign, header=None, nrows=1, dtype=str, skipinitialspace=True).iloc[0]
        for sign in SEPARATORS
    }
    sign = max(SEPARATORS, key=lambda sign: len(headers[sign]))
    names = headers[sign]
    _check_columns([str(name).strip() for name in names], columns, f"the file {path!r}")
    _check_first_row(path, sign, len(names))
    return sign


def _check_first_row(path: str, sign: str, columns: int) -> None:
    """Refuse numbers with commas between columns separated by commas: pandas would read them into the next column."""
    try:
        first = pd.read_csv(path, sep=sign, header=None, skiprows=1, nrows=1, dtype=str).iloc[0].dropna()
    except pd.errors.EmptyDataError:
        return  # a header alone
    if len(first) > columns:
        raise _wrong(
            f"the file {path!r} has {columns} columns and {len(first)} values in row 1 (the first after the header); "
            "there should be one for each column."
        )


def _check_columns(known: Sequence[str], columns: Sequence[str], where: str) -> None:
    for name in columns:
        if name not in known:
            raise _wrong(f"{where} has no column {name!r}; {nearest(name, known)}")
        if known.count(name) > 1:
            raise _wrong(f"{where} has {known.count(name)} columns {name!r}; it should have one.")


# --- numbers --------------------------------------------------------------------------------------------------------


def _place(column: str, row: int) -> str:
    return f"{column!r} in row {row + 1} (the first after the header is row 1)"


def _refuse(values: pd.Series, wrong: np.ndarray, column: str, wanted: str) -> None:
    """Name the first of *values* that is *wrong*, if one is."""
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        value = values.iloc[row]
        found = "is missing" if pd.isna(value) else f"is {str(value)[:40]!r}"
        raise _wrong(f"{_place(column, row)} {found}; it should be {wanted}.")


def _numbers(values: pd.Series, column: str) -> np.ndarray:
    """*values* as float64, shape (n,), NaN where one is no number."""
    if values.dtype.kind in "bcMm":  # pandas would take them for numbers
        raise _wrong(f"the column {column!r} holds values of type {values.dtype}; it should hold numbers.")
    numbers: pd.Series = pd.to_numeric(values, errors="coerce")
    return numbers.to_numpy(dtype=np.float64, na_value=np.nan)


def _work(values: pd.Series, column: str) -> np.ndarray:
    numbers = _numbers(values, column)
    _refuse(values, ~(np.isfinite(numbers) & (numbers >= 0)), column, "a number of at least 0")
    return numbers


# --- times ----------------------------------------------------------------------------------------------------------


def _times(values: pd.Series, column: str) -> np.ndarray:
    """Seconds since the first request, in the order of the rows."""
    if values.dtype.kind == "m":
        values = values.dt.total_seconds()
    if values.dtype.kind == "M":
        return _since_first(values, values, column)
    numbers = _numbers(values, column)
    present = values.notna().to_numpy()
    if present.any() and np.isnan(numbers[np.argmax(present)]):  # the first row says which kind of time it is
        return _since_first(_parsed(values.astype(str), present, column), values, column)
    return _seconds(values, numbers, column)


def _seconds(values: pd.Series, numbers: np.ndarray, column: str) -> np.ndarray:
    _refuse(values, ~np.isfinite(numbers), column, "a number of seconds")
    if float(np.abs(numbers).max()) <= LARGEST_S:
        return numbers - numbers.min()
    earliest, latest = OF_THIS_CENTURY_S
    for unit, a_second in UNITS:
        if earliest <= numbers.min() / a_second and numbers.max() / a_second < latest:
            counts = pd.to_numeric(values)  # as they are: float64 is too coarse for nanoseconds since 1970
            return _since_first(pd.to_datetime(counts, unit=unit), values, column)
    wanted = "seconds, or milli-, micro- or nanoseconds since 1970"
    raise _wrong(f"{column!r} holds {numbers.min():.15g} to {numbers.max():.15g}; it should hold {wanted}.")


def _since_first(instants: pd.Series, values: pd.Series, column: str) -> np.ndarray:
    missing = (instants.isna() | values.isna()).to_numpy()
    _refuse(values, missing, column, "a time such as 2026-03-02T08:00:00.125Z, or a number of seconds")
    return (instants - instants.min()).dt.total_seconds().to_numpy(dtype=np.float64)


def _parsed(texts: pd.Series, present: np.ndarray, column: str) -> pd.Series:
    """The instants of ISO 8601 *texts*, NaT where one is none; "UTC" for Z and a decimal comma are taken, too."""
    texts = texts.str.replace(r"\s*UTC$", "Z", regex=True).str.replace(r"(:\d\d),(?=\d)", r"\1.", regex=True)
    try:
        return pd.to_datetime(texts, format="ISO8601", errors="coerce")
    except ValueError:  # pandas refuses different time zones, and rows with one beside rows without
        zoned = texts.str.contains(r":\d\d.*(?:[Zz]|[+-]\d\d:?(?:\d\d)?)\s*$").to_numpy()
        without = np.flatnonzero(~zoned & present)
        if without.size:
            sentence = f"{_place(column, int(without[0]))} has no time zone while others have one"
            raise _wrong(f"{sentence}; either all rows should have one or none.") from None
        return pd.to_datetime(texts, format="ISO8601", errors="coerce", utc=True)
