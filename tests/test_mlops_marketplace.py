"""Buying and building, and releases by hand and by pipeline."""

import doctest
import math
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

import simlib as sl
from simlib import serving
from simlib.mlops import marketplace, releases
from simlib.mlops.marketplace import Build, Listing, Serving
from simlib.parameters import ParameterError

HOURLY = Listing("h", seller="s", usd_per_hour={"ml.m5.large": 0.3}, trial_days=14)
EACH = Listing("e", seller="s", usd_per_inference=0.001)


def test_fees_by_the_hour_each_and_month():
    assert HOURLY.monthly_fee(requests=0, hours=730) == pytest.approx(219)
    assert HOURLY.monthly_fee(requests=0, hours=1.001) == pytest.approx(0.3 * 61 / 60)  # prorated to the minute
    assert HOURLY.monthly_fee(requests=0, hours=1, instances=3) == pytest.approx(0.9)
    assert EACH.monthly_fee(requests=10_000, success_share=0.9) == pytest.approx(9.0)  # failed requests are free
    assert Listing("m", seller="s", usd_per_month=900).monthly_fee(requests=1e9) == 900
    assert HOURLY.meters(hours=5, trial=True) == ()


def test_where_it_deploys():
    model = sl.ModelProfile("m", service=sl.constant(0.1))
    for place in (serving.RealTime(model), "batch", "asynchronous"):
        EACH.check(place)
    with pytest.raises(ParameterError, match="not supported on serverless endpoints"):
        EACH.check("serverless")
    with pytest.raises(ParameterError, match="guardrails do not support Marketplace"):
        EACH.check("real-time", rollout="Canary")
    EACH.check("real-time", rollout="AllAtOnce")
    assert "nothing to train" in EACH.why_not("training")
    assert Listing("a", seller="s", kind="algorithm", usd_per_month=1).why_not("training") == ""


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Listing("x", seller="s", usd_per_month=1, usd_per_inference=1), "not several"),
        (lambda: Listing("x", seller="s", usd_per_month=1, trial_days=10), "only possible with usd_per_hour"),
        (lambda: Listing("x", seller="s", usd_per_hour={}, trial_days=3), "between 5 and 120"),
        (lambda: marketplace.listing("vision-tag"), "did you mean 'vision-tags'"),
        (lambda: HOURLY.fee_per_hour("ml.m5.lrge"), "did you mean 'ml.m5.large'"),
        (lambda: EACH.check("realtime"), "did you mean 'real-time'"),
    ],
)
def test_mistakes_are_one_sentence(make, sentence):
    with pytest.raises(ParameterError) as caught:
        make()
    assert sentence in str(caught.value)


def test_the_break_even_is_where_the_lines_cross():
    build = Build(once_usd=24_000, monthly_usd=0, months=24)  # 1,000 a month
    at = marketplace.break_even(EACH, build)
    assert at == 1_000_000
    table = marketplace.compare({"buy": EACH, "build": build}, requests_per_month=[at - 1, at, at + 1])
    assert (table["buy"] - table["build"]).round(6).tolist() == [-0.001, 0.0, 0.001]
    assert marketplace.break_even(Listing("m", seller="s", usd_per_month=900), build) == math.inf
    assert marketplace.break_even(Listing("m", seller="s", usd_per_month=1100), build) == 0.0


def test_infrastructure_is_paid_for_either_way():
    place = Serving(requests_per_s=10, peak_to_mean=2)
    assert [place.instances(volume) for volume in (0, 13_140_000, 13_140_001)] == [1, 1, 2]
    table = marketplace.compare({"buy": EACH}, requests_per_month=[0], serving=place)
    assert table.loc[0, "buy"] == pytest.approx(730 * 0.115)


def test_every_listing_is_invented_and_says_so():
    table = marketplace.catalogue()
    assert table["invented"].all()
    assert len(table) >= 5
    assert set(table["kind"]) == {"algorithm", "model"}


# --- by hand or by pipeline ------------------------------------------------------------------------------------------


