"""Mitigation, and the report: right, and readable by everybody."""

import json
import math
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from simlib import fairness
from simlib.fairness import Facet, Loans, audit, explain, markup
from simlib.parameters import ParameterError


@pytest.fixture(autouse=True)
def _no_windows():
    mpl.use("Agg")
    yield
    plt.close("all")


# --- mitigation -------------------------------------------------------------------------------------------------------


def test_reweighing_makes_facet_and_label_independent() -> None:
    frame = Loans(label_bias=0.4).sample(3_000, seed=1)
    w = fairness.reweigh(frame, label="approved", facet="gender", disadvantaged=["woman"])
    assert w.sum() == pytest.approx(len(frame))
    share = (w * frame["approved"]).groupby(frame["gender"]).sum() / w.groupby(frame["gender"]).sum()
    assert share["man"] == pytest.approx(share["woman"], abs=1e-12)


@pytest.mark.parametrize(("goal", "metric"), [("parity", "DPPL"), ("opportunity", "RD")])
def test_thresholds_reach_their_goal_up_to_one_row(goal: Any, metric: str) -> None:
    frame = Loans(base_rate_d=0.4).sample(4_000, seed=2)
    frame["score"] = 1 / (1 + np.exp(-(frame["income"] - 38) / 8))
    asked: dict[str, Any] = {"label": "approved", "facet": "gender", "disadvantaged": ["woman"]}
    bars = fairness.thresholds(frame, score="score", goal=goal, **asked)
    bar = np.where(frame["gender"] == "woman", bars.d, bars.a)
    frame["accepted"] = (frame["score"] > bar).astype(int)
    assert abs(fairness.posttraining(frame, predicted="accepted", **asked).loc[metric, "value"]) < 0.002


def test_the_three_kinds_of_fairness_exclude_each_other() -> None:
    """With different base rates, each is fair at another bonus; with equal ones, all at none."""
    bonus = np.linspace(-1, 3, 401)
    table = pd.DataFrame([fairness.tradeoff(base_rate_a=0.6, base_rate_d=0.4, bonus=b) for b in bonus], index=bonus)
    fair_at = table.abs().idxmin()
    assert fair_at["calibration"] == pytest.approx(0, abs=0.011)
    assert fair_at["opportunity"] == pytest.approx(0.81, abs=0.011)  # the difference of the log-odds of the base rates
    assert fair_at["parity"] > 1.1
    assert fairness.tradeoff(base_rate_a=0.5, base_rate_d=0.5, bonus=0).abs().max() < 1e-9


def test_the_picture_says_which_bonus_is_fair() -> None:
    """For equal opportunity the difference of the log-odds of the base rates; for calibration none."""
    told = " ".join(str(fairness.plot_tradeoff(base_rate_a=0.6, base_rate_d=0.4, bonus=0.8)).split())
    assert "parity +0.108, opportunity +0.002, calibration +0.123" in told
    assert f"opportunity {2 * math.log(0.6 / 0.4):.2f}, calibration 0.00" in told
    assert "parity nowhere" in " ".join(str(fairness.plot_tradeoff(base_rate_a=0.99, base_rate_d=0.01)).split())
    title = plt.gcf().axes[0].get_title(loc="left")
    assert title == "Unequal base rates: no bonus is fair in all three ways"


def test_the_tradeoff_is_what_people_would_get() -> None:
    rng = np.random.default_rng(0)
    y = rng.random(400_000) < 0.4
    x = rng.normal(1.5 * y)
    odds = math.log(0.4 / 0.6) + 1.5 * (x - 0.75) + 0.7
    found = fairness.tradeoff(base_rate_a=0.6, base_rate_d=0.4, bonus=0.7)
    same = fairness.tradeoff(base_rate_a=0.6, base_rate_d=0.4, bonus=0)
    assert found["calibration"] == pytest.approx((1 / (1 + np.exp(-odds))).mean() - 0.4, abs=0.003)
    gained = same["parity"] - found["parity"]
    assert gained == pytest.approx((odds > 0).mean() - (odds > 0.7).mean(), abs=0.003)


# --- the report -------------------------------------------------------------------------------------------------------

NASTY = '<script>alert("x")</script>'


@pytest.fixture(scope="module")
def found() -> fairness.Audit:
    frame = Loans(label_bias=0.35, proxy_strength=0.8).sample(1_500, seed=3).rename(columns={"debt": NASTY})
    frame["gender"] = frame["gender"].replace("woman", "<b>woman</b>")
    names = ["income", NASTY, "postcode"]
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(frame[names], frame["approved"])
    frame["score"] = model.predict_proba(frame[names])[:, 1]
    why = explain(model, frame.iloc[:60])
    facets = [Facet("gender", ["<b>woman</b>"]), Facet("ethnicity", ["amber"]), Facet("age", 60, kind="continuous")]
    return audit(
        frame, label="approved", predicted="score", probability_threshold=0.5, facets=facets, group="purpose",
        features=names, explanation=why, bootstrap=100, title=f"Audit of {NASTY}",
    )  # fmt: skip


