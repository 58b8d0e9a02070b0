"""The house style: what all figures have in common. It is set on what is drawn, never in matplotlib's parameters."""

from __future__ import annotations

import inspect
import numbers
import re

import matplotlib.pyplot as plt
import numpy as np

__all__ = [
    "DARK", "DASHES", "FAINT", "GROWTH", "INK", "LIGHT", "LINE", "SHRINK", "SIZE", "TEXT", "dress", "figure",
    "is_number", "label", "layer_names", "layer_styles", "legend", "note", "style", "ylabel",
]  # fmt: skip

SIZE = (5.0, 3.2)  # inches; a phone shows them at about 3.4
TEXT = 11  # points
INK, FAINT = "#1a1a1a", "#d9d9d9"
SHRINK, GROWTH, LINE = "#7b3fa0", "#00796b", INK  # what decay takes, what gradients add, where they balance
DASHES = ("-", (0, (4, 1.5)), (0, (1, 1.2)), (0, (6, 1.5, 1, 1.5)), (0, (3, 1, 1, 1, 1, 1)))
SHORT, LONG = 12, 24  # letters of a name in a legend: four stand side by side, and two
DARK, LIGHT = 0.0, 0.72  # the part of viridis that shows on white

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


def dress(ax):
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


def label(symbol, units):
    """Return the label of an axis: the symbol and its unit in brackets."""
    return symbol if units in ("", "1") else f"{symbol} ({units})"


def note(ax, lines):
    """Write lines into the upper left corner of the axes."""
    if lines:
        ax.text(0.02, 0.97, "\n".join(lines), transform=ax.transAxes, size=TEXT, color="#b3520f", va="top", zorder=5,
                bbox=dict(facecolor="white", edgecolor="none", alpha=0.85, pad=1.5))  # fmt: skip


def ylabel(ax, text):
    """Label the vertical axis in the house style."""
    ax.set_ylabel(text, size=TEXT, color=INK)


def legend(ax, above=False, **kwargs):
    """Put a legend inside, or above the axes where it hides nothing."""
    room = dict(loc="lower right", bbox_to_anchor=(1.0, 1.0), borderaxespad=0.2) if above else {}
    legend = ax.legend(**{"fontsize": TEXT, "frameon": not above, "framealpha": 0.85, "edgecolor": "none",
                          "handlelength": 1.5, "handletextpad": 0.4, "columnspacing": 0.9, "labelspacing": 0.3,
                          **room, **kwargs})  # fmt: skip
    for handle in legend.legend_handles:
        handle.set_alpha(1)
    return legend


def layer_styles(layers) -> dict:
    """Return layer → {"color", "linestyle"}: luminance by depth of the stage, line style by the place in it.

    A stage is what comes before the first dot; before a later one, where it would have more layers than line styles.
    """
    stage_of = {str(layer): _stage(str(layer), [*map(str, layers)]) for layer in layers}
    stages = list(dict.fromkeys(stage_of.values()))
    shades = plt.get_cmap("viridis")(np.linspace(DARK, LIGHT, len(stages)))
    seen = dict.fromkeys(stages, 0)
    styles = {}
    for layer in layers:
        stage = stage_of[str(layer)]
        styles[str(layer)] = {"color": tuple(shades[stages.index(stage)]),
                              "linestyle": DASHES[seen[stage] % len(DASHES)]}  # fmt: skip
        seen[stage] += 1
    return styles


def _stage(layer, layers):
    parts = layer.split(".")
    for n in range(1, len(parts)):
        if sum(other.split(".")[:n] == parts[:n] for other in layers) <= len(DASHES):
            return ".".join(parts[:n])
    return layer


def layer_names(layers) -> dict:
    """Return layer → its name in a legend, of those that have room in it: all of 16 at most, 8 if names are long.

    Of more some are named, from the first to the last at equal distances: colors say the depth of those between. Of a
    path that is too long its parts are short: "encoder.layers.layer_0.attention.out_proj" is "e.l.l0.a.out_proj".
    """
    names = [str(layer) for layer in layers]
    room = 16 if max(map(len, names), default=0) <= SHORT else 8
    some = names if len(names) <= room else [names[round(i)] for i in np.linspace(0, len(names) - 1, room)]
    return {name: name if len(name) <= LONG else _initials(name) for name in some}


def _initials(name):
    *path, last = name.split(".")
    return ".".join([*(re.sub(r"(?<!^)[^0-9]", "", part) for part in path), last])[-LONG:]


def is_number(value):
    """Return whether this is a finite number."""
    return isinstance(value, numbers.Real) and not isinstance(value, (bool, np.bool_)) and np.isfinite(value)
