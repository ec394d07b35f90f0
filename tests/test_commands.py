"""`simlib compare` and `simlib validate`, as somebody at a terminal meets them."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import simlib as sl
from simlib import serving, workload
from simlib.__main__ import main
from simlib.commands import compare, validate

ROOT = Path(__file__).parents[1]
N = 3000


@pytest.fixture(scope="module")
def log(tmp_path_factory) -> Path:
    """Half an hour of requests, 1.7 a second, with work columns; ISO times, rows not in order."""
    rng = np.random.default_rng(1)
    seconds = np.sort(rng.uniform(0, 1800, N))
    frame = pd.DataFrame(
        {
            "TIMESTAMP": (pd.Timestamp("2023-11-16 18:15:46") + pd.to_timedelta(seconds, unit="s")).astype(str),
            "seconds": seconds,
            "In": rng.integers(10, 2000, N),
            "Out": rng.integers(1, 400, N),
        }
    )
    path = tmp_path_factory.mktemp("log") / "requests.csv"
    frame.sample(frac=1, random_state=2).to_csv(path, index=False)
    return path


def said(capsys, *arguments: object) -> str:
    """What a command prints when all is well."""
    assert main([str(each) for each in arguments]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


def rows(text: str) -> list[list[str]]:
    """The cells of the table."""
    lines = text.splitlines()
    first = next(n for n, line in enumerate(lines) if line.lstrip().startswith("instances  "))
    last = lines.index("", first)
    return [re.split(r"\s{2,}", line.strip()) for line in lines[first:last]]


def number(cell: str) -> float:
    return float(cell.replace(",", "").removesuffix(" %"))


MEAN = ("--time", "TIMESTAMP", "--service-mean", 0.8, "--service-cv", 0.5)
TOKENS = ("--time", "TIMESTAMP", "--base-s", 0.05, "--s-per-unit", "In=0.0002,Out=0.004")


# --- compare --------------------------------------------------------------------------------------------------------


def test_the_table_is_aligned_and_says_what_it_should(log, capsys):
    text = said(capsys, "compare", "--trace", log, *MEAN)
    head, *body = rows(text)
    names = ["instances", "requests", "p50 s", "p95 s", "p99 s", "±", "errors", "busy", "$ for the log", "$ a month"]
    assert head == names
    assert [row[0] for row in body] == ["1", "2", "4"]
    assert {row[1] for row in body} == {"3,000"}
    table = [line for line in text.splitlines() if re.match(r"\s*(instances|[124]) ", line)]
    assert len({len(line) for line in table}) == 1
    assert number(body[0][6]) > number(body[1][6]) >= number(body[2][6])  # errors fall with more instances
    assert number(body[2][8]) == pytest.approx(4 * number(body[0][8]), rel=2e-3)
    assert "requests in 30 min" in text or "requests in 29." in text
    assert "0.115 $/instance-hour" in text
    assert re.search(r"\d{4}-\d{2}-\d{2}", text)
    assert "cancel_on_timeout" in text
    assert max(map(len, text.splitlines())) <= 200


def test_the_figures_are_those_of_the_library(log, capsys):
    """One replication, followed to its last answer, by the library's own parts."""
    arguments = ("--replications", 1, "--instances", 2, "--workers", 2, "--seed", 5, "--timeout", 20)
    row = rows(said(capsys, "compare", "--trace", log, *TOKENS, *arguments))[1]
    calls = workload.from_trace(log, time="TIMESTAMP", work=["In", "Out"])
    model = sl.ModelProfile("model", sl.per_unit(0.05, {"In": 0.0002, "Out": 0.004}))
    deployment = serving.RealTime(model, initial_instance_count=2, workers=2, invocation_timeout_s=20)
    run = sl.simulate(deployment, calls, hours=2000 / 3600, seed=5)
    figures = run.summary()
    assert figures["requests"] == number(row[1]) == N
    for cell, name in ((2, "p50_s"), (3, "p95_s"), (4, "p99_s")):
        assert number(row[cell]) == pytest.approx(figures[name], rel=1e-3)
    assert row[5] == "–"  # one replication has no interval
    assert number(row[6]) == pytest.approx(100 * figures["error_rate"], abs=0.006)
    span = run.requests["arrival_s"].max()
    month = 2 * 730 * (0.115 + 30 * 0.14 / 730)
    assert number(row[8]) == pytest.approx(month * span / 3600 / 730, rel=5e-3)
    assert number(row[9]) == pytest.approx(month, rel=5e-3)


