"""The recorder in loops of which little is known: gradients may be missing, v unknown, and the steps go on."""

from __future__ import annotations

import itertools

import numpy as np
import torch

from . import optim
from .directions import SGDW, Adam, Lion, Muon
from .recorder import Recorder

__all__ = ["Block", "Instrument", "kind_of", "settings_of"]


class Instrument(Recorder):
    """The recorder where gradients may be missing or sparse, and v may not be known; its series are renewed."""

    def renew(self, steps: int) -> None:
        """Begin new series of so many steps; those that were are left to who has them."""
        self.products = self.products.new_zeros(steps, *self.products.shape[1:])
        self._series = self.products.new_full((3, steps), torch.nan)
        self.loss, self.accuracy, self.skipped = self._series

    def owners(self) -> list:
        """(optimizer, group) of each layer, as they are now."""
        return [(optimizer, optimizer.param_groups[n]) for optimizer, n in self._owners]

    @torch.no_grad()
    def begin(self, follows: bool):
        """Do what before() of a recorder does, and return of each layer whether it has no gradient.

        v_{t−1} is what the optimizer keeps; of one that keeps none the last v, if the step `follows` the recorded one.
        """
        rows, grads = self._rows.of, [weight.grad for weight in self._layers]
        self.missing = [g is None for g in grads]
        if all(self.missing):
            raise ValueError("weights: must have a gradient, and none has; before() comes after backward()")
        torch._foreach_copy_(rows["w"], self._layers)
        there = [(row, g.to_dense() if g.is_sparse else g) for row, g in zip(rows["g"], grads) if g is not None]
        torch._foreach_copy_(*map(list, zip(*there)))
        for row in itertools.compress(rows["g"], self.missing):
            row.fill_(torch.nan)
        for row, now, buffer in zip(rows["v_prev"], rows["v"], self._buffers()):
            if buffer is not None or follows:
                row.copy_(now if buffer is None else buffer)
            else:
                row.fill_(torch.nan)
        return self.missing

    def _totals(self, products):
        """On a CPU each layer by itself, in float64: to gather them, as the recorder does, is a tenth of the cost."""
        if products.device.type != "cpu":
            return super()._totals(products)
        sums = [products[place].sum(0, dtype=torch.float64) for place in self._rows.places]
        return torch.stack(sums).flatten(1)[:, self._rows.pairs].float()

    def _copy_momentum(self):
        """v of every layer: its buffer; g + αw of SGD that keeps none; what it was if there was no gradient; or NaN."""
        rows, buffers = self._rows.of, self._buffers()
        self._keep(buffers)
        for i, (buffer, (optimizer, group)) in enumerate(zip(buffers, self.owners())):
            if buffer is not None:
                continue
            if kind_of(optimizer, group) not in ("sgd", "nesterov"):
                rows["v"][i].fill_(torch.nan), rows["v_prev"][i].fill_(torch.nan)
            elif self.missing[i]:
                rows["v"][i].copy_(rows["v_prev"][i])
            elif torch.is_tensor(alpha := group["weight_decay"]):
                torch.addcmul(rows["g"][i], rows["w"][i], alpha, out=rows["v"][i])
            else:
                torch.add(rows["g"][i], rows["w"][i], alpha=alpha, out=rows["v"][i])


class Block:
    """So many steps: what is of the device, and what is of the host. Settings that lie on the device are read late."""

    def __init__(self, products, loss):
        steps, layers, _ = products.shape
        self.products, self.loss, self.used, self._late = products, loss, 0, []
        self.step, self.settings = np.zeros(steps, np.int64), np.zeros((steps, layers, 3))
        self.missing, self.kind = np.zeros((steps, layers), bool), np.zeros((steps, layers), np.int64)

    def note(self, t, missing, kinds, settings):
        """What holds of the step that begins; it counts when `used` does."""
        n = self.used
        self.step[n], self.missing[n], self.kind[n] = t, missing, kinds
        for place in np.ndindex(self.settings.shape[1:]):
            value = settings[place[0]][place[1]]
            if torch.is_tensor(value) and value.device.type != "cpu":  # to read it now would wait for the device
                self._late.append(((n, *place), value.detach().clone()))
            else:
                self.settings[n, *place] = value

    def told(self):
        """All of its steps, as arrays of numpy."""
        for place, value in self._late:
            self.settings[place] = value.item()
        self._late.clear()
        host = self.step, self.missing, self.kind, self.settings
        device = self.products[: self.used].cpu().numpy(), self.loss[: self.used].cpu().numpy()
        return *(a[: self.used] for a in host), *device


def kind_of(optimizer, group) -> str:
    """The name of an optimizer in a recording: that of a `Config` where its v and its equations are known."""
    if type(optimizer) in (torch.optim.SGD, optim.SGD):
        other = [name for name in ("dampening", "maximize") if group.get(name)]
        plain = "nesterov" if group.get("nesterov") and group["momentum"] else "sgd"
        return f"SGD with {' and '.join(other)}" if other else plain
    name = type(optimizer).__name__
    if type(optimizer) not in (SGDW, Adam, Lion, Muon) or optimizer.norms != "free" or optimizer.cautious:
        return name
    return "adamw" if name == "Adam" and optimizer.decoupled else name.lower()


def settings_of(group) -> tuple:
    """λ, α and ρ of a group; β₁ is ρ. What it does not have is 0; λ is not a number then."""
    return group.get("lr", np.nan), group.get("weight_decay", 0.0), group.get("momentum", group.get("betas", (0.0,))[0])
