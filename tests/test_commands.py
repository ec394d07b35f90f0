"""`simlib compare` and `simlib validate`, as somebody at a terminal meets them."""

import base64
import functools
import io
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import simlib as sl
from simlib import experiments, serving, workload
from simlib.__main__ import main
from simlib.commands import compare, tables, validate
from simlib.intervals import interval

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


def rows(text: str, which: int = 0) -> list[list[str]]:
    """The cells of a table."""
    lines = text.splitlines()
    first = [n for n, line in enumerate(lines) if line.startswith("option  ")][which]
    return [re.split(r"\s{2,}", line.strip()) for line in lines[first : lines.index("", first)]]


def column(text: str, head: str, which: int = 0) -> dict[str, tuple[float, float]]:
    """Mean and half-width of each option; NaN where there is none."""
    heads, *body = rows(text, which)
    return {row[0]: number(row[heads.index(head)]) for row in body}


def number(cell: str) -> tuple[float, float]:
    mean, _, half = cell.replace(",", "").partition(" ± ")
    return float("nan") if mean == "–" else float(mean), float(half) if half else float("nan")


def records(text: str) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(text), index_col="option")


MEAN = ("--time", "TIMESTAMP", "--service-mean", 0.8, "--service-cv", 0.5)
EVERY = ("--instances", "1,3", "--autoscale", "1-4", "--target", "30,60", "--serverless", "2048,4096=2")
TOKENS = ("--time", "TIMESTAMP", "--base-s", 0.05, "--s-per-unit", "In=0.0002,Out=0.004")


# --- compare: the figures -------------------------------------------------------------------------------------------


def test_the_table_is_aligned_and_says_what_it_should(log, capsys):
    text = said(capsys, "compare", "--trace", log, *MEAN)
    head, *body = rows(text)
    assert head == ["option", "p50 s", "p95 s", "p99 s", "errors %", "busy %", "$ for the log", "$ a month"]
    assert [row[0] for row in body] == ["1 instance", "2 instances", "4 instances"]
    assert f"{N:,} requests in 30 min" in text or f"{N:,} requests in 29." in text
    for which in (0, 1):
        table = [line for line in text.splitlines() if re.match(r"(option|\d+ instances?) ", line)]
        start = [n for n, line in enumerate(table) if line.startswith("option")][which]
        assert len({len(line) for line in table[start : start + 3]}) == 1
    errors = [mean for mean, _ in column(text, "errors %").values()]
    assert errors[0] > errors[1] >= errors[2]
    dollars = column(text, "$ for the log")
    assert dollars["4 instances"][0] == pytest.approx(4 * dollars["1 instance"][0], rel=2e-3)
    assert "0.115 $/instance-hour" in text
    assert re.search(r"\d{4}-\d{2}-\d{2}", text)
    assert "cancel_on_timeout" in text
    assert max(map(len, text.splitlines())) <= 200


def test_the_figures_are_those_of_the_library(log, capsys):
    """One replication, followed to its last answer, by the library's own parts."""
    arguments = ("--replications", 1, "--instances", 2, "--workers", 2, "--seed", 5, "--timeout", 20)
    text = said(capsys, "compare", "--trace", log, *TOKENS, *arguments)
    calls = workload.from_trace(log, time="TIMESTAMP", work=["In", "Out"])
    model = sl.ModelProfile("model", sl.per_unit(0.05, {"In": 0.0002, "Out": 0.004}))
    deployment = serving.RealTime(model, initial_instance_count=2, workers=2, invocation_timeout_s=20)
    run = sl.simulate(deployment, calls, hours=2000 / 3600, seed=5)
    figures = run.summary()
    assert figures["requests"] == N
    for head, name in (("p50 s", "p50_s"), ("p95 s", "p95_s"), ("p99 s", "p99_s")):
        mean, half = column(text, head)["2 instances"]
        assert mean == pytest.approx(figures[name], rel=1e-3)
        assert np.isnan(half)  # one replication has no interval
    assert column(text, "errors %")["2 instances"][0] == pytest.approx(100 * figures["error_rate"], abs=0.006)
    assert "from one draw" in text
    assert "±" not in text
    span = run.requests["arrival_s"].max()
    month = 2 * 730 * (0.115 + 30 * 0.14 / 730)
    assert column(text, "$ for the log")["2 instances"][0] == pytest.approx(month * span / 3600 / 730, rel=5e-3)
    assert column(text, "$ a month")["2 instances"][0] == pytest.approx(month, rel=5e-3)


