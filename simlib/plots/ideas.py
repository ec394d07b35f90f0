"""Pictures of ideas: stages in a ring, and stages end to end."""

from collections.abc import Mapping, Sequence
from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import AfterValidator

from simlib.parameters import ParameterError, Text, checked
from simlib.plots.checks import Title, check_known, check_numbers, frame_like
from simlib.plots.style import BLUE, CYCLE, HATCHES, Words, color_of, new_figure, show, styled


def _durations(frame: pd.DataFrame) -> pd.DataFrame:
    for column in frame.columns:
        check_numbers("durations", frame, column)
        wrong = ~(np.isfinite(frame[column].to_numpy(dtype=float)) & (frame[column].to_numpy() >= 0))
        if wrong.any():
            found, row = frame[column].iloc[int(wrong.argmax())], frame.index[int(wrong.argmax())]
            raise ValueError(f"durations[{column!r}][{row!r}]={found} is not possible: it should be at least 0.")
    return frame


Durations = Annotated[
    pd.DataFrame, AfterValidator(_durations), frame_like("durations", "one row a bar, one column a stage")
]


@checked
def cycle(stages: Mapping[str, str], *, now: Sequence[str], title: Title) -> Words:
    """Stages that follow each other and begin anew, drawn as a ring.

    Parameters
    ----------
    stages : mapping of name to what it answers
        In their order, clockwise from the top.
    now : sequence of str
        The stages to bring out.
    title : str
        What the ring says.
    """
    if not stages:
        raise ParameterError("cycle: stages={} is not possible: it should have at least one stage.")
    for name in now:
        check_known("cycle", "stage", name, stages)
    with styled():
        ax = new_figure(1, 1, height=3.0)[1][0, 0]
        angles = np.pi / 2 - 2 * np.pi * (np.arange(len(stages)) + 0.5) / len(stages)
        x, y = 3.0 * np.cos(angles), 1.25 * np.sin(angles)
        for k, (name, question) in enumerate(stages.items()):
            bold = name in now
            box = {"boxstyle": "round,pad=0.55", "fc": BLUE if bold else "white", "ec": BLUE if bold else "#888888"}
            ax.text(
                x[k], y[k], f"{name}\n{question}", ha="center", va="center", bbox=box, zorder=3,
                color="white" if bold else "#444444",
            )  # fmt: skip
        ring = np.linspace(0, 2 * np.pi, 200)
        ax.plot(3.0 * np.cos(ring), 1.25 * np.sin(ring), color="#AAAAAA", zorder=1)
        for middle in angles - np.pi / len(stages):
            behind, ahead = ((3.0 * np.cos(at), 1.25 * np.sin(at)) for at in (middle + 0.02, middle - 0.02))
            ax.annotate("", ahead, behind, arrowprops={"arrowstyle": "-|>", "color": "#888888", "mutation_scale": 22})
        ax.set(xlim=(-4.3, 4.3), ylim=(-1.6, 1.6), title=title)
        ax.axis("off")
    show()
    return Words(f"{title}: {' → '.join(stages)} → {next(iter(stages))} again.")


@checked
def stages(durations: Durations, *, unit: Text, title: Title) -> Words:
    """What has to happen before something is done: one bar a row, its stages end to end.

    Parameters
    ----------
    durations : DataFrame
        Index: the bars, from the top.  Columns: the stages, in their order.
    unit : str
        Of the durations.
    title : str
        The finding.
    """
    with styled():
        ax = new_figure(1, 1, height=1.6 + 0.42 * len(durations))[1][0, 0]
        spots, ends = np.arange(len(durations)), durations.cumsum(axis=1)
        for k, (name, length) in enumerate(durations.items()):
            hatch = HATCHES[k // len(CYCLE) % len(HATCHES)]
            ax.barh(
                spots, length, left=ends[name] - length, color=color_of(k), hatch=hatch, height=0.6, label=str(name)
            )
        totals = durations.sum(axis=1)
        for spot, total in zip(spots, totals, strict=True):
            ax.annotate(f"{total:.3g}", (total, spot), textcoords="offset points", xytext=(4, 0), va="center")
        ax.set(yticks=spots, yticklabels=list(durations.index), xlabel=f"time [{unit}]")
        ax.set_title(title, pad=24)
        ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=len(durations.columns), borderaxespad=0.2)
        ax.invert_yaxis()
        ax.margins(x=0.08)
        ax.grid(visible=False, axis="y")
    show()
    told = ", ".join(f"{name} {total:.3g}" for name, total in totals.items())
    parts = ", ".join(f"{name} {mean:.3g}" for name, mean in durations.mean().items())
    return Words(f"{title}: {told} {unit}. On average: {parts} {unit}.")
