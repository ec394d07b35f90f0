"""A fleet of devices as plain SimPy processes: one process a device, one request at a time."""

from collections.abc import Generator, Sequence
from typing import Any

import numpy as np
import simpy

Story = Generator[simpy.Event, Any, None]


def answered(
    arrival: np.ndarray, device: np.ndarray, takes: Sequence[np.ndarray], updated_s: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """When each request starts and is answered [s]; *takes* by version, *updated_s* when each device gets the second.

    A request keeps the version that its device had when it came.
    """
    env = simpy.Environment()
    start, finish = np.full(len(arrival), np.nan), np.full(len(arrival), np.nan)
    queues = [simpy.Store(env) for _ in updated_s]

    def camera() -> Story:
        for r in range(len(arrival)):
            yield env.timeout(arrival[r] - env.now)
            version = int(updated_s[device[r]] <= arrival[r])
            yield queues[device[r]].put((r, takes[version][r]))

    def works(queue: simpy.Store) -> Story:
        while True:
            r, seconds = yield queue.get()
            start[r] = env.now
            yield env.timeout(seconds)
            finish[r] = env.now

    env.process(camera())
    for queue in queues:
        env.process(works(queue))
    env.run()
    return start, finish
