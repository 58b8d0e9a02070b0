"""Shrink and growth cross, and the norm runs after the crossing: a figure to take in the hand.

The reader draws λ(t). A widget in notebooks, an element on pages; neither needs a kernel.
"""

from __future__ import annotations

import functools

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from . import page_data, plots, theory
from .config import CONVS
from .element import Element, Value, as_module, bad, number, one_of
from .explorer import RANGES
from .fallback import figure, png, recorded, three

__all__ = ["SCHEDULES", "VALUES", "Crossing", "drawn"]

_POINTS = np.arange(13) / 12
_COOLDOWN = (1 - _POINTS[1:]) / (1 - _POINTS[1])
SCHEDULES = {
    "constant": np.ones(13),
    "step": np.where(_POINTS <= 0.5, 1, 0.1),
    "triangular": np.minimum(4 * _POINTS, (1 - _POINTS) / 0.75),
    "cosine": np.r_[0, (1 + np.cos(np.pi * (1 - _COOLDOWN))) / 2],
    "wsd": np.minimum(np.minimum(12 * _POINTS, 1), 4 * (1 - _POINTS)),
}  # λ/lr at 13 moments, from the first step to the last
SCHEDULES = {name: points.round(3).tolist() for name, points in SCHEDULES.items()}


def _schedules(name, value):
    """Take name → numbers in [0, 1.25], at least two."""
    try:
        own = {str(key): [float(one) for one in points] for key, points in value.items()}
        if own and all(len(points) > 1 and 0 <= min(points) <= max(points) <= 1.25 for points in own.values()):
            return own
    except (AttributeError, TypeError, ValueError):
        pass
    raise bad(name, value, "a dict of name → at least two numbers in [0, 1.25]")


VALUES = {
    "schedule": lambda name, value: value if isinstance(value, str) else one_of(*SCHEDULES)(name, value),
    "layer": one_of(*CONVS),
    "lr": number(*RANGES["lr"]),
    "weight_decay": number("in (0, 1]", np.nextafter(0, 1), 1),
    "steps": number("in [2, 100000]", 2, 100_000, whole=True),
    "w2_0": number("in (0, 1e12]", np.nextafter(0, 1), 1e12),
    "c": number("in (0, 1e12]", np.nextafter(0, 1), 1e12),
    "schedules": _schedules,
}


class Crossing(Element):
    """Draw λ(t), and see shrink 2λα|w|² and growth λ²c²/|w|² of a step cross, and |w|² run after the crossing.

    Plain SGD, one layer, c = |g||w| constant; |w|² is `theory.norm_recurrence`, step by step.

    Args:
        schedule: the λ(t) shown first, a name of schedules.
        layer: of the recorded run without momentum, from which lr, weight_decay, steps, w2_0 and c are taken.
        lr: λ at a point of 1, in (0, 1000], u²/nat.
        weight_decay: α in (0, 1], nat/u².
        steps: T in [2, 100000].
        w2_0: |w|² before the first step, u².
        c: |g||w|, nat; by default the root of the mean of its square in the last quarter of the run.
        schedules: name → λ/lr in [0, 1.25] at moments that are equally far apart, joined by straight lines.

    Raises:
        ValueError: names the value and what is allowed.

    Example:
        >>> Crossing(schedule="step", lr=1.0, weight_decay=0.01, steps=500, w2_0=1.0, c=1.0).schedule
        'step'
    """

    TAG, FILES, VALUES = "weight-decay-crossing", ("explorer.js",), VALUES
    _esm = as_module("crossing")
    schedule = Value().tag(sync=True)
    layer = Value().tag(sync=True)
    lr = Value().tag(sync=True)
    weight_decay = Value().tag(sync=True)
    steps = Value().tag(sync=True)
    w2_0 = Value().tag(sync=True)
    c = Value().tag(sync=True)
    schedules = Value().tag(sync=True)

    def __init__(self, *unnamed, schedule="triangular", layer="layer2", lr=None, weight_decay=None, steps=None,
                 w2_0=None, c=None, schedules=SCHEDULES, **unknown):  # fmt: skip
        own = dict(lr=lr, weight_decay=weight_decay, steps=steps, w2_0=w2_0, c=c)
        own = {name: VALUES[name](name, value) for name, value in own.items() if value is not None}
        given = dict(layer=VALUES["layer"]("layer", layer), schedules=VALUES["schedules"]("schedules", schedules))
        given["schedule"] = one_of(*given["schedules"])("schedule", schedule)
        super().__init__(unnamed, unknown, given | (own if len(own) == 5 else {**_recorded(layer), **own}))

    def fallback(self) -> str:
        """Return a picture of the first schedule, in HTML."""
        lr_t = drawn(self.schedules[self.schedule], self.lr, self.steps)
        w2 = theory.norm_recurrence(np.array([self.w2_0]), self.c, lr_t, self.weight_decay)[:, 0]
        target = self.c * np.sqrt(lr_t / (2 * self.weight_decay))
        late = 3 * self.steps // 4
        alt = (f"Three charts over {self.steps} steps: λ up to {three(lr_t.max())}; |w|², from {three(w2[0])} to "
               f"{three(w2[-1])}, and where shrink and growth cross; the root of z, {three(target[late] / w2[late])} "
               "after three quarters of the steps.")  # fmt: skip
        caption = (f"The schedule “{self.schedule}” with α = {self.weight_decay:g} and constant c = {three(self.c)}. "
                   "Line without color: the |w|² at which shrink 2λα|w|² and growth λ²c²/|w|² cross. Blue: |w|² by "
                   "the recurrence, and √z, the root of growth over shrink.")  # fmt: skip
        return figure(_picture(lr_t, w2, target), alt, caption)


def drawn(points, lr, steps) -> np.ndarray:
    """Return λ of every step [T]: straight lines between points, which are λ/lr, taken at the middle of a step."""
    return lr * np.interp((np.arange(steps) + 0.5) / steps, np.linspace(0, 1, len(points)), points)


@functools.cache
def _recorded(layer) -> dict:
    """Return what the recorded run without momentum says of a layer."""
    asked = dict(lr=4.0, weight_decay=5e-4, momentum=0.0, optimizer="sgd")
    run, _, edges, w2, c2, _ = recorded(page_data.pack(), "book", **asked)
    late = slice(3 * c2.shape[1] // 4, None)
    i = CONVS.index(layer)
    mean = np.average(c2[i, late], weights=np.diff(edges)[late])
    return dict(lr=run["lr"], weight_decay=run["weight_decay"], steps=int(edges[-1]), w2_0=float(w2[i, 0]),
                c=float(np.sqrt(mean)))  # fmt: skip


def _picture(lr_t, w2, target) -> bytes:
    with plots.style():
        made = Figure(figsize=(5, 5.5), layout="constrained")
        FigureCanvasAgg(made)
        top, middle, bottom = made.subplots(3, sharex=True)
        top.plot(lr_t, color=plots.INK)
        top.set(ylabel="λ (u²/nat)", ylim=0)
        middle.plot(target, color=plots.INK)
        middle.plot(w2, color="#1f6fb2", lw=2.4)
        middle.set(ylabel="|w|² (u²)", ylim=0)
        bottom.axhline(1, color=plots.INK)
        bottom.plot(target / w2, color="#1f6fb2", lw=2.4)
        bottom.set(ylabel="√z", yscale="log", ylim=(0.1, 10), xlabel="training step", xlim=(0, len(lr_t)))
        return png(made, dpi=144)
