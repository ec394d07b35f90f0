"""simlib: the last mile of machine learning on one simulated clock.

>>> import simlib as sl
>>> from simlib import serving, workload
>>> model = sl.ModelProfile("translator", service=sl.lognormal(mean=0.080, cv=0.4))
>>> run = sl.simulate(serving.RealTime(model, initial_instance_count=3), workload.poisson(rate=20), hours=1, seed=7)
>>> run
<Run 1 h: 71,476 answers, p99 0.4345 s, 0.3645 dollars; every request kept>

What is needed only sometimes is imported when it is first used, so `import simlib` is quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from simlib.model import (
    Law,
    ModelProfile,
    constant,
    empirical,
    exponential,
    gamma,
    lognormal,
    mixture,
    per_unit,
    uniform,
)
from simlib.parameters import ParameterError, from_json, to_json
from simlib.simulation import Simulation, simulate

if TYPE_CHECKING:
    from simlib import (
        abtest,
        advisor,
        artifacts,
        experiments,
        fairness,
        lastmile,
        learning,
        mlops,
        monitoring,
        platforms,
        plots,
        pricing,
        results,
        scenarios,
        sequential,
        serving,
        theory,
        widgets,
        workload,
    )
    from simlib.advisor import advise
    from simlib.learning import predict, predictions, reveal
    from simlib.playback import replay
    from simlib.results import Run

__version__ = "0.1.0"

_ROOMS = (
    "abtest",
    "advisor",
    "artifacts",
    "experiments",
    "fairness",
    "lastmile",
    "learning",
    "mlops",
    "monitoring",
    "platforms",
    "plots",
    "pricing",
    "results",
    "scenarios",
    "sequential",
    "serving",
    "theory",
    "widgets",
    "workload",
)
_LATER = {
    "advise": "simlib.advisor",
    "Run": "simlib.results",
    "predict": "simlib.learning",
    "predictions": "simlib.learning",
    "replay": "simlib.playback",
    "reveal": "simlib.learning",
}

__all__ = [
    "Law",
    "ModelProfile",
    "ParameterError",
    "Run",
    "Simulation",
    "abtest",
    "advise",
    "advisor",
    "artifacts",
    "constant",
    "empirical",
    "experiments",
    "exponential",
    "fairness",
    "from_json",
    "gamma",
    "lastmile",
    "learning",
    "lognormal",
    "mixture",
    "mlops",
    "monitoring",
    "per_unit",
    "platforms",
    "plots",
    "predict",
    "predictions",
    "pricing",
    "replay",
    "results",
    "reveal",
    "scenarios",
    "sequential",
    "serving",
    "simulate",
    "theory",
    "to_json",
    "uniform",
    "widgets",
    "workload",
]


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return import_module(f"simlib.{name}")
    if name in _LATER:
        return getattr(import_module(_LATER[name]), name)
    if name.startswith("_"):  # what Python and notebooks look for by themselves
        raise AttributeError(f"simlib has no {name!r}")
    from simlib.parameters import nearest

    raise AttributeError(f"simlib has no {name!r}; {nearest(name, __all__)}")


def __dir__() -> list[str]:
    return __all__
