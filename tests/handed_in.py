"""What students hand in, honest and hostile: each entry is a submission to the small exercise, and what it may lose.

The list follows what teachers have met: honest work in odd files, bombs, forgeries, attempts to read what is hidden.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.small_exercise import SOLUTIONS, content, handed_in

Notebook = dict[str, Any]

# Where code might look for what is hidden: what people keep, and this course itself.
PLACES = ("/root", "/home", "/tmp", "/mnt", "/srv", str(Path(__file__).parents[1]))


@dataclass(frozen=True)
class Work:
    """One submission.

    Parameters
    ----------
    answers
        By question, in place of the solution's; these score nothing, unless the work is honest.
    spoils
        Other questions whose points may go with them; all else keeps its points.
    change
        What else is done to the notebook, or to the bytes of its file.
    status
        What `marks.csv` says.
    """

    answers: dict[str, str] = field(default_factory=dict)
    spoils: frozenset[str] = frozenset()
    change: Callable[[Notebook], Notebook | bytes] | None = None
    status: str = "ok"

    def file(self, source: Path) -> bytes:
        """The file that is handed in."""
        notebook = handed_in(source, **{**SOLUTIONS, **self.answers})
        for cell in notebook["cells"]:
            cell["source"] = "".join(cell["source"])
        made = self.change(notebook) if self.change else notebook
        return made if isinstance(made, bytes) else content(made)


def q1(text: str) -> Work:
    """The solution of question 1, and this before it."""
    return Work({"q1": f"{text}\n{SOLUTIONS['q1']}"})


def q2(text: str, *spoils: str, status: str = "ok") -> Work:
    """Another answer to question 2."""
    return Work({"q2": text}, frozenset(spoils), status=status)


def changed(change: Callable[[Notebook], Notebook | bytes], status: str = "ok", **answers: str) -> Work:
    """The solutions in a notebook to which something was done."""
    return Work(answers, change=change, status=status)


def root(line: str) -> Work:
    """A function whose body is this line, or these."""
    return q2("def root(x):\n    " + line.replace("\n", "\n    "))


# --- what is done to notebooks --------------------------------------------------------------------------------------


def edit(cell_change: Callable[[Notebook], None]) -> Callable[[Notebook], Notebook]:
    """Do this to each cell."""

    def change(notebook: Notebook) -> Notebook:
        for cell in notebook["cells"]:
            cell_change(cell)
        return notebook

    return change


def code(text: str, **metadata: Any) -> Notebook:
    """A code cell of the student's own."""
    return {"cell_type": "code", "execution_count": None, "metadata": metadata, "outputs": [], "source": text}


def with_cells(*cells: Notebook) -> Callable[[Notebook], Notebook]:
    """Put these cells first and last."""
    return lambda notebook: notebook | {"cells": [*cells, *notebook["cells"], *cells]}


def without_ids(notebook: Notebook) -> Notebook:
    """As older editors save it: no ids, no metadata of ours, an older format."""
    for cell in notebook["cells"]:
        if cell["id"].endswith("-answer") and cell["cell_type"] == "code":
            cell["source"] = f"# {cell['id'][:2]}: your answer\n{cell['source']}"
        del cell["id"]
        cell["metadata"] = {}
    return notebook | {"nbformat_minor": 4}


def backwards(notebook: Notebook) -> Notebook:
    """Answers first, and in another order."""
    return notebook | {"cells": notebook["cells"][::-1]}


def tagged(cell: Notebook) -> None:
    """What nbval would obey."""
    cell["metadata"]["tags"] = ["nbval-skip", "raises-exception", "nbval-ignore-output"]
    if cell["cell_type"] == "code":
        cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "x" * 1000}]
        cell["execution_count"] = 7


def lines_of_windows(notebook: Notebook) -> bytes:
    """CRLF in the file and in its texts, and a mark of the byte order."""
    for cell in notebook["cells"]:
        cell["source"] = cell["source"].replace("\n", "\r\n")
    return b"\xef\xbb\xbf" + json.dumps(notebook, indent=1).replace("\n", "\r\n").encode()


def sources_as_lists(cell: Notebook) -> None:
    """As JupyterLab saves them."""
    cell["source"] = cell["source"].splitlines(keepends=True)


def checks_gone(notebook: Notebook) -> Notebook:
    """Whatever is not an answer is gone."""
    return notebook | {"cells": [cell for cell in notebook["cells"] if cell["id"].endswith("-answer")]}


