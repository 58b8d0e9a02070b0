// The explorer: three sliders, the theory at every movement, recorded runs beside it, and Train where a kernel answers.
//
//   state.js     what is known, and its transitions     controls.js, guess.js, training.js   what the reader does
//   compute.js   curves from state and evidence         view.js, legend.js, cursor.js        what the reader sees
//
// `self` ties them: {state, computed, ui, …}. What a reader does is a transition of the state; the next frame computes
// and shows it.

import { copyLink } from "./address.js";
import { verdictOn } from "./captions.js";
import { compute, score } from "./compute.js";
import { choices, presets, sliders } from "./controls.js";
import { cursor } from "./cursor.js";
import { element } from "./dom.js";
import { fromPython, recordings } from "./evidence.js";
import { guess } from "./guess.js";
import { here } from "./here.js";
import { legend } from "./legend.js";
import { located } from "./located.js";
import { HERE } from "./own.js";
import * as states from "./state.js";
import { STYLE } from "./style.js";
import { surroundings } from "./surroundings.js";
import { training } from "./training.js";
import { panels, source, verdicts } from "./view.js";

const REST = 900; // ms after a movement until axes may follow

/**
 * Build the explorer in `host`. `link`, where a kernel may answer: {changed(values), train(values), stop(), forget(),
 * guessed(list)}; each returns whether the kernel could be told. Without one the setting is in the address of the page,
 * and Train trains a small network here.
 */
export function mount(host, given, evidence, link = null) {
  const state = states.initial(given, link?.guesses);
  const known = link ? evidence : { ...evidence, plans: { ...evidence.plans, here: HERE } };
  const self = { state, evidence: known, recorded: recordings(evidence), link, frame: 0, rest: 0, held: false };
  self.computed = compute(state, known, self.recorded);
  self.state = states.holding(self.state, self.computed.sizes);
  self.place = link ? null : located(host, self, (changes) => change(self, changes, "address"));
  self.trainer = link ?? trainer(self);
  self.ui = parts(self);
  const root = element("div", { class: "wd-explorer", role: "group", "aria-label": "Explorer of weight norms" });
  root.append(element("style", {}, STYLE), ...laidOut(self.ui));
  host.append(root);
  const around = surroundings(host, root, self.ui.panels.box, {
    resized: () => schedule(self),
    paper: (on) => {
      self.state = states.printing(self.state, on);
      update(self);
    },
  });
  around.look();
  const release = holds(self, root);
  update(self);
  self.place?.begin();
  return {
    change: (changes) => change(self, changes, "kernel"),
    curves: (list, told) => take(self, list.map(fromPython), told),
    kernel: () => become(self, states.answered(self.state)),
    heard: self.ui.training.heard,
    progress: self.ui.training.progress,
    dispose() {
      cancelAnimationFrame(self.frame);
      clearTimeout(self.rest);
      release();
      for (const part of [around, self.ui.training, self.ui.verdicts, self.ui.cursor]) part.dispose();
      self.place?.dispose();
      self.trainer.dispose?.();
      root.remove();
    },
  };
}

/** What trains where no kernel does. */
function trainer(self) {
  return here(self.evidence.layers.length, {
    curves: (list) => take(self, list),
    progress: (news) => self.ui.training.progress(news),
    chosen: () => self.state.plan !== "here" && change(self, { plan: "here" }, "jump"),
  });
}

/** What the explorer is made of. Each part shows a state when asked to, in this order: the charts measure their width
 *  when all the rest stands. */
function parts(self) {
  const { state } = self;
  const { layers } = self.evidence;
  const unique = `wd${Math.random().toString(36).slice(2, 8)}`;
  const act = {
    change: (changes) => change(self, changes),
    jump: (changes) => change(self, changes, "jump"),
    place: (norm) => place(self, norm),
    reveal: (norm) => reveal(self, norm),
    moveTo: (step) => moveTo(self, step),
    again: () => moveTo(self, states.stepOf(self.state, self.computed.plan)),
    go: () => go(self),
    light: (layer) => self.ui.panels.light(layer ?? self.state.lit),
    keep: (layer) => become(self, states.lighting(self.state, layer === self.state.lit ? null : layer)),
    veil: (step) => self.ui.panels.veil(step),
  };
  const says = verdicts();
  const copy = self.place ? [copyLink(() => self.place.link()).box] : [];
  return {
    presets: presets(act.jump, state, copy),
    sliders: sliders(act.change, unique),
    choices: choices(act.change, self.evidence),
    training: training(self.trainer, () => states.values(self.state), says.announce),
    guess: guess(act),
    verdicts: says,
    source: source(act.go),
    legend: legend(layers, act),
    panels: panels(layers, act),
    cursor: cursor(act, unique, state.small),
  };
}

