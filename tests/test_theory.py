"""Theory: the formulas against closed forms and scipy, and the simulation against the formulas."""

import math

import numpy as np
import pytest
from scipy import stats

from simlib import theory
from simlib.commands import validate

REPLICATIONS = 6
"""Each interval is Student's with 5 degrees of freedom: wide (4.0 standard errors), and honest."""


# --- formulas against closed forms ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("offered", "servers"), [(0.3, 1), (4.0, 5), (45.0, 50), (120.0, 100), (195.0, 200)])
def test_erlang_b_is_a_truncated_poisson(offered, servers):
    law = stats.poisson(offered)
    assert theory.erlang_b(offered, servers) == pytest.approx(law.pmf(servers) / law.cdf(servers), rel=1e-9)


@pytest.mark.parametrize(("offered", "servers"), [(0.3, 1), (6.4, 8), (47.5, 50), (190.0, 200)])
def test_erlang_c_is_the_textbook_sum(offered, servers):
    logs = [n * math.log(offered) - math.lgamma(n + 1) for n in range(servers + 1)]
    tail = math.exp(logs[servers]) / (1 - offered / servers)
    textbook = tail / (math.fsum(math.exp(x) for x in logs[:servers]) + tail)
    assert theory.erlang_c(offered, servers) == pytest.approx(textbook, rel=1e-9)


def test_known_values():
    assert theory.erlang_c(6.4, 8) == pytest.approx(0.457645, abs=5e-7)
    assert theory.mmc_mean_wait(6.4, 1.0, 8) == pytest.approx(0.286028, abs=5e-7)
    assert theory.erlang_b(1000 * 2.016, 1000) == pytest.approx(0.504455, abs=5e-7)


@pytest.mark.parametrize("load", [0.1, 0.5, 0.8, 0.95, 0.999])
def test_one_server_is_the_simplest_formula(load):
    assert theory.mmc_mean_wait(load, 1.0, 1) == pytest.approx(load / (1 - load))
    assert theory.mg1_mean_wait(load, 1.0, 1.0) == pytest.approx(load / (1 - load))
    assert theory.erlang_c(load, 1) == pytest.approx(load)


def test_time_is_measured_in_any_unit():
    assert theory.mmc_mean_wait(6.4 / 60, 60.0, 8) == pytest.approx(60 * theory.mmc_mean_wait(6.4, 1.0, 8))
    assert theory.mg1_mean_wait(7.0, 0.1, 2.0) == pytest.approx(0.1 * theory.mg1_mean_wait(0.7, 1.0, 2.0))


@pytest.mark.parametrize(("rate", "servers"), [(0.8, 1), (6.4, 8), (190.0, 200)])
def test_wait_quantiles_invert_the_tail(rate, servers):
    for share in (0.9, 0.99, 0.999):
        wait = theory.mmc_wait_quantile(share, rate, 1.0, servers)
        assert theory.erlang_c(rate, servers) * math.exp(-(servers - rate) * wait) == pytest.approx(1 - share)
    assert theory.mmc_wait_quantile(0.0, rate, 1.0, servers) == 0
    assert theory.mmc_wait_quantile(1.0, rate, 1.0, servers) == math.inf


def test_the_mean_wait_is_the_integral_of_its_quantiles():
    shares = (np.arange(20_000) + 0.5) / 20_000
    quantiles = [theory.mmc_wait_quantile(share, 6.4, 1.0, 8) for share in shares.tolist()]
    assert np.mean(quantiles) == pytest.approx(theory.mmc_mean_wait(6.4, 1.0, 8), rel=1e-3)


@pytest.mark.parametrize(("rate", "servers", "limit"), [(0.9, 1, 5), (1.0, 1, 4), (7.6, 8, 12), (30.0, 20, 10)])
def test_a_finite_station_solves_its_balance_equations(rate, servers, limit):
    """The stationary law of the birth–death chain, as the null vector of its generator."""
    n = servers + limit + 1
    chain = np.zeros((n, n))
    for i in range(n - 1):
        chain[i, i + 1], chain[i + 1, i] = rate, min(i + 1, servers)
    chain -= np.diag(chain.sum(axis=1))
    p = np.linalg.lstsq(np.vstack([chain.T, np.ones(n)]), np.r_[np.zeros(n), 1.0], rcond=None)[0]
    found = theory.mmck(rate, 1.0, servers, limit)
    waiting = (p * np.maximum(np.arange(n) - servers, 0)).sum()
    assert found.refused == pytest.approx(p[-1], rel=1e-9)
    assert found.mean_wait == pytest.approx(waiting / (rate * (1 - p[-1])), rel=1e-9)


