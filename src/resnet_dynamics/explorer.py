"""The explorer: choose λ, α, ρ and an optimizer, see what theory predicts and what was recorded, and train.

A widget in notebooks; on a page without a kernel an element that shows the same evidence. Both are drawn by
`explorer.js`, which also follows the theory; here are the values, the training, and a picture with a table for where
there is no JavaScript. torch is loaded to train, or once a front end has said that it is there, and not before.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
import itertools
import math
import re
import sys
import threading
import time

import traitlets

from . import cache, measure, page_data
from .config import CONVS, Config
from .console import words
from .controls import LOADING, TRAINING
from .element import Element, Value, as_module, bad, flag, number, one_of, some_of
from .fallback import fallback

__all__ = ["CHOICES", "PANELS", "RANGES", "VALUES", "Explorer", "movements", "preload", "setting"]

RANGES = {
    "lr": ("in (0, 1000]", sys.float_info.min, 1000),
    "weight_decay": ("in [0, 1]", 0, 1),
    "momentum": ("in [0, 0.999]", 0, 0.999),
}
CHOICES = {
    "optimizer": ("sgd", "heavy-ball", "nesterov", "lars"),
    "plan": ("short", "book", "smoke", "class", "full"),
    "layer": ("all", *CONVS),
    "gradient": ("recorded", "correlated", "constant", "mine"),
}
PANELS = ("norm", "balance", "rate", "accuracy", "loss")
_PART = re.compile(r"(λ|α|1−ρ) [×÷] [1-9]\d*(\.\d+)?")


def movements(name, value) -> list[str]:
    """Take a list of movements: each "λ × 4" or "α ÷ 4" or "1−ρ × 4", or several of these with ", " between them."""
    own = list(value) if isinstance(value, (list, tuple)) else [None]
    if not all(isinstance(one, str) and all(map(_PART.fullmatch, one.split(", "))) for one in own):
        raise bad(name, value, 'a list of movements such as "λ × 4", "α ÷ 4" or "1−ρ × 4, λ × 4"')
    return own


VALUES = {
    **{name: number(*allowed) for name, allowed in RANGES.items()},
    **{name: one_of(*allowed) for name, allowed in CHOICES.items()},
    "panels": some_of(*PANELS), "small": flag, "predict": flag, "moves": movements,
}  # fmt: skip
PAUSE = 1 / 3  # seconds between two looks at a run
BEAT = 5  # seconds between two signs of life
KEPT = 6  # curves
EXPLODED = 100  # nat, a training loss above which a run is said to have exploded


class _Stopped(Exception):
    """A run was asked to end. Its arguments are the recording so far, None before the first step, and its steps."""


class Explorer(Element):
    """Show λ, α and ρ at work on the weight norms of a network: predicted, recorded, and trained now.

    Args:
        lr: λ in (0, 1000], u²/nat.
        weight_decay: α in [0, 1], nat/u².
        momentum: ρ in [0, 0.999].
        optimizer: "sgd" (ρ = 0, whatever momentum is), "heavy-ball", "nesterov" or "lars".
        plan: how long a run is, and of what network: "short", "book", "smoke", "class" or "full", see
            `page_data.plans`.
        layer: whose curves are drawn: "all", or a name.
        gradient: what theory takes for the size of the gradients: "recorded", "correlated", "constant" or "mine".
        panels: what is drawn: any of "norm", "balance", "rate", "accuracy", "loss".
        small: with few controls.
        predict: ask for a guess first.
        moves: movements from these values, each a button that takes the place of the presets: "λ × 4",
            "λ × 4, α ÷ 4", "1−ρ × 4" and the like.

    All of them can be read and set later, and follow what the reader does. `train()` starts a run in the background,
    one at a time; `stop()` ends it. `runs` has the recordings, newest last, those that were stopped as far as they
    went; `progress` says what goes on, `guesses` what the reader has guessed.

    Raises:
        ValueError: names the value and what is allowed.

    Example:
        >>> explorer = Explorer(lr=0.4, momentum=0.9, plan="smoke")
        >>> explorer.train().join()
        >>> explorer.runs[-1].sizes["step"]
        160
    """

    TAG, FILES, VALUES = "weight-decay-explorer", ("explorer.js", "evidence.js"), VALUES
    _esm = as_module("explorer")
    lr = Value().tag(sync=True)
    weight_decay = Value().tag(sync=True)
    momentum = Value().tag(sync=True)
    optimizer = Value().tag(sync=True)
    plan = Value().tag(sync=True)
    layer = Value().tag(sync=True)
    gradient = Value().tag(sync=True)
    panels = Value().tag(sync=True)
    small = Value().tag(sync=True)
    predict = Value().tag(sync=True)
    moves = Value().tag(sync=True)
    evidence = traitlets.Dict().tag(sync=True)
    curves = traitlets.List().tag(sync=True)
    progress = traitlets.Dict({"state": "idle", "fraction": 0.0, "text": ""}).tag(sync=True)
    guesses = traitlets.List().tag(sync=True)

    def __init__(self, *unnamed, lr=0.4, weight_decay=5e-4, momentum=0.9, optimizer="heavy-ball", plan="short",
                 layer="all", gradient="recorded", panels=("norm", "rate"), small=False, predict=False,
                 moves=(), **unknown):  # fmt: skip
        given = dict(lr=lr, weight_decay=weight_decay, momentum=momentum, optimizer=optimizer, plan=plan, layer=layer,
                     gradient=gradient, panels=panels, small=small, predict=predict, moves=moves)  # fmt: skip
        super().__init__(unnamed, unknown, given, evidence=page_data.pack())
        self.runs, self.thread = [], None
        self._busy, self._end, self._guard, self._ids = False, threading.Event(), threading.RLock(), itertools.count(1)
        self.on_msg(self._hear)

    # Training
    def train(self) -> threading.Thread:
        """Start the run that the values describe, in the background, and return its thread.

        What the run comes to, or why it failed, is in `progress`, `curves` and `runs`.

        Raises:
            RuntimeError: a run is under way.
        """
        config, note = setting(self.plan, self.lr, self.weight_decay, self.momentum, self.optimizer)
        with self._guard:
            if self._busy:
                raise RuntimeError("train(): a run is under way; wait for it, explorer.thread.join(), or stop() it")
            self._busy = True
        self._end.clear()
        self._say("loading", 0.0, "loading", note)
        here = contextvars.copy_context()  # what stands in for CIFAR-10 does so there, too
        self.thread = threading.Thread(target=here.run, args=(self._work, config, note, self.plan), daemon=True)
        TRAINING.add(self)
        self.thread.start()
        return self.thread

    def stop(self) -> None:
        """Ask the run that is under way to end after its present step."""
        self._end.set()

    def _work(self, config, note, plan):
        """Train, show the run as it goes, and say how it ended: what a thread raises nobody sees."""
        own, began, shown, fraction = {"id": next(self._ids), "plan": plan}, None, -math.inf, 0.0

        def show(ds, state):
            curve = page_data.curve(ds, **own, state=state)
            curve["what"] = "; ".join(filter(None, (curve["what"], note)))
            whole = state in ("done", "diverged")  # an earlier training at the same setting is a part of this one
            with self._guard:
                kept = [one for one in self.curves if one["id"] != own["id"]
                        and not (whole and one["digest"] == curve["digest"])]  # fmt: skip
                self.curves = [*kept, curve][-KEPT:]

        def each(t, so_far):
            nonlocal began, shown, fraction
            if self._end.is_set():
                raise _Stopped(so_far(), t)
            began = began or time.monotonic()  # at the end of the first step, which is slow
            if time.monotonic() - shown >= PAUSE:
                ds = so_far()
                show(ds, "training")
                fraction = t / ds.sizes["step"]
                self._say("training", fraction, _how_far(ds, t, time.monotonic() - began), note)
                shown = time.monotonic()

        def waiting():
            if self._end.is_set():
                raise _Stopped(None, 0)
            self._say("loading", 0.0, "waiting for another process that makes the same", note)

        over = threading.Event()
        threading.Thread(target=self._beat, args=(over,), daemon=True).start()
        try:
            from . import runs

            known = "remembered: " if runs.remembered(config) else ""
            with cache.call() as call:
                try:
                    ds, t = runs.run(config, progress=False, each=each, waiting=waiting), None
                except _Stopped as stopped:
                    ds, t = stopped.args
            if ds is None:
                state, text = "stopped", "stopped before it began"
            else:
                end, steps = int(ds.attrs["diverged_at"]), ds.sizes["step"]
                if t is not None:
                    state, fraction, text = "stopped", t / steps, f"stopped after {t} of {steps} steps"
                elif end >= 0:
                    state, fraction = "diverged", end / steps
                    text = f"{known}the loss is no longer finite at step {end}"
                else:
                    state, fraction, text = "done", 1.0, f"{known}{_result(ds)}"
                    note = "; ".join(filter(None, (note, call.said and f"not remembered, see {cache.VARIABLE}")))
                show(ds, state)
                if t is not None:
                    ds = ds.isel(step=slice(0, t)).assign_attrs(stopped_at=t, steps=steps)
                self.runs.append(ds)
        except Exception as error:
            state, text = "failed", words(error)
            with self._guard:
                self.curves = [one | {"state": "stopped"} if one["id"] == own["id"] else one for one in self.curves]
        finally:
            over.set()
        self._busy = False  # before the front end hears of it, and may ask for the next
        self._say(state, fraction, text, note)

    def _beat(self, over):
        """Let the front end hear of a run that is loading, or slow: what is silent for long it takes for dead."""
        while not over.wait(BEAT):
            self.send({"type": "heard"})

    def _say(self, state, fraction, *text):
        self.progress = {"state": state, "fraction": round(fraction, 4), "text": "; ".join(filter(None, text))}

    def _hear(self, _widget, message, _buffers):
        """Answer a message of the front end."""
        kind = message.get("type") if isinstance(message, dict) else None
        if kind == "ping":
            self.send({"type": "pong"})
            preload()
        elif kind == "train":
            self.send({"type": "heard"})
            if not self._busy:
                try:
                    for name in ("lr", "weight_decay", "momentum", "optimizer", "plan"):
                        setattr(self, name, message.get(name))
                    self.train()
                except Exception as error:
                    self._say("failed", 0.0, words(error))
        elif kind == "stop":
            self.send({"type": "heard"})
            self.stop()
        elif kind == "forget":
            with self._guard:
                self.curves = [one for one in self.curves if one["state"] == "training"]

    def fallback(self) -> str:
        """Return the picture and the table of the recorded run that is nearest, in HTML."""
        return fallback(self)


# Values
def setting(plan, lr, weight_decay, momentum, optimizer) -> tuple[Config, str]:
    """Return the run of a plan with these values, and a note if it is not on the plan's images."""
    from . import datasets, runs

    rho = 0.0 if optimizer == "sgd" else momentum
    torchs = {"lars": "lars", "nesterov": "nesterov" if rho else "sgd"}.get(optimizer, "sgd")
    config = page_data.configs()[plan].replace(lr=lr, weight_decay=weight_decay, momentum=rho, optimizer=torchs)
    if config.data != "cifar10" or runs.remembered(config) or datasets.available("cifar10"):
        return config, ""
    images = config.train_images and min(config.train_images, page_data.TRAINING_IMAGES["synthetic"])
    return config.replace(data="synthetic", train_images=images), "generated images, CIFAR-10 is not on this machine"


