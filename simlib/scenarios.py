"""The course's named situations, as data: who asks, of which model, and what must hold.

    >>> workload, model, limits = chat_translation(rate=20)
    >>> limits.max_p99_s
    0.5
    >>> night_models().question
    '500 3-D models a night, 15 minutes each: how, with how many machines, and ready by six?'

The slides of the session give words only; the numbers here were chosen for this course so that the question has an
answer, and so that the answer flips when one number changes.  They are assumptions, not measurements.  Sizes are in MB
and kB, times in seconds, rates in requests/s where nothing else is said.
"""

import math
from collections.abc import Iterator
from dataclasses import field

from simlib.model import Law, ModelProfile, lognormal
from simlib.parameters import Count, Positive, Share, Text, checked, config
from simlib.workload import Workload, bursty, diurnal, files, from_counts, nightly, poisson

__all__ = [
    "Limits",
    "Scenario",
    "chat_translation",
    "daily_segmentation",
    "every",
    "forgotten_endpoint",
    "fraud",
    "large_images",
    "lead_scoring",
    "long_documents",
    "night_models",
    "photo_tags",
    "preprocessing",
    "recommendation",
]


@config
class Limits:
    """What a deployment has to keep; None means that nobody asks for it.

    Parameters
    ----------
    max_p99_s : float or None
        The 99th percentile of the time a request takes, from arrival to answer [s].
    deadline_h : float or None
        How long after its arrival the last answer may come [h].
    max_error_rate : float or None
        Share of requests that may stay without an answer [0 to 1].
    payload_mb : float or None
        The largest single request [MB].
    """

    max_p99_s: Positive | None = field(default=None, kw_only=True)
    deadline_h: Positive | None = field(default=None, kw_only=True)
    max_error_rate: Share | None = field(default=None, kw_only=True)
    payload_mb: Positive | None = field(default=None, kw_only=True)


@config
class Scenario:
    """A question of a real team, with what is needed to answer it; unpacks into workload, model, limits.

    Parameters
    ----------
    name : str
        The function that makes it.
    question : str
        What the team wants to know.
    workload : Workload
        Who calls, and when.
    model : ModelProfile
        What one request costs.
    limits : Limits
        What must hold.
    days : float
        How long a run shows the whole story [days].
    notes : tuple of str
        What to know before trusting an answer.
    """

    name: Text
    question: Text
    workload: Workload = field(kw_only=True)
    model: ModelProfile = field(kw_only=True)
    limits: Limits = field(kw_only=True)
    days: Positive = field(default=1.0, kw_only=True)
    notes: tuple[Text, ...] = field(default=(), kw_only=True)

    def __iter__(self) -> Iterator[Workload | ModelProfile | Limits]:
        """Workload, model and limits, in this order."""
        return iter((self.workload, self.model, self.limits))


# --- the three scenarios of the interactive moment ------------------------------------------------------------------


@checked
def chat_translation(rate: Positive = 20.0) -> Scenario:
    """S1: translate a chat while people write; *rate* requests/s on average (2, 20 and 100 give different answers)."""
    return Scenario(
        "chat_translation",
        "Instant answers for a flow that never stops: which deployment, and from how many requests on?",
        workload=diurnal(mean_rate=rate, peak_to_mean=1.8, name="chat"),
        model=ModelProfile(
            "translator",
            service=lognormal(mean=0.080, cv=0.4),
            size_mb=450,
            load_seconds=8,
            memory_mb=1500,
            request_kb=2,
            response_kb=2,
        ),
        limits=Limits(max_p99_s=0.5, max_error_rate=0.001),
        days=30,
        notes=("At 20 requests/s serverless and two small instances cost about the same: look at the wait, too.",),
    )


