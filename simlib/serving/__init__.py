"""Ways to serve a model.

`RealTime` endpoints keep instances; more ways follow in this package.
"""

from simlib.serving.fleet import InstanceLife
from simlib.serving.realtime import RealTime, Retry, Variant

__all__ = ["InstanceLife", "RealTime", "Retry", "Variant"]
