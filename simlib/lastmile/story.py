"""The story of a run in words: taken from the event log, so that what it tells is what happened."""

from typing import TYPE_CHECKING, NamedTuple

from simlib.monitoring.streams import DAY_S
from simlib.simulation import Event

if TYPE_CHECKING:
    from simlib.lastmile.loop import Loop

STANDS_OUT = frozenset({"world", "fault", "repaired", "live", "rolled back", "rollout"})


class Told(NamedTuple):
    """Something that happened: on which day, at what time by the world's calendar, of what kind, and in words."""

    day: float
    when: str
    kind: str
    words: str

    @property
    def stands_out(self) -> bool:
        """Whether it belongs into the picture too."""
        return self.kind in STANDS_OUT

    def __str__(self) -> str:
        return f"day {self.day:5.2f}  {self.when}  {self.kind:<11} {self.words}"


def told(loop: "Loop") -> tuple[Told, ...]:
    """The loop's events, those of its pipelines that people care for, in their order."""
    # at one instant the answer of a person comes before what follows from it
    events = [*_answers(loop), *loop.sim.events_of("loop")]
    return tuple(
        Told(event.time_s / DAY_S, f"{loop.sim.date(event.time_s):%a %d %b %H:%M}", event.kind, event.detail)
        for event in sorted(events, key=lambda event: event.time_s)
    )


def _answers(loop: "Loop") -> list[Event]:
    found = [event for event in loop.sim.events_of("retraining") if event.kind in ("approved", "rejected")]
    return [each._replace(detail=f"{each.detail} says {'yes' if each.kind == 'approved' else 'no'}") for each in found]
