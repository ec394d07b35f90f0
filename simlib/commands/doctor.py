"""`simlib doctor`: is this installation sound, and what to do if not."""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import import_module, metadata
from pathlib import Path
from typing import Literal

from simlib.commands import Subparsers
from simlib.course.place import IN_THE_WHEEL

EXAMPLES = """examples:
  simlib doctor                       check everything, and say what to do
  simlib doctor --compile --quiet     compile every lane once; speak only of problems (what `make lab` does)
  simlib doctor --grading             how far students' kernels are shut in on this machine when you grade
"""
ROOT = Path(__file__).resolve().parents[2]
OLDEST_PYTHON = (3, 11)
LANES = (("SHARED_QUEUE", "RANDOM", "LEAST_OUTSTANDING_REQUESTS"), ("serverless", "asynchronous", "batch", "edge"))
"""What `simlib.serving.rehearsal` can simulate, in two halves that take as long to compile: one for each core."""
IN_A_CHECKOUT = (ROOT / "Makefile").is_file()
INSTALL_ANEW = (
    "delete the folder .venv and run `make lab` (with conda: `conda env update -f environment.yml --prune`)"
    if IN_A_CHECKOUT
    else "install simlib's wheel anew, in an environment of its own"
)
PROBE_TIMEOUT_S = 600

# A process of its own: what it times is a new session, not this one.
PROBE = """
import json, sys, time
begin = time.perf_counter()
import simlib
imported = time.perf_counter()
from simlib.serving.rehearsal import rehearse
rehearse(sys.argv[1:])
print(json.dumps({"import_s": imported - begin, "simulate_s": time.perf_counter() - imported}))
"""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; `advice` says what to do where it is not as it should be."""

    level: Literal["ok", "warning", "broken"]
    what: str
    advice: str = ""

    def text(self) -> str:
        """The finding for a person."""
        return f"{self.level:<8} {self.what}" + (f"\n{'':<8} → {self.advice}" if self.advice else "")


def add_parser(subparsers: Subparsers) -> None:
    """Describe the subcommand."""
    parser = subparsers.add_parser(
        "doctor",
        help="check this installation and say what to do",
        description="Check Python, packages, compiler cache, simulation and JupyterLab; status 1 if one is broken.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--compile", action="store_true", help="simulate a little in every way, so that all lanes are compiled"
    )
    parser.add_argument("--quiet", action="store_true", help="print problems only")
    parser.add_argument("--grading", action="store_true", help="say which limits hold for students' kernels here")


def run(args: argparse.Namespace) -> int:
    """Print the findings as they come; 1 if something is broken, else 0."""
    broken = 0
    for finding in check_grading() if args.grading else examine(LANES if args.compile else [LANES[0][:1]]):
        broken += finding.level == "broken"
        if finding.level != "ok" or not args.quiet:
            print(finding.text(), flush=True)
    if broken:
        print(f"{broken} of these must be put right before simlib works.")
    elif not args.quiet:
        print("grading works here." if args.grading else "simlib works here.")
    return int(broken > 0)


def examine(lanes: Sequence[Sequence[str]]) -> Iterator[Finding]:
    """Every check in order, from the ground up."""
    yield check_python(sys.version_info[:3])
    yield from check_packages(pinned_versions((ROOT if IN_A_CHECKOUT else IN_THE_WHEEL) / "constraints.txt"))
    yield check_cache()
    yield from check_simulations(lanes)
    yield check_jupyter()


def check_python(version: tuple[int, ...]) -> Finding:
    """Python is new enough."""
    name = f"Python {'.'.join(map(str, version))}"
    if version < OLDEST_PYTHON:
        return Finding("broken", f"{name} is too old", "install Python 3.11 or newer, then " + INSTALL_ANEW)
    return Finding("ok", name)


def check_packages(pins: dict[str, str]) -> Iterator[Finding]:
    """Each package that simlib needs is there, can be imported, and has the version that was tested."""
    try:
        requirements = metadata.requires("simlib") or []
    except metadata.PackageNotFoundError:
        yield Finding("broken", "simlib is not installed, only found", INSTALL_ANEW)
        return
    names = [re.match(r"[\w.-]+", line) for line in requirements if "extra ==" not in line]
    modules = _modules_by_package()
    for name in names:
        if name:
            yield _check_package(name[0], modules, pins)
    if not pins:
        yield Finding("warning", "there is no constraints.txt to compare versions with", "run from the course's folder")


def _check_package(name: str, modules: dict[str, str], pins: dict[str, str]) -> Finding:
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Finding("broken", f"{name} is not installed", INSTALL_ANEW)
    try:
        with warnings.catch_warnings(action="ignore"):
            import_module(modules[canonical(name)])
    except Exception as error:  # whatever a broken package raises while it is imported
        return Finding("broken", f"{name} {version} cannot be imported: {type(error).__name__}: {error}", INSTALL_ANEW)
    pinned = pins.get(canonical(name), version)
    if version != pinned:
        advice = f"if results differ from the course's, `python -m pip install {name}=={pinned}`"
        return Finding("warning", f"{name} {version}, but {pinned} was tested", advice)
    return Finding("ok", f"{name} {version}")


def _modules_by_package() -> dict[str, str]:
    """The module to import for each installed package (PyYAML is `yaml`); its own name where it brings several."""
    found: dict[str, str] = {}
    for module, packages in metadata.packages_distributions().items():
        if module.startswith("_"):
            continue
        for package in map(canonical, packages):
            if package not in found or canonical(module) == package:
                found[package] = module
    return found


def canonical(name: str) -> str:
    """A package's name as registries compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pinned_versions(path: Path) -> dict[str, str]:
    """The tested version of each package, by canonical name; none where there is no such file."""
    if not path.is_file():
        return {}
    pairs = (line.partition("==") for line in path.read_text().splitlines() if "==" in line and line[0] != "#")
    return {canonical(name): version for name, _, version in pairs}


