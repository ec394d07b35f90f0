"""Detectors of change in a stream of numbers, river's, through one interface; and how to judge a detector.

    >>> import numpy as np
    >>> from simlib import monitoring
    >>> rng = np.random.default_rng(1)
    >>> wrong = np.r_[rng.random(2000) < 0.2, rng.random(2000) < 0.4].astype(float)
    >>> monitoring.detect(wrong, "ADWIN").tolist()
    [2111]

A delay says nothing without the rate of false alarms beside it: who alarms every 200 rows is never late.  So
`judge` reports both, with intervals, and "Every" is among the detectors.

Where their code has a trap, river 0.26's is kept and told: ADWIN and Page–Hinkley also alarm when errors become fewer;
DDM and EDDM take nothing but 0 and 1, and EDDM alarms in nearly every stable stream; KSWIN is not for 0 and 1.
"""

import inspect
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import SkipValidation

from simlib.parameters import Count, Flag, ParameterError, Text, Whole, checked, config, nearest

DetectorName = Literal["ADWIN", "DDM", "EDDM", "PageHinkley", "KSWIN", "Every"]
DETECTORS: tuple[DetectorName, ...] = ("ADWIN", "DDM", "EDDM", "PageHinkley", "KSWIN", "Every")
OF_ERRORS = ("DDM", "EDDM")
EVERY = 200


@config
class Detector:
    """A detector and its settings.

    Parameters
    ----------
    name : "ADWIN" | "DDM" | "EDDM" | "PageHinkley" | "KSWIN" | "Every"
        "Every" alarms every `n` (200) values whatever they are.
    settings : dict
        river's own parameters of that detector; what is left out has river's default.
    """

    name: DetectorName
    settings: dict[Text, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        known = ["n"] if self.name == "Every" else [p for p in _parameters(self.name) if p != "seed"]
        for setting in self.settings:
            if setting not in known:
                raise ValueError(f"settings: {self.name} has no {setting!r}; {nearest(setting, known)}")

    @checked
    def alarms(self, values: SkipValidation[Any], *, seed: Whole = 0, first: Flag = False) -> np.ndarray:
        """The positions in *values* at which it alarms, in order; with *first*, no more than one.

        Parameters
        ----------
        values : sequence of float
            Errors (0 right, 1 wrong) or any other numbers, in order of time.
        seed : int
            Of KSWIN's random choice.
        """
        numbers = _numbers(values, self.name)
        return np.fromiter(self._ring(numbers.tolist(), seed, first), dtype=np.int64)

    def _ring(self, values: list[float], seed: int, first: bool) -> Iterator[int]:
        if self.name == "Every":
            n = int(self.settings.get("n", EVERY))
            yield from range(n - 1, len(values), n) if not first else range(n - 1, min(n, len(values)))
            return
        detector = _class(self.name)(**self.settings, **({"seed": seed} if self.name == "KSWIN" else {}))
        for k, value in enumerate(values):
            detector.update(value)
            if detector.drift_detected:
                yield k
                if first:
                    return


@checked
def detect(
    values: SkipValidation[Any],
    detector: DetectorName = "ADWIN",
    *,
    settings: dict[Text, Any] | None = None,
    seed: Whole = 0,
) -> np.ndarray:
    """The positions in *values* at which *detector* alarms; `Detector` for use more than once."""
    return Detector(detector, settings or {}).alarms(values, seed=seed)


@checked
def judge(
    draw: SkipValidation[Callable[[np.random.Generator], Any]],
    *,
    change_at: Whole | None = None,
    detectors: Sequence[Detector | DetectorName] = DETECTORS,
    runs: Count = 200,
    seed: Whole = 0,
) -> pd.DataFrame:
    """Each detector on the same *runs* streams: how often it cries without a change, how late it is, what it misses.

    Parameters
    ----------
    draw : function of a random generator
        Makes one stream, shape (n,).
    change_at : int or None
        Where it changes; None: never, and there are false alarms only.

    Returns
    -------
    DataFrame
        One row a detector: false_alarm (share of streams with an alarm before the change), delay (median of the values
        from the change to the first alarm after it, among those with one), missed (share of streams without one); each
        with the ends of a 95 % interval (`_low`, `_high`): Wilson's of the shares, of order statistics of the median.
    """
    both = [each if isinstance(each, Detector) else Detector(each) for each in detectors]
    firsts: dict[str, list[tuple[bool, float]]] = {_called(each): [] for each in both}
    for run in range(runs):
        values = np.asarray(draw(np.random.default_rng([seed, run])), dtype=float)
        for each in both:
            alarms = each.alarms(values, seed=run, first=change_at is None)
            after = alarms[alarms >= (len(values) if change_at is None else change_at)]
            delay = float(after[0] - (change_at or 0)) if len(after) else math.nan
            firsts[_called(each)].append((len(alarms) > len(after), delay))
    rows = {name: _judged(found, change_at is not None) for name, found in firsts.items()}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("detector")


def _judged(found: list[tuple[bool, float]], changes: bool) -> dict[str, float]:
    n = len(found)
    early = sum(cried for cried, _ in found)
    judged: dict[str, float] = {"runs": n, "false_alarm": early / n}
    judged["false_alarm_low"], judged["false_alarm_high"] = _wilson(early, n)
    if not changes:
        return judged
    delays = np.sort([delay for _, delay in found if not math.isnan(delay)])
    judged |= dict(zip(("delay", "delay_low", "delay_high"), _median(delays), strict=True))
    missed = n - len(delays)
    judged["missed"] = missed / n
    judged["missed_low"], judged["missed_high"] = _wilson(missed, n)
    return judged


def _wilson(events: int, n: int) -> tuple[float, float]:
    from scipy.stats import binomtest

    low, high = binomtest(events, n).proportion_ci(method="wilson")
    return float(low), float(high)


def _median(delays: np.ndarray) -> tuple[float, float, float]:
    """The median and an interval of at least 95 % by order statistics; too few values have none."""
    n = len(delays)
    if not n:
        return math.nan, math.nan, math.nan
    from scipy.stats import binom

    k = int(binom.ppf(0.025, n, 0.5))
    low, high = (float(delays[k - 1]), float(delays[n - k])) if k >= 1 else (math.nan, math.nan)
    return float(np.median(delays)), low, high


def _called(detector: Detector) -> str:
    settings = ", ".join(f"{name}={value}" for name, value in detector.settings.items())
    return f"{detector.name}({settings})" if settings else detector.name


def _class(name: str) -> Any:
    from river import drift

    return getattr(drift.binary if name in OF_ERRORS else drift, name)


def _parameters(name: str) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(_class(name)).parameters


def _numbers(values: Any, name: str) -> np.ndarray:
    try:
        numbers = np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        numbers = np.array([math.nan])
    if numbers.ndim != 1 or not np.isfinite(numbers).all():
        raise ParameterError("alarms: values should be finite numbers, one after the other.")
    if name in OF_ERRORS and not np.isin(numbers, (0.0, 1.0)).all():
        raise ParameterError(f"alarms: {name} counts errors: values should be 0 (right) or 1 (wrong).")
    return numbers
