"""The memory of one endpoint's lane: its tables, how they grow, and the commands that change the fleet.

A `Station` is what the SimPy side holds.  It loads chunks of requests as the clock needs them, keeps the tables large
enough before each step (so that the compiled code never has to ask), and names instances where lanes name places.
"""

import ctypes
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from simlib.record import BINS, COLD, NOBODY, REJECTED, TALLIES, Requests, counted, counted_by
from simlib.serving import lanes
from simlib.serving.lanes import Lane
from simlib.serving.tape import Tape

CHUNK = 1 << 16
_MANY = 100_000  # requests, from which on their tables are megabytes
_LOG = ("log_times", "log_codes", "log_instance")
EMPTY = np.empty(0)


class Chunk(NamedTuple):
    """Requests in arrival order with every random number they will need, used or not."""

    arrivals: np.ndarray  # (n,) seconds
    services: np.ndarray  # (variants, n) seconds
    u_variant: np.ndarray = EMPTY  # (n,), or empty where the endpoint has nothing to choose
    u_instance: np.ndarray = EMPTY
    u_backoff: np.ndarray = EMPTY

    def part(self, begin: int, end: int) -> "Chunk":
        """Requests *begin* to *end* of this chunk."""
        return self.of(slice(begin, end))

    def of(self, which: slice | np.ndarray) -> "Chunk":
        """Some of the requests of this chunk; what is empty stays so."""
        return Chunk(*(column[..., which] if column.size else column for column in self))


class Drawn(NamedTuple):
    """What requests that are known already need of a variant that joins late."""

    services: np.ndarray  # (n,) seconds, of the chunk that was given last
    u_variant: np.ndarray  # (n,) of all variants
    services_inside: np.ndarray  # (k,) of those inside, in the order of `Station.inside`
    u_variant_inside: np.ndarray


class Outcomes(NamedTuple):
    """What came of some requests so far, one entry each."""

    arrival: np.ndarray
    finish: np.ndarray
    status: np.ndarray  # numbers of `record.STATUSES`
    variant: np.ndarray


class Rules(NamedTuple):
    """What the compiled code is told about the endpoint; the fields of `lanes.RULES`."""

    routing: int
    queue_limit: int = lanes.NO_LIMIT
    limit_grows: bool = False
    refusal: int = REJECTED
    timeout_s: float = np.inf
    cancel_on_timeout: bool = False
    max_attempts: int = 1
    backoff_base_s: float = 0.0
    backoff_factor: float = 1.0
    backoff_jitter: bool = False
    max_concurrency: int = 0
    keep_alive_s: float = np.inf
    max_age_s: float = np.inf
    reuse: int = lanes.NEWEST_CREATED
    fetch_s: float = 0.0
    ttl_s: float = np.inf
    transfer_holds_slot: bool = False
    requeues: bool = False
    log: bool = True
    fold: bool = False


