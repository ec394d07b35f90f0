"""SageMaker pipeline definitions, read and written.

The reader is tolerant where real files are: edges from `Get`, `Std:Join`, `Std:JsonGet` anywhere, `DependsOn` and
branches; unknown types of steps kept as timed steps; what it does not know kept as it is.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from simlib.mlops.cache import CacheConfig
from simlib.mlops.pipeline import Pipeline, _flat
from simlib.mlops.references import Parameter, gets, head, plain
from simlib.mlops.retries import RetryPolicy
from simlib.mlops.steps import (
    KINDS,
    ApprovalStep,
    ConditionStep,
    EndpointStep,
    EvaluationStep,
    FailStep,
    ForEachStep,
    GroupStep,
    JobStep,
    PipelineStep,
    RegisterModelStep,
    TimedStep,
    TuningStep,
    dig,
)
from simlib.parameters import ParameterError

VERSION = "2020-12-01"
_KEYS = ("Name", "Type", "Arguments", "DependsOn", "CacheConfig", "RetryPolicies")
_INNER = ("IfSteps", "ElseSteps", "Conditions")

# --- reading --------------------------------------------------------------------------------------------------------


def find(found: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The definition in *found*, if there is one: itself, or the text in CreatePipeline or a Kubernetes resource."""
    for path in ((), ("PipelineDefinition",), ("spec", "pipelineDefinition"), ("Properties", "PipelineDefinition")):
        inside = dig(found, path)
        if isinstance(inside, Mapping) and "PipelineDefinitionBody" in inside:
            inside = inside["PipelineDefinitionBody"]
        if isinstance(inside, str):
            try:
                inside = json.loads(inside)
            except json.JSONDecodeError:
                continue
        if isinstance(inside, Mapping) and isinstance(inside.get("Steps"), list):
            return inside
    return None


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
    parameters = [_parameter(each, notes) for each in definition.get("Parameters") or ()]
    known = {parameter.name for parameter in parameters}
    for target in gets(definition["Steps"]):
        root, missing, _ = head(target)
        if root == "Parameters" and missing not in known:
            known.add(missing)
            parameters.append(Parameter(missing, ""))
            notes.append(f"parameter {missing} is used but not declared: taken as an empty text")
    return Pipeline(name, steps=steps, parameters=tuple(parameters), notes=tuple(notes))


def _parameter(found: Mapping[str, Any], notes: list[str]) -> Parameter:
    name, kind, values = str(found["Name"]), found.get("Type"), tuple(found.get("EnumValues") or ())
    default = found.get("DefaultValue")
    if default is None:
        made_up = {"Integer": 1, "Float": 1.0, "Boolean": False}
        default = values[0] if values else made_up.get(str(kind), "")
        notes.append(f"parameter {name} has no default: {default!r} is made up")
    try:
        return Parameter(name, default, kind, values)
    except ParameterError:
        notes.append(f"parameter {name} has a default {default!r} that is not of its type {kind}")
        return Parameter(name, default)


