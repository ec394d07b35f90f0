"""What the record tells of the capacity that was there, and when: instances, workers, billed hours."""

import math

import numpy as np

from simlib import pricing
from simlib.record import CONTAINER_NS, Snapshot


def capacity_s(snapshot: Snapshot, tally: np.ndarray, edges: np.ndarray, variant: int | None = None) -> np.ndarray:
    """Seconds of capacity between neighbouring *edges* [s], of one variant or all of them.

    Workers count while in service or draining, containers while they exist.
    """
    lives, last = snapshot.instances, snapshot.end_s
    of = np.array(lives["variant"], dtype=int)
    workers = np.array(snapshot.workers)[of] * (True if variant is None else of == variant)
    begin, end = np.minimum(lives["in_service_s"], last), np.minimum(lives["gone_s"], last)
    there = np.clip(edges[:, None], begin, np.maximum(begin, end)) - begin
    containers: np.ndarray = tally[:, CONTAINER_NS] / 1e9
    return np.diff(there @ workers) + containers


def in_service_at(snapshot: Snapshot, moments: np.ndarray) -> np.ndarray:
    """Instances that take requests just before each moment."""
    lives = snapshot.instances
    begin, end = np.array(lives["in_service_s"]), np.array(lives["draining_s"])
    served = np.isfinite(begin)  # others were cancelled, or not healthy, on their way
    came, went = np.sort(begin[served]), np.sort(end[served])
    return np.searchsorted(came, moments) - np.searchsorted(went, moments)


def desired_at(snapshot: Snapshot, moments: np.ndarray) -> np.ndarray:
    """Instances asked for just before each moment."""
    asked = np.zeros(len(moments), dtype=int)
    for variant in range(len(snapshot.variants)):
        changes = [(time, wanted) for time, v, wanted in snapshot.desired if v == variant]
        times, wanted = np.array([c[0] for c in changes]), np.array([0, *(c[1] for c in changes)])
        asked += wanted[np.searchsorted(times, moments)]
    return asked


def instance_hours(snapshot: Snapshot) -> float:
    """Hours of all instances from their machine being up to their end, each rounded up as its platform bills it."""
    lives = snapshot.instances
    up, gone = np.array(lives["machine_up_s"]), np.minimum(lives["gone_s"], snapshot.end_s)
    variant, counted = np.array(lives["variant"], dtype=int), up < snapshot.end_s
    begin, end = (
        np.maximum(up, lives.get("free_before_s", -np.inf)),
        np.minimum(gone, lives.get("free_after_s", np.inf)),
    )
    billed = np.maximum(0.0, end - begin)
    fleets = getattr(snapshot.deployment, "fleets", (snapshot.deployment,) * len(snapshot.variants))
    return math.fsum(
        pricing.machine(fleet.instance_type).billed_hours(billed[counted & (variant == v)])
        for v, fleet in enumerate(fleets)
        if (counted & (variant == v)).any()
    )
