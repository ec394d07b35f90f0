"""A process that has imported everything once, and forks one for each run.

Importing pytest, nbval and simlib takes longer than running most submissions.  So a warm process does it once; each run
gets a process of its own that is forked from it, and knows nothing of the runs before.  Nothing secret ever enters the
warm process: of an exercise it is told the import lines, which students see, too.
"""

import contextlib
import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
from importlib import import_module
from typing import Any

import nbformat
from _pytest.config import default_plugins

from simlib.grading.sandbox import adopt_orphans, descendants, dies_with_parent, end_all

# What nearly every run needs; the exercise's own imports come on top.
USUAL = (
    *("pytest", "nbval.plugin", "ipykernel.kernelapp", "ipykernel.ipkernel", "ipykernel.debugger"),
    *("IPython.core.completerlib", "IPython.extensions.storemagic", "matplotlib_inline.backend_inline"),
    *("IPython.core.debugger", "IPython.core.oinspect", "IPython.core.logger", "tornado.platform.asyncio"),
    *("stack_data", "pygments.formatters.terminal256"),  # for tracebacks
    *("matplotlib.pyplot", "pandas"),
    *("simlib.exercises.handing_in", "simlib.grading.nbval_plugin", "simlib.grading.judge"),
)
NEEDLESS = ("debugpy", "rfc3987_syntax")  # optional to those above, and slower to load than all the rest
KEPT = ("HOME", "NUMBA_CACHE_DIR", "MPLCONFIGDIR", "XDG_CACHE_HOME")  # where compiled code and lists of fonts lie
STARTUP_S = 600  # compiling every lane takes a minute or two, once


class Broken(Exception):
    """The warm process has ended, or the run in it did without a result."""


class Warm:
    """The caller's side: one run at a time.

    Parameters
    ----------
    imports : str
        Import statements, one a line.
    """

    def __init__(self, imports: str) -> None:
        self.imports = imports
        self._socket, theirs = socket.socketpair()
        number = str(theirs.fileno())
        threads = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMBA", "NUMEXPR")}
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-s", "-m", "simlib.grading.warm", number],
            env={"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8", "PYTHONHASHSEED": "0", **threads},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            pass_fds=(theirs.fileno(),),
            preexec_fn=dies_with_parent,
        )
        theirs.close()
        self._answers = self._socket.makefile("rb")
        self._send({"imports": imports, "environment": {name: os.environ[name] for name in KEPT if name in os.environ}})
        if "ready" not in self._answer(STARTUP_S):
            self.close()
            raise Broken("the process that grades could not be started")

    def run(self, task: str, order: dict[str, Any], seconds: float) -> None:
        """Have a forked process do *task*, "run" or "judge"; end it and all below it when the seconds are over.

        Raises
        ------
        Broken
            If the warm process itself is gone.
        """
        self._send({"task": task, "order": order})
        pid = self._answer(STARTUP_S)["pid"]
        if self._answer(seconds, missing={"late": True}).get("late"):
            end_all([pid, *descendants(pid)])
            self._answer(STARTUP_S)

    def close(self) -> None:
        """End it."""
        self._answers.close()
        self._socket.close()
        self._process.kill()
        self._process.wait()

    def _send(self, content: dict[str, Any]) -> None:
        try:
            self._socket.sendall(json.dumps(content).encode() + b"\n")
        except OSError as error:
            raise Broken(str(error)) from None

    def _answer(self, seconds: float, missing: dict[str, Any] | None = None) -> dict[str, Any]:
        if not select.select([self._socket], [], [], seconds)[0]:
            if missing is not None:
                return missing
            raise Broken("the process that grades does not answer")
        line = self._answers.readline()
        if not line:
            raise Broken("the process that grades has ended")
        return json.loads(line)


# --- the process itself ---------------------------------------------------------------------------------------------


def main(number: int) -> None:
    """Import, then fork for each order that comes, until the caller is gone."""
    connection = socket.socket(fileno=number)
    adopt_orphans()
    orders = connection.makefile("rb")
    first = json.loads(orders.readline())
    os.environ.update(first["environment"] | {"MPLBACKEND": "agg"})
    import_everything(first["imports"])
    for name in first["environment"]:
        del os.environ[name]
    gc.collect()
    gc.freeze()  # so that a fork's garbage collection does not touch, and copy, what is shared
    connection.sendall(b'{"ready": true}\n')
    for line in orders:
        pid = os.fork()
        if pid == 0:
            connection.detach()
            os.close(number)
            do(json.loads(line))
        connection.sendall(json.dumps({"pid": pid}).encode() + b"\n")
        os.waitpid(pid, 0)
        leave_nothing()
        connection.sendall(b'{"ended": true}\n')


def leave_nothing() -> None:
    """End what a run left behind, and wait until it is gone: the next kernel of that user has to find room."""
    with contextlib.suppress(ChildProcessError):
        while True:
            end_all(descendants(os.getpid()))
            os.wait()


def import_everything(imports: str) -> None:
    """What runs will need; an import that fails here fails where it is needed."""
    for name in NEEDLESS:
        sys.modules[name] = None  # type: ignore[assignment]
    for name in (*USUAL, *(f"_pytest.{plugin}" for plugin in default_plugins)):
        import_module(name)
    for name in NEEDLESS:
        del sys.modules[name]
    for line in imports.splitlines():
        with contextlib.suppress(Exception):
            exec(line, {"__name__": "__exercise__"})
    nbformat.validate(nbformat.v4.new_notebook())  # compiles the schema
    if "simlib.serving" in sys.modules:
        load_lanes()


def load_lanes() -> None:
    """Have the lanes' machine code in memory, so that a kernel needs none from disk: its index there is a pickle."""
    from simlib.serving import lanes
    from simlib.serving.rehearsal import rehearse

    rehearse()
    for compiled in vars(lanes).values():
        if hasattr(compiled, "overloads"):
            compiled._cache.disable()


def do(asked: dict[str, Any]) -> None:
    """One task, in a forked process, and its end."""
    from simlib.grading import judge, nbval_plugin

    try:
        os.setsid()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        {"run": nbval_plugin.run, "judge": judge.run}[asked["task"]](asked["order"])
    finally:
        os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]))