def checks_forged(cell: Notebook) -> None:
    """Check cells that say what one likes."""
    if cell["id"].endswith("-check"):
        cell["source"] = "print('all right')"
    cell["metadata"].setdefault("simlib", {})["points"] = 1000


def in_one_cell(notebook: Notebook) -> Notebook:
    """Everything below the marks that say which answer it is."""
    answers = [cell for cell in notebook["cells"] if cell["cell_type"] == "code" and cell["id"].endswith("-answer")]
    return notebook | {
        "cells": [code("\n".join(f"# {cell['id'][:2]}: your answer\n{cell['source']}" for cell in answers))]
    }


def before(question: str, *texts: str) -> Callable[[Notebook], Notebook]:
    """Cells of the student's own, right above an answer."""

    def change(notebook: Notebook) -> Notebook:
        place = next(k for k, cell in enumerate(notebook["cells"]) if cell["id"] == f"{question}-answer")
        own = [code(text) for text in texts]
        return notebook | {"cells": [*notebook["cells"][:place], *own, *notebook["cells"][place:]]}

    return change


def twice(notebook: Notebook) -> Notebook:
    """Each cell a second time, under the same id."""
    return notebook | {"cells": [cell for each in notebook["cells"] for cell in (each, dict(each))]}


SWALLOWS = "while True:\n    try:\n        while True: time.sleep(0.01)\n    except BaseException: pass"

HONEST: dict[str, Work] = {
    "the solution": Work(),
    # other ways to the same values
    "another method, off by 5e-4": root("return x ** 0.5 * 1.0005"),
    "numpy scalars": q2("import numpy as np\ndef root(x): return np.float64(x) ** np.float32(0.5)"),
    "a long double": q2("import numpy as np\ndef root(x): return np.sqrt(np.longdouble(x))"),
    "a decimal number": q2("from decimal import Decimal\ndef root(x): return Decimal(x).sqrt()"),
    "a fraction": q2("from fractions import Fraction\ndef root(x): return Fraction(math.sqrt(x))"),
    "an array without a dimension": q2("import numpy as np\ndef root(x): return np.array(math.sqrt(x))"),
    "a number of pandas": q2("import pandas as pd\ndef root(x): return pd.Series([x]).pow(0.5).iloc[0]"),
    "a lambda": q2("root = lambda x: x ** 0.5"),
    "a function of numpy": q2("import numpy as np\ndef root(x): return np.sqrt(x)"),
    "a callable object": q2("class Root:\n    def __call__(self, x): return x ** 0.5\nroot = Root()"),
    "a partial function": q2("import functools\nroot = functools.partial(lambda y, x: x ** y, 0.5)"),
    "a cached function": q2("import functools\n@functools.cache\ndef root(x): return x ** 0.5"),
    "more arguments than asked": q2("def root(x, power=0.5, **others): return x ** power"),
    "newton's method": root("guess = x\nfor _ in range(60): guess = (guess + x / guess) / 2\nreturn guess"),
    "whole points of a policy as floats": Work({"q4": "policy = dict(count=4.0)"}),
    "a policy of numpy's": Work({"q4": "import numpy as np\npolicy = {'count': np.int64(4)}"}),
    "text of numpy's": Work({"q3": "import numpy as np\ndef sign(x): return np.array(['minus', 'plus'])[int(x > 0)]"}),
    # what a notebook does beside
    "warnings and prints": Work(
        {
            "q1": f'import warnings\nwarnings.warn("careful")\nprint("so many lines\\n" * 5000)\n{SOLUTIONS["q1"]}',
            "q2": "import warnings, sys\ndef root(x):\n    warnings.warn('slow')\n    print(x, file=sys.stderr)\n"
            "    return math.sqrt(x)",
        }
    ),
    "warnings made errors": q1("import warnings\nwarnings.simplefilter('error')"),
    "everything logged": q1("import logging\nlogging.basicConfig(level=logging.DEBUG, force=True)"),
    "plots and timing": q1(
        "%matplotlib inline\nimport matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()\n"
        "%timeit -n1 -r1 sum(range(10))"
    ),
    "a timed cell": Work({"q2": "%%time\n" + SOLUTIONS["q2"]}),
    "a captured cell": Work({"q2": "%%capture\n" + SOLUTIONS["q2"]}),
    "a cell that waits": q1("import asyncio\nawait asyncio.sleep(0.01)"),
    "a slider": q1("import ipywidgets\nipywidgets.interact(lambda k: k, k=3)"),
    "a progress bar": q1("from tqdm.auto import tqdm\nfor _ in tqdm(range(3)): pass"),
    "html and pictures": q1("from IPython.display import HTML, display\ndisplay(HTML('<script>alert(1)</script>'))"),
    "nbval's own comments": Work({"q2": "# NBVAL_SKIP\n# NBVAL_RAISES_EXCEPTION\n" + SOLUTIONS["q2"]}),
    "a shell command": q1("!echo hello"),
    "a process": q1("import subprocess\nassert subprocess.run(['echo', 'x'], capture_output=True).stdout == b'x\\n'"),
    "a pool of threads": q1("from concurrent.futures import ThreadPoolExecutor as T\nlist(T(4).map(abs, range(9)))"),
    "a pool of processes": q1("import multiprocessing as m\nwith m.get_context('fork').Pool(2) as p: p.map(abs, [1])"),
    "a file of one's own": q1("open('notes.txt', 'w').write('x')\nassert open('notes.txt').read() == 'x'"),
    "many outputs": q2("for k in range(1200): display(k)\n" + SOLUTIONS["q2"]),
    "names of Python's taken": q1("list = sum = str = dict = len = 3"),
    "other imports": q1("from math import *\nimport numpy, pandas, scipy.stats, json, re"),
    "a seed and another folder": q1("import random, os\nrandom.seed(1)\nos.makedirs('a')\nos.chdir('a')"),
    # what became of the file
    "cells moved": changed(backwards),
    "own cells between": changed(with_cells(code("1 / 0"), code("scratch = [1, 2]"), code("%%bash\necho hello"))),
    "given taken apart in a cell of one's own": changed(
        before("q1", "a, b = given['a'], given['b']\n%matplotlib inline"), q1="total = a + b"
    ),
    "no ids": changed(without_ids),
    "windows": changed(lines_of_windows),
    "sources as lists": changed(edit(sources_as_lists)),
    "outputs and tags": changed(edit(tagged)),
    "checks deleted": changed(checks_gone),
    "checks edited": changed(edit(checks_forged)),
    "each cell twice": changed(twice),
    "a foreign kernel": changed(lambda nb: nb | {"metadata": nb["metadata"] | {"kernelspec": {"name": "ir"}}}),
    "no metadata of the notebook": changed(lambda nb: nb | {"metadata": {}}),
    "odd metadata in own cells": changed(with_cells(code("2", simlib=[1]), code("3", simlib={"question": ["q1"]}))),
    "a letter that is none": changed(with_cells(code("x = '\ud800'")), q2="# \ud800\n" + SOLUTIONS["q2"]),
    "all in one cell": changed(in_one_cell),
}

