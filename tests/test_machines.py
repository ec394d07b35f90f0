"""Machines of three clouds: whose they are, what an hour costs, and the worked bills of their vendors and users."""

import pytest

import simlib as sl
from simlib import pricing, serving, workload

MODEL = sl.ModelProfile("tagger", service=sl.constant(0.05), request_kb=10, response_kb=2)


def bill(instance_type: str, hours: float, *, count: int = 1, region: str = "us-east-1") -> float:
    what = pricing.machine(instance_type)
    return pricing.invoice(list(what.meters(hours * count, item="", region=region)), region=region).attrs["total"]


@pytest.mark.parametrize(
    ("name", "platform", "skus"),
    [
        ("ml.g4dn.xlarge", "aws", ["ml.g4dn.xlarge"]),
        ("n1-standard-4", "vertex", ["n1-standard-4"]),
        ("n1-standard-4+2xNVIDIA_TESLA_T4", "vertex", ["n1-standard-4", "NVIDIA_TESLA_T4"]),
        ("Standard_DS3_v2", "azureml", ["Standard_DS3_v2"]),
        ("m5.large", "aws", ["m5.large"]),
    ],
)
def test_a_name_says_whose_machine_it_is(name: str, platform: str, skus: list[str]) -> None:
    what = pricing.machine(name)
    assert what.platform == platform
    assert [sku for sku, _, _ in what.parts] == skus


@pytest.mark.parametrize(
    ("instance_type", "hours", "usd"),
    [
        ("ml.m5.xlarge", 2 * 730, 335.80),  # a test bill of infracost: 2 machines for a month
        ("n1-standard-2", 730, 79.935),  # a test bill that quotes the Vertex AI pricing page
        ("a3-highgpu-1g", 1, 12.6259),  # Google's own table of 2026-07-08; the sum of its parts is 12.625919
        ("Standard_D2s_v3", 100, 9.60),  # a test bill of infracost, eastus
        ("Standard_DS2_v2", 730, 106.58),  # a test bill of infracost, eastus
    ],
)
def test_worked_bills(instance_type: str, hours: float, usd: float) -> None:
    assert bill(instance_type, hours) == pytest.approx(usd, abs=0.005)


def test_the_parts_of_an_a3_add_up_to_googles_own_table() -> None:
    parts = {"NVIDIA_H100_80GB": (1, "gpu-hour"), "a3-core": (26, "vcpu-hour"), "a3-ram": (234, "GB-hour")}
    meters = [
        pricing.Meter("online_prediction", sku, quantity, unit, platform="vertex", region="us-central1")
        for sku, (quantity, unit) in parts.items()
    ]
    assert pricing.invoice(meters).attrs["total"] == pytest.approx(12.625919, abs=1e-6)


def test_a_region_stands_for_its_counterpart_on_another_cloud() -> None:
    assert pricing.region_of("azureml", "us-east-1") == "eastus"
    assert pricing.region_of("vertex", "eastus") == "us-central1"
    assert pricing.region_of("azureml", "eu-west-1") == "westeurope"
    assert pricing.region_of("azureml", "eastus2") == "eastus2"
    assert bill("Standard_D2s_v3", 100, region="eu-west-1") == pytest.approx(12.0)


@pytest.mark.parametrize(
    ("instance_type", "usd_per_hour"),
    [
        ("ml.m5.large", 0.115),
        ("n1-standard-4", 0.219),
        ("n1-standard-4+1xNVIDIA_TESLA_T4", 0.219 + 0.4025),
        ("Standard_DS3_v2", 0.293),
    ],
)
def test_the_same_workload_has_a_bill_on_each(instance_type: str, usd_per_hour: float) -> None:
    made = serving.RealTime(MODEL, instance_type=instance_type, initial_instance_count=2)
    run = sl.simulate(made, workload.poisson(rate=4), hours=1, seed=3, progress=False)
    run.check()
    machines = run.invoice[run.invoice["unit"].isin(["instance-hour", "node-hour", "gpu-hour", "vm-hour"])]
    assert machines["subtotal"].sum() == pytest.approx(2 * usd_per_hour)
    assert ("Data in" in set(run.invoice["item"])) == instance_type.startswith("ml.")


