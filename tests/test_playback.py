"""A replay tells what its run tells, stays small, and stands by itself."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

import simlib as sl
from simlib import ParameterError, serving, workload
from simlib.playback import MOST_STEPS, Replay

MODEL = sl.ModelProfile("translator", service=sl.lognormal(mean=0.08, cv=0.4), size_mb=450, load_seconds=8)
CROWD = workload.poisson(rate=12) + workload.poisson(rate=60, name="crowd").between(1800, 5400)
ENDPOINT = serving.RealTime(
    MODEL,
    initial_instance_count=2,
    workers=2,
    queue_limit=40,
    scaling=serving.TargetTracking(target=600, min_capacity=1, max_capacity=10),
)


@pytest.fixture(scope="module")
def run() -> sl.Run:
    return sl.simulate(ENDPOINT, CROWD, hours=2.5, seed=7, progress=False)


@pytest.fixture(scope="module")
def shown(run: sl.Run) -> Replay:
    return sl.replay(run)


def test_its_sums_are_those_of_the_run(run: sl.Run, shown: Replay) -> None:
    frames, summary = shown.frames, run.summary()
    assert frames["requests"].sum() == summary["requests"]
    assert frames["answers"].sum() == summary["completed"]
    assert frames["errors"].sum() == run.requests["status"].isin(["rejected", "timed_out", "failed"]).sum()
    assert frames["usd"].iloc[-1] == pytest.approx(run.invoice.attrs["total"])
    assert frames["usd"].is_monotonic_increasing


def test_who_waits_and_who_is_served_is_what_the_log_says(run: sl.Run, shown: Replay) -> None:
    log = run.requests[run.requests["start_s"].notna()]
    for moment in (600.0, 2040.0, 5400.0):
        running = ((log["start_s"] <= moment) & ~(log["finish_s"] <= moment)).sum()
        assert shown.frames.loc[moment, "running"] == running
        inside = ((run.requests["arrival_s"] <= moment) & ~(run.requests["finish_s"] <= moment)).sum()
        turned_away = (run.requests["status"] == "rejected") & (run.requests["arrival_s"] <= moment)
        inside -= (turned_away & run.requests["finish_s"].isna()).sum()
        assert shown.frames.loc[moment, "waiting"] == inside - running


def test_instances_start_serve_and_drain_as_they_lived(run: sl.Run, shown: Replay) -> None:
    frames, lives = shown.frames, run.instances
    assert frames["starting"].max() > 0
    assert frames["draining"].max() > 0
    for moment in frames.index[::25]:
        serving_now = (lives["in_service_s"] <= moment) & (moment < lives["draining_s"])
        assert frames.loc[moment, "serving"] == serving_now.sum()


def test_a_longer_run_takes_no_more_room(shown: Replay) -> None:
    month = sl.simulate(
        serving.Serverless(MODEL, max_concurrency=50), workload.poisson(rate=0.05), days=30, seed=7, progress=False
    )
    longer = sl.replay(month)
    assert len(longer.frames) <= MOST_STEPS
    assert len(longer.html()) < 60_000
    assert len(shown.html()) < 60_000
    assert longer.frames["answers"].sum() == month.summary()["completed"]


def test_a_run_shorter_than_its_step_is_as_fast_as_it_was() -> None:
    """Ten a second for six seconds."""
    every = workload.from_trace(pd.DataFrame({"time": np.arange(60) / 10}), time="time")
    brief = sl.simulate(ENDPOINT, every, hours=6 / 3600, seed=7, progress=False)
    assert str(sl.replay(brief)).startswith("One step of 1 min: at most 10 requests/s, 2 instances, no errors")


def test_containers_are_called_so() -> None:
    endpoint = serving.Serverless(MODEL, max_concurrency=50)
    month = sl.replay(sl.simulate(endpoint, workload.poisson(rate=0.01), days=30, seed=7, progress=False))
    assert " steps of 3 h: at most " in str(month)
    assert " containers, " in str(month)
    assert "containers: at most" in month.html()
    assert "instances" not in month.html().split("<script>")[0].split("</style>")[1]


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.asked += [value or "" for name, value in attrs if name in ("src", "href", "data")]


def test_the_page_loads_nothing_and_has_a_strip_without_javascript(shown: Replay) -> None:
    page = _Page()
    page.feed(shown.html())
    assert page.asked == []
    assert "http" not in shown.html()
    assert page.tags.count("polygon") == 5
    assert str(shown.words) in shown.html()
    data = json.loads(re.search(r'id="data">(.*?)</script>', shown.html(), re.S)[1])
    assert len(data["usd"]) == len(data["time_s"]) == len(shown.frames)
    assert 'srcdoc="&lt;!doctype html&gt;' in shown._repr_html_()


def test_what_is_no_run_is_a_sentence() -> None:
    with pytest.raises(ParameterError, match="replay: run"):
        sl.replay("run.npz")  # type: ignore[arg-type]
