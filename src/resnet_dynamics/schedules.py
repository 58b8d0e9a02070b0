"""Learning-rate schedules as values: called with epochs, they return λ."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class PiecewiseLinear:
    """λ(e), linear between the knots and constant outside of them.

    Raises:
        ValueError: the epochs do not rise, or are not as many as the rates.

    Example:
        >>> PiecewiseLinear((0, 5, 24), (0, 0.4, 0))([2.5, 5, 14.5])
        array([0.2, 0.4, 0.2])
    """

    epochs: tuple[float, ...]
    rates: tuple[float, ...]

    def __post_init__(self):
        for name, least in (("epochs", -np.inf), ("rates", 0)):
            values = getattr(self, name)
            good = np.ndim(values) == 1 and len(values) and np.asarray(values).dtype.kind in "iuf"
            if not (good and np.isfinite(values).all() and min(values) >= least):
                raise ValueError(f"{name}={values!r}: must be finite numbers{', not negative' if least == 0 else ''}")
        if len(self.epochs) != len(self.rates) or (np.diff(self.epochs) <= 0).any():
            raise ValueError(f"epochs={self.epochs!r}: must rise, and be as many as the rates ({len(self.rates)})")

    def __call__(self, epoch):
        return np.interp(epoch, self.epochs, self.rates)


def schedule(config) -> PiecewiseLinear:
    """Return the schedule of a configuration."""
    if config.schedule == "constant":
        return PiecewiseLinear((0.0,), (config.lr,))
    if config.warmup == 0:
        return PiecewiseLinear((0.0, config.epochs), (config.lr, 0.0))
    if config.warmup == config.epochs:
        return PiecewiseLinear((0.0, config.epochs), (0.0, config.lr))
    return PiecewiseLinear((0.0, config.warmup, config.epochs), (0.0, config.lr, 0.0))


def rates(config, steps_per_epoch: int) -> np.ndarray:
    """Return λ of every step, float64 [T].

    A step takes the schedule at its middle, (t + ½)/S epochs. So Σλ_t is the integral of the schedule, and neither the
    first nor the last step is wasted at λ = 0.
    """
    steps = np.arange(steps_of(config, steps_per_epoch))
    return schedule(config)((steps + 0.5) / steps_per_epoch)


def steps_of(config, steps_per_epoch: int) -> int:
    """Return T, the number of steps of a run."""
    return round(config.epochs * steps_per_epoch)
