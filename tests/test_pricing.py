"""The catalog is well-formed, known bills reproduce, and what is wrong is said in one sentence."""

import csv
import doctest
import json
import math
from collections import Counter
from datetime import date, datetime
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import simlib.parameters
from simlib import pricing
from simlib.parameters import ParameterError
from simlib.pricing import FreeTier, Meter, SavingsPlan, invoice, price
from simlib.pricing.catalog import as_day
from simlib.pricing.invoice import COLUMNS

HERE = Path(__file__).parent
DATA = Path(pricing.__file__).parent / "data"
BILLS = json.loads((HERE / "data" / "bills.json").read_text(encoding="utf-8"))["cases"]
PER_HOUR = {f"{what}-hour" for what in ("instance", "node", "vm", "gpu", "chip", "vcpu", "GB", "GiB")}
PER_SECOND = {"second", "vcpu-second", "GB-second", "GiB-second"}
PER_MONTH = {"GB-month", "metric-month", "alarm-month"}
UNITS = PER_HOUR | PER_SECOND | PER_MONTH | {"hour", "day", "GB", "GiB", "TiB", "request", "notification"}
UNITS |= {"metric", "point", "job", "run"}
FREE = {
    ("sns", "sqs-or-lambda-delivery"),
    ("model_monitoring_v2", "monitoring-job"),
    ("service_surcharge", "workspace-endpoint-pipeline"),
}


def rows(name: str) -> list[dict[str, str]]:
    with (DATA / name).open(encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


# --- the data files ---------------------------------------------------------------------------------------------------


def test_every_price_is_well_formed():
    prices = rows("prices.csv")
    keys = Counter((r["platform"], r["service"], r["region"], r["sku"], r["as_of"]) for r in prices)
    assert [key for key, n in keys.items() if n > 1] == []
    for row in prices:
        assert all(row.values()), row
        assert row["unit"] in UNITS, row
        assert row["mark"] in "VSDU", row
        assert float(row["usd"]) > 0 or (row["service"], row["sku"]) in FREE, row
        assert as_day(row["as_of"]) <= pricing.CATALOG_DATE, row


def test_a_sku_has_one_unit_and_a_derived_price_says_who_derived_it():
    units: dict[tuple[str, ...], set[str]] = {}
    for row in rows("prices.csv"):
        units.setdefault((row["platform"], row["service"], row["sku"]), set()).add(row["unit"])
        assert (row["mark"] != "D") or row["publisher"] == "simlib", row
    assert [key for key, found in units.items() if len(found) > 1] == []


def test_every_row_can_be_asked_for_on_its_own_date():
    for row in rows("prices.csv"):
        if row["sku"] in ("Standard_NC6s_v3", "Standard_NC24s_v3"):
            continue  # retired before the date of their price
        found = price(row["service"], row["sku"], region=row["region"], platform=row["platform"], as_of=row["as_of"])
        assert (found.usd, found.mark, found.as_of) == (float(row["usd"]), row["mark"], row["as_of"])


def test_free_tiers_and_retirements_are_well_formed():
    for row in pricing.catalog.allowances():
        assert as_day(row.as_of) <= pricing.CATALOG_DATE
        assert row.service in pricing.catalog.services(row.platform)
        assert row.unit in UNITS
    for retired in rows("retired.csv"):
        assert date.fromisoformat(retired["retired"])
        assert retired["mark"] in "VS"


def test_the_later_of_two_prices_of_a_serverless_size_is_the_same_money_per_gb():
    for gb in range(1, 7):
        assert price("sagemaker_serverless", f"on-demand-{1024 * gb}MB").usd == pytest.approx(gb * 2e-5, rel=1e-12)


# --- a price ----------------------------------------------------------------------------------------------------------


def test_the_newest_price_at_or_before_the_day_counts():
    def at(day):
        return price("sagemaker_hosting", "ml.p4d.24xlarge", as_of=day)

    assert (at("2025-01").usd, at("2025-10-31").usd, at("2025-11-01").usd) == (37.688, 37.688, 25.2513)
    assert at("2024").usd == 37.688
    assert at("2024").note == "of 2025-01, none earlier is known"
    assert at(None).note == "unverified (derived by a rule); of 2025-11, over a year old"


def test_a_verified_price_of_the_last_year_needs_no_note():
    assert price("sagemaker_hosting", "ml.m5.large").note == ""
    assert price("sagemaker_hosting", "ml.m5.large", as_of="2027-06-10").note == ""
    assert price("sagemaker_hosting", "ml.m5.large", as_of="2027-06-11").note == "of 2026-06-10, over a year old"


@pytest.mark.parametrize("day", ["2026-11-22", date(2026, 11, 22), datetime(2026, 11, 22, 15), None])
def test_a_day_is_written_in_any_of_these_ways(day):
    assert as_day(day) == date(2026, 11, 22)


def test_a_price_for_any_region_holds_in_each():
    for region in ("us-central1", "europe-west4", "any"):
        assert price("pipelines", "pipeline-run", platform="vertex", region=region).usd == 0.03


def test_jobs_cost_what_hosting_costs_where_no_price_is_stored():
    hosting = price("sagemaker_hosting", "ml.g5.2xlarge")
    batch = price("sagemaker_batch_transform", "ml.g5.2xlarge")
    assert (batch.usd, batch.service, batch.mark, hosting.mark) == (hosting.usd, "sagemaker_batch_transform", "D", "V")
    assert price("sagemaker_batch_transform", "ml.m5.xlarge", region="eu-west-1").mark == "V"


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"sku": "ml.m5.lrge"}, ["no 'ml.m5.lrge'", "nearest", "'ml.m5.large'"]),
        ({"sku": "m5.large"}, ["'ml.m5.large'"]),
        ({"service": "sagemaker_hostng"}, ["did you mean 'sagemaker_hosting'?"]),
        ({"platform": "asw"}, ["did you mean 'aws'?"]),
        ({"region": "eu-west-11"}, ["'eu-west-11'", "did you mean 'eu-west-1'?"]),
        ({"sku": "ml.g5.xlarge", "region": "eu-south-2"}, ["ml.g5.xlarge", "eu-south-2", "in eu-west-1, us-east-1."]),
        (
            {"service": "compute", "sku": "Standard_NC6s_v3", "platform": "azureml", "region": "eastus"},
            ["Standard_NC6s_v3 was retired on 2025-09-30."],
        ),
        ({"as_of": "22.11.2026"}, ["as_of='22.11.2026' is not a date", "'2026-11-22'"]),
        ({"as_of": 2026}, ["as_of=2026 is not a date"]),
        ({"sku": 5}, ["sku=5 is not possible"]),
        ({"regoin": "us-east-1"}, ["did you mean 'region'?"]),
    ],
)
def test_what_is_unknown_is_said_in_one_sentence(asked, says):
    with pytest.raises(ParameterError) as error:
        price(**{"service": "sagemaker_hosting", "sku": "ml.m5.large", **asked})
    text = str(error.value)
    assert all(part in text for part in says), text
    assert "\n" not in text
    assert len(text) < 250


