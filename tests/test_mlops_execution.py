"""Executions: times against theory, retries, cache, quotas, people, and money."""

import math
from datetime import UTC, datetime

import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import simlib as sl
from simlib import mlops, pricing
from simlib.mlops import Failure, Pipeline, ProcessingStep, RetryPolicy, TimedStep, TrainingStep
from simlib.parameters import ParameterError
from tests.test_mlops_pipeline import graphs, made_of, task, whole

CACHE = mlops.CacheConfig(expire_after="P30D")


# --- times -----------------------------------------------------------------------------------------------------------


def graham(machines, shorter=0, relaxed=False):
    """Graham (1969), figure 1: nine tasks, and what a list schedule makes of them."""
    seconds = dict(T1=3, T2=2, T3=2, T4=2, T5=4, T6=4, T7=4, T8=4, T9=9)
    needs = {"T9": ["T1"], **{name: ["T4"] for name in ("T5", "T6", "T7", "T8")}}
    if relaxed:
        del needs["T5"], needs["T6"]
    steps = [task(name, needs.get(name, ()), duration=each - shorter) for name, each in seconds.items()]
    return Pipeline("graham", steps=steps).run(max_parallel_steps=machines).makespan_s


def test_grahams_anomalies():
    assert [graham(3), graham(4), graham(3, shorter=1), graham(3, relaxed=True)] == [12, 15, 13, 16]


