"""What students hand in, honest and hostile, through the whole engine: composed, run by nbval in the sandbox, marked.

Each entry of the tables is one submission: which questions it may lose, and nothing else may happen.  The list follows
what teachers have met: honest work in odd files, bombs, forgeries, and attempts to read what is hidden.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from simlib.grading import sandbox
from simlib.grading.answers import answers_in
from simlib.grading.marking import Mark, Plan, make_plan, mark
from simlib.grading.running import Engine
from simlib.grading.source import read
from tests.small_exercise import POINTS, SOLUTIONS, content, handed_in, write_source

pytestmark = pytest.mark.skipif(os.name == "nt", reason="grading does not run on Windows")
EVERY = bool(os.environ.get("SIMLIB_EVERY_SUBMISSION"))
SHUT_IN = sandbox.isolation().namespaces

HONEST = {
    "the solution": {},
    "another method, off by 5e-4": {"q2": "def root(x): return x ** 0.5 * 1.0005"},
    "numpy scalars": {"q2": "import numpy as np\ndef root(x): return np.float64(x) ** np.float32(0.5)"},
    "warnings and prints": {
        "q1": 'import warnings\nwarnings.warn("careful")\nprint("so many lines\\n" * 5000)\n' + SOLUTIONS["q1"],
        "q2": 'import warnings, sys\ndef root(x):\n    warnings.warn("slow")\n    print(x, file=sys.stderr)\n'
        "    return math.sqrt(x)",
    },
    "plots and timing": {
        "q1": "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()\n%timeit -n1 -r1 sum(range(10))\n"
        + SOLUTIONS["q1"]
    },
    "nbval's own comments": {"q2": "# NBVAL_SKIP\n# NBVAL_RAISES_EXCEPTION\n" + SOLUTIONS["q2"]},
    "a shell command": {"q1": "!echo hello\n" + SOLUTIONS["q1"]},
    "many outputs": {"q1": "for k in range(3000): display(k)\n" + SOLUTIONS["q1"]},
}

# name → answers, and the questions that may score nothing; all others keep their points
HOSTILE: dict[str, tuple[dict[str, str], set[str]]] = {
    # resources
    "endless loop": ({"q2": "while True: pass"}, {"q2"}),
    "loop that swallows interrupts": (
        {"q2": "while True:\n    try:\n        while True: pass\n    except BaseException: pass"},
        {"q2"},
    ),
    "endless only in hidden cases": ({"q2": "def root(x):\n    while x > 100: pass\n    return math.sqrt(x)"}, {"q2"}),
    "os._exit": ({"q1": "import os\nos._exit(0)"}, {"q1"}),
    "exit": ({"q1": "exit()"}, {"q1"}),
    "sys.exit in a function": ({"q2": "import sys\ndef root(x): sys.exit(0)"}, {"q2"}),
    "killed by itself": ({"q3": "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\nos.abort()"}, {"q3"}),
    "memory bomb": ({"q2": "kept = []\nwhile True: kept.append(bytearray(10**8))"}, {"q2"}),
    "disk bomb": ({"q2": "with open('x', 'wb') as file:\n    while True: file.write(bytes(10**7))"}, {"q2"}),
    "many files": ({"q2": "for k in range(10**7): open(f'f{k}', 'wb').write(bytes(10**6))"}, {"q2"}),
    "output bomb": ({"q2": "while True: print('x' * 100_000)"}, {"q2"}),
    "display bomb": ({"q2": "while True: display({'text/plain': 'x' * 100_000}, raw=True)"}, {"q2"}),
    "fork bomb": ({"q2": "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass"}, {"q2"}),
    "thread bomb": (
        {"q2": "import threading, time\nwhile True: threading.Thread(target=time.sleep, args=(99,)).start()"},
        {"q2"},
    ),
    "infinite recursion": ({"q2": "def root(x): return root(x)"}, {"q2"}),
    "recursion without a limit": (
        {"q2": "import sys\nsys.setrecursionlimit(10**9)\ndef root(x): return [root(x)]"},
        {"q2"},
    ),
    "huge value": ({"q2": "def root(x): return [0.0] * 10**7"}, {"q2"}),
    "endless value": ({"q2": "import itertools\ndef root(x): return itertools.count()"}, {"q2"}),
    "endless list": (
        {"q2": "class E(list):\n    def __iter__(self):\n        while True: yield 1\ndef root(x): return E([1])"},
        {"q2"},
    ),
    "value that contains itself": ({"q2": "kept = []\nkept.append(kept)\ndef root(x): return kept"}, {"q2"}),
    "input()": ({"q2": "def root(x): return float(input())"}, {"q2"}),
    # forging
    "always equal": (
        {
            "q2": "class Same(float):\n    def __eq__(self, other): return True\n"
            "    __hash__ = float.__hash__\ndef root(x): return Same(1)"
        },
        {"q2"},
    ),
    "patched comparison": (
        {
            "q2": "import simlib.exercises.values as v, math\nv.same = lambda *a: True\n"
            "math.isclose = lambda *a, **k: True\ndef root(x): return 1.0"
        },
        {"q2"},
    ),
    "patched hand_in": (
        {
            "q2": "import simlib.exercises.handing_in as h\nh.hand_in_calls = lambda *a, **k: None\n"
            "def root(x): return 1.0"
        },
        {"q2", "q3"},
    ),
    "own output of our type": (
        {
            "q2": "from IPython.display import display\ndef root(x):\n"
            "    content = {'question': 'q2', 'part': 'hidden', 'results': [{'value': 1.0}] * 4}\n"
            "    display({'application/vnd.simlib.answer+json': content}, raw=True)\n    return 1.0"
        },
        {"q2"},
    ),
    "hard-coded examples": ({"q2": "def root(x): return {4.0: 2.0, 9.0: 3.0}.get(x, 2.5)"}, {"q2"}),
    "typed value": ({"q1": "total = 5.0"}, {"q1"}),
    "one answer for all": ({"q3": "def sign(x): return 'plus'"}, {"q3"}),
    "NaN": ({"q2": "def root(x): return float('nan')"}, {"q2"}),
    "a bool": ({"q2": "def root(x): return True"}, {"q2"}),
    "text for a number": ({"q2": "def root(x): return str(math.sqrt(x))"}, {"q2"}),
    "AST transformer": (
        {
            "q2": "import ast\nclass T(ast.NodeTransformer):\n    def visit_Assert(self, node): return None\n"
            "get_ipython().ast_transformers.append(T())\ndef root(x): return 1.0"
        },
        {"q2"},
    ),
    "input transformer": (
        {"q2": "get_ipython().input_transformers_cleanup.append(lambda lines: ['pass\\n'])\ndef root(x): return 1.0"},
        {"q2", "q3"},
    ),
    "IPython hooks": (
        {"q2": "get_ipython().events.register('pre_run_cell', lambda *a: 1 / 0)\ndef root(x): return 1.0"},
        {"q2"},
    ),
    "pickled results": (
        {
            "q2": "import pickle, os\nclass P:\n    def __reduce__(self): return (os.system, ('touch /tmp/pwned',))\n"
            "def root(x): return pickle.dumps(P())"
        },
        {"q2"},
    ),
    "a bad policy": ({"q4": "policy = {'count': 10**9}"}, {"q4"}),
    "a policy that is code": (
        {"q4": "class P(dict):\n    def __getitem__(self, k): return 1 / 0\npolicy = P(count=0.5)"},
        {"q4"},
    ),
    "a trial of one's own": (
        {"q4": "def cost(policy, price): return {'usd': 0, 'wait': 0}\npolicy = {'count': 1}"},
        {"q4"},
    ),
    # leaking
    "reading what is hidden": (
        {
            "q2": "import os, glob\nfound = [p for top in ('/work', '/root', '/home', '/tmp', '/mnt') for p in"
            " glob.glob(top + '/**/*.ipynb', recursive=True) + glob.glob(top + '/**/solutions', recursive=True)]\n"
            "raise ValueError('found ' + ' '.join(found) if found else 'nothing to see')"
        },
        {"q2"},
    ),
    "reading other processes": (
        {
            "q2": "import os\npids = [p for p in os.listdir('/proc') if p.isdigit()]\n"
            "raise ValueError(f'{len(pids)} processes')"
        },
        {"q2"},
    ),
    "the network": (
        {
            "q2": "import socket\ntry:\n    socket.create_connection(('127.0.0.1', 22), 1)\n"
            "except ConnectionRefusedError: raise ValueError('a network')\n"
            "except OSError as e: raise ValueError('no network')"
        },
        {"q2"},
    ),
    "raising hidden inputs": (
        {"q2": "def root(x):\n    if x > 100: raise ValueError(f'input {x}')\n    return math.sqrt(x)"},
        {"q2"},
    ),
    "a class named like the input": (
        {"q2": "def root(x):\n    if x > 100: raise type(f'Input{x}', (Exception,), {})()\n    return math.sqrt(x)"},
        {"q2"},
    ),
    "writing to simlib": (
        {"q2": "import simlib\nopen(simlib.__file__, 'a').write('# here')"},
        {"q2"},
    ),
    "no namespace of names": ({"q2": "%reset -f"}, {"q2"}),
}
DOZEN = (
    "loop that swallows interrupts",
    "os._exit",
    "memory bomb",
    "output bomb",
    "fork bomb",
    "always equal",
    "patched hand_in",
    "own output of our type",
    "one answer for all",
    "raising hidden inputs",
    "reading what is hidden",
    "no namespace of names",
)


@pytest.fixture(scope="module")
def source_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_source(tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    folder = tmp_path_factory.mktemp("engine")
    for name in ("numba", "matplotlib"):
        (folder / "caches" / name).mkdir(parents=True)
    sandbox.write_kernelspec(folder)
    return Engine(folder, sandbox.Limits(cell_s=8, resident_mb=600, wall_s=120))


@pytest.fixture(scope="module")
def plan(source_path: Path, engine: Engine) -> Plan:
    return make_plan(read(source_path), "secret", engine)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A temporary folder of our own, so that what is left in it is ours."""
    tmp_path_factory.getbasetemp()
    before, tempfile.tempdir = tempfile.tempdir, tempfile.mkdtemp(prefix="t")
    yield Path(tempfile.tempdir)
    shutil.rmtree(tempfile.tempdir)
    tempfile.tempdir = before


