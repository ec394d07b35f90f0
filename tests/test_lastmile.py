"""The last mile on one clock: the loop repairs what it can, tells the truth, and accounts for every dollar."""

import itertools
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy.stats import binom

import simlib as sl
from simlib import lastmile, mlops
from simlib.lastmile import scoreboard
from simlib.lastmile.accounts import Accounts, wrong_usd
from simlib.lastmile.loop import Loop
from simlib.lastmile.loop import lived as loop_of
from simlib.lastmile.policy import working_hours
from simlib.lastmile.report import found_in, numbers_in, page
from simlib.lastmile.training import GROUP
from simlib.monitoring import ConceptDrift
from simlib.monitoring.streams import DAY_S
from simlib.parameters import ParameterError

Policy = lastmile.Policy
QUICK = Policy(capture_percent=3.0, window_hours=24.0, training_days=3.0, wait_days=1.0, bake_minutes=30.0)


def world(days: int = 14, **more) -> lastmile.World:
    """A month's world in little: few requests, each of which stands for ten."""
    drifts = more.pop("drifts", (ConceptDrift(rotate_degrees=60.0, at_day=5.0),))
    return lastmile.World(**{"days": days, "thinning": 10, "drifts": drifts, "history_rows": 8_000} | more)


def lived(policy: Policy, where: lastmile.World, faults=(), seed: int = 7) -> Loop:
    """A loop at the end of its story."""
    return loop_of(policy, where, faults, seed, 0)


# --- policies and worlds are data -------------------------------------------------------------------------------------


def test_policies_worlds_and_faults_are_data():
    for value in (QUICK, lastmile.team(), lastmile.BrokenFeature(at_day=3.0), lastmile.FlashCrowd()):
        assert sl.from_json(sl.to_json(value)) == value


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"capture_percent": 30.0}, "capture_percent=30.0 is not possible"),
        ({"approval_to_hour": 8.0}, "approval_to_hour=8 should be after"),
        ({"rollout": "linear", "canary_percent": 10.0, "bake_minutes": 60.0}, "bake_minutes=60 is not possible"),
        ({"monitor_evry_hours": 3}, "did you mean 'monitor_every_hours'"),
        ({"retrain_on": ["weather"]}, "retrain_on"),
    ],
)
def test_a_wrong_policy_is_one_sentence(fields, words):
    with pytest.raises(ParameterError, match=words.replace("(", r"\(")):
        lastmile.policy_from(fields)


def test_a_wrong_fault_is_one_sentence():
    with pytest.raises(ParameterError, match="is no fault"):
        lastmile.run(QUICK, world(2), faults=[Policy()])
    with pytest.raises(ParameterError, match="each kind of fault can be there once"):
        lastmile.run(QUICK, world(2), faults=[lastmile.LabelOutage(), lastmile.LabelOutage()])


# --- same seed, same bytes --------------------------------------------------------------------------------------------


def test_same_seed_same_bytes_and_another_seed_another_story():
    first, again, other = (lastmile.run(QUICK, world(6), seed=seed) for seed in (3, 3, 4))
    assert first.timeline.equals(again.timeline)
    assert first.story == again.story
    assert first.figures == again.figures
    assert first.ledger.frame.equals(again.ledger.frame)
    assert not first.timeline.equals(other.timeline)


def test_who_watches_changes_no_customer():
    """Looks of another monitor, hourly or never, give the same captured rows while one version serves."""
    frames = []
    for every in (None, 24, 3):
        loop = lived(replace(QUICK, monitor_every_hours=every, retrain="never"), world(2))
        frames.append(loop.sample.rows(0.0, np.inf))
    for frame in frames[1:]:
        # the last bit of a score depends on how many rows a model is asked at once
        assert frame.drop(columns="score").equals(frames[0].drop(columns="score"))
        assert np.allclose(frame["score"], frames[0]["score"], rtol=0, atol=1e-12)


