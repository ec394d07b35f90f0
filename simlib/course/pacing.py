"""How long a notebook's core takes: everything before "Go deeper", by words and cells.

A learner reads 200 words a minute.  A code cell takes half a minute (to read it, run it and look), a prediction a whole
one, and the control to vary two.  All four are assumptions, and the same for every notebook, so they compare.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from simlib.course.editions import source

WORDS_A_MINUTE = 200.0
CODE_MIN, PREDICT_MIN, VARY_MIN = 0.5, 1.0, 2.0
MOST_MIN = 25.0


@dataclass(frozen=True)
class Pace:
    """How much of a notebook is core, and how long that takes."""

    words: int
    code_cells: int
    predictions: int
    controls: int

    @property
    def minutes(self) -> float:
        """The whole core."""
        reading = self.words / WORDS_A_MINUTE
        return reading + CODE_MIN * self.code_cells + PREDICT_MIN * self.predictions + VARY_MIN * self.controls


def core(notebook: Mapping[str, Any]) -> Pace:
    """The pace of a notebook up to its heading "Go deeper"."""
    words = code = predictions = controls = 0
    for cell in notebook["cells"]:
        text, tags = source(cell), cell["metadata"].get("tags", [])
        if cell["cell_type"] == "markdown":
            before, deeper, _ = text.partition("## Go deeper")
            words += len(before.split())
            if deeper:
                break
        elif "predict" in tags:
            predictions += 1
        elif "vary" in tags or "explorer" in tags:
            controls += 1
        else:
            code += 1
    return Pace(words, code, predictions, controls)