def test_the_intervals_are_those_of_the_library(log, capsys):
    """Means, intervals and paired differences as `experiments.compare` gives them, where the log's end is no matter."""
    arguments = ("--instances", "2,4", "--replications", 4, "--format", "csv", "--seed", 3)
    found = records(said(capsys, "compare", "--trace", log, *MEAN, *arguments))
    model = sl.ModelProfile("model", sl.lognormal(0.8, 0.5))
    fleets = {f"{n} instances": serving.RealTime(model, initial_instance_count=n) for n in (2, 4)}
    calls = workload.from_trace(log, time="TIMESTAMP")
    wanted = experiments.compare(fleets, calls, hours=2000 / 3600, replications=4, seed=3).loc["p95_s"]
    names = {"p95_s": "mean", "p95_s_low": "low", "p95_s_high": "high"}
    names |= {f"p95_s_difference{end}": f"difference{end}" for end in ("", "_low", "_high")}
    for ours, theirs in names.items():
        assert found[ours].to_numpy() == pytest.approx(wanted[theirs].to_numpy(), rel=1e-9, nan_ok=True)


def test_every_kind_of_option_stands_in_one_table(log, capsys):
    text = said(capsys, "compare", "--trace", log, *MEAN, *EVERY, "--replications", 3)
    assert [row[0] for row in rows(text)[1:]] == [
        *("1 instance", "3 instances", "1-4 instances, target 30", "1-4 instances, target 60"),
        *("serverless 2048 MB", "serverless 4096 MB, speed 2"),
    ]
    dollars, busy = column(text, "$ a month"), column(text, "busy %")
    assert dollars["1 instance"][0] < dollars["1-4 instances, target 60"][0] < 4.2 * dollars["1 instance"][0]
    assert busy["1-4 instances, target 30"][0] < busy["1-4 instances, target 60"][0]
    assert np.isnan(busy["serverless 2048 MB"][0])
    cold = column(text, "cold starts %")
    assert np.isnan(cold["1 instance"][0])
    assert 0 < cold["serverless 2048 MB"][0] < 5
    p50 = column(text, "p50 s")
    assert p50["serverless 4096 MB, speed 2"][0] == pytest.approx(p50["serverless 2048 MB"][0] / 2, rel=1e-2)
    apart = column(text, "p50 s", 1)
    assert "1 instance" not in apart
    for name, (mean, _) in apart.items():
        assert mean == pytest.approx(p50[name][0] - p50["1 instance"][0], rel=2e-3, abs=2e-3)


def test_asynchronous_is_paid_until_the_last_result_is_there(log, capsys):
    """From zero: nobody is refused, the first wait for a machine, and less is paid than for one that stays."""
    text = said(
        capsys, "compare", "--trace", log, *MEAN, "--instances", 1, "--asynchronous", "0-2,1-2", "--backlog", 3,
        "--format", "csv",
    )  # fmt: skip
    found = records(text)
    names = ["async, 0-2 instances, backlog 3", "async, 1-2 instances, backlog 3"]
    assert list(found.index) == ["1 instance", *names]
    assert list(found["kind"]) == ["fixed", "asynchronous", "asynchronous"]
    assert list(found["target_backlog"].dropna().astype(float)) == [3, 3]
    assert (found.loc[names, "error_share"].astype(float) == 0).all()
    assert float(found.loc[names[0], "p99_s"]) > 100
    assert "backlog / 1" in found.loc[names[0], "assumptions"]


