"""The same releases twice: by people who run notebooks, and by a pipeline.

    >>> from simlib.mlops import releases
    >>> table = releases.compare(releases=20, seed=7)
    >>> list(table.columns)
    ['by hand', 'by pipeline']
    >>> float(table.loc["reproducible share", "by pipeline"])
    1.0

Both do the same work: prepare, train, evaluate, register, approve, deploy.  What differs is written down as assumptions
in `ByHand` and `ByPipeline`: change them, for the result is only as good as they are.
"""

from collections.abc import Generator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pandas as pd
import simpy

from simlib.mlops.people import Person, WorkingHours
from simlib.mlops.pipeline import Pipeline
from simlib.mlops.steps import (
    ApprovalStep,
    EndpointStep,
    EvaluationStep,
    ProcessingStep,
    RegisterModelStep,
    TrainingStep,
)
from simlib.model import Law, lognormal
from simlib.parameters import Count, Positive, Share, Whole, checked, config
from simlib.simulation import Simulation

STEPS = ("prepare", "train", "evaluate", "register", "approve", "deploy")
WORK: dict[str, Law] = {
    "prepare": lognormal(mean=900, cv=0.3),
    "train": lognormal(mean=3600, cv=0.3),
    "evaluate": lognormal(mean=600, cv=0.3),
}
"""Machine time of a release [s], the same both ways (assumption)."""

OFFICE = WorkingHours(timezone="Europe/Madrid")


@config
class ByHand:
    """People run notebooks; each of these figures is an assumption.

    Parameters
    ----------
    hands_on : Law
        A person's own work at each step: open, change paths, run, look [s of working time].
    notices_after : Law
        Working time until somebody sees that a run has finished [s].
    forgets : float
        Chance, per release and for each of evaluate and register, that the step is left out.
    mistake : float
        Chance per step of a wrong path, a stale cell or an old file; the release then fails once it is live.
    unrecorded : float
        Chance per release that data, code or package versions were not written down.
    approver, owner : Person
        Who decides, and who does the work.
    """

    hands_on: Law = field(default=lognormal(mean=1200, cv=0.5), kw_only=True)
    notices_after: Law = field(default=lognormal(mean=2400, cv=1.0), kw_only=True)
    forgets: Share = field(default=0.05, kw_only=True)
    mistake: Share = field(default=0.04, kw_only=True)
    unrecorded: Share = field(default=0.30, kw_only=True)
    approver: Person = field(default=Person("approver", hours=OFFICE), kw_only=True)
    owner: Person = field(default=Person("owner", hours=OFFICE), kw_only=True)


@config
class ByPipeline:
    """A pipeline runs the same steps; a person still approves.

    `bad_input` is the chance that what goes in is wrong in a way that no step checks (assumption).
    """

    bad_input: Share = field(default=0.03, kw_only=True)
    approver: Person = field(default=Person("approver", hours=OFFICE), kw_only=True)

    def pipeline(self) -> Pipeline:
        """The release as a pipeline."""
        prepare = ProcessingStep("prepare", outputs=("train", "test"), duration=WORK["prepare"])
        train = TrainingStep("train", inputs={"train": prepare.output("train")}, duration=WORK["train"])
        evaluate = EvaluationStep(
            "evaluate", inputs={"model": train.output(), "test": prepare.output("test")}, duration=WORK["evaluate"]
        )
        register = RegisterModelStep("register", inputs={"model": train.output()}, depends_on=evaluate)
        approve = ApprovalStep("approve", person=self.approver, register=register)
        deploy = EndpointStep("deploy", depends_on=approve)
        return Pipeline("release", steps=[prepare, train, evaluate, register, approve, deploy])


@dataclass
class Release:
    """One release: when it was wanted, when it was live, whether it failed there, and whether it can be made again."""

    number: int
    wanted_s: float
    live_s: float
    failed: bool
    reproducible: bool

    @property
    def lead_time_h(self) -> float:
        """Hours from wanting it to having it."""
        return (self.live_s - self.wanted_s) / 3600


