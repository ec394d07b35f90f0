"""Is the model still right today?  Data that drift on purpose, and everything that watches for it.

>>> from simlib import monitoring
>>> stream = monitoring.Stream(monitoring.LoanBook(), [monitoring.DataDrift("income", shift=0.8, at_day=7)])
>>> baseline = monitoring.Baseline.fit(stream.sample(10_000, seed=1)[list(stream.inputs)])
>>> found = monitoring.check(stream.sample(2_000, at_day=8, seed=2)[list(stream.inputs)], baseline)
>>> [(each.feature_name, each.constraint_check_type) for each in found.violations]
[('income', 'baseline_drift_check')]
"""

from simlib.monitoring import distances
from simlib.monitoring.baseline import Baseline, Rules
from simlib.monitoring.comparison import Findings, Violation, check
from simlib.monitoring.drift import BiasDrift, ConceptDrift, DataDrift
from simlib.monitoring.sources import FashionShop, Fraud, LoanBook, Table
from simlib.monitoring.streams import Stream

__all__ = [
    "Baseline",
    "BiasDrift",
    "ConceptDrift",
    "DataDrift",
    "FashionShop",
    "Findings",
    "Fraud",
    "LoanBook",
    "Rules",
    "Stream",
    "Table",
    "Violation",
    "check",
    "distances",
]
