// What the live network is set to, and how that changes. Every transition returns a new state; none looks at the page.
//
//   lr, weight_decay, momentum, optimizer, seed, story, panels, layer, small    shared with Python and with links
//   correlated   theory takes the measured correlation of batches      all     the axis shows all steps
//   lit          the layer in the light, null without                  cursor  the step under the pointer, null without
//   wish         what the reader wants: true runs, false waits, null has not said
//   seen         the element is in view                                speed   steps a second, null: as many as can be
//   recall       ρ that SGD has put aside
//   own          where a story has moved λ, α, ρ by itself: what they are to the reader; else null

import { directed } from "../decoupled.js";
import { ballNamed, taken } from "../links.js";
import { RANGES } from "../words.js";
import { carried, HOMES, OPTIMIZERS, RANGES as OWN } from "./optimizers.js";
import { STORIES, scene } from "./stories.js";

export const LAYERS = [
  "prep",
  "layer1",
  "layer1.res1",
  "layer1.res2",
  "layer2",
  "layer3",
  "layer3.res1",
  "layer3.res2",
];
export const PANEL_NAMES = {
  norm: "|w|²",
  rate: "λ|g|/|w|",
  angle: "angle of a step",
  cosine: "cos(w, g)",
  balance: "growth ÷ shrink",
  loss: "loss",
  accuracy: "accuracy",
};
export const VALUES = ["lr", "weight_decay", "momentum", "optimizer", "seed", "story", "panels", "layer", "small"];
const LAYER = "layer2"; // to kick
const MOMENTUM = 0.9; // for who chooses momentum without a value
const LARGEST_SEED = 2 ** 32 - 1;

/** The state at the start, with what is given; a story's scene where there is one. */
export function initial(given = {}) {
  check(given);
  const story = given.story ?? null;
  const told = { panels: STORIES[story]?.panels ?? ["norm", "rate"], layer: STORIES[story]?.layer ?? LAYER };
  const fresh = {
    correlated: false,
    all: false,
    lit: null,
    cursor: null,
    wish: null,
    seen: false,
    speed: null,
    own: null,
  };
  const home = HOMES[given.optimizer]; // λ = 0.5 would ruin AdamW
  const state = { small: false, ...scene(story), ...home, ...told, ...fresh, recall: MOMENTUM, ...known(given), story };
  return state.optimizer === "sgd" && given.momentum > 0 && !given.optimizer
    ? { ...state, optimizer: "heavy-ball" }
    : agreed(state);
}

const known = (given) => Object.fromEntries(Object.entries(given).filter(([, v]) => v !== null && v !== undefined));

/** SGD has no momentum. */
const agreed = (state) => (state.optimizer === "sgd" ? { ...state, momentum: 0 } : state);

/** What may be said of the values in a link; see links.js. */
export const ALLOWED = {
  ...RANGES,
  ...OWN,
  optimizer: OPTIMIZERS,
  seed: [0, LARGEST_SEED, `from 0 to ${LARGEST_SEED}`],
  story: Object.keys(STORIES),
  layer: ["all", ...LAYERS],
  panels: { list: Object.keys(PANEL_NAMES) },
};

/** The state at the start, where a link has values: a story that it names sets the scene, whatever the page says. */
export const opening = (given, values) => initial({ ...(values.story ? { small: given.small } : given), ...values });

/** The values that a link gives, and complaints, as in links.js; a seed is whole, too. */
export function linkedTo(texts) {
  const { values, complaints } = taken(texts, ALLOWED);
  const { seed = 0 } = values;
  if (!Number.isInteger(seed)) {
    delete values.seed;
    complaints.push(`In the link, seed = ${seed}: must be a whole number ${ALLOWED.seed[2]}.`);
  }
  return { values: ballNamed(values), complaints };
}

/** Throw an Error that names the first value that is not allowed. */
export function check({ small, ...given }) {
  const texts = Object.entries(known(given)).map(([key, value]) => [key, String(value)]);
  const [first] = linkedTo(Object.fromEntries(texts)).complaints;
  if (first) throw new Error(first.replace("In the link, ", ""));
}

/** Some values are other ones. Who chooses SGD puts ρ aside; who moves ρ leaves SGD; who chooses momentum has some. Who
 *  goes to AdamW and its like, or comes from there, has other λ and α. */
export function changed(state, changes) {
  const recall = directed(state.optimizer) ? state.recall : state.momentum || state.recall;
  const next = { ...state, ...moves(state, changes, recall), ...changes };
  if (changes.optimizer === "sgd") return { ...next, momentum: 0, recall };
  if (directed(next.optimizer)) return { ...next, recall };
  if (changes.optimizer && !(next.momentum > 0) && changes.optimizer !== "lars") next.momentum = recall;
  if (changes.momentum > 0 && next.optimizer === "sgd") next.optimizer = "heavy-ball";
  return next;
}

/** λ, α and ρ of another optimizer, where they mean something else. */
export function moves(state, { optimizer = state.optimizer }, recall) {
  if (optimizer === state.optimizer || !(directed(state.optimizer) || directed(optimizer))) return {};
  return carried(state, optimizer, optimizer === "sgd" || optimizer === "lars" ? 0 : recall);
}

/** The reader moves something: that is the reader's own, also where a story has moved it before. */
export function moving(state, changes) {
  const next = changed(state, changes);
  return next.own ? { ...next, own: { ...next.own, ...moved(state, next) } } : next;
}

/** A story moves something by itself: what it was to the reader is kept, for Restart and for links. */
export const acting = (state, changes) => ({ ...changed(state, changes), own: state.own ?? setting(state) });

/** What a run begins with: the reader's own values. */
export const anew = (state) => ({ ...state, ...state.own, own: null });

/** A story begins, with its scene; what the reader has chosen to see of steps and speed stays. */
export function told(state, story) {
  const { panels, layer = LAYER } = STORIES[story];
  return { ...state, ...scene(story), seed: state.seed, story, panels, layer, lit: null, own: null };
}

export const values = (state) => Object.fromEntries(VALUES.map((key) => [key, state[key]]));

/** What a link holds. */
export const linked = ({ seed, story, layer, panels, own, ...state }) => ({
  ...(own ?? setting(state)),
  seed,
  ...(story && { story }),
  layer,
  panels,
});

/** What the optimizer is set to. */
export const setting = ({ lr, weight_decay, momentum, optimizer }) => ({ lr, weight_decay, momentum, optimizer });

/** What is different between two states for the optimizer: {} where nothing is. */
export function moved(from, to) {
  const names = ["lr", "weight_decay", "momentum", "optimizer"];
  return Object.fromEntries(names.filter((key) => from[key] !== to[key]).map((key) => [key, to[key]]));
}

/** Whether the network is to run: it is seen, and the reader wants it to or has not said. `still`: less motion is
 *  preferred, so it waits for Play. */
export const plays = ({ seen, wish }, still) => seen && (wish ?? !still);
