"""The session's nine "choose X if" lines as companies: which platform wins each, and the weight at which it flips.

Each company has the reason the session gives, and something that speaks for another platform; so each has a weight
below which the named platform is no longer first.  There is no absolute winner.  The companies and weights are made up
for the course (assumption); change them, or make your own with `Company`.
"""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import pandas as pd

from simlib.platforms.choice import FACTORS, NAMES, Company, Decision, decide
from simlib.platforms.fields import Platform, read_table


class Profile(NamedTuple):
    """One line of the session: choose *platform* if *choose_if*; *but* is what speaks against it."""

    platform: Platform
    choose_if: str
    but: str
    factor: str
    company: Company
    weights: dict[str, float]

    def decide(self) -> Decision:
        """The decision of this company with its weights."""
        return decide(self.company, self.weights)


@functools.cache
def profiles() -> tuple[Profile, ...]:
    """The nine profiles, in the session's order."""
    return tuple(_profile(row) for row in read_table("profiles.csv").to_dict("records"))


def _profile(row: Mapping[Any, Any]) -> Profile:
    def several(name: str) -> tuple[str, ...]:
        return tuple(part.strip() for part in row[name].split(";") if part.strip())

    weights = dict(zip(FACTORS, (float(row[f"w_{name}"]) for name in ("cloud", "tools", "team", "needs")), strict=True))
    company = Company(
        row["cloud"] or None,
        tools=several("tools"),
        knows=several("knows"),
        needs=several("needs"),
        name=f"a company where {row['but']}",
    )
    return Profile(row["platform"], row["choose_if"], row["but"], row["factor"], company, weights)


def choose_if() -> pd.DataFrame:
    """The nine lines: the platform the session names, the one that is first here, by how much, and where that flips.

    Columns: named, choose_if, but, first, margin, factor (the line's own), weight (of it, now), flips_below (the weight
    of it below which another is first), and to (which).
    """
    rows = []
    for each in profiles():
        found = each.decide()
        flip = found.flips().loc[each.factor]
        first = NAMES[found.best] if found.best else "none"
        to = NAMES[flip["to_lower"]] if flip["to_lower"] else ""
        rows.append(
            (
                NAMES[each.platform],
                each.choose_if,
                each.but,
                first,
                found.margin,
                each.factor,
                flip["weight"],
                flip["lower"],
                to,
            )
        )
    columns = ["named", "choose_if", "but", "first", "margin", "factor", "weight", "flips_below", "to"]
    return pd.DataFrame(rows, columns=columns)
