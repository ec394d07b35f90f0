"""Platform choice: which cloud for a company, and how far may its weights move before another one wins?"""

from typing import TYPE_CHECKING, Any

from simlib import platforms
from simlib.plots.style import BLUE, GREEN, ORANGE, PURPLE
from simlib.widgets.explorer import Answer, Explorer, Knob, summarised

if TYPE_CHECKING:
    from matplotlib.axes import Axes


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


def _draw(ax: "Axes", answer: Answer) -> None:
    parts = answer.drawn.iloc[::-1]
    left: Any = 0 * parts.iloc[:, 0]
    for factor, color in zip(parts.columns, (BLUE, ORANGE, GREEN, PURPLE), strict=True):
        ax.barh(parts.index, parts[factor], left=left, color=color, label=factor, height=0.6)
        left = left + parts[factor]
    ax.set(xlim=(0, 1.0), xlabel="score: the weighted mean of four factors, each between 0 and 1")
    ax.legend(loc="lower right", fontsize=8)
    ax.tick_params(axis="y", labelsize=8)


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