HOSTILE: dict[str, Work] = {
    # --- resources
    "endless loop": q2("while True: pass", status="timeout"),
    "loop that swallows interrupts": q2(f"import time\n{SWALLOWS}", status="timeout"),
    "signals ignored": q2(
        f"import signal, time\nfor s in (2, 15): signal.signal(s, signal.SIG_IGN)\n{SWALLOWS}", status="timeout"
    ),
    "endless only in hidden cases": q2(
        "import time\ndef root(x):\n    while x > 100: time.sleep(0.01)\n    return math.sqrt(x)", status="timeout"
    ),
    "sleeping for ever": q2("import time\ntime.sleep(10**6)", status="timeout"),
    "a lock never freed": q2("import threading\nl = threading.Lock()\nl.acquire()\nl.acquire()", status="timeout"),
    "regular expression without an end": q2("import re\nre.match('(a+)+$', 'a' * 99 + 'b')", status="timeout"),
    "os._exit": Work({"q1": "import os\nos._exit(0)"}, status="crash"),
    "exit": Work({"q1": "exit()"}, status="crash"),
    "quit in the middle": q2("quit()", status="crash"),
    "sys.exit in a function": q2("import sys\ndef root(x): sys.exit(0)"),
    "SystemExit kept": q2("raise SystemExit(0)"),
    "killed by itself": Work({"q3": "import os\nos.abort()"}, status="crash"),
    "its group killed": Work({"q3": "import os\nos.killpg(0, 9)\nos.abort()"}, status="crash"),
    "a fault in C": q2("import ctypes\nctypes.string_at(0)", status="crash"),
    "stopped, not ended": q2(
        "import os, signal, time\nos.kill(os.getpid(), signal.SIGSTOP)\ntime.sleep(99)", status="timeout"
    ),
    "memory bomb": q2("kept = []\nwhile True: kept.append(b'x' * 10**8)", status="crash"),
    "memory in children": q2(
        "import os, time\nfor _ in range(9):\n    if os.fork() == 0:\n        kept = b'x' * 2 * 10**8\n"
        "        time.sleep(99)\n"
        "time.sleep(99)",
        status="crash",
    ),
    "addresses without memory": q2("import mmap\nkept = [mmap.mmap(-1, 10**10) for _ in range(99)]"),
    "memory without a process": q2(
        "import os\nkept = [os.memfd_create('x') for _ in range(99)]\n[os.write(f, bytes(10**7)) for f in kept]"
    ),
    "disk bomb": q2("with open('x', 'wb') as file:\n    while True: file.write(bytes(10**7))"),
    "many files": q2("for k in range(10**7): open(f'f{k}', 'wb').write(bytes(10**6))"),
    "a file with a hole": q2("open('x', 'wb').truncate(10**15)\nraise ValueError"),
    "shared memory filled": q2("open('/dev/shm/x', 'wb').write(bytes(10**8))\nraise ValueError"),
    "files never closed": q2("kept = [open('/dev/null') for _ in range(10**6)]"),
    "output bomb": q2("while True: print('x' * 100_000)", status="?"),
    "errors flood": q2("import os\nwhile True: os.write(2, b'x' * 100_000)", status="?"),
    "display bomb": q2("while True: display({'text/plain': 'x' * 100_000}, raw=True)", status="?"),
    "one huge output": q2("print('x' * 2 * 10**7)", status="crash"),
    "fork bomb": q2(
        "import os, time\nwhile True:\n    try: os.fork()\n    except OSError: time.sleep(0.1)", status="timeout"
    ),
    "thread bomb": q2("import threading, time\nwhile True: threading.Thread(target=time.sleep, args=(99,)).start()"),
    "a child that stays": q2(
        "import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n"
        "        time.sleep(600)\n    os._exit(0)"
    ),
    "a server that stays": q2("import subprocess\nsubprocess.Popen('nohup sleep 600 &', shell=True)"),
    "a thread that stays": q2(
        "import threading, time\ndef stay():\n    while True: time.sleep(0.01)\nthreading.Thread(target=stay).start()"
    ),
    "work at the end": q2("import atexit, time\natexit.register(time.sleep, 600)"),
    "infinite recursion": q2("def root(x): return root(x)"),
    "recursion without a limit": q2(
        "import sys\nsys.setrecursionlimit(10**9)\ndef root(x): return [root(x)]", status="crash"
    ),
    "huge value": root("return [0.0] * 10**7"),
    "huge text": root("return 'x' * 10**8"),
    "huge number": root("return 10 ** 100_000"),
    "endless value": q2("import itertools\ndef root(x): return itertools.count()"),
    "endless list": q2(
        "class E(list):\n    def __iter__(self):\n        while True: yield 1\ndef root(x): return E([1])",
    ),
    "endless table": q2(
        "import collections.abc as c, itertools\nclass E(c.Mapping):\n    def __len__(self): return 1\n"
        "    def __iter__(self): return itertools.count()\n    def __getitem__(self, k): return k\n"
        "def root(x): return E()"
    ),
    "value that contains itself": q2("kept = []\nkept.append(kept)\ndef root(x): return kept"),
    "a table nested too deeply": root("value = 1.0\nfor _ in range(10**4): value = {'a': value}\nreturn value"),
    "input()": root("return float(input())"),
    "the debugger": q2("breakpoint()\n1 / 0"),
    # --- forging
    "always equal": q2(
        "class Same(float):\n    def __eq__(self, other): return True\n"
        "    __hash__ = float.__hash__\ndef root(x): return Same(1)"
    ),
    "a float that lies": q2(
        "class Lie(float):\n    def __add__(self, o): return math.sqrt(o)\n    __float__ = __abs__ = __add__\n"
        "def root(x): return Lie(1)"
    ),
    "a class that lies": q2("class L:\n    __class__ = property(lambda self: float)\ndef root(x): return L()"),
    "an array that runs code": q2(
        "class A:\n    def __array__(self, *a, **k): raise SystemExit\n    def to_numpy(self): raise SystemExit\n"
        "def root(x): return A()"
    ),
    "patched comparison": q2(
        "import simlib.exercises.values as v, math as m\nv.same = lambda *a: True\n"
        "m.isclose = lambda *a, **k: True\ndef root(x): return 1.0"
    ),
    "patched hand_in": q2(
        "import simlib.exercises.handing_in as h\nh.hand_in_calls = lambda *a, **k: None\ndef root(x): return 1.0"
    ),
    "patched numpy and json": q2(
        "import numpy, json\nnumpy.ndarray = numpy.generic = object\njson.dumps = lambda *a, **k: '1'\n"
        "def root(x): return 1.0",
        "q3",
        status="?",
    ),
    "patched time and random": q2(
        "import time, random\ntime.time = time.monotonic = lambda: 0.0\nrandom.random = lambda: 0\n"
        "def root(x): return 1.0"
    ),
    "patched isinstance": q2(
        "import builtins\nbuiltins.isinstance = lambda *a: True\ndef root(x): return 1.0", status="?"
    ),
    "patched import": q2(
        "import builtins\nbuiltins.__import__ = lambda *a, **k: 1 / 0\ndef root(x): return 1.0", status="?"
    ),
    "patched globals": q2("globals = locals = dict\ndef root(x): return 1.0"),
    "globals of one's own": q2(
        "class G(dict):\n    def get(self, *a): return lambda **k: 1.0\nglobals = G\ndef root(x): return 1.0"
    ),
    "an audit hook": q2(
        "import sys\ndef hook(event, args):\n    if event == 'compile': raise RuntimeError\n"
        "sys.addaudithook(hook)\ndef root(x): return 1.0",
        status="?",
    ),
    "a tracer that changes values": q2(
        "import sys\ndef trace(f, e, a):\n    if e == 'return': f.f_locals.update(value=2.0)\n    return trace\n"
        "sys.settrace(trace)\ndef root(x): return 1.0"
    ),
    "limits taken down": q2(
        "import resource as r\nfor k in (r.RLIMIT_NOFILE, r.RLIMIT_AS, r.RLIMIT_NPROC): r.setrlimit(k, (1, 1))\n"
        "def root(x): return 1.0",
        status="?",
    ),
    "every file closed": q2("import os\nos.closerange(3, 400)", status="?"),
    "every process killed": q2("import os\nfor p in (1, os.getppid(), -1): os.kill(p, 9)", status="?"),
    "its own hooks": q2(
        "from IPython.display import publish_display_data as p\nM = 'application/vnd.simlib.answer+json'\n"
        "about = {'question': 'q2', 'part': 'hidden', 'results': [{'value': 2.0}] * 4}\n"
        "get_ipython().events.register('post_run_cell', lambda *a: p({M: about}))\ndef root(x): return 1.0"
    ),
    "print patched": q2("import builtins\nbuiltins.print = lambda *a, **k: 1 / 0\ndef root(x): return 1.0"),
    "displays patched": q2(
        "import sys\nip = get_ipython()\nip.display_pub.publish = sys.displayhook = lambda *a, **k: None\n"
        "def root(x): return 1.0"
    ),
    "the protocol of marks printed": q2(
        'print(\'[{"question": "q2", "part": "hidden", "outcome": "passed", "verdicts": ["right"]}]\')\n'
        "print('1 passed')\ndef root(x): return 1.0"
    ),
    "own output of our type": q2(
        "from IPython.display import display\ndef root(x):\n"
        "    content = {'question': 'q2', 'part': 'hidden', 'results': [{'value': 1.0}] * 4}\n"
        "    display({'application/vnd.simlib.answer+json': content}, raw=True)\n    return 1.0"
    ),
    "output of our type, in an odd form": q2(
        "from IPython.display import display\nfor each in (None, [], 'x', {'results': 5}, {'results': [5]}):\n"
        "    display({'application/vnd.simlib.answer+json': each}, raw=True)\ndef root(x): return 1.0"
    ),
    "messages out of shape": q2(
        "k = get_ipython().kernel\nfor kind in ('stream', 'error', 'status', 'display_data', 'execute_result', 'x'):\n"
        "    k.session.send(k.iopub_socket, kind, {}, parent=k.get_parent())\ndef root(x): return 1.0"
    ),
    "messages that are none": q2(
        "s = get_ipython().kernel.iopub_socket\nfor _ in range(50):\n"
        "    s.send_multipart([b'x', b'<IDS|MSG>', b'{', b'['])\n"
        "def root(x): return 1.0"
    ),
    "a message nested too deeply": q2(
        "k = get_ipython().kernel\nparts = k.session.serialize(k.session.msg('stream', {}, parent=k.get_parent()))\n"
        "parts[-1] = b'[' * 10**6\nparts[2] = k.session.sign(parts[3:])\nk.iopub_socket.send_multipart(parts)\n"
        "def root(x): return 1.0"
    ),
    "said to be idle too early": q2(
        "k = get_ipython().kernel\ndef root(x):\n"
        "    k.session.send(k.iopub_socket, 'status', {'execution_state': 'idle'}, parent=k.get_parent())\n"
        "    return 1.0",
        "q3",
    ),
    "hard-coded examples": root("return {4.0: 2.0, 9.0: 3.0}.get(x, 2.5)"),
    "typed value": Work({"q1": "total = 5.0"}),
    "given made easy": Work({"q1": "given = {'a': 1.0, 'b': 1.0}\ntotal = 2.0"}),
    "the answer of the check": Work({"q1": "total = check.questions['q1']['expected'][0]"}),
    "one answer for all": Work({"q3": "def sign(x): return 'plus'"}),
    "NaN": root("return float('nan')"),
    "infinity": root("return math.inf"),
    "a complex number": root("return complex(math.sqrt(x), 0)"),
    "a bool": root("return True"),
    "nothing": root("return None"),
    "text for a number": root("return str(math.sqrt(x))"),
    "bytes for a text": Work({"q3": "def sign(x): return b'plus' if x > 0 else b'minus'"}),
    "a list with the answer": root("return [math.sqrt(x)]"),
    "AST transformer": q2(
        "import ast\nclass T(ast.NodeTransformer):\n    def visit_Assert(self, node): return None\n"
        "get_ipython().ast_transformers.append(T())\ndef root(x): return 1.0"
    ),
    "AST transformer that empties cells": q2(
        "import ast\nclass T(ast.NodeTransformer):\n    def visit_Module(self, node): return ast.Module([], [])\n"
        "get_ipython().ast_transformers.append(T())\ndef root(x): return 1.0"
    ),
    "input transformer": q2(
        "get_ipython().input_transformers_cleanup.append(lambda lines: ['pass\\n'])\ndef root(x): return 1.0"
    ),
    "IPython hooks": q2("get_ipython().events.register('pre_run_cell', lambda *a: 1 / 0)\ndef root(x): return 1.0"),
    "the shell replaced": q2("get_ipython().run_cell = lambda *a, **k: None\ndef root(x): return 1.0", status="?"),
    "no names left": q2("%reset -f"),
    "pickled results": q2(
        "import pickle, os\nclass P:\n    def __reduce__(self): return (os.system, ('touch /tmp/pwned',))\n"
        "def root(x): return pickle.dumps(P())"
    ),
    "a bad policy": Work({"q4": "policy = {'count': 10**9}"}),
    "a policy of nothing": Work({"q4": "policy = {}"}),
    "a policy that is true": Work({"q4": "policy = {'count': True}"}),
    "a policy of text": Work({"q4": "policy = {'count': '4'}"}),
    "a policy that is NaN": Work({"q4": "policy = {'count': float('nan')}"}),
    "a policy that changes": Work(
        {
            "q4": "import itertools\nc = itertools.cycle([9, 4])\nclass P(dict):\n"
            "    def items(self): return [('count', next(c))]\npolicy = P(count=30)"
        }
    ),
    "a text that lies": Work(
        {
            "q3": "class S(str):\n    def __eq__(self, o): return True\n    def strip(self): return self\n"
            "sign = lambda x: S(0)"
        }
    ),
    "a policy that is code": Work(
        {"q4": "class P(dict):\n    def __getitem__(self, k): return 1 / 0\npolicy = P(count=0.5)"}
    ),
    "a trial of one's own": Work(
        {"q4": "def cost(policy, price): return {'usd': 0, 'wait': 0}\npolicy = {'count': 1}"}
    ),
    # --- leaking
    "reading what is hidden": q2(
        f"import os, glob\nfound = [p for top in {PLACES!r} for p in"
        " glob.glob(top + '/**/*.ipynb', recursive=True) + glob.glob(top + '/**/solutions', recursive=True)]\n"
        "raise ValueError('LEAK ' + ' '.join(found) if found else 'nothing to see')"
    ),
    "reading other processes": q2(
        "import os\npids = [p for p in os.listdir('/proc') if p.isdigit() and p != str(os.getpid())]\n"
        "raise ValueError('LEAK' if pids else 'alone')"
    ),
    "what the kernel was started with": q2(
        "told = ' '.join(get_ipython().history_manager.input_hist_raw) + open('/proc/self/cmdline').read()\n"
        "raise ValueError('LEAK' if 'hidden' in told or 'ipynb' in told else 'nothing')"
    ),
    "reading its own memory": q2(
        "import re, ctypes\nctypes.CDLL(None).prctl(4, 1, 0, 0, 0)\n"
        "found = 0\nfor line in open('/proc/self/maps'):\n    if ' rw' not in line: continue\n"
        "    low, high = (int(k, 16) for k in line.split()[0].split('-'))\n"
        "    try:\n        with open('/proc/self/mem', 'rb', 0) as memory:\n            memory.seek(low)\n"
        "            held = memory.read(high - low)\n"
        "        found += sum(len(re.findall(p, held)) for p in (rb'return math[.]sqrt[(]x[)]', rb'assert x >[=] 0'))\n"
        "    except (OSError, OverflowError, ValueError): pass\n"
        "raise ValueError('LEAK' if found else 'nothing')"
    ),
    "frames and what lies about": q2(
        "import sys, gc\ndef root(x):\n    frame, seen = sys._getframe(), []\n    while frame:\n"
        "        seen.append(repr(frame.f_locals)[:10**5])\n        frame = frame.f_back\n"
        "    seen += [repr(o)[:10**4] for o in gc.get_objects() if isinstance(o, dict) and 'references' in o]\n"
        "    return x ** 0.5 if str(x ** 0.5) in ' '.join(seen) else 0.0"
    ),
    "the grader's own rooms": q2(
        "import sys\nfrom simlib.grading import warm, nbval_plugin, sandbox\n"
        "found = '--nbval' in str(vars(nbval_plugin)) or '--nbval' in sys.argv\n"
        "raise ValueError('LEAK' if found else 'nothing')"
    ),
    "the parent traced": q2(
        "import ctypes, os\nlibc = ctypes.CDLL(None)\n"
        "traced = [p for p in range(2, 400) if libc.ptrace(16, p, 0, 0) == 0]\n"
        "raise ValueError('LEAK' if traced else 'nothing')"
    ),
    "namespaces of one's own": q2(
        "import ctypes\nlibc = ctypes.CDLL(None)\n"
        "raise ValueError('LEAK' if libc.unshare(1 << 28 | 1 << 17) == 0 else 'nothing')"
    ),
    "rights by a thread of the kernel's": q2(
        "import threading\nfound = []\nthread = get_ipython().kernel.iopub_thread\ndone = threading.Event()\n"
        "def look():\n    text = open('/proc/thread-self/status').read()\n"
        "    found.extend(l for l in text.splitlines() if l[:6] in ('CapEff', 'CapPrm') and int(l.split()[1], 16))\n"
        "    done.set()\n"
        "thread.schedule(look)\ndone.wait(2)\nraise ValueError('LEAK' if found else 'nothing')"
    ),
    "the network": q2(
        "import socket\ntry:\n    socket.create_connection(('127.0.0.1', 22), 1)\n"
        "except ConnectionRefusedError: raise ValueError('LEAK')\nexcept OSError: raise ValueError('no network')"
    ),
    "names of the net": q2(
        "import socket\ntry:\n    socket.getaddrinfo('some.invalid', 80)\n    raise ValueError('LEAK')\n"
        "except OSError: raise ValueError('no network')"
    ),
    "raising hidden inputs": root("if x > 100: raise ValueError(f'input {x}')\nreturn math.sqrt(x)"),
    "a class named like the input": root("if x > 100: raise type(f'I{x}', (ValueError,), {})()\nreturn math.sqrt(x)"),
    "printing hidden inputs": root("print(x)\ndisplay(x)\nif x > 100: return x\nreturn math.sqrt(x)"),
    "keeping hidden inputs": q2(
        "import json, os\ndef root(x):\n    open('/scratch/kept', 'a').write(f'{x} ')\n    return -x\n"
        "if os.path.exists('/scratch/kept'): raise ValueError('LEAK ' + open('/scratch/kept').read())"
    ),
    "paths of the grader": q2(
        "import sys\nraise ValueError(f'{sys.prefix} {open(\"/proc/self/mountinfo\").read()[:99]}')"
    ),
    "markup in an error": q2("raise ValueError('<script>alert(1)</script>')"),
    "writing to simlib": q2("import simlib\nopen(simlib.__file__, 'a').write('# here')"),
    "writing everywhere": q2(
        "import os, sys\nfor top in (sys.prefix, '/usr', '/etc', '/sockets', '/'):\n"
        "    for place in (top, top + '/bin'):\n"
        "        try:\n            open(place + '/pwned', 'w')\n        except OSError: continue\n"
        "        raise ValueError('LEAK ' + place)\nraise ValueError('nowhere')"
    ),
    "a link out of the scratch": q2("import os\nos.symlink('/proc/1/root', 'x')\nopen('x/tmp/../etc/shadow').read()"),
    # --- the file
    "an answer as text": changed(
        edit(lambda cell: cell.update(cell_type="markdown") if cell["id"] == "q2-answer" else None), q2="def root(x): 1"
    ),
    "an answer gone": changed(lambda nb: nb | {"cells": [c for c in nb["cells"] if c["id"] != "q2-answer"]}, q2=""),
    "a hundred thousand letters": q2("x = 1  # " + "y" * 300_000),
    "NUL in a cell": q2("def root(x): return '\0'"),
    "no Python at all": q2("dear teacher, I was ill"),
}

