"""The deployments that could answer a question: what a platform refuses is out with its reason, the rest is sized.

A fleet is sized by simulation: the smallest number of machines with which everything that is asked holds, in one draw.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator

from simlib import serving
from simlib.advisor.machines import at_the_edge, gathered, machine, on_device
from simlib.advisor.question import DAY_S
from simlib.advisor.ruled_out import Out, ruled_out
from simlib.advisor.trials import Candidate, Trials
from simlib.serving.edge import Devices

MOST_MACHINES = 200
MOST_WARM = 200
SAFETY = 0.5  # target = what an instance can take x 0.5: AWS, load testing of an auto-scaled endpoint (V)


def candidates(trials: Trials) -> tuple[list[Candidate], list[Out]]:
    """Who may answer, and who is out before anything is simulated."""
    question = trials.question
    kept: list[Candidate] = []
    out: list[Out] = []
    for kind, options in OPTIONS.items():
        if kind == "edge" and not question.asks_for_edge:
            continue
        reasons = [*ruled_out(question, kind)]
        out += reasons
        if not reasons:
            kept += options(trials)
    return kept, out


# --- sizing ----------------------------------------------------------------------------------------------------------


def smallest(low: int, keeps: Callable[[int], bool], *, most: int = MOST_MACHINES) -> int | None:
    """The smallest number from *low* on that keeps, if more never does worse; None if *most* does not."""
    bad, step, good = low - 1, 1, low
    while not keeps(good):
        if good >= most:
            return None
        bad, good, step = good, min(good + step, most), 2 * step
    while good - bad > 1:
        middle = (bad + good) // 2
        bad, good = (bad, middle) if keeps(middle) else (middle, good)
    return good


def _sized(trials: Trials, low: int, make: Callable[[int], Candidate], *, most: int = MOST_MACHINES) -> Candidate:
    """The smallest that keeps, in one run and then with its interval; if none does, the smallest that might.

    One that keeps in the first run may not keep in all: then there is one more, for a few steps.
    """
    found = smallest(max(1, low), lambda n: trials.holds_once(make(n)), most=max(most, low))
    if found is None:
        return make(max(1, low))
    for n in range(found, found + 2 + found // 4):
        if not trials.broken(make(n)):
            return make(n)
    return make(found)


# --- the options -----------------------------------------------------------------------------------------------------


def _real_time(trials: Trials) -> Iterator[Candidate]:
    """A fixed fleet, and one that follows the traffic."""
    question = trials.question
    kind, workers = machine(question)

    def fleet(n: int) -> Candidate:
        served = serving.RealTime(
            question.model,
            instance_type=kind,
            initial_instance_count=n,
            workers=workers,
            routing="LEAST_OUTSTANDING_REQUESTS",
        )
        return Candidate(f"real-time, {n} x {kind}", "real-time", served, question.workload)

    fixed = _sized(trials, math.ceil(question.busy / workers), fleet)
    yield fixed
    most = fixed.deployment.initial_instance_count
    if most > 1:
        takes = 60 * workers / max(question.service_quantile(0.5), 1e-9)
        follows = serving.TargetTracking(SAFETY * takes, min_capacity=1, max_capacity=2 * most)
        scaled = dataclasses.replace(fixed.deployment, scaling=follows)
        yield Candidate(f"real-time, 1 to {2 * most} x {kind}", "real-time", scaled, question.workload)


def _serverless(trials: Trials) -> Iterator[Candidate]:
    """The smallest memory that holds the model; with containers kept warm, if cold starts break what is asked."""
    question = trials.question
    memory = 1024 * max(1, math.ceil(question.model.memory_mb / 1024))

    def warm(n: int) -> Candidate:
        served = serving.Serverless(
            question.model,
            memory_mb=memory,
            max_concurrency=MOST_WARM,
            provisioned_concurrency=n,
            keep_alive_s=question.keep_alive_s,
        )
        kept = f", {n} kept warm" if n else ""
        return Candidate(f"serverless {memory} MB{kept}", "serverless", served, question.workload)

    yield warm(0)
    if trials.broken(warm(0)):
        found = smallest(1, lambda n: not trials.broken(warm(n)), most=MOST_WARM)
        if found is not None:
            yield warm(found)


def _asynchronous(trials: Trials) -> Iterator[Candidate]:
    """A queue before a fleet that goes to zero when it is empty, and before one that stays."""
    question = trials.question
    kind, workers = machine(question)

    def queue(n: int, *, stays: bool) -> Candidate:
        follows = serving.BacklogTracking(target=float(workers), min_capacity=0, max_capacity=n)
        wakes = serving.wake_from_zero(max_capacity=n)
        served = serving.Asynchronous(
            question.model,
            instance_type=kind,
            initial_instance_count=n if stays else 0,
            max_concurrent_invocations_per_instance=workers,
            invocation_timeout_s=3600,
            scaling=None if stays else (follows, wakes),
        )
        count = f"{n}" if stays else f"0 to {n}"
        return Candidate(f"asynchronous, {count} x {kind}", "asynchronous", served, question.workload)

    stays = _sized(trials, math.ceil(question.busy / workers), functools.partial(queue, stays=True))
    yield stays
    # waking takes minutes: a few machines more make up for them until a deadline, none does for the one who waits
    n = stays.deployment.initial_instance_count
    most = n if question.deadline_h is None else n + math.ceil(n / 4)
    yield _sized(trials, n, functools.partial(queue, stays=False), most=most)


def _batch(trials: Trials) -> Iterator[Candidate]:
    """One job a day for what has come together, with as many machines as the deadline wants."""
    question = trials.question
    kind, workers = machine(question)
    reads = gathered(question)

    def job(n: int) -> Candidate:
        served = serving.BatchTransform(
            question.model,
            instance_type=kind,
            instance_count=n,
            max_concurrent_transforms=workers,
            max_payload_in_mb=0.0,
            batch_strategy="SingleRecord",
            split_type=reads.split_type,
            invocations_timeout_s=3600,
        )
        return Candidate(f"batch, {n} x {kind}", "batch", served, reads.files, reads.waits_s, reads.days)

    yield _sized(trials, 1, job)


def _edge(trials: Trials) -> Iterator[Candidate]:
    """The model on the devices that are there, or on as many as are needed."""
    question = trials.question
    there = at_the_edge(question)

    def on(fleet: tuple[Devices, ...]) -> Candidate:
        served = serving.Edge(question.model, fleet=fleet, usd_per_device_month=question.usd_per_device_month)
        name = " and ".join(f"{each.count} x {each.name}" for each in fleet)
        return Candidate(f"edge, {name}", "edge", served, question.workload)

    if question.devices is not None:
        yield on(there)
        return
    (kind,) = there
    a_day = question.requests / question.sample_days
    busy = a_day * float(on_device(question, kind).mean()) / DAY_S
    yield _sized(trials, math.ceil(busy), lambda n: on((dataclasses.replace(kind, count=n),)))


OPTIONS: dict[str, Callable[[Trials], Iterator[Candidate]]] = {
    "real-time": _real_time,
    "serverless": _serverless,
    "asynchronous": _asynchronous,
    "batch": _batch,
    "edge": _edge,
}
