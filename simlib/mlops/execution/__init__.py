"""One execution of a pipeline: each step that runs is a SimPy process, and this is its story.

    needs met ─▶ ready ──dispatcher: a place and machines──▶ executing ─▶ attempt ─▶ attempt ─▶ succeeded | failed
                                                               └ cache hit: over at once, for nothing

`execution` decides which steps run, `dispatcher` when, `life` is what happens to one, `groups` to a group or a loop;
`effects` is what a step leaves behind, `costs` what it costs, `report` what came of it all.
"""

from simlib.mlops.execution.execution import Execution

__all__ = ["Execution"]
