// Where every |w|² will go: the recurrence from the present state, with the size that gradients have had of late. Pure.

import { directed, foreseen, lags, level, line, overlap, relaxation, square, wander } from "../decoupled.js";
import { equilibrium, follow, larsRate } from "../theory.js";
import { column, mean } from "./history.js";

export const SHAPES = [4, 8, 8, 8, 16, 32, 32, 32].map((rows, l) => [rows, 9 * [3, 4, 8, 8, 8, 16, 32, 32][l]]);
export const RECENT = 128; // steps over which the size of the gradients is taken
export const FEWEST = 12; // steps before there is a size to take
const AHEAD = 4; // time constants
const MOST = 20000; // steps that are drawn ahead

/** The size of each layer's gradients over the last RECENT steps: {c2, gv}, nat². c2 is the mean of |g|²|w|², gv
 *  that of g·v |w|²; and of AdamW and its like, since they began, the means {v2, gain} that history.js has, and h2,
 *  that of 1/s of Adam, weighted with |d|²; NaN before there are. Null before there is a c2. */
export function recent(past, began = 0, steps = RECENT) {
  if (past.steps < FEWEST) return null;
  const from = Math.max(0, past.steps - steps);
  const since = Math.max(from, began + FEWEST);
  return Array.from({ length: past.layers }, (_, l) => {
    const of = (name, first) => mean(past, column(name, l), first);
    const [gv, v2, gain, d2, n2] = ["gv", "v2", "gain", "d2", "n2"].map((name) => of(name, since));
    return { c2: of("c2", from), gv: gv || 0, v2, gain, h2: n2 / d2 };
  });
}

/** c²(1 + 2ρκ), what drives |w|² where batches are correlated: (|g|² + 2ρ g·v)|w|², Nesterov ρ² for ρ; at least a
 *  hundredth of c², as a size cannot be negative. Without correlation c² itself. */
export function drive({ c2, gv }, { momentum: rho, optimizer }, correlated) {
  if (!correlated || optimizer === "lars") return c2;
  const overlap = optimizer === "nesterov" ? rho ** 2 : rho;
  return Math.max(c2 / 100, c2 + 2 * overlap * gv);
}

/** How far ahead lines are drawn: four time constants, or twice as far as the axis goes, if that is further. */
export function horizon(values, span) {
  const settle = AHEAD * relaxation(values);
  return Math.round(Math.min(MOST, Math.max(100, 2 * span, Number.isFinite(settle) ? settle : 0)));
}

/** λ of the next steps: as it is set, or along a ramp {from, to, start, end} of steps, linear between two λ. */
export function rate(values, ramp, t, steps) {
  const lr = ramp ? Float64Array.from({ length: steps }, (_, i) => along(ramp, t + i)) : null;
  return lr ?? new Float64Array(steps).fill(values.lr);
}

/** λ of a ramp at step t. */
export function along({ from, to, start, end }, t) {
  const share = Math.min(1, Math.max(0, (t - start) / (end - start)));
  return from + share * (to - from);
}

/** Follow every layer from its state at step t, {w2, wv, v2}, for `steps` steps; an optimizer of directed() began `age`
 *  steps before.
 *  Returns {t, steps, correlated, values, falls, lr, layers: [{w2: [steps + 1], limit, push, c2}]}; w2[i] is before
 *  step t + i, limit the equilibrium, infinite where there is none or λ `falls`. Of directed() a layer has besides v2,
 *  |v|² of each step or a number, and boost, by what correlation makes it longer. */
export function forecast({
  t,
  state,
  sizes,
  values,
  steps,
  ramp = null,
  correlated = false,
  shapes = SHAPES,
  age = t,
}) {
  const lars = values.optimizer === "lars";
  const lr = rate(values, ramp, t, steps + 1);
  const used = lars ? lr.map((v) => larsRate(v, values.weight_decay, values.momentum)) : lr;
  const predicted = directed(values.optimizer)
    ? ofDirected(values, lr, correlated, age)
    : ofSgd(values, used, correlated);
  const layers = state.map((from, l) => {
    const { w2, limit, ...more } = predicted(from, sizes[l], shapes[l]);
    return { w2: Float32Array.from(w2), limit: ramp ? Infinity : limit, c2: sizes[l].c2, ...more };
  });
  return { t, steps, correlated, values, falls: Boolean(ramp), lr: Float32Array.from(lr), layers };
}

