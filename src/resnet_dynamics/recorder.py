"""An instrument that reads weights, gradients and momentum at every step and does not disturb them."""

from __future__ import annotations

import torch

# The vectors of a layer whose inner products are recorded. w and v_prev are as they were before the step.
ROLES = ("w", "g", "v_prev", "v", "u")


class Recorder:
    """Record all inner products of w, g, v_{t-1}, v_t and the update u = w_{t+1} − w_t of every layer, at every step.

    Two lines in the loop, around the one that moves the weights:

        recorder.before()
        optimizer.step()
        recorder.after(t, loss, correct)

    The five vectors of a layer, as rows of a matrix A, give everything at once: A Aᵀ holds |w|², |g|², w·g, g·v …
    The rows are copies, in float32, so the training sees no difference: the weights are bitwise those of a run without
    the recorder. The update is measured, new weights minus old, not derived from the optimizer's state.

    For ρ = 0, where torch keeps no momentum buffer, v_t is d_t = g + αw.

    Series lie in buffers [T, …] on the device and come to the host once, in `series`. No step waits for the host. The
    forward and backward pass may run under torch.compile; the recorder is outside of it.

    Args:
        weights: name → parameter of the layers to watch.
        optimizer: whose state holds "momentum_buffer" (torch.optim.SGD, or our LARS).
        steps: T.
        filters: keep the products of every output filter too: [T, F] for each layer.

    Cost a step: five copies of the weights, and for each layer one batched product of [F, 5, K] with its transpose.
    """

    def __init__(self, weights: dict[str, torch.nn.Parameter], optimizers, steps: int, filters: bool = False):
        self.weights, self.optimizers, self.filters = weights, optimizers, filters
        device = next(iter(weights.values())).device
        self._group = {p: group for o in optimizers for group in o.param_groups for p in group["params"]}
        self._state = {p: o.state for o in optimizers for group in o.param_groups for p in group["params"]}
        new = dict(dtype=torch.float32, device=device)
        self._rows = {name: torch.zeros(len(ROLES), *w.shape, **new) for name, w in weights.items()}
        f = {name: len(w) for name, w in weights.items()}
        shape = (len(ROLES), len(ROLES))
        self.products = torch.zeros(steps, len(weights), *shape, **new)
        self.filter_products = {n: torch.zeros(steps, f[n], *shape, **new) for n in weights} if filters else {}
        self.loss = torch.full((steps,), torch.nan, **new)
        self.accuracy = torch.full((steps,), torch.nan, **new)
        self.skipped = torch.zeros(steps, **new)

    @torch.no_grad()
    def before(self):
        """Copy weights and gradients, and keep the last momentum, before the optimizer moves anything."""
        for name, weight in self.weights.items():
            w, g, v_prev, v, _ = self._rows[name]
            w.copy_(weight)
            g.copy_(weight.grad)
            v_prev.copy_(v)

    @torch.no_grad()
    def after(self, t: int, loss, accuracy, skipped: bool = False):
        """Complete step t: momentum and update, then all inner products.

        skipped: no optimizer took the step, as its gradient overflows. Then there is no g, and v is what it was.
        """
        for i, (name, weight) in enumerate(self.weights.items()):
            rows = self._rows[name]
            w, g, _, v, u = rows
            buffer = self._state[weight].get(weight, {}).get("momentum_buffer")
            if skipped:
                g.fill_(torch.nan)
            elif buffer is not None:
                v.copy_(buffer)
            else:
                torch.add(g, w, alpha=self._group[weight].get("weight_decay", 0.0), out=v)
            torch.sub(weight, w, out=u)
            a = rows.flatten(2).transpose(0, 1)  # [F, 5, K]
            products = a @ a.transpose(1, 2)
            self.products[t, i] = products.sum(0)
            if self.filters:
                self.filter_products[name][t] = products
        self.skipped[t] = float(skipped)
        self.loss[t] = loss
        self.accuracy[t] = accuracy
