"""The clock: streams by purpose, calendar, runs that continue, the progress bar, and Ctrl-C."""

import _thread
import gc
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import simlib as sl
from simlib import serving, simulation, workload
from simlib.serving.station import Station

ROOT = Path(__file__).parents[1]
MODEL = sl.ModelProfile("translator", service=sl.lognormal(mean=0.4, cv=0.5))
CHAT = workload.poisson(rate=4, name="chat")


def endpoint(count: int = 3, **options: object) -> serving.RealTime:
    return serving.RealTime(MODEL, initial_instance_count=count, **options)


def same(one: sl.Run, other: sl.Run) -> bool:
    """The same bytes, request by request."""
    pairs = zip(one.snapshot.requests, other.snapshot.requests, strict=True)
    return all(a.tobytes() == b.tobytes() for a, b in pairs)


# --- same seed, same bytes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("routing", ["RANDOM", "LEAST_OUTSTANDING_REQUESTS", "SHARED_QUEUE"])
def test_the_same_seed_gives_the_same_bytes(routing):
    one, other = (sl.simulate(endpoint(routing=routing), CHAT, hours=0.5, seed=7) for _ in range(2))
    assert same(one, other)
    assert one.summary().equals(other.summary())
    assert one.invoice.equals(other.invoice)


def test_a_run_that_nobody_keeps_frees_its_log_at_once(monkeypatch):
    """Not when Python next looks for rings: a classroom's kernels have no room for the logs of several runs."""
    tables = []
    advance = Station.advance

    def watched(station, until):
        advance(station, until)
        tables.append(weakref.ref(station.lane.log_times))

    monkeypatch.setattr(Station, "advance", watched)
    gc.disable()
    try:
        run = sl.simulate(endpoint(), CHAT, hours=0.1, seed=7)
        assert any(table() is not None for table in tables), "the run keeps it"
        del run
        assert all(table() is None for table in tables)
    finally:
        gc.enable()


@pytest.mark.parametrize("different", [{"seed": 8}, {"replication": 1}])
def test_another_seed_or_replication_gives_others(different):
    one, other = (
        sl.simulate(endpoint(), CHAT, hours=0.5, seed=7),
        sl.simulate(endpoint(), CHAT, hours=0.5, **{"seed": 7, **different}),
    )
    assert not np.array_equal(one.requests["arrival_s"].head(100), other.requests["arrival_s"].head(100))


def test_the_same_bytes_in_another_process():
    """Whatever the order of sets there: keys of streams are hashed by sha256, not by Python."""
    story = (
        "import simlib as sl, hashlib; from simlib import serving, workload;"
        "m = sl.ModelProfile('translator', service=sl.lognormal(mean=0.4, cv=0.5));"
        "run = sl.simulate(serving.RealTime(m, initial_instance_count=3), workload.poisson(rate=4, name='chat'),"
        " hours=0.5, seed=7);"
        "print(hashlib.sha256(b''.join(column.tobytes() for column in run.snapshot.requests)).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", story],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1


def test_a_stream_is_known_by_its_purpose():
    sim = sl.Simulation(seed=1)
    assert sim.rng("a", "b").random() == sim.rng("a", "b").random()
    numbers = [sim.rng(*purpose).random() for purpose in (("a", "b"), ("ab",), ("b", "a"), ("a",), ("a", "b", ""))]
    assert len(set(numbers)) == 5
    assert sl.Simulation(seed=2).rng("a").random() != sim.rng("a").random()
    assert sl.Simulation(seed=1, replication=1).rng("a").random() != sim.rng("a").random()


def test_drawing_for_one_purpose_leaves_the_others_alone():
    sim = sl.Simulation(seed=1)
    quiet = sim.deploy(endpoint(), CHAT)
    sim.rng("something", "else").random(1000)
    sim.run(hours=0.5)
    assert same(quiet.run, sl.simulate(endpoint(), CHAT, hours=0.5, seed=1))


def test_another_deployment_beside_it_changes_nothing():
    sim = sl.Simulation(seed=7)
    one = sim.deploy(endpoint(), CHAT)
    sim.deploy(endpoint(5, workers=2), workload.poisson(rate=9, name="photos"))
    sim.run(hours=0.5)
    assert same(one.run, sl.simulate(endpoint(), CHAT, hours=0.5, seed=7))


def test_two_endpoints_of_one_workload_see_the_same_requests():
    sim = sl.Simulation(seed=7)
    small, large = sim.deploy(endpoint(2), CHAT), sim.deploy(endpoint(40), CHAT)
    sim.run(hours=0.5)
    one, other = small.run.requests, large.run.requests
    assert np.array_equal(one["arrival_s"], other["arrival_s"])
    # and each request is as much work: where nobody waits long, it takes as long
    alone = (one["start_s"] == one["arrival_s"]) & (other["start_s"] == other["arrival_s"])
    alone &= one["finish_s"].notna() & other["finish_s"].notna()
    assert alone.sum() > 1000
    assert np.array_equal(one["finish_s"][alone], other["finish_s"][alone])


