"""SageMaker's create_transform_job as a batch job."""

from simlib.model import ModelProfile
from simlib.parameters import ParameterError, shortly
from simlib.platforms.descriptors.reading import Fields, built
from simlib.serving import BatchTransform

_SPLIT = {"None": None, "Line": "Line", "RecordIO": "Line", "TFRecord": "Line"}
_STRATEGIES = {"MultiRecord": "MultiRecord", "SingleRecord": "SingleRecord"}


def transform_job(found: Fields, model: ModelProfile) -> BatchTransform:
    """The job; where nothing is said the API fills in 1 transform at a time, 6 MB, 600 s and 3 retries.

    Source of these: SageMaker API, CreateTransformJob and ModelClientConfig.

    Raises
    ------
    ParameterError
        If what it must have is missing, or a value is none that can be.
    """
    resources, data = found.inside("TransformResources"), found.inside("TransformInput")
    if resources is None:
        raise ParameterError(
            f"read_deployment: {found.name('TransformResources')} is missing; it should hold InstanceType and "
            "InstanceCount."
        )
    kind, count = resources.text("InstanceType"), resources.whole("InstanceCount")
    if not kind.startswith("ml."):
        raise ParameterError(
            f"read_deployment: {resources.name('InstanceType')}={shortly(kind)} should be an instance type such as "
            "'ml.m5.xlarge'."
        )
    resources.ignoring("VolumeKmsKeyId", "TransformAmiVersion")
    patience = found.inside("ModelClientConfig")
    timeout_s, retries = 600.0, 3
    if patience is not None:
        timeout_s = patience.number("InvocationsTimeoutInSeconds", timeout_s)
        retries = patience.whole("InvocationsMaxRetries", retries)
        patience.ignoring()
    at_once = found.whole("MaxConcurrentTransforms", 0)
    if not at_once:
        found.notes.assume(f"{found.name('MaxConcurrentTransforms')} is not given, and the container says nothing: 1")
    payload, split = found.number("MaxPayloadInMB", 6.0), _split(data)
    strategy = found.choice("BatchStrategy", _STRATEGIES, "MultiRecord")
    found.ignoring("TransformJobName", "ModelName", "Environment", "TransformOutput", "Tags", "ExperimentConfig")
    return built(
        found.where,
        lambda: BatchTransform(
            model,
            instance_type=kind,
            instance_count=count,
            max_concurrent_transforms=at_once or 1,
            max_payload_in_mb=payload,
            batch_strategy=strategy,
            split_type=split,  # type: ignore[arg-type]
            invocations_timeout_s=timeout_s,
            invocations_max_retries=retries,
        ),
    )


def _split(data: Fields | None) -> str | None:
    """How files are cut."""
    if data is None:
        return None
    how: str | None = data.choice("SplitType", _SPLIT, "None")
    if how is not None and data.text("SplitType").lower() != "line":
        data.notes.assume(f"{data.name('SplitType')}: its records are cut and sent as lines are")
    data.ignoring("DataSource", "ContentType", "CompressionType")
    return how
