"""A small exercise for the tests of grading: a value, two functions, a policy, an open question; nothing slow."""

import json
from pathlib import Path
from typing import Any

from simlib.grading.release import exercise_bytes
from simlib.grading.source import read

NAME = "90-small"

CELLS: list[tuple[str, str, str, str]] = [  # id, tag, kind, text
    ("title", "", "markdown", "# Small"),
    ("set-up", "", "code", "import math"),
    ("given", "given", "code", 'given = {"a": 2.0, "b": 3.0}'),
    (
        "teacher",
        "teacher",
        "code",
        "from simlib.grading import question, variants\n"
        'variants(lambda rng: {"a": float(rng.uniform(4, 9)), "b": float(rng.uniform(10, 20))})',
    ),
    ("doubled", "", "code", 'doubled = 2 * given["a"]'),
    (
        "q1-solution",
        "answer",
        "code",
        '# BEGIN SOLUTION total = ...\ntotal = doubled / 2 + given["b"] * 1.0\n# END SOLUTION',
    ),
    (
        "q1-question",
        "question",
        "code",
        'question("q1", "value", answer="total", points=2, hints=["a", "b", "c"], wrong=["total = 5", "total = 6"])',
    ),
    (
        "q2-solution",
        "answer",
        "code",
        "def root(x):\n    # BEGIN SOLUTION\n    assert x >= 0\n    return math.sqrt(x)\n    # END SOLUTION",
    ),
    (
        "q2-question",
        "question",
        "code",
        'question("q2", "function", answer="root", points=4, unit="m", examples=[{"x": 4.0}, {"x": 9.0}],\n'
        '    hidden=lambda rng: [{"x": float(x)} for x in rng.uniform(1000, 9000, size=4)],\n'
        '    hints=["a", "b", "c"], wrong=["def root(x): return x / 2", "def root(x): return 2.0"])',
    ),
    (
        "q3-solution",
        "answer",
        "code",
        "def sign(x):\n    # BEGIN SOLUTION\n    return 'plus' if x > 0 else 'minus'\n    # END SOLUTION",
    ),
    (
        "q3-question",
        "question",
        "code",
        'question("q3", "function", answer="sign", points=2, examples=[{"x": 1}],\n'
        '    hidden=lambda rng: [{"x": s * int(rng.integers(2, 10**6))} for s in (1, 1, 1, -1, -1, -1)],\n'
        '    hints=["a", "b", "c"], wrong=["def sign(x): return \'plus\'", "def sign(x): return x > 0"])',
    ),
    (
        "trial",
        "",
        "code",
        'def cost(policy, price):\n    return {"usd": price * policy["count"], "wait": 8 / policy["count"]}',
    ),
    (
        "q4-solution",
        "answer",
        "code",
        'policy = {\n    # BEGIN SOLUTION "count": 9,\n    "count": 4,\n    # END SOLUTION\n}',
    ),
    (
        "q4-question",
        "question",
        "code",
        'question("q4", "policy", answer="policy", points=2, trial="cost", examples=[{"price": 1.0}],\n'
        '    hidden=lambda rng: [{"price": float(p)} for p in rng.uniform(2, 5, size=3)], bounds={"count": (1, 20)},\n'
        '    limits={"wait": {"max": 2.0}, "usd": {"max_times_best": 1.0}}, hints=["a", "b", "c"],\n'
        "    wrong=['policy = {\"count\": 3}', 'policy = {\"count\": 5}'])",
    ),
    ("q5-solution", "answer", "markdown", "<!-- BEGIN SOLUTION -->\nBecause.\n<!-- END SOLUTION -->"),
    ("q5-question", "question", "code", 'question("q5", "open", points=1, rubric=["1: a reason"])'),
]
SOLUTIONS = {identity[:2]: text for identity, tag, _, text in CELLS if tag == "answer" and identity != "q5-solution"}
POINTS = {"q1": 2.0, "q2": 4.0, "q3": 2.0, "q4": 2.0}


def write_source(folder: Path) -> Path:
    """The source as a file."""
    cells = []
    for identity, tag, kind, text in CELLS:
        cell: dict[str, Any] = {
            "cell_type": kind,
            "id": identity,
            "metadata": {"tags": [tag]} if tag else {},
            "source": text,
        }
        cells.append(cell | ({"execution_count": None, "outputs": []} if kind == "code" else {}))
    path = folder / f"{NAME}.ipynb"
    path.write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    return path


def handed_in(source: Path, **answers: str) -> dict[str, Any]:
    """The released notebook with these answers in their cells."""
    notebook = json.loads(exercise_bytes(read(source)))
    for cell in notebook["cells"]:
        question = cell["metadata"].get("simlib", {}).get("question")
        if question in answers:
            cell["source"] = answers[question]
    return notebook


def content(notebook: dict[str, Any]) -> bytes:
    """A notebook as a file's content."""
    return json.dumps(notebook).encode()
