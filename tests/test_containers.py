"""Serverless: the compiled containers against plain SimPy, bit for bit; theory; and what is paid for."""

import math
from collections.abc import Callable

import numpy as np
import pytest

import simlib as sl
from simlib import record, serving, workload
from simlib.record import Requests
from simlib.serving import lanes
from simlib.serving.station import Chunk, Rules, Station
from tests.reference.pool import ReferencePool

HISTORIES = 400  # of each policy of reuse
POLICIES = {
    "newest_created": lanes.NEWEST_CREATED,
    "most_recently_used": lanes.MOST_RECENTLY_USED,
    "oldest_created": lanes.OLDEST_CREATED,
    "random": lanes.ANY_ONE,
}
each_policy = pytest.mark.parametrize("reuse", POLICIES.values(), ids=POLICIES.keys())


def history(seed: int, reuse: int) -> tuple[Rules, Chunk, list[tuple[float, int]], float]:
    """Rules, 20 to 120 requests, changes of the provisioned containers, and an end."""
    rng = np.random.default_rng([seed, reuse])
    n = int(rng.integers(20, 121))
    arrivals = np.cumsum(rng.exponential(rng.uniform(0.1, 3.0), n))
    services = np.stack([rng.lognormal(-0.3, 0.8, n), rng.lognormal(0.2, 0.8, n), rng.exponential(0.5, n)])
    end = float(arrivals[-1]) * 1.02
    rules = Rules(
        lanes.SERVERLESS,
        timeout_s=float(rng.uniform(1.0, 6.0)) if rng.random() < 0.7 else math.inf,
        max_attempts=int(rng.integers(1, 5)),
        backoff_base_s=float(rng.uniform(0.05, 1.0)),
        backoff_factor=2.0,
        backoff_jitter=bool(rng.integers(2)),
        max_concurrency=int(rng.integers(1, 9)),
        keep_alive_s=float(rng.uniform(0.5, 8.0)),
        max_age_s=float(rng.uniform(2.0, 20.0)) if rng.random() < 0.6 else math.inf,
        reuse=reuse,
        fetch_s=float(rng.uniform(0.0, 0.5)),
        fold=True,
    )
    commands, provisioned = [], 0
    for at in np.sort(rng.uniform(0, end, rng.integers(0, 6))):
        wanted = int(rng.integers(0, rules.max_concurrency + 1))
        commands.append((float(at), wanted - provisioned))
        provisioned = wanted
    return rules, Chunk(arrivals, services, u_instance=rng.random(n), u_backoff=rng.random(n)), commands, end


def play(
    rules: Rules,
    requests: Chunk,
    commands: list[tuple[float, int]],
    end: float,
    *,
    chunk: int = 1 << 16,
    looks: int = 0,
    look: Callable[[Station], None] = lambda station: None,
) -> Station:
    """The history through the lane, looked at now and then."""
    station = Station(rules, [1], [requests], chunk=chunk)
    moments = np.random.default_rng(looks).uniform(0, end, looks)
    for at, change in sorted([*commands, *((float(at), 0) for at in moments)]):
        station.advance(at)
        look(station)
        station.provision(change)
    station.advance(end)
    return station


def same(a: Requests, b: Requests) -> bool:
    return all(np.array_equal(x, y, equal_nan=x.dtype.kind == "f") for x, y in zip(a, b, strict=True))


def seen(station: Station) -> tuple[float, int, int, int]:
    """Now: callers that wait for an answer, containers in work, and containers that are kept warm."""
    places = station.lane.places[0]
    warm = int((places["provisioned"] & ~np.isnan(places["created"])).sum())
    return station.now, len(station.inside()), int(station.waiting_and_running()[0, 1]), warm


