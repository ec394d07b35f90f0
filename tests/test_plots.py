"""Pictures say in words what they show, in lines that fit the page."""

import io
import itertools
import math
from collections.abc import Iterator
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from PIL import Image

import simlib as sl
from simlib import experiments, plots, serving, workload
from simlib.plots.many_runs import COMPARED


@pytest.fixture(autouse=True)
def no_window() -> Iterator[None]:
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    yield
    plt.close("all")


def axes() -> "mpl.axes.Axes":
    import matplotlib.pyplot as plt

    return plt.gcf().axes[0]


def test_words_are_shown_without_quotes_and_wrapped() -> None:
    words = plots.Words("many " * 40)
    assert repr(words) == str(words)
    assert max(map(len, repr(words).splitlines())) <= 90


def test_the_tail_of_latency() -> None:
    words = plots.tail(np.arange(1, 1001) / 100)
    assert words == "Half are answered within 5 s, 99 in 100 within 9.9 s."
    assert axes().get_xlabel() == "latency [s]"


def test_tails_beside_each_other_are_named() -> None:
    values = np.arange(1, 1001) / 100
    words = plots.tail({"one": values, "none": np.empty(0)}, title="A finding")
    assert words == "one: half are answered within 5 s, 99 in 100 within 9.9 s. none was answered."
    assert axes().get_title(loc="left") == "A finding"


@pytest.mark.parametrize("values", [np.empty(0), np.zeros(5)], ids=["no answers", "no time at all"])
def test_a_tail_of_nothing(values: np.ndarray) -> None:
    plots.tail(values)


def test_what_was_measured_lies_in_its_band_or_beside_it() -> None:
    frame = pd.DataFrame({"low": [0.02, 0.04], "middle": [0.03, 0.06], "high": [0.04, 0.09]}, index=[0.3, 0.6])
    words = plots.measured(frame.assign(measured=[0.035, 0.1]), title="Once")
    assert words == "At 30 % busy 35 ms, inside 20 to 40 ms. At 60 % busy 100 ms, outside 40 to 90 ms."
    names = [text.get_text() for text in axes().get_legend().get_texts()]
    assert sorted(names) == ["forecast, 95 %", "its middle", "measured, inside", "measured, outside"]
    with pytest.raises(sl.ParameterError, match="low above its high"):
        plots.measured(frame.assign(measured=0.1, low=1.0))
    with pytest.raises(sl.ParameterError, match="measured"):
        plots.measured(frame)


def test_latency_against_load() -> None:
    figures = pd.DataFrame({"p50": [0.1, 0.2], "p99": [0.4, 2.0]}, index=[0.5, 0.95])
    exact = pd.Series([0.3, 1.8], index=figures.index, name="theory")
    words = plots.against_load(figures, title="A wall", limit=0.5, exact=exact)
    assert words == "p99 is 0.4 s at 50 % busy and 2 s at 95 %: 5 times as long. It keeps 0.5 s up to 50 % busy."
    assert plots.against_load(figures, title="A wall", limit=0.3).endswith("It never keeps 0.3 s.")


def test_a_ring_of_stages() -> None:
    words = plots.cycle({"Build": "Does it work?", "Run": "Does it last?"}, now=["Run"], title="A loop")
    assert words == "A loop: Build → Run → Build again."


# --- more series than colours -----------------------------------------------------------------------------------------

MANY = [f"series {k}" for k in range(11)]


def looks(artists: "list[Any]") -> set[tuple[object, ...]]:
    return {(line.get_color(), line.get_linestyle()) for line in artists}


def test_more_tails_than_colours_are_all_drawn_and_told_apart() -> None:
    words = plots.tail({name: np.arange(1, 101) * (k + 1.0) for k, name in enumerate(MANY)})
    drawn = [line for line in axes().lines if line.get_label() in MANY]
    assert len(drawn) == len(looks(drawn)) == len(MANY) == words.count(": half are answered")


def test_more_figures_than_colours_are_all_drawn_and_told_apart() -> None:
    frame = pd.DataFrame({name: [1.0, 2.0 + k] for k, name in enumerate(MANY)}, index=[0.5, 0.9])
    plots.against_load(frame, title="A wall")
    assert len(axes().lines) == len(looks(list(axes().lines))) == len(MANY)
    assert [text.get_text() for text in axes().texts] == MANY


