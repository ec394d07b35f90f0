"""What queueing theory knows exactly, to stand beside what a simulation estimates.

A station has *servers* equal servers and one line, first come, first served.  Requests come as a Poisson process of
*rate* [requests/s]; one takes *service_mean* seconds on average.  *offered* = rate · service_mean is the work that
arrives, in servers kept busy [erlang].

    >>> round(erlang_c(6.4, servers=8), 6), round(mmc_mean_wait(6.4, 1.0, servers=8), 6)
    (0.457645, 0.286028)
    >>> round(erlang_b(2016, servers=1000), 6)
    0.504455

Nothing here overflows or loses digits up to thousands of servers: no factorial or power is ever formed.

Sources
-------
Erlang, "Solution of some problems in the theory of probabilities of significance in automatic telephone exchanges",
1917; Kleinrock, *Queueing Systems* I, 1975, sections 3.5–3.6 (M/M/c, Erlang B, M/M/c/K) and 5.6–5.7 (M/G/1);
Cooper, *Introduction to Queueing Theory*, 2nd ed. 1981, section 3.3 (the recursion for Erlang B) and 3.4;
King, "Analysis of demand paging algorithms", IFIP Congress 1971, and Che, Tung, Wang, "Hierarchical web caching
systems", IEEE JSAC 2002 (least recently used).
"""

import math
from collections.abc import Sequence
from itertools import permutations
from typing import NamedTuple

import numpy as np

from simlib.parameters import Count, Flag, NonNegative, ParameterError, Positive, Share, Whole, checked

__all__ = [
    "FiniteStation",
    "amdahl",
    "erlang_b",
    "erlang_c",
    "lru_hit_ratio",
    "mg1_mean_wait",
    "mmc_mean_wait",
    "mmc_wait_quantile",
    "mmck",
    "reached_by",
]


@checked
def erlang_b(offered: NonNegative, servers: Whole) -> float:
    """Erlang's loss formula: the probability that a request finds all *servers* busy, where none may wait (M/G/c/c).

    B(0) = 1, B(n) = a·B(n-1) / (n + a·B(n-1)): each step adds and divides positive numbers of size 1, so nothing is
    lost (Cooper 1981, section 3.3).  It holds for any law of the service time.

    Parameters
    ----------
    offered : float
        Work that arrives [erlang] = rate · mean service time.
    """
    blocked = 1.0
    for n in range(1, servers + 1):
        blocked = offered * blocked / (n + offered * blocked)
    return blocked


@checked
def erlang_c(offered: NonNegative, servers: Count) -> float:
    """Erlang's delay formula: the probability that a request of M/M/c has to wait; 1 where the line grows without end.

    C = c·B / (c - a·(1 - B)), with B from `erlang_b` (Cooper 1981, section 3.4).
    """
    if offered >= servers:
        return 1.0
    blocked = erlang_b(offered, servers)
    return servers * blocked / (servers - offered * (1 - blocked))


@checked
def mmc_mean_wait(rate: Positive, service_mean: Positive, servers: Count) -> float:
    """Mean wait in the line of M/M/c [s], service not included; infinite where the line grows without end.

    Wq = C / (c/s - λ) with C from `erlang_c` and s the mean service time (Kleinrock 1975, section 3.5).
    """
    spare = servers / service_mean - rate
    return erlang_c(rate * service_mean, servers) / spare if spare > 0 else math.inf


@checked
def mmc_wait_quantile(share: Share, rate: Positive, service_mean: Positive, servers: Count) -> float:
    """The wait [s] that *share* of the requests of M/M/c do not exceed; 0 where that many find a free server.

    P(wait > t) = C·exp(-(c/s - λ)·t), so the quantile is ln(C / (1 - share)) / (c/s - λ) (Kleinrock 1975, 3.5).
    """
    waits, spare = erlang_c(rate * service_mean, servers), servers / service_mean - rate
    if waits <= 1 - share:
        return 0.0
    if spare <= 0 or share == 1:
        return math.inf
    return math.log(waits / (1 - share)) / spare


class FiniteStation(NamedTuple):
    """M/M/c/K: the share of requests that is refused, and the mean wait of the others [s]."""

    refused: float
    mean_wait: float