def test_retries_change_no_other_request():
    """Where there is room, who may retry and who may not see the same; only the refused differ."""
    roomy = {"queue_limit": 10_000}
    without = sl.simulate(endpoint(**roomy), CHAT, hours=0.5, seed=7)
    with_retries = sl.simulate(endpoint(retry=serving.Retry(max_attempts=5), **roomy), CHAT, hours=0.5, seed=7)
    assert (without.requests["attempts"] == 1).all()
    assert same(without, with_retries)
    tight = {"queue_limit": 1}
    refusing = sl.simulate(endpoint(**tight), CHAT, hours=0.5, seed=7).requests
    retrying = sl.simulate(endpoint(retry=serving.Retry(max_attempts=5), **tight), CHAT, hours=0.5, seed=7).requests
    assert (retrying["attempts"] > 1).any()
    assert np.array_equal(refusing["arrival_s"], retrying["arrival_s"])
    assert (retrying["status"] == "rejected").mean() < (refusing["status"] == "rejected").mean()


def test_speed_rescales_each_request():
    slow, fast = (sl.simulate(endpoint(200, speed=speed), CHAT, hours=0.2, seed=7).requests for speed in (1.0, 2.0))
    both = ((slow["start_s"] == slow["arrival_s"]) & (fast["start_s"] == fast["arrival_s"])).to_numpy()
    both = both & slow["finish_s"].notna().to_numpy()
    work = [(run["finish_s"] - run["start_s"]).to_numpy()[both] for run in (slow, fast)]
    assert both.sum() > 1000
    np.testing.assert_allclose(work[0], 2 * work[1], rtol=0, atol=1e-9)


# --- one clock ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "calls", [CHAT, workload.diurnal(2.0), workload.bursty(1.0, 20.0, 300.0, 30.0), CHAT + workload.diurnal(1.0)]
)
def test_an_hour_is_the_first_hour_of_a_day(calls):
    hour = sl.simulate(endpoint(), calls, hours=1, seed=7).requests
    day = sl.simulate(endpoint(), calls, hours=24, seed=7).requests.head(len(hour))
    assert np.array_equal(hour["arrival_s"], day["arrival_s"])
    ended = hour["finish_s"].notna()
    assert hour[ended].equals(day[ended])
    assert (day["finish_s"][~ended] > 3600).all()


def test_running_twice_is_running_once():
    once = sl.simulate(endpoint(), CHAT, hours=2, seed=7)
    sim = sl.Simulation(seed=7)
    running = sim.deploy(endpoint(), CHAT)
    sim.run(hours=0.3)
    early = running.run
    counted = early.snapshot.tally.copy()
    sim.run(until_s=4321.5)
    sim.run(hours=2 - 4321.5 / 3600)
    assert sim.env.now == pytest.approx(7200)
    assert same(once, running.run)
    assert early.snapshot.end_s == 1080  # what was seen stays as it was
    assert np.array_equal(early.snapshot.tally, counted)
    early.check()
    running.run.check()


def test_days_hours_and_until():
    sim = sl.Simulation()
    sim.run(days=1.5)
    assert sim.env.now == 1.5 * 86400
    sim.run(hours=1)
    assert sim.env.now == 1.5 * 86400 + 3600
    sim.run(until_s=200_000)
    assert sim.env.now == 200_000


def test_the_calendar():
    sim = sl.Simulation(start="2026-03-01T22:00+02:00")
    assert sim.date() == datetime(2026, 3, 1, 20, tzinfo=UTC)
    sim.run(days=1)
    assert sim.date() == datetime(2026, 3, 2, 20, tzinfo=UTC)
    assert sim.date(3600) == datetime(2026, 3, 1, 21, tzinfo=UTC)
    assert sl.Simulation(start="2026-03-01").date() == datetime(2026, 3, 1, tzinfo=UTC)  # UTC where nothing is said
    assert sl.Simulation().date().isoweekday() == 1  # a Monday


def test_simulate_takes_the_calendar_too():
    """A schedule at nine in Madrid comes an hour into a run that starts at eight there."""
    nine = serving.ScheduledScaling("cron(0 9 * * ? *)", min_capacity=4, max_capacity=5, timezone="Europe/Madrid")
    run = sl.simulate(endpoint(scaling=nine), CHAT, hours=2, seed=7, start="2026-03-02T08:00+01:00")
    assert run.events.query("kind == 'capacity'")["time_s"].tolist() == [3600.0]
    with pytest.raises(sl.ParameterError, match="start='noon' is not possible"):
        sl.simulate(endpoint(), CHAT, hours=1, start="noon")


