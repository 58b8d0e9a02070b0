"""Figures of tables of runs: accuracy over λ and something else. See `plots` for what all figures have in common."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr

from . import style as house
from .style import DARK, DASHES, INK, LIGHT, TEXT

__all__ = ["landscape", "tuning"]

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
    if not house.is_number(span) or span <= 0:
        raise ValueError(f"span={span!r}: must be a number > 0, a difference of accuracies")
    if slope is not None and (not house.is_number(slope) or found is None):
        raise ValueError(f"slope={slope!r}: must be a number, with `found` through whose middle it goes, or None")
    found = _rows(found, accuracy[other]) if found is not None else None
    ax = house.dress(ax)
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
    house.ylabel(ax, _AXES.get(other, other))
    bar = ax.figure.colorbar(mesh, ax=ax, extend="min")
    bar.ax.tick_params(labelsize=TEXT, colors=INK)
    bar.set_label("test accuracy (%)", size=TEXT, color=INK)
    return ax


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
    ax = house.dress(ax)
    shades = plt.get_cmap("viridis")(np.linspace(DARK, LIGHT, len(names)))
    for i, name in enumerate(names):
        look = {"color": tuple(shades[i]), "linestyle": DASHES[i % len(DASHES)], "label": name}
        ax.plot(accuracy.lr, 100 * accuracy.sel(model=name), **{**look, **(looks or {}).get(name, {})})
    ax.set_xscale("log", base=2)
    _decimals(ax.xaxis, accuracy.lr.values)
    ax.set_xlabel(_AXES["lr"], size=TEXT, color=INK)
    house.ylabel(ax, "test accuracy (%)")
    ax.legend(fontsize=TEXT, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2, handlelength=1.8,
              columnspacing=1, labelspacing=0.25)  # fmt: skip
    return ax


def _decimals(axis, values):
    values = np.sort(values)[::2]
    axis.set_ticks(values, [f"{v:g}" for v in values])
    axis.set_ticks([], minor=True)
