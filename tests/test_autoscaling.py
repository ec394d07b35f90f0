"""The autoscaler against the published rules followed on paper, and scaling endpoints against plain SimPy."""

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import simlib as sl
from simlib import record, serving, workload
from simlib.results import Run
from simlib.serving import Step, StepScaling, TargetTracking
from simlib.serving.demand import Variants
from simlib.serving.endpoint import _rules
from simlib.serving.station import Chunk
from tests.histories import _difference_of_counts as difference_of_counts
from tests.histories import first_difference
from tests.reference.autoscaler import ALARM, OK, UNKNOWN, PaperAlarm, PaperAutoscaler
from tests.reference.station import ReferenceStation

QUICK = serving.InstanceLife(launch=sl.constant(150), container_start=sl.constant(23), download_mb_per_s=100)
MODEL = sl.ModelProfile("tagger", service=sl.exponential(0.05), size_mb=200, load_seconds=5)
ERRORS = [record.STATUSES.index(s) for s in ("rejected", "expired", "timed_out", "failed")]


# --- what was there to see, worked out from the log of requests and the lives of instances ----------------------------


class Seen:
    """The metrics of one variant, from each request's record and each instance's life."""

    def __init__(self, run: Run, variant: int) -> None:
        log, lives = run.snapshot.requests, run.snapshot.instances
        assert log is not None
        assert (log.attempts == 1).all(), "the log does not say when a request tried again"
        own = log.variant == variant
        self.arrival, self.start, self.finish, self.status = (
            column[own] for column in (log.arrival, log.start, log.finish, log.status)
        )
        mine = np.array(lives["variant"]) == variant
        begin, end = np.array(lives["in_service_s"])[mine], np.array(lives["draining_s"])[mine]
        served = np.isfinite(begin)
        self.begin, self.end = np.sort(begin[served]), np.sort(end[served])

    def instances(self, moments: Any) -> Any:
        """Instances in service for requests that arrive at these moments: decisions come first."""
        return np.searchsorted(self.begin, moments, "right") - np.searchsorted(self.end, moments, "right")

    def metric(self, name: str, begin: float, end: float, in_service: int) -> float:
        """The metric over [begin, end); NaN where there is no data."""
        if name == "InvocationsPerInstance":
            came = self.arrival[(self.arrival >= begin) & (self.arrival < end)]
            fleet = self.instances(came)
            return round(float(np.sum(1 / fleet[fleet > 0])), 9) or np.nan
        ended = (self.finish > begin) & (self.finish <= end)
        if name == "Invocation5XXErrors":
            return float(np.isin(self.status[ended], ERRORS).sum())
        if name == "ModelLatency":
            done = ended & (self.status == record.COMPLETED)
            return float(np.mean((self.finish - self.arrival)[done])) if done.any() else np.nan
        if not in_service:
            return np.nan
        if name == "ConcurrentRequestsPerModel":
            inside = (self.arrival < end) & ~(self.finish <= end)
            return float(inside.sum() / in_service)
        assert name == "CPUUtilization"
        stop = np.where(np.isnan(self.finish), np.inf, self.finish)
        worked = np.clip(np.minimum(stop, end) - np.maximum(self.start, begin), 0, None)
        return float(100 * np.nansum(worked) / (end - begin) / in_service)


def _in_service_when_asked(run: Run, subject: str, seen: Seen, time: float) -> int:
    """Instances in service when policies decide at *time*: after lives and schedules, before their own doing."""
    now = [e for e in run.snapshot.events if e.time_s == time]
    of_policy, drained = False, 0
    for event in now:
        if event.kind == "capacity":  # of this variant, and not by a schedule
            of_policy = event.subject == subject and ": at(" not in event.detail
        drained += of_policy and event.kind == "draining"
    return int(seen.instances(time)) + drained


def _known(policies: Sequence[Any], end: float) -> Iterator[tuple[float, list[tuple[int, float, float]]]]:
    """(moment, [(policy, begin, end of the period)]) of all values that become known before *end*."""
    values = []
    for number, policy in enumerate(policies):
        periods = int(end / policy.period_s) + 1
        for k in range(1, periods + 1):
            moment = k * policy.period_s + policy.metric_delay_s
            if moment < end and k * policy.period_s < end:
                values.append((moment, number, (k - 1) * policy.period_s, k * policy.period_s))
    for moment, group in groupby(sorted(values), key=lambda v: v[0]):
        yield moment, [(number, begin, stop) for _, number, begin, stop in group]


Moment = tuple[float, int | None, int | None]


