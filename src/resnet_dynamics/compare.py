"""What n runs can see: the difference of two settings that were run with the same seeds, and its interval.

Runs that share a seed share initial weights and batches, so part of their scatter is common and drops out of the
difference. What is left is scatter of the differences, of which n runs give an estimate with n − 1 degrees of freedom:
the interval is Student's. It says nothing about other networks, data, or lengths of training. `spreads` compares how
much two settings scatter.

`verdict` is the same of single runs: yours against the seeds of another.
"""

from __future__ import annotations

import numbers
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import xarray as xr

from .measure import overall
from .seeds import images, of_one_run, semantics
from .series import fate, length, of_recording

__all__ = ["Difference", "Ratio", "holm", "paired", "runs_needed", "sees", "spreads", "student", "verdict"]


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

    def verdict(self, margin: float) -> str:
        """Say what the interval shows: "below" or "above" (it does not hold zero), "equivalent within …", "undecided".

        A difference may be both below and equivalent: seen, and small.

        >>> paired([3.0, 3.1, 3.2], [2.9, 3.0, 3.1]).verdict(0.2)
        'above, equivalent within 0.2'
        """
        words = ["below"] * (self.high < 0) + ["above"] * (self.low > 0)
        words += [f"equivalent within {margin:g}"] * self.within(margin)
        return ", ".join(words) or "undecided"

    def __format__(self, digits):
        """Mean and half of the interval, with that format: f"{d:.3f}" is "+0.012 ± 0.004". Empty: as `str`."""
        return f"{self.mean:+{digits}} ± {self.half:{digits}}".replace("-", "−") if digits else str(self)

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


class Ratio(NamedTuple):
    """A ratio with the ends of its interval."""

    value: float
    low: float
    high: float
    level: float = 0.95

    def __str__(self):
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})"


def spreads(a, b, *, level: float = 0.95) -> Ratio:
    """Return sd(a)/sd(b) with its interval: the ratio over √F and times √F, with Fisher's F of n − 1 and m − 1 degrees.

    The interval is for normal values and independent samples. If the values of a and b are pairs that rise and fall
    together, it is too wide.

    Args:
        a, b: values, [n ≥ 2] and [m ≥ 2]; the values of b are not all the same.

    Raises:
        ValueError: a sample is not like that, or not finite.

    Example:
        >>> str(spreads([1.0, 3.0, 5.0], [1.0, 2.0, 3.0]))
        '2.00 (0.32 to 12.49)'
    """
    from scipy.special import fdtri

    a, b = (np.asarray(values, float) for values in (a, b))
    for name, values in (("a", a), ("b", b)):
        if values.ndim != 1 or len(values) < 2 or not np.isfinite(values).all():
            raise ValueError(f"{name}={values.tolist()}: must be a list of at least 2 finite numbers")
    if not b.std():
        raise ValueError(f"b={b.tolist()}: must not be all the same, its spread divides")
    _share(level)
    ratio, tail = float(a.std(ddof=1) / b.std(ddof=1)), 0.5 + level / 2
    low, high = fdtri(len(a) - 1, len(b) - 1, tail), fdtri(len(b) - 1, len(a) - 1, tail)
    return Ratio(ratio, ratio / float(np.sqrt(low)), ratio * float(np.sqrt(high)), level)


