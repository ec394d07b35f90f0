"""Capture and monitors: what is kept, when a monitor looks, what it may know, what it costs, and what it says."""

import json
import math
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn import metrics as sk
from sklearn.linear_model import LogisticRegression

import simlib as sl
from simlib import fairness, monitoring, pricing, serving, workload
from simlib.monitoring import Alarm, Capture, DataDrift, LoanBook, ModelMonitor, Stream

PROFILE = sl.ModelProfile("lender", service=sl.lognormal(mean=0.05, cv=0.5))
CALLS = workload.poisson(rate=0.1)
INPUTS = list(LoanBook().inputs)
NUMBERS = ["income", "debt_ratio", "years_employed"]
PAST = Stream(LoanBook()).sample(6000, days=5, seed=1)
MODEL = monitoring.logistic(PAST[INPUTS], PAST["defaulted"])
ANSWERED = Stream(LoanBook(), model=MODEL, label_delay_days=0.5)
HISTORY = ANSWERED.sample(5000, seed=5)
BASELINE = monitoring.Baseline.fit(PAST[INPUTS])


def deployed(stream: Any = ANSWERED, *, percentage: float = 50, seed: int = 3, **more: Any) -> tuple[Any, Any]:
    sim = sl.Simulation(seed)
    deployment = serving.RealTime(PROFILE, data_capture=Capture(percentage), **more)
    return sim, sim.deploy(deployment, CALLS, rows=stream)


# --- capture --------------------------------------------------------------------------------------------------------


def test_captured_are_answered_requests_of_the_log() -> None:
    sim, endpoint = deployed(percentage=30, queue_limit=0)
    sim.run(days=1)
    log, kept = endpoint.run.requests, endpoint.capture.frame()
    its = log.iloc[kept["event"]]
    assert (its["status"] == "completed").all()
    assert (log["status"] == "rejected").any(), "some are not answered, so the test can fail"
    assert its["finish_s"].to_numpy().tolist() == kept["inference_s"].tolist()
    assert its["arrival_s"].to_numpy().tolist() == kept["time_s"].tolist()
    assert kept["inference_s"].is_monotonic_increasing
    assert kept["event"].is_unique
    completed = int((log["status"] == "completed").sum())
    low, high = stats.binomtest(len(kept), completed).proportion_ci(0.999)
    assert low < 0.30 < high


def test_who_looks_changes_neither_the_run_nor_what_is_captured() -> None:
    frames, logs = [], []
    for hours in (None, 1, 5):
        sim, endpoint = deployed()
        if hours is not None:
            ModelMonitor(endpoint, BASELINE, every_hours=hours)
        sim.run(days=1)
        frames.append(endpoint.capture.frame())
        logs.append(endpoint.run.requests)
    for frame, log in zip(frames[1:], logs[1:], strict=True):
        # a matrix product of more rows at once may differ in its last digit
        pd.testing.assert_series_equal(frame.pop("score"), frames[0]["score"], rtol=1e-12)
        assert frame.equals(frames[0].drop(columns="score"))
        assert log.equals(logs[0])
    bare = sl.Simulation(3)
    alone = bare.deploy(serving.RealTime(PROFILE), CALLS)
    bare.run(days=1)
    assert alone.run.requests.equals(logs[0])


def test_rows_are_made_for_captured_requests_only() -> None:
    made = []

    class Counting(Stream):
        def rows(self, times_s: np.ndarray, u: Any) -> pd.DataFrame:
            made.append(len(times_s))
            return super().rows(times_s, u)

    sim, endpoint = deployed(Counting(LoanBook()), percentage=5)
    ModelMonitor(endpoint, BASELINE, every_hours=2)
    sim.run(days=1)
    kept = len(endpoint.capture.frame())
    assert sum(made) == kept < 0.07 * len(endpoint.run.requests)


def test_windows_hold_what_was_answered_in_them() -> None:
    sim, endpoint = deployed()
    sim.run(days=1)
    whole = endpoint.capture.frame()
    parts = [endpoint.capture.frame(begin, begin + 3600) for begin in range(0, 86_400, 3600)]
    assert pd.concat(parts, ignore_index=True).equals(whole)
    assert all(
        part["inference_s"].between(3600 * k, 3600 * (k + 1), inclusive="left").all() for k, part in enumerate(parts)
    )
    assert endpoint.capture.frame(86_400, 90_000).empty
    assert list(endpoint.capture.frame(86_400, 90_000)) == list(whole)


