"""Azure's rules of thumb for instances and quota, by its own examples."""

import pytest

import simlib as sl
from simlib import platforms, serving, workload


def test_the_sizing_example_of_azures_guide() -> None:
    assert platforms.instances_needed(rate=20, seconds=10, utilization=0.7) == 286
    assert platforms.instances_needed(rate=20, seconds=10, utilization=0.7, concurrency=4) == 72
    assert platforms.instances_needed(rate=7, seconds=0.1, utilization=0.7) == 1  # 1.0000000000000002 is one


def test_so_many_instances_are_busy_to_that_utilization() -> None:
    count = platforms.instances_needed(rate=20, seconds=1, utilization=0.7)
    model = sl.ModelProfile("slow", service=sl.constant(1.0))
    made = serving.RealTime(
        model, instance_type="Standard_DS3_v2", initial_instance_count=count, routing="SHARED_QUEUE"
    )
    run = sl.simulate(made, workload.poisson(rate=20), hours=1, seed=2, progress=False)
    assert run.summary()["utilization"] == pytest.approx(20 / count, rel=0.02)


@pytest.mark.parametrize(
    ("size", "instances", "cores"),
    [
        ("Standard_DS3_v2", 10, 48),  # the guide's example: 12 of 4 cores
        ("Standard_DS3_v2", 1, 8),
        ("Standard_D4s_v3", 5, 24),
        ("Standard_NC4as_T4_v3", 5, 24),  # a T4 is not exempt
        ("Standard_NC24ads_A100_v4", 5, 120),  # an A100 is
        ("Standard_ND96asr_v4", 2, 192),
        ("Standard_DS12_v2", 5, 24),
    ],
)
def test_quota_is_a_fifth_more_and_costs_nothing(size: str, instances: int, cores: int) -> None:
    assert platforms.quota_cores(size, instances) == cores


def test_what_is_no_size_is_refused() -> None:
    with pytest.raises(sl.ParameterError, match=r"size='ml\.m5\.large' should be a VM size"):
        platforms.quota_cores("ml.m5.large", 2)
