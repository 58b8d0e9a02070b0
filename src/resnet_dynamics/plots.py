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

import functools
import inspect
import numbers
import textwrap
import warnings

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.ticker import MaxNLocator

from . import measure, recording, theory
from .tables import power

SIZE = (5.0, 3.2)  # inches; a phone shows them at about 3.4
TEXT = 11  # points
INK, FAINT = "#1a1a1a", "#d9d9d9"
SHRINK, GROWTH, LINE = "#7b3fa0", "#00796b", INK  # what decay takes, what gradients add, where they balance
_DASHES = ("-", (0, (4, 1.5)), (0, (1, 1.2)), (0, (6, 1.5, 1, 1.5)), (0, (3, 1, 1, 1, 1, 1)))
_DARK, _LIGHT = 0.0, 0.72  # the part of viridis that shows on white

_RC = {
    "figure.figsize": SIZE,
    "figure.facecolor": "white",
    "figure.constrained_layout.use": True,
    "axes.facecolor": "white",
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.titlesize": TEXT,
    "axes.titlelocation": "left",
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "font.size": TEXT,
    "xtick.labelsize": TEXT,
    "ytick.labelsize": TEXT,
    "legend.fontsize": TEXT,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
}


# The house style
def style():
    """Return a context in which what you draw yourself looks like the rest: `with rd.plots.style(): ...`."""
    return plt.rc_context(_RC)


def figure(*args, **kwargs):
    """Return fig, axes of plt.subplots(*args, **kwargs), in the house size and style."""
    allowed = [*dict.fromkeys([*_keywords(plt.subplots), *_keywords(plt.Figure), "num", "clear"])]
    if unknown := [name for name in kwargs if name not in allowed]:
        raise TypeError(f"figure({unknown[0]}=...): must be an argument of plt.subplots: {', '.join(allowed)}")
    with style():
        return plt.subplots(*args, **{"figsize": SIZE, "layout": "constrained", **kwargs})


def _keywords(function):
    parameters = inspect.signature(function).parameters.values()
    return [one.name for one in parameters if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)]


def _dress(ax):
    """Give axes the house style, whoever made them; None makes them."""
    if ax is None:
        ax = figure()[1]
    if not isinstance(ax, plt.Axes) or ax.name != "rectilinear":
        raise TypeError(f"ax=a {type(ax).__name__}: must be the axes to draw on, one of plots.figure(...), or None")
    ax.set_facecolor("white")
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(INK)
    ax.tick_params(which="both", labelsize=TEXT, colors=INK)
    ax.grid(True, color=FAINT, linewidth=0.6)
    ax.set_axisbelow(True)
    for axis in (ax.xaxis, ax.yaxis):
        axis.label.set(size=TEXT, color=INK)
    return ax


def _label(symbol, units):
    return symbol if units in ("", "1") else f"{symbol} ({units})"


def _steps(ax, recordings, noted=None):
    ds, steps = recordings[0], np.concatenate([ds.step.values for ds in recordings])
    ax.set_xlabel(ds.step.attrs.get("long_name", "training step"), size=TEXT, color=INK)
    ax.set_xlim(steps.min(), steps.max() + 1)
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    _note(ax, _fates(noted or recordings))


def _fates(recordings) -> list:
    """Say which of the recordings diverged or were stopped, and which do not learn."""
    fates = [ds.attrs["fate"] for ds in recordings if ds.attrs["fate"]]
    if len(recordings) == 1:
        return fates
    return [f"{fates.count(fate)} of {len(recordings)}: {fate}" for fate in dict.fromkeys(fates)]


def _note(ax, lines):
    if lines:
        ax.text(0.02, 0.97, "\n".join(lines), transform=ax.transAxes, size=TEXT, color="#b3520f", va="top", zorder=5,
                bbox=dict(facecolor="white", edgecolor="none", alpha=0.85, pad=1.5))  # fmt: skip


def _ylabel(ax, text):
    ax.set_ylabel(text, size=TEXT, color=INK)


