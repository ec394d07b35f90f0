"""The compiled lanes: what happens to requests between two decisions.

A fleet that does not change serves first come, first served, and needs no event list: a request starts when it arrives
or when the earliest worker is free, whichever is later.  `advance` runs that arithmetic over an endpoint's requests up
to an instant.  Whatever *decides* (an autoscaler, a crash, a new weight) is a SimPy process: it advances the lane to
its own instant, changes it by one of the commands at the end of this file, and so leaves nothing approximate.

Words.  A *request* enters the endpoint at its front door, which picks a *variant* by weight.  A variant's fleet has
*places*, each held by one instance, each with *workers*; (place, worker) is a *slot*.  A request inside the endpoint
has a row in the table `requests` until its outcome is *settled*: counted, folded and logged.  Nothing is settled
before the clock has passed it.

Order within one instant: completions, starts of those waiting, time-outs, decisions, arrivals, retries.  `advance(T)`
handles arrivals before T, and everything else up to and including T; so a decision at T finds T's completions done and
T's arrivals still to come.  docs/invariants.md numbers what must hold; tests/reference has the same stations as plain
SimPy processes.

All of it is in one file, because a cached caller is not compiled again when a function in another file changes.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import numba
import numpy as np

from simlib.record import (
    ARRIVED,
    BILLED_MS,
    BINS,
    BUSY_NS,
    COLD,
    COLD_STARTS,
    COMPLETED,
    CONTAINER_NS,
    EXPIRED,
    FAILED,
    FIRST_OCTAVE,
    INSIDE,
    LATENCY_NS,
    NOBODY,
    ON_DEMAND,
    PROVISIONED_MS,
    RETRIED,
    SETUP_NS,
    THROTTLED,
    TIMED_OUT,
)

INF = np.inf
NO_LIMIT = 1 << 62
NEVER = 0x7FF0000000000000  # the bits of INF
ROW_BITS = 28  # of those waiting to try again: (row in the run, row in `requests`) in one number, ordered by the first

# --- ways to choose an instance ---------------------------------------------------------------------------------------
RANDOM, LEAST_OUTSTANDING_REQUESTS, SHARED_QUEUE, SERVERLESS, ASYNCHRONOUS = range(5)

# --- which idle container a serverless request takes, and what its rows of `services` mean
NEWEST_CREATED, MOST_RECENTLY_USED, OLDEST_CREATED, ANY_ONE = range(4)
WARM_SERVICE, COLD_SERVICE, SETUP = range(3)

# --- what an asynchronous request's rows of `services` mean
DOWNLOAD, MODEL, UPLOAD = range(3)

_SHIFT = 52 - 6  # a double's leading 6 bits of mantissa split an octave in 64
_FIRST = (1023 + FIRST_OCTAVE) << 6  # the code of the shortest latency with a bin of its own

# --- tables -----------------------------------------------------------------------------------------------------------
STATE = np.dtype(
    [
        ("cursor", "i8"),  # next request of the chunk
        ("first_row", "i8"),  # row, in the whole run, of the chunk's first request
        ("spare", "i8"),  # how many rows of `requests` are free
        ("departures", "i8"),  # heap sizes
        ("retries", "i8"),
        ("now", "f8"),  # everything up to here is settled
        ("idle", "i8"),  # serverless: how many are in `idle_of`, and in `warm`
        ("warm", "i8"),
        ("unused", "i8"),  # places without a container
        ("born", "i8"),  # containers so far
        ("ranks", "i8"),  # containers in `by_birth`, and how many have room there
        ("room", "i8"),
    ]
)
RULES = np.dtype(
    [
        ("routing", "i8"),
        ("queue_limit", "i8"),  # waiting only
        ("limit_grows", "?"),  # SHARED_QUEUE: the limit is that of each instance in service
        ("refusal", "i8"),  # the status of who is refused: REJECTED (503) or THROTTLED (429)
        ("timeout_s", "f8"),
        ("cancel_on_timeout", "?"),
        ("max_attempts", "i8"),
        ("backoff_base_s", "f8"),
        ("backoff_factor", "f8"),
        ("backoff_jitter", "?"),
        ("max_concurrency", "i8"),
        ("keep_alive_s", "f8"),
        ("max_age_s", "f8"),
        ("reuse", "i8"),
        ("fetch_s", "f8"),  # part of a cold start that is the same for all: download and load
        ("ttl_s", "f8"),  # asynchronous: who has waited longer is not started any more
        ("transfer_holds_slot", "?"),
        ("requeues", "?"),  # whether work lost with its instance goes back to the line; else it fails
        ("log", "?"),
        ("fold", "?"),
    ]
)
VARIANT = np.dtype(
    [
        ("weight", "f8"),
        ("serving", "i8"),  # instances that take requests
        ("share", "f8"),  # 1 / serving, or 0
        ("line_head", "i8"),  # SHARED_QUEUE: the ring of those waiting
        ("line_length", "i8"),
    ]
)
REQUEST = np.dtype(
    [
        ("row", "i8"),
        ("arrival", "f8"),
        ("entered", "f8"),  # this attempt
        ("start", "f8"),
        ("finish", "f8"),
        ("leaves_line", "f8"),  # when it stops waiting, by start or by time-out
        ("u_variant", "f8"),
        ("u_instance", "f8"),
        ("u_backoff", "f8"),
        ("next", "i8"),  # behind it in an instance's line
        ("variant", "i4"),
        ("place", "i4"),
        ("attempts", "i4"),
        ("status", "i4"),
    ]
)
PLACE = np.dtype(
    [
        ("instance", "i8"),
        ("serving", "?"),
        ("line_head", "i8"),  # routed: those waiting here, first come first
        ("line_tail", "i8"),
        ("line_length", "i8"),
        # serverless: a container is a place with one slot
        ("created", "f8"),
        ("idle_from", "f8"),
        ("counted_until", "f8"),
        ("bills_from", "f8"),
        ("provisioned", "?"),
        ("rank", "i8"),  # its place in `by_birth`
    ]
)
SLOT = np.dtype(
    [
        ("busy_from", "f8"),  # its busy stretch not yet metered
        ("busy_until", "f8"),
        ("holds", "i8"),  # SHARED_QUEUE: the request it works on, until settled
        ("place", "i4"),
    ]
)
# columns of the log
ARRIVAL, START, FINISH, SETUP_OF = range(4)  # the last one of serverless endpoints only
STATUS, VARIANT_OF, ATTEMPTS_OF = range(3)


class Lane(NamedTuple):
    """Everything one endpoint's flow remembers.  [v] variant, [p] place, [s] slot, [k] request, [m] minute."""

    # the chunk of requests that is arriving, in arrival order
    arrivals: np.ndarray  # [i] seconds
    services: np.ndarray  # [v, i] seconds of work, were it to go to v
    u_variant: np.ndarray  # [i] uniform numbers; empty where nothing needs them
    u_instance: np.ndarray
    u_backoff: np.ndarray
    # the front door
    state: np.ndarray
    rules: np.ndarray
    variants: np.ndarray  # [v]
    retry_at: np.ndarray  # a heap of re-arrivals
    retry_of: np.ndarray
    # requests inside
    requests: np.ndarray  # [k]
    service_of: np.ndarray  # [k, v]
    spare: np.ndarray  # free rows of `requests`, as a stack
    line: np.ndarray  # [v, ring] SHARED_QUEUE: who waits
    depart_at: np.ndarray  # a heap of departures (routed)
    depart_of: np.ndarray
    # fleets
    places: np.ndarray  # [v, p]
    slots: np.ndarray  # [v, s]
    free: np.ndarray  # [v, s] when the slot can take work; INF = never
    first_free: np.ndarray  # [v, node] winner tree over `free`
    outstanding: np.ndarray  # [v, p] unanswered requests; INF = takes none
    least: np.ndarray  # [v, node] winner tree over `outstanding`
    serving: np.ndarray  # [v, n] places that take requests, in order
    # containers (serverless)
    by_birth: np.ndarray  # [rank] places of the containers there are, oldest first; NOBODY: one that is gone
    ready_at: np.ndarray  # a tree over `by_birth`: when the first of those below can take a request; see `set_ready`
    idle_of: np.ndarray  # idle containers, where reuse does not go by age: most recently used last, or in any order
    warm: np.ndarray  # provisioned containers that are idle, as a stack
    unused: np.ndarray  # places without a container, as a stack
    # what came of it
    tally: np.ndarray  # [v, m, TALLIES]
    per_instance: np.ndarray  # [v, m] sum over attempts of 1 / instances in service
    histogram: np.ndarray  # [v, hour, bin] latencies of completed requests
    log_times: np.ndarray  # [column, row]
    log_codes: np.ndarray  # [column, row]
    log_instance: np.ndarray  # [row]