def _how_far(ds, t, seconds) -> str:
    """Say how far a run is; `seconds` since its first step."""
    from .machine import duration

    left = [f"{duration(seconds / (t - 1) * (ds.sizes['step'] - t))} left"] if t > 1 else []
    return ", ".join([f"step {t} of {ds.sizes['step']}", *left, f"loss {float(ds.loss[t - 1]):.3g}"])


def _result(ds) -> str:
    """Say how a whole run came out; a loss may have exploded and stayed finite."""
    loss = float(ds.loss[-1])
    if measure.dead(ds):
        return f"the network does not learn, its loss stays at {loss:.3g}"
    exploded = f"the loss exploded, to {loss:.3g}".replace("e+", "e").replace("e0", "e") if loss > EXPLODED else ""
    accuracy = float(ds.test_accuracy[-1])
    tested = f"test accuracy {100 * accuracy:.1f} %" if math.isfinite(accuracy) else "its weights are no numbers"
    return ", ".join(filter(None, (tested, exploded)))


@functools.cache
def preload() -> threading.Thread:
    """Load torch and the images in the background, once, so that the first run starts at once."""

    def load():
        with contextlib.suppress(Exception):  # a run will say what is wrong
            from . import datasets, machine, train

            machine.pick_device()
            train.torch.optim.SGD([train.torch.zeros(1)])  # the first optimizer takes seconds: it loads much of torch
            datasets.load("cifar10" if datasets.available("cifar10") else "synthetic")

    thread = threading.Thread(target=load, daemon=True)
    thread.start()
    LOADING.append(thread)
    return thread
