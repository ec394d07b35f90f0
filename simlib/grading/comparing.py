"""What a student's code handed out beside the reference: compared in the grader's process, never in the kernel."""

import re
from collections.abc import Mapping
from typing import Any

from simlib.exercises.handing_in import MIME
from simlib.exercises.values import Plain, is_nothing, plain, same

ERRORS = ("error", "value")
PATH = re.compile(r"(?<![\w:/.])(?:/[\w.+@-]+)+/")


def compare(item: Any, outputs: list[Any], references: list[Any], skip_compare: Any = None) -> bool:
    """Whether a grader's cell handed out the values of the reference; notes the outcome of each case."""
    about = item.cell.metadata["simlib"]
    item.comparison_traceback = ["the values differ"]  # and not a word more
    found = _results(outputs, about)
    expected = _results(references, about) or []
    item.handed_out = found
    if found is None:
        item.verdicts = ["unusable"] * len(expected)
        return False
    item.verdicts = [
        _verdict(found[k] if k < len(found) else {}, each, about["rtol"]) for k, each in enumerate(expected)
    ]
    return len(found) == len(expected) and all(verdict == "right" for verdict in item.verdicts)


def _results(outputs: list[Any], about: Mapping[str, Any]) -> list[Any] | None:
    """What one cell handed out; None unless it did so exactly once, for the right question, and in the right form."""
    ours = [output["data"][MIME] for output in outputs if MIME in output.get("data", {})]
    if len(ours) != 1 or not isinstance(ours[0], Mapping):
        return None
    content = ours[0]
    if content.get("question") != about["question"] or content.get("part") != about["part"]:
        return None
    results = content.get("results")
    if not isinstance(results, list) or not all(isinstance(result, Mapping) for result in results):
        return None
    return [{key: _told(plain(result[key])) for key in (*ERRORS, "callable") if key in result} for result in results]


def _told(value: Plain) -> Plain:
    return without_paths(value) if isinstance(value, str) else value


def without_paths(text: str) -> str:
    """Of a path its last name: where the grader keeps things is nobody's business."""
    return PATH.sub("…/", text)


def _verdict(result: Mapping[str, Any], expected: Mapping[str, Any], rtol: float) -> str:
    if "error" in result:
        return f"error {str(result['error'])[:160]}"
    if "value" not in result or result.get("callable") is False or is_nothing(result["value"]):
        return "right" if "value" in result and expected == result else "nothing"
    return "right" if same(result["value"], expected.get("value"), rtol) else "wrong"
