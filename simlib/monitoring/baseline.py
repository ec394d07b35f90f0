"""What the data looked like when the model was made: statistics, and the constraints they suggest.

    >>> import pandas as pd
    >>> from simlib import monitoring
    >>> frame = pd.DataFrame({"income": [31.5, 28.0, 40.25], "purpose": ["car", "home", "car"]})
    >>> baseline = monitoring.Baseline.fit(frame)
    >>> [(each["name"], each["inferred_type"], each["completeness"]) for each in baseline.constraints["features"]]
    [('income', 'Fractional', 1.0), ('purpose', 'String', 1.0)]

Both have the shape of SageMaker's statistics.json and constraints.json, and a baseline is these two: what `check` needs
is read from them, so a file from elsewhere will do.  The rules by which constraints are suggested are Deequ's:

- completeness: 1 where nothing is missing; else the lower end of the 95 % (Wald) interval of the share that is there;
- a feature is non-negative if its smallest value is at least 0 (recorded; no violation type goes by it);
- the domain of a feature of text is what was seen, if at most one in ten of its values occurs only once.
"""

import json
import math
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import numpy as np
import pandas as pd
from pydantic import Field, SkipValidation

from simlib.monitoring.profiles import Profile, check_frame, profile
from simlib.monitoring.sketch import Distribution, distribution, kll
from simlib.parameters import Flag, ParameterError, Share, Whole, checked, config

if TYPE_CHECKING:
    from simlib.monitoring.comparison import Findings
else:
    Findings = object  # `checked` needs a name to look at before

KLL = {"c": 0.64, "k": 2048}
"""Parameters of the sketch: Deequ's defaults (assumption; the platform's documentation gives none)."""

BUCKETS = 10
_MAY_BE_SINGLE = 0.1  # of a feature's values: with more of them that occur once, it has no domain

_NUMERIC = ("Integral", "Fractional")
_METHODS = {"linf_simple": "Simple", "linf_robust": "Robust"}
_OVERRIDES = ("monitoringConfigOverrides", "monitoring_config_overrides")  # the documentation's name, and the SDK's

Quantiles = Literal["exact", "kll"]
SketchSize = Annotated[int, Field(ge=8, strict=True)]


@config
class Rules:
    """How much may differ from the baseline before it is a violation; the fields of `monitoring_config`.

    Parameters
    ----------
    datatype_check_threshold, domain_content_threshold : share
        Of a feature's values that may be of another type, or outside its domain.  The documentation's table says 0.1;
        files of older jobs hold 1.0, which means that all values have to match, and is read so.
    comparison_threshold : share
        A numeric feature drifts if its distance is above.
    comparison_method : "Simple" | "Robust"
        L-infinity as it is, or less what chance may do.  The default is an assumption: generated files hold Robust.
    categorical_comparison_threshold : share or None
        The same for features of text; None: as `comparison_threshold`.
    categorical_drift_method : "LInfinity" | "ChiSquared"
        With ChiSquared a feature drifts if its p-value is *below* the threshold (assumption; undocumented).
    evaluate_constraints, emit_metrics, perform_comparison : bool
        Whether violations are looked for, metrics published, distributions compared.
    """

    datatype_check_threshold: Share = 0.1
    domain_content_threshold: Share = 0.1
    comparison_threshold: Share = 0.1
    comparison_method: Literal["Simple", "Robust"] = "Robust"
    categorical_comparison_threshold: Share | None = None
    categorical_drift_method: Literal["LInfinity", "ChiSquared"] = "LInfinity"
    evaluate_constraints: Flag = True
    emit_metrics: Flag = True
    perform_comparison: Flag = True

    def as_file(self) -> dict[str, Any]:
        """The block `monitoring_config` of constraints.json."""
        categorical = self.categorical_comparison_threshold
        return {
            "evaluate_constraints": _switch(self.evaluate_constraints),
            "emit_metrics": _switch(self.emit_metrics),
            "datatype_check_threshold": self.datatype_check_threshold,
            "domain_content_threshold": self.domain_content_threshold,
            "distribution_constraints": {
                "perform_comparison": _switch(self.perform_comparison),
                "comparison_threshold": self.comparison_threshold,
                "comparison_method": self.comparison_method,
                "categorical_comparison_threshold": self.comparison_threshold if categorical is None else categorical,
                "categorical_drift_method": self.categorical_drift_method,
            },
        }

    @classmethod
    def of_file(cls, block: dict[str, Any]) -> "Rules":
        """The rules that `monitoring_config` describes; what it leaves out has its default.

        Files in the wild spell some things otherwise, as earlier pages of the documentation did: `comparion_method`,
        `linf_simple` for Simple, true for Enabled.  They are read as they are meant.
        """
        fields = {**block, **block.get("distribution_constraints", {})}
        if "comparion_method" in fields:
            fields.setdefault("comparison_method", fields["comparion_method"])
        known = {name: fields[name] for name in cls.__dataclass_fields__ if name in fields}
        for name in ("datatype_check_threshold", "domain_content_threshold"):
            if known.get(name) == 1.0:  # the older schema: the share that has to match
                known[name] = 0.0
        for name in ("evaluate_constraints", "emit_metrics", "perform_comparison"):
            known[name] = fields.get(name, "Enabled") in ("Enabled", True)
        method = known.get("comparison_method")
        return cls(**known | ({"comparison_method": _METHODS.get(method, method)} if method is not None else {}))


