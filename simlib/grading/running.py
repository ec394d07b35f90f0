"""One composed notebook, run by nbval in a pytest process of its own, under a wall limit."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from simlib.grading.compose import Composed
from simlib.grading.sandbox import KERNEL_NAME, Limits, descendants, dies_with_parent, end_all, short_folder

Outcomes = list[dict[str, Any]]

TRIES = 3
STARTUP_S = 120


@dataclass(frozen=True)
class Engine:
    """What every run needs: the folder with kernelspec and caches, and the limits."""

    folder: Path
    limits: Limits

    def run(self, composed: Composed, slot: int = 0, record: bool = False) -> Outcomes:
        """Run a notebook; what became of each cell.

        Parameters
        ----------
        slot
            A number that no other run has at the same time.
        record
            Keep what every cell hands out: for the solution, whose values are the reference.

        An empty list means that the run did not come to its end within the wall limit.

        Raises
        ------
        RuntimeError
            If no kernel could be started, three times.
        """
        for _ in range(TRIES):
            outcomes = self._once(composed, slot, record)
            if not any(each["part"] == "kernel" for each in outcomes):
                return outcomes
        raise RuntimeError(f"no kernel could be started: {outcomes[-1]['error']}")

    def _once(self, composed: Composed, slot: int, record: bool) -> Outcomes:
        with short_folder() as folder:
            private = Path(folder)
            notebook, results = private / "composed.ipynb", private / "results.json"
            notebook.write_text(composed.text(), encoding="utf-8")
            self._pytest(notebook, results, slot, record)
            return json.loads(results.read_text()) if results.exists() else []

    def _pytest(self, notebook: Path, results: Path, slot: int, record: bool) -> None:
        environment = {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "HOME": str(notebook.parent),
            "LANG": "C.UTF-8",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "JUPYTER_PATH": str(self.folder),
            "JUPYTER_PLATFORM_DIRS": "1",
            "SIMLIB_CACHES": str(self.folder / "caches"),
            "SIMLIB_LIMITS": json.dumps(asdict(self.limits)),
            "SIMLIB_RESULTS": str(results),
            "SIMLIB_SLOT": str(slot),
        }
        if record:
            environment["SIMLIB_RECORD"] = "1"
        options = ["-q", "--noconftest", "-c", os.devnull, f"--rootdir={notebook.parent}", "-p", "no:cacheprovider"]
        plugins = ["-p", "nbval.plugin", "-p", "simlib.grading.nbval_plugin"]
        nbval = ["--nbval", "--nbval-kernel-name", KERNEL_NAME, "--nbval-cell-timeout", str(self.limits.cell_s)]
        nbval += ["--nbval-kernel-startup-timeout", str(STARTUP_S)]
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "pytest", *options, *plugins, *nbval, str(notebook)],
            env=environment,
            cwd=notebook.parent,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=dies_with_parent,
        )
        try:
            process.wait(self.limits.wall_s)
        except subprocess.TimeoutExpired:
            pass
        finally:
            below = list(descendants(process.pid))
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            end_all(below)
