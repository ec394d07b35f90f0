"""Nothing has become slower, measured beside what cannot be beaten: ratios of CPU time in one process, no clock."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_no_routing_has_become_slower_beside_its_limit() -> None:
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    script = [sys.executable, str(ROOT / "benchmarks" / "scale.py"), "--guard"]
    told = subprocess.run(script, capture_output=True, text=True, check=False, env=os.environ | {"PYTHONPATH": path})
    assert told.returncode == 0, told.stderr
    assert told.stdout.count("times its limit") == 4