# Without counting references, which would take three quarters of the time: every array belongs to the Station that
# calls, and nothing is allocated in here.
_OPTIONS: dict[str, Any] = {"error_model": "numpy", "_nrt": False}


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile *function* at its first call and keep the machine code beside this file, where that can be written."""
    try:
        return cast(Callable[..., Any], numba.njit(cache=True, **_OPTIONS)(function))
    except RuntimeError:  # numba found no folder it may write to
        return cast(Callable[..., Any], numba.njit(**_OPTIONS)(function))


def inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """A step of a compiled function, pasted into its callers: a call would copy the whole Lane."""
    return cast(Callable[..., Any], numba.njit(forceinline=True, **_OPTIONS)(function))


# --- small tools ------------------------------------------------------------------------------------------------------


@inlined
def nanoseconds(seconds):
    """Whole nanoseconds: sums of whole numbers are the same in any order, so looks and chunks cannot change a total."""
    return np.int64(seconds * 1e9 + 0.5)


@inlined
def minute_of(seconds):
    return np.int64(seconds / 60.0)


@inlined
def latency_bin(seconds):
    """The log-scaled bin of a latency: the exponent and the first six bits of the mantissa of its double."""
    code = (np.float64(seconds).view(np.int64) >> _SHIFT) - _FIRST + 1
    return min(max(code, 0), BINS - 1)


@inlined
def another_uniform(u, attempt):
    """A retry's own uniform number, made from the first one's bits (the splitmix64 mixer, Steele et al. 2014)."""
    z = np.uint64(np.int64(u * 9007199254740992.0)) + np.uint64(attempt) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return np.float64(z >> np.uint64(11)) / 9007199254740992.0


@inlined
def play(winners, keys, leaf, top):
    """Replay a winner tree from *leaf* up to node *top*: the smallest key wins, the lowest number at a tie.

    Without a branch: which of two slots wins is a coin toss to the processor.
    """
    node = (winners.shape[0] >> 1) + leaf
    best, key = np.int64(leaf), keys[leaf]
    while node > top:
        rival = np.int64(winners[node ^ 1])
        rival_key = keys[rival]
        wins = (rival_key < key) | ((rival_key == key) & (node & 1 == 1))
        best += (rival - best) * wins
        key = min(key, rival_key)
        node >>= 1
        winners[node] = best


@inlined
def heap_push(at, of, n, t, who):
    """Put (t, who) on the heap of *n* entries."""
    i = n
    while i > 0:
        parent = (i - 1) >> 1
        if at[parent] < t or (at[parent] == t and of[parent] < who):
            break
        at[i], of[i] = at[parent], of[parent]
        i = parent
    at[i], of[i] = t, who


@inlined
def heap_pop(at, of, n):
    """Take the first of the heap's *n* entries off."""
    last = n - 1
    t, who = at[last], of[last]
    i = 0
    while True:
        child = 2 * i + 1
        if child >= last:
            break
        right = min(child + 1, last - 1)  # which of two is first is a coin toss to the processor: no branch
        child += (right - child) * ((at[right] < at[child]) | ((at[right] == at[child]) & (of[right] < of[child])))
        if t < at[child] or (t == at[child] and who < of[child]):
            break
        at[i], of[i] = at[child], of[child]
        i = child
    at[i], of[i] = t, who


# --- counting, folding, logging ---------------------------------------------------------------------------------------


@inlined
def count_busy(lane, v, begin, end):
    """Count a worker's busy time, minute by minute."""
    while begin < end:
        m = minute_of(begin)
        stop = min(end, (m + 1) * 60.0)
        lane.tally[v, m, BUSY_NS] += nanoseconds(stop) - nanoseconds(begin)
        begin = stop


@inlined
def settle(lane, v, p, row, arrival, attempts, start, finish, outcome):
    """An outcome is final: count it in the minute of its finish, fold its latency, log it.

    An outcome is a status, with the bit COLD where a cold start came before it.
    """
    status = outcome & (COLD - 1)
    if status == COMPLETED:
        count_completed(lane, v, arrival, finish)
    else:
        lane.tally[v, minute_of(finish), status] += 1
    if lane.rules[0].log:
        note(lane, v, p, row, attempts, start, finish, outcome)


@inlined
def count_completed(lane, v, arrival, finish):
    """Count an answer in the minute it goes out, and fold its latency."""
    m = minute_of(finish)
    lane.tally[v, m, COMPLETED] += 1
    lane.tally[v, m, LATENCY_NS] += nanoseconds(finish) - nanoseconds(arrival)
    if lane.rules[0].fold:
        lane.histogram[v, np.int64(finish / 3600.0), latency_bin(finish - arrival)] += 1


@inlined
def note(lane, v, p, row, attempts, start, finish, outcome):
    """Log an outcome."""
    lane.log_times[START, row] = start
    lane.log_times[FINISH, row] = finish
    lane.log_codes[STATUS, row] = outcome
    lane.log_codes[VARIANT_OF, row] = v
    lane.log_codes[ATTEMPTS_OF, row] = min(attempts, 127)
    lane.log_instance[row] = NOBODY if p == NOBODY else lane.places[v, p].instance


@inlined
def settle_inside(lane, k):
    """The outcome noted for request *k* is final: it is inside no more."""
    r = lane.requests[k]
    settle(lane, r.variant, r.place, r.row, r.arrival, r.attempts, r.start, r.finish, r.status)
    forget(lane, k)


# --- who is inside ----------------------------------------------------------------------------------------------------
# A request that arrives is number *i* of the chunk.  Most have their outcome before the next decision, and are settled
# at once.  The others are remembered as row *k* of `requests`; *k* is NOBODY as long as a request is not.


