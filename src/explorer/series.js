// What each panel draws, as series for a chart: {kind, class, xs, ys, color, dash}. Pure.
//
//   kind    "line", or dots: "dots" of the recorded run, "mine" of the reader's last, "faint" of the earlier ones
//   class   of a line that is no curve of this setting: "ghost" of the one before, "level", "line", "guess"
//   layer   whose it is
//   xs      steps; without them ys has one value for every step

import { measured, middles, predicted, starts } from "./compute.js";
import { asked, ghost, mine, own, seen, shown } from "./state.js";
import { larsRate } from "./theory.js";

const DASHES = [null, "6 2.5", "2 2"];
const BEFORE_A_GUESS = 8; // the steps of a run that are seen

/** How the layers are drawn: a color for the stage, a dash for the place in it. */
export function looks(names) {
  const stage = (name) => name.split(".")[0];
  const stages = [...new Set(names.map(stage))];
  return names.map((name) => ({
    color: `var(--c${stages.indexOf(stage(name)) % 4})`,
    dash: DASHES[names.filter((other) => stage(other) === stage(name)).indexOf(name) % 3],
  }));
}
const PARTS = {
  shrink: { color: "var(--shrink)", dash: null },
  growth: { color: "var(--growth)", dash: "6 2.5" },
};

/** The runs beside the theory, [run, kind]: the recorded one first. */
function runs(state, { found }) {
  const readers = own(state).map((run) => [run, run === mine(state) ? "mine" : "faint"]);
  return found ? [[found.run, "dots"], ...readers] : readers;
}

/** The series of a panel; `looks` are those of all layers. */
export function series(panel, state, computed, looks) {
  if (panel === "accuracy" || panel === "loss") {
    return seen(state) ? runs(state, computed).flatMap(([run, kind]) => tests(panel, run, kind)) : [];
  }
  const layers = shown(state, computed.names);
  const apart = panel === "balance" && layers.length === 1; // of one layer shrink and growth fit, each by itself
  const look = (part, l) => (apart ? PARTS[part] : looks[l]);
  const each = (make) => (part) =>
    layers.flatMap((l) => make(part, l, look(part, l)).map((one) => ({ ...one, layer: computed.names[l] })));
  const parts = apart ? ["shrink", "growth"] : [panel];
  const before = ghost(state);
  return [
    ...(before ? parts.flatMap(each((part, l, look) => was(part, l, look, before))) : []),
    ...parts.flatMap(each((part, l, look) => layer(part, l, look, state, computed))),
    ...marks(panel, apart, state, computed),
  ];
}

/** A layer in the setting before. */
function was(part, l, { color, dash }, { state, computed }) {
  const layer = computed.layers[l];
  layer.past ??= {};
  layer.past[part] ??= predicted(part, l, state, computed);
  return [{ kind: "line", class: "ghost", ys: layer.past[part], color, dash }];
}

/** Accuracy or loss of a run: in training a window at a time, in the test after each epoch. */
function tests(panel, run, kind) {
  const color = kind === "dots" ? "var(--c1)" : "currentColor";
  const ys = run[`test_${panel}`];
  const xs = ys.map((_, e) => Math.min(run.edges.at(-1), (e + 1) * run.steps_per_epoch));
  return [
    { kind: "line", xs: middles(run), ys: run[panel], color, dash: kind === "faint" ? "1 3" : "2 3" },
    { kind: "line", xs, ys, color },
    { kind: kind === "dots" ? "dots" : "mine", xs, ys, color },
  ];
}

/** A layer: the curve of theory with its equilibrium, then the runs' dots. Before a guess only the dots' beginnings. */
function layer(part, l, { color, dash }, state, computed) {
  const open = seen(state);
  const curve = () => ({ kind: "line", ys: predicted(part, l, state, computed), color, dash });
  const dots = runs(state, computed).map(([run, kind]) => {
    const ys = measured(part, l, run).map((v, i) => (open || run.edges[i] <= BEFORE_A_GUESS ? v : NaN));
    return { kind, xs: part === "norm" ? starts(run) : middles(run), ys, color };
  });
  return open ? [curve(), ...(part === "norm" ? level(l, color, computed) : []), ...dots] : dots;
}

/** The bar at the right: equilibrium, where λ is constant and there is one. */
function level(l, color, { plan, layers }) {
  const { limit } = layers[l];
  if (!Number.isFinite(limit) || plan.schedule !== "constant") return [];
  return [{ kind: "line", class: "level", xs: [0.95 * plan.steps, plan.steps], ys: [limit, limit], color }];
}

/** What is no layer: the guess, and the bold line where growth is shrink, at every λ. */
function marks(panel, apart, state, { plan, lr }) {
  const across = (name, y) => ({
    kind: "line",
    class: name,
    xs: [0, plan.steps],
    ys: [y, y],
    color: "currentColor",
  });
  if (panel === "norm") return state.guess > 0 ? [across("guess", state.guess)] : [];
  if (!seen(state)) return [];
  if (panel === "balance") return apart ? [] : [across("line", 1)];
  if (panel !== "rate" || state.weight_decay === 0) return [];
  const ys = lr.map((v) => larsRate(v, state.weight_decay, state.momentum));
  return [{ kind: "line", class: "line", ys, color: "currentColor" }];
}

/** Where an axis is not to follow what is shown: room for a guess; four decades of rates and balances, which go to zero
 *  with λ. */
export function range(panel, state, computed) {
  if (panel === "accuracy") return { low: 0, high: 1 };
  if (panel === "norm" && !seen(state)) {
    const start = computed.layers[computed.names.indexOf(asked(state))].w2[0];
    return { low: start / 10, high: 50 * start };
  }
  if (panel === "balance") return { decades: 4 };
  return panel === "rate" ? { decades: 4, cap: 100 * healthy(state, computed) } : {};
}

/** A run that explodes must not flatten the rest: healthy are the line, and the first step at the full λ. */
function healthy({ lr, weight_decay, momentum }, { layers }) {
  const first = layers.map(({ c2, w2 }) => (lr * Math.sqrt(c2[0])) / w2[0]).filter(Number.isFinite);
  return Math.max(larsRate(lr, weight_decay, momentum), ...first);
}

/** All that a chart is drawn from, but its words. */
export function drawing(panel, state, computed, looks) {
  const { plan } = computed;
  const flat = state.optimizer === "lars" || state.weight_decay === 0; // nothing shrinks
  return {
    steps: Math.max(plan.steps, ...own(state).map((run) => run.steps)),
    series: series(panel === "balance" && flat ? "growth" : panel, state, computed, looks),
    log: panel !== "accuracy" && !(panel === "rate" && plan.schedule !== "constant"),
    key: [panel, flat, state.plan, state.layer, state.predict, seen(state)].join(), // another frame
    moving: state.moving,
    ...range(panel, state, computed),
    nothing: seen(state) ? "no recorded run" : "hidden",
  };
}
