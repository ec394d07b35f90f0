"""Starts the kernel that runs a student's answers, shut in as far as this machine allows.

Run as `python -I launcher.py -f CONNECTION_FILE`, with its settings in the environment variable SIMLIB_SANDBOX.  With
namespaces (Linux, `unshare`) the kernel sees its own processes only, no network, and of all files only Python, its
packages and an empty scratch folder that is held in memory; it may write nowhere else.  Everywhere: limits on memory,
processor time, file size and processes, a clean environment, and an end when the grader ends.
"""

import ctypes
import json
import os
import platform
import resource
import shutil
import signal
import sys
from typing import Any

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 2, 4, 32, 4096, 16384, 1 << 18
MNT_DETACH = 2
KEPT_FLAGS = {os.ST_NOSUID: MS_NOSUID, os.ST_NODEV: MS_NODEV, os.ST_NOEXEC: 8, os.ST_NOATIME: 1024, 4096: 1 << 21}
PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
PR_SET_PDEATHSIG, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 1, 24, 38
SCRATCH, SOCKETS, CACHES = "/scratch", "/sockets", "/caches"
DEVICES = ("null", "zero", "full", "random", "urandom")


def main() -> None:
    """Shut this process in, then become an IPython kernel."""
    settings = json.loads(os.environ.pop("SIMLIB_SANDBOX"))
    libc = ctypes.CDLL(None, use_errno=True)
    if sys.platform == "linux":
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    with open(sys.argv[-1]) as file:
        connection = json.load(file)
    if settings["namespaces"]:
        enter_own_root(libc, settings)
        settings |= {"scratch": SCRATCH, "caches": CACHES}
        connection["ip"] = f"{SOCKETS}/{os.path.basename(connection['ip'])}"
    set_environment(settings["scratch"], settings["caches"])
    os.chdir(settings["scratch"])
    app = make_kernel(connection)  # its sockets are bound now, so their folder can be closed
    if settings["namespaces"]:
        mount(libc, None, SOCKETS, None, MS_REMOUNT | MS_BIND | MS_RDONLY | kept_flags(SOCKETS))
    set_limits(settings)
    give_up_privileges(libc, settings)
    app.start()


# --- files ----------------------------------------------------------------------------------------------------------


def enter_own_root(libc: ctypes.CDLL, settings: dict) -> None:
    """A root folder in memory with what a kernel needs, read-only, and its scratch folder; all else is gone."""
    root = settings["root"]
    mount(libc, None, "/", None, MS_REC | MS_PRIVATE)
    mount(libc, "tmpfs", root, "tmpfs", MS_NOSUID | MS_NODEV, "size=4m,mode=755")
    for path in settings["visible"]:
        show(libc, root, path)
    for name in DEVICES:
        show(libc, root, f"/dev/{name}", may_write=True)
    show(libc, root, "/proc", may_write=True)
    show(libc, root, settings["sockets"], at=SOCKETS, may_write=True)
    show(libc, root, settings["caches"], at=CACHES)
    for path, size in ((SCRATCH, settings["scratch_mb"]), ("/dev/shm", 16)):
        os.makedirs(root + path, exist_ok=True)
        mount(libc, "tmpfs", root + path, "tmpfs", MS_NOSUID | MS_NODEV, f"size={size}m,mode=777")
    os.makedirs(root + "/dev/pts")  # `!command` in a cell asks for a terminal
    mount(libc, "devpts", root + "/dev/pts", "devpts", MS_NOSUID, "newinstance,ptmxmode=0666,mode=0620")
    os.symlink("pts/ptmx", root + "/dev/ptmx")
    if not os.path.lexists(root + "/tmp"):  # Python itself may lie there
        os.symlink(SCRATCH, root + "/tmp")
    mount(libc, None, root, None, MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV)
    os.chdir(root)
    if libc.syscall(PIVOT_ROOT[platform.machine()], b".", b".") != 0:
        raise OSError(ctypes.get_errno(), "pivot_root")
    libc.umount2(b".", MNT_DETACH)
    os.chdir("/")


