// The reader's own run of the page's small network: what the lab reports of it, in the windows that recorded runs have.
// Pure.

import { PRODUCTS, place } from "./live/history.js";
import { larsRate, rates } from "./theory.js";

const EPOCH = 250; // steps between two tests of the lab
const STEPS = 1000;

/** The training that a page can make by itself. */
export const HERE = {
  label: `this page's small network, ${STEPS.toLocaleString("en-US")} steps, λ constant`,
  steps: STEPS,
  steps_per_epoch: EPOCH,
  epochs: STEPS / EPOCH,
  warmup: 0,
  schedule: "constant",
  batch_size: 32,
  what: "this page's ResNet-9 of width 4, images that the page draws, batches of 32",
  set: null,
  here: true,
};

/** The edges of the windows of a run, as page_data.windows has them: short at the start, where all is quick. */
export function windows(steps) {
  const long = Math.max(8, 8 * Math.ceil(Math.ceil(steps / 64) / 8));
  const edges = [0, 1, 2, 4, 8];
  for (let e = 16; e < steps; e += long) edges.push(e);
  return [...edges.filter((e) => e < steps), steps];
}

/** A run that begins, of so many layers. */
export function begin({ lr, weight_decay, momentum, optimizer }, layers, id) {
  const edges = windows(STEPS);
  const empty = () => new Float64Array(edges.length - 1);
  const each = () => Array.from({ length: layers }, empty);
  const sums = { c2: each(), drive: each(), growth: each(), loss: empty(), accuracy: empty() };
  const values = { lr, weight_decay, momentum, optimizer };
  return { id, values, edges, t: 0, w: 0, w2: each(), sums, tests: [], diverged_at: -1 };
}

/** Take a report of the lab. */
export function take(run, { networks: [network] }) {
  const layers = run.w2.length;
  for (let i = 0; i < network.loss.length && run.t < STEPS && run.diverged_at < 0; i++) {
    if (!Number.isFinite(network.loss[i])) run.diverged_at = run.t;
    else step(run, network, i, layers);
  }
  run.tests.push(...network.tests.filter(({ t }) => t > 0));
}

function step(run, { products, loss, accuracy }, i, layers) {
  if (run.t === run.edges[run.w + 1]) run.w++;
  const { w, sums } = run;
  for (let l = 0; l < layers; l++) {
    const at = (i * layers + l) * PRODUCTS;
    const found = measures((pair) => products[at + place(pair)], run.values);
    if (run.t === run.edges[w]) run.w2[l][w] = found.w2;
    for (const name of ["c2", "drive", "growth"]) sums[name][l][w] += found[name];
  }
  sums.loss[w] += loss[i];
  sums.accuracy[w] += accuracy[i];
  run.t++;
}

/** Of a step and a layer: |w|², c² = |g|²|w|², that with the correlation of batches, and growth, as in measure.py. */
function measures(p, { lr, weight_decay: alpha, momentum: rho, optimizer }) {
  const [w2, g2, gv] = [p("w·w"), p("g·g"), p("g·v_prev")];
  const overlap = optimizer === "nesterov" ? rho ** 2 : rho;
  const c2 = g2 * w2;
  if (optimizer === "lars") {
    const rate = larsRate(lr, alpha, rho) / (1 - rho);
    return { w2, c2, drive: c2, growth: rate ** 2 * (w2 + 2 * rho * Math.sqrt(w2 / g2) * gv) };
  }
  const d2 = g2 + 2 * alpha * p("w·g") + alpha ** 2 * w2;
  const dv = gv + alpha * p("w·v_prev");
  const growth = rho === 0 ? lr ** 2 * g2 : (lr / (1 - rho)) ** 2 * (d2 + 2 * overlap * dv);
  return { w2, c2, drive: (g2 + 2 * overlap * gv) * w2, growth };
}

/** The run as the evidence has runs, as far as it is; null before its first step. */
export function shown({ id, values, edges, t, w, w2, sums, tests, diverged_at }, state) {
  if (t === 0) return null;
  const ends = [...edges.slice(0, w + 1), t];
  const mean = (sum) => Array.from(sum.subarray(0, w + 1), (v, i) => v / (ends[i + 1] - ends[i]));
  const each = (lists) => lists.map(mean);
  return {
    ...{ id, plan: "here", state, diverged_at, ...values, ...HERE, edges: ends },
    ...{ w2: w2.map((list) => Array.from(list.subarray(0, w + 1))), c2: each(sums.c2), drive: each(sums.drive) },
    ...{ growth: each(sums.growth), loss: mean(sums.loss), accuracy: mean(sums.accuracy) },
    ...{ test_loss: tests.map(({ loss }) => loss), test_accuracy: tests.map(({ accuracy }) => accuracy) },
    lr_t: rates(HERE, values.lr),
  };
}