def difference_from_paper(run: Run, moments: Sequence[Moment] = ()) -> str:
    """Where the run's alarms and capacities differ from the rules, in a sentence; empty if nowhere.

    *moments* are (second, least, most) of the scheduled actions.
    """
    for variant, name in enumerate(run.snapshot.variants):
        subject = run.snapshot.name + (f"/{name}" if len(run.snapshot.variants) > 1 else "")
        paper_alarms, paper_capacity = _on_paper(run, variant, subject, moments)
        alarms = [
            (e.time_s, *re.fullmatch(r"(\w+): (\w+) → (\w+) \((\w+) (.+)\)", e.detail).groups())  # type: ignore[union-attr]
            for e in run.snapshot.events
            if e.kind == "alarm" and e.subject == subject
        ]
        capacity = [(time, wanted) for time, v, wanted in run.snapshot.desired if v == variant]
        for what, ours, theirs in [("alarm", alarms, paper_alarms), ("capacity", capacity, paper_capacity)]:
            if sorted(ours) != sorted(theirs):
                only = sorted(set(ours) ^ set(theirs), key=str)[:1]
                return f"{subject}, {what}, first {only}: simlib {ours}, rules {theirs}"
    return ""


def _on_paper(run: Run, variant: int, subject: str, moments: Sequence[Moment]) -> tuple[list[Any], list[Any]]:
    end, seen = run.snapshot.end_s, Seen(run, variant)
    deployment: Any = run.snapshot.deployment
    policies = [p for p in deployment.policies if hasattr(p, "metric")]
    paper = PaperAutoscaler(policies, deployment.fleets[variant].initial_instance_count)
    alarms: list[Any] = []
    capacity = [(0.0, paper.asked)]
    timed: list[tuple[float, int, Any]] = [(time, 0, bounds) for time, *bounds in moments if time < end]
    timed += [(time, 1, values) for time, values in _known(policies, end)]
    for time, turn, what in sorted(timed, key=lambda t: (t[0], t[1])):
        before, states = paper.asked, paper.states()
        if turn == 0:
            paper.schedule(*what)
        else:
            # the fleet as each period ended, for the metrics that look at it, and as it is now, for the decision
            values = {
                n: seen.metric(policies[n].metric, b, e, _in_service_when_asked(run, subject, seen, e))
                for n, b, e in what
            }
            for n in values:
                if policies[n].metric == "InvocationsPerInstance" and policies[n].no_calls == "zero":
                    values[n] = float(np.nan_to_num(values[n]))
            paper.read(time, values, _in_service_when_asked(run, subject, seen, time))
            for (n, name, was), (_, _, now) in zip(states, paper.states(), strict=True):
                if was != now:
                    told = "no data" if np.isnan(values[n]) else f"{values[n]:.4g}"
                    alarms.append((time, name, was, now, policies[n].metric, told))
        if paper.asked != before:
            capacity.append((time, paper.asked))
    return alarms, capacity


def _run(
    scaling: Any,
    load: workload.Workload,
    *,
    minutes: float,
    seed: int = 1,
    start: str = "2026-01-05T00:00Z",
    **options: Any,
) -> Run:
    served = {} if "variants" in options else {"model": MODEL, "workers": 2}
    options = {"instance_life": QUICK, "invocation_timeout_s": 1e6} | served | options
    sim = sl.Simulation(seed, start=start)
    endpoint = sim.deploy(serving.RealTime(scaling=scaling, **options), load)
    sim.run(hours=minutes / 60)
    run: Run = endpoint.run
    run.check()
    return run


def _counts(*per_minute: int) -> workload.Workload:
    return workload.from_counts(per_minute, every_s=60)


def _capacity(run: Run) -> list[tuple[float, int]]:
    """(minute, capacity asked for)."""
    return [(time / 60, wanted) for time, _, wanted in run.snapshot.desired]


def _alarms(run: Run, name: str) -> list[tuple[float, str]]:
    """(minute, new state) of one alarm."""
    told = [(e.time_s / 60, e.detail) for e in run.snapshot.events if e.kind == "alarm"]
    return [(minute, detail.split(" → ")[1].split()[0]) for minute, detail in told if detail.startswith(name)]


# --- one rule at a time, by hand --------------------------------------------------------------------------------------


def test_three_minutes_above_the_target_scale_out_and_fifteen_below_nine_tenths_scale_in() -> None:
    """100 a minute and instance wanted: 280 a minute for 10 minutes, 60 for 40."""
    run = _run(TargetTracking(100, max_capacity=3), _counts(*[280] * 10, *[60] * 40), minutes=50)
    assert _alarms(run, "AlarmHigh") == [(3, ALARM), (7, OK)]  # 280 > 100 thrice; in service three minutes later
    assert run.instances["in_service_s"].tolist() == [0, 360, 360]
    assert _alarms(run, "AlarmLow") == [(1, OK), (25, ALARM)]  # 93 is not below 90; 20 is, fifteen times
    assert _capacity(run) == [(0, 1), (3, 3), (25, 1)]
    assert difference_from_paper(run) == ""


def test_launches_under_way_count_until_the_fleet_is_there() -> None:
    """While two launch, 280 a minute ask for three again and again; the minute in which they come asks for too many:
    its figure is of one instance, and it is multiplied by three (the formula is not documented: see the guide)."""
    run = _run(TargetTracking(100, max_capacity=9), _counts(*[280] * 12), minutes=12)
    assert _capacity(run) == [(0, 1), (3, 3), (6, 9)]


