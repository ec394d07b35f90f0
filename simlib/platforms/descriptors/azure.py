"""Azure ML's descriptors as deployments: online endpoints and deployments, autoscale settings, batch and its cluster.

Read: the YAML of `az ml online-endpoint`, `online-deployment`, `batch-deployment` and `compute`, the JSON of
`az monitor autoscale`, and the same as resources of an ARM template.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from simlib import pricing
from simlib.model import ModelProfile
from simlib.parameters import ParameterError, shortly
from simlib.platforms.descriptors import arm
from simlib.platforms.descriptors.reading import Fields, Notes, built, deep, own, snake
from simlib.platforms.limits import Finding
from simlib.serving import BatchTransform, InstanceLife, Interruptible, RealTime, Rule, RuleScaling, Variant
from simlib.serving.capture import Capture

YAML_REFERENCE = "Azure ML YAML reference, managed online deployment"
_METRICS: dict[str, tuple[str, float]] = {  # Azure Monitor's name → simlib's, and its unit in simlib's
    "CpuUtilizationPercentage": ("WorkerUtilization", 1.0),
    "CpuUtilization": ("WorkerUtilization", 1.0),
    "GpuUtilizationPercentage": ("DutyCycle", 1.0),
    "GpuUtilization": ("DutyCycle", 1.0),
    "RequestLatency": ("ModelLatency", 1e-3),
    "RequestLatency_P50": ("ModelLatency", 1e-3),
    "RequestLatency_P90": ("ModelLatency", 1e-3),
    "RequestLatency_P95": ("ModelLatency", 1e-3),
    "RequestLatency_P99": ("ModelLatency", 1e-3),
    "RequestsPerMinute": ("RequestsPerMinute", 1.0),
}
_OPERATORS = {
    "GreaterThan": ">",
    "GreaterThanOrEqual": ">=",
    "LessThan": "<",
    "LessThanOrEqual": "<=",
    "Equals": "==",
    "NotEquals": "!=",
}
_AGGREGATIONS = {name: name for name in ("Average", "Minimum", "Maximum", "Total", "Count", "Last")}
_USUAL: dict[str, tuple[Any, ...]] = {  # what says nothing; any other value is told
    "statistic": ("Average",),
    "dimensions": ([],),
    "divide_per_instance": (False,),
}
_CHANGES = {name: name for name in ("ChangeCount", "PercentChangeCount", "ExactCount")}
_DURATION = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?", re.IGNORECASE)
_ARM = {
    "microsoft.insights/autoscalesettings": "autoscale",
    "microsoft.machinelearningservices/workspaces/onlineendpoints": "endpoint",
    "microsoft.machinelearningservices/workspaces/onlineendpoints/deployments": "deployment",
    "microsoft.machinelearningservices/workspaces/batchendpoints/deployments": "batch",
    "microsoft.machinelearningservices/workspaces/computes": "compute",
}
_SCHEMAS = {
    "batchdeployment": "batch",
    "onlinedeployment": "deployment",
    "onlineendpoint": "endpoint",
    "batchendpoint": "batch endpoint",
    "amlcompute": "compute",
}
_SAYS_NOTHING = (
    "$schema", "name", "endpoint_name", "description", "tags", "properties", "model", "code_configuration",
    "environment", "environment_variables", "app_insights_enabled", "model_mount_path", "egress_public_network_access",
    "liveness_probe", "readiness_probe", "type", "auth_mode", "identity", "public_network_access", "location", "kind",
    "startup_probe", "deployments", "traffic",
    "provisioning_state", "id", "resource_group", "default", "endpoint_compute_type", "package_model",
    "api_version", "depends_on", "sku",
)  # fmt: skip


class Part(NamedTuple):
    """One object of a known kind, its fields in snake case."""

    kind: str
    found: Mapping[str, Any]


def parts_of(found: Any, given: Mapping[str, Any]) -> list[Part] | None:
    """The objects of Azure's kinds in a document; None if it is not of Azure's at all."""
    if not isinstance(found, Mapping):
        return None
    if arm.is_template(found):
        return [part for each in arm.Template(found, given).resources() for part in _of_resource(each) or ()]
    if str(found.get("type", "")).lower().startswith("microsoft."):
        return _of_resource(found)
    schema = str(found.get("$schema", "")).lower()
    made = deep(found, snake)
    kind = next((each for mark, each in _SCHEMAS.items() if mark in schema), None) or _by_its_fields(made)
    if kind in ("endpoint", "batch endpoint"):
        return _with_inner(kind, made)
    return None if kind is None else [Part(kind, made)]


def _with_inner(kind: str, made: Mapping[str, Any]) -> list[Part]:
    """An endpoint, and the deployments that the CLI's first versions kept inside it."""
    of = "batch" if kind == "batch endpoint" else "deployment"
    if "mini_batch_size" in made:
        return [Part("batch", made)]
    inner, schema = made.get("deployments"), {"$schema": made.get("$schema", "")}
    if isinstance(inner, Mapping):  # by name
        inner = [{"name": own(name), **each} for name, each in inner.items() if isinstance(each, Mapping)]
    inner = [each for each in inner if isinstance(each, Mapping)] if isinstance(inner, list) else []
    return [Part(kind, made), *(Part(of, {**each, **schema}) for each in inner)]