@pytest.fixture(autouse=True)
def _nothing_is_left(place: Path) -> Iterator[None]:
    files = [sandbox.PACKAGE / "__init__.py", *(sandbox.PACKAGE / "exercises").glob("*.py")]
    package = [path.read_bytes() for path in files]
    others = set(sandbox.descendants(os.getpid()))  # of tests that ran here before: joblib keeps its workers
    yield
    assert set(sandbox.descendants(os.getpid())) <= others, "a process is left"
    assert not list(place.glob("sg*")), "a folder is left"
    assert package == [path.read_bytes() for path in files], "simlib was changed"
    assert not Path("/tmp/pwned").exists()


def marked(plan: Plan, engine: Engine, source: Path, answers: dict[str, str]) -> dict[str, Mark]:
    notebook = handed_in(source, **{**SOLUTIONS, **answers})
    return {each.question: each for each in mark(plan, answers_in(content(notebook), plan.source), engine)}


def hidden_texts(plan: Plan) -> list[str]:
    inputs = [str(case["x"]) for name in ("q2", "q3") for case in plan.hidden.calls[name]]
    values = [
        str(result["value"])
        for (name, part), results in plan.references.items()
        for result in results
        if part != "public" and name != "q3"
    ]
    return inputs + values


@pytest.mark.parametrize("name", HONEST)
def test_honest_work_loses_nothing(name, plan, engine, source_path):
    if not EVERY and name not in ("the solution", "warnings and prints", "many outputs"):
        pytest.skip("runs with SIMLIB_EVERY_SUBMISSION=1")
    found = marked(plan, engine, source_path, HONEST[name])
    assert {q: found[q].points for q in POINTS} == POINTS, [(each.question, each.reason) for each in found.values()]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_work_loses_its_own_points_only(name, plan, engine, source_path):
    if not EVERY and name not in DOZEN:
        pytest.skip("runs with SIMLIB_EVERY_SUBMISSION=1")
    answers, loses = HOSTILE[name]
    begin = time.monotonic()
    found = marked(plan, engine, source_path, answers)
    assert time.monotonic() - begin < engine.limits.wall_s * 5
    scored: dict[str, Any] = {q: found[q].points for q in POINTS}
    assert all(scored[q] == 0 for q in answers), scored
    assert {q: p for q, p in scored.items() if q not in loses} == {q: p for q, p in POINTS.items() if q not in loses}
    told = " ".join(f"{each.reason} {each.error} {each.public}" for each in found.values())
    assert not any(text in told for text in hidden_texts(plan))
    assert "found /" not in told


