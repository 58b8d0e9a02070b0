"""LARS, as equations (4) and (8). Plain SGD is torch's own."""

from __future__ import annotations

import torch


class LARS(torch.optim.Optimizer):
    """Layer-wise adaptive rate scaling, in the form in which it equals SGD with weight decay.

        v ← ρv + (|w|/|g|) g          (8), and (4) for ρ = 0
        w ← w − λv

    A step has the length λ|w| in the direction of the gradient, whatever the scale of w or g. The learning rate is
    therefore an angle: about λ radians a step. A norm of zero, of w or g, leaves that tensor's g out of the step.

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
        per_filter: take |w| and |g| of every output filter (dimension 0) instead of the whole tensor.

    Cost: three elementwise launches a list of tensors (foreach) and no host synchronization.
    """

    def __init__(self, params, lr: float, momentum: float = 0.0, per_filter: bool = False):
        if not lr >= 0:
            raise ValueError(f"lr={lr!r}: must be not negative")
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum={momentum!r}: must be in [0, 1)")
        super().__init__(params, dict(lr=lr, momentum=momentum, per_filter=per_filter))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            w = [p for p in group["params"] if p.grad is not None]
            if not w:
                continue
            v = [self.state[p].setdefault("momentum_buffer", torch.zeros_like(p)) for p in w]
            direction = rescaled([p.grad for p in w], w, group["per_filter"])
            torch._foreach_mul_(v, group["momentum"])
            torch._foreach_add_(v, direction)
            torch._foreach_add_(w, v, alpha=-group["lr"])


def rescaled(grads, weights, per_filter=False):
    """Return (|w|/|g|) g of each tensor, or of each of its output filters; zero where |g| is."""
    if per_filter:
        g_norm = [torch.linalg.vector_norm(g, dim=tuple(range(1, g.ndim)), keepdim=True) for g in grads]
        w_norm = [torch.linalg.vector_norm(w, dim=tuple(range(1, w.ndim)), keepdim=True) for w in weights]
    else:
        g_norm, w_norm = torch._foreach_norm(grads), torch._foreach_norm(weights)
    return [g * torch.where(gn > 0, wn / gn, 0.0) for g, gn, wn in zip(grads, g_norm, w_norm)]