@checked
def night_models(items: Count = 500, minutes: Positive = 15.0) -> Scenario:
    """S2: an architecture firm's *items* 3-D models a night, *minutes* of work each; ready at 22:00, due at 06:00."""
    return Scenario(
        "night_models",
        f"{items} 3-D models a night, {minutes:g} minutes each: how, with how many machines, and ready by six?",
        workload=files(items, size_mb=200, name="night"),
        model=ModelProfile(
            "renderer",
            service=lognormal(mean=60 * minutes, cv=0.2),
            size_mb=1200,
            load_seconds=20,
            memory_mb=8000,
            request_kb=200_000,
            response_kb=5_000,
        ),
        limits=Limits(deadline_h=8, max_error_rate=0.0, payload_mb=200),
        notes=(
            "The clock starts at 22:00: all files are there at 0 s and are due after 8 h.",
            "Batch gives up on a file after 600 s unless told otherwise, and tries three times more, billed.",
            "Asynchronous inference gives up after 900 s unless told otherwise: as long as a model takes on average.",
            "200 MB is more than a batch request may hold (100 MB): stream it in chunks, or go asynchronous.",
        ),
    )


@checked
def photo_tags(per_day: Positive = 20.0, photo_mb: Positive = 3.0) -> Scenario:
    """S3: tags for the photos of a small club, *per_day* photos a day of *photo_mb* MB each, for six months."""
    return Scenario(
        "photo_tags",
        "Almost nobody calls for six months: what does it cost to be there all the time, and who waits?",
        workload=poisson(rate=per_day / 86_400, name="photos"),
        model=ModelProfile(
            "tagger",
            service=lognormal(mean=0.5, cv=0.3),
            size_mb=300,
            load_seconds=3,
            memory_mb=3500,
            request_kb=1000 * photo_mb,
            response_kb=1,
        ),
        limits=Limits(max_p99_s=15.0, payload_mb=photo_mb),
        days=180,
        notes=("A serverless request holds 4 MB at most: a photo of 6 MB rules it out.",),
    )


# --- the other uses on the slides -----------------------------------------------------------------------------------


@checked
def recommendation(rate: Positive = 150.0) -> Scenario:
    """Recommend while a page loads, *rate* requests/s on average: short work, much of it, a strict wait."""
    return Scenario(
        "recommendation",
        "What shop visitors see next is computed while the page loads: how many instances at nine in the evening?",
        workload=diurnal(mean_rate=rate, peak_to_mean=1.7, peak_hour=21, name="shop"),
        model=_model("recommender", lognormal(mean=0.012, cv=0.5), size_mb=200, memory_mb=1000, request_kb=4),
        limits=Limits(max_p99_s=0.1, max_error_rate=0.001),
    )


@checked
def fraud(rate: Positive = 40.0) -> Scenario:
    """Judge each card payment before it is accepted, *rate* payments/s on average, with bursts at sales."""
    share_of_bursts, times_calm = 600 / (6600 + 600), 5.0
    calm = rate / (1 - share_of_bursts + share_of_bursts * times_calm)
    return Scenario(
        "fraud",
        "A payment waits for the verdict, and an unanswered one is a lost sale: what holds in a burst?",
        workload=bursty(calm, times_calm * calm, mean_calm_s=6600, mean_burst_s=600, name="payments"),
        model=_model("fraud-detector", lognormal(mean=0.025, cv=0.3), size_mb=60, memory_mb=800, request_kb=2),
        limits=Limits(max_p99_s=0.2, max_error_rate=0.0001),
        notes=("Bursts of ten minutes on average, about every two hours, at five times the calm rate.",),
    )


@checked
def daily_segmentation(customers: Count = 2_000_000) -> Scenario:
    """Put every customer into a segment once a day: files of 10,000 records, at night."""
    return Scenario(
        "daily_segmentation",
        "Every customer gets a segment before the shops open: how cheap can a whole night's work be?",
        workload=files(math.ceil(customers / 10_000), size_mb=5, records_per_file=10_000, name="customers"),
        model=_model("segmenter", lognormal(mean=20.0, cv=0.2), size_mb=40, memory_mb=2000, request_kb=5000),
        limits=Limits(deadline_h=4, max_error_rate=0.0, payload_mb=5),
        notes=("One request is one file of 10,000 customers.",),
    )