def _switch(on: bool) -> str:
    return "Enabled" if on else "Disabled"


@config
class Baseline:
    """Statistics and constraints of the features; made by `Baseline.fit` or read by `Baseline.load`.

    Parameters
    ----------
    statistics, constraints : dict
        What stands in statistics.json and constraints.json.
    """

    statistics: dict[str, Any]
    constraints: dict[str, Any]
    kind = "DataQuality"
    needs_labels = False

    @classmethod
    @checked
    def fit(
        cls,
        frame: SkipValidation[pd.DataFrame],
        *,
        quantiles: Quantiles = "exact",
        sketch_size: SketchSize = KLL["k"],  # type: ignore[assignment]
        rules: Rules | None = None,
        seed: Whole = 0,
    ) -> Self:
        """The baseline of *frame*, one column a feature.

        Parameters
        ----------
        frame : DataFrame
            The data the model was trained on, or better, data it was tested on; features only.
        quantiles : "exact" | "kll"
            Keep every number, or a KLL sketch of *sketch_size* (a few thousand numbers a feature however many rows).
        rules : Rules or None
            When a difference is a violation; None: the documented defaults.
        seed : int
            Of the sketch's coin.

        Raises
        ------
        ParameterError
            If frame is no DataFrame, has no rows or columns, or two columns of one name.
        """
        rows = check_frame("fit", frame)
        found = {name: profile(rows[name]) for name in rows.columns}
        rng = np.random.default_rng([seed, 0x5E7C])
        size = max(sketch_size, len(rows)) if quantiles == "exact" else sketch_size
        statistics = {
            "version": 0,
            "dataset": {"item_count": len(rows)},
            "features": [_statistics(name, column, size, rng) for name, column in found.items()],
        }
        constraints = {
            "version": 0,
            "features": [_constraints(name, column) for name, column in found.items()],
            "monitoring_config": (rules or Rules()).as_file(),
        }
        return cls(statistics, constraints)

    @classmethod
    @checked
    def load(cls, folder: Path) -> Self:
        """The baseline in *folder*: statistics.json and constraints.json, ours or another program's.

        Raises
        ------
        ParameterError
            If a file is not there, is no JSON, or lacks what its shape must have.  A feature with constraints and no
            statistics is judged by its type, its completeness and its domain; there is no distance from it.
        """
        statistics, constraints = (_read(folder / name) for name in ("statistics.json", "constraints.json"))
        described = {each.get("name"): each for each in statistics["features"]}
        for each in constraints["features"]:
            _check_described(each, described)
        found = cls(statistics, constraints)
        _ = found._own_rules  # wrong ones are told now, and not at the first comparison
        return found

    @checked
    def save(self, folder: Path) -> list[Path]:
        """Write statistics.json and constraints.json into *folder*, which is made if need be; returns their paths."""
        folder.mkdir(parents=True, exist_ok=True)
        paths = [folder / "statistics.json", folder / "constraints.json"]
        for path, content in zip(paths, (self.statistics, self.constraints), strict=True):
            path.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")
        return paths

    def needed(self, inputs: Sequence[str], outputs: Sequence[str], label: str | None) -> list[str]:
        """The columns of captured rows to compare: what went in, and of what came out what the baseline knows."""
        return [*inputs, *(name for name in outputs if name in self.features)]

    @checked
    def compare(self, frame: SkipValidation[pd.DataFrame]) -> "Findings":
        """As `check`."""
        from simlib.monitoring.comparison import compared

        return compared(check_frame("compare", frame), self)

    # --- what a comparison reads ---

    def __repr__(self) -> str:
        rows = self.statistics.get("dataset", {}).get("item_count", "?")
        return f"<Baseline of {len(self.features)} features in {rows} rows: {', '.join(self.features[:8])}>"

    @cached_property
    def rules(self) -> Rules:
        """The rules in the constraints."""
        return Rules.of_file(self.constraints.get("monitoring_config", {}))

    def rules_of(self, name: str) -> Rules:
        """The rules for one feature: its own `monitoringConfigOverrides` go before those for all."""
        return self._own_rules[name]

    @cached_property
    def _own_rules(self) -> dict[str, Rules]:
        general = self.constraints.get("monitoring_config", {})
        return {each["name"]: Rules.of_file(_overridden(general, each)) for each in self.constraints["features"]}

    @cached_property
    def features(self) -> list[str]:
        """The names of the features, in order."""
        return [each["name"] for each in self.constraints["features"]]

    @cached_property
    def suggested(self) -> pd.DataFrame:
        """The constraints as a table, one row a feature, each with why."""
        rows = [_explained(each, self._statistics_of.get(each["name"], {})) for each in self.constraints["features"]]
        return pd.DataFrame(rows).set_index("feature")

    @cached_property
    def _statistics_of(self) -> dict[str, dict[str, Any]]:
        return {each["name"]: each for each in self.statistics["features"]}

    @cached_property
    def _remembered(self) -> dict[str, Distribution]:
        return {}

    def present(self, name: str) -> int:
        """Rows of the baseline in which the feature had a value."""
        return int(_common(self._statistics_of.get(name, {})).get("num_present", 0))

    def is_of_numbers(self, name: str) -> bool:
        """Whether the feature is compared as numbers, else as categories."""
        return next(each for each in self.constraints["features"] if each["name"] == name)["inferred_type"] in _NUMERIC

    def goes_by_p(self, name: str) -> bool:
        """Whether the feature drifts where a p-value is small, and not where a distance is large."""
        return not self.is_of_numbers(name) and self.rules_of(name).categorical_drift_method == "ChiSquared"

    def threshold(self, name: str) -> float:
        """Beyond what distance (or below what p-value) the feature has drifted."""
        rules = self.rules_of(name)
        own = None if self.is_of_numbers(name) else rules.categorical_comparison_threshold
        return rules.comparison_threshold if own is None else own

    def numbers(self, name: str) -> Distribution | None:
        """A numeric feature's distribution; None of a feature of text, or where nothing was there."""
        if name not in self._remembered:
            numeric = self._statistics_of.get(name, {}).get("numerical_statistics", {})
            levels = numeric.get("distribution", {}).get("kll", {}).get("sketch", {}).get("data", [])
            if not any(levels):
                return None
            self._remembered[name] = distribution([np.array(level, dtype=np.float64) for level in levels])
        return self._remembered[name]

    def categories(self, name: str) -> dict[str, float]:
        """How often each value of a feature of text occurred."""
        of_text = self._statistics_of.get(name, {}).get("string_statistics", {})
        buckets = of_text.get("distribution", {}).get("categorical", {}).get("buckets", [])
        return {each["value"]: float(each["count"]) for each in buckets}


