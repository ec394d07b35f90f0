"""Many models behind one endpoint: hand-made stories of loads and evictions; the hit ratio by theory; the record."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import simlib as sl
from simlib import serving, theory, workload
from simlib.serving.modelcache import Store


def models(n: int, *, service: float = 0.0, size_mb: float = 1e-6, load: float = 0.0, memory: float = 100.0):
    return [
        sl.ModelProfile(f"m{k}", service=sl.constant(service), size_mb=size_mb, load_seconds=load, memory_mb=memory)
        for k in range(n)
    ]


def story(calls: list[tuple[float, int]], until_s: float = 1000.0, **options: object) -> "sl.Run":
    """A run with calls (time, model), the first one at 0."""
    frame = pd.DataFrame({"t": [float(t) for t, _ in calls], "model": [float(m) for _, m in calls]})
    given = {"memory_mb": 200.0, "model_column": "model"} | options
    sim = sl.Simulation(seed=1)
    endpoint = sim.deploy(
        serving.MultiModel(**given),  # type: ignore[arg-type]
        workload.from_trace(frame, time="t", work=["model"]),
    )
    sim.run(until_s=until_s)
    run = endpoint.run
    run.check()
    return run


def latencies(run: "sl.Run") -> list[float]:
    return (run.requests["finish_s"] - run.requests["arrival_s"]).round(6).tolist()


# --- hand-made stories ------------------------------------------------------------------------------------------------

SLOW = models(4, service=1.0, size_mb=300.0, load=2.0)  # download 3 s at 100 MB/s, load 2 s, work 1 s


def test_the_first_call_loads_and_the_second_finds_it_there() -> None:
    run = story([(0, 0), (10, 0)], models=SLOW)
    assert latencies(run) == [3 + 2 + 1, 1]
    assert run.requests["cold"].tolist() == [True, False]
    assert run.requests["loading_s"].round(6).tolist() == [5, 0]
    assert run.requests["model"].tolist() == ["m0", "m0"]
    assert run.summary()["cache_hit_ratio"] == 0.5


def test_a_call_during_a_load_waits_for_the_same_load() -> None:
    run = story([(0, 0), (4, 0)], models=SLOW, workers=2)
    assert latencies(run) == [6, 1 + 1]
    assert run.events["kind"].tolist().count("model loaded") == 1
    assert run.summary()["cache_hit_ratio"] == 0.0


def test_the_least_recently_used_goes_and_comes_back_from_disk_without_a_download() -> None:
    run = story([(0, 0), (10, 1), (20, 0), (30, 2), (40, 0), (50, 1)], models=SLOW)
    assert latencies(run) == [6, 6, 1, 6, 1, 2 + 1]  # 2 drives out 1; 1 is on the disk still
    assert run.events.query("kind == 'model unloaded'")["detail"].tolist()[0] == "m1 on instance 0"
    assert run.summary()["loaded_models"] == 2


def test_a_full_disk_drops_too() -> None:
    run = story([(0, 0), (10, 1), (20, 2), (30, 0)], models=SLOW, volume_size_in_gb=0.65)
    assert latencies(run) == [6, 6, 6, 6]  # room for two artifacts of 300 MB: 0 has to come again


def test_a_model_in_use_is_not_driven_out() -> None:
    slow = models(3, service=30.0, load=1.0)
    run = story([(0, 0), (1, 1), (2, 2)], models=slow, workers=3)
    third = run.requests.iloc[2]
    assert third["start_s"] == pytest.approx(31.0 + 1.0)  # waits until 0 is done, then loads


def test_a_second_instance_loads_the_model_when_the_first_is_busy() -> None:
    run = story([(0, 0), (10, 0), (10.5, 0)], models=SLOW, initial_instance_count=2)
    assert run.requests["instance"].tolist() == [0, 0, 1]
    assert latencies(run) == [6, 1, 6]


def test_who_waits_too_long_gets_an_error_and_takes_no_worker() -> None:
    run = story([(0, 0), (0.5, 0), (1, 0)], models=models(1, service=10.0), invocation_timeout_s=12.0)
    assert run.requests["status"].tolist() == ["completed", "timed_out", "timed_out"]
    assert run.requests["start_s"].round(6).tolist()[:2] == [0, 10]
    assert np.isnan(run.requests["start_s"].iloc[2])


def test_an_instance_that_dies_takes_its_calls_and_its_memory_with_it() -> None:
    frame = pd.DataFrame({"t": [0.0, 50.0, 700.0], "model": [0.0] * 3})
    sim = sl.Simulation(seed=1)
    endpoint = sim.deploy(
        serving.MultiModel(models(1, service=20.0, load=1.0), model_column="model"),
        workload.from_trace(frame, time="t", work=["model"]),
    )

    def crash(sim: sl.Simulation):
        yield sim.env.timeout(60.0)
        endpoint.crash(0)

    sim.start(crash)
    sim.run(until_s=1000.0)
    run = endpoint.run
    run.check()
    assert run.requests["status"].tolist() == ["completed", "failed", "completed"]
    assert run.requests["finish_s"].iloc[1] == 60.0
    assert run.requests["cold"].tolist() == [True, False, True]
    busy = run.timeline()["Utilization"].iloc[0]  # 20 s of work, then 10 s until the crash; the load takes no worker
    assert busy == pytest.approx(30 / 60)


def test_from_cold_nobody_is_there_at_first() -> None:
    sim = sl.Simulation(seed=1)
    endpoint = sim.deploy(serving.MultiModel(models(2)), workload.poisson(rate=0.1), from_cold=True)
    sim.run(until_s=1200.0)
    run = endpoint.run
    run.check()
    first = run.instances["in_service_s"].iloc[0]
    assert first > 60
    assert (run.requests.query("arrival_s < @first")["status"] == "rejected").all()


def test_the_bill_is_the_instances_hours_storage_and_payloads() -> None:
    big = [sl.ModelProfile("a", sl.constant(0), request_kb=1000, response_kb=10), *models(1)]
    run = story([(0, 0), (1, 0), (2, 1)], models=big, until_s=3600.0, memory_mb=1000.0)
    bill = run.invoice.set_index("item")["quantity"]
    assert bill["ml.m5.large instances"] == 1.0
    assert bill["Data in"] == pytest.approx((2 * 1000 + 1) / 1e6)
    assert bill["Data out"] == pytest.approx((2 * 10 + 1) / 1e6)


# --- theory -----------------------------------------------------------------------------------------------------------


def hit_ratios(n: int, slots: int, popularity: float, *, runs: int, hours: float) -> np.ndarray:
    deployment = serving.MultiModel(models(n), memory_mb=100.0 * slots, popularity=popularity)
    found = [
        sl.simulate(deployment, workload.poisson(rate=1), hours=hours, warm_up_hours=0, seed=k).requests
        for k in range(runs)
    ]
    return np.array([1 - requests["cold"].iloc[200:].mean() for requests in found])  # full by then


@pytest.mark.parametrize(("n", "slots", "popularity"), [(5, 2, 1.0), (6, 3, 0.5), (4, 1, 1.5)])
def test_the_hit_ratio_of_few_models_is_the_exact_one(n: int, slots: int, popularity: float) -> None:
    """Independent calls, no load time: King's sum over orders; Student interval over 8 runs, error rate 1 %."""
    found = hit_ratios(n, slots, popularity, runs=8, hours=0.4)
    exact = theory.lru_hit_ratio((np.arange(1, n + 1) ** -popularity).tolist(), slots, exact=True)
    half = 3.499 * found.std(ddof=1) / np.sqrt(8)
    assert abs(found.mean() - exact) < half < 0.03