def test_without_people_and_mistakes_both_ways_take_the_same_machine_time():
    at_once = dict(hands_on=sl.constant(0), notices_after=sl.constant(0), forgets=0.0, mistake=0.0, unrecorded=0.0)
    instant = sl.mlops.Person("p", hours=sl.mlops.ALWAYS, response=sl.constant(0))
    by_hand = releases.ByHand(**at_once, approver=instant, owner=instant)
    frame = releases.simulate(by_hand, releases=5, seed=3)
    auto = releases.simulate(releases.ByPipeline(approver=instant, bad_input=0.0), releases=5, seed=3)
    extra_h = auto["lead_time_h"] - frame["lead_time_h"]
    assert (extra_h.abs() < 0.2).all()  # registering and deploying take some minutes
    assert not frame["failed"].any()
    assert frame["reproducible"].all()


def test_people_are_slower_and_less_reproducible_under_the_assumptions():
    table = releases.compare(releases=20, seed=7)
    assert table.loc["median lead time [h]", "by hand"] > 3 * table.loc["median lead time [h]", "by pipeline"]
    assert table.loc["reproducible share", "by pipeline"] == 1.0
    assert table.loc["reproducible share", "by hand"] < 1.0
    assert releases.compare(releases=20, seed=7).equals(table)


def test_the_guide_runs():
    guide = Path(__file__).parents[1] / "docs" / "guide" / "mlops.md"
    result = doctest.testfile(str(guide), module_relative=False, encoding="utf-8", optionflags=doctest.ELLIPSIS)
    assert result.attempted > 20
    assert result.failed == 0


# --- the fee on the bill of a run -------------------------------------------------------------------------------------


def a_run(**settings):
    sim = sl.Simulation(seed=4)
    service = settings.pop("service", sl.constant(0.5))
    model = sl.ModelProfile("bought", service=service)
    place = serving.RealTime(model, **settings)
    return sim.deploy(place, sl.workload.poisson(rate=1.0)), sim


def test_the_bill_of_a_run_has_the_fee_on_top():
    endpoint, sim = a_run(initial_instance_count=2)
    sim.run(hours=1.51)
    run = endpoint.run
    own = run.invoice.attrs["total"]
    hourly = HOURLY.bill(run).attrs["total"] - own
    assert hourly == pytest.approx(2 * 91 / 60 * 0.3)  # each instance's 90.6 minutes are 91
    assert HOURLY.bill(run, trial=True).attrs["total"] == pytest.approx(own)
    assert EACH.bill(run, trial=True).attrs["total"] > own  # a price by inference has no trial
    contract = Listing("m", seller="s", usd_per_month=730).bill(run).attrs["total"] - own
    assert contract == pytest.approx(1.51)
    with pytest.raises(ParameterError, match=r"not sold on ml\.m5\.large"):
        Listing("x", seller="s", usd_per_hour={"ml.g5.xlarge": 1.0}).bill(run)


def test_only_answers_with_2xx_are_charged():
    endpoint, sim = a_run(service=sl.constant(2.0), queue_limit=1)  # offered twice what it can do: half is refused
    sim.run(hours=1)
    run = endpoint.run
    fee = EACH.bill(run).attrs["total"] - run.invoice.attrs["total"]
    assert fee == pytest.approx(0.001 * run.summary()["completed"])
    assert run.summary()["completed"] < 0.7 * run.summary()["requests"]


def test_a_run_where_it_may_not_be_is_not_billed():
    sim = sl.Simulation(seed=4)
    model = sl.ModelProfile("bought", service=sl.constant(0.1), size_mb=100)
    place = serving.Serverless(model, memory_mb=2048, max_concurrency=5)
    endpoint = sim.deploy(place, sl.workload.poisson(rate=1.0))
    sim.run(hours=0.1)
    with pytest.raises(ParameterError, match="not supported on serverless endpoints"):
        EACH.bill(endpoint.run)
    with pytest.raises(ParameterError, match="instance of Run"):
        EACH.bill(3)


# --- the picture ------------------------------------------------------------------------------------------------------


def test_the_picture_marks_where_the_lines_cross():
    plt.switch_backend("Agg")
    build = Build(once_usd=24_000, monthly_usd=0, months=24)
    assert "Cheapest at few requests: buy; at many: build" in marketplace.draw(EACH, build)
    ax = plt.gcf().axes[0]
    buy, built, mark = (line.get_xydata() for line in ax.lines)
    assert mark[0][0] == 1_000_000
    higher = buy[:, 1] > built[:, 1]
    assert higher.tolist() == (buy[:, 0] > 1_000_000 * 1.0001).tolist()
    assert "One is always cheaper" in marketplace.draw(Listing("m", seller="s", usd_per_month=900), build)
    plt.close("all")
