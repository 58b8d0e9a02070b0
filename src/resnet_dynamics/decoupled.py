"""Decoupled optimizers in the same balance. Derived. Symbols, units and arguments are those of `theory`.

All of them are w ← (1 − λα)w − λu, and in all of them |u| does not depend on |w|, but for SGDW. What tells them apart
is how long u is and how alike the u of different steps are. The functions take what an optimizer takes, and return what
`decoupled` returns; `weights` K is the number of weights of a layer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.polynomial.polynomial import polyval

from .arguments import checked, numbers_only, settling, some_motion
from .correlation import lags, mean_correlation, polar_overlap, polar_square, sign_overlap
from .recurrence import norm_multipliers

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._shapes import Lags, Number, Reals

__all__ = ["AdamW", "Decoupled", "Hyperball", "adam_l2", "adamw", "decoupled", "hyperball", "lion", "muon", "sgdw"]


class Decoupled(NamedTuple):
    """Where a decoupled optimizer comes to, by `decoupled`. The angle of a step is 2 arcsin(update_rate/2)."""

    norm: Reals  # |w|, u
    update_rate: Reals  # |w_{t+1} − w_t|/|w_t|
    lifetime_rate: Reals  # the same of many steps, by the root of their number: how far one gradient moves w in all
    time_constant: Reals  # steps in which |w|² comes e times closer to equilibrium
    overlap: Reals  # S, how much longer updates add up than if they were orthogonal, squared


class AdamW(NamedTuple):
    """What AdamW comes to, by `adamw`."""

    norm: Reals  # |w|, u
    update_rate: Reals  # |w_{t+1} − w_t|/|w_t|
    lifetime_rate: Reals  # how far one gradient moves w in all, |Δw|/|w|
    time_constant: Reals  # steps in which |w|² comes e times closer to equilibrium


class Hyperball(NamedTuple):
    """How fast weights turn whose norm is set, by `hyperball`."""

    rotation_angle: Reals  # from w_t to w_{t+1}, radians
    lifetime_rate: Reals  # |w_{t+n} − w_t|/|w|, by √n: what many steps come to
    decay: Reals  # the λα of a decoupled optimizer that turns in the same way


@checked
def decoupled(
    square: Reals, correlation: Lags, lr: Reals, weight_decay: Reals, *, momentum: Reals = 0.0, exact=False
) -> Decoupled:
    """Return the equilibrium of w ← (1 − λα)w − λu, of any u that forgets w.

    u has the mean square U² = `square` and the autocorrelation C_k = E[u_t·u_{t−k}]/U², and is orthogonal to w on
    average but for what w remembers of earlier u. Then w is their sum, with weights aᵏ, a = 1 − λα, and exactly
        |w|²          λ²U² S/(1 − a²),  S = 1 + 2Σ aᵏC_k over k ≥ 1
        (|Δw|/|w|)²   2x(1 − xσ)/S,  x = λα, σ = Σ aᵏ⁻¹C_k, so that S = 1 + 2aσ; cos of the angle is 1 − half of it
        in all, ²     (1 − a²) S₁/S with S₁ = 1 + 2ΣC_k, the mean square of many steps, each
        τ             −1/(2 ln a), or −1/(2 ln ρ) where u forgets by a factor ρ = `momentum` a step and that is more
    exact=False is the leading order in x and in x times the memory of u, where S = S₁:
        |w|² = λU²S/(2α)   |Δw|/|w| = √(2x/S)   in all √(2x)   τ = 1/(2x)
    So one step depends on the optimizer by S, and many steps do not: every decoupled optimizer turns √(2λα) a step in
    the long run. Chou 2025 (arXiv 2512.08217) has the balance for updates that are independent.

    Args: correlation C_1, C_2, ... [n], 0 beyond, or a callable of k [n] that returns them. λ in u/[u], α in [u]/u:
    x is a pure number. Cost: n operations on arrays of the shape of x.

    >>> [round(float(y), 3) for y in decoupled(1000, lambda k: 0.9**k, 0.01, 1.0, exact=True)]
    [9.337, 0.033, 0.148, 49.75, 17.349]
    """
    found = lags(correlation)
    a = 1 - _decay(lr, weight_decay, exact)
    return _settled(square, polyval(a, found), found.sum(), lr, weight_decay, momentum, exact)


@checked
def sgdw(
    c: Reals, lr: Reals, weight_decay: Reals, momentum: Reals = 0.0, *, normalized=False, exact=False
) -> Decoupled:
    """Return the equilibrium of SGD with decoupled decay: v ← ρv + g, w ← (1 − λα)w − λv. C_k = ρᵏ.

    U² = |g|²/(1 − ρ²). As |g| = c/|w|, |w|⁴ = λ²c² S/((1 − ρ²)(1 − a²)), S = (1 + aρ)/(1 − aρ), and the growth falls as
    |w| rises: τ is half of the others', 1/(4λα). The rates are those of `theory` with optimizer="sgdw", and
    `theory.lars_rate` is λ|g|/|w|. normalized=True: gradients of the set length |g| = c.
    """
    a = 1 - _decay(lr, weight_decay, exact)
    square = c**2 / (1 - momentum**2)
    found = _settled(square, *_geometric(a, momentum), lr, weight_decay, momentum, exact)
    if normalized:
        return found
    tau = found.time_constant / 2
    if exact:
        with np.errstate(divide="ignore"):
            mu = np.abs(norm_multipliers(lr, weight_decay, momentum, optimizer="sgdw")[..., 0])
            tau = np.abs(1 / np.log(mu))
    return found._replace(norm=np.sqrt(found.norm), time_constant=tau)


@checked
def adamw(weights: Reals, lr: Reals, weight_decay: Reals, momentum: Reals = 0.9, *, exact=False) -> AdamW:
    """Return the equilibrium of AdamW (w ← (1 − λα)w − λ m/√v) for gradients orthogonal to w and to each other.

    m/√v does not know the size of a gradient: it has rms 1 per weight, spread over the steps by β₁ = `momentum`. So
    growth is λ²K a step whatever |w| is, with K = `weights`. It is `decoupled` with U² = K(1 − β₁)/(1 + β₁) and C_k =
    β₁ᵏ. exact=True, with x = λα and a = 1 − x:
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
    a = 1 - _decay(lr, weight_decay, exact)
    square = weights * (1 - momentum) / (1 + momentum)
    return AdamW(*_settled(square, *_geometric(a, momentum), lr, weight_decay, momentum, exact)[:4])


