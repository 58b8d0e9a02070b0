// Where every |w|² will go: the recurrence from the present state, with the size that gradients have had of late. Pure.

import { equilibrium, follow, larsRate, timeConstant } from "../theory.js";
import { column, mean } from "./history.js";

export const RECENT = 128; // steps over which the size of the gradients is taken
export const FEWEST = 12; // steps before there is a size to take
const AHEAD = 4; // time constants
const MOST = 20000; // steps that are drawn ahead

/** The size of each layer's gradients over the last RECENT steps: {c2, gv}, nat². c2 is the mean of |g|²|w|², gv
 *  that of g·v |w|². Null before there is one. */
export function recent(past, steps = RECENT) {
  if (past.steps < FEWEST) return null;
  const from = Math.max(0, past.steps - steps);
  return Array.from({ length: past.layers }, (_, l) => ({
    c2: mean(past, column("c2", l), from),
    gv: mean(past, column("gv", l), from),
  }));
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
  const settle = AHEAD * timeConstant({ ...values, optimizer: "heavy-ball" });
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

/** Follow every layer from its state at step t, {w2, wv, v2}, for `steps` steps.
 *  Returns {t, steps, correlated, values, falls, lr, layers: [{w2: [steps + 1], limit, push, c2}]}; w2[i] is before
 *  step t + i, limit the equilibrium, infinite where there is none or λ `falls`. */
export function forecast({ t, state, sizes, values, steps, ramp = null, correlated = false }) {
  const lars = values.optimizer === "lars";
  const lr = rate(values, ramp, t, steps + 1);
  const used = lars ? lr.map((v) => larsRate(v, values.weight_decay, values.momentum)) : lr;
  const layers = state.map((from, l) => {
    const push = drive(sizes[l], values, correlated);
    const { w2 } = follow(from.w2, new Float64Array(steps + 1).fill(push), used, values, from);
    const limit = ramp ? Infinity : equilibrium(Math.sqrt(push), values);
    return { w2: Float32Array.from(w2), limit, push, c2: sizes[l].c2 };
  });
  return { t, steps, correlated, values, falls: Boolean(ramp), lr: Float32Array.from(lr), layers };
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

/** λ|g|/|w| over √(2λα(1 − ρ)) of each layer, rms over the steps since `from`; null where nothing shrinks, or before
 *  `least` steps. */
export function overLine(past, from, values, least = 32) {
  const line2 = 2 * values.lr * values.weight_decay * (1 - values.momentum);
  if (past.steps - from < least || !(line2 > 0) || values.optimizer === "lars") return null;
  return Array.from({ length: past.layers }, (_, l) => Math.sqrt(mean(past, column("rate2", l), from) / line2));
}
