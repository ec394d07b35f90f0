"""Whose turn it is when several decisions fall on one instant.

SimPy handles events of one instant by their priority.  Decisions take turns in this order, and within a turn in the
order in which they were scheduled; the requests of that instant arrive after all of them (docs/invariants.md).
"""

import simpy

LIFE, FAULT, SCHEDULE, METRIC, ALARM, POLICY, ARRIVAL = range(2, 9)  # SimPy itself uses 0 and 1


def pause(env: simpy.Environment, delay: float, turn: int) -> simpy.Event:
    """An event *delay* seconds from now, in its turn."""
    event = env.event()
    event._ok, event._value = True, None
    env.schedule(event, turn, delay)  # type: ignore[arg-type]
    return event
