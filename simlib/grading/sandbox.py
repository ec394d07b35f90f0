"""The sandbox around a student's kernel: what this machine allows, and how a kernel is started in it."""

import ctypes
import functools
import os
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

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
    files: int = 512  # open at a time
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
    tried = subprocess.run([sys.executable, "-I", str(LAUNCHER)], capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        lines = tried.stderr.strip().splitlines()
        return Isolation(False, lines[-1] if lines else "namespaces are not allowed")
    return Isolation(True)


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

    def connection(self) -> Any:
        """How to reach the kernel: over sockets that are files, with a key of its own."""
        ports = {f"{name}_port": k for k, name in enumerate(("shell", "iopub", "stdin", "control", "hb"), start=1)}
        key = {"key": secrets.token_hex(16), "signature_scheme": "hmac-sha256"}
        return {"transport": "ipc", "ip": str(self.folder / "s" / "k"), **ports, **key}


def short_folder() -> tempfile.TemporaryDirectory[str]:
    """A temporary folder with a short path, in the usual place unless that is too long (macOS)."""
    usual = tempfile.gettempdir()
    return tempfile.TemporaryDirectory(prefix="sg", dir=usual if len(usual) < LONGEST_PLACE else "/tmp")


def settings(place: Place, limits: Limits, number: int, namespaces: bool) -> dict[str, Any]:
    """What the launcher is told; where its kernel has a user of its own, the sockets' folder is his."""
    user = FIRST_USER + number if namespaces and os.geteuid() == 0 else None
    if user is not None:
        os.chown(place.folder / "s", user, user)
    return {
        **asdict(limits),
        "cpu_s": int(limits.wall_s),
        "namespaces": namespaces,
        "connection": place.connection(),
        "sockets": str(place.folder / "s"),
        "root": str(place.folder / "r"),
        "scratch": str(place.folder / "w"),
        "visible": visible_files(),
        "user": user,
    }


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
        threads = _threads(pid)
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


def holds_more(pids: list[int], most_mb: float) -> bool:
    """Whether these processes hold more memory than *most_mb* now; what several share counts once."""
    if sum(_pages(pid) for pid in pids) * os.sysconf("SC_PAGE_SIZE") <= most_mb * 2**20:
        return False  # not even if each had its own: the exact sum takes the system long
    return sum(map(_held_kb, pids)) > most_mb * 1024


def _pages(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):  # it has ended
        return 0


def _held_kb(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return sum(float(line.split()[1]) for line in lines if line.startswith("Pss:"))
    except (OSError, ValueError, IndexError):
        return 0.0


def peak_mb(pid: int) -> float:
    """The most memory that a process has held at any time [MB]; 0 where there is no /proc, or it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(float(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


def activity(pids: Iterator[int]) -> tuple[float, bool]:
    """Processor time that these processes have used [s], and whether one of them is at work, or would like to be.

    A thread that waits for another of its process is asleep, so all of them are looked at.
    """
    ticks, is_busy = 0, False
    for pid in pids:
        try:
            ticks += sum(map(int, _stat(f"/proc/{pid}")[11:15]))  # its own, and that of children which have ended
            is_busy = is_busy or any(_stat(f"/proc/{pid}/task/{each}")[0] in "RD" for each in _threads(pid))
        except OSError:  # it has ended
            continue
    return ticks / os.sysconf("SC_CLK_TCK"), is_busy


def _stat(place: str) -> list[str]:
    """What the system says of a process or thread, from its state on."""
    return Path(f"{place}/stat").read_text().rpartition(")")[2].split()


def _threads(pid: int) -> list[str]:
    return os.listdir(f"/proc/{pid}/task")


def end_all(pids: Any) -> None:
    """Kill these processes; those that are gone already are no fault."""
    for pid in list(pids):
        try:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, os.WNOHANG)
        except (ProcessLookupError, PermissionError, ChildProcessError):
            continue
