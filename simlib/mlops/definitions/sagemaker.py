"""SageMaker pipeline definitions: the reader.

It is tolerant where real files are: edges from `Get`, `Std:Join`, `Std:JsonGet` anywhere, `DependsOn` and
branches; unknown types of steps kept as timed steps; what it does not know kept as it is.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simlib.mlops.cache import CacheConfig
from simlib.mlops.pipeline import Pipeline
from simlib.mlops.references import Parameter, gets, head, is_known, plain
from simlib.mlops.retries import RetryPolicy
from simlib.mlops.steps import (
    KINDS,
    ConditionStep,
    EndpointStep,
    EvaluationStep,
    FailStep,
    JobStep,
    PipelineStep,
    RegisterModelStep,
    TimedStep,
    TuningStep,
    dig,
)
from simlib.parameters import ParameterError

_KEYS = ("Name", "Type", "Arguments", "DependsOn", "CacheConfig", "RetryPolicies")
_INNER = ("IfSteps", "ElseSteps", "Conditions")


def find(found: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The definition in *found*, if there is one.

    It is *found* itself, or the text in CreatePipeline, in a Kubernetes resource, or in the first pipeline of a
    CloudFormation template.
    """
    for holder in (found, *_pipelines_of_a_template(found)):
        for path in ((), ("PipelineDefinition",), ("spec", "pipelineDefinition"), ("Properties", "PipelineDefinition")):
            inside = dig(holder, path)
            if isinstance(inside, Mapping) and "PipelineDefinitionBody" in inside:
                inside = _text(inside["PipelineDefinitionBody"])
            if isinstance(inside, str):
                try:
                    inside = json.loads(inside)
                except json.JSONDecodeError:
                    continue
            if isinstance(inside, Mapping) and isinstance(inside.get("Steps"), list):
                return inside
    return None


def _pipelines_of_a_template(found: Mapping[str, Any]) -> list[Any]:
    resources = found.get("Resources")
    several = resources.values() if isinstance(resources, Mapping) else ()
    return [each for each in several if isinstance(each, Mapping) and each.get("Type") == "AWS::SageMaker::Pipeline"]


def _text(found: Any) -> Any:
    """A text that CloudFormation puts together, where what only a deployment knows stands as a word."""
    if isinstance(found, Mapping) and len(found) == 1:
        ((function, value),) = found.items()
        if function == "Fn::Sub":
            return value[0] if isinstance(value, list) and value else value
        if function == "Fn::Join" and isinstance(value, list) and len(value) == 2 and isinstance(value[1], list):
            return str(value[0]).join(each if isinstance(each, str) else "unknown" for each in value[1])
    return found


def read(definition: Mapping[str, Any], name: str, folder: Path | None) -> Pipeline:
    """The pipeline that *definition* defines.

    Raises
    ------
    ParameterError
        If a step has no name or cannot be, in one sentence.
    """
    notes: list[str] = []
    definition = plain(definition)
    steps = [_step(each, notes) for each in definition["Steps"]]
    if not steps:
        raise ParameterError(f"read_definition: {name} is not a pipeline: its list of Steps is empty.")
    parameters = [_parameter(each, notes) for each in definition.get("Parameters") or () if _has_name(each, notes)]
    known = {parameter.name for parameter in parameters}
    for target in gets(definition["Steps"]):
        root, missing, _ = head(target)
        if root == "Parameters" and missing not in known:
            known.add(missing)
            parameters.append(Parameter(missing, ""))
            notes.append(f"parameter {missing} is used but not declared: taken as an empty text")
    return Pipeline(name, steps=steps, parameters=tuple(parameters), notes=tuple(notes))


def _has_name(found: Any, notes: list[str]) -> bool:
    named = isinstance(found, Mapping) and isinstance(found.get("Name"), str)
    if not named:
        notes.append(f"a parameter has no name: {str(found)[:60]}")
    return named


def _parameter(found: Mapping[str, Any], notes: list[str]) -> Parameter:
    name, kind, values = found["Name"], found.get("Type"), tuple(found.get("EnumValues") or ())
    default = found.get("DefaultValue")
    if default is None:
        made_up = {"Integer": 1, "Float": 1.0, "Boolean": False}
        default = values[0] if values else made_up.get(str(kind), "")
        notes.append(f"parameter {name} has no default: {default!r} is made up")
    try:
        return Parameter(name, default, kind, values)
    except ParameterError:
        notes.append(f"parameter {name} has a default {default!r} that is not one of its type {kind}")
        return Parameter(name, default if isinstance(default, str | int | float | bool) else str(default))