def test_a_metric_at_the_target_is_no_breach_whatever_the_rounding() -> None:
    """A sum of 300 thirds is 100, and three instances at the target are three."""
    run = _run(TargetTracking(100, max_capacity=5), _counts(*[300] * 20), minutes=20, initial_instance_count=3)
    assert _capacity(run) == [(0, 3)]
    assert _alarms(run, "AlarmHigh") == [(1, OK)]
    run = _run(TargetTracking(100, max_capacity=5), _counts(*[100] * 20), minutes=20, initial_instance_count=3)
    assert _capacity(run) == [(0, 3), (15, 1)]  # 100 on one instance, not 100.00000000000001 on two


def test_a_dead_night_has_no_data_and_no_scaling() -> None:
    """Nobody calls from minute 20 on: the alarms know nothing, and three instances go on costing money."""
    run = _run(TargetTracking(100, max_capacity=3), _counts(*[280] * 20, *[0] * 100), minutes=120)
    assert _capacity(run) == [(0, 1), (3, 3)]
    assert _alarms(run, "AlarmLow")[-1] == (35, UNKNOWN)
    assert _alarms(run, "AlarmHigh")[-1] == (23, UNKNOWN)
    assert run.timeline()["Instances"].iloc[-1] == 3
    assert difference_from_paper(run) == ""


def test_where_silence_is_a_zero_a_dead_night_scales_in() -> None:
    """The same night by the later text of the guide: the fifteenth silent minute leaves one instance."""
    policy = TargetTracking(100, max_capacity=3, no_calls="zero")
    run = _run(policy, _counts(*[280] * 20, *[0] * 100), minutes=120)
    assert _capacity(run) == [(0, 1), (3, 3), (35, 1)]
    assert _alarms(run, "AlarmLow")[-1] == (35, ALARM)
    assert difference_from_paper(run) == ""
    steps = StepScaling(50, (Step(-1, upper=0),), comparison="<", datapoints=5, max_capacity=3, no_calls="zero")
    run = _run(steps, _counts(*[280] * 20, *[0] * 20), minutes=40, initial_instance_count=3)
    assert _capacity(run) == [(0, 3), (25, 2), (30, 1)]
    assert difference_from_paper(run) == ""


def test_the_cooldown_of_a_scale_out_lets_a_larger_one_through_or_nothing() -> None:
    """200 calls a minute ask for 2 at minute 1; 500 from minute 3 on ask for 5: at once, or when 300 s are over."""
    for lets, minute in [("larger", 3), ("nothing", 6)]:
        policy = TargetTracking(100, max_capacity=9, out_datapoints=1, out_cooldown_lets=lets)  # type: ignore[arg-type]
        slow = replace(QUICK, launch=sl.constant(1e5))
        run = _run(policy, _counts(200, 200, *[500] * 6), minutes=8, instance_life=slow)
        assert _capacity(run) == [(0, 1), (1, 2), (minute, 5)]
        assert difference_from_paper(run) == ""


def test_scale_in_is_blocked_in_its_cooldown_and_a_scale_out_interrupts_it() -> None:
    policy = TargetTracking(100, max_capacity=9, out_datapoints=1, in_datapoints=1, in_cooldown_s=600)
    falling = [700, 700, 300, 100, 100, 100, 100, 100, 100, 100, 100, 100, 100, 100, 100]
    run = _run(policy, _counts(*falling), minutes=15, initial_instance_count=7)
    assert _capacity(run) == [(0, 7), (3, 3), (13, 1)]  # 300 at minute 3; 100 already at minute 4, but ten must pass
    risen = [700, 700, 300, 100, 600, 100, 100, 100]
    run = _run(policy, _counts(*risen), minutes=8, initial_instance_count=7)
    assert _capacity(run) == [(0, 7), (3, 3), (5, 6), (6, 1)]  # out at once; in again, though 3 + 10 is not over
    assert difference_from_paper(run) == ""


def test_what_a_larger_step_asks_for_in_the_cooldown_counts_what_was_added() -> None:
    """The user guide's own example: +2, then +3 in the cooldown, of which only 1 is added."""
    steps = (Step(2, lower=0, upper=100), Step(3, lower=100))
    policy = StepScaling(100, steps, max_capacity=20, datapoints=1)
    slow = replace(QUICK, launch=sl.constant(1e5))
    run = _run(policy, _counts(150, 150, 250, 250, 250, 250, 250, 250), minutes=8, instance_life=slow)
    assert _capacity(run) == [(0, 1), (1, 3), (3, 4), (6, 7)]  # the cooldown from minute 1 is over at minute 6
    assert difference_from_paper(run) == ""


def test_a_step_inwards_in_the_cooldown_of_a_step_outwards_counts_from_what_there_is() -> None:
    """4 → 7 at 160 calls an instance; then, with 40, 7 - 1, and not 4 - 1."""
    steps = (Step(-1, upper=100), Step(3, lower=100))
    policy = StepScaling(0, steps, datapoints=1, max_capacity=9)
    run = _run(policy, _counts(640, 160, 160), minutes=2.5, initial_instance_count=4)
    assert _capacity(run) == [(0, 4), (1, 7), (2, 6)]
    assert difference_from_paper(run) == ""


