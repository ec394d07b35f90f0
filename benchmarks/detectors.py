"""How often each detector cries for nothing, and how late it is: the table of docs/guide/monitoring.md.

python benchmarks/detectors.py            a few minutes; most of it is KSWIN
"""

from collections.abc import Callable

import numpy as np
import pandas as pd

from simlib import monitoring

QUICK = ("ADWIN", "PageHinkley", "DDM", "EDDM", "Every")
CHANGES = {".2 → .3": (0.2, 0.3), ".2 → .5": (0.2, 0.5), ".05 → .10": (0.05, 0.10)}
ELSEWHERE = {  # river 0.23, 200 streams: P(any alarm in 5,000 stable rows), medians after .2 → .3 and .2 → .5
    "ADWIN": ("0", "511", "79"),
    "PageHinkley": (".06", "474", "150"),
    "DDM": (".26", "506", "156"),
    "EDDM": (".96", "42–76", "42"),
    "Every": ("1", "199", "199"),
}


def errors(before: float, after: float, rows: int) -> Callable[[np.random.Generator], np.ndarray]:
    """Wrong answers as 1, whose rate changes at row 2,000."""

    def draw(rng: np.random.Generator) -> np.ndarray:
        return (rng.random(rows) < np.where(np.arange(rows) < 2000, before, after)).astype(float)

    return draw


def measured(detectors: tuple[str, ...], stable: int, changed: int, rows: int) -> pd.DataFrame:
    """The columns of the table for some detectors."""
    quiet = monitoring.judge(errors(0.2, 0.2, rows), detectors=detectors, runs=stable, seed=1)
    low, high = quiet["false_alarm_low"], quiet["false_alarm_high"]
    columns = {"false alarm": [_shown(*each) for each in zip(quiet["false_alarm"], low, high, strict=True)]}
    for name, (before, after) in CHANGES.items():
        found = monitoring.judge(errors(before, after, rows), change_at=2000, detectors=detectors, runs=changed, seed=2)
        ends = zip(found["delay"], found["delay_low"], found["delay_high"], found["missed"], strict=True)
        columns[name] = [f"{d:.0f} ({a:.0f}–{b:.0f}), missed {m:.2f}" for d, a, b, m in ends]
    return pd.DataFrame(columns, index=quiet.index)


def _shown(value: float, low: float, high: float) -> str:
    return f"{value:.3f} ({low:.3f}–{high:.3f})"


def main() -> None:
    """Print the table."""
    table = pd.concat([measured(QUICK, 1000, 200, 5000), measured(("KSWIN",), 50, 20, 3000)])
    elsewhere = [ELSEWHERE.get(str(name), ("–", "–", "–")) for name in table.index]
    table["elsewhere: false alarm"] = [each[0] for each in elsewhere]
    table["elsewhere: .2 → .3, .2 → .5"] = [f"{each[1]}, {each[2]}" for each in elsewhere]
    print("| detector | " + " | ".join(table.columns) + " |")
    print("|---" * (table.shape[1] + 1) + "|")
    for name, row in table.iterrows():
        print(f"| {name} | " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
