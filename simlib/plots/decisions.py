"""Pictures of a decision: the options in order, where over traffic the answer flips, and what else would flip it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import pandas as pd

from simlib.parameters import ParameterError, checked
from simlib.plots.checks import Title, frame_like
from simlib.plots.style import BLACK, BLUE, GREEN, ORANGE, RED, Words, color_of, line_of, new_figure, show, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GREY = "#888888"

Ranking = Annotated[
    pd.DataFrame,
    frame_like("ranking", "advice.ranking", numbers=["usd", "usd_low", "usd_high"], others=["keeps", "broken"]),
]
Costs = Annotated[pd.DataFrame, frame_like("costs", "advice.break_even()")]
Changes = Annotated[
    pd.DataFrame, frame_like("changes", "advice.sensitivity()", numbers=["usd"], others=["best", "flips"])
]


@checked
def ranking(ranking: Ranking, *, title: Title = "") -> Words:
    """Options by cost, the cheapest on top; those that do not keep what is asked are grey and say why.

    Parameters
    ----------
    ranking : DataFrame
        One row an option: usd usd_low usd_high [US dollars], keeps [bool], broken [words].
    title : str
        The finding; by default, which is the cheapest that keeps.
    """
    kept = ranking[ranking["keeps"]]
    found = "No option keeps what is asked"
    if len(kept):
        found = f"{str(kept.index[0])[:1].upper()}{str(kept.index[0])[1:]} is the cheapest that keeps what is asked"
    with styled():
        ax = new_figure(1, 1, height=1.4 + 0.5 * len(ranking))[1][0, 0]
        for spot, (_, row) in enumerate(ranking.iterrows()):
            color = BLUE if row["keeps"] else GREY
            ax.hlines([spot], row["usd_low"], row["usd_high"], colors=color, linewidth=2.5)
            ax.plot([row["usd"]], [spot], "o", color=color)
            said = f"{row['usd']:,.4g}" + ("" if row["keeps"] else f": {row['broken']}")
            ax.annotate(said, (row["usd"], spot), textcoords="offset points", xytext=(0, 7), color=color, fontsize=9)
        _dollars(ax, ranking["usd"])
        ax.set(yticks=range(len(ranking)), yticklabels=list(ranking.index), title=title or found)
        ax.set_ylim(len(ranking) - 0.5, -0.7)
        ax.margins(x=0.35)
    show()
    told = "; ".join(f"{name} {row['usd']:,.4g} dollars" for name, row in kept.iterrows())
    others = len(ranking) - len(kept)
    grey = f" {others} of {len(ranking)} do not keep it." if others else ""
    return Words(f"{found}{': ' if told else ''}{told}.{grey}")


def _dollars(ax: "Axes", usd: pd.Series, doubt: str = "") -> None:
    """The axis of cost; logarithmic, in plain numbers, where one option costs more than ten times another."""
    from matplotlib.ticker import FuncFormatter

    ax.set_xlabel(f"US dollars{doubt}")
    if (usd > 0).all() and usd.max() > 10 * usd.min():
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter(FuncFormatter(_plain))


@checked
def break_even(costs: Costs, *, title: Title = "") -> Words:
    """What the cheapest option of each kind costs over traffic, and where another becomes the cheapest.

    Parameters
    ----------
    costs : DataFrame
        Index: requests a day.  One column a kind [US dollars], NaN where it does not keep what is asked.
        `attrs["flips"]`: (requests a day, kind below, kind above).
    title : str
        The finding; by default, the first flip.
    """
    from matplotlib.ticker import FuncFormatter

    for column in costs.columns:
        if not pd.api.types.is_numeric_dtype(costs[column]):
            raise ParameterError(f"break_even: costs[{column!r}] should be numbers.")
    flips = list(costs.attrs.get("flips", []))
    told = [f"{_kind(above)} is cheapest from {_rounded(at)} requests a day on" for at, _, above in flips]
    cheapest = costs.iloc[0].idxmin() if costs.iloc[0].notna().any() else None
    found = told[0][0].upper() + told[0][1:] if told else f"{_kind(cheapest)} is the cheapest all the way".capitalize()
    with styled():
        ax = new_figure(1, 1, height=4.0)[1][0, 0]
        for k, (_, usd) in enumerate(costs.items()):
            ax.plot(usd.index, usd, marker="o", ms=4, color=color_of(k), linestyle=line_of(k), clip_on=False)
        ax.set(xscale="log", yscale="log", xlabel="requests a day", title=title or found)
        ax.set_ylabel(f"US dollars{_doubt(costs)}")
        _name_the_ends(ax, costs)
        for at, _, _ in flips:
            ax.axvline(at, color=BLACK, linewidth=0.9, linestyle=":")
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_formatter(FuncFormatter(_plain))
    show()
    first = "" if cheapest is None else f"Below, {cheapest} is the cheapest. " if told else ""
    return Words((first + "; ".join(told) + "." if told else f"{found}.").strip() + _doubted(costs))


def _doubt(frame: pd.DataFrame) -> str:
    """What an axis has to say of the prices behind a frame, which are not all verified; "" where they are."""
    return f" ({frame.attrs['doubt']})" if frame.attrs.get("doubt") else ""


def _doubted(frame: pd.DataFrame) -> str:
    """The same as a sentence after others."""
    doubt = str(frame.attrs.get("doubt", ""))
    return f" {doubt[:1].upper()}{doubt[1:]}." if doubt else ""


def _plain(value: float, _: object = None) -> str:
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"


def _kind(name: Any) -> str:
    return "none that was tried" if name is None else str(name)


def _rounded(number: float) -> str:
    """Two digits: a flip is not known better."""
    return _plain(float(f"{number:.2g}"))


def _name_the_ends(ax: "Axes", costs: pd.DataFrame) -> None:
    """Each line's name beside its last point; names that would lie on each other are pushed apart."""
    last = {name: usd.dropna() for name, usd in costs.items()}
    ends = sorted((np.log(usd.iloc[-1]), str(name), k) for k, (name, usd) in enumerate(last.items()) if len(usd))
    low, high = np.log(ax.get_ylim())
    spots = _apart([at for at, _, _ in ends], 0.07 * (high - low), high)
    right = np.log(costs.index.max() / costs.index.min())
    for spot, (_, name, k) in zip(spots, ends, strict=True):
        ax.annotate(
            name,
            (costs.index.max() * np.exp(0.03 * right), np.exp(spot)),
            va="center",
            color=color_of(k),
            annotation_clip=False,
        )


