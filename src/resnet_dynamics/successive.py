"""What a recording says about how alike the updates of successive steps were, where decay is decoupled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from . import updates
from .arms import DECOUPLED, alike, positive
from .measure import line, rate, weight_decay
from .recording import setting
from .series import WINDOW, earlier, enough, later, moved, named, of_recording, window, without_gaps

if TYPE_CHECKING:
    from ._shapes import Share

__all__ = ["overlap"]


@of_recording
def overlap(ds: xr.Dataset, share: Share = WINDOW) -> xr.Dataset:
    """Return S, how much longer updates add up than if they were orthogonal, of each layer [layer]. Derived.

    Where w ← aw − λv, a = 1 − λα, w is the sum of the older v, with weights aᵏ. So w·v is the sum of all their overlaps
    with the present one, and the recording has it: a w_t·v_t = w_{t+1}·v_t + λ|v_t|². In means over the steps of a
    window, each step relative to |w_t|²,
        S = 1 − 2⟨λa w·v⟩/⟨λ²|v|²⟩        ⟨λ²|v|²⟩S = ⟨1 − a²⟩(1 + δ),  δ = ⟨|w_{t+1}|² − |w_t|²⟩/⟨1 − a²⟩
    The second is |w_{t+1}|² = a²|w_t|² − 2λa w·v + λ²|v|², for whatever v. What w still has of w_0 is in S, too.

    Returns:
        overlap   S
        expected  S of gradients that do not know of each other, as in `measure.line`
        next      C_1 of v, the overlap with the step before
        drift     δ
        raw       rms of λ|v|/|w| over the rms of the line √(2λα/S), with S as expected
        settled   raw/√(1 + δ): whether updates are as alike as theory has them, √(expected/S) up to √(1 − λα/2)
        closure   settled·√(S/expected), without that factor: 1 but for rounding. Bookkeeping; NaN where S < 0

    Raises:
        ValueError: it is no run of sgdw, adamw, lion or muon with decay in all weights and norms that are free.
    """
    c = alike(setting(ds), "overlap")
    if c.optimizer not in DECOUPLED:
        raise ValueError(f"overlap of a run with optimizer={c.optimizer!r}: must be one of {', '.join(DECOUPLED)}, "
                         "whose decay is decoupled")  # fmt: skip
    positive(c, "overlap", "weight_decay", "lr")
    ds = without_gaps(enough(ds, "overlap", 2), "overlap")
    lr, w2, v2 = ds.lr.astype(float), ds.w2.astype(float), ds.v2.astype(float)
    x = lr * weight_decay(ds)
    v2_before = earlier(v2)

    def mean(series):
        return window(moved(series.where(np.isfinite(w2 * later(w2))), ds), share).mean("step")

    first_order, decayed = mean(2 * x + 0 * w2), mean(2 * x - x**2 + 0 * w2)
    grown = mean(lr**2 * v2 / w2)
    knows = mean(lr * (later(ds.wv.astype(float)) + lr * v2) / w2)
    delta = mean((later(w2) - w2) / w2) / decayed
    seen = 1 - 2 * knows / grown
    expected = first_order / mean(2 * x / updates.overlap(ds, x) + 0 * w2)
    raw = np.sqrt(mean(rate(ds) ** 2) / mean(line(ds) ** 2 + 0 * w2))
    settled = raw / np.sqrt((1 + delta).where(delta > -1))
    alike_next = mean(ds.dv.astype(float) + c.momentum * v2_before) / mean(np.sqrt(v2 * v2_before))  # v_t·v_{t−1}
    closure = settled * np.sqrt((seen / expected * first_order / decayed).where(seen > 0))
    return xr.Dataset({
        "overlap": named(seen, "overlap", "S", "overlap of updates", "1"),
        "expected": named(expected, "expected", "S", "overlap of updates of random gradients", "1"),
        "next": named(alike_next, "next", "C₁", "overlap of successive updates", "1"),
        "drift": named(delta, "drift", "δ", "drift of |w|² relative to its decay", "1"),
        "raw": named(raw, "raw", "√⟨z⟩", "dots over line", "1"),
        "settled": named(settled, "settled", "√(⟨z⟩/(1 + δ))", "dots over line, but for drift", "1"),
        "closure": named(closure, "closure", "closure", "what bookkeeping leaves, 1", "1"),
    })  # fmt: skip