def test_a_finite_station_between_its_two_limits():
    assert theory.mmck(45.0, 1.0, 50, 0).refused == pytest.approx(theory.erlang_b(45.0, 50), rel=1e-9)
    assert theory.mmck(45.0, 1.0, 50, 0).mean_wait == 0
    assert theory.mmck(6.4, 1.0, 8, 400).mean_wait == pytest.approx(theory.mmc_mean_wait(6.4, 1.0, 8), rel=1e-9)


def test_hundreds_of_servers_neither_overflow_nor_vanish():
    for servers in (500, 2000):
        blocked = [theory.erlang_b(load * servers, servers) for load in (0.5, 0.9, 1.0, 1.5)]
        assert blocked == sorted(blocked)
        assert 0 <= blocked[0] < 1e-20
        assert blocked[3] == pytest.approx(1 / 3, abs=0.01)  # of 1.5 times what fits, a third is refused
        assert 0 < theory.mmc_mean_wait(0.99 * servers, 1.0, servers) < 1
        station = theory.mmck(2.0 * servers, 1.0, servers, 100)
        assert station.refused == pytest.approx(0.5, abs=1e-3)
        assert math.isfinite(station.mean_wait)


def test_an_overloaded_line_grows_without_end():
    assert theory.erlang_c(8.0, 8) == 1
    assert theory.mmc_mean_wait(8.0, 1.0, 8) == math.inf
    assert theory.mmc_wait_quantile(0.5, 9.0, 1.0, 8) == math.inf
    assert theory.mg1_mean_wait(1.0, 1.0, 0.0) == math.inf


# --- the simulation against the formulas ----------------------------------------------------------------------------


def test_the_exact_values_lie_in_the_intervals():
    """Of forty intervals at 99 % a few may miss; none may miss one as wide as forty of them ask for (Bonferroni)."""
    judged = [each for case in validate.cases() for each in validate.judge(case, seed=0, replications=REPLICATIONS)]
    outside = [each for each in judged if not each.inside]
    assert len(outside) <= validate.allowed(len(judged)), outside
    own, together = (stats.t.ppf(1 - miss / 2, REPLICATIONS - 1) for miss in (0.01, 0.01 / len(judged)))
    far = [each for each in outside if abs(each.estimate - each.exact) > each.half_width * together / own]
    assert not far
    wide = [each for each in judged if "over" not in each.figure and each.half_width > 0.25 * each.exact]
    assert not wide  # an interval that says something; of a tail of 1 % six short runs know little


def test_what_is_certain_is_exact():
    found = validate.deterministic()
    assert found.estimate == found.exact == 125
    assert found.half_width == 0


def test_intervals_cover_as_often_as_they_say():
    """100 validations of a small case: 1 miss in 100 is expected, and 6 come by chance once in 1800 tries."""
    case = validate.mmc(2, 0.5, requests=4_000)
    found = [validate.judge(case, seed=seed, replications=5)[1] for seed in range(100)]
    outside = sum(not figure.inside for figure in found)
    assert outside <= 5
    assert np.mean([figure.estimate for figure in found]) == pytest.approx(theory.mmc_mean_wait(1.0, 1.0, 2), rel=0.02)


def test_a_wrong_theory_is_found_out():
    """The test has teeth: M/M/8 held against M/M/8 with 3 % more service lies outside."""
    case = validate.mmc(8, 0.8)
    wrong = theory.mmc_mean_wait(6.4, 1.03, 8)
    found = validate.judge(case, seed=0, replications=20)[1]
    assert not abs(found.estimate - wrong) <= found.half_width


def test_how_many_may_lie_outside():
    assert validate.allowed(40) == 3
    assert stats.binom.sf(3, 40, 0.01) < 0.001 < stats.binom.sf(2, 40, 0.01)
