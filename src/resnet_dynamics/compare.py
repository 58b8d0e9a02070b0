"""What n runs can see: the difference of two settings that were run with the same seeds, and its interval.

Runs that share a seed share initial weights and batches, so part of their scatter is common and drops out of the
difference. What is left is scatter of the differences, of which n runs give an estimate with n − 1 degrees of freedom:
the interval is Student's. It says nothing about other networks, data, or lengths of training.
"""

from __future__ import annotations

import numbers
from typing import NamedTuple

import numpy as np


class Difference(NamedTuple):
    """Mean of a − b over the seeds, in the unit of the values."""

    mean: float
    half: float  # half of the interval: mean ± half
    n: int  # pairs
    sd: float  # standard deviation of one difference
    level: float = 0.95

    @property
    def low(self) -> float:
        return self.mean - self.half

    @property
    def high(self) -> float:
        return self.mean + self.half

    def within(self, margin: float) -> bool:
        """Return whether the whole interval is within ± margin: the settings are equivalent, as far as that."""
        return max(abs(self.low), abs(self.high)) <= margin

    def __str__(self):
        return f"{self.mean:+.3g} ± {self.half:.2g} (n = {self.n})".replace("-", "−")


def paired(a, b, *, level: float = 0.95) -> Difference:
    """Return a − b with its interval, paired by seed: mean ± t·sd/√n, t of Student with n − 1 degrees of freedom.

    Args:
        a, b: a value of each seed, [n ≥ 2]: lists or arrays in the same order, or DataArrays with the dimension seed,
            which are matched by it.
        level: probability with which such intervals hold the true difference, for normal scatter.

    Raises:
        ValueError: not as many values, fewer than two, or one that is not finite.

    Example:
        >>> str(paired([3.0, 4.0, 5.0], [2.0, 3.5, 3.5]))
        '+1 ± 1.2 (n = 3)'
    """
    if hasattr(a, "dims") and hasattr(b, "dims") and "seed" in a.dims and "seed" in b.dims:
        if sorted(a.seed.values.tolist()) != sorted(b.seed.values.tolist()):
            raise ValueError(f"seeds {a.seed.values.tolist()} and {b.seed.values.tolist()}: must be the same")
        b = b.sel(seed=a.seed)
    a, b = (np.asarray(values, float) for values in (a, b))
    if a.ndim != 1 or a.shape != b.shape or len(a) < 2:
        raise ValueError(f"a of shape {a.shape} and b of shape {b.shape}: must be lists of one length, at least 2")
    d = a - b
    if not np.isfinite(d).all():
        raise ValueError(f"a − b={d.tolist()}: must be finite; leave out a run that diverged, and say so")
    sd = float(d.std(ddof=1))
    return Difference(float(d.mean()), sees(sd, len(d), level=level), len(d), sd, level)


def sees(sd: float, n: int, *, level: float = 0.95) -> float:
    """Return what n pairs can see: half of the interval of a mean difference, t·sd/√n.

    sd: standard deviation of one difference. A true difference of that size is found in about half of all repetitions.

    >>> round(sees(1.0, 3), 2), round(sees(1.0, 25), 2)
    (2.48, 0.41)
    """
    if not isinstance(n, numbers.Integral) or n < 2:
        raise ValueError(f"n={n!r}: must be a whole number, at least 2")
    return student(n - 1, level) * sd / float(np.sqrt(n))


def student(freedom: int, level: float = 0.95) -> float:
    """Return t of Student's distribution: with that probability a value of it is within ± t.

    >>> round(student(2), 2), round(student(1000), 2)
    (4.3, 1.96)
    """
    from scipy.special import stdtrit  # loads in a fraction of the time of scipy.stats

    if not isinstance(level, numbers.Real) or not 0 < level < 1:
        raise ValueError(f"level={level!r}: must be between 0 and 1")
    return float(stdtrit(freedom, 0.5 + level / 2))


def runs_needed(sd: float, difference: float, *, level: float = 0.95) -> int:
    """Return the smallest n with `sees(sd, n)` ≤ |difference|.

    >>> runs_needed(sd=1.2, difference=0.5)
    25
    """
    if not (np.isfinite(difference) and difference):
        raise ValueError(f"difference={difference!r}: must be a number that is not zero")
    n = 2
    while sees(sd, n, level=level) > abs(difference):
        n += 1
    return n
