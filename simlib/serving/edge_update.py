"""A new version for a fleet, in stages: offered to a few, looked at, offered to more; stopped where it fails.

    offered ──device connected, download, signature, health check──▶ updated | refused | failed ──▶ reported

The update and each device that is offered a version are SimPy processes.
"""

import math
from collections.abc import Generator
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import numpy as np
import simpy

from simlib.serving.edge import Update
from simlib.turns import LIFE, POLICY, pause

if TYPE_CHECKING:
    from simlib.serving.edge_fleet import EdgeFleet

Story = Generator[simpy.Event, Any, None]


class Outcome(IntEnum):
    """What became of the update on a device."""

    NONE, OFFERED, UPDATED, REFUSED, FAILED, WITHDRAWN, ROLLED_BACK = range(7)


class UpdateStory:
    """The course of one update.

    Attributes
    ----------
    outcome : numpy.ndarray of Outcome, shape (devices,)
    updated_s : numpy.ndarray, shape (devices,)
        When each got the new version [s], infinite if it has not.
    """

    def __init__(self, fleet: "EdgeFleet", chosen: Update) -> None:
        self.fleet, self.chosen, self.env = fleet, chosen, fleet.sim.env
        count = fleet.deployment.count
        rng = fleet.sim.rng(fleet.name, "update")
        self._order = rng.permutation(count)
        self._fails = rng.random(count) < chosen.failure_share
        self.outcome = np.full(count, Outcome.NONE)
        self.updated_s = np.full(count, np.inf)
        key = fleet.deployment.key
        self._refusal = ""
        if key is not None:
            self._refusal = "the package is not signed" if chosen.package is None else chosen.package.why_refused(key)
        self._stopped = False

    def run(self) -> Story:
        """Stage by stage, until all have been offered it or too many failed."""
        env, chosen, count = self.env, self.chosen, len(self.outcome)
        yield pause(env, max(0.0, chosen.at_s - env.now), POLICY)
        offered = 0
        for stage, percentage in enumerate(chosen.stages, 1):
            upto = math.ceil(percentage / 100 * count - 1e-9)
            self._tell("update", f"stage {stage} of {len(chosen.stages)}: offered to {upto} of {count} devices")
            for device in self._order[offered:upto].tolist():
                self.outcome[device] = Outcome.OFFERED
                env.process(self._receive(device))
            offered = upto
            yield pause(env, chosen.wait_s, POLICY)
            done, failed = self._reports()
            share = failed / (done + failed) if failed else 0.0
            if share > chosen.max_failure_share:
                self._stop(f"{failed} of {done + failed} reports are failures: more than {chosen.max_failure_share:g}")
                return
            self._tell(
                "update", f"stage {stage}: {done} updated, {failed} failed, {offered - done - failed} not heard of"
            )

    def _receive(self, device: int) -> Story:
        """A device gets the package as soon as it has been connected for long enough, and looks at it."""
        fleet = self.fleet
        seconds = fleet.deployment.package_mb / fleet.deployment.download_mb_per_s
        there_s = fleet.links.after(device, self.env.now, seconds)
        yield pause(self.env, max(0.0, there_s - self.env.now), LIFE)
        if self._stopped:
            self.outcome[device] = Outcome.WITHDRAWN
        elif self._refusal:
            self.outcome[device] = Outcome.REFUSED
            self._tell("refused", self._refusal, device)
        elif self._fails[device]:
            self.outcome[device] = Outcome.FAILED
            self._tell("failed", "health check: keeps its old version", device)
        else:
            self._take(device, 1, Outcome.UPDATED)
            self.updated_s[device] = self.env.now
            self._tell("updated", f"after {self.env.now - self.chosen.at_s:.4g} s", device)

    def _stop(self, why: str) -> None:
        self._stopped = True
        back = self.chosen.on_failure == "ROLLBACK_ON_FAILURE"
        self._tell("update stopped", why + ("; those that have it go back" if back else "; those that have it keep it"))
        if back:
            for device in np.flatnonzero(self.outcome == Outcome.UPDATED).tolist():
                self.env.process(self._go_back(device))

    def _go_back(self, device: int) -> Story:
        """The old version is still on the device; it only has to hear of it."""
        heard_s = self.fleet.links.after(device, self.env.now, 0.0)
        yield pause(self.env, max(0.0, heard_s - self.env.now), LIFE)
        self._take(device, 0, Outcome.ROLLED_BACK)
        self._tell("rolled back", "", device)

    def _take(self, device: int, version: int, outcome: Outcome) -> None:
        self.fleet.advance()
        self.fleet.version[device] = version
        self.outcome[device] = outcome

    def _reports(self) -> tuple[int, int]:
        """How many devices have the new version, and how many have said that they do not."""
        failed = np.isin(self.outcome, (Outcome.REFUSED, Outcome.FAILED))
        return int((self.outcome == Outcome.UPDATED).sum()), int(failed.sum())

    def _tell(self, kind: str, detail: str, device: int | None = None) -> None:
        part = "" if device is None else f"/device {device}"
        self.fleet.sim.tell(kind, self.fleet.name + part, detail)
