"""The steps of a pipeline: what each kind is called, what it runs on, and how its arguments look on SageMaker.

A step depends on another because it reads what that one makes (`inputs={"train": prepare.output("train")}`), because
it says so (`depends_on=[prepare]`), or because it stands in a branch of a condition.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, PlainValidator, SkipValidation

from simlib.mlops.cache import CacheConfig
from simlib.mlops.people import Person
from simlib.mlops.references import Reference, gets, plain
from simlib.mlops.retries import Failure, RetryPolicy
from simlib.model import Law, constant
from simlib.parameters import Count, Flag, Positive, Text, config


def _names(value: object) -> object:
    """Steps or their names, one or several, as names."""
    several = [value] if isinstance(value, str | PipelineStep) else value
    if not isinstance(several, Sequence):
        raise ValueError(f"depends_on={value!r} should be steps or their names.")
    names = tuple(each.name if isinstance(each, PipelineStep) else each for each in several)
    for each in names:
        if not isinstance(each, str):
            raise ValueError(f"depends_on={each!r} should be a step or its name.")
    return names


def _name(value: object) -> object:
    """A step or its name as the name."""
    if value is not None and not isinstance(value, str | PipelineStep):
        raise ValueError(f"register={value!r} should be a step or its name.")
    return value.name if isinstance(value, PipelineStep) else value


def _law(value: object) -> object:
    return constant(float(value)) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _plain(value: object) -> object:
    return plain(value)


def _steps(value: object) -> object:
    several = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    for each in several:
        if not isinstance(each, PipelineStep):
            raise ValueError(f'steps: {each!r} is not a step; write for instance mlops.TrainingStep("train").')
    return tuple(several)


Names = Annotated[Any, BeforeValidator(_names)]  # steps and names go in, names come out
Duration = Annotated[Law | None, BeforeValidator(_law)]
Values = Annotated[Mapping[str, Any], BeforeValidator(_plain)]
Amount = Annotated[Count | Mapping[str, Any], BeforeValidator(_plain)]  # or a reference to a parameter
Code = Annotated[Callable[..., Any] | None, SkipValidation]
Path = tuple[str, ...]


def dig(value: Any, path: Path) -> Any:
    """What lies at *path* in nested dicts, or None."""
    for part in path:
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def put(value: dict[str, Any], path: Path, leaf: Any) -> None:
    """Put *leaf* at *path* into nested dicts, without touching dicts that belong to somebody else."""
    for part in path[:-1]:
        value[part] = dict(value.get(part) or {})
        value = value[part]
    value[path[-1]] = leaf


@config
class PipelineStep:
    """One step.

    Parameters
    ----------
    name : str
        Unique within the pipeline.
    depends_on : step, name, or several
        Steps that must have succeeded before, beyond those whose outputs this one reads.
    inputs : mapping
        What it reads, by name: an address, or a reference to what another step made.
    arguments : mapping
        Anything else the platform takes, in its own shape; may hold references.
    duration : Law or number, optional
        How long an attempt takes in all [s].  Without it the duration model of the run says, and the execution's
        `assumptions` list it.
    start_up : Law or number, optional
        Seconds until a machine is there, before `duration`; not billed.
    retries, failures, cache
        What may go wrong, who tries again, and whether an earlier run may be reused.
    max_runtime_s : float, optional
        An attempt (in a tuning: a trial) that takes longer is killed then and fails; a duration that the model only
        assumes never exceeds it.
    run : function, optional
        Real Python that runs when the step's time has passed: called with the inputs by name, it returns a mapping of
        outputs (a property file is a mapping inside it).
    result : mapping, optional
        The outputs, where they are known without running anything.
    trigger : "succeeded" | "completed"
        Whether it needs its predecessors to succeed, or only to be over (KFP's exit task).
    condition : str, optional
        KFP's condition (CEL) on the step's `inputs`; where it does not hold, the step and what needs it do not run.
    more : mapping
        Other keys of a real definition (DisplayName, PropertyFiles, …), kept as they are.
    """

    kind: ClassVar[str] = "Other"
    job: ClassVar[str | None] = None  # what `pricing.job_hours` calls it; None where no machine is billed
    instance_path: ClassVar[Path] = ()
    count_path: ClassVar[Path] = ()
    runtime_path: ClassVar[Path] = ("StoppingCondition", "MaxRuntimeInSeconds")

    name: Text
    depends_on: Names = field(default=(), kw_only=True)
    inputs: Values = field(default_factory=dict, kw_only=True)
    arguments: Values = field(default_factory=dict, kw_only=True)
    duration: Duration = field(default=None, kw_only=True)
    start_up: Duration = field(default=None, kw_only=True)
    retries: tuple[RetryPolicy, ...] = field(default=(), kw_only=True)
    failures: tuple[Failure, ...] = field(default=(), kw_only=True)
    cache: CacheConfig | None = field(default=None, kw_only=True)
    max_runtime_s: Positive | None = field(default=None, kw_only=True)
    run: Code = field(default=None, kw_only=True)
    result: Mapping[str, Any] | None = field(default=None, kw_only=True)
    trigger: Literal["succeeded", "completed"] = field(default="succeeded", kw_only=True)
    condition: str | None = field(default=None, kw_only=True)
    more: Values = field(default_factory=dict, kw_only=True)

    def __post_init__(self) -> None:
        if any(each in self.name for each in "/.['\"]"):
            raise ValueError(f"name={self.name!r} should hold no slash, dot, quote or bracket.")
        if sum(failure.probability for failure in self.failures) > 1:
            raise ValueError(f"failures of {self.name!r} should have probabilities that add up to at most 1.")

    @property
    def type(self) -> str:
        """Its type as the platform's definition writes it."""
        return self.kind

    def output(self, name: str = "") -> Reference:
        """A reference to what this step makes under *name*."""
        return {"Get": f"Steps.{self.name}.OutputParameters['{name}']"}

    @cached_property
    def full_arguments(self) -> dict[str, Any]:
        """All arguments in the platform's shape, references and all."""
        made = dict(self.arguments)
        self._write(made)
        if self.max_runtime_s is not None and self.job:
            put(made, self.runtime_path, self.max_runtime_s)
        return made

    @cached_property
    def targets(self) -> tuple[str, ...]:
        """What its references point at."""
        return (*gets(self.full_arguments), *gets(self.more))

    def _write(self, arguments: dict[str, Any]) -> None:
        """Add what this class knows by name to the *arguments*."""
        arguments.update(self.inputs)


@config
class JobStep(PipelineStep):
    """A step that rents machines: `instance_count` of `instance_type`, either of them possibly a parameter."""

    instance_type: Annotated[Any, BeforeValidator(_plain)] = field(default="ml.m5.xlarge", kw_only=True)
    instance_count: Amount = field(default=1, kw_only=True)

    def _write(self, arguments: dict[str, Any]) -> None:
        if self.instance_path and self.instance_type is not None:
            put(arguments, self.instance_path, self.instance_type)
            put(arguments, self.count_path, self.instance_count)
        if self.inputs:
            self._write_inputs(arguments)

    def _write_inputs(self, arguments: dict[str, Any]) -> None:
        arguments.update(self.inputs)


@config
class ProcessingStep(JobStep):
    """Runs a script over data on machines of its own: preparing, splitting, evaluating."""

    kind: ClassVar[str] = "Processing"
    job: ClassVar[str | None] = "processing"
    instance_path: ClassVar[Path] = ("ProcessingResources", "ClusterConfig", "InstanceType")
    count_path: ClassVar[Path] = ("ProcessingResources", "ClusterConfig", "InstanceCount")

    outputs: tuple[Text, ...] = field(default=(), kw_only=True)

    def output(self, name: str = "") -> Reference:
        """A reference to the address of its output *name*."""
        return {"Get": f"Steps.{self.name}.ProcessingOutputConfig.Outputs['{name}'].S3Output.S3Uri"}

    def _write(self, arguments: dict[str, Any]) -> None:
        super()._write(arguments)
        if self.outputs:
            where = "/opt/ml/processing/"
            written = [
                {"OutputName": name, "S3Output": {"LocalPath": where + name, "S3UploadMode": "EndOfJob"}}
                for name in self.outputs
            ]
            put(arguments, ("ProcessingOutputConfig", "Outputs"), written)

    def _write_inputs(self, arguments: dict[str, Any]) -> None:
        arguments["ProcessingInputs"] = [
            *arguments.get("ProcessingInputs", ()),
            *(
                {"InputName": name, "S3Input": {"S3Uri": value, "LocalPath": f"/opt/ml/processing/input/{name}"}}
                for name, value in self.inputs.items()
            ),
        ]


@config
class EvaluationStep(ProcessingStep):
    """A Processing step that writes a property file of metrics, which conditions can read.

    SageMaker has no type "Evaluation": it is a ProcessingStep with `property_files` in the SDK too.
    """

    property_files: tuple[Text, ...] = field(default=("evaluation",), kw_only=True)

    @property
    def type(self) -> str:
        return "Processing"

    def metric(self, path: str) -> Reference:
        """A reference to the metric at *path* in its first property file."""
        target = f"Steps.{self.name}.PropertyFiles.{self.property_files[0]}"
        return {"Std:JsonGet": {"PropertyFile": {"Get": target}, "Path": path}}


@config
class TrainingStep(JobStep):
    """Trains a model."""

    kind: ClassVar[str] = "Training"
    job: ClassVar[str | None] = "training"
    instance_path: ClassVar[Path] = ("ResourceConfig", "InstanceType")
    count_path: ClassVar[Path] = ("ResourceConfig", "InstanceCount")

    hyperparameters: Values = field(default_factory=dict, kw_only=True)

    def output(self, name: str = "model") -> Reference:
        """A reference to the address of the trained model."""
        return {"Get": f"Steps.{self.name}.ModelArtifacts.S3ModelArtifacts"}

    def _write(self, arguments: dict[str, Any]) -> None:
        super()._write(arguments)
        if self.hyperparameters:
            arguments["HyperParameters"] = {**arguments.get("HyperParameters", {}), **self.hyperparameters}

    def _write_inputs(self, arguments: dict[str, Any]) -> None:
        arguments["InputDataConfig"] = [*arguments.get("InputDataConfig", ()), *_channels(self.inputs)]


def _channels(inputs: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {"ChannelName": name, "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": value}}}
        for name, value in inputs.items()
    ]


