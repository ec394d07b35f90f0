"""The sandbox around a student's kernel: what this machine allows, and how a kernel is started in it."""

import ctypes
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

KERNEL_NAME = "simlib-sandbox"
LAUNCHER = Path(__file__).with_name("launcher.py")
FIRST_USER = (
    61_000  # of the sandbox's own users, where the grader is root: one a kernel, so that their limits are apart
)
LONGEST_PLACE = 60
PACKAGE = Path(__file__).resolve().parents[1]

SYSTEM_FILES = (
    *("/usr", "/bin", "/lib", "/lib32", "/lib64", "/libx32", "/sbin"),
    *(f"/etc/{name}" for name in ("ld.so.cache", "localtime", "passwd", "group", "nsswitch.conf", "fonts")),
)


@dataclass(frozen=True)
class Limits:
    """What one student's kernel may use."""

    memory_mb: int = 3072  # addresses of one process
    resident_mb: int = 1536  # memory of all its processes
    scratch_mb: int = 64
    processes: int = 64  # threads count
    cell_s: float = 60
    output_mb: float = 8  # of one cell
    wall_s: float = 600  # of one run of one submission


@dataclass(frozen=True)
class Isolation:
    """How far a kernel is shut in here, and why not further."""

    namespaces: bool
    reason: str = ""

    def sentences(self) -> list[str]:
        """For `simlib doctor --grading` and the overview."""
        everywhere = (
            "limits on memory, processor time, file size and output; a clean environment; an end when time is up"
        )
        if self.namespaces:
            return [
                "kernels are shut in: own processes, no network, no file but Python and a scratch folder in memory",
                everywhere,
            ]
        return [
            f"kernels are not shut in here ({self.reason}): an answer could read files, use the network and "
            "look at other processes of this account; grade strangers' work in a container or on Linux",
            everywhere,
        ]


@functools.cache
def isolation() -> Isolation:
    """What this machine allows, tried out once."""
    if sys.platform != "linux":
        return Isolation(False, f"{sys.platform} has no namespaces")
    if shutil.which("unshare") is None:
        return Isolation(False, "the command `unshare` of util-linux is missing")
    # mounting is what a restricted user namespace (Ubuntu's AppArmor, Docker's default) forbids
    tried = subprocess.run(
        [*_unshare(), "sh", "-c", "mount -t tmpfs none /tmp"], capture_output=True, text=True, check=False
    )
    if tried.returncode != 0:
        lines = tried.stderr.strip().splitlines()
        return Isolation(False, lines[-1] if lines else "unshare is not allowed")
    return Isolation(True)


def _unshare() -> list[str]:
    """Own mounts, network, shared memory and processes; root needs no own users, all others do."""
    own_users = [] if os.geteuid() == 0 else ["-U", "-r"]
    return ["unshare", *own_users, "-m", "-n", "-i", "-p", "-f", "--mount-proc", "--kill-child"]


def write_kernelspec(folder: Path) -> None:
    """The sandbox as a Jupyter kernel, in *folder*/kernels; JUPYTER_PATH should name *folder*."""
    inside = _unshare() if isolation().namespaces else []
    spec = {
        "argv": [*inside, sys.executable, "-I", str(LAUNCHER), "-f", "{connection_file}"],
        "display_name": "simlib's sandbox",
        "language": "python",
    }
    target = folder / "kernels" / KERNEL_NAME
    target.mkdir(parents=True, exist_ok=True)
    (target / "kernel.json").write_text(json.dumps(spec, indent=1))


@dataclass(frozen=True)
class Place:
    """The folders of one kernel in a run's private one: sockets, where its root will be, a scratch without namespaces.

    The private folder's own path is short: a socket's path may have about a hundred letters.
    """

    folder: Path

    @classmethod
    def make(cls, folder: Path) -> "Place":
        """Make what is needed in *folder*."""
        for name in ("s", "r", "w"):
            (folder / name).mkdir()
        return cls(folder)


