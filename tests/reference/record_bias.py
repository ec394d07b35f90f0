"""What smclarify 0.5 and fairlearn answer on the forty-two data sets, recorded into tests/data/bias_peers.json.

smclarify does not work with the pandas of our pins, so it cannot be a dependency of the tests.  To record again:

    python -m venv peers && peers/bin/pip install smclarify==0.5 "pandas<3" fairlearn
    peers/bin/python tests/reference/record_bias.py
"""

import json
import logging
import math
from importlib.metadata import version
from pathlib import Path

import pandas as pd
from bias_data import all_of_them, data_set
from fairlearn.metrics import MetricFrame, false_positive_rate, selection_rate, true_negative_rate, true_positive_rate
from sklearn.metrics import accuracy_score, precision_score
from smclarify.bias.report import FacetColumn, LabelColumn, StageType, bias_report

RATES = {
    "accepted": selection_rate,
    "recall": true_positive_rate,
    "specificity": true_negative_rate,
    "false_positive": false_positive_rate,
    "precision": precision_score,
    "accuracy": accuracy_score,
}


def listed(values):
    return list(values) if isinstance(values, list) else [values]


def smclarify(frame: pd.DataFrame, asked: dict) -> dict[str, float | str | None]:
    """Its values; text where it stops."""
    positive, found = listed(asked["positive"]), {}
    for stage in (StageType.PRE_TRAINING, StageType.POST_TRAINING):
        try:
            report = bias_report(
                frame[[asked["facet"], asked["label"], asked["predicted"], *asked["features"]]].copy(),
                FacetColumn(asked["facet"], listed(asked["disadvantaged"])),
                LabelColumn(asked["label"], frame[asked["label"]], list(positive)),
                stage,
                LabelColumn(asked["predicted"], frame[asked["predicted"]], list(positive)),
                group_variable=frame[asked["group"]],
            )
        except Exception as error:
            found[stage.value] = f"{type(error).__name__}: {error}"
            continue
        for metric in report[0]["metrics"]:
            value = metric["value"]
            found[metric["name"]] = metric.get("error") if value is None else float(value) if value == value else None
    return {k: (str(v) if isinstance(v, float) and math.isinf(v) else v) for k, v in found.items()}


def fairlearn(frame: pd.DataFrame, asked: dict) -> dict[str, list[float]]:
    """Its rates of a and of d."""

    def yes(column, rule, kind):
        return frame[column] > rule if kind == "continuous" else frame[column].isin(rule)

    is_d = yes(asked["facet"], asked["disadvantaged"], asked["facet_kind"])
    truth, said = (yes(asked[c], asked["positive"], asked["label_kind"]).astype(int) for c in ("label", "predicted"))
    by_group = MetricFrame(metrics=RATES, y_true=truth, y_pred=said, sensitive_features=is_d.astype(int)).by_group
    return {name: [float(by_group.loc[facet, name]) for facet in by_group.index] for name in RATES}


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    answers = {}
    for kind, number in all_of_them():
        frame, asked = data_set(kind, number)
        answers[f"{kind} {number}"] = {"smclarify": smclarify(frame, asked), "fairlearn": fairlearn(frame, asked)}
    versions = {name: version(name) for name in ("smclarify", "fairlearn", "pandas", "numpy", "scikit-learn")}
    text = json.dumps({"versions": versions, "answers": answers}, indent=1)
    (Path(__file__).parents[1] / "data" / "bias_peers.json").write_text(text + "\n", encoding="utf-8")