@config
class TuningStep(TrainingStep):
    """Trains many models, some at a time, and keeps the best; `duration` is that of one trial."""

    kind: ClassVar[str] = "Tuning"
    instance_path: ClassVar[Path] = ("TrainingJobDefinition", "ResourceConfig", "InstanceType")
    count_path: ClassVar[Path] = ("TrainingJobDefinition", "ResourceConfig", "InstanceCount")
    runtime_path: ClassVar[Path] = ("TrainingJobDefinition", "StoppingCondition", "MaxRuntimeInSeconds")
    limits_path: ClassVar[Path] = ("HyperParameterTuningJobConfig", "ResourceLimits")

    max_trials: Amount = field(default=10, kw_only=True)
    max_parallel_trials: Amount = field(default=2, kw_only=True)

    def output(self, name: str = "model") -> Reference:
        """A reference to the best trial's model."""
        return {"Get": f"Steps.{self.name}.BestTrainingJob.ModelArtifacts.S3ModelArtifacts"}

    def _write(self, arguments: dict[str, Any]) -> None:
        super()._write(arguments)
        put(arguments, (*self.limits_path, "MaxNumberOfTrainingJobs"), self.max_trials)
        put(arguments, (*self.limits_path, "MaxParallelTrainingJobs"), self.max_parallel_trials)
        if self.hyperparameters:
            put(arguments, ("TrainingJobDefinition", "StaticHyperParameters"), arguments.pop("HyperParameters"))

    def _write_inputs(self, arguments: dict[str, Any]) -> None:
        put(arguments, ("TrainingJobDefinition", "InputDataConfig"), _channels(self.inputs))