def _legend(ax, above=False, **kwargs):
    """Put a legend inside, or above the axes where it hides nothing."""
    room = dict(loc="lower right", bbox_to_anchor=(1.0, 1.0), borderaxespad=0.2) if above else {}
    legend = ax.legend(**{"fontsize": TEXT, "frameon": not above, "framealpha": 0.85, "edgecolor": "none",
                          "handlelength": 1.5, "handletextpad": 0.4, "columnspacing": 0.9, "labelspacing": 0.3,
                          **room, **kwargs})  # fmt: skip
    for handle in legend.legend_handles:
        handle.set_alpha(1)
    return legend


def layer_styles(layers) -> dict:
    """Return layer → {"color", "linestyle"}: luminance by depth of the stage, line style by the place in it."""
    stages = list(dict.fromkeys(str(layer).split(".")[0] for layer in layers))
    shades = plt.get_cmap("viridis")(np.linspace(_DARK, _LIGHT, len(stages)))
    seen = dict.fromkeys(stages, 0)
    styles = {}
    for layer in layers:
        stage = str(layer).split(".")[0]
        styles[str(layer)] = {"color": tuple(shades[stages.index(stage)]),
                              "linestyle": _DASHES[seen[stage] % len(_DASHES)]}  # fmt: skip
        seen[stage] += 1
    return styles


def _several(recordings) -> list:
    """Return a list of recordings, each as far as it did not diverge; what became of it, and of how many steps."""
    found = [recordings] if isinstance(recordings, xr.Dataset) or not _lists(recordings) else list(recordings)
    if not found:
        raise ValueError("recordings=[]: must be a recording or a list of them")
    return [measure.alive(ds).assign_attrs({"all_steps": measure.length(ds), **ds.attrs, "fate": measure.fate(ds)})
            for ds in found]  # fmt: skip


def _nothing(recordings):
    fates = " and ".join(dict.fromkeys(ds.attrs["fate"] for ds in recordings if not ds.sizes["step"]))
    return ValueError(f"recordings: one {fates or 'has no steps'}, nothing to draw: must be runs that took a step")


def _lists(value) -> bool:
    return isinstance(value, (list, tuple)) or inspect.isgenerator(value)


def _seeds(recordings) -> list:
    """The same, of the same steps, for recordings that must be seeds of one run."""
    found = _several(recordings)
    configs = {recording.config(ds).replace(seed=0) for ds in found}
    if len(configs) > 1:
        raise ValueError(f"{len(configs)} different runs: must be seeds of one run; draw the others on the same ax")
    images, meanings = measure.images(found), sorted({measure.semantics(ds) for ds in found})
    if len(images) > 1:
        warnings.warn(f"a band of recordings of {len(images)} data sets: {', '.join(images.values())}", stacklevel=4)
    if len(meanings) > 1:
        said = ", ".join(map(str, meanings))
        warnings.warn(f"a band of recordings of {len(meanings)} training semantics: {said}", stacklevel=4)
    if not all(ds.sizes["step"] for ds in found):
        raise _nothing(found)
    steps = functools.reduce(np.intersect1d, [ds.step.values for ds in found])
    if not len(steps):
        raise ValueError(f"recordings: {len(found)} without a step in common, must be of the same steps")
    return [ds.isel(step=np.isin(ds.step.values, steps)) for ds in found]


def _draw(ax, x, values, **line):
    """Draw the mean of several curves, and the band from lowest to highest. values: list of [T]."""
    values = np.stack(values)
    if len(values) > 1:
        ax.fill_between(x, values.min(0), values.max(0), color=line["color"], alpha=0.25, linewidth=0)
    return ax.plot(x, values.mean(0), **line)


def _per_layer(ax, seeds, quantity, linewidth=1.6, legend=True, **line):
    """Draw quantity(ds) [step, layer] of every layer."""
    series = [quantity(ds) for ds in seeds]
    for layer, look in _looks(seeds[0]).items():
        _draw(ax, seeds[0].step, [s.sel(layer=layer).values for s in series], label=layer, linewidth=linewidth,
              **{**look, **line})  # fmt: skip
    if legend:
        _legend(ax, above=True, ncols=_columns(seeds[0].sizes["layer"]))


