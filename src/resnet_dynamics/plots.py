"""Figures: one function a figure, (recordings, ax) -> ax, in one house style.

`recordings` is a recording, or a list of recordings that differ in their seed alone, which are drawn as a band from
the lowest to the highest. `ax` is where to draw; None makes a figure of the house size. The style is set on what is
drawn, never in matplotlib's own parameters. Curves of layers: the darker, the earlier in the network; solid for the
first convolution of a stage, dashed and dotted for those of its residual branch. So they can be told apart in grey.
A run that diverged or was stopped is drawn as far as it went; that it did, or that it does not learn, is said in the
axes. A part of a recording is drawn at its own steps.

No function here trains, reads files, or needs torch.
"""

from __future__ import annotations

import numbers
import textwrap

import numpy as np
import xarray as xr
from matplotlib.ticker import MaxNLocator

from . import compare, measure, recording, theory, updates
from . import style as house
from .arms import LARS, SEPARATE, apart, of_sgd
from .landscapes import landscape, tuning
from .seeds import band, fates, is_list, nothing, several
from .style import DASHES, FAINT, GROWTH, INK, LINE, SHRINK, SIZE, TEXT, figure, layer_styles, style
from .tables import power

__all__ = [
    "FAINT", "GROWTH", "INK", "LINE", "SHRINK", "SIZE", "TEXT", "balance", "cosine", "curves", "figure", "growth",
    "landscape", "layer_styles", "memory", "norms", "prediction", "ratio", "rotation", "shrink", "style", "tuning",
    "verdict",
]  # fmt: skip


def _steps(ax, recordings, noted=None):
    ds, steps = recordings[0], np.concatenate([ds.step.values for ds in recordings])
    ax.set_xlabel(ds.step.attrs.get("long_name", "training step"), size=TEXT, color=INK)
    ax.set_xlim(steps.min(), steps.max() + 1)
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    house.note(ax, fates(noted or recordings))


def _draw(ax, x, values, **line):
    """Draw the mean of several curves, and the band from lowest to highest. values: list of [T]."""
    values = np.stack(values)
    if len(values) > 1:
        ax.fill_between(x, values.min(0), values.max(0), color=line["color"], alpha=0.25, linewidth=0)
    return ax.plot(x, values.mean(0), **line)


def _per_layer(ax, seeds, quantity, linewidth=1.6, legend=True, **line):
    """Draw quantity(ds) [step, layer] of every layer."""
    series, names = [quantity(ds) for ds in seeds], house.layer_names(seeds[0].layer.values)
    for layer, look in _looks(seeds[0]).items():
        _draw(ax, seeds[0].step, [s.sel(layer=layer).values for s in series], label=names.get(layer),
              linewidth=linewidth, **{**look, **line})  # fmt: skip
    if legend:
        house.legend(ax, above=True, ncols=_columns(names))