def test_the_hit_ratio_of_many_models_is_che_s() -> None:
    """A hundred models in room for twenty; the approximation's own error is below a thousandth here."""
    found = hit_ratios(100, 20, 0.8, runs=8, hours=0.5)
    che = theory.lru_hit_ratio((np.arange(1, 101) ** -0.8).tolist(), 20)
    half = 3.499 * found.std(ddof=1) / np.sqrt(8)  # of error rate 1 %
    assert abs(found.mean() - che) < half < 0.03


def test_che_is_near_the_exact_sum() -> None:
    shares = [1 / k for k in range(1, 9)]
    for slots in (1, 2, 4, 6):
        assert theory.lru_hit_ratio(shares, slots) == pytest.approx(
            theory.lru_hit_ratio(shares, slots, exact=True), abs=0.02
        )
    assert theory.lru_hit_ratio(shares, 8) == 1.0
    assert theory.lru_hit_ratio([1, 1, 1, 1], 2, exact=True) == pytest.approx(0.5)
    assert theory.lru_hit_ratio([3, 1], 1, exact=True) == pytest.approx(0.75**2 + 0.25**2)


def test_calls_follow_the_law_of_popularity() -> None:
    """Counts are multinomial: Pearson's χ² against its 99.9 % quantile for 4 degrees of freedom."""
    deployment = serving.MultiModel(models(5), popularity=1.0, memory_mb=500)
    requests = sl.simulate(deployment, workload.poisson(rate=2), hours=2, seed=4).requests
    counts = requests["model"].value_counts().sort_index().to_numpy()
    expected = len(requests) * deployment.shares
    assert ((counts - expected) ** 2 / expected).sum() < 18.47
    weighted = serving.MultiModel(models(3), weights=(2, 0, 1))
    seen = sl.simulate(weighted, workload.poisson(rate=1), hours=0.5).requests["model"].value_counts()
    assert seen["m1"] == 0
    assert seen["m0"] > seen["m2"] > 0