def test_a_process_decides_on_the_clock():
    seen: list[tuple[float, float]] = []

    def watch(sim):
        while True:
            yield sim.env.timeout(600)
            seen.append((sim.env.now, float(running.run.summary()["requests"])))

    sim = sl.Simulation(seed=7)
    running = sim.deploy(endpoint(), CHAT)
    sim.start(watch)
    sim.run(hours=1)
    assert [time for time, _ in seen] == [600, 1200, 1800, 2400, 3000]
    arrivals = running.run.requests["arrival_s"]
    assert [count for _, count in seen] == [(arrivals < time).sum() for time, _ in seen]
    assert same(running.run, sl.simulate(endpoint(), CHAT, hours=1, seed=7))  # looking changes nothing


def test_a_process_may_be_a_generator():
    sim, seen = sl.Simulation(), []

    def story():
        yield sim.env.timeout(5)
        seen.append(sim.env.now)

    sim.start(story())
    sim.run(until_s=6)
    assert seen == [5]


def test_the_event_log_is_kept_by_subject():
    sim = sl.Simulation()
    one, two = sim.deploy(endpoint(1), CHAT), sim.deploy(endpoint(2), CHAT)
    sim.run(until_s=1)
    assert set(one.run.events["subject"].str.split("/").str[0]) == {one.name}
    assert set(two.run.events["subject"].str.split("/").str[0]) == {two.name}
    sim.tell("noted", two.name, "something")
    assert two.run.events.iloc[-1].tolist() == [1.0, "noted", two.name, "something"]


def test_deploying_in_mid_run():
    sim = sl.Simulation(seed=7)
    early = sim.deploy(endpoint(), CHAT)
    sim.run(hours=0.25)
    late = sim.deploy(endpoint(), CHAT)
    sim.run(hours=0.25)
    run = late.run
    run.check()
    everything = early.run.requests["arrival_s"]
    assert np.array_equal(run.requests["arrival_s"], everything[everything >= 900])
    assert run.snapshot.begin_s == 900
    assert run.invoice["quantity"].iloc[0] == pytest.approx(3 * 0.25)  # instance-hours
    assert same(early.run, sl.simulate(endpoint(), CHAT, hours=0.5, seed=7))
    assert "0.25 h" in repr(run)


def test_from_cold_instances_launch_first():
    sim = sl.Simulation(seed=7)
    cold = sim.deploy(endpoint(), CHAT, from_cold=True)
    sim.run(hours=0.5)
    run = cold.run
    run.check()
    assert (run.instances["in_service_s"] > 60).all()
    first = run.instances["in_service_s"].min()
    answered = run.requests["status"] == "completed"
    assert (run.requests["start_s"][answered] >= first).all()
    assert not (run.requests["status"][run.requests["arrival_s"] < first - 60] == "completed").any()


def test_a_folded_run_is_chosen_for_many_requests_and_can_be_forced(monkeypatch):
    assert not sl.simulate(endpoint(), CHAT, hours=0.1).folded
    assert sl.simulate(endpoint(), CHAT, hours=0.1, log="folded").folded
    monkeypatch.setattr(simulation, "EXACT_UP_TO", 1000)
    assert sl.simulate(endpoint(), CHAT, hours=0.1).folded
    assert not sl.simulate(endpoint(), CHAT, hours=0.1, log="exact").folded


# --- the progress bar -----------------------------------------------------------------------------------------------


class Bar:
    """In place of tqdm: what it was told."""

    made: list["Bar"]

    def __init__(self, *, total: float, **options: object) -> None:
        self.total, self.n, self.closed = total, 0.0, False
        Bar.made.append(self)

    def update(self, amount: float) -> None:
        self.n += amount

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def bars(monkeypatch):
    import tqdm.auto

    Bar.made = []
    monkeypatch.setattr(tqdm.auto, "tqdm", Bar)
    monkeypatch.setattr(simulation, "LOOK_EVERY", 1000)
    return Bar.made


def test_a_short_run_shows_no_bar(bars):
    sl.simulate(endpoint(), CHAT, hours=5)
    assert not bars


def test_a_bar_can_be_asked_for_or_forbidden(bars, monkeypatch):
    sl.simulate(endpoint(), CHAT, hours=5, progress=True)
    assert len(bars) == 1
    assert bars[0].total == 18_000
    assert 0.9 * 18_000 < bars[0].n < 18_000
    assert bars[0].closed
    monkeypatch.setattr(simulation, "SHOW_PROGRESS_AFTER_S", 0.0)
    sl.simulate(endpoint(), CHAT, hours=5, progress=False)
    assert len(bars) == 1


