"""GPU, TPU, Trainium, Inferentia, FPGA: what the same training costs on each, by peak speed and price.

    >>> table = training_cost(1e18)
    >>> bool(table.loc[("TPU v5e", "vertex"), "usd"] < table.loc[("NVIDIA A100", "vertex"), "usd"])
    True

A chip that is idle half of the time costs twice as much: `utilization` decides more than the name of the chip does.
"""

import math
from collections.abc import Mapping

import pandas as pd

from simlib.parameters import ParameterError, Positive, Share, Text, checked, nearest
from simlib.platforms.features import UNVERIFIED
from simlib.platforms.fields import read_table
from simlib.pricing import price


@checked
def training_cost(
    flops: Positive, *, utilization: Share = 0.4, of_a_chip: Mapping[Text, Share] | None = None
) -> pd.DataFrame:
    """The same work on one machine of each kind: hours, dollars, and dollars for 10^18 operations.

    Parameters
    ----------
    flops : float
        Floating-point operations of the whole training, in 16-bit numbers.
    utilization : float
        Share of the peak that a program reaches (assumption; 0.3 to 0.5 is usual for large models).
    of_a_chip : mapping of chip to share, or None
        Other shares for single chips: a program written for GPUs reaches less on a TPU until it is rewritten.

    Returns
    -------
    DataFrame
        Index (chip, platform), the cheapest first; kind, machine, chips, peak_tflops of the machine, usd_per_hour,
        hours, usd, and note: "unverified" where speed or price is.  NaN for chips sold for inference only.

    Raises
    ------
    ParameterError
        If a chip is not known or a share is 0.
    """
    table = read_table("chips.csv")
    shares = dict(of_a_chip or {})
    for name in shares:
        if name not in set(table["chip"]):
            raise ParameterError(f"training_cost: of_a_chip has {name!r}; {nearest(name, table['chip'].unique())}")
    if not all((utilization, *shares.values())):
        raise ParameterError("training_cost: utilization should be greater than 0.")
    rows = {}
    for row in table.to_dict("records"):
        hourly = price(row["service"], row["machine"], region=row["region"], platform=row["owner"])
        chips = int(row["chips"])
        usd_per_hour = hourly.usd * (chips if hourly.unit == "chip-hour" else 1)
        peak = float(row["tflops"] or "nan") * chips
        hours = (
            flops / (peak * 1e12 * shares.get(row["chip"], utilization)) / 3600 if row["trains"] == "yes" else math.nan
        )
        doubts = [] if row["trains"] == "yes" else ["sold for inference only"]
        doubts += [f"speed {UNVERIFIED}"] if row["mark"] != "V" else []
        doubts += [f"price {hourly.note}"] if hourly.note else []
        known = (row["kind"], row["machine"], chips, peak, usd_per_hour, hours, hours * usd_per_hour)
        rows[row["chip"], row["platform"]] = (*known, "; ".join(doubts))
    columns = ["kind", "machine", "chips", "peak_tflops", "usd_per_hour", "hours", "usd", "note"]
    frame = pd.DataFrame.from_dict(rows, orient="index", columns=columns)
    frame.index = pd.MultiIndex.from_tuples(frame.index, names=["chip", "platform"])
    return frame.sort_values("usd", kind="stable")
