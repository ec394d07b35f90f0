"""Ways to serve a model.

`RealTime` endpoints keep instances; more ways follow in this package.
"""

from simlib.serving.fleet import InstanceLife
from simlib.serving.realtime import RealTime, Retry, Variant
from simlib.serving.scaling import ScheduledScaling, Step, StepScaling, TargetTracking

__all__ = [
    "InstanceLife",
    "RealTime",
    "Retry",
    "ScheduledScaling",
    "Step",
    "StepScaling",
    "TargetTracking",
    "Variant",
]
