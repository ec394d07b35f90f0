"""One night's files on three platforms: the fewest machines in time follow from waves, the bill from hours."""

import pytest

import simlib as sl
from simlib import platforms, pricing, serving, workload

SIX_MINUTES = sl.ModelProfile("m", service=sl.constant(360.0), size_mb=100)
NIGHT = workload.files(80, size_mb=50, name="night")


def test_the_fewest_machines_in_time_are_found_on_each_platform() -> None:
    """80 files of 6 minutes, due in an hour.  Two machines of 4 workers need 10 waves, three need 7; of the 4 vCPUs of
    Vertex AI one is the platform's, so three machines need 9 waves there.  A machine is billed while it works."""
    table = platforms.compare_batch(NIGHT, SIX_MINUTES, due_hours=1)
    assert table["keeps"].all()
    assert table["instances"].to_dict() == dict.fromkeys(table.index, 3)
    assert table["usd"].is_monotonic_increasing
    for name, waves in (("sagemaker", 7), ("vertex", 9), ("azureml", 7)):
        row = table.loc[name]
        machine = pricing.machine(row["machine"], "batch_transform")
        hourly = sum(
            count * pricing.price(machine.service, sku, region=row["region"], platform=machine.platform).usd
            for sku, count, _ in machine.parts
        )
        hours = row["usd"] / hourly / 3
        assert waves * 0.1 <= hours <= waves * 0.1 + 0.05
        assert hours <= row["hours"] <= hours + 0.15


def test_a_night_that_is_too_short_is_told() -> None:
    table = platforms.compare_batch(NIGHT, SIX_MINUTES, due_hours=0.15, max_instances=4)
    assert not table["keeps"].any()
    assert (table["instances"] == 4).all()


def test_a_platform_without_a_price_there_is_out_with_the_reason() -> None:
    table = platforms.compare_batch(NIGHT, SIX_MINUTES, due_hours=1, region="moon")
    assert not table["keeps"].any()
    assert table["note"].str.contains("no prices for a region 'moon'").all()


def test_low_priority_is_azures_alone() -> None:
    usual = platforms.compare_batch(NIGHT, SIX_MINUTES, due_hours=1)
    less = serving.Interruptible(discount_percent=80, taken_per_day=0)
    cheaper = platforms.compare_batch(NIGHT, SIX_MINUTES, due_hours=1, low_priority=less)
    assert cheaper.loc["azureml", "usd"] == pytest.approx(0.2 * usual.loc["azureml", "usd"])
    assert "discount your assumption" in cheaper.loc["azureml", "note"]
    assert cheaper.loc["sagemaker", "usd"] == usual.loc["sagemaker", "usd"]


def test_callers_and_files_are_not_confused() -> None:
    with pytest.raises(sl.ParameterError, match=r"files='poisson' should be workload\.files"):
        platforms.compare_batch(workload.poisson(1), SIX_MINUTES, due_hours=1)
    with pytest.raises(sl.ParameterError, match="workload='night' is of files that lie ready; compare_batch"):
        platforms.compare(NIGHT, SIX_MINUTES, max_p99_s=1)
