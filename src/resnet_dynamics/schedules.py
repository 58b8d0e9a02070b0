"""Learning-rate schedules as values: called with epochs, they return λ. And α, where it follows λ."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Cosine", "PiecewiseLinear", "RootRise", "decays", "epochs_at", "rates", "schedule", "steps_of"]


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


@dataclass(frozen=True)
class Cosine:
    """λ(e): a linear rise to `lr` at `warmup`, then half a cosine down to 0 at `epochs`; constant outside.

    Example:
        >>> Cosine(0.4, 5, 25)([2.5, 5, 15])
        array([0.2, 0.4, 0.2])
    """

    lr: float
    warmup: float
    epochs: float

    def __call__(self, epoch):
        epoch = np.asarray(epoch, float)
        fall = np.clip((epoch - self.warmup) / max(self.epochs - self.warmup, 1e-300), 0, 1)
        rise = np.clip(epoch / self.warmup, 0, 1) if self.warmup else 1.0
        return self.lr * rise * (1 + np.cos(np.pi * fall)) / 2


@dataclass(frozen=True)
class RootRise:
    """λ(e) of another schedule, but up to `warmup` it rises as the square root of e.

    Example:
        >>> RootRise(PiecewiseLinear((0, 4, 24), (0, 0.4, 0)), 4)([1, 4, 14])
        array([0.2, 0.4, 0.2])
    """

    linear: PiecewiseLinear | Cosine
    warmup: float

    def __call__(self, epoch):
        epoch = np.asarray(epoch, float)
        share = np.clip(epoch / self.warmup, 0, 1)
        return np.where(share < 1, self.linear(self.warmup) * np.sqrt(share), self.linear(epoch))


def schedule(config) -> PiecewiseLinear | Cosine | RootRise:
    """Return the schedule of a configuration."""
    linear = _linear_rise(config)
    rises = config.schedule != "constant" and config.warmup
    return RootRise(linear, config.warmup) if config.warmup_shape == "root" and rises else linear


def _linear_rise(config):
    if config.schedule == "constant":
        return PiecewiseLinear((0.0,), (config.lr,))
    if config.schedule == "cosine":
        return Cosine(config.lr, config.warmup, config.epochs)
    top = config.epochs - config.cooldown if config.schedule == "wsd" else config.warmup
    knots = {0.0: 0.0, config.warmup: config.lr, top: config.lr}
    if top < config.epochs:
        knots[config.epochs] = 0.0
    return PiecewiseLinear(tuple(knots), tuple(knots.values()))


def decays(config, lr, highest=None):
    """Return α of steps with the learning rates `lr`: a number, or as many as there are rates where α follows λ.

    highest: the α of single parameters; None takes that of the run.
    """
    highest = config.weight_decay if highest is None else highest
    return highest if config.weight_decay_schedule == "constant" else highest * lr / config.lr


def epochs_at(config, share: float) -> list[float]:
    """Return the epochs at which λ is `share` of its highest value, as it falls and as it rises; [] while it stays."""
    if config.schedule == "constant" or share >= 1:
        return []
    fall = config.cooldown if config.schedule == "wsd" else config.epochs - config.warmup
    left = share if config.schedule != "cosine" else 1 - np.arccos(2 * share - 1) / np.pi  # of the fall
    return [float(config.epochs - fall * left), config.warmup * share ** (2 if config.warmup_shape == "root" else 1)]


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
