"""Vertex AI's descriptors as deployments: deploy and batch prediction parameters of REST, SDK, gcloud and KFP.

Read: an endpoint with deployedModels, a deployModel request, the keyword arguments of Model.deploy and
Model.batch_predict, the flags of `gcloud ai endpoints deploy-model`, and the parameters of
the pipeline components of the same.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from simlib import pricing
from simlib.model import ModelProfile
from simlib.parameters import ParameterError, shortly
from simlib.platforms.descriptors.reading import Fields, Notes, Renamed, built, deep, own, snake, spelled
from simlib.platforms.limits import Finding
from simlib.serving import BatchTransform, Interruptible, RealTime, ReplicaTracking, Variant

SDK = "google-cloud-aiplatform 2.7.0, Endpoint.deploy"
PROTO = "google-cloud-aiplatform 2.7.0, machine_resources.py and endpoint.py"
_METRICS = {
    "cpu/utilization": "WorkerUtilization",
    "accelerator/duty_cycle": "DutyCycle",
    "request_count": "RequestsPerMinutePerInstance",
}
_WRAPPERS = (
    "deployed_model", "deploy_config", "deploy_request", "payload", "params", "parameters", "request", "body",
    "runtime_config", "parameter_values", "args", "kwargs", "spec", "input_parameters", "deployment", "deploy_model",
)  # fmt: skip
_SAYS_NOTHING = (
    "display_name", "deployed_model_display_name", "id", "name", "model", "model_id", "endpoint", "endpoint_id", "sync",
    "traffic_split", "traffic_percentage", "automatic_resources", "project", "location", "region", "service_account",
    "create_time", "dedicated_endpoint_enabled", "client_connection_config",
)  # fmt: skip
_OF_A_JOB = (
    "job_display_name", "input_config", "output_config", "instances_format", "predictions_format", "gcs_source",
    "gcs_source_uris", "gcs_destination_prefix", "gcs_destination_output_uri_prefix", "bigquery_source",
    "bigquery_source_input_uri", "bigquery_destination_prefix", "bigquery_destination_output_uri", "instance_config",
    "model_version_id", "labels",
)  # fmt: skip
_ATTACHED = ("g2-", "g4-", "a2-", "a3-", "a4-", "a4x-")  # machines that come with their accelerators
_MARKS = {
    "dedicated_resources",
    "automatic_resources",
    "deployed_models",
    "machine_spec",
    "machine_type",
    "shared_resources",
}


class Part(NamedTuple):
    """One set of parameters, in snake case."""

    kind: str  # "online" | "batch"
    where: str
    found: Mapping[str, Any]
    around: Mapping[str, Any]  # what it stands in, with the traffic


def parts_of(found: Any) -> list[Part] | None:
    """The deployments in a document; None if it is not of Vertex AI's at all."""
    if not isinstance(found, Mapping):
        return None
    made = deep(found, snake)
    return _parts("", made, made, depth=0) or None


def _parts(where: str, made: Any, around: Mapping[str, Any], depth: int) -> list[Part]:
    if isinstance(made, str) and made.lstrip().startswith("{"):
        try:
            made = deep(json.loads(made), snake)
        except ValueError:
            return []
    if isinstance(made, list):
        return [part for k, each in enumerate(made) for part in _parts(f"{where}[{k}]", each, around, depth)]
    if not isinstance(made, Mapping) or depth > 6:
        return []
    if isinstance(made.get("deployed_models"), list):
        return _parts(_under(where, "deployed_models"), made["deployed_models"], made, depth + 1)
    flat = _flattened(made)
    if _MARKS & set(flat):
        batch = {"starting_replica_count", "job_display_name", "input_config", "manual_batch_tuning_parameters"} & set(
            flat
        )
        starting = (
            isinstance(flat.get("dedicated_resources"), Mapping)
            and "starting_replica_count" in flat["dedicated_resources"]
        )
        return [Part("batch" if batch or starting else "online", where, flat, {**around, **flat})]
    found: list[Part] = []
    for key in made:
        if key in _WRAPPERS or depth == 0:
            found += _parts(_under(where, key), made[key], {**around, **made}, depth + 1)
    return found


def _under(where: str, key: str) -> str:
    return spelled(where, key)


