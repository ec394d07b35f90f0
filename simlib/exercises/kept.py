"""Where `check` finds its public examples and hints: in the metadata of the exercise's own notebook, in clear.

So a student sees two lines of code instead of a page of hints, and the notebook is still all that is needed.  A kernel
is not told which notebook it serves, but Jupyter starts it in that notebook's folder: there it is looked for, under
whatever name it was saved.  Where the metadata were lost on the way, the course's own copy serves.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from simlib.parameters import ParameterError

KEY = "check"  # in the notebook's metadata, below "simlib"
COURSE = Path(__file__).parents[2] / "exercises"  # beside a simlib that was not installed from a package


def examples_of(exercise: str, student: str = "") -> dict[str, Any]:
    """The public examples and hints of *exercise*, as `simlib release` wrote them into its notebook.

    Parameters
    ----------
    exercise
        Its name, such as "02-real-time-endpoints".
    student
        Whose own variant it is; "" for the one that all have.

    Raises
    ------
    ParameterError
        If no notebook in the working folder holds them.
    """
    for path in _notebooks(exercise):
        about = _about(path)
        if (about.get("exercise"), about.get("student", "")) == (exercise, student) and KEY in about:
            return about[KEY]
    raise ParameterError(
        f"Exercise: no notebook in the working folder holds the examples of {exercise[:60]!r}: open the notebook from "
        "the folder where it lies, or take it anew from where you got it."
    )


def _notebooks(exercise: str) -> Iterator[Path]:
    """The likeliest first."""
    yield Path(f"{exercise}.ipynb")
    yield from sorted(Path().glob("*.ipynb"))
    yield COURSE / f"{exercise}.ipynb"


def _about(path: Path) -> Mapping[str, Any]:
    """What a notebook's metadata say about its exercise; nothing if it is none, or cannot be read."""
    try:
        about = json.loads(path.read_bytes())["metadata"]["simlib"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}
    return about if isinstance(about, dict) else {}