def test_records_have_the_documented_shape(tmp_path: Path) -> None:
    sim, endpoint = deployed()
    sim.run(hours=3)
    paths = endpoint.capture.save(tmp_path)
    assert [path.relative_to(tmp_path).parent.as_posix() for path in paths] == [
        f"endpoint-1/AllTraffic/2026/01/05/{hour:02d}" for hour in range(3)
    ]
    records = [json.loads(line) for path in paths for line in path.read_text().splitlines()]
    frame = endpoint.capture.frame()
    assert len(records) == len(frame)
    first = records[0]
    assert set(first) == {"captureData", "eventMetadata", "eventVersion"}
    assert first["eventVersion"] == "0"
    assert set(first["eventMetadata"]) == {"eventId", "inferenceTime"}
    sides = first["captureData"]
    assert {side: each["mode"] for side, each in sides.items()} == {
        "endpointInput": "INPUT",
        "endpointOutput": "OUTPUT",
    }
    assert all(set(each) == {"observedContentType", "mode", "data", "encoding"} for each in sides.values())
    text = "\n".join(record["captureData"]["endpointInput"]["data"] for record in records)
    read = pd.read_csv(pd.io.common.StringIO(text), header=None, names=INPUTS)
    assert read["income"].tolist() == frame["income"].tolist()
    assert read["purpose"].tolist() == frame["purpose"].tolist()
    assert len({record["eventMetadata"]["eventId"] for record in records}) == len(records)


def test_a_record_holds_what_was_asked_for() -> None:
    sim = sl.Simulation(1)
    only_input = serving.RealTime(PROFILE, data_capture=Capture(50, modes="Input"))
    endpoint = sim.deploy(only_input, CALLS, rows=Stream(monitoring.Table(pd.DataFrame({"a": ['x,"\n', None]}))))
    sim.run(hours=1)
    texts = {record["captureData"]["endpointInput"]["data"] for _, record in endpoint.capture.records()}
    assert texts == {'"x,""\n"', '""'} or texts == {'"x,""\n"', ""}
    assert all(set(record["captureData"]) == {"endpointInput"} for _, record in endpoint.capture.records())


def test_a_deployment_with_capture_goes_to_json_and_back() -> None:
    deployment = serving.RealTime(PROFILE, data_capture=Capture(20, modes="Output"))
    assert sl.from_json(sl.to_json(deployment)) == deployment


# --- the schedule ---------------------------------------------------------------------------------------------------


def test_executions_come_by_the_hour_and_start_up_to_twenty_minutes_late() -> None:
    sim, endpoint = deployed()
    monitor = ModelMonitor(endpoint, BASELINE, every_hours=1)
    sim.run(days=4)
    runs = monitor.executions
    assert runs["scheduled_s"].tolist() == [3600.0 * k for k in range(1, len(runs) + 1)]
    late = runs["started_s"] - runs["scheduled_s"]
    assert stats.kstest(late / 1200, "uniform").pvalue > 0.001
    assert (runs["to_s"] == runs["scheduled_s"]).all()
    assert (runs["to_s"] - runs["from_s"] == 3600).all()
    kept = endpoint.capture.frame()
    counted = np.histogram(kept["inference_s"], np.r_[0, runs["to_s"]])[0]
    assert runs["rows"].tolist() == counted.tolist()


def test_the_bill_holds_the_jobs_and_the_alarms() -> None:
    sim, endpoint = deployed()
    alarms = [Alarm("violations", 0.0), Alarm("feature_baseline_drift_income", 0.1)]
    monitor = ModelMonitor(endpoint, BASELINE, every_hours=3, alarms=alarms, s_per_1000_rows=100.0, name="watch")
    sim.run(days=2)
    run = endpoint.run
    run.check()
    bill = run.invoice.set_index("item")
    lived = monitor.executions["ended_s"] - monitor.executions["started_s"]
    seconds = np.ceil(lived - 1e-6).sum()
    price = pricing.price("sagemaker_processing", "ml.m5.xlarge", region="us-east-1").usd
    assert bill.loc["watch: processing jobs", "subtotal"] == pytest.approx(seconds / 3600 * price, rel=1e-9)
    assert bill.loc["CloudWatch alarms", "subtotal"] == pytest.approx(2 * 48 / 730 * 0.1, rel=1e-9)
    longer = monitor.executions["rows"] * 0.1
    assert (lived > longer).all()