@pytest.mark.parametrize(
    ("capacity", "value", "wanted"),
    [(10, 59.9, 10), (10, 60, 11), (11, 70, 14), (10, 50, 10), (2, 65, 3), (100, 1e9, 130)],
)
def test_steps_upwards_of_the_user_guide(capacity: int, value: float, wanted: int) -> None:
    """Threshold 50; +0 % from 50, +10 % from 60, +30 % from 70: 30 % of 11 is 3.3, rounded down to 3."""
    steps = (Step(0, lower=0, upper=10), Step(10, lower=10, upper=20), Step(30, lower=20))
    policy = StepScaling(50, steps, comparison=">=", adjustment_type="PercentChangeInCapacity", max_capacity=999)
    assert policy.wanted(capacity, value) == wanted


@pytest.mark.parametrize(("capacity", "value", "wanted"), [(14, 40.1, 14), (14, 40, 13), (13, 30, 10), (1, 0, 0)])
def test_steps_downwards_of_the_user_guide(capacity: int, value: float, wanted: int) -> None:
    """Threshold 50; -10 % down to 40, -30 % down to 30: 30 % of 13 is 3.9, rounded down to 3."""
    steps = (Step(0, lower=-10, upper=0), Step(-10, lower=-20, upper=-10), Step(-30, upper=-20))
    policy = StepScaling(50, steps, comparison="<=", adjustment_type="PercentChangeInCapacity", max_capacity=999)
    assert policy.wanted(capacity, value) == wanted


def test_the_least_adjustment_counts_for_percentages_only() -> None:
    for kind, wanted in [("PercentChangeInCapacity", 6), ("ChangeInCapacity", 29), ("ExactCapacity", 25)]:
        policy = StepScaling(0, (Step(25, lower=0),), adjustment_type=kind, min_adjustment_magnitude=2, max_capacity=99)
        assert policy.wanted(4, 1) == wanted


def test_while_one_policy_wants_out_none_goes_in() -> None:
    """Few calls, but slow ones: the invocations would halve the fleet, the latency adds to it."""
    few = TargetTracking(1000, max_capacity=8, in_datapoints=2)
    slow = StepScaling(0.5, (Step(1, lower=0),), metric="ModelLatency", max_capacity=8, datapoints=2, cooldown_s=60)
    model = sl.ModelProfile("slow", service=sl.constant(1.0))
    for policies in [(few, slow), (slow, few), (slow, replace(few, disable_scale_in=True), few)]:
        run = _run(
            policies, workload.poisson(0.5), minutes=9, variants=[serving.Variant("v", model, initial_instance_count=4)]
        )
        assert [wanted for _, wanted in _capacity(run)] == [4, 5, 6, 7, 8]
        assert difference_from_paper(run) == ""


def test_all_must_agree_to_scale_in_and_the_largest_wins() -> None:
    one = TargetTracking(100, max_capacity=9, in_datapoints=2)
    other = TargetTracking(60, max_capacity=9, in_datapoints=3, out_datapoints=99)
    load = _counts(*[600] * 4, *[100] * 8)
    assert _capacity(_run(one, load, minutes=12, initial_instance_count=6))[:2] == [(0, 6), (6, 1)]
    run = _run((one, other), load, minutes=12, initial_instance_count=6)
    assert _capacity(run)[:2] == [(0, 6), (7, 2)]  # ceil(100 / 60), not ceil(100 / 100)
    assert difference_from_paper(run) == ""
    run = _run((one, replace(other, disable_scale_in=True)), load, minutes=12, initial_instance_count=6)
    assert _capacity(run)[:2] == [(0, 6), (6, 1)]  # who may not scale in is not asked


def test_steps_do_nothing_without_data_unless_that_counts_as_breaching() -> None:
    policy = StepScaling(50, (Step(1, lower=0),), max_capacity=9, datapoints=2, cooldown_s=0)
    load = _counts(100, 100, 0, 0, 0, 0)
    life = replace(QUICK, launch=sl.constant(1e5))
    assert _capacity(_run(policy, load, minutes=6, instance_life=life)) == [(0, 1), (2, 2)]
    breaching = replace(policy, missing_data="breaching")
    found = _capacity(_run(breaching, load, minutes=6, instance_life=life))
    assert found == [(0, 1), (2, 2), (3, 3), (4, 4), (5, 5)]
    calm = _run(replace(policy, missing_data="notBreaching"), load, minutes=6, instance_life=life)
    assert _alarms(calm, "StepAlarm")[-1] == (3, OK)