def test_a_retired_type_still_has_the_price_of_its_day():
    asked = {"platform": "azureml", "region": "eastus"}
    assert price("compute", "Standard_NC6s_v3", as_of="2025-09-29", **asked).usd == 3.06
    assert price("compute", "Standard_NC4as_T4_v3", **asked).usd == 0.526  # NC, but not of the retired series


# --- billed quantities ------------------------------------------------------------------------------------------------

durations = st.lists(st.integers(0, 10_000_000), max_size=30)


@given(milliseconds=durations)
def test_whole_milliseconds_are_billed_as_they_are(milliseconds):
    seconds = [ms / 1000 for ms in milliseconds]
    assert pricing.billed_seconds(seconds, "sagemaker_serverless") == pytest.approx(sum(milliseconds) / 1000)


@given(microseconds=durations)
def test_each_use_is_rounded_up_once(microseconds):
    for service, step in (("sagemaker_serverless", Fraction(1, 1000)), ("sagemaker_hosting", 1), ("marketplace", 60)):
        exact = [Fraction(us, 1_000_000) for us in microseconds]
        noise = Fraction(1, 1_000_000)
        billed = sum(math.ceil(duration / step - noise) * step for duration in exact)
        found = pricing.billed_seconds([float(duration) for duration in exact], service)
        assert found == pytest.approx(float(billed), abs=float(step) * len(exact) * 1e-6 + 1e-9, rel=1e-9)
        assert float(sum(exact)) - 1e-3 <= found <= float(sum(exact) + step * len(exact)) + 1e-9


def test_a_run_of_one_second_is_billed_one_second():
    seconds = pricing.billed_seconds(0.2 + 0.4 + 0.4, "sagemaker_hosting")
    assert seconds == 1.0
    bill = invoice([pricing.hosting_hours("ml.m5.large", seconds / 3600)])
    assert bill.attrs["total"] == pytest.approx(0.115 / 3600)


