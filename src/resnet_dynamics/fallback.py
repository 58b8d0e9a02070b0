"""The explorer where there is no JavaScript: a picture and a table of the recorded run that is nearest."""

from __future__ import annotations

import base64
import functools
import html
import io

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from . import page_data, plots, schedules, theory
from .config import CONVS

__all__ = ["fallback", "figure", "followed", "picture", "png", "recorded", "table", "three"]


def fallback(values) -> str:
    """Return a picture and a table, in HTML, of the recorded run that is nearest to the explorer's values."""
    asked = {name: getattr(values, name) for name in ("lr", "weight_decay", "momentum", "optimizer")}
    found = recorded(values.evidence, values.plan, **asked)
    if found is None:
        return "<p>No run with such an optimizer and decay is recorded.</p>"
    run, what, edges, w2, c2, lr_t = found
    names, layers = values.evidence["layers"], [values.layer] if values.layer != "all" else values.evidence["layers"]
    path = followed(run, edges, w2, c2, lr_t)
    told = []
    for layer in dict.fromkeys((layers[0], layers[-1])):
        one, theirs = w2[names.index(layer)], path[names.index(layer)]
        told.append(f"{layer} from {three(one[0])} to {three(one[-1])} (predicted {three(theirs[-1])})")
    alt = f"Squared weight norms over {edges[-1]} steps, measured as dots and predicted as lines: {', '.join(told)}."
    caption = (f"The recorded run that is nearest: {run['optimizer']}, λ = {run['lr']:g}, α = {run['weight_decay']:g}, "
               f"ρ = {run['momentum']:g}. {what}. Dots: measured |w|². Lines: predicted from |w|² at the start and the "
               "measured size of the gradients.")  # fmt: skip
    drawn = picture(names, layers, edges, w2, path)
    return f"{figure(drawn, alt, caption)}\n{table(names, layers, run, edges, w2, c2, lr_t)}"


def figure(drawn: bytes, alt: str, caption: str) -> str:
    """Return a picture, a PNG, with its words as HTML that stands by itself."""
    code = base64.b64encode(drawn).decode()
    return (f'<figure>\n<img src="data:image/png;base64,{code}" alt="{html.escape(alt)}" style="max-width: 100%">\n'
            f"<figcaption>{html.escape(caption)}</figcaption>\n</figure>")  # fmt: skip


def png(drawn: Figure, dpi: int) -> bytes:
    """Return a figure of matplotlib as a PNG."""
    file = io.BytesIO()
    drawn.savefig(file, format="png", dpi=dpi)
    return file.getvalue()


def three(value) -> str:
    """A number in three digits; what is beyond the codes of the evidence is not told apart."""
    if not np.isfinite(value):
        return "none"
    return f"{value:.3g}" if value < 2.0**63.9 else "over 1e+19"


def recorded(pack, plan, **asked):
    """Return (run, what, edges, w2, c2, lr_t) of the nearest recorded run, of the plan's set if it has one, or None.

    As far as it did not diverge: w2 and c2 are float64 [L, W], edges [W + 1], lr_t [T].
    """
    for n in (pack["plans"][plan]["set"], 0, 1):
        one = pack["sets"][n] if n is not None else {"runs": []}
        i = page_data.nearest(one["runs"], **asked)
        if i is not None:
            run, length = one["runs"][i], len(one["edges"]) - 1
            codes = np.frombuffer(base64.b64decode(one["codes"]), "<u2").reshape(len(one["runs"]), -1)[i]
            w2, c2 = page_data.decode(codes[: 2 * len(CONVS) * length]).reshape(2, len(CONVS), length)
            alive = int(np.isfinite(w2 + c2).all(0).cumprod().sum())
            its_plan = ("short", "book")[n]
            config = page_data.configs()[its_plan].replace(lr=run["lr"])
            lr_t = schedules.rates(config, pack["plans"][its_plan]["steps_per_epoch"])
            edges = np.array(one["edges"][: alive + 1])
            return run, one["what"], edges, w2[:, :alive], c2[:, :alive], lr_t[: edges[-1]]
    return None


def followed(run, edges, w2, c2, lr_t):
    """Return |w_t|² as theory predicts it from its start and c² of each window [L, T]."""
    lars = run["optimizer"] == "lars"
    rates = theory.lars_rate(lr_t, run["weight_decay"], run["momentum"]) if lars else lr_t
    c = np.repeat(np.sqrt(c2), np.diff(edges), axis=1).T
    known = run["optimizer"] if run["optimizer"] in ("nesterov", "lars") else "sgd"
    with np.errstate(all="ignore"):  # some of the runs are far too hot
        return theory.norm_recurrence(w2[:, 0], c, rates, run["weight_decay"], run["momentum"], optimizer=known).T


def picture(names, layers, edges, w2, path) -> bytes:
    """Draw |w|²/|w_0|² of some layers, dots as measured and lines as predicted: a PNG."""
    with plots.style():
        drawn = Figure(figsize=plots.SIZE, layout="constrained")
        FigureCanvasAgg(drawn)
        ax = drawn.subplots()
        looks = plots.layer_styles(names)
        for layer in layers:
            i = names.index(layer)
            ax.plot(path[i] / w2[i, 0], label=layer, **looks[layer])
            ax.plot(edges[:-1], w2[i] / w2[i, 0], ".", color=looks[layer]["color"], markersize=5)
        ax.set(xlabel="training step", ylabel="squared norm |w|² (|w₀|²)", xlim=(0, edges[-1]), yscale="log")
        drawn.legend(loc="outside upper right", ncols=min(4, len(layers)), handlelength=1.5, columnspacing=0.9)
        return png(drawn, dpi=144)


def table(names, layers, run, edges, w2, c2, lr_t) -> str:
    """Return the table of the same run, in HTML: where its norms went, and where theory has them."""
    late = slice(w2.shape[1] - max(1, w2.shape[1] // 4), None)  # the last quarter of the windows
    weight = np.diff(edges)[late]
    lr = np.add.reduceat(lr_t, edges[:-1])[late] / weight
    mean = functools.partial(np.average, weights=weight)
    at, lars = (mean(lr), run["weight_decay"], run["momentum"]), run["optimizer"] == "lars"
    known = "nesterov" if run["optimizer"] == "nesterov" else "sgd"
    rows = []
    for layer in layers:
        i = names.index(layer)
        with np.errstate(all="ignore"):
            settled = theory.equilibrium_norm(np.sqrt(mean(c2[i, late])), *at, optimizer=known, exact=True)
            rate = theory.lars_rate(lr, *at[1:]) if lars else lr * np.sqrt(c2[i, late]) / w2[i, late]
            cells = [w2[i, 0], w2[i, -1], np.nan if lars else settled**2, np.sqrt(mean(rate**2)), theory.lars_rate(*at)]
        cells = "".join(f"<td>{three(cell)}</td>" for cell in cells)
        rows.append(f'<tr><th scope="row">{layer}</th>{cells}</tr>')
    heads = ("layer", "|w|² at the start", "|w|² at the end", "|w|² at equilibrium, predicted",
             "λ_LARS" if lars else "λ|g|/|w|", "√(2λα(1−ρ))")  # fmt: skip
    heads = "".join(f'<th scope="col">{head}</th>' for head in heads)
    return ("<table>\n<caption>The last three columns are of the last quarter of the run.</caption>\n"
            f"<thead><tr>{heads}</tr></thead>\n<tbody>\n" + "\n".join(rows) + "\n</tbody>\n</table>")  # fmt: skip
