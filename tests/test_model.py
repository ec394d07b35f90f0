"""Laws of a duration: both moments, the bytes of their draws, what they refuse; and the model profile."""

import math
import pickle

import numpy as np
import pandas as pd
import pytest

from simlib.model import (
    Law,
    ModelProfile,
    constant,
    empirical,
    exponential,
    gamma,
    lognormal,
    mixture,
    per_unit,
    uniform,
)
from simlib.parameters import ParameterError, from_json, to_json

# A z-test here errs once in 10,000 fresh seeds; with about 30 of them and fixed seeds, a failure means a defect.
Z = 3.89
DRAWS = 400_000

SIMPLE = [
    constant(0.25),
    exponential(mean=2.0),
    lognormal(mean=0.080, cv=0.4),
    lognormal(mean=3.0, cv=1.2),
    lognormal(mean=5.0, cv=0.0),
    gamma(mean=0.5, cv=0.25),
    gamma(mean=2.0, cv=1.5),
    uniform(low=1.0, high=4.0),
    uniform(low=0.0, high=1.0),
    empirical([0.1, 0.1, 0.5, 2.0]),
]
MIXED = [
    mixture([constant(0.1), exponential(1.0)], [3, 1]),
    mixture([lognormal(mean=1.0, cv=0.5), gamma(mean=4.0, cv=0.3), uniform(0.0, 2.0)], [0.2, 0.3, 0.5]),
]


def _is_near(values: np.ndarray, expected: float) -> bool:
    """Whether the mean of independent *values* agrees with *expected*."""
    error = values.std() / math.sqrt(len(values))
    return abs(values.mean() - expected) <= Z * error + 1e-12  # rounding, for laws that do not scatter


@pytest.mark.parametrize("law", SIMPLE + MIXED, ids=repr)
def test_both_moments(law: Law) -> None:
    drawn = law.sample(DRAWS, np.random.default_rng(20260302))
    assert _is_near(drawn, law.mean)
    assert _is_near((drawn - law.mean) ** 2, (law.cv * law.mean) ** 2)


@pytest.mark.parametrize("law", SIMPLE + MIXED, ids=repr)
def test_draws_are_contiguous_non_negative_floats(law: Law) -> None:
    drawn = law.sample(1000, np.random.default_rng(1))
    assert drawn.shape == (1000,)
    assert drawn.dtype == np.float64
    assert drawn.flags.c_contiguous
    assert (drawn >= 0).all()
    assert law.sample(0, np.random.default_rng(1)).shape == (0,)


@pytest.mark.parametrize("law", SIMPLE, ids=repr)
def test_n_then_m_draws_are_the_same_bytes_as_n_plus_m(law: Law) -> None:
    parts, whole = np.random.default_rng(3), np.random.default_rng(3)
    sizes = [1, 7, 256, 2, 1021, 3]
    assert np.concatenate([law.sample(n, parts) for n in sizes]).tobytes() == law.sample(sum(sizes), whole).tobytes()


@pytest.mark.parametrize("law", SIMPLE + MIXED, ids=repr)
def test_only_the_given_generator_is_used(law: Law) -> None:
    first = law.sample(100, np.random.default_rng(5))
    np.random.default_rng(6).random(100)
    assert law.sample(100, np.random.default_rng(5)).tobytes() == first.tobytes()
    assert law.durations(100, np.random.default_rng(5), {"Tokens": np.ones(100)}).tobytes() == first.tobytes()


@pytest.mark.parametrize("law", [*SIMPLE, *MIXED, per_unit(0.1, {"Tokens": 0.02}, 0.3)], ids=repr)
def test_laws_compare_hash_pickle_and_go_to_json_and_back(law: Law) -> None:
    assert from_json(to_json(law)) == law
    assert pickle.loads(pickle.dumps(law)) == law
    assert law != constant(123.0)
    assert len(repr(law)) < 200


def test_the_law_of_a_sample_is_a_config_of_its_own_numbers() -> None:
    samples = np.array([1.0, 2.0])
    law = empirical(samples)
    samples[0] = 99.0
    assert law == empirical([1.0, 2.0])
    assert hash(law) == hash(empirical([1.0, 2.0]))
    assert law != empirical([2.0, 1.0])


def test_known_moments() -> None:
    assert uniform(1.0, 4.0).mean == 2.5
    assert uniform(1.0, 4.0).cv == pytest.approx(math.sqrt(0.75) / 2.5)  # variance (high - low)² / 12
    assert empirical([1.0, 3.0]).cv == pytest.approx(0.5)
    assert empirical([0.0]).cv == 0.0
    hyperexponential = mixture([exponential(1.0), exponential(3.0)], [1, 1])
    assert hyperexponential.mean == 2.0
    assert hyperexponential.cv == pytest.approx(math.sqrt((1 + 9) - 4) / 2)  # E X² = ½·2·1² + ½·2·3²


# --- work columns ---------------------------------------------------------------------------------------------------


def test_per_unit_follows_the_work_columns() -> None:
    law = per_unit(base_s=0.5, s_per_unit={"Context": 0.001, "Generated": 0.02})
    work = {"Context": np.array([100.0, 0.0]), "Generated": np.array([10.0, 50.0]), "Other": np.zeros(2)}
    assert law.durations(2, np.random.default_rng(1), work).tolist() == pytest.approx([0.8, 1.5])