def test_scheduled_bounds_act_whatever_the_cooldown_and_policies_keep_to_them() -> None:
    policy = TargetTracking(100, max_capacity=3)
    evening = serving.ScheduledScaling("at(2026-01-05T00:10:00)", min_capacity=4, max_capacity=6)
    night = serving.ScheduledScaling("at(2026-01-05T01:30:00)", timezone="Europe/Madrid", max_capacity=5)
    run = _run((policy, evening, night), _counts(*[900] * 60), minutes=60)
    assert _capacity(run) == [(0, 1), (3, 3), (10, 4), (10, 6), (30, 5)]  # schedules first, then what alarms ask for
    assert difference_from_paper(run, [(600, 4, 6), (1800, None, 5)]) == ""


def test_what_is_asked_for_is_at_least_the_least_capacity() -> None:
    run = _run(TargetTracking(100, min_capacity=4, max_capacity=4), _counts(*[150] * 10), minutes=10)
    assert _capacity(run) == [(0, 1), (3, 4)]


def test_a_late_metric_decides_late() -> None:
    load = _counts(*[250] * 30)
    run = _run(TargetTracking(100, max_capacity=3, metric_delay_s=90), load, minutes=30)
    assert _capacity(run) == [(0, 1), (4.5, 3)]
    assert difference_from_paper(run) == ""


def test_ten_second_concurrency_scales_out_before_the_minute_is_over() -> None:
    policy = TargetTracking(20, metric="ConcurrentRequestsPerModel", max_capacity=6, period_s=10)
    model = sl.ModelProfile("slow", service=sl.constant(2.0))
    variants = [serving.Variant("v", model, workers=8)]
    run = _run(policy, workload.poisson(4) + workload.poisson(20).between(100, 1e5), minutes=5, variants=variants)
    assert 120 <= run.snapshot.desired[1][0] <= 140
    assert difference_from_paper(run) == ""


def test_alarms_judge_random_data_as_on_paper() -> None:
    from simlib.serving.autoscaler import Alarm

    rng = np.random.default_rng(5)
    for _ in range(400):
        n, missing = int(rng.integers(1, 6)), str(rng.choice(["missing", "breaching", "notBreaching"]))
        counts_as = {"missing": None, "breaching": True, "notBreaching": False}[missing]
        ours, paper = Alarm("a", lambda x: x > 0.5, n, counts_as), PaperAlarm("a", ">", 0.5, n, missing)
        for value in rng.choice([0.0, 0.5, 1.0, np.nan], size=60, p=rng.dirichlet(np.ones(4))).tolist():
            ours.take(value)
            paper.look(value)
            assert ours.state == paper.state


# --- the named days ---------------------------------------------------------------------------------------------------

DAYS: dict[str, tuple[Any, workload.Workload, int]] = {
    "flash crowd": (
        TargetTracking(300, max_capacity=8),
        workload.poisson(3) + workload.poisson(30).between(1200, 2400),
        90,
    ),
    "slow leak": (TargetTracking(300, max_capacity=8), _counts(*range(60, 1860, 12)), 150),
    "sawtooth": (TargetTracking(300, max_capacity=8), _counts(*(list(range(100, 1300, 60)) * 6)), 120),
    "dead night": (TargetTracking(300, max_capacity=8), _counts(*[900] * 30, *[0] * 60, *[900] * 30), 120),
    "fleet at max": (TargetTracking(300, max_capacity=3), workload.poisson(40), 60),
    "flapping": (
        TargetTracking(300, max_capacity=8, out_datapoints=1, in_datapoints=1, in_cooldown_s=0, out_cooldown_s=0),
        _counts(*([1500, 100] * 40)),
        80,
    ),
}


@pytest.mark.parametrize("name", DAYS)
def test_a_day_follows_the_rules_minute_by_minute(name: str) -> None:
    policy, load, minutes = DAYS[name]
    run = _run(policy, load, minutes=minutes, seed=3)
    assert difference_from_paper(run) == ""
    asked = [wanted for _, wanted in _capacity(run)]
    most = policy.max_capacity
    assert all(policy.min_capacity <= wanted <= most for wanted in asked)
    turns = np.sign(np.diff(asked))
    expected = {
        "flash crowd": turns[0] > 0 and turns[-1] < 0 and max(asked) >= 6,
        "slow leak": asked[-1] >= 6 and len(turns) >= 5,
        "sawtooth": (turns > 0).any(),
        "dead night": all(not 45 < minute < 90 for minute, _ in _capacity(run)),
        "fleet at max": max(asked) == most and (turns > 0).all(),
        "flapping": (np.diff(turns) != 0).sum() >= 10,
    }
    assert expected[name], asked


# --- random policies and loads ----------------------------------------------------------------------------------------

METRICS = {
    "InvocationsPerInstance": (20, 200),
    "ConcurrentRequestsPerModel": (0.5, 4),
    "CPUUtilization": (20, 150),
    "ModelLatency": (0.3, 3),
    "Invocation5XXErrors": (1, 20),
}


