"""A run that is killed goes on from its last day and ends with the same bytes (docs/invariants.md, I19).

By deliberate damage these tests found each of: a tape that leaves out the readings of one policy, a station that
forgets its random streams, or its places.
"""

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import simlib as sl
from simlib import checkpoint, serving, workload
from simlib.parameters import ParameterError
from simlib.serving.tape import Tape

MODEL = sl.ModelProfile("tagger", service=sl.lognormal(mean=0.08, cv=0.6), size_mb=100)
CALLS = workload.diurnal(2) + workload.bursty(0.2, 8, 900, 60)
LIFE = serving.InstanceLife(crash_rate_per_day=3, scale_in_takes="idlest")
TRACKING = serving.TargetTracking(target=60, min_capacity=1, max_capacity=9)
WAITING = serving.TargetTracking(target=0.5, metric="ConcurrentRequestsPerModel", min_capacity=1, max_capacity=9)


def on_instances(routing: Any, *scaling: Any, **other: Any) -> serving.RealTime:
    return serving.RealTime(
        MODEL, initial_instance_count=2, routing=routing, instance_life=LIFE, scaling=scaling, **other
    )


GREEN = serving.Variant("green", MODEL, initial_instance_count=2)
DEPLOYMENTS = {
    "random": on_instances("RANDOM", TRACKING, retry=serving.Retry(3), queue_limit=2),
    "least outstanding": on_instances("LEAST_OUTSTANDING_REQUESTS", TRACKING, WAITING),
    "shared": on_instances("SHARED_QUEUE", WAITING, invocation_timeout_s=0.3),
    "shadowed": on_instances("RANDOM", TRACKING, shadow=GREEN),
    "serverless": serving.Serverless(MODEL, max_concurrency=8, reuse="random", provisioned_concurrency=1),
    "serverless by age": serving.Serverless(MODEL, max_concurrency=8, provisioned_concurrency=1),
    "asynchronous": serving.Asynchronous(
        MODEL, instance_life=LIFE, scaling=serving.BacklogTracking(target=2, min_capacity=0, max_capacity=4)
    ),
}


class Killed(Exception):
    """The process is gone, as far as the run is concerned."""


def killed_at(day: int, monkeypatch: pytest.MonkeyPatch, **asked: Any) -> None:
    """Run until the checkpoint of a day is written, and no further."""
    keep = checkpoint._keep

    def keep_and_die(sim: sl.Simulation, *others: Any) -> None:
        keep(sim, *others)
        if sim.env.now >= day * 86400:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "_keep", keep_and_die)
        with pytest.raises(Killed):
            sl.simulate(**asked)


LOGGED = ("least outstanding", "serverless")  # with every request; the log is kept in one way for all