Story = Generator[simpy.Event, Any, None]


def _by_hand(sim: Simulation, how: ByHand, number: int, made: list[Release]) -> Story:
    """Step after step: somebody works, a machine runs, somebody notices; and each time something may be forgotten."""
    wanted, rng = sim.env.now, sim.rng("by hand", str(number))

    def draw(law: Law) -> float:
        return float(law.sample(1, rng)[0])

    def until(moment: datetime) -> simpy.Event:
        return sim.env.timeout((moment - sim.date()).total_seconds())

    failed, reproducible = False, bool(rng.random() >= how.unrecorded)
    for step in STEPS:
        if step in ("evaluate", "register") and rng.random() < how.forgets:
            reproducible = reproducible and step != "register"
            failed = failed or (step == "evaluate" and rng.random() < 0.5)  # half of what nobody looked at is bad
            continue
        yield until(how.owner.hours.after(sim.date(), draw(how.hands_on)))
        if step in WORK:
            yield sim.env.timeout(float(WORK[step].sample(1, sim.rng("work", step, str(number)))[0]))
            yield until(how.owner.hours.after(sim.date(), draw(how.notices_after)))
        if step == "approve":
            yield until(how.approver.answers_at(sim.date(), draw))
        failed = failed or bool(rng.random() < how.mistake)
    made.append(Release(number, wanted, sim.env.now, failed, reproducible))


def _by_pipeline(sim: Simulation, how: ByPipeline, number: int, made: list[Release]) -> Story:
    """Start the pipeline and wait; whoever approves is the only person in it."""
    wanted, luck = sim.env.now, sim.rng("by pipeline", str(number)).random()
    works = {step: float(law.sample(1, sim.rng("work", step, str(number)))[0]) for step, law in WORK.items()}
    execution = how.pipeline().start(sim, durations=works)
    yield execution.process
    made.append(Release(number, wanted, sim.env.now, bool(luck < how.bad_input), reproducible=True))


@checked
def simulate(
    how: ByHand | ByPipeline,
    *,
    releases: Count = 20,
    every_days: Positive = 7.0,
    seed: Whole = 0,
    replication: Whole = 0,
    start: str = "2026-03-02T10:00Z",
) -> pd.DataFrame:
    """*releases* releases, one wanted every *every_days* days; one row each: lead_time_h failed reproducible."""
    sim = Simulation(seed, start=start, replication=replication)
    made: list[Release] = []

    def story(sim: Simulation) -> Story:
        for number in range(releases):
            if isinstance(how, ByHand):
                sim.start(_by_hand(sim, how, number, made))
            else:
                sim.start(_by_pipeline(sim, how, number, made))
            yield sim.env.timeout(every_days * 86400)

    sim.start(story)
    sim.env.run()
    made.sort(key=lambda each: each.number)
    return pd.DataFrame(
        [[each.wanted_s, each.live_s, each.lead_time_h, each.failed, each.reproducible] for each in made],
        columns=["wanted_s", "live_s", "lead_time_h", "failed", "reproducible"],
        index=pd.Index([each.number for each in made], name="release"),
    )


@checked
def compare(
    by_hand: ByHand | None = None,
    by_pipeline: ByPipeline | None = None,
    *,
    releases: Count = 20,
    seed: Whole = 0,
    replication: Whole = 0,
) -> pd.DataFrame:
    """The same releases both ways: median and longest lead time, failed releases, reproducible share."""
    ways: dict[str, ByHand | ByPipeline] = {
        "by hand": by_hand or ByHand(),
        "by pipeline": by_pipeline or ByPipeline(),
    }
    columns = {}
    for name, how in ways.items():
        frame = simulate(how, releases=releases, seed=seed, replication=replication)
        columns[name] = {
            "median lead time [h]": frame["lead_time_h"].median(),
            "longest lead time [h]": frame["lead_time_h"].max(),
            "failed releases": float(frame["failed"].sum()),
            "reproducible share": frame["reproducible"].mean(),
        }
    return pd.DataFrame(columns)
