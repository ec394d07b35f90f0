"""What a question runs on: the machine, the devices, and the files of a batch job."""

import math
from typing import Literal, NamedTuple

import numpy as np

from simlib.advisor.question import DAY_S, Question
from simlib.parameters import ParameterError, nearest
from simlib.serving.devices import On, slowdown
from simlib.serving.edge import Devices
from simlib.serving.hardware import instance_types
from simlib.workload import Workload, files
from simlib.workload.counted import Files

LADDERS = {
    False: ("ml.m5.large", "ml.m5.xlarge", "ml.m5.2xlarge", "ml.m5.4xlarge", "ml.m5.12xlarge", "ml.m5.24xlarge"),
    True: ("ml.g5.xlarge", "ml.g5.2xlarge", "ml.g5.12xlarge"),
}
GB_PER_VCPU = {"c": 2.0, "t": 2.0, "m": 4.0, "g": 4.0, "r": 8.0, "p": 8.0}  # D: of most sizes of each family on EC2
DEVICES: dict[bool, tuple[tuple[str, On], ...]] = {  # from slow to fast
    False: (("rpi4", "CPU"), ("nano", "CPU"), ("tx2", "CPU"), ("nx", "CPU")),
    True: (("nano", "GPU"), ("tx2", "GPU")),
}
RECORDS_PER_FILE = 1000  # at most, where calls of a day are gathered into files for a batch job


def machine(question: Question) -> tuple[str, int]:
    """The instance type, and how many requests it works on at once.

    The smallest of a ladder that holds the model; one worker a vCPU, as many as its memory has room for, and one on a
    machine with a GPU.
    """
    ladder = LADDERS[question.gpu] if question.instance_type is None else (question.instance_type,)
    for name in ladder:
        room = int(memory_mb(name) // question.model.memory_mb)
        if room >= 1:
            break
    return name, question.workers or (1 if question.gpu else max(1, min(_vcpus(name), room)))


def at_the_edge(question: Question) -> tuple[Devices, ...]:
    """The devices that are there; else one of the slowest kind of a ladder that alone is quick enough."""
    if question.devices is not None:
        return question.devices
    ladder = [Devices(kind, 1, on=on) for kind, on in DEVICES[question.gpu]]
    wanted = math.inf if question.max_p99_s is None else question.max_p99_s
    quick = [each for each in ladder if np.quantile(on_device(question, each), 0.99) <= wanted]
    return ((quick or ladder[-1:])[0],)


def on_device(question: Question, device: Devices) -> np.ndarray:
    """What a request takes on a device that has nothing else to do [s]."""
    if device.inference is not None:
        return device.inference.sample(len(question.durations), np.random.default_rng(question.seed))
    return question.durations * slowdown(device.kind, on=device.on)


def memory_mb(name: str) -> float:
    """What the memory of a machine holds [MB]."""
    return 1000 * _vcpus(name) * gb_per_vcpu(name)


def gb_per_vcpu(name: str) -> float:
    """Memory a vCPU of a machine's family [GB]."""
    return GB_PER_VCPU.get(name.removeprefix("ml.")[:1], 4.0)


def _vcpus(name: str) -> int:
    known = instance_types()
    if name not in known:
        raise ParameterError(f"advise: there is no instance type {name!r}; {nearest(name, known)}")
    return known[name].vcpus


class Gathered(NamedTuple):
    """What a job reads, how a file is split into records, how long the first of it has waited [s], and for how many
    days it stands.
    """

    files: Workload
    split_type: Literal["Line"] | None
    waits_s: float
    days: float


def gathered(question: Question) -> Gathered:
    """Files as they are; calls that come one by one are gathered until the day's last: as many as on an average day."""
    if isinstance(question.workload, Files):
        return Gathered(question.workload, None, 0.0, question.sample_days)
    day = min(1.0, question.horizon_days)
    records = max(1, round(question.requests / question.sample_days * day))
    many = math.ceil(records / RECORDS_PER_FILE)
    each = round(records / many)
    lying = files(
        many,
        size_mb=each * question.request_mb,
        records_per_file=each,
        name=question.workload.name,
    )
    times = question.workload.arrivals(0.0, day * DAY_S, np.random.default_rng(question.seed))
    return Gathered(lying, "Line", float(times[-1] - times[0]) if len(times) else 0.0, day)
