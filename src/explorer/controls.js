// What is set: presets, sliders with a field each, and the choices. Each part tells `change` what the reader wants, and
// shows a state when it is asked to.

import { button, element, field, fill, say } from "./dom.js";
import { moved } from "./moves.js";
import { PRESETS, SLIDERS, WIDE } from "./settings.js";
import { mine, move, story, values } from "./state.js";
import { GRADIENTS, numeric, OPTIMIZERS, PANELS, plain, RANGES, written } from "./words.js";

/** Buttons that lead to a setting: the movements that were asked for, or the presets; and the one that leads back. The
 *  button of the setting that is shown is marked. `extra` are more buttons of the row. */
export function presets(jump, { moves, opening, small }, extra) {
  const stories = Object.entries(PRESETS).map(([name, { values }]) => [name, () => values]);
  const wanted = moves.length ? moves.map((move) => [move, () => ({ ...opening, ...moved(opening, move) })]) : stories;
  const name = moves.length ? "Movements from the first setting" : "Presets";
  const box = element("div", { class: "wd-row presets scroll", role: "group", "aria-label": name });
  const all = wanted.map(([text, values]) => {
    const one = button("preset", text, { "aria-pressed": "false" });
    one.addEventListener("click", () => jump(values()));
    return [text, one];
  });
  const reset = button("reset", "Reset");
  reset.addEventListener("click", () => jump(opening));
  box.append(...(small && !moves.length ? [] : all.map(([, one]) => one)), reset, ...extra);
  return {
    box,
    show(state) {
      const active = moves.length ? move(state) : story(state);
      for (const [text, one] of all) one.setAttribute("aria-pressed", String(text === active));
      reset.disabled = same(values(state), opening);
    },
  };
}

const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

/** The sliders, and the complaint about a value that was typed. */
export function sliders(change, unique, ranges = RANGES) {
  const complaint = element("p", { class: "error", role: "alert", hidden: true });
  const complain = (text) => {
    complaint.textContent = text;
    complaint.hidden = !text;
  };
  const accept = (changes) => {
    if (!Object.keys(SLIDERS).some((key) => key in changes)) return;
    complain("");
    for (const { typed } of all) typed.setAttribute("aria-invalid", "false");
  };
  const all = Object.entries(SLIDERS).map(([key, spec]) => slider(key, spec, unique, change, complain, ranges));
  return {
    parts: [...all.map((one) => one.row), complaint],
    complaint,
    complain,
    focus: () => all[0].range.focus(),
    accept, // these values are taken: there is nothing to complain of
    show(state) {
      for (const one of all) showSlider(one, state[one.key], state.wide);
      showMomentum(all.at(-1), state.optimizer === "sgd");
    },
  };
}

function slider(key, spec, unique, change, complain, ranges) {
  const id = `${unique}-${key}`;
  const range = element("input", { type: "range", id, min: spec.from, max: spec.to, step: 1, "data-value": key });
  const typed = field(`${spec.label}, typed`, { "data-typed": key });
  const label = element("label", { for: id }, ...named(spec));
  range.addEventListener("input", () => change({ [key]: spec.value(+range.value) }));
  typed.addEventListener("input", () => {
    typed.draft = true; // until it is done nothing else writes there
  });
  typed.addEventListener("change", () => take(key, spec, typed, change, complain, ranges[key]));
  return { key, spec, range, typed, label, row: element("div", { class: "slider" }, label, range, typed) };
}

/** "learning rate λ"; where there is little room its words go, and the symbol stays. */
function named({ label, symbol }) {
  return [element("span", { class: "word" }, label.slice(0, -symbol.length)), symbol];
}

/** What was typed is done: a value, or not. */
function take(key, { symbol }, typed, change, complain, [low, high, allowed]) {
  const value = numeric(typed.value);
  const good = value >= low && value <= high;
  typed.draft = false;
  typed.setAttribute("aria-invalid", String(!good));
  complain(good ? "" : `${symbol} = ${typed.value}: must be a number ${allowed}.`);
  if (good) change({ [key]: value });
}

function showSlider({ key, spec, range, typed }, value, wide) {
  [range.min, range.max] = (wide ? WIDE[key] : null) ?? [spec.from, spec.to];
  range.value = Math.round(spec.notch(value));
  range.setAttribute("aria-valuetext", `${spec.symbol} ${written(value)}`);
  if (!typed.draft && typed.getAttribute("aria-invalid") !== "true") typed.value = plain(value);
}

function showMomentum({ spec, range, typed, label }, none) {
  range.disabled = typed.disabled = none;
  label.title = none ? "SGD has no momentum" : "";
  say(label.lastChild, spec.symbol + (none ? " (none)" : ""));
}

/** The selects and the boxes, behind a summary that is closed on a narrow screen. */
export function choices(change, { layers, plans }) {
  const selects = {
    optimizer: choice("optimizer", "optimizer", OPTIMIZERS, change),
    plan: choice("plan", "training", {}, change),
    layer: choice("layer", "layer", allAnd(layers), change),
    gradient: choice("gradient", "size of gradients, c(t)", GRADIENTS, change),
  };
  const row = element("div", { class: "wd-row" }, ...Object.values(selects).map((one) => one.label));
  const panels = panelBoxes(change);
  const wide = !globalThis.matchMedia?.("(max-width: 30rem)").matches;
  const summary = element("summary", {}, "Choices");
  const box = element("details", { class: "choices", open: wide }, summary, row, panels.box);
  return {
    box,
    show(state) {
      fill(selects.plan.select, trainings(plans, state));
      fill(selects.gradient.select, gradients(state));
      for (const [key, { select }] of Object.entries(selects)) select.value = state[key];
      panels.show(state);
      box.hidden = state.small;
    },
  };
}

function choice(key, text, options, change) {
  const select = element("select", { "data-value": key });
  fill(select, options);
  select.addEventListener("change", () => change({ [key]: select.value }));
  return { select, label: element("label", { class: "choice" }, `${text} `, select) };
}

const allAnd = (layers) => ({ all: `all ${layers.length}`, ...Object.fromEntries(layers.map((l) => [l, l])) });

/** The trainings that can be looked at: without a kernel, those that were recorded. */
function trainings(plans, { kernel, plan }) {
  const there = Object.entries(plans).filter(([key, one]) => kernel || one.set !== null || one.here || key === plan);
  return Object.fromEntries(there.map(([key, one]) => [key, one.label]));
}

const gradients = (state) =>
  Object.fromEntries(Object.entries(GRADIENTS).filter(([key]) => key !== "mine" || mine(state)));

/** Which panels are seen; the last one stays. */
function panelBoxes(change) {
  const box = element("fieldset", {}, element("legend", {}, "show"));
  const checks = Object.entries(PANELS).map(([panel, text]) => {
    const check = element("input", { type: "checkbox", "data-panel-box": panel });
    check.addEventListener("change", () => {
      const panels = checks.filter((one) => one.checked).map((one) => one.dataset.panelBox);
      if (panels.length) change({ panels });
      else check.checked = true;
    });
    box.append(element("label", {}, check, ` ${text}`));
    return check;
  });
  return {
    box,
    show({ panels }) {
      for (const check of checks) check.checked = panels.includes(check.dataset.panelBox);
    },
  };
}
