"""Whose machine an instance type is, and what an hour of it is on the bill: SageMaker, Vertex AI or Azure ML.

The name says it: "ml.m5.large" is SageMaker's, "Standard_DS3_v2" is Azure's, and "n1-standard-4" is a Compute Engine
machine of Vertex AI.  Vertex attaches accelerators to some machines and prices them apart:

    >>> machine("n1-standard-4+2xNVIDIA_TESLA_T4").parts
    (('n1-standard-4', 1, 'node-hour'), ('NVIDIA_TESLA_T4', 2, 'gpu-hour'))
    >>> machine("Standard_DS3_v2").platform, region_of("azureml", "us-east-1")
    ('azureml', 'eastus')
"""

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from simlib.parameters import checked
from simlib.pricing.meters import Meter, billed_seconds

Owner = Literal["aws", "vertex", "azureml", "gcp", "azure"]
Use = Literal["hosting", "batch_transform"]

_COMPUTE_ENGINE = re.compile(r"(?P<node>[a-z]\w*-[\w-]+)(\+(?P<count>[1-9]\d*)x(?P<gpu>\w+))?")
_COUNTERPARTS = (
    {"aws": "us-east-1", "vertex": "us-central1", "gcp": "us-central1", "azureml": "eastus", "azure": "eastus"},
    {
        "aws": "eu-west-1",
        "vertex": "europe-west4",
        "gcp": "europe-west4",
        "azureml": "westeurope",
        "azure": "westeurope",
    },
)
"""Regions that stand for one another where a machine of another cloud than the region's is asked for.

Assumption: the ones with the most prices in the catalog on the same side of the Atlantic.
"""


class Machine(NamedTuple):
    """An instance type: who lets it, as which service, and the (sku, how many, unit) an hour of it is billed as."""

    platform: Owner
    service: str
    parts: tuple[tuple[str, int, str], ...]

    def billed_hours(self, lives_s: ArrayLike) -> float:
        """Hours on the bill of machines that lived so long [s]: each life rounded up to the service's step."""
        return billed_seconds(np.asarray(lives_s), self.service, platform=self.platform) / 3600

    def meters(self, hours: float, *, item: str, region: str) -> Iterator[Meter]:
        """What *hours* of this machine are on the bill, in the platform's region that *region* stands for."""
        place = region_of(self.platform, region)
        for k, (sku, count, unit) in enumerate(self.parts):
            text = item if k == 0 else f"{item}: {count} {sku} each"
            yield Meter(self.service, sku, hours * count, unit, text, platform=self.platform, region=place)

    def assumptions(self) -> Iterator[tuple[str, object, str, str]]:
        """(parameter, value, mark, source) of what the bill takes for granted on this platform."""
        if self.platform == "aws":
            return
        counterparts = ", ".join(f"{pair['aws']} = {pair[self.platform]}" for pair in _COUNTERPARTS)
        yield "region of the bill", counterparts, "U", "a region of another cloud stands for the one named here"
        yield "data in and out, disk of a node", "not on the bill", "U", "no price of either is in the catalog"
        if self.platform == "vertex":
            yield "billed in steps of", "30 s", "U", "quoted, but found in no stored text of the vendor"


@checked
def machine(instance_type: str, use: Use = "hosting") -> Machine:
    """The machine of that name; that it exists and has a price is for the catalog to say."""
    if instance_type.lower().startswith("standard_"):
        return Machine("azureml", "compute", ((instance_type, 1, "vm-hour"),))
    found = _COMPUTE_ENGINE.fullmatch(instance_type)
    if found is None:
        return Machine("aws", f"sagemaker_{use}", ((instance_type, 1, "instance-hour"),))
    node = (found["node"], 1, "node-hour")
    if found["gpu"] is None:
        return Machine("vertex", "online_prediction", (node,))
    return Machine("vertex", "online_prediction", (node, (found["gpu"], int(found["count"]), "gpu-hour")))


@checked
def region_of(platform: Owner, region: str) -> str:
    """The platform's region that *region* stands for: its counterpart where it is another cloud's, else itself."""
    for pair in _COUNTERPARTS:
        if region in pair.values():
            return pair[platform]
    return region


ContainerService = Literal["cloud_run", "container_apps"]
_OWNERS: dict[ContainerService, Owner] = {"cloud_run": "gcp", "container_apps": "azure"}


@checked
def container_seconds(
    service: ContainerService, *, vcpus: float, memory_mb: float, seconds: float, requests: float, region: str
) -> Iterator[Meter]:
    """Containers that worked for *seconds* on Cloud Run or Container Apps: their vCPUs, their memory, their requests.

    Memory counts in GiB.  Requests have a price on Cloud Run; for Container Apps the catalog has none.
    """
    owner, where = _OWNERS[service], service.replace("_", " ").title()
    place = region_of(owner, region)
    used = [
        ("vcpu-active", "vcpu-second", vcpus * seconds),
        ("memory-active", "GiB-second", memory_mb / 1024 * seconds),
    ]
    if service == "cloud_run":
        used.append(("request", "request", requests))
    for sku, unit, quantity in used:
        yield Meter(service, sku, quantity, unit, f"{where} {sku}", platform=owner, region=place)