@given(graphs, st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_makespan_is_the_critical_path_the_work_or_between_grahams_bounds(drawn, places):
    pipeline = made_of(drawn)
    longest, work = pipeline.critical_path()[1], sum(drawn[0])
    free = pipeline.run()
    assert free.makespan_s == longest
    assert pipeline.run(max_parallel_steps=1).makespan_s == work
    some = pipeline.run(max_parallel_steps=places)
    low, high = max(longest, work / places), work / places + (1 - 1 / places) * longest
    assert low - 1e-9 <= some.makespan_s <= high + 1e-9
    for execution in (free, some):  # the chain it tells explains all of the time
        steps = execution.steps
        chain = list(execution.critical_path)
        assert sum(steps["end_s"][chain] - steps["start_s"][chain]) == pytest.approx(execution.makespan_s)


@given(graphs, st.integers(1, 5))
@settings(max_examples=30, deadline=None)
def test_random_durations_take_at_least_their_longest_chain_and_never_more_places_than_there_are(drawn, places):
    pipeline = made_of(drawn)
    laws = {f"s{k}": sl.gamma(mean=seconds, cv=0.7) for k, seconds in enumerate(drawn[0])}
    runs = [pipeline.run(sl.Simulation(seed=1), durations=laws, max_parallel_steps=n) for n in (None, places)]
    took = [(run.steps["end_s"] - run.steps["start_s"]).round(9).to_dict() for run in runs]
    assert took[0] == took[1]  # the same durations however many places
    exact = mlops.DurationModel(steps=(runs[0].steps["end_s"] - runs[0].steps["start_s"]).to_dict())
    fixed = pipeline.replace(steps=[task(s.name, s.depends_on, duration=None) for s in pipeline.steps])
    assert runs[0].makespan_s == pytest.approx(fixed.critical_path(exact)[1])
    starts, ends = runs[1].steps["start_s"].to_numpy(), runs[1].steps["end_s"].to_numpy()
    assert max(((starts <= t) & (ends > t)).sum() for t in starts) <= places


def test_the_expected_maximum_of_two_exponentials_is_one_and_a_half():
    pipeline = Pipeline("p", steps=[task(name, duration=sl.exponential(1.0)) for name in "ab"])
    sim = sl.Simulation(seed=7)
    spans = [pipeline.run(sim).makespan_s for _ in range(2000)]
    half = 2.58 * np.std(spans) / math.sqrt(len(spans))
    assert abs(np.mean(spans) - 1.5) < half
    assert pipeline.critical_path()[1] == 1.0  # E[max] is more than max E


def test_the_longest_chain_counts_rounds_of_a_loop():
    loop = mlops.ForEachStep("f", over=[1, 2, 3, 4, 5], max_parallel=2, steps=[task("a", duration=10)])
    pipeline = Pipeline("p", steps=[loop, task("b", "f")])
    assert pipeline.critical_path()[1] == 31.0
    execution = pipeline.run()
    assert execution.makespan_s == 31.0
    assert execution.critical_path[-1] == "b"
    assert len(execution.critical_path) == 4


# --- retries ---------------------------------------------------------------------------------------------------------


def test_expected_attempts_and_what_they_cost():
    p, n = 0.4, 4
    step = TrainingStep("t", duration=100, failures=[Failure(p)], retries=[RetryPolicy(interval_s=0, max_attempts=n)])
    sim, pipeline = sl.Simulation(seed=3), Pipeline("p", steps=[step])
    runs = [pipeline.run(sim) for _ in range(1500)]
    attempts = np.array([len(run.attempts) for run in runs])
    half = 2.58 * attempts.std() / math.sqrt(len(attempts))
    assert abs(attempts.mean() - (1 - p**n) / (1 - p)) < half
    failed = np.mean([run.status == "Failed" for run in runs])
    assert abs(failed - p**n) < 2.58 * math.sqrt(p**n * (1 - p**n) / len(runs))
    hour = pricing.price("sagemaker_training", "ml.m5.xlarge").usd
    assert all(run.usd == pytest.approx(len(run.attempts) * 100 / 3600 * hour) for run in runs[:50])


def test_waits_grow_by_the_backoff_rate():
    policy = RetryPolicy(interval_s=10, backoff_rate=3, max_attempts=4)
    step = TimedStep("t", duration=1, failures=[Failure(1.0)], retries=[policy])
    execution = Pipeline("p", steps=[step]).run()
    assert execution.attempts["begin_s"].tolist() == [0, 11, 42, 133]
    assert execution.status == "Failed"


def test_no_attempt_begins_after_the_expiry():
    policy = RetryPolicy(interval_s=60, backoff_rate=1, expire_after_min=5)
    step = TimedStep("t", duration=30, failures=[Failure(1.0)], retries=[policy])
    begins = Pipeline("p", steps=[step]).run().attempts["begin_s"]
    assert begins.tolist() == [0, 90, 180, 270]


def test_a_policy_covers_only_its_exceptions_and_the_service_retries_its_own():
    capacity = Failure(1.0, "SageMaker.CAPACITY_ERROR")
    other = [RetryPolicy(("SageMaker.JOB_INTERNAL_ERROR",), max_attempts=9)]
    assert len(Pipeline("p", steps=[TrainingStep("t", failures=[capacity], retries=other)]).run().attempts) == 1
    throttled = Pipeline("p", steps=[TrainingStep("t", failures=[Failure(1.0, "Step.THROTTLING")])]).run()
    assert len(throttled.attempts) == 5
    assert throttled.usd == 0.0  # nothing ran


def test_an_attempt_beyond_its_time_is_killed_and_paid_for_until_then():
    execution = Pipeline("p", steps=[TrainingStep("t", duration=1000, max_runtime_s=600)]).run()
    attempt = execution.attempts.iloc[0]
    assert (execution.status, attempt["exception"], attempt["billed_s"]) == ("Failed", "Simlib.TIMED_OUT", 600)


def test_an_assumed_duration_keeps_the_limit_of_the_file_and_a_tunings_limit_is_that_of_a_trial():
    assumed = Pipeline("p", steps=[TrainingStep("t", max_runtime_s=60)]).run()
    assert (assumed.status, assumed.attempts["billed_s"].tolist()) == ("Succeeded", [60.0])
    tune = mlops.TuningStep("t", duration=100, max_trials=4, max_parallel_trials=1, max_runtime_s=150)
    assert Pipeline("p", steps=[tune]).run().makespan_s == 400


# --- failing ---------------------------------------------------------------------------------------------------------


def failing(**more):
    steps = [
        TimedStep("bad", duration=5, failures=[Failure(1.0)]),
        task("long", duration=20),
        task("after", "bad"),
        task("apart", "long"),
        task("exit", "after", trigger="completed"),
    ]
    return Pipeline("p", steps=steps).run(**more)


def test_after_a_failure_three_ways():
    finish, go_on, stop = (failing(on_failure=how) for how in ("finish_running", "continue", "stop"))
    expected = {"bad": "Failed", "long": "Succeeded", "after": "Skipped", "apart": "NotStarted", "exit": "Succeeded"}
    assert finish.steps["status"].to_dict() == expected
    assert go_on.steps["status"].to_dict() == {**expected, "apart": "Succeeded"}
    assert stop.steps["status"].to_dict() == {**expected, "long": "Stopped", "apart": "Skipped"}
    assert (finish.status, go_on.status, stop.makespan_s) == ("Failed", "CompletedWithFailures", 6.0)


def test_stopping_pays_until_now():
    sim = sl.Simulation()
    execution = Pipeline("p", steps=[TrainingStep("t", duration=3600), task("b", "t")]).start(sim)
    sim.run(until_s=600)
    execution.stop()
    execution.finish()
    assert (execution.status, execution.attempts["billed_s"].tolist()) == ("Stopped", [600.0])
    assert execution.steps["status"].tolist() == ["Stopped", "Skipped"]


def test_a_fail_step_ends_the_execution():
    execution = whole().run(outcomes={"good": False})
    assert (execution.status, execution.steps.loc["fail", "reason"]) == ("Failed", "not good enough")
    assert execution.steps.loc["register", "status"] == "Skipped"


# --- conditions, real code, loops ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("auc", "taken"), [(0.9, "yes"), (0.7, "no")])
def test_real_python_decides_while_simulated_time_passes(auc, taken):
    from sklearn import linear_model as linear

    def prepare(rows):
        x = np.linspace(0, 1, rows).reshape(-1, 1)
        return {"data": (x, x[:, 0] > 0.5)}

    def train(data):
        return {"model": linear.LogisticRegression().fit(*data)}

    def evaluate(model, data):
        return {"evaluation": {"auc": auc, "accuracy": model.score(*data)}}

    first = ProcessingStep("prepare", inputs={"rows": mlops.Parameter("Rows", 50)}, run=prepare, duration=600)
    second = TrainingStep("train", inputs={"data": first.output("data")}, run=train, duration=3600)
    third = mlops.EvaluationStep(
        "evaluate", inputs={"model": second.output(), "data": first.output("data")}, run=evaluate, duration=60
    )
    good = mlops.ConditionStep(
        "good",
        conditions=[mlops.compare(third.metric("auc"), ">", 0.8)],
        if_steps=[task("yes")],
        else_steps=[task("no")],
    )
    pipeline = Pipeline("p", steps=[first, second, third, good], parameters=(mlops.Parameter("Rows", 50),))
    execution = pipeline.run()
    assert execution.steps.query("status == 'Skipped'").index.tolist() == [{"yes": "no", "no": "yes"}[taken]]
    assert execution.makespan_s == 600 + 3600 + 60 + 1


def test_code_that_raises_fails_its_step_with_the_reason():
    def broken():
        raise KeyError("income")

    execution = Pipeline("p", steps=[task("a", run=broken), task("b", "a")]).run()
    assert execution.steps["reason"].tolist() == ["KeyError: 'income'", "needs a, which failed"]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (mlops.compare(3, "in", [1, 2, 3]), True),
        (mlops.negated(mlops.compare(3, "==", 4)), True),
        (mlops.any_of([mlops.compare(1, ">", 2), mlops.compare(1, "<=", 1)]), True),
        (mlops.compare(1, "!=", 1), False),
    ],
)
def test_conditions(condition, expected):
    good = mlops.ConditionStep("c", conditions=[condition], if_steps=[task("yes")])
    status = Pipeline("p", steps=[good]).run().steps.loc["yes", "status"]
    assert status == ("Succeeded" if expected else "Skipped")


