"""How often each detector cries for nothing, and how late it is: the table of docs/guide/monitoring.md.

python benchmarks/detectors.py            a few minutes; most of it is KSWIN
"""

from collections.abc import Callable

import numpy as np
import pandas as pd

from simlib import monitoring

QUICK = ("ADWIN", "PageHinkley", "DDM", "EDDM", "Every")
CHANGES = {  # error rate before and after row 2,000, and over how many rows it changes
    ".2 → .3": (0.2, 0.3, 1),
    ".2 → .5": (0.2, 0.5, 1),
    ".05 → .10": (0.05, 0.10, 1),
    ".2 → .5 over 1,000": (0.2, 0.5, 1000),
    ".3 → .1": (0.3, 0.1, 1),
}
ELSEWHERE = {  # river 0.23: P(any alarm in 5,000 stable rows); median delays of the changes above
    "ADWIN": ("0", "511", "79", "879", "559", "175"),
    "PageHinkley": (".06", "474", "150", "1406", "556", "214"),
    "DDM": (".26", "506", "156", "405", "633", "never"),
    "EDDM": (".96", "76", "42", "150", "135", "–"),
    "Every": ("1", "199", "199", "199", "199", "199"),
    "KSWIN": ("–", "–", "–", "–", "–", "–"),
}


def errors(before: float, after: float, over: int, rows: int) -> Callable[[np.random.Generator], np.ndarray]:
    """Wrong answers as 1, whose rate changes from row 2,000 on."""

    def draw(rng: np.random.Generator) -> np.ndarray:
        come = np.clip((np.arange(rows) - 1999) / over, 0, 1)
        return (rng.random(rows) < before + (after - before) * come).astype(float)

    return draw


def measured(detectors: tuple[str, ...], stable: int, changed: int, rows: int) -> pd.DataFrame:
    """The columns of the table for some detectors."""
    quiet = monitoring.judge(errors(0.2, 0.2, 1, rows), detectors=detectors, runs=stable, seed=1)
    low, high = quiet["false_alarm_low"], quiet["false_alarm_high"]
    columns = {"stable .2": [_shown(*each) for each in zip(quiet["false_alarm"], low, high, strict=True)]}
    for name, change in CHANGES.items():
        found = monitoring.judge(errors(*change, rows), change_at=2000, detectors=detectors, runs=changed, seed=2)
        ends = zip(found["delay"], found["delay_low"], found["delay_high"], found["missed"], strict=True)
        columns[name] = [_delay(*each) for each in ends]
    return pd.DataFrame(columns, index=quiet.index)


def _shown(value: float, low: float, high: float) -> str:
    return f"{value:.3f} ({low:.3f}–{high:.3f})"


def _delay(median: float, low: float, high: float, missed: float) -> str:
    if np.isnan(median):
        return "never"
    interval = "" if np.isnan(low) else f" ({low:.0f}–{high:.0f})"
    return f"{median:.0f}{interval}" + (f", {100 * missed:.0f} % missed" if missed else "")


def main() -> None:
    """Print the table: ours, and in square brackets what was measured elsewhere."""
    print("| detector | stable .2 | " + " | ".join(CHANGES) + " |\n" + "|---" * (len(CHANGES) + 2) + "|")
    for detectors, stable, changed, rows in ((QUICK, 1000, 200, 5000), (("KSWIN",), 50, 15, 3000)):
        for name, row in measured(detectors, stable, changed, rows).iterrows():
            both = (f"{ours} [{theirs}]" for ours, theirs in zip(row, ELSEWHERE[str(name)], strict=True))
            print(f"| {name} | " + " | ".join(both) + " |", flush=True)


if __name__ == "__main__":
    main()
