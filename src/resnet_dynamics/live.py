"""The live network: a small ResNet-9 with batch norm that trains in the browser, and λ, α and ρ that act while it runs.

A widget in notebooks; on a page an element. Neither needs a kernel: network, images and theory are JavaScript, see
`src/explorer/network` and `src/explorer/live`. Where a kernel answers, it is told the values and every step, so that
the run is a recording: `measure` and `plots` work on it in the next cell.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from . import stories
from .arms import SEPARATE
from .config import CONVS
from .element import Element, Value, as_module, flag, number, one_of, some_of
from .explorer import CHOICES, RANGES
from .history import SERIES, History

__all__ = ["PANELS", "VALUES", "Live"]

PANELS = ("norm", "rate", "angle", "cosine", "balance", "loss", "accuracy")
VALUES = {
    **{name: number(*allowed) for name, allowed in RANGES.items()},
    "weight_decay": number("in [0, 100]", 0.0, 100.0),
    "optimizer": one_of(*CHOICES["optimizer"], *SEPARATE),
    "seed": number("in [0, 2³²)", 0, 2**32 - 1, whole=True),
    "story": one_of(None, *stories.names()),
    "panels": some_of(*PANELS),
    "layer": one_of("all", *CONVS),
    "small": flag,
}  # fmt: skip


class Live(Element):
    """Train a ResNet-9 of width 4 in the browser, on images that are drawn there, and move λ, α and ρ while it runs.

    Args:
        lr: λ in (0, 1000], u²/nat.
        weight_decay: α in [0, 100], nat/u².
        momentum: ρ in [0, 0.999].
        optimizer: "sgd" (ρ = 0, whatever momentum is), "heavy-ball", "nesterov" or "lars". Or one of convolutions with
            batch norm alone, as in `Config`: "sgdw", "adamw", "lion", "muon" or "adam", with λ, α and ρ of their own;
            the rest has SGD with λ = 0.5.
        seed: of the images and of the weights at the start, a whole number in [0, 2³²).
        story: sets the scene, and may do something by itself: "settle", "double", "kick", "rings", "slow", "growth",
            "hot", "control", "decay", "adamw", "beside", "muon", "twins" or "cousins"; None is the default scene
            without a story.
        panels: what is drawn: any of "norm", "rate", "angle", "cosine", "balance", "loss", "accuracy".
        layer: the one that is kicked, or loses its batch norm: "all", or a name.
        small: with few controls.

    What is None is as the story has it, or as the optimizer begins. All can be read and set later, and follow what the
    reader does: setting lr moves λ of the network that runs.

    Attributes:
        history: what the network has done since it started, a recording [step, layer] without a configuration, of the
            last 50,000 steps; of two networks that of the first. lr, weight_decay and momentum are series. `measure`
            and `plots` take it as it is, or a part of it, and say what they cannot do: no equation holds across a
            change of ρ or of the optimizer, and no sum across a kick.
        histories: the same, of each network.
        events: what was done to it, and before which step: [{"t": ..., "type": "start", "set", "kick" or "no_norm",
            ...}].

    Raises:
        ValueError: names the value and what is allowed.

    Example:
        >>> live = Live(story="rings")
        >>> live.lr, live.momentum
        (0.02, 0.99)
    """

    TAG, FILES, VALUES = "weight-decay-live", ("explorer.js",), VALUES
    _esm = as_module("live")
    lr = Value().tag(sync=True)
    weight_decay = Value().tag(sync=True)
    momentum = Value().tag(sync=True)
    optimizer = Value().tag(sync=True)
    seed = Value().tag(sync=True)
    story = Value().tag(sync=True)
    panels = Value().tag(sync=True)
    layer = Value().tag(sync=True)
    small = Value().tag(sync=True)

    def __init__(self, *unnamed, lr=None, weight_decay=None, momentum=None, optimizer=None, seed=None, story=None,
                 panels=None, layer=None, small=False, **unknown):  # fmt: skip
        given = dict(lr=lr, weight_decay=weight_decay, momentum=momentum, optimizer=optimizer, seed=seed,
                     panels=panels, layer=layer, small=small)  # fmt: skip
        given = {name: VALUES[name](name, value) for name, value in given.items() if value is not None}
        scene = stories.scene(VALUES["story"]("story", story)) | stories.home(given.get("optimizer")) | given
        if scene["optimizer"] == "sgd" and scene["momentum"] and "optimizer" not in given:
            scene["optimizer"] = "heavy-ball"
        scene["momentum"] *= scene["optimizer"] != "sgd"
        super().__init__(unnamed, unknown, scene | {"story": story})
        self._history = History()
        self.on_msg(self._hear)

    def _hear(self, _widget, message, buffers):
        """Take a report of the front end."""
        if isinstance(message, dict) and message.get("type") == "report" and message.get("arrays") == list(SERIES):
            self._history.take(message, [np.frombuffer(one, np.float32) for one in buffers])

    @property
    def histories(self) -> list[xr.Dataset]:
        if not self._history.t:
            raise ValueError("no step of this network is known: show it in a cell, and let it run for a moment")
        return self._history.recordings()

    @property
    def history(self) -> xr.Dataset:
        return self.histories[0]

    @property
    def events(self) -> list[dict]:
        return list(self._history.events)

    def fallback(self) -> str:
        """Return the picture and the table of the story, as it was recorded once, in HTML."""
        return stories.fallback(self.story, self.layer)
