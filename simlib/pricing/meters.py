"""What was used, in the units of a bill, and how a measured time becomes such a unit.

A `Meter` says how much of one sku was used.  Its quantity is the billed one: where a service rounds each use, the
rounding is done here, once, by `billed_seconds`; `invoice` only multiplies.
"""

import numpy as np
from numpy.typing import ArrayLike
from pydantic import SkipValidation

from simlib.parameters import Count, Flag, NonNegative, ParameterError, Share, Text, checked, config, nearest
from simlib.pricing.catalog import services

HOURS_PER_MONTH = 730
"""A month on a bill (S: a README quoting the AWS price list of 2026-09-22 divides by it, and so do test bills)."""

KB_PER_GB = 1_000_000
"""Decimal, for data processed (assumption: no stored text says it; counting by 1024 would be 7 % cheaper)."""

_STEPS_S = {
    ("aws", "sagemaker_serverless"): 0.001,
    ("aws", "lambda"): 0.001,
    ("aws", "marketplace"): 60.0,
    ("vertex", "online_prediction"): 30.0,
    ("vertex", "custom_training"): 30.0,
}
_NOISE = 1e-6  # of a step: a duration that is a whole number of steps but for rounding stays that number
_JOBS = ("batch_transform", "processing", "training", "training_warm_pool", "notebook", "studio")


@config
class Meter:
    """So much of one sku was used: `quantity` of its `unit`, as the bill counts it.

    `item` is the text on the bill (default: the sku); `region` overrides the invoice's; `unit_price` in US dollars
    replaces the catalog's price, for what has no list price (a Marketplace fee, a contract); `pays` is the share of the
    list price that is left after a discount of yours.
    """

    service: Text
    sku: Text
    quantity: NonNegative
    unit: Text
    item: str = ""
    platform: Text = "aws"
    region: Text | None = None
    unit_price: NonNegative | None = None
    pays: Share = 1.0


@checked
def billed_seconds(durations_s: SkipValidation[ArrayLike], service: Text, *, platform: Text = "aws") -> float:
    """The seconds on the bill for single uses of *durations_s*: each rounded up to the service's step, then added.

    The steps: 1 ms for SageMaker serverless (AWS: billed for the milliseconds of compute) and for Lambda (recalled);
    1 minute for Marketplace software (AWS Marketplace seller guide: prorated to the minute); 30 s for Vertex AI
    (uncertain: in no stored text); 1 s for all else (AWS: instance-seconds; elsewhere an assumption).  That a part of
    a step counts as a whole one is an assumption.

    Raises
    ------
    ParameterError
        If a duration is negative or not finite, or the service is unknown.
    """
    durations = _durations(durations_s)
    known = [*services(platform), *(name for owner, name in _STEPS_S if owner == platform)]
    if service not in known:
        raise ParameterError(f"billed_seconds: {platform} has no service {service!r}; {nearest(service, known)}")
    step_s = _STEPS_S.get((platform, service), 1.0)
    return float(np.ceil(durations / step_s - _NOISE).sum() * step_s)


def _durations(values: ArrayLike) -> np.ndarray:
    try:
        durations = np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        durations = np.array(np.nan)
    if not (np.isfinite(durations) & (durations >= 0)).all():
        raise ParameterError("billed_seconds: durations_s should all be finite numbers of at least 0.")
    return durations


# --- the natural meters of each service -------------------------------------------------------------------------------


@checked
def hosting_hours(instance_type: Text, hours: NonNegative, *, item: str = "") -> Meter:
    """Instance-hours of an endpoint, real-time or asynchronous: all the time its instances exist, busy or not.

    While a guardrail bakes, both fleets exist and both are billed (AWS developer guide, deployment guardrails).
    """
    return Meter("sagemaker_hosting", instance_type, hours, "instance-hour", item)


@checked
def job_hours(kind: Text, instance_type: Text, hours: NonNegative, *, item: str = "") -> Meter:
    """Instance-hours of a job: batch_transform, processing, training, training_warm_pool, notebook or studio.

    A job is billed from the start of its instances to its end (AWS API, `TransformStartTime` to `TransformEndTime`),
    so waiting for machines is free and loading images and data is not.  Monitor and Clarify jobs are processing jobs.

    Raises
    ------
    ParameterError
        If there is no such kind of job.
    """
    if kind not in _JOBS:
        raise ParameterError(f"job_hours: there is no kind {kind!r}; {nearest(kind, _JOBS)}")
    return Meter(f"sagemaker_{kind}", instance_type, hours, "instance-hour", item)