@inlined
def remember(lane, i, k):
    """The row of a request among those inside: a new one for number *i* of the chunk, or the one it has."""
    if k != NOBODY:
        return k
    state = lane.state[0]
    state.spare -= 1
    k = lane.spare[state.spare]
    r = lane.requests[k]
    r.row = state.first_row + i
    r.arrival = lane.arrivals[i]
    r.attempts = 1
    r.place = NOBODY
    r.status = INSIDE
    r.start = np.nan
    r.u_variant = lane.u_variant[i] if lane.u_variant.shape[0] > 0 else 0.0
    r.u_instance = lane.u_instance[i] if lane.u_instance.shape[0] > 0 else 0.0
    r.u_backoff = lane.u_backoff[i] if lane.u_backoff.shape[0] > 0 else 0.0
    for v in range(lane.services.shape[0]):
        lane.service_of[k, v] = lane.services[v, i]
    return k


@inlined
def forget(lane, k):
    lane.spare[lane.state[0].spare] = k
    lane.state[0].spare += 1


@inlined
def conclude(lane, v, p, i, k, start, finish, status, until):
    """Settle an outcome that nothing can change any more; else note it.  Returns the row it is noted in, or NOBODY."""
    if finish > until:
        k = remember(lane, i, k)
        r = lane.requests[k]
        r.variant, r.place = v, p
        r.start, r.finish, r.status = start, finish, status
        return k
    if k == NOBODY:
        settle(lane, v, p, lane.state[0].first_row + i, lane.arrivals[i], 1, start, finish, status)
    else:
        r = lane.requests[k]
        settle(lane, v, p, r.row, r.arrival, r.attempts, start, finish, status)
        forget(lane, k)
    return NOBODY


# --- the front door ---------------------------------------------------------------------------------------------------


@inlined
def uniform_of(lane, numbers, i, k, first):
    """A request's uniform number: the one drawn for it, or on a retry one made from that."""
    return numbers[i] if k == NOBODY else another_uniform(first, lane.requests[k].attempts - 1)


@inlined
def named_variant(lane, i, k):
    """The variant a caller asks for by name: its number plus one stands where a uniform number would.  Else NOBODY."""
    u = lane.u_variant[i] if k == NOBODY else lane.requests[k].u_variant
    return np.int64(u) - 1


@inlined
def pick_variant(lane, i, k):
    """The variant in whose share of the summed weights the request's number falls."""
    last = lane.variants.shape[0] - 1
    if last == 0:
        return 0
    asked_for = named_variant(lane, i, k)
    if asked_for != NOBODY:
        return asked_for
    total = 0.0
    for v in range(last + 1):
        total += lane.variants[v].weight
    x = total * uniform_of(lane, lane.u_variant, i, k, lane.requests[k].u_variant if k != NOBODY else 0.0)
    v = 0
    reached = lane.variants[0].weight
    while x >= reached and v < last:
        v += 1
        reached += lane.variants[v].weight
    return v


@inlined
def attempt(lane, i, k, t, until):
    """A request is at the door at *t*, for the first time or again; no decision will come before *until*."""
    v = pick_variant(lane, i, k)
    count_attempt(lane, v, k, t)
    if lane.rules[0].routing == SHARED_QUEUE:
        taken = join_shared(lane, v, i, k, t, until)
    else:
        taken = join_routed(lane, v, i, k, t, until)
    if not taken:
        refuse(lane, v, i, k, t, lane.rules[0].refusal, until)


@inlined
def count_attempt(lane, v, k, t):
    m = minute_of(t)
    lane.tally[v, m, ARRIVED if k == NOBODY else RETRIED] += 1
    lane.per_instance[v, m] += lane.variants[v].share


@inlined
def refuse(lane, v, i, k, t, status, until):
    """503 (rejected) or 429 (throttled): the caller tries again after a backoff, or gives up."""
    rules = lane.rules[0]
    attempts = 1 if k == NOBODY else lane.requests[k].attempts
    if attempts >= rules.max_attempts:
        conclude(lane, v, NOBODY, i, k, np.nan, t, status, until)
        return
    k = remember(lane, i, k)
    lane.requests[k].variant = v
    wait = rules.backoff_base_s * rules.backoff_factor ** (attempts - 1.0)
    if rules.backoff_jitter:
        wait *= another_uniform(lane.requests[k].u_backoff, attempts)
    heap_push(lane.retry_at, lane.retry_of, lane.state[0].retries, t + wait, lane.requests[k].row << ROW_BITS | k)
    lane.state[0].retries += 1


@inlined
def back_at_the_door(lane):
    """The row of the first of those who wait to try again."""
    state = lane.state[0]
    k = lane.retry_of[0] & ((1 << ROW_BITS) - 1)
    heap_pop(lane.retry_at, lane.retry_of, state.retries)
    state.retries -= 1
    lane.requests[k].attempts += 1
    return k


# --- work -------------------------------------------------------------------------------------------------------------


@inlined
def work(lane, v, s, i, k, entered, start, until, note_after):
    """Slot *s* works on a request from *start*; the caller has waited since *entered*.  Returns as `conclude` does.

    Busy time is counted up to *until*, the next decision; an outcome later than *note_after* is noted, not settled.
    """
    rules = lane.rules[0]
    slot = lane.slots[v, s]
    deadline = entered + rules.timeout_s
    end = start + (lane.services[v, i] if k == NOBODY else lane.service_of[k, v])
    finish, status = end, COMPLETED
    if end > deadline:  # the caller is told so; the worker goes on, unless told to stop
        finish, status = deadline, TIMED_OUT
        if rules.cancel_on_timeout:
            end = deadline
    lane.free[v, s] = end
    count_busy(lane, v, start, min(end, until))
    if end > until:
        if slot.busy_until <= until:
            slot.busy_from = until
        slot.busy_until = end
    return conclude(lane, v, slot.place, i, k, start, finish, status, note_after)


@inlined
def go_on(lane, v, until):
    """Work and answers that reach beyond the last decision: what of them is certain up to *until*."""
    for s in range(lane.slots.shape[1]):
        slot = lane.slots[v, s]
        if slot.busy_from < slot.busy_until:
            count_busy(lane, v, slot.busy_from, min(slot.busy_until, until))
            slot.busy_from = min(slot.busy_until, max(slot.busy_from, until))
        if slot.holds != NOBODY and lane.requests[slot.holds].finish <= until:
            settle_inside(lane, slot.holds)
            slot.holds = NOBODY


# --- SHARED_QUEUE: one line for a variant's whole fleet ---------------------------------------------------------------


@inlined
def take_shared(lane, v, s, i, k, entered, start, until):
    """The first free slot takes a request."""
    k = work(lane, v, s, i, k, entered, start, until, until)
    if k != NOBODY:
        lane.slots[v, s].holds = k
    play(lane.first_free[v], lane.free[v], s, 1)