@each_policy
def test_random_histories_equal_plain_simpy(reuse: int) -> None:
    """The log, request by request; every counter, minute by minute; and what a decision sees, every five seconds."""
    for seed in range(HISTORIES):
        rules, requests, commands, end = history(seed, reuse)
        commands = sorted([*commands, *((float(at), 0) for at in np.arange(5.0, end, 5.0))])
        reference = ReferencePool(rules, requests)
        expected = reference.run(commands, end)
        looks: list[tuple[float, int, int, int]] = []
        station = play(rules, requests, commands, end, look=lambda station, to=looks: to.append(seen(station)))
        found = station.log()
        assert same(found, expected), f"history({seed}, {reuse}): {_first_difference(found, expected)}"
        assert looks == reference.looks, f"history({seed}, {reuse})"
        tally = reference.tally(station.lane.tally.shape[1], end)
        apart = np.argwhere(station.lane.tally[0] != tally)
        told = [(m, c, station.lane.tally[0, m, c], tally[m, c]) for m, c in apart[:3]]
        assert not told, f"history({seed}, {reuse}), (minute, column, lane, SimPy): {told}"


def _first_difference(found: Requests, expected: Requests) -> str:
    for row in range(len(expected.arrival)):
        pairs = [(name, a[row], b[row]) for name, a, b in zip(found._fields, found, expected, strict=True)]
        wrong = [f"{name}: lane {a}, SimPy {b}" for name, a, b in pairs if not (a == b or (a != a and b != b))]
        if wrong:
            return f"request {row} ({'; '.join(wrong)})"
    return "lengths"


@each_policy
def test_looks_and_chunks_change_no_byte(reuse: int) -> None:
    for seed in range(100):
        given = history(seed, reuse)
        plain = play(*given)
        for chunk, looks in ((1, 0), (7, 20), (1 << 16, 60)):
            other = play(*given, chunk=chunk, looks=looks)
            assert same(plain.log(), other.log()), seed
            for table in ("tally", "per_instance", "histogram"):
                assert np.array_equal(getattr(plain.lane, table).sum(axis=1), getattr(other.lane, table).sum(axis=1)), (
                    seed
                )


def simulate(lam: float, hours: float, seed: int = 0, **options: object) -> "sl.Run":
    model = sl.ModelProfile("m", service=options.pop("service", sl.constant(0)), size_mb=1e-9)  # type: ignore[arg-type]
    usual = {"max_age_s": None, "cold_start": sl.constant(0), "max_concurrency": 200, "invocation_timeout_s": 1e6}
    endpoint = serving.Serverless(model, **(usual | options))  # type: ignore[arg-type]
    return sl.simulate(endpoint, workload.poisson(rate=lam), hours=hours, seed=seed, log="folded")


@pytest.mark.parametrize("gaps_in_keep_alive", [0.5, 1.5, 3.0])
def test_without_work_a_request_is_cold_after_a_gap_longer_than_the_keep_alive(gaps_in_keep_alive: float) -> None:
    """p_cold = exp(-λT): gaps are independent, so the count is binomial; error rate 1e-3 (z = 3.29)."""
    run = simulate(1 / 400, hours=20_000, keep_alive_s=400 * gaps_in_keep_alive)
    p, n = math.exp(-gaps_in_keep_alive), run.summary()["requests"]
    assert abs(run.summary()["cold_start_rate"] - p) < 3.29 * math.sqrt(p * (1 - p) / n)


def test_erlang_b_where_nothing_is_kept() -> None:
    """With no keep-alive the endpoint is M/M/c/c; 20 runs, Student interval, error rate 1e-3."""
    rates = [
        float(run.summary()["error_rate"])
        for run in (
            simulate(9.0, 2, seed, service=sl.exponential(1.0), max_concurrency=10, keep_alive_s=1e-9)
            for seed in range(20)
        )
    ]
    half = 3.88 * np.std(rates, ddof=1) / math.sqrt(20)
    assert abs(np.mean(rates) - sl.theory.erlang_b(9.0, 10)) < half


