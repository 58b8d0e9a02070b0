// What a run has measured, in memory that does not grow with its length. Pure.
//
// Level 0 has a window for each of the last steps. Windows merge in pairs, so level j has windows of 2ʲ steps; each
// level keeps the last CAPACITY of them. A view takes the finest level that reaches back far enough.
//
//   of a step    loss, accuracy, lr, weight_decay, momentum, optimizer: its place in OPTIMIZERS
//   of a layer   w2      |w|², before the first step of the window
//                c2      |g|²|w|², squared size of a gradient whatever |w| is
//                gv      g·v |w|², what correlated batches add to it; v is the momentum before the step
//                rate2   (λ|g|/|w|)²; for LARS, whose rate is prescribed, that: 2λα(1 − ρ); (λ|v|/|w|)² of AdamW and
//                        its like, v: what λ multiplies
//                cos2    cos²(w, g)
//                angle2  θ², θ from w to w' in rad
//                balance what the step's gradient adds to |w|² in all over what decay takes from it; NaN without decay
//                v2      |v|²
//                gain    what AdamW and its like add to |w|², over λ²: |v|² − 2(1 − λα)w·v/λ
//                d2      |d|²|w|², d = g + αw of Adam, and g of the others
//                n2      |d|²|w|² after Adam's division by √s: d/√s is (v − ρv_prev)/(1 − ρ). Of AdamW, whose d are
//                        independent, |v|²|w|²(1 + ρ)/(1 − ρ), so that |v|² is as measured where they are not
// All but lr, weight_decay, momentum, optimizer and w2 are means over the window.

import { directed } from "../decoupled.js";
import { growth, larsRate, shrink } from "../theory.js";
import { OPTIMIZERS } from "./optimizers.js";

export const CAPACITY = 512;
export const SCALARS = ["loss", "accuracy", "lr", "weight_decay", "momentum", "optimizer"];
export const LAYERED = ["w2", "c2", "gv", "rate2", "cos2", "angle2", "balance", "v2", "gain", "d2", "n2"];
const FIRST = ["lr", "weight_decay", "momentum", "optimizer", "w2"]; // what a window has from its first step

// A row of a report has the inner products of w, g, v_prev, v and u = w' − w, 15 a layer, in the recorder's order.
export const PRODUCTS = 15;
const ROLES = ["w", "g", "v_prev", "v", "u"];
const PAIRS = ROLES.flatMap((a, i) => ROLES.slice(i).map((b) => `${a}·${b}`));
export const place = (pair) => PAIRS.indexOf(pair);
const [WW, WG, WU, GG, UU, VV] = ["w·w", "w·g", "w·u", "g·g", "u·u", "v·v"].map(place);
const [W_PREV, W_V, G_PREV, PREV2, V_U] = ["w·v_prev", "w·v", "g·v_prev", "v_prev·v_prev", "v·u"].map(place);
const V_BOTH = place("v_prev·v");

/** A history of `layers` layers, empty. */
export function history(layers) {
  const stride = SCALARS.length + LAYERED.length * layers;
  const first = new Uint8Array(stride);
  for (const name of FIRST) {
    if (SCALARS.includes(name)) first[SCALARS.indexOf(name)] = 1;
    else for (let l = 0; l < layers; l++) first[column(name, l)] = 1;
  }
  return { layers, stride, first, levels: [], steps: 0, row: new Float64Array(stride) };
}

/** The column of a quantity in a window. */
export function column(name, layer = 0) {
  const scalar = SCALARS.indexOf(name);
  return scalar >= 0 ? scalar : SCALARS.length + LAYERED.length * layer + LAYERED.indexOf(name);
}

/** Take the steps of a report of one network: its arrays, see the protocol in network/lab.js. `of(t)` is its optimizer
 *  in step t, where it has changed in them. */
export function take(past, network, of = () => network.optimizer) {
  const { row, layers } = past;
  for (let i = 0; i < network.lr.length; i++) {
    const optimizer = of(past.steps);
    for (const [k, name] of SCALARS.entries())
      row[k] = name === "optimizer" ? OPTIMIZERS.indexOf(optimizer) : network[name][i];
    for (let l = 0; l < layers; l++) {
      const setting = { lr: row[2], weight_decay: row[3], momentum: row[4], optimizer };
      measure(row, column("w2", l), network.products, PRODUCTS * (i * layers + l), setting);
      if (optimizer === "lars") row[column("rate2", l)] = larsRate(row[2], row[3], row[4]) ** 2;
    }
    add(past, 0, row);
    past.steps++;
  }
}

