// What can be set: the notches of the three sliders, and the presets.

// A factor of 4 is twelve notches of λ and α, and the recorded settings lie on notches.
const NOTCHES = 12;
const NO_DECAY = -37; // the notch of α below the lowest
const LEFT = [
  1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.25, 0.2, 0.15, 0.12, 0.1, 0.08, 0.06, 0.05, 0.04, 0.03, 0.025, 0.02, 0.015,
  0.012, 0.01, 0.008, 0.006, 0.005, 0.004, 0.003,
]; // 1 − ρ

const round = (value) => +value.toPrecision(3);
const power = (base, notch) => round(base * 4 ** (notch / NOTCHES));
const logarithm = (base, value) => (NOTCHES * Math.log(value / base)) / Math.log(4);

/** The notch of ρ that is nearest in ln(1 − ρ); of two, the first. */
function notchOfMomentum(rho) {
  const far = (left) => Math.abs(Math.log(left / (1 - rho)));
  return LEFT.reduce((best, left, k) => (far(left) < far(LEFT[best]) ? k : best), 0);
}

/** Of each slider: its words, its notches `from`, `to`, the value at a notch, and the notch of a value, which for λ and
 *  α need not be whole. */
export const SLIDERS = {
  lr: {
    label: "learning rate λ",
    symbol: "λ",
    from: -36,
    to: 36,
    value: (k) => power(0.4, k),
    notch: (v) => logarithm(0.4, v),
  },
  weight_decay: {
    label: "weight decay α",
    symbol: "α",
    from: NO_DECAY,
    to: 48,
    value: (k) => (k <= NO_DECAY ? 0 : power(5e-4, k)),
    notch: (v) => (v === 0 ? NO_DECAY : logarithm(5e-4, v)),
  },
  momentum: {
    label: "momentum ρ",
    symbol: "ρ",
    from: 0,
    to: LEFT.length - 1,
    value: (k) => +(1 - LEFT[k]).toFixed(4),
    notch: notchOfMomentum,
  },
};

/** Notches from … to of those that reach further where λ has the unit of a weight, and α its inverse. */
export const WIDE = { lr: [-84, 36], weight_decay: [NO_DECAY, 102] };

const BALL = { optimizer: "heavy-ball" };
const BOTH = ["norm", "rate"];

/** Of each preset: its values, and its story in a sentence or two. */
export const PRESETS = {
  "the post's setting": {
    values: { plan: "book", ...BALL, lr: 0.4, weight_decay: 5e-4, momentum: 0.9, panels: BOTH },
    story:
      "λ rises and falls. In the middle of the training λ|g|/|w| of most layers lies near the bold line; at the end " +
      "λ falls faster than the norms can follow.",
  },
  "never settles": {
    values: { plan: "short", optimizer: "sgd", lr: 0.025, weight_decay: 1.25e-4, momentum: 0, panels: BOTH },
    story: "λ and α are small, and the norms hardly move. The bars at the right are their equilibria, far away.",
  },
  rings: {
    values: { plan: "short", ...BALL, lr: 0.1, weight_decay: 2e-3, momentum: 0.99, panels: BOTH },
    story: "Momentum remembers 100 steps, so the norms respond late: they overshoot and come back.",
  },
  "no decay": {
    values: { plan: "short", ...BALL, lr: 0.4, weight_decay: 0, momentum: 0.9, panels: BOTH },
    story: "Nothing shrinks |w|. It grows, and λ|g|/|w| falls, though λ is constant.",
  },
  "too hot": {
    values: { plan: "short", ...BALL, lr: 6.4, weight_decay: 5e-4, momentum: 0.99, panels: ["norm", "loss"] },
    story: "λ is too large for this network: its loss explodes, and |w|² with it.",
  },
};