def _of_resource(found: Mapping[str, Any]) -> list[Part] | None:
    """One resource of Azure Resource Manager, with its fields where the YAML of the same has them."""
    kind = _ARM.get(str(found.get("type", "")).lower())
    if kind is None:
        return None
    properties = found.get("properties")
    inner = {key: each for key, each in found.items() if key != "properties" or not isinstance(each, Mapping)}
    inner |= properties if isinstance(properties, Mapping) else {}
    inner["name"] = str(found.get("name", "")).rsplit("/", maxsplit=1)[-1]
    sku = found.get("sku")
    if isinstance(sku, Mapping) and "capacity" in sku:
        inner.setdefault("instance_count", sku["capacity"])
    if kind == "compute":
        cluster = inner.pop("properties", None)
        if str(inner.get("computeType", "")).lower() != "amlcompute" or not isinstance(cluster, Mapping):
            return []
        inner |= {"size": cluster.get("vmSize"), "tier": cluster.get("vmPriority")}
    return [Part(kind, deep(inner, snake))]


def _by_its_fields(made: Mapping[str, Any]) -> str | None:
    settings = made.get("settings")
    properties = made.get("properties")
    if "profiles" in made or (isinstance(properties, Mapping) and "profiles" in properties):
        return "autoscale"
    if "capacity" in made and "rules" in made:
        return "profile"
    if "mini_batch_size" in made or (isinstance(settings, Mapping) and "mini_batch_size" in settings):
        return "batch" if "endpoint_name" in made else None
    if str(made.get("type", "")).lower() == "amlcompute":
        return "compute"
    if str(made.get("instance_type", "")).lower().startswith("standard_"):
        return "deployment"
    if "endpoint_name" in made and not {"machine_type", "deployed_model", "production_variants"} & set(made):
        azure = {"code_configuration", "instance_type", "instance_count", "request_settings", "environment", "compute"}
        if azure & set(made):
            return "batch" if "compute" in made and "instance_type" not in made else "deployment"
    if "traffic" in made or "mirror_traffic" in made or ("auth_mode" in made and "name" in made):
        return "endpoint"
    return None


def build(
    parts: list[Part], model: ModelProfile, notes: Notes, given: Mapping[str, Any], instance_type: str | None
) -> tuple[RealTime | BatchTransform, list[Finding]]:
    """The deployment that the parts describe together, and what Azure would refuse of it."""

    def of(kind: str) -> list[Fields]:
        found = [part.found for part in parts if part.kind == kind]
        return [
            Fields(each, "" if len(found) == 1 else str(each.get("name") or k), notes, given)
            for k, each in enumerate(found)
        ]

    batches, deployments = of("batch"), of("deployment")
    if batches and not deployments:
        if len(batches) > 1:
            raise ParameterError(f"read_deployment: source holds {len(batches)} batch deployments; give one.")
        return _batch(batches[0], of("compute"), model, notes, instance_type), []
    if not deployments:
        has = ", ".join(sorted({part.kind for part in parts}))
        raise ParameterError(
            f"read_deployment: instance_type is missing: source holds only Azure ML's {has}; give the deployment that "
            "goes with it (instance_type, instance_count) too."
        )
    endpoints = of("endpoint")
    if len(endpoints) > 1:
        raise ParameterError(f"read_deployment: source holds {len(endpoints)} online endpoints; give one.")
    wrong: list[Finding] = []
    scaling = _scaling(of("autoscale"), of("profile"), notes, given)
    return _online(endpoints[0] if endpoints else None, deployments, scaling, model, notes, wrong), wrong