@checked
def lion(
    weights: Reals, lr: Reals, weight_decay: Reals, beta1: Number = 0.9, beta2: Number = 0.99, *, exact=False
) -> Decoupled:
    """Return the equilibrium of Lion: u = sign(β₁m + (1 − β₁)g), m ← β₂m + (1 − β₂)g, w ← (1 − λα)w − λu.

    Chen et al. 2023 (arXiv 2302.06675). U² = K = `weights`, C_k = (2/π) arcsin r_k with r_k of `mean_correlation`.
    Signs are less alike than the means they are of, and S is about a third smaller than the means'. exact=False needs x
    much smaller than 1 − β₂: at x = 1 − β₂ = 0.01 its |w|² is 1.95 times too large.

    >>> [round(float(lion(1000, 0.02, 0.5, exact=e).norm), 2) for e in (False, True)]
    [30.31, 21.7]
    """
    numbers_only(beta1=beta1, beta2=beta2)
    mean = mean_correlation(beta1, beta2)
    return decoupled(weights, lambda k: sign_overlap(mean(k)), lr, weight_decay, momentum=beta2, exact=exact)


@checked
def muon(
    shape: tuple[int, int], lr: Reals, weight_decay: Reals, momentum: Number = 0.95, *, nesterov=True,
    adjust_lr_fn: str | None = None, response: Callable | None = None, exact=False
) -> Decoupled:
    """Return the equilibrium of Muon: u = s·UVᵀ, where β·m + (1 − β)g = UΣVᵀ, w ← (1 − λα)w − λu. Arguments of torch's.

    Jordan et al. 2024 (kellerjordan.github.io/posts/muon), torch.optim.Muon. m ← βm + (1 − β)g, β = `momentum`;
    nesterov=False: of m itself. Gradients are Gaussian matrices of the `shape` (A, B) of the weight. U² = s² min(A, B),
    C_k = f(r_k) with f of `polar_overlap` and r_k of `mean_correlation`. s is torch's adjust_lr_fn: "original", or
    None, √max(1, A/B); "match_rms_adamw" 0.2√max(A, B); "spectral_unclamped" √(A/B).

    The polar factor is exact here, in torch it is not: response=correlation.newton_schulz has what five steps make of
    each σ. For square matrices U² is then 17 to 23 % smaller. All of it is the limit of large matrices: |w| is 0.5 %
    too large for 32 × 32, 0.3 % for 64 × 64, 0.2 % for 64 × 16.

    >>> float(muon((64, 64), 0.02, 1.0, exact=True).norm.round(2))
    3.43
    """
    numbers_only(momentum=momentum)
    mean = mean_correlation(momentum**2 if nesterov else momentum, momentum)
    square = polar_square(shape, response) * _adjusted(adjust_lr_fn, *shape) ** 2
    return decoupled(
        square, lambda k: polar_overlap(mean(k), shape, response), lr, weight_decay, momentum=momentum, exact=exact
    )


