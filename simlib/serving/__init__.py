"""Ways to serve a model.

`RealTime` endpoints keep instances; `Serverless` ones pay by the millisecond.  More ways follow in this package.
"""

from simlib.serving.fleet import InstanceLife
from simlib.serving.realtime import RealTime, Retry, Variant
from simlib.serving.scaling import ScheduledScaling, Step, StepScaling, TargetTracking
from simlib.serving.serverless import Serverless

__all__ = [
    "InstanceLife",
    "RealTime",
    "Retry",
    "ScheduledScaling",
    "Serverless",
    "Step",
    "StepScaling",
    "TargetTracking",
    "Variant",
]
