"""The registry: what never changes, who may deploy what, and what a sudden stop leaves behind."""

import hashlib
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

import simlib as sl
from simlib import mlops
from simlib.mlops import Registry
from simlib.parameters import ParameterError

ROOT = Path(__file__).parents[1]


def filled(number=3, **more):
    registry = Registry(**more)
    for k in range(number):
        registry.register("churn", artifact=f"s3://models/{k}.tar.gz", metrics={"auc": 0.8 + k / 100}, by="pipeline")
    return registry


def test_a_version_keeps_what_it_was_registered_with(tmp_path):
    artifact = tmp_path / "model.tar.gz"
    artifact.write_bytes(b"weights")
    registry = Registry(tmp_path / "registry.db")
    made = registry.register(
        "churn",
        artifact=artifact,
        metrics={"auc": 0.9},
        training_parameters={"depth": 5},
        containers=[{"Image": "xgboost"}],
        lineage={"execution": "p-1"},
        metadata={"team": "growth"},
        by="Ana",
    )
    assert made.sha256 == hashlib.sha256(b"weights").hexdigest()
    assert (made.version, made.status, made.created_by) == (1, "PendingManualApproval", "Ana")
    again = Registry(tmp_path / "registry.db")  # another program
    assert again.version("churn", 1) == made
    assert again.register("churn", artifact="s3://x").version == 2
    assert again.groups() == ["churn"]
    assert registry.versions("churn")["auc"].iloc[0] == 0.9


@pytest.mark.parametrize("table", ["versions", "history", "deployments"])
def test_nothing_changes_in_the_file_whoever_opens_it(tmp_path, table):
    registry = filled(path=tmp_path / "r.db")
    registry.approve("churn", 1)
    registry.deploy("churn", endpoint="live")
    registry.close()
    stranger = sqlite3.connect(tmp_path / "r.db")
    for command in (f"DELETE FROM {table}", f"UPDATE {table} SET version = 9"):
        with pytest.raises(sqlite3.IntegrityError, match="never changes its"):
            stranger.execute(command)
    stranger.close()


def test_only_approved_versions_deploy_checked_when_deploying():
    registry = filled()
    with pytest.raises(ParameterError, match="churn has no Approved version"):
        registry.deploy("churn", endpoint="live")
    registry.approve("churn", 2, by="Ana", comment="bias checked")
    assert registry.deploy("churn", endpoint="live").version == 2
    registry.reopen("churn", 2, by="Bo")
    with pytest.raises(ParameterError, match="version 2 is PendingManualApproval; only Approved versions deploy"):
        registry.deploy("churn", 2, endpoint="live")
    assert registry.live("live").version == 2  # reopening stops nothing
    history = registry.history("churn", 2)
    assert history["after"].tolist() == ["PendingManualApproval", "Approved", "PendingManualApproval"]
    assert history["by"].tolist() == ["pipeline", "Ana", "Bo"]


def test_rejecting_what_is_live_redeploys_the_latest_approved():
    told = []
    registry = filled()
    registry.listen(told.append)
    registry.follow("churn", endpoint="live")
    for version in (1, 2):
        registry.approve("churn", version, by="Ana")
    assert registry.live("live").version == 2
    registry.reject("churn", 2, by="Bo", comment="unfair")
    assert registry.live("live").version == 1
    assert registry.deployments()["why"].tolist() == ["approved", "approved", "version 2 was rejected"]
    registry.reject("churn", 1)
    assert registry.live("live").version == 1  # there is nothing else, and somebody is told
    assert [event.kind for event in told[-2:]] == ["status", "nothing to deploy"]
    registry.reject("churn", 3)  # was not live: nothing happens
    assert told[-1].kind == "status"


