"""MLOps: pipelines of steps with people in them, the model registry, and the marketplace.

A `Pipeline` is data; `pipeline.run(sim)` executes it on the simulated clock.  `read_definition` reads files of
SageMaker, KFP and Azure ML.  `Registry` keeps versions and who approved them.
"""

from simlib.mlops import marketplace, releases
from simlib.mlops.cache import CacheConfig, StepCache
from simlib.mlops.definitions import read_definition
from simlib.mlops.durations import DurationModel
from simlib.mlops.execution import Execution
from simlib.mlops.people import ALWAYS, Person, WorkingHours
from simlib.mlops.pipeline import Pipeline
from simlib.mlops.quota import Quota
from simlib.mlops.references import Parameter, any_of, compare, item, join, json_get, negated
from simlib.mlops.registry import ModelVersion, Registry, RegistryEvent
from simlib.mlops.retries import Failure, RetryPolicy
from simlib.mlops.steps import (
    ApprovalStep,
    CallbackStep,
    ClarifyCheckStep,
    ConditionStep,
    EndpointStep,
    EvaluationStep,
    FailStep,
    ForEachStep,
    GroupStep,
    LambdaStep,
    ModelStep,
    PipelineStep,
    ProcessingStep,
    QualityCheckStep,
    RegisterModelStep,
    TimedStep,
    TrainingStep,
    TransformStep,
    TuningStep,
)

__all__ = [
    "ALWAYS",
    "ApprovalStep",
    "CacheConfig",
    "CallbackStep",
    "ClarifyCheckStep",
    "ConditionStep",
    "DurationModel",
    "EndpointStep",
    "EvaluationStep",
    "Execution",
    "FailStep",
    "Failure",
    "ForEachStep",
    "GroupStep",
    "LambdaStep",
    "ModelStep",
    "ModelVersion",
    "Parameter",
    "Person",
    "Pipeline",
    "PipelineStep",
    "ProcessingStep",
    "QualityCheckStep",
    "Quota",
    "RegisterModelStep",
    "Registry",
    "RegistryEvent",
    "RetryPolicy",
    "StepCache",
    "TimedStep",
    "TrainingStep",
    "TransformStep",
    "TuningStep",
    "WorkingHours",
    "any_of",
    "compare",
    "item",
    "join",
    "json_get",
    "marketplace",
    "negated",
    "read_definition",
    "releases",
]