class Outline(HTMLParser):
    """What somebody meets who reads with ears: headings in order, tables with headers, pictures with words."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def test_the_report_is_self_contained_and_nothing_in_it_is_markup_of_the_user(found: fairness.Audit) -> None:
    page = found.html()
    assert "<script" not in page
    assert "<b>woman" not in page
    assert "&lt;b&gt;woman" in page
    for outside in ("http://", "https://", "src=", "@import", "url("):
        assert outside not in page


def test_the_report_is_accessible(found: fairness.Audit) -> None:
    page = found.html()
    outline = Outline()
    outline.feed(page)
    assert outline.named("html")[0]["lang"] == "en"
    assert "name" in outline.named("meta")[1]
    levels = [int(tag[1]) for tag, _ in outline.tags if tag in ("h1", "h2", "h3")]
    assert levels.count(1) == 1
    assert levels.count(2) == 3
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert len(outline.named("caption")) == len(outline.named("table")) > 10
    assert all(cell["scope"] in ("col", "row") for cell in outline.named("th"))
    assert all(picture["role"] == "img" and picture["aria-label"] for picture in outline.named("svg"))
    ids = {attributes["id"] for _, attributes in outline.tags if "id" in attributes}
    assert all(link["href"] and link["href"][1:] in ids for link in outline.named("a"))
    for picture in page.split("<svg")[1:]:
        ET.fromstring("<svg" + picture.split("</svg>")[0] + "</svg>")  # well formed


def luminance(colour: str) -> float:
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("colour", ["#1a1a1a", "#0b4a6f", "#b34700"])
def test_contrast_is_enough(colour: str, found: fairness.Audit) -> None:
    """4.5 to 1 against the paler of the two grounds (WCAG 2.2, level AA)."""
    assert colour in found.html()
    assert (luminance("#eef4f8") + 0.05) / (luminance(colour) + 0.05) > 4.5


def test_three_views_say_what_they_should(found: fairness.Audit) -> None:
    page = found.html()
    everybody, regulator, debugging = (part.split("</section>")[0] for part in page.split("<section")[1:])
    assert "in 100" in everybody
    assert not [word for word in ("DPPL", "recall", "bootstrap", "facet", "SHAP") if word in everybody]
    for words in ("95 % percentile bootstrap, 100 resamples", "a: all others", "Limits", "what it cannot see", "1,500"):
        assert words in regulator
    for metric in ("CI", "CDDL", "FT", "GE", "DFPR_ratio"):
        assert f'<th scope="row">{metric}<br>' in regulator
    assert "&lt;b&gt;woman&lt;/b&gt; – a difference that is hardly chance: less often accepted" in everybody
    assert "age: above 60 – no difference beyond what chance may do" in everybody
    assert "Rows to look at first" in debugging
    assert "mean SHAP of d minus a" in debugging
    assert "postcode" in debugging


def test_analysis_json_has_clarifys_shape(found: fairness.Audit, tmp_path: Path) -> None:
    analysis, report, shap_values, baseline = found.save(tmp_path)
    read = json.loads(analysis.read_text(encoding="utf-8"))
    assert read["version"] == "1.0"
    assert set(read["explanations"]["kernel_shap"]["approved"]) == {"global_shap_values", "expected_value"}
    for stage, number in (("pre_training_bias_metrics", 8), ("post_training_bias_metrics", 15)):
        part = read[stage]
        assert (part["label"], part["label_value_or_threshold"]) == ("approved", "1")
        assert set(part["facets"]) == {"gender", "ethnicity", "age"}
        entry = part["facets"]["age"][0]
        assert entry["value_or_threshold"] == "60"
        assert len(entry["metrics"]) == number
        assert set(entry["metrics"][0]) == {"name", "description", "value", "interval"}
    assert report.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert len(pd.read_csv(shap_values)) == 60
    assert list(pd.read_csv(baseline)) == ["income", NASTY, "postcode"]


def test_infinite_and_undefined_values_are_json(tmp_path: Path) -> None:
    frame = pd.DataFrame({"sex": ["f", "f", "m", "m"], "y": [1, 0, 0, 0], "p": [1, 0, 0, 0]})
    made = audit(frame, label="y", predicted="p", facets=[Facet("sex", ["f"])], bootstrap=20)
    text = made.save(tmp_path)[0].read_text(encoding="utf-8")
    metrics = json.loads(text)["post_training_bias_metrics"]["facets"]["sex"][0]["metrics"]
    by_name = {metric["name"]: metric for metric in metrics}
    assert by_name["DI"]["value"] == "Infinity"
    assert by_name["RD"]["value"] is None
    assert "0/0" in by_name["RD"]["error"]
    assert "undefined" in made.html()


def test_data_alone_can_be_audited() -> None:
    frame = Loans(label_bias=0.5).sample(2_000, seed=1)
    made = audit(frame, label="approved", facets=[Facet("gender", ["woman"])], bootstrap=100)
    assert not made.after
    assert "gender: woman – a difference that is hardly chance: less often with a good label" in made.html()
    assert "For the regulator" in made.html()
    assert "For debugging" not in made.html()


def test_nobody_is_judged_by_a_handful() -> None:
    """One of d and nine of a: no share in 100, and no verdict."""
    frame = pd.DataFrame({"sex": ["f", *"m" * 9], "y": [1, 0] * 5, "p": [0, *[1] * 9]})
    everybody = audit(frame, label="y", predicted="p", facets=[Facet("sex", ["f"])]).html().split("</section>")[0]
    assert "sex: f – too few people to tell" in everybody
    assert "0 of 1; others 9 of 9: too few to tell" in everybody
    assert "in 100" not in everybody
    nine = pd.DataFrame({"sex": ["f"] * 9 + ["m"] * 900, "y": [1, 0, 0] * 303, "p": [0] * 9 + [1] * 900})
    made = audit(nine, label="y", predicted="p", facets=[Facet("sex", ["f"])], bootstrap=200)
    assert made.after["sex"].loc["DPPL", ["low", "high"]].tolist() == [1, 1]  # an interval that pretends certainty
    assert "sex: f – too few people to tell" in made.html()
    unasked = audit(Loans().sample(500, seed=1), label="approved", facets=[Facet("gender", ["woman"])], bootstrap=0)
    assert "was not examined" in unasked.html()


def test_several_groups_of_one_column(tmp_path: Path) -> None:
    frame = Loans().sample(600, seed=1)
    facets = [Facet("ethnicity", ["amber"]), Facet("ethnicity", ["blue"]), Facet("age", 60, kind="continuous")]
    made = audit(frame, label="approved", facets=facets, bootstrap=20)
    assert list(made.before) == ["ethnicity = amber", "ethnicity = blue", "age"]
    assert made.is_d("ethnicity = blue").sum() == (frame["ethnicity"] == "blue").sum()
    entries = made.analysis()["pre_training_bias_metrics"]["facets"]
    assert "Bar chart" in made.html()
    ages = [Facet("age", float(year), kind="continuous") for year in range(25, 60, 5)]
    assert "Bar chart" not in audit(frame, label="approved", facets=ages, bootstrap=0).html()  # one page
    assert [entry["value_or_threshold"] for entry in entries["ethnicity"]] == ["amber", "blue"]
    for wrong, words in (
        (lambda: made.is_d("agge"), "did you mean 'age'"),
        (lambda: made.suspicious("age"), "no pred"),
    ):
        with pytest.raises(ParameterError, match=words):
            wrong()
    with pytest.raises(ParameterError, match="twice"):
        audit(frame, label="approved", facets=facets[:1] * 2, bootstrap=0)
    (tmp_path / "file").write_text("")
    with pytest.raises(ParameterError, match="is a file"):
        made.save(tmp_path / "file")


def test_rows_to_look_at_say_what_spoke_against_them() -> None:
    frame = Loans(label_bias=0.35, proxy_strength=0.8).sample(1_500, seed=3)
    names = ["income", "debt", "age", "postcode"]
    model = LogisticRegression(max_iter=1000).fit(frame[names], frame["approved"])
    frame["score"] = model.predict_proba(frame[names])[:, 1]
    why = explain(model, frame)
    asked: dict[str, Any] = {"label": "approved", "predicted": "score", "probability_threshold": 0.5, "bootstrap": 0}
    made = audit(frame, **asked, facets=[Facet("gender", ["woman"])], explanation=why)
    debugging = made.html().split("<section")[3]
    assert "most against it" in debugging
    row = made.suspicious("gender").index[0]
    worst = why.values.loc[row].nsmallest(2)
    named = ", ".join(f"{name} {markup.number(round(value, 2))}" for name, value in worst[worst < 0].items())
    assert f"<td>{named}</td>" in debugging.split("</tr>")[1]


def test_suspicious_rows_are_wrong_refusals_of_d(found: fairness.Audit) -> None:
    rows = found.suspicious("gender")
    assert (rows["gender"] == "<b>woman</b>").all()
    assert (rows["approved"] == 1).all()
    assert rows["score"].is_monotonic_decreasing
    assert (rows["score"] <= 0.5).all()
