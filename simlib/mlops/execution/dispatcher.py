"""Who starts when: the first of the pipeline's order for which there is a place and there are machines.

Steps that become ready at one instant wait until everything else of that instant has happened.  A plain priority
resource would give a freed place to a waiting step before another end at the same instant has made a more urgent one
ready, and gets two of Graham's four anomalies wrong.
"""

import heapq
from typing import TYPE_CHECKING

from simlib.mlops.execution.costs import machines
from simlib.mlops.execution.scopes import Record
from simlib.turns import POLICY, pause

if TYPE_CHECKING:
    from simlib.mlops.execution.execution import Execution


LAST = POLICY + 1
"""The dispatcher's turn: after every other event of an instant."""


class Dispatcher:
    """Who starts when there is a place and there are machines: the first of the pipeline's order that fits."""

    def __init__(self, execution: "Execution", places: float) -> None:
        self.execution, self.env = execution, execution.env
        self.places, self.busy = places, 0
        self.ready: list[Record] = []
        self._scheduled = False
        execution.quota.dispatchers.append(self)

    def add(self, record: Record) -> None:
        """*record* has all it needs, but for a place and machines."""
        heapq.heappush(self.ready, record)
        self.wake()

    def wake(self) -> None:
        """Look again at the end of this instant."""
        if not self._scheduled:
            self._scheduled = True
            pause(self.env, 0.0, LAST).callbacks.append(lambda _: self._dispatch())

    def _dispatch(self) -> None:
        self._scheduled = False
        without_machines = []
        while self.ready and (self.busy < self.places or self.execution.failing):
            record = heapq.heappop(self.ready)
            if self.execution.gives_up(record):
                self.execution.leave_out(record, self.execution.why_nothing_starts)
            elif self.execution.quota.take(*machines(self.execution, record)):
                self.busy += 1
                self.execution.launch(record)
            else:
                without_machines.append(record)
        for record in without_machines:
            heapq.heappush(self.ready, record)

    def release(self, record: Record) -> None:
        """*record* is over."""
        self.busy -= 1
        self.execution.quota.give_back(*machines(self.execution, record))
        self.wake()
