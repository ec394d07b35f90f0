"""Application Auto Scaling's targets, policies and schedules, and CloudWatch's alarms, as policies that simulate."""

from collections.abc import Iterator
from typing import Any, NamedTuple, get_args

from simlib.parameters import ParameterError, shortly
from simlib.platforms.descriptors.reading import Fields, Notes, built
from simlib.serving import Alarm, ScheduledScaling, Step, StepScaling, TargetTracking
from simlib.serving.rollout import Watched

Named = list[tuple[str, Fields]]  # what an object is called in its file, and its fields
_METRICS: dict[str, tuple[str, float]] = {  # CloudWatch's name → simlib's, and its unit in simlib's
    "SageMakerVariantInvocationsPerInstance": ("InvocationsPerInstance", 1.0),
    "SageMakerVariantConcurrentRequestsPerModelHighResolution": ("ConcurrentRequestsPerModel", 1.0),
    "SageMakerVariantProvisionedConcurrencyUtilization": ("ServerlessProvisionedConcurrencyUtilization", 1.0),
    "InvocationsPerInstance": ("InvocationsPerInstance", 1.0),
    "ConcurrentRequestsPerModel": ("ConcurrentRequestsPerModel", 1.0),
    "ApproximateBacklogSizePerInstance": ("ApproximateBacklogSizePerInstance", 1.0),
    "ApproximateBacklogSize": ("ApproximateBacklogSize", 1.0),
    "ApproximateAgeOfOldestRequest": ("ApproximateAgeOfOldestRequest", 1.0),
    "HasBacklogWithoutCapacity": ("HasBacklogWithoutCapacity", 1.0),
    "SageMakerInferenceComponentInvocationsPerCopy": ("InvocationsPerCopy", 1.0),
    "SageMakerInferenceComponentConcurrentRequestsPerCopyHighResolution": ("ConcurrentRequestsPerCopy", 1.0),
    "NoCapacityInvocationFailures": ("NoCapacityInvocationFailures", 1.0),
    "CPUUtilization": ("CPUUtilization", 1.0),
    "GPUUtilization": ("DutyCycle", 1.0),
    "ModelLatency": ("ModelLatency", 1e-6),  # CloudWatch counts microseconds
    "Invocation5XXErrors": ("Invocation5XXErrors", 1.0),
}
_COMPARISONS = {
    "GreaterThanThreshold": ">",
    "GreaterThanOrEqualToThreshold": ">=",
    "LessThanThreshold": "<",
    "LessThanOrEqualToThreshold": "<=",
}
_MISSING = {"missing": "missing", "breaching": "breaching", "notBreaching": "notBreaching", "ignore": "missing"}