def test_more_stages_than_colours_are_all_drawn_and_told_apart() -> None:
    plots.stages(pd.DataFrame([[1.0] * len(MANY)], columns=MANY, index=["bar"]), unit="s", title="Long")
    bars = {(bar.get_facecolor(), bar.get_hatch()) for bar in axes().patches}
    assert len(axes().patches) == len(bars) == len(MANY)


def test_the_labels_of_options_that_cost_the_same_can_be_read() -> None:
    import matplotlib.pyplot as plt

    frame = pd.DataFrame({"usd": [1.0] * 8, "p99_s": 1 + np.arange(8) / 1000}, index=[f"option {k}" for k in range(8)])
    words = plots.frontier(frame, cost="usd", latency="p99_s")
    assert words.startswith("1 of 8 options is worth its price")
    plt.gcf().canvas.draw()
    boxes = {text.get_text(): text.get_window_extent() for text in axes().texts if text.get_text()}
    inside = axes().get_window_extent()
    assert set(boxes) == set(frame.index)
    for one, other in itertools.combinations(boxes.values(), 2):
        assert not one.overlaps(other)
    for box in boxes.values():
        assert inside.x0 <= box.x0
        assert box.x1 <= inside.x1
        assert inside.y0 <= box.y0
        assert box.y1 <= inside.y1


def test_what_is_the_same_in_every_run_is_not_called_certain_or_chance() -> None:
    two = pd.concat([BETWEEN, BETWEEN.rename(index={"a": "b"})])
    same = two.assign(mean=2.0, low=2.0, high=2.0, difference=0.0, difference_low=0.0, difference_high=0.0)
    assert "2 s in every run" in plots.comparison(same)
    assert plots.comparison(same).endswith(": the same in every run.")


# --- the timeline of a run --------------------------------------------------------------------------------------------


def timeline(invocations: list[float], begins: list[float]) -> pd.DataFrame:
    n = len(begins)
    kinds = {"Invocation4XXErrors": 0.0, "Invocation5XXErrors": 0.0, "ModelLatency": 0.1, "Utilization": 0.5}
    index = pd.Index(begins, name="time_s")
    return pd.DataFrame(
        {"Invocations": invocations, **{k: [v] * n for k, v in kinds.items()}, "Containers": 1.0}, index
    )


NONE = pd.DataFrame({"time_s": [], "detail": []})


@pytest.mark.parametrize(
    ("begins", "end_s", "counts", "words"),
    [
        ([0, 60, 120], 120.36, [600, 660, 1], "Traffic 10 to 11 requests/s"),
        ([0, 60, 120], 180.0, [600, 660, 540], "Traffic 9 to 11 requests/s"),
        ([0, 60, 120], None, [600, 660, 540], "Traffic 9 to 11 requests/s"),
        ([90, 120, 180], 240.0, [10, 660, 600], "Traffic 10 to 11 requests/s"),
        ([90, 120], 180.0, [10, 600], "Traffic 10 to 10 requests/s"),
        ([0], 30.0, [300], "Traffic 10 to 10 requests/s"),
    ],
    ids=["partial end", "whole", "no end given", "partial beginning", "two rows", "partial only"],
)
def test_a_partial_period_is_no_rate(begins, end_s, counts, words) -> None:
    frame = timeline(counts, begins)
    frame.loc[frame.index[-1], "Containers"] = 7.0
    said = plots.run(frame, alarms=NONE, latencies=None, title="A run", end_s=end_s)
    assert str.__str__(said).startswith(f"A run. {words}, ")
    whole = end_s != 120.36
    assert ("to 7," in said) is whole
    drawn = axes().lines[0].get_ydata()
    assert len(drawn) == sum(begin in (0, 60, 120, 180) for begin in begins) - (not whole)


def lives(**stages: list[float]) -> pd.DataFrame:
    """Two instances; the second is launched at minute 1, up at 2, in service at 3, draining at 6 and gone at 6.5."""
    usual = {"launched_s": [0, 60], "machine_up_s": [0, 120], "in_service_s": [0, 180], "draining_s": [math.inf, 360]}
    return pd.DataFrame({**usual, "gone_s": [math.inf, 390], "ended": ["", "drained"], **stages})


