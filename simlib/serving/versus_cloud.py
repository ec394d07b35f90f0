"""The same requests at the edge, and sent to the cloud: how long, how often not at all, how much, and what left."""

from dataclasses import field
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import pandas as pd
from pydantic import PlainValidator

from simlib import pricing
from simlib.model import Law, lognormal
from simlib.parameters import ParameterError, Positive, Text, Whole, checked, config, shortly
from simlib.record import COMPLETED
from simlib.serving.edge import Edge
from simlib.simulation import Deployment, Simulation, is_deployment, simulate
from simlib.workload import Workload, from_trace

if TYPE_CHECKING:
    from simlib.results import Run


@config
class Network:
    """What lies between a device and the cloud.

    Parameters
    ----------
    round_trip : Law
        There and back, without the payload [s].  Assumption.
    uplink_mb_per_s : float
        Speed at which a device sends a request [MB/s].  Assumption.
    """

    round_trip: Law = field(default=lognormal(mean=0.08, cv=0.5), kw_only=True)
    uplink_mb_per_s: Positive = field(default=1.0, kw_only=True)


def _edge(value: object) -> object:
    if not isinstance(value, Edge):
        raise ValueError(f"edge={shortly(value)} is not possible: it should be a serving.Edge.")
    return value


def _cloud(value: object) -> object:
    if not is_deployment(value):
        raise ValueError(f"cloud={shortly(value)} is not a way to serve a model, such as serving.Serverless(model).")
    return value


USUAL = Network()


@checked
def versus_cloud(
    edge: Annotated[Edge, PlainValidator(_edge)],
    cloud: Annotated[Deployment, PlainValidator(_cloud)],
    workload: Workload,
    *,
    hours: Positive,
    network: Network = USUAL,
    seed: Whole = 0,
    replication: Whole = 0,
    region: Text = "us-east-1",
) -> pd.DataFrame:
    """The workload on the devices of *edge*, and by *cloud* from those devices that are connected when they ask.

    In the cloud a request takes its time there, a round trip, and the time to send its payload; whoever is not
    connected gets no answer.  The bill adds what leaving AWS costs for the answers (first 10 TB) and, at the edge's own
    `usd_per_gb`, what the devices send.  Devices themselves are there in both, and in both bills.

    Returns
    -------
    DataFrame
        Rows "edge" and "cloud"; p50_s, p95_s, p99_s of the answered [s]; answered, the share that got an answer; usd;
        gb_left, what left the devices [GB, decimal].
    """
    at_edge = simulate(edge, workload, hours=hours, seed=seed, replication=replication, region=region, log="exact")
    sim = Simulation(seed, replication=replication, region=region)
    asked, first_s = _who_reaches(edge, workload, sim, at_edge)
    rest_h = hours - first_s / 3600
    in_cloud = simulate(cloud, asked, hours=rest_h, seed=seed, replication=replication, region=region, log="exact")
    log = in_cloud.snapshot.requests
    assert log is not None
    trip = network.round_trip.sample(len(log.arrival), sim.rng(workload.name, "round trip"))
    trip += edge.model.request_kb / 1000 / network.uplink_mb_per_s
    done = log.status == COMPLETED
    sent_gb = len(log.arrival) * edge.model.request_kb / pricing.KB_PER_GB
    back_gb = float(done.sum()) * edge.model.response_kb / pricing.KB_PER_GB
    devices_usd = float(at_edge.invoice.query("item == 'Devices'")["subtotal"].sum())
    rows = {
        "edge": _row(at_edge.latencies(), at_edge, at_edge.invoice.attrs["total"], at_edge.summary()["gb_left"]),
        "cloud": _row(
            (log.finish - log.arrival + trip)[done],
            at_edge,
            in_cloud.invoice.attrs["total"] + devices_usd + sent_gb * edge.usd_per_gb + _leaving(back_gb, at_edge),
            sent_gb,
        ),
    }
    frame = pd.DataFrame.from_dict(rows, orient="index")
    frame.attrs = {"hours": hours}
    return frame


def _who_reaches(edge: Edge, workload: Any, sim: Simulation, at_edge: "Run") -> tuple[Any, float]:
    """The requests of devices that are connected when they ask, as a workload, and when the first of them comes [s]."""
    from simlib.serving.edge_fleet import links_of

    log = at_edge.snapshot.requests
    assert log is not None
    on = links_of(sim, edge, workload).connected(log.instance.astype(np.int64), log.arrival)
    if not on.any():
        raise ParameterError(
            "versus_cloud: no request reaches the cloud in so few hours: ask for more, or for a better link."
        )
    times = log.arrival[on]
    return from_trace(pd.DataFrame({"time_s": times}), time="time_s", name=f"{workload.name} online"), float(times[0])


def _leaving(gb: float, run: "Run") -> float:
    """What the answers cost on their way out of AWS [US dollars]."""
    meter = pricing.Meter("data_transfer", "internet-out", gb, "GB")
    day = pricing.priced_on(run.snapshot.started_at.date())
    return float(pricing.invoice([meter], region=run.snapshot.region, as_of=day).attrs["total"])


def _row(latencies: np.ndarray, asked: "Run", usd: float, gb_left: float) -> dict[str, float]:
    p50, p95, p99 = np.quantile(latencies, [0.5, 0.95, 0.99]) if len(latencies) else [np.nan] * 3
    share = len(latencies) / max(1, int(asked.summary()["requests"]))
    return {"p50_s": p50, "p95_s": p95, "p99_s": p99, "answered": share, "usd": usd, "gb_left": gb_left}
