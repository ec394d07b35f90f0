"""Three platforms in one vocabulary: what they call things, what they offer, and what they refuse.

`fields` is the table of names; `validate` holds a deployment against its platform's limits; `features`, `matrix`,
`differences` and `since_the_slides` are what the platforms offer, with the source, date and mark of every line;
`read_deployment` reads the files of all three as configs that simulate.

>>> from simlib import platforms
>>> platforms.fields("memory_mb")["sagemaker"].item()
'ProductionVariants[].ServerlessConfig.MemorySizeInMB'
"""

from simlib.platforms.descriptors.read import Descriptor, read_deployment
from simlib.platforms.features import differences, features, matrix, since_the_slides
from simlib.platforms.fields import fields
from simlib.platforms.limits import Finding, validate
from simlib.platforms.quota import instances_needed, quota_cores

__all__ = [
    "Descriptor",
    "Finding",
    "differences",
    "features",
    "fields",
    "instances_needed",
    "matrix",
    "quota_cores",
    "read_deployment",
    "since_the_slides",
    "validate",
]