def test_serverless_is_paid_by_the_second_of_its_requests(log, capsys):
    text = said(capsys, "compare", "--trace", log, *TOKENS, "--serverless", 2048, "--format", "csv")
    found = records(text).loc["serverless 2048 MB"]
    frame = pd.read_csv(log)
    seconds = (0.05 + 0.0002 * frame["In"] + 0.004 * frame["Out"]).sum()
    assert found["error_share"] == 0
    assert found["usd_for_log"] == pytest.approx(seconds * 0.00004 + 2 * 0.016 * N / 1e6, rel=2e-3)
    assert found["usd_a_month"] == pytest.approx(found["usd_for_log"] * 730 * 3600 / (frame["seconds"].agg(np.ptp)))


def test_most_at_once_throttles(log, capsys):
    text = said(capsys, "compare", "--trace", log, *MEAN, "--serverless", 1024, "--max-concurrency", 1)
    assert 30 < column(text, "errors %")["serverless 1024 MB"][0] < 70


def test_a_heavier_model_makes_cold_starts_longer(log, capsys):
    light, heavy = (
        column(said(capsys, "compare", "--trace", log, *MEAN, "--serverless", 1024, *more), "p99 s")
        for more in ((), ("--model-mb", 1500, "--load-s", 15))
    )
    assert heavy["serverless 1024 MB"][0] > light["serverless 1024 MB"][0]


def test_options_are_only_those_named(log, capsys):
    def asked(*arguments: object) -> list[str]:
        text = said(capsys, "compare", "--trace", log, *MEAN, "--replications", 1, *arguments)
        assert ("Difference from" in text) is (len(rows(text)) > 2)
        return [row[0] for row in rows(text)[1:]]

    assert asked("--serverless", 1024) == ["serverless 1024 MB"]
    assert asked("--autoscale", "1-2", "--target", 60) == ["1-2 instances, target 60"]
    assert asked("--instances", "2,2,1") == ["2 instances", "1 instance"]


def test_numbers_of_seconds_and_iso_times_are_the_same(log, capsys):
    one = said(capsys, "compare", "--trace", log, *TOKENS)
    other = said(capsys, "compare", "--trace", log, "--time", "seconds", *TOKENS[2:])
    assert rows(one) == rows(other)


def test_the_same_seed_prints_the_same(log, capsys):
    one, same, other = (said(capsys, "compare", "--trace", log, *MEAN, "--seed", seed) for seed in (1, 1, 2))
    assert one == same != other


def test_more_replications_know_p99_better(log, capsys):
    widths = [
        column(said(capsys, "compare", "--trace", log, *MEAN, "--instances", 4, "--replications", n), "p99 s")
        for n in (3, 30)
    ]
    assert widths[1]["4 instances"][1] < widths[0]["4 instances"][1]


def test_common_random_numbers_know_a_difference_better(log, capsys):
    """Two routings of the same requests would do; here, two fleets: their difference, and each one's own interval."""
    text = said(capsys, "compare", "--trace", log, *MEAN, "--instances", "4,5", "--replications", 10)
    alone = sum(half**2 for _, half in column(text, "p50 s").values()) ** 0.5
    assert column(text, "p50 s", 1)["5 instances"][1] < alone


def test_the_cheapest_that_keeps_the_limit(log, capsys):
    def ask(limit: float) -> str:
        return said(capsys, "compare", "--trace", log, *MEAN, "--instances", "1,2,4,8", "--max-p99", limit)

    text = ask(3)
    p99, errors, dollars = (column(text, head) for head in ("p99 s", "errors %", "$ a month"))
    chosen = re.search(r"Cheapest that keeps p99 ≤ 3 s .* errors: (\d instances), ([\d,.]+) dollars a month", text)
    assert chosen is not None
    name, told = chosen.groups()
    assert sum(p99[name]) <= 3
    assert number(told)[0] == dollars[name][0]
    cheaper = [each for each in dollars if dollars[each][0] < dollars[name][0]]
    assert cheaper
    assert all(sum(p99[each]) > 3 or errors[each][0] > 1 for each in cheaper)
    assert "None of these keeps p99 ≤ 0.5 s" in ask(0.5)