def _random_tracking(rng: np.random.Generator, metric: str, bounds: dict[str, int]) -> TargetTracking:
    return TargetTracking(
        round(float(rng.uniform(*METRICS[metric])), 2),
        metric=metric,  # type: ignore[arg-type]
        **bounds,
        out_datapoints=int(rng.integers(1, 4)),
        in_datapoints=int(rng.integers(1, 8)),
        in_factor=float(rng.choice([0.5, 0.9, 1.0])),
        in_cooldown_s=float(rng.choice([0, 120, 300])),
        out_cooldown_s=float(rng.choice([60, 300, 900])),
        out_cooldown_lets=str(rng.choice(["larger", "nothing"])),  # type: ignore[arg-type]
        period_s=float(rng.choice([10, 30, 60, 60, 60, 120])),
        metric_delay_s=float(rng.choice([0, 0, 15, 60, 90])),
        no_calls=str(rng.choice(["missing", "zero"])),  # type: ignore[arg-type]
        disable_scale_in=bool(rng.random() < 0.2),
    )


def _random_steps(rng: np.random.Generator, metric: str, bounds: dict[str, int]) -> StepScaling:
    low, high = METRICS[metric]
    threshold, kind = round(float(rng.uniform(low, high)), 2), rng.choice(["Change", "PercentChange", "Exact"])
    outward = bool(rng.random() < 0.7)
    edges = [0.0, *np.sort(rng.choice(np.arange(1, 9), 2, replace=False) * (high - low) / 8).round(3).tolist()]
    most = {"Change": 4, "PercentChange": 90, "Exact": 10}[kind]
    sizes = rng.integers(0, most, 3)
    if outward:
        bounds_of = [*zip(edges, [*edges[1:], None], strict=True)]
    else:
        bounds_of = [
            (None if edge is None else -edge, -start) for start, edge in zip(edges, [*edges[1:], None], strict=True)
        ]
        sizes = sizes if kind == "Exact" else -sizes
    return StepScaling(
        threshold,
        tuple(Step(int(a), lower=b, upper=c) for a, (b, c) in zip(sizes, bounds_of, strict=True)),
        metric=metric,  # type: ignore[arg-type]
        comparison=str(rng.choice([">", ">="] if outward else ["<", "<="])),  # type: ignore[arg-type]
        adjustment_type=f"{kind}InCapacity" if kind != "Exact" else "ExactCapacity",  # type: ignore[arg-type]
        min_adjustment_magnitude=int(rng.integers(1, 4)),
        **bounds,
        datapoints=int(rng.integers(1, 4)),
        cooldown_s=float(rng.choice([0, 120, 300, 900])),
        missing_data=str(rng.choice(["missing", "missing", "breaching", "notBreaching"])),  # type: ignore[arg-type]
        period_s=float(rng.choice([10, 60, 60])),
        metric_delay_s=float(rng.choice([0, 0, 30])),
        no_calls=str(rng.choice(["missing", "zero"])),  # type: ignore[arg-type]
    )


