"""KFP v2 specifications, which are Vertex AI's too: components, executors, and a DAG of tasks.

Tasks that refer to a component with a DAG of its own (If, Else, ParallelFor, exit handlers, nested pipelines) become
groups.  Edges are the union of `dependentTasks` and the producers of inputs; compilers write both.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simlib.mlops.cache import CacheConfig
from simlib.mlops.pipeline import Pipeline
from simlib.mlops.references import Parameter
from simlib.mlops.retries import RetryPolicy
from simlib.mlops.steps import ForEachStep, GroupStep, PipelineStep, TimedStep, dig
from simlib.parameters import ParameterError

_DEEPEST = 50
_TYPES = {"STRING": "String", "NUMBER_INTEGER": "Integer", "NUMBER_DOUBLE": "Float", "BOOLEAN": "Boolean",
          "LIST": "List", "STRUCT": "Struct"}  # fmt: skip
_MADE_UP: dict[str, Any] = {"NUMBER_INTEGER": 1, "NUMBER_DOUBLE": 1.0, "BOOLEAN": False}


def find(found: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The specification in *found*, if there is one: itself, in a Vertex job, or in a Kubernetes resource."""
    for path in ((), ("pipelineSpec",), ("spec", "pipelineSpec"), ("jobSpec", "pipelineSpec")):
        inside = dig(found, path)
        if isinstance(inside, Mapping) and isinstance(dig(inside, ("root", "dag", "tasks")), Mapping):
            return {**inside, "runtimeConfig": found.get("runtimeConfig")}
    return None


def read(spec: Mapping[str, Any], name: str, folder: Path | None) -> Pipeline:
    """The pipeline that *spec* specifies.

    Raises
    ------
    ParameterError
        If it has no tasks, or a task refers to a component that is not there.
    """
    notes = ["tasks name no machine with a price: nothing is on the bill"]
    steps = _tasks(spec, spec["root"]["dag"]["tasks"], top=True, depth=0)
    if not steps:
        raise ParameterError(f"read_definition: {name} is not a pipeline: it has no tasks.")
    parameters = _parameters(spec, notes)
    title = str(dig(spec, ("pipelineInfo", "name")) or name)
    description = str(dig(spec, ("pipelineInfo", "description")) or "")
    return Pipeline(title, steps=steps, parameters=parameters, description=description, notes=tuple(notes))


def _parameters(spec: Mapping[str, Any], notes: list[str]) -> tuple[Parameter, ...]:
    inputs = dig(spec, ("root", "inputDefinitions")) or {}
    given = dig(spec, ("runtimeConfig", "parameterValues")) or dig(spec, ("runtimeConfig", "parameters")) or {}
    made = []
    for name, found in (inputs.get("parameters") or {}).items():
        kind = str(found.get("parameterType", found.get("type", "")))
        default = _constant(given.get(name, found.get("defaultValue")))
        if default is None:
            default = _MADE_UP.get(kind, "")
            if not found.get("isOptional"):
                notes.append(f"parameter {name} has no default: {default!r} is made up")
        declared: Any = _TYPES.get(kind)
        if declared == "Integer" and isinstance(default, float) and default.is_integer():
            default = int(default)
        try:
            made.append(Parameter(name, default, declared))
        except ParameterError:
            made.append(Parameter(name, default))
    known = {parameter.name for parameter in made}
    made += [Parameter(name, "") for name in inputs.get("artifacts") or {} if name not in known]
    return tuple(made)


def _constant(found: Any) -> Any:
    """A value as it is, or out of the older form {"stringValue": …}."""
    if isinstance(found, Mapping) and len(found) == 1 and next(iter(found)).endswith("Value"):
        return next(iter(found.values()))
    return found


def _tasks(spec: Mapping[str, Any], tasks: Mapping[str, Any], *, top: bool, depth: int) -> list[PipelineStep]:
    if depth > _DEEPEST:
        raise ParameterError("read_definition: components contain each other in a circle.")
    return [_task(spec, name, task or {}, top=top, depth=depth) for name, task in tasks.items()]


