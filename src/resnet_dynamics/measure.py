"""What is measured: quantities computed from a recording, each with its equation and its unit.

Every function takes a recording (an xarray.Dataset, see `recording`) and returns DataArrays that know their symbol,
name and unit. State is before step t, as recorded: w = w_t, v = v_{t-1}. λ, α, ρ are the run's own. A run that
diverged counts up to the last step at which its loss was finite. A step that a loss scaler left out (float16) moved
nothing: it adds nothing to sums, and is not in means.

A part of a recording, as ds.isel(step=slice(-300, None)), keeps the numbers of its steps in its coordinate `step`. What
is of a step and its neighbor is not a number where that neighbor is not there, and sums need steps without gaps; |w_0|
is that of the first step that is there.

Two conventions serve all of it:
    SMOOTH  series are averaged over 50 steps, centered; an exponential mean would lag behind by its own length.
    WINDOW  numbers for a whole run are means over steps from 25 % to 75 % of it, after the warm-up has been
            forgotten and before equilibrium is lost at the end.
"""

from __future__ import annotations

import functools
import inspect
import numbers
from collections.abc import Iterable

import numpy as np
import xarray as xr

from . import compare, schedules, theory
from .recording import QUANTITIES, config

SMOOTH = 50
WINDOW = (0.25, 0.75)
DIGITS = 1e-9  # a sum that is a smaller part of what was summed before has lost its digits


# Tools
def checked(ds):
    """Return a recording; of anything else say what it must be."""
    if not isinstance(ds, xr.Dataset):
        plain = ds is None or isinstance(ds, (str, numbers.Number))
        shown = repr(ds) if plain else f"a {type(ds).__name__}"
        raise TypeError(f"recording={shown}: must be an xarray.Dataset, a recording as run(config) returns it")
    if "config" not in ds.attrs or "step" not in ds.dims:
        shown = "a table of sweep" if "provenance" in ds else "a Dataset without steps and a config"
        raise ValueError(f"recording={shown}: must be a recording, as run(config) returns it")
    return ds


def _of_recording(function):
    """Let the function see recordings alone, and say what one of them lacks."""

    signature = inspect.signature(function)

    @functools.wraps(function)
    def called(*args, **kwargs):
        ds = checked(next(iter(signature.bind(*args, **kwargs).arguments.values())))
        try:
            return function(*args, **kwargs)
        except AttributeError as error:
            if error.name not in QUANTITIES or error.name in ds:
                raise
            said = f"{function.__name__} of a recording without {error.name}, the {QUANTITIES[error.name][1]}"
            raise ValueError(f"{said}: must have it, as run(config) returns it") from None

    return called


@_of_recording
def alive(ds):
    """Return the steps before a run diverged: all of them, mostly."""
    end = int(ds.attrs.get("diverged_at", -1))
    return ds if end < 0 else ds.isel(step=(ds.step < end).values)


