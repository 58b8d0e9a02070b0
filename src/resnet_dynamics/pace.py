"""On which steps to record: on one of so many, or on as many as a share of the time allows."""

from __future__ import annotations

import contextlib
import math
import time

import numpy as np

__all__ = ["TIMED", "WARM", "Pace"]

WARM, TIMED = 2, 9  # steps that are left to caches and compilers, and that are timed


def clock() -> np.ndarray:
    """Seconds of the host, which does not wait for a device [2]: those that pass, those that the process computes."""
    return np.array([time.perf_counter(), time.process_time()])


class Pace:
    """Say which steps are recorded, from what a recorded step costs.

    With every="auto" the first eleven are, and then one of

        n = ⌈(cost / step) / share⌉.

    cost: seconds that are spent on recording a step; step: the others, from one step to the next. Both are medians
    over nine steps, after two. Of two clocks that counts which has the higher cost / step: on a machine that others use
    a long step waits more than a short recording, so that the seconds that pass say too little; and recording may use
    fewer threads than the step, so that those of the process do. From then on recording takes `share` of the time of
    the steps, or less.

    Attributes:
        every: n; None as long as it is being measured.
    """

    def __init__(self, every: int | str, share: float):
        self.every, self._share = None if every == "auto" else every, share
        self._begun, self._cost, self._seconds = None, np.zeros(2), []

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
        self._begun, self._cost = now, np.zeros(2)
        if len(self._seconds) == WARM + TIMED:
            cost, step = np.median(self._seconds[WARM:], axis=0)
            ratio = np.divide(cost, step, out=np.zeros(2), where=step > 0)  # a clock may be too coarse for a step
            self.every = max(1, math.ceil(ratio.max() / self._share))

    @contextlib.contextmanager
    def recording(self):
        """What is done inside is the cost."""
        begin = clock()
        yield
        self._cost = self._cost + clock() - begin
