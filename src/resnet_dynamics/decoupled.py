"""Decoupled optimizers in the same balance. Derived. Symbols, units and arguments are those of `theory`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .arguments import checked, settling, some_motion

if TYPE_CHECKING:
    from ._shapes import Reals

__all__ = ["AdamW", "adamw"]


class AdamW(NamedTuple):
    """What AdamW comes to, by `adamw`."""

    norm: Reals  # |w|, u
    update_rate: Reals  # |w_{t+1} − w_t|/|w_t|
    lifetime_rate: Reals  # how far one gradient moves w in all, |Δw|/|w|
    time_constant: Reals  # steps in which |w|² comes e times closer to equilibrium


@checked
def adamw(weights: Reals, lr: Reals, weight_decay: Reals, momentum: Reals = 0.9, *, exact=False) -> AdamW:
    """Return the equilibrium of AdamW (w ← (1 − λα)w − λ m/√v) for gradients orthogonal to w and to each other.

    m/√v does not know the size of a gradient: it has rms 1 per weight, spread over the steps by β₁ = `momentum`. So
    growth is λ²K a step whatever |w| is, with K = `weights`. Updates u that forget w, of mean square U² and with
    autocorrelation C_k, add up to |w|² = λ²U² S/(1 − a²) with S = 1 + 2Σ aᵏC_k and a = 1 − λα. Here U² =
    K(1 − β₁)/(1 + β₁) and C_k = β₁ᵏ. exact=True, with x = λα:
        |w|²          λK/(α(2 − x)) · (1 − β₁)(1 + aβ₁)/((1 + β₁)(1 − aβ₁))
        (|Δw|/|w|)²   2x(1 − β₁)/(1 + β₁ − β₁x)
        in all, ²     λ²K/|w|²
        τ             −1/(2 ln a), or −1/(2 ln β₁) where β₁ > a
    exact=False is the leading order in x/(1 − β₁), not in x:
        |w|² = λK/(2α)   |Δw|/|w| = √(2x(1 − β₁)/(1 + β₁))   in all √(2x)   τ = 1/(2x)
    At x/(1 − β₁) = 0.1 and β₁ = 0.9 this |w|² is 9 % too large. Each step rotates as in Kosson et al. 2024 (arXiv
    2305.17212). λ in u, α in 1/u: x is a pure number as before. For gradients that are alike in all weights, β₂ close
    to 1, and ε small.

    >>> [round(float(adamw(1000, 0.01, 1.0, exact=e).norm), 2) for e in (False, True)]
    [2.24, 2.14]
    """
    some_motion(lr, weight_decay)
    beta, x = momentum, lr * weight_decay
    small = settling(x, beta, "sgdw") if exact else 0.0
    a = 1 - small
    overlap = (1 - beta) * (1 + a * beta) / ((1 + beta) * (1 - a * beta))  # 1 to leading order
    with np.errstate(divide="ignore"):
        norm = np.sqrt(np.divide(lr * weights, weight_decay * (2 - small)) * overlap)
        tau = np.divide(-0.5, np.log(np.maximum(np.abs(a), beta))) if exact else np.divide(1.0, 2 * x)
    update = np.sqrt(2 * x * (1 - beta) / (1 + beta - beta * small))
    return AdamW(norm, update, np.sqrt(x * (2 - small) / overlap), np.abs(tau))
