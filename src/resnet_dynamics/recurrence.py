"""The norm through any schedule: the recurrence of its means, and the master equation. Derived.

Symbols, units and arguments are those of `theory`, which has these functions, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .arguments import checked, known, numbers_only, settling
from .correlation import lags

if TYPE_CHECKING:
    from ._shapes import Full, Lags, Layers, Multipliers, Number, OneStep, Reals, Series, Sizes

__all__ = [
    "Moments", "Undecayed", "adam_recurrence", "decoupled_ode", "decoupled_recurrence", "master_ode", "moments",
    "next_moments", "norm_multipliers", "norm_recurrence", "without_decay",
]  # fmt: skip


class Moments(NamedTuple):
    """Means over runs [T, ...] in u² and the like, named as in a recording."""

    w2: Series  # |w_t|², before step t
    wv: Series  # w_t · v_{t−1}, before step t
    v2: Series  # |v_t|², of step t
    u2: Series  # |w_{t+1} − w_t|², of step t


@checked
def moments(
    w2_0: Layers, c: Sizes, lr_t: Series, weight_decay: Layers | Series, momentum: Layers = 0.0, *, optimizer="sgd",
    wv_0: Layers = 0.0, v2_0: Layers = 0.0
) -> Moments:
    """Follow the means X = |w|², Y = w·v, Z = |v|² of random orthogonal gradients, any schedule.

    They close if there are many weights, so that |w| is its mean: G = |g|² = c²/X. Heavy ball:
        w·v' = ρY + αX       Z' = ρ²Z + 2ραY + G + α²X
        Y' = w·v' − λZ'      X' = X − 2λ w·v' + λ²Z'
    from v = 0, or from the w·v and |v|² that are given. "lars" is (8): lr_t is its own rate, and as d = (|w|/|g|) g the
    same with G = X and α = 0, whatever c and weight_decay are; without momentum X' = (1 + λ²)X.

    Args: lr_t [T] or [T, L]; c the same, a number, or [1, L]; others numbers or [L]. weight_decay of the shape of lr_t
    is a series α(t).
    Returns Moments of [T] or [T, L]. Cost: T times a few operations on [L].
    """
    lars = known(optimizer, "lars") == "lars"
    lr_t, c, w2, alpha, rho = _series(lr_t, c, w2_0, weight_decay, momentum)
    alpha = 0 * alpha if lars else alpha
    wv, v2 = 0 * w2 + wv_0, 0 * w2 + v2_0
    rows = []
    for lr, a, c2 in zip(lr_t, alpha, c**2, strict=True):
        g2 = w2 if lars else c2 / w2
        after, wv_after, v2, u2 = next_moments(w2, wv, v2, g2, lr, a, rho, optimizer)
        rows.append((w2, wv, v2, u2))
        w2, wv = after, wv_after
    return Moments(*map(np.stack, zip(*rows, strict=True)))


@checked
def norm_recurrence(
    w2_0: Layers, c: Sizes, lr_t: Series, weight_decay: Layers | Series, momentum: Layers = 0.0, *, optimizer="sgd"
) -> Series:
    """Return |w_t|² through a schedule, in u²; plain SGD: |w'|² = (1 − λα)²|w|² + λ²c²/|w|².

    (1′) and (2′) in one: exact for plain SGD and any c_t = |g_t||w_t|; with momentum the mean over
    random gradients. Arguments, optimizers and shapes of `moments`. Returns [T] or [T, L].
    """
    return moments(w2_0, c, lr_t, weight_decay, momentum, optimizer=optimizer).w2


@checked
def master_ode(
    lr_t: Series, weight_decay: Layers | Series, momentum: Layers = 0.0, *, c: Sizes = 1.0, w2_0: Layers | None = None,
    z0: Layers | None = None
) -> Series:
    """Return z_t = (λ|g|/|w|)²/(2λα(1 − ρ)): dots over line, squared, of figures 5 and 7.

        d ln z/dt = 4λα(1 − z)/(1 − ρ) + d ln(λc²/α)/dt
    Solved in y = |w|⁴, where it is linear: dy/dt = (y* − y)·4λα/(1 − ρ), y* = λc²/(2α(1 − ρ)),
    z = y*/y, with λ and c constant within a step. Leading order in λα and in the momentum's memory
    over τ; `norm_recurrence` has neither error. weight_decay of the shape of lr_t is a series α(t):
    with α ∝ λ the target stands still. Start: w2_0 = |w_0|², or z0 (needs λ_0 > 0), or
    neither: equilibrium at the largest λ. Shapes as in `moments`. Returns [T] or [T, L].
    """
    start = 1.0 if w2_0 is None else w2_0
    lr_t, c, start, alpha, rho = _series(lr_t, c, start, weight_decay, momentum)
    if not np.all(alpha > 0):
        raise ValueError(f"weight_decay={weight_decay}: must be > 0, z is relative to the decay")
    target = lr_t * c**2 / (2 * alpha * (1 - rho))
    keep = np.exp(-4 * lr_t * alpha / (1 - rho))
    return _target_over(None if w2_0 is None else start**2, z0, target, keep, "c**2")


@checked
def decoupled_recurrence(
    w2_0: Layers, square: Sizes, correlation: Lags, lr_t: Series, weight_decay: Layers | Series, *,
    wv_0: Layers = 0.0
) -> Series:
    """Return the mean |w_t|² of w ← (1 − λα)w − λu through a schedule, in u², for u of a size that is set. Exact.

    With U² = `square` and C_k of `decoupled`, and a = 1 − λα, what w knows of the k-th update to come is Q_k:
        |w'|² = a²|w|² − 2aλU Q_1 + λ²U²      Q_k' = a Q_{k+1} − λU C_k, from Q = 0
    The updates before the first step are as those after it, and w_0 knows nothing of them: an optimizer whose momentum
    is 0 then departs from it for the length of that memory. A run that is under way has w_0·u = `wv_0` with the update
    before the first, and knows the others as in equilibrium: Q_k = w_0·u N_k/(N_0 U), N_k = Σ aʲC_{k+j}, which is exact
    for C_k = ρᵏ. Gradients are of one length here. Where |g| = c/|w|, |w| must change little while m of Lion and Muon
    remembers. v of AdamW remembers longer (β₂), and a v of smaller gradients makes u longer: see `adam_recurrence`.

    Shapes of `moments`; U² may be a series, as c there. Returns [T] or [T, L]. Cost: T operations on the lags that
    there are, T at most.

    >>> decoupled_recurrence(1.0, 1.0, [0.5], [0.1, 0.1, 0.1], 0.0).round(6).tolist()
    [1.0, 1.01, 1.03]
    """
    lr_t, square, w2, alpha, _ = _series(lr_t, square, w2_0, weight_decay, 0.0)
    every = lags(correlation)
    found = every[: len(lr_t)].reshape(-1, *(1,) * w2.ndim)
    ahead = _foreseen(every, 1 - lr_t[0] * alpha[0])[: len(found)] * wv_0 / np.sqrt(square[0])
    rows = []
    for lr, x, size in zip(lr_t, lr_t * alpha, np.sqrt(square), strict=True):
        rows.append(w2)
        w2 = (1 - x) ** 2 * w2 - 2 * (1 - x) * lr * size * ahead[0] + (lr * size) ** 2
        ahead = (1 - x) * np.concatenate([ahead[1:], 0 * ahead[:1]]) - lr * size * found
    return np.stack(rows)


@checked
def adam_recurrence(
    w2_0: Layers, c: Sizes, weights: Layers, lr_t: Series, weight_decay: Layers | Series, momentum: Layers = 0.9,
    beta2: Number = 0.999, *, decoupled=True, steps_0: int = 0, wv_0: Layers = 0.0, v2_0: Layers = 0.0,
    s_0: Layers = 0.0
) -> Series:
    """Return the mean |w_t|² of AdamW through a schedule, in u²; decoupled=False: of Adam with α in the gradient.

    Its direction m/√s is a momentum v of gradients whose λ moves with s, the mean square of a number in them. With
    random orthogonal gradients of |g| = c/|w|, K = `weights`, β₁ = `momentum`, in the t-th step of the optimizer:
        s ← s + (1 − β₂)/(1 − β₂ᵗ) (|d|²/K − s),  |d|² = c²/|w|², with L2 more by α²|w|²
        λ' = λ(1 − β₁)/((1 − β₁ᵗ)√s)
        v ← β₁v + g, w ← (1 − λα)w − λ'v;  with L2 v ← β₁v + g + αw, w ← w − λ'v
    and from there on as `moments`. s remembers 1/(1 − β₂) steps. A |w| that moves faster finds its level for the s
    that there is, with AdamW in 1/(4λα) steps, as with SGDW; then both go to the level of `adamw` or `adam_l2`
    together, with AdamW in twice as many steps as s remembers. Gradients that are alike in all weights, and ε small.

    Args: c, lr_t and others in the shapes of `moments`. A run that is under way after `steps_0` steps has w·u = `wv_0`
    and |u|² = `v2_0` with the direction u of the last of them, and s = `s_0`, without the bias of its start.
    Returns [T] or [T, L]. Cost: T times a few operations on [L].

    >>> adam_recurrence(10.0, 1.0, 1000, [0.01, 0.01], 0.0).round(3).tolist()
    [10.0, 10.1]
    """
    numbers_only(beta2=beta2)
    lr_t, c, w2, alpha, rho = _series(lr_t, c, w2_0, weight_decay, momentum)
    root = np.sqrt(0 * w2 + s_0) * (1 - rho**steps_0) / (1 - rho)
    wv, v2, s, rows = root * wv_0, root**2 * v2_0, 0 * w2 + s_0, []
    for t, (lr, a, c2) in enumerate(zip(lr_t, alpha, c**2, strict=True), start=steps_0 + 1):
        rows.append(w2)
        g2 = c2 / w2
        s = s + (1 - beta2) / (1 - beta2**t) * ((g2 + (0 if decoupled else a**2 * w2)) / weights - s)
        root = np.sqrt(s) * (1 - rho**t) / (1 - rho)  # m/√s is v over this
        by, optimizer = (a * root, "sgdw") if decoupled else (a, "sgd")
        w2, wv, v2, _ = next_moments(w2, wv, v2, g2, lr / root, by, rho, optimizer)
    return np.stack(rows)


@checked
def decoupled_ode(
    lr_t: Series, weight_decay: Layers | Series, *, square: Sizes = 1.0, w2_0: Layers | None = None,
    z0: Layers | None = None
) -> Series:
    """Return z_t = λU²S/(2α|w|²) of updates whose size is set (AdamW, Lion, Muon): step over √(2λα/S), squared.

        d|w|²/dt = −2λα|w|² + λ²U²S,   d ln z/dt = 2λα(1 − z) + d ln(λU²S/α)/dt
    As `master_ode`, which is solved in |w|⁴ at twice the rate, as there growth falls when |w| rises. Here it is |w|²
    that is linear, z is its target over itself, and what is left of |w_0|² is exp(−Σ2λα), the root of `memory`. Where λ
    falls and α does not, |w| lags further behind than with SGD; with α ∝ λ (AdamC of Defazio 2025, arXiv 2506.02285)
    the target stands still. Leading order in λα and in the memory of the updates; `decoupled_recurrence` has neither
    error.

    Args: square is U²S, for the starts below the only thing that counts: with neither w2_0 nor z0 nothing depends on
    it, but on its changes. Starts, shapes and return as in `master_ode`.
    """
    start = 1.0 if w2_0 is None else w2_0
    lr_t, square, start, alpha, _ = _series(lr_t, square, start, weight_decay, 0.0)
    if not np.all(alpha > 0):
        raise ValueError(f"weight_decay={weight_decay}: must be > 0, z is relative to the decay")
    target = lr_t * square / (2 * alpha)
    return _target_over(None if w2_0 is None else start, z0, target, np.exp(-2 * lr_t * alpha), "square")


@checked
def norm_multipliers(lr: Reals, weight_decay: Reals, momentum: Reals = 0.0, *, optimizer="sgd") -> Multipliers:
    """Return the factors per step of small deviations of (|w|², w·v, |v|²) from equilibrium. Exact.

    Complex [..., 3], largest modulus first; a complex pair rings. Plain SGD: 2(1 − λα)² − 1, 0, 0.
    Heavy ball, leading order: ρ² and μ² − (1 + ρ − 4λα)μ + ρ = 0, a ball on a spring.
    """
    x, rho = np.broadcast_arrays(settling(lr * weight_decay, momentum, optimizer), momentum)
    # The recurrence is linear in (X, Y, Z, G); its columns, in units with λ = 1:
    columns = [next_moments(*unit, 1.0, x, rho, known(optimizer))[:3] for unit in np.eye(4)]
    step = np.stack([np.stack([part + 0 * x for part in column], -1) for column in columns], -1)
    step, push = step[..., :3], step[..., 3]
    # Fixed point: (step − 1)·(1, Y, Z) + G·push = 0. We need its G; as G = c²/X, dG/dX = −G there.
    away = step - np.eye(3)
    unknown = np.stack([away[..., 1], away[..., 2], push], -1)
    g2 = np.linalg.solve(unknown, -away[..., :1])[..., 2, :]
    step[..., 0] -= g2 * push
    mu = np.linalg.eigvals(step).astype(complex)
    return np.take_along_axis(mu, np.argsort(-np.abs(mu), -1), -1)


class Undecayed(NamedTuple):
    """A run without decay that points where one with decay does, by `without_decay`."""

    lr: Series  # λ̃_t, u²/nat
    momentum: Series  # ρ̃_t
    scale: Series  # s_t = |w̃_t|/|w_t|, before step t


@checked
def without_decay(lr_t: Series, weight_decay: Number, momentum: Number = 0.0) -> Undecayed:
    """Return the λ̃ and ρ̃ with which heavy ball without decay goes through s_t w_t, w_t being the weights with decay.

    w ← w − λ(g + αw) + ρ'(w − w_before) with ρ' = ρλ_t/λ_{t−1} is heavy ball with decay. For a scale-invariant w the
    gradient at s·w is g/s, and so with
        s_{t+1} = s_t/(1 − λα − ρ'(s_t/s_{t−1} − 1)),  λ̃ = s_t s_{t+1} λ,  ρ̃ = ρ' s_{t+1}/s_{t−1}
    w̃ ← w̃ − λ̃g̃ + ρ̃(w̃ − w̃_before) is s times the same, exactly, from s_0 = 1 and v = 0. For ρ = 0 and constant λ:
    λ̃_t = λ(1 − λα)^(−2t−1), the exponential schedule of Li and Arora 2020 (arXiv 1910.07454). There is such a run as
    long as |w| does not ring: at constant λ for λα ≤ (1 − √ρ)². With momentum λ_t > 0.

    >>> [round(float(x), 3) for x in without_decay([0.1, 0.1, 0.1], 1.0).lr]
    [0.111, 0.137, 0.169]
    """
    numbers_only(weight_decay=weight_decay, momentum=momentum)
    lr = np.asarray(lr_t, float)
    if lr.ndim > 1:
        raise ValueError(f"lr_t of shape {lr.shape}: must be a series of numbers, [T]")
    if momentum and not (lr > 0).all():
        raise ValueError("lr_t=0: must be > 0 with momentum, which is carried from one λ to the next")
    s, carried = np.ones(len(lr) + 2), np.zeros(len(lr))  # s_{−1}, s_0 ... s_T
    carried[1:] = momentum * lr[1:] / lr[:-1] if momentum else 0.0
    for t in range(len(lr)):
        left = 1 - lr[t] * weight_decay - carried[t] * (s[t + 1] / s[t] - 1)
        if left <= 0:
            most = (1 - momentum**0.5) ** 2
            raise ValueError(f"lr * weight_decay={lr[t] * weight_decay:g} at step {t}: must be smaller, at constant lr "
                             f"at most {most:.3g} with this momentum; beyond it |w| rings")  # fmt: skip
        s[t + 2] = s[t + 1] / left
    return Undecayed(s[1:-1] * s[2:] * lr, carried * s[2:] / s[:-2], s[1:-1])


def _foreseen(found, a):
    """N_k/N_0 of k = 1, 2, ..., N_k = Σ aʲC_{k+j}: how much of w·u with the last update w has with those to come."""
    sums = np.zeros((len(found) + 1, *np.shape(a)))
    for k in range(len(found) - 1, -1, -1):
        sums[k] = found[k] + a * sums[k + 1]
    return sums[:-1] / (1 + a * sums[0])


def _target_over(y: Layers | None, z0: Layers | None, target: Full, keep: Full, size: str) -> Full:
    """target_t/y_t, where y' = target + keep·(y − target), from y, or from target/z0, or the largest target."""
    if y is not None and z0 is not None:
        raise ValueError(f"z0={z0}: must be None where w2_0 is given, each is a start")
    if y is None:
        y = target.max(axis=0) if z0 is None else target[0] / z0
        if np.any(y == 0):
            where = "at some step" if z0 is None else "at the first step"
            raise ValueError(f"lr_t * {size}=0: must be > 0 {where}, its equilibrium is the start; or give w2_0")
    z = np.empty_like(target)
    for t in range(len(z)):
        z[t] = target[t] / y
        y = target[t] + keep[t] * (y - target[t])
    return z


def next_moments(
    w2: Reals, wv: Reals, v2: Reals, g2: Reals, lr: Reals, alpha: Reals, rho: Reals, optimizer: str
) -> tuple[Reals, Reals, Reals, Reals]:
    """|w'|², w'·v', |v'|², |w' − w|² for v' = ρv + d, w' = kept·w − λu, u = a·d + b·v."""
    coupled, kept = (0.0, 1 - lr * alpha) if optimizer == "sgdw" else (alpha, 1.0)
    a, b = (1 + rho, rho**2) if optimizer == "nesterov" else (1.0, rho)
    wd, dv, d2 = coupled * w2, coupled * wv, g2 + coupled**2 * w2  # as w·g = v·g = 0
    wu, u2 = a * wd + b * wv, a**2 * d2 + 2 * a * b * dv + b**2 * v2
    uv_new = a * d2 + (a * rho + b) * dv + b * rho * v2  # u·v'
    return (
        kept**2 * w2 - 2 * kept * lr * wu + lr**2 * u2,
        kept * (wd + rho * wv) - lr * uv_new,
        d2 + 2 * rho * dv + rho**2 * v2,
        (1 - kept) ** 2 * w2 + 2 * (1 - kept) * lr * wu + lr**2 * u2,
    )


def _series(
    lr_t: Series, c: Sizes, w2_0: Layers, weight_decay: Layers | Series, momentum: Layers
) -> tuple[Full, Full, OneStep, Full, Reals]:
    """Return lr_t, c and weight_decay as [T, *S] and w2_0 as [*S], where S is the shape of one step."""
    lr_t, c, w2_0, alpha, rho = (np.asarray(a, float) for a in (lr_t, c, w2_0, weight_decay, momentum))

    series = alpha.ndim and alpha.shape == lr_t.shape  # else the same at every step
    alpha = alpha if series else alpha[None]

    def full(a):
        a = a.reshape(a.shape[:1] + (1,) * (1 + len(one) - a.ndim) + a.shape[1:])
        return np.broadcast_to(a, (len(lr_t), *one))

    try:
        one = np.broadcast_shapes(lr_t.shape[1:], c.shape[1:], w2_0.shape, alpha.shape[1:], rho.shape)
        return full(lr_t), full(c), np.broadcast_to(w2_0, one), full(alpha), rho
    except ValueError:
        shapes = f"lr_t of shape {lr_t.shape}, c of {c.shape}, |w_0|² of {w2_0.shape}"
        raise ValueError(f"{shapes}: must be [T] or [T, L], the same or a number, and [L] or a number") from None