def _apart(spots: Sequence[float], gap: float, highest: float) -> list[float]:
    """The same ascending *spots*, each at least *gap* above the one before, and the last not above *highest*."""
    placed: list[float] = []
    for spot in spots:
        placed.append(max(spot, placed[-1] + gap) if placed else spot)
    return [min(spot, highest - gap * k) for k, spot in enumerate(placed[::-1])][::-1]


@checked
def tornado(changes: Changes, *, title: Title = "") -> Words:
    """The cost of the best option when one thing is smaller or larger; red where another kind becomes the best.

    Parameters
    ----------
    changes : DataFrame
        Index (changed, times); columns usd [US dollars], best, flips [bool].
    title : str
        The finding; by default, how many changes flip the decision.
    """
    if changes.index.nlevels != 2:
        raise ParameterError(
            "tornado: changes should have the index (changed, times), as advice.sensitivity() gives it."
        )
    spans = changes["usd"].groupby(level=0, sort=False).agg(lambda usd: np.nanmax(usd) - np.nanmin(usd))
    order = list(spans.sort_values(ascending=False, kind="stable").index)
    flips = changes[changes["flips"]]
    found = (
        f"{len(flips)} of {len(changes)} changes flip the decision" if len(flips) else "No change flips the decision"
    )
    with styled():
        ax = new_figure(1, 1, height=1.3 + 0.6 * len(order))[1][0, 0]
        for spot, name in enumerate(order):
            rows = changes.loc[name]
            ax.hlines([spot], rows["usd"].min(), rows["usd"].max(), colors=GREY, linewidth=5, alpha=0.4)
            for times, row in rows.iterrows():
                color = RED if row["flips"] else GREEN if times < 1 else ORANGE
                marker = "X" if row["flips"] else "o"
                ax.plot([row["usd"]], [spot], marker, color=color, ms=8)
            for times, row in rows[rows["flips"]].iterrows():
                ax.annotate(
                    f"× {times:g}: {row['best'] or 'none keeps it'}", (1.0, spot), xycoords=("axes fraction", "data"),
                    textcoords="offset points", xytext=(0, 9), color=RED, fontsize=9, ha="right",
                )  # fmt: skip
        for label, marker, color in (("less", "o", GREEN), ("more", "o", ORANGE), ("flips", "X", RED)):
            ax.plot([], [], marker, color=color, label=label)
        ax.legend(loc="lower left", ncols=3)
        _dollars(ax, changes["usd"].dropna(), _doubt(changes))
        ax.set(yticks=range(len(order)), yticklabels=order, title=title or found)
        ax.set_ylim(len(order) + 0.1, -0.7)
        ax.margins(x=0.15)
    show()
    changed: Any = zip(flips.index, flips["best"], strict=True)
    told = [f"{name} × {times:g}: {best or 'nothing keeps it'}" for (name, times), best in changed]
    return Words(f"{found}{': ' if told else ''}{'; '.join(told)}.{_doubted(changes)}")


