"""Where equilibrium keeps the steps of the optimizers that convolutions have to themselves (`directions`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import theory

if TYPE_CHECKING:
    from ._shapes import Reals

__all__ = ["KNOWN", "line"]

KNOWN = ("sgdw", "adamw")
"""Optimizers of which theory has the line."""


def line(config, lr: Reals, weight_decay: Reals) -> Reals:
    """Return √(2λα/S), to which equilibrium drives λ|v|/|w| where w ← w − λ(v + αw).

    S = 1 + 2Σ aᵏC_k of the autocorrelation C of v, a = 1 − λα. For each optimizer it is what theory has, to leading
    order, for gradients that do not know of each other: of sgdw and adamw S = (1 + ρ)/(1 − ρ). This is the one place.

    Args:
        config: of the run, whose optimizer and ρ count.
        lr, weight_decay: λ and α of each step, or numbers.

    Raises:
        ValueError: of this optimizer there is no equation.
    """
    if config.optimizer not in KNOWN:
        raise ValueError(f"line of a run with optimizer={config.optimizer!r}: must be one of sgd, nesterov, lars, "
                         f"lars-filter, {', '.join(KNOWN)}, of whose equilibrium there is an equation")  # fmt: skip
    if config.optimizer == "sgdw":
        return theory.update_rate(lr, weight_decay, config.momentum, optimizer="sgdw")
    return theory.adamw(1, lr, weight_decay, config.momentum).update_rate