def test_total_is_what_the_invoice_adds_up_to():
    meters = [pricing.hosting_hours("ml.m5.large", 730.0), *pricing.data_processed(12.5, 0.5)]
    assert pricing.total(meters, region="eu-west-1") == pricing.invoice(meters, region="eu-west-1").attrs["total"] > 0
    with pytest.raises(ParameterError, match=r"ml\.m5\.lorge"):
        pricing.total([pricing.hosting_hours("ml.m5.lorge", 1.0)])


@pytest.mark.parametrize("wrong", [[-1.0], [math.nan], [math.inf], "abc", None])
def test_a_duration_that_cannot_be(wrong):
    with pytest.raises(ParameterError, match="finite numbers"):
        pricing.billed_seconds(wrong, "sagemaker_hosting")


def test_billed_seconds_of_an_unknown_service():
    with pytest.raises(ParameterError, match="did you mean 'sagemaker_serverless'"):
        pricing.billed_seconds([1.0], "sagemaker_serverles")


# --- the bill ---------------------------------------------------------------------------------------------------------


def made(line: dict) -> list[Meter]:
    meters = getattr(pricing, line["make"])(**line["with"])
    return [meters] if isinstance(meters, Meter) else list(meters)


@pytest.mark.parametrize("case", BILLS, ids=[case["id"] for case in BILLS])
def test_known_bills_reproduce(case):
    assert case["status"] in ("verified", "constructed")
    meters = [meter for line in case["lines"] for meter in made(line)]
    bill = invoice(meters, region=case["region"], as_of=case["as_of"])
    assert bill.attrs["total"] == pytest.approx(case["expected_usd"], abs=case["tolerance_usd"])
    assert list(bill["unit_price"]) == [usd for line in case["lines"] for usd in line["unit_price"]]
    wanted = [usd for line in case["lines"] for usd in line["subtotal"]]
    assert list(bill["subtotal"]) == pytest.approx(wanted, abs=0.0051)


quantities = st.floats(0, 1e9, allow_nan=False)


@given(hours=quantities, gb=quantities, seconds=quantities, count=quantities)
def test_lines_multiply_and_the_total_adds_up(hours, gb, seconds, count):
    meters = [
        pricing.hosting_hours("ml.m5.large", hours),
        pricing.endpoint_storage(gb, hours),
        *pricing.data_processed(gb, gb),
        pricing.serverless_seconds(3072, seconds),
        *pricing.s3_requests(count, count),
        pricing.sns_requests(count),
        pricing.cloudwatch_alarms(count, hours, high_resolution=True),
    ]
    bill = invoice(meters)
    assert tuple(bill.columns) == COLUMNS
    assert len(bill) == len(meters)
    assert (bill["quantity"] * bill["unit_price"] == bill["subtotal"]).all()
    assert bill.attrs["total"] == math.fsum(bill["subtotal"])


def test_zero_usage_keeps_its_lines_and_no_meter_is_an_empty_bill():
    zero = invoice([pricing.hosting_hours("ml.m5.large", 0), *pricing.data_processed(0, 0)])
    assert list(zero["quantity"]) == [0, 0, 0]
    assert zero.attrs["total"] == 0
    empty = invoice([])
    assert (len(empty), tuple(empty.columns), empty.attrs["total"]) == (0, COLUMNS, 0)
    assert empty["subtotal"].dtype == float


def test_months_of_730_hours():
    assert pricing.endpoint_storage(10, 73).quantity == pytest.approx(1)
    assert pricing.cloudwatch_alarms(2, 365).quantity == pytest.approx(1)


def test_each_line_says_who_when_and_how_sure():
    bill = invoice([pricing.hosting_hours("ml.c5.large", 1, item="Blue fleet")], region="eu-west-1")
    line = bill.loc[0]
    assert line["item"] == "Blue fleet"
    assert line["source"].startswith("simlib: EC2 Linux price")
    assert (line["as_of"], line["mark"]) == ("2025-11", "D")
    assert line["note"] == "unverified (derived by a rule); of 2025-11, over a year old"