@_of_recording
def length(ds) -> int:
    """Return of how many steps the whole run is, of which a recording may be a part.

    A recording of a run that was stopped says it, attrs["steps"]. Else it is read from λ: its last step t has the rate
    of the schedule at (t + ½)/S epochs, S steps each; with a constant λ, from the number of images, if the
    configuration has it. Where nothing tells (an edited λ) what is there counts as all: the last step + 1.
    """
    if "steps" in ds.attrs:
        return int(ds.attrs["steps"])
    if not ds.sizes["step"]:
        return 0
    c, steps, lr = config(ds), ds.step.values, ds.lr.values.astype(float)
    last = int(np.argmax(steps))
    end = int(steps[last]) + 1
    epochs = schedules.epochs_at(c, lr[last] / c.lr) if c.lr else []
    guesses = [round((end - 0.5) / epoch) for epoch in epochs if epoch > 0]
    guesses += [c.train_images // c.batch_size] if c.train_images else []
    for each in guesses:
        whole = schedules.rates(c, each) if 0 < c.epochs * each < 1e8 else []
        if len(whole) >= end and np.allclose(whole[steps], lr, rtol=1e-5, atol=0):
            return len(whole)
    return end


def window(ds, share=WINDOW):
    """Return the steps from 25 % to 75 % of a recording or a series, or of any share of it; of what is there."""
    if "step" not in getattr(ds, "dims", ()):
        raise TypeError(f"a {type(ds).__name__} without steps: must be a recording, or a series of one")
    try:
        start, end = (float(part) if isinstance(part, numbers.Real) else np.nan for part in share)
    except (TypeError, ValueError):
        start = end = np.nan
    if not 0 <= start < end <= 1:
        raise ValueError(f"share={share!r}: must be two numbers, 0 ≤ first < last ≤ 1")
    steps = ds.sizes["step"]
    if round(start * steps) >= round(end * steps):
        raise ValueError(f"share={share!r}: must hold at least one step, of {steps} it holds none")
    return ds.isel(step=slice(round(start * steps), round(end * steps)))


def smooth(series, steps=SMOOTH):
    """Return the centered mean over `steps` steps, fewer at the ends. Dims and attributes stay; NaN is left out.

    Means of growth and of shrink over the same steps still telescope. Cost: three cumulative sums. Where their
    difference would lose its digits, small values after large ones, a mean is taken by itself.
    """
    if not isinstance(series, xr.DataArray) or "step" not in series.dims:
        raise TypeError(f"series=a {type(series).__name__}: must be a DataArray with steps, a series of a recording")
    if steps is not None and (not isinstance(steps, numbers.Integral) or steps < 0):
        raise ValueError(f"steps={steps!r}: must be a whole number, or None to leave the series as it is")
    if steps is None or steps <= 1:
        return series
    axis, n = series.get_axis_num("step"), series.sizes["step"]
    x = np.moveaxis(series.values.astype(float), axis, 0)
    first = np.maximum(np.arange(n) - steps // 2, 0)
    last = np.minimum(np.arange(n) + (steps + 1) // 2, n)

    def totals(a):
        a = np.concatenate([np.zeros_like(a[:1]), np.cumsum(a, axis=0)])
        return a[last] - a[first]

    there = np.isfinite(x)
    count = totals(there.astype(float))
    x = np.where(there, x, 0.0)
    with np.errstate(over="ignore", invalid="ignore"):
        mean = np.where(count > 0, totals(x) / np.maximum(count, 1), np.nan)
        lost = ~(totals(np.abs(x)) >= DIGITS * np.cumsum(np.abs(x), axis=0)[last - 1]) & (count > 0)
        for t in np.flatnonzero(lost.any(axis=tuple(range(1, x.ndim)))):
            mean[t] = np.where(lost[t], x[first[t] : last[t]].sum(axis=0) / np.maximum(count[t], 1), mean[t])
    return series.copy(data=np.moveaxis(mean, 0, axis))


def moved(series, ds, still=np.nan):
    """Return a series of a recording with `still` at the steps that a loss scaler left out."""
    return series.where(ds.skipped != 1, still) if "skipped" in ds else series


@_of_recording
def dead(ds) -> bool:
    """Return whether a network does not learn: over the last quarter of its run it guesses, whatever the image is.

    That is to say: λ > 0, the training loss is ln K for a whole number K ≥ 2 of classes, to within 0.01 nat (root mean
    square over the steps), and the training accuracy is 1/K, to within four standard deviations of so many guesses. A
    run that diverged, or of which fewer than 16 steps are known, is not called dead.
    """
    known = xr.Dataset({"loss": ds.loss, "accuracy": ds.accuracy, "lr": ds.lr})
    known = known.isel(step=np.flatnonzero(np.isfinite(known.loss)))
    steps = known.sizes["step"]
    if int(ds.attrs.get("diverged_at", -1)) >= 0 or steps < 16:
        return False
    end = known.isel(step=slice(steps - steps // 4, None)).astype(float)
    classes = max(2.0, float(np.round(np.exp(np.minimum(end.loss.mean(), 20)))))
    guesses = config(ds).batch_size * end.sizes["step"]
    chance, noise = 1 / classes, np.sqrt((1 - 1 / classes) / classes / guesses)
    stays = rms(end.loss - np.log(classes)) < 0.01 and abs(end.accuracy.mean() - chance) < 4 * noise
    return bool(stays and (end.lr > 0).all())


@_of_recording
def fate(ds) -> str:
    """Say that a run diverged, was stopped, or does not learn, and at which step or loss; "" if it is well."""
    end = int(ds.attrs.get("diverged_at", -1))
    if end >= 0:
        return f"diverged at step {end}"
    if "stopped_at" in ds.attrs:
        return f"stopped after {int(ds.attrs['stopped_at'])} of {length(ds)} steps"
    if not {"loss", "accuracy", "lr"} <= {*ds} or not dead(ds):
        return ""
    steps = ds.sizes["step"]
    return f"does not learn: loss stays at {float(ds.loss[steps - steps // 4 :].astype(float).mean()):.3f}"


def images(recordings) -> dict:
    """Return the data sets that recordings are of, digest → name, with the digest in the name if two have the same."""
    found = {ds.attrs["dataset_digest"]: ds.attrs.get("dataset", "images") for ds in recordings
             if "dataset_digest" in ds.attrs}  # fmt: skip
    names = list(found.values())
    return {digest: f"{name} ({digest})" if names.count(name) > 1 else name for digest, name in found.items()}


def semantics(ds) -> int:
    """Return by which meaning of a configuration a recording was made; those that do not say are of the first."""
    return int(ds.attrs.get("semantics", 1))


def _named(array, name, symbol, long_name, units):
    array = array.rename(name)
    array.attrs = {"symbol": symbol, "long_name": long_name, "units": units}
    return array


def _is_lars(ds):
    return config(ds).optimizer.startswith("lars")


def _sgd(ds, what):
    """Return the config and λ of a run of SGD; of LARS there is no such quantity."""
    c = config(ds)
    if _is_lars(ds):
        raise ValueError(f"{what} of a run with optimizer={c.optimizer!r}: must be a run of SGD, LARS has no decay")
    return c, ds.lr.astype(float)


def _positive(c, what, *names):
    """Refuse a run of which a quantity is relative to something that is 0."""
    for name in names:
        if getattr(c, name) == 0:
            said = {"weight_decay": f"{what} is relative to the decay", "lr": "nothing moves"}[name]
            raise ValueError(f"{what} of a run with {name}=0.0: must be > 0, {said}")


def _whole(ds, what, least=1):
    """Return the steps before a run diverged, if there are enough."""
    ds, end = alive(ds), int(ds.attrs.get("diverged_at", -1))
    if (steps := ds.sizes["step"]) < least:
        reason = f" that diverged at step {end}" if end >= 0 else ""
        raise ValueError(f"{what} of a run{reason} with {steps} steps before: must be at least {least}")
    return ds


def _overlap(c):
    """What multiplies 2 d·v: ρ for heavy ball, ρ² for Nesterov."""
    return c.momentum**2 if c.optimizer == "nesterov" else c.momentum


def _before(v2):
    """|v_{t-1}|², before step t, from |v_t|²: zero at the start, not a number where that step is not there."""
    steps = v2.step.values
    there = np.append(steps[:1] == 0, np.diff(steps) == 1)
    return v2.shift(step=1, fill_value=0.0).where(xr.DataArray(there, dims="step"))


def _after(series):
    """A series one step later: not a number where that step is not there."""
    there = np.append(np.diff(series.step.values) == 1, False)[: series.sizes["step"]]
    return series.shift(step=-1).where(xr.DataArray(there, dims="step"))


def _without_gaps(ds, what):
    """Refuse a recording in which a step is missing between two others."""
    if (gaps := np.flatnonzero(np.diff(ds.step.values) != 1)).size:
        before, after = ds.step.values[gaps[0] :][:2].tolist()
        raise ValueError(f"{what} of a recording whose step {after} follows {before}: must be steps without gaps")
    return ds


@_of_recording
def weight_decay(ds):
    """Return α, a number; of a run in which it follows λ, of every step [step]."""
    c = config(ds)
    if c.weight_decay_schedule == "constant":
        return c.weight_decay
    return _named(schedules.decays(c, ds.lr.astype(float)), "weight_decay", "α", "weight decay", "nat/u²")


# The two motions of the norm: figures 1 to 4
@_of_recording
def shrink(ds):
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
    return _named(moved(amount, ds, 0.0), "shrink", symbol, "shrink", "u²")


@_of_recording
def growth(ds):
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
    return _named(moved(amount, ds, 0.0), "growth", symbol, "growth", "u²")


@_of_recording
def norm(ds):
    """Return |w|²/|w_0|² [step, layer]."""
    return _named(ds.w2.astype(float) / first(ds.w2), "norm", "|w|²", "squared norm", "|w₀|²")


def first(series):
    """Return the first step of a series, float64 [layer]."""
    if series.sizes["step"] == 0:
        raise ValueError("a series of no steps: must have at least one; the run may have diverged at once")
    return series.isel(step=0, drop=True).astype(float)


@_of_recording
def applied_norm(ds):
    """Return |ω|², ω = w − λ_eff ρv, λ_eff = λ/(1 − ρ) (Nesterov ρ² for ρ), u² [step, layer]; |w|² where ρ = 0."""
    c, lr = _sgd(ds, "applied_norm")
    a = lr * _overlap(c) / (1 - c.momentum)
    z2 = ds.w2.astype(float)
    if c.momentum:
        z2 = z2 - 2 * a * ds.wv + a**2 * _before(ds.v2)
    return _named(z2, "applied_norm", "|ω|²", "squared norm with every gradient fully applied", "u²")


@_of_recording
def radial(ds):
    """Return what w·g ≠ 0 adds to |w|² in each step of plain SGD, u²: −2λ(1 − λα) w·g [step, layer]."""
    c, lr = _sgd(ds, "radial")
    amount = moved(-2 * lr * (1 - lr * weight_decay(ds)) * ds.wg, ds, 0.0)
    return _named(amount, "radial", "−2λ(1 − λα)w·g", "growth by w·g", "u²")


# Dots and line: figures 5 and 7
@_of_recording
def rate(ds):
    """Return λ|g|/|w|, the rate at which SGD moves in the units of LARS [step, layer]. Left side of (6), (9).

    Of a LARS recording: its λ_LARS, the same for all layers.
    """
    if _is_lars(ds):
        value = ds.lars_lr.astype(float) * xr.ones_like(ds.w2, float)
        return _named(value, "rate", "λ_LARS", "learning rate of LARS", "rad/step")
    value = ds.lr.astype(float) * np.sqrt(ds.g2.astype(float) / ds.w2)
    return _named(value, "rate", "λ|g|/|w|", "gradient step per weight", "rad/step")


@_of_recording
def line(ds):
    """Return √(2λα(1 − ρ)), to which equilibrium drives `rate` [step]. Right side of (6) and (9)."""
    c = config(ds)
    value = theory.lars_rate(ds.lr.astype(float), weight_decay(ds), c.momentum)
    return _named(value, "line", "√(2λα(1−ρ))" if c.momentum else "√(2λα)", "equilibrium", "rad/step")


@_of_recording
def z(ds, steps=None):
    """Return z = λ|g|²/(2α(1 − ρ)|w|²), the square of dots over line [step, layer].

    With `steps`, numerator λ²|g|² and denominator are averaged over so many steps first: z is then a ratio of sums.
    """
    c, lr = _sgd(ds, "z")
    _positive(c, "z", "weight_decay", "lr")
    top, bottom = (lr**2 * ds.g2), (2 * weight_decay(ds) * (1 - c.momentum) * lr * ds.w2)
    top, bottom = (smooth(moved(part.transpose(*ds.w2.dims), ds), steps) for part in (top, bottom))
    return _named(top / bottom, "z", "z", "(dots over line)²", "1")


# Angles
@_of_recording
def cosine(ds):
    """Return cos(w, g) = w·g/(|w||g|) [step, layer]; zero for every layer whose scale a batch norm divides out.

    Not a number where |w| or |g| is 0, also if that is of rounding, as in a network that no longer learns.
    """
    size = ds.w2.astype(float) * ds.g2
    value = ds.wg.astype(float) / np.sqrt(size.where(size > 0))
    return _named(value, "cosine", "cos(w, g)", "cosine of weights and gradient", "1")


@_of_recording
def correlation(ds):
    """Return χ = g·v/(|g||v|), v the momentum before the step [step, layer]; not a number at the first step."""
    value = ds.gv.astype(float) / np.sqrt(ds.g2.astype(float) * _before(ds.v2))
    return _named(value, "correlation", "χ", "cosine of gradient and momentum", "1")


@_of_recording
def rotation(ds):
    """Return the angle between w_t and w_{t+1}, rad [step − 1, layer].

    sin²(θ/2) = (|Δw|² − (|w'| − |w|)²)/(4|w||w'|): from three norms, since the arccosine of a rounded cosine has no
    digits left for small angles.
    """
    length = np.sqrt(ds.w2.astype(float))
    after, length = _after(length).isel(step=slice(0, -1)), length.isel(step=slice(0, -1))
    half = (ds.u2.astype(float).isel(step=slice(0, -1)) - (after - length) ** 2) / (4 * length * after)
    return _named(2 * np.arcsin(np.sqrt(half.clip(0, 1))), "rotation", "θ", "rotation", "rad/step")


def rms(series, dims="step"):
    """Return the root mean square, over steps unless said otherwise."""
    return np.sqrt((series.astype(float) ** 2).mean(dims))


# Numbers of a whole run, one a layer
@_of_recording
def drift(ds, share=WINDOW):
    """Return δ, the motion of |w|² relative to its decay, a mean over the steps of a window [layer].

        δ = mean of (1 − ρ)(|w_{t+1}|² − |w_t|²)/(2λα|w_t|²)
    Plain SGD: the mean of z is 1 + δ − λα/2, if w·g = 0. An identity, derived.
    """
    c, lr = _sgd(ds, "drift")
    _positive(c, "drift", "weight_decay", "lr")
    ds = _whole(ds, "drift", 2)
    lr = ds.lr.astype(float)
    change = _after(ds.w2.astype(float)) - ds.w2
    value = moved((1 - c.momentum) * change / (2 * lr * weight_decay(ds) * ds.w2), ds)
    value = window(value, share)
    if value.sizes["step"] and not np.isfinite(change.sel(step=value.step)).any():
        has = f"of {ds.sizes['step']} steps it holds none such"
        raise ValueError(f"share={share!r}: must hold a step that another follows, {has}")
    value = value.mean("step")
    return _named(value, "drift", "δ", "drift of |w|² relative to its decay", "1")


@_of_recording
def kappa(ds, share=WINDOW):
    """Return κ = E[d·v]/E[|d|²], v the momentum before the step, over a window [layer]. 0 for orthogonal batches.

    Both means are of steps relative to the weights, weight λ/|w|², as in the rms of dots over line.
    """
    _positive(config(ds), "kappa", "lr")
    part = window(_whole(ds, "kappa"), share)
    weight = part.lr / part.w2.astype(float)
    value = moved(weight * part.dv, part).sum("step") / moved(weight * part.d2, part).sum("step")
    return _named(value, "kappa", "κ", "correlation of d with the momentum", "1")


@_of_recording
def telescoping(ds):
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
    ds, c = _without_gaps(_whole(ds, "telescoping", 2), "telescoping"), config(ds)
    _positive(c, "telescoping", "lr", *["weight_decay"] * _is_lars(ds))
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
        "change": _named(change, "change", "Δ|w|²", "change of the squared norm", "u²"),
        "growth": _named(add, "growth", "Σ growth", "sum of growth", "u²"),
        "shrink": _named(take, "shrink", "Σ shrink", "sum of shrink", "u²"),
        "radial": _named(radial, "radial", "Σ radial", "sum of what w·g adds", "u²"),
        "closure": _named((change - add + take - radial) / whole, "closure", "closure", "what is left over", "1"),
        "radial_share": _named(radial / whole, "radial_share", "Σ radial/Σ shrink", "share of w·g", "1"),
    }
    return xr.Dataset(out)


@_of_recording
def acceptance(ds, share=WINDOW):
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
    _positive(c, "acceptance", "weight_decay", "lr")
    ds = _whole(ds, "acceptance", 2)
    rho, delta, lr = c.momentum, drift(ds, share), ds.lr.astype(float)
    raw = np.sqrt(window(z(ds), share).mean("step"))
    out = {"raw": _named(raw, "raw", "√⟨z⟩", "dots over line", "1"), "drift": delta}
    if rho == 0:
        corrected = raw / np.sqrt((1 + delta).where(delta > -1))
    else:
        out["kappa"] = kappa(ds, share)
        balance = (1 + delta) / (1 + 2 * _overlap(c) * out["kappa"])
        corrected = raw / np.sqrt(balance.where(balance > 0))  # none of a network that no longer learns
    out["corrected"] = _named(corrected, "corrected", "√⟨z⟩ corrected", "dots over line, corrected", "1")
    if rho > 0 and c.optimizer == "sgd":
        square = window(moved(lr * ds.v2 / weight_decay(ds) / ds.w2.astype(float), ds), share).mean("step")
        update = np.sqrt(square * (1 + rho) / 2 / (1 + delta).where(delta > -1))
        out["update"] = _named(update, "update", "λ|v|/|w|", "update over prediction", "1")
    out["cosine"] = _named(rms(cosine(ds)), "cosine", "rms cos(w, g)", "rms cosine of weights and gradient", "1")
    ranges = {"raw": (0.88, 1.12, 7) if rho == 0 else (0.8, 1.3, 7),
              "corrected": (0.98, 1.02, 8) if rho == 0 else (0.97, 1.03, 8),
              "update": (0.98, 1.02, 8), "cosine": (0.0, 1e-3, 8)}  # fmt: skip
    for name, (low, high, layers) in ranges.items():
        if name in out:
            inside = int(((out[name] >= low) & (out[name] <= high)).sum())
            out[name].attrs |= {"low": low, "high": high, "layers": layers, "passed": inside}
    return xr.Dataset(out)


# Measured against predicted
@_of_recording
def gradient_size(ds, steps=None):
    """Return c = |g||w| [step, layer], nat: the size of a gradient whatever |w| is. `steps`: its running rms."""
    value = np.sqrt(smooth(ds.g2.astype(float) * ds.w2, steps))
    return _named(value, "gradient_size", "c", "gradient times weight", "nat")


@_of_recording
def drive(ds):
    """Return c²(1 + 2ρκ) = (|g|² + 2ρ g·v)|w|² [step, layer], nat²: what drives |w|² when batches are correlated.

    Nesterov has ρ² for ρ. c² itself without momentum. Of single steps it can be negative: a gradient that undoes the
    ones before it.
    """
    setting, _ = _sgd(ds, "drive")
    value = (ds.g2.astype(float) + 2 * _overlap(setting) * ds.gv.astype(float)) * ds.w2
    return _named(value.transpose(*ds.w2.dims), "drive", "c²(1 + 2ρκ)", "c², with correlation", "nat²")


@_of_recording
def predicted(ds, c="measured", steps=SMOOTH):
    """Return |w|² and z as theory has them, from |w_0|² and the size c of the gradients alone [step, layer].

    The norm follows `theory.norm_recurrence`, for which batches are independent; z = λc²/(2α(1 − ρ)|w|⁴), averaged like
    `z(ds, steps)`.

    Args:
        ds: a recording of SGD.
        c: "constant", the rms of |g||w| over the run, one number a layer; "measured", its running rms over `steps`; or
            "correlated": as measured, but the norm is driven by c² + 2ρ(g·v)|w|² (Nesterov ρ²), that is by c²(1 + 2ρκ),
            what is left of c² when successive batches are not independent. Without momentum the last two are the same.
    """
    if not isinstance(c, str) or c not in ("constant", "measured", "correlated"):
        raise ValueError(f"c={c!r}: must be 'constant', 'measured' or 'correlated'")
    setting, _ = _sgd(ds, "predicted")
    _positive(setting, "predicted", "weight_decay", "lr")
    ds = _without_gaps(_whole(ds, "predicted"), "predicted")
    if c == "constant":
        size = rms(gradient_size(ds)).expand_dims(step=ds.step)
    else:
        size = gradient_size(ds, steps)
    size = size.transpose("step", "layer")
    push = np.sqrt(smooth(drive(ds), steps).transpose("step", "layer").clip(0)) if c == "correlated" else size
    went = moved(xr.ones_like(ds.lr, float), ds, 0.0).values  # 0 at a step that was left out: w is that of the next one
    steps_taken = np.append(np.flatnonzero(went), -1)
    alpha = np.asarray(weight_decay(ds))
    w2 = theory.norm_recurrence(first(ds.w2).values, push.values[steps_taken], ds.lr.values.astype(float)[steps_taken],
                                alpha[steps_taken] if np.ndim(alpha) else alpha, setting.momentum,
                                optimizer=setting.optimizer)  # fmt: skip
    w2 = size.copy(data=w2[(np.cumsum(went) - went).astype(int)])
    theirs = ds.assign(w2=w2, g2=size**2 / w2)
    return xr.Dataset({"w2": _named(w2, "w2", "|w|²", "squared weight norm, predicted", "u²"), "z": z(theirs, steps)})


# Yours against theirs
@_of_recording
def overall(ds, share=WINDOW):
    """Return one number for a run: dots over line, rms over the layers and the steps of a window."""
    return float(np.sqrt(window(z(_whole(ds, "dots over line")), share).mean()))


@_of_recording
def verdict(mine, seeds):
    """Say in a sentence or two whether a run agrees with the seeds of another, and by how much it does not.

    Compared is `overall`. With n seeds of mean m and standard deviation s, one more seed falls within
    m ± t s √(1 + 1/n) 19 times in 20 (Student's t with n − 1 degrees of freedom); that is called inside. What else sets
    the two apart is said as well: a run that does not learn, other images, another meaning of a configuration. Where
    one diverged, was stopped, or is a part of a recording, that is said and nothing compared.

    Raises:
        ValueError: the seeds are not those of one run, or one is there twice: the same seed, images and meaning.
    """
    one = isinstance(seeds, (xr.Dataset, str)) or not isinstance(seeds, Iterable)
    seeds = seeds_of_one([seeds] if one else seeds)
    if (end := int(mine.attrs.get("diverged_at", -1))) >= 0:
        return f"This run diverged at step {end} of {length(mine)}: there is no equilibrium to compare."
    if "stopped_at" in mine.attrs:
        at = f"step {int(mine.attrs['stopped_at'])} of {length(mine)}"
        return f"This run was stopped after {at}: there is no whole run to compare."
    if part := _part(mine):
        return f"This run {part}: there is no whole run to compare."
    if parts := [said for said in map(_part, seeds) if said]:
        which = "The book's run" if len(seeds) == 1 else f"Of {len(seeds)} seeds of the book {len(parts)}"
        return f"{which}: {' and '.join(dict.fromkeys(parts))}; there is no whole run to compare with."
    value, theirs = overall(mine), np.array([overall(ds) for ds in seeds])
    if not np.isfinite([value, *theirs]).all():
        whose = "this run" if not np.isfinite(value) else "the book's run" if len(seeds) == 1 else "the book's runs"
        said = f"Dots over line of {whose} is not a finite number: there is nothing to compare."
    else:
        said = _compared(value, theirs)
    return " ".join([said, *_apart(mine, seeds)])


def _part(ds) -> str:
    """Say why a recording is not that of a whole run; "" if it is."""
    if "stopped_at" in ds.attrs or int(ds.attrs.get("diverged_at", -1)) >= 0:
        return fate(ds)
    there, whole = ds.sizes["step"], length(ds)
    return f"is here with {there} of its {whole} steps" if there < whole else ""


def seeds_of_one(recordings) -> list:
    """Return a list of recordings, which must be different seeds of one run."""
    found = [checked(ds) for ds in recordings]
    if not found:
        raise ValueError("seeds=[]: must be a recording or a list of them")
    configs = [config(ds) for ds in found]
    if (runs := len({c.replace(seed=0) for c in configs})) > 1:
        raise ValueError(f"seeds of {runs} different runs: must be seeds of one run")
    names = [(c.seed, ds.attrs.get("dataset_digest"), semantics(ds)) for c, ds in zip(configs, found, strict=True)]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"seed={twice[0][0]}: must be of one recording, and {names.count(twice[0])} have it")
    return found


def _compared(value, theirs):
    mean, n = theirs.mean(), len(theirs)
    said = f"Dots over line, middle half of training: {value:.3f}."
    if n == 1:
        return f"{said} The book's run: {mean:.3f}, a difference of {_signed(value / mean - 1)}."
    t = compare.student(n - 1)
    width = t * theirs.std(ddof=1) * np.sqrt(1 + 1 / n)
    said += f" {n} seeds of the book: {mean:.3f} ± {width:.3f}."
    if abs(value - mean) <= width:
        return f"{said} Inside: it could be one more seed."
    side, far = "above" if value > mean else "below", abs(value - mean) - width
    return f"{said} Outside, {side} by {far:.3f} ({_signed(value / mean - 1)} from the mean)."


def _apart(mine, seeds):
    """Say in what else a run is not like the others."""
    if fate(mine):
        yield f"This run {fate(mine)}."
    names, own = images([mine, *seeds]), mine.attrs.get("dataset_digest")
    theirs = images(seeds)
    if own is not None and theirs.keys() - {own}:
        yield f"This run is of {names[own]}, the book's of {' and '.join(names[digest] for digest in theirs)}."
    others = sorted({semantics(ds) for ds in seeds})
    if others != [semantics(mine)]:
        by = " and ".join(map(str, others))
        yield f"This run was made by training semantics {semantics(mine)}, the book's by {by}."


def _signed(share):
    return f"{100 * share:+.1f} %".replace("-", "−")
