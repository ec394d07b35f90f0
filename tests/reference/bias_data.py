"""Forty-two seeded data sets for the bias metrics: ordinary, imbalanced, tiny, degenerate, multi-category, continuous.

Nothing in here needs simlib, so that `record_bias.py` can run where smclarify and an older pandas are installed.
"""

from typing import Any

import numpy as np
import pandas as pd

FEATURES = ["income", "debt", "years"]
KINDS = ("ordinary", "imbalanced", "tiny", "degenerate", "multi-category", "continuous facet", "continuous label")


def data_set(kind: str, number: int) -> tuple[pd.DataFrame, dict[str, Any]]:
    """One data set and the arguments of `posttraining` for it (`pretraining` takes all but *predicted*, *features*)."""
    rng = np.random.default_rng([KINDS.index(kind), number])
    n = {"tiny": 6 + 3 * number, "degenerate": 60, "imbalanced": 1500}.get(kind, 150 + 90 * number)
    d_share = 0.02 if kind == "imbalanced" else 0.2 + 0.1 * number
    frame = pd.DataFrame(
        {
            "sex": np.where(rng.random(n) < d_share, "f", "m"),
            "town": rng.choice(["east", "north", "west"], n),
            "age": np.round(rng.uniform(18, 80, n), 1),
            "income": np.round(rng.normal(30, 8, n), 2),
            "debt": np.round(rng.gamma(2, 100, n), 1),
            "years": rng.integers(0, 30, n).astype(float),
        }
    )
    is_d = frame["sex"] == "f"
    chance = np.clip(0.5 + 0.02 * (frame["income"] - 30) - 0.15 * is_d, 0.03, 0.97)
    frame["label"] = np.where(rng.random(n) < chance, "yes", "no")
    frame["predicted"] = np.where(rng.random(n) < 0.75, frame["label"], np.where(rng.random(n) < chance, "yes", "no"))
    asked: dict[str, Any] = {
        "label": "label", "predicted": "predicted", "facet": "sex", "disadvantaged": ["f"], "positive": ["yes"],
        "group": "town", "features": FEATURES, "facet_kind": "categorical", "label_kind": "categorical",
    }  # fmt: skip
    if kind == "degenerate":
        _damage(frame, number)
    if kind == "multi-category":
        _more_categories(frame, asked, rng, number)
    if kind == "continuous facet":
        asked |= {"facet": "age", "disadvantaged": 40.0 + 5 * number, "facet_kind": "continuous"}
    if kind == "continuous label":
        frame["label"] = np.round(rng.normal(100, 20, n) - 5 * is_d, 2)
        frame["predicted"] = np.round(0.8 * frame["label"] + 20 + rng.normal(0, 8, n), 2)
        asked |= {"positive": 95.0 + number, "label_kind": "continuous"}
    return frame, asked


def _damage(frame: pd.DataFrame, number: int) -> None:
    is_d = frame["sex"] == "f"
    match number:
        case 0:  # d gets nothing, and deserves nothing
            frame.loc[is_d, ["label", "predicted"]] = "no"
        case 1:  # everybody is accepted
            frame["predicted"] = "yes"
        case 2:  # nobody is accepted
            frame["predicted"] = "no"
        case 3:  # no label in common
            frame["label"] = np.where(is_d, "no", "yes")
        case 4:  # a has no false positive, d has some
            frame.loc[~is_d & (frame["label"] == "no"), "predicted"] = "no"
        case 5:  # a town without a positive label, and a perfect model
            frame.loc[frame["town"] == "west", "label"] = "no"
            frame["predicted"] = frame["label"]


def _more_categories(frame: pd.DataFrame, asked: dict[str, Any], rng: np.random.Generator, number: int) -> None:
    n = len(frame)
    frame["origin"] = rng.choice(["amber", "blue", "green", "red"], n, p=[0.4, 0.3, 0.2, 0.1])
    for column in ("label", "predicted"):
        frame[column] = np.where(
            frame[column] == "yes", rng.choice(["full", "part"], n), rng.choice(["no", "later"], n)
        )
    if number == 4:  # a label that d lacks
        frame.loc[frame["origin"].isin(["red", "green"]) & (frame["label"] == "later"), "label"] = "no"
    if number == 5:  # a label that a lacks
        frame.loc[~frame["origin"].isin(["red", "green"]) & (frame["label"] == "later"), "label"] = "no"
    asked |= {"facet": "origin", "disadvantaged": ["red", "green"], "positive": ["full", "part"]}


def all_of_them() -> list[tuple[str, int]]:
    return [(kind, number) for kind in KINDS for number in range(6)]
