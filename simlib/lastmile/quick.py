"""A month in milliseconds: the loop of `loop.py` once more, on arrays, for whoever turns a knob and waits.

What no policy changes is made once and kept: who comes, what they are like, whether they pay, when their labels come
(`Customers`, the captured rows of `cockpit.compute`), and what an autoscaling target costs and how long its callers
wait.  What a policy changes is lived anew: every look of the quality and the bias monitor at the labels that had come,
every retraining (the same regression, fitted by Newton's method), evaluation, answer of a person, canary and rollback
to the end.  `tests/test_quick.py` sets the two beside each other, event by event.

It differs from `cockpit.compute` in three things: a launch takes its mean time, bills of monitors are by the mean
length of a job, and there is no registry that somebody could ask later.  The data monitor costs what it costs, but it
cannot order a retraining here.
"""

import gc
import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from pydantic import InstanceOf
from scipy.special import expit, logit

from simlib import pricing
from simlib.lastmile.accounts import Decisions, count, rolling_gap
from simlib.lastmile.cockpit import THINNING, Served, usual_of
from simlib.lastmile.ledger import RECORD_KB
from simlib.lastmile.loop import Loop, rollout_of
from simlib.lastmile.policy import Policy, working_hours
from simlib.lastmile.story import Told
from simlib.lastmile.training import EVALUATE_S, FEWEST_ROWS, PREPARE_S, TRAIN_S, first_version, loss, tests
from simlib.lastmile.watch import FEWEST, GapWatch, LossWatch, cost_of, gap_of
from simlib.lastmile.world import OFFICE_HOURS_A_WEEK, World, team
from simlib.monitoring.monitor import JOB, START_JITTER_S
from simlib.monitoring.streams import DAY_S
from simlib.parameters import ParameterError, Whole, checked, from_json, to_json
from simlib.serving.station import hand_back
from simlib.simulation import Simulation

HOUR_S = 3600.0
LAUNCH_S = 210.0
"""From the order of a new fleet until it takes traffic [s]: the mean of `serving.InstanceLife`, for this model."""

LEAVING_S = 31.0
"""An old fleet without traffic takes so long to go [s]."""


class Glance(NamedTuple):
    """What came of a month, in brief: the figures of `Outcome.figures` that a policy can change, and three curves."""

    figures: dict[str, float]
    loss_usd: np.ndarray  # of each day, mean cost of a decision
    gap: np.ndarray  # of the seven days to each day
    version: np.ndarray  # that answered most of each day
    story: tuple[Told, ...]
    broken: tuple[str, ...]


@checked
def glance(
    policy: InstanceOf[Policy], world: InstanceOf[World] | None = None, *, seed: Whole = 0, replication: Whole = 0
) -> Glance:
    """What comes of *policy* in *world* (default: `team()`): `cockpit.compute` in a hundredth of its time.

    Pure: the same arguments give the same bytes.  The first call for a world, a seed and a capture_percent makes the
    customers, which takes about a second.

    Raises
    ------
    ParameterError
        If *policy* lets the data monitor order a retraining.
    """
    if policy.on_alarm and "data" in policy.retrain_on:
        raise ParameterError("glance: retrain_on with 'data' is not possible here; lastmile.compute does that.")
    asked = team() if world is None else world
    found = _lived(policy, to_json(asked), seed, replication)
    return found._replace(figures=dict(found.figures), **{name: getattr(found, name).copy() for name in CURVES})


CURVES = ("loss_usd", "gap", "version")


@lru_cache(maxsize=256)
def _lived(policy: Policy, world_json: str, seed: int, replication: int) -> Glance:
    people = _customers(world_json, policy.capture_percent, seed, replication)
    month = _Month(policy, people)
    month.live()
    return month.glance()


