"""The equations of the book as functions, in the order of the post.

(1)-(9) are our reconstruction of D. Page, "How to train your ResNet 6: weight decay" (2018);
"derived" marks what the post does not have. All of it rests on two facts about the weights w of a
layer that batch norm follows: w·g = 0, and |g| = c/|w| with a c that does not depend on |w|.

    lr            λ  u²/nat  learning rate (u: the unit of a weight)
    weight_decay  α  nat/u²  coupled, as in PyTorch: d = g + αw; a series where α follows a schedule
    momentum      ρ  1       v ← ρv + d
    c                nat     |g||w|, the size of a gradient whatever |w| is
    w2, g2, ...      u², ... |w|², |g|²: squared norms, named as in a recording
    optimizer     "sgd"      w ← w − λv: heavy ball, plain SGD if ρ = 0
                  "nesterov" w ← w − λ(d + ρv)
                  "sgdw"     w ← (1 − λα)w − λv with d = g: decoupled decay, not in the post

Arguments are numbers or arrays (lists, and xarray's too) that broadcast, whole numbers as float64; a value
that an equation has no meaning for is a ValueError, which names it. λα is a pure number, called x below.
exact=False is the leading order in x, as the post prints; exact=True is what random orthogonal
gradients do at any x, and the default for (1′) alone. Ratios are of root mean squares.

In signatures Reals are numbers or arrays that broadcast, Series are [T] or [T, L], Layers a number or [L].
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .arguments import checked, first, known, numbers_only, settling, some_motion
from .decoupled import AdamW, Decoupled, Hyperball, adam_l2, adamw, decoupled, hyperball, lion, muon, sgdw
from .recurrence import (
    Moments,
    Undecayed,
    adam_recurrence,
    decoupled_ode,
    decoupled_recurrence,
    master_ode,
    moments,
    norm_multipliers,
    norm_recurrence,
    without_decay,
)

if TYPE_CHECKING:
    from ._shapes import Layers, Number, Reals, Series, Steps, Weights

__all__ = [
    "AdamW", "Decoupled", "Hyperball", "Moments", "Undecayed", "adam_l2", "adam_recurrence", "adamw", "corrected_rate",
    "decay", "decoupled", "decoupled_ode", "decoupled_recurrence", "descend", "drift", "equilibrium_lost",
    "equilibrium_norm", "equilibrium_ratio", "growth", "hyperball", "kappa_from_chi", "lars_momentum_step", "lars_rate",
    "lars_step", "lifetime_rate", "lion", "master_ode", "memory", "moments", "muon", "norm_after_decay",
    "norm_after_gradient", "norm_multipliers", "norm_recurrence", "ringing", "rotation_angle", "sgdw", "shrink",
    "time_constant", "trust_ratio", "update_rate", "without_decay",
]  # fmt: skip


# (1), (2): the two halves of a step. (1′), (2′): what they do to the norm.


@checked
def decay(w: Reals, lr: Reals, weight_decay: Reals) -> Reals:
    """Shrink the weights: w → (1 − λα) w. Equation (1), exact."""
    return (1 - lr * weight_decay) * w


@checked
def descend(w: Reals, g: Reals, lr: Reals) -> Reals:
    """Take the gradient step: w → w − λg. Equation (2), exact."""
    return w - lr * g


@checked
def norm_after_decay(w2: Reals, lr: Reals, weight_decay: Reals, *, exact=True) -> Reals:
    """Return |w|² after (1), in u²: (1 − λα)²|w|²; leading order (1 − 2λα)|w|². Equation (1′)."""
    return w2 - shrink(w2, lr, weight_decay, exact=exact)


@checked
def norm_after_gradient(w2: Reals, g2: Reals, lr: Reals) -> Reals:
    """Return |w|² after (2), in u²: |w|² + λ²|g|², Pythagoras as w·g = 0. Equation (2′), exact."""
    return w2 + growth(g2, lr)


@checked
def shrink(w2: Reals, lr: Reals, weight_decay: Reals, *, exact=True) -> Reals:
    """Return what decay takes from |w|² in a step, in u²: (2λα − λ²α²)|w|². Equation (1′).

    exact=False drops λ²α², a relative error of λα/2. With g taken at w, as in PyTorch, a step of
    plain SGD has |w'|² = |w|² − shrink + growth exactly, and sums of steps telescope.
    """
    x = lr * weight_decay
    return (2 * x - x**2 if exact else 2 * x) * w2


@checked
def growth(g2: Reals, lr: Reals) -> Reals:
    """Return what the gradient adds to |w|² in a step, in u²: λ²|g|². Equation (2′), exact."""
    return lr**2 * g2


# (3): shrink and growth balance.


@checked
def equilibrium_ratio(lr: Reals, weight_decay: Reals, momentum: Reals = 0.0, *, optimizer="sgd", exact=False) -> Reals:
    """Return |g|/|w| at equilibrium, in nat/u²: √(2α/λ). Equation (3); with momentum (7), inverted.

    exact=True, plain SGD: √(2α/λ − α²). inf where λ = 0.
    """
    some_motion(lr, weight_decay)
    balance = _balance(lr * weight_decay, momentum, optimizer, exact)
    with np.errstate(divide="ignore"):
        return np.sqrt(np.divide(weight_decay * balance, lr))


@checked
def equilibrium_norm(
    c: Reals, lr: Reals, weight_decay: Reals, momentum: Reals = 0.0, *, optimizer="sgd", exact=False
) -> Reals:
    """Return |w| (not squared) at equilibrium, in u: |w|⁴ = λc²/(2α(1 − ρ)). (3) with |g| = c/|w|.

    Sixteen times the lr doubles it. exact=True, plain SGD: |w|⁴ = λ²c²/(2λα − λ²α²).
    """
    return np.sqrt(c * trust_ratio(lr, weight_decay, momentum, optimizer=optimizer, exact=exact))


# (4)-(6): LARS, and why SGD becomes it. (7)-(9): the same with momentum.


@checked
def lars_step(w: Weights, g: Weights, lr: Number) -> Weights:
    """Take a step of LARS without momentum: w → w − λ (|w|/|g|) g. Equation (4), exact.

    Differs from You et al. 2017: no decay. If w·g = 0, |w|² grows by the factor 1 + λ² and w
    turns by arctan λ. g = 0 moves nothing.
    """
    return w - lr * _trust(w, g) * g


@checked
def trust_ratio(lr: Reals, weight_decay: Reals, momentum: Reals = 0.0, *, optimizer="sgd", exact=False) -> Reals:
    """Return the LARS factor |w|/|g| to which SGD drives, in u²/nat. Equations (5) and (7).

    (5) √(λ/(2α)); (7) √(λ/(2α(1 − ρ))). inf where α = 0.
    """
    some_motion(lr, weight_decay)
    balance = _balance(lr * weight_decay, momentum, optimizer, exact)
    with np.errstate(divide="ignore"):
        return np.sqrt(np.divide(lr, weight_decay * balance))


@checked
def lars_rate(lr: Reals, weight_decay: Reals, momentum: Reals = 0.0, *, optimizer="sgd", exact=False) -> Reals:
    """Return the rate at which LARS moves as SGD does, λ|g|/|w|. Equations (6) and (9).

    (6) √(2λα); (9) √(2λα(1 − ρ)); for "sgdw" √(2λα)(1 − ρ). exact=True, derived from `moments`:
        sgd       (λ|g|/|w|)² = 2x(1 − ρ)(1 − x/(2(1 + ρ))), without momentum 2x − x²
        nesterov              = x(1 − ρ + ρx)(2(1 + ρ) − (1 + 2ρ)x) / (1 + ρ + ρ(1 + 2ρ)x)
        sgdw                  = (1 − ρa)(1 − ρ²)(1 − a²)/(1 + ρa), a = 1 − x

    >>> round(float(lars_rate(4.0, 5e-4)), 4), round(float(lars_rate(0.4, 5e-4, 0.9)), 5)
    (0.0632, 0.00632)
    """
    x = lr * weight_decay
    return np.sqrt(x * _balance(x, momentum, optimizer, exact))


@checked
def lars_momentum_step(w: Weights, v: Weights, g: Weights, lr: Number, momentum: Number) -> tuple[Weights, Weights]:
    """Take a step of LARS with momentum: v → ρv + (|w|/|g|) g, w → w − λv. Equation (8), exact.

    Returns (w, v). The ratio multiplies the gradient as it enters the buffer, not the buffer.
    """
    v = momentum * v + _trust(w, g) * g
    return w - lr * v, v


@checked
def lifetime_rate(lr: Reals, weight_decay: Reals, momentum: Reals = 0.0, *, optimizer="sgd", exact=False) -> Reals:
    """Return how far one gradient moves w in all, |Δw|/|w|: √(2λα/(1 − ρ)). Unnumbered equation.

    It is lars_rate/(1 − ρ), and depends on λ, α, ρ through λα/(1 − ρ) only; "sgdw": √(2λα).
    """
    rate = lars_rate(lr, weight_decay, momentum, optimizer=optimizer, exact=exact)
    return rate / (1 - momentum)


# Successive updates overlap, so that the length of a step is neither of the two. Derived.


@checked
def update_rate(lr: Reals, weight_decay: Reals, momentum: Reals = 0.0, *, optimizer="sgd", exact=False) -> Reals:
    """Return the rms length of one step, |w_{t+1} − w_t|/|w_t|: √(2λα/(1 + ρ)) for heavy ball.

    Also in Kosson et al. 2024 (arXiv 2305.17212). For heavy ball it has no correction in x and
    needs no independence of batches: λ|v|/|w| = √(2λα(1 + δ)/(1 + ρ)), whatever their correlation,
    with δ from `drift`. exact=True, squared:
        nesterov   2x(1 + 2ρ − 2ρ³ + ρ(1 + ρ)(1 + 2ρ)x) / (1 + ρ + ρ(1 + 2ρ)x)
        sgdw       2x(1 − ρ)/(1 + ρ − ρx)
    """
    x, rho = lr * weight_decay, momentum
    small = settling(x, rho, optimizer) if exact else 0.0
    if known(optimizer) == "sgd":
        return np.sqrt(2 * x / (1 + rho))
    if optimizer == "sgdw":
        return np.sqrt(2 * x * (1 - rho) / (1 + rho - rho * small))
    top = 1 + 2 * rho - 2 * rho**3 + rho * (1 + rho) * (1 + 2 * rho) * small
    return np.sqrt(2 * x * top / (1 + rho + rho * (1 + 2 * rho) * small))


@checked
def rotation_angle(lr: Reals, weight_decay: Reals, momentum: Reals = 0.0, *, optimizer="sgd", exact=False) -> Reals:
    """Return the angle θ from w_t to w_{t+1} at equilibrium, in radians; about update_rate.

    |w| stands still, so |Δw| = 2|w| sin(θ/2), and exact=True has cos θ = 1 − λα for plain SGD (60°
    at λα = 1/2), 1 − λα/(1 + ρ) for heavy ball.
    """
    rate = update_rate(lr, weight_decay, momentum, optimizer=optimizer, exact=exact)
    return 2 * np.arcsin(rate / 2) if exact else rate


# How long it takes. Derived.


@checked
def time_constant(lr: Reals, weight_decay: Reals, momentum: Reals = 0.0, *, optimizer="sgd", exact=False) -> Reals:
    """Return in how many steps |w|⁴ comes e times closer to equilibrium: (1 − ρ)/(4λα).

    "sgdw": 1/(4λα). exact=True: −1/ln|μ| of the slowest of `norm_multipliers`. inf where λα = 0.

    >>> float(round(time_constant(4.0, 5e-4), 6)), float(round(time_constant(0.4, 5e-4, 0.9), 6))
    (125.0, 125.0)
    """
    x, rho = lr * weight_decay, momentum
    with np.errstate(divide="ignore"):
        if exact:
            mu = norm_multipliers(lr, weight_decay, momentum, optimizer=optimizer)[..., 0]
            return np.abs(1 / np.log(np.abs(mu)))
        return np.divide(1.0 if known(optimizer) == "sgdw" else 1 - rho, 4 * x)


@checked
def ringing(
    lr: Number, weight_decay: Number, momentum: Number, *, optimizer="sgd", exact=False
) -> tuple[Number, Number] | None:
    """Return (period, damping time), in steps, of the ringing of |w|² under heavy ball, or None.

    It rings if 4λα > (1 − √ρ)², with period 2π/arccos((1 + ρ − 4λα)/(2√ρ)), damping 2/ln(1/ρ).
    exact=True reads `norm_multipliers`, as of "sgdw" and "nesterov" always. With a = 1 − λα those of "sgdw" are
        μ³ − (a² − q + aρ + ρ²)μ² + (a³ρ + aρq + a²ρ² + aρ³)μ = a³ρ³,  q = (1 − ρ²)(1 − a²)(1 − aρ)/(1 + aρ)
    Numbers only. Related: Tanaka & Kunin 2021 (2105.02716).

    >>> ringing(0.4, 5e-4, 0.9) is None, round(float(ringing(0.04, 5e-4, 0.99)[0]))
    (True, 846)
    """
    numbers_only(lr=lr, weight_decay=weight_decay, momentum=momentum)
    x, rho = lr * weight_decay, momentum
    spring = np.roots([1, -(1 + rho - 4 * x), rho])
    exact = exact or known(optimizer) != "sgd"
    mu = norm_multipliers(lr, weight_decay, momentum, optimizer=optimizer)[0] if exact else spring[0]
    if np.imag(mu) == 0:
        return None
    return 2 * np.pi / abs(np.angle(mu)), -1 / np.log(abs(mu))


@checked
def memory(lr_t: Series, weight_decay: Reals, momentum: Reals = 0.0) -> Series:
    """Return the share of the initial |w|⁴ left before each step [T]: exp(−Σ_{s<t} 4λ_sα/(1 − ρ)).

    −log of it counts e-folds; its fourth root is the memory of the initial direction in pure noise.
    """
    h = 4 * np.asarray(lr_t) * weight_decay / (1 - momentum)
    return np.exp(h - np.cumsum(h, axis=0))


@checked
def equilibrium_lost(slope: Reals, weight_decay: Reals, momentum: Reals = 0.0) -> Reals:
    """Return how many steps before its end a ramp λ = s(T − t) loses equilibrium: √((1 − ρ)/(4sα)).

    slope s > 0, in u²/nat per step. The time constant has then grown to the time that is left. inf
    where α = 0.
    """
    with np.errstate(divide="ignore"):
        return np.sqrt(np.divide(1 - momentum, 4 * slope * weight_decay))


# Norms that drift, batches that are correlated. Derived.


@checked
def drift(w2: Series, lr_t: Steps, weight_decay: Layers, momentum: Reals = 0.0) -> Layers:
    """Return δ of a window, the motion of |w|² relative to its decay: (1 − ρ)/(2λα) d ln|w|²/dt.

    As (|w_T|² − |w_0|²)/Σ 2λ_tα|w_t|²/(1 − ρ). Args: w2 [T] or [T, L], lr_t [T]. Returns a number
    or [L]. Plain SGD telescopes: Σλ²|g|² = (1 + δ − λα/2) Σ2λα|w|², and z = 1 + δ.
    """
    w2 = np.asarray(w2)
    if w2.shape[:1] != (np.size(lr_t),) or len(w2) < 2:
        shapes = f"w2 of shape {w2.shape} and lr_t of {np.shape(lr_t)}"
        raise ValueError(f"{shapes}: must be series of the same steps, at least two")
    lr = np.asarray(lr_t).reshape(-1, *(1,) * (w2.ndim - 1))
    decayed = (2 * (lr * weight_decay) * w2 / (1 - momentum))[:-1].sum(axis=0)
    if np.any(decayed == 0):
        raise ValueError("lr_t * weight_decay * w2=0: must be > 0 at some step, drift is relative to the decay")
    return (w2[-1] - w2[0]) / decayed


@checked
def kappa_from_chi(chi: Reals, momentum: Reals) -> Reals:
    """Return κ = E[d·v]/E|d|² from the cosine χ = d·v/(|d||v|), v the buffer before the step.

    κ = χs, s = |v|/|d| = (ρχ + √(ρ²χ² + 1 − ρ²))/(1 − ρ²), as |v|² stands still.
    """
    rho = momentum
    return chi * (rho * chi + np.sqrt(rho**2 * chi**2 + 1 - rho**2)) / (1 - rho**2)


@checked
def corrected_rate(
    lr: Reals, weight_decay: Reals, momentum: Reals = 0.0, drift: Reals = 0.0, kappa: Reals = 0.0, *, optimizer="sgd"
) -> Reals:
    """Return λ|d|/|w| with drift δ and correlation κ: √(2λα(1 − ρ)(1 + δ)/(1 + 2ρκ)). Corrects (9).

    "nesterov": ρ² for ρ in the last bracket. Exact for δ = 0, given w·g = 0. Note d = g + αw. A
    cosine χ = 0.05 at ρ = 0.9 lowers the rate by 10 %.
    """
    if known(optimizer) == "sgdw":
        raise ValueError("optimizer='sgdw': must be 'sgd' or 'nesterov' here")
    overlap = momentum**2 if optimizer == "nesterov" else momentum
    bracket = 1 + 2 * overlap * kappa
    if np.any(bracket <= 0):
        bad = first(kappa + 0 * bracket, bracket <= 0)
        raise ValueError(f"kappa={bad}: must be > −1/(2ρ), for Nesterov ρ², so that the bracket is positive")
    return lars_rate(lr, weight_decay, momentum) * np.sqrt((1 + drift) / bracket)


# Shared by the functions above.


def _balance(x: Reals, momentum: Reals, optimizer, exact) -> Reals:
    """λ|g|²/(α|w|²) at equilibrium."""
    rho, x = momentum, settling(x, momentum, optimizer) if exact else 0.0
    if known(optimizer) == "sgd":
        return 2 * (1 - rho) * (1 - x / (2 * (1 + rho)))
    if optimizer == "nesterov":
        top = (1 - rho + rho * x) * (2 * (1 + rho) - (1 + 2 * rho) * x)
        return top / (1 + rho + rho * (1 + 2 * rho) * x)
    a = 1 - x
    return (1 - rho * a) * (1 - rho**2) * (2 - x) / (1 + rho * a)


def _trust(w: Weights, g: Weights) -> Number:
    """|w|/|g|, and 0 where there is no gradient, as in `optim.LARS`."""
    size = np.linalg.norm(g)
    return np.linalg.norm(w) / size if size != 0 else 0.0
