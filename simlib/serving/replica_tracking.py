"""Vertex AI's autoscaler, as data: every 15 seconds a target, and the fleet gets the largest of the last five minutes.

>>> policy = ReplicaTracking(60, max_capacity=10)
>>> policy.target_for(replicas=2, value=100), policy.target_for(replicas=10, value=1)
(4, 1)
"""

import math
from collections.abc import Iterator
from dataclasses import field

from simlib.parameters import Count, NonNegative, Positive, Whole, config
from simlib.serving.bounds import check_bounds
from simlib.serving.metrics import Metric


@config
class ReplicaTracking:
    """Keep a metric near a target as Vertex AI does: each cycle asks for ceil(replicas * metric / target).

    The fleet follows the largest target of the last `window_s`, so it grows within a cycle and shrinks only after a
    window of lower ones (Vertex AI, "Scale inference nodes by using autoscaling").  Several policies (CPU and GPU) are
    several of these: the one that asks for most wins.

    With min_capacity=0 (a preview) an idle fleet goes to zero.  Requests that find no replica are refused, never
    queued (give the endpoint refusal=429), and wake it.

    Parameters
    ----------
    target : float
        In the metric's unit; 60 % for CPU utilization and GPU duty cycle unless told otherwise.
    metric : str
        "WorkerUtilization" stands for CPU utilization, "DutyCycle" for an accelerator's, and
        "RequestsPerMinutePerInstance" for request_count.
    min_capacity, max_capacity : int
        Bounds of the number of replicas; the least is 1 but in the preview.
    period_s, window_s : float
        Length of a cycle, and how far it looks back [s]; 15 and 300 on Vertex AI.
    metric_delay_s : float
        How long after its end a period's value is known [s].  Assumption: at once.
    initial_capacity : int
        Replicas that a sleeping endpoint wakes up with (`initialReplicaCount`).
    idle_scaledown_s, min_scaleup_s : float
        Without a request for so long, and awake for so long, it goes to zero [s]; 3600 each, 300 to 28800 on Vertex AI
        (`idleScaledownPeriod`, `minScaleupPeriod`).
    """

    target: Positive = 60.0
    metric: Metric = field(default="WorkerUtilization", kw_only=True)
    min_capacity: Whole = field(default=1, kw_only=True)
    max_capacity: Count = field(default=1, kw_only=True)
    period_s: Positive = field(default=15.0, kw_only=True)
    window_s: Positive = field(default=300.0, kw_only=True)
    metric_delay_s: NonNegative = field(default=0.0, kw_only=True)
    initial_capacity: Count = field(default=1, kw_only=True)
    idle_scaledown_s: Positive = field(default=3600.0, kw_only=True)
    min_scaleup_s: Positive = field(default=3600.0, kw_only=True)

    def __post_init__(self) -> None:
        check_bounds(self.min_capacity, self.max_capacity)
        check_bounds(self.initial_capacity, self.max_capacity)

    def target_for(self, replicas: int, value: float) -> int:
        """What one cycle asks for, before the bounds: ceil(replicas * value / target)."""
        return math.ceil(round(replicas * value / self.target, 9))  # 3 * 66.666… is 200, and no more

    def assumptions(self) -> Iterator[tuple[str, object, str, str]]:
        """(parameter, value, mark, source) of what is not documented."""
        yield "scaling: replicas", "those in service", "U", "the vendor says: current number of replicas"
        if self.metric in ("WorkerUtilization", "DutyCycle"):
            yield f"scaling: {self.metric}", "from busy workers", "U", "how a machine's load follows from its requests"
        if self.min_capacity == 0:
            yield "scaling: waking up", "at the next cycle", "U", "undocumented: how soon a refused request wakes it"
