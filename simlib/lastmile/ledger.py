"""Every dollar of a run, line by line and day by day: the cloud's bill, people, and what decisions cost.

The cloud's lines are those of its invoice: quantity times unit price.  Each line is spread over the days on which it
was used, so the days of a line add up to the line, and the lines to the total.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from simlib import pricing
from simlib.lastmile.accounts import Z95, wrong_usd
from simlib.lastmile.world import OFFICE_HOURS_A_WEEK
from simlib.monitoring.streams import DAY_S
from simlib.record import COMPLETED

if TYPE_CHECKING:
    from simlib.lastmile.loop import Loop

RECORD_KB = 2.0
"""Size of a captured request's record [KB].  Assumption."""

CATEGORIES = ("serving", "capture", "monitoring", "training", "people", "wrong decisions")


@dataclass(frozen=True)
class Line:
    """One line, and how much of it falls on each day; low and high where it is an estimate."""

    category: str
    item: str
    quantity: float
    unit: str
    unit_price: float
    subtotal: float
    low: float
    high: float
    source: str
    daily: np.ndarray


class Ledger:
    """The lines of one run."""

    def __init__(self, lines: Sequence[Line], days: int) -> None:
        self.lines, self.days = tuple(lines), days

    @property
    def total(self) -> float:
        """US dollars."""
        return math.fsum(line.subtotal for line in self.lines)

    @property
    def frame(self) -> pd.DataFrame:
        """One row a line: category item quantity unit unit_price subtotal low high source."""
        columns = ["category", "item", "quantity", "unit", "unit_price", "subtotal", "low", "high", "source"]
        return pd.DataFrame([[getattr(line, name) for name in columns] for line in self.lines], columns=columns)

    @property
    def daily(self) -> pd.DataFrame:
        """US dollars a day, one column a category."""
        sums = {name: np.zeros(self.days) for name in CATEGORIES}
        for line in self.lines:
            sums[line.category] += line.daily
        return pd.DataFrame(sums, index=pd.RangeIndex(self.days, name="day"))

    @property
    def by_category(self) -> pd.Series:
        """US dollars of each category."""
        return self.frame.groupby("category")["subtotal"].sum().reindex(list(CATEGORIES), fill_value=0.0)


def ledger_of(loop: "Loop", daily: pd.DataFrame) -> Ledger:
    """The ledger of a loop, up to the clock's instant; *daily* has what was captured and answered of each day."""
    lines = [*_serving(loop), *_capture(loop), *_monitoring(loop), *_training(loop), *_people(loop)]
    return Ledger([*lines, *_decisions(loop, daily)], loop.world.days)


# --- the cloud --------------------------------------------------------------------------------------------------------


def _priced(loop: "Loop", category: str, meter: pricing.Meter, weights: np.ndarray, factor: float = 1.0) -> Line:
    day = pricing.priced_on(loop.sim.started_at.date())
    row = pricing.invoice([meter], region=loop.sim.region, as_of=day).iloc[0]
    usd = float(row["subtotal"]) * factor
    return Line(
        category, str(row["item"]), float(row["quantity"]) * factor, str(row["unit"]), float(row["unit_price"]),
        usd, usd, usd, str(row["source"]), usd * _shares(weights),
    )  # fmt: skip


def _shares(weights: np.ndarray) -> np.ndarray:
    total = weights.sum()
    return weights / total if total > 0 else np.full(len(weights), 1 / len(weights))


def _serving(loop: "Loop") -> Iterator[Line]:
    by_hours, by_answers = instance_days(loop), answered_days(loop)
    for meter in loop.endpoint.meters():
        processed = meter.service == "sagemaker_data_processing"
        weights = by_answers if processed else by_hours
        yield _priced(loop, "serving", meter, weights, loop.world.thinning if processed else 1.0)


def instance_days(loop: "Loop") -> np.ndarray:
    """Instance-days that each day is billed for, shape (days,)."""
    now, edges = loop.sim.env.now, np.arange(loop.world.days + 1) * DAY_S
    found = np.zeros(loop.world.days)
    for instance in loop.endpoint.instances:
        begin = max(instance.machine_up_s, instance.free_before_s)
        end = min(instance.gone_s, instance.free_after_s, now)
        if begin < end:
            found += np.maximum(np.minimum(edges[1:], end) - np.maximum(edges[:-1], begin), 0.0)
    return found / DAY_S