# --- online -----------------------------------------------------------------------------------------------------------


class _Deployed(NamedTuple):
    variant: Variant
    timeout_s: float
    capture: Capture | None


def _online(
    endpoint: Fields | None,
    deployments: list[Fields],
    scaling: RuleScaling | None,
    model: ModelProfile,
    notes: Notes,
    wrong: list[Finding],
) -> RealTime:
    made = [_deployment(each, model, wrong) for each in deployments]
    shares, mirror = _traffic(endpoint, [each.variant.name for each in made], notes, wrong)
    first = made[0]
    if any(each.variant.workers != first.variant.workers or each.timeout_s != first.timeout_s for each in made):
        notes.assume("the first deployment's request_settings hold for all")
    variants = tuple(
        _with_weight(each.variant, shares[each.variant.name]) for each in made if each.variant.name not in mirror
    )
    shadow = next((each.variant for each in made if each.variant.name in mirror), None)
    if not any(variant.weight for variant in variants):
        raise ParameterError(
            f"read_deployment: traffic={shortly(shares)} gives no deployment any requests; one should have more than 0."
        )
    extra: dict[str, Any] = {}
    if shadow is not None:
        extra = {"shadow": shadow, "shadow_sampling_percentage": float(mirror[shadow.name])}
    notes.assume(
        "requests wait in one line before the instances, 2 x max_concurrent_requests_per_instance of each at most"
    )
    return built(
        "",
        lambda: RealTime(
            variants=variants,
            routing="SHARED_QUEUE",
            queue_limit=first.variant.workers,
            queue_limit_of="instance",
            refusal=429,
            invocation_timeout_s=first.timeout_s,
            instance_life=InstanceLife(),
            scaling=scaling,
            data_capture=first.capture,
            **extra,
        ),
    )


def _with_weight(variant: Variant, weight: float) -> Variant:
    return Variant(
        variant.name,
        variant.model,
        weight=weight,
        instance_type=variant.instance_type,
        initial_instance_count=variant.initial_instance_count,
        workers=variant.workers,
    )


def _deployment(found: Fields, model: ModelProfile, wrong: list[Finding]) -> _Deployed:
    schema, kind = str(found.found.get("$schema", "")).lower(), str(found.found.get("type", "")).lower()
    if "kubernetes" in schema or "k8s" in schema or kind == "kubernetes":
        says = "type=kubernetes" if kind == "kubernetes" else f"$schema={shortly(found.found.get('$schema'))}"
        raise ParameterError(
            f"read_deployment: {says} is not simulated: its nodes and their price are your own cluster's; "
            "describe them with serving.RealTime."
        )
    size = canonical_size(found.text("instance_type"))
    count = _instances(found)
    asked = found.inside("request_settings")
    workers, timeout_ms = 1, 5000.0
    if asked is not None:
        workers, timeout_ms = asked.whole("max_concurrent_requests_per_instance", 1), _milliseconds(asked)
        if "max_queue_wait_ms" in asked:
            asked.taken.add("max_queue_wait_ms")
            wrong.append(_wrong(asked, "max_queue_wait_ms", "is deprecated; raise request_timeout_ms instead"))
        asked.ignoring()
    else:
        found.notes.assume("request_settings is not given: 1 request at a time per instance, 5000 ms")
    _scale_settings(found, wrong)
    capture = _capture(found)
    name = str(found.found.get("name") or "default")
    found.ignoring(*_SAYS_NOTHING)
    variant = built(
        found.where,
        lambda: Variant(name, model, instance_type=size, initial_instance_count=count, workers=workers),
    )
    return _Deployed(variant, timeout_ms / 1000, capture)


def _instances(found: Fields) -> int:
    """How many there are; the CLI's first versions kept it in scale_settings, or in compute."""
    for owner in (
        found,
        found.inside("scale_settings"),
        found.inside("compute") if _is_object(found, "compute") else None,
    ):
        if owner is not None and "instance_count" in owner:
            return owner.whole("instance_count")
    found.notes.assume(f"{found.name('instance_count')} is not given: 1")
    return 1


