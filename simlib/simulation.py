"""One clock for everything: time, calendar, named random streams, the event log, and `simulate`.

    >>> import simlib as sl
    >>> from simlib import serving, workload
    >>> model = sl.ModelProfile("tagger", service=sl.constant(0.05))
    >>> run = sl.simulate(serving.RealTime(model), workload.poisson(rate=4), hours=1, seed=7)
    >>> len(run.requests), round(run.summary()["utilization"], 2)
    (14158, 0.2)

The clock is SimPy's.  Whatever decides is a SimPy process on `Simulation.env`; the flow of requests between decisions
is arithmetic in the lanes of each endpoint, brought to the clock whenever somebody looks.
"""

import hashlib
import math
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, Protocol

import numpy as np
import simpy
from pydantic import PlainValidator, SkipValidation

from simlib.parameters import Flag, NonNegative, ParameterError, Positive, Text, Whole, checked, shortly
from simlib.workload import Workload

if TYPE_CHECKING:
    from simlib.results import Run
else:
    Run = object  # results, with pandas, is imported when a run is made; `checked` needs a name to look at before

EXACT_UP_TO = 20_000_000
"""Requests a run expects at most for its log to be kept whole, with log="auto"."""

LOOK_EVERY = 1_000_000
"""Requests between two looks of a run at itself, for the progress bar and for Ctrl-C."""

LONGEST_S = 40 * 366 * 86400.0
"""No run ends later: each minute is counted, some 80 MB a year (folded 260 MB), so a slip would fill the memory."""

MOST_REQUESTS = 1e11  # some three hours at ten million a second

SHOW_PROGRESS_AFTER_S = 2.0

_LONG_S = 100 * 365 * 86_400.0  # what comes after this never ends

Log = Literal["auto", "exact", "folded"]


class Event(NamedTuple):
    """Something that happened: when [s], what, to whom, and what is worth knowing of it."""

    time_s: float
    kind: str
    subject: str
    detail: str


class Deployed(Protocol):
    """What runs on a simulation: a deployment with its workload."""

    name: str
    workload: Workload

    @property
    def run(self) -> "Run": ...
    @property
    def stations(self) -> list[Any]: ...
    def advance(self) -> None: ...
    def expect(self, until_s: float) -> None: ...


class Deployment(Protocol):
    """A way to serve a model; `serving` has them."""

    def deploy(self, sim: "Simulation", workload: Workload, name: str, *, log: bool, from_cold: bool) -> Any: ...


def is_deployment(value: object) -> bool:
    """Whether *value* is a way to serve a model, and not the class of one."""
    return not isinstance(value, type) and callable(getattr(value, "deploy", None))


def _deployment(value: object) -> object:
    if not is_deployment(value):
        raise ValueError(
            f"deployment={shortly(value)} is not a way to serve a model; write for instance serving.RealTime(model)."
        )
    return value


def _moment(value: object) -> datetime:
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        raise ValueError(f'start={value!r} is not possible: it should be like "2026-01-05T00:00Z".') from None
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


AnyDeployment = Annotated[Deployment, PlainValidator(_deployment)]
Process = Callable[..., Generator[simpy.Event, Any, Any]] | Generator[simpy.Event, Any, Any]


