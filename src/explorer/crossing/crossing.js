// The figure of chapter 5 to take in the hand: shrink and growth cross, λ(t) moves the crossing, |w|² runs after it.
//
//   path.js   the numbers, and what is said of them        knots.js   the points of λ(t), which the reader moves

import { chart } from "../charts.js";
import { player } from "../cursor.js";
import { button, element, say } from "../dom.js";
import { STYLE } from "../style.js";
import { surroundings } from "../surroundings.js";
import { knots } from "./knots.js";
import { amounts, path, ranges, sentence } from "./path.js";

const OWN = `
.wd-explorer.wd-crossing .charts { grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr)); }
.wd-explorer.wd-crossing [data-panel=lr] { touch-action: none; cursor: crosshair; }
.wd-explorer.wd-crossing .knot { fill: var(--accent); stroke: var(--paper); }
.wd-explorer.wd-crossing .knot:focus { outline: none; stroke: currentColor; stroke-width: 3; }`;
const colored = (name, text) => element("b", { style: `color: var(--${name})` }, text);
const INK = "currentColor";

/** Build it in `host` from `given`, see path.js, with the name of the first `schedule`. */
export function mount(host, given) {
  const self = { given, name: given.schedule, points: given.schedules[given.schedule], t: given.steps >> 2 };
  const row = element("div", { class: "wd-row presets scroll", role: "group", "aria-label": "λ through the training" });
  for (const name of Object.keys(given.schedules)) {
    const one = button("preset", name, { "data-schedule": name });
    one.addEventListener("click", () => change(self, given.schedules[name], name));
    row.append(one);
  }
  self.presets = row.children;
  self.ranges = ranges(given);
  self.drive = driving(self);
  self.said = element("p", { class: "said" });
  self.root = element("div", { class: "wd-explorer wd-crossing", role: "group", "aria-label": "Shrink and growth" });
  const box = element("div", { class: "charts" });
  self.root.append(element("style", {}, STYLE + OWN), row, box, self.drive.row, self.said);
  host.append(self.root);
  self.charts = panels(self, box);
  self.knots = knots(box.querySelector("[data-panel=lr]"), {
    change: (points) => change(self, points),
    moveTo: (share) => go(self, share * given.steps),
  });
  const redraw = () => show(self, true);
  self.around = surroundings(host, self.root, box, { resized: redraw, paper: redraw });
  self.around.look();
  change(self, self.points, self.name);
  return {
    dispose() {
      self.drive.stop();
      self.around.dispose();
      self.root.remove();
    },
  };
}

function panels(self, box) {
  const moveTo = (t) => go(self, t);
  const light = () => {};
  const captions = {
    lr: ["λ(t): drag its points"],
    cross: [colored("shrink", "shrink 2λα|w|²"), " and ", colored("growth", "growth λ²c²/|w|²"), " of one step"],
    norm: [colored("accent", "|w|²"), " and where the two cross"],
    lag: ["√z: λ|g|/|w| over √(2λα)"],
  };
  return Object.fromEntries(
    Object.entries(captions).map(([name, caption]) => {
      const host = element("figure", { class: "panel" }, element("figcaption", {}, ...caption));
      box.append(host);
      return [name, chart(host, name, { moveTo: name === "cross" ? () => {} : moveTo, light })];
    }),
  );
}

function driving(self) {
  const label = "step of the training";
  const range = element("input", { type: "range", min: 0, max: self.given.steps - 1, "aria-label": label });
  const play = button("play", "Play", { "aria-label": "Play the training" });
  const row = element("div", { class: "slider cursor-row" }, "step", range, play);
  const { stop } = player(range, play, { moveTo: (t) => go(self, t), veil: () => {} });
  range.addEventListener("input", () => {
    stop();
    go(self, +range.value);
  });
  return { row, range, stop };
}

/** Other points: of a schedule that has a name, or drawn. */
function change(self, points, name = null) {
  Object.assign(self, { points, name, path: path(points, self.given) });
  show(self, true);
}

function go(self, t) {
  self.t = Math.max(0, Math.min(self.given.steps - 1, Math.round(t)));
  show(self, false);
}

const line = (ys, color, more) => ({ kind: "line", ys, color, ...more });
const spot = (x, y, color, kind = "dots") => ({ kind, xs: [x], ys: [y], color, r: 4.5 });

/** Show where the step is; with `all` what depends on λ(t), too. */
function show(self, all) {
  const { given, t, charts, path, points, ranges } = self;
  drawCrossing(self);
  if (all) {
    const over = (name, [low, high], log, series, label) =>
      charts[name].draw({ steps: given.steps, low, high, log, series, label });
    over("lr", ranges.lr, false, [line(path.lr, INK)], "λ through the training");
    const norm = [line(path.target, INK), line(path.w2, "var(--accent)", { class: "line" })];
    over("norm", ranges.w2, false, norm, "|w|² and where shrink and growth cross, through the training");
    const level = line([1, 1], INK, { xs: [0, given.steps] });
    over("lag", ranges.root, true, [level, line(path.root, "var(--accent)", { class: "line" })], "√z, the training");
    self.knots.show(points, given.lr);
    for (const one of self.presets) one.setAttribute("aria-pressed", one.dataset.schedule === self.name);
  }
  for (const name of ["lr", "norm", "lag"]) charts[name].at(t);
  const said = sentence(t, path, given);
  self.drive.range.value = t;
  self.drive.range.setAttribute("aria-valuetext", said);
  say(self.said, said);
}

function drawCrossing({ given, t, charts, path, ranges }) {
  const [lr, w2, target] = [path.lr[t], path.w2[t], path.target[t]];
  const high = ranges.w2[1];
  const xs = Array.from({ length: 200 }, (_, i) => (high * (i + 1)) / 200);
  const both = xs.map((x) => amounts(x, lr, given));
  const curve = (i, name, more) =>
    line(
      both.map((one) => one[i]),
      `var(--${name})`,
      { xs, class: "line", ...more },
    );
  const [low, top] = ranges.amount;
  charts.cross.draw({
    steps: high,
    over: "|w|² (u²)",
    log: true,
    low,
    high: top,
    series: [
      curve(0, "shrink"),
      curve(1, "growth", { dash: "7 3" }),
      ...amounts(w2, lr, given).map((y) => spot(w2, y, "var(--accent)")),
      spot(target, amounts(target, lr, given)[0], INK, "mine"),
    ],
    label: `Shrink and growth of a step as functions of |w|². ${sentence(t, path, given)}`,
  });
  charts.cross.at(w2);
}
