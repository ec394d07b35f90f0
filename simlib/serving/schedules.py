"""Moments on the calendar: at(…), rate(…) and cron(…) as AWS writes them.

    >>> from datetime import UTC, datetime
    >>> monday = datetime(2026, 1, 5, tzinfo=UTC)
    >>> next(schedule("cron(30 7 ? * MON-FRI *)", "Europe/Madrid").moments(monday)).isoformat()
    '2026-01-05T06:30:00+00:00'

cron() has six fields: minutes, hours, day of month, month, day of week (1 or SUN to 7 or SAT), year.  A field is `*`,
`?` (any; one of the two days must be it), values, ranges `a-b`, steps `a/n` and lists of these; `L` is the last day of
the month.  `W` and `#` are not supported.
"""

import calendar
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
LAST_YEAR = 2199
FIELDS = (
    ("minutes", 0, 59, ()),
    ("hours", 0, 23, ()),
    ("day of month", 1, 31, ()),
    ("month", 1, 12, MONTHS),
    ("day of week", 1, 7, WEEKDAYS),
    ("year", 1970, LAST_YEAR, ()),
)


class Schedule(Protocol):
    """A series of moments."""

    def moments(self, after: datetime) -> Iterator[datetime]:
        """The moments from *after* on, in order, in UTC."""
        ...


@dataclass(frozen=True)
class Once:
    """One moment."""

    moment: datetime

    def moments(self, after: datetime) -> Iterator[datetime]:
        """That moment, if it is still to come."""
        if self.moment >= after:
            yield self.moment


@dataclass(frozen=True)
class Every:
    """One moment after the other at a fixed distance, the first one a distance from the start."""

    distance: timedelta

    def moments(self, after: datetime) -> Iterator[datetime]:
        """Without end."""
        while True:
            after += self.distance
            yield after


@dataclass(frozen=True)
class Cron:
    """The minutes of the calendar that match all fields; a local time that does not exist is left out."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int] | None  # None: any; 0 stands for the last day
    months: frozenset[int]
    weekdays: frozenset[int] | None  # 1 = Sunday
    years: frozenset[int]
    zone: ZoneInfo

    def moments(self, after: datetime) -> Iterator[datetime]:
        """Until the end of the last year named."""
        day = after.astimezone(self.zone).date()
        while day.year <= max(self.years):
            if self._matches(day):
                for hour in sorted(self.hours):
                    for minute in sorted(self.minutes):
                        local = datetime(day.year, day.month, day.day, hour, minute, tzinfo=self.zone)
                        moment = local.astimezone(UTC)
                        exists = moment.astimezone(self.zone).replace(tzinfo=None) == local.replace(tzinfo=None)
                        if exists and moment >= after:
                            yield moment
            day += timedelta(days=1)

    def _matches(self, day: date) -> bool:
        if day.year not in self.years or day.month not in self.months:
            return False
        if self.days is not None:
            last = calendar.monthrange(day.year, day.month)[1]
            return day.day in self.days or (0 in self.days and day.day == last)
        return self.weekdays is None or day.isoweekday() % 7 + 1 in self.weekdays


def schedule(text: str, timezone: str = "UTC") -> Schedule:
    """The schedule that *text* describes.

    Raises
    ------
    ValueError
        One sentence that says which part is wrong.
    """
    try:
        zone = ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f'timezone={timezone!r} is not possible: it should be like "Europe/Madrid".') from None
    found = re.fullmatch(r"(at|rate|cron)\((.*)\)", text.strip())
    if found is None:
        raise ValueError(f"when={text!r} is not possible: it should be at(…), rate(…) or cron(…).")
    kind, inner = found[1], found[2].strip()
    if kind == "at":
        return _once(inner, zone)
    return _every(inner) if kind == "rate" else _cron(inner, zone)


def _once(text: str, zone: ZoneInfo) -> Once:
    try:
        moment = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S")
    except ValueError:
        raise ValueError(f"when: at({text}) should be like at(2026-01-05T08:00:00).") from None
    return Once(moment.replace(tzinfo=zone).astimezone(UTC))


def _every(text: str) -> Every:
    found = re.fullmatch(r"(\d+) (minute|hour|day)s?", text)
    if found is None or int(found[1]) == 0:
        raise ValueError(f"when: rate({text}) should be like rate(1 hour) or rate(5 minutes).")
    return Every(int(found[1]) * timedelta(**{found[2] + "s": 1}))


def _cron(text: str, zone: ZoneInfo) -> Cron:
    parts = text.upper().split()
    if len(parts) != 6:
        raise ValueError(
            f"when: cron({text}) has {len(parts)} fields; it should have six, like cron(0 8 ? * MON-FRI *)."
        )
    if "?" not in (parts[2], parts[4]):
        raise ValueError(f"when: cron({text}) should have ? as its day of month or its day of week.")
    minutes, hours, days, months, weekdays, years = (
        _field(part, *field) for part, field in zip(parts, FIELDS, strict=True)
    )
    return Cron(
        minutes or frozenset(),
        hours or frozenset(),
        None if parts[2] in ("?", "*") else days,
        months or frozenset(),
        None if parts[4] in ("?", "*") else weekdays,
        years or frozenset(),
        zone,
    )


def _field(text: str, name: str, lowest: int, highest: int, names: tuple[str, ...]) -> frozenset[int]:
    values: set[int] = set()
    for part in text.split(","):
        span, slash, step = part.partition("/")
        begin, dash, end = span.partition("-")
        try:
            if span in ("*", "?"):
                first, last = lowest, highest
            elif span == "L" and name == "day of month":
                first = last = 0
            else:
                first = _value(begin, lowest, names)
                last = _value(end, lowest, names) if dash else (highest if slash else first)
            width = int(step) if slash else 1
        except ValueError:
            first, last, width = 1, 0, 0
        wrong = width < 1 or first > last or (span != "L" and not (lowest <= first and last <= highest))
        if wrong:
            raise ValueError(f"when: {part!r} is not possible as the {name} of cron(): {lowest} to {highest}.")
        values.update(range(first, last + 1, width))
    return frozenset(values)


def _value(text: str, lowest: int, names: tuple[str, ...]) -> int:
    return names.index(text) + lowest if text in names else int(text)
