"""The named situations: complete, consistent, data; and their figures as the course states them."""

import pytest

from simlib import scenarios
from simlib.model import ModelProfile
from simlib.parameters import ParameterError, from_json, to_json
from simlib.scenarios import Limits, Scenario
from simlib.workload import Workload

EVERY = {scenario.name: scenario for scenario in scenarios.every()}


@pytest.mark.parametrize("name", EVERY)
def test_a_scenario_is_a_config_that_unpacks(name: str) -> None:
    scenario = EVERY[name]
    workload, model, limits = scenario
    assert (workload, model, limits) == (scenario.workload, scenario.model, scenario.limits)
    assert isinstance(workload, Workload)
    assert isinstance(model, ModelProfile)
    assert isinstance(limits, Limits)
    assert from_json(to_json(scenario)) == scenario
    assert scenario.question.endswith("?")
    assert getattr(scenarios, name)() == scenario
    assert name in scenarios.__all__


@pytest.mark.parametrize("name", EVERY)
def test_a_run_of_its_days_sees_requests_that_fit_its_limits(name: str) -> None:
    scenario = EVERY[name]
    assert scenario.workload.expected(0, scenario.days * 86_400) > 0
    assert scenario.limits.payload_mb is None or scenario.limits.payload_mb * 1000 >= scenario.model.request_kb
    for limit_s in (scenario.limits.max_p99_s, scenario.limits.deadline_h and 3600 * scenario.limits.deadline_h):
        assert limit_s is None or limit_s > 2 * scenario.model.service.mean


def test_every_scenario_is_among_them() -> None:
    made = {name for name in scenarios.__all__ if name[0].islower() and name != "every"}
    assert made == set(EVERY)
    assert len(EVERY) == len(scenarios.every())


def test_the_figures_of_the_three_scenarios_are_those_of_the_course() -> None:
    for rate in (2, 20, 100):
        chat = scenarios.chat_translation(rate=rate)
        assert chat.workload.expected(0, 86_400) == pytest.approx(86_400 * rate)
        assert (chat.model.service.mean, chat.limits.max_p99_s) == (0.080, 0.5)
    night = scenarios.night_models()
    hours = night.workload.expected(0, 3600) * night.model.service.mean / 3600
    assert hours == pytest.approx(125)
    assert (night.limits.deadline_h, night.limits.payload_mb) == (8, 200)
    photos = scenarios.photo_tags(per_day=1000)
    assert photos.workload.expected(0, 86_400) == pytest.approx(1000)
    assert (photos.model.service.mean, photos.limits.payload_mb, photos.days) == (0.5, 3, 180)


def test_bursty_scenarios_keep_the_rate_they_are_given() -> None:
    assert scenarios.fraud(rate=7).workload.expected(0, 1000) == pytest.approx(7000)
    assert scenarios.long_documents(per_hour=12).workload.expected(0, 3600) == pytest.approx(12)


def test_what_cannot_be_is_one_sentence() -> None:
    with pytest.raises(ParameterError, match="chat_translation: rate=0"):
        scenarios.chat_translation(rate=0)
    with pytest.raises(ParameterError, match="night_models: items=0"):
        scenarios.night_models(items=0)
    with pytest.raises(ParameterError, match="Limits: max_p99_s=-1"):
        Limits(max_p99_s=-1)
    with pytest.raises(ParameterError, match="is not a workload"):
        Scenario("mine", "Why?", workload=5, model=EVERY["fraud"].model, limits=Limits())