def show(libc: ctypes.CDLL, root: str, path: str, at: str = "", may_write: bool = False) -> None:
    """Make *path* seen below *root*, at its own place or another; a link stays a link."""
    target = root + (at or path)
    if not os.path.lexists(path) or os.path.lexists(target):
        return
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if os.path.islink(path):
        os.symlink(os.readlink(path), target)
        return
    if os.path.isdir(path):
        os.makedirs(target)
    else:
        open(target, "w").close()
    mount(libc, path, target, None, MS_BIND | MS_REC)
    if not may_write:
        mount(libc, None, target, None, MS_REMOUNT | MS_BIND | MS_RDONLY | kept_flags(target))


def kept_flags(path: str) -> int:
    """The flags of a mount that one without all rights may not take off."""
    found = os.statvfs(path).f_flag
    return sum(flag for bit, flag in KEPT_FLAGS.items() if found & bit)


def mount(
    libc: ctypes.CDLL, source: str | None, target: str, kind: str | None, flags: int, options: str | None = None
) -> None:
    """mount(2), raising OSError."""
    encoded = [None if text is None else text.encode() for text in (source, target, kind, options)]
    if libc.mount(encoded[0], encoded[1], encoded[2], ctypes.c_ulong(flags), encoded[3]) != 0:
        raise OSError(ctypes.get_errno(), "mount", target)


# --- limits ---------------------------------------------------------------------------------------------------------


def set_environment(scratch: str, caches: str) -> None:
    """A clean environment, and private copies of the caches: their index is a pickle that nobody else may write."""
    for name in ("numba", "matplotlib"):
        shutil.copytree(f"{caches}/{name}", f"{scratch}/.{name}")
    os.environ.clear()
    os.environ.update(
        PATH="/usr/bin:/bin",
        HOME=scratch,
        LANG="C.UTF-8",
        TMPDIR=scratch,
        IPYTHONDIR=f"{scratch}/.ipython",
        MPLBACKEND="agg",
        MPLCONFIGDIR=f"{scratch}/.matplotlib",
        NUMBA_CACHE_DIR=f"{scratch}/.numba",
        SIMLIB_HOME=f"{scratch}/.simlib",
        SIMLIB_LANG="en",
        PYTHONHASHSEED="0",
        PYTHONDONTWRITEBYTECODE="1",
        **{f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMBA", "NUMEXPR")},
    )


def set_limits(settings: dict) -> None:
    """What one process may use; the grader watches their sum."""
    megabyte = 1 << 20
    limits = {
        "RLIMIT_AS": settings["memory_mb"] * megabyte,
        "RLIMIT_CPU": settings["cpu_s"],
        "RLIMIT_FSIZE": settings["scratch_mb"] * megabyte,
        "RLIMIT_CORE": 0,
    }
    if settings["namespaces"]:  # elsewhere the teacher's own processes would count, too
        limits["RLIMIT_NPROC"] = settings["processes"]
    for name, limit in limits.items():
        kind = getattr(resource, name)
        hard = resource.getrlimit(kind)[1]
        resource.setrlimit(kind, (limit, limit) if hard == resource.RLIM_INFINITY else (min(limit, hard),) * 2)


def give_up_privileges(libc: ctypes.CDLL, settings: dict) -> None:
    """For good: no capability, no other user, the first to go when memory runs out."""
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("1000")
    except OSError:
        pass  # no Linux, or not allowed here
    if not settings["namespaces"]:
        return
    if settings["user"] is not None:
        for path, folders, files in os.walk(SCRATCH):
            for name in (".", *folders, *files):
                os.chown(os.path.join(path, name), settings["user"], settings["user"], follow_symlinks=False)
        os.setgroups([])
        os.setresgid(*(settings["user"],) * 3)
        os.setresuid(*(settings["user"],) * 3)
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # a change of user takes it off
    else:
        for capability in range(64):
            libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
        header, nothing = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
        if libc.capset(header, nothing) != 0:
            raise OSError(ctypes.get_errno(), "capset")
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "no_new_privs")


# --- the kernel -----------------------------------------------------------------------------------------------------


def make_kernel(connection: dict) -> Any:
    """An IPython kernel, its sockets bound; it keeps no history."""
    from ipykernel.kernelapp import IPKernelApp

    with open("connection.json", "w") as file:
        json.dump(connection, file)
    app = IPKernelApp.instance()
    app.initialize(["-f", os.path.abspath("connection.json"), "--HistoryManager.enabled=False"])
    return app


if __name__ == "__main__":
    main()
