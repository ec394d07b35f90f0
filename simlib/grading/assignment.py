"""A private source to begin with: for marks that count, outside the repository, where solutions are public."""

import json
from pathlib import Path
from typing import Any

from simlib.grading.records import write
from simlib.parameters import ParameterError

# Three forms that survive a copied answer: a prediction that was written down first, an explanation of the student's
# own numbers, and a policy that is simulated under hidden seeds.  (id, tag, text)
CELLS: tuple[tuple[str, str, str], ...] = (
    (
        "title",
        "",
        "# NAME\n\n**30 minutes**, 10 points. Write each answer in its own cell, with everything it needs.",
    ),
    ("set-up", "", "import simlib as sl\nfrom simlib import serving, workload"),
    ("given", "given", 'given = {\n    "rate": 30.0,  # requests/s\n    "service_s": 0.08,  # mean\n}'),
    (
        "teacher",
        "teacher",
        "from simlib.grading import question, variants\n\n\n"
        "def other_numbers(rng):\n"
        '    return {"rate": float(rng.uniform(10, 80)), "service_s": float(rng.uniform(0.03, 0.2))}\n\n\n'
        "variants(other_numbers)",
    ),
    (
        "q1-text",
        "",
        "## Question 1 · A prediction first (2 points)\n\nBefore you run anything: how many workers will keep p99 "
        "below one second with your `given`, and why? Write number and reason. A wrong number with a good reason "
        "earns full points; a number copied from the result earns none.",
    ),
    ("q1-solution", "answer", "<!-- BEGIN SOLUTION -->\nWhat you would accept.\n<!-- END SOLUTION -->"),
    (
        "q1-question",
        "question",
        'question(\n    "q1",\n    "open",\n    points=2,\n    rubric=["1: a number with the work per second", '
        '"1: why more than just enough workers"],\n)',
    ),
    (
        "q2-text",
        "",
        "## Question 2 · Your own numbers (2 points)\n\nCompute `work`: the seconds of work that arrive each second.",
    ),
    (
        "q2-solution",
        "answer",
        '# BEGIN SOLUTION work = ...  # computed from given\nwork = given["rate"] * given["service_s"]\n# END SOLUTION',
    ),
    (
        "q2-question",
        "question",
        'question(\n    "q2",\n    "value",\n    answer="work",\n    points=2,\n'
        '    hints=["What does one request bring?", "Requests a second, and seconds each.", "A product of the two."],\n'
        '    wrong=["work = 2.4", \'work = given["rate"] / given["service_s"]\'],\n)',
    ),
    (
        "q3-text",
        "",
        "## Question 3 · A fleet (3 points)\n\nHand in how many instances keep p99 at most 0.5 s at 60 requests/s of "
        "0.08 s, for the least money. It is simulated with `evening` under hidden seeds.",
    ),
    (
        "evening",
        "",
        "def evening(policy, seed):\n"
        '    """An hour under this policy: p99 [s], dollars."""\n'
        '    model = sl.ModelProfile("chat", service=sl.exponential(mean=0.08))\n'
        '    endpoint = serving.RealTime(model, routing="LEAST_OUTSTANDING_REQUESTS", **policy)\n'
        "    summary = sl.simulate(endpoint, workload.poisson(rate=60), hours=1, seed=seed).summary()\n"
        '    return {name: float(summary[name]) for name in ("p99_s", "usd")}',
    ),
    (
        "q3-solution",
        "answer",
        'policy = {\n    # BEGIN SOLUTION "initial_instance_count": 12,  # your choice\n'
        '    "initial_instance_count": 7,\n    # END SOLUTION\n}',
    ),
    (
        "q3-question",
        "question",
        'question(\n    "q3",\n    "policy",\n    answer="policy",\n    points=3,\n    trial="evening",\n'
        '    examples=[{"seed": 1}],\n'
        '    hidden=lambda rng: [{"seed": int(seed)} for seed in rng.integers(10, 10**6, size=4)],\n'
        '    bounds={"initial_instance_count": (1, 30)},\n'
        '    limits={"p99_s": {"max": 0.5}, "usd": {"max_times_best": 1.001}},\n'
        '    hints=["How much work is that?", "Spare time is needed, too.", "Go down from ten."],\n'
        "    wrong=['policy = {\"initial_instance_count\": 6}', 'policy = {\"initial_instance_count\": 9}'],\n)",
    ),
    (
        "q4-text",
        "",
        "## Question 4 · Explain (3 points)\n\nCompare your prediction of question 1 with what you found, in at most "
        "100 words, with two numbers of your own `given`.",
    ),
    ("q4-solution", "answer", "<!-- BEGIN SOLUTION -->\nWhat you would accept.\n<!-- END SOLUTION -->"),
    (
        "q4-question",
        "question",
        'question(\n    "q4",\n    "open",\n    points=3,\n    rubric=["1: two measured numbers of his own variant", '
        '"1: what the prediction missed", "1: why"],\n)',
    ),
)
TEXTS = ("title", "text")


def make_assignment(path: Path, course: Path) -> Path:
    """Write a private source to *path*, a new .ipynb file outside the repository *course*.

    Raises
    ------
    ParameterError
        If it lies inside the repository, is there already, or is no .ipynb.
    """
    if path.suffix != ".ipynb":
        raise ParameterError(f"{path} should end in .ipynb.")
    if path.resolve().is_relative_to(course.resolve()):
        raise ParameterError(f"{path} lies in the course's folder, which is public: name a place outside.")
    if path.exists():
        raise ParameterError(f"{path} is there already.")
    notebook = {
        "cells": [_cell(*cell, path.stem) for cell in CELLS],
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    write(path, json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")
    return path


def _cell(identity: str, tag: str, text: str, name: str) -> dict[str, Any]:
    is_text = identity.endswith(TEXTS) or text.startswith("<!--")
    cell: dict[str, Any] = {
        "cell_type": "markdown" if is_text else "code",
        "id": identity,
        "metadata": {"tags": [tag]} if tag else {},
        "source": text.replace("NAME", name).splitlines(keepends=True),
    }
    return cell if is_text else cell | {"execution_count": None, "outputs": []}
