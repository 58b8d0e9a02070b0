// What the explorer knows, and how that changes. Every transition returns a new state; none looks at the page.
//
//   lr, weight_decay, momentum, optimizer, plan, layer, gradient, panels, small, predict
//              the values that Python shares (words.js has their names)
//   share      where the cursor is, 0 to 1 of the training
//   curves     the reader's own runs, the newest last
//   held       the run whose late c is held, once "held constant" was chosen
//   guess      of predict first: |w|² as it is guessed, null before; revealed: the answer is seen
//   guesses    all that were scored
//   kernel     one has answered
//   paper      the page is being printed

import { settledAfter, VALUES } from "./words.js";

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
};
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
    revealed: !given.predict,
    guesses,
  };
  if (state.optimizer === "sgd") state.momentum = 0;
  return state.gradient === "mine" ? { ...state, gradient: "recorded" } : state; // none there yet
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
  if ("plan" in changes || "gradient" in changes) next.held = null;
  return next;
}

/** While c is held constant the sliders move and the run that it was taken from does not change. */
export const holding = (state, run) => (state.gradient === "constant" ? { ...state, held: run } : state);

/** The reader's runs are these. Without one there are no gradients of "my last run". */
export function kept(state, curves) {
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
