"""Moments on the calendar against a search of every minute, and mistakes told in one sentence."""

import calendar
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import numpy as np
import pytest

import simlib as sl
from simlib import serving
from simlib.serving.schedules import schedule

MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
DAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]


# --- a search of every minute, told field by field --------------------------------------------------------------------


def _fits(field: str, value: int, lowest: int, highest: int, names: list[str]) -> bool:
    """Whether *value* is in a field, by trying each way to write it."""

    def number(text: str) -> int:
        return names.index(text) + lowest if text in names else int(text)

    for part in field.split(","):
        span, step = part.split("/") if "/" in part else (part, "1")
        if span in "*?":
            begin, end = lowest, highest
        elif "-" in span:
            begin, end = (number(x) for x in span.split("-"))
        else:
            begin, end = number(span), highest if "/" in part else number(span)
        if begin <= value <= end and (value - begin) % int(step) == 0:
            return True
    return False


def _every_minute(text: str, zone: ZoneInfo, begin: datetime, end: datetime) -> Iterator[datetime]:
    """The UTC minutes in [begin, end) whose local time fits; of a local minute that comes twice, the first."""
    bounds = [(0, 59, []), (0, 23, []), (1, 31, []), (1, 12, MONTHS), (1, 7, DAYS), (1970, 2199, [])]
    fields = text.replace("L", "99").split() if "JUL" not in text else text.split()
    fits = [{n for n in range(b[0], b[1] + 1) if _fits(f, n, *b)} for f, b in zip(fields, bounds, strict=True)]
    seen = set()
    moment = begin
    while moment < end:
        local = moment.astimezone(zone).replace(tzinfo=None)
        last = local.day == calendar.monthrange(local.year, local.month)[1]
        if (
            local.minute in fits[0]
            and local.hour in fits[1]
            and (local.day in fits[2] or (last and "99" in fields[2]))
            and local.month in fits[3]
            and local.isoweekday() % 7 + 1 in fits[4]
            and local.year in fits[5]
            and local not in seen
        ):
            seen.add(local)
            yield moment
        moment += timedelta(minutes=1)


def _found(text: str, zone: str, begin: datetime, end: datetime) -> list[datetime]:
    found = []
    for moment in schedule(f"cron({text})", zone).moments(begin):
        if moment >= end:
            break
        found.append(moment)
    return found


def _utc(*fields: int) -> datetime:
    return datetime(*fields, tzinfo=UTC)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "zone", "begin", "days"),
    [
        ("0 8 ? * MON-FRI *", "Europe/Madrid", _utc(2026, 1, 1), 10),
        ("0/15 * * * ? *", "UTC", _utc(2026, 1, 5), 2),
        ("0/5 8-17 ? * MON-FRI *", "America/New_York", _utc(2026, 3, 5), 6),
        ("30 2 * * ? *", "Europe/Madrid", _utc(2026, 3, 27), 5),  # 29 March: 02:30 does not exist
        ("30 2 * * ? *", "Europe/Madrid", _utc(2026, 10, 23), 5),  # 25 October: 02:30 comes twice
        ("*/10 1-3 * * ? *", "America/New_York", _utc(2026, 3, 7), 3),
        ("*/10 0-2 * * ? *", "America/New_York", _utc(2026, 10, 31), 3),
        ("0 0 L * ? *", "UTC", _utc(2028, 1, 20), 45),
        ("0 12 1,15,L 2,4,12 ? *", "Asia/Kolkata", _utc(2026, 1, 10), 50),
        ("5,35 6/6 ? JAN,MAR SUN,4 *", "UTC", _utc(2026, 1, 20), 20),
        ("0 0 29 2 ? *", "UTC", _utc(2028, 2, 10), 30),
        ("0 10 31 * ? 2026", "Pacific/Auckland", _utc(2026, 12, 20), 20),
        ("59 23 ? * 7 *", "Australia/Lord_Howe", _utc(2026, 4, 1), 20),
    ],
)
def test_cron_finds_what_a_search_of_every_minute_finds(text: str, zone: str, begin: datetime, days: int) -> None:
    end = begin + timedelta(days=days)
    assert _found(text, zone, begin, end) == list(_every_minute(text, ZoneInfo(zone), begin, end))