def scaled(asked_for: list[int], *, serving: list[int]) -> pd.DataFrame:
    frame = timeline([600.0] * len(asked_for), [60.0 * k for k in range(len(asked_for))]).drop(columns="Containers")
    return frame.assign(Instances=serving, DesiredInstances=asked_for)


def titles() -> list[str]:
    import matplotlib.pyplot as plt

    return [axes.get_title(loc="left") for axes in plt.gcf().axes]


def stages_drawn() -> dict[str, list[list[float]]]:
    """Of each stage of the lives' picture: begin and end of every instance, in the picture's unit."""
    import matplotlib.pyplot as plt

    ax = next(ax for ax in plt.gcf().axes if ax.get_title(loc="left") == "Each instance's life")
    return {
        str(found.get_label()): [segment[:, 0].tolist() for segment in found.get_segments()] for found in ax.collections
    }


def test_each_stage_of_a_life_is_drawn_where_it_was() -> None:
    frame = scaled([1, 2, 2, 2, 2, 2, 1, 1], serving=[1, 1, 1, 2, 2, 2, 1, 1])
    words = plots.run(frame, alarms=NONE, latencies=None, title="A run", lives=lives())
    assert stages_drawn() == {
        "launching": [[0, 0], [1, 2]],
        "starting": [[0, 0], [2, 3]],
        "in service": [[0, 8], [3, 6]],
        "draining": [[8, 8], [6, 6.5]],
    }
    assert words.endswith("The capacity asked for changed 2 times.")


def test_a_launch_that_was_cancelled_never_serves_and_a_crash_is_marked() -> None:
    gone = lives(in_service_s=[0, math.inf], draining_s=[240, 150], gone_s=[240, 150], ended=["crashed", "cancelled"])
    plots.run(scaled([1] * 5, serving=[1] * 5), alarms=NONE, latencies=None, title="A run", lives=gone)
    assert stages_drawn() == {
        "launching": [[0, 0], [1, 2]],
        "starting": [[0, 0], [2, 2.5]],
        "in service": [[0, 4], [2.5, 2.5]],
        "draining": [[4, 4], [2.5, 2.5]],
    }
    import matplotlib.pyplot as plt

    marks = {line.get_label(): line.get_xydata().tolist() for ax in plt.gcf().axes for line in ax.lines}
    assert marks["crashed"] == [[4, 0]]
    assert "not healthy" not in marks


def test_lives_that_never_change_are_not_drawn() -> None:
    still = lives().iloc[:1]
    plots.run(scaled([1, 1], serving=[1, 1]), alarms=NONE, latencies=None, title="A run", lives=still)
    assert "Each instance's life" not in titles()


def test_a_fleet_at_its_most_says_so() -> None:
    frame = scaled([1, 2, 2, 2], serving=[1, 1, 2, 2])
    words = plots.run(frame, alarms=NONE, latencies=None, title="A run", most=2)
    assert words.endswith("changed once. It stood at the most allowed, 2, for 75 % of the time.")
    assert "most" not in plots.run(frame, alarms=NONE, latencies=None, title="A run", most=3)


def test_alarms_without_data_are_told_apart() -> None:
    told = [
        "AlarmHigh: OK → ALARM (x 5)",
        "AlarmHigh: ALARM → OK (x 1)",
        "AlarmLow: OK → INSUFFICIENT_DATA (x no data)",
    ]
    alarms = pd.DataFrame({"time_s": [60.0, 120.0, 180.0], "detail": told})
    words = plots.run(scaled([1] * 5, serving=[1] * 5), alarms=alarms, latencies=None, title="A run")
    assert words.endswith("Alarms changed state 3 times, 1 of them for want of data.")
    import matplotlib.pyplot as plt

    signs = [line for line in plt.gcf().axes[2].lines if line.get_marker() in ("^", "v", "D")]
    assert [(s.get_xdata()[0], s.get_marker(), s.get_markerfacecolor() == "white") for s in signs] == [
        (1, "^", False),
        (2, "^", True),
        (3, "D", True),
    ]


def test_a_run_that_scales_draws_its_lives_and_its_errors() -> None:
    policy = serving.TargetTracking(60, max_capacity=2, out_datapoints=1)
    fleet = serving.RealTime(sl.ModelProfile("m", sl.constant(1.0)), scaling=policy, queue_limit=1)
    words = sl.simulate(fleet, workload.poisson(rate=3), hours=0.3).plot()
    assert "Each instance's life" in titles()
    assert "% errors, p99" in words
    assert "It stood at the most allowed, 2, for" in words


