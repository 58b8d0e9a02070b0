// The explorer: three sliders, the theory at every movement, recorded runs beside it, and Train where a kernel answers.
//
//   state.js     what is known, and its transitions     controls.js, guess.js, training.js   what the reader does
//   compute.js   curves from state and evidence         view.js, charts.js                   what the reader sees
//
// `self` ties them: {state, computed, ui, …}. What a reader does is a transition of the state; the next frame computes
// and shows it.

import { verdictOn } from "./captions.js";
import { compute, score } from "./compute.js";
import { choices, presets, sliders } from "./controls.js";
import { element } from "./dom.js";
import { fromPython, recordings } from "./evidence.js";
import { guess } from "./guess.js";
import * as states from "./state.js";
import { STYLE } from "./style.js";
import { surroundings } from "./surroundings.js";
import { training } from "./training.js";
import { legend, panels, reading, source, verdicts } from "./view.js";

/**
 * Build the explorer in `host`. `link`, where a kernel may answer: {changed(values), train(values), stop(), forget(),
 * guessed(list)}; each returns whether the kernel could be told.
 */
export function mount(host, given, evidence, link = null) {
  const state = states.initial(given, link?.guesses);
  const self = { state, evidence, recorded: recordings(evidence), link, computed: null, frame: 0 };
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
  update(self);
  return {
    change: (changes) => change(self, changes, true),
    curves: (list) => become(self, states.kept(self.state, list.map(fromPython))),
    kernel: () => become(self, states.answered(self.state)),
    heard: self.ui.training.heard,
    progress: self.ui.training.progress,
    dispose() {
      cancelAnimationFrame(self.frame);
      for (const part of [around, self.ui.training, self.ui.verdicts]) part.dispose();
      root.remove();
    },
  };
}

/** What the explorer is made of. Each part shows a state when asked to, in this order: the charts measure their width
 *  when all the rest stands. */
function parts(self) {
  const { link } = self;
  const { layers } = self.evidence;
  const unique = `wd${Math.random().toString(36).slice(2, 8)}`;
  const act = {
    change: (changes) => change(self, changes),
    place: (norm) => place(self, norm),
    reveal: (norm) => reveal(self, norm),
    moveTo: (step) => moveTo(self, step),
    again: () => self.computed && moveTo(self, states.stepOf(self.state, self.computed.plan)),
    go: () => go(self),
  };
  const says = verdicts();
  return {
    presets: presets(act.change),
    sliders: sliders(act.change, unique),
    choices: choices(act.change, self.evidence),
    training: training(link, () => states.values(self.state), says.announce),
    guess: guess(act),
    verdicts: says,
    source: source(act.go),
    legend: legend(layers),
    panels: panels(layers, act),
    reading: reading(act.moveTo, act.again, unique, self.state.small),
  };
}

function laidOut(ui) {
  const controls = [ui.presets, ...ui.sliders.parts, ui.choices.box, ui.training.box];
  const below = [ui.guess.box, ui.legend.box, ui.panels.box, ui.source.box, ...ui.reading.parts];
  return [element("div", { class: "controls" }, ...controls), ...ui.verdicts.parts, ...below];
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

function change(self, changes, fromKernel = false) {
  const anew = states.asksAnew(self.state, changes);
  self.state = states.changed(self.state, changes, fromKernel);
  self.ui.sliders.accept(changes);
  if (anew) self.ui.guess.anew(self.state);
  if (!fromKernel) self.link?.changed(states.values(self.state));
  schedule(self);
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
  change(self, { lr, weight_decay, momentum, optimizer });
  self.ui.sliders.focus(); // the button goes away
}

/** Compute, and show everything. */
function update(self) {
  self.computed = compute(self.state, self.evidence, self.recorded);
  self.state = states.holding(self.state, self.computed.sizes);
  for (const one of ["sliders", "choices", "training", "guess", "verdicts", "source", "legend"]) {
    self.ui[one].show(self.state, self.computed);
  }
  draw(self);
}

/** Show the curves alone. A source of curves that change many times a second, such as a network that trains in the
 *  page, would attach here: `self.state = states.kept(self.state, curves)`, then draw, at most once a frame. No control
 *  and no sentence is touched, and the theory stays as it was. */
function draw(self) {
  self.ui.panels.show(self.state, self.computed);
  moveTo(self, states.stepOf(self.state, self.computed.plan));
}

/** The cursor goes to a step. */
function moveTo(self, step) {
  if (!self.computed) return;
  self.state = states.cursorAt(self.state, step, self.computed.plan);
  const t = states.stepOf(self.state, self.computed.plan);
  self.ui.panels.at(t);
  self.ui.reading.at(t, self.state, self.computed);
}