class Simulation:
    """Several things on one clock.

    Parameters
    ----------
    seed : int
        Same seed, same bytes.
    start : str
        What the calendar says at t = 0 (ISO 8601, UTC).  Schedules and working hours go by the calendar; a workload's
        hours count from t = 0, so the two agree where the run starts at midnight.
    region : str
        Where everything runs; decides prices.
    replication : int
        Number of this repetition of the experiment; each has random streams of its own.
    log : "exact" | "folded"
        Keep every request, or fold them into minutes and histograms.
    """

    @checked
    def __init__(
        self,
        seed: Whole = 0,
        *,
        start: Annotated[str, PlainValidator(_moment)] = "2026-01-05T00:00Z",
        region: Text = "us-east-1",
        replication: Whole = 0,
        log: Literal["exact", "folded"] = "exact",
    ) -> None:
        self.env = simpy.Environment(initial_time=0.0)
        self.seed = seed
        self.replication = replication
        self.started_at = _moment(start)
        self.region = region
        self.interrupted = False
        self.endpoints: list[Deployed] = []
        self.log = log
        self._events: list[Event] = []

    # --- randomness and calendar ---

    def rng(self, *purpose: str) -> np.random.Generator:
        """The random stream for *purpose*, a name in parts; the same for the same seed, replication and purpose."""
        digest = hashlib.sha256("\0".join(purpose).encode()).digest()
        words = np.frombuffer(digest, dtype="<u4").tolist()
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(self.replication, *words)))

    def date(self, time_s: float | None = None) -> datetime:
        """What the calendar says at *time_s* seconds (default: now)."""
        return self.started_at + timedelta(seconds=self.env.now if time_s is None else time_s)

    # --- what runs ---

    @checked
    def deploy(
        self,
        deployment: AnyDeployment,
        workload: Workload,
        *,
        rows: SkipValidation[Any] = None,
        from_cold: Flag = False,
    ) -> Any:
        """Start serving *workload* with *deployment*, now.

        Initial instances are in service at once, unless *from_cold*: then they launch first.

        Parameters
        ----------
        rows : monitoring.Stream or None
            What the requests carry; rows are made for those that the deployment's `data_capture` keeps.

        Returns
        -------
        Endpoint
            Its `run` tells what came of it.
        """
        name = f"endpoint-{len(self.endpoints) + 1}"
        endpoint = deployment.deploy(self, workload, name, log=self.log == "exact", from_cold=from_cold)
        if rows is not None:
            endpoint.carry(rows)
        self.endpoints.append(endpoint)
        return endpoint

    @checked
    def start(self, process: Annotated[Process, SkipValidation]) -> simpy.Process:
        """Start a SimPy process: a generator, or a function that makes one from this simulation."""
        story: object = process(self) if callable(process) else process
        if not isinstance(story, Generator):
            wanted = "a function of the simulation with a `yield` in it"
            raise ParameterError(f"start: process={shortly(process)} is not possible: it should be {wanted}.")
        return self.env.process(story)

    # --- the event log ---

    def tell(self, kind: str, subject: str, detail: str = "") -> None:
        """Note in the event log that *kind* happened to *subject*, now."""
        self._events.append(Event(self.env.now, kind, subject, detail))

    def events_of(self, name: str) -> tuple[Event, ...]:
        """The events about *name* and its parts ("name/…")."""
        return tuple(e for e in self._events if e.subject.split("/", 1)[0] == name)

    # --- running ---

    @checked
    def run(
        self,
        *,
        hours: Positive | None = None,
        days: Positive | None = None,
        until_s: Positive | None = None,
        progress: Flag | None = None,
    ) -> None:
        """Let *hours* or *days* pass, or run until the clock shows *until_s*.

        Ctrl-C stops at the next look; everything up to there stands, and runs are marked partial.  The progress bar
        shows itself after two seconds; *progress* forces it on or off.
        """
        self.run_in_parts([_end("run", self.env.now, hours=hours, days=days, until_s=until_s)], progress=progress)

    def run_in_parts(
        self, ends_s: Sequence[float], after: Callable[[], None] = lambda: None, *, progress: bool | None
    ) -> None:
        """Run as `run` does to the last of *ends_s* [s, ascending]; on the way call *after* at each of them."""
        begin, end = self.env.now, ends_s[-1]
        self.interrupted = False  # a run that was stopped goes on from there
        for endpoint in self.endpoints:
            endpoint.expect(end)
        with _ctrl_c(self._interrupt), closing(_Bar(end - begin, progress)) as bar:
            self.env.process(self._look(end, bar))
            for stop in ends_s:
                while not self.interrupted and self.env.peek() < stop:
                    self.env.step()
                if not self.interrupted:
                    self.env.run(until=stop)
                for endpoint in self.endpoints:
                    endpoint.advance()
                if self.interrupted:
                    break
                after()

    @checked
    def run_to(self, event: Annotated[simpy.Event, SkipValidation]) -> None:
        """Let time pass until *event* has happened, such as `done` of a batch job; Ctrl-C stops it as in `run`.

        Raises
        ------
        ParameterError
            If it is no event of SimPy's, or nothing is left that could make it happen.
        """
        if not isinstance(event, simpy.Event):
            raise ParameterError(f"run_to: event={shortly(event)} is not possible: it should be an event of SimPy's.")
        self.interrupted = False
        with _ctrl_c(self._interrupt):
            while not self.interrupted and not event.processed:
                if self.env.peek() == math.inf:
                    raise ParameterError("run_to: event never happens: nothing is left to happen before it.")
                self.env.step()
        for endpoint in self.endpoints:
            endpoint.advance()

    def _interrupt(self) -> None:
        self.interrupted = True

    def _look(self, end: float, bar: "_Bar") -> Generator[simpy.Event, Any, None]:
        """Keep all endpoints near the clock, so that a bar can move and Ctrl-C can stop.  A look changes nothing."""
        begin = self.env.now
        requests = sum(endpoint.workload.expected(begin, end) for endpoint in self.endpoints)
        looks = max(1, math.ceil(requests / LOOK_EVERY))
        for k in range(1, looks):
            yield self.env.timeout(begin + (end - begin) * k / looks - self.env.now)
            for endpoint in self.endpoints:
                endpoint.advance()
            bar.update(self.env.now - begin)