/** The quantities of a layer in a step, from its inner products at `p[o …]`. */
function measure(row, at, p, o, setting) {
  const { lr, weight_decay: alpha, momentum: rho, optimizer } = setting;
  const w2 = p[o + WW];
  const g2 = p[o + GG];
  const after = Math.max(0, w2 + 2 * p[o + WU] + p[o + UU]);
  const product = Math.sqrt(w2 * after);
  const half = (p[o + UU] - (Math.sqrt(after) - Math.sqrt(w2)) ** 2) / (4 * product); // sin²(θ/2)
  row[at] = w2;
  row[at + 1] = g2 * w2;
  row[at + 2] = p[o + G_PREV] * w2;
  row[at + 3] = (lr * lr * g2) / w2;
  row[at + 4] = g2 > 0 ? p[o + WG] ** 2 / (w2 * g2) : 0;
  row[at + 5] = (2 * Math.asin(Math.sqrt(Math.min(1, Math.max(0, half))))) ** 2;
  const d2 = rho === 0 ? g2 : g2 + 2 * alpha * p[o + WG] + alpha ** 2 * w2;
  const decayed = shrink(w2, lr, setting);
  row[at + 6] = decayed > 0 ? growth(d2, p[o + G_PREV] + alpha * p[o + W_PREV], setting) / decayed : NaN;
  const v2 = p[o + VV];
  row[at + 7] = v2;
  if (!directed(optimizer)) return;
  const kept = 1 - lr * alpha;
  const gain = v2 - (2 * kept * p[o + W_V]) / lr;
  row[at + 3] = (lr * lr * v2) / w2;
  row[at + 6] = optimizer !== "adam" && alpha > 0 ? (lr * lr * gain) / ((1 - kept ** 2) * w2) : NaN;
  row[at + 8] = gain;
  const adam = optimizer === "adam";
  const fresh = (v2 - 2 * rho * p[o + V_BOTH] + rho ** 2 * p[o + PREV2]) / (1 - rho) ** 2;
  row[at + 9] = (adam ? d2 : g2) * w2;
  row[at + 10] = (adam ? fresh : (v2 * (1 + rho)) / (1 - rho)) * w2;
}

/** A window is complete at level j; with every second one, one of the next level. */
function add(past, j, row) {
  const { stride, first } = past;
  past.levels[j] ??= { width: 2 ** j, data: new Float64Array(CAPACITY * stride), count: 0, merged: null };
  const level = past.levels[j];
  const at = (level.count % CAPACITY) * stride;
  level.data.set(row, at);
  level.count++;
  if (level.count % 2) return;
  level.merged ??= new Float64Array(stride);
  const before = ((level.count - 2) % CAPACITY) * stride;
  for (let k = 0; k < stride; k++) {
    const earlier = level.data[before + k];
    level.merged[k] = first[k] ? earlier : (earlier + level.data[at + k]) / 2;
  }
  add(past, j + 1, level.merged);
}

/** The windows of `width` steps at least, or the finest ones above that, that reach back to step `from`.
 *  Returns {width, begin, end, oldest, at(k, column)}: windows begin … end − 1, window k from step k·width on. */
export function windows(past, from, width = 1) {
  const start = Math.max(0, from);
  const reaches = (level) => level.width >= width && Math.floor(start / level.width) >= level.count - CAPACITY;
  const level = past.levels.find(reaches) ?? { width, count: 0, data: [] };
  return {
    width: level.width,
    begin: Math.floor(start / level.width),
    oldest: Math.max(0, level.count - CAPACITY),
    end: level.count,
    at: (k, c) => level.data[(k % CAPACITY) * past.stride + c],
  };
}

/** A quantity at step t, in the finest window that has it; in the last one after the end. */
export function at(past, c, t) {
  const level = past.levels.find(({ count, width }) => t >= (count - CAPACITY) * width) ?? past.levels.at(-1);
  const k = Math.min(level.count - 1, Math.floor(t / level.width));
  return level.data[(k % CAPACITY) * past.stride + c];
}

/** Where the windows of a view begin, or their middles: [W]. */
export const places = ({ begin, end, width }, share = 0) =>
  Float64Array.from({ length: Math.max(0, end - begin) }, (_, i) => (begin + i + share) * width);

/** A quantity in the windows of a view: [W]. */
export const values = (view, c) =>
  Float64Array.from({ length: Math.max(0, view.end - view.begin) }, (_, i) => view.at(view.begin + i, c));

/** The mean of a quantity over the last `steps` steps up to each window of a view, or over the window if that is
 *  longer; over fewer after the beginning, and after each step in `cuts`, in order, where something was changed.
 *  [W]. */
export function running(view, c, steps, cuts = []) {
  const n = Math.max(1, Math.round(steps / view.width));
  const out = new Float64Array(Math.max(0, view.end - view.begin));
  let start = Math.max(view.oldest, view.begin - n + 1);
  let sum = 0;
  let next = cuts.findIndex((t) => t >= start * view.width);
  for (let k = start; k < view.end; k++) {
    let within = false; // whether something was changed in the course of this window
    for (; next >= 0 && cuts[next] < (k + 1) * view.width; next++) {
      [start, sum] = [k, 0];
      within = cuts[next] > k * view.width;
    }
    sum += view.at(k, c);
    if (k - n >= start) sum -= view.at(k - n, c);
    if (k >= view.begin) out[k - view.begin] = Math.max(0, sum) / Math.min(n, k - start + 1);
    if (within) [start, sum] = [k + 1, 0];
  }
  return out;
}

/** The mean of a quantity over steps from … the last one, as finely as it is kept. NaN without any. */
export function mean(past, c, from) {
  const view = windows(past, from);
  let sum = 0;
  for (let k = view.begin; k < view.end; k++) sum += view.at(k, c);
  return view.end > view.begin ? sum / (view.end - view.begin) : NaN;
}

/** The state of each layer before the step of row i of a report: {w2, wv, v2}, what the recurrence starts from. */
export const before = ({ products }, i, layers) =>
  Array.from({ length: layers }, (_, l) => {
    const o = PRODUCTS * (i * layers + l);
    return { w2: products[o + WW], wv: products[o + W_PREV], v2: products[o + PREV2] };
  });

/** The state of each layer after the last step of a report. */
export function after({ products, lr }, layers) {
  const i = lr.length - 1;
  return Array.from({ length: layers }, (_, l) => {
    const o = PRODUCTS * (i * layers + l);
    return {
      w2: products[o + WW] + 2 * products[o + WU] + products[o + UU],
      wv: products[o + W_V] + products[o + V_U],
      v2: products[o + VV],
    };
  });
}
