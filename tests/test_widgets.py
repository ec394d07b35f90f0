"""Explorers: every position of every knob has an answer, the exported code gives it again, and the face shows it."""

import html
import itertools
import math
import re
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from simlib import ParameterError, fairness, lastmile, widgets
from simlib.plots.style import BLUE
from simlib.widgets import Answer, Explorer, Knob, summarised, value
from simlib.widgets.drawing import Axis, Panel

ALL = list(widgets.EXPLORERS.values())


@pytest.fixture(params=ALL, ids=lambda explorer: explorer.name)
def explorer(request: pytest.FixtureRequest) -> Explorer:
    return request.param


def test_every_position_of_every_knob_has_an_answer(explorer: Explorer) -> None:
    for knob in explorer.knobs:
        for position in {knob.options[0], knob.options[-1]}:
            answer = explorer.answer(**explorer.settings(**{knob.name: position}))
            known = answer.numbers.dropna()
            assert (known["low"] <= known["mean"] + 1e-12).all()
            assert (known["mean"] <= known["high"] + 1e-12).all()
            assert answer.finding
            assert len(answer.finding) <= 105, "a title fits above its picture"
            assert "nan" not in answer.finding


def test_the_extremes_together_have_an_answer_and_a_picture(explorer: Explorer) -> None:
    for corner in (0, -1):
        answer = explorer.answer(**{knob.name: knob.options[corner] for knob in explorer.knobs})
        picture = explorer.picture(answer)
        assert ElementTree.fromstring(picture).get("aria-label") == answer.finding
        assert not re.search(r"\b(nan|inf)\b", picture + str(explorer.words(answer)))
        assert "e+" not in str(explorer.words(answer)), "numbers as people write them"


def test_the_code_gives_the_same_numbers(explorer: Explorer) -> None:
    turned = {explorer.knobs[0].name: explorer.knobs[0].options[1]}
    world: dict[str, object] = {}
    exec(explorer.code(**turned), world)
    answer = world["answer"]
    assert isinstance(answer, Answer)
    pd.testing.assert_frame_equal(answer.numbers, explorer.numbers(**turned))


def test_a_knob_starts_at_one_of_its_positions(explorer: Explorer) -> None:
    assert all(knob.start in knob.options for knob in explorer.knobs)
    assert all(list(knob.options) == sorted(knob.options) for knob in explorer.knobs if isinstance(knob.start, float))


def test_a_typo_is_one_sentence(explorer: Explorer) -> None:
    first = explorer.knobs[0].name
    with pytest.raises(ParameterError, match=f"{explorer.name} has no knob '{first}x'; did you mean '{first}'"):
        explorer.numbers(**{f"{first}x": 1})
    with pytest.raises(ParameterError, match=f"{explorer.name}: {first}=-1 is not possible: it should be one of"):
        explorer.show(**{first: -1})


def test_the_face_follows_its_knobs(explorer: Explorer) -> None:
    box = explorer.show()
    _, knobs, finding, picture, more = box.children
    before, numbers, said = picture.value, more.children[1].value, finding.value
    assert "<svg role=" in before
    assert explorer.answer(**explorer.settings()).finding in html.unescape(said)
    first = knobs.children[0]
    first.value = next(each for each in explorer.knobs[0].options if each != first.value)
    assert picture.value != before
    assert finding.value != said
    assert more.children[1].value != numbers
    assert f"{explorer.knobs[0].name}={first.value!r}" in more.children[2].value.replace("&#x27;", "'")


# --- what theory says ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rate", "instances"), list(itertools.product((5, 15, 25), (2, 4))))
def test_a_queue_is_as_busy_as_its_work(rate: int, instances: int) -> None:
    """Utilization is λ E[S] / c; the interval is widened to 1 error in 10,000 of these."""
    row = widgets.queue_and_latency.numbers(rate=rate, instances=instances, cv=0.5).loc["utilization [share]"]
    half = 3 * (row["high"] - row["low"]) / 2
    assert row["mean"] == pytest.approx(rate * 0.1 / (2 * instances), abs=half)


