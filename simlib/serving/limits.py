"""What a platform refuses: SageMaker's hard limits as a table, and which of them a model and its callers break.

The constructors of deployments check sense only, so that theory can be tried beyond a vendor's limits; whoever advises
or validates asks here.  The rows are in `data/limits.csv`, each with its source and mark (V verified in a vendor's
text, S second-hand, D derived).

    >>> from simlib.serving import limits
    >>> [found.words for found in limits.broken("serverless", request_mb=6, needs_gpu=True)]
    ['6 MB request > 4 MB serverless limit', 'needs 1 GPU, and serverless has none']
    >>> limits.broken("asynchronous", request_mb=6, processing_s=900)
    ()
"""

import csv
import functools
from collections.abc import Mapping
from importlib import resources
from typing import Literal, NamedTuple, cast

from simlib.model import ModelProfile
from simlib.parameters import Flag, NonNegative, ParameterError, checked, nearest

Kind = Literal["real-time", "serverless", "asynchronous", "batch"]
Rule = Literal["at most", "at least", "multiple of"]


class Limit(NamedTuple):
    """One row: a *fact* about a deployment should be at most, at least or a multiple of *value* [unit]."""

    deployment: Kind
    fact: str
    rule: Rule
    value: float
    unit: str
    words: str  # what the fact is, after "6 MB …"
    mark: str
    source: str
    note: str

    def holds(self, value: float) -> bool:
        """Whether *value* is within the limit."""
        if self.rule == "multiple of":
            return value % self.value == 0
        return value <= self.value if self.rule == "at most" else value >= self.value

    def said_of(self, value: float) -> str:
        """That *value* breaks the limit, in words: "6 MB request > 4 MB serverless limit"."""
        asked, allowed = f"{value:g} {self.unit}", f"{self.value:g} {self.unit}"
        if self.value == 0:
            return f"needs {asked}, and {self.deployment} has none"
        if self.rule == "multiple of":
            return f"{asked} {self.words} is not a multiple of {allowed} ({self.deployment} limit)"
        return f"{asked} {self.words} {'>' if self.rule == 'at most' else '<'} {allowed} {self.deployment} limit"


class Broken(NamedTuple):
    """A limit that does not hold: which, the value that breaks it, and the sentence that says so."""

    limit: Limit
    value: float
    words: str


@functools.cache
def table() -> tuple[Limit, ...]:
    """All limits, in the order of the file."""
    text = resources.files("simlib.serving").joinpath("data/limits.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines())
    return tuple(Limit(**{**row, "value": float(row["value"])}) for row in rows)  # type: ignore[arg-type]


def facts_of(model: ModelProfile) -> dict[str, float]:
    """What the limits ask about a model: its payloads, memory, artifact and GPUs, and its mean processing time.

    A law without a mean of its own (`per_unit`) says nothing about processing.
    """
    facts = {
        "request_mb": model.request_kb / 1000,
        "response_mb": model.response_kb / 1000,
        "loaded_mb": model.memory_mb,
        "artifact_mb": model.size_mb,
        "gpus": float(model.needs_gpu),
    }
    try:
        return facts | {"processing_s": model.service.mean}
    except ParameterError:
        return facts


@checked
def broken(kind: Kind, model: ModelProfile | None = None, **facts: NonNegative | Flag) -> tuple[Broken, ...]:
    """The limits of a *kind* of deployment that a model and its callers break, in the order of the table.

    Parameters
    ----------
    kind : "real-time" | "serverless" | "asynchronous" | "batch"
    model : ModelProfile or None
        Says the facts of `facts_of`.
    **facts : float
        Further facts, or better ones: request_mb, response_mb [MB, decimal], processing_s (the longest that matters
        [s]), needs_gpu, memory_mb, max_concurrency … as the table names them.  max_payload_in_mb times
        max_concurrent_transforms is worked out where both are given; max_payload_in_mb=0 streams in chunks, so a
        request may be larger.

    Raises
    ------
    ParameterError
        If a fact is one that no limit is about.
    """
    known = {} if model is None else facts_of(model)
    said = _worked_out({name: float(value) for name, value in facts.items()})
    names = {limit.fact for limit in table()} | _WAYS_TO_SAY
    for name in said:
        if name not in names:
            raise ParameterError(f"broken has no parameter {name!r}; {nearest(name, sorted(names))}")
    known |= said
    chunked = kind == "batch" and known.get("max_payload_in_mb") == 0
    about = [limit for limit in table() if limit.deployment == kind and limit.fact in known]
    return tuple(
        Broken(limit, known[limit.fact], limit.said_of(known[limit.fact]))
        for limit in about
        if not limit.holds(known[limit.fact]) and not (chunked and limit.fact == "request_mb")
    )


_WAYS_TO_SAY = {"max_concurrent_transforms"}  # facts that no limit is about, but that others follow from


def _worked_out(facts: Mapping[str, float]) -> dict[str, float]:
    """The facts with those that follow from others."""
    found = dict(facts)
    if "needs_gpu" in found:
        found["gpus"] = found.pop("needs_gpu")
    if {"max_payload_in_mb", "max_concurrent_transforms"} <= set(found):
        found["payload_in_flight_mb"] = found["max_payload_in_mb"] * found["max_concurrent_transforms"]
    return found


def kind_of(deployment: object) -> Kind | None:
    """Which limits a deployment's config is under; None where no platform sets any (an edge fleet)."""
    kinds = {
        "RealTime": "real-time",
        "MultiModel": "real-time",
        "InferenceComponent": "real-time",
        "Serverless": "serverless",
        "Asynchronous": "asynchronous",
        "BatchTransform": "batch",
    }
    return cast(Kind | None, kinds.get(type(deployment).__name__))
