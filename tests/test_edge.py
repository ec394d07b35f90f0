"""Edge fleets: requests against plain SimPy, connections and updates against theory, packages against tampering."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from scipy import stats

import simlib as sl
from simlib import experiments, plots, pricing, serving, theory, workload
from simlib.serving.edge import CLAIM, NEO_TARGETS
from simlib.serving.edge_fleet import EdgeFleet
from simlib.serving.links import Links
from tests.reference.devices import answered
from tests.test_bad_input import sentence

TAGGER = sl.ModelProfile("tagger", sl.constant(0.08), size_mb=100, request_kb=300)
CALLS = workload.poisson(rate=5)


def fleet(count: int = 40, **more: Any) -> serving.Edge:
    return serving.Edge(TAGGER, fleet={"rpi4": count}, **more)


def deployed(edge: serving.Edge, calls: workload.Workload = CALLS, seed: int = 0) -> tuple[sl.Simulation, EdgeFleet]:
    sim = sl.Simulation(seed)
    return sim, sim.deploy(edge, calls)


def run(edge: serving.Edge, calls: workload.Workload = CALLS, hours: float = 1, seed: int = 0) -> sl.Run:
    made = sl.simulate(edge, calls, hours=hours, seed=seed)
    made.check()
    return made


# --- requests -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(12))
def test_random_fleets_equal_plain_simpy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    kinds = rng.choice(["rpi3", "rpi4", "nano", "tx2"], size=int(rng.integers(1, 4)), replace=False)
    edge = serving.Edge(
        sl.ModelProfile("tagger", sl.lognormal(0.1, 1.0), size_mb=float(rng.integers(1, 200))),
        fleet=tuple(serving.Devices(str(kind), int(rng.integers(1, 5))) for kind in kinds),
        compiled=bool(rng.random() < 0.5),
        around=sl.exponential(0.02),
        link=serving.Link(300, 200) if rng.random() < 0.7 else None,
        update=serving.Update(600, compiled=serving.Compiled(speed_factor=3), wait_s=100, stages=(30, 100)),
    )
    made = run(edge, workload.poisson(rate=2), seed=seed)
    log, devices = made.requests, made.instances
    assert len(log) == pytest.approx(7200, abs=5 * math.sqrt(7200))  # all of them, from the first second on
    sim = sl.Simulation(seed)
    n, which = len(log), log["instance"].to_numpy()
    service = sl.lognormal(0.1, 1.0).sample(n, sim.rng("poisson", "service", "tagger"))
    around = sl.exponential(0.02).sample(n, sim.rng("poisson", "around"))
    slower = np.array([serving.measured(kind) / serving.measured("xeon") for kind in devices["variant"]])[which]
    factors = (2.0 if edge.compiled else 1.0, 3.0)
    takes = [service * slower / factor + around for factor in factors]
    start, finish = answered(log["arrival_s"].to_numpy(), which, takes, devices["updated_s"].to_numpy())
    for seen, wanted in ((log["start_s"], start), (log["finish_s"], finish)):
        np.testing.assert_allclose(seen, np.where(wanted <= 3600, wanted, np.nan), rtol=1e-9, equal_nan=True)
    assert (devices["update"] == "updated").sum() > 0
    assert (log["variant"].to_numpy() == devices["variant"].to_numpy()[which]).all()


def test_a_device_is_an_m_d_1_queue() -> None:
    wait = []
    for seed in range(10):
        made = run(fleet(20, around=sl.constant(0)), workload.poisson(rate=20 * 0.4), hours=4, seed=seed)
        wait.append(float((made.requests["start_s"] - made.requests["arrival_s"]).mean()))
    service = 0.08 * 2.91 / 0.18
    exact = theory.mg1_mean_wait(0.4, service, 0.0)
    half = stats.t.ppf(0.9995, 9) * np.std(wait, ddof=1) / math.sqrt(10)
    assert abs(np.mean(wait) - exact) < half  # 99.9 %
    assert half < 0.1 * exact


def test_looks_change_nothing() -> None:
    edge = fleet(link=serving.Link(300, 200), samples=serving.Samples(20, buffer_mb=1), update=serving.Update(600))
    whole = run(edge, seed=3)
    sim, devices = deployed(edge, seed=3)
    for look in (1.0, 17.3, 600.0, 601.0, 2222.2):
        sim.run(until_s=look)
        seen = devices.run
        seen.check()
        assert (seen.requests["arrival_s"] < look).all()
        ended = seen.requests["finish_s"].dropna()
        assert (ended <= look).all()
    sim.run(until_s=3600)
    pd.testing.assert_frame_equal(devices.run.requests, whole.requests)
    pd.testing.assert_series_equal(devices.run.summary(), whole.summary())


def test_a_fleet_deployed_later_serves_from_then_on() -> None:
    sim = sl.Simulation(1)
    sim.run(hours=0.5)
    devices = sim.deploy(fleet(update=serving.Update(2400)), CALLS)
    sim.run(hours=0.5)
    made = devices.run
    made.check()
    assert made.requests["arrival_s"].min() >= 1800
    assert len(made.requests) == pytest.approx(9000, abs=5 * 95)


def test_compiling_makes_the_model_faster_and_nothing_else() -> None:
    around = sl.constant(0.04)
    devices = (serving.Devices("camera", 1000, inference=sl.constant(0.08)),)
    plain = run(serving.Edge(TAGGER, fleet=devices, around=around), hours=0.2)
    fast = run(
        serving.Edge(TAGGER, fleet=devices, around=around, compiled=serving.Compiled(speed_factor=25)), hours=0.2
    )
    gain = plain.summary()["p50_s"] / fast.summary()["p50_s"]
    assert gain == pytest.approx(theory.amdahl(80 / 120, 25), rel=1e-6)
    assert round(gain, 1) == 2.8


def test_kinds_differ_as_measured() -> None:
    made = run(serving.Edge(TAGGER, fleet={"rpi3": 100, "nx": 100}), hours=0.2)
    took = (made.requests["finish_s"] - made.requests["start_s"]).groupby(made.requests["variant"], observed=True)
    assert took.mean()["rpi3"] / took.mean()["nx"] == pytest.approx(5.10 / 0.51, rel=1e-6)
    on_gpu = serving.Devices("nano", 5, on="GPU")
    assert on_gpu.name == "nano GPU"
    assert serving.measured("nano", on="GPU") == 0.73
    assert len(serving.measured_inference()) == 15
    assert set(serving.measured_inference()["mark"]) == {"S"}


def test_a_new_model_takes_as_long_as_its_law_says() -> None:
    new = sl.ModelProfile("bigger", sl.constant(0.16), size_mb=1)
    camera = (serving.Devices("camera", 10, inference=sl.constant(1.0)),)
    for devices, wanted in (({"xeon": 10}, (0.08, 0.16)), (camera, (1.0, 2.0))):
        edge = serving.Edge(TAGGER, fleet=devices, update=serving.Update(1800, model=new, stages=(100,)))
        log = run(edge, workload.poisson(rate=0.5), seed=2).requests
        took = (log["finish_s"] - log["start_s"]).to_numpy()
        assert np.nanmedian(took[log["arrival_s"] < 1800]) == pytest.approx(wanted[0], rel=1e-6)
        assert np.nanmedian(took[log["arrival_s"] > 1802]) == pytest.approx(wanted[1], rel=1e-6)


# --- connections --------------------------------------------------------------------------------------------------


def test_devices_are_connected_the_share_of_time_that_theory_says() -> None:
    link = serving.Link(3600, 1200)
    shares = [run(fleet(60, link=link), hours=48, seed=seed, calls=workload.poisson(rate=0.01)) for seed in range(20)]
    found = np.array([made.summary()["availability"] for made in shares])
    half = stats.t.ppf(0.9995, 19) * found.std(ddof=1) / math.sqrt(20)
    assert abs(found.mean() - link.availability) < half
    assert half < 0.02


def test_what_links_say_agrees_with_their_turns() -> None:
    links = Links(serving.Link(50, 30), 7, np.random.default_rng(3))
    links.reach(2000.0)
    rng = np.random.default_rng(4)
    devices, times = rng.integers(7, size=400), rng.uniform(0, 2000, 400)
    on = links.connected(devices, times)
    for device, time, seen in zip(devices, times, on, strict=True):
        state = bool(links.on_first[device])
        for turn in links.turns[device]:
            if turn > time:
                break
            state = not state
        assert seen == state
    for device in range(7):
        steps = np.linspace(0, 2000, 400_001)
        exact = links.connected(np.full(len(steps), device), steps).mean() * 2000
        assert links.seconds_on(2000.0)[device] == pytest.approx(exact, abs=0.5)
        there = links.after(device, 100.0, 77.0)
        grid = np.linspace(100.0, there, 400_001)
        assert links.connected(np.full(len(grid), device), grid).mean() * (there - 100) == pytest.approx(77, abs=0.1)
        assert links.after(device, 100.0, 0.0) >= 100.0


def test_how_far_somebody_asks_changes_no_turn() -> None:
    one, two = (Links(serving.Link(50, 30), 5, np.random.default_rng(9)) for _ in range(2))
    one.reach(5000.0)
    for until in (1.0, 300.0, 301.0, 5000.0):
        two.reach(until)
    same = min(one.turns.shape[1], two.turns.shape[1])
    np.testing.assert_array_equal(one.turns[:, :same], two.turns[:, :same])


def test_an_update_reaches_the_fleet_as_theory_says() -> None:
    count, link = 4000, serving.Link(3000, 1000)
    tiny = sl.ModelProfile("tagger", sl.constant(0.08), size_mb=1e-9)
    edge = serving.Edge(tiny, fleet={"rpi4": count}, link=link, update=serving.Update(0, stages=(100,), wait_s=20_000))
    when = run(edge, workload.poisson(rate=0.01), hours=8).instances["updated_s"].to_numpy()
    for moment in (0.001, 300, 1000, 3000, 6000):
        low, high = stats.binom.interval(0.999, count, theory.reached_by(moment, 3000, 1000))
        assert low <= (when <= moment).sum() <= high
    assert theory.reached_by(0, 3000, 1000) == 0.75
    assert theory.reached_by(1e6, 3000, 1000) == pytest.approx(1)


# --- samples ------------------------------------------------------------------------------------------------------


def test_samples_are_sent_or_dropped_or_wait() -> None:
    edge = fleet(10, link=serving.Link(300, 900), samples=serving.Samples(40, buffer_mb=3))
    made = run(edge, hours=4)
    told = made.summary()
    sim, devices = deployed(edge)
    sim.run(hours=4)
    log = devices._log(sim.env.now)
    sent = devices.samples(log, sim.env.now)
    assert sent.captured == sent.uploaded + sent.dropped + sent.waiting == told["samples_captured"]
    assert min(sent) > 0
    low, high = stats.binom.interval(0.999, int(told["completed"]), 0.4)
    assert low <= sent.captured <= high
    assert told["gb_left"] == pytest.approx(sent.uploaded * 300 / 1e6)
    # by hand: each device holds ten samples an absence
    uploaded = dropped = waiting = 0
    kept = np.concatenate([chunk.kept[:end] for chunk, end in devices._ends()])
    for device in range(10):
        ours = kept & (log.instance == device) & (log.status == 1)
        room: dict[int, int] = {}
        for when in np.sort(log.finish[ours]):
            stay = int(np.searchsorted(devices.links.turns[device], when, side="right"))
            if devices.links.on_first[device] ^ bool(stay % 2):
                uploaded += 1
            elif room.get(stay, 0) == 10:
                dropped += 1
            else:
                room[stay] = room.get(stay, 0) + 1
                back = devices.links.turns[device][stay] <= sim.env.now
                uploaded, waiting = uploaded + back, waiting + (not back)
    assert (uploaded, dropped, waiting) == (sent.uploaded, sent.dropped, sent.waiting)


def test_which_requests_are_kept() -> None:
    sim, devices = deployed(fleet(samples=serving.Samples(37)))
    sim.run(hours=1)
    kept = np.concatenate([chunk.kept[:end] for chunk, end in devices._ends()])
    np.testing.assert_array_equal(kept, sl.Simulation(0).rng("poisson", "samples").random(len(kept)) < 0.37)


def test_without_samples_nothing_leaves_the_devices() -> None:
    made = run(fleet(), hours=0.5)
    assert made.summary()["gb_left"] == 0
    assert made.summary()["samples_captured"] == 0


def test_the_bill_is_devices_data_and_puts() -> None:
    made = run(fleet(50, samples=serving.Samples(100), usd_per_device_month=2.0, usd_per_gb=5.0), hours=7.3)
    lines = made.invoice.set_index("item")["subtotal"]
    assert lines["Devices"] == pytest.approx(50 * 7.3 / 730 * 2)
    assert lines["Sent by devices"] == pytest.approx(made.summary()["samples_uploaded"] * 300 / 1e6 * 5)
    assert lines["S3 PUT"] == pytest.approx(made.summary()["samples_uploaded"] * 0.000005)
    assert set(made.invoice.query("item == 'Devices'")["mark"]) == {"A"}


# --- updates ------------------------------------------------------------------------------------------------------


def update(count: int = 200, *, hours: float = 12, seed: int = 0, edge: Any = None, **chosen: Any) -> sl.Run:
    more = {"link": serving.Link(3600, 1200)} | (edge or {})
    made = fleet(count, update=serving.Update(600, **chosen), **more)
    return run(made, workload.poisson(rate=0.1), hours=hours, seed=seed)


def test_stages_are_offered_one_after_the_other() -> None:
    made = update(stages=(5, 25, 100), wait_s=7200)
    said = made.events.query("kind == 'update'")["detail"].tolist()
    assert said[0] == "stage 1 of 3: offered to 10 of 200 devices"
    begins = made.events[made.events["detail"].str.contains("offered to")]["time_s"].tolist()
    assert begins == [600, 7800, 15_000]
    got = made.instances["updated_s"].sort_values().to_numpy()
    assert (got[:10] >= 600).all()
    assert (got < 7800).sum() <= 10
    assert (got < 15_000).sum() <= 50
    assert (made.instances["update"] == "updated").all()
    assert made.summary()["updated_share"] == 1.0


def test_who_is_not_connected_gets_it_when_back() -> None:
    made = update(stages=(100,), wait_s=36_000)
    _, devices = deployed(made.snapshot.deployment, made.snapshot.workload)
    away = ~devices.links.connected(np.arange(200), np.full(200, 600.0))
    assert 20 < away.sum() < 80
    when = made.instances["updated_s"].to_numpy()
    download = 100.0
    there = ~away & (devices.links.connected(np.arange(200), np.full(200, 700.0)))
    assert (when[away] > 600 + download).all()
    first_stay = devices.links.stays(np.arange(200), np.full(200, 600.0))
    back = devices.links.turns[np.arange(200), first_stay]
    assert (when[away] >= back[away] + download - 1e-6).all()
    unbroken = there & (back > 700)
    np.testing.assert_allclose(when[unbroken], 700.0)


def test_too_many_failures_stop_the_update_and_roll_it_back() -> None:
    made = update(failure_share=0.5, stages=(10, 100), wait_s=7200)
    assert (made.events["kind"] == "update stopped").sum() == 1
    became = made.instances["update"].value_counts()
    assert became["none"] == 180  # the others were never offered it
    assert set(became.index) <= {"none", "rolled_back", "failed", "withdrawn"}
    assert became["rolled_back"] > 0
    assert (made.instances["version"] == 0).all()
    assert made.summary()["updated_share"] == 0.0


def test_a_stopped_update_may_also_be_left_where_it_is() -> None:
    made = update(failure_share=0.5, stages=(10, 100), wait_s=7200, on_failure="DO_NOTHING")
    became = made.instances["update"].value_counts()
    assert made.instances["version"].sum() == became["updated"] > 0
    assert "rolled_back" not in became


def test_what_was_not_heard_of_when_it_stopped_is_never_installed() -> None:
    link = {"link": serving.Link(3600, 3600)}
    for on_failure in ("ROLLBACK_ON_FAILURE", "DO_NOTHING"):
        made = update(failure_share=0.5, stages=(100,), wait_s=600, edge=link, hours=48, on_failure=on_failure)
        stopped = made.events.query("kind == 'update stopped'")["time_s"].iloc[0]
        became = made.instances["update"].value_counts()
        assert became["withdrawn"] > 50
        assert "offered" not in became
        assert made.events.query("kind == 'updated'")["time_s"].max() <= stopped


def test_few_failures_go_through() -> None:
    made = update(500, failure_share=0.03, stages=(10, 100))
    became = made.instances["update"].value_counts()
    low, high = stats.binom.interval(0.999, 500, 0.03)
    assert low <= became["failed"] <= high
    assert became["updated"] + became["failed"] == 500


def test_exactly_the_allowed_share_of_failures_goes_on() -> None:
    none_fails = update(20, stages=(50, 100), max_failure_share=0.0)
    assert (none_fails.instances["update"] == "updated").all()


def test_compiled_packages_arrive_sooner() -> None:
    def share(size_factor: float) -> float:
        edge = {"compiled": serving.Compiled(size_factor=size_factor), "download_mb_per_s": 0.02}
        return float(update(stages=(100,), hours=2, edge=edge).summary()["updated_share"])

    assert share(0.1) > share(1.0) + 0.2


@pytest.mark.parametrize(("size_factor", "seconds"), [(1.0, 600.0), (0.25, 150.0)])
def test_the_package_is_the_new_model_as_it_is_compiled(size_factor: float, seconds: float) -> None:
    larger = sl.ModelProfile("larger", sl.constant(0.1), size_mb=600)
    chosen = {"model": larger, "compiled": serving.Compiled(size_factor=size_factor), "stages": (100,)}
    made = update(10, edge={"link": None}, hours=1, **chosen)
    np.testing.assert_allclose(made.instances["updated_s"], 600 + seconds)


def test_a_tampered_package_is_refused_by_the_devices() -> None:
    package = serving.pack({"model.bin": b"weights" * 100}, name="tagger", version="2", key="secret")
    good = update(edge={"key": "secret"}, package=package)
    assert (good.instances["update"] == "updated").all()
    for wrong, why in (
        (package.changed({"model.bin": b"weightz" * 100}), "its SHA-256 differs"),
        (serving.pack({"model.bin": b"x"}, name="tagger", version="2", key="guess"), "not signed with this key"),
        (None, "not signed"),
    ):
        bad = update(edge={"key": "secret"}, package=wrong)
        assert (bad.instances["version"] == 0).all()
        became = bad.instances["update"].value_counts()
        assert became["refused"] > 0
        assert became["none"] == 180  # it stopped after the first stage
        assert bad.events.query("kind == 'refused'")["detail"].str.contains(why).all()


def test_every_byte_of_a_package_counts() -> None:
    package = serving.pack({"a": b"one", "b": b"two"}, name="m", version="1", key="k")
    assert package.open("k") == {"a": b"one", "b": b"two"}
    assert package.why_refused("k") == ""
    assert package.size_mb == pytest.approx(6e-6)
    copies = [
        package.changed({"a": b"onE"}),
        package.changed({"c": b""}),
        sl.from_json(sl.to_json(package).replace('"version": "1"', '"version": "2"')),
    ]
    told = sl.to_json(package)
    copies.append(sl.from_json(told.replace(package.signature, package.signature[:-1] + "0")))
    copies.append(sl.from_json(told.replace(package.signature, package.signature[:-1] + "1")))
    refused = [copy.why_refused("k") for copy in copies]
    assert sum(map(bool, refused)) >= 4
    assert refused[3] or refused[4]
    with pytest.raises(serving.PackageRefusedError, match="not signed with this key"):
        package.open("K")


# --- beside the cloud ---------------------------------------------------------------------------------------------


def test_edge_beside_the_cloud() -> None:
    edge = fleet(100, link=serving.Link(3600, 1200), usd_per_device_month=1.0, usd_per_gb=2.0)
    network = serving.Network(round_trip=sl.constant(0.2), uplink_mb_per_s=1.0)
    cloud = serving.RealTime(TAGGER, initial_instance_count=2, workers=2)
    both = serving.versus_cloud(edge, cloud, workload.poisson(rate=3), hours=10, network=network)
    assert both.loc["edge", "answered"] > 0.999
    assert both.loc["edge", "gb_left"] == 0
    assert both.loc["cloud", "answered"] == pytest.approx(0.75, abs=0.03)
    assert both.loc["cloud", "p50_s"] == pytest.approx(0.08 + 0.2 + 0.3, abs=0.02)
    assert both.loc["cloud", "gb_left"] == pytest.approx(both.loc["cloud", "answered"] * 3 * 36_000 * 3e-4, rel=0.02)
    hosting = sl.simulate(cloud, workload.poisson(rate=3), hours=10).invoice.set_index("item")["subtotal"]
    extra = both.loc["cloud", "usd"] - hosting["ml.m5.large instances"] - both.loc["cloud", "gb_left"] * 2
    assert extra == pytest.approx(100 * 10 / 730, rel=0.5)
    talkative = sl.ModelProfile("tagger", sl.constant(0.08), size_mb=100, request_kb=300, response_kb=2001)
    dearer = serving.versus_cloud(
        replace(edge, model=talkative),
        replace(cloud, model=talkative),
        workload.poisson(rate=3),
        hours=10,
        network=network,
    )
    more_gb = both.loc["cloud", "gb_left"] / 300 * 2000
    out, processed = (
        pricing.price(*sku).usd
        for sku in (("data_transfer", "internet-out"), ("sagemaker_data_processing", "endpoint-data-out"))
    )
    found = dearer.loc["cloud", "usd"] - both.loc["cloud", "usd"]
    assert found == pytest.approx(more_gb * (out + processed), rel=1e-3)
    again = serving.versus_cloud(edge, cloud, workload.poisson(rate=3), hours=10, network=network)
    pd.testing.assert_frame_equal(both, again)


# --- the usual surface --------------------------------------------------------------------------------------------


def test_a_run_is_saved_and_loaded(tmp_path: Path) -> None:
    package = serving.pack({"model.bin": b"1"}, name="tagger", version="2", key="k")
    made = update(edge={"key": "k", "samples": serving.Samples(50)}, package=package, hours=2)
    made.save(tmp_path / "fleet.run")
    again = sl.Run.load(tmp_path / "fleet.run")
    again.check()
    pd.testing.assert_series_equal(again.summary(), made.summary())
    pd.testing.assert_frame_equal(again.instances, made.instances)
    assert again.snapshot.deployment == made.snapshot.deployment


def test_experiments_and_timeline() -> None:
    edge = fleet(link=serving.Link(300, 300), samples=serving.Samples(50))
    found = experiments.replicate(edge, CALLS, hours=0.5, replications=3, seed=2)
    assert found.loc["availability", "n"] == 3
    between = experiments.compare(
        {"plain": edge, "compiled": fleet(compiled=True, link=serving.Link(300, 300))}, CALLS, hours=0.5, replications=3
    )
    assert between.loc[("p50_s", "compiled"), "difference_high"] < 0
    lines = run(edge, hours=0.5).timeline()
    assert (lines["Instances"] == 40).all()
    assert lines["Invocations"].sum() == pytest.approx(9000, abs=500)
    folded = sl.simulate(edge, CALLS, hours=0.5, log="folded")
    folded.check()
    assert folded.summary()["samples_uploaded"] == run(edge, hours=0.5).summary()["samples_uploaded"]


def test_assumptions_quote_the_vendors_claim_as_a_claim() -> None:
    told = run(fleet(compiled=True), hours=0.1).assumptions.set_index("parameter")
    assert told.loc["compiled: speed_factor", "mark"] == "U"
    assert told.loc["compiled: speed_factor", "source"] == CLAIM
    assert "25" in CLAIM
    assert len(NEO_TARGETS) == 37
    assert "compiled: speed_factor" not in run(fleet(), hours=0.1).assumptions["parameter"].tolist()


def test_the_picture_of_an_update() -> None:
    mpl.use("Agg")
    made = update(stages=(10, 100), failure_share=0.5)
    words = plots.update(made.events, made.instances, title="Stopped in time", expected=lambda t: t / 1e5)
    assert words.startswith("Stopped in time. Of 200 devices: 180 never offered it")
    assert "Stopped: " in words
    plots.update(made.events.head(0), made.instances)


# --- mistakes -----------------------------------------------------------------------------------------------------

WRONG = {
    "no fleet": (lambda: serving.Edge(TAGGER), "needs the parameter 'fleet'"),
    "an empty fleet": (lambda: serving.Edge(TAGGER, fleet={}), "one or more kinds"),
    "a kind twice": (
        lambda: serving.Edge(TAGGER, fleet=[serving.Devices("rpi4", 1), serving.Devices("rpi4", 2)]),
        "each of them once",
    ),
    "a fleet as a number": (lambda: serving.Edge(TAGGER, fleet=100), "fleet=100"),
    "an unknown kind": (lambda: serving.Devices("rpi5", 1), "there is no kind 'rpi5'; did you mean 'rpi"),
    "a GPU that is none": (lambda: serving.Devices("rpi4", 1, on="GPU"), "nobody measured"),
    "no devices": (lambda: serving.Devices("rpi4", 0), "count=0"),
    "half a device": (lambda: serving.Edge(TAGGER, fleet={"rpi4": 1.5}), "count=1.5"),
    "an unknown target": (lambda: serving.Compiled("rasp4"), "did you mean 'rasp"),
    "no faster than nothing": (lambda: serving.Compiled(speed_factor=0), "speed_factor=0"),
    "compiled in words": (lambda: fleet(compiled="yes"), "compiled"),
    "a link that is never on": (lambda: serving.Link(0, 10), "mean_on_s=0"),
    "a link that is never off": (lambda: serving.Link(10, 0), "mean_off_s=0"),
    "no samples": (lambda: serving.Samples(0), "percentage=0"),
    "more than all": (lambda: serving.Samples(101), "percentage=101"),
    "no buffer": (lambda: serving.Samples(5, buffer_mb=0), "buffer_mb=0"),
    "stages that fall": (lambda: serving.Update(0, stages=(50, 10)), "one to ten rising percentages"),
    "no stages": (lambda: serving.Update(0, stages=()), "one to ten rising percentages"),
    "eleven stages": (lambda: serving.Update(0, stages=tuple(range(1, 12))), "one to ten rising percentages"),
    "an update yesterday": (lambda: serving.Update(-1), "at_s=-1"),
    "a share of 2": (lambda: serving.Update(0, failure_share=2), "failure_share=2"),
    "an unknown way to fail": (lambda: serving.Update(0, on_failure="ROLLBACK"), "on_failure='ROLLBACK'"),
    "around in seconds": (lambda: fleet(around=0.04), "around=0.04 is not a law"),
    "a negative price": (lambda: fleet(usd_per_gb=-1), "usd_per_gb=-1"),
    "a package of nothing": (lambda: serving.pack({}, name="m", version="1", key="k"), "files is empty"),
    "a package of text": (lambda: serving.pack({"a": "b"}, name="m", version="1", key="k"), "files"),
    "a package without key": (lambda: serving.pack({"a": b"b"}, name="m", version="1"), "needs the parameter 'key'"),
    "an unknown network": (lambda: serving.measured("rpi4", network="vgg"), "network='vgg'"),
    "a cloud as edge": (lambda: serving.versus_cloud(serving.Serverless(TAGGER), fleet(), CALLS, hours=1), "edge="),
    "a model as cloud": (lambda: serving.versus_cloud(fleet(), TAGGER, CALLS, hours=1), "cloud="),
    "no hours": (
        lambda: serving.versus_cloud(fleet(), serving.Serverless(TAGGER), CALLS),
        "needs the parameter 'hours'",
    ),
    "nobody connected": (
        lambda: serving.versus_cloud(
            fleet(1, link=serving.Link(1e-9, 1e9)), serving.Serverless(TAGGER), CALLS, hours=0.01
        ),
        "no request reaches the cloud",
    ),
    "a share above 1": (lambda: theory.amdahl(1.5, 2), "share=1.5"),
    "a picture of a run": (lambda: plots.update(3, 3), "events=3"),
    "expected as a number": (
        lambda: plots.update(run(fleet(), hours=0.01).events, run(fleet(), hours=0.01).instances, expected=3),
        "expected=3",
    ),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_a_mistake_is_one_sentence(mistake: str) -> None:
    call, named = WRONG[mistake]
    assert named in sentence(call)
