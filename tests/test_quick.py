"""A month in milliseconds tells, event by event, what the loop on SimPy tells."""

from dataclasses import replace

import numpy as np
import pytest

from simlib import lastmile
from simlib.lastmile.quick import fitted
from simlib.monitoring import ConceptDrift, logistic
from simlib.parameters import ParameterError

Policy = lastmile.Policy
SOON = Policy(capture_percent=3.0, window_hours=24.0, training_days=3.0, wait_days=1.0, bake_minutes=30.0)
WORLD = lastmile.World(
    days=13, mean_rate=0.8, history_rows=8_000, holidays=("2026-01-06", "2026-01-12"),
    drifts=(ConceptDrift(rotate_degrees=60.0, at_day=5.0),),
)  # fmt: skip


@pytest.mark.parametrize(
    "policy",
    [
        SOON,
        replace(SOON, monitor_every_hours=6, retrain="both", retrain_every_days=4, approval_weekends=True, target=50.0),
        replace(SOON, approval="automatic", rollout="linear", canary_percent=25.0, bias_threshold=0.0),
    ],
    ids=["on alarm", "both", "nobody asked"],
)
def test_the_quick_month_is_the_cockpits_event_by_event(policy):
    """The same alarms, retrainings, answers and versions, within minutes; money within a thousandth."""
    quick, slow = lastmile.glance(policy, WORLD, seed=3), lastmile.compute(policy, WORLD, seed=3)
    expected = [each for each in slow.story if "data monitor" not in each.words]
    assert [each[2:] for each in quick.story] == [each[2:] for each in expected]
    # a launch takes its mean time here, 210 s with a standard deviation of 40 s; after it everything waits for one look
    assert np.allclose([each.day for each in quick.story], [each.day for each in expected], rtol=0, atol=10 / 1440)
    assert quick.figures["retrainings"] > 0
    for name, value in quick.figures.items():
        assert value == pytest.approx(slow.figures[name], rel=2e-3, abs=0.05), name
    assert np.allclose(quick.loss_usd, slow.timeline["loss_usd"], rtol=0.05)
    assert (quick.version == slow.timeline["version"]).all()
    assert quick.broken == slow.broken


def test_the_regression_is_scikit_learns():
    """The same optimum: scores agree to what lbfgs leaves open."""
    rows = WORLD.stream().sample(4_000, seed=1)
    inputs = rows[list(WORLD.stream().inputs)]
    model = logistic(inputs, rows["defaulted"])
    import pandas as pd

    numbers = [name for name in inputs if pd.api.types.is_numeric_dtype(inputs[name])]
    words = [name for name in inputs if name not in numbers]
    x = np.concatenate([inputs[numbers].to_numpy(float), pd.get_dummies(inputs[words], dtype=float).to_numpy()], axis=1)
    weights = fitted(x, rows["defaulted"].to_numpy(), len(numbers))
    score = 1 / (1 + np.exp(-(x @ weights[:-1] + weights[-1])))
    assert np.abs(score - model.predict_proba(inputs)[:, 1]).max() < 2e-3


def test_same_arguments_same_bytes_and_what_it_cannot_do():
    first, again = lastmile.glance(SOON, WORLD, seed=3), lastmile.glance(SOON, WORLD, seed=3)
    assert first.figures == again.figures
    assert first.story == again.story
    with pytest.raises(ParameterError, match="retrain_on with 'data' is not possible here"):
        lastmile.glance(replace(SOON, retrain_on=("data",)), WORLD)
    with pytest.raises(ParameterError, match="faults are not possible with how='glance'"):
        lastmile.outcomes({"a": SOON}, WORLD, faults=[lastmile.LabelOutage()], how="glance")


def test_policies_differ_by_what_they_do_and_not_by_who_came():
    """Two policies that decide the same pay the same for decisions, to the last bit; only their bills differ."""
    watched, blind = (
        lastmile.glance(replace(SOON, retrain="never", monitor_every_hours=every), WORLD, seed=3) for every in (6, None)
    )
    assert watched.figures["wrong decisions usd"] == blind.figures["wrong decisions usd"]
    assert watched.figures["monitoring usd"] > blind.figures["monitoring usd"] == 0
