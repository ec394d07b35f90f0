"""Cold-start probabilities measured on a public cloud, beside what simlib's defaults say (docs/validation.md).

    python benchmarks/cold_starts.py measured.csv [--service 1.97] [--cold-start 0.4]

The file has a row a measured arrival rate: `rate` [requests/s], `cold` (measured share of cold starts) and `requests`
(how many were sent).  Keep-alive, age limit and reuse are the library's defaults and are fitted to nothing here.
"""

import argparse
import sys
from functools import cache

import numpy as np
import pandas as pd

import simlib as sl
from simlib import serving, workload

COLUMNS = ["rate", "cold", "requests"]


@cache
def simulated(rate: float, *, service_s: float, cold_start_s: float, seed: int = 1, least: int = 400_000) -> float:
    """The share of cold starts at a Poisson *rate* [requests/s], from some so many requests, at least 2,000 hours."""
    model = sl.ModelProfile("measured function", service=sl.lognormal(service_s, 0.02), size_mb=1e-9)
    endpoint = serving.Serverless(model, cold_start=sl.lognormal(cold_start_s, 0.3), max_concurrency=1000)
    hours = min(max(least / rate / 3600, 2000.0), 87_000.0)  # ten years are enough
    run = sl.simulate(endpoint, workload.poisson(rate), hours=hours, seed=seed, log="folded", progress=False)
    return float(run.summary()["cold_start_rate"])


def compared(
    measured: pd.DataFrame, *, service_s: float = 1.97, cold_start_s: float = 0.4, least: int = 400_000
) -> pd.DataFrame:
    """Measured and simulated share of cold starts, one row a rate, with the relative error and its part of χ².

    The part of χ² is the squared difference over p (1 - p) / n, with p simulated and n requests measured.
    """
    missing = [name for name in COLUMNS if name not in measured]
    if missing:
        sys.exit(f"the measurements need the columns {', '.join(COLUMNS)}; there is no {', '.join(missing)}.")
    found = measured[COLUMNS].astype(float).reset_index(drop=True)
    found["simulated"] = [
        simulated(rate, service_s=service_s, cold_start_s=cold_start_s, least=least) for rate in found["rate"]
    ]
    p = found["simulated"]
    found["error"] = (p - found["cold"]).abs() / found["cold"]
    found["chi2"] = (found["cold"] - p) ** 2 / (p * (1 - p) / found["requests"])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("measured", help="CSV with the columns rate, cold, requests")
    parser.add_argument("--service", type=float, default=1.97, help="mean service time of the function [s]")
    parser.add_argument("--cold-start", type=float, default=0.4, help="mean cold start [s]")
    args = parser.parse_args()
    found = compared(pd.read_csv(args.measured), service_s=args.service, cold_start_s=args.cold_start)
    print(found.round(5).to_string(index=False))
    print(f"mean error {100 * found['error'].mean():.3g} %, χ² {found['chi2'].sum():.3g} on {len(found)} points")
    print(f"(95 % of χ² with {len(found)} degrees of freedom lie below {_chi2_95(len(found)):.3g})")


def _chi2_95(degrees: int) -> float:
    from scipy.stats import chi2

    return float(np.asarray(chi2.ppf(0.95, degrees)))


if __name__ == "__main__":
    main()
