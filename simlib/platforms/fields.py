"""One table of names: what simlib calls a parameter, and what the three platforms call it in their files."""

import functools
from importlib import resources
from typing import Literal

import pandas as pd

from simlib.parameters import ParameterError, Text, checked, nearest

Platform = Literal["sagemaker", "vertex", "azureml"]
PLATFORMS: tuple[Platform, ...] = ("sagemaker", "vertex", "azureml")


def read_table(name: str) -> pd.DataFrame:
    """A table of the package, every cell as text."""
    with (resources.files("simlib.platforms") / "data" / name).open(encoding="utf-8") as lines:
        return pd.read_csv(lines, dtype=str, keep_default_na=False)


@functools.cache
def _table() -> pd.DataFrame:
    return read_table("fields.csv")


@checked
def fields(name: Text | None = None) -> pd.DataFrame:
    """The names of a parameter, or of all: simlib's, its unit, and the field of each platform; "" where it has none.

    Azure writes cooldowns as ISO 8601 durations and time-outs in milliseconds; `read_deployment` converts them.

    Raises
    ------
    ParameterError
        If no parameter is called *name*.
    """
    table = _table()
    if name is None:
        return table.copy()
    if name not in set(table["name"]):
        raise ParameterError(f"fields: there is no parameter {name!r}; {nearest(name, table['name'])}")
    return table[table["name"] == name].reset_index(drop=True)


def cloud_field(name: str, platform: Platform) -> str:
    """What the platform calls *name*; *name* itself where the platform has no such field."""
    found: list[str] = _table().loc[_table()["name"] == name, platform].tolist()
    return found[0] if found and found[0] else name
