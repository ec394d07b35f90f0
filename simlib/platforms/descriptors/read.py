"""`read_deployment`: a descriptor of SageMaker, Vertex AI or Azure ML as a deployment that simulates."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from simlib.model import ModelProfile
from simlib.parameters import ParameterError, Text, checked, shortly
from simlib.platforms.descriptors import azure, documents, sagemaker, vertex
from simlib.platforms.descriptors.documents import TERRAFORM, Document, Source
from simlib.platforms.descriptors.reading import Notes
from simlib.platforms.descriptors.rollouts import Rollout
from simlib.platforms.fields import Platform
from simlib.platforms.limits import Finding, validate
from simlib.serving import Asynchronous, BatchTransform, InferenceComponent, RealTime, Serverless

Deployment = RealTime | Serverless | Asynchronous | InferenceComponent | BatchTransform
_OF_PARAMETERS = {"parameters", "tags", "stackpolicy", "$schema", "contentversion"}
_KNOWN = (
    "ProductionVariants, MinCapacity, PolicyType or AWS::SageMaker resources (SageMaker), instance_type or profiles "
    "(Azure ML), dedicatedResources or machine_type (Vertex AI)"
)


@dataclasses.dataclass(frozen=True)
class Descriptor:
    """What the files said.

    Attributes
    ----------
    deployment : RealTime | Serverless | Asynchronous | InferenceComponent | BatchTransform
        Ready for `simlib.simulate`.
    findings : tuple of Finding
        What the platform would refuse of it, a sentence each, with the source; shapes are checked against the API
        model of the botocore that is installed.
    unread : tuple of str
        Fields that change nothing in the simulation.
    assumed : tuple of str
        What the files do not say.
    platform : "sagemaker" | "vertex" | "azureml"
    rollout : AllAtOnce | Canary | Linear | Rolling | None
        How SageMaker updates the endpoint, for `endpoint.update(new, rollout)`.
    """

    deployment: Deployment
    findings: tuple[Finding, ...]
    unread: tuple[str, ...]
    assumed: tuple[str, ...]
    platform: Platform
    rollout: Rollout | None = None


@checked
def read_deployment(
    source: Source,
    *more: Source,
    model: ModelProfile,
    parameters: Mapping[str, Any] | None = None,
    name: Text | None = None,
    instance_type: Text | None = None,
) -> Descriptor:
    """The deployment that descriptors of one platform describe, with its scaling, ready to be simulated.

    SageMaker: the parameters of boto3's create_endpoint_config, update_endpoint, register_scalable_target,
    update_endpoint_weights_and_capacities, put_scaling_policy, put_metric_alarm, create_inference_component and
    create_transform_job: bare, as {"operation": …, "params": …}, as the command line answers them, or in a state
    machine's tasks; CloudFormation; ACK.
    Azure ML: YAML of endpoints, deployments, batch deployments and clusters; autoscale settings of Azure Monitor.
    Vertex AI: deploy and batch prediction parameters as REST, SDK, gcloud and KFP write them, in either case.

    Parameters
    ----------
    source, *more : path, JSON or YAML text, or dict
        The files that belong together, in any order; a file may hold several objects.  Among them may be the file of
        a template's parameters.
    model : ModelProfile
        What no such file holds: how long one request takes.  Every variant gets it.
    parameters : mapping or None
        Values for a template's parameters without a default and for placeholders, by name.
    name : str or None
        Which endpoint configuration, where a source holds several.
    instance_type : str or None
        VM size of the cluster of an Azure ML batch deployment, where its file is not given.

    Raises
    ------
    ParameterError
        One sentence that names the field: missing, of a wrong kind, still a template's placeholder, or not simulated.
    """
    notes, given = Notes(), dict(parameters or {})
    found = [document for each in (source, *more) for document in documents.read(each)]
    for document in found:
        given = _parameters(document.found) | given
    found = [document for document in found if len(found) == 1 or not _parameters(document.found)]
    for document in found:
        notes.unread += [line for line in document.unread if line not in notes.unread]
    platform, parts = _sorted(found, notes, given)
    notes.assume("the service time is that of model=, for all alike")
    deployment: Deployment
    rollout: Rollout | None = None
    if platform == "sagemaker":
        deployment, wrong, rollout = sagemaker.build(parts, model, notes, given, name)
    elif platform == "azureml":
        deployment, wrong = azure.build(parts, model, notes, given, instance_type)
    else:
        deployment, wrong = vertex.build(parts, model, notes, given)
    findings = [*wrong, *(each for each in validate(deployment) if not _said(each, wrong))]
    return Descriptor(deployment, tuple(findings), tuple(notes.unread), tuple(notes.assumed), platform, rollout)


def _parameters(found: Any) -> dict[str, Any]:
    """The values in a file of a template's parameters, such as a staging-config.json beside one; none in another."""
    if not isinstance(found, Mapping):
        return {}
    if "ParameterKey" in found:
        return {str(found["ParameterKey"]): found.get("ParameterValue")}
    values = found.get("Parameters", found.get("parameters"))
    if not isinstance(values, Mapping) or not set(map(str.lower, map(str, found))) <= _OF_PARAMETERS:
        return {}
    return {
        str(name): value["value"] if isinstance(value, Mapping) and "value" in value else value
        for name, value in values.items()
    }


