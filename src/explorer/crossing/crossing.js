// The figure of chapter 5 to take in the hand: shrink and growth cross, λ(t) moves the crossing, |w|² runs after it.
//
//   path.js   the numbers, and what is said of them        knots.js   the points of λ(t), which the reader moves

import { address, copyLink } from "../address.js";
import { chart } from "../charts.js";
import { player } from "../cursor.js";
import { button, element, say } from "../dom.js";
import { taken } from "../links.js";
import { STYLE } from "../style.js";
import { surroundings } from "../surroundings.js";
import { knots } from "./knots.js";
import { amounts, path, ranges, sentence, TOP } from "./path.js";

const OWN = `
.wd-explorer.wd-crossing .charts { grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr)); }
.wd-explorer.wd-crossing [data-panel=lr] { touch-action: pan-y; cursor: crosshair; }
.wd-explorer.wd-crossing [data-panel=lr] .axes text[x="-3"] { transform: translateX(-6px); }
.wd-explorer.wd-crossing .knot { fill: var(--accent); stroke: var(--paper); touch-action: none; }
@media (pointer: coarse) { .wd-explorer.wd-crossing .knot { r: 9px; } }
.wd-explorer.wd-crossing .knot:focus { outline: none; stroke: currentColor; stroke-width: 3; }`;
const colored = (name, text) => element("b", { style: `color: var(--${name})` }, text);
const INK = "currentColor";
const NAMES = { wsd: "wsd (warm-up, stable, decay)" };
const STROKES = 100; // that can be taken back

/** Build it in `host` from `given`, see path.js, with the name of the first `schedule`. What is drawn is in the address
 *  of the page where it is `located`. */
export function mount(host, given, located = true) {
  const self = {
    given,
    name: given.schedule,
    points: given.schedules[given.schedule],
    t: given.steps >> 2,
    before: [],
  };
  if (located) self.address = address("crossing", (texts) => restored(self, texts));
  const row = element("div", { class: "wd-row presets scroll", role: "group", "aria-label": "λ through the training" });
  self.presets = Object.keys(given.schedules).map((name) => {
    const one = button("preset", NAMES[name] ?? name, { "data-schedule": name });
    one.addEventListener("click", () => jump(self, name));
    return one;
  });
  self.undo = button("undo", "Undo", { "aria-label": "take the last stroke back" });
  self.undo.addEventListener("click", () => change(self, ...self.before.pop()));
  self.complaint = element("p", { class: "error", role: "alert", hidden: true });
  row.append(...self.presets, self.undo);
  if (self.address) row.append(copyLink(() => self.address.link(linked(self))).box);
  self.ranges = ranges(given);
  self.drive = driving(self);
  self.said = element("p", { class: "said" });
  self.root = element("div", { class: "wd-explorer wd-crossing", role: "group", "aria-label": "Shrink and growth" });
  const box = element("div", { class: "charts" });
  self.root.append(element("style", {}, STYLE + OWN), row, self.complaint, box, self.drive.row, self.said);
  host.append(self.root);
  self.charts = panels(self, box);
  self.knots = knots(box.querySelector("[data-panel=lr]"), {
    begin: () => remember(self),
    change: (points) => change(self, points),
    moveTo: (share) => go(self, share * given.steps),
  });
  const redraw = () => show(self, true);
  self.around = surroundings(host, self.root, box, { resized: redraw, paper: redraw });
  self.around.look();
  take(self, self.points, self.name);
  const texts = self.address?.here();
  if (texts) restored(self, texts);
  return {
    dispose() {
      self.address?.dispose();
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

/** Show other points: of a schedule that has a name, or drawn. */
function take(self, points, name) {
  Object.assign(self, { points, name, path: path(points, self.given) });
  show(self, true);
}

function change(self, points, name = null) {
  take(self, points, name);
  self.address?.hold(linked(self));
}

/** A schedule that has a name, in place of what was drawn. */
function jump(self, name) {
  const was = linked(self);
  remember(self);
  take(self, self.given.schedules[name], name);
  self.address?.push(linked(self), was);
}

/** Keep what Undo brings back. */
function remember(self) {
  self.before.push([self.points, self.name]);
  if (self.before.length > STROKES) self.before.shift();
}

const linked = ({ name, points }) => (name ? { schedule: name } : { points });

/** Take what the address says. */
function restored(self, texts) {
  const { schedules, schedule } = self.given;
  const count = schedules[schedule].length;
  const allowed = { schedule: Object.keys(schedules), points: { count, of: [0, TOP, `in [0, ${TOP}]`] } };
  const { values, complaints } = taken(texts, allowed);
  const name = values.points ? null : (values.schedule ?? schedule);
  take(self, values.points ?? schedules[name], name);
  self.complaint.textContent = complaints.join(" ");
  self.complaint.hidden = !complaints.length;
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
    self.undo.disabled = !self.before.length;
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
