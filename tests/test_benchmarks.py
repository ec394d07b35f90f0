"""The speed comparison runs and tells of everybody; how fast each is, no test says."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]

ROWS = [
    "SimPy, processes with a `Resource`",
    "SimPy, bare callbacks",
    "Ciw",
    "salabim",
    "recursion in plain Python",
    "simlib, end to end: draw, simulate, percentiles, bill",
    "simlib, end to end, folded",
    "lane: SHARED_QUEUE, bare",
    "lane: SHARED_QUEUE, every request logged",
    "lane: SHARED_QUEUE, queue limit, time-out, folded",
    "lane: RANDOM, every request logged",
    "lane: LEAST_OUTSTANDING_REQUESTS, every request logged",
    "lane: SHARED_QUEUE, every request logged, a look a minute",
    "limit: drawing the random numbers alone (numpy)",
    "limit: three percentiles alone (numpy)",
]


def test_the_speed_comparison_prints_every_row() -> None:
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    script = [sys.executable, str(ROOT / "benchmarks" / "speed.py"), "--quick"]
    told = subprocess.run(script, capture_output=True, text=True, check=False, env=os.environ | {"PYTHONPATH": path})
    assert told.returncode == 0, told.stderr
    table = [line.split(" | ")[0].removeprefix("| ") for line in told.stdout.splitlines() if line.startswith("|")]
    assert table[2:] == ROWS


def test_the_batch_comparison_agrees_with_simpy_and_prints_every_row() -> None:
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    script = [sys.executable, str(ROOT / "benchmarks" / "batch.py"), "--quick"]
    told = subprocess.run(script, capture_output=True, text=True, check=False, env=os.environ | {"PYTHONPATH": path})
    assert told.returncode == 0, told.stderr
    assert sum(line.startswith("| a request a record | ") for line in told.stdout.splitlines()) == 2
    assert sum(line.startswith("| mini-batches of 20 records | ") for line in told.stdout.splitlines()) == 2


def test_the_comparison_of_serverless_prints_every_row() -> None:
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    script = [sys.executable, str(ROOT / "benchmarks" / "serverless.py"), "--quick", "--rounds", "1"]
    told = subprocess.run(script, capture_output=True, text=True, check=False, env=os.environ | {"PYTHONPATH": path})
    assert told.returncode == 0, told.stderr
    assert sum(line.startswith("| simlib") for line in told.stdout.splitlines()) == 4  # logged, folded; two loads
    assert sum(line.startswith("| SimPy") for line in told.stdout.splitlines()) == 7  # "every rule" at one load


def test_the_comparison_of_asynchronous_prints_every_row() -> None:
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    script = [sys.executable, str(ROOT / "benchmarks" / "asynchronous.py"), "--quick"]
    told = subprocess.run(script, capture_output=True, text=True, check=False, env=os.environ | {"PYTHONPATH": path})
    assert told.returncode == 0, told.stderr
    assert sum(line.startswith("| simlib") for line in told.stdout.splitlines()) == 3
    assert sum(line.startswith("| SimPy") for line in told.stdout.splitlines()) == 1
