"""Every distance against an independent computation, on thirty seeded pairs, odd ones included."""

import math
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.spatial.distance import jensenshannon

import simlib as sl
from simlib.monitoring import distances
from simlib.monitoring.distances import goodness_of_fit
from simlib.monitoring.sketch import distribution, gap, kll

NAN = math.nan
EXACT = {"rel": 1e-9, "abs": 1e-9}


def number_pairs() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Thirty pairs of samples of numbers."""
    pairs = {}
    for seed in range(18):  # continuous, tied, skewed; from tiny to large; with and without a shift
        rng = np.random.default_rng(seed)
        n, m = int(rng.integers(2, 3000)), int(rng.integers(2, 3000))
        draw: Callable[[int], np.ndarray] = [
            rng.standard_normal,
            rng.standard_exponential,
            lambda k, rng=rng: rng.poisson(3, k),
        ][seed % 3]
        pairs[f"seed {seed}"] = (draw(n) * 1.0, draw(m) * rng.choice([1.0, 1.5]) + rng.choice([0.0, 0.3, 2.0]))
    rng = np.random.default_rng(99)
    normal = rng.standard_normal(500)
    pairs |= {
        "the same": (normal, normal),
        "both constant, equal": (np.full(20, 3.0), np.full(30, 3.0)),
        "both constant, different": (np.full(20, 3.0), np.full(30, 4.0)),
        "reference constant": (np.full(20, 0.1), rng.standard_normal(30)),
        "current constant": (normal, np.full(30, 0.2)),
        "one row each": (np.array([1.0]), np.array([2.0])),
        "one row against many": (np.array([1.0]), normal),
        "disjoint": (normal, normal + 100),
        "missing values": (np.r_[normal, NAN, NAN], np.r_[NAN, normal[:90] + 1]),
        "one outlier": (normal, np.r_[normal[:200], 1e6]),
        "huge and small": (normal * 1e-12, normal[:99] * 1e12),
        "few rows": (rng.standard_normal(30), rng.standard_normal(25)),
    }
    return pairs


def category_pairs() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Thirty pairs of samples of categories."""
    pairs = {}
    for seed in range(22):
        rng = np.random.default_rng(1000 + seed)
        values = np.array([f"v{k}" for k in range(int(rng.integers(1, 40)))], dtype=object)
        p, q = rng.dirichlet(np.ones(len(values))), rng.dirichlet(np.ones(len(values)))
        n, m = rng.integers(1, 4000, 2)
        pairs[f"seed {seed}"] = (rng.choice(values, n, p=p), rng.choice(values, m, p=q if seed % 2 else p))
    pairs |= {
        "unseen": (np.array(["a", "b", "b"]), np.array(["c", "b", "d", "d"])),
        "disjoint": (np.array(["a", "b"]), np.array(["c"])),
        "one value": (np.array(["a"] * 5), np.array(["a"] * 7)),
        "one row each": (np.array(["a"]), np.array(["b"])),
        "booleans": (np.array([True, False, True]), np.array([True, True])),
        "missing values": (np.array(["a", None, "b", NAN], object), np.array([None, "b", "b"], object)),
        "text against numbers": (np.array(["1", "2", "2"], object), np.array([1.0, 2.0, 3.0])),
        "mixed": (np.array([1, "x", 2.5, "x"], object), np.array(["x", 1, 1], object)),
    }
    return pairs


NUMBERS, CATEGORIES = number_pairs(), category_pairs()


def there(values: np.ndarray) -> np.ndarray:
    return np.asarray(values, float)[~np.isnan(np.asarray(values, float))]


def text(values: np.ndarray) -> list[str]:
    found = [value for value in values.tolist() if not pd.isna(value)]
    return [str(int(v)) if isinstance(v, float) and v.is_integer() else str(v) for v in found]


def shares(a: np.ndarray, b: np.ndarray) -> tuple[list[float], list[float]]:
    """Shares over the union of the values, by counting."""
    x, y = Counter(text(a)), Counter(text(b))
    union = sorted(x | y)
    return [x[v] / x.total() for v in union], [y[v] / y.total() for v in union]


