"""The steps of a recording: parts of it, means over them, and what became of the run.

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
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from . import schedules
from .arms import own_rate
from .recording import QUANTITIES, config, setting

if TYPE_CHECKING:
    from ._shapes import ByLayer, ByStep, ByStepLayer, Measured, Part, Share

__all__ = [
    "SMOOTH", "WINDOW", "alive", "changes", "checked", "dead", "earlier", "enough", "fate", "first", "later", "length",
    "moved", "named", "of_recording", "own_rates", "rms", "smooth", "taken", "together", "window",
    "without_gaps",
]  # fmt: skip

SMOOTH = 50
WINDOW = (0.25, 0.75)
SUMS = ("w2", "g2", "d2", "v2", "u2", "wg", "wv", "dv", "gv", "weights")  # of a layer, which add up over layers
DIGITS = 1e-9  # a sum that is a smaller part of what was summed before has lost its digits


def checked(ds) -> xr.Dataset:
    """Return a recording; of anything else say what it must be."""
    if not isinstance(ds, xr.Dataset):
        plain = ds is None or isinstance(ds, (str, numbers.Number))
        shown = repr(ds) if plain else f"a {type(ds).__name__}"
        raise TypeError(f"recording={shown}: must be an xarray.Dataset, a recording as run(config) returns it")
    known = "config" in ds.attrs or {"momentum", "optimizer", "weight_decay"} <= {*ds.variables}
    if not known or "step" not in ds.dims:
        shown = "a table of sweep" if "provenance" in ds else "a Dataset without steps and a config"
        raise ValueError(f"recording={shown}: must be a recording, as run(config) returns it")
    return ds


def of_recording(function: Callable) -> Callable:
    """Let the function see recordings alone, and say what one of them lacks."""

    signature = inspect.signature(function)

    @functools.wraps(function)
    def called(*args, **kwargs):
        bound = signature.bind(*args, **kwargs)
        name, given = next(iter(bound.arguments.items()))
        bound.arguments[name] = ds = _known(checked(given))
        try:
            return function(*bound.args, **bound.kwargs)
        except AttributeError as error:
            if error.name not in QUANTITIES or error.name in ds:
                raise
            said = f"{function.__name__} of a recording without {error.name}, the {QUANTITIES[error.name][1]}"
            why = "these steps do not tell it" if error.name in given else "as run(config) returns it"
            raise ValueError(f"{said}: must have it, {why}") from None

    return called


def _known(ds):
    """The recording without what none of its steps tells, as the momentum of an optimizer that is not known."""
    if "config" in ds.attrs or not ds.sizes["step"]:
        return ds
    return ds.drop_vars([name for name in ("d2", "v2", "wv", "dv", "gv") if name in ds and ds[name].isnull().all()])


@of_recording
def alive(ds: xr.Dataset) -> xr.Dataset:
    """Return the steps before a run diverged: all of them, mostly."""
    end = int(ds.attrs.get("diverged_at", -1))
    return ds if end < 0 else ds.isel(step=(ds.step < end).values)


def enough(ds: xr.Dataset, what: str, least: int = 1) -> xr.Dataset:
    """Return the steps before a run diverged, if there are enough."""
    ds, end = alive(ds), int(ds.attrs.get("diverged_at", -1))
    if (steps := ds.sizes["step"]) < least:
        reason = f" that diverged at step {end}" if end >= 0 else ""
        raise ValueError(f"{what} of a run{reason} with {steps} steps before: must be at least {least}")
    return ds


@of_recording
def length(ds: xr.Dataset) -> int:
    """Return of how many steps the whole run is, of which a recording may be a part.

    A recording of a run that was stopped, or that has no configuration, says it, attrs["steps"]. Else it is read from
    λ: its last step t has the rate of the schedule at (t + ½)/S epochs, S steps each; with a constant λ, from the
    number of images, if the configuration has it. Where nothing tells (an edited λ) what is there counts as all: the
    last step + 1.
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


def window(ds: Part, share: Share = WINDOW) -> Part:
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


def smooth(series: Measured, steps: int | None = SMOOTH) -> Measured:
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


def moved(series: Measured, ds: xr.Dataset, still: float = np.nan) -> Measured:
    """Return a series of a recording with `still` at the steps that a loss scaler left out."""
    return series.where(ds.skipped != 1, still) if "skipped" in ds else series


def taken(ds: xr.Dataset, what: str) -> ByStep:
    """Return 1.0 of every step, and 0.0 of those that a loss scaler left out [step]."""
    went = (ds.skipped != 1).astype(float) if "skipped" in ds else xr.ones_like(ds.step, float)
    if "layer" in went.dims and went.sizes["layer"] and (went == went.isel(layer=0)).all():
        return went.isel(layer=0, drop=True)
    if "layer" in went.dims:
        raise ValueError(f"{what} of layers of which some had no gradient in some steps: must be layers that all steps "
                         "move, such as ds.isel(layer=(ds.skipped == 0).all('step'))")  # fmt: skip
    return went


