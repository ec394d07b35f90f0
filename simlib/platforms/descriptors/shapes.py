"""What SageMaker's own API model says of an object: unknown fields, wrong kinds, ranges, words that are not in a list.

botocore carries the model.  It is not needed to read a descriptor; without it nothing is found here, and that is told.
"""

import functools
import re
from collections.abc import Iterator, Mapping
from typing import Any

from simlib.parameters import shortly
from simlib.platforms.descriptors.reading import Unset
from simlib.platforms.limits import Finding

Source = tuple[str, bool]  # who says so, and whether a number in quotes is wrong
_KINDS: dict[str, tuple[Any, str]] = {
    "string": (str, "a text"),
    "integer": (int, "a whole number"),
    "long": (int, "a whole number"),
    "float": ((int, float), "a number"),
    "double": ((int, float), "a number"),
    "boolean": (bool, "true or false"),
    "list": (list, "a list"),
    "structure": (Mapping, "an object"),
    "map": (Mapping, "an object"),
}
_ANSWERS = {
    "CreateEndpointConfig": ("DescribeEndpointConfig", ""),
    "CreateTransformJob": ("DescribeTransformJob", ""),
    "CreateInferenceComponent": ("DescribeInferenceComponent", ""),
    "RegisterScalableTarget": ("DescribeScalableTargets", "ScalableTargets"),
    "PutScalingPolicy": ("DescribeScalingPolicies", "ScalingPolicies"),
}


def version() -> str | None:
    """The version of botocore; None where it is not installed."""
    try:
        import botocore  # type: ignore[import-untyped]
    except ImportError:
        return None
    return str(botocore.__version__)


def check(found: Mapping[str, Any], service: str, operation: str, where: str) -> Iterator[Finding]:
    """What the API model has against the parameters of an operation; nothing where botocore is not installed."""
    known = version()
    if known is None:
        return
    strict = not where  # a template's numbers may stand in quotes
    shape, answered = _shape(service, operation), _answered(service, operation)
    for finding in _object(found, shape, where, (f"API model of botocore {known}", strict)):
        if finding.value is None or finding.field.removeprefix(f"{where}.") not in answered:
            yield finding


@functools.cache
def _shape(service: str, operation: str) -> Any:
    import botocore.session  # type: ignore[import-untyped]

    return botocore.session.get_session().get_service_model(service).operation_model(operation).input_shape


@functools.cache
def _answered(service: str, operation: str) -> frozenset[str]:
    """Fields that only the answer to the same question has, such as an ARN and a time: people keep these too."""
    import botocore.session

    asked, listed = _ANSWERS.get(operation, ("", ""))
    if not asked:
        return frozenset()
    model = botocore.session.get_session().get_service_model(service)
    shape = model.operation_model(asked).output_shape
    shape = shape.members[listed].member if listed else shape
    return frozenset(shape.members) - frozenset(_shape(service, operation).members)


def _finding(where: str, value: Any, words: str, source: Source) -> Finding:
    return Finding(re.sub(r"\[\d+\]", "", where), where, value, f"{where}={shortly(value)} {words}.", "V", source[0])


def _object(found: Mapping[str, Any], shape: Any, where: str, source: Source) -> Iterator[Finding]:
    for name in found:
        if name not in shape.members:
            path = f"{where}.{name}" if where else str(name)
            yield Finding(path, path, found[name], f"{path} is no field of {shape.name}.", "V", source[0])
    for name, member in shape.members.items():
        path = f"{where}.{name}" if where else name
        if found.get(name) is not None:
            yield from _value(found[name], member, path, source)
        elif name in shape.required_members:
            yield Finding(path, path, None, f"{path} is missing, and {shape.name} needs it.", "V", source[0])


def _value(value: Any, shape: Any, where: str, source: Source) -> Iterator[Finding]:
    if isinstance(value, Unset) or (isinstance(value, str) and re.search(r"\$\{|\{\{|<\w", value)):
        return  # what it will be is not known yet
    kind, wanted = _KINDS.get(shape.type_name, (object, ""))
    if not isinstance(value, kind) or (isinstance(value, bool) and shape.type_name != "boolean"):
        quoted = isinstance(value, str) and re.fullmatch(r"[+-]?\d+(\.\d+)?|true|false", value.strip().lower())
        if source[1] or not quoted:
            yield _finding(where, value, f"should be {wanted}", source)
        return
    if shape.type_name == "structure":
        yield from _object(value, shape, where, source)
    elif shape.type_name == "list":
        yield from _in_range(len(value), shape, where, "entries", source)
        for k, each in enumerate(value):
            yield from _value(each, shape.member, f"{where}[{k}]", source)
    elif shape.type_name == "string":
        if shape.enum and value not in shape.enum:
            yield _finding(where, value, f"is not one of the {len(shape.enum)} that the API lists", source)
        elif not shape.enum:
            yield from _in_range(len(value), shape, where, "characters", source)
    elif shape.type_name in ("integer", "long", "float", "double"):
        yield from _in_range(value, shape, where, "", source)


def _in_range(size: float, shape: Any, where: str, of: str, source: Source) -> Iterator[Finding]:
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    words = f"{size:g} {of}".strip()
    if least is not None and size < least:
        yield Finding(where, where, size, f"{where} has {words}; the API's least is {least:g}.", "V", source[0])
    if most is not None and size > most:
        yield Finding(where, where, size, f"{where} has {words}; the API's most is {most:g}.", "V", source[0])
