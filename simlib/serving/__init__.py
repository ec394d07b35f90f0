"""Ways to serve a model.

`RealTime` endpoints keep instances; `Serverless` ones pay by the millisecond; `Asynchronous` ones queue;
`BatchTransform` jobs come, work and go.
"""

from simlib.serving.asynchronous import Asynchronous, wake_from_zero
from simlib.serving.batch import BatchTransform
from simlib.serving.component import Component, InferenceComponent
from simlib.serving.fleet import InstanceLife
from simlib.serving.hardware import speed_of
from simlib.serving.multimodel import MultiModel
from simlib.serving.realtime import RealTime, Retry, Variant
from simlib.serving.scaling import BacklogTracking, ScheduledScaling, Step, StepScaling, TargetTracking
from simlib.serving.serverless import Serverless

__all__ = [
    "Asynchronous",
    "BacklogTracking",
    "BatchTransform",
    "Component",
    "InferenceComponent",
    "InstanceLife",
    "MultiModel",
    "RealTime",
    "Retry",
    "ScheduledScaling",
    "Serverless",
    "Step",
    "StepScaling",
    "TargetTracking",
    "Variant",
    "speed_of",
    "wake_from_zero",
]