@checked
def adam_l2(c: Reals, weights: Reals, lr: Reals, weight_decay: Reals, momentum: Reals = 0.9) -> Decoupled:
    """Return the equilibrium of Adam with coupled decay, d = g + αw, w ← w − λ m/√v. Leading order.

    v is of d, about |g|²/K with K = `weights`, so decay is divided by the size of a gradient: it is that of AdamW with
    α√K/|g| for α, and as |g| = c/|w|, with α√K|w|/c. Growth λ²K does not depend on |w|, shrink is ∝ |w|³:
        d|w|²/dt = λ²K − 2λα√K|w|³/c,  |w|³ = λc√K/(2α),  τ = 1/(3x)
        x = λα√K|w|/c = (λ⁴α²K²/(2c²))^{1/3},  |Δw|/|w| = √(2x(1 − β₁)/(1 + β₁)),  in all √(2x)
    So the law holds with an x that knows c: layers with larger gradients turn more slowly, as c^{−1/3}, while with
    AdamW all turn alike, an imbalance that Kosson et al. 2024 (arXiv 2305.17212) see in networks. The error is of order
    x, 0.3 % of |w| at x = 0.03: αw is small against g, (α|w|)²/|g|² = x/2.

    >>> a, b = adam_l2([1.0, 8.0], 1000, 0.001, 0.01).lifetime_rate
    >>> float((a / b).round(6))
    2.0
    """
    with np.errstate(divide="ignore"):
        norm = np.cbrt(np.divide(lr * c * np.sqrt(weights), 2 * weight_decay))
        x = np.cbrt(lr**4 * weight_decay**2 * weights**2 / (2 * c**2))
        overlap = (1 + momentum) / (1 - momentum)
        return Decoupled(norm, np.sqrt(2 * x / overlap), np.sqrt(2 * x), np.divide(1.0, 3 * x), overlap + 0 * x)


@checked
def hyperball(lr: Reals, correlation: Lags = ()) -> Hyperball:
    """Return how fast weights turn whose norm, and that of the updates, is set: w ← |w₀|·(ŵ − λû)/|ŵ − λû|. Exact.

    Wen et al. 2026 (arXiv 2606.16899), called Hyperball there, around any optimizer. Updates that forget at once are
    orthogonal to w, and a step is the angle arctan λ, as equation (4) with |w| put back. In general |ŵ − λû| = 1/a, the
    same at every step, so it is `decoupled` with this a, and λa for λ:
        1 = a²(1 + λ²S(a))      cos of the angle = (1 + a² − λ²a²)/(2a)      in all aλ√S₁
    With decay the long run is the same for all optimizers and the step is not, by S. Here the step is the same, about
    λ, and the long run is not. There is no time constant, as there is no norm to be forgotten.

    Args: λ is a pure number. correlation as `decoupled` has it, of the updates without their lengths.

    >>> angle, whole, decay = hyperball(0.5)
    >>> round(float(np.tan(angle)), 12), round(float(whole / np.sin(angle)), 12)
    (0.5, 1.0)
    """
    found = lags(correlation)
    low, high = 0 * lr, 1 + 0 * lr
    for _ in range(52):
        a = (low + high) / 2
        below = a**2 * (1 + lr**2 * _overlap(a, polyval(a, found))) < 1
        low, high = low + below * (a - low), high + (1 - below) * (a - high)
    a = (low + high) / 2
    turn = np.sqrt((lr * a) ** 2 - (1 - a) ** 2) / np.sqrt(a)
    return Hyperball(2 * np.arcsin(turn / 2), a * lr * np.sqrt(1 + 2 * found.sum()), 1 - a)


# Shared by the functions above.


def _decay(lr, weight_decay, exact):
    """λα if it is small enough that |w| comes to an equilibrium, and 0 to leading order."""
    some_motion(lr, weight_decay)
    return settling(lr * weight_decay, 0.0, "sgdw") if exact else 0.0


def _geometric(a, rho):
    """Σ aᵏ⁻¹ρᵏ, and with 1 for a."""
    return rho / (1 - a * rho), rho / (1 - rho)


def _overlap(a, sigma):
    """S."""
    overlap = 1 + 2 * a * sigma
    if not np.all(overlap > 0):
        raise ValueError(f"correlation: must be that of updates, of which S is > 0; here it is {np.min(overlap):g}")
    return overlap


def _settled(square, sigma, total, lr, weight_decay, rho, exact):
    """The law, of σ at a and at 1."""
    x = lr * weight_decay
    small = x if exact else 0.0
    a = 1 - small
    overlap, whole = _overlap(a, sigma), 1 + 2 * total
    with np.errstate(divide="ignore"):
        norm = np.sqrt(np.divide(lr * square, weight_decay * (2 - small)) * overlap)
        tau = np.divide(-0.5, np.log(np.maximum(np.abs(a), rho))) if exact else np.divide(1.0, 2 * x)
    update = np.sqrt(2 * x * (1 - small * sigma) / overlap)
    return Decoupled(norm, update, np.sqrt(x * (2 - small) * whole / overlap), np.abs(tau), overlap + 0 * x)


def _adjusted(name, rows, columns):
    """What torch.optim.Muon multiplies λ by."""
    factors = {None: max(1, rows / columns) ** 0.5, "match_rms_adamw": 0.2 * max(rows, columns) ** 0.5,
               "spectral_unclamped": (rows / columns) ** 0.5}  # fmt: skip
    factors["original"] = factors[None]
    if name not in factors:
        raise ValueError(f"adjust_lr_fn={name!r}: must be 'original', 'match_rms_adamw', 'spectral_unclamped' or None")
    return factors[name]