def _flattened(made: Mapping[str, Any]) -> dict[str, Any]:
    """KFP's dedicated_resources_machine_type beside the REST API's dedicatedResources.machineSpec.machineType."""
    flat: dict[str, Any] = {}
    for key, each in made.items():
        short = re.sub(r"^(batch_predict_|deploy_model_|deployment_|prediction_|endpoint_)", "", str(key))
        short = short.removeprefix("dedicated_resources_") if short != "dedicated_resources" else short
        name = short if short not in made or short == key else str(key)
        flat[Renamed(name, getattr(key, "own", str(key)))] = each
    return flat


def build(
    parts: list[Part], model: ModelProfile, notes: Notes, given: Mapping[str, Any]
) -> tuple[RealTime | BatchTransform, list[Finding]]:
    """The deployment that the parts describe together, and what Vertex AI would refuse of it."""
    wrong: list[Finding] = []
    online = [part for part in parts if part.kind == "online"]
    if not online:
        if len(parts) > 1:
            raise ParameterError(f"read_deployment: source holds {len(parts)} batch predictions; give one.")
        return _batch(Fields(parts[0].found, parts[0].where, notes, given), model, notes), wrong
    read = [_deployed(Fields(part.found, part.where, notes, given), k, model, notes) for k, part in enumerate(online)]
    weights = _traffic(online, read, notes, given, wrong)
    variants = tuple(
        Variant(
            each.variant.name,
            model,
            weight=weight,
            instance_type=each.variant.instance_type,
            initial_instance_count=each.variant.initial_instance_count,
        )
        for each, weight in zip(read, weights, strict=True)
    )
    scaling, less = read[0].scaling, read[0].less
    if any(each.less != less for each in read):
        notes.unread.append("spot and flexStart of deployed models that differ: the first's hold for all")
    if any(each.scaling != scaling for each in read):
        scaling = ()
        notes.unread.append(
            "autoscaling of deployed models that differ: only one for all is simulated; their number is fixed"
        )
    notes.assume("a request is routed to a replica at random, and waits there")
    timeout_s = _timeout_s(Fields(online[0].around, "", notes, given))
    return built(
        "",
        lambda: RealTime(
            variants=variants,
            refusal=429,
            invocation_timeout_s=timeout_s,
            scaling=scaling or None,
            interruptible=less,
        ),
    ), wrong


class _Deployed(NamedTuple):
    variant: Variant
    ids: tuple[str, ...]
    scaling: tuple[ReplicaTracking, ...]
    less: Interruptible | None


def _deployed(found: Fields, k: int, model: ModelProfile, notes: Notes) -> _Deployed:
    for odd in ("automatic_resources", "shared_resources"):
        if odd in found and "dedicated_resources" not in found and "machine_type" not in found:
            raise ParameterError(
                f"read_deployment: {found.name(odd)} is not simulated: the platform chooses the machines; give "
                "dedicatedResources with a machineType."
            )
    resources = found.inside("dedicated_resources")
    resources = found if resources is None else resources
    kind = _machine(resources, notes)
    lowest, highest = _replicas(resources, notes)
    scaling = _scaling(resources, found, lowest, highest, kind, notes)
    less = _interruptible(resources, notes)
    name = str(
        found.found.get("display_name")
        or found.found.get("deployed_model_display_name")
        or found.found.get("id")
        or f"model {k}"
    )
    if resources is not found:
        resources.ignoring("required_replica_count")
    found.ignoring(*_SAYS_NOTHING)
    count = max(lowest, resources.whole("initial_replica_count", 1) if lowest == 0 else lowest)
    variant = built(found.where, lambda: Variant(name, model, instance_type=kind, initial_instance_count=count))
    ids = tuple({name, *(str(found.found[key]) for key in ("id", "display_name", "deployed_model_id") if key in found)})
    return _Deployed(variant, ids, scaling, less)


def _interruptible(resources: Fields, notes: Notes) -> Interruptible | None:
    """Spot machines may be taken back, those of flex-start not; both are cheaper by an assumption, not the fee."""
    spot = resources.flag("spot")
    flex = _present(resources, "flex_start")
    if not spot and not flex:
        return None
    kind = "spot" if spot else "flex_start"
    less = Interruptible(discount_percent=60.0 if spot else 56.0, fee_percent=15.0, taken_per_day=1.0 if spot else 0.0)
    notes.assume(
        f"{resources.name(kind)}: {less.discount_percent:g} % off the machine, nothing off the fee of 15 %, and taken "
        f"back {less.taken_per_day:g} times a day"
    )
    return less


