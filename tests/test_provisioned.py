"""Provisioned concurrency: who goes where, what it costs, how it scales; and a cold start in its parts."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import simlib as sl
from simlib import record, serving, workload

MODEL = sl.ModelProfile("m", service=sl.constant(1.5), size_mb=200, load_seconds=2)
UTILIZATION = "ServerlessProvisionedConcurrencyUtilization"


def calls(*times: float) -> workload.Workload:
    """Calls at these times, counted from the first of them."""
    return workload.from_trace(pd.DataFrame({"t": list(times)}), time="t")


def tracking(**options: object) -> serving.TargetTracking:
    usual = {"target": 0.7, "metric": UTILIZATION, "min_capacity": 1, "max_capacity": 10}
    return serving.TargetTracking(**(usual | options))  # type: ignore[arg-type]


def run(deployment: serving.Serverless, calls: workload.Workload, until_s: float) -> "sl.Run":
    sim = sl.Simulation(seed=1)
    endpoint = sim.deploy(deployment, calls)
    sim.run(until_s=until_s)
    endpoint.run.check()
    return endpoint.run


def changes(run: "sl.Run") -> list[tuple[float, int]]:
    return [(time, kept) for time, kept in run.snapshot.provisioned]


# --- spill-over -------------------------------------------------------------------------------------------------------


def test_what_finds_the_warm_one_busy_spills_over_and_each_pays_its_own_price() -> None:
    endpoint = serving.Serverless(MODEL, memory_mb=2048, provisioned_concurrency=1)
    found = run(endpoint, calls(10.0, 10.5, 11.0, 20.0), 3600.0)
    assert found.requests["cold"].tolist() == [False, True, True, False]
    bill = found.invoice.set_index("item")["quantity"]
    assert bill["2048 MB on demand"] == pytest.approx(2 * 1.5)
    assert bill["Provisioned concurrency, warm"] == pytest.approx(3600)
    assert bill["Provisioned concurrency, running"] == pytest.approx(2 * 1.5)
    prices = found.invoice.set_index("item")["unit_price"]
    assert prices["Provisioned concurrency, warm"] == pytest.approx(1e-5)
    assert prices["Provisioned concurrency, running"] == pytest.approx(2.33e-5)
    assert prices["2048 MB on demand"] == pytest.approx(4e-5)
    first = found.timeline().iloc[0]
    assert first["ServerlessProvisionedConcurrencySpilloverInvocations"] == 2
    assert first["ProvisionedConcurrency"] == 1
    setups = found.requests["provision_s"].iloc[1:3].sum() + 2 * (2.0 + 2.0)
    busy = 4 * 1.5 + setups
    assert first[UTILIZATION] == pytest.approx(busy / 60)
    assert first["ServerlessConcurrentExecutionsUtilization"] == pytest.approx(busy / 60 / 20)


def test_without_warm_containers_nothing_is_said_of_them() -> None:
    timeline = run(serving.Serverless(MODEL), calls(10.0), 120.0).timeline()
    assert not [name for name in timeline if "Provisioned" in name]
    assert timeline["ServerlessConcurrentExecutionsUtilization"].iloc[1] == 0


# --- scaling ----------------------------------------------------------------------------------------------------------


def test_target_tracking_follows_by_the_rule_and_comes_back() -> None:
    """Three in work, one kept warm: after 3 minutes ceil(1 · 3 / 0.7) = 5 are asked for, and come 60 s later."""
    steady = calls(*np.arange(0.0, 1200.0, 0.5))
    scaled = serving.Serverless(MODEL, provisioned_concurrency=1, scaling=tracking())
    found = run(scaled, steady, 4000.0)
    assert changes(found)[:3] == [(0.0, 0), (0.0, 1), (240.0, 5)]
    assert changes(found)[-1][1] == 1  # back to the least, once nobody calls
    told = found.events.query("kind == 'provisioned concurrency'")["detail"].tolist()
    assert told[1].startswith("1 → 5: ")
    assert UTILIZATION in told[1]
    timeline = found.timeline()
    assert timeline.loc[300:1140, UTILIZATION].to_numpy() == pytest.approx(3 / 5, abs=0.01)
    assert (timeline.loc[300:1140, "ServerlessProvisionedConcurrencySpilloverInvocations"] == 0).all()
    assert timeline.loc[240, "ServerlessProvisionedConcurrencySpilloverInvocations"] == 0
    assert timeline.loc[180, "ServerlessProvisionedConcurrencySpilloverInvocations"] > 0


def test_scale_in_waits_for_fifteen_low_minutes() -> None:
    quiet = serving.Serverless(MODEL, provisioned_concurrency=4, scaling=tracking(min_capacity=2))
    found = run(quiet, calls(*np.arange(0.0, 600.0, 30.0)), 1200.0)
    assert changes(found) == [(0.0, 0), (0.0, 4), (900.0, 2)]


def test_nothing_is_published_while_nothing_is_warm() -> None:
    found = run(serving.Serverless(MODEL, scaling=tracking()), calls(*np.arange(0.0, 900.0, 0.5)), 900.0)
    assert changes(found) == [(0.0, 0)]


def test_a_schedule_warms_for_office_hours_from_nothing() -> None:
    hours = (
        serving.ScheduledScaling("cron(0 1 * * ? *)", min_capacity=2),
        serving.ScheduledScaling("cron(0 3 * * ? *)", min_capacity=0, max_capacity=0),
    )
    found = run(serving.Serverless(MODEL, scaling=hours), calls(10.0), 4 * 3600.0)
    assert changes(found) == [(0.0, 0), (3660.0, 2), (10800.0, 0)]
    warm = found.invoice.set_index("item")["quantity"]["Provisioned concurrency, warm"]
    assert warm == pytest.approx(2 * (10800 - 3660))


def test_scaling_saves_what_it_says() -> None:
    """Two bursts an hour apart: kept warm all day it costs more than followed, and waits less than on demand."""
    day = calls(*np.r_[np.arange(0, 1800, 0.4), np.arange(36000, 37800, 0.4)])
    always = run(serving.Serverless(MODEL, provisioned_concurrency=6), day, 86400.0)
    followed = run(serving.Serverless(MODEL, provisioned_concurrency=1, scaling=tracking(max_capacity=6)), day, 86400.0)
    assert 0 < followed.summary()["usd"] < always.summary()["usd"]
    assert followed.summary()["cold_start_rate"] >= always.summary()["cold_start_rate"]


def test_the_record_is_kept(tmp_path: Path) -> None:
    found = run(
        serving.Serverless(MODEL, provisioned_concurrency=1, scaling=tracking()), calls(*np.arange(0, 900, 0.5)), 1800.0
    )
    found.save(tmp_path / "a.run")
    again = sl.Run.load(tmp_path / "a.run")
    again.check()
    pd.testing.assert_frame_equal(again.timeline(), found.timeline())
    pd.testing.assert_frame_equal(again.requests, found.requests)
    pd.testing.assert_series_equal(again.summary(), found.summary())
    assert "containers" in str(found.plot()).lower()


def test_the_assumed_rule_is_named() -> None:
    named = run(serving.Serverless(MODEL, provisioned_concurrency=1, scaling=tracking()), calls(1.0), 60.0).assumptions
    assert "scaling: wanted" in set(named["parameter"])


# --- a cold start in its parts ----------------------------------------------------------------------------------------


def test_parts_of_a_cold_start_add_up_to_the_wait() -> None:
    endpoint = serving.Serverless(MODEL, cold_start=sl.uniform(0.3, 0.6), download_mb_per_s=50.0, keep_alive_s=5.0)
    found = sl.simulate(endpoint, workload.poisson(rate=0.1), hours=5, seed=2)
    cold = found.requests.query("cold and status == 'completed'")
    assert len(cold) > 100
    parts = cold[["provision_s", "download_s", "load_s"]]
    assert parts.sum(axis=1).to_numpy() == pytest.approx((cold["start_s"] - cold["arrival_s"]).to_numpy(), abs=1e-6)
    assert (parts["download_s"] == 4.0).all()
    assert (parts["load_s"] == 2.0).all()
    assert parts["provision_s"].between(0.3 - 1e-9, 0.6 + 1e-9).all()
    assert found.requests.query("not cold")[["provision_s", "download_s", "load_s"]].isna().all(axis=None)
    figures = found.summary()
    assert figures["model_setup_s"] == pytest.approx(parts.sum(axis=1).mean(), rel=1e-3)
    assert figures["provision_s"] + figures["download_s"] + figures["load_s"] == pytest.approx(figures["model_setup_s"])
    shown = found.timeline()
    total = (shown["ModelSetupTime"] * shown["ColdStarts"]).sum()
    assert total == pytest.approx(parts.sum(axis=1).sum(), rel=1e-2)


def test_parts_do_not_hold_the_wait_of_a_caller_who_tried_again() -> None:
    retry = serving.Retry(5, base_s=3.0, jitter=False)
    endpoint = serving.Serverless(MODEL, cold_start=sl.constant(0.5), max_concurrency=1, retry=retry, keep_alive_s=0.5)
    found = run(endpoint, calls(0.0, 1.0), 600.0)
    second = found.requests.iloc[1]
    assert second["attempts"] > 1
    assert second["cold"]
    assert second["start_s"] - second["arrival_s"] > 4.5 + 3
    assert second["provision_s"] == pytest.approx(0.5)


def test_a_cold_start_that_is_not_over_is_not_known_yet() -> None:
    sim = sl.Simulation(seed=1)
    endpoint = sim.deploy(serving.Serverless(MODEL), calls(10.0))
    sim.run(until_s=3.0)
    assert math.isnan(endpoint.run.requests["provision_s"].iloc[0])
    sim.run(until_s=60.0)
    assert endpoint.run.requests["provision_s"].iloc[0] > 0


def test_every_attempt_taken_is_on_demand_or_not() -> None:
    endpoint = serving.Serverless(MODEL, provisioned_concurrency=2, max_concurrency=6)
    found = sl.simulate(endpoint, workload.poisson(rate=2), hours=2, seed=3)
    taken = found.requests.query("status != 'throttled'")
    on_demand = found.snapshot.tally[:, :, record.ON_DEMAND].sum()
    assert on_demand == (~taken["instance"].isin([0, 1])).sum()
    assert 0 < on_demand < len(taken)


# --- what cannot be ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: serving.Serverless(MODEL, scaling=serving.TargetTracking(100)), "metric='InvocationsPerInstance'"),
        (lambda: serving.Serverless(MODEL, scaling=tracking(max_capacity=21)), "at most max_concurrency=20"),
        (lambda: serving.Serverless(MODEL, scaling=(tracking(), tracking(max_capacity=9))), "the same min_capacity"),
        (
            lambda: serving.Serverless(MODEL, scaling=serving.ScheduledScaling("rate(1 hour)", max_capacity=30)),
            "max_capacity=30",
        ),
        (lambda: serving.Serverless(MODEL, scaling="0.7"), "scaling"),
        (lambda: serving.RealTime(MODEL, scaling=tracking()), "does not publish it"),
        (lambda: tracking(metric="ProvisionedConcurrencyUtilization"), "metric='ProvisionedConcurrencyUtilization'"),
        (lambda: tracking(target=0), "target=0"),
    ],
)
def test_what_cannot_be_is_one_sentence(call, named) -> None:
    with pytest.raises(sl.ParameterError) as caught:
        call()
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)
