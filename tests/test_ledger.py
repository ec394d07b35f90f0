"""Experiments that are killed, on one core, many, and a cluster: nothing is lost, and the bytes are the same (I20)."""

import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import simlib as sl
from simlib import experiments, replications, serving, workers, workload
from simlib.parameters import ParameterError

ROOT = str(Path(__file__).parents[1])
CALLS = workload.poisson(rate=24)
TAGGER = sl.ModelProfile("tagger", service=sl.lognormal(mean=0.1, cv=0.5))
GRID = {"workers": [3, 4, 5, 6]}
ASKED: dict[str, Any] = dict(hours=0.05, replications=2, seed=3)


def station(workers: int) -> serving.RealTime:
    return serving.RealTime(TAGGER, workers=workers, routing="SHARED_QUEUE")


def swept(**more: Any) -> pd.DataFrame:
    return experiments.sweep(GRID, station, CALLS, **ASKED | more)


def same(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    pd.testing.assert_frame_equal(one, other, check_exact=True)
    return one.to_numpy(float).tobytes() == other.to_numpy(float).tobytes()


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of the runs that are made from here on, in this process."""
    numbers: list[int] = []
    numbered = workers._numbered

    def counted(number: int, *task: Any) -> Any:
        numbers.append(number)
        return numbered(number, *task)

    monkeypatch.setattr(workers, "_numbered", counted)
    return numbers


# --- results on disk -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_kill_9_in_mid_sweep_loses_no_run_that_was_written(n_jobs: int, tmp_path: Path, made: list[int]) -> None:
    path = tmp_path / "sweep.sqlite"
    script = f"""
import os, signal
from simlib.ledger import Ledger
from tests.test_ledger import swept
add, added = Ledger.add, []
def add_and_die(self, *row):
    add(self, *row)
    added.append(row)
    if len(added) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
Ledger.add = add_and_die
swept(results={str(path)!r}, n_jobs={n_jobs})
"""
    died = subprocess.run([sys.executable, "-c", script], check=False, cwd=ROOT, env=os.environ | {"PYTHONPATH": ROOT})
    assert died.returncode == -signal.SIGKILL
    assert len(experiments.read_results(path)) == 3
    again = swept(results=path)
    assert len(made) == 8 - 3
    assert same(again, swept())
    made.clear()
    assert same(swept(results=path), again)
    assert not made


def test_what_is_read_is_every_run_with_its_options(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    frame = swept(results=path)
    runs = experiments.read_results(path)
    assert len(runs) == 8
    assert set(runs["seed"]) == {3}
    assert (runs["hours"] == 0.05).all()
    assert runs.groupby("deployment")["p95_s"].mean().tolist() == frame["p95_s"].tolist()


def test_a_run_is_found_by_what_it_is_and_by_nothing_else(tmp_path: Path, made: list[int]) -> None:
    path = tmp_path / "x.sqlite"
    swept(results=path)
    made.clear()
    more = experiments.compare({"a": station(3), "b": station(9)}, CALLS, results=path, **ASKED | {"replications": 3})
    assert len(made) == 1 + 3  # of station(3) two replications are there
    assert same(more, experiments.compare({"a": station(3), "b": station(9)}, CALLS, **ASKED | {"replications": 3}))
    for other in (dict(seed=4), dict(hours=0.06), dict(warm_up_hours=0.01), dict(log="folded")):
        made.clear()
        experiments.replicate(station(3), CALLS, results=path, **ASKED | other)
        assert len(made) == 2, other
    made.clear()
    experiments.replicate(station(3), workload.poisson(rate=25), results=path, **ASKED)
    assert len(made) == 2


def test_a_full_disk_stops_no_sweep_and_spoils_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.sqlite"
    experiments.replicate(station(3), CALLS, results=path, **ASKED)
    most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size, most[1]))  # no file may grow any more
    try:
        full = swept(results=path, hours=0.1, replications=6)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, most)
    told = capsys.readouterr().out
    assert same(full, swept(hours=0.1, replications=6))
    assert told.count("cannot be written now") == 1
    there = experiments.read_results(path)
    assert 2 <= len(there) < 26
    assert f"{26 - len(there)} runs are not in" in told
    assert same(swept(results=path, hours=0.1, replications=6), full)
    assert len(experiments.read_results(path)) == 26


def test_what_is_no_file_of_results_is_told(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r"sweep: results='.*nowhere/x' cannot be used: unable to open"):
        swept(results=tmp_path / "nowhere" / "x")
    (tmp_path / "text").write_text("something else, long enough to be looked at")
    with pytest.raises(ParameterError, match="cannot be used: file is not a database"):
        swept(results=tmp_path / "text")
    with pytest.raises(ParameterError, match="there is no file"):
        experiments.read_results(tmp_path / "x")
    with pytest.raises(ParameterError, match="results is not possible here: to_json: a Deadly cannot be written"):
        experiments.replicate(Deadly(tmp_path / "flag"), CALLS, results=tmp_path / "x", **ASKED)
    with pytest.raises(ParameterError, match="replicate has no parameter 'checkpoint'"):
        experiments.replicate(station(3), CALLS, checkpoint=tmp_path / "x", **ASKED)


# --- workers that die, or are slow -----------------------------------------------------------------------------------


class Deadly:
    """A deployment that kills the process it runs in: once, or each time."""

    def __init__(self, flag: Path, *, once: bool = True) -> None:
        self.flag, self.once = flag, once

    def deploy(self, *args: Any, **options: Any) -> Any:
        if not (self.once and self.flag.exists()):
            self.flag.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return station(3).deploy(*args, **options)


class Slow:
    """A deployment that takes until a flag is there; it gives up after a minute."""

    def __init__(self, flag: Path) -> None:
        self.flag = flag

    def deploy(self, *args: Any, **options: Any) -> Any:
        end = time.monotonic() + 60
        while not self.flag.exists():
            assert time.monotonic() < end, "the others should not have waited for the slow one"
            time.sleep(0.05)
        return station(3).deploy(*args, **options)


def test_a_worker_that_is_killed_loses_nothing(tmp_path: Path) -> None:
    many = {"three": station(3), "deadly": Deadly(tmp_path / "flag"), "four": station(4)}
    found = experiments.outcomes(many, CALLS, n_jobs=2, **ASKED)
    right = experiments.outcomes({"three": station(3), "deadly": station(3), "four": station(4)}, CALLS, **ASKED)
    assert (tmp_path / "flag").exists()
    assert same(found, right)


def test_workers_that_are_killed_again_and_again_are_told(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r"workers were killed 3 times .* is there memory for n_jobs=2"):
        experiments.replicate(Deadly(tmp_path / "flag", once=False), CALLS, n_jobs=2, **ASKED)


def test_the_bar_moves_while_the_first_run_is_slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first run ends only when the bar has moved for all five others."""
    flag, moved = tmp_path / "flag", [0]
    step = replications.Bar.step

    def told(bar: Any, runs: int = 1) -> None:
        step(bar, runs)
        moved[0] += runs
        if moved[0] == 5:
            flag.touch()

    monkeypatch.setattr(replications.Bar, "step", told)
    many = {"slow": Slow(flag), **{f"{k}": station(k) for k in range(3, 8)}}
    found = experiments.outcomes(many, CALLS, n_jobs=2, hours=0.05, replications=1)
    assert list(found.index.get_level_values(0)) == list(many)
    assert moved == [6]


# --- a cluster of processes ------------------------------------------------------------------------------------------


def test_a_dask_cluster_of_processes_gives_the_same_bytes_and_survives_a_kill(tmp_path: Path) -> None:
    import distributed
    import joblib

    class Guarded:
        def __init__(self) -> None:
            self.lock = threading.Lock()

        def deploy(self, *args: Any, **options: Any) -> Any: ...

    many = {"three": station(3), "deadly": Deadly(tmp_path / "flag"), "four": station(4)}
    right = {"three": station(3), "deadly": station(3), "four": station(4)}
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        distributed.Client(cluster),
        joblib.parallel_config(backend="dask"),
    ):
        by_dask = swept()
        with pytest.raises(ParameterError, match=r"deployment guarded cannot be sent .*lock"):
            experiments.compare({"three": station(3), "guarded": Guarded()}, CALLS, hours=0.05)
        with pytest.raises(ParameterError, match=r"start cannot be sent .*lock"):
            experiments.compare({"three": station(3)}, CALLS, hours=0.05, start=threading.Lock())
        survived = experiments.outcomes(many, CALLS, **ASKED)
    assert same(by_dask, swept(n_jobs=1))
    assert same(by_dask, swept(n_jobs=2))
    assert (tmp_path / "flag").exists()
    assert same(survived, experiments.outcomes(right, CALLS, **ASKED))
