"""Arrival processes against their definitions, composition, traces of every shape, and what is refused."""

import datetime as dt
import itertools
import math
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from simlib import workload
from simlib.columns import Numbers
from simlib.parameters import ParameterError, from_json, to_json
from simlib.workload import Workload, bursty, diurnal, files, from_counts, from_trace, nightly, on_off, poisson
from simlib.workload.blocks import BLOCK
from simlib.workload.counted import Counts
from simlib.workload.reading import read
from simlib.workload.recorded import Trace
from simlib.workload.stream import Repeated, Sum

DAY = 86_400.0

# Error rate: every comparison with theory below would fail once in 10,000 fresh seeds (two-sided z, or a chi-square
# tail).  There are about 60 and the seeds are fixed, so a failure means a defect.
ERROR = 1e-4
Z = float(stats.norm.isf(ERROR / 2))

TRACE = pd.DataFrame({"at": [30.0, 0.0, 10.0, 30.0, 100.0], "Tokens": [4, 1, 2, 3, 5]})


def _rng(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


def _counts(load: Workload, start_s: float, end_s: float, replications: int) -> np.ndarray:
    """Arrivals in the window in independent replications, shape (replications,)."""
    return np.array([len(load.arrivals(start_s, end_s, _rng(seed))) for seed in range(replications)], dtype=float)


# --- realised rate and index of dispersion --------------------------------------------------------------------------


def _mmpp_variance(calm: float, burst: float, calm_s: float, burst_s: float, window_s: float) -> float:
    """Variance of the counts of a two-state MMPP over a window, started stationary.

    Given the rate's path the count is Poisson, so Var N = E Λ + Var Λ, with Λ the integral of the rate.  The rate's
    covariance at distance u is p (1-p) (burst - calm)² exp(-s u), with s = 1/calm_s + 1/burst_s; twice its integral
    over 0 < u < t weighted with t - u gives Var Λ = 2 p (1-p) (burst - calm)² / s · (t - (1 - exp(-s t)) / s).
    """
    share, speed = burst_s / (calm_s + burst_s), 1 / calm_s + 1 / burst_s
    mean = (share * burst + (1 - share) * calm) * window_s
    spread = share * (1 - share) * (burst - calm) ** 2
    return mean + 2 * spread / speed * (window_s - (1 - math.exp(-speed * window_s)) / speed)


FIFTY = from_trace(pd.DataFrame({"at": np.arange(50.0)}), time="at")
WAVE_MEAN = diurnal(0.002).expected(15 * 3600, 23 * 3600)

# workload, window, mean, variance; index of dispersion = variance / mean
DEFINITIONS = {
    # Poisson: variance = mean in any window, of any rate.
    "poisson": (poisson(5), 100, 110, 50, 50),
    "poisson, long gaps": (poisson(0.01), 0, 100, 1, 1),
    "poisson, over block ends": (poisson(100), 0, 20, 2000, 2000),
    "diurnal": (diurnal(0.002), 15 * 3600, 23 * 3600, WAVE_MEAN, WAVE_MEAN),
    "diurnal, second day": (diurnal(0.002), DAY, 2 * DAY, 172.8, 172.8),
    "poisson thinned": (poisson(5).thinned(0.2), 100, 110, 10, 10),
    "poisson + poisson": (poisson(2) + poisson(3), 10, 20, 50, 50),
    "poisson scaled": (poisson(5).scaled(3), 0, 10, 150, 150),
    # MMPP: see above.  Windows at 0 and late: it starts stationary.
    "bursty at 0": (bursty(1, 20, 50, 10), 0, 30, 125, _mmpp_variance(1, 20, 50, 10, 30)),
    "bursty late": (bursty(1, 20, 50, 10), 500, 530, 125, _mmpp_variance(1, 20, 50, 10, 30)),
    "bursty, long window": (bursty(0.5, 5, 8, 2), 0, 400, 560, _mmpp_variance(0.5, 5, 8, 2, 400)),
    "bursty, fast states": (bursty(1, 5, 0.02, 0.02), 0, 20, 60, _mmpp_variance(1, 5, 0.02, 0.02, 20)),
    "on_off": (on_off(6, 10, 20), 0, 40, 80, _mmpp_variance(0, 6, 20, 10, 40)),
    # Fixed numbers at uniform places: binomial, variance n p (1-p), dispersion 1 - p.
    "nightly, half its window": (nightly(40, at_hour=1, within_s=600), 3600, 3900, 20, 10),
    "nightly, second night": (nightly(40, at_hour=1, within_s=600), DAY + 3600, DAY + 3750, 10, 7.5),
    "nightly, whole window": (nightly(40, at_hour=1, within_s=600), 3600, 4200, 40, 0),
    "nightly at once": (nightly(40, at_hour=1), 3600, 3600.1, 40, 0),
    "counts, whole interval": (from_counts([10, 30, 7]), 60, 120, 30, 0),
    "counts, half an interval": (from_counts([10, 30, 7]), 60, 90, 15, 7.5),
    "trace": (FIFTY, 0, 25, 25, 0),
    "trace thinned": (FIFTY.thinned(0.3), 0, 50, 15, 10.5),
    "trace scaled down": (FIFTY.scaled(0.3), 0, 50, 15, 10.5),
    # Each request joined by 1 or 2 more, 1.5 on average: variance n/4.
    "trace scaled up": (FIFTY.scaled(2.5), 0, 60, 125, 12.5),
    # Half of the gap after the last request seen holds its copies with probability ½ each: 49 full requests' copies
    # (variance ¼ each) and one request's K copies, K = 1 or 2, of which Binomial(K, ½) are seen:
    # variance E[K]/4 + Var(K)/4 = .375 + .0625.
    "trace scaled up, cut in a gap": (FIFTY.scaled(2.5), 0, 48.5, 49 + 1.5 * 48.5, 0.25 * 48 + 0.4375),
    "counts repeated": (from_counts([10, 30, 7]).repeated(days=1), 3 * 180 + 60, 3 * 180 + 90, 15, 7.5),
    "files": (files(12, size_mb=200), 0, 1, 12, 0),
}


@pytest.mark.parametrize("case", DEFINITIONS)
def test_rate_and_dispersion_are_those_of_the_definition(case: str) -> None:
    load, start_s, end_s, mean, variance = DEFINITIONS[case]
    replications = 2000
    counts = _counts(load, start_s, end_s, replications)
    assert load.expected(start_s, end_s) == pytest.approx(mean)
    if variance == 0:
        assert set(counts) == {mean}
        return
    assert abs(counts.mean() - mean) < Z * math.sqrt(variance / replications)
    squares = (counts - mean) ** 2  # of known mean: the variance, without bias
    assert abs(squares.mean() - variance) < Z * squares.std() / math.sqrt(replications)


def test_poisson_counts_of_one_long_run_are_poisson() -> None:
    """Windows of one run, over many blocks: Σ (n - m)² / m is chi-square with one degree a window."""
    windows, mean = 20_000, 50.0
    times = poisson(50).arrivals(0, windows, _rng(4))
    counts = np.histogram(times, bins=np.arange(windows + 1))[0]
    statistic = float(((counts - mean) ** 2 / mean).sum())
    assert stats.chi2.ppf(ERROR / 2, windows) < statistic < stats.chi2.isf(ERROR / 2, windows)
    assert abs(len(times) - mean * windows) < Z * math.sqrt(mean * windows)


def test_poisson_gaps_are_exponential_also_across_blocks() -> None:
    gaps = np.diff(poisson(3).arrivals(0, 100_000, _rng(5)), prepend=0.0)
    assert stats.kstest(gaps, "expon", args=(0, 1 / 3)).pvalue > ERROR
    neighbours = np.corrcoef(gaps[:-1], gaps[1:])[0, 1]
    assert abs(neighbours) < Z / math.sqrt(len(gaps))


def test_the_diurnal_wave_follows_its_formula_hour_by_hour() -> None:
    """The formula's own integral, not the library's grid: ∫ 1 + a cos(2π (h - p) / 24) dh."""
    rate, peak_to_mean, peak_hour, days = 1.5, 1.9, 14.5, 20
    hours = np.arange(25)
    swing = (peak_to_mean - 1) * 24 / (2 * np.pi) * np.diff(np.sin(2 * np.pi * (hours - peak_hour) / 24))
    expected = days * rate * 3600 * (1 + swing)
    load = diurnal(rate, peak_to_mean=peak_to_mean, peak_hour=peak_hour)
    times = load.arrivals(0, days * DAY, _rng(6))
    counts = np.histogram(times % DAY, bins=hours * 3600)[0]
    statistic = float(((counts - expected) ** 2 / expected).sum())
    assert stats.chi2.ppf(ERROR / 2, 24) < statistic < stats.chi2.isf(ERROR / 2, 24)
    each_hour = [load.expected(hour * 3600, (hour + 1) * 3600) for hour in range(24)]
    assert each_hour == pytest.approx(expected / days, rel=1e-4)


def test_a_wave_of_twice_its_mean_is_silent_at_the_lowest_minute() -> None:
    load = diurnal(1.0, peak_to_mean=2.0, peak_hour=12.0)
    assert load.expected(0, 60) < 0.001 * load.expected(12 * 3600, 12 * 3600 + 60)
    assert load.expected(12 * 3600, 12 * 3600 + 60) == pytest.approx(120, rel=1e-4)
    assert load.expected(0, DAY) == pytest.approx(DAY)


def test_items_of_a_night_are_uniform_in_their_window() -> None:
    times = nightly(20_000, at_hour=23.5, within_s=3600).arrivals(0, DAY + 3600, _rng(7))
    assert stats.kstest((times - 23.5 * 3600) / 3600, "uniform").pvalue > ERROR


# --- blocks ---------------------------------------------------------------------------------------------------------

MANY = {
    "poisson": poisson(3),
    "diurnal": diurnal(2.0),
    "bursty": bursty(0.1, 30, 60, 5),
    "on_off": on_off(5, 10, 300),
    "nightly": nightly(70_000, at_hour=2, within_s=600),
    "nightly at once": nightly(100, at_hour=0),
    "counts": from_counts([0, 500, 0, 100_000, 1, 0]),
    "trace": from_trace(TRACE, time="at", work=["Tokens"]),
    "files": files(1000, size_mb=200, records_per_file=3),
    "sum": poisson(1) + diurnal(2.0) + nightly(500, at_hour=1),
    "sum of finite and endless": from_counts([5, 5]) + poisson(0.5),
    "thinned": poisson(10).thinned(0.1),
    "copied": from_trace(TRACE, time="at", work=["Tokens"]).scaled(40.3),
    "between": diurnal(2.0).between(3600, 50_000),
    "repeated": from_trace(TRACE, time="at", work=["Tokens"]).repeated(days=1.5),
    "all": ((poisson(1) + from_counts([500] * 9).repeated(days=2)).scaled(1.5).thinned(0.5)).between(100, 90_000),
}


@pytest.mark.parametrize("name", MANY)
def test_blocks_are_sorted_never_empty_and_small_at_first(name: str) -> None:
    load, last, first = MANY[name], 0.0, True
    for block in itertools.islice(load.blocks(_rng()), 40):
        assert 1 <= len(block.times) <= 2 * BLOCK
        assert not first or len(block.times) <= 50_000
        assert block.times.dtype == np.float64
        assert block.times[0] >= last
        assert (np.diff(block.times) >= 0).all()
        assert tuple(block.work) == load.work_columns
        assert all(column.shape == block.times.shape for column in block.work.values())
        last, first = block.times[-1], False


@pytest.mark.parametrize("name", MANY)
def test_a_short_run_is_the_beginning_of_a_long_one(name: str) -> None:
    load = MANY[name]
    long = load.arrivals(0, 2 * DAY, _rng(9))
    for end_s in (10.0, 3600.0, 1.2 * DAY):
        assert load.arrivals(0, end_s, _rng(9)).tobytes() == long[long < end_s].tobytes()
    assert load.arrivals(3600, DAY, _rng(9)).tobytes() == long[(long >= 3600) & (long < DAY)].tobytes()


@pytest.mark.parametrize("name", MANY)
def test_blocks_depend_on_nothing_but_workload_and_generator(name: str) -> None:
    """Two readers, one far ahead of the other and both interrupted by foreign draws, see the same."""
    load = MANY[name]
    ahead = list(itertools.islice(load.blocks(_rng(3)), 6))
    for early, again in zip(ahead, load.blocks(_rng(3)), strict=False):
        _rng(99).random(10)
        assert early.times.tobytes() == again.times.tobytes()


@pytest.mark.parametrize("name", MANY)
def test_workloads_compare_pickle_and_go_to_json_and_back(name: str) -> None:
    load = MANY[name]
    for copy in (from_json(to_json(load)), pickle.loads(pickle.dumps(load))):
        assert copy == load
        assert copy.arrivals(0, 5000, _rng()).tobytes() == load.arrivals(0, 5000, _rng()).tobytes()
    assert load.scaled(2) != load
    assert len(repr(load)) < 600


def test_different_seeds_and_parts_are_independent() -> None:
    assert poisson(1).arrivals(0, 10, _rng(1)).tolist() != poisson(1).arrivals(0, 10, _rng(2)).tolist()
    twice = (poisson(1) + poisson(1)).arrivals(0, 1000, _rng())
    assert len(np.unique(twice)) == len(twice)


def test_sums_round_as_if_there_were_no_blocks() -> None:
    gaps = _rng(8).standard_exponential(200_000)
    gaps *= 1 / 7.0
    assert poisson(7).arrivals(0, 20_000, _rng(8)).tobytes() == np.cumsum(gaps)[np.cumsum(gaps) < 20_000].tobytes()


SIMPLE = st.one_of(
    st.builds(poisson, st.floats(0.001, 50)),
    st.builds(diurnal, st.floats(0.001, 5), peak_to_mean=st.floats(1, 2), peak_hour=st.floats(0, 23.9)),
    st.builds(bursty, st.floats(0, 1), st.floats(1, 30), st.floats(1, 1000), st.floats(1, 1000)),
    st.builds(nightly, st.integers(1, 500), at_hour=st.floats(0, 23.9), within_s=st.floats(0, DAY)),
    st.builds(from_counts, st.lists(st.integers(0, 50), min_size=1, max_size=20).filter(any)),
    st.just(from_trace(TRACE, time="at", work=["Tokens"])),
)
COMBINED = st.recursive(
    SIMPLE,
    lambda loads: st.one_of(
        st.builds(lambda a, b: a + b, loads, loads),
        st.builds(lambda a, share: a.thinned(share), loads, st.floats(0.01, 1)),
        st.builds(lambda a, factor: a.scaled(factor), loads, st.floats(1, 5)),
        st.builds(lambda a, days: a.repeated(days=days), loads, st.floats(0.1, 3)),
        st.builds(
            lambda a, start, length: a.between(start, start + length), loads, st.floats(0, DAY), st.floats(1, DAY)
        ),
    ),
    max_leaves=4,
)


@settings(max_examples=120, deadline=None)
@given(load=COMBINED, seed=st.integers(0, 1000))
def test_any_combination_keeps_the_promises(load: Workload, seed: int) -> None:
    hour, two = (load.arrivals(0, hours * 3600, _rng(seed)) for hours in (1, 2))
    assert hour.tobytes() == two[two < 3600].tobytes()
    assert (np.diff(two) >= 0).all()
    assert from_json(to_json(load)) == load
    parts = load.expected(0, 2000) + load.expected(2000, 7200)
    assert parts == pytest.approx(load.expected(0, 7200))
    block = next(load.blocks(_rng(seed)), None)
    assert block is None or len(block.times) > 0


# --- composition ----------------------------------------------------------------------------------------------------


def test_a_sum_keeps_order_names_and_the_columns_all_parts_carry() -> None:
    one = from_trace(pd.DataFrame({"at": [0, 10], "A": [1, 2], "B": [3, 4]}), time="at", work=["A", "B"], name="one")
    two = from_trace(pd.DataFrame({"at": [0, 5], "A": [7, 8]}), time="at", work="A", name="two")
    both = one + two
    block = _all(both)
    assert block.times.tolist() == [0, 0, 5, 10]
    assert block.work["A"].tolist() == [1, 7, 8, 2]
    assert both.work_columns == ("A",)
    assert both.name == "one+two"
    assert (both + poisson(1)).work_columns == ()
    assert both + one == one + two + one


def _all(load: Workload) -> workload.Block:
    """Everything of a workload that ends, as one block."""
    blocks = list(load.blocks(_rng()))
    times = np.concatenate([block.times for block in blocks])
    return workload.Block(times, {c: np.concatenate([block.work[c] for block in blocks]) for c in load.work_columns})


def test_scaling_multiplies_the_expected_number_of_every_kind() -> None:
    for load in MANY.values():
        assert load.scaled(3).expected(0, 2 * DAY) == pytest.approx(3 * load.expected(0, 2 * DAY))
        assert load.scaled(1).expected(0, DAY) == pytest.approx(load.expected(0, DAY))


def test_scaled_counts_keep_their_total() -> None:
    counts = [3, 1, 4, 1, 5, 9, 2, 6]
    half = from_counts(counts).scaled(0.5)
    assert half.expected(0, 1e6) == round(sum(counts) / 2)
    assert isinstance(half, Counts)
    assert (half.counts.values % 1 == 0).all()


def test_copies_of_a_trace_come_between_a_request_and_the_next_with_its_work() -> None:
    times = np.array([0.0, 10.0, 10.0, 50.0])
    trace = from_trace(pd.DataFrame({"at": times, "Id": [1, 2, 3, 4]}), time="at", work=["Id"])
    block = _all(trace.scaled(100))
    ids = block.work["Id"].astype(int)
    assert np.bincount(ids).tolist() == [0, 100, 100, 100, 100]
    assert block.times[ids == 1].min() == 0
    assert block.times[ids == 1].max() < 10
    assert set(block.times[ids == 2]) == {10.0}
    assert 10 <= block.times[ids == 3].min() < block.times[ids == 3].max() < 50
    assert set(block.times[ids == 4]) == {50.0}
    spread = block.times[ids == 3][block.times[ids == 3] > 10] - 10
    assert stats.kstest(spread / 40, "uniform").pvalue > ERROR


def test_thinning_keeps_a_sample_of_the_same_requests() -> None:
    trace = from_trace(pd.DataFrame({"at": np.arange(1000.0), "Id": np.arange(1000)}), time="at", work=["Id"])
    block = _all(trace.thinned(0.25))
    assert (block.times == block.work["Id"]).all()
    assert 180 < len(block.times) < 320


def test_between_keeps_the_clock_and_the_requests_of_the_whole() -> None:
    load = poisson(1)
    cut = load.between(100, 200)
    assert cut.arrivals(0, 1e4, _rng(3)).tolist() == load.arrivals(100, 200, _rng(3)).tolist()
    assert cut.expected(0, 150) == 50
    assert cut.expected(300, 400) == 0
    assert list(load.between(0, 0.001).thinned(0.001).blocks(_rng())) == []


@pytest.mark.parametrize(
    ("last_s", "requests", "period_s"),
    [
        (90.0, 10, 100),  # nine gaps in 90 s: the last request gets one too
        (99.5, 200, 100),
        (3500.2, 100_000, 3501),
        (20.5 * 3600, 100_000, DAY),  # nearly a day is a day, so that hours stay hours
        (19.9 * 3600, 1000, math.ceil(19.9 * 3600 * 1000 / 999)),
        (6.9 * DAY, 100_000, 7 * DAY),
        (25 * 3600, 100_000, math.ceil(25 * 3600 * 100_000 / 99_999)),
        (0.0, 3, DAY),  # all at once: once a day
    ],
)
def test_a_trace_is_repeated_back_to_back(last_s: float, requests: int, period_s: float) -> None:
    trace = from_trace(pd.DataFrame({"at": np.linspace(0, last_s, requests)}), time="at")
    again = trace.repeated(days=30)
    assert isinstance(again, Repeated)
    assert again.every_s == period_s
    times = again.arrivals(0, 3 * period_s - 1e-6, _rng())
    assert times[requests : requests + 2].tolist() == (times[:2] + period_s).tolist()
    assert len(times) == 3 * requests


def test_a_repetition_ends_after_its_days() -> None:
    trace = from_trace(TRACE, time="at").repeated(days=1.5)
    assert trace.arrivals(0, 1e9, _rng()).max() < 1.5 * DAY
    assert len(trace.arrivals(0, 1e9, _rng())) == trace.expected(0, 1e9)
    assert poisson(0.01).repeated(days=2).arrivals(0, 1e9, _rng()).max() < 2 * DAY
    office = diurnal(0.01).between(8 * 3600, 18 * 3600).repeated(days=5)
    hours = office.arrivals(0, 1e9, _rng()) / 3600
    assert ((hours % 24 >= 8) & (hours % 24 < 18)).all()
    assert set((hours // 24).astype(int)) == {0, 1, 2, 3, 4}
    assert from_counts([5] * 24, every_s=3600).repeated(days=3).expected(0, 1e9) == 3 * 24 * 5
    assert files(7, size_mb=1).repeated(days=3).arrivals(0, 1e9, _rng()).tolist() == [0] * 7 + [DAY] * 7 + [2 * DAY] * 7


def test_each_repetition_of_a_random_kind_is_drawn_anew() -> None:
    times = from_counts([100]).repeated(days=0.01).arrivals(0, 120, _rng())
    assert not np.isclose(times[:100], times[100:] - 60).all()


# --- traces ---------------------------------------------------------------------------------------------------------

AZURE = """TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 18:15:46.6805900,374,44
2023-11-16 18:15:50.9951691,396,109
2023-11-16 18:15:51.2224670,879,55
"""


def _file(folder: Path, text: str, name: str = "log.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_a_file_in_the_shape_of_the_azure_trace_reads_right(tmp_path: Path) -> None:
    work = ["ContextTokens", "GeneratedTokens"]
    trace = from_trace(_file(tmp_path, AZURE), time="TIMESTAMP", work=work)
    (block,) = trace.blocks(_rng())
    assert block.times.tolist() == pytest.approx([0, 4.3145791, 4.5418770], abs=1e-9)
    assert block.work["ContextTokens"].tolist() == [374, 396, 879]
    assert block.work["GeneratedTokens"].tolist() == [44, 109, 55]
    assert trace.expected(0, 4.5) == 2
    assert from_json(to_json(trace)) == trace
    assert str(tmp_path) in to_json(trace)
    assert "374" not in to_json(trace)


@pytest.mark.parametrize(
    "text",
    [
        "at;Tokens\n0;3\n0.25;4\n",
        "at;Tokens\n7,5;3\n7,75;4\n",
        "at\tTokens\n1\t3\n1.25\t4\n",
        "host|at|Tokens\na|1|3\nb|1.25|4\n",
        "at, Tokens\n1, 3\n1.25, 4\n",
        "Tokens,at\n4,1700158546930\n3,1700158546680\n",
        "at,Tokens\n1700158546680000,3\n1700158546930000,4\n",
        "at,Tokens\n1700158546680000001,3\n1700158546930000001,4\n",
        "at,Tokens\n1700158546.5,3\n1700158546.75,4\n",
    ],
)
def test_separators_and_units_are_recognized(tmp_path: Path, text: str) -> None:
    (block,) = from_trace(_file(tmp_path, text), time="at", work=["Tokens"]).blocks(_rng())
    assert block.times.tolist() == [0.0, 0.25]
    assert block.work["Tokens"].tolist() == [3, 4]


def test_nanoseconds_since_1970_keep_each_nanosecond(tmp_path: Path) -> None:
    log = _file(tmp_path, "at\n1700158546680000001\n1700158546680000004\n")
    assert from_trace(log, time="at").arrivals(0, 1, _rng()).tolist() == pytest.approx([0, 3e-9], abs=1e-12)


def test_a_trace_from_a_frame_keeps_its_numbers() -> None:
    trace = from_trace(TRACE, time="at", work=["Tokens"])
    (block,) = from_json(to_json(trace)).blocks(_rng())
    assert block.times.tolist() == [0, 10, 30, 30, 100]
    assert block.work["Tokens"].tolist() == [1, 2, 4, 3, 5]  # two at 30 s: in order of row


NINE = [f"2026-03-02T08:00:0{second}.{'123456789'[:decimals]}" for second, decimals in ((1, 9), (2, 3), (3, 1), (4, 6))]


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([5, 7, 6], [0, 1, 2]),
        ([-1.5, 0.0], [0, 1.5]),
        ([1700158546.25, 1700158547.5], [0, 1.25]),
        (["12.5", "10"], [0, 2.5]),
        (["2026-03-02", "2026-03-03"], [0, DAY]),
        (["2026-03-02 08:00", "2026-03-02T08:00:01.5"], [0, 1.5]),
        (NINE, [0, 0.999543211, 1.976543211, 2.999999211]),
        (["2026-03-02T08:00:00Z", "2026-03-02T08:00:00.5Z"], [0, 0.5]),
        (["2026-03-02T08:00:00+01:00", "2026-03-02T07:30:00Z"], [0, 1800]),  # an hour of summer time
        (["2026-03-02T08:00:00+0100", "2026-03-02T08:00:02+0100"], [0, 2]),
        (pd.to_datetime(["2026-03-02", "2026-03-01"]), [0, DAY]),
        (pd.to_datetime(["2026-03-02 00:00:00.25"]).tz_localize("Europe/Madrid"), [0]),
        ([dt.datetime(2026, 3, 2, 8), dt.datetime(2026, 3, 2, 9)], [0, 3600]),
        ([dt.datetime(2026, 3, 2, 8, tzinfo=dt.UTC)] * 2, [0, 0]),
        ([dt.date(2026, 3, 2), dt.date(2026, 3, 3)], [0, DAY]),
        (pd.to_timedelta([90, 30], unit="s"), [0, 60]),
        (pd.array([3, 1], dtype="Int64"), [0, 2]),
        (pd.Categorical(["2026-03-02", "2026-03-03"]), [0, DAY]),
    ],
)
def test_times_of_many_shapes(times, expected) -> None:
    trace = from_trace(pd.DataFrame({"at": times}), time="at")
    assert trace.arrivals(0, 1e9, _rng()).tolist() == pytest.approx(expected, abs=1e-9)


def test_compressed_files_and_byte_order_marks_read_too(tmp_path: Path) -> None:
    TRACE.to_csv(tmp_path / "log.csv.gz", index=False)
    marked = _file(tmp_path, "\ufeff" + TRACE.to_csv(index=False))
    for path in (tmp_path / "log.csv.gz", marked, str(marked)):
        assert from_trace(path, time="at").arrivals(0, 1e9, _rng()).tolist() == [0, 10, 30, 30, 100]


def test_a_log_of_many_rows_is_read_in_blocks_with_its_work(tmp_path: Path) -> None:
    n = 300_000
    frame = pd.DataFrame({"at": _rng().permutation(n) * 0.5, "Tokens": 0})
    frame["Tokens"] = frame["at"] * 2
    frame.to_csv(tmp_path / "log.csv", index=False)
    blocks = list(from_trace(tmp_path / "log.csv", time="at", work="Tokens").blocks(_rng()))
    assert [len(block.times) for block in blocks[:5]] == [256, 1024, 4096, 16384, 65536]
    assert all((block.work["Tokens"] == block.times * 2).all() for block in blocks)
    assert sum(len(block.times) for block in blocks) == n


@pytest.mark.parametrize(
    "text",
    [
        "at,Tokens\n2026-03-02T08:00:00.250Z,1\n2026-03-02T08:00:01.500Z,2\n",
        "at , Tokens \n2026-03-02 08:00:00.25 UTC,1\n2026-03-02 08:00:01.5 UTC,2\n",
        "at;Tokens\n2026-03-02 08:00:00,250;1,0\n2026-03-02 08:00:01,500;2,0\n",
    ],
)
def test_times_as_loggers_and_warehouses_write_them(tmp_path: Path, text: str) -> None:
    rows = from_trace(_file(tmp_path, text), time="at", work=["Tokens"]).rows
    assert rows.times.values.tolist() == [0.0, 1.25]
    assert rows.work["Tokens"].values.tolist() == [1.0, 2.0]


def test_a_separator_at_the_end_of_each_row_is_no_column(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("at,Tokens\n1,2,\n4,3,\n")
    times, work = read(str(tmp_path / "log.csv"), "at", ["Tokens"])
    assert times.tolist() == [0, 3]
    assert work["Tokens"].tolist() == [2, 3]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty; it needs a header"),
        ("at,Tokens\n", "has no rows"),
        ("when,Tokens\n1,2\n", "no column 'at'; it knows when, Tokens"),
        ("att,Tokens\n1,2\n", "no column 'at'; did you mean 'att'"),
        ("at,Token\n1,2\n", "no column 'Tokens'; did you mean 'Token'"),
        ("at;Token\n1;2\n", "no column 'Tokens'; did you mean 'Token'"),
        ("at,Tokens,at\n1,2,3\n", "2 columns 'at'"),
        ("at,Tokens\n1,2\nsoon,3\n", r"'at' in row 2 \(.*\) is 'soon'; it should be a number of seconds"),
        ("at,Tokens\n1,2\n,3\n", "'at' in row 2 .* is missing"),
        ("at,Tokens\n1,2\ninf,3\n", "'at' in row 2 .* is 'inf'"),
        ("at,Tokens\n2026-03-02,2\n2026-13-02,3\n", "'at' in row 2 .* is '2026-13-02'; it should be a time such as"),
        ("at,Tokens\n02/03/2026 8:00,2\n", "'at' in row 1 .* is '02/03/2026 8:00'"),
        ("at,Tokens\n1,2\n3,-4\n", "'Tokens' in row 2 .* is '-4'; it should be a number of at least 0"),
        ("at,Tokens\n1,2\n3,many\n", "'Tokens' in row 2 .* is 'many'"),
        ("at,Tokens\n1,2\n3,\n", "'Tokens' in row 2 .* is missing"),
        ("at,Tokens\n1700158546680,2\n300000000000,2\n", "'at' holds 300000000000 to 1700158546680; .* since 1970"),
        ("at,Tokens\n8e15,2\n", "'at' holds 8e.?15 .* milli-, micro- or nanoseconds since 1970"),
        ("at,Tokens\n2026-03-02T08:00Z,2\n2026-03-02T08:00:01,2\n", "'at' in row 2 .* has no time zone while others"),
        ("at,Tokens\n2026-03-02T08:00,2\n2026-03-02T08:00:01+01,2\n", "'at' in row 1 .* has no time zone while others"),
        ('at,Tokens\n"1,2\n', "cannot be read as CSV"),
        ("at,Tokens\n1,5,2\n2,5,3\n", "2 columns and 3 values in row 1"),
        ("at,Tokens\n1700000000,2\n0,2\n", "'at' in row 1 .* it should be within ten years of the earliest request"),
    ],
)
def test_what_is_wrong_with_a_file_is_one_sentence(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ParameterError, match=words) as caught:
        from_trace(_file(tmp_path, text), time="at", work=["Tokens"])
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("from_trace: ")


def test_a_file_that_is_none_or_no_text_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(bytes(range(128, 256)) * 20)
    (tmp_path / "log.csv.gz").write_bytes(b"not compressed")
    (tmp_path / "log.zip").write_bytes(b"not compressed")
    for name in ("model.bin", "log.csv.gz", "log.zip"):
        with pytest.raises(ParameterError, match="cannot be read as CSV"):
            from_trace(tmp_path / name, time="at")
    with pytest.raises(ParameterError, match="is a folder; it should be a CSV file"):
        from_trace(tmp_path, time="at")
    for name in (tmp_path / "nowhere.csv", "http://localhost/log.csv"):
        with pytest.raises(ParameterError, match="there is no file"):
            from_trace(name, time="at")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: poisson(0), "poisson: rate=0"),
        (lambda: poisson(-1), "rate=-1"),
        (lambda: poisson("20/s"), "without quotes or unit"),
        (lambda: poisson(math.nan), "rate=nan"),
        (lambda: poisson(), "needs the parameter 'rate'"),
        (lambda: poisson(1, name=""), "name=''"),
        (lambda: poisson(1, color=3), "no parameter 'color'"),
        (lambda: diurnal(5, peak_to_mean=3), "peak_to_mean=3"),
        (lambda: diurnal(5, peak_to_mean=0.5), "peak_to_mean=0.5"),
        (lambda: diurnal(5, peak_hour=24), "peak_hour=24"),
        (lambda: diurnal(0), "mean_rate=0"),
        (lambda: bursty(0, 0, 1, 1), "burst_rate=0"),
        (lambda: bursty(5, 1, 1, 1), "burst_rate=1 should be at least calm_rate=5"),
        (lambda: bursty(1, 5, 0, 1), "mean_calm_s=0"),
        (lambda: on_off(1, 0, 1), "mean_on_s=0"),
        (lambda: nightly(0, at_hour=1), "items=0"),
        (lambda: nightly(1.5, at_hour=1), "items=1.5"),
        (lambda: nightly(1), "needs the parameter 'at_hour'"),
        (lambda: nightly(1, at_hour=-1), "at_hour=-1"),
        (lambda: nightly(1, at_hour=1, within_s=DAY + 1), "within_s=86401"),
        (lambda: from_counts([]), "at least one number"),
        (lambda: from_counts([0, 0]), "at least one request"),
        (lambda: from_counts([1, 1.5]), r"counts\[1\]=1.5 should be a whole number"),
        (lambda: from_counts([1, -1]), r"counts\[1\]=-1"),
        (lambda: from_counts([1], every_s=0), "every_s=0"),
        (lambda: files(0, size_mb=1), "count=0"),
        (lambda: files(1, size_mb=0), "size_mb=0"),
        (lambda: files(1, size_mb=1, records_per_file=0), "records_per_file=0"),
        (lambda: from_trace(5, time="at"), "path of a CSV file or a DataFrame, not a int"),
        (lambda: from_trace(TRACE), "needs the parameter 'time'"),
        (lambda: from_trace(TRACE, time="att"), "no column 'att'; did you mean 'at'"),
        (lambda: from_trace(TRACE, time="at", work=["Token"]), "did you mean 'Tokens'"),
        (lambda: from_trace(TRACE, time="at", work=5), "work=5"),
        (lambda: from_trace(pd.DataFrame(), time="at"), "has no rows"),
        (lambda: from_trace(TRACE[:0], time="at"), "has no rows"),
        (lambda: from_trace(TRACE[["at", "at"]], time="at"), "has 2 columns 'at'"),
        (lambda: from_trace(pd.DataFrame({"at": [1.0, math.nan]}), time="at"), "row 2 .* is missing"),
        (lambda: from_trace(pd.DataFrame({"at": [None, "x"]}), time="at"), "row 1 .* is missing"),
        (lambda: from_trace(pd.DataFrame({"at": [True]}), time="at"), "type bool"),
        (lambda: Trace(Numbers([2.0, 1.0])), "times should be sorted"),
        (lambda: Trace([1.0, 2.0], {"A": [1.0]}), "should have 2 numbers"),
        (lambda: poisson(1).scaled(0), "scaled: factor=0"),
        (lambda: poisson(1).scaled("twice"), "factor='twice'"),
        (lambda: nightly(1, at_hour=1).scaled(0.1), "leaves 0.1 items"),
        (lambda: from_counts([1, 0]).scaled(0.1), "leaves 0 requests"),
        (lambda: poisson(1).repeated(days=0), "days=0"),
        (lambda: poisson(1).between(5, 3), "end_s=3 should be greater than start_s=5"),
        (lambda: poisson(1).between(-5, 3), "start_s=-5"),
        (lambda: poisson(1).thinned(0), "share=0"),
        (lambda: poisson(1).thinned(1.1), "share=1.1"),
        (lambda: poisson(1).arrivals(5, 3, _rng()), "end_s=3 should be at least start_s=5"),
        (lambda: poisson(1).expected(-1, 3), "start_s=-1"),
        (lambda: Sum((5,)), "parts=5 is not a workload"),
        (lambda: Sum(()), "at least one workload"),
    ],
)
def test_what_cannot_be_is_one_sentence(wrong, words) -> None:
    with pytest.raises(ParameterError, match=words) as caught:
        wrong()
    assert "\n" not in str(caught.value)


def test_a_number_is_no_part_of_a_sum() -> None:
    with pytest.raises(TypeError):
        poisson(1) + 3