def test_captured_rows_are_the_stated_share_of_the_answers():
    loop = lived(replace(QUICK, capture_percent=2.0, monitor_every_hours=None), world(4))
    loop.sample.advance()
    answered, percent, kept = int(loop.endpoint.run.summary()["completed"]), loop.sample.percent, loop.sample.kept
    assert percent == 20.0
    assert binom.ppf(0.0005, answered, percent / 100) <= kept <= binom.ppf(0.9995, answered, percent / 100)


# --- alarms -----------------------------------------------------------------------------------------------------------


def test_no_drift_and_a_perfect_monitor_raise_no_alarm_above_the_stated_rate():
    """Labels come at once, nothing changes: each look rings at most so often as `false_alarms` says."""
    level = 0.05
    policy = Policy(
        capture_percent=3.0, monitor_every_hours=6, window_hours=6.0, loss_margin=0.0, false_alarms=level,
        retrain="never",
    )  # fmt: skip
    calm = world(8, history_rows=4_000, drifts=(), label_delay_days=0.0, label_spread_days=0.0)
    shares = []
    for seed in range(8):
        loop = lived(policy, replace(calm, history_seed=seed), seed=seed)
        runs = loop.monitors["quality"].executions
        looked = runs[runs["status"] != "Failed"]
        assert len(looked) >= 28
        shares.append(float((looked["violations"] > 0).mean()))
        assert not (loop.monitors["data"].executions["violations"] > 0).any()
    # windows of one run share a baseline, and each run has another one, so runs are what is independent: one-sided
    # 99.9 %, by the t law with n = 8
    assert np.mean(shares) - 4.785 * np.std(shares, ddof=1) / np.sqrt(len(shares)) <= level
    assert np.mean(shares) > 0, "a monitor that never rings at 5 % is not looking"


def test_a_sudden_drift_is_repaired_on_what_was_known_by_then():
    loop = lived(QUICK, world(16))
    found = loop.outcome()
    loss = found.timeline["loss_usd"]
    never = lived(replace(QUICK, retrain="never"), world(16)).outcome()
    before, broken = loss[:5].mean(), never.timeline["loss_usd"][6:].mean()
    live = [each.day for each in found.story if each.kind == "live"]
    assert len(live) >= 2
    assert 5.0 < live[1] < 12.0
    repaired = loss[13:].mean()
    assert broken > 1.3 * before, "there was something to repair"
    assert repaired < before + 0.5 * (broken - before)
    for number, version in loop.versions.items():
        if number > 1:
            assert (version.trained_on["label_s"] <= version.trained_at_s).all()
            assert (version.trained_on["time_s"] >= version.trained_at_s - (3 + 4) * DAY_S).all()


# --- money ------------------------------------------------------------------------------------------------------------


def test_money_adds_up_to_the_lines_and_the_lines_to_the_invoice():
    loop = lived(QUICK, world())
    found = loop.outcome()
    frame = found.ledger.frame
    estimated = frame["category"] == "wrong decisions"
    assert np.allclose((frame["quantity"] * frame["unit_price"])[~estimated], frame["subtotal"][~estimated])
    assert found.usd == pytest.approx(frame["subtotal"].sum(), rel=1e-12)
    assert found.ledger.daily.to_numpy().sum() == pytest.approx(found.usd, rel=1e-12)
    assert found.figures["usd"] == found.usd
    # the cloud's own bill: the endpoint's invoice has serving and monitoring, each execution its own
    bill = loop.endpoint.run.invoice
    processed = bill["item"].isin(["Data in", "Data out"])
    cloud = bill["subtotal"][~processed].sum() + loop.world.thinning * bill["subtotal"][processed].sum()
    mine = found.ledger.by_category
    assert mine["serving"] + mine["monitoring"] == pytest.approx(cloud, rel=1e-9)
    assert mine["training"] == pytest.approx(sum(each.usd for each in loop.executions), rel=1e-9)
    assert mine["people"] == pytest.approx(len(loop.reviews) * loop.world.review_usd)


