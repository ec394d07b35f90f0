"""What the grader's own cells call inside a student's kernel: run the answer on cases, and hand the values out.

Nothing here knows what is expected, so nothing here is worth forging: whoever replaces it can only hand out other values.
"""

import builtins
from collections.abc import Mapping, Sequence
from typing import Any

from simlib.exercises.checking import shortened
from simlib.exercises.values import Plain, plain

MIME = "application/vnd.simlib.answer+json"


def hand_in_calls(
    question: str, part: str, names: Mapping[str, Any], answer: str, cases: Sequence[Mapping[str, Any]]
) -> None:
    """Call the function *answer* with each case and publish what it returns, or the exception it raises."""
    _publish(question, part, [_called(names.get(answer), case, part) for case in cases])


def hand_in_value(question: str, part: str, names: Mapping[str, Any], answer: str) -> None:
    """Publish the variable *answer*."""
    _publish(question, part, [{"value": plain(names.get(answer))}])


def _called(function: Any, case: Mapping[str, Any], part: str) -> dict[str, Plain]:
    if not callable(function):
        return {"value": plain(function), "callable": False}
    try:
        return {"value": plain(function(**case))}
    except KeyboardInterrupt:  # the grader's time-out
        raise
    except BaseException as error:
        return {"error": shortened(error) if part == "public" else kind_of(error)}


def kind_of(error: BaseException) -> str:
    """The nearest exception of Python's own: a student's class could carry a hidden number in its name."""
    own = (kind.__name__ for kind in type(error).__mro__ if getattr(builtins, kind.__name__, None) is kind)
    return next(own, "Exception")


def _publish(question: str, part: str, results: list[dict[str, Plain]]) -> None:
    from IPython.display import publish_display_data

    publish_display_data({MIME: {"question": question, "part": part, "results": results}})