class Scaling:
    """Targets, policies, alarms and schedules of one endpoint, or of one inference component."""

    def __init__(self, targets: Named, rules: Named, alarms: Named, schedules: Named, notes: Notes) -> None:
        self.targets, self.rules, self.alarms, self.schedules = targets, rules, alarms, schedules
        self.notes = notes
        self._bounds: tuple[int, int] | None = None

    def policies(self) -> Iterator[TargetTracking | StepScaling | ScheduledScaling]:
        """All of them, with the bounds of the target."""
        for _, target in self.targets:
            self._read_target(target)
        for name, policy in self.rules:
            yield self._policy(name, policy)
        for _, each in self.schedules:
            yield _schedule(each)
        for _, target in self.targets:
            for each in target.several("ScheduledActions"):
                yield _schedule(each)
        if self.targets and not (self.rules or self.schedules):
            self.notes.unread.append("MinCapacity, MaxCapacity: no policy moves the fleet")

    def _read_target(self, target: Fields) -> None:
        bounds = (target.whole("MinCapacity"), target.whole("MaxCapacity"))
        known = ("ServiceNamespace", "ResourceId", "ScalableDimension", "RoleARN", "Tags", "ScheduledActions")
        policy = ("PolicyName", "PolicyType", "TargetTrackingScalingPolicyConfiguration")  # SageMaker's old operator
        suspended = target.inside("SuspendedState")
        for key in suspended.found if suspended is not None else ():
            if suspended is not None and suspended.flag(str(key)):
                self.notes.unread.append(f"{suspended.name(str(key))}: scaling goes on all the same")
        target.ignoring(*known, *policy, "Region")
        if self._bounds not in (None, bounds):
            raise ParameterError(
                f"read_deployment: {target.name('MaxCapacity')}: source holds {len(self.targets)} scalable targets "
                f"with different bounds, {self._bounds} and {bounds}; give the one of this endpoint."
            )
        self._bounds = bounds

    def _policy(self, name: str, policy: Fields) -> TargetTracking | StepScaling:
        if self._bounds is None:
            raise ParameterError(
                f"read_deployment: {policy.name('MaxCapacity')} is missing; it stands in register_scalable_target: "
                "give that file too."
            )
        self.notes.assume("every variant follows the policy, whichever its ResourceId names")
        names = ("PolicyName", "PolicyType", "ServiceNamespace", "ResourceId", "ScalableDimension", "ScalingTargetId")
        tracking, stepping = (
            policy.inside("TargetTrackingScalingPolicyConfiguration"),
            policy.inside("StepScalingPolicyConfiguration"),
        )
        policy.ignoring(*names, "MinCapacity", "MaxCapacity", "Region")
        kind = str(policy.found.get("PolicyType", ""))
        if tracking is not None:
            return self._tracking(tracking)
        if stepping is not None:
            return self._stepping(name, policy, stepping)
        if kind not in ("", "TargetTrackingScaling", "StepScaling"):
            raise ParameterError(
                f"read_deployment: {policy.name('PolicyType')}={shortly(kind)} is not simulated; it should be "
                "TargetTrackingScaling or StepScaling."
            )
        wanted = (
            "StepScalingPolicyConfiguration" if kind == "StepScaling" else "TargetTrackingScalingPolicyConfiguration"
        )
        raise ParameterError(f"read_deployment: {policy.name(wanted)} is missing.")

    def _tracking(self, tracking: Fields) -> TargetTracking:
        metric, unit = _metric(tracking)
        target = tracking.number("TargetValue") * unit
        out, inward = tracking.number("ScaleOutCooldown", 300.0), tracking.number("ScaleInCooldown", 300.0)
        only_out = tracking.flag("DisableScaleIn")
        tracking.ignoring()
        assert self._bounds is not None
        lowest, highest = self._bounds
        return built(
            tracking.where,
            lambda: TargetTracking(
                target,
                metric=metric,  # type: ignore[arg-type]
                min_capacity=lowest,
                max_capacity=highest,
                out_cooldown_s=out,
                in_cooldown_s=inward,
                disable_scale_in=only_out,
            ),
        )

    def _stepping(self, name: str, policy: Fields, stepping: Fields) -> StepScaling:
        alarm = self._alarm_of(name, policy)
        metric, unit = _metric_named(alarm, "MetricName")
        steps = tuple(_step(each, unit) for each in stepping.several("StepAdjustments"))
        kinds = {each: each for each in ("ChangeInCapacity", "PercentChangeInCapacity", "ExactCapacity")}
        adjustment = stepping.choice("AdjustmentType", kinds, "ChangeInCapacity")
        least, cooldown = stepping.whole("MinAdjustmentMagnitude", 1), stepping.number("Cooldown", 300.0)
        stepping.ignoring()
        rule = _condition(alarm)
        assert self._bounds is not None
        lowest, highest = self._bounds
        return built(
            stepping.where,
            lambda: StepScaling(
                rule.threshold * unit,
                steps,
                metric=metric,  # type: ignore[arg-type]
                comparison=rule.comparison,  # type: ignore[arg-type]
                adjustment_type=adjustment,
                min_adjustment_magnitude=least,
                min_capacity=lowest,
                max_capacity=highest,
                datapoints=rule.datapoints,
                cooldown_s=cooldown,
                missing_data=rule.missing,  # type: ignore[arg-type]
                period_s=rule.period_s,
            ),
        )

    def _alarm_of(self, name: str, policy: Fields) -> Fields:
        """The alarm that names the policy in its actions, or the only one there is."""
        called = {name, str(policy.found.get("PolicyName", name))}
        for _, alarm in self.alarms:
            actions = alarm.found.get("AlarmActions")
            actions = actions if isinstance(actions, list) else [actions]
            if any(each in str(action) for action in actions for each in called if each):
                return alarm
        if len(self.alarms) == 1:
            return self.alarms[0][1]
        raise ParameterError(
            f"read_deployment: {policy.name('PolicyType')}='StepScaling' acts on an alarm that stands elsewhere; give "
            "its put_metric_alarm (AlarmActions, MetricName, Threshold) too."
        )


def _metric(tracking: Fields) -> tuple[str, float]:
    ready, own = tracking.inside("PredefinedMetricSpecification"), tracking.inside("CustomizedMetricSpecification")
    named = ready if ready is not None else own
    if named is None:
        raise ParameterError(f"read_deployment: {tracking.name('PredefinedMetricSpecification')} is missing.")
    return _metric_named(named, "PredefinedMetricType" if ready is not None else "MetricName")