def test_cold_starts_follow_theory_where_calls_are_rare_and_short() -> None:
    """P(cold) = exp(−λT) for calls that never overlap; with 2,400 calls its standard error is below 0.01."""
    found = widgets.cold_start_and_cost.numbers(per_day=100, service_s=0.1, size_mb=50)
    exact = math.exp(-100 / 86_400 * 645)
    assert value(found, "cold starts [share]") == pytest.approx(exact, abs=0.04)


def test_no_drift_gives_false_alarms_as_often_as_the_test_says() -> None:
    """KS of 200 rows beside 1,000 exceeds 0.1 with probability 0.067 (asymptotic); 80 days before day 10."""
    found = widgets.drift_injector.numbers(shift=0.0, rows=200, threshold=0.1)
    n = 200 * 1000 / 1200
    exact = 2 * sum((-1) ** (k - 1) * math.exp(-2 * k * k * n * 0.1**2) for k in range(1, 20))
    spread = math.sqrt(exact * (1 - exact) / 80)
    # the eight histories share one baseline, so their days are not independent: four spreads, and twice as many more
    assert value(found, "days with a false alarm, before [share]") == pytest.approx(exact, abs=8 * spread)


def test_fairness_figures_are_those_of_the_exact_trade_off() -> None:
    found = widgets.fairness_trade_off.numbers(bonus=0.8)
    exact = fairness.tradeoff(base_rate_a=0.6, base_rate_d=0.4, separation=1.5, bonus=0.8)
    assert value(found, "parity: acceptance of a minus d") == exact["parity"]


def test_a_batch_that_one_machine_does_alone_takes_its_work() -> None:
    """20 files of 5 minutes sharp on one machine: 100 minutes and the start."""
    row = widgets.batch_gantt.numbers(files=20, work_min=5, cv=0.0, instances=1).loc["ready after [h]"]
    assert 100 / 60 < row["mean"] < 100 / 60 + 0.2


def test_more_launch_time_means_more_errors() -> None:
    errors = [value(widgets.autoscaler.numbers(launch_min=m), "errors [share]") for m in (0.5, 3, 8)]
    assert errors == sorted(errors)
    assert errors[0] < errors[-1]


def test_three_clouds_bill_what_their_machines_cost() -> None:
    """Half off the prices of Vertex AI halves its bill, and nobody else's."""
    found, cheaper = (widgets.platform_cost_map.numbers(per_day=1000, work_s=0.1, off=off) for off in (0, 50))
    for name, share in (("SageMaker", 1.0), ("Vertex AI", 0.5), ("Azure ML", 1.0)):
        figure = f"{name}: dollars a month"
        assert value(cheaper, figure) == pytest.approx(share * value(found, figure))


def test_the_cockpit_lives_the_policy_of_its_knobs() -> None:
    """Its mean is that of three months under that policy, and nobody saves anything by forgetting."""
    policy = lastmile.Policy(monitor_every_hours=12, approval_weekends=True, target=50.0)
    months = [lastmile.glance(policy, lastmile.team(), seed=7, replication=k) for k in range(3)]
    turned = widgets.cockpit.numbers(monitor_every_hours=12, approval="weekends too", target=50)
    assert value(turned, "dollars a month") == pytest.approx(np.mean([each.figures["usd"] for each in months]))
    idle = widgets.cockpit.numbers(retrain="never")
    saved = value(idle, "dollars saved beside a team that forgets")
    assert -5 < saved < 0, "who looks and does nothing pays for looking"


# --- the parts -------------------------------------------------------------------------------------------------------


def test_summarised_gives_student_intervals() -> None:
    """Mean 5, s 1, n 3: 5 ± 4.303 / √3."""
    row = summarised({"x": [4.0, 5.0, 6.0]}).loc["x"]
    assert row.to_numpy() == pytest.approx([5, 5 - 4.302653 / math.sqrt(3), 5 + 4.302653 / math.sqrt(3)], abs=1e-6)


def test_words_hold_the_finding_and_every_figure() -> None:
    knob = Knob("a", "a", (1, 2), 1)
    numbers = summarised({"wait [s]": [1.0, 3.0], "errors": [0.0, 0.0]})
    asked = Explorer(
        "it",
        "It",
        "?",
        (knob,),
        lambda a: Answer(numbers, f"found {a}"),
        lambda answer: Panel(Axis("x", 0, 1), Axis("y", 0, 1)),
    )
    words = str(asked.words(asked.answer(a=2)))
    assert words.startswith("found 2. wait [s] 2 (")
    assert words.endswith("errors 0.")
    assert np.isfinite(asked.numbers(a=1).to_numpy()).all()


