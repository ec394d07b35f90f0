"""Policies, simulated by the grader: in a process of its own, from the teacher's source, with the hidden cases.

A policy reaches it as data that was checked against its bounds.
"""

import contextlib
import hashlib
import io
import json
import os
from pathlib import Path
from typing import Any

from simlib.exercises.values import Plain, plain
from simlib.grading.question import Case
from simlib.grading.running import Engine
from simlib.grading.source import Source, shown_names


def figures(source: Source, trial: str, policy: Plain, cases: list[Case], engine: Engine) -> list[Plain] | None:
    """What a policy leads to in each case, as figures by name; None if it does not come to an end or raises."""
    asked = {"source": str(source.path), "given": source.given, "trial": trial, "policy": policy, "cases": cases}
    name = hashlib.sha256((source.digest() + json.dumps(asked)).encode()).hexdigest()[:24]
    kept = engine.folder / "judged" / f"{name}.json"
    if kept.exists():
        return json.loads(kept.read_text())
    found = engine.judge(asked)
    if found is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        temporary = kept.with_suffix(f".{os.getpid()}")
        temporary.write_text(json.dumps(found))
        temporary.replace(kept)
    return found


def run(asked: dict[str, Any]) -> None:
    """Simulate, in this process, and write what was found to the file `results`."""
    with contextlib.redirect_stdout(io.StringIO()):
        trial = shown_names(Path(asked["source"]), asked["given"])[asked["trial"]]
        found = [plain(trial(asked["policy"], **case)) for case in asked["cases"]]
    Path(asked["results"]).write_text(json.dumps(found))