# --- statistics -----------------------------------------------------------------------------------------------------


def _common(statistics: dict[str, Any]) -> dict[str, Any]:
    """How many values are there and how many are not; nothing if the file does not say."""
    return dict((statistics.get("numerical_statistics") or statistics.get("string_statistics") or {}).get("common", {}))


def _statistics(name: str, column: Profile, size: int, rng: np.random.Generator) -> dict[str, Any]:
    kind = column.inferred_type
    common = {"common": {"num_present": column.present, "num_missing": column.missing}}
    if kind in _NUMERIC:
        return {
            "name": name,
            "inferred_type": kind,
            "numerical_statistics": common | _of_numbers(column.numbers, size, rng),
        }
    return {"name": name, "inferred_type": kind, "string_statistics": common | _of_text(column)}


def _of_text(column: Profile) -> dict[str, Any]:
    counts = column.categories()
    buckets = [{"value": value, "count": count} for value, count in sorted(counts.items())]
    return {"distinct_count": float(len(counts)), "distribution": {"categorical": {"buckets": buckets}}}


def _of_numbers(numbers: np.ndarray, size: int, rng: np.random.Generator) -> dict[str, Any]:
    levels = kll(numbers, k=size, c=KLL["c"], rng=rng)
    return {
        "mean": float(numbers.mean()),
        "sum": float(numbers.sum()),
        "std_dev": float(numbers.std()),
        "min": float(numbers.min()),
        "max": float(numbers.max()),
        "distribution": {
            "kll": {
                "buckets": _buckets(numbers),
                "sketch": {
                    "parameters": {"c": KLL["c"], "k": float(size)},
                    "data": [level.tolist() for level in levels],
                },
            }
        },
    }