Contributions = Annotated[pd.DataFrame, frame_like("contributions", "decision.contributions", numbers=[])]
Winners = Annotated[pd.DataFrame, frame_like("winners", "comparison.discount_map(…)", numbers=[])]


@checked
def scores(contributions: Contributions, *, title: Title = "") -> Words:
    """Each option's weighted score, the highest on top, in the parts that its criteria give.

    Parameters
    ----------
    contributions : DataFrame
        Index option; a column a criterion, weight times score.
    title : str
        The finding; by default, which is ahead and by how much.
    """
    totals = contributions.sum(axis=1)
    order = totals.sort_values(ascending=False, kind="stable").index
    ahead = totals[order[0]] - totals[order[1]] if len(order) > 1 else 0.0
    found = f"{order[0]} is ahead by {ahead:.2g}" if ahead > 1e-9 else "Nobody is ahead"
    with styled():
        ax = new_figure(1, 1, height=1.6 + 0.5 * len(order))[1][0, 0]
        begins = np.zeros(len(order))
        for k, (criterion, parts) in enumerate(contributions.loc[order].items()):
            ax.barh(range(len(order)), parts, left=begins, color=color_of(k), height=0.6, label=str(criterion))
            begins = begins + parts.to_numpy(dtype=float)
        for spot, total in enumerate(totals[order]):
            ax.annotate(f"{total:.2f}", (total, spot), textcoords="offset points", xytext=(4, 0), va="center")
        ax.set(yticks=range(len(order)), yticklabels=order, xlabel="weighted score, of 1", title=title or found)
        ax.invert_yaxis()
        ax.margins(x=0.1)
        ax.legend(loc="upper left", bbox_to_anchor=(0, -0.28), ncols=3, fontsize=9)
        ax.grid(visible=False, axis="y")
    show()
    return Words(f"{found}: " + ", ".join(f"{name} {totals[name]:.2f}" for name in order) + ".")


@checked
def winners(winners: Winners, *, title: Title = "") -> Words:
    """Which option is the cheapest, over two things that vary: a map of fields, each with its winner's colour and name.

    Parameters
    ----------
    winners : DataFrame
        Index and columns what varies, with the names of the axes; cells the winner's name, "" where there is none.
    title : str
        The finding; by default, how many fields each wins.
    """
    names = [name for name in pd.unique(winners.to_numpy().ravel()) if name]
    won = {name: int((winners == name).to_numpy().sum()) for name in names}
    found = ", ".join(f"{name} {count}" for name, count in sorted(won.items(), key=lambda each: -each[1]))
    with styled():
        ax = new_figure(1, 1, height=1.4 + 0.42 * len(winners))[1][0, 0]
        for y, (_, row) in enumerate(winners.iterrows()):
            for x, name in enumerate(row):
                shade = color_of(names.index(name)) if name else GREY
                ax.barh([y], [0.96], left=x - 0.48, height=0.92, color=shade, alpha=0.35)
                ax.annotate(name or "none", (x, y), ha="center", va="center", fontsize=8.5)
        ax.set(xticks=range(winners.shape[1]), xticklabels=[_label(each) for each in winners.columns])
        ax.set(yticks=range(len(winners)), yticklabels=[_label(each) for each in winners.index])
        ax.set(xlabel=_words(winners.columns.name) + _doubt(winners), ylabel=_words(winners.index.name))
        ax.set_title(title or f"Fields won: {found}")
        ax.set_xlim(-0.5, winners.shape[1] - 0.5)
        ax.set_ylim(-0.5, len(winners) - 0.5)
        ax.grid(visible=False)
    show()
    return Words(f"{title or 'The cheapest, field by field'}. Of {winners.size} fields: {found}.{_doubted(winners)}")


def _label(value: Any) -> str:
    return f"{value:,.4g}" if isinstance(value, float) and value < 1e4 else f"{value:,.0f}"


def _words(name: Any) -> str:
    return str(name or "").replace("_", " ")