def test_an_empty_window_fails_and_says_so() -> None:
    sim = sl.Simulation(1)
    nobody = workload.poisson(rate=0.1).between(7200, 100_000)
    endpoint = sim.deploy(serving.RealTime(PROFILE, data_capture=Capture(50)), nobody, rows=ANSWERED)
    monitor = ModelMonitor(endpoint, BASELINE)
    sim.run(hours=5)
    assert monitor.executions["status"].tolist()[:3] == ["Failed", "Failed", "Completed"]
    assert "no data" in monitor.executions["failure_reason"][0]


# --- violations, metrics, alarms ------------------------------------------------------------------------------------


def drifting(**more: Any) -> tuple[Any, ModelMonitor]:
    stream = Stream(LoanBook(), [DataDrift("income", shift=1.5, at_day=1)], model=MODEL)
    sim, endpoint = deployed(stream, percentage=100)
    monitor = ModelMonitor(endpoint, BASELINE, every_hours=2, **more)
    sim.run(days=2)
    return endpoint, monitor


def test_a_drift_is_found_in_the_first_window_after_it_and_not_before() -> None:
    endpoint, monitor = drifting()
    found = monitor.violations
    assert set(found["feature_name"]) == {"income"}
    assert found["to_s"].min() == 86_400 + 7200
    truth = endpoint.capture.carried.truth(days=2)
    assert truth["starts_day"].tolist() == [1]
    window = endpoint.capture.frame(86_400, 86_400 + 7200)[INPUTS]
    again = monitoring.check(window, BASELINE)
    assert again.violations[0].description == found["description"].iloc[0]
    events = endpoint.run.events
    assert (events["kind"] == "violations").sum() == (monitor.executions["status"] == "CompletedWithViolations").sum()


def test_alarms_ring_by_m_of_n_and_fall_silent() -> None:
    called: list[Alarm] = []
    alarm = Alarm("feature_baseline_drift_income", 0.1, datapoints_to_alarm=2, evaluation_periods=3)
    _, monitor = drifting(alarms=[alarm], on_alarm=called.append)
    values = monitor.metrics.query("metric == 'feature_baseline_drift_income'")
    above = (values["value"] > 0.1).to_numpy()
    second = np.flatnonzero(above)[1]
    assert monitor.alarm_log["state"].tolist() == ["ALARM"]
    assert monitor.alarm_log["time_s"][0] == values["time_s"].iloc[second]
    assert called == [alarm]
    assert not alarm.beyond([0.5, 0.0, 0.0])
    assert alarm.beyond([0.5, 0.0, 0.5])
    assert not alarm.beyond([0.5, 0.0, 0.0, 0.5])
    assert Alarm("accuracy", 0.7, "LessThanThreshold").beyond([0.9, 0.69])


def test_what_is_infinite_is_sent_as_the_largest_number_and_what_is_unknown_not() -> None:
    class Odd:
        kind, needs_labels = "DataQuality", False

        def needed(self, inputs: Any, outputs: Any, label: Any) -> list[str]:
            return list(inputs)

        def compare(self, frame: pd.DataFrame) -> monitoring.Findings:
            values = {"up": math.inf, "down": -math.inf, "unknown": math.nan}
            return monitoring.Findings(len(frame), (), pd.DataFrame(), values)

    sim, endpoint = deployed()
    monitor = ModelMonitor(endpoint, Odd())
    sim.run(hours=2)
    sent = monitor.metrics.set_index("metric")["value"]
    assert sent["up"] == 2.348543e108 == -sent["down"]
    assert "unknown" not in sent


# --- labels ---------------------------------------------------------------------------------------------------------