def deciles(values: np.ndarray) -> list[float]:
    """The inner ones, in fractions: a decile that is a value is that value to the last digit."""
    ordered, found = [Fraction(x) for x in sorted(values.tolist())], []
    for k in range(1, 10):
        place, rest = divmod(k * (len(ordered) - 1), 10)
        above = ordered[min(place + 1, len(ordered) - 1)]
        found.append(float(ordered[place] + Fraction(rest, 10) * (above - ordered[place])))
    return found


def test_there_are_thirty_of_each() -> None:
    assert len(NUMBERS) >= 30
    assert len(CATEGORIES) >= 30


@pytest.mark.parametrize("name", NUMBERS)
class TestNumbers:
    def test_ks(self, name: str) -> None:
        a, b = (there(x) for x in NUMBERS[name])
        assert distances.ks(*NUMBERS[name]) == pytest.approx(stats.ks_2samp(a, b).statistic, **EXACT)
        assert distances.linf_simple(*NUMBERS[name]) == distances.ks(*NUMBERS[name])

    def test_ks_pvalue(self, name: str) -> None:
        a, b = (there(x) for x in NUMBERS[name])
        method = "asymp" if max(len(a), len(b)) > 2000 else "auto"
        assert distances.ks_pvalue(*NUMBERS[name]) == pytest.approx(stats.ks_2samp(a, b, method=method).pvalue, **EXACT)

    def test_robust(self, name: str) -> None:
        a, b = (there(x) for x in NUMBERS[name])
        n, m = len(a), len(b)
        wanted = max(0.0, stats.ks_2samp(a, b).statistic - 1.8 * math.sqrt((n + m) / (n * m)))
        assert distances.linf_robust(*NUMBERS[name]) == pytest.approx(wanted, **EXACT)

    def test_wasserstein(self, name: str) -> None:
        a, b = (there(x) for x in NUMBERS[name])
        moved = stats.wasserstein_distance(a, b)
        assert distances.wasserstein(a, b, normalized=False) == pytest.approx(moved, **EXACT)
        spread = a.std() if len(set(a)) > 1 else 0.0
        wanted = moved / spread if spread else (math.inf if moved else 0.0)
        assert distances.wasserstein(*NUMBERS[name]) == pytest.approx(wanted, **EXACT)

    def test_psi(self, name: str) -> None:
        a, b = (there(x) for x in NUMBERS[name])
        edges = np.r_[-np.inf, np.unique(deciles(a)), np.inf]
        p = np.maximum(np.histogram(a, edges)[0] / len(a), 1e-4)
        q = np.maximum(np.histogram(b, edges)[0] / len(b), 1e-4)
        wanted = stats.entropy(p / p.sum(), q / q.sum()) * p.sum() + stats.entropy(q / q.sum(), p / p.sum()) * q.sum()
        wanted += (p.sum() - q.sum()) * math.log(p.sum() / q.sum())  # entropy() normalises; the index does not
        assert distances.psi(*NUMBERS[name]) == pytest.approx(wanted, **EXACT)

    def test_jensen_shannon(self, name: str) -> None:
        a, b = (there(x) for x in NUMBERS[name])
        edges = np.histogram_bin_edges(np.r_[a, b], 10)
        p, q = np.histogram(a, edges)[0] / len(a), np.histogram(b, edges)[0] / len(b)
        wanted = float(np.nan_to_num(jensenshannon(p, q, 2)))
        assert distances.js_divergence(*NUMBERS[name]) == pytest.approx(wanted**2, **EXACT)
        assert distances.js_distance(*NUMBERS[name]) == pytest.approx(wanted, rel=1e-9, abs=1e-7)

    def test_the_baselines_distribution_gives_the_same(self, name: str) -> None:
        a, b = (there(x) for x in NUMBERS[name])
        remembered = distribution(kll(a, k=len(a), c=0.64, rng=np.random.default_rng(1)))
        assert gap(remembered, b) == pytest.approx(stats.ks_2samp(a, b).statistic, **EXACT)