def test_the_noise_of_per_unit_has_mean_one_and_its_cv() -> None:
    law = per_unit(base_s=1.0, s_per_unit={"Tokens": 0.5}, noise_cv=0.4)
    drawn = law.durations(DRAWS, np.random.default_rng(8), {"Tokens": np.full(DRAWS, 2.0)})
    assert _is_near(drawn, 2.0)
    assert _is_near((drawn - 2.0) ** 2, 0.8**2)


def test_a_mixture_hands_each_law_its_own_rows() -> None:
    law = mixture([per_unit(0.0, {"Tokens": 1.0}), constant(0.0)], [1, 1])
    tokens = np.arange(1.0, 1001.0)
    drawn = law.durations(1000, np.random.default_rng(2), {"Tokens": tokens})
    assert set(np.unique(drawn - tokens * (drawn > 0))) == {0.0}
    assert 400 < (drawn > 0).sum() < 600


def test_a_missing_work_column_is_one_sentence() -> None:
    law = per_unit(base_s=0.1, s_per_unit={"ContextTokens": 0.001})
    with pytest.raises(ParameterError, match="needs the work column 'ContextTokens', and this workload carries none"):
        law.sample(3, np.random.default_rng(1))
    with pytest.raises(ParameterError, match="does not carry; did you mean 'ContextToken'"):
        law.durations(3, np.random.default_rng(1), {"ContextToken": np.ones(3)})
    with pytest.raises(ParameterError, match="has no mean of its own"):
        _ = law.mean


# --- refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: constant(-1), "constant: value=-1"),
        (lambda: exponential(0), "exponential: mean=0"),
        (lambda: exponential(float("inf")), "mean=inf"),
        (lambda: lognormal(mean="80 ms", cv=1), "without quotes or unit"),
        (lambda: lognormal(mean=1, cv=-0.1), "cv=-0.1"),
        (lambda: lognormal(mean=1), "needs the parameter 'cv'"),
        (lambda: gamma(mean=1, cv=0), "cv=0"),
        (lambda: uniform(2, 1), "high=1 should be greater than low=2"),
        (lambda: empirical([]), "at least one number"),
        (lambda: empirical([[1, 2]]), "flat sequence"),
        (lambda: empirical([1, math.nan]), r"samples\[1\]=nan"),
        (lambda: empirical([1, -2]), r"samples\[1\]=-2"),
        (lambda: empirical("abc"), "sequence of numbers, not 'abc'"),
        (lambda: empirical(5), "flat sequence"),
        (lambda: mixture([constant(1)], [1, 2]), "one weight for each law, not 2 for 1"),
        (lambda: mixture([constant(1)], [0]), "greater than 0"),
        (lambda: mixture([], []), "greater than 0"),
        (lambda: mixture([0.08], [1]), "is not a law of a duration"),
        (lambda: per_unit(0.1, {}), "at least one work column"),
        (lambda: per_unit(0.1, {"Tokens": -1}), "s_per_unit"),
        (lambda: ModelProfile("m", 0.08), "service=0.08 is not a law of a duration"),
        (lambda: ModelProfile("", constant(1)), "name=''"),
        (lambda: ModelProfile("m", constant(1), 450), "450 has no name"),
        (lambda: ModelProfile("m", constant(1), size_mb=0), "size_mb=0"),
        (lambda: ModelProfile("m", constant(1), size=3), "did you mean 'size_mb'"),
        (lambda: ModelProfile("m", constant(1), needs_gpu=1), "needs_gpu=1"),
    ],
)
def test_what_cannot_be_is_one_sentence(wrong, words) -> None:
    with pytest.raises(ParameterError, match=words) as caught:
        wrong()
    assert "\n" not in str(caught.value)


# --- the profile ----------------------------------------------------------------------------------------------------


def test_a_profile_prints_compares_and_goes_to_json_and_back() -> None:
    model = ModelProfile("translator", service=lognormal(mean=0.08, cv=0.4), size_mb=450, load_seconds=8)
    assert from_json(to_json(model)) == model
    assert (model.memory_mb, model.request_kb, model.response_kb, model.needs_gpu) == (500, 1, 1, False)
    assert "translator" in repr(model)


def test_calibrate_takes_the_durations_of_completed_requests() -> None:
    log = pd.DataFrame(
        {
            "start_s": [0.0, 1.0, 2.0, np.nan],
            "finish_s": [0.5, 2.0, 9.0, np.nan],
            "status": ["completed", "completed", "failed", "rejected"],
        }
    )
    assert ModelProfile.calibrate(log, "m").service == empirical([0.5, 1.0])
    assert ModelProfile.calibrate(log.drop(columns="status"), "m").service == empirical([0.5, 1.0, 7.0])
    assert ModelProfile.calibrate(pd.DataFrame({"service_s": [1, 2]}), "m").service == empirical([1, 2])


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ({"start_s": [1.0], "finish": [2.0]}, "neither 'service_s' nor 'finish_s'; did you mean 'finish'"),
        ({"start_s": [2.0], "finish_s": [1.0]}, "none should finish before it started"),
        ({"service_s": []}, "no completed request"),
        ({"service_s": [math.nan]}, "no completed request"),
        ({"service_s": [1.0], "status": ["failed"]}, "no completed request"),
        ({"service_s": ["fast"]}, "should hold seconds as numbers"),
    ],
)
def test_calibrate_says_what_is_wrong_with_a_log(log, words) -> None:
    with pytest.raises(ParameterError, match=words):
        ModelProfile.calibrate(pd.DataFrame(log), "m")


def test_calibrate_wants_a_frame() -> None:
    with pytest.raises(ParameterError, match="should be an instance of DataFrame"):
        ModelProfile.calibrate([1, 2], "m")
