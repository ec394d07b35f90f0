"""SageMaker's parameters inside other objects: a state machine's tasks, answers of the command line, tools' files.

Only what is of SageMaker beyond doubt is taken from there.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from simlib.platforms.descriptors.reading import Unset, spelled

_DEEPEST = 8
_MARKS = {
    "ProductionVariants": "config",
    "TransformResources": "transform",
    "TargetTrackingScalingPolicyConfiguration": "policy",
    "StepScalingPolicyConfiguration": "policy",
    "DesiredWeightsAndCapacities": "weights",
}


def objects_within(
    found: Any, given: Mapping[str, Any], where: str = "", depth: int = 0
) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """(kind, where, fields) of each object in there, from the outside in."""
    if depth > _DEEPEST:
        return
    if isinstance(found, list):
        for k, each in enumerate(found):
            yield from objects_within(each, given, f"{where}[{k}]", depth + 1)
    if not isinstance(found, Mapping):
        return
    kind = _kind(found)
    if kind is not None:
        yield kind, where, _filled_in_later(found, given)
        return
    for key, each in found.items():
        yield from objects_within(each, given, spelled(where, str(key)), depth + 1)


def _kind(found: Mapping[Any, Any]) -> str | None:
    known = next((kind for mark, kind in _MARKS.items() if mark in found), None)
    if known is None and {"MinCapacity", "MaxCapacity"} <= set(found):
        resource = str(found.get("ResourceId", ""))
        known = "target" if resource.startswith(("endpoint/", "inference-component/")) else None
    if known is None and {"AlarmName", "MetricName", "Threshold"} <= set(found):
        known = "alarm"
    return known


def _filled_in_later(found: Any, given: Mapping[str, Any]) -> Any:
    """A state machine's "InstanceType.$": "$.kind" is the field InstanceType, known when it runs."""
    if isinstance(found, list):
        return [_filled_in_later(each, given) for each in found]
    if not isinstance(found, Mapping):
        return found
    made = {}
    for key, each in found.items():
        if not str(key).endswith(".$"):
            made[key] = _filled_in_later(each, given)
            continue
        names = re.findall(r"\w+", str(each))
        name = names[-1] if names else str(each)
        why = f"the state machine fills it in with {each}, give parameters={{{name!r}: …}}"
        made[str(key)[:-2]] = given.get(name, Unset(str(each), why))
    return made