@config
class TransformStep(JobStep):
    """Runs a model over files: a batch transform job."""

    kind: ClassVar[str] = "Transform"
    job: ClassVar[str | None] = "batch_transform"
    instance_path: ClassVar[Path] = ("TransformResources", "InstanceType")
    count_path: ClassVar[Path] = ("TransformResources", "InstanceCount")

    def output(self, name: str = "") -> Reference:
        """A reference to the address of its predictions."""
        return {"Get": f"Steps.{self.name}.TransformOutput.S3OutputPath"}

    def _write_inputs(self, arguments: dict[str, Any]) -> None:
        data = dict(self.inputs)
        if "model" in data:
            arguments["ModelName"] = data.pop("model")
        if "data" in data:
            put(arguments, ("TransformInput", "DataSource", "S3DataSource", "S3Uri"), data.pop("data"))
        arguments.update(data)


@config
class QualityCheckStep(ProcessingStep):
    """Compares data or a model's quality with a baseline: a processing job of Model Monitor."""

    kind: ClassVar[str] = "QualityCheck"

    def _write_inputs(self, arguments: dict[str, Any]) -> None:
        arguments.update(self.inputs)


@config
class ClarifyCheckStep(QualityCheckStep):
    """Compares bias or explanations with a baseline: a processing job of Clarify."""

    kind: ClassVar[str] = "ClarifyCheck"