@inlined
def join_shared(lane, v, i, k, t, until):
    """Take the first slot, wait in the line, or be refused because the line is full.

    With nobody in line, and no decision before *until*, the first slot to fall free by then is this request's for
    certain: so it is taken now, though the work starts later.  Only a limit on the line must know who waits when.
    """
    variant = lane.variants[v]
    rules = lane.rules[0]
    if variant.line_length == 0:
        s = lane.first_free[v, 1]
        start = max(lane.free[v, s], t)
        latest = min(until, t + rules.timeout_s) if rules.queue_limit == NO_LIMIT else t
        if start <= latest:
            take_shared(lane, v, s, i, k, t, start, until)
            return True
    if variant.line_length >= rules.queue_limit * (variant.serving if rules.limit_grows else 1):
        return False
    k = remember(lane, i, k)
    lane.requests[k].variant = v
    lane.requests[k].entered = t
    lane.requests[k].start = np.nan
    lane.line[v, (variant.line_head + variant.line_length) & (lane.line.shape[1] - 1)] = k
    variant.line_length += 1
    return True


@inlined
def serve_line(lane, v, by, until):
    """Those waiting start as slots fall free up to *by*, or leave at their deadline.

    A slot that falls free at the very deadline still starts the request: starts come before time-outs.
    """
    variant = lane.variants[v]
    while variant.line_length > 0:
        k = lane.line[v, variant.line_head]
        entered = lane.requests[k].entered
        deadline = entered + lane.rules[0].timeout_s
        s = lane.first_free[v, 1]
        start = lane.free[v, s]
        if start <= min(deadline, by):
            take_shared(lane, v, s, NOBODY, k, entered, start, until)
        elif deadline <= by:
            conclude(lane, v, NOBODY, NOBODY, k, np.nan, deadline, TIMED_OUT, until)
        else:
            return
        variant.line_head = (variant.line_head + 1) & (lane.line.shape[1] - 1)
        variant.line_length -= 1


# --- RANDOM and LEAST_OUTSTANDING_REQUESTS: a line at each instance ---------------------------------------------------


@inlined
def pick_place(lane, v, i, k):
    """The instance a request is sent to on arrival: bound for good."""
    if lane.rules[0].routing == LEAST_OUTSTANDING_REQUESTS:
        return np.int64(lane.least[v, 1])
    u = uniform_of(lane, lane.u_instance, i, k, lane.requests[k].u_instance if k != NOBODY else 0.0)
    n = lane.variants[v].serving
    return lane.serving[v, min(np.int64(u * n), n - 1)]


@inlined
def leave_line(lane, place, until):
    """Forget those who stopped waiting at this instance by *until*.  They leave in the order in which they came."""
    while place.line_length > 0 and lane.requests[place.line_head].leaves_line <= until:
        place.line_head = lane.requests[place.line_head].next
        place.line_length -= 1


@inlined
def join_line(lane, place, k):
    if place.line_length == 0:
        place.line_head = k
    else:
        lane.requests[place.line_tail].next = k
    place.line_tail = k
    place.line_length += 1


@inlined
def join_routed(lane, v, i, k, t, until):
    """Send a request to an instance.  Its whole future there is known now, since that of those ahead of it is."""
    if lane.variants[v].serving == 0:
        return False
    rules = lane.rules[0]
    p = pick_place(lane, v, i, k)
    place = lane.places[v, p]
    top = lane.places.shape[1] + p
    s = lane.first_free[v, top]
    start = max(lane.free[v, s], t)
    must_know_who_waits = start > t and rules.queue_limit != NO_LIMIT
    if must_know_who_waits:
        leave_line(lane, place, t)
        if place.line_length >= rules.queue_limit:
            return False
        k = remember(lane, i, k)
        lane.requests[k].leaves_line = min(start, t + rules.timeout_s)
        join_line(lane, place, k)
    # who is in an instance's line must stay known until it departs, so its outcome is noted even where it is certain
    note_after = t if must_know_who_waits else until
    deadline = t + rules.timeout_s
    finish = deadline
    if start <= deadline:
        k = work(lane, v, s, i, k, t, start, until, note_after)
        play(lane.first_free[v], lane.free[v], s, top)
        finish = min(lane.free[v, s], deadline)
    else:  # leaves at its deadline, never takes a slot
        k = conclude(lane, v, p, i, k, np.nan, deadline, TIMED_OUT, note_after)
    if lane.rules[0].routing == LEAST_OUTSTANDING_REQUESTS:
        lane.outstanding[v, p] += 1.0
        play(lane.least[v], lane.outstanding[v], p, 1)
        expect_departure(lane, finish, k if k != NOBODY else ~(np.int64(v) << 32 | p))
    elif k != NOBODY:
        expect_departure(lane, finish, k)
    return True


@inlined
def expect_departure(lane, finish, who):
    """*who* is the row of a request, or, of a settled one, the bits of ~(variant, place)."""
    heap_push(lane.depart_at, lane.depart_of, lane.state[0].departures, finish, who)
    lane.state[0].departures += 1


@inlined
def depart(lane, by):
    """Answers that have gone out by *by*."""
    state = lane.state[0]
    while state.departures > 0 and lane.depart_at[0] <= by:
        who = lane.depart_of[0]
        heap_pop(lane.depart_at, lane.depart_of, state.departures)
        state.departures -= 1
        if who >= 0:
            r = lane.requests[who]
            v, p = np.int64(r.variant), np.int64(r.place)
            leave_line(lane, lane.places[v, p], r.finish)
            settle_inside(lane, who)
        else:
            v, p = ~who >> 32, ~who & 0xFFFFFFFF
        if lane.rules[0].routing == LEAST_OUTSTANDING_REQUESTS:
            lane.outstanding[v, p] -= 1.0  # INF, of an instance that takes nothing, stays INF
            play(lane.least[v], lane.outstanding[v], p, 1)


# --- the flow ---------------------------------------------------------------------------------------------------------


@compiled
def advance(lane, until, more):
    """Run the flow up to *until*.  Returns False where the chunk ended first and there is *more* to load."""
    state = lane.state[0]
    shared = lane.rules[0].routing == SHARED_QUEUE
    simple = lane.variants.shape[0] == 1
    n = lane.arrivals.shape[0]
    for v in range(lane.variants.shape[0]):
        go_on(lane, v, until)
    while state.cursor < n or not more:
        arrives = lane.arrivals[state.cursor] if state.cursor < n else INF
        returns = lane.retry_at[0] if state.retries > 0 else INF
        t = min(arrives, returns)
        if shared:
            for v in range(lane.variants.shape[0]):
                serve_line(lane, v, min(t, until), until)
        else:
            depart(lane, min(t, until))
        if t >= until:
            state.now = until
            return True
        if simple and returns == INF and lane.variants[0].line_length == 0 and rush(lane, until):
            continue
        i, k = state.cursor, NOBODY
        if arrives <= returns:
            state.cursor += 1
        else:
            k = back_at_the_door(lane)
        attempt(lane, i, k, t, until)
    return False


