"""The DeploymentConfig of SageMaker's update_endpoint and CloudFormation's Endpoint, as a rollout that simulates."""

from typing import Any

from simlib.parameters import ParameterError
from simlib.platforms.descriptors.autoscaling import Named, rollback_alarms
from simlib.platforms.descriptors.reading import Fields, built
from simlib.serving import Alarm, AllAtOnce, Canary, Linear, Rolling

Rollout = AllAtOnce | Canary | Linear | Rolling


def rollout_of(found: Fields, instances: int, alarms: Named) -> Rollout | None:
    """How the endpoint is updated; None where nothing is said.  A size in instances is out of so many *instances*.

    Alarms are named only; those whose definition is among *alarms* watch the rollout.
    """
    config = found.inside("DeploymentConfig")
    if config is None:
        return None
    blue_green, rolling = config.inside("BlueGreenUpdatePolicy"), config.inside("RollingUpdatePolicy")
    back = config.inside("AutoRollbackConfiguration")
    config.ignoring()
    watching = rollback_alarms(back, alarms) if back is not None else ()
    if rolling is not None:
        return _rolling(rolling, instances, watching)
    return None if blue_green is None else _blue_green(blue_green, instances, watching)


def _rolling(found: Fields, instances: int, alarms: tuple[Alarm, ...]) -> Rolling:
    size = _percent(found, "MaximumBatchSize", instances)
    bake = found.number("WaitIntervalInSeconds", 0.0)
    patience = found.number("MaximumExecutionTimeoutInSeconds", 28_800.0)
    extra: dict[str, Any] = {"alarms": alarms}
    if "RollbackMaximumBatchSize" in found:
        extra["rollback_batch_percent"] = _percent(found, "RollbackMaximumBatchSize", instances)
    found.ignoring()
    return built(found.where, lambda: Rolling(size, bake_s=bake, maximum_execution_timeout_s=patience, **extra))


def _blue_green(found: Fields, instances: int, alarms: tuple[Alarm, ...]) -> AllAtOnce | Canary | Linear:
    routing = found.inside("TrafficRoutingConfiguration")
    if routing is None:
        raise ParameterError(f"read_deployment: {found.name('TrafficRoutingConfiguration')} is missing.")
    kind = routing.choice("Type", {each: each for each in ("ALL_AT_ONCE", "CANARY", "LINEAR")})
    settings: dict[str, Any] = {
        "alarms": alarms,
        "bake_s": routing.number("WaitIntervalInSeconds", 0.0),
        "termination_wait_s": found.number("TerminationWaitInSeconds", 0.0),
        "maximum_execution_timeout_s": found.number("MaximumExecutionTimeoutInSeconds", 28_800.0),
    }
    found.ignoring()
    if kind == "ALL_AT_ONCE":
        routing.ignoring("CanarySize", "LinearStepSize")
        return built(routing.where, lambda: AllAtOnce(**settings))
    size = _percent(routing, "CanarySize" if kind == "CANARY" else "LinearStepSize", instances)
    routing.ignoring("CanarySize", "LinearStepSize")
    made = Canary if kind == "CANARY" else Linear
    return built(routing.where, lambda: made(size, **settings))


def _percent(found: Fields, key: str, instances: int) -> float:
    """A size in percent of the fleet, or in instances of it."""
    size = found.inside(key)
    if size is None:
        raise ParameterError(f"read_deployment: {found.name(key)} is missing; it should hold Type and Value.")
    kind = size.choice("Type", {each: each for each in ("CAPACITY_PERCENT", "INSTANCE_COUNT")})
    value = size.number("Value")
    size.ignoring()
    return value if kind == "CAPACITY_PERCENT" else min(100.0, 100 * value / max(1, instances))