def test_errors_do_not_make_an_option_look_fast(log, capsys, tmp_path):
    """With a short time-out all answers are quick, and most callers get none."""
    arguments = ("--instances", "1,8", "--timeout", 1.5, "--max-p99", 2, "--picture", tmp_path / "cost.png")
    text = said(capsys, "compare", "--trace", log, *MEAN, *arguments)
    assert column(text, "p99 s")["1 instance"][0] <= 1.5
    assert "None of these keeps" in text
    assert "No option keeps errors at or below 1 %, so none is drawn." in text
    assert (tmp_path / "cost.png").exists()


def test_what_must_be_assumed_is_said(log, capsys):
    text = said(capsys, "compare", "--trace", log, "--time", "TIMESTAMP", "--service-mean", 0.8)
    assert "service-cv = 0.4: not given" in text
    assert "fixed fleet = True" in text
    assert "instance_life" not in text  # nothing launches in a fixed fleet
    assert "model-mb" not in text
    assert "its own luck is not in the interval" in text
    text = said(capsys, "compare", "--trace", log, *MEAN, *EVERY, "--replications", 1)
    for wanted in ("instance_life.launch", "metric_delay_s", "model-mb = 100", "load-s = 0", "keep_alive_s"):
        assert wanted in text
    assert "speed of 2048 MB = 1: not given" in text
    assert "speed of 4096 MB" not in text
    assert "V  2048 MB on demand: 0.00004 $/second, 2026-06-10, AWS:" in text
    lines = [line for line in text.splitlines() if re.match("  [VSDU]  ", line)]
    assert len(lines) == len(set(lines)) > 20


def test_a_price_that_is_old_or_not_verified_says_so(log, capsys):
    arguments = ("--instance-type", "ml.c5.large", "--region", "us-east-1", "--instances", 1)
    text = " ".join(said(capsys, "compare", "--trace", log, *MEAN, *arguments).split())
    note = sl.simulate(
        serving.RealTime(sl.ModelProfile("model", sl.constant(1.0)), instance_type="ml.c5.large"),
        workload.poisson(rate=1),
        hours=0.1,
    ).invoice["note"][0]
    assert "year" in note
    assert f"({note})" in text


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0, "0"), (0.0000123456, "0.00001235"), (0.5, "0.5000"), (59.98, "59.98"), (12345.6, "12,346")],
)
def test_seconds_are_never_in_powers_of_ten(seconds, told):
    assert compare._seconds(seconds) == told


@pytest.mark.parametrize(
    ("values", "told"),
    [((1.0, 1.0), "1.000 ± 0"), ((1.0, 1.2), "1.100 ± 1.271"), ((-1e-3, 1e-3), "0 ± 0.013"), ((2.0,), "2.000")],
)
def test_doubt_has_as_many_places_as_the_mean(values, told):
    assert compare._told(interval(values), lambda x: compare._seconds(x) if abs(x) > 1e-12 else "0") == told


def test_the_work_that_comes_is_told_in_workers(log, capsys):
    text = " ".join(said(capsys, "compare", "--trace", log, *MEAN, "--workers", 1).split())
    busy = float(re.search(r"keeps ([\d.]+) workers busy", text)[1])
    assert busy == pytest.approx(N / 1800 * 0.8, rel=0.05)
    assert "at least 2 instances of 1 worker must be there to keep up" in text