/** A function that follows a layer. */
const ofSgd = (values, lr, correlated) => (from, size) => {
  const push = drive(size, values, correlated);
  const { w2 } = follow(from.w2, new Float64Array(lr.length).fill(push), lr, values, from);
  return { w2, limit: equilibrium(Math.sqrt(push), values), push };
};

function ofDirected(values, lr, correlated, age) {
  const { optimizer, weight_decay } = values;
  const wanders = optimizer === "lion" || optimizer === "muon";
  const ahead = remembers((shape) => foreseen(lags(optimizer, values.momentum, ...shape), lr, weight_decay));
  return (from, size, shape) => {
    const K = shape[0] * shape[1];
    const boost = correlated ? boosted(size, values, shape) : 1;
    const usual = square(values, shape);
    const v2 = wanders ? size.v2 || usual : usual; // as measured, which AdamW's s tells
    const push = boost * (wanders ? v2 : size.c2);
    const limit = level(values, shape, { c2: push, v2: boost * v2 });
    const ends = { limit, push, boost };
    if (wanders) return { w2: wander(from.w2, from.wv, push, lr, weight_decay, ahead(shape)), v2, ...ends };
    const start = { ...from, s: 1 / size.h2 || size.c2 / (K * from.w2), steps: age };
    const found = follow(from.w2, new Float64Array(lr.length).fill(push), lr, values, start, boost * K);
    return { w2: found.w2, v2: Float32Array.from(found.v2, (v) => v / boost), h2: 1 / start.s, ...ends };
  };
}

/** By how much more |w|² grows than of gradients that do not know of each other. */
function boosted(size, values, shape) {
  if (values.optimizer === "adam") return 1;
  if (values.optimizer === "sgdw") return drive(size, values, true) / size.c2;
  return Math.max(0.01, size.gain / (size.v2 * overlap(values, shape)) || 1);
}

/** A function of a shape, which remembers what it returned. */
function remembers(make) {
  const known = new Map();
  return (shape) => known.get(shape.join()) ?? known.set(shape.join(), make(shape)).get(shape.join());
}

/** What a forecast has for |w|² of a layer at step t; NaN outside it. */
export const expected = ({ t: start, layers }, l, t) => layers[l].w2[t - start] ?? NaN;

/** The step from which on every |w|² of a forecast is within `share` of its equilibrium; Infinity if it is not
 *  reached. */
export function settlesAt({ t, layers }, share = 0.05) {
  const last = layers.map(({ w2, limit }) => w2.findLastIndex((v) => !(Math.abs(v / limit - 1) < share)));
  const i = Math.max(...last) + 1;
  return i < layers[0].w2.length ? t + i : Infinity;
}

/** How well the dots agree with a forecast: {steps, ratios: [L]}, |w|² over theory at the last step; null before
 *  there is a step to compare. */
export function agreement(past, one) {
  const t = past.steps - 1;
  if (!one || t <= one.t || t > one.t + one.steps) return null;
  const ratios = one.layers.map((_, l) => mean(past, column("w2", l), t) / expected(one, l, t));
  return { steps: t - one.t, ratios };
}

/** λ|g|/|w| over √(2λα(1 − ρ)) of each layer, or λ|v|/|w| over √(2λα/S), rms over the steps since `from`; null where
 *  nothing shrinks, or before `least` steps. */
export function overLine(past, from, values, least = 32, layers = [], shapes = SHAPES) {
  if (past.steps - from < least || !(values.lr * values.weight_decay > 0) || values.optimizer === "lars") return null;
  const of = (l) => lineOf(values, shapes[l], layers[l]?.h2);
  return Array.from({ length: past.layers }, (_, l) => Math.sqrt(mean(past, column("rate2", l), from)) / of(l));
}

/** The line that equilibrium drives to; that of Adam is of a layer, whose mean of 1/s is h2. */
export function lineOf(values, shape, h2 = NaN) {
  if (directed(values.optimizer)) return line(values, shape, values.optimizer === "adam" ? Math.sqrt(h2) : 1);
  return larsRate(values.lr, values.weight_decay, values.momentum);
}
