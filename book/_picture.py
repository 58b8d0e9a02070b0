"""Draw the picture of README.md from the recorded run: make picture."""

from pathlib import Path

import numpy as np

import resnet_dynamics as rd

run = rd.run(rd.Config.book(lr=4.0, momentum=0.0))
fig, ax = rd.plots.figure(figsize=(7, 3.4))
rd.plots.ratio(run, ax=ax)
z = rd.measure.predicted(run, c="constant").z.mean("layer")
ax.plot(run.step, rd.measure.line(run) * np.sqrt(z), "--", color="#b3520f", label="with the lag of the norms")
ax.legend(loc="upper right", frameon=False, markerscale=3)
fig.savefig(Path(__file__).parent / "_static" / "ratio.png", dpi=110)