def test_scale_asks_for_more_requests(log, capsys):
    def ask(scale: float) -> pd.Series:
        arguments = ("--scale", scale, "--instances", 4, "--format", "csv")
        return records(said(capsys, "compare", "--trace", log, *TOKENS, *arguments)).loc["4 instances"]

    twice, half = ask(2), ask(0.5)
    assert twice["requests"] == pytest.approx(2 * N, rel=0.02)
    assert half["requests"] == pytest.approx(N / 2, rel=0.05)
    assert twice["usd_for_log"] == pytest.approx(half["usd_for_log"], rel=1e-2)  # the same span on the bill


@pytest.mark.parametrize("routing", ["RANDOM", "LEAST_OUTSTANDING_REQUESTS", "SHARED_QUEUE"])
def test_each_routing(log, capsys, routing):
    assert len(rows(said(capsys, "compare", "--trace", log, *MEAN, "--routing", routing))) == 4


def test_queue_limit_instance_type_and_region(log, capsys):
    text = said(
        capsys, "compare", "--trace", log, *MEAN, "--queue-limit", 0, "--instance-type", "ml.c5.xlarge", "--region",
        "eu-west-1", "--instances", "1,1,3",
    )  # fmt: skip
    assert [row[0] for row in rows(text)[1:]] == ["1 instance", "3 instances"]
    assert column(text, "errors %")["1 instance"][0] > 20
    assert column(text, "p95 s")["1 instance"][0] < 3  # who does not wait is quick
    assert "Prices (eu-west-1)" in text
    assert "ml.c5.xlarge" in text


# --- compare: its forms ---------------------------------------------------------------------------------------------