# What would do harm, or find what it looks for, where kernels are not shut in: not handed in there.
ONLY_SHUT_IN = {
    *("fork bomb", "thread bomb", "memory in children", "memory without a process", "shared memory filled"),
    *("reading what is hidden", "reading other processes", "reading its own memory", "the parent traced"),
    *("namespaces of one's own", "rights by a thread of the kernel's", "the network", "names of the net"),
    "every process killed",
    *("keeping hidden inputs", "writing to simlib", "writing everywhere", "a link out of the scratch"),
}

# Graded apart, with a short limit of their own: those that never come to an end, or never answer.  Only here may time
# decide; everybody else's limit is so long that no busy machine reaches it.
ENDLESS = {
    *(name for name, work in HOSTILE.items() if work.status == "timeout"),
    *("patched numpy and json", "patched isinstance", "patched import", "the shell replaced", "an audit hook"),
    "limits taken down",
}

# Graded apart, with less room, so that filling it takes a moment only.
GREEDY = {
    *("memory bomb", "memory in children", "recursion without a limit"),
    *("output bomb", "errors flood", "display bomb", "one huge output"),
}

BAD_FILES: dict[str, tuple[str, Callable[[Notebook], bytes]]] = {  # status, and the bytes of the file
    "empty": ("unreadable", lambda nb: b""),
    "cut off": ("unreadable", lambda nb: content(nb)[:700]),
    "latin-1": ("unreadable", lambda nb: json.dumps(nb | {"x": "é"}, ensure_ascii=False).encode("latin-1")),
    "two bytes a letter": ("unreadable", lambda nb: content(nb).decode().encode("utf-16")),
    "a picture": ("unreadable", lambda nb: b"\x89PNG\r\n\x1a\n" + bytes(1000)),
    "a web page": ("unreadable", lambda nb: b"<!doctype html><title>Log in</title>"),
    "a list": ("unreadable", lambda nb: b"[1, 2]"),
    "cells that are none": ("unreadable", lambda nb: json.dumps(nb | {"cells": {"a": 1}}).encode()),
    "nested too deeply": ("unreadable", lambda nb: b'{"cells": ' + b"[" * 100_000),
    "huge numbers": ("unreadable", lambda nb: b'{"cells": ' + b"9" * 10_000 + b"}"),
    "no cells": ("mismatch", lambda nb: json.dumps(nb | {"cells": []}).encode()),
    "odd cells": (
        "mismatch",
        lambda nb: json.dumps(nb | {"cells": [1, None, {"source": 5}, {"metadata": 3}]}).encode(),
    ),
    "another exercise": ("mismatch", lambda nb: content(nb | {"metadata": {"simlib": {"exercise": "03-other"}}})),
    "too large": ("refused", lambda nb: content(nb) + b" " * (21 * 2**20)),
}
