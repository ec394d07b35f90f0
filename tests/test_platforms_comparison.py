"""One workload on three platforms: sized alike, billed by each, and what would change the answer."""

import dataclasses

import pandas as pd
import pytest

import simlib as sl
from simlib import platforms, pricing, workload
from simlib.platforms import changes
from simlib.platforms.fields import PLATFORMS
from simlib.platforms.sizing import machines, sized

MODEL = sl.ModelProfile("tagger", sl.lognormal(mean=0.1, cv=0.4), request_kb=20, response_kb=5, load_seconds=5)
CALLS = workload.poisson(rate=20, name="calls")


@pytest.fixture(scope="module")
def found() -> platforms.Comparison:
    return platforms.compare(
        CALLS, MODEL, max_p99_s=0.6, hardware="2 vCPUs", sample_hours=4, replications=3, seed=3, progress=False
    )


def test_all_three_keep_what_is_asked_and_the_cheapest_stands_first(found: platforms.Comparison) -> None:
    table = found.table
    assert set(table.index) == set(PLATFORMS)
    assert table["keeps"].all()
    assert (table["p99_high"] <= 0.6).all()
    assert (table["error_rate"] <= 0.01).all()
    assert table["usd"].is_monotonic_increasing
    assert found.best == table.index[0]
    assert (table["usd_low"] <= table["usd"]).all()
    assert (table["usd"] <= table["usd_high"]).all()


def test_they_answered_the_same_requests_with_as_much_work(found: platforms.Comparison) -> None:
    """Busy machine time = requests * mean work (law of large numbers), on each platform of its own machines."""
    worked = 20 * MODEL.service.mean
    busy = found.table["utilization"] * found.table["instances"] * found.table["workers"]
    assert busy.to_numpy(dtype=float) == pytest.approx(worked, rel=0.05)


def test_each_bill_is_its_machines_hours_at_the_catalogs_price(found: platforms.Comparison) -> None:
    for name, deployment in found.deployments.items():
        bill = found.bills[found.bills["platform"] == name]
        what = pricing.machine(deployment.fleets[0].instance_type)
        (sku, _, unit), region = what.parts[0], found.table.at[name, "region"]
        price = pricing.price(what.service, sku, region=region, platform=what.platform)
        line = bill[bill["unit"] == unit].iloc[0]
        assert line["unit_price"] == price.usd
        assert line["mark"] == price.mark
        assert line["quantity"] / (30 * 24) == pytest.approx(float(found.table.at[name, "instances"]), rel=0.1)
        assert (bill["quantity"] * bill["unit_price"]).sum() == pytest.approx(bill["subtotal"].sum())
    assert set(found.bills.loc[found.bills["platform"] == "sagemaker", "item"]) >= {"Data in", "Data out", "Storage"}


def test_a_price_that_is_not_verified_says_so_on_every_bill(found: platforms.Comparison) -> None:
    bills = found.bills
    assert (bills["source"] != "").all()
    assert (bills["as_of"] != "").all()
    assert (bills["note"].str.contains("unverified") == ~bills["mark"].isin(["V", "A"])).all()
    assert "prices are not verified or old" in str(found)


def test_the_platforms_differ_in_their_scaling_and_limits_and_in_nothing_else() -> None:
    at = {name: sized(name, MODEL, one, utilization=0.5, most=10, first=2) for name, one in machines("2 vCPUs").items()}
    assert at["sagemaker"].policies[0].target == pytest.approx(60 * 0.5 * 2 / 0.1)
    assert at["vertex"].policies[0].target == 50
    assert at["vertex"].fleets[0].workers == 1  # a vCPU is kept back
    assert (at["azureml"].queue_limit, at["azureml"].refusal, at["azureml"].invocation_timeout_s) == (2, 429, 5.0)
    same = ("routing", "instance_life", "speed", "cancel_on_timeout", "retry")
    for name in same:
        assert len({repr(getattr(each, name)) for each in at.values()}) == 1


def test_a_stricter_wait_costs_more_and_an_impossible_one_is_told() -> None:
    options = {"hardware": "2 vCPUs", "sample_hours": 2, "replications": 1, "seed": 3, "progress": False}
    loose = platforms.compare(CALLS, MODEL, max_p99_s=2.0, **options)
    strict = platforms.compare(CALLS, MODEL, max_p99_s=0.3, **options)
    assert (strict.table["usd"] >= loose.table["usd"].loc[strict.table.index] - 1e-9).all()
    never = platforms.compare(CALLS, MODEL, max_p99_s=0.05, **options)
    assert never.best is None
    assert never.table["broken"].str.contains("p99 .* > 0.05 s").all()
    assert "No platform keeps p99 ≤ 0.05 s" in str(never)


def test_a_region_without_a_price_is_out_and_says_why() -> None:
    found = platforms.compare(
        CALLS, MODEL, max_p99_s=2.0, region="westeurope", sample_hours=1, replications=1, progress=False
    )
    assert not found.table.at["vertex", "keeps"]
    assert "not priced in europe-west4" in found.table.at["vertex", "broken"]
    assert set(found.deployments) == {"sagemaker", "azureml"}
    assert found.table.at["sagemaker", "region"] == "eu-west-1"
    decided = platforms.decide(platforms.Company(), {"cost": 1}, comparison=found)
    assert decided.scores.loc["cost", "vertex"] == 0
    page = decided.record().markdown
    assert "not priced in europe-west4" in page
    assert "nan" not in page