def _step(found: Any, notes: list[str]) -> PipelineStep:
    if not isinstance(found, Mapping) or not isinstance(found.get("Name"), str):
        raise ParameterError(f"read_definition: a step has no Name: {str(found)[:60]}.")
    name, kind = found["Name"], str(found.get("Type", "Unknown"))
    arguments = found.get("Arguments") or {}
    common: dict[str, Any] = {
        "depends_on": found.get("DependsOn") or (),
        "arguments": {key: value for key, value in arguments.items() if not (kind == "Condition" and key in _INNER)},
        "more": {key: value for key, value in found.items() if key not in _KEYS},
        "cache": _cache(name, found.get("CacheConfig"), notes),
        "retries": tuple(_retry(each) for each in found.get("RetryPolicies") or ()),
    }
    if kind == "Condition":
        return ConditionStep(
            name,
            conditions=tuple(arguments.get("Conditions") or ()),
            if_steps=[_step(each, notes) for each in arguments.get("IfSteps") or ()],
            else_steps=[_step(each, notes) for each in arguments.get("ElseSteps") or ()],
            **common,
        )
    made = EvaluationStep if kind == "Processing" and found.get("PropertyFiles") else KINDS.get(kind, TimedStep)
    if made is EvaluationStep:
        common["property_files"] = tuple(_property_file(each) for each in found["PropertyFiles"])
    if made is TimedStep:
        notes.append(f"step {name} is of type {kind}, which is kept as a timed step")
        common["step_type"] = kind
    if made is RegisterModelStep:
        common["approval_status"] = arguments.get("ModelApprovalStatus", "PendingManualApproval")
        common["group"] = arguments.get("ModelPackageGroupName")
    if made is FailStep:
        common["message"] = arguments.get("ErrorMessage", "")
    if made is EndpointStep and isinstance(arguments.get("EndpointName"), str):
        common["endpoint"] = arguments["EndpointName"]
    if issubclass(made, JobStep):
        common["instance_type"] = dig(arguments, made.instance_path)
        common["instance_count"] = dig(arguments, made.count_path) or 1
        limit = dig(arguments, made.runtime_path)
        if made.job and isinstance(limit, int | float):
            common["max_runtime_s"] = float(limit)
        if made.job and common["instance_type"] is None:
            notes.append(f"step {name} names no instance type: its machines are not on the bill")
    if issubclass(made, TuningStep):
        limits = dig(arguments, made.limits_path) or {}
        common["max_trials"] = limits.get("MaxNumberOfTrainingJobs", 1)
        common["max_parallel_trials"] = limits.get("MaxParallelTrainingJobs", 1)
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


def _retry(found: Mapping[str, Any]) -> RetryPolicy:
    kinds, expires = found.get("ExceptionType", "*"), found.get("ExpireAfterMin")
    return RetryPolicy(
        tuple([kinds] if isinstance(kinds, str) else kinds),
        interval_s=float(found.get("IntervalSeconds", 1)),
        backoff_rate=float(found.get("BackoffRate", 2)),
        max_attempts=found.get("MaxAttempts"),
        expire_after_min=None if expires is None or "MaxAttempts" in found else float(expires),
    )


# --- writing --------------------------------------------------------------------------------------------------------


def to_definition(pipeline: Pipeline) -> dict[str, Any]:
    """The definition of *pipeline*; groups and loops over a written list as single steps.

    Raises
    ------
    ParameterError
        If SageMaker has no way to say something.
    """
    steps = _without_groups(pipeline.steps)
    return {
        "Version": VERSION,
        "Metadata": {},
        "Parameters": [_write_parameter(each) for each in pipeline.parameters],
        "PipelineExperimentConfig": {
            "ExperimentName": {"Get": "Execution.PipelineName"},
            "TrialName": {"Get": "Execution.PipelineExecutionId"},
        },
        "Steps": [_write(step) for step in steps],
    }


def _write_parameter(parameter: Parameter) -> dict[str, Any]:
    made: dict[str, Any] = {"Name": parameter.name, "Type": parameter.kind}
    if parameter.default is not None:
        made["DefaultValue"] = parameter.default
    if parameter.enum_values:
        made["EnumValues"] = list(parameter.enum_values)
    return made


def _write(step: PipelineStep) -> dict[str, Any]:
    if step.trigger == "completed" or step.condition is not None:
        raise ParameterError(
            f"to_definition: step {step.name!r} runs whether others succeed or not, or under a condition of KFP; "
            "SageMaker has no such step."
        )
    arguments = dict(step.full_arguments)
    if isinstance(step, ConditionStep):
        arguments["IfSteps"] = [_write(each) for each in _without_groups(step.if_steps)]
        arguments["ElseSteps"] = [_write(each) for each in _without_groups(step.else_steps)]
    made: dict[str, Any] = {"Name": step.name, "Type": step.type, "Arguments": arguments}
    if step.depends_on:
        made["DependsOn"] = list(step.depends_on)
    if step.cache is not None:
        made["CacheConfig"] = {"Enabled": step.cache.enabled}
        if step.cache.expire_after is not None:
            made["CacheConfig"]["ExpireAfter"] = step.cache.expire_after
    if step.retries:
        made["RetryPolicies"] = [_write_retry(each) for each in step.retries]
    if isinstance(step, EvaluationStep):
        made["PropertyFiles"] = [
            {"PropertyFileName": name, "OutputName": name, "FilePath": f"{name}.json"} for name in step.property_files
        ]
    if isinstance(step, ApprovalStep):
        made["Description"] = f"{step.person.name} approves"
    return {**made, **step.more}