@pytest.mark.parametrize(("name", "log"), [(name, "exact" if name in LOGGED else "folded") for name in DEPLOYMENTS])
def test_a_run_that_is_killed_ends_with_the_same_bytes(
    name: str, log: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = dict(deployment=DEPLOYMENTS[name], workload=CALLS, days=2.3, seed=5, log=log, progress=False)
    whole = sl.simulate(**asked)
    path = tmp_path / "run.checkpoint"
    for day in (1, 2):  # killed twice
        killed_at(day, monkeypatch, checkpoint=path, **asked)
    assert sl.simulate(checkpoint=path, **asked) == whole
    if not name.startswith("serverless"):
        assert len(whole.snapshot.desired) > 20, "a test of decisions in which little is decided"


def test_kill_9_in_the_middle_of_a_checkpoint(tmp_path: Path) -> None:
    """The process dies while it writes the checkpoint of day 2: that of day 1 is there, whole."""
    path = tmp_path / "run.checkpoint"
    script = f"""
import os, signal, numpy as np, simlib as sl
from simlib import checkpoint
from tests.test_checkpoint import CALLS, DEPLOYMENTS
save = np.savez
def savez(file, **arrays):
    if os.path.exists({str(path)!r}):
        file.write(b"half of it")
        file.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    save(file, **arrays)
np.savez = savez
sl.simulate(DEPLOYMENTS["random"], CALLS, days=3, log="folded", checkpoint={str(path)!r}, progress=False)
"""
    root = str(Path(__file__).parents[1])
    died = subprocess.run([sys.executable, "-c", script], check=False, cwd=root, env=os.environ | {"PYTHONPATH": root})
    assert died.returncode == -signal.SIGKILL
    assert path.with_name("run.checkpoint.part").read_bytes() == b"half of it"
    asked = dict(deployment=DEPLOYMENTS["random"], workload=CALLS, days=3, log="folded", progress=False)
    assert sl.simulate(checkpoint=path, **asked) == sl.simulate(**asked)


def test_a_finished_run_is_not_run_again_and_a_longer_one_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, asked = tmp_path / "x", dict(deployment=DEPLOYMENTS["shared"], workload=CALLS, log="folded", progress=False)
    short = sl.simulate(days=1.5, checkpoint=path, **asked)
    with monkeypatch.context() as patch:
        patch.setattr(sl.Simulation, "run_in_parts", None)
        assert sl.simulate(days=1.5, checkpoint=path, **asked) == short
    assert sl.simulate(days=2, checkpoint=path, **asked) == sl.simulate(days=2, **asked)


def test_a_full_disk_stops_no_run_and_spoils_no_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, asked = tmp_path / "x", dict(deployment=DEPLOYMENTS["shared"], workload=CALLS, log="folded", progress=False)
    sl.simulate(days=1, checkpoint=path, **asked)
    before = path.read_bytes()
    most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, most[1]))  # no file may grow beyond
    try:
        run = sl.simulate(days=2, checkpoint=path, **asked)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, most)
    assert run == sl.simulate(days=2, **asked)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    assert capsys.readouterr().out.startswith("The checkpoint of day 2 could not be written (File too large)")


def test_what_belongs_to_another_run_is_refused(tmp_path: Path) -> None:
    path, asked = tmp_path / "x", dict(deployment=DEPLOYMENTS["shared"], workload=CALLS, days=1, log="folded")
    sl.simulate(checkpoint=path, **asked)
    for other, said in (
        (dict(seed=9), r"belongs to a run with another seed \(0, not 9\)"),
        (dict(deployment=DEPLOYMENTS["random"]), "belongs to a run with another deployment;"),
        (dict(workload=workload.poisson(2)), "belongs to a run with another workload;"),
        (dict(log="exact"), "another log"),
        (dict(days=0.5), "is 1 days into the run, which should end after 0.5"),
    ):
        with pytest.raises(ParameterError, match=said):
            sl.simulate(checkpoint=path, **asked | other)
    path.write_bytes(b"something else")
    with pytest.raises(ParameterError, match="is not a checkpoint that this version of simlib wrote"):
        sl.simulate(checkpoint=path, **asked)


def test_where_no_checkpoint_can_be(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r"checkpoint='.*nowhere/x' cannot be written: No such file"):
        sl.simulate(DEPLOYMENTS["shared"], CALLS, days=1, checkpoint=tmp_path / "nowhere" / "x")
    jobs = serving.BatchTransform(MODEL)
    with pytest.raises(ParameterError, match="checkpoint is not possible for BatchTransform"):
        sl.simulate(jobs, workload.files(3, size_mb=1), checkpoint=tmp_path / "x")
    assert not list(tmp_path.iterdir())


def test_a_tape_plays_what_was_read() -> None:
    tape = Tape()
    read = [tape.read(lambda k=k: list(range(k))) for k in (2, 0, 3)]
    again = Tape(tape.arrays)
    assert [again.read(lambda: [0.0] * 9) for _ in read] == read
    again.record()
    assert again.read(lambda: [7]) == [7]
    half = Tape(tape.arrays)
    half.read(lambda: [0.0])
    with pytest.raises(ValueError, match="2 readings were not asked for again"):
        half.record()
