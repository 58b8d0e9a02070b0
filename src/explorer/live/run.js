// A run as the page knows it: what was measured, what theory draws, and what was done to it. Changed by the reports
// of the lab and by what the reader asks for; knows nothing of the page.
//
//   start       the command that began it: {type: "start", seed, batch_size, networks}
//   networks    of each: past (history.js), settings (now), no_norm, eps, line (the forecast), lines (earlier ones),
//               tests, state, sizes; settings and state are after the last step; optimizer is that of the last step,
//               began the step since which it remembers
//   marks       movements: {t, text, kind}
//   ramp        λ that the page moves by itself, see forecast.js
//   twins       of two networks with one optimizer, {same, most, steps}: how far their losses differ
//   state       "running", "paused" or "diverged"

import { directed, relaxation } from "../decoupled.js";
import { forecast, horizon, recent, SHAPES } from "./forecast.js";
import { after, before, column, history, mean, take } from "./history.js";
import { mark, merged } from "./marks.js";
import { forgets } from "./optimizers.js";

const LINES = 60; // earlier forecasts that are kept
const TESTS = 600;
const OTHER = Math.log(1.3); // a change of c², and so of 1.14 in |w|² at equilibrium
const EPS = 1e-5; // of batch norm, where a network says nothing else
const FORESEEN = ["set", "kick", "no_norm"]; // what makes theory begin anew

/** A run that has not begun. `span()` is how many steps theory is to reach ahead at least. */
export function begin(start, layers, { span, correlated, shapes = SHAPES }) {
  const one = ({ lr, weight_decay, momentum, optimizer, no_norm = null, eps = EPS }) => ({
    past: history(layers.length),
    settings: { lr, weight_decay, momentum, optimizer },
    ...{ no_norm, eps, optimizer, began: 0 },
    ...{ line: null, lines: [], tests: [], state: null, sizes: null, diverged_at: -1 },
  });
  const [first, second] = start.networks;
  const twins = second?.optimizer === first.optimizer ? { same: 0, most: 0, steps: 0 } : null;
  const told = { steps_per_second: 0, kernels: "", where: "", twins };
  const run = {
    start,
    layers,
    shapes,
    span,
    correlated,
    networks: start.networks.map(one),
    marks: [],
    ramp: null,
    t: 0,
  };
  return Object.assign(run, told, { state: "paused", since: 0, awaits: null });
}

/** Take a report. */
export function heard(run, report) {
  const { t0, t, state, steps_per_second, kernels, where, events = [] } = report;
  Object.assign(run, { t, state, steps_per_second, kernels, where });
  for (const event of events) happened(run, event);
  for (const [n, network] of run.networks.entries()) {
    const told = report.networks[n];
    foresee(run, network, told, t0);
    if (told.lr.length) {
      const { optimizer } = network; // that of the step before
      const changes = events.filter((one) => one.type === "set" && one.optimizer && (one.network ?? n) === n);
      take(network.past, told, (at) => changes.findLast((one) => one.t <= at)?.optimizer ?? optimizer);
      network.optimizer = told.optimizer;
      network.state = after(told, run.layers.length);
    }
    network.tests.push(...(told.tests ?? []));
    if (network.tests.length > TESTS) network.tests = network.tests.filter((_, i) => i % 2);
    network.diverged_at = told.diverged_at ?? -1;
    renew(run, network);
  }
  if (run.awaits !== null && run.awaits < t) run.awaits = null;
  if (run.twins) compare(run.twins, ...report.networks);
}

/** Of two networks, in how many steps their losses were equal, bit for bit, and by how much they differed at most. */
function compare(twins, { loss }, { loss: other }) {
  for (let i = 0; i < loss.length; i++) {
    if (loss[i] === other[i]) twins.same++;
    else twins.most = Math.max(twins.most, Math.abs(loss[i] - other[i]));
    twins.steps++;
  }
}

/** The lab applied a command. */
function happened(run, event) {
  const told = event.network === undefined ? run.networks : [run.networks[event.network]];
  for (const network of told) {
    if (event.type === "set") set(network, event, event.t);
    if (event.type === "no_norm") network.no_norm = event.layer;
  }
  const planned = run.ramp && event.type === "set" && event.t >= run.ramp.start && !event.momentum;
  if (planned || !FORESEEN.includes(event.type)) return;
  const follows = event.network === 1 && run.marks.at(-1)?.t === event.t; // the first network
  if (!follows) merged(run.marks, mark(event), run.span() / 40);
  run.awaits = event.t;
  run.since = event.t;
}

/** An optimizer that remembers in other units than that of the last step begins anew. */
function set(network, command, t) {
  Object.assign(network.settings, chosen(command));
  if (anew(network)) network.began = t;
}