def _random_load(rng: np.random.Generator, minutes: int) -> workload.Workload:
    kind = rng.choice(["flat", "crowd", "counts", "on and off", "nothing for long"])
    rate = float(rng.uniform(0.5, 4))
    if kind == "flat":
        return workload.poisson(rate)
    if kind == "crowd":
        begin = float(rng.uniform(0, minutes * 40))
        return workload.poisson(rate) + workload.poisson(5 * rate).between(begin, begin + 900)
    if kind == "on and off":
        return workload.on_off(3 * rate, 400, 600)
    counts = (60 * rate * np.abs(np.cumsum(rng.normal(0, 0.6, minutes)))).astype(int)
    if kind == "nothing for long":
        counts[minutes // 3 : 2 * minutes // 3] = 0
    return workload.from_counts(counts.tolist(), every_s=60)


def random_endpoint(
    seed: int, *, retries: bool = False
) -> tuple[serving.RealTime, workload.Workload, int, list[Moment]]:
    rng = np.random.default_rng(seed)
    minutes = int(rng.integers(60, 150))
    least = int(rng.integers(1, 3))
    bounds = {"min_capacity": least, "max_capacity": int(rng.integers(least, 12))}
    policies: list[Any] = []
    for _ in range(int(rng.integers(1, 4))):
        metric = str(rng.choice(list(METRICS), p=[0.4, 0.15, 0.15, 0.15, 0.15]))
        policies.append((_random_tracking if rng.random() < 0.6 else _random_steps)(rng, metric, bounds))
    moments: list[Moment] = []
    for _ in range(int(rng.choice([0, 0, 1, 2]))):
        minute, low = int(rng.integers(1, minutes)), int(rng.integers(1, 4))
        new: tuple[int | None, int | None] = (low, low + int(rng.integers(0, 8)))
        when = f"at(2026-01-05T{minute // 60:02d}:{minute % 60:02d}:00)"
        if minute not in [time / 60 for time, *_ in moments]:
            policies.append(serving.ScheduledScaling(when, min_capacity=new[0], max_capacity=new[1]))
            moments.append((minute * 60.0, *new))
    life = serving.InstanceLife(
        launch=sl.lognormal(mean=float(rng.uniform(5, 200)), cv=0.3),
        container_start=sl.lognormal(mean=20, cv=0.3),
        crash_rate_per_day=float(rng.choice([0, 0, 60])),
        scale_in_takes=str(rng.choice(["newest", "oldest", "idlest"])),  # type: ignore[arg-type]
    )
    service = float(rng.choice([0.2, 0.6]))
    model = sl.ModelProfile("m", service=sl.lognormal(mean=service, cv=0.8), size_mb=300)
    variants = [
        serving.Variant(
            name, model, initial_instance_count=int(rng.integers(least, 5)), workers=int(rng.integers(1, 4))
        )
        for name in ["blue", "green"][: int(rng.choice([1, 1, 2]))]
    ]
    deployment = serving.RealTime(
        variants=variants,
        routing=str(rng.choice(["RANDOM", "LEAST_OUTSTANDING_REQUESTS", "SHARED_QUEUE"])),  # type: ignore[arg-type]
        queue_limit=None if rng.random() < 0.5 else int(rng.integers(0, 10)),
        invocation_timeout_s=1e6 if not retries else float(rng.choice([5.0, 60.0, 1e6])),
        retry=serving.Retry(int(rng.integers(2, 5)), base_s=0.5) if retries and rng.random() < 0.7 else None,
        cancel_on_timeout=retries and bool(rng.integers(2)),
        instance_life=life,
        scaling=tuple(policies),
    )
    return deployment, _random_load(rng, minutes), minutes, sorted(moments, key=lambda m: m[0])


@pytest.mark.parametrize("block", range(3))
def test_random_policies_follow_the_rules_minute_by_minute(block: int) -> None:
    """120 endpoints with one to three policies each, scheduled actions, crashes, one or two variants."""
    changes = 0
    for seed in range(40 * block, 40 * block + 40):
        deployment, load, minutes, moments = random_endpoint(seed)
        sim = sl.Simulation(seed)
        endpoint = sim.deploy(deployment, load)
        sim.run(hours=minutes / 60)
        run = endpoint.run
        run.check()
        told = difference_from_paper(run, moments)
        assert told == "", f"seed {seed}: {told}"
        changes += len(run.snapshot.desired) - len(run.snapshot.variants)
    assert changes > 150, "a test of scaling in which little scales"


# --- equality with plain SimPy ----------------------------------------------------------------------------------------


class CountingStation(ReferenceStation):
    """A plain SimPy endpoint that writes down the share of an instance that each attempt is."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.shares: list[tuple[float, int, float]] = []  # when, variant, 1 / instances in service

    def count_attempt(self, caller: Any) -> None:
        fleet = len(self.fleet(caller.variant))
        self.shares.append((self.env.now, caller.variant, 1 / fleet if fleet else 0.0))
        super().count_attempt(caller)


def hasten(deployment: serving.RealTime, times: float) -> serving.RealTime:
    """The same endpoint with all that decides so many times faster: more decisions for the same requests."""
    policies: list[Any] = []
    for p in deployment.policies:
        if isinstance(p, TargetTracking):
            changes = {"in_cooldown_s": p.in_cooldown_s / times, "out_cooldown_s": p.out_cooldown_s / times}
        elif isinstance(p, StepScaling):
            changes = {"cooldown_s": p.cooldown_s / times}
        else:
            continue
        policies.append(replace(p, period_s=p.period_s / times, metric_delay_s=p.metric_delay_s / times, **changes))
    life = deployment.instance_life
    life = replace(
        life,
        launch=sl.lognormal(mean=life.launch.mean / times, cv=0.3),
        container_start=sl.lognormal(mean=2, cv=0.3),
        crash_rate_per_day=life.crash_rate_per_day * times,
        drain_s=3,
    )
    return replace(deployment, scaling=tuple(policies), instance_life=life)


def meddle(endpoint: Any, rng: np.random.Generator, end: float, weights: list[tuple[float, list[float]]]) -> Any:
    """Somebody who turns every knob at random instants, and notes the weights."""
    names = [v.name for v in endpoint.variants]
    for at in np.sort(rng.uniform(0, end, rng.integers(0, 8))).round(int(rng.integers(0, 4))).tolist():
        yield endpoint.sim.env.timeout(max(0.0, at - endpoint.sim.env.now))
        serving_now = [i.number for i in endpoint.instances if i.serving]
        what = rng.choice(["weigh", "crash", "drain", "scale"])
        if what == "weigh":
            new = (rng.random(len(names)) + 0.01).round(2).tolist()
            endpoint.set_weights(dict(zip(names, new, strict=True)))
            weights.append((endpoint.sim.env.now, new))
        elif what == "scale":
            endpoint.scale_to(int(rng.integers(1, 6)), variant=str(rng.choice(names)))
        elif len(serving_now) > 1:
            (endpoint.crash if what == "crash" else endpoint.drain)(int(rng.choice(serving_now)))


def _commands(endpoint: Any, weights: list[tuple[float, list[float]]]) -> list[tuple[Any, ...]]:
    """What the station was told to do, in order, read from the event log."""
    changes, serving_since = iter(weights), {i.number: i.in_service_s for i in endpoint.instances}
    commands: list[tuple[Any, ...]] = [(0.0, "weigh", [v.weight for v in endpoint.variants])]
    for event in endpoint.run.snapshot.events:
        if event.kind == "weights":
            at, new = next(changes)
            assert at == event.time_s
            commands.append((at, "weigh", new))
        if "/instance " not in event.subject:
            continue
        number = int(event.subject.rsplit(" ", 1)[1])
        if event.kind == "in service":
            commands.append((event.time_s, "open", endpoint.instances[number].variant, number))
        elif event.kind == "draining":
            commands.append((event.time_s, "drain", number))
        elif event.kind == "gone" and serving_since[number] < np.inf:
            commands.append((event.time_s, "kill", number))
    return commands


def _requests(seed: int, deployment: serving.RealTime, load: workload.Workload, end: float) -> Chunk:
    """The requests of the run, drawn again."""
    parts = []
    for chunk in Variants(sl.Simulation(seed), load, deployment):
        parts.append(chunk)
        if chunk.arrivals[-1] >= end:
            break
    whole = Chunk(*(np.concatenate([getattr(p, f) for p in parts], axis=-1) for f in Chunk._fields))
    return whole.of(whole.arrivals < end)


def difference_from_simpy(seed: int) -> tuple[str, Counter[str]]:
    """Where an endpoint differs from plain SimPy given the same commands, in a sentence; and what it did."""
    deployment, load, minutes, _ = random_endpoint(seed, retries=True)
    deployment, end, rng = hasten(deployment, 20), minutes * 3.0, np.random.default_rng([seed, 9])
    sim, weights = sl.Simulation(seed), []
    endpoint = sim.deploy(deployment, load)
    sim.start(meddle(endpoint, rng, end, weights))
    sim.run(until_s=end)
    run = endpoint.run
    run.check()
    requests = _requests(seed, deployment, load, end)
    if not len(requests.arrivals):
        return "", Counter()
    commands = _commands(endpoint, weights)
    reference = CountingStation(_rules(deployment, log=True), endpoint.station.workers, requests)
    reference.run(commands, end)
    did = Counter(command for _, command, *_ in commands) + Counter({"requests": len(requests.arrivals)})
    did += Counter(e.detail for e in run.snapshot.events if e.kind == "gone")
    told = first_difference(endpoint.station.log(), reference.log()) or difference_of_counts(
        endpoint.station, reference
    )
    return told or _difference_of_readings(run, reference, did), did


def _difference_of_readings(run: Run, reference: CountingStation, did: Counter[str]) -> str:
    """Whether each InvocationsPerInstance that an alarm told of is the sum of shares in plain SimPy."""
    deployment: Any = run.snapshot.deployment
    by_calls = [p for p in deployment.policies if p.metric == "InvocationsPerInstance"]
    if not by_calls:
        return ""
    shares = np.array(reference.shares).reshape(-1, 3)
    for event in run.snapshot.events:
        if event.kind != "alarm" or "(InvocationsPerInstance" not in event.detail:
            continue
        variant = run.snapshot.variants.index(event.subject.split("/")[1]) if "/" in event.subject else 0
        found = event.detail.removesuffix(")").rsplit("PerInstance ", 1)[1]
        possible = set()
        for p in by_calls:
            stop = event.time_s - p.metric_delay_s
            within = (shares[:, 0] >= stop - p.period_s) & (shares[:, 0] < stop) & (shares[:, 1] == variant)
            seen = round(float(shares[within, 2].sum()), 9)
            possible.add(f"{seen:.4g}" if seen or p.no_calls == "zero" else "no data")
        did["readings"] += 1
        if found not in possible:
            return f"{event}: not {possible}"
    return ""


@pytest.mark.parametrize("block", range(2))
def test_endpoints_that_scale_crash_and_are_weighed_anew_equal_plain_simpy(block: int) -> None:
    """200 histories: the commands that policies, faults and people gave, replayed one request at a time."""
    did: Counter[str] = Counter()
    for seed in range(1000 + 100 * block, 1100 + 100 * block):
        told, done = difference_from_simpy(seed)
        assert told == "", f"seed {seed}: {told}"
        did += done
    assert did["requests"] > 25_000
    assert min(did[what] for what in ("open", "drain", "kill", "weigh", "crashed", "drained", "cancelled")) > 50, did
    assert did["readings"] > 100


def test_the_benchmark_of_scaling_runs() -> None:
    root = Path(__file__).parents[1]
    path = os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])
    script = [sys.executable, str(root / "benchmarks" / "scaling.py"), "--quick"]
    told = subprocess.run(script, capture_output=True, text=True, check=False, env=os.environ | {"PYTHONPATH": path})
    assert told.returncode == 0, told.stderr
    assert told.stdout.count("target tracking, 60 s") == 2
