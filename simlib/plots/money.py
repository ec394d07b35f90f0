"""Pictures of money: a bill from line to line, and costs over volume."""

from typing import Annotated

import numpy as np
import pandas as pd

from simlib.parameters import Count, NonNegative, checked
from simlib.plots.checks import Title, frame_like
from simlib.plots.style import BLACK, BLUE, GREEN, Words, color_of, line_of, new_figure, show, styled

Invoice = Annotated[
    pd.DataFrame, frame_like("invoice", "run.invoice", numbers=["subtotal"], others=["item"], empty=True)
]


@checked
def cost_breakdown(invoice: Invoice, *, at_most: Count = 8, title: Title = "") -> Words:
    """A bill from line to line: each begins where the one before ended, and the last one is what is to be paid.

    Parameters
    ----------
    invoice : DataFrame
        Columns item and subtotal [US dollars]; credits are negative.
    at_most : int
        The largest items that get a bar of their own; the others share one.
    title : str
        The finding; by default, the largest item's share.
    """
    by_item = invoice.groupby("item", sort=False)["subtotal"].sum()
    by_item = by_item[by_item != 0]
    large = by_item.abs().nlargest(at_most).index
    bars = by_item[by_item.index.isin(large)]
    rest = by_item.drop(bars.index)
    if len(rest):
        bars = pd.concat([bars, pd.Series({f"{len(rest)} others": rest.sum()})])
    total = float(invoice["subtotal"].sum())
    found = _largest_share(by_item, total)
    with styled():
        ax = new_figure(1, 1, height=1.3 + 0.38 * (len(bars) + 1))[1][0, 0]
        ends = bars.to_numpy(dtype=float).cumsum()
        begins = ends - bars.to_numpy(dtype=float)
        colors = [*(GREEN if usd < 0 else BLUE for usd in bars), BLACK]
        spots = np.arange(len(bars) + 1)
        ax.barh(spots, [*bars, total], left=[*begins, 0.0], color=colors, height=0.6)
        for spot, at, usd in zip(spots, [*np.maximum(begins, ends), total], [*bars, total], strict=True):
            ax.annotate(f"{usd:,.4g}", (at, spot), textcoords="offset points", xytext=(4, 0), va="center", fontsize=9)
        ax.set(yticks=spots, yticklabels=[*bars.index, "to pay"], xlabel="US dollars", title=title or found)
        ax.invert_yaxis()
        ax.margins(x=0.12)
        ax.grid(visible=False, axis="y")
    show()
    told = ", ".join(f"{item} {usd:,.4g}" for item, usd in bars.items())
    return Words(f"{found}: {told}." if len(bars) else f"{found}.")


def _largest_share(by_item: pd.Series, total: float) -> str:
    bill = f"the bill of {total:,.4g} dollars"
    if not len(by_item) or total <= 0:
        return f"{bill[0].upper()}{bill[1:]}"
    return f"{by_item.idxmax()}: {100 * by_item.max() / total:.3g} % of {bill}"


Costs = Annotated[
    pd.DataFrame, frame_like("costs", "volumes in the index and a column of dollars an option", numbers=[])
]


@checked
def cost_by_volume(costs: Costs, *, crossing: NonNegative | None = None, title: Title = "") -> Words:
    """What each option costs at each volume, and where two of them cost the same.

    Parameters
    ----------
    costs : DataFrame
        Index: requests a month; a column of US dollars a month for each option.
    crossing : float or None
        The volume to mark.
    title : str
        The finding.
    """
    with styled():
        ax = new_figure(1, 1, height=3.8)[1][0, 0]
        for k, (name, usd) in enumerate(costs.items()):
            ax.plot(costs.index, usd, color=color_of(k), linestyle=line_of(k), label=str(name))
        if crossing is not None:
            ax.axvline(crossing, color=BLACK, linewidth=1.0, linestyle=":")
        ax.set(xscale="log", yscale="log", xlabel="requests a month", ylabel="US dollars a month", title=title)
        ax.legend(loc="upper left")
    show()
    few, many = (costs.loc[volume].idxmin() for volume in (costs.index.min(), costs.index.max()))
    at = f"; they cost the same at {float(f'{crossing:.4g}'):,.0f}" if crossing is not None else ""
    return Words(f"{title or 'Cost by volume'}. Cheapest at few requests: {few}; at many: {many}{at}.")