@checked
def lead_scoring(leads: Count = 50_000) -> Scenario:
    """Score the day's *leads* for the sales team, once a night from 03:00 within ten minutes, due at 07:00."""
    return Scenario(
        "lead_scoring",
        "The sales team wants the day's leads in order by seven: an endpoint all day for ten minutes of work?",
        workload=nightly(leads, at_hour=3, within_s=600, name="leads"),
        model=_model("lead-scorer", lognormal(mean=0.030, cv=0.3), size_mb=30, memory_mb=800, request_kb=3),
        limits=Limits(deadline_h=4, max_error_rate=0.0),
    )


@checked
def preprocessing(count: Count = 3000) -> Scenario:
    """Clean *count* files of 50 MB before a training begins."""
    return Scenario(
        "preprocessing",
        "Training waits until all files are clean: how many machines until the last file, not the cost, decides?",
        workload=files(count, size_mb=50, records_per_file=2000, name="raw-files"),
        model=_model("cleaner", lognormal(mean=45.0, cv=0.5), size_mb=20, memory_mb=3000, request_kb=50_000),
        limits=Limits(deadline_h=6, max_error_rate=0.001, payload_mb=50),
    )


@checked
def large_images(per_hour: Positive = 60.0) -> Scenario:
    """Analyse satellite or medical images of 80 MB, a minute each, *per_hour* of them on average over the day."""
    return Scenario(
        "large_images",
        "An image of 80 MB and a minute of work: who holds the line, and what if nobody sends one all night?",
        workload=diurnal(mean_rate=per_hour / 3600, peak_to_mean=2.0, peak_hour=13, name="images"),
        model=_model("image-analyser", lognormal(mean=60.0, cv=0.4), size_mb=2500, memory_mb=12_000, request_kb=80_000),
        limits=Limits(max_p99_s=900, max_error_rate=0.001, payload_mb=80),
    )


@checked
def long_documents(per_hour: Positive = 40.0) -> Scenario:
    """Summarise contracts of hundreds of pages: ten minutes at times, in bursts, *per_hour* of them on average."""
    calm, burst = 0.4 * per_hour / 3600, 2.8 * per_hour / 3600  # on average per_hour: bursts are a quarter of the time
    return Scenario(
        "long_documents",
        "What if one answer takes ten minutes, and a whole case file comes at once?",
        workload=bursty(calm, burst, mean_calm_s=5400, mean_burst_s=1800, name="documents"),
        model=ModelProfile(
            "summariser",
            service=lognormal(mean=180.0, cv=0.9),
            size_mb=14_000,
            load_seconds=90,
            memory_mb=20_000,
            request_kb=20_000,
            response_kb=20,
            needs_gpu=True,
        ),
        limits=Limits(deadline_h=2, max_error_rate=0.001, payload_mb=20),
    )


@checked
def forgotten_endpoint() -> Scenario:
    """Three trial calls on Friday at 17:00, and nobody deletes the GPU endpoint until Monday at 09:00."""
    return Scenario(
        "forgotten_endpoint",
        "Three calls on Friday afternoon: what has the endpoint cost by Monday morning?",
        workload=from_counts([3], every_s=600, name="trial"),
        model=ModelProfile(
            "demo",
            service=lognormal(mean=0.4, cv=0.3),
            size_mb=8000,
            load_seconds=60,
            memory_mb=12_000,
            needs_gpu=True,
        ),
        limits=Limits(),
        days=64 / 24,
        notes=("The clock starts on Friday at 17:00 and stops 64 hours later.",),
    )


def _model(name: str, service: Law, *, size_mb: float, memory_mb: float, request_kb: float) -> ModelProfile:
    """A model that loads as fast as a disk reads (200 MB/s) and answers with little."""
    return ModelProfile(
        name,
        service=service,
        size_mb=size_mb,
        load_seconds=size_mb / 200,
        memory_mb=memory_mb,
        request_kb=request_kb,
        response_kb=1,
    )


def every() -> tuple[Scenario, ...]:
    """All scenarios, each with the numbers it starts from."""
    makers = (
        chat_translation,
        night_models,
        photo_tags,
        recommendation,
        fraud,
        daily_segmentation,
        lead_scoring,
        preprocessing,
        large_images,
        long_documents,
        forgotten_endpoint,
    )
    return tuple(make() for make in makers)