def test_numbers_of_seconds_and_iso_times_are_the_same(log, capsys):
    one = said(capsys, "compare", "--trace", log, *TOKENS)
    other = said(capsys, "compare", "--trace", log, "--time", "seconds", *TOKENS[2:])
    assert rows(one) == rows(other)


def test_the_same_seed_prints_the_same(log, capsys):
    one, same, other = (said(capsys, "compare", "--trace", log, *MEAN, "--seed", seed) for seed in (1, 1, 2))
    assert one == same != other


def test_more_replications_know_p99_better(log, capsys):
    widths = [
        number(rows(said(capsys, "compare", "--trace", log, *MEAN, "--instances", 4, "--replications", n))[1][5])
        for n in (3, 30)
    ]
    assert widths[1] < widths[0]


def test_the_cheapest_that_keeps_the_limit(log, capsys):
    def ask(limit: float) -> str:
        return said(capsys, "compare", "--trace", log, *MEAN, "--instances", "1,2,4,8", "--max-p99", limit)

    table = {row[0]: row for row in rows(ask(3))[1:]}
    assert "Cheapest that keeps p99 ≤ 3 s" in ask(3)
    chosen = re.search(r"errors: (\d) instances, ([\d,.]+) dollars a month", ask(3))
    assert chosen is not None
    count, dollars = chosen.groups()
    assert number(table[count][4]) + number(table[count][5]) <= 3
    assert dollars == table[count][9]
    cheaper = [row for row in table.values() if number(row[9]) < number(dollars)]
    assert all(number(row[4]) + number(row[5]) > 3 or number(row[6]) > 1 for row in cheaper)
    assert "None of these keeps p99 ≤ 0.5 s" in ask(0.5)


def test_errors_do_not_make_a_fleet_look_fast(log, capsys):
    """With a short time-out all answers are quick, and most callers get none."""
    text = said(capsys, "compare", "--trace", log, *MEAN, "--instances", 1, "--timeout", 1.5, "--max-p99", 2)
    assert number(rows(text)[1][4]) <= 1.5
    assert "None of these keeps" in text


def test_what_must_be_assumed_is_said(log, capsys):
    text = said(capsys, "compare", "--trace", log, "--time", "TIMESTAMP", "--service-mean", 0.8)
    assert "service-cv = 0.4: not given" in text
    assert "instance_life" not in text  # nothing launches in a fixed fleet
    assert "its own luck is not in the interval" in text


def test_the_work_that_comes_is_told_in_workers(log, capsys):
    text = said(capsys, "compare", "--trace", log, *MEAN, "--workers", 1)
    busy = float(re.search(r"keeps ([\d.]+) workers busy", text)[1])
    assert busy == pytest.approx(N / 1800 * 0.8, rel=0.05)
    assert "at least 2 instances of 1 worker must be there to keep up" in text


def test_scale_asks_for_more_requests(log, capsys):
    twice = rows(said(capsys, "compare", "--trace", log, *TOKENS, "--scale", 2, "--instances", 4))[1]
    half = rows(said(capsys, "compare", "--trace", log, *TOKENS, "--scale", 0.5, "--instances", 4))[1]
    assert number(twice[1]) == pytest.approx(2 * N, rel=0.02)
    assert number(half[1]) == pytest.approx(N / 2, rel=0.05)
    assert number(twice[8]) == pytest.approx(number(half[8]), rel=1e-2)  # the same span on the bill


@pytest.mark.parametrize("routing", ["RANDOM", "LEAST_OUTSTANDING_REQUESTS", "SHARED_QUEUE"])
def test_each_routing(log, capsys, routing):
    assert len(rows(said(capsys, "compare", "--trace", log, *MEAN, "--routing", routing))) == 4


