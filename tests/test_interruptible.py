"""Machines that may be taken back, and jobs that end early: how often is theory's, the rest is counted by hand."""

import math
from typing import Any

import numpy as np
import pytest

import simlib as sl
from simlib import platforms, serving, workload

AT_ONCE: dict[str, Any] = {"launch": sl.constant(0), "container_start": sl.constant(0), "max_payload_in_mb": 0.0}
MINUTE = sl.ModelProfile("m", sl.constant(60.0), size_mb=1e-300)


def job(files: int, **chosen: Any) -> sl.Run:
    deployment = serving.BatchTransform(MINUTE, instance_type="Standard_DS3_v2", **(AT_ONCE | chosen))
    run = sl.simulate(deployment, workload.files(files, size_mb=1.0), seed=3, progress=False)
    run.check()
    return run


def told(run: sl.Run, kind: str) -> list[tuple[float, str]]:
    rows = run.events[run.events["kind"] == kind]
    return list(zip(rows["time_s"], rows["detail"], strict=True))


def test_how_often_a_file_is_sent_is_theory() -> None:
    """Taken back at rate l, a file of d seconds gets through with probability exp(-l d): exp(l d) attempts on average.

    The band is 3.9 standard errors wide on each side: a right program fails once in 10,000 seeds.
    """
    files, p = 600, math.exp(-1)
    run = job(files, instance_count=20, interruptible=serving.Interruptible(taken_per_day=1440))
    assert (run.requests["status"] == "completed").all()
    spread = math.sqrt((1 - p) / p**2 / files)
    assert run.requests["attempts"].mean() == pytest.approx(1 / p, abs=3.9 * spread)
    assert len(told(run, "taken back")) > files


def test_a_machine_may_be_taken_back_any_number_of_times() -> None:
    """Files of a minute on machines that stay for a quarter of one need about e^4 attempts each."""
    run = job(24, instance_count=2, interruptible=serving.Interruptible(taken_per_day=4 * 1440))
    assert len(told(run, "taken back")) > 500


def test_the_bill_is_of_the_machines_while_they_were_there() -> None:
    run = job(200, instance_count=4, interruptible=serving.Interruptible(discount_percent=75, taken_per_day=40))
    (line,) = run.invoice.to_dict("records")
    list_price = job(1).invoice["unit_price"].item()
    lives = run.instances
    hours = np.ceil(lives["gone_s"] - lives["machine_up_s"] - 1e-6).sum() / 3600
    assert line["quantity"] == pytest.approx(hours)
    assert line["unit_price"] == pytest.approx(list_price / 4)
    assert "75 % off" in line["item"]
    assert (line["mark"], line["note"]) == ("A", "discount your assumption; list price unverified (second-hand)")
    assert line["source"].startswith("you, off the list price of public repository: ")
    assert (lives["ended"] == "taken back").sum() == len(told(run, "taken back"))


def test_a_job_without_a_machine_is_cancelled() -> None:
    run = job(500, interruptible=serving.Interruptible(taken_per_day=200))
    ((when, why),) = told(run, "stopped")
    assert why.startswith("every machine was taken back")
    done = run.requests["status"] == "completed"
    assert done.sum() == when // 60
    assert (run.requests["status"][~done] == "failed").all()
    assert (run.requests["finish_s"][~done] == when).all()


def test_files_that_fail_end_the_job() -> None:
    """Each mini-batch of three fails after its four attempts: after 5 files more than five have failed."""
    slow = {"files_per_request": 3, "invocations_timeout_s": 30.0}
    run = job(30, error_threshold=5, **slow)
    ((when, why),) = told(run, "stopped")
    assert when == 2 * 4 * 30
    assert why.startswith("6 files failed, error_threshold=5")
    assert (run.instances["gone_s"] == when).all()
    assert not told(job(30, error_threshold=-1, **slow), "stopped")
    assert not told(job(30, error_threshold=30, **slow), "stopped")


def test_lines_of_files_do_not_begin_again() -> None:
    with pytest.raises(sl.ParameterError, match="interruptible is not possible with split_type='Line'"):
        serving.BatchTransform(MINUTE, split_type="Line", interruptible=serving.Interruptible())


def test_an_endpoint_on_spot_machines() -> None:
    """Five machines, each taken back 24 times a day: 50 in 10 hours if they always serve (99.99 %: 24 to 79)."""
    less = serving.Interruptible(discount_percent=60, fee_percent=15, taken_per_day=24)
    fast = sl.ModelProfile("tagger", service=sl.constant(0.05))
    chosen: dict[str, Any] = {"instance_type": "n1-standard-4", "initial_instance_count": 5}
    spot, usual = (
        sl.simulate(serving.RealTime(fast, **chosen, **more), workload.poisson(rate=0.2), hours=10, progress=False)
        for more in ({"interruptible": less}, {})
    )
    spot.check()
    lives = spot.instances
    taken = int((lives["ended"] == "taken back").sum())
    assert 24 <= taken <= 79
    ratio = spot.invoice["unit_price"].iloc[0] / usual.invoice["unit_price"].iloc[0]
    assert ratio == pytest.approx((0.4 + 0.15) / 1.15)
    assert any(name.startswith("interruptible.") for name in spot.assumptions["parameter"])


def test_files_that_say_so() -> None:
    dedicated = {"machineSpec": {"machineType": "n1-standard-4"}, "minReplicaCount": 1}
    for key, value, taken in (("spot", True, 1.0), ("flexStart", {"maxRuntimeDuration": "3600s"}, 0.0)):
        found = platforms.read_deployment(
            {"deployedModel": {"dedicatedResources": {**dedicated, key: value}}}, model=MINUTE
        )
        assert found.deployment.interruptible.taken_per_day == taken
        assert any(f"{key}: " in each and "% off" in each for each in found.assumed)
    batch = "$schema: modelBatchDeployment.schema.json\nendpoint_name: e\ncompute: azureml:c\nsettings:\n"
    batch += "  mini_batch_size: 5\n  error_threshold: 7\n"
    cluster = "name: c\ntype: amlcompute\nsize: Standard_DS3_v2\ntier: low_priority\n"
    found = platforms.read_deployment(batch, cluster, model=MINUTE)
    assert found.deployment.error_threshold == 7
    assert found.deployment.interruptible == serving.Interruptible()
    assert any(each.startswith("tier=low_priority") for each in found.assumed)
