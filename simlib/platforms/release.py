"""One release on each platform: who stops a model that nobody has approved, and until when.

SageMaker's registry knows versions that wait for approval.  On the other two a gate has to be put into the pipeline or
the delivery tool around it (Azure DevOps, Cloud Deploy); without one, what passes its tests is live at once.
"""

from datetime import datetime, timedelta

import pandas as pd

from simlib.mlops import (
    ApprovalStep,
    EndpointStep,
    EvaluationStep,
    Person,
    Pipeline,
    ProcessingStep,
    RegisterModelStep,
    TrainingStep,
    WorkingHours,
)
from simlib.mlops.steps import PipelineStep
from simlib.model import constant
from simlib.parameters import Flag, Whole, checked
from simlib.platforms.features import features
from simlib.platforms.fields import PLATFORMS
from simlib.simulation import Simulation

WHERE_A_GATE_STANDS = {
    "sagemaker": "Model Registry: PendingManualApproval",
    "vertex": "Cloud Deploy: approval of a rollout",
    "azureml": "Azure DevOps: approval of an environment",
}
"""The gate a team would use; of the registries only SageMaker's is known to have one.  That the delivery tools have
theirs is own knowledge (U)."""

APPROVER = Person("Ana", hours=WorkingHours(timezone="Europe/Madrid"))


@checked
def release(
    *, start: str = "2026-03-06T17:00Z", gates_added: Flag = False, approver: Person = APPROVER, seed: Whole = 0
) -> pd.DataFrame:
    """The same release on each platform, begun on a Friday evening: with the registry's own gate, or with gates added.

    Parameters
    ----------
    start : str
        When it begins.
    gates_added : bool
        Whether the teams on Vertex AI and Azure ML have put a gate of their own around the registry.
    approver : Person
        Who is asked, at working hours.
    seed : int

    Returns
    -------
    DataFrame
        Index platform; gate (where it stands, or "none"), approved_by ("nobody" without a gate), live_at (UTC), hours
        until then, and note: "unverified" where the matrix's row on approval is.
    """
    rows = {}
    for platform in PLATFORMS:
        row = features("approval in the registry", platform=platform).iloc[0]
        gated = row["status"] == "GA" or gates_added
        sim = Simulation(seed, start=start)
        execution = _pipeline(gated, approver).run(sim)
        begun = datetime.fromisoformat(start.replace("Z", "+00:00"))
        live_at = begun + timedelta(seconds=execution.makespan_s)
        gate = WHERE_A_GATE_STANDS[platform] if gated else "none"
        who = approver.name if gated else "nobody"
        rows[platform] = (gate, who, f"{live_at:%a %Y-%m-%d %H:%M}", execution.makespan_s / 3600, row["note"])
    columns = ["gate", "approved_by", "live_at", "hours", "note"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("platform")


def _pipeline(gated: bool, approver: Person) -> Pipeline:
    """Prepare, train, evaluate, register, perhaps approve, deploy; times are assumptions, the same everywhere."""
    prepare = ProcessingStep("prepare", outputs=("train", "test"), duration=constant(900))
    train = TrainingStep("train", inputs={"train": prepare.output("train")}, duration=constant(3600))
    evaluate = EvaluationStep("evaluate", inputs={"model": train.output()}, duration=constant(600))
    register = RegisterModelStep("register", inputs={"model": train.output()}, depends_on=evaluate)
    steps: list[PipelineStep] = [prepare, train, evaluate, register]
    if gated:
        steps.append(ApprovalStep("approve", person=approver, register=register))
    return Pipeline("release", steps=[*steps, EndpointStep("deploy", depends_on=steps[-1])])