@checked
def mmck(rate: Positive, service_mean: Positive, servers: Count, queue_limit: Whole) -> FiniteStation:
    """M/M/c/K with K = servers + queue_limit: at most *queue_limit* requests wait, and whoever comes then is refused.

    p(n) ∝ aⁿ / (min(1, c)·…·min(n, c)) for n ≤ K; a request is refused with p(K) (arrivals see time averages), and
    the mean wait follows by Little's law (Kleinrock 1975, section 3.6).  The weights are formed as logarithms.

    Parameters
    ----------
    queue_limit : int
        As in `serving.RealTime`: how many may wait, not counting those in service.
    """
    n = np.arange(servers + queue_limit + 1)
    steps = math.log(rate * service_mean) - np.log(np.minimum(np.maximum(n, 1), servers))
    steps[0] = 0.0
    logs = np.cumsum(steps)
    p = np.exp(logs - logs.max())
    p /= p.sum()
    waiting = float((p * np.maximum(n - servers, 0)).sum())
    taken = float(p[:-1].sum())  # not 1 - p[-1]: that would cancel where nearly all are refused
    return FiniteStation(float(p[-1]), waiting / (rate * taken))


@checked
def mg1_mean_wait(rate: Positive, service_mean: Positive, service_cv: NonNegative) -> float:
    """Mean wait in the line of M/G/1 [s]; infinite where the line grows without end.

    Wq = ρ / (1 - ρ) · (1 + cv²) / 2 · s with ρ = rate·s: Pollaczek (1930) and Khinchine (1932); Kleinrock 1975, 5.6.
    """
    load = rate * service_mean
    return load / (1 - load) * (1 + service_cv**2) / 2 * service_mean if load < 1 else math.inf


@checked
def lru_hit_ratio(shares: Sequence[Positive], slots: Count, *, exact: Flag = False) -> float:
    """The share of calls that find their model among the *slots* least recently used ones kept.

    Independent calls with fixed *shares*, models of equal size (the independent reference model).  By Che's
    approximation (Che, Tung, Wang 2002): model i is there with probability 1 - exp(-p_i t), where t solves
    Σ (1 - exp(-p_i t)) = slots.  With *exact*, by summing over all orders in which models can stand
    (King 1971): Π p_k / (1 - p of those before it); only for few models.

    Parameters
    ----------
    shares : sequence of float, shape (models,)
        In proportion to the calls of each model.
    slots : int
        Models that fit.

    Raises
    ------
    ParameterError
        If the exact sum would have more than a million terms.
    """
    p = np.asarray(shares) / np.sum(shares)
    if slots >= len(p):
        return 1.0
    if exact:
        return _lru_exact(p, slots)
    from scipy.optimize import brentq

    def surplus(log_t: float) -> float:
        return float((1 - np.exp(-p * np.exp(log_t))).sum() - slots)

    t = np.exp(brentq(surplus, -10.0, np.log(1e3 * len(p) / p.min())))
    return float((p * (1 - np.exp(-p * t))).sum())


def _lru_exact(p: np.ndarray, slots: int) -> float:
    if math.perm(len(p), slots) > 1_000_000:
        raise ParameterError(f"lru_hit_ratio: exact is for few models; {len(p)} in {slots} slots have too many orders.")
    total = 0.0
    for order in permutations(p.tolist(), slots):
        left, probability = 1.0, 1.0
        for share in order:
            probability *= share / left
            left -= share
        total += probability * sum(order)
    return total


# --- what is not a queue ----------------------------------------------------------------------------------------------


@checked
def amdahl(share: Share, factor: Positive) -> float:
    """How many times faster the whole becomes when a *share* of it becomes *factor* times faster (Amdahl 1967).

    >>> round(amdahl(80 / 120, 25), 1)
    2.8
    """
    return 1 / (1 - share + share / factor)


@checked
def reached_by(time_s: NonNegative, mean_on_s: Positive, mean_off_s: Positive) -> float:
    """Share of a fleet that has been connected at least once *time_s* seconds after it was called.

    Stays are exponential.  A device is connected when called with probability A = on / (on + off); one that is not
    comes back after an exponential rest of its stay: 1 - (1 - A)·exp(-t / off).

    >>> reached_by(0, 3600, 1200)
    0.75
    """
    away = mean_off_s / (mean_on_s + mean_off_s)
    return 1 - away * math.exp(-time_s / mean_off_s)