# --- mistakes ---------------------------------------------------------------------------------------------------------

RT, CALLS = serving.RealTime(sl.ModelProfile("m", sl.constant(0.05))), workload.poisson(rate=2)
RUN = sl.simulate(RT, CALLS, hours=0.05, seed=1)
LOAD = pd.DataFrame({"p99": [0.4, 2.0]}, index=[0.5, 0.95])
BETWEEN = pd.DataFrame(
    {each: [1.0] for each in COMPARED},
    pd.MultiIndex.from_tuples([("p95_s", "a")], names=["figure", "deployment"]),
)
STEPS = pd.DataFrame({"type": ["t", "t"], "layer": [0, 1]}, index=["a", "b"])
EDGES = pd.DataFrame({"source": ["a"], "target": ["b"], "why": ["data"]})
BARS = pd.DataFrame({"one": [1.0]}, index=["bar"])
RAN = pd.DataFrame({"start_s": [0.0], "end_s": [1.0], "cached": [False], "critical": [True]}, index=["a"])
TRIES = pd.DataFrame({"step": ["a"], "begin_s": [0.0], "end_s": [1.0], "status": ["Succeeded"]})

WRONG = {
    "a run as latencies": (lambda: plots.tail(RUN), "tail: latencies=<Run"),
    "a number as latencies": (lambda: plots.tail(3.0), "tail: latencies=3.0 is not possible: it should be an array"),
    "texts as latencies": (lambda: plots.tail(["0.1"]), "latencies=['0.1']"),
    "ragged latencies": (lambda: plots.tail([[1.0], [1.0, 2.0]]), "latencies=[[1.0], [1.0, 2.0]]"),
    "a missing latency": (lambda: plots.tail([0.1, math.nan]), "latencies[1]=nan is not possible: it should be a fin"),
    "a negative latency": (lambda: plots.tail({"b": np.array([-1.0])}), "latencies['b'][0]=-1.0"),
    "no latencies at all": (lambda: plots.tail({}), "latencies={}"),
    "axes that are none": (lambda: plots.tail([1.0], ax=3), "ax=3"),
    "a title that is no text": (lambda: plots.tail([1.0], title=3), "title=3"),
    "a run to compare": (lambda: plots.comparison(RUN), "comparison: frame=<Run"),
    "replications to compare": (
        lambda: plots.comparison(experiments.replicate(RT, CALLS, replications=2, hours=0.01)),
        "frame has no column 'difference'",
    ),
    "an empty comparison": (lambda: plots.comparison(BETWEEN.iloc[:0]), "frame is empty"),
    "a comparison by other names": (lambda: plots.comparison(BETWEEN.droplevel(0)), "has the index deployment"),
    "a comparison of texts": (lambda: plots.comparison(BETWEEN.astype(str)), "frame['mean'] should be numbers"),
    "a list of figures": (lambda: plots.comparison(BETWEEN, figure=["p95_s"]), "figure=['p95_s']"),
    "no figure": (lambda: plots.comparison(BETWEEN, figure=None), "figure=None"),
    "an unknown figure": (lambda: plots.comparison(BETWEEN, figure="p95"), "did you mean 'p95_s'"),
    "a run against load": (lambda: plots.against_load(RUN, title=""), "figures=<Run"),
    "nothing against load": (lambda: plots.against_load(LOAD.iloc[:0], title=""), "figures is empty"),
    "no columns against load": (lambda: plots.against_load(LOAD[[]], title=""), "figures is empty"),
    "load in words": (lambda: plots.against_load(LOAD.set_axis(["low", "high"]), title=""), "its first is 'low'"),
    "no value against load": (lambda: plots.against_load(LOAD * math.nan, title=""), "figures['p99'] has no value"),
    "a limit as text": (lambda: plots.against_load(LOAD, title="", limit="0.5"), "limit='0.5'"),
    "theory as a number": (lambda: plots.against_load(LOAD, title="", exact=0.5), "exact=0.5"),
    "a misspelt title": (lambda: plots.against_load(LOAD, titel=""), "did you mean 'title'"),
    "a run as a frontier": (lambda: plots.frontier(RUN), "frontier: frame=<Run"),
    "a frontier of texts": (
        lambda: plots.frontier(pd.DataFrame({"usd_per_1000": ["1"], "p95_s": [1.0]})), "frame['usd_per_1000']"
    ),
    "another limit as text": (lambda: plots.frontier(LOAD, cost="p99", latency="p99", limit="1"), "limit='1'"),
    "a ring of nothing": (lambda: plots.cycle({}, now=[], title=""), "stages={}"),
    "a ring that is a list": (lambda: plots.cycle(["a"], now=[], title=""), "stages=['a']"),
    "a stage that is not there": (lambda: plots.cycle({"Build": ""}, now=["build"], title=""), "no stage 'build'"),
    "an average that is a run": (lambda: plots.welch(RUN, cut_h=0, label="", title=""), "averages=<Run"),
    "an average without its line": (lambda: plots.welch(BARS, cut_h=0, label="", title=""), "no column 'mean'"),
    "a run as a bill": (lambda: plots.cost_breakdown(RUN), "it should be a DataFrame such as run.invoice"),
    "a bill of texts": (
        lambda: plots.cost_breakdown(pd.DataFrame({"item": ["a"], "subtotal": ["1"]})), "invoice['subtotal']"
    ),
    "a few as text": (lambda: plots.cost_breakdown(RUN.invoice, at_most="3"), "at_most='3'"),
    "no items": (lambda: plots.cost_breakdown(RUN.invoice, at_most=0), "at_most=0"),
    "a run as stages": (lambda: plots.stages(RUN, unit="s", title=""), "durations=<Run"),
    "no stages": (lambda: plots.stages(BARS.iloc[:0], unit="s", title=""), "durations is empty"),
    "a stage of nan": (lambda: plots.stages(BARS * math.nan, unit="s", title=""), "durations['one']['bar']=nan"),
    "a stage as text": (lambda: plots.stages(BARS.astype(str), unit="s", title=""), "durations['one'] should be"),
    "a run as steps": (lambda: plots.dag(RUN, EDGES), "dag: steps=<Run"),
    "an unknown why": (lambda: plots.dag(STEPS, EDGES.assign(why="dta")), "no why 'dta'; did you mean 'data'"),
    "an unknown step": (lambda: plots.dag(STEPS, EDGES.assign(source="c")), "dag: there is no step 'c'"),
    "a missing why": (lambda: plots.dag(STEPS, EDGES.drop(columns="why")), "edges has no column 'why'"),
    "a run as what ran": (lambda: plots.gantt(RUN, TRIES), "gantt: steps=<Run"),
    "no attempts": (lambda: plots.gantt(RAN, None), "attempts=None"),
    "a few steps as text": (lambda: plots.gantt(RAN, TRIES, at_most="3"), "at_most='3'"),
    "a run in place of its timeline": (
        lambda: plots.run(RUN, alarms=NONE, latencies=None, title=""), "timeline=<Run"
    ),
    "an empty timeline": (
        lambda: plots.run(RUN.timeline().iloc[:0], alarms=NONE, latencies=None, title=""), "timeline is empty"
    ),
    "a timeline of nobody": (
        lambda: plots.run(timeline([1], [0]).drop(columns="Containers"), alarms=NONE, latencies=None, title=""),
        "no column 'Instances' or 'Containers'",
    ),
    "latencies of a run as text": (
        lambda: plots.run(RUN.timeline(), alarms=NONE, latencies="all", title=""), "latencies='all'"
    ),
}  # fmt: skip


