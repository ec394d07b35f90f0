"""Speed from memory or machine: proportional, up to what a request can use."""

import pytest

import simlib as sl
from simlib import serving, workload
from simlib.serving.hardware import instance_types


def test_speed_is_proportional_to_memory() -> None:
    speeds = [serving.speed_of(memory_mb=mb) for mb in (1024, 2048, 3072, 4096, 5120, 6144)]
    assert speeds == pytest.approx([k * speeds[0] for k in range(1, 7)])
    assert serving.speed_of(memory_mb=1769) == 1.0  # Lambda's vCPU


def test_it_saturates_at_what_a_request_can_use() -> None:
    assert serving.speed_of(memory_mb=6144, threads=2) == 2.0
    assert serving.speed_of(memory_mb=1024, threads=2) == pytest.approx(1024 / 1769)
    assert serving.speed_of(instance_type="ml.c5.2xlarge", threads=1) == 1.0


def test_memory_and_aws_own_comparable_machines_agree_within_a_fifth() -> None:
    """AWS's serverless benchmark sets 4 GB (3 to 5) beside ml.c5.large and 6 GB beside ml.c5.xlarge."""
    for mb, machine in ((4096, "ml.c5.large"), (6144, "ml.c5.xlarge")):
        assert serving.speed_of(memory_mb=mb) == pytest.approx(serving.speed_of(instance_type=machine), rel=0.2)


@pytest.mark.parametrize(
    ("name", "vcpus"),
    [
        *(("ml.t2.medium", 2), ("ml.m5.large", 2), ("ml.m5.xlarge", 4), ("ml.m4.10xlarge", 40), ("ml.c4.8xlarge", 36)),
        *(("ml.p4d.24xlarge", 96), ("ml.m8g.medium", 1), ("ml.g5.48xlarge", 192), ("ml.c5.9xlarge", 36)),
    ],
)
def test_vcpus_of_known_machines(name: str, vcpus: int) -> None:
    assert instance_types()[name].vcpus == vcpus


def test_where_types_may_be_used() -> None:
    types = instance_types()
    count = {use: sum(use in t.uses for t in types.values()) for use in ("hosting", "batch_transform", "training")}
    assert count == {"hosting": 271, "batch_transform": 108, "training": 145}
    assert "hosting" not in types["ml.t3.medium"].uses
    assert "batch_transform" not in types["ml.c5.large"].uses


def test_more_memory_is_faster_and_costs_about_the_same() -> None:
    """Twice the memory, half the time: the product on the bill stays, but for the rounding to milliseconds."""
    model = sl.ModelProfile("m", service=sl.constant(0.4), request_kb=0, response_kb=0)
    small, large = (
        sl.simulate(
            serving.Serverless(model, memory_mb=mb, speed=serving.speed_of(memory_mb=mb)),
            workload.poisson(rate=1),
            hours=2,
        ).summary()
        for mb in (1024, 2048)
    )
    assert large["p50_s"] == pytest.approx(small["p50_s"] / 2)
    assert large["usd"] == pytest.approx(small["usd"], rel=0.01)


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: serving.speed_of(), "give either memory_mb= or instance_type="),
        (lambda: serving.speed_of(memory_mb=1024, instance_type="ml.m5.large"), "not both"),
        (lambda: serving.speed_of(memory_mb=0), "memory_mb=0"),
        (lambda: serving.speed_of(memory_mb="2 GB"), "memory_mb='2 GB'"),
        (lambda: serving.speed_of(instance_type="ml.m5.lrge"), "did you mean 'ml.m5.large'"),
        (lambda: serving.speed_of(instance_type="big"), "there is no instance_type 'big'"),
        (lambda: serving.speed_of(memory_mb=1024, threads=0), "threads=0"),
        (lambda: serving.speed_of(2048), "2048 has no name"),
    ],
)
def test_what_cannot_be_is_one_sentence(call, named) -> None:
    with pytest.raises(sl.ParameterError) as caught:
        call()
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)
