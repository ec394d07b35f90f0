"""Policies, simulated by the grader: in a process of its own, from the teacher's source, with the hidden cases.

    python -m simlib.grading.judge < {"source": …, "given": …, "trial": …, "policy": …, "cases": […]}

prints the figures of each case as JSON.  A policy reaches it as data that was checked against its bounds.
"""

import contextlib
import hashlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from simlib.exercises.values import Plain, plain
from simlib.grading.question import Case
from simlib.grading.source import Source, shown_names

SECONDS = 300


def figures(
    source: Source, trial: str, policy: Plain, cases: list[Case], folder: Path
) -> list[dict[str, Plain]] | None:
    """What a policy leads to in each case; None if it does not come to an end or raises.

    Parameters
    ----------
    folder
        Where compiled code lies, and what was judged before is kept: many students hand in the same policy.
    """
    asked = {"source": str(source.path), "given": source.given, "trial": trial, "policy": policy, "cases": cases}
    text = json.dumps(asked)
    kept = folder / "judged" / (hashlib.sha256((source.digest() + text).encode()).hexdigest()[:24] + ".json")
    if kept.exists():
        return json.loads(kept.read_text())
    caches = folder / "caches"
    environment = os.environ | {"NUMBA_CACHE_DIR": str(caches / "numba"), "MPLCONFIGDIR": str(caches / "matplotlib")}
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "simlib.grading.judge"],
            input=text,
            env=environment,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=True,
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        return None
    kept.parent.mkdir(parents=True, exist_ok=True)
    temporary = kept.with_suffix(f".{os.getpid()}")
    temporary.write_text(done.stdout)
    temporary.replace(kept)
    return json.loads(done.stdout)


def main() -> None:
    """Read what is asked, simulate, print."""
    asked: dict[str, Any] = json.load(sys.stdin)
    with contextlib.redirect_stdout(io.StringIO()):
        trial = shown_names(Path(asked["source"]), asked["given"])[asked["trial"]]
        found = [plain(trial(asked["policy"], **case)) for case in asked["cases"]]
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