def test_the_bar_shows_itself_after_two_seconds(bars, monkeypatch):
    """A process that takes time, as a user's own may; on a clock of our own, which no busy machine disturbs."""
    passed_s, moved = [0.0], []
    monkeypatch.setattr(simulation, "time", SimpleNamespace(monotonic=lambda: sum(passed_s)))

    def slow(sim):
        for _ in range(28):
            yield sim.env.timeout(600)
            passed_s.append(0.1)
            moved.append(bars[0].n if bars else None)

    sim = sl.Simulation(seed=7)
    sim.deploy(endpoint(), CHAT)
    sim.start(slow)
    sim.run(hours=5)
    assert len(bars) == 1
    steps = [n for n in moved if n is not None]
    assert moved[:20] == [None] * 20
    assert moved[21] is not None  # looks are 1000 s apart: one comes within two of these steps
    assert bars[0].closed
    assert steps == sorted(steps)
    assert len(set(steps)) >= 3  # it moves


def test_a_real_bar_leaves_nothing_behind(capsys, monkeypatch):
    monkeypatch.setattr(simulation, "LOOK_EVERY", 1000)
    sl.simulate(endpoint(), CHAT, hours=2, progress=True)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "simulated s" in captured.err
    assert captured.err.rstrip(" ").endswith("\r")


# --- Ctrl-C ---------------------------------------------------------------------------------------------------------


def interrupt_at(hours: float):
    """A process that presses Ctrl-C, as a person would, at that hour."""

    def story(sim):
        yield sim.env.timeout(hours * 3600)
        _thread.interrupt_main()

    return story


def test_ctrl_c_gives_back_what_was_simulated(monkeypatch):
    sim = sl.Simulation(seed=7)
    running = sim.deploy(endpoint(), CHAT)
    sim.start(interrupt_at(1))
    before = signal.getsignal(signal.SIGINT)
    sim.run(hours=24)
    assert sim.interrupted
    assert 3600 <= sim.env.now < 24 * 3600
    assert signal.getsignal(signal.SIGINT) is before
    run = running.run
    assert run.partial
    assert "partial" in repr(run)
    run.check()
    whole = sl.simulate(endpoint(), CHAT, hours=sim.env.now / 3600, seed=7)
    assert np.array_equal(run.requests["arrival_s"], whole.requests["arrival_s"])
    assert run.summary()["usd"] == pytest.approx(whole.summary()["usd"])


def test_simulate_says_that_it_was_stopped(monkeypatch, capsys):
    monkeypatch.setattr(simulation, "LOOK_EVERY", 1000)
    look = simulation.Simulation._look

    def look_and_press(self, end, bar):
        self.start(interrupt_at(1))
        return look(self, end, bar)

    monkeypatch.setattr(simulation.Simulation, "_look", look_and_press)
    run = sl.simulate(endpoint(), CHAT, hours=24, seed=7)
    assert run.partial
    run.check()
    assert capsys.readouterr().out.startswith("Stopped after 1")


def test_a_second_ctrl_c_interrupts_at_once():
    def twice(sim):
        yield sim.env.timeout(3600)
        _thread.interrupt_main()
        time.sleep(0.01)
        _thread.interrupt_main()
        time.sleep(0.01)

    sim = sl.Simulation(seed=7)
    sim.deploy(endpoint(), CHAT)
    sim.start(twice)
    with pytest.raises(KeyboardInterrupt):
        sim.run(hours=24)


def test_a_run_in_another_thread_leaves_signals_alone():
    found: list[sl.Run] = []
    thread = threading.Thread(target=lambda: found.append(sl.simulate(endpoint(), CHAT, hours=0.5, seed=7)))
    thread.start()
    thread.join()
    assert same(found[0], sl.simulate(endpoint(), CHAT, hours=0.5, seed=7))


STOPPED = """
import simlib as sl
from simlib import serving, workload
model = sl.ModelProfile("m", service=sl.exponential(mean=0.1))
deployment = serving.RealTime(model, initial_instance_count=30, routing="SHARED_QUEUE")
sl.simulate(deployment, workload.poisson(rate=200), hours=0.01)  # compiled, or loaded
look = sl.Simulation._look

def look_and_tell(sim, end, bar):
    yield sim.env.timeout(3600)
    print("running", flush=True)
    yield from look(sim, end, bar)

sl.Simulation._look = look_and_tell
run = sl.simulate(deployment, workload.poisson(rate=200), days=3650, log="folded", progress=False)
run.check()
print("partial" if run.partial else "whole", run.snapshot.end_s > 0, flush=True)
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one process alone")
def test_a_real_sigint_gives_back_a_partial_run():
    command = [sys.executable, "-c", STOPPED]
    listens = partial(signal.signal, signal.SIGINT, signal.default_int_handler)  # whatever a shell ignores
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, preexec_fn=listens) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n"
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=300)  # the ten years would take an hour
        assert process.returncode == 0
    assert said.startswith("Stopped after")
    assert said.endswith("partial True\n")
