"""Optimizers that see random gradients: simulations that know no formula of `theory`, in float64.

    walk = follow(lion(0.9, 0.99), (1000,), np.full(4000, 0.01), 0.5, start=2.0)
    norm, update_rate = walk.settled()

A layer of a network with batch norm is replaced by what the theory assumes of it: at each step a Gaussian gradient,
made orthogonal to w, of the length |g| = c/|w|. A rule is one step of an optimizer, `rule(w, g, lr, weight_decay)`; it
keeps its own momentum and returns the new w. So a walk needs a rule of its own. `torch_rule` takes those of torch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

__all__ = ["Walk", "follow", "hyperball", "lion", "momentum_sgd", "muon", "polar_factor", "torch_rule"]


class Walk(NamedTuple):
    """What was seen of w [T, runs], before each step, by `follow`."""

    w2: np.ndarray  # |w|²
    update2: np.ndarray  # |w_{t+1} − w_t|²
    first: np.ndarray  # the cosine of w_t and w_0

    def settled(self, share: float = 0.75) -> tuple[float, float]:
        """Return |w| and |Δw|/|w|, root mean squares of this share of the steps, the last, and of all runs."""
        late = slice(round((1 - share) * len(self.w2)), None)
        return self.w2[late].mean() ** 0.5, (self.update2[late] / self.w2[late]).mean() ** 0.5


def follow(
    rule: Callable, shape: tuple[int, ...], lr_t, weight_decay, *, start: float, c: float = 1.0, runs: int = 1, seed=0
) -> Walk:
    """Follow w, of this shape, under a rule that sees random gradients orthogonal to w.

    Args: lr_t [T]; weight_decay a number or [T]; start |w_0|, of any direction; c = |g||w|. runs are independent and
    side by side: a rule is given w and g [runs, *shape]. Cost: T times a rule and a draw, 0.1 ms for 4 runs of 1000
    weights.

    >>> follow(momentum_sgd(), (10,), [0.5], 1.0, start=2.0, c=8.0).w2[0].round(12).tolist()
    [4.0]
    """
    random = np.random.default_rng(seed)
    lr_t = np.asarray(lr_t, float)
    alpha_t = np.broadcast_to(np.asarray(weight_decay, float), lr_t.shape)
    w = random.standard_normal((runs, *shape))
    w *= _each(start / _dot(w, w) ** 0.5, w)
    w_0, rows = w, []
    for lr, alpha in zip(lr_t.tolist(), alpha_t.tolist()):
        w2 = _dot(w, w)
        g = random.standard_normal(w.shape)
        g -= _each(_dot(g, w) / w2, w) * w
        g *= _each(c / (w2 * _dot(g, g)) ** 0.5, w)
        new = rule(w, g, lr, alpha)
        rows.append((w2, _dot(new - w, new - w), _dot(w, w_0) / (w2 * _dot(w_0, w_0)) ** 0.5))
        w = new
    return Walk(*np.array(rows).transpose(1, 0, 2))


# Rules.


def momentum_sgd(momentum: float = 0.0, *, coupled=False, normalized=False) -> Callable:
    """Return SGD with decoupled decay: v ← ρv + g, w ← (1 − λα)w − λv; normalized=True: of g/|g|.

    coupled=True: v ← ρv + g + αw, w ← w − λv.
    """
    v = 0.0

    def rule(w, g, lr, weight_decay):
        nonlocal v
        if normalized:
            g = g / _each(_dot(g, g) ** 0.5, g)
        v = momentum * v + (g + weight_decay * w if coupled else g)
        return (1 - (0 if coupled else lr * weight_decay)) * w - lr * v

    return rule


def lion(beta1: float = 0.9, beta2: float = 0.99) -> Callable:
    """Return Lion: w ← (1 − λα)w − λ sign(β₁m + (1 − β₁)g), m ← β₂m + (1 − β₂)g. Chen et al. 2023, arXiv 2302.06675."""
    m = 0.0

    def rule(w, g, lr, weight_decay):
        nonlocal m
        u = np.sign(beta1 * m + (1 - beta1) * g)
        m = beta2 * m + (1 - beta2) * g
        return (1 - lr * weight_decay) * w - lr * u

    return rule


def muon(momentum: float = 0.95, *, nesterov=True) -> Callable:
    """Return Muon with an exact polar factor: m ← βm + (1 − β)g, w ← (1 − λα)w − λ P(βm + (1 − β)g), w a matrix.

    nesterov=False: P(m). Without torch's factor for matrices that have more rows than columns.
    """
    m = 0.0

    def rule(w, g, lr, weight_decay):
        nonlocal m
        m = momentum * m + (1 - momentum) * g
        u = polar_factor(momentum * m + (1 - momentum) * g if nesterov else m)
        return (1 - lr * weight_decay) * w - lr * u

    return rule


def hyperball(momentum: float = 0.0, of: Callable | None = None) -> Callable:
    """Return Hyperball: w ← |w|·(ŵ − λû)/|ŵ − λû|, u = `of`(m), m ← ρm + g. Wen et al. 2026, arXiv 2606.16899.

    of is np.sign, `polar_factor` or None, m itself. There is no decay: weight_decay is not read.
    """
    m = 0.0

    def rule(w, g, lr, weight_decay):
        nonlocal m
        m = momentum * m + g
        u = m if of is None else of(m)
        size = _dot(w, w) ** 0.5
        new = w - _each(lr * size / _dot(u, u) ** 0.5, w) * u
        return _each(size / _dot(new, new) ** 0.5, w) * new

    return rule


def torch_rule(make: Callable) -> Callable:
    """Return the rule of an optimizer of torch: make=lambda w: torch.optim.AdamW(w), of a list of weights, one a run.

    Its λ and α are set before each step.
    """
    weights, optimizer = [], None

    def rule(w, g, lr, weight_decay):
        nonlocal weights, optimizer
        import torch

        if optimizer is None:
            weights = [torch.from_numpy(one.copy()).requires_grad_() for one in w]
            optimizer = make(weights)
        for one, grad in zip(weights, g):
            one.grad = torch.from_numpy(grad)
        for group in optimizer.param_groups:
            group["lr"], group["weight_decay"] = lr, weight_decay
        optimizer.step()
        return np.array([one.detach().numpy() for one in weights])

    return rule


def polar_factor(a: np.ndarray) -> np.ndarray:
    """Return UVᵀ of A = UΣVᵀ [..., m, n]: the nearest matrix with orthogonal rows or columns, each of length 1."""
    u, _, v = np.linalg.svd(a, full_matrices=False)
    return u @ v


def _dot(a, b):
    """The inner product of each run."""
    return np.einsum("ri,ri->r", a.reshape(len(a), -1), b.reshape(len(b), -1))


def _each(factor, w):
    """One number a run, so that it multiplies w."""
    return factor.reshape(-1, *(1,) * (w.ndim - 1))