def _write_retry(policy: RetryPolicy) -> dict[str, Any]:
    made: dict[str, Any] = {
        "ExceptionType": list(policy.exceptions),
        "IntervalSeconds": policy.interval_s,
        "BackoffRate": policy.backoff_rate,
    }
    if policy.expire_after_min is not None:
        made["ExpireAfterMin"] = policy.expire_after_min
    else:
        made["MaxAttempts"] = int(policy.attempts_at_most)
    return made


def _without_groups(steps: Sequence[PipelineStep]) -> list[PipelineStep]:
    """*steps* with each group and each loop replaced by the steps inside it, under names of their own."""
    made: list[PipelineStep] = []
    ends: dict[str, tuple[str, ...]] = {}
    for step in steps:
        if not isinstance(step, GroupStep):
            made.append(step)
            continue
        copies = _copies(step)
        made += copies
        needed = {name for each in copies for name in each.depends_on}
        ends[step.name] = tuple(each.name for each, _ in _flat(copies, None) if each.name not in needed)
    return [_after_ends(step, ends) for step in made] if ends else made


def _after_ends(step: PipelineStep, ends: Mapping[str, tuple[str, ...]]) -> PipelineStep:
    names = [each for name in step.depends_on for each in ends.get(name, (name,))]
    return step if tuple(names) == step.depends_on else replace(step, depends_on=tuple(names))


def _copies(group: GroupStep) -> list[PipelineStep]:
    """The steps inside *group*, once for each item."""
    passes: list[tuple[str, dict[str, Any]]] = [(group.name, dict(group.inputs))]
    if isinstance(group, ForEachStep):
        if not isinstance(group.over, list):
            raise ParameterError(f"to_definition: loop {group.name!r} goes over a list that only a run makes.")
        passes = [(f"{group.name}-{k}", {**group.inputs, group.item: each}) for k, each in enumerate(group.over)]
    names = {each.name for each, _ in _flat(group.steps, None)}
    made = []
    for prefix, inputs in passes:
        for step in _without_groups(group.steps):

            def renamed(target: str, prefix: str = prefix, inputs: Mapping[str, Any] = inputs) -> Any:
                root, name, path = head(target)
                if root == "Inputs" and name in inputs:
                    return inputs[name]
                return {"Get": f"Steps.{prefix}-{name}.{path}" if root == "Steps" and name in names else target}

            made.append(_renamed(step, prefix, names, renamed, group.depends_on))
    return made


def _renamed(
    step: PipelineStep, prefix: str, names: set[str], renamed: Callable[[str], Any], before: tuple[str, ...]
) -> PipelineStep:
    changes: dict[str, Any] = {
        "name": f"{prefix}-{step.name}",
        "depends_on": tuple(f"{prefix}-{each}" if each in names else each for each in step.depends_on) or before,
        "inputs": _swap(plain(step.inputs), renamed),
        "arguments": _swap(plain(step.arguments), renamed),
    }
    if isinstance(step, ConditionStep):
        changes["conditions"] = tuple(_swap(list(step.conditions), renamed))
        for side in ("if_steps", "else_steps"):
            changes[side] = [_renamed(each, prefix, names, renamed, ()) for each in getattr(step, side)]
    return replace(step, **changes)


def _swap(value: Any, renamed: Callable[[str], Any]) -> Any:
    """*value* with each target of a `Get` renamed; `Std:Join` and `Std:JsonGet` stay."""
    if isinstance(value, Mapping):
        if len(value) == 1 and isinstance(value.get("Get"), str):
            return renamed(value["Get"])
        return {key: _swap(each, renamed) for key, each in value.items()}
    return [_swap(each, renamed) for each in value] if isinstance(value, list) else value