def test_aliases_free_and_vertex():
    registry = filled()
    registry.set_alias("churn", "champion", 1)
    registry.set_alias("churn", "champion", 2)
    assert registry.version("churn", "champion").version == 2
    registry.drop_alias("churn", "champion")
    with pytest.raises(ParameterError, match="no alias 'champion'"):
        registry.version("churn", "champion")
    vertex = filled(aliases="vertex")
    assert vertex.version("churn", "default").version == 1
    vertex.set_alias("churn", "default", 3)
    assert [vertex.version("churn", k).aliases for k in (1, 3)] == [(), ("default",)]
    with pytest.raises(ParameterError, match="one version always has it"):
        vertex.drop_alias("churn", "default")
    with pytest.raises(ParameterError, match="small letters"):
        vertex.set_alias("churn", "Champion", 1)


@pytest.mark.parametrize(
    ("do", "sentence"),
    [
        (lambda r: r.version("chrn", 1), "did you mean 'churn'"),
        (lambda r: r.version("churn", 7), "has no version 7; its last one is 3"),
        (lambda r: r.approve("churn", 0), "version=0"),
        (lambda r: r.register("churn", artifact="x", status="Fine"), "status='Fine'"),
        (lambda r: r.register("churn", artifact="x", metrics={"auc": float("nan")}), "metrics="),
        (lambda r: r.register("churn", artifact="x", lineage={"f": object()}), "lineage="),
        (lambda r: r.set_alias("churn", "7", 1), "a number is a version"),
        (lambda r: Registry("/nowhere/registry.db"), "cannot be used as a registry"),
    ],
)
def test_mistakes_are_one_sentence_and_change_nothing(do, sentence):
    registry = filled()
    with pytest.raises(ParameterError) as caught:
        do(registry)
    assert sentence in str(caught.value)
    assert len(registry.versions("churn")) == 3


def test_several_threads_and_several_registries_on_one_file(tmp_path):
    path = tmp_path / "r.db"
    shared, numbers = Registry(path), []

    def work(registry):
        for _ in range(10):
            numbers.append(registry.register("g", artifact="x").version)

    threads = [threading.Thread(target=work, args=(each,)) for each in (shared, shared, Registry(path), Registry(path))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(numbers) == list(range(1, 41))


WRITER = """
import sys
from simlib.mlops.registry import Registry
registry = Registry(sys.argv[1])
while True:
    made = registry.register("g", artifact="s3://x", metrics={"a": [1.0] * 200}, lineage={"b": "c" * 4000})
    print(made.version, flush=True)
"""


@pytest.mark.slow
def test_a_sudden_stop_in_the_middle_loses_nothing(tmp_path):
    """Kill a program that registers as fast as it can, a hundred times, each time at another moment."""
    path, rng, told = tmp_path / "r.db", random.Random(7), []
    for _ in range(5):  # programs; each start takes a second, so kills of the writing itself come from forked children
        told += _killed(path, rng, 20)
    registry = Registry(path)
    assert registry._read("PRAGMA integrity_check") == [("ok",)]
    versions = registry.versions("g").index.tolist()
    assert versions == list(range(1, len(versions) + 1))
    assert set(told) <= set(versions)
    assert len(told) == len(set(told))  # no number was given twice
    history = registry.history("g")
    assert sorted(history["version"]) == versions  # each version whole: with its history
    assert all(len(registry.version("g", k).lineage["b"]) == 4000 for k in versions)
    assert registry.register("g", artifact="x").version == len(versions) + 1


FORKS = """
import os, sys, time
from simlib.mlops.registry import Registry
path, count = sys.argv[1], int(sys.argv[2])
for _ in range(count):
    child = os.fork()
    if child == 0:
        registry = Registry(path)
        while True:
            made = registry.register("g", artifact="s3://x", metrics={"a": [1.0] * 200}, lineage={"b": "c" * 4000})
            os.write(1, f"{made.version}\\n".encode())
    line = sys.stdin.readline()  # how long this one may live
    time.sleep(float(line))
    os.kill(child, 9)
    os.waitpid(child, 0)
"""


def _killed(path, rng, count):
    program = [sys.executable, "-c", FORKS, str(path), str(count)]
    lives = "".join(f"{rng.uniform(0.01, 0.08)}\n" for _ in range(count))
    done = subprocess.run(program, cwd=ROOT, input=lives, capture_output=True, text=True, timeout=120, check=True)
    return [int(line) for line in done.stdout.split()]


def test_a_program_killed_while_it_registers(tmp_path):
    program = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path / "r.db")], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    told = [int(program.stdout.readline()) for _ in range(5)]
    time.sleep(0.02)
    program.send_signal(signal.SIGKILL)
    told += [int(line) for line in program.stdout.read().split()]
    program.wait()
    program.stdout.close()
    assert told == list(range(1, len(told) + 1))
    assert len(Registry(tmp_path / "r.db").versions("g")) in (len(told), len(told) + 1)


