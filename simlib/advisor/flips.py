"""Where the answer flips: the cheapest of each kind over traffic, and the decision under changed assumptions."""

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator, Sequence

import pandas as pd

from simlib.advisor.advice import Advice, answer
from simlib.advisor.question import Question
from simlib.model import empirical

HALVINGS = 7  # of the ratio between two neighbours of the grid; with the usual grid, to about 1 %


# --- over traffic ----------------------------------------------------------------------------------------------------


def over_traffic(question: Question, per_day: Sequence[float]) -> pd.DataFrame:
    """Dollars over the horizon of the cheapest option of each kind that keeps what is asked, by requests a day.

    NaN: no option of this kind keeps it there.  `attrs["flips"]` lists (requests a day, kind below, kind above).
    """
    rows = {float(rate): _cheapest(at(question, rate)) for rate in sorted(per_day)}
    frame = pd.DataFrame.from_dict(rows, orient="index").dropna(axis="columns", how="all")
    frame.index.name = "requests_per_day"
    frame.attrs["flips"] = list(_flips(question, rows))
    return frame


def at(question: Question, per_day: float) -> Question:
    """The same question with other traffic."""
    now = question.requests / question.sample_days
    return dataclasses.replace(question, workload=question.workload.scaled(per_day / now))


def _cheapest(question: Question) -> dict[str, float]:
    found = answer(question, replications=1, n_jobs=1, progress=False).ranking
    return {str(kind): float(usd) for kind, usd in found[found["keeps"]].groupby("kind")["usd"].min().items()}


def _winner(costs: dict[str, float]) -> str | None:
    return min(costs, key=costs.__getitem__) if costs else None


def _flips(question: Question, rows: dict[float, dict[str, float]]) -> Iterator[tuple[float, str | None, str | None]]:
    """Between which requests a day another kind becomes the cheapest, narrowed by halving the ratio."""
    for low, high in itertools.pairwise(rows):
        below, above = _winner(rows[low]), _winner(rows[high])
        if below == above:
            continue
        for _ in range(HALVINGS):
            middle = math.sqrt(low * high)
            here = _winner(_cheapest(at(question, middle)))
            low, high = (middle, high) if here == below else (low, middle)
            above = above if here == below else here
        yield math.sqrt(low * high), below, above


# --- under changed assumptions ---------------------------------------------------------------------------------------


def sensitivity(advice: Advice, factor: float) -> pd.DataFrame:
    """The decision when one thing is smaller or larger by *factor*.

    Returns
    -------
    DataFrame
        Index (changed, times); columns best, usd, kind, flips: whether the best is of another kind than without.
    """
    now = advice.ranking.loc[advice.best, "kind"] if advice.best else None
    rows = []
    for (name, change), times in itertools.product(_CHANGES.items(), (1 / factor, factor)):
        changed = change(advice.question, times)
        if changed is None:
            continue
        found = answer(changed, replications=1, n_jobs=1, progress=False)
        first = found.ranking.loc[found.best] if found.best else pd.Series({"usd": math.nan, "kind": None})
        rows.append((name, times, found.best, first["usd"], first["kind"], first["kind"] != now))
    frame = pd.DataFrame(rows, columns=["changed", "times", "best", "usd", "kind", "flips"])
    return frame.set_index(["changed", "times"])


def _traffic(question: Question, times: float) -> Question:
    return dataclasses.replace(question, workload=question.workload.scaled(times))


def _service(question: Question, times: float) -> Question:
    slower = dataclasses.replace(question.model, service=empirical(times * question.durations))
    return dataclasses.replace(question, model=slower)


def _size(question: Question, times: float) -> Question:
    larger = dataclasses.replace(question.model, request_kb=times * question.model.request_kb)
    payload = None if question.payload_mb is None else times * question.payload_mb
    return dataclasses.replace(question, model=larger, payload_mb=payload)


def _wait(question: Question, times: float) -> Question | None:
    if question.max_p99_s is None and question.deadline_h is None:
        return None
    p99 = None if question.max_p99_s is None else times * question.max_p99_s
    deadline = None if question.deadline_h is None else times * question.deadline_h
    return dataclasses.replace(question, max_p99_s=p99, deadline_h=deadline)


def _keep_alive(question: Question, times: float) -> Question:
    return dataclasses.replace(question, keep_alive_s=times * question.keep_alive_s)


def _offline(question: Question, times: float) -> Question | None:
    if not question.offline_share:
        return None
    return dataclasses.replace(question, offline_share=min(1.0, times * question.offline_share))


def _device_price(question: Question, times: float) -> Question | None:
    if not question.asks_for_edge:
        return None
    return dataclasses.replace(question, usd_per_device_month=times * question.usd_per_device_month)


_CHANGES: dict[str, Callable[[Question, float], Question | None]] = {
    "traffic": _traffic,
    "service time": _service,
    "request size": _size,
    "longest wait": _wait,
    "keep-alive of serverless containers": _keep_alive,
    "share of the time offline": _offline,
    "price of a device": _device_price,
}