class Page(HTMLParser):
    """What stands in a page: tags with their attributes, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def odd_log(log, tmp_path_factory) -> Path:
    """The same with names that would be signs in Markdown or HTML."""
    path = tmp_path_factory.mktemp("odd") / "a<b>&'|_x_|.csv"
    pd.read_csv(log).rename(columns={"In": "<i>In|*"}).to_csv(path, index=False)
    return path


ODD = ("--time", "TIMESTAMP", "--s-per-unit", "<i>In|*=0.001", "--replications", 2)


def test_html_is_one_file_that_a_screen_reader_understands(log, capsys):
    text = said(capsys, "compare", "--trace", log, *MEAN, *EVERY, "--replications", 2, "--format", "html")
    page = Page(text)
    assert page.open == []
    assert text.startswith("<!DOCTYPE html>")
    assert page.all("html") == [{"lang": "en"}]
    assert len(page.all("caption")) == len(page.all("table")) == 2
    assert [th["scope"] for th in page.all("th")].count("row") == 6 + 5
    assert [th["scope"] for th in page.all("th")].count("col") == 9 + 6
    assert not page.all("script") + page.all("link")
    assert all(not attributes.keys() & {"href", "srcset"} for _, attributes in page.tags)
    (image,) = page.all("img")
    assert base64.b64decode(image["src"].removeprefix("data:image/png;base64,")).startswith(b"\x89PNG\r\n")
    assert re.match(r"\d of \d options (is|are) worth (its|their) price", image["alt"])
    for wanted in ("0.115 $/instance-hour", "AWS: ", "cancel_on_timeout", "V verified", "2026-06-10"):
        assert wanted in page.words


def test_html_and_markdown_escape_names(odd_log, capsys):
    text = said(capsys, "compare", "--trace", odd_log, *ODD, "--format", "html")
    page = Page(text)
    assert not page.all("i") + page.all("b")
    assert page.open == []
    assert odd_log.name in page.words
    assert "<i>In|*" in page.words
    text = said(capsys, "compare", "--trace", odd_log, *ODD, "--format", "markdown")
    assert r"a\<b\>\&'\|\_x\_\|.csv" in text
    assert "<i>" not in text


def test_markdown_is_a_table(log, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text").mkdir()
    arguments = ("--out", "text/options.md", "--picture", "cost.png", "--instances", "2,4", "--replications", 2)
    told = said(capsys, "compare", "--trace", log, *MEAN, *arguments)
    assert told == f"Written: {Path('text/options.md')}, cost.png.\n"
    text = (tmp_path / "text" / "options.md").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert [line.count("|") for line in lines] == [9] * 4 + [7] * 3
    assert lines[1] == "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    assert re.search(r"!\[.*worth their price.*\]\(<\.\./cost\.png>\)", text)
    assert "## Prices (us-east-1)" in text
    assert "## Assumptions" in text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cost.png", "text"]  # no drafts


def test_csv_is_for_machines(log, capsys):
    text = said(capsys, "compare", "--trace", log, *MEAN, *EVERY, "--replications", 3, "--format", "csv")
    frame = records(text)
    assert list(frame["kind"]) == ["fixed", "fixed", "autoscaled", "autoscaled", "serverless", "serverless"]
    assert frame["target_calls_per_minute"].dropna().tolist() == [30, 60]
    assert frame["memory_mb"].dropna().tolist() == [2048, 4096]
    assert set(frame["requests"]) == {N}
    for name in ("p50_s", "p95_s", "p99_s", "error_share", "usd_for_log", "usd_a_month"):
        assert (frame[f"{name}_low"] <= frame[name] * (1 + 1e-9) + 1e-12).all()
        assert (frame[name] <= frame[f"{name}_high"] * (1 + 1e-9) + 1e-12).all()
    assert frame["cold_start_share"].notna().tolist() == [False] * 4 + [True] * 2
    assert frame["p99_s_difference"].isna().tolist() == [True] + [False] * 5
    assert frame["prices"].str.contains(r"V  .*, 20\d\d-\d\d").all()
    assert frame["assumptions"].str.contains("request overhead").all()


def test_every_form_tells_the_same(log, capsys):
    shared = ("compare", "--trace", log, *MEAN, "--instances", "2,4", "--replications", 2, "--format")
    text, marked, page, machine = (said(capsys, *shared, form) for form in ("text", "markdown", "html", "csv"))
    for row in rows(text)[1:]:
        assert f"| {' | '.join(row)} |" in marked
        assert "".join(f"<td>{cell}</td>" for cell in row[1:]) in page
        assert number(row[3])[0] == pytest.approx(records(machine).loc[row[0], "p99_s"], rel=1e-3)


@pytest.mark.parametrize(
    ("name", "begin"),
    [("a.md", "# simlib"), ("a.CSV", "option,kind"), ("a.html", "<!DOCTYPE"), ("a.txt", ""), ("a", "")],
)
def test_the_ending_of_the_file_decides_its_form(log, capsys, tmp_path, name, begin):
    out = tmp_path / name
    told = said(capsys, "compare", "--trace", log, *MEAN, "--replications", 1, "--out", out, "--max-p99", 60)
    assert out.read_text(encoding="utf-8").startswith(begin or str(log))
    assert told.splitlines()[0].startswith("Cheapest that keeps p99 ≤ 60 s")
    assert told.splitlines()[1] == f"Written: {out}."


def test_a_form_that_is_asked_for_wins_over_the_ending(log, capsys, tmp_path):
    said(capsys, "compare", "--trace", log, *MEAN, "--replications", 1, "--out", tmp_path / "a.md", "--format", "csv")
    assert (tmp_path / "a.md").read_text(encoding="utf-8").startswith("option,kind")


def test_a_file_is_replaced_only_by_force(log, capsys, tmp_path):
    out = tmp_path / "a.md"
    out.write_text("mine")
    arguments = ["compare", "--trace", str(log), *map(str, MEAN), "--replications", "1", "--out", str(out)]
    assert main(arguments) == 2
    assert out.read_text() == "mine"
    assert capsys.readouterr().err == (
        f"simlib compare: --out {out}: that file exists; name another, or add --force to replace it.\n"
    )
    said(capsys, *arguments, "--force")
    assert out.read_text(encoding="utf-8").startswith("# simlib")


def test_the_log_is_never_replaced(log, capsys, tmp_path):
    same = tmp_path / "same.csv"
    same.symlink_to(log)
    before = log.read_bytes()
    for out in (log, same):
        assert main(["compare", "--trace", str(log), *map(str, MEAN), "--out", str(out), "--force"]) == 2
        assert "that is the log itself" in capsys.readouterr().err
    assert log.read_bytes() == before


def test_a_failure_leaves_the_old_file(tmp_path, monkeypatch):
    (tmp_path / "a").write_text("old")

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        tables.write(tmp_path / "a", b"new")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def test_the_picture_leaves_out_who_refuses_many(log, capsys, tmp_path):
    picture = tmp_path / "cost.PNG"
    arguments = ("--instances", "1,4,6", "--replications", 2, "--timeout", 20, "--max-p99", 10, "--picture", picture)
    text = " ".join(said(capsys, "compare", "--trace", log, *MEAN, *arguments).split())
    assert picture.read_bytes().startswith(b"\x89PNG\r\n")
    assert "of 2 options are worth their price" in text
    assert "Not drawn, for more than 1 % errors: 1 instance." in text


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--autoscale", "1-4"), "--autoscale needs --target, the calls a minute for each instance; 50 % of what one"),
        (("--autoscale", "4-1", "--target", 9), "the fewest and the most instances, like 1-8"),
        (("--autoscale", "4", "--target", 9), "the fewest and the most instances, like 1-8"),
        (("--autoscale", "0-4", "--target", 9), "the fewest and the most instances, like 1-8"),
        (("--autoscale", "1-4", "--target", 0), "numbers greater than 0, like 300,600"),
        (("--target", 9), "--target goes with --autoscale"),
        (("--max-concurrency", 9), "--max-concurrency goes with --serverless"),
        (("--backlog", 9), "--backlog goes with --asynchronous"),
        (("--asynchronous", "4"), "the fewest and the most instances, like 0-8"),
        (("--asynchronous", "4-4"), "the fewest and the most instances, like 0-8"),
        (("--asynchronous", "0-4", "--backlog", 0), "argument --backlog: "),
        (("--model-mb", 9), "--model-mb goes with --autoscale or --serverless"),
        (("--load-s", 9), "--load-s goes with --autoscale or --serverless"),
        (("--serverless", "2GB"), "memory sizes in MB, like 2048,4096"),
        (("--serverless", "2048=0"), "memory sizes in MB, like 2048,4096"),
        (("--serverless", "2048="), "memory sizes in MB, like 2048,4096"),
        (("--serverless", "2000"), "memory_mb=2000"),
        (("--serverless", 2048, "--max-concurrency", 0), "argument --max-concurrency: "),
        (("--format", "pdf"), "argument --format: invalid choice"),
        (("--picture", "cost.jpg"), "the name of a PNG file, like cost.png"),
        (("--picture", "no/cost.png"), "there is no folder 'no'"),
        (("--out", "no/cost.md"), "there is no folder 'no'"),
        (("--out", "."), "that is not a file"),
        (("--out", "both.png", "--picture", "both.png"), "they should be two files"),
    ],
)
def test_a_mistake_about_options_or_files(log, capsys, tmp_path, monkeypatch, arguments, sentence):
    monkeypatch.chdir(tmp_path)
    test_a_mistake_is_one_sentence_and_status_2(log, capsys, ("--service-mean", 1, *arguments), sentence)
    assert list(tmp_path.iterdir()) == []


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
        (("--service-mean", 1, "--instnces", "1"), "there is no option '--instnces' (did you mean '--instances'?)"),
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
        ("TIMESTAMP\n8000000000000000\n", "since 1970"),
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
    arguments = ("--time", "t", "--service-mean", 1, *EVERY, "--replications", 2, "--format")
    for form in compare.FORMATS:
        assert said(capsys, "compare", "--trace", tmp_path / "log.csv", *arguments, form)


def test_a_folded_log_gives_the_same_table(log, capsys, monkeypatch):
    arguments = ("compare", "--trace", log, *MEAN, "--serverless", 2048, "--instances", "1,2", "--format", "csv")
    exact = records(said(capsys, *arguments))
    monkeypatch.setattr("simlib.simulation.EXACT_UP_TO", 10)
    folded = records(said(capsys, *arguments))
    for name in ("requests", "error_share", "cold_start_share", "busy_share", "usd_for_log", "usd_a_month"):
        assert folded[name].to_numpy() == pytest.approx(exact[name].to_numpy(), rel=1e-9, nan_ok=True)
    for name in compare.PERCENTILES:
        assert folded[name].to_numpy() == pytest.approx(exact[name].to_numpy(), rel=0.01)


TELLS = """
import pathlib, sys
import simlib as sl
from simlib.__main__ import main
look = sl.Simulation._look

