// What each panel draws of a run, as series for a chart: {kind, xs, ys, color, dash, layer, network}. Pure.
//
//   kind   "dots" of what was measured, "line" of theory, "past" of theory that a movement has ended, "level" the
//          bar at the right, "bold" the line that all layers share, "curve" a measured curve of one colour

import { angle, directed, overlap } from "../decoupled.js";
import { looks } from "../series.js";
import { balanceAt, turn } from "../theory.js";
import { lineOf } from "./forecast.js";
import { column, places, running, values, windows } from "./history.js";
import { OPTIMIZERS } from "./optimizers.js";

export const WINDOW = 64; // steps of a running rms
const LEVEL = 0.035; // of the axis: the length of the bar at the right
const FAR = 30;
const DOTS = 120; // of a layer, at most: so many that each is seen
const FINE = 150; // points of a curve, at most
const POINTS = 100; // of a line of theory that crosses the whole axis

/** What the panels are. Their axes have `decades` at most where they are logarithmic, and reach to `least` at least. */
export const PANELS = {
  norm: { log: true, decades: 6 },
  rate: { log: true, decades: 3 },
  angle: { log: true, decades: 3 },
  cosine: { log: false, least: 0.1 },
  balance: { log: true, decades: 2 },
  loss: { log: true, decades: 3 },
  accuracy: { log: false },
};

/** The series of a panel between the steps from … to. */
export function series(panel, run, [from, to]) {
  const all = run.networks.flatMap((network, n) => ofNetwork(panel, run, network, n, from, to));
  if (!["rate", "angle", "balance"].includes(panel)) return all;
  const own = run.twins ? run.networks.slice(0, 1) : run.networks; // twins have one line
  return [...all, ...own.map((network, n) => shared(panel, network, n, run.shapes.at(-1), from, to))];
}

function ofNetwork(panel, run, network, n, from, to) {
  if (panel === "loss" || panel === "accuracy") return learning(panel, network, n, from, (to - from) / FINE);
  const view = windows(network.past, from, (to - from) / DOTS);
  const styles = looks(run.layers);
  return styles.flatMap((look, layer) => {
    const base = { ...look, layer, network: n };
    const dots = { ...base, kind: "dots", ...measured(panel, view, layer, run.marks) };
    return [...theory(panel, network, layer, from, to, run.shapes).map((one) => ({ ...base, ...one })), dots];
  });
}

/** What was measured of a layer: |w|² before a window's first step, balance as a mean over WINDOW steps, or since the
 *  last movement, the rest as rms. */
function measured(panel, view, layer, marks) {
  const cuts = marks.map(({ t }) => t);
  if (panel === "norm") return { xs: places(view), ys: values(view, column("w2", layer)) };
  if (panel === "balance") return { xs: places(view, 0.5), ys: running(view, column("balance", layer), WINDOW, cuts) };
  const squares = { rate: "rate2", angle: "angle2", cosine: "cos2" }[panel];
  return { xs: places(view, 0.5), ys: running(view, column(squares, layer), WINDOW, cuts).map(Math.sqrt) };
}

/** Theory of a layer: the line from the last movement on, what was left of earlier ones, and the equilibrium. */
function theory(panel, { line, lines }, layer, from, to, shapes) {
  if (!line || !["norm", "rate", "balance"].includes(panel)) return [];
  const none = ({ values: { optimizer } }) => optimizer === "lars" || (panel === "balance" && optimizer === "adam");
  const drawn = (one) => panel === "norm" || !none(one);
  const before = lines.filter((one) => one.end > from && drawn(one));
  const past = before.map((one) => path(panel, "past", one, layer, from, one.end, shapes));
  if (!drawn(line)) return past;
  const { limit } = line.layers[layer];
  const level = { kind: "level", xs: [to - LEVEL * (to - from), to], ys: [limit, limit] };
  const bar = panel === "norm" && Number.isFinite(limit) ? [level] : [];
  return [...past, path(panel, "line", line, layer, from, to, shapes), ...bar];
}