@checked
def simulate(
    deployment: AnyDeployment,
    workload: Workload,
    *,
    hours: Positive | None = None,
    days: Positive | None = None,
    seed: Whole = 0,
    warm_up_hours: NonNegative = 0.0,
    log: Log = "auto",
    progress: Flag | None = None,
    region: Text = "us-east-1",
    replication: Whole = 0,
    start: Annotated[str, PlainValidator(_moment)] = "2026-01-05T00:00Z",
    checkpoint: str | Path | None = None,
) -> "Run":
    """Serve *workload* with *deployment* for *hours* or *days*, and return what came of it.

    A deployment that ends by itself (a batch job) needs no length: without one it runs to its end.

    Parameters
    ----------
    warm_up_hours : float
        Leave the first hours out of `summary`; they are simulated and billed all the same.
    log : "auto" | "exact" | "folded"
        "exact" keeps every request; "folded" keeps counts a minute and latency histograms, whose percentiles are
        within 1 %; "auto" is exact up to 20 million expected requests.
    start : str
        What the calendar says at t = 0, as in `Simulation`.
    checkpoint : path or None
        A file that holds the run as it was at the end of its last day.  Where it exists, the run goes on from there,
        whatever stopped it, and ends with the same bytes; a longer run of the same may go on from it too.

    Raises
    ------
    ParameterError
        One sentence that names the parameter, its value and what would be right.
    """
    to_its_end = hours is None and days is None and getattr(deployment, "ends_by_itself", False)
    end = _LONG_S if to_its_end else _end("simulate", 0.0, hours=hours, days=days)
    if to_its_end and workload.expected(end, 2 * end):
        raise ParameterError("simulate: give hours= or days=: this workload has no end.")
    if not warm_up_hours < end / 3600:
        raise ParameterError(
            f"simulate: warm_up_hours={warm_up_hours!r} is not possible: it should be less than {end / 3600:g}."
        )
    expected = workload.expected(0.0, end)
    if expected > MOST_REQUESTS:
        raise ParameterError(
            f"simulate: about {expected:.2g} requests are more than can be followed in hours ({MOST_REQUESTS:.0e}); "
            "give a shorter run, or workload.scaled(…)."
        )
    if log == "auto":
        log = "folded" if expected > EXACT_UP_TO else "exact"
    if log == "folded" and warm_up_hours % 1:
        raise ParameterError(
            f"simulate: warm_up_hours={warm_up_hours!r} is not possible: in a folded run it should be whole hours."
        )
    sim = Simulation(seed, start=start, region=region, replication=replication, log=log)
    endpoint = sim.deploy(deployment, workload)
    if checkpoint is not None:
        from simlib.checkpoint import run_with_checkpoints

        run_with_checkpoints(sim, endpoint, end, Path(checkpoint), progress=progress)
    elif to_its_end:
        sim.run_to(endpoint.done)
        end = sim.env.now
    else:
        sim.run(until_s=end, progress=progress)
    run: Run = endpoint.run
    for station in endpoint.stations:
        station.let_go()
    run.warm_up_hours = warm_up_hours
    if sim.interrupted:
        print(f"Stopped after {sim.env.now / 3600:.4g} of {end / 3600:.4g} hours: this run is partial.")
        if sim.env.now <= warm_up_hours * 3600:
            run.warm_up_hours = 0.0
            print("It was still warming up: its summary leaves nothing out.")
    return run


# --- running, in parts ----------------------------------------------------------------------------------------------


def _end(owner: str, now: float, **lengths: float | None) -> float:
    """The instant a run ends [s], from the one length that was given."""
    given = [(name, value) for name, value in lengths.items() if value is not None]
    if len(given) != 1:
        names = " or ".join(f"{name}=" for name in lengths)
        raise ParameterError(f"{owner}: give {names}, exactly one of them; this call gives {len(given)}.")
    name, value = given[0]
    end = value if name == "until_s" else now + value * {"hours": 3600.0, "days": 86400.0}[name]
    if end > LONGEST_S:
        raise ParameterError(f"{owner}: {name}={value!r} is not possible: a run ends after forty years at the latest.")
    if end <= now:
        raise ParameterError(f"{owner}: {name}={value!r} is not possible: the clock shows {now:g} s already.")
    return end


@contextmanager
def _ctrl_c(stop: Callable[[], None]) -> Iterator[None]:
    """While inside, Ctrl-C calls *stop*; a second one interrupts at once, as always."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals reach the main thread only
        return
    before, presses = signal.getsignal(signal.SIGINT), 0

    def handle(number: int, frame: Any) -> None:
        nonlocal presses
        presses += 1
        if presses > 1:
            raise KeyboardInterrupt
        stop()

    signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if presses > 1:  # raised inside a SimPy process, it only ended that process
        raise KeyboardInterrupt


class _Bar:
    """A progress bar over simulated time that appears once a run has taken two seconds; *shown* forces it on or off."""

    def __init__(self, seconds: float, shown: bool | None) -> None:
        self.seconds, self.shown, self.begun = seconds, shown, time.monotonic()
        self.bar: Any = None

    def update(self, seconds: float) -> None:
        """*seconds* of the run have passed on the simulated clock."""
        late = time.monotonic() - self.begun > SHOW_PROGRESS_AFTER_S
        if self.bar is None and (late if self.shown is None else self.shown):
            from tqdm.auto import tqdm

            form = "{l_bar}{bar}| {n:.0f}/{total:.0f} simulated s [{elapsed}<{remaining}]"
            self.bar = tqdm(total=self.seconds, bar_format=form, leave=False)
        if self.bar is not None:
            self.bar.update(seconds - self.bar.n)

    def close(self) -> None:
        """The run is over."""
        if self.bar is not None:
            self.bar.close()
