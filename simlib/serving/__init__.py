"""Ways to serve a model.

`RealTime` endpoints keep instances; `Serverless` ones pay by the millisecond; `Asynchronous` ones queue;
`BatchTransform` jobs come, work and go; `Edge` fleets answer where the data is.
"""

from simlib.serving.asynchronous import Asynchronous, wake_from_zero
from simlib.serving.batch import BatchTransform
from simlib.serving.component import Component, InferenceComponent
from simlib.serving.devices import measured, measured_inference
from simlib.serving.edge import Compiled, Devices, Edge, Link, Samples, Update
from simlib.serving.fleet import InstanceLife
from simlib.serving.hardware import speed_of
from simlib.serving.interruptible import Interruptible
from simlib.serving.multimodel import MultiModel
from simlib.serving.packages import Package, PackageRefusedError, pack
from simlib.serving.realtime import RealTime, Retry, Variant
from simlib.serving.replica_tracking import ReplicaTracking
from simlib.serving.rollout import Alarm, AllAtOnce, Canary, Linear, Rolling
from simlib.serving.rule_scaling import Rule, RuleScaling
from simlib.serving.scaling import BacklogTracking, ScheduledScaling, Step, StepScaling, TargetTracking
from simlib.serving.serverless import Serverless
from simlib.serving.versus_cloud import Network, versus_cloud

__all__ = [
    "Alarm",
    "AllAtOnce",
    "Asynchronous",
    "BacklogTracking",
    "BatchTransform",
    "Canary",
    "Compiled",
    "Component",
    "Devices",
    "Edge",
    "InferenceComponent",
    "InstanceLife",
    "Interruptible",
    "Linear",
    "Link",
    "MultiModel",
    "Network",
    "Package",
    "PackageRefusedError",
    "RealTime",
    "ReplicaTracking",
    "Retry",
    "Rolling",
    "Rule",
    "RuleScaling",
    "Samples",
    "ScheduledScaling",
    "Serverless",
    "Step",
    "StepScaling",
    "TargetTracking",
    "Update",
    "Variant",
    "measured",
    "measured_inference",
    "pack",
    "speed_of",
    "versus_cloud",
    "wake_from_zero",
]