def test_a_discount_is_a_line_of_its_own_and_an_assumption(found: platforms.Comparison) -> None:
    less = platforms.compare(
        CALLS,
        MODEL,
        max_p99_s=0.6,
        hardware="2 vCPUs",
        sample_hours=4,
        replications=1,
        seed=3,
        discounts={"vertex": 40},
        progress=False,
    )
    line = less.bills[less.bills["mark"] == "A"].iloc[0]
    machines_usd = less.bills[(less.bills["platform"] == "vertex") & (less.bills["mark"] != "A")]["subtotal"].sum()
    assert line["subtotal"] == pytest.approx(-0.4 * machines_usd)
    assert line["note"] == "your assumption"
    with pytest.raises(sl.ParameterError, match="platforms are sagemaker, vertex, azureml"):
        platforms.compare(CALLS, MODEL, max_p99_s=1.0, discounts={"oracle": 10})


def test_sensitivity_moves_one_input_at_a_time(found: platforms.Comparison) -> None:
    changed = found.sensitivity(progress=False)
    assert len(changed) == 3 * 4 * 2
    for name in PLATFORMS:
        usd = float(found.table.at[name, "usd"])
        assert changed.loc[(name, "prices", 1.2), "usd"] == pytest.approx(1.2 * usd)
    sizes = changed.xs("request and answer size", level="input")["usd"].unstack()
    data = found.bills[found.bills["item"].isin(["Data in", "Data out"])]["subtotal"].sum()
    assert sizes.loc["sagemaker", 1.2] - sizes.loc["sagemaker", 0.8] == pytest.approx(0.4 * data, rel=1e-6)
    assert (sizes.loc[["vertex", "azureml"], 1.2] == sizes.loc[["vertex", "azureml"], 0.8]).all()  # no price of data
    spread = found.spread(progress=False)
    assert spread.loc["sagemaker", "meters"] == 4
    assert (spread["low"] <= spread["usd"]).all()
    assert (spread["usd"] <= spread["high"]).all()


def test_the_break_even_and_its_map(found: platforms.Comparison) -> None:
    costs = found.break_even([1e5, 2e6], progress=False)
    assert costs.index.tolist() == [1e5, 2e6]
    assert (costs.loc[2e6] >= costs.loc[1e5]).all()
    where = found.discount_map(costs, "vertex", [0, 99])
    assert (where.loc[99.0] == "vertex").all()
    assert where.loc[0.0].tolist() == costs.idxmin(axis=1).tolist()
    with pytest.raises(sl.ParameterError, match="platform='gcp' is not in costs"):
        found.discount_map(costs, "gcp", [0])


def test_the_break_even_is_narrowed_to_what_is_asked(
    found: platforms.Comparison, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One bill grows with the requests, another is 300,000 dollars whatever comes: they cross at 300,000 a day."""
    bills = {"sagemaker": 3e5, "vertex": float("nan")}
    monkeypatch.setattr(changes, "_usd_at", lambda asked, rate, bar: {**bills, "azureml": rate})
    costs = found.break_even([1e4, 1e7], within=0.02, progress=False)
    ((at, below, above),), ((low, high),) = costs.attrs["flips"], costs.attrs["brackets"]
    assert (below, above) == ("azureml", "sagemaker")
    assert low <= 3e5 <= high <= 1.02 * low
    assert at == pytest.approx((low * high) ** 0.5)
    assert len(costs) == 2 + 9  # a factor of 1000 halved nine times in its logarithm is 1.36 %
    assert costs.columns.tolist() == ["sagemaker", "azureml"]
    assert found.break_even([1e4, 1e7], progress=False).index.tolist() == [1e4, 1e7]


def test_the_record_answers_alone(found: platforms.Comparison) -> None:
    """Asked, compared at which prices of which date, won, by how much, what would change it."""
    company = platforms.Company("aws", tools=("Power BI",), needs=("shadow traffic",), name="the bank")
    decided = platforms.decide(company, comparison=found)
    changes = found.tornado(progress=False)
    page = decided.record("Where does the tagger live?", changes=changes).markdown
    parts = [line[3:] for line in page.splitlines() if line.startswith("## ")]
    assert parts == [
        "What was asked",
        "What was compared",
        "What won, and by how much",
        "What would change it",
        "What this rests on",
    ]
    assert f"ahead by {decided.margin:.2f}" in page
    for asked in ("Where does the tagger live?", "the bank", "Power BI", "1,728,000 requests a day", "within 0.6 s"):
        assert asked in page
    for name, row in found.table.iterrows():
        assert f"{row['usd']:,.4g}" in page
        assert str(row["machine"]) in page
        assert f"{decided.totals[name]:.2f}" in page
    for line in found.bills.itertuples():
        assert f"{line.unit_price:.6g}" in page
        assert f"{line.source}, {line.as_of}, {line.mark}" in page
        assert str(line.note) in page
    assert sum(f"× {times:g}" in page for times in (0.8, 1.2)) == 2
    assert "is the cheapest from" in page


def test_the_same_seed_gives_the_same_comparison(found: platforms.Comparison) -> None:
    options = {name: getattr(found.asked, name) for name in ("max_p99_s", "hardware", "sample_hours", "seed")}
    again = platforms.compare(CALLS, MODEL, **options, replications=3, progress=False)
    pd.testing.assert_frame_equal(again.table, found.table)
    assert dataclasses.asdict(again.asked).keys() == dataclasses.asdict(found.asked).keys()
