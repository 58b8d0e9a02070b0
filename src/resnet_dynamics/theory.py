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
"""

import functools
import inspect
import reprlib
from typing import NamedTuple

import numpy as np


def _checked(function):
    """Let the function see numbers and arrays only, each as `_ARGUMENTS` below allows it, and all of them together."""
    signature = inspect.signature(function)

    @functools.wraps(function)
    def called(*args, **kwargs):
        try:
            given = signature.bind(*args, **kwargs)
        except TypeError as error:
            allowed = ", ".join(signature.parameters)
            unknown = [f"{name}={value!r}" for name, value in kwargs.items() if name not in signature.parameters]
            said = unknown[0] if unknown else f"{function.__name__}: {error}"
            raise TypeError(f"{said}: must be the arguments of {function.__name__}: {allowed}") from None
        for name, value in given.arguments.items():
            if name in _ARGUMENTS and not (value is None and signature.parameters[name].default is None):
                given.arguments[name] = _read(name, value)
            elif name == "exact" and not (np.ndim(value) == 0 and isinstance(value, _TRUTH) and value in (0, 1)):
                raise ValueError(f"exact={' '.join(reprlib.repr(value).split())}: must be True or False")
        read = {name: value for name, value in given.arguments.items() if name in _ARGUMENTS}
        _of_the_same(read)
        try:
            return function(*given.args, **given.kwargs)
        except OverflowError:
            numbers = ", ".join(f"{name}={value:g}" for name, value in read.items() if isinstance(value, float))
            raise ValueError(f"{numbers}: must be smaller, {function.__name__} is beyond 1.8e308") from None
        except ValueError as error:
            if "broadcast" not in str(error):
                raise
            shapes = ", ".join(f"{name} of shape {np.shape(value)}" for name, value in read.items() if np.ndim(value))
            raise ValueError(f"{shapes}: must be shapes that broadcast, as numpy's do") from None

    return called


# (1), (2): the two halves of a step. (1′), (2′): what they do to the norm.


@_checked
def decay(w, lr, weight_decay):
    """Shrink the weights: w → (1 − λα) w. Equation (1), exact."""
    return (1 - lr * weight_decay) * w


@_checked
def descend(w, g, lr):
    """Take the gradient step: w → w − λg. Equation (2), exact."""
    return w - lr * g


@_checked
def norm_after_decay(w2, lr, weight_decay, *, exact=True):
    """Return |w|² after (1), in u²: (1 − λα)²|w|²; leading order (1 − 2λα)|w|². Equation (1′)."""
    return w2 - shrink(w2, lr, weight_decay, exact=exact)


@_checked
def norm_after_gradient(w2, g2, lr):
    """Return |w|² after (2), in u²: |w|² + λ²|g|², Pythagoras as w·g = 0. Equation (2′), exact."""
    return w2 + growth(g2, lr)


@_checked
def shrink(w2, lr, weight_decay, *, exact=True):
    """Return what decay takes from |w|² in a step, in u²: (2λα − λ²α²)|w|². Equation (1′).

    exact=False drops λ²α², a relative error of λα/2. With g taken at w, as in PyTorch, a step of
    plain SGD has |w'|² = |w|² − shrink + growth exactly, and sums of steps telescope.
    """
    x = lr * weight_decay
    return (2 * x - x**2 if exact else 2 * x) * w2


@_checked
def growth(g2, lr):
    """Return what the gradient adds to |w|² in a step, in u²: λ²|g|². Equation (2′), exact."""
    return lr**2 * g2


# (3): shrink and growth balance.


@_checked
def equilibrium_ratio(lr, weight_decay, momentum=0.0, *, optimizer="sgd", exact=False):
    """Return |g|/|w| at equilibrium, in nat/u²: √(2α/λ). Equation (3); with momentum (7), inverted.

    exact=True, plain SGD: √(2α/λ − α²). inf where λ = 0.
    """
    _some_motion(lr, weight_decay)
    balance = _balance(lr * weight_decay, momentum, optimizer, exact)
    with np.errstate(divide="ignore"):
        return np.sqrt(np.divide(weight_decay * balance, lr))


@_checked
def equilibrium_norm(c, lr, weight_decay, momentum=0.0, *, optimizer="sgd", exact=False):
    """Return |w| (not squared) at equilibrium, in u: |w|⁴ = λc²/(2α(1 − ρ)). (3) with |g| = c/|w|.

    Sixteen times the lr doubles it. exact=True, plain SGD: |w|⁴ = λ²c²/(2λα − λ²α²).
    """
    return np.sqrt(c * trust_ratio(lr, weight_decay, momentum, optimizer=optimizer, exact=exact))


# (4)-(6): LARS, and why SGD becomes it. (7)-(9): the same with momentum.


@_checked
def lars_step(w, g, lr):
    """Take a step of LARS without momentum: w → w − λ (|w|/|g|) g. Equation (4), exact.

    Differs from You et al. 2017: no decay. If w·g = 0, |w|² grows by the factor 1 + λ² and w
    turns by arctan λ. g = 0 moves nothing.
    """
    return w - lr * _trust(w, g) * g


@_checked
def trust_ratio(lr, weight_decay, momentum=0.0, *, optimizer="sgd", exact=False):
    """Return the LARS factor |w|/|g| to which SGD drives, in u²/nat. Equations (5) and (7).

    (5) √(λ/(2α)); (7) √(λ/(2α(1 − ρ))). inf where α = 0.
    """
    _some_motion(lr, weight_decay)
    balance = _balance(lr * weight_decay, momentum, optimizer, exact)
    with np.errstate(divide="ignore"):
        return np.sqrt(np.divide(lr, weight_decay * balance))


@_checked
def lars_rate(lr, weight_decay, momentum=0.0, *, optimizer="sgd", exact=False):
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


@_checked
def lars_momentum_step(w, v, g, lr, momentum):
    """Take a step of LARS with momentum: v → ρv + (|w|/|g|) g, w → w − λv. Equation (8), exact.

    Returns (w, v). The ratio multiplies the gradient as it enters the buffer, not the buffer.
    """
    v = momentum * v + _trust(w, g) * g
    return w - lr * v, v


@_checked
def lifetime_rate(lr, weight_decay, momentum=0.0, *, optimizer="sgd", exact=False):
    """Return how far one gradient moves w in all, |Δw|/|w|: √(2λα/(1 − ρ)). Unnumbered equation.

    It is lars_rate/(1 − ρ), and depends on λ, α, ρ through λα/(1 − ρ) only; "sgdw": √(2λα).
    """
    rate = lars_rate(lr, weight_decay, momentum, optimizer=optimizer, exact=exact)
    return rate / (1 - momentum)


# Successive updates overlap, so that the length of a step is neither of the two. Derived.


@_checked
def update_rate(lr, weight_decay, momentum=0.0, *, optimizer="sgd", exact=False):
    """Return the rms length of one step, |w_{t+1} − w_t|/|w_t|: √(2λα/(1 + ρ)) for heavy ball.

    Also in Kosson et al. 2024 (arXiv 2305.17212). For heavy ball it has no correction in x and
    needs no independence of batches: λ|v|/|w| = √(2λα(1 + δ)/(1 + ρ)), whatever their correlation,
    with δ from `drift`. exact=True, squared:
        nesterov   2x(1 + 2ρ − 2ρ³ + ρ(1 + ρ)(1 + 2ρ)x) / (1 + ρ + ρ(1 + 2ρ)x)
        sgdw       2x(1 − ρ)/(1 + ρ − ρx)
    """
    x, rho = lr * weight_decay, momentum
    small = _settling(x, rho, optimizer) if exact else 0.0
    if _known(optimizer) == "sgd":
        return np.sqrt(2 * x / (1 + rho))
    if optimizer == "sgdw":
        return np.sqrt(2 * x * (1 - rho) / (1 + rho - rho * small))
    top = 1 + 2 * rho - 2 * rho**3 + rho * (1 + rho) * (1 + 2 * rho) * small
    return np.sqrt(2 * x * top / (1 + rho + rho * (1 + 2 * rho) * small))


@_checked
def rotation_angle(lr, weight_decay, momentum=0.0, *, optimizer="sgd", exact=False):
    """Return the angle θ from w_t to w_{t+1} at equilibrium, in radians; about update_rate.

    |w| stands still, so |Δw| = 2|w| sin(θ/2), and exact=True has cos θ = 1 − λα for plain SGD (60°
    at λα = 1/2), 1 − λα/(1 + ρ) for heavy ball.
    """
    rate = update_rate(lr, weight_decay, momentum, optimizer=optimizer, exact=exact)
    return 2 * np.arcsin(rate / 2) if exact else rate


# How long it takes. Derived.


@_checked
def time_constant(lr, weight_decay, momentum=0.0, *, optimizer="sgd", exact=False):
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
        return np.divide(1.0 if _known(optimizer) == "sgdw" else 1 - rho, 4 * x)


@_checked
def norm_multipliers(lr, weight_decay, momentum=0.0, *, optimizer="sgd"):
    """Return the factors per step of small deviations of (|w|², w·v, |v|²) from equilibrium. Exact.

    Complex [..., 3], largest modulus first; a complex pair rings. Plain SGD: 2(1 − λα)² − 1, 0, 0.
    Heavy ball, leading order: ρ² and μ² − (1 + ρ − 4λα)μ + ρ = 0, a ball on a spring.
    """
    x, rho = np.broadcast_arrays(_settling(lr * weight_decay, momentum, optimizer), momentum)
    # The recurrence is linear in (X, Y, Z, G); its columns, in units with λ = 1:
    columns = [_next_moments(*unit, 1.0, x, rho, _known(optimizer))[:3] for unit in np.eye(4)]
    step = np.stack([np.stack([part + 0 * x for part in column], -1) for column in columns], -1)
    step, push = step[..., :3], step[..., 3]
    # Fixed point: (step − 1)·(1, Y, Z) + G·push = 0. We need its G; as G = c²/X, dG/dX = −G there.
    away = step - np.eye(3)
    unknown = np.stack([away[..., 1], away[..., 2], push], -1)
    g2 = np.linalg.solve(unknown, -away[..., :1])[..., 2, :]
    step[..., 0] -= g2 * push
    mu = np.linalg.eigvals(step).astype(complex)
    return np.take_along_axis(mu, np.argsort(-np.abs(mu), -1), -1)


@_checked
def ringing(lr, weight_decay, momentum, *, exact=False):
    """Return (period, damping time), in steps, of the ringing of |w|² under heavy ball, or None.

    It rings if 4λα > (1 − √ρ)², with period 2π/arccos((1 + ρ − 4λα)/(2√ρ)), damping 2/ln(1/ρ).
    exact=True reads `norm_multipliers`. Numbers only. Related: Tanaka & Kunin 2021 (2105.02716).

    >>> ringing(0.4, 5e-4, 0.9) is None, round(float(ringing(0.04, 5e-4, 0.99)[0]))
    (True, 846)
    """
    _numbers(lr=lr, weight_decay=weight_decay, momentum=momentum)
    x, rho = lr * weight_decay, momentum
    spring = np.roots([1, -(1 + rho - 4 * x), rho])
    mu = norm_multipliers(lr, weight_decay, momentum)[0] if exact else spring[0]
    if np.imag(mu) == 0:
        return None
    return 2 * np.pi / abs(np.angle(mu)), -1 / np.log(abs(mu))


@_checked
def memory(lr_t, weight_decay, momentum=0.0):
    """Return the share of the initial |w|⁴ left before each step [T]: exp(−Σ_{s<t} 4λ_sα/(1 − ρ)).

    −log of it counts e-folds; its fourth root is the memory of the initial direction in pure noise.
    """
    h = 4 * np.asarray(lr_t) * weight_decay / (1 - momentum)
    return np.exp(h - np.cumsum(h, axis=0))


@_checked
def equilibrium_lost(slope, weight_decay, momentum=0.0):
    """Return how many steps before its end a ramp λ = s(T − t) loses equilibrium: √((1 − ρ)/(4sα)).

    slope s > 0, in u²/nat per step. The time constant has then grown to the time that is left. inf
    where α = 0.
    """
    with np.errstate(divide="ignore"):
        return np.sqrt(np.divide(1 - momentum, 4 * slope * weight_decay))


# Any schedule. Derived.


class Moments(NamedTuple):
    """Means over runs [T, ...] in u² and the like, named as in a recording."""

    w2: np.ndarray  # |w_t|², before step t
    wv: np.ndarray  # w_t · v_{t−1}, before step t
    v2: np.ndarray  # |v_t|², of step t
    u2: np.ndarray  # |w_{t+1} − w_t|², of step t


@_checked
def moments(w2_0, c, lr_t, weight_decay, momentum=0.0, *, optimizer="sgd"):
    """Follow the means X = |w|², Y = w·v, Z = |v|² of random orthogonal gradients, any schedule.

    They close if there are many weights, so that |w| is its mean: G = |g|² = c²/X. Heavy ball:
        w·v' = ρY + αX       Z' = ρ²Z + 2ραY + G + α²X
        Y' = w·v' − λZ'      X' = X − 2λ w·v' + λ²Z'
    from v = 0. "lars" is (8): lr_t is its own rate, and as d = (|w|/|g|) g the same with G = X and
    α = 0, whatever c and weight_decay are; without momentum X' = (1 + λ²)X.

    Args: lr_t [T] or [T, L]; c the same, a number, or [1, L]; others numbers or [L]. weight_decay of the shape of lr_t
    is a series α(t).
    Returns Moments of [T] or [T, L]. Cost: T times a few operations on [L].
    """
    lars = _known(optimizer, "lars") == "lars"
    lr_t, c, w2, alpha, rho = _series(lr_t, c, w2_0, weight_decay, momentum)
    alpha = 0 * alpha if lars else alpha
    wv = v2 = np.zeros_like(w2)
    rows = []
    for lr, a, c2 in zip(lr_t, alpha, c**2, strict=True):
        g2 = w2 if lars else c2 / w2
        after, wv_after, v2, u2 = _next_moments(w2, wv, v2, g2, lr, a, rho, optimizer)
        rows.append((w2, wv, v2, u2))
        w2, wv = after, wv_after
    return Moments(*map(np.stack, zip(*rows, strict=True)))


@_checked
def norm_recurrence(w2_0, c, lr_t, weight_decay, momentum=0.0, *, optimizer="sgd"):
    """Return |w_t|² through a schedule, in u²; plain SGD: |w'|² = (1 − λα)²|w|² + λ²c²/|w|².

    (1′) and (2′) in one: exact for plain SGD and any c_t = |g_t||w_t|; with momentum the mean over
    random gradients. Arguments, optimizers and shapes of `moments`. Returns [T] or [T, L].
    """
    return moments(w2_0, c, lr_t, weight_decay, momentum, optimizer=optimizer).w2


@_checked
def master_ode(lr_t, weight_decay, momentum=0.0, *, c=1.0, w2_0=None, z0=None):
    """Return z_t = (λ|g|/|w|)²/(2λα(1 − ρ)): dots over line, squared, of figures 5 and 7.

        d ln z/dt = 4λα(1 − z)/(1 − ρ) + d ln(λc²/α)/dt
    Solved in y = |w|⁴, where it is linear: dy/dt = (y* − y)·4λα/(1 − ρ), y* = λc²/(2α(1 − ρ)),
    z = y*/y, with λ and c constant within a step. Leading order in λα and in the momentum's memory
    over τ; `norm_recurrence` has neither error. weight_decay of the shape of lr_t is a series α(t):
    with α ∝ λ the target stands still. Start: w2_0 = |w_0|², or z0 (needs λ_0 > 0), or
    neither: equilibrium at the largest λ. Shapes as in `moments`. Returns [T] or [T, L].
    """
    if w2_0 is not None and z0 is not None:
        raise ValueError(f"z0={z0}: must be None where w2_0 is given, each is a start")
    start = 1.0 if w2_0 is None else w2_0
    lr_t, c, start, alpha, rho = _series(lr_t, c, start, weight_decay, momentum)
    if not np.all(alpha > 0):
        raise ValueError(f"weight_decay={weight_decay}: must be > 0, z is relative to the decay")
    target = lr_t * c**2 / (2 * alpha * (1 - rho))
    keep = np.exp(-4 * lr_t * alpha / (1 - rho))
    if w2_0 is not None:
        y = start**2
    else:
        y = target.max(axis=0) if z0 is None else target[0] / z0
        if np.any(y == 0):
            where = "at some step" if z0 is None else "at the first step"
            raise ValueError(f"lr_t * c**2=0: must be > 0 {where}, its equilibrium is the start; or give w2_0")
    z = np.empty_like(target)
    for t in range(len(z)):
        z[t] = target[t] / y
        y = target[t] + keep[t] * (y - target[t])
    return z


# Norms that drift, batches that are correlated. Derived.


@_checked
def drift(w2, lr_t, weight_decay, momentum=0.0):
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


@_checked
def kappa_from_chi(chi, momentum):
    """Return κ = E[d·v]/E|d|² from the cosine χ = d·v/(|d||v|), v the buffer before the step.

    κ = χs, s = |v|/|d| = (ρχ + √(ρ²χ² + 1 − ρ²))/(1 − ρ²), as |v|² stands still.
    """
    rho = momentum
    return chi * (rho * chi + np.sqrt(rho**2 * chi**2 + 1 - rho**2)) / (1 - rho**2)


@_checked
def corrected_rate(lr, weight_decay, momentum=0.0, drift=0.0, kappa=0.0, *, optimizer="sgd"):
    """Return λ|d|/|w| with drift δ and correlation κ: √(2λα(1 − ρ)(1 + δ)/(1 + 2ρκ)). Corrects (9).

    "nesterov": ρ² for ρ in the last bracket. Exact for δ = 0, given w·g = 0. Note d = g + αw. A
    cosine χ = 0.05 at ρ = 0.9 lowers the rate by 10 %.
    """
    if _known(optimizer) == "sgdw":
        raise ValueError("optimizer='sgdw': must be 'sgd' or 'nesterov' here")
    overlap = momentum**2 if optimizer == "nesterov" else momentum
    bracket = 1 + 2 * overlap * kappa
    if np.any(bracket <= 0):
        bad = _first(kappa + 0 * bracket, bracket <= 0)
        raise ValueError(f"kappa={bad}: must be > −1/(2ρ), for Nesterov ρ², so that the bracket is positive")
    return lars_rate(lr, weight_decay, momentum) * np.sqrt((1 + drift) / bracket)


# Another optimizer, the same balance. Derived.


class AdamW(NamedTuple):
    """What AdamW comes to, by `adamw`."""

    norm: float  # |w|, u
    update_rate: float  # |w_{t+1} − w_t|/|w_t|
    lifetime_rate: float  # how far one gradient moves w in all, |Δw|/|w|
    time_constant: float  # steps in which |w|² comes e times closer to equilibrium


@_checked
def adamw(weights, lr, weight_decay, momentum=0.9, *, exact=False) -> AdamW:
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
    _some_motion(lr, weight_decay)
    beta, x = momentum, lr * weight_decay
    small = _settling(x, beta, "sgdw") if exact else 0.0
    a = 1 - small
    overlap = (1 - beta) * (1 + a * beta) / ((1 + beta) * (1 - a * beta))  # 1 to leading order
    with np.errstate(divide="ignore"):
        norm = np.sqrt(np.divide(lr * weights, weight_decay * (2 - small)) * overlap)
        tau = np.divide(-0.5, np.log(np.maximum(np.abs(a), beta))) if exact else np.divide(1.0, 2 * x)
    update = np.sqrt(2 * x * (1 - beta) / (1 + beta - beta * small))
    return AdamW(norm, update, np.sqrt(x * (2 - small) / overlap), np.abs(tau))


# Shared by the functions above.


def _balance(x, momentum, optimizer, exact):
    """λ|g|²/(α|w|²) at equilibrium."""
    rho, x = momentum, _settling(x, momentum, optimizer) if exact else 0.0
    if _known(optimizer) == "sgd":
        return 2 * (1 - rho) * (1 - x / (2 * (1 + rho)))
    if optimizer == "nesterov":
        top = (1 - rho + rho * x) * (2 * (1 + rho) - (1 + 2 * rho) * x)
        return top / (1 + rho + rho * (1 + 2 * rho) * x)
    a = 1 - x
    return (1 - rho * a) * (1 - rho**2) * (2 - x) / (1 + rho * a)


def _next_moments(w2, wv, v2, g2, lr, alpha, rho, optimizer):
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


def _trust(w, g):
    """|w|/|g|, and 0 where there is no gradient, as in `optim.LARS`."""
    size = np.linalg.norm(g)
    return np.linalg.norm(w) / size if size != 0 else 0.0


def _series(lr_t, c, w2_0, weight_decay, momentum):
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


# What an argument may be: its name → in words, the test, and whether an array of it may have gaps. The
# recording of a run that diverged has, so what is measured may be NaN or inf; what is chosen may not.
_ARGUMENTS = {
    **dict.fromkeys(("lr", "weight_decay", "lr_t"), ("≥ 0 and finite", lambda x: x >= 0, False)),
    "momentum": ("in [0, 1)", lambda x: (x >= 0) & (x < 1), False),
    **dict.fromkeys(("slope", "z0", "weights"), ("> 0 and finite", lambda x: x > 0, False)),
    **dict.fromkeys(("w", "g", "v", "kappa"), ("finite", lambda x: True | (x == x), True)),
    **dict.fromkeys(("w2", "g2", "c"), ("≥ 0 and finite", lambda x: ~(x < 0), True)),
    "w2_0": ("> 0 and finite", lambda x: ~(x <= 0), True),
    "chi": ("in [−1, 1]", lambda x: ~(abs(x) > 1), True),
    "drift": ("≥ −1 and finite", lambda x: ~(x < -1), True),
}


def _read(name, value):
    """Return a number as it is and all else as an array, labelled if it was; ValueError where it is not allowed."""
    allowed, test, gaps = _ARGUMENTS[name]
    try:
        plain = np.asarray(value)
    except Exception:  # ragged lists, tensors of another device: each library has its own error
        plain = np.array(None)
    if plain.dtype.kind not in "iuf":
        shown = " ".join(reprlib.repr(value).split())
        raise ValueError(f"{name}={shown}: must be a real number or an array of real numbers, {allowed}")
    if name == "lr_t" and (plain.ndim == 0 or len(plain) == 0):
        raise ValueError(f"lr_t={plain.tolist()}: must be a series of at least one step")
    good = test(plain) if gaps and plain.ndim else test(plain) & np.isfinite(plain)
    if not np.all(good):
        index = np.argwhere(~good)[0].tolist() if plain.ndim else ""
        raise ValueError(f"{name}{index}={_first(plain, ~good)}: must be {allowed}")
    labelled = hasattr(value, "__array_ufunc__")  # numpy's own, xarray's, pandas'
    if plain.dtype.kind in "iu":  # squares of narrow ones would wrap around
        return value.astype(float) if labelled else float(value) if isinstance(value, int) else plain.astype(float)[()]
    return value if labelled or isinstance(value, float) else plain[()]


def _of_the_same(arguments):
    """Refuse labelled series of different steps, of which xarray would silently keep those in common."""
    seen = {}
    for name, value in arguments.items():
        for dim, size in getattr(value, "sizes", {}).items():
            index = value.indexes.get(dim)
            other, its_size, its_index = seen.setdefault(dim, (name, size, index))
            if size != its_size or not (index is None or its_index is None or index.equals(its_index)):
                raise ValueError(f"{other} and {name}: must be of the same values of {dim}, of which they have others")


_TRUTH = (bool, np.bool_, int)


def _first(values, bad):
    """The first of the values that are bad, as a number of Python."""
    return np.broadcast_to(values, np.shape(bad))[np.asarray(bad)].flat[0].item()


def _numbers(**values):
    for name, value in values.items():
        if np.ndim(value):
            raise ValueError(f"{name} of shape {np.shape(value)}: must be a number here, not an array")


def _some_motion(lr, weight_decay):
    if np.any(lr + weight_decay == 0):
        raise ValueError("lr=0 and weight_decay=0: must not both be 0, nothing moves and no equilibrium is reached")


def _settling(x, momentum, optimizer):
    """Return x = λα, if it is small enough that |w| comes to an equilibrium."""
    rho = momentum
    most = {"sgd": 2 * (1 + rho), "nesterov": 2 * (1 + rho) / (1 + 2 * rho), "sgdw": 2 + 0 * rho}[_known(optimizer)]
    over = np.asarray(x > most)
    if over.any():
        bad, limit = _first(x + 0 * most, over), _first(0 * x + most, over)
        raise ValueError(f"lr * weight_decay={bad:g}: must be ≤ {limit:g} with optimizer={optimizer!r} and this "
                         "momentum, beyond it |w| has no equilibrium")  # fmt: skip
    return x


def _known(optimizer, *more):
    *most, last = known = ("sgd", "nesterov", "sgdw", *more)
    if not isinstance(optimizer, str) or optimizer not in known:
        raise ValueError(f"optimizer={optimizer!r}: must be {', '.join(map(repr, most))} or {last!r}")
    return optimizer