# --- what no policy changes -------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Customers:
    """The captured rows of a month, in order of time; all arrays of shape (n,), but inputs of shape (n, p)."""

    world: World
    seed: int
    replication: int
    workload: str
    inference_s: np.ndarray
    label_s: np.ndarray
    label: np.ndarray  # 0 or 1
    chance: np.ndarray
    theirs: np.ndarray  # of the disadvantaged group
    inputs: np.ndarray  # numbers as they are, then words one-hot
    numbers: int  # how many of the columns are numbers
    luck: np.ndarray  # which part of the traffic a rollout would send them to
    requests: np.ndarray  # of each day; all of them, not the captured ones
    score: np.ndarray  # of version 1
    loss: tuple[float, float]  # of version 1 at its evaluation


@lru_cache(maxsize=64)
def _customers(world_json: str, percent: float, seed: int, replication: int) -> Customers:
    world: World = _world(world_json)
    nobody = Policy(capture_percent=percent, monitor_every_hours=None, retrain="never")
    thinned = replace(world, thinning=THINNING * world.thinning)
    loop = Loop(nobody, thinned, (), seed, replication)
    parts: list[Any] = []
    loop.sample.listen(parts.append)
    loop.sim.run(days=world.days, progress=False)
    outcome = loop.outcome()
    rows = pd.concat(parts, ignore_index=True)
    inputs, numbers = _matrix(rows[list(loop.sample.inputs)])
    customers = Customers(
        world, seed, replication, loop.endpoint.workload.name, rows["inference_s"].to_numpy(),
        rows["label_s"].to_numpy(), rows[loop.sample.label].to_numpy(), rows["chance"].to_numpy(),
        rows[world.facet].to_numpy() == world.disadvantaged, inputs, numbers,
        loop.sim.rng("quick", "luck").random(len(rows)), outcome.timeline["answered"].to_numpy(dtype=float),
        rows["score"].to_numpy(), loss(first_version(thinned).tested_on, world),
    )  # fmt: skip
    del loop, outcome, rows, parts
    gc.collect()  # whatever runs on a clock holds on to itself in circles
    hand_back()  # a month of frames is five times what is kept of it
    return customers


def _world(text: str) -> World:
    found = from_json(text)
    assert isinstance(found, World)
    return found


def _matrix(frame: Any) -> tuple[np.ndarray, int]:
    """The columns as numbers, words one-hot and last; how many are numbers."""
    numbers = [name for name in frame.columns if pd.api.types.is_numeric_dtype(frame[name])]
    words = [name for name in frame.columns if name not in numbers]
    parts = [frame[numbers].to_numpy(dtype=float)]
    parts += [pd.get_dummies(frame[name], dtype=float).to_numpy() for name in words]
    return np.concatenate(parts, axis=1), len(numbers)


# --- the regression ---------------------------------------------------------------------------------------------------


def fitted(inputs: np.ndarray, label: np.ndarray, numbers: int) -> np.ndarray:
    """Weights of a logistic regression on *inputs* as they are, the constant last: shape (p + 1,).

    The optimum of scikit-learn's `LogisticRegression()` behind a `StandardScaler` of the *numbers* first columns: least
    Σ log-loss + ½ |w|² (the constant is not in the penalty), by Newton's method.
    """
    mean, scale = np.zeros(inputs.shape[1]), np.ones(inputs.shape[1])
    mean[:numbers], scale[:numbers] = inputs[:, :numbers].mean(axis=0), inputs[:, :numbers].std(axis=0)
    scale[scale == 0] = 1.0
    x = np.column_stack([(inputs - mean) / scale, np.ones(len(inputs))])
    penalty = np.append(np.ones(inputs.shape[1]), 0.0)
    w = np.zeros(x.shape[1])
    for _ in range(25):
        p = expit(x @ w)
        gradient = x.T @ (p - label) + penalty * w
        step = np.linalg.solve((x.T * (p * (1 - p))) @ x + np.diag(penalty), gradient)
        w -= step
        if np.abs(step).max() < 1e-6:
            break
    own = w[:-1] / scale
    return np.append(own, w[-1] - own @ mean)


# --- what a policy changes --------------------------------------------------------------------------------------------


