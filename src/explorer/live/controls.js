// What the reader sets: stories, how it runs, the sliders, a kick. Each part tells `act` what is wanted, and shows a
// state when asked to.

import { sliders } from "../controls.js";
import { directed } from "../decoupled.js";
import { button, element, field, say } from "../dom.js";
import { RANGES } from "../words.js";
import { look as lookAt, sizes } from "./captions.js";
import { GROUPS, RANGES as OWN } from "./optimizers.js";
import { LAYERS, PANEL_NAMES } from "./state.js";
import { STORIES } from "./stories.js";

const SPEEDS = { "": "full speed", 30: "30 steps/s", 5: "5 steps/s" };

/** The buttons of the stories; the one that is told is marked, with what to look at below. */
export function stories(act) {
  const row = element("div", { class: "stories scroll", role: "group", "aria-label": "Stories" });
  const look = element("p", { class: "look" });
  const all = Object.entries(STORIES).map(([name, { label }]) => {
    const one = button("scene", label, { "data-story": name });
    one.addEventListener("click", () => act.tell(name));
    row.append(one);
    return [name, one];
  });
  return {
    parts: [row, look],
    show(state) {
      const { story, small } = state;
      row.hidden = look.hidden = small;
      for (const [name, one] of all) one.setAttribute("aria-pressed", String(name === story));
      say(look, lookAt(state));
    },
  };
}

/** Play, Step, Restart, speed and seed, and the optimizer. */
export function driving(act) {
  const play = button("play", "Play");
  const step = button("step", "Step");
  const restart = button("restart", "Restart");
  const speed = select("speed", SPEEDS, (value) => act.speed(value === "" ? null : +value));
  const optimizer = select("optimizer", {}, (value) => act.change({ optimizer: value }));
  for (const [label, names] of Object.entries(GROUPS))
    optimizer.append(element("optgroup", { label }, ...options(names)));
  const seed = field("seed", { "data-typed": "seed", size: 4 });
  play.addEventListener("click", act.play);
  step.addEventListener("click", act.step);
  restart.addEventListener("click", act.restart);
  seed.addEventListener("change", () => act.seed(seed.value));
  const sown = element("label", { class: "choice seed" }, "seed ", seed);
  const row = element("div", { class: "wd-row driving" }, play, step, restart, optimizer);
  row.append(speed, sown);
  return {
    row,
    show(state, plays, lost) {
      say(play, plays && !lost ? "Pause" : "Play");
      play.disabled = step.disabled = lost;
      optimizer.value = state.optimizer;
      speed.value = state.speed ?? "";
      if (document.activeElement !== seed) seed.value = state.seed;
      speed.hidden = sown.hidden = state.small;
    },
  };
}

/** The three sliders of the explorer. ρ can be moved under SGD, too: it is heavy ball then. */
export function settings(act, unique) {
  const all = sliders(act.change, unique, { ...RANGES, ...OWN });
  const box = element("div", { class: "settings" }, ...all.parts);
  for (const range of box.querySelectorAll("input[type=range]")) {
    range.addEventListener("pointerdown", () => act.hold(true));
    for (const end of ["pointerup", "pointercancel", "change", "blur"])
      range.addEventListener(end, () => act.hold(false));
  }
  const show = (state) => all.show({ ...state, optimizer: "heavy-ball", wide: directed(state.optimizer) });
  return { box, accept: all.accept, show };
}

/** Kick a layer, or take batch norm out of it. */
export function kicks(act) {
  const layers = { ...Object.fromEntries(LAYERS.map((name) => [name, name])), all: "all layers" };
  const layer = select("layer", layers, (value) => act.show({ layer: value }), "layer to kick");
  const up = button("kick", "w × 3", { "data-kick": "3" });
  const down = button("kick", "w ÷ 3", { "data-kick": "1/3" });
  const norm = element("input", { type: "checkbox", "data-no-norm": true });
  up.addEventListener("click", () => act.kick(3));
  down.addEventListener("click", () => act.kick(1 / 3));
  norm.addEventListener("change", () => act.noNorm(norm.checked));
  const says = element("span", {});
  const box = element("label", { class: "choice" }, norm, " ", says);
  const news = element("p", { class: "news" });
  const row = element("div", { class: "wd-row kicks" }, labelled("kick", layer), up, down, box);
  return {
    parts: [row, news],
    say: (text) => say(news, text),
    show({ layer: chosen }, without, lost) {
      layer.value = chosen;
      up.disabled = down.disabled = lost;
      norm.checked = without !== null;
      norm.disabled = lost || (chosen === "all" && without === null);
      say(
        says,
        without
          ? `${without} is without batch norm`
          : `take batch norm out of ${chosen === "all" ? "one layer" : chosen}`,
      );
    },
  };
}

/** What is drawn: which panels, which steps, and what theory takes. */
export function choices(act) {
  const boxes = Object.entries(PANEL_NAMES).map(([name, text]) => {
    const check = element("input", { type: "checkbox", "data-panel-box": name });
    check.addEventListener("change", () => {
      const panels = boxes.filter(([, one]) => one.checked).map(([one]) => one);
      if (panels.length) act.show({ panels });
      else check.checked = true;
    });
    return [name, check, element("label", {}, check, ` ${text}`)];
  });
  const panels = element("fieldset", {}, element("legend", {}, "show"), ...boxes.map(([, , label]) => label));
  const all = element("input", { type: "checkbox", "data-all": true });
  const correlated = element("input", { type: "checkbox", "data-correlated": true });
  all.addEventListener("change", () => act.show({ all: all.checked }));
  correlated.addEventListener("change", () => act.correlate(correlated.checked));
  const steps = element("label", { class: "choice" }, all, " all steps since the start");
  const measured = element("span", {});
  const kappa = element("label", { class: "choice" }, correlated, " theory with ", measured);
  const takes = element("p", {});
  return {
    parts: [panels, element("div", { class: "wd-row" }, steps, kappa), takes],
    show(state) {
      const { optimizer } = state;
      say(takes, sizes(state));
      for (const [name, check] of boxes) check.checked = state.panels.includes(name);
      all.checked = state.all;
      correlated.checked = state.correlated;
      say(measured, directed(optimizer) ? "the measured growth of |w|²" : "the measured correlation κ of batches");
      kappa.hidden = optimizer === "adam" || optimizer === "lars" || (state.momentum === 0 && !directed(optimizer));
    },
  };
}

const options = (choices) => Object.entries(choices).map(([value, text]) => element("option", { value }, text));

function select(name, choices, onChange, label = name) {
  const made = element("select", { "data-value": name, "aria-label": label });
  made.append(...options(choices));
  made.addEventListener("change", () => onChange(made.value));
  return made;
}

const labelled = (text, control) => element("label", { class: "choice" }, `${text} `, control);
