"""What came of a run: quality, fairness, latency and every dollar on one time axis, and the story in words."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

from simlib.lastmile.accounts import Z95
from simlib.lastmile.ledger import Ledger, answered_days, by_day, instance_days, ledger_of
from simlib.lastmile.policy import Policy
from simlib.lastmile.story import Told, told
from simlib.lastmile.world import World
from simlib.parameters import checked
from simlib.plots.style import Words
from simlib.record import ARRIVED
from simlib.results import folded_quantile

if TYPE_CHECKING:
    from simlib.lastmile.loop import Loop


@dataclass(frozen=True)
class Outcome:
    """The result of `lastmile.run`.

    Attributes
    ----------
    policy, world, faults
        What was asked.
    timeline : DataFrame
        One row a day: requests, answered, p95_s, p99_s, instances (on the bill), captured, accuracy, loss_usd (mean
        cost of a decision) with loss_low and loss_high, gap (of the groups' false positive rates, over the last seven
        days), version (that served most of the day), and US dollars in one column for each category of the ledger.
    ledger : Ledger
        Every dollar, line by line.
    story : tuple of Told
        What happened, when, in words.
    figures : dict
        The run in a dozen figures; see `summary`.
    """

    policy: Policy
    world: World
    faults: tuple[Any, ...]
    seed: int
    timeline: pd.DataFrame
    ledger: Ledger
    story: tuple[Told, ...]
    versions: list[int]
    figures: dict[str, float] = field(repr=False)

    @classmethod
    def of(cls, loop: "Loop") -> Self:
        """What is known of a loop at the clock's instant."""
        timeline = _timeline(loop)
        ledger = ledger_of(loop, timeline)
        timeline = timeline.join(ledger.daily.add_suffix(" usd"))
        return cls(
            loop.policy, loop.world, loop.faults, loop.sim.seed, timeline, ledger, told(loop),
            _served(loop), _figures(loop, timeline, ledger),
        )  # fmt: skip

    def __repr__(self) -> str:
        kept = "keeps" if self.keeps else "breaks"
        return f"<Outcome of {self.days} days: {self.usd:,.0f} dollars, {kept} the limits, versions {self.versions}>"

    @property
    def days(self) -> int:
        """How long the story was."""
        return len(self.timeline)

    @property
    def usd(self) -> float:
        """Everything, in US dollars."""
        return self.ledger.total

    @property
    def keeps(self) -> bool:
        """Whether the service level and the fairness bound were kept."""
        return not self.broken

    @property
    def broken(self) -> tuple[str, ...]:
        """The limits that were broken, each in words."""
        return self.world.broken(self.figures)

    def summary(self) -> pd.Series:
        """usd, usd_low and usd_high (95 % interval, from the estimate of wrong decisions), a line for each category;
        accuracy, loss_usd; unfair_days; p99_s, error_rate; requests, captured, retrainings, versions
        (that served), without_a_person (that nobody approved), rollbacks."""
        return pd.Series(self.figures, name="outcome")

    def words(self) -> str:
        """The story, a line an event."""
        return "\n".join(str(each) for each in self.story)

    def plot(self, title: str = "") -> Words:
        """The run as one picture: decisions, fairness, latency and money over the days, with what happened."""
        from simlib.plots.lastmile import timeline

        marks = [(each.day, each.kind, each.words) for each in self.story if each.stands_out]
        limits = {"loss_usd": None, "gap": self.world.fairness_bound, "p99_s": self.world.max_p99_s}
        return timeline(self.timeline, marks=marks, limits=limits, title=title or self._title())

    def _title(self) -> str:
        if self.keeps:
            return f"{self.usd:,.0f} dollars in {self.days} days, and every limit kept"
        return f"{self.usd:,.0f} dollars in {self.days} days; broken: {'; '.join(self.broken)}"

    @checked
    def save_report(self, path: Path) -> Path:
        """Write the operations report, one HTML page without script; returns its path."""
        from simlib.lastmile.report import page

        path.write_text(page(self), encoding="utf-8")
        return path


def _timeline(loop: "Loop") -> pd.DataFrame:
    lane, days = loop.endpoint.station.lane, loop.world.days
    hours = np.zeros((days * 24, lane.histogram.shape[2]))
    counted = lane.histogram.sum(axis=0)[: days * 24]
    hours[: len(counted)] = counted
    bins = hours.reshape(days, 24, -1).sum(axis=1)
    arrived = by_day(lane.tally[:, :, ARRIVED].sum(axis=0), days) * loop.world.thinning
    frame = pd.DataFrame(
        {
            "requests": arrived.astype(np.int64),
            "answered": answered_days(loop).astype(np.int64),
            "p95_s": [folded_quantile(day, 0.95) for day in bins],
            "p99_s": [folded_quantile(day, 0.99) for day in bins],
            "instances": instance_days(loop),
        },
        index=pd.RangeIndex(days, name="day"),
    ).join(loop.accounts.daily())
    half = Z95 * frame["loss_error"]
    came = np.stack([by_day(each, days) for each in lane.tally[:, :, ARRIVED]])
    most = loop.routing.of(np.argmax(came, axis=0))
    return frame.assign(loss_low=frame["loss_usd"] - half, loss_high=frame["loss_usd"] + half, version=most)


def _served(loop: "Loop") -> list[int]:
    return [int(version) for version in loop.registry.deployments()["version"]]


def _figures(loop: "Loop", timeline: pd.DataFrame, ledger: Ledger) -> dict[str, float]:
    requests, answered = float(timeline["requests"].sum()), float(timeline["answered"].sum())
    weights = timeline["captured"].to_numpy(dtype=float)
    bins = loop.endpoint.station.lane.histogram.sum(axis=(0, 1))
    frame = ledger.frame
    spread = math.fsum(frame["high"] - frame["subtotal"])
    inside = float(loop.endpoint.station.backlog) * loop.world.thinning
    return {
        "usd": ledger.total,
        "usd_low": ledger.total - spread,
        "usd_high": ledger.total + spread,
        **{f"{name} usd": float(usd) for name, usd in ledger.by_category.items()},
        "accuracy": _mean(timeline["accuracy"], weights),
        "loss_usd": _mean(timeline["loss_usd"], weights),
        "unfair_days": float((timeline["gap"] > loop.world.fairness_bound).sum()),
        "p99_s": folded_quantile(bins, 0.99),
        "error_rate": max(0.0, requests - answered - inside) / max(requests, 1.0),
        "requests": requests,
        "captured": float(timeline["captured"].sum()),
        "retrainings": float(len(loop.executions)),
        "versions": float(len(set(_served(loop)))),
        "without_a_person": float(len(set(_served(loop))) - 1 if loop.policy.approval == "automatic" else 0),
        "rollbacks": float(sum(event.kind == "rolled back" for event in loop.sim.events_of("loop"))),
    }


def _mean(values: pd.Series, weights: np.ndarray) -> float:
    known = values.notna().to_numpy() & (weights > 0)
    return float(np.average(values[known], weights=weights[known])) if known.any() else math.nan
