"""People: they answer during working hours, in their own time zone, and not on holidays.

>>> from datetime import UTC, datetime
>>> office = WorkingHours(start_hour=9, end_hour=17, timezone="Europe/Madrid")
>>> friday_evening = datetime(2026, 3, 6, 17, 0, tzinfo=UTC)  # 18:00 in Madrid
>>> office.after(friday_evening, 600.0).isoformat()
'2026-03-09T08:10:00+00:00'
"""

from collections.abc import Callable
from dataclasses import field
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BeforeValidator, Field

from simlib.model import Law, lognormal
from simlib.parameters import Share, Text, config

Hour = Annotated[float, Field(ge=0, le=24)]
WeekDay = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
_WEEK: tuple[WeekDay, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def _days(value: object) -> object:
    if not isinstance(value, list | tuple | set | frozenset):
        raise ValueError(f'holidays={value!r} should be a list of days like "2026-05-01".')
    try:
        return tuple(sorted(each if isinstance(each, date) else date.fromisoformat(str(each)) for each in value))
    except ValueError:
        raise ValueError(f'holidays={value!r} should hold days like "2026-05-01".') from None


@config
class WorkingHours:
    """From `start_hour` to `end_hour` on `days`, in `timezone` (an IANA name), but not on `holidays`."""

    start_hour: Hour = 9.0
    end_hour: Hour = 17.0
    days: tuple[WeekDay, ...] = field(default=("mon", "tue", "wed", "thu", "fri"), kw_only=True)
    timezone: Text = field(default="UTC", kw_only=True)
    holidays: Annotated[tuple[date, ...], BeforeValidator(_days)] = field(default=(), kw_only=True)

    def __post_init__(self) -> None:
        if self.end_hour <= self.start_hour:
            raise ValueError(f"end_hour={self.end_hour:g} should be after start_hour={self.start_hour:g}.")
        if not self.days:
            raise ValueError("days=() should name at least one day of the week.")
        try:
            ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError(f'timezone={self.timezone!r} is not known; write it like "Europe/Madrid".') from None

    @cached_property
    def _off(self) -> frozenset[date]:
        return frozenset(self.holidays)

    def shift(self, day: date) -> tuple[datetime, datetime] | None:
        """When work begins and ends on *day*, in UTC; None on a day off."""
        if _WEEK[day.weekday()] not in self.days or day in self._off:
            return None
        midnight = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(self.timezone))
        begin, end = ((midnight + timedelta(hours=hour)).astimezone(UTC) for hour in (self.start_hour, self.end_hour))
        return begin, end

    def after(self, moment: datetime, work_s: float) -> datetime:
        """When *work_s* seconds of work that came in at *moment* are done, in UTC."""
        now, left = moment.astimezone(UTC), timedelta(seconds=work_s)
        day = now.astimezone(ZoneInfo(self.timezone)).date()
        for _ in range(10_000):  # days; holidays cannot go on for ever
            if (shift := self.shift(day)) and shift[1] > now:
                now = max(now, shift[0])
                if now + left <= shift[1]:
                    return now + left
                left -= shift[1] - now
            day += timedelta(days=1)
        raise ValueError("holidays leave no working day in 10,000 days.")


ALWAYS = WorkingHours(0, 24, days=_WEEK)
"""Day and night, every day."""


@config
class Person:
    """Somebody who is asked and answers.

    Parameters
    ----------
    hours : WorkingHours
        When they work.
    response : Law
        Working time from being asked until the answer [s].  Assumption: two hours on average.
    says_yes : float
        Share of questions answered with yes.
    """

    name: Text = "somebody"
    hours: WorkingHours = field(default=WorkingHours(), kw_only=True)
    response: Law = field(default=lognormal(mean=7200, cv=1.0), kw_only=True)
    says_yes: Share = field(default=1.0, kw_only=True)

    def answers_at(self, asked: datetime, draw: Callable[[Law], float]) -> datetime:
        """When the answer comes."""
        return self.hours.after(asked, draw(self.response))