def test_the_interval_of_wrong_decisions_holds_the_truth():
    """Of 400 samples of rows whose cost is known, 95 % of the intervals hold it: binomial, 99.9 % limits."""
    where = world(5, drifts=())
    loop = lived(Policy(capture_percent=10.0, monitor_every_hours=None, retrain="never"), where)
    rows = loop.sample.rows(0.0, np.inf)  # the whole population: here every request was captured
    assert loop.sample.percent == 100.0
    everyone = Accounts(where)
    everyone.take(rows)
    answered, truth = everyone.found.rows[:5], float(everyone.found.cost.sum())
    rng, held = np.random.default_rng(5), 0
    for _ in range(400):
        some = Accounts(where)
        some.take(rows[rng.random(len(rows)) < 0.05])
        usd, error = wrong_usd(some.daily(), answered)
        held += abs(usd.sum() - truth) <= 1.96 * error
    assert binom.ppf(0.0005, 400, 0.95) <= held <= binom.ppf(0.9995, 400, 0.95)
    assert wrong_usd(everyone.daily(), answered) == (pytest.approx(everyone.found.cost[:5]), pytest.approx(0.0))


# --- faults, alone and in pairs ---------------------------------------------------------------------------------------

FAULTS = {
    "bad": lastmile.BadVersion(),
    "feature": lastmile.BrokenFeature(at_day=3.0),
    "approval": lastmile.SlowApproval(at_day=6.0, days=4),
    "shortage": lastmile.CapacityShortage(at_day=6.0, days=3.0),
    "crowd": lastmile.FlashCrowd(times=6.0),
    "labels": lastmile.LabelOutage(at_day=4.0, days=4.0),
}
SETS = [*((name,) for name in FAULTS), *itertools.combinations(FAULTS, 2)]


@cache
def with_faults(names: tuple[str, ...]) -> tuple[Loop, lastmile.Outcome]:
    """The loop with these faults, and what came of it."""
    loop = lived(QUICK, world(), [FAULTS[name] for name in names])
    return loop, loop.outcome()


@pytest.mark.parametrize("names", SETS, ids="+".join)
def test_with_faults_the_run_ends_and_its_story_is_the_true_one(names):
    loop, found = with_faults(names)
    assert found.days == 14
    assert found.ledger.daily.to_numpy().sum() == pytest.approx(found.usd, rel=1e-12)
    loop.endpoint.run.check()
    kinds = [each.kind for each in found.story]
    said = {each.words.partition(" ")[0] for each in found.story}
    assert said, names
    # which versions serve: the story, the registry, and what requests met
    told = [int(each.words.split()[1]) for each in found.story if each.kind == "live"]
    assert told == found.versions == loop.registry.deployments()["version"].tolist()
    met = set(loop.sample.rows(0.0, np.inf)["version"].unique())
    assert met <= set(loop.sample.models)
    assert loop.sample.live == told[-1] == loop.registry.live(loop.endpoint.name).version
    # every rollout that was told began, and ended as told
    updates = [each for each in loop.endpoint.sim.events_of(loop.endpoint.name) if each.kind == "update"]
    assert kinds.count("rollout") == sum(each.detail.startswith("started") for each in updates)
    taken_back = [each for each in found.story if each.kind == "rolled back"]
    assert len(taken_back) == found.figures["rollbacks"]
    for each in taken_back:
        number = int(each.words.split()[1].rstrip(":"))
        assert number not in told
        assert loop.registry.status(GROUP, number) == "Rejected"
    # people answered when they were there
    for each in found.story:
        if each.kind == "approved":
            at = loop.sim.date(each.day * DAY_S)
            hours = loop._approver().hours
            begin, end = hours.shift(at.date())
            assert begin <= at <= end
    _fault_by_fault(names, loop, found)