class Station:
    """One endpoint's requests, in the lanes.

    Parameters
    ----------
    rules : Rules
    workers : sequence of int
        Workers of one instance, for each variant.
    chunks : iterable of Chunk
        The requests, in arrival order; read only as far as the clock needs.
    chunk : int
        The most requests handed to the compiled code at a time.  It changes memory and speed, never a result.
    """

    def __init__(self, rules: Rules, workers: Sequence[int], chunks: Iterable[Chunk], *, chunk: int = CHUNK) -> None:
        self.workers = tuple(workers)
        self._chunks, self._chunk = iter(chunks), chunk
        self._block, self._taken = Chunk(EMPTY, np.empty((len(workers), 0))), 0  # being loaded, and how far
        self.tape: Tape | None = None  # of what decisions read, where the run keeps checkpoints
        self._exhausted = False
        self._place_of: dict[int, tuple[int, int]] = {}  # instance → (variant, place)
        # variant → (its youngest instance, the place of that, the last one)
        self._last: dict[int, tuple[int, int]] = {}
        self._lent = False
        self.rows = 0  # requests loaded so far, arrived or not
        self.now = 0.0  # everything up to this instant [s] is settled
        self._serverless = rules.routing == lanes.SERVERLESS
        self._asynchronous = rules.routing == lanes.ASYNCHRONOUS
        flows = {lanes.SERVERLESS: lanes.advance_pool, lanes.ASYNCHRONOUS: lanes.advance_queue}
        self._flow = flows.get(rules.routing, lanes.advance)
        self.lane = _new_lane(rules, self.workers)

    @property
    def arrived(self) -> int:
        """Requests that have come to the door so far."""
        return int(self.lane.state[0]["first_row"] + self.lane.state[0]["cursor"])

    def expect(self, requests: float) -> None:
        """About so many *requests* more will come: make room at once for what would grow piece by piece.

        In the log for them, chance, and a chunk loaded ahead; inside for a chunk, and for somebody from the one before.
        """
        if requests > self._chunk:
            self._make_room_for_requests(self._chunk + 1)
            if self.lane.rules[0]["log"]:
                self._make_room_in_log(self.rows + int(requests + 5 * requests**0.5) + self._chunk)

    # --- the flow ---

    def advance(self, until: float) -> None:
        """Bring the lane to *until* [s]: arrivals before it, completions, starts and time-outs up to it."""
        if self.plays:
            return
        self._take_back()
        self._make_room_for_minutes(until)
        while not self._flow(self.lane, until, not self._exhausted):
            self._load()
        self.now = until

    def let_go(self) -> None:
        """The run is over and its record taken: free the lane's tables now.

        A simulation refers to itself all over, so they would stay until Python looks for such rings: another run's
        worth of memory, or several.
        """
        del self.lane
        if self.rows > _MANY:
            hand_back()

    def _load(self) -> None:
        while self._taken == len(self._block.arrivals):
            block = next(self._chunks, None)
            if block is None:
                self._exhausted = True
                return
            self._block, self._taken = block, 0
        chunk = self._block.part(self._taken, self._taken + self._chunk)
        self._taken += len(chunk.arrivals)
        n = len(chunk.arrivals)
        self._make_room_for_requests(n)
        if self.lane.rules[0]["log"]:
            self._make_room_in_log(self.rows + n)
            self.lane.log_times[lanes.ARRIVAL, self.rows : self.rows + n] = chunk.arrivals
        self.lane = self.lane._replace(**_columns(chunk))
        self.lane.state[0]["cursor"], self.lane.state[0]["first_row"] = 0, self.rows
        self.rows += n

    # --- commands, at the instant the lane was advanced to ---

    def open(self, variant: int, instance: int) -> None:
        """*instance* comes into service."""
        if self.plays:
            return
        if variant not in self._last:
            self._last[variant] = max(
                ((n, p) for n, (v, p) in self._place_of.items() if v == variant), default=(-1, -1)
            )
        youngest, last = self._last[variant]
        p, later = 1 + last, youngest > instance
        if p == self.lane.places.shape[1]:
            p = self._make_room_for_place(variant)
        self._place_of[instance] = (variant, p)
        self._last[variant] = (instance, p)
        lanes.open_place(self.lane, variant, p, instance, self.workers[variant], self.now)
        if later:  # a younger one came up faster; places are in the order of numbers
            self._rearrange(self.lane.places.shape[1])
        self.advance(self.now)

    def drain(self, instance: int) -> None:
        """*instance* takes no new requests."""
        if self.plays:
            return
        lanes.drain_place(self.lane, *self._place_of[instance])

    def kill(self, instance: int) -> None:
        """*instance* is gone; whatever it had not answered fails, or goes back to the line."""
        if self.plays:
            return
        self._take_back()
        variant, place = self._place_of[instance]
        if self.lane.places[variant, place]["serving"]:
            self.drain(instance)
        lanes.kill_place(self.lane, variant, place, self.now)
        del self._place_of[instance]
        self._last.clear()
        self.advance(self.now)

    def weigh(self, weights: Sequence[float]) -> None:
        """From now on the door sends requests to variants in proportion to *weights*."""
        if self.plays:
            return
        self.lane.variants["weight"] = weights

    def join(self, workers: int, drawn: "Drawn") -> int:
        """One more variant stands behind the door, with weight 0 and no instance yet.  Returns its number.

        *drawn* has what the requests that are known already will need there.
        """
        number, inside = len(self.workers), self._taken_rows()
        self.workers = (*self.workers, workers)
        self._block = self._block._replace(
            services=np.concatenate([self._block.services, drawn.services[None]]), u_variant=drawn.u_variant
        )
        loaded = self._block.part(self._taken - len(self.lane.arrivals), self._taken)
        self.lane = _with_variant(self.lane, _power_of_two(max(self.workers)))._replace(**_columns(loaded))
        self.lane.service_of[inside, number] = drawn.services_inside
        self.lane.requests["u_variant"][inside] = drawn.u_variant_inside
        return number

    def provision(self, containers: int) -> None:
        """So many provisioned containers more, or fewer where negative, from now on (serverless)."""
        if self.plays:
            return
        self._take_back()
        for _ in range(containers):
            lanes.provision_container(self.lane, self.now)
        for _ in range(-containers):
            lanes.unprovision_container(self.lane, self.now)

    # --- what decisions read; all of it goes on the tape, where there is one ---

    def counted(self, variant: int, column: int, first: int, last: int) -> list[float]:
        """What stands in a column of the tally in minute *first*, in those after it up to *last*, and in *last*."""
        return self._read(lambda: counted(self.lane, variant, column, first, last))

    def waiting_and_running(self) -> np.ndarray:
        """Requests waiting and busy workers now, for each variant: shape (variants, 2)."""
        return np.array(self._read(lambda: self._count_inside().ravel().tolist())).reshape(-1, 2)

    @property
    def backlog(self) -> int:
        """How many are inside now."""
        return int(self._read(lambda: [len(self.lane.requests) - self.lane.state[0]["spare"]])[0])

    def held(self, instance: int) -> int:
        """Requests bound to an instance, or in work there, now."""
        return int(self._read(lambda: [self._count_held(instance)])[0])

    def oldest_s(self) -> float:
        """When the request that is inside the longest arrived [s]; infinite where there is none."""
        return float(self._read(lambda: [self.inside()["arrival"].min(initial=np.inf)])[0])

    def _read(self, look: Callable[[], list[float]]) -> list[float]:
        return look() if self.tape is None else self.tape.read(look)

    @property
    def plays(self) -> bool:
        """Whether decisions are made again on tape: then commands are heard, and were obeyed long ago."""
        return self.tape is not None and self.tape.plays

    def _count_inside(self) -> np.ndarray:
        found = np.zeros((len(self.workers), 2), np.int64)
        if self._serverless:
            found[0, 1] = lanes.count_working(self.lane)
        else:
            lanes.count_inside(self.lane, found)
        return found

    def _count_held(self, instance: int) -> int:
        variant, place = self._place_of[instance]
        inside = self.inside()
        return int(((inside["variant"] == variant) & (inside["place"] == place)).sum())

    # --- what it looks like now ---

    def inside(self) -> np.ndarray:
        """The rows of `lanes.REQUEST` of those who are inside now: waiting, in work, or waiting to try again."""
        found = self.lane.requests[self._taken_rows()]
        if self._asynchronous:  # the model may have been called again and again
            calls = np.zeros(len(self.lane.requests), np.int64)
            lanes.count_calls_now(self.lane, calls)
            found["attempts"] += calls[self._taken_rows()]
        return found

    def _taken_rows(self) -> np.ndarray:
        """Which rows of the lane's requests somebody has."""
        taken = np.ones(len(self.lane.requests), dtype=bool)
        taken[self.lane.spare[: self.lane.state[0]["spare"]]] = False
        return taken

    def outcomes(self, rows: np.ndarray) -> Outcomes:
        """What is known now of requests that have arrived, by their rows in the log; INSIDE of those not over."""
        lane = self.lane
        status = lane.log_codes[lanes.STATUS, rows] & (COLD - 1)  # 0, which is INSIDE, until it is settled
        arrival, finish = lane.log_times[lanes.ARRIVAL, rows], lane.log_times[lanes.FINISH, rows]
        return Outcomes(arrival, finish, status, lane.log_codes[lanes.VARIANT_OF, rows])

    def log(self) -> Requests:
        """The log up to now.  Who is inside has no finish, and a start only if it has begun.

        It is lent, not copied: should the station go on, it goes on with a copy.
        """
        n, lane, inside = self.arrived, self.lane, self.inside()
        rows, bound = inside["row"], inside["place"] != NOBODY
        begun = (inside["start"] <= self.now) & bound
        at = lane.places["instance"][inside["variant"], inside["place"]]
        lane.log_times[lanes.START, rows] = np.where(begun, inside["start"], np.nan)
        lane.log_times[lanes.FINISH, rows] = np.nan
        attempts = np.minimum(inside["attempts"], 127)
        lane.log_codes[:, rows] = np.stack([inside["status"] & COLD, inside["variant"], attempts])
        lane.log_instance[rows] = np.where(bound, at, NOBODY)
        self._lent = True
        arrival, start, finish = lane.log_times[: lanes.SETUP_OF, :n]
        outcome, variant, attempts = lane.log_codes[:, :n]
        plain = Requests(
            arrival, start, finish, outcome & (COLD - 1), variant, attempts, lane.log_instance[:n], outcome >= COLD
        )
        return plain._replace(setup=self._setups(rows[bound & ~begun])) if self._serverless else plain

    def _setups(self, still_to_end: np.ndarray) -> np.ndarray:
        """The length of each request's cold start up to now; not known yet of those that have *still to end*."""
        setups: np.ndarray = self.lane.log_times[lanes.SETUP_OF, : self.arrived]
        if len(still_to_end):  # nothing else writes them again when the station goes on
            setups = setups.copy()
            setups[still_to_end] = np.nan
        return setups

    def tables(self, end_s: float) -> dict[str, np.ndarray]:
        """What was counted up to *end_s*, as in a snapshot.  It is lent, as the log is."""
        self._lent = True
        return counted_by(self.lane, end_s)

    def _take_back(self) -> None:
        """Go on with copies of what was lent."""
        if self._lent:
            lane, have = self.lane, len(self.lane.log_instance)
            self.lane = lane._replace(
                tally=lane.tally.copy(),
                per_instance=lane.per_instance.copy(),
                histogram=lane.histogram.copy(),
                log_times=longer(lane.log_times[:, : self.rows], have, axis=1),
                log_codes=longer(lane.log_codes[:, : self.rows], have, axis=1),
                log_instance=longer(lane.log_instance[: self.rows], have),
            )
            self._lent = False

    # --- keeping it ---

    def memory(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """All it remembers, as JSON and arrays; the source of its chunks must be a `Demand`."""
        source: Any = self._chunks
        story = {
            "rows": self.rows,
            "exhausted": self._exhausted,
            "taken": self._taken,
            "places": [[instance, *where] for instance, where in self._place_of.items()],
            "demand": source.place,
        }
        arrays = {f"lane.{name}": column for name, column in self.lane._asdict().items()}
        for name in _LOG:
            arrays[f"lane.{name}"] = arrays[f"lane.{name}"][..., : self.rows]
        arrays |= {f"lane.{name}": table for name, table in counted_by(self.lane, self.now).items()}
        arrays |= {f"block.{name}": column for name, column in self._block._asdict().items()}
        if self.tape is not None:
            arrays["tape.numbers"], arrays["tape.lengths"] = self.tape.arrays
        return story, arrays

    def remember(self, story: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        """Be as the station was whose `memory` this is; only the tape stays as it is."""
        source: Any = self._chunks
        source.seek(story["demand"])
        room = len(self.lane.log_instance)
        self.rows, self._exhausted, self._lent = story["rows"], story["exhausted"], False
        self._place_of = {instance: (variant, place) for instance, variant, place in story["places"]}
        self._last.clear()
        self.now = float(arrays["lane.state"][0]["now"])
        self.lane = Lane(**{name: arrays[f"lane.{name}"] for name in Lane._fields})
        self._block = Chunk(**{name: arrays[f"block.{name}"] for name in Chunk._fields})
        self._taken = story["taken"]
        self._make_room_in_log(room)

    # --- room ---

    def _make_room_for_requests(self, arriving: int) -> None:
        """So many free rows that each request of a chunk could stay inside, and a departure for each who can go."""
        lane, spare = self.lane, int(self.lane.state[0]["spare"])
        waiting = int(lane.variants["line_length"].sum())
        due = int(lane.state[0]["departures"] + lane.state[0]["retries"]) + waiting + arriving
        if len(lane.depart_at) < due:
            room = _power_of_two(due)
            lane = lane._replace(depart_at=longer(lane.depart_at, room), depart_of=longer(lane.depart_of, room))
            self.lane = lane
        if spare >= arriving:
            return
        old = len(lane.requests)
        new = _power_of_two(old - spare + arriving)
        lane.state[0]["spare"] = spare + new - old
        requests = longer(lane.requests, new)
        self.lane = lane._replace(
            requests=requests,
            service_of=longer(lane.service_of, new),
            spare=longer(np.concatenate([np.arange(new - 1, old - 1, -1), lane.spare[:spare]]), new),
            line=np.stack([_unrolled(lane, v, new) for v in range(len(lane.variants))]),
            retry_at=longer(lane.retry_at, new),
            retry_of=longer(lane.retry_of, new),
        )
        self.lane.variants["line_head"] = 0

    def _make_room_for_minutes(self, until: float) -> None:
        minutes = self.lane.tally.shape[1]
        if until < minutes * 60.0:
            return
        new = max(2 * minutes, int(until // 60) + 2)
        hours = new // 60 + 1 if self.lane.rules[0]["fold"] else 0
        self.lane = self.lane._replace(
            tally=longer(self.lane.tally, new, axis=1),
            per_instance=longer(self.lane.per_instance, new, axis=1),
            histogram=longer(self.lane.histogram, hours, axis=1),
        )

    def _make_room_in_log(self, rows: int) -> None:
        have = len(self.lane.log_instance)
        if rows <= have:
            return
        new = max(8 * have, rows)  # zeros cost nothing until they are written; copying what is there does
        self.lane = self.lane._replace(
            log_times=longer(self.lane.log_times, new, axis=1),
            log_codes=longer(self.lane.log_codes, new, axis=1),
            log_instance=longer(self.lane.log_instance, new),
        )

    def _make_room_for_place(self, variant: int) -> int:
        """Close the gaps that dead instances left, in all variants; double the places where few gaps were found."""
        fleets = [sum(v == w for w, _ in self._place_of.values()) for v in range(len(self.workers))]
        n = self.lane.places.shape[1]
        self._rearrange(2 * n if max(fleets) > n // 2 else n)
        return fleets[variant]

    def _rearrange(self, n: int) -> None:
        """Give all instances the first of *n* places, in the order of their numbers."""
        alive = [[p for _, (w, p) in sorted(self._place_of.items()) if w == v] for v in range(len(self.workers))]
        inside = self.inside()
        self.lane = _moved(self.lane, alive, n)
        to = [{old: new for new, old in enumerate(kept)} for kept in alive]
        self._place_of = {i: (v, to[v][p]) for i, (v, p) in self._place_of.items()}
        self._last.clear()
        taken = np.isin(self.lane.requests["row"], inside["row"])
        for k in np.flatnonzero(taken):
            request = self.lane.requests[k]
            request["place"] = to[request["variant"]].get(int(request["place"]), NOBODY)


def hand_back() -> None:
    """Freed memory goes back to the system, where the C library (glibc) would keep it for later."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim:
        trim(0)


def _columns(chunk: Chunk) -> dict[str, np.ndarray]:
    """A chunk as the lane holds it: of one kind whatever was given, so that the lanes are compiled once."""
    return {name: np.require(column, float, ["C", "W"]) for name, column in chunk._asdict().items()}


def _power_of_two(n: int) -> int:
    return 1 << max(0, n - 1).bit_length()


def longer(array: np.ndarray, n: int, axis: int = 0) -> np.ndarray:
    """A copy with *n* entries along *axis*, new ones zero."""
    shape = list(array.shape)
    shape[axis] = n
    longer = np.zeros(shape, array.dtype)
    longer[(slice(None),) * axis + (slice(0, array.shape[axis]),)] = array
    return longer


def _unrolled(lane: Lane, v: int, n: int) -> np.ndarray:
    """Variant *v*'s ring of those waiting, from its head on, in a ring of *n*."""
    ring, head = lane.line.shape[1], int(lane.variants[v]["line_head"])
    return longer(lane.line[v, (head + np.arange(ring)) % ring], n)


def _tree(keys: np.ndarray) -> np.ndarray:
    """A winner tree over *keys* (a power of two of them): the smallest key, the lowest number at a tie."""
    n = len(keys)
    winners = np.zeros(2 * n, np.int32)
    winners[n:] = np.arange(n)
    for node in range(n - 1, 0, -1):
        left, right = winners[2 * node], winners[2 * node + 1]
        winners[node] = left if keys[left] <= keys[right] else right
    return winners


def _new_lane(rules: Rules, workers: Sequence[int]) -> Lane:
    n_variants, width = len(workers), _power_of_two(max(workers))
    serverless = rules.routing == lanes.SERVERLESS
    # as many containers as may be busy, as many again that are idle, and as many that are provisioned
    containers = _power_of_two(3 * rules.max_concurrency) if serverless else 0
    ranks = lanes.room_of_ranks(2 * containers) if serverless else 0
    n_services = 3 if rules.routing in (lanes.SERVERLESS, lanes.ASYNCHRONOUS) else n_variants
    state, places = np.zeros(1, lanes.STATE), np.zeros((n_variants, containers or 1), lanes.PLACE)
    state["unused"], places["created"] = containers, np.nan
    variants = np.zeros(n_variants, lanes.VARIANT)
    variants["weight"] = 1.0
    never = np.full((n_variants, width), lanes.INF)
    return Lane(
        arrivals=EMPTY,
        services=np.empty((n_services, 0)),
        u_variant=EMPTY,
        u_instance=EMPTY,
        u_backoff=EMPTY,
        state=state,
        rules=np.array([tuple(rules)], lanes.RULES),
        variants=variants,
        retry_at=np.empty(0),
        retry_of=np.empty(0, np.int64),
        requests=np.empty(0, lanes.REQUEST),
        service_of=np.empty((0, n_services)),
        spare=np.empty(0, np.int64),
        line=np.empty((n_variants, 0), np.int64),
        depart_at=np.empty(0),
        depart_of=np.empty(0, np.int64),
        places=places,
        slots=_idle_slots(n_variants, containers or width),
        free=never,
        first_free=np.stack([_tree(keys) for keys in never]),
        outstanding=np.full((n_variants, 1), lanes.INF),
        least=np.zeros((n_variants, 2), np.int32),
        serving=np.zeros((n_variants, 1), np.int64),
        by_birth=np.full(ranks, NOBODY),
        ready_at=np.full(ranks + ranks // 3, lanes.NEVER),
        idle_of=np.empty(containers, np.int64),
        warm=np.empty(containers, np.int64),
        unused=np.arange(containers)[::-1].copy(),
        tally=np.zeros((n_variants, 0, TALLIES), np.int64),
        per_instance=np.zeros((n_variants, 0)),
        histogram=np.zeros((n_variants, 0, BINS), np.int64),
        log_times=np.empty((4 if serverless else 3, 0)),
        log_codes=np.empty((3, 0), np.int8),
        log_instance=np.empty(0, np.int32),
    )


def _idle_slots(n_variants: int, n: int) -> np.ndarray:
    slots = np.zeros((n_variants, n), lanes.SLOT)
    slots["holds"] = NOBODY
    return slots


def _with_variant(lane: Lane, width: int) -> Lane:
    """The same lane with one more variant, of weight 0, and at least *width* slots a place."""
    n_variants, n = len(lane.variants) + 1, lane.places.shape[1]
    old_width = lane.slots.shape[1] // n
    width = max(width, old_width)
    slots, free = _idle_slots(n_variants, n * width), np.full((n_variants, n * width), lanes.INF)
    slots["place"] = np.arange(n * width) // width
    kept = (np.arange(n)[:, None] * width + np.arange(old_width)).ravel()
    slots[:-1, kept], free[:-1, kept] = lane.slots, lane.free
    places = longer(lane.places, n_variants)
    places["created"][-1] = np.nan
    outstanding = np.vstack([lane.outstanding, np.full(n, lanes.INF)])
    more = ("variants", "line", "serving", "tally", "per_instance", "histogram")
    return lane._replace(
        places=places,
        slots=slots,
        free=free,
        first_free=np.stack([_tree(keys) for keys in free]),
        outstanding=outstanding,
        least=np.stack([_tree(keys) for keys in outstanding]),
        service_of=longer(lane.service_of, n_variants, axis=1),
        **{name: longer(getattr(lane, name), n_variants) for name in more},
    )


def _moved(lane: Lane, alive: Sequence[Sequence[int]], n: int) -> Lane:
    """The same fleets with the places that are *alive* moved to the front of *n* places, in their order."""
    n_variants, width = len(alive), lane.slots.shape[1] // lane.places.shape[1]
    places, slots = np.zeros((n_variants, n), lanes.PLACE), _idle_slots(n_variants, n * width)
    free, outstanding = np.full((n_variants, n * width), lanes.INF), np.full((n_variants, n), lanes.INF)
    serving = np.zeros((n_variants, n), np.int64)
    for v, kept in enumerate(alive):
        old = (np.asarray(kept, dtype=np.int64)[:, None] * width + np.arange(width)).ravel()
        places[v, : len(kept)], outstanding[v, : len(kept)] = lane.places[v, kept], lane.outstanding[v, kept]
        slots[v, : len(old)], free[v, : len(old)] = lane.slots[v, old], lane.free[v, old]
        slots[v]["place"] = np.arange(n * width) // width
        now_serving = np.flatnonzero(places[v]["serving"])
        serving[v, : len(now_serving)] = now_serving
    return lane._replace(
        places=places,
        slots=slots,
        free=free,
        first_free=np.stack([_tree(keys) for keys in free]),
        outstanding=outstanding,
        least=np.stack([_tree(keys) for keys in outstanding]),
        serving=serving,
    )
