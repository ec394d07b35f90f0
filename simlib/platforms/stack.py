"""Where a company's tools live, and what crosses from cloud to cloud when the models live elsewhere.

    >>> stack(["BigQuery", "Looker"], gb_per_month=500)[["hops", "usd_per_month"]].loc["vertex"].tolist()
    [0.0, 0.0]

A tool in another cloud than the platform is a hop: a login of its own, a network path, and, for tools that hold data or
show reports, data that leaves a cloud and is billed there.
"""

import functools
from collections.abc import Mapping
from typing import Literal

import pandas as pd

from simlib.parameters import NonNegative, ParameterError, Text, checked, nearest
from simlib.platforms.features import UNVERIFIED, marked
from simlib.platforms.fields import PLATFORMS, Platform, read_table
from simlib.pricing import price

Cloud = Literal["aws", "google", "azure"]
CLOUD_OF: Mapping[Platform, Cloud] = {"sagemaker": "aws", "vertex": "google", "azureml": "azure"}
_EGRESS = {"aws": ("aws", "us-east-1"), "google": ("gcp", "us-central1"), "azure": ("azure", "eastus")}


@functools.cache
def tools() -> pd.DataFrame:
    """The tools that are known.

    Columns: tool, home (aws, google or azure), kind (data, calls, reports, code), publisher, source, as_of, mark, and
    note: "unverified" unless the mark is V.
    """
    return marked(read_table("stack.csv"))


@checked
def stack(
    ticked: tuple[Text, ...], *, gb_per_month: NonNegative = 100.0, report_gb_per_month: NonNegative = 1.0
) -> pd.DataFrame:
    """Hops and the cost of transfer, for the ticked tools and each platform.

    Parameters
    ----------
    ticked : tuple of str
        Names of `tools()`.
    gb_per_month : float
        What each tool that holds data sends to the models in a month [GB] (assumption).
    report_gb_per_month : float
        What the models send to each tool that shows reports [GB] (assumption); calls and code weigh nothing.

    Returns
    -------
    DataFrame
        Index platform; at_home and elsewhere (names), hops, gb_per_month that cross, usd_per_month for them at the
        price of the cloud they leave, and note: those prices are recalled, so "unverified" where they are used, and so
        is where some tools are at home.

    Raises
    ------
    ParameterError
        If a tool is not known.
    """
    known = tools()
    home_of, kind_of, note_of = (
        dict(zip(known["tool"], known[what], strict=True)) for what in ("home", "kind", "note")
    )
    for name in ticked:
        if name not in home_of:
            raise ParameterError(f"stack: there is no tool {name!r}; {nearest(name, home_of)}")
    rows = []
    for platform in PLATFORMS:
        cloud = CLOUD_OF[platform]
        away = [name for name in dict.fromkeys(ticked) if home_of[name] != cloud]
        data = [(home_of[name], gb_per_month) for name in away if kind_of[name] == "data"]
        crossing = [*data, *((cloud, report_gb_per_month) for name in away if kind_of[name] == "reports")]
        usd = sum(gb * egress_usd_per_gb(leaves) for leaves, gb in crossing)
        home = ", ".join(name for name in dict.fromkeys(ticked) if name not in away)
        note = UNVERIFIED if usd or any(note_of[name] for name in ticked) else ""
        rows.append((home, ", ".join(away), float(len(away)), float(sum(gb for _, gb in crossing)), float(usd), note))
    columns = ["at_home", "elsewhere", "hops", "gb_per_month", "usd_per_month", "note"]
    return pd.DataFrame(rows, columns=columns, index=pd.Index(PLATFORMS, name="platform"))


@checked
def egress_usd_per_gb(cloud: Cloud) -> float:
    """What a GB costs that leaves this cloud for the internet [US dollars]; all three are recalled (mark U)."""
    owner, region = _EGRESS[cloud]
    return price("data_transfer", "internet-out", region=region, platform=owner).usd
