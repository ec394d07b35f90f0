"""The platform's hard limits: each one, at its edge and beyond; what is said; and that every row has a source."""

import pytest

import simlib as sl
from simlib import serving, workload
from simlib.serving import limits

MODEL = sl.ModelProfile("tagger", service=sl.constant(0.5), request_kb=3000)
LIMITS = limits.table()


@pytest.mark.parametrize("limit", LIMITS, ids=lambda each: f"{each.deployment}-{each.fact}-{each.rule}")
def test_a_limit_holds_at_its_edge_and_not_beyond_it(limit: limits.Limit) -> None:
    beyond = {"at most": limit.value * 1.001 + 0.001, "at least": limit.value * 0.999, "multiple of": limit.value * 1.5}
    kept, lost = ({limit.fact: value} for value in (limit.value, beyond[limit.rule]))
    assert limits.broken(limit.deployment, **kept) == ()
    found = [each for each in limits.broken(limit.deployment, **lost) if each.limit is limit]
    assert len(found) == 1
    assert found[0].value == beyond[limit.rule]
    assert limit.deployment in found[0].words


def test_every_row_says_who_says_so() -> None:
    assert len(LIMITS) > 30
    for limit in LIMITS:
        assert limit.source
        assert limit.unit
        assert limit.mark in ("V", "S", "D", "U")
    assert len({(limit.deployment, limit.fact, limit.rule) for limit in LIMITS}) == len(LIMITS)


@pytest.mark.parametrize(
    ("kind", "facts", "words"),
    [
        ("serverless", {"request_mb": 6}, ["6 MB request > 4 MB serverless limit"]),
        ("serverless", {"needs_gpu": True}, ["needs 1 GPU, and serverless has none"]),
        ("serverless", {"needs_gpu": False}, []),
        ("serverless", {"memory_mb": 1500}, ["1500 MB of memory is not a multiple of 1024 MB (serverless limit)"]),
        ("serverless", {"processing_s": 90}, ["90 s of processing > 60 s serverless limit"]),
        ("real-time", {"request_mb": 6}, []),
        ("real-time", {"min_capacity": 0}, ["0 instance kept < 1 instance real-time limit"]),
        ("asynchronous", {"request_mb": 200, "processing_s": 900}, []),
        ("batch", {"request_mb": 200}, ["200 MB request > 100 MB batch limit"]),
        ("batch", {"request_mb": 200, "max_payload_in_mb": 0}, []),
        (
            "batch",
            {"max_payload_in_mb": 30, "max_concurrent_transforms": 4},
            ["120 MB of concurrent payloads > 100 MB batch limit"],
        ),
        ("batch", {"max_payload_in_mb": 25, "max_concurrent_transforms": 4}, []),
    ],
)
def test_what_is_said(kind: limits.Kind, facts: dict[str, float], words: list[str]) -> None:
    assert [each.words for each in limits.broken(kind, **facts)] == words


def test_a_model_says_its_own_facts_and_a_given_fact_is_better() -> None:
    assert limits.broken("serverless", MODEL) == ()
    assert [each.words for each in limits.broken("serverless", MODEL, request_mb=6)] == [
        "6 MB request > 4 MB serverless limit"
    ]
    heavy = sl.ModelProfile("heavy", sl.constant(70), size_mb=6000, memory_mb=8000, request_kb=5000, needs_gpu=True)
    assert {each.limit.fact for each in limits.broken("serverless", heavy)} == {
        *("request_mb", "processing_s", "gpus", "loaded_mb", "artifact_mb")
    }
    assert {each.limit.fact for each in limits.broken("real-time", heavy)} == {"processing_s"}
    by_work = sl.ModelProfile("by work", sl.per_unit(0.1, {"tokens": 0.01}))
    assert limits.broken("serverless", by_work) == ()  # it has no mean of its own


def test_the_constructors_do_not_check_them() -> None:
    beyond = serving.Serverless(MODEL, max_concurrency=500, invocation_timeout_s=90.0)
    assert limits.broken("serverless", max_concurrency=beyond.max_concurrency)
    sl.simulate(beyond, workload.poisson(rate=1), hours=0.1)


def test_each_deployment_is_of_a_kind() -> None:
    assert limits.kind_of(serving.Serverless(MODEL)) == "serverless"
    assert limits.kind_of(serving.RealTime(MODEL)) == "real-time"
    assert limits.kind_of(MODEL) is None


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: limits.broken("serverles"), "'serverless'"),
        (lambda: limits.broken("serverless", reqest_mb=6), "has no parameter 'reqest_mb'; did you mean 'request_mb'"),
        (lambda: limits.broken("serverless", request_mb=-1), "request_mb=-1"),
        (lambda: limits.broken("serverless", request_mb="6 MB"), "request_mb='6 MB'"),
        (lambda: limits.broken("serverless", request_mb=float("nan")), "request_mb=nan"),
        (lambda: limits.broken("serverless", "tagger"), "model='tagger'"),
        (lambda: limits.broken(), "needs the parameter 'kind'"),
    ],
)
def test_what_cannot_be_is_one_sentence(call, named) -> None:
    with pytest.raises(sl.ParameterError) as caught:
        call()
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)
