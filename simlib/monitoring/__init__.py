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
from simlib.monitoring.detectors import Detector, detect, judge
from simlib.monitoring.drift import BiasDrift, ConceptDrift, DataDrift
from simlib.monitoring.features import corrected, drifted_features
from simlib.monitoring.ground_truth import merge, save_ground_truth
from simlib.monitoring.groups import AttributionBaseline, BiasBaseline
from simlib.monitoring.monitor import Alarm, ModelMonitor
from simlib.monitoring.policies import (
    Calendar,
    Costs,
    Never,
    OnDataAlarm,
    OnEstimatedLoss,
    OnMeasuredLoss,
    alarm_curve,
    compare_policies,
    logistic,
)
from simlib.monitoring.quality import QualityBaseline
from simlib.monitoring.side_by_side import side_by_side
from simlib.monitoring.sources import FashionShop, Fraud, LoanBook, Table
from simlib.monitoring.streams import Stream
from simlib.monitoring.unlabelled import QualityEstimator
from simlib.serving.capture import Capture

__all__ = [
    "Alarm",
    "AttributionBaseline",
    "Baseline",
    "BiasBaseline",
    "BiasDrift",
    "Calendar",
    "Capture",
    "ConceptDrift",
    "Costs",
    "DataDrift",
    "Detector",
    "FashionShop",
    "Findings",
    "Fraud",
    "LoanBook",
    "ModelMonitor",
    "Never",
    "OnDataAlarm",
    "OnEstimatedLoss",
    "OnMeasuredLoss",
    "QualityBaseline",
    "QualityEstimator",
    "Rules",
    "Stream",
    "Table",
    "Violation",
    "alarm_curve",
    "check",
    "compare_policies",
    "corrected",
    "detect",
    "distances",
    "drifted_features",
    "judge",
    "logistic",
    "merge",
    "save_ground_truth",
    "side_by_side",
]
