"""What a team asks of a deployment, and how much of its time is simulated to answer."""

import functools
import math
from dataclasses import field

import numpy as np

from simlib.model import ModelProfile
from simlib.parameters import Count, Flag, NonNegative, Positive, Share, Text, config
from simlib.serving.edge import Fleet
from simlib.workload import Workload

DAY_S = 86_400.0
ENOUGH_REQUESTS = 10_000
MOST_DAYS = 14.0  # of a sample; a scaling fleet decides every minute of them
MOST_ERRORS = 0.01  # where the team does not say: beyond it, percentiles of the answers mean little


@config
class Question:
    """Which deployment for this workload and this model, within these limits; see `advise` for the parameters."""

    workload: Workload
    model: ModelProfile
    max_p99_s: Positive | None = field(default=None, kw_only=True)
    deadline_h: Positive | None = field(default=None, kw_only=True)
    max_error_rate: Share | None = field(default=None, kw_only=True)
    payload_mb: Positive | None = field(default=None, kw_only=True)
    needs_gpu: Flag = field(default=False, kw_only=True)
    data_must_stay_local: Flag = field(default=False, kw_only=True)
    offline_share: Share = field(default=0.0, kw_only=True)
    devices: Fleet | None = field(default=None, kw_only=True)
    usd_per_device_month: NonNegative = field(default=10.0, kw_only=True)
    horizon_days: Positive = field(default=30.0, kw_only=True)
    instance_type: Text | None = field(default=None, kw_only=True)
    workers: Count | None = field(default=None, kw_only=True)
    region: Text = field(default="us-east-1", kw_only=True)
    seed: int = field(default=0, kw_only=True)
    keep_alive_s: Positive = field(default=645.0, kw_only=True)

    def __post_init__(self) -> None:
        names = None if self.devices is None else [each.name for each in self.devices]
        if names is not None and (not names or len(names) != len(set(names))):
            raise ValueError(f"devices={names} is not possible: it should be one or more kinds, each of them once.")

    @property
    def request_mb(self) -> float:
        """The largest single request [MB]."""
        return self.model.request_kb / 1000 if self.payload_mb is None else self.payload_mb

    @property
    def gpu(self) -> bool:
        """Whether the model has to run on a GPU."""
        return self.needs_gpu or self.model.needs_gpu

    @property
    def asks_for_edge(self) -> bool:
        """Whether anything speaks for devices: the data, the connection, or devices that are there."""
        return self.data_must_stay_local or self.offline_share > 0 or self.devices is not None

    @property
    def errors_allowed(self) -> float:
        """Share of requests that may stay without an answer."""
        return MOST_ERRORS if self.max_error_rate is None else self.max_error_rate

    @functools.cached_property
    def sample_days(self) -> float:
        """How much is simulated [days]; the rest of the horizon is taken to be like it.

        One period of a workload that repeats itself (a trace, a night's files), else whole days until there are
        enough requests, and never more than the horizon or 14 days.
        """
        if self.workload.period_s is not None:
            return min(self.horizon_days, self.workload.period_s / DAY_S)
        a_day = self.workload.expected(0.0, self.horizon_days * DAY_S) / self.horizon_days
        wanted = math.ceil(ENOUGH_REQUESTS / a_day) if a_day else math.inf
        return min(self.horizon_days, MOST_DAYS, max(1.0, wanted))

    @functools.cached_property
    def requests(self) -> float:
        """Requests of one sample, on average."""
        return self.workload.expected(0.0, self.sample_days * DAY_S)

    @property
    def busy(self) -> float:
        """Workers that the requests keep busy on average."""
        return self.requests * float(self.durations.mean()) / (self.sample_days * DAY_S)

    def service_quantile(self, share: float) -> float:
        """The time that a *share* of the requests needs at most when nobody else is there [s]."""
        return float(np.quantile(self.durations, share))

    @functools.cached_property
    def durations(self) -> np.ndarray:
        """Service times of the first of the requests [s], without gaps between them."""
        rng, drawn, many = np.random.default_rng(self.seed), [np.empty(0)], 0
        for block in self.workload.between(0.0, self.sample_days * DAY_S).blocks(np.random.default_rng(self.seed)):
            drawn.append(self.model.service.durations(len(block.times), rng, block.work))
            many += len(block.times)
            if many > ENOUGH_REQUESTS:
                break
        return np.concatenate(drawn) if many else np.zeros(1)
