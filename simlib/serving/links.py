"""When devices are connected: the stays of all of them, drawn round by round, as far as somebody asks."""

import numpy as np

from simlib.serving.edge import Link


class Links:
    """The connections of *count* devices.

    Round k draws everybody's k-th stay, so what a device meets depends on nothing but the stream: looks and runs of
    another length change nothing.

    Attributes
    ----------
    on_first : numpy.ndarray of bool, shape (count,)
        Whether each is connected at the start.
    turns : numpy.ndarray, shape (count, rounds)
        When each goes on or off [s]; the last one of each lies beyond all that was asked for.
    """

    def __init__(self, link: Link | None, count: int, rng: np.random.Generator, begin_s: float = 0.0) -> None:
        self.link, self._rng, self._begin_s = link, rng, begin_s
        if link is None:
            self.on_first, self.turns = np.ones(count, dtype=bool), np.full((count, 1), np.inf)
        else:
            self.on_first, self.turns = rng.random(count) < link.availability, np.empty((count, 0))

    def reach(self, until: float) -> None:
        """Know everybody's turns up to *until* [s]."""
        while self.turns.shape[1] == 0 or self.turns[:, -1].min() <= until:
            self._further(max(8, self.turns.shape[1]))

    def _further(self, rounds: int) -> None:
        assert self.link is not None
        known = self.turns.shape[1]
        stays = self._rng.standard_exponential((rounds, len(self.turns)))
        for k in range(rounds):
            on = self.on_first ^ bool((known + k) % 2)
            stays[k] *= np.where(on, self.link.mean_on_s, self.link.mean_off_s)
        last = self.turns[:, -1] if known else np.full(len(self.turns), self._begin_s)
        stays[0] += last
        self.turns = np.hstack([self.turns, np.cumsum(stays, axis=0).T])

    def connected(self, devices: np.ndarray, times: np.ndarray) -> np.ndarray:
        """Whether each of the *devices* is connected at its time [s]; bool, shape (n,)."""
        stays = self.stays(devices, times)
        on: np.ndarray = self.on_first[devices] ^ (stays % 2 == 1)
        return on

    def stays(self, devices: np.ndarray, times: np.ndarray) -> np.ndarray:
        """The number of the stay in which each device is at its time; its end is `turns[device, stay]`."""
        found = np.zeros(len(devices), dtype=np.int64)
        if len(devices) and self.link is not None:
            self.reach(float(times.max()))
            order = np.argsort(devices, kind="stable")
            edges = np.searchsorted(devices[order], np.arange(len(self.turns) + 1))
            for device in np.unique(devices).tolist():
                ours = order[edges[device] : edges[device + 1]]
                found[ours] = np.searchsorted(self.turns[device], times[ours], side="right")
        return found

    def after(self, device: int, begin: float, seconds: float) -> float:
        """When *device* has been connected for *seconds* in all, from *begin* on; breaks in between do not count."""
        if self.link is None:
            return begin + seconds
        stay, now = int(self.stays(np.array([device]), np.array([begin]))[0]), begin
        while True:
            self.reach(now)
            if self.turns.shape[1] == stay:
                self._further(stay)
            end = float(self.turns[device, stay])
            if self.on_first[device] ^ bool(stay % 2):
                if now + seconds <= end:
                    return now + seconds
                seconds -= end - now
            now, stay = end, stay + 1

    def seconds_on(self, until: float) -> np.ndarray:
        """Seconds that each device was connected up to *until* [s], shape (count,)."""
        if self.link is None:
            return np.full(len(self.turns), until - self._begin_s)
        self.reach(until)
        edges = np.minimum(np.hstack([np.full((len(self.turns), 1), self._begin_s), self.turns]), until)
        lengths = np.diff(edges, axis=1)
        on = self.on_first[:, None] ^ (np.arange(lengths.shape[1]) % 2 == 1)
        seconds: np.ndarray = (lengths * on).sum(axis=1)
        return seconds
