"""What may be drawn: checks that several pictures share; each names the parameter and what would be right."""

from collections.abc import Iterable
from typing import Annotated, Any

import pandas as pd
from pydantic import BeforeValidator, Field

from simlib.parameters import ParameterError, nearest, shortly

Title = Annotated[str, Field(strict=True)]


def frame_like(
    name: str, like: str, *, numbers: Iterable[str] = (), others: Iterable[str] = (), empty: bool = False
) -> Any:
    """The check of the parameter *name*: a frame such as *like* with these columns, and rows unless it may be empty."""

    def check(value: object) -> object:
        if not isinstance(value, pd.DataFrame):
            raise ValueError(f"{name}={shortly(value)} is not possible: it should be a DataFrame such as {like}.")
        for column in (*numbers, *others):
            if column not in value.columns:
                has = ", ".join(map(str, value.columns[:8])) or "none"
                raise ValueError(f"{name} has no column {column!r}, only {has}: it should be such as {like}.")
        if not empty and not value.size:
            raise ValueError(f"{name} is empty: it should have at least one row and one column, such as {like}.")
        for column in numbers:
            check_numbers(name, value, column)
        return value

    return BeforeValidator(check)


def check_numbers(name: str, frame: pd.DataFrame, column: Any) -> None:
    if len(frame) and not pd.api.types.is_numeric_dtype(frame[column]):
        found = shortly(frame[column].iloc[0])
        raise ParameterError(f"{name}[{column!r}] should be numbers; its first value is {found}.")


def check_known(plot: str, what: str, name: str, known: Iterable[Any]) -> None:
    if name not in known:
        raise ParameterError(f"{plot}: there is no {what} {name!r}; {nearest(str(name), map(str, known))}")
