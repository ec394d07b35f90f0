"""Three platforms in one vocabulary: what they call things, what they offer, and what they refuse.

`fields` is the table of names; `validate` holds a deployment against its platform's limits; `features`, `matrix`,
`differences` and `since_the_slides` are what the platforms offer, with the source, date and mark of every line;
`read_deployment` reads the files of all three as configs that simulate.

>>> from simlib import platforms
>>> platforms.fields("memory_mb")["sagemaker"].item()
'ProductionVariants[].ServerlessConfig.MemorySizeInMB'
"""

from simlib.platforms.automl import Search, automl, automl_usd
from simlib.platforms.chips import training_cost
from simlib.platforms.choice import FACTORS, Company, Decision, decide
from simlib.platforms.comparison import Comparison, compare
from simlib.platforms.descriptors.read import Descriptor, read_deployment
from simlib.platforms.designer import board, compose
from simlib.platforms.features import differences, features, matrix, services, since_the_slides
from simlib.platforms.fields import fields
from simlib.platforms.limits import Finding, validate
from simlib.platforms.nights import compare_batch
from simlib.platforms.notebooks import notebook_month
from simlib.platforms.profiles import Profile, choose_if, profiles
from simlib.platforms.quota import instances_needed, quota_cores
from simlib.platforms.record import Record
from simlib.platforms.release import release
from simlib.platforms.stack import stack, tools
from simlib.platforms.vectors import VectorIndex, vector_search_usd
from simlib.platforms.warehouse import Warehouse
from simlib.platforms.written import effort, write_deployment

__all__ = [
    "FACTORS",
    "Company",
    "Comparison",
    "Decision",
    "Descriptor",
    "Finding",
    "Profile",
    "Record",
    "Search",
    "VectorIndex",
    "Warehouse",
    "automl",
    "automl_usd",
    "board",
    "choose_if",
    "compare",
    "compare_batch",
    "compose",
    "decide",
    "differences",
    "effort",
    "features",
    "fields",
    "instances_needed",
    "matrix",
    "notebook_month",
    "profiles",
    "quota_cores",
    "read_deployment",
    "release",
    "services",
    "since_the_slides",
    "stack",
    "tools",
    "training_cost",
    "validate",
    "vector_search_usd",
    "write_deployment",
]