@pytest.mark.parametrize(
    "value",
    [
        mlops.LambdaStep("first").output("status"),
        {"Std:JsonGet": {"S3Uri": {"Std:Join": {"On": "/", "Values": [{"Get": "Steps.first.out"}]}}, "Path": "a.b"}},
    ],
)
def test_a_condition_on_what_only_real_code_makes_is_assumed_and_told(value):
    good = mlops.ConditionStep("c", conditions=[mlops.compare(value, "<", 3)], if_steps=[task("yes")])
    pipeline = Pipeline("p", steps=[mlops.LambdaStep("first"), good])
    execution = pipeline.run()
    assert execution.steps.loc["yes", "status"] == "Succeeded"
    assert "outcome of c" in execution.assumptions["parameter"].tolist()
    assert pipeline.run(outcomes={"c": False}).steps.loc["yes", "status"] == "Skipped"


def test_code_gets_addresses_of_what_no_code_made():
    first = ProcessingStep("first", outputs=("data",), duration=1)
    seen = []
    then = task("then", inputs={"data": first.output("data")}, run=lambda data: seen.append(data))
    Pipeline("p", steps=[first, then]).run()
    assert seen[0].startswith("s3://p/p-1/first/")


def test_rejoining_after_a_branch_never_runs():
    good = mlops.ConditionStep("c", if_steps=[task("yes")], else_steps=[task("no")])
    execution = Pipeline("p", steps=[good, task("both", ["yes", "no"])]).run()
    assert execution.steps.loc["both", "status"] == "Skipped"