def _columns(names):
    return min(4 if max(map(len, names)) <= house.SHORT else 2, -(-len(names) // 2))


# Figures 1 to 4: norms in motion
def shrink(recordings, ax=None, *, layers=None):
    """Draw what decay takes from |w|² in each step, in % of |w_0|². Figure 1; equation (1′), `measure.shrink`."""
    return _motion(measure.shrink, _pick(band(recordings), layers), house.dress(ax), None)


def growth(recordings, ax=None, *, layers=None):
    """Draw what the gradient adds to |w|² in each step, in % of |w_0|². Figure 2; equation (2′), `measure.growth`.

    Faint: every step of the first recording, the highest spikes cut off. Bold: the mean over 50 steps, with the band of
    the seeds.
    """
    seeds, ax = _pick(band(recordings), layers), house.dress(ax)
    first = seeds[0]
    every = _percent(first, measure.growth)
    for layer, look in _looks(first).items():
        ax.plot(first.step, every.sel(layer=layer), color=look["color"], linewidth=0.5, alpha=0.25)
    _motion(measure.growth, seeds, ax, measure.SMOOTH)
    ax.set_ylim(0, _room(every))
    return ax


def _room(growth):
    """How high the axis of growth reaches: above its running mean; a few spikes may be higher."""
    return 1.7 * float(measure.smooth(growth).max()) or 1.0


def _motion(quantity, seeds, ax, smooth):
    _per_layer(ax, seeds, lambda ds: _percent(ds, quantity, smooth))
    name, symbol = (quantity(seeds[0]).attrs[key] for key in ("long_name", "symbol"))
    house.ylabel(ax, house.label(name if len(symbol) > 8 else f"{name} {symbol}", "% of |w₀|²"))
    _steps(ax, seeds)
    ax.set_ylim(bottom=0)
    return ax


def _percent(ds, quantity, smooth=None):
    return 100 * measure.smooth(quantity(ds), smooth) / measure.first(ds.w2)


def _pick(seeds, layers):
    if layers is None:
        return seeds
    known = [str(name) for name in seeds[0].layer.values]
    if not isinstance(layers, (str, list, tuple, np.ndarray, xr.DataArray)) or len(layers) == 0:
        raise ValueError(f"layers={layers!r}: must be a layer or a list of some of {', '.join(known)}, or None for all")
    layers = [layers] if isinstance(layers, str) else [str(name) for name in np.asarray(layers).ravel()]
    unknown = [name for name in layers if name not in known]
    if unknown:
        raise ValueError(f"no layer {', '.join(unknown)} in this recording: it has {', '.join(known)}")
    return [ds.sel(layer=layers).assign_attrs(all_layers=known) for ds in seeds]


def _looks(ds):
    """The styles of the layers of a recording, the same whether all are drawn or a few."""
    names = [str(name) for name in ds.layer.values]
    styles = layer_styles(ds.attrs.get("all_layers", names))
    return {name: styles[name] for name in names}


def balance(recordings, ax=None, *, layers=None):
    """Draw growth, every step, and shrink over it, in % of |w_0|². Figure 3: figures 1 and 2 in one.

    layers: a name or a list of names; None means all. Of several seeds the first is drawn: the noise is the point.
    """
    ds, ax = _pick(band(recordings)[:1], layers)[0], house.dress(ax)
    looks, names = _looks(ds), house.layer_names(ds.layer.values)
    add, take = _percent(ds, measure.growth), _percent(ds, measure.shrink)
    one = len(looks) == 1
    for layer, look in looks.items():
        color = GROWTH if one else look["color"]
        ax.plot(ds.step, add.sel(layer=layer), color=color, linewidth=0.5, alpha=0.6 if one else 0.35,
                label="growth (noisy)" if one else None)  # fmt: skip
    for layer, look in looks.items():
        look = {"color": SHRINK, "label": "shrink (smooth)"} if one else {**look, "label": names.get(layer)}
        ax.plot(ds.step, take.sel(layer=layer), linewidth=1.8, zorder=3, **look)
    house.legend(ax, above=True, ncols=2 if one else _columns(names))
    house.ylabel(ax, house.label("growth and shrink", "% of |w₀|²"))
    _steps(ax, [ds])
    ax.set_ylim(0, _room(add))
    return ax


def norms(recordings, ax=None, *, layers=None):
    """Draw |w|² of every layer, in units of |w_0|². Figure 4."""
    seeds, ax = _pick(band(recordings), layers), house.dress(ax)
    _per_layer(ax, seeds, measure.norm)
    attrs = measure.norm(seeds[0]).attrs
    house.ylabel(ax, house.label(f"{attrs['long_name']} {attrs['symbol']}", attrs["units"]))
    _steps(ax, seeds)
    ax.set_ylim(bottom=0)
    return ax


# Figures 5 and 7: dots and line
def _is_lars(ds):
    return recording.setting(ds).optimizer.startswith("lars")


def ratio(recordings, ax=None, *, layers=None, dots=1200):
    """Draw λ|g|/|w| of all layers as dots and √(2λα(1−ρ)) as a line. Figure 5; with momentum figure 7.

    Of SGDW, AdamW and their like it is λ|v|/|w|, v being what λ multiplies, and √(2λα/S), see `measure.line`. Of LARS
    the rate is set, not measured: its λ_LARS is drawn as a dashed line, so that ratio([sgd, lars]) compares the two.
    Only so many dots are drawn, taken evenly; what is computed is not thinned.
    """
    if not isinstance(dots, numbers.Integral) or dots < 1:
        raise ValueError(f"dots={dots!r}: must be a whole number, at least 1")
    every_run = _pick(several(recordings), layers)
    runs = [ds for ds in every_run if ds.sizes["step"]]
    if not runs:
        raise nothing(every_run)
    ax = house.dress(ax)
    measured = [ds for ds in runs if not _is_lars(ds)]
    drawn, symbol = set(), " and ".join(dict.fromkeys(measure.rate(ds).attrs["symbol"] for ds in measured)) or "λ_LARS"
    for i, ds in enumerate(measured):
        looks, rates = _looks(ds), measure.rate(ds)
        every = -(-ds.sizes["step"] * ds.sizes["layer"] * len(measured) // dots)
        for j, (layer, look) in enumerate(looks.items()):
            part = rates.sel(layer=layer).isel(step=slice((7 * j + 3 * i) % every, None, every))
            ax.plot(part.step, part, ".", color=look["color"], markersize=4.6, alpha=0.6, markeredgewidth=0,
                    label=f"{symbol}, dark to light with depth" if (i, j) == (0, 0) else None)  # fmt: skip
    for ds in runs:
        line = measure.line(ds)
        if _is_lars(ds):
            rate = ds.lars_lr
            name, look = "λ_LARS of the LARS run", dict(color="#b3520f", linestyle=(0, (4, 2)), linewidth=2.2)
        else:
            rate, name, look = line, line.attrs["symbol"], dict(color="black", linewidth=2)
        for i, one in enumerate(rate.values.reshape(len(rate), -1).T):  # one, or that of each layer
            if (key := (name, one.tobytes())) not in drawn:
                ax.plot(ds.step, one, label=None if i else name, zorder=3, **look)
                drawn.add(key)
    house.legend(ax, above=True, ncols=1 if len(drawn) > 1 else 2, markerscale=3)
    house.ylabel(ax, house.label(symbol, measure.rate(runs[0]).attrs["units"]))
    _steps(ax, runs, every_run)
    top = max([float(measure.line(ds).max()) for ds in runs]
              + [float(measure.rate(ds).quantile(0.995)) for ds in measured])  # fmt: skip
    ax.set_ylim(0, 1.08 * top or 1)
    return ax


# What theory predicts
def prediction(recordings, ax=None, *, layer=None, c="measured"):
    """Draw √z, dots over line, as measured (mean over 50 steps) and as predicted from |w_0|² and c = |g||w|.

    layer: one layer; None takes the rms over all. c: "measured", "constant" or "correlated", or a list of these; see
    `measure.predicted`.
    """
    kinds = [c] if isinstance(c, str) or not is_list(c) else list(c)
    bad = [kind for kind in kinds if not isinstance(kind, str) or kind not in ("measured", "constant", "correlated")]
    if bad or not kinds:
        shown = bad[0] if bad else kinds
        raise ValueError(f"c={shown!r}: must be 'measured', 'constant' or 'correlated', or a list of these")
    if layer is not None and not isinstance(layer, str):
        raise ValueError(f"layer={layer!r}: must be the name of a layer, or None for all")
    seeds, ax = _pick(band(recordings), layer), house.dress(ax)
    ax.axhline(1, color="#8c8c8c", linewidth=1)
    measured = [_over_layers(measure.balance(ds, measure.SMOOTH)) for ds in seeds]
    _draw(ax, seeds[0].step, measured, color="#5b9bd5", linewidth=3.2, label="measured")
    looks = {
        "measured": dict(color=INK, linewidth=1.6, linestyle="-", label="predicted, with the measured c(t)"),
        "constant": dict(color=INK, linewidth=1.6, linestyle=(0, (4, 2)), label="predicted, with a constant c"),
        "correlated": dict(
            color=INK, linewidth=1.6, linestyle=(0, (1, 1.2)), label="predicted, with correlated batches"
        ),
    }
    for kind in kinds:
        theirs = np.mean([_over_layers(measure.predicted(ds, kind).z) for ds in seeds], axis=0)
        ax.plot(seeds[0].step, theirs, zorder=3, **looks[kind])
    house.ylabel(ax, "√z, dots over line")
    _steps(ax, seeds)
    ax.set_ylim(bottom=0)
    house.legend(ax, above=True, ncols=1 if len(kinds) > 1 else 2)
    return ax


def _over_layers(z):
    return np.sqrt(z.mean("layer")).values


def cosine(recordings, ax=None, *, layers=None):
    """Draw |cos(w, g)| of every layer, rms over 50 steps, on a logarithmic axis, and state the rms over all steps."""
    seeds, ax = _pick(band(recordings), layers), house.dress(ax)
    _per_layer(ax, seeds, lambda ds: np.sqrt(measure.smooth(measure.cosine(ds) ** 2, measure.SMOOTH)))
    ax.set_yscale("log")
    total = np.sqrt(sum(measure.rms(measure.cosine(ds)) ** 2 for ds in seeds) / len(seeds))
    total = total.dropna("layer")  # a layer whose gradient is 0 at every step has none
    said = "none, all gradients are 0"
    if len(total):
        low, high = (total.isel(layer=int(place)) for place in (total.argmin("layer"), total.argmax("layer")))
        words = [(power(f"{float(one):.0e}"), one.layer.item()) for one in (low, high)]
        said = " to ".join(f"{size} ({layer})" for size, layer in words) if len(total) > 1 else words[0][0]
    lines = np.concatenate([line.get_ydata() for line in ax.lines])
    if (seen := lines[lines > 0]).size:
        ax.set_ylim(seen.min() / 4, seen.max() * 2)
    said = f"rms of all steps: {said}"
    ax.text(0.02, 0.03, said, transform=ax.transAxes, size=TEXT - 1, color=INK)
    house.ylabel(ax, "|cos(w, g)|")
    _steps(ax, seeds)
    return ax


def rotation(recordings, ax=None, *, layers=None):
    """Draw the angle by which each layer turns in a step, rms over 50 steps, and its equilibrium √(2λα/(1+ρ)).

    Of SGDW, AdamW and their like that is √(2λα/S), their `measure.line`; where there is no equation there is no line.
    """
    seeds, ax = _pick(band(recordings), layers), house.dress(ax)
    seeds_but_last = [ds.isel(step=slice(0, -1)) for ds in seeds]  # the angle of the last step is not recorded
    angles = dict(zip(map(id, seeds_but_last), (measure.rotation(ds) for ds in seeds)))
    _per_layer(ax, seeds_but_last, lambda ds: np.sqrt(measure.smooth(angles[id(ds)] ** 2, measure.SMOOTH)))
    line, said = _turn(seeds[0])
    if said:
        ax.plot(seeds[0].step, line, color="black", linewidth=2, zorder=3)
        ax.text(0.98, 0.92, f"black: {said}", transform=ax.transAxes, size=TEXT, color=INK, ha="right", va="top")
    house.ylabel(ax, "rotation (rad/step)")
    _steps(ax, seeds)
    ax.set_ylim(bottom=0)
    return ax


def _turn(ds):
    """The rotation in equilibrium, and its formula; "" where there is none."""
    c, lr, alpha = recording.setting(ds), ds.lr.astype(float), measure.weight_decay(ds)
    if c.optimizer in SEPARATE:
        return (measure.line(ds), "√(2λα/S)") if updates.has_line(ds) and not apart(c) else (None, "")
    if c.optimizer not in ("sgd", "nesterov"):
        return None, ""
    said = "equilibrium" if c.optimizer == "nesterov" else "√(2λα/(1+ρ))" if c.momentum else "√(2λα)"
    return theory.rotation_angle(lr, alpha, c.momentum, optimizer=c.optimizer), said


def memory(recordings, ax=None, *, starts=(0.1, 1, 3)):
    """Draw √z from several initial norms, by the master equation with constant c, and as measured, rms over layers.

    starts: |w_0|² relative to its equilibrium at the highest λ. Where the curves meet, the start is forgotten.
    """
    starts = list(starts) if is_list(starts) else starts
    if not isinstance(starts, list) or not starts or not all(house.is_number(start) and start > 0 for start in starts):
        raise ValueError(f"starts={starts!r}: must be a list of numbers > 0")
    seeds, ax = band(recordings), house.dress(ax)
    c, lr = of_sgd(recording.setting(seeds[0]), "memory", *LARS), seeds[0].lr.astype(float).values
    measured = [_over_layers(measure.balance(ds, measure.SMOOTH)) for ds in seeds]
    _draw(ax, seeds[0].step, measured, color="#b9d3ea", linewidth=3.2, label="measured")
    alpha = np.asarray(measure.weight_decay(seeds[0]))
    top = theory.equilibrium_norm(1.0, lr.max(), c.weight_decay, c.momentum) ** 2
    for start, dash, shade in zip(starts, DASHES * len(starts), np.linspace(0, 0.5, len(starts))):
        z = theory.master_ode(lr, alpha, c.momentum, w2_0=start * top)
        ax.plot(seeds[0].step, np.sqrt(z), color=str(shade), linestyle=dash, linewidth=1.6, label=f"{start:g} ×")
    house.ylabel(ax, "√z, dots over line")
    _steps(ax, seeds)
    ax.set_ylim(bottom=0)
    title = "|w₀|² relative to equilibrium:"
    house.legend(ax, above=True, ncols=4, title=title, title_fontsize=TEXT, alignment="right")
    return ax


# Training
def curves(runs, ax=None, *, quantity="test_accuracy"):
    """Draw the loss or accuracy of runs over epochs.

    Args:
        runs: name → recording, or → list of seeds, drawn as a band; or a single recording.
        ax: None makes a figure.
        quantity: "test_accuracy", "test_loss", "accuracy" or "loss" (of training batches, mean over an epoch).
    """
    allowed = ("test_accuracy", "test_loss", "accuracy", "loss")
    if not isinstance(quantity, str) or quantity not in allowed:
        raise ValueError(f"quantity={quantity!r}: must be one of {', '.join(allowed)}")
    named = runs if isinstance(runs, dict) else {None: runs}
    named = {name: several(run) for name, run in named.items()}
    if not named:
        raise ValueError("runs={}: must be a recording, or at least one name with its recording")
    if any(quantity not in ds for several in named.values() for ds in several):
        raise ValueError(f"a recording without {quantity}: must have it, as run(config) returns it")
    epochs = {name: recording.config(run[0]).epochs for name, run in named.items()}
    there = {name: run for name, run in named.items() if all(ds.sizes["step"] for ds in run)}
    if not there:
        raise nothing([ds for several in named.values() for ds in several])
    ax = house.dress(ax)
    percent = 100 if "accuracy" in quantity else 1
    for (name, run), look in zip(there.items(), _LOOKS * len(named)):
        seeds = band(run)
        if quantity.startswith("test_"):
            x, values = seeds[0].epoch, [percent * ds[quantity].values for ds in seeds]
        else:
            each = seeds[0].attrs["all_steps"] / epochs[name]
            x = (seeds[0].step + 1) / each
            gap = float(seeds[0].step.diff("step").mean()) if seeds[0].sizes["step"] > 1 else 1.0  # of a part: [::10]
            values = [percent * measure.smooth(ds[quantity].astype(float), round(each / gap)).values for ds in seeds]
        _draw(ax, x, values, label=name, linewidth=1.8, **look)
    attrs = seeds[0][quantity].attrs
    symbol, name = attrs["symbol"], attrs["long_name"].split(",")[0].split(" after")[0]
    house.ylabel(ax, f"{symbol} (%)" if percent == 100 else house.label(name, attrs["units"]))
    ax.set_xlabel("epoch", size=TEXT, color=INK)
    ax.set_xlim(left=0)
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    if named.keys() != {None}:
        house.legend(ax, loc="best", ncols=1)
    house.note(ax, [line if name is None else f"{name}: {line}" for name, run in named.items() for line in fates(run)])
    return ax


_LOOKS = [dict(color=color, linestyle=dash) for color, dash in zip(
    ("black", "#0072b2", "#d55e00", "#56b4e9", "#8c8c8c", "#a05a8c"), (*DASHES, "-"))]  # fmt: skip


# Yours against theirs
def verdict(mine, seeds, ax=None):
    """Draw √z of a run, rms over layers, over the band of some seeds, and say whether it agrees: `compare.verdict`.

    The runs may differ in length; the axis is the share of training.
    """
    own, theirs = measure.alive(mine), band(seeds)
    said = compare.verdict(mine, theirs)
    ax = house.dress(ax)
    share = 100 * (theirs[0].step + 0.5) / theirs[0].attrs["all_steps"]
    name = f"the book, {len(theirs)} seeds" if len(theirs) > 1 else "the book"
    theirs_z = [_over_layers(measure.balance(ds, measure.SMOOTH)) for ds in theirs]
    _draw(ax, share, theirs_z, color="#3c78a8", linewidth=1.4, linestyle=(0, (4, 1.5)), label=name)
    own_z = _over_layers(measure.balance(own, measure.SMOOTH))
    ax.plot(100 * (own.step + 0.5) / measure.length(mine), own_z, color=INK, linewidth=1.8, label="this run")
    ax.axhline(1, color="#8c8c8c", linewidth=1, zorder=1)
    house.ylabel(ax, "√z, dots over line")
    ax.set_xlabel("share of training (%)", size=TEXT, color=INK)
    ax.set_xlim(0, 100)
    ax.set_ylim(bottom=0)
    house.legend(ax, loc="lower center")
    house.note(ax, [f"{name}: {line}" for line in fates(theirs)])
    ax.set_title("\n".join(textwrap.wrap(said, 56)), size=TEXT, color=INK, loc="left")
    return ax
