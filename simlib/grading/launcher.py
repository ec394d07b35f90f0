"""Becomes the kernel that runs a student's answers, shut in as far as this machine allows.

The process is forked, by one that has imported everything, before any notebook is read: so nothing that is secret was
ever in its memory.  It waits for its settings on a pipe.  With namespaces (Linux) the kernel sees its own processes
only, no network, and of all files only Python, its packages and an empty scratch folder that is held in memory; it may
write nowhere else.  Everywhere: limits on memory, processor time, file size and processes, a clean environment, and an
end when the grader ends.

Run as a program, it tries whether namespaces are allowed here, and says why not.
"""

import ctypes
import errno
import json
import os
import platform
import random
import resource
import signal
import struct
import sys
from typing import Any

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = (
    1,
    2,
    4,
    8,
    32,
    4096,
    16384,
    1 << 18,
)
MNT_DETACH = 2
KEPT_FLAGS = {
    os.ST_NOSUID: MS_NOSUID,
    os.ST_NODEV: MS_NODEV,
    os.ST_NOEXEC: MS_NOEXEC,
    os.ST_NOATIME: 1024,
    4096: 1 << 21,
}
PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
PR_SET_PDEATHSIG, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 1, 24, 38
NEW_MOUNTS, NEW_USERS, NEW_PROCESSES, NEW_NETWORK, NEW_SHARED_MEMORY = 1 << 17, 1 << 28, 1 << 29, 1 << 30, 1 << 27
PR_SET_SECCOMP = 22
CLONE3 = 435
# The kind of machine; unshare, setns, mount, ptrace, shmget, memfd_create, memfd_secret, keyctl, bpf, perf_event_open,
# userfaultfd; clone.
FORBIDDEN = {
    "x86_64": (0xC000003E, (272, 308, 165, 101, 29, 319, 447, 250, 321, 298, 323), 56),
    "aarch64": (0xC00000B7, (97, 268, 40, 117, 194, 279, 447, 219, 280, 241, 282), 220),
}
SCRATCH, SOCKETS = "/scratch", "/sockets"
DEVICES = ("null", "zero", "full", "random", "urandom")
MOST_FILES = 4096  # open ones, inherited


def fork_waiting() -> tuple[int, int]:
    """A process that will be a kernel: its number, and the end of a pipe that takes its settings as JSON."""
    read, write = os.pipe()
    parent, pid = os.getpid(), os.fork()
    if pid:
        os.close(read)
        return pid, write
    status = 1
    try:
        os.close(write)
        end_with(parent)
        with open(read) as pipe:
            text = pipe.read()
        status = run(json.loads(text)) if text else 0
    finally:
        os._exit(status)


def run(settings: dict[str, Any]) -> int:
    """Be a kernel, or with namespaces the parent of one; the exit status."""
    os.setsid()
    let_go_of_files()
    if not settings["namespaces"]:
        return be_kernel(settings)
    libc = ctypes.CDLL(None, use_errno=True)
    enter_namespaces(libc)
    (asks, told), (waits, answered) = os.pipe(), os.pipe()
    parent, pid = os.getpid(), os.fork()
    if pid == 0:
        os.close(asks)
        os.close(answered)
        end_with(parent)
        return be_kernel(settings, told, waits)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # that is for the kernel
    os.close(told)
    os.close(waits)
    if os.read(asks, 1):  # its sockets are bound, so their folder can be closed
        mount(libc, None, SOCKETS, None, MS_REMOUNT | MS_BIND | MS_RDONLY | kept_flags(SOCKETS))
        os.write(answered, b".")
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) & 255


def be_kernel(settings: dict[str, Any], told: int = -1, waits: int = -1) -> int:
    """Give up everything, then be an IPython kernel until it ends.

    Rights go before the kernel's threads begin: each thread has its own.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    connection = settings["connection"]
    if settings["namespaces"]:
        enter_own_root(libc, settings)
        settings = settings | {"scratch": SCRATCH}
        connection = connection | {"ip": f"{SOCKETS}/{os.path.basename(connection['ip'])}"}
    set_environment(settings["scratch"])
    os.chdir(settings["scratch"])
    set_limits(settings)
    give_up_rights(libc, settings)
    app = make_kernel(connection)
    if settings["namespaces"]:
        os.write(told, b".")
        os.read(waits, 1)
        os.close(told)
        os.close(waits)
    app.start()
    return 0


def end_with(parent: int) -> None:
    """End when the process *parent*, which started this one, ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() not in (parent, 0):  # 0: it lives outside our namespace
            os._exit(1)


