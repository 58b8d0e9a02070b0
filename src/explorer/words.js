// What the explorer says: numbers as one writes them, and theory in sentences.

import { larsRate, rates, ringing, timeConstant } from "./theory.js";

export const OPTIMIZERS = {
  sgd: "SGD",
  "heavy-ball": "SGD with momentum (heavy ball)",
  nesterov: "Nesterov",
  lars: "LARS",
};
export const GRADIENTS = {
  recorded: "as in the recorded run",
  correlated: "as recorded, with the correlation of batches",
  constant: "held constant",
  mine: "as in my last run",
};
export const PANELS = {
  norm: "|w|²",
  balance: "shrink and growth",
  rate: "λ|g|/|w|",
  accuracy: "accuracy",
  loss: "loss",
};
export const RANGES = {
  lr: [Number.MIN_VALUE, 1000, "in (0, 1000]"],
  weight_decay: [0, 1, "in [0, 1]"],
  momentum: [0, 0.999, "in [0, 0.999]"],
};
export const SYMBOLS = { lr: "λ", weight_decay: "α", momentum: "ρ" };
export const VALUES = [
  "lr",
  "weight_decay",
  "momentum",
  "optimizer",
  "plan",
  "layer",
  "gradient",
  "panels",
  "small",
  "predict",
];
export const EXPLODED = 100; // a training loss, in nats, above which a run is said to have exploded
export const SETTLED = 3; // time constants: 5 % of the distance in |w|⁴ is left

/** A number in three digits, as one would write it: 0.4, 23.1, 1,240, 5e-4. */
export function written(value) {
  if (value === 0) return "0";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "–";
  const size = Math.abs(value);
  if (size >= 999.5 && size < 999999.5) return Math.round(value).toLocaleString("en-US");
  if (size >= 1e-3 && size < 999.5) return String(+value.toPrecision(3));
  return value
    .toExponential(2)
    .replace(/\.?0+e/, "e")
    .replace("e+", "e");
}

/** A number for a field to be typed in: without the comma of thousands. */
export const plain = (value) => written(value).replace(",", "");

/** A number in as many digits as it needs, for a link: 0.35, 5e-4. */
export const exact = (value) => String(value).replace("e+", "e");

/** The number that somebody typed: 0.4, 0,4, 5e-4, 1,240; NaN for anything else. */
export function numeric(text) {
  const trimmed = text.trim();
  if (trimmed === "") return NaN;
  const thousands = /^\d{1,3}(,\d{3})+(\.\d*)?$/.test(trimmed);
  return Number(thousands ? trimmed.replaceAll(",", "") : trimmed.replace(",", "."));
}

/** How fast and whether it rings: Nesterov is taken for heavy ball, which it is to leading order. */
const ball = (values) => (values.optimizer === "nesterov" ? { ...values, optimizer: "heavy-ball" } : values);

/** Steps until SETTLED time constants have passed, Σ4λα/(1 − ρ) along the schedule; infinite if the training is over
 *  before. */
export function settledAfter(values, plan) {
  if (plan.schedule === "constant") {
    const steps = SETTLED * timeConstant(ball(values));
    return steps <= plan.steps ? steps : Infinity;
  }
  let passed = 0;
  const steps = rates(plan, values.lr).findIndex((lr) => {
    passed += 1 / timeConstant({ ...ball(values), lr });
    return passed >= SETTLED;
  });
  return steps < 0 ? Infinity : steps + 1;
}

/** Where λ = s(T − t) runs down to zero, equilibrium is lost √((1 − ρ)/(4sα)) steps before the end. */
function falls({ lr, weight_decay, momentum }, { schedule, epochs, warmup, steps_per_epoch }) {
  if (schedule === "constant" || warmup >= epochs) return "";
  const slope = lr / ((epochs - warmup) * steps_per_epoch);
  const before = Math.sqrt((1 - momentum) / (4 * slope * weight_decay));
  return `, lost again ${written(before)} steps before the end, as λ falls`;
}

/** What theory says of a setting, in words. */
export function verdict(values, plan) {
  const { lr, weight_decay: alpha, momentum: rho, optimizer } = values;
  const x = lr * alpha;
  const rate = larsRate(lr, alpha, rho);
  const times = (steps) => `${written(steps)} steps (${written(steps / plan.steps_per_epoch)} epochs)`;
  const peak = plan.schedule === "constant" ? "" : " at the highest λ";
  if (alpha === 0) {
    return optimizer === "lars"
      ? "LARS takes its rate √(2λα(1−ρ)) from α: with α = 0 the convolutions stand still."
      : "No decay: nothing balances growth. |w| grows for as long as there are gradients, and each step turns w less.";
  }
  if (optimizer === "lars") {
    return (
      `LARS: every step has λ_LARS = √(2λα(1−ρ)) = ${written(rate)}${peak}, whatever |w| is. Nothing shrinks ` +
      `the norm: it grows e-fold in |w|² in about ${times((1 - rho) / (2 * x))}.`
    );
  }
  if (x >= (2 * (1 + rho)) / (optimizer === "nesterov" ? 1 + 2 * rho : 1))
    return `λα = ${written(x)}: decay alone overshoots, |w| has no equilibrium.`;
  if (x > 0.5)
    return `λα = ${written(x)}: a step replaces most of the weights. There is nothing slow enough to be in balance.`;
  const turn = `Equilibrium${peak}: λ|g|/|w| = √(2λα(1−ρ)) = ${written(rate)} in every layer`;
  const after = settledAfter(values, plan);
  const rings = ringing(ball(values));
  const settles = Number.isFinite(after)
    ? `settled after ${times(after)} if gradients keep their size${falls(values, plan)}`
    : plan.schedule === "constant"
      ? `it would need ${times(SETTLED * timeConstant(ball(values)))}, and this training has ${written(plan.steps)}`
      : `not reached: λ falls before ${SETTLED} time constants have passed`;
  if (rings && rings.period / 2 < SETTLED * rings.damping)
    return `${turn}. The norms ring: period ${written(rings.period)} steps; ${settles}.`;
  if (rings)
    return (
      `${turn}; ${settles}. Momentum remembers about as long as the norm: it swings, but dies out within its ` +
      "period."
    );
  return `${turn}; ${settles}. Time constant (1−ρ)/(4λα) = ${written(timeConstant(values))} steps.`;
}

export const name = (v) =>
  v.optimizer === "sgd" ? "SGD" : v.optimizer === "heavy-ball" ? "heavy ball" : OPTIMIZERS[v.optimizer];
export const setting = (v) =>
  `λ = ${written(v.lr)}, α = ${written(v.weight_decay)}, ρ = ${written(v.momentum)}, ${name(v)}`;

/** The last number of a list that has gaps. */
export const lastOf = (list) => list.filter(Number.isFinite).pop();

/** How a run came out, in words. */
export function outcome(run) {
  if (run.diverged_at >= 0) return `its loss was not finite from step ${run.diverged_at} on`;
  const loss = lastOf(run.loss);
  const test = lastOf(run.test_accuracy);
  if (loss > EXPLODED) return `its loss exploded, to ${written(loss)}`;
  return test === undefined ? "" : `test accuracy ${(100 * test).toFixed(1)} %`;
}
