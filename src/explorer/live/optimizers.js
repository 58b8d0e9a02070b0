// The optimizers of the live network: their names, what they begin with, and what one takes over from another. Pure.

import { directed } from "../decoupled.js";

/** In the select: group → name → in words. */
export const GROUPS = {
  "as in the post": { sgd: "SGD", "heavy-ball": "heavy ball", nesterov: "Nesterov", lars: "LARS" },
  "decay apart": { sgdw: "SGDW", adamw: "AdamW", lion: "Lion", muon: "Muon" },
  "decay in the gradient": { adam: "Adam" },
};
export const NAMES = Object.assign({}, ...Object.values(GROUPS));
export const OPTIMIZERS = Object.keys(NAMES);
export const RANGES = { weight_decay: [0, 100, "in [0, 100]"] }; // where they are not the explorer's

/** λ, α and ρ with λα = X, and norms of the size that they have at the start. SGDW's λ and α depend on ρ as SGD's do. */
export const HOMES = {
  sgdw: { lr: 0.05, weight_decay: 0.1, momentum: 0.9 },
  adamw: { lr: 0.005, weight_decay: 1, momentum: 0.9 },
  lion: { lr: 0.001, weight_decay: 5, momentum: 0.9 },
  muon: { lr: 0.0125, weight_decay: 0.4, momentum: 0.95 },
  adam: { lr: 0.005, weight_decay: 0.01, momentum: 0.9 },
};
const X = 0.005;

/** What an optimizer remembers, in its own units. */
const memory = (name) =>
  name.startsWith("adam") ? "adam" : ["lars", "lion", "muon"].includes(name) ? name : "gradients";
/** Whether one begins without a memory after another. */
export const forgets = (from, to) => memory(from) !== memory(to);

/** λ and α with which another optimizer turns the weights as far in the long run, by √(2λα) a step, SGD with momentum
 *  by √(2λα/(1 − ρ)): its own, times one factor, so that |w|² stays of the size that it likes. `momentum` is SGD's. */
export function carried({ lr, weight_decay, momentum: before, optimizer: from }, optimizer, momentum) {
  const x = (lr * weight_decay) / (directed(from) ? 1 : 1 - before);
  const by = from === "adam" || optimizer === "adam" || x === 0 ? 1 : Math.sqrt(Math.min(100, Math.max(0.002, x / X)));
  const home = HOMES[optimizer] ?? { lr: 0.5 * (1 - momentum), weight_decay: 0.01, momentum };
  const round = (value) => +value.toPrecision(3);
  return { ...home, lr: round(home.lr * by), weight_decay: weight_decay && round(home.weight_decay * by) };
}