@pytest.mark.skipif(not SHUT_IN, reason="no namespaces on this machine: only limits hold, and the report says so")
def test_a_kernel_sees_itself_only(plan, engine, source_path):
    look = (
        "import os, socket, glob\n"
        "seen = {'pids': sum(p.isdigit() for p in os.listdir('/proc')), 'root': sorted(os.listdir('/')),\n"
        "        'env': sorted(os.environ), 'mine': os.listdir('.'), 'uid': os.access('/', os.W_OK)}\n"
        "def root(x): return 1.0\nraise ValueError(seen)"
    )
    told = marked(plan, engine, source_path, {"q2": look})["q2"].reason
    assert "'pids': 1," in told
    assert "work" not in told.split("'env'")[0].replace("'/work'", "") or str(sandbox.PACKAGE).startswith("/work")
    for name in ("SIMLIB_SANDBOX", "SIMLIB_RESULTS", "SIMLIB_LIMITS"):
        assert name not in told


def test_parts_of_a_function_earn_parts_of_its_points(plan, engine, source_path):
    cases = [case["x"] for case in plan.hidden.calls["q2"]]
    middle = sorted(cases)[2]
    found = marked(plan, engine, source_path, {"q2": f"def root(x): return math.sqrt(x) if x < {middle} else 0.0"})
    assert (found["q2"].passed, found["q2"].cases, found["q2"].points) == (2, 4, 2.0)


def test_one_right_one_missing_one_raising(plan, engine, source_path):
    notebook = handed_in(source_path, q1=SOLUTIONS["q1"], q3="def sign(x): return 1 / 0")
    notebook["cells"] = [cell for cell in notebook["cells"] if cell["id"] != "q2-answer"]
    found = {each.question: each for each in mark(plan, answers_in(content(notebook), plan.source), engine)}
    assert found["q1"].points == 2
    assert [found[q].reason for q in ("q2", "q3", "q4")] == [
        "answer cell missing",
        "ZeroDivisionError: division by zero",
        "not attempted",
    ]


def test_a_helper_in_a_cell_of_ones_own_is_found(plan, engine, source_path):
    notebook = handed_in(source_path, q2="def root(x): return helper(x)")
    cell = {"cell_type": "code", "metadata": {}, "source": "%matplotlib inline"}
    helper = cell | {"source": "import cmath\ndef helper(x): return math.sqrt(x)"}
    notebook["cells"] = [cell, helper, *notebook["cells"]]
    found = {each.question: each for each in mark(plan, answers_in(content(notebook), plan.source), engine)}
    assert found["q2"].points == 4