@pytest.mark.parametrize("name", CATEGORIES)
class TestCategories:
    def test_tvd_and_linf(self, name: str) -> None:
        p, q = shares(*CATEGORIES[name])
        gaps = [abs(x - y) for x, y in zip(p, q, strict=True)]
        assert distances.tvd(*CATEGORIES[name]) == pytest.approx(sum(gaps) / 2, **EXACT)
        assert distances.linf_simple(*CATEGORIES[name]) == pytest.approx(max(gaps), **EXACT)

    def test_psi(self, name: str) -> None:
        wanted = 0.0
        for x, y in zip(*shares(*CATEGORIES[name]), strict=True):
            x, y = max(x, 1e-4), max(y, 1e-4)
            wanted += (x - y) * math.log(x / y)
        assert distances.psi(*CATEGORIES[name]) == pytest.approx(wanted, **EXACT)

    def test_jensen_shannon(self, name: str) -> None:
        wanted = float(np.nan_to_num(jensenshannon(*shares(*CATEGORIES[name]), 2)))
        assert distances.js_divergence(*CATEGORIES[name]) == pytest.approx(wanted**2, **EXACT)
        assert distances.js_distance(*CATEGORIES[name], base=math.e) == pytest.approx(
            wanted * math.sqrt(math.log(2)), rel=1e-9, abs=1e-7
        )

    def test_chi2(self, name: str) -> None:
        a, b = (Counter(text(x)) for x in CATEGORIES[name])
        union = sorted(a | b)
        table = [[counts[v] for v in union] for counts in (a, b)]
        wanted = stats.chi2_contingency(table, correction=False) if len(union) > 1 else None
        assert distances.chi2(*CATEGORIES[name]) == pytest.approx(wanted.statistic if wanted else 0.0, **EXACT)
        assert distances.chi2_pvalue(*CATEGORIES[name]) == pytest.approx(wanted.pvalue if wanted else 1.0, **EXACT)


# --- what holds for all of them -------------------------------------------------------------------------------------

ALL = [getattr(distances, name) for name in distances.__all__]
EMPTY: list[Any] = [np.empty(0), np.array([NAN, NAN]), [], pd.Series([None, None], dtype=object)]


@pytest.mark.parametrize("distance", ALL, ids=lambda f: f.__name__)
@pytest.mark.parametrize("empty", EMPTY, ids=["empty", "nan", "list", "none"])
def test_nothing_is_at_no_known_distance(distance: Callable[..., float], empty: Any) -> None:
    full = np.array([1.0, 2.0, 3.0])
    assert math.isnan(distance(full, empty))
    assert math.isnan(distance(empty, full))
    assert math.isnan(distance(empty, empty))


@pytest.mark.parametrize("name", [*NUMBERS, *CATEGORIES])
def test_ranges_and_symmetry(name: str) -> None:
    a, b = NUMBERS.get(name, CATEGORIES.get(name))  # type: ignore[misc]
    for bounded in (distances.linf_simple, distances.linf_robust, distances.js_distance, distances.js_divergence):
        assert 0 <= bounded(a, b) <= 1 + 1e-12
        assert bounded(a, b) == pytest.approx(bounded(b, a), **EXACT)
        assert bounded(a, a) == pytest.approx(0, abs=1e-7)
    assert distances.psi(a, b) >= 0
    assert distances.linf_robust(a, b) <= distances.linf_simple(a, b)


def test_whole_numbers_too_large_for_a_float_are_categories() -> None:
    huge = [10**400, 10**400, 1]
    assert distances.linf_simple(huge, [1, 1, 10**400]) == pytest.approx(1 / 3, **EXACT)
    assert distances.psi(huge, huge) == 0


def test_the_order_of_rows_does_not_matter() -> None:
    rng = np.random.default_rng(5)
    a, b = rng.standard_normal(300), rng.standard_normal(200) + 0.4
    for distance in ALL:
        assert distance(rng.permutation(a), rng.permutation(b)) == pytest.approx(distance(a, b), **EXACT)


def test_a_larger_shift_is_farther() -> None:
    a = np.random.default_rng(6).standard_normal(2000)
    for distance in (distances.ks, distances.psi, distances.js_distance, distances.wasserstein):
        found = [distance(a, a + shift) for shift in (0, 0.1, 0.5, 1.0, 3.0)]
        assert found == sorted(found)
        assert found[0] == pytest.approx(0, abs=1e-9)


def test_psi_without_change_has_the_mean_of_theory() -> None:
    """(B − 1)(1/n + 1/m), by a 99.9 % interval over 600 pairs."""
    rng = np.random.default_rng(7)
    n, m = 1000, 500
    found = [distances.psi(rng.random(n), rng.random(m)) for _ in range(600)]
    mean, error = np.mean(found), np.std(found) / math.sqrt(len(found))
    assert abs(mean - 9 * (1 / n + 1 / m)) < 3.29 * error + 2e-4  # the formula is of first order


