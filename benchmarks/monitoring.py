"""Thirty days of ten million requests, 20 % captured and compared with the baseline every hour: seconds and memory.

python benchmarks/monitoring.py
"""

import resource
import time

import simlib as sl
from simlib import monitoring, serving, workload

REQUESTS, DAYS = 10_000_000, 30


def main() -> None:
    """Run it once, and print what it took."""
    begun = time.perf_counter()
    drift = monitoring.DataDrift("income", shift=1.0, at_day=10, kind="gradual", over_days=5)
    stream = monitoring.Stream(monitoring.LoanBook(), [drift])
    baseline = monitoring.Baseline.fit(stream.sample(10_000, seed=1)[list(stream.inputs)])
    sim = sl.Simulation(seed=7)
    model = sl.ModelProfile("lender", service=sl.lognormal(mean=0.05, cv=0.4))
    deployment = serving.RealTime(model, data_capture=monitoring.Capture(20))
    calls = workload.poisson(rate=REQUESTS / (DAYS * 86_400))
    monitor = monitoring.ModelMonitor(sim.deploy(deployment, calls, rows=stream), baseline, every_hours=1)
    sim.run(days=DAYS, progress=False)
    runs = monitor.executions
    took, memory = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    print(f"{len(runs)} executions compared {runs['rows'].sum():,} rows: {took:.0f} s, {memory:.2f} GB")


if __name__ == "__main__":
    main()
