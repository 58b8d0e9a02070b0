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

/** λ, α and ρ with λα = X, and norms as long as they are at the start. SGDW's λ and α depend on ρ as SGD's do. */
export const HOMES = {
  sgdw: { lr: 0.05, weight_decay: 0.1, momentum: 0.9 },
  adamw: { lr: 0.005, weight_decay: 1, momentum: 0.9 },
  lion: { lr: 0.001, weight_decay: 5, momentum: 0.9 },
  muon: { lr: 0.0125, weight_decay: 0.4, momentum: 0.95 },
  adam: { lr: 0.005, weight_decay: 0.01, momentum: 0.9 },
};
const X = 0.005;

const APART = "w ← (1 − λα)w − λv";
const REST = "The rest of the network has SGD with λ = 0.5.";

/** What one does, and where |w| comes to rest: the law of the book, to leading order. */
export const LAWS = {
  sgd:
    "SGD: w ← w − λ(g + αw). A step adds λ²|g|² to |w|² and takes 2λα|w|² away: rest at λ|g|/|w| = √(2λα), " +
    "|w|⁴ = λc²/(2α).",
  "heavy-ball":
    "Heavy ball: v ← ρv + g + αw, w ← w − λv. A gradient acts 1/(1−ρ) times in all, and so does decay: rest at " +
    "λ|g|/|w| = √(2λα(1−ρ)), |w|⁴ = λc²/(2α(1−ρ)).",
  nesterov:
    "Nesterov: v ← ρv + g + αw, w ← w − λ(g + αw + ρv). It comes to rest where heavy ball does: at " +
    "λ|g|/|w| = √(2λα(1−ρ)), |w|⁴ = λc²/(2α(1−ρ)).",
  lars:
    "LARS: v ← ρv + (|w|/|g|)g, w ← w − √(2λα(1−ρ)) v. The rate at which SGD comes to rest is set from the start, " +
    "and nothing decays.",
  sgdw:
    `SGDW: v ← ρv + g, ${APART}. Decay does not act through the momentum: rest at λ|v|/|w| = √(2λα/S), ` +
    `S = (1+ρ)/(1−ρ), |w|⁴ = λc²/(2α(1−ρ)²). ${REST}`,
  adamw:
    `AdamW: v = m/√s, a mean of gradients over their size, for each of K weights; ${APART}. |v| does not know how ` +
    `long gradients are: rest at λ|v|/|w| = √(2λα/S), S = (1+ρ)/(1−ρ), |w|² = λK/(2α). ${REST}`,
  lion:
    `Lion: v is the sign of a mean of gradients, so |v|² = K; ${APART}. Rest at λ|v|/|w| = √(2λα/S), ` +
    `|w|² = λKS/(2α); S: how much longer signs add up, as they are alike from step to step. ${REST}`,
  muon:
    `Muon: v is the momentum with all singular values near 1; ${APART}. |v| does not know how long gradients are: ` +
    `rest at λ|v|/|w| = √(2λα/S), |w|² = λ|v|²S/(2α); S: how much longer such v add up. ${REST}`,
  adam:
    "Adam: v = m/√s of g + αw, w ← w − λv. Decay is divided by √s, too, so a layer with larger gradients decays " +
    `less: AdamW turns all layers alike, here each has a level of its own; |w|³ = λc√K/(2α). ${REST}`,
};

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

/** λ and α of an optimizer beside another one, with the same λα and ρ: its own, times one factor. */
export function beside({ lr, weight_decay, momentum }, optimizer) {
  const home = HOMES[optimizer];
  const x = lr * weight_decay;
  if (x === 0) return { lr: home.lr, weight_decay: 0, momentum, optimizer };
  const alpha = Math.min(RANGES.weight_decay[1], home.weight_decay * Math.sqrt(x / X));
  return { lr: x / alpha, weight_decay: alpha, momentum, optimizer };
}