def _columns(entries):
    return min(4, -(-entries // 2))


# Figures 1 to 4: norms in motion
def shrink(recordings, ax=None, *, layers=None):
    """Draw what decay takes from |w|² in each step, in % of |w_0|². Figure 1; equation (1′), `measure.shrink`."""
    return _motion(measure.shrink, _pick(_seeds(recordings), layers), _dress(ax), None)


def growth(recordings, ax=None, *, layers=None):
    """Draw what the gradient adds to |w|² in each step, in % of |w_0|². Figure 2; equation (2′), `measure.growth`.

    Faint: every step of the first recording, the highest spikes cut off. Bold: the mean over 50 steps, with the band of
    the seeds.
    """
    seeds, ax = _pick(_seeds(recordings), layers), _dress(ax)
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
    _ylabel(ax, _label(name if len(symbol) > 8 else f"{name} {symbol}", "% of |w₀|²"))
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
    ds, ax = _pick(_seeds(recordings)[:1], layers)[0], _dress(ax)
    looks = _looks(ds)
    add, take = _percent(ds, measure.growth), _percent(ds, measure.shrink)
    one = len(looks) == 1
    for layer, look in looks.items():
        color = GROWTH if one else look["color"]
        ax.plot(ds.step, add.sel(layer=layer), color=color, linewidth=0.5, alpha=0.6 if one else 0.35,
                label="growth (noisy)" if one else None)  # fmt: skip
    for layer, look in looks.items():
        ax.plot(ds.step, take.sel(layer=layer), linewidth=1.8, zorder=3,
                **({"color": SHRINK, "label": "shrink (smooth)"} if one else {**look, "label": layer}))  # fmt: skip
    _legend(ax, above=True, ncols=2 if one else _columns(len(looks)))
    _ylabel(ax, _label("growth and shrink", "% of |w₀|²"))
    _steps(ax, [ds])
    ax.set_ylim(0, _room(add))
    return ax


def norms(recordings, ax=None, *, layers=None):
    """Draw |w|² of every layer, in units of |w_0|². Figure 4."""
    seeds, ax = _pick(_seeds(recordings), layers), _dress(ax)
    _per_layer(ax, seeds, measure.norm)
    attrs = measure.norm(seeds[0]).attrs
    _ylabel(ax, _label(f"{attrs['long_name']} {attrs['symbol']}", attrs["units"]))
    _steps(ax, seeds)
    ax.set_ylim(bottom=0)
    return ax


# Figures 5 and 7: dots and line
def ratio(recordings, ax=None, *, layers=None, dots=1200):
    """Draw λ|g|/|w| of all layers as dots and √(2λα(1−ρ)) as a line. Figure 5; with momentum figure 7.

    Of a LARS recording the rate is set, not measured: its λ_LARS is drawn as a dashed line, so that
    ratio([sgd, lars]) compares the two. Only so many dots are drawn, taken evenly; what is computed is not thinned.
    """
    if not isinstance(dots, numbers.Integral) or dots < 1:
        raise ValueError(f"dots={dots!r}: must be a whole number, at least 1")
    every_run = _pick(_several(recordings), layers)
    runs = [ds for ds in every_run if ds.sizes["step"]]
    if not runs:
        raise _nothing(every_run)
    ax = _dress(ax)
    measured = [ds for ds in runs if "lars_lr" not in ds]
    drawn = set()
    for i, ds in enumerate(measured):
        looks, rates = _looks(ds), measure.rate(ds)
        every = -(-ds.sizes["step"] * ds.sizes["layer"] * len(measured) // dots)
        for j, (layer, look) in enumerate(looks.items()):
            part = rates.sel(layer=layer).isel(step=slice((7 * j + 3 * i) % every, None, every))
            ax.plot(part.step, part, ".", color=look["color"], markersize=4.6, alpha=0.6, markeredgewidth=0,
                    label="λ|g|/|w|, dark to light with depth" if (i, j) == (0, 0) else None)  # fmt: skip
    for ds in runs:
        line = measure.line(ds)
        if "lars_lr" in ds:
            rate = ds.lars_lr
            name, look = "λ_LARS of the LARS run", dict(color="#b3520f", linestyle=(0, (4, 2)), linewidth=2.2)
        else:
            rate, name, look = line, line.attrs["symbol"], dict(color="black", linewidth=2)
        key = name, rate.values.tobytes()
        if key not in drawn:
            ax.plot(ds.step, rate, label=name, zorder=3, **look)
            drawn.add(key)
    _legend(ax, above=True, ncols=1 if len(drawn) > 1 else 2, markerscale=3)
    symbol = "λ|g|/|w|" if measured else "λ_LARS"
    _ylabel(ax, _label(symbol, measure.rate(runs[0]).attrs["units"]))
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
    kinds = [c] if isinstance(c, str) or not _lists(c) else list(c)
    bad = [kind for kind in kinds if not isinstance(kind, str) or kind not in ("measured", "constant", "correlated")]
    if bad or not kinds:
        shown = bad[0] if bad else kinds
        raise ValueError(f"c={shown!r}: must be 'measured', 'constant' or 'correlated', or a list of these")
    if layer is not None and not isinstance(layer, str):
        raise ValueError(f"layer={layer!r}: must be the name of a layer, or None for all")
    seeds, ax = _pick(_seeds(recordings), layer), _dress(ax)
    ax.axhline(1, color="#8c8c8c", linewidth=1)
    measured = [_over_layers(measure.z(ds, measure.SMOOTH)) for ds in seeds]
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
    _ylabel(ax, "√z, dots over line")
    _steps(ax, seeds)
    ax.set_ylim(bottom=0)
    _legend(ax, above=True, ncols=1 if len(kinds) > 1 else 2)
    return ax


def _over_layers(z):
    return np.sqrt(z.mean("layer")).values


def cosine(recordings, ax=None, *, layers=None):
    """Draw |cos(w, g)| of every layer, rms over 50 steps, on a logarithmic axis, and state the rms over all steps."""
    seeds, ax = _pick(_seeds(recordings), layers), _dress(ax)
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
    _ylabel(ax, "|cos(w, g)|")
    _steps(ax, seeds)
    return ax


def rotation(recordings, ax=None, *, layers=None):
    """Draw the angle by which each layer turns in a step, rms over 50 steps, and its equilibrium √(2λα/(1+ρ))."""
    seeds, ax = _pick(_seeds(recordings), layers), _dress(ax)
    seeds_but_last = [ds.isel(step=slice(0, -1)) for ds in seeds]  # the angle of the last step is not recorded
    angles = dict(zip(map(id, seeds_but_last), (measure.rotation(ds) for ds in seeds)))
    _per_layer(ax, seeds_but_last, lambda ds: np.sqrt(measure.smooth(angles[id(ds)] ** 2, measure.SMOOTH)))
    c = recording.config(seeds[0])
    if not c.optimizer.startswith("lars"):
        lr, alpha = seeds[0].lr.astype(float), measure.weight_decay(seeds[0])
        line = theory.rotation_angle(lr, alpha, c.momentum, optimizer=c.optimizer)
        ax.plot(seeds[0].step, line, color="black", linewidth=2, zorder=3)
        said = "equilibrium" if c.optimizer == "nesterov" else "√(2λα/(1+ρ))" if c.momentum else "√(2λα)"
        ax.text(0.98, 0.92, f"black: {said}", transform=ax.transAxes, size=TEXT, color=INK, ha="right", va="top")
    _ylabel(ax, "rotation (rad/step)")
    _steps(ax, seeds)
    ax.set_ylim(bottom=0)
    return ax


def memory(recordings, ax=None, *, starts=(0.1, 1, 3)):
    """Draw √z from several initial norms, by the master equation with constant c, and as measured, rms over layers.

    starts: |w_0|² relative to its equilibrium at the highest λ. Where the curves meet, the start is forgotten.
    """
    starts = list(starts) if _lists(starts) else starts
    if not isinstance(starts, list) or not starts or not all(_number(start) and start > 0 for start in starts):
        raise ValueError(f"starts={starts!r}: must be a list of numbers > 0")
    seeds, ax = _seeds(recordings), _dress(ax)
    c, lr = recording.config(seeds[0]), seeds[0].lr.astype(float).values
    measured = [_over_layers(measure.z(ds, measure.SMOOTH)) for ds in seeds]
    _draw(ax, seeds[0].step, measured, color="#b9d3ea", linewidth=3.2, label="measured")
    alpha = np.asarray(measure.weight_decay(seeds[0]))
    top = theory.equilibrium_norm(1.0, lr.max(), c.weight_decay, c.momentum) ** 2
    for start, dash, shade in zip(starts, _DASHES * len(starts), np.linspace(0, 0.5, len(starts))):
        z = theory.master_ode(lr, alpha, c.momentum, w2_0=start * top)
        ax.plot(seeds[0].step, np.sqrt(z), color=str(shade), linestyle=dash, linewidth=1.6, label=f"{start:g} ×")
    _ylabel(ax, "√z, dots over line")
    _steps(ax, seeds)
    ax.set_ylim(bottom=0)
    _legend(ax, above=True, ncols=4, title="|w₀|² relative to equilibrium:", title_fontsize=TEXT, alignment="right")
    return ax


# Tables of runs
_AXES = {
    "lr": "highest learning rate λ", "batch_size": "batch size N", "momentum": "momentum ρ",
    "one_minus_rho": "1 − ρ", "weight_decay": "weight decay α",
}  # fmt: skip


def landscape(accuracy, found=None, ax=None, *, slope=None, span=0.1):
    """Draw accuracy over λ and another quantity, both in powers of two, and where each row has its top.

    Args:
        accuracy: [other, lr] of a table of `sweep`.
        found: the tops of its rows, by `peaks.tops`, in any order: dots with their intervals.
        slope: draw a line of this slope in log2-log2, through the middle of the dots: where a flat direction would be.
        span: what is worse than the best by more than this is all one color; runs that diverged are white.

    Both axes rise, whatever order they had.
    """
    accuracy = _checked_table(accuracy, "lr")
    other = next(d for d in accuracy.dims if d != "lr")
    if not _number(span) or span <= 0:
        raise ValueError(f"span={span!r}: must be a number > 0, a difference of accuracies")
    if slope is not None and (not _number(slope) or found is None):
        raise ValueError(f"slope={slope!r}: must be a number, with `found` through whose middle it goes, or None")
    found = _rows(found, accuracy[other]) if found is not None else None
    ax = _dress(ax)
    z = 100 * accuracy.transpose(other, "lr")
    x, y = (np.log2(z[d].values.astype(float)) for d in ("lr", other))
    best = float(z.max())
    mesh = ax.pcolormesh(x, y, z, cmap="viridis", vmin=best - 100 * span, vmax=best, shading="nearest")
    ax.grid(False)
    if found is not None:
        at = found["at"].values
        error = np.clip([at - found.low.values, found.high.values - at], 0, None)
        ax.errorbar(at, y, xerr=error, fmt="o", color="white", markeredgecolor=INK, ecolor="white", capsize=3, zorder=4)
        if slope is not None:
            u, v = np.nanmean(at), np.mean(y[np.isfinite(at)])
            ends = np.array([y.min() - 0.5, y.max() + 0.5])
            ax.plot(u + slope * (ends - v), ends, color="white", linestyle=(0, (4, 2)), linewidth=1.8, zorder=3)
    ax.set_xlim(x.min() - 0.5, x.max() + 0.5)
    ax.set_ylim(y.min() - 0.5, y.max() + 0.5)
    _octaves(ax.xaxis, accuracy.lr.values, every=2)
    _octaves(ax.yaxis, accuracy[other].values)
    ax.set_xlabel(_AXES["lr"], size=TEXT, color=INK)
    _ylabel(ax, _AXES.get(other, other))
    bar = ax.figure.colorbar(mesh, ax=ax, extend="min")
    bar.ax.tick_params(labelsize=TEXT, colors=INK)
    bar.set_label("test accuracy (%)", size=TEXT, color=INK)
    return ax


def _number(value):
    return isinstance(value, numbers.Real) and not isinstance(value, (bool, np.bool_)) and np.isfinite(value)


def _rows(found, rows):
    """Return the tops of these rows, in their order."""
    if not isinstance(found, xr.Dataset) or not {"at", "low", "high"} <= {*found.data_vars}:
        raise ValueError(f"found=a {type(found).__name__}: must be the tops of the rows, as peaks.tops returns them")
    if found["at"].dims != rows.dims or {*found[rows.name].values.tolist()} != {*rows.values.tolist()}:
        has = " and ".join(f"{name}={found[name].values.tolist()}" for name in found["at"].dims) or "a single one"
        raise ValueError(f"found of {has}: must be the tops of the rows, {rows.name}={rows.values.tolist()}")
    return found.sel({rows.name: rows.values})


def _checked_table(accuracy, *dims):
    """Return a table with axes that rise."""
    if not isinstance(accuracy, xr.DataArray) or accuracy.ndim != 2 or not {*dims} <= {*accuracy.dims}:
        has = f"of {', '.join(map(str, accuracy.dims))}" if isinstance(accuracy, xr.DataArray) else ""
        raise ValueError(f"accuracy=a {type(accuracy).__name__} {has}".rstrip() + ": must be a DataArray of two "
                         f"dimensions, {' and '.join(dims)}{' and another' if len(dims) == 1 else ''}")  # fmt: skip
    if not np.isfinite(accuracy).any():
        raise ValueError("accuracy: no value is a number, must have at least one")
    for name in accuracy.dims:
        values = accuracy[name].values
        if name != "model" and not (values.dtype.kind in "iuf" and (values > 0).all()):
            raise ValueError(f"{name}={values.tolist()}: must be positive numbers, the axis is logarithmic")
        if len({*values.tolist()}) < len(values):
            raise ValueError(f"{name}={values.tolist()}: must be different values, each once")
        if name != "model" and (np.diff(values.astype(float)) < 0).any():
            accuracy = accuracy.isel({name: np.argsort(values)})
    return accuracy


def _octaves(axis, values, every=1):
    values = np.sort(values)[::every]
    axis.set_ticks(np.log2(values.astype(float)), [f"{v:.4g}" for v in values])


def tuning(accuracy, ax=None, *, looks=None):
    """Draw accuracy against the highest λ, on a logarithmic axis, one curve for each network. Figures 8 and 9.

    Args:
        accuracy: [model, lr] of a table of `sweep`, the mean over seeds; smoothed (`peaks.smooth`, figure 8) or not
            (figure 9). A gap is a run that diverged.
        looks: model → arguments of `plot` for its curve; what is missing is drawn as the house has it.
    """
    accuracy = _checked_table(accuracy, "model", "lr")
    names = [str(name) for name in accuracy.model.values]
    if not isinstance(looks, (dict, type(None))) or not all(isinstance(look, dict) for look in (looks or {}).values()):
        raise ValueError(f"looks={looks!r}: must be model → arguments of plot, as {{{names[0]!r}: {{'color': 'red'}}}}")
    if unknown := [name for name in looks or {} if name not in names]:
        raise ValueError(f"looks[{unknown[0]!r}]: must be of a model of the table: {', '.join(names)}")
    ax = _dress(ax)
    shades = plt.get_cmap("viridis")(np.linspace(_DARK, _LIGHT, len(names)))
    for i, name in enumerate(names):
        look = {"color": tuple(shades[i]), "linestyle": _DASHES[i % len(_DASHES)], "label": name}
        ax.plot(accuracy.lr, 100 * accuracy.sel(model=name), **{**look, **(looks or {}).get(name, {})})
    ax.set_xscale("log", base=2)
    _decimals(ax.xaxis, accuracy.lr.values)
    ax.set_xlabel(_AXES["lr"], size=TEXT, color=INK)
    _ylabel(ax, "test accuracy (%)")
    ax.legend(fontsize=TEXT, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2, handlelength=1.8,
              columnspacing=1, labelspacing=0.25)  # fmt: skip
    return ax


def _decimals(axis, values):
    values = np.sort(values)[::2]
    axis.set_ticks(values, [f"{v:g}" for v in values])
    axis.set_ticks([], minor=True)


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
    named = {name: _several(run) for name, run in named.items()}
    if not named:
        raise ValueError("runs={}: must be a recording, or at least one name with its recording")
    if any(quantity not in ds for several in named.values() for ds in several):
        raise ValueError(f"a recording without {quantity}: must have it, as run(config) returns it")
    there = {name: run for name, run in named.items() if all(ds.sizes["step"] for ds in run)}
    if not there:
        raise _nothing([ds for several in named.values() for ds in several])
    ax = _dress(ax)
    percent = 100 if "accuracy" in quantity else 1
    for (name, run), look in zip(there.items(), _LOOKS * len(named)):
        seeds = _seeds(run)
        if quantity.startswith("test_"):
            x, values = seeds[0].epoch, [percent * ds[quantity].values for ds in seeds]
        else:
            each = seeds[0].attrs["all_steps"] / recording.config(seeds[0]).epochs
            x = (seeds[0].step + 1) / each
            gap = float(seeds[0].step.diff("step").mean()) if seeds[0].sizes["step"] > 1 else 1.0  # of a part: [::10]
            values = [percent * measure.smooth(ds[quantity].astype(float), round(each / gap)).values for ds in seeds]
        _draw(ax, x, values, label=name, linewidth=1.8, **look)
    attrs = seeds[0][quantity].attrs
    _ylabel(ax, _label(attrs["symbol"] if percent == 100 else attrs["long_name"].split(",")[0].split(" after")[0],
                       "%" if percent == 100 else attrs["units"]))  # fmt: skip
    ax.set_xlabel("epoch", size=TEXT, color=INK)
    ax.set_xlim(left=0)
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    if named.keys() != {None}:
        _legend(ax, loc="best", ncols=1)
    _note(ax, [line if name is None else f"{name}: {line}" for name, run in named.items() for line in _fates(run)])
    return ax


_LOOKS = [dict(color=color, linestyle=dash) for color, dash in zip(
    ("black", "#0072b2", "#d55e00", "#56b4e9", "#8c8c8c", "#a05a8c"), (*_DASHES, "-"))]  # fmt: skip


# Yours against theirs
def verdict(mine, seeds, ax=None):
    """Draw √z of a run, rms over layers, over the band of some seeds, and say whether it agrees: `measure.verdict`.

    The runs may differ in length; the axis is the share of training.
    """
    own, theirs = measure.alive(mine), _seeds(seeds)
    said = measure.verdict(mine, theirs)
    ax = _dress(ax)
    share = 100 * (theirs[0].step + 0.5) / theirs[0].attrs["all_steps"]
    name = f"the book, {len(theirs)} seeds" if len(theirs) > 1 else "the book"
    band = [_over_layers(measure.z(ds, measure.SMOOTH)) for ds in theirs]
    _draw(ax, share, band, color="#3c78a8", linewidth=1.4, linestyle=(0, (4, 1.5)), label=name)
    ax.plot(100 * (own.step + 0.5) / measure.length(mine), _over_layers(measure.z(own, measure.SMOOTH)), color=INK,
            linewidth=1.8, label="this run")  # fmt: skip
    ax.axhline(1, color="#8c8c8c", linewidth=1, zorder=1)
    _ylabel(ax, "√z, dots over line")
    ax.set_xlabel("share of training (%)", size=TEXT, color=INK)
    ax.set_xlim(0, 100)
    ax.set_ylim(bottom=0)
    _legend(ax, loc="lower center")
    _note(ax, [f"{name}: {line}" for line in _fates(theirs)])
    ax.set_title("\n".join(textwrap.wrap(said, 56)), size=TEXT, color=INK, loc="left")
    return ax
