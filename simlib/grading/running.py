"""One composed notebook, run by nbval in a pytest process of its own, under a wall limit."""

import atexit
import json
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from simlib.grading import sandbox
from simlib.grading.compose import Composed
from simlib.grading.warm import Broken, Warm

Outcomes = list[dict[str, Any]]

TRIES = 3
JUDGING_S = 300


@dataclass(frozen=True)
class Engine:
    """What every run needs.

    Parameters
    ----------
    folder
        Where what was judged is kept: many students hand in the same policy.
    imports
        What the exercise imports: statements, one a line.
    """

    folder: Path
    limits: sandbox.Limits
    imports: str = ""

    def run(self, composed: Composed, slot: int = 0, record: bool = False) -> Outcomes:
        """Run a notebook; what became of each cell.

        Parameters
        ----------
        slot
            A number that no other run has at the same time.
        record
            Keep what every cell hands out: for the solution, whose values are the reference.

        An empty list means that the run did not come to its end within the wall limit.

        Raises
        ------
        RuntimeError
            If no kernel could be started, three times.
        """
        for _ in range(TRIES):
            outcomes = self._once(composed, slot, record)
            if not any(each["part"] == "kernel" for each in outcomes):
                return outcomes
        raise RuntimeError(f"no kernel could be started: {outcomes[-1]['error']}")

    def _once(self, composed: Composed, slot: int, record: bool) -> Outcomes:
        with sandbox.short_folder() as folder:
            notebook, results = Path(folder, "composed.ipynb"), Path(folder, "results.json")
            notebook.write_text(composed.text(), encoding="utf-8")
            order = {
                "notebook": str(notebook),
                "results": str(results),
                "slot": slot,
                "limits": asdict(self.limits),
                "record": record,
                "namespaces": sandbox.isolation().namespaces,
            }
            self._do("run", order, self.limits.wall_s)
            return json.loads(results.read_text()) if results.exists() else []

    def judge(self, asked: dict[str, Any]) -> Any:
        """What `simlib.grading.judge` finds; None if it does not come to an end."""
        with sandbox.short_folder() as folder:
            results = Path(folder, "results.json")
            self._do("judge", asked | {"results": str(results)}, JUDGING_S)
            return json.loads(results.read_text()) if results.exists() else None

    def _do(self, task: str, order: dict[str, Any], seconds: float) -> None:
        for tries_left in reversed(range(TRIES)):
            try:
                return self._warm().run(task, order, seconds)
            except Broken:  # by whom ever: memory that ran out, somebody's kill
                end_warm()
                if not tries_left:
                    raise

    def _warm(self) -> Warm:
        warm = getattr(_of_thread, "warm", None)
        if warm is None or warm.imports != self.imports:
            end_warm()
            warm = _of_thread.warm = Warm(self.imports)
        return warm


_of_thread = threading.local()  # a warm process does one thing at a time


@atexit.register
def end_warm() -> None:
    """End the warm process of this thread, if there is one."""
    warm = getattr(_of_thread, "warm", None)
    _of_thread.warm = None
    if warm is not None:
        warm.close()
