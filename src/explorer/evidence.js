// Recorded runs: how they are packed, and which of them is nearest.

import { rates } from "./theory.js";

/** Numbers from their codes: 0 is missing, else log2 in steps of 1/512. Relative error at most 0.07 %. */
export const decode = (code) => (code === 0 ? NaN : code === 1 ? 0 : 2 ** ((code - 32768) / 512));

/** The runs of a set; of each, {…, edges, w2, c2, drive, growth: [layer][window], loss, accuracy: [window], …} is
 *  decoded when `opened` asks for it first: a page shows one of them. `more(run)` is added. */
export function unpack({ codes, runs, edges, epochs, what }, layers, more = () => ({})) {
  const windows = edges.length - 1;
  const length = (4 * layers.length + 2) * windows + 2 * epochs;
  let numbers = null;
  return runs.map((run, i) => {
    let found = null;
    const opened = () => {
      numbers ??= new DataView(Uint8Array.from(atob(codes), (letter) => letter.charCodeAt(0)).buffer);
      let at = i * length;
      const take = (n) => Array.from({ length: n }, () => decode(numbers.getUint16(2 * at++, true)));
      const each = () => layers.map(() => take(windows));
      return {
        ...run,
        what,
        edges,
        ...more(run),
        w2: each(),
        c2: each(),
        drive: each(),
        growth: each(),
        loss: take(windows),
        accuracy: take(windows),
        test_loss: take(epochs),
        test_accuracy: take(epochs),
      };
    };
    return { ...run, opened: () => (found ??= opened()) };
  });
}

/** The sets of runs in what Python sends, unpacked, each with λ of every step by the plan it belongs to. */
export function recordings({ sets, plans, layers }) {
  return sets.map((set, i) => {
    const plan = Object.values(plans).find((one) => one.set === i);
    return unpack(set, layers, ({ lr }) => ({
      lr_t: rates(plan, lr),
      steps_per_epoch: plan.steps_per_epoch,
      steps: plan.steps,
    }));
  });
}

const SERIES = ["w2", "c2", "drive", "growth", "loss", "accuracy", "test_loss", "test_accuracy"];

/** A run of the reader's, as Python sends it, with NaN where that has None, and λ of every step. */
export function fromPython(run) {
  const numbers = (list) => list.map((v) => (Array.isArray(v) ? numbers(v) : (v ?? NaN)));
  const series = Object.fromEntries(SERIES.map((key) => [key, numbers(run[key])]));
  return { ...run, ...series, lr_t: rates(run, run.lr) };
}

const kind = (optimizer) => (optimizer === "sgd" ? "heavy-ball" : optimizer);

/** The runs of a setting's optimizer, with or without decay as it has: no others stand in for it. */
export const group = (runs, { optimizer, weight_decay }) =>
  runs.filter((run) => kind(run.optimizer) === kind(optimizer) && (run.weight_decay === 0) === (weight_decay === 0));

/** Where a setting lies: [ln λ, ln α, ln(1 − ρ)]; without decay its second coordinate is 0. */
export function place({ lr, weight_decay, momentum, optimizer }) {
  return [Math.log(lr), Math.log(weight_decay || 1), Math.log(optimizer === "sgd" ? 1 : 1 - momentum)];
}

/** The recorded run that is closest in ln λ, ln α and ln(1 − ρ), of the same optimizer, with or without decay as
 *  asked. */
export function nearest(runs, setting) {
  const here = place(setting);
  let found = null;
  let least = Infinity;
  for (const run of group(runs, setting)) {
    const distance = place(run).reduce((sum, v, i) => sum + (v - here[i]) ** 2, 0);
    if (distance < least - 1e-9) [found, least] = [run, distance];
  }
  return found && { run: found.opened?.() ?? found, exact: least < 1e-9 };
}

/** A running mean over five windows, where they are of one length: single windows are noisy. */
export function smooth(values, edges) {
  const length = (i) => edges[i + 1] - edges[i];
  return values.map((_, i) => {
    let sum = 0;
    let n = 0;
    for (let j = Math.max(0, i - 2); j <= Math.min(values.length - 1, i + 2); j++) {
      if (length(j) === length(i) && Number.isFinite(values[j])) [sum, n] = [sum + values[j], n + 1];
    }
    return sum / n;
  });
}

/** Windows to the steps of a plan: a straight line between their middles. Where run and plan differ in length, at the
 *  same share of the training, `length` steps in all; past the end of a run that stopped early, what it had last. */
export function spread(values, edges, steps, length = edges.at(-1)) {
  const known = values.map((v, i) => [(edges[i] + edges[i + 1]) / 2, v]).filter(([, v]) => Number.isFinite(v));
  const out = new Float64Array(steps).fill(NaN);
  const scale = length / steps;
  for (let t = 0, i = 0; t < steps && known.length; t++) {
    const at = (t + 0.5) * scale;
    while (i < known.length - 2 && known[i + 1][0] < at) i++;
    const [[from, low], [to, high]] = [known[i], known[i + 1] ?? known[i]];
    const share = to > from ? Math.min(1, Math.max(0, (at - from) / (to - from))) : 0;
    out[t] = low + share * (high - low);
  }
  return out;
}

/** The rms of c over the last quarter of a run: what equilibrium is computed with. */
export function lateSize(c2, edges) {
  let sum = 0;
  let weight = 0;
  const known = c2.map(Number.isFinite);
  const end = edges[known.lastIndexOf(true) + 1];
  for (let i = 0; i < c2.length; i++) {
    if (known[i] && edges[i + 1] > 0.75 * end) {
      const length = edges[i + 1] - Math.max(edges[i], 0.75 * end);
      sum += length * c2[i];
      weight += length;
    }
  }
  return Math.sqrt(sum / weight);
}