@pytest.mark.parametrize("mistake", WRONG)
def test_a_mistake_is_one_sentence(mistake: str) -> None:
    import matplotlib.pyplot as plt

    call, named = WRONG[mistake]
    with pytest.raises(sl.ParameterError) as caught:
        call()
    text = str(caught.value)
    assert named in text
    assert "\n" not in text
    assert text[-1] in ".?"
    assert len(text) < 450
    assert not plt.get_fignums()  # nothing half drawn


def test_the_backlog_of_a_queue() -> None:
    model = sl.ModelProfile("m", service=sl.constant(300))
    life = serving.InstanceLife(launch=sl.constant(100), container_start=sl.constant(20))
    waking = serving.wake_from_zero(max_capacity=1)
    lazy = serving.Asynchronous(model, initial_instance_count=0, scaling=waking, instance_life=life, request_ttl_s=1800)
    timeline = sl.simulate(lazy, workload.nightly(12, at_hour=0), hours=2).timeline()
    words = plots.backlog(timeline, title="One machine")
    assert "The backlog goes up to 12, instances from 0 to 1." in words
    assert "in 4 min of these somebody waits. 6 requests expire." in words
    assert "shaded" in axes().get_title(loc="left")
    with pytest.raises(sl.ParameterError, match="has no column 'ApproximateBacklogSize'"):
        plots.backlog(timeline.drop(columns="ApproximateBacklogSize"))
    with pytest.raises(sl.ParameterError, match="timeline=5 is not possible"):
        plots.backlog(5)