def holm(p) -> np.ndarray:
    """Return probabilities corrected for being many, by Holm's method: the i-th smallest of n times n − i + 1.

    A corrected one is not below one before it, and not above 1. If none of the n effects is there, the smallest is
    below a level at most as often as that level says, however the n depend on each other.

    Args:
        p: probabilities, [n].

    >>> holm([0.01, 0.04, 0.03]).round(2).tolist()
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p, float)
    if p.ndim != 1 or not ((0 <= p) & (p <= 1)).all():
        raise ValueError(f"p={p.tolist()}: must be a list of probabilities, from 0 to 1")
    order = np.argsort(p, kind="stable")
    many = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(many, 1)
    return corrected


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

    _share(level)
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


@of_recording
def verdict(mine, seeds):
    """Say in a sentence or two whether a run agrees with the seeds of another, and by how much it does not.

    Compared is `overall`. With n seeds of mean m and standard deviation s, one more seed falls within
    m ± t s √(1 + 1/n) 19 times in 20 (Student's t with n − 1 degrees of freedom); that is called inside. What else sets
    the two apart is said as well: a run that does not learn, other images, another meaning of a configuration. Where
    one diverged, was stopped, or is a part of a recording, that is said and nothing compared.

    Raises:
        ValueError: the seeds are not those of one run, or one is there twice: the same seed, images and meaning.
    """
    one = isinstance(seeds, (xr.Dataset, str)) or not isinstance(seeds, Iterable)
    seeds = of_one_run([seeds] if one else seeds)
    if (end := int(mine.attrs.get("diverged_at", -1))) >= 0:
        return f"This run diverged at step {end} of {length(mine)}: there is no equilibrium to compare."
    if "stopped_at" in mine.attrs:
        at = f"step {int(mine.attrs['stopped_at'])} of {length(mine)}"
        return f"This run was stopped after {at}: there is no whole run to compare."
    if part := _part(mine):
        return f"This run {part}: there is no whole run to compare."
    if parts := [said for said in map(_part, seeds) if said]:
        which = "The book's run" if len(seeds) == 1 else f"Of {len(seeds)} seeds of the book {len(parts)}"
        return f"{which}: {' and '.join(dict.fromkeys(parts))}; there is no whole run to compare with."
    value, theirs = overall(mine), np.array([overall(ds) for ds in seeds])
    if not np.isfinite([value, *theirs]).all():
        whose = "this run" if not np.isfinite(value) else "the book's run" if len(seeds) == 1 else "the book's runs"
        said = f"Dots over line of {whose} is not a finite number: there is nothing to compare."
    else:
        said = _compared(value, theirs)
    return " ".join([said, *_apart(mine, seeds)])


def _share(level):
    if not isinstance(level, numbers.Real) or not 0 < level < 1:
        raise ValueError(f"level={level!r}: must be between 0 and 1")


def _part(ds) -> str:
    """Say why a recording is not that of a whole run; "" if it is."""
    if "stopped_at" in ds.attrs or int(ds.attrs.get("diverged_at", -1)) >= 0:
        return fate(ds)
    there, whole = ds.sizes["step"], length(ds)
    return f"is here with {there} of its {whole} steps" if there < whole else ""


def _compared(value, theirs):
    mean, n = theirs.mean(), len(theirs)
    said = f"Dots over line, middle half of training: {value:.3f}."
    if n == 1:
        return f"{said} The book's run: {mean:.3f}, a difference of {_signed(value / mean - 1)}."
    t = student(n - 1)
    width = t * theirs.std(ddof=1) * np.sqrt(1 + 1 / n)
    said += f" {n} seeds of the book: {mean:.3f} ± {width:.3f}."
    if abs(value - mean) <= width:
        return f"{said} Inside: it could be one more seed."
    side, far = "above" if value > mean else "below", abs(value - mean) - width
    return f"{said} Outside, {side} by {far:.3f} ({_signed(value / mean - 1)} from the mean)."


def _apart(mine, seeds):
    """Say in what else a run is not like the others."""
    if fate(mine):
        yield f"This run {fate(mine)}."
    names, own = images([mine, *seeds]), mine.attrs.get("dataset_digest")
    theirs = images(seeds)
    if own is not None and theirs.keys() - {own}:
        yield f"This run is of {names[own]}, the book's of {' and '.join(names[digest] for digest in theirs)}."
    others = sorted({semantics(ds) for ds in seeds})
    if others != [semantics(mine)]:
        by = " and ".join(map(str, others))
        yield f"This run was made by training semantics {semantics(mine)}, the book's by {by}."


def _signed(share):
    return f"{100 * share:+.1f} %".replace("-", "−")
