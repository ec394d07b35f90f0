"""The deployments that could answer a question: what a platform refuses is out with its reason, the rest is sized.

A fleet is sized by simulation: the smallest number of machines with which everything that is asked holds, in one draw.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple

import numpy as np

from simlib import serving
from simlib.advisor.question import DAY_S, Question
from simlib.advisor.trials import Candidate, Trials
from simlib.parameters import ParameterError, nearest
from simlib.serving import limits
from simlib.serving.devices import On, slowdown
from simlib.serving.edge import Devices
from simlib.serving.hardware import instance_types
from simlib.workload import Workload, files
from simlib.workload.counted import Files

LADDERS = {
    False: ("ml.m5.large", "ml.m5.xlarge", "ml.m5.2xlarge", "ml.m5.4xlarge", "ml.m5.12xlarge", "ml.m5.24xlarge"),
    True: ("ml.g5.xlarge", "ml.g5.2xlarge", "ml.g5.12xlarge"),
}
GB_PER_VCPU = {"c": 2.0, "t": 2.0, "m": 4.0, "g": 4.0, "r": 8.0, "p": 8.0}  # D: of most sizes of each family on EC2
DEVICES: dict[bool, tuple[tuple[str, On], ...]] = {  # from slow to fast
    False: (("rpi4", "CPU"), ("nano", "CPU"), ("tx2", "CPU"), ("nx", "CPU")),
    True: (("nano", "GPU"), ("tx2", "GPU")),
}
MOST_MACHINES = 200
MOST_WARM = 200
SAFETY = 0.5  # target = what an instance can take x 0.5: AWS, load testing of an auto-scaled endpoint (V)
RECORDS_PER_FILE = 1000  # at most, where calls of a day are gathered into files for a batch job


class Out(NamedTuple):
    """An option that cannot be: the limit, the value that breaks it, and the reason in words with its source."""

    option: str
    limit: str
    value: float
    allowed: float
    reason: str
    source: str
    mark: str


def candidates(trials: Trials) -> tuple[list[Candidate], list[Out]]:
    """Who may answer, and who is out before anything is simulated."""
    question = trials.question
    kept: list[Candidate] = []
    out: list[Out] = []
    for kind, options in OPTIONS.items():
        if kind == "edge":
            if not question.asks_for_edge:
                continue
            reasons = [*_of_the_devices(question)]
        else:
            reasons = [
                *_of_the_team(question, kind),
                *_of_the_platform(question, kind),
                *_of_the_machine(question, kind),
            ]
        out += reasons
        if not reasons:
            kept += options(trials)
    return kept, out


# --- who is out ------------------------------------------------------------------------------------------------------


def _of_the_team(question: Question, kind: str) -> Iterator[Out]:
    """What the team asks and this kind cannot give, whatever the platform."""

    def out(limit: str, value: float, allowed: float, reason: str) -> Out:
        return Out(kind, limit, value, allowed, reason, "the question itself", "V")

    if question.data_must_stay_local:
        yield out(
            "data_must_stay_local", 1.0, 0.0, "the data must stay where they are, and this sends them to the cloud"
        )
    if question.offline_share > question.errors_allowed:
        yield out(
            "offline_share",
            question.offline_share,
            question.errors_allowed,
            f"callers are offline {100 * question.offline_share:.4g} % of the time > "
            f"{100 * question.errors_allowed:.4g} % errors allowed",
        )
    if kind == "batch" and question.deadline_h is not None:
        waits_h = _gathered(question).waits_s / 3600
        if waits_h > question.deadline_h:
            yield out(
                "deadline_h",
                waits_h,
                question.deadline_h,
                f"the day's first call waits {waits_h:.3g} h for its last before a job begins > "
                f"{question.deadline_h:g} h",
            )
    if question.max_p99_s is None:
        return
    own, what = float(np.quantile(_alone(question, kind), 0.99)), _ALONE.get(kind, "the model alone takes")
    if kind == "batch":
        yield out(
            "max_p99_s",
            math.inf,
            question.max_p99_s,
            f"callers wait, {question.max_p99_s:g} s at most, and a job answers when it is over",
        )
    elif own > question.max_p99_s:
        yield out(
            "max_p99_s",
            own,
            question.max_p99_s,
            f"{what} {own:.3g} s (p99) > {question.max_p99_s:g} s wanted",
        )


_ALONE = {"asynchronous": "the model and the transfers alone take"}


def _alone(question: Question, kind: str) -> np.ndarray:
    """What a request takes when nobody else is there [s]: no fleet, however large, is quicker."""
    if kind != "asynchronous":
        return question.durations
    usual, n = serving.Asynchronous(question.model), len(question.durations)
    rng = np.random.default_rng(question.seed)
    return question.durations + usual.download.sample(n, rng) + usual.upload.sample(n, rng)


def _of_the_devices(question: Question) -> Iterator[Out]:
    """What the devices cannot do; no platform sets limits to them."""
    fleet = at_the_edge(question)
    without = [each.name for each in fleet if question.gpu and each.on == "CPU"]
    if without:
        yield Out(
            "edge", "gpus", 0.0, 1.0, f"needs a GPU, and {', '.join(without)} has none", "the question itself", "V"
        )
    if question.max_p99_s is None:
        return
    for each in fleet:
        own = float(np.quantile(_on_device(question, each), 0.99))
        if own > question.max_p99_s:
            yield Out(
                "edge",
                "max_p99_s",
                own,
                question.max_p99_s,
                f"the model alone takes {own:.3g} s (p99) on {each.name} > {question.max_p99_s:g} s wanted",
                "the question itself" if each.inference else "measured on ResNet50 (edgerun/faas-sim)",
                "V" if each.inference else "D",
            )


def _of_the_platform(question: Question, kind: Any) -> Iterator[Out]:
    """The hard limits that the model or its callers break; a request that takes too long is an error."""
    facts: dict[str, Any] = {
        "request_mb": question.request_mb,
        # a quantile of a sample: not known better than to four digits
        "processing_s": float(f"{question.service_quantile(1 - max(question.errors_allowed, 1e-4)):.4g}"),
        "needs_gpu": question.gpu,
    }
    if kind == "batch":
        facts["max_payload_in_mb"] = 0.0  # streamed in chunks
    for found in limits.broken(kind, question.model, **facts):
        limit = found.limit
        yield Out(kind, limit.fact, found.value, limit.value, found.words, limit.source, limit.mark)


def _of_the_machine(question: Question, kind: str) -> Iterator[Out]:
    """A model that the memory of no machine of a fleet holds."""
    name, _ = machine(question)
    needs_mb, has_mb = question.model.memory_mb, _memory_mb(name)
    if kind != "serverless" and needs_mb > has_mb:
        which = "the largest that is tried" if question.instance_type is None else "the instance_type"
        yield Out(
            kind,
            "memory_mb",
            needs_mb,
            has_mb,
            f"{needs_mb:g} MB loaded model > {has_mb:g} MB of {name}, {which}",
            f"{_gb_per_vcpu(name):g} GB a vCPU, as most sizes of the family have on EC2",
            "D",
        )


# --- sizing ----------------------------------------------------------------------------------------------------------


def machine(question: Question) -> tuple[str, int]:
    """The instance type, and how many requests it works on at once.

    The smallest of a ladder that holds the model; one worker a vCPU, as many as its memory has room for, and one on a
    machine with a GPU.
    """
    ladder = LADDERS[question.gpu] if question.instance_type is None else (question.instance_type,)
    for name in ladder:
        room = int(_memory_mb(name) // question.model.memory_mb)
        if room >= 1:
            break
    return name, question.workers or (1 if question.gpu else max(1, min(_vcpus(name), room)))


def at_the_edge(question: Question) -> tuple[Devices, ...]:
    """The devices that are there; else one of the slowest kind of a ladder that alone is quick enough."""
    if question.devices is not None:
        return question.devices
    ladder = [Devices(kind, 1, on=on) for kind, on in DEVICES[question.gpu]]
    wanted = math.inf if question.max_p99_s is None else question.max_p99_s
    quick = [each for each in ladder if np.quantile(_on_device(question, each), 0.99) <= wanted]
    return ((quick or ladder[-1:])[0],)


def _on_device(question: Question, device: Devices) -> np.ndarray:
    """What a request takes on a device that has nothing else to do [s]."""
    if device.inference is not None:
        return device.inference.sample(len(question.durations), np.random.default_rng(question.seed))
    return question.durations * slowdown(device.kind, on=device.on)


def _memory_mb(name: str) -> float:
    return 1000 * _vcpus(name) * _gb_per_vcpu(name)


def _gb_per_vcpu(name: str) -> float:
    return GB_PER_VCPU.get(name.removeprefix("ml.")[:1], 4.0)


def _vcpus(name: str) -> int:
    known = instance_types()
    if name not in known:
        raise ParameterError(f"advise: there is no instance type {name!r}; {nearest(name, known)}")
    return known[name].vcpus


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
    gathered = _gathered(question)

    def job(n: int) -> Candidate:
        served = serving.BatchTransform(
            question.model,
            instance_type=kind,
            instance_count=n,
            max_concurrent_transforms=workers,
            max_payload_in_mb=0.0,
            batch_strategy="SingleRecord",
            split_type=gathered.split_type,
            invocations_timeout_s=3600,
        )
        return Candidate(f"batch, {n} x {kind}", "batch", served, gathered.files, gathered.waits_s, gathered.days)

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
    busy = a_day * float(_on_device(question, kind).mean()) / DAY_S
    yield _sized(trials, math.ceil(busy), lambda n: on((dataclasses.replace(kind, count=n),)))


class Gathered(NamedTuple):
    """What a job reads, how a file is split into records, how long the first of it has waited [s], and for how many
    days it stands.
    """

    files: Workload
    split_type: Literal["Line"] | None
    waits_s: float
    days: float


def _gathered(question: Question) -> Gathered:
    """Files as they are; calls that come one by one are gathered until the day's last: as many as on an average day."""
    if isinstance(question.workload, Files):
        return Gathered(question.workload, None, 0.0, question.sample_days)
    day = min(1.0, question.horizon_days)
    records = max(1, round(question.requests / question.sample_days * day))
    many = math.ceil(records / RECORDS_PER_FILE)
    each = round(records / many)
    gathered = files(
        many,
        size_mb=each * question.request_mb,
        records_per_file=each,
        name=question.workload.name,
    )
    times = question.workload.arrivals(0.0, day * DAY_S, np.random.default_rng(question.seed))
    return Gathered(gathered, "Line", float(times[-1] - times[0]) if len(times) else 0.0, day)


OPTIONS: dict[str, Callable[[Trials], Iterator[Candidate]]] = {
    "real-time": _real_time,
    "serverless": _serverless,
    "asynchronous": _asynchronous,
    "batch": _batch,
    "edge": _edge,
}
