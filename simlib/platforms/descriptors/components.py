"""SageMaker's inference components as an endpoint whose instances hold copies of several models."""

import re
from collections.abc import Mapping
from typing import Any

from simlib.model import ModelProfile
from simlib.parameters import ParameterError
from simlib.platforms.descriptors.autoscaling import Named
from simlib.platforms.descriptors.reading import Fields, built
from simlib.serving import Component, InferenceComponent
from simlib.serving.hardware import instance_types

_MB_PER_VCPU = 4096
_ACCELERATED = re.compile(r"ml\.(g\d|p\d|inf\d|trn\d)")
_SEVERAL = {"12xlarge": 4, "24xlarge": 4, "48xlarge": 8}


def shared_out(components: Named, targets: Named, rules: Named) -> dict[str, tuple[Named, Named]]:
    """Each component's targets and policies, by the name in their ResourceId or the target that a policy names."""
    if len(components) == 1:
        return {_called(*components[0]): (targets, rules)}
    found: dict[str, tuple[Named, Named]] = {}
    for called, component in components:
        names = {called, _called(called, component)}
        mine = [(name, each) for name, each in targets if _last(each, "ResourceId") in names]
        of_mine = {name for name, _ in mine}
        policies = [
            (name, each)
            for name, each in rules
            if _last(each, "ResourceId") in names or str(each.found.get("ScalingTargetId")) in of_mine
        ]
        found[_called(called, component)] = (mine, policies)
    of_some = [each for mine in found.values() for both in mine for _, each in both]
    for _, each in [*targets, *rules]:
        if not any(each is known for known in of_some):
            each.notes.unread.append(f"{each.name('ResourceId')} names no inference component here")
    return found


def _called(called: str, component: Fields) -> str:
    """Its own name; in a template it may have none but that of the resource."""
    return str(component.found.get("InferenceComponentName") or called)


def _last(found: Fields, key: str) -> str:
    return str(found.found.get(key, "")).rsplit("/", maxsplit=1)[-1]


def packed(
    config: Fields, components: Named, scaling: Mapping[str, tuple[Any, ...]], model: ModelProfile
) -> InferenceComponent:
    """The endpoint with the copies on it; every component gets the same model and the same share of the requests."""
    variants = config.several("ProductionVariants")
    if len(variants) != 1:
        raise ParameterError(
            f"read_deployment: {config.name('ProductionVariants')} has {len(variants)} variants; with inference "
            "components one is simulated."
        )
    only, config_notes = variants[0], config.notes
    kind, count = only.text("InstanceType"), only.whole("InitialInstanceCount", 1)
    managed, bounds = only.inside("ManagedInstanceScaling"), dict[str, int]()
    if managed is not None and str(managed.found.get("Status", "ENABLED")).upper() == "ENABLED":
        bounds["min_instance_count"] = managed.whole("MinInstanceCount", count)
        bounds["max_instance_count"] = managed.whole("MaxInstanceCount", count)
    if managed is not None:
        managed.ignoring("Status")
    only.ignoring("VariantName", "ModelName", "InitialVariantWeight", "RoutingConfig")
    config.ignoring("EndpointConfigName", "ExecutionRoleArn", "Tags", "KmsKeyId", "VpcConfig")
    config_notes.assume("every inference component gets the same share of the requests")
    made = tuple(
        _component(_called(name, each), each, model, scaling[_called(name, each)]) for name, each in components
    )
    memory, accelerators = _room(kind, made)
    config_notes.assume(f"an instance of {kind} has {memory:g} MB and {accelerators} accelerators for copies")
    return built(
        only.where,
        lambda: InferenceComponent(
            made,
            instance_type=kind,
            initial_instance_count=count,
            instance_memory_mb=memory,
            instance_accelerators=accelerators,
            **bounds,  # type: ignore[arg-type]
        ),
    )


def _component(name: str, found: Fields, model: ModelProfile, scaling: tuple[Any, ...]) -> Component:
    specification, runtime = found.inside("Specification"), found.inside("RuntimeConfig")
    needs = specification.inside("ComputeResourceRequirements") if specification is not None else None
    if specification is None or needs is None:
        raise ParameterError(
            f"read_deployment: {found.name('Specification')}.ComputeResourceRequirements is missing; it should hold "
            "NumberOfCpuCoresRequired or NumberOfAcceleratorDevicesRequired, and MinMemoryRequiredInMb."
        )
    settings: dict[str, Any] = {
        "cpus": needs.number("NumberOfCpuCoresRequired", 1.0),
        "accelerators": needs.whole("NumberOfAcceleratorDevicesRequired", 0),
        "memory_mb": needs.number("MinMemoryRequiredInMb", 1024.0),
        "copy_count": runtime.whole("CopyCount", 1) if runtime is not None else 1,
        "scaling": scaling or None,
    }
    needs.ignoring("MaxMemoryRequiredInMb")
    specification.ignoring("ModelName", "Container")
    found.ignoring("InferenceComponentName", "EndpointName", "VariantName", "Tags", "EndpointArn")
    return built(found.where, lambda: Component(name, model, **settings))


def _room(kind: str, components: tuple[Component, ...]) -> tuple[float, int]:
    """Memory [MB] and accelerators of one instance: no table of them is here, so they follow from its name.

    Assumption: 4 GiB a vCPU; one accelerator, four from 12xlarge and eight from 48xlarge on; and never less than the
    largest copy needs.
    """
    known = instance_types().get(kind)
    memory = _MB_PER_VCPU * (known.vcpus if known is not None else 1)
    there = _SEVERAL.get(kind.rsplit(".", maxsplit=1)[-1], 1) if _ACCELERATED.match(kind) else 0
    return (
        float(max(memory, *(each.memory_mb for each in components))),
        max(there, *(each.accelerators for each in components)),
    )