def _said(finding: Finding, before: list[Finding]) -> bool:
    """Whether the API's model has said the same of the same value."""
    return any(finding.value == each.value and each.field.endswith(finding.field.split(".")[-1]) for each in before)


def _sorted(found: list[Document], notes: Notes, given: Mapping[str, Any]) -> tuple[Platform, list[Any]]:
    """The parts in all documents, which should be of one platform."""
    parts: dict[Platform, list[Any]] = {}
    for document in found:
        if not isinstance(document.found, Mapping):
            raise ParameterError(
                f"read_deployment: source={shortly(document.found)} should hold an object with fields, such as "
                f"{_KNOWN}."
            )
        of = _parts(document.found, given)
        if of is None:
            keys = ", ".join(list(map(str, document.found))[:5]) or "nothing"
            if other := _of_another_kind(document.found):
                raise ParameterError(f"read_deployment: {other}.")
            if len(found) == 1:
                raise ParameterError(f"read_deployment: source has neither {_KNOWN}, but {keys}.")
            notes.unread.append(f"an object with {keys}")
            continue
        platform, here = of
        if not here:
            notes.unread.append(f"{document.found.get('operation') or document.found.get('kind') or 'an object'}")
        parts.setdefault(platform, []).extend(here)
    parts = {platform: here for platform, here in parts.items() if here}
    if len(parts) > 1:
        raise ParameterError(f"read_deployment: source mixes {' and '.join(parts)}; give the files of one platform.")
    if not parts:
        what = ", ".join(notes.unread[:3])
        raise ParameterError(f"read_deployment: source has no {_KNOWN}{': it holds ' + what if what else ''}.")
    ((platform, here),) = parts.items()
    return platform, here


def _of_another_kind(found: Mapping[str, Any]) -> str | None:
    """What a file is that people keep beside deployments, where it is none, and what to do with it."""
    keys = set(map(str, found))
    if keys & {"pipelineSpec", "pipelineInfo"} or {"Version", "Steps"} <= keys:
        what = next(key for key in ("pipelineSpec", "pipelineInfo", "Steps") if key in keys)
        return f"{what} is a pipeline, which deploys when it runs; read it with mlops.read_definition"
    if keys & {"planned_values", "terraform_version"} or {"resource"} == keys - {"variable", "provider", "terraform"}:
        return f"source is {TERRAFORM}"
    if {"StartAt", "States"} <= keys:
        return "States has no task of createEndpointConfig or createTransformJob, with its Parameters"
    if {"apiVersion", "kind"} <= keys and "serving" in str(found["apiVersion"]):
        return f"kind={found['kind']} runs on your own cluster, and is not simulated; describe it with serving.RealTime"
    return None


def _parts(found: Mapping[str, Any], given: Mapping[str, Any]) -> tuple[Platform, list[Any]] | None:
    for platform, of in (
        ("sagemaker", sagemaker.parts_of(found, given)),
        ("azureml", azure.parts_of(found, given)),
        ("vertex", vertex.parts_of(found)),
    ):
        if of is not None:
            return platform, of  # type: ignore[return-value]
    return None