def test_no_label_is_known_before_it_comes() -> None:
    late = Stream(LoanBook(), model=MODEL, label_delay_days=0.25, label_spread_days=0.1, label_share=0.9)
    sim, endpoint = deployed(late, percentage=100)
    baseline = monitoring.QualityBaseline.fit(HISTORY, label="defaulted", predicted="prediction", margin=0.1)
    at_once = ModelMonitor(endpoint, baseline, every_hours=6, name="at once")
    patient = ModelMonitor(endpoint, baseline, every_hours=6, delay_hours=12, name="patient")
    sim.run(days=2)
    kept = endpoint.capture.frame()
    for monitor in (at_once, patient):
        for run in monitor.executions.itertuples():
            window = kept[kept["inference_s"].between(max(run.from_s, 0), run.to_s, inclusive="left") & (run.to_s > 0)]
            assert run.rows == (window["label_s"] <= run.started_s).sum()
    seen = {monitor.name: monitor.executions["rows"][2:].mean() for monitor in (at_once, patient)}
    assert seen["at once"] < 0.2 * seen["patient"]
    jobs = len(at_once._worked_s) / (at_once.executions["status"] != "Failed").sum()
    assert jobs == 2, "merge and comparison are both billed"


def test_the_merge_job_joins_what_was_captured_with_the_labels_that_have_come(tmp_path: Path) -> None:
    late = Stream(LoanBook(), model=MODEL, label_delay_days=0.1, label_share=0.7)
    sim, endpoint = deployed(late)
    sim.run(hours=6)
    endpoint.capture.save(tmp_path / "captured")
    files = monitoring.save_ground_truth(endpoint, tmp_path / "truth")
    record = json.loads(files[0].read_text().splitlines()[0])
    assert set(record) == {"groundTruthData", "eventMetadata", "eventVersion"}
    assert set(record["groundTruthData"]) == {"data", "encoding"}
    hours = [file.parent.name for file in files]
    assert hours == ["02", "03", "04", "05"], "the hour in which a label came, not that of its request"
    merged = monitoring.merge(tmp_path / "captured", tmp_path / "truth")
    rows = endpoint.capture.frame()
    known = rows[rows["label_s"] <= sim.env.now]
    assert len(merged) == len(known) < 0.8 * len(rows)
    assert [int(each["groundTruthData"]["data"]) for each in merged] == known["defaulted"].tolist()
    assert set(merged[0]) == {"captureData", "eventMetadata", "eventVersion", "groundTruthData"}
    earlier = monitoring.save_ground_truth(endpoint, tmp_path / "earlier", by_s=3 * 3600)
    assert len(earlier) == 1
    mine = {"captureData": {}, "eventMetadata": {"eventId": "e1", "inferenceId": "mine"}, "eventVersion": "0"}
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "a.jsonl").write_text(json.dumps(mine) + "\n")
    said = [("e1", "0"), ("mine", "0"), ("mine", "1")]
    lines = [json.dumps({"groundTruthData": {"data": y}, "eventMetadata": {"eventId": e}}) for e, y in said]
    (tmp_path / "own truth").mkdir()
    (tmp_path / "own truth" / "b.jsonl").write_text("\n".join(lines))
    [joined] = monitoring.merge(tmp_path / "own", tmp_path / "own truth")
    assert joined["groundTruthData"]["data"] == "1", "by the caller's own id, and the last label of it"
    (tmp_path / "truth" / "odd.jsonl").write_text("{}")
    with pytest.raises(sl.ParameterError, match=r"line 1 of 'odd.jsonl'"):
        monitoring.merge(tmp_path / "captured", tmp_path / "truth")
    with pytest.raises(sl.ParameterError, match="no folder"):
        monitoring.merge(tmp_path / "captured", tmp_path / "nowhere")


@pytest.mark.parametrize("seed", range(5))
def test_quality_is_scikit_learns(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(50, 500))
    score = rng.random(n).round(2)
    frame = pd.DataFrame({"y": (rng.random(n) < score).astype(int), "p": (score > 0.5).astype(int), "s": score})
    found = monitoring.QualityBaseline.fit(frame, label="y", predicted="p", score="s").values
    y, p = frame["y"], frame["p"]
    wanted = {
        "accuracy": sk.accuracy_score(y, p),
        "precision": sk.precision_score(y, p),
        "recall": sk.recall_score(y, p),
        "f0_5": sk.fbeta_score(y, p, beta=0.5),
        "f1": sk.f1_score(y, p),
        "f2": sk.fbeta_score(y, p, beta=2),
        "auc": sk.roc_auc_score(y, score),
        "true_negative_rate": sk.recall_score(1 - y, 1 - p),
        "accuracy_best_constant_classifier": max(y.mean(), 1 - y.mean()),
        "auc_best_constant_classifier": 0.5,
    }
    for name, value in wanted.items():
        assert found[name] == pytest.approx(value, abs=1e-12), name
    assert ("accuracy_sd" in found) == (n >= 200)


