"""The stories of the live network, and a recorded run of each: a picture and a table, for where there is no JavaScript.

The runs are made by the page's own network, theory and stories, in node: ``make live`` writes `live.json`.
"""

from __future__ import annotations

import base64
import functools
import json
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from . import page_data, plots
from .arms import SEPARATE
from .fallback import figure, png, three

__all__ = ["fallback", "home", "names", "picture", "recorded", "scene", "series", "table"]

FILE = Path(__file__).with_name("live.json")
LABELS = {
    "norm": "|w|² (u²)", "rate": "λ|g|/|w| (rad/step)", "angle": "angle of a step (rad)", "cosine": "|cos(w, g)|",
    "balance": "growth ÷ shrink of |w|²",
    "loss": "loss (nat)", "accuracy": "accuracy (%)",
}  # fmt: skip
SAID = {"norm": "|w|²", "rate": "λ|g|/|w|", "angle": "the angle of a step", "cosine": "cos(w, g)",
        "balance": "growth over shrink", "loss": "the loss",
        "accuracy": "the accuracy"}  # fmt: skip
LOOKS = {
    "dots": dict(linestyle="", marker=".", markersize=4.5, markeredgewidth=0),
    "line": dict(linewidth=1.4), "past": dict(linewidth=1, alpha=0.6), "level": dict(linewidth=3.5),
    "bold": dict(linewidth=2.4, color=plots.INK), "curve": dict(linewidth=1.4, color="#3b528b"),
    "tests": dict(linestyle="", marker="o", markersize=5, color=plots.INK),
}  # fmt: skip
SECOND = {"dots": dict(markerfacecolor="white", markeredgewidth=0.6), "bold": dict(linewidth=1.7, linestyle="--")}


@functools.cache
def recorded() -> dict:
    """Return what `live.json` has: the default story, the layers, what optimizers begin with, and the stories.

    Of each story {label, look, values, picture}.
    """
    return json.loads(FILE.read_text(encoding="utf-8"))


def names() -> tuple[str, ...]:
    """Return the names of the stories."""
    return tuple(recorded()["stories"])


def scene(story: str | None) -> dict:
    """Return the values that a story starts with, those of the default one for None."""
    found = recorded()
    return dict(found["stories"][story or found["default"]]["values"])


def home(optimizer: str | None) -> dict:
    """Return the λ, α and ρ with which an optimizer begins, where they are not those of the story."""
    return dict(recorded()["homes"].get(optimizer, {}))


def series(panel: list[dict], layers: list[str]) -> list[dict]:
    """Return the series of a panel, {kind, layer, network, xs, ys}. Those of several layers travel as one, in codes."""
    out = []
    for one in panel:
        xs, ys = (page_data.decode(np.frombuffer(base64.b64decode(one[name]), "<u2")) for name in ("xs", "ys"))
        of = [layers[i] for i in one["layers"]] if "layers" in one else [None]
        for layer, row in zip(of, ys.reshape(len(of), -1)):
            out.append({"kind": one["kind"], "layer": layer, "network": one.get("network", 0), "xs": xs, "ys": row})
    return out


def fallback(story: str | None, layer: str = "all") -> str:
    """Return a picture and a table, in HTML, of the recorded run of a story."""
    found = recorded()
    name = story or found["default"]
    one = found["stories"][name]
    at, run = one["values"], one["picture"]
    drawn = " and ".join(SAID[panel] for panel in run["panels"]).replace(SAID["rate"], _rate(run))
    moved = "".join(f"; at step {mark['t']}: {mark['text']}" for mark in run["marks"])
    last = run["numbers"][-1]
    alt = (f"{drawn[0].upper()}{drawn[1:]} over {run['t']} steps of the story “{one['label']}”, measured as dots and "
           f"predicted as lines; |w|² of {last['layer']} ends at {three(_number(last['w2']))}.")  # fmt: skip
    caption = (f"{one['look']} A run of the page's network, recorded: {at['optimizer']}, λ = {at['lr']:g}, "
               f"α = {at['weight_decay']:g}, ρ = {at['momentum']:g}, seed {at['seed']}{moved}. Dots: measured. Lines: "
               "theory.")  # fmt: skip
    return f"{figure(picture(run, found['layers']), alt, caption)}\n{table(run)}"


def picture(run: dict, layers: list[str]) -> bytes:
    """Draw the panels of a recorded run, one below the other: a PNG."""
    with plots.style():
        width, height = plots.SIZE
        drawn = Figure(figsize=(width, height * len(run["panels"])), layout="constrained")
        FigureCanvasAgg(drawn)
        axes = drawn.subplots(len(run["panels"]), squeeze=False)[:, 0]
        for ax, (panel, codes) in zip(axes, run["panels"].items()):
            _draw(ax, panel, series(codes, layers), layers, run)
        axes[-1].set_xlabel("training step")
        handles, labels = axes[0].get_legend_handles_labels()
        if handles:
            drawn.legend(handles, labels, loc="outside upper center", ncols=3, handlelength=1.5, columnspacing=0.9)
        return png(drawn, dpi=120)


def _draw(ax, panel, drawn, layers, run):
    looks, named = plots.layer_styles(layers), set()
    for one in drawn:
        look = {**looks.get(one["layer"], {}), **LOOKS[one["kind"]]}
        if one["network"]:
            look |= SECOND.get(one["kind"], {"linewidth": 0.8})
        key = one["layer"] if one["kind"] == "line" else None
        ax.plot(one["xs"], one["ys"], label=None if key in named else key, **look)
        named.add(key)
    for mark in run["marks"]:
        ax.axvline(mark["t"], color=plots.INK, linewidth=0.8, linestyle=":")
    if panel not in ("accuracy", "cosine"):
        ax.set_yscale("log")
    ax.set(ylabel=LABELS[panel].replace(SAID["rate"], _rate(run)), xlim=(0, run["t"]))


def table(run: dict) -> str:
    """Return the table of a recorded run, in HTML: where its norms went, and where theory has them."""
    rate = _rate(run)
    line = "√(2λα(1−ρ))" if "g" in rate else "√(2λα/S)"
    heads = ("layer", "|w|² at the end", "|w|² at equilibrium, predicted", f"{rate}, last steps", line)
    rows = []
    for one in run["numbers"]:
        cells = "".join(f"<td>{three(_number(one[name]))}</td>" for name in ("w2", "limit", "rate", "line"))
        rows.append(f'<tr><th scope="row">{one["layer"]}</th>{cells}</tr>')
    heads = "".join(f'<th scope="col">{head}</th>' for head in heads)
    return (f"<table>\n<caption>After {run['t']} steps; {rate} over the last 256 of them.</caption>\n"
            f"<thead><tr>{heads}</tr></thead>\n<tbody>\n" + "\n".join(rows) + "\n</tbody>\n</table>")  # fmt: skip


def _rate(run):
    """What a story shows as the rate: of AdamW and its like λ|v|/|w|, v being what λ multiplies."""
    return "λ|v|/|w|" if run["settings"]["optimizer"] in SEPARATE else "λ|g|/|w|"


def _number(value):
    return np.nan if value is None else value
