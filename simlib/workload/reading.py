"""Read a log of requests: when each came, in seconds since the first, and how much work it brought.

Logs come in many shapes: rows out of order, times as seconds, datetimes or texts, with time zones or without.  What is
ambiguous is refused in one sentence that names the row, rather than guessed.
"""

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from simlib.parameters import ParameterError, nearest

# Larger numbers than these are no seconds of this age: they count smaller units since 1970.
TOO_LARGE = ((1e17, "nano", "1e9"), (1e14, "micro", "1e6"), (1e11, "milli", "1000"))


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
    _check_columns(frame, columns, where)
    times = _times(frame[time], time)
    order = np.argsort(times, kind="stable")
    return times[order], {column: _work(frame[column], column)[order] for column in work}


def _wrong(sentence: str) -> ParameterError:
    return ParameterError(f"from_trace: {sentence}")


# --- files ----------------------------------------------------------------------------------------------------------


def _frame(path: str, columns: Sequence[str]) -> pd.DataFrame:
    """The *columns* of a CSV file."""
    if not Path(path).exists():  # also keeps pandas from fetching an address
        raise _wrong(f"there is no file {path!r} (looked for it in {str(Path.cwd())!r}).")
    try:
        header = pd.read_csv(path, nrows=0)
        _check_columns(header, columns, f"the file {path!r}")
        return pd.read_csv(path, usecols=list(columns), low_memory=False)
    except ParameterError:
        raise
    except pd.errors.EmptyDataError:
        raise _wrong(f"the file {path!r} is empty; it needs a header and at least one request.") from None
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        reason = str(error).splitlines()[0][:90].rstrip(".")
        raise _wrong(f"the file {path!r} cannot be read as CSV ({reason}).") from None


def _check_columns(frame: pd.DataFrame, columns: Sequence[str], where: str) -> None:
    known = [str(name) for name in frame.columns]
    for name in columns:
        if name not in known:
            end = nearest(name, known)
            if len(known) == 1 and any(sign in known[0] for sign in ";\t|"):
                end = f"its header is {known[0][:60]!r}, and columns should be separated by commas."
            raise _wrong(f"{where} has no column {name!r}; {end}")
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
    largest = float(np.abs(numbers).max())
    for limit, unit, divisor in TOO_LARGE:
        if largest > limit:
            raise _wrong(f"{column!r} holds {largest:.0f}: looks like {unit}seconds since 1970; divide by {divisor}.")
    return numbers - numbers.min()


def _since_first(instants: pd.Series, values: pd.Series, column: str) -> np.ndarray:
    missing = (instants.isna() | values.isna()).to_numpy()
    _refuse(values, missing, column, "a time such as 2026-03-02T08:00:00.125Z, or a number of seconds")
    return (instants - instants.min()).dt.total_seconds().to_numpy(dtype=np.float64)


def _parsed(texts: pd.Series, present: np.ndarray, column: str) -> pd.Series:
    """The instants of ISO 8601 *texts*, NaT where one is none."""
    try:
        return pd.to_datetime(texts, format="ISO8601", errors="coerce")
    except ValueError:  # pandas refuses different time zones, and rows with one beside rows without
        zoned = texts.str.contains(r":\d\d.*(?:[Zz]|[+-]\d\d:?(?:\d\d)?)\s*$").to_numpy()
        without = np.flatnonzero(~zoned & present)
        if without.size:
            sentence = f"{_place(column, int(without[0]))} has no time zone while others have one"
            raise _wrong(f"{sentence}; mixed time zones should be made one.") from None
        return pd.to_datetime(texts, format="ISO8601", errors="coerce", utc=True)