def short_folder() -> tempfile.TemporaryDirectory[str]:
    """A temporary folder with a short path, in the usual place unless that is too long (macOS)."""
    usual = tempfile.gettempdir()
    return tempfile.TemporaryDirectory(prefix="sg", dir=usual if len(usual) < LONGEST_PLACE else "/tmp")


def settings(place: Place, limits: Limits, caches: Path, number: int) -> dict[str, str]:
    """The environment for the launcher: nothing of the grader's own."""
    content = {
        **asdict(limits),
        "cpu_s": int(limits.wall_s),
        "namespaces": isolation().namespaces,
        "sockets": str(place.folder / "s"),
        "root": str(place.folder / "r"),
        "scratch": str(place.folder / "w"),
        "caches": str(caches),
        "visible": visible_files(),
        "user": FIRST_USER + number if os.geteuid() == 0 else None,
    }
    return {"SIMLIB_SANDBOX": json.dumps(content), "PATH": os.environ.get("PATH", "/usr/bin:/bin")}


def visible_files() -> list[str]:
    """What a kernel needs to see: the system, Python, packages, and of this course only the package simlib."""
    packages = [path for path in sys.path if {"site-packages", "dist-packages"} & set(Path(path).parts)]
    seen = [*SYSTEM_FILES, str(PACKAGE)]
    for place in map(os.path.abspath, (sys.prefix, sys.base_prefix, *packages)):
        if not any(_holds(other, place) for other in seen):
            seen.append(place)
    return seen


def _holds(folder: str, path: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


# --- caches ---------------------------------------------------------------------------------------------------------


def warm_caches(folder: Path, source: Path) -> None:
    """Compile what the exercise needs, once, by running its source: each kernel gets a copy of its own.

    Raises
    ------
    RuntimeError
        If the source does not run.
    """
    numba_folder = folder / "numba"
    numba_folder.mkdir(parents=True, exist_ok=True)
    (folder / "matplotlib").mkdir(exist_ok=True)
    _take_over_compiled(numba_folder)
    environment = os.environ | {"NUMBA_CACHE_DIR": str(numba_folder), "MPLCONFIGDIR": str(folder / "matplotlib")}
    text = (
        "import sys, pathlib, matplotlib.font_manager\n"
        "from simlib.grading.source import read\n"
        "read(pathlib.Path(sys.argv[1]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", text, str(source)],
        env=environment | {"MPLBACKEND": "agg"},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])


def _take_over_compiled(target: Path) -> None:
    """Start from what is compiled already beside the source files."""
    from numba.core import caching

    compiled = PACKAGE / "serving" / "__pycache__"
    name = caching.UserProvidedCacheLocator.get_suitable_cache_subpath(str(PACKAGE / "serving" / "lanes.py"))
    for path in compiled.glob("*.nb?") if compiled.is_dir() else ():
        (target / name).mkdir(exist_ok=True)
        shutil.copyfile(path, target / name / path.name)


# --- processes ------------------------------------------------------------------------------------------------------


def dies_with_parent() -> None:
    """For `preexec_fn`: end when whoever started this process ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def adopt_orphans() -> None:
    """Become the parent of what a kernel leaves behind (Linux), so that it can be found and ended."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)


def descendants(pid: int) -> Iterator[int]:
    """Every process below *pid*, the nearest first; none where there is no /proc."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return
    for thread in threads:
        try:
            children = Path(f"/proc/{pid}/task/{thread}/children").read_text().split()
        except OSError:
            continue
        for child in map(int, children):
            yield child
            yield from descendants(child)


def resident_mb(pids: Iterator[int]) -> float:
    """The memory that these processes hold now [MB]."""
    pages = 0
    for pid in pids:
        try:
            pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        except (OSError, ValueError, IndexError):
            continue
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def end_all(pids: Any) -> None:
    """Kill these processes; those that are gone already are no fault."""
    for pid in list(pids):
        try:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, os.WNOHANG)
        except (ProcessLookupError, PermissionError, ChildProcessError):
            continue
