"""Designer, small: blocks put together by hand become a pipeline that runs.

    >>> made = compose(["Import data", "Split data", "Train model", "Score model", "Evaluate model"])
    >>> made.edges[-1]
    ('Score model', 'Evaluate model')

A block takes what it needs from the nearest block before it that gives it, as when a line is drawn from port to port.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from simlib.mlops import EvaluationStep, Pipeline, ProcessingStep, RegisterModelStep, TrainingStep, TransformStep
from simlib.mlops.steps import PipelineStep
from simlib.parameters import ParameterError, Text, checked, nearest


class Block(NamedTuple):
    """A block of the palette: the kind of step it becomes, what it needs, what it gives."""

    kind: type[PipelineStep]
    needs: tuple[str, ...]
    gives: tuple[str, ...]
    seconds: float


PALETTE = {
    "Import data": Block(ProcessingStep, (), ("data",), 60.0),
    "Select columns": Block(ProcessingStep, ("data",), ("data",), 20.0),
    "Clean missing data": Block(ProcessingStep, ("data",), ("data",), 40.0),
    "Normalize data": Block(ProcessingStep, ("data",), ("data",), 40.0),
    "Split data": Block(ProcessingStep, ("data",), ("training data", "test data"), 20.0),
    "Train model": Block(TrainingStep, ("training data",), ("model",), 600.0),
    "Tune model": Block(TrainingStep, ("training data",), ("model",), 3600.0),
    "Score model": Block(TransformStep, ("model", "test data"), ("scores",), 60.0),
    "Evaluate model": Block(EvaluationStep, ("scores",), ("metrics",), 30.0),
    "Register model": Block(RegisterModelStep, ("model",), (), 5.0),
}
"""Blocks under the names of Azure ML's Designer or close to them; the seconds are an assumption."""


@checked
def compose(blocks: Sequence[Text], *, name: Text = "designed") -> Pipeline:
    """The pipeline of *blocks*, in this order, each once.

    Raises
    ------
    ParameterError
        If a block is unknown or stands twice, or needs what no block before it gives.
    """
    giver: dict[str, str] = {}
    steps: list[PipelineStep] = []
    for each in blocks:
        if each not in PALETTE:
            raise ParameterError(f"compose: there is no block {each!r}; {nearest(each, PALETTE)}")
        if each in [step.name for step in steps]:
            raise ParameterError(f"compose: {each!r} stands twice.")
        block = PALETTE[each]
        for need in block.needs:
            if need not in giver:
                givers = " or ".join(repr(other) for other, made in PALETTE.items() if need in made.gives)
                raise ParameterError(f"compose: {each!r} needs {need}: put {givers} before it.")
        before = tuple(dict.fromkeys(giver[need] for need in block.needs))
        make: Any = block.kind
        steps.append(make(each, depends_on=before, duration=block.seconds))
        giver |= dict.fromkeys(block.gives, each)
    return Pipeline(name, steps=steps)


@checked
def board(
    blocks: Sequence[Text] = ("Import data", "Split data", "Train model", "Score model", "Evaluate model"),
) -> Any:
    """A control for Jupyter: tick blocks, and see the pipeline, or the sentence that says what is missing."""
    import ipywidgets  # type: ignore[import-untyped]

    ticks = [ipywidgets.Checkbox(each in blocks, description=each, indent=False) for each in PALETTE]
    picture = ipywidgets.Output()

    def show(_: object = None) -> None:
        with picture:
            picture.clear_output(wait=True)
            try:
                print(compose([tick.description for tick in ticks if tick.value]).draw())
            except ParameterError as error:
                print(error)

    for tick in ticks:
        tick.observe(show, names="value")
    show()
    return ipywidgets.HBox([ipywidgets.VBox(ticks), picture])
