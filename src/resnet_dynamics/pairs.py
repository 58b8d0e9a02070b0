"""The norms of two layers of which the loss sees no more than a product. Derived. Symbols and units of `theory`.

Where w_1 → r w_1, w_2 → w_2/r leaves the loss as it is, as for values and outputs of attention, a gain and what reads
it, or the two layers of an MLP with ReLU (`transformer.Transformer.rescalings`), the gradients have
    w_1·g_1 = w_2·g_2
and what the loss does to one norm it does to the other. In the difference it drops out: exactly, without momentum,
    |w_1|² − |w_2|² ← (1 − λα)²(|w_1|² − |w_2|²) + λ²(|g_1|² − |g_2|²)
which is equations (1′) and (2′) for a difference. It is the conservation law of Kunin et al. 2021 (arXiv 2012.04728)
with what decay and steps of a finite length do to it. A sum has the same equation where a loss is blind to the scale of
several layers together, Σw·g = 0: that of `theory` with Σ|w|² for |w|² and Σ|g|² for |g|², see `series.together`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .arguments import checked, some_motion

if TYPE_CHECKING:
    from ._shapes import Reals

__all__ = ["Pair", "pair"]


class Pair(NamedTuple):
    """Where two layers come to that share a scale, by `pair`."""

    ratio: Reals  # |w_1|²/|w_2|²
    difference: Reals  # |w_1|² − |w_2|², u²
    time_constant: Reals  # steps in which ln(|w_1|/|w_2|) comes e times closer, near equilibrium


@checked
def pair(
    c1: Reals, c2: Reals, product: Reals, lr: Reals, weight_decay: Reals, momentum: Reals = 0.0
) -> Pair:  # fmt: skip
    """Return the equilibrium of SGD for two layers of which the loss sees the product. Leading order.

    The loss decides how large P = |w_1||w_2| = `product` is, and the balance how it is shared. As |g_i| goes as 1/|w_i|
    along the symmetry, c_i = |g_i||w_i| does not depend on the shares (mean squares, where it fluctuates). With
    λ_e = λ/(1 − ρ), B = λ_e/2α and k_i = 2λ_e α + (λ_e c_i/P)²:
        |w_1|² − |w_2|² = B(|g_1|² − |g_2|²)        that of the gradients of different batches, which are independent
        |w_1|²/|w_2|² = (P² + Bc_1²)/(P² + Bc_2²)   the same, with |g_i| = c_i/|w_i|
        1/τ = 2k_1k_2/(k_1 + k_2)                   while P stays
    So the layer with the larger gradients is longer. Where the loss makes P² large, against Bc_1c_2, both are nearly as
    long, however different their gradients; where P² is Bc_1c_2, the ratio is c_1/c_2, and each has the norm of
    equation (3), as if it were invariant by itself; where P is smaller still, the ratio goes on towards c_1²/c_2².

    Decay is coupled, as in `optim.SGD`. With a momentum P must not have changed much in 1/(1 − ρ) steps.

    >>> found = pair(2.0, 1.0, [0.1, 1e3], 0.1, 0.05)
    >>> found.ratio.round(2).tolist(), found.time_constant.round(1).tolist()
    ([3.97, 1.0], [0.6, 100.0])
    """
    some_motion(lr, weight_decay)
    lr = lr / (1 - momentum)
    with np.errstate(divide="ignore", invalid="ignore"):
        k1, k2 = (2 * lr * weight_decay + (lr * np.divide(c, product)) ** 2 for c in (c1, c2))
        ratio = np.divide(k1, k2)
        root = np.sqrt(ratio)
        return Pair(ratio, product * (root - 1 / root), np.divide(k1 + k2, 2 * k1 * k2))