def _buckets(numbers: np.ndarray) -> list[dict[str, float]]:
    """Ten buckets of equal width from the smallest to the largest value; the last holds its upper bound too."""
    edges = np.linspace(numbers.min(), numbers.max(), BUCKETS + 1)
    within = np.searchsorted(edges[1:-1], numbers, side="right")
    counts = np.bincount(within, minlength=BUCKETS)
    return [
        {"lower_bound": float(low), "upper_bound": float(high), "count": float(count)}
        for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True)
    ]


# --- constraints ----------------------------------------------------------------------------------------------------


def _constraints(name: str, column: Profile) -> dict[str, Any]:
    kind = column.inferred_type
    suggested: dict[str, Any] = {
        "name": name,
        "inferred_type": kind,
        "completeness": _completeness(column.present, column.rows),
    }
    if kind in _NUMERIC:
        suggested["num_constraints"] = {"is_non_negative": bool(column.numbers.min() >= 0)}
    if kind == "String":
        counts = column.categories()
        if sum(count == 1 for count in counts.values()) <= _MAY_BE_SINGLE * len(counts):
            suggested["string_constraints"] = {"domains": sorted(counts)}
    return suggested


def _completeness(present: int, rows: int) -> float:
    share = present / rows
    return max(0.0, share - 1.96 * math.sqrt(share * (1 - share) / rows))


def _explained(suggested: dict[str, Any], statistics: dict[str, Any]) -> dict[str, Any]:
    of = _common(statistics)
    missing, present = of.get("num_missing", 0), of.get("num_present", 0)
    domains = suggested.get("string_constraints", {}).get("domains")
    why = f"{missing:,} of {missing + present:,} were missing" if missing else "nothing was missing"
    if not statistics:
        why = "there are no statistics of it"
    if domains:
        why += f"; the {len(domains)} values seen"
    elif suggested["inferred_type"] == "String":
        why += "; too many values occurred once for a domain"
    return {
        "feature": suggested["name"],
        "type": suggested["inferred_type"],
        "completeness": suggested.get("completeness"),
        "non_negative": suggested.get("num_constraints", {}).get("is_non_negative"),
        "domain": domains,
        "why": why,
    }


def _overridden(general: dict[str, Any], constraint: dict[str, Any]) -> dict[str, Any]:
    """`monitoring_config` as it holds for one feature; the SDK writes overrides also into its `string_constraints`."""
    found = general
    for place in (constraint, constraint.get("string_constraints", {})):
        for own in (place[name] for name in _OVERRIDES if place.get(name)):
            of_distributions = "distribution_constraints"
            both = {**found.get(of_distributions, {}), **own.get(of_distributions, {})}
            found = {**found, **own, of_distributions: both}
    return found


def _check_described(constraint: dict[str, Any], described: dict[Any, dict[str, Any]]) -> None:
    name = constraint.get("name")
    known = name not in described or "num_present" in _common(described[name])
    if not isinstance(name, str) or "inferred_type" not in constraint or not known:
        wanted = "inferred_type in constraints.json, and common.num_present in statistics.json"
        raise ParameterError(f"load: the feature {name!r} lacks one of {wanted}.")


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ParameterError(f"load: {str(path)!r} cannot be read as JSON: {error}.".replace("\n", " ")) from None
    features = content.get("features") if isinstance(content, dict) else None
    if not isinstance(features, list) or not all(isinstance(each, dict) for each in features):
        raise ParameterError(f"load: {str(path)!r} should hold an object with a list `features` of objects.")
    return content
