"""How many instances Azure ML's own rules of thumb ask for, and how many cores of quota they take.

>>> instances_needed(rate=20, seconds=10, utilization=0.7)
286
>>> quota_cores("Standard_DS3_v2", 10)
48
"""

import math
import re

from simlib.parameters import Count, ParameterError, Positive, Text, checked, shortly

RESERVE = 0.2
"""Azure ML keeps a fifth more for upgrades: quota that has to be there, and costs nothing (how to manage quotas)."""

_SIZE = re.compile(r"standard_(?P<family>[a-z]+?)(?P<number>\d+)(?:-\d+)?(?P<more>[a-z]*)(?:_.*)?", re.IGNORECASE)
_DSV2 = {1: 1, 2: 2, 3: 4, 4: 8, 5: 16, 11: 2, 12: 4, 13: 8, 14: 16, 15: 20}
_WITHOUT_RESERVE = re.compile(r"standard_(nd\w*|nc\w*(a100|h100)\w*)", re.IGNORECASE)


@checked
def instances_needed(*, rate: Positive, seconds: Positive, utilization: Positive = 0.7, concurrency: Count = 1) -> int:
    """Instances for so many requests a second that take so long each [s], so that they are busy to *utilization*.

    ceil(rate * seconds / utilization / concurrency), the example of Azure's "How to manage quotas": 20 requests/s of
    10 s at 0.7 are 286.  The *concurrency* is `max_concurrent_requests_per_instance`.
    """
    return math.ceil(round(rate * seconds / utilization / concurrency, 9))


@checked
def quota_cores(size: Text, instances: Count) -> int:
    """Cores of quota that *instances* of a VM size take behind a managed online endpoint: ceil(1.2 * n) * cores.

    The reserve is quota only; no bill shows it.  Sizes with A100 or H100, and the ND series, need none.

    Raises
    ------
    ParameterError
        If the size's cores do not follow from its name.
    """
    reserve = 0.0 if _WITHOUT_RESERVE.fullmatch(size) else RESERVE
    return math.ceil(round((1 + reserve) * instances, 9)) * cores_of(size)


def cores_of(size: str) -> int:
    """The vCPUs of a VM size, by its name: the number in it, but for the DSv2 series."""
    found = _SIZE.fullmatch(size)
    if found is None:
        raise ParameterError(f"quota_cores: size={shortly(size)} should be a VM size such as 'Standard_DS3_v2'.")
    number, family = int(found["number"]), found["family"].lower()
    return _DSV2.get(number, number) if family in ("ds", "d") and size.lower().endswith("_v2") else number
