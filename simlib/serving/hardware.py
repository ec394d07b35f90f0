"""How fast the hardware is: the named assumption behind a deployment's `speed=`.

    >>> speed_of(memory_mb=4096) / speed_of(memory_mb=2048)
    2.0
    >>> speed_of(instance_type="ml.m5.xlarge"), speed_of(instance_type="ml.m5.xlarge", threads=1)
    (4.0, 1.0)

`data/instance_types.csv` lists SageMaker's instance types, where each may be used (V: the API model of botocore
1.43.11) and its vCPUs (D: 4 for each "xlarge" of its size, as EC2 names them).
"""

import csv
import functools
from importlib import resources
from typing import NamedTuple

from simlib.parameters import ParameterError, Positive, Text, checked, nearest

MB_PER_VCPU = 1769.0
"""Memory that buys one vCPU: AWS Lambda's (developer guide, "Configure Lambda function memory").

SageMaker says only that the vCPUs of a serverless endpoint are proportional to its memory; AWS itself sets 3 to 5 GB
beside an ml.c5.large (2 vCPUs) and 6 GB beside an ml.c5.xlarge (4), which this agrees with.
"""


class InstanceType(NamedTuple):
    """A machine of SageMaker: its vCPUs, and where it may be used."""

    name: str
    vcpus: int
    uses: frozenset[str]  # of "hosting", "batch_transform", "processing", "training"


@functools.cache
def instance_types() -> dict[str, InstanceType]:
    """All instance types by name."""
    text = resources.files("simlib.serving").joinpath("data/instance_types.csv").read_text(encoding="utf-8")
    found = {}
    for row in csv.DictReader(text.splitlines()):
        name, vcpus = row.pop("instance_type"), int(row.pop("vcpus"))
        found[name] = InstanceType(name, vcpus, frozenset(use for use, allowed in row.items() if allowed == "yes"))
    return found


@checked
def speed_of(
    *,
    memory_mb: Positive | None = None,
    instance_type: Text | None = None,
    threads: Positive | None = None,
    mb_per_vcpu: Positive = MB_PER_VCPU,
) -> float:
    """How many times as fast as one vCPU a serverless container of *memory_mb*, or an instance, works on one request.

    Assumption: work is spread over all vCPUs, or as many as the model has *threads* for, without loss, and each is as
    fast as any other.  So the speed is proportional to the memory, up to *threads*.  A service law measured on one
    machine is brought to another by the ratio of their speeds:

        speed = speed_of(memory_mb=2048) / speed_of(instance_type="ml.m5.large")

    Parameters
    ----------
    memory_mb : float
        Memory of the container [MB]; give this or *instance_type*.
    instance_type : str
        For instance "ml.m5.large"; on an instance whose workers share its vCPUs, *threads* is those of one worker.
    threads : float or None
        vCPUs one request can use; None: all there are.
    mb_per_vcpu : float
        Memory that buys one vCPU [MB].  Assumption: AWS Lambda's.

    Raises
    ------
    ParameterError
        If not exactly one of the two is given, or the type is unknown.
    """
    if (memory_mb is None) == (instance_type is None):
        raise ParameterError("speed_of: give either memory_mb= or instance_type=, and not both.")
    if memory_mb is not None:
        vcpus = memory_mb / mb_per_vcpu
    elif instance_type in instance_types():
        vcpus = float(instance_types()[str(instance_type)].vcpus)
    else:
        near = nearest(str(instance_type), instance_types())
        known = near if near.startswith("did you mean") else 'one is "ml.m5.large".'  # not all 285 of them
        raise ParameterError(f"speed_of: there is no instance_type {instance_type!r}; {known}")
    return vcpus if threads is None else min(vcpus, threads)
