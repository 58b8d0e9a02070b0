"""On which steps to record: on one of so many, or on as many as a share of the time allows."""

from __future__ import annotations

import contextlib
import math
import time

import numpy as np

__all__ = ["TIMED", "WARM", "Pace"]

WARM, TIMED = 2, 9  # steps that are left to caches and compilers, and that are timed

clock = time.perf_counter  # in seconds; of the host, which does not wait for a device


class Pace:
    """Say which steps are recorded, from what a recorded step costs.

    With every="auto" the first eleven are, and then one of

        n = ⌈cost / (share · step)⌉.

    cost: seconds that are spent on recording a step; step: the others, from one step to the next. Both are medians
    over nine steps, after two. From then on recording takes `share` of the time of the steps, or less. What makes all
    slower alike, as other load does, leaves n as it is.

    Attributes:
        every: n; None as long as it is being measured.
    """

    def __init__(self, every: int | str, share: float):
        self.every, self._share = None if every == "auto" else every, share
        self._begun, self._cost, self._seconds = None, 0.0, []

    def due(self, t: int) -> bool:
        """Whether step t is recorded."""
        return t % (self.every or 1) == 0

    def begin(self) -> None:
        """A step begins, so the one before has ended."""
        if self.every:
            return
        now = clock()
        if self._begun is not None:
            self._seconds.append((self._cost, now - self._begun - self._cost))
        self._begun, self._cost = now, 0.0
        if len(self._seconds) == WARM + TIMED:
            cost, step = np.median(self._seconds[WARM:], axis=0)
            self.every = max(1, math.ceil(cost / (self._share * step)))

    @contextlib.contextmanager
    def recording(self):
        """What is done inside is the cost."""
        begin = clock()
        yield
        self._cost += clock() - begin