@inlined
def rush(lane, until):
    """`advance` for as long as nobody is in line, and each request's outcome is certain the moment it comes.

    Step for step the same, with what is counted of the current minute kept at hand: nearly all requests of a run go
    this way.  Returns whether it took any.
    """
    state, rules = lane.state[0], lane.rules[0]
    routing, limited, n = rules.routing, rules.queue_limit != NO_LIMIT, lane.arrivals.shape[0]
    timeout_s, log, fold, share = rules.timeout_s, rules.log, rules.fold, lane.variants[0].share
    serving = lane.variants[0].serving
    first = state.cursor
    i = first
    while i < n and lane.arrivals[i] < until and serving > 0:
        m = minute_of(lane.arrivals[i])
        next_minute, hour = (m + 1) * 60.0 - 1e-6, m // 60  # nothing before it is rounded into the next one
        begun, shares, latency_ns, busy_ns, completed = i, lane.per_instance[0, m], 0, 0, 0
        certain = True
        while i < n:
            t = lane.arrivals[i]
            if t >= until or (t >= next_minute and minute_of(t) != m):
                break
            if routing == SHARED_QUEUE:
                p, top = np.int64(0), np.int64(1)
            else:
                depart(lane, t)
                if routing == RANDOM:
                    p = lane.serving[0, min(np.int64(lane.u_instance[i] * serving), serving - 1)]
                else:
                    p = np.int64(lane.least[0, 1])
                top = lane.places.shape[1] + p
            s = np.int64(lane.first_free[0, top])
            start = max(lane.free[0, s], t)
            end = start + lane.services[0, i]
            if end > min(until, t + timeout_s) or (limited and start > t):
                certain = False
                break
            shares += share
            if end < next_minute:
                busy_ns += nanoseconds(end) - nanoseconds(start)
                latency_ns += nanoseconds(end) - nanoseconds(t)
                completed += 1
                if fold:
                    lane.histogram[0, hour, latency_bin(end - t)] += 1
            else:
                count_busy(lane, 0, start, end)
                count_completed(lane, 0, t, end)
            if log:
                note(lane, 0, lane.slots[0, s].place, state.first_row + i, 1, start, end, COMPLETED)
            lane.free[0, s] = end
            play(lane.first_free[0], lane.free[0], s, top)
            if routing == LEAST_OUTSTANDING_REQUESTS:
                lane.outstanding[0, p] += 1.0
                play(lane.least[0], lane.outstanding[0], p, 1)
                expect_departure(lane, end, ~p)
            i += 1
        lane.tally[0, m, ARRIVED] += i - begun
        lane.tally[0, m, COMPLETED] += completed
        lane.tally[0, m, LATENCY_NS] += latency_ns
        lane.tally[0, m, BUSY_NS] += busy_ns
        lane.per_instance[0, m] = shares
        if not certain:
            break
    state.cursor = i
    return i > first


# --- serverless: a container for each request at a time ---------------------------------------------------------------
# Where reuse goes by age, nobody waits for a container's work to end: `ready_at` says when it will have, and a request
# takes the youngest (oldest) container that is ready.  Elsewhere, and for provisioned ones, work that ends is released.


@compiled
def advance_pool(lane, until, more):
    """`advance` for a serverless endpoint.  Work there is never cut, so only counts must stop at *until*."""
    state = lane.state[0]
    n = lane.arrivals.shape[0]
    for p in range(lane.places.shape[1]):
        go_on_in(lane, p, until)
    while state.cursor < n or not more:
        arrives = lane.arrivals[state.cursor] if state.cursor < n else INF
        returns = lane.retry_at[0] if state.retries > 0 else INF
        t = min(arrives, returns)
        release(lane, min(t, until))
        if t >= until:
            count_containers(lane, until)
            state.now = until
            return True
        if returns == INF and rush_by_age(lane, until):
            continue
        i, k = state.cursor, NOBODY
        if arrives <= returns:
            state.cursor += 1
        else:
            k = back_at_the_door(lane)
        count_attempt(lane, 0, k, t)
        if all_busy(lane, t):
            refuse(lane, 0, i, k, t, THROTTLED, until)
        else:
            invoke(lane, i, k, t, until)
    return False


@inlined
def rush_by_age(lane, until):
    """`advance_pool` for as long as each request finds a warm container and its outcome is certain the moment it comes.

    Step for step the same, with what is counted of the current minute kept at hand.  Returns whether it took any.
    """
    state, rules, n = lane.state[0], lane.rules[0], lane.arrivals.shape[0]
    timeout_s, keep_alive_s, max_age_s = rules.timeout_s, rules.keep_alive_s, rules.max_age_s
    log, fold = rules.log, rules.fold
    first = state.cursor
    i = first
    certain = by_age(lane) and state.departures == 0 and state.warm == 0 and alive(lane) <= rules.max_concurrency
    while certain and i < n and lane.arrivals[i] < until:
        m = minute_of(lane.arrivals[i])
        next_minute, hour = (m + 1) * 60.0 - 1e-6, m // 60  # nothing before it is rounded into the next one
        begun, worked_ns, billed_ms, completed = i, 0, 0, 0
        while i < n:
            t = lane.arrivals[i]
            if t >= until or (t >= next_minute and minute_of(t) != m):
                break
            rank = ready_by(lane, t)
            end = t + lane.services[WARM_SERVICE, i]
            if rank == NOBODY or end > min(until, t + timeout_s):
                certain = False
                break
            p = lane.by_birth[rank]
            place = lane.places[0, p]
            idle_from = place.idle_from
            if t >= min(idle_from + keep_alive_s, max(idle_from, place.created + max_age_s)):
                certain = False
                break
            if end < next_minute:
                worked_ns += nanoseconds(end) - nanoseconds(t)
                billed_ms += milliseconds(end - t)
                completed += 1
                if fold:
                    lane.histogram[0, hour, latency_bin(end - t)] += 1
            else:
                count_busy(lane, 0, t, end)
                bill(lane, place, t, end)
                count_completed(lane, 0, t, end)
            if log:
                note(lane, 0, p, state.first_row + i, 1, t, end, COMPLETED)
            place.idle_from = end
            set_ready(lane, rank, end)
            i += 1
        lane.tally[0, m, ARRIVED] += i - begun
        lane.tally[0, m, ON_DEMAND] += i - begun
        lane.tally[0, m, COMPLETED] += completed
        lane.tally[0, m, LATENCY_NS] += worked_ns
        lane.tally[0, m, BUSY_NS] += worked_ns
        lane.tally[0, m, BILLED_MS] += billed_ms
    state.cursor = i
    return i > first


@inlined
def invoke(lane, i, k, t, until):
    """A request gets a container: a provisioned one, an idle one, or, after a cold start, a new one."""
    rules = lane.rules[0]
    p = idle_container(lane, i, k, t)
    outcome, start, service = COMPLETED, t, WARM_SERVICE
    if p == NOBODY:
        p = new_container(lane, t)
        setup = service_time(lane, SETUP, i, k) + rules.fetch_s
        outcome, start, service = COMPLETED | COLD, t + setup, COLD_SERVICE
        m = minute_of(t)
        lane.tally[0, m, COLD_STARTS] += 1
        lane.tally[0, m, SETUP_NS] += nanoseconds(setup)
        if rules.log:
            lane.log_times[SETUP_OF, lane.state[0].first_row + i if k == NOBODY else lane.requests[k].row] = setup
    place = lane.places[0, p]
    if not place.provisioned:
        lane.tally[0, minute_of(t), ON_DEMAND] += 1
    slot = lane.slots[0, p]
    end = start + service_time(lane, service, i, k)
    deadline = t + rules.timeout_s
    finish = end
    if end > deadline:  # the caller is told so; the container goes on
        finish, outcome = deadline, outcome - COMPLETED + TIMED_OUT
    count_busy(lane, 0, t, min(end, until))
    if end > until:
        slot.busy_from, slot.busy_until, place.bills_from = until, end, start
    else:
        bill(lane, place, start, end)
    place.idle_from = end
    k = conclude(lane, 0, p, i, k, start if start <= finish else np.nan, finish, outcome, until)
    slot.holds = k
    if by_age(lane) and not place.provisioned:
        set_ready(lane, place.rank, end)
    else:
        heap_push(lane.depart_at, lane.depart_of, lane.state[0].departures, end, p)
        lane.state[0].departures += 1