def test_quality_of_several_classes_and_of_numbers_is_scikit_learns() -> None:
    rng = np.random.default_rng(2)
    frame = pd.DataFrame({"y": rng.choice(["a", "b", "c"], 300), "p": rng.choice(["a", "b", "c"], 300)})
    frame["u"] = rng.standard_normal(300)
    frame["v"] = frame["u"] + rng.standard_normal(300)
    found = monitoring.QualityBaseline.fit(frame, label="y", predicted="p", problem="MulticlassClassification").values
    for name, score in (("recall", sk.recall_score), ("precision", sk.precision_score), ("f1", sk.f1_score)):
        assert found[f"weighted_{name}"] == pytest.approx(score(frame["y"], frame["p"], average="weighted"), abs=1e-12)
    numbers = monitoring.QualityBaseline.fit(frame, label="u", predicted="v", problem="Regression")
    assert numbers.values["rmse"] == pytest.approx(sk.root_mean_squared_error(frame["u"], frame["v"]), abs=1e-12)
    assert numbers.values["r2"] == pytest.approx(sk.r2_score(frame["u"], frame["v"]), abs=1e-12)
    worse = numbers.compare(frame.assign(v=frame["v"] + 5))
    assert {each.metric_name for each in worse.violations} == {"mae", "mse", "rmse", "r2"}
    operators = {each.metric_name: each.constraint_check_type for each in worse.violations}
    assert (operators["mae"], operators["r2"]) == ("GreaterThanThreshold", "LessThanThreshold")


def test_a_class_is_the_same_however_its_number_came() -> None:
    """Where a label is missing for a while pandas makes floats of whole numbers: 1.0 is still class 1."""
    frame = pd.DataFrame({"y": [0.0, 1.0, 2.0, 2.0], "p": [0, 1, 2, 1], "t": [True, False, True, True]})
    found = monitoring.QualityBaseline.fit(frame, label="y", predicted="p", problem="MulticlassClassification").values
    assert found["accuracy"] == 0.75
    assert found["weighted_recall"] == sk.recall_score(frame["y"], frame["p"], average="weighted") == 0.75
    same = monitoring.QualityBaseline.fit(frame.assign(p=frame["t"] * 1), label="t", predicted="p").values
    assert same["accuracy"] == 1


@pytest.mark.parametrize("problem", ["BinaryClassification", "MulticlassClassification", "Regression"])
@pytest.mark.parametrize("values", [["x", "y"], [[1], [2]], [1j, 2j], [10**400, 1], [np.inf, 1.0], [1e308, -1e308]])
def test_columns_that_hold_something_else_are_named(problem: Any, values: list[Any]) -> None:
    frame = pd.DataFrame({"y": [0, 1], "odd": pd.Series(values, dtype=object)})
    wanted = {"label": "y", "predicted": "y" if problem == "BinaryClassification" else "odd", "score": "odd"}
    with pytest.raises(sl.ParameterError, match="column 'odd' should hold numbers"):
        monitoring.QualityBaseline.fit(frame, **wanted, problem=problem)


def test_bias_is_fairnesss_and_its_two_rules_differ() -> None:
    wanted = fairness.posttraining(
        HISTORY, label="defaulted", predicted="prediction", facet="gender", disadvantaged=["woman"]
    )
    settings: dict[str, Any] = {"facet": "gender", "disadvantaged": ["woman"], "label": "defaulted"}
    documented = monitoring.BiasBaseline.fit(HISTORY, **settings, predicted="prediction")
    interval = monitoring.BiasBaseline.fit(HISTORY, **settings, predicted="prediction", rule="interval")
    for name, value in documented.values.items():
        assert value == wanted.loc[name, "value"]
    fired = {"documented": 0, "interval": 0}
    for seed in range(30):
        window = ANSWERED.sample(1000, seed=100 + seed)
        for rule, baseline in (("documented", documented), ("interval", interval)):
            fired[rule] += bool(baseline.compare(window))
    assert fired["documented"] >= 25, "without any change it fires nearly always"
    assert fired["interval"] <= 3
    biased = Stream(LoanBook(), [monitoring.BiasDrift("gender", "woman", selection=0.7)], model=MODEL)
    found = interval.compare(biased.sample(2000, seed=9))
    assert {"DPPL", "DI"} <= {each.metric_name for each in found.violations}
    file = json.loads(found.to_json())
    assert file["version"] == "1.0"
    of_bias = {"facet", "facet_value", "metric_name", "constraint_check_type", "description"}  # the documented schema
    assert all(set(each) == of_bias for each in file["violations"])
    assert {each.constraint_check_type for each in found.violations} == {"bias_drift_check"}


