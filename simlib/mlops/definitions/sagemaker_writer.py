"""A pipeline as SageMaker's JSON: `pipeline.to_definition()`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from simlib.mlops.pipeline import Pipeline, _flat
from simlib.mlops.references import Parameter, head, plain
from simlib.mlops.retries import RetryPolicy
from simlib.mlops.steps import ApprovalStep, ConditionStep, EvaluationStep, ForEachStep, GroupStep, PipelineStep
from simlib.parameters import ParameterError

VERSION = "2020-12-01"


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
    if parameter.kind in ("List", "Struct"):
        raise ParameterError(
            f"to_definition: parameter {parameter.name!r} is a {parameter.kind}; "
            "SageMaker knows String, Integer, Float and Boolean."
        )
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