def _present(resources: Fields, key: str) -> bool:
    """Whether a flag is set, or an object is there, which may be empty; how long it may run is told."""
    value = resources.found.get(key)
    if not isinstance(value, Mapping):
        return resources.flag(key)
    if value:
        resources.notes.unread.append(f"{resources.name(key)}: how long the machines may run")
    resources.taken.add(key)
    return True


def _machine(resources: Fields, notes: Notes) -> str:
    """The machine type with what is attached to it, as `pricing.machine` writes it."""
    spec = resources.inside("machine_spec")
    spec = resources if spec is None else spec
    if "machine_type" not in spec:
        if spec is not resources or snake(resources.where).endswith("dedicated_resources"):
            spec.text("machine_type")  # says that it is missing
        notes.assume("machine_type is not given, and the SDK takes n1-standard-2")
    kind = spec.text("machine_type", "n1-standard-2")
    if pricing.machine(kind).platform != "vertex":
        raise ParameterError(
            f"read_deployment: {spec.name('machine_type')}={shortly(kind)} should be a machine type such as "
            "'n1-standard-4'."
        )
    gpu, count = _accelerator(spec)
    if spec is not resources:
        spec.ignoring("reservation_affinity")
    if not gpu or not count or kind.startswith(_ATTACHED):
        return kind
    return f"{kind}+{count}x{gpu}"


def _accelerator(spec: Fields) -> tuple[str, int]:
    if "accelerator" in spec:  # gcloud: type=nvidia-tesla-t4,count=1
        value = spec.found["accelerator"]
        spec.taken.add("accelerator")
        pairs = value if isinstance(value, Mapping) else dict(re.findall(r"(\w+)=([\w-]+)", str(value)))
        kind, count = str(pairs.get("type", "")), str(pairs.get("count", "1"))
        if not kind or not count.isdigit():
            raise ParameterError(
                f"read_deployment: {spec.name('accelerator')}={shortly(value)} should be such as "
                "'type=nvidia-tesla-t4,count=1'."
            )
        return kind.upper().replace("-", "_"), int(count)
    spec.taken |= {"accelerator_type", "accelerator_count"}
    if "accelerator_type" not in spec or not str(spec.found["accelerator_type"]):
        return "", 0
    kind = spec.text("accelerator_type").upper().replace("-", "_")
    if kind in ("ACCELERATOR_TYPE_UNSPECIFIED", "NONE", "NULL"):
        return "", 0
    return kind, spec.whole("accelerator_count", 1)


def _replicas(resources: Fields, notes: Notes) -> tuple[int, int]:
    if "min_replica_count" not in resources:
        notes.assume(f"{resources.name('min_replica_count')} is not given: 1")
    lowest = resources.whole("min_replica_count", 1)
    highest = resources.whole("max_replica_count", max(1, lowest)) or max(1, lowest)
    if lowest < 0 or highest < lowest:
        raise ParameterError(
            f"read_deployment: {resources.name('max_replica_count')}={highest} should be at least "
            f"min_replica_count={lowest}."
        )
    return lowest, highest


def _scaling(
    resources: Fields, found: Fields, lowest: int, highest: int, kind: str, notes: Notes
) -> tuple[ReplicaTracking, ...]:
    """CPU alone; CPU and GPU where there is one; or the metrics that are named."""
    targets = _named_targets(resources, found)
    asleep = _sleep(resources)
    if lowest == highest and lowest > 0:
        if targets:
            notes.unread.append(
                f"{resources.name('autoscaling_metric_specs')}: the number of replicas is fixed at {lowest}"
            )
        return ()
    has_gpu = "+" in kind or kind.startswith(_ATTACHED)
    if not targets:
        targets = {"WorkerUtilization": 60.0} | ({"DutyCycle": 60.0} if has_gpu else {})
        notes.assume("no autoscaling metric is named: " + " and ".join(f"{name} at 60 %" for name in targets))
    return tuple(
        built(
            resources.where,
            lambda metric=metric, target=target: ReplicaTracking(  # type: ignore[misc]
                target, metric=metric, min_capacity=lowest, max_capacity=highest, **asleep
            ),
        )
        for metric, target in targets.items()
    )