@config
class ConditionStep(PipelineStep):
    """Goes one way or the other: steps of the branch that is not taken, and all that need them, do not run.

    `conditions` must all hold for `if_steps`.  Joining the branches again is impossible: a step that needs steps of
    both would need all of them (AND), so it never runs; repeat it in both branches instead.
    """

    kind: ClassVar[str] = "Condition"

    conditions: Annotated[tuple[Any, ...], BeforeValidator(_plain)] = field(default=(), kw_only=True)
    if_steps: Annotated[Sequence[PipelineStep], BeforeValidator(_steps)] = field(default=(), kw_only=True)
    else_steps: Annotated[Sequence[PipelineStep], BeforeValidator(_steps)] = field(default=(), kw_only=True)

    def _write(self, arguments: dict[str, Any]) -> None:
        super()._write(arguments)
        arguments["Conditions"] = list(self.conditions)


@config
class RegisterModelStep(PipelineStep):
    """Registers a model version in `group`; without another `approval_status` it waits for a person's approval."""

    kind: ClassVar[str] = "RegisterModel"

    group: Annotated[Any, BeforeValidator(_plain)] = field(default=None, kw_only=True)
    approval_status: Annotated[Any, BeforeValidator(_plain)] = field(default="PendingManualApproval", kw_only=True)
    metrics: Values = field(default_factory=dict, kw_only=True)

    def output(self, name: str = "") -> Reference:
        """A reference to the registered version."""
        return {"Get": f"Steps.{self.name}.ModelPackageArn"}

    def _write(self, arguments: dict[str, Any]) -> None:
        arguments["ModelApprovalStatus"] = self.approval_status
        if self.group is not None:
            arguments["ModelPackageGroupName"] = self.group
        if self.metrics:
            put(arguments, ("CustomerMetadataProperties",), dict(self.metrics))
        data = dict(self.inputs)
        if "model" in data:
            put(arguments, ("InferenceSpecification", "Containers"), [{"ModelDataUrl": data.pop("model")}])
        arguments.update(data)


@config
class ModelStep(PipelineStep):
    """Creates a model that can be deployed."""

    kind: ClassVar[str] = "Model"

    def output(self, name: str = "") -> Reference:
        """A reference to the model's name."""
        return {"Get": f"Steps.{self.name}.ModelName"}

    def _write(self, arguments: dict[str, Any]) -> None:
        data = dict(self.inputs)
        if "model" in data:
            put(arguments, ("PrimaryContainer", "ModelDataUrl"), data.pop("model"))
        arguments.update(data)


@config
class EndpointStep(PipelineStep):
    """Deploys to the endpoint `endpoint` the latest Approved version of `group`, checked at this moment.

    It needs the registry of the run (`pipeline.run(registry=…)`); without one it only takes its time.
    """

    kind: ClassVar[str] = "Endpoint"

    endpoint: str | None = field(default=None, kw_only=True)
    group: str | None = field(default=None, kw_only=True)

    def _write(self, arguments: dict[str, Any]) -> None:
        super()._write(arguments)
        if self.endpoint is not None:
            arguments["EndpointName"] = self.endpoint