def test_a_loop_over_what_a_step_makes():
    countries = task("countries", run=lambda: {"list": ["es", "fr", "de"]})
    seen = []
    inner = task("greet", inputs={"who": mlops.item()}, run=lambda who: seen.append(who))
    loop = mlops.ForEachStep("each", over=countries.output("list"), steps=[inner])
    execution = Pipeline("p", steps=[countries, loop]).run()
    assert seen == ["es", "fr", "de"]
    assert execution.makespan_s == 2.0


# --- parameters, selection -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"parameters": {"MinimumAUX": 1.0}}, "did you mean 'MinimumAUC'"),
        ({"parameters": {"MinimumAUC": "high"}}, "'high' is not of type Float"),
        ({"parameters": {"Machine": "ml.t3.small"}}, "should be one of"),
        ({"outcomes": {"goood": True}}, "did you mean 'good'"),
        ({"only": ["train"]}, "needs reuse="),
        ({"max_parallel_steps": 0}, "max_parallel_steps=0"),
        ({"quota": {"ml.m5.xlarge": 1}}, "a step needs 2 ml.m5.xlarge at once"),
        ({"max_paralel": 1}, "did you mean 'max_parallel_steps'"),
    ],
)
def test_wrong_options_are_told_in_one_sentence(options, sentence):
    with pytest.raises(ParameterError) as caught:
        whole().run(**options)
    assert sentence in str(caught.value)


def test_running_some_steps_again_takes_the_others_from_before():
    sim = sl.Simulation(seed=1)
    first = whole().run(sim)
    again = whole().run(sim, only=["train", "evaluate"], reuse=first)
    steps = again.steps
    assert steps.index[~steps["reused"] & (steps["status"] == "Succeeded")].tolist() == ["train", "evaluate"]
    assert steps.loc["train", "cached"]  # its input is what the first execution made
    assert steps.loc["prepare", "reused"]
    assert again.usd == pytest.approx(steps.loc[["train", "evaluate"], "usd"].sum())


def test_resuming_runs_what_did_not_succeed():
    fragile = task("fragile", "a", failures=[Failure(1.0)])
    first = Pipeline("p", steps=[task("a"), fragile, task("c", "fragile")]).run()
    mended = Pipeline("p", steps=[task("a"), task("fragile", "a"), task("c", "fragile")])
    again = mended.run(reuse=first)
    assert again.steps["attempts"].to_dict() == {"a": 0, "fragile": 1, "c": 1}
    assert again.status == "Succeeded"