class _Version(NamedTuple):
    """A version that serves, and what its monitors compare with."""

    number: int
    since_s: float
    declined: np.ndarray  # what it says, or would say, to each customer
    cost: np.ndarray  # what that cost by the label [USD]
    watch: LossWatch


class _Look(NamedTuple):
    """A monitor that has looked: when its jobs were done [s], and whether it rings."""

    ended_s: float
    name: str
    rings: bool


class _Month:
    """One team's month, while it is lived."""

    def __init__(self, policy: Policy, people: Customers) -> None:
        self.policy, self.world, self.people = policy, people.world, people
        world = people.world
        self.end_s = world.days * DAY_S
        self.sim = Simulation(people.seed, start=world.start, replication=people.replication)  # calendar and streams
        self.approval = working_hours(
            policy.approval_from_hour, policy.approval_to_hour, world.timezone, world.holidays,
            policy.approval_weekends,
        )  # fmt: skip
        self.bias = GapWatch("y", "said", world.facet, world.disadvantaged, policy.bias_threshold, policy.false_alarms)
        self.answered_by = np.ones(len(people.label), dtype=np.int64)  # which version answered each customer
        self.declined = people.score >= world.threshold  # what each was told
        self.versions = [self._version(1, self.declined.copy())._replace(since_s=0.0)]
        self.rang_s: dict[str, float] = {}  # since when which monitor rings [s]
        self.rang_before_s: dict[str, float] = {}  # the same of the version before
        self.began_s, self.free_s, self.renewed_s = 0.0, 0.0, 0.0  # of retrainings: begin, end, last one that went live
        self.number, self.retrainings, self.reviews = 1, 0, 0
        self.doubled_s, self.watched_s, self.trained_s = 0.0, 0.0, [0.0, 0.0]  # two fleets; jobs
        self.told: list[Told] = []

    def _version(self, number: int, declined: np.ndarray, test: np.ndarray | None = None) -> _Version:
        """A version that does not serve yet, evaluated on the rows *test* (None: version 1, on its history)."""
        world, y = self.world, self.people.label
        cost = cost_of(y, declined, world.declined_good_usd, world.accepted_bad_usd)
        tested = self.people.loss
        if test is not None:
            tested = float(cost[test].mean()), float(cost[test].std(ddof=1)) / math.sqrt(len(test))
        watch = LossWatch(
            "y", "said", world.declined_good_usd, world.accepted_bad_usd, *tested, self.policy.loss_margin,
            self.policy.false_alarms,
        )  # fmt: skip
        return _Version(number, math.inf, declined, cost, watch)

    def _tell(self, time_s: float, kind: str, words: str) -> None:
        if time_s <= self.end_s:
            self.told.append(Told(time_s / DAY_S, f"{self.sim.date(time_s):%a %d %b %H:%M}", kind, words))

    # --- the story ---

    def live(self) -> None:
        """From the first day to the last."""
        self._tell(0.0, "live", "version 1 serves")
        for day, words in self.world.in_words():
            self._tell(day * DAY_S, "world", words)
        for scheduled_s, looks in self._looks():
            self._retrain_until(scheduled_s)
            for look in sorted(looks()):
                self._retrain_until(look.ended_s)
                self._hear(look)
        self._retrain_until(self.end_s)

    def _looks(self) -> Iterator[tuple[float, Callable[[], list[_Look]]]]:
        """When somebody looks [s], and a function that does."""
        every = self.policy.monitor_every_hours
        if every is None:
            return
        chance = {name: self.sim.rng(self.people.workload, "monitor", name) for name in ("quality", "bias")}
        for scheduled_s in np.arange(every, 24 * self.world.days, every) * HOUR_S:
            at_s = float(scheduled_s)
            yield at_s, partial(self._look_at, at_s, chance)

    def _look_at(self, scheduled_s: float, chance: dict[str, np.random.Generator]) -> list[_Look]:
        return [self._look(name, scheduled_s, each) for name, each in chance.items()]

    def _look(self, name: str, scheduled_s: float, chance: np.random.Generator) -> _Look:
        """One look of a monitor at the labels that have come, of answers of the version that is live."""
        started_s = scheduled_s + START_JITTER_S * chance.random()
        live = self._live(started_s)
        end_s = scheduled_s - HOUR_S * 24 * (self.world.label_delay_days + self.world.label_spread_days)
        begin_s = max(0.0, end_s - HOUR_S * self.policy.window_hours)
        people = self.people
        here = slice(*np.searchsorted(people.inference_s, [begin_s, end_s])) if end_s > 0 else slice(0, 0)
        seen = (self.answered_by[here] == live.number) & (people.label_s[here] <= started_s)
        rows = int(np.count_nonzero(seen))
        if not rows:  # the job has no input
            return _Look(started_s, name, name in self.rang_s)
        lengths = JOB.sample(2, chance) + rows / 1000  # merging, comparing
        self.watched_s += float(np.ceil(lengths).sum())
        surely = self._dearer(live, here, seen, rows) if name == "quality" else self._less_fair(live, here, seen)
        rings = name in self.rang_s if math.isnan(surely) else surely > 0  # a job that fails changes no alarm
        return _Look(started_s + float(lengths.sum()), name, rings)

    def _dearer(self, live: _Version, here: slice, seen: np.ndarray, rows: int) -> float:
        """By how much decisions are surely dearer than they may be [USD]; NaN with too few rows."""
        if rows < FEWEST:
            return math.nan
        cost = live.cost[here][seen]
        error = float(cost.std(ddof=1)) / math.sqrt(rows)
        return float(cost.mean()) - live.watch.limit - live.watch.noise(error)

    def _less_fair(self, live: _Version, here: slice, seen: np.ndarray) -> float:
        """By how much the gap is surely larger than it may be; NaN with too few good customers of a group."""
        good = seen & (self.people.label[here] == 0)
        theirs, declined = good & self.people.theirs[here], good & live.declined[here]
        n, said = int(np.count_nonzero(theirs)), int(np.count_nonzero(theirs & declined))
        everybody, refused = int(np.count_nonzero(good)), int(np.count_nonzero(declined))
        if min(n, everybody - n) < FEWEST:
            return math.nan
        gap, error = gap_of(said, n, refused - said, everybody - n)
        return gap - self.bias.threshold - self.bias.noise(error)

    def _hear(self, look: _Look) -> None:
        """An alarm goes on or off: that of the version that serves, or of the one before, as long as it did."""
        alarms = self.rang_s if look.ended_s >= self.renewed_s else self.rang_before_s
        if look.rings and look.name not in alarms:
            alarms[look.name] = look.ended_s
            self._tell(look.ended_s, "alarm", f"the {look.name} monitor rings")
        elif not look.rings:
            alarms.pop(look.name, None)

    def _live(self, time_s: float) -> _Version:
        return next(version for version in reversed(self.versions) if version.since_s <= time_s)

    # --- retraining ---

    def _due_s(self) -> float:
        policy, due = self.policy, math.inf
        if policy.by_calendar:
            due = self.began_s + policy.retrain_every_days * DAY_S
        rang = [self.rang_s[name] for name in policy.retrain_on if name in self.rang_s] if policy.on_alarm else []
        if rang:
            waited = self.began_s + policy.wait_days * DAY_S if self.retrainings else 0.0
            due = min(due, max(min(rang), waited))
        return max(due, self.free_s)

    def _retrain_until(self, time_s: float) -> None:
        """All retrainings that begin before *time_s*, each to its end."""
        while (due := self._due_s()) < time_s:
            names = [name for name in self.policy.retrain_on if name in self.rang_s] if self.policy.on_alarm else []
            why = f"the {' and '.join(names)} alarm" if names else "the calendar"
            self._tell(due, "retraining", f"ordered by {why}")
            self.began_s, self.retrainings = due, self.retrainings + 1
            self.free_s = self._release(due)

    def _release(self, now_s: float) -> float:
        """A retraining that begins now; returns when it is over [s]."""
        ready_s, tested_s = now_s + PREPARE_S, now_s + PREPARE_S + TRAIN_S + EVALUATE_S
        known = self._known(ready_s)
        for k, (end_s, length) in enumerate(
            ((ready_s, PREPARE_S), (ready_s + TRAIN_S, TRAIN_S), (tested_s, EVALUATE_S))
        ):
            self.trained_s[k % 2] += length if end_s <= self.end_s else 0.0
        if len(known) < FEWEST_ROWS:
            self._tell(ready_s, "stopped", f"only {len(known)} labelled rows are known, fewer than {FEWEST_ROWS}")
            return ready_s
        test, train = known[tests(len(known))], known[~tests(len(known))]
        weights = fitted(self.people.inputs[train], self.people.label[train], self.people.numbers)
        # not @: the threads of a linear algebra library take longer to start than so small a sum
        score = np.einsum("ij,j->i", self.people.inputs, weights[:-1]) + weights[-1]
        declined = score >= logit(self.world.threshold)
        live = self._live(tested_s)
        new = self._version(self.number + 1, declined, test)
        if not self._good_enough(new, live, test):
            self._tell(tested_s, "stopped", "no better than the live version")
            return tested_s
        self.number += 1
        said_s = tested_s
        if self.policy.approval == "person":
            said_s = self._answered_s(tested_s)
            self.reviews += said_s <= self.end_s
            self._tell(said_s, "approved", "Ana says yes")
        return self._roll_out(new, said_s)

    def _known(self, now_s: float) -> np.ndarray:
        """Which customers' truth is known now, of those that came within the policy's days."""
        people = self.people
        begin = max(0.0, now_s - self.policy.training_days * DAY_S)
        first, last = np.searchsorted(people.inference_s, [begin, now_s])
        return first + np.flatnonzero(people.label_s[first:last] <= now_s)

    def _good_enough(self, new: _Version, live: _Version, test: np.ndarray) -> bool:
        before, after = float(live.cost[test].mean()), float(new.cost[test].mean())
        gain = 1 - after / before if before else 0.0
        old_gap, new_gap = (self._gap(version.declined[test], test) for version in (live, new))
        fairer = old_gap - new_gap if old_gap > self.policy.bias_threshold else 0.0
        return gain >= self.policy.min_gain or fairer > 0

    def _gap(self, declined: np.ndarray, rows: np.ndarray) -> float:
        good, theirs = self.people.label[rows] == 0, self.people.theirs[rows]
        counts = [int(np.count_nonzero(each)) for each in (good & theirs & declined, good & theirs,
                                                           good & ~theirs & declined, good & ~theirs)]  # fmt: skip
        return gap_of(*counts)[0]

    def _answered_s(self, asked_s: float) -> float:
        """When the person who approves has said yes [s]."""
        chance = self.sim.rng("pipeline", f"retraining-{self.retrainings}", "approve", "1", "duration")
        work_s = float(self.world.response.sample(2, chance)[1])  # the first is the length of the step itself
        answer = self.approval.after(self.sim.date(asked_s), work_s)
        return (answer - self.sim.started_at).total_seconds()

    def _roll_out(self, version: _Version, now_s: float) -> float:
        """The version goes out, step by step; returns when it serves [s]."""
        policy, people = self.policy, self.people
        self._tell(now_s, "rollout", f"version {version.number} goes out: {policy.rollout.replace('_', ' ')}")
        step_s = now_s + LAUNCH_S
        for share in rollout_of(policy).shares():
            here = slice(*np.searchsorted(people.inference_s, [step_s, np.inf]))
            theirs = people.luck[here] < share
            self.answered_by[here][theirs] = version.number
            self.declined[here][theirs] = version.declined[here][theirs]
            step_s += 60 * policy.bake_minutes
        serves_s = step_s + LEAVING_S
        self.doubled_s += max(0.0, min(serves_s, self.end_s) - now_s - LAUNCH_S)
        if serves_s <= self.end_s:
            self.versions.append(version._replace(since_s=serves_s))
            self.rang_before_s, self.rang_s, self.renewed_s = self.rang_s, {}, serves_s
            self._tell(serves_s, "live", f"version {version.number} serves")
        return serves_s

    # --- what came of it ---

    def glance(self) -> Glance:
        """The figures, the curves and the story."""
        people, world = self.people, self.world
        found = count(
            world.days, people.inference_s, people.label, people.chance, self.declined, people.theirs, world
        )  # fmt: skip
        gap = rolling_gap(found, world.days)[0]
        loss_usd = found.cost / np.maximum(found.rows, 1)
        served = usual_of(self.policy, world)
        money = self._money(loss_usd, found, served)
        figures = {
            "usd": math.fsum(money.values()),
            **{f"{name} usd": usd for name, usd in money.items()},
            "accuracy": float(found.right.sum() / found.rows.sum()),
            "loss_usd": float(found.cost.sum() / found.rows.sum()),
            "unfair_days": float((gap > world.fairness_bound).sum()),
            "p99_s": served.p99_s,
            "error_rate": served.error_rate,
            "retrainings": float(self.retrainings),
            "versions": float(len(self.versions)),
            "without_a_person": float(len(self.versions) - 1 if self.policy.approval == "automatic" else 0),
        }
        edges = np.searchsorted(people.inference_s, np.arange(world.days + 1) * DAY_S)
        parts = [self.answered_by[a:b] for a, b in itertools.pairwise(edges)]
        most = [int(np.bincount(part, minlength=2).argmax()) for part in parts]
        told = sorted(self.told, key=lambda each: each.day)
        return Glance(figures, loss_usd, gap, np.array(most), tuple(told), world.broken(figures))

    def _money(self, loss_usd: np.ndarray, found: Decisions, served: Served) -> dict[str, float]:
        """US dollars of each category of the ledger."""
        policy, world, people = self.policy, self.world, self.people
        rates = _prices(world.start)
        hours = served.instances * (24 * world.days + self.doubled_s / HOUR_S)
        every = policy.monitor_every_hours
        monitors = 0 if every is None else 3
        data_s = 0.0 if every is None else (JOB.mean + 0.5) * (24 * world.days // every)
        kept_days = world.days - np.arange(world.days) - 0.5
        months = float((found.rows * RECORD_KB / pricing.KB_PER_GB * kept_days).sum()) * 24 / pricing.HOURS_PER_MONTH
        on_call = max(0.0, policy.hours_a_week - OFFICE_HOURS_A_WEEK) / 7 * world.days
        puts = min(float(found.rows.sum()), world.days * 1440.0)
        return {
            "serving": served.usd_an_hour * hours + served.usd_a_request * float(people.requests.sum()),
            "capture": rates.put * puts + rates.gb_month * months,
            "monitoring": rates.processing * (self.watched_s + data_s) / HOUR_S
            + rates.alarm_month * monitors * 24 * world.days / pricing.HOURS_PER_MONTH,
            "training": (rates.processing * self.trained_s[0] + rates.training * self.trained_s[1]) / HOUR_S,
            "people": world.review_usd * self.reviews + world.on_call_usd_per_hour * on_call,
            "wrong decisions": float((loss_usd * people.requests).sum()),
        }


class _Prices(NamedTuple):
    """US dollars of one unit."""

    processing: float
    training: float
    alarm_month: float
    put: float
    gb_month: float


@lru_cache(maxsize=8)
def _prices(start: str) -> _Prices:
    day = pricing.priced_on(Simulation(start=start).started_at.date())
    meters = [
        pricing.job_hours("processing", "ml.m5.xlarge", 1.0), pricing.job_hours("training", "ml.m5.xlarge", 1.0),
        pricing.cloudwatch_alarms(1, pricing.HOURS_PER_MONTH), pricing.s3_requests(1.0, 0.0)[0],
        pricing.Meter("s3", "standard-storage", 1.0, "GB-month", ""),
    ]  # fmt: skip
    return _Prices(*(float(pricing.invoice([meter], as_of=day)["subtotal"].iloc[0]) for meter in meters))