def test_queue_limit_instance_type_and_region(log, capsys):
    text = said(
        capsys, "compare", "--trace", log, *MEAN, "--queue-limit", 0, "--instance-type", "ml.c5.xlarge", "--region",
        "eu-west-1", "--instances", "1,1,3",
    )  # fmt: skip
    body = rows(text)[1:]
    assert [row[0] for row in body] == ["1", "3"]
    assert number(body[0][6]) > 20
    assert number(body[0][3]) < 3  # who does not wait is quick
    assert "Prices (eu-west-1)" in text
    assert "ml.c5.xlarge" in text


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "a service time is not in the log and is not guessed: give --service-mean"),
        (("--service-mean", 1, "--s-per-unit", "In=1"), "and not both"),
        (("--service-mean", 0), "argument --service-mean: '0' is not possible: it should be a number greater than 0"),
        (("--service-mean", "80ms"), "'80ms' is not possible"),
        (("--service-mean", "nan"), "'nan' is not possible"),
        (("--service-mean", 1, "--service-cv", -1), "argument --service-cv: "),
        (("--service-mean", 1, "--base-s", 1), "--base-s goes with --s-per-unit"),
        (("--service-mean", 1, "--work", "In"), "--work goes with --s-per-unit"),
        (("--s-per-unit", "In"), "like ContextTokens=0.0002,GeneratedTokens=0.02"),
        (("--s-per-unit", "In=a"), "like ContextTokens=0.0002,GeneratedTokens=0.02"),
        (("--s-per-unit", "In=-1"), "columns with seconds of at least 0"),
        (("--s-per-unit", "In=1", "--work", "Out"), "should be the columns of --s-per-unit: In."),
        (("--s-per-unit", "Inn=1"), "has no column 'Inn'; did you mean 'In'?"),
        (("--service-mean", 1, "--instances", "0"), "like 1,2,4"),
        (("--service-mean", 1, "--instances", "1;2"), "like 1,2,4"),
        (("--service-mean", 1, "--instances", "1.5"), "like 1,2,4"),
        (("--service-mean", 1, "--instance-type", "ml.m5.lrge"), "instance_type='ml.m5.lrge'"),
        (("--service-mean", 1, "--region", "us-est-1"), "did you mean 'us-east-1'"),
        (("--service-mean", 1, "--workers", 0), "argument --workers: "),
        (("--service-mean", 1, "--routing", "ROUND"), "argument --routing: invalid choice"),
        (("--service-mean", 1, "--timeout", "inf"), "argument --timeout: 'inf' is not possible"),
        (("--service-mean", 1, "--queue-limit", -1), "argument --queue-limit: "),
        (("--service-mean", 1, "--scale", 0), "argument --scale: "),
        (("--service-mean", 1, "--seed", "x"), "argument --seed: "),
        (("--service-mean", 1, "--max-p99", 0), "argument --max-p99: "),
        (("--service-mean", 1, "--replications", 0), "argument --replications: "),
        (("--service-mean", 1, "--instnces", "1"), "unrecognized arguments: --instnces 1"),
        (("--service-mean", 1, "--time", "TIMESTAP"), "has no column 'TIMESTAP'; did you mean 'TIMESTAMP'?"),
        (("--service-mean", 1, "--trace", "no.csv"), "there is no file 'no.csv'"),
    ],
)
def test_a_mistake_is_one_sentence_and_status_2(log, capsys, arguments, sentence):
    command = ["compare", "--trace", str(log), "--time", "TIMESTAMP", *map(str, arguments)]
    try:
        status = main(command)
    except SystemExit as stop:  # argparse's way
        status = stop.code
    captured = capsys.readouterr()
    assert status == 2
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("simlib")
    assert sentence in captured.err


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "is empty; it needs a header"),
        ("TIMESTAMP\n", "has no rows"),
        ("TIMESTAMP\n5\n5\n5\n", "all come at one instant"),
        ("TIMESTAMP\n1\nsoon\n", "'soon'"),
        ("TIMESTAMP\n1700000000000\n", "divide by 1000"),
    ],
)
def test_a_log_that_is_none(tmp_path, capsys, content, sentence):
    (tmp_path / "log.csv").write_text(content)
    arguments = ["compare", "--trace", str(tmp_path / "log.csv"), "--time", "TIMESTAMP", "--service-mean", "1"]
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert sentence in captured.err
    assert captured.err.count("\n") == 1


def test_two_requests_are_enough(tmp_path, capsys):
    (tmp_path / "log.csv").write_text("t\n0\n10\n")
    text = said(capsys, "compare", "--trace", tmp_path / "log.csv", "--time", "t", "--service-mean", 1)
    assert {row[1] for row in rows(text)[1:]} == {"2"}


