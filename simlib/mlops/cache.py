"""Step caching: what counts as "the same step again", and for how long.

SageMaker's rules (AWS developer guide, pipelines-caching and pipelines-default-keys): off by default; only within the
same pipeline; only successful runs count; of several matches the newest inside the window; twins in flight at the same
time both run.  The key is the list of arguments below for each type of step.  Instance type and count, outputs and role
are not in it, so another machine is still a hit; nor is what lies *behind* an S3 address.
"""

import json
import re
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from simlib.parameters import Flag, config

KEYS: dict[str, tuple[str, ...]] = {
    "Processing": ("AppSpecification", "Environment", "ProcessingInputs"),
    "Training": (
        "AlgorithmSpecification", "CheckpointConfig", "DebugHookConfig", "DebugRuleConfigurations",
        "Environment", "HyperParameters", "InputDataConfig",
    ),
    "Tuning": ("HyperParameterTuningJobConfig", "TrainingJobDefinition", "TrainingJobDefinitions"),
    "AutoML": ("AutoMLJobConfig", "AutoMLJobObjective", "InputDataConfig", "ProblemType"),
    "Transform": ("DataProcessing", "Environment", "ModelName", "TransformInput"),
    "ClarifyCheck": (
        "ClarifyCheckConfig", "CheckJobConfig", "SkipCheck", "RegisterNewBaseline", "ModelPackageGroupName",
        "SuppliedBaselineConstraints",
    ),
    "QualityCheck": (
        "QualityCheckConfig", "CheckJobConfig", "SkipCheck", "RegisterNewBaseline", "ModelPackageGroupName",
        "SuppliedBaselineConstraints", "SuppliedBaselineStatistics",
    ),
    "EMR": ("ClusterId", "StepConfig"),
}  # fmt: skip
"""The arguments in the key of each type of SageMaker step; a type that is not here is never cached there."""

EVERYTHING = ("Task", "Job")
"""Types whose key is all of their arguments: KFP's tasks (component, image, command, arguments) and Azure's jobs."""

_UNITS = {"Y": 365 * 86400, "W": 7 * 86400, "D": 86400, "H": 3600, "S": 1}


def window_s(text: str) -> float:
    """Seconds of a duration as definitions write it: "P30D", "PT1H", and also "30d" and "T12H", as the SDK does.

    M is months before the T and minutes after it, as in ISO 8601; years have 365 and months 30 days.

    >>> window_s("P30D") == window_s("30d") == window_s("p30d"), window_s("T16m"), window_s("P1DT2H") / 3600
    (True, 960.0, 26.0)
    """
    shape = re.fullmatch(r"P?(?P<days>(?:[\d.]+[YMWD])*)(?P<clock>(?:T?(?:[\d.]+[HMS])+)?)", text.strip().upper())
    if not shape or not re.search(r"\d", text):
        raise ValueError(f'expire_after={text!r} is not a duration; write it like "P30D" or "PT1H".')
    seconds = 0.0
    for part, month_s in ((shape["days"], 30 * 86400), (shape["clock"], 60)):
        for number, unit in re.findall(r"([\d.]+)([YMWDHS])", part):
            seconds += float(number) * (month_s if unit == "M" else _UNITS[unit])
    return seconds


@config
class CacheConfig:
    """Reuse an earlier run of the same step; `expire_after` is how old it may be, like "P30D" (None: any age)."""

    enabled: Flag = True
    expire_after: str | None = None

    def __post_init__(self) -> None:
        if self.expire_after is not None:
            window_s(self.expire_after)

    def allows(self, age_s: float) -> bool:
        """Whether a run that ended so long ago may be reused."""
        return self.enabled and (self.expire_after is None or age_s <= window_s(self.expire_after))


@dataclass(frozen=True)
class Earlier:
    """A successful earlier run of a step: when it ended, and what it made."""

    ended: datetime
    execution: str
    made: Any
    arguments: Any


@dataclass
class StepCache:
    """What earlier executions made, by pipeline, step and key.  Every simulation has one; one may be handed on."""

    runs: dict[tuple[str, str, str], list[Earlier]] = field(default_factory=dict)
    executions: dict[str, int] = field(default_factory=dict)

    def number(self, pipeline: str) -> int:
        """The number of the next execution of *pipeline*: 1, 2, …"""
        self.executions[pipeline] = self.executions.get(pipeline, 0) + 1
        return self.executions[pipeline]

    def find(self, key: tuple[str, str, str], settings: CacheConfig, now: datetime) -> Earlier | None:
        """The newest run under *key* that is inside the window."""
        for earlier in reversed(self.runs.get(key, [])):
            age_s = (now - earlier.ended).total_seconds()
            if age_s >= 0:
                return earlier if settings.allows(age_s) else None
        return None

    def keep(self, key: tuple[str, str, str], earlier: Earlier) -> None:
        """A step succeeded."""
        self.runs.setdefault(key, []).append(earlier)


_OF: weakref.WeakKeyDictionary[Any, StepCache] = weakref.WeakKeyDictionary()


def cache_of(sim: Any) -> StepCache:
    """The cache that belongs to this simulation."""
    return _OF.setdefault(sim, StepCache())


def key_of(kind: str, arguments: Mapping[str, Any]) -> str | None:
    """The text two runs must share to be the same, or None if steps of this type are never cached."""
    if kind in EVERYTHING:
        return json.dumps(arguments, sort_keys=True, default=repr)
    if kind not in KEYS:
        return None
    return json.dumps({name: arguments.get(name) for name in KEYS[kind]}, sort_keys=True, default=repr)