@inlined
def service_time(lane, row, i, k):
    return lane.services[row, i] if k == NOBODY else lane.service_of[k, row]


@inlined
def milliseconds(worked):
    """Whole milliseconds of a request's work [s], rounded up; setting up is not billed (assumption)."""
    return np.int64(np.ceil(worked * 1000.0 - 1e-6))


@inlined
def bill(lane, place, start, end):
    lane.tally[0, minute_of(end), PROVISIONED_MS if place.provisioned else BILLED_MS] += milliseconds(end - start)


@inlined
def go_on_in(lane, p, until):
    """What reached beyond the last decision in one container: what of it is certain up to *until*."""
    slot = lane.slots[0, p]
    if slot.busy_from < slot.busy_until:
        count_busy(lane, 0, slot.busy_from, min(slot.busy_until, until))
        slot.busy_from = min(slot.busy_until, max(slot.busy_from, until))
        if slot.busy_from == slot.busy_until:
            bill(lane, lane.places[0, p], lane.places[0, p].bills_from, slot.busy_until)
    if slot.holds != NOBODY and lane.requests[slot.holds].finish <= until:
        settle_inside(lane, slot.holds)
        slot.holds = NOBODY


# --- which containers are idle


@inlined
def by_age(lane):
    """Whether a request takes the youngest, or the oldest, of the idle containers."""
    reuse = lane.rules[0].reuse
    return reuse in (NEWEST_CREATED, OLDEST_CREATED)


@inlined
def bits_of(time_s):
    """A time, not negative, as the whole number of its bits: in the same order, and sooner compared."""
    return np.float64(time_s).view(np.int64)


@inlined
def ready_by(lane, t):
    """The rank of the youngest (oldest) container that can take a request at *t*, or NOBODY: down the tree, in steps
    without a branch."""
    now, ready, oldest = bits_of(t), lane.ready_at, lane.rules[0].reuse == OLDEST_CREATED
    if ready[0] > now:
        return np.int64(NOBODY)
    leaf, above = np.int64(0), lane.state[0].room // 3
    while leaf < above:
        first = 4 * leaf + 1
        if oldest:
            child = 2 if ready[first + 2] <= now else 3
            child = 1 if ready[first + 1] <= now else child
            child = 0 if ready[first] <= now else child
        else:
            child = 1 if ready[first + 1] <= now else 0
            child = 2 if ready[first + 2] <= now else child
            child = 3 if ready[first + 3] <= now else child
        leaf = first + child
    return leaf - above


@inlined
def set_ready(lane, rank, when):
    """The container of this rank takes no request before *when*.

    `ready_at` is a tree with four children a node, those of node k at 4 k + 1 and after; its leaves are the ranks, and
    every other node has the smallest number below it.
    """
    ready = lane.ready_at
    node = lane.state[0].room // 3 + rank
    ready[node] = bits_of(when)
    while node > 0:
        node = (node - 1) >> 2
        first_ready(ready, node)


@compiled
def room_of_ranks(n):
    """The least power of four, from 16 on, that is not below *n*."""
    room = 16
    while room < n:
        room *= 4
    return room


@inlined
def first_ready(ready, node):
    """A node of the tree has the smallest number of its four children."""
    first = 4 * node + 1
    ready[node] = min(min(ready[first], ready[first + 1]), min(ready[first + 2], ready[first + 3]))


@inlined
def close_ranks(lane):
    """Close the gaps that containers left that are gone, and leave room for at least as many as there are."""
    state, ready = lane.state[0], lane.ready_at
    old, kept = state.room // 3, 0
    for rank in range(state.ranks):
        p = lane.by_birth[rank]
        if p != NOBODY:
            lane.by_birth[kept], ready[old + kept] = p, ready[old + rank]
            lane.places[0, p].rank = kept
            kept += 1
    state.ranks, state.room = kept, room_of_ranks(2 * kept)
    new = state.room // 3
    for step in range(kept):
        rank = kept - 1 - step if new > old else step  # what is still to be moved is not overwritten
        ready[new + rank] = ready[old + rank]
    for leaf in range(new + kept, new + state.room):
        ready[leaf] = NEVER
    for step in range(new):
        first_ready(ready, new - 1 - step)


@inlined
def alive(lane):
    """How many containers there are, busy or idle, or gone and not yet missed."""
    return lane.places.shape[1] - lane.state[0].unused