def _task(spec: Mapping[str, Any], name: str, task: Mapping[str, Any], *, top: bool, depth: int) -> PipelineStep:
    reference = str(dig(task, ("componentRef", "name")) or "")
    component = (spec.get("components") or {}).get(reference)
    if component is None:
        raise ParameterError(f"read_definition: task {name!r} refers to component {reference!r}, which is not there.")
    inputs = _inputs(task.get("inputs") or {}, top)
    trigger = task.get("triggerPolicy") or {}
    settings: dict[str, Any] = {
        "depends_on": tuple(task.get("dependentTasks") or ()),
        "inputs": inputs,
        "condition": trigger.get("condition") or None,
        "trigger": "completed" if trigger.get("strategy") == "ALL_UPSTREAM_TASKS_COMPLETED" else "succeeded",
    }
    inside = dig(component, ("dag", "tasks"))
    if isinstance(inside, Mapping):
        steps = _tasks(spec, inside, top=False, depth=depth + 1)
        for key in ("parameterIterator", "artifactIterator"):
            if isinstance(task.get(key), Mapping):
                return _loop(name, task, task[key], steps, settings)
        return GroupStep(name, steps=steps, **settings)
    executor = dig(spec, ("deploymentSpec", "executors", str(component.get("executorLabel", "")))) or {}
    container = executor.get("container") or {}
    settings["arguments"] = {
        "component": reference,
        "image": container.get("image"),
        "command": container.get("command"),
        "args": container.get("args"),
    }
    settings["more"] = {"Resources": container["resources"]} if container.get("resources") else {}
    settings["cache"] = CacheConfig(True) if dig(task, ("cachingOptions", "enableCache")) else None
    settings["retries"] = _retry(task.get("retryPolicy"))
    if isinstance(task.get("parameterIterator"), Mapping):
        of_loop = ("depends_on", "inputs", "condition", "trigger")
        body = TimedStep(name, **{key: value for key, value in settings.items() if key not in of_loop})
        return _loop(name, task, task["parameterIterator"], [body], {key: settings[key] for key in of_loop})
    return TimedStep(name, **settings)


def _loop(
    name: str, task: Mapping[str, Any], loop: Mapping[str, Any], steps: list[PipelineStep], settings: dict[str, Any]
) -> PipelineStep:
    items = loop.get("items") or {}
    over: Any = {"Get": "Inputs.unknown"}
    if isinstance(items, Mapping) and isinstance(items.get("raw"), str):
        try:
            over = json.loads(items["raw"])
        except json.JSONDecodeError:
            over = {"Get": "Inputs.unknown"}
    elif isinstance(items, Mapping) and "inputParameter" in items:
        over = settings["inputs"].get(items["inputParameter"], over)
    elif isinstance(items, Mapping) and "inputArtifact" in items:
        over = settings["inputs"].get(items["inputArtifact"], over)
    if not isinstance(over, list | dict):
        over = [over]
    limit = dig(task, ("iteratorPolicy", "parallelismLimit"))
    return ForEachStep(
        name,
        steps=steps,
        over=over,
        item=str(loop.get("itemInput", "item")),
        max_parallel=int(limit) if limit else None,
        **settings,
    )


def _inputs(found: Mapping[str, Any], top: bool) -> dict[str, Any]:
    """Where each input comes from: what a task made, what the group was given, or a constant."""
    made: dict[str, Any] = {}
    for name, source in {**(found.get("parameters") or {}), **(found.get("artifacts") or {})}.items():
        made[name] = _source(source or {}, "Parameters" if top else "Inputs")
    return made


def _source(source: Mapping[str, Any], outer: str) -> Any:
    for key in ("taskOutputParameter", "taskOutputArtifact"):
        if isinstance(source.get(key), Mapping):
            made = source[key]
            output = made.get("outputParameterKey", made.get("outputArtifactKey", ""))
            return {"Get": f"Steps.{made.get('producerTask')}.outputs.{output}"}
    for key in ("componentInputParameter", "componentInputArtifact"):
        if key in source:
            return {"Get": f"{outer}.{source[key]}"}
    runtime = source.get("runtimeValue") or {}
    if "constant" in runtime:
        return runtime["constant"]
    return _constant(runtime.get("constantValue", runtime.get("runtimeParameter")))


def _retry(found: Any) -> tuple[RetryPolicy, ...]:
    """KFP's retries: of any failure; maxRetryCount counts the attempts after the first."""
    if not isinstance(found, Mapping) or not found.get("maxRetryCount"):
        return ()
    return (
        RetryPolicy(
            interval_s=_seconds(found.get("backoffDuration", "0s")),
            backoff_rate=float(found.get("backoffFactor") or 2),
            max_attempts=int(found["maxRetryCount"]) + 1,
            max_interval_s=_seconds(found.get("backoffMaxDuration", "3600s")),
        ),
    )


def _seconds(text: Any) -> float:
    number = re.match(r"[\d.]+", str(text))
    return float(number[0]) if number else 0.0
