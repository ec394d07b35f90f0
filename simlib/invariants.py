"""What must hold in the record of any run, checked; `docs/invariants.md` numbers it and says why."""

import math

import numpy as np
import pandas as pd

from simlib.capacity import capacity_s, instance_hours
from simlib.record import ARRIVED, BILLED_MS, BUSY_NS, COMPLETED, INSIDE, PROVISIONED_MS, Requests, Snapshot

BY_THE_INSTANCE = ("sagemaker_hosting", "sagemaker_batch_transform", "online_prediction", "compute")
_OF_A_MACHINE = ("instance-hour", "node-hour", "vm-hour")  # and not of a GPU in it


class InvariantError(AssertionError):
    """A run that cannot be: a fault of simlib, never of its user."""


def check(snapshot: Snapshot, invoice: pd.DataFrame) -> None:
    """Check every invariant that can be seen in a record and its bill.

    Raises
    ------
    InvariantError
        Naming the invariant that does not hold.
    """
    conserves(snapshot)
    _keeps_within_capacity(snapshot)
    _bill_adds_up(invoice)
    _bill_is_of_this_run(snapshot)
    if snapshot.requests is not None:
        _log_agrees(snapshot, snapshot.requests)
        _causes_come_first(snapshot, snapshot.requests)


def conserves(snapshot: Snapshot) -> None:
    """I1: every request is in exactly one status."""
    counts = snapshot.tally.sum(axis=(0, 1))
    inside = int(counts[ARRIVED] - counts[1:7].sum())
    if inside != int(snapshot.inside.sum()):
        raise InvariantError(
            f"I1 conservation: {counts[ARRIVED]} arrived, {counts[1:7].sum()} have an outcome, "
            f"but {snapshot.inside.sum()} are inside."
        )


def _keeps_within_capacity(snapshot: Snapshot) -> None:
    minutes = snapshot.tally.shape[1]
    edges = np.minimum(np.arange(minutes + 1) * 60.0, snapshot.end_s)
    for variant, tally in enumerate(snapshot.tally):
        busy, there = tally[:, BUSY_NS] / 1e9, capacity_s(snapshot, tally, edges, variant)
        if (busy > there + 1e-6).any():
            minute = int(np.argmax(busy - there))
            raise InvariantError(
                f"I4 capacity: {busy[minute]:g} s of work in minute {minute}, by {there[minute]:g} s of workers "
                f"of {snapshot.variants[variant]}."
            )


def _bill_adds_up(invoice: pd.DataFrame) -> None:
    total = math.fsum(invoice["quantity"] * invoice["unit_price"])
    if not math.isclose(total, invoice.attrs["total"], rel_tol=1e-12, abs_tol=1e-12):
        raise InvariantError(f"I5 bill: the lines add up to {total}, not to {invoice.attrs['total']}.")


def _bill_is_of_this_run(snapshot: Snapshot) -> None:
    """The time on the bill is that of the instances, and of the containers' work, in the record."""
    on_bill = {"instances": 0.0, "sagemaker_serverless": 0.0}  # or a neighbour's seconds of work
    for meter in snapshot.meters:
        if meter.service in BY_THE_INSTANCE and meter.unit in _OF_A_MACHINE:
            on_bill["instances"] += meter.quantity
        elif meter.service in on_bill and "usage" not in meter.sku:  # usage: a container's existence, not its work
            on_bill[meter.service] += meter.quantity
        elif meter.sku == "vcpu-active":
            on_bill["sagemaker_serverless"] += meter.quantity / snapshot.deployment.vcpus
    parts = [snapshot, *([snapshot.shadow] if snapshot.shadow else [])]
    hours = math.fsum(instance_hours(part) for part in parts)
    worked = float(snapshot.tally[:, :, [BILLED_MS, PROVISIONED_MS]].sum()) / 1000
    for service, there in (("instances", hours), ("sagemaker_serverless", worked)):
        if not math.isclose(on_bill[service], there, rel_tol=1e-9, abs_tol=1e-9):
            raise InvariantError(f"I5 bill: {service} counts {on_bill[service]:g}, the record {there:g}.")


def _log_agrees(snapshot: Snapshot, log: Requests) -> None:
    by_log, by_tally = np.bincount(log.status, minlength=7), snapshot.tally.sum(axis=(0, 1))[:7].copy()
    by_tally[INSIDE] -= by_tally[1:].sum()
    if not np.array_equal(by_log, by_tally):
        raise InvariantError(f"I1 conservation: the log counts {by_log}, the tally {by_tally}.")


def _causes_come_first(snapshot: Snapshot, log: Requests) -> None:
    if (np.diff(log.arrival) < 0).any():
        raise InvariantError("I3 clock: requests are not in order of arrival.")
    begun, ended = ~np.isnan(log.start), ~np.isnan(log.finish)
    if (log.start[begun] < log.arrival[begun]).any() or (log.finish[ended] < log.arrival[ended]).any():
        raise InvariantError("I2 causality: a request started or finished before it arrived.")
    if (log.finish[ended] > snapshot.end_s).any():
        raise InvariantError("I2 causality: a request finished after the end of the run.")
    if (~begun[log.status == COMPLETED]).any():
        raise InvariantError("I2 causality: a request was completed and never started.")
    both = begun & ended
    if (log.finish[both] < log.start[both]).any():
        raise InvariantError("I2 causality: a request finished before it started.")
    if not np.array_equal(ended, log.status != INSIDE):
        raise InvariantError("I2 causality: exactly the requests inside should have no finish.")