def test_a_value_on_a_decile_belongs_to_the_bin_above() -> None:
    """Eleven values are their own deciles; one float away, and three of them fell into the bin below."""
    values = np.random.default_rng(3).random(11)
    assert distances.psi(values, np.tile(values, 5)) == 0
    share = np.r_[np.full(9, 1 / 11), 2 / 11]
    now = np.full(10, 0.1)  # one value between each two deciles
    between = np.r_[np.sort(values)[:10] + np.diff(np.sort(values)) / 2]
    assert distances.psi(values, between) == pytest.approx(((share - now) * np.log(share / now)).sum(), **EXACT)


def test_goodness_of_fit_is_scipys_where_nothing_is_rare() -> None:
    expected, observed = {"a": 500.0, "b": 300.0, "c": 200.0}, {"a": 40.0, "b": 35.0, "c": 30.0}
    total = sum(observed.values())
    wanted = stats.chisquare(list(observed.values()), [e / 1000 * total for e in expected.values()]).pvalue
    assert goodness_of_fit(expected, observed) == pytest.approx(wanted, **EXACT)


def test_goodness_of_fit_puts_rare_categories_together() -> None:
    expected = {"a": 500.0, "b": 470.0, "c": 20.0, "d": 10.0}  # of 100 rows: 50, 47, 2, 1 → 50, 47, 3 → 50, 50
    observed = {"a": 60.0, "b": 36.0, "c": 1.0, "d": 3.0}
    wanted = stats.chisquare([60, 40], [50, 50]).pvalue
    assert goodness_of_fit(expected, observed) == pytest.approx(wanted, **EXACT)
    assert math.isnan(goodness_of_fit({"a": 3.0, "b": 1.0}, {"a": 3.0}))
    assert math.isnan(goodness_of_fit({}, {"a": 3.0}))


# --- the sketch -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [1, 2, 2047, 2048, 2049, 10_000, 200_000])
def test_a_sketch_loses_no_row_and_keeps_few(rows: int) -> None:
    values = np.random.default_rng(rows).standard_exponential(rows)
    levels = kll(values, k=2048, c=0.64, rng=np.random.default_rng(1))
    assert sum(len(level) * 2**h for h, level in enumerate(levels)) == rows
    assert sum(map(len, levels)) <= 2048 / (1 - 0.64) + 2 * len(levels)
    if rows <= 2048:
        assert np.array_equal(levels[0], np.sort(values))


def test_a_sketch_knows_ranks_to_a_thousandth() -> None:
    for seed in range(20):
        values = np.random.default_rng(seed).standard_normal(100_000)
        remembered = distribution(kll(values, k=2048, c=0.64, rng=np.random.default_rng(seed)))
        assert gap(remembered, values) < 1 / 1000


# --- mistakes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: distances.ks(["a"], ["b"]), "ks is for numbers"),
        (lambda: distances.wasserstein(["a"], [1.0]), "wasserstein is for numbers"),
        (lambda: distances.wasserstein([1.0, math.inf], [1.0]), "infinite"),
        (lambda: distances.js_distance([1.0, math.inf], [1.0]), "infinite"),
        (lambda: distances.psi([1.0], [1.0], bins=1), "bins=1"),
        (lambda: distances.psi([1.0], [1.0], floor=0.0), "floor=0"),
        (lambda: distances.js_distance([1.0], [1.0], base=1), "base=1"),
        (lambda: distances.psi([1.0, math.inf], [1.0]), "infinite"),
        (lambda: distances.js_distance([1.7e308, -1.7e308], [1.0]), "beyond 1e"),
        (lambda: distances.ks(np.zeros((2, 2)), [1.0]), "a list of values"),
        (lambda: distances.psi("income", [1.0]), "a list of values.*'income'"),
        (lambda: distances.tvd(["a"], None), "a list of values"),
        (lambda: distances.linf_simple({"a": 1}, ["a"]), "a list of values"),
    ],
)
def test_one_sentence(call: Callable[[], float], said: str) -> None:
    with pytest.raises(sl.ParameterError, match=said):
        call()
