"""What the three platforms offer, line by line: status, source, date, and how well it is known.

Marks: V verified in a vendor's own text or code, S second-hand, D derived, U from memory or not found.  Whatever is not
V says "unverified" wherever it is shown.
"""

import functools
from typing import Literal

import pandas as pd

from simlib.parameters import ParameterError, Text, checked, nearest
from simlib.platforms.fields import PLATFORMS, Platform, read_table

Status = Literal["GA", "preview", "partial", "outside", "none", "ended", "unknown"]
"""GA: on offer; preview; partial: something like it; outside: in another service of the vendor; none; ended: gone, or
closed to new customers; unknown: no vendor text says."""

UNVERIFIED = "unverified"
_OF_A_FEATURE = ("feature", "platform", "status", "text", "publisher", "source", "as_of", "mark")


def marked(table: pd.DataFrame) -> pd.DataFrame:
    """The table with a column that says which rows are not verified."""
    return table.assign(note=["" if mark == "V" else UNVERIFIED for mark in table["mark"]])


@functools.cache
def _features() -> pd.DataFrame:
    """The session's six rows first, with what is true of them today, then the others."""
    session = read_table("slides.csv").rename(columns={"criterion": "feature", "fact_2026": "text"})
    return marked(pd.concat([session[list(_OF_A_FEATURE)], read_table("features.csv")], ignore_index=True))


@checked
def features(
    feature: Text | None = None, *, platform: Platform | None = None, status: Status | None = None
) -> pd.DataFrame:
    """What the platforms offer, a row a feature and platform; the session's six rows stand first.

    Parameters
    ----------
    feature : str or None
        A feature's name, or a part of one.
    platform : "sagemaker" | "vertex" | "azureml"
    status : str
        See `Status`.

    Returns
    -------
    DataFrame
        feature, platform, status, text, publisher, source, as_of, mark, and note: "unverified" unless the mark is V.

    Raises
    ------
    ParameterError
        If no feature's name holds *feature*.
    """
    found = _features()
    if feature is not None:
        names = found["feature"].drop_duplicates().tolist()
        inside = [name for name in names if feature.lower() in name.lower()]
        if not inside:
            raise ParameterError(f"features: there is no feature {feature!r}; {nearest(feature, names)}")
        found = found[found["feature"].isin(inside)]
    if platform is not None:
        found = found[found["platform"] == platform]
    if status is not None:
        found = found[found["status"] == status]
    return found.reset_index(drop=True)


@checked
def matrix(feature: Text | None = None) -> pd.DataFrame:
    """The same as a table: a row a feature, a column a platform, "GA: text", with "(unverified)" where it is not."""
    long = features(feature)
    doubt = [f" ({note})" if note else "" for note in long["note"]]
    cells = long.assign(cell=long["status"] + ": " + long["text"] + doubt)
    order = long["feature"].drop_duplicates()
    return cells.pivot(index="feature", columns="platform", values="cell").loc[order, list(PLATFORMS)]


@checked
def differences(one: Platform, other: Platform) -> pd.DataFrame:
    """The features whose status differs between two platforms, as in `matrix`, with both statuses before."""
    status = _features().pivot(index="feature", columns="platform", values="status")
    wide = matrix()
    unlike = [name for name in wide.index if status.loc[name, one] != status.loc[name, other]]
    return wide.loc[unlike, [one, other]]


@checked
def since_the_slides(platform: Platform | None = None) -> pd.DataFrame:
    """The session's six rows, cell by cell: the slide's claim, the fact of 2026 with its mark, and what runs here.

    `runs` names functions of simlib; `platforms` and the other packages have them under these names.
    """
    found = marked(read_table("slides.csv"))
    return found if platform is None else found[found["platform"] == platform].reset_index(drop=True)


@checked
def services(platform: Platform | None = None) -> pd.DataFrame:
    """Every service the session names: what it is, what is left of it today, and what runs here in its place.

    Returns
    -------
    DataFrame
        service, platform, what, status, today, like_sagemaker (its counterpart on SageMaker, "" for SageMaker's own),
        publisher, source, as_of, mark, runs, and note: "unverified" unless the mark is V.
    """
    found = marked(read_table("services.csv"))
    return found if platform is None else found[found["platform"] == platform].reset_index(drop=True)