def _metric_named(named: Fields, key: str) -> tuple[str, float]:
    if key not in named and named.found.get("Metrics"):
        raise ParameterError(f"read_deployment: {named.name('Metrics')} is metric math, and is not simulated.")
    name = named.text(key)
    if name not in _METRICS:
        raise ParameterError(
            f"read_deployment: {named.name(key)}={name!r} is not simulated; it should be one of {', '.join(_METRICS)}."
        )
    if name == "GPUUtilization":
        named.notes.assume("GPUUtilization is simulated as DutyCycle: the time in which an instance has a request")
    return _METRICS[name]


def _step(found: Fields, unit: float) -> Step:
    def bound(key: str) -> float | None:
        return found.number(key) * unit if key in found else None

    lower, upper = bound("MetricIntervalLowerBound"), bound("MetricIntervalUpperBound")
    change = found.whole("ScalingAdjustment")
    found.ignoring()
    return built(found.where, lambda: Step(change, lower=lower, upper=upper))


def _schedule(found: Fields) -> ScheduledScaling:
    when, action = found.text("Schedule"), found.inside("ScalableTargetAction")
    timezone = found.text("Timezone", "UTC")
    known = ("ScheduledActionName", "ServiceNamespace", "ResourceId", "ScalableDimension", "StartTime", "EndTime")
    found.ignoring(*known)
    if action is None:
        raise ParameterError(f"read_deployment: {found.name('ScalableTargetAction')} is missing.")
    lowest = action.whole("MinCapacity") if "MinCapacity" in action else None
    highest = action.whole("MaxCapacity") if "MaxCapacity" in action else None
    return built(
        found.where, lambda: ScheduledScaling(when, min_capacity=lowest, max_capacity=highest, timezone=timezone)
    )


# --- alarms -----------------------------------------------------------------------------------------------------------


class _Condition(NamedTuple):
    """When an alarm goes off; the threshold in CloudWatch's unit."""

    threshold: float
    comparison: str
    datapoints: int
    period_s: float
    missing: str


def _condition(alarm: Fields) -> _Condition:
    threshold, comparison = alarm.number("Threshold"), alarm.choice("ComparisonOperator", _COMPARISONS)
    periods, period_s = alarm.whole("EvaluationPeriods", 1), alarm.number("Period", 60.0)
    enough = alarm.whole("DatapointsToAlarm", periods)
    if enough != periods:
        alarm.notes.assume(f"{alarm.name('DatapointsToAlarm')}={enough} of {periods} is simulated as {enough} in a row")
    missing = alarm.choice("TreatMissingData", _MISSING, "missing")
    alarm.taken |= {"MetricName", "Statistic", "Dimensions", "Namespace"}
    alarm.ignoring("AlarmName", "AlarmDescription", "ActionsEnabled", "AlarmActions", "OKActions", "Tags", "Unit",
                   "InsufficientDataActions")  # fmt: skip
    return _Condition(threshold, comparison, enough, period_s, missing)


def rollback_alarms(names: Fields, alarms: Named) -> tuple[Alarm, ...]:
    """The alarms that an update's `Alarms` name, of those whose definition is given; of the others it is told."""
    made = []
    for each in names.several("Alarms"):
        name = each.text("AlarmName")
        alarm = next((a for called, a in alarms if name in (called, str(a.found.get("AlarmName")))), None)
        if alarm is None:
            names.notes.unread.append(f"{each.name('AlarmName')}={name}: only its name; give its put_metric_alarm too")
            continue
        metric, unit = _METRICS.get(str(alarm.found.get("MetricName")), ("", 1.0))
        if metric == "Invocation5XXErrors" and str(alarm.found.get("Statistic")) == "Average":
            metric = "ErrorRate"  # CloudWatch's average of zeros and ones
        if metric not in get_args(Watched):
            names.notes.unread.append(f"{alarm.name('MetricName')}={alarm.found.get('MetricName')} is not watched")
            alarm.taken.add("MetricName")
            continue
        rule = _condition(alarm)
        settings: dict[str, Any] = {
            "comparison": rule.comparison,
            "period_s": rule.period_s,
            "datapoints": rule.datapoints,
            "missing_data": rule.missing,
        }
        made.append(built(alarm.where, lambda m=metric, r=rule, u=unit, s=settings: Alarm(m, r.threshold * u, **s)))  # type: ignore[misc]
    return tuple(made)


def unused(alarms: Named) -> Iterator[str]:
    """Alarms that neither start a policy nor turn an update back."""
    for _, alarm in alarms:
        if not alarm.taken:
            yield f"{alarm.name('MetricName')} of an alarm that starts nothing here"