# --- cache -----------------------------------------------------------------------------------------------------------


def cached(machine="ml.m5.xlarge", depth=5):
    prepare = ProcessingStep("prepare", outputs=("train",), instance_type=machine, cache=CACHE)
    train = TrainingStep(
        "train",
        inputs={"train": prepare.output("train")},
        hyperparameters={"depth": depth},
        instance_type=machine,
        cache=CACHE,
    )
    return Pipeline("cached", steps=[prepare, train])


def test_a_second_run_with_unchanged_inputs_costs_nothing():
    sim = sl.Simulation()
    first, second = cached().run(sim), cached().run(sim)
    assert first.usd > 0
    assert (second.usd, second.makespan_s, second.steps["cached"].tolist()) == (0.0, 0.0, [True, True])


def test_another_machine_is_still_a_hit_and_another_hyperparameter_is_not():
    sim = sl.Simulation()
    cached().run(sim)
    assert cached(machine="ml.m5.2xlarge").run(sim).steps["cached"].all()
    assert cached(depth=6).run(sim).steps["cached"].tolist() == [True, False]


def test_a_window_that_has_passed_is_no_hit_and_the_newest_run_counts():
    sim = sl.Simulation()
    cached().run(sim)
    sim.run(days=29)
    assert cached().run(sim).steps["cached"].all()
    sim.run(days=2)
    assert not cached().run(sim).steps["cached"].any()
    sim.run(days=29)
    assert cached().run(sim).steps["cached"].all()


def test_failed_runs_other_pipelines_and_twins_in_flight_are_no_hits():
    sim = sl.Simulation()
    twins = [cached().start(sim), cached().start(sim)]
    for twin in twins:
        twin.finish()
        assert not twin.steps["cached"].any()
    assert not Pipeline("other", steps=cached().steps).run(sim).steps["cached"].any()
    bad = TrainingStep("t", cache=CACHE, failures=[Failure(1.0)])
    Pipeline("bad", steps=[bad]).run(sim)
    assert not Pipeline("bad", steps=[TrainingStep("t", cache=CACHE)]).run(sim).steps["cached"].any()


@pytest.mark.parametrize(
    ("text", "days"),
    [("30d", 30), ("P30D", 30), ("p30d", 30), ("PT1H", 1 / 24), ("T12H", 0.5), ("P1W", 7), ("T16m", 16 / 1440)],
)
def test_windows_as_files_write_them(text, days):
    assert mlops.cache.window_s(text) == days * 86400


# --- machines and money ----------------------------------------------------------------------------------------------


def test_jobs_queue_for_the_accounts_machines_and_others_go_past():
    sim, quota = sl.Simulation(), mlops.Quota({"ml.p3.2xlarge": 2})
    gpu = [TrainingStep(f"g{k}", duration=100, instance_type="ml.p3.2xlarge", instance_count=2) for k in range(3)]
    other = TrainingStep("cpu", duration=10)
    pipeline = Pipeline("p", steps=[*gpu, other])
    one, two = pipeline.start(sim, quota=quota), pipeline.start(sim, quota=quota)
    one.finish(), two.finish()
    assert max(one.makespan_s, two.makespan_s) == 600
    assert one.steps.loc["cpu", "start_s"] == 0.0


def test_money_does_not_depend_on_places_and_the_bill_adds_up():
    runs = [whole().run(sl.Simulation(seed=4), max_parallel_steps=n) for n in (None, 1, 3)]
    assert runs[0].usd == pytest.approx(runs[1].usd) == pytest.approx(runs[2].usd)
    for run in runs:
        assert run.invoice.attrs["total"] == pytest.approx(run.usd) == pytest.approx(run.attempts["usd"].sum())