def test_the_requests_are_the_same_on_each() -> None:
    first, *others = (
        sl.simulate(serving.RealTime(MODEL, instance_type=kind), workload.poisson(rate=4), hours=0.1, progress=False)
        for kind in ("ml.m5.large", "n1-standard-4", "Standard_DS3_v2")
    )
    for other in others:
        assert other.requests.equals(first.requests)


def test_a_node_of_vertex_is_billed_in_steps_of_30_s() -> None:
    assert pricing.machine("n1-standard-4").billed_hours([1.0, 31.0]) == pytest.approx(90 / 3600)
    assert pricing.machine("Standard_DS3_v2").billed_hours([1.0, 31.0]) == pytest.approx(32 / 3600)


@pytest.mark.parametrize(
    ("instance_type", "words"),
    [
        ("n1-standard-5", "online_prediction has no 'n1-standard-5'"),
        ("Standard_DS3_v9", "compute has no 'Standard_DS3_v9'"),
        ("Standard_NC6s_v3", "Standard_NC6s_v3 was retired on 2025-09-30"),
        ("n1-standard-4+1xNVIDIA_T5", "online_prediction has no 'NVIDIA_T5'"),
    ],
)
def test_a_machine_without_a_price_is_named(instance_type: str, words: str) -> None:
    made = serving.RealTime(MODEL, instance_type=instance_type)
    with pytest.raises(sl.ParameterError, match=words):
        sl.simulate(made, workload.poisson(rate=4), hours=0.1, progress=False)


# --- the neighbours of serverless ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("service", "region", "usd"),
    [
        # 1000 s of 2 vCPUs and 4 GiB, and 10,000 requests
        ("cloud_run", "us-east-1", 1000 * (2 * 0.000024 + 4 * 0.0000025) + 10_000 * 0.0000004),
        ("container_apps", "us-east-1", 1000 * (2 * 0.000024 + 4 * 0.000003)),
    ],
)
def test_containers_are_billed_by_vcpu_and_memory(service: str, region: str, usd: float) -> None:
    used = pricing.container_seconds(service, vcpus=2, memory_mb=4096, seconds=1000, requests=10_000, region=region)
    assert pricing.invoice(list(used), region=region).attrs["total"] == pytest.approx(usd)


@pytest.mark.parametrize(("service", "per_second"), [("cloud_run", 0.000024 + 0.000005), ("container_apps", 0.00003)])
def test_a_run_on_a_neighbour_of_serverless(service: str, per_second: float) -> None:
    """The same requests as on SageMaker's serverless, and the bill of the neighbour."""
    model = sl.ModelProfile("tagger", service=sl.constant(0.2))
    made = serving.Serverless(model, service=service, memory_mb=2048, vcpus=1)
    run, twin = (
        sl.simulate(each, workload.poisson(rate=2), hours=0.5, seed=4, progress=False)
        for each in (made, serving.Serverless(model, memory_mb=2048))
    )
    run.check()
    assert run.requests.equals(twin.requests)
    seconds = 0.2 * (run.requests["status"] == "completed").sum()
    calls = len(run.requests) * 0.0000004 if service == "cloud_run" else 0.0
    assert run.invoice.attrs["total"] == pytest.approx(seconds * per_second + calls, rel=2e-3)


def test_containers_kept_warm_elsewhere_have_no_price_here() -> None:
    with pytest.raises(sl.ParameterError, match="service='cloud_run' is not possible with provisioned_concurrency"):
        serving.Serverless(MODEL, service="cloud_run", provisioned_concurrency=1)
