"""What is measured: quantities computed from a recording, each with its equation and its unit.

Every function takes a recording (an xarray.Dataset, see `recording`) and returns DataArrays that know their symbol,
name and unit. State is before step t, as recorded: w = w_t, v = v_{t-1}. λ, α, ρ are the run's own. A run that
diverged counts up to the last step at which its loss was finite. A step that a loss scaler left out (float16) moved
nothing: it adds nothing to sums, and is not in means.

Parts of a recording, running means and the window of a whole run are those of `series`, which are here, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from . import schedules, theory, updates
from .arms import LARS, SEPARATE, alike, of_sgd, positive
from .recording import setting
from .series import (
    SMOOTH,
    WINDOW,
    alive,
    dead,
    earlier,
    enough,
    fate,
    first,
    later,
    length,
    moved,
    named,
    of_recording,
    own_rates,
    rms,
    smooth,
    taken,
    window,
    without_gaps,
)  # fmt: skip

if TYPE_CHECKING:
    from ._shapes import ByLayer, ByStep, ByStepLayer, Share

__all__ = [
    "SMOOTH", "WINDOW", "acceptance", "alive", "applied_norm", "balance", "correlation", "cosine", "dead", "drift",
    "drive", "fate", "first", "gradient_size", "growth", "kappa", "length", "line", "norm", "overall", "predicted",
    "radial", "rate", "rms", "rotation", "shrink", "smooth", "telescoping", "weight_decay", "window",
]  # fmt: skip


def _is_lars(ds: xr.Dataset) -> bool:
    return setting(ds).optimizer.startswith("lars")


def _sgd(ds: xr.Dataset, what: str):
    """Return the setting and λ of a run of SGD; of LARS there is no such quantity."""
    return of_sgd(alike(setting(ds), what), what), ds.lr.astype(float)


def _overlap(c) -> float:
    """What multiplies 2 d·v: ρ for heavy ball, ρ² for Nesterov."""
    return c.momentum**2 if c.optimizer == "nesterov" else c.momentum


@of_recording
def weight_decay(ds: xr.Dataset) -> float | ByStep | ByStepLayer:
    """Return α, a number; of a run in which it moves, of every step [step]; [step, layer] where layers have others."""
    c = setting(ds)
    moves = "weight_decay" in ds and float(ds.weight_decay.max()) != c.weight_decay
    if c.weight_decay_schedule == "constant" and not moves:
        return c.weight_decay
    series = ds.weight_decay.astype(float) if moves else schedules.decays(c, ds.lr.astype(float))
    return named(series, "weight_decay", "α", "weight decay", "1/u" if ds.lr.attrs.get("units") == "u" else "nat/u²")


# The two motions of the norm: figures 1 to 4
@of_recording
def shrink(ds: xr.Dataset) -> ByStepLayer:
    """Return what decay takes from the squared norm in each step, u² [step, layer]. Equation (1′), exact.

        ρ = 0   (2λα − λ²α²)|w|²
        ρ > 0   2λ_eff α|w|² with λ_eff = λ/(1 − ρ)

    With momentum the balance is that of ω = w − λ_eff ρv (Nesterov: λ_eff ρ²v), the weights as they will be when every
    gradient so far has had its whole effect: ω ← ω − λ_eff d at constant λ. Hence |ω|² changes by growth − shrink −
    2λ_eff w·g, with `growth` as below. ω is not recorded but its length follows: see `applied_norm`.
    """
    c, lr = _sgd(ds, "shrink")
    if c.momentum == 0:
        symbol, amount = "(2λα − λ²α²)|w|²", theory.shrink(ds.w2.astype(float), lr, weight_decay(ds))
    else:
        symbol, amount = "2λα|w|²/(1 − ρ)", 2 * lr * weight_decay(ds) / (1 - c.momentum) * ds.w2.astype(float)
    return named(moved(amount, ds, 0.0), "shrink", symbol, "shrink", "u²")


@of_recording
def growth(ds: xr.Dataset) -> ByStepLayer:
    """Return what the gradient adds to the squared norm in each step, u² [step, layer]. Equation (2′), exact.

    ρ = 0   λ²|g|²
    ρ > 0   λ_eff²(|d|² + 2ρ d·v) with λ_eff = λ/(1 − ρ); Nesterov: ρ² for ρ in the bracket
    """
    c, lr = _sgd(ds, "growth")
    if c.momentum == 0:
        symbol, amount = "λ²|g|²", theory.growth(ds.g2.astype(float), lr)
    else:
        power = "²" if c.optimizer == "nesterov" else ""
        symbol = f"λ²(|d|² + 2ρ{power} d·v)/(1 − ρ)²"
        amount = (lr / (1 - c.momentum)) ** 2 * (ds.d2 + 2 * _overlap(c) * ds.dv).astype(float)
    return named(moved(amount, ds, 0.0), "growth", symbol, "growth", "u²")


@of_recording
def norm(ds: xr.Dataset) -> ByStepLayer:
    """Return |w|²/|w_0|² [step, layer]."""
    return named(ds.w2.astype(float) / first(ds.w2), "norm", "|w|²", "squared norm", "|w₀|²")


@of_recording
def applied_norm(ds: xr.Dataset) -> ByStepLayer:
    """Return |ω|², ω = w − λ_eff ρv, λ_eff = λ/(1 − ρ) (Nesterov ρ² for ρ), u² [step, layer]; |w|² where ρ = 0."""
    c, lr = _sgd(ds, "applied_norm")
    a, z2 = lr * _overlap(c) / (1 - c.momentum), ds.w2.astype(float)
    if c.momentum:
        z2 = z2 - 2 * a * ds.wv + a**2 * earlier(ds.v2)
    return named(z2, "applied_norm", "|ω|²", "squared norm with every gradient fully applied", "u²")


@of_recording
def radial(ds: xr.Dataset) -> ByStepLayer:
    """Return what w·g ≠ 0 adds to |w|² in each step of plain SGD, u²: −2λ(1 − λα) w·g [step, layer]."""
    c, lr = _sgd(ds, "radial")
    amount = -2 * lr * (1 - lr * weight_decay(ds)) * ds.wg
    return named(moved(amount, ds, 0.0), "radial", "−2λ(1 − λα)w·g", "growth by w·g", "u²")


# Dots and line: figures 5 and 7
@of_recording
def rate(ds: xr.Dataset) -> ByStepLayer:
    """Return λ|g|/|w|, the rate at which SGD moves in the units of LARS [step, layer]. Left side of (6), (9).

    Of a LARS recording: its λ_LARS. Of sgdw, adam, adamw, lion and muon λ|v|/|w|, v being what λ multiplies. Where
    layers have settings of their own, λ is that of each.
    """
    if _is_lars(ds):
        value = ds.lars_lr.astype(float) * own_rates(ds) * xr.ones_like(ds.w2, float)
        return named(value, "rate", "λ_LARS", "learning rate of LARS", "rad/step")
    symbol, name, moved_by = "λ|g|/|w|", "gradient step per weight", ds.g2
    if of_sgd(setting(ds), "rate", *SEPARATE).optimizer in SEPARATE:
        symbol, name, moved_by = "λ|v|/|w|", "step per weight", ds.v2
    value = ds.lr.astype(float) * own_rates(ds) * np.sqrt(moved_by.astype(float) / ds.w2)
    return named(value, "rate", symbol, name, "rad/step")


@of_recording
def line(ds: xr.Dataset) -> ByStep | ByStepLayer:
    """Return √(2λα(1 − ρ)), to which equilibrium drives `rate` [step], or each layer's. Right side of (6) and (9).

    Of sgdw, adam, adamw, lion and muon √(2λα/S), see `updates`; of adam and muon each layer's.
    """
    c = of_sgd(alike(setting(ds), "line"), "line", *LARS, *SEPARATE)
    lr, alpha, symbol = ds.lr.astype(float), weight_decay(ds), "√(2λα(1−ρ))" if c.momentum else "√(2λα)"
    if c.optimizer in SEPARATE:
        return named(updates.line(ds, lr, alpha), "line", "√(2λα/S)", "equilibrium", "rad/step")
    return named(theory.lars_rate(lr, alpha, c.momentum), "line", symbol, "equilibrium", "rad/step")


@of_recording
def balance(ds: xr.Dataset, steps: int | None = None) -> ByStepLayer:
    """Return z = λ|g|²/(2α(1 − ρ)|w|²), the square of dots over line [step, layer].

    With `steps`, numerator λ²|g|² and denominator are averaged over so many steps first: z is then a ratio of sums. Of
    sgdw, adam, adamw, lion and muon λ²|v|²/(line²|w|²).
    """
    c = alike(setting(ds), "balance")
    positive(c, "balance", "weight_decay", "lr")
    if c.optimizer in SEPARATE:
        top, bottom = ds.lr.astype(float)**2 * ds.v2, line(ds)**2 * ds.w2
    else:
        c, lr = _sgd(ds, "balance")
        top, bottom = (lr**2 * ds.g2), (2 * weight_decay(ds) * (1 - c.momentum) * lr * ds.w2)
    top, bottom = (smooth(moved(part.transpose(*ds.w2.dims), ds), steps) for part in (top, bottom))
    return named(top / bottom, "balance", "z", "(dots over line)²", "1")


# Angles
@of_recording
def cosine(ds: xr.Dataset) -> ByStepLayer:
    """Return cos(w, g) = w·g/(|w||g|) [step, layer]; zero for every layer whose scale a batch norm divides out.

    Not a number where |w| or |g| is 0, also if that is of rounding, as in a network that no longer learns.
    """
    size = ds.w2.astype(float) * ds.g2
    value = ds.wg.astype(float) / np.sqrt(size.where(size > 0))
    return named(value, "cosine", "cos(w, g)", "cosine of weights and gradient", "1")


@of_recording
def correlation(ds: xr.Dataset) -> ByStepLayer:
    """Return χ = g·v/(|g||v|), v the momentum (or direction) before the step [step, layer]; NaN at the first step."""
    value = ds.gv.astype(float) / np.sqrt(ds.g2.astype(float) * earlier(ds.v2))
    return named(value, "correlation", "χ", "cosine of gradient and momentum", "1")


@of_recording
def rotation(ds: xr.Dataset) -> ByStepLayer:
    """Return the angle between w_t and w_{t+1}, rad [step − 1, layer].

    sin²(θ/2) = (|Δw|² − (|w'| − |w|)²)/(4|w||w'|): from three norms, since the arccosine of a rounded cosine has no
    digits left for small angles.
    """
    length = np.sqrt(ds.w2.astype(float))
    after, length = later(length).isel(step=slice(0, -1)), length.isel(step=slice(0, -1))
    half = (ds.u2.astype(float).isel(step=slice(0, -1)) - (after - length) ** 2) / (4 * length * after)
    return named(2 * np.arcsin(np.sqrt(half.clip(0, 1))), "rotation", "θ", "rotation", "rad/step")


# Numbers of a whole run, one a layer
@of_recording
def drift(ds: xr.Dataset, share: Share = WINDOW) -> ByLayer:
    """Return δ, the motion of |w|² relative to its decay, a mean over the steps of a window [layer].

        δ = mean of (1 − ρ)(|w_{t+1}|² − |w_t|²)/(2λα|w_t|²)
    Plain SGD: the mean of z is 1 + δ − λα/2, if w·g = 0. An identity, derived.
    """
    c, lr = _sgd(ds, "drift")
    positive(c, "drift", "weight_decay", "lr")
    ds = enough(ds, "drift", 2)
    lr = ds.lr.astype(float)
    change = later(ds.w2.astype(float)) - ds.w2
    value = window(moved((1 - c.momentum) * change / (2 * lr * weight_decay(ds) * ds.w2), ds), share)
    if value.sizes["step"] and not np.isfinite(change.sel(step=value.step)).any():
        has = f"of {ds.sizes['step']} steps it holds none such"
        raise ValueError(f"share={share!r}: must hold a step that another follows, {has}")
    return named(value.mean("step"), "drift", "δ", "drift of |w|² relative to its decay", "1")


@of_recording
def kappa(ds: xr.Dataset, share: Share = WINDOW) -> ByLayer:
    """Return κ = E[d·v]/E[|d|²], v the momentum before the step, over a window [layer]. 0 for orthogonal batches.

    Both means are of steps relative to the weights, weight λ/|w|², as in the rms of dots over line.
    """
    c = setting(ds)
    positive(c if c.optimizer == "sgdw" else of_sgd(c, "kappa", *LARS), "kappa", "lr")
    part = window(enough(ds, "kappa"), share)
    weight = part.lr / part.w2.astype(float)
    value = moved(weight * part.dv, part).sum("step") / moved(weight * part.d2, part).sum("step")
    return named(value, "kappa", "κ", "correlation of d with the momentum", "1")


@of_recording
def telescoping(ds: xr.Dataset) -> xr.Dataset:
    """Add up all changes of |w|², and compare with the difference of its ends. Exact bookkeeping of a whole run.

        |w_T|² − |w_0|² = Σ growth − Σ shrink + Σ radial + closure · (Σ shrink, or Σ growth where nothing decays)
        ρ = 0   growth λ²|g|², shrink (2λα − λ²α²)|w|², radial −2λ(1 − λα) w·g
        ρ > 0   growth |Δw|² − 2λρ w·v (Nesterov ρ²), shrink 2λα|w|², radial −2λ w·g (both: Nesterov times 1 + ρ)
        LARS    growth |Δw|² − 2λ_LARS ρ w·v, shrink 0, radial −2λ_LARS (|w|/|g|) w·g
    T counts to the last recorded state, so that the step after it is not in the sums. For ρ > 0 `closure` is relative
    to Σ 2λα|w|²/(1 − ρ), which all of decay comes to.

    Returns:
        Dataset [layer]: change, growth, shrink, radial in u²; closure and radial_share (radial relative to the same).
    """
    c = of_sgd(alike(setting(ds), "telescoping"), "telescoping", *LARS)
    ds = without_gaps(enough(ds, "telescoping", 2), "telescoping")
    positive(c, "telescoping", "lr", *["weight_decay"] * _is_lars(ds))
    ds, rest = ds.astype(float), ds.isel(step=slice(0, -1)).astype(float)
    change = ds.w2.isel(step=-1, drop=True) - first(ds.w2)
    lr, a, rho = rest.lr, weight_decay(rest), c.momentum
    if _is_lars(ds):
        add = rest.u2 - (2 * rest.lars_lr * rho * rest.wv if rho else 0)
        take = 0 * rest.w2
        radial = -2 * rest.lars_lr * np.sqrt(rest.w2 / rest.g2) * rest.wg
    elif rho == 0:
        add, take = theory.growth(rest.g2, lr), theory.shrink(rest.w2, lr, a)
        radial = -2 * lr * (1 - lr * a) * rest.wg
    else:
        times = 1 + rho if c.optimizer == "nesterov" else 1.0
        add = rest.u2 - 2 * lr * _overlap(c) * rest.wv
        take, radial = 2 * lr * a * times * rest.w2, -2 * lr * times * rest.wg
    whole = 2 * lr * a / (1 - rho) * rest.w2
    add, take, radial, whole = (moved(part, rest, 0.0).sum("step") for part in (add, take, radial, whole))
    whole = whole if take.any() else add
    out = {
        "change": named(change, "change", "Δ|w|²", "change of the squared norm", "u²"),
        "growth": named(add, "growth", "Σ growth", "sum of growth", "u²"),
        "shrink": named(take, "shrink", "Σ shrink", "sum of shrink", "u²"),
        "radial": named(radial, "radial", "Σ radial", "sum of what w·g adds", "u²"),
        "closure": named((change - add + take - radial) / whole, "closure", "closure", "what is left over", "1"),
        "radial_share": named(radial / whole, "radial_share", "Σ radial/Σ shrink", "share of w·g", "1"),
    }
    return xr.Dataset(out)


@of_recording
def acceptance(ds: xr.Dataset, share: Share = WINDOW) -> xr.Dataset:
    """Return what theory and recording must agree on, over a window, for every layer [layer].

        raw        rms of dots over line, λ|g|/|w| / √(2λα(1 − ρ))
        drift      δ
        kappa      κ, if ρ > 0
        corrected  ρ = 0: raw/√(1 + δ), an identity. ρ > 0: raw/√((1 + δ)/(1 + 2ρκ)), Nesterov ρ² for ρ
        update     heavy ball: rms of λ|v|/|w| / √(2λα/(1 + ρ)), over √(1 + δ); whatever the correlation
        cosine     rms of cos(w, g) over all steps

    Where a range is expected, attrs have it as `low`, `high`, and `layers`, the number of layers that must be inside
    (of eight). `passed` counts those that are.
    """
    c, _ = _sgd(ds, "acceptance")
    positive(c, "acceptance", "weight_decay", "lr")
    ds = enough(ds, "acceptance", 2)
    rho, delta, lr = c.momentum, drift(ds, share), ds.lr.astype(float)
    raw = np.sqrt(window(balance(ds), share).mean("step"))
    out = {"raw": named(raw, "raw", "√⟨z⟩", "dots over line", "1"), "drift": delta}
    if rho == 0:
        corrected = raw / np.sqrt((1 + delta).where(delta > -1))
    else:
        out["kappa"] = kappa(ds, share)
        bracket = (1 + delta) / (1 + 2 * _overlap(c) * out["kappa"])
        corrected = raw / np.sqrt(bracket.where(bracket > 0))  # none of a network that no longer learns
    out["corrected"] = named(corrected, "corrected", "√⟨z⟩ corrected", "dots over line, corrected", "1")
    if rho > 0 and c.optimizer == "sgd":
        square = window(moved(lr * ds.v2 / weight_decay(ds) / ds.w2.astype(float), ds), share).mean("step")
        update = np.sqrt(square * (1 + rho) / 2 / (1 + delta).where(delta > -1))
        out["update"] = named(update, "update", "λ|v|/|w|", "update over prediction", "1")
    out["cosine"] = named(rms(cosine(ds)), "cosine", "rms cos(w, g)", "rms cosine of weights and gradient", "1")
    ranges = {"raw": (0.88, 1.12, 7) if rho == 0 else (0.8, 1.3, 7),
              "corrected": (0.98, 1.02, 8) if rho == 0 else (0.97, 1.03, 8),
              "update": (0.98, 1.02, 8), "cosine": (0.0, 1e-3, 8)}  # fmt: skip
    for name, (low, high, layers) in ranges.items():
        if name in out:
            inside = int(((out[name] >= low) & (out[name] <= high)).sum())
            out[name].attrs |= {"low": low, "high": high, "layers": layers, "passed": inside}
    return xr.Dataset(out)


# Measured against predicted
@of_recording
def gradient_size(ds: xr.Dataset, steps: int | None = None) -> ByStepLayer:
    """Return c = |g||w| [step, layer], nat: the size of a gradient whatever |w| is. `steps`: its running rms."""
    return named(smooth(ds.g2.astype(float) * ds.w2, steps)**0.5, "gradient_size", "c", "gradient times weight", "nat")


@of_recording
def drive(ds: xr.Dataset) -> ByStepLayer:
    """Return c²(1 + 2ρκ) = (|g|² + 2ρ g·v)|w|² [step, layer], nat²: what drives |w|² when batches are correlated.

    Nesterov has ρ² for ρ. c² itself without momentum. Of single steps it can be negative: a gradient that undoes the
    ones before it.
    """
    setting, _ = _sgd(ds, "drive")
    value = (ds.g2.astype(float) + 2 * _overlap(setting) * ds.gv.astype(float)) * ds.w2
    return named(value.transpose(*ds.w2.dims), "drive", "c²(1 + 2ρκ)", "c², with correlation", "nat²")


@of_recording
def predicted(ds: xr.Dataset, c="measured", steps: int | None = SMOOTH) -> xr.Dataset:
    """Return |w|² and z as theory has them, from |w_0|² and the size c of the gradients alone [step, layer].

    The norm follows `theory.norm_recurrence`, of independent batches; z = λc²/(2α(1 − ρ)|w|⁴), a mean as in `balance`.

    Args:
        ds: a recording of SGD.
        c: "constant", the rms of |g||w| over the run, one number a layer; "measured", its running rms over `steps`; or
            "correlated": as measured, but the norm is driven by c² + 2ρ(g·v)|w|² (Nesterov ρ²), that is by c²(1 + 2ρκ),
            what is left of c² when successive batches are not independent. Without momentum the last two are the same.
    """
    if not isinstance(c, str) or c not in ("constant", "measured", "correlated"):
        raise ValueError(f"c={c!r}: must be 'constant', 'measured' or 'correlated'")
    setting, _ = _sgd(ds, "predicted")
    positive(setting, "predicted", "weight_decay", "lr")
    ds = without_gaps(enough(ds, "predicted"), "predicted")
    if c == "constant":
        size = rms(gradient_size(ds)).expand_dims(step=ds.step)
    else:
        size = gradient_size(ds, steps)
    size = size.transpose("step", "layer")
    push = np.sqrt(smooth(drive(ds), steps).transpose("step", "layer").clip(0)) if c == "correlated" else size
    went = taken(ds, "predicted").values  # 0 at a step that was left out: w is that of the next one
    steps_taken = np.append(np.flatnonzero(went), -1)
    alpha = np.asarray(weight_decay(ds))
    w2 = theory.norm_recurrence(first(ds.w2).values, push.values[steps_taken], ds.lr.values.astype(float)[steps_taken],
                                alpha[steps_taken] if np.ndim(alpha) else alpha, setting.momentum,
                                optimizer=setting.optimizer)  # fmt: skip
    w2 = size.copy(data=w2[(np.cumsum(went) - went).astype(int)])
    theirs = ds.assign(w2=w2, g2=size**2 / w2)
    w2 = named(w2, "w2", "|w|²", "squared weight norm, predicted", "u²")
    return xr.Dataset({"w2": w2, "z": balance(theirs, steps)})


@of_recording
def overall(ds: xr.Dataset, share: Share = WINDOW) -> float:
    """Return one number for a run: dots over line, rms over the layers and the steps of a window."""
    return float(np.sqrt(window(balance(enough(ds, "dots over line")), share).mean()))