@of_recording
def dead(ds: xr.Dataset) -> bool:
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
    guesses = setting(ds).batch_size * end.sizes["step"]
    chance, noise = 1 / classes, np.sqrt((1 - 1 / classes) / classes / guesses)
    stays = rms(end.loss - np.log(classes)) < 0.01 and abs(end.accuracy.mean() - chance) < 4 * noise
    return bool(stays and (end.lr > 0).all())


@of_recording
def fate(ds: xr.Dataset) -> str:
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


def named(array: Measured, name: str, symbol: str, long_name: str, units: str) -> Measured:
    """Return an array with its name, symbol, long name and unit."""
    array = array.rename(name)
    array.attrs = {"symbol": symbol, "long_name": long_name, "units": units}
    return array


def first(series: ByStepLayer) -> ByLayer:
    """Return the first step of a series, float64 [layer]."""
    if series.sizes["step"] == 0:
        raise ValueError("a series of no steps: must have at least one; the run may have diverged at once")
    return series.isel(step=0, drop=True).astype(float)


def own_rates(ds: xr.Dataset) -> float | ByLayer:
    """Return by what the rate of each layer differs from that of the run: 1.0, or of each layer where some differ."""
    c = setting(ds)
    if not getattr(c, "layer_settings", ""):
        return 1.0
    return xr.DataArray([own_rate(c, str(layer)) for layer in ds.layer.values], {"layer": ds.layer}, "layer")


@of_recording
def together(ds: xr.Dataset, groups: Mapping[str, Iterable[str]]) -> xr.Dataset:
    """Return a recording in which several layers are one: the weights of all of them, as one vector.

        |w|² = Σ|w_i|²,  w·g = Σ w_i·g_i, and so on

    So `measure` and `plots` show the balance of layers whose scale the loss sees in none, but not in all together,
    as what writes into a residual stream: `transformer.Transformer.writers`.

    Args:
        groups: name → layers. Those of a group must have the same λ, α, ρ and optimizer. A layer may be in several.

    Raises:
        ValueError: a group is empty, names what is not there, or has layers that differ.
    """
    parts = []
    for name, layers in groups.items():
        layers = list(layers)
        unknown = [layer for layer in layers if layer not in ds.layer]
        if unknown or not layers:
            said = f"no layer {', '.join(map(str, unknown))} in this recording" if unknown else f"{name}: no layer"
            raise ValueError(f"{said}: must be of {', '.join(map(str, ds.layer.values))}")
        part, first = ds.sel(layer=layers), ds.sel(layer=layers[:1])
        layered = [n for n in part.variables if n != "layer" and "layer" in part[n].dims]
        sums = [n for n in layered if n in SUMS]
        for other in set(layered) - {*sums}:
            if not (part[other] == first[other].isel(layer=0)).all():
                raise ValueError(f"{name}: must be layers with the same {other}")
        added = {n: part[n].astype(float).sum("layer", keep_attrs=True, skipna=False) for n in sums}
        added = {n: a.expand_dims(layer=[name], axis=part[n].dims.index("layer")) for n, a in added.items()}
        parts.append(first.assign_coords(layer=[name]).assign(added))
    return xr.concat(parts, "layer", data_vars="minimal", coords="minimal", compat="override", join="exact")


def rms(series: Measured, dims="step") -> xr.DataArray:
    """Return the root mean square, over steps unless said otherwise."""
    return np.sqrt((series.astype(float) ** 2).mean(dims))


def earlier(v2: ByStepLayer) -> ByStepLayer:
    """|v_{t-1}|², before step t, from |v_t|²: zero at the start, not a number where that step is not there."""
    steps = v2.step.values
    there = np.append(steps[:1] == 0, np.diff(steps) == 1)
    return v2.shift(step=1, fill_value=0.0).where(xr.DataArray(there, dims="step"))


def later(series: Measured) -> Measured:
    """A series one step later: not a number where that step is not there, or follows a change of the weights."""
    there = np.append((np.diff(series.step.values) == 1) & ~changes(series), False)[: series.sizes["step"]]
    return series.shift(step=-1).where(xr.DataArray(there, dims="step"))


def changes(ds: Part) -> np.ndarray:
    """Return of each pair of steps whether somebody has changed the weights between them, bool [step − 1]."""
    return np.diff(ds.part.values) != 0 if "part" in ds.coords else np.zeros(max(0, ds.sizes["step"] - 1), bool)


def without_gaps(ds: xr.Dataset, what: str) -> xr.Dataset:
    """Refuse a recording in which a step is missing between two others, or the weights were changed."""
    if (gaps := np.flatnonzero(np.diff(ds.step.values) != 1)).size:
        before, after = ds.step.values[gaps[0] :][:2].tolist()
        raise ValueError(f"{what} of a recording whose step {after} follows {before}: must be steps without gaps, "
                         "as rd.watch(..., every=1) has them")  # fmt: skip
    if (kicks := np.flatnonzero(changes(ds))).size:
        t = int(ds.step[kicks[-1] + 1])
        raise ValueError(f"{what} of a recording whose weights were changed before step {t}: must be steps without "
                         f"such a change between them, such as ds.sel(step=slice({t}, None))")  # fmt: skip
    return ds
