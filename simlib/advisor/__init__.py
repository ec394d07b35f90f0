"""The adviser: which deployment for this workload, this model and these limits, by simulation and with reasons.

    >>> import simlib as sl
    >>> club = sl.scenarios.photo_tags(per_day=1000)
    >>> advice = sl.advise(club.workload, club.model, max_p99_s=15, horizon_days=3, replications=2)
    >>> advice.best
    'serverless 4096 MB'
    >>> six = sl.scenarios.photo_tags(per_day=1000, photo_mb=6)
    >>> print(sl.advise(six.workload, six.model, max_p99_s=15, horizon_days=1, replications=1).eliminated["reason"][0])
    6 MB request > 4 MB serverless limit

Options that break a hard limit are out, each with the limit, the value and the source.  The rest is sized and simulated
under the same requests, and ranked by cost among those that keep the wanted latency and error rate.
"""

from simlib.advisor.advice import Advice, answer
from simlib.advisor.question import Question
from simlib.model import ModelProfile
from simlib.parameters import Count, Flag, NonNegative, Positive, Share, Text, Whole, checked
from simlib.replications import Jobs
from simlib.serving.edge import Fleet
from simlib.workload import Workload

__all__ = ["Advice", "advise"]


@checked
def advise(
    workload: Workload,
    model: ModelProfile,
    *,
    max_p99_s: Positive | None = None,
    deadline_h: Positive | None = None,
    max_error_rate: Share | None = None,
    payload_mb: Positive | None = None,
    needs_gpu: Flag = False,
    data_must_stay_local: Flag = False,
    offline_share: Share = 0.0,
    devices: Fleet | None = None,
    usd_per_device_month: NonNegative = 10.0,
    horizon_days: Positive = 30,
    instance_type: Text | None = None,
    workers: Count | None = None,
    region: Text = "us-east-1",
    seed: Whole = 0,
    replications: Count | None = None,
    n_jobs: Jobs = None,
    progress: Flag | None = None,
) -> Advice:
    """Which deployment keeps what is asked for the least money.

    Parameters
    ----------
    workload : Workload
        Who calls, and when.  One period of it is simulated, or as many days as give 10,000 requests, 14 at most, and
        taken to be like the rest of the horizon.
    model : ModelProfile
        What one request costs; its service law is taken to hold on every option's hardware (assumption).
    max_p99_s : float or None
        The longest wait that 1 request in 100 may exceed, from arrival to answer [s].
    deadline_h : float or None
        How long after its arrival the last answer may come [h].
    max_error_rate : float or None
        Share of requests that may stay without an answer [0 to 1]; 0.01 where nobody says.
    payload_mb : float or None
        The largest single request [MB]; by default the model's request_kb.
    needs_gpu : bool
        Whether it runs only on an accelerator; also if the model says so.
    data_must_stay_local : bool
        Whether the data may not leave the place where they arise.
    offline_share : float
        Share of the time in which callers cannot reach the cloud [0 to 1]; a request of then is lost, but on a device.
    devices : mapping of kind to count, sequence of serving.Devices, or None
        What there is at the edge; the model's service law is then a server's time, and a device slower as measured.
        None: devices are considered only where the data must stay or callers are offline, and then as many of the
        slowest kind that is quick enough as are needed.
    usd_per_device_month : float
        What a device costs a month, purchase and upkeep together [US dollars].  Assumption: ask your supplier.
    horizon_days : float
        For how long the bill is added up [days].
    instance_type : str or None
        The machine of every fleet; by default the smallest of a ladder (m5, with GPU g5) that holds the model.
    workers : int or None
        Requests that an instance works on at once; by default one a vCPU or GPU, as many as its memory has room for.
    region : str
        Whose prices.
    seed, replications, n_jobs, progress
        As for `experiments.compare`.  By default five runs of an option, three where each has half a million requests
        and more; one that fails in the first of them gets three at most.

    Returns
    -------
    Advice
        Prints as the answer in words; `ranking` and `eliminated` are the tables behind it, `break_even()` and
        `sensitivity()` say what would change it.
    """
    question = Question(
        workload,
        model,
        max_p99_s=max_p99_s,
        deadline_h=deadline_h,
        max_error_rate=max_error_rate,
        payload_mb=payload_mb,
        needs_gpu=needs_gpu,
        data_must_stay_local=data_must_stay_local,
        offline_share=offline_share,
        devices=devices,
        usd_per_device_month=usd_per_device_month,
        horizon_days=horizon_days,
        instance_type=instance_type,
        workers=workers,
        region=region,
        seed=seed,
    )
    return answer(question, replications=replications, n_jobs=n_jobs, progress=progress)
