"""The choice of a platform: scores, weights, flips, the session's nine lines, and the page that answers alone."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import simlib as sl
from simlib import platforms
from simlib.platforms.choice import FACTORS

TOOLS = platforms.tools()["tool"].tolist()
OFFERS = [*platforms.features()["feature"].drop_duplicates(), *platforms.services()["service"]]

companies = st.builds(
    platforms.Company,
    st.sampled_from([None, "aws", "google", "azure"]),
    tools=st.lists(st.sampled_from(TOOLS), max_size=4).map(tuple),
    knows=st.lists(st.sampled_from(OFFERS), max_size=4).map(tuple),
    needs=st.lists(st.sampled_from(OFFERS), max_size=4).map(tuple),
)
weightings = st.lists(st.integers(0, 5), min_size=4, max_size=4).filter(any)


def test_a_company_without_answers_has_no_winner() -> None:
    found = platforms.decide(platforms.Company())
    assert found.best is None
    assert (found.scores == 0).all(axis=None)
    assert (found.stability()["share"] == 0).all()
    assert str(found).startswith("No platform is ahead")


@pytest.mark.parametrize(("cloud", "platform"), [("aws", "sagemaker"), ("google", "vertex"), ("azure", "azureml")])
def test_each_clouds_own_answers_name_its_platform_and_the_same_score(cloud: str, platform: str) -> None:
    """No hidden winner: the same answer about each of the three gives the same total to each of the three."""
    home = platforms.tools()
    own = tuple(home.loc[home["home"] == cloud, "tool"][:2])
    found = platforms.decide(platforms.Company(cloud, tools=own), {"existing cloud": 1, "data and analysis tools": 1})
    assert found.best == platform
    assert found.totals[platform] == 1.0
    assert found.stability().loc[platform, "share"] == 1.0


@settings(max_examples=25, deadline=None)
@given(companies, weightings)
def test_a_flip_is_where_the_winner_changes_and_nowhere_nearer(company: platforms.Company, weights: list[int]) -> None:
    found = platforms.decide(company, dict(zip(FACTORS, map(float, weights), strict=True)))
    assert found.totals.sum() == pytest.approx((found.weights @ found.scores).sum())
    assert found.scores.stack().between(0, 1).all()
    if found.best is None:
        return
    for name, row in found.flips().iterrows():
        for at, to, outward in ((row["lower"], row["to_lower"], -1), (row["higher"], row["to_higher"], 1)):
            end = at if to else (0.0 if outward < 0 else 1.0)
            for share in (0.5, 0.99):
                nearer = found.with_weight(name, row["weight"] + share * (end - row["weight"]))
                assert nearer.totals[found.best] >= nearer.totals.max() - 1e-9
            if to:
                beyond = found.with_weight(name, at + outward * 1e-4)
                assert beyond.totals[to] > beyond.totals[found.best]


def test_stability_is_the_share_of_all_weightings() -> None:
    """Two factors that speak for one platform each: each leads in half of the weightings."""
    company = platforms.Company("aws", tools=("BigQuery",))
    share = platforms.decide(company).stability()
    assert share.loc["sagemaker", "low"] <= 0.5 <= share.loc["sagemaker", "high"]
    assert share.loc["azureml", "share"] == 0
    assert share["share"].sum() == pytest.approx(1.0)
    three = platforms.decide(platforms.Company("aws", tools=("BigQuery",), needs=("responsible AI dashboard",)))
    shares = three.stability()["share"].to_numpy()
    assert np.abs(shares - 1 / 3).max() < 4 * np.sqrt(2 / 9 / 20_000)


def test_the_nine_lines_rank_the_platform_they_name_and_each_flips() -> None:
    table = platforms.choose_if()
    assert len(table) == 9
    assert (table["first"] == table["named"]).all()
    assert table["named"].value_counts().eq(3).all()
    assert (table["flips_below"].between(0, table["weight"], inclusive="neither")).all()
    assert (table["to"] != table["named"]).all()
    for each in platforms.profiles():
        found, row = each.decide(), table[table["choose_if"] == each.choose_if].iloc[0]
        assert found.with_weight(each.factor, row["flips_below"] + 0.001).best == each.platform
        assert found.with_weight(each.factor, row["flips_below"] - 0.001).best != each.platform


def test_every_service_has_its_source_and_a_cell_that_rests_on_doubt_says_so() -> None:
    table = platforms.services()
    assert table["service"].is_unique
    named = {"SageMaker Studio", "Workbench", "Vertex AI Training", "Vertex AI Prediction", "Vertex AI Pipelines"}
    named |= {"BigQuery ML", "TPUs", "AutoML", "Matching Engine", "Workspace", "Designer", "Azure DevOps"}
    assert named | {"Responsible AI dashboard", "Inferentia", "Trainium", "FPGAs"} <= set(table["service"])
    assert (table[["what", "today", "publisher", "source", "as_of", "mark", "runs"]] != "").all(axis=None)
    assert ((table["note"] == "unverified") == (table["mark"] != "V")).all()
    doubted = platforms.decide(platforms.Company(needs=("TPU",), knows=("BigQuery ML",)))
    assert "unverified" in doubted.reasons.loc["project's needs", "sagemaker"]
    assert "unverified" not in doubted.reasons.loc["project's needs", "vertex"]
    assert doubted.reasons.loc["team's experience"].str.contains("unverified").all()


def test_a_ticked_stack_hops_where_it_does_not_live() -> None:
    found = platforms.stack(("BigQuery", "Power BI", "S3"), gb_per_month=100, report_gb_per_month=2)
    assert found["hops"].tolist() == [2, 2, 2]
    assert found.loc["sagemaker", "usd_per_month"] == pytest.approx(100 * 0.12 + 2 * 0.09)
    assert found.loc["vertex", "usd_per_month"] == pytest.approx(100 * 0.09 + 2 * 0.12)
    assert found.loc["azureml", "usd_per_month"] == pytest.approx(100 * (0.12 + 0.09))
    assert (found["note"] == "unverified").all()
    assert platforms.stack(("S3",)).loc["sagemaker", ["hops", "usd_per_month", "note"]].tolist() == [0.0, 0.0, ""]
    assert platforms.stack(("GitHub",)).loc["sagemaker", ["hops", "note"]].tolist() == [1.0, "unverified"]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: platforms.Company("ibm"), "cloud='ibm'"),
        (lambda: platforms.Company(tools=("BigQwery",)), "did you mean 'BigQuery'"),
        (lambda: platforms.Company(needs=("TPUz",)), "did you mean 'TPU"),
        (lambda: platforms.stack(("Exel",)), "there is no tool 'Exel'"),
        (lambda: platforms.decide(platforms.Company(), {"cloud": 1}), "weights has 'cloud'"),
        (
            lambda: platforms.decide(platforms.Company(), comparison=3),
            "comparison=3 should be what platforms.compare gave",
        ),
        (lambda: platforms.decide(platforms.Company(), {"cost": 1}), "no comparison"),
        (lambda: platforms.decide(platforms.Company(), {"project's needs": -1}), "at least 0"),
        (lambda: platforms.decide(platforms.Company(), dict.fromkeys(FACTORS, 0)), "all 0"),
        (lambda: platforms.decide(platforms.Company()).record().save("decision.txt"), "should end in .md or .html"),
        (lambda: platforms.decide(platforms.Company()).with_weight("price", 0.5), "criterion='price'"),
    ],
)
def test_a_mistake_is_one_sentence(make: object, words: str) -> None:
    with pytest.raises(sl.ParameterError) as caught:
        make()  # type: ignore[operator]
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_record_of_a_choice_without_bills(tmp_path: Path) -> None:
    company = platforms.Company("aws", tools=("BigQuery",), needs=("TPU",), name="<the bank>")
    page = platforms.decide(company).record("Where | now?")
    for asked in ("<the bank>", "Where | now?", "BigQuery", "TPU", "unverified", "2026-11-22", "ahead by"):
        assert asked in page.markdown
    assert page.save(tmp_path / "choice.md").read_text() == page.markdown
    written = page.save(tmp_path / "choice.html").read_text()
    assert "&lt;the bank&gt;" in written
    assert "<the bank>" not in written
    assert not re.search(r"<script|src=|href=", written)
