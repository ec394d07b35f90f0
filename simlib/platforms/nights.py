"""One night's files on three platforms: how many machines finish in time on each, and what that costs.

    >>> import simlib as sl
    >>> night = sl.scenarios.night_models(items=60)
    >>> table = compare_batch(night.workload, night.model, due_hours=8)
    >>> sorted(table.index), bool(table["keeps"].all())
    (['azureml', 'sagemaker', 'vertex'], True)

A batch job is billed by the machine and hour on all three, and none of them adds machines to a job that runs: their
number is chosen beforehand.  So the fewest that finish in time are looked for, each platform with its own.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import pandas as pd

from simlib.model import ModelProfile
from simlib.parameters import Count, ParameterError, Positive, Text, Whole, checked
from simlib.platforms.fields import Platform
from simlib.platforms.sizing import Hardware, Machine, machines
from simlib.pricing import machine, region_of
from simlib.serving import BatchTransform, Interruptible
from simlib.simulation import simulate
from simlib.workload import Workload
from simlib.workload.counted import Files


@checked
def compare_batch(
    files: Workload,
    model: ModelProfile,
    *,
    due_hours: Positive,
    hardware: Hardware = "4 vCPUs",
    region: Text = "us-east-1",
    max_instances: Count = 50,
    low_priority: Interruptible | None = None,
    seed: Whole = 0,
) -> pd.DataFrame:
    """The same files on SageMaker, Vertex AI and Azure ML, with the fewest machines that finish in time.

    Parameters
    ----------
    files : Workload
        Of `workload.files`: what lies ready when the job is made.
    model : ModelProfile
        Its service law is the time of one file, on one vCPU (or GPU) of all three (assumption, as in `compare`).
    due_hours : float
        From making the job to its end, waiting for machines included.
    hardware, region, max_instances, seed
        As in `compare`.
    low_priority : Interruptible or None
        Azure ML's low-priority machines instead of its usual ones; the others have none for batch jobs of files.

    Returns
    -------
    DataFrame
        Index platform, the cheapest in time first.  Columns: machine, instances, region, usd of one night, hours
        until the last file is done, failed (files), keeps, and note: what is not verified of its prices, or why a
        platform is out.

    Raises
    ------
    ParameterError
        If the workload is not of files that lie ready.
    """
    if not isinstance(files, Files):
        raise ParameterError(
            f"compare_batch: files={files.name!r} should be workload.files(…); `compare` takes callers."
        )
    rows: dict[Platform, tuple[Any, ...]] = {}
    for platform, one in machines(hardware).items():
        night = functools.partial(_night, platform, one, files, model, region, seed, low_priority)
        try:
            made, note = _fewest(night, due_hours, max_instances)
        except ParameterError as error:  # no price in that region
            reason = str(error).removeprefix("deploy: ").rstrip(".")
            rows[platform] = (one.name, 0, region, math.nan, math.nan, 0, False, reason)
            continue
        rows[platform] = (*made, made.hours <= due_hours and not made.failed, note)
    columns = [*Night._fields, "keeps", "note"]
    table = pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("platform")
    order = table.assign(late=~table["keeps"]).sort_values(["late", "usd"], kind="stable").index
    return table.loc[order]


class Night(NamedTuple):
    """What a job with so many machines came to."""

    machine: str
    instances: int
    region: str
    usd: float
    hours: float
    failed: int


def _fewest(night: Callable[[int], tuple[Night, str]], due_hours: float, most: int) -> tuple[Night, str]:
    """The job with the fewest machines that is in time, found by halving; with *most*, where even that is late."""
    low, high, best = 1, most, night(most)
    if best[0].hours > due_hours:
        return best
    while low < high:
        middle = (low + high) // 2
        made = night(middle)
        if made[0].hours <= due_hours:
            high, best = middle, made
        else:
            low = middle + 1
    return best


def _night(
    platform: Platform,
    one: Machine,
    files: Files,
    model: ModelProfile,
    region: str,
    seed: int,
    low_priority: Interruptible | None,
    instances: int,
) -> tuple[Night, str]:
    """What a job with so many machines comes to, and what is not verified of its prices."""
    job = BatchTransform(
        model,
        instance_type=one.name,
        instance_count=instances,
        max_concurrent_transforms=one.workers,
        max_payload_in_mb=0.0,  # streamed, so that no file is too large
        invocations_timeout_s=3600.0,
        interruptible=low_priority if platform == "azureml" else None,
    )
    place = region_of(machine(one.name).platform, region)
    run = simulate(job, files, seed=seed, region=place, progress=False)
    bill, failed = run.invoice, int((run.requests["status"] != "completed").sum())
    doubts = "; ".join(dict.fromkeys(note for note in bill["note"] if note))
    hours = float(run.summary()["makespan_s"]) / 3600
    return Night(one.name, instances, place, float(bill["subtotal"].sum()), hours, failed), doubts
