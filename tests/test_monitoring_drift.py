"""Streams know what is true; drift comes when, how, and as strongly as it says."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.linear_model import LogisticRegression

import simlib as sl
from simlib.monitoring import BiasDrift, ConceptDrift, DataDrift, FashionShop, Fraud, LoanBook, Stream, Table

LOANS = Stream(LoanBook())
NUMBERS = ["income", "debt_ratio", "years_employed"]
PLAIN = LOANS.sample(20_000, days=20, seed=1)
MODEL = LogisticRegression(max_iter=2000).fit(np.log1p(PLAIN[NUMBERS]), PLAIN["defaulted"])


def score(frame: pd.DataFrame) -> np.ndarray:
    return MODEL.predict_proba(np.log1p(frame[NUMBERS]))[:, 1]


def drifted(*drifts: Any, **more: Any) -> pd.DataFrame:
    """The rows of PLAIN, had these drifts been."""
    return Stream(LoanBook(), drifts, **more).sample(20_000, days=20, seed=1)


# --- how it comes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "levels"),
    [
        ("sudden", [0, 1, 1, 1, 1, 0]),
        ("gradual", [0, 0, 0.5, 1, 1, 0]),
        ("incremental", [0, 0, 0.5, 1, 1, 0]),
        ("recurring", [0, 1, 0, 1, 0, 0]),
    ],
)
def test_levels(kind: Any, levels: list[float]) -> None:
    drift = DataDrift("income", shift=1.0, at_day=10, until_day=20, kind=kind, over_days=4, period_days=4)
    assert drift.level([9.999, 10, 12, 14, 16, 20]).tolist() == levels


def test_gradual_mixes_and_incremental_moves() -> None:
    settings: dict[str, Any] = {"shift": 2.0, "at_day": 5, "over_days": 10}
    days, spread = PLAIN["time_s"] / 86_400, LOANS._reference["income"].std(ddof=0)
    moved = {kind: drifted(DataDrift("income", kind=kind, **settings))["income"] - PLAIN["income"] for kind in KINDS}
    halfway = (days > 9.5) & (days < 10.5)
    gradual = moved["gradual"][halfway] / spread
    assert set(gradual.round(6)) == {0.0, 2.0}
    low, high = stats.binomtest(int((gradual > 1).sum()), len(gradual)).proportion_ci(0.999)
    assert low < 0.5 < high
    incremental = moved["incremental"][halfway] / spread
    assert incremental.between(2 * 0.44, 2 * 0.56).all()
    assert (moved["sudden"][days < 5] == 0).all()
    assert np.allclose(moved["sudden"][days >= 5], 2.0 * spread)


KINDS = ("sudden", "gradual", "incremental", "recurring")


@pytest.mark.parametrize("kind", KINDS)
def test_the_truth_is_recorded(kind: Any) -> None:
    drift = DataDrift("income", shift=1.0, at_day=3, until_day=17, kind=kind, over_days=4, period_days=6)
    truth = Stream(LoanBook(), [ConceptDrift(flip=0.1, at_day=1), drift]).truth(days=30)
    assert truth["starts_day"].is_monotonic_increasing
    own = truth[truth["drift"] == "DataDrift"]
    ends = {"recurring": [6, 12, 17], "sudden": [17]}.get(kind, [17])
    assert own["ends_day"].tolist() == ends
    assert own["starts_day"].tolist() == ([3, 9, 15] if kind == "recurring" else [3])
    assert own["full_day"].iloc[0] == (7 if kind in ("gradual", "incremental") else 3)
    level = drift.level(np.linspace(0, 30, 3001))  # the level agrees with the record
    inside = np.zeros(3001, bool)
    for row in own.itertuples():
        inside |= (np.linspace(0, 30, 3001) > row.starts_day) & (np.linspace(0, 30, 3001) < row.ends_day)
    assert (level[~inside] == 0).sum() >= (~inside).sum() - 3  # but for the starting instants themselves
    assert (level[inside] > 0).all()


def test_a_change_after_the_end_is_none() -> None:
    assert Stream(LoanBook(), [DataDrift("income", shift=1.0, at_day=40)]).truth(days=30).empty


# --- what it does ---------------------------------------------------------------------------------------------------


def test_each_effect_does_what_it_says() -> None:
    before, reference = PLAIN["income"], LOANS._reference["income"]
    lower = before - 0.5 * reference.std(ddof=0)
    assert np.allclose(drifted(DataDrift("income", shift=-0.5))["income"], np.maximum(lower, 0))
    wider = reference.mean() + 3 * (before - reference.mean())
    assert (wider < 0).mean() > 0.1, "nobody earns less than nothing"
    assert np.allclose(drifted(DataDrift("income", scale=3.0))["income"], np.maximum(wider, 0))
    older = drifted(DataDrift("age", shift=0.4))["age"]
    assert older.dtype.kind == "i", "an age is a whole number, and a shift is no violation of its type"
    assert np.allclose(older, PLAIN["age"] + 0.4 * LOANS._reference["age"].std(ddof=0), atol=0.5)
    below = pd.DataFrame({"balance": [-3.0, 4.0]})
    found = Stream(Table(below), [DataDrift("balance", shift=-2.0)]).sample(50, seed=1)["balance"]
    assert found.min() < -8, "what may be below zero may fall further"
    assert np.allclose(drifted(DataDrift("income", unit_factor=0.001))["income"], before / 1000)
    assert (drifted(DataDrift("income", stuck_at=7.0))["income"] == 7).all()
    for share, found in (
        (0.3, drifted(DataDrift("income", missing=0.3))["income"].isna()),
        (0.2, drifted(DataDrift("purpose", new_category="boat", share=0.2))["purpose"] == "boat"),
        (0.4, drifted(DataDrift("income", shift=1.0, share=0.4))["income"] != before),
    ):
        low, high = stats.binomtest(int(found.sum()), len(found)).proportion_ci(0.999)
        assert low < share < high


def test_a_changed_world_has_its_own_labels_and_a_broken_sensor_has_not() -> None:
    richer = drifted(DataDrift("income", shift=1.0))
    assert richer["defaulted"].mean() < PLAIN["defaulted"].mean() - 0.05
    for wrong in (DataDrift("income", unit_factor=1000.0), DataDrift("income", missing=0.5)):
        assert drifted(wrong)["defaulted"].equals(PLAIN["defaulted"])


def test_drifts_compose() -> None:
    both = drifted(DataDrift("income", shift=1.0), DataDrift("age", missing=0.2), ConceptDrift(flip=0.5, at_day=10))
    assert np.allclose(both["income"], drifted(DataDrift("income", shift=1.0))["income"])
    assert both["age"].isna().mean() == pytest.approx(0.2, abs=0.01)
    early = both["time_s"] < 10 * 86_400
    assert (both["defaulted"][early] == drifted(DataDrift("income", shift=1.0))["defaulted"][early]).all()


def test_flipped_labels_are_as_many_as_it_says() -> None:
    """P(label) p becomes p + f(1 − 2p): the mean moves so, exactly in expectation."""
    chance = LOANS.source.chance(PLAIN, np.zeros(len(PLAIN)), np.zeros(len(PLAIN)))
    found = drifted(ConceptDrift(flip=0.3))["defaulted"]
    low, high = stats.binomtest(int(found.sum()), len(found)).proportion_ci(0.999)
    assert low < (chance + 0.3 * (1 - 2 * chance)).mean() < high


def test_a_rotated_boundary_hurts_a_model_and_a_full_turn_reverses_it() -> None:
    def accuracy(degrees: float) -> float:
        rows = drifted(ConceptDrift(rotate_degrees=degrees), model=score)
        return float((rows["prediction"] == rows["defaulted"]).mean())

    found = [accuracy(degrees) for degrees in (0, 30, 90, 180)]
    assert found == sorted(found, reverse=True)
    assert found[0] > 0.8
    assert found[3] < 0.6 < 1 - PLAIN["defaulted"].mean()


def test_a_new_pattern_makes_such_rows_positive() -> None:
    drift = ConceptDrift(pattern={"age": (20, 30), "purpose": ["car"]}, positive=0.9, at_day=10)
    rows = drifted(drift)
    such = rows["age"].between(20, 30) & (rows["purpose"] == "car") & (rows["time_s"] >= 10 * 86_400)
    low, high = stats.binomtest(int(rows["defaulted"][such].sum()), int(such.sum())).proportion_ci(0.999)
    assert low < 0.9 < high
    assert (rows["defaulted"] == PLAIN["defaulted"])[~such].all()


def test_bias_drift_touches_its_group_as_it_says() -> None:
    fair = drifted(model=score)
    women = fair["gender"] == "woman"
    accuracy = (fair["prediction"] == fair["defaulted"])[women].mean()
    worse = drifted(BiasDrift("gender", "woman", quality=0.3), model=score)
    right = (worse["prediction"] == worse["defaulted"])[women]
    low, high = stats.binomtest(int(right.sum()), len(right)).proportion_ci(0.999)
    assert low < accuracy + 0.3 * (1 - 2 * accuracy) < high
    fewer = drifted(BiasDrift("gender", "woman", selection=0.5), model=score)
    chosen = int(fair["prediction"][women].sum())
    low, high = stats.binomtest(int(fewer["prediction"][women].sum()), chosen).proportion_ci(0.999)
    assert low < 0.5 < high
    for rows in (worse, fewer):
        assert rows[~women].equals(fair[~women])
        assert rows["score"].between(0, 1).all()
        assert ((rows["score"] >= 0.5) == (rows["prediction"] == 1)).all()


# --- streams --------------------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_rows_and_more_looks_change_none() -> None:
    assert LOANS.sample(500, seed=3).equals(LOANS.sample(500, seed=3))
    rng = np.random.default_rng(5)
    times, u = np.sort(rng.random(1000)) * 86_400, rng.random((1000, *LOANS.draws))
    parts = [LOANS.rows(times[a:b], [u[a:b]]) for a, b in ((0, 1), (1, 400), (400, 1000))]
    assert pd.concat(parts, ignore_index=True).equals(LOANS.rows(times, [u]))


def test_the_chance_of_default_is_that_of_the_labels() -> None:
    chance = LOANS.source.chance(PLAIN, np.zeros(len(PLAIN)), np.zeros(len(PLAIN)))
    groups = pd.qcut(chance, 10, labels=False)
    for k in range(10):
        labels = PLAIN["defaulted"][groups == k]
        error = math.sqrt((chance * (1 - chance))[groups == k].mean() / len(labels))
        assert abs(labels.mean() - chance[groups == k].mean()) < 3.9 * error  # 10 of them at 99.99 %
    assert PLAIN["defaulted"].mean() == pytest.approx(0.25, abs=0.03)


def test_labels_come_late_or_never() -> None:
    late = drifted(label_delay_days=7, label_spread_days=2, label_share=0.8)
    waited = (late["label_s"] - late["time_s"]) / 86_400
    assert waited.min() >= 7
    low, high = stats.binomtest(int(waited.notna().sum()), len(waited)).proportion_ci(0.999)
    assert low < 0.8 < high
    assert waited.mean() == pytest.approx(9, abs=4 * 2 / math.sqrt(16_000))
    assert late["defaulted"].equals(PLAIN["defaulted"])


def test_the_shop_has_seasons() -> None:
    shop = Stream(FashionShop(start_day=0))
    winter, summer = shop.sample(5000, at_day=10, days=10), shop.sample(5000, at_day=190, days=10)
    assert winter["temperature"].mean() < 8 < 20 < summer["temperature"].mean()
    assert (winter["product"] == "coat").mean() > 2 * (summer["product"] == "coat").mean()
    model = LogisticRegression(max_iter=2000)
    features = ["temperature", "price", "discount", "returning"]

    def inputs(frame: pd.DataFrame) -> pd.DataFrame:
        return frame[features].assign(coat=frame["product"] == "coat", dress=frame["product"] == "dress")

    model.fit(inputs(summer), summer["bought"])
    again = shop.sample(5000, at_day=190, days=10, seed=2)
    here, there = (model.score(inputs(rows), rows["bought"]) for rows in (again, winter))
    assert here > there + 0.03, "a summer model in winter"


def test_fraudsters_learn_only_what_there_is_to_learn() -> None:
    columns = ["amount", "distance_km", "minutes_since_last"]
    past = Stream(Fraud(fraud_rate=0.1)).sample(20_000, seed=1)
    model = LogisticRegression(max_iter=2000).fit(np.log1p(past[columns]), past["fraud"])

    def caught(tries: int, day: float) -> float:
        stream = Stream(
            Fraud(fraud_rate=0.1, tries=tries), model=lambda rows: model.predict_proba(np.log1p(rows[columns]))[:, 1]
        )
        rows = stream.sample(20_000, at_day=day, seed=2)
        return float(rows["prediction"][rows["fraud"] == 1].mean())

    assert caught(5, 0) > caught(5, 10) > caught(5, 60)
    assert caught(1, 60) == pytest.approx(caught(1, 0), abs=0.03)
    assert caught(5, 60) < caught(1, 60) / 2


def test_rows_of_a_frame_come_at_random_or_when_they_came() -> None:
    frame = pd.DataFrame({"day": [0.0, 1.0, 2.0], "x": [1.5, 2.5, 3.5], "y": [0, 1, 0]})
    played = Stream(Table(frame, target="y", time="day")).sample(300, days=4, seed=1)
    assert (played["x"] == 1.5 + np.minimum(np.floor(played["time_s"] / 86_400), 2)).all()
    assert (played["y"] == (played["x"] == 2.5)).all()
    drawn = Stream(Table(frame[["x"]])).sample(3000, seed=1)
    assert stats.chisquare(drawn["x"].value_counts()).pvalue > 0.001
    assert drawn["label_s"].isna().all()
    flipped = Stream(Table(frame, target="y"), [ConceptDrift(flip=1.0)]).sample(300)
    assert (flipped["y"] == (flipped["x"] != 2.5)).all()


# --- mistakes -------------------------------------------------------------------------------------------------------

MISTAKES = {
    "no effect": (lambda: DataDrift("income"), "exactly one of shift"),
    "two effects": (lambda: DataDrift("income", shift=1.0, missing=0.1), "this drift gives 2"),
    "ends before it begins": (lambda: DataDrift("income", shift=1.0, at_day=5, until_day=5), "until_day=5"),
    "no such kind": (lambda: DataDrift("income", shift=1.0, kind="slow"), "kind='slow'"),
    "no such column": (lambda: Stream(LoanBook(), [DataDrift("incme", shift=1.0)]), "did you mean 'income'"),
    "no such pattern": (lambda: Stream(LoanBook(), [ConceptDrift(pattern={"agee": (1, 2)})]), "did you mean 'age'"),
    "a shift of words": (lambda: Stream(LoanBook(), [DataDrift("purpose", shift=1.0)]), "no column of numbers"),
    "a word among numbers": (lambda: Stream(LoanBook(), [DataDrift("income", new_category="x")]), "column of numbers"),
    "words between numbers": (
        lambda: Stream(LoanBook(), [ConceptDrift(pattern={"purpose": (1, 2)})]),
        "should be a list of values",
    ),
    "numbers as words": (
        lambda: Stream(LoanBook(), [ConceptDrift(pattern={"income": ["a"]})]),
        "should be (low, high)",
    ),
    "a pattern upside down": (lambda: Stream(LoanBook(), [ConceptDrift(pattern={"income": (5, 2)})]), "5 is higher"),
    "a pattern of nothing": (lambda: ConceptDrift(pattern={}), "pattern is empty"),
    "a group of nobody": (
        lambda: Stream(LoanBook(), [BiasDrift("gender", "wman", quality=0.1)], model=len),
        "nobody has gender='wman'; did you mean 'woman'",
    ),
    "no model to bias": (lambda: Stream(LoanBook(), [BiasDrift("gender", "man", quality=0.1)]), "give model="),
    "no boundary": (lambda: Stream(Fraud(), [ConceptDrift(rotate_degrees=10)]), "no boundary to rotate"),
    "no labels": (lambda: Stream(Table(PLAIN[["age"]]), [ConceptDrift(flip=0.1)]), "target="),
    "a frame as a source": (lambda: Stream(PLAIN), "Table("),
    "no frame": (lambda: Table([1, 2]), "should be a pandas DataFrame"),
    "no such target": (lambda: Table(PLAIN, target="defalted"), "did you mean 'defaulted'"),
    "a label of words": (lambda: Table(PLAIN, target="purpose"), "should be 0 or 1"),
    "times out of order": (lambda: Table(PLAIN[::-1], time="time_s"), "increasing order"),
    "a model that is none": (lambda: Stream(LoanBook(), model=3), "model=3"),
    "a model of another shape": (
        lambda: Stream(LoanBook(), model=lambda rows: np.zeros((len(rows), 2))).sample(3),
        "one score a row",
    ),
    "no rows": (lambda: LOANS.sample(0), "n=0"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_one_sentence(name: str) -> None:
    call, said = MISTAKES[name]
    with pytest.raises(sl.ParameterError) as caught:
        call()
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