def answered_days(loop: "Loop") -> np.ndarray:
    """Requests answered on each day, shape (days,); all that the simulated ones stand for."""
    completed = loop.endpoint.station.lane.tally[:, :, COMPLETED].sum(axis=0)
    return by_day(completed, loop.world.days) * loop.world.thinning


def by_day(minutes: np.ndarray, days: int) -> np.ndarray:
    """Sums a day of what was counted each minute; what ended in the run's last instant belongs to its last day."""
    n = days * 1440
    padded = np.zeros(n)
    padded[: min(n, len(minutes))] = minutes[:n]
    padded[-1] += minutes[n:].sum()
    return padded.reshape(days, 1440).sum(axis=1)


def _capture(loop: "Loop") -> Iterator[Line]:
    captured = loop.accounts.found.rows[: loop.world.days]
    gb = captured * RECORD_KB / pricing.KB_PER_GB
    # a day's records are kept from that day to the run's end
    kept_days = loop.world.days - np.arange(loop.world.days) - 0.5
    months = float((gb * kept_days).sum()) * 24 / pricing.HOURS_PER_MONTH
    minutes = min(captured.sum(), loop.world.days * 1440.0)
    puts, _ = pricing.s3_requests(minutes, 0.0)
    yield _priced(loop, "capture", puts, captured)
    stored = pricing.Meter("s3", "standard-storage", months, "GB-month", "Captured records")
    yield _priced(loop, "capture", stored, np.cumsum(gb))


def _monitoring(loop: "Loop") -> Iterator[Line]:
    days = loop.world.days
    for monitor in loop.monitors.values():
        runs = monitor.executions
        work = (runs["ended_s"] - runs["started_s"]).to_numpy(dtype=float)
        ended = runs["ended_s"].to_numpy(dtype=float)
        weights = np.bincount(np.minimum(ended // DAY_S, days - 1).astype(int), weights=work, minlength=days)
        for meter in monitor.meters():
            job = meter.service == "sagemaker_processing"
            yield _priced(loop, "monitoring", meter, weights if job else np.ones(days))


def _training(loop: "Loop") -> Iterator[Line]:
    days = loop.world.days
    seconds: dict[tuple[str, str], np.ndarray] = {}
    for execution in loop.executions:
        kinds = {record.path: record.step.job for record in execution.records}
        for attempt in execution.attempt_rows:
            if attempt.billed_s:
                key = (str(kinds[attempt.step]), attempt.instance_type)
                day = min(int(attempt.end_s // DAY_S), days - 1)
                seconds.setdefault(key, np.zeros(days))[day] += attempt.billed_s
    for (job, instance_type), worked in sorted(seconds.items()):
        hours = float(worked.sum()) / 3600
        meter = pricing.job_hours(job, instance_type, hours, item=f"retraining: {job} on {instance_type}")
        yield _priced(loop, "training", meter, worked)


# --- people, and decisions --------------------------------------------------------------------------------------------


def _people(loop: "Loop") -> Iterator[Line]:
    world, days = loop.world, loop.world.days
    reviews = np.bincount([min(int(s // DAY_S), days - 1) for s in loop.reviews], minlength=days).astype(float)
    yield _plain("people", "approvals", reviews, "approval", world.review_usd, "the world's assumption")
    extra = max(0.0, loop.policy.hours_a_week - OFFICE_HOURS_A_WEEK) / 7
    hours = np.full(days, extra)
    yield _plain("people", "approver on call beyond the office's hours", hours, "hour", world.on_call_usd_per_hour,
                 "the world's assumption")  # fmt: skip


def _plain(category: str, item: str, quantity: np.ndarray, unit: str, price: float, source: str) -> Line:
    total = float(quantity.sum())
    usd = total * price
    return Line(category, item, total, unit, price, usd, usd, usd, source, quantity * price)


def _decisions(loop: "Loop", daily: pd.DataFrame) -> Iterator[Line]:
    world = loop.world
    answered = daily["answered"].to_numpy(dtype=float)
    usd, error = wrong_usd(daily, answered)
    total = float(usd.sum())
    source = f"estimated from {int(daily['captured'].sum()):,} captured requests"
    yield Line(
        "wrong decisions", "wrong answers", float(answered.sum()), "answer", total / max(answered.sum(), 1.0), total,
        total - Z95 * error, total + Z95 * error, source, usd,
    )  # fmt: skip
    lost = daily["requests"].to_numpy(dtype=float) - answered
    yield _plain("wrong decisions", "requests without an answer", np.maximum(lost, 0.0), "request",
                 world.unanswered_usd, "the world's assumption")  # fmt: skip
