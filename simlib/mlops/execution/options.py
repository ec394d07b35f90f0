"""What somebody who starts an execution may ask for, checked before anything runs."""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from simlib.mlops.durations import DurationModel
from simlib.mlops.execution.scopes import Record
from simlib.mlops.pipeline import Pipeline
from simlib.parameters import ParameterError, nearest

if TYPE_CHECKING:
    from simlib.mlops.execution.execution import Execution


def durations_of(value: Any) -> DurationModel:
    """The model of the durations, which *value* may give by step."""
    if value is None:
        return DurationModel()
    return value if isinstance(value, DurationModel) else DurationModel(steps=value)


def parameters_of(pipeline: Pipeline, given: Mapping[str, Any]) -> dict[str, Any]:
    """The values of the pipeline's parameters.

    Raises
    ------
    ParameterError
        If one is unknown, of a wrong type, not among its values, or missing.
    """
    known = {parameter.name: parameter for parameter in pipeline.parameters}
    for name, value in given.items():
        if name not in known:
            hint = nearest(name, known) if known else "it has none."
            raise ParameterError(f"run: {pipeline.name} has no parameter {name!r}; {hint}")
        if problem := known[name].problem(value):
            raise ParameterError(f"run: parameter {name!r}: {problem}")
    for name, parameter in known.items():
        if parameter.default is None and name not in given:
            raise ParameterError(f"run: parameter {name!r} has no default; give parameters={{{name!r}: …}}.")
    return {name: given.get(name, parameter.default) for name, parameter in known.items()}


def selection(
    execution: "Execution", only: Sequence[str] | None, reuse: "Execution | None"
) -> tuple[set[str] | None, dict[str, Record]]:
    """The paths to run (None: all), and the records of *reuse* to take over."""
    if only is None and reuse is None:
        return None, {}
    if not isinstance(reuse, type(execution)):
        raise ParameterError("run: only= needs reuse=, an earlier execution to take the other steps' outputs from.")
    earlier = {record.path: record for record in reuse.records if record.status == "Succeeded"}
    level = execution.pipeline.level
    if only is None:
        import networkx as nx

        again = [name for name in level.steps if name not in earlier]
        selected = set(again).union(*(nx.descendants(level.graph, name) for name in again))
    else:
        selected = set(only)
        for name in selected:
            execution.pipeline.step(name)
            for needed in level.needs.get(name, {}):
                if needed not in selected | earlier.keys():
                    raise ParameterError(
                        f"run: step {name!r} needs {needed!r}, neither selected nor succeeded in {reuse.id}."
                    )
    taken = {path: record for path, record in earlier.items() if path.split("/")[0] not in selected}
    inside = {
        path for name in selected for path in execution.pipeline.graph if path == name or path.startswith(f"{name}/")
    }
    return inside, taken


def check_names(execution: "Execution") -> None:
    """Refuse outcomes and durations of steps that are not there."""
    known = execution.pipeline.graph.nodes
    for name in (*execution.outcomes, *execution.durations.steps):
        if re.sub(r"\[\d+\]", "", name) not in known and name not in {each.rpartition("/")[2] for each in known}:
            raise ParameterError(f"run: {execution.pipeline.name} has no step {name!r}; {nearest(name, known)}")