const anew = ({ optimizer, settings }) => forgets(optimizer, settings.optimizer);

const chosen = ({ lr, weight_decay, momentum, optimizer }) =>
  Object.fromEntries(
    Object.entries({ lr, weight_decay, momentum, optimizer }).filter(([, value]) => value !== undefined),
  );

/** Draw theory from the step of the last movement, if this report has it. */
function foresee(run, network, told, t0) {
  const i = run.awaits - t0;
  if (run.awaits === null || i < 0 || i >= told.lr.length) return;
  draw(run, network, run.awaits, before(told, i, run.layers.length));
}

/** Draw it anew, too, when its line comes to an end, and when the gradients have another size than it was drawn
 *  with: not before four time constants and a quarter of the axis, so that the dots can arrive; of a young run,
 *  whose gradients change fast, when it is half as old again. */
function renew(run, network) {
  const { past, line, state, settings } = network;
  if (!state || run.awaits !== null || run.state === "diverged") return;
  const t = past.steps;
  if (!line || line.t + line.steps < t + run.span() / 2) return draw(run, network, t, state);
  const settle = 4 * relaxation(settings);
  const young = line.t === run.since ? Infinity : line.t / 2;
  const wait = Math.min(young, run.span() / 2, Math.max(settle, run.span() / 4));
  if (t - line.t < wait) return;
  const sizes = recent(past, network.began);
  const same = ["lion", "muon"].includes(settings.optimizer); // however long gradients are
  if (!same && sizes.some(({ c2 }, l) => Math.abs(Math.log(c2 / line.layers[l].c2)) > OTHER))
    draw(run, network, t, state);
}

/** Theory from a state at step t on. The line before ends there; one that nobody saw is dropped. */
function draw(run, network, t, state) {
  const sizes = recent(network.past, network.began) ?? network.sizes;
  if (!sizes) return;
  network.sizes = sizes;
  const { line, lines } = network;
  if (line && t - line.t > run.span() / 100) lines.push({ ...line, end: t });
  if (lines.length > LINES) lines.shift();
  const ramp = run.ramp && run.ramp.end > t ? run.ramp : null;
  const steps = horizon(network.settings, run.span());
  const how = { values: { ...network.settings }, steps, ramp, correlated: run.correlated(), shapes: run.shapes };
  network.line = forecast({ t, state, sizes, ...how, age: t - network.began });
}

/** What the reader asks for shows at once: theory from the present state with the new values. The report of the first
 *  step will draw the same from the state as it then is. */
export function ask(run, command) {
  for (const [n, network] of run.networks.entries()) {
    if (command.network !== undefined && command.network !== n) continue;
    const now = network.past.steps;
    if (command.type === "set") set(network, command, now);
    if (!network.state) continue;
    let { state } = network;
    if (command.type === "kick") state = kicked(state, command, run.layers);
    if (anew(network)) state = state.map(({ w2 }) => ({ w2, wv: 0, v2: 0 }));
    draw(run, network, now, state);
  }
}

const kicked = (state, { layer, factor }, layers) =>
  state.map(({ w2, wv, v2 }, l) =>
    layer === "all" || layers[l] === layer ? { w2: factor ** 2 * w2, wv: factor * wv, v2 } : { w2, wv, v2 },
  );

/** Theory anew without a movement: another size of the gradients is wished, or the axis reaches further. */
export function redraw(run) {
  for (const network of run.networks) if (network.state) draw(run, network, network.past.steps, network.state);
}

/** Layers whose length the next batch norm divides out, as nothing but a ReLU and a max-pool lies between: without
 *  their own batch norm the loss is still blind to it. */
export const SHIELDED = {
  prep: "layer1",
  "layer1.res1": "layer1.res2",
  layer2: "layer3",
  "layer3.res1": "layer3.res2",
};

/** The layers of a network that theory is for: those whose length the loss is blind to. LARS, AdamW and its like leave
 *  a layer without batch norm to SGD. */
export const blind = (run, { no_norm, settings }) =>
  run.layers.map((name) => name !== no_norm || (name in SHIELDED && !ofNormalized(settings.optimizer)));
export const ofNormalized = (optimizer) => optimizer === "lars" || directed(optimizer);

/** Layers so short that the ε of batch norm counts beside the variance of their outputs, which then know the length of
 *  w: [L]. `short` is the |w|² below which that is said. */
export const short = ({ eps }) => 10 * eps;
export const shrunk = ({ layers }, network) =>
  layers.map((_, l) => mean(network.past, column("w2", l), network.past.steps - 1) < short(network));
