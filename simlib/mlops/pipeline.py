"""A pipeline: steps, parameters, and the edges that follow from what steps read and say.

    >>> from simlib import mlops
    >>> prepare = mlops.ProcessingStep("prepare", outputs=("train",), duration=300)
    >>> train = mlops.TrainingStep("train", inputs={"train": prepare.output("train")}, duration=900)
    >>> pipeline = mlops.Pipeline("churn", steps=[prepare, train])
    >>> pipeline.edges
    (('prepare', 'train'),)
    >>> pipeline.run().makespan_s
    1200.0

Whatever cannot be run is refused when the pipeline is made, in one sentence that names the step.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pandas as pd
import simpy
from pydantic import BeforeValidator

from simlib import plots
from simlib.mlops.durations import DurationModel
from simlib.mlops.references import Parameter, head
from simlib.mlops.retries import OnFailure
from simlib.mlops.steps import ConditionStep, FailStep, ForEachStep, GroupStep, PipelineStep, _steps
from simlib.parameters import ParameterError, Text, config, nearest
from simlib.plots.pipelines import ends
from simlib.simulation import Simulation

if TYPE_CHECKING:
    from simlib.mlops.execution import Execution

Why = Literal["data", "explicit", "branch"]


@dataclass(frozen=True)
class Level:
    """Steps that share their names: those of the pipeline, or those of a group; branches of conditions included.

    `needs[b][a]` says why b needs a; `branch[b]` is the condition b stands under and the side of it.
    """

    path: str
    steps: Mapping[str, PipelineStep]
    needs: Mapping[str, Mapping[str, Why]]
    branch: Mapping[str, tuple[str, bool]]
    groups: Mapping[str, "Level"]

    def all_levels(self) -> Iterator["Level"]:
        """This level and those inside it."""
        yield self
        for inner in self.groups.values():
            yield from inner.all_levels()

    @cached_property
    def graph(self) -> Any:
        """The steps of this level and their edges, for networkx."""
        import networkx as nx

        graph = nx.DiGraph()
        graph.add_nodes_from(self.steps)
        graph.add_edges_from((each, name) for name, needs in self.needs.items() for each in needs)
        return graph

    @cached_property
    def needed_by(self) -> dict[str, list[str]]:
        """For each step, the steps that need it."""
        found: dict[str, list[str]] = {name: [] for name in self.steps}
        for name, needs in self.needs.items():
            for each in needs:
                found[each].append(name)
        return found


def _level(steps: Sequence[PipelineStep], path: str, outer: frozenset[str]) -> tuple[Level, dict[str, set[str]]]:
    """The level of *steps*, and which of the *outer* names each of its steps needs.

    Raises
    ------
    ValueError
        In one sentence that names the step.
    """
    found: dict[str, PipelineStep] = {}
    branch: dict[str, tuple[str, bool]] = {}
    for step, under in _flat(steps, None):
        if step.name in found:
            raise ValueError(_twice(step.name, branch.get(step.name), under))
        found[step.name] = step
        if under is not None:
            branch[step.name] = under
    names = outer | found.keys()
    groups: dict[str, Level] = {}
    needs: dict[str, dict[str, Why]] = {}
    outside: dict[str, set[str]] = {}
    for name, step in found.items():
        inner_needs: set[str] = set()
        if isinstance(step, GroupStep):
            groups[name], of_inner = _level(step.steps, f"{path}{name}/", names)
            inner_needs = set().union(*of_inner.values())
        needs[name] = _needs(step, branch.get(name), inner_needs, names)
        outside[name] = {each for each in needs[name] if each not in found}
        needs[name] = {each: why for each, why in needs[name].items() if each in found}
    level = Level(path, found, needs, branch, groups)
    _check_order(level)
    return level, outside


def _flat(steps: Sequence[PipelineStep], under: tuple[str, bool] | None) -> Iterator[tuple[PipelineStep, Any]]:
    """Each step with the condition it stands under, in the order in which they are written."""
    for step in steps:
        yield step, under
        if isinstance(step, ConditionStep):
            yield from _flat(step.if_steps, (step.name, True))
            yield from _flat(step.else_steps, (step.name, False))


def _twice(name: str, first: tuple[str, bool] | None, second: tuple[str, bool] | None) -> str:
    if first and second and first[0] == second[0] and first[1] != second[1]:
        return f"step {name!r} is in both branches of condition {first[0]!r}; give each branch a step of its own."
    return f"there are two steps called {name!r}; names should be unique."


def _needs(step: PipelineStep, under: Any, inner: set[str], names: frozenset[str]) -> dict[str, Why]:
    """The steps that *step* needs, each with the first reason found: data before what is said before its branch."""
    needs: dict[str, Why] = {}
    targets = [head(target) for target in step.targets]
    read = [name for root, name, _ in targets if root == "Steps"]
    for why, wanted in (("data", read), ("explicit", step.depends_on), ("data", sorted(inner))):
        for each in wanted:
            if each not in names:
                words = f"reads what {each!r} makes" if why == "data" else f"depends on {each!r}"
                raise ValueError(
                    f"step {step.name!r} {words}, but there is no such step; {nearest(each, sorted(names))}"
                )
            needs.setdefault(each, why)  # type: ignore[arg-type]
    if under is not None:
        needs.setdefault(under[0], "branch")
    return needs


def _check_order(level: Level) -> None:
    """No circle, and nothing after a Fail step."""
    import networkx as nx

    for name, needs in level.needs.items():
        for each in needs:
            if isinstance(level.steps[each], FailStep):
                raise ValueError(f"step {name!r} depends on {each!r}, but nothing may depend on a FailStep.")
    if not nx.is_directed_acyclic_graph(level.graph):
        circle = [edge[0] for edge in nx.find_cycle(level.graph)]
        raise ValueError(f"steps {' → '.join([*circle, circle[0]])} wait for each other in a circle.")


@config
class Pipeline:
    """Steps in an order that follows from what they need.

    Parameters
    ----------
    name : str
        Executions of pipelines of one name share the cache.
    steps : sequence of steps
        Order of the list decides who goes first where several could.
    parameters : sequence of Parameter
        Values that may be given at the start.
    on_failure : "finish_running" | "continue" | "stop"
        After a step has failed for good: start nothing new (assumption for SageMaker), go on with what does not need
        it, or stop what runs.
    notes : tuple of str
        What a reader of a file had to assume.
    """

    name: Text
    steps: Annotated[Sequence[PipelineStep], BeforeValidator(_steps)] = field(kw_only=True)
    parameters: tuple[Parameter, ...] = field(default=(), kw_only=True)
    on_failure: OnFailure = field(default="finish_running", kw_only=True)
    description: str = field(default="", kw_only=True)
    notes: tuple[str, ...] = field(default=(), kw_only=True)

    def __post_init__(self) -> None:
        if not self.steps:
            raise ValueError(f"steps={self.steps!r} of {self.name!r} should hold at least one step.")
        names = [parameter.name for parameter in self.parameters]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"there are two parameters called {name!r}; names should be unique.")
        known = set(names)
        for level in self.level.all_levels():
            for step in level.steps.values():
                for target in step.targets:
                    root, name, _ = head(target)
                    if root == "Parameters" and name not in known:
                        hint = nearest(name, names) if names else "the pipeline has none."
                        raise ValueError(f"step {step.name!r} reads parameter {name!r}, which does not exist; {hint}")

    # --- what follows from the steps ---

    @cached_property
    def level(self) -> Level:
        """The steps by name, and what each needs."""
        return _level(self.steps, "", frozenset())[0]

    @cached_property
    def graph(self) -> Any:
        """A networkx graph of all steps, groups' steps as "group/step"; edges carry `why`: data, explicit or branch."""
        import networkx as nx

        graph = nx.DiGraph()
        for level in self.level.all_levels():
            graph.add_nodes_from((level.path + name, {"type": step.type}) for name, step in level.steps.items())
            for name, needs in level.needs.items():
                graph.add_edges_from(
                    (level.path + each, level.path + name, {"why": why}) for each, why in needs.items()
                )
        return graph

    @cached_property
    def edges(self) -> tuple[tuple[str, str], ...]:
        """Every (before, after), once however many reasons it has; in `graph` each carries the first reason."""
        return tuple(self.graph.edges)

    def __len__(self) -> int:
        return sum(len(level.steps) for level in self.level.all_levels())

    def step(self, name: str) -> PipelineStep:
        """The step called *name*; inside groups "group/step".

        Raises
        ------
        ParameterError
            If there is none.
        """
        path, _, last = name.rpartition("/")
        for level in self.level.all_levels():
            if level.path == path + "/" * bool(path) and last in level.steps:
                return level.steps[last]
        raise ParameterError(f"{self.name} has no step {name!r}; {nearest(name, self.graph.nodes)}")

    def critical_path(self, durations: DurationModel | None = None) -> tuple[tuple[str, ...], float]:
        """The longest chain of expected durations, with unlimited machines and every branch taken: (steps, seconds).

        With constant durations and no conditions, failures or limits, an execution takes exactly so long; with random
        ones longer on average, for the expected maximum is at least the maximum of the expectations.
        """
        return _longest(self.level, durations or DurationModel())

    # --- as text, picture and definition ---

    def text(self) -> str:
        """The steps in an order in which they could run, each with what it needs."""
        import networkx as nx

        lines = [f"{self.name}: {self._counted()}"]
        for level in self.level.all_levels():
            place = {name: k for k, name in enumerate(level.steps)}
            for name in nx.lexicographical_topological_sort(level.graph, key=place.__getitem__):
                lines.append(self._line(level, name))
        return "\n".join(lines)

    def _line(self, level: Level, name: str) -> str:
        side = level.branch.get(name)
        needed = [each for each in level.needs[name] if not side or each != side[0]]
        words = f"  {level.path}{name} ({level.steps[name].type})"
        if side:
            words += f" {'if' if side[1] else 'unless'} {side[0]}"
        return words + f" after {', '.join(needed)}" * bool(needed)

    def _counted(self) -> str:
        whys = [why for _, _, why in self.graph.edges(data="why")]
        kinds = ", ".join(f"{whys.count(why)} {why}" for why in ("data", "explicit", "branch") if why in whys)
        steps, edges = (f"{n} {word}{'s' * (n != 1)}" for n, word in ((len(self), "step"), (len(whys), "edge")))
        return f"{steps}, {edges}" + f" ({kinds})" * bool(kinds)

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        return f"<Pipeline {self.name}: {self._counted()}>"

    def draw(self, *, at_most: int = 60, title: str = "") -> "plots.Words":
        """A picture in layers, each step below what it needs; more than *at_most* steps are drawn as counts."""
        layer_of = self._layers()
        rows = [(name, self.graph.nodes[name]["type"], layer) for name, layer in layer_of.items()]
        frame = pd.DataFrame(rows, columns=["step", "type", "layer"]).set_index("step")
        inside = [
            (level.path + name, inner.path + first, "inside")
            for level in self.level.all_levels()
            for name, inner in level.groups.items()
            for first, needs in inner.needs.items()
            if not needs
        ]
        edges = pd.DataFrame([*self.graph.edges(data="why"), *inside], columns=["source", "target", "why"])
        return plots.dag(frame, edges, at_most=at_most, title=title or f"{ends(self.name, 36)}: {self._counted()}")

    def _layers(self) -> dict[str, int]:
        """How many steps come before each at least; a group's steps come after what the group needs."""
        import networkx as nx

        graph = self.graph.copy()
        for level in self.level.all_levels():
            for name, inner in level.groups.items():
                outer = level.path + name
                graph.add_edges_from((outer, inner.path + each) for each in inner.steps)
                after = [level.path + each for each in level.needed_by[name]]
                graph.add_edges_from((inner.path + each, later) for each in inner.steps for later in after)
        return {name: k for k, layer in enumerate(nx.topological_generations(graph)) for name in layer}

    def to_definition(self) -> dict[str, Any]:
        """The pipeline in SageMaker's JSON, as a dict (`json.dumps` makes it a file).

        Groups and loops over a written-out list become single steps; what SageMaker cannot say is refused.
        """
        from simlib.mlops.definitions.sagemaker_writer import to_definition

        return to_definition(self)

    # --- running ---

    def run(self, sim: Simulation | None = None, **options: Any) -> "Execution":
        """Run to the end on the clock of *sim* (default: a new one), and return what came of it.

        The options are those of `start`.
        """
        execution = self.start(Simulation() if sim is None else sim, **options)
        execution.finish()
        return execution

    def start(self, sim: Simulation, **options: Any) -> "Execution":
        """Start an execution on *sim*, beside whatever else runs there; see `Execution` for the options."""
        from simlib.mlops.execution import Execution

        return Execution(self, sim, **options)

    def __call__(self, sim: Simulation) -> Generator[simpy.Event, Any, Any]:
        """The story `sim.start(pipeline)` runs: it starts an execution and waits for its end."""
        execution = self.start(sim)
        yield execution.process
        return execution

    def replace(self, **changes: Any) -> "Pipeline":
        """This pipeline with other *changes*, for instance steps=…"""
        return replace(self, **changes)