def _step(found: Any, notes: list[str]) -> PipelineStep:
    if not isinstance(found, Mapping) or not isinstance(found.get("Name"), str):
        raise ParameterError(f"read_definition: a step has no Name: {str(found)[:60]}.")
    name, kind = found["Name"], str(found.get("Type", "Unknown"))
    arguments = found.get("Arguments") or {}
    if not isinstance(arguments, Mapping):
        raise ParameterError(f"read_definition: the Arguments of step {name!r} are {str(arguments)[:60]!r}, not keys.")
    common: dict[str, Any] = {
        "depends_on": _names(found.get("DependsOn")),
        "arguments": {key: value for key, value in arguments.items() if not (kind == "Condition" and key in _INNER)},
        "more": {key: value for key, value in found.items() if key not in _KEYS},
        "cache": _cache(name, found.get("CacheConfig"), notes),
        "retries": _retries(name, found.get("RetryPolicies"), notes),
    }
    if kind == "Condition":
        conditions = _list(arguments.get("Conditions"))
        if not all(map(is_known, conditions)):
            notes.append(f"condition {name} tests something in another form than SageMaker's: its outcome is assumed")
        return ConditionStep(
            name,
            conditions=tuple(conditions),
            if_steps=[_step(each, notes) for each in _list(arguments.get("IfSteps"))],
            else_steps=[_step(each, notes) for each in _list(arguments.get("ElseSteps"))],
            **common,
        )
    made = EvaluationStep if kind == "Processing" and found.get("PropertyFiles") else KINDS.get(kind, TimedStep)
    if made is EvaluationStep:
        common["property_files"] = tuple(_property_file(each) for each in _list(found["PropertyFiles"]))
    if made is TimedStep:
        notes.append(f"step {name} is of type {kind}, which is kept as a timed step")
        common["step_type"] = kind
    if made is RegisterModelStep:
        common["approval_status"] = arguments.get("ModelApprovalStatus") or "PendingManualApproval"
        common["group"] = arguments.get("ModelPackageGroupName")
    if made is FailStep:
        common["message"] = arguments.get("ErrorMessage", "")
    if made is EndpointStep and isinstance(arguments.get("EndpointName"), str):
        common["endpoint"] = arguments["EndpointName"]
    if issubclass(made, JobStep):
        common["instance_type"] = dig(arguments, made.instance_path)
        common["instance_count"] = _amount(dig(arguments, made.count_path))
        limit = _number(dig(arguments, made.runtime_path))
        if made.job and limit is not None and limit > 0:
            common["max_runtime_s"] = limit
        if made.job and common["instance_type"] is None:
            notes.append(f"step {name} names no instance type: its machines are not on the bill")
    if issubclass(made, TuningStep):
        limits = dig(arguments, made.limits_path) or {}
        common["max_trials"] = _amount(limits.get("MaxNumberOfTrainingJobs"))
        common["max_parallel_trials"] = _amount(limits.get("MaxParallelTrainingJobs"))
    return made(name, **common)


def _property_file(found: Any) -> str:
    return str(found.get("PropertyFileName", "evaluation")) if isinstance(found, Mapping) else str(found)


def _cache(name: str, found: Any, notes: list[str]) -> CacheConfig | None:
    if not isinstance(found, Mapping):
        return None
    try:
        return CacheConfig(bool(found.get("Enabled")), found.get("ExpireAfter"))
    except ParameterError:
        notes.append(
            f"step {name} has a cache window {found.get('ExpireAfter')!r} that cannot be read: taken as any age"
        )
        return CacheConfig(bool(found.get("Enabled")))


def _retries(name: str, found: Any, notes: list[str]) -> tuple[RetryPolicy, ...]:
    made = []
    for each in _list(found):
        try:
            made.append(_retry(each))
        except (ParameterError, AttributeError, TypeError, ValueError):
            notes.append(f"step {name} has a retry policy that cannot be read, and is tried again by the service only")
    return tuple(made)


def _retry(found: Mapping[str, Any]) -> RetryPolicy:
    attempts, expires = _number(found.get("MaxAttempts")), _number(found.get("ExpireAfterMin"))
    return RetryPolicy(
        tuple(map(str, _list(found.get("ExceptionType") or "*"))),
        interval_s=float(found.get("IntervalSeconds", 1)),
        backoff_rate=float(found.get("BackoffRate", 2)),
        max_attempts=None if attempts is None else int(attempts),
        expire_after_min=None if attempts is not None else expires,
    )


# --- what people write differently ------------------------------------------------------------------------------------


def _list(found: Any) -> list[Any]:
    """A list; one thing that stands alone is a list of it."""
    return found if isinstance(found, list) else [] if found is None else [found]


def _names(found: Any) -> list[Any]:
    """Names of steps, which some write as references."""
    targets = [each.get("Get", each) if isinstance(each, Mapping) else each for each in _list(found)]
    return [head(each)[1] if isinstance(each, str) and each.startswith("Steps.") else each for each in targets]


def _amount(found: Any) -> Any:
    """How many: a number from 1, or the reference to it; 1 where a file says nothing that could be read."""
    return found if isinstance(found, Mapping) and found else max(1, int(_number(found) or 1))


def _number(found: Any) -> float | None:
    """A number, also where it stands as a text; None for a reference or nothing."""
    try:
        return None if isinstance(found, bool | Mapping | list) or found is None else float(found)
    except ValueError:
        return None
