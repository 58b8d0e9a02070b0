// The curves: what theory makes of a state and the recorded runs, and what a run has measured of the same. Pure.

import { around, blend } from "./between.js";
import { lateSize, nearest, smooth, spread } from "./evidence.js";
import { asked, mine, own, settling } from "./state.js";
import { equilibrium, follow, larsRate, rates, shrink } from "./theory.js";
import { lastOf } from "./words.js";

/** What is shown of a state. `recorded` are the unpacked sets of `evidence`.
 *
 *  plan      the training; lr, used [T], its λ at each step, and the rate that steps have (LARS: its own)
 *  found     {run, exact}, the recorded run that is nearest, or null where none is of this training and optimizer
 *  sizes     the run whose gradients the theory takes, or what lies between the recorded ones; last: it is the reader's
 *            own, else null
 *  layers    of each: w2, growth [T] by theory; limit, |w|² at equilibrium; c2 [T], the squared size of its gradients;
 *            late, that size late in training; push [T], c2 or what stands for it where batches are correlated
 */
export function compute(state, evidence, recorded) {
  const plan = evidence.plans[state.plan];
  const runs = chosen(state, plan, recorded);
  const lr = rates(plan, state.lr);
  const lars = (v) => larsRate(v, state.weight_decay, state.momentum);
  const used = state.optimizer === "lars" ? lr.map(lars) : lr;
  const layers = evidence.layers.map((_, l) => layer(l, state, plan, used, runs.sizes));
  return { names: evidence.layers, plan, lr, used, layers, ...runs };
}

/** The runs that a state is shown with: dots are the nearest, the size of gradients lies between those around. What was
 *  not recorded borrows it: a training from the book's runs, an optimizer from SGD. */
function chosen(state, plan, recorded) {
  const pool = recorded[plan.set ?? 1].length ? recorded[plan.set ?? 1] : recorded[1];
  const found = nearest(pool, state);
  const at = { ...state, ...(state.gradient === "constant" && state.heldAt) };
  const lent = nearest(pool, at) ? at : { ...at, optimizer: "heavy-ball" };
  const last = state.gradient === "mine" ? mine(state) : null;
  const held = state.gradient === "constant" ? state.held : null;
  return {
    found: pool === recorded[plan.set] ? found : null,
    sizes: last ?? held ?? blend(around(pool, lent), lent),
    last,
  };
}

function layer(l, state, { steps }, used, run) {
  const spreadOut = (sizes) => spread(smooth(sizes, run.edges), run.edges, steps, run.steps);
  const late = lateSize(run.c2[l], run.edges);
  const c2 = state.gradient === "constant" ? new Float64Array(steps).fill(late ** 2) : spreadOut(run.c2[l]);
  const correlated = state.gradient === "correlated";
  const push = correlated ? spreadOut(run.drive[l]) : c2;
  const start = own(state).at(-1)?.w2[l][0] ?? run.w2[l][0];
  const limit = equilibrium(correlated ? lateSize(run.drive[l], run.edges) : late, state);
  return { ...follow(start, push, used, state), limit, late, c2, push };
}

/** What theory has for a panel, at each step of a layer: [T]. */
export function predicted(panel, l, state, { layers, lr, used }) {
  const { w2, growth, c2 } = layers[l];
  if (panel === "norm") return w2;
  if (panel === "shrink") return w2.map((v, t) => shrink(v, lr[t], state));
  if (panel === "growth") return growth;
  if (panel === "balance") return growth.map((v, t) => v / shrink(w2[t], lr[t], state));
  return state.optimizer === "lars" ? used : w2.map((v, t) => (lr[t] * Math.sqrt(c2[t])) / v);
}

/** What a run has measured for a panel, in each window of a layer: [W]. Norms are at the start of a window; the rest
 *  are means over it, so |w|² is taken in its middle. */
export function measured(panel, l, run) {
  const known = seen.get(run) ?? {};
  seen.set(run, known);
  known[panel] ??= [];
  known[panel][l] ??= taken(panel, l, run);
  return known[panel][l];
}
const seen = new WeakMap(); // dots stay where they are while the sliders move

function taken(panel, l, run) {
  return starts(run).map((t, i) => {
    const start = run.w2[l][i] ?? NaN;
    const growth = run.growth[l][i] ?? NaN;
    if (panel === "norm") return start;
    if (panel === "growth") return growth;
    const next = run.w2[l][i + 1];
    const w2 = next > 0 ? Math.sqrt(start * next) : start;
    const lr = run.lr_t[Math.floor((t + run.edges[i + 1]) / 2)];
    if (panel === "shrink") return shrink(w2, lr, run);
    if (panel === "balance") return growth / shrink(w2, lr, run);
    if (run.optimizer === "lars") return larsRate(lr, run.weight_decay, run.momentum);
    return (lr * Math.sqrt(run.c2[l][i] ?? NaN)) / w2;
  });
}

/** The first steps of a run's windows, and their middles: [W]. */
export const starts = (run) => run.edges.slice(0, -1);
export const middles = (run) => starts(run).map((t, i) => (t + run.edges[i + 1]) / 2);

/** The numbers of a layer at step t: |w|² by theory, |w|² of the dots (null without), equilibrium, shrink, growth and
 *  rate. Where λ changes, equilibrium is that of the λ of this step. */
export function numbersAt(t, l, state, { plan, found, layers, lr, used }) {
  const { w2, growth, limit, c2, push } = layers[l];
  const settled = plan.schedule === "constant" ? limit : equilibrium(Math.sqrt(push[t]), { ...state, lr: lr[t] });
  const rate = state.optimizer === "lars" ? used[t] : (lr[t] * Math.sqrt(c2[t])) / w2[t];
  const dots = found ? found.run.w2[l][windowAt(t, found.run)] : null;
  return [w2[t], dots, settled, shrink(w2[t], lr[t], state), growth[t], rate];
}

/** The window that step t lies in; the last one after the end. */
function windowAt(t, { edges }) {
  return Math.min(edges.filter((edge) => edge <= t).length - 1, edges.length - 2);
}

/** How far a guess of |w|² is from theory: from equilibrium where that is reached, else from the end. The recorded run
 *  has a say where it has exactly these values. */
export function score(guess, state, { names, layers, plan, found }) {
  const l = names.indexOf(asked(state));
  const theory = settling(state, plan) ? layers[l].limit : layers[l].w2.at(-1);
  const measured = found?.exact ? lastOf(found.run.w2[l]) : null;
  return { guess, theory, measured, factor: Math.max(guess / theory, theory / guess) };
}