def test_the_interval_rule_waits_until_both_intervals_part() -> None:
    settings: dict[str, Any] = {"label": "defaulted", "predicted": "prediction", "facet": "gender"}
    settings["disadvantaged"] = ["woman"]
    small = HISTORY[:1500]
    before = fairness.posttraining(small, **settings, bootstrap=200)
    baseline = monitoring.BiasBaseline.fit(small, **settings, rule="interval", metrics=("DPPL", "AD", "RD", "SD"))
    waited = 0
    for seed in range(40):
        window = ANSWERED.sample(1000, seed=300 + seed)
        now = fairness.posttraining(window, **settings, bootstrap=200)
        found = {each.metric_name for each in baseline.compare(window).violations}
        for name, value in baseline.values.items():
            reach = before.loc[name, ["low", "high"]].abs().max()
            low, high = now.loc[name, "low"], now.loc[name, "high"]
            farther = abs(now.loc[name, "value"]) > abs(value)
            assert (name in found) == bool(farther and (low > reach or high < -reach))
            waited += bool((low > abs(value) or high < -abs(value)) and name not in found)
    assert waited, "a baseline's own scatter matters"


def test_attribution_drift_alarms_below_nine_tenths() -> None:
    linear = LogisticRegression(max_iter=3000).fit(PAST[NUMBERS], PAST["defaulted"])
    baseline = monitoring.AttributionBaseline.fit(linear, PAST)
    assert not baseline.compare(HISTORY)
    broken = HISTORY.assign(years_employed=HISTORY["years_employed"] * 40)
    found = baseline.compare(broken)
    assert found.metrics["ndcg"] < 0.9
    file = json.loads(found.to_json())
    assert file["version"] == "1.0"
    assert [{**each, "description": ""} for each in file["violations"]] == [
        {"label": "label0", "metric_name": "shap", "constraint_check_type": "feature_attribution_drift_check",
         "description": ""}
    ]  # fmt: skip
    assert found.metrics["ndcg"] == fairness.attribution_drift(
        pd.Series(baseline.values), pd.Series({name: found.metrics[f"feature_{name}"] for name in NUMBERS})
    )


# --- the report -----------------------------------------------------------------------------------------------------