def _is_object(found: Fields, key: str) -> bool:
    return isinstance(found.found.get(key), Mapping)


def _milliseconds(asked: Fields) -> float:
    """The timeout: milliseconds in YAML, an ISO 8601 duration in ARM."""
    if "request_timeout" in asked:
        return 1000 * seconds(asked, "request_timeout")
    return asked.number("request_timeout_ms", 5000.0)


def _wrong(found: Fields, key: str, words: str) -> Finding:
    value = found.found.get(key)
    return Finding(key, found.name(key), value, f"{found.name(key)}={shortly(value)} {words}.", "V", YAML_REFERENCE)


def _scale_settings(found: Fields, wrong: list[Finding]) -> None:
    scale = found.inside("scale_settings")
    if scale is None:
        return
    kind = str(scale.found.get("type") or scale.found.get("scale_type") or "default").lower()
    if kind not in ("default", "manual"):
        words = "is not for managed online deployments: only default is, with autoscale settings in Azure Monitor"
        wrong.append(_wrong(scale, "type" if "type" in scale else "scale_type", words))
    scale.ignoring("type", "scale_type", *(() if "instance_count" in found else ("instance_count",)))


def _capture(found: Fields) -> Capture | None:
    """The share of the requests that the collector keeps."""
    collector = found.inside("data_collector")
    if collector is None:
        return None
    usual, collections, shares = collector.number("sampling_rate", 1.0), collector.inside("collections"), [0.0]
    for name in collections.found if collections is not None else ():
        one = collections.inside(str(name)) if collections is not None else None
        if one is not None and one.flag("enabled", True):
            shares.append(one.number("sampling_rate", usual))
            one.ignoring("data", "client_id")
    collector.ignoring()
    share = max(shares) if collections is not None else usual
    return built(collector.where, lambda: Capture(100 * share)) if share > 0 else None


def _traffic(
    endpoint: Fields | None, names: list[str], notes: Notes, wrong: list[Finding]
) -> tuple[dict[str, float], dict[str, float]]:
    """The weight of each deployment, and the share of copies of the mirrored one [%]."""
    traffic = endpoint.inside("traffic") if endpoint is not None else None
    copies = endpoint.inside("mirror_traffic") if endpoint is not None else None
    if endpoint is not None:
        endpoint.ignoring(*_SAYS_NOTHING, "compute")
    mirror = {own(name): copies.number(name) for name in copies.found} if copies is not None else {}
    mirror = {name: share for name, share in mirror.items() if share}
    for name in mirror:
        if name not in names:
            raise ParameterError(
                f"read_deployment: mirror_traffic.{name} names no deployment of the source: {', '.join(names)}."
            )
    for name, share in mirror.items():
        if not 0 < share <= 100:
            raise ParameterError(f"read_deployment: mirror_traffic.{name}={share:g} should be from 0 to 100.")
    if len(mirror) > 1:
        raise ParameterError(f"read_deployment: mirror_traffic={shortly(mirror)} should name one deployment.")
    if traffic is None or not traffic.found:
        live = [name for name in names if name not in mirror]
        if len(live) > 1:
            notes.assume("traffic is not given: every deployment gets the same")
        return dict.fromkeys(names, 1.0), mirror
    shares = {own(name): traffic.number(name) for name in traffic.found}
    for name, share in shares.items():
        if not 0 <= share <= 100:
            raise ParameterError(f"read_deployment: traffic.{name}={share:g} should be from 0 to 100.")
    odd = [name for name, share in shares.items() if name not in names and share]
    if odd:
        raise ParameterError(
            f"read_deployment: traffic.{odd[0]} names no deployment of the source: {', '.join(names)}."
        )
    if sum(shares.values()) not in (0, 100):
        words = f"adds up to {sum(shares.values()):g}; Azure wants 100 or 0"
        wrong.append(
            Finding("traffic", traffic.where, shares, f"traffic={shortly(shares)} {words}.", "V", YAML_REFERENCE)
        )
    for name in mirror:
        if shares.get(name):
            words = f"mirror_traffic.{name}: a deployment is live or mirrored, not both."
            wrong.append(Finding("mirror_traffic", f"mirror_traffic.{name}", mirror[name], words, "V", YAML_REFERENCE))
    return {name: shares.get(name, 0.0) for name in names}, mirror


