"""Where equilibrium keeps the steps of the optimizers that convolutions have to themselves (`directions`).

    w ← w − λ(v + αw),  a = 1 − λα,  S = 1 + 2Σ aᵏC_k over k ≥ 1, C_k = E[v_t·v_{t−k}]/E|v|²
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from . import correlation, theory
from .arms import SEPARATE
from .fields import conv_shapes
from .recording import setting
from .series import smooth

if TYPE_CHECKING:
    from ._shapes import Reals

__all__ = ["has_line", "line", "overlap"]


def has_line(ds: xr.Dataset) -> bool:
    """Return whether `line` has that of a recording: of each of these optimizers, if its settings are known."""
    c = setting(ds)
    return c.optimizer in SEPARATE and (c.optimizer not in ("lion", "muon") or "config" in ds.attrs)


def line(ds: xr.Dataset, lr: Reals, weight_decay: Reals) -> Reals:
    """Return √(2λα/S), to which equilibrium drives λ|v|/|w| [step], or [step, layer].

    S is `overlap`: it is the line of gradients that do not know of each other, with λ and α as if they had always been
    those of the step. What is left out is a factor √(1 − λα/2). In Adam with L2 decay is in v, and what it takes of |w|
    depends on the size of the gradients: its λα is that of `theory.adam_l2`, with c = |g||w| as measured, the rms over
    50 steps. This is the one place.

    Args:
        ds: the recording. Its optimizer, ρ and β₂ count, of muon the shapes of its layers, of adam their gradients.
        lr, weight_decay: λ and α of each step, or numbers.

    Raises:
        ValueError: the recording does not tell what the equation needs.
    """
    c = setting(ds)
    if c.optimizer != "adam":
        return np.sqrt(2 * lr * weight_decay / overlap(ds, lr * weight_decay))
    size = np.sqrt(smooth(ds.g2.astype(float) * ds.w2))
    found = theory.adam_l2(size, _sizes(ds), lr, weight_decay, c.momentum)
    return found.update_rate.transpose("step", "layer")


def overlap(ds: xr.Dataset, x: Reals) -> Reals:
    """Return S of gradients that do not know of each other, at x = λα, a number or [step]; of muon [..., layer].

        sgdw, adamw   (1 + aρ)/(1 − aρ), ρ = β₁; of adam with a = 1
        lion          of C_k = (2/π) arcsin r_k, see `theory.lion`
        muon          of C_k = f(r_k) with f of five steps of Newton and Schulz, see `theory.muon`
    Errors of `line`.
    """
    c, each = setting(ds), np.asarray(x, float)  # numpy's, since C has thousands of lags
    if not has_line(ds):
        raise ValueError(f"line of a run with optimizer={c.optimizer!r}: must be one whose configuration is known, or "
                         "sgdw, adam or adamw; theory has the others, of β₂ and of the shapes of layers")  # fmt: skip
    if c.optimizer == "muon":
        shapes, h = conv_shapes(c.model, c.width), correlation.newton_schulz
        found = [theory.muon(shapes[str(name)], 1.0, each, c.momentum, response=h, exact=True).overlap
                 for name in ds.layer.values]  # fmt: skip
        return xr.DataArray(np.stack(found, -1), {"layer": ds.layer}, (*getattr(x, "dims", ()), "layer"))
    if c.optimizer == "lion":
        found = theory.lion(1.0, 1.0, each, *c.betas, exact=True).overlap
    else:
        found = theory.sgdw(1.0, 1.0, each, c.momentum, normalized=True, exact=c.optimizer != "adam").overlap
    return x.copy(data=found) if hasattr(x, "dims") else found


def _sizes(ds):
    """The number of weights of each layer."""
    if "weights" in ds.coords:
        return ds.weights
    c = setting(ds)
    shapes = conv_shapes(c.model, c.width)
    return xr.DataArray([float(np.prod(shapes[str(name)])) for name in ds.layer.values], {"layer": ds.layer}, "layer")