@config
class ApprovalStep(PipelineStep):
    """Waits for a person's yes, during that person's working hours; a no fails the step.

    With `register=` naming a RegisterModelStep and a registry in the run, the answer is written there.  SageMaker has
    no such step: its definition becomes a Callback, which is how people build it.
    """

    kind: ClassVar[str] = "Callback"

    person: Person = field(default=Person(), kw_only=True)
    register: Annotated[Any, BeforeValidator(_name)] = field(default=None, kw_only=True)

    def _write(self, arguments: dict[str, Any]) -> None:
        super()._write(arguments)
        if self.register is not None:
            arguments["ModelPackage"] = {"Get": f"Steps.{self.register}.ModelPackageArn"}


@config
class LambdaStep(PipelineStep):
    """Runs a small function; 120 s at most unless told otherwise, 10 minutes at the very most (AWS guide)."""

    kind: ClassVar[str] = "Lambda"

    max_runtime_s: Positive | None = field(default=120.0, kw_only=True)


@config
class CallbackStep(PipelineStep):
    """Hands a token to somebody outside and waits.

    The duration model answers in their place, unless `wait_for_answer`: then `execution.send_success(name, …)` or
    `execution.send_failure(name, why)` does.
    """

    kind: ClassVar[str] = "Callback"

    wait_for_answer: Flag = field(default=False, kw_only=True)


@config
class FailStep(PipelineStep):
    """Ends the execution as Failed, with a message; nothing may depend on it."""

    kind: ClassVar[str] = "Fail"

    message: Annotated[Any, BeforeValidator(_plain)] = field(default="", kw_only=True)

    def _write(self, arguments: dict[str, Any]) -> None:
        super()._write(arguments)
        arguments["ErrorMessage"] = self.message


@config
class TimedStep(JobStep):
    """A step of another type, of which only the time is simulated: EMR, AutoML, KFP's tasks, Azure's jobs, …"""

    job: ClassVar[str | None] = None

    step_type: Text = field(default="Task", kw_only=True)
    instance_type: Annotated[Any, BeforeValidator(_plain)] = field(default=None, kw_only=True)

    @property
    def type(self) -> str:
        return self.step_type

    def output(self, name: str = "") -> Reference:
        """A reference to its output *name*."""
        return {"Get": f"Steps.{self.name}.outputs.{name}"}


@config
class GroupStep(PipelineStep):
    """Steps of their own inside one step: a nested pipeline, an exit handler's body, or KFP's If.

    Names inside are separate from those outside.  `inputs` are handed in: inside, `{"Get": "Inputs.<name>"}`.
    """

    kind: ClassVar[str] = "Group"

    steps: Annotated[Sequence[PipelineStep], BeforeValidator(_steps)] = field(default=(), kw_only=True)
    condition: str | None = field(default=None, kw_only=True)

    def output(self, name: str = "") -> Reference:
        """A reference to its output *name*."""
        return {"Get": f"Steps.{self.name}.outputs.{name}"}


def _list_or_reference(value: object) -> object:
    made = plain(value)
    if not isinstance(made, list | dict):
        raise ValueError(f"over={value!r} should be a list or a reference to one.")
    return made


@config
class ForEachStep(GroupStep):
    """The same steps for every item of a list, at most `max_parallel` items at a time.

    Inside, `mlops.item()` is the item.  `over` may be a reference to a list that an earlier step makes.
    """

    kind: ClassVar[str] = "ForEach"

    over: Annotated[Any, PlainValidator(_list_or_reference)] = field(default=(), kw_only=True)
    item: Text = field(default="item", kw_only=True)
    max_parallel: Count | None = field(default=None, kw_only=True)

    @cached_property
    def targets(self) -> tuple[str, ...]:
        return (*super().targets, *gets(self.over))


KINDS: dict[str, type[PipelineStep]] = {
    made.kind: made
    for made in (
        ProcessingStep, TrainingStep, TuningStep, TransformStep, ConditionStep, RegisterModelStep, ModelStep,
        LambdaStep, CallbackStep, FailStep, QualityCheckStep, ClarifyCheckStep, EndpointStep,
    )
}  # fmt: skip
"""The class for each type of SageMaker's definitions that has one; `TimedStep` reads all others."""
