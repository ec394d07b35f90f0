"""What a step that ran leaves behind: outputs of real code, versions in the registry, a condition's outcome."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from simlib.mlops import retries
from simlib.mlops.execution.scopes import Record
from simlib.mlops.references import UNKNOWN, all_hold, cel_holds
from simlib.mlops.steps import ConditionStep, EndpointStep, RegisterModelStep, TrainingStep, dig

if TYPE_CHECKING:
    from simlib.mlops.execution.execution import Execution


def take_effect(execution: "Execution", record: Record) -> str:
    """What a successful attempt does: real code, registry, a condition's outcome; returns an exception's name."""
    step = record.step
    try:
        if isinstance(step, ConditionStep):
            record.taken = _outcome(execution, record, step)
            record.made = {"Outcome": str(record.taken)}
        elif isinstance(step, RegisterModelStep):
            record.made = {"ModelPackageArn": _register(execution, record, step)}
        elif isinstance(step, EndpointStep) and execution.registry is not None and step.group is not None:
            execution.registry.deploy(
                step.group, endpoint=step.endpoint or step.group, by=f"pipeline {execution.id}", at=execution.sim.date()
            )
        if step.run is not None:
            record.made = _outputs(step.run(**_given(execution, record)))
        elif step.result is not None:
            record.made = step.result
    except Exception as error:  # whatever a step's own code raises is that step's failure, not the simulation's
        record.reason = f"{type(error).__name__}: {error}"
        return retries.RAISED
    return ""


def _given(execution: "Execution", record: Record) -> dict[str, Any]:
    """What a step's own code is called with: what other steps' code made, or else the addresses."""
    fill, inputs = record.scope.fill, record.step.inputs
    known = {name: fill(value, values=True) for name, value in inputs.items()}
    return {name: fill(inputs[name]) if value is UNKNOWN else value for name, value in known.items()}


def _outcome(execution: "Execution", record: Record, step: ConditionStep) -> bool:
    if record.path in execution.outcomes:
        return execution.outcomes[record.path]
    known = all_hold(step.conditions, lambda value: record.scope.fill(value, values=True))
    if known is UNKNOWN:
        execution.assume(f"outcome of {record.path}", "it holds", "U", "its values are made by code that is not here")
        return True
    return bool(known)


def condition_holds(execution: "Execution", record: Record, text: str) -> bool:
    """Whether KFP's condition holds; of an If with Else whose values nobody knows, the first branch is taken."""
    if record.path in execution.outcomes:
        return execution.outcomes[record.path]
    inputs = record.step.inputs
    known = cel_holds(text, lambda name: record.scope.fill(inputs.get(name, UNKNOWN), values=True))
    if known is not UNKNOWN:
        return bool(known)
    one_of_several = record.scope.level.path.rstrip("/").rpartition("/")[2].startswith("condition-branches")
    taken = not (one_of_several and record.scope.assumed_branch)
    record.scope.assumed_branch = True
    words = "it holds" if taken else "it does not hold"
    execution.assume(f"outcome of {record.path}", words, "U", "its values are made by code that is not here")
    return taken


def _register(execution: "Execution", record: Record, step: RegisterModelStep) -> str:
    """Write the version into the registry, with all that is known of where it comes from; its name."""
    fill = record.scope.fill
    arguments = fill(step.full_arguments)
    group = str(arguments.get("ModelPackageGroupName") or execution.pipeline.name)
    if execution.registry is None:
        return f"{group}/0"
    trained = [each for each in execution.records if isinstance(each.step, TrainingStep) and each.status == "Succeeded"]
    version = execution.registry.register(
        group,
        artifact=str(dig((dig(arguments, ("InferenceSpecification", "Containers")) or [{}])[0], ("ModelDataUrl",))),
        metrics={name: value for name, value in fill(step.metrics, values=True).items() if value is not UNKNOWN},
        training_parameters={
            each.path: (each.arguments or {}).get("HyperParameters", {}) for each in trained
        },
        containers=dig(arguments, ("InferenceSpecification", "Containers")) or [],
        lineage={
            "pipeline": execution.pipeline.name,
            "execution": execution.id,
            "step": record.path,
            "steps": {each.path: each.origin for each in execution.records if each.status == "Succeeded"},
        },
        status=arguments["ModelApprovalStatus"],
        by=f"pipeline {execution.id}",
        at=execution.sim.date(),
    )  # fmt: skip
    return f"{group}/{version.version}"


def _outputs(found: Any) -> Mapping[str, Any]:
    return found if isinstance(found, Mapping) else {} if found is None else {"output": found, "model": found}