@inlined
def working(lane, t):
    """How many containers are busy at *t*."""
    state = lane.state[0]
    many = state.departures
    for leaf in range(state.room // 3, state.room // 3 + state.ranks):
        many += bits_of(t) < lane.ready_at[leaf] < NEVER
    return many


@compiled
def count_working(lane):
    return working(lane, lane.state[0].now)


@inlined
def all_busy(lane, t):
    """Whether as many containers are busy as may be."""
    state, most = lane.state[0], lane.rules[0].max_concurrency
    if not by_age(lane):
        return state.departures >= most
    if state.warm == 0 and lane.ready_at[0] > bits_of(t):  # nobody is idle
        return alive(lane) >= most
    return alive(lane) > most and working(lane, t) >= most


@inlined
def release(lane, by):
    """Containers whose work ends by *by* are idle."""
    state = lane.state[0]
    while state.departures > 0 and lane.depart_at[0] <= by:
        p = lane.depart_of[0]
        heap_pop(lane.depart_at, lane.depart_of, state.departures)
        state.departures -= 1
        make_idle(lane, p)


@inlined
def make_idle(lane, p):
    state = lane.state[0]
    place = lane.places[0, p]
    if place.provisioned:
        lane.warm[state.warm] = p
        state.warm += 1
    elif by_age(lane):
        set_ready(lane, place.rank, place.idle_from)
    else:
        last = state.idle
        if lane.rules[0].reuse == MOST_RECENTLY_USED:  # work ends in order; at a tie the lower number is taken first
            while last > 0 and p > lane.idle_of[last - 1] and place.idle_from == idle_since(lane, last - 1):
                lane.idle_of[last] = lane.idle_of[last - 1]
                last -= 1
        lane.idle_of[last] = p
        state.idle += 1


@inlined
def idle_since(lane, i):
    return lane.places[0, lane.idle_of[i]].idle_from


@inlined
def idle_container(lane, i, k, t):
    """A container that may take the request: provisioned ones first, then the policy's choice of those still alive."""
    state = lane.state[0]
    if state.warm > 0:
        state.warm -= 1
        return lane.warm[state.warm]
    u = 0.0
    if lane.rules[0].reuse == ANY_ONE:
        u = uniform_of(lane, lane.u_instance, i, k, lane.requests[k].u_instance if k != NOBODY else 0.0)
    while True:
        if by_age(lane):
            rank = ready_by(lane, t)
            if rank == NOBODY:
                return np.int64(NOBODY)
            p = lane.by_birth[rank]
        else:
            if state.idle == 0:
                return np.int64(NOBODY)
            chosen = state.idle - 1
            if lane.rules[0].reuse == ANY_ONE:
                chosen = min(np.int64(u * state.idle), chosen)
                u = another_uniform(u, state.idle)
            p = lane.idle_of[chosen]
            lane.idle_of[chosen] = lane.idle_of[state.idle - 1]
            state.idle -= 1
        if t < dies_at(lane, lane.places[0, p]):
            return p
        count_alive(lane, p, t)
        discard(lane, p)


@inlined
def dies_at(lane, place):
    """When an idle container is gone: idle for too long, or too old.  At that instant it is not reused."""
    rules = lane.rules[0]
    if place.provisioned:
        return INF
    return min(place.idle_from + rules.keep_alive_s, max(place.idle_from, place.created + rules.max_age_s))


@inlined
def new_container(lane, t):
    state = lane.state[0]
    if state.ranks == state.room:
        close_ranks(lane)
    state.unused -= 1
    p = lane.unused[state.unused]
    place = lane.places[0, p]
    place.instance = state.born
    place.created = t
    place.counted_until = t
    place.provisioned = False
    place.rank = state.ranks
    lane.by_birth[place.rank] = p
    lane.slots[0, p].place = p
    state.born += 1
    state.ranks += 1
    return p


@inlined
def discard(lane, p):
    place = lane.places[0, p]
    place.created = np.nan
    lane.by_birth[place.rank] = NOBODY
    set_ready(lane, place.rank, INF)
    lane.unused[lane.state[0].unused] = p
    lane.state[0].unused += 1


@inlined
def count_alive(lane, p, until):
    """Count the time a container has existed, busy or idle."""
    place = lane.places[0, p]
    end = min(until, dies_at(lane, place)) if place.idle_from <= until else until
    begin = place.counted_until
    while begin < end:
        m = minute_of(begin)
        stop = min(end, (m + 1) * 60.0)
        lane.tally[0, m, CONTAINER_NS] += nanoseconds(stop) - nanoseconds(begin)
        begin = stop
    place.counted_until = max(place.counted_until, end)


@inlined
def count_containers(lane, until):
    for p in range(lane.places.shape[1]):
        if lane.places[0, p].created <= until:
            count_alive(lane, p, until)


@inlined
def forget_dead(lane, now):
    """Make the places of idle containers that are gone free; without it only a cold start does."""
    state = lane.state[0]
    for rank in range(state.ranks):
        p = lane.by_birth[rank]
        if p != NOBODY and lane.ready_at[state.room // 3 + rank] <= bits_of(now) and gone(lane, p, now):
            discard(lane, p)
    held, state.idle = state.idle, 0
    for i in range(held):  # the others move up, in place: entry i is read before anything is written there
        p = lane.idle_of[i]
        if gone(lane, p, now):
            discard(lane, p)
        else:
            lane.idle_of[state.idle] = p
            state.idle += 1


@inlined
def gone(lane, p, now):
    """Whether an idle container is; then its time is counted."""
    dead = now >= dies_at(lane, lane.places[0, p])
    if dead:
        count_alive(lane, p, now)
    return dead


@compiled
def provision_container(lane, now):
    """One more provisioned container, usable from now on."""
    forget_dead(lane, now)
    p = new_container(lane, now)
    place = lane.places[0, p]
    place.provisioned = True
    place.idle_from = now
    make_idle(lane, p)


@compiled
def unprovision_container(lane, now):
    """One provisioned container less: an idle one goes now, else the one to finish first goes when it has."""
    state = lane.state[0]
    if state.warm > 0:
        state.warm -= 1
        p = lane.warm[state.warm]
        count_alive(lane, p, now)
        discard(lane, p)
        return
    first = NOBODY
    for i in range(state.departures):
        if lane.places[0, lane.depart_of[i]].provisioned and (
            first == NOBODY or lane.depart_at[i] < lane.depart_at[first]
        ):
            first = i
    if first != NOBODY:
        place = lane.places[0, lane.depart_of[first]]
        place.provisioned = False
        place.created = -INF  # too old to be used again


# --- asynchronous: one line with a time to live, and answers that come after the slot is free -------------------------


@compiled
def advance_queue(lane, until, more):
    """`advance` for an asynchronous endpoint: all who come are accepted, and wait in one line for a slot."""
    state = lane.state[0]
    n = lane.arrivals.shape[0]
    go_on(lane, 0, until)
    deliver(lane, until)
    while state.cursor < n or not more:
        t = lane.arrivals[state.cursor] if state.cursor < n else INF
        call_line(lane, min(t, until), until)
        if t >= until:
            state.now = until
            return True
        accept(lane, state.cursor, t, until)
        state.cursor += 1
    return False


@inlined
def accept(lane, i, t, until):
    """A request joins the line, or, with nobody in it, has the slot that will be free before the next decision."""
    count_attempt(lane, 0, NOBODY, t)
    variant = lane.variants[0]
    if variant.line_length == 0:
        s = lane.first_free[0, 1]
        start = max(lane.free[0, s], t)
        if start <= min(until, t + lane.rules[0].ttl_s):
            process(lane, s, i, NOBODY, start, until)
            return
    k = remember(lane, i, NOBODY)
    lane.requests[k].variant = 0
    lane.requests[k].entered = t
    lane.line[0, (variant.line_head + variant.line_length) & (lane.line.shape[1] - 1)] = k
    variant.line_length += 1


@inlined
def call_line(lane, by, until):
    """Those waiting start as slots fall free up to *by*, or expire.

    The line is in the order of acceptance, so the first is the first to expire.  A slot that falls free at the very end
    of a request's time to live still starts it.  Work that came back to the line starts no earlier than it came.
    """
    variant = lane.variants[0]
    while variant.line_length > 0:
        k = lane.line[0, variant.line_head]
        back = lane.requests[k].entered
        expires = lane.requests[k].arrival + lane.rules[0].ttl_s
        s = lane.first_free[0, 1]
        start = max(lane.free[0, s], back)
        if start <= min(expires, by):
            process(lane, s, NOBODY, k, start, until)
        elif expires <= by:
            conclude(lane, 0, NOBODY, NOBODY, k, np.nan, max(expires, back), EXPIRED, until)
        else:
            return
        variant.line_head = (variant.line_head + 1) & (lane.line.shape[1] - 1)
        variant.line_length -= 1


@inlined
def process(lane, s, i, k, start, until):
    """Slot *s* takes a request: its input is fetched, the model called, its result written.

    A model that does not answer in time is called again, in the same slot, with the input fetched anew, as often as the
    rules allow; it takes as long every time.  The slot is held for the model's time, or for all of it.
    """
    rules = lane.rules[0]
    slot = lane.slots[0, s]
    download, model = service_time(lane, DOWNLOAD, i, k), service_time(lane, MODEL, i, k)
    status, calls = COMPLETED, 1
    if model > rules.timeout_s:
        attempts = 1 if k == NOBODY else lane.requests[k].attempts
        status, calls, model = TIMED_OUT, 1 + calls_left(lane, attempts), rules.timeout_s
    free = finish = start
    for _ in range(calls):
        free = free + model
        finish = finish + download + model
    if status == COMPLETED:
        finish = finish + service_time(lane, UPLOAD, i, k)
    if rules.transfer_holds_slot:
        free = finish
    lane.free[0, s] = free
    play(lane.first_free[0], lane.free[0], s, 1)
    count_busy(lane, 0, start, min(free, until))
    if free > until:
        slot.busy_from, slot.busy_until = until, free
    if calls > 1 and finish <= until:
        k = remember(lane, i, k)
        count_calls(lane, k, calls - 1, finish)
    k = conclude(lane, 0, slot.place, i, k, start, finish, status, until)
    if k != NOBODY:
        expect_departure(lane, finish, k)


@inlined
def calls_left(lane, attempts):
    """How often the model may still be called again, after so many *attempts*."""
    return max(0, lane.rules[0].max_attempts - attempts)


@inlined
def count_calls(lane, k, further, at):
    """Further attempts at a request's work: counted where it ends."""
    lane.requests[k].attempts += further
    lane.tally[0, minute_of(at), RETRIED] += further


@inlined
def calls_by(lane, k, now):
    """How often the model has been called again by *now*, for a request it works on."""
    r = lane.requests[k]
    if r.status != TIMED_OUT:
        return 0
    again, calls = r.start, 0
    while calls < calls_left(lane, r.attempts):
        again = again + lane.service_of[k, DOWNLOAD] + lane.rules[0].timeout_s
        if again > now:
            break
        calls += 1
    return calls


@compiled
def count_calls_now(lane, found):
    """Count into found[k] how often the model has been called again for each request in work."""
    for i in range(lane.state[0].departures):
        k = lane.depart_of[i]
        found[k] = calls_by(lane, k, lane.state[0].now)


@inlined
def deliver(lane, by):
    """Results that are in S3, and errors that are told, by *by*."""
    state = lane.state[0]
    while state.departures > 0 and lane.depart_at[0] <= by:
        k = lane.depart_of[0]
        heap_pop(lane.depart_at, lane.depart_of, state.departures)
        state.departures -= 1
        r = lane.requests[k]
        if r.status == TIMED_OUT:
            count_calls(lane, k, calls_left(lane, r.attempts), r.finish)
        settle_inside(lane, k)


@inlined
def back_in_line(lane, k, now):
    """Work that was lost is at the front of the line again, where the oldest stands first."""
    count_calls(lane, k, 1, now)
    r = lane.requests[k]
    r.status, r.place = INSIDE, NOBODY
    r.start, r.entered = np.nan, now
    variant = lane.variants[0]
    ring = lane.line.shape[1] - 1
    at = variant.line_head - 1
    for _ in range(variant.line_length):
        ahead = lane.line[0, (at + 1) & ring]
        if lane.requests[ahead].row > r.row:
            break
        lane.line[0, at & ring] = ahead
        at += 1
    lane.line[0, at & ring] = k
    variant.line_head = (variant.line_head - 1) & ring
    variant.line_length += 1


# --- commands: what a decision may do at the instant the lane was advanced to -----------------------------------------


@compiled
def open_place(lane, v, p, instance, workers, now):
    """An instance with *workers* slots comes into service at place *p*, the highest so far."""
    place = lane.places[v, p]
    place.instance = instance
    place.serving = True
    place.line_length = 0
    width = lane.slots.shape[1] // lane.places.shape[1]
    for s in range(p * width, p * width + workers):
        slot = lane.slots[v, s]
        slot.busy_from = now
        slot.busy_until = now
        slot.holds = NOBODY
        slot.place = p
        lane.free[v, s] = now
        play(lane.first_free[v], lane.free[v], s, 1)
    lane.outstanding[v, p] = 0.0
    play(lane.least[v], lane.outstanding[v], p, 1)
    variant = lane.variants[v]
    lane.serving[v, variant.serving] = p
    variant.serving += 1
    variant.share = 1.0 / variant.serving


@compiled
def drain_place(lane, v, p):
    """The instance takes nothing new; what runs there, and what waits at its own line, goes on."""
    lane.places[v, p].serving = False
    lane.outstanding[v, p] = INF
    play(lane.least[v], lane.outstanding[v], p, 1)
    variant = lane.variants[v]
    kept = 0
    for i in range(variant.serving):
        if lane.serving[v, i] != p:
            lane.serving[v, kept] = lane.serving[v, i]
            kept += 1
    variant.serving = kept
    variant.share = 1.0 / kept if kept > 0 else 0.0
    if lane.rules[0].routing == SHARED_QUEUE or lane.rules[0].routing == ASYNCHRONOUS:
        close_slots(lane, v, p)


@inlined
def close_slots(lane, v, p):
    width = lane.slots.shape[1] // lane.places.shape[1]
    for s in range(p * width, (p + 1) * width):
        lane.free[v, s] = INF
        play(lane.first_free[v], lane.free[v], s, 1)


@inlined
def fail(lane, k, now):
    r = lane.requests[k]
    r.status = FAILED
    r.finish = now
    if not r.start <= now:
        r.start = np.nan
    settle_inside(lane, k)


@inlined
def lose(lane, k, now):
    """A request whose instance is gone fails, or, where the rules say so, goes back to the line."""
    if lane.rules[0].routing == ASYNCHRONOUS:
        count_calls(lane, k, calls_by(lane, k, now), now)
    if lane.rules[0].requeues:
        back_in_line(lane, k, now)
    else:
        fail(lane, k, now)


@compiled
def kill_place(lane, v, p, now):
    """The instance is gone, and with it whatever it held and had not answered.  It must have been drained first."""
    state = lane.state[0]
    held = state.departures
    state.departures = 0
    for i in range(held):
        k = lane.depart_of[i]
        if lane.requests[k].variant == v and lane.requests[k].place == p:
            lose(lane, k, now)
        else:  # the heap is built anew, in place: entry i is read before anything is written there
            heap_push(lane.depart_at, lane.depart_of, state.departures, lane.depart_at[i], k)
            state.departures += 1
    width = lane.slots.shape[1] // lane.places.shape[1]
    for s in range(p * width, (p + 1) * width):
        slot = lane.slots[v, s]
        if slot.holds != NOBODY:
            fail(lane, slot.holds, now)
            slot.holds = NOBODY
        slot.busy_until = min(slot.busy_until, now)
    close_slots(lane, v, p)
    lane.places[v, p].line_length = 0


@compiled
def count_inside(lane, found):
    """Count into found[v, 2] who waits and who is in work at the instant the lane was advanced to."""
    now = lane.state[0].now
    for v in range(lane.variants.shape[0]):
        found[v, 0] = lane.variants[v].line_length
        for s in range(lane.slots.shape[1]):
            found[v, 1] += lane.slots[v, s].busy_until > now
    for i in range(lane.state[0].departures):
        r = lane.requests[lane.depart_of[i]]
        if not r.start <= now:
            found[r.variant, 0] += 1
