"""Fairness trade-off: which fairness does a lower bar for one group buy, and what does it cost?"""

import numpy as np

from simlib import fairness
from simlib.plots.style import CYCLE
from simlib.widgets.drawing import Axis, Panel
from simlib.widgets.explorer import Answer, Explorer, Knob, summarised


def fairness_trade_off(base_rate_a: float, base_rate_d: float, separation: float, bonus: float) -> Answer:
    """Exact differences of a calibrated score; the accuracy from ten samples of 2,000 people."""
    rates = {"base_rate_a": base_rate_a, "base_rate_d": base_rate_d, "separation": separation}
    exact = fairness.tradeoff(bonus=bonus, **rates)
    rng, right = np.random.default_rng(7), []
    for _ in range(10):
        of_d = rng.random(2000) < 0.5
        rate = np.where(of_d, base_rate_d, base_rate_a)
        deserves = rng.random(2000) < rate
        x = rng.normal(size=2000) + separation * deserves
        odds = np.log(rate / (1 - rate)) + separation * (x - separation / 2) + bonus * of_d
        right.append(float(((odds > 0) == deserves).mean()))
    numbers = summarised(
        {
            "parity: acceptance of a minus d": [exact["parity"]] * 2,
            "opportunity: recall of a minus d": [exact["opportunity"]] * 2,
            "calibration: stated minus true for d": [exact["calibration"]] * 2,
            "right decisions [share]": right,
        }
    )
    fair = [str(name) for name, value in exact.items() if abs(value) < 0.02]
    by = ", ".join(fair) or "none of the three"
    finding = f"A bonus of {bonus:g} is fair by {by}; {100 * np.mean(right):.0f} % decided right"
    grid = np.linspace(0, 2, 21)
    curves = {name: [float(fairness.tradeoff(bonus=float(b), **rates)[name]) for b in grid] for name in exact.index}
    return Answer(numbers, finding, (grid, curves, bonus))


def _draw(answer: Answer) -> Panel:
    grid, curves, bonus = answer.drawn
    values = np.concatenate(list(curves.values()))
    room = 0.1 * (values.max() - values.min())
    panel = Panel(
        Axis("bonus for d [log-odds]", 0, 2.2),
        Axis("difference; 0 is fair", min(0.0, values.min()) - room, max(0.0, values.max()) + room),
    )
    panel.level(0)
    panel.upright(bonus)
    for (name, curve), color, dash, at in zip(curves.items(), CYCLE, ("", "7 4", "2 3"), (0.2, 1.2, 1.8), strict=False):
        panel.line(grid, curve, color, dash=dash)
        panel.mark(bonus, float(np.interp(bonus, grid, curve)), color)
        panel.label(name, at, float(np.interp(at, grid, curve)), color)
    return panel


FAIRNESS_TRADE_OFF = Explorer(
    "fairness_trade_off",
    "Fairness trade-off",
    "Which fairness does a lower bar for one group buy, and what does it cost?",
    (
        Knob("base_rate_a", "deserving, of a [share]", (0.3, 0.4, 0.5, 0.6, 0.7), 0.6),
        Knob("base_rate_d", "deserving, of d [share]", (0.2, 0.3, 0.4, 0.5, 0.6), 0.4),
        Knob("separation", "how well the data tell", (0.5, 1.0, 1.5, 2.0, 3.0), 1.5),
        Knob("bonus", "bonus for d [log-odds]", tuple(round(0.1 * k, 1) for k in range(21)), 0.0),
    ),
    fairness_trade_off,
    _draw,
)