class Reader(HTMLParser):
    """What a page says, and the tags it is made of."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.words = ""

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += " " + data


def test_the_report_says_what_since_when_and_what_it_may_mean(tmp_path: Path) -> None:
    drifts = [
        DataDrift("income", unit_factor=1000.0, at_day=0.5, until_day=1.5),
        DataDrift("form_minutes", stuck_at=5.0, at_day=1),
        DataDrift("purpose", new_category="<boat>", share=0.4, at_day=1),
    ]
    sim, endpoint = deployed(Stream(LoanBook(), drifts), percentage=100)
    monitor = ModelMonitor(endpoint, BASELINE, every_hours=2, alarms=[Alarm("violations", 0.0)])
    sim.run(days=2)
    page = Reader()
    page.feed(monitor.save_report(tmp_path / "report.html").read_text(encoding="utf-8"))
    assert page.open == []
    assert "script" not in page.tags
    assert "boat" not in page.tags
    for words in (
        "2026-01-06 02:00",  # the sensor, since: the window that ends two hours after midnight
        "not now; last 2026-01-06 12:00",  # the unit, which is right again; what it was like when it was wrong
        "recorded in another unit?",
        "a broken sensor",
        "there is a new product",
        "distance from the baseline",
        "ALARM",
        "hours of a ml.m5.xlarge",
    ):
        assert words in page.words, words


def test_the_report_of_a_quiet_monitor_and_of_one_that_never_ran(tmp_path: Path) -> None:
    sim, endpoint = deployed()
    monitor = ModelMonitor(endpoint, BASELINE, every_hours=12)
    assert "not run yet" in monitor.save_report(tmp_path / "none.html").read_text()
    sim.run(days=1.1)
    assert "Nothing differs" in monitor.save_report(tmp_path / "quiet.html").read_text()


def test_everything_prints_in_a_line() -> None:
    sim, endpoint = deployed()
    monitor = ModelMonitor(endpoint, BASELINE, every_hours=6)
    assert repr(monitor) == "<ModelMonitor 'monitor' of endpoint-1, DataQuality: not run yet>"
    sim.run(hours=7)
    assert repr(monitor).endswith("DataQuality: {'Completed': 1}>")
    assert repr(BASELINE).startswith("<Baseline of 7 features in 6000 rows: income, debt_ratio")
    assert repr(monitor.last).endswith("rows: no violation>")
    found = monitoring.check(HISTORY[INPUTS].assign(age=1), BASELINE)
    assert repr(found) == "<Findings in 5,000 rows: age: baseline_drift_check>"
    assert repr(monitoring.QualityEstimator()) == "<QualityEstimator at 0.5, the scores as they are>"
    linear = LogisticRegression(max_iter=3000).fit(PAST[NUMBERS], PAST["defaulted"])
    assert repr(monitoring.AttributionBaseline.fit(linear, PAST)).startswith("<AttributionBaseline: ")


# --- mistakes -------------------------------------------------------------------------------------------------------


def monitored(*arguments: Any, rows: Any = ANSWERED, **settings: Any) -> ModelMonitor:
    _, endpoint = deployed(rows)
    return ModelMonitor(endpoint, *arguments, **settings)


QUALITY = monitoring.QualityBaseline.fit(HISTORY, label="defaulted", predicted="prediction")
MISTAKES = {
    "an endpoint without capture": (
        lambda: ModelMonitor(sl.Simulation().deploy(serving.RealTime(PROFILE), CALLS), BASELINE),
        "captures nothing",
    ),
    "no rows to capture": (
        lambda: ModelMonitor(
            sl.Simulation().deploy(serving.RealTime(PROFILE, data_capture=Capture()), CALLS), BASELINE
        ),
        "rows=Stream",
    ),
    "a frame in place of a baseline": (lambda: monitored(PAST), "is not a baseline"),
    "every 25 hours": (lambda: monitored(BASELINE, every_hours=25), "every_hours=25"),
    "no such machine": (lambda: monitored(BASELINE, instance_type="ml.m5.xlrge"), "instance_type='ml.m5.xlrge'"),
    "labels that never were": (
        lambda: monitored(QUALITY, rows=Stream(monitoring.Table(PAST[INPUTS]))),
        "needs labels",
    ),
    "answers that never were": (lambda: monitored(QUALITY, rows=Stream(LoanBook())), "no column 'prediction'"),
    "an alarm of 3 in 1": (
        lambda: Alarm("x", 1.0, datapoints_to_alarm=3, evaluation_periods=2),
        "datapoints_to_alarm=3",
    ),
    "rows that are a frame": (
        lambda: sl.Simulation().deploy(serving.RealTime(PROFILE), CALLS, rows=PAST),
        "monitoring.Stream(monitoring.Table(frame))",
    ),
    "rows of a serverless endpoint": (
        lambda: sl.Simulation().deploy(serving.Serverless(PROFILE), CALLS, rows=ANSWERED),
        "a Serverless captures no data",
    ),
    "rows of a folded run": (
        lambda: sl.Simulation(log="folded").deploy(
            serving.RealTime(PROFILE, data_capture=Capture()), CALLS, rows=ANSWERED
        ),
        "log='exact'",
    ),
    "capturing nothing": (lambda: Capture(0), "percentage=0"),
    "quality of words": (
        lambda: monitoring.QualityBaseline.fit(HISTORY, label="purpose", predicted="prediction"),
        "should be 0 or 1",
    ),
    "quality with holes": (
        lambda: monitoring.QualityBaseline.fit(
            HISTORY.assign(defaulted=np.nan), label="defaulted", predicted="prediction"
        ),
        "missing values",
    ),
    "a bias metric that is none": (
        lambda: monitoring.BiasBaseline.fit(
            HISTORY,
            facet="gender",
            disadvantaged=["woman"],
            label="defaulted",
            predicted="prediction",
            metrics=("DPLL",),
        ),
        "did you mean",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_one_sentence(name: str) -> None:
    call, said = MISTAKES[name]
    with pytest.raises(sl.ParameterError) as caught:
        call()
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
