"""What the grader's own cells call inside a student's kernel: run the answer on cases, and hand the values out.

Nothing here knows what is expected, so nothing here is worth forging: whoever replaces it can only hand out other
values.
"""

import builtins
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from simlib.exercises.checking import shortened
from simlib.exercises.values import Plain, plain

MIME = "application/vnd.simlib.answer+json"


def hand_in_calls(question: str, part: str, answer: str, cases: Sequence[Mapping[str, Any]]) -> None:
    """Call the notebook's function *answer* with each case; publish what it returns, or the exception it raises."""
    function = _names().get(answer)
    _publish(question, part, [_called(function, case, part) for case in cases])


def hand_in_value(question: str, part: str, answer: str) -> None:
    """Publish the notebook's variable *answer*."""
    _publish(question, part, [{"value": plain(_names().get(answer))}])


def _names() -> dict[str, Any]:
    """What the notebook defines, whatever it calls `globals`."""
    return sys._getframe(2).f_globals


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
