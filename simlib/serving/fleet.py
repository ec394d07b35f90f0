"""The life of an instance: a machine is launched, its container starts, it serves, it drains, it is gone.

    launched ──launch──▶ machine up ──container start, download, load──▶ in service ──drain──▶ draining ──30 s──▶ gone
                         └ billed from here …                                                     … to here ┘

Each instance is one SimPy process.  What is not documented by the platform is a parameter of `InstanceLife`.
"""

import math
from dataclasses import dataclass, field
from typing import Literal

from simlib.model import Law, ModelProfile, lognormal
from simlib.parameters import NonNegative, Positive, config


@config
class InstanceLife:
    """How long each stage of an instance's life takes.

    Parameters
    ----------
    launch : Law
        From the decision until the machine is up [s].  Assumption: with `container_start`, the 3–5 minutes that
        users of SageMaker report in all.
    container_start : Law
        From the machine being up until the container asks for the model [s].  Assumption.
    download_mb_per_s : float
        Speed at which the model artifact arrives [MB/s].  Assumption.
    drain_s : float
        From SIGTERM to SIGKILL [s]; 30 on SageMaker (developer guide, "your own inference code").
    crash_rate_per_day : float
        Crashes of one instance in service per day, as a Poisson process.
    scale_in_takes : "newest" | "oldest" | "idlest"
        Which instance a scale-in takes away.  Assumption.
    """

    launch: Law = field(default=lognormal(mean=150, cv=0.25), kw_only=True)
    container_start: Law = field(default=lognormal(mean=45, cv=0.25), kw_only=True)
    download_mb_per_s: Positive = field(default=100.0, kw_only=True)
    drain_s: NonNegative = field(default=30.0, kw_only=True)
    crash_rate_per_day: NonNegative = field(default=0.0, kw_only=True)
    scale_in_takes: Literal["newest", "oldest", "idlest"] = field(default="newest", kw_only=True)

    def getting_ready_s(self, model: ModelProfile) -> float:
        """Seconds to fetch the model's artifact and load it, once the container runs."""
        return model.size_mb / self.download_mb_per_s + model.load_seconds


@dataclass
class Instance:
    """What is known of one instance so far; times in seconds, infinite while they are still to come."""

    number: int
    variant: int
    launched_s: float
    machine_up_s: float = math.inf
    in_service_s: float = math.inf
    draining_s: float = math.inf
    gone_s: float = math.inf
    ended: str = ""  # "drained", "crashed" or, while it lives, nothing

    @property
    def serving(self) -> bool:
        """Whether it takes requests."""
        return self.in_service_s < math.inf and self.draining_s == math.inf
