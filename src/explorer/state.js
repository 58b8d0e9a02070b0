// What the explorer knows, and how that changes. Every transition returns a new state; none looks at the page.
//
//   lr, weight_decay, momentum, optimizer, plan, layer, gradient, panels, small, predict, moves
//              the values that Python shares (words.js has their names)
//   opening    the values at the start
//   before     the setting before the last movement and its curves, {state, computed}, or null
//   moving     a slider moves, or has just done so
//   lit        the layer that stands out, null without one
//   share      where the cursor is, 0 to 1 of the training
//   curves     the reader's own runs, the newest last
//   held       the run whose late c is held, once "held constant" was chosen
//   heldAt     the setting that it was taken at
//   guess      of predict first: |w|² as it is guessed, null before; revealed: the answer is seen
//   guesses    all that were scored
//   kernel     one has answered
//   paper      the page is being printed

import { moved } from "./moves.js";
import { PRESETS } from "./settings.js";
import { settledAfter } from "./verdict.js";
import { VALUES } from "./words.js";

const DEFAULTS = {
  lr: 0.4,
  weight_decay: 5e-4,
  momentum: 0.9,
  optimizer: "heavy-ball",
  plan: "short",
  layer: "all",
  gradient: "recorded",
  panels: ["norm", "rate"],
  small: false,
  predict: false,
  moves: [],
};
const SETTING = ["lr", "weight_decay", "momentum", "optimizer"];
const LINKED = [...SETTING, "plan", "layer", "gradient", "panels"];
const QUESTION = ["lr", "weight_decay", "momentum", "optimizer", "plan", "layer", "predict"];

/** The state at the start, with the values that are given. */
export function initial(given, guesses = []) {
  const state = {
    ...DEFAULTS,
    ...given,
    share: 0.75,
    curves: [],
    kernel: false,
    paper: false,
    guess: null,
    held: null,
    heldAt: null,
    before: null,
    moving: false,
    lit: null,
    revealed: !given.predict,
    guesses,
  };
  if (state.optimizer === "sgd") state.momentum = 0;
  if (state.gradient === "mine") state.gradient = "recorded"; // none there yet
  return { ...state, opening: values(state) };
}

/** Whether changes make another question of it: what was guessed and scored is no answer to it. */
export const asksAnew = (state, changes) => QUESTION.some((key) => key in changes && changes[key] !== state[key]);

/** Some values are other ones. SGD has no momentum: who chooses SGD loses it, who moves momentum leaves SGD. */
export function changed(state, changes, fromKernel = false) {
  const next = { ...state, ...changes };
  if (next.optimizer === "sgd" && ("optimizer" in changes || fromKernel)) next.momentum = 0;
  else if (next.optimizer === "sgd" && next.momentum > 0) next.optimizer = "heavy-ball";
  if (asksAnew(state, changes)) Object.assign(next, { revealed: false, guess: null });
  if (!next.predict) next.revealed = true;
  if (next.plan !== state.plan || next.gradient !== state.gradient || changes.heldAt) {
    Object.assign(next, { held: null, heldAt: changes.heldAt ?? null });
  }
  return next;
}

/** While c is held constant the sliders move and the run that it was taken from does not change. */
export function holding(state, run) {
  return state.gradient === "constant" ? { ...state, held: run, heldAt: state.heldAt ?? setting(state) } : state;
}

/** A movement begins: what is shown now stays as a ghost. A movement that goes on has its ghost. */
export const departing = (state, computed) =>
  state.moving ? state : { ...state, before: { state: { ...state, before: null }, computed } };
export const moving = (state, on) => ({ ...state, moving: on });
export const lighting = (state, lit) => ({ ...state, lit });

/** The reader's runs are these. Without one there are no gradients of "my last run"; of a new one theory takes them. */
export function kept(state, curves, told = true) {
  const anew = told && curves.length && curves.at(-1).id !== mine(state)?.id;
  if (anew) return { ...state, curves, gradient: "mine" };
  const gradient = state.gradient === "mine" && !curves.length ? "recorded" : state.gradient;
  return { ...state, curves, gradient };
}

/** The cursor is at a step, or at the end that is nearer. */
export function cursorAt(state, step, { steps }) {
  const t = Math.max(0, Math.min(steps - 1, step));
  return { ...state, share: t / (steps - 1) };
}

/** A guess is made, for as long as the answer is hidden. */
export const guessed = (state, guess) => (state.revealed ? state : { ...state, guess });

/** The answer is seen, and the guess kept with its score, {guess, theory, measured, factor}. */
export function revealed(state, score) {
  const one = { ...values(state), layer: asked(state), ...score };
  return { ...state, guess: score.guess, revealed: true, guesses: [...state.guesses, one] };
}

export const answered = (state) => ({ ...state, kernel: true });
export const printing = (state, paper) => ({ ...state, paper });

// What follows from a state

export const values = (state) => Object.fromEntries(VALUES.map((key) => [key, state[key]]));

const has = (state, wanted) => SETTING.every((key) => state[key] === wanted[key]);
const setting = (state) => Object.fromEntries(SETTING.map((key) => [key, state[key]]));

/** What a link says. My runs are on no other page. Where c is held, it says at which setting it was taken. */
export function linked(state) {
  const one = Object.fromEntries(LINKED.map((key) => [key, state[key]]));
  if (state.gradient === "mine") one.gradient = "recorded";
  if (state.heldAt && !has(state, state.heldAt)) {
    for (const key of SETTING) one[`held_${key}`] = state.heldAt[key];
  }
  return state.predict ? { ...one, predict: "true" } : one;
}

/** The preset whose setting this is, and the movement that leads to it, or null. */
export function story(state) {
  const found = Object.entries(PRESETS).find(([, { values }]) => values.plan === state.plan && has(state, values));
  return found?.[0] ?? null;
}
export const move = (state) =>
  state.moves.find((one) => state.plan === state.opening.plan && has(state, moved(state.opening, one))) ?? null;

/** The setting before, where its curves can stand beside these. */
export function ghost({ before, plan, revealed }) {
  return before && before.state.plan === plan && before.state.revealed && revealed ? before : null;
}

/** The step under the cursor. */
export const stepOf = (state, { steps }) => Math.round(state.share * (steps - 1));

/** The reader's runs that belong to the training that is shown. */
export const own = (state) => state.curves.filter((run) => run.plan === state.plan);
export const mine = (state) => state.curves.at(-1) ?? null;

/** On paper nobody can press a button. */
export const seen = (state) => state.revealed || state.paper;

/** The layer that is asked for where one has to be guessed. */
export const asked = (state) => (state.layer === "all" ? "layer2" : state.layer);

/** The layers that are shown, as their places in `names`. */
export function shown(state, names) {
  if (state.predict) return [names.indexOf(asked(state))];
  return state.layer === "all" ? names.map((_, l) => l) : [names.indexOf(state.layer)];
}

/** Whether |w|² comes to its equilibrium, and stays, before the training is over. */
export const settling = (state, plan) =>
  plan.schedule === "constant" &&
  state.optimizer !== "lars" &&
  state.weight_decay > 0 &&
  Number.isFinite(settledAfter(state, plan));