function path(panel, kind, one, layer, from, to, shapes) {
  const { w2, c2, push, v2, boost } = one.layers[layer];
  const sgd = {
    norm: (i) => w2[i],
    rate: (i) => (one.lr[i] * Math.sqrt(c2)) / w2[i],
    balance: (i) => balanceAt(push, w2[i], { ...one.values, lr: one.lr[i] }),
  };
  const step2 = (i) => (one.lr[i] ** 2 * (v2[i] ?? v2)) / w2[i]; // (λ|v|/|w|)²
  const S = boost && panel === "balance" && boost * overlap(one.values, shapes[layer]);
  const own = {
    norm: sgd.norm,
    rate: (i) => Math.sqrt(step2(i)),
    balance: (i) => (step2(i) * S) / (1 - (1 - one.lr[i] * one.values.weight_decay) ** 2),
  };
  const drawn = (boost ? own : sgd)[panel];
  const first = Math.max(0, Math.floor(from - one.t));
  const last = Math.min(one.steps, Math.ceil(to - one.t));
  const stride = Math.max(1, Math.ceil((to - from) / POINTS));
  const xs = [];
  const ys = [];
  for (let i = first; i <= last; i += stride) {
    xs.push(one.t + i);
    ys.push(drawn(i));
  }
  return { kind, xs, ys };
}

/** The line of all layers, √(2λα(1 − ρ)) or √(2λα/S), the angle that belongs to it, or 1, as λ, α and ρ were and will
 *  be. Muon's S is that of the largest layers; Adam has no line that all layers share. */
function shared(panel, network, n, shape, from, to) {
  const view = windows(network.past, from, (to - from) / FINE);
  const names = ["lr", "weight_decay", "momentum", "optimizer"];
  const [lr, weight_decay, momentum, optimizer] = names.map((name) => values(view, column(name)));
  const at = (setting) => {
    const { optimizer: of } = setting;
    if (panel === "balance") return setting.weight_decay > 0 && of !== "lars" && of !== "adam" ? 1 : NaN;
    if (panel === "rate") return lineOf(setting, shape);
    return of === "adam" ? NaN : directed(of) ? angle(setting, shape) : turn(setting);
  };
  const xs = [...places(view)];
  const ys = xs.map((_, i) =>
    at({ lr: lr[i], weight_decay: weight_decay[i], momentum: momentum[i], optimizer: OPTIMIZERS[optimizer[i]] }),
  );
  xs.push(network.past.steps, to);
  ys.push(at(network.settings), at(network.settings));
  const look = { color: "currentColor", dash: n ? "6 3" : null, layer: null, network: n };
  return { ...look, kind: "bold", xs, ys: ys.map((v) => v || NaN) };
}

/** Loss of the batches, running mean, with that of the tests; accuracy of the tests, in per cent. */
function learning(panel, network, n, from, width) {
  const view = windows(network.past, from, width);
  const color = n ? "var(--growth)" : "var(--c1)";
  const base = { color, dash: n ? "6 3" : null, layer: null, network: n };
  const tests = network.tests.filter(({ t }) => t >= from);
  const xs = tests.map(({ t }) => t);
  if (panel === "accuracy") {
    const batches = { xs: places(view, 0.5), ys: running(view, column("accuracy"), WINDOW).map((v) => 100 * v) };
    return [
      { ...base, kind: "curve", ...batches },
      { ...base, kind: "tests", xs, ys: tests.map(({ accuracy }) => 100 * accuracy) },
    ];
  }
  return [
    { ...base, kind: "curve", xs: places(view, 0.5), ys: running(view, column("loss"), WINDOW) },
    { ...base, kind: "tests", xs, ys: tests.map(({ loss }) => loss) },
  ];
}

/** Of what is shown, the least and the greatest value that an axis has to have room for. A line of theory may leave the
 *  picture where it goes FAR beyond what was measured; so may what lies `decades` below the top. */
export function extent(panel, shown) {
  const of = (list, least, most) => {
    let [low, high] = [Infinity, 0];
    for (const { ys } of list) {
      for (const v of ys) {
        if (!(v > least && v < most)) continue;
        if (v < low) low = v;
        if (v > high) high = v;
      }
    }
    return [low, high];
  };
  const is = (line) => shown.filter(({ kind }) => (kind === "line") === line);
  const [low, high] = of(is(false), 0, 1e30);
  const [under, over] = of(is(true), low / FAR, high * FAR);
  const { decades = 12, least = 0 } = PANELS[panel];
  const top = Math.max(high, over, least);
  return [Math.max(Math.min(low, under), top / 10 ** decades), top];
}