def check_cache() -> Finding:
    """Compiled lanes can be kept on disk."""
    for folder in _cache_folders():
        if _is_writable(folder):
            return Finding("ok", f"compiled lanes are kept in {folder}")
    advice = "set NUMBA_CACHE_DIR to a folder that you may write to"
    return Finding("warning", "no folder to keep compiled lanes in: lanes compile uncached in each session", advice)


def _cache_folders() -> list[Path]:
    """Where numba looks, in its order."""
    folders = [ROOT / "simlib" / "serving" / "__pycache__"]
    if os.environ.get("NUMBA_CACHE_DIR"):
        folders.insert(0, Path(os.environ["NUMBA_CACHE_DIR"]))
    try:
        from numba.misc.appdirs import AppDirs
    except ImportError:  # reported with the packages
        return folders
    return [*folders, Path(AppDirs(appname="numba", appauthor=False).user_cache_dir)]


def _is_writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def check_simulations(lanes: Sequence[Sequence[str]]) -> Iterator[Finding]:
    """Tiny simulations run in new processes, each group of *lanes* in one; says how long importing and simulating took.

    To compile takes a busy machine as long as it takes, so only a single simulation must end in time.
    """
    timeout_s = PROBE_TIMEOUT_S if sum(map(len, lanes)) == 1 else None
    with ThreadPoolExecutor() as side_by_side:
        for findings in side_by_side.map(lambda group: _simulated(group, timeout_s), lanes):
            yield from findings


def _simulated(group: Sequence[str], timeout_s: float | None) -> list[Finding]:
    command = [sys.executable, "-c", PROBE, *group]
    try:
        probe = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired:
        return [Finding("broken", f"a tiny simulation took over {timeout_s:g} s", "try again on an idle machine")]
    if probe.returncode != 0:
        last = (probe.stderr.strip().splitlines() or [f"exit status {probe.returncode}"])[-1]
        return [Finding("broken", f"a tiny simulation failed: {last}", INSTALL_ANEW)]
    seconds = json.loads(probe.stdout.splitlines()[-1])
    return [
        Finding("ok", f"importing simlib took {seconds['import_s']:.1f} s"),
        Finding("ok", f"simulating a little ({', '.join(group)}) took {seconds['simulate_s']:.1f} s"),
    ]


def check_jupyter() -> Finding:
    """JupyterLab has a Python to run notebooks with, and it is this one."""
    try:
        from jupyter_client.kernelspec import KernelSpecManager

        kernel = KernelSpecManager().get_kernel_spec("python3")
    except Exception as error:  # a missing package or kernel, or a kernel.json that cannot be read
        return Finding("broken", f"JupyterLab finds no Python kernel: {type(error).__name__}: {error}", INSTALL_ANEW)
    if Path(kernel.argv[0]).name == kernel.argv[0] or Path(kernel.argv[0]).resolve() == Path(sys.executable).resolve():
        return Finding("ok", "JupyterLab runs notebooks with this Python")
    advice = "`jupyter kernelspec remove python3`, then start JupyterLab again"
    return Finding("warning", f"JupyterLab runs notebooks with another Python, {kernel.argv[0]}", advice)


def check_grading() -> Iterator[Finding]:
    """How far this machine can shut a student's kernel in."""
    if sys.platform == "win32":
        yield Finding("broken", "grading does not run on Windows", "use WSL 2, or the container of docs/grading.md")
        return
    try:
        from simlib.grading import sandbox
    except ImportError:
        yield Finding("broken", "this is a student's copy: it has no grading", "grade with the full repository")
        return
    found = sandbox.isolation()
    first, *others = found.sentences()
    yield Finding("ok", first) if found.namespaces else Finding("warning", first, "docs/grading.md says what to do")
    for sentence in others:
        yield Finding("ok", sentence)
