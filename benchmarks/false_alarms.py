"""What each rule of a monitor does when nothing happens, and how much it sees when something does.

    python benchmarks/false_alarms.py         a few minutes

Windows of the loan book without drift, 1,000 of them; of attributions 200.  Then the share of windows of N(shift, 1)
with an alarm, against a baseline of 10,000 rows of N(0, 1), 300 windows each.  95 % intervals (Wilson) in brackets.
"""

from collections.abc import Callable, Iterable

import numpy as np
import pandas as pd
from scipy.stats import binomtest
from sklearn.linear_model import LogisticRegression

from simlib import monitoring
from simlib.monitoring import LoanBook, Stream, distances

ROWS = 1000
NUMBERS = ["income", "debt_ratio", "years_employed"]


def share(alarms: Iterable[bool]) -> str:
    """So many, with an interval."""
    found = list(alarms)
    low, high = binomtest(sum(found), len(found)).proportion_ci(method="wilson")
    return f"{np.mean(found):.3f} ({low:.3f}–{high:.3f})"


def monitors() -> dict[str, str]:
    """The false alarms of every monitor, in windows of 1,000 rows."""
    past = Stream(LoanBook()).sample(8000, seed=1)
    inputs = list(LoanBook().inputs)
    model = monitoring.logistic(past[inputs], past["defaulted"])
    stream = Stream(LoanBook(), model=model)
    history = stream.sample(10_000, seed=2)
    linear = LogisticRegression(max_iter=3000).fit(past[NUMBERS], past["defaulted"])
    labels = {"label": "defaulted", "predicted": "prediction"}
    group = {"facet": "gender", "disadvantaged": ["woman"], **labels}
    estimator = monitoring.QualityEstimator.fit(history["defaulted"], history["score"])
    promised = (history["prediction"] == history["defaulted"]).mean()
    data = {
        method: monitoring.Baseline.fit(history[inputs], rules=monitoring.Rules(comparison_method=method))
        for method in ("Robust", "Simple")
    }
    quality = {margin: monitoring.QualityBaseline.fit(history, **labels, margin=margin) for margin in (0.0, 0.05)}
    bias = {rule: monitoring.BiasBaseline.fit(history, **group, rule=rule) for rule in ("documented", "interval")}
    reasons = monitoring.AttributionBaseline.fit(linear, history)
    rules: dict[str, Callable[[pd.DataFrame], bool]] = {
        "data quality, Robust": lambda rows: bool(data["Robust"].compare(rows[inputs])),
        "data quality, Simple": lambda rows: bool(data["Simple"].compare(rows[inputs])),
        "KS and χ² at 5 %, each feature": lambda rows: any(_tests(history, rows, inputs, "none")),
        "KS and χ² at 5 %, Benjamini–Hochberg": lambda rows: any(_tests(history, rows, inputs, "benjamini-hochberg")),
        "model quality, no margin (as suggested)": lambda rows: bool(quality[0.0].compare(rows)),
        "model quality, margin 0.05": lambda rows: bool(quality[0.05].compare(rows)),
        "bias, documented": lambda rows: bool(bias["documented"].compare(rows)),
        "bias, interval": lambda rows: bool(bias["interval"].compare(rows)),
        "attributions, NDCG < 0.90": lambda rows: bool(reasons.compare(rows)),
        "estimated accuracy 0.03 below": lambda rows: estimator.estimate(rows["score"])["accuracy"] < promised - 0.03,
    }
    windows = [stream.sample(ROWS, seed=1000 + k) for k in range(1000)]
    return {
        name: share(rule(rows) for rows in windows[: 200 if "NDCG" in name else 1000]) for name, rule in rules.items()
    }


def _tests(then: pd.DataFrame, now: pd.DataFrame, inputs: list[str], method: str) -> Iterable[bool]:
    return monitoring.drifted_features(then[inputs], now[inputs], method=method)["drifted"]


def power() -> pd.DataFrame:
    """The share of windows with an alarm, by shift and rows."""
    base = np.random.default_rng(4).standard_normal(10_000)
    rules = {
        "Simple > .1": lambda x: distances.linf_simple(base, x) > 0.1,
        "Robust > .1": lambda x: distances.linf_robust(base, x) > 0.1,
        "KS p < .05": lambda x: distances.ks_pvalue(base, x) < 0.05,
        "PSI > .1": lambda x: distances.psi(base, x) > 0.1,
        "W/sd > .1": lambda x: distances.wasserstein(base, x) > 0.1,
        "JS distance > .1": lambda x: distances.js_distance(base, x) > 0.1,
    }
    rows = {}
    for shift, n in ((0, 30), (0, 100), (0, 1000), (0.1, 5000), (0.3, 300), (0.3, 5000)):
        windows = [
            np.random.default_rng([5, n, k]).standard_normal(n) + shift for k in range(1000 if not shift else 300)
        ]
        rows[f"{shift:g} sd, {n:,} rows"] = {name: share(rule(x) for x in windows) for name, rule in rules.items()}
    return pd.DataFrame.from_dict(rows, orient="index")


def main() -> None:
    """Print both tables."""
    print("| monitor | windows with an alarm, though nothing happens |\n|---|---|")
    for name, found in monitors().items():
        print(f"| {name} | {found} |", flush=True)
    table = power()
    print("\n| shift, window | " + " | ".join(table.columns) + " |\n" + "|---" * (table.shape[1] + 1) + "|")
    for name, row in table.iterrows():
        print(f"| {name} | " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