def let_go_of_files() -> None:
    """No file, pipe or socket of the grader's stays open."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nothing, number)
    os.closerange(3, MOST_FILES)


# --- namespaces -----------------------------------------------------------------------------------------------------


def enter_namespaces(libc: ctypes.CDLL) -> None:
    """Own mounts, network, shared memory and, for what is forked, processes; root needs no own users, all others do."""
    kinds = NEW_MOUNTS | NEW_NETWORK | NEW_SHARED_MEMORY | NEW_PROCESSES
    user, group = os.geteuid(), os.getegid()
    if libc.unshare(kinds if user == 0 else kinds | NEW_USERS) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), "unshare")
    if user != 0:
        for name, text in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)
    mount(libc, None, "/", None, MS_REC | MS_PRIVATE)


def try_namespaces() -> None:
    """Enter namespaces and mount something, as a kernel does; that is what restricted machines forbid."""
    libc = ctypes.CDLL(None, use_errno=True)
    enter_namespaces(libc)
    pid = os.fork()
    if pid:
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    mount(libc, "tmpfs", "/tmp", "tmpfs", MS_NOSUID)
    mount(libc, "proc", "/proc", "proc", MS_NOSUID)


# --- files ----------------------------------------------------------------------------------------------------------


def enter_own_root(libc: ctypes.CDLL, settings: dict[str, Any]) -> None:
    """A root folder in memory with what a kernel needs, read-only, and its scratch folder; all else is gone."""
    root = settings["root"]
    mount(libc, "tmpfs", root, "tmpfs", MS_NOSUID | MS_NODEV, "size=4m,mode=755")
    for path in settings["visible"]:
        show(libc, root, path)
    for name in DEVICES:
        show(libc, root, f"/dev/{name}", may_write=True)
    os.mkdir(root + "/proc")
    mount(libc, "proc", root + "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    show(libc, root, settings["sockets"], at=SOCKETS, may_write=True)
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
        for place in (target, *mounts_below(target)):
            mount(libc, None, place, None, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | kept_flags(place))


def mounts_below(folder: str) -> list[str]:
    """What is mounted inside *folder*: each mount has to be made read-only by itself."""
    with open("/proc/self/mountinfo") as file:
        places = [line.split()[4].encode().decode("unicode_escape") for line in file]
    return [place for place in places if place.startswith(folder + "/")]


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


def set_environment(scratch: str) -> None:
    """A clean environment; random numbers without a seed are the same in every run, so that marks are."""
    import numpy as np

    random.seed(0)
    np.random.seed(0)  # noqa: NPY002  students use it
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


def set_limits(settings: dict[str, Any]) -> None:
    """What one process may use; the grader watches their sum."""
    megabyte = 1 << 20
    limits = {
        "RLIMIT_AS": settings["memory_mb"] * megabyte,
        "RLIMIT_CPU": settings["cpu_s"],
        "RLIMIT_FSIZE": settings["scratch_mb"] * megabyte,
        "RLIMIT_CORE": 0,
        "RLIMIT_NOFILE": settings["files"],
    }
    if settings["namespaces"]:  # elsewhere the teacher's own processes would count, too
        limits["RLIMIT_NPROC"] = settings["processes"]
    for name, limit in limits.items():
        kind = getattr(resource, name)
        hard = resource.getrlimit(kind)[1]
        resource.setrlimit(kind, (limit, limit) if hard == resource.RLIM_INFINITY else (min(limit, hard),) * 2)


def give_up_rights(libc: ctypes.CDLL, settings: dict[str, Any]) -> None:
    """For good: no capability, no other user, the first to go when memory runs out."""
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("1000")
    except OSError:
        pass  # no Linux, or not allowed here
    if not settings["namespaces"]:
        return
    for capability in range(64):
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    if settings["user"] is not None:
        os.setgroups([])
        os.setresgid(*(settings["user"],) * 3)
        os.setresuid(*(settings["user"],) * 3)
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # a change of user takes it off
    header, nothing = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    if libc.capset(header, nothing) != 0:
        raise OSError(ctypes.get_errno(), "capset")
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "no_new_privs")
    forbid_calls(libc)


def forbid_calls(libc: ctypes.CDLL) -> None:
    """No namespaces of its own, and no memory that belongs to no process and so would not be counted.

    A filter of the operating system (seccomp): instructions of eight bytes that look at the number of each call.
    Where the machine is of another kind, or has no filters, the other limits hold.
    """
    forbidden = FORBIDDEN.get(platform.machine())
    if forbidden is None:
        return
    kind, numbers, clone = forbidden
    deny, allow = 0x00050000 | errno.EPERM, 0x7FFF0000
    steps = [(0x20, 0, 0, 4), (0x15, 1, 0, kind), (0x06, 0, 0, deny)]  # a call in another machine's numbers
    steps += [(0x20, 0, 0, 0), (0x35, 0, 1, 1 << 30), (0x06, 0, 0, deny)]  # or in those of another kind of program
    for number in numbers:
        steps += [(0x15, 0, 1, number), (0x06, 0, 0, deny)]  # if it is this one: not permitted
    steps += [(0x15, 0, 1, CLONE3), (0x06, 0, 0, 0x00050000 | errno.ENOSYS)]  # its flags cannot be looked at: use clone
    steps += [(0x15, 0, 3, clone), (0x20, 0, 0, 16), (0x45, 0, 1, NEW_USERS), (0x06, 0, 0, deny)]
    steps += [(0x06, 0, 0, allow)]
    code = b"".join(struct.pack("=HBBI", *step) for step in steps)
    buffer = ctypes.create_string_buffer(code)
    program = ctypes.create_string_buffer(struct.pack("@HxxxxxxQ", len(steps), ctypes.addressof(buffer)))
    libc.prctl(PR_SET_SECCOMP, 2, ctypes.c_ulong(ctypes.addressof(program)), 0, 0)


# --- the kernel -----------------------------------------------------------------------------------------------------


def make_kernel(connection: dict[str, Any]) -> Any:
    """An IPython kernel, its sockets bound; it keeps no history."""
    from ipykernel.kernelapp import IPKernelApp

    with open("connection.json", "w") as file:
        json.dump(connection, file)
    app = IPKernelApp.instance()
    app.initialize(["-f", os.path.abspath("connection.json"), "--HistoryManager.enabled=False"])
    return app


if __name__ == "__main__":
    try:
        try_namespaces()
    except OSError as error:
        sys.exit(" ".join(filter(None, (error.strerror, error.filename))))