def test_a_tuning_runs_its_trials_side_by_side_and_bills_each():
    tune = mlops.TuningStep("t", duration=100.5, max_trials=5, max_parallel_trials=2)
    execution = Pipeline("p", steps=[tune]).run()
    assert execution.makespan_s == 301.5
    assert execution.attempts["billed_s"].tolist() == [505.0]  # each trial rounded up to the second
    hour = pricing.price("sagemaker_training", "ml.m5.xlarge").usd
    assert execution.usd == pytest.approx(505 / 3600 * hour)


def test_a_machine_without_a_price_is_told():
    execution = Pipeline("p", steps=[TrainingStep("t", instance_type="ml.z9.huge", duration=5)]).run()
    assert execution.usd == 0.0
    assert "price of ml.z9.huge" in execution.assumptions["parameter"].tolist()


def test_what_was_assumed_is_listed_and_what_was_said_is_not():
    said = Pipeline("p", steps=[TrainingStep("t", duration=5), TrainingStep("u")])
    assumed = said.run().assumptions["parameter"].tolist()
    assert "duration of u" in assumed
    assert "duration of t" not in assumed
    assert "duration of u" not in said.run(durations={"u": 7}).assumptions["parameter"].tolist()


def test_larger_machines_are_faster_by_the_models_exponent():
    model = mlops.DurationModel(
        work={"Training": 1000},
        launch=sl.constant(0),
        load=sl.constant(0),
        size_exponent=0.5,
        speed={"ml.p3.2xlarge": 8},
    )
    spans = [
        Pipeline("p", steps=[TrainingStep("t", instance_type=name)]).run(durations=model).makespan_s
        for name in ("ml.m5.xlarge", "ml.m5.4xlarge", "ml.p3.2xlarge")
    ]
    assert spans == [1000, 500, 125]


# --- people ----------------------------------------------------------------------------------------------------------

OFFICE = mlops.WorkingHours(9, 17, timezone="Europe/Madrid", holidays=["2026-03-09"])


def test_friday_evening_waits_for_the_first_working_day():
    friday = datetime(2026, 3, 6, 17, 30, tzinfo=UTC)  # 18:30 in Madrid
    assert OFFICE.after(friday, 3600).isoformat() == "2026-03-10T09:00:00+00:00"  # Monday is a holiday
    thursday = datetime(2026, 3, 5, 15, 30, tzinfo=UTC)  # 16:30: half an hour today, half an hour tomorrow
    assert OFFICE.after(thursday, 3600).isoformat() == "2026-03-06T08:30:00+00:00"


def test_summer_time_moves_the_office_in_utc():
    saturday = datetime(2026, 3, 28, 12, tzinfo=UTC)
    assert OFFICE.after(saturday, 0).isoformat() == "2026-03-30T07:00:00+00:00"


@given(st.floats(0, 14 * 86400), st.floats(0, 100_000))
@settings(max_examples=60, deadline=None)
def test_work_is_done_within_working_hours_only(arrives, work):
    begin = datetime(2026, 3, 1, tzinfo=UTC)
    moment = datetime.fromtimestamp(begin.timestamp() + arrives, UTC)
    done = OFFICE.after(moment, work)
    worked, day = 0.0, moment.date()
    while day <= done.date():
        if shift := OFFICE.shift(day):
            worked += max(0.0, (min(shift[1], done) - max(shift[0], moment)).total_seconds())
        day = datetime.fromordinal(day.toordinal() + 1).date()
    assert worked == pytest.approx(work, abs=1e-3)


def test_an_approval_waits_from_friday_to_monday_and_a_no_fails():
    person = mlops.Person("Ana", hours=mlops.WorkingHours(9, 17), response=sl.constant(1800))
    pipeline = Pipeline("p", steps=[mlops.ApprovalStep("ok", person=person), task("next", "ok")])
    execution = pipeline.run(sl.Simulation(start="2026-03-06T18:00Z"))
    assert execution.steps.loc["ok", "end_s"] == (3 * 24 - 9) * 3600 + 1800
    never = mlops.Person("Bo", says_yes=0.0)
    refused = Pipeline("p", steps=[mlops.ApprovalStep("ok", person=never), task("next", "ok")]).run()
    assert (refused.status, refused.steps.loc["ok", "reason"]) == ("Failed", "Bo said no")