def _fault_by_fault(names, loop, found):
    story = found.story
    if "bad" in names:
        slow = [each for each in story if each.kind == "rollout" and each.words.startswith("version 2 ")]
        if slow and loop.sim.env.now / DAY_S - slow[0].day > 0.5:
            assert 2 not in found.versions, "a slow version is taken back"
    if "feature" in names:
        rang = [each.day for each in story if each.kind == "alarm" and "data" in each.words]
        repaired = [each.day for each in story if each.kind == "repaired" and "debt_ratio" in each.words]
        assert rang
        assert repaired
        assert 3.0 <= rang[0] < repaired[0]
        broken = loop.sample.rows(0.0, np.inf)
        share = broken[(broken["time_s"] >= 3 * DAY_S) & (broken["time_s"] < repaired[0] * DAY_S)]["debt_ratio"]
        after = broken[broken["time_s"] >= repaired[0] * DAY_S]["debt_ratio"]
        assert (share > 1).mean() > 0.99
        assert (after <= 1).all()
    if "approval" in names:
        assert not any(each.kind == "approved" and 6.0 <= each.day < 10.0 for each in story)
    if "shortage" in names:
        short = (6 * DAY_S, 9 * DAY_S)
        assert not any(short[0] <= each.machine_up_s < short[1] for each in loop.endpoint.instances)
    if "crowd" in names:
        began = [each.day for each in story if each.kind == "fault" and "crowd" in each.words]
        rollouts = [each.day for each in story if each.kind == "rollout"]
        assert began == ([pytest.approx(rollouts[0])] if rollouts else [10.0])
        day = int(began[0])
        usual = found.timeline["requests"].drop(day).median()
        assert found.timeline["requests"][day] > usual + 0.8 * 6.0 * 2 * 3600
    if "labels" in names:
        rows = loop.sample.rows(0.0, np.inf)
        assert not rows["label_s"].between(4 * DAY_S, 8 * DAY_S, inclusive="left").any()
        runs = loop.monitors["quality"].executions
        dark = runs[(runs["scheduled_s"] >= 6.6 * DAY_S) & (runs["scheduled_s"] < 8 * DAY_S)]
        assert (dark["status"] == "Failed").all()


def test_a_skewed_version_answers_in_time_and_is_worth_nothing():
    """No alarm on latency sees it: it goes live, and the quality alarm takes it on."""
    faults = [lastmile.BadVersion(flaw="wrong")]
    loop = lived(QUICK, world(16), faults)
    found = loop.outcome()
    assert 2 in found.versions
    assert found.figures["rollbacks"] == 0
    told = next(each for each in found.story if each.kind == "live" and each.words.startswith("version 2"))
    rows = loop.sample.rows((told.day + 0.1) * DAY_S, (told.day + 1.5) * DAY_S)
    declined = rows["prediction"].groupby(rows["version"]).mean()
    assert declined[2] < 0.02 or declined[2] > 0.98, "it says the same to everybody"
    later = [each for each in found.story if each.kind == "alarm" and "quality" in each.words and each.day > told.day]
    assert later


# --- the approval that waits ------------------------------------------------------------------------------------------


def test_a_friday_evening_question_waits_for_monday():
    office = working_hours(9, 17, "Europe/Madrid", ())
    ana = mlops.Person("Ana", hours=office, response=sl.constant(600))
    friday = sl.Simulation(start="2026-01-09T17:30Z").date()
    assert ana.answers_at(friday, lambda law: law.mean).isoformat() == "2026-01-12T08:10:00+00:00"


# --- policies against each other --------------------------------------------------------------------------------------


def test_policies_meet_the_same_customers_and_the_cheapest_keeps_the_limits():
    policies = {"never": replace(QUICK, retrain="never"), "same": replace(QUICK, retrain="never"), "loop": QUICK}
    table = lastmile.compare(policies, world(12), replications=2, seed=3)
    assert table.loc["same", "more_usd"] == 0
    assert table.loc["never", "more_usd"] == 0
    assert table.loc["loop", "more_usd"] < 0
    best = lastmile.cheapest(table, keeps=0.5)
    assert best is None or table.loc[best, "usd"] == table[table["keeps"] >= 0.5]["usd"].min()
    assert lastmile.cheapest(table.assign(keeps=0.0)) is None


def test_sensitivity_changes_one_knob_at_a_time():
    table = lastmile.sensitivity(
        QUICK, world(6), knobs={"target": (50.0, 70.0), "retrain": ("never",)}, replications=2, seed=3, how="whole"
    )
    assert table.index.tolist() == [("target", "50.0"), ("retrain", "never")]
    with pytest.raises(ParameterError, match="did you mean 'target'"):
        lastmile.sensitivity(QUICK, world(2), knobs={"targt": (1.0,)})