def test_what_may_be_empty() -> None:
    nothing = pd.DataFrame({"usd": [], "p99_s": []})
    assert "None has both figures." in plots.frontier(nothing, cost="usd", latency="p99_s")
    assert plots.comparison(BETWEEN * math.nan) == "None has a p95 latency."
    assert plots.dag(STEPS.iloc[:0], EDGES.iloc[:0], title="Empty").startswith("Empty. 0 layers")
    assert "Critical path: none" in plots.gantt(RAN.iloc[:0], TRIES.iloc[:0])
    assert "at 95 %." in plots.against_load(LOAD.assign(p99=[0.0, 2.0]), title="From nothing")


def test_scores_are_stacked_to_their_totals_the_highest_on_top() -> None:
    parts = pd.DataFrame({"cost": [0.1, 0.3], "needs": [0.25, 0.15]}, index=["one", "other"])
    said = plots.scores(parts)
    assert said == "other is ahead by 0.1: other 0.45, one 0.35."
    ends = [bar.get_x() + bar.get_width() for bar in axes().patches]
    assert max(ends) == pytest.approx(0.45)
    assert [label.get_text() for label in axes().get_yticklabels()] == ["other", "one"]
    assert plots.scores(parts * 0).startswith("Nobody is ahead")


def test_a_map_of_winners_names_each_field() -> None:
    fields = pd.DataFrame([["a", "b"], ["a", ""]], index=pd.Index([0.0, 20.0], name="percent_off"), columns=[1e5, 1e6])
    said = plots.winners(fields.rename_axis(columns="requests_per_day"))
    assert said == "The cheapest, field by field. Of 4 fields: a 2, b 1."
    assert [text.get_text() for text in axes().texts] == ["a", "b", "a", "none"]
    assert axes().get_xlabel() == "requests per day"
    doubted = fields.rename_axis(columns="requests_per_day")
    doubted.attrs["doubt"] = "some prices are unverified"
    assert plots.winners(doubted).endswith("Some prices are unverified.")
    assert axes().get_xlabel() == "requests per day (some prices are unverified)"


def test_names_at_the_ends_of_lines_stay_apart_and_inside() -> None:
    """Three options that cost nearly the same in the end, which is the highest of all."""
    ends = {"one": [1.0, 100.0], "two": [80.0, 99.0], "three": [80.0, 98.0]}
    plots.break_even(pd.DataFrame(ends, index=[100, 10_000]), title="All the same")
    drawn = axes()
    names = {each.get_text(): each.xy[1] for each in drawn.texts}
    assert list(names) == ["three", "two", "one"]
    spots = drawn.transAxes.inverted().transform(drawn.transData.transform([(1.0, y) for y in names.values()]))[:, 1]
    assert spots[-1] <= 1 + 1e-9
    assert np.diff(spots).min() >= 0.069


def test_a_notebook_shows_a_picture_once_and_forgets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import matplotlib.pyplot as plt

    monkeypatch.setattr(mpl, "get_backend", lambda: "module://matplotlib_inline.backend_inline")
    shown: list[dict[str, Any]] = []
    monkeypatch.setattr("IPython.display.display", lambda data, raw: shown.append(data))
    plots.tail(np.arange(1, 101) / 100)
    assert plt.get_fignums() == []
    (data,) = shown
    picture = Image.open(io.BytesIO(data["image/png"]))
    assert picture.size[0] == 900
    assert data["text/plain"] == f"<Figure size {picture.size[0]}x{picture.size[1]} with 1 Axes>"
    assert np.asarray(picture).std() > 0, "there is something on it"