def test_a_meter_may_have_its_own_region_and_its_own_price():
    bill = invoice(
        [
            Meter("sagemaker_hosting", "ml.m5.xlarge", 1, "instance-hour", region="eu-west-1"),
            Meter("contract", "per call", 1000, "call", unit_price=0.002),
        ]
    )
    assert list(bill["unit_price"]) == [0.257, 0.002]
    assert list(bill["mark"]) == ["V", "A"]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: pricing.hosting_hours("ml.m5.large", -1), "hours=-1 is not possible"),
        (lambda: pricing.hosting_hours("ml.m5.large", math.nan), "hours=nan is not possible"),
        (lambda: Meter("s3", "get-request", math.nan, "request"), "quantity=nan is not possible"),
        (lambda: Meter("s3", "get-request", -1, "request"), "quantity=-1 is not possible"),
        (lambda: invoice([Meter("s3", "get-request", 1, "GB")]), "get-request is priced per request, not per GB"),
        (lambda: invoice([Meter("s3", "get-requests", 1, "GB")]), "'get-request'"),
        (lambda: invoice([pricing.serverless_seconds(2000, 1)]), "'on-demand-2048MB'"),
        (lambda: invoice([3]), "meters\\[0\\]=3 is not possible: it should be a Meter"),
        (lambda: invoice([], region=3), "region=3 is not possible"),
        (lambda: pricing.job_hours("batch-transform", "ml.m5.large", 1), "did you mean 'batch_transform'"),
        (lambda: SavingsPlan(percent=101), "percent=101 is not possible"),
        (lambda: SavingsPlan(percent=10, services=("sagemaker_hostin",)), "did you mean 'sagemaker_hosting'"),
        (lambda: invoice([], assumptions=[FreeTier(), FreeTier()]), "one FreeTier"),
    ],
)
def test_what_cannot_be_on_a_bill(make, says):
    with pytest.raises(ParameterError, match=says):
        make()


# --- assumptions ------------------------------------------------------------------------------------------------------


def test_a_free_tier_is_negative_lines_of_its_own():
    meters = [
        pricing.hosting_hours("ml.m5.xlarge", 100),
        pricing.hosting_hours("ml.m4.xlarge", 100),
        pricing.hosting_hours("ml.m5.large", 100),
        pricing.serverless_seconds(1024, 500_000),
    ]
    plain = invoice(meters)
    bill = invoice(meters, assumptions=[FreeTier(months=1)])
    assert list(bill["subtotal"][:4]) == list(plain["subtotal"])
    free = bill[4:]
    assert list(free["item"]) == ["Free tier: ml.m5.xlarge", "Free tier: ml.m4.xlarge", "Free tier: on-demand-1024MB"]
    assert list(free["quantity"]) == [-100, -25, -150_000]
    assert bill.attrs["total"] == pytest.approx(plain.attrs["total"] - 100 * 0.23 - 25 * 0.24 - 3)
    assert free["note"].str.contains("first 2 months only").all()


def test_free_months_end_for_some_services_only():
    meters = [pricing.hosting_hours("ml.m5.xlarge", 10_000), pricing.sns_requests(10_000_000)]
    free = invoice(meters, assumptions=[FreeTier(months=6)])[2:]
    assert list(free["quantity"]) == [-250, -6_000_000]


def test_a_plan_takes_its_percentage_off_what_free_tiers_leave():
    meters = [pricing.hosting_hours("ml.m5.xlarge", 225), *pricing.data_processed(1, 1)]
    bill = invoice(meters, assumptions=[SavingsPlan(percent=50), FreeTier()])
    last = bill.iloc[-1]
    assert (last["item"], last["unit"], last["mark"]) == ("Savings plan, 50 % off sagemaker_hosting", "USD", "A")
    assert last["subtotal"] == pytest.approx(-50 * 0.23)
    assert bill.attrs["total"] == pytest.approx(50 * 0.23 + 0.032)


def test_no_assumption_no_line():
    meters = [pricing.data_processed(1, 1)[0]]
    assert len(invoice(meters, assumptions=[SavingsPlan(percent=64), FreeTier()])) == 1


# --- as data, and as documentation ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value", [pricing.hosting_hours("ml.m5.large", 3), SavingsPlan(percent=20), FreeTier(), price("s3", "get-request")]
)
def test_round_trip(value):
    assert simlib.parameters.from_json(simlib.parameters.to_json(value)) == value


def test_the_examples_run():
    for module in (pricing, pricing.catalog):
        assert doctest.testmod(module, optionflags=doctest.ELLIPSIS).failed == 0
    guide = HERE.parent / "docs" / "guide" / "pricing.md"
    result = doctest.testfile(str(guide), module_relative=False, encoding="utf-8")
    assert result.failed == 0
    assert result.attempted > 5