# --- the cockpit and the scoreboard -----------------------------------------------------------------------------------


def test_the_cockpit_tells_what_the_run_without_short_cuts_tells():
    """Money and quality of one short world, both ways: serving within 3 %, decisions within their 99.9 % intervals."""
    where = replace(world(6, drifts=()), thinning=1, mean_rate=0.5)
    policy = replace(QUICK, retrain="never", target=40.0)
    whole, quick = lastmile.run(policy, where, seed=5), lastmile.compute(policy, where, seed=5)
    assert quick.figures["serving usd"] == pytest.approx(whole.figures["serving usd"], rel=0.03)
    assert quick.figures["p99_s"] == pytest.approx(whole.figures["p99_s"], rel=0.05)
    assert quick.figures["captured"] == pytest.approx(whole.figures["captured"], rel=0.05)
    per_answer = [each.figures["wrong decisions usd"] / each.figures["requests"] for each in (whole, quick)]
    error = (whole.figures["usd_high"] - whole.figures["usd"]) / 1.96 / whole.figures["requests"]
    assert abs(per_answer[0] - per_answer[1]) < 3.29 * np.sqrt(2) * error
    assert quick.ledger.daily.to_numpy().sum() == pytest.approx(quick.usd, rel=1e-12)


def test_a_score_is_a_pure_function_of_policy_and_seeds():
    good = lastmile.score(scoreboard.REFERENCE, seeds=[4])
    assert good.points == pytest.approx(100.0 - scoreboard.LOST_A_LIMIT * bool(good.runs["broken"].iloc[0]))
    bad = lastmile.score({"monitor_every_hours": None, "retrain": "never"}, seeds=[4])
    assert bad.points == 0.0
    assert lastmile.score(scoreboard.REFERENCE, seeds=[4]).runs.equals(good.runs)
    with pytest.raises(ParameterError, match="should be a dict of a Policy's fields"):
        lastmile.score([1, 2])
    with pytest.raises(ParameterError, match="at least one seed"):
        lastmile.score({}, seeds=[])


# --- the report, the picture, the command -----------------------------------------------------------------------------


def test_every_number_on_the_report_is_found_again_in_the_run(tmp_path):
    _, found = with_faults(("bad", "labels"))
    text = found.save_report(tmp_path / "report.html").read_text(encoding="utf-8")
    numbers = list(numbers_in(text))
    assert len(numbers) > 60
    for where, value in numbers:
        assert value == found_in(found, where) or np.isnan(value), where
    assert text.count("<script") == 0
    assert page(found) == text


def test_the_picture_says_what_the_timeline_says():
    import matplotlib.pyplot as plt

    _, found = with_faults(("bad", "labels"))
    words = " ".join(found.plot().split())
    worst = found.timeline["loss_usd"].idxmax()
    assert f"dearest on day {worst}" in words
    for each in found.story:
        if each.kind in ("world", "fault", "rolled back"):
            assert " ".join(each.words.split()) in words
    plt.close("all")


def test_the_command_runs_the_loop_and_writes_the_report(tmp_path, capsys):
    from simlib.__main__ import main

    policy = tmp_path / "policy.json"
    policy.write_text('{"retrain": "never", "monitor_every_hours": 24}', encoding="utf-8")
    report = tmp_path / "report.html"
    arguments = ["last-mile", "--days", "2", "--rate", "0.2", "--policy", str(policy), "--report", str(report)]
    assert main(arguments) == 0
    told = capsys.readouterr().out
    assert "version 1 serves" in told
    assert "total" in told
    assert report.exists()
    assert main(arguments) == 2
    assert "that file exists" in capsys.readouterr().err
    policy.write_text("{", encoding="utf-8")
    assert main(["last-mile", "--policy", str(policy)]) == 2
    assert "is not JSON" in capsys.readouterr().err
