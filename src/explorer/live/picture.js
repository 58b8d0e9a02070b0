// The picture of a run, as numbers: what a page shows that cannot run it, in print or without JavaScript. Pure.

import { lineOf } from "./forecast.js";
import { column, mean } from "./history.js";
import { series } from "./series.js";

const round = (v) => (Number.isFinite(v) ? +v.toPrecision(4) : null);
const POINTS = 50; // of a series, at most

/** Every so many-th number of a list, rounded, and the last one. */
function rounded(list) {
  const stride = Math.ceil(list.length / POINTS);
  return Array.from(list)
    .filter((_, i) => i % stride === 0 || i === list.length - 1)
    .map(round);
}

/** {t, settings, marks, layers, panels, numbers}. `panels` has of each name the series between the steps from … to as
 *  {kind, layer, xs, ys}, with layer null for what all share; `numbers` of each layer |w|² at the end, its
 *  equilibrium by theory (null without), λ|g|/|w| over the last `steps` steps, rms, and the line for that. Numbers have
 *  four digits. */
export function picture(run, panels, [from, to], steps = 256) {
  const [network] = run.networks;
  const { past, line, settings } = network;
  const drawn = (panel) =>
    series(panel, run, [from, to]).map(({ kind, layer, network: n, xs, ys }) => ({
      ...{ kind, layer: layer === null ? null : run.layers[layer] },
      ...(n && { network: n }),
      ...{ xs: rounded(xs), ys: rounded(ys) },
    }));
  const numbers = run.layers.map((layer, l) => ({
    layer,
    w2: round(mean(past, column("w2", l), past.steps - 1)),
    limit: round(line?.layers[l].limit),
    rate: round(Math.sqrt(mean(past, column("rate2", l), Math.max(0, past.steps - steps)))),
    line: round(lineOf(settings, run.shapes[l], line?.layers[l].h2)),
  }));
  return {
    ...{ t: past.steps, settings, marks: run.marks.map(({ t, text }) => ({ t, text })), layers: run.layers },
    ...{ panels: Object.fromEntries(panels.map((panel) => [panel, drawn(panel)])), numbers },
  };
}