def _named_targets(resources: Fields, found: Fields) -> dict[str, float]:
    targets: dict[str, float] = {}
    for owner in (resources, found):
        specs = owner.found.get("autoscaling_metric_specs")
        owner.taken.add("autoscaling_metric_specs")
        if isinstance(specs, str) and "=" in specs:  # gcloud: cpu-usage=70,gpu-duty-cycle=60
            specs = dict(re.findall(r"([\w./-]+)=([\w.${}-]+)", specs))
        if isinstance(specs, Mapping):  # gcloud: {cpu-usage: 70}
            specs = [{"metric_name": name, "target": value} for name, value in specs.items()]
            owner = Fields({**owner.found, "autoscaling_metric_specs": specs}, owner.where, owner.notes, owner.given)
        for each in owner.several("autoscaling_metric_specs"):
            name = each.text("metric_name").replace("-", "_")
            known = {
                "cpu_usage": "cpu/utilization",
                "gpu_duty_cycle": "accelerator/duty_cycle",
                "request_counts_per_minute": "request_count",
            }
            name = known.get(name, name)
            metric = next((ours for end, ours in _METRICS.items() if name.endswith(end)), None)
            if metric is None:
                raise ParameterError(
                    f"read_deployment: {each.name('metric_name')}={name!r} is not simulated; it should end in one of "
                    f"{', '.join(_METRICS)}."
                )
            targets[metric] = each.number("target", 60.0)
            each.ignoring("monitored_resource_labels")
        for key, metric in (
            ("autoscaling_target_cpu_utilization", "WorkerUtilization"),
            ("autoscaling_target_accelerator_duty_cycle", "DutyCycle"),
            ("autoscaling_target_request_count_per_minute", "RequestsPerMinutePerInstance"),
        ):
            if key in owner:
                targets[metric] = owner.number(key)
        if resources is found:
            break
    return targets


def _sleep(resources: Fields) -> dict[str, Any]:
    """When an endpoint without a least goes to zero."""
    scale = resources.inside("scale_to_zero_spec")
    made: dict[str, Any] = {}
    for owner in (scale, resources):
        for key, name in (("min_scaleup_period", "min_scaleup_s"), ("idle_scaledown_period", "idle_scaledown_s")):
            if owner is not None and key in owner:
                text = owner.text(key)
                found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|m|h)?", text)
                if found is None:
                    raise ParameterError(
                        f"read_deployment: {owner.name(key)}={text!r} should be a duration such as '3600s'."
                    )
                made[name] = float(found[1]) * {"m": 60, "h": 3600}.get(found[2] or "s", 1)
    if "initial_replica_count" in resources:
        made["initial_capacity"] = resources.whole("initial_replica_count")
    return made


def _traffic(
    online: list[Part], read: list[_Deployed], notes: Notes, given: Mapping[str, Any], wrong: list[Finding]
) -> list[float]:
    """Each model's share [%]: of the last split that is given, or the SDK's percentages, one deploy after another."""
    around = [Fields(part.around, "", notes, given) for part in online]
    splits = [k for k, each in enumerate(around) if each.found.get("traffic_split")]
    asked = [each for each in around if "traffic_percentage" in each]
    for each in asked:
        if not 0 <= (share := each.number("traffic_percentage")) <= 100:
            raise ParameterError(
                f"read_deployment: {each.name('traffic_percentage')}={share:g} should be from 0 to 100."
            )
    if any("traffic_split" in each for each in asked):
        words = "traffic_percentage and traffic_split are both given; the SDK takes one, and the split is read."
        wrong.append(Finding("weight", "traffic_percentage", asked[0].found["traffic_percentage"], words, "V", SDK))
    if not asked or splits:
        last = splits[-1] if splits else 0
        itself = last if "deployed_models" not in around[last].found else None  # "0" in a request to deploy
        return _weights(around[last], read, wrong, itself)
    if len(read) == 1:
        if around[0].number("traffic_percentage") < 100:
            notes.assume("traffic_percentage: the rest goes to other models: only this model's traffic is simulated")
        return [1.0]
    weights: list[float] = []
    for each in around:
        share = each.number("traffic_percentage", 0.0 if weights else 100.0)
        weights = [weight * (1 - share / 100) for weight in weights] + [share if weights else 100.0]
    return weights