def test_a_folded_log_gives_the_same_table(log, capsys, monkeypatch):
    exact = rows(said(capsys, "compare", "--trace", log, *MEAN))
    monkeypatch.setattr("simlib.simulation.EXACT_UP_TO", 10)
    folded = rows(said(capsys, "compare", "--trace", log, *MEAN))
    for one, other in zip(exact[1:], folded[1:], strict=True):
        assert [one[k] for k in (0, 1, 6, 7, 8, 9)] == [other[k] for k in (0, 1, 6, 7, 8, 9)]
        for k in (2, 3, 4):
            assert number(other[k]) == pytest.approx(number(one[k]), rel=0.01)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one process alone")
def test_ctrl_c_leaves_quietly(log):
    command = [sys.executable, "-m", "simlib", "compare", "--trace", log, *MEAN, "--replications", 100_000]
    with subprocess.Popen(
        list(map(str, command)), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        time.sleep(5)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert (out, err) == ("", "")


# --- validate -------------------------------------------------------------------------------------------------------


def few(monkeypatch, *cases: validate.Case) -> None:
    monkeypatch.setattr(validate, "cases", lambda: iter(cases))


def test_validate_prints_a_table_and_agrees(monkeypatch, capsys):
    few(monkeypatch, validate.mmc(2, 0.5, requests=20_000), validate.mg1(0.7, sl.constant(1.0), requests=20_000))
    text = said(capsys, "validate", "--replications", 5)
    lines = text.splitlines()
    assert re.split(r"\s{2,}", lines[0]) == ["case", "figure", "exact", "estimate", "99 % interval", "inside?"]
    assert len(lines[1:6]) == 5
    assert all(line.endswith("  yes") for line in lines[1:6])
    assert lines[5].startswith("Deterministic")
    assert "0 of 5 exact values lie outside" in text


def test_validate_fails_where_theory_is_missed(monkeypatch, capsys):
    true = validate.mmc(2, 0.5, requests=20_000)
    wrong = {name: (exact * 1.2, estimate) for name, (exact, estimate) in true.figures.items()}
    few(monkeypatch, validate.Case("wrong", true.rate, true.service, 2, wrong, true.requests))
    assert main(["validate", "--replications", "5"]) == 1
    text = capsys.readouterr().out
    assert text.count("  NO\n") >= 2
    assert re.search(r"[23] of 4 exact values lie outside", text)


def test_the_same_seed_prints_the_same_validation(monkeypatch, capsys):
    case = validate.mmc(2, 0.5, requests=5_000)
    few(monkeypatch, case)
    one = said(capsys, "validate", "--replications", 3)
    few(monkeypatch, case)
    assert said(capsys, "validate", "--replications", 3) == one
    few(monkeypatch, case)
    assert said(capsys, "validate", "--replications", 3, "--seed", 1) != one


@pytest.mark.parametrize("arguments", [("--replications", "1"), ("--seed", "-1"), ("--replications", "many")])
def test_a_wrong_argument_of_validate(arguments, capsys):
    try:
        status = main(["validate", *arguments])
    except SystemExit as stop:
        status = stop.code
    captured = capsys.readouterr()
    assert status == 2
    assert captured.out == ""
    assert captured.err.count("\n") == 1


def test_every_kind_of_case_is_there():
    names = " ".join(case.name for case in validate.cases())
    for wanted in ("M/M/1 at 95%", "M/M/50 at 95%", "CV 0.25", "CV 4", "M/M/8/20", "Erlang B", "λ 6.4", "RANDOM"):
        assert wanted in names


def test_the_warm_up_is_long_and_the_measured_part_longer():
    for case in validate.cases():
        assert case.end_s - case.requests / case.rate >= 2 * validate.RELAXATIONS * case.relaxation_s
        if case.queue_limit is None:
            assert case.requests / case.rate > 300 * case.relaxation_s, case.name
        assert case.requests / case.rate > 1500 * case.service.mean, case.name


def test_help_of_both_ends_with_an_example(capsys):
    for command, module in (("compare", compare), ("validate", validate)):
        with pytest.raises(SystemExit):
            main([command, "--help"])
        assert capsys.readouterr().out.endswith(module.EXAMPLES)