# --- the record -------------------------------------------------------------------------------------------------------


def test_memory_is_never_exceeded_and_loads_are_those_of_the_events() -> None:
    mixed = [
        sl.ModelProfile(
            f"m{k}", sl.exponential(0.2), size_mb=50.0 + 30 * k, load_seconds=0.5, memory_mb=120.0 + 35.5 * k
        )
        for k in range(9)
    ]
    deployment = serving.MultiModel(mixed, memory_mb=900.0, initial_instance_count=2, workers=2)
    sim = sl.Simulation(seed=5)
    endpoint = sim.deploy(deployment, workload.poisson(rate=3))
    sim.run(hours=0.5)
    endpoint.run.check()
    held = [{"now": set()}, {"now": set()}]
    memory = {model.name: model.memory_mb for model in mixed}
    for event in endpoint.run.events.itertuples():
        if event.kind not in ("model loaded", "model unloaded"):
            continue
        name, where = event.detail.split(" on instance ")
        here = held[int(where.split()[0])]["now"]
        if event.kind == "model loaded":
            assert name not in here
            here.add(name)
        else:
            here.remove(name)
        assert sum(memory[each] for each in here) <= 900.0
    assert sum(len(each["now"]) for each in held) == endpoint.run.summary()["loaded_models"]


def test_timeline_and_summary_agree_with_the_log(tmp_path: Path) -> None:
    deployment = serving.MultiModel(models(8, service=0.2, load=1.0), memory_mb=300.0, workers=4)
    run = sl.simulate(deployment, workload.poisson(rate=1), hours=1, seed=6)
    run.check()
    timeline, requests = run.timeline(), run.requests
    hits = (timeline["ModelCacheHit"] * timeline["Invocations"]).sum() / timeline["Invocations"].sum()
    assert hits == pytest.approx(run.summary()["cache_hit_ratio"]) == pytest.approx(1 - requests["cold"].mean())
    assert timeline["InvocationsPerInstance"].sum() == len(requests)
    run.save(tmp_path / "a.run")
    pd.testing.assert_frame_equal(sl.Run.load(tmp_path / "a.run").requests, requests)
    folded = sl.simulate(deployment, workload.poisson(rate=1), hours=1, seed=6, log="folded")
    folded.check()
    assert folded.summary()["p99_s"] == pytest.approx(run.summary()["p99_s"], rel=0.02)
    assert folded.summary()["completed"] == run.summary()["completed"]


