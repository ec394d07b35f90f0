"""Real pipeline files: SageMaker's JSON, KFP's and Vertex's YAML, Azure ML's YAML, each as a `Pipeline`."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simlib.mlops.definitions import azure, kfp, sagemaker
from simlib.mlops.pipeline import Pipeline
from simlib.parameters import ParameterError

__all__ = ["read_definition"]


def read_definition(source: str | Path | Mapping[str, Any]) -> Pipeline:
    """The pipeline in a file, in a text, or in a dict that was read from one.

    SageMaker definitions (JSON), KFP v2 / Vertex specifications (YAML or JSON, one or two documents, also inside a
    Vertex job or a Kubernetes resource) and Azure ML pipeline jobs (YAML).  Edges follow from references, `DependsOn`
    and branches.  `pipeline.notes` says what had to be assumed; durations are in no file, so the run assumes them and
    its `assumptions` list each.

    Raises
    ------
    ParameterError
        If it is not a pipeline: one sentence that says why.
    """
    if isinstance(source, Mapping):
        return _read([dict(source)], "the dict", None)
    text, name, folder = _text(source)
    return _read(_documents(text, name), name, folder)


def _text(source: str | Path) -> tuple[str, str, Path | None]:
    """The text, what to call it in a sentence, and the folder where other files of it may lie."""
    if isinstance(source, str) and ("\n" in source or source.lstrip().startswith("{")):
        return source, "the text", None
    if not isinstance(source, str | Path) or not str(source):
        raise ParameterError(
            f"read_definition: source={str(source)[:60]!r} should be a path, the text of a file, or a dict."
        )
    path = Path(source)
    try:
        return path.read_text(encoding="utf-8-sig"), path.name, path.parent
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ParameterError(f"read_definition: {path} cannot be read: {why}.") from None


def _documents(text: str, name: str) -> list[Any]:
    import yaml

    try:
        return [json.loads(text)]
    except json.JSONDecodeError:
        pass
    try:
        return [document for document in yaml.load_all(text, Loader=_loader()) if document is not None]
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark else ""
        raise ParameterError(f"read_definition: {name} is neither JSON nor YAML{where}.") from None


def _loader() -> Any:
    """PyYAML's safe loader, which keeps tags it does not know as plain values; the fast one where it is built in."""
    import yaml

    class Tolerant(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
        """Safe, and tolerant of unknown tags."""

    def keep(loader: Any, suffix: str, node: Any) -> Any:
        make = {"scalar": loader.construct_scalar, "sequence": loader.construct_sequence}
        return make.get(node.id, loader.construct_mapping)(node)

    Tolerant.add_multi_constructor("!", keep)
    return Tolerant


def _read(documents: list[Any], name: str, folder: Path | None) -> Pipeline:
    for found in documents:
        if isinstance(found, Mapping):
            for kind in (sagemaker, kfp, azure):
                inside = kind.find(found)
                if inside is not None:
                    pipeline = _read_as(kind, inside, name, folder)
                    others = [note for each in documents if each is not found for note in _left_aside(each)]
                    return pipeline.replace(notes=(*pipeline.notes, *others)) if others else pipeline
    raise ParameterError(f"read_definition: {name} is not a pipeline: {_why_not(documents)}.")


def _read_as(kind: Any, found: Mapping[str, Any], name: str, folder: Path | None) -> Pipeline:
    """The pipeline; a file that has the right keys, but not the right things under them, is refused in a sentence."""
    try:
        pipeline: Pipeline = kind.read(found, Path(name).stem if folder else "pipeline", folder)
        return pipeline
    except RecursionError:
        raise ParameterError(f"read_definition: {name} is nested too deeply to be read.") from None
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, ParameterError):
            raise
        platform = kind.__name__.rpartition(".")[2]
        raise ParameterError(
            f"read_definition: {name} looks like a pipeline of {platform}, but something in it has another shape: "
            f"{type(error).__name__}: {error}."
        ) from None


def _left_aside(document: Any) -> list[str]:
    """What a further document of the file says that is not simulated."""
    platforms = document.get("platforms") if isinstance(document, Mapping) else None
    if isinstance(platforms, Mapping):
        return [f"a further document sets how tasks run on {', '.join(map(str, platforms))}: it changes no edge"]
    return ["a further document of the file is not read"]


def _why_not(documents: list[Any]) -> str:
    """The end of the sentence."""
    found = next((each for each in documents if isinstance(each, Mapping)), None)
    if found is None:
        return "it is empty" if not documents else "it holds no keys"
    kind, version = str(found.get("kind", "")), str(found.get("apiVersion", ""))
    if kind in ("Workflow", "PipelineRun") or version.startswith(("argoproj.io", "tekton.dev")):
        return f"it is a {kind or version} of KFP v1; compile it with KFP v2"
    if "StartAt" in found and "States" in found:
        return "it is a state machine of AWS Step Functions"
    if isinstance(found.get("Resources"), Mapping):
        return "it is a CloudFormation template without a pipeline whose definition stands in it"
    if found.get("type") == "pipeline":
        return "it is of Azure's type pipeline, but there are no jobs here"
    if "jobs" in found:
        return "its jobs are not those of an Azure ML pipeline"
    if "$schema" in found:
        return f"its schema is {str(found['$schema']).rpartition('/')[2]!r}"
    keys = ", ".join(map(str, list(found)[:5]))
    return f"it has neither Steps (SageMaker) nor root (KFP) nor jobs (Azure ML), but {keys or 'nothing'}"