def _weights(around: Fields, read: list[_Deployed], wrong: list[Finding], itself: int | None) -> list[float]:
    split = around.found.get("traffic_split")
    if isinstance(split, str):
        pairs = re.findall(r"([\w-]+)\s*[=:]\s*(\d+)", split.replace('"', ""))
        split = dict(pairs) if pairs else around.filled_in("traffic_split", split, "an object of whole numbers")
    if not isinstance(split, Mapping) or not split:
        if split is not None and not isinstance(split, Mapping):
            raise ParameterError(
                f"read_deployment: {around.name('traffic_split')}={shortly(split)} should be an object."
            )
        if len(read) > 1:
            around.notes.assume("trafficSplit is not given: every deployed model gets the same")
        return [1.0] * len(read)
    shares = Fields(split, around.name("traffic_split"), around.notes, around.given)
    of_each = {own(key): shares.whole(key) for key in split}
    for key, share in of_each.items():
        if not 0 <= share <= 100:
            raise ParameterError(f"read_deployment: {shares.name(key)}={share} should be from 0 to 100.")
    total = sum(of_each.values())
    if total != 100:
        words = f"trafficSplit={shortly(dict(split))} adds up to {total}; it should be 100."
        wrong.append(Finding("weight", "trafficSplit", dict(split), words, "V", PROTO))
    ids = [each.ids for each in read]
    if len(read) == 1:  # "0" is the model that this request deploys; what the others get is theirs
        elsewhere = [key for key in of_each if key not in (*ids[0], "0") and of_each[key]]
        if elsewhere and any(key in (*ids[0], "0") for key in of_each):
            around.notes.assume(
                f"{shares.where}: {', '.join(elsewhere)} is deployed elsewhere: only this model's traffic is simulated"
            )
        return [1.0]
    weights = [
        float(sum(of_each[key] for key in (*each, *(("0",) if k == itself else ())) if key in of_each))
        for k, each in enumerate(ids)
    ]
    if not any(weights):
        raise ParameterError(
            f"read_deployment: traffic_split={shortly(dict(split))} names none of the deployed models: "
            f"{', '.join(each.variant.name for each in read)}."
        )
    named = {name for each in ids for name in each} | ({"0"} if itself is not None else set())
    for key in (key for key in of_each if key not in named and of_each[key]):
        around.notes.unread.append(f"{shares.name(key)}: no deployed model of the source is called that")
    return weights


def _timeout_s(around: Fields) -> float:
    """60 s on a shared public endpoint, 600 on a dedicated one, or what the connection config says."""
    config = around.inside("client_connection_config")
    if config is not None and "inference_timeout" in config:
        value = config.found["inference_timeout"]
        value = value.get("seconds") if isinstance(value, Mapping) else value
        found = re.fullmatch(r"(\d+(?:\.\d+)?)s?", str(value))
        if found is None:
            raise ParameterError(
                f"read_deployment: {config.name('inference_timeout')}={shortly(value)} should be a duration "
                "such as '600s'."
            )
        return float(found[1])
    if around.found.get("dedicated_endpoint_enabled") in (True, "true", "True"):
        return 600.0
    around.notes.assume("the endpoint is a shared public one: 60 s")
    return 60.0


def _batch(found: Fields, model: ModelProfile, notes: Notes) -> BatchTransform:
    resources = found.inside("dedicated_resources")
    resources = found if resources is None else resources
    kind, count = _machine(resources, notes), resources.whole("starting_replica_count", 1)
    for key in ("spot", "flex_start"):
        if _present(resources, key):
            notes.unread.append(
                f"{resources.name(key)}: batch prediction is simulated on machines that stay, at list price"
            )
    if "max_replica_count" in resources:
        notes.unread.append(f"{resources.name('max_replica_count')}: batch prediction does not autoscale")
    tuning = found.inside("manual_batch_tuning_parameters")
    rows = (tuning if tuning is not None else found).whole("batch_size", 64)
    if resources is not found:
        resources.ignoring("max_replica_count")
    found.ignoring(*_SAYS_NOTHING, *_OF_A_JOB, "max_replica_count")
    notes.assume(f"{rows} records at a time go to a replica")
    return built(
        found.where,
        lambda: BatchTransform(
            model, instance_type=kind, instance_count=count, split_type="Line", records_per_request=rows
        ),
    )
