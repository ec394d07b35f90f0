"""What each notebook takes of a classroom's machine: seconds, memory of its kernel, and its slider's time to answer.

    python benchmarks/notebooks.py [NOTEBOOK …] [--check] [--kernels 30]

Each notebook runs whole in a kernel of its own, as a student's.  Seconds are CPU seconds, which do not depend on who
else works on the machine.  Memory is the kernel's after the last cell: RSS counts pages it shares with other kernels,
PSS counts these by share, and the peak is the highest RSS of all.  The slider's answer is measured inside the kernel,
from the change of its value to the new picture.  ``--check`` fails where a notebook takes more than docs/classroom.md
promises; ``--kernels N`` holds N kernels at once, each after notebook 00, and says what they take together.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from jupyter_client.manager import start_new_kernel

FOLDER = Path(__file__).parents[1] / "notebooks"
MOST_CPU_S, MOST_MB = 120, 500  # 60 seconds on two cores; thirty kernels in 16 of 24 GiB

MEMORY = """
import resource as _resource
def _memory():
    with open("/proc/self/smaps_rollup") as rollup:
        rows = [line.split() for line in rollup.readlines()[1:]]
    kb = {row[0]: int(row[1]) for row in rows}
    peak = _resource.getrusage(_resource.RUSAGE_SELF).ru_maxrss
    return {"rss_mb": kb["Rss:"] / 1024, "pss_mb": kb["Pss:"] / 1024, "peak_mb": peak / 1024}
"""

LAST = (
    MEMORY
    + """
import json as _json, time as _time
from ipywidgets.widgets.widget import _instances
_told = _memory() | {"cpu_s": _time.process_time()}
_kinds = ("SelectionSlider", "IntSlider", "FloatSlider")
_turned = [each for each in _instances.values() if type(each).__name__ in _kinds]
_answers = []
for _ in range(5 if _turned else 0):
    _knob, _before = _turned[-1], _time.process_time()
    if hasattr(_knob, "index"):
        _knob.index = (_knob.index + 1) % len(_knob.options)
    else:
        _knob.value = _knob.min if _knob.value + _knob.step > _knob.max else _knob.value + _knob.step
    _answers.append(_time.process_time() - _before)
print(_json.dumps(_told | {"answer_s": sorted(_answers)[2] if _answers else None}))
"""
)


def told(client: Any, code: str) -> str:
    """What *code* prints in the kernel; an error there is one here."""
    said: list[str] = []

    def heard(message: dict[str, Any]) -> None:
        if message["msg_type"] == "stream":
            said.append(message["content"]["text"])

    reply = client.execute_interactive(code, output_hook=heard, timeout=900)
    if reply["content"]["status"] != "ok":
        raise RuntimeError("\n".join(reply["content"]["traceback"]))
    return "".join(said)


def opened(path: Path) -> tuple[Any, Any]:
    """A kernel in which the notebook at *path* has run whole: its manager and its client."""
    manager, client = start_new_kernel(kernel_name="python3", cwd=os.environ["SIMLIB_HOME"])
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            told(client, cell.source)
    return manager, client


def closed(manager: Any, client: Any) -> None:
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def measured(path: Path) -> dict[str, Any]:
    """What the notebook at *path* takes: cpu_s, rss_mb, pss_mb, peak_mb, and answer_s of its slider (None without)."""
    kernel = opened(path)
    try:
        return json.loads(told(kernel[1], LAST).splitlines()[-1])
    finally:
        closed(*kernel)


def table(paths: list[Path]) -> list[dict[str, Any]]:
    """Measures the notebooks, and prints a line for each as it comes."""
    print("| notebook | CPU seconds | RSS [MB] | PSS [MB] | peak [MB] | slider's answer [s] |")
    print("|---|---:|---:|---:|---:|---:|")
    found = []
    for path in paths:
        found.append(row := {"notebook": path.stem} | measured(path))
        memory = " | ".join(f"{row[each]:.0f}" for each in ("rss_mb", "pss_mb", "peak_mb"))
        answer = "–" if row["answer_s"] is None else f"{row['answer_s']:.2f}"
        print(f"| {path.stem} | {row['cpu_s']:.0f} | {memory} | {answer} |", flush=True)
    return found


def at_once(kernels: int) -> None:
    """Holds this many kernels, each with notebook 00 run, and prints what they take."""
    held, found = [], []
    try:
        for _ in range(kernels):
            held.append(opened(FOLDER / "00-start-here.ipynb"))
        for _, client in held:
            found.append(json.loads(told(client, MEMORY + "\nimport json\nprint(json.dumps(_memory()))")))
    finally:
        for kernel in held:
            closed(*kernel)
    for name in ("rss_mb", "pss_mb", "peak_mb"):
        values = sorted(each[name] for each in found)
        print(f"{name}: median {values[len(values) // 2]:.0f}, most {values[-1]:.0f}, together {sum(values):.0f}")


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("notebooks", nargs="*", type=Path, default=sorted(FOLDER.glob("*.ipynb")))
    asked.add_argument("--check", action="store_true")
    asked.add_argument("--kernels", type=int, default=0)
    options = asked.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ["SIMLIB_HOME"] = home  # nobody's predictions, and where notebooks write
        if options.kernels:
            at_once(options.kernels)
            return
        found = table([path.resolve() for path in options.notebooks])
    over = [each["notebook"] for each in found if each["cpu_s"] > MOST_CPU_S or each["rss_mb"] > MOST_MB]
    if options.check and over:
        sys.exit(f"more than {MOST_CPU_S} CPU seconds or {MOST_MB} MB: {', '.join(over)}")


if __name__ == "__main__":
    main()