def canonical_size(name: str) -> str:
    """A VM size as the catalog writes it, whatever its case."""
    known = {sku.lower(): sku for sku in pricing.skus("azureml", "compute")}
    return known.get(name.lower(), name if name.lower().startswith("standard_") else f"Standard_{name}")


# --- autoscale --------------------------------------------------------------------------------------------------------


def _scaling(
    settings: list[Fields], profiles: list[Fields], notes: Notes, given: Mapping[str, Any]
) -> RuleScaling | None:
    of_targets: list[tuple[str, list[Fields]]] = [("", profiles)] if profiles else []
    for each in settings:
        inner = each.inside("properties") if "properties" in each and "profiles" not in each else each
        assert inner is not None
        inner.taken |= {"profiles"}
        switched_on = inner.flag("enabled", True)
        inner.ignoring(*_SAYS_NOTHING, "target_resource_uri", "target_resource_location", "notifications")
        if switched_on:
            of_targets.append((str(inner.found.get("target_resource_uri", "")), inner.several("profiles")))
        else:
            notes.unread.append(f"{inner.name('enabled')}=false: the autoscale setting is switched off")
    if not of_targets:
        return None
    for target, _ in of_targets[1:]:
        notes.unread.append(f"the autoscale setting of {target or 'another deployment'}: the first one moves them all")
    profiles = of_targets[0][1]
    usual = [each for each in profiles if not ("fixed_date" in each or "recurrence" in each)] or profiles
    for each in profiles:
        if each is not usual[0]:
            notes.unread.append(f"{each.where}: only the default profile is simulated")
    return _profile(usual[0]) if usual else None


def _profile(found: Fields) -> RuleScaling | None:
    capacity, rules = found.inside("capacity"), found.several("rules")
    if capacity is None:
        raise ParameterError(
            f"read_deployment: {found.name('capacity')} is missing; it should hold minimum and maximum."
        )
    lowest, highest = capacity.whole("minimum"), capacity.whole("maximum")
    capacity.ignoring("default")
    if not rules:
        found.notes.unread.append(f"{found.name('rules')} is empty: nothing moves the fleet")
        return None
    made = tuple(_rule(each) for each in rules)
    return built(found.where, lambda: RuleScaling(made, min_capacity=lowest, max_capacity=highest))


def _rule(found: Fields) -> Rule:
    trigger, action = found.inside("metric_trigger"), found.inside("scale_action")
    if trigger is None or action is None:
        missing = found.name("metric_trigger" if trigger is None else "scale_action")
        raise ParameterError(f"read_deployment: {missing} is missing.")
    metric, unit = trigger.choice("metric_name", _METRICS)
    comparison, threshold = trigger.choice("operator", _OPERATORS), trigger.number("threshold") * unit
    window, how = seconds(trigger, "time_window", 300.0), trigger.choice("time_aggregation", _AGGREGATIONS, "Average")
    quiet = {"metric_resource_uri", "time_grain", "metric_namespace", "metric_resource_location"}
    quiet |= {key for key, usual in _USUAL.items() if trigger.found.get(key) in (None, *usual)}
    trigger.ignoring(*quiet)
    way = action.choice("direction", {"Increase": "Increase", "Decrease": "Decrease"})
    kind, size = action.choice("type", _CHANGES, "ChangeCount"), action.whole("value", 1)
    cooldown = seconds(action, "cooldown", 300.0)
    action.ignoring()
    if metric == "ModelLatency":
        found.notes.assume(f"{trigger.name('metric_name')}: the mean latency stands for every percentile")
    change = size if way == "Increase" or kind == "ExactCount" else -size
    return built(
        found.where,
        lambda: Rule(
            metric,
            comparison,
            threshold,
            change=change,
            type=kind,
            direction=way if kind == "ExactCount" else None,
            window_s=window,
            aggregation=how,
            cooldown_s=cooldown,
        ),
    )