def look_and_tell(sim, end, bar):
    pathlib.Path(sys.argv[1]).touch()
    return look(sim, end, bar)

sl.Simulation._look = look_and_tell
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one process alone")
def test_ctrl_c_leaves_quietly(log, tmp_path):
    """Pressed while it simulates, however long it took to come to that."""
    flag = tmp_path / "simulates"
    command = [sys.executable, "-c", TELLS, flag, "compare", "--trace", log, *MEAN, "--replications", 100_000]
    pipes = dict.fromkeys(("stdout", "stderr"), subprocess.PIPE)
    listens = functools.partial(signal.signal, signal.SIGINT, signal.default_int_handler)  # whatever a shell ignores
    with subprocess.Popen(list(map(str, command)), cwd=ROOT, text=True, preexec_fn=listens, **pipes) as process:
        while process.poll() is None and not flag.exists():
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
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


def test_the_readme_runs(log, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pd.read_csv(log).rename(columns={"TIMESTAMP": "timestamp"}).to_csv("requests.csv", index=False)
    text = (ROOT / "README.md").read_text(encoding="utf-8").replace("python -m simlib", "simlib")
    (arguments,) = commands(text)
    assert "Written: options.html." in said(capsys, *arguments)


def commands(text: str) -> list[list[str]]:
    """The arguments of each `simlib compare` in a text, whose lines may go on after a backslash."""
    joined = text.replace("\\\n", " ")
    return [shlex.split(line)[1:] for line in map(str.strip, joined.splitlines()) if line.startswith("simlib compare")]


def test_the_examples_of_help_run(log, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    frame = pd.read_csv(log).rename(columns={"In": "ContextTokens", "Out": "GeneratedTokens"})
    for name in ("requests.csv", "azure_llm_conversation_2023.csv"):
        frame.to_csv(name, index=False)
    asked = commands(compare.EXAMPLES)
    assert len(asked) == 3
    for arguments in asked:
        assert said(capsys, *arguments)
    assert (tmp_path / "options.html").exists()


@pytest.mark.slow
def test_the_guide_runs_and_says_what_it_prints(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    guide = (ROOT / "docs" / "guide" / "compare.md").read_text(encoding="utf-8")
    for block in re.findall(r"```python\n(.*?)```", guide, flags=re.DOTALL):
        exec(compile(block, "compare.md", "exec"), {})  # our own text
    asked = commands(guide)
    assert len(asked) == 4
    told = "".join(said(capsys, *arguments) for arguments in asked)
    shown = re.findall(r"```text\n(.*?)```", guide, flags=re.DOTALL)
    assert len(shown) == 2
    for block in shown:
        assert block in told
    assert {path.name for path in tmp_path.iterdir()} == {
        *("requests.csv", "options.html", "options.csv", "options.md", "cost.png")
    }