def test_random_crons_find_what_a_search_finds() -> None:
    rng = np.random.default_rng(1)

    def field(low: int, high: int, names: list[str] = []) -> str:  # noqa: B006
        kind = rng.integers(5)
        a, b = sorted(int(x) for x in rng.integers(low, high + 1, 2))
        name = (lambda n: names[n - low]) if names and rng.random() < 0.5 else str
        return ["*", name(a), f"{name(a)}-{name(b)}", f"{a}/{rng.integers(1, 9)}", f"{name(b)},{name(a)}"][kind]

    zones = ["UTC", "Europe/Madrid", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe"]
    times = 0
    for _ in range(60):
        days, weekdays = (field(1, 31), "?") if rng.random() < 0.5 else ("?", field(1, 7, DAYS))
        text = f"{field(0, 59)} {field(0, 23)} {days} {field(1, 12, MONTHS)} {weekdays} *"
        zone = str(rng.choice(zones))
        begin = _utc(2026, int(rng.choice([3, 4, 10, 11])), 1) + timedelta(days=int(rng.integers(0, 30)), seconds=17)
        end = begin + timedelta(days=3)
        whole = begin.replace(second=0) + timedelta(minutes=1)
        expected = list(_every_minute(text, ZoneInfo(zone), whole, end))
        assert _found(text, zone, begin, end) == expected, (text, zone, begin)
        times += len(expected)
    assert times > 1000


# --- local clocks that jump -------------------------------------------------------------------------------------------


def test_a_local_time_that_does_not_exist_is_left_out_and_one_that_comes_twice_comes_once() -> None:
    spring = _found("30 2 * * ? *", "Europe/Madrid", _utc(2026, 3, 28), _utc(2026, 3, 31))
    assert spring == [_utc(2026, 3, 28, 1, 30), _utc(2026, 3, 30, 0, 30)]
    autumn = _found("30 2 * * ? *", "Europe/Madrid", _utc(2026, 10, 24), _utc(2026, 10, 27))
    assert autumn == [_utc(2026, 10, 24, 0, 30), _utc(2026, 10, 25, 0, 30), _utc(2026, 10, 26, 1, 30)]


def test_at_is_local_time_and_comes_once_or_never() -> None:
    eight = schedule("at(2026-07-01T08:00:00)", "Europe/Madrid")
    assert list(eight.moments(_utc(2026, 1, 1))) == [_utc(2026, 7, 1, 6)]
    assert list(eight.moments(_utc(2026, 7, 1, 6))) == [_utc(2026, 7, 1, 6)]
    assert list(eight.moments(_utc(2026, 7, 1, 6, 0, 1))) == []


@pytest.mark.parametrize(("text", "minutes"), [("1 minute", 1), ("5 minutes", 5), ("2 hours", 120), ("1 day", 1440)])
def test_rate_counts_from_the_start(text: str, minutes: int) -> None:
    begin = _utc(2026, 3, 28, 12, 34)
    found = list(islice(schedule(f"rate({text})", "Europe/Madrid").moments(begin), 4))
    assert found == [begin + timedelta(minutes=minutes * k) for k in (1, 2, 3, 4)]


def test_a_scheduled_action_acts_at_its_second_of_the_run() -> None:
    """08:00 in Madrid is 06:00 UTC on 30 March: the seventh hour of a run that starts at midnight is not yet over."""
    model = sl.ModelProfile("m", service=sl.constant(0.1))
    morning = serving.ScheduledScaling("cron(0 8 ? * MON-FRI *)", min_capacity=3, timezone="Europe/Madrid")
    sim = sl.Simulation(start="2026-03-28T00:00Z")
    endpoint = sim.deploy(serving.RealTime(model, scaling=(morning,)), sl.workload.poisson(0.01))
    sim.run(days=3)
    acted = [e.time_s / 3600 for e in endpoint.run.snapshot.events if e.kind == "schedule"]
    assert acted == [48 + 6]
    assert endpoint.run.snapshot.desired[-1] == (54 * 3600.0, 0, 3)


# --- mistakes ---------------------------------------------------------------------------------------------------------

MISTAKES = [
    ("every day", "every day"),
    ("cron 0 8 * * ? *", "cron 0 8"),
    ("at(2026-13-01T08:00:00)", "at(2026-13-01T08:00:00)"),
    ("at(tomorrow)", "at(tomorrow)"),
    ("at(2026-01-05)", "at(2026-01-05)"),
    ("rate(0 minutes)", "rate(0 minutes)"),
    ("rate(1.5 hours)", "rate(1.5 hours)"),
    ("rate(1 week)", "rate(1 week)"),
    ("rate()", "rate()"),
    ("cron(0 8 * * *)", "5 fields"),
    ("cron(0 8 * * ? * *)", "7 fields"),
    ("cron(0 8 * * * *)", "? as"),
    ("cron(0 8 1 * MON *)", "? as"),
    ("cron(60 8 * * ? *)", "'60' is not possible as the minutes"),
    ("cron(0 24 * * ? *)", "'24' is not possible as the hours"),
    ("cron(0 8 0 * ? *)", "'0' is not possible as the day of month"),
    ("cron(0 8 32 * ? *)", "'32' is not possible as the day of month"),
    ("cron(0 8 * 13 ? *)", "'13' is not possible as the month"),
    ("cron(0 8 ? * 8 *)", "'8' is not possible as the day of week"),
    ("cron(0 8 ? * MONDAY *)", "'MONDAY' is not possible as the day of week"),
    ("cron(0 8 * * ? 1969)", "'1969' is not possible as the year"),
    ("cron(0 8 * * ? 2200)", "'2200' is not possible as the year"),
    ("cron(5-1 8 * * ? *)", "'5-1' is not possible as the minutes"),
    ("cron(0/0 8 * * ? *)", "'0/0' is not possible as the minutes"),
    ("cron(0/-5 8 * * ? *)", "'0/-5' is not possible as the minutes"),
    ("cron(,5 8 * * ? *)", "'' is not possible as the minutes"),
    ("cron(-5 8 * * ? *)", "'-5' is not possible as the minutes"),
    ("cron(0/ 8 * * ? *)", "'0/' is not possible as the minutes"),
    ("cron(0 8 15W * ? *)", "'15W' is not possible as the day of month"),
    ("cron(0 8 ? * 2#1 *)", "'2#1' is not possible as the day of week"),
    ("cron(L 8 * * ? *)", "'L' is not possible as the minutes"),
]


@pytest.mark.parametrize(("when", "about"), MISTAKES)
def test_a_mistake_is_one_sentence_that_names_it(when: str, about: str) -> None:
    with pytest.raises(sl.ParameterError) as caught:
        serving.ScheduledScaling(when, min_capacity=1)
    told = str(caught.value)
    assert about in told
    assert "\n" not in told
    assert re.search(r"should be|should have|it should|\d+ to \d+", told)


@pytest.mark.parametrize("zone", ["Madrid", "", "Europe/Nowhere", "../etc/passwd", "CEST+99"])
def test_an_unknown_time_zone_is_one_sentence(zone: str) -> None:
    with pytest.raises(sl.ParameterError, match=r"timezone") as caught:
        serving.ScheduledScaling("rate(1 hour)", min_capacity=1, timezone=zone)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "about"),
    [
        ({}, "min_capacity="),
        ({"min_capacity": 3, "max_capacity": 2}, "at most"),
        ({"min_capacity": -1}, "min_capacity"),
    ],
)
def test_bounds_that_cannot_be_are_one_sentence(options: dict[str, int], about: str) -> None:
    with pytest.raises(sl.ParameterError, match=about) as caught:
        serving.ScheduledScaling("rate(1 hour)", **options)
    assert "\n" not in str(caught.value)
