"""How alike updates are that lie k steps apart, C_k, where gradients are random. Derived. Symbols of `theory`.

Today's optimizers make an update of a mean c of the gradients, by nothing (AdamW), the sign (Lion) or the polar factor
(Muon). Random gradients make c Gaussian, of autocorrelation r_k, and the updates overlap by C_k = f(r_k), where
    f(r) = Σ f_n rⁿ,  n odd,  f_n ≥ 0,  Σ f_n = 1
and f_n is the share of the update that is a polynomial of degree n in c. AdamW: f = r. What is not linear forgets
faster.
"""

from __future__ import annotations

import functools
import reprlib
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.polynomial.polynomial import polyval

from .arguments import checked

if TYPE_CHECKING:
    from ._shapes import Lags, Line, Number, Reals

__all__ = ["lags", "mean_correlation", "newton_schulz", "polar_overlap", "polar_square", "sign_overlap"]

GONE, MOST = 1e-12, 2**20  # a correlation is followed until it is gone, and not beyond so many steps
TERMS, NODES = 512, 4096  # of the sum f, and of the integral for each f_n


def lags(correlation: Lags) -> Line:
    """Return C_1, C_2, ... [n] of an array, or of a callable that takes them, until all that follow are below 1e-12.

    A callable is given k [n], whole numbers as float64. Raises ValueError where it is not gone after a million steps.
    """
    shown = " ".join(reprlib.repr(correlation).split())
    if callable(correlation):
        n, found = 32, _asked(correlation, 32)
        while np.abs(found[n // 2 :]).max() > GONE:
            if n == MOST:
                raise ValueError(f"correlation={shown}: must fall below {GONE:g} within {MOST:,} steps")
            n, found = 2 * n, _asked(correlation, 2 * n)
    else:
        try:
            found = np.asarray(correlation, float)
        except (TypeError, ValueError):
            found = np.array(np.nan)
    if found.ndim != 1 or not (np.abs(found) <= 1).all():
        raise ValueError(f"correlation={shown}: must be C_1, C_2, ..., each in [−1, 1], or a callable of k that "
                         "returns them")  # fmt: skip
    return found if len(found) else np.zeros(1)


@checked
def mean_correlation(beta1: Number, beta2: Number) -> Callable:
    """Return r_k, a callable, of c_t = β₁m_{t−1} + (1 − β₁)g_t, where m_t = β₂m_{t−1} + (1 − β₂)g_t.

        r_k = r₁β₂ᵏ⁻¹,  r₁ = β₁(1 − β₂)(1 + β₂ − β₁) / ((1 − β₁)²(1 + β₂) + β₁²(1 − β₂))
    This is Lion's. A plain momentum β is β₁ = β₂ = β, and r_k = βᵏ. Nesterov's g + βm, in torch.optim.Muon, is β₁ = β²,
    β₂ = β.
    """
    left = (1 - beta1) ** 2 * (1 + beta2) + beta1**2 * (1 - beta2)
    first = beta1 * (1 - beta2) * (1 + beta2 - beta1) / left
    return lambda k: first * beta2 ** (np.asarray(k) - 1)


@checked
def sign_overlap(r: Reals) -> Reals:
    """Return how alike the signs of two Gaussian numbers of correlation r are, E[sign·sign] = (2/π) arcsin r.

    >>> float(sign_overlap(0.5).round(4))
    0.3333
    """
    return 2 / np.pi * np.arcsin(r)


@checked
def polar_overlap(r: Reals, shape: tuple[int, int], response: Callable | None = None) -> Reals:
    """Return f(r) = tr P(A)ᵀP(B)/n of the polar factors of two Gaussian m × n matrices, n ≤ m, of correlation r.

    P(A) = UVᵀ where A = UΣVᵀ. Of large matrices σ²/m = t = |1 + √y e^{iθ}|², y = n/m, where θ has the density
    (2/π) sin²θ/t (Marchenko and Pastur's). So t times the density is a semicircle, under which the Chebyshev
    polynomials U_k(cos θ) = sin((k + 1)θ)/sin θ are orthogonal: A·U_k of AᵀA/m is the part of degree 2k + 1. Parts of different
    degree do not overlap, those of the same do by r to that degree:
        f(r) = Σ b_k² r²ᵏ⁺¹,  b_k = (2/π) ∫ sin((k + 1)θ) sin θ t^{−½} dθ, from 0 to π
    Square: b_k² = (4/π²)(1/(2k + 1) + 1/(2k + 3))², so that f′(0) = (8/3π)² = .72; y → 0: f = r. In general f′(0) is
    (mean σ)²/m. With `response` h, P(A) is U h(Σ/|A|) Vᵀ, as h = `newton_schulz` has it, and b_k has h(√(t/n)) inside.

    The error is of order 1/n: f′(0) is 1.0 % too large for 32 × 32, 0.6 % for 64 × 64 and 0.6 % for 64 × 16. The sum
    has 512 terms: within 10⁻³ for |r| > 0.99, else within 10⁻⁶.

    >>> float(polar_overlap(0.5, (64, 64)).round(3)), float(polar_overlap(0.5, (64, 4)).round(3))
    (0.376, 0.494)
    """
    return r * polyval(np.square(r), _shares(*_sides(shape), response)[1])


def polar_square(shape: tuple[int, int], response: Callable | None = None) -> float:
    """Return |P(A)|² of a Gaussian matrix: n, its rank, or with `response` h the mean of |h(Σ/|A|)|²."""
    return _shares(*_sides(shape), response)[0]


@checked
def newton_schulz(s: Reals, coefficients: tuple = (3.4445, -4.775, 2.0315), steps: int = 5) -> Reals:
    """Return what Muon makes of a singular value s, relative to |A|, in place of 1: s ← as + bs³ + cs⁵, five times.

    Jordan et al. 2024 (kellerjordan.github.io/posts/muon) and torch.optim.Muon; there the matrix is in bfloat16.

    >>> newton_schulz([0.0, 0.01, 0.1, 1.0]).round(2).tolist()
    [0.0, 0.7, 0.71, 0.7]
    """
    a, b, c = coefficients
    for _ in range(steps):
        s = a * s + b * s**3 + c * s**5
    return s


def _asked(correlation, n):
    """C_1 ... C_n of a callable."""
    found = np.asarray(correlation(np.arange(1.0, n + 1)), float)
    if found.shape != (n,):
        raise ValueError(f"correlation={correlation!r}: must return an array of the shape of k")
    return found


def _sides(shape):
    """The long and the short side of a matrix."""
    sides = np.asarray(shape)
    if sides.shape != (2,) or sides.dtype.kind not in "iu" or not (sides > 0).all():
        raise ValueError(f"shape={shape!r}: must be two whole numbers > 0, those of a matrix")
    return int(sides.max()), int(sides.min())


@functools.lru_cache(maxsize=32)
def _shares(m, n, response):
    """|P|², and b_k² over their sum [TERMS]; what is beyond the last term is added to it."""
    y = np.sqrt(n / m)
    v = (np.arange(NODES) + 0.5) * np.pi / NODES  # π − θ = π cos²(v/2), dense at both ends: converges exponentially
    rest = np.pi * np.cos(v / 2) ** 2
    t = (1 - y) ** 2 + 4 * y * np.sin(rest / 2) ** 2  # |1 + √y e^{iθ}|², without a loss of digits near 0
    h = 1.0 if response is None else np.asarray(response(np.sqrt(t / n)), float)
    measure = np.sin(rest) * np.sin(v) / NODES * np.pi  # (2/π) sin θ dθ
    square = 1.0 if response is None else (measure * np.sin(rest) * h**2 / t).sum()
    k = np.arange(1, TERMS + 1)
    b = np.sin(np.outer(k, np.pi - rest)) @ (measure * h / np.sqrt(t))
    shares = b**2 / square
    shares[-1] += 1 - shares.sum()
    return n * square, shares
