"""Platform choice: which cloud for a company, and how far may its weights move before another one wins?"""

from typing import Any

import numpy as np

from simlib import platforms
from simlib.plots.style import BLUE, GREEN, ORANGE, PURPLE
from simlib.widgets.drawing import Axis, Panel
from simlib.widgets.explorer import Answer, Explorer, Knob, summarised


def platform_choice(cloud: str, existing: int, tools: int, team: int, needs: int) -> Answer:
    """A company that works in BigQuery, knows Designer and needs TPUs; with no weight at all, equal ones."""
    company = platforms.Company(
        {"AWS": "aws", "Google Cloud": "google", "Azure": "azure"}.get(cloud),  # type: ignore[arg-type]
        tools=("BigQuery", "Looker"),
        knows=("Designer", "SageMaker Studio"),
        needs=("TPU", "approval in the registry"),
    )
    weights = {
        "existing cloud": existing,
        "data and analysis tools": tools,
        "team's experience": team,
        "project's needs": needs,
    }
    found = platforms.decide(company, weights if any(weights.values()) else None)
    names: dict[Any, str] = {"sagemaker": "SageMaker", "vertex": "Vertex AI", "azureml": "Azure ML"}
    numbers = summarised({f"{names[name]}: score": [score, score] for name, score in found.totals.items()})
    first, second = (names[name] for name in found.totals.index[:2])
    finding = (
        f"{first} is ahead of {second} by {found.margin:.2f}"
        if found.best
        else f"{first} and {second} share the first place: these weights do not decide"
    )
    return Answer(numbers, finding, found.contributions.rename(index=names))


def _draw(answer: Answer) -> Panel:
    parts = answer.drawn
    panel = Panel(
        Axis("score: the weighted mean of four factors, each between 0 and 1", 0, 1),
        Axis("", len(parts) - 0.4, -0.6, names=dict(enumerate(map(str, parts.index)))),
    )
    colors = dict(zip(parts.columns, (BLUE, ORANGE, GREEN, PURPLE), strict=True))
    left = np.zeros(len(parts))
    for factor, color in colors.items():
        panel.bars(np.arange(len(parts)), left, left + parts[factor], color, height=0.6)
        left = left + parts[factor].to_numpy()
    panel.key(colors)
    return panel


_WEIGHTS = (0, 1, 2, 3, 4)

PLATFORM_CHOICE = Explorer(
    "platform_choice",
    "Choose the platform",
    "Which cloud for this company, and how far may its weights move before another one wins?",
    (
        Knob("cloud", "it is already on", ("AWS", "Google Cloud", "Azure", "nothing yet"), "AWS"),
        Knob("existing", "weight: existing cloud", _WEIGHTS, 1),
        Knob("tools", "weight: data tools", _WEIGHTS, 1),
        Knob("team", "weight: team's experience", _WEIGHTS, 1),
        Knob("needs", "weight: project's needs", _WEIGHTS, 1),
    ),
    platform_choice,
    _draw,
)
