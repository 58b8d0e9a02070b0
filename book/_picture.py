"""Draw the picture of README.md from a recorded run, and the triangle of the front page: make picture."""

from math import acos, sin
from pathlib import Path

import numpy as np

import resnet_dynamics as rd

FOLDER = Path(__file__).parent / "_static"
INKS = {"light": ("#222832", rd.plots.SHRINK, rd.plots.GROWTH), "dark": ("#ced6dd", "#c9a0e8", "#4fc3b0")}


def ratio():
    run = rd.run(rd.Config.book(lr=4.0, momentum=0.0))
    fig, ax = rd.plots.figure(figsize=(7, 3.4))
    rd.plots.ratio(run, ax=ax)
    z = rd.measure.predicted(run, c="constant").z.mean("layer")
    ax.plot(run.step, rd.measure.line(run) * np.sqrt(z), "--", color="#b3520f", label="with the lag of the norms")
    ax.legend(loc="upper right", frameon=False, markerscale=3)
    fig.savefig(FOLDER / "ratio.png", dpi=110)


def triangle(ink, shrink, growth, decay=0.14, length=330, left=24, base=214):
    """A step at equilibrium as SVG: decay along w to (1 − λα)w, the gradient step at a right angle, back on the circle.

    decay: λα, far larger than in practice, so that the decay can be seen. Equation (3): cos θ = 1 − λα.
    """
    angle = acos(1 - decay)
    foot, tip, top = left + (1 - decay) * length, left + length, base - length * sin(angle)
    end = f"{left + length * (1 - decay):.1f},{top:.1f}"
    far = acos(1 - 1.6 * decay)
    arc = f"{left + length * (1 - 1.6 * decay):.1f},{base - length * sin(far):.1f}"

    def arrow(start, to, color, name, width=3):
        return f'<path d="M{start}L{to}" stroke="{color}" stroke-width="{width}" marker-end="url(#{name})"/>'

    def head(name, color):
        return (f'<marker id="{name}" orient="auto" markerWidth="5" markerHeight="5" refX="4" refY="2.5">'
                f'<path d="M0,0L5,2.5L0,5z" fill="{color}"/></marker>')  # fmt: skip

    def text(x, y, words, color=ink, anchor="start"):
        return f'<text x="{x:.0f}" y="{y:.0f}" fill="{color}" text-anchor="{anchor}">{words}</text>'

    corner = f"M{foot - 12:.1f},{base}v-12h12"
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 520 250" font-family="sans-serif" font-size="17">',
        "<defs>", head("w", ink), head("s", shrink), head("g", growth), "</defs>",
        '<g fill="none">',
        f'<path d="M{tip},{base + 24}V{base}A{length},{length} 0 0 0 {arc}" stroke="{ink}" stroke-dasharray="3 4"/>',
        f'<path d="{corner}" stroke="{ink}"/>',
        arrow(f"{left},{base}", f"{tip},{base}", ink, "w"),
        arrow(f"{left},{base}", end, ink, "w"),
        arrow(f"{tip},{base + 12}", f"{foot:.1f},{base + 12}", shrink, "s", 4),
        arrow(f"{foot:.1f},{base}", end, growth, "g", 4),
        "</g>",
        text(left + 120, base + 22, "weights w"),
        text(left + 110, base - 108, "w after the step", ink, "middle"),
        text(tip + 10, base + 18, "decay, −λαw", shrink),
        text(foot - 14, base - 58, "gradient step,", growth, "end"),
        text(foot - 14, base - 38, "−λg", growth, "end"),
        text(tip - 2, base - 100, "same length as w"),
        "</svg>",
    ]  # fmt: skip
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    ratio()
    for scheme, inks in INKS.items():
        (FOLDER / f"triangle-{scheme}.svg").write_text(triangle(*inks), encoding="utf-8")