def test_same_seed_same_bytes_and_the_same_requests_as_others() -> None:
    deployment = serving.MultiModel(models(4, service=0.3, load=1.0), memory_mb=200.0)
    one, other = (sl.simulate(deployment, workload.poisson(rate=1), hours=0.5, seed=7) for _ in range(2))
    pd.testing.assert_frame_equal(one.requests, other.requests)
    alone = sl.simulate(serving.RealTime(models(1)[0]), workload.poisson(rate=1), hours=0.5, seed=7)
    assert one.requests["arrival_s"].to_numpy() == pytest.approx(alone.requests["arrival_s"].to_numpy(), rel=1e-12)


def test_room_is_made_only_if_it_can_be() -> None:
    store = Store(100.0)
    store.held.update({1: 40.0, 2: 40.0})
    assert store.make_room(30.0, pinned={1}) == [2]
    store.held[2] = 40.0
    assert store.make_room(80.0, pinned={1}) is None
    assert list(store.held) == [1, 2]
    store.promised_mb = 20.0
    assert store.make_room(80.0, pinned=set()) == [1, 2]


# --- what cannot be ---------------------------------------------------------------------------------------------------

FRAME = pd.DataFrame({"t": [0.0, 1.0], "model": [0.0, 5.0], "half": [0.5, 1.0]})
TRACE = workload.from_trace(FRAME, time="t", work=["model", "half"])
TWINS = [*models(1), *models(1)]


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: serving.MultiModel([]), "models=[]"),
        (lambda: serving.MultiModel(TWINS), "each with its own name"),
        (lambda: serving.MultiModel(models(1, memory=5000.0)), "m0 alone needs 5000 MB"),
        (lambda: serving.MultiModel(models(1, size_mb=40_000.0)), "m0 alone has 40 GB"),
        (lambda: serving.MultiModel(models(2), weights=(1,)), "should be 2, one a model"),
        (lambda: serving.MultiModel(models(2), weights=(0, 0)), "not all of them 0"),
        (lambda: serving.MultiModel(models(2), weights=(1, -1)), "weights[1]=-1"),
        (lambda: serving.MultiModel(models(2), popularity=-1), "popularity=-1"),
        (lambda: serving.MultiModel(models(2), memory_mb=0), "memory_mb=0"),
        (lambda: serving.MultiModel(models(2), workers=0), "workers=0"),
        (lambda: serving.MultiModel(models(1)[0]), "models=ModelProfile"),
        (lambda: serving.MultiModel(["a"]), "models[0]='a'"),
        (lambda: story([(0, 0)], models=models(1), model_column="modl"), "model_column='modl'"),
        (lambda: story([(0, 0), (1, 1)], models=models(1)), "asks for model 1; it should be 0 to 0"),
        (
            lambda: sl.simulate(serving.MultiModel(models(2), model_column="half"), TRACE, hours=1),
            "asks for model 0.5",
        ),
        (
            lambda: sl.simulate(serving.MultiModel(models(1), instance_type="ml.m5.lrge"), TRACE, hours=1),
            "instance_type='ml.m5.lrge'",
        ),
        (lambda: theory.lru_hit_ratio([1, 2], 0), "slots=0"),
        (lambda: theory.lru_hit_ratio([1, -2], 1), "shares[1]=-2"),
        (lambda: theory.lru_hit_ratio([1.0] * 50, 10, exact=True), "too many orders"),
    ],
)
def test_what_cannot_be_is_one_sentence(call: Callable[[], object], named: str) -> None:
    with pytest.raises(sl.ParameterError) as caught:
        call()
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)
