"""Azure ML pipeline jobs: edges are the bindings `${{parent.jobs.X.outputs.Y}}`, wherever they stand.

Types of jobs: command, spark, automl and others are timed steps; sweep is a tuning; a nested pipeline, in place or in a
file beside this one, is a group.  `azureml:` components and compute names hold no duration and no machine.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simlib.mlops.cache import CacheConfig
from simlib.mlops.pipeline import Pipeline
from simlib.mlops.references import Parameter
from simlib.mlops.retries import RetryPolicy
from simlib.mlops.steps import GroupStep, PipelineStep, TimedStep, TuningStep, dig
from simlib.parameters import ParameterError

_BINDING = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")
_CONTROL = ("if_else", "do_while", "parallel_for")
_DEEPEST = 20


def find(found: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The pipeline job in *found*, if it has jobs."""
    looks = found.get("type") in ("pipeline", None) and "on" not in found
    jobs = found.get("jobs")
    if looks and isinstance(jobs, Mapping) and jobs and all(isinstance(each, Mapping) for each in jobs.values()):
        return found if not any({"steps", "runs-on", "uses"} & job.keys() for job in jobs.values()) else None
    return None


def read(found: Mapping[str, Any], name: str, folder: Path | None) -> Pipeline:
    """The pipeline that *found* describes.

    Raises
    ------
    ParameterError
        If a job cannot be, in one sentence.
    """
    notes = ["compute names hold no machine with a price: nothing is on the bill"]
    parameters = tuple(_parameter(key, value, notes) for key, value in (found.get("inputs") or {}).items())
    settings = found.get("settings") or {}
    steps = _jobs(found, folder, notes, {parameter.name for parameter in parameters}, 0)
    return Pipeline(
        str(found.get("display_name") or found.get("name") or name),
        steps=steps,
        parameters=parameters,
        on_failure="continue" if settings.get("continue_on_step_failure", True) else "finish_running",
        description=str(found.get("description") or ""),
        notes=tuple(notes),
    )


def _parameter(name: str, found: Any, notes: list[str]) -> Parameter:
    value = found.get("default", found.get("path")) if isinstance(found, Mapping) else found
    if value is None:
        notes.append(f"input {name} has no value: an empty text is made up")
    return Parameter(name, value if isinstance(value, str | int | float | bool) else str(value or ""))


def _jobs(
    found: Mapping[str, Any], folder: Path | None, notes: list[str], parameters: set[str] | None, depth: int
) -> list[PipelineStep]:
    if depth > _DEEPEST:
        raise ParameterError("read_definition: nested pipelines contain each other in a circle.")
    again = bool((found.get("settings") or {}).get("force_rerun"))
    return [_job(str(name), job or {}, folder, notes, parameters, depth, again) for name, job in found["jobs"].items()]


def _job(
    name: str,
    job: Mapping[str, Any],
    folder: Path | None,
    notes: list[str],
    parameters: set[str] | None,
    depth: int,
    force_rerun: bool,
) -> PipelineStep:
    kind = str(job.get("type", "command"))
    nested, where = _nested(job, folder)
    common: dict[str, Any] = {"inputs": _bound(job.get("inputs") or {}, parameters)}
    if nested is not None:
        given = {key: _plain(value) for key, value in (nested.get("inputs") or {}).items()}
        common["inputs"] = {**given, **common["inputs"]}
        return GroupStep(name, steps=_jobs(nested, where, notes, None, depth + 1), **common)
    if kind in _CONTROL:
        notes.append(f"job {name} is of type {kind}: the jobs it names run whatever it decides")
    if kind == "pipeline":
        notes.append(f"job {name} is a pipeline in a file that is not here: kept as one timed step")
    common["arguments"] = _bound({key: value for key, value in job.items() if key != "inputs"}, parameters)
    limits = job.get("limits") or {}
    common["max_runtime_s"] = _limit_s(limits, "trial_timeout" if kind == "sweep" else "timeout")
    common["retries"] = _retries(job.get("retry_settings"))
    common["cache"] = None if force_rerun else CacheConfig(True)
    count = dig(job, ("resources", "instance_count"))
    common["instance_count"] = count if isinstance(count, int) and count > 0 else 1
    if kind == "sweep":
        trials, at_once = limits.get("max_total_trials", 1), limits.get("max_concurrent_trials")
        most, at_once = (_trials(each, parameters) for each in (trials, at_once or trials))
        return TuningStep(name, max_trials=most, max_parallel_trials=at_once, instance_type=None, **common)
    return TimedStep(name, step_type="Job", **common)


def _trials(found: Any, parameters: set[str] | None) -> Any:
    """A number of trials, or the reference to it."""
    bound = _bound(found, parameters)
    return bound if isinstance(bound, Mapping) or (isinstance(bound, int) and bound > 0) else 1


def _nested(job: Mapping[str, Any], folder: Path | None) -> tuple[Mapping[str, Any] | None, Path | None]:
    """The pipeline inside a job, and the folder its own files lie in."""
    component = job.get("component")
    if isinstance(job.get("jobs"), Mapping):
        return job, folder
    if isinstance(component, Mapping) and isinstance(component.get("jobs"), Mapping):
        return component, folder
    if isinstance(component, str) and component.startswith((".", "file:")) and folder is not None:
        import yaml

        path = folder / component.removeprefix("file:")
        try:
            found = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError):
            return None, folder
        if isinstance(found, Mapping) and isinstance(found.get("jobs"), Mapping) and found.get("type") == "pipeline":
            return found, path.parent
    return None, folder


def _plain(value: Any) -> Any:
    return value.get("default", value.get("path")) if isinstance(value, Mapping) else value


def _bound(value: Any, parameters: set[str] | None) -> Any:
    """*value* with each binding as a reference; a binding inside a longer text makes it a `Std:Join`."""
    if isinstance(value, Mapping):
        return {key: _bound(each, parameters) for key, each in value.items()}
    if isinstance(value, list):
        return [_bound(each, parameters) for each in value]
    if not isinstance(value, str) or not _BINDING.search(value):
        return value
    parts: list[Any] = []
    for k, part in enumerate(_BINDING.split(value)):
        if k % 2 == 0:
            parts += [part] if part else []
        else:
            parts.append(_reference(part, parameters))
    return parts[0] if len(parts) == 1 else {"Std:Join": {"On": "", "Values": parts}}


def _reference(binding: str, parameters: set[str] | None) -> Any:
    words = binding.split(".")
    if words[:2] == ["parent", "jobs"] and words[3:4] == ["outputs"]:
        return {"Get": f"Steps.{words[2]}.{'.'.join(words[3:])}"}
    if words[:2] == ["parent", "inputs"] and len(words) > 2:
        if parameters is None:
            return {"Get": f"Inputs.{words[2]}"}
        if words[2] in parameters:
            return {"Get": f"Parameters.{words[2]}"}
    return f"${{{{{binding}}}}}"


def _limit_s(limits: Mapping[str, Any], name: str) -> float | None:
    """A limit in seconds; AutoML's is written in minutes."""
    for key, unit_s in ((name, 1.0), (f"{name}_minutes", 60.0)):
        limit = limits.get(key)
        if isinstance(limit, int | float) and limit > 0:
            return float(limit) * unit_s
    return None


def _retries(found: Any) -> tuple[RetryPolicy, ...]:
    """A parallel job's retries, of each mini batch on the platform; here of the whole step (assumption)."""
    if not isinstance(found, Mapping) or not isinstance(found.get("max_retries"), int):
        return ()
    return (RetryPolicy(interval_s=0.0, max_attempts=found["max_retries"] + 1),)