class AnyOrder(RuleBasedStateMachine):
    """Any sequence of commands keeps the rules."""

    def __init__(self):
        super().__init__()
        self.registry, self.count, self.rows = Registry(aliases="vertex"), 0, 0
        self.registry.follow("g", endpoint="followed")

    @rule(status=st.sampled_from(["PendingManualApproval", "Approved", "Rejected"]))
    def register(self, status):
        self.count += 1
        assert self.registry.register("g", artifact="x", status=status).version == self.count

    @rule(pick=st.integers(0, 5), what=st.sampled_from(["approve", "reject", "reopen"]))
    def decide(self, pick, what):
        if self.count:
            getattr(self.registry, what)("g", 1 + pick % self.count)

    @rule(pick=st.integers(0, 5))
    def deploy(self, pick):
        if self.count:
            version = 1 + pick % self.count
            approved = self.registry.status("g", version) == "Approved"
            try:
                self.registry.deploy("g", version, endpoint="live")
            except ParameterError:
                assert not approved
            else:
                assert approved

    @invariant()
    def history_only_grows_and_one_version_is_the_default(self):
        if self.count:
            rows = len(self.registry.history("g"))
            assert rows >= self.rows
            self.rows = rows
            assert self.registry.version("g", "default").version <= self.count

    @rule(pick=st.integers(0, 5))
    def reject_what_may_be_live(self, pick):
        if self.count:
            version = 1 + pick % self.count
            live = {each: self.registry.live(each) for each in ("live", "followed")}
            places = [each for each, what in live.items() if what is not None and what.version == version]
            changes = self.registry.status("g", version) != "Rejected"
            self.registry.reject("g", version)
            newest = self.registry.latest_approved("g")
            if changes and newest is not None:
                assert all(self.registry.live(each) == newest for each in places)


AnyOrder.TestCase.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
test_any_order = AnyOrder.TestCase


def test_a_pipeline_registers_a_person_approves_and_only_then_it_deploys():
    def evaluate():
        return {"evaluation": {"auc": 0.93}}

    train = mlops.TrainingStep("train", hyperparameters={"depth": 5}, duration=60)
    check = mlops.EvaluationStep("check", inputs={}, depends_on=train, run=evaluate, duration=5)
    metrics = {"auc": check.metric("auc")}
    register = mlops.RegisterModelStep("register", group="churn", inputs={"model": train.output()}, metrics=metrics)
    person = mlops.Person("Ana", hours=mlops.ALWAYS, response=sl.constant(3600))
    approve = mlops.ApprovalStep("approve", register=register, person=person)
    deploy = mlops.EndpointStep("deploy", endpoint="live", group="churn", depends_on=approve)
    pipeline = mlops.Pipeline("release", steps=[train, check, register, approve, deploy])
    registry = Registry()
    execution = pipeline.run(sl.Simulation(start="2026-03-02T09:00Z"), registry=registry)
    assert execution.status == "Succeeded"
    live = registry.live("live")
    assert (live.version, live.metrics, live.training_parameters) == (1, {"auc": 0.93}, {"train": {"depth": 5}})
    assert live.lineage["steps"]["train"] == "release-1"
    assert registry.history("churn")["at"].iloc[1].startswith("2026-03-02T10:01")
    at_once = mlops.EndpointStep("deploy", endpoint="live", group="new", depends_on="register")
    early = mlops.Pipeline("early", steps=[train, mlops.RegisterModelStep("register", group="new"), at_once])
    refused = early.run(registry=registry)
    assert "new has no Approved version" in refused.steps.loc["deploy", "reason"]