# --- pictures --------------------------------------------------------------------------------------------------------


def _panel(x: Axis | None = None) -> Panel:
    return Panel(x or Axis("x", 0, 10), Axis("y", 0, 1))


def _paths(panel: Panel) -> list[list[tuple[float, float]]]:
    """The points of each line."""
    lines = re.findall(r'<path d="M([^"HVZ]+)" fill="none" stroke="#', panel.svg(""))
    return [[tuple(map(float, each.split())) for each in line.split("L")] for line in lines]


@pytest.mark.parametrize(
    ("axis", "ticks"),
    [
        (Axis("", 0, 10), ["0", "2", "4", "6", "8", "10"]),
        (Axis("", -0.1, 0.3), ["-0.1", "0", "0.1", "0.2", "0.3"]),
        (Axis("", 0, 3, whole=True), ["0", "1", "2", "3"]),
        (Axis("", 0.1, 2000, log=True), ["0.1", "1", "10", "100", "1,000"]),
        (Axis("", 0.02, 0.6, log=True), ["0.02", "0.05", "0.1", "0.2", "0.5"]),
        (Axis("", -0.5, 1.5, names={0: "a", 1: "b"}), ["a", "b"]),
    ],
)
def test_ticks_are_round_numbers_inside_the_axis(axis: Axis, ticks: list[str]) -> None:
    assert list(axis.ticks(6).values()) == ticks
    assert all(-1e-9 <= float(axis.share(at)) <= 1 + 1e-9 for at in axis.ticks(6))


def test_a_logarithmic_axis_shares_its_length_by_powers() -> None:
    assert Axis("", 0.1, 1000, log=True).share([0.1, 1, 10, 100, 1000]) == pytest.approx([0, 0.25, 0.5, 0.75, 1])
    below = Axis("", 0.1, 1000, log=True).share([0, -3])
    assert (below < -1).all(), "outside"
    assert np.isfinite(below).all()


def test_a_line_goes_where_its_numbers_are() -> None:
    panel = _panel()
    panel.line([0, 5, 10], [0, 0.5, 1], BLUE)
    (left, bottom), middle, (right, top) = _paths(panel)[0]
    assert middle == pytest.approx(((left + right) / 2, (bottom + top) / 2), abs=0.1)
    assert right > left
    assert top < bottom


def test_stairs_keep_a_value_until_the_next() -> None:
    panel = _panel()
    panel.stairs([0, 5, 10], [0, 1, 1], BLUE)
    _, foot, head, _, _ = _paths(panel)[0]
    assert foot[0] == head[0]
    assert foot[1] > head[1]


def test_a_line_of_very_many_points_keeps_its_ends_and_stays_small() -> None:
    panel, many = _panel(), np.linspace(0, 10, 200_000)
    panel.line(many, many / 10, BLUE)
    few = _panel()
    few.line([0, 10], [0, 1], BLUE)
    found, ends = _paths(panel)[0], _paths(few)[0]
    assert [found[0], found[-1]] == ends
    assert len(found) < 1500
    assert len(_paths(few)[0]) == 2


def test_labels_keep_out_of_each_others_way_and_inside_the_picture() -> None:
    panel = _panel()
    for k in range(12):
        panel.label(f"the label number {k}", 10 * (k % 2), 0.5)
    found = re.findall(r'<text x="([-\d.]+)" y="([-\d.]+)"[^>]*>the label number', panel.svg(""))
    places = [(float(x), float(y)) for x, y in found]
    assert len(set(places)) == 12
    wide, high = 5.5 * len("the label number 0"), 13  # letters of 13 px, seldom narrower than these 5.5
    for one, other in itertools.combinations(places, 2):
        assert abs(one[0] - other[0]) >= wide or abs(one[1] - other[1]) >= high
    assert all(0 <= x <= 900 - wide and high <= y <= 330 for x, y in places)


def test_words_in_a_picture_are_words() -> None:
    panel = _panel()
    panel.label("a < b & c", 5, 0.5)
    assert "a < b & c" in "".join(ElementTree.fromstring(panel.svg('"x" & <y>')).itertext())
