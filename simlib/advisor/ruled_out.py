"""Who is out before anything is simulated: the limit that a question breaks, with its reason and source."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from simlib import serving
from simlib.advisor.machines import at_the_edge, gathered, gb_per_vcpu, machine, memory_mb, on_device
from simlib.advisor.question import Question
from simlib.serving import limits


class Out(NamedTuple):
    """An option that cannot be: the limit, the value that breaks it, and the reason in words with its source."""

    option: str
    limit: str
    value: float
    allowed: float
    reason: str
    source: str
    mark: str


def ruled_out(question: Question, kind: str) -> Iterator[Out]:
    """Why this kind of deployment cannot answer the question; nothing if it may."""
    if kind == "edge":
        yield from _of_the_devices(question)
        return
    yield from _of_the_team(question, kind)
    yield from _of_the_platform(question, kind)
    yield from _of_the_machine(question, kind)


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
        waits_h = gathered(question).waits_s / 3600
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
        own = float(np.quantile(on_device(question, each), 0.99))
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
    needs_mb, has_mb = question.model.memory_mb, memory_mb(name)
    if kind != "serverless" and needs_mb > has_mb:
        which = "the largest that is tried" if question.instance_type is None else "the instance_type"
        yield Out(
            kind,
            "memory_mb",
            needs_mb,
            has_mb,
            f"{needs_mb:g} MB loaded model > {has_mb:g} MB of {name}, {which}",
            f"{gb_per_vcpu(name):g} GB a vCPU, as most sizes of the family have on EC2",
            "D",
        )