@checked
def endpoint_storage(gb: NonNegative, hours: NonNegative, *, item: str = "Storage") -> Meter:
    """Disk of *gb* GB attached to an endpoint for *hours* hours, in GB-months of `HOURS_PER_MONTH`."""
    return Meter("sagemaker_storage", "endpoint-gp2", gb * hours / HOURS_PER_MONTH, "GB-month", item)


@checked
def data_processed(gb_in: NonNegative, gb_out: NonNegative) -> tuple[Meter, Meter]:
    """Data sent to an endpoint and back, in GB; real-time, serverless and asynchronous endpoints pay the same."""
    return (
        Meter("sagemaker_data_processing", "endpoint-data-in", gb_in, "GB", "Data in"),
        Meter("sagemaker_data_processing", "endpoint-data-out", gb_out, "GB", "Data out"),
    )


@checked
def serverless_seconds(memory_mb: Count, seconds: NonNegative, *, item: str = "") -> Meter:
    """Billed compute seconds of a serverless endpoint without provisioned concurrency, or above it."""
    return Meter("sagemaker_serverless", f"on-demand-{memory_mb}MB", seconds, "second", item)


@checked
def provisioned_concurrency(
    memory_mb: Count, *, enabled_seconds: NonNegative, busy_seconds: NonNegative
) -> tuple[Meter, Meter]:
    """The two prices of provisioned concurrency: staying warm, and running.

    *enabled_seconds* is units times seconds enabled, used or not; *busy_seconds* the billed compute seconds on them.
    """
    return (
        Meter(
            "sagemaker_serverless",
            f"provisioned-concurrency-usage-{memory_mb}MB",
            enabled_seconds,
            "second",
            "Provisioned concurrency, warm",
        ),
        Meter(
            "sagemaker_serverless",
            f"provisioned-concurrency-inference-duration-{memory_mb}MB",
            busy_seconds,
            "second",
            "Provisioned concurrency, running",
        ),
    )


@checked
def s3_requests(puts: NonNegative, gets: NonNegative) -> tuple[Meter, Meter]:
    """Requests to S3: *puts* (PUT, COPY, POST and LIST cost the same) and *gets*."""
    return (
        Meter("s3", "put-request", puts, "request", "S3 PUT"),
        Meter("s3", "get-request", gets, "request", "S3 GET"),
    )


@checked
def sns_requests(count: NonNegative) -> Meter:
    """Messages published to SNS standard topics; delivery to SQS or Lambda is free, to others a meter of its own."""
    return Meter("sns", "standard-api-request", count, "request", "SNS publish")


@checked
def cloudwatch_alarms(count: NonNegative, hours: NonNegative, *, high_resolution: Flag = False) -> Meter:
    """Alarms that existed for *hours* hours, in alarm-months of `HOURS_PER_MONTH`."""
    sku = "alarm-high-resolution" if high_resolution else "alarm-standard"
    return Meter("cloudwatch", sku, count * hours / HOURS_PER_MONTH, "alarm-month", "CloudWatch alarms")


@checked
def marketplace_hours(product: Text, hours: NonNegative, usd_per_hour: NonNegative) -> Meter:
    """The software fee of a Marketplace product, per instance-hour, on top of the instance itself."""
    return Meter("marketplace", product, hours, "instance-hour", f"Software {product}", unit_price=usd_per_hour)


@checked
def vertex_nodes(machine_type: Text, hours: NonNegative, *, region: Text = "us-central1") -> Meter:
    """Node-hours of a Vertex AI endpoint or batch prediction: all the time a model is deployed, busy or not."""
    return Meter("online_prediction", machine_type, hours, "node-hour", platform="vertex", region=region)


@checked
def azure_vms(size: Text, hours: NonNegative, *, region: Text = "eastus") -> Meter:
    """VM-hours of an Azure ML endpoint or cluster: the price of the machine, with no surcharge."""
    return Meter("compute", size, hours, "vm-hour", platform="azureml", region=region)