def test_little_holds_for_containers_in_work() -> None:
    """Mean containers in work = λ [(1 - p) W + p C]; Student interval over 10 runs, error rate 1e-3."""
    differences = []
    for seed in range(10):
        run = simulate(
            0.9, 400, seed, service=sl.exponential(1.991), cold_service=sl.exponential(2.244), keep_alive_s=600.0
        )
        p = run.summary()["cold_start_rate"]
        busy = run.snapshot.tally[0, :, record.BUSY_NS].sum() / 1e9 / run.snapshot.end_s
        differences.append(busy - 0.9 * ((1 - p) * 1.991 + p * 2.244))
    assert abs(np.mean(differences)) < 4.78 * np.std(differences, ddof=1) / math.sqrt(10)


def test_the_bill_is_the_log_s() -> None:
    model = sl.ModelProfile("m", service=sl.lognormal(0.5, 0.4), size_mb=200, load_seconds=1, request_kb=100)
    run = sl.simulate(
        serving.Serverless(model, memory_mb=4096, max_concurrency=5), workload.poisson(rate=4), hours=6, seed=3
    )
    run.check()
    done = run.requests.query("finish_s == finish_s and status != 'throttled'")
    seconds = np.ceil((done["finish_s"] - done["start_s"]) * 1000 - 1e-6).sum() / 1000
    gb_in, gb_out = len(done) * 100 / 1e6, len(done) * 1 / 1e6
    expected = seconds * 4 * 0.00002 + (gb_in + gb_out) * 0.016
    assert run.invoice.attrs["total"] == pytest.approx(expected, rel=1e-12)
    assert run.summary()["error_rate"] > 0


def test_thirty_idle_days_cost_nothing_unless_containers_are_kept_warm() -> None:
    model = sl.ModelProfile("m", service=sl.constant(0.1))
    nobody = workload.poisson(rate=1e-3).between(1e7, 2e7)
    assert sl.simulate(serving.Serverless(model), nobody, days=30).summary()["usd"] == 0.0
    warm = sl.simulate(serving.Serverless(model, memory_mb=2048, provisioned_concurrency=1), nobody, days=30)
    assert warm.summary()["usd"] == pytest.approx(30 * 86400 * 2 * 0.000005)


def test_provisioned_containers_come_first_and_their_change_takes_time() -> None:
    model = sl.ModelProfile("m", service=sl.constant(0.5))
    sim = sl.Simulation(seed=1)
    endpoint = sim.deploy(
        serving.Serverless(model, provisioned_concurrency=1, provisioning_s=60.0, max_concurrency=10),
        workload.from_counts([1] * 600, every_s=1.0),
    )

    def more(sim: sl.Simulation):
        yield sim.env.timeout(100.0)
        endpoint.provision(3)
        yield sim.env.timeout(200.0)
        endpoint.provision(0)

    sim.start(more)
    sim.run(until_s=600.0)
    assert endpoint.provisioned == [(0.0, 0), (0.0, 1), (160.0, 3), (300.0, 0)]
    first_cold = endpoint.run.requests.query("cold")["arrival_s"].min()
    assert first_cold < 600
    warm = endpoint.run.invoice.set_index("item").loc["Provisioned concurrency, warm", "quantity"]
    assert warm == pytest.approx(160 * 1 + 140 * 3)
    endpoint.run.check()


def test_what_cannot_be_is_one_sentence() -> None:
    model = sl.ModelProfile("m", service=sl.constant(0.1))
    with pytest.raises(sl.ParameterError, match="at most max_concurrency=20"):
        serving.Serverless(model, provisioned_concurrency=21)
    with pytest.raises(sl.ParameterError, match="memory_mb=1000"):
        sl.simulate(serving.Serverless(model, memory_mb=1000), workload.poisson(rate=1), hours=1)
    with pytest.raises(sl.ParameterError, match="has no parameter 'memory'; did you mean 'memory_mb'"):
        serving.Serverless(model, memory=2048)  # type: ignore[call-arg]