def _longest(level: Level, durations: DurationModel) -> tuple[tuple[str, ...], float]:
    import networkx as nx

    ends: dict[str, float] = {}
    before: dict[str, str | None] = {}
    inside: dict[str, tuple[str, ...]] = {}
    for name in nx.topological_sort(level.graph):
        before[name] = max(level.needs[name], key=ends.__getitem__, default=None)
        inside[name], seconds = _expected(level, name, durations)
        ends[name] = ends.get(before[name] or "", 0.0) + seconds
    chain: list[str] = []
    at = last = max(ends, key=ends.__getitem__, default=None)
    while at is not None:
        chain[:0] = [level.path + at, *inside[at]]
        at = before[at]
    return tuple(chain), ends[last] if last else 0.0


def _expected(level: Level, name: str, durations: DurationModel) -> tuple[tuple[str, ...], float]:
    """Expected seconds of a step, start-up and all; for a group, those of its longest chain, times its rounds."""
    step = level.steps[name]
    if isinstance(step, GroupStep):
        inside, seconds = _longest(level.groups[name], durations)
        rounds = 1
        if isinstance(step, ForEachStep) and isinstance(step.over, list) and step.max_parallel:
            rounds = -(-len(step.over) // step.max_parallel)
        return inside, seconds * rounds
    return (), durations.expected_s(step)
