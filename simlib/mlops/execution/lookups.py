"""What a reference to a step, or to the execution itself, stands for while it runs."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from simlib.mlops.references import UNKNOWN, at_path

if TYPE_CHECKING:
    from simlib.mlops.execution.execution import Execution
    from simlib.mlops.execution.scopes import Record


def made_by(execution: "Execution", record: "Record", path: str, values: bool) -> Any:
    """What *record*'s step made under *path*: a known value, an address in its arguments, or a made-up address."""
    found = _named(record.made, path) if record.made is not None else UNKNOWN
    if found is not UNKNOWN and (values or isinstance(found, str | int | float | bool)):
        return found
    if path.startswith("PropertyFiles"):
        return UNKNOWN
    written = at_path(record.arguments or {}, path) if path else UNKNOWN
    if isinstance(written, str | int | float):
        return written
    if values:
        return UNKNOWN
    return f"s3://{execution.pipeline.name}/{record.origin}/{record.path}/{path}"


def variable(execution: "Execution", name: str) -> str:
    """An execution variable, such as PipelineName."""
    known = {
        "PipelineName": execution.pipeline.name,
        "PipelineExecutionId": execution.id,
        "PipelineArn": f"arn:aws:sagemaker:{execution.sim.region}:000000000000:pipeline/{execution.pipeline.name}",
        "PipelineExecutionArn": f"arn:aws:sagemaker:{execution.sim.region}:000000000000:pipeline/{execution.id}",
        "StartDateTime": execution.sim.date(execution.start_s).isoformat(),
        "CurrentDateTime": execution.sim.date().isoformat(),
    }
    return known.get(name, name)


def _named(made: Mapping[str, Any], path: str) -> Any:
    """The output that *path* means, by its last word that names one."""
    if path.startswith("PropertyFiles."):
        inside = path.removeprefix("PropertyFiles.")
        found = at_path(made, inside)
        return found if found is not UNKNOWN else at_path(made, inside.partition(".")[2])
    words = re.findall(r"[^.\[\]'\"]+", path)
    words += ["model"] * ("S3ModelArtifacts" in words)
    return next((made[word] for word in reversed(words) if word in made), UNKNOWN)
