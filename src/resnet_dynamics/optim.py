"""LARS, as equations (4) and (8). Plain SGD is torch's own."""

from __future__ import annotations

import math
import numbers

import torch

LOW, HIGH = 1e-15, 1e15  # between them squares of norms are neither too large nor too small for float32


class LARS(torch.optim.Optimizer):
    """Layer-wise adaptive rate scaling, in the form in which it equals SGD with weight decay.

        v ← ρv + (|w|/|g|) g          (8), and (4) for ρ = 0
        w ← w − λv

    A step has the length λ|w| in the direction of the gradient, whatever the scale of w or g (down to |g| = |w|/3e38).
    The learning rate is therefore an angle: about λ radians a step. A norm of zero, of w or g, leaves that tensor's g
    out of the step.

    There is no weight decay: for scale-invariant weights it would change |w| alone, and |w| does not matter here.

    Differs from
        You, Gitman, Ginsburg (2017): local rate η|w|/(|g| + β|w|) on g + βw, so the decay enters twice.
        timm: as You et al., and falls back to SGD for tensors without decay.
        cifar10-fast: norms per output filter of the summed gradient, Nesterov, the learning rate inside v, decay
            multiplied by |w|/|g| as well.

    Args:
        params: weights that are scale invariant. Others belong to an SGD of their own.
        lr: λ, in radians a step.
        momentum: ρ in [0, 1).
        per_filter: take |w| and |g| of every output filter (dimension 0) instead of the whole tensor; of a tensor with
            one dimension, of each entry.

    Raises:
        ValueError: names the value, of the optimizer or of a group, and what is allowed.

    Cost: three elementwise launches a list of tensors (foreach), two for the norms of each tensor, and no host
    synchronization.
    """

    def __init__(self, params, lr: float, momentum: float = 0.0, per_filter: bool = False):
        super().__init__(params, _checked(dict(lr=lr, momentum=momentum, per_filter=per_filter)))

    def add_param_group(self, param_group):
        super().add_param_group(param_group if not isinstance(param_group, dict) else _checked(param_group))

    @torch.no_grad()
    def step(self, closure=None):
        """Take a step; with a closure, which computes the gradients anew, return the loss that it returns."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            w = [p for p in group["params"] if p.grad is not None]
            if not w:
                continue
            v = [self.state[p].setdefault("momentum_buffer", torch.zeros_like(p)) for p in w]
            direction = rescaled([p.grad for p in w], w, group["per_filter"])
            torch._foreach_mul_(v, group["momentum"])
            torch._foreach_add_(v, direction)
            torch._foreach_add_(w, v, alpha=-group["lr"])
        return loss


def _checked(group):
    """Return the group with plain numbers, or say what is wrong."""
    allowed = {"lr": "a finite number, not negative", "momentum": "a number in [0, 1)", "per_filter": "True or False"}
    group = dict(group)
    for name in allowed.keys() & group.keys():
        value = group[name]
        if name == "per_filter":
            ok = isinstance(value, bool)
        else:
            ok = isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value) and value >= 0
            ok = ok and (name == "lr" or value < 1)
            group[name] = float(value) if ok else value
        if not ok:
            raise ValueError(f"{name}={value!r}: must be {allowed[name]}")
    return group


def rescaled(grads, weights, per_filter=False):
    """Return (|w|/|g|) g of each tensor, or of each of its output filters; zero where |g| is."""
    if per_filter:
        ratios = [_ratio(*_filter_norms(w), *_filter_norms(g)) for g, w in zip(grads, weights)]
    else:
        ratios = _ratio(*_layer_norms(weights), *_layer_norms(grads))
    return [(g.to(ratio.dtype) * ratio).to(g.dtype) for g, ratio in zip(grads, ratios)]


def _ratio(w, w_wide, g, g_wide):
    """|w|/|g| from norms in float32; in float64 where their squares are beyond float32. At most 3e38."""
    in_range = (w > LOW) & (w < HIGH) & (g > LOW) & (g < HIGH)
    wide = torch.where(g_wide > 0, w_wide / g_wide, 0.0).clamp(max=3e38)
    return torch.where(in_range, w / g, wide.to(w.dtype))


def _layer_norms(tensors):
    """The norm of each tensor [L], in float32 or its own type, and in float64."""
    tensors = list(map(_single, tensors))
    wide = [torch.linalg.vector_norm(x, dtype=_wide(x)) for x in tensors]
    return torch.stack(torch._foreach_norm(tensors)), torch.stack(wide)


def _filter_norms(x):
    """The norm of each output filter [F, 1, ...], in float32 or its own type, and in float64."""
    x = _single(x)
    if x.ndim < 2:
        return x.abs(), x.abs().to(_wide(x))
    over = dict(dim=tuple(range(1, x.ndim)), keepdim=True)
    return torch.linalg.vector_norm(x, **over), torch.linalg.vector_norm(x, **over, dtype=_wide(x))


def _single(x):
    """The tensor in float32, if its own type is narrower."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _wide(x):
    return torch.float64 if x.device.type != "mps" else torch.float32  # which has no float64
