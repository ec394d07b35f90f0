"""Batch transform: a job takes machines, works through files and gives the machines back; paid from start to end."""

from collections.abc import Iterator
from dataclasses import field
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from simlib import pricing
from simlib.model import Law, ModelProfile, lognormal
from simlib.parameters import Count, NonNegative, Positive, Share, Text, Whole, config
from simlib.serving.interruptible import Interruptible

if TYPE_CHECKING:
    from simlib.serving.transform import TransformJobs
    from simlib.simulation import Simulation
    from simlib.workload import Workload

Retries = Annotated[Whole, Field(le=100)]
Threshold = Annotated[int, Field(ge=-1, strict=True)]


@config
class BatchTransform:
    """A job for files that lie ready: instances come, share the files by key, and go when the last file is done.

    Each arrival of the workload is a file (`workload.files`; work columns size_mb and records, where it has them).
    A file is cut into *requests*; an instance sends its requests in order, up to `max_concurrent_transforms` at once.
    Files that become ready while a job runs wait for the next job.  What SageMaker refuses (more than 100 MB in flight:
    max_concurrent_transforms x max_payload_in_mb, …) runs all the same, with an event "limit" (`serving.limits`).

    Parameters
    ----------
    model : ModelProfile
        Its service law is the time of one record: of a line with split_type="Line", else of a whole file.
    instance_type : str
        Machine of the price catalog, of SageMaker, Vertex AI or Azure ML.
    instance_count : int
        Machines of the job.  File k of the job, in order of key, goes to instance k mod instance_count, so one file on
        N instances leaves N - 1 idle, and billed.
    max_concurrent_transforms : int
        Requests that an instance works on at once.
    max_payload_in_mb : float
        The most one request may hold [MB]; 0: no limit, the file is streamed in chunks.
    batch_strategy : "SingleRecord" | "MultiRecord"
        With split_type="Line": one line a request, or as many as max_payload_in_mb holds.
    split_type : None | "Line"
        None: the whole file is one request.
    records_per_request : int or None
        With split_type="Line" and MultiRecord, how many lines a request holds at most (Vertex AI: `batchSize`).
    files_per_request : int
        Files that go into one request together, each a record of the model's service law (Azure ML: `mini_batch_size`,
        which counts files).  More than 1 makes every row of the run's log a mini-batch, ready with its last file.
    invocations_timeout_s : float
        An attempt that takes longer is given up [s]; 600 on SageMaker unless told otherwise, 3600 at most.
    invocations_max_retries : int
        How often a request that failed is sent again; 3 on SageMaker, which is also its most.
    error_threshold : int
        Files that may fail before the job is ended; -1: any number (Azure ML: `error_threshold`, which counts files).
    interruptible : Interruptible or None
        Machines that cost less and may be taken back (Azure ML: low priority).  What a machine had in hand is sent
        again by the one that replaces it, from the start; where every machine is gone at once, the job is cancelled
        (Azure ML, low-priority batch).  Needs split_type=None.
    request_overhead_s : float
        What each request takes besides its records [s].  Assumption.
    bad_records : float
        Share of the records that make their request fail [0 to 1].
    launch : Law
        From creating the job until a machine is up [s]; not billed.  Assumption.
    container_start : Law
        From the job's start until a container asks for the model [s]; billed.  Assumption.
    download_mb_per_s : float
        Speed at which the model artifact arrives [MB/s].  Assumption.
    speed : float
        How much faster the hardware is than the one the model's service law was measured on.
    """

    model: ModelProfile
    instance_type: Text = field(default="ml.m5.xlarge", kw_only=True)
    instance_count: Count = field(default=1, kw_only=True)
    max_concurrent_transforms: Count = field(default=1, kw_only=True)
    max_payload_in_mb: NonNegative = field(default=6.0, kw_only=True)
    batch_strategy: Literal["SingleRecord", "MultiRecord"] = field(default="MultiRecord", kw_only=True)
    split_type: Literal["Line"] | None = field(default=None, kw_only=True)
    records_per_request: Count | None = field(default=None, kw_only=True)
    files_per_request: Count = field(default=1, kw_only=True)
    invocations_timeout_s: Positive = field(default=600.0, kw_only=True)
    invocations_max_retries: Retries = field(default=3, kw_only=True)
    error_threshold: Threshold = field(default=-1, kw_only=True)
    interruptible: Interruptible | None = field(default=None, kw_only=True)
    request_overhead_s: NonNegative = field(default=0.0, kw_only=True)
    bad_records: Share = field(default=0.0, kw_only=True)
    launch: Law = field(default=lognormal(mean=150, cv=0.25), kw_only=True)
    container_start: Law = field(default=lognormal(mean=45, cv=0.25), kw_only=True)
    download_mb_per_s: Positive = field(default=100.0, kw_only=True)
    speed: Positive = field(default=1.0, kw_only=True)

    ends_by_itself = True  # so `simulate` needs no length

    def __post_init__(self) -> None:
        if self.files_per_request > 1 and self.split_type is not None:
            raise ValueError(
                f"files_per_request={self.files_per_request} is not possible with split_type={self.split_type!r}: "
                "a request holds whole files or lines of one."
            )

        if self.interruptible is not None and self.split_type is not None:
            raise ValueError(
                f"interruptible is not possible with split_type={self.split_type!r}: what is sent again is a whole "
                "request of files."
            )

    @property
    def getting_ready_s(self) -> float:
        """Seconds to fetch the model's artifact and load it, once the container runs."""
        return self.model.size_mb / self.download_mb_per_s + self.model.load_seconds

    def deploy(
        self, sim: "Simulation", workload: "Workload", name: str, *, log: bool, from_cold: bool
    ) -> "TransformJobs":
        """The jobs that `Simulation.deploy` asks for; their machines always start from cold."""
        from simlib.serving.transform import TransformJobs  # here, because it loads the compiler

        return TransformJobs(sim, self, workload, name, log=log)

    def assumptions(self) -> Iterator[tuple[str, object, str, str]]:
        """(parameter, value, mark, source) of every value in use that the platform does not document."""
        yield "files to instances", "file k, by key, to instance k mod N", "D", "AWS: objects are mapped by key"
        yield from pricing.machine(self.instance_type).assumptions()
        yield "start of the job", "when all its machines are up", "U", "undocumented: billed from here"
        yield "reading and writing S3", "0 s", "U", "give it to the model's service law"
        yield "requests of different files", "share the concurrency", "U", "undocumented"
        yield "a failed file", "its unsent requests are skipped", "U", "AWS: no output for that file"
        if self.invocations_max_retries:
            yield "a retry", "takes as long as the first attempt", "U", "the same record on the same machine"
        if self.interruptible is not None:
            yield from self.interruptible.assumptions()
            yield "a machine taken back", "without notice; uses up no retry", "U", "undocumented"
        if self.bad_records:
            yield "a bad record", "fails its request at the end of its time", "U", "undocumented"
        usual = BatchTransform(self.model)
        for name, source in _ASSUMPTIONS.items():
            if getattr(self, name) == getattr(usual, name):
                yield name, getattr(self, name), "U", source


_ASSUMPTIONS = {
    "request_overhead_s": "undocumented",
    "launch": "with container_start, the 3–5 minutes that users report",
    "container_start": "with launch, the 3–5 minutes that users report",
    "download_mb_per_s": "undocumented",
}