def test_a_callback_is_answered_from_outside():
    ask = mlops.CallbackStep("ask", wait_for_answer=True)
    pipeline = Pipeline(
        "p", steps=[ask, task("next", "ask", inputs={"x": ask.output("x")}, run=lambda x: {"x": x + 1})]
    )
    sim = sl.Simulation()
    execution = pipeline.start(sim)
    sim.run(hours=1)
    with pytest.raises(ParameterError, match="'other' does not wait"):
        execution.send_success("other")
    execution.send_success("ask", x=41)
    execution.finish()
    assert execution.records[1].made == {"x": 42}
    refused = pipeline.start(sim)
    sim.run(hours=1)
    refused.send_failure("ask", "too risky")
    refused.finish()
    assert refused.steps.loc["ask", "reason"] == "too risky"
    with pytest.raises(ParameterError, match="ask waits for an answer that does not come"):
        pipeline.run()


# --- on the clock ----------------------------------------------------------------------------------------------------


def test_a_pipeline_starts_beside_others_on_one_clock():
    sim = sl.Simulation(start="2026-03-02T00:00Z")
    process = sim.start(Pipeline("p", steps=[task("a", duration=100)]))
    sim.run(hours=1)
    assert process.value.status == "Succeeded"
    assert [event.kind for event in sim.events_of("p")] == ["pipeline started", "step ended", "pipeline ended"]


def test_the_same_seed_gives_the_same_execution():
    frames = [whole().run(sl.Simulation(seed=5)).steps for _ in range(2)]
    assert frames[0].equals(frames[1])
    assert not frames[0].equals(whole().run(sl.Simulation(seed=6)).steps)


def test_pictures_and_reports():
    plt.switch_backend("Agg")
    sim = sl.Simulation()
    cached().run(sim)
    words = cached(depth=7).run(sim).gantt()
    assert "Cache hits: 1" in words
    assert "Critical path: prepare → train" in words
    assert "100 steps" not in Pipeline("many", steps=[task(f"s{k}") for k in range(100)]).run().gantt()
    report = whole().run(sl.Simulation(seed=1)).report()
    assert "duration of train" in report
    assert "outcome of good: it holds" in report
    plt.close("all")


@pytest.mark.slow
def test_ten_thousand_steps():
    n = 10_000
    steps = [
        {
            "Name": f"s{k}",
            "Type": "Processing",
            "Arguments": {"x": {"Get": f"Steps.s{(k * 7919) % k}.out"} if k else ""},
            "DependsOn": [f"s{k - 1}"] if k % 10 else [],
        }
        for k in range(n)
    ]
    plt.switch_backend("Agg")
    pipeline = mlops.read_definition({"Version": "2020-12-01", "Steps": steps})
    assert "10000 steps" in pipeline.draw()
    execution = pipeline.run(max_parallel_steps=100)
    assert (execution.steps["status"] == "Succeeded").all()
    assert sum(execution.steps["attempts"]) == n
    plt.close("all")


def test_what_an_answer_ends_has_no_duration_to_assume():
    ana = mlops.Person("Ana", hours=mlops.ALWAYS)
    asked = Pipeline("asked", steps=[mlops.ApprovalStep("ask", person=ana)]).run()
    assert asked.assumptions["parameter"].tolist() == ["response of Ana"]


def test_the_picture_of_many_steps_counts_those_at_the_same_time():
    chain = Pipeline("chain", steps=[task(f"s{k}", f"s{k - 1}" if k else ()) for k in range(50)])
    chain.run().gantt()  # one ends in the instant in which the next one starts: never two at once
    (line,) = plt.gcf().axes[0].lines
    assert line.get_ydata().tolist() == [1.0] * 50 + [0.0]