def seconds(found: Fields, key: str, default: float | None = None) -> float:
    """A duration [s]: ISO 8601 ("PT5M"), a clock's ("00:05:00"), or a number of seconds."""
    found.taken.add(key)
    value = found.found.get(key, default)
    if value is None:
        raise ParameterError(f"read_deployment: {found.name(key)} is missing; it should be a duration such as 'PT5M'.")
    value = found.filled_in(key, value, "a duration such as 'PT5M'")
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    iso = _DURATION.fullmatch(str(value).strip())
    if iso and any(iso.groups()):
        days, hours, minutes, rest = (float(part or 0) for part in iso.groups())
        return 86400 * days + 3600 * hours + 60 * minutes + rest
    clock = re.fullmatch(r"(\d+):(\d+):(\d+)", str(value).strip())
    if clock:
        return 3600.0 * int(clock[1]) + 60 * int(clock[2]) + int(clock[3])
    raise ParameterError(f"read_deployment: {found.name(key)}={shortly(value)} should be a duration such as 'PT5M'.")


# --- batch ------------------------------------------------------------------------------------------------------------


def _batch(
    found: Fields, clusters: list[Fields], model: ModelProfile, notes: Notes, instance_type: str | None
) -> BatchTransform:
    if str(found.found.get("type", "model")).lower() == "pipeline" or "component" in found:
        raise ParameterError(
            f"read_deployment: {found.name('type')}='pipeline' is a pipeline behind an endpoint; read it with "
            "mlops.read_definition."
        )
    inner = found.inside("settings")
    settings = inner if inner is not None else found
    resources = found.inside("resources")
    count = _instances(
        next((each for each in (resources, settings) if each is not None and "instance_count" in each), found)
    )
    at_once, files = settings.whole("max_concurrency_per_instance", 1), settings.whole("mini_batch_size", 10)
    again = settings.inside("retry_settings")
    retries = again.whole("max_retries", 3) if again is not None else 3
    patience = seconds(again, "timeout", 30.0) if again is not None else 30.0
    threshold = settings.whole("error_threshold", -1)
    settings.taken |= {"output_action", "output_file_name", "logging_level", "environment_variables"}
    settings.ignoring(*_SAYS_NOTHING, "compute", "resources", "settings", "instance_count")
    if settings is not found:
        found.ignoring(*_SAYS_NOTHING, "compute", "resources", "settings", "instance_count")
    cluster = _cluster_of(found, clusters)
    size = _size_of(found, cluster, instance_type, resources)
    less = None
    if cluster is not None and str(cluster.found.get("tier") or "").lower().replace("_", "") == "lowpriority":
        less = Interruptible()
        notes.assume(
            f"tier=low_priority: {less.discount_percent:g} % off, and a machine is taken back {less.taken_per_day:g} "
            "times a day"
        )
    notes.assume("nodes of the cluster start for the job and go with it")
    return built(
        found.where,
        lambda: BatchTransform(
            model,
            instance_type=size,
            instance_count=count,
            max_concurrent_transforms=at_once,
            files_per_request=files,
            max_payload_in_mb=0.0,
            invocations_timeout_s=patience,
            invocations_max_retries=retries,
            error_threshold=threshold,
            interruptible=less,
        ),
    )


def _cluster_of(found: Fields, clusters: list[Fields]) -> Fields | None:
    """The cluster that `compute` names, or the only one there is; None where its file is not given."""
    asked = str(found.found.get("compute") or "")
    name = asked.removeprefix("azureml:").rsplit("/", maxsplit=1)[-1].partition(":")[0]
    named = [each for each in clusters if str(each.found.get("name")) == name]
    if not named and len(clusters) > 1:
        known = ", ".join(str(each.found.get("name")) for each in clusters)
        raise ParameterError(f"read_deployment: {found.name('compute')}={asked!r} is none of the clusters: {known}.")
    cluster = next(iter(named or clusters), None)
    if cluster is not None:
        cluster.ignoring(*_SAYS_NOTHING, "size", "min_instances", "idle_time_before_scale_down", "ssh_settings",
                         "max_instances", "tier", "compute_type", "scale_settings", "compute_location")  # fmt: skip
    return cluster


def _size_of(found: Fields, cluster: Fields | None, instance_type: str | None, resources: Fields | None) -> str:
    """The VM size: in the cluster's own file, in `resources`, or given."""
    if instance_type is not None:
        return canonical_size(instance_type)
    if cluster is not None:
        return canonical_size(cluster.text("size"))
    if resources is not None and "instance_type" in resources:
        return canonical_size(resources.text("instance_type"))
    raise ParameterError(
        f"read_deployment: {found.name('compute')}={shortly(found.found.get('compute'))} names a cluster, and not its "
        "VM size; give its amlcompute file too, or instance_type=."
    )