/** What is moved and what moves are together, in the first screen: sliders, verdict, charts. */
function laidOut(ui) {
  const moved = element("div", { class: "controls moved" }, ...ui.sliders.parts);
  const seen = [...ui.verdicts.parts, ui.guess.box, ui.panels.box, ui.verdicts.formula, ...ui.legend.parts];
  const rest = [ui.cursor.row, ui.source.box, ui.guess.wish, ui.choices.box, ui.training.box, ui.cursor.box];
  return [element("div", { class: "controls" }, ui.presets.box), moved, ...seen, ...rest];
}

// What happens

function become(self, state) {
  self.state = state;
  schedule(self);
}

function schedule(self) {
  cancelAnimationFrame(self.frame);
  self.frame = requestAnimationFrame(() => update(self));
}

/** Values change: as a slider "moves", in a "jump" of a button, or as the "kernel" or the "address" say. */
function change(self, changes, how = "moves") {
  const anew = states.asksAnew(self.state, changes);
  const before = states.departing(self.state, self.computed);
  self.state = states.moving(states.changed(before, changes, how === "kernel"), true);
  self.ui.sliders.accept(changes);
  if (anew) self.ui.guess.anew(self.state);
  if (how !== "kernel") self.link?.changed(states.values(self.state));
  self.place?.changed(how, before);
  settle(self);
  schedule(self);
}

/** Axes stand still until nothing has moved for a while, and no finger is on a slider. */
function settle(self) {
  clearTimeout(self.rest);
  self.rest = setTimeout(() => {
    if (self.held) settle(self);
    else become(self, states.moving(self.state, false));
  }, REST);
}

/** Know whether a slider is held. Returns what ends that. */
function holds(self, root) {
  const down = (event) => {
    self.held = event.target.matches?.("input[type=range]") ?? false;
  };
  const up = () => {
    self.held = false;
  };
  root.addEventListener("pointerdown", down);
  for (const event of ["pointerup", "pointercancel"]) addEventListener(event, up);
  return () => {
    for (const event of ["pointerup", "pointercancel"]) removeEventListener(event, up);
  };
}

/** The reader's runs are these; the kernel is told where theory took another's gradients. */
function take(self, runs, told) {
  const { gradient } = self.state;
  become(self, states.kept(self.state, runs, told));
  if (self.state.gradient !== gradient) self.link?.changed(states.values(self.state));
}

function place(self, norm) {
  if (self.state.revealed) return;
  self.ui.guess.write(norm);
  become(self, states.guessed(self.state, norm));
}

/** Show the answer to a guess, the one in the field before the one that was placed; without one, ask for it. */
function reveal(self, typed) {
  if (self.state.revealed) return;
  const norm = typed > 0 ? typed : self.state.guess;
  if (!(norm > 0)) {
    self.ui.guess.focus();
    return;
  }
  const found = score(norm, self.state, self.computed);
  self.ui.guess.say(verdictOn(found, states.settling(self.state, self.computed.plan)));
  become(self, states.revealed(self.state, found));
  self.link?.guessed(self.state.guesses);
}

/** Take the values of the run that the dots are from. */
function go(self) {
  const { lr, weight_decay, momentum, optimizer } = self.computed.found.run;
  change(self, { lr, weight_decay, momentum, optimizer }, "jump");
  self.ui.sliders.focus(); // the button goes away
}

/** Compute, and show everything. */
function update(self) {
  self.computed = compute(self.state, self.evidence, self.recorded);
  self.state = states.holding(self.state, self.computed.sizes);
  for (const one of ["presets", "sliders", "choices", "training", "guess", "verdicts", "source", "legend", "cursor"]) {
    self.ui[one].show(self.state, self.computed);
  }
  draw(self);
}

/** Show the curves alone. A source of curves that change many times a second, such as a network that trains in the
 *  page, would attach here: `self.state = states.kept(self.state, curves)`, then draw, at most once a frame. No control
 *  and no sentence is touched, and the theory stays as it was. */
function draw(self) {
  self.ui.panels.show(self.state, self.computed);
  self.ui.panels.light(self.state.lit);
  moveTo(self, states.stepOf(self.state, self.computed.plan));
}

/** The cursor goes to a step. */
function moveTo(self, step) {
  self.state = states.cursorAt(self.state, step, self.computed.plan);
  const t = states.stepOf(self.state, self.computed.plan);
  self.ui.panels.at(t);
  self.ui.cursor.at(t, self.state, self.computed);
}
